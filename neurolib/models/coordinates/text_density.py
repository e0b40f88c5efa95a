"""A density from a study's text alone: its description in, log probability of every voxel out.

A network without latents, trained on the log probability of the study's coordinates; what NeuroQuery
does by a linear regression of smoothed maps, with the likelihood in place of squared error.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField
from neurolib.training.batches import Batch


@dataclass(frozen=True)
class TextDensityConfig:
    """Sizes of a :class:`TextDensity`.

    Parameters
    ----------
    condition : int
        Numbers in a study's description, see :class:`~neurolib.models.coordinates.text.StudyText`.
    hidden : int
    input_dropout, dropout : float
    """

    condition: int
    hidden: int = 256
    input_dropout: float = 0.2
    dropout: float = 0.3

    def __post_init__(self):
        if self.condition < 1 or self.hidden < 1:
            raise ValueError(f"condition={self.condition} and hidden={self.hidden} must be at least 1")

    def build(self, grid: Grid, log_base: ArrayLike, seed: int = 0) -> "TextDensity":
        """The untrained model, which is the base density."""
        torch.manual_seed(seed)
        return TextDensity(self, grid, log_base)


class TextDensity(nn.Module):
    """Description of a study to the density of its foci.

    Parameters
    ----------
    cfg : TextDensityConfig
    grid : Grid
    log_base : array, shape (n_voxels,)
    """

    def __init__(self, cfg: TextDensityConfig, grid: Grid, log_base: ArrayLike):
        super().__init__()
        self.cfg = cfg
        self.field = NodeField(grid, log_base)
        widths = [cfg.condition, cfg.hidden, cfg.hidden]
        layers: list[nn.Module] = [nn.Dropout(cfg.input_dropout)]
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.LayerNorm(n_out), nn.SiLU(), nn.Dropout(cfg.dropout)]
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(cfg.hidden, self.field.n_nodes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def nodes(self, condition: Tensor) -> Tensor:
        """What the text adds to the log density of all foci, on the nodes, ``(batch, n_nodes)``."""
        return self.out(self.body(condition))

    def fields(self, batch: Batch) -> Tensor:
        """As :meth:`nodes`, for a batch of studies."""
        return self.nodes(batch["condition"])

    def forward(self, condition: Tensor) -> Tensor:
        """Log density of every voxel, ``(batch, n_voxels)``."""
        return self.field(self.nodes(condition))

    def loss(self, batch: Batch) -> Tensor:
        """Mean log loss: per study and 30 in training, so that large studies count more; per focus else."""
        log_p = self(batch["condition"]).gather(1, batch["voxels"])[batch["mask"]]
        return -log_p.sum() / (30 * len(batch["mask"])) if self.training else -log_p.mean()

    def weight(self, batch: Batch) -> Tensor:
        """The number behind the mean of :meth:`loss`."""
        return torch.tensor(float(len(batch["mask"]))) if self.training else batch["mask"].sum().float()

    @torch.no_grad()
    def densities(self, batch: Batch, block: int = 64) -> Iterator[Tensor]:
        """Densities ``(block, n_voxels)``, block after block of studies."""
        self.eval()
        for start in range(0, len(batch["mask"]), block):
            yield self(batch["condition"][start : start + block]).exp()
