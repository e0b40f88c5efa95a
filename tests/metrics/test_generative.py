"""Neighbour scores, PRD and Frechet distances against slow loops, closed forms and samplers known to be bad."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from neurolib.metrics.generative import (
    expected_coverage,
    frechet_distance,
    frechet_excess,
    gaussian_frechet,
    neighbour_scores,
    prd_curve,
    prd_summary,
    spread_ratio,
)


def slow_scores(real, generated, k):
    def radius(points, i):
        return sorted(np.linalg.norm(points - points[i], axis=1))[k]

    inside = [[np.linalg.norm(r - g) <= radius(real, i) for g in generated] for i, r in enumerate(real)]
    recalled = [
        any(np.linalg.norm(r - g) <= radius(generated, j) for j, g in enumerate(generated)) for r in real
    ]
    return (
        np.mean(np.any(inside, axis=0)),
        np.mean(recalled),
        np.sum(inside) / (k * len(generated)),
        np.mean(np.any(inside, axis=1)),
    )


@pytest.mark.parametrize("k", [1, 3])
def test_scores_equal_a_slow_loop(k, monkeypatch):
    draw = np.random.default_rng(0)
    real, generated = draw.normal(size=(23, 3)), draw.normal(size=(31, 3)) + 0.8
    real[4] = real[5]  # a duplicate has a ball of radius 0
    expected = slow_scores(real, generated, k)
    np.testing.assert_allclose(neighbour_scores(real, generated, k), expected, atol=1e-12)
    monkeypatch.setattr("neurolib.metrics.generative.BLOCK", 70)  # a few rows at a time
    np.testing.assert_allclose(neighbour_scores(real, generated, k), expected, atol=1e-12)


@pytest.fixture(scope="module")
def clouds():
    """Real points, more real ones, and four samplers that go wrong; 500 x 8 each."""
    draw = np.random.default_rng(1)
    modes = np.eye(8)[:3] * 7

    def sample(n_modes):
        return modes[draw.integers(0, n_modes, 500)] + draw.normal(size=(500, 8))

    real = sample(3)
    return {
        "real": real,
        "more": sample(3),
        "bland": real[draw.integers(0, 500, 500)] * 0.02
        + modes.mean(axis=0)
        + draw.normal(size=(500, 8)) * 0.02,
        "shrunk": modes[draw.integers(0, 3, 500)] + 0.5 * draw.normal(size=(500, 8)),
        "dropped": sample(1),
        "wide": 3 * sample(3),
    }


def test_real_points_score_what_theory_expects(clouds):
    scores = neighbour_scores(clouds["real"], clouds["more"], k=5)
    assert scores.coverage == pytest.approx(expected_coverage(500, 500, 5), abs=0.03)
    assert scores.density == pytest.approx(1, abs=0.1)
    assert spread_ratio(clouds["real"], clouds["more"]) == pytest.approx(1, abs=0.05)


def test_expected_coverage_is_that_of_random_order():
    """In one dimension coverage is a matter of ranks alone: 4,000 random orders of 4 and 6."""
    draw, found = np.random.default_rng(2), []
    for _ in range(4000):
        x = draw.random(10)
        found.append(neighbour_scores(x[:4, None], x[4:, None], k=2).coverage)
    assert np.mean(found) == pytest.approx(expected_coverage(4, 6, 2), abs=0.01)


def test_blandness_beats_real_precision_and_density_and_loses_recall(clouds):
    ceiling = neighbour_scores(clouds["real"], clouds["more"])
    shrunk = neighbour_scores(clouds["real"], clouds["shrunk"])
    assert shrunk.precision > ceiling.precision and shrunk.density > 2 * ceiling.density
    assert shrunk.recall < ceiling.recall - 0.5
    assert spread_ratio(clouds["real"], clouds["bland"]) < 0.3


def test_dropped_modes_and_stray_samples_are_told_apart(clouds):
    dropped, wide = (prd_summary(clouds["real"], clouds[name], n_runs=3) for name in ("dropped", "wide"))
    more = prd_summary(clouds["real"], clouds["more"], n_runs=3)
    assert min(more) > 0.9
    assert dropped.f8 < 0.45 < 0.8 < dropped.f_eighth
    assert wide.f_eighth < 0.5 > neighbour_scores(clouds["real"], clouds["wide"]).precision
    assert neighbour_scores(clouds["real"], clouds["dropped"]).coverage < 0.45


def test_the_prd_curve_has_total_variation_at_equal_trade_off_and_mirrors():
    draw = np.random.default_rng(3)
    p, q = draw.dirichlet(np.full(6, 0.5), 2)
    precision, recall = prd_curve(p, q, 101)
    assert precision[50] == pytest.approx(recall[50])
    assert precision[50] == pytest.approx(1 - np.abs(p - q).sum() / 2)
    mirrored = prd_curve(q, p, 101)
    np.testing.assert_allclose(mirrored[0], recall[::-1], atol=1e-9)
    np.testing.assert_allclose(precision, recall * np.tan(np.pi / 2 * np.arange(1, 102) / 102), rtol=1e-6)


def test_sets_of_unequal_size_may_be_alike():
    x = np.random.default_rng(4).normal(size=(600, 2))
    assert min(prd_summary(x[:500], x[500:], n_clusters=4, n_runs=2)) > 0.9


def test_the_gaussian_distance_equals_matrix_roots_and_a_diagonal_form():
    draw = np.random.default_rng(5)
    (m1, m2), (a, b) = draw.normal(size=(2, 4)), draw.normal(size=(2, 4, 6))
    c1, c2 = a @ a.T, b @ b.T
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert gaussian_frechet(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-8)
    assert gaussian_frechet(m1, c1, m1, c1) == pytest.approx(0, abs=1e-10)
    s, t = np.array([1.0, 2, 3, 0]), np.array([2.0, 2, 1, 1])
    assert gaussian_frechet(m1, np.diag(s**2), m1, np.diag(t**2)) == pytest.approx(((s - t) ** 2).sum())


def test_the_excess_has_no_bias_where_the_distance_has_much():
    draw = np.random.default_rng(6)
    same, plain, moved = [], [], []
    for _ in range(12):
        a, b = draw.normal(size=(80, 12)), draw.normal(size=(50, 12))
        same.append(frechet_excess(a, b, n_splits=4).excess)
        plain.append(frechet_distance(a, b))
        moved.append(frechet_excess(a, b + 0.5, n_splits=4).excess)
    error = np.std(same) / np.sqrt(12)
    assert abs(np.mean(same)) < 3 * error and error < 0.1 < np.mean(plain)
    assert np.mean(moved) == pytest.approx(12 * 0.25, abs=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: neighbour_scores(np.zeros((3, 2)), np.zeros((9, 2)), k=3), "k=3"),
        (lambda: neighbour_scores(np.zeros((3, 2)), np.zeros((9, 1))), "same features"),
        (lambda: frechet_distance(np.zeros((3, 2)), np.full((9, 2), np.nan)), "finite"),
        (lambda: frechet_excess(np.zeros((3, 2)), np.zeros((9, 2))), "halved"),
        (lambda: prd_curve([1, 0], [0, 0]), "hold something"),
        (lambda: prd_summary(np.zeros((3, 2)), np.zeros((3, 2))), "20 clusters"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
