"""The direction oracle: decodes the condition, and then knows its mean trial and nothing more."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from neurolib.data.trials import Trials
from neurolib.metrics.nulls import condition_mean_oracle
from neurolib.models.decoder import Decoder
from neurolib.models.direction import DirectionConfig, DirectionDecoder


def reaches(n_trials=80, gain=1.2, seed=0, ragged=True) -> Trials:
    """Straight reaches to four targets; units are tuned to the target once movement starts."""
    rng = np.random.default_rng(seed)
    condition = np.tile([0, 90, 180, 270], n_trials // 4)
    lengths = rng.integers(9, 13, n_trials) if ragged else np.full(n_trials, 12)
    preferred = rng.uniform(0, 2 * np.pi, 15)
    counts, hand = [], []
    for angle, n in zip(np.deg2rad(condition), lengths, strict=True):
        drive = np.outer(np.arange(n) > 3, gain * np.cos(angle - preferred))
        counts.append(rng.poisson(np.exp(0.2 + drive)))
        way = np.linspace(0, rng.uniform(0.8, 1.2), n)[:, None]
        hand.append(10 * way * [np.cos(angle), np.sin(angle)])
    info = {"condition": condition}
    return Trials(np.concatenate(counts), np.concatenate(hand), lengths, 0.05, info=info, name="reaches")


@pytest.fixture
def fitted():
    trials = reaches(ragged=False)
    split = trials.split()
    return DirectionDecoder().fit(split.train, split.valid), split


def test_conditions_that_are_read_rightly_give_the_condition_mean_oracle():
    trials = reaches(gain=3)
    train, test = np.arange(60), np.arange(60, 80)
    decoder = DirectionDecoder(DirectionConfig(penalties=(1.0,))).fit(trials.select(train))
    held_out = replace(trials.select(test), info={})
    np.testing.assert_array_equal(decoder.classify(held_out), trials.info["condition"][test])
    oracle = condition_mean_oracle(trials.behaviour, trials.lengths, trials.info["condition"], train, test)
    np.testing.assert_allclose(decoder.predict(held_out), oracle, atol=1e-9)


def test_a_trial_that_is_misread_gets_the_mean_trial_of_the_other_condition(fitted):
    decoder, split = fitted
    trials = split.test
    other = replace(trials, counts=np.concatenate([trials.counts[12:], trials.counts[:12]]))
    assert (decoder.classify(other) != trials.info["condition"]).any()
    for number, label in enumerate(decoder.classify(other)):
        members = np.flatnonzero(split.train.info["condition"] == label)
        mean = np.mean([split.train.trial(m).behaviour for m in members], axis=0)
        np.testing.assert_allclose(decoder.predict(other)[12 * number :][:12], mean, atol=1e-9)


def test_it_is_scikit_learns_logistic_regression_on_window_counts():
    trials = reaches(gain=0.4)
    train, test = trials.select(range(50)), trials.select(range(50, 80))
    decoder = DirectionDecoder(DirectionConfig(window_s=0.25, penalties=(10.0,))).fit(train)
    mean, scale = train.counts.mean(0), train.counts.std(0)

    def slow(part):  # windows of 5 bins up to the longest trial of 12; those not reached are average
        rows = np.zeros((len(part), 3, part.n_units))
        for i in range(len(part)):
            z = (part.trial(i).counts - mean) / scale
            for w in range(3):
                if len(z) > 5 * w:
                    rows[i, w] = z[5 * w : 5 * w + 5].mean(0)
        return rows.reshape(len(part), -1)

    peer = LogisticRegression(C=0.1, max_iter=2000).fit(slow(train), train.info["condition"])
    answer = decoder.classify(test)
    np.testing.assert_array_equal(answer, peer.predict(slow(test)))
    assert (
        0.3 < (answer == test.info["condition"]).mean() < 1
    )  # neither chance nor perfect: a real comparison


def test_the_penalty_is_the_one_under_which_the_valid_conditions_are_most_likely():
    split, grid = reaches(gain=0.2).split(), (1e-3, 10.0, 1e6)
    chosen = DirectionDecoder(DirectionConfig(penalties=grid)).fit(split.train, split.valid)
    losses = []
    for penalty in grid:
        one = DirectionDecoder(DirectionConfig(penalties=(penalty,))).fit(split.train)
        chance = one.model.predict_proba(one._features(split.valid))
        column = np.searchsorted([0, 90, 180, 270], split.valid.info["condition"])
        losses.append(-np.log(chance[np.arange(len(chance)), column]).sum())
    assert chosen.penalty == grid[int(np.argmin(losses))] == 10.0


def test_the_first_bin_knows_the_whole_trial_so_there_is_no_stream(fitted):
    decoder, split = fitted
    trial = split.test.trial(0)
    swapped = trial.counts.copy()
    donor = np.flatnonzero(split.test.info["condition"] != trial.info["condition"][0])[0]
    swapped[4:] = split.test.trial(donor).counts[4:]
    assert np.abs(decoder.predict(replace(trial, counts=swapped))[1] - decoder.predict(trial)[1]).max() > 0.1
    assert not isinstance(decoder, Decoder)


def test_a_condition_of_shorter_trials_keeps_its_last_value():
    behaviour = np.array([[1.0], [2.0], [5.0], [6.0], [7.0]])
    counts = np.array([[0.0], [0.0], [9.0], [9.0], [9.0]])
    trials = Trials(counts, behaviour, [2, 3], 0.05, info={"condition": ["near", "far"]})
    decoder = DirectionDecoder(DirectionConfig(penalties=(1e-3,))).fit(trials)
    np.testing.assert_array_equal(decoder.trajectories[..., 0], [[5, 6, 7], [1, 2, 2]])


def test_what_cannot_be_answered_is_refused(fitted):
    decoder, split = fitted
    with pytest.raises(KeyError, match="no column 'target' in info; it has \\['condition'\\]"):
        DirectionDecoder(DirectionConfig(column="target")).fit(split.train, split.valid)
    without = split.train.select(split.train.info["condition"] != 90)
    with pytest.raises(ValueError, match=r"condition \[90\] of the valid trials is not in train"):
        DirectionDecoder().fit(without, split.valid)
    with pytest.raises(ValueError, match="all training trials have condition"):
        DirectionDecoder().fit(split.train.select(split.train.info["condition"] == 90), split.valid)
    with pytest.raises(ValueError, match="penalties to choose from need valid trials"):
        DirectionDecoder().fit(split.train)
    long = Trials(np.ones((13, 15)), np.zeros((13, 2)), [13], 0.05, name="long")
    with pytest.raises(ValueError, match="long: a trial has 13 bins, the longest of train 12"):
        decoder.predict(long)
    with pytest.raises(ValueError, match="5 units, but the decoder was fitted on 15"):
        decoder.predict(split.test.with_units(range(5)))
    with pytest.raises(ValueError, match="window_s=0 must be positive"):
        DirectionConfig(window_s=0)
