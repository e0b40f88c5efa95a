"""Live maps: a slider that moves changes the picture, by the decoder that the page exports."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.atlas.decoder import Decoder, Layer
from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField
from neurolib.viz import atlas_live

ipywidgets = pytest.importorskip("ipywidgets")
GRID = Grid.mni(8)


@pytest.fixture(scope="module")
def decoder():
    """One layer with random weights."""
    log_base = np.full(GRID.n_voxels, -np.log(GRID.n_voxels))
    n_nodes = NodeField(GRID, log_base).n_nodes
    layer = Layer(np.random.default_rng(0).normal(size=(n_nodes, 2)), np.zeros(n_nodes))
    return Decoder((layer,), GRID, log_base, 2)


def test_a_slider_draws_the_decoders_map(decoder, monkeypatch):
    drawn = []
    monkeypatch.setattr(atlas_live, "slices", lambda maps, *a, **k: drawn.append(maps) or plt.figure())
    controls = atlas_live.latent_controls({1: "+front"})
    box = atlas_live.panel(controls, atlas_live.latent_map(decoder))
    controls["z1"].value = 1.5
    np.testing.assert_allclose(drawn[0], decoder([[0, 0]]))
    np.testing.assert_allclose(drawn[1], decoder([[0, 1.5]]))
    assert controls["z1"].continuous_update is False
    assert len(box.children) == 2


def test_the_picture_follows_and_figures_are_closed(decoder):
    controls = atlas_live.latent_controls({0: "+right"})
    before = set(plt.get_fignums())
    picture = atlas_live.panel(controls, atlas_live.latent_map(decoder, limit=1.0)).children[-1]
    first = bytes(picture.value)
    controls["z0"].value = 2.0
    second = bytes(picture.value)
    assert first[:4] == second[:4] == b"\x89PNG" and first != second
    assert set(plt.get_fignums()) == before


def test_a_page_without_python_shows_nothing(monkeypatch):
    def draw(**_):
        raise AssertionError("drawn")

    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    atlas_live.live({}, draw)
