"""Encoders with a fixed history: spike counts ``(batch, time, unit)`` in, outputs per bin out.

They see the last ``history_s`` and nothing else.
Bins before the start of a trial are zeros in standardised units, which is also what an unknown bin
would be. Whole trials, chunks with the state carried and single bins give the same numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.controls import CountEncoder, State


def history_bins(history_s: float, bin_size_s: float) -> int:
    """Bins in a history, the newest included and at least one.

    Raises
    ------
    ValueError
        If the history or the bin is not positive.

    Examples
    --------
    >>> history_bins(0.25, bin_size_s=0.025)
    10
    """
    for name, value in (("history_s", history_s), ("bin_size_s", bin_size_s)):
        if not value > 0:
            raise ValueError(f"{name}={value} must be positive; it is in seconds")
    return max(1, round(history_s / bin_size_s))


def prepend(x: Tensor, past: Tensor | None, n_past: int) -> tuple[Tensor, Tensor]:
    """Put the last ``n_past`` bins before ``x (B, T, channel)``; also return those that the next chunk needs.

    Without a past the bins are zeros.

    Examples
    --------
    >>> longer, past = prepend(torch.tensor([[[1.0], [2.0], [3.0]]]), None, n_past=2)
    >>> longer.flatten().tolist(), past.flatten().tolist()
    ([0.0, 0.0, 1.0, 2.0, 3.0], [2.0, 3.0])
    """
    past = x.new_zeros(len(x), n_past, x.shape[2]) if past is None else past.to(x.dtype)
    longer = torch.cat([past, x], dim=1)
    return longer, longer[:, longer.shape[1] - n_past :]


class HistoryPerceptron(nn.Module):
    """Perceptron on the last ``n_bins`` of a sequence, with LayerNorm and GELU after each hidden layer.

    The first layer, which takes the bins stacked into one vector, is a convolution over time: the same
    sums without writing each bin ``n_bins`` times.

    Examples
    --------
    >>> perceptron = HistoryPerceptron(n_inputs=5, n_outputs=2, n_bins=4, hidden=(8,))
    >>> outputs, past = perceptron(torch.zeros(3, 7, 5))
    >>> outputs.shape, past.shape  # the newest of the four bins is still to come
    (torch.Size([3, 7, 2]), torch.Size([3, 3, 5]))
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, n_bins: int, hidden: tuple[int, ...], dropout: float = 0.0
    ):
        super().__init__()
        self.first = nn.Conv1d(n_inputs, hidden[0], n_bins)
        layers: list[nn.Module] = []
        for width, following in zip(hidden, (*hidden[1:], n_outputs), strict=True):
            layers += [nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, following)]
        self.rest = nn.Sequential(*layers)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map ``x (B, T, n_inputs)`` to ``(B, T, n_outputs)`` and the bins that the next chunk needs."""
        longer, past = prepend(x, past, self.first.kernel_size[0] - 1)
        return self.rest(self.first(longer.mT).mT), past


@dataclass(frozen=True)
class HistoryMlpConfig:
    """Perceptron on the standardised counts of the last ``history_s``, stacked.

    The state is the bins of the history but one, ``(B, bins - 1, unit)``.

    Examples
    --------
    >>> encoder = HistoryMlpConfig(history_s=0.2, hidden=(8,)).build(n_units=5, n_outputs=2, bin_size_s=0.05)
    >>> sum(p.numel() for p in encoder.parameters())  # (4 * 5 + 1) * 8, norm 2 * 8, (8 + 1) * 2
    202
    """

    history_s: float = 0.25
    hidden: tuple[int, ...] = (256, 128)
    dropout: float = 0.3  # on each hidden layer, training only

    def __post_init__(self):
        check_settings(self.history_s, self.dropout, hidden=self.hidden)

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "HistoryMlp":
        """Make the encoder, with random weights."""
        return HistoryMlp(self, n_units, n_outputs, bin_size_s)


class HistoryMlp(CountEncoder):
    """The encoder of :class:`HistoryMlpConfig`."""

    def __init__(self, cfg: HistoryMlpConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        n_bins = history_bins(cfg.history_s, bin_size_s)
        self.perceptron = HistoryPerceptron(n_units, n_outputs, n_bins, cfg.hidden, cfg.dropout)

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        outputs, past = self.perceptron(self.standard(counts), state[0] if state else None)
        return outputs, (past,)


@dataclass(frozen=True)
class HistoryConvConfig:
    """Stacked causal convolutions whose receptive field is the history, to the bin.

    Dilations grow by the factor ``kernel`` while they fit; the last layers are shortened to end at
    ``history_s`` (:func:`dilations`). Each layer but the first adds to what comes in.
    The state is, per layer, the inputs that later bins need, ``(B, bins, channel)``.

    References
    ----------
    .. [1] Bai, Kolter & Koltun (2018), "An empirical evaluation of generic convolutional and recurrent
       networks for sequence modeling", arXiv:1803.01271.

    Examples
    --------
    >>> encoder = HistoryConvConfig(history_s=0.25, channels=8).build(5, 2, bin_size_s=0.025)
    >>> outputs, state = encoder(torch.zeros(4, 7, 5))
    >>> outputs.shape, [part.shape[1] for part in state]  # 2 + 6 + 1 bins, and the newest: 10
    (torch.Size([4, 7, 2]), [2, 6, 1])
    """

    history_s: float = 0.25
    channels: int = 128
    kernel: int = 3  # taps of a layer, at most
    dropout: float = 0.1  # on each layer, training only

    def __post_init__(self):
        check_settings(self.history_s, self.dropout, channels=(self.channels,))
        if self.kernel < 2:
            raise ValueError(f"kernel={self.kernel} must be at least 2 taps; one sees a single bin")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "HistoryConv":
        """Make the encoder, with random weights."""
        return HistoryConv(self, n_units, n_outputs, bin_size_s)


class HistoryConv(CountEncoder):
    """The encoder of :class:`HistoryConvConfig`."""

    def __init__(self, cfg: HistoryConvConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        self.n_bins = history_bins(cfg.history_s, bin_size_s)
        layers = dilations(self.n_bins, cfg.kernel) or [(1, 1)]
        widths = [n_units] + [cfg.channels] * (len(layers) - 1)
        self.blocks = nn.ModuleList(
            _ConvBlock(width, cfg.channels, taps, dilation, cfg.dropout)
            for width, (taps, dilation) in zip(widths, layers, strict=True)
        )
        self.blocks[0].residual = False
        self.readout = nn.Linear(cfg.channels, n_outputs)

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        x, left = self.standard(counts), []
        if not state:  # zero bins go through all layers, for zeros inside would not be what they leave there
            x, _ = prepend(x, None, self.n_bins - 1)
        for block, past in zip(self.blocks, state or [None] * len(self.blocks), strict=True):
            x = x if past is None else torch.cat([past.to(x.dtype), x], dim=1)
            left.append(x[:, x.shape[1] - block.reach :])
            x = block(x)
        return self.readout(x), tuple(left)


class _ConvBlock(nn.Module):
    """One convolution without padding: the output is ``reach`` bins shorter than the input."""

    def __init__(self, n_in: int, channels: int, taps: int, dilation: int, dropout: float):
        super().__init__()
        self.reach = (taps - 1) * dilation
        self.residual = True
        self.conv = nn.Conv1d(n_in, channels, taps, dilation=dilation)
        self.rest = nn.Sequential(nn.LayerNorm(channels), nn.GELU(), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, T + reach, n_in)`` to ``(B, T, channels)``."""
        new = self.rest(self.conv(x.mT).mT)
        return x[:, self.reach :] + new if self.residual else new


def dilations(n_bins: int, kernel: int) -> list[tuple[int, int]]:
    """Taps and dilation of stacked convolutions that together see ``n_bins``, none missing and none beyond.

    A layer whose dilation is at most what the layers before it see leaves no gap.

    Examples
    --------
    >>> dilations(27, kernel=3)
    [(3, 1), (3, 3), (3, 9)]
    >>> dilations(10, kernel=3)  # 1 + 2 + 6 + 1
    [(3, 1), (3, 3), (2, 1)]
    """
    layers, seen = [], 1
    while seen < n_bins:
        dilation = min(seen, n_bins - seen)
        steps = min(kernel - 1, (n_bins - seen) // dilation)
        layers.append((steps + 1, dilation))
        seen += steps * dilation
    return layers


def check_settings(history_s: float, dropout: float, **widths: tuple[int, ...]) -> None:
    """Refuse a history, a dropout or widths of layers (by the name of the setting) that make no encoder."""
    if not history_s > 0:
        raise ValueError(f"history_s={history_s} must be positive; it is in seconds")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} must be a probability below 1")
    for name, layers in widths.items():
        if not len(layers) or min(layers) < 1:
            raise ValueError(f"{name}={layers} must be the width of at least one layer, each positive")
