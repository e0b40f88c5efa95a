"""Whether something moves over the years: values ``(study, dim)`` and years in, what years explain and its null out.

Yearly means always differ, because every year has other studies. What counts is how much more they
differ than when the same years are dealt out to the studies at random.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Drift(NamedTuple):
    """What :func:`drift` found.

    Parameters
    ----------
    between : float
        Share of the variance that lies between years, without what chance puts there; may be negative.
    trend : float
        Share of the variance along a straight line over the years, as it is.
    between_null, trend_null : array, shape (n_shuffles,)
        The same with years shuffled among studies.
    """

    between: float
    trend: float
    between_null: NDArray
    trend_null: NDArray

    @property
    def p_between(self) -> float:
        """One-sided; never 0."""
        return _p(self.between, self.between_null)

    @property
    def p_trend(self) -> float:
        """One-sided; never 0."""
        return _p(self.trend, self.trend_null)


class Bands(NamedTuple):
    """Yearly means with two bands, each array (n_years, dim).

    Parameters
    ----------
    years : array, shape (n_years,)
    mean : array
    low, high : array
        95 % interval from drawing each year's studies again.
    null_low, null_high : array
        Where 95 % of the means lie when years are shuffled among studies.
    """

    years: NDArray
    mean: NDArray
    low: NDArray
    high: NDArray
    null_low: NDArray
    null_high: NDArray

    @property
    def outside(self) -> float:
        """Share of means outside the shuffled band; 0.05 is expected of nothing."""
        return float(((self.mean < self.null_low) | (self.mean > self.null_high)).mean())


def drift(values: ArrayLike, year: ArrayLike, n_shuffles: int = 200, seed: int = 0) -> Drift:
    r"""Share of the variance that years explain: as groups, and as a line.

    The first is :math:`\omega^2 = (S_b - (k - 1) s^2) / (S_t + s^2)`, sums over all dimensions, with
    the mean square :math:`s^2` within the k years; its expectation is near 0 if years do not matter.

    Parameters
    ----------
    values : array, shape (n_studies, dim)
    year : array, shape (n_studies,)
    n_shuffles, seed : int

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or there are fewer than two years.

    References
    ----------
    .. [1] Hays (1963), Statistics for Psychologists, Holt, Rinehart & Winston (omega squared).

    Examples
    --------
    >>> found = drift([[0.0], [0.0], [2.0], [2.0]], [1999, 1999, 2000, 2000])
    >>> found.between, found.trend
    (1.0, 1.0)
    """
    values, year = _checked(values, year)
    draw, centred = np.random.default_rng(seed), values - values.mean(0)
    total = np.square(centred).sum()
    found = _shares(centred, year, total)
    null = np.array([_shares(centred, draw.permutation(year), total) for _ in range(n_shuffles)])
    return Drift(*found, null[:, 0], null[:, 1])


def yearly_bands(values: ArrayLike, year: ArrayLike, n_draws: int = 200, seed: int = 0) -> Bands:
    """Means of every year, with a bootstrap band and the band of shuffled years.

    Parameters and Raises are those of :func:`drift`.
    """
    values, year = _checked(values, year)
    draw = np.random.default_rng(seed)
    years, number, counts = np.unique(year, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    first = np.cumsum(counts) - counts
    again, shuffled = [], []
    for _ in range(n_draws):
        at = (draw.random(len(values)) * np.repeat(counts, counts)).astype(int) + np.repeat(first, counts)
        again.append(np.add.reduceat(values[order[at]], first) / counts[:, None])
        shuffled.append(np.add.reduceat(values[draw.permutation(len(values))], first) / counts[:, None])
    edges = [np.quantile(part, q, axis=0) for part in (again, shuffled) for q in (0.025, 0.975)]
    return Bands(years, np.add.reduceat(values[order], first) / counts[:, None], *edges)


def _shares(centred: NDArray, year: NDArray, total: float) -> tuple[float, float]:
    years, number, counts = np.unique(year, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    sums = np.add.reduceat(centred[order], np.cumsum(counts) - counts)
    between = (np.square(sums).sum(1) / counts).sum()
    within = (total - between) / (len(centred) - len(years))
    t = year - year.mean()
    slope = t @ centred
    return (
        float((between - (len(years) - 1) * within) / (total + within)),
        float(slope @ slope / (t @ t) / total),
    )


def _p(found: float, null: NDArray) -> float:
    return float((1 + np.count_nonzero(null >= found)) / (1 + len(null)))


def _checked(values: ArrayLike, year: ArrayLike) -> tuple[NDArray, NDArray]:
    values, year = np.asarray(values, float), np.asarray(year, float)
    if values.ndim != 2 or year.shape != values.shape[:1]:
        raise ValueError(f"values {values.shape} and year {year.shape} must share their studies")
    if not (np.isfinite(values).all() and np.isfinite(year).all()):
        raise ValueError("a value or a year is not finite; leave out studies without a year")
    if not 2 <= len(np.unique(year)) < len(year):
        raise ValueError(
            f"{len(np.unique(year))} years of {len(year)} studies; give two years and more studies"
        )
    return values, year
