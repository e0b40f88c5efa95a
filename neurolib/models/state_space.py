"""Selective state spaces: spike counts ``(batch, time, unit)`` in, outputs per bin out.

Linear recurrences whose step depends on the input, solved over whole trials without a loop over time.
Whole trials, chunks with the state carried and single bins give the same numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.controls import CountEncoder, State
from neurolib.models.scans import linear_recurrence
from neurolib.models.sites import Site

CHUNK_BINS = 16  # bins solved at once; longer arrays of states leave a CPU's cache and take twice as long

Cache = tuple[Tensor, Tensor]  # last inputs of the convolution (B, conv - 1, e) and h (B, e, n_state)


@dataclass(frozen=True)
class StateSpaceConfig:
    r"""Selective state space encoder (S6, "Mamba"): pre-norm residual blocks between two linear maps.

    A block of width ``e = expand * d`` maps its normalised input to ``x`` and a gate ``z``. After a
    causal convolution of each channel and SiLU,

    .. math::
        \Delta_t &= \mathrm{softplus}(W_\Delta x_t + b_\Delta), \qquad B_t = W_B x_t, \quad C_t = W_C x_t \\
        h_t &= e^{\Delta_t A} h_{t-1} + \Delta_t B_t x_t, \qquad A = -e^{A_{\log}} \\
        y_t &= C_t \cdot h_t + D x_t, \qquad \mathrm{out}_t = W (y_t \odot \mathrm{SiLU}(z_t))

    with ``n_state`` states per channel, at first of rates 1 to ``n_state``, and :math:`W_\Delta` of rank
    ``ceil(d / 16)``. A trial starts from zero: state, and inputs of the convolution.
    The state is, per layer, those inputs ``(B, conv - 1, e)`` and ``h (B, e, n_state)``.
    The recurrence cannot be batched over replicas by ``torch.func``.

    References
    ----------
    .. [1] Gu & Dao (2023), "Mamba: linear-time sequence modeling with selective state spaces",
       arXiv:2312.00752.

    Examples
    --------
    >>> encoder = StateSpaceConfig(d=8, n_state=4, layers=1).build(5, 2, bin_size_s=0.025)
    >>> outputs, state = encoder(torch.zeros(3, 7, 5))
    >>> outputs.shape, [tuple(part.shape) for part in state]
    (torch.Size([3, 7, 2]), [(3, 3, 16), (3, 16, 4)])
    """

    d: int = 64  # width of the residual stream
    n_state: int = 16  # states per channel
    expand: int = 2  # width of a block, in d
    conv: int = 4  # bins of the convolution, the newest included
    layers: int = 2
    dropout: float = 0.1  # on what each block adds, training only
    step: tuple[float, float] = (0.001, 0.1)  # range of the step at first, per bin, log-uniform

    def __post_init__(self):
        for name in ("d", "n_state", "expand", "conv", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be a probability below 1")
        if not 0 < self.step[0] <= self.step[1]:
            raise ValueError(f"step={self.step} must be a range of positive steps, the smaller first")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "StateSpace":
        """Make the encoder, with random weights."""
        return StateSpace(self, n_units, n_outputs)


class StateSpace(CountEncoder):
    """The encoder of :class:`StateSpaceConfig`."""

    def __init__(self, cfg: StateSpaceConfig, n_units: int, n_outputs: int):
        super().__init__(n_units)
        self.embed = nn.Linear(n_units, cfg.d)
        self.blocks = nn.ModuleList(SelectiveBlock(cfg) for _ in range(cfg.layers))
        self.readout = nn.Sequential(nn.LayerNorm(cfg.d), nn.Linear(cfg.d, n_outputs))

    def sites(self) -> tuple[Site, ...]:
        """Tokens, what each block reads and adds, and what is read out."""
        at, found = ("batch", "time", "channel"), []
        for i in range(len(self.blocks)):
            found.append(Site(f"block.{i}.mixer_in", f"blocks.{i}.norm", at, side="input"))
            found.append(Site(f"block.{i}.mixer", f"blocks.{i}.leave", at))
        return Site("tokens", "embed", at), *found, Site("readout_in", "readout", at, side="input")

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        x, left = self.embed(self.standard(counts)), []
        for k, block in enumerate(self.blocks):
            x, cache = block(x, state[2 * k : 2 * k + 2] if state else None)
            left.extend(cache)
        return self.readout(x), tuple(left)


class SelectiveBlock(nn.Module):
    """One block of :class:`StateSpaceConfig`, which adds to what comes in."""

    def __init__(self, cfg: StateSpaceConfig):
        super().__init__()
        wide, rank = cfg.expand * cfg.d, math.ceil(cfg.d / 16)
        self.sizes = rank, cfg.n_state, cfg.n_state
        self.norm = nn.LayerNorm(cfg.d)
        self.enter = nn.Linear(cfg.d, 2 * wide, bias=False)  # x and the gate
        self.conv = nn.Conv1d(wide, wide, cfg.conv, groups=wide)
        self.select = nn.Linear(wide, sum(self.sizes), bias=False)  # step, B and C
        self.step = nn.Linear(rank, wide)
        self.log_rate = nn.Parameter(torch.arange(1.0, cfg.n_state + 1).log().repeat(wide, 1))  # A_log
        self.skip = nn.Parameter(torch.ones(wide))  # D
        self.leave = nn.Linear(wide, cfg.d, bias=False)
        self.drop = nn.Dropout(cfg.dropout)
        low, high = (math.log(edge) for edge in cfg.step)
        step = torch.exp(low + (high - low) * torch.rand(wide))
        with torch.no_grad():
            self.step.bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus of it is the step

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Take ``x (B, T, d)``; return as much, and what later bins need."""
        new, gate = self.enter(self.norm(x)).chunk(2, dim=-1)
        n_past = self.conv.kernel_size[0] - 1
        past = new.new_zeros(len(new), n_past, new.shape[2]) if cache is None else cache[0].to(new.dtype)
        longer = torch.cat([past, new], dim=1)
        y, h = self.scan(F.silu(self.conv(longer.mT).mT), None if cache is None else cache[1])
        out = x + self.drop(self.leave(y * F.silu(gate)))
        return out, (longer[:, longer.shape[1] - n_past :], h)

    def scan(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The recurrence, from ``x (B, T, e)`` to ``y`` of that shape and the last ``h (B, e, n_state)``.

        A single bin is a single step. Kept out of autocast, for states add up over the trial.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.log_rate.dtype).transpose(0, 1)  # (T, B, e)
            low, b, c = self.select(x).split(self.sizes, dim=-1)
            step = F.softplus(self.step(low))
            rate, parts = -self.log_rate.exp(), []
            for chunk in zip(*(part.split(CHUNK_BINS) for part in (step, step * x, b, c)), strict=True):
                dt, dx, enter, leave = chunk
                keep = torch.exp(dt[..., None] * rate)  # (T, B, e, n_state)
                states = linear_recurrence(keep, dx[..., None] * enter[..., None, :], h)
                parts.append((states @ leave[..., None])[..., 0])
                h = states[-1]
            return (torch.cat(parts) + self.skip * x).transpose(0, 1), h
