"""The leaderboard adds up folds as if they had been one, and pairs what belongs together."""

import numpy as np
import pytest

from neurolib.metrics.decoding import r2_variance_weighted, squared_errors
from neurolib.metrics.intervals import hierarchical_interval
from neurolib.metrics.leaderboard import Leaderboard

RNG = np.random.default_rng(0)
TARGETS = [RNG.standard_normal((12, 2)), RNG.standard_normal((9, 2))]
LENGTHS = [[4, 8], [3, 3, 3]]


def guess(seed, fold, noise):
    return TARGETS[fold] + noise * np.random.default_rng([seed, fold]).standard_normal(TARGETS[fold].shape)


@pytest.fixture
def board():
    board = Leaderboard()
    for fold in (1, 0):  # in any order
        for seed in (3, 1, 2):
            for name, noise in (("near", 0.1), ("far", 0.5)):
                board.add(name, seed, TARGETS[fold], guess(seed, fold, noise), LENGTHS[fold], fold)
    return board


def test_scores_are_those_of_all_folds_stacked_in_the_order_of_seeds(board):
    target = np.concatenate(TARGETS)
    wanted = [
        r2_variance_weighted(target, np.concatenate([guess(s, f, 0.1) for f in (0, 1)])) for s in (1, 2, 3)
    ]
    np.testing.assert_allclose(board.r2("near"), wanted)
    assert board.folds("near").tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(board.differences("near", "far"), board.r2("near") - board.r2("far"))


def test_intervals_are_those_of_the_stacked_errors(board):
    lengths, target = np.concatenate(LENGTHS), np.concatenate(TARGETS)
    by_hand = {
        noise: [
            squared_errors(target, np.concatenate([guess(s, f, noise) for f in (0, 1)]), lengths)
            for s in (1, 2, 3)
        ]
        for noise in (0.1, 0.5)
    }
    wanted = hierarchical_interval(by_hand[0.1], by_hand[0.5], folds=[0, 0, 1, 1, 1], n_resamples=200)
    assert board.interval("near", "far", n_resamples=200) == wanted
    assert list(board.intervals("far", n_resamples=50)) == ["near"]


def test_what_does_not_belong_together_is_refused(board):
    with pytest.raises(ValueError, match="test once"):
        board.add("near", 1, TARGETS[0], TARGETS[0], LENGTHS[0], 0)
    with pytest.raises(KeyError, match="no 'nearer' on the board"):
        board.r2("nearer")
    board.add("late", 1, TARGETS[0], TARGETS[0], LENGTHS[0], 0)
    with pytest.raises(ValueError, match="not paired"):
        board.differences("late", "near")
    board.add("late", 2, TARGETS[1], TARGETS[1], LENGTHS[1], 1)
    with pytest.raises(ValueError, match="a run is missing"):
        board.errors("late")
