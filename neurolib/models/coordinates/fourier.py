"""Places as waves: millimetres ``(..., 3)`` in, random Fourier features ``(..., 2 * n_waves)`` out.

A network sees coordinates in mm as nearly linear; waves of several lengths let it tell near places apart.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FourierConfig:
    """Octaves of a :class:`FourierFeatures`.

    Parameters
    ----------
    sigmas_per_mm : tuple of float
        Standard deviations of the frequencies, cycles per mm: one octave each. Typical waves are
        ``1 / sigma`` long; below twice the spacing of coordinates they are noise.
    n_waves : int
        Per octave.
    seed : int
        Of the frequencies.
    """

    sigmas_per_mm: tuple[float, ...] = (0.005, 0.01, 0.02, 0.04)
    n_waves: int = 32
    seed: int = 0

    def __post_init__(self):
        if not self.sigmas_per_mm or not all(0 < sigma <= 0.25 for sigma in self.sigmas_per_mm):
            raise ValueError(
                f"sigmas_per_mm={self.sigmas_per_mm} must lie above 0 and at most at 0.25: foci are 2 mm "
                "apart at best, and shorter waves than 4 mm alias; is it in cycles per metre?"
            )
        if self.n_waves < 1:
            raise ValueError(f"n_waves={self.n_waves} must be at least 1")

    @property
    def n_features(self) -> int:
        """Width of what comes out: a cosine and a sine per wave."""
        return 2 * len(self.sigmas_per_mm) * self.n_waves

    def build(self) -> "FourierFeatures":
        """Draw the frequencies."""
        return FourierFeatures(self)


class FourierFeatures(nn.Module):
    r"""Cosines and sines of fixed random waves.

    .. math:: \phi(x) = [\cos 2\pi B x, \sin 2\pi B x], \qquad B_{ij} \sim N(0, \sigma^2)

    The product of two places' features approximates a Gaussian kernel of their distance d,
    :math:`e^{-2 \pi^2 \sigma^2 d^2}`, averaged over octaves. Frequencies are saved with the weights.

    References
    ----------
    .. [1] Rahimi & Recht (2007), "Random features for large-scale kernel machines", NeurIPS.
    .. [2] Tancik et al. (2020), "Fourier features let networks learn high frequency functions in low
       dimensional domains", NeurIPS.

    Examples
    --------
    >>> waves = FourierConfig(sigmas_per_mm=(0.01,), n_waves=2).build()
    >>> waves(torch.zeros(1, 3)).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    def __init__(self, cfg: FourierConfig):
        super().__init__()
        self.cfg = cfg
        generator = torch.Generator().manual_seed(cfg.seed)
        octaves = [s * torch.randn(3, cfg.n_waves, generator=generator) for s in cfg.sigmas_per_mm]
        self.register_buffer("frequencies", torch.cat(octaves, 1))

    def forward(self, xyz_mm: Tensor) -> Tensor:
        """Features of places ``(..., 3)``, shape (..., n_features)."""
        # half precision would round a phase of several turns
        with torch.autocast(xyz_mm.device.type, enabled=False):
            phase = 2 * math.pi * (xyz_mm.to(self.frequencies.dtype) @ self.frequencies)
            return torch.cat([phase.cos(), phase.sin()], -1)
