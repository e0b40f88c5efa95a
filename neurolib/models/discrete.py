"""Discrete decoder: counts ``(batch, time, unit)`` in, a few whole numbers per bin, and velocity out.

An encoder with memory gives a latent per bin, a quantizer makes it codes, a perceptron reads what the
codes stand for. Without a quantizer it is its own continuous twin.
"""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_bins, check_units, moments
from neurolib.models.quantizers.quantizer import QuantizerConfig
from neurolib.models.sites import Site, inside, sites_of
from neurolib.models.vae import EncoderConfig

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class DiscreteDecoderConfig:
    """Settings of a :class:`DiscreteDecoder`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    encoder: EncoderConfig
    quantizer: QuantizerConfig | None = None  # None: the latents go on as they are
    dim: int = 32  # channels of a latent
    hidden: int = 64  # width of the head
    dropout: float = 0.0  # on what the head reads, training only
    leak: float = 0.0  # share of the latent that passes the quantizer by; above 0 nothing is discrete
    spikes: float = 0.0  # weight of reconstructed counts: Poisson deviance over that of the mean rates
    forecast: float = 0.0  # weight of the squared error in guessing the next latent from this one
    noise: float = 0.0  # SD of what is added to standardised counts, training only
    drop_bins: float = 0.0  # share of bins put to their mean count, training only
    encoder_lr: float = 1.0  # of the learning rate

    def __post_init__(self):
        if self.dim < 1 or self.hidden < 1:
            raise ValueError(f"dim={self.dim}, hidden={self.hidden} must be at least 1")
        for name in ("leak", "drop_bins"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a share, from 0 to 1")
        for name in ("spikes", "forecast", "noise", "encoder_lr"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")


class DiscreteDecoder(nn.Module):
    """Encoder, quantizer and head.

    Parameters
    ----------
    cfg : DiscreteDecoderConfig
    n_units, n_outputs : int
    bin_size_s : float

    See Also
    --------
    for_trials : make one that fits a recording.

    Notes
    -----
    In training :meth:`loss` has all its terms; in evaluation mode it is the squared error of the
    behaviour alone, so that models with other terms are selected by the same measure.

    Examples
    --------
    >>> from neurolib.models.controls import RecurrentEncoderConfig
    >>> from neurolib.models.quantizers.residual import ResidualConfig
    >>> cfg = DiscreteDecoderConfig(RecurrentEncoderConfig(hidden=8), ResidualConfig(size=4, n_stages=2), dim=3)
    >>> model = DiscreteDecoder(cfg, n_units=5, n_outputs=2, bin_size_s=0.025).eval()
    >>> outputs, codes, _ = model.step(torch.zeros(1, 5))
    >>> outputs.shape, codes.shape, model.bits
    (torch.Size([1, 2]), torch.Size([1, 2]), 4.0)
    """

    def __init__(self, cfg: DiscreteDecoderConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__()
        if n_units < 1:
            raise ValueError("a recording without units; were all of them dropped?")
        self.cfg, self.n_units, self.bin_size_s = cfg, n_units, bin_size_s
        self.encoder = cfg.encoder.build(n_units, cfg.dim, bin_size_s)
        self.quantizer = cfg.quantizer.build(cfg.dim) if cfg.quantizer else None
        self.head = nn.Sequential(
            nn.Dropout(cfg.dropout),
            nn.Linear(cfg.dim, cfg.hidden),
            nn.GELU(),
            nn.Linear(cfg.hidden, n_outputs),
        )
        self.log_gain = nn.Linear(cfg.dim, n_units) if cfg.spikes else None
        self.next_latent = (
            nn.Sequential(nn.Linear(cfg.dim, cfg.hidden), nn.GELU(), nn.Linear(cfg.hidden, cfg.dim))
            if cfg.forecast
            else None
        )
        self.register_buffer("output_mean", torch.zeros(n_outputs))
        self.register_buffer("output_scale", torch.ones(()))
        for name, start in (("mean", 0.0), ("scale", 1.0)):
            self.register_buffer(f"count_{name}", torch.full((n_units,), start))
        self.frozen_encoder = False

    @classmethod
    def for_trials(cls, trials: Trials, cfg: DiscreteDecoderConfig) -> "DiscreteDecoder":
        """Make a decoder for training trials, its scales taken from them and from nothing else.

        All outputs share one scale, so that the loss weighs them as variance-weighted R² does.
        """
        model = cls(cfg, trials.n_units, trials.behaviour.shape[1], trials.bin_size_s)
        if hasattr(model.encoder, "standardise"):
            model.encoder.standardise(trials.counts)
        mean, scale = moments(trials.behaviour)
        model.output_mean.copy_(torch.as_tensor(mean))
        model.output_scale.copy_(torch.as_tensor(np.sqrt((scale**2).mean())))
        for buffer, value in zip((model.count_mean, model.count_scale), moments(trials.counts), strict=True):
            buffer.copy_(torch.as_tensor(value))
        return model

    def sites(self) -> tuple[Site, ...]:
        """Those of the encoder, the latents, and what the head reads of them after the quantizer."""
        at = ("batch", "time", "channel")
        return (
            *inside("encoder", sites_of(self.encoder).values(), "encoder."),
            Site("latents", "encoder", at, pick=0),
            Site("through", "head", at, side="input"),
            Site("features", "head.2", at),
        )

    @property
    def bits(self) -> float:
        """Nominal bits per bin; infinite without a quantizer."""
        return self.quantizer.bits if self.quantizer else float("inf")

    def forward(self, counts: Tensor) -> Tensor:
        """Decode counts ``(B, T, n_units)`` into outputs ``(B, T, n_outputs)`` in their own unit."""
        latents, _ = self.encoder(counts)
        through = self._through(latents)[0] if self.quantizer else latents
        return self._physical(self.head(through))

    def loss(self, batch: Batch) -> Tensor:
        """Squared error in shared standard deviations, and in training the other terms of the config.

        Parameters
        ----------
        batch : dict
            ``counts (B, T, n_units)``, ``behaviour (B, T, n_outputs)``, ``mask (B, T)``.
        """
        return self.terms(batch)["total"]

    def terms(self, batch: Batch, counts: Tensor | None = None) -> dict[str, Tensor]:
        """What :meth:`loss` is made of, with ``outputs`` and ``latents`` of the real bins ``(n, ...)``.

        ``counts`` are seen instead of the batch's own, if given.
        """
        there = batch["mask"].bool()
        seen = self.augmented(batch["counts"]) if counts is None else counts
        latents, _ = self.encoder(seen)
        latents = latents[there]  # what fills short trials must not reach the codebooks
        through, extra = self._through(latents) if self.quantizer else (latents, latents.new_zeros(()))
        outputs = self.head(through)
        target = (batch["behaviour"][there] - self.output_mean) / self.output_scale
        error = (outputs - target).square().mean()
        found = {"error": error, "outputs": outputs, "latents": latents, "through": through}
        if not self.training:
            return found | {"total": error}
        total = error + extra
        if self.log_gain is not None:
            total = total + self.cfg.spikes * self._deviance(through, batch["counts"][there])
        if self.next_latent is not None:
            first = there.clone()
            first[:, 1:] &= ~there[:, :-1]
            follows = ~first[there][1:]  # is the bin after this one of the same trial?
            guess, ahead = self.next_latent(through[:-1][follows]), latents.detach()[1:][follows]
            total = total + self.cfg.forecast * (guess - ahead).square().mean()
        return found | {"total": total}

    def weight(self, batch: Batch) -> Tensor:
        """Bins behind the mean of :meth:`loss`."""
        return batch["mask"].sum()

    def augmented(self, counts: Tensor) -> Tensor:
        """Counts with noise added and bins dropped, in training only."""
        if not self.training or not (self.cfg.noise or self.cfg.drop_bins):
            return counts
        noisy = counts + self.cfg.noise * self.count_scale * torch.randn_like(counts)
        hidden = torch.rand_like(counts[..., :1]) < self.cfg.drop_bins
        return torch.where(hidden, self.count_mean.to(counts), noisy)

    def quantised(
        self, quantizer: QuantizerConfig | None, trials: Trials, seed: int = 0, **changes
    ) -> "DiscreteDecoder":
        """Post-training quantization: a copy of this decoder with codes, set by k-means of its latents.

        Nothing else changes. Train the copy to fine-tune it, or :meth:`freeze_encoder` first to refit its head.

        Parameters
        ----------
        quantizer : QuantizerConfig or None
            None gives a continuous copy.
        trials : Trials
            For training; their latents are taken without augmentation.
        seed : int
        **changes
            Other settings of the copy, such as ``encoder_lr``.
        """
        twin = copy.deepcopy(self).eval()
        twin.cfg = replace(self.cfg, quantizer=quantizer, **changes)
        if quantizer is not None:
            twin.quantizer = quantizer.build(self.cfg.dim).to(self.output_mean)
            twin.quantizer.init_kmeans(torch.as_tensor(self.embed(trials)).to(self.output_mean), seed=seed)
        return twin.eval()

    def freeze_encoder(self) -> "DiscreteDecoder":
        """Train the head alone from now on; encoder and codes stay as they are."""
        self.frozen_encoder = True
        for part in (self.encoder, self.quantizer):
            if part is not None:
                part.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> "DiscreteDecoder":
        """Switch to training; a frozen encoder stays in use."""
        super().train(mode)
        if self.frozen_encoder:
            self.encoder.eval()
            if self.quantizer is not None:
                self.quantizer.eval()
        return self

    def lr_factor(self, name: str) -> float:
        """Learning rate of a parameter, relative to that of the training."""
        return self.cfg.encoder_lr if name.startswith("encoder.") else 1.0

    @torch.no_grad()
    def predict(self, trials: Trials, n_stages: int | None = None) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``; with a residual quantizer, from its first stages."""
        latents = torch.as_tensor(self.embed(trials)).to(self.output_mean)
        if self.quantizer is None:
            return self._physical(self.head(latents)).cpu().numpy().astype(float)
        found = self.quantizer.quantize(latents, n_stages) if n_stages else self.quantizer.quantize(latents)
        return self._physical(self.head(self.with_leak(latents, found.z_q))).cpu().numpy().astype(float)

    @torch.no_grad()
    def embed(self, trials: Trials) -> NDArray:
        """Latent of every bin, before it is made discrete, shape ``(n_bins, dim)``."""
        check_units(trials, self.n_units)
        check_bins(trials, self.bin_size_s)
        self.eval()
        padded = trials.padded()
        blocks = torch.from_numpy(padded.counts).to(self.output_mean).split(64)
        return torch.cat([self.encoder(block)[0] for block in blocks]).cpu().numpy()[padded.mask]

    @torch.no_grad()
    def codes(self, trials: Trials) -> NDArray:
        """Codes of every bin, shape ``(n_bins, n_codebooks)``."""
        latents = torch.as_tensor(self.embed(trials)).to(self.output_mean)
        return self._need_codes().quantize(latents).codes.cpu().numpy()

    @torch.no_grad()
    def decode_codes(self, codes: ArrayLike) -> NDArray:
        """Outputs ``(..., n_outputs)`` that codes ``(..., n_codebooks)`` stand for."""
        codes = torch.as_tensor(np.asarray(codes), device=self.output_mean.device)
        return self._physical(self.head(self._need_codes().decode(codes))).cpu().numpy().astype(float)

    @torch.no_grad()
    def step(self, counts: Tensor, state=None) -> tuple[Tensor, Tensor | None, tuple]:
        """One bin: counts ``(B, n_units)`` in; outputs of the same bin, its codes and the new state out."""
        latents, state = self.encoder(counts[:, None], state)
        if self.quantizer is None:
            return self._physical(self.head(latents[:, 0])), None, state
        found = self.quantizer.quantize(latents[:, 0])
        through = self.with_leak(latents[:, 0], found.z_q)
        return self._physical(self.head(through)), found.codes, state

    def _through(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """What the head reads of the latents, and the quantizer's loss."""
        found = self.quantizer.quantize(latents)
        return self.with_leak(latents, found.z_q), found.loss

    def with_leak(self, latents: Tensor, z_q: Tensor) -> Tensor:
        """What the head reads: the codes, and the share of the latents that passes them by."""
        return z_q + self.cfg.leak * (latents - z_q) if self.cfg.leak else z_q

    def _deviance(self, through: Tensor, counts: Tensor) -> Tensor:
        """Poisson deviance of the counts, as a share of that of the mean rates."""
        mean = self.count_mean.clamp(min=1e-4).expand_as(counts)
        log_rate = mean.log() + self.log_gain(through).clamp(max=6)
        gained = (counts * (log_rate - mean.log()) - (log_rate.exp() - mean)).sum()
        null = 2 * (torch.xlogy(counts, counts / mean) - (counts - mean)).sum()
        return 1 - 2 * gained / null.clamp(min=1e-6)

    def _need_codes(self):
        if self.quantizer is None:
            raise ValueError("a continuous decoder has no codes; make it discrete with quantised()")
        return self.quantizer

    def _physical(self, outputs: Tensor) -> Tensor:
        return outputs * self.output_scale + self.output_mean


class Distillation(nn.Module):
    """A discrete student that also learns from a frozen teacher, on the very batch that both see.

    Parameters
    ----------
    student, teacher : DiscreteDecoder
        With latents of the same width.
    outputs : float
        Weight of the squared difference between the student's outputs and the teacher's.
    latents : float
        Weight of that between what the student's head reads and the teacher's latents.

    Notes
    -----
    The teacher sees the student's augmented counts, in the same step. The target has to be
    the *teacher's* latent: with the student's own, the straight-through gradient pushes the latent
    away from its code.

    References
    ----------
    .. [1] Hinton, Vinyals & Dean (2015), "Distilling the knowledge in a neural network",
       arXiv:1503.02531.
    """

    def __init__(
        self, student: DiscreteDecoder, teacher: DiscreteDecoder, outputs: float = 1.0, latents: float = 0.0
    ):
        super().__init__()
        if student.cfg.dim != teacher.cfg.dim and latents:
            raise ValueError(
                f"latents of {student.cfg.dim} and {teacher.cfg.dim} channels cannot be compared"
            )
        if outputs < 0 or latents < 0:
            raise ValueError(f"{outputs=}, {latents=} are weights; they must not be negative")
        self.student, self.outputs, self.latents = student, outputs, latents
        self._teacher = [copy.deepcopy(teacher).eval().requires_grad_(False)]  # in a list: not ours to train
        self.cfg = student.cfg

    def loss(self, batch: Batch) -> Tensor:
        """The student's loss, and in training its distance from the teacher."""
        if not self.training:
            return self.student.loss(batch)
        counts = self.student.augmented(batch["counts"])
        found = self.student.terms(batch, counts)
        teacher = self._teacher[0].to(counts.device)
        with torch.no_grad():
            target = teacher.terms(batch, counts)
        total = found["total"] + self.outputs * (found["outputs"] - target["outputs"]).square().mean()
        return total + self.latents * (found["through"] - target["latents"]).square().mean()

    def weight(self, batch: Batch) -> Tensor:
        """Bins behind the mean of :meth:`loss`."""
        return self.student.weight(batch)

    def lr_factor(self, name: str) -> float:
        """As the student's."""
        return self.student.lr_factor(name.removeprefix("student."))
