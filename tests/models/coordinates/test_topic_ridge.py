"""Ridge from topics to counts, against scikit-learn's on counts smoothed one study at a time."""

import numpy as np
from sklearn.linear_model import Ridge

from neurolib.models.coordinates.density import Smoother
from neurolib.models.coordinates.topic_ridge import TopicRidgeConfig


def test_maps_equal_those_of_scikit_learn(ball, known_corpus):
    corpus, voxels, train = known_corpus, known_corpus.voxels(ball), np.arange(1, 150)
    cfg = TopicRidgeConfig(penalty=3.0, fwhm_mm=7.0, global_share=0.2)
    model = cfg.build(ball).fit(corpus, voxels, np.r_[0, train])  # study 0 has no topics
    smooth = Smoother(ball, 7.0)
    counts = [smooth(np.bincount(voxels[corpus.foci([s])], minlength=ball.n_voxels)) for s in train]
    peer = Ridge(alpha=3.0).fit(corpus.topics[train].astype(float), np.array(counts))
    for study in (160, 200):
        rate = np.maximum(peer.predict(corpus.topics[[study]].astype(float))[0], 0)
        wanted = 0.8 * rate / rate.sum() + 0.2 * model.base
        np.testing.assert_allclose(model.density(corpus, voxels, [], study), wanted, rtol=1e-6, atol=1e-12)


def test_under_a_large_penalty_topics_say_nothing(ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    cfg = TopicRidgeConfig(penalty=1e9, global_share=0.0)
    model = cfg.build(ball).fit(known_corpus, voxels, np.arange(200))
    one, other = (model.density(known_corpus, voxels, [], s) for s in (3, 4))
    np.testing.assert_allclose(one, other, rtol=1e-5)
