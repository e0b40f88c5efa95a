"""Descriptions are learned from training studies alone, and networks on them beat the density of all foci."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from neurolib.data.coordinate_splits import hide_all
from neurolib.data.coordinates import tiny
from neurolib.metrics.density_gain import gain
from neurolib.models.coordinates.batches import study_tensors
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.network_density import NetworkDensity
from neurolib.models.coordinates.text import StudyText, TextConfig
from neurolib.models.coordinates.text_density import TextDensityConfig
from neurolib.training.loop import TrainConfig, fit


def titled(n: int = 60):
    title = np.array([f"{'motor hand' if i % 2 else 'visual scene'} task number{i % 7}" for i in range(n)])
    topics = np.zeros((n, 2), np.float32)
    topics[np.arange(n), np.arange(n) % 2] = 1
    known = {"title": title, "topics": topics, "topic_names": ("a", "b"), "year": np.full(n, 2015.0)}
    return tiny(np.zeros((n, 3)), np.arange(n), **known)


def test_studies_with_the_same_words_are_alike():
    words = StudyText(TextConfig(title=4, abstract=0, min_studies=2))
    found = words.fit_transform(titled(), np.arange(40))
    assert found.shape == (60, len(words.names))
    assert words.names[: words.n_brief] == ["a", "b", "has topics", "year"]
    np.testing.assert_allclose(found[:, 3], 1.0)
    titles = found[:, words.n_brief :]
    same = titles[1::2] @ titles[1::2].T
    other = titles[1::2] @ titles[::2].T
    assert same.mean() > other.mean() + 0.01


def test_words_of_test_studies_change_no_description():
    corpus = titled()
    changed = corpus.title.copy()
    changed[50:] = "entirely different words"
    one, two = (
        StudyText(TextConfig(title=4, abstract=0, min_studies=2)).fit_transform(c, np.arange(40))
        for c in (corpus, replace(corpus, title=changed))
    )
    np.testing.assert_allclose(one[:50], two[:50], atol=1e-6)


def test_abstracts_are_found_by_id_and_flagged_where_there_are_none():
    corpus = titled()
    ids = np.arange(59, 19, -1)  # in another order, and not for all
    counts = sp.csr_matrix(np.eye(2)[ids % 2].repeat(3, axis=1))
    words = StudyText(TextConfig(title=0, abstract=2))
    found = words.fit_transform(corpus, np.arange(50), (ids, counts))
    flag = words.names.index("has abstract")
    np.testing.assert_array_equal(found[:, flag], np.arange(60) >= 20)
    assert not found[:20, words.n_brief : flag].any()
    np.testing.assert_allclose(found[21, words.n_brief : flag], found[59, words.n_brief : flag], atol=1e-5)


def test_a_network_on_topics_predicts_foci_and_shuffled_topics_do_not(ball, known_corpus):
    voxels, train, test = known_corpus.voxels(ball), np.arange(190), np.arange(190, 240)
    base = smoothed_density(voxels[known_corpus.foci(train)], ball)
    model = TextDensityConfig(3, hidden=24, dropout=0.0).build(ball, np.log(base))
    task = hide_all(known_corpus, test)
    untrained = NetworkDensity(ball, model, base, known_corpus.topics, 0.0).hidden(known_corpus, voxels, task)
    np.testing.assert_allclose(untrained, base[voxels[task.hidden]], rtol=1e-4)
    tensors = (
        study_tensors(known_corpus, voxels, rows, known_corpus.topics) for rows in (train[:150], train[150:])
    )
    fit(model, *tensors, TrainConfig(steps=120, batch_size=32, lr=5e-3, eval_every=40, device="cpu"))
    shuffled = np.roll(known_corpus.topics, 1, axis=0)
    true, false = (
        NetworkDensity(ball, model, base, told).hidden(known_corpus, voxels, task)
        for told in (known_corpus.topics, shuffled)
    )
    assert gain(np.log(true), np.log(untrained), task.hidden_of).low > 0.1
    assert gain(np.log(false), np.log(untrained), task.hidden_of).micro < 0


@pytest.mark.parametrize("make", [lambda: TextConfig(title=-1), lambda: TextDensityConfig(0)])
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()
