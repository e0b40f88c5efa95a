"""Predictions of the other half: by scikit-learn's ridge, by trial, and with the layer chosen elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from neurolib.alignment.other_half import OtherHalf, draw_half, with_lags
from neurolib.metrics.encoding import RidgePathConfig


def data(seed=0, n_trials=24):
    rng, trials = np.random.default_rng(seed), np.repeat(np.arange(n_trials), 10)
    x = rng.normal(size=(len(trials), 4))
    return x, x @ rng.normal(size=(4, 6)) + rng.normal(size=(len(trials), 6)), trials


def test_a_fixed_penalty_gives_scikit_learns_ridge():
    x, y, trials = data()
    half = OtherHalf(y, trials, cfg=RidgePathConfig(penalties=(3.0,), relative=False))
    x = 5 * x - 2  # scaled and centred inside
    z = (x - x.mean(0)) / x.std(0)
    held = np.empty_like(half.counts)
    for fold in range(4):
        test = half.folds == fold
        held[test] = Ridge(3.0).fit(z[~test], half.counts[~test]).predict(z[test])
    want = 1 - np.square(held - half.counts).sum() / np.square(half.counts).sum()
    assert half.errors(x).r2() == pytest.approx(want, abs=1e-8)


def test_folds_are_of_whole_trials_and_silent_units_go():
    x, y, trials = data()
    half = OtherHalf(np.column_stack([y, np.zeros(len(y))]), trials)
    assert half.counts.shape[1] == 6 and len(half.errors(x)) == 24
    assert all(len(set(half.folds[trials == t])) == 1 for t in range(24))


def test_noise_with_many_channels_predicts_nothing():
    _, y, trials = data()
    noise = np.random.default_rng(1).normal(size=(len(y), 150))
    assert OtherHalf(y, trials).errors(noise).r2() < 0.01


def test_a_channel_that_wakes_up_in_one_trial_does_no_harm():
    x, y, trials = data()
    rare = 1e-6 * np.random.default_rng(3).normal(size=(len(x), 1))
    rare[trials == 5] = 1.0
    half = OtherHalf(y, trials)
    assert half.errors(np.column_stack([x, rare])).r2() > half.errors(x).r2() - 0.05


def test_the_better_layer_is_picked_and_used():
    x, y, trials = data()
    layers = {"noise": np.random.default_rng(2).normal(size=x.shape), "good": x}
    half = OtherHalf(y, trials)
    assert half.pick(layers) == ["good"] * 4
    assert_allclose(half.errors_of(layers, ["good"] * 4).error, half.errors(x).error)


def test_lags_stay_inside_trials_and_halves_are_halves():
    assert with_lags([[1], [2], [3]], [0, 0, 1], [-1, 1]).tolist() == [[1, 2], [1, 2], [3, 3]]
    assert draw_half(52, 1).sum() == 26
    with pytest.raises(ValueError, match="halves"):
        draw_half(3)
    with pytest.raises(ValueError, match="side by side"):
        OtherHalf(np.eye(6), [0, 1, 0, 1, 2, 2])
