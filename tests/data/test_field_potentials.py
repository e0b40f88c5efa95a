"""Field potentials: arrays and NWB files in the layout of DANDI 000021, written here, and the samples where present."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.field_potentials import SAMPLES, electrical_signal, read_allen_lfp, read_sample

RATE_HZ, FIRST_S = 1250.0, 3.7
ORIENTATIONS = [0.0, 45.0, 90.0]


def write_probe(
    path, n_channels=5, seconds=4.0, series="probe_810755797_lfp_data", valid=(1, 1, 0, 1, 1), **changes
):
    """One probe, its series twice as in the archive; channel c is c mV, plus 1 mV from second 5 to 6."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ecephys import LFP

    nwb = NWBFile(
        "LFP", "810755797", datetime(2019, 1, 19, tzinfo=UTC), session_id=changes.get("session", "7")
    )
    device = nwb.create_device("probeA")
    group = nwb.create_electrode_group("probeA", "probe", "cortex", device)
    nwb.add_electrode_column("valid_data", "usable")
    for channel in range(n_channels):
        place = {"x": 8000.0, "y": 1000.0 + 40 * channel, "z": 7000.0} | changes.get("place", {})
        nwb.add_electrode(
            id=850 + channel, location="VISp", group=group, valid_data=bool(valid[channel]), **place
        )
    region = nwb.create_electrode_table_region(list(range(n_channels)), "lfp channels")
    clock = FIRST_S + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    volts = 1e-3 * np.arange(n_channels) + 1e-3 * ((clock >= 5) & (clock < 6))[:, None]
    lfp = LFP(name="probe_810755797_lfp")
    electrical = lfp.create_electrical_series(
        name=series, data=volts.astype(np.float32), timestamps=clock, electrodes=region
    )
    nwb.add_acquisition(electrical)
    nwb.add_acquisition(lfp)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def write_session(path, session="7"):
    """Two units, and gratings from 4, 5 and 7 s on, for a second each."""
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.epoch import TimeIntervals

    nwb = NWBFile("session", "7", datetime(2019, 1, 19, tzinfo=UTC), session_id=session)
    table = TimeIntervals(name="drifting_gratings_presentations", description="gratings")
    table.add_column("orientation", "degrees")
    for start, orientation in zip((4.0, 5.0, 7.0), ORIENTATIONS, strict=True):
        table.add_row(start_time=start, stop_time=start + 1, orientation=orientation)
    nwb.add_time_intervals(table)
    nwb.add_unit(spike_times=np.array([0.5, 4.25, 5.5, 9.0]))
    nwb.add_unit(spike_times=np.array([3.0, 9.5]))
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allen")
    return write_probe(folder / "probe-810755797_ecephys.nwb"), write_session(folder / "sub-1_ses-7.nwb")


def test_a_probe_is_read_in_microvolts_without_its_bad_channel(files):
    recording = read_allen_lfp(files[0])
    lfp = recording.signals["lfp"]
    assert lfp.channels == ("VISp 850", "VISp 851", "VISp 853", "VISp 854")
    assert (lfp.unit, lfp.rate_hz) == ("uV", pytest.approx(RATE_HZ))
    np.testing.assert_allclose(lfp.values[0], [0, 1000, 3000, 4000], atol=1e-2)
    np.testing.assert_allclose(lfp.positions[1], [8.0, 1.04, 7.0])
    np.testing.assert_allclose(recording.observed_s, [[3.7, 7.7]])
    assert recording.spike_times_s == () and recording.n_trials == 0


def test_a_stretch_comes_with_its_spikes_and_the_gratings_inside_it(files):
    recording = read_allen_lfp(*files, start_s=4.0, stop_s=7.0)
    assert recording.trials["start_s"].tolist() == [4.0, 5.0]  # the third would end at 8 s
    assert recording.trials["orientation"].tolist() == ORIENTATIONS[:2]
    assert set(recording.trials["label"]) == {"drifting_gratings"}
    assert [times.tolist() for times in recording.spike_times_s] == [[4.25, 5.5], []]
    lfp = recording.signals["lfp"]
    during = [
        lfp.values[(lfp.time_s >= start) & (lfp.time_s < start + 1), 0].mean()
        for start in recording.trials["start_s"]
    ]
    np.testing.assert_allclose(during, [0, 1000], atol=1)  # the step of 1 mV is the second grating's


def test_a_probe_with_a_channel_outside_the_brain_has_no_positions(tmp_path):
    path = write_probe(tmp_path / "probe.nwb", seconds=0.1, place={"x": -1.0, "y": -1.0, "z": -1.0})
    assert read_allen_lfp(path).signals["lfp"].positions is None


def test_a_file_or_a_stretch_without_field_potential_is_refused(files):
    with pytest.raises(
        ValueError, match=r"sub-1_ses-7.nwb: no series probe_<id>_lfp_data; is it the session's"
    ):
        read_allen_lfp(files[1])
    with pytest.raises(ValueError, match=r"ecephys.nwb: .*no samples between 60 and 70 s"):
        read_allen_lfp(files[0], start_s=60.0, stop_s=70.0)


def test_a_session_that_does_not_belong_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match="session 8, and the probe is of session 7"):
        read_allen_lfp(files[0], write_session(tmp_path / "other.nwb", session="8"))
    with pytest.raises(ValueError, match=r"no table of intervals 'flashes_presentations'; it has"):
        read_allen_lfp(*files, stimulus="flashes")
    cut = tmp_path / "cut.nwb"
    cut.write_bytes(files[0].read_bytes()[:20_000])
    with pytest.raises(ValueError, match=r"cut.nwb: truncated"):
        read_allen_lfp(cut)


def test_a_series_with_a_rate_is_cut_at_its_own_clock():
    pytest.importorskip("pynwb")
    from types import SimpleNamespace

    data = np.arange(20.0).reshape(10, 2)
    series = SimpleNamespace(
        name="s", data=data, timestamps=None, starting_time=0.5, rate=10.0, conversion=1e-6, offset=0.0
    )
    signal = electrical_signal(series, ["a", "b"], [False, True], start_s=0.7, stop_s=0.9)
    np.testing.assert_allclose(signal.time_s, [0.7, 0.8])
    np.testing.assert_allclose(signal.values, [[5], [7]])
    with pytest.raises(ValueError, match="2 channels for 3 electrodes; transposed"):
        electrical_signal(series, ["a", "b", "c"], [True] * 3)
    with pytest.raises(ValueError, match="none of its 2 channels is marked as good"):
        electrical_signal(series, ["a", "b"], [False] * 2)
    series.conversion = np.nan
    with pytest.raises(ValueError, match="conversion to volts is nan"):
        electrical_signal(series, ["a", "b"], [True] * 2)


def test_a_sample_is_read_at_the_rate_that_belongs_to_it(tmp_path):
    wave = np.sin(2 * np.pi * 8 * np.arange(10_000) / 1000)
    np.save(tmp_path / "wave.npy", wave)
    recording = read_sample("human_m1", tmp_path / "wave.npy")
    lfp = recording.signals["lfp"]
    assert lfp.rate_hz == pytest.approx(1000) and recording.trials["stop_s"].tolist() == [10.0]
    np.testing.assert_allclose(lfp.values[:, 0], wave, atol=1e-6)
    for name, array, message in (
        ("ca1", wave, r"wave.npy: \(10000,\) of float64; 75000 finite numbers expected.* wrong rate"),
        ("human_m1", np.where(wave > 0.99, np.nan, wave), "10000 finite numbers expected"),
        ("human_m1", np.array([{}], dtype=object), "pickled objects"),
        ("rat", wave, "no sample 'rat'; there are ca1, ec3"),
    ):
        np.save(tmp_path / "wave.npy", array)
        with pytest.raises(ValueError, match=message):
            read_sample(name, tmp_path / "wave.npy")
    (tmp_path / "wave.npy").write_bytes((tmp_path / "wave.npy").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"wave.npy: no readable array"):
        read_sample("human_m1", tmp_path / "wave.npy")
    with pytest.raises(FileNotFoundError, match=r"none.npy does not exist"):
        read_sample("ca1", tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("name", "peak_hz"), [("ca1", 8.0), ("ec3", 8.0), ("human_m1", 18.0), ("hippocampus", 6.5)]
)
def test_recorded_samples_peak_where_it_was_measured(name, peak_hz):
    path = Path(os.environ.get("NEUROLIB_DATA", "")) / "lfp_samples" / SAMPLES[name].file
    if not path.exists():
        pytest.skip("recorded data: set NEUROLIB_DATA to a folder with lfp_samples")
    from scipy.signal import welch

    lfp = read_sample(name, path).signals["lfp"]
    frequency, power = welch(lfp.values[:, 0], lfp.rate_hz, nperseg=int(2 * lfp.rate_hz))
    band = (frequency >= 3) & (frequency <= 40)
    frequency, power = frequency[band], np.log(power[band])
    above = power - np.polyval(np.polyfit(np.log(frequency), power, 1), np.log(frequency))
    assert frequency[above.argmax()] == pytest.approx(peak_hz, abs=1.0)
