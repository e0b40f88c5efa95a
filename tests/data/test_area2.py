"""Area2_Bump: the loader on a file of the benchmark's schema, and the twin cut by the same code."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from neurolib.data import catalog
from neurolib.data.area2 import OUTPUTS, active_reaches, read_area2
from neurolib.data.nlb import TASKS
from neurolib.data.reaching import AREA2_BUMP, simulate


@pytest.fixture
def file(nlb_file):
    """Sixteen trials: every other one a bump, every fourth of no split; directions 0, 90, 180, 270 degrees."""
    path, made = nlb_file("area2_bump")
    active = (np.arange(16) % 2 == 0) & (made.trials["split"] != np.array("none"))
    return path, made, active


def test_only_active_reaches_of_the_split_are_kept_and_their_direction_numbered(file):
    path, made, active = file
    trials = active_reaches(read_area2(path), 0.02)
    np.testing.assert_array_equal(trials.info["move_onset_s"], made.trials["move_onset_time"][active])
    np.testing.assert_array_equal(trials.info["condition"], made.trials["cond_dir"][active] / 90)
    assert trials.info["split"].tolist() == ["train", "valid"] * 4
    assert not trials.info["ctr_hold_bump"].any()
    assert (trials.lengths == 30).all() and not trials.simulated


@pytest.mark.parametrize(("lag_s", "bin_size_s"), [(0.0, 0.02), (0.04, 0.02), (-0.03, 0.005), (0.0, 0.001)])
def test_position_and_velocity_are_in_centimetres_at_their_time(file, lag_s, bin_size_s):
    path, made, active = file
    trials = active_reaches(read_area2(path), bin_size_s, lag_s)
    assert (trials.outputs, trials.output_unit) == (OUTPUTS, "cm, cm/s")
    onset = made.trials["move_onset_time"][active]
    first = np.ceil(np.round((onset - 0.1) / bin_size_s, 6))
    at = (np.repeat(first, trials.lengths) + trials.bin_in_trial) * bin_size_s + lag_s
    # the mean of the samples of a bin, or, where there is but one, the middle of the bin
    at += (bin_size_s - 0.001) / 2 if bin_size_s > 0.001 else 0.0005
    exact = [
        5 * np.sin(at),
        5 * np.cos(at),
        10 * np.sin(2 * np.pi * at / 1.3),
        10 * np.cos(2 * np.pi * at / 0.9),
    ]
    np.testing.assert_allclose(trials.behaviour, np.stack(exact, axis=1), atol=0.03)


def test_bins_of_one_millisecond_hold_the_spikes_of_wider_ones(file):
    recording = read_area2(file[0])
    fine, wide = active_reaches(recording, 0.001), active_reaches(recording, 0.02)
    assert (fine.lengths == 600).all()
    starts = fine.info["move_onset_s"] - 0.1
    offset = np.round((np.ceil(np.round(starts / 0.02, 6)) * 0.02 - starts) * 1e3).astype(int)
    for trial, skip in enumerate(offset):
        counts = fine.trial(trial).counts[skip : 600 - (20 - skip) % 20]
        whole = counts[: len(counts) // 20 * 20].reshape(-1, 20, fine.n_units).sum(axis=1)
        np.testing.assert_array_equal(whole, wide.trial(trial).counts[: len(whole)])
    assert fine.counts.sum() > 500


def test_reaches_with_gaps_are_dropped_and_the_log_says_how_many(file, tmp_path, caplog):
    _, made, active = file
    at = round(made.trials["move_onset_time"][np.flatnonzero(active)[2]] * 1e3)
    made.signals["hand_pos"]["data"][at : at + 5] = np.nan
    recording = read_area2(made.write(tmp_path / "gap.nwb"))
    assert len(active_reaches(recording, 0.02)) == 7
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "1 of 8 reaches dropped" in record.getMessage()
    with pytest.raises(ValueError, match="'hand_pos' has gaps"):
        active_reaches(recording, 0.02, gaps="error")


def test_a_unit_that_is_no_length_is_left_and_said(file, tmp_path):
    _, made, _ = file
    made.signals["hand_pos"]["unit"] = "pixels"
    made.signals["hand_vel"]["unit"] = "m/s"
    trials = active_reaches(read_area2(made.write(tmp_path / "units.nwb")), 0.02)
    assert trials.output_unit == "pixels, cm/s"
    assert np.abs(trials.behaviour[:, :2]).max() > 45  # as in the file
    assert np.abs(trials.behaviour[:, 2:]).max() > 9000  # 100 m/s


def test_a_file_without_active_reaches_or_of_another_set_is_refused(file, nlb_file, tmp_path):
    _, made, _ = file
    made.trials["ctr_hold_bump"] = np.ones(16, bool)
    recording = read_area2(made.write(tmp_path / "bumps.nwb"))
    with pytest.raises(ValueError, match="no reach without a bump"):
        active_reaches(recording)
    with pytest.raises(ValueError, match=r"mc_rtt.nwb: no signal \['hand_pos', 'hand_vel'\]"):
        read_area2(nlb_file("mc_rtt")[0])


def test_the_file_of_the_data_folder_is_the_default(file, tmp_path, monkeypatch):
    path, _, _ = file
    entry = catalog.dataset("area2_bump")
    entry = replace(entry, files=(replace(entry.files[0], bytes=path.stat().st_size),))
    assert entry.files[0].path.endswith(TASKS["area2_bump"].file)
    monkeypatch.setattr(catalog, "datasets", lambda: {"area2_bump": entry})
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="neurolib data fetch area2_bump"):
        read_area2()
    target = tmp_path / entry.folder / entry.files[0].path
    target.parent.mkdir(parents=True)
    path.rename(target)
    assert read_area2().n_trials == 16


def test_the_twin_has_the_form_of_the_recording(file):
    recorded = active_reaches(read_area2(file[0]), 0.005)
    twin = active_reaches(simulate(replace(AREA2_BUMP, n_trials=40)), 0.005)
    assert (twin.outputs, twin.output_unit) == (recorded.outputs, recorded.output_unit)
    assert set(twin.lengths) == set(recorded.lengths) == {120}
    assert twin.counts.dtype == recorded.counts.dtype
    shared = {"start_s", "stop_s", "move_onset_s", "cond_dir", "ctr_hold_bump", "split", "condition"}
    assert shared <= twin.info.keys() & recorded.info.keys()
    assert all(twin.info[key].dtype.kind == recorded.info[key].dtype.kind for key in shared)
    assert twin.simulated and not recorded.simulated
