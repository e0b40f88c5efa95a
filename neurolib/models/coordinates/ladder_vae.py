"""A two-level variational autoencoder of studies: some foci in, a density over the brain out.

The upper latents are what groups of studies share; they say where the lower latents of a study are
to be expected. Nothing of the encoder reaches the decoder except through latents, so that drawing
from the prior is defined.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField
from neurolib.models.coordinates.latent_density import LatentDensity, shown
from neurolib.training.batches import Batch

Gaussian = tuple[Tensor, Tensor]  # mean and log variance, each (batch, latent)


@dataclass(frozen=True)
class LadderVAEConfig:
    """Sizes and regularisation of a :class:`LadderVAE`.

    Parameters
    ----------
    lower, upper : int
        Latents of the two levels.
    hidden : int
    condition : int
        Numbers that describe a study to encoder and decoder; 0 for none.
    dropout : float
        Of hidden units.
    condition_dropout : float
        Share of training studies whose description is replaced by a learned blank.
    beta : tuple of float
        Weight of the divergence of the lower and of the upper level, reached after ``warmup`` steps.
    free_nats : float
        Divergence per level, averaged over a batch, below which nothing presses it further down.
    warmup : int
    keep : tuple of float
        The encoder sees a share of a study's foci drawn between these two; the decoder must say all.
    hide_table : float
        Share of training studies with several tables that lose a whole one instead.
    flip : float
        Share of training studies that are mirrored left to right.
    fwhm_mm : float
        Width by which the encoder smooths foci.
    """

    lower: int = 24
    upper: int = 8
    hidden: int = 384
    condition: int = 0
    dropout: float = 0.2
    condition_dropout: float = 0.2
    beta: tuple[float, float] = (1.0, 1.0)
    free_nats: float = 0.5
    warmup: int = 400
    keep: tuple[float, float] = (0.3, 0.8)
    hide_table: float = 0.5
    flip: float = 0.3
    fwhm_mm: float = 14.0

    def __post_init__(self):
        if min(self.lower, self.upper, self.hidden) < 1:
            raise ValueError(
                f"lower={self.lower}, upper={self.upper}, hidden={self.hidden} must be at least 1; "
                "for one level take DensityVAEConfig"
            )
        if not 0 < self.keep[0] <= self.keep[1] <= 1:
            raise ValueError(f"keep={self.keep} must be two shares above 0, the smaller first")
        for name in ("dropout", "condition_dropout", "hide_table", "flip"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if len(self.beta) != 2 or min(*self.beta, self.free_nats, self.condition, self.warmup) < 0:
            raise ValueError(
                f"beta={self.beta} must be one weight per level, and it, free_nats={self.free_nats}, "
                f"condition={self.condition} and warmup={self.warmup} not negative"
            )

    def build(self, grid: Grid, log_base: ArrayLike, seed: int = 0) -> "LadderVAE":
        """Make the untrained model, whose density is the base.

        Parameters
        ----------
        grid : Grid
        log_base : array, shape (n_voxels,)
            Log density of all training foci.
        seed : int
        """
        torch.manual_seed(seed)
        return LadderVAE(self, grid, log_base)


class LadderVAE(LatentDensity):
    r"""Two levels of latents and the density of a study's foci.

    .. math:: p(v, z_1, z_2) = p(v \mid z_1, z_2)\, N(z_1; m(z_2), s(z_2))\, N(z_2; 0, 1)

    The posterior of the lower level multiplies what the foci say with what the upper level expects
    (precisions add). The decoder sees ``z2`` without its gradient: the upper level learns from
    its expectation of the lower one alone, so it cannot become a second lower level.

    Latents are handed around as one tensor, the lower level first.

    Parameters
    ----------
    cfg : LadderVAEConfig
    grid : Grid
    log_base : array, shape (n_voxels,)

    References
    ----------
    .. [1] Sønderby et al. (2016), "Ladder variational autoencoders", NeurIPS.
    .. [2] Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow",
       NeurIPS (free bits).

    Examples
    --------
    >>> cube = Grid(np.ones((4, 4, 4), bool), 8.0)
    >>> model = LadderVAEConfig(lower=3, upper=2, hidden=8).build(cube, np.full(64, -np.log(64)))
    >>> model.prior(n=5).unique().tolist()  # untrained: the base
    [0.015625]
    """

    def __init__(self, cfg: LadderVAEConfig, grid: Grid, log_base: ArrayLike):
        super().__init__()
        self.cfg = cfg
        self.n_latent, self.n_condition = cfg.lower + cfg.upper, cfg.condition
        self.field = NodeField(grid, log_base, cfg.fwhm_mm)
        self.register_buffer("mirror", torch.from_numpy(grid.mirror.astype(np.int64)), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.blank = nn.Parameter(torch.zeros(cfg.condition))
        self.reader = _layer(self.field.n_nodes + 1 + cfg.condition, cfg.hidden, cfg.dropout)
        self.rise = nn.ModuleList([_layer(cfg.hidden, cfg.hidden), _layer(cfg.hidden, cfg.hidden)])
        self.evidence_of = nn.ModuleList([nn.Linear(cfg.hidden, 2 * n) for n in (cfg.lower, cfg.upper)])
        self.expect = nn.Sequential(_layer(cfg.upper, cfg.hidden), nn.Linear(cfg.hidden, 2 * cfg.lower))
        self.decoder = nn.Sequential(
            _layer(self.n_latent + cfg.condition, cfg.hidden, cfg.dropout), _layer(cfg.hidden, cfg.hidden)
        )
        self.out = nn.Linear(cfg.hidden, self.field.n_nodes)
        for silent in (self.out, self.expect[-1]):
            nn.init.zeros_(silent.weight)
            nn.init.zeros_(silent.bias)
        with torch.no_grad():  # posteriors of moderate width to begin with
            for last in self.evidence_of:
                last.weight[len(last.weight) // 2 :].zero_()
                last.bias[len(last.bias) // 2 :].fill_(-1.0)

    def rising(self, batch: Batch, visible: Tensor) -> tuple[Gaussian, Gaussian]:
        """What the visible foci alone say about the lower and the upper latents."""
        foci = torch.log1p(4 * self.field.read(batch["voxels"], visible))
        size = torch.log1p(visible.sum(1, keepdim=True).float()) / 3 - 1
        hidden = self.reader(torch.cat([foci, size, self._described(self.told(batch), len(foci))], 1))
        said = []
        for layer, last in zip(self.rise, self.evidence_of, strict=True):
            hidden = layer(hidden)
            mean, log_variance = last(hidden).float().chunk(2, 1)
            said.append((mean, log_variance.clamp(-8, 4)))
        return said[0], said[1]

    def expected(self, upper: Tensor) -> Gaussian:
        """Prior of the lower latents given the upper ones."""
        mean, log_variance = self.expect(upper).float().chunk(2, 1)
        return mean, log_variance.clamp(-6, 2)

    def infer(self, batch: Batch, visible: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents given the visible foci, and their log prior over posterior; see the base class."""
        z, posteriors, priors = self._infer(batch, visible, noise)
        parts = zip(z.split([self.cfg.lower, self.cfg.upper], 1), posteriors, priors, strict=True)
        return z, sum(_log_density(part, *p) - _log_density(part, *q) for part, q, p in parts)

    def from_prior(self, noise: Tensor) -> Tensor:
        """Latents of the prior from standard noise: the upper ones first, then the lower ones."""
        lower, upper = noise.split([self.cfg.lower, self.cfg.upper], 1)
        return torch.cat([_draw(self.expected(upper), lower), upper], 1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density of every voxel, ``(batch, n_voxels)``; no gradient goes to the upper latents."""
        lower, upper = z.split([self.cfg.lower, self.cfg.upper], 1)
        told = self._described(condition, len(z))
        return self.field(self.out(self.decoder(torch.cat([lower, upper.detach(), told], 1))))

    def loss(self, batch: Batch) -> Tensor:
        """Negative evidence bound per study over 30; in evaluation the mean log loss per hidden focus."""
        if not self.training:
            return self.hidden_loss(batch)
        self.steps += 1
        batch, visible = self._augmented(batch)
        noise = torch.randn(len(visible), self.n_latent, device=visible.device)
        z, posteriors, priors = self._infer(batch, visible, noise)
        log_p = self.decode(z, self.told(batch)).gather(1, batch["voxels"])[batch["mask"]]
        warm = min(1.0, self.steps.item() / max(self.cfg.warmup, 1))
        paid = sum(
            beta * warm * divergence(q, p).mean().clamp(min=self.cfg.free_nats)
            for beta, q, p in zip(self.cfg.beta, posteriors, priors, strict=True)
        )
        return (paid - log_p.sum() / len(visible)) / 30

    @torch.no_grad()
    def divergences(self, batch: Batch, seed: int = 0) -> Tensor:
        """Divergence of the lower and of the upper level given all foci, nats, shape (batch, 2)."""
        self.eval()
        noise = self._noise(len(batch["mask"]), torch.Generator().manual_seed(seed))
        _, posteriors, priors = self._infer(batch, batch["mask"], noise)
        return torch.stack([divergence(q, p) for q, p in zip(posteriors, priors, strict=True)], 1)

    def _infer(
        self, batch: Batch, visible: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, tuple[Gaussian, Gaussian], tuple[Gaussian, Gaussian]]:
        """Latents, posteriors and priors, the lower level first."""
        said, above = self.rising(batch, visible)
        lower, upper = (None, None) if noise is None else noise.split([self.cfg.lower, self.cfg.upper], 1)
        z2 = _draw(above, upper)
        expected = self.expected(z2)
        below = combined(said, expected)
        standard = (torch.zeros_like(z2), torch.zeros_like(z2))
        return torch.cat([_draw(below, lower), z2], 1), (below, above), (expected, standard)

    def _augmented(self, batch: Batch) -> tuple[Batch, Tensor]:
        """A training batch with some studies mirrored and some descriptions blanked, and the visible foci."""
        cfg, mask, n = self.cfg, batch["mask"], len(batch["mask"])
        flipped = torch.rand(n, 1, device=mask.device) < cfg.flip
        batch = batch | {"voxels": torch.where(flipped, self.mirror[batch["voxels"]], batch["voxels"])}
        if cfg.condition:
            without = torch.rand(n, 1, device=mask.device) < cfg.condition_dropout
            batch["condition"] = torch.where(without, self.blank, self.told(batch))
        return batch, shown(mask, batch.get("table"), cfg.keep, cfg.hide_table)

    def _described(self, condition: Tensor | None, n: int) -> Tensor:
        return self.blank.expand(n, -1) if condition is None else condition


def combined(a: Gaussian, b: Gaussian) -> Gaussian:
    """Normalised product of two Gaussians: precisions add, means are weighted by them.

    Examples
    --------
    >>> mean, log_variance = combined((torch.tensor(0.0), torch.tensor(0.0)), (torch.tensor(4.0), torch.tensor(0.0)))
    >>> mean.item(), round(log_variance.exp().item(), 6)
    (2.0, 0.5)
    """
    log_precision = torch.logaddexp(-a[1], -b[1])
    return a[0] * (-a[1] - log_precision).exp() + b[0] * (-b[1] - log_precision).exp(), -log_precision


def divergence(q: Gaussian, p: Gaussian) -> Tensor:
    """Kullback-Leibler divergence of one diagonal Gaussian from another, nats per row.

    Examples
    --------
    >>> one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    >>> divergence((one, zero), (zero, zero)).item()
    0.5
    """
    shift = (q[0] - p[0]).square() * (-p[1]).exp()
    return (shift + (q[1] - p[1]).exp() - 1 - q[1] + p[1]).sum(1) / 2


def _draw(gaussian: Gaussian, noise: Tensor | None) -> Tensor:
    mean, log_variance = gaussian
    return mean if noise is None else mean + noise * (log_variance / 2).exp()


def _log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log density of a diagonal Gaussian without its constant, which cancels; ``(batch,)``."""
    return -((z - mean).square() * (-log_variance).exp() + log_variance).sum(1) / 2


def _layer(n_in: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, hidden), nn.LayerNorm(hidden), nn.SiLU(), nn.Dropout(dropout))
