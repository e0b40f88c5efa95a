r"""Perceiver-IO on time-stamped latents: tokens ``(batch, token, d)`` in, latents ``(batch, step, slot, d)`` out and read.

Time enters attention by rotation alone: a pair of features turns by :math:`2\pi t / P` for one of many
periods :math:`P`, so a logit depends on how far apart query and key are. Values turn as well and are turned back
at the query, so that what is read is relative in time, too.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T_MIN_S = 1e-4  # as in POYO


@dataclass(frozen=True)
class PerceiverConfig:
    """Latents on a grid of ``steps`` times and ``slots`` per time.

    References
    ----------
    .. [1] Jaegle et al. (2022), "Perceiver IO: a general architecture for structured inputs and outputs", ICLR,
       arXiv:2107.14795.
    .. [2] Azabou et al. (2023), "A unified, scalable framework for neural population decoding", NeurIPS,
       arXiv:2310.16046.
    .. [3] Su et al. (2024), "RoFormer: enhanced transformer with rotary position embedding", Neurocomputing 568.
    """

    steps: int = 8  # latent times in a window
    slots: int = 8  # latents at each of them
    layers: int = 4  # of self-attention over all latents
    heads: int = 8
    radius: float | None = 2.0  # latents read tokens within so many steps of them; None for all
    widen: int = 4  # hidden width of the feed-forward part, in d
    dropout: float = 0.1
    shortest_s: float = T_MIN_S  # shortest period of a rotation
    causal: bool = False  # latents see no token and no latent later than themselves

    def __post_init__(self):
        for name in ("steps", "slots", "heads", "widen"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.layers < 0:
            raise ValueError(f"layers={self.layers} cannot be negative")
        if self.radius is not None and not self.radius > 0:
            raise ValueError(f"radius={self.radius} must be positive, in latent steps, or None")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be a probability below 1")

    def times(self, window_s: float, device: torch.device | None = None) -> Tensor:
        """Time of each latent step ``(steps,)``: the middle of it, in causal mode its end.

        Examples
        --------
        >>> PerceiverConfig(steps=4).times(1.0).tolist(), PerceiverConfig(steps=4, causal=True).times(1.0).tolist()
        ([0.125, 0.375, 0.625, 0.875], [0.25, 0.5, 0.75, 1.0])
        """
        at = torch.arange(self.steps, device=device) + (1.0 if self.causal else 0.5)
        return at * (window_s / self.steps)


class Rotary(nn.Module):
    """Rotation of the first half of every head's features by time; the rest stays, for what is timeless.

    Parameters
    ----------
    width : int
        Features of a head.
    longest_s, shortest_s : float
        Longest and shortest period.

    Examples
    --------
    >>> turn = Rotary(8, longest_s=2.0)
    >>> x, t = torch.randn(1, 3, 2, 8), torch.tensor([[0.1, 0.2, 0.3]])
    >>> bool(torch.allclose(turn(turn(x, t), -t), x, atol=1e-6))
    True
    """

    def __init__(self, width: int, longest_s: float, shortest_s: float = T_MIN_S):
        super().__init__()
        pairs = max(width // 4, 1)
        periods = torch.logspace(math.log10(longest_s), math.log10(shortest_s), pairs, dtype=torch.float64)
        self.speed = (2 * math.pi / periods).tolist()  # no buffer: a cast of the model must not round it

    def angles(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine ``(..., 1, pairs)`` at times ``(...)``, computed in double precision."""
        speed = torch.tensor(self.speed, dtype=torch.float64, device=time.device)
        turn = (time.double()[..., None] * speed)[..., None, :]
        return turn.cos(), turn.sin()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Turn ``x (B, n, heads, width)`` by ``time (B, n)``."""
        return rotated(x, *self.angles(time))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of the first features of ``x (..., heads, width)``."""
    pairs = cos.shape[-1]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    a, b, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], dim=-1)


class TimedAttention(nn.Module):
    """Attention between things that have a time; a learned null key makes a query with nothing to read defined.

    Parameters
    ----------
    d, heads : int
    longest_s, shortest_s : float
        Periods of the rotation.
    dropout : float
        On the weights.
    """

    def __init__(
        self, d: int, heads: int, longest_s: float, shortest_s: float = T_MIN_S, dropout: float = 0.0
    ):
        super().__init__()
        if d % heads or (d // heads) % 4:
            raise ValueError(
                f"d={d} with heads={heads}: heads must have a width that 4 divides, for rotations"
            )
        self.heads, self.dropout = heads, dropout
        self.query, self.key_value = nn.Linear(d, d, bias=False), nn.Linear(d, 2 * d, bias=False)
        self.out = nn.Linear(d, d)
        self.null_key = nn.Parameter(torch.zeros(heads, d // heads))
        self.turn = Rotary(d // heads, longest_s, shortest_s)

    def forward(
        self, x: Tensor, time: Tensor, source: Tensor, source_time: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """Read ``source (B, S, d)`` at ``source_time (B, S)`` from ``x (B, L, d)`` at ``time (B, L)``.

        ``allowed (B or 1, L or 1, S)`` is True where a query may look; the null key has a value of zero.
        """
        q, k, v, back = self._project(x, time, source, source_time)
        rows, seen = len(x), None
        if allowed is not None:
            seen = torch.cat([torch.ones_like(allowed[..., :1]), allowed], dim=-1)[:, None]
        read = F.scaled_dot_product_attention(q, k, v, seen, self.dropout if self.training else 0.0)
        read = rotated(read.transpose(1, 2), *back)
        return self.out(read.reshape(rows, x.shape[1], -1))

    def weights(self, x, time, source, source_time, allowed) -> Tensor:
        """Attention weights ``(B, heads, L, 1 + S)``, the null key first."""
        q, k, _, _ = self._project(x, time, source, source_time)
        logits = q @ k.mT / math.sqrt(q.shape[-1])
        if allowed is not None:
            seen = torch.cat([torch.ones_like(allowed[..., :1]), allowed], dim=-1)[:, None]
            logits = logits.masked_fill(~seen, -math.inf)
        return logits.softmax(-1)

    def _project(self, x, time, source, source_time):
        """Queries, keys and values ``(B, heads, n, width)`` in a common frame, and the turn back."""
        width = x.shape[-1] // self.heads
        q = self.query(x).unflatten(-1, (self.heads, width))
        k, v = self.key_value(source).unflatten(-1, (2, self.heads, width)).unbind(-3)
        here, there = self.turn.angles(time), self.turn.angles(source_time)
        q, k, v = rotated(q, *here), rotated(k, *there), rotated(v, *there)
        null = self.null_key.to(k.dtype).expand(len(k), 1, -1, -1)
        k, v = torch.cat([null, k], dim=1), torch.cat([torch.zeros_like(null), v], dim=1)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), (here[0], -here[1])


class FeedForward(nn.Module):
    """Gated feed-forward part (GEGLU), pre-norm."""

    def __init__(self, d: int, widen: int):
        super().__init__()
        hidden = d * widen * 2 // 3 // 8 * 8 or 8  # three matrices cost as much as two of width d * widen
        self.norm, self.enter, self.leave = nn.LayerNorm(d), nn.Linear(d, 2 * hidden), nn.Linear(hidden, d)

    def forward(self, x: Tensor) -> Tensor:
        """What is added to ``x (..., d)``."""
        a, gate = self.enter(self.norm(x)).chunk(2, dim=-1)
        return self.leave(a * F.gelu(gate))


class CrossRead(nn.Module):
    """One pre-norm layer that reads a source: attention and a feed-forward part, both added."""

    def __init__(self, d: int, cfg: PerceiverConfig, longest_s: float):
        super().__init__()
        self.norm, self.norm_source = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attend = TimedAttention(d, cfg.heads, longest_s, cfg.shortest_s, cfg.dropout)
        self.feed, self.drop = FeedForward(d, cfg.widen), nn.Dropout(cfg.dropout)

    def forward(self, x, time, source, source_time, allowed=None) -> Tensor:
        """As :meth:`TimedAttention.forward`, with the residual."""
        x = x + self.drop(self.attend(self.norm(x), time, self.norm_source(source), source_time, allowed))
        return x + self.drop(self.feed(x))


class Perceiver(nn.Module):
    """Encode tokens on the latent grid, let latents talk, and read them at any time.

    Parameters
    ----------
    cfg : PerceiverConfig
    d : int
        Width of tokens and latents.
    longest_s : float
        Longest period of the rotation by time.

    Examples
    --------
    >>> perceiver = Perceiver(PerceiverConfig(steps=4, slots=2, layers=1, heads=2), d=16, longest_s=2.0)
    >>> tokens, time = torch.randn(3, 5, 16), torch.rand(3, 5)
    >>> latents = perceiver.encode(tokens, time, torch.ones(3, 5, dtype=torch.bool), window_s=1.0)
    >>> latents.shape, perceiver.read(torch.zeros(3, 7, 16), torch.rand(3, 7), latents, window_s=1.0).shape
    (torch.Size([3, 4, 2, 16]), torch.Size([3, 7, 16]))
    """

    def __init__(self, cfg: PerceiverConfig, d: int, longest_s: float):
        super().__init__()
        self.cfg, self.d = cfg, d
        self.slot = nn.Parameter(torch.randn(cfg.slots, d) * 0.02)
        self.enter = CrossRead(d, cfg, longest_s)
        self.process = nn.ModuleList(CrossRead(d, cfg, longest_s) for _ in range(cfg.layers))
        self.leave = CrossRead(d, cfg, longest_s)

    def latent_time(self, window_s: float, like: Tensor) -> Tensor:
        """Time of every latent, ``(steps * slots,)``."""
        return self.cfg.times(window_s, like.device).repeat_interleave(self.cfg.slots)

    def encode(self, tokens: Tensor, time: Tensor, mask: Tensor, window_s: float) -> Tensor:
        """Latents ``(B, steps, slots, d)`` that have read tokens ``(B, S, d)`` and each other."""
        cfg, at = self.cfg, self.latent_time(window_s, tokens)
        latents = self.slot.repeat(cfg.steps, 1).expand(len(tokens), -1, -1).to(tokens.dtype)
        lag = at[:, None] - time[:, None, :]  # (B, latents, S)
        allowed = mask[:, None, :].expand(lag.shape)
        if cfg.radius is not None:
            reach = cfg.radius * window_s / cfg.steps
            allowed = allowed & (lag.abs() <= reach + 1e-6)
        if cfg.causal:
            allowed = allowed & (lag >= -1e-6)
        at = at.expand(len(tokens), -1)
        latents = self.enter(latents, at, tokens, time, allowed)
        among = (at[:1, :, None] >= at[:1, None, :] - 1e-6) if cfg.causal else None
        for layer in self.process:
            latents = layer(latents, at, latents, at, among)
        return latents.unflatten(1, (cfg.steps, cfg.slots))

    def read(self, queries: Tensor, time: Tensor, latents: Tensor, window_s: float) -> Tensor:
        """What queries ``(B, n, d)`` at ``time (B, n)`` read from latents ``(B, steps, slots, d)``.

        In causal mode a query reads latents up to its own time; before the first there is none.
        """
        at = self.latent_time(window_s, latents).expand(len(latents), -1)
        allowed = (at[:, None, :] <= time[:, :, None] + 1e-6) if self.cfg.causal else None
        return self.leave(queries, time, latents.flatten(1, 2), at, allowed)
