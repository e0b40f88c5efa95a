"""Geometry of conditions on different trials: patterns ``(trial, unit)`` of two systems in, likeness of RDMs out.

A decoder and the cortex that it reads share their trials, and with them what was odd about each trial. Two RDMs of the
same trials therefore have errors in common, which look like a common geometry, cross-validated distances or not.
Here one system's RDM is of one half of the trials and the other's of the other half, and then the other way round.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import squareform
from sklearn.covariance import ledoit_wolf

from neurolib.metrics.dissimilarity import dissimilarity
from neurolib.metrics.rdm_comparison import compare_rdms

N_FOLDS = 4


class SplitRSA:
    """Compares systems with one of them, crossnobis distances of other trials each.

    Parameters
    ----------
    systems : dict of array, shape (n_trials, n_units)
        One row per trial: average its samples first.
    target : str
        Which of them the others are compared with; with itself it gives what its own noise allows.
    labels : array_like, shape (n_trials,)
        Condition of each trial.
    folds : array_like of int, shape (n_trials,)
        0 to 3, each with all conditions; trials that are not independent belong into one.
    comparator : str
        As in :func:`~neurolib.metrics.rdm_comparison.compare_rdms`.

    Raises
    ------
    ValueError
        If a fold lacks a condition, or rows do not match.

    Examples
    --------
    >>> rng, labels = np.random.default_rng(0), np.tile(np.arange(8), 40)
    >>> angle = 2 * np.pi * labels / 8
    >>> ring = np.c_[np.cos(angle), np.sin(angle)] + 0.1 * rng.normal(size=(320, 2))
    >>> rsa = SplitRSA({"a": ring, "b": 3 * ring[:, ::-1]}, "a", labels, np.arange(320) // 80)
    >>> round(rsa.scores()["b"], 2)
    1.0
    """

    def __init__(
        self,
        systems: Mapping[str, ArrayLike],
        target: str,
        labels: ArrayLike,
        folds: ArrayLike,
        comparator: str = "cosine",
    ):
        self.systems = {name: np.asarray(x, float) for name, x in systems.items()}
        self.labels, self.folds = np.asarray(labels), np.asarray(folds)
        self.target, self.comparator = target, comparator
        if target not in self.systems:
            raise ValueError(f"target={target!r} is none of {list(self.systems)}")
        for name, x in self.systems.items():
            if len(x) != len(self.labels) or self.folds.shape != self.labels.shape:
                raise ValueError(
                    f"{name}: {x.shape} for {self.labels.shape} labels, {self.folds.shape} folds"
                )
        n_conditions = len(np.unique(self.labels))
        self.cells = [
            np.flatnonzero((self.folds == fold) & (self.labels == label))
            for fold in range(N_FOLDS)
            for label in np.unique(self.labels)
        ]
        if (least := min(map(len, self.cells))) < 1 or n_conditions < 4:
            raise ValueError(
                f"{n_conditions} conditions, {least} trials in the emptiest cell of fold and condition"
            )
        self.noise = {name: self._noise(x) for name, x in self.systems.items()}

    def rdms(self, name: str, rows: NDArray | None = None) -> list[NDArray]:
        """RDM of one system in each half of the folds."""
        rows = np.arange(len(self.labels)) if rows is None else rows
        labels = self.labels[rows]
        found = []
        for half in ((0, 1), (2, 3)):
            kept = np.isin(self.folds[rows], half)
            at = rows[kept]
            x, noise = self.systems[name][at], self.noise[name]
            found.append(dissimilarity(x, labels[kept], self.folds[at], noise=noise).values)
        return found

    def scores(self, rows: NDArray | None = None) -> dict[str, float]:
        """Likeness of each system to the target, trials of one half against those of the other."""
        first, second = self.rdms(self.target, rows)
        found = {}
        for name in self.systems:
            one, two = (first, second) if name == self.target else self.rdms(name, rows)
            pairs = ((one, second), (two, first))
            found[name] = float(np.mean([compare_rdms(*pair, self.comparator).item() for pair in pairs]))
        return found

    def draws(self, n_draws: int = 200, seed: int = 0) -> dict[str, NDArray]:
        """The same for trials drawn with replacement within each fold and condition."""
        draw, found = np.random.default_rng(seed), []
        for _ in range(n_draws):
            rows = np.concatenate([draw.choice(cell, len(cell)) for cell in self.cells])
            found.append(self.scores(rows))
        return {name: np.array([each[name] for each in found]) for name in self.systems}

    def chance(self, name: str, n_permutations: int = 200, seed: int = 0) -> NDArray:
        """Scores of one system with its conditions exchanged for others, ``(n_permutations,)``."""
        draw = np.random.default_rng(seed)
        first, second = self.rdms(self.target)
        own = [squareform(values, checks=False) for values in self.rdms(name)]
        upper = np.triu_indices(len(own[0]), 1)
        found = []
        for _ in range(n_permutations):
            order = draw.permutation(len(own[0]))
            one, two = (table[np.ix_(order, order)][upper] for table in own)
            scores = [compare_rdms(*pair, self.comparator).item() for pair in ((one, second), (two, first))]
            found.append(np.mean(scores))
        return np.array(found)

    def _noise(self, x: NDArray) -> NDArray:
        """Covariance about the means of conditions, shrunk."""
        residuals = x.copy()
        for label in np.unique(self.labels):
            residuals[self.labels == label] -= x[self.labels == label].mean(axis=0)
        return ledoit_wolf(residuals, assume_centered=True)[0]
