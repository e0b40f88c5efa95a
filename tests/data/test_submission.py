"""Submissions read and scored by the benchmark's own package."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from neurolib.data.submission import Submission, group_name, read_submission, write_submission
from neurolib.metrics.spikes import co_smoothing_bits, psth_r2, velocity_r2

N_TRAIN, N_EVAL, N_IN, N_OUT, N_BINS, N_FORWARD = 24, 16, 5, 3, 30, 10


@pytest.fixture
def session():
    """Area2_Bump in 20 ms bins: what is known of the evaluated trials, and rates that predict it fairly."""
    draw = np.random.default_rng(0)
    n = N_TRAIN + N_EVAL
    condition = np.arange(n) % 4
    course = np.cumsum(draw.normal(size=(4, N_BINS + N_FORWARD, 2)), axis=1) * 0.3
    velocity = course[condition] + 0.3 * np.cumsum(draw.normal(size=(n, N_BINS + N_FORWARD, 2)), axis=1) * 0.3
    true = 0.25 * np.exp(velocity @ draw.normal(size=(2, N_IN + N_OUT)) * 0.4)
    counts = draw.poisson(true)
    rates = true * np.exp(0.2 * draw.normal(size=true.shape))
    rates[rates < 0.01] = 0
    train, test, now, later = slice(N_TRAIN), slice(N_TRAIN, n), slice(N_BINS), slice(N_BINS, None)
    seen, hidden = slice(N_IN), slice(N_IN, None)
    submission = Submission(
        rates[train, now, seen],
        rates[train, now, hidden],
        rates[test, now, seen],
        rates[test, now, hidden],
        rates[test, later, seen],
        rates[test, later, hidden],
    )
    passive = condition % 2 == 1
    of_condition = [np.flatnonzero(condition[test] == c) for c in range(4)]
    target = {
        "eval_spikes_heldout": counts[test, now, hidden],
        "eval_spikes_heldin_forward": counts[test, later, seen],
        "eval_spikes_heldout_forward": counts[test, later, hidden],
        "train_behavior": velocity[train, now],
        "eval_behavior": velocity[test, now],
        "train_decode_mask": np.stack([~passive, passive], axis=1)[train],
        "eval_decode_mask": np.stack([~passive, passive], axis=1)[test],
        "psth": np.stack([counts[test][trials][:, now].mean(axis=0) for trials in of_condition]),
        "eval_cond_idx": np.array(of_condition),
    }
    return submission, target, counts[train, now]


def test_the_benchmark_reads_what_was_written(session, tmp_path):
    make_tensors = pytest.importorskip("nlb_tools.make_tensors", reason="nlb_tools is the oracle here")
    submission, _, counts = session
    path = write_submission(tmp_path / "mine.h5", {"area2_bump_20": submission}, {"area2_bump_20": counts})
    with h5py.File(path) as file:
        theirs = make_tensors.h5_to_dict(file)
    assert list(theirs) == ["area2_bump_20"] and len(theirs["area2_bump_20"]) == 6
    ours = read_submission(path)["area2_bump_20"]
    for name in submission.names:
        np.testing.assert_array_equal(theirs["area2_bump_20"][name], getattr(submission, name))
        np.testing.assert_array_equal(getattr(ours, name), getattr(submission, name))
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.h5"]


@pytest.mark.filterwarnings("ignore:.*rates are 0 and count as")
def test_the_benchmark_scores_it_as_our_metrics_do(session, tmp_path):
    evaluation = pytest.importorskip("nlb_tools.evaluation", reason="nlb_tools is the oracle here")
    submission, target, counts = session
    group = group_name("area2_bump", 0.02)
    path = write_submission(tmp_path / "mine.h5", {group: submission}, {group: counts})
    (theirs,) = evaluation.evaluate({group: target}, str(path))
    theirs = theirs["area2_bump_20_split"]

    train = np.concatenate([submission.train_rates_heldin, submission.train_rates_heldout], axis=2)
    test = np.concatenate([submission.eval_rates_heldin, submission.eval_rates_heldout], axis=2)
    forward = [
        np.concatenate([of["heldin"], of["heldout"]], axis=2)
        for of in (
            {units: getattr(submission, f"eval_rates_{units}_forward") for units in ("heldin", "heldout")},
            {units: target[f"eval_spikes_{units}_forward"] for units in ("heldin", "heldout")},
        )
    ]
    ours = {
        "co-bps": co_smoothing_bits(submission.eval_rates_heldout, target["eval_spikes_heldout"]),
        "vel R2": velocity_r2(
            train,
            target["train_behavior"],
            test,
            target["eval_behavior"],
            target["train_decode_mask"],
            target["eval_decode_mask"],
        ),
        "psth R2": psth_r2(target["psth"], test, list(target["eval_cond_idx"])),
        "fp-bps": co_smoothing_bits(*forward),
    }
    assert theirs.keys() == ours.keys()
    for name, score in ours.items():
        assert score == pytest.approx(theirs[name], abs=1e-9), name
        assert score > 0.02, name  # rates that predict nothing would agree on anything


def test_both_bin_widths_and_single_precision_go_into_one_file(session, tmp_path):
    submission, _, counts = session
    coarse = replace(submission, eval_rates_heldin_forward=None, eval_rates_heldout_forward=None)
    fine = Submission(
        *(np.repeat(getattr(coarse, name) / 4, 4, axis=1).astype(np.float32) for name in coarse.names)
    )
    path = write_submission(
        tmp_path / "both.h5",
        {"area2_bump": fine, "area2_bump_20": coarse},
        {"area2_bump": counts / 4, "area2_bump_20": counts},
    )
    back = read_submission(path)
    assert back["area2_bump"].eval_rates_heldin.dtype == np.float32
    assert back["area2_bump"].eval_rates_heldin.shape == (N_EVAL, 120, N_IN)
    assert back["area2_bump_20"].eval_rates_heldin_forward is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (dict(eval_rates_heldout=np.ones((N_EVAL, N_BINS, 4))), "4 units, but train_rates_heldout has 3"),
        (dict(eval_rates_heldout=np.ones((9, N_BINS, N_OUT))), "9 trials, but eval_rates_heldin has 16"),
        (dict(train_rates_heldin=np.ones((N_TRAIN, 29, N_IN))), "29 bins, but eval_rates_heldin has 30"),
        (dict(eval_rates_heldin_forward=np.ones((N_EVAL, 9, N_IN))), "10 bins, .*heldin_forward has 9"),
        (dict(eval_rates_heldin_forward=None), "or for neither"),
        (dict(train_rates_heldout=np.ones((N_TRAIN, N_OUT))), "must be .trial, bin, unit."),
        (dict(train_rates_heldout=np.full((N_TRAIN, N_BINS, N_OUT), np.nan)), "2160 of 2160 rates are NaN"),
        (dict(train_rates_heldout=np.full((N_TRAIN, N_BINS, N_OUT), -1.0)), "log-rates"),
    ],
)
def test_arrays_that_do_not_fit_are_named(session, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(session[0], **change)


def test_wrong_units_bins_and_names_are_refused_and_nothing_is_written(session, tmp_path):
    submission, _, counts = session
    path = tmp_path / "mine.h5"
    path.write_text("kept")
    hz = Submission(*(getattr(submission, name) / 0.02 for name in submission.names))
    forward_hz = replace(submission, **{n: getattr(hz, n) for n in submission.names if "forward" in n})
    for wrong, name, complaint in (
        (hz, "area2_bump_20", r"area2_bump_20, train_rates_\*: .* look like Hz"),
        (forward_hz, "area2_bump_20", r"eval_rates_\*_forward: .* look like Hz"),
        (submission, "area2_bump", "has 30 bins, the benchmark scores 120 of 0.005 s"),
        (submission, "area2_bump_5", "no group 'area2_bump_5'"),
    ):
        with pytest.raises(ValueError, match=complaint):
            write_submission(path, {name: wrong}, {name: counts})
    with pytest.raises(ValueError, match="must match"):
        write_submission(path, {"area2_bump_20": submission}, {})
    with pytest.raises(ValueError, match="nothing to submit"):
        write_submission(path, {}, {})
    with pytest.raises(ValueError, match=r"bins of 0.005 and 0.02 s"):
        group_name("mc_rtt", 0.01)
    assert path.read_text() == "kept" and len(list(tmp_path.iterdir())) == 1


def test_a_writer_that_fails_half_way_leaves_the_old_file(session, tmp_path, monkeypatch):
    submission, _, counts = session
    path = tmp_path / "mine.h5"
    path.write_text("kept")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    with pytest.raises(OSError, match="disk full"):
        write_submission(path, {"area2_bump_20": submission}, {"area2_bump_20": counts})
    assert path.read_text() == "kept" and len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_no_submission_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.h5: no such file"):
        read_submission(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("<html>")
    with pytest.raises(ValueError, match=r"text.h5: not an HDF5 file"):
        read_submission(tmp_path / "text.h5")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file["mc_rtt/eval_rates_heldout"] = np.ones((2, 3, 4))
    with pytest.raises(
        ValueError, match=r"half.h5: group mc_rtt lacks train_rates_heldin, train_rates_heldout"
    ):
        read_submission(tmp_path / "half.h5")
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["eval_rates_heldout"] = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match="eval_rates_heldout is no group"):
        read_submission(tmp_path / "flat.h5")
