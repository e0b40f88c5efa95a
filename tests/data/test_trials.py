"""Trials: nothing leaks over a trial's border, nothing is in two parts of a split, bad input is named."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.data.trials import Trials


@pytest.fixture
def trials() -> Trials:
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 30)
    n = lengths.sum()
    info = {"number": np.arange(30), "session": np.repeat(["b", "a", "c", "e", "d", "f"], 5)}
    return Trials(
        rng.poisson(2.0, (n, 4)), rng.normal(size=(n, 2)), lengths, 0.05, ("x", "y"), "cm", info, "demo"
    )


def test_history_is_the_slow_loop_and_never_crosses_a_trial(trials):
    fill = np.array([0.5, 1.5, 2.5, 3.5])
    for lag in (-2, 0, 1):
        fast, slow = trials.history(4, fill, lag), []
        for start, length in zip(trials.starts, trials.lengths, strict=True):
            for t in range(length):
                at = [t - lag - back for back in (3, 2, 1, 0)]
                slow.append([trials.counts[start + a] if 0 <= a < length else fill for a in at])
        np.testing.assert_array_equal(fast, np.array(slow, np.float32))


def test_selecting_trials_keeps_their_bins_and_their_info(trials):
    chosen = trials.select([7, 2])
    first = slice(trials.starts[7], trials.starts[7] + trials.lengths[7])
    np.testing.assert_array_equal(chosen.trial(0).counts, trials.counts[first])
    assert chosen.info["number"].tolist() == [7, 2]
    np.testing.assert_array_equal(trials.select(np.arange(30) < 3).lengths, trials.lengths[:3])


def test_rebinning_keeps_every_spike_of_whole_bins_and_averages_behaviour(trials):
    wide = trials.rebin(3)
    for number in range(len(trials)):
        old, new = trials.trial(number), wide.trial(number)
        used = 3 * (trials.lengths[number] // 3)
        np.testing.assert_array_equal(new.counts.sum(0), old.counts[:used].sum(0))
        np.testing.assert_allclose(new.behaviour[0], old.behaviour[:3].mean(0))
    assert wide.bin_size_s == pytest.approx(0.15)


def test_rebinning_drops_trials_shorter_than_a_bin(trials):
    kept = trials.rebin(5)
    assert kept.info["number"].tolist() == np.flatnonzero(trials.lengths >= 5).tolist()
    with pytest.raises(ValueError, match="no trial has 50 bins"):
        trials.rebin(50)


def test_pieces_hold_the_same_bins_in_the_same_order(trials):
    cut = trials.pieces(4)
    assert cut.lengths.max() == 4
    np.testing.assert_array_equal(cut.counts, trials.counts)
    np.testing.assert_array_equal(np.bincount(cut.info["whole"], cut.lengths), trials.lengths)


def test_padding_is_masked(trials):
    padded = trials.padded()
    np.testing.assert_array_equal(padded.counts[padded.mask], trials.counts)
    np.testing.assert_allclose(padded.behaviour[padded.mask], trials.behaviour, rtol=1e-6)
    assert padded.mask.sum(1).tolist() == trials.lengths.tolist()
    assert not padded.counts[~padded.mask].any()


@pytest.mark.parametrize("seed", [None, 0])
def test_a_split_gives_every_trial_to_one_part(trials, seed):
    parts = trials.split((0.5, 0.2, 0.3), seed=seed)
    numbers = [part.info["number"].tolist() for part in parts]
    assert sorted(sum(numbers, [])) == list(range(30))
    assert [len(n) for n in numbers] == [15, 6, 9]
    assert (numbers[2] == list(range(21, 30))) == (seed is None)


def test_folds_test_every_trial_once_and_keep_test_trials_contiguous(trials):
    folds = trials.folds(5)
    tested = [fold.test.info["number"].tolist() for fold in folds]
    assert sum(tested, []) == list(range(30))
    for fold in folds:
        parts = [set(part.info["number"]) for part in fold]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
        assert sum(map(len, parts)) == 30


def test_groups_are_never_divided(trials):
    for parts in (trials.split(by="session", seed=3), *trials.folds(3, by="session")):
        sessions = [set(part.info["session"]) for part in parts]
        assert not (sessions[0] & sessions[1] or sessions[0] & sessions[2] or sessions[1] & sessions[2])
    with pytest.raises(KeyError, match="no column 'day'"):
        trials.split(by="day")


def test_one_trial_cannot_be_divided(trials):
    with pytest.raises(ValueError, match="1 trials cannot be divided into 3 parts"):
        trials.trial(0).split()
    with pytest.raises(ValueError, match="cannot be divided"):
        trials.trial(0).folds(5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.full((5, 2), -1)}, "cannot be negative"),
        ({"counts": np.full((5, 2), np.nan)}, "NaN or infinite"),
        ({"counts": np.ones((4, 2))}, "4 bins of counts, 5 of behaviour"),
        ({"counts": np.ones(5)}, r"must be \(bin, channel\)"),
        (
            {"behaviour": np.array([[0.0], [0], [0], [np.nan], [0]])},
            "gaps in 1 of 5 bins, the first in trial 1",
        ),
        ({"lengths": [5, 0]}, "at least one bin"),
        ({"bin_size_s": -1}, "in seconds"),
        ({"info": {"day": np.arange(3)}}, r"info\['day'\] has 3 rows for 2 trials"),
        ({"outputs": ("x", "y")}, "2 output names for 1"),
    ],
)
def test_bad_input_is_named(change, message):
    good = Trials(np.ones((5, 2)), np.zeros((5, 1)), [3, 2], 0.05)
    with pytest.raises(ValueError, match=message):
        replace(good, **({"outputs": ()} | change))


def test_silent_units_are_found(trials):
    counts = trials.counts.copy()
    counts[:, 2] = 0
    assert replace(trials, counts=counts).silent_units.tolist() == [2]
    assert trials.with_units([0, 3]).n_units == 2
    assert trials.with_outputs("y").outputs == ("y",)
    with pytest.raises(ValueError, match="no output with 'force'"):
        trials.with_outputs("force")
