r"""Trajectory: distances or scores of checkpoints in, how straight training goes and where it bends out.

Checkpoints are compared on the same stimuli. They are rarely spaced evenly, so time is the logarithm of the step and
slopes are per decade. A bend is a change of slope that the Bayesian information criterion prefers to a straight line,
with its spread over stimuli; the largest difference of two neighbours is a change in any noise.

References
----------
.. [1] Muggeo (2003), "Estimating regression models with unknown break-points", Stat. Med. 22.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.intervals import Interval

LEAST_CHECKPOINTS = 6
LEAST_STIMULI = 10


class Path(NamedTuple):
    """Way through checkpoints.

    Parameters
    ----------
    length : float
        Sum of the distances of neighbours; grows with the number of checkpoints where they jitter.
    net : float
        Distance of the first and the last.
    straightness : float
        Net over length: 1 for a straight way, NaN for none.
    speed : array, shape (n_checkpoints - 1,)
        Distance per decade of steps.
    """

    length: float
    net: float
    straightness: float
    speed: NDArray


@dataclass(frozen=True, eq=False)
class Bends:
    """Where the slope of a curve changes.

    Attributes
    ----------
    n_bends : int
    steps : tuple of Interval
        Step of each bend, with the interval over resamples that have as many bends; ``n`` counts these.
    slopes : array, shape (n_bends + 1,)
        Per decade, of each piece.
    support : array, shape (most_bends + 1,)
        Share of resamples that have 0, 1, ... bends.
    bic : array, shape (most_bends + 1,)
        Of the best line with 0, 1, ... bends, for the mean over stimuli; less is better.
    p_value : float
        How often a straight line with the noise of these stimuli gains as much by bends. Places are searched, which
        the criterion does not count: it bends a quarter of straight lines of ten checkpoints, and most where the noise
        runs on from one checkpoint to the next. A curve that is smoothly bent has a small p as well.
    """

    n_bends: int
    steps: tuple[Interval, ...]
    slopes: NDArray
    support: NDArray
    bic: NDArray
    p_value: float


def path(distances: ArrayLike, steps: ArrayLike) -> Path:
    """Length and straightness of the way through checkpoints.

    Parameters
    ----------
    distances : array_like, shape (n_checkpoints, n_checkpoints)
        A metric, such as the angular Procrustes distance; one minus a similarity is none.
    steps : array_like, shape (n_checkpoints,)
        Rising, positive.

    Raises
    ------
    ValueError
        If distances are not symmetric or break the triangle inequality along the way, or steps do not rise.

    Examples
    --------
    Two steps to the right and one up:

    >>> found = path([[0.0, 2, 5**0.5], [2, 0, 1], [5**0.5, 1, 0]], [1, 10, 100])
    >>> found.length, round(found.straightness, 3), found.speed.tolist()
    (3.0, 0.745, [2.0, 1.0])
    """
    table, decade = np.asarray(distances, float), _decades(steps, 2)
    n = len(decade)
    if table.shape != (n, n) or not np.isfinite(table).all() or not np.allclose(table, table.T, atol=1e-6):
        raise ValueError(f"distances {table.shape} of {n} checkpoints must be finite and symmetric")
    hop = np.diag(table, 1)
    length, net = float(hop.sum()), float(table[0, -1])
    if net > length * (1 + 1e-6) + 1e-9 or (hop < 0).any():
        raise ValueError(
            f"the way is {length:g} long and its ends are {net:g} apart: these are no distances of a metric"
        )
    return Path(length, net, net / length if length > 0 else math.nan, hop / np.diff(decade))


def slopes_per_decade(curve: ArrayLike, steps: ArrayLike) -> NDArray:
    """Change per factor of ten in steps between neighbours, ``(..., n_checkpoints - 1)``.

    Parameters
    ----------
    curve : array_like, shape (..., n_checkpoints)
    steps : array_like, shape (n_checkpoints,)

    Examples
    --------
    >>> slopes_per_decade([0.0, 1.0, 2.0], [1, 10, 1000]).tolist()
    [1.0, 0.5]
    """
    values, decade = np.asarray(curve, float), _decades(steps, 2)
    if values.shape[-1:] != decade.shape:
        raise ValueError(f"curve {values.shape} of {len(decade)} checkpoints")
    return np.diff(values) / np.diff(decade)


def bends(
    curves: ArrayLike,
    steps: ArrayLike,
    most_bends: int = 2,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Bends:
    """Fit connected straight pieces to the mean curve, as many as the criterion prefers, and resample stimuli.

    Bends lie at checkpoints, so they are known no better than these are spaced, with two checkpoints or more outside
    of the outer ones. All places of bends are tried, for all resamples at once.

    Parameters
    ----------
    curves : array_like, shape (n_stimuli, n_checkpoints)
        Score of each stimulus at each checkpoint.
    steps : array_like, shape (n_checkpoints,)
        Rising, positive.
    most_bends : int
    n_resamples : int
    level : float
    seed : int

    Raises
    ------
    ValueError
        If there are fewer than six checkpoints or ten stimuli, or curves are not finite.

    Examples
    --------
    >>> steps = 2 ** np.arange(12)
    >>> rise = np.maximum(np.log10(steps / 32), 0) + 0.01 * np.random.default_rng(0).normal(size=(30, 12))
    >>> found = bends(rise, steps)
    >>> found.n_bends, found.steps[0].estimate, found.slopes.round(1).tolist()
    (1, 32.0, [0.0, 1.0])
    """
    y, decade = np.asarray(curves, float), _decades(steps, LEAST_CHECKPOINTS)
    if y.ndim != 2 or y.shape[1] != len(decade) or len(y) < LEAST_STIMULI:
        raise ValueError(
            f"curves {y.shape} of {len(decade)} checkpoints; want (stimulus, checkpoint) with {LEAST_STIMULI} stimuli"
        )
    if not np.isfinite(y).all():
        raise ValueError(
            f"curves hold NaN or infinity for {int((~np.isfinite(y)).any(axis=1).sum())} stimuli"
        )
    n, n_checkpoints = y.shape
    room = (n_checkpoints - 4) // 2  # bends two checkpoints apart
    if not 0 <= most_bends <= max(room, 1):
        raise ValueError(f"most_bends={most_bends}; {n_checkpoints} checkpoints have room for {max(room, 1)}")
    draw = np.random.default_rng(seed)
    drawn = draw.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n
    means = np.concatenate([y.mean(axis=0)[None], drawn @ y])  # the mean itself comes first
    means -= means.mean(axis=1, keepdims=True)  # the level is no news, and large ones cost digits
    bic, places = _fits(means, decade, most_bends)
    chosen = bic.argmin(axis=1)
    n_bends = int(chosen[0])
    alike = np.flatnonzero(chosen[1:] == n_bends) + 1
    at, tails = np.asarray(steps, float), [(1 - level) / 2, (1 + level) / 2]
    found = []
    for number in range(n_bends):
        resampled = at[places[n_bends][alike, number]]
        low, high = np.quantile(resampled, tails, method="nearest") if len(alike) else (math.nan, math.nan)
        found.append(
            Interval(float(at[places[n_bends][0, number]]), float(low), float(high), level, len(alike))
        )
    design = _design(decade, tuple(places[n_bends][0]))
    slopes = np.cumsum(np.linalg.lstsq(design, means[0], rcond=None)[0][1:])
    support = np.bincount(chosen[1:], minlength=most_bends + 1) / max(n_resamples, 1)
    basis = np.linalg.qr(_design(decade, ()))[0]
    straight = _fits(means[0] @ basis @ basis.T + means[1:] - means[0], decade, most_bends)[0]
    gains = straight[:, 0] - straight.min(axis=1)
    p = (1 + (gains >= bic[0, 0] - bic[0].min()).sum()) / (1 + n_resamples)
    return Bends(n_bends, tuple(found), slopes, support, bic[0], float(p))


def _fits(means: NDArray, decade: NDArray, most_bends: int) -> tuple[NDArray, list[NDArray]]:
    """Criterion of each curve with 0, 1, ... bends, and the checkpoints of the best ones."""
    n = len(decade)
    total = np.square(means).sum(axis=1)
    # curves that a line fits to rounding must not be fitted better by more bends
    floor = 1e-14 * total + np.finfo(float).tiny
    criteria, places = [], []
    for n_bends in range(most_bends + 1):
        combos = [c for c in combinations(range(2, n - 2), n_bends) if all(np.diff(c) >= 2)]
        left = np.full(len(means), np.inf)
        best = np.zeros((len(means), n_bends), int)
        for combo in combos:
            basis = np.linalg.qr(_design(decade, combo))[0]
            rest = total - np.square(means @ basis).sum(axis=1)
            better = rest < left
            left[better], best[better] = rest[better], combo
        criteria.append(n * np.log((np.maximum(left, 0) + floor) / n) + (2 + 2 * n_bends) * math.log(n))
        places.append(best)
    return np.stack(criteria, axis=1), places


def _design(decade: NDArray, bends_at: tuple[int, ...]) -> NDArray:
    hinges = [np.maximum(decade - decade[i], 0) for i in bends_at]
    return np.column_stack([np.ones(len(decade)), decade - decade[0], *hinges])


def _decades(steps: ArrayLike, least: int) -> NDArray:
    at = np.asarray(steps, float)
    if at.ndim != 1 or len(at) < least:
        raise ValueError(f"{at.size} checkpoints; want {least} or more in one row")
    if not (at > 0).all() or not (np.diff(at) > 0).all():
        raise ValueError(
            f"steps from {at[0]:g} to {at[-1]:g} must be positive and rise; step 0 has no logarithm, leave it out"
        )
    return np.log10(at)
