"""Selectivity of units against scikit-learn, all permutations, and units that were built to be selective."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from neurolib.metrics.polysemanticity import (
    PolysemanticityConfig,
    category_auroc,
    category_selectivity,
    effective_categories,
    matched_noise,
)
from neurolib.metrics.reliability import split_half

LABELS = np.repeat(["cat", "dog", "hammer", "house"], 25)
KINSHIP = np.array([[0, 0.1, 1, 1], [0.1, 0, 1, 1], [1, 1, 0, 0.9], [1, 1, 0.9, 0]])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def built(rng, n_noise=40):
    """A unit for cats and dogs, one for cats and hammers, one for houses, and noise."""
    drives = [np.isin(LABELS, names) for names in (["cat", "dog"], ["cat", "hammer"], ["house"])]
    return np.column_stack([*np.array(drives) * 2.0, *np.zeros((n_noise, 100))]) + rng.normal(
        size=(100, n_noise + 3)
    )


@pytest.mark.parametrize("decimals", [0, 6])
def test_areas_are_those_of_scikit_learn_with_and_without_ties(rng, decimals):
    x = rng.normal(size=(80, 6)).round(decimals)
    members = rng.random((80, 3)) < [0.2, 0.5, 0.7]
    wanted = [[roc_auc_score(members[:, c], x[:, u]) for c in range(3)] for u in range(6)]
    assert_allclose(category_auroc(x, members), wanted, rtol=1e-12)


def test_p_is_the_share_of_all_permutations():
    x, labels = np.array([1.0, 2, 2, 4, 5, 3])[:, None], np.array([0, 0, 1, 1, 1, 0])
    inside = np.array(list(permutations(labels == 1)))
    sums = inside @ np.array([1, 2.5, 2.5, 5, 6, 4])  # mid-ranks
    wanted = (sums >= (labels == 1) @ np.array([1, 2.5, 2.5, 5, 6, 4])).mean()
    found = category_selectivity(x, labels, PolysemanticityConfig(n_permutations=4000))
    assert_allclose(found.p_value[0, 1], wanted, atol=0.02)


def test_without_permutations_p_is_that_of_mann_and_whitney(rng):
    x = rng.normal(size=(100, 5)).round(1)
    found = category_selectivity(x, LABELS, PolysemanticityConfig(n_permutations=0))
    for unit in range(5):
        for c, name in enumerate(found.categories):
            inside, outside = x[name == LABELS, unit], x[name != LABELS, unit]
            test = mannwhitneyu(inside, outside, False, "greater", method="asymptotic")
            assert_allclose(found.p_value[unit, c], test.pvalue, rtol=1e-9)


def test_two_related_categories_are_one_meaning(rng):
    found = category_selectivity(built(rng), LABELS)
    assert found.categories[found.selective[1]].tolist() == ["cat", "hammer"]
    assert found.n_selected[:3].tolist() == [2, 2, 1] and found.n_selected[3:].mean() < 0.1
    assert found.polysemantic(KINSHIP, 0.5)[:3].tolist() == [False, True, False]
    assert found.polysemantic(KINSHIP, 0.05)[:3].tolist() == [True, True, False]


def test_false_findings_among_noise_are_rare(rng):
    x = rng.normal(size=(100, 300))
    p = category_selectivity(x, LABELS, PolysemanticityConfig(n_permutations=200)).p_value
    assert abs((p <= 0.1).mean() - 0.1) < 0.02
    found = category_selectivity(x, LABELS, PolysemanticityConfig(least_auroc=0.5, n_permutations=0))
    assert found.selective.mean() < 0.005


def test_a_unit_that_never_changes_is_neither_selective_nor_a_test(rng):
    x = np.column_stack([built(rng, 0), np.ones(100)])
    found = category_selectivity(x, LABELS)
    assert (
        np.isnan(found.auroc[3]).all() and np.isnan(found.q_value[3]).all() and not found.selective[3].any()
    )
    assert_allclose(found.q_value[:3], category_selectivity(x[:, :3], LABELS).q_value)


def test_effective_categories_count_equal_ones():
    x = np.array([[np.isin(LABELS, ["cat", "dog"])], [LABELS == "cat"], [LABELS == "none"]])[:, 0].T * 3.0
    found = effective_categories(x, LABELS)
    assert_allclose(found[:2], [2, 1])
    assert np.isnan(found[2])
    assert_allclose(effective_categories(x[:, :2] + 7, LABELS, baseline=[7, 7]), [2, 1])
    means = np.array([1.0, 2, 3, 4])
    share = means / 10
    assert_allclose(
        effective_categories(means.repeat(25)[:, None], LABELS), np.exp(-(share * np.log(share)).sum())
    )


@pytest.mark.parametrize("kind", ["poisson", "gaussian"])
def test_noise_brings_units_to_the_reliability_of_neurons(rng, kind):
    x = rng.gamma(2.0, [1, 5, 0.1], size=(3000, 3))
    noisy = matched_noise(x, 0.4, kind, n_repeats=2)
    assert_allclose(split_half(noisy).halves, 0.4, atol=0.05)
    assert_allclose(noisy.mean((0, 1)), x.mean(0), rtol=0.1)
    mixed = matched_noise(np.tile(x[:, :1], 40), [0.2, 0.9], kind, n_repeats=2)
    halves = split_half(mixed).halves
    assert ((abs(halves - 0.2) < 0.06) | (abs(halves - 0.9) < 0.06)).all() and 8 < (halves > 0.5).sum() < 32
    assert (matched_noise(np.ones((4, 2)), 0.5, kind) == 1).all() and (matched_noise(x, 1.0, kind) == x).all()


def test_noise_hides_selectivity_so_it_must_match(rng):
    x = np.maximum(built(rng, 0), 0)
    clean, noisy = (category_selectivity(y, LABELS).auroc for y in (x, matched_noise(x, 0.15)[0]))
    assert (clean[0, :2] > noisy[0, :2] + 0.05).all()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: category_auroc(np.ones((4, 1)), np.ones((4, 2), bool)), "category 0 holds all"),
        (lambda: category_auroc(np.ones((4, 1)), np.ones((3, 2), bool)), "row per stimulus"),
        (lambda: category_auroc(np.full((4, 1), np.nan), np.eye(4, dtype=bool)), "in 1 units"),
        (lambda: category_selectivity(np.eye(4), [0, 0, 1, 1]).polysemantic(np.eye(3), 1), "2 categories"),
        (lambda: category_selectivity(np.eye(4), [0, 0, 1, 1]).polysemantic(np.zeros((2, 2)), 1), "no two"),
        (lambda: matched_noise(np.eye(3), [0.2, -0.1]), "leave out"),
        (lambda: matched_noise(-np.eye(3), 0.5), "3 units have negative"),
        (lambda: PolysemanticityConfig(least_auroc=0.2), "0.5 to 1"),
    ],
)
def test_what_has_no_answer_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
