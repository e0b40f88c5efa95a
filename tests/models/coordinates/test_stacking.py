"""Mixing models: weights that depend on the study are found where they do, and only there."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from neurolib.data.coordinate_splits import hide_half, hide_table
from neurolib.metrics.density_gain import mixture_weights
from neurolib.models.coordinates.factors import FactorsConfig
from neurolib.models.coordinates.global_density import GlobalDensityConfig
from neurolib.models.coordinates.local import LocalConfig
from neurolib.models.coordinates.stacking import FEATURES, Stack, StackConfig, study_features

NAMES = dict.fromkeys(("one", "two", "three"))


def simulated(slope: float, n_studies: int = 600, n_foci: int = 20, seed: int = 0):
    """Foci drawn from one of three densities over 9 cells, by weights that depend on the first feature."""
    rng = np.random.default_rng(seed)
    features = np.c_[rng.normal(size=n_studies), rng.normal(size=n_studies)] * [2.0, 1.0] + [5.0, 0.0]
    first = 0.8 * expit(slope * (features[:, 0] - 5))
    weights = np.c_[first, 0.8 - first, np.full(n_studies, 0.2)]
    densities = np.random.default_rng(9).dirichlet(np.ones(9) * 0.5, 3)
    of = np.repeat(np.arange(n_studies), n_foci)
    cell = np.array([rng.choice(9, p=weights[s] @ densities) for s in of])
    return densities[:, cell], features, of, weights


def test_weights_that_depend_on_the_study_are_recovered():
    p, features, of, weights = simulated(slope=1.0)
    stack = Stack(NAMES).fit(p, features, of)
    error = np.abs(stack.weights(features) - weights)
    assert error.mean() < 0.05
    assert np.abs(stack.constant - weights.mean(0)).max() < 0.05
    assert error.mean() < 0.3 * np.abs(stack.constant - weights).mean()

    fresh, features, of, weights = simulated(slope=1.0, seed=1)
    gated = np.log(stack.combine(fresh, features, of)).mean()
    truth = np.log((weights[of].T * fresh).sum(0)).mean()
    assert gated > np.log(Stack(NAMES).fit(fresh).combine(fresh)).mean() + 0.02
    assert gated > truth - 0.01


def test_the_coefficients_are_at_the_top_of_the_penalised_likelihood():
    p, features, of, _ = simulated(slope=1.0, n_studies=60)
    stack = Stack(NAMES, StackConfig(penalties=(0.01,))).fit(p, features, of)

    def value(slopes):
        trial = Stack(NAMES)
        trial.__dict__.update(stack.__dict__, slopes=slopes)
        return np.log(trial.combine(p, features, of)).mean() - 0.01 * (slopes**2).sum()

    top, rng = value(stack.slopes), np.random.default_rng(0)
    for _ in range(20):
        assert value(stack.slopes + 0.02 * rng.normal(size=stack.slopes.shape)) < top
    assert np.abs(stack.slopes).max() > 0.05


def test_under_a_large_penalty_the_weights_are_those_of_expectation_maximisation():
    p, features, of, _ = simulated(slope=1.0, n_studies=100)
    gated = Stack(NAMES, StackConfig(penalties=(1e6,))).fit(p, features, of)
    plain = Stack(NAMES).fit(p)
    np.testing.assert_allclose(plain.constant, mixture_weights(p), rtol=1e-12)
    np.testing.assert_allclose(gated.weights(features), np.tile(plain.constant, (100, 1)), atol=1e-5)
    np.testing.assert_allclose(gated.combine(p, features, of), plain.combine(p), rtol=1e-4)


def test_features_that_say_nothing_are_penalised_away():
    p, features, of, _ = simulated(slope=0.0, n_studies=80)
    stack = Stack(NAMES).fit(p, features, of)
    assert stack.penalty >= 0.1
    assert set(stack.cross_validated) == {np.inf, *StackConfig().penalties}
    assert np.ptp(stack.weights(features), axis=0).max() < 0.25


def test_each_focus_is_mixed_by_the_weights_of_its_study():
    p, features, of, _ = simulated(slope=1.0, n_studies=40)
    stack = Stack(NAMES).fit(p, features, of)
    weights = stack.weights(features)
    np.testing.assert_allclose(weights.sum(1), 1)
    wanted = [sum(weights[of[f], m] * p[m, f] for m in range(3)) for f in range(len(of))]
    np.testing.assert_allclose(stack.combine(p, features, of), wanted)
    np.testing.assert_allclose(stack.combine(p, features[of]), wanted)  # one row per focus


@pytest.fixture(scope="module")
def trained(ball, known_corpus):
    voxels, train, valid = known_corpus.voxels(ball), np.arange(150), np.arange(150, 200)
    configs = {"all": GlobalDensityConfig(), "near": LocalConfig((9.0,)), "factors": FactorsConfig(3)}
    models = {name: cfg.build(ball).fit(known_corpus, voxels, train) for name, cfg in configs.items()}
    task = hide_table(known_corpus, valid)
    p = np.stack([model.hidden(known_corpus, voxels, task) for model in models.values()])
    return models, p, task


@pytest.mark.parametrize("gated", [False, True])
def test_maps_of_a_stack_of_models_sum_to_one_and_hold_its_probabilities(trained, ball, known_corpus, gated):
    models, p, task = trained
    stack = Stack(models, StackConfig(penalties=(1e-4,)))
    stack.fit(p, *((study_features(known_corpus, task), task.hidden_of) if gated else ()))
    stack.slopes = np.full((6, 3), [[0.3, -0.2, 0.0]]) if gated else None  # whatever was chosen
    voxels, test = known_corpus.voxels(ball), hide_half(known_corpus, np.arange(200, 206))
    hidden = stack.hidden(known_corpus, voxels, test)
    for i, study in enumerate(test.studies):
        density = stack.density(known_corpus, voxels, test.seen[test.seen_of == i], study)
        assert density.sum() == pytest.approx(1, abs=1e-5)
        at = voxels[test.hidden[test.hidden_of == i]]
        np.testing.assert_allclose(hidden[test.hidden_of == i], density[at], rtol=1e-4)


def test_features_follow_from_seen_foci_alone(ball, known_corpus):
    task = hide_table(known_corpus, np.arange(10))
    features = study_features(known_corpus, task)
    assert features.shape == (10, len(FEATURES))
    seen = known_corpus.dequantised()[task.seen[task.seen_of == 4]]
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    mirrored = np.linalg.norm((seen * [-1, 1, 1])[:, None] - seen[None], axis=-1)
    nearest = np.median((apart + 1e9 * np.eye(len(seen))).min(1))
    wanted = [*np.log1p([8, nearest, np.median(mirrored.min(1)), 2]), known_corpus.topics[4].max()]
    np.testing.assert_allclose(features[4], wanted, rtol=1e-6)

    xyz = known_corpus.xyz_mm.copy()
    xyz[task.hidden] = 0
    np.testing.assert_array_equal(study_features(replace(known_corpus, xyz_mm=xyz), task), features)


def test_features_are_finite_for_no_seen_focus_and_for_one(known_corpus):
    task = hide_half(known_corpus, [1])
    for n in (0, 1):
        few = replace(task, seen=task.seen[:n], seen_of=task.seen_of[:n])
        assert np.isfinite(study_features(known_corpus, few)).all()


def test_what_cannot_be_mixed_is_refused():
    p = np.full((3, 4), 0.1)
    stack = Stack(NAMES)
    with pytest.raises(ValueError, match="call fit"):
        stack.weights()
    with pytest.raises(ValueError, match="no models"):
        Stack({})
    with pytest.raises(ValueError, match="for 3 models: one, two, three"):
        stack.fit(p[:2])
    with pytest.raises(ValueError, match="logarithms"):
        stack.fit(np.log(p))
    with pytest.raises(ValueError, match="2 foci are impossible"):
        stack.fit(p * [1, 0, 0, 1])
    with pytest.raises(ValueError, match="hidden_of"):
        stack.fit(p, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="has no model"):
        stack.fit(p).hidden(None, None, None)
    with pytest.raises(ValueError, match="n_folds=1"):
        StackConfig(n_folds=1)
