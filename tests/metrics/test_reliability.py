"""Reliability in simulations whose truth is known, and against splitting one by one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.encoding_scores import correlations
from neurolib.metrics.reliability import noise_corrected, spearman_brown, split_half


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n_repeats", [4, 5])
def test_correction_finds_the_true_correlation(rng, n_repeats):
    truth = rng.normal(size=(1500, 60))
    model = 0.7 * truth + np.sqrt(1 - 0.49) * rng.normal(size=truth.shape)
    responses = truth + 1.5 * rng.normal(size=(n_repeats, *truth.shape))
    found = split_half(responses)
    r = correlations(responses.mean(0), model)
    assert abs(noise_corrected(r, found.value).mean() - 0.70) < 0.02
    # what would be wrong
    assert r.mean() < 0.6 < 0.8 < (r / found.value).mean() < (r / found.halves).mean()
    # a model with noise of its own, seen twice
    noisy = model + rng.normal(size=(2, *truth.shape))
    own = split_half(noisy)
    r = correlations(responses.mean(0), noisy.mean(0))
    assert abs(noise_corrected(r, found.value, own.value).mean() - 0.70) < 0.02


@pytest.mark.parametrize("n_repeats", [2, 3, 4, 5])
def test_few_repeats_are_split_in_every_way(rng, n_repeats):
    from itertools import combinations

    responses = rng.normal(size=(n_repeats, 20, 3)) + rng.normal(size=(20, 3))
    half, seen = n_repeats // 2, []
    for a in combinations(range(n_repeats), half):
        for b in combinations(sorted(set(range(n_repeats)) - set(a)), half):
            seen.append(correlations(responses[list(a)].mean(0), responses[list(b)].mean(0)))
    found = split_half(responses)
    assert_allclose(found.halves, np.mean(seen, axis=0), rtol=1e-10)
    assert found.n_splits == len(seen) / 2
    assert_allclose(found.value, spearman_brown(found.halves, n_repeats / half))


def test_random_splits_are_near_all_of_them(rng):
    responses = rng.normal(size=(8, 200, 3)) + rng.normal(size=(200, 3))
    some, every = split_half(responses, 50).halves, split_half(responses, 5000).halves  # 35 exist
    assert_allclose(some, every, rtol=1e-12)
    many = rng.normal(size=(12, 200, 3)) + rng.normal(size=(200, 3))
    assert abs(split_half(many, 60).halves - split_half(many, 1000).halves).max() < 0.02


def test_silent_units_have_none_and_are_left_out(rng):
    responses = rng.normal(size=(4, 50, 3)) + 2 * rng.normal(size=(50, 3))
    responses[:, :, 1] = 0
    found = split_half(responses)
    assert np.isnan(found.value[1]) and found.kept(0.2).tolist() == [True, False, True]
    assert found.report(0.2).startswith("2 of 3 units")
    assert np.isnan(noise_corrected([0.1, 0.1, 0.1], found.value)).tolist() == [False, True, False]


def test_errors_name_the_mistake(rng):
    with pytest.raises(ValueError, match="two repeats"):
        split_half(rng.normal(size=(1, 20, 3)))
    with pytest.raises(ValueError, match="n_splits=10"):
        split_half(rng.normal(size=(4, 20, 3)), 10)
    responses = rng.normal(size=(4, 20, 3))
    responses[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 3 units"):
        split_half(responses)
