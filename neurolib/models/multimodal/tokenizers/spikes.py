"""Spikes as events in, one token per spike out, at its own time, and two per unit that frame the window."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.tokenizers.channels import ChannelPlace

SPIKE, START, END = range(3)


@dataclass(frozen=True)
class SpikeEventTokenizerConfig:
    """A token is the vector of the unit that fired. Units that stay silent speak by their boundary tokens.

    Parameters
    ----------
    max_events : int
        Windows with more spikes are thinned, evenly over time and units, with a warning. Which spikes go is
        decided by their time and unit, so it does not change with padding, order or batch.
    boundaries : bool
        Two tokens per unit, at the start and the end of the window.
    causal : bool
        Refuse to thin, as what is dropped would depend on how many spikes are still to come.

    References
    ----------
    .. [1] Azabou et al. (2023), "A unified, scalable framework for neural population decoding", NeurIPS,
       arXiv:2310.16046.

    Examples
    --------
    >>> tokenizer = SpikeEventTokenizerConfig().build(4, GrowingEmbedding(4, ["a", "b"]))
    >>> spikes = ModalityInput.events(torch.tensor([0.25]), torch.tensor([1]), torch.tensor([0, 1]),
    ...                               torch.tensor([[0, 1]]), window_s=1.0)
    >>> tokens = tokenizer(spikes)
    >>> tokens.time.tolist(), tokens.unit.tolist()
    ([[0.25, 0.0, 0.0, 1.0, 1.0]], [[1, 0, 1, 0, 1]])
    """

    max_events: int = 4096  # per window
    boundaries: bool = True
    causal: bool = False

    def __post_init__(self):
        if self.max_events < 1:
            raise ValueError(f"max_events={self.max_events} must be at least 1")

    def build(self, d: int, channels: GrowingEmbedding) -> "SpikeEventTokenizer":
        """Make the tokenizer, with random weights."""
        return SpikeEventTokenizer(self, d, channels)


class SpikeEventTokenizer(nn.Module):
    """The tokenizer of :class:`SpikeEventTokenizerConfig`."""

    def __init__(self, cfg: SpikeEventTokenizerConfig, d: int, channels: GrowingEmbedding):
        super().__init__()
        self.cfg = cfg
        self.place = ChannelPlace(d, channels, octaves=None)
        self.kind = nn.Parameter(torch.randn(3, d) * 0.02)  # spike, start, end

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens of the spikes as they are listed, then the starts, then the ends, by unit."""
        if inputs.event_time is None:
            raise ValueError("this input holds samples and no events; BinnedTokenizer reads counts")
        units = inputs.channel_mask
        time, column, mask = inputs.event_time, inputs.event_unit, inputs.event_mask
        column = column.masked_fill(~mask, 0)
        mask = mask & units.gather(1, column) & inputs.mask.any(1, keepdim=True)
        if self.cfg.max_events < mask.shape[1]:
            time, column, mask = self._thinned(time, column, mask, inputs.channel)
        kind = torch.full_like(column, SPIKE)
        if self.cfg.boundaries:
            start, end = window(inputs)
            every = torch.arange(units.shape[1], device=column.device).expand_as(units)
            whole = units & inputs.mask.any(1, keepdim=True)
            column = torch.cat([column, every, every], dim=1)
            mask = torch.cat([mask, whole, whole], dim=1)
            time = torch.cat([time, start.expand_as(units), end.expand_as(units)], dim=1)
            kind = torch.cat([kind, torch.full_like(every, START), torch.full_like(every, END)], dim=1)
        vectors = self.place(inputs)
        tokens = vectors.gather(1, column[..., None].expand(*column.shape, vectors.shape[-1]))
        tokens = torch.where(mask[..., None], tokens + self.kind[kind], 0)
        unit = torch.where(mask, inputs.channel.gather(1, column), -1)
        return Tokens(tokens, torch.where(mask, time, 0), mask, unit, torch.full_like(unit, -1))

    def _thinned(self, time: Tensor, column: Tensor, mask: Tensor, channel: Tensor):
        most, limit = int(mask.sum(1).max()), self.cfg.max_events
        if most > limit:
            said = f"{most} spikes in a window, but max_events={limit}"
            if self.cfg.causal:
                raise ValueError(f"{said}; a causal tokenizer cannot thin, so raise it or shorten the window")
            warnings.warn(f"{said}: spikes are thinned", stacklevel=3)
        lot = lottery(time, channel.gather(1, column)).masked_fill(~mask, torch.iinfo(torch.int64).max)
        kept = lot.topk(limit, dim=1, largest=False).indices.sort(dim=1).values
        return time.gather(1, kept), column.gather(1, kept), mask.gather(1, kept)


def lottery(time: Tensor, unit: Tensor) -> Tensor:
    """A number for each spike that looks random, but is always the same for the same microsecond and unit.

    References
    ----------
    .. [1] Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA (the mixing of
       bits).
    """
    x = (time.double() * 1e6).round().long() * 1_000_003 + unit
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * factor  # shift without sign
    return (x ^ ((x >> 31) & ((1 << 33) - 1))) >> 1  # below the largest integer


def window(inputs: ModalityInput) -> tuple[Tensor, Tensor]:
    """First and last moment of each window, ``(B, 1)`` each; what was sampled lasts one sample longer."""
    first = inputs.time.masked_fill(~inputs.mask, torch.inf).amin(1, keepdim=True)
    last = inputs.time.masked_fill(~inputs.mask, -torch.inf).amax(1, keepdim=True)
    if inputs.values is not None and inputs.time.shape[1] > 1:
        last = last + 1 / inputs.rate_hz
    return first, last
