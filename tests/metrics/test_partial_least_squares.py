"""Partial least squares against scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.cross_decomposition import PLSRegression

from neurolib.metrics.partial_least_squares import fit_pls


@pytest.mark.parametrize(("n", "p", "t"), [(50, 20, 6), (60, 150, 90), (70, 90, 150), (40, 12, 1)])
def test_map_is_that_of_scikit_learn(n, p, t):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p)) + 5
    y = x[:, :3] @ rng.normal(size=(3, t)) + rng.normal(size=(n, t))
    peer = PLSRegression(5, scale=False, tol=1e-24, max_iter=100_000).fit(x, y)
    assert_allclose(fit_pls(x, y, 5).predict(x), peer.predict(x).reshape(n, t), atol=1e-7)


def test_stops_when_the_responses_are_explained_and_refuses_too_many():
    x = np.random.default_rng(0).normal(size=(20, 6))
    assert_allclose(fit_pls(x, x[:, :1], 6).predict(x), x[:, :1], atol=1e-9)
    assert_allclose(fit_pls(np.ones((20, 6)), x, 2).predict(np.ones((1, 6)))[0], x.mean(0))
    with pytest.raises(ValueError, match="n_components=7"):
        fit_pls(x, x, 7)
