"""BOLD of regions ``(batch, scan, region)`` in, one token per scan, or per region and 16 scans, out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.tokenizers.channels import ChannelPlace, PopulationSum
from neurolib.models.multimodal.tokenizers.frames import clock, patched, taps
from neurolib.models.multimodal.tokenizers.scaling import ScaledTokenizer

TOKENS = ("population", "region")


@dataclass(frozen=True)
class FMRITokenizerConfig:
    """Dilated convolutions along scans, the same for all regions, then a sum over regions by identity.

    Tokens are stamped earlier than the scan by a learned delay, so that they meet faster signals of what
    caused them; the delay starts at that of the haemodynamic response and may put a token before the window.

    Parameters
    ----------
    rate_hz : float
        Scans per second, 1 / TR.
    tokens : str
        "population": one per scan; "region": one per region and ``patch`` scans.
    patch : int
    dilations : tuple of int
        Of layers with three taps; together they see ``1 + 2 * sum(dilations)`` scans.
    features : int
        Width of the convolutions.
    delay_s : float
        First value of the learned delay.

    References
    ----------
    .. [1] Boynton et al. (1996), "Linear systems analysis of functional magnetic resonance imaging in human
       V1", J. Neurosci.
    .. [2] Ortega Caro et al. (2024), "BrainLM: a foundation model for brain activity recordings", ICLR
       (patches of one region).

    Examples
    --------
    >>> table = GrowingEmbedding(8, ["V1", "M1", "A1"])
    >>> tokens = FMRITokenizerConfig().build(8, table)(ModalityInput.sampled(torch.randn(2, 20, 3), 0.5))
    >>> tokens.tokens.shape, tokens.time[0, :3].tolist()  # centres of scans of 2 s, 5 s earlier
    (torch.Size([2, 20, 8]), [-4.0, -2.0, 0.0])
    """

    rate_hz: float = 0.5
    tokens: str = "population"
    patch: int = 16
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    features: int = 8
    delay_s: float = 5.0

    def __post_init__(self):
        taps(1.0, self.rate_hz)
        if self.tokens not in TOKENS:
            raise ValueError(f"tokens={self.tokens!r} must be one of {TOKENS}")
        if min((self.patch, self.features, *self.dilations)) < 1:
            raise ValueError(
                f"patch={self.patch}, features={self.features} and dilations={self.dilations} must be at least 1"
            )

    def build(self, d: int, channels: GrowingEmbedding) -> "FMRITokenizer":
        """Make the tokenizer, with random weights."""
        return FMRITokenizer(self, d, channels)


class FMRITokenizer(ScaledTokenizer):
    """The tokenizer of :class:`FMRITokenizerConfig`."""

    def __init__(self, cfg: FMRITokenizerConfig, d: int, channels: GrowingEmbedding):
        super().__init__(cfg)
        self.stride = 1 if cfg.tokens == "population" else cfg.patch
        self.into = nn.Linear(1, cfg.features)
        self.layers = nn.ModuleList(DilatedLayer(cfg.features, dilation) for dilation in cfg.dilations)
        self.place = ChannelPlace(d, channels)
        if cfg.tokens == "population":
            self.total = PopulationSum(cfg.features, d)
        else:
            self.out = nn.Linear(cfg.patch * cfg.features, d)
        self.delay_s = nn.Parameter(torch.tensor([float(cfg.delay_s)]))

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens in order of time, the regions of a patch after each other."""
        inputs = self.scaled(inputs)
        seen = inputs.mask[:, None, :, None]
        x = self.into(inputs.values.transpose(1, 2)[..., None]) * seen  # (B, C, T, features)
        for layer in self.layers:
            x = layer(x, seen)
        time, mask = clock(inputs, self.stride, self.cfg.rate_hz, causal=False)
        time = torch.where(mask, time - self.delay_s, 0)
        place, regions = self.place(inputs), inputs.channel_mask
        if self.cfg.tokens == "population":
            tokens = self.total(x.permute(0, 2, 3, 1), place, regions)
            return Tokens.of_population(torch.where(mask[..., None], tokens, 0), time, mask)
        x = patched(x.transpose(1, 2).flatten(2), self.stride).unflatten(2, (regions.shape[1], -1))
        tokens = self.out(x.flatten(3)) + place[:, None]  # (B, S, C, d)
        mask = mask[..., None] & regions[:, None]
        tokens = torch.where(mask[..., None], tokens, 0).flatten(1, 2)
        unit = torch.where(mask, inputs.channel[:, None], -1).flatten(1)
        time = torch.where(mask, time[..., None], 0).flatten(1)
        return Tokens(tokens, time, mask.flatten(1), unit, torch.full_like(unit, -1))


class DilatedLayer(nn.Module):
    """Residual convolution of three taps ``dilation`` scans apart, on maps ``(B, C, T, features)``.

    Maps are normalised over features, scan by scan: statistics along time would change with padding.
    """

    def __init__(self, features: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(features)
        self.conv = nn.Linear(3 * features, features)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Add to ``x``, which is zero where ``seen (B, 1, T, 1)`` is False, and stays so."""
        y = self.norm(x) * seen
        scans, gap = x.shape[2], self.dilation
        y = nn.functional.pad(y, (0, 0, gap, gap))
        taps_ = torch.cat([y[:, :, start : start + scans] for start in (0, gap, 2 * gap)], dim=-1)
        return x + nn.functional.gelu(self.conv(taps_)) * seen
