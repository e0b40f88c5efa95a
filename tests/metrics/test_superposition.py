"""Directions that share channels, against closed forms and a slow loop."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.superposition import mean_overlap, superposition, welch_bound


def test_a_regular_polygon_shares_two_channels_equally():
    for n in (3, 5, 8):
        angles = 2 * np.pi * np.arange(n) / n
        found = superposition(np.column_stack([np.cos(angles), np.sin(angles)]))
        assert_allclose(found.dimensionality, 2 / n, rtol=1e-12)
        assert_allclose(found.interference, n / 2 - 1, rtol=1e-12, atol=1e-12)
        assert_allclose(found.overlap, welch_bound(n, 2), rtol=1e-12)  # a tight frame reaches the bound
        assert_allclose(found.channels_per_feature, 2 / n)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_blocks_are_the_loop_over_pairs(block):
    w = np.random.default_rng(0).normal(size=(20, 6))
    found = superposition(w, block=block)
    for i in range(20):
        onto = [(w[i] / np.linalg.norm(w[i]) @ w[j]) ** 2 for j in range(20)]
        assert_allclose(found.interference[i], sum(onto) - onto[i])
        assert_allclose(found.dimensionality[i], (w[i] @ w[i]) / sum(onto))
    cosines = [
        (w[i] @ w[j]) ** 2 / (w[i] @ w[i]) / (w[j] @ w[j]) for i in range(20) for j in range(20) if i != j
    ]
    assert_allclose(found.overlap, np.mean(cosines))
    assert_allclose(mean_overlap(w[:3]), mean_overlap(5 * w[:3]))


def test_random_directions_overlap_as_chance_says():
    found = superposition(np.random.default_rng(0).normal(size=(3000, 40)))
    assert abs(found.overlap - found.chance) < 0.001 and found.welch < found.overlap


def test_a_common_mean_hides_it_and_can_be_taken_away():
    w = np.random.default_rng(0).normal(size=(500, 30)) + 4
    assert superposition(w).overlap > 0.8 and abs(superposition(w, centre=True).overlap - 1 / 30) < 0.003


def test_features_of_no_length_have_no_dimension():
    found = superposition([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert np.isnan(found.dimensionality[0]) and found.overlap == 0 and found.share_represented() == 2 / 3
    with pytest.raises(ValueError, match="feature 1 holds NaN"):
        superposition([[1.0, 0.0], [np.nan, 0.0]])
    with pytest.raises(ValueError, match="two or more"):
        superposition([[1.0, 0.0]])
    with pytest.raises(ValueError, match="1 of no length"):
        mean_overlap([[1.0, 0.0], [0.0, 0.0]])
