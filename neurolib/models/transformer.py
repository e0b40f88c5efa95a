"""Causal attention over time: spike counts ``(batch, time, unit)`` in, outputs per bin out.

The control for Hebbian attention that does attend: each bin looks back over a window of fixed length.
Whole trials, chunks with the state carried and single bins give the same numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.controls import CountEncoder, ExponentialAverages, State
from neurolib.models.sites import Site, Tap, inside

Cache = tuple[Tensor, Tensor]  # keys and values of the last bins, (B, heads, bins, d / heads)


@dataclass(frozen=True)
class CausalTransformerConfig:
    """Pre-norm transformer on exponentially smoothed counts, with rotary positions.

    Positions enter only as differences, so what is decoded does not depend on how long the stream
    has run. Each layer sees ``context_s``; ``layers`` of them reach back ``layers`` times as far.
    The state is the smoothed counts and, per layer, keys and values of the last ``context_s``.

    References
    ----------
    .. [1] Vaswani et al. (2017), "Attention is all you need", NeurIPS.
    .. [2] Su et al. (2024), "RoFormer: enhanced transformer with rotary position embedding",
       Neurocomputing 568.

    Examples
    --------
    >>> encoder = CausalTransformerConfig(d=8, heads=2, context_s=0.2).build(5, 2, bin_size_s=0.05)
    >>> outputs, state = encoder(torch.zeros(3, 7, 5))
    >>> outputs.shape, state[1].shape  # 0.2 s are 4 bins: the newest and 3 remembered
    (torch.Size([3, 7, 2]), torch.Size([3, 2, 3, 4]))
    """

    d: int = 64  # width of a token; one bin is one token
    heads: int = 4
    layers: int = 2
    context_s: float = 1.0  # window of each layer, the newest bin included
    tau_s: tuple[float, ...] = (0.05,)  # time constants of the smoothing
    dropout: float = 0.0  # on what each block adds, training only

    def __post_init__(self):
        if self.d % (2 * self.heads):
            raise ValueError(
                f"d={self.d} must be a multiple of 2 * heads={2 * self.heads}; rotations take pairs"
            )
        if not self.context_s > 0:
            raise ValueError(f"context_s={self.context_s} must be positive; it is in seconds")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "CausalTransformer":
        """Make the encoder, with random weights."""
        return CausalTransformer(self, n_units, n_outputs, bin_size_s)


class CausalTransformer(CountEncoder):
    """The encoder of :class:`CausalTransformerConfig`."""

    def __init__(self, cfg: CausalTransformerConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        window = max(1, round(cfg.context_s / bin_size_s))
        self.average = ExponentialAverages(cfg.tau_s, bin_size_s)
        self.embed = nn.Linear(len(cfg.tau_s) * n_units, cfg.d)
        self.blocks = nn.ModuleList(CausalBlock(cfg, window) for _ in range(cfg.layers))
        self.readout = nn.Sequential(nn.LayerNorm(cfg.d), nn.Linear(cfg.d, n_outputs))

    def sites(self) -> tuple[Site, ...]:
        """Tokens, what each block reads and adds, and what is read out."""
        at = ("batch", "time", "channel")
        blocks = [inside(f"blocks.{i}", block.sites(), f"block.{i}.") for i, block in enumerate(self.blocks)]
        return (
            Site("tokens", "embed", at),
            *(site for block in blocks for site in block),
            Site("readout_in", "readout", at, side="input"),
        )

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        smooth, *caches = state if state else (None,) * (1 + 2 * len(self.blocks))
        averages, smooth = self.average(self.standard(counts), smooth)
        x = self.embed((averages / self.average.noise_scale()[:, None]).flatten(2))
        left = [smooth]
        for block, keys, values in zip(self.blocks, caches[::2], caches[1::2], strict=True):
            x, cache = block(x, None if keys is None else (keys, values))
            left.extend(cache)
        return self.readout(x), tuple(left)


class CausalBlock(nn.Module):
    """Attention over the last bins, then a perceptron, each added to what comes in."""

    def __init__(self, cfg: CausalTransformerConfig, window: int):
        super().__init__()
        self.heads, self.window = cfg.heads, window
        self.attention_norm, self.mlp_norm = nn.LayerNorm(cfg.d), nn.LayerNorm(cfg.d)
        self.qkv = nn.Linear(cfg.d, 3 * cfg.d)
        self.project = nn.Linear(cfg.d, cfg.d)
        self.mlp = nn.Sequential(nn.Linear(cfg.d, 2 * cfg.d), nn.GELU(), nn.Linear(2 * cfg.d, cfg.d))
        self.drop = nn.Dropout(cfg.dropout)
        self.each = Tap()  # what each head read
        half = cfg.d // cfg.heads // 2
        self.register_buffer("frequency", 10_000 ** (-torch.arange(half) / half), persistent=False)

    def sites(self) -> tuple[Site, ...]:
        """What the parts read (``attention_in``, ``mlp_in``) and add (``attention``, ``mlp``), and the heads."""
        at = ("batch", "time", "channel")
        return (
            Site("attention_in", "attention_norm", at, side="input"),
            Site("heads", "each", ("batch", "time", "head", "channel")),
            Site("attention", "project", at),
            Site("mlp_in", "mlp_norm", at, side="input"),
            Site("mlp", axes=at),
        )

    def forward(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Take ``x (B, T, d)``; return as much, and the keys and values that later bins can see."""
        shape = (*x.shape[:2], 3, self.heads, -1)
        query, key, value = self.qkv(self.attention_norm(x)).view(shape).permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        n_bins, seen = x.shape[1], key.shape[2]
        position = torch.arange(seen, device=x.device)  # from the oldest bin in the cache
        lag = position[-n_bins:, None] - position
        mixed = F.scaled_dot_product_attention(
            self.rotate(query, position[-n_bins:]),
            self.rotate(key, position),
            value,
            attn_mask=(lag >= 0) & (lag < self.window),
        )
        x = x + self.drop(self.project(self.each(mixed.transpose(1, 2)).flatten(2)))
        x = x + self.drop(self.mlp(self.mlp_norm(x)))
        old = max(0, seen - (self.window - 1))
        return x, (key[:, :, old:], value[:, :, old:])

    def rotate(self, x: Tensor, position: Tensor) -> Tensor:
        """Turn pairs of channels by angles in proportion to the position, so that products see lags."""
        angle = position[:, None] * self.frequency  # (T, d / heads / 2)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        even, odd = x.chunk(2, dim=-1)
        return torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
