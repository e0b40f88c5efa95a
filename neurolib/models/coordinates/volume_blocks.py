"""Parts of a net on volumes ``(batch, channel, X, Y, Z)``: maps in, features out, or latents in, features out."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from neurolib.models.coordinates.film import Modulation, modulate


def norm_of(channels: int) -> nn.GroupNorm:
    """Group normalisation with as many groups as divide the channels, at most 8, of 4 channels or more.

    Groups of one channel would be instance normalisation, which erases amplitude.

    Examples
    --------
    >>> [norm_of(n).num_groups for n in (4, 8, 12, 16, 32, 64)]
    [1, 2, 3, 4, 8, 8]
    """
    return nn.GroupNorm(max(g for g in range(1, 9) if channels % g == 0 and channels >= 4 * g), channels)


class ResidualBlock(nn.Module):
    """Two convolutions, the second one modulated, beside a short cut; ``(batch, channel, X, Y, Z)``."""

    def __init__(self, inside: int, outside: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.first = nn.Conv3d(inside, outside, 3, stride, dilation, dilation, bias=False)
        self.second = nn.Conv3d(outside, outside, 3, 1, dilation, dilation, bias=False)
        self.norms = nn.ModuleList([norm_of(outside), norm_of(outside)])
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv3d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor, modulation: Modulation | None = None) -> Tensor:
        """Volumes of the same size, or of half of it."""
        h = functional.silu(self.norms[0](self.first(x)))
        h = modulate(self.norms[1](self.second(h)), modulation)
        return functional.silu(self.shortcut(x) + h)


class Trunk(nn.Module):
    """The encoder before its pooling: a stem and the residual stages.

    The stem has no normalisation, and the short cuts carry what it saw: how many foci there were survives.

    Parameters
    ----------
    channels : int
        Of the maps.
    width : int
        Channels of the first stage; the second has twice, all others four times as many.
    strides, dilations : sequence of int
        One of each per stage.
    """

    def __init__(self, channels: int, width: int, strides: Sequence[int], dilations: Sequence[int]):
        super().__init__()
        self.widths = [width * 2 ** min(i, 2) for i in range(len(strides))]
        self.stem = nn.Sequential(nn.Conv3d(channels, width, 3, padding=1), nn.SiLU())
        inside = [width, *self.widths[:-1]]
        settings = zip(inside, self.widths, strides, dilations, strict=True)
        self.stages = nn.ModuleList(ResidualBlock(*each) for each in settings)

    def forward(self, maps: Tensor, modulations: list[Modulation] | None = None) -> Tensor:
        """Maps to features ``(batch, channel, x, y, z)``."""
        h = self.stem(maps)
        for i, stage in enumerate(self.stages):
            h = stage(h, None if modulations is None else modulations[i])
        return h


class Upsampler(nn.Module):
    """Latents to features on the full grid: a linear layer, then doubling and convolving.

    Doubling is trilinear: a transposed convolution leaves a checkerboard, and browsers cannot run it.

    Parameters
    ----------
    latent : int
    shape : sequence of int
        Of the full grid.
    top, width : int
        Channels at the bottom, halved at every doubling, and the fewest.
    n_doublings : int
    """

    def __init__(self, latent: int, shape: Sequence[int], top: int, width: int, n_doublings: int):
        super().__init__()
        self.doubles = n_doublings > 0
        self.small = (top, *(n // 2**n_doublings for n in shape))
        self.start = nn.Linear(latent, math.prod(self.small))
        self.widths = [max(top >> (i + 1), width) for i in range(n_doublings)] or [width]
        settings = zip([top, *self.widths[:-1]], self.widths, strict=True)
        self.stages = nn.ModuleList(ResidualBlock(*each) for each in settings)

    def forward(self, z: Tensor, modulations: list[Modulation] | None = None) -> Tensor:
        """Latents ``(batch, latent)`` to features ``(batch, channel, X, Y, Z)``."""
        h = self.start(z).unflatten(1, self.small)
        for i, stage in enumerate(self.stages):
            if self.doubles:
                h = functional.interpolate(h, scale_factor=2, mode="trilinear", align_corners=False)
            h = stage(h, None if modulations is None else modulations[i])
        return h
