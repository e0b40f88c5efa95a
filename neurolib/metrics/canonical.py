"""Canonical correlation: two tables of the same rows in, how many directions they share on unseen rows out.

On the rows they are fitted to, canonical correlations of wide tables are high whatever the tables;
only held-out rows and the null of permuted rows say anything.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class CanonicalConfig:
    """Regularised canonical correlation.

    Parameters
    ----------
    n_components : int
        Principal components of each table that are kept (all, if it has fewer).
    ridge : float
        Added to each component's variance when it is whitened, in units of their mean.
    n_permutations : int
    level : float
        Quantile of the null's largest correlation that a direction must exceed.
    seed : int
    """

    n_components: int = 32
    ridge: float = 0.01
    n_permutations: int = 200
    level: float = 0.95
    seed: int = 0

    def __post_init__(self):
        if self.n_components < 1 or self.n_permutations < 1:
            raise ValueError(
                f"n_components={self.n_components} and n_permutations={self.n_permutations} must be at least 1"
            )
        if not self.ridge >= 0 or not 0 < self.level < 1:
            raise ValueError(
                f"ridge={self.ridge} must not be negative, level={self.level} lies between 0 and 1"
            )


class CanonicalCorrelations(NamedTuple):
    """What :func:`canonical_correlations` found.

    Parameters
    ----------
    train, test : array, shape (n_pairs,)
        Correlation of each pair of variates, in the order of the training rows.
    null : array, shape (n_permutations, n_pairs)
        On test rows, with the rows of ``y`` permuted among training and among test rows.
    threshold : float
        Quantile of the null's largest correlation, so that all pairs together err at that rate.
    n_above : int
        Test correlations above it.
    x_weights, y_weights : array, shape (n_columns, n_pairs)
        From centred columns to variates, of unit variance on the training rows if ``ridge`` is 0.
    """

    train: NDArray
    test: NDArray
    null: NDArray
    threshold: float
    n_above: int
    x_weights: NDArray
    y_weights: NDArray


def canonical_correlations(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    y_test: ArrayLike,
    config: CanonicalConfig | None = None,
) -> CanonicalCorrelations:
    """Canonical correlations after PCA whitening: fitted on training rows, measured on test rows.

    Parameters
    ----------
    x_train, y_train : array_like, shape (n_train, n_x) and (n_train, n_y)
        Rows match and are independent.
    x_test, y_test : array_like, shape (n_test, n_x) and (n_test, n_y)
    config : CanonicalConfig, optional

    Returns
    -------
    CanonicalCorrelations

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or a table has no variance.

    References
    ----------
    .. [1] Vinod (1976), "Canonical ridge and econometrics of joint production", J. Econometrics 4,
       147-166.
    .. [2] Winkler et al. (2020), "Permutation inference for canonical correlation analysis",
       NeuroImage 220, 117065.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> y = x[:, [0, 1]] @ [[1.0, 1.0], [1.0, -1.0]]  # two of three directions, exactly
    >>> found = canonical_correlations(x[:100], y[:100], x[100:], y[100:], CanonicalConfig(ridge=0))
    >>> found.test.round(6), found.n_above
    (array([1., 1.]), 2)
    """
    config = CanonicalConfig() if config is None else config
    tables = [np.asarray(part, float) for part in (x_train, y_train, x_test, y_test)]
    x_train, y_train, x_test, y_test = tables
    if any(part.ndim != 2 for part in tables) or not (
        len(x_train) == len(y_train) > 2 < len(x_test) == len(y_test)
        and x_train.shape[1] == x_test.shape[1]
        and y_train.shape[1] == y_test.shape[1]
    ):
        raise ValueError(
            f"tables {', '.join(str(part.shape) for part in tables)} (x and y of training, then test rows) do "
            "not match"
        )
    if not all(np.isfinite(part).all() for part in tables):
        raise ValueError("tables must be finite; drop rows with missing values first")
    x_white, y_white = _whitener(x_train, config, "x"), _whitener(y_train, config, "y")
    # Means move no correlation of test rows, so only training rows are centred.
    zx, zy = (x_train - x_train.mean(axis=0)) @ x_white, (y_train - y_train.mean(axis=0)) @ y_white
    zx_test, zy_test = x_test @ x_white, y_test @ y_white
    u, v = _rotations(zx, zy)
    test = _correlations(zx_test @ u, zy_test @ v)
    draw = np.random.default_rng(config.seed)
    null = np.empty((config.n_permutations, u.shape[1]))
    for row in null:
        u_null, v_null = _rotations(zx, draw.permutation(zy))
        row[:] = _correlations(zx_test @ u_null, draw.permutation(zy_test) @ v_null)
    threshold = float(np.quantile(null.max(axis=1), config.level))
    n_above = int(np.count_nonzero(test > threshold))
    return CanonicalCorrelations(
        _correlations(zx @ u, zy @ v), test, null, threshold, n_above, x_white @ u, y_white @ v
    )


def _whitener(table: NDArray, config: CanonicalConfig, name: str) -> NDArray:
    """Weights ``(n_columns, k)`` onto principal components, each over the root of its variance and ridge."""
    centred = table - table.mean(axis=0)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    if not singular[0] > 0:
        raise ValueError(f"the training rows of {name} are all alike")
    kept = np.flatnonzero(singular > 1e-10 * singular[0])[: config.n_components]
    variance = singular[kept] ** 2 / len(table)
    return right[kept].T / np.sqrt(variance + config.ridge * variance.mean())


def _rotations(zx: NDArray, zy: NDArray) -> tuple[NDArray, NDArray]:
    """Directions of whitened tables in order of covariance."""
    u, _, vt = np.linalg.svd(zx.T @ zy / len(zx), full_matrices=False)
    return u, vt.T


def _correlations(a: NDArray, b: NDArray) -> NDArray:
    """Pearson correlation of matching columns; 0 for a constant one."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norm, out=np.zeros_like(norm), where=norm > 0)
