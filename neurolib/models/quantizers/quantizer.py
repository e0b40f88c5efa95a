"""What every quantizer can do: latents ``(..., dim)`` to codes ``(..., n_codebooks)`` and back.

``decode(quantize(z).codes)`` is ``quantize(z).z_q`` to the last bit.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn


class Quantized(NamedTuple):
    """Latents made discrete."""

    codes: Tensor  # (..., n_codebooks) whole numbers
    z_q: Tensor  # (..., dim) what the codes stand for; gradients reach z through it
    loss: Tensor  # () to be added to the loss of the task
    diagnostics: dict[str, Tensor]  # of this call, detached; for a whole set see usage.code_usage


class QuantizerConfig(Protocol):
    """Settings that know how to make a quantizer."""

    def build(self, dim: int) -> "Quantizer":
        """A quantizer of latents with ``dim`` channels."""


class Quantizer(nn.Module):
    """Base of all quantizers.

    Attributes
    ----------
    dim : int
        Channels of a latent.
    sizes : tuple of int
        Number of codes in each codebook.
    """

    def __init__(self, dim: int, sizes: tuple[int, ...]):
        super().__init__()
        if dim < 1 or not sizes or min(sizes) < 2:
            raise ValueError(f"{dim=}, codebooks of {sizes} codes; want one channel and two codes at least")
        self.dim, self.sizes = dim, sizes

    @property
    def n_codebooks(self) -> int:
        """Whole numbers per latent."""
        return len(self.sizes)

    @property
    def bits(self) -> float:
        """Nominal bits per latent, as if all codes were used equally and independently."""
        return sum(math.log2(size) for size in self.sizes)

    def quantize(self, z: Tensor) -> Quantized:
        """Make latents ``(..., dim)`` discrete; in training mode also learn from them."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., n_codebooks)`` stand for, ``(..., dim)``."""
        raise NotImplementedError

    def init_kmeans(self, z: Tensor, seed: int = 0) -> "Quantizer":
        """Start from training latents ``(..., dim)``; what has no codebook starts from their principal axes."""
        raise NotImplementedError

    def forward(self, z: Tensor) -> Quantized:
        """Same as :meth:`quantize`."""
        return self.quantize(z)

    def _rows(self, z: Tensor) -> Tensor:
        """Latents as ``(n, dim)``, at least one."""
        if z.shape[-1:] != (self.dim,) or not z.is_floating_point() or not z.numel():
            raise ValueError(
                f"latents are {z.dtype} of shape {tuple(z.shape)}; "
                f"this quantizer takes floats (..., {self.dim}), one latent or more"
            )
        return z.reshape(-1, self.dim)

    def _code_rows(self, codes: Tensor, prefix: bool = False) -> Tensor:
        """Codes as ``(n, n_codebooks)``, in range."""
        given = codes.shape[-1] if codes.ndim else 0
        right = 1 <= given <= self.n_codebooks if prefix else given == self.n_codebooks
        if not right or codes.is_floating_point() or codes.dtype == torch.bool:
            raise ValueError(
                f"codes are {codes.dtype} of shape {tuple(codes.shape)}; "
                f"want whole numbers (..., {self.n_codebooks})"
            )
        rows = codes.reshape(-1, given).long()
        if torch.compiler.is_compiling() or not len(rows):
            return rows
        low, high = rows.aminmax(dim=0)
        for at, (least, most, size) in enumerate(zip(low.tolist(), high.tolist(), self.sizes, strict=False)):
            if least < 0 or most >= size:
                raise ValueError(
                    f"codes {least}..{most} in codebook {at}, which has codes 0..{size - 1}; "
                    "were they made by another quantizer?"
                )
        return rows

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        """Refuse another shape before anything is copied; torch would go on and say so at the end."""
        for name, own in (*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)):
            stored = state_dict.get(prefix + name, own)
            if stored.shape != own.shape:
                raise ValueError(
                    f"{prefix}{name} has shape {tuple(stored.shape)} in the file and {tuple(own.shape)} in "
                    f"this {type(self).__name__}; was it saved with other settings?"
                )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def check_finite(total: Tensor, rows: Tensor) -> None:
    """Refuse latents that are not finite; ``total`` is any sum that would carry NaN on."""
    if torch.compiler.is_compiling() or math.isfinite(total):
        return
    bad = int((~rows.isfinite().all(dim=1)).sum())
    raise ValueError(
        f"{bad} of {len(rows)} latents hold NaN or infinity; did training diverge?"
        if bad
        else f"latents up to {float(rows.abs().max()):.3g} overflow {rows.dtype}; did training diverge?"
    )
