"""State-space mixers of a sequence: ``(batch, time, d)`` in, as much out, and the state to go on from.

Causal. Whole sequences, chunks with the state carried and single steps give the same numbers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.s6 import BACKENDS as S6_BACKENDS
from neurolib.models.s6 import DISCRETISATIONS, s6_scan
from neurolib.models.sites import Site, Tap
from neurolib.models.ssd import BACKENDS as SSD_BACKENDS
from neurolib.models.ssd import ssd_scan

State = tuple[Tensor, Tensor]  # last inputs of the convolution (B, conv - 1, channel), states of the scan
FLOOR = 1e-4  # least step at first


@dataclass(frozen=True)
class SSDMixerConfig:
    r"""Mixer of Mamba-2: one decay per head, which makes time a product of matrices.

    .. math::
        [z, x, B, C, \delta] &= W_\mathrm{in} u, \qquad x, B, C \leftarrow \mathrm{SiLU}(\mathrm{conv}(x, B, C)) \\
        \Delta &= \mathrm{softplus}(\delta + b_\Delta), \qquad y = \mathrm{SSD}(x, \Delta, -e^{A_{\log}}, B, C) + D x \\
        \mathrm{out} &= W_\mathrm{out}\, \mathrm{RMSNorm}(y \odot \mathrm{SiLU}(z))

    Raises
    ------
    ValueError
        If a size, a range or the backend makes no sense.

    References
    ----------
    .. [1] Dao & Gu (2024), "Transformers are SSMs: generalized models and efficient algorithms through
       structured state space duality", ICML, arXiv:2405.21060.

    Examples
    --------
    >>> mixer = SSDMixerConfig().build(512)
    >>> sum(p.numel() for p in mixer.parameters())  # 512 * 2192 + 5 * 1152 + 3 * 16 + 1024 + 1024 * 512
    1653424
    >>> y, state = mixer(torch.zeros(2, 7, 512))
    >>> y.shape, [tuple(part.shape) for part in state]
    (torch.Size([2, 7, 512]), [(2, 3, 1152), (2, 16, 64, 64)])
    """

    expand: int = 2  # width inside, in d
    head: int = 64  # channels of a head, at most the width inside
    n_state: int = 64
    conv: int = 4  # steps of the convolution, the newest included
    rates: tuple[float, float] = (1.0, 16.0)  # range of the decay rates at first, uniform
    steps: tuple[float, float] = (0.001, 0.1)  # range of the step at first, log-uniform
    backend: str = "auto"

    def __post_init__(self):
        _check_config(self, ("expand", "head", "n_state", "conv"), ("rates", "steps"), SSD_BACKENDS)

    def build(self, d: int) -> "SSDMixer":
        """Make the mixer of sequences of width ``d``, with random weights."""
        return SSDMixer(self, d)


@dataclass(frozen=True)
class S6MixerConfig:
    r"""Mixer of Mamba-1: each channel has ``n_state`` decays of its own.

    .. math::
        [x, z] &= W_\mathrm{in} u, \qquad x \leftarrow \mathrm{SiLU}(\mathrm{conv}(x)), \qquad
            [\delta, B, C] = W_x x \\
        \Delta &= \mathrm{softplus}(W_\Delta \delta + b_\Delta), \qquad
            y = \mathrm{S6}(x, \Delta, -e^{A_{\log}}, B, C) + D x \\
        \mathrm{out} &= W_\mathrm{out}\, (y \odot \mathrm{SiLU}(z))

    :math:`\delta` has ``ceil(d / 16)`` entries; rates are 1 to ``n_state`` at first.

    Raises
    ------
    ValueError
        If a size, a range, the backend or the discretisation makes no sense.

    References
    ----------
    .. [1] Gu & Dao (2023), "Mamba: linear-time sequence modeling with selective state spaces",
       arXiv:2312.00752.

    Examples
    --------
    >>> mixer = S6MixerConfig().build(512)
    >>> sum(p.numel() for p in mixer.parameters())
    1694720
    """

    expand: int = 2  # width inside, in d
    n_state: int = 16  # states per channel
    conv: int = 4  # steps of the convolution, the newest included
    steps: tuple[float, float] = (0.001, 0.1)  # range of the step at first, log-uniform
    discretisation: str = "euler"  # "euler" or "zoh"
    backend: str = "auto"

    def __post_init__(self):
        _check_config(self, ("expand", "n_state", "conv"), ("steps",), S6_BACKENDS)
        if self.discretisation not in DISCRETISATIONS:
            raise ValueError(f"discretisation={self.discretisation!r} must be one of {DISCRETISATIONS}")

    def build(self, d: int) -> "S6Mixer":
        """Make the mixer of sequences of width ``d``, with random weights."""
        return S6Mixer(self, d)


class CausalConv(nn.Module):
    """A convolution of each channel with its own past, then SiLU."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(width, channels).uniform_(-bound, bound))  # oldest first
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve ``x (B, L, channel)`` after ``past (B, width - 1, channel)``; return the new past, too."""
        longer, length = torch.cat([past.to(x.dtype), x], dim=1), x.shape[1]
        total = self.bias
        for k, weight in enumerate(self.weight):  # without the transposes that conv1d needs
            total = torch.addcmul(total, longer[:, k : k + length], weight)
        return F.silu(total), longer[:, length:]

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The same for one step ``x (B, channel)``."""
        longer = torch.cat([past.to(x.dtype), x[:, None]], dim=1)
        return F.silu((longer * self.weight).sum(1) + self.bias), longer[:, 1:]


class SSDMixer(nn.Module):
    """The mixer of :class:`SSDMixerConfig`; its state is ``(past (B, conv - 1, e + 2 N), h (B, H, P, N))``."""

    no_decay = ("log_rate", "skip", "step_bias")  # parameters that weight decay would harm

    def __init__(self, cfg: SSDMixerConfig, d: int):
        super().__init__()
        self.cfg, wide = cfg, cfg.expand * d
        self.head = min(cfg.head, wide)
        if wide % self.head:
            raise ValueError(f"width {wide} = {cfg.expand} * {d} cannot be divided into heads of {self.head}")
        self.heads = wide // self.head
        mixed = wide + 2 * cfg.n_state
        self.sizes, self.inner = (wide, mixed, self.heads), (wide, cfg.n_state, cfg.n_state)
        self.enter = nn.Linear(d, sum(self.sizes), bias=False)
        self.conv = CausalConv(mixed, cfg.conv)
        self.log_rate = nn.Parameter(torch.empty(self.heads).uniform_(*cfg.rates).log())  # A_log
        self.skip = nn.Parameter(torch.ones(self.heads))  # D
        self.step_bias = nn.Parameter(_step_bias(self.heads, cfg.steps))
        self.norm = nn.RMSNorm(wide, eps=1e-5)
        self.leave = nn.Linear(wide, d, bias=False)
        self.each, self.gate = Tap(), Tap()

    def sites(self) -> tuple[Site, ...]:
        """Convolved inputs ``x``, B and C, what each head reads of its state, and the gate ``z``; rows are sequences."""
        return (
            Site("x", "conv", ("sequence", "time", "channel"), pick=0),
            Site("heads", "each", ("sequence", "time", "head", "channel")),
            Site("gate", "gate", ("sequence", "time", "channel")),
        )

    def init_state(self, batch: int) -> State:
        """The state before the first step."""
        past = self.skip.new_zeros(batch, self.cfg.conv - 1, self.sizes[1])
        return past, self.skip.new_zeros(batch, self.heads, self.head, self.cfg.n_state)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Mix ``x (B, L, d)`` along L; return as much, and the state."""
        past, h = state or (self.init_state(len(x))[0], None)
        gate, x, dt, b, c, past = self._select(x, past)
        y, h = ssd_scan(x, dt, -self.log_rate.exp(), b, c, h, self.cfg.backend)
        y = self.each(y + self.skip[:, None] * x).flatten(2)
        return self.leave(self.norm(y * F.silu(self.gate(gate)))), (past, h)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step ``x (B, d)``. Where no gradient is recorded, the state given is overwritten."""
        gate, mixed, delta = self.enter(x).split(self.sizes, dim=-1)
        mixed, past = self.conv.step(mixed, state[0])
        x, b, c = (part.to(state[1].dtype) for part in mixed.split(self.inner, dim=-1))
        dt = F.softplus(delta.to(self.step_bias.dtype) + self.step_bias)
        x = x.unflatten(1, (self.heads, self.head))
        h = state[1] if torch.is_grad_enabled() else state[1].detach()
        keep, new = torch.exp(dt * -self.log_rate.exp())[..., None, None], (dt[..., None] * x)[..., None]
        if torch.is_grad_enabled():
            h = torch.addcmul(h * keep, new, b[:, None, None])
        else:
            h.mul_(keep).addcmul_(new, b[:, None, None])
        y = torch.bmm(c[:, None], h.flatten(1, 2).mT).view_as(x) + self.skip[:, None] * x
        return self.leave(self.norm(y.flatten(1) * F.silu(gate))), (past, h)

    def attention_map(self, x: Tensor) -> Tensor:
        """What each step takes from each earlier one, ``(B, H, L, L)``; the skip ``D`` comes on top.

        Row ``i`` weighs the convolved inputs ``x_j``: ``(C_i . B_j) exp(s_i - s_j) dt_j`` up to ``j = i``, with
        ``s`` the running sum of ``A dt``. It is the scan, written out.
        """
        _, _, dt, b, c, _ = self._select(x, self.init_state(len(x))[0])
        total = (dt * -self.log_rate.exp()).mT.cumsum(-1)  # (B, H, L)
        gap = total[..., :, None] - total[..., None, :]
        later = torch.ones(gap.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        return (c @ b.mT)[:, None] * gap.masked_fill(later, -torch.inf).exp() * dt.mT[:, :, None]

    def _select(self, x: Tensor, past: Tensor) -> tuple[Tensor, ...]:
        gate, mixed, delta = self.enter(x).split(self.sizes, dim=-1)
        mixed, past = self.conv(mixed, past)
        x, b, c = mixed.split(self.inner, dim=-1)
        dt = F.softplus(delta.to(self.step_bias.dtype) + self.step_bias)
        return gate, x.unflatten(2, (self.heads, self.head)), dt, b, c, past


class S6Mixer(nn.Module):
    """The mixer of :class:`S6MixerConfig`; its state is ``(past (B, conv - 1, e), h (B, e, N))``."""

    no_decay = ("log_rate", "skip", "widen.bias")

    def __init__(self, cfg: S6MixerConfig, d: int):
        super().__init__()
        self.cfg, wide, rank = cfg, cfg.expand * d, math.ceil(d / 16)
        self.sizes = rank, cfg.n_state, cfg.n_state
        self.enter = nn.Linear(d, 2 * wide, bias=False)
        self.conv = CausalConv(wide, cfg.conv)
        self.select = nn.Linear(wide, sum(self.sizes), bias=False)
        self.widen = nn.Linear(rank, wide)  # of the step
        self.log_rate = nn.Parameter(torch.arange(1.0, cfg.n_state + 1).log().repeat(wide, 1))  # A_log
        self.skip = nn.Parameter(torch.ones(wide))  # D
        self.leave = nn.Linear(wide, d, bias=False)
        self.each, self.gate = Tap(), Tap()
        with torch.no_grad():
            self.widen.weight.uniform_(-(rank**-0.5), rank**-0.5)
            self.widen.bias.copy_(_step_bias(wide, cfg.steps))

    def sites(self) -> tuple[Site, ...]:
        """Convolved inputs ``x``, what each channel reads of its states, and the gate ``z``; rows are sequences."""
        return (
            Site("x", "conv", ("sequence", "time", "channel"), pick=0),
            Site("read", "each", ("sequence", "time", "channel")),
            Site("gate", "gate", ("sequence", "time", "channel")),
        )

    def init_state(self, batch: int) -> State:
        """The state before the first step."""
        past = self.skip.new_zeros(batch, self.cfg.conv - 1, len(self.skip))
        return past, self.skip.new_zeros(batch, *self.log_rate.shape)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Mix ``x (B, L, d)`` along L; return as much, and the state."""
        past, h = state or (self.init_state(len(x))[0], None)
        new, gate = self.enter(x).chunk(2, dim=-1)
        x, past = self.conv(new, past)
        dt, b, c = self._select(x)
        y, h = s6_scan(x, dt, -self.log_rate.exp(), b, c, h, self.cfg.backend, self.cfg.discretisation)
        return self.leave(self.each(y + self.skip * x) * F.silu(self.gate(gate))), (past, h)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step ``x (B, d)``. Where no gradient is recorded, the state given is overwritten."""
        new, gate = self.enter(x).chunk(2, dim=-1)
        x, past = self.conv.step(new, state[0])
        dt, b, c = (part.to(state[1].dtype) for part in self._select(x))
        rate, h = -self.log_rate.exp(), state[1]
        decay = dt[..., None] * rate
        written = (torch.expm1(decay) / rate * x[..., None]) if self._zoh else (dt * x)[..., None]
        if torch.is_grad_enabled():
            h = torch.addcmul(h * decay.exp(), written, b[:, None])
        else:
            h = h.detach().mul_(decay.exp_()).addcmul_(written, b[:, None])
        y = torch.bmm(c[:, None], h.mT)[:, 0] + self.skip * x
        return self.leave(y * F.silu(gate)), (past, h)

    def attention_map(self, x: Tensor) -> Tensor:
        """What each step takes from each earlier one, mean over channels, ``(B, L, L)``.

        As :meth:`SSDMixer.attention_map`, with a sum over the states of each channel.
        """
        x, _ = self.conv(self.enter(x).chunk(2, dim=-1)[0], self.init_state(len(x))[0])
        dt, b, c = self._select(x)
        rate = -self.log_rate.exp()
        total = dt.cumsum(1)
        written = torch.expm1(dt[..., None] * rate) / rate if self._zoh else dt[..., None]
        written = written * b[:, :, None]  # (B, L, e, N)
        rows = []
        for i in range(x.shape[1]):  # (B, L, L, e, N) would be too much at once
            decay = torch.exp((total[:, i, None] - total[:, : i + 1])[..., None] * rate)
            row = torch.einsum("bjen,bjen,bn->bj", decay, written[:, : i + 1], c[:, i]) / x.shape[2]
            rows.append(F.pad(row, (0, x.shape[1] - i - 1)))
        return torch.stack(rows, 1)

    @property
    def _zoh(self) -> bool:
        return self.cfg.discretisation == "zoh"

    def _select(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, b, c = self.select(x).split(self.sizes, dim=-1)
        return F.softplus(self.widen(low).to(self.skip.dtype)), b, c


def _step_bias(n: int, steps: tuple[float, float]) -> Tensor:
    """Numbers whose softplus is log-uniform in the range."""
    low, high = (math.log(edge) for edge in steps)
    step = torch.exp(low + (high - low) * torch.rand(n)).clamp(min=FLOOR)
    return step + torch.log(-torch.expm1(-step))


def _check_config(cfg, sizes: tuple[str, ...], ranges: tuple[str, ...], backends: tuple[str, ...]) -> None:
    for name in sizes:
        if getattr(cfg, name) < 1:
            raise ValueError(f"{name}={getattr(cfg, name)} must be at least 1")
    for name in ranges:
        low, high = getattr(cfg, name)
        if not 0 < low <= high:
            raise ValueError(f"{name}={(low, high)} must be a range of positive numbers, the smaller first")
    if cfg.backend not in backends:
        raise ValueError(f"backend={cfg.backend!r} must be one of {backends}")
