import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine

from neurolib.data import catalog
from neurolib.data.brain import Grid
from neurolib.data.coordinate_simulator import TOPICS, CorpusSimulator
from neurolib.data.statistic_maps import RECORDED, load_statistic_maps, peaks, read_map, simulated_maps


@pytest.fixture(scope="module")
def grid():
    return Grid.mni(4)


@pytest.fixture
def write(tmp_path):
    """Write an image whose value at x, y, z (mm) is a function of them; returns its path."""

    def write(function, affine=None, shape=(64, 76, 64), more=(), code=4, name="map.nii.gz"):
        affine = np.diag([3.0, 3, 3, 1]) if affine is None else affine
        affine[:3, 3] -= affine[:3, :3] @ (np.array(shape) / 2) - [0, -18, 18]  # the brain in the middle
        mm = apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
        volume = np.stack([function(mm), *more], axis=-1) if more else function(mm)
        image = nibabel.Nifti1Image(volume.astype(np.float32), affine)
        image.set_sform(affine, code)
        image.set_qform(affine, code)
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return write


def plane(mm):
    return 25 + mm @ [0.1, -0.02, 0.03]


@pytest.mark.parametrize("steps", [(3.0, 3, 3), (-2.5, 3, 3), (-3.0, -3, 3.5)], ids=str)
def test_a_plane_in_millimetres_comes_out_as_itself_whichever_way_the_image_lies(write, grid, steps):
    found = read_map(write(plane, np.diag([*steps, 1.0])), grid)
    assert np.isfinite(found).all()
    assert np.allclose(found, plane(grid.centres_mm), atol=1e-3)


def test_a_turned_image_is_turned_back(write, grid):
    turn = np.deg2rad(20)
    affine = np.diag([3.0, 3, 3, 1])
    affine[:2, :2] = 3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found = read_map(write(plane, affine, (80, 90, 64)), grid)
    assert np.allclose(found, plane(grid.centres_mm), atol=1e-3)


def test_of_several_volumes_the_first_is_taken_and_empty_voxels_have_no_say(write, grid):
    def half(mm):
        return np.where(mm[..., 0] > -20, plane(mm), np.nan)

    found = read_map(write(half, more=[np.ones((64, 76, 64))]), grid)
    inside = grid.centres_mm[:, 0] > -15
    assert np.allclose(found[inside], plane(grid.centres_mm)[inside], atol=1e-3)
    assert np.isnan(found[grid.centres_mm[:, 0] < -25]).all()


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda mm: np.where(plane(mm) > 29, plane(mm), 0), {}, "thresholded"),
        (lambda mm: np.where(plane(mm) > 25, 1.0, 2.0), {}, "a mask"),
        (lambda mm: np.where(mm[..., 2] > 60, np.inf, plane(mm)), {}, "infinite"),
        (plane, {"code": 0}, "where its voxels lie"),
        (plane, {"shape": (64, 76, 1)}, "shape"),
        (plane, {"affine": np.diag([0.1, 0.1, 0.1, 1])}, "only .* of the brain"),
    ],
)
def test_what_is_no_unthresholded_map_of_the_brain_is_refused(write, grid, function, options, message):
    path = write(function, **options)
    with pytest.raises(ValueError, match=message) as error:
        read_map(path, grid)
    assert "map.nii.gz" in str(error.value)


def test_a_missing_and_a_broken_file_are_named(write, grid, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.nii"):
        read_map(tmp_path / "none.nii.gz", grid)
    path = write(plane)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"map\.nii\.gz is not a whole NIfTI image"):
        read_map(path, grid)


def test_peaks_are_high_apart_and_found_in_order(grid):
    places = grid.centres_mm[[2000, 15000, 26000]]
    values = sum(
        height * np.exp(-((grid.centres_mm - place) ** 2).sum(1) / 200)
        for height, place in zip((3, 5, 4), places, strict=True)
    )
    xyz, heights = peaks(values - 0.5, grid, 5)
    assert np.array_equal(xyz[:3], places[[1, 2, 0]]) and (np.diff(heights) <= 0).all()
    many = peaks(simulated_maps(grid)[0].values, grid, 40, 20.0)[0]
    gaps = np.linalg.norm(many[:, None] - many, axis=-1)[np.triu_indices(len(many), 1)]
    assert gaps.min() >= 20
    with pytest.raises(ValueError, match="no peak"):
        peaks(-np.ones(grid.n_voxels), grid)


def test_the_twins_show_their_topic_of_the_same_simulated_corpus(grid):
    truth = CorpusSimulator(n_studies=50).simulate(0)[1]
    fields = truth.loadings @ truth.fields
    for twin in load_statistic_maps(simulated=True).maps:
        (right,) = twin.right([f"{i}_{name}" for i, (name, _) in enumerate(TOPICS)])
        r = [np.corrcoef(twin.strength, field)[0, 1] for field in fields]
        assert int(np.argmax(r)) == right and 0.6 < max(r) < 0.95
    with pytest.raises(ValueError, match="'saccade' is none of"):
        simulated_maps(grid, ["saccade"])


@pytest.mark.skipif(not catalog.is_present("neurovault_testmaps"), reason="no recorded data")
def test_the_recorded_maps_load():
    maps = load_statistic_maps(simulated=False)
    assert len(maps.maps) == len(RECORDED) and not maps.simulated
    hands = [(-40, -22, 56), (40, -22, 56)]  # the left-right contrast changes sign between the hand areas
    left, right = maps.maps[1].values[maps.grid.index(hands)]
    assert left * right < 0 and min(abs(left), abs(right)) > 3
    for one in maps.maps:
        assert np.isfinite(one.values).mean() > 0.6
