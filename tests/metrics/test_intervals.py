"""Intervals against scipy, slow resampling loops, and the coverage that they promise."""

import numpy as np
import pytest
from scipy import stats

from neurolib.metrics import intervals
from neurolib.metrics.decoding import r2_variance_weighted, squared_errors
from neurolib.metrics.intervals import Interval, bootstrap_interval, hierarchical_interval


@pytest.mark.parametrize("method, theirs", [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("statistic", [np.mean, np.std])
def test_the_interval_equals_that_of_scipy_on_the_same_draws(method, theirs, statistic):
    values = np.random.default_rng(0).lognormal(size=25)
    ours = bootstrap_interval(values, statistic, n_resamples=800, seed=3, method=method, level=0.9)
    draw = np.random.default_rng(3)
    peer = stats.bootstrap(
        (values,), statistic, n_resamples=800, method=theirs, confidence_level=0.9, rng=draw
    ).confidence_interval
    assert ours[:3] == pytest.approx((statistic(values), *peer), abs=1e-12)
    assert ours[3:] == (0.9, 25)


def test_drawing_in_blocks_changes_nothing(monkeypatch):
    values = np.random.default_rng(1).normal(size=11)
    whole = bootstrap_interval(values, n_resamples=500)
    monkeypatch.setattr(intervals, "BLOCK", 70)
    assert bootstrap_interval(values, n_resamples=500) == whole


def test_the_mean_of_skewed_values_is_covered_about_as_often_as_promised():
    """400 samples of 30 exponentials: 95 % is nominal, and a bootstrap is known to fall somewhat short."""
    draw = np.random.default_rng(2)
    for method in ("percentile", "bca"):
        found = [
            bootstrap_interval(draw.exponential(size=30), seed=i, n_resamples=600, method=method)
            for i in range(400)
        ]
        assert 0.88 < np.mean([interval.low <= 1 <= interval.high for interval in found]) < 0.97


def simulated_errors(draw, n_seeds, n_trials, n_bins=4):
    """Models that share easy and hard trials and differ in skill, and their expected R².

    The target has variance 1. The error of seed s has variance ``0.3 * skill_s * hard_t``.
    """
    skill = draw.gamma(40, 1 / 40, n_seeds)
    hard = draw.gamma(2, 1 / 2, n_trials)
    target = draw.normal(size=(n_trials, n_bins, 1))
    shared = draw.normal(size=(n_trials, n_bins, 1))
    by_seed = []
    for s in range(n_seeds):
        mixed = np.sqrt(0.8) * shared + np.sqrt(0.2) * draw.normal(size=shared.shape)
        error = np.sqrt(0.3 * skill[s] * hard)[:, None, None] * mixed
        stacked = (x.reshape(-1, 1) for x in (target, target + error))
        by_seed.append(squared_errors(*stacked, [n_bins] * n_trials))
    return by_seed, 0.7


def test_resampling_seeds_and_shared_trials_covers_the_expected_score():
    """300 simulated studies. Drawing shared trials anew for each seed is the tempting mistake: too narrow."""
    draw, crossed, nested = np.random.default_rng(3), [], []
    for i in range(300):
        errors, truth = simulated_errors(draw, n_seeds=10, n_trials=40)
        for shared, hits in ((True, crossed), (False, nested)):
            interval = hierarchical_interval(errors, shared_trials=shared, n_resamples=300, seed=i)
            hits.append(interval.low <= truth <= interval.high)
    assert 0.90 < np.mean(crossed) < 0.98
    assert np.mean(nested) < 0.80


def test_sessions_with_trials_of_their_own_are_covered_by_nested_draws():
    draw, hits = np.random.default_rng(4), []
    for i in range(200):
        level = draw.normal(0.5, 0.1, 10)
        sessions = [draw.normal(mean, 0.3, draw.integers(15, 40)) for mean in level]
        interval = hierarchical_interval(sessions, shared_trials=False, n_resamples=300, seed=i)
        hits.append(interval.low <= 0.5 <= interval.high)
    assert 0.89 < np.mean(hits) <= 0.985


def test_nested_draws_have_the_mean_and_spread_that_follow_in_closed_form():
    """Of a resampled mean: (variance between seeds + mean of variance / n within) / seeds."""
    draw = np.random.default_rng(8)
    sessions = [draw.normal(mean, 2, draw.integers(15, 30)) for mean in draw.normal(5, 0.5, 30)]
    interval = hierarchical_interval(sessions, shared_trials=False, n_resamples=20_000)
    between = np.var([x.mean() for x in sessions])
    within = np.mean([x.var() / len(x) for x in sessions])
    assert interval.estimate == pytest.approx(np.mean([x.mean() for x in sessions]), rel=1e-12)
    assert interval.high - interval.low == pytest.approx(
        2 * 1.96 * np.sqrt((between + within) / 30), rel=0.03
    )
    assert (interval.high + interval.low) / 2 == pytest.approx(interval.estimate, abs=0.02)


@pytest.mark.parametrize("folds", [None, np.arange(12) % 3])
def test_crossed_draws_equal_a_slow_loop_over_bins(folds):
    """The same draws of seeds and trials, R² recomputed from the bins of every resample."""
    draw = np.random.default_rng(5)
    lengths = draw.integers(2, 6, 12)
    target = draw.normal(size=(lengths.sum(), 2)) * [1, 3]
    predictions = [target + draw.normal(size=target.shape) * scale for scale in (0.5, 0.8, 1.1)]
    ours = hierarchical_interval(
        [squared_errors(target, p, lengths) for p in predictions], folds=folds, n_resamples=60, seed=9
    )

    draw, scores = np.random.default_rng(9), []
    picked = draw.integers(0, 3, (60, 3))
    groups = [np.arange(12)] if folds is None else [np.flatnonzero(folds == f) for f in range(3)]
    trials = np.concatenate([g[draw.integers(0, len(g), (60, len(g)))] for g in groups], axis=1)
    bins_of = np.split(np.arange(len(target)), np.cumsum(lengths)[:-1])
    for seeds, numbers in zip(picked, trials, strict=True):
        bins = np.concatenate([bins_of[i] for i in numbers])
        scores.append(np.mean([r2_variance_weighted(target[bins], predictions[s][bins]) for s in seeds]))
    plain = np.mean([r2_variance_weighted(target, p) for p in predictions])
    assert ours[:3] == pytest.approx((plain, *np.quantile(scores, [0.025, 0.975])), abs=1e-9)
    assert (ours.level, ours.n) == (0.95, 3)


def test_a_paired_difference_is_far_surer_than_either_score():
    draw = np.random.default_rng(6)
    hard = draw.normal(0.5, 0.2, 50)
    model = hard + 0.02 + draw.normal(0, 0.02, (6, 50))
    baseline = hard + draw.normal(0, 0.02, (6, 50))
    gain = hierarchical_interval(model, baseline)
    alone = hierarchical_interval(model)
    assert 0 < gain.low < 0.02 < gain.high
    assert gain.estimate == pytest.approx(model.mean() - baseline.mean())
    assert gain.high - gain.low < 0.2 * (alone.high - alone.low)


def test_an_interval_prints_as_pages_quote_it():
    assert f"{Interval(0.5, -0.25, 1, 0.95, 3):.1f}" == "0.5 [-0.2, 1.0]"
    assert repr({"a": Interval(0.73360700, -0.25, 1, 0.95, 3)}) == "{'a': 0.734 [-0.250, 1.000]}"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bootstrap_interval([1.0]), "two or more finite"),
        (lambda: bootstrap_interval([1.0, np.nan]), "two or more finite"),
        (lambda: bootstrap_interval([1, 2], method="BCa"), "must be 'percentile' or 'bca'"),
        (lambda: bootstrap_interval([2, 2], method="bca"), "BCa is undefined"),
        (lambda: bootstrap_interval([1, 2], n_resamples=0), "n_resamples=0"),
        (lambda: hierarchical_interval([[1, 2]]), "1 seeds"),
        (lambda: hierarchical_interval([[1, 2], [1, 2, 3]]), "shared_trials=False"),
        (lambda: hierarchical_interval([[1, 2], [3, 4]], [[1, 2], [3, 4, 5]]), "must be paired"),
        (lambda: hierarchical_interval([[1, 2], [3, 4]], [[1, 2]]), "must be paired"),
        (lambda: hierarchical_interval([[1, 2], [3, 4]], folds=[0]), "one per trial"),
        (lambda: hierarchical_interval([[1, 2], [3, 4]], shared_trials=False, folds=[0, 1]), "seeds share"),
    ],
)
def test_what_cannot_be_resampled_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
