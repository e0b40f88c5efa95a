import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurolib.data.nwb import read_nwb

SPIKES = [np.array([0.5, 1.0, 9.5]), np.array([2.0, 3.0])]
TRIALS = {"start_time": np.array([1.0, 4.0]), "stop_time": np.array([2.0, 5.0])}


def test_what_was_written_is_read_back(nlb_file):
    path, made = nlb_file("mc_maze")
    recording = read_nwb(path)
    assert len(recording.spike_times_s) == len(made.spike_times_s)
    for ours, written in zip(recording.spike_times_s, made.spike_times_s, strict=True):
        np.testing.assert_array_equal(ours, written)
    np.testing.assert_array_equal(recording.observed_s, made.obs_intervals)
    np.testing.assert_array_equal(recording.units["held_out"], made.held_out)
    np.testing.assert_array_equal(recording.trials["start_s"], made.trials["start_time"])
    np.testing.assert_array_equal(recording.trials["move_onset_s"], made.trials["move_onset_time"])
    np.testing.assert_array_equal(recording.trials["trial_type"], made.trials["trial_type"])
    assert recording.trials["split"].tolist() == made.trials["split"]
    hand = recording.signals["hand_vel"]
    np.testing.assert_array_equal(hand.values, made.signals["hand_vel"]["data"])
    np.testing.assert_array_equal(hand.time_s, made.signals["hand_vel"]["timestamps"])
    assert (hand.channels, hand.unit, recording.name) == (("x", "y"), "mm/s", "mc_maze")


def test_signals_with_a_rate_get_a_clock_and_the_files_scale(write_nwb):
    raw = np.arange(20, dtype=np.int16).reshape(10, 2)
    series = {"data": raw, "rate": 4.0, "starting_time": 0.5, "conversion": 0.1, "offset": 3.0, "unit": "cm"}
    hand = read_nwb(write_nwb(SPIKES, signals={"hand": series})).signals["hand"]
    np.testing.assert_allclose(hand.time_s, 0.5 + np.arange(10) / 4)
    np.testing.assert_allclose(hand.values, raw * 0.1 + 3)


def test_only_the_signals_asked_for_are_read(nlb_file):
    path, _ = nlb_file()
    assert read_nwb(path, signals=()).signals == {}
    with pytest.raises(ValueError, match=r"mc_maze.nwb: no signal \['eye_pos'\]; it has \['hand_vel'\]"):
        read_nwb(path, signals=["eye_pos"])


def test_without_observed_intervals_the_recording_spans_spikes_and_signals(write_nwb):
    series = {"data": np.zeros(5), "timestamps": np.arange(5.0) + 6}
    np.testing.assert_array_equal(read_nwb(write_nwb(SPIKES)).observed_s, [[0.5, 9.5]])
    with_signal = write_nwb(SPIKES, signals={"late": series}, name="signal.nwb")
    np.testing.assert_array_equal(read_nwb(with_signal).observed_s, [[0.5, 10.0]])


def test_without_observed_intervals_a_trial_may_reach_a_second_beyond_the_spikes(write_nwb):
    trials = {"start_time": np.array([0.0, 8.0]), "stop_time": np.array([1.0, 10.2])}
    np.testing.assert_array_equal(read_nwb(write_nwb(SPIKES, trials)).observed_s, [[0.0, 10.2]])
    trials["stop_time"][1] = 10.6
    with pytest.raises(ValueError, match="1 trials lie outside"):
        read_nwb(write_nwb(SPIKES, trials, name="late.nwb"))


def test_two_signals_of_one_name_are_both_read(write_nwb, tmp_path):
    from pynwb import NWBHDF5IO, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    path = write_nwb(SPIKES, signals={"hand": {"data": np.ones(5), "rate": 1.0}})
    with NWBHDF5IO(str(path), "a") as io:
        nwb = io.read()
        nwb.add_acquisition(TimeSeries(name="hand", data=np.zeros(5), rate=1.0, unit="V"))
        inner = TimeSeries(name="x", data=np.full(5, 2.0), rate=1.0, unit="cm")
        nwb.processing["behavior"].add(BehavioralTimeSeries(name="gaze", time_series=inner))
        io.write(nwb)
    signals = read_nwb(path).signals
    assert {name: signal.values[0, 0] for name, signal in signals.items()} == {
        "hand": 0.0,
        "behavior_hand": 1.0,
        "gaze_x": 2.0,
    }


def test_observed_is_when_every_unit_was(write_nwb):
    first, second = np.array([[0.0, 4.0], [4.0, 6.0], [7.0, 10.0]]), np.array([[1.0, 5.0], [5.5, 8.0]])
    np.testing.assert_array_equal(
        read_nwb(write_nwb(SPIKES, obs_intervals=[first, second])).observed_s, [[1, 5], [5.5, 6], [7, 8]]
    )
    apart = write_nwb(SPIKES, obs_intervals=[first[:1], np.array([[5.0, 8.0]])], name="apart.nwb")
    with pytest.raises(ValueError, match=r"apart.nwb: .*never all observed at once"):
        read_nwb(apart)
    np.testing.assert_array_equal(read_nwb(apart, units_keep=[False, True]).observed_s, [[5, 8]])


def test_a_unit_that_never_fires_is_refused_or_dropped_or_kept(write_nwb):
    path = write_nwb([SPIKES[0], np.array([]), SPIKES[1]])
    with pytest.raises(ValueError, match=r"session.nwb: units \[1\] never fire; silent='drop'"):
        read_nwb(path)
    assert [len(times) for times in read_nwb(path, silent="keep").spike_times_s] == [3, 0, 2]
    dropped = read_nwb(path, silent="drop")
    assert [len(times) for times in dropped.spike_times_s] == [3, 2]
    assert dropped.units["id"].tolist() == [0, 2]
    assert read_nwb(path, units_keep=[2, 0]).units["id"].tolist() == [2, 0]
    with pytest.raises(ValueError, match="silent='yes' must be one of"):
        read_nwb(path, silent="yes")


@pytest.mark.parametrize(
    ("first_bytes", "likely"),
    [
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"\n<html>", "web page"),
        (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "MATLAB file"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"", "empty"),
        (b"anything else", "renamed"),
    ],
)
def test_a_file_that_is_not_hdf5_is_named_for_what_it_is(first_bytes, likely, tmp_path):
    path = tmp_path / "session.nwb"
    path.write_bytes(first_bytes)
    with pytest.raises(ValueError, match=rf"session.nwb: not an NWB \(HDF5\) file: .*{likely}"):
        read_nwb(path)


def test_hdf5_that_is_not_nwb_is_refused(tmp_path):
    path = tmp_path / "v73.nwb"
    with h5py.File(path, "w") as file:
        file["spikes"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"v73.nwb: HDF5 but not NWB .* MATLAB 7.3"):
        read_nwb(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.nwb: no such file.*NEUROLIB_DATA"):
        read_nwb(tmp_path / "none.nwb")
    with pytest.raises(ValueError, match="is a folder"):
        read_nwb(tmp_path)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(kept, nlb_file):
    path, _ = nlb_file()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"mc_maze.nwb: truncated, [\d,]+ bytes are there"):
        read_nwb(path)


def test_a_file_without_units_is_refused(write_nwb):
    with pytest.raises(ValueError, match=r"session.nwb: no units table; is this"):
        read_nwb(write_nwb([], signals={"hand": {"data": np.zeros(5), "rate": 1.0}}))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([3.0, 1.0, 2.0], "unit 1 are not sorted"),
        ([1.0, np.nan, 2.0], "unit 1 hold NaN"),
    ],
)
def test_spike_times_out_of_order_or_nan_are_refused(times, message, write_nwb):
    with pytest.raises(ValueError, match=rf"session.nwb: .*{message}"):
        read_nwb(write_nwb([SPIKES[0], np.array(times)]))


def test_trials_outside_the_recording_are_refused_or_dropped(write_nwb):
    trials = {"start_time": np.array([1.0, 4.0, 9.0]), "stop_time": np.array([2.0, 5.0, 9.8])}
    path = write_nwb(SPIKES, trials, obs_intervals=np.array([[0.0, 9.6]]))
    with pytest.raises(ValueError, match=r"session.nwb: .*1 trials lie outside .* trial 2 \[9.000, 9.800\]"):
        read_nwb(path)
    assert read_nwb(path, outside="drop").trials["id"].tolist() == [0, 1]


def test_a_signal_whose_clock_runs_backwards_is_named(write_nwb):
    series = {"data": np.zeros(3), "timestamps": np.array([1.0, 2.0, 1.5])}
    path = write_nwb(SPIKES, TRIALS, signals={"eye": series})
    with pytest.raises(ValueError, match=r"session.nwb: signal 'eye': time stamps .* must increase"):
        read_nwb(path)
    assert read_nwb(path, signals=()).n_trials == 2


def recorded(name):
    """A file of the data folder, or a skip that says what is missing."""
    folder = os.environ.get("NEUROLIB_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"recorded data: set NEUROLIB_DATA to a folder with {name}")
    return Path(folder) / name


@pytest.mark.filterwarnings("ignore:OpticalSeries")
def test_recorded_file_with_a_broken_event_clock_and_its_own_trial_tables():
    path = recorded("pynapple_nwb/sub-4_ses-4_ecephys+image.nwb")
    with pytest.raises(ValueError, match="signal 'events': time stamps of a signal must increase"):
        read_nwb(path)
    recording = read_nwb(path, signals=())
    assert (len(recording.spike_times_s), recording.n_trials) == (35, 0)
    encoding = read_nwb(path, signals=(), trial_table="encoding_table")
    assert encoding.n_trials > 10 and "fixcross_s" in encoding.trials
    with pytest.raises(ValueError, match=r"no table of intervals 'trails'; it has \['encoding_table'"):
        read_nwb(path, signals=(), trial_table="trails")


def test_recorded_file_with_epochs_only():
    path = recorded("pynapple_nwb/A8604-211122.nwb")
    recording = read_nwb(path)
    assert (len(recording.spike_times_s), recording.n_trials) == (3, 0)
    assert read_nwb(path, trial_table="epochs").n_trials > 0


def test_recorded_mc_maze_trials_keep_every_spike_and_the_hand(write_nwb):
    files = sorted(recorded("mc_maze_trials").glob("trial_*_data.csv"))
    tables = [np.loadtxt(file, delimiter=",", skiprows=1) for file in files]
    assert [table.shape for table in tables] == [(3566, 191), (3236, 191)]
    tables.sort(key=lambda table: table[0, 0])
    time_s, hand = (np.concatenate([table[:, cols] for table in tables]) for cols in (0, slice(7, 9)))
    counts = np.concatenate([table[:, 9:] for table in tables]).astype(int)
    spans = np.array([[table[0, 0], table[-1, 0] + 0.001] for table in tables])
    path = write_nwb(
        [np.repeat(time_s, unit) + 0.0004 for unit in counts.T],
        {"start_time": spans[:, 0], "stop_time": spans[:, 1]},
        spans,
        {"hand_vel": {"data": hand, "timestamps": time_s, "comments": "columns=[x,y]"}},
    )
    recording = read_nwb(path, silent="keep")
    for bin_ms in (1, 5, 20):
        trials = recording.align("start_s", (0, 3.2), bin_ms / 1e3, "hand_vel")
        for number, table in enumerate(tables):
            whole = table[:3200].reshape(3200 // bin_ms, bin_ms, -1)
            np.testing.assert_array_equal(trials.trial(number).counts, whole[..., 9:].sum(axis=1))
            if bin_ms > 1:
                np.testing.assert_allclose(
                    trials.trial(number).behaviour, whole[..., 7:9].mean(axis=1), atol=1e-6
                )
    assert trials.counts.sum() > 3000
