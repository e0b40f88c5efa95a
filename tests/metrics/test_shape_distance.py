"""Axioms of a metric, the definition by a rotation found explicitly, and what it must not reward."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes, subspace_angles
from scipy.stats import ortho_group

from neurolib.metrics.kernel_alignment import cka
from neurolib.metrics.shape_distance import (
    angular_cka,
    held_out_shape_distance,
    shape_distance,
    shape_distances,
)

RNG = np.random.default_rng(0)
N = 30


def rotation(d):
    return ortho_group.rvs(d, random_state=1)


def padded(x, width):
    return np.pad(x - x.mean(0), ((0, 0), (0, width - x.shape[1])))


@pytest.mark.parametrize("widths", [(4, 4), (3, 9), (50, 7), (50, 80)])
def test_it_is_what_the_best_rotation_leaves(widths):
    x, y = (RNG.normal(size=(N, d)) * 3 for d in widths)
    a, b = padded(x, max(widths)), padded(y, max(widths))
    turn, _ = orthogonal_procrustes(b, a)
    assert shape_distance(x, y, "procrustes") == pytest.approx(np.linalg.norm(a - b @ turn), rel=1e-10)
    cosine = (a * (b @ turn)).sum() / np.linalg.norm(a) / np.linalg.norm(b)
    assert shape_distance(x, y) == pytest.approx(np.arccos(cosine), rel=1e-10)


@pytest.mark.parametrize(
    ("metric", "alpha"),
    [("angular", 1.0), ("angular", 0.4), ("angular", 0.0), ("procrustes", 0.4), ("cka", 1.0)],
)
def test_axioms_of_a_metric_over_layers_of_different_widths(metric, alpha):
    base = RNG.normal(size=(N, 6))
    layers = [base[:, :d] @ RNG.normal(size=(d, w)) + 0.5 * RNG.normal(size=(N, w)) for d, w in
              ((1, 2), (3, 5), (6, 12), (2, 20), (6, 8))]  # fmt: skip
    layers += [layers[1] + 0.01 * RNG.normal(size=layers[1].shape)]
    d = angular_cka(layers) if metric == "cka" else shape_distances(layers, metric=metric, alpha=alpha)
    np.testing.assert_array_equal(d, d.T)
    assert (np.diag(d) == 0).all() and (d[~np.eye(len(d), dtype=bool)] > 1e-3).all()
    assert (d[:, None] <= d[:, :, None] + d[None] + 1e-9).all()  # d(i, k) <= d(i, j) + d(j, k)
    if metric == "angular":
        np.testing.assert_allclose(shape_distances(layers, layers, alpha=alpha), d, atol=1e-12)


def test_rotation_shift_and_size_change_nothing_and_small_angles_are_exact():
    x = RNG.normal(size=(N, 8))
    assert shape_distance(x, 5 * x @ rotation(8) + 3) < 1e-13  # an arc cosine would leave 1e-8
    assert shape_distance(x, x @ rotation(8) + 3, "procrustes") < 1e-12
    assert shape_distance(x, x @ rotation(8), alpha=0.3) < 1e-13
    step = RNG.normal(size=x.shape)
    near = [shape_distance(x, x + size * step) for size in (1e-9, 1e-8)]
    assert near[1] / near[0] == pytest.approx(10, rel=1e-4)


def test_without_covariance_it_is_canonical_angles_and_takes_any_linear_map():
    x, y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
    assert (
        shape_distance(x, x @ RNG.normal(size=(3, 3)), alpha=0)
        < 1e-7
        < 0.05
        < shape_distance(x, x * [1, 2, 5])
    )
    cosines = np.cos(subspace_angles(x - x.mean(0), y - y.mean(0)))
    assert shape_distance(x, y, alpha=0) == pytest.approx(np.arccos(cosines.mean()))


def test_biased_cka_is_a_cosine():
    x, y = RNG.normal(size=(2, N, 5))
    assert np.cos(angular_cka([x], [y])[0, 0]) == pytest.approx(cka(x, y, debiased=False))


def test_held_out_stimuli_do_not_reward_a_rotation_of_noise():
    x, y = RNG.normal(size=(2, 60, 200))
    assert shape_distance(x, y) < 0.9
    assert held_out_shape_distance(x, y) == pytest.approx(np.pi / 2, abs=0.1)
    signal = RNG.normal(size=(300, 4))
    assert held_out_shape_distance(signal, 2 * signal @ rotation(4) + 1) < 1e-6
    wide = signal @ np.linalg.qr(RNG.normal(size=(400, 4)))[0].T  # wider than there are stimuli
    assert held_out_shape_distance(signal, wide, alpha=0.5) < 1e-6
    assert held_out_shape_distance(signal, wide, "procrustes") < 1e-6


def test_copies_of_a_stimulus_must_share_a_group():
    x, y = RNG.normal(size=(2, N, 3))
    x[7], y[7] = x[2], y[2]
    with pytest.raises(ValueError, match="stimulus 7 is a copy of stimulus 2"):
        held_out_shape_distance(x, y)
    group = np.arange(N)
    group[7] = 2
    assert np.isfinite(held_out_shape_distance(x, y, groups=group))


def test_a_constant_layer_has_no_distance():
    x = RNG.normal(size=(N, 3))
    found = shape_distances({"layer": x, "constant": np.full((N, 4), 0.1)})
    assert found[0, 0] == 0 and np.isnan(found[0, 1]) and np.isnan(found[1]).all()
    assert np.isnan(held_out_shape_distance(x, np.full((N, 2), 0.1)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: shape_distances({"conv1": x, "conv2": np.where(x > 2, np.nan, x)}), "conv2 holds NaN"),
        (lambda x: shape_distance(x, x[1:]), "rows must be the same stimuli"),
        (lambda x: shape_distance(x, x, alpha=1.5), "alpha=1.5"),
        (lambda x: shape_distance(x, x, "euclidean"), "must be one of angular"),
        (lambda x: shape_distance(x[:10], x[:10, ::-1], alpha=0), "any other layer fits"),
        (lambda x: held_out_shape_distance(x, x, n_folds=40), "for 40 folds"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(RNG.normal(size=(N, 15)) + np.eye(N, 15) * 5)
