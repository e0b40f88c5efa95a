"""Grids without a codebook against the published formula, number by number."""

import itertools
import math

import pytest
import torch

from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig

LEVELS = [(8, 5, 5, 5), (5, 5), (4, 4, 4), (3, 6, 7)]


def built(levels, n_stages=1):
    return FiniteScalarConfig(levels, n_stages).build(len(levels)).double().eval()


def slow(row, levels):
    """Code and grid point of one latent."""
    code, point, place = 0, [], 1
    for value, size in zip(row.tolist(), levels, strict=True):
        half = (size - 1) * 1.001 / 2
        offset = 0.5 if size % 2 == 0 else 0.0
        nearest = round(math.tanh(value + math.atanh(offset / half)) * half - offset)
        code += (nearest + size // 2) * place
        point.append(nearest / (size // 2))
        place *= size
    return code, point


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_and_points_are_those_of_the_formula(levels):
    z = 1.5 * torch.randn(300, len(levels), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    done = built(levels)(z)
    codes, points = zip(*(slow(row, levels) for row in z), strict=True)
    assert done.codes[:, 0].tolist() == list(codes)
    torch.testing.assert_close(done.z_q, torch.tensor(points, dtype=torch.float64))


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_reached_and_codes_and_points_pair_off(levels):
    quantizer = built(levels)
    half = [size // 2 for size in levels]
    grid = torch.tensor(
        list(itertools.product(*(range(-h, size - h) for h, size in zip(half, levels, strict=True)))),
        dtype=torch.float64,
    )
    codes = torch.arange(math.prod(levels))[:, None]
    points = quantizer.decode(codes)
    assert len(points.unique(dim=0)) == len(codes) == len(grid)
    assert torch.equal((points * torch.tensor(half)).unique(dim=0), grid.unique(dim=0))
    # The middle of each cell, back through the bound, must come out as the code it is the point of.
    width, offset = ((torch.tensor(levels) - 1) * 1.001 / 2).double(), quantizer.offset[:, 0]
    z = torch.atanh((points * torch.tensor(half) + offset) / width) - torch.atanh(offset / width)
    assert torch.equal(quantizer(z).codes, codes)


@pytest.mark.parametrize("size, lowest, highest", [(8, -4, 3), (5, -2, 2), (4, -2, 1)])
def test_an_even_number_of_levels_has_its_half_step(size, lowest, highest):
    z = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    steps = built((size,))(z).z_q.mul(size // 2).unique().tolist()
    assert steps == list(range(lowest, highest + 1))
    assert float(built((size,))(torch.zeros(1, dtype=torch.float64)).z_q) == 0


def test_the_gradient_is_that_of_the_bound_without_the_rounding():
    quantizer = built((8, 5))
    z = torch.tensor([[0.3, -1.1]], dtype=torch.float64, requires_grad=True)
    quantizer(z).z_q.sum().backward()
    expected = []
    for value, size in zip(z[0].tolist(), (8, 5), strict=True):
        half = (size - 1) * 1.001 / 2
        shift = math.atanh((0.5 if size % 2 == 0 else 0) / half)
        expected.append(half / math.cosh(value + shift) ** 2 / (size // 2))
    torch.testing.assert_close(z.grad[0], torch.tensor(expected, dtype=torch.float64))


def test_later_stages_refine_the_cell_of_the_first_into_equal_parts():
    one, two = built((5, 4)), built((5, 4), n_stages=2)
    z = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coarse, fine = one(z), two(z)
    assert torch.equal(coarse.codes[:, 0], fine.codes[:, 0])
    bounded = two._bound(z.T).T / torch.tensor([2, 2])
    assert (coarse.z_q - bounded).abs().max() > 0.2
    limit = torch.tensor([0.5 / 5, 0.5 / 4]) / 2  # half a part of a cell, in units of half the levels
    assert ((fine.z_q - bounded).abs() <= limit + 1e-9).all()
    codes = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    assert len(two.decode(codes).unique(dim=0)) == 400


def test_many_half_precision_latents_are_no_overflow():
    quantizer = FiniteScalarConfig((5, 5)).build(2).eval()
    assert (quantizer(torch.full((60000, 2), 2.0, dtype=torch.float16)).codes == 24).all()


@pytest.mark.parametrize("levels", LEVELS)
def test_codes_are_those_of_the_package(levels):
    theirs = pytest.importorskip("vector_quantize_pytorch").FSQ(list(levels)).eval()
    z = 1.5 * torch.randn(3000, len(levels), generator=torch.Generator().manual_seed(1))
    ours = FiniteScalarConfig(levels).build(len(levels)).eval()(z)
    z_q, codes = theirs(z[None])
    assert torch.equal(ours.codes[:, 0], codes[0].long())
    torch.testing.assert_close(ours.z_q, z_q[0])
