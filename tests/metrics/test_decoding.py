"""Decoding scores against scikit-learn, scipy and sums taken bin by bin."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import explained_variance_score, r2_score

from neurolib.metrics.decoding import (
    SquaredErrors,
    explained_variance,
    pearson_r,
    r2_per_output,
    r2_uniform,
    r2_variance_weighted,
    squared_errors,
)

SCORES = r2_variance_weighted, r2_per_output, r2_uniform, explained_variance, pearson_r


@pytest.fixture
def pair():
    """Three outputs of unlike variance and offset, the last badly predicted."""
    draw = np.random.default_rng(0)
    target = draw.normal(size=(90, 3)) * [1, 5, 0.2] + [0, 100, -3]
    return target, 0.8 * target + draw.normal(size=(90, 3)) * [0.3, 1, 1] + 2


def test_scores_equal_those_of_scikit_learn_and_scipy(pair):
    raw = {"multioutput": "raw_values"}
    assert r2_variance_weighted(*pair) == pytest.approx(
        r2_score(*pair, multioutput="variance_weighted"), abs=1e-12
    )
    assert r2_uniform(*pair) == pytest.approx(r2_score(*pair), abs=1e-12)
    np.testing.assert_allclose(r2_per_output(*pair), r2_score(*pair, **raw), atol=1e-12)
    assert explained_variance(*pair) == pytest.approx(explained_variance_score(*pair), abs=1e-12)
    np.testing.assert_allclose(
        explained_variance(*pair, per_output=True), explained_variance_score(*pair, **raw), atol=1e-12
    )
    np.testing.assert_allclose(
        pearson_r(*pair), [pearsonr(y, p).statistic for y, p in zip(*np.swapaxes(pair, 1, 2), strict=True)]
    )


@pytest.mark.parametrize("score", SCORES)
def test_a_mask_scores_what_it_keeps_and_ignores_gaps_elsewhere(score, pair):
    target, prediction = pair
    mask = np.random.default_rng(1).random(90) < 0.6
    gaps = np.where(mask[:, None], target, np.nan)
    np.testing.assert_array_equal(score(gaps, prediction, mask), score(target[mask], prediction[mask]))


def test_r2_is_not_symmetric_so_the_order_of_arguments_matters(pair):
    target, prediction = pair
    assert abs(r2_variance_weighted(target, prediction) - r2_variance_weighted(prediction, target)) > 0.05


def test_a_constant_prediction_correlates_with_nothing(pair):
    target, prediction = pair
    prediction[:, 1] = 0.1
    assert pearson_r(target, prediction)[1] == 0
    assert np.isfinite(pearson_r(target, prediction)).all()


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda y, p: (y, p[:-1]), "differ in shape"),
        (lambda y, p: (y[:, 0], p[:, 0]), r"target\[:, None\]"),
        (
            lambda y, p: (np.where(np.arange(90)[:, None] == 7, np.nan, y), p),
            "target is not finite in 1 of 90.*bin 7",
        ),
        (lambda y, p: (y, p * np.inf), "prediction is not finite in 90"),
        (lambda y, p: (y * 0 + 0.1, p), r"output 0 of the target is constant \(0.1\)"),
        (lambda y, p: (y, p, np.ones((90, 3), bool)), "one per bin"),
        (lambda y, p: (y, p, np.arange(90)), "must be bool"),
        (lambda y, p: (y, p, np.zeros(90, bool)), "no bins"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(score, spoil, message, pair):
    with pytest.raises(ValueError, match=message):
        score(*spoil(*pair))


@pytest.fixture
def trials(pair):
    lengths = np.array([10, 30, 5, 25, 20])
    return squared_errors(*pair, lengths), *(np.split(x, np.cumsum(lengths)[:-1]) for x in pair)


def test_r2_of_drawn_trials_equals_that_of_their_stacked_bins(trials):
    errors, target, prediction = trials
    draws = np.random.default_rng(2).integers(0, 5, (20, 5))
    weights = np.array([np.bincount(draw, minlength=5) for draw in draws])
    stacked = [[np.concatenate([x[i] for i in draw]) for x in (target, prediction)] for draw in draws]
    np.testing.assert_allclose(errors.r2(weights), [r2_variance_weighted(*s) for s in stacked], rtol=1e-9)
    np.testing.assert_allclose(errors.r2_per_output(weights), [r2_per_output(*s) for s in stacked], rtol=1e-9)
    assert len(set(errors.r2(weights).round(6))) > 10


def test_all_trials_together_give_the_plain_score(trials, pair):
    errors = trials[0]
    assert len(errors) == 5
    assert isinstance(errors.r2(), float)
    assert errors.r2() == pytest.approx(r2_variance_weighted(*pair), rel=1e-9)
    np.testing.assert_allclose(errors.r2_per_output(), r2_per_output(*pair), rtol=1e-9)


def test_a_mean_a_thousand_spreads_away_costs_no_visible_precision():
    draw = np.random.default_rng(3)
    target = draw.normal(size=(500, 1)) + 1000
    prediction = target + draw.normal(size=(500, 1))
    errors = squared_errors(target, prediction, [100] * 5)
    assert errors.r2() == pytest.approx(r2_variance_weighted(target, prediction), abs=1e-8)


def test_a_draw_without_spread_is_refused():
    errors = squared_errors([[1.0], [1.0], [3.0], [5.0]], np.zeros((4, 1)), [2, 2])
    assert errors.r2([1, 1]) < 0
    for weights in ([3, 0], [0, 0]):
        with pytest.raises(ValueError, match="constant in a draw"):
            errors.r2(weights)
    with pytest.raises(ValueError, match="for 2 trials"):
        errors.r2([1, 1, 1])


def test_lengths_and_sums_must_fit(pair):
    for lengths in ([40, 40], [90, 0], [[90]]):
        with pytest.raises(ValueError, match="sum to 90 bins"):
            squared_errors(*pair, lengths)
    with pytest.raises(ValueError, match="n_bins"):
        SquaredErrors(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)))
