"""Armband EMG of wrist gestures: text files in, one :class:`~neurolib.data.recording.Recording` per session out.

A session is a folder ``<participant>-<session>`` of files ``<gesture>.txt``, one for each gesture: eight
channels as signed bytes and a label per line, rest and gesture in turn, about five seconds each.

Sessions are separate recordings because the armband is taken off between them: their channels are not
the same patches of skin, and a split must hold out whole sessions.
"""

import re
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data import catalog
from neurolib.data.recording import Recording, Signal

RATE_HZ = 200.0
N_CHANNELS = 8
BREAK_S = 1.0
GESTURES = (
    "rest",
    "flexion",
    "extension",
    "radial deviation",
    "ulnar deviation",
    "pronation",
    "supination",
    "fist",
)


def load_myo(folder: Path | None = None, labels: str = "warn") -> list[Recording]:
    """Every session of a folder, in the order of their names.

    Parameters
    ----------
    folder : Path, optional
        Folder of the sessions; by default that of the data folder.
    labels : {"warn", "error"}
        See :func:`load_session`.

    Returns
    -------
    list of Recording
        See :func:`load_session`.

    Raises
    ------
    FileNotFoundError
        If the folder holds no session.
    ValueError
        If a session is not one of this kind.
    """
    if folder is None:
        catalog.require("myo_emg")
        folder = catalog.folder("myo_emg")
    sessions = sorted(path for path in Path(folder).glob("*-*") if path.is_dir())
    if not sessions:
        raise FileNotFoundError(f"{folder} holds no folder <participant>-<session>, such as 35622-1")
    return [load_session(session, labels) for session in sessions]


def load_session(folder: Path, labels: str = "warn") -> Recording:
    """One session: EMG of every gesture's file, and each stretch of one label as a trial.

    The gesture is that of the file's name, since some committed label columns hold another one; the column
    is used for when the gesture was held. Files were recorded apart, so on the clock made here a second of
    nothing lies between them. The clock counts samples at 200 Hz, as the armband sends them; no time stamps
    were kept. Lines that repeat all eight channels of the line before are left out: in sessions of
    participant 69069 every fifth line does, as if 200 Hz had been polled at 250 Hz; in the others at most
    one in ten thousand does.

    Parameters
    ----------
    folder : Path
        ``<participant>-<session>``, with ``<gesture>.txt`` in it.
    labels : {"warn", "error"}
        What to do where the label column names another gesture than the file.

    Returns
    -------
    Recording
        Without units. Signal ``emg`` ``(sample, channel)`` in steps of the armband's converter, -128 to 127.
        Trials: ``gesture`` (0 is rest), ``gesture_name``, ``file_gesture``, ``participant``, ``session``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it holds no gesture.
    ValueError
        If a file's name is no gesture, it is damaged, or labels disagree and ``labels="error"``.

    References
    ----------
    .. [1] https://github.com/aljazfrancic/myo-readings-dataset
    """
    if labels not in ("warn", "error"):
        raise ValueError(f"labels={labels!r} must be 'warn' or 'error'")
    folder = Path(folder)
    named = re.fullmatch(r"(\d+)-(\d+)", folder.name)
    if not named:
        raise ValueError(f"{folder}: name a folder <participant>-<session>, such as 35622-1")
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no file <gesture>.txt; is it the folder of one session?")
    times, emg, observed, rows = [], [], [], []
    start_s = 0.0
    for file in files:
        values, label = _read(file)
        gesture = _gesture(file, label, labels)
        time_s = start_s + np.arange(len(values)) / RATE_HZ
        edges = np.concatenate([[0], np.flatnonzero(np.diff(label)) + 1, [len(label)]])
        for first, last in pairwise(edges):
            held = gesture if label[first] else 0
            rows.append((start_s + first / RATE_HZ, start_s + last / RATE_HZ, held, gesture))
        observed.append((start_s, start_s + len(values) / RATE_HZ))
        times.append(time_s)
        emg.append(values)
        start_s = np.ceil(observed[-1][1]) + BREAK_S
    start, stop, held, in_file = (np.array(column) for column in zip(*rows, strict=True))
    return Recording(
        [],
        observed,
        {"emg": Signal(np.concatenate(times), np.vstack(emg), "converter steps, -128 to 127")},
        {
            "start_s": start,
            "stop_s": stop,
            "gesture": held,
            "gesture_name": np.array(GESTURES)[held],
            "file_gesture": in_file,
            "participant": np.full(len(rows), named[1]),
            "session": np.full(len(rows), int(named[2])),
        },
        name=f"armband EMG {folder.name}",
    )


def _read(file: Path) -> tuple[NDArray, NDArray]:
    """EMG ``(sample, channel)`` and labels of one file, without repeated lines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is an error below
            table = np.loadtxt(file, delimiter=",", dtype=float, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{file}: no table of numbers ({error}); truncated, or a web page?") from None
    if table.shape[0] < 2 or table.shape[1] != N_CHANNELS + 1:
        raise ValueError(
            f"{file}: {table.shape[0]} lines of {table.shape[1]} numbers; {N_CHANNELS} channels and a label expected"
        )
    emg, label = table[:, :-1], table[:, -1]
    if (emg != np.round(emg)).any() or emg.min() < -128 or emg.max() > 127:
        raise ValueError(
            f"{file}: EMG runs from {emg.min():g} to {emg.max():g}; signed bytes are whole numbers from -128 to 127. "
            "Was it rescaled to volts?"
        )
    if not np.isin(label, range(len(GESTURES))).all():
        raise ValueError(f"{file}: labels {np.unique(label).tolist()}; gestures are 0 to {len(GESTURES) - 1}")
    fresh = np.concatenate([[True], (np.diff(emg, axis=0) != 0).any(axis=1)])
    return emg[fresh].astype(np.int8), label[fresh].astype(int)


def _gesture(file: Path, label: NDArray, labels: str) -> int:
    """Gesture of the file's name, after a look at whether the column agrees."""
    if not re.fullmatch(r"[0-7]", file.stem):
        raise ValueError(f"{file}: the name is no gesture; expected 0.txt to {len(GESTURES) - 1}.txt")
    gesture = int(file.stem)
    others = sorted(set(label.tolist()) - {0, gesture})
    if others:
        message = (
            f"{file}: the label column says {' and '.join(GESTURES[i] for i in others)} ({others}), "
            f"the name says {GESTURES[gesture]} ({gesture})"
        )
        if labels == "error":
            raise ValueError(f"{message}; labels='warn' takes the name")
        warnings.warn(f"{message}; the name is taken", stacklevel=4)
    return gesture
