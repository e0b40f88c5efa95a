from dataclasses import replace

import numpy as np
import pytest

from neurolib.data.interop import from_pynapple, to_pynapple
from neurolib.data.nwb import read_nwb

nap = pytest.importorskip("pynapple", reason="pynapple is the other side of this border")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Metadata name 'split'"),
    pytest.mark.filterwarnings("ignore:Some starts and ends are equal"),
]


def test_a_recording_survives_the_way_to_pynapple_and_back(nlb_file):
    recording = read_nwb(nlb_file("mc_maze")[0])
    goal = np.arange(2.0 * recording.n_trials).reshape(-1, 2)
    recording = replace(recording, trials=recording.trials | {"goal": goal})
    there = to_pynapple(recording)
    assert [type(there[key]) for key in ("spikes", "trials")] == [nap.TsGroup, nap.IntervalSet]
    assert isinstance(there["signals"]["hand_vel"], nap.TsdFrame)
    back = from_pynapple(**there, name=recording.name)

    for ours, theirs in zip(recording.spike_times_s, back.spike_times_s, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-9)
    np.testing.assert_allclose(back.observed_s, recording.observed_s)
    assert back.units.keys() == recording.units.keys() and back.trials.keys() == recording.trials.keys()
    for key, column in recording.units.items():
        np.testing.assert_array_equal(back.units[key], column)
    for key, column in recording.trials.items():
        np.testing.assert_array_equal(back.trials[key], column)
    hand, hand_back = recording.signals["hand_vel"], back.signals["hand_vel"]
    np.testing.assert_array_equal(hand_back.values, hand.values)
    assert (hand_back.unit, hand_back.channels) == (hand.unit, hand.channels)

    window = ("move_onset_s", (-0.25, 0.45), 0.02, "hand_vel")
    np.testing.assert_array_equal(back.align(*window).counts, recording.align(*window).counts)


def test_pynapple_counts_the_same_spikes(nlb_file):
    recording = read_nwb(nlb_file("mc_maze")[0])
    spikes = to_pynapple(recording)["spikes"]
    block = nap.IntervalSet(2.0, 6.0)
    ours = recording.counts_in([200], [400], 0.01)
    np.testing.assert_array_equal(spikes.count(0.01, ep=block).values, ours)


def test_a_single_channel_without_metadata_is_a_signal_too():
    fires = {3: nap.Ts(np.array([0.5, 1.5])), 7: nap.Ts(np.array([1.0, 2.0]))}
    spikes = nap.TsGroup(fires, time_support=nap.IntervalSet(0, 4))
    speed = nap.Tsd(t=np.arange(4.0), d=np.arange(4.0))
    recording = from_pynapple(spikes, {"speed": speed})
    assert recording.units["id"].tolist() == [3, 7]
    assert recording.n_trials == 0
    np.testing.assert_array_equal(recording.signals["speed"].values[:, 0], np.arange(4.0))


def test_trials_that_touch_stay_apart_but_overlapping_ones_are_refused(nlb_file):
    recording = read_nwb(nlb_file("mc_rtt")[0])
    back = from_pynapple(**to_pynapple(recording))
    assert back.n_trials == recording.n_trials == 16
    np.testing.assert_allclose(back.trials["stop_s"], recording.trials["stop_s"], atol=1.1e-6)
    with pytest.raises(ValueError, match="overlap or are not in order of time, and pynapple would join them"):
        to_pynapple(recording.select_trials([3, 1]))
