"""Stated spreads against simulation, closed forms and SciPy; the homoscedastic head is caught."""

import numpy as np
import pytest
from scipy import stats

from neurolib.metrics.spread_calibration import (
    draws_pit,
    gaussian_pit,
    interval_coverage,
    normalised_calibration,
    quantile_calibration_error,
)


@pytest.fixture(scope="module")
def heteroscedastic():
    """Target, mean and spread of 20,000 Gaussian forecasts that are right."""
    draw = np.random.default_rng(0)
    mean, sd = draw.normal(size=20_000), draw.uniform(0.2, 3, 20_000)
    return mean + sd * draw.normal(size=20_000), mean, sd


def test_true_gaussians_are_covered_as_promised_and_scaled_ones_by_the_closed_form(heteroscedastic):
    target, mean, sd = heteroscedastic
    levels = np.array([0.5, 0.9])
    pit = gaussian_pit(target, mean, sd)
    np.testing.assert_allclose(pit, stats.norm.cdf(target, mean, sd), atol=1e-12)
    np.testing.assert_allclose(interval_coverage(pit, levels), levels, atol=0.01)
    assert quantile_calibration_error(pit) < 0.01
    # With half the spread a level is reached at half as many deviations.
    expected = 2 * stats.norm.cdf(stats.norm.ppf((1 + levels) / 2) / 2) - 1
    bold = gaussian_pit(target, mean, sd / 2)
    np.testing.assert_allclose(interval_coverage(bold, levels), expected, atol=0.01)
    assert quantile_calibration_error(bold) > 0.05


def test_a_biased_forecast_has_the_calibration_error_of_its_own_distribution_function(heteroscedastic):
    target, mean, sd = heteroscedastic
    pit = gaussian_pit(target + sd, mean, sd)  # every target one deviation too high
    levels = np.arange(1, 100) / 100
    expected = np.mean(levels - stats.norm.cdf(stats.norm.ppf(levels) - 1))
    assert quantile_calibration_error(pit) == pytest.approx(expected, abs=0.005)


def test_draws_rank_targets_as_a_slow_loop_does_and_cover_them():
    draw = np.random.default_rng(1)
    target, draws = draw.integers(0, 4, (5, 6)), draw.integers(0, 4, (19, 5, 6))  # many ties
    for index in np.ndindex(5, 6):
        below, equal = (draws[:, *index] < target[index]).sum(), (draws[:, *index] == target[index]).sum()
        assert draws_pit(target, draws)[index] == pytest.approx((below + equal / 2 + 0.5) / 20)
    x = draw.gamma(2, size=(200, 4000))
    pit = draws_pit(x[0], x[1:])
    np.testing.assert_allclose(interval_coverage(pit, [0.5, 0.9]), [0.5, 0.9], atol=0.02)
    assert interval_coverage(draws_pit(x[0] + 3, x[1:]), [0.9])[0] < 0.6


def test_normalised_error_has_closed_forms(heteroscedastic):
    target, mean, sd = heteroscedastic
    right, bold = normalised_calibration(target, mean, sd), normalised_calibration(target, mean, sd / 2)
    assert right.error < 0.03 and bold.error == pytest.approx(1.0, abs=0.05)  # |1 - 2| / 1
    assert right.dispersion == pytest.approx(sd.std() / sd.mean())
    shuffled = np.random.default_rng(2).permutation(sd)
    assert normalised_calibration(target, mean, shuffled).error > 0.3


def test_one_spread_for_all_is_calibrated_and_knows_nothing(heteroscedastic):
    target, mean, _ = heteroscedastic
    same = np.sqrt(np.mean((target - mean) ** 2))
    head = normalised_calibration(target, mean, same)
    assert head.error == pytest.approx(0, abs=1e-9) and head.dispersion == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_pit([1.0], 0.0, -1.0), "log-variance"),
        (lambda: gaussian_pit([np.nan], 0.0, 1.0), "missing"),
        (lambda: draws_pit([1.0, 2.0], [[1.0]]), "draws"),
        (lambda: interval_coverage([0.5], [90]), "from 0 to 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
