"""Canonical correlations against QR, population values, and tables that share nothing."""

import numpy as np
import pytest

from neurolib.metrics.canonical import CanonicalConfig, canonical_correlations


def tables(n, shared=(0.9, 0.7), n_x=8, n_y=6, seed=0, rotate=True):
    """Gaussian tables whose population canonical correlations are ``shared`` and zeros."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(n, n_x)), draw.normal(size=(n, n_y))
    for k, r in enumerate(shared):
        y[:, k] = r * x[:, k] + np.sqrt(1 - r**2) * y[:, k]
    if rotate:
        x, y = x @ draw.normal(size=(n_x, n_x)) + 5, y @ draw.normal(size=(n_y, n_y)) - 2
    return x, y


def found(x, y, **settings):
    half = len(x) // 2
    return canonical_correlations(x[:half], y[:half], x[half:], y[half:], CanonicalConfig(**settings))


def test_without_a_ridge_training_correlations_are_those_of_qr():
    x, y = tables(400)
    bases = [np.linalg.qr(part[:200] - part[:200].mean(axis=0))[0] for part in (x, y)]
    expected = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    result = found(x, y, ridge=0, n_permutations=2)
    np.testing.assert_allclose(result.train, expected, atol=1e-10)
    variates = (x[:200] - x[:200].mean(axis=0)) @ result.x_weights
    np.testing.assert_allclose(variates.T @ variates / 200, np.eye(6), atol=1e-10)
    others = y[200:] @ result.y_weights
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in zip((x[200:] @ result.x_weights).T, others.T, strict=True)]
    np.testing.assert_allclose(result.test, pairs, atol=1e-10)


def test_test_correlations_reach_the_population_and_shared_directions_are_counted():
    result = found(*tables(4000))
    np.testing.assert_allclose(result.test[:2], [0.9, 0.7], atol=0.05)
    assert result.n_above == 2 and np.abs(result.test[2:]).max() < result.threshold < 0.1


def test_wide_tables_agree_in_training_whatever_they_are_and_not_on_test_rows():
    x, y = tables(120, shared=(), n_x=40, n_y=40, seed=1)
    result = found(x, y, n_components=40, ridge=0)
    assert result.train[0] > 0.95 and result.n_above == 0
    shuffled = np.random.default_rng(2).permutation(tables(1000)[1])
    assert found(tables(1000)[0], shuffled).n_above == 0


def test_chance_is_counted_as_often_as_allowed():
    counts = [found(*tables(80, (), 4, 3, seed), n_permutations=99).n_above for seed in range(120)]
    assert np.mean(np.array(counts) > 0) < 0.11


def test_each_permutation_is_fitted_and_scored_like_the_tables_themselves():
    x, y = tables(100, seed=3)
    draw, config = np.random.default_rng(0), CanonicalConfig(n_permutations=2)
    result = canonical_correlations(x[:50], y[:50], x[50:], y[50:], config)
    for row in result.null:
        a, b = draw.permutation(50), draw.permutation(50)
        again = canonical_correlations(x[:50], y[:50][a], x[50:], y[50:][b], config)
        np.testing.assert_allclose(row, again.test, atol=1e-10)


def test_few_components_see_only_what_varies_most_and_a_ridge_prefers_it():
    draw = np.random.default_rng(4)
    loud, quiet = draw.normal(size=(2, 400, 1))
    x = np.hstack([10 * draw.normal(size=(400, 1)), loud * 3, quiet * 0.1])
    y = np.hstack([quiet + 0.1 * draw.normal(size=(400, 1)), loud + 0.5 * draw.normal(size=(400, 1))])
    assert found(x, y, n_components=2, ridge=0).n_above == 1
    assert found(x, y, n_components=3, ridge=0).n_above == 2
    weights = [np.abs(found(x, y, ridge=ridge).x_weights[2]).max() for ridge in (0, 1.0)]
    assert weights[1] < weights[0] / 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: canonical_correlations(*[np.eye(4)] * 3, np.eye(5)), "do not match"),
        (lambda: canonical_correlations(*[np.full((4, 2), np.nan)] * 4), "finite"),
        (lambda: canonical_correlations(np.ones((4, 2)), *[np.eye(4, 2)] * 3), "rows of x"),
        (lambda: CanonicalConfig(ridge=-1), "ridge=-1"),
        (lambda: CanonicalConfig(n_components=0), "n_components=0"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
