"""Distances of point sets against brute loops, exact assignment, closed forms and finite differences."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from neurolib.metrics.point_sets import SinkhornConfig, chamfer_distance, sinkhorn_divergence

TIGHT = SinkhornConfig(max_iterations=3000, tolerance=1e-9)


def points(n, seed, batch=2, scale=40.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(batch, n, 3)) * scale)


def slow_transport(x, y, epsilon):
    """Plain alternating Sinkhorn with kernels, for a large enough epsilon; weights 1 / n."""
    cost = ((x[:, None] - y[None]) ** 2).sum(-1) / 2
    a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    kernel, v = np.exp(-cost / epsilon), np.ones(len(y))
    for _ in range(5000):
        u = 1 / (kernel @ (b * v))
        v = 1 / (kernel.T @ (a * u))
    plan = a[:, None] * u[:, None] * kernel * v * b
    return (plan * cost).sum() + epsilon * (plan * np.log(plan / (a[:, None] * b))).sum()


@pytest.mark.parametrize("squared", [False, True])
def test_chamfer_equals_a_loop(squared):
    x, y = points(5, 0), points(8, 1)
    power = 2 if squared else 1
    for got, a, b in zip(chamfer_distance(x, y, squared=squared), x.numpy(), y.numpy(), strict=True):
        forth = [min(np.linalg.norm(p - q) ** power for q in b) for p in a]
        back = [min(np.linalg.norm(p - q) ** power for p in a) for q in b]
        assert got.item() == pytest.approx(np.mean(forth) + np.mean(back), rel=1e-10)


@pytest.mark.parametrize("distance", [chamfer_distance, sinkhorn_divergence])
def test_padding_changes_nothing_and_gets_no_gradient(distance):
    x, y = points(6, 2), points(9, 3)
    padded = torch.cat([x, torch.full((2, 3, 3), torch.nan, dtype=x.dtype)], dim=1).requires_grad_()
    mask = torch.arange(9).expand(2, 9) < 6
    alone = x.clone().requires_grad_()
    np.testing.assert_allclose(distance(padded, y, mask).detach(), distance(alone, y).detach(), rtol=1e-10)
    np.testing.assert_allclose(distance(y, padded, None, mask).detach(), distance(y, x), rtol=1e-9)
    distance(padded, y, mask).sum().backward()
    distance(alone, y).sum().backward()
    np.testing.assert_allclose(padded.grad[:, :6], alone.grad, rtol=1e-8)
    assert (padded.grad[:, 6:] == 0).all()


def test_a_pair_does_not_depend_on_its_neighbours_in_the_batch():
    x, y = points(6, 4, batch=3), points(6, 5, batch=3)
    x[2], y[2] = x[2] * 3, y[2] * 3  # needs more iterations
    np.testing.assert_allclose(sinkhorn_divergence(x, y)[:1], sinkhorn_divergence(x[:1], y[:1]), rtol=1e-12)


def test_sinkhorn_equals_plain_alternating_updates():
    x, y, blur = points(7, 6, batch=1), points(5, 7, batch=1), 25.0
    a, b = x[0].numpy(), y[0].numpy()
    own = slow_transport(a, a, blur**2) + slow_transport(b, b, blur**2)
    expected = slow_transport(a, b, blur**2) - own / 2
    got = sinkhorn_divergence(x, y, config=SinkhornConfig(blur, max_iterations=3000, tolerance=1e-9))
    assert got.item() == pytest.approx(expected, rel=1e-8)
    assert sinkhorn_divergence(x, y).item() != pytest.approx(expected, rel=1e-3)  # the blur matters


@pytest.mark.parametrize("n", [1, 4, 10])
def test_a_small_blur_gives_the_exact_assignment(n):
    x, y = points(n, 8, batch=1), points(n, 9, batch=1)
    cost = ((x[0, :, None] - y[0, None]) ** 2).sum(-1).numpy() / 2
    exact = cost[linear_sum_assignment(cost)].mean()
    config = SinkhornConfig(blur_mm=1.0, scaling=0.9, max_iterations=5000)
    assert sinkhorn_divergence(x, y, config=config).item() == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_sets_are_at_0_symmetric_and_moved_ones_at_half_the_squared_shift(dtype):
    x, y = points(12, 10).to(dtype), points(20, 11).to(dtype)
    shift = torch.tensor([3.0, -10.0, 6.0], dtype=dtype)
    far = sinkhorn_divergence(x, y)
    assert (sinkhorn_divergence(x, x.flip(1)).abs() < 1e-4 * far).all() and (far > 100).all()
    np.testing.assert_allclose(far, sinkhorn_divergence(y, x), rtol=1e-4)
    moved = sinkhorn_divergence(x, x + shift)
    np.testing.assert_allclose(moved, shift.square().sum().expand(2) / 2, rtol=1e-3)
    assert moved.dtype == dtype


def test_the_default_stops_within_a_thousandth_of_convergence_in_float32_too():
    x, y = points(30, 12, batch=4), points(30, 13, batch=4)
    exact = sinkhorn_divergence(x, y, config=SinkhornConfig(max_iterations=3000, tolerance=2e-4))
    np.testing.assert_allclose(sinkhorn_divergence(x, y), exact, rtol=3e-4)
    np.testing.assert_allclose(sinkhorn_divergence(x.float(), y.float()), exact, rtol=3e-4)


@pytest.mark.parametrize(
    "distance",
    [
        chamfer_distance,
        lambda x, y: chamfer_distance(x, y, squared=True),
        lambda x, y: sinkhorn_divergence(x, y, config=TIGHT),
    ],
    ids=["chamfer", "chamfer squared", "sinkhorn"],
)
def test_gradients_are_finite_differences(distance):
    x, y = points(4, 14, scale=6).requires_grad_(), points(5, 15, scale=6).requires_grad_()
    slopes = torch.autograd.grad(distance(x, y).sum(), (x, y))
    for seed in range(4):  # in random directions
        dx, dy = points(4, seed, scale=1e-4), points(5, seed + 9, scale=1e-4)
        expected = (distance(x + dx, y + dy) - distance(x - dx, y - dy)).sum() / 2
        assert expected.item() == pytest.approx(
            ((slopes[0] * dx).sum() + (slopes[1] * dy).sum()).item(), rel=1e-4
        )


def test_gradients_are_finite_where_points_coincide():
    x = points(4, 16).requires_grad_()
    (chamfer_distance(x, x.detach()) + sinkhorn_divergence(x, x.detach())).sum().backward()
    assert (
        torch.isfinite(x.grad).all() and x.grad.abs().max() < 0.1
    )  # mm; the shift of a point would be n times this


def test_descent_carries_points_to_their_targets():
    x, y = points(6, 17, batch=1), points(6, 18, batch=1)
    before = sinkhorn_divergence(x, y).item()
    for _ in range(10):
        x.requires_grad_()
        (slope,) = torch.autograd.grad(sinkhorn_divergence(x, y).sum(), x)
        x = (x - 6 * slope).detach()  # n times the gradient of a point is its displacement
    assert sinkhorn_divergence(x, y).item() < 1e-2 * before


def test_both_order_samples_by_how_near_they_are():
    x, near, far = points(40, 19), points(40, 20), points(40, 21) + 30
    collapsed = x.mean(dim=1, keepdim=True).expand_as(x)
    for distance in (chamfer_distance, sinkhorn_divergence):
        assert (distance(x, near) < distance(x, far)).all()
        assert (distance(x, near) < distance(x, collapsed)).all()


def test_too_few_iterations_warn():
    with pytest.warns(UserWarning, match="2 of 2 transport problems"):
        sinkhorn_divergence(points(9, 22), points(9, 23), config=SinkhornConfig(max_iterations=3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chamfer_distance(torch.zeros(3, 3), torch.zeros(3, 3)), "batch axis"),
        (lambda: chamfer_distance(torch.zeros(1, 3, 3), torch.zeros(1, 3, 2)), "batch axis"),
        (lambda: chamfer_distance(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.ones(1, 2)), "of bool"),
        (
            lambda: sinkhorn_divergence(
                torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool)
            ),
            "without points",
        ),
        (lambda: SinkhornConfig(blur_mm=0), "blur_mm=0"),
        (lambda: SinkhornConfig(scaling=1.0), "scaling=1.0"),
        (lambda: SinkhornConfig(max_iterations=0), "max_iterations=0"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
