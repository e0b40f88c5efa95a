import numpy as np
import pytest

from neurolib.data.recording import Recording, Signal

MICRO = 1_000_000


def make_recording(seed=0, n_trials=6, end_s=20.0, **changes):
    """Spikes and trials on whole microseconds, so that integers can say which bin is right."""
    rng = np.random.default_rng(seed)
    spikes = []
    for _ in range(5):
        anywhere = rng.integers(0, int(end_s * MICRO), 2000)
        on_edges = rng.integers(0, int(end_s * 1000), 1000) * 1000
        spikes.append(np.sort(np.concatenate([anywhere, on_edges])) / MICRO)
    start = np.sort(rng.integers(1 * MICRO, int((end_s - 2) * MICRO), n_trials)) / MICRO
    time_s = np.arange(0, end_s, 0.001)
    values = np.cumsum(rng.normal(size=(len(time_s), 2)), axis=0)
    fields = {
        "spike_times_s": spikes,
        "observed_s": [[0, end_s]],
        "signals": {"hand": Signal(time_s, values, "cm/s", ("x", "y"))},
        "trials": {"start_s": start, "stop_s": start + 1, "number": np.arange(n_trials)},
        "units": {"held_out": np.arange(5) > 3},
        "name": "test",
    }
    return Recording(**(fields | changes))


@pytest.mark.parametrize("bin_us", [1_000, 5_000, 20_000, 30_000])
@pytest.mark.parametrize("lag_us", [0, 120_000, -20_000])
def test_counts_and_behaviour_are_those_of_a_slow_loop_over_whole_microseconds(bin_us, lag_us):
    recording = make_recording()
    window_us = (-240_000, 360_000)
    trials = recording.align(
        "start_s", tuple(np.array(window_us) / MICRO), bin_us / MICRO, "hand", lag_us / MICRO
    )
    n_bins = (window_us[1] - window_us[0]) // bin_us
    spikes_us = [np.round(times * MICRO).astype(int) for times in recording.spike_times_s]
    hand = recording.signals["hand"]
    hand_us = np.round(hand.time_s * MICRO).astype(int)
    assert (trials.lengths == n_bins).all()
    for number, start_s in enumerate(recording.trials["start_s"]):
        trial = trials.trial(number)
        first = -((-(round(start_s * MICRO) + window_us[0])) // bin_us)  # rounds up
        for k in range(n_bins):
            low, high = (first + k) * bin_us, (first + k + 1) * bin_us
            assert trial.counts[k].tolist() == [int(((s >= low) & (s < high)).sum()) for s in spikes_us]
            if bin_us > 1_000:
                inside = (hand_us >= low + lag_us) & (hand_us < high + lag_us)
                np.testing.assert_allclose(trial.behaviour[k], hand.values[inside].mean(axis=0), atol=1e-8)


def test_windows_that_overlap_each_get_all_their_spikes():
    start = np.array([5.0, 5.1, 5.1, 4.9])  # not in order, and one twice
    together = make_recording(trials={"start_s": start, "stop_s": start + 1}).align(
        "start_s", (0, 0.5), 0.01, "hand"
    )
    for number, at in enumerate(start):
        alone = make_recording(trials={"start_s": [at], "stop_s": [at + 1]}).align(
            "start_s", (0, 0.5), 0.01, "hand"
        )
        np.testing.assert_array_equal(together.trial(number).counts, alone.counts)
        np.testing.assert_array_equal(together.trial(number).behaviour, alone.behaviour)
    assert together.counts.sum() > 1000


def test_the_lag_reads_behaviour_later_than_the_spikes():
    time_s = np.arange(0, 20, 0.001)
    clock = make_recording(signals={"clock": Signal(time_s, time_s)})
    at_once, later = (clock.align("start_s", (0, 0.4), 0.02, "clock", lag_s=lag) for lag in (0.0, 0.1))
    np.testing.assert_allclose(later.behaviour - at_once.behaviour, 0.1, atol=1e-9)
    np.testing.assert_array_equal(later.counts, at_once.counts)


def test_a_trial_without_its_event_is_left_out_and_the_others_keep_their_row():
    recording = make_recording()
    event = recording.trials["start_s"].copy()
    event[2] = np.nan
    cut = make_recording(trials=recording.trials | {"move_onset_s": event}).align(
        "move_onset_s", (0, 0.4), 0.02, "hand"
    )
    assert cut.info["number"].tolist() == [0, 1, 3, 4, 5]
    assert "held_out" not in cut.info


def with_behaviour_gap(gap_s, trial_starts):
    time_s = np.arange(0, 20, 0.001)
    values = 3 * time_s
    values[(time_s >= gap_s[0]) & (time_s < gap_s[1])] = np.nan
    start = np.asarray(trial_starts)
    return make_recording(
        signals={"hand": Signal(time_s, values)}, trials={"start_s": start, "stop_s": start + 1}
    )


def test_gaps_in_behaviour_are_refused_or_dropped_or_interpolated_as_asked():
    recording = with_behaviour_gap((5.2, 5.3), [2.0, 5.0, 8.0])
    with pytest.raises(ValueError, match=r"'hand' has gaps in 1 of 3 trials, the first is trial 1"):
        recording.align("start_s", (0, 0.5), 0.02, "hand")
    dropped = recording.align("start_s", (0, 0.5), 0.02, "hand", gaps="drop")
    assert dropped.info["start_s"].tolist() == [2.0, 8.0]
    filled = recording.align("start_s", (0, 0.5), 0.02, "hand", gaps="interpolate")
    samples = (np.round(filled.trial(1).info["start_s"] / 0.02) + np.arange(25)) * 0.02 + 0.0095
    np.testing.assert_allclose(filled.trial(1).behaviour[:, 0], 3 * samples, atol=1e-6)


def test_unobserved_spikes_are_never_taken_for_silence():
    start = np.array([2.0, 5.0, 8.0])
    recording = make_recording(
        observed_s=[[0, 5.2], [5.3, 20]], trials={"start_s": start, "stop_s": start + 1}
    )
    for gaps in ("error", "interpolate"):
        with pytest.raises(ValueError, match="not observed throughout 1 of 3 trials, the first is trial 1"):
            recording.align("start_s", (0, 0.5), 0.02, "hand", gaps=gaps)
    assert recording.align("start_s", (0, 0.5), 0.02, "hand", gaps="drop").info["start_s"].tolist() == [
        2.0,
        8.0,
    ]


def test_observed_intervals_that_touch_leave_no_gap():
    recording = make_recording(observed_s=[[0, 5.2], [5.2, 20]], trials={"start_s": [5.0], "stop_s": [6.0]})
    assert len(recording.align("start_s", (0, 0.5), 0.02, "hand")) == 1


def test_a_slow_signal_is_interpolated_between_samples_but_not_across_a_hole():
    time_s = np.arange(0, 20, 0.05)
    time_s = time_s[(time_s < 5.1) | (time_s > 6.0)]
    start = np.array([2.0, 5.0])
    recording = make_recording(
        signals={"eye": Signal(time_s, 3 * time_s)}, trials={"start_s": start, "stop_s": start + 1}
    )
    with pytest.raises(ValueError, match="'eye' has gaps in 1 of 2 trials, the first is trial 1"):
        recording.align("start_s", (0, 0.5), 0.02, "eye")
    kept = recording.align("start_s", (0, 0.5), 0.02, "eye", gaps="drop")
    np.testing.assert_allclose(kept.behaviour[:, 0], 3 * (2.01 + 0.02 * np.arange(25)), atol=1e-9)
    filled = recording.align("start_s", (0, 0.5), 0.02, "eye", gaps="interpolate")
    np.testing.assert_allclose(filled.trial(1).behaviour[:, 0], 3 * (5.01 + 0.02 * np.arange(25)), atol=1e-9)


def test_missing_samples_of_a_fast_signal_are_a_gap_that_can_be_interpolated():
    time_s = np.arange(0, 20, 0.001)
    time_s = time_s[(time_s < 5.1) | (time_s > 5.3)]
    recording = make_recording(
        signals={"hand": Signal(time_s, 3 * time_s)}, trials={"start_s": [5.0], "stop_s": [6.0]}
    )
    with pytest.raises(ValueError, match="'hand' has gaps"):
        recording.align("start_s", (0, 0.5), 0.02, "hand")
    filled = recording.align("start_s", (0, 0.5), 0.02, "hand", gaps="interpolate")
    np.testing.assert_allclose(filled.behaviour[:, 0], 3 * (5.01 + 0.02 * np.arange(25)), atol=0.003)


def test_binning_the_whole_recording_loses_no_spike():
    recording = make_recording(observed_s=[[0, 8], [9, 20]])
    whole = recording.bin(0.01, "hand")
    assert whole.lengths.tolist() == [800, 1100]
    expected = [((times < 8) | (times >= 9)).sum() for times in recording.spike_times_s]
    assert whole.counts.sum(axis=0).tolist() == expected


def test_spike_times_out_of_order_or_not_finite_are_refused():
    with pytest.raises(ValueError, match="test: spike times of unit 1 are not sorted"):
        make_recording(spike_times_s=[np.array([1.0, 2.0]), np.array([2.0, 1.0])], units={})
    with pytest.raises(ValueError, match="test: spike times of unit 0 hold NaN"):
        make_recording(spike_times_s=[np.array([1.0, np.nan])], units={})


def test_trials_in_milliseconds_are_refused_with_the_likely_mistake():
    with pytest.raises(ValueError, match=r"1 trials lie outside .* trial 1 .*milliseconds\?"):
        make_recording(trials={"start_s": np.array([1.0, 5000.0]), "stop_s": np.array([2.0, 6000.0])})


def test_a_signal_whose_clock_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="two blocks joined"):
        Signal(np.array([0.0, 1.0, 0.5]), np.zeros(3))
