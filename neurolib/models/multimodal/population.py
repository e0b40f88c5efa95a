"""Attention over sets: tokens ``(batch, channel, d)`` in, as many tokens and one vector per set out.

:class:`PopulationTransformer` mixes the channels of one moment and knows no order among them.
:class:`SetPool` reads a set of any size into a fixed number of vectors.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OCTAVES = 6  # of the position encoding, from one wave per 2 units of length upwards


class SetAttention(nn.Module):
    """Queries ``(B, Q, d)`` attend to the valid tokens of a set ``(B, S, d)``; an empty set gives zeros.

    Queries, keys and values start with Xavier weights, which make logits of unit variance: with the smaller
    default all queries would begin as nearly the same average.
    """

    def __init__(self, d: int, heads: int):
        super().__init__()
        if heads < 1 or d % heads:
            raise ValueError(f"d={d} cannot be divided into {heads} heads")
        self.heads = heads
        self.query, self.key, self.value, self.project = (nn.Linear(d, d) for _ in range(4))
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Mix ``tokens`` by ``mask (B, S)`` or ``(B, Q, S)`` into ``(B, Q, d)``; masked tokens must be finite."""
        mask = mask if mask.dim() == 3 else mask[:, None, :]
        some = mask.any(-1, keepdim=True)
        heads = (layer(x) for layer, x in ((self.query, query), (self.key, tokens), (self.value, tokens)))
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in heads)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=(mask | ~some)[:, None])
        mixed = self.project(mixed.transpose(1, 2).flatten(2))
        return torch.where(some, mixed, torch.zeros_like(mixed))


def perceptron(d: int, ratio: int, dropout: float = 0.0) -> nn.Sequential:
    """The two layers that follow attention."""
    return nn.Sequential(nn.Linear(d, ratio * d), nn.GELU(), nn.Dropout(dropout), nn.Linear(ratio * d, d))


class PositionEncoding(nn.Module):
    """Coordinates ``(..., 3)`` in, vectors ``(..., d)`` out: waves of six octaves, then a perceptron."""

    def __init__(self, d: int):
        super().__init__()
        self.register_buffer("frequency", math.pi * 2.0 ** torch.arange(OCTAVES), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(6 * OCTAVES + 3, d), nn.GELU(), nn.Linear(d, d))

    def forward(self, coords: Tensor) -> Tensor:
        """Encode positions of about unit size."""
        angle = (coords[..., None] * self.frequency).flatten(-2)
        return self.mlp(torch.cat([coords, angle.sin(), angle.cos()], dim=-1))


@dataclass(frozen=True)
class PopulationTransformerConfig:
    """A pre-norm transformer over the channels of a moment, with one more token for the whole population.

    References
    ----------
    .. [1] Chau et al. (2025), "Population Transformer: learning population-level representations of neural
       activity", ICLR, arXiv:2406.03044.
    .. [2] Lee et al. (2019), "Set Transformer", ICML, arXiv:1810.00825.

    Examples
    --------
    >>> transformer = PopulationTransformerConfig(heads=2).build(d=8)
    >>> tokens, whole = transformer(torch.randn(5, 7, 8), torch.ones(5, 7, dtype=torch.bool))
    >>> tokens.shape, whole.shape
    (torch.Size([5, 7, 8]), torch.Size([5, 8]))
    """

    layers: int = 2
    heads: int = 8
    ratio: int = 4  # width of the perceptrons over d
    dropout: float = 0.0  # on what each block adds, training only

    def __post_init__(self):
        if self.layers < 1 or self.ratio < 1 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"layers={self.layers}, ratio={self.ratio}, dropout={self.dropout}; need 1 or more, 1 or more, [0, 1)"
            )

    def build(self, d: int) -> "PopulationTransformer":
        """Make the transformer, with random weights."""
        return PopulationTransformer(self, d)


class PopulationTransformer(nn.Module):
    """The transformer of :class:`PopulationTransformerConfig`."""

    def __init__(self, cfg: PopulationTransformerConfig, d: int):
        super().__init__()
        self.whole = nn.Parameter(0.02 * torch.randn(d))
        self.ensemble = nn.Embedding(2, d)
        nn.init.normal_(self.ensemble.weight, std=0.02)
        self.position = PositionEncoding(d)
        self.blocks = nn.ModuleList(SetBlock(cfg, d) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(d)

    def forward(
        self, tokens: Tensor, mask: Tensor, coords: Tensor | None = None, ensemble: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix the channels of each set.

        Parameters
        ----------
        tokens : Tensor, shape (B, C, d)
            One set per row; moments of one window are rows of their own.
        mask : Tensor of bool, shape (B, C)
        coords : Tensor, shape (B, C, 3), optional
            Positions of about unit size.
        ensemble : Tensor of int64, shape (B, C), optional
            0 or 1, for :mod:`.pretext`.

        Returns
        -------
        tokens : Tensor, shape (B, C, d)
            Zeros where masked.
        whole : Tensor, shape (B, d)
            The population; zeros if it is empty.
        """
        seen = mask[..., None]
        x = torch.where(seen, tokens, torch.zeros_like(tokens))
        if coords is not None:
            where = torch.where(seen, coords, torch.zeros_like(coords)).to(self.whole.dtype)
            x = x + self.position(where).to(x.dtype)
        if ensemble is not None:
            x = x + self.ensemble(torch.where(mask, ensemble, 0))
        x = torch.cat([self.whole.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
        keys = F.pad(mask, (1, 0), value=True)
        for block in self.blocks:
            x = block(x, keys)
        kept = torch.cat([mask.any(1, keepdim=True), mask], dim=1)[..., None]
        x = self.norm(x)
        x = torch.where(kept, x, torch.zeros_like(x))
        return x[:, 1:], x[:, 0]


class SetBlock(nn.Module):
    """Attention within a set, then a perceptron, each added to what comes in."""

    def __init__(self, cfg: PopulationTransformerConfig, d: int):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = SetAttention(d, cfg.heads)
        self.mlp, self.drop = perceptron(d, cfg.ratio, cfg.dropout), nn.Dropout(cfg.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Take ``x (B, S, d)`` and return as much."""
        normed = self.attention_norm(x)
        x = x + self.drop(self.attention(normed, normed, mask))
        return x + self.drop(self.mlp(self.mlp_norm(x)))


@dataclass(frozen=True)
class SetPoolConfig:
    """Learned queries that read a set of any size: pooling by multi-head attention.

    One query more than ``n_out`` gives the pooled vector.

    References
    ----------
    .. [1] Lee et al. (2019), "Set Transformer", ICML, arXiv:1810.00825.

    Examples
    --------
    >>> pool = SetPoolConfig(n_out=3, heads=2).build(d=8)
    >>> latents, pooled = pool(torch.randn(2, 9, 8), torch.ones(2, 9, dtype=torch.bool))
    >>> latents.shape, pooled.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 8]))
    """

    n_out: int = 64
    heads: int = 8
    ratio: int = 4

    def __post_init__(self):
        if self.n_out < 1 or self.ratio < 1:
            raise ValueError(f"n_out={self.n_out} and ratio={self.ratio} must be 1 or more")

    def build(self, d: int) -> "SetPool":
        """Make the pool, with random weights."""
        return SetPool(self, d)


class SetPool(nn.Module):
    """The pool of :class:`SetPoolConfig`."""

    def __init__(self, cfg: SetPoolConfig, d: int):
        super().__init__()
        self.seeds = nn.Parameter(torch.randn(cfg.n_out + 1, d))  # of unit size, so that they stay apart
        self.seed_norm, self.token_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = SetAttention(d, cfg.heads)
        self.mlp_norm, self.norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mlp = perceptron(d, cfg.ratio)

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """What each seed sees of the set, ``(B, n_out + 1, d)``, before the seed itself is added."""
        clean = torch.where(mask[..., None], tokens, torch.zeros_like(tokens))
        query = self.seed_norm(self.seeds).expand(len(tokens), -1, -1)
        return self.attention(query, self.token_norm(clean), mask)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Take ``tokens (B, S, d)`` and ``mask (B, S)``; give ``(B, n_out, d)`` and the pooled ``(B, d)``.

        Sets without a valid token give zeros.
        """
        x = self.seeds + self.read(tokens, mask)
        x = self.norm(x + self.mlp(self.mlp_norm(x)))
        x = torch.where(mask.any(1)[:, None, None], x, torch.zeros_like(x))
        return x[:, :-1], x[:, -1]
