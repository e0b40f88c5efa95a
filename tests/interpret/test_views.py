"""Views are fitted to what they may see, repeat with their seed, and are scored against what they show."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from neurolib.interpret.views import ViewConfig, settings, sweep, view_grid


@pytest.fixture(scope="module")
def clouds():
    """Four clouds in ten dimensions: two conditions in each of two recordings."""
    draw = np.random.default_rng(0)
    condition, recording = np.tile([0, 1], 60), np.repeat([0, 1], 60)
    points = draw.normal(size=(120, 10))
    points[:, 0] += 6 * condition
    points[:, 1] += 12 * recording
    return points, condition, recording


def test_pca_sees_training_rows_only(clouds):
    points = clouds[0].copy()
    train = np.arange(120) < 80
    before = ViewConfig("pca").view(points, train)
    oracle = PCA(2).fit(points[:80]).transform(points)
    np.testing.assert_allclose(np.abs(before), np.abs(oracle), atol=1e-9)
    points[80:] *= 100
    after = ViewConfig("pca").view(points, train)
    np.testing.assert_array_equal(before[:80], after[:80])


def test_a_seed_repeats_and_another_one_differs_unless_the_start_is_given(clouds):
    def view(seed, init):
        return ViewConfig("tsne", 20, init, seed, iterations=300).view(clouds[0])

    np.testing.assert_array_equal(view(0, "random"), view(0, "random"))
    assert not np.allclose(view(0, "random"), view(1, "random"))
    np.testing.assert_allclose(view(0, "pca"), view(1, "pca"), atol=1e-3)  # seeds that cannot disagree


def test_umap_finds_the_clouds_and_repeats(clouds):
    pytest.importorskip("umap")
    points, condition, recording = clouds
    config = ViewConfig("umap", 10, iterations=100)
    torch.set_num_threads(1)
    (one,) = sweep(points, [config], condition, recording, n_neighbours=5, n_nulls=50)
    assert one.condition.excess > 0.9 and one.recording.excess > 0.9 and one.kept.trustworthiness > 0.8
    assert torch.get_num_threads() == 1  # numba had set the threads of the whole process
    np.testing.assert_array_equal(one.view, config.view(points))
    assert not np.allclose(one.view, ViewConfig("umap", 10, seed=1, iterations=100).view(points))


def test_a_sweep_scores_what_was_put_in(clouds):
    points, condition, recording = clouds
    chosen = view_grid([15], seeds=2, kinds=["tsne"], iterations=300)
    found = sweep(points, chosen, condition, recording, n_neighbours=5, n_nulls=50)
    assert [one.config.setting for one in found] == [("pca", 0), ("tsne", 15), ("tsne", 15)]
    assert all(one.view.shape == (120, 2) for one in found)
    table = settings(found, n_neighbours=5)
    pca, tsne = table["pca", 0], table["tsne", 15]
    assert min(pca.condition, pca.recording, tsne.condition, tsne.recording) > 0.9
    assert np.isnan(pca.overlap) and np.isnan(pca.procrustes)
    assert tsne.trustworthiness > pca.trustworthiness
    assert 0 < tsne.overlap < 1 and 0 <= tsne.procrustes <= 1
    alone = sweep(points, chosen[:1], condition, n_neighbours=5, n_nulls=50)[0]
    assert alone.recording is None and alone.condition.excess > 0.9
    bare = settings(sweep(points, chosen[:1]))["pca", 0]
    assert np.isnan(bare.condition) and np.isnan(bare.recording)


def test_seeds_of_two_mirror_images_agree_fully(clouds):
    one = sweep(clouds[0], [ViewConfig("pca")])[0]
    other = type(one)(one.config, -2 * one.view[:, ::-1], one.kept)
    agreed = settings([one, other])["pca", 0]
    assert agreed.overlap == pytest.approx(1) and agreed.procrustes == pytest.approx(1)


def test_what_cannot_be_drawn_is_refused(clouds):
    points = clouds[0]
    with pytest.raises(ValueError, match="kind='mds'"):
        ViewConfig("mds")
    with pytest.raises(ValueError, match="init='zero'"):
        ViewConfig(init="zero")
    with pytest.raises(ValueError, match="draws all points together"):
        ViewConfig("tsne").view(points, np.arange(100))
    with pytest.raises(ValueError, match="a third is too many"):
        ViewConfig("umap", 50).view(points)
    with pytest.raises(ValueError, match="finite"):
        ViewConfig("pca").view(points * np.nan)
