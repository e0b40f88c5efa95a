"""A variational autoencoder of foci as points: some foci of a study in, a mixture of Gaussians out.

It reads coordinates instead of maps and says its density in 32 ellipsoids. The density is normalised
over the voxels of the brain, so its nats compare with those of models of voxels.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.brain import Grid
from neurolib.models.coordinates.latent_density import LatentDensity, shown
from neurolib.models.coordinates.mixture_density import Components, MixtureDensityConfig
from neurolib.models.coordinates.point_encoder import PointEncoderConfig
from neurolib.training.batches import Batch


@dataclass(frozen=True)
class PointVAEConfig:
    """Sizes and regularisation of a :class:`PointVAE`.

    Parameters
    ----------
    latent, hidden : int
    condition : int
        Numbers that describe a study to encoder and decoder; 0 for none.
    dropout : float
        Of the decoder's hidden units.
    condition_dropout : float
        Share of training studies whose description is replaced by a learned blank.
    beta : float
        Weight of the divergence, reached after ``warmup`` steps.
    warmup : int
    keep : tuple of float
        The encoder sees a share of a study's foci drawn between these two; the decoder must say all.
    hide_table : float
        Share of training studies with several tables that lose a whole one instead.
    flip : float
        Share of training studies that are mirrored left to right.
    mean_foci : float
        Foci per study to begin with.
    encoder : PointEncoderConfig
    mixture : MixtureDensityConfig
    """

    latent: int = 32
    hidden: int = 256
    condition: int = 0
    dropout: float = 0.2
    condition_dropout: float = 0.2
    beta: float = 1.0
    warmup: int = 400
    keep: tuple[float, float] = (0.3, 0.8)
    hide_table: float = 0.5
    flip: float = 0.3
    mean_foci: float = 30.0
    encoder: PointEncoderConfig = field(default_factory=PointEncoderConfig)
    mixture: MixtureDensityConfig = field(default_factory=MixtureDensityConfig)

    def __post_init__(self):
        if not 0 < self.keep[0] <= self.keep[1] <= 1:
            raise ValueError(f"keep={self.keep} must be two shares above 0, the smaller first")
        for name in ("dropout", "condition_dropout", "hide_table", "flip"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if min(self.latent, self.hidden) < 1 or not self.mean_foci > 0:
            raise ValueError(
                f"latent={self.latent}, hidden={self.hidden}, mean_foci={self.mean_foci} must be positive"
            )
        if min(self.condition, self.beta, self.warmup) < 0:
            raise ValueError(
                f"condition={self.condition}, beta={self.beta}, warmup={self.warmup} must not be negative"
            )

    def build(self, grid: Grid, log_base: ArrayLike, seed: int = 0) -> "PointVAE":
        """Make the untrained model, whose density is a mixture fitted to the base.

        Parameters
        ----------
        grid : Grid
        log_base : array, shape (n_voxels,)
            Log density of all training foci.
        seed : int
        """
        torch.manual_seed(seed)
        return PointVAE(self, grid, log_base)


class PointVAE(LatentDensity):
    r"""Latents of a study, the mixture that its foci are from, and how many there are.

    .. math:: n \sim \mathrm{NegBin}(\mu(z), r), \qquad v_i \sim \mathrm{Mixture}(z), \qquad
        -\log p = -\sum_i \log p(v_i \mid z) - \log p(n \mid z) + \beta\,\mathrm{KL}

    A batch may hold, beside what :class:`LatentDensity` says, ``xyz (batch, n, 3)`` in mm; without it
    foci are read at the centres of their voxels.

    Parameters
    ----------
    cfg : PointVAEConfig
    grid : Grid
    log_base : array, shape (n_voxels,)

    References
    ----------
    .. [1] Bishop (1994), "Mixture density networks", Aston University, NCRG/94/004.
    .. [2] Qi, Yi, Su & Guibas (2017), "PointNet++: deep hierarchical feature learning on point sets in
       a metric space", NeurIPS.
    """

    def __init__(self, cfg: PointVAEConfig, grid: Grid, log_base: ArrayLike):
        super().__init__()
        self.cfg = cfg
        self.n_latent, self.n_condition = cfg.latent, cfg.condition
        self.encoder, self.mixture = cfg.encoder.build(), cfg.mixture.build(grid)
        self.register_buffer("mirror", torch.from_numpy(grid.mirror.astype(np.int64)), persistent=False)
        centres = torch.as_tensor(grid.centres_mm, dtype=torch.float32)
        self.register_buffer("centres_mm", centres, persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.blank = nn.Parameter(torch.zeros(cfg.condition))
        self.posterior = nn.Sequential(
            nn.Linear(cfg.encoder.hidden + 1 + cfg.condition, cfg.hidden),
            nn.LayerNorm(cfg.hidden),
            nn.SiLU(),
            nn.Linear(cfg.hidden, 2 * cfg.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(cfg.latent + cfg.condition, cfg.hidden),
            nn.LayerNorm(cfg.hidden),
            nn.SiLU(),
            nn.Dropout(cfg.dropout),
            nn.Linear(cfg.hidden, cfg.hidden),
            nn.LayerNorm(cfg.hidden),
            nn.SiLU(),
        )
        self.where = nn.Linear(cfg.hidden, self.mixture.n_parameters)
        self.how_many = nn.Linear(cfg.hidden, 1)
        self.log_size = nn.Parameter(torch.zeros(()))  # of the negative binomial; small is wide
        log_base = np.asarray(log_base, float)
        if log_base.shape != (grid.n_voxels,):
            raise ValueError(f"log_base {log_base.shape} for {grid.n_voxels} voxels")
        with torch.no_grad():
            self.posterior[-1].weight[cfg.latent :].zero_()
            self.posterior[-1].bias[cfg.latent :].fill_(-1.0)
            for silent in (self.where, self.how_many):
                silent.weight.zero_()
            self.where.bias.copy_(self.mixture.fitted(np.exp(log_base - log_base.max())))
            self.how_many.bias.fill_(math.log(cfg.mean_foci))

    def encode(self, batch: Batch, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each ``(batch, latent)``, of the foci under ``visible``."""
        features = self.encoder(self._xyz(batch), visible)
        size = visible.sum(1, keepdim=True).to(features.dtype).log1p() / 3 - 1
        told = self._described(self.told(batch), len(size))
        both = self.posterior(torch.cat([features, size, told], 1))
        mean, log_variance = (both if both.dtype == torch.float64 else both.float()).chunk(2, 1)
        return mean, log_variance.clamp(-8, 4)

    def infer(self, batch: Batch, visible: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents given the visible foci, and their log prior over posterior; see the base class."""
        mean, log_variance = self.encode(batch, visible)
        noise = torch.zeros_like(mean) if noise is None else noise
        z = mean + noise * (log_variance / 2).exp()
        return z, (noise.square() + log_variance - z.square()).sum(1) / 2

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log probability of every voxel, ``(batch, n_voxels)``."""
        return self.mixture(self.where(self._hidden(z, condition)))

    def components(self, z: Tensor, condition: Tensor | None = None) -> Components:
        """The Gaussians behind the density, before the brain's border cuts them."""
        return self.mixture.components(self.where(self._hidden(z, condition)))

    def count(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean ``(batch,)`` and size of the negative binomial number of foci."""
        return self._count(self._hidden(z, condition))

    def loss(self, batch: Batch) -> Tensor:
        """Negative evidence bound per study over 30; in evaluation the mean log loss per hidden focus."""
        if not self.training:
            return self.hidden_loss(batch)
        self.steps += 1
        batch, visible = self._augmented(batch)
        mean, log_variance = self.encode(batch, visible)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        hidden, mask = self._hidden(z, self.told(batch)), batch["mask"]
        log_p = self.mixture.at_foci(self.where(hidden), batch["voxels"])[mask].sum()
        log_n = negative_binomial(mask.sum(1), *self._count(hidden)).sum()
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        beta = self.cfg.beta * min(1.0, self.steps.item() / max(self.cfg.warmup, 1))
        return (beta * kl - log_p - log_n) / (30 * len(mask))

    @torch.no_grad()
    def expected_foci(self, batch: Batch) -> NDArray:
        """Foci to be expected in each study, hidden and seen, given the seen ones, ``(batch,)``."""
        self.eval()
        z, _ = self.infer(batch, batch["seen"])
        return self.count(z, self.told(batch))[0].double().cpu().numpy()

    @torch.no_grad()
    def sample(self, n: int = 1, condition: Tensor | None = None, seed: int = 0) -> Batch:
        """Draw whole studies from the prior, as a batch; foci lie at the centres of voxels.

        Parameters
        ----------
        n : int
            Studies, if no condition says how many.
        condition : Tensor, shape (n, condition), optional
        seed : int
        """
        self.eval()
        n = n if condition is None else len(condition)
        generator = torch.Generator().manual_seed(seed)
        z = self._noise(n, generator)
        mean, size = (part.double().cpu().numpy() for part in self.count(z, condition))
        counts = np.random.default_rng(seed).negative_binomial(size, size / (size + mean)).clip(min=1)
        mask = torch.arange(int(counts.max())) < torch.from_numpy(counts)[:, None]
        density = self.decode(z, condition).exp().cpu()
        voxels = torch.multinomial(density, mask.shape[1], replacement=True, generator=generator) * mask
        return {
            "voxels": voxels,
            "xyz": self.centres_mm.cpu()[voxels],
            "mask": mask,
            "seen": mask.clone(),
            "condition": torch.zeros(n, 0) if condition is None else condition.cpu(),
        }

    def _xyz(self, batch: Batch) -> Tensor:
        return batch["xyz"] if "xyz" in batch else self.centres_mm[batch["voxels"]]

    def _hidden(self, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.decoder(torch.cat([z, self._described(condition, len(z))], 1))

    def _count(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self.how_many(hidden)[:, 0].to(self.log_size.dtype).clamp(-3, 9).exp(), self.log_size.exp()

    def _described(self, condition: Tensor | None, n: int) -> Tensor:
        return self.blank.expand(n, -1) if condition is None else condition

    def _augmented(self, batch: Batch) -> tuple[Batch, Tensor]:
        """A training batch with some studies mirrored and some descriptions blanked, and the visible foci."""
        cfg, mask, n = self.cfg, batch["mask"], len(batch["mask"])
        flipped = torch.rand(n, 1, device=mask.device) < cfg.flip
        xyz = self._xyz(batch)
        batch = batch | {
            "voxels": torch.where(flipped, self.mirror[batch["voxels"]], batch["voxels"]),
            "xyz": torch.where(flipped[..., None], xyz * xyz.new_tensor([-1.0, 1.0, 1.0]), xyz),
        }
        if cfg.condition:
            without = torch.rand(n, 1, device=mask.device) < cfg.condition_dropout
            batch["condition"] = torch.where(without, self.blank, self.told(batch))
        return batch, shown(mask, batch.get("table"), cfg.keep, cfg.hide_table)


def negative_binomial(n: Tensor, mean: Tensor, size: Tensor) -> Tensor:
    """Log probability of numbers under a negative binomial with variance ``mean + mean**2 / size``.

    Examples
    --------
    >>> p = negative_binomial(torch.arange(3), torch.tensor(1.0), torch.tensor(1.0)).exp()
    >>> [round(each, 4) for each in p.tolist()]  # geometric
    [0.5, 0.25, 0.125]
    """
    whole = size + mean
    ways = torch.lgamma(n + size) - torch.lgamma(size) - torch.lgamma(n + torch.ones_like(size))
    return ways + size * (size / whole).log() + n * (mean / whole).log()
