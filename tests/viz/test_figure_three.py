"""The composed figure: every panel is there, with its letter and with what was given for it."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz.figure_three import Panels, figure_three

MODELS = ("Hebbian", "GRU")
PATHS = np.random.default_rng(0).normal(size=(4, 5, 2))
TURN = np.array([[0.9, -0.2], [0.2, 0.9]])
LOGS = [SimpleNamespace(step=[1, 2], valid=[0.9, 0.5 + 0.1 * seed]) for seed in range(2)]
PANELS = Panels(
    hand=PATHS,
    latents={name: PATHS for name in MODELS},
    direction=np.array([0, 1, 0, 1]),
    onset_bin=1,
    flows={"hand, turning": TURN, "Hebbian, turning": TURN},
    to_hand={"Hebbian": [0.2, 0.4], "GRU": [0.5, 0.7]},
    null_to_hand={"Hebbian": [1.0, 1.2], "GRU": [1.4]},
    between_seeds={"Hebbian": [0.1], "GRU": [0.3]},
    position={"Hebbian": (0.6, 0.5, 0.7), "GRU": (0.7, 0.6, 0.8)},
    histories={name: LOGS for name in MODELS},
    bits={"Hebbian": [0.05], "GRU": [-0.01]},
    read_out={"spikes": (0.3, 0.2, 0.4), "position": (0.6, 0.5, 0.7)},
    colours={"Hebbian": "#0072B2", "GRU": "#D55E00"},
    simulated=True,
)


@pytest.fixture
def panels():
    """Axes of the composed figure by their title."""
    fig = figure_three(PANELS)
    fig.canvas.draw()
    yield {ax.get_title(loc="left"): ax for ax in fig.axes}
    plt.close(fig)


def test_panels_have_their_letters_and_there_is_no_e(panels):
    assert list(panels) == [
        "A  hand",
        "B  Hebbian",
        "GRU",
        "C  hand, turning",
        "Hebbian, turning",
        "D  to the hand",
        "between seeds",
        "F  position",
        "training",
        "G  unseen units",
        "H  latents learned from",
    ]


def test_the_null_is_a_dotted_line_at_its_mean_over_each_model(panels):
    nulls = [line for line in panels["D  to the hand"].lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in nulls] == pytest.approx([1.1, 1.4])
    assert [np.mean(line.get_xdata()) for line in nulls] == pytest.approx([0, 1])


def test_the_null_stands_out_from_the_bar_below_it(panels):
    lines = panels["D  to the hand"].lines
    for null, bar in zip(lines[4:], (lines[0], lines[2]), strict=True):
        assert null.get_color() == "black" != bar.get_color() and null.get_zorder() > bar.get_zorder()
        assert min(null.get_xdata()) < min(bar.get_xdata()) and max(null.get_xdata()) > max(bar.get_xdata())


def test_distances_share_an_axis_from_zero_to_above_the_largest(panels):
    limits = panels["D  to the hand"].get_ylim()
    assert limits == panels["between seeds"].get_ylim()
    assert limits[0] == 0 and limits[1] > 1.4


def test_components_are_named(panels):
    assert [panels[name].get_xlabel() for name in ("B  Hebbian", "GRU")] == ["component 1"] * 2
    assert panels["B  Hebbian"].get_ylabel() == "component 2"


def test_every_seed_has_its_curve_and_every_model_one_entry_in_the_legend(panels):
    ax = panels["training"]
    assert [line.get_ydata()[-1] for line in ax.lines] == pytest.approx([0.5, 0.6, 0.5, 0.6])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(MODELS)
    assert [line.get_color() for line in ax.lines] == ["#0072B2"] * 2 + ["#D55E00"] * 2


def test_a_model_keeps_its_colour_from_panel_to_panel(panels):
    for title in ("D  to the hand", "between seeds", "F  position", "G  unseen units"):
        assert panels[title].lines[0].get_color() == PANELS.colours["Hebbian"]
        assert panels[title].lines[2].get_color() == PANELS.colours["GRU"]


def test_a_read_out_has_the_colour_of_its_model():
    fig = figure_three(replace(PANELS, read_out={"GRU, spikes": (0.3, 0.2, 0.4), "other": (0.1, 0, 0.2)}))
    (ax,) = [ax for ax in fig.axes if ax.get_title(loc="left").startswith("H ")]
    assert ax.lines[0].get_color() == PANELS.colours["GRU"] != ax.lines[2].get_color()
    plt.close(fig)


def test_what_latents_learned_from_is_named(panels):
    labels = [label.get_text() for label in panels["H  latents learned from"].get_yticklabels()]
    assert labels == ["spikes", "position"]


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_marked_once(simulated):
    fig = figure_three(replace(PANELS, simulated=simulated))
    marks = [text for text in fig.findobj(plt.Text) if text.get_text() == "SIMULATED"]
    assert len(marks) == simulated
    plt.close(fig)
