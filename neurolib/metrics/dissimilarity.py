"""Dissimilarity: activations ``(samples, units)`` and a condition per sample in, distances between conditions out.

Noise moves the means of two equal conditions apart, so a distance of means is biased upwards, the more
the fewer trials there are. The crossnobis distance multiplies differences of independent folds: it is 0
on average for equal conditions, and therefore sometimes negative, which must stay.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import silhouette_score

MEASURES = ("crossnobis", "mahalanobis", "sqeuclidean", "correlation", "poisson_kl")
PRIOR_COUNT, PRIOR_WEIGHT = 1.0, 0.1  # so that a silent unit has a rate


@dataclass(frozen=True)
class RDM:
    """Dissimilarities of all pairs of conditions, and what is needed to compare them with others.

    Parameters
    ----------
    values : array, shape (n_pairs,)
        Upper triangle, row by row.
    conditions : array, shape (n_conditions,)
        Names, in the order of rows.
    measure : str
    n_units : int
        What squared distances are divided by.
    n_folds : int, optional
        Independent folds of a cross-validated measure.

    Raises
    ------
    ValueError
        If there is not one value per pair.

    Examples
    --------
    >>> rdm = RDM(np.array([1.0, 2.0, 4.0]), np.array(["a", "b", "c"]), "sqeuclidean", n_units=10)
    >>> rdm.matrix()[2]
    array([2., 4., 0.])
    >>> rdm.subset(["a", "c"]).values
    array([2.])
    """

    values: NDArray
    conditions: NDArray
    measure: str
    n_units: int
    n_folds: int | None = None

    def __post_init__(self):
        n = len(self.conditions)
        if self.values.shape != (n * (n - 1) // 2,):
            raise ValueError(f"{self.values.shape} values for the pairs of {n} conditions")

    def matrix(self) -> NDArray:
        """Symmetric table ``(n_conditions, n_conditions)`` with zeros on the diagonal."""
        return squareform(self.values, checks=False)

    def subset(self, conditions: ArrayLike) -> "RDM":
        """Those of some conditions, in the given order.

        Raises
        ------
        KeyError
            If one of them is not there.
        """
        names = self.conditions.tolist()
        missing = [name for name in np.asarray(conditions).tolist() if name not in names]
        if missing:
            raise KeyError(f"no conditions {missing}; there are {names}")
        chosen = [names.index(name) for name in np.asarray(conditions).tolist()]
        values = self.matrix()[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), 1)]
        return RDM(values, self.conditions[chosen], self.measure, self.n_units, self.n_folds)


def dissimilarity(
    activations: ArrayLike,
    labels: ArrayLike,
    folds: ArrayLike | None = None,
    measure: str = "crossnobis",
    noise: ArrayLike | None = None,
) -> RDM:
    """Distances between the mean activations of conditions.

    Parameters
    ----------
    activations : array_like, shape (n_trials, n_units)
        One row per trial: samples of a trial are not independent, so average them first.
    labels : array_like, shape (n_trials,)
        Condition of each trial.
    folds : array_like of int, shape (n_trials,), optional
        Independent parts, each with all conditions, for ``"crossnobis"`` (:func:`stratified_folds`).
    measure : {"crossnobis", "mahalanobis", "sqeuclidean", "correlation", "poisson_kl"}
        The first three are squared and divided by the number of units. Crossnobis and Mahalanobis weigh
        directions by the inverse noise covariance; only crossnobis is free of bias, never below 0 are the
        others. Correlation is one minus it. ``"poisson_kl"`` is for spike counts, the divergence of Poisson
        distributions both ways, per unit, of rates drawn to 1 by a tenth.
    noise : array_like, shape (n_units, n_units), optional
        Covariance of the noise; by default that of residuals about the means of conditions, shrunk after
        Ledoit and Wolf.

    Returns
    -------
    RDM

    Raises
    ------
    ValueError
        If rows do not match, a fold lacks a condition, the measure is unknown, a condition's mean is the same
        for all units (no correlation), or counts are negative (no Poisson distribution).

    References
    ----------
    .. [1] Walther, Nili, Ejaz, Alink, Kriegeskorte & Diedrichsen (2016), "Reliability of dissimilarity
       measures for multi-voxel pattern analysis", NeuroImage 137, 188-200.
    .. [2] Ledoit & Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices", J.
       Multivariate Analysis 88, 365-411.

    Examples
    --------
    >>> trials = [[0.0, 1.0], [3.0, 1.0], [0.0, 2.0], [5.0, 2.0]]
    >>> dissimilarity(trials, ["a", "b", "a", "b"], [0, 0, 1, 1], noise=np.eye(2)).values  # 3 x 5 / 2 units
    array([7.5])
    """
    x, labels = np.asarray(activations, float), np.asarray(labels)
    if x.ndim != 2 or labels.shape != (len(x),) or not np.isfinite(x).all():
        raise ValueError(f"activations {x.shape} must be a finite table, labels {labels.shape} one per row")
    if measure not in MEASURES:
        raise ValueError(f"measure={measure!r} must be one of {MEASURES}")
    conditions, number = np.unique(labels, return_inverse=True)
    if len(conditions) < 2:
        raise ValueError(f"one condition ({conditions}) has no distances")
    if measure == "crossnobis" and folds is None:
        raise ValueError("crossnobis needs folds; stratified_folds(labels) makes them")
    fold = np.zeros(len(x), int) if folds is None or measure != "crossnobis" else np.asarray(folds)
    if fold.shape != labels.shape:
        raise ValueError(f"folds {fold.shape} for {len(x)} rows")
    names, fold = np.unique(fold, return_inverse=True)
    means = _means(x, fold, number, (len(names), len(conditions)))  # (fold, condition, unit)
    if measure in ("crossnobis", "mahalanobis"):
        middle = _means(x, np.zeros_like(fold), number, (1, len(conditions)))[0]
        covariance = _noise(x - middle[number], len(conditions), noise)
        means = _whitened(means, covariance)
    if measure == "crossnobis":
        if len(names) < 2:
            raise ValueError("crossnobis needs two folds or more")
        total, m = means.sum(axis=0), len(names)
        product = (total @ total.T - np.einsum("fcu,fdu->cd", means, means)) / (m * (m - 1))
        own = np.diag(product)
        table = (own[:, None] + own - 2 * product) / x.shape[1]
        values = table[np.triu_indices(len(conditions), 1)]
        return RDM(values, conditions, measure, x.shape[1], m)
    if measure == "poisson_kl":
        if x.min() < 0:
            raise ValueError(
                f"counts down to {x.min():.3g} are no spike counts; poisson_kl needs them, not z-scores"
            )
        rate = (means[0] + PRIOR_COUNT * PRIOR_WEIGHT) / (1 + PRIOR_WEIGHT)
        product = rate @ np.log(rate).T
        own = np.diag(product)
        table = (own[:, None] + own - product - product.T) / x.shape[1]
        return RDM(table[np.triu_indices(len(conditions), 1)], conditions, measure, x.shape[1])
    if measure == "correlation":
        flat = np.ptp(means[0], axis=1) <= 1e-12 * abs(means[0]).max(axis=1)
        if x.shape[1] < 3 or flat.any():
            which = (
                f"condition {conditions[flat].tolist()[0]!r} is the same in all"
                if flat.any()
                else "there are"
            )
            raise ValueError(f"{which} {x.shape[1]} units; a correlation needs three that differ")
        return RDM(pdist(means[0], "correlation"), conditions, measure, x.shape[1])
    return RDM(pdist(means[0], "sqeuclidean") / x.shape[1], conditions, measure, x.shape[1])


def stratified_folds(labels: ArrayLike, n_folds: int = 2, seed: int = 0) -> NDArray:
    """Fold of each trial, with the trials of every condition dealt as evenly as they can be.

    Parameters
    ----------
    labels : array_like, shape (n_trials,)
    n_folds, seed : int

    Returns
    -------
    array of int, shape (n_trials,)

    Raises
    ------
    ValueError
        If a condition has fewer trials than there are folds.

    Examples
    --------
    >>> np.bincount(stratified_folds(["a", "b", "a", "b"], 2), minlength=2)
    array([2, 2])
    """
    labels = np.asarray(labels)
    conditions, number, size = np.unique(labels, return_inverse=True, return_counts=True)
    if n_folds < 2 or size.min() < n_folds:
        raise ValueError(
            f"condition {conditions[size.argmin()]!r} has {size.min()} trials for {n_folds} folds (two or more)"
        )
    draw, fold = np.random.default_rng(seed), np.empty(len(labels), int)
    for condition in range(len(conditions)):
        members = draw.permutation(np.flatnonzero(number == condition))
        fold[members] = np.arange(len(members)) % n_folds
    return fold


def silhouette(
    activations: ArrayLike,
    labels: ArrayLike,
    metric: str = "euclidean",
    max_samples: int = 2000,
    seed: int = 0,
) -> float:
    """How much nearer samples lie to their own condition than to the next one, from -1 to 1.

    Parameters
    ----------
    activations : array_like, shape (n, n_units)
    labels : array_like, shape (n,)
    metric : {"euclidean", "cosine"}
        Cosine after taking off the mean over samples; rows that are then 0 have no direction and are left out.
    max_samples : int
        Drawn at random from more, since the cost grows with their square.
    seed : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If rows do not match, the metric is unknown or fewer than two conditions are left.

    References
    ----------
    .. [1] Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation of cluster
       analysis", J. Comput. Appl. Math. 20, 53-65.

    Examples
    --------
    >>> round(silhouette([[0.0], [1.0], [10.0], [11.0]], ["a", "a", "b", "b"]), 4)  # (19 / 21 + 17 / 19) / 2
    0.8997
    """
    x, labels = np.asarray(activations, float), np.asarray(labels)
    if x.ndim != 2 or labels.shape != (len(x),) or metric not in ("euclidean", "cosine"):
        raise ValueError(
            f"activations {x.shape}, labels {labels.shape}, metric={metric!r} (euclidean or cosine)"
        )
    if metric == "cosine":
        x = x - x.mean(axis=0)
        kept = np.linalg.norm(x, axis=1) > 0
        x, labels = x[kept], labels[kept]
    if len(x) > max_samples:
        rows = np.random.default_rng(seed).permutation(len(x))[:max_samples]
        x, labels = x[rows], labels[rows]
    if not 1 < len(np.unique(labels)) < len(x):
        raise ValueError(f"{len(np.unique(labels))} conditions of {len(x)} samples cannot be told apart")
    return float(silhouette_score(x, labels, metric=metric))


def _means(x: NDArray, fold: NDArray, number: NDArray, shape: tuple[int, int]) -> NDArray:
    cell = fold * shape[1] + number
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    if count.min() < 1:
        empty = np.flatnonzero(count == 0)[0]
        raise ValueError(f"fold {empty // shape[1]} has no trial of condition {empty % shape[1]}")
    total = np.zeros((len(count), x.shape[1]))
    np.add.at(total, cell, x)
    return (total / count[:, None]).reshape(*shape, x.shape[1])


def _noise(residuals: NDArray, n_means: int, noise: ArrayLike | None) -> NDArray:
    if noise is None:
        if not residuals.any():
            raise ValueError(
                "no trials differ within a condition, so there is no noise to weigh by; give noise"
            )
        return ledoit_wolf(residuals, assume_centered=True)[0] * len(residuals) / (len(residuals) - n_means)
    covariance = np.asarray(noise, float)
    if covariance.shape != (residuals.shape[1],) * 2:
        raise ValueError(f"noise {covariance.shape} must be a covariance of {residuals.shape[1]} units")
    return covariance


def _whitened(means: NDArray, covariance: NDArray) -> NDArray:
    factor = np.linalg.cholesky(covariance)
    return np.linalg.solve(factor, means.reshape(-1, means.shape[-1]).T).T.reshape(means.shape)
