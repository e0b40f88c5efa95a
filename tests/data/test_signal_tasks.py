"""Windows of every signal have their target, and nothing that belongs together is in two parts of a split."""

import numpy as np
import pytest
import torch

from neurolib.data import signal_tasks
from neurolib.data.armband import ArmbandConfig
from neurolib.data.armband import simulate as armband
from neurolib.data.resting_state import RestingConfig
from neurolib.data.resting_state import simulate as resting
from neurolib.data.theta_rhythm import ThetaConfig
from neurolib.data.theta_rhythm import simulate as theta
from neurolib.data.track_cells import PlaceCellsConfig
from neurolib.data.track_cells import simulate as track

SOURCES = {
    "gestures": lambda: armband(ArmbandConfig(n_sessions=2, repeats=6)),
    "place_cells": lambda: track(PlaceCellsConfig(n_sessions=1, n_cells=20, n_laps=8)),
    "rest": lambda: resting(RestingConfig(n_subjects=2)),
    "field": lambda: [theta(ThetaConfig())],
}
MAKERS = {
    "gestures": signal_tasks.gesture_task,
    "place_cells": signal_tasks.place_task,
    "rest": signal_tasks.rest_task,
    "field": signal_tasks.field_task,
}


@pytest.fixture(scope="module", params=SOURCES)
def made(request):
    recordings = SOURCES[request.param]()
    return request.param, recordings, MAKERS[request.param](recordings)


def test_no_unit_is_in_two_parts_and_every_part_has_some(made):
    name, _, task = made
    parts = {part: set(task.unit[task.part == part]) for part in signal_tasks.PARTS}
    assert all(parts.values())
    if name not in ("rest", "field"):  # whose blocks may lie across the border
        assert not parts["train"] & parts["test"] and not parts["train"] & parts["valid"]


def test_a_window_is_the_stretch_before_or_around_its_target(made):
    name, recordings, task = made
    row = int(np.flatnonzero(task.part == "test")[5])
    window, target = task.values[row], task.target[row]
    if name == "gestures":
        emg, trials = recordings[-1].signals["emg"], recordings[-1].trials
        at = [i for i in range(len(emg.values) - 200) if (emg.values[i : i + 200] == window).all()]
        middle = emg.time_s[at[0] + 100]
        held = (trials["start_s"] < middle) & (middle < trials["stop_s"])
        assert trials["gesture"][held].tolist() == [target]
    if name == "place_cells":
        events = (recordings[0].signals["events"].values > 0).astype(np.float32)
        at = [i for i in range(len(events) - 20) if (events[i : i + 20] == window[:, :20]).all()]
        assert target in recordings[0].signals["position"].values[np.array(at) + 10, 0]
    if name in ("rest", "field"):  # what comes next is the end of a later window
        step = 1 if name == "rest" else 5
        follows = task.values[:, :-step] == window[step:]
        later = np.flatnonzero(follows.all(axis=(1, 2)))
        first = target if name == "rest" else target[:1]
        if len(later):
            np.testing.assert_allclose(task.values[later[0], -1], first, rtol=1e-5)
        else:
            assert name == "field"  # windows start every 20 samples


def test_the_batch_has_what_a_model_reads(made):
    _, _, task = made
    batch = task.batch("test")
    n = int((task.part == "test").sum())
    assert {len(tensor) for tensor in batch.values()} == {n}
    assert batch[f"{task.kind}/values"].shape[1:] == task.values.shape[1:]
    assert int(batch[f"{task.kind}/channel"].max()) < len(task.channels)
    assert batch["target"].dtype == (torch.int64 if task.target.ndim == 1 else torch.float32)
    with pytest.raises(ValueError, match="must be one of"):
        task.batch("all")


def test_another_session_is_held_out_in_another_fold():
    sessions = SOURCES["gestures"]()
    last, first = (signal_tasks.gesture_task(sessions, fold) for fold in (0, 1))
    assert not set(last.unit[last.part == "test"]) & set(first.unit[first.part == "test"])
