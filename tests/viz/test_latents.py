"""Drawings of latents and scores: means are means, and each stands where its name says."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.quiver import Quiver
from numpy.testing import assert_allclose

from neurolib.viz import latents
from neurolib.viz.style import COLOURS


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    fig.canvas.draw()
    plt.close(fig)


def names(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_a_path_is_the_mean_of_its_label_with_a_ring_at_onset_and_a_dot_at_the_end(ax):
    paths = np.random.default_rng(0).normal(size=(6, 5, 2))
    labels = np.array([0, 3, 0, 3, 3, 0])
    latents.mean_paths(ax, paths, labels, onset_bin=1)
    assert len(ax.lines) == 6  # path, dot and ring of labels 0 and 3; there is no 1 or 2
    for (path, end, ring), label in zip((ax.lines[:3], ax.lines[3:]), (0, 3), strict=True):
        mean = paths[labels == label].mean(axis=0)
        assert_allclose(path.get_xydata(), mean)
        assert_allclose(end.get_xydata(), mean[[-1]])
        assert_allclose(ring.get_xydata(), mean[[1]])
        assert ring.get_markerfacecolor() == "white"
        assert_allclose(path.get_color(), latents.direction_colours(4)[label])
        assert_allclose(end.get_color(), path.get_color())


def test_without_an_onset_there_is_no_ring(ax):
    latents.mean_paths(ax, np.zeros((2, 3, 2)), [0, 1])
    assert len(ax.lines) == 4


def test_directions_have_colours_of_their_own():
    colours = latents.direction_colours(8)
    assert len({tuple(colour) for colour in colours.tolist()}) == 8
    assert (colours[:, 3] == 1).all() and (colours[:, :3] <= 0.8).all()


def test_two_components_are_those_of_another_library():
    from sklearn.decomposition import PCA

    made = np.random.default_rng(0).normal(size=(4, 6, 5)) * [3, 2, 1, 0.5, 0.1] + 7
    wanted = PCA(2).fit_transform(made.reshape(-1, 5)).reshape(4, 6, 2)
    assert_allclose(np.abs(latents.two_components(made)), np.abs(wanted), atol=1e-10)


def test_one_latent_lies_on_a_line():
    made = latents.two_components(np.arange(4.0).reshape(1, 4, 1))
    assert made.shape == (1, 4, 2) and not made[..., 1].any()


def test_every_value_is_a_point_and_the_bar_is_their_mean(ax):
    latents.points(ax, {"GRU": [0.1, 0.4, 0.4], "ridge": 0.7}, "R²", {"ridge": "black"})
    bar, dots, other_bar, other_dots = ax.lines
    assert_allclose(bar.get_ydata(), 0.3)
    assert dots.get_ydata().tolist() == [0.1, 0.4, 0.4]
    assert other_bar.get_ydata().tolist() == [0.7, 0.7] and other_dots.get_ydata().tolist() == [0.7]
    assert (np.round(dots.get_xdata()) == 0).all() and (np.round(other_dots.get_xdata()) == 1).all()
    assert (bar.get_color(), other_bar.get_color()) == (COLOURS[0], "black")
    assert names(ax.get_xticklabels()) == ["GRU", "ridge"] and ax.get_ylabel() == "R²"


def test_an_interval_runs_from_low_to_high_and_the_first_row_is_on_top(ax):
    latents.intervals(ax, {"GRU": (0.6, 0.5, 0.65), "ridge": (0.4, 0.3, 0.5)}, "R²", {"ridge": "black"})
    bar, dot = ax.lines[:2]
    assert list(bar.get_xdata()) == [0.5, 0.65] and list(dot.get_xdata()) == [0.6]
    assert list(dot.get_ydata()) == [0] and ax.get_ylim() == (1.5, -0.5)
    assert ax.lines[2].get_color() == "black"
    assert names(ax.get_yticklabels()) == ["GRU", "ridge"] and ax.get_xlabel() == "R²"


def test_a_flow_shows_one_step_of_the_operator_and_a_path_of_many(ax):
    angle = 0.3
    turn = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    latents.flow(ax, turn)
    (arrows,) = [artist for artist in ax.collections if isinstance(artist, Quiver)]
    at, step = arrows.XY, np.stack([arrows.U, arrows.V], axis=1)
    assert_allclose(at + step, at @ turn.T, atol=1e-12)
    (path,) = ax.lines
    n = np.arange(61)
    wanted = 0.9**n * np.stack([np.cos(n * angle), np.sin(n * angle)])  # the closed form of a spiral
    assert_allclose(path.get_xydata(), wanted.T, atol=1e-12)
