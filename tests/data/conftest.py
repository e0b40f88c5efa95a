"""NWB files of the Neural Latents Benchmark's schema, written by the tests that read them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest


@dataclass
class NLBFile:
    """What to write; a test may change a field before :meth:`write`."""

    spike_times_s: list
    obs_intervals: np.ndarray | list | None
    trials: dict
    held_out: np.ndarray
    signals: dict = field(default_factory=dict)  # name: arguments of pynwb.TimeSeries

    def write(self, path):
        from pynwb import NWBHDF5IO, NWBFile, TimeSeries

        nwb = NWBFile(
            "simulated, in the schema of the Neural Latents Benchmark",
            "test",
            datetime(2020, 1, 1, tzinfo=UTC),
        )
        columns = [key for key in self.trials if key not in ("start_time", "stop_time")]
        for key in columns:
            nwb.add_trial_column(key, key)
        for row in range(len(self.trials.get("start_time", ()))):
            nwb.add_trial(**{key: column[row] for key, column in self.trials.items()})
        if self.spike_times_s:
            nwb.add_unit_column("heldout", "hidden from the model")
        for unit, times in enumerate(self.spike_times_s):
            seen = {}
            if self.obs_intervals is not None:  # one array for all units, or a list with one for each
                alike = isinstance(self.obs_intervals, np.ndarray)
                seen["obs_intervals"] = self.obs_intervals if alike else self.obs_intervals[unit]
            nwb.add_unit(spike_times=np.asarray(times), heldout=bool(self.held_out[unit]), **seen)
        module = nwb.create_processing_module("behavior", "behaviour")
        for name, series in self.signals.items():
            module.add(TimeSeries(name=name, **({"unit": "mm/s"} | series)))
        with NWBHDF5IO(str(path), "w") as io:
            io.write(nwb)
        return path


def make_nlb_file(task="mc_maze", n_trials=16, n_units=9, n_held_out=3, seed=0) -> NLBFile:
    """A session in two blocks: trials on a millisecond clock, spikes off it, behaviour without its first 30 ms.

    Behaviour is 100 sin(2 pi t / 1.3 s) and 100 cos(2 pi t / 0.9 s) mm/s, known in closed form;
    area2_bump has hand_pos, 50 sin(t / s) and 50 cos(t / s) mm, and force, 2 sin(t / s) N, too.
    """
    rng = np.random.default_rng(seed)
    task = "mc_maze" if task.startswith("mc_maze") else task
    length = np.full(n_trials, 0.6) if task == "mc_rtt" else rng.integers(1300, 1600, n_trials) / 1e3
    between = 0.0 if task == "mc_rtt" else 0.2
    start = np.round(0.5 + np.cumsum(length + between) - (length + between), 3)
    stop = np.round(start + length, 3)
    start[n_trials // 2 :] += 0.433  # a break between the two blocks, in which spikes are not observed
    stop[n_trials // 2 :] += 0.433
    end_s = np.ceil(stop[-1] + 1.0)
    split = np.resize(["train", "train", "val", "none"] if task != "mc_rtt" else ["train", "val"], n_trials)
    trials = {"start_time": start, "stop_time": stop, "split": split.tolist()}
    onset = np.round(start + 0.5 + rng.integers(0, 80, n_trials) / 1e3, 3)
    if task == "mc_maze":
        trials |= {
            "move_onset_time": onset,
            "trial_type": np.arange(n_trials) // 4 % 3,
            "trial_version": np.arange(n_trials) % 2,
        }
    if task == "area2_bump":
        direction = 90.0 * (np.arange(n_trials) // 2 % 4)
        direction[split == "none"] = np.nan
        trials |= {
            "move_onset_time": onset,
            "cond_dir": direction,
            "ctr_hold_bump": np.arange(n_trials) % 2 == 1,
        }
    time_s = np.round(np.arange(0, end_s, 1e-3), 3)
    values = 100 * np.stack([np.sin(2 * np.pi * time_s / 1.3), np.cos(2 * np.pi * time_s / 0.9)], axis=1)
    values[:30] = np.nan
    hand = "finger_vel" if task == "mc_rtt" else "hand_vel"
    signals = {hand: {"timestamps": time_s, "data": values, "comments": "columns=[x,y]"}}
    if task == "area2_bump":  # sampled at a rate, without time stamps
        clock = {"starting_time": 0.0, "rate": 1000.0}
        position = 50 * np.stack([np.sin(time_s), np.cos(time_s)], axis=1)
        force = {"data": position[:, :1] / 25, "unit": "N", "comments": "columns=[fx]"}
        signals |= {
            "hand_pos": clock | {"data": position, "unit": "mm", "comments": "columns=[x,y]"},
            "force": clock | force,
        }
    spikes = [np.sort(rng.uniform(0, end_s, rng.poisson(20 * end_s))) for _ in range(n_units)]
    break_s = [round(float(stop[n_trials // 2 - 1]) + 0.05, 3), round(float(start[n_trials // 2]) - 0.05, 3)]
    spikes = [times[(times < break_s[0] - 1e-3) | (times > break_s[1] + 1e-3)] for times in spikes]
    return NLBFile(
        spikes,
        np.array([[0.0, break_s[0]], [break_s[1], end_s]]),
        trials,
        np.arange(n_units) >= n_units - n_held_out,
        signals,
    )


@pytest.fixture
def nlb_file(tmp_path):
    """A function: task name in, path of a freshly written file and what was written out."""

    def make(task="mc_maze", **size):
        made = make_nlb_file(task, **size)
        return made.write(tmp_path / f"{task}.nwb"), made

    return make


@pytest.fixture
def write_nwb(tmp_path):
    """A function: fields of :class:`NLBFile` in, path of the file out; all but the spike times may be left out."""

    def write(spike_times_s, trials=None, obs_intervals=None, signals=None, name="session.nwb"):
        held_out = np.zeros(len(spike_times_s), bool)
        made = NLBFile(spike_times_s, obs_intervals, trials or {}, held_out, signals or {})
        return made.write(tmp_path / name)

    return write
