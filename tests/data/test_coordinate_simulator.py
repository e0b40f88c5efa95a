"""Simulated studies have the habits of recorded ones, and their causes can be found again."""

import numpy as np
import pytest

from neurolib.data.brain import Grid
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.data.coordinate_splits import split_studies
from neurolib.data.neurosynth import check_row_order, cleaned
from neurolib.metrics.density_gain import gain
from neurolib.models.coordinates.density import smoothed_density


@pytest.fixture(scope="module")
def simulated():
    return CorpusSimulator(n_studies=600).simulate(seed=1)


def test_the_same_seed_draws_the_same_studies(simulated):
    again = CorpusSimulator(n_studies=600).simulate(seed=1)[0]
    np.testing.assert_array_equal(simulated[0].xyz_mm, again.xyz_mm)
    assert simulated[0].simulated and not simulated[0].standardised
    other = CorpusSimulator(n_studies=600).simulate(seed=2)[0]
    assert other.n_foci != simulated[0].n_foci


def test_foci_are_reported_as_articles_do(simulated):
    raw = simulated[0]
    np.testing.assert_array_equal(raw.xyz_mm, np.rint(raw.xyz_mm))
    assert (raw.xyz_mm % 2 == 0).mean() > 0.9
    assert 0.1 < (raw.space == "TAL").mean() < 0.25
    assert cleaned(raw).n_foci > 0.97 * raw.n_foci  # they are in the brain, once moved to MNI space


def test_the_truth_predicts_foci_better_than_the_density_of_all(simulated):
    corpus, truth = cleaned(simulated[0]), simulated[1]
    grid, split = Grid.mni(4), split_studies(corpus)
    voxels = corpus.voxels(grid)
    base = np.log(smoothed_density(voxels[corpus.foci(split.train)], grid))
    at = corpus.foci(split.test)
    true = np.concatenate(
        [truth.log_density(corpus.id[i])[voxels[corpus.first[i] : corpus.first[i + 1]]] for i in split.test]
    )
    assert gain(true, base[voxels[at]], corpus.study[at]).low > 0.2


def test_topics_and_titles_belong_to_the_studies(simulated):
    raw = simulated[0]
    np.testing.assert_allclose(raw.topics.sum(1), 1, atol=1e-5)
    check_row_order(raw.topics, raw.topic_names, raw.title, "made")
    with pytest.raises(ValueError, match="rows are in another order"):
        check_row_order(raw.topics[::-1], raw.topic_names, raw.title, "made")


@pytest.mark.parametrize(("settings", "message"), [({"n_studies": 3}, "too little"), ({"tal": 1.0}, "share")])
def test_settings_that_make_no_corpus_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CorpusSimulator(**settings)
