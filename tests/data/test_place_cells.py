"""Cell arrays of the published layout, and the recorded ones where present."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from neurolib.data.place_cells import laps, load_place_cells

UP = [3, 4, 4, 5, 7, 22, 3, 5, 6, 8, 3, 4]  # a lap with a stop, a lap given up, and the start of a third


def write(folder, mouse="C6M4", swap=False, change=None):
    """2 environments, 2 sessions, 2 directions; cell i fires where the mouse is at bin i."""
    events, where = np.empty((2, 2, 2), object), np.empty((2, 2, 2), object)
    for environment, session, direction in np.ndindex(events.shape):
        n_cells = 23 + 2 * environment + session
        position = np.array(UP if direction == swap else [25 - bin for bin in UP])
        trace = np.zeros((len(position), n_cells))
        trace[np.arange(len(position)), position] = 1.5
        events[environment, session, direction] = trace
        where[environment, session, direction] = position.astype(np.uint8)[:, None]
    if change:
        change(events, where)
    savemat(folder / f"{mouse}_spike_train.mat", {"spike_train": events})
    savemat(folder / f"{mouse}_stimulus_trace.mat", {"stimulus_trace": where})
    return events, where


def test_a_lap_begins_where_position_jumps():
    assert laps(np.array(UP)).tolist() == [0, 5, 6, 10]
    assert laps(25 - np.array(UP)).tolist() == [0, 5, 6, 10]
    assert laps(np.array([7, 6, 5], np.uint8)).tolist() == [0]  # unsigned steps must not wrap


@pytest.mark.parametrize(
    ("mouse", "rate_hz", "area"), [("C6M4", 20, "CA1"), ("C8M2", 10, "CA1"), ("C23M4", 20, "CA3")]
)
def test_each_cell_still_fires_at_its_place_in_every_lap(tmp_path, mouse, rate_hz, area):
    write(tmp_path, mouse)
    recordings = load_place_cells(mouse, tmp_path)
    assert [(r.trials["environment"][0], r.trials["session"][0]) for r in recordings] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert [r.signals["events"].values.shape[1] for r in recordings] == [23, 24, 25, 26]
    recording = recordings[2]
    events, position = recording.signals["events"], recording.signals["position"]
    assert events.rate_hz == pytest.approx(rate_hz)
    np.testing.assert_array_equal(events.values.argmax(axis=1), position.values[:, 0])
    trials = recording.trials
    assert trials["direction"].tolist() == [0] * 4 + [1] * 4
    assert trials["first_bin"].tolist() == [3, 22, 3, 3, 22, 3, 22, 22]
    assert trials["last_bin"].tolist() == [7, 22, 8, 4, 18, 3, 17, 21]
    assert set(trials["area"]) == {area} and set(trials["mouse"]) == {mouse}
    for row in range(8):
        inside = (position.time_s >= trials["start_s"][row] - 1e-9) & (
            position.time_s < trials["stop_s"][row] - 1e-9
        )
        lap = position.values[inside, 0]
        assert (lap[0], lap[-1]) == (trials["first_bin"][row], trials["last_bin"][row])
        assert abs(np.diff(lap)).max(initial=0) <= 2
    assert (trials["start_s"][1:] - trials["stop_s"][:-1] >= 1).all()  # so that no window spans two runs


def shorter(events, where):
    where[1, 0, 0] = where[1, 0, 0][:-1]


def fewer_cells(events, where):
    events[0, 1, 1] = events[0, 1, 1][:, :-1]


def negative(events, where):
    events[0, 0, 0] = events[0, 0, 0] - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorter, "environment 1, session 0: direction 0 has 12 frames of spikes and 11 of position"),
        (fewer_cells, "environment 0, session 1: the two directions have"),
        (negative, "not negative; is it ΔF/F"),
    ],
)
def test_arrays_that_do_not_belong_together_are_named(tmp_path, change, message):
    write(tmp_path, change=change)
    with pytest.raises(ValueError, match=rf"C6M4_spike_train.mat.*{message}"):
        load_place_cells("C6M4", tmp_path)


def test_swapped_directions_are_seen(tmp_path):
    write(tmp_path, swap=True)
    with pytest.raises(ValueError, match=r"direction 0 position should rise .* swapped"):
        load_place_cells("C6M4", tmp_path)


def test_missing_truncated_and_exchanged_files_are_one_plain_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"C6M4_spike_train.mat does not exist"):
        load_place_cells("C6M4", tmp_path)
    write(tmp_path)
    spikes, where = tmp_path / "C6M4_spike_train.mat", tmp_path / "C6M4_stimulus_trace.mat"
    whole = spikes.read_bytes()
    spikes.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"no readable .mat file; truncated"):
        load_place_cells("C6M4", tmp_path)
    spikes.write_bytes(where.read_bytes())
    with pytest.raises(ValueError, match="no variable 'spike_train', it holds stimulus_trace"):
        load_place_cells("C6M4", tmp_path)
    savemat(spikes, {"spike_train": np.zeros((5, 3))})
    with pytest.raises(ValueError, match="sample of a single session"):
        load_place_cells("C6M4", tmp_path)


def test_the_recorded_mouse_is_what_its_readme_says():
    folder = Path(os.environ.get("NEUROLIB_DATA", "/nowhere")) / "zivlab_place_calcium"
    if not (folder / "C8M2_spike_train.mat").is_file():
        pytest.skip("the place-cell recordings are not in the data folder")
    recordings = load_place_cells("C8M2", folder)
    assert len(recordings) == 8
    first = recordings[0]
    assert first.signals["events"].values.shape == (1589 + 1337, 328)
    assert first.signals["events"].rate_hz == pytest.approx(10)
    position = first.signals["position"].values
    assert (position.min(), position.max(), len(np.unique(position))) == (3, 22, 20)
    whole = abs(first.trials["last_bin"] - first.trials["first_bin"]) >= 18
    assert whole.sum() > 40  # half of them in each direction
    assert abs(first.trials["direction"][whole].mean() - 0.5) < 0.1
