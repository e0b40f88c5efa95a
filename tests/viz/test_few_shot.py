"""Few-shot curves: every point where its number is, baselines apart from the rest."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.viz.few_shot import few_shot
from neurolib.viz.style import GREY

LINES = {"scratch": [(3, 2.5, 3.5), (2, 1.5, 2.5)], "Bayes": [(1, 0.9, 1.1), (0.5, 0.4, 0.6)]}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_points_intervals_and_baselines_are_drawn():
    fig = few_shot([2, 8], LINES, ["Bayes"], "runs", "error", True)
    (ax,) = fig.axes
    drawn = {line.get_label(): line for line in ax.lines}
    assert_allclose(drawn["scratch"].get_ydata(), [3, 2])
    assert drawn["Bayes"].get_color() == GREY != drawn["scratch"].get_color()
    ends = np.concatenate([[p[:, 1] for p in bars.get_segments()] for bars in ax.collections])
    assert_allclose(ends, [row[1:] for points in LINES.values() for row in points])
    assert [text.get_text() for text in fig.texts] == ["SIMULATED"]


def test_a_line_with_a_missing_point_is_refused():
    with pytest.raises(ValueError, match="1 points for 2 amounts"):
        few_shot([2, 8], {"scratch": [(3, 2, 4)]}, [], "runs", "error", False)
