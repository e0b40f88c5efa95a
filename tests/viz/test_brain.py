"""Pictures of brains: the right slice, the right way round, in the colours of the viewer."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.data.brain import Grid
from neurolib.viz import brain

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "atlas.js"


@pytest.fixture(autouse=True)
def closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


@pytest.fixture(scope="module")
def grid():
    return Grid.mni(8)


def test_a_spot_is_drawn_where_it_is(grid):
    spot = np.array([-40.0, -22.0, 52.0])
    values = np.zeros((2, grid.n_voxels))
    values[0, grid.index(spot[None])] = 2.0
    values[1, 0] = -1.0
    fig = brain.slices(values, grid, ["spot", "other"], cuts={"z": (52, 0), "x": (-40,)})
    axes = [ax for ax in fig.axes if ax.images]
    assert len(axes) == 6 and [axes[0].get_title("left"), axes[3].get_title("left")] == ["spot", "other"]
    for ax, (right, up) in zip((axes[0], axes[2]), ((0, 1), (1, 2)), strict=True):
        overlay = ax.images[1]
        red = np.argwhere(overlay.get_array()[..., 3] > 0.5)
        assert len(red) == 1
        x0, x1, y0, y1 = overlay.get_extent()
        at = np.array([x0, y0]) + (red[0][::-1] + 0.5) * [
            (x1 - x0) / overlay.get_array().shape[1],
            (y1 - y0) / overlay.get_array().shape[0],
        ]
        assert np.abs(at - spot[[right, up]]).max() <= 4  # half a voxel
        assert overlay.get_array()[tuple(red[0])][0] > overlay.get_array()[tuple(red[0])][2]  # warm
    assert not (axes[1].images[1].get_array()[..., 3] > 0.5).any()
    assert fig.get_figwidth() == brain.WIDTH_IN


def test_maps_without_a_sign_are_sequential_and_the_bar_begins_at_zero(grid):
    values = np.random.default_rng(0).uniform(0, 3, grid.n_voxels)
    bar = brain.slices(values, grid, limit=2.5, unit="sd").axes[-1]
    assert bar.get_xlim() == (0, 2.5) and bar.get_xlabel() == "sd"
    assert brain.slices(values - 1, grid, limit=2.5).axes[-1].get_xlim() == (-2.5, 2.5)


def test_colours_are_those_of_the_viewer():
    text = SCRIPT.read_text("utf-8")
    for name, stops in brain.STOPS.items():
        numbers = [int(n) for n in re.findall(r"\d+", re.search(rf"\b{name}: (\[\[.*\]\])", text)[1])]
        assert_allclose(numbers, np.ravel(stops))
    assert_allclose(brain.colours("above")[0, 3], 0)  # zero is clear


def test_foci_are_drawn_in_three_projections():
    groups = {"real": np.array([[-40.0, -20, 50], [30, 10, 0]]), "sampled": np.zeros((9000, 3))}
    fig = brain.foci(groups, most=100)
    for ax, axes in zip(fig.axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        real, sampled = ax.collections[-2:]
        assert_allclose(real.get_offsets(), groups["real"][:, axes])
        assert len(sampled.get_offsets()) == 100
    assert [text.get_text() for text in fig.legends[0].texts] == ["real", "sampled"]


def test_what_cannot_be_drawn_is_refused(grid):
    with pytest.raises(ValueError, match="another grid"):
        brain.slices(np.zeros(7), grid)
    with pytest.raises(ValueError, match="2 titles for 1 maps"):
        brain.slices(np.zeros(grid.n_voxels), grid, ["a", "b"])
    with pytest.raises(ValueError, match="x, y or z"):
        brain.slices(np.zeros(grid.n_voxels), grid, cuts={"w": (0,)})
    with pytest.raises(ValueError, match=r"real: foci \(3,\)"):
        brain.foci({"real": np.zeros(3)})
