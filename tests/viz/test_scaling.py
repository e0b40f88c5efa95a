"""Pictures of size, data and computing: every number drawn is the one that was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.viz import scaling


@pytest.fixture(autouse=True)
def closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


@pytest.mark.parametrize("simulated", [True, False])
def test_gains_draw_runs_means_and_intervals_where_they_belong(simulated):
    columns = {"parameters": [1e3, 1e4], "seconds": [10.0, 30.0, 120.0]}
    draw = np.random.default_rng(0)
    losses = {name: {"test": draw.uniform(size=(len(x), 2))} for name, x in columns.items()}
    scores = {
        name: {"network": [(0.5, 0.3, 0.6)] * len(x), "ridge": [(0.8, 0.7, 0.9)] * len(x)}
        for name, x in columns.items()
    }
    fig = scaling.gains(columns, losses, scores, ("loss", "R²"), simulated)
    assert len(fig.axes) == 4
    top, bottom = fig.axes[1], fig.axes[3]
    *points, line = top.lines
    assert_allclose([p.get_ydata() for p in points], losses["seconds"]["test"])
    assert_allclose(line.get_ydata(), losses["seconds"]["test"].mean(axis=1))
    assert_allclose(line.get_xdata(), columns["seconds"])
    network, ridge = bottom.containers
    assert_allclose(network.lines[0].get_ydata().astype(float), 0.5)
    bars = [segment[:, 1] for segment in ridge.lines[2][0].get_segments()]
    assert_allclose(bars, [[0.7, 0.9]] * 3)
    assert [text.get_text() for text in fig.texts] == ["SIMULATED"] * simulated
    assert [label.get_text() for label in fig.axes[2].get_xticklabels()] == ["1.0 k", "10 k"]
