"""Nulls break what they claim to break, and keep what they claim to keep."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.metrics.nulls import circular_shift, condition_mean_oracle, null_orders, permute_trials


def test_a_circular_shift_is_a_roll_that_never_brings_a_bin_back_near_its_place():
    lengths = [4, 7, 5, 6, 8]
    behaviour = np.arange(30)[:, None]
    shifts = set()
    for seed in range(200):
        shifted = circular_shift(behaviour, lengths, seed)
        shift = int(np.flatnonzero(shifted[:, 0] == 0)[0])
        np.testing.assert_array_equal(shifted, np.roll(behaviour, shift, axis=0))
        shifts.add(shift)
    assert shifts == set(range(8, 23))  # the longest trial has 8 bins


def test_slow_noise_fools_shuffled_bins_but_not_circular_shifts():
    """150 pairs of unrelated slow signals; a null that works rejects about 5 % of them."""
    draw, fooled = np.random.default_rng(0), {"shuffled": 0, "shifted": 0}
    for _ in range(150):
        slow = gaussian_filter1d(draw.normal(size=(300, 5)), sigma=8, axis=0, mode="wrap")
        spikes, behaviour = slow[:, :4], slow[:, 4:]
        spikes = np.linalg.qr(spikes - spikes.mean(0))[0]

        def score(y, spikes=spikes):
            y = y - y.mean(0)
            return r2_variance_weighted(y, spikes @ (spikes.T @ y))

        nulls = {
            "shuffled": [score(draw.permutation(behaviour)) for _ in range(19)],
            "shifted": [score(circular_shift(behaviour, [20] * 15, seed)) for seed in range(19)],
        }
        for name, scores in nulls.items():
            fooled[name] += score(behaviour) > max(scores)
    assert fooled["shuffled"] > 140
    assert fooled["shifted"] < 0.12 * 150


def test_permuted_trials_stay_whole_and_within_their_condition():
    conditions = np.array(["a", "b", "a", "b", "a", "b"])
    lengths = np.array([2, 3, 2, 3, 2, 3])
    number = np.repeat(np.arange(6), lengths)
    position = np.concatenate([np.arange(n) for n in lengths])
    orders = set()
    for seed in range(60):
        new = permute_trials(np.stack([number, position], 1), lengths, seed, conditions)
        np.testing.assert_array_equal(new[:, 1], position)
        order = new[position == 0, 0]
        np.testing.assert_array_equal(conditions[order], conditions)
        np.testing.assert_array_equal(np.sort(order), np.arange(6))
        orders.add(tuple(order.tolist()))
    assert len(orders) > 25  # of 3! x 3! = 36


def test_the_oracle_is_the_mean_training_trial_of_the_condition():
    draw = np.random.default_rng(1)
    lengths = np.array([3, 5, 4, 2, 6, 3])
    conditions = np.array([7, 9, 7, 9, 7, 9])
    trials = [draw.normal(size=(n, 2)) for n in lengths]
    predicted = condition_mean_oracle(np.concatenate(trials), lengths, conditions, [0, 1, 2, 3], [5, 4])
    of_9 = np.concatenate([(trials[1][:2] + trials[3]) / 2, trials[1][2:3]])
    of_7 = np.concatenate([(trials[0] + trials[2][:3]) / 2, trials[2][3:], trials[2][3:], trials[2][3:]])
    np.testing.assert_allclose(predicted, np.concatenate([of_9, of_7]))


def test_the_oracle_never_sees_a_test_trial():
    behaviour = np.random.default_rng(2).normal(size=(20, 1))
    args = [5] * 4, ["a"] * 4, [0, 1, 2], [3]
    changed = behaviour.copy()
    changed[15:] = 1e6
    np.testing.assert_array_equal(
        condition_mean_oracle(behaviour, *args), condition_mean_oracle(changed, *args)
    )
    with pytest.raises(ValueError, match=r"trials \[3\] are in train and in test"):
        condition_mean_oracle(behaviour, [5] * 4, ["a"] * 4, [0, 3], [3])
    with pytest.raises(ValueError, match="has condition b"):
        condition_mean_oracle(behaviour, [5] * 4, ["a", "a", "a", "b"], [0, 1], [3])


def test_nulls_are_seeded_and_refuse_what_they_cannot_break():
    behaviour = np.random.default_rng(3).normal(size=(40, 2))
    for null in circular_shift, permute_trials:
        np.testing.assert_array_equal(null(behaviour, [10] * 4, 5), null(behaviour, [10] * 4, 5))
        with pytest.raises(ValueError, match="sum to 40 bins"):
            null(behaviour, [10] * 3, 5)
    with pytest.raises(ValueError, match="cannot be shifted by 30"):
        circular_shift(behaviour, [30, 10], 0)
    with pytest.raises(ValueError, match="10 to 30 bins cannot trade places"):
        permute_trials(behaviour, [30, 10], 0)
    with pytest.raises(ValueError, match="for 4 trials"):
        permute_trials(behaviour, [10] * 4, 0, conditions=["a"] * 3)


def test_orders_deal_what_is_constant_in_trials_and_shift_the_rest():
    group = np.repeat(np.arange(20), np.tile([3, 7], 10))
    condition, speed = (np.arange(20) % 4)[group], np.arange(100.0)
    for order in null_orders(condition, group, 20):
        dealt = condition[order]
        assert all(len(np.unique(dealt[group == g])) == 1 for g in range(20))
        first = np.unique(group, return_index=True)[1]
        assert sorted(dealt[first]) == sorted(condition[first])
    for least, groups in ((7, group), (5, None)):
        shifts = [int(order[0]) for order in null_orders(speed, groups, 60)]
        assert all((np.diff(order) % 100 == 1).all() for order in null_orders(speed, groups, 60))
        assert len(set(shifts)) == 60 and min(shifts) >= least and max(shifts) <= 100 - least
    for arguments in ((speed, np.zeros(100)), (speed, np.arange(99)), (speed, np.repeat([0, 1], [80, 20]))):
        with pytest.raises(ValueError, match=r"group|shifted"):
            null_orders(*arguments, 3)
