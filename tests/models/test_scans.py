"""The scans against the loops they replace, values and gradients, in float64."""

import pytest
import torch

from neurolib.models.scans import (
    clipped_recurrence,
    leaky_sum,
    linear_recurrence,
    running_product,
    running_sum,
)

LO, HI = -0.5, 1.5


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def recur(a, b, first, clip=None):
    """The definition."""
    x, states = first, []
    for at, bt in zip(a, b, strict=True):
        x = at * x + bt
        states.append(x := x if clip is None else x.clamp(*clip))
    return torch.stack(states)


def assert_same(ours, theirs, inputs, tolerance=1e-11):
    """Same values, and same gradients of a random weighting of them."""
    weight = draw(*ours.shape, seed=99).to(ours.dtype)
    pairs = [(ours, theirs)]
    pairs += zip(
        torch.autograd.grad((ours * weight).sum().abs(), inputs),
        torch.autograd.grad((theirs * weight).sum().abs(), inputs),
        strict=True,
    )
    for one, two in pairs:
        assert one.isfinite().all() and two.abs().max() > 0
        assert (one - two).abs().max() <= tolerance * two.abs().max()


@pytest.mark.parametrize("steps", [1, 2, 3, 17, 64, 101])
def test_linear_recurrence_is_the_loop_at_every_length(steps):
    a, b, first = draw(steps, 4, 3), draw(steps, 4, 3, seed=1), draw(4, 3, seed=2)
    inputs = [x.requires_grad_() for x in (a * 0.9, b, first)]
    assert_same(linear_recurrence(*inputs), recur(*inputs), inputs)


def test_linear_recurrence_takes_complex_rotations_and_shared_coefficients():
    angle = draw(5)
    a = torch.polar(torch.full_like(angle, 0.99), angle).requires_grad_()
    b = torch.complex(draw(80, 2, 5), draw(80, 2, 5, seed=1)).requires_grad_()
    first = torch.complex(draw(2, 5, seed=2), draw(2, 5, seed=3)).requires_grad_()
    assert_same(linear_recurrence(a, b, first), recur(a.expand(80, 5), b, first), [a, b, first])


def test_a_zero_slope_starts_anew():
    a, b = draw(20, 3), draw(20, 3, seed=1)
    a[13] = 0
    ours = linear_recurrence(a, b)
    torch.testing.assert_close(ours[13:], linear_recurrence(a[13:], b[13:]))


@pytest.mark.parametrize("steps", [1, 2, 3, 64, 201])
@pytest.mark.parametrize("scale, least, most", [(0.2, 0.0, 0.02), (0.6, 0.03, 0.3), (2.5, 0.3, 0.9)])
def test_clipped_recurrence_is_the_loop_however_often_it_clips(steps, scale, least, most):
    a, b = 1 - scale * draw(steps, 200).abs() * 1.5, scale * draw(steps, 200, seed=1) * 0.5 + 0.5 * scale
    inputs = [x.requires_grad_() for x in (a, b, draw(200, seed=2).clamp(LO, HI))]
    theirs = recur(*inputs, clip=(LO, HI))
    clipped = ((theirs == LO) | (theirs == HI)).double().mean()
    assert steps < 64 or (least <= clipped <= most and ((a < 0).any() or scale < 0.5))
    assert_same(clipped_recurrence(*inputs[:2], LO, HI, inputs[2]), theirs, inputs)


def test_clipped_recurrence_starts_from_outside_the_bounds():
    a, b, first = torch.tensor([[0.5], [1.0]]), torch.tensor([[0.0], [0.1]]), torch.tensor([1000.0])
    assert clipped_recurrence(a, b, LO, HI, first).tolist() == [[1.5], [1.5]]
    assert clipped_recurrence(-a, b, LO, HI, first).flatten().tolist() == pytest.approx([-0.5, 0.6])


def test_the_gradient_passes_on_the_bound_and_not_beyond_it():
    first = torch.tensor([HI, HI], requires_grad=True)
    a, b = torch.ones(3, 2), torch.tensor([[0.0, 1e-3]]).repeat(3, 1)
    clipped_recurrence(a, b, LO, HI, first)[-1].sum().backward()
    assert first.grad.tolist() == [1.0, 0.0]


def test_slopes_whose_product_overflows_give_what_the_loop_gives():
    a = (4 + draw(400, 500).abs()).float() * torch.sign(draw(400, 500, seed=1)).float()
    b = draw(400, 500, seed=2).float() * 0.5
    a[:, :50], b[:, :50] = 5.0, 0.0  # at rest on a fixed point that repels
    assert a.double().prod(0).abs().min() > torch.finfo(torch.float32).max
    ours = clipped_recurrence(a, b, LO, HI)
    # Steep maps amplify rounding, which differs: one step from our own states must be the same.
    before = torch.cat([torch.zeros(1, 500), ours[:-1]])
    assert ours.isfinite().all() and (ours[:, :50] == 0).all()
    close = ((a * before + b).clamp(LO, HI) - ours).abs() < 1e-4
    assert close.double().mean() > 0.999 and ((ours == LO) | (ours == HI)).double().mean() > 0.5


def test_offsets_far_beyond_the_bounds_do_not_add_up():
    a = 10.0 ** (18 * torch.sign(draw(300, 100))).float()
    a[draw(300, 100, seed=1) > 1] = 0.0
    b = 1e18 * torch.sign(draw(300, 100, seed=2)).float()
    theirs = recur(a, b, torch.zeros(100), clip=(LO, HI))
    assert (theirs == LO).any() and (theirs == HI).any()
    assert torch.equal(clipped_recurrence(a, b, LO, HI), theirs)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_leaky_sum_is_the_loop_for_any_chunk(chunk):
    inputs = [draw(50, 3, 6), -draw(6, seed=1).exp(), draw(3, 6, seed=2)]
    inputs = [x.requires_grad_() for x in inputs]
    ours = leaky_sum(inputs[0], inputs[1], inputs[2], chunk)
    assert_same(ours, recur(inputs[1].exp().expand(50, 6), inputs[0], inputs[2]), inputs)


def test_leaky_sum_never_overflows():
    log_decay = torch.tensor([-float("inf"), -1e30, -700.0, -1e-30, 0.0], requires_grad=True)
    y = leaky_sum(torch.ones(300, 1, 5), log_decay)
    y.sum().backward()
    assert y[-1, 0].tolist() == [1.0, 1.0, 1.0, 300.0, 300.0]
    assert log_decay.grad.isfinite().all()


def test_running_sum_goes_on_from_where_it_stopped():
    x, first = draw(9, 2).requires_grad_(), draw(2, seed=1).requires_grad_()
    whole = running_sum(x, first)
    assert_same(whole, first + x.cumsum(0), [x, first])
    start = running_sum(x[:4], first)
    torch.testing.assert_close(running_sum(x[4:], start[-1]), whole[4:])


@pytest.mark.parametrize("steps", [1, 12])
def test_running_product_is_the_sum_of_the_products(steps):
    inputs = [draw(steps, 2, 5, 3), draw(steps, 2, 3, 4, seed=1), draw(2, 5, 4, seed=2)]
    inputs = [x.requires_grad_() for x in inputs]
    assert_same(running_product(*inputs), inputs[2] + (inputs[0] @ inputs[1]).cumsum(0), inputs)


def test_no_steps_give_no_states():
    empty = torch.zeros(0, 3)
    for solve in (linear_recurrence, lambda a, b: clipped_recurrence(a, b, LO, HI)):
        assert solve(empty, empty).shape == (0, 3)
