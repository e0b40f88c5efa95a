"""Distances against loops over pairs of folds, SciPy, and what they must be on average."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.covariance import LedoitWolf
from sklearn.metrics import silhouette_score

from neurolib.metrics.dissimilarity import RDM, dissimilarity, silhouette, stratified_folds


def trials(seed: int, n: int = 48, units: int = 6, apart: float = 1.0):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(n) % 4)
    mean = apart * np.random.default_rng(99).normal(size=(4, units))
    mean[1] = mean[0]
    return mean[label] + rng.normal(size=(n, units)) * np.linspace(0.5, 2, units), label


def test_crossnobis_is_the_mean_over_pairs_of_folds():
    x, label = trials(0)
    fold = stratified_folds(label, 3, 0)
    found = dissimilarity(x, label, fold)
    residual = x - np.array([x[label == k].mean(axis=0) for k in range(4)])[label]
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(residual).covariance_ * 48 / 44)
    means = np.array([[x[(label == k) & (fold == f)].mean(axis=0) for k in range(4)] for f in range(3)])
    expected = []
    for i in range(4):
        for j in range(i + 1, 4):
            products = [
                (means[a, i] - means[a, j]) @ precision @ (means[b, i] - means[b, j])
                for a in range(3)
                for b in range(3)
                if a != b
            ]
            expected.append(np.mean(products) / 6)
    np.testing.assert_allclose(found.values, expected)
    assert (found.n_units, found.n_folds, found.measure) == (6, 3, "crossnobis")


def test_equal_conditions_are_at_no_distance_on_average_and_only_so_without_bias():
    noise = np.diag(np.linspace(0.5, 2, 6) ** 2)
    crossed, plain = [], []
    for seed in range(200):
        x, label = trials(seed)
        crossed.append(dissimilarity(x, label, stratified_folds(label, 4, seed), noise=noise).values)
        plain.append(dissimilarity(x, label, measure="mahalanobis", noise=noise).values)
    crossed, plain = np.array(crossed), np.array(plain)
    error = crossed.std(axis=0) / np.sqrt(200)
    assert abs(crossed[:, 0].mean()) < 3 * error[0] and (crossed[:, 0] < 0).any()
    assert plain[:, 0].mean() == pytest.approx(2 / 12, rel=0.15)  # two means of 12 trials, unit noise
    mean = np.random.default_rng(99).normal(size=(4, 6)) / np.linspace(0.5, 2, 6)
    truth = ((mean[0] - mean[2]) ** 2).mean()
    assert abs(crossed[:, 1].mean() - truth) < 3 * error[1]


def test_estimated_noise_does_not_turn_with_the_axes():
    x, label = trials(3, n=80)
    fold = stratified_folds(label, 4, 0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    found = dissimilarity(3 * x @ turn + 7, label, fold).values
    np.testing.assert_allclose(found, dissimilarity(x, label, fold).values)


def test_other_measures_are_those_of_scipy():
    x, label = trials(4)
    means = np.array([x[label == k].mean(axis=0) for k in range(4)])
    np.testing.assert_allclose(
        dissimilarity(x, label, measure="sqeuclidean").values, pdist(means, "sqeuclidean") / 6
    )
    np.testing.assert_allclose(
        dissimilarity(x, label, measure="correlation").values, pdist(means, "correlation")
    )
    noise = np.cov(x.T)
    theirs = pdist(means, "mahalanobis", VI=np.linalg.inv(noise)) ** 2 / 6
    np.testing.assert_allclose(dissimilarity(x, label, measure="mahalanobis", noise=noise).values, theirs)


def test_container_keeps_pairs_in_order():
    rdm = RDM(np.arange(6.0), np.array(list("abcd")), "correlation", 3)
    assert rdm.matrix()[1].tolist() == [0, 0, 3, 4] and (rdm.matrix() == rdm.matrix().T).all()
    assert rdm.subset(["d", "b", "c"]).values.tolist() == [4, 5, 3]
    with pytest.raises(KeyError, match="'z'"):
        rdm.subset(["a", "z"])
    with pytest.raises(ValueError, match="pairs of 3"):
        RDM(np.arange(2.0), np.array(list("abc")), "correlation", 3)


def test_folds_hold_all_conditions():
    label = np.array([0] * 7 + [1] * 5)
    fold = stratified_folds(label, 3, 1)
    counts = np.array([[((label == k) & (fold == f)).sum() for f in range(3)] for k in range(2)])
    assert np.ptp(counts, axis=1).max() == 1
    with pytest.raises(ValueError, match="5 trials"):
        stratified_folds(label, 6)


def test_silhouettes():
    x, label = trials(5, n=80, apart=3)
    assert silhouette(x, label) == pytest.approx(silhouette_score(x, label))
    centred = x - x.mean(axis=0)
    assert silhouette(x + 50, label, "cosine") == pytest.approx(
        silhouette_score(centred, label, metric="cosine")
    )
    some = silhouette(x, label, max_samples=60)
    assert some != silhouette(x, label) and some == pytest.approx(silhouette(x, label), abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (dict(measure="crossnobis"), "folds"),
        (dict(measure="cosine"), "one of"),
        (dict(folds=np.zeros(8)), "two folds"),
        (dict(folds=np.repeat([0, 1], 4)), "no trial of condition"),
        (dict(measure="mahalanobis", noise=np.eye(2)), "covariance of 3"),
    ],
)
def test_what_has_no_distance_is_refused(arguments, match):
    x = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(ValueError, match=match):
        dissimilarity(x, np.repeat([0, 1], 4), **arguments)
    with pytest.raises(ValueError, match="one condition"):
        dissimilarity(x, np.zeros(8), measure="sqeuclidean")


def test_poisson_divergence_is_that_of_rates_both_ways():
    counts = np.random.default_rng(0).poisson(2.0, size=(12, 5)) * (np.arange(5) > 0)  # a silent unit
    label = np.repeat(["a", "b", "c"], 4)
    rate = {name: (counts[label == name].mean(axis=0) + 0.1) / 1.1 for name in "abc"}
    slow = [((rate[i] - rate[j]) * np.log(rate[i] / rate[j])).mean() for i, j in ("ab", "ac", "bc")]
    np.testing.assert_allclose(dissimilarity(counts, label, measure="poisson_kl").values, slow)
    with pytest.raises(ValueError, match="no spike counts"):
        dissimilarity(counts - 1, label, measure="poisson_kl")


@pytest.mark.parametrize(
    ("change", "match"), [(lambda x: x[:, :2], "2 units"), (lambda x: x * [[0]], "'a' is the same")]
)
def test_a_correlation_needs_units_that_differ(change, match):
    with pytest.raises(ValueError, match=match):
        dissimilarity(
            change(np.random.default_rng(0).normal(size=(3, 4))), list("abc"), measure="correlation"
        )
