"""Fluorescence ``(batch, frame, cell)`` in, one token per few frames out, whatever the cells."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.tokenizers.channels import ChannelPlace, PopulationSum
from neurolib.models.multimodal.tokenizers.deconvolution import decay_from_autocovariance, oasis
from neurolib.models.multimodal.tokenizers.field import FilterBank
from neurolib.models.multimodal.tokenizers.frames import clock, patched, taps
from neurolib.models.multimodal.tokenizers.scaling import ScaledTokenizer

LEAST_SAMPLES = 100  # of a cell, below which its decay is not estimated


@dataclass(frozen=True)
class CalciumTokenizerConfig:
    """Filters of several lengths per cell, and deconvolved events if wanted, summed over cells by identity.

    Parameters
    ----------
    rate_hz : float
    stride : int
        Frames per token.
    kernels_s : tuple of float
        Lengths of the filters.
    deconv : str
        "oasis" or "none". Events are not differentiable and depend on later frames.
    decay_s : float
        Time constant of the indicator, until :meth:`CalciumTokenizer.standardise` estimates it.
    baseline_s : float, optional
        High-pass: subtract the mean of this stretch around each frame, up to it if causal.
    features : int
        Filters.
    causal : bool

    Examples
    --------
    >>> tokenizer = CalciumTokenizerConfig.miniscope().build(8, GrowingEmbedding(8, ["a", "b"]))
    >>> tokenizer(ModalityInput.sampled(torch.randn(3, 60, 2), 20.0)).tokens.shape
    torch.Size([3, 15, 8])
    """

    rate_hz: float = 30.0
    stride: int = 2
    kernels_s: tuple[float, ...] = (0.1, 0.25, 0.5)
    deconv: str = "none"
    decay_s: float = 0.5
    baseline_s: float | None = None
    features: int = 12
    causal: bool = False

    def __post_init__(self):
        for seconds in (*self.kernels_s, self.decay_s, self.baseline_s or 1.0):
            taps(seconds, self.rate_hz)
        if self.stride < 1 or self.features < 1 or not self.kernels_s:
            raise ValueError(
                f"stride={self.stride}, features={self.features} and the number of kernels_s={self.kernels_s} "
                "must be at least 1"
            )
        if self.deconv not in ("oasis", "none"):
            raise ValueError(f"deconv={self.deconv!r} must be 'oasis' or 'none'")
        if self.causal and self.deconv == "oasis":
            raise ValueError("deconv='oasis' moves events when later frames come; causal=True needs 'none'")

    @classmethod
    def two_photon(cls, rate_hz: float = 30.0, **settings) -> "CalciumTokenizerConfig":
        """For two-photon imaging: tokens of two frames."""
        return replace(cls(rate_hz=rate_hz, stride=2), **settings)

    @classmethod
    def miniscope(cls, rate_hz: float = 20.0, **settings) -> "CalciumTokenizerConfig":
        """For one-photon imaging: tokens of four frames, slow background removed."""
        return replace(cls(rate_hz=rate_hz, stride=4, baseline_s=10.0), **settings)

    def build(self, d: int, channels: GrowingEmbedding) -> "CalciumTokenizer":
        """Make the tokenizer, with random weights."""
        return CalciumTokenizer(self, d, channels)


class CalciumTokenizer(ScaledTokenizer):
    """The tokenizer of :class:`CalciumTokenizerConfig`."""

    def __init__(self, cfg: CalciumTokenizerConfig, d: int, channels: GrowingEmbedding):
        super().__init__(cfg)
        self.stride = cfg.stride
        kernels_ms = [1000 * seconds for seconds in cfg.kernels_s]
        self.filters = FilterBank(cfg.features, kernels_ms, cfg.rate_hz, cfg.stride, cfg.causal)
        self.shift = nn.Parameter(torch.zeros(cfg.features))
        self.place = ChannelPlace(d, channels, octaves=None)
        features = 2 * cfg.features + (cfg.deconv == "oasis")
        self.total = PopulationSum(features, d)
        self.register_buffer("decay", torch.tensor(np.exp(-1 / (cfg.decay_s * cfg.rate_hz))).float())

    def standardise(self, inputs: ModalityInput) -> None:
        """Take each cell's median and spread, and, from windows of 100 frames or more, the median decay."""
        super().standardise(inputs)
        values = self.prepared(inputs).values
        seen = inputs.mask[:, :, None] & inputs.channel_mask[:, None, :]
        long = (seen.sum(1) >= LEAST_SAMPLES).nonzero().tolist()
        decays = [decay_from_autocovariance(values[b, seen[b, :, c], c].cpu().numpy()) for b, c in long]
        if decays:
            self.decay.fill_(float(np.median(decays)))

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens in order of time."""
        inputs = self.scaled(inputs)
        filtered = self.filters(inputs.values)  # (B, S, C, features)
        parts = [filtered, nn.functional.gelu(filtered + self.shift)]
        if self.cfg.deconv == "oasis":
            parts.append(self._events(inputs.values, inputs.mask).to(filtered.dtype))
        x = torch.cat(parts, dim=-1).transpose(2, 3)
        time, mask = clock(inputs, self.stride, self.cfg.rate_hz, self.cfg.causal)
        tokens = self.total(x, self.place(inputs), inputs.channel_mask)
        return Tokens.of_population(torch.where(mask[..., None], tokens, 0), time, mask)

    def prepared(self, inputs: ModalityInput) -> ModalityInput:
        """Fluorescence without slow drifts."""
        inputs = super().prepared(inputs)
        if self.cfg.baseline_s is None:
            return inputs
        length = taps(self.cfg.baseline_s, self.cfg.rate_hz)
        return replace(inputs, values=high_passed(inputs.values, inputs.mask, length, self.cfg.causal))

    def _events(self, scaled: Tensor, mask: Tensor) -> Tensor:
        traces = scaled.detach().transpose(1, 2).cpu().numpy()
        _, events = oasis(traces, float(self.decay), mask[:, None, :].cpu().numpy())
        first = mask.int().argmax(1)
        events = torch.as_tensor(events, device=scaled.device).transpose(1, 2).contiguous()
        events.scatter_(1, first[:, None, None].expand(-1, 1, events.shape[2]), 0)  # calcium from before
        return patched(events, self.stride).sum(-1, keepdim=True)


def high_passed(values: Tensor, mask: Tensor, length: int, causal: bool) -> Tensor:
    """Values ``(B, T, C)``, zero where masked, less their mean over ``length`` samples that were recorded.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0, 3.0, 7.0]).view(1, 4, 1)
    >>> high_passed(x, torch.ones(1, 4, dtype=torch.bool), length=3, causal=False).flatten().tolist()
    [-0.5, 0.0, -1.0, 2.0]
    """
    ahead = 0 if causal else length // 2

    def moving_sum(x: Tensor) -> Tensor:
        total = nn.functional.pad(x.cumsum(1), (0, 0, length, 0))  # total[t + length] is up to t
        total = torch.cat([total, total[:, -1:].expand(-1, ahead, -1)], dim=1)
        return total[:, length + ahead :] - total[:, ahead : ahead + x.shape[1]]

    seen = mask[:, :, None].to(values)
    mean = moving_sum(values.double()) / moving_sum(seen.double()).clamp(min=1)
    return (values - mean.to(values)) * seen
