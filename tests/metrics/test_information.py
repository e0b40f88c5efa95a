"""Information against scikit-learn's estimators, closed forms, and signals that tell nothing."""

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.metrics import mutual_info_score

from neurolib.metrics.information import (
    information,
    information_null,
    ksg_information,
    label_information,
    plug_in_information,
    screen,
)


def slow(n: int, seed: int, width: int = 60) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).normal(size=n), np.hanning(width), "same")


def pair(r: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return x, r * x + np.sqrt(1 - r**2) * noise


@pytest.mark.parametrize("k", [3, 5])
def test_estimates_are_those_of_scikit_learn(k):
    x, y = pair(0.7, 400, 0)
    label = np.digitize(y, [-1, 0, 1])
    theirs = mutual_info_regression(x[:, None], y, n_neighbors=k, random_state=0)[0] / np.log(2)
    assert ksg_information(x, y, k) == pytest.approx(theirs, abs=1e-6)
    theirs = mutual_info_classif(x[:, None], label, n_neighbors=k, random_state=0)[0] / np.log(2)
    assert label_information(x, label, k) == pytest.approx(theirs, abs=1e-6)
    table = mutual_info_score(np.digitize(x, [0]), label) / np.log(2)
    assert plug_in_information(np.digitize(x, [0]), label, miller_madow=False) == pytest.approx(table)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.9])
def test_bits_of_gaussians(r):
    pairs = [pair(r, 1000, seed) for seed in range(30)]
    met = [np.corrcoef(x, y)[0, 1] for x, y in pairs]  # by chance not quite r
    excess = [ksg_information(x, y) + np.log2(1 - m**2) / 2 for (x, y), m in zip(pairs, met, strict=True)]
    assert abs(np.mean(excess)) < 0.03 and np.mean(met) == pytest.approx(r, abs=0.02)


def test_bits_of_a_vector_and_of_any_scale():
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    y = x[:, None] * [1.0, -1.0] + rng.normal(size=(2000, 2))  # two looks: signal to noise of 2
    assert ksg_information(x, y) == pytest.approx(np.log2(3) / 2, abs=0.08)
    assert ksg_information(1e6 * x - 3, y / 1e6) == pytest.approx(ksg_information(x, y), abs=1e-9)


def test_rectified_units_and_counts_are_mixtures():
    rng = np.random.default_rng(2)
    sign = rng.integers(0, 2, 3000)
    unit = np.where(sign == 1, rng.uniform(1, 2, 3000), 0.0)  # exact zeros tell the sign
    assert label_information(unit, sign) == pytest.approx(1, abs=0.01)
    assert ksg_information(unit, sign) == pytest.approx(1, abs=0.01)
    assert ksg_information(unit, np.where(sign == 1, unit, 0)) > 3
    assert abs(ksg_information(np.maximum(rng.normal(size=3000), 0), rng.normal(size=3000))) < 0.06
    rate = rng.integers(1, 9, 3000)
    counts = rng.poisson(rate)
    expected = plug_in_information(counts, rate)
    assert information(counts.astype(float), rate.astype(float)) == pytest.approx(expected, abs=0.1)


def test_bias_of_counting_is_taken_off():
    rng = np.random.default_rng(3)
    tables = rng.integers(0, 8, (60, 2, 300))
    raw = np.mean([plug_in_information(*t, miller_madow=False) for t in tables])
    corrected = np.mean([plug_in_information(*t) for t in tables])
    shuffled = np.mean([plug_in_information(*t, n_shuffles=20) for t in tables])
    assert raw == pytest.approx(49 / 600 / np.log(2), rel=0.15)
    assert abs(corrected) < 0.02 and abs(shuffled) < 0.01


def test_the_null_of_shifts_is_for_slow_signals_and_trials():
    found = [
        information_null(slow(3000, s), slow(3000, s + 99), n_shifts=40, max_samples=300) for s in range(10)
    ]
    assert np.mean([f.bits for f in found]) > 0.1  # of two signals that have nothing to do with each other
    assert sum(f.p_value <= 0.05 for f in found) <= 2
    assert abs(np.mean([f.excess for f in found])) < 0.1
    trial = np.repeat(np.arange(30), 20)
    target = (np.arange(30) % 3)[trial]
    own = np.random.default_rng(4).normal(size=30)[trial] + 0.1 * np.random.default_rng(5).normal(size=600)
    by_trial = information_null(own, target, trial, n_shifts=60)
    as_samples = information_null(own, target, np.arange(600), n_shifts=60)
    assert by_trial.p_value > 0.05 > as_samples.p_value  # trials differ, targets do not
    tells = information_null(target + own / 4, target, trial, n_shifts=60)
    assert tells.p_value == pytest.approx(1 / 61) and tells.excess > 0.5


def test_screening_ranks_as_information_does():
    rng = np.random.default_rng(6)
    x = rng.normal(size=1500)
    signals = np.column_stack([0 * x, 0.5 * x, np.exp(2 * x), x**2 - 1])
    values = signals + [1, 1, 0.1, 0.5] * rng.normal(size=(1500, 4))
    found = screen(values, x)
    bits = [ksg_information(v, x) for v in values.T]
    assert found[0] < 0.02 and np.argsort(found).tolist() == np.argsort(bits).tolist()
    assert screen(values, (x > 0).astype(int))[1] > 0.05


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ksg_information([1.0, 2.0], [1.0, 2.0], 3), "neighbours"),
        (lambda: ksg_information([1.0, np.nan, 2, 3, 4], np.arange(5.0)), "finite"),
        (lambda: label_information(np.arange(4.0), np.arange(4)), "once only"),
        (lambda: plug_in_information([0, 1], [0, 1, 2]), "same samples"),
        (lambda: information_null(np.arange(4.0), np.arange(4.0), n_shifts=0), "n_shifts"),
        (lambda: screen(np.ones((4, 1)), np.ones(5)), "share"),
    ],
)
def test_what_cannot_be_estimated_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
    assert ksg_information(np.ones(10), np.arange(10.0)) == 0
