"""Tuning curves against loops over bins and redrawn trials, and known functions."""

import numpy as np
import pytest

from neurolib.metrics.tuning import TuningConfig, tuning_curve, tuning_r2


def test_curves_and_intervals_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(15), 12))  # in no order
    x = rng.normal(size=180)
    values = np.column_stack([x**2, np.sin(x)]) + 0.1 * rng.normal(size=(180, 2))
    config = TuningConfig(n_bins=4, n_resamples=60, seed=2)
    curve = tuning_curve(values, x, group, config)
    np.testing.assert_allclose(curve.edges, np.quantile(x, [0, 0.25, 0.5, 0.75, 1]))
    cell = np.clip(np.searchsorted(curve.edges, x, side="right") - 1, 0, 3)
    assert curve.occupancy.tolist() == [45] * 4
    weights = np.random.default_rng(2).multinomial(15, np.full(15, 1 / 15), 60)
    for b in range(4):
        inside = cell == b
        np.testing.assert_allclose(curve.mean[b], values[inside].mean(axis=0))
        assert curve.centres[b] == pytest.approx(x[inside].mean())
        drawn = [np.average(values[inside], axis=0, weights=w[group[inside]]) for w in weights]
        np.testing.assert_allclose(curve.low[b], np.quantile(drawn, 0.025, axis=0))
        np.testing.assert_allclose(curve.high[b], np.quantile(drawn, 0.975, axis=0))


def test_intervals_over_trials_cover_the_truth_where_those_over_samples_do_not():
    rng = np.random.default_rng(1)
    group, x = np.repeat(np.arange(40), 25), rng.uniform(size=1000)
    truth = x[:, None] > 0.5
    values = truth + rng.normal(size=(40, 200))[group] + 0.1 * rng.normal(size=(1000, 200))
    edges = [0.0, 0.5, 1.0]
    covered = []
    for groups in (group, None):
        curve = tuning_curve(values, x, groups, edges=edges)
        covered.append(((curve.low <= [[0], [1]]) & (curve.high >= [[0], [1]])).mean())
    assert covered[0] > 0.88 and covered[1] < 0.5


def test_bins_with_few_samples_or_trials_are_missing():
    x = np.array([0.1] * 20 + [0.6] * 20 + [0.9] * 3)
    group = np.array([*np.arange(20), *[0] * 20, 1, 2, 3])
    curve = tuning_curve(np.ones((43, 1)), x, group, TuningConfig(min_occupancy=5), edges=[0, 0.5, 0.8, 1.0])
    assert np.isfinite(curve.mean[:, 0]).tolist() == [True, False, False]
    assert np.isfinite(curve.high[:, 0]).tolist() == [True, False, False]
    assert curve.occupancy.tolist() == [20, 20, 3]


@pytest.mark.parametrize("circular", [True, False])
def test_smoothing_keeps_constants_and_the_circle(circular):
    rng = np.random.default_rng(2)
    angle = rng.uniform(-np.pi, np.pi, 3000)
    values = np.column_stack([np.full(3000, 2.5), np.cos(angle)])
    config = TuningConfig(24, circular, smooth_bins=1.5, n_resamples=20)
    curve = tuning_curve(values, angle, config=config)
    np.testing.assert_allclose(curve.mean[:, 0], 2.5)
    np.testing.assert_allclose(curve.low[:, 0], 2.5)
    if circular:  # a cosine is damped by exp(-s² / 2), s in radians
        damping = np.exp(-((1.5 * 2 * np.pi / 24) ** 2) / 2)
        np.testing.assert_allclose(curve.mean[:, 1], damping * np.cos(curve.centres), atol=0.05)


def test_r2_is_that_of_held_out_trials():
    rng = np.random.default_rng(3)
    group, x = np.repeat(np.arange(50), 20), rng.uniform(-1, 1, (1000, 2))
    noise = rng.normal(size=(1000, 3))
    signal = np.column_stack([x[:, 0] ** 3, np.abs(x[:, 1]), np.zeros(1000)])
    values = signal / np.maximum(signal.std(axis=0), 1e-9) + noise
    for kind in ("polynomial", "spline"):
        found = tuning_r2(values, x, group, kind)
        np.testing.assert_allclose(found[:2], 0.5, atol=0.06)
        assert -0.05 < found[2] < 0
    wide = tuning_r2(noise[:40], x[:40], kind="polynomial", degree=12)
    assert wide.max() < 0  # what fits the noise of few samples predicts nothing
    direction = rng.uniform(0, 2 * np.pi, 1000)
    assert tuning_r2(np.cos(direction - 1)[:, None], direction, kind="circular")[0] == pytest.approx(1)


def test_what_cannot_be_binned_is_refused():
    with pytest.raises(ValueError, match="constant"):
        tuning_curve(np.ones((20, 1)), np.ones(20))
    with pytest.raises(ValueError, match="finite"):
        tuning_curve(np.ones((20, 1)), np.r_[np.nan, np.arange(19)])
    with pytest.raises(ValueError, match="differ"):
        tuning_curve(np.ones((20, 1)), np.arange(19))
    with pytest.raises(ValueError, match="folds"):
        tuning_r2(np.ones((20, 1)), np.arange(20.0), np.repeat([0, 1], 10))
