"""The adaptor to NiMARE's GCLDA: what it hands over and makes of what comes back; and NiMARE itself, if asked."""

import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from neurolib.models.coordinates.gclda import GcldaConfig


class Peer:
    """Stands for NiMARE's model: keeps what it is given and returns known distributions."""

    made = None

    def __init__(self, count_df, coordinates_df, mask, **settings):
        Peer.made = self
        self.words, self.foci, self.mask, self.settings = count_df, coordinates_df, mask, settings
        self.vocabulary = [c for c in count_df if count_df[c].any()]

    def fit(self, n_iters, loglikely_freq):
        rng = np.random.default_rng(0)
        n_voxels, k = int(np.asarray(self.mask.dataobj).sum()), self.settings["n_topics"]
        self.n_iters = n_iters
        self.p_topic_g_word_ = rng.dirichlet(np.ones(k), len(self.vocabulary))
        self.p_voxel_g_topic_ = rng.dirichlet(np.ones(n_voxels), k).T


@pytest.fixture
def stubbed(monkeypatch):
    monkeypatch.setitem(sys.modules, "nimare.annotate.gclda", SimpleNamespace(GCLDAModel=Peer))


CFG = GcldaConfig(n_topics=4, n_iterations=7, words_per_study=20, global_share=0.1)


def test_the_peer_gets_rounded_counts_and_the_training_foci(stubbed, ball, known_corpus):
    train = [0, 5, 2]  # 0 has no topics
    CFG.build(ball).fit(known_corpus, known_corpus.voxels(ball), train)
    peer = Peer.made
    np.testing.assert_array_equal(peer.words.to_numpy(), np.rint(20 * known_corpus.topics[[5, 2]]))
    for study in (5, 2):
        mine = peer.foci["id"] == peer.words.index[[5, 2].index(study)]
        got = peer.foci.loc[mine, ["x", "y", "z"]].to_numpy()
        np.testing.assert_array_equal(got, known_corpus.xyz_mm[12 * study : 12 * study + 12])
    assert len(peer.foci) == 24
    np.testing.assert_array_equal(peer.mask.affine, ball.affine)
    assert (peer.settings["n_topics"], peer.n_iters) == (4, 7)


def test_a_map_mixes_the_words_maps_by_a_studys_topics(stubbed, ball, known_corpus):
    unused = known_corpus.topics * [1, 1, 1e-6]  # rounds to no word at all
    corpus = replace(known_corpus, topics=unused.astype(np.float32))
    voxels = corpus.voxels(ball)
    model = CFG.build(ball).fit(corpus, voxels, np.arange(200))
    maps = Peer.made.p_topic_g_word_ @ Peer.made.p_voxel_g_topic_.T
    assert len(maps) == 2
    a, b, c = corpus.topics[7] / corpus.topics[7].sum()
    wanted = 0.9 * (a * maps[0] + b * maps[1] + c * model.base) + 0.1 * model.base
    np.testing.assert_allclose(model.density(corpus, voxels, [], 7), wanted, rtol=1e-5)
    np.testing.assert_allclose(model.density(corpus, voxels, [], 0), model.base)  # no topics
    other = replace(corpus, topics=corpus.topics[:, :2], topic_names=("a", "b"))
    with pytest.raises(ValueError, match="2 topics for a model of 3"):
        model.density(other, voxels, [], 7)


@pytest.mark.skipif(
    not os.environ.get("NEUROLIB_TEST_GCLDA"), reason="set NEUROLIB_TEST_GCLDA: takes half a minute"
)
def test_words_find_the_hills_their_studies_report(ball, known_corpus, true_maps):
    pytest.importorskip("nimare")
    cfg = GcldaConfig(n_topics=6, n_iterations=30, global_share=0.1)
    model = cfg.build(ball).fit(known_corpus, known_corpus.voxels(ball), np.arange(200))
    correlation = np.corrcoef(np.concatenate([model.word_maps, true_maps]))[:3, 3:]
    # its regions come in mirrored pairs, so that a hill on one side may appear on both
    assert correlation[2, 2] > max(correlation[0, 2], correlation[1, 2])
    np.testing.assert_allclose(model.word_maps.sum(1), 1)
