"""Mixtures over the brain against torch's own distributions, and a normaliser that is right on average."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from neurolib.data.brain import Grid
from neurolib.models.coordinates.mixture_density import MixtureDensityConfig

MASK = np.ones((10, 10, 10), bool)
MASK[:3, :, 6:] = False
GRID = Grid(MASK, 8.0, (-36.0, -30.0, -20.0))


def mixture(**settings):
    return MixtureDensityConfig(**({"components": 5} | settings)).build(GRID)


def parameters(n=3, scale=1.5, of=5):
    return scale * torch.randn(n, 10 * of, generator=torch.Generator().manual_seed(1))


def test_log_probabilities_are_those_of_an_independent_mixture():
    made = mixture()
    log_weight, mean, covariance = (part.double() for part in made.components(parameters()))
    theirs = MixtureSameFamily(Categorical(logits=log_weight), MultivariateNormal(mean, covariance))
    centres = torch.as_tensor(GRID.centres_mm)
    logs = torch.stack([theirs.log_prob(each) for each in centres[:, None].expand(-1, 3, -1)], 1)
    found = made(parameters())
    np.testing.assert_allclose(found, logs.log_softmax(1), rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.double().exp().sum(1), 1, atol=1e-5)


def test_widths_and_means_keep_their_bounds_however_extreme_the_parameters():
    _, mean, covariance = mixture().components(parameters(50, scale=30.0))
    widths = torch.linalg.eigvalsh(covariance.double()).sqrt()
    along = covariance.diagonal(dim1=2, dim2=3).sqrt()
    assert widths.min() > 3.99 and along.max() < 25.01
    assert widths.min() < 4.1 and along.max() > 24.9  # and reach them
    lowest, highest = GRID.centres_mm.min(0) - 4.01, GRID.centres_mm.max(0) + 4.01
    assert (mean.numpy() >= lowest).all() and (mean.numpy() <= highest).all()


def test_the_normaliser_of_a_part_is_right_on_average_and_exact_for_stride_one():
    made, numbers, voxels = mixture(stride=2), parameters(), torch.tensor([[3], [400], [77]])
    exact = made(numbers).gather(1, voxels)
    parts = torch.stack([made.at_foci(numbers, voxels, part) for part in range(8)])
    masses = (exact - parts).exp().mean(0)  # mean over parts of the normaliser, over the exact one
    np.testing.assert_allclose(masses, 1, atol=1e-4)
    assert (parts[0] - exact).abs().max() > 1e-3  # or parts would be no parts
    np.testing.assert_allclose(mixture(stride=1).at_foci(numbers, voxels), exact, atol=1e-4)


def test_the_start_covers_a_density():
    density = np.exp(-((GRID.centres_mm - [20.0, 10.0, 0.0]) ** 2).sum(1) / (2 * 12.0**2)) + 1e-4
    density /= density.sum()
    made = mixture(components=8)
    log_p = made(made.fitted(density)[None])[0].double().numpy()
    uniform = density @ np.log(density * GRID.n_voxels)
    assert density @ (np.log(density) - log_p) < 0.15 * uniform


@pytest.mark.parametrize("wrong", [{"sigma_mm": (5.0, 4.0)}, {"components": 0}, {"stride": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        mixture(**wrong)
