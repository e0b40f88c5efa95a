"""Generated samples: features ``(n, d)`` of real and generated things in, realism and variety out.

Precision and density reward blandness: a sampler that always draws close to the mean lies inside the
real manifold and can beat real data. Recall, coverage and :func:`spread_ratio` do not. None of these
numbers means anything without a ceiling (other real samples) and a floor (a sampler that ignores the
question, such as the overall density), made with as many samples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.covariance import ledoit_wolf

BLOCK = 4_000_000  # distances held at a time: 32 MB


class NeighbourScores(NamedTuple):
    """What :func:`neighbour_scores` found.

    Parameters
    ----------
    precision : float
        Share of generated points inside a real ball. High for a bland sampler.
    recall : float
        Share of real points inside a generated ball.
    density : float
        Mean number of real balls around a generated point, over k; 1 is expected of real data, and
        a bland sampler exceeds it.
    coverage : float
        Share of real balls that hold a generated point; see :func:`expected_coverage`.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class PrdSummary(NamedTuple):
    """F-scores of the precision-recall curve of two distributions.

    Parameters
    ----------
    f8 : float
        Weighs recall eight times.
    f_eighth : float
        Weighs precision eight times.
    """

    f8: float
    f_eighth: float


class FrechetExcess(NamedTuple):
    """Distance of two sets beyond that of random splits of either.

    Parameters
    ----------
    distance : float
        Mean distance between half a set and half the other, the squared unit of the features.
    floor : float
        Mean distance between the halves of one set, of the same size: small-sample bias.
    excess : float
        The difference; 0 is expected of two sets of one distribution, and it may be negative.
    """

    distance: float
    floor: float
    excess: float


def neighbour_scores(real: ArrayLike, generated: ArrayLike, k: int = 5) -> NeighbourScores:
    """Improved precision and recall, density and coverage, from k-nearest-neighbour balls.

    Around each point lies a closed ball that reaches to its k-th nearest neighbour in its own set.
    Precision and density reward blandness, so report them beside recall and :func:`spread_ratio`,
    with a real ceiling and a floor of equal size. All depend on both sample sizes.

    Parameters
    ----------
    real : array_like, shape (n_real, d)
    generated : array_like, shape (n_generated, d)
        In one feature space, fitted to neither.
    k : int

    Returns
    -------
    NeighbourScores

    Raises
    ------
    ValueError
        If widths differ, values are not finite, or a set has ``k`` points or fewer.

    References
    ----------
    .. [1] Kynkaanniemi et al. (2019), "Improved precision and recall metric for assessing generative
       models", NeurIPS.
    .. [2] Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models", ICML.

    Examples
    --------
    >>> scores = neighbour_scores([[0.0], [1.0], [5.0]], [[0.5], [0.6], [19.0]], k=1)
    >>> [round(3 * score, 6) for score in scores]  # real radii 1, 1, 4; generated 0.1, 0.1, 18.4
    [2.0, 2.0, 4.0, 2.0]
    """
    real, generated = _checked(real, generated)
    if not 1 <= k < min(len(real), len(generated)):
        raise ValueError(f"k={k} must lie below the sizes {len(real)} and {len(generated)} of both sets")
    real_radius, generated_radius = _radii(real, k), _radii(generated, k)
    hits = np.zeros(len(generated), int)
    recalled, covered = [], []
    for rows in _row_blocks(len(real), len(generated)):
        distance = cdist(real[rows], generated)
        hits += (distance <= real_radius[rows, None]).sum(axis=0)
        recalled.append((distance <= generated_radius).any(axis=1))
        covered.append(distance.min(axis=1) <= real_radius[rows])
    return NeighbourScores(
        float(np.mean(hits > 0)),
        float(np.mean(np.concatenate(recalled))),
        float(hits.mean() / k),
        float(np.mean(np.concatenate(covered))),
    )


def expected_coverage(n_real: int, n_generated: int, k: int = 5) -> float:
    """Coverage expected of two sets of one continuous distribution, whatever it is.

    That none of ``n_generated`` points lies in a ball means that the k nearest of all the others
    are real.

    References
    ----------
    .. [1] Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models",
       ICML, Lemma 2.

    Examples
    --------
    >>> expected_coverage(2, 2, k=1)  # the nearest of three others is the real one: 1/3
    0.6666666666666667
    """
    steps = np.arange(1, k + 1)
    return float(1 - np.prod((n_real - steps) / (n_real + n_generated - steps)))


def spread_ratio(real: ArrayLike, generated: ArrayLike) -> float:
    """Mean distance from the real mean, generated over real; below 1 if the sampler is bland.

    Parameters and Raises are those of :func:`neighbour_scores`.

    Examples
    --------
    >>> spread_ratio([[-2.0], [2.0]], [[-1.0], [1.0]])
    0.5
    """
    real, generated = _checked(real, generated)
    centre = real.mean(axis=0)
    ours, theirs = (np.linalg.norm(x - centre, axis=1).mean() for x in (generated, real))
    return float(ours / theirs)


def prd_curve(real: ArrayLike, generated: ArrayLike, n_angles: int = 1001) -> tuple[NDArray, NDArray]:
    r"""Precision and recall of one histogram with respect to another, over all trade-offs.

    .. math:: \alpha(\lambda) = \sum_\omega \min(\lambda p(\omega), q(\omega)), \quad
       \beta(\lambda) = \alpha(\lambda) / \lambda

    Parameters
    ----------
    real, generated : array_like, shape (n_cells,)
        Histograms p and q, of any sum.
    n_angles : int
        Slopes, even in angle.

    Returns
    -------
    precision, recall : array, shape (n_angles,)

    Raises
    ------
    ValueError
        If the histograms do not fit or are empty.

    References
    ----------
    .. [1] Sajjadi et al. (2018), "Assessing generative models via precision and recall", NeurIPS.

    Examples
    --------
    >>> precision, recall = prd_curve([1, 1], [1, 0])  # half the cells, all of them real
    >>> float(precision.max()), float(recall.max())
    (1.0, 0.5)
    """
    p, q = np.asarray(real, float), np.asarray(generated, float)
    if p.shape != q.shape or p.ndim != 1 or not (p.sum() > 0 < q.sum()):
        raise ValueError(f"histograms {p.shape} and {q.shape} must share their cells and hold something")
    p, q = p / p.sum(), q / q.sum()
    slope = np.tan(np.pi / 2 * np.arange(1, n_angles + 1) / (n_angles + 1))[:, None]
    precision = np.minimum(slope * p, q).sum(axis=1)
    recall = np.minimum(p, q / slope).sum(axis=1)
    return np.minimum(precision, 1), np.minimum(recall, 1)  # rounding


def prd_summary(
    real: ArrayLike, generated: ArrayLike, n_clusters: int = 20, n_runs: int = 10, seed: int = 0
) -> PrdSummary:
    """F8 and F1/8 of the precision-recall curve over k-means cells of both sets together.

    Scores are averaged over clusterings. Sizes may differ; the larger set then shapes the cells.

    Parameters
    ----------
    real, generated : array_like, shape (n, d)
    n_clusters, n_runs, seed : int

    Returns
    -------
    PrdSummary
        ``f8`` falls when modes are dropped, ``f_eighth`` when samples are not real.

    Raises
    ------
    ValueError
        As :func:`neighbour_scores`, and if there are fewer points than clusters.

    References
    ----------
    .. [1] Sajjadi et al. (2018), "Assessing generative models via precision and recall", NeurIPS.

    Examples
    --------
    >>> scores = prd_summary([[0.0], [1.0]], [[0.0], [0.0]], n_clusters=2, n_runs=1)  # one of two modes
    >>> round(scores.f8, 3), round(scores.f_eighth, 3)  # 65/66 . 1/(1 + 64/66) and its mirror, at best
    (0.504, 0.985)
    """
    real, generated = _checked(real, generated)
    both = np.concatenate([real, generated])
    if len(both) < n_clusters:
        raise ValueError(f"{len(both)} points cannot fill {n_clusters} clusters")
    scores = []
    for run in range(n_runs):
        cells = KMeans(n_clusters, n_init=1, random_state=seed + run).fit(both).labels_
        p, q = (np.bincount(part, minlength=n_clusters) for part in np.split(cells, [len(real)]))
        precision, recall = prd_curve(p, q)
        scores.append([_f_score(precision, recall, beta) for beta in (8, 1 / 8)])
    return PrdSummary(*map(float, np.mean(scores, axis=0)))


def gaussian_frechet(mean_a: ArrayLike, cov_a: ArrayLike, mean_b: ArrayLike, cov_b: ArrayLike) -> float:
    r"""Squared Frechet (2-Wasserstein) distance of two Gaussians.

    .. math:: |m_a - m_b|^2 + \mathrm{tr}\left(C_a + C_b - 2 (C_a^{1/2} C_b C_a^{1/2})^{1/2}\right)

    Parameters
    ----------
    mean_a, mean_b : array_like, shape (d,)
    cov_a, cov_b : array_like, shape (d, d)
        Symmetric, no negative eigenvalues.

    Returns
    -------
    float
        In the squared unit of the means.

    References
    ----------
    .. [1] Dowson & Landau (1982), "The Frechet distance between multivariate normal distributions",
       J. Multivar. Anal. 12, 450-455.

    Examples
    --------
    >>> gaussian_frechet([0.0], [[1.0]], [3.0], [[4.0]])  # 3² + (2 - 1)²
    10.0
    """
    difference = np.asarray(mean_a, float) - np.asarray(mean_b, float)
    cov_a, cov_b = np.asarray(cov_a, float), np.asarray(cov_b, float)
    values, vectors = eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(eigh(root @ cov_b @ root, eigvals_only=True), 0, None)).sum()
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Squared Frechet distance of Gaussians fitted to two sets, with Ledoit-Wolf covariances.

    Biased: two samples of one distribution are apart by a distance that grows with the dimension
    and shrinks with their size. Take :func:`frechet_excess` to compare sets of different sizes.

    Parameters
    ----------
    a, b : array_like, shape (n, d)
        Any two sizes from two up.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If widths differ or values are not finite.

    References
    ----------
    .. [1] Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local
       Nash equilibrium", NeurIPS.
    .. [2] Ledoit & Wolf (2004), "A well-conditioned estimator for large-dimensional covariance
       matrices", J. Multivar. Anal. 88, 365-411.

    Examples
    --------
    >>> frechet_distance([[-1.0], [1.0]], [[2.0], [4.0]])  # variances of 1, means of 0 and 3
    9.0
    """
    a, b = _checked(a, b)
    return gaussian_frechet(*_moments(a), *_moments(b))


def frechet_excess(a: ArrayLike, b: ArrayLike, n_splits: int = 20, seed: int = 0) -> FrechetExcess:
    """Frechet distance of two sets minus that of random splits of either, all of one size.

    Both sets are cut at random into halves, of ``min(n_a, n_b) // 2`` points each. Halves of
    different sets are compared, and halves of the same set; their sizes agree, so the small-sample
    bias cancels and two sets of one distribution have an expected excess of exactly 0.

    Parameters
    ----------
    a, b : array_like, shape (n, d)
        Four points or more each; rows independent.
    n_splits, seed : int

    Returns
    -------
    FrechetExcess

    Raises
    ------
    ValueError
        As :func:`frechet_distance`, and if a set has fewer than four points.

    Examples
    --------
    >>> points = np.random.default_rng(0).normal(size=(200, 3))
    >>> same, apart = frechet_excess(points[:100], points[100:]), frechet_excess(points, points + 2)
    >>> round(apart.excess), abs(same.excess) < 0.1  # 3 x 2²
    (12, True)
    """
    a, b = _checked(a, b)
    half = min(len(a), len(b)) // 2
    if half < 2:
        raise ValueError(f"sets of {len(a)} and {len(b)} points cannot be halved; four each is the least")
    draw, across, within = np.random.default_rng(seed), [], []
    for _ in range(n_splits):
        a1, a2, b1, b2 = (
            _moments(part[half_rows])
            for part in (a, b)
            for half_rows in np.split(draw.permutation(len(part))[: 2 * half], 2)
        )
        across += [gaussian_frechet(*x, *y) for x in (a1, a2) for y in (b1, b2)]
        within += [gaussian_frechet(*a1, *a2), gaussian_frechet(*b1, *b2)]
    distance, floor = float(np.mean(across)), float(np.mean(within))
    return FrechetExcess(distance, floor, distance - floor)


def _moments(points: ArrayLike) -> tuple[NDArray, NDArray]:
    points = np.asarray(points, float)
    return points.mean(axis=0), ledoit_wolf(points)[0]


def _radii(points: NDArray, k: int) -> NDArray:
    """Distance to the k-th nearest other point; the nearest of all is the point itself."""
    blocks = _row_blocks(len(points), len(points))
    return np.concatenate([np.partition(cdist(points[rows], points), k, axis=1)[:, k] for rows in blocks])


def _row_blocks(n_rows: int, width: int) -> list[slice]:
    size = max(1, BLOCK // width)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _f_score(precision: NDArray, recall: NDArray, beta: float) -> float:
    """Best F-score along a curve; a point where both are 0 counts as 0."""
    below = beta**2 * precision + recall
    return float(np.max((1 + beta**2) * precision * recall / np.where(below > 0, below, 1)))


def _checked(a: ArrayLike, b: ArrayLike) -> tuple[NDArray, NDArray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not (len(a) and len(b)):
        raise ValueError(f"sets {a.shape} and {b.shape} must be (point, feature) with the same features")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features must be finite; is a generated sample empty?")
    return a, b
