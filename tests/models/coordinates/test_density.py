"""Smoothing keeps mass, a field of zeros is the base, and interpolation is SciPy's."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from neurolib.models.coordinates.density import FWHM_PER_SIGMA, NodeField, Smoother, smoothed_density


@pytest.fixture
def field(ball):
    rng = np.random.default_rng(0)
    return NodeField(ball, np.log(rng.dirichlet(np.ones(ball.n_voxels))))


def test_smoothing_is_the_sum_over_the_brain_voxel_by_voxel(ball):
    sigma = 9.0 / FWHM_PER_SIGMA
    squared = ((ball.centres_mm[:, None] - ball.centres_mm[None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * sigma**2))
    values = np.random.default_rng(0).random(ball.n_voxels)
    slow = kernel @ (values / kernel.sum(0))  # every voxel spreads its own mass over the brain
    fast = Smoother(ball, 9.0)(values)
    np.testing.assert_allclose(fast, slow, rtol=2e-3)
    np.testing.assert_allclose(fast.sum(), values.sum(), rtol=1e-3)
    np.testing.assert_array_equal(Smoother(ball, 0.0)(values), values)


def test_a_density_sums_to_one_and_no_voxel_is_impossible(ball):
    density = smoothed_density([0, 0, 5], ball, 6.0)
    assert density.sum() == pytest.approx(1, abs=1e-12)
    assert density.min() > 0
    assert density.argmax() == 0
    with pytest.raises(ValueError, match="no foci"):
        smoothed_density([], ball)


def test_a_field_of_zeros_is_the_base_exactly(field):
    log_p = field(torch.zeros(2, field.n_nodes))
    torch.testing.assert_close(log_p[0], field.log_base, atol=1e-6, rtol=0)


def test_fields_are_interpolated_as_scipy_does(ball, field):
    values = torch.randn(3, field.n_nodes, generator=torch.Generator().manual_seed(0))
    log_p = field(values).double().numpy()
    np.testing.assert_allclose(np.exp(log_p).sum(1), 1, atol=1e-5)
    places = ((field.centres_mm.numpy() - ball.origin_mm) / 8).round().astype(int)
    for row, found in zip(values, log_p, strict=True):
        full = np.zeros(places.max(0) + 1)
        full[tuple(places.T)] = row
        axes = [8.0 * np.arange(n) + o for n, o in zip(full.shape, ball.origin_mm, strict=True)]
        slow = field.log_base.numpy() + RegularGridInterpolator(axes, full)(ball.centres_mm)
        np.testing.assert_allclose(found, slow - np.logaddexp.reduce(slow), atol=2e-5)
    by_corners = values[:, field.corners].mean(-1).numpy() + field.log_base.numpy()
    np.testing.assert_allclose(
        log_p, by_corners - np.logaddexp.reduce(by_corners, axis=1)[:, None], atol=2e-5
    )


def test_gradients_are_those_of_finite_differences(field):
    values = torch.randn(1, field.n_nodes, requires_grad=True)
    field(values)[0, :7].sum().backward()
    step = torch.randn(1, field.n_nodes)
    with torch.no_grad():
        up, down = (field(values + e * step)[0, :7].double().sum() for e in (1e-2, -1e-2))
    assert float((values.grad * step).sum()) == pytest.approx(float(up - down) / 2e-2, rel=2e-2, abs=1e-2)


def test_reading_counts_every_focus_once_whatever_the_order_and_padding(field):
    voxels = torch.tensor([[3, 40, 7, 0], [9, 0, 0, 0]])
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    read = field.read(voxels, mask)
    torch.testing.assert_close(read.sum(1), torch.tensor([3.0, 1.0]))
    again = field.read(torch.tensor([[7, 3, 40, 99, 5]]), torch.tensor([[True, True, True, False, False]]))
    torch.testing.assert_close(again[0], read[0])
    assert not field.read(voxels, torch.zeros_like(mask)).any()


def test_mixed_precision_leaves_the_field_in_full_precision(field):
    values = torch.randn(2, field.n_nodes)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(field(values.bfloat16()), field(values.bfloat16().float()))


def test_a_base_of_another_grid_is_refused(ball):
    with pytest.raises(ValueError, match=r"log_base \(5,\) for"):
        NodeField(ball, np.zeros(5))
