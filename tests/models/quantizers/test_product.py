"""Quantizers side by side: each group is what it would be alone."""

import pytest
import torch

from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.product import ProductConfig
from neurolib.models.quantizers.residual import ResidualConfig


def latents(n=300, seed=0):
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("each", [ResidualConfig(2, 8), FiniteScalarConfig((5, 3))], ids=["residual", "grid"])
def test_each_group_codes_its_own_channels_and_no_others(each):
    quantizer, z = ProductConfig(2, each).build(6).init_kmeans(latents()).eval(), latents(50, seed=1)
    done, width = quantizer(z), quantizer.n_codebooks // 2
    for at, group in enumerate(quantizer.groups):
        alone = group(z[:, 3 * at : 3 * at + 3])
        assert torch.equal(done.codes[:, width * at : width * (at + 1)], alone.codes)
        assert torch.equal(done.z_q[:, 3 * at : 3 * at + 3], alone.z_q)


def test_one_group_is_the_quantizer_itself_and_loss_and_diagnostics_are_means():
    z = latents(50, seed=1)
    quantizer = ProductConfig(2, ResidualConfig(2, 8)).build(6).init_kmeans(latents()).eval()
    done, parts = (
        quantizer(z),
        [group(part) for group, part in zip(quantizer.groups, z.split(3, 1), strict=True)],
    )
    torch.testing.assert_close(done.loss, (parts[0].loss + parts[1].loss) / 2)
    errors = [part.diagnostics["stage_mse"] for part in parts]
    torch.testing.assert_close(done.diagnostics["stage_mse"], (errors[0] + errors[1]) / 2)
    torch.testing.assert_close(done.diagnostics["stage_mse"][-1], (done.z_q - z).square().mean())


def test_the_jacobian_is_the_identity_across_groups():
    quantizer = ProductConfig(3, ResidualConfig(2, 8)).build(6).init_kmeans(latents())
    found = torch.autograd.functional.jacobian(lambda z: quantizer(z).z_q, latents(1)[0])
    assert torch.equal(found, torch.eye(6))
