"""Ways of known length, and curves with bends that were put in, against scipy's splines."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.interpolate import LSQUnivariateSpline
from scipy.spatial.distance import cdist

from neurolib.metrics.trajectory import bends, path, slopes_per_decade

STEPS = np.round(np.geomspace(1, 1e5, 16))


def hinge(steps, at, before, after):
    x = np.log10(steps / at)
    return before * np.minimum(x, 0) + after * np.maximum(x, 0)


def test_a_straight_way_is_straight_and_a_circle_comes_back():
    steps = 10.0 ** np.arange(9)
    line = np.arange(9.0)[:, None] * [3, 4]
    found = path(cdist(line, line), steps)
    assert_allclose([found.length, found.net, found.straightness], [40, 40, 1])
    assert_allclose(found.speed, 5)
    turn = np.linspace(0, 2 * np.pi, 9)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    found = path(cdist(circle, circle), steps)
    assert_allclose([found.length, found.net], [16 * np.sin(np.pi / 8), 0], atol=1e-9)
    assert np.isnan(path(np.zeros((3, 3)), [1, 2, 3]).straightness)


def test_slopes_are_per_factor_of_ten():
    curve = 2 * np.log10(STEPS) + [[0.0], [5.0]]
    assert_allclose(slopes_per_decade(curve, STEPS), 2)


def test_a_bend_is_found_with_its_slopes_and_an_interval_that_holds_it():
    rng, hit = np.random.default_rng(0), []
    for _ in range(20):
        truth = hinge(STEPS, STEPS[7], 0.1, 0.6)
        curves = truth + 0.5 * rng.normal(size=(40, 1)) + 0.25 * rng.normal(size=(40, 16))
        found = bends(curves, STEPS, n_resamples=200)
        if found.n_bends == 1:
            hit.append(found.steps[0].low <= STEPS[7] <= found.steps[0].high)
            assert_allclose(found.slopes, [0.1, 0.6], atol=0.15)
        assert found.p_value < 0.05
    assert len(hit) >= 14 and np.mean(hit) > 0.85


def test_two_bends_are_the_best_of_all_pairs():
    rng = np.random.default_rng(1)
    truth = hinge(STEPS, STEPS[4], 0, 1) - hinge(STEPS, STEPS[10], 0, 0.9)
    curves = truth + 0.1 * rng.normal(size=(30, 16))
    found = bends(curves, STEPS, n_resamples=100)
    x, y, cost = np.log10(STEPS), curves.mean(0), {}
    for i, j in combinations(range(2, 14), 2):
        if j - i > 1:
            cost[i, j] = LSQUnivariateSpline(x, y, [x[i], x[j]], k=1).get_residual()
    i, j = min(cost, key=cost.get)
    assert found.n_bends == 2 and [step.estimate for step in found.steps] == [STEPS[i], STEPS[j]]
    assert_allclose(found.bic[2], 16 * np.log(cost[i, j] / 16) + 6 * np.log(16), rtol=1e-6)
    assert found.support[2] > 0.9 and (i, j) == (4, 10)


def test_a_straight_line_has_no_bend_however_noisy():
    rng = np.random.default_rng(2)
    found = [bends(0.3 * np.log10(STEPS) + 0.2 * rng.normal(size=(25, 16)), STEPS, 2, 39) for _ in range(50)]
    # the criterion alone bends too many, as it does not count how many places were tried
    assert np.mean([one.n_bends > 0 for one in found]) < 0.3
    assert np.mean([one.n_bends > 0 and one.p_value <= 0.05 for one in found]) < 0.15
    exact = bends(np.tile(0.3 * np.log10(STEPS), (12, 1)), STEPS, n_resamples=20)
    assert exact.n_bends == 0 and exact.support[0] == 1 and exact.steps == ()
    assert_allclose(exact.slopes, [0.3])


def test_a_jump_of_one_noisy_checkpoint_is_no_bend_where_the_difference_is_largest():
    rng = np.random.default_rng(3)
    curves = hinge(STEPS, STEPS[9], 0, 0.8) + 0.02 * rng.normal(size=(40, 16))
    curves[:, 3] += 0.5  # one bad checkpoint: its neighbours differ most
    assert np.abs(np.diff(curves.mean(0))).argmax() in (2, 3)
    found = bends(curves, STEPS, most_bends=1, n_resamples=50)
    assert found.steps[0].estimate in STEPS[8:12]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: path(np.zeros((3, 3)), [0, 1, 2]), "step 0"),
        (lambda: path([[0, 1, 5], [1, 0, 1], [5, 1, 0]], [1, 2, 3]), "no distances of a metric"),
        (lambda: path(np.arange(9.0).reshape(3, 3), [1, 2, 3]), "symmetric"),
        (lambda: slopes_per_decade([1.0, 2], [1, 2, 3]), "of 3 checkpoints"),
        (lambda: bends(np.zeros((20, 5)), [1, 2, 3, 4, 5]), "5 checkpoints"),
        (lambda: bends(np.zeros((3, 16)), STEPS), "10 stimuli"),
        (lambda: bends(np.full((20, 16), np.nan), STEPS), "20 stimuli"),
        (lambda: bends(np.zeros((20, 16)), STEPS, most_bends=9), "most_bends=9"),
    ],
)
def test_what_is_no_trajectory_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
