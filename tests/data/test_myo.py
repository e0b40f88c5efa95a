"""Armband sessions written in the layout of the published ones, and the recorded ones where present."""

import os
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.myo import RATE_HZ, load_myo, load_session


def write(folder, gesture, label, holds=(40, 50, 45), repeat_every=0, seed=0):
    """Rest and gesture in turn; channel 0 is 100 while the gesture is held and 1 at rest."""
    rng = np.random.default_rng(seed + gesture)
    column = np.repeat(np.resize([0, label], len(holds)), holds)
    emg = rng.integers(-9, 10, (len(column), 8))
    emg[:, 0] = np.where(column > 0, 100, 1)
    emg[:, 7] = np.arange(len(column)) % 100  # so that no line repeats the one before by chance
    table = np.column_stack([emg, column])
    if repeat_every:
        table = np.repeat(table, 1 + (np.arange(len(table)) % repeat_every == repeat_every - 1), axis=0)
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / f"{gesture}.txt", table, fmt="%d", delimiter=",", newline="\n")
    return table


def test_trials_are_the_stretches_of_one_label_where_the_muscle_says_so(tmp_path):
    folder = tmp_path / "35622-2"
    write(folder, 0, 0, holds=(60,))
    write(folder, 3, 3)
    session = load_session(folder)
    trials, emg = session.trials, session.signals["emg"]
    assert trials["gesture"].tolist() == [0, 0, 3, 0]
    assert trials["file_gesture"].tolist() == [0, 3, 3, 3]
    assert trials["gesture_name"][2] == "radial deviation"
    assert (trials["participant"][0], trials["session"][0]) == ("35622", 2)
    np.testing.assert_allclose(trials["stop_s"] - trials["start_s"], np.array([60, 40, 50, 45]) / RATE_HZ)
    for start, stop, gesture in zip(trials["start_s"], trials["stop_s"], trials["gesture"], strict=True):
        inside = (emg.time_s >= start - 1e-9) & (emg.time_s < stop - 1e-9)
        assert set(emg.values[inside, 0].tolist()) == {100 if gesture else 1}
    assert emg.values.shape == (195, 8) and emg.rate_hz == pytest.approx(200)
    assert len(session.observed_s) == 2 and session.observed_s[1, 0] - session.observed_s[0, 1] >= 1


def test_a_label_column_that_disagrees_with_the_name_is_told_and_the_name_wins(tmp_path):
    write(tmp_path / "69069-1", 3, 2)
    with pytest.warns(UserWarning, match=r"3.txt: the label column says extension .* name says radial"):
        (session,) = load_myo(tmp_path)
    assert session.trials["gesture"].tolist() == [0, 3, 0]
    with pytest.raises(ValueError, match=r"69069-1/3.txt: the label column says extension"):
        load_myo(tmp_path, labels="error")
    with pytest.raises(ValueError, match="labels='ask'"):
        load_myo(tmp_path, labels="ask")


def test_lines_polled_twice_are_left_out(tmp_path):
    table = write(tmp_path / "69069-2", 1, 1, repeat_every=4)
    assert len(table) > 135
    session = load_session(tmp_path / "69069-2")
    assert len(session.signals["emg"].values) == 135
    np.testing.assert_allclose(np.diff(session.trials["start_s"]), np.array([40, 50]) / RATE_HZ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 lines"),
        ("<!DOCTYPE html>", "web page"),
        ("1,2,3,4,5,6,7,8,0\n1,2,3", "no table of numbers"),
        ("1,2,3\n4,5,6\n", "2 lines of 3 numbers"),
        ("0.1,2,3,4,5,6,7,8,0\n1,2,3,4,5,6,7,8,0\n", "rescaled to volts"),
        ("999,2,3,4,5,6,7,8,0\n1,2,3,4,5,6,7,8,0\n", "1 to 999; signed bytes"),
        ("1,2,3,4,5,6,7,8,9\n2,2,3,4,5,6,7,8,0\n", r"labels \[0.0, 9.0\]"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault(tmp_path, text, message):
    folder = tmp_path / "1-1"
    folder.mkdir()
    (folder / "1.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"1-1/1.txt: .*{message}"):
        load_session(folder)


def test_what_is_no_session_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder <participant>-<session>"):
        load_myo(tmp_path)
    (tmp_path / "1-1").mkdir()
    with pytest.raises(FileNotFoundError, match=r"holds no file <gesture>.txt"):
        load_myo(tmp_path)
    write(tmp_path / "1-1", 1, 1)
    (tmp_path / "1-1" / "1.txt").rename(tmp_path / "1-1" / "8.txt")
    with pytest.raises(ValueError, match=r"8.txt: the name is no gesture"):
        load_myo(tmp_path)
    with pytest.raises(ValueError, match="name a folder"):
        load_session(tmp_path)


def test_the_recorded_session_with_wrong_labels_is_what_its_readme_says():
    folder = Path(os.environ.get("NEUROLIB_DATA", "/nowhere")) / "myo_emg" / "69069-1"
    if not folder.is_dir():
        pytest.skip("the armband recordings are not in the data folder")
    with pytest.warns(UserWarning, match=r"3.txt: the label column says extension"):
        session = load_session(folder)
    held, counts = np.unique(session.trials["gesture"], return_counts=True)
    assert held.tolist() == list(range(8)) and counts[1:].tolist() == [6] * 7
    length = (session.trials["stop_s"] - session.trials["start_s"])[session.trials["gesture"] > 0]
    assert abs(np.median(length) - 5) < 0.05  # five seconds at 200 Hz, once repeated lines are out
