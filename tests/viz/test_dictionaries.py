"""Figures of sparse dictionaries show what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz import dictionaries


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_scores_over_k_show_means_over_seeds_and_a_level():
    panels = {"R²": {"ours": [[1, 2], [3, 4]], "random": [0, 0]}, "share": {"ours": [1, 1], "random": [0, 0]}}
    fig = dictionaries.over_k([1, 4], panels, {"R²": 5.0}, simulated=True)
    left, right = fig.axes
    assert left.lines[0].get_ydata().tolist() == [2, 3]
    assert [5.0, 5.0] in [list(line.get_ydata()) for line in left.lines]
    assert len(right.lines) == 2 and fig.texts[-1].get_text() == "SIMULATED"
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["ours", "random"]


def test_cosines_are_ranked():
    fig = dictionaries.matched_cosines({"hidden": {"a": [0.2, 0.9, 0.5], "chance": [0.1]}}, 0.7, False)
    assert fig.axes[0].lines[0].get_ydata().tolist() == [0.9, 0.5, 0.2]
    assert not fig.texts


def test_steering_ends_where_it_moved_to_and_a_ring_is_in_the_preferred_direction():
    fig = dictionaries.tuned_and_steered(
        {"features": [0.1, 0.5], "random": [0.1]}, [[0.0, 2.0]], [0.0], np.zeros((3, 2)), "cm/s", False
    )
    ends = [
        (line.get_xdata()[-1], line.get_ydata()[-1]) for line in fig.axes[1].lines if len(line.get_xdata())
    ]
    assert (0.0, 2.0) in ends and (2.0, 0.0) in ends
