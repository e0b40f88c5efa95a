"""Stretches of a signal around an event of each trial: a Recording in, ``(trial, time, channel)`` out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from neurolib.data.recording import Recording, join_touching


@dataclass(frozen=True)
class Epochs:
    """Equally long stretches of one signal; made by :func:`cut`.

    Parameters
    ----------
    values : array of float32, shape (n_trials, n_samples, n_channels)
    label : array of int, shape (n_trials,)
        Place in ``labels``.
    group : array, shape (n_trials,)
        Run or session of each trial: what a split must keep together.
    rate_hz : float
    labels, channels : tuple of str
    """

    values: NDArray
    label: NDArray
    group: NDArray
    rate_hz: float
    labels: tuple[str, ...]
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


def cut(
    recording: Recording,
    signal: str,
    labels: Sequence[str],
    window_s: tuple[float, float],
    band_hz: tuple[float, float] | None = None,
    group: str = "run",
    event: str = "start_s",
    label: str = "label",
) -> Epochs:
    """Cut a window around an event of every trial that has one of some labels.

    Parameters
    ----------
    recording : Recording
    signal : str
    labels : sequence of str
        Which trials, by their column ``label``.
    window_s : (float, float)
        Start and stop relative to the event.
    band_hz : (float, float), optional
        Filter each observed interval first, forwards and backwards (Butterworth, order 4 each way).
        Not causal: what comes within a few cycles after the window leaks into it.
    group, event, label : str
        Columns of the trial table.

    Returns
    -------
    Epochs

    Raises
    ------
    KeyError
        If there is no such signal or column.
    ValueError
        If no trial has one of the labels, or a window reaches outside what was observed.

    Examples
    --------
    >>> from neurolib.data.motor_imagery import MotorImageryConfig, simulate
    >>> recording = simulate(MotorImageryConfig(n_runs=1))
    >>> cut(recording, "eeg", ["both_fists", "both_feet"], (0.5, 3.5), (8.0, 30.0)).values.shape
    (15, 480, 64)
    """
    for column in (group, event, label):
        if column not in recording.trials:
            raise KeyError(f"{recording.name}: no trial column {column!r}; it has {sorted(recording.trials)}")
    if signal not in recording.signals:
        raise KeyError(f"{recording.name}: no signal {signal!r}; it has {sorted(recording.signals)}")
    rows = np.flatnonzero(np.isin(recording.trials[label], labels))
    if not len(rows):
        raise ValueError(
            f"{recording.name}: no trial is labelled {list(labels)}; there are "
            f"{sorted(set(recording.trials[label].tolist()))}"
        )
    source = recording.signals[signal]
    rate_hz, time_s = source.rate_hz, source.time_s
    n = round((window_s[1] - window_s[0]) * rate_hz)
    if n < 1:
        raise ValueError(f"window {window_s} s is shorter than a sample at {rate_hz:g} Hz")
    at = recording.trials[event][rows].astype(float) + window_s[0]
    observed = join_touching(recording.observed_s)
    interval = np.searchsorted(observed[:, 0], at + 1e-6, side="right") - 1
    outside = (interval < 0) | (at + n / rate_hz > observed[np.maximum(interval, 0), 1] + 0.5 / rate_hz)
    if outside.any():
        raise ValueError(
            f"{recording.name}: the window {window_s} s reaches outside what was observed in {outside.sum()} of "
            f"{len(rows)} trials, the first is trial {rows[np.argmax(outside)]}; select other trials or shorten it"
        )
    values = np.empty((len(rows), n, source.values.shape[1]), np.float32)
    for number in np.unique(interval):
        first, last = np.searchsorted(time_s, observed[number] - 1e-6)
        part = source.values[first:last].astype(float)
        if band_hz is not None:
            part = sosfiltfilt(butter(4, band_hz, "bandpass", fs=rate_hz, output="sos"), part, axis=0)
        for row in np.flatnonzero(interval == number):
            start = min(int(np.searchsorted(time_s[first:last], at[row] - 0.5 / rate_hz)), len(part) - n)
            values[row] = part[start : start + n]
    names = list(labels)
    return Epochs(
        values,
        np.array([names.index(name) for name in recording.trials[label][rows]]),
        recording.trials[group][rows],
        rate_hz,
        tuple(names),
        source.channels,
    )
