"""What is read from each kind of signal, and how it is split: recordings in, windows with targets out.

Windows ``(window, time, channel)``; one target each, and the unit (stretch, run, block) that a split and a
bootstrap must keep together. Scales of targets are those of the training windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import decimate

from neurolib.data.recording import Recording

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class SignalTask:
    """Windows of one kind of signal.

    Parameters
    ----------
    kind : str
        Modality.
    rate_hz : float
    values : array of float32, shape (n, n_samples, n_channels)
    row : array of int, shape (n, n_channels)
        Row of each channel in ``channels``, -1 for padding.
    target : array, shape (n,) of int or (n, k) of float
    part : array of str, shape (n,)
        ``"train"``, ``"valid"`` or ``"test"``.
    unit : array of int, shape (n,)
        What belongs together.
    session : array of int, shape (n,)
        Place in ``recordings``.
    channels, recordings : tuple of str
    state : array of int, shape (n,), optional
        What else is known of a window in training: the direction of running, for baselines that use it.
    """

    kind: str
    rate_hz: float
    values: NDArray
    row: NDArray
    target: NDArray
    part: NDArray
    unit: NDArray
    session: NDArray
    channels: tuple[str, ...]
    recordings: tuple[str, ...]
    state: NDArray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, part: str) -> dict[str, torch.Tensor]:
        """Flat batch of one part, as :mod:`neurolib.data.windows` names it, with ``target`` and ``session``."""
        if part not in PARTS:
            raise ValueError(f"part={part!r} must be one of {PARTS}")
        keep = self.part == part
        values = torch.from_numpy(np.ascontiguousarray(self.values[keep], np.float32))
        time = torch.arange(values.shape[1]) / self.rate_hz
        target = self.target[keep]
        target = target.astype(np.int64 if target.ndim == 1 else np.float32)
        row = torch.from_numpy(self.row[keep].astype(np.int64))
        return {
            f"{self.kind}/values": values,
            f"{self.kind}/time": time.expand(values.shape[:2]),
            f"{self.kind}/mask": torch.ones(values.shape[:2], dtype=torch.bool),
            f"{self.kind}/channel": row.clamp(min=0),
            f"{self.kind}/channel_mask": row >= 0,
            "target": torch.from_numpy(target),
            "session": torch.from_numpy(self.session[keep].astype(np.int64)),
        }


def gesture_task(recordings: Sequence[Recording], fold: int = 0) -> SignalTask:
    """Which of eight gestures a second of armband EMG shows, in a session of each person that training has not seen.

    A unit is one repeat of a gesture, or five seconds of the rest recorded for its own sake; rest between
    gestures is left out. Every sixth repeat of the training sessions is for validation.

    Parameters
    ----------
    recordings : sequence of Recording
        As of :func:`neurolib.data.myo.load_myo`.
    fold : int
        Which session of each person is held out, counted from the last.
    """
    people = sorted({str(r.trials["participant"][0]) for r in recordings})
    sessions = {p: [r for r in recordings if str(r.trials["participant"][0]) == p] for p in people}
    values, target, part, unit, session, n_units = [], [], [], [], [], 0
    for person, own in sessions.items():
        held_out = own[-1 - fold % len(own)]
        for recording in own:
            trials, emg = recording.trials, recording.signals["emg"]
            n = round(emg.rate_hz)
            seen = np.zeros(trials["gesture"].max() + 1, int)
            for i in np.flatnonzero(trials["gesture"] == trials["file_gesture"]):
                gesture = trials["gesture"][i]
                for start in np.arange(trials["start_s"][i] + 0.5, trials["stop_s"][i] - 1.25, 1.0):
                    piece = int((start - trials["start_s"][i]) // 5)
                    first = np.searchsorted(emg.time_s, start - 1e-6)
                    window = emg.values[first : first + n]
                    if len(window) < n or emg.time_s[first + n - 1] > start + 1.0:
                        continue
                    values.append(window)
                    target.append(gesture)
                    repeat = seen[gesture] + piece
                    part.append("test" if recording is held_out else "valid" if repeat % 6 == 5 else "train")
                    unit.append(n_units + piece)
                    session.append(people.index(person))
                seen[gesture] += 1
                n_units += 1000
    columns = (np.array(column) for column in (values, target, part, unit, session))
    values, target, part, unit, session = columns
    row = np.tile(np.arange(values.shape[2]), (len(values), 1))
    names = recordings[0].signals["emg"].channels
    return SignalTask(
        "emg", 200.0, values.astype(np.float32), row, target, part, unit, session, names, tuple(people)
    )


def place_task(
    recordings: Sequence[Recording], window_s: float = 1.0, stride_s: float = 0.2, most: int = 2
) -> SignalTask:
    """Where a mouse is on its track, from whether each cell had an event in the frames of a window around.

    The first session of each mouse that was imaged at 20 Hz is used. A unit is one run along the track; every
    fifth is for testing, the one before it for validation. The target is the bin of the track.

    Parameters
    ----------
    recordings : sequence of Recording
        As of :func:`neurolib.data.place_cells.load_place_cells`.
    window_s, stride_s : float
    most : int
        Mice, from both ends of the list.
    """
    first = {}
    for recording in recordings:
        if round(recording.signals["events"].rate_hz) == 20:
            first.setdefault(str(recording.trials["mouse"][0]), recording)
    chosen = list(first.values())
    chosen = chosen if len(chosen) <= most else chosen[: most - most // 2] + chosen[-(most // 2) :]
    widest = max(r.signals["events"].values.shape[1] for r in chosen)
    n, step, names = round(20 * window_s), max(1, round(20 * stride_s)), []
    rows = []
    for session, recording in enumerate(chosen):
        events, position = recording.signals["events"], recording.signals["position"]
        cells = events.values.shape[1]
        row = np.full(widest, -1)
        row[:cells] = len(names) + np.arange(cells)
        names += [f"{session}/{cell}" for cell in range(cells)]
        for run, span in enumerate(zip(recording.trials["start_s"], recording.trials["stop_s"], strict=True)):
            begin, end = np.searchsorted(events.time_s, np.array(span) - 1e-6)
            part = {4: "test", 3: "valid"}.get(run % 5, "train")
            for at in range(begin, end - n + 1, step):
                window = np.zeros((n, widest), np.float32)
                window[:, :cells] = events.values[at : at + n] > 0
                where = int(position.values[at + n // 2, 0])
                heading = recording.trials["direction"][run]
                rows.append((window, row, where, part, 1000 * session + run, session, heading))
    columns = (np.array(column) for column in zip(*rows, strict=True))
    values, row, target, part, unit, session, state = columns
    who = tuple(str(recording.trials["mouse"][0]) for recording in chosen)
    return SignalTask("calcium", 20.0, values, row, target, part, unit, session, tuple(names), who, state)


def rest_task(recordings: Sequence[Recording], n_volumes: int = 12, block: int = 6) -> SignalTask:
    """The next volume of a resting scan from those before, all regions, in units of their spread in training.

    Every person's first 60 % of volumes train, the next 20 % are for validation, the rest for testing; no
    window crosses a border. A unit is a block of targets.
    """
    rows = []
    for session, recording in enumerate(recordings):
        bold = recording.signals["bold"].values.astype(float)
        borders = [0, int(0.6 * len(bold)), int(0.8 * len(bold)), len(bold)]
        bold = (bold - bold[: borders[1]].mean(0)) / bold[: borders[1]].std(0)
        for part, first, last in zip(PARTS, borders[:-1], borders[1:], strict=True):
            for at in range(first + n_volumes, last):
                rows.append(
                    (bold[at - n_volumes : at], bold[at], part, 1000 * session + at // block, session)
                )
    values, target, part, unit, session = (np.array(column) for column in zip(*rows, strict=True))
    signal = recordings[0].signals["bold"]
    row = np.tile(np.arange(values.shape[2]), (len(values), 1))
    who = tuple(recording.name for recording in recordings)
    values = values.astype(np.float32)
    return SignalTask("fmri", signal.rate_hz, values, row, target, part, unit, session, signal.channels, who)


def field_task(
    recordings: Sequence[Recording],
    window_s: float = 0.5,
    stride_s: float = 0.08,
    ahead_s: Sequence[float] = (0.02, 0.04, 0.06, 0.08),
    block_s: float = 2.0,
) -> SignalTask:
    """A field potential some moments ahead, from the half second before, in units of its spread in training.

    Recordings of a minute or more are brought to 250 Hz by a causal filter. The first 60 % train, the next
    20 % are for validation, the rest for testing. A unit is a block of two seconds.
    """
    rate_hz, rows, names = 250.0, [], []
    n, step = round(window_s * rate_hz), round(stride_s * rate_hz)
    ahead = np.array([round(s * rate_hz) for s in ahead_s])
    for recording in recordings:
        signal = recording.signals["lfp"]
        if signal.time_s[-1] < 59:
            continue
        x = decimate(signal.values[:, 0].astype(float), round(signal.rate_hz / rate_hz), zero_phase=False)
        borders = [round(rate_hz), int(0.6 * len(x)), int(0.8 * len(x)), len(x)]  # the filter starts up
        train = x[borders[0] : borders[1]]
        x = (x - train.mean()) / train.std()
        for part, first, last in zip(PARTS, borders[:-1], borders[1:], strict=True):
            for at in range(first + n, last - ahead[-1], step):
                block = 1000 * len(names) + int(at / rate_hz // block_s)
                rows.append((x[at - n : at, None], [len(names)], x[at - 1 + ahead], part, block, len(names)))
        names.append(recording.name if not recording.simulated else f"{recording.name} {len(names)}")
    values, row, target, part, unit, session = (np.array(column) for column in zip(*rows, strict=True))
    values = values.astype(np.float32)
    return SignalTask("lfp", rate_hz, values, row, target, part, unit, session, tuple(names), tuple(names))
