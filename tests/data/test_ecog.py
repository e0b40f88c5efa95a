"""BrainVision files in BIDS and NWB files of AJILE12, written here, and the grip-force example where present."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.ecog import movements, read_ajile, read_brainvision, with_rest
from neurolib.data.recording import Recording

STEM = "sub-a_ses-1_task-grip_run-0"
CHANNELS = [("LFP_0", "DBS"), ("ECOG_0", "ECOG"), ("ECOG_1", "ECOG"), ("MOV", "MISC")]
RATE_HZ = 200.0


def write_brainvision(folder, bad=(), tsv=CHANNELS, unit="m", duration=6.0, gain=1.0, values=None):
    """ECOG_1 is 50 uV during the grip from 2 to 3 s and 5 uV else; MOV is 1 during the grip."""
    time_s = np.arange(round(6 * RATE_HZ)) / RATE_HZ
    grip = (time_s >= 2) & (time_s < 3)
    data = np.column_stack([np.full(len(time_s), 3.0), 5 * np.sin(time_s), np.where(grip, 50, 5), 1e6 * grip])
    data = data if values is None else values(data)
    header = folder / f"{STEM}_ieeg.vhdr"
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "", "[Common Infos]", "Codepage=UTF-8"]
    lines += [f"DataFile={STEM}_ieeg.eeg", f"MarkerFile={STEM}_ieeg.vmrk", "DataFormat=BINARY"]
    lines += ["DataOrientation=MULTIPLEXED", f"NumberOfChannels={len(CHANNELS)}"]
    lines += [f"SamplingInterval={1e6 / RATE_HZ:g}", "", "[Binary Infos]", "BinaryFormat=IEEE_FLOAT_32", ""]
    lines += ["[Channel Infos]", *(f"Ch{i + 1}={name},,0.1,µV" for i, (name, _) in enumerate(CHANNELS))]
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    marker = ["Brain Vision Data Exchange Marker File, Version 1.0", "", "[Common Infos]", "Codepage=UTF-8"]
    marker += [f"DataFile={STEM}_ieeg.eeg", "", "[Marker Infos]"]
    header.with_suffix(".vmrk").write_text("\n".join(marker) + "\n", encoding="utf-8")
    (data * 10 * gain).astype("<f4").tofile(header.with_suffix(".eeg"))
    header.with_suffix(".json").write_text(json.dumps({"RecordingDuration": duration}))
    rows = ["name\ttype\tunits\tsampling_frequency\tstatus"]
    rows += [f"{name}\t{kind}\tµV\t{RATE_HZ}\t{'bad' if name in bad else 'good'}" for name, kind in tsv]
    (folder / f"{STEM}_channels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    rows = ["name\tx\ty\tz\tsize", "ECOG_0\t0.03\t-0.04\t0.06\tn/a", "ECOG_1\t0.04\t-0.03\t0.06\tn/a"]
    rows += ["LFP_0\tn/a\tn/a\tn/a\tn/a"]
    (folder / "sub-a_ses-1_space-mni_electrodes.tsv").write_text("\n".join(rows) + "\n")
    system = folder / "sub-a_ses-1_space-mni_coordsystem.json"
    system.write_text(json.dumps({"iEEGCoordinateUnits": unit}))
    return header


def test_channels_go_to_the_signal_of_their_type_in_microvolts(tmp_path):
    recording = read_brainvision(write_brainvision(tmp_path), force="MOV")
    assert {name: signal.channels for name, signal in recording.signals.items()} == {
        "ecog": ("ECOG_0", "ECOG_1"),
        "lfp": ("LFP_0",),
        "misc": ("MOV",),
    }
    ecog = recording.signals["ecog"]
    assert (ecog.unit, ecog.rate_hz) == ("uV", pytest.approx(RATE_HZ))
    np.testing.assert_allclose(ecog.positions, [[30, -40, 60], [40, -30, 60]])
    assert recording.signals["lfp"].positions is None
    assert recording.trials["label"].tolist() == ["grip"]
    start, stop = recording.trials["start_s"][0], recording.trials["stop_s"][0]
    assert (start, stop) == (2.0, 3.0)
    inside = (ecog.time_s >= start) & (ecog.time_s < stop)
    np.testing.assert_allclose(ecog.values[inside, 1], 50, rtol=1e-5)
    np.testing.assert_allclose(ecog.values[~inside, 1], 5, rtol=1e-5)


def test_bad_channels_are_left_out_and_gaps_stay_gaps(tmp_path):
    def gap(data):
        data[100:110, 2] = np.nan
        return data

    header = write_brainvision(tmp_path, bad=("ECOG_0",), values=gap)
    ecog = read_brainvision(header).signals["ecog"]
    assert ecog.channels == ("ECOG_1",)
    assert np.flatnonzero(np.isnan(ecog.values[:, 0])).tolist() == list(range(100, 110))


def test_voltages_of_volts_are_refused_until_they_are_scaled(tmp_path):
    header = write_brainvision(tmp_path, gain=1e6)
    with pytest.raises(ValueError, match=r"ECOG_0 vary by .* uV, more than any brain; .* scale=1e-6"):
        read_brainvision(header)
    np.testing.assert_allclose(
        read_brainvision(header, scale=1e-6).signals["ecog"].values[0, 1], 5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "call", "message"),
    [
        ({"tsv": CHANNELS[:-1]}, {}, r"channels.tsv: 3 channels, 4 in .*differ in \['MOV'\]"),
        ({"tsv": CHANNELS[::-1]}, {}, "their order"),
        ({"unit": "n/a"}, {}, r"electrodes.tsv: unit 'n/a' .* one of \['cm', 'm', 'mm'\]"),
        ({"duration": 7.0}, {}, r"ieeg.eeg: 6.000 s of 4 channels, 7.0 s stated"),
        ({"values": lambda x: np.where([0, 1, 0, 0], np.nan, x)}, {}, "ECOG_0 holds no number"),
        ({}, {"force": "ECOG_0"}, "no channel 'ECOG_0' of type MISC"),
    ],
)
def test_a_wrong_recording_is_refused_with_its_fault(change, call, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_brainvision(write_brainvision(tmp_path, **change), **call)


def test_missing_and_truncated_parts_are_named(tmp_path):
    header = write_brainvision(tmp_path)
    data = header.with_suffix(".eeg")
    data.write_bytes(data.read_bytes()[:-4000])
    with pytest.raises(ValueError, match="cut short"):
        read_brainvision(header)
    data.unlink()
    with pytest.raises(FileNotFoundError, match=r"ieeg.eeg does not exist"):
        read_brainvision(header)


def write_ajile(path, reaches=((2.0, 2.5), (9.8, 10.4)), series="ElectricalSeries"):
    """Ten seconds of four electrodes at 500 Hz; GRID2 is 80 uV during the first reach, LTO1 is not good."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import ElectricalSeries
    from pynwb.epoch import TimeIntervals

    nwb = NWBFile("AJILE12", "1", datetime(2000, 1, 2, tzinfo=UTC))
    device = nwb.create_device("GRID")
    groups = [nwb.create_electrode_group(name, name, "unknown", device) for name in ("GRID", "LTO")]
    nwb.add_electrode_column("good", "good electrodes")
    for number, (group, good) in enumerate(zip([0, 0, 1, 1], [True, True, False, True], strict=True)):
        nwb.add_electrode(x=-40.0, y=10.0 * number, z=5.0, location="unknown", group=groups[group], good=good)
    clock = np.arange(5000) / 500
    values = np.zeros((5000, 4), np.float32)
    values[(clock >= 2) & (clock < 2.5), 1] = 80
    values[4000:4100] = np.nan
    region = nwb.create_electrode_table_region([0, 1, 2, 3], "all electrodes")
    nwb.add_acquisition(
        ElectricalSeries(name=series, data=values, electrodes=region, rate=500.0, conversion=1e-6)
    )
    table = TimeIntervals(name="reaches", description="Features of each reach")
    table.add_column("Reach_angle_degrees", "angle")
    for start, stop in reaches:
        table.add_row(start_time=start, stop_time=stop, Reach_angle_degrees=45.0)
    nwb.add_time_intervals(table)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def test_a_stretch_of_a_day_is_read_with_the_reaches_inside_it(tmp_path):
    path = write_ajile(tmp_path / "sub-01_ses-3.nwb")
    recording = read_ajile(path, start_s=1.0, stop_s=9.0)
    ecog = recording.signals["ecog"]
    assert ecog.channels == ("GRID1", "GRID2", "LTO2")
    np.testing.assert_allclose(ecog.positions[:, 1], [0, 10, 30])
    np.testing.assert_allclose(recording.observed_s, [[1.0, 9.0]])
    assert recording.trials["label"].tolist() == ["reach"]
    assert recording.trials["Reach_angle_degrees"].tolist() == [45.0]
    inside = (ecog.time_s >= recording.trials["start_s"][0]) & (ecog.time_s < recording.trials["stop_s"][0])
    np.testing.assert_allclose(ecog.values[inside, 1], 80, rtol=1e-5)
    assert np.isnan(ecog.values).any() and np.nanmax(np.abs(ecog.values[~inside])) == 0
    assert len(read_ajile(path, good=False).signals["ecog"].channels) == 4
    with pytest.raises(ValueError, match=r"ses-3.nwb: .*no samples between 36000 and inf s"):
        read_ajile(path, start_s=36_000.0)


def test_a_file_of_another_dandiset_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"day.nwb: acquisition has \['raw'\].*is it a file of DANDI 000055"):
        read_ajile(write_ajile(tmp_path / "day.nwb", series="raw"))


def test_movements_are_found_through_noise_and_a_gap_counts_as_rest():
    rng = np.random.default_rng(0)
    time_s = np.arange(0, 20, 0.01)
    force = 0.02 * rng.normal(size=len(time_s)) + ((time_s >= 4) & (time_s < 5)) * 2.0
    force += ((time_s >= 10) & (time_s < 12)) * 1.0
    force[1505:1510] += 2  # 50 ms: too short for a grip
    table = movements(force, 100.0)
    np.testing.assert_allclose(table["start_s"], [4, 10], atol=0.02)
    np.testing.assert_allclose(table["stop_s"], [5, 12], atol=0.02)
    np.testing.assert_allclose(table["peak"], [2, 1], atol=0.1)
    force[1050:1060] = np.nan
    assert len(movements(force, 100.0)["start_s"]) == 3
    with pytest.raises(ValueError, match="force never rises"):
        movements(np.zeros(100), 100.0)
    with pytest.raises(ValueError, match="fraction=2 must lie between"):
        movements(force, 100.0, fraction=2)


def test_rest_keeps_its_distance_from_every_movement():
    moves = {
        "start_s": np.array([3.0, 6.0]),
        "stop_s": np.array([4.0, 6.5]),
        "label": np.array(["reach"] * 2),
    }
    recording = with_rest(Recording([], [[0, 10], [20, 22]], trials=moves), length_s=0.5, margin_s=1.0)
    rest = recording.trials["label"] == "rest"
    spans = np.stack([recording.trials["start_s"], recording.trials["stop_s"]], axis=1)
    np.testing.assert_allclose(spans[rest, 0], [0, 0.5, 1, 1.5, 7.5, 8, 8.5, 9, 9.5, 20, 20.5, 21, 21.5])
    assert spans[~rest].tolist() == [[3, 4], [6, 6.5]] and (np.diff(spans[:, 0]) > 0).all()
    with pytest.raises(ValueError, match=r"no 5.0 s of rest fit"):
        with_rest(recording, length_s=5.0)
    with pytest.raises(ValueError, match="no column 'label'"):
        with_rest(Recording([], [[0, 10]]), 1.0)


def test_recorded_grips_are_three_and_electrodes_lie_on_the_right_side():
    folder = Path(os.environ.get("NEUROLIB_DATA", "")) / "py_neuromod_ecog"
    found = sorted(folder.rglob("*_ieeg.vhdr"))
    if not found:
        pytest.skip("recorded data: set NEUROLIB_DATA to a folder with py_neuromod_ecog")
    recording = read_brainvision(found[0], scale=1e-6, force="MOV_RIGHT")
    shapes = {name: signal.values.shape for name, signal in recording.signals.items()}
    assert shapes == {"ecog": (19001, 6), "lfp": (19001, 3), "misc": (19001, 1)}
    np.testing.assert_allclose(recording.trials["start_s"], [3.2, 10.2, 14.9], atol=0.1)
    assert (recording.signals["ecog"].positions[:, 0] > 30).all()
