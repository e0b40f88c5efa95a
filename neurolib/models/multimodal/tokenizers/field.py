"""Field potentials ``(batch, time, electrode)`` in, tokens every 20 ms out: LFP, and ECoG by :meth:`FieldTokenizerConfig.ecog`.

The module serves EEG and EMG, too, which differ in their settings and in what stands beside the filters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.tokenizers.channels import ChannelPlace, ChannelPool
from neurolib.models.multimodal.tokenizers.frames import clock, framed, taps
from neurolib.models.multimodal.tokenizers.scaling import ScaledTokenizer
from neurolib.models.multimodal.tokenizers.spectra import BandPower

REFERENCES = ("none", "car", "bipolar")
POOLS = ("attention", "sum")
LFP_BANDS_HZ = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 60), (60, 150))
ECOG_BANDS_HZ = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 70), (70, 110), (110, 150), (150, 200))


@dataclass(frozen=True)
class FieldTokenizerConfig:
    """Filters of several lengths and log band power per electrode, pooled over electrodes.

    Raises
    ------
    ValueError
        If a duration or rate is not positive, or a choice is unknown.

    Examples
    --------
    >>> tokenizer = FieldTokenizerConfig().build(8, GrowingEmbedding(8, ["a", "b", "c"]))
    >>> tokenizer(ModalityInput.sampled(torch.randn(2, 500, 3), 500.0)).tokens.shape
    torch.Size([2, 50, 8])
    """

    rate_hz: float = 500.0
    stride_s: float = 0.02
    kernels_ms: tuple[float, ...] = (12.0, 28.0, 60.0)
    bands_hz: tuple[tuple[float, float], ...] = LFP_BANDS_HZ
    window_s: float = 0.5  # of the band power
    pool: str = "attention"  # or "sum"
    queries: int = 1  # tokens per time step, if pooled by attention
    reference: str = "none"  # "car": minus the mean of electrodes; "bipolar": minus the next row's electrode
    causal: bool = False

    def __post_init__(self):
        taps(self.window_s, self.rate_hz)
        check_filters(self)

    @classmethod
    def ecog(cls, rate_hz: float = 500.0, **settings) -> "FieldTokenizerConfig":
        """For electrodes on cortex: common average, and bands up to 200 Hz."""
        return replace(cls(rate_hz=rate_hz, bands_hz=ECOG_BANDS_HZ, reference="car"), **settings)

    def build(self, d: int, channels: GrowingEmbedding) -> "FieldTokenizer":
        """Make the tokenizer, with random weights."""
        return FieldTokenizer(self, d, channels)


class FieldTokenizer(ScaledTokenizer):
    """The tokenizer of :class:`FieldTokenizerConfig`.

    Filters are linear up to the pool, so that weights over electrodes make spatial filters of the signal;
    normalisation and the non-linearity come after. Values should have a spread of about one, and so should
    log powers, about zero: what all electrodes have in common adds up in the pool and would drown how they
    differ. :meth:`standardise` sees to both.

    Parameters
    ----------
    cfg : dataclass
        With the fields of :class:`FieldTokenizerConfig` that come before and after those of the band power.
    d : int
    channels : GrowingEmbedding
    envelope : Module, optional
        From values and mask to features ``(B, S, C, envelope_features)``; by default the band power of ``cfg``.
    envelope_features : int
    stride : int, optional
        Samples per token, if it is not to be ``stride_s``.
    """

    def __init__(
        self,
        cfg,
        d: int,
        channels: GrowingEmbedding,
        envelope: nn.Module | None = None,
        envelope_features: int = 0,
        stride: int | None = None,
    ):
        super().__init__(cfg)
        self.stride = stride or taps(cfg.stride_s, cfg.rate_hz)
        if envelope is None:
            envelope = BandPower(cfg.bands_hz, cfg.rate_hz, cfg.window_s, self.stride, cfg.causal)
            envelope_features = len(envelope.bands_hz)
        self.filters = FilterBank(d, cfg.kernels_ms, cfg.rate_hz, self.stride, cfg.causal, envelope_features)
        self.envelope = envelope
        self.register_buffer("level", torch.zeros(envelope_features))
        self.register_buffer("level_spread", torch.ones(envelope_features))
        self.place = ChannelPlace(d, channels)
        self.pool = ChannelPool(d, cfg.queries if cfg.pool == "attention" else 0)
        self.out = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))

    def prepared(self, inputs: ModalityInput) -> ModalityInput:
        """Potentials against the reference."""
        return referenced(super().prepared(inputs), self.cfg.reference)

    @torch.no_grad()
    def standardise(self, inputs: ModalityInput) -> None:
        """Take the scale of each channel, and mean and spread of the log power in each band, from training windows."""
        super().standardise(inputs)
        inputs = self.scaled(inputs)
        seen = clock(inputs, self.stride, self.cfg.rate_hz, self.cfg.causal)[1]
        levels = self.envelope(inputs.values, inputs.mask)
        levels = levels[seen[:, :, None] & inputs.channel_mask[:, None]]  # (n, band)
        if len(levels) > 1:
            self.level.copy_(levels.mean(0))
            self.level_spread.copy_(levels.std(0).clamp(min=1e-3))

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens in order of time, the queries of a time step after each other."""
        inputs = self.scaled(inputs)
        levels = (self.envelope(inputs.values, inputs.mask) - self.level) / self.level_spread
        x = self.filters(inputs.values, levels)
        pooled = self.out(self.pool(x, self.place(inputs), inputs.channel_mask))  # (B, S, K, d)
        time, mask = clock(inputs, self.stride, self.cfg.rate_hz, self.cfg.causal)
        return self.gathered(pooled, time, mask)

    def gathered(self, pooled: Tensor, time: Tensor, mask: Tensor) -> Tokens:
        """Tokens of ``pooled (B, S, K, d)``; masked ones are zero."""
        queries = pooled.shape[2]
        pooled = torch.where(mask[:, :, None, None], pooled, 0)
        return Tokens.of_population(
            pooled.flatten(1, 2), time.repeat_interleave(queries, 1), mask.repeat_interleave(queries, 1)
        )


class FilterBank(nn.Module):
    """Linear filters of several lengths, the same for all channels, ``(B, T, C)`` to ``(B, S, C, d)``.

    Further features ``(B, S, C, beside)`` of a token may enter the same sums.

    Examples
    --------
    >>> bank = FilterBank(6, kernels_ms=(12, 28, 60), rate_hz=500.0, stride=10, causal=False)
    >>> bank.support.sum(0).int().tolist()  # taps of each of the six
    [6, 14, 30, 6, 14, 30]
    """

    def __init__(
        self, d: int, kernels_ms: Sequence[float], rate_hz: float, stride: int, causal: bool, beside: int = 0
    ):
        super().__init__()
        lengths = [taps(kernel / 1000, rate_hz) for kernel in kernels_ms]
        self.length, self.stride, self.causal = max([*lengths, stride]), stride, causal
        support = torch.zeros(self.length, d)
        for column in range(d):
            n = lengths[column % len(lengths)]
            start = self.length - n if causal else (self.length - n) // 2
            support[start : start + n, column] = 1
        self.register_buffer("support", support, persistent=False)
        self.weight = nn.Parameter(torch.randn(self.length, d) * support / support.sum(0).sqrt())
        if beside:
            self.mix = nn.Parameter(torch.randn(beside, d) / beside**0.5)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """One matrix product for all: zeros beyond the ends of shorter filters cost less than more calls."""
        frames, weight = framed(x, self.length, self.stride, self.causal), self.weight * self.support
        if beside is None:
            return frames @ weight
        return torch.cat([frames, beside], dim=-1) @ torch.cat([weight, self.mix])


def referenced(inputs: ModalityInput, reference: str) -> ModalityInput:
    """Potentials against another reference.

    Examples
    --------
    >>> inputs = ModalityInput.sampled(torch.tensor([[[1.0, 2.0, 6.0]]]), 100.0)
    >>> referenced(inputs, "car").values.tolist(), referenced(inputs, "bipolar").values.tolist()
    ([[[-2.0, -1.0, 3.0]]], [[[-1.0, -4.0, 0.0]]])
    >>> referenced(inputs, "bipolar").channel_mask.tolist()  # the last electrode has no neighbour
    [[True, True, False]]
    """
    if reference == "none":
        return inputs
    values, seen = inputs.clean(), inputs.channel_mask
    if reference == "car":
        mean = values.sum(2, keepdim=True) / seen.sum(1).clamp(min=1)[:, None, None]
        return replace(inputs, values=values - mean)
    row = inputs.channel
    follows = (row[:, None, :] == row[:, :, None] + 1) & seen[:, None, :] & seen[:, :, None]  # (B, C, next)
    pairs = follows.any(2)
    difference = values - values @ follows.transpose(1, 2).to(values.dtype)
    values = torch.where(pairs[:, None, :], difference, 0)
    coords = inputs.coords
    if coords is not None:  # halfway between the two
        other = coords.gather(1, follows.int().argmax(2)[..., None].expand_as(coords))
        coords = torch.where(pairs[..., None], (coords + other) / 2, coords)
    return replace(inputs, values=values, channel_mask=pairs, coords=coords)


def check_filters(cfg) -> None:
    """Refuse settings that make no filter bank or pool."""
    if not cfg.kernels_ms:
        raise ValueError("kernels_ms is empty; name at least one filter length in ms")
    for seconds in (cfg.stride_s, *(kernel / 1000 for kernel in cfg.kernels_ms)):
        taps(seconds, cfg.rate_hz)
    if cfg.pool not in POOLS:
        raise ValueError(f"pool={cfg.pool!r} must be one of {POOLS}")
    if cfg.pool == "attention" and cfg.queries < 1:
        raise ValueError(f"queries={cfg.queries}: pooling by attention needs at least one")
    if cfg.reference not in REFERENCES:
        raise ValueError(f"reference={cfg.reference!r} must be one of {REFERENCES}")
