import numpy as np
import pytest
import torch
from torch import nn

from neurolib.interpret.attribution.checks import (
    Randomisation,
    block_sums,
    deletion_insertion,
    gain,
    random_curves,
    randomisation_cascade,
)
from neurolib.interpret.attribution.grad_cam import grad_cam, upsampled
from neurolib.interpret.attribution.integrated_gradients import integrated_gradients
from neurolib.interpret.attribution.maps import Attribution
from neurolib.interpret.attribution.simple import block_index, gradient, input_x_gradient, occlusion


def test_blocks_of_several_tensors_are_deleted_in_one_list():
    """Two tensors of other rates, in blocks, against a loop."""
    torch.manual_seed(0)
    inputs = {"a": torch.randn(3, 6, 2), "b": torch.randn(3, 4)}
    low = {"a": torch.randn(3, 6, 2), "b": torch.randn(3, 4)}
    blocks = {"a": (3, 1), "b": (2,)}

    def score(given):
        return given["a"].sum((1, 2)).tanh() + given["b"].square().sum(1)

    made = integrated_gradients(score, inputs, low)
    sums = block_sums(made, blocks)
    assert sums.shape == (3, 6)
    assert sums[0, 1] == pytest.approx(made.values["a"][0, :3, 1].sum().item(), rel=1e-5)
    curves = deletion_insertion(score, inputs, sums, low, blocks, n_steps=6, n_rows=5)
    sign = (score(inputs) - score(low)).sign()
    scale = (score(inputs) - score(low)).abs().mean()
    for row in range(3):
        x = {name: value[row : row + 1].clone() for name, value in inputs.items()}
        for step, block in enumerate((sums[row] * sign[row]).argsort(descending=True).tolist()):
            for name, first in (("a", 0), ("b", 4)):
                here = first + block_index(tuple(x[name].shape[1:]), blocks[name]) == block
                x[name] = torch.where(here, low[name][row], x[name])
            wanted = sign[row] * (score(x)[0] - score(low)[row]) / scale
            assert curves.deletion[row, step + 1] == pytest.approx(float(wanted), abs=1e-5)
    assert np.allclose(curves.deletion[:, -1], 0, atol=1e-6)
    assert np.allclose(curves.insertion[:, -1], curves.deletion[:, 0])


def test_a_map_of_noise_is_no_better_than_random_order_and_the_truth_is():
    torch.manual_seed(0)
    w = torch.randn(40)

    def score(z):
        return (z * w).sum(1).sinh()

    x = torch.rand(60, 40)
    chance = random_curves(score, x, 40, n_orders=4)
    noise = gain(deletion_insertion(score, x, torch.randn(60, 40)), chance)
    truth = gain(deletion_insertion(score, x, x * w), chance)
    spread = noise.deletion.std() / len(x) ** 0.5
    assert abs(noise.deletion.mean()) < 4 * spread
    assert truth.deletion.mean() > 10 * spread and truth.insertion.mean() > 0
    with pytest.raises(ValueError, match="no random order"):
        gain(chance[0], [])
    with pytest.raises(ValueError, match="rank with block_sums"):
        deletion_insertion(score, x, torch.randn(60, 3))


def test_ties_are_broken_at_random_and_not_by_position():
    x = torch.ones(1, 10)

    def score(z):
        return z @ torch.arange(10.0)

    curves = [deletion_insertion(score, x, torch.zeros(1, 10), seed=seed).areas[0][0] for seed in range(30)]
    assert np.std(curves) > 0.05 and abs(np.mean(curves) - 0.5) < 0.05


def networks():
    torch.manual_seed(0)
    made = [nn.Sequential(nn.Linear(12, 64), nn.Tanh(), nn.Linear(64, 1)) for _ in range(2)]
    return made, torch.randn(30, 12)


@pytest.mark.parametrize("with_fresh", [False, True])
def test_weights_are_made_random_in_a_copy_from_the_top_down(with_fresh):
    (model, fresh), x = networks()
    before = {name: p.clone() for name, p in model.named_parameters()}
    seen = []

    def explain(m):
        seen.append({name: not torch.equal(p, before[name]) for name, p in m.named_parameters()})
        return gradient(lambda z: m(z)[:, 0], x)

    made = randomisation_cascade(model, explain, fresh=fresh if with_fresh else None)
    assert made.stages == ("2", "0") and made.size.shape == (2, 30)
    assert [sorted(name for name, new in one.items() if new) for one in seen] == [
        [],
        ["2.bias", "2.weight"],
        ["0.bias", "0.weight", "2.bias", "2.weight"],
    ]
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    if with_fresh:
        direct = gradient(lambda z: fresh(z)[:, 0], x).flat
        torch.testing.assert_close(explain(fresh).flat, direct)
    assert made.passes()
    with pytest.raises(ValueError, match="no parameters under 'decoder'"):
        randomisation_cascade(model, explain, stages=["decoder"])


def test_maps_that_stay_fail_also_if_they_are_constant():
    (model, _), x = networks()
    for values in (x, torch.ones_like(x)):
        made = randomisation_cascade(
            model, lambda m, v=values: Attribution({"x": v}, {"x": ("batch", "channel")})
        )
        assert not made.passes() and (made.size == 1).all()
    assert Randomisation(("a",), np.full((1, 3), 0.4), np.zeros((1, 3))).passes()


def test_parameters_of_modules_that_cannot_reset_are_shuffled():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(50.0))

        def forward(self, x):
            return x * self.weight

    model, x = Scale(), torch.ones(2, 50)
    made = randomisation_cascade(model, lambda m: input_x_gradient(lambda z: m(z).sum(1), x))
    assert abs(made.signed[-1, 0]) < 0.5


def test_occlusion_of_blocks_shares_their_loss_out():
    x, low = torch.randn(2, 4, 6, 2)

    def score(z):
        return z.sum((1, 2)).square()

    made = occlusion(score, x, low, blocks={"input": (3, 2)}, n_rows=3).values["input"]
    gone = x.clone()
    gone[:, :3] = low[:, :3]
    torch.testing.assert_close(made[:, :3].sum((1, 2)), score(x) - score(gone), atol=1e-4, rtol=1e-4)
    assert (made[:, 0, 0] == made[:, 2, 1]).all()
    with pytest.raises(ValueError, match="one size of 1 or more per axis"):
        occlusion(score, x, blocks={"input": (3,)})


def test_grad_cam_has_electrodes_and_clips_unless_signed():
    net = nn.Sequential(nn.Identity(), nn.Flatten())
    maps = torch.randn(2, 5, 3, 4)  # token, electrode, feature

    def score(z):
        return net(z).unflatten(1, (5, 3, 4)).square().sum((1, 2, 3))

    signed = grad_cam(net, maps, "0", score, signed=True)
    plain = grad_cam(net, maps, "0", score)
    weight = 2 * maps.mean((1, 2), keepdim=True)
    torch.testing.assert_close(signed.values["0"], (weight * maps).sum(-1))
    torch.testing.assert_close(plain.values["0"], signed.values["0"].relu())
    assert upsampled(plain.values["0"], 20).shape == (2, 20, 3)
    constant = torch.ones(2, 5, 3)
    assert (upsampled(constant, 17) == 1).all()
    with pytest.raises(ValueError, match="no axis besides"):
        grad_cam(net, maps, "1", score)
    with pytest.raises(ValueError, match="mode='cubic'"):
        upsampled(constant, 17, "cubic")
