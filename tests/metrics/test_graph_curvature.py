"""Curvature of small graphs by closed forms, of transport by a plain linear programme, and of flat points."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from sklearn.neighbors import NearestNeighbors

from neurolib.metrics.graph_curvature import (
    GraphCurvatureConfig,
    forman_ricci,
    graph_curvature,
    graph_curvature_of_neighbours,
    knn_graph,
    ollivier_ricci,
)


def graph_of(n, edges, lengths=1.0):
    table = np.zeros((n, n))
    table[tuple(np.transpose(edges))] = lengths
    return csr_array(table + table.T)


def cycle(n):
    return [(i, i + 1) for i in range(n - 1)] + [(0, n - 1)]


def flat(n, d, k, seed):
    x = np.random.default_rng(seed).random((n, d))
    gap = np.abs(x[:, None] - x)
    distance = np.linalg.norm(np.minimum(gap, 1 - gap), axis=2)
    near = np.argsort(distance, axis=1)[:, 1 : k + 1]
    return np.take_along_axis(distance, near, 1), near


@pytest.mark.parametrize("laziness", [0.5, 0.3])
def test_a_complete_graph_moves_only_what_stays_at_the_ends(laziness):
    edges = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    found = ollivier_ricci(graph_of(6, edges), edges, laziness)
    assert_allclose(found, 1 - abs(laziness - (1 - laziness) / 5))


@pytest.mark.parametrize(("n", "wanted"), [(3, 0.75), (4, 0.5), (5, 0.25), (6, 0), (9, 0)])
def test_a_long_cycle_is_flat_and_a_short_one_is_not(n, wanted):
    found = ollivier_ricci(graph_of(n, cycle(n)), cycle(n))
    assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_edges_of_a_tree_follow_their_degrees(scale):
    edges = [(0, 1), (0, 2), (0, 3), (3, 4), (3, 5), (5, 6), (5, 7), (5, 8)]
    degree = np.bincount(np.ravel(edges))
    wanted = [0.5 * (2 / degree[x] + 2 / degree[y] - 2) for x, y in edges]
    assert_allclose(ollivier_ricci(graph_of(9, edges, scale), edges), wanted, atol=1e-9)


def test_transport_is_that_of_all_mass_solved_one_edge_at_a_time():
    x = np.random.default_rng(0).normal(size=(60, 3))
    graph = knn_graph(*NearestNeighbors(n_neighbors=5).fit(x).kneighbors())
    length = dijkstra(graph)
    edges = np.argwhere(np.triu(graph.toarray()))[::7]
    wanted = []
    for ends in edges:
        mass = np.where(np.arange(60) == ends[:, None], 0.5, 0.0)
        for row, end in zip(mass, ends, strict=True):
            near = graph.toarray()[end] > 0
            row[near] += 0.5 / near.sum()
        first, second = (np.flatnonzero(row) for row in mass)
        sums = np.concatenate(
            [np.kron(np.eye(len(first)), np.ones(len(second))), np.tile(np.eye(len(second)), len(first))]
        )
        cost = length[np.ix_(first, second)].ravel()
        plan = linprog(cost, A_eq=sums, b_eq=np.concatenate([mass[0][first], mass[1][second]]))
        wanted.append(1 - plan.fun / length[tuple(ends)])
    assert_allclose(ollivier_ricci(graph, edges), wanted, atol=1e-8)


def test_forman_counts_degrees_and_triangles():
    edges = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4)]
    graph = graph_of(5, edges, np.arange(1.0, 7))
    degree = np.bincount(np.ravel(edges))
    plain = [4 - degree[x] - degree[y] for x, y in edges]
    assert_array_equal(forman_ricci(graph, edges, augmented=False), plain)
    assert_array_equal(forman_ricci(graph, edges) - plain, [3, 3, 6, 3, 3, 0])


def test_the_graph_has_an_edge_where_either_is_a_neighbour():
    distances, near = flat(40, 2, 3, 0)
    graph = knn_graph(distances, near).toarray()
    assert_array_equal(graph, graph.T)
    for i in range(40):
        wanted = set(near[i]) | {j for j in range(40) if i in near[j]}
        assert set(np.flatnonzero(graph[i])) == wanted


@pytest.mark.parametrize("k", [5, 10, 20])
def test_a_flat_torus_is_as_flat_points_are_and_the_raw_mean_is_not_zero(k):
    config = GraphCurvatureConfig(k=k, n_edges={5: 40, 10: 20, 20: 12}[k], n_nulls=12)
    found = [graph_curvature_of_neighbours(*flat(150, 6, k, seed), config) for seed in range(3)]
    # one torus in twenty is beyond 2 by chance, two in three are not
    assert abs(np.median([one.z for one in found])) < 2
    assert abs(np.median([one.z_degree for one in found])) < 2
    assert all(one.flat_dimensions[0] in (4, 5, 6, 7) for one in found)
    if k == 5:
        assert np.mean([one.curvature.mean() for one in found]) < -0.15


@pytest.mark.parametrize("measure", ["forman", "augmented_forman"])
def test_z_of_flat_points_has_the_spread_it_says(measure):
    config = GraphCurvatureConfig(measure, 8, n_edges=100, n_nulls=12)
    z = [graph_curvature_of_neighbours(*flat(100, 3, 8, seed), config) for seed in range(12)]
    assert np.isnan([one.z_degree for one in z]).all() == (measure == "forman")
    z = np.array([one.z for one in z])
    assert abs(z.mean()) < 0.8 and 0.5 < z.std() < 1.7


def test_a_cloud_with_a_dense_middle_is_flat_beside_its_like_alone():
    like, torus = [], []
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(200, 8))
        x = np.concatenate([x, x[:20]])  # copies count once
        for null, found in (("gaussian", like), ("torus", torus)):
            found.append(graph_curvature(x, GraphCurvatureConfig("forman", null=null, n_nulls=12)))
    assert abs(np.mean([one.z for one in like])) < 2 and min(abs(one.z) for one in torus) > 5
    assert like[0].n_points == 200 and like[0].edges.shape == like[0].degrees.shape == (300, 2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: GraphCurvatureConfig("sectional"), "ollivier"),
        (lambda: GraphCurvatureConfig(k=2), "k=2"),
        (lambda: GraphCurvatureConfig(k=50, n_points=100), "four times"),
        (lambda: graph_curvature(np.eye(20)), "20 different points"),
        (lambda: graph_curvature(np.full((100, 2), np.inf)), "finite"),
        (lambda: graph_curvature_of_neighbours(np.zeros((9, 10)), np.zeros((9, 10), int)), "no distance"),
        (lambda: graph_curvature_of_neighbours(np.ones((9, 4)), np.zeros((9, 4), int)), "k=10"),
        (lambda: ollivier_ricci(graph_of(4, [(0, 1), (1, 2), (2, 3)]), [[0, 3]]), "no edge"),
    ],
)
def test_what_has_no_graph_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
