"""Clusters of known shape, a slow DBCV on graphs of SciPy, and clouds in which nothing may be found."""

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import mannwhitneyu
from sklearn.metrics import adjusted_rand_score

from neurolib.metrics.clusters import (
    ClusterConfig,
    compare_clusterings,
    density_validity,
    enrichment,
    gaussian_null,
    kmeans_labels,
    stability,
)


@pytest.fixture(scope="module")
def moons():
    """Two arcs that interlock, 120 points each, and 20 stray points (label -1)."""
    draw = np.random.default_rng(0)
    angle = draw.uniform(0, np.pi, (2, 120))
    arcs = np.concatenate(
        [
            np.column_stack([np.cos(angle[0]), np.sin(angle[0])]),
            np.column_stack([1 - np.cos(angle[1]), 0.4 - np.sin(angle[1])]),
        ]
    )
    stray = draw.uniform(-3, 4, (20, 2))
    points = np.concatenate([arcs + 0.03 * draw.normal(size=arcs.shape), stray])
    return points, np.repeat([0, 1, -1], [120, 120, 20])


def slow_validity(points, labels):
    """The definition, with every distance in a matrix."""
    n, d = points.shape
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    core = np.empty(n)
    for i in range(n):
        others = [j for j in range(n) if labels[j] == labels[i] and j != i]
        core[i] = np.mean([(1 / distance[i, j]) ** d for j in others]) ** (-1 / d)
    reach = np.maximum(distance, np.maximum(core[:, None], core))
    sparse, inner = {}, {}
    clusters = sorted(set(labels) - {-1})
    for c in clusters:
        rows = np.flatnonzero(labels == c)
        block = np.ix_(rows, rows)
        tree = minimum_spanning_tree(reach[block] + 1e-9 * distance[block]).tocoo()  # ties by distance
        degree = np.bincount(np.concatenate([tree.row, tree.col]), minlength=len(rows))
        pairs = [(a, b) for a, b in zip(tree.row, tree.col, strict=True) if min(degree[a], degree[b]) > 1]
        edges = [reach[rows[a], rows[b]] for a, b in pairs]
        sparse[c], inner[c] = max(edges), rows[degree > 1]
    total = 0
    for c in clusters:
        nearest = min(reach[np.ix_(inner[c], inner[e])].min() for e in clusters if e != c)
        total += (labels == c).sum() / n * (nearest - sparse[c]) / max(nearest, sparse[c])
    return total


def test_validity_equals_the_definition(moons, monkeypatch):
    points, labels = moons
    draw = np.random.default_rng(1)
    for x, y in ((points, labels), (draw.normal(size=(60, 4)), draw.integers(-1, 3, 60))):
        expected = slow_validity(x, y)
        assert density_validity(x, y) == pytest.approx(expected, rel=1e-9)
        order = draw.permutation(len(x))
        assert density_validity(x[order], y[order]) == pytest.approx(expected, rel=1e-9)
        monkeypatch.setattr("neurolib.metrics.clusters.BLOCK_ROWS", 7)
        assert density_validity(x, y) == pytest.approx(expected, rel=1e-9)


def test_validity_prefers_the_arcs_to_k_means_and_to_chance(moons):
    points, truth = moons
    cut = np.where(truth < 0, -1, kmeans_labels(points, 2))
    random = np.random.default_rng(2).permutation(truth)
    assert (
        density_validity(points, truth)
        > 0.2
        > density_validity(points, cut)
        > density_validity(points, random)
    )
    assert density_validity(points, random) < -0.5


def test_validity_survives_many_dimensions_duplicates_and_single_clusters():
    draw = np.random.default_rng(3)
    x = draw.normal(size=(40, 300)) * 1e-3 + np.repeat([0, 1], 20)[:, None]  # 1e3 ** 300 overflows
    labels = np.repeat([0, 1], 20)
    assert density_validity(x, labels) > 0.9
    x[1] = x[0]
    assert density_validity(x, labels) > 0.9
    assert np.isnan(density_validity(x, np.zeros(40, int))) and np.isnan(density_validity(x, -np.ones(40)))
    assert -1 <= density_validity(x[[0, 2, 20, 21, 22]], [0, 0, 1, 1, 1]) <= 1


def test_the_search_finds_the_arcs_and_k_means_cuts_them(moons):
    points, truth = moons
    config = ClusterConfig(min_cluster_size=20, min_samples=5, n_resamples=6)
    assert adjusted_rand_score(truth, config.labels(points)) > 0.9
    assert adjusted_rand_score(truth, kmeans_labels(points, 2)) < 0.7
    table = compare_clusterings(points, config)
    assert table["hdbscan"].n_clusters == 2 == table["k-means"].n_clusters
    assert 0 < table["hdbscan"].noise_share < 0.15 and table["k-means"].noise_share == 0
    assert table["hdbscan"].validity > table["k-means"].validity
    assert table["hdbscan"].stability > 0.8 > 0.5 > table["gaussian"].stability
    # One cloud has clusters too, if it is asked for small ones; they are thin and hold little.
    assert (
        table["gaussian"].noise_share > 0.5 and table["gaussian"].validity < 0.1 < table["hdbscan"].validity
    )


def test_the_null_keeps_mean_and_covariance_and_loses_the_clusters():
    x = np.random.default_rng(4).normal(size=(6000, 3)) + np.eye(3)[np.arange(6000) % 3] * 8
    null = gaussian_null(x, seed=5)
    np.testing.assert_allclose(null.mean(axis=0), x.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(null.T), np.cov(x.T), atol=1)
    assert len(set(ClusterConfig(100).labels(x))) > 2 and set(ClusterConfig(100).labels(null)) == {-1}


def test_stability_is_1_for_clusters_0_for_chance_and_0_for_nothing():
    draw = np.random.default_rng(6)
    x = np.concatenate([draw.normal(size=(60, 2)), draw.normal(size=(60, 2)) + 20])
    assert stability(x, ClusterConfig(10).labels) > 0.9
    assert stability(x, lambda p: kmeans_labels(p, 2)) == 1
    assert stability(x, lambda p: draw.integers(0, 2, len(p))) == pytest.approx(0, abs=0.02)
    for nothing in (-1, 0):
        assert stability(x, lambda p, label=nothing: np.full(len(p), label)) == 0


def test_enrichment_finds_planted_topics_and_adjusts_as_stated():
    draw = np.random.default_rng(7)
    labels = draw.integers(-1, 3, 400)
    topics = draw.gamma(0.3, size=(400, 10))
    topics[labels == 1, 4] += 0.2
    result = enrichment(labels, topics)
    assert list(zip(*np.nonzero(result.q_values < 0.05), strict=True)) == [(1, 4)]
    for k, t in ((0, 0), (1, 4), (2, 9)):
        inside = labels == k
        peer = mannwhitneyu(topics[inside, t], topics[~inside, t], alternative="greater", method="asymptotic")
        assert result.p_values[k, t] == pytest.approx(peer.pvalue)
        wins = np.mean(topics[inside, t][:, None] > topics[~inside, t])
        assert result.effect[k, t] == pytest.approx(wins)
    p = np.sort(result.p_values.ravel())  # Benjamini-Hochberg by hand
    expected = [min(p[j] * p.size / (j + 1) for j in range(i, p.size)) for i in range(p.size)]
    np.testing.assert_allclose(np.sort(result.q_values.ravel()), np.minimum(expected, 1), atol=1e-12)
    shuffled = enrichment(draw.permutation(labels), topics)
    assert (shuffled.q_values > 0.05).all()
    assert enrichment(labels, np.ones((400, 1))).q_values.min() > 0.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: density_validity(np.eye(3), [0, 1]), "labels"),
        (lambda: density_validity(np.eye(3), [0, 0, 1]), "one point"),
        (lambda: gaussian_null([1.0, 2.0]), "point, feature"),
        (lambda: stability(np.eye(3), ClusterConfig().labels, share=1.0), "share=1.0"),
        (lambda: enrichment([0, 0], np.eye(2)), "only one"),
        (lambda: enrichment([-1, -1], np.eye(2)), "no cluster"),
        (lambda: ClusterConfig(1), "min_cluster_size=1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
