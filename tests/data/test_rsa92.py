"""Files of the published layout, the twin, and golden numbers of the recorded set where it is present."""

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.distance import squareform

from neurolib.data import catalog, rsa92
from neurolib.data.rsa92 import load_rsa92, simulate_rsa92
from neurolib.metrics.rdm_comparison import compare_rdms, noise_ceiling

TWIN = simulate_rsa92()


def write(folder, change=None):
    """The twin in the four files' layout."""

    def rows(fields, entries, shape=None):
        table = np.empty(shape or (1, len(entries)), [(field, object) for field in fields])
        for place, entry in zip(np.ndindex(table.shape), entries, strict=True):
            table[place] = entry
        return table

    named = ["RDM", "name", "color"]
    sessions = [(squareform(r), f"hIT | S{i} | Session: {j}", [0, 0, 1]) for i in range(4)
                for j, r in enumerate(TWIN.human_sessions[i])]  # fmt: skip
    judged = [(squareform(r), f"simJudge | subject{i}", [0, 0, 1]) for i, r in enumerate(TWIN.judgements)]
    models = [(squareform(r), name, [0, 1, 0]) for name, r in TWIN.models.items()]
    labels = np.empty((1, 12), object)
    labels[0] = list(TWIN.categories)
    stimuli = [(label, image) for label, image in zip(TWIN.labels, TWIN.images, strict=True)]
    both = [(TWIN.monkey_it[None], "mIT_674neurons", [0]), (TWIN.human_it[None], "hITvisStim_316vx", [0])]
    files = {
        rsa92.SUPPLEMENT: {
            "categoryLabels": labels,
            "categoryVectors": np.stack(list(TWIN.categories.values()), axis=1).astype(np.uint8),
            "stimuli_92objs": rows(["category", "image"], stimuli),
            "RDMs_mIT_hIT_fig1": rows(named, both),
        },
        rsa92.BRAIN: {"RDMs": rows(named, sessions, (1, 4, 2))},
        rsa92.JUDGED: {"rdms_behav_92": rows(named, judged)},
        rsa92.MODELLED: {"Models": rows(named, models)},
    }
    if change:
        change(files)
    for name, held in files.items():
        savemat(folder / name, held, do_compression=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rsa92")
    write(path)
    return path


def test_what_is_written_is_read(folder):
    found = load_rsa92("recorded", folder)
    assert not found.simulated and TWIN.simulated
    for name in ("images", "labels", "monkey_it", "human_it", "human_sessions", "judgements"):
        np.testing.assert_array_equal(getattr(found, name), getattr(TWIN, name))
    for name in ("categories", "models"):
        assert list(getattr(found, name)) == list(getattr(TWIN, name))
        for key, values in getattr(TWIN, name).items():
            np.testing.assert_array_equal(getattr(found, name)[key], values)


def one_session_less(files):
    files[rsa92.BRAIN]["RDMs"] = files[rsa92.BRAIN]["RDMs"][:, :, :1]


def lopsided(files):
    table = files[rsa92.MODELLED]["Models"][0, 4]["RDM"]
    table[3, 5] += 1


def missing_value(files):
    files[rsa92.SUPPLEMENT]["RDMs_mIT_hIT_fig1"][0, 0]["RDM"] = np.full((1, 4186), np.nan)


def other_variable(files):
    files[rsa92.JUDGED] = {"RDMs": np.zeros(3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_session_less, r"\(1, 4, 1\) RDMs of sessions"),
        (lopsided, r"92_modelRDMs.mat: HMAX \(92, 92\) is no symmetric table"),
        (missing_value, "monkey_it should be"),
        (other_variable, "92_behavRDMs.mat has no variable 'rdms_behav_92'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, message):
    write(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_rsa92("recorded", tmp_path)


def test_a_missing_or_damaged_file_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=rsa92.SUPPLEMENT):
        load_rsa92("recorded", tmp_path)
    whole = (folder / rsa92.SUPPLEMENT).read_bytes()
    (tmp_path / rsa92.SUPPLEMENT).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"{rsa92.SUPPLEMENT} is no readable"):
        load_rsa92("recorded", tmp_path)
    with pytest.raises(ValueError, match="source='real' must be one of auto"):
        load_rsa92("real")


def test_the_twin_has_the_structure_of_the_recording():
    again = simulate_rsa92()
    np.testing.assert_array_equal(again.images, TWIN.images)
    np.testing.assert_array_equal(again.human_sessions, TWIN.human_sessions)
    assert not np.array_equal(simulate_rsa92(1).monkey_it, TWIN.monkey_it)
    held = {name: int(values.sum()) for name, values in TWIN.categories.items()}
    assert held == {
        **dict.fromkeys(("human", "nonhumani", "body", "face"), 24),
        **{
            "animate": 48,
            "inanim": 44,
            "natObj": 23,
            "artiObj": 21,
            "rand24": 22,
            "rand48": 46,
            "other48": 46,
        },
        "monkeyape": 7,
    }
    assert len({image.tobytes() for image in TWIN.images}) == 92
    agreement = compare_rdms(TWIN.monkey_it, TWIN.human_it)[0, 0]
    assert 0.3 < agreement < 0.6
    ceiling = noise_ceiling(TWIN.human_sessions)
    assert 0.2 < ceiling.lower < ceiling.upper < 0.8
    order = [compare_rdms(TWIN.models[name], TWIN.human_it)[0, 0] for name in ("animacy", "HMAX", "RADON")]
    assert order == sorted(order, reverse=True)


@pytest.fixture(scope="module")
def recorded():
    if not catalog.is_present(rsa92.ID):
        pytest.skip("the 92-image set is not in the data folder")
    return load_rsa92("recorded")


# Spearman's correlation over the 4186 pairs: with human IT, with monkey IT
GOLDEN = {
    "animacy": (0.588, 0.453),
    "monkeyIT": (0.439, 1.0),
    "EVA": (0.354, 0.094),
    "HMAX": (0.222, 0.245),
    "V1": (0.039, 0.074),
    "Silhouette": (0.125, 0.247),
    "RADON": (0.061, 0.016),
}


def test_golden_numbers_of_the_recorded_set(recorded):
    for name, values in GOLDEN.items():
        both = np.stack([recorded.human_it, recorded.monkey_it])
        np.testing.assert_allclose(
            compare_rdms(recorded.models[name], both, "spearman")[0], values, atol=1e-3
        )
    pixels = (1 - np.corrcoef(recorded.images.reshape(92, -1)))[np.triu_indices(92, 1)]
    assert compare_rdms(pixels, recorded.human_it, "spearman")[0, 0] == pytest.approx(0.106, abs=1e-3)
    assert compare_rdms(pixels, recorded.monkey_it, "spearman")[0, 0] == pytest.approx(0.145, abs=1e-3)
    ceiling = noise_ceiling(recorded.human_sessions, "spearman")
    np.testing.assert_allclose(ceiling[:2], (0.377, 0.672), atol=1e-3)


def test_the_recorded_files_agree_with_each_other(recorded):
    np.testing.assert_allclose(recorded.human_sessions.mean(axis=(0, 1)), recorded.human_it, atol=1e-6)
    np.testing.assert_array_equal(recorded.models["monkeyIT"], recorded.monkey_it)
    animate = recorded.categories["animate"]
    apart = (animate[:, None] != animate)[np.triu_indices(92, 1)]
    np.testing.assert_array_equal(recorded.models["animacy"], apart)
    assert list(recorded.models) == list(TWIN.models) and (recorded.labels == TWIN.labels).all()
    for name in ("animate", "inanim", "human", "nonhumani", "body", "face", "natObj", "artiObj"):
        np.testing.assert_array_equal(recorded.categories[name], TWIN.categories[name])
