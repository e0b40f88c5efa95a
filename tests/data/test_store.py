"""A stored recording comes back as it was, whole or in part, and a damaged file is one clear error."""

import h5py
import numpy as np
import pytest

from neurolib.data.recording import Recording, Signal
from neurolib.data.store import Store, save


def make(n_samples=9000, seed=0) -> Recording:
    """Three units, one silent; a regular and an irregular signal, longer than the stride of the index."""
    rng = np.random.default_rng(seed)
    spikes = [np.sort(rng.uniform(0, 90, 6000)), np.empty(0), np.sort(rng.uniform(0, 90, 300))]
    values = rng.standard_normal((n_samples, 2)).astype(np.float32)
    values[40:50, 1] = np.nan
    irregular = np.cumsum(rng.uniform(0.001, 0.019, n_samples))
    return Recording(
        spikes,
        [[0, 40], [45, 95]],
        {
            "lfp": Signal(
                np.arange(n_samples) / 100, values, "µV", ("CA1 é", "CA3"), np.arange(6.0).reshape(2, 3)
            ),
            "frames": Signal(irregular, np.arange(n_samples), "frame"),
        },
        {
            "start_s": np.array([1.0, 50.0]),
            "stop_s": np.array([2.0, 51.0]),
            "label": np.array(["links", "größer"]),
            "good": np.array([True, False]),
            "where": np.arange(4.0).reshape(2, 2),
        },
        {"name": np.array(["a", "b", "ç"]), "rate_hz": np.arange(3.0)},
        name="zażółć",
        simulated=True,
    )


SPLITS = {"train": np.array([[0.0, 30.0], [50.0, 60.0]]), "test": np.array([[31.0, 40.0]])}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "one.h5"
    return make(), save(make(), path, SPLITS, {"subject": "ä", "n": 3})


def assert_same(one: Recording, other: Recording):
    assert (one.name, one.simulated) == (other.name, other.simulated)
    np.testing.assert_array_equal(one.observed_s, other.observed_s)
    for mine, theirs in zip(one.spike_times_s, other.spike_times_s, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in ((one.trials, other.trials), (one.units, other.units)):
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert mine[key].dtype == theirs[key].dtype
            np.testing.assert_array_equal(mine[key], theirs[key])
    assert one.signals.keys() == other.signals.keys()
    for key, mine in one.signals.items():
        theirs = other.signals[key]
        np.testing.assert_allclose(mine.time_s, theirs.time_s, rtol=0, atol=2e-7)
        np.testing.assert_array_equal(mine.values, theirs.values)
        assert (mine.values.dtype, mine.unit, mine.channels) == (
            theirs.values.dtype,
            theirs.unit,
            theirs.channels,
        )
        np.testing.assert_array_equal(mine.positions, theirs.positions)


def test_a_recording_comes_back_as_it_was(stored):
    recording, path = stored
    with Store(path) as store:
        assert_same(store.recording(), recording)
        assert (store.name, store.attrs) == (recording.name, {"subject": "ä", "n": 3})
        assert store.channels["lfp"] == ("CA1 é", "CA3")
        assert store.trials["label"].tolist() == ["links", "größer"]
        np.testing.assert_array_equal(store.positions["lfp"], recording.signals["lfp"].positions)
        assert set(store.splits) == set(SPLITS) and len(store.split_hash) == 16


def test_pieces_hold_what_a_plain_selection_would(stored):
    recording, path = stored
    rng = np.random.default_rng(1)
    with Store(path) as store:
        for start, stop in [*np.sort(rng.uniform(0, 95, (20, 2))), (50.0, 51.0), (0.0, 95.0)]:
            piece = store.between(start, stop)
            for mine, whole in zip(piece.spike_times_s, recording.spike_times_s, strict=True):
                np.testing.assert_array_equal(mine, whole[(whole >= start) & (whole < stop)])
            for key, signal in recording.signals.items():
                inside = (signal.time_s >= start - 1e-6) & (signal.time_s < stop - 1e-6)
                np.testing.assert_array_equal(piece.signals[key].values, signal.values[inside])
            inside = (recording.trials["start_s"] >= start) & (recording.trials["stop_s"] <= stop)
            np.testing.assert_array_equal(piece.trials["label"], recording.trials["label"][inside])
        with pytest.raises(ValueError, match=r"one\.h5: nothing was recorded between 41 and 44"):
            store.between(41, 44)


def test_no_python_objects_and_the_right_compression(stored):
    found = {}
    with h5py.File(stored[1]) as file:
        file.visititems(lambda name, item: found.__setitem__(name, item) or None)
        data = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}
        assert not [name for name, item in data.items() if item.dtype.kind == "O"]
        counts, floats = data["signals/frames/values"], data["signals/lfp/values"]
        assert counts.compression == "gzip" and counts.shuffle and floats.compression is None
        assert 100 <= floats.chunks[0] <= 400  # one to four seconds
        assert "time_s" not in file["signals/lfp"]  # a regular clock is two numbers


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_clear_error(stored, tmp_path, share):
    whole = stored[1].read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.h5 .*prepare it again"):
        Store(path)


def test_bytes_that_changed_inside_are_noticed(stored, tmp_path):
    path = tmp_path / "bad.h5"
    path.write_bytes(stored[1].read_bytes())
    with h5py.File(path) as file:
        chunk = file["signals/frames/values"].id.get_chunk_info(3)
    with path.open("rb+") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * chunk.size)
    with pytest.raises(ValueError, match=r"bad\.h5 is damaged"):
        Store(path).recording()


def edit(path, tmp_path, change):
    """A copy of a file after a change by hand."""
    copy = tmp_path / "edited.h5"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        change(file)
    return copy


def backwards(file):
    times = file["spikes/time_s"][:]
    times[10:12] = times[11], times[10]
    file["spikes/time_s"][...] = times


def index_backwards(file):
    file["signals/frames/index_s"][...] = file["signals/frames/index_s"][:][::-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__setitem__("version", 0), "has version 0 and this reads 1"),
        (lambda f: f.attrs.__setitem__("format", "other"), "another kind"),
        (lambda f: f["splits/test"].__setitem__((0, 1), 39.0), "splits than its split_hash"),
        (lambda f: f["spikes/unit"].__setitem__(5, 77), "a spike of unit 77, but there are 3 units"),
        (backwards, "clock of the spikes runs backwards"),
        (index_backwards, "clock runs backwards"),
        (lambda f: f["spikes/time_s"].__setitem__(-1, np.nan), "NaN"),
        (lambda f: f["signals/lfp"].attrs.__setitem__("rate_hz", 0.0), "rate of signal 'lfp' is 0.0 Hz"),
        (lambda f: f["units"].__delitem__("name") or f.__delitem__("trials"), "damaged"),
    ],
)  # fmt: skip
def test_edited_files_are_one_clear_error(stored, tmp_path, change, message):
    path = edit(stored[1], tmp_path, change)
    with pytest.raises(ValueError, match=rf"edited\.h5.*{message}"):
        Store(path).recording()


def test_a_missing_file_and_a_foreign_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Store(tmp_path / "nowhere.h5")
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"theirs\.h5: is an HDF5 file of another kind"):
        Store(tmp_path / "theirs.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {"train": [[0, 5]], "test": [[4, 6]]}}, "train .* and test .* are nearer"),
        ({"splits": {"train": [[0, 500]]}}, "split 'train' covers"),
        ({"attrs": {"x": {1, 2}}}, "attrs must be what JSON can hold"),
        ({"trials": {"x": np.array([[], {}], dtype=object)}}, "no Python objects"),
        ({"signal": np.array([0, np.inf])}, "infinite"),
        ({"signal": np.array([0, 1j])}, "must hold numbers"),
    ],
)
def test_a_refused_recording_leaves_the_old_file_and_nothing_else(tmp_path, change, message):
    path = tmp_path / "a.h5"
    good = Recording([np.array([1.0])], [[0, 10]])
    before = save(good, path).read_bytes()
    trials = {"start_s": np.array([0.0, 1]), "stop_s": np.array([1.0, 2])} | change.get("trials", {})
    signals = {"s": Signal(np.arange(2.0), change["signal"])} if "signal" in change else {}
    bad = Recording([np.array([1.0])], [[0, 10]], signals, trials)
    with pytest.raises(ValueError, match=message):
        save(bad, path, change.get("splits"), change.get("attrs"))
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_who_reads_the_old_file_is_not_disturbed_by_a_new_one(tmp_path):
    old, new = (Recording([np.full(5, at)], [[0, 10]]) for at in (1.0, 2.0))
    with Store(save(old, tmp_path / "a.h5")) as store:
        save(new, tmp_path / "a.h5")
        np.testing.assert_array_equal(store.recording().spike_times_s[0], 1.0)
    np.testing.assert_array_equal(Store(tmp_path / "a.h5").recording().spike_times_s[0], 2.0)
