"""Regions of resting brains and of brains that watch a film: small files written here, and the recordings where present."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from neurolib.data import fmri

LABELS = (1, 2, 127, 128, 255, 256, 300, 400)  # 8 bits hold 127 at most
N_VOLUMES = 30


def write_person(folder, **changes):
    """A person of the neurolib simulator's data set: three MATLAB files in two folders."""
    rng = np.random.default_rng(0)
    arrays = {
        "functional/BOLD_rsfMRI": ("tc", 9000 + 100 * rng.normal(size=(94, 12))),
        "structural/DTI_CM": ("sc", rng.integers(0, 1000, (94, 94), dtype=np.int32)),
        "structural/DTI_LEN": ("len", rng.uniform(0, 200, (94, 94))),
    }
    for name, (key, array) in arrays.items():
        path = folder / f"{name}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {key: changes.get(key, array)})
    return {key: array for key, array in arrays.values()}


def test_a_resting_person_is_read_with_the_clock_that_was_given(tmp_path):
    arrays = write_person(tmp_path / "NAP_001")
    recording = fmri.read_resting(tmp_path / "NAP_001", tr_s=2.2)
    bold = recording.signals["bold"]
    np.testing.assert_array_equal(bold.values, arrays["tc"].T)
    assert (bold.rate_hz, bold.channels[0], recording.name) == (pytest.approx(1 / 2.2), "AAL2 1", "NAP_001")
    assert recording.trials["label"].tolist() == ["rest"] and recording.trials["stop_s"][0] == pytest.approx(
        26.4
    )
    connectome = fmri.read_connectome(tmp_path / "NAP_001")
    np.testing.assert_array_equal(connectome.counts, arrays["sc"])
    np.testing.assert_array_equal(connectome.lengths, arrays["len"])


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        ("tc", np.ones((12, 94)), r"BOLD_rsfMRI.mat: tc is \(12, 94\).*transposed"),
        ("tc", np.ones((80, 12)), "another atlas"),
        ("tc", np.full((94, 12), np.nan), "finite numbers"),
        ("sc", np.ones((94, 93)), r"DTI_CM.mat: sc is \(94, 93\)"),
        ("len", np.full((94, 94), -1.0), "from -1 to -1; 94 by 94 values of at least 0"),
    ],
)
def test_a_wrong_matrix_is_refused_by_name_of_file(key, array, message, tmp_path):
    write_person(tmp_path, **{key: array})
    with pytest.raises(ValueError, match=message):
        fmri.read_resting(tmp_path, 2.0)
        fmri.read_connectome(tmp_path)


def test_a_missing_or_damaged_resting_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"BOLD_rsfMRI.mat does not exist"):
        fmri.read_resting(tmp_path, 2.0)
    write_person(tmp_path)
    path = tmp_path / "functional" / "BOLD_rsfMRI.mat"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"BOLD_rsfMRI.mat: no readable .mat file; cut short"):
        fmri.read_resting(tmp_path, 2.0)
    with pytest.raises(ValueError, match="tr_s=2000 must be in seconds"):
        fmri.read_resting(tmp_path, 2000)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A function: writes image, confounds and atlas with changes; returns their paths and the arrays."""
    nibabel = pytest.importorskip("nibabel")
    pytest.importorskip("nilearn")
    number = 0

    def write(fd=0.1, n_rows=N_VOLUMES, labels=LABELS, atlas_step=4.0, thick=1, spoil=None, drop=()):
        nonlocal number
        number += 1
        folder = tmp_path_factory.mktemp(f"film{number}")
        rng = np.random.default_rng(1)
        affine = np.diag([4.0, 4.0, 4.0, 1.0])
        affine[:3, 3] = -20
        fine = np.diag([atlas_step, atlas_step, atlas_step, 1.0])
        fine[:3, 3] = -20
        atlas = np.zeros((10, 8, 8), np.int16)
        for row, label in enumerate(labels):
            atlas[row, 2:5, 3:6] = label
        for axis in range(3):
            atlas = atlas.repeat(thick, axis)
        noise = rng.normal(size=(N_VOLUMES, 2))
        bold = 100 + rng.normal(size=(10, 8, 8, N_VOLUMES)) + 3 * noise[:, 0]
        if spoil is not None:
            bold = spoil(bold)
        columns = {
            "trans_x": noise[:, 0],
            "csf": noise[:, 1],
            "framewise_displacement": np.full(N_VOLUMES, fd),
        }
        rows = ["\t".join(key for key in columns if key not in drop)]
        for volume in range(n_rows):
            cells = {key: f"{column[volume % N_VOLUMES]:.12g}" for key, column in columns.items()}
            cells["framewise_displacement"] = "n/a" if volume == 0 else cells["framewise_displacement"]
            rows.append("\t".join(cell for key, cell in cells.items() if key not in drop))
        paths = [folder / "sub-pixar001_bold.nii.gz", folder / "confounds.tsv", folder / "atlas.nii.gz"]
        nibabel.save(nibabel.Nifti1Image(bold.astype(np.float32), affine), paths[0])
        paths[1].write_text("\n".join(rows) + "\n")
        nibabel.save(nibabel.Nifti1Image(atlas, fine), paths[2])
        return paths, bold.astype(np.float32), atlas, noise

    return write


@pytest.mark.filterwarnings("ignore")
def test_every_label_keeps_its_own_signal_above_127(film):
    from nilearn.signal import clean

    paths, bold, atlas, noise = film()
    recording = fmri.read_film(*paths, names={400: "last"})
    read = recording.signals["bold"]
    assert read.channels == ("1", "2", "127", "128", "255", "256", "300", "last")
    for column, label in enumerate(LABELS):
        mean = np.mean([bold[place] for place in zip(*np.nonzero(atlas == label), strict=True)], axis=0)
        by_hand = clean(
            mean[:, None],
            confounds=noise,
            detrend=True,
            standardize="zscore_sample",
            high_pass=0.008,
            t_r=2.0,
        )
        np.testing.assert_allclose(read.values[:, column], by_hand[:, 0], atol=1e-4)
        assert abs(np.corrcoef(mean, noise[:, 0])[0, 1]) > 0.9  # before: mostly the confound
        assert abs(np.corrcoef(read.values[:, column], noise[:, 0])[0, 1]) < 0.5
    # row 5 of the atlas is label 256; its voxels are 2-4 by 3-5 at 4 mm from -20
    np.testing.assert_allclose(read.positions[5], [0, -8, -4], atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_regions_of_a_finer_atlas_are_those_of_nilearns_masker(film, monkeypatch):
    from nilearn.maskers import NiftiLabelsMasker

    monkeypatch.setattr("gc.collect", lambda *_: 0)  # the masker collects a dozen times, for seconds

    paths, _, _, noise = film(atlas_step=2.1, thick=2)  # voxel 6 of the image lies between two labels
    masker = NiftiLabelsMasker(
        paths[2],
        standardize="zscore_sample",
        detrend=True,
        high_pass=0.008,
        t_r=2.0,
        resampling_target="data",
    )
    theirs = masker.fit_transform(paths[0], confounds=noise)
    np.testing.assert_allclose(fmri.read_film(*paths).signals["bold"].values, theirs, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_trials_count_volumes_from_the_start_of_the_film(film):
    paths = film(fd=0.2)[0]
    recording = fmri.read_film(*paths, film_start_s=10.0, participant={"age": 4.5, "group": "child"})
    trials = recording.trials
    assert recording.name == "sub-pixar001" and recording.n_trials == N_VOLUMES - 5
    assert trials["tr"][:2].tolist() == [0, 1]
    np.testing.assert_allclose(trials["start_s"][:2], [10, 12])
    np.testing.assert_allclose(trials["mean_fd_mm"], 0.2)
    assert set(trials["age"]) == {4.5} and set(trials["group"]) == {"child"}
    motion = recording.signals["motion"].values[:, 0]
    assert np.isnan(motion[0]) and motion[1] == 0.2


@pytest.mark.filterwarnings("ignore")
def test_who_moves_too_much_is_left_out(film):
    paths = film(fd=0.51)[0]
    with pytest.raises(ValueError, match=r"confounds.tsv: mean framewise displacement 0.510 mm is above"):
        fmri.read_film(*paths)
    assert fmri.read_film(*paths, max_fd_mm=None).trials["mean_fd_mm"][0] == pytest.approx(0.51)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_rows": 29}, r"bold.nii.gz: shape .* confounds have 29 rows"),
        ({"spoil": lambda x: np.where(x > 103, np.nan, x)}, "NaN or infinite values"),
        ({"spoil": lambda x: x[..., 0]}, "x by y by z by volume"),
        (
            {"spoil": lambda x: np.where(np.arange(10)[:, None, None, None] == 3, 0, x)},
            "region 128 never changes",
        ),
        ({"drop": ("framewise_displacement",)}, "no column 'framewise_displacement'"),
        ({"drop": ("trans_x", "csf")}, "none of the columns trans_x, .* is there"),
        ({"labels": (-1, 2)}, "labels must be whole numbers from 0"),
        ({"atlas_step": 2.7}, r"2 of 8 regions have no voxel of .*, such as labels \[127, 256\]"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_film_is_refused_with_its_fault(change, message, film):
    with pytest.raises(ValueError, match=message):
        fmri.read_film(*film(**change)[0])


def test_a_film_cut_short_is_refused(film):
    paths = film()[0]
    paths[0].write_bytes(paths[0].read_bytes()[:5000])
    with pytest.raises(ValueError, match="no whole NIfTI file; cut short"):
        fmri.read_film(*paths)
    paths[1].write_text(paths[1].read_text()[:-20])
    with pytest.raises(
        ValueError, match=r"confounds.tsv: no table with 3 tab-separated columns in every row"
    ):
        fmri.read_film(*paths)


@pytest.mark.filterwarnings("ignore")
def test_fetched_films_come_with_age_and_names_and_without_those_who_moved(film, monkeypatch):
    import pandas
    from nilearn import datasets
    from sklearn.utils import Bunch

    still, moving = film(fd=0.1)[0], film(fd=0.9)[0]
    names = ["Background", *(f"7Networks_LH_Vis_{number}" for number in range(1, 401))]
    monkeypatch.setattr(
        datasets, "fetch_atlas_schaefer_2018", lambda n_rois, data_dir: Bunch(maps=still[2], labels=names)
    )
    people = {"participant_id": ["sub-1", "sub-2"], "Age": [4.5, 20.0], "Child_Adult": ["child", "adult"]}
    found = Bunch(
        func=[still[0], moving[0]],
        confounds=[still[1], moving[1]],
        phenotypic=pandas.DataFrame(people),
        t_r=2.0,
    )
    monkeypatch.setattr(datasets, "fetch_development_fmri", lambda n_subjects, data_dir: found)
    (recording,) = fmri.fetch_films(2)
    assert recording.trials["participant"][0] == "sub-1" and recording.trials["age"][0] == 4.5
    assert recording.signals["bold"].channels[-1] == "7Networks_LH_Vis_400"


def test_recorded_resting_brains_have_the_shapes_that_were_measured():
    folder = Path(os.environ.get("NEUROLIB_DATA", "")) / "gw_fmri"
    if not (folder / "NAP_013").exists():
        pytest.skip("recorded data: set NEUROLIB_DATA to a folder with gw_fmri")
    people = [fmri.read_resting(person, 2.0) for person in sorted(folder.glob("NAP_*"))]
    assert [person.signals["bold"].values.shape for person in people] == [(355, 94)] * 5
    halves = [
        [
            np.corrcoef(half.T)[np.triu_indices(94, 1)]
            for half in np.array_split(person.signals["bold"].values, 2)
        ]
        for person in people
    ]
    alike = np.corrcoef([first for first, _ in halves], [second for _, second in halves])[:5, 5:]
    assert (alike.argmax(axis=1) == np.arange(5)).sum() == 4  # one half of a scan tells whose the other is
    assert np.diag(alike).mean() == pytest.approx(0.779, abs=0.02)
