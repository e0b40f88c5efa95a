"""Unit scores against scipy's Poisson law, the benchmark's own code and the pooled score."""

import numpy as np
import pytest
from scipy.stats import poisson

from neurolib.metrics.spikes import bits_per_spike, co_smoothing_bits
from neurolib.metrics.unit_bits import bits_per_unit, mean_rates


@pytest.fixture
def spikes():
    """True rates and counts of busy and quiet units, 20 trials of 30 bins and 5 units."""
    draw = np.random.default_rng(0)
    rates = np.array([2.0, 0.5, 0.1, 0.05, 1.0]) * np.exp(0.7 * draw.normal(size=(20, 30, 5)))
    return rates, draw.poisson(rates).astype(float)


def test_each_unit_scores_what_scipy_says(spikes):
    rates, counts = spikes
    null = np.array([1.0, 1.0, 0.2, 0.1, 2.0])
    gain = (poisson.logpmf(counts, rates) - poisson.logpmf(counts, null)).sum(axis=(0, 1))
    np.testing.assert_allclose(
        bits_per_unit(rates, counts, null), gain / counts.sum(axis=(0, 1)) / np.log(2), rtol=1e-11
    )


def test_units_scored_alone_are_the_benchmark_unit_by_unit(spikes):
    nlb = pytest.importorskip("nlb_tools.evaluation", reason="the peer is an optional package")
    rates, counts = spikes
    counts[3:6, 20:] = np.nan
    rates[3, 25] = np.nan  # unobserved, so it must not matter
    rates[rates < 0.03] = 0
    alone = [nlb.bits_per_spike(rates[..., [u]].copy(), counts[..., [u]]) for u in range(5)]
    np.testing.assert_allclose(bits_per_unit(rates, counts), alone, atol=1e-9)


def test_weighted_by_spikes_they_make_the_pooled_score(spikes):
    rates, counts = spikes
    weights = counts.sum(axis=(0, 1)) / counts.sum()
    pooled = (weights * bits_per_unit(rates, counts)).sum()
    assert pooled == pytest.approx(co_smoothing_bits(rates, counts), abs=1e-12)
    assert pooled != pytest.approx(np.mean(bits_per_unit(rates, counts)), abs=1e-3)
    assert pooled == pytest.approx(bits_per_spike(rates, counts), abs=1e-12)


def test_the_null_that_has_seen_the_test_trials_is_harder_to_beat(spikes):
    rates, counts = spikes
    train, test = counts[:10], counts[10:]
    evaluated = bits_per_unit(rates[10:], test)
    beforehand = bits_per_unit(rates[10:], test, mean_rates(train))
    assert (beforehand >= evaluated).all() and (beforehand > evaluated).sum() >= 4
    constant = np.broadcast_to(mean_rates(train), test.shape)
    np.testing.assert_allclose(bits_per_unit(constant, test, mean_rates(train)), 0, atol=1e-12)
    assert (bits_per_unit(constant, test) <= 1e-12).all() and bits_per_unit(constant, test).min() < -0.005


def test_a_mean_over_units_is_no_null_for_units(spikes):
    """Mistaking the axes makes one mean for all units, and a constant then seems to know much."""
    _, counts = spikes
    constant = np.broadcast_to(mean_rates(counts), counts.shape)
    pooled = np.full(5, counts.mean())
    weights = counts.sum(axis=(0, 1)) / counts.sum()
    assert (weights * bits_per_unit(constant, counts)).sum() == pytest.approx(0, abs=1e-12)
    assert (weights * bits_per_unit(constant, counts, pooled)).sum() > 0.3


def test_a_silent_unit_has_no_score_and_spoils_no_other(spikes):
    rates, counts = spikes
    whole = bits_per_unit(rates, counts)
    counts[..., 2] = 0
    without = bits_per_unit(rates, counts)
    assert np.isnan(without[2])
    np.testing.assert_array_equal(np.delete(without, 2), np.delete(whole, 2))


def test_what_has_no_likelihood_is_refused(spikes):
    rates, counts = spikes
    with pytest.raises(ValueError, match="log-rates"):
        bits_per_unit(np.log(rates), counts)
    with pytest.raises(ValueError, match="must not be negative"):
        bits_per_unit(rates, counts - 1)
    with pytest.raises(ValueError, match="one shape"):
        bits_per_unit(rates[:3], counts)
    with pytest.raises(ValueError, match=r"null \(20, 30, 5\)"):
        bits_per_unit(rates, counts, counts)
    with pytest.raises(ValueError, match="the null must be finite"):
        bits_per_unit(rates, counts, np.full(5, np.nan))
