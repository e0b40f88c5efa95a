"""Gumbel-softmax quantization: latents ``(..., dim)`` draw their code, one per latent out."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.quantizers.estimators import Surrogate
from neurolib.models.quantizers.kmeans import kmeans
from neurolib.models.quantizers.quantizer import Quantized, Quantizer, check_finite


@dataclass(frozen=True)
class GumbelConfig:
    """Settings of a :class:`GumbelQuantizer`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    size: int = 512  # codes
    scale: float = 1.0  # squared distance by which one code is e times as likely as another
    temperature: float = 1.0  # of the soft code at the start of training
    last_temperature: float = 0.1
    diversity: float = 1e-2  # weight of the mean code's divergence from equal use

    def __post_init__(self):
        if not 0 < self.last_temperature <= self.temperature or self.scale <= 0 or self.diversity < 0:
            raise ValueError(
                f"{self.scale=} must be positive, {self.diversity=} no less than 0, and the temperature "
                f"fall from {self.temperature} to something above 0, not to {self.last_temperature}"
            )

    def build(self, dim: int) -> "GumbelQuantizer":
        """A quantizer of latents with ``dim`` channels."""
        return GumbelQuantizer(self, dim)


class GumbelQuantizer(Quantizer):
    """A random code in training, the nearest one in use.

    Parameters
    ----------
    cfg : GumbelConfig
    dim : int

    Attributes
    ----------
    temperature : float
        Lowered in training by :meth:`anneal`.

    Notes
    -----
    Near codes are likely: ``p = softmax(-|z - e|^2 / scale)``. A draw is the argmax of ``log p`` plus Gumbel
    noise, its gradient that of the softmax of the same at ``temperature``. The loss is
    ``log(size) - H(mean of p)``: the *mean* over the batch should be spread over the codes. The entropy of
    each latent's own ``p``, minimised, would only sharpen it.

    References
    ----------
    .. [1] Jang, Gu & Poole (2017), "Categorical reparameterization with Gumbel-softmax", ICLR.

    Examples
    --------
    >>> quantizer = GumbelConfig(size=2).build(dim=1).init_kmeans(torch.tensor([[0.0], [3.0]])).eval()
    >>> quantizer.quantize(torch.tensor([[2.0]])).z_q.tolist()
    [[3.0]]
    """

    def __init__(self, cfg: GumbelConfig, dim: int):
        super().__init__(dim, (cfg.size,))
        self.cfg, self.temperature = cfg, cfg.temperature
        self.codes = nn.Parameter(torch.randn(cfg.size, dim) / math.sqrt(dim))

    def anneal(self, progress: float) -> None:
        """Lower the temperature exponentially; ``progress`` is the share of training done."""
        self.temperature = (
            self.cfg.temperature * (self.cfg.last_temperature / self.cfg.temperature) ** progress
        )

    def quantize(self, z: Tensor) -> Quantized:
        """Draw codes for latents ``(..., dim)``, or take the nearest when not training.

        ``diagnostics`` holds ``mse ()`` per channel and ``marginal_perplexity ()`` of the mean ``p``.

        Raises
        ------
        ValueError
            If the latents have another width or are not finite.
        """
        rows = self._rows(z)
        with torch.autocast(z.device.type, enabled=False):
            values = rows.to(self.codes.dtype)
            half_norms = self.codes.square().sum(dim=1) / 2
            scores = torch.addmm(half_norms, values, self.codes.T, beta=-1)  # -|z - e|^2 / 2 + |z|^2 / 2
            log_p = (scores * (2 / self.cfg.scale)).log_softmax(dim=1)
            mean = log_p.exp().mean(dim=0)
            divergence = math.log(self.cfg.size) + torch.special.xlogy(mean, mean).sum()
            with torch.no_grad():
                check_finite(divergence, values)
            if self.training:
                noisy = log_p - torch.empty_like(log_p).exponential_().log()
                codes = noisy.argmax(dim=1)
                soft = (noisy / self.temperature).softmax(dim=1)
                hard = nn.functional.one_hot(codes, self.cfg.size).to(soft)
                picked = Surrogate.apply(soft, hard) @ self.codes
            else:
                codes = scores.argmax(dim=1)
                picked = values  # straight through: there is no noise to differentiate
            z_q = Surrogate.apply(picked, self.codes.detach()[codes])
        with torch.no_grad():
            diagnostics = {
                "mse": nn.functional.mse_loss(z_q, values),
                "marginal_perplexity": (math.log(self.cfg.size) - divergence).exp(),
            }
        loss = self.cfg.diversity * divergence
        return Quantized(codes.view(*z.shape[:-1], 1), z_q.view(z.shape), loss, diagnostics)

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., 1)`` stand for."""
        return self.codes.detach()[self._code_rows(codes)[:, 0]].view(*codes.shape[:-1], self.dim)

    @torch.no_grad()
    def init_kmeans(self, z: Tensor, seed: int = 0) -> "GumbelQuantizer":
        """Start at the centres of training latents ``(..., dim)``."""
        rows = self._rows(z).detach().to(self.codes.dtype)
        self.codes.copy_(kmeans(rows, self.cfg.size, seed=seed).centres)
        return self
