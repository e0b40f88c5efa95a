"""Maps of topics by expectation maximisation: known maps come back, and every step is what it should be."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.data.coordinate_splits import hide_all
from neurolib.models.coordinates.topic_mixture import FLOOR, TopicMixtureConfig, explained

TRAIN = np.arange(240)


def fitted(corpus, ball, **settings):
    return TopicMixtureConfig(**settings).build(ball).fit(corpus, corpus.voxels(ball), TRAIN)


def test_the_maps_that_foci_were_drawn_from_come_back(ball, known_corpus, true_maps):
    model = fitted(known_corpus, ball, fwhm_mm=6.0)
    overlap = np.minimum(model.topic_maps[:, None], true_maps[None]).sum(-1)  # 1 where equal
    assert (np.diag(overlap) > 0.8).all()
    start = fitted(known_corpus, ball, fwhm_mm=6.0, n_iterations=0)
    average = np.minimum(start.topic_maps, true_maps).sum(-1)
    assert (np.diag(overlap) > average + 0.05).all()


def test_one_iteration_equals_a_slow_loop_over_foci(ball, known_corpus):
    before, after = (fitted(known_corpus, ball, fwhm_mm=0.0, n_iterations=n) for n in (4, 5))
    voxels, counts = known_corpus.voxels(ball), np.zeros_like(before.topic_maps, dtype=float)
    for study, voxel in zip(known_corpus.study, voxels, strict=True):
        theta = known_corpus.topics[study].astype(float)
        if theta.sum():
            joint = theta * before.topic_maps[:, voxel]
            counts[:, voxel] += joint / joint.sum()
    wanted = (1 - FLOOR) * counts / counts.sum(1, keepdims=True) + FLOOR / ball.n_voxels
    np.testing.assert_allclose(after.topic_maps, wanted, rtol=1e-4)


def test_every_iteration_makes_the_training_foci_more_probable(ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    nats = []
    for n in (0, 1, 3, 10):
        model = fitted(known_corpus, ball, fwhm_mm=0.0, n_iterations=n)
        nats.append(np.log(model.hidden(known_corpus, voxels, hide_all(known_corpus, TRAIN[1:]))).mean())
    assert (np.diff(nats) > 1e-4).all()


def test_foci_of_studies_without_topics_move_no_topic_map(ball, known_corpus):
    xyz = known_corpus.xyz_mm.copy()
    xyz[:12] = 0  # study 0
    moved = fitted(replace(known_corpus, xyz_mm=xyz), ball, n_iterations=2)
    here = fitted(known_corpus, ball, n_iterations=2)
    np.testing.assert_array_equal(moved.topic_maps, here.topic_maps)
    assert np.abs(moved.base - here.base).max() > 1e-4


def test_topics_at_a_voxel_follow_from_bayes_rule(ball, known_corpus, true_maps):
    model = fitted(known_corpus, ball, n_iterations=5)
    found = model.topics_at([7, 200])
    assert model.topic_shares.sum() == pytest.approx(1, abs=1e-5)
    for row, voxel in zip(found, (7, 200), strict=True):
        joint = [share * m[voxel] for share, m in zip(model.topic_shares, model.topic_maps, strict=True)]
        np.testing.assert_allclose(row, np.array(joint) / sum(joint), rtol=1e-5)
    peaks = true_maps.argmax(1)
    np.testing.assert_array_equal(model.topics_at(peaks).argmax(1), [0, 1, 2])


def test_mixtures_of_many_foci_equal_a_loop():
    rng = np.random.default_rng(1)
    weights, maps = rng.random((30, 4)), rng.random((4, 50))
    of, voxels = rng.integers(30, size=60_000), rng.integers(50, size=60_000)  # more than one chunk
    got = explained(weights, maps, of, voxels)
    for i in (0, 49_999, 50_000, 59_999):
        assert got[i] == pytest.approx(sum(weights[of[i], k] * maps[k, voxels[i]] for k in range(4)))


def test_a_corpus_with_other_topics_is_refused(ball, known_corpus):
    model = fitted(known_corpus, ball, n_iterations=0)
    other = replace(known_corpus, topics=known_corpus.topics[:, :2], topic_names=("a", "b"))
    with pytest.raises(ValueError, match="2 topics for maps of 3"):
        model.density(other, other.voxels(ball), [], 5)
