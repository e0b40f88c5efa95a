"""What every decoder of behaviour can do: predict whole trials, and stream one bin at a time.

Counts in, behaviour out; both forms give the same numbers, so what is measured offline
is what a closed loop would see.
"""

import math
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.trials import Trials


class Stream(Protocol):
    """A decoder in use: one bin in, one prediction out."""

    def step(self, counts: ArrayLike) -> NDArray:
        """Take the counts ``(n_units,)`` of the newest bin, return behaviour ``(n_outputs,)``."""

    def reset(self) -> None:
        """Forget the past; the next bin starts a trial."""


@runtime_checkable
class Decoder(Protocol):
    """A fitted decoder."""

    def predict(self, trials: Trials) -> NDArray:
        """Decode every bin of every trial, shape ``(n_bins, n_outputs)``."""

    def stream(self) -> Stream:
        """Start decoding bin by bin."""


def stream_trials(decoder: Decoder, trials: Trials) -> NDArray:
    """Decode trials one bin at a time, shape ``(n_bins, n_outputs)``; what a closed loop would do."""
    stream, rows = decoder.stream(), []
    for counts, start in zip(trials.counts, trials.bin_in_trial == 0, strict=True):
        if start:
            stream.reset()
        rows.append(stream.step(counts))
    return np.stack(rows)


def check_units(trials: Trials, n_units: int) -> None:
    """Refuse trials of another population than the decoder was fitted on."""
    if trials.n_units != n_units:
        raise ValueError(
            f"{trials.name}: {trials.n_units} units, but the decoder was fitted on {n_units}; "
            "is this another session?"
        )


def check_bins(trials: Trials, bin_size_s: float) -> None:
    """Refuse trials in other bins than the decoder was made for."""
    if not np.isclose(trials.bin_size_s, bin_size_s):
        raise ValueError(
            f"{trials.name}: bins of {trials.bin_size_s} s, but the model was made for bins of "
            f"{bin_size_s} s; its time constants would mean something else"
        )


def check_counts(counts: ArrayLike, n_units: int, dtype: np.dtype | str) -> NDArray:
    """Counts of one bin as an array ``(n_units,)``.

    Raises
    ------
    ValueError
        If there are not as many as units, or one is negative or not finite.
    """
    counts = np.asarray(counts, dtype=dtype)
    if counts.shape != (n_units,):
        raise ValueError(
            f"counts of shape {counts.shape}, the decoder has {n_units} units; is this another session?"
        )
    if not (counts.min() >= 0 and counts.max() < math.inf):  # NaN compares false
        bad = int(np.argmin((counts >= 0) & (counts < math.inf)))
        raise ValueError(
            f"counts hold {counts[bad]:g} at unit {bad}; spikes per bin are 0 or more, and finite"
        )
    return counts


def moments(values: ArrayLike) -> tuple[NDArray, NDArray]:
    """Mean and standard deviation per column; a column that never varies has scale 1."""
    values = np.asarray(values)
    mean, scale = values.mean(axis=0, dtype=float), values.std(axis=0, dtype=float)
    return mean, np.where(scale > 0, scale, 1.0)


def fit_best(
    decoders: Iterable[Decoder], train: Trials, valid: Trials, outputs: slice | list[int] = slice(None)
) -> Decoder:
    """Fit all decoders on ``train``; keep the one with the least squared error on ``valid``.

    Parameters
    ----------
    decoders : iterable of unfitted decoders
        Each has ``fit(train, valid)``, which returns itself.
    outputs : slice or list of int
        Columns of the behaviour whose errors count.
    """
    fits = [decoder.fit(train, valid) for decoder in decoders]
    if not fits:
        raise ValueError("no decoder to choose from")
    misses = [(fit.predict(valid) - valid.behaviour)[:, outputs] for fit in fits]
    return fits[int(np.argmin([(miss**2).sum() for miss in misses]))]
