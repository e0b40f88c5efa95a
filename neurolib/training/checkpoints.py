"""Checkpoints that are whole or absent: written beside the target, then moved into place.

One process writes one file. Processes that each hold a part of a model write a folder, which any other
number of processes can read.
"""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

CURRENT = "current"  # in the folder of a checkpoint in parts: the name of the one that is whole


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
    if path.is_dir():
        raise ValueError(f"{path} is a folder, as shard='fsdp' writes it; continue it with that setting")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ValueError(f"{path} is not a readable checkpoint ({error}); was it cut short?") from error


def save_parts(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint of which every process holds a part; all processes call this.

    The parts go into a folder of their own; only when all are on disk does the file ``current`` name it, so
    an interruption leaves the previous checkpoint. The folder must be on a file system that all share.

    Parameters
    ----------
    folder : Path
    tensors : dict of Tensor
        By name: shards of one tensor (``DTensor``), or the same tensor on every process.
    state : dict
        Plain values, the first process's are kept. ``state["step"]`` names the checkpoint.
    """
    import torch.distributed.checkpoint as parts

    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"{folder} is a file, as shard='ddp' writes it; choose another checkpoint")
    several = dist.is_initialized()
    first = not several or dist.get_rank() == 0
    target = folder / f"step-{state['step']:08d}"
    if first:
        shutil.rmtree(target, ignore_errors=True)  # what a killed run left half written
        target.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is")  # one process is one part, and meant
        parts.save(tensors, storage_writer=parts.FileSystemWriter(target), no_dist=not several)
    if first:
        save(target / "state.pt", state)
        partial = folder / f"{CURRENT}.part"
        partial.write_text(target.name)
        os.replace(partial, folder / CURRENT)
        for old in folder.glob("step-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path) -> dict[str, Any]:
    """The plain values of a checkpoint in parts.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is a checkpoint in one file.
    """
    return load(_current(folder) / "state.pt")


def load_parts(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Read a checkpoint in parts into tensors of the same names; all processes call this.

    However many processes wrote it, each reads what its own shards need. Torch's index of the parts is
    pickled: read only folders that you trust.
    """
    import torch.distributed.checkpoint as parts

    place = _current(folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is")
            reader = parts.FileSystemReader(place)
            parts.load(tensors, storage_reader=reader, no_dist=not dist.is_initialized())
    except (Exception, parts.api.CheckpointException) as error:  # the latter is no Exception
        raise ValueError(f"{place} is not a readable checkpoint of this model ({error})") from error


def _current(folder: Path) -> Path:
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"{folder} is a file, as shard='ddp' writes it; continue it with that setting")
    if not (folder / CURRENT).exists():
        raise FileNotFoundError(f"no checkpoint at {folder}")
    return folder / (folder / CURRENT).read_text().strip()


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
