"""A file in the layout of Visual Coding 2-P (DANDI 000728), after the pipeline that wrote the published ones."""

from datetime import UTC, datetime

import numpy as np
import pytest

from neurolib.data.allen_calcium import read_visual_coding, resample
from neurolib.data.recording import Signal

FRAME_HZ = 30.05
N_FRAMES = 900
STARTS = np.array([4.0, 8.0, 12.0, 16.0])
DIRECTIONS = np.array([0.0, 90.0, np.nan, 90.0])


# The tables of a test are written by hand, which hdmf and pynwb remark on.
pytestmark = pytest.mark.filterwarnings("ignore:The linked table", "ignore:RoiResponseSeries")


def write(
    path, frames=False, speed_unit="cm/s", transposed=False, dff=True, place="stimulus", backwards=False
):
    """Cell 1 is bright while a grating moves at 90 degrees, and all cells flicker at 13 Hz."""
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries
    from pynwb.epoch import TimeIntervals
    from pynwb.ophys import (
        DfOverF,
        Fluorescence,
        ImageSegmentation,
        OpticalChannel,
        PlaneSegmentation,
        RoiResponseSeries,
    )

    nwb = NWBFile("simulated, in the schema of DANDI 000728", "test", datetime(2016, 1, 1, tzinfo=UTC))
    optical = OpticalChannel(name="channel", description="d", emission_lambda=520.0)
    plane = nwb.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=optical,
        description="d",
        device=nwb.create_device("Microscope"),
        excitation_lambda=910.0,
        indicator="GCaMP6f",
        location="VISp",
    )
    rois = PlaneSegmentation(name="PlaneSegmentation", description="d", imaging_plane=plane)
    rois.add_column("global_roi_id", "across sessions")
    for i in range(3):
        rois.add_roi(id=i, pixel_mask=[(i, i, 1.0)], global_roi_id=517_000_000 + i)
    time_s = 1.5 + np.arange(N_FRAMES) / FRAME_HZ
    if backwards:
        time_s[500] = time_s[400]
    on = sum(((time_s >= start) & (time_s < start + 2)).astype(float) for start in STARTS[DIRECTIONS == 90])
    values = np.repeat(np.sin(2 * np.pi * 13 * time_s)[:, None], 3, axis=1)
    values[:, 1] += 5 * on
    values = values.T if transposed else values
    ophys = nwb.create_processing_module("ophys", "d")
    ophys.add(ImageSegmentation(name="ImageSegmentation", plane_segmentations=rois))
    common = {"unit": "a.u.", "rois": rois.create_roi_table_region("all", region=[0, 1, 2])}
    clock = {"rate": FRAME_HZ, "starting_time": 1.5} if transposed else {"timestamps": time_s}
    corrected = RoiResponseSeries(name="Corrected", data=values * 7, **clock, **common)
    ophys.add(Fluorescence(name="Fluorescence", roi_response_series=corrected))
    if dff:
        clock = clock if transposed else {"timestamps": corrected}  # a link, as in the published files
        series = [
            RoiResponseSeries(name=name, data=values, **clock, **common)
            for name in ("DfOverF", "DfOverFEvents")
        ]
        ophys.add(DfOverF(name="DfOverF", roi_response_series=series))
    speed = TimeSeries(
        name="running_speed", data=np.linspace(0, 30, N_FRAMES), timestamps=time_s, unit=speed_unit
    )
    nwb.create_processing_module("behavior", "d").add(BehavioralTimeSeries(time_series=speed))
    gratings = TimeIntervals(name="drifting_gratings", description="d")
    for column in ("orientation_in_degrees", "temporal_frequency_in_hz", "is_blank_sweep"):
        gratings.add_column(column, "d")
    scale = FRAME_HZ if frames else 1.0
    for start, direction in zip(STARTS, DIRECTIONS, strict=True):
        gratings.add_interval(
            start_time=start * scale,
            stop_time=(start + 2) * scale,
            orientation_in_degrees=direction,
            temporal_frequency_in_hz=np.nan if np.isnan(direction) else 2.0,
            is_blank_sweep=bool(np.isnan(direction)),
        )
    if place == "stimulus":
        nwb.add_stimulus(gratings)
    if place == "intervals":
        nwb.add_time_intervals(gratings)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


@pytest.mark.parametrize("place", ["stimulus", "intervals"])
def test_the_bright_cell_is_bright_in_the_trials_of_its_direction(tmp_path, place):
    recording = read_visual_coding(write(tmp_path / "session.nwb", place=place))
    dff, trials = recording.signals["dff"], recording.trials
    assert dff.channels == ("517000000", "517000001", "517000002")
    assert dff.rate_hz == pytest.approx(FRAME_HZ / 3, rel=1e-6)
    assert dff.time_s[0] == 1.5 and abs(dff.time_s[-1] - (1.5 + N_FRAMES / FRAME_HZ)) < 0.11
    np.testing.assert_array_equal(trials["direction_deg"], DIRECTIONS)
    assert trials["blank"].tolist() == [False, False, True, False]
    assert np.isnan(trials["temporal_frequency_hz"][2]) and trials["temporal_frequency_hz"][0] == 2
    for start, stop in zip(trials["start_s"], trials["stop_s"], strict=True):
        here = (dff.time_s > start + 0.3) & (dff.time_s < stop - 0.3)
        assert dff.values[here, 1].mean() == pytest.approx(5 * (start in (8.0, 16.0)), abs=0.05)
    assert abs(dff.values[3:-3, [0, 2]]).max() < 0.1  # a mean over three frames would leave 0.28 of the 13 Hz
    running = recording.signals["running_speed"]
    np.testing.assert_allclose(
        running.values[5:-5, 0],
        np.interp(running.time_s, [1.5, 1.5 + 899 / FRAME_HZ], [0, 30])[5:-5],
        atol=0.01,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": True}, "gratings run from 120.2 to 540.9.* frame indices, not seconds"),
        ({"speed_unit": "frame"}, "running speed is in 'frame', cm/s expected"),
        ({"transposed": True}, r"dF/F has shape \(3, 900\) for 3 cells; \(time, cell\) expected"),
        ({"dff": False}, "no dF/F in processing/ophys.* raw movie"),
        ({"backwards": True}, "time stamps of a signal must increase"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused_with_its_fault(tmp_path, changes, message):
    path = write(tmp_path / "session.nwb", **changes)
    with pytest.raises(ValueError, match=rf"session.nwb: .*{message}"):
        read_visual_coding(path)


def test_a_session_without_gratings_has_no_trials_and_a_broken_file_is_refused(tmp_path):
    path = write(tmp_path / "session.nwb", place="nowhere")
    assert read_visual_coding(path).n_trials == 0
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"session.nwb: truncated"):
        read_visual_coding(path)


@pytest.mark.parametrize("rate_hz", [30.0, 25.0, 20.0])
def test_resampling_keeps_slow_waves_in_place_and_removes_fast_ones(rate_hz):
    time_s = 3 + np.arange(40 * rate_hz) / rate_hz
    slow, fast = np.sin(2 * np.pi * time_s), np.sin(2 * np.pi * 8 * time_s)
    out = resample(Signal(time_s, np.stack([slow, slow + fast], axis=1)), 10.0)
    expected = np.sin(2 * np.pi * out.time_s)
    assert out.rate_hz == pytest.approx(10)
    np.testing.assert_allclose(out.values[20:-20], np.stack([expected, expected], axis=1)[20:-20], atol=0.02)


def test_a_gap_stays_a_gap_and_a_lost_stretch_or_a_higher_rate_is_refused():
    time_s = np.arange(300) / 30
    values = np.ones(300)
    values[150:160] = np.nan
    out = resample(Signal(time_s, values), 10.0)
    gap = np.isnan(out.values[:, 0])
    assert gap[50:53].all() and not gap[:49].any() and not gap[55:].any()
    with pytest.raises(ValueError, match="run across the gap"):
        resample(Signal(np.delete(time_s, range(100, 110)), np.ones(290)), 10.0)
    with pytest.raises(ValueError, match="at most the signal's own 30 Hz"):
        resample(Signal(time_s, values), 60.0)
