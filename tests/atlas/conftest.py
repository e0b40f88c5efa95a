"""A small brain and decoders over it that nobody trained, but that are not empty either."""

import numpy as np
import pytest
import torch

from neurolib.atlas.decoder import Decoder
from neurolib.data.brain import Grid
from neurolib.models.coordinates.density_vae import DensityVAEConfig


@pytest.fixture(scope="session")
def small_brain() -> Grid:
    """A ball of odd and even edges, off the centre of its grid."""
    i, j, k = np.indices((11, 14, 9))
    return Grid((i - 4.4) ** 2 + (j - 6.7) ** 2 + (k - 4.1) ** 2 < 20, 4.0, (-20.0, -30.0, -12.0))


@pytest.fixture(scope="session")
def random_vae(small_brain):
    """An autoencoder with random weights everywhere, in evaluation."""
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    base = draw.gamma(2.0, size=small_brain.n_voxels)
    cfg = DensityVAEConfig(latent=5, hidden=24, condition=3)
    vae = cfg.build(small_brain, np.log(base / base.sum())).eval()
    with torch.no_grad():
        for parameter in (*vae.decoder.parameters(), *vae.out.parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return vae


@pytest.fixture(scope="session")
def random_decoder(random_vae, small_brain) -> Decoder:
    """The same decoder without torch."""
    state = {k: v.numpy() for k, v in random_vae.state_dict().items() if k.startswith(("decoder.", "out."))}
    return Decoder.from_state(state, small_brain, random_vae.field.log_base.numpy(), 5)
