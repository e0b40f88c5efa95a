"""Latent maps: known ones come back, and a new study's weights are the most probable ones."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.decomposition import NMF

from neurolib.models.coordinates.factors import FactorsConfig


@pytest.fixture(scope="module")
def model(ball, known_corpus):
    cfg = FactorsConfig(3, fwhm_mm=6.0, n_iterations=60)
    return cfg.build(ball).fit(known_corpus, known_corpus.voxels(ball), np.arange(240))


def test_the_maps_that_foci_were_drawn_from_come_back(model, true_maps):
    overlap = np.minimum(model.factor_maps[:, None], true_maps[None]).sum(-1)
    assert sorted(overlap.argmax(1)) == [0, 1, 2]
    assert overlap.max(1).min() > 0.75


def test_without_smoothing_the_fit_is_as_good_as_scikit_learns_factorisation(ball, known_corpus):
    voxels, studies = known_corpus.voxels(ball), np.arange(240)
    counts = np.zeros((240, ball.n_voxels))
    np.add.at(counts, (known_corpus.study, voxels), 1)
    cfg = FactorsConfig(
        3, fwhm_mm=0.0, n_iterations=150, pseudo_foci=1e-6, prior_foci=1e-6, global_share=0.0, n_fold_in=200
    )
    mine = cfg.build(ball).fit(known_corpus, voxels, studies)
    p = mine.weights(known_corpus.study, voxels, 240) @ mine.factor_maps
    peer = NMF(
        3, beta_loss="kullback-leibler", solver="mu", init="nndsvda", max_iter=400, tol=0, random_state=0
    )
    q = peer.fit_transform(counts) @ peer.components_
    q /= q.sum(1, keepdims=True)
    nats = [np.log(d[known_corpus.study, voxels]).mean() for d in (p, q)]
    assert nats[0] > nats[1] - 0.05  # local optima differ a little


def test_weights_of_a_new_study_maximise_likelihood_times_prior(model, ball, known_corpus):
    voxels = known_corpus.voxels(ball)[24:36]
    found = model.weights(np.zeros(12, int), voxels, 1)[0]

    def loss(logits):
        theta = softmax(logits)
        prior = model.cfg.prior_foci * model.prior @ np.log(theta)
        return -(np.log(theta @ model.factor_maps[:, voxels]).sum() + prior)

    best = softmax(minimize(loss, np.zeros(3)).x)
    np.testing.assert_allclose(found, best, atol=1e-3)
    assert np.abs(found - model.prior).max() > 0.05  # the foci did say something


def test_seen_foci_of_one_study_do_not_move_another(model, ball, known_corpus):
    voxels = known_corpus.voxels(ball)[:36]
    of = np.repeat([0, 1, 2], 12)
    together = model.weights(of, voxels, 4)
    for i in range(3):
        np.testing.assert_allclose(
            together[i], model.weights(np.zeros(12, int), voxels[of == i], 1)[0], rtol=1e-4
        )
    np.testing.assert_allclose(together[3], model.prior, rtol=1e-4)
