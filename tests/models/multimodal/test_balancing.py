"""Weights of tasks: their fixed points, what a missing task changes (nothing), and conflicts taken out."""

import math

import pytest
import torch

from neurolib.models.multimodal.balancing import (
    BalancingConfig,
    GradNorm,
    HomoscedasticWeights,
    backward_without_conflicts,
    gradient_norms,
    project_conflicts,
)

TASKS = {"velocity": "regression", "choice": "classification"}


def descend(balance, losses, steps=80, lr=0.5):
    for _ in range(steps):
        balance.zero_grad()
        balance({name: torch.tensor(value) for name, value in losses.items()}).total.backward()
        with torch.no_grad():
            for s in balance.parameters():
                if s.grad is not None:
                    s -= lr * s.grad
    return {name: s.item() for name, s in balance.log_variance.items()}


@pytest.mark.parametrize("c", [0.05, 1.0, 7.0])
def test_the_log_variance_settles_at_the_log_of_a_constant_loss(c):
    settled = descend(HomoscedasticWeights(TASKS), {"velocity": c, "choice": c})
    assert settled["velocity"] == pytest.approx(math.log(c), abs=1e-3)  # kappa 1/2
    assert settled["choice"] == pytest.approx(math.log(2 * c), abs=1e-3)  # kappa 1


def test_a_missing_task_keeps_its_weight_and_moves_no_other():
    both, alone = HomoscedasticWeights(TASKS), HomoscedasticWeights(TASKS)
    with torch.no_grad():
        both.log_variance["velocity"].fill_(1.3)
        both.log_variance["choice"].fill_(-0.7)
        alone.load_state_dict(both.state_dict())
    with_both = both({"velocity": torch.tensor(2.0), "choice": torch.tensor(5.0)})
    with_one = alone({"choice": torch.tensor(5.0)})
    assert with_one.weights["choice"] == with_both.weights["choice"]
    with_both.total.backward(), with_one.total.backward()
    assert alone.log_variance["velocity"].grad is None
    assert alone.log_variance["choice"].grad == both.log_variance["choice"].grad
    assert with_one.total.item() == pytest.approx(math.exp(0.7) * 5 - 0.35)
    settled = descend(alone, {"choice": 0.5})
    assert settled["velocity"] == pytest.approx(1.3) and settled["choice"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(("loss", "bound"), [(1e-9, -5), (1e9, 5)])
def test_the_log_variance_stays_in_bounds_and_comes_back(loss, bound):
    balance = HomoscedasticWeights({"choice": "classification"})
    with torch.no_grad():
        balance.log_variance["choice"].fill_(1.1 * bound)
    result = balance({"choice": torch.tensor(loss)})
    assert result.weights["choice"].item() == pytest.approx(math.exp(-bound))
    result.total.backward()
    assert balance.log_variance["choice"].grad == 0  # no further out
    balance({"choice": torch.tensor(1.0)}).total.backward()
    assert balance.log_variance["choice"].grad * bound > 0  # descent leads back inside


def test_losses_below_their_floor_and_tasks_never_declared_are_refused():
    balance = HomoscedasticWeights(TASKS)
    with pytest.raises(ValueError, match=r"loss -0\.2 of 'velocity' is below its floor 0"):
        balance({"choice": torch.tensor(1.0), "velocity": torch.tensor(-0.2)})
    floored = HomoscedasticWeights(TASKS, floors={"velocity": -0.5})
    assert floored({"velocity": torch.tensor(-0.2)}).total.item() == pytest.approx(0.15)
    with pytest.raises(ValueError, match="'speed' was never declared"):
        balance({"speed": torch.tensor(1.0)})
    with pytest.raises(ValueError, match="no losses"):
        balance({})
    with pytest.raises(ValueError, match="no finite floor"):
        HomoscedasticWeights(TASKS, floors={"velocity": -math.inf})
    with pytest.raises(ValueError, match="a floor for 'speed'"):
        HomoscedasticWeights(TASKS, floors={"speed": 0})
    with pytest.raises(ValueError, match="task 'a' of kind 'poisson'"):
        HomoscedasticWeights({"a": "poisson"})


def test_equal_and_manual_weights():
    losses = {"velocity": torch.tensor(2.0), "choice": torch.tensor(5.0)}
    assert BalancingConfig("equal").build(TASKS)(losses).total.item() == 7
    manual = BalancingConfig("manual", {"choice": 0.1}).build(TASKS)
    assert manual(losses).total.item() == pytest.approx(2.5)
    assert isinstance(BalancingConfig().build(TASKS), HomoscedasticWeights)
    assert isinstance(BalancingConfig("gradnorm").build(TASKS), GradNorm)
    with pytest.raises(ValueError, match="kind='uniform'"):
        BalancingConfig("uniform")
    with pytest.raises(ValueError, match="go with 'manual'"):
        BalancingConfig("equal", {"choice": 1.0})


def test_gradnorm_makes_gradients_alike_and_favours_the_slow_task():
    shared = torch.ones(1, requires_grad=True)

    def losses(slow=1.0):
        return {"small": slow * shared.sum(), "large": 10 * shared.sum(), "none": torch.tensor(1.0)}

    balance = GradNorm(["none", "small", "large"], lr=0.02)
    for _ in range(100):
        two = losses()
        two.pop("none")
        balance.update(two, shared)
    none, small, large = balance.weights.tolist()
    assert none == 1 and small + large == pytest.approx(2)
    assert small == pytest.approx(20 / 11, abs=0.05) and large == pytest.approx(2 / 11, abs=0.05)
    total = balance(losses())
    assert total.total.item() == pytest.approx(small + 10 * large + 1)

    even = GradNorm(["slow", "fast"], lr=0.02)
    even.update({"slow": shared.sum(), "fast": shared.sum()}, shared)  # both start at 1
    for _ in range(100):
        even.update({"slow": shared.sum(), "fast": shared.sum() - 0.5}, shared)  # one has come down to half
    ratio = 2**1.5  # of the targets
    assert (even.weights[0] / even.weights[1]).item() == pytest.approx(ratio, rel=0.1)


def test_gradient_norms_are_those_of_autograd():
    shared = torch.tensor([3.0, 4.0], requires_grad=True)
    norms = gradient_norms({"a": shared.square().sum(), "b": torch.ones((), requires_grad=True) * 2}, shared)
    assert norms["a"].item() == pytest.approx(10) and norms["b"].item() == 0


def test_conflicts_are_projected_out_and_agreement_is_left_alone():
    agree = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert torch.equal(project_conflicts(agree), agree.sum(0))
    torch.manual_seed(0)
    against = torch.randn(2, 5)
    against[1] = -against[0] + 0.3 * against[1]
    total = project_conflicts(against)
    a, b = against
    by_hand = a + b - (a @ b) / (b @ b) * b - (a @ b) / (a @ a) * a
    assert torch.allclose(total, by_hand, atol=1e-6)
    assert total @ a >= -1e-6 and total @ b >= -1e-6  # no task is made worse

    layer = torch.nn.Linear(2, 2)
    losses = {"a": layer.weight.sum() + layer.bias.sum(), "b": -layer.weight[0].sum()}
    backward_without_conflicts(losses, list(layer.parameters()))
    flat = torch.tensor([[1.0] * 6, [-1.0, -1, 0, 0, 0, 0]])
    expected = project_conflicts(flat)
    assert torch.allclose(torch.cat([layer.weight.grad.flatten(), layer.bias.grad]), expected)
