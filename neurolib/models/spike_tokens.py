r"""Attention over single spikes: counts ``(batch, time, unit)`` in, outputs per bin out.

Each spike is a token, with the embedding of its unit and the time of its bin. The query of an output
bin is learned and turns with time, so a token's logit depends on its unit and its lag alone, and the
spikes of one unit in one bin are one token with :math:`\log` count added to its logit. Attention over
all spikes of the last ``history_s`` is then a ratio of two causal convolutions of the counts: exact,
and no array has an axis for the tokens. Bins before the start of a trial hold no spikes.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.controls import CountEncoder, State
from neurolib.models.history import check_settings, history_bins, prepend
from neurolib.models.transformer import CausalBlock, CausalTransformerConfig

SPREAD = 80.0  # logits count as at most this far below the largest; exp(-80) = 2e-35 is still a float32


@dataclass(frozen=True)
class SpikeTokensConfig:
    r"""Spike tokens with unit identity, read by cross-attention, in the manner of POYO.

    For each head, with unit embeddings :math:`e_c` (normalised), rotations :math:`R` in proportion to
    the time difference, and one sum over every spike of the last ``history_s``,

    .. math::
        o_t = \frac{m\,e^{\ell_0} v_0 + \sum_{\text{spikes}} e^{\ell(c, t - s)} R_{t-s} v_c}
                   {m\,e^{\ell_0} + \sum_{\text{spikes}} e^{\ell(c, t - s)}},
        \qquad \ell(c, \delta) = \frac{q \cdot R_{\delta} k_c}{\sqrt{d_{\text{head}}}}

    Token 0 is a learned "no spike", which keeps the ratio defined, and is what lets the number of spikes
    through, since the weights sum to one. It stands as :math:`m` tokens: the spikes that a history of the
    training counts holds on average. Then follow ``layers`` of perceptrons, or with ``context_s`` blocks of
    causal self-attention over bins, which reach back further than the history.

    Unlike the source, bins are the grid of the queries, each with one query, and time is that of bins.
    The state is the counts of the history's earlier bins ``(B, bins - 1, unit)`` and the blocks' caches.

    References
    ----------
    .. [1] Azabou et al. (2023), "A unified, scalable framework for neural population decoding", NeurIPS,
       arXiv:2310.16046.
    .. [2] Su et al. (2024), "RoFormer: enhanced transformer with rotary position embedding",
       Neurocomputing 568.

    Examples
    --------
    >>> encoder = SpikeTokensConfig(d=8, heads=2, history_s=0.1).build(5, 2, bin_size_s=0.025)
    >>> outputs, state = encoder(torch.zeros(3, 7, 5))
    >>> outputs.shape, state[0].shape
    (torch.Size([3, 7, 2]), torch.Size([3, 3, 5]))
    """

    d: int = 64  # width of a token
    heads: int = 4
    history_s: float = 0.25
    layers: int = 2  # after the cross-attention
    context_s: float | None = None  # window of self-attention in each layer; None for perceptrons only
    periods_s: tuple[float, float] = (0.05, 4.0)  # of the fastest and the slowest rotation
    dropout: float = 0.1  # on what each layer adds, training only

    def __post_init__(self):
        check_settings(self.history_s, self.dropout, d=(self.d,))
        if self.heads < 1 or self.d % (2 * self.heads):
            raise ValueError(
                f"d={self.d} must be a multiple of 2 * heads={2 * self.heads}; rotations take pairs"
            )
        if self.layers < 0:
            raise ValueError(f"layers={self.layers} cannot be negative")
        if self.context_s is not None and not self.context_s > 0:
            raise ValueError(f"context_s={self.context_s} must be positive, in seconds, or None")
        if not 0 < self.periods_s[0] <= self.periods_s[1]:
            raise ValueError(f"periods_s={self.periods_s} must be positive seconds, the shorter first")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "SpikeTokens":
        """Make the encoder, with random weights."""
        return SpikeTokens(self, n_units, n_outputs, bin_size_s)


class SpikeTokens(CountEncoder):
    """The encoder of :class:`SpikeTokensConfig`."""

    def __init__(self, cfg: SpikeTokensConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        self.cross = SpikeAttention(cfg, n_units, history_bins(cfg.history_s, bin_size_s), bin_size_s)
        if cfg.context_s is None:
            self.blocks = nn.ModuleList(_Perceptron(cfg) for _ in range(cfg.layers))
        else:
            over_bins = CausalTransformerConfig(d=cfg.d, heads=cfg.heads, dropout=cfg.dropout)
            window = history_bins(cfg.context_s, bin_size_s)
            self.blocks = nn.ModuleList(CausalBlock(over_bins, window) for _ in range(cfg.layers))
        self.readout = nn.Sequential(nn.LayerNorm(cfg.d), nn.Linear(cfg.d, n_outputs))

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        self.standard(counts[:, :0])  # refuses another population
        state = state or ()
        x, past = self.cross(counts, self.count_mean.sum(), *state[:1])
        left = [past]
        for k, block in enumerate(self.blocks):
            x, cache = block(x, state[2 * k + 1 : 2 * k + 3] or None)
            left.extend(cache)
        return self.readout(x), tuple(left)

    def unit_parameters(self) -> list[nn.Parameter]:
        """Parameters that belong to the recording, and not to the code that reads it: the unit embeddings."""
        return [self.cross.units]


def embed_units(encoder: SpikeTokens, n_units: int, train_counts: ArrayLike | None = None) -> SpikeTokens:
    """Copy an encoder for another recording: fresh unit embeddings to be learned, the rest frozen.

    Parameters
    ----------
    encoder : SpikeTokens
        Left as it is.
    n_units : int
        Units of the other recording.
    train_counts : array-like, shape (n_bins, n_units), optional
        Its training counts, for :meth:`SpikeTokens.standardise`. Without them their mean is taken as 0.

    Examples
    --------
    >>> other = embed_units(SpikeTokensConfig(d=8, heads=2).build(5, 2, bin_size_s=0.025), n_units=7)
    >>> [tuple(p.shape) for p in other.parameters() if p.requires_grad]
    [(7, 8)]
    """
    other = deepcopy(encoder).requires_grad_(False)
    old = other.cross.units
    other.cross.units = nn.Parameter(torch.randn(n_units, old.shape[1], dtype=old.dtype, device=old.device))
    other.count_mean, other.count_scale = old.new_zeros(n_units), old.new_ones(n_units)
    if train_counts is not None:
        other.standardise(train_counts)
    return other


class SpikeAttention(nn.Module):
    """The cross-attention of :class:`SpikeTokensConfig`."""

    def __init__(self, cfg: SpikeTokensConfig, n_units: int, n_bins: int, bin_size_s: float):
        super().__init__()
        self.heads, self.n_bins, half = cfg.heads, n_bins, cfg.d // cfg.heads // 2
        self.units = nn.Parameter(torch.randn(n_units, cfg.d))
        self.no_spike = nn.Parameter(torch.randn(1, cfg.d))
        self.query = nn.Parameter(torch.randn(cfg.d))
        self.norm = nn.LayerNorm(cfg.d)
        self.key_value = nn.Linear(cfg.d, 2 * cfg.d, bias=False)
        self.project = nn.Linear(cfg.d, cfg.d)
        period = torch.logspace(*torch.tensor(cfg.periods_s).log10().tolist(), half)
        lag_s = bin_size_s * torch.arange(n_bins)
        self.register_buffer("angle", 2 * torch.pi * lag_s[:, None] / period, persistent=False)  # (lag, half)

    def forward(self, counts: Tensor, mean_spikes: Tensor, past: Tensor | None = None):
        """Map counts ``(B, T, n_units)`` to ``(B, T, d)``; also return the counts that later bins need.

        ``mean_spikes`` is the number of spikes in a bin, all units together, on average.
        Kept out of autocast: the sums over spikes are long.
        """
        with torch.autocast(counts.device.type, enabled=False):
            counts, past = prepend(counts.to(self.query.dtype), past, self.n_bins - 1)
            weights, values, absent, nothing = self.tokens(mean_spikes)
            # (lag, unit, head, value), with 1 as the last value: its sum is the denominator
            kernel = torch.cat([weights[..., None] * values, weights[..., None]], dim=-1)
            kernel = kernel.flatten(2).permute(2, 1, 0).flip(2)  # the oldest bin first
            sums = F.conv1d(counts.clamp(min=0).mT, kernel).mT.unflatten(-1, (self.heads, -1))
            mixed = (sums[..., :-1] + absent[:, None] * nothing) / (sums[..., -1:] + absent[:, None])
            return self.query + self.project(mixed.flatten(2)), past

    def tokens(self, mean_spikes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Unnormalised weight and turned value of a spike, ``(lag, unit, head[, value])``; then of none."""
        embedding = self.norm(torch.cat([self.no_spike, self.units]))
        key, value = self.key_value(embedding).unflatten(-1, (2, self.heads, -1)).unbind(1)
        query = self.query.unflatten(0, (self.heads, -1))
        key, value = self._turn(key), self._turn(value)  # (lag, 1 + unit, head, d / head)
        logits = (key * query).sum(-1) / key.shape[-1] ** 0.5
        largest = torch.maximum(logits[:, 1:].amax((0, 1)), logits[0, 0]).detach()  # per head
        weights = torch.exp((logits - largest).clamp(min=-SPREAD))
        absent = weights[0, 0] * (mean_spikes * self.n_bins).clamp(min=1)
        return weights[:, 1:], value[:, 1:], absent, value[0, 0]

    def _turn(self, x: Tensor) -> Tensor:
        """Turn ``(token, head, channel)`` by each lag, ``(lag, token, head, channel)``."""
        angle = self.angle[:, None, None].to(x.dtype)
        even, odd = x.chunk(2, dim=-1)
        return torch.cat(
            [even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos()], dim=-1
        )


class _Perceptron(nn.Module):
    """What follows attention in a block, alone; without state."""

    def __init__(self, cfg: SpikeTokensConfig):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LayerNorm(cfg.d),
            nn.Linear(cfg.d, 2 * cfg.d),
            nn.GELU(),
            nn.Linear(2 * cfg.d, cfg.d),
            nn.Dropout(cfg.dropout),
        )

    def forward(self, x: Tensor, cache: None = None) -> tuple[Tensor, tuple]:
        return x + self.mlp(x), ()
