"""Gradients through codes, which have none of their own."""

import torch
from torch import Tensor, nn


class Surrogate(torch.autograd.Function):
    """A value in the forward pass and another one's gradient in the backward pass, both exact."""

    @staticmethod
    def forward(ctx, surrogate: Tensor, value: Tensor) -> Tensor:
        """Return ``value``."""
        return value.view_as(value)

    @staticmethod
    def backward(ctx, above: Tensor) -> tuple[Tensor, None]:
        """Hand the gradient to ``surrogate``."""
        return above, None


class Attach(torch.autograd.Function):
    """``z_q`` and the loss as found, with their gradients.

    That of ``z_q`` goes to the latents as it is (straight through), or turned by the rotation that
    takes the latent onto its code and scaled by the ratio of their norms. That of the loss was computed
    along with the codes.
    """

    @staticmethod
    def forward(ctx, rows, books, z_q, loss, pull, to_books, values):
        """Keep the gradients of the loss, ``pull (n, dim)`` and ``to_books``; ``values`` asks for the rotation."""
        ctx.save_for_backward(pull, to_books, values, None if values is None else z_q)
        ctx.dtype = rows.dtype
        return z_q.view_as(z_q), loss.view_as(loss)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, above, above_loss):
        """Gradients of latents and codebooks."""
        pull, to_books, values, z_q = ctx.saved_tensors
        if values is not None:
            above = _turn_back(above, values, z_q)
        to_rows = torch.addcmul(above, pull, above_loss).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        return to_rows, None if to_books is None else to_books * above_loss, *[None] * 5


def _turn_back(above: Tensor, z: Tensor, e: Tensor) -> Tensor:
    """The transpose of ``|e|/|z| (I - 2 w w' + 2 e z')`` with unit ``z``, ``e`` and ``w`` between them."""
    norm_z, norm_e = (x.norm(dim=1, keepdim=True).clamp(min=1e-6) for x in (z, e))
    z, ratio, e = z / norm_z, norm_e / norm_z, e / norm_e
    w = nn.functional.normalize(z + e, dim=1)
    turned = above - 2 * w * (w * above).sum(1, keepdim=True) + 2 * z * (e * above).sum(1, keepdim=True)
    return ratio * turned
