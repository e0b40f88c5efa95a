"""Neighbourhoods: points ``(n, d)`` and a view of them ``(n, 2)`` in; which neighbours the view keeps, invents or mixes out.

A view is any smaller picture of points, such as principal components, t-SNE or UMAP. It invents where points
that are neighbours in it were none before (low trustworthiness), and tears where neighbours are parted (low
continuity). What labels its neighbourhoods share is asked with a null that deals labels anew among trials.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist


class Preservation(NamedTuple):
    """How well a view keeps neighbourhoods; 1 is perfectly, about 0.5 is what a random view does.

    Parameters
    ----------
    trustworthiness : float
        Falls where the view shows neighbours that were none.
    continuity : float
        Falls where the view parts neighbours.
    """

    trustworthiness: float
    continuity: float


class Purity(NamedTuple):
    """How often neighbours share a label.

    Parameters
    ----------
    value : float
        Share of neighbours with the same label, averaged over points.
    chance : float
        Mean of the same with labels dealt anew.
    excess : float
        ``(value - chance) / (1 - chance)``: 0 is chance, 1 is never another label.
    p_value : float
        One-sided, by permutation; at least ``1 / (n_nulls + 1)``.
    """

    value: float
    chance: float
    excess: float
    p_value: float


class LeakCheck(NamedTuple):
    """What neighbourhoods tell of the condition and of the recording, each with the other one held fixed.

    Parameters
    ----------
    condition, recording : Purity
    """

    condition: Purity
    recording: Purity

    @property
    def leaks(self) -> float:
        """Excess of the recording less that of the condition: above 0, the view shows the recording first."""
        return self.recording.excess - self.condition.excess


def preservation(points: ArrayLike, view: ArrayLike, n_neighbours: int = 10) -> Preservation:
    r"""Trustworthiness and continuity of a view.

    With :math:`r(i, j)` the rank of j among the neighbours of i in the points, and :math:`U_i` those that are
    among the k nearest of i in the view but not in the points,

    .. math:: T = 1 - \frac{2}{n k (2 n - 3 k - 1)} \sum_i \sum_{j \in U_i} (r(i, j) - k)

    Continuity is the same with points and view exchanged. Distances are Euclidean.

    Parameters
    ----------
    points : array_like, shape (n, d)
    view : array_like, shape (n, d_view)
    n_neighbours : int
        k, below n / 2.

    Returns
    -------
    Preservation

    Raises
    ------
    ValueError
        If the two differ in their rows, hold values that are not finite, or k is too large.

    References
    ----------
    .. [1] Venna & Kaski (2001), "Neighborhood preservation in nonlinear projection methods: an experimental
       study", ICANN, 485-491.

    Examples
    --------
    >>> line = np.arange(8.0)[:, None] ** 1.1
    >>> preservation(line, -3 * line, n_neighbours=2)
    Preservation(trustworthiness=1.0, continuity=1.0)
    """
    points, view = _table(points, "points"), _table(view, "view")
    if len(points) != len(view):
        raise ValueError(f"{len(points)} points but {len(view)} in the view; rows must match")
    k = _checked_k(n_neighbours, len(points))
    here, there = _ranks(points), _ranks(view)
    return Preservation(_kept(here, there, k), _kept(there, here, k))


def trustworthiness(points: ArrayLike, view: ArrayLike, n_neighbours: int = 10) -> float:
    """How few neighbours the view invents, from 0 to 1; see :func:`preservation`."""
    return preservation(points, view, n_neighbours).trustworthiness


def continuity(points: ArrayLike, view: ArrayLike, n_neighbours: int = 10) -> float:
    """How few neighbours the view parts, from 0 to 1; see :func:`preservation`."""
    return preservation(points, view, n_neighbours).continuity


def neighbour_overlap(a: ArrayLike, b: ArrayLike, n_neighbours: int = 10) -> float:
    """Share of each point's nearest neighbours that two views have in common, less chance: 1 same, 0 unrelated.

    Blind to turns, mirrors and sizes, which mean nothing in a view.

    Parameters
    ----------
    a, b : array_like, shape (n, d) and (n, e)
    n_neighbours : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As for :func:`preservation`.

    Examples
    --------
    >>> neighbour_overlap([[0.0], [1.0], [5.0], [6.1]], [[9.0], [8.0], [2.0], [1.0]], n_neighbours=1)
    1.0
    """
    a, b = _table(a, "a"), _table(b, "b")
    if len(a) != len(b):
        raise ValueError(f"{len(a)} points in one view but {len(b)} in the other; rows must match")
    k = _checked_k(n_neighbours, len(a))
    ranks = _ranks(a), _ranks(b)
    shared = (np.maximum(*ranks) <= k).sum() / len(a) - 1  # less itself
    chance = k / (len(a) - 1)
    return float((shared / k - chance) / (1 - chance))


def label_purity(
    points: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    within: ArrayLike | None = None,
    n_neighbours: int = 10,
    n_nulls: int = 200,
    seed: int = 0,
) -> Purity:
    """How often nearest neighbours share a label, with a null that permutes labels of whole trials.

    Neighbours from the point's own trial do not count: bins of one trial lie together whatever they mean.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Data, latents or a view.
    labels : array_like, shape (n,)
        The same for all points of a trial.
    groups : array_like, shape (n,), optional
        Trial of each point; by default each point is one.
    within : array_like, shape (n,), optional
        Labels are dealt among trials that share this value only, and only such points are neighbours. With the
        recording here, a purity of the condition owes nothing to conditions that one recording has more of.
    n_neighbours, n_nulls, seed : int

    Returns
    -------
    Purity

    Raises
    ------
    ValueError
        If lengths differ, a trial has two labels, or a point has too few neighbours to choose from.

    Examples
    --------
    >>> x = [[0.0], [0.1], [0.3], [5.0], [5.1], [5.3]]
    >>> label_purity(x, list("aaabbb"), n_neighbours=1, n_nulls=20).value
    1.0
    """
    points = _table(points, "points")
    n = len(points)
    groups = np.arange(n) if groups is None else np.asarray(groups)
    within = np.zeros(n, int) if within is None else np.asarray(within)
    labels = np.asarray(labels)
    for name, values in (("labels", labels), ("groups", groups), ("within", within)):
        if values.shape != (n,):
            raise ValueError(f"{name} {values.shape} for {n} points; there must be one each")
    _, first, trial = np.unique(groups, return_index=True, return_inverse=True)
    for name, values in (("labels", labels), ("within", within)):
        if (values != values[first][trial]).any():
            raise ValueError(f"{name} change within a trial; the null deals them among whole trials")
    distance = cdist(points, points)
    distance[(groups[:, None] == groups) | (within[:, None] != within)] = np.inf
    fewest = int(np.isfinite(distance).sum(axis=1).min())
    if not 1 <= n_neighbours <= fewest:
        raise ValueError(
            f"n_neighbours={n_neighbours}, but a point has only {fewest} others outside its trial and within its group"
        )
    nearest = np.argpartition(distance, n_neighbours - 1, axis=1)[:, :n_neighbours]
    number = np.unique(labels, return_inverse=True)[1][first]  # of each trial
    strata = [np.flatnonzero(within[first] == value) for value in np.unique(within)]
    if len(np.unique(number)) < 2:
        raise ValueError(f"every label is {labels[0]!r}; there is nothing to be pure of")

    def share(of_trial: NDArray) -> float:
        here = of_trial[trial]
        return float((here[nearest] == here[:, None]).mean())

    draw, nulls = np.random.default_rng(seed), np.empty(n_nulls)
    for i in range(n_nulls):
        dealt = number.copy()
        for members in strata:
            dealt[members] = number[draw.permutation(members)]
        nulls[i] = share(dealt)
    value, chance = share(number), float(nulls.mean())
    p_value = (1 + (nulls >= value).sum()) / (n_nulls + 1)
    excess = (value - chance) / (1 - chance) if chance < 1 else 0.0
    return Purity(value, chance, excess, float(p_value))


def leak_check(
    points: ArrayLike,
    condition: ArrayLike,
    recording: ArrayLike,
    groups: ArrayLike | None = None,
    n_neighbours: int = 10,
    n_nulls: int = 200,
    seed: int = 0,
) -> LeakCheck:
    """Whether neighbourhoods tell the condition or the recording.

    Of the condition, neighbours of the same recording are asked; of the recording, neighbours of the same
    condition. Neither can stand in for the other.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Data, latents or a view.
    condition, recording : array_like, shape (n,)
        Recording may be the session, the subject or the day.
    groups : array_like, shape (n,), optional
        Trial of each point.
    n_neighbours, n_nulls, seed : int

    Returns
    -------
    LeakCheck

    Raises
    ------
    ValueError
        As for :func:`label_purity`.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> condition, recording = np.repeat([0, 1, 0, 1], 20), np.repeat([0, 0, 1, 1], 20)
    >>> x = draw.normal(size=(80, 2)) + 50 * np.column_stack([condition, 0 * recording])
    >>> found = leak_check(x, condition, recording, n_neighbours=5)
    >>> found.condition.excess, abs(found.recording.excess) < 0.1
    (1.0, True)
    """
    common = {"groups": groups, "n_neighbours": n_neighbours, "n_nulls": n_nulls, "seed": seed}
    return LeakCheck(
        label_purity(points, condition, within=recording, **common),
        label_purity(points, recording, within=condition, **common),
    )


def _ranks(points: NDArray) -> NDArray:
    """Rank of each point among the neighbours of each other one: 1 is the nearest, 0 is itself."""
    distance = cdist(points, points)
    np.fill_diagonal(distance, -1.0)
    order = np.argsort(distance, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(points))[None, :], axis=1)
    return ranks


def _kept(reference: NDArray, other: NDArray, k: int) -> float:
    """One less the ranks, beyond k in the reference, of those who are near in the other."""
    n = len(reference)
    beyond = np.maximum(reference - k, 0)[(other >= 1) & (other <= k)].sum()
    return float(1 - 2 * beyond / (n * k * (2 * n - 3 * k - 1)))


def _checked_k(k: int, n: int) -> int:
    if not 1 <= k < n / 2:
        raise ValueError(f"n_neighbours={k} must be at least 1 and below half of the {n} points")
    return k


def _table(values: ArrayLike, name: str) -> NDArray:
    values = np.asarray(values, float)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"{name} {values.shape} must be a table (n, d) of finite numbers")
    return values
