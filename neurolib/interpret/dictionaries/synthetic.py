"""Vectors whose dictionary is known: settings in; atoms, and sums of few of them, out."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

OWN = 10_000_019  # added to seeds: else a dictionary of the same seed would begin as the truth, number for number


@dataclass(frozen=True)
class SparseWorld:
    r"""Vectors that are sums of ``k`` of ``n_atoms`` random directions, each with a weight from 0.5 to 1.5.

    With ``k`` of order 8 in 64 channels, atoms disturb each other: what an inactive atom reads has a standard
    deviation of :math:`\sqrt{k / channels}`, a third of what active ones read. No encoder of one layer tells them
    apart without error, though the atoms can be learnt, and codes found with them by search.

    Examples
    --------
    >>> world = SparseWorld(n_atoms=6, n_channels=4, k=2)
    >>> world.draw(10).shape, world.atoms.norm(dim=1).round(decimals=4).tolist()
    (torch.Size([10, 4]), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    n_atoms: int = 256
    n_channels: int = 64
    k: int = 8
    noise: float = 0.0  # standard deviation, per channel
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.k <= self.n_atoms or self.n_channels < 1 or self.noise < 0:
            raise ValueError(
                f"k={self.k} of n_atoms={self.n_atoms} in n_channels={self.n_channels} with noise={self.noise}"
            )

    @property
    def atoms(self) -> Tensor:
        """The truth, ``(n_atoms, n_channels)``, of unit norm."""
        draw = torch.Generator().manual_seed(self.seed + OWN)
        return F.normalize(torch.randn(self.n_atoms, self.n_channels, generator=draw), dim=1)

    def draw(self, n: int, seed: int = 1) -> Tensor:
        """Vectors ``(n, n_channels)``; another seed gives others of the same world."""
        draw = torch.Generator().manual_seed((self.seed << 20) + seed + 2 * OWN)
        chosen = torch.rand(n, self.n_atoms, generator=draw).topk(self.k, dim=1).indices
        weight = 0.5 + torch.rand(n, self.k, generator=draw)
        codes = torch.zeros(n, self.n_atoms).scatter(1, chosen, weight)
        return codes @ self.atoms + self.noise * torch.randn(n, self.n_channels, generator=draw)
