"""Figures of superposition hold what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.viz.superposition import false_positives, selectivity_at_reliability, toy_sweep


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_rare_features_are_on_the_right_and_bounds_are_grey():
    fig = toy_sweep([1.0, 0.1], {"shape": {"found": [1, 2]}, "overlap": {"found": [3, 4], "(bound)": [0, 1]}})
    first, second = fig.axes
    low, high = first.get_xlim()
    assert low > high
    found, bound = second.lines
    assert_allclose(found.get_ydata(), [3, 4])
    assert bound.get_label() == "bound" and bound.get_color() != found.get_color()


@pytest.mark.parametrize("simulated", [True, False])
def test_every_neuron_is_a_point_and_noise_a_line(simulated):
    fig = selectivity_at_reliability({"units": ([0.9, 0.1], [3, 1])}, ([0.1, 0.2, 0.3], [0, 1, 2]), simulated)
    points, line = fig.axes[0].lines
    assert_allclose(points.get_xdata(), [0.1, 0.2, 0.3])
    assert np.abs(points.get_ydata() - [0, 1, 2]).max() < 0.5
    assert_allclose(line.get_ydata(), [3, 1])
    assert any(text.get_text() == "SIMULATED" for text in fig.texts) == simulated


def test_a_test_that_never_rejects_is_still_drawn():
    fig = false_positives([0.01, 0.1], {"a": [0.2, 0.3], "b": [0.0, 0.1]})
    level, a, b = fig.axes[0].lines
    assert_allclose(level.get_xdata(), level.get_ydata())
    assert_allclose(a.get_ydata(), [0.2, 0.3])
    assert 0 < b.get_ydata()[0] < 0.01
