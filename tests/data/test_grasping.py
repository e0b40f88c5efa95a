"""A MATLAB 7.3 file of the published layout, and the recorded one where present."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurolib.data.grasping import load_grasping


def write(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "D": (rng.random((6, 4, 1500)) < 0.02).astype(float),
        "GRIP": np.array([[1.0, 1, 1, 2, 2, 2]]),
        "RT": np.array([[229.0, 215, 46, 411, 216, 57]]),
        "ID": np.array([[8101.0, 8301, 8501, 8502]]),
    } | changes
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            if value is not None:
                file[key] = value
    return arrays


@pytest.mark.parametrize("bin_ms", [1, 5, 20])
def test_counts_in_any_bin_are_sums_of_the_file(tmp_path, bin_ms):
    arrays = write(tmp_path / "grasp.mat")
    recording = load_grasping(tmp_path / "grasp.mat")
    first = np.round(recording.trials["start_s"] * 1e3 / bin_ms).astype(int)
    counts = recording.counts_in(first, np.full(6, 1500 // bin_ms), bin_ms * 1e-3).reshape(6, -1, 4)
    np.testing.assert_array_equal(
        counts, arrays["D"].reshape(6, 4, -1, bin_ms).sum(axis=3).transpose(0, 2, 1)
    )


def test_events_lie_where_the_source_says(tmp_path):
    write(tmp_path / "grasp.mat")
    recording = load_grasping(tmp_path / "grasp.mat")
    trials = recording.trials
    np.testing.assert_allclose(trials["cue_s"] - trials["start_s"], 0.2)
    np.testing.assert_allclose(trials["cue_off_s"] - trials["cue_s"], 0.3)
    np.testing.assert_allclose(trials["stop_s"] - trials["cue_off_s"], 1.0)
    assert trials["grip"].tolist() == ["side"] * 3 + ["precision"] * 3
    assert trials["reaction_time_s"][0] == pytest.approx(0.229)
    assert recording.units["id"].tolist() == [8101, 8301, 8501, 8502]
    np.testing.assert_allclose(recording.spike_times_s[0] * 1e3 % 1, 0.5)  # the middle of a millisecond


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RT": None}, r"lacks \['RT'\], it holds \['D', 'GRIP', 'ID'\]"),
        ({"D": np.zeros((1500, 4, 6))}, "the other way round"),
        ({"D": np.full((6, 4, 1500), 0.5)}, "0 or 1 spike per ms"),
        ({"GRIP": np.array([[1.0, 1, 1, 2, 3, 4]])}, "GRIP holds .*4.0"),
        ({"RT": np.array([[0.229, 0.2, 0.1, 0.4, 0.2, 0.1]])}, "are they in seconds"),
    ],
)
def test_a_file_of_another_make_is_refused_with_its_fault(tmp_path, changes, message):
    write(tmp_path / "grasp.mat", **changes)
    with pytest.raises(ValueError, match=rf"grasp.mat.*{message}"):
        load_grasping(tmp_path / "grasp.mat")


def test_a_truncated_or_missing_file_is_one_plain_error(tmp_path):
    path = tmp_path / "grasp.mat"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_grasping(path)
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"no readable MATLAB 7.3 file; truncated"):
        load_grasping(path)


def test_in_the_recording_the_grip_is_in_the_spikes_only_after_the_cue():
    path = (
        Path(os.environ.get("NEUROLIB_DATA", "/nowhere"))
        / "centuri_hatsopoulos/Dataset2_grasping_b121bf7.mat"
    )
    if not path.is_file():
        pytest.skip("the grasping recording is not in the data folder")
    recording = load_grasping(path)
    assert (len(recording.spike_times_s), recording.n_trials) == (93, 134)
    first = np.round(recording.trials["start_s"] / 0.05).astype(int)
    counts = np.sqrt(recording.counts_in(first, np.full(134, 30), 0.05).reshape(134, 30, 93))
    precision = recording.trials["grip"] == "precision"
    learn = np.arange(134) % 2 == 0

    def share_right(bins):
        """Nearest mean of the even trials, for the odd ones."""
        x = counts[:, bins].sum(axis=1)
        means = [x[learn & (precision == grip)].mean(axis=0) for grip in (False, True)]
        distance = np.stack([np.linalg.norm(x[~learn] - mean, axis=1) for mean in means])
        return (distance.argmin(axis=0) == precision[~learn]).mean()

    assert share_right(slice(0, 4)) < 0.65  # the 200 ms before the cue
    assert share_right(slice(24, 30)) > 0.95
