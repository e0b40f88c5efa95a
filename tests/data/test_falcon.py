"""A file in the layout of FALCON M1 (DANDI 000941), after the script that wrote the published ones."""

from datetime import UTC, datetime

import numpy as np
import pytest

from neurolib.data.falcon import BIN_SIZE_S, LAG_S, read_falcon_m1

MUSCLES = ("FDS", "APB", "ED23")  # as in the files, not in alphabetical order
N_SAMPLES = 200


def write(path, muscles=MUSCLES, step_s=BIN_SIZE_S, mask=None, late=0.0, offset_s=0.0, backwards=False):
    """Electrode 0 fires in the first ms of bins where APB is 1; electrode 2 never fires."""
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    nwb = NWBFile("simulated, in the schema of FALCON M1", "test", datetime(2012, 9, 24, tzinfo=UTC))
    time_s = (np.arange(N_SAMPLES) * step_s).round(4) + offset_s
    if backwards:
        time_s[50] = time_s[40]
    emg = np.zeros((N_SAMPLES, len(muscles)))
    emg[30:40] = 1
    emg *= np.arange(1, len(muscles) + 1)
    for column in ("gocue_time", "move_onset_time", "contact_time", "reward_time", "tgt_obj", "condition_id"):
        nwb.add_trial_column(column, column)
    for trial, start in enumerate((0.2, 2.0)):
        times = dict(gocue_time=start + 0.2, move_onset_time=start + 0.4, contact_time=start + 0.6)
        nwb.add_trial(
            start_time=start,
            stop_time=start + 1.0,
            reward_time=start + 0.8,
            tgt_obj=("Sphere", "Button")[trial],
            condition_id=trial,
            **times,
        )
    if muscles:
        container = BehavioralTimeSeries(name="preprocessed_emg")
        for i, muscle in enumerate(muscles):
            shift = late if i == 1 else 0.0
            container.create_timeseries(
                name=muscle,
                data=emg[:, i],
                unit="mV",
                timestamps=time_s + shift,
                comments=f"columns=[{muscle}]",
            )
        nwb.add_acquisition(container)
    if mask is None:
        mask = (time_s % 1.8 > 0.19) & (time_s % 1.8 < 1.2)
    if len(mask):
        nwb.add_acquisition(TimeSeries(name="eval_mask", data=mask, unit="bool", timestamps=time_s))
    end_s = N_SAMPLES * BIN_SIZE_S
    ends = np.arange(30, 40) * BIN_SIZE_S  # the sample at 0.6 s is of the bin that ends there
    for spikes in (ends - BIN_SIZE_S + 0.001, np.array([0.05]), np.array([])):
        nwb.add_unit(spike_times=spikes, obs_intervals=[[0.0, end_s]])
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def test_spikes_pair_with_the_emg_of_the_time_stamp_that_ends_their_bin(tmp_path):
    recording = read_falcon_m1(write(tmp_path / "held-in.nwb"))
    emg = recording.signals["emg"]
    assert emg.channels == ("APB", "ED23", "FDS")
    assert emg.values.max(axis=0).tolist() == [2, 3, 1]
    trials = recording.bin(BIN_SIZE_S, "emg", lag_s=LAG_S, gaps="drop", trials=True)
    assert (
        np.array_equal(trials.counts[:, 0] > 0, trials.behaviour[:, 0] > 1)
        and trials.counts[:, 0].sum() == 10
    )
    unlagged = recording.bin(BIN_SIZE_S, "emg", gaps="drop", trials=True)
    assert not np.array_equal(unlagged.counts[:, 0] > 0, unlagged.behaviour[:, 0] > 1)


def test_trials_mask_and_electrodes_are_those_of_the_file(tmp_path):
    recording = read_falcon_m1(write(tmp_path / "held-in.nwb"), name="session 1")
    assert recording.trials["tgt_obj"].tolist() == ["Sphere", "Button"]
    np.testing.assert_allclose(recording.trials["contact_s"], [0.8, 2.6])
    assert [len(times) for times in recording.spike_times_s] == [10, 1, 0]
    mask = recording.signals["eval_mask"]
    for start, stop in zip(recording.trials["start_s"], recording.trials["stop_s"], strict=True):
        inside = (mask.time_s > start + 1e-6) & (mask.time_s < stop - 1e-6)
        assert mask.values[inside].all()
    assert not mask.values[mask.time_s < 0.15].any()
    assert recording.name == "session 1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"muscles": ()}, "no preprocessed_emg; it has .'eval_mask'.. FALCON M1 is DANDI 000941"),
        ({"late": 0.001}, "preprocessed_emg_.* on another clock"),
        ({"step_s": 0.001}, "EMG comes every 1 ms"),
        ({"mask": ()}, "no eval_mask"),
        ({"mask": np.full(N_SAMPLES, 2)}, "eval_mask should hold 0 or 1"),
        ({"offset_s": 2.0}, "1 of 2 trials lie outside the EMG, which runs from 1.98"),
        ({"backwards": True}, "time stamps of a signal must increase"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused_with_its_fault(tmp_path, changes, message):
    path = write(tmp_path / "m1.nwb", **changes)
    with pytest.raises(ValueError, match=rf"m1.nwb: .*{message}"):
        read_falcon_m1(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path / "m1.nwb")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"m1.nwb: truncated"):
        read_falcon_m1(path)
