"""Tuning: values ``(samples, units)`` and a variable in, mean response along the variable with its interval out.

Intervals come from redrawing whole trials: neighbouring samples of a trial are near copies of each other.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from neurolib.metrics.shares import sums_by
from neurolib.metrics.unique_variance import design


@dataclass(frozen=True)
class TuningConfig:
    """How to bin, smooth and redraw.

    Parameters
    ----------
    n_bins : int
        Over the circle of equal width, else of equal count (fewer, where values repeat).
    circular : bool
        The variable is an angle in radians.
    min_occupancy : int
        Samples that a bin must hold; others are nan.
    min_groups : int
        Trials that a bin must hold samples of.
    smooth_bins : float
        Standard deviation of a Gaussian over bins, by which sums and sample counts are smoothed alike; 0
        for none.
    n_resamples : int
        Of trials.
    level : float
        Coverage of the interval of each bin by itself.
    seed : int
    """

    n_bins: int = 12
    circular: bool = False
    min_occupancy: int = 10
    min_groups: int = 3
    smooth_bins: float = 0.0
    n_resamples: int = 500
    level: float = 0.95
    seed: int = 0

    def __post_init__(self):
        if self.n_bins < 2 or self.min_occupancy < 1 or self.min_groups < 1 or self.smooth_bins < 0:
            raise ValueError(
                f"n_bins={self.n_bins} must be 2 or more, min_occupancy={self.min_occupancy} and "
                f"min_groups={self.min_groups} at least 1, smooth_bins={self.smooth_bins} not negative"
            )
        if self.n_resamples < 2 or not 0 < self.level < 1:
            raise ValueError(
                f"n_resamples={self.n_resamples} must be 2 or more, level={self.level} in (0, 1)"
            )


class TuningCurve(NamedTuple):
    """What :func:`tuning_curve` found.

    Parameters
    ----------
    edges : array, shape (n_bins + 1,)
    centres : array, shape (n_bins,)
        Mean of the variable's samples in each bin; the middle of the bin on the circle.
    mean, low, high : array, shape (n_bins, n_units)
        nan in bins with too few samples or trials.
    occupancy : array of int, shape (n_bins,)
        Samples.
    """

    edges: NDArray
    centres: NDArray
    mean: NDArray
    low: NDArray
    high: NDArray
    occupancy: NDArray


def tuning_curve(
    values: ArrayLike,
    variable: ArrayLike,
    groups: ArrayLike | None = None,
    config: TuningConfig | None = None,
    edges: ArrayLike | None = None,
) -> TuningCurve:
    """Mean response of each unit in bins of a variable, with a percentile bootstrap over trials.

    Parameters
    ----------
    values : array_like, shape (n, n_units)
    variable : array_like, shape (n,)
    groups : array_like, shape (n,), optional
        Trial of each sample; without any, every sample is a trial.
    config : TuningConfig, optional
    edges : array_like, shape (n_bins + 1,), optional
        Instead of bins of equal count; values outside belong to no bin.

    Returns
    -------
    TuningCurve

    Raises
    ------
    ValueError
        If shapes do not match, numbers are not finite, or the variable is constant.

    Examples
    --------
    >>> config = TuningConfig(n_bins=2, min_occupancy=2, min_groups=2)
    >>> curve = tuning_curve([[1.0], [1.0], [4.0], [6.0]], [0.0, 0.1, 0.8, 0.9], config=config)
    >>> curve.mean.ravel(), curve.low.ravel(), curve.high.ravel()
    (array([1., 5.]), array([1., 4.]), array([1., 6.]))
    """
    config = config or TuningConfig()
    values, variable = np.asarray(values), np.asarray(variable, float)
    n = len(variable)
    groups = np.arange(n) if groups is None else np.asarray(groups)
    if variable.ndim != 1 or values.ndim != 2 or len(values) != n or groups.shape != (n,):
        raise ValueError(f"values {values.shape}, variable {variable.shape} and groups {groups.shape} differ")
    if not (np.isfinite(values).all() and np.isfinite(variable).all()):
        raise ValueError("values and variable must be finite; drop the samples where one is missing")
    if config.circular:
        variable = np.mod(variable, 2 * np.pi)
    edges = _edges(variable, config) if edges is None else np.asarray(edges, float)
    cell = np.searchsorted(edges, variable, side="right") - 1
    cell[variable == edges[-1]] = len(edges) - 2
    inside = (cell >= 0) & (cell < len(edges) - 1)
    values, variable, groups, cell = values[inside], variable[inside], groups[inside], cell[inside]
    n_bins = len(edges) - 1
    trials, number = np.unique(groups, return_inverse=True)
    key = number * n_bins + cell
    held = np.unique(key)
    sums = np.zeros((len(trials) * n_bins, values.shape[1]))
    sums[held] = sums_by(values.astype(float), np.searchsorted(held, key))
    counts = np.bincount(key, minlength=len(trials) * n_bins).reshape(len(trials), n_bins)
    occupancy, reached = counts.sum(axis=0), (counts > 0).sum(axis=0)
    enough = (occupancy >= config.min_occupancy) & (reached >= config.min_groups)
    draw = np.random.default_rng(config.seed)
    weights = draw.multinomial(len(trials), np.full(len(trials), 1 / len(trials)), config.n_resamples)
    weights = np.concatenate([np.ones((1, len(trials))), weights])
    seen = _smooth(weights @ counts, config, axis=1)
    low, high, mean = (np.full((n_bins, values.shape[1]), np.nan) for _ in range(3))
    tails = [(1 - config.level) / 2, (1 + config.level) / 2]
    width = max(1, 4_000_000 // (n_bins * len(weights)))  # units at a time, which bounds memory
    for start in range(0, values.shape[1], width):
        units = slice(start, start + width)
        drawn = weights @ sums[:, units].reshape(len(trials), -1)
        drawn = _smooth(drawn.reshape(len(weights), n_bins, -1), config, axis=1)
        curves = np.divide(
            drawn, seen[..., None], out=np.full_like(drawn, np.nan), where=seen[..., None] > 1e-9
        )
        mean[:, units] = curves[0]
        low[enough, units], high[enough, units] = np.nanquantile(curves[1:, enough], tails, axis=0)
    mean[~enough] = np.nan
    centres = (edges[:-1] + edges[1:]) / 2
    if not config.circular:
        inner = np.bincount(cell, variable, n_bins) / np.maximum(occupancy, 1)
        centres = np.where(occupancy > 0, inner, centres)
    return TuningCurve(edges, centres, mean, low, high, occupancy)


def tuning_r2(
    values: ArrayLike,
    variable: ArrayLike,
    groups: ArrayLike | None = None,
    kind: str | None = None,
    degree: int = 3,
    n_folds: int = 5,
    seed: int = 0,
) -> NDArray:
    """Held-out R² of each unit from a smooth additive function of the variable: how tuned, not only how significant.

    Parameters
    ----------
    values : array_like, shape (n, n_units)
    variable : array_like, shape (n,) or (n, n_dims)
        Dimensions add up.
    groups : array_like, shape (n,), optional
        Samples of a group are never on both sides of a fold.
    kind : {"polynomial", "spline", "circular", "linear", "labels"}, optional
        Of :func:`neurolib.metrics.unique_variance.design`, or a polynomial of Legendre.
    degree : int
        Of the polynomial.
    n_folds, seed : int

    Returns
    -------
    array, shape (n_units,)
        Negative where the function predicts unseen trials worse than the mean does.

    Raises
    ------
    ValueError
        If shapes do not match or groups are fewer than folds.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 50)
    >>> tuning_r2(np.column_stack([x**2, x**3]), x, kind="polynomial", degree=2).round(1)
    array([1. , 0.8])
    """
    values, n = np.asarray(values, float), len(np.asarray(variable))
    if values.ndim != 2 or len(values) != n:
        raise ValueError(f"values {values.shape} for a variable of {n} samples")
    columns = _legendre(variable, degree) if kind == "polynomial" else design(variable, kind)
    columns = np.column_stack([columns, np.ones(n)])
    _, number = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    if number.max() + 1 < n_folds:
        raise ValueError(f"{number.max() + 1} groups cannot fill {n_folds} folds")
    fold = np.random.default_rng(seed).permutation(np.arange(number.max() + 1) % n_folds)[number]
    error = np.zeros(values.shape[1])
    for test in (fold == f for f in range(n_folds)):
        weights = np.linalg.lstsq(columns[~test], values[~test], rcond=1e-8)[0]
        error += ((values[test] - columns[test] @ weights) ** 2).sum(axis=0)
    total = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), 0.0)


def _edges(variable: NDArray, config: TuningConfig) -> NDArray:
    if config.circular:
        return np.linspace(0, 2 * np.pi, config.n_bins + 1)
    edges = np.unique(np.quantile(variable, np.linspace(0, 1, config.n_bins + 1)))
    if len(edges) < 3:
        raise ValueError(
            f"{len(edges)} distinct quantiles of the variable; it is (nearly) constant, give edges"
        )
    return edges


def _smooth(table: NDArray, config: TuningConfig, axis: int) -> NDArray:
    if not config.smooth_bins:
        return table
    mode = "wrap" if config.circular else "constant"  # beyond the ends there is nothing, and no sample either
    return gaussian_filter1d(table, config.smooth_bins, axis=axis, mode=mode)


def _legendre(variable: ArrayLike, degree: int) -> NDArray:
    v = np.asarray(variable, float).reshape(len(np.asarray(variable)), -1)
    low, high = v.min(axis=0), v.max(axis=0)
    if not (high > low).all():
        raise ValueError("a variable is constant, so there is nothing to explain with it")
    scaled = 2 * (v - low) / (high - low) - 1
    return np.concatenate([np.polynomial.legendre.legvander(c, degree)[:, 1:] for c in scaled.T], axis=1)
