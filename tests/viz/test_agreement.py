"""Scores, ceilings and nulls stand where they should."""

import matplotlib.pyplot as plt
import numpy as np
from numpy.testing import assert_allclose

from neurolib.viz.agreement import ceiling_chart, depth_chart, null_panels


def test_rows_without_a_score_stay_empty_and_ceilings_are_bands():
    panels = {"people": {"a": (0.3, 0.2, 0.4), "b": None}, "monkeys": {"a": None, "b": (0.5, 0.4, 0.6)}}
    fig = ceiling_chart(panels, {"people": (0.35, 0.6), "monkeys": None}, "score", True)
    people, monkeys = fig.axes
    points = [[(*line.get_xdata(), *line.get_ydata()) for line in ax.lines[2::2]] for ax in (people, monkeys)]
    assert points == [[(0.3, 0)], [(0.5, 1)]]
    assert len(people.patches) == 1 and not monkeys.patches
    box = people.patches[0].get_extents().transformed(people.transData.inverted())
    assert_allclose([box.x0, box.x1], [0.35, 0.6])
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)


def test_measured_and_expected_spreads_are_paired_by_name():
    draws = np.random.default_rng(0).normal(0, 0.03, 500)
    fig = null_panels(draws, 0.015, {"a": 0.03, "b": 0.02}, {"b": 0.021, "a": 0.029}, "a and people", False)
    dots = fig.axes[1].lines[-1]
    assert_allclose(dots.get_xydata(), [[0.029, 0.03], [0.021, 0.02]])
    curve = fig.axes[0].lines[0].get_xydata()
    assert_allclose(np.trapezoid(curve[:, 1], curve[:, 0]), 1, atol=1e-3)
    plt.close(fig)


def test_networks_of_a_kind_share_a_colour():
    layers = {
        "trained 1": [(0.1, 0.0, 0.2)] * 2,
        "trained 2": [(0.2, 0.1, 0.3)] * 2,
        "untrained 1": [(0, 0, 0)] * 2,
    }
    fig = depth_chart(
        {"people": layers}, ["conv", "fc"], {"people": (0.4, 0.6)}, {"people": 0.05}, "score", False
    )
    one, two, other, pixels, ceiling, _ = fig.axes[0].lines
    assert one.get_color() == two.get_color() != other.get_color()
    assert_allclose([pixels.get_ydata()[0], ceiling.get_ydata()[0], two.get_ydata()[1]], [0.05, 0.4, 0.2])
    plt.close(fig)
