import logging
from dataclasses import replace

import numpy as np
import pytest

from neurolib.data import catalog, reaching, sets
from neurolib.data.sets import load
from neurolib.data.spykesml import OUTPUT_UNIT, OUTPUTS
from neurolib.data.trials import Trials

LENGTHS = [20, 10, 15]


@pytest.fixture
def absent(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))


@pytest.fixture
def present(tmp_path, monkeypatch):
    """A data folder whose S1 file has the size of the catalog, and a reader that wants nothing of it."""
    from scipy.io import savemat

    rng, n = np.random.default_rng(0), sum(LENGTHS)
    position = np.zeros((n, 2)) + 9.0 * np.repeat([0, 1, 2], LENGTHS)[:, None]
    path = tmp_path / "spykesml" / "s1_data.mat"
    path.parent.mkdir()
    savemat(path, {"spikes": rng.poisson(1, (n, 3)), "pos": position, "vel": np.zeros((n, 2))})
    entry = catalog.dataset("spykesml_s1")
    entry = replace(entry, files=(replace(entry.files[0], bytes=path.stat().st_size),))
    monkeypatch.setattr(catalog, "datasets", lambda: {"spykesml_s1": entry})
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    return path


@pytest.fixture
def quick(monkeypatch):
    """Make the twins' sessions short."""
    for twins in sets.SETS.values():
        monkeypatch.setattr(reaching, twins.twin, replace(getattr(reaching, twins.twin), n_trials=4))


def test_auto_takes_the_recording_if_it_is_there_and_says_so(present, caplog):
    caplog.set_level(logging.INFO)
    trials = load("s1")
    assert not trials.simulated
    assert trials.lengths.tolist() == LENGTHS
    assert [record.getMessage() for record in caplog.records] == [
        f"s1: recorded data, found in {present.parent}"
    ]


@pytest.mark.parametrize(
    ("id", "recorded"), [("s1", "spykesml_s1"), ("m1", "spykesml_m1"), ("area2", "area2_bump")]
)
def test_auto_takes_the_twin_if_not_and_warns(absent, quick, caplog, id, recorded):
    trials = load(id)
    assert trials.simulated and trials.name == recorded
    (record,) = caplog.records
    assert record.levelno == logging.WARNING  # seen even where nobody set up logging
    assert f"{id}: SIMULATED data, since {recorded} is not in" in record.getMessage()


@pytest.mark.parametrize("id", ["s1", "m1"])
def test_the_twin_has_the_form_of_the_recording(absent, quick, id):
    trials = load(id, "simulated")
    assert trials.n_units == {"s1": 52, "m1": 171}[id]
    assert (trials.outputs, trials.output_unit, trials.bin_size_s) == (OUTPUTS, OUTPUT_UNIT, 0.05)
    assert trials.counts.any()


def test_a_recording_that_is_asked_for_and_absent_is_an_error(absent):
    with pytest.raises(FileNotFoundError, match="run `neurolib data fetch spykesml_m1`"):
        load("m1", "recorded")


@pytest.mark.parametrize("source", ["auto", "recorded"])
def test_a_damaged_recording_is_an_error_and_no_reason_to_simulate(present, source):
    present.write_bytes(present.read_bytes()[:-9])
    with pytest.raises(ValueError, match="truncated"):
        load("s1", source)


def test_simulated_data_can_be_asked_for_beside_the_recording(present, quick):
    assert load("s1", "simulated").simulated


def test_n_trials_keeps_the_first_of_either_source(present, quick):
    whole = load("s1", "recorded")
    some = load("s1", "recorded", n_trials=2)
    assert some.lengths.tolist() == LENGTHS[:2]
    assert np.array_equal(some.counts, whole.counts[: sum(LENGTHS[:2])])
    assert len(load("s1", "recorded", n_trials=99)) == len(LENGTHS)
    assert len(load("s1", "simulated", n_trials=2)) == 2
    assert len(load("s1", "simulated", n_trials=99)) == 4


def test_the_simulator_gets_the_bin_width_of_the_recording(monkeypatch, quick):
    asked = {}

    def simulate_trials(config, bin_size_s):
        asked.update(n_trials=config.n_trials, bin_size_s=bin_size_s)
        return Trials(np.ones((3, 1)), np.zeros((3, 1)), [3], bin_size_s, simulated=True)

    monkeypatch.setattr(reaching, "simulate_trials", simulate_trials)
    load("s1", "simulated", n_trials=3)
    assert asked == {"n_trials": 3, "bin_size_s": 0.05}


def test_area2_comes_in_the_bins_lag_and_window_that_are_asked_for(absent):
    usual = load("area2", "simulated", n_trials=5)
    assert (usual.bin_size_s, usual.lengths.tolist(), usual.n_units) == (0.005, [120] * 5, 65)
    assert (usual.outputs, usual.output_unit) == (OUTPUTS, OUTPUT_UNIT)
    fine = load("area2", "simulated", n_trials=5, bin_size_s=0.001)
    assert fine.lengths.tolist() == [600] * 5
    np.testing.assert_array_equal(fine.info["condition"], usual.info["condition"])
    longer = load("area2", "simulated", n_trials=5, forward_s=0.2)
    np.testing.assert_array_equal(longer.counts[longer.bin_in_trial < 120], usual.counts)
    late = load("area2", "simulated", n_trials=5, lag_s=0.02)  # four bins
    np.testing.assert_array_equal(late.counts, usual.counts)
    np.testing.assert_allclose(late.padded().behaviour[:, :-4], usual.padded().behaviour[:, 4:], rtol=1e-9)


@pytest.mark.parametrize(("id", "units"), [("maze_small", 142), ("maze", 182), ("rtt", 130)])
def test_benchmark_sessions_come_whole_in_the_bins_asked_for(id, units, absent, monkeypatch):
    preset = {"maze_small": "MC_MAZE_SMALL", "maze": "MC_MAZE", "rtt": "MC_RTT"}[id]
    monkeypatch.setattr(reaching, preset, replace(getattr(reaching, preset), n_trials=6))
    trials = load(id, "simulated", bin_size_s=0.05)
    assert trials.outputs == ("velocity x", "velocity y") and trials.n_units == units
    assert trials.bin_size_s == 0.05 and trials.lengths.max() > 20  # a second at least
    with pytest.raises(ValueError, match="whole trials have no window"):
        load(id, "simulated", forward_s=0.1)


def test_a_maze_session_takes_the_benchmark_s_file_if_it_is_there(nlb_file, tmp_path, monkeypatch):
    path, _ = nlb_file("mc_maze_small")
    entry = catalog.dataset("mc_maze_small")
    file = replace(entry.files[0], path=path.name, bytes=path.stat().st_size)
    entry = replace(entry, files=(file,), folder=tmp_path.name)
    monkeypatch.setattr(catalog, "datasets", lambda: {"mc_maze_small": entry})
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path.parent))
    trials = load("maze_small")
    assert not trials.simulated and trials.outputs == ("velocity x", "velocity y")


def test_area2_takes_the_benchmark_s_file_if_it_is_there(nlb_file, tmp_path, monkeypatch):
    path, _ = nlb_file("area2_bump")
    entry = catalog.dataset("area2_bump")
    file = replace(entry.files[0], path=path.name, bytes=path.stat().st_size)
    entry = replace(entry, files=(file,), folder=tmp_path.name)
    monkeypatch.setattr(catalog, "datasets", lambda: {"area2_bump": entry})
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path.parent))
    trials = load("area2", n_trials=3, bin_size_s=0.02, forward_s=0.1)
    assert not trials.simulated and trials.name == "area2_bump"
    assert trials.lengths.tolist() == [35] * 3
    assert (trials.outputs, trials.output_unit) == (OUTPUTS, OUTPUT_UNIT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"id": "s2"}, "no set 's2'; there are s1, m1, area2, maze_small, maze, rtt"),
        ({"id": "s1", "source": "real"}, "source='real' must be one of auto, recorded, simulated"),
        ({"id": "s1", "n_trials": 0}, "n_trials=0"),
        ({"id": "s1", "bin_size_s": 0.02}, "s1: bin_size_s=0.02, but it was published in bins of 0.05 s"),
        ({"id": "m1", "lag_s": 0.1}, "m1: lag_s=0.1, .* published in bins"),
        ({"id": "s1", "forward_s": 0.2}, "forward_s=0.2 need spike times"),
    ],
)
def test_a_wrong_request_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)
