"""Kernels around seen foci: against a slow loop, at the border, and mirrored."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.models.coordinates.local import LocalConfig


def slow(grid, xyz, fwhm):
    density = np.zeros(grid.n_voxels)
    for point in xyz:
        kernel = np.array(
            [np.exp(-4 * np.log(2) * ((v - point) ** 2).sum() / fwhm**2) for v in grid.centres_mm]
        )
        density += kernel / kernel.sum() / len(xyz)
    return density


@pytest.mark.parametrize("widths", [(8.0,), (6.0, 20.0)])
@pytest.mark.parametrize("mirror", [False, True])
def test_kernels_equal_a_slow_loop_over_voxels(ball, known_corpus, widths, mirror):
    corpus, voxels = known_corpus, known_corpus.voxels(ball)
    model = LocalConfig(widths, mirror).build(ball).fit(corpus, voxels, [1, 2])
    rows = np.arange(24, 30)
    xyz = corpus.dequantised()[rows] * ([-1, 1, 1] if mirror else [1, 1, 1])
    wanted = np.mean([slow(ball, xyz, w) for w in widths], axis=0)
    np.testing.assert_allclose(model.density(corpus, voxels, rows, 2), wanted, rtol=1e-9, atol=1e-15)


def test_a_focus_outside_the_brain_and_the_grid_loses_no_mass(ball):
    model = LocalConfig((6.0,)).build(ball)
    density = model.kernels(np.array([[-26.0, 0.0, 0.0]]))
    assert density.sum() == pytest.approx(1)
    assert np.abs(ball.centres_mm[density.argmax()] - [-18, 0, 0]).max() <= 2


def test_foci_on_one_side_mirrored_are_those_of_the_other(ball, known_corpus):
    voxels, rows = known_corpus.voxels(ball), np.arange(12)
    # an offset that dequantising adds is not mirrored with the coordinates, so none is left
    still = replace(known_corpus, xyz_mm=2 * known_corpus.xyz_mm - known_corpus.dequantised())
    near, far = (LocalConfig((9.0,), m).build(ball).fit(still, voxels, [0]) for m in (False, True))
    here = near.density(still, voxels, rows, 0)
    np.testing.assert_allclose(far.density(still, voxels, rows, 0), here[ball.mirror], rtol=1e-9)


@pytest.mark.parametrize("widths", [(), (0.0,), (8.0, -1.0)])
def test_widths_must_be_above_zero(widths):
    with pytest.raises(ValueError, match="above 0"):
        LocalConfig(widths)
