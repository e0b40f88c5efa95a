r"""Perceiver-IO on time-stamped latents: tokens ``(batch, token, d)`` in, latents ``(batch, step, slot, d)`` out and read.

Time enters attention by rotation alone: a pair of features turns by :math:`2\pi t / P` for one of many
periods :math:`P`, so a logit depends on how far apart query and key are. Values turn as well and are turned back
at the query, so that what is read is relative in time, too.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.sites import Site, Tap, inside

SLACK_S = 1e-6  # by which equal times may differ
T_MIN_S = 1e-4  # as in POYO


@dataclass(frozen=True)
class PerceiverConfig:
    """Latents on a grid of times, ``slots`` at each.

    The grid has ``steps`` times in a window of any length or, with ``step_s``, as many as the window needs.

    References
    ----------
    .. [1] Jaegle et al. (2022), "Perceiver IO: a general architecture for structured inputs and outputs", ICLR,
       arXiv:2107.14795.
    .. [2] Azabou et al. (2023), "A unified, scalable framework for neural population decoding", NeurIPS,
       arXiv:2310.16046.
    .. [3] Su et al. (2024), "RoFormer: enhanced transformer with rotary position embedding", Neurocomputing 568.
    """

    steps: int = 8  # latent times in a window, unless step_s says how far apart they are
    slots: int = 8  # latents at each of them
    step_s: float | None = None
    layers: int = 4  # of self-attention over all latents
    heads: int = 8
    radius: float | None = 2.0  # latents read tokens within so many steps of them; None for all
    span: float | None = None  # latents and queries read latents within so many steps; None for all
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
        for name in ("radius", "span", "step_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be positive, or None")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be a probability below 1")

    def n_steps(self, window_s: float) -> int:
        """Latent times in a window.

        Examples
        --------
        >>> PerceiverConfig(steps=4).n_steps(1.0), PerceiverConfig(step_s=0.05).n_steps(1.02)
        (4, 21)
        """
        return self.steps if self.step_s is None else max(1, math.ceil(window_s / self.step_s - 1e-6))

    def seconds(self, window_s: float) -> float:
        """How far apart latent times are."""
        return self.step_s or window_s / self.steps

    def times(self, window_s: float, device: torch.device | None = None) -> Tensor:
        """Time of each latent step ``(steps,)``: the middle of it, in causal mode its end.

        Examples
        --------
        >>> PerceiverConfig(steps=4).times(1.0).tolist(), PerceiverConfig(steps=4, causal=True).times(1.0).tolist()
        ([0.125, 0.375, 0.625, 0.875], [0.25, 0.5, 0.75, 1.0])
        """
        at = torch.arange(self.n_steps(window_s), device=device) + (1.0 if self.causal else 0.5)
        return at * self.seconds(window_s)

    def may_read(self, at: Tensor, source: Tensor, reach_s: float | None) -> Tensor | None:
        """Whether a query at time ``at (..., n)`` may read a source at ``source (..., m)``: ``(..., n, m)``, or None for always."""
        lag = at[..., :, None] - source[..., None, :]
        slack = SLACK_S + 5e-7 * at[..., :, None].abs()  # single precision at late times
        allowed = None
        if reach_s is not None:
            allowed = lag.abs() <= reach_s + slack
        if self.causal:
            allowed = (lag >= -slack) if allowed is None else allowed & (lag >= -slack)
        return allowed


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
        periods = np.geomspace(longest_s, shortest_s, pairs)
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
        self.each = Tap()  # what each head read

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
        read = self.each(rotated(read.transpose(1, 2), *back))
        return self.out(read.reshape(rows, x.shape[1], -1))

    def remember(self, memory: "Memory | None", source: Tensor, time: Tensor, oldest_s: float) -> "Memory":
        """Add ``source (B, n, d)`` at ``time (n,)`` to what a stream has seen; forget what is older."""
        width = source.shape[-1] // self.heads
        k, v = self.key_value(source).unflatten(-1, (2, self.heads, width)).unbind(-3)
        angles = self.turn.angles(time.expand(len(source), -1))
        k, v = rotated(k, *angles).transpose(1, 2), rotated(v, *angles).transpose(1, 2)
        if memory is None:
            return Memory(k, v, time)
        keep = memory.time >= oldest_s - 1e-6
        return Memory(
            torch.cat([memory.keys[:, :, keep], k], dim=2),
            torch.cat([memory.values[:, :, keep], v], dim=2),
            torch.cat([memory.time[keep], time]),
        )

    def recall(self, x: Tensor, time: Tensor, memory: "Memory") -> Tensor:
        """Read all of a memory from ``x (B, L, d)`` at ``time (L,)``."""
        width = x.shape[-1] // self.heads
        here = self.turn.angles(time.expand(len(x), -1))
        q = rotated(self.query(x).unflatten(-1, (self.heads, width)), *here).transpose(1, 2)
        null = self.null_key[:, None].to(q.dtype).expand(len(x), -1, -1, -1)
        k = torch.cat([null, memory.keys], dim=2)
        v = torch.cat([torch.zeros_like(null), memory.values], dim=2)
        read = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out(rotated(read, here[0], -here[1]).reshape(len(x), x.shape[1], -1))

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


class Memory(NamedTuple):
    """What attention keeps of a stream."""

    keys: Tensor  # (B, heads, n, width), turned by their time
    values: Tensor  # (B, heads, n, width), turned by their time
    time: Tensor  # (n,)


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

    def sites(self, here: str = "latent", there: str = "latent") -> tuple[Site, ...]:
        """What the parts read (``query``, ``source``, ``feed_in``) and add (``attention``, ``feed``).

        ``here`` and ``there`` are the names of the axis of what reads and of what is read.
        """
        at = ("batch", here, "channel")
        return (
            Site("query", "norm", at, side="input"),
            Site("source", "norm_source", ("batch", there, "channel"), side="input"),
            Site("heads", "attend.each", ("batch", here, "head", "channel")),
            Site("attention", "attend", at),
            Site("feed_in", "feed.norm", at, side="input"),
            Site("feed", "feed", at),
        )

    def forward(self, x, time, source, source_time, allowed=None) -> Tensor:
        """As :meth:`TimedAttention.forward`, with the residual."""
        x = x + self.drop(self.attend(self.norm(x), time, self.norm_source(source), source_time, allowed))
        return x + self.drop(self.feed(x))

    def step(
        self,
        x: Tensor,
        time: Tensor,
        memory: Memory | None,
        source: Tensor,
        source_time: Tensor,
        oldest_s: float,
    ) -> tuple[Tensor, Memory]:
        """As ``forward``, of what came since the last call; ``time (L,)`` and ``source_time (n,)``."""
        memory = self.attend.remember(memory, self.norm_source(source), source_time, oldest_s)
        x = x + self.attend.recall(self.norm(x), time, memory)
        return x + self.feed(x), memory


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
        self.tokens = Tap()

    def sites(self) -> tuple[Site, ...]:
        """Sites of reading tokens (``enter``), of latents among themselves (``process``) and of queries (``leave``)."""
        process = [
            inside(f"process.{i}", layer.sites(), f"process.{i}.") for i, layer in enumerate(self.process)
        ]
        leave = (
            replace(site, call=0) for site in self.leave.sites("query")
        )  # signals are read out after behaviour
        return (
            Site("tokens", axes=("batch", "token", "channel")),
            *inside("enter", self.enter.sites(there="token"), "enter."),
            *(site for layer in process for site in layer),
            *inside("leave", leave, "leave."),
        )

    def latent_time(self, window_s: float, like: Tensor) -> Tensor:
        """Time of every latent, ``(steps * slots,)``."""
        return self.cfg.times(window_s, like.device).repeat_interleave(self.cfg.slots)

    def encode(self, tokens: Tensor, time: Tensor, mask: Tensor, window_s: float) -> Tensor:
        """Latents ``(B, steps, slots, d)`` that have read tokens ``(B, S, d)`` and each other."""
        tokens = self.tokens(tokens)
        cfg, at = self.cfg, self.latent_time(window_s, tokens)
        steps, step_s = cfg.n_steps(window_s), cfg.seconds(window_s)
        latents = self.slot.repeat(steps, 1).expand(len(tokens), -1, -1).to(tokens.dtype)
        # a token from before the window, such as BOLD whose delay is taken off, is within reach of its first latents
        near = cfg.may_read(at, time.clamp(0, window_s), cfg.radius and cfg.radius * step_s)
        allowed = mask[:, None, :].expand(-1, len(at), -1) if near is None else near & mask[:, None, :]
        at = at.expand(len(tokens), -1)
        latents = self.enter(latents, at, tokens, time, allowed)
        among = cfg.may_read(at[:1], at[:1], cfg.span and cfg.span * step_s)
        for layer in self.process:
            latents = layer(latents, at, latents, at, among)
        return latents.unflatten(1, (steps, cfg.slots))

    def read(self, queries: Tensor, time: Tensor, latents: Tensor, window_s: float) -> Tensor:
        """What queries ``(B, n, d)`` at ``time (B, n)`` read from latents ``(B, steps, slots, d)``.

        In causal mode a query reads latents up to its own time; before the first there is none.
        """
        cfg = self.cfg
        at = self.latent_time(window_s, latents).expand(len(latents), -1)
        allowed = cfg.may_read(time, at, cfg.span and cfg.span * cfg.seconds(window_s))
        return self.leave(queries, time, latents.flatten(1, 2), at, allowed)
