"""What a model may see, what it must predict, and in which unit."""

import numpy as np
import pytest

from neurolib.data.co_smoothing import check_rates, co_smoothing_trials, draw_held_out, hide_last
from neurolib.data.trials import Trials
from neurolib.metrics.spikes import co_smoothing_bits
from neurolib.models.linear import RidgeConfig, RidgeDecoder


@pytest.fixture
def trials():
    """Twelve units, the fourth silent, that share one signal; every count can be told from the others."""
    draw = np.random.default_rng(0)
    shared = np.repeat(draw.normal(size=90), 20)
    rates = np.exp(shared[:, None] * draw.uniform(0.3, 0.6, 12)) * 0.5
    counts = draw.poisson(rates)
    counts[:, 3] = 0
    return Trials(counts, np.zeros((1800, 2)), [40] * 45, 0.02, info={"condition": np.arange(45) % 3})


def test_the_draw_is_seeded_has_the_share_and_spares_silent_units(trials):
    draws = [draw_held_out(trials, 0.25, seed) for seed in range(60)]
    assert all(draw.sum() == 3 and draw.dtype == bool for draw in draws)
    np.testing.assert_array_equal(np.flatnonzero(~np.any(draws, axis=0)), [3])
    np.testing.assert_array_equal(draws[7], draw_held_out(trials, 0.25, 7))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.92, 1.0])
def test_a_share_that_leaves_nothing_to_see_or_to_predict_is_refused(trials, share):
    with pytest.raises(ValueError, match=f"share={share} of 12 units hides .* 11 units fire"):
        draw_held_out(trials, share)


def test_held_out_spikes_are_to_be_predicted_and_not_to_be_seen(trials):
    held_out = draw_held_out(trials, 0.25, 1)
    seen = co_smoothing_trials(trials, held_out)
    numbers = [int(name.removeprefix("unit ")) for name in seen.outputs]
    assert numbers == [*np.flatnonzero(~held_out), *np.flatnonzero(held_out)]
    np.testing.assert_array_equal(seen.behaviour, trials.counts[:, numbers])
    np.testing.assert_array_equal(seen.counts, trials.counts[:, numbers[: seen.n_units]])
    assert seen.output_unit == "spikes per bin"
    np.testing.assert_array_equal(seen.info["condition"], trials.info["condition"])

    other = trials.counts.copy()
    other[:, held_out] += 5
    changed = co_smoothing_trials(
        Trials(other, trials.behaviour, trials.lengths, trials.bin_size_s), held_out
    )
    np.testing.assert_array_equal(changed.counts, seen.counts)


def test_an_ordinary_decoder_gains_bits_on_units_it_did_not_see(trials):
    seen = co_smoothing_trials(trials, draw_held_out(trials, 0.25, 1))
    train, valid, test = seen.split((0.6, 0.2, 0.2))
    rates = RidgeDecoder(RidgeConfig(history_bins=3)).fit(train, valid).predict(test)
    hidden = np.maximum(rates, 1e-3)[:, seen.n_units :], test.behaviour[:, seen.n_units :]
    blocks = [array.reshape(len(test), 40, -1) for array in hidden]
    check_rates(*blocks, trials.bin_size_s)
    assert co_smoothing_bits(*blocks) > 0.1
    trade = np.roll(blocks[0], 1, axis=0)  # another trial's rates
    assert co_smoothing_bits(trade, blocks[1]) < 0


@pytest.mark.parametrize("mask", [[0, 5], np.zeros(12, bool), np.ones(12, bool), np.arange(12)])
def test_a_mask_that_hides_none_or_all_or_is_a_list_of_numbers_is_refused(trials, mask):
    with pytest.raises(ValueError, match=r"must be a mask over 12 units|of 12 units are held out"):
        co_smoothing_trials(trials, mask)


def test_the_last_bins_are_hidden_from_the_model_and_kept_to_be_scored():
    draw = np.random.default_rng(2)
    counts = draw.integers(1, 9, (17, 3)).astype(np.uint16)
    whole = Trials(counts, counts.astype(float), [5, 4, 8], 0.02)
    seen, hidden = hide_last(whole, 3)
    np.testing.assert_array_equal(np.flatnonzero(hidden), [2, 3, 4, 6, 7, 8, 14, 15, 16])
    assert not seen.counts[hidden].any() and seen.counts.dtype == np.uint16
    np.testing.assert_array_equal(seen.counts[~hidden], counts[~hidden])
    np.testing.assert_array_equal(seen.behaviour, counts)
    np.testing.assert_array_equal(whole.counts, counts)  # the caller's trials stay as they were
    for n_bins in (0, 4):
        with pytest.raises(ValueError, match=f"{n_bins} bins cannot be hidden from trials of 4 bins"):
            hide_last(whole, n_bins)


@pytest.mark.parametrize("bin_size_s", [0.001, 0.005, 0.02, 0.05, 1.0])
def test_rates_in_a_wrong_unit_are_refused_with_the_mistake_named(bin_size_s):
    draw = np.random.default_rng(3)
    rates = draw.uniform(1, 40, 30) * bin_size_s * np.exp(0.3 * draw.normal(size=(20, 50, 30)))
    counts = draw.poisson(rates)
    for scale in (1.0, 0.5, 2.0):  # a poor model is no wrong unit
        check_rates(scale * rates, counts, bin_size_s)
    if bin_size_s == 1.0:
        return  # Hz and spikes per bin are the same
    with pytest.raises(ValueError, match=f"look like Hz; multiply them by bin_size_s={bin_size_s:g}"):
        check_rates(rates / bin_size_s, counts, bin_size_s)
    with pytest.raises(ValueError, match="twice"):
        check_rates(rates * bin_size_s, counts, bin_size_s)
    with pytest.raises(ValueError, match="log-rates"):
        check_rates(np.log(rates) - 5, counts, bin_size_s)


def test_rates_that_are_off_for_no_known_reason_or_missing_are_refused():
    counts = np.random.default_rng(4).poisson(0.1, (10, 40, 5)).astype(float)
    counts[0, :5] = np.nan  # unobserved
    rates = np.full(counts.shape, 0.1)
    check_rates(rates, counts, 0.001)
    with pytest.raises(ValueError, match=r"29 times as much. Are they of another bin width"):
        check_rates(30 * rates, counts, 0.001)
    with pytest.raises(ValueError, match="1 of 2000 rates are NaN"):
        check_rates(np.where(np.arange(2000).reshape(counts.shape) == 7, np.nan, rates), counts, 0.001)
    with pytest.raises(ValueError, match="no spikes to compare"):
        check_rates(rates, 0 * counts, 0.001)
    with pytest.raises(ValueError, match="of the same units"):
        check_rates(rates[..., :4], counts, 0.001)
