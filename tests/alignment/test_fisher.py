"""Fisher information against closed forms, a slow loop, and the mistakes it is often replaced by."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from neurolib.alignment.fisher import (
    FisherConfig,
    diagonal_fisher,
    fisher_pruning_masks,
    grouped_fisher,
    unit_fisher,
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()


@pytest.fixture
def x():
    return torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_exact_is_the_closed_form_at_the_last_layer(net, x):
    found = diagonal_fisher(net, x, FisherConfig(answers="exact"))
    hidden, p = net[:2](x), net(x).softmax(-1)
    spread = p * (1 - p)  # variance of the gradient at each logit
    assert_close(found["2.bias"], spread.mean(0))
    assert_close(found["2.weight"], (spread[:, :, None] * hidden.square()[:, None]).mean(0).detach())


def test_draws_tend_to_the_exact_sum(net, x):
    exact = diagonal_fisher(net, x, FisherConfig(answers="exact"))["0.weight"]
    drawn = diagonal_fisher(net, x, FisherConfig(n_draws=300))["0.weight"]
    assert (drawn - exact).abs().mean() < 0.1 * exact.mean()


def test_gaussian_is_the_squared_jacobian(net, x):
    found = diagonal_fisher(net, x, FisherConfig("gaussian", n_draws=400))["0.weight"]
    wanted = torch.zeros_like(found)
    for row in x:
        for k in range(3):
            (grad,) = torch.autograd.grad(net(row[None])[0, k], net[0].weight)
            wanted += grad.square() / len(x)
    assert (found - wanted).abs().mean() < 0.1 * wanted.mean()


def test_the_square_of_a_batchs_gradient_is_not_it(net, x):
    labels = torch.arange(8) % 3
    ours = diagonal_fisher(net, x, FisherConfig(answers="data"), labels)
    loss = nn.functional.cross_entropy(net(x), labels)
    wrong = dict(zip(ours, (g.square() for g in torch.autograd.grad(loss, net.parameters())), strict=True))
    loop = {name: torch.zeros_like(value) for name, value in ours.items()}
    for i in range(8):
        loss = nn.functional.cross_entropy(net(x[i : i + 1]), labels[i : i + 1])
        for name, grad in zip(loop, torch.autograd.grad(loss, net.parameters()), strict=True):
            loop[name] += grad.square() / 8
    for name, value in ours.items():
        assert_close(value, loop[name])
        assert (wrong[name] - value).abs().max() > 0.1 * value.max()


def test_a_network_that_fits_its_data_has_no_empirical_information(x):
    torch.manual_seed(0)
    net, labels = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 3)).double(), torch.arange(8) % 3
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimiser.step()
    exact, empirical = (
        diagonal_fisher(net, x, FisherConfig(answers=a), labels)["0.weight"].sum() for a in ("exact", "data")
    )
    assert empirical < 0.1 * exact


@pytest.mark.parametrize("answers", ["exact", "data"])
def test_units_are_gates(net, x, answers):
    labels, cfg = torch.arange(8) % 3, FisherConfig(answers=answers)
    found = unit_fisher(net, x, "1", cfg, labels)
    wanted = torch.zeros(6, dtype=torch.float64)
    for i in range(8):
        p = net(x[i : i + 1]).softmax(-1)[0]
        for k in range(3):
            share = p[k].item() if answers == "exact" else float(k == labels[i])
            gate = torch.ones(6, dtype=torch.float64, requires_grad=True)
            log_p = net[2](net[:2](x[i : i + 1]) * gate).log_softmax(-1)[0, k]
            wanted += share * torch.autograd.grad(log_p, gate)[0].square() / 8
    assert_close(found, wanted)


def test_places_of_one_input_are_summed_before_they_are_squared():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)).double(), torch.randn(4, 5, 2).double()
    targets = torch.randint(2, (4, 5))
    found = unit_fisher(net, x, "0", FisherConfig(answers="data"), targets)
    gate = torch.ones(3, dtype=torch.float64, requires_grad=True)
    wanted = 0
    for i in range(4):
        log_p = net[1](net[0](x[i]) * gate).log_softmax(-1)[torch.arange(5), targets[i]].sum()
        wanted = wanted + torch.autograd.grad(log_p, gate)[0].square() / 4
    assert_close(found, wanted)


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9])
def test_masks_remove_exactly_as_many_also_of_equals(net, scope, sparsity):
    flat = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    masks = fisher_pruning_masks(net, flat, sparsity, scope)
    assert set(masks.keep) == {"0.weight", "2.weight"}  # biases stay
    sizes = [48 - 18 if k == "0.weight" else 18 for k in masks.keep]
    gone = [int((~m).sum()) for m in masks.keep.values()]
    assert (
        sum(gone) == round(sparsity * 48)
        if scope == "global"
        else gone == [round(sparsity * s) for s in sizes]
    )
    assert np.isclose(masks.sparsity, sum(gone) / 48)


def test_the_cheapest_go_first(net, x):
    fisher = diagonal_fisher(net, x, FisherConfig(answers="exact"))
    masks = fisher_pruning_masks(net, fisher, 0.5)
    cost = {k: fisher[k] * dict(net.named_parameters())[k].detach().square() for k in masks.keep}
    kept = torch.cat([cost[k][m] for k, m in masks.keep.items()])
    gone = torch.cat([cost[k][~m] for k, m in masks.keep.items()])
    assert kept.min() >= gone.max()


def test_sums_and_means_of_groups_rank_differently(net, x):
    fisher = {"a.weight": torch.full((10, 10), 0.1), "b.weight": torch.full((1, 2), 2.0)}
    found = grouped_fisher(fisher)
    assert max(found.total, key=found.total.get) == "a" and max(found.mean, key=found.mean.get) == "b"
    assert grouped_fisher(fisher, "channel").size["a.weight[3]"] == 10


def test_bad_requests_are_named(net, x):
    for ask, message in (
        (lambda: FisherConfig("gaussian", "exact"), "sums over classes"),
        (lambda: FisherConfig(answers="labels"), "answers='labels'"),
        (lambda: diagonal_fisher(net, x, FisherConfig(answers="data")), "needs targets"),
        (lambda: diagonal_fisher(net.requires_grad_(False), x), "no weight of the model is trained"),
        (lambda: fisher_pruning_masks(net, {"9.weight": torch.ones(1)}, 0.5), "no weight '9.weight'"),
        (lambda: grouped_fisher({}, "head"), "by='head'"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
