"""Variants of sparse autoencoders: against slow loops, finite differences and what each promises."""

import numpy as np
import pytest
import torch

from neurolib.interpret.dictionaries.autoencoder import geometric_median
from neurolib.interpret.dictionaries.penalised import GatedConfig, Jump, JumpReLUConfig, ReLUConfig, Step
from neurolib.interpret.dictionaries.topk import BatchTopKConfig, TopKConfig, largest

ALL = {
    "relu": ReLUConfig(12, penalty=0.3, warmup=0.0),
    "gated": GatedConfig(12, penalty=0.3, warmup=0.0),
    "jump": JumpReLUConfig(12, penalty=0.3, warmup=0.0, bandwidth=0.5),
    "topk": TopKConfig(12, k=3, aux_features=2, aux_weight=0.25),
    "batch": BatchTopKConfig(12, k=3, aux_features=2, aux_weight=0.25),
}


def built(name: str):
    torch.manual_seed(0)
    model = ALL[name].build(5).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.normalise()
    return model


def vectors(n: int = 7) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def slow_topk(model, x, dead, per_batch: bool) -> float:
    """Loss of TopK with AuxK, one number at a time."""
    enc, b, dec, c = (getattr(model, n).tolist() for n in ("W_enc", "b_enc", "W_dec", "b_dec"))
    n, k, d = len(b), model.cfg.k, len(c)
    before = [[sum((r[j] - c[j]) * enc[j][i] for j in range(d)) + b[i] for i in range(n)] for r in x.tolist()]
    if per_batch:
        bound = sorted((v for row in before for v in row), reverse=True)[k * len(x) - 1]
        kept = [[v if v >= bound and v > 0 else 0.0 for v in row] for row in before]
    else:
        kept = [
            [v if v > 0 and v >= sorted(row, reverse=True)[k - 1] else 0.0 for v in row] for row in before
        ]
    total = 0.0
    for r, row, raw in zip(x.tolist(), kept, before, strict=True):
        rest = [r[j] - c[j] - sum(row[i] * dec[i][j] for i in range(n)) for j in range(d)]
        idle = sorted((i for i in range(n) if dead[i]), key=lambda i: -raw[i])[: model.cfg.aux_features]
        aux = [rest[j] - sum(max(raw[i], 0.0) * dec[i][j] for i in idle) for j in range(d)]
        total += sum(e * e for e in rest) + model.cfg.aux_weight * sum(e * e for e in aux) * bool(idle)
    return total / len(x)


@pytest.mark.parametrize("name", ["topk", "batch"])
@pytest.mark.parametrize("n_dead", [0, 1, 5])
def test_top_k_and_its_auxiliary_loss_equal_a_slow_loop(name, n_dead):
    model, x = built(name), vectors()
    dead = torch.arange(12) < n_dead
    found = model.objective(x, dead, 0.5).loss.item()
    assert found == pytest.approx(slow_topk(model, x, dead, name == "batch"), rel=1e-12)


def test_the_auxiliary_loss_teaches_dead_features_only():
    model, x = built("topk"), vectors()
    dead = torch.arange(12) < 4
    result = model.objective(x, dead, 0.5)
    residual = x - result.reconstruction.detach()
    model.zero_grad()
    model.auxiliary(residual, model.before(x), dead).backward()
    assert model.W_dec.grad[:4].any() and not model.W_dec.grad[4:].any()
    assert not model.W_enc.grad[:, 4:].any()


@pytest.mark.parametrize("name", ["relu", "gated", "topk"])
def test_gradients_are_those_of_finite_differences(name):
    """Where the loss has no step: the gate of `gated` is open or shut at these points, whatever the nudge."""
    model, x = built(name), vectors()
    dead = torch.zeros(12, dtype=torch.bool)
    model.objective(x, dead, 1.0).loss.backward()
    for parameter in (p for n, p in model.named_parameters() if not (name == "gated" and n == "W_dec")):
        if name == "gated" and parameter is model.b_dec:
            continue  # held fixed in one of the terms, on purpose
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for at in (0, len(flat) // 2, len(flat) - 1):
            value, losses = flat[at].item(), []
            for step in (1e-6, -1e-6):
                flat[at] = value + step
                losses.append(model.objective(x, dead, 1.0).loss.item())
            flat[at] = value
            assert grad[at].item() == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=2e-6)


def test_the_gates_own_reconstruction_does_not_move_the_atoms():
    model, x = built("gated"), vectors()
    with torch.no_grad():
        model.b_mag.fill_(-100.0)  # no magnitudes, so the atoms matter to that term alone
    model.objective(x, torch.zeros(12, dtype=torch.bool), 1.0).loss.backward()
    assert not model.W_dec.grad.any() and model.W_enc.grad.any()


@pytest.mark.parametrize(("function", "size"), [(Step, 1), (Jump, 2)])
def test_thresholds_get_the_gradient_of_the_mean_over_smooth_values(function, size):
    """Values spread evenly over 0 to 2: the mean of `g 1(z > t)` falls as `-g(t) / 2`, of `g z 1(z > t)` as `-g(t) t / 2`."""
    z = torch.linspace(0, 2, 200_001, dtype=torch.float64)[:, None]
    threshold = torch.tensor([0.6], dtype=torch.float64, requires_grad=True)
    weight = 1 + z**2
    (function.apply(z, threshold, 0.02) * weight).mean().backward()

    def mean(at):
        return (weight * z ** (size - 1) * (z > at)).mean().item()

    assert threshold.grad.item() == pytest.approx((mean(0.61) - mean(0.59)) / 0.02, rel=1e-3)


def test_steps_give_values_no_gradient_and_jumps_that_of_a_relu():
    z = torch.tensor([[0.2, 0.9]], requires_grad=True)
    threshold = torch.full((2,), 0.5, requires_grad=True)
    Jump.apply(z, threshold, 0.1).sum().backward()
    assert z.grad.tolist() == [[0.0, 1.0]]
    threshold.grad = None
    value = torch.tensor([[0.49, 0.52]], requires_grad=True)
    Step.apply(value, threshold, 0.1).sum().backward()
    assert value.grad is None and threshold.grad.tolist() == pytest.approx([-10.0, -10.0])


@pytest.mark.parametrize("name", ALL)
def test_features_are_sparse_positive_and_unmoved_by_units(name):
    """Vectors in other units give the same features once the scale is fitted."""
    found = []
    for unit in (1.0, 40.0):
        model, x = built(name).float(), 3 + vectors(200).float()
        model.fit_scale(unit * x, torch.Generator().manual_seed(0))
        found.append(model.encode(unit * x).detach())
        assert model(unit * x).shape == x.shape
        centred = (unit * x * model.scale - model.b_dec).norm(dim=1).mean()
        assert centred.item() == pytest.approx(5**0.5, rel=1e-4)
        np.testing.assert_allclose(model.mean, unit * x.mean(0), rtol=1e-4)
    assert (found[0] >= 0).all()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-3)


def test_no_step_along_an_atom_is_left_and_atoms_keep_their_norm():
    model, x = built("relu"), vectors()
    model.objective(x, torch.zeros(12, dtype=torch.bool), 1.0).loss.backward()
    assert (model.W_dec.grad * model.W_dec).sum(1).abs().max() > 1e-3
    model.project_gradient()
    assert (model.W_dec.grad * model.W_dec).sum(1).abs().max() < 1e-12


def test_the_threshold_in_use_keeps_about_k_of_what_training_kept():
    torch.manual_seed(0)
    model = BatchTopKConfig(40, k=4, momentum=0.1).build(8).train()
    for _ in range(60):
        model.select(model.before(torch.randn(256, 8)))
    active = (model.eval().encode(torch.randn(4000, 8)) > 0).sum(1).float()
    assert active.mean().item() == pytest.approx(4, rel=0.1)
    assert active.std() > 0.5  # on average, not each


def test_the_quick_way_to_the_bound_is_the_slow_way():
    torch.manual_seed(0)
    model = BatchTopKConfig(30, k=3).build(6)
    for threshold in (0.0, 0.5, 1.0, 9.0):
        before = torch.randn(64, 30)
        model.threshold.fill_(threshold)
        assert model._bound(before) == before.flatten().sort(descending=True).values[3 * 64 - 1]


def test_the_geometric_median_ignores_how_far_away_a_few_are():
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).double()
    near, far = (points.clone() for _ in range(2))
    near[:20] += 10
    far[:20] += 10_000
    np.testing.assert_allclose(geometric_median(far, 200), geometric_median(near, 200), atol=0.02)
    best = geometric_median(points, 500)
    cost = [(points - best - nudge).norm(dim=1).sum() for nudge in torch.eye(3).double() * 1e-3]
    assert min(cost) > (points - best).norm(dim=1).sum()


def test_largest_keeps_no_negative_value():
    assert largest(-torch.ones(2, 4), 3).count_nonzero() == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TopKConfig(4, k=5), "k=5"),
        (lambda: BatchTopKConfig(4, k=2, momentum=0.0), "momentum"),
        (lambda: ReLUConfig(0), "n_features"),
        (lambda: ReLUConfig(3, penalty=-1.0), "penalty"),
        (lambda: JumpReLUConfig(3, bandwidth=0.0), "bandwidth"),
        (lambda: ReLUConfig(3).build(0), "n_channels"),
        (lambda: ReLUConfig(3).build(2).encode(torch.zeros(1, 4)), "2 channels"),
        (lambda: ReLUConfig(3).build(2).fit_scale(torch.ones(5, 2)), "the same"),
        (lambda: ReLUConfig(3).build(2).fit_scale(torch.full((5, 2), torch.nan)), "NaN"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
