"""Signs and their entropies against sums over every corner of the cube."""

import itertools
import math

import pytest
import torch

from neurolib.models.quantizers.lookup_free import LookupFreeConfig

BITS = 4
CORNERS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=BITS)), dtype=torch.float64)


def latents(n, seed=0):
    return torch.randn(n, BITS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def entropy(p):
    return -torch.special.xlogy(p, p).sum(dim=-1)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_loss_and_entropies_are_those_of_the_soft_codes_written_out(spherical, temperature):
    settings = {"entropy": 0.3, "diversity": 0.7, "commitment": 0.2, "temperature": temperature}
    quantizer = LookupFreeConfig(BITS, spherical, **settings).build(BITS).double()
    z = latents(50).requires_grad_()
    done = quantizer(z)
    u = z / z.norm(dim=1, keepdim=True) if spherical else z
    corners = CORNERS / math.sqrt(BITS) if spherical else CORNERS
    soft = torch.softmax(-(u[:, None] - corners).square().sum(dim=2) / temperature, dim=1)
    of_each = entropy(soft).mean()
    on = (soft.mean(dim=0)[:, None] * (CORNERS > 0)).sum(dim=0)  # the mean code, bit by bit
    of_mean = entropy(torch.stack([on, 1 - on], dim=1)).sum()
    nearest = corners[(u[:, None] - corners).square().sum(dim=2).argmin(dim=1)]
    loss = 0.3 * (of_each - 0.7 * of_mean) + 0.2 * (u - nearest).square().mean()
    torch.testing.assert_close(done.z_q, nearest)
    torch.testing.assert_close(done.loss, loss)
    grads = [torch.autograd.grad(x, z, retain_graph=True)[0] for x in (done.loss, loss)]
    torch.testing.assert_close(*grads, atol=1e-9, rtol=1e-6)
    bits = done.diagnostics
    torch.testing.assert_close(bits["entropy"], of_each.detach() / math.log(2))
    torch.testing.assert_close(bits["marginal_entropy"], of_mean.detach() / math.log(2))
    assert of_mean >= entropy(soft.mean(dim=0)) - 1e-12  # an upper bound of the joint one


def test_the_loss_prefers_certain_latents_that_use_all_codes():
    quantizer = LookupFreeConfig(BITS, commitment=0.0).build(BITS).double()
    certain, undecided, all_alike = 3 * CORNERS, 0.01 * CORNERS, 3 * CORNERS[:1].expand(16, -1)
    losses = [float(quantizer(z).loss) for z in (certain, undecided, all_alike)]
    assert losses[0] < min(losses[1:])


def test_each_corner_has_a_code_of_its_own_and_its_bits_are_the_signs():
    quantizer = LookupFreeConfig(BITS).build(BITS).double()
    codes = quantizer(CORNERS).codes[:, 0]
    assert sorted(codes.tolist()) == list(range(16))
    assert [[(int(code) >> bit) & 1 for bit in range(BITS)] for code in codes] == (CORNERS > 0).int().tolist()


def test_the_most_bits_that_an_integer_holds_still_go_there_and_back():
    quantizer = LookupFreeConfig(62).build(62)
    done = quantizer(torch.ones(1, 62))
    assert int(done.codes) == 2**62 - 1 and torch.equal(quantizer.decode(done.codes), torch.ones(1, 62))


def test_the_sign_is_passed_straight_through_and_the_sphere_is_not():
    z = latents(1).requires_grad_()
    above = torch.arange(1.0, BITS + 1, dtype=torch.float64)[None]
    (straight,) = torch.autograd.grad(LookupFreeConfig(BITS).build(BITS).double()(z).z_q, z, above)
    assert torch.equal(straight, above)
    (on_sphere,) = torch.autograd.grad(LookupFreeConfig(BITS, True).build(BITS).double()(z).z_q, z, above)
    (expected,) = torch.autograd.grad(z / z.norm(), z, above)
    torch.testing.assert_close(on_sphere, expected)
