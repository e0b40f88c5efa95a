"""Maps of studies: against NiMARE where both mean the same, against closed forms and loops elsewhere."""

import nibabel
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from neurolib.data import coordinate_maps, neurosynth
from neurolib.data.brain import Grid
from neurolib.data.coordinate_maps import SIGMAS_PER_FWHM, StudyMapsConfig, activation_likelihood
from neurolib.data.coordinates import Coordinates, tiny

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # NiMARE's Dataset will go

KERNELS = {
    "gaussian": StudyMapsConfig("gaussian", fwhm_mm=12),
    "whole": StudyMapsConfig("gaussian", fwhm_mm=12, keep_mass=True),
    "ale": StudyMapsConfig("ale", fwhm_mm=12),
    "mkda": StudyMapsConfig("mkda"),
    "kda": StudyMapsConfig("kda"),
}


def corpus(n_studies: int = 12) -> Coordinates:
    """Studies of one to thirty foci: some twice, some outside the brain, some far outside the grid."""
    draw = np.random.default_rng(0)
    study = np.repeat(np.arange(n_studies), draw.integers(1, 30, n_studies))
    xyz = np.rint(draw.normal([0, -20, 15], [30, 40, 25], (len(study), 3)))
    xyz[::9] = xyz[0]
    xyz[5] = [60, 60, 70]
    xyz[7] = [300, 0, 0]
    return tiny(xyz, study, id=np.arange(10, 10 + n_studies), standardised=True)


def cube(voxel_mm: float, n: int = 21) -> Grid:
    return Grid(np.ones((n, n, n), bool), voxel_mm, (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def nimare():
    """NiMARE's kernels, and a function: kernel and grid in, its maps of the corpus out."""
    kernel = pytest.importorskip("nimare.meta.kernel", reason="the peer is an optional package")
    from nimare.utils import get_masker

    dataset = neurosynth.to_nimare(corpus())

    def maps(name, grid, **size):
        masker = get_masker(nibabel.Nifti1Image(grid.mask.astype(np.uint8), grid.affine))
        found = getattr(kernel, name)(**size).transform(dataset, masker=masker, return_type="sparse")
        return found.toarray()

    return maps


@pytest.mark.parametrize("voxel_mm", [2, 4])
@pytest.mark.parametrize("name", ["MKDAKernel", "KDAKernel"])
def test_spheres_are_those_of_nimare_voxel_by_voxel(name, voxel_mm, nimare):
    grid = Grid.mni(voxel_mm)
    ours = StudyMapsConfig(name.removesuffix("Kernel").lower(), radius_mm=10).build(grid).sparse(corpus())
    theirs = nimare(name, grid, r=10)
    assert theirs.any(1).sum() >= 11
    np.testing.assert_array_equal(ours.toarray(), theirs)


@pytest.mark.parametrize("voxel_mm, fwhm_for_nimare", [(2, 9), (4, 9 * np.sqrt(2))])  # see the next test
def test_activation_maps_are_those_of_nimare(voxel_mm, fwhm_for_nimare, nimare):
    ours = StudyMapsConfig("ale", fwhm_mm=9).build(Grid.mni(voxel_mm)).dense(corpus())
    theirs = nimare("ALEKernel", Grid.mni(voxel_mm), fwhm=fwhm_for_nimare)
    np.testing.assert_allclose(
        ours, theirs, atol=1e-5 * (voxel_mm / 2) ** 3
    )  # probability grows with the voxel
    assert theirs.max() > 500e-5


def test_at_4_mm_the_kernel_has_the_width_asked_for_and_that_of_nimare_has_not(nimare):
    one = tiny([[0.0, -22, 12]], study=[0], standardised=True)
    grid, target = Grid.mni(4), (9 * SIGMAS_PER_FWHM) ** 2
    from nimare.meta.utils import get_ale_kernel

    _, theirs = get_ale_kernel(nibabel.Nifti1Image(grid.mask.astype(np.uint8), grid.affine), fwhm=9)
    at = np.arange(len(theirs)) - len(theirs) // 2
    assert (theirs.sum((1, 2)) * (4 * at) ** 2).sum() < 0.6 * target  # fails once NiMARE is put right

    ours = StudyMapsConfig("ale", fwhm_mm=9).build(grid).dense(one)[0]
    square = (grid.centres_mm - [-2, -22, 12]) ** 2  # the centre of the focus's voxel
    np.testing.assert_allclose(ours @ square, target, rtol=0.05)


@pytest.mark.parametrize("fwhm_mm", [6, 9, 12])
@pytest.mark.parametrize("voxel_mm", [1, 2, 3, 4, 8])
def test_variance_is_that_of_the_gaussian_and_of_rounding_at_every_voxel_size(voxel_mm, fwhm_mm):
    n = 25 if voxel_mm > 1 else 47
    grid = cube(float(voxel_mm), n)
    foci = (n // 2 + np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3))) * voxel_mm
    maps = StudyMapsConfig(fwhm_mm=fwhm_mm, keep_mass=True).build(grid)
    found = maps.sparse(tiny(foci, np.arange(200), standardised=True))
    rows = np.repeat(np.arange(200), np.diff(found.indptr))
    apart = grid.centres_mm[found.indices] - foci[rows]
    variance = (found.data[:, None] * apart**2).sum(0).mean() / 200
    np.testing.assert_allclose(variance, (fwhm_mm * SIGMAS_PER_FWHM) ** 2 + voxel_mm**2 / 12, rtol=0.02)


@pytest.mark.parametrize("scale", [(1, 1, 1), (0.8, 1.0, 1.2)])
@pytest.mark.parametrize("rotation", [None, Rotation.from_euler("xyz", [20, -35, 50], degrees=True)])
def test_sum_of_gaussians_is_their_density_times_the_volume_of_a_voxel(scale, rotation):
    grid, foci = cube(2.0), np.array([[20.0, 18, 22], [10, 20, 24], [20, 18, 22]])
    turn = np.eye(3) if rotation is None else rotation.as_matrix()
    covariance = turn @ np.diag((9 * SIGMAS_PER_FWHM * np.array(scale)) ** 2) @ turn.T
    expected = np.zeros(grid.n_voxels)
    for focus in foci:
        for voxel, centre in enumerate(grid.centres_mm):
            d = centre - focus
            expected[voxel] += np.exp(-d @ np.linalg.solve(covariance, d) / 2)
    expected *= 2**3 / np.sqrt(np.linalg.det(2 * np.pi * covariance))
    rows = None if rotation is None else tuple(map(tuple, turn))
    maps = StudyMapsConfig(scale=scale, rotation=rows).build(grid)
    found = maps.dense(tiny(foci, [0, 0, 0], standardised=True))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.max() > 1e-2


def test_mass_is_kept_at_the_border_of_the_brain_and_lost_without_being_asked_for():
    grid = Grid.mni(4)
    at_border = grid.centres_mm[np.argsort(grid.centres_mm[:, 2])[-50:]]  # the top of the head
    studies = tiny(at_border, np.arange(50) // 10, standardised=True)
    whole = KERNELS["whole"].build(grid).sparse(studies).sum(1)
    lost = KERNELS["gaussian"].build(grid).sparse(studies).sum(1)
    np.testing.assert_allclose(whole, 10, rtol=1e-5)
    assert lost.max() < 8


@pytest.mark.parametrize("name", KERNELS)
def test_sparse_dense_and_torch_agree_whatever_the_blocks(name, monkeypatch):
    maps, studies = KERNELS[name].build(Grid.mni(8)), corpus()
    sparse = maps.sparse(studies)
    assert sparse.dtype == np.float32 and sparse.has_sorted_indices and (sparse.data > 0).all()
    np.testing.assert_array_equal(maps.dense(studies), sparse.toarray())
    np.testing.assert_allclose(maps.tensor(studies), sparse.toarray(), atol=1e-7)
    monkeypatch.setattr(coordinate_maps, "BLOCK_BYTES", 3 * 4 * maps.grid.n_voxels)
    monkeypatch.setattr(coordinate_maps, "STAMPS", 100)
    np.testing.assert_allclose(maps.dense(studies), sparse.toarray(), atol=1e-7)
    np.testing.assert_allclose(maps.tensor(studies), sparse.toarray(), atol=1e-7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", KERNELS)
def test_maps_on_the_gpu_are_those_of_the_processor(name):
    maps, studies = KERNELS[name].build(Grid.mni(4)), corpus()
    on_gpu = maps.tensor(studies, device="cuda")
    assert on_gpu.is_cuda
    np.testing.assert_allclose(on_gpu.cpu(), maps.dense(studies), atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_studies_do_not_touch_each_other_and_one_without_foci_is_empty(name):
    studies = tiny([[0.0, -20, 10], [30, 0, 20], [-4, 8, 40]], [0, 2, 2], standardised=True)
    maps = KERNELS[name].build(Grid.mni(4))
    together = maps.dense(studies)
    assert not together[1].any() and maps.sparse(studies)[1].nnz == 0
    for i in (0, 2):
        np.testing.assert_allclose(maps.dense(studies.take([i]))[0], together[i], rtol=1e-6)
    moved = maps.dense(studies, xyz_mm=studies.xyz_mm + np.array([40, 0, 0]))
    np.testing.assert_allclose(moved[0], maps.dense(tiny([[40.0, -20, 10]], [0]))[0], rtol=1e-6)


def test_likelihood_over_studies_is_one_less_the_chance_of_none():
    maps = KERNELS["ale"].build(Grid.mni(8)).sparse(corpus())
    expected = 1 - np.prod(1 - maps.toarray().astype(float), axis=0)
    np.testing.assert_allclose(activation_likelihood(maps), expected, atol=1e-12)
    np.testing.assert_allclose(activation_likelihood(maps.toarray()), expected, atol=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"kernel": "ALE"}, "'ALE' is none of gaussian, ale"),
        ({"fwhm_mm": 0.0}, "fwhm_mm=0.0 must be above 0"),
        ({"radius_mm": float("nan")}, "radius_mm=nan"),
        ({"scale": (1.0, 1.0)}, "three numbers"),
        ({"rotation": ((1.0, 0, 0), (0, 2, 0), (0, 0, 1))}, "orthogonal"),
        ({"kernel": "mkda", "keep_mass": True}, "not for 'mkda'"),
    ],
)
def test_a_kernel_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        StudyMapsConfig(**change)


def test_coordinates_of_another_space_or_another_number_are_refused():
    maps = StudyMapsConfig().build(Grid.mni(8))
    talairach = tiny([[0.0, 0, 0]], study=[0], space=np.array(["TAL"]))
    with pytest.raises(ValueError, match=r"1 studies are in Talairach space.*standardise"):
        maps.sparse(talairach)
    assert maps.sparse(talairach.standardise()).nnz
    with pytest.raises(ValueError, match=r"xyz_mm \(1, 3\) for"):
        maps.sparse(corpus(), xyz_mm=np.zeros((1, 3)))
