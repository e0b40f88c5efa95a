"""A variational autoencoder of studies: some foci of a study in, a density over the brain out.

It is trained on what it is scored by, the log probability of coordinates. Untrained, its density
is the density of all foci exactly, so every nat that it gains was learned.
"""

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField
from neurolib.models.coordinates.latent_density import LatentDensity, shown
from neurolib.models.sites import Site
from neurolib.training.batches import Batch


@dataclass(frozen=True)
class DensityVAEConfig:
    """Sizes and regularisation of a :class:`DensityVAE`.

    Parameters
    ----------
    latent, hidden : int
    condition : int
        Numbers that describe a study to encoder and decoder (topics, year); 0 for none.
    dropout : float
        Of hidden units.
    condition_dropout : float
        Share of training studies whose description is replaced by a learned blank.
    beta : float
        Weight of the Kullback-Leibler term, reached after ``warmup`` steps.
    warmup : int
    keep : tuple of float
        The encoder sees a share of a study's foci drawn between these two; the decoder must say all.
    hide_table : float
        Share of training studies with several tables of which one whole table is kept from the encoder.
    flip : float
        Share of training studies that are mirrored left to right.
    fwhm_mm : float
        Width by which the encoder smooths foci.
    """

    latent: int = 32
    hidden: int = 384
    condition: int = 0
    dropout: float = 0.2
    condition_dropout: float = 0.3
    beta: float = 1.0
    warmup: int = 400
    keep: tuple[float, float] = (0.3, 0.8)
    hide_table: float = 0.5
    flip: float = 0.3
    fwhm_mm: float = 14.0

    def __post_init__(self):
        if not 0 < self.keep[0] <= self.keep[1] <= 1:
            raise ValueError(f"keep={self.keep} must be two shares above 0, the smaller first")
        for name in ("dropout", "condition_dropout", "hide_table", "flip"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if self.latent < 1 or self.hidden < 1 or self.condition < 0 or self.beta < 0:
            raise ValueError(
                f"latent={self.latent}, hidden={self.hidden} must be positive, others not negative"
            )

    def build(self, grid: Grid, log_base: ArrayLike, seed: int = 0) -> "DensityVAE":
        """The untrained model.

        Parameters
        ----------
        grid : Grid
        log_base : array, shape (n_voxels,)
            Log density of all training foci.
        seed : int
        """
        torch.manual_seed(seed)
        return DensityVAE(self, grid, log_base)


class DensityVAE(LatentDensity):
    """Latent description of a study and the density of its foci.

    Parameters
    ----------
    cfg : DensityVAEConfig
    grid : Grid
    log_base : array, shape (n_voxels,)
    """

    def __init__(self, cfg: DensityVAEConfig, grid: Grid, log_base: ArrayLike):
        super().__init__()
        self.cfg, self.n_latent, self.n_condition = cfg, cfg.latent, cfg.condition
        self.grid = grid
        self.field = NodeField(grid, log_base, cfg.fwhm_mm)
        self.register_buffer("mirror", torch.from_numpy(grid.mirror).long(), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.blank = nn.Parameter(torch.zeros(cfg.condition))
        self.encoder = _layers(self.field.n_nodes + 1 + cfg.condition, cfg.hidden, cfg.dropout)
        self.posterior = nn.Linear(cfg.hidden, 2 * cfg.latent)
        self.decoder = _layers(cfg.latent + cfg.condition, cfg.hidden, cfg.dropout)
        self.out = nn.Linear(cfg.hidden, self.field.n_nodes)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():  # a posterior of moderate width to begin with
            self.posterior.weight[cfg.latent :].zero_()
            self.posterior.bias[cfg.latent :].fill_(-1.0)

    def sites(self) -> tuple[Site, ...]:
        """Hidden layers of both networks, the posterior (means, then log variances), and the field on the nodes."""
        at = ("batch", "channel")
        return (
            Site("seen", "encoder", at),
            Site("posterior", axes=at),
            Site("latents", "decoder", at, side="input"),
            Site("hidden", "decoder", at),
            Site("nodes", "out", at),
        )

    def encode(self, voxels: Tensor, mask: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each ``(batch, latent)``, of the foci under ``mask``."""
        foci = torch.log1p(4 * self.field.read(voxels, mask))
        size = torch.log1p(mask.sum(1, keepdim=True).float()) / 3 - 1
        hidden = self.encoder(torch.cat([foci, size, self._told(condition, len(voxels))], 1))
        mean, log_variance = self.posterior(hidden).chunk(2, 1)
        return mean, log_variance.clamp(-8, 4)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density of every voxel, ``(batch, n_voxels)``."""
        return self.field(self.nodes(z, condition))

    def nodes(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """What is added to the log density of all foci, on the nodes, ``(batch, n_nodes)``."""
        return self.out(self.decoder(torch.cat([z, self._told(condition, len(z))], 1)))

    def _told(self, condition: Tensor | None, n: int) -> Tensor:
        """The studies' description, or the learned blank."""
        if not self.cfg.condition:
            return self.blank.new_zeros(n, 0)
        return self.blank.expand(n, -1) if condition is None else condition

    def fields(self, batch: Batch) -> Tensor:
        """What the seen foci add to the log density of all foci, on the nodes, at the posterior's mean."""
        told = self.told(batch)
        return self.nodes(self.encode(batch["voxels"], batch["seen"], told)[0], told)

    def infer(self, batch: Batch, visible: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents of studies, given the foci under a mask; see :class:`LatentDensity`."""
        mean, log_variance = self.encode(batch["voxels"], visible, self.told(batch))
        if noise is None:
            noise = torch.zeros_like(mean)
        z = mean + noise * (log_variance / 2).exp()
        return z, (noise**2 + log_variance - z**2).sum(1) / 2

    def loss(self, batch: Batch) -> Tensor:
        """Negative evidence bound per study over 30; in evaluation the mean log loss per hidden focus."""
        if not self.training:
            return self.hidden_loss(batch)
        self.steps += 1
        cfg, mask, n = self.cfg, batch["mask"], len(batch["mask"])
        flipped = torch.rand(n, 1, device=mask.device) < cfg.flip
        voxels = torch.where(flipped, self.mirror[batch["voxels"]], batch["voxels"])
        seen = shown(mask, batch.get("table"), cfg.keep, cfg.hide_table)
        condition = self.told(batch)
        if condition is not None:
            without = torch.rand(n, 1, device=mask.device) < cfg.condition_dropout
            condition = torch.where(without, self.blank, condition)
        mean, log_variance = self.encode(voxels, seen, condition)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        log_p = self.decode(z, condition).gather(1, voxels)[mask]
        beta = cfg.beta * min(1.0, self.steps.item() / max(cfg.warmup, 1))
        return (beta * divergence(mean, log_variance).sum() - log_p.sum()) / (30 * n)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of a diagonal Gaussian from the standard one, nats per row.

    Examples
    --------
    >>> divergence(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).item()
    0.5
    """
    return (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2


def _layers(n_in: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden),
        nn.LayerNorm(hidden),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.LayerNorm(hidden),
        nn.SiLU(),
    )
