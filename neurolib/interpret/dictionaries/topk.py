"""Dictionaries with a fixed number of active features: vectors ``(..., channel)`` in, features out.

Per vector (TopK) or on average over a batch (BatchTopK, the default). Both keep the magnitude of what they
select, so there is no penalty that shrinks features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurolib.interpret.dictionaries.autoencoder import (
    AutoencoderConfig,
    Objective,
    SparseAutoencoderBase,
    reconstruction_error,
)


@dataclass(frozen=True)
class TopKConfig(AutoencoderConfig):
    """The ``k`` largest features of each vector.

    Parameters
    ----------
    k : int
    aux_features : int, optional
        So many dead features are made to explain what the others left; half the channels by default.
    aux_weight : float
        Weight of that term, 1/32 in [1]_; trainings of some thousand steps need more. 0 turns it off.

    References
    ----------
    .. [1] Gao et al. (2024), "Scaling and evaluating sparse autoencoders", arXiv 2406.04093.
    """

    k: int = 8
    aux_features: int | None = None
    aux_weight: float = 1 / 4

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.k <= self.n_features:
            raise ValueError(f"k={self.k} active features of n_features={self.n_features}")
        if self.aux_weight < 0 or (self.aux_features is not None and self.aux_features < 1):
            raise ValueError(
                f"aux_weight={self.aux_weight} must not be negative, nor aux_features={self.aux_features} below 1"
            )

    def build(self, n_channels: int) -> "TopK":
        """Make the autoencoder, with random weights.

        Examples
        --------
        >>> sae = TopKConfig(n_features=8, k=2).build(4)
        >>> bool(((sae.encode(torch.randn(5, 4)) > 0).sum(1) <= 2).all())
        True
        """
        return TopK(self, n_channels)


@dataclass(frozen=True)
class BatchTopKConfig(TopKConfig):
    """The ``k`` times batch largest features of a batch, so that rich vectors may have more.

    In use there is no batch: a feature counts where it is above ``threshold``, the running mean of the least
    value that training kept.

    Parameters
    ----------
    momentum : float
        Weight of the newest batch in that running mean.

    References
    ----------
    .. [1] Bussmann, Leask & Nanda (2024), "BatchTopK sparse autoencoders", arXiv 2412.06410.
    """

    momentum: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum={self.momentum} must be above 0 and at most 1")

    def build(self, n_channels: int) -> "BatchTopK":
        """Make the autoencoder, with random weights."""
        return BatchTopK(self, n_channels)


class TopK(SparseAutoencoderBase):
    """The autoencoder of :class:`TopKConfig`."""

    cfg: TopKConfig

    def activate(self, before: Tensor) -> Tensor:
        """The largest ``k``, and of them the positive ones."""
        return largest(before, self.cfg.k)

    def select(self, before: Tensor) -> Tensor:
        """Features of a training batch ``(batch, n_features)``."""
        return self.activate(before)

    def objective(self, x: Tensor, dead: Tensor, progress: float) -> Objective:
        """Squared error, and what the dead features explain of it."""
        before = self.before(x)
        features = self.select(before)
        reconstruction = features @ self.W_dec + self.b_dec
        loss = reconstruction_error(x, reconstruction)
        if self.cfg.aux_weight and dead.any():
            loss = loss + self.cfg.aux_weight * self.auxiliary(x - reconstruction.detach(), before, dead)
        return Objective(loss, features, reconstruction)

    def auxiliary(self, residual: Tensor, before: Tensor, dead: Tensor) -> Tensor:
        """Squared error of explaining the residual by the largest dead features (AuxK)."""
        members = dead.nonzero().flatten()
        n = min(self.cfg.aux_features or max(self.n_channels // 2, 1), len(members))
        features = largest(before[:, members], n)
        return reconstruction_error(residual.detach(), features @ self.W_dec[members])


class BatchTopK(TopK):
    """The autoencoder of :class:`BatchTopKConfig`."""

    cfg: BatchTopKConfig

    def __init__(self, cfg: BatchTopKConfig, n_channels: int):
        super().__init__(cfg, n_channels)
        self.register_buffer("threshold", torch.zeros(()))

    def activate(self, before: Tensor) -> Tensor:
        """What is above the threshold."""
        return before * (before > self.threshold.clamp(min=0))

    def select(self, before: Tensor) -> Tensor:
        """The largest ``k`` times batch of all, and of them the positive ones; the threshold follows."""
        bound = self._bound(before.detach())
        features = before * (before >= bound.clamp(min=torch.finfo(before.dtype).tiny))
        self._follow(bound.clamp(min=0))
        return features

    @torch.no_grad()
    def _bound(self, before: Tensor) -> Tensor:
        """The ``k`` times batch largest value."""
        n = self.cfg.k * len(before)
        flat = before.flatten()
        near = flat[flat > self.threshold / 2]  # a tenth of them, if the threshold is about right
        if len(near) >= n:
            flat = near
        return torch.kthvalue(flat, len(flat) - n + 1).values

    @torch.no_grad()
    def _follow(self, bound: Tensor) -> None:
        first = self.threshold == 0
        self.threshold.copy_(torch.where(first, bound, self.threshold.lerp(bound, self.cfg.momentum)))


def largest(values: Tensor, k: int) -> Tensor:
    """Zero but for the ``k`` largest values per row, and those only if positive.

    Examples
    --------
    >>> largest(torch.tensor([[3.0, 1.0, 2.0], [-1.0, -2.0, 5.0]]), 2).tolist()
    [[3.0, 0.0, 2.0], [0.0, 0.0, 5.0]]
    """
    kept, at = values.topk(k, dim=-1, sorted=False)
    return torch.zeros_like(values).scatter(-1, at, kept.relu())
