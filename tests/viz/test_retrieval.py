import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz.retrieval import strips


def test_every_candidate_is_drawn_and_the_right_one_marked():
    found = {"sets": {"a": ([0.1, 0.7, -0.2], [1], [-0.1, 0.3]), "b": ([0.0, 0.1, 0.2], [], [0.0, 0.1])}}
    fig = strips(found, "r", simulated=True)
    (ax,) = fig.axes
    dots = {round(float(line.get_ydata()[0])): line for line in ax.lines if line.get_marker() == "|"}
    assert np.allclose(dots[0].get_xdata(), [0.1, 0.7, -0.2])
    marked = [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert marked == [[0.7], []]
    assert ax.patches[0].get_x() == -0.1 and np.isclose(ax.patches[0].get_width(), 0.4)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    plt.close(fig)
    with pytest.raises(ValueError, match="the same"):
        strips(found | {"text": {"a": found["sets"]["a"]}}, "r", simulated=False)
