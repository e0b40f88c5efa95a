import numpy as np
import pytest

from neurolib.data.reaches import aligned, find_reaches, reach_trials
from neurolib.data.trials import Trials

BIN_S = 0.01


def hand(*reaches, n_bins=400):
    """Velocity with bell-shaped reaches ``(start bin, direction in degrees)`` of 40 bins."""
    velocity = np.zeros((n_bins, 2))
    bell = 30 * np.sin(np.linspace(0, np.pi, 40)) ** 2
    for start, degrees in reaches:
        angle = np.deg2rad(degrees)
        velocity[start : start + 40] += bell[:, None] * [np.cos(angle), np.sin(angle)]
    return velocity


def trials_of(velocity, lengths):
    return Trials(np.ones((len(velocity), 1)), velocity, lengths, BIN_S, ("velocity x", "velocity y"), "cm/s")


def test_every_reach_is_found_with_its_direction():
    wanted = [(50, 0), (150, 90), (250, 225), (330, 315)]
    found = find_reaches(trials_of(hand(*wanted), [400]), after_s=0.3)
    assert found.direction.tolist() == [0, 2, 5, 7]
    starts = np.array([start for start, _ in wanted])
    assert ((found.onset - starts >= 0) & (found.onset - starts < 20)).all()


def test_a_window_never_leaves_its_trial():
    velocity = hand((50, 0), (170, 0), (360, 0))
    found = find_reaches(trials_of(velocity, [200, 200]), before_s=0.1, after_s=0.35)
    assert len(found.onset) == 1  # the second ends with its trial, the third has no 0.35 s left
    assert found.onset[0] < 100


def test_a_resting_hand_has_no_reach():
    with pytest.raises(ValueError, match="no reach faster than"):
        find_reaches(trials_of(hand(), [400]))


def test_position_alone_is_refused():
    trials = Trials(np.ones((9, 1)), np.zeros((9, 2)), [9], BIN_S, ("position x", "position y"))
    with pytest.raises(ValueError, match="velocity"):
        find_reaches(trials)


def test_aligned_takes_the_bins_around_the_onset():
    values = np.arange(10.0)[:, None]
    assert aligned(values, [4, 6], 2, 3)[..., 0].tolist() == [[2, 3, 4, 5, 6], [4, 5, 6, 7, 8]]


def test_reach_trials_carry_direction_and_origin():
    trials = trials_of(hand((50, 0), (150, 90), (250, 180)), [200, 200])
    reaches = find_reaches(trials, 0.1, 0.3)
    cut = reach_trials(trials, reaches, 0.1, 0.3)
    assert cut.lengths.tolist() == [40, 40, 40]
    assert cut.info["condition"].tolist() == [0, 2, 4]
    assert cut.info["whole"].tolist() == [0, 0, 1]
    first = reaches.onset[0]
    np.testing.assert_array_equal(cut.trial(0).behaviour, trials.behaviour[first - 10 : first + 30])
