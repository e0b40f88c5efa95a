"""Receptive fields: by the graph, and by what gradients reach."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.coordinates.receptive_field import effective_radius_mm, receptive_field
from neurolib.models.coordinates.volume_blocks import Trunk


def support(module: nn.Module, maps: torch.Tensor) -> list[int]:
    """Extent per axis of the voxels that the middle output's gradient reaches."""
    maps = maps.double().requires_grad_(True)
    h = module.double()(maps)
    h[(0, slice(None), *(n // 2 for n in h.shape[2:]))].sum().backward()
    reached = (maps.grad[0].abs().sum(0) > 0).nonzero()
    return (reached.max(0).values - reached.min(0).values + 1).tolist()


@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 2), (1, 1)), ((2, 1, 2), (1, 1, 1)), ((1, 2), (1, 3))]
)
def test_the_graph_agrees_with_the_support_of_the_gradient(strides, dilations):
    torch.manual_seed(0)
    trunk = Trunk(1, 4, strides, dilations)
    for stage in trunk.stages:  # the statistics of a normalisation are of the whole volume
        stage.norms = nn.ModuleList([nn.Identity(), nn.Identity()])
    field = receptive_field(trunk)
    assert all(size < 44 for size in field)
    assert support(trunk, torch.randn(1, 1, 44, 44, 44)) == list(field)


def test_kernels_may_differ_between_axes():
    net = nn.Sequential(
        nn.Conv3d(1, 2, (5, 3, 1), padding=(2, 1, 0)), nn.SiLU(), nn.AvgPool3d(2), nn.MaxPool3d(3, 1)
    )
    assert receptive_field(net) == (10, 8, 6)
    averages = nn.Sequential(*net[:3], nn.AvgPool3d(3, 1))  # a maximum's gradient reaches one voxel alone
    assert receptive_field(averages) == receptive_field(net)
    assert support(averages, torch.randn(1, 1, 20, 20, 20)) == [10, 8, 6]


def test_the_default_trunk_by_hand():
    # 1, stem 3, stages at strides 1, 2, 2, 1: +2+2, +2+4, +4+8, +8+8
    assert receptive_field(Trunk(2, 8, (1, 2, 2, 1), (1, 1, 1, 1))) == (41, 41, 41)


def test_pooling_over_the_volume_sees_everything():
    net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.AdaptiveAvgPool3d(1))
    assert receptive_field(net) == (math.inf,) * 3


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="ConvTranspose3d"):
        receptive_field(nn.Sequential(nn.ConvTranspose3d(1, 1, 2)))


def test_the_effective_radius_of_a_known_weighting():
    torch.manual_seed(0)
    at = np.indices((15, 15, 15)) - 7
    r = 4.0 * np.sqrt((at**2).sum(0))
    weight = torch.tensor(np.exp(-((r / 10.0) ** 2) / 2))  # a Gaussian of 10 mm
    maps = torch.randn(2, 1, 15, 15, 15, dtype=torch.float64)
    radius = effective_radius_mm(lambda x: (x[:, 0] * weight).sum((1, 2, 3))[:, None], maps, 4.0)
    assert radius == pytest.approx(25.0, abs=1.5)  # chi of three: P(r < 2.5003 sigma) = 0.9
    with pytest.raises(ValueError, match="do not depend"):
        effective_radius_mm(lambda x: x.detach().flatten(1), maps, 4.0)
    with pytest.raises(ValueError, match="every gradient is 0"):
        effective_radius_mm(lambda x: 0 * x.flatten(1)[:, :2], maps, 4.0)
