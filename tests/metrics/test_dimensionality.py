"""Dimensions against loops over samples that differ, definitions, and populations of known size."""

from itertools import permutations

import numpy as np
import pytest

from neurolib.metrics.dimensionality import (
    components_for,
    effective_rank,
    intrinsic_dimension,
    participation_ratio,
)


def gaussian(n: int, spectrum: np.ndarray, rng: np.random.Generator, units: int = 60) -> np.ndarray:
    mixing = np.linalg.qr(rng.normal(size=(units, len(spectrum))))[0]
    return rng.normal(size=(n, len(spectrum))) * np.sqrt(spectrum) @ mixing.T + rng.normal(size=units)


def test_debiased_ratio_is_that_of_all_quadruples():
    x = np.random.default_rng(0).normal(size=(6, 3)) * [3, 2, 1] + 5
    above, below = [], []
    for i, j, k, m in permutations(range(6), 4):
        a, b = x[i] - x[j], x[k] - x[m]
        above.append((a @ a) * (b @ b) / 4)  # unbiased for (tr C)²
        below.append((a @ b) ** 2 / 4)  # unbiased for tr C²
    assert participation_ratio(x) == pytest.approx(np.mean(above) / np.mean(below))


@pytest.mark.parametrize("rank", [5, 20])
def test_isotropic_rank_k_has_ratio_k(rank):
    rng = np.random.default_rng(rank)
    assert participation_ratio(gaussian(3000, np.ones(rank), rng)) == pytest.approx(rank, rel=0.05)
    few = [gaussian(25, np.ones(rank), rng) for _ in range(80)]
    assert np.mean([participation_ratio(x) for x in few]) == pytest.approx(rank, rel=0.1)
    naive = np.mean([participation_ratio(x, debiased=False) for x in few])
    assert naive == pytest.approx(1 / (1 / 24 + 1 / rank), rel=0.1)


def test_samples_in_time_need_their_trials():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(40), 25)
    x = gaussian(40, np.ones(15), rng)[group] + 1e-3 * rng.normal(
        size=(1000, 60)
    )  # 40 samples, 25 times each
    assert participation_ratio(x) < 12
    runs = [participation_ratio(gaussian(40, np.ones(15), rng)[group], groups=group) for _ in range(40)]
    assert np.mean(runs) == pytest.approx(15, rel=0.1)


def test_effective_ranks_are_two():
    spectrum = 1 / np.arange(1, 31)
    rng = np.random.default_rng(2)
    x = np.linalg.qr(rng.normal(size=(200, 31)) - 0)[0]
    x = (x - x.mean(axis=0))[:, :30]
    x = np.linalg.qr(x)[0] * np.sqrt(spectrum)
    for of, power in (("singular values", 0.5), ("eigenvalues", 1)):
        p = spectrum**power / (spectrum**power).sum()
        assert effective_rank(x, of) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert effective_rank(x.T) == pytest.approx(
        effective_rank(x.T @ np.linalg.qr(rng.normal(size=(200, 200)))[0])
    )
    with pytest.raises(ValueError, match="singular values"):
        effective_rank(x, "variances")


def test_components_are_counted_from_one():
    x = np.diag([10.0, 1, 0.1, 0.01])
    x = np.vstack([x, -x])
    assert components_for(x, 0.9) == 1 and components_for(x, 0.99995) == 3 and components_for(x, 1.0) == 4
    wide = np.random.default_rng(3).normal(size=(10, 50))
    assert components_for(wide, 1.0) == 9


@pytest.mark.parametrize("d", [1, 2, 4])
def test_neighbours_tell_coordinates_of_curved_sheets(d):
    rng = np.random.default_rng(d)
    angles = rng.uniform(0, 2 * np.pi, (1500, d))
    torus = np.hstack([np.cos(angles), np.sin(angles)]) @ rng.normal(size=(2 * d, 12))
    found = intrinsic_dimension(np.vstack([torus, torus[:100]]))  # copies count once
    assert found.n_samples == 1500
    assert found.two_nn == pytest.approx(d, rel=0.12) and found.levina_bickel == pytest.approx(d, rel=0.15)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: participation_ratio(np.eye(3)), "four"),
        (lambda: participation_ratio(np.eye(6), groups=[0, 0, 1, 1, 2, 2]), "four"),
        (lambda: participation_ratio(np.ones((5, 2))), "constant"),
        (lambda: effective_rank(np.full((5, 2), np.nan)), "finite"),
        (lambda: components_for(np.eye(3), 0.0), "share"),
        (lambda: intrinsic_dimension(np.eye(5)), "neighbours"),
    ],
)
def test_what_has_no_dimension_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
