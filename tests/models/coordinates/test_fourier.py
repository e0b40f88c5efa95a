"""Fourier features: the kernel they promise, and frequencies that travel with the weights."""

import numpy as np
import pytest
import torch

from neurolib.models.coordinates.fourier import FourierConfig


@pytest.mark.parametrize("sigma", [0.005, 0.02])
def test_products_of_features_are_the_gaussian_kernel(sigma):
    waves = FourierConfig((sigma,), n_waves=20_000).build()
    there = torch.tensor([[0.0, 0, 0], [5, 0, 0], [0, -12, 9], [30, 20, 10]])
    product = (waves(there) @ waves(torch.zeros(1, 3)).T)[:, 0] / 20_000
    distance = np.linalg.norm(there.numpy(), axis=1)
    expected = np.exp(-2 * (np.pi * sigma * distance) ** 2)
    np.testing.assert_allclose(product, expected, rtol=0, atol=0.02)


def test_octaves_stand_side_by_side_and_travel_with_the_weights():
    cfg = FourierConfig()
    saved, other = cfg.build(), FourierConfig(seed=1).build()
    assert saved(torch.randn(2, 5, 3)).shape == (2, 5, cfg.n_features) == (2, 5, 256)
    spread = saved.frequencies.view(3, 4, 32).std(dim=(0, 2))
    np.testing.assert_allclose(spread, cfg.sigmas_per_mm, rtol=0.25)
    place = torch.randn(4, 3)
    assert not torch.equal(saved(place), other(place))
    other.load_state_dict(saved.state_dict())
    assert torch.equal(saved(place), other(place))


@pytest.mark.parametrize("wrong", [{"sigmas_per_mm": (1.0,)}, {"sigmas_per_mm": ()}, {"n_waves": 0}])
def test_waves_that_alias_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FourierConfig(**wrong)
