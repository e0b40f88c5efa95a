"""Sampling whole studies: independent without kernels, and exactly the stated mixture with them."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import chisquare

from neurolib.data.brain import Grid
from neurolib.models.coordinates.sampler import FociSamplerConfig

MASK = np.ones((10, 10, 10), bool)
MASK[:2, :2] = False
GRID = Grid(MASK, 8.0, (-36.0, -36.0, -36.0))
DENSITY = np.exp(-((GRID.centres_mm - [24.0, 0.0, 0.0]) ** 2).sum(1) / (2 * 25.0**2))
DENSITY /= DENSITY.sum()
BLOCKS = GRID.voxels // 4 @ [9, 3, 1]  # coarse places, so that each has enough draws


def drawn(n_studies=300, n=8, seed=0, local=(), mirror=()):
    sampler = FociSamplerConfig(local, mirror).build(GRID)
    rng = np.random.default_rng(seed)
    return np.stack(sampler.studies([DENSITY] * n_studies, [n] * n_studies, rng))


def pooled_p_value(voxels, expected):
    places = np.bincount(BLOCKS, expected, 27)
    found = np.bincount(BLOCKS[voxels], minlength=27)
    kept = places > 0
    return chisquare(found[kept], places[kept] * len(voxels)).pvalue


def nearest(studies):
    """Mean distance to the nearest other focus of the study, mm."""
    apart = [squareform(pdist(GRID.centres_mm[s])) + np.diag([np.inf] * len(s)) for s in studies]
    return np.mean([each.min(1).mean() for each in apart])


def test_without_kernels_foci_are_independent_draws():
    studies = drawn(n_studies=1500)
    assert pooled_p_value(studies.ravel(), DENSITY) > 1e-3
    later = GRID.centres_mm[studies[:, 1]] - DENSITY @ GRID.centres_mm
    first = GRID.centres_mm[studies[:, 0]] - DENSITY @ GRID.centres_mm
    together = (first * later).mean(0) / (DENSITY @ (GRID.centres_mm - DENSITY @ GRID.centres_mm) ** 2)
    assert np.abs(together).max() < 4 / np.sqrt(1500)


@pytest.mark.parametrize("kernel", [{"local": ((0.6, 20.0),)}, {"mirror": ((0.6, 20.0),)}])
def test_the_next_focus_is_from_the_stated_mixture(kernel):
    sampler = FociSamplerConfig(**({"local": (), "mirror": ()} | kernel)).build(GRID)
    rng = np.random.default_rng(1)
    first = int(GRID.index([[-28.0, 20.0, -20.0]])[0])
    certain = np.eye(GRID.n_voxels)[first]
    both = np.array([sampler.draw(certain, 2, rng) for _ in range(4000)])
    assert (both[:, 0] == first).all()
    expected = sampler.next(certain, [first])
    assert expected.sum() == pytest.approx(1)
    # independent of the sampler's own arithmetic: the kernel as many points around its centre
    centre = GRID.centres_mm[GRID.mirror[first] if "mirror" in kernel else first]
    cloud = GRID.index(centre + rng.normal(0, 20.0 / 2.3548, (200_000, 3)))
    cloud = np.bincount(cloud[cloud >= 0], minlength=GRID.n_voxels) / (cloud >= 0).sum()
    slow = 0.4 * certain + 0.6 * cloud
    assert np.abs(slow - expected).sum() < 0.04
    places = np.bincount(BLOCKS, expected, 27)
    rare = places * 4000 < 5
    found = np.bincount(BLOCKS[both[:, 1]], minlength=27)
    joined = [np.r_[each[~rare], each[rare].sum() + 1e-9] for each in (found, places * 4000)]
    joined[0] *= joined[1].sum() / joined[0].sum()
    assert chisquare(*joined).pvalue > 1e-3


def test_local_kernels_bring_neighbours_and_mirrors_bring_partners():
    alone, local = nearest(drawn()), nearest(drawn(local=((0.4, 10.0),)))
    more = nearest(drawn(local=((0.8, 10.0),)))
    assert more < 0.8 * local < 0.8 * 0.95 * alone

    def partners(studies):
        here = GRID.centres_mm[studies]
        apart = np.linalg.norm(here[:, :, None] - here[:, None] * [-1, 1, 1], axis=-1)
        return (apart.min(2) < 9).mean()

    assert partners(drawn(mirror=((0.5, 8.0),))) > partners(drawn()) + 0.2


def test_the_generator_decides():
    kernels = {"local": ((0.3, 10.0),), "mirror": ((0.3, 10.0),)}
    assert np.array_equal(drawn(5, **kernels), drawn(5, **kernels))
    assert not np.array_equal(drawn(5, **kernels), drawn(5, seed=1, **kernels))


def test_what_is_no_density_is_refused():
    sampler, rng = FociSamplerConfig().build(GRID), np.random.default_rng(0)
    with pytest.raises(ValueError, match="log prob"):
        sampler.draw(np.log(DENSITY), 3, rng)
    with pytest.raises(ValueError, match="studies"):
        sampler.draw(DENSITY[None], 3, rng)
    with pytest.raises(ValueError, match="weights sum to"):
        FociSamplerConfig(local=((0.7, 8.0),), mirror=((0.5, 8.0),))
    with pytest.raises(ValueError, match="width"):
        FociSamplerConfig(local=((0.7, 0.0),))
