"""Components and their regression, against a full decomposition and least squares in float64."""

import numpy as np
import pytest

from neurolib.data.coordinate_splits import hide_half
from neurolib.models.coordinates.components import ComponentsConfig
from neurolib.models.coordinates.study_maps import StudyMaps

TRAIN = np.arange(200)


@pytest.fixture(scope="module")
def model(ball, known_corpus):
    return ComponentsConfig(6, topics=True).build(ball).fit(known_corpus, known_corpus.voxels(ball), TRAIN)


def maps_of(model, voxels, of, n):
    """Density on the nodes of each study by a loop over foci."""
    maps = np.zeros((n, model.maps.n_nodes))
    field = model.maps.field
    for study, voxel in zip(of, voxels, strict=True):
        np.add.at(maps[study], field.index[voxel].numpy(), field.kernel[voxel].numpy().astype(float))
    return maps / np.bincount(of, minlength=n)[:, None]


def test_axes_span_the_leading_singular_vectors(model, ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    maps = maps_of(model, voxels[known_corpus.foci(TRAIN)], known_corpus.study[known_corpus.foci(TRAIN)], 200)
    axes = np.linalg.svd(maps - maps.mean(0), full_matrices=False)[2][:6]
    np.testing.assert_allclose(model.mean, maps.mean(0), rtol=1e-4)
    cosines = np.linalg.svd(axes @ model.axes.T, compute_uv=False)
    assert cosines[0] <= 1 + 1e-5
    assert cosines[:4].min() > 0.99  # the last ones of close size mix with those left out


def test_coefficients_solve_the_penalised_least_squares_of_both_directions(model, ball, known_corpus):
    voxels, cfg = known_corpus.voxels(ball), model.cfg
    halves = hide_half(known_corpus, TRAIN, seed=cfg.seed)
    scores, sizes = [], []
    for rows, of in ((halves.seen, halves.seen_of), (halves.hidden, halves.hidden_of)):
        scores.append((maps_of(model, voxels[rows], of, 200) - model.mean) @ model.axes.T)
        sizes.append(np.bincount(of)[:, None])
    roots = np.sqrt(known_corpus.topics[TRAIN].astype(float))
    topics = np.where(known_corpus.topics[TRAIN].sum(1, keepdims=True) > 0, roots - roots.mean(0), 0)
    blocks = [np.c_[z, z * n / (n + 10), topics] for z, n in zip(scores, sizes, strict=True)]
    inputs, targets = np.concatenate(blocks), np.concatenate(scores[::-1])
    weak = np.diag(np.sqrt(cfg.penalty * len(inputs) * (inputs.var(0) + 1e-12)))
    stacked = np.concatenate([inputs, weak]), np.concatenate([targets, np.zeros((len(weak), 6))])
    wanted = np.linalg.lstsq(*stacked, rcond=None)[0]
    np.testing.assert_allclose(inputs @ model.coefficients, inputs @ wanted, atol=1e-3 * targets.std())


def test_the_mean_map_is_the_global_density_and_twice_a_map_is_the_same_map(ball):
    rng = np.random.default_rng(0)
    base = rng.dirichlet(np.ones(ball.n_voxels) * 5)
    maps = StudyMaps(ball, base, 14.0)
    mean = rng.random(maps.n_nodes) + 0.5
    np.testing.assert_allclose(maps.densities(mean[None], mean)[0], base, rtol=1e-4)
    other = rng.random((1, maps.n_nodes)) + 0.5
    np.testing.assert_allclose(maps.densities(2 * other, mean), maps.densities(other, mean), rtol=1e-4)
    raised = mean * np.where(np.arange(maps.n_nodes) == 60, 3.0, 1.0)
    assert (maps.densities(raised[None], mean)[0] / base).argmax() in np.flatnonzero(
        (maps.field.index == 60).any(1).numpy()
    )


def test_more_seen_foci_move_the_prediction_further(model, ball, known_corpus):
    voxels = known_corpus.voxels(ball)
    bare = ComponentsConfig(6).build(ball).fit(known_corpus, voxels, TRAIN)
    rows = known_corpus.foci([int(known_corpus.topics[:, 2].argmax())])
    hill = np.bincount(voxels[rows]).argmax()
    rises = []
    for n in (1, 4, 12):
        same = voxels.copy()
        same[rows] = hill
        rises.append(bare.density(known_corpus, same, rows[:n], 0)[hill] / bare.base[hill])
    assert 1 < rises[0] < rises[1] < rises[2]


def test_studies_too_small_to_halve_are_refused(ball, known_corpus):
    with pytest.raises(ValueError, match="0 of 1 studies have the 4 foci"):
        few = known_corpus.keep(known_corpus.study * 12 + 3 > np.arange(known_corpus.n_foci), "three each")
        ComponentsConfig(2).build(ball).fit(few, few.voxels(ball), [0])
