"""Dictionaries as folders that SAELens reads: ``cfg.json`` and ``sae_weights.safetensors``; nothing pickled.

The layout was read in the source of SAELens 6 (``sae_lens/saes/``: ``sae.py``, ``topk_sae.py``,
``batchtopk_sae.py``, ``jumprelu_sae.py``, ``gated_sae.py``, and ``loading/pretrained_sae_loaders.py``); no
SAELens is installed here, so that it loads these folders was not tried. What was read:

- ``W_enc (d_in, d_sae)``, ``W_dec (d_sae, d_in)``, ``b_dec``, and ``b_enc`` or, if gated, ``b_gate``, ``r_mag``,
  ``b_mag``; with ``architecture`` ``"standard"``, ``"topk"`` (and ``k``), ``"jumprelu"`` (and ``threshold``) or
  ``"gated"``. BatchTopK is written as JumpReLU with one threshold for all features.
- Input has ``b_dec`` taken away if ``apply_b_dec_to_input``. A scale of the input is folded into the weights:
  ``W_enc * s``, ``W_dec / s``, ``b_dec / s``, so that the file works on unscaled vectors.

- ``rescale_acts_by_decoder_norm`` (TopK) chooses by features times the norm of their atoms, which is the same
  as unit atoms, and is read so.

Atoms in a file have the norm ``1 / s``. The scale and the mean of the training vectors, which SAELens does not
know, stand in its free field ``metadata`` under ``neurolib``; a file without them is read with scale 1.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neurolib.interpret.dictionaries.autoencoder import SparseAutoencoderBase
from neurolib.interpret.dictionaries.penalised import (
    GatedConfig,
    GatedDictionary,
    JumpReLUConfig,
    JumpReLUDictionary,
    ReLUConfig,
    ReLUDictionary,
)
from neurolib.interpret.dictionaries.topk import BatchTopK, TopK, TopKConfig
from neurolib.models.placing import placed_folder

SETTINGS, WEIGHTS = "cfg.json", "sae_weights.safetensors"
ARCHITECTURES = {"standard": ReLUConfig, "topk": TopKConfig, "jumprelu": JumpReLUConfig, "gated": GatedConfig}
OURS = {ReLUDictionary: "standard", TopK: "topk", BatchTopK: "jumprelu", JumpReLUDictionary: "jumprelu"}
OURS |= {GatedDictionary: "gated"}
SIZE_LIMIT = 1 << 20  # bytes of settings that are read


def save_dictionary(dictionary: SparseAutoencoderBase, folder: Path, overwrite: bool = False) -> Path:
    """Write a dictionary; the folder is whole or absent.

    Parameters
    ----------
    dictionary : SparseAutoencoderBase
    folder : Path
    overwrite : bool
        Replace a dictionary that is there; a folder that holds anything else is left alone in any case.

    Raises
    ------
    FileExistsError
        If the folder exists, and either ``overwrite`` is not set or it holds other files.
    ValueError
        If the dictionary is of a kind that the layout does not know.
    """
    folder = Path(folder)
    architecture = OURS.get(type(dictionary))
    if architecture is None:
        raise ValueError(
            f"{type(dictionary).__name__} has no place in this layout; there are {sorted(ARCHITECTURES)}"
        )
    if folder.exists():
        held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else [folder.name]
        strange = [name for name in held if name not in (SETTINGS, WEIGHTS)]
        if strange or not overwrite:
            why = (
                f"holds {strange[0]}, which is no part of a dictionary"
                if strange
                else "overwrite=True replaces it"
            )
            raise FileExistsError(f"{folder} exists; {why}")
    settings = {
        "architecture": architecture,
        "d_in": dictionary.n_channels,
        "d_sae": dictionary.n_features,
        "dtype": str(dictionary.W_dec.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"neurolib": {"scale": float(dictionary.scale), "mean": dictionary.mean.tolist()}},
    }
    if architecture == "topk":
        settings["k"] = dictionary.cfg.k
    with placed_folder(folder) as partial:
        (partial / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
        save_file(_folded(dictionary), partial / WEIGHTS)
    return folder


def load_dictionary(folder: Path, device: torch.device | str = "cpu") -> SparseAutoencoderBase:
    """Read a dictionary, in evaluation mode and without gradients.

    Parameters
    ----------
    folder : Path
    device : torch.device or str

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, does not fit the other, or asks for what is not built here: another architecture,
        inputs normalised one by one or by a factor that is not in the file, heads flattened.
    """
    folder = Path(folder)
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}; a dictionary has {SETTINGS} and {WEIGHTS}")
    settings = _settings(folder / SETTINGS)
    cfg = _config(settings, folder / SETTINGS)
    try:
        with safe_open(folder / WEIGHTS, "pt", device=str(device)) as file:
            found = {name: file.get_tensor(name).float() for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is not readable ({error}); was it cut short?") from error
    if "log_threshold" in found:  # how older versions wrote it
        found["threshold"] = found.pop("log_threshold").exp()
    if isinstance(cfg, GatedConfig) and "b_gate" in found:
        found["b_enc"] = found.pop("b_gate")
    model = cfg.build(settings["d_in"]).to(device)
    scale, mean = _ours(settings, model, folder / SETTINGS)
    wanted = dict(model.named_parameters())
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found or name not in wanted or found[name].shape != wanted[name].shape:
            have = tuple(found[name].shape) if name in found else "nothing"
            want = tuple(wanted[name].shape) if name in wanted else "nothing"
            raise ValueError(
                f"{folder / WEIGHTS}: {name} is {have}, {settings['architecture']!r} wants {want}"
            )
    found |= {
        "W_enc": found["W_enc"] / scale,
        "W_dec": found["W_dec"] * scale,
        "b_dec": found["b_dec"] * scale,
    }
    if settings.get("rescale_acts_by_decoder_norm"):  # the same with unit atoms
        norm = found["W_dec"].norm(dim=1)
        found |= {"W_enc": found["W_enc"] * norm, "b_enc": found["b_enc"] * norm}
        found["W_dec"] = found["W_dec"] / norm[:, None]
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(found[name])
        model.scale.fill_(scale)
        model.mean.copy_(mean if mean is not None else found["b_dec"] / scale)
    return model.eval().requires_grad_(False)


def _folded(dictionary: SparseAutoencoderBase) -> dict[str, Tensor]:
    """Weights for unscaled vectors, under the names of the layout."""
    scale = dictionary.scale
    weights = {name: value.detach() for name, value in dictionary.named_parameters()}
    weights |= {"W_enc": weights["W_enc"] * scale, "W_dec": weights["W_dec"] / scale}
    weights["b_dec"] = weights["b_dec"] / scale
    if isinstance(dictionary, GatedDictionary):
        weights["b_gate"] = weights.pop("b_enc")
    if isinstance(dictionary, BatchTopK):
        weights["threshold"] = dictionary.threshold.expand(dictionary.n_features)
    if isinstance(dictionary, JumpReLUDictionary):
        weights["threshold"] = weights["threshold"].relu()
    return {name: value.cpu().clone().contiguous() for name, value in weights.items()}


def _settings(path: Path) -> dict:
    if path.stat().st_size > SIZE_LIMIT:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; settings are smaller")
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable ({error}); was it cut short?") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds a {type(settings).__name__}, not settings")
    return settings


def _config(settings: dict, path: Path):
    """The config that a file asks for, or a refusal."""
    architecture = settings.get("architecture", "standard")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise ValueError(
            f"{path}: architecture {architecture!r} is not known; there are {', '.join(ARCHITECTURES)}"
        )
    refused = {
        "normalize_activations": ("none", None),
        "reshape_activations": ("none", None),
        "apply_b_dec_to_input": (True, None),
        "finetuning_scaling_factor": (False, None),
        "normalize_decoder": (False, None),
        "activation_fn": ("relu", None),
        "activation_fn_str": ("relu", None),
    }
    for name, allowed in refused.items():
        if settings.get(name) not in allowed:
            raise ValueError(f"{path}: {name}={settings[name]!r} is not built here, only {allowed[0]!r}")
    for name in ("d_in", "d_sae"):
        if type(settings.get(name)) is not int or not 1 <= settings[name] <= 1 << 24:
            raise ValueError(
                f"{path}: {name}={settings.get(name)!r} must be a whole number of channels or features"
            )
    extra = {}
    if architecture == "topk":
        if type(settings.get("k")) is not int:
            raise ValueError(f"{path}: k={settings.get('k')!r} must be a whole number of features")
        extra["k"] = settings["k"]
    return ARCHITECTURES[architecture](n_features=settings["d_sae"], **extra)


def _ours(settings: dict, model: SparseAutoencoderBase, path: Path) -> tuple[float, Tensor | None]:
    """Scale and mean, where the file is one of ours."""
    about = (settings.get("metadata") or {}).get("neurolib")
    if about is None:
        return 1.0, None
    try:
        scale, mean = float(about["scale"]), torch.tensor(about["mean"], dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: metadata of neurolib is not readable ({error}); was it edited?") from error
    if not 0 < scale < float("inf") or mean.shape != model.mean.shape:
        raise ValueError(
            f"{path}: scale {scale} and mean of {tuple(mean.shape)} do not fit {model.n_channels} channels"
        )
    return scale, mean
