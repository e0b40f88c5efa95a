"""Region time series in the published layout, and the recorded ones where present."""

import os
from pathlib import Path

import numpy as np
import pytest

from neurolib.data.regions import SERIES, load_regions, structural_connectivity


def write(folder, **changes):
    rng = np.random.default_rng(0)
    series = rng.normal(size=(4, 30))
    series[2] = 0
    links = rng.random((4, 4))
    arrays = {
        SERIES: series,
        "region_acronyms.npy": np.array(["OE", "OB", "SO", "Cb"]),
        "SC_undirected.npy": links + links.T,
    } | changes
    for name, value in arrays.items():
        np.save(folder / name, value)
    return arrays


def test_a_region_that_never_changes_is_left_out_everywhere(tmp_path):
    arrays = write(tmp_path)
    recording = load_regions(tmp_path, rate_hz=2.0)
    calcium = recording.signals["calcium"]
    assert calcium.channels == ("OE", "OB", "Cb") and calcium.rate_hz == 2.0
    np.testing.assert_array_equal(calcium.values, arrays[SERIES][[0, 1, 3]].T)
    kept = arrays["SC_undirected.npy"][[0, 1, 3]][:, [0, 1, 3]]
    np.testing.assert_array_equal(structural_connectivity(tmp_path), kept)
    np.testing.assert_array_equal(recording.observed_s, [[0, 15]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({SERIES: np.zeros((30, 4))}, "transposed"),
        ({SERIES: np.full((4, 30), np.nan)}, "NaN"),
        ({"region_acronyms.npy": np.array(["a", None, "b", "c"], object)}, "pickled objects"),
        ({"SC_undirected.npy": np.arange(16.0).reshape(4, 4)}, "symmetric"),
    ],
)
def test_arrays_of_another_make_are_refused(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        load_regions(tmp_path)
        structural_connectivity(tmp_path)


def test_missing_and_truncated_files_and_a_rate_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="NEUROLIB_DATA"):
        load_regions(tmp_path)
    write(tmp_path)
    with pytest.raises(ValueError, match="rate_hz=0"):
        load_regions(tmp_path, rate_hz=0)
    path = tmp_path / SERIES
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="truncated"):
        load_regions(tmp_path)


def test_the_recorded_fish_is_what_its_readme_says():
    folder = Path(os.environ.get("NEUROLIB_DATA", "/nowhere")) / "zebrafish_regions"
    if not (folder / SERIES).is_file():
        pytest.skip("the zebrafish recording is not in the data folder")
    values = load_regions(folder).signals["calcium"].values
    assert values.shape == (892, 67)
    lag_1 = [np.corrcoef(series[1:], series[:-1])[0, 1] for series in values.T]
    assert np.mean(lag_1) == pytest.approx(0.727, abs=5e-4)
    assert structural_connectivity(folder).shape == (67, 67)
