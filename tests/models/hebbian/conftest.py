"""How a fast form is compared with the loop: outputs, states and gradients, relative to the largest."""

import pytest
import torch


def gradients(outputs, inputs):
    """Of a random weighting of all outputs."""
    draw = torch.Generator().manual_seed(7)
    total = sum((x * torch.randn(x.shape, generator=draw, dtype=x.dtype)).sum() for x in outputs)
    return torch.autograd.grad(total, inputs)


def assert_close(ours, theirs, tolerance=1e-11):
    """The largest difference is at most ``tolerance`` of the largest value, which is not zero."""
    for one, two in zip(ours, theirs, strict=True):
        assert two.abs().max() > 0 and (one - two).abs().max() <= tolerance * two.abs().max()


@pytest.fixture(name="gradients")
def _gradients():
    """:func:`gradients`."""
    return gradients


@pytest.fixture(name="assert_close")
def _assert_close():
    """:func:`assert_close`."""
    return assert_close
