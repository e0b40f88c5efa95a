"""Latent dimensions: posterior means ``(n, d)``, decoded maps and topics in; which are used, and what they go with, out.

A name is a correlation, not a meaning: :func:`topic_correlations` gives one only where it beats the
largest correlation of permuted topics, and PCA axes should be named in the same way beside it. How
much of a dimension all topics explain together is :func:`neurolib.metrics.probes.probe`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.ensemble import ExtraTreesRegressor

from neurolib.metrics.calibration import value_bins


class TopicCorrelations(NamedTuple):
    """What :func:`topic_correlations` found.

    Parameters
    ----------
    correlations : array, shape (n_dimensions, n_topics)
    null : array, shape (n_permutations,)
        Largest absolute correlation in the whole table when rows of topics are permuted.
    threshold : float
        Quantile of the null.
    """

    correlations: NDArray
    null: NDArray
    threshold: float

    def names(self, topics: Sequence[str], n_topics: int = 3) -> list[tuple[str, ...]]:
        """Signed topics of each dimension beyond the threshold, the strongest first; often none.

        Raises
        ------
        ValueError
            If there is not one name per topic.
        """
        if len(topics) != self.correlations.shape[1]:
            raise ValueError(f"{len(topics)} names for {self.correlations.shape[1]} topics")
        return [
            tuple(
                f"{'+' if row[t] > 0 else '-'}{topics[t]}"
                for t in np.argsort(-np.abs(row))[:n_topics]
                if abs(row[t]) > self.threshold
            )
            for row in self.correlations
        ]


class Disentanglement(NamedTuple):
    """Scores of an importance table (the D and C of DCI).

    Parameters
    ----------
    disentanglement : float
        1 if every dimension matters for one factor only; dimensions weigh by their importance.
    completeness : float
        1 if every factor needs one dimension only; factors weigh alike.
    """

    disentanglement: float
    completeness: float


class InformationGap(NamedTuple):
    """What :func:`mutual_information_gap` found.

    Parameters
    ----------
    gap : float
        Mean over factors.
    gaps : array, shape (n_factors,)
        Lead of the best dimension over the second best, as a share of the factor's entropy.
    information : array, shape (n_dimensions, n_factors)
        Mutual information in nats, biased upwards by about ``(n_bins - 1)² / 2n``.
    """

    gap: float
    gaps: NDArray
    information: NDArray


def active_units(means: ArrayLike, threshold: float = 0.01) -> NDArray:
    """Dimensions whose posterior mean varies with the data.

    Parameters
    ----------
    means : array_like, shape (n, d)
        Posterior means under a prior of variance 1.
    threshold : float
        Least variance.

    Returns
    -------
    array of bool, shape (d,)

    Raises
    ------
    ValueError
        If means are not a finite table of two rows or more.

    References
    ----------
    .. [1] Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", ICLR.

    Examples
    --------
    >>> active_units([[0.0, 1.0], [1.0, 1.1]])  # variances 0.25 and 0.0025
    array([ True, False])
    """
    return _checked(means, "means").var(axis=0) > threshold


def topic_correlations(
    latents: ArrayLike,
    topics: ArrayLike,
    n_permutations: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> TopicCorrelations:
    """Pearson correlation of each dimension with each topic, and what chance would give at most.

    Parameters
    ----------
    latents : array_like, shape (n, d)
        Of studies not trained on.
    topics : array_like, shape (n, n_topics)
        Skewed weights are better taken as square roots or ranks.
    n_permutations : int
    level : float
        The whole table errs at ``1 - level``.
    seed : int

    Returns
    -------
    TopicCorrelations

    Raises
    ------
    ValueError
        If rows do not match or values are not finite.

    References
    ----------
    .. [1] Westfall & Young (1993), "Resampling-based multiple testing", Wiley (maximum statistic).

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(100, 2))
    >>> topic_correlations(z, np.column_stack([-z[:, 1], z[::-1, 0]])).names(["motor", "memory"])
    [(), ('-motor',)]
    """
    z, t = _standard(_checked(latents, "latents")), _standard(_checked(topics, "topics"))
    if len(z) != len(t):
        raise ValueError(f"latents {z.shape} and topics {t.shape} must share their rows")
    draw = np.random.default_rng(seed)
    null = np.array([np.abs(draw.permutation(z).T @ t).max() / len(z) for _ in range(n_permutations)])
    return TopicCorrelations(z.T @ t / len(z), null, float(np.quantile(null, level)))


def traversal_variation(maps: ArrayLike) -> NDArray:
    """Total variation along traversals: how much probability moves from step to step, in all.

    Parameters
    ----------
    maps : array_like, shape (..., n_steps, n_voxels)
        Decoded probabilities along each dimension; each map sums to 1.

    Returns
    -------
    array, shape (...)
        Share of mass moved, summed over steps: 0 for a dimension that does nothing,
        ``n_steps - 1`` at most. Never less than the distance of the two ends.

    Raises
    ------
    ValueError
        If maps are negative or do not sum to 1.

    Examples
    --------
    >>> traversal_variation([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])  # half there, and half back
    array(1.)
    """
    maps = np.asarray(maps, float)
    if maps.ndim < 2 or not (maps >= 0).all() or not np.allclose(maps.sum(axis=-1), 1, atol=1e-4):
        raise ValueError(
            f"maps {maps.shape} must be probabilities over the last axis, with sums of 1; are they log-ratios?"
        )
    return np.asarray(np.abs(np.diff(maps, axis=-2)).sum(axis=(-1, -2)) / 2)


def mutual_information_gap(latents: ArrayLike, factors: ArrayLike, n_bins: int = 20) -> InformationGap:
    """Mutual information gap (MIG): how far one dimension alone carries each known factor.

    Parameters
    ----------
    latents : array_like, shape (n, d)
        Two dimensions or more.
    factors : array_like, shape (n, n_factors)
        True factors of simulated data, of many values or few.
    n_bins : int
        Bins of equal count, equal values together.

    Returns
    -------
    InformationGap

    Raises
    ------
    ValueError
        If rows do not match, values are not finite, a factor is constant or there is one dimension.

    References
    ----------
    .. [1] Chen, Li, Grosse & Duvenaud (2018), "Isolating sources of disentanglement in variational
       autoencoders", NeurIPS.

    Examples
    --------
    >>> factor = np.arange(400) % 2
    >>> other = np.arange(400) // 200  # independent of it
    >>> round(mutual_information_gap(np.column_stack([factor, other]), factor[:, None]).gap, 6)
    1.0
    """
    z, v = _paired(latents, factors)
    if z.shape[1] < 2:
        raise ValueError("a gap needs two dimensions or more")
    z, v = _equal_count_bins(z, n_bins), _equal_count_bins(v, n_bins)
    entropy = np.array([_entropy(column, n_bins) for column in v.T])
    if not (entropy > 0).all():
        raise ValueError("a factor is constant, or nearly: no information to be found about it")
    information = np.array(
        [
            [
                _entropy(a, n_bins) + h - _entropy(a * n_bins + b, n_bins**2)
                for b, h in zip(v.T, entropy, strict=True)
            ]
            for a in z.T
        ]
    )
    ordered = np.sort(information, axis=0)
    gaps = (ordered[-1] - ordered[-2]) / entropy
    return InformationGap(float(gaps.mean()), gaps, information)


def forest_importance(
    latents: ArrayLike, factors: ArrayLike, n_trees: int = 50, seed: int = 0
) -> tuple[NDArray, NDArray]:
    """Importance of each dimension for each factor, and how well factors are read out (the I of DCI).

    Parameters
    ----------
    latents : array_like, shape (n, d)
    factors : array_like, shape (n, n_factors)
        Numbers.
    n_trees, seed : int

    Returns
    -------
    importance : array, shape (d, n_factors)
        Shares of each factor, summing to 1.
    informativeness : array, shape (n_factors,)
        R² on rows that a tree has not seen. Importances of a factor that cannot be read are noise.

    Raises
    ------
    ValueError
        If rows do not match or values are not finite.

    References
    ----------
    .. [1] Geurts, Ernst & Wehenkel (2006), "Extremely randomized trees", Machine Learning 63, 3-42.
    """
    z, v = _paired(latents, factors)
    forests = [
        ExtraTreesRegressor(
            n_trees, min_samples_leaf=5, bootstrap=True, oob_score=True, random_state=seed
        ).fit(z, column)
        for column in v.T
    ]
    importance = np.column_stack([forest.feature_importances_ for forest in forests])
    return importance, np.array([forest.oob_score_ for forest in forests])


def disentanglement(importance: ArrayLike) -> Disentanglement:
    """Disentanglement and completeness of an importance table, from its entropies.

    Parameters
    ----------
    importance : array_like, shape (n_dimensions, n_factors)
        Not negative, two or more of each; from :func:`forest_importance` or the absolute
        coefficients of a regression on standardised latents.

    Returns
    -------
    Disentanglement

    Raises
    ------
    ValueError
        If the table is too small, negative, or knows nothing about a factor.

    References
    ----------
    .. [1] Eastwood & Williams (2018), "A framework for the quantitative evaluation of disentangled
       representations", ICLR.

    Examples
    --------
    >>> disentanglement([[1, 0], [0, 1], [0, 1]])  # the second factor is spread over two of three
    Disentanglement(disentanglement=1.0, completeness=0.684...)
    """
    table = np.asarray(importance, float)
    if table.ndim != 2 or min(table.shape) < 2 or not (table >= 0).all() or not table.any(axis=0).all():
        raise ValueError(
            f"importance {table.shape} must be (dimension, factor), 2 x 2 at least, not negative, and hold "
            "something for each factor"
        )
    by_dimension, by_factor = table.sum(axis=1), table.sum(axis=0)
    used = by_dimension > 0
    rows = entr(table[used] / by_dimension[used, None]).sum(axis=1) / np.log(table.shape[1])
    columns = entr(table / by_factor).sum(axis=0) / np.log(table.shape[0])
    return Disentanglement(
        float((1 - rows) @ by_dimension[used] / by_dimension.sum()), float((1 - columns).mean())
    )


def _checked(table: ArrayLike, name: str) -> NDArray:
    table = np.asarray(table, float)
    if table.ndim != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"{name} {table.shape} must be a finite table with a row per study, two or more")
    return table


def _paired(latents: ArrayLike, factors: ArrayLike) -> tuple[NDArray, NDArray]:
    z, v = _checked(latents, "latents"), _checked(factors, "factors")
    if len(z) != len(v):
        raise ValueError(f"latents {z.shape} and factors {v.shape} must share their rows")
    return z, v


def _standard(table: NDArray) -> NDArray:
    """Columns of mean 0 and variance 1; constant ones become 0 and correlate with nothing."""
    centred = table - table.mean(axis=0)
    scale = centred.std(axis=0)
    return np.divide(
        centred, scale, out=np.zeros_like(centred), where=scale > 1e-10 * np.abs(table).max(axis=0)
    )


def _equal_count_bins(table: NDArray, n_bins: int) -> NDArray:
    return np.column_stack([value_bins(column, n_bins, equal_mass=True) for column in table.T])


def _entropy(labels: NDArray, n_labels: int) -> float:
    return float(entr(np.bincount(labels, minlength=n_labels) / len(labels)).sum())
