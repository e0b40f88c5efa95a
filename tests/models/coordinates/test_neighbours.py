"""Soft neighbours, against a slow loop over studies."""

import numpy as np

from neurolib.models.coordinates.neighbours import NeighboursConfig


def test_a_map_equals_a_slow_loop_over_training_studies(ball, known_corpus):
    corpus, voxels, train = known_corpus, known_corpus.voxels(ball), np.arange(100)
    cfg = NeighboursConfig(n_neighbours=15, temperature=0.2, global_share=0.25)
    model = cfg.build(ball).fit(corpus, voxels, train)

    def read(rows):
        total = np.zeros(model.maps.n_nodes)
        for v in voxels[rows]:
            np.add.at(total, model.maps.field.index[v].numpy(), model.maps.field.kernel[v].numpy())
        return total / len(rows)

    known = np.array([read(corpus.foci([s])) for s in train])
    mean = known.mean(0)
    for study in (150, 151):
        rows = corpus.foci([study])[:5]
        mine = read(rows) - mean
        cosine = [(k - mean) @ mine / np.linalg.norm(k - mean) / np.linalg.norm(mine) for k in known]
        near = np.argsort(cosine)[-15:]
        weight = np.exp(np.array(cosine)[near] / 0.2)
        average = weight @ known[near] / weight.sum()
        wanted = 0.75 * model.maps.densities(average[None], mean)[0] + 0.25 * model.base
        np.testing.assert_allclose(model.density(corpus, voxels, rows, study), wanted, rtol=1e-3)


def test_more_neighbours_than_studies_are_all_of_them(ball, known_corpus):
    voxels, rows = known_corpus.voxels(ball), np.arange(12)
    maps = [
        NeighboursConfig(n)
        .build(ball)
        .fit(known_corpus, voxels, np.arange(30))
        .density(known_corpus, voxels, rows, 0)
        for n in (30, 500)
    ]
    np.testing.assert_allclose(*maps, rtol=1e-5)
