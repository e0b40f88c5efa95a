"""The readers on small files of the same layout, and on the recordings where they are present."""

import numpy as np
import pytest
from scipy.io import savemat

from neurolib.data import catalog
from neurolib.data.spykesml import BIN_SIZE_S, load_m1, load_s1, seams

N_UNITS = 4


def movement(n_bins, at, seed):
    """A smooth path (cm) and its velocity (cm/s), sampled every bin."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, 2)
    time_s = np.arange(n_bins)[:, None] * BIN_SIZE_S
    return at + 5 * np.sin(time_s + phase) - 5 * np.sin(phase), 5 * np.cos(time_s + phase)


def write_s1(path, lengths=(40, 25, 60), shift_cm=0.0, **changes):
    """Segments that all begin at one place; each ends elsewhere, so every border is a jump."""
    parts = [movement(n, np.array([0.0, -32.0]) + shift_cm * i, seed=i) for i, n in enumerate(lengths)]
    arrays = {
        "spikes": np.random.default_rng(0).poisson(1.0, (sum(lengths), N_UNITS)).astype(float),
        "pos": np.vstack([position for position, _ in parts]),
        "vel": np.vstack([velocity for _, velocity in parts]),
    } | changes
    savemat(path, {key: value for key, value in arrays.items() if value is not None}, do_compression=True)
    return path, arrays


def write_m1(path, n_bins=100, **changes):
    position, velocity = movement(n_bins, np.zeros(2), seed=1)
    flat = np.zeros((1, n_bins))
    counts = np.random.default_rng(0).poisson(1.0, (N_UNITS, n_bins)).astype(float)
    counts[2] = 0
    arrays = {
        "spikes": counts,
        "handPos": np.vstack([position.T / 100, flat]),
        "handVel": np.vstack([velocity.T / 100, flat]),
        "time": 12.591 + BIN_SIZE_S * np.arange(n_bins)[None],
    } | changes
    savemat(path, {key: value for key, value in arrays.items() if value is not None}, do_compression=True)
    return path, arrays


def test_each_segment_of_s1_is_a_trial(tmp_path):
    path, arrays = write_s1(tmp_path / "s1.mat")
    trials = load_s1(path)
    assert trials.lengths.tolist() == [40, 25, 60]
    assert trials.info["start_bin"].tolist() == [0, 40, 65]
    assert not trials.simulated
    assert (trials.bin_size_s, trials.output_unit) == (0.05, "cm, cm/s")
    assert trials.outputs == ("position x", "position y", "velocity x", "velocity y")
    assert np.array_equal(trials.counts, arrays["spikes"])
    assert np.array_equal(trials.behaviour, np.hstack([arrays["pos"], arrays["vel"]]))


def test_a_short_jump_is_a_seam_and_a_fast_reach_is_none():
    position, velocity = movement(100, np.zeros(2), seed=0)
    assert seams(position, velocity).size == 0
    assert seams(10 * position, 10 * velocity).size == 0  # 70 cm/s: 3.5 cm in a bin, all of it accounted for
    jumped = position.copy()
    jumped[60:] += [0.0, 0.6]
    assert seams(jumped, velocity).tolist() == [60]
    jumped[60:] -= [0.0, 0.2]
    assert seams(jumped, velocity).size == 0  # 0.4 cm is within what continuous recordings show


def test_a_lost_bin_is_a_seam():
    position, velocity = movement(100, np.zeros(2), seed=0)
    fastest = int(np.argmax(np.linalg.norm(velocity[10:90], axis=1))) + 10
    kept = np.delete(np.arange(100), [fastest, fastest + 1])
    assert seams(2 * position[kept], 2 * velocity[kept]).tolist() == [fastest]


def test_m1_is_cut_into_blocks_in_cm_without_losing_a_bin_or_a_unit(tmp_path):
    path, arrays = write_m1(tmp_path / "m1.mat", n_bins=70)
    trials = load_m1(path, block_s=1.5)
    assert trials.lengths.tolist() == [30, 30, 10]
    assert trials.n_units == N_UNITS
    assert trials.silent_units.tolist() == [2]
    assert np.array_equal(trials.counts, arrays["spikes"].T)
    expected = 100 * np.vstack([arrays["handPos"][:2], arrays["handVel"][:2]]).T
    np.testing.assert_allclose(trials.behaviour, expected)
    np.testing.assert_allclose(trials.info["start_s"], 12.591 + np.array([0, 1.5, 3.0]))


def test_counts_can_be_summed_into_long_bins_without_overflow(tmp_path):
    path, _ = write_m1(tmp_path / "m1.mat", spikes=np.full((1, 100), 20.0))
    assert load_m1(path, block_s=5.0).rebin(100).counts.item() == 2000


@pytest.mark.parametrize("block_s", [0.0, -1.0, 0.07, 0.01])
def test_a_block_must_be_a_whole_number_of_bins(tmp_path, block_s):
    path, _ = write_m1(tmp_path / "m1.mat")
    with pytest.raises(ValueError, match=f"block_s={block_s}"):
        load_m1(path, block_s=block_s)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_plain_error(tmp_path, share):
    path, _ = write_s1(tmp_path / "s1.mat")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"s1.mat") as caught:
        load_s1(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_mat_file_is_one_plain_error(tmp_path):
    path = tmp_path / "s1.mat"
    path.write_text("<!DOCTYPE html><title>Sign in to download</title>" + 200 * " ")
    with pytest.raises(ValueError, match=r"s1.mat \(\d+ bytes\) is no readable .mat file"):
        load_s1(path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_s1(tmp_path / "other.mat")


def test_one_recording_under_the_name_of_the_other_is_seen(tmp_path):
    m1, _ = write_m1(tmp_path / "s1.mat")
    with pytest.raises(ValueError, match="has no variable 'pos', it holds handPos, handVel, spikes, time"):
        load_s1(m1)
    s1, _ = write_s1(tmp_path / "m1.mat")
    with pytest.raises(ValueError, match="has no variable 'handPos'"):
        load_m1(s1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vel": None}, "no variable 'vel', it holds pos, spikes"),
        ({"pos": np.zeros((124, 2))}, "pos covers 124 bins in 2 columns where spikes covers 125"),
        ({"vel": np.zeros((125, 3))}, "2 columns expected"),
        ({"vel": np.full((125, 2), np.nan)}, "vel should be a matrix of finite numbers"),
        ({"pos": "a text"}, "pos should be a matrix"),
        ({"spikes": np.full((125, 4), 0.5)}, "not whole numbers"),
        ({"spikes": np.full((125, 4), -1.0)}, "not whole numbers"),
    ],
)
def test_an_s1_file_of_another_make_is_refused_with_its_fault(tmp_path, changes, message):
    path, _ = write_s1(tmp_path / "s1.mat", **changes)
    with pytest.raises(ValueError, match=message):
        load_s1(path)


def test_velocity_in_other_units_is_not_taken_for_hundreds_of_seams(tmp_path):
    _, arrays = write_s1(tmp_path / "s1.mat")
    path, _ = write_s1(tmp_path / "s1.mat", vel=10 * arrays["vel"])  # mm/s
    with pytest.raises(ValueError, match=r"position and velocity disagree in .* bins; are they in cm"):
        load_s1(path)


@pytest.mark.parametrize(
    ("key", "column", "message"),
    [("handPos", 50, "third coordinate"), ("handVel", 50, "third coordinate"), ("time", 0, "bins missing")],
)
def test_what_an_m1_file_would_lose_is_refused(tmp_path, key, column, message):
    _, arrays = write_m1(tmp_path / "m1.mat")
    changed = arrays[key].copy()
    changed[-1, column] += 0.5
    path, _ = write_m1(tmp_path / "m1.mat", **{key: changed})
    with pytest.raises(ValueError, match=message):
        load_m1(path)


needs_recordings = pytest.mark.skipif(
    not (catalog.is_present("spykesml_s1") and catalog.is_present("spykesml_m1")),
    reason="the spykesML recordings are not in the data folder",
)


@needs_recordings
def test_the_recorded_s1_is_what_its_docstring_says():
    trials = load_s1()
    assert trials.counts.shape == (35_129, 52)
    assert len(trials) == 419
    assert trials.lengths.min() == 8
    position, velocity = np.hsplit(trials.behaviour, 2)
    jumps = np.flatnonzero(np.linalg.norm(np.diff(position, axis=0), axis=1) > 3) + 1
    assert len(jumps) == 390
    assert np.isin(jumps, trials.info["start_bin"]).all()
    assert len(seams(position, velocity, above_cm=1.0)) == 414
    assert (
        len(seams(position, velocity, above_cm=0.45)) == len(seams(position, velocity, above_cm=0.55)) == 418
    )


@needs_recordings
def test_the_recorded_m1_is_what_its_docstring_says():
    trials = load_m1()
    assert trials.counts.shape == (15_536, 171)
    assert trials.lengths.tolist() == [300] * 51 + [236]
    assert seams(*np.hsplit(trials.behaviour, 2), above_cm=0.35).size == 0
    spikes = trials.counts.sum(axis=0)
    assert (spikes < len(trials.counts) * BIN_SIZE_S / 100).sum() == 6
    assert spikes.min() == 1
