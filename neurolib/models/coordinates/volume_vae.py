"""A VAE on volumes: maps of a study ``(batch, channel, X, Y, Z)`` in, a log density over brain voxels out.

A 3-D residual encoder, a few latents, a decoder that bends a base density: with its last layer at zero
the untrained model *is* the base density, so every nat above it was learned. Convolutions are slow on
a CPU; this is the optional path.
"""

import math
from dataclasses import dataclass, field

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.models.coordinates.film import FiLMConfig, Modulation
from neurolib.models.coordinates.kl_control import BetaSchedule, KLConfig
from neurolib.models.coordinates.volume_blocks import Trunk, Upsampler

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class VolumeVAEConfig:
    """Settings of a :class:`VolumeVAE`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    shape: tuple[int, int, int] = (24, 28, 24)  # of the network's grid; 8 mm, padded
    channels: int = 2  # of the maps; one per kernel width
    n_condition: int = 0  # 0 is unconditional
    width: int = 8  # channels of the first stage; they double twice
    latent: int = 32
    strides: tuple[int, ...] = (1, 2, 2, 1)  # one residual stage each; at 4 mm (2, 2, 2, 1)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    film_hidden: int = 64
    condition_dropout: float = 0.2
    kl: KLConfig = field(default_factory=BetaSchedule)
    map_weight: float = 0.0  # of the auxiliary head, per study; 0 leaves it out

    def __post_init__(self):
        if len(self.strides) != len(self.dilations) or not set(self.strides) <= {1, 2}:
            raise ValueError(
                f"strides={self.strides}, dilations={self.dilations}: one of each per stage, strides 1 or 2"
            )
        if len(self.shape) != 3 or any(n < 1 or n % math.prod(self.strides) for n in self.shape):
            raise ValueError(
                f"shape={self.shape} must be three sizes divisible by {math.prod(self.strides)}, "
                f"the product of strides={self.strides}; pad the grid"
            )
        if self.width < 4 or self.width % 4:
            raise ValueError(
                f"width={self.width} must be a multiple of 4, the channels of a normalised group"
            )
        if min(self.channels, self.latent, *self.dilations) < 1:
            raise ValueError(
                f"channels={self.channels}, latent={self.latent}, dilations={self.dilations}: all at least 1"
            )
        if min(self.n_condition, self.map_weight) < 0:
            raise ValueError(f"n_condition={self.n_condition}, map_weight={self.map_weight}: neither below 0")

    def build(self, mask: ArrayLike, log_base: ArrayLike) -> "VolumeVAE":
        """Make the model, with random weights and yet exactly the base density.

        Parameters
        ----------
        mask : array-like of bool, shape ``shape``
            Voxels of the network's grid that can hold a focus; they are numbered in C order.
        log_base : array-like, shape (n_voxels,)
            Log of the base density over them, up to a constant.

        Raises
        ------
        ValueError
            If the two do not fit the grid or each other.
        """
        return VolumeVAE(self, mask, log_base)


class VolumeVAE(nn.Module):
    r"""Conditional beta-VAE of the density of foci.

    .. math:: p(v \mid z, c) \propto p_0(v)\, e^{r_\theta(z, c)_v}, \qquad
        -\log p = -\sum_i \log p(v_i \mid z, c) + \beta\, \mathrm{KL}

    A batch is a dict: ``maps (batch, channel, X, Y, Z)``; ``condition (batch, n_condition)`` or absent;
    and the foci, either as pairs ``study`` (row of the batch) and ``voxel`` (number in the mask), each
    ``(n_foci,)``, or for the training loop, which cuts tensors by rows, as ``foci (batch, most)``, filled up
    with -1 (:func:`padded`).

    Parameters
    ----------
    cfg : VolumeVAEConfig
    mask, log_base : array-like
        See :meth:`VolumeVAEConfig.build`.

    References
    ----------
    .. [1] Kingma & Welling (2014), "Auto-encoding variational Bayes", ICLR.
    .. [2] Higgins et al. (2017), "beta-VAE", ICLR.
    .. [3] Odena et al. (2016), "Deconvolution and checkerboard artifacts", Distill.

    Examples
    --------
    >>> mask = torch.ones(4, 4, 4, dtype=torch.bool)
    >>> model = VolumeVAEConfig(shape=(4, 4, 4), width=4, latent=2).build(mask, torch.zeros(64)).eval()
    >>> density = model.decode(torch.randn(3, 2)).exp()
    >>> density.shape, density.unique().tolist()  # uniform: 1 / 64
    (torch.Size([3, 64]), [0.015625])
    """

    def __init__(self, cfg: VolumeVAEConfig, mask: ArrayLike, log_base: ArrayLike):
        super().__init__()
        mask = torch.as_tensor(mask, dtype=torch.bool)
        log_base = torch.as_tensor(log_base, dtype=torch.float64)
        if mask.shape != cfg.shape:
            raise ValueError(f"mask {tuple(mask.shape)} for a grid of {cfg.shape}; was it padded?")
        if log_base.shape != (int(mask.sum()),) or not log_base.isfinite().all():
            raise ValueError(
                f"log_base {tuple(log_base.shape)} for {int(mask.sum())} voxels of the mask; it needs one "
                "finite number each. A voxel that no study reported needs smoothing, not -inf"
            )
        self.cfg = cfg
        self.trunk = Trunk(cfg.channels, cfg.width, cfg.strides, cfg.dilations)
        self.upsampler = Upsampler(
            cfg.latent, cfg.shape, self.trunk.widths[-1], cfg.width, cfg.strides.count(2)
        )
        self.moments = nn.Linear(2 * self.trunk.widths[-1], 2 * cfg.latent)
        with torch.no_grad():  # little noise at first, or the decoder learns to do without the latents
            self.moments.weight[cfg.latent :] = 0.0
            self.moments.bias[cfg.latent :] = -2.0
        # no bias: a constant cancels in the softmax
        self.last = nn.Conv3d(self.upsampler.widths[-1], 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.kl = cfg.kl.build()
        if cfg.n_condition:
            film = FiLMConfig(cfg.n_condition, cfg.film_hidden, cfg.condition_dropout)
            self.film = film.build(self.trunk.widths + self.upsampler.widths)
        if cfg.map_weight:
            self.map_head = nn.Conv3d(self.upsampler.widths[-1], 2 * cfg.channels, 3, padding=1)
        self.register_buffer("voxels", mask.flatten().nonzero()[:, 0])
        self.register_buffer("log_base", log_base.log_softmax(0).float())

    def features(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        """What the encoder makes of maps, pooled by mean and by maximum, ``(batch, feature)``."""
        return self._features(maps, self._modulations(condition, len(maps)))

    def encode(self, maps: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, each ``(batch, latent)``."""
        return self._encode(maps, self._modulations(condition, len(maps)))

    def log_ratio(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The field r on the whole grid, ``(batch, X, Y, Z)``, nats; only its differences mean anything."""
        return self._ratio(self._grid(z, self._modulations(condition, len(z))))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density over the voxels of the mask, ``(batch, n_voxels)``."""
        return self._log_density(self._grid(z, self._modulations(condition, len(z))))

    def posterior_mean(self, maps: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density at the mean of the latents, ``(batch, n_voxels)``."""
        return self.decode(self.encode(maps, condition)[0], condition)

    def predictive(self, maps: Tensor, condition: Tensor | None = None, n_draws: int = 16) -> Tensor:
        """Log of the density averaged over draws from the posterior, ``(batch, n_voxels)``."""
        mean, log_variance = self.encode(maps, condition)
        sd = (log_variance / 2).exp()
        return self._averaged(mean, sd, condition, n_draws)

    def prior(self, n: int, condition: Tensor | None = None) -> Tensor:
        """Log densities of latents drawn from the prior, ``(n, n_voxels)``."""
        return self.decode(torch.randn(n, self.cfg.latent).to(self.log_base), condition)

    def prior_predictive(self, n: int, condition: Tensor | None = None, n_draws: int = 16) -> Tensor:
        """Log of the density averaged over draws from the prior: what a condition alone says."""
        mean = torch.zeros(n, self.cfg.latent).to(self.log_base)
        return self._averaged(mean, torch.ones_like(mean), condition, n_draws)

    def map_moments(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The auxiliary head's mean and log variance of the maps, each ``(batch, channel, X, Y, Z)``."""
        if not self.cfg.map_weight:
            raise ValueError("this model has no auxiliary head; give it map_weight above 0")
        return self._map_moments(self._grid(z, self._modulations(condition, len(z))))

    def loss(self, batch: Batch) -> Tensor:
        """Negative evidence bound in nats per focus; in training with the penalty's beta.

        In evaluation the latents' noise is the same at every call, and the auxiliary head is left out.
        """
        return self.loss_and_latents(batch)[0]

    def loss_and_latents(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As :meth:`loss`, with the mean of the latents for an adversary."""
        maps = batch["maps"]
        study, voxel = pairs(batch)
        modulations = self._modulations(batch.get("condition"), len(maps))
        mean, log_variance = self._encode(maps, modulations)
        z = mean + self._noise(mean) * (log_variance / 2).exp()
        h = self._grid(z, modulations)
        miss = -self._log_density(h)[study, voxel].sum()
        kl = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
        per_study = self.kl(kl)
        if self.cfg.map_weight and self.training:
            per_study = per_study + self.cfg.map_weight * self._map_miss(h, maps)
        return (miss + len(maps) * per_study) / max(len(voxel), 1), mean

    def weight(self, batch: Batch) -> Tensor:
        """Foci behind the mean of :meth:`loss`."""
        return torch.tensor(max(len(pairs(batch)[1]), 1), device=self.log_base.device)

    def _modulations(self, condition: Tensor | None, n: int) -> list[Modulation] | None:
        if self.cfg.n_condition:
            return self.film(self.film.fill(condition, n))
        if condition is not None:
            raise ValueError(f"condition {tuple(condition.shape)} for a model with n_condition=0")
        return None

    def _features(self, maps: Tensor, modulations: list[Modulation] | None) -> Tensor:
        wanted = (self.cfg.channels, *self.cfg.shape)
        if maps.shape[1:] != wanted:
            raise ValueError(f"maps {tuple(maps.shape)} must be (batch, {', '.join(map(str, wanted))})")
        h = self.trunk(maps, modulations)
        return torch.cat([h.mean((2, 3, 4)), h.amax((2, 3, 4))], dim=1)

    def _encode(self, maps: Tensor, modulations: list[Modulation] | None) -> tuple[Tensor, Tensor]:
        both = self.moments(self._features(maps, modulations))
        both = both if both.dtype == torch.float64 else both.float()  # half precision is too coarse here
        mean, log_variance = both.chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 4)

    def _grid(self, z: Tensor, modulations: list[Modulation] | None) -> Tensor:
        """Features on the full grid; the decoder's modulations come behind the encoder's."""
        return self.upsampler(z, modulations and modulations[len(self.trunk.widths) :])

    def _averaged(self, mean: Tensor, sd: Tensor, condition: Tensor | None, n_draws: int) -> Tensor:
        """Log of the mean density; the mean of log densities would charge for every draw that is off."""
        if n_draws < 1:
            raise ValueError(f"n_draws={n_draws} must be at least 1")
        draws = [self.decode(mean + sd * torch.randn_like(sd), condition) for _ in range(n_draws)]
        return torch.logsumexp(torch.stack(draws), 0) - math.log(n_draws)

    def _ratio(self, h: Tensor) -> Tensor:
        return self.last(h)[:, 0]

    def _log_density(self, h: Tensor) -> Tensor:
        ratio = self._ratio(h).flatten(1)[:, self.voxels]
        return (self.log_base + ratio.to(self.log_base.dtype)).log_softmax(1)

    def _map_moments(self, h: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.map_head(h).to(self.log_base.dtype).chunk(2, dim=1)
        return mean, log_variance.clamp(-7, 4)

    def _map_miss(self, h: Tensor, maps: Tensor) -> Tensor:
        inside = [part.flatten(2)[:, :, self.voxels] for part in (maps, *self._map_moments(h))]
        return beta_nll(*inside).mean()

    def _noise(self, like: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(like)
        return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(like)


def beta_nll(y: Tensor, mean: Tensor, log_variance: Tensor, beta: float = 0.5) -> Tensor:
    """Gaussian negative log-likelihood, up to a constant, each entry weighted by its variance to the ``beta``.

    The weight has no gradient; it keeps entries with a large variance from being given up.

    References
    ----------
    .. [1] Seitzer et al. (2022), "On the pitfalls of heteroscedastic uncertainty estimation with
       probabilistic neural networks", ICLR.

    Examples
    --------
    >>> beta_nll(torch.tensor(2.0), torch.tensor(0.0), torch.tensor(0.0))  # (2 - 0)**2 / 2
    tensor(2.)
    """
    miss = ((y - mean).square() * (-log_variance).exp() + log_variance) / 2
    return miss * (beta * log_variance.detach()).exp()


def pairs(batch: Batch) -> tuple[Tensor, Tensor]:
    """Study and voxel of every focus of a batch, from either form.

    Raises
    ------
    ValueError
        If a pair holds a voxel below 0.
    """
    if "foci" in batch:
        study, place = (batch["foci"] >= 0).nonzero(as_tuple=True)
        return study, batch["foci"][study, place]
    study, voxel = batch["study"], batch["voxel"]
    if len(voxel) and voxel.min() < 0:
        raise ValueError(
            f"voxel {int(voxel.min())}: a focus outside the mask? drop it, or snap it, beforehand"
        )
    return study, voxel


def padded(study: ArrayLike, voxel: ArrayLike, n_studies: int) -> Tensor:
    """Foci given as pairs as one row per study, filled up with -1, ``(n_studies, most)``.

    Examples
    --------
    >>> padded(study=[0, 2, 2], voxel=[7, 5, 6], n_studies=3).tolist()
    [[7, -1], [-1, -1], [5, 6]]
    """
    study, voxel = torch.as_tensor(study).long(), torch.as_tensor(voxel).long()
    order = study.argsort(stable=True)
    counts = torch.bincount(study, minlength=n_studies)
    foci = torch.full((n_studies, int(counts.max()) if len(study) else 0), -1)
    place = torch.arange(len(study)) - (counts.cumsum(0) - counts)[study[order]]
    foci[study[order], place] = voxel[order]
    return foci
