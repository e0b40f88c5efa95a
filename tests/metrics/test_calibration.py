"""Calibration against slow loops, closed forms and scikit-learn; do-nothing forecasts are told apart."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.calibration import calibration_curve

from neurolib.metrics.calibration import (
    brier_score,
    brier_skill_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
    temper,
)


@pytest.fixture(scope="module")
def rare_events():
    """True probabilities of a rare event, and what happened: ``(300, 200)`` each."""
    draw = np.random.default_rng(0)
    p = draw.beta(0.5, 8, (300, 200))
    return p, draw.random(p.shape) < p


def slow_error(p, y, n_bins, equal_mass):
    """Equal forecasts share the bin in which the middle of their ranks lies."""
    p, y, n = p.ravel(), y.ravel(), p.size
    bins = {}
    for i in range(n):
        share = ((p < p[i]).sum() + (p == p[i]).sum() / 2) / n if equal_mass else p[i]
        bins.setdefault(min(int(share * n_bins), n_bins - 1), []).append(i)
    return sum(len(rows) * abs(p[rows].mean() - y[rows].mean()) for rows in bins.values()) / n


@pytest.mark.parametrize("equal_mass", [False, True])
def test_calibration_error_equals_a_slow_loop_with_ties(equal_mass):
    draw = np.random.default_rng(1)
    for p in (draw.random((7, 60)), draw.integers(0, 4, (7, 60)) / 4):
        y = draw.random(p.shape) < 0.4
        expected = slow_error(p, y, 9, equal_mass)
        assert expected_calibration_error(p, y, 9, equal_mass) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_curve_is_scikit_learns(equal_mass, rare_events):
    p, y = rare_events
    observed, forecast = calibration_curve(
        y.ravel(), p.ravel(), n_bins=10, strategy="quantile" if equal_mass else "uniform"
    )
    ours = reliability(p, y, 10, equal_mass)
    np.testing.assert_allclose(ours.forecast, forecast, atol=1e-3 if equal_mass else 1e-12)
    np.testing.assert_allclose(ours.observed, observed, atol=1e-3 if equal_mass else 1e-12)
    assert ours.count.sum() == p.size


def test_zeros_and_base_rates_pass_calibration_and_fail_skill(rare_events):
    p, y = rare_events
    rate = y.mean()
    zeros, constant = np.zeros_like(p), np.full_like(p, rate)
    assert expected_calibration_error(zeros, y) == pytest.approx(rate) and rate < 0.07
    assert brier_skill_score(zeros, y) == pytest.approx(1 - 1 / (1 - rate)) and rate > 0.05  # below 0
    assert expected_calibration_error(constant, y) == pytest.approx(0, abs=1e-12)
    assert brier_skill_score(constant, y) == pytest.approx(0, abs=1e-12)
    shuffled = np.random.default_rng(2).permutation(p.ravel()).reshape(p.shape)
    assert brier_skill_score(shuffled, y) < -0.05
    # The oracle explains var(p) of the p (1 - p) there is.
    assert brier_skill_score(p, y) == pytest.approx(p.var() / (rate * (1 - rate)), abs=0.01)
    assert expected_calibration_error(p, y) < 0.003
    assert brier_skill_score(y, y) == 1 and brier_score(y, y) == 0


def test_the_slope_tells_bold_from_timid(rare_events):
    p, y = rare_events
    centre = p.mean()
    assert reliability(p, y).slope == pytest.approx(1, abs=0.03)
    assert reliability(centre + (p - centre) / 2, y).slope == pytest.approx(2, abs=0.06)
    assert reliability(1 - (1 - p) ** 2, y).slope < 0.8
    assert np.isnan(reliability(np.full(4, 0.25), [0, 0, 0, 1]).slope)


@pytest.fixture(scope="module")
def maps():
    """Log-probabilities ``(80, 30)`` and 2,400 outcomes of them, several per row, none in row 0."""
    draw = np.random.default_rng(3)
    log_p = log_softmax(draw.normal(size=(80, 30)) * 1.5, axis=1)
    rows = draw.integers(1, 80, 2400)
    return log_p, rows, np.array([draw.choice(30, p=np.exp(log_p[row])) for row in rows])


@pytest.mark.parametrize("truth", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_by_a_grid_too_and_is_the_true_one(maps, truth):
    log_p, rows, columns = maps
    stated = log_p * truth + 7.0  # a constant per row is no forecast
    fit = fit_temperature(stated, columns, rows)

    def nats(t):
        return -np.mean(log_softmax(stated / t, axis=1)[rows, columns])

    grid = truth * np.linspace(0.9, 1.1, 21)
    losses = [nats(t) for t in grid]
    assert abs(fit.temperature - grid[np.argmin(losses)]) <= 0.011 * truth
    assert fit.fitted_nats == pytest.approx(nats(fit.temperature), abs=1e-9) and fit.fitted_nats <= min(
        losses
    )
    assert fit.nats == pytest.approx(nats(1.0), abs=1e-9)
    assert fit.temperature == pytest.approx(truth, rel=0.06)


def test_a_forecast_of_other_rows_is_flattened_as_far_as_allowed(maps):
    log_p, rows, columns = maps
    other = np.random.default_rng(4).permutation(columns)
    assert fit_temperature(log_p, other, rows).temperature > 5


def test_temper_is_powers_renormalised():
    p = np.random.default_rng(5).dirichlet(np.ones(6), (3, 4))
    expected = p ** (1 / 2.5)
    np.testing.assert_allclose(
        np.exp(temper(np.log(p) - 3, 2.5)), expected / expected.sum(axis=-1, keepdims=True), atol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability([0.5, 1.2], [0, 1]), "logits"),
        (lambda: reliability([0.5, np.nan], [0, 1]), "span"),
        (lambda: reliability([0.5], [0, 1]), "one shape"),
        (lambda: reliability([0.5], [3]), "0 or 1"),
        (lambda: reliability([0.5], [1], n_bins=0), "n_bins=0"),
        (lambda: brier_skill_score([0.5, 0.5], [1, 1]), "no error"),
        (lambda: temper([0.0], 0), "positive"),
        (lambda: fit_temperature([[0.0, -np.inf]], [1]), "floor"),
        (lambda: fit_temperature([[0.0, -1.0]], [1, 0]), "rows="),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
