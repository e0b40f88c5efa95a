"""A variational autoencoder of studies: some foci of a study in, a density over the brain out.

It is trained on what it is scored by, the log probability of coordinates. Untrained, its density
is the density of all foci exactly, so every nat that it gains was learned.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField
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
    flip : float
        Share of training studies that are mirrored left to right.
    fwhm_mm : float
        Width by which the encoder smooths foci.
    """

    latent: int = 32
    hidden: int = 384
    condition: int = 0
    dropout: float = 0.2
    condition_dropout: float = 0.2
    beta: float = 1.0
    warmup: int = 400
    keep: tuple[float, float] = (0.3, 0.8)
    flip: float = 0.3
    fwhm_mm: float = 14.0

    def __post_init__(self):
        if not 0 < self.keep[0] <= self.keep[1] <= 1:
            raise ValueError(f"keep={self.keep} must be two shares above 0, the smaller first")
        for name in ("dropout", "condition_dropout", "flip"):
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


class DensityVAE(nn.Module):
    """Latent description of a study and the density of its foci.

    Parameters
    ----------
    cfg : DensityVAEConfig
    grid : Grid
    log_base : array, shape (n_voxels,)
    """

    def __init__(self, cfg: DensityVAEConfig, grid: Grid, log_base: ArrayLike):
        super().__init__()
        self.cfg = cfg
        self.field = NodeField(grid, log_base, cfg.fwhm_mm)
        self.register_buffer("mirror", torch.from_numpy(grid.mirror.astype(np.int64)), persistent=False)
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

    def loss(self, batch: Batch) -> Tensor:
        """Negative evidence bound per study over 30; in evaluation the mean log loss per hidden focus."""
        voxels, mask, condition = batch["voxels"], batch["mask"], batch["condition"]
        if not self.training:
            mean, _ = self.encode(voxels, batch["seen"], condition)
            hidden = mask & ~batch["seen"]
            return -self.decode(mean, condition).gather(1, voxels)[hidden].mean()
        self.steps += 1
        cfg, n = self.cfg, len(voxels)
        flipped = torch.rand(n, 1, device=voxels.device) < cfg.flip
        voxels = torch.where(flipped, self.mirror[voxels], voxels)
        share = torch.empty(n, 1, device=voxels.device).uniform_(*cfg.keep)
        seen = mask & (torch.rand(mask.shape, device=voxels.device) < share)
        if cfg.condition:
            without = torch.rand(n, 1, device=voxels.device) < cfg.condition_dropout
            condition = torch.where(without, self.blank, condition)
        mean, log_variance = self.encode(voxels, seen, condition)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        log_p = self.decode(z, condition).gather(1, voxels)[mask]
        beta = cfg.beta * min(1.0, self.steps.item() / max(cfg.warmup, 1))
        return (beta * divergence(mean, log_variance).sum() - log_p.sum()) / (30 * n)

    def weight(self, batch: Batch) -> Tensor:
        """The number behind the mean of :meth:`loss`: studies in training, hidden foci in evaluation."""
        if self.training:
            return torch.tensor(float(len(batch["mask"])))
        return (batch["mask"] & ~batch["seen"]).sum().float()

    @torch.no_grad()
    def densities(
        self, batch: Batch, n_samples: int = 16, seed: int = 0, block: int = 64
    ) -> Iterator[Tensor]:
        """Predictive densities ``(block, n_voxels)`` given the seen foci, block after block of studies.

        Probabilities are averaged over ``n_samples`` draws from the posterior; with 0, the
        posterior's mean is decoded instead.
        """
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, len(batch["voxels"]), block):
            rows = {key: value[start : start + block] for key, value in batch.items()}
            condition = rows["condition"] if self.cfg.condition else None
            mean, log_variance = self.encode(rows["voxels"], rows["seen"], condition)
            if not n_samples:
                yield self.decode(mean, condition).exp()
                continue
            total = 0.0
            for _ in range(n_samples):
                noise = torch.randn(mean.shape, generator=generator).to(mean)
                total = total + self.decode(mean + noise * (log_variance / 2).exp(), condition).exp()
            yield total / n_samples

    def hidden(self, batch: Batch, n_samples: int = 16, seed: int = 0) -> NDArray:
        """Probability of every hidden focus given the seen ones, study by study, shape (n_hidden,)."""
        out, start = [], 0
        for density in self.densities(batch, n_samples, seed):
            rows = slice(start, start + len(density))
            hidden = batch["mask"][rows] & ~batch["seen"][rows]
            out.append(density.cpu().gather(1, batch["voxels"][rows])[hidden])
            start = rows.stop
        return torch.cat(out).double().numpy()

    @torch.no_grad()
    def prior(
        self, condition: Tensor | None = None, n: int = 1, n_samples: int = 32, seed: int = 0
    ) -> Tensor:
        """Density ``(n, n_voxels)`` before any focus is seen, averaged over draws from the prior."""
        self.eval()
        n = n if condition is None else len(condition)
        generator, total = torch.Generator().manual_seed(seed), 0.0
        for _ in range(n_samples):
            z = torch.randn(n, self.cfg.latent, generator=generator).to(self.field.log_base)
            total = total + self.decode(z, condition).exp()
        return total / n_samples

    @torch.no_grad()
    def evidence(self, batch: Batch, n_samples: int = 64, seed: int = 0, block: int = 64) -> NDArray:
        """Importance-weighted bound on the log probability of all foci of each study, shape (batch,).

        References
        ----------
        .. [1] Burda, Grosse, Salakhutdinov (2016). Importance weighted autoencoders. ICLR.
        """
        self.eval()
        generator, out = torch.Generator().manual_seed(seed), []
        for start in range(0, len(batch["voxels"]), block):
            rows = {key: value[start : start + block] for key, value in batch.items()}
            condition = rows["condition"] if self.cfg.condition else None
            mean, log_variance = self.encode(rows["voxels"], rows["mask"], condition)
            weights = []
            for _ in range(n_samples):
                noise = torch.randn(mean.shape, generator=generator).to(mean)
                z = mean + noise * (log_variance / 2).exp()
                log_p = self.decode(z, condition).gather(1, rows["voxels"]).mul(rows["mask"]).sum(1)
                weights.append(log_p + ((noise**2 + log_variance - z**2) / 2).sum(1))
            out.append(torch.logsumexp(torch.stack(weights), 0) - np.log(n_samples))
        return torch.cat(out).double().cpu().numpy()


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
