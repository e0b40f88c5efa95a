"""Windows against slow loops, padding and masks, labels, scalers, and the round trip to the model's input."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch

from neurolib.data.recording import Recording, Signal, average_in_bins
from neurolib.data.scalers import Scalers
from neurolib.data.splits import time_splits
from neurolib.data.store import Store, save
from neurolib.data.windows import Cut, Windows
from neurolib.models.multimodal.inputs import as_inputs, unpack
from neurolib.training.batches import training_batches

BIN_S = 0.05
BOTH = Windows(
    1.0, 0.5, {"spike": Cut("counts"), "eeg": Cut("sampled", "eeg", 40.0, shared=True)}, BIN_S, "hand", BIN_S
)


def make(n_units, channels, seed, name, rate_hz=40.0) -> Recording:
    rng = np.random.default_rng(seed)
    n = round(20 * rate_hz)
    positions = rng.standard_normal((len(channels), 3))
    eeg = Signal(np.arange(n) / rate_hz, rng.standard_normal((n, len(channels))), "uV", channels, positions)
    hand = Signal(np.arange(2000) / 100, rng.standard_normal((2000, 2)) * [1, 9] + [0, 5], "cm/s", ("x", "y"))
    trials = {"start_s": np.arange(0.3, 19, 2.0), "stop_s": np.arange(1.9, 20, 2.0)[:10]}
    trials["label"] = np.array(["left", "right", "up", "left", "right"] * 2)
    spikes = [np.sort(rng.uniform(0, 20, rng.poisson(120))) for _ in range(n_units)]
    return Recording(spikes, [[0, 20]], {"eeg": eeg, "hand": hand}, trials, name=name)


@pytest.fixture(scope="module")
def pair():
    return {"a": make(3, ("C3", "Cz", "C4"), 0, "a"), "b": make(5, ("Cz", "O1"), 1, "b")}


@pytest.fixture(scope="module")
def stores(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    return {
        name: Store(save(r, folder / f"{name}.h5", time_splits(r, gap_s=1.0), {"subject": "s" + name}))
        for name, r in pair.items()
    }


def test_counts_and_events_agree_with_a_slow_loop(pair):
    vocabulary = BOTH.vocabulary(pair)
    counts = BOTH.build(pair, vocabulary).tensors()
    loose = Windows(1.0, 0.5, {"spike": Cut("events"), "eeg": BOTH.modalities["eeg"]})
    events = loose.build(pair, vocabulary).tensors()
    assert len(counts["start_s"]) == 78 and counts["start_s"].dtype == torch.float64
    for row in range(0, 78, 7):
        recording = pair["ab"[int(counts["session"][row])]]
        start = float(counts["start_s"][row])
        for unit, times in enumerate(recording.spike_times_s):
            slow = [
                sum(1 for t in times if start + k * BIN_S <= t < start + (k + 1) * BIN_S) for k in range(20)
            ]
            assert counts["spike/values"][row, :, unit].tolist() == slow
            mine = events["spike/event_mask"][row] & (events["spike/event_unit"][row] == unit)
            inside = times[(times >= start) & (times < start + 1)] - start
            np.testing.assert_allclose(events["spike/event_time"][row][mine].numpy(), inside, atol=1e-6)


@pytest.mark.parametrize("begin_s", [10.0, 959_040.3])  # the second is beyond what float32 resolves
def test_a_spike_on_an_edge_up_to_float_error_counts_in_its_own_bin(begin_s):
    times = np.arange(40) * 0.05 + begin_s  # one per bin
    recording = Recording([times], [[begin_s, begin_s + 2]], name="edges")
    data = Windows(1.0, 0.5, bin_size_s=BIN_S).build([recording], {"spike": {"edges/0": 0}})
    assert (data.tensors()["spike/values"] == 1).all() and len(data) == 3


@pytest.mark.parametrize("kind", ["counts", "events"])
def test_stores_and_memory_give_the_same_and_the_model_reads_it(pair, stores, kind):
    settings = Windows(1.0, 0.5, BOTH.modalities | {"spike": Cut(kind)}, BIN_S, "hand", BIN_S, label="label")
    vocabulary = settings.vocabulary(pair)
    mine, theirs = (settings.build(source, vocabulary).tensors() for source in (pair, stores))
    assert mine.keys() == theirs.keys()
    for key, tensor in mine.items():
        np.testing.assert_allclose(theirs[key].numpy(), tensor.numpy(), rtol=0, atol=2e-6)
    inputs = as_inputs(unpack(mine), {"spike": 1 / BIN_S, "eeg": 40.0}, window_s=1.0)
    assert inputs["eeg"].rate_hz == pytest.approx(40) and set(inputs) == {"spike", "eeg"}
    assert inputs["spike"].channel_mask.sum(1).unique().tolist() == [3, 5]
    # a channel of one name is one row in all recordings; a unit is its recording's alone
    assert vocabulary["eeg"] == {"C3": 0, "Cz": 1, "C4": 2, "O1": 3}
    assert inputs["eeg"].channel[-1][:2].tolist() == [1, 3] and len(vocabulary["spike"]) == 8
    assert not mine["eeg/values"][mine["session"] == 1][:, :, 2].any()
    np.testing.assert_allclose(mine["eeg/coords"][0, :3], pair["a"].signals["eeg"].positions, rtol=1e-6)


def test_a_modality_that_a_recording_lacks_is_masked(pair):
    only = Recording(pair["a"].spike_times_s, [[0, 20]], {"hand": pair["a"].signals["hand"]}, name="c")
    recordings = pair | {"c": only}
    batch = BOTH.build(recordings, BOTH.vocabulary(recordings)).tensors()
    lacks = batch["session"] == 2
    assert not batch["eeg/mask"][lacks].any() and not batch["eeg/channel_mask"][lacks].any()
    assert unpack(batch)["eeg"].present.tolist() == (~lacks).tolist()


def test_gaps_are_masked_and_never_read():
    values = np.arange(80.0).reshape(40, 2)
    values[7:9, 0], values[20:30, 1] = np.nan, np.nan
    recording = Recording([], [[0, 4]], {"eeg": Signal(np.arange(40) / 10, values)}, name="r")
    settings = Windows(1.0, modalities={"eeg": Cut("sampled", "eeg")})
    batch = settings.build([recording], settings.vocabulary([recording])).tensors()
    assert batch["eeg/mask"][0].tolist() == [True] * 7 + [False] * 2 + [True]
    assert batch["eeg/channel_mask"].tolist() == [[True, True], [True, True], [True, False], [True, True]]
    assert batch["eeg/mask"][1:].all() and batch["eeg/values"].isfinite().all()


def test_behaviour_is_averaged_as_elsewhere(pair):
    data = BOTH.build(pair, BOTH.vocabulary(pair))
    batch = data.tensors()
    for row in (0, 11, 60):
        signal = pair["ab"[int(batch["session"][row])]].signals["hand"]
        first = np.array([round(float(batch["start_s"][row]) / BIN_S)])
        expected = average_in_bins(signal, first, np.array([20]), BIN_S)
        np.testing.assert_allclose(batch["behaviour/values"][row].numpy(), expected, rtol=1e-5, atol=1e-6)
        assert batch["behaviour/time"][row, :2].tolist() == pytest.approx([0.025, 0.075])


def test_labels_of_sliding_windows_and_windows_at_events(pair):
    recording = pair["a"]
    settings = Windows(0.5, 0.25, bin_size_s=0.1, label="label")
    data = settings.build([recording], settings.vocabulary([recording]))
    for start, label in zip(data.start_s, data.label_of, strict=True):
        inside = (recording.trials["start_s"] <= start + 0.25) & (start + 0.25 < recording.trials["stop_s"])
        names = recording.trials["label"][inside]
        assert label == (data.labels[names[0]] if len(names) else -1)
    at = Windows(0.5, bin_size_s=0.1, event="start_s", offset_s=0.2, label="label")
    data = at.build([recording], at.vocabulary([recording]), labels={"right": 0, "left": 1})
    np.testing.assert_allclose(data.start_s, recording.trials["start_s"] + 0.2)
    assert data.label_of.tolist() == [1, 0, -1, 1, 0] * 2


def test_windows_stay_in_their_split_and_begin_on_a_sample(stores):
    eeg = Windows(1.0, 0.31, {"eeg": BOTH.modalities["eeg"]})
    vocabulary, reached = eeg.vocabulary(stores), {}
    for split in ("train", "valid", "test"):
        data = eeg.build(stores, vocabulary, split)
        for name, number in (("a", 0), ("b", 1)):
            starts = data.start_s[data.recording_of == number]
            spans = stores[name].splits[split]
            inside = (starts[:, None] >= spans[:, 0] - 1e-9) & (starts[:, None] + 1 <= spans[:, 1] + 1e-9)
            assert inside.any(1).all()
            np.testing.assert_allclose(starts * 40, np.round(starts * 40), atol=1e-4)
            reached.setdefault(name, []).append((starts.min(), starts.max() + 1))
        assert unpack(data.tensors())["eeg"].duration_s <= 1.0 + 1e-6
    for spans in reached.values():  # train, valid, test in order of time, a window apart
        assert all(later[0] - earlier[1] >= 1 - 1e-6 for earlier, later in pairwise(spans))


def test_scalers_are_fitted_on_train_and_nothing_else(pair, tmp_path):
    settings = Windows(1.0, modalities={"eeg": BOTH.modalities["eeg"]}, behaviour="hand")
    vocabulary, train = settings.vocabulary(pair), {"a": np.array([[0.0, 8.0]]), "b": np.array([[4.0, 10.0]])}
    fitted = Scalers.fit(settings.build(pair, vocabulary, train))
    cz = np.concatenate(
        [pair["a"].signals["eeg"].values[:320, 1], pair["b"].signals["eeg"].values[160:400, 0]]
    )
    assert fitted.moments["eeg"]["Cz"] == pytest.approx((cz.mean(), cz.std()), rel=1e-9)
    for recording in pair.values():  # what comes later cannot matter
        changed = {n: Signal(s.time_s, np.where(s.time_s[:, None] < 10, s.values, 1e6), s.unit, s.channels)
                   for n, s in recording.signals.items()}  # fmt: skip
        pair = pair | {
            recording.name: Recording(recording.spike_times_s, [[0, 20]], changed, name=recording.name)
        }
    again = Scalers.fit(settings.build(pair, vocabulary, train))
    assert again.moments == fitted.moments
    fitted.save(tmp_path / "scalers.json")
    stored = Scalers.load(tmp_path / "scalers.json")
    batch = settings.build(pair, vocabulary, train, scalers=stored).tensors()
    seen = batch["behaviour/values"][batch["behaviour/mask"]]
    np.testing.assert_allclose(seen.mean(0).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std(0, correction=0).numpy(), 1, atol=1e-5)
    back = stored.undo("behaviour", ["x", "y"], seen.numpy())
    assert back[:, 1].mean() == pytest.approx(fitted.moments["behaviour"]["y"][0], rel=1e-5)
    with pytest.raises(ValueError, match="no scaler for channel 'O1'"):
        part = Scalers({"eeg": {"Cz": (0, 1)}})
        settings.build([pair["b"]], vocabulary, scalers=part)[0]
    (tmp_path / "scalers.json").write_text('{"moments": 3}')
    with pytest.raises(ValueError, match=r"scalers\.json holds no scalers"):
        Scalers.load(tmp_path / "scalers.json")


def test_worker_processes_and_copies_read_the_same(stores):
    data = BOTH.build(stores, BOTH.vocabulary(stores))
    copy = pickle.loads(pickle.dumps(data))
    assert all(torch.equal(tensor, copy[5][key]) for key, tensor in data[5].items())
    here, there = (
        list(training_batches(data, range(2), 16, [3], torch.device("cpu"), workers=workers))
        for workers in (0, 1)
    )
    assert all(torch.equal(x[key], y[key]) for x, y in zip(here, there, strict=True) for key in x)
    assert here[0]["spike/values"].shape == (16, 20, 5)


@pytest.mark.parametrize(
    ("settings", "vocabulary", "message"),
    [
        (BOTH, {"spike": {"a/0": 0}}, "channel 'a/1' is not among the 1 of the vocabulary"),
        (Windows(1.0, modalities={"eeg": Cut("sampled", "eeg", 50.0)}), None, "a: eeg has 40 Hz where 50 Hz"),
        (Windows(30.0), None, "no window of 30 s fits"),
        (
            Windows(1.0, modalities={"eeg": Cut("sampled", "eog")}),
            None,
            "no recording has eeg: no signal 'eog'",
        ),
        (Windows(1.0, event="go_s"), None, "a: no trial column 'go_s'"),
        (Windows(1.0, behaviour="eye"), None, "found it in none"),
    ],
)
def test_errors_of_building_are_plain(pair, settings, vocabulary, message):
    with pytest.raises(ValueError, match=message):
        settings.build(pair, settings.vocabulary(pair) if vocabulary is None else vocabulary)


def test_other_errors_are_plain(pair, stores):
    bad = pair["a"].signals["eeg"].values.copy()
    bad[3, 1] = np.inf
    eeg = Windows(1.0, modalities={"eeg": Cut("sampled", "eeg")})
    infinite = Recording([], [[0, 20]], {"eeg": Signal(np.arange(800) / 40, bad)}, name="r")
    with pytest.raises(ValueError, match="r: eeg is infinite after 0 s"):
        eeg.build([infinite], eeg.vocabulary([infinite]))[0]
    with pytest.raises(ValueError, match="a has no split 'dev', only"):
        BOTH.build(stores, BOTH.vocabulary(stores), "dev")
    with pytest.raises(ValueError, match="sessions names no number for 'b'"):
        BOTH.build(pair, BOTH.vocabulary(pair), sessions={"a": 0})
    for wrong in ({"window_s": 0}, {"bin_size_s": 0.3}, {"modalities": {}}, {"bin_size_s": 0.0}):
        with pytest.raises(ValueError):
            Windows(**wrong)
    for wrong in (("sampled",), ("counts", "eeg"), ("binned",)):
        with pytest.raises(ValueError):
            Cut(*wrong)
