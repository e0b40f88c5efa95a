"""What all classical models promise: densities that never look at what they are to predict."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.data.coordinate_splits import hide_all, hide_half
from neurolib.models.coordinates import density_model
from neurolib.models.coordinates.components import ComponentsConfig
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.factors import FactorsConfig
from neurolib.models.coordinates.global_density import GlobalDensityConfig
from neurolib.models.coordinates.local import LocalConfig
from neurolib.models.coordinates.neighbours import NeighboursConfig
from neurolib.models.coordinates.topic_mixture import TopicMixtureConfig
from neurolib.models.coordinates.topic_ridge import TopicRidgeConfig

CONFIGS = {
    "global": GlobalDensityConfig(),
    "local": LocalConfig((8.0, 15.0)),
    "mirror": LocalConfig(mirror=True),
    "topics": TopicMixtureConfig(n_iterations=3, global_share=0.1),
    "ridge": TopicRidgeConfig(),
    "factors": FactorsConfig(3, fwhm_mm=6.0, n_iterations=40, prior_foci=3.0),
    "components": ComponentsConfig(8),
    "components and topics": ComponentsConfig(8, topics=True),
    "neighbours": NeighboursConfig(20),
}
READ_TOPICS = {"topics", "ridge", "components and topics"}
READ_FOCI = set(CONFIGS) - {"global", "topics", "ridge"}
TRAIN = np.arange(200)


@pytest.fixture(scope="module", params=CONFIGS)
def trained(request, ball, known_corpus):
    corpus = known_corpus
    return request.param, CONFIGS[request.param].build(ball).fit(corpus, corpus.voxels(ball), TRAIN)


def test_hidden_foci_have_the_probability_of_their_voxels_in_maps_that_sum_to_one(
    trained, ball, known_corpus, monkeypatch
):
    _, model = trained
    voxels = known_corpus.voxels(ball)
    task = hide_half(known_corpus, np.arange(200, 220))
    monkeypatch.setattr(density_model, "BATCH", 7)  # 20 studies: the last batch is short
    hidden = model.hidden(known_corpus, voxels, task)
    assert hidden.shape == task.hidden.shape
    for i, study in enumerate(task.studies):
        density = model.density(known_corpus, voxels, task.seen[task.seen_of == i], study)
        assert density.min() >= 0
        assert density.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(
            hidden[task.hidden_of == i], density[voxels[task.hidden[task.hidden_of == i]]], rtol=1e-4
        )


def test_where_the_hidden_foci_are_changes_no_map_and_where_the_seen_ones_are_does(
    trained, ball, known_corpus
):
    name, model = trained
    voxels = known_corpus.voxels(ball)
    task = hide_half(known_corpus, np.arange(200, 206))
    before = model.densities(known_corpus, voxels, task)
    for rows, changes in ((task.hidden, False), (task.seen, name in READ_FOCI)):
        xyz, moved = known_corpus.xyz_mm.copy(), voxels.copy()
        xyz[rows], moved[rows] = ball.centres_mm[100] + 0.5, 100
        after = model.densities(replace(known_corpus, xyz_mm=xyz), moved, task)
        assert (np.abs(after - before).max() > 1e-4) == changes


def test_without_anything_to_go_by_a_study_gets_the_global_density(trained, ball, known_corpus):
    _, model = trained
    voxels = known_corpus.voxels(ball)
    wanted = smoothed_density(voxels[known_corpus.foci(TRAIN)], ball)
    got = model.density(known_corpus, voxels, [], 0)  # study 0 has no topics
    if isinstance(model.cfg, FactorsConfig):  # the average study's weights and smoother maps
        assert np.corrcoef(got, wanted)[0, 1] > 0.9
    elif isinstance(model.cfg, ComponentsConfig):
        # on average, scores of zero predict the mean map
        np.testing.assert_allclose(got, wanted, rtol=1e-3)
    else:
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_models_that_read_foci_or_topics_beat_the_global_density(trained, ball, known_corpus):
    name, model = trained
    voxels = known_corpus.voxels(ball)
    test = np.arange(200, 240)
    task = hide_half(known_corpus, test) if name in READ_FOCI - {"mirror"} else hide_all(known_corpus, test)
    p = 0.9 * model.hidden(known_corpus, voxels, task) + 0.1 * model.base[voxels[task.hidden]]
    gain = np.log(p / model.base[voxels[task.hidden]]).mean()
    if name in ("global", "mirror"):
        assert gain == pytest.approx(0, abs=1e-5)
    else:
        assert gain > 0.08
    if name in READ_TOPICS:
        swapped = replace(known_corpus, topics=known_corpus.topics[::-1])
        worse = 0.9 * model.hidden(swapped, voxels, task) + 0.1 * model.base[voxels[task.hidden]]
        assert np.log(worse).mean() < np.log(p).mean() - 0.1


def test_what_does_not_belong_together_is_refused(ball, known_corpus):
    voxels, model = known_corpus.voxels(ball), GlobalDensityConfig().build(ball)
    with pytest.raises(ValueError, match="call fit first"):
        model.density(known_corpus, voxels, [], 0)
    with pytest.raises(ValueError, match=r"2879.*for 2880 foci"):
        model.fit(known_corpus, voxels[1:], TRAIN)
    with pytest.raises(ValueError, match="another grid"):
        model.fit(known_corpus, voxels + 100, TRAIN)
    with pytest.raises(ValueError, match="no foci"):
        model.fit(known_corpus, voxels, [])
    bare = replace(known_corpus, topics=np.zeros((240, 0), np.float32), topic_names=())
    for cfg in (TopicMixtureConfig(), TopicRidgeConfig()):
        with pytest.raises(ValueError, match="with_topics"):
            cfg.build(ball).fit(bare, voxels, TRAIN)


@pytest.mark.parametrize("share", [-0.1, 1.0])
@pytest.mark.parametrize(
    "config", [TopicMixtureConfig, TopicRidgeConfig, FactorsConfig, ComponentsConfig, NeighboursConfig]
)
def test_shares_of_the_global_density_outside_zero_to_one_are_refused(config, share):
    with pytest.raises(ValueError, match=f"global_share={share}"):
        config(global_share=share)


def test_everything_hidden_is_every_focus_of_studies_that_have_one(known_corpus):
    task = hide_all(known_corpus, [3, 5])
    np.testing.assert_array_equal(task.hidden, np.r_[36:48, 60:72])
    np.testing.assert_array_equal(task.hidden_of, np.repeat([0, 1], 12))
    assert not len(task.seen)
