"""Where the windows of one recording start, and what they are labelled: intervals in, seconds ``(n,)`` out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurolib.data.sources import Source

if TYPE_CHECKING:
    from neurolib.data.windows import Windows


def window_starts(settings: "Windows", name: str, source: Source, spans: NDArray, labels: Mapping[str, int]):
    """Start and label of every window of one recording."""
    trials, window = source.whole.trials, settings.window_s
    for column in filter(None, (settings.event, settings.label)):
        if column not in trials:
            raise ValueError(f"{name}: no trial column {column!r}; it has {sorted(trials)}")
    if settings.event:
        start = trials[settings.event].astype(float) + settings.offset_s
        trial = np.flatnonzero(np.isfinite(start))
        start = start[trial]
    else:
        step = settings.stride_s or window
        start = [
            a + step * np.arange(int((b - a - window) / step + 1e-9) + 1)
            for a, b in spans
            if b - a >= window - 1e-9
        ]
        start = np.concatenate([*start, np.empty(0)])
    start = _on_samples(settings, source, start)
    inside = np.zeros(len(start), bool)
    for a, b in spans:
        inside |= (start >= a - 1e-9) & (start + window <= b + 1e-9)
    if settings.event:
        trial = trial[inside]
    start = start[inside]
    if not settings.event:
        start = np.unique(start)
        trial = _trial_at(trials, start + window / 2) if settings.label else np.full(len(start), -1)
    if not settings.label:
        return start, np.full(len(start), -1)
    # row -1, that of no trial, takes the -1 at the end
    rows = np.array([labels.get(value, -1) for value in trials[settings.label].astype(str)] + [-1])
    return start, rows[trial]


def _on_samples(settings: "Windows", source: Source, start: NDArray) -> NDArray:
    """Starts moved on to the next sample of the slowest signal, where it has one within its step."""
    signals = [
        source.signals[c.signal].stamps for c in settings.modalities.values() if c.signal in source.signals
    ]
    signals = [stamps for stamps in signals if stamps.n > 1]
    if not signals or not len(start):
        return start
    slowest = min(signals, key=lambda stamps: stamps.typical_hz)
    at = slowest.first_at(start)
    there = slowest.read(0, slowest.n)[at.clip(0, slowest.n - 1)]
    near = (at < slowest.n) & (np.abs(there - start) < 1.001 / slowest.typical_hz)
    return np.where(near, there, start)


def _trial_at(trials: Mapping[str, NDArray], at_s: NDArray) -> NDArray:
    """Row of the trial that each time falls in, or -1."""
    order = np.argsort(trials["start_s"], kind="stable")
    if not len(order):
        return np.full(len(at_s), -1)
    last = np.searchsorted(trials["start_s"][order], at_s, side="right") - 1
    row = order[last.clip(0)]
    return np.where((last >= 0) & (at_s < trials["stop_s"][row]), row, -1)
