"""Dictionaries whose activity is paid for: vectors ``(..., channel)`` in, features out.

A penalty on the sum of features (ReLU, gated) or on their number (JumpReLU); ``penalty`` sets how many are
active, which has to be looked up afterwards. The penalty comes in over the first part of training.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.interpret.dictionaries.autoencoder import (
    AutoencoderConfig,
    Objective,
    SparseAutoencoderBase,
    reconstruction_error,
)


@dataclass(frozen=True)
class ReLUConfig(AutoencoderConfig):
    r"""Loss :math:`|x - \hat x|^2 + \lambda \sum_i f_i`, the atoms being of unit norm.

    The penalty also pulls on the size of active features: reconstructions come out too small.

    Parameters
    ----------
    penalty : float
        :math:`\lambda`.
    warmup : float
        Share of training over which the penalty rises to its value.

    References
    ----------
    .. [1] Bricken et al. (2023), "Towards monosemanticity", Transformer Circuits Thread.
    """

    penalty: float = 1.0
    warmup: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        if self.penalty < 0 or not 0 <= self.warmup <= 1:
            raise ValueError(
                f"penalty={self.penalty} must not be negative, and warmup={self.warmup} is a share"
            )

    def build(self, n_channels: int) -> "ReLUDictionary":
        """Make the autoencoder, with random weights."""
        return ReLUDictionary(self, n_channels)

    def weight(self, progress: float) -> float:
        """The penalty after a share of the training.

        Examples
        --------
        >>> ReLUConfig(penalty=2.0, warmup=0.5).weight(0.25)
        1.0
        """
        return self.penalty * (min(progress / self.warmup, 1.0) if self.warmup else 1.0)


@dataclass(frozen=True)
class GatedConfig(ReLUConfig):
    """A gate decides which features are active, a magnitude how much; only the gate is penalised.

    References
    ----------
    .. [1] Rajamanoharan et al. (2024), "Improving dictionary learning with gated sparse autoencoders",
       arXiv 2404.16014.
    """

    def build(self, n_channels: int) -> "GatedDictionary":
        """Make the autoencoder, with random weights."""
        return GatedDictionary(self, n_channels)


@dataclass(frozen=True)
class JumpReLUConfig(ReLUConfig):
    """Features count above a threshold of their own, which is learnt; their number is penalised.

    Thresholds get a gradient only from values that happen to lie within ``bandwidth`` of them. They are learnt
    as they are and kept from falling below zero: as logarithms, small ones hardly move under Adam, which
    SAELens notes as well (``jumprelu_sae.py``, its issue 494).

    Parameters
    ----------
    bandwidth, first_threshold : float
        Vectors have a mean norm of the root of the channels, features are of order one.

    References
    ----------
    .. [1] Rajamanoharan et al. (2024), "Jumping ahead: improving reconstruction fidelity with JumpReLU sparse
       autoencoders", arXiv 2407.14435.
    """

    bandwidth: float = 0.1
    first_threshold: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if self.bandwidth <= 0 or self.first_threshold < 0:
            raise ValueError(
                f"bandwidth={self.bandwidth} must be positive, first_threshold={self.first_threshold} not negative"
            )

    def build(self, n_channels: int) -> "JumpReLUDictionary":
        """Make the autoencoder, with random weights."""
        return JumpReLUDictionary(self, n_channels)


class ReLUDictionary(SparseAutoencoderBase):
    """The autoencoder of :class:`ReLUConfig`."""

    cfg: ReLUConfig

    def activate(self, before: Tensor) -> Tensor:
        """What is positive."""
        return before.relu()

    def objective(self, x: Tensor, dead: Tensor, progress: float) -> Objective:
        """Squared error and the sum of features."""
        features = self.before(x).relu()
        reconstruction = features @ self.W_dec + self.b_dec
        loss = reconstruction_error(x, reconstruction) + self.cfg.weight(progress) * features.sum(-1).mean()
        return Objective(loss, features, reconstruction)


class GatedDictionary(SparseAutoencoderBase):
    """The autoencoder of :class:`GatedConfig`; ``b_enc`` is the bias of the gate."""

    cfg: GatedConfig

    def __init__(self, cfg: GatedConfig, n_channels: int):
        super().__init__(cfg, n_channels)
        self.r_mag = nn.Parameter(torch.zeros(cfg.n_features))
        self.b_mag = nn.Parameter(torch.zeros(cfg.n_features))

    def activate(self, before: Tensor) -> Tensor:
        """Magnitudes where the gate is open."""
        magnitude = (before - self.b_enc) * self.r_mag.exp() + self.b_mag
        return magnitude.relu() * (before > 0)

    def objective(self, x: Tensor, dead: Tensor, progress: float) -> Objective:
        """Squared error, the sum of gates, and what the gates alone reconstruct with the atoms held fixed."""
        before = self.before(x)
        features, gate = self.activate(before), before.relu()
        reconstruction = features @ self.W_dec + self.b_dec
        by_gate = gate @ self.W_dec.detach() + self.b_dec.detach()
        loss = reconstruction_error(x, reconstruction) + reconstruction_error(x, by_gate)
        return Objective(loss + self.cfg.weight(progress) * gate.sum(-1).mean(), features, reconstruction)


class JumpReLUDictionary(SparseAutoencoderBase):
    """The autoencoder of :class:`JumpReLUConfig`."""

    cfg: JumpReLUConfig

    def __init__(self, cfg: JumpReLUConfig, n_channels: int):
        super().__init__(cfg, n_channels)
        self.threshold = nn.Parameter(torch.full((cfg.n_features,), cfg.first_threshold))

    def activate(self, before: Tensor) -> Tensor:
        """What is above the threshold of its feature."""
        return before.relu() * (before > self.threshold.relu())

    def objective(self, x: Tensor, dead: Tensor, progress: float) -> Objective:
        """Squared error and the number of features."""
        before, width = self.before(x), self.cfg.bandwidth
        threshold = self.threshold.relu()
        features = Jump.apply(before, threshold, width)
        reconstruction = features @ self.W_dec + self.b_dec
        active = Step.apply(before, threshold, width).sum(-1).mean()
        loss = reconstruction_error(x, reconstruction) + self.cfg.weight(progress) * active
        return Objective(loss, features, reconstruction)


class Step(torch.autograd.Function):
    r"""One above the threshold, else zero; the gradient is that of its mean over values of smooth density.

    :math:`\partial/\partial\theta\, E[1(z > \theta)] = -p(\theta)`, the density being estimated by the share of
    values within half a bandwidth of the threshold.
    """

    @staticmethod
    def forward(ctx, before: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        """``before (batch, feature)``, ``threshold (feature,)``."""
        ctx.save_for_backward((before - threshold).abs() < bandwidth / 2)
        ctx.bandwidth = bandwidth
        return (before > threshold).to(before.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor):
        """To the threshold alone."""
        (near,) = ctx.saved_tensors
        return None, -(near * grad).sum(0) / ctx.bandwidth, None


class Jump(torch.autograd.Function):
    r"""The value above the threshold, else zero; :math:`\partial/\partial\theta\, E[g z 1(z > \theta)] = -\theta E[g | \theta] p(\theta)`."""

    @staticmethod
    def forward(ctx, before: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        """``before (batch, feature)``, ``threshold (feature,)`` not negative."""
        above = before > threshold
        ctx.save_for_backward(above, (before - threshold).abs() < bandwidth / 2, threshold)
        ctx.bandwidth = bandwidth
        return before * above

    @staticmethod
    def backward(ctx, grad: Tensor):
        """As a ReLU to the value, by the kernel to the threshold."""
        above, near, threshold = ctx.saved_tensors
        return above * grad, -(near * grad).sum(0) * threshold / ctx.bandwidth, None
