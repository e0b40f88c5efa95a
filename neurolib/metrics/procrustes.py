"""Distances of linear operators: two square matrices in, how far apart they stay under any rotation out.

Two recordings of one system never share their axes, so operators are compared up to an orthogonal
change of coordinates. The problem is not convex: :func:`align_operators` starts from many places,
some of them derived from the matrices, and finishes with Newton steps, so what it returns is a
stationary point and the best of many, not a proven minimum.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

POLAR_STEPS = (20, 60)  # before and after the poorest starts are dropped
NEWTON_STEPS = 60
EQUAL_GAIN = 1e-16  # relative to norms of 1: below it, two residuals are the same to rounding


@dataclass(frozen=True)
class SearchConfig:
    """How hard to look for the best rotation.

    Parameters
    ----------
    n_starts : int
        Orthogonal matrices to start from: a third from the matrices' own axes, the rest random.
    n_refined : int
        Starts that are still followed after 20 polar steps.
    seed : int
    """

    n_starts: int = 96
    n_refined: int = 16
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.n_refined <= self.n_starts:
            raise ValueError(f"n_refined={self.n_refined} must lie between 1 and n_starts={self.n_starts}")


def procrustes_distance(
    a: ArrayLike, b: ArrayLike, metric: str = "angular", search: SearchConfig | None = None
) -> float:
    r"""Least distance of ``a`` from ``C b C^T`` over all orthogonal matrices C, reflections included.

    .. math:: d(A, B) = \min_{C \in O(r)} \arccos \frac{\mathrm{tr}(A^T C B C^T)}{|A|_F |B|_F}
       \quad\text{or}\quad \min_{C \in O(r)} |A - C B C^T|_F

    The same C is best for both. Any real 2 x 2 matrix is its transpose reflected, and so is every
    rotation: in two dimensions neither metric tells forwards from backwards.

    Parameters
    ----------
    a, b : array_like, shape (r, r)
        Operators, ``x[t+1] = a @ x[t]``.
    metric : {"angular", "euclidean"}
        Radians from 0 to pi, blind to the overall size of either matrix; or the unit of the matrices.
    search : SearchConfig, optional

    Returns
    -------
    float
        Near zero it is exact to about 1e-14: the angle is taken from the chord, not from a cosine.

    Raises
    ------
    ValueError
        If the matrices are not square, finite and of one size, or one is zero and the metric angular.

    References
    ----------
    .. [1] Ostrow, Eisen, Kozachkov & Fiete (2023), "Beyond geometry: comparing the temporal structure
       of computation in neural circuits with dynamical similarity analysis", NeurIPS.

    Examples
    --------
    >>> def turn(angle):
    ...     return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    >>> round(procrustes_distance(turn(0.5), turn(0.2)), 6)  # the same the other way round: |0.5| - |0.2|
    0.3
    >>> round(procrustes_distance(turn(0.5), turn(-0.2)), 6)
    0.3
    """
    a, b = _checked(a, b)
    if metric not in ("angular", "euclidean"):
        raise ValueError(f"metric {metric!r} is not 'angular' or 'euclidean'")
    rotation = align_operators(a, b, search)
    if metric == "euclidean":
        return float(np.linalg.norm(a - rotation @ b @ rotation.T))
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if not all(norms):
        raise ValueError("an operator of zeros has no direction; use the euclidean metric")
    a, b = a / norms[0], rotation @ (b / norms[1]) @ rotation.T
    # Of the chord and of its complement to the opposite point, the shorter one has the exact digits.
    return float(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def align_operators(a: ArrayLike, b: ArrayLike, search: SearchConfig | None = None) -> NDArray:
    r"""Orthogonal C for which ``C b C^T`` comes closest to ``a``.

    Multiples of the identity do not depend on C and are taken out first. The rest,
    :math:`f(C) = \mathrm{tr}(A^T C B C^T)`, becomes convex with :math:`\mu |C|^2` added, which is a
    constant on O(r); going to the polar factor of its gradient therefore never lowers f. The best
    candidates are finished by damped Newton steps in the space of skew matrices.

    Parameters
    ----------
    a, b : array_like, shape (r, r)
        Newton steps solve for ``r (r - 1) / 2`` unknowns: meant for r up to about 30.
    search : SearchConfig, optional

    Returns
    -------
    array, shape (r, r)

    Raises
    ------
    ValueError
        If the matrices are not square, finite and of one size.

    Examples
    --------
    >>> a, b = np.array([[0.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [2.0, 0.0]])  # axes swapped
    >>> np.abs(align_operators(a, b)).round(6)
    array([[0., 1.],
           [1., 0.]])
    """
    a, b = _checked(a, b)
    search = search or SearchConfig()
    r = len(a)
    a, b = (x - np.trace(x) / r * np.eye(r) for x in (a, b))
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) < 1e-300:
        return np.eye(r)
    a, b = a / norms[0], b / norms[1]

    candidates = _starts(a, b, search)
    shift = _convexity_shift(a, b)
    for n_steps in POLAR_STEPS:
        for _ in range(n_steps):
            candidates = _polar(a @ candidates @ b.T + a.T @ candidates @ b + shift * candidates)
        moved = candidates @ b @ candidates.swapaxes(1, 2)
        candidates = candidates[np.argsort(-(a * moved).sum((1, 2)))[: search.n_refined]]
    refined = [_newton(a, b, candidate) for candidate in candidates]
    return min(refined, key=lambda pair: pair[0])[1]


def eigenvalue_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Wasserstein-2 distance of two sets of eigenvalues: root mean square over the best pairing.

    Exact and fast, but it sees spectra alone, not how the modes overlap. Its square is what
    ``dsa-metric`` calls the Wasserstein score.

    Parameters
    ----------
    a, b : array_like, shape (r, r)

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the matrices are not square, finite and of one size.

    Examples
    --------
    >>> eigenvalue_distance(np.diag([0.0, 1.0]), np.diag([4.0, 0.0]))  # 0 stays, 1 goes to 4
    2.1213203435596424
    """
    a, b = _checked(a, b)
    cost = np.abs(np.linalg.eigvals(a)[:, None] - np.linalg.eigvals(b)[None]) ** 2
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def scramble_operator(a: ArrayLike, seed: int) -> NDArray:
    """An unrelated operator of equal gains: the singular values of ``a`` between random axes.

    A null for :func:`procrustes_distance`: how far apart operators of this norm and gain are when
    which direction leads to which is drawn at random.

    Parameters
    ----------
    a : array_like, shape (r, r)
    seed : int

    Returns
    -------
    array, shape (r, r)

    Examples
    --------
    >>> scrambled = scramble_operator(np.diag([3.0, 4.0]), seed=0)
    >>> round(float(np.linalg.norm(scrambled)), 6)
    5.0
    """
    a, _ = _checked(a, a)
    left, right = _random_orthogonal(2, len(a), np.random.default_rng(seed))
    return (left * np.linalg.svd(a, compute_uv=False)) @ right


def _starts(a: NDArray, b: NDArray, search: SearchConfig) -> NDArray:
    """Stack of orthogonal matrices: matched eigenvectors, matched symmetric axes, random ones."""
    draw = np.random.default_rng(search.seed)
    starts = [_matched_eigenvectors(a, b)]
    parts_a, parts_b = _symmetric_parts(a), _symmetric_parts(b)
    for weights in draw.standard_normal((search.n_starts // 3, len(parts_a))):
        weights /= np.linalg.norm(parts_a, axis=(1, 2)) + 1e-12
        starts.append(
            _matched_axes(a, b, np.tensordot(weights, parts_a, 1), np.tensordot(weights, parts_b, 1))
        )
    starts = np.stack(starts)[: search.n_starts]
    n_random = search.n_starts - len(starts)
    return np.concatenate([starts, _random_orthogonal(n_random, len(a), draw)])


def _matched_eigenvectors(a: NDArray, b: NDArray) -> NDArray:
    """Carry each eigenvector of ``b`` to that of ``a`` with the nearest eigenvalue.

    Eigenvectors have free phases. If ``a`` is ``b`` rotated, the products of their Gram matrices
    hold the relative phases, and the leading eigenvector of these products has just those phases.
    """
    values_a, vectors_a = np.linalg.eig(a)
    values_b, vectors_b = np.linalg.eig(b)
    rows, columns = linear_sum_assignment(np.abs(values_a[:, None] - values_b[None]) ** 2)
    vectors_a, vectors_b = vectors_a[:, rows], vectors_b[:, columns]
    relative = (vectors_a.conj().T @ vectors_a) * (vectors_b.conj().T @ vectors_b).conj()
    phase = np.exp(1j * np.angle(np.linalg.eigh(relative)[1][:, -1]))
    # pinv, because a defective matrix has too few eigenvectors.
    return _polar(((vectors_a * phase) @ np.linalg.pinv(vectors_b)).real)


def _symmetric_parts(x: NDArray) -> NDArray:
    """Symmetric matrices that turn as ``x`` turns; their eigenvectors are axes that ``x`` itself sets."""
    skew = x - x.T
    return np.stack([x + x.T, x @ x.T, x.T @ x, x @ x + (x @ x).T, skew @ skew])


def _matched_axes(a: NDArray, b: NDArray, symmetric_a: NDArray, symmetric_b: NDArray) -> NDArray:
    """Match axes in the order of their eigenvalues, then find their signs.

    If ``a`` is ``b`` rotated, both agree on these axes up to signs s, and their product, entry by
    entry, is a matrix of positive entries times ``s s^T``: its leading eigenvector has the signs.
    Otherwise these signs are a guess that single flips improve.
    """
    axes_a, axes_b = np.linalg.eigh(symmetric_a)[1], np.linalg.eigh(symmetric_b)[1]
    agreement = (axes_a.T @ a @ axes_a) * (axes_b.T @ b @ axes_b)
    agreement = agreement + agreement.T
    np.fill_diagonal(agreement, 0)
    sign = np.where(np.linalg.eigh(agreement)[1][:, -1] >= 0, 1.0, -1.0)
    for _ in range(3 * len(a)):
        support = sign * (agreement @ sign)
        worst = support.argmin()
        if support[worst] >= 0:
            break
        sign[worst] *= -1
    return (axes_a * sign) @ axes_b.T


def _convexity_shift(a: NDArray, b: NDArray) -> float:
    """Least safe multiple of C in the gradient: twice minus a lower bound of f's curvature.

    As a quadratic form of C's entries, f is the symmetric part of a Kronecker product: that of both
    symmetric parts plus that of both skew parts, whose extreme eigenvalues are products.
    """
    symmetric = [np.linalg.eigvalsh((x + x.T) / 2) for x in (a, b)]
    skew = [np.linalg.norm((x - x.T) / 2, 2) for x in (a, b)]
    lowest = np.multiply.outer(*symmetric).min() - skew[0] * skew[1]
    return max(-2 * lowest, 1e-3)


def _newton(a: NDArray, b: NDArray, rotation: NDArray) -> tuple[float, NDArray]:
    """Residual and rotation after damped Newton steps; ``a`` and ``b`` have norm 1.

    With M = C b C^T and C -> exp(X) C for skew X, f changes by <A, [X, M]> - <[X, A], [X, M]> / 2.
    """
    r = len(a)
    upper = np.triu_indices(r, 1)
    n = len(upper[0])
    basis = np.zeros((n, r, r))
    basis[np.arange(n), *upper] = 1
    basis -= basis.swapaxes(1, 2)
    turned_a = (basis @ a - a @ basis).reshape(n, -1)
    residual = np.linalg.norm(a - rotation @ b @ rotation.T)
    damping = 1e-3
    for _ in range(NEWTON_STEPS):
        moved = rotation @ b @ rotation.T
        slope = a @ moved.T - moved.T @ a
        slope = (slope - slope.T)[upper]
        curvature = turned_a @ (basis @ moved - moved @ basis).reshape(n, -1).T
        curvature = (curvature + curvature.T) / 2
        before = residual
        while damping < 1e6:
            try:  # the factorisation only tells whether this much damping makes the step an ascent
                np.linalg.cholesky(curvature + damping * np.eye(n))
            except np.linalg.LinAlgError:
                damping = max(4 * damping, 1e-3)
                continue
            skew = np.zeros((r, r))
            skew[upper] = np.linalg.solve(curvature + damping * np.eye(n), slope) / 2
            skew -= skew.T
            trial = np.linalg.solve(np.eye(r) - skew, (np.eye(r) + skew) @ rotation)
            residual_there = np.linalg.norm(a - trial @ b @ trial.T)
            if residual_there <= residual:
                rotation, residual, damping = trial, residual_there, max(damping / 8, 1e-14)
                break
            damping *= 4
        if before - residual <= EQUAL_GAIN:
            break
    return float(residual), _polar(rotation)


def _polar(matrices: NDArray) -> NDArray:
    """Nearest orthogonal matrix of each."""
    left, _, right = np.linalg.svd(matrices)
    return left @ right


def _random_orthogonal(n: int, r: int, draw: np.random.Generator) -> NDArray:
    """Draw from Haar measure; QR alone would favour some signs."""
    q, triangle = np.linalg.qr(draw.standard_normal((n, r, r)))
    return q * np.where(np.diagonal(triangle, axis1=1, axis2=2) < 0, -1.0, 1.0)[:, None]


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] != a.shape[1] or not a.size:
        raise ValueError(
            f"operators of shape {a.shape} and {b.shape} must be square and of one size; "
            "fit both with the same rank"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("an operator has entries that are not finite; was it fitted to data with gaps?")
    return a, b
