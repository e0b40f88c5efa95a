"""What latents cost: controllers that push the right way, within bounds, and go on where they stopped."""

from itertools import pairwise

import pytest
import torch

from neurolib.models.coordinates.kl_control import BetaSchedule, Capacity, KLController, beta_at, free_bits

CONTROLLER = KLController(target=6.0, ki=0.01, start=1.0, lowest=0.1, highest=3.0)


def nats(total: float, latents: int = 4) -> torch.Tensor:
    """Divergences of a batch that sum to ``total``."""
    return torch.full((8, latents), total / latents)


def betas(penalty, totals):
    out = []
    for total in totals:
        penalty(nats(total))
        out.append(penalty.beta.item())
    return out


@pytest.mark.parametrize(("total", "sign"), [(0.0, -1), (5.0, -1), (7.0, 1), (200.0, 1)])
def test_the_weight_falls_below_the_target_and_rises_above_it(total, sign):
    course = betas(CONTROLLER.build(), [total] * 600)
    steps = [sign * (b - a) for a, b in pairwise(course)]
    assert all(step >= 0 for step in steps) and steps[0] > 0
    assert sign * (course[-1] - 1.0) > 0
    assert 0.1 <= min(course) and max(course) <= 3.0
    if abs(total - 6) > 5:
        assert course[-1] == pytest.approx(0.1 if sign < 0 else 3.0)


def test_the_weight_is_the_proportional_integral_law():
    totals = [2.0, 9.0, 6.5]
    wanted, integral = [], 0.0
    for total in totals:
        integral += 0.01 * (total - 6)
        wanted.append(1.0 + 0.01 / (1 + 2.718281828459045 ** (6 - total)) + integral)
    assert betas(CONTROLLER.build(), totals) == pytest.approx(wanted, abs=1e-6)


def test_a_weight_at_its_bound_comes_back_at_once():
    penalty = CONTROLLER.build()
    betas(penalty, [0.0] * 5000)
    assert betas(penalty, [8.0] * 2)[-1] > 0.1


def test_a_controlled_divergence_settles_at_its_target():
    penalty, kl = CONTROLLER.build(), 0.5
    for _ in range(3000):  # a model whose divergence answers its price: KL = 9 / (beta + 0.5), slowly
        penalty(nats(kl))
        kl += 0.1 * (9 / (penalty.beta.item() + 0.5) - kl)
    assert kl == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize("cfg", [CONTROLLER, BetaSchedule(steps=20), Capacity(steps=20)])
def test_a_saved_state_goes_on_where_it_stopped(cfg):
    totals = [0.5 * i for i in range(24)]
    whole, first, second = cfg.build(), cfg.build(), cfg.build()
    wanted = [whole(nats(t)).item() for t in totals]
    for total in totals[:11]:
        first(nats(total))
    second.load_state_dict(first.state_dict())
    assert [second(nats(t)).item() for t in totals[11:]] == wanted[11:]


@pytest.mark.parametrize("cfg", [CONTROLLER, BetaSchedule(steps=20), Capacity(steps=20, gamma=7.0)])
def test_evaluation_pays_the_bare_divergence_and_counts_no_step(cfg):
    penalty = cfg.build()
    penalty(nats(3.0))
    before = {key: value.clone() for key, value in penalty.state_dict().items()}
    assert penalty.eval()(nats(3.0)).item() == pytest.approx(3.0)
    assert all(torch.equal(value, before[key]) for key, value in penalty.state_dict().items())


def test_free_bits_press_on_nothing_below_the_floor():
    kl = torch.tensor([0.01, 0.2, 3.0], requires_grad=True)
    total = free_bits(kl, 0.05)
    total.backward()
    assert total.item() == pytest.approx(3.25)
    assert kl.grad.tolist() == [0, 1, 1]


def test_the_capacity_pulls_towards_itself_from_both_sides():
    cfg = Capacity(capacity=4.0, gamma=2.0, steps=10)
    for total, slope in ((1.0, -2.0), (9.0, 2.0)):
        penalty, kl = cfg.build(), nats(total).requires_grad_(True)
        penalty.step.fill_(10)
        value = penalty(kl)
        value.backward()
        assert value.item() == pytest.approx(2 * abs(total - 4))
        assert kl.grad.sum(0).tolist() == pytest.approx([slope] * 4)


def test_warm_ups_rise_and_end_at_the_full_weight():
    linear = [beta_at(step, 40) for step in range(60)]
    assert linear[0] == 0 and linear[20] == 0.5 and set(linear[40:]) == {1.0}
    cyclical = [beta_at(step, 40, "cyclical", cycles=4) for step in range(60)]
    assert [cyclical[start] for start in (0, 10, 20, 30)] == [0, 0, 0, 0]
    assert cyclical[5:10] == [1.0] * 5 and set(cyclical[40:]) == {1.0}
    assert {beta_at(step, 40, "constant") for step in range(60)} == {1.0}


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="shape='cosine'"):
        BetaSchedule(shape="cosine")
    with pytest.raises(ValueError, match=r"ki=-0\.1 must not be negative"):
        KLController(ki=-0.1)
    with pytest.raises(ValueError, match="start=20"):
        KLController(start=20)
    with pytest.raises(ValueError, match="steps=0"):
        Capacity(steps=0)
