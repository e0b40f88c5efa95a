"""Lookup-free quantization: the signs of a few projections of latents ``(..., dim)``, one code out.

The corners of a cube (LFQ) or of a cube inside the unit sphere (binary spherical quantization, BSQ).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.quantizers.estimators import Surrogate
from neurolib.models.quantizers.projection import Projection
from neurolib.models.quantizers.quantizer import Quantized, Quantizer, check_finite


@dataclass(frozen=True)
class LookupFreeConfig:
    """Settings of a :class:`LookupFreeQuantizer`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    n_bits: int = 10
    spherical: bool = False  # BSQ
    entropy: float = 0.1  # weight of the entropy loss
    diversity: float = 1.0  # of the entropy of the mean against the mean entropy, gamma
    temperature: float = 1.0  # of the soft bits that the entropies are of
    commitment: float = 0.25

    def __post_init__(self):
        if not 1 <= self.n_bits <= 62:
            raise ValueError(f"n_bits={self.n_bits} must be 1..62, to fit an integer")
        if self.temperature <= 0 or min(self.entropy, self.diversity, self.commitment) < 0:
            raise ValueError(f"{self.temperature=} must be positive and no weight negative")

    def build(self, dim: int) -> "LookupFreeQuantizer":
        """A quantizer of latents with ``dim`` channels."""
        return LookupFreeQuantizer(self, dim)


class LookupFreeQuantizer(Quantizer):
    """Signs of projections.

    Parameters
    ----------
    cfg : LookupFreeConfig
    dim : int

    Notes
    -----
    A soft code is ``softmax(-|u - c|^2 / temperature)`` over all corners ``c``, and factorises into bits:
    each is 1 with probability ``sigmoid(4 |c_i| u_i / temperature)``. The loss is its entropy, averaged over
    latents (each should be certain), minus ``diversity`` times the entropy of its average (together
    they should use all codes). The second is taken bit by bit, as BSQ does: an upper bound, which does not
    see bits that depend on each other.

    References
    ----------
    .. [1] Yu et al. (2023), "Language model beats diffusion", arXiv:2310.05737.
    .. [2] Zhao et al. (2024), "Binary spherical quantization", arXiv:2406.07548.

    Examples
    --------
    >>> quantizer = LookupFreeConfig(n_bits=3).build(dim=3)
    >>> quantizer.quantize(torch.tensor([0.2, -5.0, 0.1])).codes, quantizer.decode(torch.tensor([5]))
    (tensor([5]), tensor([ 1., -1.,  1.]))
    """

    def __init__(self, cfg: LookupFreeConfig, dim: int):
        super().__init__(dim, (2**cfg.n_bits,))
        self.cfg = cfg
        self.projection = Projection(dim, cfg.n_bits)
        self.register_buffer("place", 2 ** torch.arange(cfg.n_bits), persistent=False)
        corner = 1 / math.sqrt(cfg.n_bits) if cfg.spherical else 1.0
        self.register_buffer("corner", torch.tensor(corner), persistent=False)

    def quantize(self, z: Tensor) -> Quantized:
        """Code latents ``(..., dim)``, gradients pass the sign unchanged.

        ``diagnostics`` holds, in bits, ``entropy ()`` of the average latent's code
        and ``marginal_entropy ()`` of the average code.

        Raises
        ------
        ValueError
            If the latents have another width or are not finite.
        """
        rows, dtype = self._rows(z), self.corner.dtype
        entered = self.projection.enter(rows.to(dtype)).to(dtype)  # autocast may have rounded it
        if self.cfg.spherical:
            entered = nn.functional.normalize(entered, dim=1)
        with torch.no_grad():
            check_finite(entered.sum(), rows)
            on = entered > 0
            codes = (on * self.place).sum(dim=1)
            point = self._point(on)
        z_q = self.projection.leave(Surrogate.apply(entered, point))
        logits = entered * (4 * self.corner / self.cfg.temperature)
        entropy = _entropy(logits).mean()
        on_average = torch.sigmoid(logits).mean(dim=0)
        marginal = _entropy(torch.logit(on_average, eps=1e-6))
        loss = self.cfg.entropy * (entropy - self.cfg.diversity * marginal)
        loss = loss + self.cfg.commitment * (entered - point).square().mean()
        bits = {"entropy": entropy, "marginal_entropy": marginal}
        diagnostics = {name: value.detach() / math.log(2) for name, value in bits.items()}
        return Quantized(codes.view(*z.shape[:-1], 1), z_q.view(z.shape), loss, diagnostics)

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., 1)`` stand for."""
        on = (self._code_rows(codes) & self.place) > 0
        return self.projection.leave(self._point(on)).view(*codes.shape[:-1], self.dim)

    def init_kmeans(self, z: Tensor, seed: int = 0) -> "LookupFreeQuantizer":
        """Start along the principal axes of training latents; there is no codebook, nothing is clustered."""
        self.projection.fit(self._rows(z), lambda u: self._point(u > 0))
        return self

    def _point(self, on: Tensor) -> Tensor:
        return torch.where(on, self.corner, -self.corner)


def _entropy(logits: Tensor) -> Tensor:
    """Entropy of independent bits in nats, summed over the last axis."""
    return (nn.functional.softplus(logits) - logits * torch.sigmoid(logits)).sum(dim=-1)
