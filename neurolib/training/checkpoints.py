"""Checkpoints that are whole or absent: written beside the target, then moved into place."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` atomically; an interruption leaves the previous file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; tensors and plain values only, never pickled code.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is not a readable checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ValueError(f"{path} is not a readable checkpoint ({error}); was it cut short?") from error


def save_weights(path: Path, model: nn.Module) -> None:
    """Keep a trained model: its weights, and its settings ``model.cfg`` to compare with later."""
    save(path, {"settings": _settings(model), "weights": model.state_dict()})


def load_weights(path: Path, model: nn.Module) -> nn.Module:
    """Fill a model with the weights of a file written by :func:`save_weights`; returns the model.

    Raises
    ------
    ValueError
        If the file is of a model with other settings, or of another population.
    """
    state = load(path)
    if state.keys() != {"settings", "weights"}:
        raise ValueError(
            f"{path} holds {sorted(state)}; it was not written by save_weights. "
            "A checkpoint of a training run is continued by TrainConfig(checkpoint=...)"
        )
    if state["settings"] != _settings(model):
        raise ValueError(f"{path} holds a model with settings\n{state['settings']}\nnot\n{_settings(model)}")
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in state["weights"].items()}
    for name in ours.keys() | theirs.keys():
        if ours.get(name) != theirs.get(name):
            raise ValueError(
                f"{path}: {name} has shape {theirs.get(name)} there and {ours.get(name)} here; "
                "another number of units or outputs?"
            )
    model.load_state_dict(state["weights"])
    return model


def _settings(model: nn.Module) -> str:
    """Everything besides shapes that must agree: the config, and the width of a bin where it matters."""
    bins = f" in bins of {model.bin_size_s} s" if hasattr(model, "bin_size_s") else ""
    return f"{model.cfg!r}{bins}"
