"""Comparators against plain formulas, ceilings against their definition, and golden numbers of rsatoolbox 0.3.2."""

import itertools
import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr

from neurolib.metrics.dissimilarity import RDM
from neurolib.metrics.kernel_alignment import cka
from neurolib.metrics.rdm_comparison import COMPARATORS, compare_rdms, noise_ceiling, pooled_rdm, rdm_vectors

RNG = np.random.default_rng(0)
THEIRS = {
    "cosine": "cosine",
    "pearson": "corr",
    "spearman": "spearman",
    "tau_a": "tau-a",
    "rho_a": "rho-a",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}
# rsatoolbox.rdm.compare of the two RDMs of `frozen`, one of them with ties
GOLDEN = {
    "cosine": 0.797067190852,
    "pearson": 0.319860798096,
    "spearman": 0.284944441895,
    "tau_a": 0.200000000000,
    "rho_a": 0.274675324675,
    "whitened_cosine": 0.521786919503,
    "whitened_pearson": 0.292172630088,
}


def frozen():
    """Two RDMs of seven stimuli that need no random numbers."""
    pair = np.arange(21)
    return np.array([(pair * 5) % 7 // 2 + 0.0, (pair * 13) % 31 / 10 + 0.4 * (pair % 7)])


def averaged_over_ties(x, y):
    """Spearman's correlation with every way to break the ties of x, averaged."""
    orders = [
        order for order in itertools.permutations(range(len(x))) if (np.diff(x[list(order)]) >= 0).all()
    ]
    ranks = [np.argsort(order) for order in orders]
    return np.mean([np.corrcoef(rank, rankdata(y))[0, 1] for rank in ranks])


def test_each_comparator_equals_a_plain_formula():
    x, y = np.array([0.0, 1, 1, 1, 1, 0]), np.array([1.0, 5, 3, 4, 6, 2])
    found = {name: compare_rdms(x, y, name)[0, 0] for name in COMPARATORS}
    assert found["cosine"] == pytest.approx(x @ y / np.sqrt(x @ x * (y @ y)))
    assert found["pearson"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    assert found["rho_a"] == pytest.approx(averaged_over_ties(x, y))
    signs = [np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in itertools.combinations(range(6), 2)]
    assert found["tau_a"] == pytest.approx(np.mean(signs))
    pairs = np.array(list(itertools.combinations(range(4), 2)))
    contrast = np.zeros((6, 4))
    contrast[np.arange(6), pairs[:, 0]], contrast[np.arange(6), pairs[:, 1]] = 1, -1
    precision = np.linalg.inv((contrast @ contrast.T) ** 2)  # of squared distances between noise
    for name, a, b in (("whitened_cosine", x, y), ("whitened_pearson", x - x.mean(), y - y.mean())):
        assert found[name] == pytest.approx(
            a @ precision @ b / np.sqrt((a @ precision @ a) * (b @ precision @ b))
        )


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_equal_to_rsatoolbox_as_frozen(comparator):
    assert compare_rdms(*frozen(), comparator)[0, 0] == pytest.approx(GOLDEN[comparator], abs=1e-10)


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_equal_to_rsatoolbox_where_it_is_installed(comparator):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    rdms = RNG.random((3, 190)).round(1)
    theirs = rsatoolbox.rdm.compare(
        rsatoolbox.rdm.RDMs(rdms), rsatoolbox.rdm.RDMs(rdms[:2]), THEIRS[comparator]
    )
    np.testing.assert_allclose(compare_rdms(rdms, rdms[:2], comparator), theirs, atol=1e-10)


def test_the_whitened_cosine_of_squared_distances_is_biased_cka():
    x, y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 30))
    found = compare_rdms(pdist(x, "sqeuclidean"), pdist(y, "sqeuclidean"), "whitened_cosine")
    assert found[0, 0] == pytest.approx(cka(x, y, debiased=False), abs=1e-9)


def test_no_pair_counts_twice_and_no_stimulus_with_itself():
    x, y = RNG.random((2, 45))
    whole = spearmanr(squareform(x).ravel(), squareform(y).ravel()).statistic
    assert compare_rdms(x, y, "spearman")[0, 0] == pytest.approx(spearmanr(x, y).statistic)
    assert abs(compare_rdms(x, y, "spearman")[0, 0] - whole) > 0.05


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_the_ceiling_is_the_mean_score_of_the_pool_with_and_without_oneself(comparator):
    subjects = RNG.random(45) + 0.7 * RNG.random((4, 45))
    lower, upper, n, reason = noise_ceiling(subjects, comparator)

    def score(k, pool):  # pooled ranks are not ranked again, tau needs no more than their order
        if comparator in ("rho_a", "spearman"):
            return np.corrcoef(rankdata(subjects[k]), pool)[0, 1]
        return compare_rdms(subjects[k], pool, comparator)[0, 0]

    rest = [pooled_rdm(np.delete(subjects, k, axis=0), comparator) for k in range(4)]
    assert upper == pytest.approx(np.mean([score(k, pooled_rdm(subjects, comparator)) for k in range(4)]))
    assert lower == pytest.approx(np.mean([score(k, rest[k]) for k in range(4)]))
    assert (n, reason) == (4, "") and lower < upper
    if comparator != "tau_a":  # no RDM passes the upper one
        tries = subjects.mean(axis=0) + 0.05 * RNG.normal(size=(300, 45))
        assert compare_rdms(tries, subjects, comparator).mean(axis=1).max() < upper + 1e-12


def test_one_subject_has_a_ceiling_from_repeats_or_none_with_a_reason():
    repeats = RNG.random(45) + 0.7 * RNG.random((3, 45))
    assert noise_ceiling(repeats[None]) == noise_ceiling(repeats)
    several = np.stack([repeats, repeats + 0.1 * RNG.random((3, 45))])
    assert noise_ceiling(several) == noise_ceiling(several.mean(axis=1))
    alone = noise_ceiling(repeats[0])
    assert math.isnan(alone.lower) and math.isnan(alone.upper) and "one subject" in alone.reason


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_an_rdm_that_tells_no_pairs_apart_has_no_score(comparator):
    flat = np.zeros(45) if comparator.endswith("cosine") else np.full(45, 0.1)
    found = compare_rdms(np.stack([flat, RNG.random(45)]), RNG.random(45), comparator)
    assert np.isnan(found[0, 0]) and np.isfinite(found[1, 0])


def test_containers_are_taken_and_their_conditions_compared():
    values = RNG.random((2, 15))
    a = RDM(values[0], np.arange(6), "sqeuclidean", 3)
    b = RDM(values[1], np.arange(6), "sqeuclidean", 3)
    assert compare_rdms(a, b) == compare_rdms(values[0], values[1])
    np.testing.assert_array_equal(rdm_vectors([a, b]), values)
    with pytest.raises(ValueError, match="rdms 1 has other conditions"):
        rdm_vectors([a, RDM(values[1], np.arange(6)[::-1], "sqeuclidean", 3)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: compare_rdms(x[:, :3], x[:, :3]), "of 3 stimuli; RDMs of fewer than 4"),
        (lambda x: compare_rdms(x[:, :11]), "11 values are not the pairs"),
        (lambda x: compare_rdms(squareform(x[0])), "looks like one square table"),
        (lambda x: compare_rdms(x, x[:, :36]), "RDMs of 10 and 9 stimuli"),
        (lambda x: compare_rdms(np.where(x > 0.9, np.nan, x)), "rdms 0 holds NaN or infinity for"),
        (lambda x: compare_rdms(x, comparator="kendall"), "comparator='kendall' must be one of rho_a"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(1).random((2, 45)))
