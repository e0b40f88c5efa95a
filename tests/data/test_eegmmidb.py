"""Files of the EEG Motor Movement/Imagery Database, written here as EDF+, and those of one person where present."""

import os
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.eegmmidb import RUNS, read_run, read_subject

pytest.importorskip("mne")

# as the published files have them
NAMES = """
Fc5. Fc3. Fc1. Fcz. Fc2. Fc4. Fc6. C5.. C3.. C1.. Cz.. C2.. C4.. C6.. Cp5. Cp3. Cp1. Cpz. Cp2. Cp4. Cp6. Fp1. Fpz. Fp2.
Af7. Af3. Afz. Af4. Af8. F7.. F5.. F3.. F1.. Fz.. F2.. F4.. F6.. F8.. Ft7. Ft8. T7.. T8.. T9.. T10. Tp7. Tp8. P7.. P5..
P3.. P1.. Pz.. P2.. P4.. P6.. P8.. Po7. Po3. Poz. Po4. Po8. O1.. Oz.. O2.. Iz..
""".split()
EVENTS = ((0.0, 1.2, "T0"), (1.2, 1.5, "T1"), (2.7, 1.2, "T0"), (3.9, 0.8, "T2"))


def write_edf(path, events=EVENTS, names=NAMES, rate=160, seconds=5, zeros=40):
    """EDF+ with one-second records; C3 is 100 uV during T1, all is 7 uV at least, and zero at the end."""
    values = np.full((len(names), rate * seconds), 7, "<i2")
    for onset, duration, code in events:
        if code == "T1":
            values[names.index("C3.."), round(onset * rate) : round((onset + duration) * rate)] = 100
    values[:, values.shape[1] - zeros :] = 0
    texts = [f"+{second}\x14\x14\x00" for second in range(seconds)]
    for onset, duration, code in events:
        texts[int(onset)] += f"+{onset:g}\x15{duration:g}\x14{code}\x14\x00"
    tals = [text.encode().ljust(160, b"\x00") for text in texts]
    n, labels = len(names) + 1, [*names, "EDF Annotations"]
    start = [("0", 8), ("X X X X", 80), ("Startdate 12-AUG-2009 X X X", 80), ("12.08.09", 8), ("16.15.00", 8)]
    start += [(256 * (n + 1), 8), ("EDF+C", 44), (seconds, 8), (1, 8), (n, 4)]
    columns = [(labels, 16), ([""] * n, 80), (["uV"] * (n - 1) + [""], 8), ([-8092] * (n - 1) + [-1], 8)]
    columns += [
        ([8092] * (n - 1) + [1], 8),
        ([-8092] * (n - 1) + [-32768], 8),
        ([8092] * (n - 1) + [32767], 8),
    ]
    columns += [([""] * n, 80), ([rate] * (n - 1) + [80], 8), ([""] * n, 32)]
    fields = start + [(item, width) for items, width in columns for item in items]
    header = "".join(str(item).ljust(width) for item, width in fields).encode()
    records = [
        values[:, second * rate : (second + 1) * rate].tobytes() + tals[second] for second in range(seconds)
    ]
    path.write_bytes(header + b"".join(records))
    return path


def test_a_run_is_read_in_microvolts_with_what_its_annotations_mean(tmp_path):
    recording = read_run(write_edf(tmp_path / "S007R04.edf"))
    eeg = recording.signals["eeg"]
    assert (eeg.unit, round(eeg.rate_hz, 6), len(eeg.channels)) == ("uV", 160.0, 64)
    assert recording.trials["label"].tolist() == ["rest", "left_fist", "rest", "right_fist"]
    assert recording.trials["task"].tolist() == ["imagine_fists"] * 4
    assert set(recording.trials["run"]) == {4} and set(recording.trials["subject"]) == {7}
    left = recording.trials["label"] == "left_fist"
    start, stop = recording.trials["start_s"][left][0], recording.trials["stop_s"][left][0]
    inside = (eeg.time_s >= start - 1e-9) & (eeg.time_s < stop - 1e-9)
    c3 = eeg.values[:, eeg.channels.index("C3")]
    np.testing.assert_allclose(c3[inside], 100, atol=1e-3)
    np.testing.assert_allclose(c3[~inside], 7, atol=1e-3)
    assert (
        recording.observed_s[0, 1] == 5 - 40 / 160
    )  # the zeros that fill up the last second are no recording


def test_positions_are_on_the_unit_sphere_and_the_right_way_round(tmp_path):
    eeg = read_run(write_edf(tmp_path / "S007R04.edf")).signals["eeg"]
    at = dict(zip(eeg.channels, eeg.positions, strict=True))
    np.testing.assert_allclose(np.linalg.norm(eeg.positions, axis=1), 1)
    assert at["C3"][0] < -0.5 < 0.5 < at["C4"][0]  # x points right
    assert at["Oz"][1] < -0.9 and at["Fpz"][1] > 0.9  # y to the front
    assert at["Cz"][2] > 0.95 and abs(at["Cz"][0]) < 0.05


@pytest.mark.parametrize(
    ("run", "second", "fourth"),
    [
        (3, "left_fist", "right_fist"),
        (12, "left_fist", "right_fist"),
        (5, "both_fists", "both_feet"),
        (14, "both_fists", "both_feet"),
    ],
)
def test_t1_and_t2_change_meaning_with_the_run(run, second, fourth, tmp_path):
    trials = read_run(write_edf(tmp_path / f"S001R{run:02d}.edf")).trials
    assert trials["label"][[1, 3]].tolist() == [second, fourth]
    assert trials["code"].tolist() == ["T0", "T1", "T0", "T2"]


def test_the_table_of_runs_is_the_published_one():
    tasks = {number: run.task for number, run in RUNS.items()}
    assert sorted(tasks) == list(range(1, 15))
    assert [tasks[run] for run in (1, 2)] == ["eyes_open", "eyes_closed"]
    for task, runs in (
        ("execute_fists", (3, 7, 11)),
        ("imagine_fists", (4, 8, 12)),
        ("execute_fists_feet", (5, 9, 13)),
        ("imagine_fists_feet", (6, 10, 14)),
    ):
        assert {run for run in tasks if tasks[run] == task} == set(runs)


def test_runs_of_a_task_are_joined_in_order_with_a_gap_between_them(tmp_path):
    for run in (12, 4, 3):
        write_edf(tmp_path / f"S001R{run:02d}.edf")
    recording = read_subject(tmp_path, "imagine_fists")
    np.testing.assert_allclose(recording.observed_s, [[0, 4.75], [14.75, 19.5]])
    assert recording.trials["run"].tolist() == [4] * 4 + [12] * 4
    np.testing.assert_allclose(recording.trials["start_s"][4:] - recording.trials["start_s"][:4], 14.75)
    eeg = recording.signals["eeg"]
    start = recording.trials["start_s"][5]
    assert eeg.values[np.searchsorted(eeg.time_s, start - 1e-6), eeg.channels.index("C3")] == pytest.approx(
        100
    )
    with pytest.raises(FileNotFoundError, match=r"no file of runs \(5, 9, 13\) \(execute_fists_feet\)"):
        read_subject(tmp_path, "execute_fists_feet")
    write_edf(tmp_path / "S002R04.edf")
    with pytest.raises(ValueError, match=r"files of subjects \[1, 2\]"):
        read_subject(tmp_path, "imagine_fists")


def test_people_with_faulty_files_are_read_only_if_asked_for(tmp_path):
    path = write_edf(tmp_path / "S088R04.edf", rate=128)
    with pytest.raises(ValueError, match=r"S088R04.edf: subject 88 is commonly left out"):
        read_run(path)
    assert read_run(path, faulty=True).signals["eeg"].rate_hz == pytest.approx(128)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("S001R01.edf", {}, r"annotations \['T1', 'T2'\] in run 1 \(eyes_open\)"),
        ("S001R04.edf", {"events": ()}, "no annotations"),
        ("S001R04.edf", {"events": EVENTS[:3]}, r"run 4 \(imagine_fists\) has no annotation T2"),
        ("S001R04.edf", {"names": NAMES[:-1]}, "63 channels, 64 expected"),
        ("S001R04.edf", {"names": [*NAMES[:-1], "ECG"]}, r"\['ECG'\] are no positions"),
        ("S001R04.edf", {"rate": 128}, "sampled at 128 Hz, 160 Hz expected"),
        ("S001R04.edf", {"zeros": 800, "events": EVENTS}, "every sample is zero"),
        ("S001R15.edf", {}, "S001R15.edf: the name should read"),
        ("motor.edf", {}, "does not say what T1 and T2 mean"),
    ],
)
def test_a_wrong_file_is_refused_with_its_fault(name, change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_run(write_edf(tmp_path / name, **change))


def test_a_damaged_file_is_refused_before_mne_reads_what_is_left(tmp_path):
    path = write_edf(tmp_path / "S001R04.edf")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(
        ValueError, match=r"S001R04.edf: \d+ bytes where its header promises \d+; .* cut short"
    ):
        read_run(path)
    path.write_bytes(whole.replace(b"\x07", b"\r\x07"))
    with pytest.raises(ValueError, match="line endings"):
        read_run(path)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match="not an EDF file"):
        read_run(path)
    with pytest.raises(FileNotFoundError, match=r"S002R04.edf does not exist"):
        read_run(tmp_path / "S002R04.edf")


def test_recorded_imagery_has_the_counts_of_the_published_files():
    folder = Path(os.environ.get("NEUROLIB_DATA", "")) / "eegmmidb_S001"
    if not (folder / "S001R10.edf").exists():
        pytest.skip("recorded data: set NEUROLIB_DATA to a folder with eegmmidb_S001")
    recording = read_subject(folder, "imagine_fists_feet")
    labels, counts = np.unique(recording.trials["label"], return_counts=True)
    assert dict(zip(labels, counts.tolist(), strict=True)) == {"both_feet": 16, "both_fists": 14, "rest": 30}
    np.testing.assert_allclose(np.diff(recording.observed_s, axis=1), 124.5)
    assert 10 < recording.signals["eeg"].values.std() < 200  # microvolts
