"""Entropies by hand and against SciPy."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from neurolib.models.quantizers.usage import code_usage


def test_counts_entropies_and_perplexities_by_hand():
    usage = code_usage([[0, 2], [0, 2], [1, 2], [3, 2]], sizes=(4, 3))
    np.testing.assert_allclose(usage.entropy, [1.5, 0.0])
    np.testing.assert_allclose(usage.perplexity, [2**1.5, 1.0])
    assert usage.used.tolist() == [3, 1] and usage.dead.tolist() == [1, 2]
    assert usage.joint_entropy == pytest.approx(1.5) and usage.conditional_entropy is None


def test_a_code_is_dead_below_a_tenth_of_an_equal_share():
    rare = [[0]] * 96 + [[1]] * 3 + [[2]] * 1  # an equal share of 100 latents among 4 codes is 25
    assert code_usage(rare, sizes=(4,)).dead.tolist() == [2]


def test_entropies_are_scipys():
    codes = np.random.default_rng(0).integers(0, 5, (40, 30, 2)) ** 2 % 7
    usage, rows = code_usage(codes, (7, 7)), codes.reshape(-1, 2)
    for column, found in zip(rows.T, usage.entropy, strict=True):
        assert found == pytest.approx(entropy(np.bincount(column), base=2))
    assert usage.joint_entropy == pytest.approx(entropy(np.bincount(rows @ [1, 7]), base=2))


def test_the_conditional_entropy_is_of_a_bin_given_the_one_before_it_in_its_trial():
    draw = np.random.default_rng(0)
    start = draw.integers(0, 4, (500, 1))
    cycle = (start + np.arange(9)) % 4  # each code follows from the one before it
    assert code_usage(cycle[..., None], (4,)).conditional_entropy == pytest.approx(0)
    coins = draw.integers(0, 2, (500, 40, 1))
    assert code_usage(coins, (2,)).conditional_entropy == pytest.approx(1, abs=0.01)
    # Trials end: 0 0 | 1 1 holds no step from 0 to 1.
    assert code_usage([[[0], [0]], [[1], [1]]], (2,)).conditional_entropy == 0


def test_independent_codebooks_add_up_and_copies_do_not():
    codes = np.random.default_rng(0).integers(0, 4, (20000, 1))
    other = np.random.default_rng(1).integers(0, 4, (20000, 1))
    apart = code_usage(np.hstack([codes, other]), (4, 4))
    assert apart.joint_entropy == pytest.approx(apart.entropy.sum(), abs=0.01)
    assert code_usage(np.hstack([codes, codes]), (4, 4)).joint_entropy == pytest.approx(
        math.log2(4), abs=0.01
    )


@pytest.mark.parametrize(
    "codes, message",
    [
        (np.zeros((5, 3), int), r"want \(n, 2\)"),
        (np.zeros((0, 2), int), r"want \(n, 2\)"),
        (np.zeros(2, int), r"want \(n, 2\)"),
        (np.zeros((5, 2)), "as float64; want whole numbers"),
        (np.full((5, 2), -1), r"codes -1\.\.-1"),
        (np.array([[3, 4]]), r"below \(4, 4\)"),
    ],
)
def test_codes_that_cannot_be_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        code_usage(codes, (4, 4))
