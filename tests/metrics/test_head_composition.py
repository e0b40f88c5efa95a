"""Composition against dense products, and its chance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.head_composition import HeadWeights, composition, copying_score


def heads(rng, n, d, width):
    return HeadWeights(*(rng.normal(size=(n, d, width)) for _ in range(3)), rng.normal(size=(n, width, d)))


def test_it_is_the_dense_formula():
    rng = np.random.default_rng(0)
    one, two = heads(rng, 3, 12, 4), heads(rng, 2, 12, 4)
    found = composition(one, two)
    for a in range(3):
        written = one.value[a] @ one.out[a]
        for b in range(2):
            qk, ov = two.query[b] @ two.key[b].T, two.value[b] @ two.out[b]
            for kind, read in (("query", qk), ("key", qk.T), ("value", ov)):
                wanted = np.linalg.norm(written @ read) / np.linalg.norm(written) / np.linalg.norm(read)
                assert_allclose(found.scores[kind][a, b], wanted, rtol=1e-10)


def test_random_heads_score_as_chance_says():
    rng = np.random.default_rng(1)
    found = composition(heads(rng, 6, 128, 16), heads(rng, 6, 128, 16))
    for scores in found.scores.values():
        assert_allclose(scores.mean(), found.chance, rtol=0.05)


def test_copying_from_the_small_matrix_is_that_of_the_large_one():
    rng = np.random.default_rng(2)
    value, out, embed, unembed = (rng.normal(size=s) for s in ((8, 3), (3, 8), (20, 8), (8, 20)))
    large = np.linalg.eigvals(embed @ value @ out @ unembed)
    assert_allclose(
        copying_score(value, out, embed, unembed), large.real.sum() / np.abs(large).sum(), atol=1e-6
    )
    assert copying_score(np.eye(4), np.eye(4), np.eye(4), np.eye(4)) == 1


def test_matrices_that_do_not_fit_are_named():
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="width 12 and 10"):
        composition(heads(rng, 2, 12, 4), heads(rng, 2, 10, 4))
    with pytest.raises(ValueError, match="second layer has matrices"):
        composition(heads(rng, 2, 12, 4), heads(rng, 2, 12, 4)._replace(out=np.ones((2, 12, 4))))
