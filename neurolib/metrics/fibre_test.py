r"""Fibre test: points ``(point, channel)`` in, where the local dimension changes with the radius out.

Around a point of a smooth sheet of dimension :math:`d` that is evenly covered, the number of neighbours grows as
:math:`r^d`, and the spacings of neighbour distances

.. math:: z_k = k \log(r_{k+1} / r_k)

are independent and exponential with mean :math:`1 / d`. A change of dimension is a change of their mean: the test
scans all ranks for the largest ratio of the sums of ``window`` spacings before and after. Without a change its
distribution depends on neither :math:`d` nor the number of points, so one simulation serves all. The method of [1]_
compares slopes of log count against log radius by Welch tests instead; those slopes overlap, have heavy tails and are
tested hundreds of times, so its own p-values are far too small, and are given beside calibrated ones.

A rejection says "not evenly covered at one dimension": a gradient of density or an edge bends slopes as a singular
point does. No rejection says nothing. Whether such a word has several meanings is another question.

References
----------
.. [1] Robinson, Dey & Chiang (2025), "Token embeddings violate the manifold hypothesis", arXiv:2504.01002.
.. [2] Rényi (1953), "On the theory of order statistics", Acta Math. Acad. Sci. Hung. 4 (spacings).
.. [3] Benjamini & Yekutieli (2001), "The control of the false discovery rate in multiple testing under dependency",
   Ann. Stat. 29.
"""

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr
from scipy.stats import chi2
from scipy.stats import f as fisher_f
from sklearn.neighbors import NearestNeighbors

from neurolib.metrics.statistics import benjamini_hochberg

BLOCK = 1024  # points whose neighbours are held at a time
LEAST_WINDOW = 10  # spacings; means of fewer say nothing
TIE = 1e-9  # relative difference below which two distances are the same number
MANY_TIES = 0.01


@dataclass(frozen=True)
class FibreTestConfig:
    """Which neighbours are looked at, and how.

    Parameters
    ----------
    method : {"spacings", "robinson"}
    first, last : int
        Ranks of the nearest and of the farthest neighbour. ``last`` is a tenth of the points by default, at most
        500: neighbours must be local.
    window : int, optional
        Spacings on either side of a change, a sixth of the ranks but at most 50; for "robinson" slopes, 10.
    correction : {"bh", "by"}
        False discoveries over points; neighbourhoods overlap, and "by" holds however they depend.
    level : float
    n_null : int
        Simulated points without a change.
    seed : int

    Examples
    --------
    >>> built = FibreTestConfig().build(3000)
    >>> built.last, built.window
    (300, 48)
    """

    method: str = "spacings"
    first: int = 10
    last: int | None = None
    window: int | None = None
    correction: str = "bh"
    level: float = 0.05
    n_null: int = 20_000
    seed: int = 0

    def __post_init__(self):
        if self.method not in ("spacings", "robinson") or self.correction not in ("bh", "by"):
            raise ValueError(
                f"method={self.method!r} is 'spacings' or 'robinson', correction={self.correction!r} 'bh' or 'by'"
            )
        if self.first < 1 or not 0 < self.level < 1 or self.n_null < 100:
            raise ValueError(
                f"first={self.first} must be positive, level={self.level} a share, n_null={self.n_null} at least 100"
            )

    def build(self, n_points: int) -> "FibreTestConfig":
        """Settings with all ranks filled in for so many points.

        Raises
        ------
        ValueError
            If the points are too few for the ranks, or the ranks for the windows.
        """
        last = min(500, n_points // 10) if self.last is None else self.last
        usual = 10 if self.method == "robinson" else min(50, (last - self.first) // 6)
        window = usual if self.window is None else self.window
        if last >= n_points:
            raise ValueError(f"last={last} of {n_points} points; a point has one neighbour less than that")
        if window < LEAST_WINDOW and self.method == "spacings":
            raise ValueError(
                f"{n_points} points with neighbours {self.first} to {last} leave windows of {window} spacings; "
                f"{LEAST_WINDOW} are needed, for which 700 points do"
            )
        if last - self.first < (4 * window if self.method == "robinson" else 2 * window):
            raise ValueError(
                f"neighbours {self.first} to {last} leave no place for two windows of {window}"
                + (" and the gap between them" if self.method == "robinson" else "")
            )
        return replace(self, last=last, window=window)


@dataclass(frozen=True, eq=False)
class FibreTest:
    """What the test says about each point; all arrays ``(n_points,)``.

    Attributes
    ----------
    p_value : array
        Of any change of dimension, calibrated, over all radii; for one point alone.
    q_value : array
        Adjusted over points.
    direction : array of int
        1 if the dimension grows with the radius, which no fibre bundle permits either, -1 if it falls.
    radius : array
        Where the change is strongest.
    dimension, low, high : array
        Local dimension over all ranks with its interval (1 - level), which assumes that there is no change.
    raw_p_value : array or None
        Smallest Welch p of a point as [1]_ has it, for "robinson" alone; not a p-value of anything.
    ties : float
        Share of neighbours at the same distance as the one before.
    config : FibreTestConfig
        With all ranks.
    """

    p_value: NDArray
    q_value: NDArray
    direction: NDArray
    radius: NDArray
    dimension: NDArray
    low: NDArray
    high: NDArray
    raw_p_value: NDArray | None
    ties: float
    config: FibreTestConfig

    @property
    def rejected(self) -> NDArray:
        """Points with a change, after adjustment."""
        return self.q_value <= self.config.level

    def share_below(self, level: float) -> float:
        """Share of points with a p-value up to a level, without adjustment; by chance it is the level."""
        return float((self.p_value <= level).mean())


@dataclass(frozen=True, eq=False)
class Singularities:
    """Rows of an embedding where the dimension changes.

    Attributes
    ----------
    n_points, count : int
        Rows, and those with a change after adjustment.
    share, share_below, expected : float
        Share with a change; share with ``p <= level`` before adjustment, and what that is by chance.
    ids : array
        Of rows with a change, the least p first.
    direction, radius, dimension, p_value : array
        Of the same rows.
    """

    n_points: int
    count: int
    share: float
    share_below: float
    expected: float
    ids: NDArray
    direction: NDArray
    radius: NDArray
    dimension: NDArray
    p_value: NDArray


def fibre_test(
    points: ArrayLike, config: FibreTestConfig | None = None, rows: ArrayLike | None = None
) -> FibreTest:
    """Test each point for a change of dimension among its neighbours.

    Equal points count once, and each has the result of all. Distances are made block by block; the matrix of all is
    never held.

    Parameters
    ----------
    points : array_like, shape (n_points, n_channels)
        In the precision they were trained in: of few channels rounded to half precision, distances tie.
    config : FibreTestConfig, optional
    rows : array_like of int, optional
        Points to test, all by default; all are neighbours.

    Raises
    ------
    ValueError
        If points are too few (700 different ones by default) or not finite.

    Examples
    --------
    >>> plane = np.random.default_rng(0).random((1000, 2)) @ np.random.default_rng(1).random((2, 30))
    >>> found = fibre_test(plane, rows=range(50))
    >>> bool(abs(np.median(found.dimension) - 2) < 0.2), found.p_value.shape
    (True, (50,))
    """
    x = np.asarray(points)
    if x.ndim != 2 or not np.issubdtype(x.dtype, np.number) or not np.isfinite(x).all():
        raise ValueError(f"points {x.shape} must be a finite table with a row per point")
    distinct, number = np.unique(x, axis=0, return_inverse=True)
    number = number.ravel()
    config = (config or FibreTestConfig()).build(len(distinct))
    wanted, place = np.unique(number if rows is None else number[np.asarray(rows)], return_inverse=True)
    distinct = distinct.astype(float)
    distinct -= distinct.mean(axis=0)  # products of large numbers would lose the small distances
    neighbours = NearestNeighbors().fit(distinct)
    found = []
    for start in range(0, len(wanted), BLOCK):
        query = distinct[wanted[start : start + BLOCK]]
        distance = neighbours.kneighbors(query, config.last + 1)[0][:, 1:]  # the first is the point itself
        found.append(_statistics(distance[:, config.first - 1 :], config))
    return _tested(found, config, place.ravel())


def fibre_test_of_distances(distances: ArrayLike, config: FibreTestConfig) -> FibreTest:
    """The same of distances that are already known, such as geodesic ones.

    Parameters
    ----------
    distances : array_like, shape (n_points, n_neighbours)
        To each neighbour, the nearest first, without the point itself.
    config : FibreTestConfig
        ``last`` is the number of neighbours by default.

    Raises
    ------
    ValueError
        If distances do not rise, or are not positive from the first rank on.
    """
    r = np.asarray(distances, float)
    if r.ndim != 2 or not np.isfinite(r).all() or (np.diff(r, axis=1) < 0).any():
        raise ValueError(f"distances {r.shape} must be finite rows (point, neighbour), the nearest first")
    config = replace(config, last=r.shape[1] if config.last is None else config.last).build(r.shape[1] + 1)
    used = r[:, config.first - 1 : config.last]
    return _tested([_statistics(used, config)], config, np.arange(len(r)))


def embedding_singularities(
    points: ArrayLike, config: FibreTestConfig | None = None, ids: ArrayLike | None = None
) -> Singularities:
    """Rows of an embedding where the dimension changes with the radius, beside how many chance would give.

    Parameters
    ----------
    points : array_like, shape (n_points, n_channels)
    config : FibreTestConfig, optional
    ids : array_like, shape (n_points,), optional
        Names of rows, such as tokens; their numbers by default.

    Examples
    --------
    >>> found = embedding_singularities(np.random.default_rng(0).random((800, 2)))
    >>> found.n_points, found.expected, found.count < 100
    (800, 0.05, True)
    """
    found = fibre_test(points, config)
    n = len(found.p_value)
    names = np.arange(n) if ids is None else np.asarray(ids)
    if len(names) != n:
        raise ValueError(f"{len(names)} ids for {n} points")
    chosen = np.flatnonzero(found.rejected)
    chosen = chosen[np.argsort(found.p_value[chosen], kind="stable")]
    level = found.config.level
    parts = (names, found.direction, found.radius, found.dimension, found.p_value)
    return Singularities(
        n, len(chosen), len(chosen) / n, found.share_below(level), level, *(part[chosen] for part in parts)
    )


def _tested(found: list[tuple[NDArray, ...]], config: FibreTestConfig, place: NDArray) -> FibreTest:
    """P-values of statistics, and everything put back from distinct points to those asked for."""
    score, direction, radius, mean, tied = (np.concatenate(part) for part in zip(*found, strict=True))
    ties = float(tied.mean())
    if ties > MANY_TIES:
        warnings.warn(
            f"{ties:.1%} of neighbours are as far as the one before: are the points rounded (half precision)? "
            "Spacings are then no longer exponential and p-values too small; give the original precision",
            stacklevel=3,
        )
    n_spacings, robinson = config.last - config.first, config.method == "robinson"
    # spacings come from the same law whatever the ranks, so one table serves all first ranks
    first = config.first if robinson else 0
    null = _null(config.method, first, n_spacings, config.window, config.n_null, config.seed)
    p = (1 + len(null) - np.searchsorted(null, score)) / (1 + len(null))
    if not robinson:
        # beyond the simulated ones: each window is an exact F ratio, so their sum of tails is a bound
        n_windows = n_spacings - 2 * config.window + 1
        p = np.minimum(p, 2 * n_windows * fisher_f.sf(np.exp(score), 2 * config.window, 2 * config.window))
    q = benjamini_hochberg(p)
    if config.correction == "by":
        q = np.minimum(q * (1 / np.arange(1, len(p) + 1)).sum(), 1)
    tails = chi2.ppf([config.level / 2, 1 - config.level / 2], 2 * n_spacings) / (2 * n_spacings)
    dimension = 1 / mean
    arrays = (p, q, direction, radius, dimension, tails[0] * dimension, tails[1] * dimension)
    raw = np.exp(-score)[place] if robinson else None
    return FibreTest(*(array[place] for array in arrays), raw, ties, config)


def _statistics(distance: NDArray, config: FibreTestConfig) -> tuple[NDArray, ...]:
    """Largest statistic, its direction and radius, mean spacing and share of ties of each point."""
    if (distance[:, 0] <= 0).any():
        raise ValueError(
            f"{int((distance[:, 0] <= 0).sum())} points have {config.first} neighbours at no distance; "
            "take equal points away, or start at a higher rank"
        )
    log_r = np.log(distance)
    steps = np.diff(log_r, axis=1)
    z = np.arange(config.first, config.last) * steps
    score, direction, at = _SCANS[config.method](log_r, z, config.first, config.window)
    mean = np.maximum(z.mean(axis=1), np.finfo(float).tiny)
    radius = np.take_along_axis(distance, at[:, None], 1)[:, 0]
    return score, direction, radius, mean, (steps < TIE).mean(axis=1)


def _spacings_scan(log_r: NDArray, z: NDArray, first: int, window: int) -> tuple[NDArray, NDArray, NDArray]:
    sums = np.maximum(_sliding_sums(z, window), np.finfo(float).tiny)
    ratio = np.log(sums[:, :-window]) - np.log(sums[:, window:])  # positive if spacings fall: more dimensions
    best = np.abs(ratio).argmax(axis=1)
    value = np.take_along_axis(ratio, best[:, None], 1)[:, 0]
    return np.abs(value), np.sign(value).astype(int), best + window


def _welch_scan(log_r: NDArray, z: NDArray, first: int, window: int) -> tuple[NDArray, NDArray, NDArray]:
    """Minus log of the smallest Welch p of slopes ``window`` to ``2 window`` ranks to either side."""
    log_v = np.log(np.arange(first, first + log_r.shape[1]))
    run = np.gradient(log_r, axis=1)
    slope = np.gradient(log_v) / np.maximum(run, TIE)
    slope = slope - np.median(slope, axis=1, keepdims=True)  # so that squares stay small
    mean = _sliding_sums(slope, window) / window
    spread = np.maximum(_sliding_sums(slope**2, window) - window * mean**2, 0) / (window - 1) / window
    left, right = slice(0, -3 * window), slice(3 * window, None)
    before, after = spread[:, left], spread[:, right]
    both = np.maximum(before + after, np.finfo(float).tiny)
    t = (mean[:, right] - mean[:, left]) / np.sqrt(both)
    freedom = (window - 1) * both**2 / np.maximum(before**2 + after**2, np.finfo(float).tiny)
    # the last window has no place in the published loop, which stops one short of it
    p = np.maximum(2 * stdtr(freedom, -np.abs(t)), np.finfo(float).tiny)[:, :-1]
    best = p.argmin(axis=1)
    rows = np.arange(len(p))
    return -np.log(p[rows, best]), np.sign(t[rows, best]).astype(int), best + 2 * window


_SCANS = {"spacings": _spacings_scan, "robinson": _welch_scan}


def _sliding_sums(values: NDArray, window: int) -> NDArray:
    """Sums of ``window`` entries in a row, from each entry that has as many after it."""
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return total[:, window:] - total[:, :-window]


@lru_cache(maxsize=16)
def _null(method: str, first: int, n_spacings: int, window: int, n_null: int, seed: int) -> NDArray:
    """Sorted statistics of points without a change, of dimension one, which stands for any."""
    draw, found = np.random.default_rng(seed), []
    for start in range(0, n_null, BLOCK):
        z = draw.exponential(size=(min(BLOCK, n_null - start), n_spacings))
        steps = z / np.arange(max(first, 1), max(first, 1) + n_spacings)
        log_r = np.concatenate([np.zeros((len(z), 1)), np.cumsum(steps, axis=1)], axis=1)
        found.append(_SCANS[method](log_r, z, first, window)[0])
    return np.sort(np.concatenate(found))
