"""Place on a track: windows that never leave a run, and a decoder that takes on new recordings."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.data.track_cells import PlaceCellsConfig, simulate
from neurolib.data.track_windows import track_windows, whole_runs
from neurolib.models.multimodal.track import UNUSED, TrackDecoderConfig


@pytest.fixture(scope="module")
def days():
    made = simulate(PlaceCellsConfig(n_sessions=2, n_cells=8, n_laps=3))
    return [replace(day, name=f"day {i}") for i, day in enumerate(made)]


def test_windows_hold_the_frames_around_their_centre(days):
    day, runs = days[0], whole_runs(days[0])
    windows = track_windows(day, runs, window_bins=5)
    signal, place = day.signals["events"], day.signals["position"].values[:, 0]
    for run in runs:
        inside = (signal.time_s >= day.trials["start_s"][run] - 1e-6) & (
            signal.time_s < day.trials["stop_s"][run] - 1e-6
        )
        frames, where = signal.values[inside] > 0, place[inside]
        own = windows.of_runs([run])
        assert len(own) == len(frames) // 2 - 4
        for i in (0, len(own) - 1):
            np.testing.assert_array_equal(
                own.events[i], [frames[2 * b : 2 * b + 2].sum(0) for b in range(i, i + 5)]
            )
            centre = where[2 * (i + 2) : 2 * (i + 2) + 2].mean() - 3
            assert abs(own.place[i] - centre) <= 0.5


def test_windows_without_a_centre_and_odd_bins_are_refused(days):
    with pytest.raises(ValueError, match="window_bins=4"):
        track_windows(days[0], [0], window_bins=4)
    with pytest.raises(ValueError, match=r"1\.5 frames"):
        track_windows(days[0], [0], bin_size_s=0.075)


def test_the_most_active_cells_are_those_of_the_runs_given(days):
    windows = track_windows(days[0], whole_runs(days[0]))
    runs = whole_runs(days[0])[:2]
    totals = windows.of_runs(runs).events.sum((0, 1))
    kept = windows.most_active(3, runs).of_runs(runs).events.sum((0, 1))
    assert sorted(kept) == sorted(totals)[-3:]


def test_adapting_moves_only_what_its_mode_names_and_old_recordings_stay(days):
    first, second = (track_windows(day, whole_runs(day)) for day in days)
    torch.manual_seed(0)
    base = TrackDecoderConfig(d=16).build().add(first)
    before = base.predict(first)
    for mode in ("unit_id", "linear", "lora", "full"):
        decoder = deepcopy(base).add(second).adapt(mode)
        trains = {n.split(".")[1] for n, p in decoder.named_parameters() if p.requires_grad}
        assert not trains & set(UNUSED)
        assert ("channels" in trains) == (mode != "linear")
        assert ("tokenizers" in trains) == (mode == "full")
        np.testing.assert_allclose(decoder.predict(first), before, atol=1e-6)


def test_a_batch_of_two_recordings_says_what_each_says_alone(days):
    parts = [track_windows(day, whole_runs(day)) for day in days]
    parts[1] = parts[1].most_active(5, whole_runs(days[1]))
    torch.manual_seed(0)
    decoder = TrackDecoderConfig(d=16).build().add(parts[0]).add(parts[1]).eval()
    with torch.no_grad():
        both = decoder(decoder.tensors(parts)).softmax(-1)[:, 0].numpy()
    alone = np.concatenate([decoder.predict(part) for part in parts])
    np.testing.assert_allclose(both, alone, atol=1e-5)


def test_a_recording_that_was_not_added_is_refused(days):
    with pytest.raises(ValueError, match="'day 0' was not added"):
        TrackDecoderConfig(d=16).build().tensors(track_windows(days[0], whole_runs(days[0])))
