"""Claim ``foundation.binning``: spike times to aligned, binned trials at least 10x as fast as nlb_tools.

Both start with the recording in memory: ours as spike times, nlb_tools' as its data frame of
1 ms bins. Both make the same counts, which is checked. Ours also cuts the lagged behaviour in that
time, for which nlb_tools would need a second pass that is not counted here.
"""

import json
import statistics
import sys
import time
from datetime import UTC, datetime

import numpy as np
from threadpoolctl import threadpool_limits

from neurolib.data.nlb import TASKS
from neurolib.data.recording import Recording, Signal

N_UNITS, N_TRIALS, TRIAL_S, BIN_MS, REPEATS = 142, 100, 2.9, 5, 7


def simulate() -> Recording:
    """A session of the size of mc_maze_small: 142 units, 100 trials, 291 s."""
    rng = np.random.default_rng(0)
    end_s = N_TRIALS * TRIAL_S + 1.0
    start = np.round(np.arange(N_TRIALS) * TRIAL_S + 0.5, 3)
    time_s = np.round(np.arange(0, end_s, 1e-3), 3)
    velocity = 100 * np.stack([np.sin(2 * np.pi * time_s / 1.3), np.cos(2 * np.pi * time_s / 0.9)], axis=1)
    onset = np.round(start + rng.uniform(0.8, 1.6, N_TRIALS), 3)
    return Recording(
        [
            np.sort(rng.uniform(0, end_s, rng.poisson(rate * end_s)))
            for rate in rng.gamma(1.5, 4.0, N_UNITS) + 0.1
        ],
        [[0.0, end_s]],
        {"hand_vel": Signal(time_s, velocity, "mm/s", ("x", "y"))},
        {"start_s": start, "stop_s": np.round(start + TRIAL_S - 0.1, 3), "move_onset_s": onset},
        {"held_out": np.arange(N_UNITS) >= 107},
        name="mc_maze, simulated",
        simulated=True,
    )


def to_nlb_tools(recording: Recording):
    """The same session as nlb_tools holds it."""
    from nlb_tools.nwb_interface import NWBDataset
    from pynwb import NWBFile, TimeSeries

    nwb = NWBFile("simulated", "binning", datetime(2020, 1, 1, tzinfo=UTC))
    nwb.add_trial_column("move_onset_time", "onset")
    for start, stop, onset in zip(
        *(recording.trials[key] for key in ("start_s", "stop_s", "move_onset_s")), strict=True
    ):
        nwb.add_trial(start_time=start, stop_time=stop, move_onset_time=onset)
    nwb.add_unit_column("heldout", "hidden from the model")
    for times, held_out in zip(recording.spike_times_s, recording.units["held_out"], strict=True):
        nwb.add_unit(spike_times=times, obs_intervals=recording.observed_s, heldout=bool(held_out))
    hand = recording.signals["hand_vel"]
    series = TimeSeries(
        name="hand_vel", data=hand.values, timestamps=hand.time_s, unit=hand.unit, comments="columns=[x,y]"
    )
    nwb.create_processing_module("behavior", "behaviour").add(series)
    return NWBDataset(nwb)


@threadpool_limits.wrap(limits=1)
def main() -> dict:
    """Time both, alternating, and return the medians in seconds."""
    task = TASKS["mc_maze_small"]
    recording = simulate()
    peer = to_nlb_tools(recording)
    frame, width = peer.data.copy(), peer.bin_width
    window_ms = tuple(round(edge * 1e3) for edge in task.window_s)
    ours_s, peer_s = [], []
    for _ in range(REPEATS + 1):  # the first of each warms up
        start = time.perf_counter()
        trials = recording.align(task.align, task.window_s, BIN_MS / 1e3, task.behaviour, task.lag_s)
        ours_s.append(time.perf_counter() - start)

        peer.data, peer.bin_width = frame.copy(), width
        start = time.perf_counter()
        peer.resample(BIN_MS)
        cut = peer.make_trial_data(align_field="move_onset_time", align_range=window_ms)
        peer_s.append(time.perf_counter() - start)

        theirs = np.concatenate([cut["spikes"].to_numpy(), cut["heldout_spikes"].to_numpy()], axis=1)
        if not np.array_equal(trials.counts, theirs):
            raise AssertionError("the counts differ; a faster wrong answer is no claim")
    ours, theirs_s = statistics.median(ours_s[1:]), statistics.median(peer_s[1:])
    return {
        "claim": "foundation.binning",
        "ours_s": ours,
        "peer_s": theirs_s,
        "ratio": theirs_s / ours,
        "target": 10.0,
        "device": "cpu",
        "threads": 1,
    }


if __name__ == "__main__":
    result = main()
    print(
        f"{result['ratio']:.1f}x as fast as nlb_tools: {result['ours_s'] * 1e3:.1f} ms, "
        f"nlb_tools {result['peer_s'] * 1e3:.1f} ms, 1 thread",
        file=sys.stderr,
    )
    print(json.dumps(result))
