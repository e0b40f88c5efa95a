"""Panels of estimates and truths."""

import matplotlib.pyplot as plt
import numpy as np
from numpy.testing import assert_allclose

from neurolib.viz.truths import panels


def test_means_and_truths_stand_where_they_should():
    found = {"a": np.array([[1.0, 0.1], [3.0, -0.1]]), "b": np.array([[5.0, 4.0]] * 3)}
    fig = panels(found, {"a": 0.0, "b": 4.0}, ("shortcut", "here"))
    first, second = fig.axes[:2]
    truth, _, mean, _, other = first.lines
    assert_allclose([truth.get_ydata()[0], mean.get_ydata()[0], other.get_ydata()[0]], [0, 2, 0], atol=1e-12)
    assert second.get_title(loc="left") + second.get_title() == "b" and second.lines[0].get_ydata()[0] == 4
    plt.close(fig)
