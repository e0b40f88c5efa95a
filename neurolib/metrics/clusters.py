"""Clusters: points ``(n, d)`` in; density-based clusters, how valid and stable they are, and what they are about, out.

A clustering algorithm finds clusters in anything. :func:`compare_clusterings` therefore puts k-means
with as many clusters, and the same search in one Gaussian cloud, beside what was found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import false_discovery_control, mannwhitneyu
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score

NOISE = -1  # label of a point in no cluster
BLOCK_ROWS = 512  # rows of a distance matrix held at a time


@dataclass(frozen=True)
class ClusterConfig:
    """Hierarchical density-based clustering (HDBSCAN).

    Parameters
    ----------
    min_cluster_size : int
    min_samples : int, optional
        Neighbours that make a point dense; by default ``min_cluster_size``.
    n_resamples : int
        Subsamples of :func:`stability`.
    seed : int

    References
    ----------
    .. [1] Campello, Moulavi & Sander (2013), "Density-based clustering based on hierarchical density
       estimates", PAKDD.
    """

    min_cluster_size: int = 30
    min_samples: int | None = None
    n_resamples: int = 20
    seed: int = 0

    def __post_init__(self):
        if self.min_cluster_size < 2 or self.n_resamples < 2:
            raise ValueError(
                f"min_cluster_size={self.min_cluster_size} and n_resamples={self.n_resamples} must be at least 2"
            )

    def labels(self, points: ArrayLike) -> NDArray:
        """Cluster of each point ``(n, d)``, -1 for noise."""
        points = _checked(points)
        return HDBSCAN(self.min_cluster_size, self.min_samples, copy=True).fit_predict(points)


class ClusterSummary(NamedTuple):
    """One clustering.

    Parameters
    ----------
    n_clusters : int
    noise_share : float
        Share of points in no cluster.
    validity : float
        :func:`density_validity`; NaN for fewer than two clusters.
    stability : float
        :func:`stability`.
    """

    n_clusters: int
    noise_share: float
    validity: float
    stability: float


class Enrichment(NamedTuple):
    """Which topics a cluster has more of than the other points, noise among them.

    Parameters
    ----------
    clusters : array of int, shape (n_clusters,)
        Labels.
    effect : array, shape (n_clusters, n_topics)
        Chance that a point of the cluster has more of the topic than another point; 0.5 is none.
    p_values, q_values : array, shape (n_clusters, n_topics)
        One-sided rank-sum test, and adjusted over the whole table (Benjamini-Hochberg).
    """

    clusters: NDArray
    effect: NDArray
    p_values: NDArray
    q_values: NDArray


def kmeans_labels(points: ArrayLike, n_clusters: int, seed: int = 0) -> NDArray:
    """Cluster of each point ``(n, d)`` by k-means, which finds as many as it is asked for.

    Examples
    --------
    >>> labels = kmeans_labels([[0.0], [0.1], [9.0]], n_clusters=2)
    >>> bool(labels[0] == labels[1] != labels[2])
    True
    """
    return KMeans(n_clusters, n_init=3, random_state=seed).fit_predict(_checked(points))


def gaussian_null(points: ArrayLike, seed: int = 0) -> NDArray:
    """As many draws from the Gaussian with the points' mean and covariance: one cloud, no clusters.

    Examples
    --------
    >>> gaussian_null([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])[:, 1].round(12)  # no variance, so no spread
    array([1., 1., 1.])
    """
    points = _checked(points)
    mean = points.mean(axis=0)
    _, singular, right = np.linalg.svd(points - mean, full_matrices=False)
    draws = np.random.default_rng(seed).normal(size=(len(points), len(singular)))
    return mean + draws * (singular / np.sqrt(len(points))) @ right


def density_validity(points: ArrayLike, labels: ArrayLike) -> float:
    r"""Density-based clustering validation (DBCV): how much denser clusters are inside than between.

    Each cluster is joined by the minimum spanning tree of its mutual reachability distances, of which
    ties are broken by plain distance (the definition leaves them open). Its sparseness is the longest edge between inner nodes; its separation the least reachability
    distance to an inner node of another cluster.

    .. math:: \sum_i \frac{n_i}{n} \frac{\min_j \mathrm{sep}_{ij} - \mathrm{sparse}_i}
       {\max(\min_j \mathrm{sep}_{ij}, \mathrm{sparse}_i)}

    Parameters
    ----------
    points : array_like, shape (n, d)
    labels : array_like of int, shape (n,)
        -1 is noise, which counts in n.

    Returns
    -------
    float
        From -1 to 1. NaN for fewer than two clusters.

    Raises
    ------
    ValueError
        If shapes do not fit, or a cluster has a single point.

    References
    ----------
    .. [1] Moulavi et al. (2014), "Density-based clustering validation", SDM, 839-847.

    Examples
    --------
    >>> x = [[0.0], [1.0], [2.0], [3.0], [50.0], [51.0], [52.0], [53.0]]
    >>> density_validity(x, [0] * 4 + [1] * 4) > 0.9 > 0 > density_validity(x, [0, 1] * 4)
    True
    """
    points, labels = _checked(points), np.asarray(labels)
    if labels.shape != (len(points),):
        raise ValueError(f"labels {labels.shape} for points {points.shape}")
    found = np.unique(labels[labels != NOISE])
    if len(found) < 2:
        return float("nan")
    members = [points[labels == label] for label in found]
    if min(map(len, members)) < 2:
        raise ValueError("a cluster of one point has no density; label it as noise (-1)")
    cores = [_core_distances(part) for part in members]
    trees = [_inner_tree(part, core) for part, core in zip(members, cores, strict=True)]
    separation = np.full((len(found), len(found)), np.inf)
    for i, j in combinations(range(len(found)), 2):
        a, b = trees[i][0], trees[j][0]
        separation[i, j] = separation[j, i] = _least_reachability(
            members[i][a], cores[i][a], members[j][b], cores[j][b]
        )
    sparse, nearest = np.array([longest for _, longest in trees]), separation.min(axis=1)
    larger = np.maximum(sparse, nearest)
    validity = np.divide(nearest - sparse, larger, out=np.zeros_like(larger), where=larger > 0)
    return float(np.array([len(part) for part in members]) @ validity / len(points))


def stability(
    points: ArrayLike,
    cluster: Callable[[NDArray], NDArray],
    n_resamples: int = 20,
    share: float = 0.8,
    seed: int = 0,
) -> float:
    """Mean adjusted Rand index of clusterings of random subsamples, on the points that two share.

    Subsamples, not bootstraps: points drawn twice would lie on top of each other and be dense.
    Noise counts as a cluster of its own. Finding nothing is perfectly stable, so a pair in which
    either found fewer than two clusters counts 0.

    Parameters
    ----------
    points : array_like, shape (n, d)
    cluster : callable
        From points to labels, such as ``ClusterConfig().labels``.
    n_resamples : int
    share : float
        Share of the points in a subsample.
    seed : int

    Returns
    -------
    float
        1 for clusters that always return, about 0 for none that do.

    Raises
    ------
    ValueError
        If there are fewer than two subsamples, or the share is not between 0 and 1.

    References
    ----------
    .. [1] Hubert & Arabie (1985), "Comparing partitions", J. Classification 2, 193-218.
    .. [2] Ben-Hur, Elisseeff & Guyon (2002), "A stability based method for discovering structure in
       clustered data", Pac. Symp. Biocomput., 6-17.

    Examples
    --------
    >>> stability([[0.0], [0.1], [9.0], [9.1]], lambda x: (x[:, 0] > 5).astype(int), share=0.99)
    1.0
    """
    points = _checked(points)
    if n_resamples < 2 or not 0 < share < 1:
        raise ValueError(f"n_resamples={n_resamples} must be 2 or more, share={share} between 0 and 1")
    draw, runs = np.random.default_rng(seed), []
    for _ in range(n_resamples):
        rows = np.sort(draw.permutation(len(points))[: max(2, round(share * len(points)))])
        runs.append((rows, np.asarray(cluster(points[rows]))))
    scores = []
    for (rows, labels), (other_rows, others) in combinations(runs, 2):
        if min(len(np.unique(part[part != NOISE])) for part in (labels, others)) < 2:
            scores.append(0.0)
            continue
        _, ours, theirs = np.intersect1d(rows, other_rows, assume_unique=True, return_indices=True)
        scores.append(adjusted_rand_score(labels[ours], others[theirs]))
    return float(np.mean(scores))


def compare_clusterings(points: ArrayLike, config: ClusterConfig | None = None) -> dict[str, ClusterSummary]:
    """Density-based clusters with their controls.

    Parameters
    ----------
    points : array_like, shape (n, d)
    config : ClusterConfig, optional

    Returns
    -------
    dict
        ``"hdbscan"``, ``"k-means"`` (with as many clusters, two at least) and ``"gaussian"``: the same
        search in a cloud of the same mean and covariance.

    Raises
    ------
    ValueError
        If points are not finite or not two-dimensional.
    """
    config = ClusterConfig() if config is None else config
    points = _checked(points)
    found = _summary(points, config.labels, config)
    k = max(2, found.n_clusters)
    return {
        "hdbscan": found,
        "k-means": _summary(points, lambda x: kmeans_labels(x, k, config.seed), config),
        "gaussian": _summary(gaussian_null(points, config.seed), config.labels, config),
    }


def enrichment(labels: ArrayLike, topics: ArrayLike) -> Enrichment:
    """Test every cluster for more of every topic than the rest has.

    Topics must not have shaped the clusters, or the test only finds what was put in.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        -1 is noise.
    topics : array_like, shape (n, n_topics)
        Weights; only their order counts.

    Returns
    -------
    Enrichment

    Raises
    ------
    ValueError
        If rows do not match, or there is no cluster or nothing outside it.

    References
    ----------
    .. [1] Mann & Whitney (1947), "On a test of whether one of two random variables is stochastically
       larger than the other", Ann. Math. Stat. 18, 50-60.
    .. [2] Benjamini & Hochberg (1995), "Controlling the false discovery rate", J. R. Stat. Soc. B 57,
       289-300.

    Examples
    --------
    >>> enrichment([0, 0, 1, 1], [[3.0], [4.0], [1.0], [2.0]]).effect
    array([[1.],
           [0.]])
    """
    labels, topics = np.asarray(labels), np.asarray(topics, float)
    if topics.ndim != 2 or labels.shape != topics.shape[:1]:
        raise ValueError(f"labels {labels.shape} and topics {topics.shape} must share their rows")
    found = np.unique(labels[labels != NOISE])
    if not len(found) or len(np.unique(labels)) < 2:
        raise ValueError("there is no cluster, or nothing outside the only one, to compare")
    effect, p_values = np.empty((2, len(found), topics.shape[1]))
    for row, label in enumerate(found):
        inside = labels == label
        test = mannwhitneyu(topics[inside], topics[~inside], alternative="greater", method="asymptotic")
        effect[row] = test.statistic / (inside.sum() * (~inside).sum())
        p_values[row] = test.pvalue
    # Topics that are constant have no ranks to compare.
    p_values = np.nan_to_num(p_values, nan=1.0)
    return Enrichment(
        found, effect, p_values, false_discovery_control(p_values, axis=None).reshape(p_values.shape)
    )


def _summary(points: NDArray, cluster: Callable[[NDArray], NDArray], config: ClusterConfig) -> ClusterSummary:
    labels = cluster(points)
    return ClusterSummary(
        len(np.unique(labels[labels != NOISE])),
        float(np.mean(labels == NOISE)),
        density_validity(points, labels),
        stability(points, cluster, config.n_resamples, seed=config.seed),
    )


def _core_distances(points: NDArray) -> NDArray:
    """Each point's distance to its own cluster, by the power mean that turns distance into density.

    In logs, since ``(1 / distance) ** d`` overflows for the latents we have. 0 for a duplicate.
    """
    n, d = points.shape
    cores = []
    for start in range(0, n, BLOCK_ROWS):
        distance = cdist(points[start : start + BLOCK_ROWS], points)
        rows = np.arange(len(distance))
        distance[rows, start + rows] = np.inf  # not its own neighbour
        with np.errstate(divide="ignore"):
            cores.append(np.exp(-(logsumexp(-d * np.log(distance), axis=1) - np.log(n - 1)) / d))
    return np.concatenate(cores)


def _inner_tree(points: NDArray, core: NDArray) -> tuple[NDArray, float]:
    """Inner nodes of the minimum spanning tree, and its longest edge between two of them (Prim).

    A tree without inner nodes or edges (two or three points) counts whole.
    """
    n = len(points)
    parent, outside = np.zeros(n, int), np.ones(n, bool)
    reach, apart = np.full((2, n), np.inf)
    edges, node = [], 0
    for _ in range(n - 1):
        outside[node] = False
        distance = np.linalg.norm(points - points[node], axis=1)
        cost = np.maximum(distance, np.maximum(core, core[node]))
        # Core distances make many edges equally long, and which of them are taken decides what is
        # inner: plain distance breaks the tie, so the order of the points does not.
        nearer = outside & ((cost < reach) | ((cost == reach) & (distance < apart)))
        reach[nearer], apart[nearer], parent[nearer] = cost[nearer], distance[nearer], node
        least = outside & (reach == reach[outside].min())
        node = int(np.where(least, apart, np.inf).argmin())
        edges.append((parent[node], node, reach[node]))
    ends, weights = np.array([edge[:2] for edge in edges]), np.array([edge[2] for edge in edges])
    inner = np.bincount(ends.ravel(), minlength=n) > 1
    between = inner[ends].all(axis=1)
    nodes = np.flatnonzero(inner) if inner.any() else np.arange(n)
    return nodes, float(weights[between].max() if between.any() else weights.max())


def _least_reachability(a: NDArray, core_a: NDArray, b: NDArray, core_b: NDArray) -> float:
    return min(
        float(np.maximum(cdist(a[rows], b), np.maximum(core_a[rows, None], core_b)).min())
        for rows in (slice(start, start + BLOCK_ROWS) for start in range(0, len(a), BLOCK_ROWS))
    )


def _checked(points: ArrayLike) -> NDArray:
    points = np.asarray(points, float)
    if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError(f"points {points.shape} must be (point, feature), two or more and all finite")
    return points
