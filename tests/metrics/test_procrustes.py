from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from scipy.stats import ortho_group

from neurolib.metrics.procrustes import (
    SearchConfig,
    align_operators,
    eigenvalue_distance,
    procrustes_distance,
    scramble_operator,
)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def operators(r, kind, seed):
    """A damped rotation in all planes, or a matrix of independent normals, and one unrelated to it."""
    draw = np.random.default_rng(seed)
    noise = draw.standard_normal((2, r, r)) / np.sqrt(r)
    return noise if kind == "normal" else 0.95 * ortho_group.rvs(r, 2, random_state=seed) + 0.1 * noise


@pytest.mark.parametrize("kind", ["normal", "rotating"])
@pytest.mark.parametrize("r", [2, 3, 5, 8, 10])
def test_a_rotated_or_reflected_operator_is_at_distance_zero(r, kind):
    for seed in range(6):
        a = operators(r, kind, seed)[0]
        turn = ortho_group.rvs(r, random_state=100 + seed)
        turn[0] *= 1 if seed % 2 else -1
        assert procrustes_distance(a, turn @ a @ turn.T) < 1e-9
        assert procrustes_distance(a, 3 * turn @ a @ turn.T) < 1e-9
        assert procrustes_distance(a, turn @ a @ turn.T, "euclidean") < 1e-9


@pytest.mark.parametrize("kind", ["normal", "rotating"])
def test_matched_eigenvectors_alone_find_a_rotated_copy(kind):
    alone = SearchConfig(n_starts=1, n_refined=1)
    for seed in range(6):
        a = operators(9, kind, seed)[0]
        turn = ortho_group.rvs(9, random_state=100 + seed)
        assert procrustes_distance(a, turn @ a @ turn.T, search=alone) < 1e-9


@pytest.mark.parametrize(
    "a",
    [
        np.eye(4),
        ortho_group.rvs(6, random_state=0),
        scipy.linalg.block_diag(*[0.9 * rotation(0.3)] * 3),  # every eigenvalue three times
        np.diag(np.ones(4), 1),  # nilpotent: one eigenvector for five eigenvalues
        np.eye(5)[[1, 2, 3, 4, 0]],
        np.outer(np.arange(1, 5), np.ones(4)),
        np.diag([1.0, 1.0, 0.5, 0.5, 0.5, 0.0]),
        np.array([[2.0]]),
    ],
    ids=["identity", "orthogonal", "repeated", "nilpotent", "cycle", "rank one", "projections", "scalar"],
)
def test_degenerate_operators_find_their_rotated_selves(a):
    turn = ortho_group.rvs(len(a), random_state=1) if len(a) > 1 else -np.eye(1)
    assert procrustes_distance(a, turn @ a @ turn.T) < 1e-7


def test_angle_of_planar_rotations_is_the_difference_of_their_speeds():
    for first, second in [(0.3, 0.1), (0.3, -0.1), (2.0, 0.5), (1.0, 1.0 + 1e-9)]:
        expected = abs(abs(first) - abs(second))
        assert procrustes_distance(rotation(first), rotation(second)) == pytest.approx(expected, abs=1e-13)
    assert procrustes_distance(np.eye(3), -np.eye(3)) == pytest.approx(np.pi, abs=1e-13)


def test_symmetric_operators_pair_their_sorted_eigenvalues():
    draw = np.random.default_rng(0)
    for r in (3, 7):
        a, b = (x + x.T for x in draw.standard_normal((2, r, r)))
        expected = np.linalg.norm(np.linalg.eigvalsh(a) - np.linalg.eigvalsh(b))
        assert procrustes_distance(a, b, "euclidean") == pytest.approx(expected, rel=1e-12)


def test_nothing_on_a_fine_grid_of_plane_rotations_and_reflections_is_closer():
    draw = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    turns = np.moveaxis(rotation(angle), 2, 0)
    group = np.concatenate([turns, turns * [1, -1]])
    for a, b in draw.standard_normal((20, 2, 2, 2)):
        grid = np.linalg.norm(a - group @ b @ group.swapaxes(1, 2), axis=(1, 2)).min()
        ours = procrustes_distance(a, b, "euclidean")
        assert grid - 1e-3 < ours < grid + 1e-12


@pytest.mark.parametrize("kind", ["normal", "rotating"])
def test_random_restarts_of_a_general_optimiser_find_nothing_closer(kind):
    a, b = operators(4, kind, 3)
    upper = np.triu_indices(4, 1)

    def residual(x, reflection):
        skew = np.zeros((4, 4))
        skew[upper] = x
        turn = scipy.linalg.expm(skew - skew.T) @ reflection
        return np.sum((a - turn @ b @ turn.T) ** 2)

    draw = np.random.default_rng(0)
    found = [
        scipy.optimize.minimize(residual, draw.uniform(-3, 3, 6), args=(np.diag([sign, 1, 1, 1]),)).fun
        for sign in (1, -1)
        for _ in range(12)
    ]
    assert procrustes_distance(a, b, "euclidean") == pytest.approx(np.sqrt(min(found)), abs=1e-5)


def test_the_alignment_is_orthogonal_and_stationary():
    a, b = operators(7, "normal", 5)
    turn = align_operators(a, b)
    np.testing.assert_allclose(turn @ turn.T, np.eye(7), atol=1e-13)
    moved = turn @ b @ turn.T
    slope = a @ moved.T - moved.T @ a
    assert np.abs(slope - slope.T).max() < 1e-6


@pytest.mark.parametrize("metric", ["angular", "euclidean"])
def test_it_is_a_metric(metric):
    points = [m for seed in range(3) for m in operators(5, "rotating", seed)]
    d = np.array([[procrustes_distance(a, b, metric) for b in points] for a in points])
    np.testing.assert_allclose(d, d.T, atol=1e-9)
    assert (d[:, None] <= d[:, :, None] + d[None] + 1e-9).all()
    turn = ortho_group.rvs(5, random_state=9)
    assert procrustes_distance(turn @ points[0] @ turn.T, points[1], metric) == pytest.approx(d[0, 1])


def test_transposing_is_a_reflection_in_two_dimensions_and_not_in_three():
    draw = np.random.default_rng(2)
    planar, spatial = draw.standard_normal((2, 2)), draw.standard_normal((3, 3))
    assert procrustes_distance(planar, planar.T) < 1e-9
    assert procrustes_distance(spatial, spatial.T) > 0.05


def test_eigenvalues_are_paired_at_least_cost():
    a, b = operators(4, "normal", 0)
    values = np.linalg.eigvals(a), np.linalg.eigvals(b)
    least = min(np.mean(np.abs(values[0] - values[1][list(order)]) ** 2) for order in permutations(range(4)))
    assert eigenvalue_distance(a, b) == pytest.approx(np.sqrt(least))


def test_distance_is_never_larger_than_that_of_dsa_metric():
    peer, torch = pytest.importorskip("DSA"), pytest.importorskip("torch")
    for kind in ("normal", "rotating"):
        for b in (operators(4, kind, 0)[1], 0.9 * operators(4, kind, 0)[0].T):
            a = operators(4, kind, 0)[0]
            torch.manual_seed(0)
            scorer = peer.SimilarityTransformDist(iters=400, lr=5e-3, score_method="angular")
            theirs = scorer.fit_score(*(torch.tensor(x, dtype=torch.float32) for x in (a, b)))
            assert procrustes_distance(a, b) <= theirs + 1e-4
            scorer = peer.SimilarityTransformDist(score_method="wasserstein")
            squared = scorer.fit_score(torch.tensor(a), torch.tensor(b))
            assert eigenvalue_distance(a, b) ** 2 == pytest.approx(squared, rel=1e-5)


def test_a_scrambled_operator_keeps_its_gains_and_goes_far():
    a = operators(6, "rotating", 0)[0]
    scrambled = scramble_operator(a, seed=4)
    np.testing.assert_allclose(*(np.linalg.svd(x, compute_uv=False) for x in (a, scrambled)))
    assert procrustes_distance(a, scrambled) > 0.1
    np.testing.assert_array_equal(scrambled, scramble_operator(a, seed=4))


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(3, 3\).*same rank"):
        procrustes_distance(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="not finite"):
        procrustes_distance(np.full((2, 2), np.nan), np.eye(2))
    with pytest.raises(ValueError, match="zeros"):
        procrustes_distance(np.zeros((2, 2)), np.eye(2))
    with pytest.raises(ValueError, match="'cosine'"):
        procrustes_distance(np.eye(2), np.eye(2), "cosine")
    with pytest.raises(ValueError, match="n_refined=4"):
        SearchConfig(n_starts=2, n_refined=4)
