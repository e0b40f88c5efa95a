"""Scores over context: intervals, panels and lines without a context."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.metrics.intervals import Interval
from neurolib.viz.context import context_curves

PANELS = {
    "velocity": {
        "ridge": {25: Interval(0.1, 0.0, 0.2, 0.95, 2), 250: Interval(0.6, 0.5, 0.65, 0.95, 2)},
        "MLP": {25: Interval(0.2, 0.1, 0.3, 0.95, 2), 500: Interval(0.8, 0.7, 0.85, 0.95, 2)},
    },
    "speed": {"MLP": {25: Interval(0.3, 0.2, 0.4, 0.95, 2)}},
}
LSTM = {"velocity": {"LSTM": Interval(0.75, 0.7, 0.8, 0.95, 2)}}


@pytest.fixture
def fig():
    fig = context_curves(PANELS, LSTM, "history (ms)", "R²", simulated=False)
    fig.canvas.draw()
    yield fig
    plt.close(fig)


def test_a_line_goes_through_the_estimates_and_a_bar_from_low_to_high(fig):
    velocity, speed = fig.axes
    ridge, mlp, lstm = velocity.lines
    np.testing.assert_allclose(ridge.get_ydata(), [0.1, 0.6])
    np.testing.assert_allclose(ridge.get_xdata(), [25, 250], rtol=0.05)
    np.testing.assert_allclose(mlp.get_xdata(), [25, 500], rtol=0.05)
    assert ridge.get_xdata()[0] < mlp.get_xdata()[0]  # side by side at the same context
    bars = np.array([path.vertices[:, 1] for path in velocity.collections[0].get_paths()])
    np.testing.assert_allclose(bars, [[0.0, 0.2], [0.5, 0.65]])
    np.testing.assert_allclose(lstm.get_ydata(), 0.75)
    np.testing.assert_allclose(speed.lines[0].get_ydata(), [0.3])


def test_a_model_has_one_colour_in_all_panels_and_one_entry_in_the_legend(fig):
    velocity, speed = fig.axes
    assert velocity.lines[1].get_color() == speed.lines[0].get_color() != velocity.lines[0].get_color()
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["ridge", "MLP", "LSTM"]


def test_ticks_stand_at_the_contexts_of_the_panel_and_nowhere_else(fig):
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == ["25", "250", "500"]
    assert list(fig.axes[0].get_xticks(minor=True)) == []


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_marked(simulated):
    fig = context_curves(PANELS, LSTM, "s", "R²", simulated)
    assert ("SIMULATED" in [text.get_text() for text in fig.texts]) == simulated
    plt.close(fig)
