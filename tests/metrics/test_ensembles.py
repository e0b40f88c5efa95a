"""Ensemble entropies against SciPy and closed forms."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from neurolib.metrics.ensembles import entropy_decomposition, pairwise_diversity


@pytest.fixture(scope="module")
def members():
    return np.random.default_rng(0).dirichlet(np.full(7, 0.4), (4, 3))  # (member, row, outcome)


def test_entropies_equal_scipy_and_epistemic_is_the_mean_divergence_from_the_mean(members):
    parts = entropy_decomposition(members)
    np.testing.assert_allclose(parts.total, entropy(members.mean(axis=0), axis=-1), atol=1e-12)
    np.testing.assert_allclose(parts.aleatoric, entropy(members, axis=-1).mean(axis=0), atol=1e-12)
    divergence = entropy(members, members.mean(axis=0), axis=-1).mean(axis=0)
    np.testing.assert_allclose(parts.epistemic, divergence, atol=1e-12)


def test_diversity_is_the_mean_over_pairs_of_scipys(members):
    pairs = [jensenshannon(members[i], members[j], axis=-1) ** 2 for i in range(4) for j in range(i)]
    np.testing.assert_allclose(pairwise_diversity(members), np.mean(pairs, axis=0), atol=1e-12)


def test_copies_do_not_disagree_and_disjoint_members_disagree_by_the_log_of_their_number(members):
    copies = np.repeat(members[:1], 5, axis=0)
    np.testing.assert_allclose(entropy_decomposition(copies).epistemic, 0, atol=1e-12)
    np.testing.assert_allclose(pairwise_diversity(copies), 0, atol=1e-12)
    assert entropy_decomposition(np.eye(5)).epistemic == pytest.approx(np.log(5))
    assert pairwise_diversity(np.eye(5)) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: entropy_decomposition(np.log([[0.5, 0.5]])), "log-prob"),
        (lambda: entropy_decomposition([[0.5, 0.7]]), "sums of 1"),
        (lambda: pairwise_diversity([[0.5, 0.5]]), "two members"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
