"""Nothing of one split is seen by a window of another."""

import numpy as np
import pytest

from neurolib.data.recording import Recording
from neurolib.data.splits import check_disjoint, group_splits, split_hash, time_splits, trial_splits

WINDOW_S = 2.0


def windows(spans, stride_s=1.0):
    starts = [
        a + stride_s * k for a, b in spans for k in range(int((b - a - WINDOW_S) / stride_s + 1e-9) + 1)
    ]
    return np.array([[start, start + WINDOW_S] for start in starts if len(spans)])


def blocks(n_trials=40, length=12.0):
    start = np.arange(n_trials) * length
    return {
        "start_s": start,
        "stop_s": start + length,
        "task": np.array(["rest", "move"])[np.arange(n_trials) // 20],
    }


@pytest.mark.parametrize("block_s", [10.0, 30.0, float("inf")])
@pytest.mark.parametrize("condition", ["", "task"])
@pytest.mark.parametrize("gap_s", [WINDOW_S, 5.0])
def test_windows_of_two_splits_are_a_gap_apart(block_s, condition, gap_s):
    recording = Recording([], [[0, 300], [310, 480]], trials=blocks())
    splits = time_splits(recording, block_s=block_s, gap_s=gap_s, condition=condition)
    cut = {name: windows(spans) for name, spans in splits.items()}
    assert all(len(part) for part in cut.values())
    for name, part in cut.items():
        for other, theirs in cut.items():
            if name < other:
                apart = np.maximum(
                    part[:, None, 0] - theirs[None, :, 1], theirs[None, :, 0] - part[:, None, 1]
                )
                assert apart.min() > gap_s - 1e-6
    total = {name: np.diff(spans).sum() for name, spans in splits.items()}
    assert total["train"] / sum(total.values()) == pytest.approx(0.8, abs=0.05)
    if condition:  # both conditions are in every split
        for spans in splits.values():
            assert (spans[:, 0] < 240).any() and (spans[:, 1] > 240).any()


def test_overlapping_windows_dealt_out_by_number_would_leak():
    """The way to avoid: 50 % overlap, then the first 80 % of the list; here it is shown to share samples."""
    every = windows([(0.0, 100.0)])
    cut = int(0.8 * len(every))
    train, test = every[:cut], every[cut:]
    assert (test[0, 0] < train[-1, 1]) and train[-1, 1] - test[0, 0] == pytest.approx(1.0)
    ours = time_splits(Recording([], [[0, 100]]), gap_s=WINDOW_S)
    assert windows(ours["valid"])[0, 0] - windows(ours["train"])[-1, 1] >= WINDOW_S - 1e-9


def test_blocks_last_as_long_as_was_asked_for():
    splits = time_splits(Recording([], [[0, 3600]]), block_s=30.0, gap_s=1.0)
    lengths = {name: np.diff(spans).ravel() for name, spans in splits.items()}
    assert len(lengths["test"]) == 11 and lengths["test"].min() >= 30 and lengths["train"].min() >= 240


def test_epochs_too_short_to_cut_go_whole_and_in_proportion():
    start = np.arange(200) * 10.0
    splits = time_splits(Recording([], np.stack([start, start + 3], 1)), gap_s=2.0)
    assert {name: len(spans) for name, spans in splits.items()} == {"train": 160, "valid": 20, "test": 20}
    assert all(np.diff(spans).min() > 2.999 for spans in splits.values())


def test_trials_are_dealt_out_whole_and_groups_undivided():
    recording = Recording([], [[0, 480]], trials=blocks() | {"run": np.arange(40) // 4})
    splits = trial_splits(recording, by="run")
    starts = {name: set((spans[:, 0] // 12 // 4).astype(int)) for name, spans in splits.items()}
    assert sorted(run for part in starts.values() for run in part) == list(range(10))
    assert sum(len(spans) for spans in splits.values()) == 40
    check_disjoint(splits)


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_no_subject_is_in_two_splits(seed):
    subject = {f"{s}{day}": s for s in "abcdefghij" for day in range(3)}
    splits = group_splits(list(subject), seed=seed, group_of=subject)
    people = {name: {subject[session] for session in part} for name, part in splits.items()}
    assert [len(people[name]) for name in ("train", "valid", "test")] == [8, 1, 1]
    assert len(set.union(*people.values())) == 10 and sum(map(len, splits.values())) == 30


def test_the_hash_names_a_division():
    one = time_splits(Recording([], [[0, 100]]), gap_s=1.0)
    assert split_hash(one) == split_hash({name: one[name] + 1e-9 for name in reversed(one)})
    assert split_hash(one) != split_hash(one | {"test": one["test"] + 1e-3})
    assert (
        split_hash({"train": ["a", "b"]}) == split_hash({"train": ["b", "a"]}) != split_hash({"train": ["a"]})
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: time_splits(r, (0.5, 0.5, 0.5)), "sum to 1"),
        (lambda r: time_splits(r, gap_s=-1), "gap_s=-1"),
        (lambda r: time_splits(r, gap_s=50.0), "nothing is left for valid, test"),
        (lambda r: time_splits(r, condition="x"), "no trial column 'x'"),
        (lambda r: trial_splits(r), "no trials to divide"),
        (lambda r: group_splits(["a", "b"]), "cannot be divided into three"),
        (lambda r: group_splits(["a", "b"], group_of={"a": "x"}), "no group for 'b'"),
        (lambda r: check_disjoint({"train": [[3, 2]]}), "start first"),
    ],
)
def test_errors_are_plain(call, message):
    with pytest.raises(ValueError, match=message):
        call(Recording([], [[0, 100]]))
