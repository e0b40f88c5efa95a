"""Blocks of layers against all partitions, and a smooth decay that must not pass for blocks."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neurolib.metrics.block_gap import BlockGapConfig, block_gap, find_blocks, gap_of, jackknife_gap
from neurolib.metrics.kernel_alignment import cka_matrix


def noisy(table, seed, scale=0.03):
    noise = scale * np.random.default_rng(seed).normal(size=table.shape)
    return table + noise + noise.T


def blocky(block, levels=(0.8, 0.6, 0.7), between=0.3):
    same = block[:, None] == block
    return np.where(same, np.array(levels)[block][:, None], between)


def decay(n):
    at = np.arange(n)
    return np.exp(-abs(at[:, None] - at) / 6)


BLOCK = np.repeat([0, 1, 2], [5, 3, 6])


def test_blocks_are_the_best_of_all_partitions():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = rng.normal(size=(9, 9))
        table = (table + table.T) / 2 + (0.5 + seed / 2) * (np.arange(9)[:, None] // 4 == np.arange(9) // 4)
        row, column = np.triu_indices(9, 1)
        values, costs = table[row, column], {}
        for k in (1, 2, 3):
            for cuts in combinations(range(2, 8), k - 1):
                if k == 3 and cuts[1] - cuts[0] < 2:
                    continue
                label = np.searchsorted(cuts, np.arange(9), side="right")
                group = np.where(label[row] == label[column], label[row], -1)
                fit = sum(
                    ((values[group == g] - values[group == g].mean()) ** 2).sum() for g in np.unique(group)
                )
                costs[tuple(label)] = 36 * np.log(fit / 36) + (2 * k - 1 + (k > 1)) * np.log(36)
        assert tuple(find_blocks(table, 3)) == min(costs, key=costs.get)


def test_planted_blocks_are_found_and_tell():
    found = block_gap(noisy(blocky(BLOCK), 0), config=BlockGapConfig(n_permutations=99))
    assert_array_equal(found.blocks, BLOCK)
    assert found.p_value == 0.01 and found.excess > 0.1
    given = block_gap(noisy(blocky(BLOCK), 0), np.array(["a", "b", "c"])[BLOCK])
    assert_allclose(given.gap, found.gap)


def test_a_smooth_decay_has_a_gap_but_no_blocks():
    p, gaps = [], []
    for seed in range(20):
        found = block_gap(noisy(decay(12), seed), config=BlockGapConfig(3, 39, seed))
        p.append(found.p_value)
        gaps.append((found.gap, found.excess))
    gap, excess = np.mean(gaps, axis=0)
    assert gap > 0.15 and abs(excess) < 0.02
    assert np.mean(np.array(p) <= 0.1) < 0.25 and 0.3 < np.mean(p) < 0.7


def test_blocks_on_top_of_a_decay_are_more_than_the_decay():
    table = decay(14) + 0.25 * (BLOCK[:, None] == BLOCK)
    assert block_gap(noisy(table, 1), BLOCK, BlockGapConfig(n_permutations=199)).p_value < 0.02


def test_the_gap_is_the_difference_of_two_means():
    table, within, between = noisy(decay(14), 2), [], []
    for i, j in combinations(range(14), 2):
        (within if BLOCK[i] == BLOCK[j] else between).append(table[i, j])
    assert_allclose(gap_of(table, BLOCK), np.mean(within) - np.mean(between))


def test_what_does_not_differ_is_one_block():
    found = block_gap(noisy(np.full((10, 10), 0.5), 0))
    assert not found.blocks.any() and np.isnan(found.gap) and found.p_value == 1


def test_the_interval_is_the_jackknife_of_gaps():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(30, 4)) for _ in range(2)]
    layers = [parts[i // 3] + 0.5 * rng.normal(size=(30, 4)) for i in range(6)]
    label = [0, 0, 0, 1, 1, 1]
    left = [cka_matrix([np.delete(layer, i, 0) for layer in layers]) for i in range(30)]
    found = jackknife_gap(left, cka_matrix(layers), label)
    gaps = np.array([gap_of(table, label) for table in left])
    assert_allclose(
        found.high - found.estimate,
        1.959964 * np.sqrt(29 / 30 * ((gaps - gaps.mean()) ** 2).sum()),
        rtol=1e-6,
    )
    assert found.low > 0.2 and found.n == 30


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: block_gap(np.eye(4)), "6 layers"),
        (lambda: block_gap(np.arange(49.0).reshape(7, 7)), "not symmetric"),
        (lambda: block_gap(np.where(np.eye(7, k=3) + np.eye(7, k=-3) > 0, np.nan, 1)), "leave layers out"),
        (lambda: block_gap(decay(7), [0, 0, 1, 1, 0, 0, 0]), "in pieces"),
        (lambda: block_gap(decay(7), range(7)), "must have two"),
        (lambda: block_gap(decay(7), [0, 1]), "of 7 layers"),
        (lambda: jackknife_gap([decay(7)] * 3, decay(7), [0] * 3 + [1] * 4), "too few"),
        (lambda: BlockGapConfig(0), "most_blocks=0"),
    ],
)
def test_what_has_no_blocks_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
