"""Encoders to set beside Hebbian attention: spike counts ``(batch, time, unit)`` in, outputs per bin out.

All are causal, and give the same whole, in chunks with the state carried, or bin by bin. Two have
memory (:class:`EmaMlpConfig`, :class:`RecurrentEncoderConfig`). Two have none and stand for the
controls of the source, which had none either: :class:`OneBinAttentionConfig`, :class:`OneBinMlpConfig`.
"""

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.models.decoder import moments
from neurolib.models.sites import Site

State = tuple[Tensor, ...]  # what a trial has left behind, each (batch, ...)

CHUNK_BINS = 64  # bins whose averages are one matrix product


class CountEncoder(nn.Module):
    """What the encoders share: counts are standardised inside, with the moments of the training bins."""

    def __init__(self, n_units: int):
        super().__init__()
        self.register_buffer("count_mean", torch.zeros(n_units))
        self.register_buffer("count_scale", torch.ones(n_units))

    def standardise(self, counts: ArrayLike) -> None:
        """Take the moments of the training counts ``(n_bins, n_units)``."""
        for buffer, value in zip((self.count_mean, self.count_scale), moments(counts), strict=True):
            if value.shape != buffer.shape:
                raise ValueError(f"counts of {value.shape[-1]} units for an encoder of {len(buffer)}")
            buffer.copy_(torch.as_tensor(value))

    def standard(self, counts: Tensor) -> Tensor:
        """Counts in deviations from the training mean."""
        if counts.shape[-1] != len(self.count_mean):
            raise ValueError(
                f"counts {tuple(counts.shape)} for an encoder of {len(self.count_mean)} units; "
                "is this another session?"
            )
        return (counts - self.count_mean) / self.count_scale


class ExponentialAverages(nn.Module):
    r"""Running averages that forget exponentially, at several time constants.

    .. math:: e_t = a\,e_{t-1} + (1 - a)\,x_t, \qquad a = e^{-\Delta t/\tau}, \qquad e_0 = 0

    A chunk of bins is one product with the lower triangular matrix :math:`(1-a)\,a^{t-s}`; only
    chunks follow each other in a loop.

    Parameters
    ----------
    tau_s : sequence of float
        Time constants in seconds.
    bin_size_s : float

    Raises
    ------
    ValueError
        If a time constant or the bin is not positive.

    Examples
    --------
    >>> halving = ExponentialAverages([1.0], bin_size_s=0.693147)  # ln 2
    >>> averages, state = halving(torch.ones(1, 3, 1))
    >>> averages.flatten().round(decimals=3).tolist(), state.shape
    ([0.5, 0.75, 0.875], torch.Size([1, 1, 1]))
    """

    def __init__(self, tau_s: ArrayLike, bin_size_s: float):
        super().__init__()
        _check_taus(tau_s)
        if not bin_size_s > 0:
            raise ValueError(f"bin_size_s={bin_size_s} must be positive; it is in seconds")
        self.register_buffer("rate", bin_size_s / torch.tensor(tau_s), persistent=False)  # per bin

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Average ``x (B, T, channel)`` into ``(B, T, tau, channel)``; the state is the last bin's.

        Kept out of autocast: a slow average adds many small steps, which half precision loses.
        """
        with torch.autocast(x.device.type, enabled=False):
            rate = self.rate.to(x.dtype)[:, None, None]  # (tau, 1, 1)
            bins = torch.arange(min(x.shape[1], CHUNK_BINS), device=x.device)
            lag = bins[:, None] - bins  # (t, s)
            weights = -torch.expm1(-rate) * torch.exp(-rate * lag.clamp(min=0)) * (lag >= 0)
            fade = torch.exp(-rate[:, 0] * (bins + 1))  # (tau, t), of what was there before the chunk
            if state is None:
                state = x.new_zeros(x.shape[0], len(rate), x.shape[2])
            averages = []
            for chunk in x.split(CHUNK_BINS, dim=1):
                n = chunk.shape[1]
                fresh = torch.einsum("kts,bsn->btkn", weights[:, :n, :n], chunk)
                averages.append(fresh + torch.einsum("kt,bkn->btkn", fade[:, :n], state))
                state = averages[-1][:, -1]
            return torch.cat(averages, dim=1), state

    def noise_scale(self) -> Tensor:
        """Standard deviation that white noise of variance 1 settles at in each average, ``(tau,)``."""
        return torch.tanh(self.rate / 2).sqrt()  # = sqrt((1 - a) / (1 + a))


@dataclass(frozen=True)
class EmaMlpConfig:
    """Exponential averages of the counts at a few time constants, then a perceptron on each bin.

    Hebbian traces are such averages; what this lacks is their products.
    The state is the averages, ``(B, tau, unit)``.

    Examples
    --------
    >>> encoder = EmaMlpConfig(tau_s=(0.1,), hidden=8).build(n_units=5, n_outputs=2, bin_size_s=0.05)
    >>> sum(p.numel() for p in encoder.parameters())  # (5 + 1) * 8 + (8 + 1) * 2
    66
    """

    tau_s: tuple[float, ...] = (0.05, 0.2, 0.5)  # time constants, seconds
    hidden: int = 64
    dropout: float = 0.0  # on the hidden layer, training only

    def __post_init__(self):
        _check_taus(self.tau_s)

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "EmaMlp":
        """Make the encoder, with random weights."""
        return EmaMlp(self, n_units, n_outputs, bin_size_s)


class EmaMlp(CountEncoder):
    """The encoder of :class:`EmaMlpConfig`."""

    def __init__(self, cfg: EmaMlpConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        self.average = ExponentialAverages(cfg.tau_s, bin_size_s)
        self.readout = nn.Sequential(
            nn.Linear(len(cfg.tau_s) * n_units, cfg.hidden),
            nn.GELU(),
            nn.Dropout(cfg.dropout),
            nn.Linear(cfg.hidden, n_outputs),
        )

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        averages, last = self.average(self.standard(counts), state[0] if state else None)
        features = averages / self.average.noise_scale()[:, None]  # slow averages are small
        return self.readout(features.flatten(2)), (last,)


@dataclass(frozen=True)
class RecurrentEncoderConfig:
    """One recurrent layer and a linear read-out, on torch's own kernels.

    ``cell="rnn"`` with ``hidden = 4 * n_units`` is the recurrent control that the source describes.
    The state is ``(h,)``, for an LSTM ``(h, c)``, each ``(B, hidden)``. The kernels cannot be
    batched over replicas by ``torch.func``.

    Examples
    --------
    >>> encoder = RecurrentEncoderConfig(hidden=3).build(n_units=5, n_outputs=2, bin_size_s=0.05)
    >>> outputs, state = encoder(torch.zeros(4, 7, 5))
    >>> outputs.shape, state[0].shape
    (torch.Size([4, 7, 2]), torch.Size([4, 3]))
    """

    cell: str = "gru"  # "gru", "lstm", or "rnn", the plain tanh network
    hidden: int = 64
    dropout: float = 0.0  # on counts and on the hidden state, training only

    def __post_init__(self):
        if self.cell not in CELLS:
            raise ValueError(f"cell={self.cell!r} must be one of {sorted(CELLS)}")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "RecurrentEncoder":
        """Make the encoder, with random weights."""
        return RecurrentEncoder(self, n_units, n_outputs)


CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class RecurrentEncoder(CountEncoder):
    """The encoder of :class:`RecurrentEncoderConfig`."""

    def __init__(self, cfg: RecurrentEncoderConfig, n_units: int, n_outputs: int):
        super().__init__(n_units)
        self.rnn = CELLS[cfg.cell](n_units, cfg.hidden, batch_first=True)
        self.drop = nn.Dropout(cfg.dropout)
        self.readout = nn.Linear(cfg.hidden, n_outputs)

    def sites(self) -> tuple[Site, ...]:
        """Standardised counts, and the hidden state as it is read out; a change of it does not last."""
        at = ("batch", "time", "channel")
        return Site("counts", "drop", at, side="input", call=0), Site("hidden", "rnn", at, pick=0)

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from.

        Kept out of autocast, for the reason given in :mod:`neurolib.models.recurrent`.
        """
        with torch.autocast(counts.device.type, enabled=False):
            given = None
            if state:
                given = tuple(part[None].contiguous() for part in state)  # kernels want (layer, B, hidden)
                given = given if len(given) > 1 else given[0]
            hidden, last = self.rnn(self.drop(self.standard(counts)), given)
            last = last if isinstance(last, tuple) else (last,)
            return self.readout(self.drop(hidden)), tuple(part[0] for part in last)


@dataclass(frozen=True)
class OneBinAttentionConfig:
    """The "conventional attention" of the source: softmax attention over a sequence of one token.

    One bin is one token, so the softmax runs over one element and is 1 whatever the weights: queries
    and keys do nothing, and the encoder is a perceptron without memory. What it scores says nothing
    about attention; for attention over time see :mod:`neurolib.models.transformer`.
    The state is empty.

    References
    ----------
    .. [1] Vaswani et al. (2017), "Attention is all you need", NeurIPS.

    Examples
    --------
    >>> encoder = OneBinAttentionConfig(d=4).build(n_units=5, n_outputs=2, bin_size_s=0.001)
    >>> encoder.attention_weights(torch.rand(1, 3, 5)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """

    d: int = 32  # width of the token
    heads: int = 1

    def __post_init__(self):
        if self.d % self.heads:
            raise ValueError(f"d={self.d} cannot be divided into {self.heads} heads")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "OneBinAttention":
        """Make the encoder, with random weights."""
        return OneBinAttention(self, n_units, n_outputs)


class OneBinAttention(CountEncoder):
    """The encoder of :class:`OneBinAttentionConfig`."""

    def __init__(self, cfg: OneBinAttentionConfig, n_units: int, n_outputs: int):
        super().__init__(n_units)
        self.embed = nn.Sequential(nn.Linear(n_units, cfg.d), nn.LayerNorm(cfg.d))
        self.attention = nn.MultiheadAttention(cfg.d, cfg.heads, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(cfg.d), nn.Linear(cfg.d, cfg.d), nn.GELU(), nn.Linear(cfg.d, cfg.d), nn.GELU()
        )
        self.readout = nn.Linear(cfg.d, n_outputs)

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)``, each bin by itself."""
        token = self._tokens(counts)
        x = token + self.attention(token, token, token, need_weights=False)[0]
        x = x + self.feedforward(x)
        return self.readout(x).view(*counts.shape[:2], -1), ()

    def attention_weights(self, counts: Tensor) -> Tensor:
        """What each bin attends to: its only token, so all 1, ``(B, T, heads)``."""
        token = self._tokens(counts)
        weights = self.attention(token, token, token, average_attn_weights=False)[1]  # (B T, heads, 1, 1)
        return weights.view(*counts.shape[:2], -1)

    def _tokens(self, counts: Tensor) -> Tensor:
        """Each bin as a sequence of one token, ``(B T, 1, d)``."""
        return self.embed(self.standard(counts)).flatten(0, 1)[:, None]


@dataclass(frozen=True)
class OneBinMlpConfig:
    """The "linear" control of the source, and what its "RNN" row was run with: a perceptron on one bin.

    Widths ``n_units`` - ``2 n_units`` - ``hidden`` - outputs, leaky ReLU between. Without memory; the
    state is empty.

    Examples
    --------
    >>> encoder = OneBinMlpConfig(hidden=8).build(n_units=5, n_outputs=2, bin_size_s=0.001)
    >>> sum(p.numel() for p in encoder.parameters())  # 6 * 10 + 11 * 8 + 9 * 2
    166
    """

    hidden: int = 256

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "OneBinMlp":
        """Make the encoder, with random weights."""
        return OneBinMlp(self, n_units, n_outputs)


class OneBinMlp(CountEncoder):
    """The encoder of :class:`OneBinMlpConfig`."""

    def __init__(self, cfg: OneBinMlpConfig, n_units: int, n_outputs: int):
        super().__init__(n_units)
        self.readout = nn.Sequential(
            nn.Linear(n_units, 2 * n_units),
            nn.LeakyReLU(),
            nn.Linear(2 * n_units, cfg.hidden),
            nn.LeakyReLU(),
            nn.Linear(cfg.hidden, n_outputs),
        )

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)``, each bin by itself."""
        return self.readout(self.standard(counts)), ()


def _check_taus(tau_s: ArrayLike) -> None:
    if not len(tau_s) or not min(tau_s) > 0:
        raise ValueError(f"tau_s={tuple(tau_s)} must be positive time constants, in seconds")
