"""Figures that stand still: drawn from small data, with one number checked in each."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz import population, scores


@pytest.fixture(autouse=True)
def drawn():
    """Render what a test leaves open, as a page would, then close it."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.texts]


def test_an_interval_is_drawn_from_low_to_high_with_its_estimate():
    rows = {"ridge": (0.6, 0.5, 0.65), "null, rolled": (0.0, -0.1, 0.1)}
    fig = scores.interval_chart({"S1": rows, "M1": {k: rows[k] for k in reversed(rows)}}, "R²", False)
    for ax in fig.axes:  # the second panel was given in another order
        assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["ridge", "null, rolled"]
        bar, dot = ax.lines[:2]
        assert list(bar.get_xdata()) == [0.5, 0.65] and list(dot.get_xdata()) == [0.6]
        assert list(dot.get_ydata()) == [0]
        assert ax.lines[0].get_color() != ax.lines[2].get_color()  # references are grey
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row stands on top


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_marked_in_every_figure(hand, simulated):
    trials = replace(hand, simulated=simulated)
    angle, one = np.linspace(0, 6, 4), np.ones((2, 4))
    history = SimpleNamespace(step=[1, 2], valid=[0.5, 0.4], best_step=2)
    made = [
        scores.interval_chart({"a": {"b": (0, 0, 0)}}, "x", simulated),
        scores.sweep([1, 2], {"a": [1, 2]}, "x", "y", simulated, log=True),
        scores.learning_curves({"gru": [history]}, "loss", simulated),
        population.raster_and_hand(trials, 0),
        population.tuning_curves(angle, one, one, ["u", "v"], simulated),
        population.lag_curves(angle, {"M1": angle}, {"M1": simulated}),
        population.peri_event(angle, {"left": one}, {"left": one}, simulated),
    ]
    for fig in made:
        assert ("SIMULATED" in words(fig)) == simulated


def test_a_raster_shows_the_counts_of_its_trial_quiet_units_first(hand):
    fig = population.raster_and_hand(hand, 3)
    image = fig.axes[0].images[0].get_array()
    order = np.argsort(hand.counts.mean(axis=0))
    np.testing.assert_allclose(np.square(image), hand.trial(3).counts[:, order].T)
    x = fig.axes[1].lines[0]
    np.testing.assert_array_equal(x.get_ydata(), hand.trial(3).behaviour[:, 0])
    assert x.get_xdata()[1] == hand.bin_size_s


def test_a_dot_marks_the_best_lag_in_milliseconds():
    lags = np.array([-0.05, 0.0, 0.05])
    fig = population.lag_curves(lags, {"M1": np.array([0.1, 0.2, 0.7])}, {"M1": False})
    dot = fig.axes[0].lines[1]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (pytest.approx(50), 0.7)
    assert fig.axes[0].get_ylabel() == "R² of velocity"
    fig = population.lag_curves(lags, {"M1": np.array([0.1, 0.2, 0.7])}, {"M1": True}, "R²")
    assert fig.axes[0].get_ylabel() == "R²"


def boxes_meet(one, other) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


@pytest.mark.parametrize("n_lines", [1, 2])
def test_neither_the_legend_nor_the_mark_lies_on_the_data(n_lines):
    x, rising = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.4, 0.9])  # the last point is the top right one
    names = ("of steps A", "of changes A − I")[:n_lines]
    for fig in (
        scores.sweep(x, dict.fromkeys(names, rising), "x", "y", True),
        population.lag_curves(x, dict.fromkeys(names, rising), dict.fromkeys(names, True)),
    ):
        fig.canvas.draw()
        (ax,) = fig.axes
        (mark,) = [text.get_window_extent() for text in fig.texts if text.get_text() == "SIMULATED"]
        frame = ax.get_window_extent()
        assert not boxes_meet(ax.get_legend().get_window_extent(), frame)
        assert not boxes_meet(mark, frame)


def test_the_dot_of_a_learning_curve_is_at_the_weights_that_were_kept():
    logs = [SimpleNamespace(step=[10, 20, 30], valid=[0.9, 0.3, 0.5], best_step=20)] * 2
    lines = scores.learning_curves({"gru": logs}, "loss", False).axes[0].lines
    assert len(lines) == 4
    assert (lines[1].get_xdata()[0], lines[1].get_ydata()[0]) == (20, 0.3)


def test_the_band_around_a_mean_rate_is_its_error():
    time = np.array([-0.1, 0.0, 0.1])
    rate, error = np.array([[5.0, 9.0, 6.0]]), np.array([[1.0, 2.0, 1.0]])
    fig = population.peri_event(time, {"left": rate}, {"left": error}, False)
    band = fig.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (4.0, 11.0)


def test_only_velocities_are_drawn_as_velocities(hand):
    names = ("position x", "Velocity x", "pupil", "hand vel y")
    wide = replace(hand, behaviour=np.tile(hand.behaviour, 2), outputs=names)
    assert population.velocity_columns(wide) == [1, 3]
