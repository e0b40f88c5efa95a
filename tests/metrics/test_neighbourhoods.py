"""Neighbourhoods against scikit-learn, slow loops, and clouds of which the answer is known."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.neighbors import NearestNeighbors

from neurolib.metrics.neighbourhoods import (
    continuity,
    label_purity,
    leak_check,
    neighbour_overlap,
    preservation,
    trustworthiness,
)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("view", ["projection", "random", "copy"])
def test_trustworthiness_is_that_of_scikit_learn_and_continuity_its_mirror(draw, k, view):
    points = draw.normal(size=(80, 6))
    flat = {"projection": points[:, :2], "random": draw.normal(size=(80, 2)), "copy": 2 * points[:, ::-1]}[
        view
    ]
    found = preservation(points, flat, k)
    assert found.trustworthiness == pytest.approx(
        sklearn_trustworthiness(points, flat, n_neighbors=k), abs=1e-12
    )
    assert found.continuity == pytest.approx(sklearn_trustworthiness(flat, points, n_neighbors=k), abs=1e-12)
    assert (trustworthiness(points, flat, k), continuity(points, flat, k)) == found


def test_folding_invents_neighbours_and_tearing_parts_them():
    """A line folded in half has false neighbours; a line cut and spread apart has lost true ones."""
    line = np.linspace(0, 1, 100)[:, None] ** 1.05
    folded = np.abs(line - line[50])
    torn = line + 5.0 * (np.arange(100)[:, None] % 2)  # every other point is carried away
    fold, tear = preservation(line, folded, 4), preservation(line, torn, 4)
    assert fold.trustworthiness < 0.8 and fold.continuity > 0.97
    assert tear.continuity < 1.0 and fold.trustworthiness < tear.trustworthiness
    swapped = preservation(torn, line, 4)
    assert (swapped.trustworthiness, swapped.continuity) == (tear.continuity, tear.trustworthiness)


def test_a_random_view_is_worth_a_half(draw):
    found = [preservation(draw.normal(size=(300, 5)), draw.normal(size=(300, 2)), 10) for _ in range(3)]
    np.testing.assert_allclose(found, 0.5, atol=0.03)


def test_overlap_is_one_for_a_turned_view_and_none_for_another(draw):
    flat = draw.normal(size=(200, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert neighbour_overlap(flat, 3 * flat @ turn, 8) == 1
    assert abs(neighbour_overlap(flat, draw.normal(size=(200, 2)), 8)) < 0.05
    other = flat + 0.3 * draw.normal(size=flat.shape)
    sets = [NearestNeighbors(n_neighbors=8).fit(x).kneighbors(return_distance=False) for x in (flat, other)]
    share = np.mean([len(set(a) & set(b)) / 8 for a, b in zip(*sets, strict=True)])
    assert neighbour_overlap(flat, other, 8) == pytest.approx((share - 8 / 199) / (1 - 8 / 199))


def test_purity_against_a_loop_that_leaves_the_own_trial_out(draw):
    trials = np.repeat(np.arange(20), 6)
    labels = (trials % 3).astype(str)
    points = draw.normal(size=(120, 3)) + (trials % 3)[:, None]
    found = label_purity(points, labels, trials, n_neighbours=5, n_nulls=99)
    shares = []
    for i in range(120):
        others = [j for j in range(120) if trials[j] != trials[i]]
        others.sort(key=lambda j, i=i: ((points[i] - points[j]) ** 2).sum())
        shares.append(np.mean([labels[j] == labels[i] for j in others[:5]]))
    assert found.value == pytest.approx(np.mean(shares))
    assert found.p_value == 0.01 and 0.25 < found.chance < 0.4 and found.excess > 0.2


def test_trials_that_cluster_by_themselves_are_not_taken_for_labels(draw):
    """Each trial is a tight cloud of its own and labels mean nothing: naive purity is near one."""
    trials = np.repeat(np.arange(24), 10)
    labels = draw.permutation(np.arange(24) % 2)[trials]
    points = (10 * draw.normal(size=(24, 2)))[trials] + 0.01 * draw.normal(size=(240, 2))
    assert label_purity(points, labels, n_neighbours=5).p_value < 0.01  # every point its own trial: fooled
    assert label_purity(points, labels, trials, n_neighbours=5).p_value > 0.05


def test_p_values_are_even_when_labels_mean_nothing(draw):
    found = [
        label_purity(draw.normal(size=(60, 2)), np.arange(60) % 2, n_neighbours=5, n_nulls=39, seed=i).p_value
        for i in range(200)
    ]
    assert np.mean(np.array(found) <= 0.25) == pytest.approx(0.25, abs=0.09)


def test_the_leak_check_keeps_condition_and_recording_apart(draw):
    recording = np.repeat([0, 1], 100)
    condition = (draw.random(200) < np.where(recording, 0.9, 0.1)).astype(int)  # nearly the same labels
    noise = draw.normal(size=(200, 2))
    sees_recording = leak_check(noise + 30 * recording[:, None], condition, recording, n_neighbours=4)
    sees_condition = leak_check(noise + 30 * condition[:, None], condition, recording, n_neighbours=4)
    assert sees_recording.recording.excess == 1 and sees_recording.condition.p_value > 0.05
    assert sees_condition.condition.excess == 1 and sees_condition.recording.p_value > 0.05
    assert sees_recording.leaks > 0.8 and sees_condition.leaks < -0.8
    naive = label_purity(noise + 30 * recording[:, None], condition, n_neighbours=4)
    assert naive.p_value < 0.01  # without strata, the recording would pass for the condition


def test_what_does_not_fit_is_refused(draw):
    points = draw.normal(size=(12, 2))
    with pytest.raises(ValueError, match="rows must match"):
        preservation(points, points[:-1])
    with pytest.raises(ValueError, match="below half of the 12 points"):
        preservation(points, points, 6)
    with pytest.raises(ValueError, match="finite"):
        trustworthiness(np.full((12, 2), np.nan), points, 3)
    with pytest.raises(ValueError, match="labels change within a trial"):
        label_purity(points, np.arange(12) % 2, np.arange(12) // 2, n_neighbours=2)
    with pytest.raises(ValueError, match="only 5 others"):
        label_purity(points, np.arange(12) % 2, within=np.arange(12) // 6, n_neighbours=6)
    with pytest.raises(ValueError, match="nothing to be pure of"):
        label_purity(points, np.zeros(12), n_neighbours=2)
