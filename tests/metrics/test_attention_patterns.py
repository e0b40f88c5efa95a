"""Attention by hand: heads whose pattern is known, and even attention."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.attention_patterns import attention_entropy, attention_patterns, repeat_scores, rollout


def even(n):
    return np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None]


def softmax(x):
    x = np.where(np.tril(np.ones(x.shape[-2:], bool)), x, -np.inf)
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def test_even_attention_is_chance_in_everything():
    found = attention_patterns(np.stack([even(9)] * 3))
    for name, value in found.values.items():
        assert_allclose(value, found.chance[name], err_msg=name)
    assert_allclose(found.values["entropy"], 1)
    assert_allclose(found.values["entropy_elsewhere"], 1)
    bits = -(even(9)[1:] * np.log(np.where(even(9)[1:] > 0, even(9)[1:], 1))).sum(-1)
    assert bits.mean() / np.log(9) < 0.9  # the wrong divisor would not give 1


def test_patterns_are_the_sums_over_queries():
    w = softmax(np.random.default_rng(0).normal(size=(2, 7, 7)) * 2)
    found = attention_patterns(w)
    for head in range(2):
        rows = range(1, 7)
        assert_allclose(found.values["previous"][head], np.mean([w[head, i, i - 1] for i in rows]))
        assert_allclose(found.values["first"][head], np.mean([w[head, i, 0] for i in rows]))
        local = [sum(w[head, i, j] for j in range(max(0, i - 5), i)) for i in rows]
        assert_allclose(found.values["local"][head], np.mean(local))
        far = [sum(w[head, i, j] * (i - j) for j in range(i + 1)) for i in rows]
        assert_allclose(found.values["distance"][head], np.mean(far))


def test_a_sink_hides_how_even_the_rest_is():
    w = even(8) * 0.05
    w[:, 0] += 0.95
    found = attention_patterns(w)
    assert found.values["entropy"] < 0.4 and found.values["entropy_elsewhere"] > 0.999


def test_a_head_that_completes_patterns_is_found_and_chance_is_the_analytic_one():
    length, start = 40, 1
    n = start + 2 * length
    head = np.zeros((n, n))
    head[:, 0] = 1
    for i in range(start + length, n):
        head[i] = 0
        head[i, i - length + 1] = 1
    found = repeat_scores(head, length, start)
    assert (found.induction, found.duplicate) == (1, 0)
    chance = repeat_scores(even(n), length, start)
    assert_allclose(chance.induction, chance.chance)
    assert_allclose(chance.chance, np.mean([1 / k for k in range(start + length + 1, n + 1)]))
    before = np.eye(n, k=-1)
    before[0, 0] = 1
    assert repeat_scores(before, length, start).previous == 1


def test_rollout_is_the_sum_over_walks_less_that_of_even_attention():
    w = softmax(np.random.default_rng(1).normal(size=(3, 4, 4)))

    def walk(layers):
        total = np.zeros((4, 4))
        for i in range(4):
            for a in range(4):
                for b in range(4):
                    for j in range(4):
                        steps = [
                            0.5 * (x == y) + 0.5 * m[x, y]
                            for m, x, y in zip(layers[::-1], (i, a, b), (a, b, j), strict=True)
                        ]
                        total[i, j] += np.prod(steps)
        return total

    assert_allclose(rollout(w), walk(list(w)) - walk([even(4)] * 3), atol=1e-12)
    deep = np.linalg.matrix_power(0.5 * np.eye(60) + 0.5 * even(60), 12)
    assert deep[-1, 0] > 0.4  # why even attention is taken off
    assert_allclose(rollout([even(60)] * 12), 0, atol=1e-12)


def test_full_attention_needs_its_mask():
    full = np.full((5, 5), 0.2)
    with pytest.raises(ValueError, match="not causal"):
        attention_entropy(full)
    assert_allclose(attention_entropy(full, np.ones((5, 5), bool)), 1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full((3, 3), np.nan), "fused"),
        (np.eye(3) * 4, "logits"),
        (np.ones((1, 1)), "no query has more than one"),
    ],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        attention_entropy(weights)
    with pytest.raises(ValueError, match="want 8 queries"):
        repeat_scores(even(7), 4)
