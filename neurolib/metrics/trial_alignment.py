r"""CKA of layers sampled bin by bin: samples ``(sample, channel)`` with the trial of each in, similarity out.

Samples of one trial are near copies of each other, and a pair of copies is as alike in any two layers: debiased CKA
of bins is far above zero for signals that are slow and otherwise unrelated. Here all expectations are over samples of
*different* trials, which are independent:

.. math::
    H(K, L) = \mathrm{E}\,k_{ij} l_{ij} + \mathrm{E}\,k_{ij}\,\mathrm{E}\,l_{ij}
        - 2\,\mathrm{E}_i\,[\mathrm{E}_j k_{ij}\,\mathrm{E}_j l_{ij}], \qquad
    \mathrm{CKA} = H(K, L) / \sqrt{H(K, K)\,H(L, L)}

All sums are kept by trial, so what resampled trials would give costs no second look at the samples; a trial drawn
twice is never compared with itself.

References
----------
.. [1] Gretton et al. (2005), "Measuring statistical dependence with Hilbert-Schmidt norms", ALT.
.. [2] Kornblith et al. (2019), "Similarity of neural network representations revisited", ICML, arXiv:1905.00414.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.intervals import Interval

LEAST = 4  # trials
FLAT = 1e-12


class TrialGram:
    """Products of all pairs of samples of one layer, with their sums by trial.

    Parameters
    ----------
    layer : array_like, shape (n_samples, n_channels)
    trials : array_like, shape (n_samples,)
        Trial of each sample, those of a trial side by side.

    Raises
    ------
    ValueError
        If samples do not match, are not finite, or trials are fewer than four or torn apart.

    Examples
    --------
    >>> gram = TrialGram([[1.0], [1.0], [-2.0], [3.0], [-3.0]], [0, 0, 1, 2, 3])
    >>> gram.n_trials, round(float(gram.cka(gram)), 6)
    (4, 1.0)
    """

    def __init__(self, layer: ArrayLike, trials: ArrayLike):
        x, trials = np.asarray(layer, np.float32), np.asarray(trials)
        if x.ndim != 2 or trials.shape != (len(x),) or not np.isfinite(x).all():
            raise ValueError(f"layer {x.shape} must be a finite table, trials {trials.shape} one per row")
        self.starts = np.flatnonzero(np.r_[True, trials[1:] != trials[:-1]])
        self.n_trials = len(self.starts)
        if self.n_trials != len(np.unique(trials)):
            raise ValueError("samples of a trial must stand side by side; sort them by trial")
        if self.n_trials < LEAST:
            raise ValueError(f"{self.n_trials} trials; {LEAST} are needed, and many more to say anything")
        self.sizes = np.diff(np.r_[self.starts, len(x)]).astype(float)
        x = x - x.mean(axis=0)
        x = x / max(float(np.linalg.norm(x)) / len(x) ** 0.5, FLAT)
        self.kernel = x @ x.T
        self.rows = np.add.reduceat(self.kernel, self.starts, axis=1, dtype=float)  # (sample, trial)
        self.table = np.add.reduceat(self.rows, self.starts, axis=0)  # (trial, trial)

    def hsic(self, other: "TrialGram", weights: ArrayLike | None = None) -> NDArray:
        """``H`` of two layers, ``(n_draws,)`` for weights ``(n_draws, n_trials)``."""
        if not np.array_equal(self.starts, other.starts) or len(self.kernel) != len(other.kernel):
            raise ValueError("layers must have the same samples, in the same trials")
        w = np.ones((1, self.n_trials)) if weights is None else np.atleast_2d(np.asarray(weights, float))
        if w.shape[1] != self.n_trials:
            raise ValueError(f"weights {w.shape} for {self.n_trials} trials")
        both = np.add.reduceat(self.kernel * other.kernel, self.starts, axis=1, dtype=float)
        both = np.add.reduceat(both, self.starts, axis=0)
        pairs = _across(np.outer(self.sizes, self.sizes), w)
        means = _across(self.table, w) * _across(other.table, w) / pairs**2
        own = self._row_means(w) * (self._row_means(w) if other is self else other._row_means(w))
        number = np.repeat(np.arange(self.n_trials), self.sizes.astype(int))
        rows = (w[:, number] * own).sum(axis=1) / (w @ self.sizes)
        return _across(both, w) / pairs + means - 2 * rows

    def cka(self, other: "TrialGram", weights: ArrayLike | None = None) -> float | NDArray:
        """Similarity of two layers, or what it is in resamples of the trials; NaN where one does not vary.

        Parameters
        ----------
        other : TrialGram
        weights : array_like, shape (n_draws, n_trials), optional
            How often each trial is drawn.
        """
        own, its = self.hsic(self, weights), other.hsic(other, weights)
        product = np.where((own > 0) & (its > 0), own * its, np.nan)
        found = self.hsic(other, weights) / np.sqrt(product)
        return float(found[0]) if weights is None else found

    def _row_means(self, w: NDArray) -> NDArray:
        """Mean product of each sample with those of other trials, ``(n_draws, n_samples)``."""
        number = np.repeat(np.arange(self.n_trials), self.sizes.astype(int))
        own = self.rows[np.arange(len(self.rows)), number]
        here = w[:, number]
        return (w @ self.rows.T - here * own) / ((w @ self.sizes)[:, None] - here * self.sizes[number])


def trial_weights(n_trials: int, n_draws: int = 1000, seed: int = 0) -> NDArray:
    """How often each trial is drawn with replacement, ``(n_draws, n_trials)``.

    Examples
    --------
    >>> trial_weights(5, 3).sum(axis=1)
    array([5., 5., 5.])
    """
    draw = np.random.default_rng(seed)
    return draw.multinomial(n_trials, np.full(n_trials, 1 / n_trials), n_draws).astype(float)


def over_seeds(
    estimates: Sequence[float], draws: Sequence[ArrayLike], seed: int = 0, level: float = 0.95
) -> Interval:
    """Mean over networks, with an interval that resamples networks and, by the draws given, trials.

    Parameters
    ----------
    estimates : sequence of float
        One per network.
    draws : sequence of array, shape (n_draws,)
        What the same resamples of trials gave for each.

    Examples
    --------
    >>> over_seeds([1.0, 2.0], [[1.0, 1.0], [2.0, 2.0]]).estimate
    1.5
    """
    values = np.stack([np.asarray(each, float) for each in draws], axis=1)  # (draw, network)
    picked = np.random.default_rng(seed).integers(0, values.shape[1], values.shape)
    means = np.take_along_axis(values, picked, axis=1).mean(axis=1)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(estimates)), float(low), float(high), level, values.shape[1])


def decorrelation_bins(values: ArrayLike, trials: ArrayLike, level: float = 0.2, most: int = 100) -> int:
    """First lag at which samples of a trial are correlated less than ``level``, averaged over channels by variance.

    Parameters
    ----------
    values : array_like, shape (n_bins, n_channels)
        All trials stacked.
    trials : array_like, shape (n_bins,)
    level : float
    most : int
        What is given back if no lag up to there will do.

    Examples
    --------
    >>> decorrelation_bins(np.random.default_rng(0).normal(size=(1000, 3)), np.zeros(1000))
    1
    """
    x, trials = np.asarray(values, float), np.asarray(trials)
    x = x - x.mean(axis=0)
    total = (x * x).mean()
    for lag in range(1, most):
        inside = trials[lag:] == trials[:-lag]
        if not inside.any() or (x[lag:] * x[:-lag])[inside].mean() < level * total:
            return lag
    return most


def _across(table: NDArray, w: NDArray) -> NDArray:
    """Sum over pairs of different trials, weighted."""
    return ((w @ table) * w).sum(axis=1) - w**2 @ np.diag(table)
