"""A session in ALF layout, as the International Brain Laboratory shares it."""

import builtins
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.ibl import read_alf, read_one, trial_variable_per_bin, wheel_motion
from neurolib.data.recording import Recording

PROBE = "probe00/pykilosort"
START, STOP = np.array([2.0, 6.0, 10.0]), np.array([5.0, 9.0, 13.0])
STIM_ON = START + 0.5
TRIALS = {
    "intervals": np.stack([START, STOP], axis=1),
    "choice": np.array([-1.0, 1.0, 0.0]),
    "feedbackType": np.array([1.0, -1.0, -1.0]),
    "probabilityLeft": np.array([0.5, 0.8, 0.8]),
    "contrastLeft": np.array([0.25, np.nan, np.nan]),
    "contrastRight": np.array([np.nan, 1.0, 0.0]),
    "stimOn_times": STIM_ON,
    "firstMovement_times": np.array([2.8, 6.9, np.nan]),
    "goCue_times": STIM_ON,
}


def make():
    """Cluster 1 fires 50 ms after each stimulus, the wheel turns half a radian half a second after it."""
    times = np.concatenate([np.arange(0, 15, 0.1), STIM_ON + 0.05])
    clusters = np.concatenate([np.resize([0, 2, 3], 150), [1, 1, 1]])
    order = np.argsort(times)
    wheel_t = np.sort(np.concatenate([[0.1, 14.9], *[np.linspace(t + 0.5, t + 1, 40) for t in STIM_ON]]))
    wheel = sum(np.clip(wheel_t - (t + 0.5), 0, 0.5) for t in STIM_ON)
    files = {
        f"{PROBE}/spikes.times.npy": times[order],
        f"{PROBE}/spikes.clusters.npy": clusters[order].astype(np.uint32),
        f"{PROBE}/clusters.label.npy": np.array([1.0, 1.0, 1 / 3, 1.0]),
        f"{PROBE}/clusters.channels.npy": np.array([5, 0, 1, 7]),
        f"{PROBE}/channels.brainLocationAcronyms_ccf_2017.npy": np.array([f"R{i}" for i in range(8)]),
        "_ibl_wheel.timestamps.npy": wheel_t,
        "_ibl_wheel.position.npy": wheel,
    }
    return files | {f"_ibl_trials.{key}.npy": value for key, value in TRIALS.items()}


def write(session, files):
    for name, value in files.items():
        path = session / "alf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, value)
    return session


@pytest.fixture
def session(tmp_path):
    return write(tmp_path / "KS001" / "2020-01-01" / "001", make())


def test_good_units_their_spikes_and_their_regions(session):
    recording = read_alf(session)
    assert recording.units["cluster"].tolist() == [0, 1, 3]
    assert recording.units["acronym"].tolist() == ["R5", "R0", "R7"]
    np.testing.assert_allclose(recording.spike_times_s[1], STIM_ON + 0.05)
    np.testing.assert_allclose(recording.spike_times_s[2], np.arange(0, 15, 0.1)[2::3])
    assert recording.name == "KS001/2020-01-01/001 probe00/pykilosort"


def test_spikes_wheel_and_trials_are_on_one_clock(session):
    recording = read_alf(session)
    trials = recording.align("stim_on_s", (-0.2, 1.5), 0.1, "wheel_velocity")
    assert len(trials) == 3
    block = trials.padded()
    assert (block.counts[:, 2, 1] == 1).all() and block.counts[:, :, 1].sum() == 3
    turning = block.behaviour[:, :, 0]
    np.testing.assert_allclose(turning[:, 8:11], 1.0, atol=0.1)  # 0.6 to 0.9 s after the stimulus
    np.testing.assert_allclose(turning[:, [0, 1, 2, 3, 4, 14, 15, 16]], 0.0, atol=0.02)
    assert trials.info["choice"].tolist() == [-1, 1, 0]
    np.testing.assert_array_equal(trials.info["contrast_left"], TRIALS["contrastLeft"])
    np.testing.assert_array_equal(recording.trials["first_movement_s"], TRIALS["firstMovement_times"])


def test_trial_variables_are_expanded_by_membership_and_never_filled(session):
    recording = read_alf(session)
    centres = (np.arange(300) + 0.5) * 0.05
    for column in ("choice", "probability_left", "contrast_right"):
        expected = np.full(300, np.nan)
        for i, centre in enumerate(centres):
            for start, stop, value in zip(START, STOP, recording.trials[column], strict=True):
                if start <= centre < stop:
                    expected[i] = value
        np.testing.assert_array_equal(trial_variable_per_bin(recording, column, centres), expected)
    assert np.isnan(trial_variable_per_bin(recording, "choice", [-5.0, 5.0, 99.0])).all()
    with pytest.raises(ValueError, match="no trial column 'reward'"):
        trial_variable_per_bin(recording, "reward", centres)


def test_a_time_in_two_trials_or_after_a_trial_within_a_trial_is_left_open():
    trials = {"start_s": [0, 4, 10, 12], "stop_s": [5, 8, 20, 13], "choice": [1, 2, 3, 4]}
    recording = Recording([], [[0, 20]], trials={key: np.array(value) for key, value in trials.items()})
    found = trial_variable_per_bin(recording, "choice", [3.0, 4.5, 6.0, 11.0, 12.5, 15.0])
    np.testing.assert_array_equal(found, [1, np.nan, 2, 3, np.nan, np.nan])


def test_the_wheel_keeps_slow_turns_and_loses_what_is_above_20_hz():
    time_s = np.arange(0, 10, 0.002) + np.random.default_rng(0).uniform(0, 0.0015, 5000)
    slow, fast = np.sin(2 * np.pi * 2 * time_s), 0.1 * np.sin(2 * np.pi * 80 * time_s)
    position, velocity = wheel_motion(time_s, slow + fast)
    middle = slice(500, -500)
    at = velocity.time_s[middle]
    np.testing.assert_allclose(position.values[middle, 0], np.sin(4 * np.pi * at), atol=0.01)
    np.testing.assert_allclose(velocity.values[middle, 0], 4 * np.pi * np.cos(4 * np.pi * at), atol=0.3)


def test_the_later_revision_is_taken_and_an_insertion_must_be_named(session):
    write(session, {f"{PROBE}/#2024-05-06#/clusters.label.npy": np.array([0.0, 1.0, 0.0, 0.0])})
    assert read_alf(session).units["cluster"].tolist() == [1]
    write(session, {"probe01/pykilosort/spikes.times.npy": np.array([1.0])})
    with pytest.raises(ValueError, match=r"2 spike sortings, \['probe00/pykilosort', 'probe01/pykilosort'\]"):
        read_alf(session)
    assert read_alf(session, PROBE).units["cluster"].tolist() == [1]
    with pytest.raises(FileNotFoundError, match="no spike sorting 'probe02'"):
        read_alf(session, "probe02")


def test_metrics_are_matched_by_cluster_and_regions_may_be_numbers(session):
    here = session / "alf" / PROBE
    (here / "clusters.label.npy").unlink()
    (here / "channels.brainLocationAcronyms_ccf_2017.npy").unlink()
    np.save(here / "channels.brainLocationIds_ccf_2017.npy", np.arange(8) * 100)
    (here / "clusters.metrics.csv").write_text(
        "cluster_id,label\n1,1.0\n3,1.0\n"
    )  # 0 and 2 were not measured
    units = read_alf(session).units
    assert units["cluster"].tolist() == [1, 3] and units["atlas_id"].tolist() == [0, 700]


def test_a_trial_table_in_parquet_is_read_or_says_what_it_needs(session, monkeypatch):
    for path in (session / "alf").glob("_ibl_trials.*"):
        path.unlink()
    path = session / "alf" / "_ibl_trials.table.pqt"
    path.write_bytes(b"PAR1")
    try:
        import pyarrow.parquet
    except ImportError:
        with pytest.raises(ValueError, match=r"table.pqt is in parquet, which needs pyarrow"):
            read_alf(session)
        return
    with pytest.raises(ValueError, match=r"table.pqt is no readable parquet"):
        read_alf(session)
    columns = {"intervals_0": START, "intervals_1": STOP} | {
        k: v for k, v in TRIALS.items() if k != "intervals"
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    np.testing.assert_array_equal(read_alf(session).trials["stim_on_s"], STIM_ON)


SPIKES = make()[f"{PROBE}/spikes.times.npy"]
WHEEL_T = make()["_ibl_wheel.timestamps.npy"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (f"{PROBE}/spikes.times.npy", (SPIKES * 30_000).astype(int), "seconds expected, are they samples"),
        (f"{PROBE}/spikes.times.npy", SPIKES[::-1], "go backwards"),
        (f"{PROBE}/spikes.times.npy", SPIKES[:-1], "of two revisions"),
        (f"{PROBE}/spikes.times.npy", np.array([None, 1]), "pickled objects"),
        (f"{PROBE}/spikes.clusters.npy", np.resize([0, 9], 153), "name cluster 9 and there are labels for 4"),
        (f"{PROBE}/clusters.label.npy", np.zeros(4), "no unit has label 1"),
        (f"{PROBE}/clusters.label.npy", np.ones(5), "of 4 clusters for 5 labels"),
        ("_ibl_wheel.timestamps.npy", WHEEL_T[::-1], r"_ibl_wheel.timestamps.npy: wheel clock goes from"),
        ("_ibl_wheel.position.npy", np.zeros(3), "positions"),
        ("_ibl_trials.intervals.npy", TRIALS["intervals"][::-1], "clock goes back at trial 1"),
        ("_ibl_trials.intervals.npy", TRIALS["intervals"] * 1e3, "Are times in milliseconds"),
        ("_ibl_trials.intervals.npy", TRIALS["intervals"][:, ::-1], "without a start before their stop"),
        ("_ibl_trials.choice.npy", np.array([1.0, 2.0, 3.0]), "choices"),
    ],
)
def test_bad_files_are_refused_with_the_likely_mistake(session, name, value, message):
    np.save(session / "alf" / name, value)
    with pytest.raises(ValueError, match=message):
        read_alf(session)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("_ibl_trials.choice.npy", "trials have no choice"),
        ("_ibl_wheel.position.npy", "no file wheel.position.npy"),
        (f"{PROBE}/clusters.label.npy", "no clusters.metrics"),
        (f"{PROBE}/channels.brainLocationAcronyms_ccf_2017.npy", "was histology done"),
    ],
)
def test_a_missing_file_is_named(session, name, message):
    (session / "alf" / name).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        read_alf(session)


class FakeOne:
    """Hands out files of a session as ONE does with ``download_only``."""

    def __init__(self, session):
        self.session = session

    def load_object(self, eid, obj, collection=None, attribute=None, download_only=False):
        assert download_only and eid == "an-eid"
        return sorted((self.session / collection).glob(f"*{obj}.*"))


def test_what_one_downloads_is_read_like_what_lies_on_disk(session):
    through, direct = read_one("an-eid", PROBE, FakeOne(session)), read_alf(session)
    assert through.units["acronym"].tolist() == direct.units["acronym"].tolist()
    for ours, theirs in zip(through.spike_times_s, direct.spike_times_s, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert through.trials.keys() == direct.trials.keys()


def test_without_one_the_message_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without_one(name, *rest):
        if name.startswith("one"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_one)
    with pytest.raises(ImportError, match="pip install ONE-api"):
        read_one("an-eid", PROBE)


def test_a_folder_without_alf_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no folder alf"):
        read_alf(Path(tmp_path))
