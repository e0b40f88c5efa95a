"""Paired tests against enumeration, scipy, statsmodels, and the error rates that they promise."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from neurolib.metrics.statistics import (
    benjamini_hochberg,
    corrected_resampled_t_test,
    equivalence_test,
    holm,
    paired_effect_size,
    sign_flip_test,
)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_sign_flips_equal_the_enumeration_of_all_patterns(n):
    draw = np.random.default_rng(n)
    for d in (draw.normal(0.4, 1, n), draw.integers(-2, 4, n).astype(float)):  # with ties and zeros
        sums = [abs(np.dot(signs, d)) for signs in product([1, -1], repeat=n)]
        expected = np.mean([s >= abs(d.sum()) - 1e-9 for s in sums])
        assert sign_flip_test(d).p_value == expected
        assert sign_flip_test(d)[:2] == (d.mean(), d.mean())


def test_five_pairs_never_reach_five_percent_and_six_do():
    assert sign_flip_test([0.1, 0.2, 0.3, 0.4, 0.5]).p_value == 2 / 2**5 > 0.05
    assert sign_flip_test([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p_value == 2 / 2**6 < 0.05


def test_rounding_does_not_decide_which_patterns_tie():
    """0.1 + 0.2 - 0.3 is not 0 in floating point; scaled to whole numbers it is."""
    d = np.array([0.1, 0.2, 0.3, -0.3, 0.7])
    assert sign_flip_test(d).p_value == sign_flip_test((d * 10).round()).p_value


def test_random_patterns_agree_with_scipy_and_never_give_zero():
    d = np.random.default_rng(0).normal(0.25, 1, 40)
    peer = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    ours = sign_flip_test(d, n_resamples=20_000, seed=2)
    assert 0.02 < ours.p_value < 0.5
    assert ours.p_value == pytest.approx(peer.pvalue, abs=4 * np.sqrt(ours.p_value / 10_000))
    assert ours == sign_flip_test(d, n_resamples=20_000, seed=2)
    assert sign_flip_test(d + 100, n_resamples=99).p_value == 1 / 100


def test_sign_flips_find_a_difference_where_there_is_none_as_often_as_allowed():
    """Ten heavy-tailed pairs, 600 times; 0.05 allows at most 51 of 1024 patterns."""
    draw = np.random.default_rng(3)
    found = np.mean([sign_flip_test(draw.standard_t(3, 10)).p_value <= 0.05 for _ in range(600)])
    assert 0.03 < found < 0.07


def split_differences(draw, n=60, k=40, n_test=12):
    """Loss differences of two equally useless regressors over random splits of one dataset."""
    x, y = draw.normal(size=(2, n)), draw.normal(size=n)
    differences = []
    for _ in range(k):
        order = draw.permutation(n)
        test, train = order[:n_test], order[n_test:]
        slopes = x[:, train] @ y[train] / (x[:, train] ** 2).sum(axis=1)
        losses = ((y[test] - slopes[:, None] * x[:, test]) ** 2).mean(axis=1)
        differences.append(losses[0] - losses[1])
    return differences


def test_only_the_corrected_test_keeps_its_level_over_overlapping_splits():
    draw, plain, corrected = np.random.default_rng(4), [], []
    for _ in range(300):
        d = split_differences(draw)
        plain.append(stats.ttest_1samp(d, 0).pvalue <= 0.05)
        corrected.append(corrected_resampled_t_test(d, test_fraction=0.2).p_value <= 0.05)
    assert np.mean(corrected) <= 0.05
    assert np.mean(plain) > 0.20


def test_the_corrected_t_is_the_plain_one_shrunk_by_a_known_factor():
    d = np.random.default_rng(5).normal(0.5, 1, 10)
    plain, ours = stats.ttest_1samp(d, 0), corrected_resampled_t_test(d, test_fraction=0.2)
    assert ours.statistic == pytest.approx(plain.statistic / np.sqrt(1 + 10 * 0.2 / 0.8), rel=1e-12)
    assert ours.p_value == pytest.approx(2 * stats.t.sf(abs(ours.statistic), 9), rel=1e-12)
    nearly_independent = corrected_resampled_t_test(d, test_fraction=1e-12)
    assert nearly_independent.p_value == pytest.approx(plain.pvalue, rel=1e-6)


def test_holm_equals_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="the peer is an optional package")
    draw = np.random.default_rng(6)
    for p in (draw.random(9) ** 3, [0.04, 0.01, 0.04, 0.5, 0.5], [1.0], [0.0, 1.0]):
        np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], atol=1e-12)


def test_equivalence_equals_statsmodels():
    weightstats = pytest.importorskip(
        "statsmodels.stats.weightstats", reason="the peer is an optional package"
    )
    draw = np.random.default_rng(7)
    for shift in (-0.6, 0.0, 0.3, 2.0):
        d = draw.normal(shift, 0.5, 12)
        expected = weightstats.ttost_paired(d, np.zeros(12), -0.5, 0.5)[0]
        assert equivalence_test(d, margin=0.5).p_value == pytest.approx(expected, abs=1e-12)


def test_no_difference_found_is_not_equivalence_found():
    d = [-0.3, 0.4, 0.1, -0.2, 0.05, 0.1]
    assert sign_flip_test(d).p_value > 0.5 < equivalence_test(d, margin=0.01).p_value
    assert equivalence_test(d, margin=1).p_value < 0.01


def test_the_effect_size_is_the_paired_one_of_a_published_table():
    """Student and LSTM R² of one five-seed table: t = -4.18, p = 0.0139, and least p of any sign test 0.0625."""
    student = np.array([0.7950, 0.7594, 0.7809, 0.7499, 0.7957])
    lstm = np.array([0.8062, 0.7899, 0.8057, 0.7908, 0.8072])
    d = student - lstm
    assert paired_effect_size(d) * np.sqrt(5) == pytest.approx(stats.ttest_rel(student, lstm).statistic)
    assert paired_effect_size(d) == pytest.approx(-4.18 / np.sqrt(5), abs=0.005)
    assert sign_flip_test(d).p_value == 0.0625


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sign_flip_test([0.1]), "two or more finite"),
        (lambda: sign_flip_test([0.1, np.nan]), "two or more finite"),
        (lambda: sign_flip_test(np.ones((3, 5))), "in one row"),
        (lambda: paired_effect_size([0.2, 0.2]), "all 2 differences are 0.2"),
        (lambda: corrected_resampled_t_test([1, 2], test_fraction=1), "five folds have 0.2"),
        (lambda: equivalence_test([1, 2], margin=0), "margin=0"),
        (lambda: holm([0.1, 1.2]), "from 0 to 1"),
        (lambda: holm([0.1, np.nan]), "from 0 to 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rates_of_false_findings_are_those_of_scipy():
    p = np.random.default_rng(0).uniform(size=(6, 5)) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p).ravel(), stats.false_discovery_control(p.ravel()))
    some = np.sort(p.ravel())[:4]
    family = np.concatenate([some, np.ones(96)])
    np.testing.assert_allclose(benjamini_hochberg(some, 100), stats.false_discovery_control(family)[:4])
    with pytest.raises(ValueError, match="family of 2"):
        benjamini_hochberg([0.1, 0.2, 0.3], 2)
    with pytest.raises(ValueError, match="0 to 1"):
        benjamini_hochberg([0.1, 1.2])
