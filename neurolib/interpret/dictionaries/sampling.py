"""Vectors for dictionaries: signals of trials, stacked ``(bin, channel)``, in; nearly independent vectors out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def decorrelation_bins(values: ArrayLike, lengths: ArrayLike, level: float = np.exp(-1)) -> int:
    """Lag at which the autocorrelation, pooled over channels and within trials, has fallen below ``level``.

    Parameters
    ----------
    values : array_like, shape (n_bins, n_channels)
        Trials stacked.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial.
    level : float

    Returns
    -------
    int
        At least 1; the longest lag looked at, half the longest trial, if it never falls so low.

    Raises
    ------
    ValueError
        If ``lengths`` do not sum to the bins.

    Examples
    --------
    >>> slow = np.repeat(np.random.default_rng(0).normal(size=(500, 3)), 4, axis=0)  # held for four bins
    >>> decorrelation_bins(slow, [2000])  # 1 - lag / 4 falls below 0.37 at
    3
    """
    values, lengths = _checked(values, lengths)
    values = values - values.mean(axis=0)
    trials = np.split(values, np.cumsum(lengths)[:-1])
    power = (values**2).sum() / len(values)
    for lag in range(1, max(int(lengths.max()) // 2, 1) + 1):
        pairs = sum(max(len(trial) - lag, 0) for trial in trials)
        product = sum((trial[lag:] * trial[:-lag]).sum() for trial in trials if len(trial) > lag)
        if product <= level * power * max(pairs, 1):
            return lag
    return max(int(lengths.max()) // 2, 1)


def strided(lengths: ArrayLike, stride: int, seed: int = 0) -> NDArray:
    """Bins that are at least ``stride`` apart within each trial, each trial beginning at a random one.

    Returns
    -------
    array of int
        Rows of the stacked bins; every trial gives at least one.

    Examples
    --------
    >>> strided([5, 4], stride=5)
    array([4, 7])
    """
    lengths = np.asarray(lengths)
    if stride < 1:
        raise ValueError(f"stride={stride} must be at least 1 bin")
    draw, starts = np.random.default_rng(seed), np.cumsum(lengths) - lengths
    first = draw.integers(0, np.minimum(stride, lengths))
    return np.concatenate(
        [start + np.arange(at, n, stride) for start, at, n in zip(starts, first, lengths, strict=True)]
    )


def _checked(values: ArrayLike, lengths: ArrayLike) -> tuple[NDArray, NDArray]:
    values, lengths = np.asarray(values, float), np.asarray(lengths)
    if values.ndim != 2 or lengths.sum() != len(values) or (lengths < 1).any():
        raise ValueError(f"values {values.shape} and trials of {lengths.sum()} bins in all do not agree")
    return values, lengths
