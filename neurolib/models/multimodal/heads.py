"""Heads: latents ``(batch, ..., d)`` in, predictions and their losses out.

Losses that can be negative say how far (``loss_floor``), as :mod:`.balancing` must know.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.losses import (
    MIN_RATE,
    gaussian_nll,
    huber,
    masked_mean,
    poisson_nll,
    zero_inflated_gamma_nll,
)

KINDS = ("continuous", "categorical", "circular")
LOSSES = ("mse", "student_t", "gaussian")
READOUTS = {"poisson": 1, "gaussian": 1, "huber": 1, "gamma": 3}  # numbers per channel and time
MAX_LOG_VARIANCE = 10.0


def layers(d: int, hidden: Sequence[int], n_out: int, dropout: float = 0.0) -> nn.Sequential:
    """A perceptron ``d - hidden... - n_out`` with GELU between."""
    widths, parts = [d, *hidden], []
    for wide, narrow in pairwise(widths):
        parts += [nn.Linear(wide, narrow), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts, nn.Linear(widths[-1], n_out))


@dataclass(frozen=True)
class DecoderHeadConfig:
    r"""A perceptron that decodes behaviour.

    ``"continuous"`` targets ``(..., n_out)`` should be standardised. Their loss is ``"mse"``; ``"student_t"``,
    :math:`\frac{\nu + 1}{2} \ln(1 + r^2/\nu)` with unit scale, which outliers pull less; or ``"gaussian"``, where
    the variance is predicted, too, and each sample's likelihood is weighted by its variance to the power
    ``beta``, without gradient. ``"categorical"`` targets are class numbers ``(...)``. ``"circular"`` ones
    are angles ``(..., n_out)`` in radians, predicted as sine and cosine with squared errors: the length of the
    predicted vector shrinks with doubt.

    References
    ----------
    .. [1] Seitzer et al. (2022), "On the pitfalls of heteroscedastic uncertainty estimation with probabilistic
       neural networks", ICLR, arXiv:2203.09168.

    Examples
    --------
    >>> head = DecoderHeadConfig(n_out=2, hidden=(4,)).build(d=8)
    >>> head(torch.zeros(5, 10, 8)).shape
    torch.Size([5, 10, 2])
    """

    n_out: int
    kind: str = "continuous"
    loss: str = "mse"  # of continuous targets
    hidden: tuple[int, ...] = (256, 128)
    dropout: float = 0.0
    freedom: float = 4.0  # degrees of freedom of Student's t
    beta: float = 0.5

    def __post_init__(self):
        if self.kind not in KINDS or self.loss not in LOSSES:
            raise ValueError(
                f"kind={self.kind!r}, loss={self.loss!r} must be one of {KINDS} and one of {LOSSES}"
            )
        if self.n_out < 1 + (self.kind == "categorical"):
            raise ValueError(f"n_out={self.n_out} for a {self.kind} target; classes are at least 2")
        if not 0 < self.beta <= 1 or not self.freedom > 0:
            raise ValueError(f"beta={self.beta} must be in (0, 1], freedom={self.freedom} positive")

    @property
    def n_raw(self) -> int:
        """Numbers that the head gives."""
        twice = self.kind == "circular" or (self.kind == "continuous" and self.loss == "gaussian")
        return self.n_out * (1 + twice)

    def build(self, d: int) -> "DecoderHead":
        """Make the head, with random weights."""
        return DecoderHead(self, d)


class DecoderHead(nn.Module):
    """The head of :class:`DecoderHeadConfig`."""

    def __init__(self, cfg: DecoderHeadConfig, d: int):
        super().__init__()
        self.cfg = cfg
        self.mlp = layers(d, cfg.hidden, cfg.n_raw, cfg.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Raw prediction ``(..., n_raw)`` from ``x (..., d)``; :meth:`values` makes sense of it."""
        return self.mlp(x)

    def values(self, prediction: Tensor) -> Tensor:
        """Means, class probabilities or angles, ``(..., n_out)``."""
        if self.cfg.kind == "categorical":
            return prediction.softmax(-1)
        first, second = prediction[..., : self.cfg.n_out], prediction[..., self.cfg.n_out :]
        return torch.atan2(first, second) if self.cfg.kind == "circular" else first

    @property
    def loss_floor(self) -> float:
        """What the loss cannot fall below: for ``"gaussian"`` the least of ``v^beta (ln v) / 2``."""
        gaussian = self.cfg.kind == "continuous" and self.cfg.loss == "gaussian"
        return -1 / (2 * self.cfg.beta * math.e) if gaussian else 0.0

    def loss(self, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss.

        Parameters
        ----------
        prediction : Tensor, shape (..., n_raw)
        target : Tensor, shape (..., n_out), or of int64 (...) for classes
        mask : Tensor of bool, shape of the target or of its leading axes, optional

        Raises
        ------
        ValueError
            If the target does not fit the prediction.
        """
        classes = self.cfg.kind == "categorical"
        fits = prediction.shape[:-1] + (() if classes else (self.cfg.n_out,))
        if target.shape != fits or target.is_floating_point() == classes:
            raise ValueError(
                f"target {tuple(target.shape)} {target.dtype} for a {self.cfg.kind} head that predicts {tuple(fits)}; "
                + ("classes are int64 numbers" if classes else "targets are floats, one per output")
            )
        if mask is not None:
            mask = mask if mask.dim() == target.dim() else mask[..., None].expand(target.shape)
            target = torch.where(mask, target, torch.zeros_like(target))
        if classes:
            each = F.cross_entropy(prediction.flatten(0, -2), target.flatten(), reduction="none")
            return masked_mean(each.view(target.shape), mask)
        first, second = prediction[..., : self.cfg.n_out], prediction[..., self.cfg.n_out :]
        if self.cfg.kind == "circular":
            return masked_mean((first - target.sin()).square() + (second - target.cos()).square(), mask)
        squared = (first - target).square()
        if self.cfg.loss == "gaussian":
            log_variance = second.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)
            weight = (self.cfg.beta * log_variance.detach()).exp()
            squared = weight * (log_variance + squared * (-log_variance).exp()) / 2
        elif self.cfg.loss == "student_t":
            squared = (self.cfg.freedom + 1) / 2 * torch.log1p(squared / self.cfg.freedom)
        return masked_mean(squared, mask)


@dataclass(frozen=True)
class EncoderHeadConfig:
    """Read-out of channels: the product of a state with the channel's vector of identity, plus its bias.

    ``"poisson"`` gives rates per bin of counts; ``"gaussian"`` and ``"huber"`` values of standardised
    signals; ``"gamma"`` the three numbers of :func:`~.losses.zero_inflated_gamma_nll` for ΔF/F.

    Examples
    --------
    >>> channels = GrowingEmbedding(8, ["a/0", "a/1", "a/2"])
    >>> head = EncoderHeadConfig("poisson").build(8, channels)
    >>> head(torch.zeros(4, 10, 8), torch.tensor([[2, 0]]).expand(4, 2)).shape
    torch.Size([4, 10, 2])
    """

    kind: str = "poisson"
    delta: float = 1.0  # where Huber's loss turns linear
    silent_below: float = 0.0  # ΔF/F at or below which a cell counts as silent

    def __post_init__(self):
        if self.kind not in READOUTS:
            raise ValueError(f"kind={self.kind!r} must be one of {sorted(READOUTS)}")
        if not self.delta > 0:
            raise ValueError(f"delta={self.delta} must be positive")

    def build(self, d: int, channels: GrowingEmbedding) -> "EncoderHead":
        """Make the head; ``channels`` is the modality's table, shared with its tokenizer."""
        return EncoderHead(self, d, channels)


class EncoderHead(nn.Module):
    """The head of :class:`EncoderHeadConfig`."""

    def __init__(self, cfg: EncoderHeadConfig, d: int, channels: GrowingEmbedding):
        super().__init__()
        if channels.d != d:
            raise ValueError(f"states of width {d}, vectors of identity of {channels.d}; they are multiplied")
        self.cfg, self.channels = cfg, channels
        self.norm = nn.LayerNorm(d)
        self.project = nn.Linear(d, READOUTS[cfg.kind] * d)
        self.bias = GrowingEmbedding(READOUTS[cfg.kind])
        self.grow()

    def grow(self) -> None:
        """Give biases to channels that the table has got since; call it after the table grew."""
        names = self.channels.names
        if names[: len(self.bias)] != self.bias.names:
            raise ValueError("the biases belong to another table of channels; was the table replaced?")
        self.bias.grow(names[len(self.bias) :])

    def start_at(self, rows: Tensor, means: Tensor) -> None:
        """Set biases so that a silent read-out predicts the training means ``(n,)`` of channels ``rows (n,)``."""
        if self.cfg.kind == "poisson":
            rates = means.clamp(min=1e-3)
            means = rates + torch.log(-torch.expm1(-rates))  # inverse of softplus
        elif self.cfg.kind == "gamma":
            raise ValueError("a gamma read-out has three biases per channel and no single mean to start at")
        with torch.no_grad():
            self.bias.weight[rows, 0] = means.to(self.bias.weight)

    def forward(self, states: Tensor, rows: Tensor, channel_mask: Tensor | None = None) -> Tensor:
        """Read channels out.

        Parameters
        ----------
        states : Tensor, shape (B, T, d)
        rows : Tensor of int64, shape (B, C)
            Rows of the channels in their table.
        channel_mask : Tensor of bool, shape (B, C), optional
            Rows of masked channels may be anything; their values are 0.

        Returns
        -------
        Tensor, shape (B, T, C), or (B, T, C, 3) for ``"gamma"``
        """
        if channel_mask is not None:
            rows = torch.where(channel_mask, rows, 0)
        bias = self.bias(rows)  # (B, C, k)
        state = self.project(self.norm(states)).unflatten(-1, (bias.shape[-1], -1))
        values = torch.einsum("btkd,bcd->btck", state, self.channels(rows).to(state.dtype)) + bias[:, None]
        if self.cfg.kind == "poisson":
            values = F.softplus(values) + MIN_RATE
        if channel_mask is not None:
            values = torch.where(channel_mask[:, None, :, None], values, torch.zeros_like(values))
        return values if self.cfg.kind == "gamma" else values[..., 0]

    @property
    def loss_floor(self) -> float:
        """What the loss cannot fall below; a gamma density has no bound."""
        return -math.inf if self.cfg.kind == "gamma" else 0.0

    def loss(self, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss of ``prediction``, as :meth:`forward` gives it, for ``target (B, T, C)`` where ``mask`` is True.

        For counts it is the likelihood less that of a perfect prediction: same gradient, never negative.
        """
        if self.cfg.kind == "poisson":
            return poisson_nll(prediction, target, mask, saturated=True)
        if self.cfg.kind == "gaussian":
            return gaussian_nll(prediction, target, mask)
        if self.cfg.kind == "huber":
            return huber(prediction, target, mask, self.cfg.delta)
        return zero_inflated_gamma_nll(prediction, target, mask, self.cfg.silent_below)


class ContrastiveHead(nn.Module):
    """A perceptron of two layers onto the unit sphere: ``(..., d)`` in, ``(..., n_out)`` of length 1 out."""

    def __init__(self, d: int, n_out: int = 128):
        super().__init__()
        self.mlp = layers(d, (d,), n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Embed."""
        return F.normalize(self.mlp(x), dim=-1)


class DomainHead(nn.Module):
    """A perceptron that tells domains (species, laboratories) apart: ``(..., d)`` in, logits out."""

    def __init__(self, d: int, n_domains: int, hidden: Sequence[int] = (256, 128)):
        super().__init__()
        if n_domains < 2:
            raise ValueError(f"n_domains={n_domains}; telling apart takes 2")
        self.mlp = layers(d, hidden, n_domains)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(..., n_domains)``."""
        return self.mlp(x)

    @staticmethod
    def loss(logits: Tensor, domain: Tensor, smoothing: float = 0.1) -> Tensor:
        """Cross-entropy with smoothed labels."""
        return F.cross_entropy(logits, domain, label_smoothing=smoothing)
