"""The multimodal model as a decoder of trials: counts ``(batch, time, unit)`` in, behaviour per bin out.

One latent time per bin, and causal, so that it sees what a recurrent network of the same trials sees.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_bins, check_counts, check_units, moments
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.heads import DecoderHeadConfig
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.stream import ModelStream
from neurolib.models.multimodal.tokenizers.binned import BinnedTokenizerConfig
from neurolib.models.sites import Site, inside


@dataclass(frozen=True)
class SpikeDecoderConfig:
    """A small model of one modality, spikes in bins, that decodes behaviour.

    Counts are standardised per unit: the norm of a token is what its reader divides by, and the mean rates of
    a population are most of it.

    Examples
    --------
    >>> cfg = SpikeDecoderConfig(n_units=5, n_outputs=2, bin_size_s=0.05, d=16, slots=1)
    >>> cfg.build()(torch.zeros(3, 7, 5)).shape
    torch.Size([3, 7, 2])
    """

    n_units: int
    n_outputs: int
    bin_size_s: float
    d: int = 64
    slots: int = 2
    layers: int = 1  # of self-attention among latents
    blocks: int = 2  # of state spaces along time
    mixer: SSDMixerConfig | S6MixerConfig = field(default_factory=SSDMixerConfig)
    heads: int = 4
    widen: int = 4  # hidden width of feed-forward parts, in d
    features: int = 4  # hidden features of a count, see the tokenizer
    history_s: float = 0.5  # last bins that attention reads, the newest included
    latents_s: float = 0.5  # as much of the latents; 0 for those of the same bin alone
    dropout: float = 0.2  # on state spaces and in the head
    unit_dropout: float = 0.2  # share of units hidden from a trial in training
    longest_s: float = 4.0  # longest period of the rotation by time

    def __post_init__(self):
        if not 0 <= self.unit_dropout < 1:
            raise ValueError(f"unit_dropout={self.unit_dropout} must be a probability below 1")
        if not self.bin_size_s > 0:
            raise ValueError(f"bin_size_s={self.bin_size_s} must be positive; it is in seconds")
        if min(self.history_s, self.latents_s) < 0:
            raise ValueError(
                f"history_s={self.history_s}, latents_s={self.latents_s} must not be negative; 0 is one bin"
            )

    @property
    def model(self) -> MultimodalConfig:
        """Settings of the model behind it."""
        bin_s = self.bin_size_s
        return MultimodalConfig(
            d=self.d,
            modalities=("spike",),
            tokenizers={
                "spike": BinnedTokenizerConfig(
                    rate_hz=1 / bin_s, stride_s=bin_s, transform="none", features=self.features, causal=True
                )
            },
            window_s=None,
            longest_s=self.longest_s,
            perceiver=PerceiverConfig(
                slots=self.slots,
                step_s=bin_s,
                layers=self.layers,
                heads=self.heads,
                radius=self._reach(self.history_s),
                span=self._reach(self.latents_s),
                widen=self.widen,
                shortest_s=2 * bin_s,
                causal=True,
                dropout=0.0,  # no gain here, and on a CPU drawing it costs as much as the attention
            ),
            backbone=BackboneConfig(
                blocks=self.blocks,
                mixer=self.mixer,
                slots="attention" if self.slots > 1 else "none",
                heads=self.heads,
                dropout=self.dropout,
            ),
            pooled=1,
            decoder=DecoderHeadConfig(n_out=self.n_outputs, hidden=(self.d,), dropout=self.dropout),
        )

    def _reach(self, seconds: float) -> float:
        """Steps from a latent back to the middle between two bins, so that no rounding decides what is seen."""
        return max(0.5, round(seconds / self.bin_size_s) - 0.5)

    def build(self) -> "SpikeDecoder":
        """Make the decoder, with random weights."""
        return SpikeDecoder(self)


class SpikeDecoder(nn.Module):
    """The decoder of :class:`SpikeDecoderConfig`, for the training loop and as a decoder of trials."""

    sometimes_unused = True  # read-outs of signals are there, and are not asked

    def __init__(self, cfg: SpikeDecoderConfig):
        super().__init__()
        self.cfg, self.model = cfg, cfg.model.build()
        self.model.add_channels("spike", [str(unit) for unit in range(cfg.n_units)])
        self.register_buffer("output_mean", torch.zeros(cfg.n_outputs))
        self.register_buffer("output_scale", torch.ones(cfg.n_outputs))

    def standardise(self, train: Trials) -> "SpikeDecoder":
        """Take the moments of the training trials."""
        check_units(train, self.cfg.n_units)
        check_bins(train, self.cfg.bin_size_s)
        for buffer, value in zip(
            (self.output_mean, self.output_scale), moments(train.behaviour), strict=True
        ):
            buffer.copy_(torch.as_tensor(value))
        # not the tokenizer's own robust scale: most bins of most units are zero
        scaling, like = self.model.tokenizers["spike"].scaling, self.output_mean
        scaling.centre, scaling.spread = (torch.as_tensor(v).to(like) for v in moments(train.counts))
        return self

    def sites(self) -> tuple[Site, ...]:
        """Those of the model behind it."""
        return inside("model", self.model.sites())

    def forward(self, counts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Behaviour ``(B, T, n_outputs)`` of counts ``(B, T, n_units)``, in physical units."""
        return self._standard(counts, mask) * self.output_scale + self.output_mean

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error in standard deviations of each output, over the bins that exist."""
        counts, mask = batch["counts"], batch["mask"]
        seen = None
        if self.training and self.cfg.unit_dropout:
            seen = torch.rand(len(counts), counts.shape[2], device=counts.device) >= self.cfg.unit_dropout
            seen[:, 0] |= ~seen.any(1)
        target = (batch["behaviour"] - self.output_mean) / self.output_scale
        error = (self._standard(counts, mask, seen) - target).square().mean(-1)
        weight = mask.to(error.dtype)
        return (error * weight).sum() / weight.sum()

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Bins behind the mean of :meth:`loss`."""
        return batch["mask"].sum()

    @torch.no_grad()
    def predict(self, trials: Trials, rows: int = 32) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``."""
        check_units(trials, self.cfg.n_units)
        check_bins(trials, self.cfg.bin_size_s)
        self.eval()
        said = np.empty((int(trials.lengths.sum()), self.cfg.n_outputs))
        order = np.argsort(trials.lengths, kind="stable")  # attention pays for padding by its square
        for index in np.split(order, range(rows, len(order), rows)):
            padded = trials.select(index).padded()
            counts = torch.from_numpy(padded.counts).to(self.output_mean)
            block = self(counts, torch.from_numpy(padded.mask).to(counts.device)).float().cpu().numpy()
            for trial, row in zip(index, block, strict=True):
                start, length = trials.starts[trial], trials.lengths[trial]
                said[start : start + length] = row[:length]
        return said

    def stream(self) -> "SpikeStream":
        """Decode bin by bin."""
        return SpikeStream(self)

    def _standard(self, counts: Tensor, mask: Tensor | None, seen: Tensor | None = None) -> Tensor:
        signal = ModalityInput.sampled(counts, 1 / self.cfg.bin_size_s, mask=mask)
        if seen is not None:
            signal = signal.keeping(channel_mask=seen)
        window_s = counts.shape[1] * self.cfg.bin_size_s
        time = self.model.cfg.perceiver.times(window_s, counts.device).expand(len(counts), -1)
        grid = self.model.latents({"spike": signal}, window_s=window_s)
        return self.model.decode(grid, time, window_s)


class SpikeStream:
    """A :class:`SpikeDecoder` in use."""

    def __init__(self, decoder: SpikeDecoder):
        cfg = decoder.cfg
        self.decoder, self.n_units = decoder.eval(), cfg.n_units
        self.stream = ModelStream(decoder.model, {"spike": torch.arange(cfg.n_units)}, cfg.bin_size_s)

    def reset(self) -> None:
        """Start a trial."""
        self.stream.reset()

    def step(self, counts: ArrayLike) -> NDArray:
        """Take counts ``(n_units,)``, return behaviour ``(n_outputs,)``."""
        counts = torch.from_numpy(check_counts(counts, self.n_units, np.float32))
        said = self.stream.step({"spike": counts[None]})
        said = said * self.decoder.output_scale + self.decoder.output_mean
        return said.float().cpu().numpy().astype(float)


def with_moments(cfg: SpikeDecoderConfig, train: Trials, **changes) -> SpikeDecoder:
    """A new decoder for the units and outputs of training trials, with their moments."""
    sizes = {"n_units": train.n_units, "n_outputs": len(train.outputs), "bin_size_s": train.bin_size_s}
    return replace(cfg, **sizes | changes).build().standardise(train)
