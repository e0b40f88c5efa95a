"""Ridge by folds against scikit-learn and against loops that leave out one stimulus at a time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from neurolib.metrics.encoding import RidgePathConfig, grouped_folds, held_out_ridge
from neurolib.metrics.encoding_scores import correlations, fisher_mean, r2_against_train_mean

SHAPES = [(60, 20), (40, 90), (41, 33)]  # fewer features than stimuli, more, and about as many without a fold
PENALTIES = tuple(np.logspace(-2, 4, 13))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw(rng, n, p, t=6):
    x = rng.normal(size=(n, p)) * rng.uniform(0.2, 3, p) + 5
    return x, x[:, :3] @ rng.normal(size=(3, t)) + 2 * rng.normal(size=(n, t)), grouped_folds(np.arange(n))


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_leaving_one_out_is_that_of_scikit_learn(rng, n, p, standardise):
    x, y, folds = draw(rng, n, p)
    predictions, penalties = held_out_ridge(
        x, y, folds, RidgePathConfig(PENALTIES, False, "loo", standardise)
    )
    for fold in range(5):
        test = folds == fold
        scaler = StandardScaler(with_std=standardise).fit(x[~test])
        peer = RidgeCV(PENALTIES, alpha_per_target=True).fit(scaler.transform(x[~test]), y[~test])
        assert_allclose(predictions[test], peer.predict(scaler.transform(x[test])), atol=1e-8)
        assert_allclose(penalties[fold], peer.alpha_)


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("criterion", ["gcv", "loo"])
def test_criterion_is_its_definition(rng, n, p, criterion):
    x, y, folds = draw(rng, n, p, 2)
    fit = RidgePathConfig((0.5, 20.0), False, criterion).build(x, y, folds).without(1)
    _, losses = fit.losses()
    x, y = x[fit.train], y[fit.train]
    m = len(x)
    for penalty, loss in zip((0.5, 20.0), losses, strict=True):
        model = Ridge(penalty)
        if criterion == "loo":
            rows = [np.delete(np.arange(m), i) for i in range(m)]
            left = [y[i] - model.fit(x[row], y[row]).predict(x[i : i + 1])[0] for i, row in enumerate(rows)]
            assert_allclose(loss, np.square(left).mean(0), rtol=1e-8)
        else:
            residual = y - model.fit(x, y).predict(x)
            size = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
            freedom = m - 1 - (size / (size + penalty)).sum()
            assert_allclose(loss, np.square(residual).sum(0) / freedom**2, rtol=1e-6)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_map_drop_and_pairs_of_folds_are_direct_fits(rng, n, p):
    x, y, folds = draw(rng, n, p)
    cfg = RidgePathConfig((3.0,), False)
    path = cfg.build(x, y, folds)
    fit, inside = path.without(0, 3), np.isin(folds, (0, 3))
    model = Ridge(3.0).fit(x[~inside], y[~inside])
    assert_allclose(fit.held_out(), model.predict(x[inside]), atol=1e-9)
    assert_allclose(fit.map().weights, model.coef_.T, atol=1e-9)
    assert_allclose(fit.map().predict(x[inside]), fit.held_out(), atol=1e-9)
    rest = np.delete(x, [0, 4, 5], axis=1)
    model = Ridge(3.0).fit(rest[~inside], y[~inside])
    assert_allclose(path.drop([5, 0, 4]).without(0, 3).held_out(), model.predict(rest[inside]), atol=1e-9)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_components_are_those_of_the_training_stimuli(rng, n, p):
    x, y, folds = draw(rng, n, p)
    fit = RidgePathConfig((3.0,), False).build(x, y, folds).without(2)
    centre = x[fit.train].mean(0)
    axes = np.linalg.svd(x[fit.train] - centre, full_matrices=False)[2][:4].T
    model = Ridge(3.0).fit((x[fit.train] - centre) @ axes, y[fit.train])
    assert_allclose(fit.held_out(4), model.predict((x[fit.test] - centre) @ axes), atol=1e-8)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_relative_penalties_make_the_scale_of_features_irrelevant(rng, n, p):
    x, y, folds = draw(rng, n, p)
    assert_allclose(held_out_ridge(x, y, folds)[0], held_out_ridge(1e3 * x - 7, y, folds)[0], atol=1e-7)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_single_precision_and_features_that_are_constant_in_training(rng, n, p):
    x, y, folds = draw(rng, n, p)
    x[:, 1] = 1e3 * (np.arange(n) == np.flatnonzero(folds == 0)[0])  # varies in one fold alone
    cfg = RidgePathConfig(standardise=True)
    exact = held_out_ridge(x, y, folds, cfg)[0]
    rough = held_out_ridge(x.astype(np.float32), y.astype(np.float32), folds, cfg)[0]
    assert rough.dtype == np.float32
    assert abs(exact - rough).max() < 1e-2 * y.std()
    without = held_out_ridge(np.delete(x, 1, 1), y, folds, cfg)[0]
    assert_allclose(exact[folds == 0], without[folds == 0], atol=1e-8)


def test_noise_predicts_nothing_though_it_fits(rng):
    x, y = rng.normal(size=(300, 256)), rng.normal(size=(300, 200))
    folds = grouped_folds(np.arange(300))
    predictions, _ = held_out_ridge(x, y, folds)
    r = correlations(y, predictions)
    means = np.stack([y[folds != fold].mean(0) for fold in range(5)])[folds]
    r2 = 1 - np.square(y - predictions).sum(0) / np.square(y - means).sum(0)
    assert r2.mean() < 0.0 and r.mean() < 2 * r.std() / np.sqrt(200)
    inside = Ridge(1.0).fit(x, y)
    assert inside.score(x, y) > 0.8  # what scoring the fitted stimuli would report


def test_scores(rng):
    y, f = rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 1e3
    wanted = [np.corrcoef(y[:, i], f[:, i])[0, 1] for i in range(4)]
    assert_allclose(correlations(y, f), wanted, atol=1e-9)
    draws = rng.integers(0, 30, (5, 30))
    weights = np.stack([np.bincount(draw, minlength=30) for draw in draws])
    for draw, found in zip(draws, correlations(y, f, weights), strict=True):
        assert_allclose(found, correlations(y[draw], f[draw]), atol=1e-9)
    f[:, 2] = 3.0
    assert np.isnan(correlations(y, f)).tolist() == [False, False, True, False]
    assert_allclose(r2_against_train_mean(y, np.full_like(y, 2.0), np.full(4, 2.0)), 0, atol=1e-12)
    assert_allclose(fisher_mean([[0.2, np.nan], [0.6, np.nan]])[0], np.tanh(np.arctanh([0.2, 0.6]).mean()))


def test_folds_keep_groups_whole(rng):
    groups = rng.integers(0, 23, 200)
    folds = grouped_folds(groups, 5, seed=3)
    assert all(len(set(folds[groups == group])) == 1 for group in range(23))
    assert np.ptp(np.bincount(folds)) <= 10
    with pytest.raises(ValueError, match="3 groups"):
        grouped_folds([0, 1, 2, 2], 5)


def test_errors_name_the_mistake(rng):
    x, y, folds = draw(rng, 20, 3)
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match="features hold NaN or infinity for 1 of 20"):
        held_out_ridge(x, y, folds)
    with pytest.raises(ValueError, match="criterion='aic'"):
        RidgePathConfig(criterion="aic")
    with pytest.raises(ValueError, match="one fold"):
        held_out_ridge(y, y, np.zeros(20, int))
