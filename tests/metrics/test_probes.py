"""Probes against scikit-learn, closed forms, and targets that features do or do not know."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from neurolib.metrics.probes import PENALTIES, ProbeConfig, probe


@pytest.fixture(scope="module")
def linear():
    """Features, a number that they explain by half, a rare-class label, and groups of three rows."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 6)) * [1, 1, 5, 0.1, 1, 1] + 3
    signal = (x[:, 0] - x[:, 3] * 10) / np.sqrt(2)
    y = signal + draw.normal(size=300)
    label = np.digitize(signal - signal.mean() + 0.5 * draw.normal(size=300), [0.0, 1.4])
    return x, y, label, np.repeat(np.arange(100), 3)


def folds_of(x, groups, config):
    return GroupKFold(config.n_folds, shuffle=True, random_state=config.seed).split(x, groups=groups)


def peer_predictions(x, targets, groups, config):
    """Ridge by scikit-learn's own generalised cross-validation, one penalty for all outputs."""
    out = np.empty(targets.shape)
    for train, test in folds_of(x, groups, config):
        scaler = StandardScaler().fit(x[train])
        n = len(train)
        fitted = RidgeCV(n * PENALTIES, scoring=None).fit(scaler.transform(x[train]), targets[train])
        out[test] = fitted.predict(scaler.transform(x[test]))
    return out


def test_the_ridge_probe_is_scikit_learns(linear):
    x, y, _, groups = linear
    config = ProbeConfig(n_permutations=2)
    expected = r2_score(y, peer_predictions(x, y, groups, config))
    assert probe(x, y, groups, config).score == pytest.approx(expected, abs=1e-3)
    both = np.column_stack([y, -2 * y + 7])  # outputs count alike
    assert probe(x, both, groups, config).score == pytest.approx(expected, abs=1e-3)


def test_a_permutation_is_scored_as_if_it_were_the_target(linear):
    x, y, _, _ = linear
    config = ProbeConfig(n_permutations=3)
    orders = np.random.default_rng(config.seed)
    for score in probe(x, y, config=config).null:
        permuted = y[orders.permutation(len(y))]
        expected = r2_score(permuted, peer_predictions(x, permuted, np.arange(300), config))
        assert score == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("reader", ["ridge", "mlp"])
def test_label_scores_are_scikit_learns_on_the_readers_own_shares(linear, reader):
    """Recomputed from one-hot ridge regressions; the perceptron must do about as well."""
    x, _, label, groups = linear
    shares = peer_predictions(x, np.eye(3)[label], groups, ProbeConfig())
    chosen, areas = np.empty(300, int), []
    for train, test in folds_of(x, groups, ProbeConfig()):
        rate = np.bincount(label[train]) / len(train)
        chosen[test] = (shares[test] / rate).argmax(axis=1)
        areas += [roc_auc_score(label[test] == k, shares[test, k]) for k in range(3)]
    expected = {"balanced_accuracy": balanced_accuracy_score(label, chosen), "macro_auc": np.mean(areas)}
    for score, value in expected.items():
        result = probe(x, label, groups, ProbeConfig(reader, score, n_permutations=2))
        # The ridge's penalty may differ where scikit-learn's criterion leaves out the mean.
        assert result.score == pytest.approx(value, abs=0.02 if reader == "ridge" else 0.12)
        assert result.score > result.null.max() + 0.1


def test_half_of_the_variance_is_found_and_none_in_noise(linear):
    x, y, label, groups = linear
    found = probe(x, y, groups)
    assert found.score == pytest.approx(0.5, abs=0.1) and found.found
    assert found.p_value == 1 / 201 and abs(found.threshold) < 0.1
    draw = np.random.default_rng(1)
    noise = draw.normal(size=x.shape)
    assert probe(noise, y, groups).score < 0.03
    chance = probe(noise, label, groups, ProbeConfig(score="balanced_accuracy"))
    assert chance.score == pytest.approx(1 / 3, abs=0.12)
    assert chance.null.mean() == pytest.approx(1 / 3, abs=0.02)
    auc = probe(noise, label, groups, ProbeConfig(score="macro_auc"))
    assert auc.null.mean() == pytest.approx(0.5, abs=0.02)


def test_chance_is_found_as_often_as_allowed():
    draw, config = np.random.default_rng(2), ProbeConfig(n_permutations=99)
    found = [probe(draw.normal(size=(60, 4)), draw.normal(size=60), config=config).found for _ in range(120)]
    assert np.mean(found) < 0.11  # 0.05 and two standard errors and a half


def test_groups_with_one_value_each_are_permuted_whole():
    """Ten subjects, each with its own features and target: rows alone would call chance a finding."""
    draw = np.random.default_rng(3)
    groups, found = np.repeat(np.arange(10), 20), {"groups": 0, "rows": 0}
    for _ in range(20):
        x = draw.normal(size=(10, 3))[groups] + 0.1 * draw.normal(size=(200, 3))
        y = draw.normal(size=10)[groups]
        config = ProbeConfig(n_permutations=60)
        found["groups"] += probe(x, y, groups, config).found
        found["rows"] += probe(x, y, None, config).found
        orders = np.random.default_rng(config.seed)
        values = y[::20][orders.permutation(10)]
        expected = probe(x, values[groups], groups, config).score
        assert probe(x, y, groups, config).null[0] == pytest.approx(expected)
    assert found["groups"] <= 4 and found["rows"] >= 18


def test_only_the_perceptron_reads_a_bend():
    draw = np.random.default_rng(4)
    x = draw.normal(size=(400, 2))
    y = x[:, 0] ** 2 + 0.3 * draw.normal(size=400)
    assert probe(x, y, config=ProbeConfig(n_permutations=20)).score < 0.1
    bent = probe(x, y, config=ProbeConfig("mlp", n_permutations=2))
    assert bent.score > 0.4 > 0.1 > bent.null.max()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probe(np.zeros((4, 2)), np.arange(5)), "share their rows"),
        (lambda: probe(np.full((9, 2), np.nan), np.arange(9)), "finite"),
        (lambda: probe(np.zeros((9, 2)), np.ones(9)), "constant"),
        (lambda: probe(np.zeros((9, 2)), np.arange(9), np.arange(9) // 3), "3 groups"),
        (lambda: probe(np.zeros((9, 2)), np.eye(9), config=ProbeConfig(score="macro_auc")), "one label"),
        (lambda: ProbeConfig("svm"), "'svm'"),
        (lambda: ProbeConfig(score="auc"), "'auc'"),
        (lambda: ProbeConfig(n_folds=1), "n_folds=1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
