"""A trained model as a folder: settings and vocabularies as JSON, weights as safetensors, nothing pickled."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neurolib.models.multimodal import (
    backbone,
    forecasting,
    heads,
    mixers,
    network,
    perceiver,
    population,
    tokenizers,
)
from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.network import MultimodalModel
from neurolib.models.placing import placed_folder

FORMAT = 1
SETTINGS, WEIGHTS = "config.json", "model.safetensors"


def save_pretrained(model: MultimodalModel, folder: Path, overwrite: bool = False) -> Path:
    """Write a model; the folder is whole or absent.

    Raises
    ------
    FileExistsError
        If the folder exists and ``overwrite`` is not set.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise FileExistsError(f"{folder} exists; overwrite=True replaces it")
    with placed_folder(folder) as partial:
        about = {"format": FORMAT, "config": as_plain(model.cfg), "names": _vocabularies(model)}
        (partial / SETTINGS).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        save_file(_tensors(model), partial / WEIGHTS)
    return folder


def from_pretrained(folder: Path, device: torch.device | str = "cpu") -> MultimodalModel:
    """Read a model written by :func:`save_pretrained`, in evaluation mode.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, damaged, or of another model.
    """
    folder = Path(folder)
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}; save_pretrained writes it")
    try:
        about = json.loads((folder / SETTINGS).read_text("utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this version reads {FORMAT}")
        model = from_plain(about["config"]).build()
        names = about["names"]
        tables = {key: table for key, table in model.named_modules() if isinstance(table, GrowingEmbedding)}
        for key, vocabulary in names.items():
            table = tables[key]
            table.set_extra_state({"names": vocabulary})
            table.weight = torch.nn.Parameter(table.weight.new_zeros(len(vocabulary), table.d))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, ValueError) as error:
        raise ValueError(
            f"{folder / SETTINGS} does not describe a model ({error}); was it edited?"
        ) from error
    try:
        with safe_open(folder / WEIGHTS, "pt", device=str(device)) as file:
            found = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is not readable ({error}); was it cut short?") from error
    ours = _tensors(model)
    wrong = [
        key
        for key in ours.keys() | found.keys()
        if key not in ours or key not in found or ours[key].shape != found[key].shape
    ]
    if wrong:
        raise ValueError(
            f"{folder / WEIGHTS} is of another model: {sorted(wrong)[0]} differs in name or shape"
        )
    with torch.no_grad():
        for key, value in _tensors(model, copies=False).items():
            value.copy_(found[key])
    return model.to(device).eval()


def _tensors(model, copies: bool = True) -> dict[str, torch.Tensor]:
    """Every parameter and kept buffer once, though parts of the model share some."""
    kept = set(model.state_dict())
    named = [*model.named_parameters(), *((k, b) for k, b in model.named_buffers() if k in kept)]
    return {key: value.detach().clone().contiguous() if copies else value for key, value in named}


def _vocabularies(model: MultimodalModel) -> dict[str, list[str]]:
    seen: set[int] = set()
    tables = {}
    for key, module in model.named_modules():
        if isinstance(module, GrowingEmbedding) and id(module) not in seen:
            seen.add(id(module))
            tables[key] = module.names
    return tables


def _classes() -> dict[str, type]:
    """Settings that may be named in a file."""
    found = {}
    for module in (network, perceiver, backbone, mixers, tokenizers, population, heads, forecasting):
        for name, value in vars(module).items():
            if isinstance(value, type) and is_dataclass(value) and name.endswith("Config"):
                found[name] = value
    return found


def as_plain(value: Any) -> Any:
    """Settings as JSON can hold them.

    Examples
    --------
    >>> from neurolib.models.multimodal.perceiver import PerceiverConfig
    >>> from_plain(as_plain(PerceiverConfig(steps=3))) == PerceiverConfig(steps=3)
    True
    """
    if is_dataclass(value):
        return {"class": type(value).__name__} | {
            f.name: as_plain(getattr(value, f.name)) for f in fields(value)
        }
    if isinstance(value, dict):
        return {str(key): as_plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a setting of type {type(value).__name__} cannot be written: {value!r}")


def from_plain(value: Any) -> Any:
    """Settings back from what JSON held; lists become tuples."""
    if isinstance(value, dict):
        entries = {key: from_plain(entry) for key, entry in value.items() if key != "class"}
        if "class" not in value:
            return entries
        known = _classes()
        if value["class"] not in known:
            raise ValueError(f"no settings called {value['class']!r}")
        return known[value["class"]](**entries)
    return tuple(from_plain(entry) for entry in value) if isinstance(value, list) else value
