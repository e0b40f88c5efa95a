"""Latents with known factors: named when they are, left nameless when they are not, scored as closed forms say."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from neurolib.metrics.latents import (
    active_units,
    disentanglement,
    forest_importance,
    mutual_information_gap,
    topic_correlations,
    traversal_variation,
)


@pytest.fixture(scope="module")
def factors():
    return np.random.default_rng(0).normal(size=(1500, 3))


def rotated(factors, angle):
    """The first two axes turned, which changes neither variance nor what can be read out."""
    c, s = np.cos(angle), np.sin(angle)
    return factors @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def test_collapsed_units_are_inactive():
    draw = np.random.default_rng(1)
    means = draw.normal(size=(2000, 4)) * [1, 0.2, 0.05, 0] + 3
    assert active_units(means).tolist() == [True, True, False, False]


def test_planted_topics_name_their_dimension_and_permuted_ones_none(factors):
    draw = np.random.default_rng(2)
    topics = draw.normal(size=(1500, 5))
    topics[:, 3] += 0.5 * factors[:, 0]
    topics[:, 1] -= 2 * factors[:, 2]
    result = topic_correlations(factors, topics)
    assert result.names(list("abcde")) == [("+d",), (), ("-b",)]
    np.testing.assert_allclose(result.correlations, np.corrcoef(factors.T, topics.T)[:3, 3:], atol=1e-12)
    assert topic_correlations(factors, draw.permutation(topics)).names(list("abcde")) == [()] * 3


def test_names_come_by_chance_as_often_as_allowed_in_the_whole_table():
    draw, named = np.random.default_rng(3), 0
    for _ in range(150):
        result = topic_correlations(
            draw.normal(size=(60, 8)), draw.gamma(0.5, size=(60, 20)), n_permutations=99
        )
        named += (np.abs(result.correlations) > result.threshold).any()
    assert named / 150 < 0.10


def test_constant_columns_correlate_with_nothing():
    x = np.random.default_rng(4).normal(size=(50, 2))
    flat = np.column_stack([np.full(50, 0.1), x[:, 0]])
    np.testing.assert_allclose(topic_correlations(flat, x[:, :1]).correlations, [[0], [1]], atol=1e-12)


def test_variation_of_a_moving_bump_counts_both_ways_and_of_a_dead_decoder_nothing():
    moving = np.eye(13)[None].repeat(2, axis=0)
    moving[1] = np.eye(13)[0]  # the second dimension does nothing
    np.testing.assert_allclose(traversal_variation(moving), [12, 0])
    draw = np.random.default_rng(5).dirichlet(np.ones(9), (4, 6))
    slow = [sum(np.abs(a[k + 1] - a[k]).sum() / 2 for k in range(5)) for a in draw]
    np.testing.assert_allclose(traversal_variation(draw), slow)
    assert (traversal_variation(draw) >= np.abs(draw[:, -1] - draw[:, 0]).sum(axis=1) / 2).all()


def test_information_equals_scikit_learns_and_the_gap_falls_as_axes_turn(factors):
    result = mutual_information_gap(factors, factors, n_bins=10)
    bins = (factors.argsort(axis=0).argsort(axis=0) * 10) // 1500
    for i, j in ((0, 0), (0, 1), (2, 1)):
        assert result.information[i, j] == pytest.approx(mutual_info_score(bins[:, i], bins[:, j]), abs=1e-9)
    gaps = [mutual_information_gap(rotated(factors, a), factors).gap for a in (0, np.pi / 8, np.pi / 4)]
    assert gaps[0] > 0.9 > gaps[1] > gaps[2] + 0.1
    assert mutual_information_gap(rotated(factors, np.pi / 4), factors[:, :1]).gap < 0.05
    noise = np.random.default_rng(6).normal(size=(1500, 3))
    assert mutual_information_gap(noise, factors).gap < 0.03


def test_disentanglement_has_closed_forms():
    assert disentanglement(np.eye(4)) == (1, 1)
    np.testing.assert_allclose(disentanglement(np.ones((4, 3))), 0, atol=1e-12)
    merged = disentanglement([[1, 1], [0, 0]])  # one dimension holds both factors
    np.testing.assert_allclose(merged, [0, 1], atol=1e-12)
    # Dimension 1 is split 3 : 1 and weighs 4 of 6, dimension 2 is pure.
    h = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert disentanglement([[3, 1], [0, 2]]).disentanglement == pytest.approx(1 - 4 / 6 * h)


def test_forests_tell_true_axes_from_turned_ones_and_from_noise(factors):
    straight, read = forest_importance(factors, factors, n_trees=20)
    turned, _ = forest_importance(rotated(factors, np.pi / 4), factors, n_trees=20)
    assert disentanglement(straight).disentanglement > 0.8 > disentanglement(turned).disentanglement + 0.2
    assert (read > 0.9).all() and np.allclose(straight.sum(axis=0), 1)
    _, none = forest_importance(np.random.default_rng(7).normal(size=(1500, 3)), factors, n_trees=20)
    assert (none < 0.05).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: active_units([1.0, 2.0]), "row per study"),
        (lambda: topic_correlations(np.eye(3), np.eye(4)), "share their rows"),
        (lambda: topic_correlations(np.eye(3), np.eye(3)).names(["a"]), "1 names"),
        (lambda: traversal_variation([[0.2, -0.2]]), "log-ratios"),
        (lambda: mutual_information_gap(np.eye(3)[:, :1], np.eye(3)), "two dimensions"),
        (lambda: mutual_information_gap(np.eye(3), np.ones((3, 1))), "constant"),
        (lambda: disentanglement([[1, 0], [1, 0]]), "each factor"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
