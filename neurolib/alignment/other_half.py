"""The other half of a population: layers of a decoder that reads one half in, how well they predict the rest out.

Everything is by trial: folds are of whole trials, a layer is chosen on trials that are not those it is tested on, and
errors are kept per trial, so that trials can be resampled.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.decoding import SquaredErrors, squared_errors
from neurolib.metrics.encoding import RidgePathConfig, grouped_folds

LEAST_TRIALS = 20  # a draw of trials has none of 20 in e^-20 of cases


class OtherHalf:
    """Units that no model has read, and who can predict them.

    Parameters
    ----------
    counts : array_like, shape (n_bins, n_units)
        Scaled to unit variance here, so that each unit counts the same; units that fire in fewer than twenty trials
        go, since resampled trials might have none of their spikes.
    trials : array_like, shape (n_bins,)
        Trial of each bin, the bins of a trial side by side.
    n_folds : int
    cfg : RidgePathConfig, optional
        Layers come to it with channels of unit variance over *all* bins: one that hardly moves in the trials fitted
        and fires in those tested would otherwise be blown up without bound.
    seed : int
        Deals trials into folds.

    Raises
    ------
    ValueError
        If trials do not match or are torn apart, or no unit fires often enough.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, trials = rng.normal(size=(200, 3)), np.repeat(np.arange(20), 10)
    >>> half, layers = OtherHalf(x, trials), {"noise": rng.normal(size=(200, 3)), "x": x}
    >>> picked = half.pick(layers)
    >>> round(half.errors_of(layers, picked).r2(), 3), half.errors(layers["noise"]).r2() < 0.1, set(picked)
    (1.0, True, {'x'})
    """

    def __init__(
        self,
        counts: ArrayLike,
        trials: ArrayLike,
        n_folds: int = 4,
        cfg: RidgePathConfig | None = None,
        seed: int = 0,
    ):
        y, trials = np.asarray(counts, float), np.asarray(trials)
        if y.ndim != 2 or trials.shape != (len(y),):
            raise ValueError(f"counts {y.shape} must be (bin, unit), trials {trials.shape} one per bin")
        starts = np.flatnonzero(np.r_[True, trials[1:] != trials[:-1]])
        if len(starts) != len(np.unique(trials)):
            raise ValueError("bins of a trial must stand side by side; sort them by trial")
        active = np.logical_or.reduceat(y > y.min(axis=0), starts, axis=0).sum(axis=0)
        y = y[:, active >= min(LEAST_TRIALS, len(starts))]
        if not y.shape[1]:
            raise ValueError(
                f"none of {len(active)} units fires in {LEAST_TRIALS} trials; is this the right half?"
            )
        self.counts = (y - y.mean(axis=0)) / y.std(axis=0)
        self.lengths = np.diff(np.r_[starts, len(trials)])
        self.n_folds, self.folds = n_folds, grouped_folds(trials, n_folds, seed)
        self.cfg = cfg or RidgePathConfig()

    def errors(self, x: ArrayLike) -> SquaredErrors:
        """Of ridge regression from one table ``(n_bins, n_channels)``, each trial predicted from other ones."""
        return self.errors_of({"": x}, [""] * self.n_folds)

    def errors_of(self, layers: Mapping[str, ArrayLike], picked: Sequence[str]) -> SquaredErrors:
        """The same with a layer of its own for each fold, such as :meth:`pick` chose."""
        held = np.empty_like(self.counts)
        for name in set(picked):
            path = self.cfg.build(_scaled(layers[name]), self.counts, self.folds)
            for fold in (k for k in range(self.n_folds) if picked[k] == name):
                fit = path.without(fold)
                held[fit.test] = fit.held_out()
        return squared_errors(self.counts, held, self.lengths)

    def pick(self, layers: Mapping[str, ArrayLike]) -> list[str]:
        """Best layer for each fold: by fits that leave out two folds, scored on the one that is not being tested."""
        error = np.zeros((len(layers), self.n_folds))
        for number, x in enumerate(layers.values()):
            path = self.cfg.build(_scaled(x), self.counts, self.folds)
            for pair in combinations(range(self.n_folds), 2):
                fit = path.without(*pair)
                miss = np.square(fit.held_out() - self.counts[fit.test]).sum(axis=1)
                for tested, scored in (pair, pair[::-1]):
                    error[number, tested] += miss[self.folds[fit.test] == scored].sum()
        names = list(layers)
        return [names[k] for k in error.argmin(axis=0)]


def draw_half(n_units: int, seed: int = 0) -> NDArray:
    """Mask of a random half of the units, the smaller one if their number is odd.

    Examples
    --------
    >>> int(draw_half(7).sum())
    3
    """
    if n_units < 4:
        raise ValueError(f"{n_units} units cannot be divided into halves that say anything")
    mask = np.zeros(n_units, bool)
    mask[np.random.default_rng(seed).permutation(n_units)[: n_units // 2]] = True
    return mask


def with_lags(values: ArrayLike, trials: ArrayLike, lags: Sequence[int]) -> NDArray:
    """Values of the bins some lags later, side by side; beyond the ends of a trial its last ones.

    Examples
    --------
    >>> with_lags([[1], [2], [3], [4]], [0, 0, 1, 1], [0, 1]).tolist()
    [[1, 2], [2, 2], [3, 4], [4, 4]]
    """
    values, trials = np.asarray(values), np.asarray(trials)
    starts = np.flatnonzero(np.r_[True, trials[1:] != trials[:-1]])
    lengths = np.diff(np.r_[starts, len(trials)])
    first, last = np.repeat(starts, lengths), np.repeat(starts + lengths - 1, lengths)
    here = np.arange(len(values))
    return np.concatenate([values[np.clip(here + lag, first, last)] for lag in lags], axis=1)


def _scaled(x: ArrayLike) -> NDArray:
    x = np.asarray(x, float)
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 1e-9 * np.abs(x).max(axis=0), spread, np.inf)
