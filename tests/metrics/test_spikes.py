"""Spike metrics against scipy's Poisson law and the benchmark's own evaluation."""

import warnings

import numpy as np
import pytest
from scipy.stats import poisson

from neurolib.metrics.spikes import (
    bits_per_spike,
    co_smoothing_bits,
    poisson_log_likelihood,
    psth_r2,
    velocity_r2,
)


@pytest.fixture
def nlb():
    return pytest.importorskip("nlb_tools.evaluation", reason="the peer is an optional package")


@pytest.fixture
def spikes():
    """True rates and Poisson counts, 24 trials of 30 bins and 6 units."""
    draw = np.random.default_rng(0)
    rates = 0.3 * np.exp(draw.normal(size=(24, 30, 6)) * 0.7)
    return rates, draw.poisson(rates).astype(float)


def test_the_likelihood_is_that_of_scipy(spikes):
    rates, counts = spikes
    assert poisson_log_likelihood(rates, counts) == pytest.approx(
        poisson.logpmf(counts, rates).sum(), rel=1e-12
    )


def test_true_rates_gain_bits_and_the_mean_rate_gains_none(spikes):
    rates, counts = spikes
    mean = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
    assert bits_per_spike(mean, counts) == pytest.approx(0, abs=1e-12)
    assert bits_per_spike(rates, counts) > 0.1
    assert bits_per_spike(rates.reshape(-1, 6), counts.reshape(-1, 6)) == pytest.approx(
        bits_per_spike(rates, counts), rel=1e-12
    )


def test_bits_equal_the_benchmark_with_gaps_zeros_and_a_silent_unit(nlb, spikes):
    rates, counts = spikes
    counts[..., 4] = 0
    counts[3:6, 20:] = np.nan
    rates[3, 25] = np.nan  # unobserved, so it must not matter
    rates[rates < 0.05] = 0
    before = rates.copy(), counts.copy()
    expected = nlb.bits_per_spike(rates.copy(), counts.copy())
    with pytest.warns(UserWarning, match=r"\d+ rates are 0"):
        ours = co_smoothing_bits(rates, counts)
    assert ours == pytest.approx(expected, abs=1e-9)
    assert type(ours) is float
    np.testing.assert_array_equal(rates, before[0])  # the peer overwrites its caller's zeros
    np.testing.assert_array_equal(counts, before[1])


def test_held_out_units_are_scored_alone(nlb, spikes):
    rates, counts = spikes
    expected = nlb.bits_per_spike(rates[..., [1, 4]].copy(), counts[..., [1, 4]])
    assert co_smoothing_bits(rates, counts, heldout=[1, 4]) == pytest.approx(expected, abs=1e-9)
    mask = np.isin(np.arange(6), [1, 4])
    assert co_smoothing_bits(rates, counts, heldout=mask) == pytest.approx(expected, abs=1e-9)
    assert co_smoothing_bits(rates, counts) != pytest.approx(expected, abs=1e-3)


def test_rates_in_another_unit_are_noticed(spikes):
    rates, counts = spikes
    with pytest.warns(UserWarning, match="Hz, multiply them by the bin width"):
        bits_per_spike(rates / 0.02, counts)
    with pytest.raises(ValueError, match="log-rates"):
        bits_per_spike(np.log(rates), counts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bits_per_spike(rates, counts)


def test_what_has_no_likelihood_is_refused(spikes):
    rates, counts = spikes
    with pytest.raises(ValueError, match="one shape"):
        bits_per_spike(rates[:3], counts)
    with pytest.raises(ValueError, match="one shape"):
        co_smoothing_bits(rates[:3], counts, heldout=[0])
    with pytest.raises(ValueError, match="the least is 0"):
        bits_per_spike(rates * 0, counts)
    with pytest.raises(ValueError, match="not negative"):
        bits_per_spike(rates, counts - 1)
    with pytest.raises(ValueError, match="NaN for unobserved"):
        bits_per_spike(rates, np.where(counts > 3, np.nan, counts))
    with pytest.raises(ValueError, match="no spikes"):
        bits_per_spike(rates, counts * 0)


def test_psth_r2_equals_the_benchmark_with_jitter_gaps_and_an_empty_condition(nlb, spikes):
    rates, counts = spikes
    trials = [np.arange(0, 9), np.arange(9, 20), np.array([], int), np.arange(20, 24)]
    psth = np.stack([counts[t].mean(0) if t.size else counts[0] for t in trials])
    psth[:, :4], psth[1, 22:], psth[:, 26:] = np.nan, np.nan, np.nan
    jitter = np.random.default_rng(1).integers(-4, 5, 24)
    assert {-1, 0, 1} <= set(np.sign(jitter).tolist())
    plain, moved = psth_r2(psth, rates, trials), psth_r2(psth, rates, trials, jitter)
    assert plain == pytest.approx(nlb.eval_psth(psth, rates, trials), abs=1e-9)
    assert moved == pytest.approx(nlb.eval_psth(psth, rates, trials, jitter), abs=1e-9)
    assert abs(plain - moved) > 0.01


def test_psth_r2_refuses_missing_rates_and_unfit_shapes(spikes):
    rates, counts = spikes
    psth, trials = counts[:2], [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="rates are missing in bins where condition 1"):
        psth_r2(psth, rates, trials, jitter=np.where(np.arange(24) == 3, 2, 0))
    with pytest.raises(ValueError, match="one entry of condition_trials"):
        psth_r2(psth, rates, trials[:1])
    with pytest.raises(ValueError, match="less than 30 bins"):
        psth_r2(psth, rates, trials, jitter=np.full(24, 30))
    with pytest.raises(ValueError, match="no condition"):
        psth_r2(psth, rates, [[], []])


@pytest.mark.parametrize("masked", [False, True])
def test_velocity_r2_equals_the_benchmark(nlb, spikes, masked):
    rates, _ = spikes
    draw = np.random.default_rng(2)
    velocity = rates @ draw.normal(size=(6, 2)) * [1, 10] + draw.normal(size=(24, 30, 2))
    velocity[2, :7], velocity[20, 25:] = np.nan, np.nan
    rates[2, :7] = np.nan  # no behaviour there, so it must not matter
    masks = (
        np.stack([np.arange(24) % 2 == 0, np.arange(24) % 2 == 1], 1) if masked else np.ones((24, 1), bool)
    )
    train, test = slice(0, 16), slice(16, 24)
    expected = nlb.velocity_decoding(
        rates[train], velocity[train], masks[train], rates[test], velocity[test], masks[test]
    )
    given = (masks[train], masks[test]) if masked else ()
    ours = velocity_r2(rates[train], velocity[train], rates[test], velocity[test], *given)
    assert ours == pytest.approx(expected, abs=1e-9)
    assert type(ours) is float
    assert 0.1 < ours < 0.99


def test_velocity_r2_refuses_half_a_protocol(spikes):
    rates, counts = spikes
    with pytest.raises(ValueError, match="or for neither"):
        velocity_r2(rates, counts, rates, counts, train_masks=np.ones((24, 1), bool))
    with pytest.raises(ValueError, match="1 decoders in train_masks, 2"):
        velocity_r2(rates, counts, rates, counts, np.ones((24, 1), bool), np.ones((24, 2), bool))
    with pytest.raises(ValueError, match=r"test rates .* differ in trials or bins"):
        velocity_r2(rates, counts, rates[:3], counts)
    with pytest.raises(ValueError, match="train masks int64"):
        velocity_r2(rates, counts, rates, counts, np.ones((24, 1), int), np.ones((24, 1), bool))
    with pytest.raises(ValueError, match="test rates are NaN"):
        velocity_r2(rates, counts, rates * np.nan, counts)
