"""The grid against nibabel's affines and nilearn's mask."""

import numpy as np
import pytest
from nibabel.affines import apply_affine

from neurolib.data.brain import Grid

LANDMARKS_MM = np.array(
    [
        [0, 0, 0],  # anterior commissure
        [0, -24, 0],
        [-38, -22, 56],  # hand, left motor cortex
        [38, -22, 56],
        [10, -88, 2],  # calcarine
        [-50, 24, 16],  # Broca
        [-26, -20, -16],  # left hippocampus
        [26, -20, -16],
        [42, -54, -18],  # fusiform
        [4, 54, 22],
        [-12.4, 11.7, -5.6],
        [33.3, 18.2, 1.9],
    ]
)


@pytest.mark.parametrize("voxel_mm", [1, 2, 3, 4, 6, 8])
def test_landmarks_are_where_nibabel_puts_them_at_every_grid(voxel_mm):
    grid = Grid.mni(voxel_mm)
    ijk = apply_affine(np.linalg.inv(grid.affine), LANDMARKS_MM)
    np.testing.assert_array_equal(grid.nearest(LANDMARKS_MM), np.rint(ijk))
    at = grid.index(LANDMARKS_MM)
    assert (at >= 0).all(), LANDMARKS_MM[at < 0]
    np.testing.assert_array_equal(grid.voxels[at], np.rint(ijk))
    np.testing.assert_allclose(apply_affine(grid.affine, grid.voxels[at]), grid.centres_mm[at])
    assert (np.abs(grid.centres_mm[at] - LANDMARKS_MM) <= voxel_mm / 2).all()


@pytest.mark.parametrize("voxel_mm", [2, 4])
def test_the_mask_is_that_of_nilearn(voxel_mm):
    from nilearn.datasets import load_mni152_brain_mask

    theirs = load_mni152_brain_mask(resolution=voxel_mm)
    inside = np.argwhere(np.asarray(theirs.dataobj) > 0)
    grid = Grid.mni(voxel_mm)
    ours = apply_affine(grid.affine, np.argwhere(grid.mask))
    np.testing.assert_array_equal(ours, apply_affine(theirs.affine, inside))


def test_the_grid_that_models_are_scored_on():
    grid = Grid.mni(4)
    assert grid.shape == (46, 55, 46) and grid.n_voxels == 29_398
    np.testing.assert_array_equal(
        grid.affine, [[4, 0, 0, -90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]]
    )
    assert Grid.mni(4) is grid
    assert (grid.template[grid.mask] > grid.template[~grid.mask].max()).all()


def test_points_outside_have_no_number_and_near_ones_are_moved_in():
    grid = Grid.mni(4)
    top = grid.centres_mm[np.argmax(grid.centres_mm[:, 2])]
    above = top + np.array([[0, 0, 4], [0, 0, 8], [0, 0, 12], [0, 0, 400]])
    np.testing.assert_array_equal(grid.index(above), -1)
    found = grid.snap(above, within_mm=8.0)
    assert (found[:2] >= 0).all() and (found[2:] == -1).all()
    draw = np.random.default_rng(0)
    points = grid.centres_mm[draw.integers(grid.n_voxels, size=200)] + draw.normal(0, 8, (200, 3))
    centres = grid.nearest(points) * grid.voxel_mm + grid.origin_mm
    apart = np.linalg.norm(centres[:, None] - grid.centres_mm, axis=2)
    moved = grid.snap(points)
    near = apart.min(1) <= 8
    np.testing.assert_array_equal(moved >= 0, near)
    np.testing.assert_allclose(apart[near, moved[near]], apart.min(1)[near])
    np.testing.assert_allclose(grid.distance_mm(points), apart.min(1), atol=1e-6)
    assert 20 < (apart.min(1) > 0).sum() and 5 < near.sum() < 200
    np.testing.assert_allclose(grid.distance_mm([[0, 0, 508]]) - grid.distance_mm([[0, 0, 308]]), 200)


def test_the_mirror_swaps_sides_and_is_its_own_inverse_where_both_are_brain():
    grid = Grid.mni(4)
    mirrored = grid.centres_mm[grid.mirror]
    swapped = (mirrored == grid.centres_mm * [-1, 1, 1]).all(1)
    assert swapped.mean() > 0.9
    np.testing.assert_array_equal(mirrored[~swapped], grid.centres_mm[~swapped])
    np.testing.assert_array_equal(grid.mirror[grid.mirror], np.arange(grid.n_voxels))


def test_values_of_voxels_go_into_a_volume_and_back():
    grid = Grid.mni(8)
    values = np.random.default_rng(0).normal(size=grid.n_voxels)
    volume = grid.volume(values, outside=np.nan)
    np.testing.assert_array_equal(volume[tuple(grid.voxels.T)], values)
    assert np.isnan(volume[~grid.mask]).all()
    larger = grid.padded((24, 28, 24))
    assert larger.shape == (24, 28, 24)
    np.testing.assert_array_equal(larger.index(LANDMARKS_MM), grid.index(LANDMARKS_MM))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Grid.mni(5), "voxel_mm=5 must be one of"),
        (lambda: Grid(np.zeros((2, 2, 2), bool), 4.0), "some brain"),
        (lambda: Grid(np.ones((2, 2, 2)), 4.0), "float64 must be a volume of bool"),
        (lambda: Grid(np.ones((2, 2, 2), bool), 0.0), "voxel_mm=0.0 must be above 0"),
        (lambda: Grid.mni(8).volume(np.zeros(29_398)), "is this a map of another grid"),
        (lambda: Grid.mni(8).padded((1, 1, 1)), "smaller than the grid"),
    ],
)
def test_what_is_no_grid_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
