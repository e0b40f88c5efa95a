"""Self-supervision of a population: tokens ``(batch, patch, channel, d)`` in, exercises and their losses out.

Two questions of the Population Transformer: do two ensembles of channels follow each other in time, and which
channels show another time than the rest?
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_PATCHES = 4  # patches of time that leave every patch one that is not its neighbour


class Pretext(NamedTuple):
    """One drawn exercise: two ensembles of channels, a few of which were swapped."""

    tokens: Tensor  # (B, C, d)
    mask: Tensor  # (B, C)
    ensemble: Tensor  # (B, C) which of the two a channel is in
    adjacent: Tensor  # (B,) answer: the second ensemble is of the patch after the first
    swapped: Tensor  # (B, C) answer: this channel is of another time
    valid: Tensor  # (B,) rows of which an exercise could be made


def draw_pretext(
    tokens: Tensor, mask: Tensor, generator: torch.Generator | None = None, swapped: float = 0.1, gap: int = 2
) -> Pretext:
    """Split the channels in two, take the halves from neighbouring or distant patches, swap a few channels.

    A swapped channel keeps its place and gets its own activity of another time. (Activity of another channel
    would be found out by the identity that tokens carry, without looking at the rest.)

    Parameters
    ----------
    tokens : Tensor, shape (B, T, C, d)
        Patches of time; they must not tell their time.
    mask : Tensor of bool, shape (B, T, C)
    generator : torch.Generator, optional
    swapped : float
        Fraction of channels.
    gap : int
        Patches by which distant ones are apart, at least 2.

    Raises
    ------
    ValueError
        If there are too few patches for a distant one, or ``swapped`` is not a fraction.

    References
    ----------
    .. [1] Chau et al. (2025), "Population Transformer", ICLR, arXiv:2406.03044.

    Examples
    --------
    >>> drawn = draw_pretext(torch.randn(6, 8, 10, 4), torch.ones(6, 8, 10, dtype=torch.bool))
    >>> drawn.tokens.shape, drawn.adjacent.shape, drawn.swapped.sum(1).tolist()  # 10 % of 10
    (torch.Size([6, 10, 4]), torch.Size([6]), [1, 1, 1, 1, 1, 1])
    """
    rows, patches, channels, _ = tokens.shape
    if patches < max(MIN_PATCHES, 2 * gap) or gap < 2:
        raise ValueError(
            f"{patches} patches and gap={gap}; distant ensembles need gap >= 2 and {max(MIN_PATCHES, 2 * gap)} patches"
        )
    if not 0 < swapped < 1:
        raise ValueError(f"swapped={swapped} must be a fraction of the channels, between 0 and 1")

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device if generator else None).to(
            mask.device
        )

    here = mask.any(-1)
    time = torch.arange(patches, device=mask.device)
    both = here[:, :, None] & here[:, None, :]
    near = both & (time == time[:, None] + 1)
    far = both & ((time - time[:, None]).abs() >= gap)
    adjacent = uniform(rows) < 0.5
    can = torch.where(adjacent[:, None, None], near, far)
    pair = torch.where(can, uniform(rows, patches, patches), -1.0).flatten(1).argmax(1)
    first, second = pair // patches, pair % patches
    everywhere = mask.any(1)
    half = order(uniform(rows, channels), everywhere) >= everywhere.sum(1, keepdim=True).div(2).ceil()
    at = torch.where(half, second[:, None], first[:, None])

    other = (time - at[..., None]).abs() >= gap  # (B, C, T), from which a channel may be swapped in
    other = other & mask.transpose(1, 2)
    source = torch.where(other, uniform(rows, channels, patches), -1.0).argmax(-1)
    seen = mask.gather(1, at[:, None])[:, 0]
    able = seen & other.any(-1)
    count = (swapped * seen.sum(1, keepdim=True)).round().clamp(min=1)
    chosen = able & (order(uniform(rows, channels), able) < count)
    at = torch.where(chosen, source, at)
    taken = tokens.gather(1, at[:, None, :, None].expand(-1, 1, -1, tokens.shape[-1]))[:, 0]
    valid = can.flatten(1).any(1) & (everywhere.sum(1) >= 2)
    return Pretext(taken, seen & valid[:, None], half.long(), adjacent, chosen & valid[:, None], valid)


def order(scores: Tensor, among: Tensor) -> Tensor:
    """Place of each score ``(B, n)`` among those of its row that count, from 0; the others come last."""
    return scores.masked_fill(~among, math.inf).argsort(-1).argsort(-1)


class PretextHeads(nn.Module):
    """Answers to :func:`draw_pretext`: tokens and the whole in, logits ``(B,)`` and ``(B, C)`` out."""

    def __init__(self, d: int):
        super().__init__()
        self.adjacent, self.swapped = nn.Linear(d, 1), nn.Linear(d, 1)

    def forward(self, tokens: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """Logits that the ensembles are neighbours in time, and that each channel was swapped."""
        return self.adjacent(whole)[..., 0], self.swapped(tokens)[..., 0]


def adjacency_loss(logits: Tensor, drawn: Pretext) -> Tensor:
    """Binary cross-entropy of ``logits (B,)`` that the ensembles are neighbours in time.

    Examples
    --------
    >>> drawn = draw_pretext(torch.randn(6, 8, 10, 4), torch.ones(6, 8, 10, dtype=torch.bool))
    >>> round(float(adjacency_loss(torch.zeros(6), drawn)), 4)  # ln 2
    0.6931
    """
    return _binary(logits, drawn.adjacent, drawn.valid)


def swap_loss(logits: Tensor, drawn: Pretext) -> Tensor:
    """Binary cross-entropy of ``logits (B, C)`` that a channel was swapped."""
    return _binary(logits, drawn.swapped, drawn.mask)


def _binary(logits: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, answer.to(logits.dtype), reduction="none")
    return (each * mask).sum() / mask.sum().clamp(min=1)
