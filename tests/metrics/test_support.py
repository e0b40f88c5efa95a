"""Support: distances as SciPy computes them, and the share of the reference inside the limit."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from neurolib.metrics.support import support

DRAW = np.random.default_rng(0)
REFERENCE = DRAW.normal(size=(400, 3)) @ [[2.0, 0, 0], [1, 1, 0], [0, 0, 0.1]]


def test_distances_are_those_of_scipy():
    queries = DRAW.normal(size=(5, 3))
    inverse = np.linalg.inv(np.cov(REFERENCE.T, bias=True))
    expected = cdist(queries, REFERENCE.mean(0)[None], "mahalanobis", VI=inverse)[:, 0]
    np.testing.assert_allclose(support(REFERENCE, queries, shrinkage=0.0).distance, expected)


def test_the_limit_keeps_its_share_of_the_reference():
    assert support(REFERENCE, REFERENCE, level=0.9).outside.mean() == pytest.approx(0.1, abs=0.003)


def test_a_step_along_a_narrow_direction_leaves_the_support():
    """The same step is inside along the wide one; a column that never varies is no division by zero."""
    flat = np.c_[REFERENCE, np.ones(len(REFERENCE))]
    steps = flat.mean(0) + np.diag([1.0, 0.0, 1.0, 30.0])[[0, 2, 3]]
    assert support(flat, steps).outside.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("reference", "queries", "more", "words"),
    [
        (REFERENCE, np.zeros((1, 2)), {}, "share their columns"),
        (np.ones((4, 2)), np.ones((1, 2)), {}, "do not vary"),
        (REFERENCE, REFERENCE, {"level": 1.0}, "level=1.0"),
    ],
)
def test_errors(reference, queries, more, words):
    with pytest.raises(ValueError, match=words):
        support(reference, queries, **more)
