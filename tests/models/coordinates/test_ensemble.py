"""Ensembles of densities: the mean of probabilities, who disagrees, and one model's interface."""

import numpy as np
import pytest
import torch

from neurolib.data.brain import Grid
from neurolib.models.coordinates.ensemble import DensityEnsemble, interval
from neurolib.models.coordinates.point_vae import PointVAEConfig

GRID = Grid(np.ones((10, 10, 10), bool), 8.0, (-36.0, -36.0, -36.0))


class Fixed(torch.nn.Module):
    """Says the same density of every study, blurred by a draw if there is one."""

    def __init__(self, density, noise=0.0):
        super().__init__()
        self.density, self.noise = torch.nn.Parameter(torch.tensor(density)), noise

    @torch.no_grad()
    def densities(self, batch, n_samples=16, seed=0, block=64):
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, len(batch["mask"]), block):
            n = len(batch["mask"][start : start + block])
            drawn = torch.randn(n, 1, generator=generator) * (self.noise if n_samples else 0)
            yield (self.density.log() * (1 + drawn)).softmax(1)


BATCH = {
    "voxels": torch.tensor([[0, 1], [2, 0], [1, 1]]),
    "mask": torch.tensor([[True, True], [True, False], [True, True]]),
    "seen": torch.tensor([[True, False], [False, False], [True, False]]),
}
SURE, UNSURE = [0.98, 0.01, 0.01], [0.2, 0.4, 0.4]


def test_probabilities_are_averaged_not_their_logs():
    both = DensityEnsemble([Fixed(SURE), Fixed(UNSURE)])
    blocks = list(both.densities(BATCH, n_samples=0, block=2))
    assert [len(block) for block in blocks] == [2, 1]
    np.testing.assert_allclose(torch.cat(blocks), [[0.59, 0.205, 0.205]] * 3, rtol=1e-6)


def test_agreeing_members_have_no_epistemic_entropy_and_others_have():
    alike = next(DensityEnsemble([Fixed(UNSURE)] * 3).forecasts(BATCH, n_samples=0))
    np.testing.assert_allclose(alike.entropy.epistemic, 0, atol=1e-9)
    np.testing.assert_allclose(alike.high - alike.low, 0, atol=1e-9)
    apart = next(DensityEnsemble([Fixed(SURE), Fixed(UNSURE)]).forecasts(BATCH, n_samples=0))
    mean = np.mean([SURE, UNSURE], 0)
    own = np.mean([-np.sum(p * np.log(p)) for p in (np.array(SURE), np.array(UNSURE))])
    np.testing.assert_allclose(apart.entropy.epistemic, -np.sum(mean * np.log(mean)) - own, rtol=1e-5)
    np.testing.assert_allclose(apart.entropy.aleatoric, own, rtol=1e-5)
    np.testing.assert_allclose(apart.diversity, apart.entropy.epistemic, rtol=1e-6)  # of two members
    np.testing.assert_allclose(apart.density[0], mean, rtol=1e-6)


def test_the_interval_widens_with_draws_and_level():
    noisy = DensityEnsemble([Fixed(UNSURE, 0.3), Fixed(UNSURE, 0.3)])
    means, draws, narrow = (
        np.concatenate([f.high - f.low for f in noisy.forecasts(BATCH, n, level, block=2)])
        for n, level in ((0, 0.9), (50, 0.9), (50, 0.5))
    )
    assert means.max() < 1e-6
    assert (draws > narrow).all() and narrow.min() > 0.01


def test_intervals_are_quantiles():
    values = np.random.default_rng(0).normal(size=(2001, 2))
    low, high = interval(values, 0.8)
    np.testing.assert_allclose(((values >= low) & (values <= high)).mean(0), 0.8, atol=2e-3)
    with pytest.raises(ValueError, match="level=90"):
        interval(values, 90)


def test_an_ensemble_of_trained_models_counts_and_others_say_that_they_cannot():
    cfg = PointVAEConfig(latent=2, hidden=8)
    members = [cfg.build(GRID, np.zeros(1000), seed=seed) for seed in range(2)]
    for member, foci in zip(members, (10.0, 20.0), strict=True):
        member.how_many.bias.data.fill_(np.log(foci))
    batch = BATCH | {"xyz": torch.zeros(3, 2, 3), "condition": torch.zeros(3, 0)}
    np.testing.assert_allclose(DensityEnsemble(members).expected_foci(batch), 15.0, rtol=1e-5)
    assert next(DensityEnsemble(members).forecasts(batch, n_samples=2)).low.shape == (3, 1000)
    with pytest.raises(ValueError, match="Fixed"):
        DensityEnsemble([*members, Fixed(SURE)]).expected_foci(batch)
    with pytest.raises(ValueError, match="needs a member"):
        DensityEnsemble([])
