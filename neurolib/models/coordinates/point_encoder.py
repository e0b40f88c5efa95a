"""Foci as a set of points: ``(batch, n, 3)`` in mm and a mask in, one vector per study out.

Foci are put into one order first, so neither the order in which they come nor padding changes a bit
of the outcome.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neurolib.models.coordinates.fourier import FourierConfig


@dataclass(frozen=True)
class PointEncoderConfig:
    """Regions and widths of a :class:`PointEncoder`.

    Parameters
    ----------
    centres : int
        Regions per study; fewer where there are fewer foci.
    radii_mm : tuple of float
        How far around its centre a region reaches, one set of features per radius.
    hidden : int
    waves : FourierConfig
        How the network sees places.
    """

    centres: int = 16
    radii_mm: tuple[float, ...] = (20.0, 40.0)
    hidden: int = 128
    waves: FourierConfig = field(default_factory=FourierConfig)

    def __post_init__(self):
        if min(self.centres, self.hidden) < 1:
            raise ValueError(f"centres={self.centres}, hidden={self.hidden}: both must be at least 1")
        if not self.radii_mm or min(self.radii_mm) <= 0:
            raise ValueError(f"radii_mm={self.radii_mm} must be one or more lengths above 0")

    def build(self) -> "PointEncoder":
        """Make the encoder."""
        return PointEncoder(self)


class PointEncoder(nn.Module):
    """Regions around far-apart foci, features of each region, and the greatest of them over the study.

    Within a region features are the greatest over its foci. A maximum does not count, so each region
    is also told how many foci it has.

    Parameters
    ----------
    cfg : PointEncoderConfig

    References
    ----------
    .. [1] Qi, Yi, Su & Guibas (2017), "PointNet++: deep hierarchical feature learning on point sets in
       a metric space", NeurIPS.

    Examples
    --------
    >>> encoder = PointEncoderConfig(hidden=8).build()
    >>> encoder(torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 8])
    """

    def __init__(self, cfg: PointEncoderConfig):
        super().__init__()
        self.cfg, hidden = cfg, cfg.hidden
        self.waves = cfg.waves.build()
        n_features, n_radii = cfg.waves.n_features, len(cfg.radii_mm)
        # a layer on [place, offset from the centre], as two: the first is computed once per focus
        self.place = nn.ModuleList(nn.Linear(n_features, hidden) for _ in range(n_radii))
        self.offset = nn.ModuleList(nn.Linear(3, hidden, bias=False) for _ in range(n_radii))
        self.point = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.LayerNorm(hidden))
            for _ in range(n_radii)
        )
        self.region = nn.Sequential(
            nn.Linear(n_radii * (hidden + 1) + n_features, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
        )

    def forward(self, xyz_mm: Tensor, mask: Tensor) -> Tensor:
        """Features ``(batch, hidden)`` of the foci under ``mask (batch, n)``; zeros where there are none."""
        if xyz_mm.shape != (*mask.shape, 3):
            raise ValueError(
                f"xyz_mm {tuple(xyz_mm.shape)} for a mask {tuple(mask.shape)}; it needs (*mask, 3)"
            )
        xyz, mask = ordered(xyz_mm.to(self.waves.frequencies.dtype), mask)
        number = mask.flatten().cumsum(0).view(mask.shape) - 1
        place = self.waves(xyz[mask])
        chosen, real = farthest_points(xyz, mask, self.cfg.centres)
        centre = xyz.gather(1, chosen[..., None].expand(-1, -1, 3))
        parts = [self.waves(centre)]
        for radius, at, offset, net in zip(
            self.cfg.radii_mm, self.place, self.offset, self.point, strict=True
        ):
            near = in_ball(xyz, mask, centre, radius) & real[..., None]
            study, region, focus = near.nonzero(as_tuple=True)
            apart = (xyz[study, focus] - centre[study, region]) / radius
            each = net(at(place)[number[study, focus]] + offset(apart))
            pooled = _greatest(each, study * near.shape[1] + region, real.numel())
            parts += [pooled.view(*real.shape, -1), near.sum(2, keepdim=True).to(xyz.dtype).log1p()]
        each = self.region(torch.cat(parts, 2)[real])
        return _greatest(each, real.nonzero()[:, 0], len(mask))


def ordered(xyz_mm: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Foci sorted by x, then y, then z, in as few columns as the largest study needs.

    Examples
    --------
    >>> xyz = torch.tensor([[[5.0, 0, 0], [9.0, 9, 9], [1.0, 0, 0]]])
    >>> xyz, mask = ordered(xyz, torch.tensor([[True, False, True]]))
    >>> xyz[0, :, 0].tolist(), mask.tolist()
    ([1.0, 5.0], [[True, True]])
    """
    xyz = xyz_mm.masked_fill(~mask[..., None], torch.inf)
    for axis in (2, 1, 0):
        order = xyz[..., axis].argsort(dim=1, stable=True)
        xyz = xyz.gather(1, order[..., None].expand(-1, -1, 3))
    most = max(int(mask.sum(1).max()), 1)
    mask = torch.arange(most, device=mask.device) < mask.sum(1, keepdim=True)
    return xyz[:, :most].masked_fill(~mask[..., None], 0.0), mask


def farthest_points(xyz_mm: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Foci far apart from each other: the one farthest from the origin, then always the farthest from all.

    Parameters
    ----------
    xyz_mm : Tensor, shape (batch, n_foci, 3)
    mask : Tensor of bool, shape (batch, n_foci)
    n : int

    Returns
    -------
    index : Tensor of int, shape (batch, n)
        Of equally far ones the first.
    real : Tensor of bool, shape (batch, n)
        False where a study has no further focus.

    Examples
    --------
    >>> xyz = torch.tensor([[[1.0, 0, 0], [2.0, 0, 0], [5.0, 0, 0]]])
    >>> farthest_points(xyz, torch.ones(1, 3, dtype=torch.bool), 2)[0].tolist()
    [[2, 0]]
    """
    rows = torch.arange(len(xyz_mm), device=xyz_mm.device)
    distance = xyz_mm.square().sum(2).masked_fill(~mask, -1.0)
    apart = torch.full_like(distance, torch.inf).masked_fill(~mask, -1.0)
    index = []
    for _ in range(n):
        index.append(distance.argmax(1))
        to_last = (xyz_mm - xyz_mm[rows, index[-1]][:, None]).square().sum(2)
        apart = torch.minimum(apart, to_last).index_put((rows, index[-1]), apart.new_tensor(-0.5))
        distance = apart
    return torch.stack(index, 1), torch.arange(n, device=mask.device) < mask.sum(1, keepdim=True)


def in_ball(xyz_mm: Tensor, mask: Tensor, centre_mm: Tensor, radius_mm: float) -> Tensor:
    """Which foci lie within a radius of which centres, bool ``(batch, centre, n_foci)``."""
    squared = (xyz_mm[:, None] - centre_mm[:, :, None]).square().sum(3)
    return (squared <= radius_mm**2) & mask[:, None]


def _greatest(values: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """Greatest of the values ``(n, feature)`` with the same row, zeros for rows without any."""
    out = values.new_zeros(n_rows, values.shape[1])
    return out.scatter_reduce(0, row[:, None].expand_as(values), values, "amax", include_self=False)
