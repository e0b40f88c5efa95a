"""Sparsity: its ends, its closed forms, and what it refuses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.sparsity import MEASURES, dead_units, sparsity


@pytest.mark.parametrize("measure", ["vinje_gallant", "hoyer"])
def test_equal_responses_are_zero_and_a_single_one_is_one(measure):
    r = np.zeros((10, 2))
    r[:, 0], r[3, 1] = 5.0, 7.0
    assert_allclose(sparsity(r, measure), [0, 1], atol=1e-12)
    assert_allclose(sparsity(r, measure), sparsity(100 * r, measure), atol=1e-12)


def test_exponential_responses_have_their_known_values():
    r = np.random.default_rng(0).exponential(size=(200_000, 1))
    assert_allclose(sparsity(r, "treves_rolls"), 0.5, atol=0.01)  # 1 / 2
    assert_allclose(sparsity(r, "gini"), 0.5, atol=0.01)
    assert_allclose(sparsity(r, "l0", threshold=1.0), np.exp(-1), atol=0.01)


def test_gini_is_the_mean_difference_of_two():
    r = np.random.default_rng(1).gamma(0.7, size=(40, 3))
    pairs = np.abs(r[:, None] - r[None]).mean((0, 1)) / (2 * r.mean(0))
    assert_allclose(sparsity(r, "gini"), pairs, rtol=1e-12)


def test_population_sparsity_is_over_units():
    r = np.random.default_rng(2).gamma(0.7, size=(5, 9))
    assert_allclose(sparsity(r, over="units"), sparsity(r.T))


def test_dead_units_are_nan_and_counted():
    r = np.array([[0.0, 1.0], [0.0, 3.0]])
    assert dead_units(r).tolist() == [True, False]
    for measure in set(MEASURES) - {"l0"}:
        assert np.isnan(sparsity(r, measure)).tolist() == [True, False]
    assert sparsity(r, "l0").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("responses", "settings", "message"),
    [
        ([[-1.0], [2.0]], {}, "a response of -1"),
        ([[1.0]], {}, "needs two"),
        ([[np.inf], [1.0]], {}, "finite table"),
        ([[1.0], [1.0]], {"measure": "kurtosis"}, "measure='kurtosis'"),
        ([[1.0], [1.0]], {"over": "time"}, "over='time'"),
    ],
)
def test_bad_input_is_named(responses, settings, message):
    with pytest.raises(ValueError, match=message):
        sparsity(responses, **settings)
