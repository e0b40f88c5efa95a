"""Selectivity against F tests, slow loops over permutations, and closed forms."""

import numpy as np
import pytest
from scipy.special import i0, i1
from scipy.stats import f, f_oneway, kstest

from neurolib.metrics.nulls import null_orders
from neurolib.metrics.selectivity import (
    SelectivityConfig,
    SelectivityTest,
    circular_selectivity,
    d_prime,
    depth_index,
    eta_squared,
    lifetime_sparseness,
)


def slow(n: int, units: int, seed: int, width: int = 60) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n + width, units))
    return np.apply_along_axis(lambda x: np.convolve(x, np.hanning(width), "same"), 0, noise)[:n]


def test_eta_squared_is_what_the_f_statistic_says():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 60)
    values = rng.normal(size=(60, 4)) + 0.5 * label[:, None]
    statistic = f_oneway(*(values[label == k] for k in range(5))).statistic
    share = eta_squared(values, label)
    np.testing.assert_allclose(share / (1 - share) * 55 / 4, statistic)


def test_units_that_never_change_explain_nothing_and_offsets_do_not_matter():
    rng = np.random.default_rng(1)
    label = np.arange(80) % 4
    values = rng.normal(size=(80, 2)) + label[:, None]
    values = np.column_stack([values, np.full(80, 7.3), np.zeros(80)])
    found = SelectivityTest(label, np.arange(80)).measure(values)
    assert found.eta_squared[2:].tolist() == [0, 0] and found.p_value[2:].tolist() == [1, 1]
    single = SelectivityTest(label, np.arange(80)).measure((values + 1e3).astype(np.float32))
    np.testing.assert_allclose(single.eta_squared[:2], found.eta_squared[:2], rtol=1e-4)
    np.testing.assert_allclose(single.d_prime[:2], found.d_prime[:2], rtol=1e-3)


@pytest.mark.parametrize("kind", ["trials", "ragged trials", "samples in time", "no groups"])
def test_p_values_are_those_of_a_loop_over_permutations(kind):
    rng = np.random.default_rng(2)
    n = 120
    group = np.repeat(np.arange(24), 5)
    if kind == "ragged trials":
        group = np.repeat(np.arange(24), np.tile([2, 8], 12))
    label = (np.arange(24) % 3)[group] if "trials" in kind else rng.integers(0, 3, n)
    values = rng.normal(size=(n, 3)) + 0.3 * label[:, None]
    group = None if kind == "no groups" else group
    found = SelectivityTest(label, group, SelectivityConfig(n_permutations=30, seed=4)).measure(values)
    orders = null_orders(label, group, 30, 4)
    null = np.array([eta_squared(values, label[order]) for order in orders])
    expected = (1 + (null >= eta_squared(values, label) - 1e-12).sum(axis=0)) / 31
    np.testing.assert_allclose(found.p_value, expected)


def test_tails_by_moments_agree_with_f_tests_far_below_one_over_permutations():
    rng = np.random.default_rng(3)
    label = np.arange(200) % 4
    values = rng.normal(size=(200, 2000)) + np.where(np.arange(2000) < 1000, 0, 0.4) * (label == 0)[:, None]
    config = SelectivityConfig(n_permutations=300, tail="beta")
    found = SelectivityTest(label, np.arange(200), config).measure(values)
    share = found.eta_squared
    exact = f.sf(share / (1 - share) * 196 / 3, 3, 196)
    assert kstest(found.p_value[:1000], "uniform").pvalue > 0.01
    small = exact < 1e-3
    assert small.sum() > 20 and np.median(np.abs(np.log10(found.p_value[small] / exact[small]))) < 0.5


def test_slow_signals_are_not_taken_for_selective():
    values = slow(2000, 60, 0)
    label = (slow(2000, 1, 1)[:, 0] > 0).astype(int)
    shifted = SelectivityTest(label).measure(values).p_value
    shuffled = SelectivityTest(label, np.arange(2000)).measure(values).p_value  # as if independent
    assert (shifted < 0.05).mean() < 0.15 < 0.5 < (shuffled < 0.05).mean()


def test_preference_is_measured_on_the_other_half():
    rng = np.random.default_rng(5)
    label = np.arange(400) % 8
    noise = rng.normal(size=(400, 300)) + 20
    tuned = noise + 2 * (label == 3)[:, None] - 1 * (label == 5)[:, None]
    test = SelectivityTest(label, np.arange(400))
    nothing, something = test.measure(noise), test.measure(tuned)
    assert abs(nothing.d_prime.mean()) < 0.05 and abs(nothing.depth.mean()) < 0.002
    assert depth_index(nothing.means).mean() > 0.005  # chosen and measured on the same trials
    assert (something.preferred == 3).mean() > 0.99
    assert something.d_prime.mean() == pytest.approx(3, abs=0.1)
    assert something.depth.mean() == pytest.approx(3 / 41, abs=0.003)
    assert np.isnan(test.measure(noise - 20).depth).all()


def test_d_prime_of_two_gaussians():
    rng = np.random.default_rng(6)
    a, b = 2 + rng.normal(size=(20000, 1)), 3 * rng.normal(size=(20000, 1))
    assert d_prime(a, b)[0] == pytest.approx(2 / np.sqrt(5), abs=0.03)


def test_resultants_of_a_von_mises_curve():
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    for kappa in (0.5, 2.0):
        direction = np.exp(kappa * np.cos(angle - 1))[:, None]
        assert circular_selectivity(direction, angle)[0] == pytest.approx(i1(kappa) / i0(kappa))
        orientation = np.exp(kappa * np.cos(2 * (angle - 1)))[:, None]
        assert circular_selectivity(orientation, angle, 2)[0] == pytest.approx(i1(kappa) / i0(kappa))
        assert circular_selectivity(orientation, angle)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "index", [depth_index, lifetime_sparseness, lambda r: circular_selectivity(r, np.zeros(len(r)))]
)
def test_indices_of_rates_refuse_negative_values(index):
    with pytest.raises(ValueError, match="negative"):
        index(np.array([[1.0, 1.0], [2.0, -0.1]]))
    assert np.isnan(index(np.zeros((3, 1)))).all()


@pytest.mark.parametrize(
    ("labels", "groups", "values", "match"),
    [
        (np.zeros(6), None, np.ones((6, 1)), "one condition"),
        (np.arange(6) % 2, np.zeros(6), np.ones((6, 1)), "group"),
        (np.arange(6) % 2, None, np.ones((5, 1)), "samples"),
        (np.arange(6) % 2, None, np.full((6, 1), np.nan), "finite"),
        (np.array([0, 0, 0, 0, 0, 1]), None, np.random.default_rng(0).normal(size=(6, 1)), "lack trials"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels, groups, values, match):
    with pytest.raises(ValueError, match=match):
        SelectivityTest(labels, groups).measure(values)
