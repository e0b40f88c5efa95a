"""Random codes: nearest in use, drawn with the promised probabilities in training."""

import math

import pytest
import torch

from neurolib.models.quantizers.gumbel import GumbelConfig

DIM, SIZE = 3, 6


def built(**settings):
    torch.manual_seed(0)
    return GumbelConfig(size=SIZE, **settings).build(DIM).double()


def latents(n=40):
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_in_use_the_code_is_the_nearest():
    quantizer, z = built().eval(), latents()
    done = quantizer(z)
    assert torch.equal(done.codes[:, 0], torch.cdist(z, quantizer.codes).argmin(dim=1))
    assert torch.equal(done.z_q, quantizer.codes[done.codes[:, 0]])


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_in_training_codes_are_drawn_by_their_distance(scale):
    quantizer, row = built(scale=scale).train(), latents(1)
    codes = quantizer(row.expand(40000, -1)).codes[:, 0]
    expected = torch.softmax(-(row - quantizer.codes).square().sum(dim=1) / scale, dim=0)
    share = torch.bincount(codes, minlength=SIZE) / 40000
    torch.testing.assert_close(share.double(), expected.detach(), atol=0.012, rtol=0)


def test_the_gradient_is_that_of_the_soft_code_with_the_same_noise():
    quantizer, z, above = built(scale=0.7).train(), latents().requires_grad_(), latents()
    quantizer.anneal(0.5)
    assert quantizer.temperature == pytest.approx(math.sqrt(0.1))
    tensors = [z, quantizer.codes]
    torch.manual_seed(5)
    ours = torch.autograd.grad(quantizer(z).z_q, tensors, above)
    torch.manual_seed(5)
    noise = -torch.empty(len(z), SIZE, dtype=torch.float64).exponential_().log()
    logits = torch.log_softmax(-torch.cdist(z, quantizer.codes).square() / 0.7, dim=1)
    soft = torch.softmax((logits + noise) / quantizer.temperature, dim=1)
    hard = torch.nn.functional.one_hot((logits + noise).argmax(dim=1), SIZE).double()
    mixed = hard + soft - soft.detach()
    for mine, theirs in zip(ours, torch.autograd.grad(mixed @ quantizer.codes, tensors, above), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-6)


def test_the_loss_is_the_divergence_of_the_mean_code_from_equal_use():
    quantizer, z = built(diversity=0.5, scale=0.7).eval(), latents()
    done = quantizer(z)
    mean = torch.softmax(-torch.cdist(z, quantizer.codes).square() / 0.7, dim=1).mean(dim=0)
    entropy = -(mean * mean.log()).sum()
    torch.testing.assert_close(done.loss, 0.5 * (math.log(SIZE) - entropy))
    torch.testing.assert_close(done.diagnostics["marginal_perplexity"], entropy.exp().detach())
    torch.testing.assert_close(done.diagnostics["mse"], (done.z_q - z).square().mean().detach())
