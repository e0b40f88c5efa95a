"""Windows as ``.npz`` files, one each, in train, valid and test folders: for programs that read them so.

A file holds ``<modality> (time, channel)``, ``behavior (time, output)``, ``stimulus`` (the label's number)
and ``metadata``, a JSON string. It is an exchange format: windows that overlap are written twice, and their
length is fixed. Recordings are kept by :mod:`neurolib.data.store`.
"""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurolib.data.catalog import check_inside
from neurolib.data.window_data import WindowData

RESERVED = ("behavior", "stimulus", "metadata")


def export_npz(data: WindowData, folder: str | Path, split: str = "train") -> list[Path]:
    """Write every window to ``<folder>/<split>/<number>.npz``, without padding.

    Parameters
    ----------
    data : WindowData
        Spikes as counts, or sampled signals; event times have no place in these files.
    folder : path
    split : str

    Returns
    -------
    list of Path
    """
    events = [name for name, cut in data.settings.modalities.items() if cut.kind == "events"]
    if events:
        raise ValueError(
            f"{events[0]} is cut as events; these files hold arrays (time, channel): cut it as counts"
        )
    check_inside(split)
    here = Path(folder) / split
    here.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in range(len(data)):
        item = data[row]
        arrays: dict[str, NDArray] = {}
        notes = {
            "recording": data.names[int(data.recording_of[row])],
            "start_s": float(item["start_s"]),
            "window_s": data.settings.window_s,
            "session": int(item["session"]),
            "subject": int(item["subject"]),
            "time_s": {},
            "channel": {},
        }
        for name in data.settings.modalities:
            seen, there = item[f"{name}/mask"], item[f"{name}/channel_mask"]
            if not (seen.any() and there.any()):
                continue
            arrays[name] = item[f"{name}/values"][seen][:, there].numpy()
            notes["time_s"][name] = item[f"{name}/time"][seen].tolist()
            notes["channel"][name] = item[f"{name}/channel"][there].tolist()
        if data.settings.behaviour:
            seen = item["behaviour/mask"]
            arrays["behavior"] = item["behaviour/values"][seen].numpy()
            notes["time_s"]["behavior"] = item["behaviour/time"][seen].tolist()
        arrays["stimulus"] = item["label"].numpy()
        arrays["metadata"] = np.array(json.dumps(notes))
        path = here / f"{row:06d}.npz"
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with open(part, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        part.replace(path)
        paths.append(path)
    return paths


def import_npz(folder: str | Path, split: str = "train") -> list[dict]:
    """Read the windows of one split, ours or another program's.

    Parameters
    ----------
    folder : path
    split : str

    Returns
    -------
    list of dict
        Per file, in order of names, its arrays by name, and ``metadata`` as a dict.

    Raises
    ------
    FileNotFoundError
        If there are no files.
    ValueError
        If a file is damaged, holds Python objects, which could run code when unpickled, or names that lead out
        of the folder; the message names the file.
    """
    check_inside(split)
    root = Path(folder).resolve()
    paths = sorted(path for path in (root / split).glob("*.npz") if not path.name.startswith("."))
    if not paths:
        raise FileNotFoundError(f"{root / split}: no .npz files")
    return [_read(path, root) for path in paths]


def batch_of(windows: Sequence[Mapping], window_s: float = 1.0) -> dict[str, Tensor]:
    """Windows of :func:`import_npz` as the flat batch of :mod:`neurolib.data.windows`, padded.

    Where the metadata do not say when samples were taken and what channels are, samples fill the window
    and channels are numbered.

    Examples
    --------
    >>> batch = batch_of([{"eeg": np.ones((4, 2)), "metadata": {}}, {"eeg": np.ones((4, 3)), "metadata": {}}])
    >>> batch["eeg/values"].shape, batch["eeg/channel_mask"][0].tolist()
    (torch.Size([2, 4, 3]), [True, True, False])
    """
    names = sorted({name for window in windows for name in window} - set(RESERVED))
    batch: dict[str, Tensor] = {}
    for name in names:
        parts = [np.asarray(window.get(name, np.empty((0, 0)))) for window in windows]
        odd = [part.shape for part in parts if part.ndim != 2]
        if odd:
            raise ValueError(f"{name} of shape {odd[0]}; a signal is (time, channel)")
        batch |= {f"{name}/{key}": value for key, value in _signal(name, parts, windows, window_s).items()}
        columns = [window["metadata"].get("channel", {}).get(name, range(p.shape[1]))
                   for window, p in zip(windows, parts, strict=True)]  # fmt: skip
        width = batch[f"{name}/values"].shape[2]
        for key, fill in (("channel", list), ("channel_mask", lambda c: [True] * len(c))):
            rows = [fill(column) + [0] * (width - len(column)) for column in columns]
            batch[f"{name}/{key}"] = torch.tensor(rows, dtype=torch.bool if "mask" in key else torch.int64)
    if any("behavior" in window for window in windows):
        parts = [np.asarray(window.get("behavior", np.empty((0, 0)))) for window in windows]
        parts = [part[:, None] if part.ndim == 1 else part for part in parts]
        found = _signal("behavior", parts, windows, window_s)
        batch |= {f"behaviour/{key}": value for key, value in found.items()}
    notes = [window["metadata"] for window in windows]
    for key in ("session", "subject"):
        batch[key] = torch.tensor([int(note.get(key, 0)) for note in notes])
    batch["label"] = torch.tensor([int(np.ravel(window.get("stimulus", -1))[0]) for window in windows])
    batch["start_s"] = torch.tensor([float(note.get("start_s", 0)) for note in notes], dtype=torch.float64)
    return batch


def _signal(
    name: str, parts: Sequence[NDArray], windows: Sequence[Mapping], window_s: float
) -> dict[str, Tensor]:
    size, width = (max(part.shape[axis] for part in parts) for axis in (0, 1))
    values = torch.zeros(len(parts), size, width)
    time, mask = torch.zeros(len(parts), size), torch.zeros(len(parts), size, dtype=torch.bool)
    for row, (part, window) in enumerate(zip(parts, windows, strict=True)):
        n = len(part)
        length = float(window["metadata"].get("window_s", window_s))
        when = window["metadata"].get("time_s", {}).get(name, np.arange(n) / max(n, 1) * length)
        if len(when) != n:
            raise ValueError(f"{name} of window {row} has {n} samples and {len(when)} time stamps")
        values[row, :n, : part.shape[1]] = torch.from_numpy(np.asarray(part, np.float32))
        time[row, :n], mask[row, :n] = torch.as_tensor(np.asarray(when, np.float32)), True
    return {"values": values, "time": time, "mask": mask}


def _read(path: Path, root: Path) -> dict:
    if not path.resolve().is_relative_to(root):
        raise ValueError(f"{path} leads out of {root}; a link?")
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                check_inside(name)
            window = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        why = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise ValueError(f"{path} is not a window of plain arrays: {why}") from None
    try:
        notes = json.loads(str(window.get("metadata", "{}")))
        if not isinstance(notes, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise ValueError(f"{path}: metadata is not JSON ({error})") from None
    for name, array in window.items():
        if name != "metadata" and array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name} holds {array.dtype}; only metadata may be text")
    return window | {"metadata": notes}
