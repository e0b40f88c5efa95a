"""Hebbian encoder: counts ``(batch, time, unit)`` in, any number of outputs per bin out.

Attention written by spikes, one token per unit, a small network per token, one linear read-out.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.hebbian import rules
from neurolib.models.hebbian.bounded import bounded_read
from neurolib.models.hebbian.correlation import correlation_read
from neurolib.models.hebbian.events import pairwise_read
from neurolib.models.hebbian.held import Held, every_bin
from neurolib.models.hebbian.light import calcium_read, light_read
from neurolib.models.hebbian.rules import State, Traces
from neurolib.models.hebbian.window import window_read
from neurolib.models.sites import Site

KINDS = (*rules.RULES, "correlation")  # the last is a control, see correlation.py


@dataclass(frozen=True)
class HebbianConfig:
    """Settings of a :class:`HebbianEncoder`; the defaults follow the first public code.

    It has heads of ``d / heads`` features, here each has ``d`` and they are added.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    rule: str = "additive"  # see rules.advance; or "correlation", a control
    d: int = 32  # width of a unit's token
    tau_s: tuple[float, ...] = (0.5,)  # of the traces at the start of training; one head each
    weight_pre: float | None = None  # what a spike adds to its trace at the start; None is as published
    weight_post: float | None = None
    layers: int = 0  # blocks of ordinary attention between the units of a bin
    attention_heads: int = 4  # in those blocks
    readout: str = "flatten"  # all tokens, or "mean": one number per unit first
    dropout: float = 0.0  # on the tokens
    method: str = "fast"  # "loop" is the definition, bin by bin
    block: int = 0  # units per block; a unit then attends to nearby blocks alone (light rule only)
    blocks_seen: int = 3  # an odd number: the unit's own block and as many on either side

    def __post_init__(self):
        if self.rule not in KINDS:
            raise ValueError(f"rule={self.rule!r} must be one of {KINDS}")
        if self.block < 0 or (self.block and (self.rule != "light" or self.blocks_seen % 2 == 0)):
            raise ValueError(
                f"block={self.block} with rule={self.rule!r} and blocks_seen={self.blocks_seen}; "
                "blocks are for the light rule, and an odd number of them is seen"
            )
        if not self.tau_s or min(self.tau_s) <= 0:
            raise ValueError(f"tau_s={self.tau_s} must be time constants in seconds, one per head")
        if self.d < 1 or (self.layers and self.d % self.attention_heads):
            raise ValueError(f"d={self.d} must be positive and divisible by {self.attention_heads=}")
        for name, choices in (("readout", ("flatten", "mean")), ("method", ("fast", "loop"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {choices}")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "HebbianEncoder":
        """The encoder of one recording."""
        return HebbianEncoder(self, n_units, n_outputs, bin_size_s)


class HebbianHead(nn.Module):
    """Attention that spikes write, read out with one learned vector per unit.

    Parameters
    ----------
    cfg : HebbianConfig
    tau_s : float
    n_units : int
    bin_size_s : float

    Notes
    -----
    A trace keeps ``exp(-bin / tau)`` from bin to bin. The first public code has
    ``1 - bin / tau``, the same to a part in a thousand at its 1 ms bins, and meaningless
    where the bin is as wide as ``tau``.
    """

    def __init__(self, cfg: HebbianConfig, tau_s: float, n_units: int, bin_size_s: float):
        super().__init__()
        self.cfg, self.bin_size_s = cfg, bin_size_s
        n_seen = cfg.block * cfg.blocks_seen or n_units
        self.value = nn.Parameter(torch.empty(n_seen, cfg.d).uniform_(-1, 1) / math.sqrt(n_seen))
        self.scale = 1.0 if cfg.rule in ("bounded", "correlation") else 1 / math.sqrt(n_units + cfg.d)
        self.tau_bins = tau_s / bin_size_s
        if cfg.rule in ("calcium", "correlation"):
            return
        # the later package multiplies what a spike adds by the width of a bin
        published = (bin_size_s, bin_size_s) if cfg.rule == "bounded" else (1.0, 0.5)
        shape = (n_units,) if cfg.rule == "light" else (n_units, n_units)
        for side, given, default in zip(
            ("pre", "post"), (cfg.weight_pre, cfg.weight_post), published, strict=True
        ):
            weight = math.log(default if given is None else given)
            noise = torch.randn(shape) / math.sqrt(2 * n_units)
            self.register_parameter(f"log_weight_{side}", nn.Parameter(weight + noise))
            self.register_parameter(f"log_tau_{side}", nn.Parameter(torch.full(shape, math.log(tau_s))))

    @property
    def traces(self) -> Traces | None:
        """The traces' parameters as the rules take them."""
        if self.cfg.rule in ("calcium", "correlation"):
            return None
        decays = [-self.bin_size_s * torch.exp(-log_tau) for log_tau in (self.log_tau_pre, self.log_tau_post)]
        return Traces(self.log_weight_pre, decays[0], self.log_weight_post, decays[1])

    def forward(self, counts: Tensor, mix: Tensor, state: State | None) -> tuple[Held, State]:
        """Read the attention after each bin, through ``value @ mix``."""
        rule, traces, value = self.cfg.rule, self.traces, self.value @ mix * self.scale
        if rule == "correlation":
            return correlation_read(self.tau_bins, counts, value, state)
        if self.cfg.block:
            return window_read(traces, counts, value, self.cfg.block, state)
        if self.cfg.method == "loop" or counts.shape[1] == 1:  # one bin: nothing to parallelise
            read, state = rules.loop(rule, traces, counts, value, state)
            return every_bin(read), state
        if rule == "calcium":
            return calcium_read(counts, value, state)
        if rule == "light":
            return light_read(traces, counts, value, state)
        if rule == "bounded":
            return bounded_read(traces, counts, value, state)
        return pairwise_read(rule, traces, counts, value, state)


class HebbianEncoder(nn.Module):
    """Hebbian attention of one recording, and the network that reads it.

    The attention of each unit to all others, times a learned vector per unit, makes one token
    per unit. Each token goes through a small network, then all tokens through one linear map.
    Tokens change only in bins with a spike, so the network runs on those alone.

    Parameters
    ----------
    cfg : HebbianConfig
    n_units, n_outputs : int
    bin_size_s : float

    References
    ----------
    .. [1] Skatchkovsky et al. (2024), bioRxiv 2024.08.13.607787.

    Examples
    --------
    >>> encoder = HebbianConfig(d=8).build(n_units=5, n_outputs=6, bin_size_s=0.001)
    >>> outputs, state = encoder(torch.ones(2, 7, 5))
    >>> outputs.shape, state[0].shape
    (torch.Size([2, 7, 6]), torch.Size([2, 5, 5]))
    """

    def __init__(self, cfg: HebbianConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__()
        if n_units < 1 or not bin_size_s > 0:
            raise ValueError(f"{n_units=}, {bin_size_s=}: an encoder needs units and bins of some width")
        self.cfg, self.n_units = cfg, n_units
        self.heads = nn.ModuleList(HebbianHead(cfg, tau, n_units, bin_size_s) for tau in cfg.tau_s)
        self.mix = nn.ModuleList(nn.Linear(cfg.d, cfg.d, bias=False) for _ in cfg.tau_s)
        self.mix_bias = nn.Parameter(torch.zeros(cfg.d))
        self.feed = nn.Sequential(
            nn.LayerNorm(cfg.d), nn.Linear(cfg.d, cfg.d), nn.GELU(), nn.Linear(cfg.d, cfg.d), nn.GELU()
        )
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                cfg.d, cfg.attention_heads, 2 * cfg.d, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(cfg.layers)
        )
        self.drop = nn.Dropout(cfg.dropout)
        self.per_unit = nn.Linear(cfg.d, 1) if cfg.readout == "mean" else nn.Identity()
        width = n_units * (1 if cfg.readout == "mean" else cfg.d)
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, n_outputs)

    def sites(self) -> tuple[Site, ...]:
        """Tokens of units and what is read out of them, where they change; ``event`` counts the changes of a trial.

        Changes of another trial come at other times; per bin there is what the encoder gives.
        """
        return (
            Site("tokens", "drop", ("event", "batch", "unit", "channel")),
            Site("readout_in", "readout", ("event", "batch", "channel"), side="input"),
        )

    def forward(self, counts: Tensor, state: tuple[Tensor, ...] | None = None):
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from.

        The state holds three tensors per head, see :class:`~neurolib.models.hebbian.rules.State`.
        """
        if counts.shape[-1] != self.n_units:
            raise ValueError(
                f"counts {tuple(counts.shape)} for an encoder of {self.n_units} units; is this another session?"
            )
        tokens, states = self.mix_bias, ()
        for i, (head, mix) in enumerate(zip(self.heads, self.mix, strict=True)):
            before = State(*state[3 * i : 3 * i + 3]) if state else None
            held, after = head(counts, mix.weight.T, before)
            tokens, states = tokens + held.values, (*states, *after)  # (slot, B, unit, d)
        tokens = tokens + self.feed(tokens)
        for block in self.blocks:
            tokens = block(tokens.flatten(0, 1)).view_as(tokens)
        outputs = self.readout(self.norm(self.per_unit(self.drop(tokens)).flatten(2)))  # (slot, B, output)
        rows = torch.arange(len(counts), device=counts.device)[:, None]
        return outputs[held.slot, rows], states
