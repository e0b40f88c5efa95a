"""Product quantization: latents ``(..., dim)`` cut into groups of channels, each with a quantizer of its own."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neurolib.models.quantizers.quantizer import Quantized, Quantizer, QuantizerConfig, check_finite
from neurolib.models.quantizers.residual import ResidualConfig


@dataclass(frozen=True)
class ProductConfig:
    """Settings of a :class:`ProductQuantizer`."""

    n_groups: int = 4
    each: QuantizerConfig = field(default_factory=lambda: ResidualConfig(size=128))  # here plain VQ

    def __post_init__(self):
        if self.n_groups < 1 or getattr(self.each, "stage_dropout", False):
            raise ValueError(
                f"n_groups={self.n_groups} must be at least 1, and no group drop stages: "
                "groups with different numbers of stages have no common codes"
            )

    def build(self, dim: int) -> "ProductQuantizer":
        """A quantizer of latents with ``dim`` channels."""
        return ProductQuantizer(self, dim)


class ProductQuantizer(Quantizer):
    """Quantizers side by side.

    Parameters
    ----------
    cfg : ProductConfig
    dim : int
        A multiple of ``n_groups``.

    Examples
    --------
    >>> quantizer = ProductConfig(n_groups=2, each=ResidualConfig(size=8)).build(dim=6)
    >>> quantizer.quantize(torch.zeros(3, 5, 6)).codes.shape, quantizer.bits
    (torch.Size([3, 5, 2]), 6.0)
    """

    def __init__(self, cfg: ProductConfig, dim: int):
        if dim % cfg.n_groups:
            raise ValueError(f"{dim} channels cannot be cut into {cfg.n_groups} equal groups")
        groups = [cfg.each.build(dim // cfg.n_groups) for _ in range(cfg.n_groups)]
        super().__init__(dim, groups[0].sizes * cfg.n_groups)
        self.cfg, self.groups = cfg, nn.ModuleList(groups)

    def quantize(self, z: Tensor) -> Quantized:
        """Code latents ``(..., dim)``; the codes of the first group come first, diagnostics are means."""
        rows = self._rows(z.detach())
        # Before any group learns from its part.
        check_finite(rows.sum(dtype=torch.promote_types(rows.dtype, torch.float32)), rows)
        parts = [group.quantize(part) for group, part in zip(self.groups, self._split(z), strict=True)]
        diagnostics = {
            name: torch.stack([part.diagnostics[name].float() for part in parts]).mean(dim=0)
            for name in parts[0].diagnostics
        }
        return Quantized(
            torch.cat([part.codes for part in parts], dim=-1),
            torch.cat([part.z_q for part in parts], dim=-1),
            torch.stack([part.loss for part in parts]).mean(),
            diagnostics,
        )

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., n_codebooks)`` stand for."""
        self._code_rows(codes)
        columns = codes.split(self.n_codebooks // self.cfg.n_groups, dim=-1)
        return torch.cat(
            [group.decode(part) for group, part in zip(self.groups, columns, strict=True)], dim=-1
        )

    def init_kmeans(self, z: Tensor, seed: int = 0) -> "ProductQuantizer":
        """Start each group from its own channels of training latents ``(..., dim)``."""
        self._rows(z)
        for at, (group, part) in enumerate(zip(self.groups, self._split(z), strict=True)):
            group.init_kmeans(part, seed=seed + at)
        return self

    def _split(self, z: Tensor) -> tuple[Tensor, ...]:
        return z.split(self.dim // self.cfg.n_groups, dim=-1)
