"""Leaderboard: test predictions of several models over seeds and folds in, paired intervals out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.decoding import SquaredErrors, squared_errors
from neurolib.metrics.intervals import Interval, hierarchical_interval


class Leaderboard:
    """Scores of models that were tested on the same trials.

    Add every prediction as it is made; what is kept of it is each trial's squared error. A score is
    R², variance-weighted, over the trials of all folds together; intervals resample seeds and
    trials (:func:`~neurolib.metrics.intervals.hierarchical_interval`).

    Examples
    --------
    >>> board = Leaderboard()
    >>> for seed in (0, 1):
    ...     board.add("good", seed, [[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]], lengths=[2, 1])
    ...     board.add("poor", seed, [[0.0], [1.0], [2.0]], [[1.0], [1.0], [1.0]], lengths=[2, 1])
    >>> board.r2("good"), board.r2("poor")
    (array([1., 1.]), array([0., 0.]))
    >>> board.differences("good", "poor")
    array([1., 1.])
    """

    def __init__(self):
        self._parts: dict[str, dict[int, dict[int, SquaredErrors]]] = {}

    def add(
        self,
        name: str,
        seed: int,
        target: ArrayLike,
        prediction: ArrayLike,
        lengths: Sequence[int] | NDArray,
        fold: int = 0,
    ) -> None:
        """Take the predictions ``(n_bins, n_outputs)`` of one model on the test trials of one fold.

        Raises
        ------
        ValueError
            If shapes do not fit, or this model, seed and fold were added before.
        """
        by_fold = self._parts.setdefault(name, {}).setdefault(seed, {})
        if fold in by_fold:
            raise ValueError(f"{name!r}, seed {seed}, fold {fold} is on the board already; test once")
        by_fold[fold] = squared_errors(target, prediction, lengths)

    @property
    def names(self) -> list[str]:
        """Models in the order in which they came."""
        return list(self._parts)

    def errors(self, name: str) -> list[SquaredErrors]:
        """Squared errors of each seed, over the test trials of all folds.

        Raises
        ------
        KeyError
            If there is no such model.
        ValueError
            If its seeds have seen different folds.
        """
        if name not in self._parts:
            raise KeyError(f"no {name!r} on the board; there are {self.names}")
        seeds = self._parts[name]
        folds = {tuple(sorted(by_fold)) for by_fold in seeds.values()}
        if len(folds) > 1:
            raise ValueError(f"{name!r}: seeds have different folds {sorted(folds)}; a run is missing")
        joined = []
        for seed in sorted(seeds):
            parts = [seeds[seed][fold] for fold in sorted(seeds[seed])]
            columns = ("error", "target_sum", "target_square", "n_bins")
            joined.append(
                SquaredErrors(*(np.concatenate([getattr(part, key) for part in parts]) for key in columns))
            )
        return joined

    def folds(self, name: str) -> NDArray:
        """Fold of every test trial, in the order of :meth:`errors`."""
        by_fold = next(iter(self._parts[name].values()))
        return np.repeat(sorted(by_fold), [len(by_fold[fold]) for fold in sorted(by_fold)])

    def r2(self, name: str) -> NDArray:
        """R² of each seed, shape ``(n_seeds,)``."""
        return np.array([errors.r2() for errors in self.errors(name)])

    def differences(self, name: str, baseline: str) -> NDArray:
        """R² of each seed minus that of the baseline with the same seed, shape ``(n_seeds,)``."""
        ours, theirs = self._parts[name].keys(), self._parts[baseline].keys()
        if ours != theirs:
            raise ValueError(f"{name!r} has seeds {sorted(ours)}, {baseline!r} {sorted(theirs)}; not paired")
        return self.r2(name) - self.r2(baseline)

    def interval(self, name: str, baseline: str = "", n_resamples: int = 2000) -> Interval:
        """R² with its 95 % interval, or with ``baseline`` that of the difference."""
        return hierarchical_interval(
            self.errors(name),
            self.errors(baseline) if baseline else None,
            folds=self.folds(name),
            n_resamples=n_resamples,
        )

    def intervals(self, baseline: str = "", n_resamples: int = 2000) -> dict[str, Interval]:
        """:meth:`interval` of every model, without the baseline itself."""
        names = [name for name in self.names if name != baseline]
        return {name: self.interval(name, baseline, n_resamples) for name in names}
