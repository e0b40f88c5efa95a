"""Scores under several protocols: the ladder and the table of what others reported."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz import protocols

SCORES = {
    "Hebbian": {"as published": [0.6, 0.7], "clean and fair": [0.4, 0.5]},
    "GRU": {"as published": [0.8, 0.6], "clean and fair": [0.5, 0.7]},
}


@pytest.fixture
def table(monkeypatch):
    """Rows of the table that is displayed, head first, as text of their cells."""
    import IPython.display

    def show(*args) -> list[list[str]]:
        shown = []
        monkeypatch.setattr(IPython.display, "display", shown.append)
        protocols.table(*args)
        (html,) = shown
        rows = re.findall(r"<tr>(.*?)</tr>", html.data)
        return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in rows]

    return show


@pytest.mark.parametrize("simulated", [True, False])
def test_a_ladder_has_a_thin_line_per_seed_and_the_mean_by_name(simulated):
    fig = protocols.ladder(SCORES, {"ridge": 0.55}, simulated)
    fig.canvas.draw()
    (ax,) = fig.axes
    seed, other_seed, mean = ax.lines[:3]
    np.testing.assert_allclose(seed.get_ydata(), [0.6, 0.4])
    np.testing.assert_allclose(other_seed.get_ydata(), [0.7, 0.5])
    np.testing.assert_allclose(mean.get_ydata(), [0.65, 0.45])
    assert len({line.get_color() for line in ax.lines[:3]}) == 1 != len({x.get_color() for x in ax.lines})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Hebbian", "GRU"]
    at = ax.get_legend().get_window_extent().transformed(ax.transAxes.inverted())
    assert at.y0 >= 1  # above the lines, not over them
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["as\npublished", "clean\nand fair"]
    assert ("SIMULATED" in [text.get_text() for text in fig.texts]) == simulated
    plt.close(fig)


def test_a_reference_is_dashed_and_named_at_its_height():
    fig = protocols.ladder(SCORES, {"ridge": 0.55, "oracle": 0.9}, False)
    (ax,) = fig.axes
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [0.55, 0.9]
    assert [(note.get_text(), note.xy[1]) for note in ax.texts] == [("ridge", 0.55), ("oracle", 0.9)]
    plt.close(fig)


def test_protocols_that_a_model_names_in_another_order_stay_in_their_place():
    scores = SCORES | {"GRU": dict(reversed(SCORES["GRU"].items()))}
    fig = protocols.ladder(scores, {}, False)
    np.testing.assert_allclose(fig.axes[0].lines[5].get_ydata(), [0.7, 0.6])
    plt.close(fig)


def test_the_table_shows_what_each_source_says_and_leaves_empty_what_none_does(table):
    ours = {"Hebbian": {"loose": 0.61, "clean": 0.5}, "GRU": {"loose": 0.7, "clean": 0.6, "other": 0.1}}
    head, *rows = table({"Hebbian": 0.84}, {"Hebbian": [0.796, 0.8]}, ours, ("clean", "loose"))
    assert head[3:] == ["ours, clean", "ours, loose"]
    assert rows == [
        ["Hebbian", "0.840", "0.796, 0.800", "0.500", "0.610"],
        ["GRU", "", "", "0.600", "0.700"],
    ]
    assert all(len(row) == len(head) for row in rows)


def test_names_in_the_table_are_escaped(table):
    head, row = table({}, {}, {"<b>GRU": {"a & b": 0.5}}, ("a & b",) * 2)
    assert row[0] == "&lt;b&gt;GRU"
    assert head[3] == "ours, a &amp; b" and row[3] == "0.500"
