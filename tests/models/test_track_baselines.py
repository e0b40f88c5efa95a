"""Decoders of place without training steps: each against a slow loop, or a case that is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import poisson

from neurolib.models.place_bayes import PlaceBayesConfig, median_place
from neurolib.models.window_ridge import WindowRidge, left_out

RNG = np.random.default_rng(0)


def test_bayes_is_the_posterior_of_its_own_tuning_curves():
    events = RNG.poisson(0.4, (60, 3, 4)).astype(float)
    place, way = RNG.integers(0, 5, 60), RNG.integers(0, 2, 60)
    decoder = PlaceBayesConfig(n_places=5, width=3, smooth=0.7).build().fit(events, place, way)
    for window, said in zip(events[:5], decoder.predict(events[:5]), strict=True):
        chance = np.zeros(5)
        for curves in decoder.rates:
            chance += [np.prod(poisson.pmf(window.sum(0), rate)) for rate in curves]
        assert_allclose(said, chance / chance.sum())


def test_without_smoothing_tuning_is_a_mean_with_a_prior():
    events = np.array([[[2.0]], [[4.0]], [[0.0]]])
    decoder = (
        PlaceBayesConfig(n_places=2, width=1, smooth=0, prior=1).build().fit(events, [0, 0, 1], [0, 0, 0])
    )
    assert_allclose(decoder.rates[0, :, 0], [(6 + 2.001) / 3, 2.001 / 2])


def test_a_place_outside_the_track_is_refused():
    with pytest.raises(ValueError, match="places 0 to 20 for 20"):
        PlaceBayesConfig().build().fit(np.zeros((2, 9, 3)), [0, 20], [0, 0])


def test_the_median_has_half_of_the_chances_on_each_side():
    chances = RNG.dirichlet(np.ones(6), 50)
    at = median_place(chances)
    edges = np.arange(7) - 0.5
    below = [np.interp(x, edges, np.r_[0, row.cumsum()]) for x, row in zip(at, chances, strict=True)]
    assert_allclose(below, 0.5)


def test_leaving_out_in_closed_form_is_leaving_out():
    x, y, groups = RNG.normal(size=(20, 30)), RNG.normal(size=20), np.repeat(np.arange(5), 4)
    rows, total = [np.flatnonzero(groups == g) for g in range(5)], 0.0
    for out in rows:
        keep = np.setdiff1d(np.arange(20), out)
        weights = np.linalg.solve(x[keep].T @ x[keep] + 3 * np.eye(30), x[keep].T @ y[keep])
        total += np.square(y[out] - x[out] @ weights).sum()
    assert_allclose(left_out(np.linalg.inv(x @ x.T + 3 * np.eye(20)), y, rows), total)


def test_ridge_finds_the_penalty_that_carries_over():
    x = RNG.normal(size=(40, 10))
    y, groups = x @ RNG.normal(size=10) + 7, np.repeat(np.arange(8), 5)
    ridge = WindowRidge([1e-4, 1e4]).fit(x, y, groups)
    assert ridge.penalty == 1e-4
    assert_allclose(ridge.predict(x), y, atol=1e-3)
    with pytest.raises(ValueError, match="one group"):
        ridge.fit(x, y, np.zeros(40))
