"""CKA over pairs of different trials: a slow loop, no likeness of unrelated slow signals, resamples without copies."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.kernel_alignment import cka
from neurolib.metrics.trial_alignment import TrialGram, decorrelation_bins, over_seeds, trial_weights


def loop(x, y, trials):
    """H by its definition, pair by pair."""
    k, m = x @ x.T, y @ y.T
    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if trials[i] != trials[j]]
    both = np.mean([k[i, j] * m[i, j] for i, j in pairs])
    means = np.mean([k[i, j] for i, j in pairs]) * np.mean([m[i, j] for i, j in pairs])
    rows = [
        np.mean([k[i, j] for j in range(n) if trials[i] != trials[j]])
        * np.mean([m[i, j] for j in range(n) if trials[i] != trials[j]])
        for i in range(n)
    ]
    return both + means - 2 * np.mean(rows)


def test_it_is_the_loop():
    rng, trials = np.random.default_rng(0), np.repeat(np.arange(6), [2, 3, 1, 4, 2, 3])
    x = rng.normal(size=(15, 4))
    y = x[:, :2] + rng.normal(size=(15, 2))
    centred = [v - v.mean(0) for v in (x, y)]
    want = loop(*centred, trials) / np.sqrt(
        loop(centred[0], centred[0], trials) * loop(centred[1], centred[1], trials)
    )
    assert TrialGram(x, trials).cka(TrialGram(y, trials)) == pytest.approx(want, rel=1e-4)


def test_trials_of_one_sample_give_debiased_cka():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 5))
    y = x @ rng.normal(size=(5, 8)) + rng.normal(size=(300, 8))
    found = TrialGram(x, np.arange(300)).cka(TrialGram(y, np.arange(300)))
    assert found == pytest.approx(cka(x, y), abs=3e-3)


def test_unrelated_slow_signals_are_not_alike():
    rng, found, ordinary = np.random.default_rng(2), [], []
    trials = np.repeat(np.arange(40), 8)
    for _ in range(40):
        x, y = (rng.normal(size=(40, 30)).repeat(8, axis=0) for _ in range(2))
        found.append(TrialGram(x, trials).cka(TrialGram(y, trials)))
        ordinary.append(cka(x, y))
    assert abs(np.mean(found)) < 3 * np.std(found) / 40**0.5 + 0.02
    assert np.mean(ordinary) > 0.3


def test_leaving_trials_out_is_a_weight_of_zero():
    rng, trials = np.random.default_rng(3), np.repeat(np.arange(8), 4)
    x, y = rng.normal(size=(32, 3)), rng.normal(size=(32, 3))
    y[:, 0] += x[:, 0]
    weights = np.ones((1, 8))
    weights[0, 2] = 0
    left = trials != 2
    want = TrialGram(x[left], trials[left]).cka(TrialGram(y[left], trials[left]))
    assert_allclose(TrialGram(x, trials).cka(TrialGram(y, trials), weights), want, rtol=1e-4)


def test_draws_intervals_and_lags():
    assert trial_weights(7, 5).shape == (5, 7)
    assert over_seeds([1.0, 3.0], [[0.0, 2.0], [2.0, 4.0]]).low >= 0
    walk = np.cumsum(np.random.default_rng(0).normal(size=(2000, 2)), axis=0)
    assert decorrelation_bins(walk, np.zeros(2000)) > 20


def test_what_cannot_be_compared_is_refused():
    x = np.random.default_rng(0).normal(size=(8, 2))
    with pytest.raises(ValueError, match="side by side"):
        TrialGram(x, [0, 1, 0, 1, 2, 2, 3, 3])
    with pytest.raises(ValueError, match="3 trials"):
        TrialGram(x, [0, 0, 0, 1, 1, 1, 2, 2])
    with pytest.raises(ValueError, match="same samples"):
        TrialGram(x, np.arange(8)).cka(TrialGram(x, np.arange(8) // 2))
