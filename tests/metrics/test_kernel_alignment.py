"""CKA against its definition: sums over distinct stimuli, one by one."""

from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neurolib.metrics.kernel_alignment import MinibatchCKA, cka, cka_interval, cka_matrix, cka_p_value


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def distinct(k, gram):
    """The unbiased estimator as a mean over four distinct stimuli."""
    terms = [
        k[i, j] * gram[i, j] + k[i, j] * gram[q, r] - 2 * k[i, j] * gram[i, q]
        for i, j, q, r in permutations(range(len(k)), 4)
    ]
    return np.mean(terms)


def test_debiased_is_the_mean_over_distinct_stimuli(rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 9)) + 2
    k, gram = x @ x.T, y @ y.T
    wanted = distinct(k, gram) / np.sqrt(distinct(k, k) * distinct(gram, gram))
    assert_allclose(cka(x, y), wanted, rtol=1e-10)


def test_biased_is_the_formula_of_the_literature(rng):
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 8))
    x, y = x - x.mean(0), y - y.mean(0)
    wanted = np.square(x.T @ y).sum() / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert_allclose(cka(x, y, debiased=False), wanted, rtol=1e-12)


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("block", [5, 16, 64])
def test_all_pairs_are_the_pairs(rng, debiased, block):
    shared = rng.normal(size=(37, 4))
    layers = {f"l{d}": shared @ rng.normal(size=(4, d)) + rng.normal(size=(37, d)) for d in (3, 8, 50)}
    found = cka_matrix(layers, debiased=debiased, block=block)
    for i, x in enumerate(layers.values()):
        for j, y in enumerate(layers.values()):
            assert_allclose(found[i, j], cka(x, y, debiased), rtol=1e-10)
    across = cka_matrix(layers, [layers["l8"]], debiased)
    assert_allclose(across[:, 0], found[:, 1], rtol=1e-10)


def test_rotation_scale_and_offset_do_not_matter_and_other_maps_do(rng):
    x, y = rng.normal(size=(40, 6)) * np.arange(1, 7), rng.normal(size=(40, 5))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    assert_allclose(cka(x, y), cka(-4 * x @ turn + 9, y), rtol=1e-9)
    assert abs(cka(x, y) - cka(x / np.arange(1, 7), y)) > 1e-3


@pytest.mark.parametrize("channels", [25, 50, 500, 5000])
def test_independent_layers_have_nothing_in_common_however_wide(rng, channels):
    values = [cka(rng.normal(size=(50, channels)), rng.normal(size=(50, channels))) for _ in range(40)]
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / np.sqrt(40)
    biased = cka(rng.normal(size=(50, channels)), rng.normal(size=(50, channels)), debiased=False)
    assert biased > 0.9 if channels == 5000 else biased > 0.2


def test_single_precision_is_enough_for_rectified_activations(rng):
    hidden = np.maximum(rng.normal(size=(300, 40)) + 3, 0)
    hidden[:, 3] += 1000  # a channel far from zero
    other = np.maximum(hidden @ rng.normal(size=(40, 60)), 0)
    exact = cka(hidden, other)
    assert abs(cka(hidden.astype(np.float32), torch.from_numpy(other).float()) - exact) < 1e-5


def test_batches_tend_to_the_whole(rng):
    shared = rng.normal(size=(1200, 5))
    layers = [shared + 0.5 * rng.normal(size=shared.shape), shared @ rng.normal(size=(5, 7))]
    whole = cka_matrix(layers)[0, 1]
    misses = []
    for size in (20, 300):
        meter = MinibatchCKA()
        for start in range(0, 1200, size):
            meter.update([layer[start : start + size] for layer in layers])
        misses.append(abs(meter.matrix()[0, 1] - whole))
    assert misses[1] < 0.01 and misses[0] < 0.05
    with pytest.raises(ValueError, match="3 layers in this batch, 2"):
        meter.update([layers[0]] * 3)
    with pytest.raises(ValueError, match="no batch"):
        MinibatchCKA().matrix()


def test_the_interval_is_the_jackknife_done_one_by_one(rng):
    x = rng.normal(size=(25, 4))
    y = x @ rng.normal(size=(4, 6)) + rng.normal(size=(25, 6))
    left = np.array([cka(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(25)])
    spread = np.sqrt(24 / 25 * np.square(left - left.mean()).sum())
    found = cka_interval(x, y)
    assert_allclose([found.low, found.high], cka(x, y) + 1.959964 * spread * np.array([-1, 1]), rtol=1e-6)


def test_p_values_are_uniform_where_nothing_is_shared(rng):
    p = [cka_p_value(rng.normal(size=(12, 3)), rng.normal(size=(12, 4)), 39, seed) for seed in range(120)]
    assert 0.02 < np.mean(np.array(p) <= 0.1) < 0.19 and 0.4 < np.mean(p) < 0.6


def test_a_constant_layer_has_no_similarity_and_a_bad_one_is_named(rng):
    x = rng.normal(size=(10, 3))
    assert np.isnan(cka(x, np.ones((10, 4))))
    for layers, message in (
        ({"conv": x, "fc": np.where(x > 1, np.nan, x)}, "layer fc holds NaN"),
        ({"conv": x, "fc": x[:9]}, r"layers of \[9, 10\] stimuli"),
        ({"conv": x[:3]}, "3 stimuli; debiased CKA needs 4"),
        ({"conv": x[:, 0]}, r"layer conv has shape \(10,\)"),
        ({}, "no layer was given"),
    ):
        with pytest.raises(ValueError, match=message):
            cka_matrix(layers)


def test_it_equals_a_peer_on_distances():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 9))
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(z), method="euclidean") for z in (x, y)]
    peer = rsatoolbox.rdm.compare(*rdms, method="cosine_cov")[0, 0]
    assert_allclose(cka(x, y, debiased=False), peer, rtol=1e-9)
