"""A small ball of brain, and studies whose foci come from known maps, for tests of the classical models."""

import numpy as np
import pytest

from neurolib.data.brain import Grid
from neurolib.data.coordinates import tiny


@pytest.fixture(scope="session")
def ball():
    """A ball of 4-mm voxels around the origin, its left half the mirror image of its right."""
    at = np.stack(np.meshgrid(*[np.arange(-18.0, 19.0, 4.0)] * 3, indexing="ij"), -1)
    return Grid(np.linalg.norm(at, axis=-1) <= 20, 4.0, (-18.0, -18.0, -18.0))


@pytest.fixture(scope="session")
def true_maps(ball):
    """Three hills, shape (3, n_voxels)."""
    centres = np.array([[-10.0, 6, 0], [10, 6, 0], [0, -10, 6]])
    squared = ((ball.centres_mm[None] - centres[:, None]) ** 2).sum(-1)
    maps = np.exp(-squared / (2 * 5.0**2))
    return maps / maps.sum(1, keepdims=True)


@pytest.fixture(scope="session")
def known_corpus(ball, true_maps):
    """240 studies of 12 foci in three tables; each draws its foci from the hills by its topics.

    The topics of study 0 are unknown.
    """
    rng = np.random.default_rng(0)
    topics = rng.dirichlet([0.3, 0.3, 0.3], 240)
    study = np.repeat(np.arange(240), 12)
    voxel = np.array([rng.choice(ball.n_voxels, p=topics[s] @ true_maps) for s in study])
    xyz = ball.centres_mm[voxel] + rng.uniform(-0.9, 0.9, (len(voxel), 3))
    table = np.arange(len(study)) // 4
    topics[0] = 0
    return tiny(xyz, study, table=table, topics=topics.astype(np.float32), topic_names=("a", "b", "c"))
