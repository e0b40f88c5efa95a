"""Spike counts ``(batch, bin, unit)``, or behaviour, in, one token per few bins out, whatever the population."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.population import PopulationTransformerConfig
from neurolib.models.multimodal.tokenizers.channels import ChannelPlace, PopulationAttention, PopulationSum
from neurolib.models.multimodal.tokenizers.frames import clock, patched, taps
from neurolib.models.multimodal.tokenizers.scaling import ScaledTokenizer

TRANSFORMS = ("sqrt", "log1p", "none")


@dataclass(frozen=True)
class BinnedTokenizerConfig:
    r"""Population tokens :math:`\sum_u \varphi(x_u) \odot E_u / \sqrt N` with a learned function of the count.

    ``"sqrt"`` is Anscombe's :math:`2\sqrt{n + 3/8}`, less its value at zero. Use ``"none"`` for values of any
    sign, such as behaviour.

    Parameters
    ----------
    rate_hz : float
        Bins per second of the input.
    stride_s : float
        Time per token; the bins within it are merged.
    transform : str
    merge : str
        "total": counts of a token's bins are added (values of ``transform="none"`` averaged);
        "patch": each bin of a token has its own function, so that their order is kept.
    groups : int
        Tokens per time step; a unit belongs to group ``row % groups``.
    features : int
        Hidden features of the function.
    causal : bool
        Stamp tokens with the end of their patch instead of its centre.
    population : PopulationTransformerConfig, optional
        Let units attend to each other at each time [3]_ instead of adding them up.

    References
    ----------
    .. [1] Anscombe (1948), "The transformation of Poisson, binomial and negative-binomial data", Biometrika.
    .. [2] Ye et al. (2023), "Neural data transformer 2: multi-context pretraining for neural spiking activity",
       NeurIPS (patches of units).
    .. [3] Chau et al. (2025), "Population transformer: learning population-level representations of neural
       activity", ICLR, arXiv:2406.03044.

    Examples
    --------
    >>> tokenizer = BinnedTokenizerConfig(stride_s=0.1).build(8, GrowingEmbedding(8, ["a", "b"]))
    >>> tokenizer(ModalityInput.sampled(torch.ones(3, 50, 2), 50.0)).tokens.shape
    torch.Size([3, 10, 8])
    """

    rate_hz: float = 50.0
    stride_s: float = 0.02
    transform: str = "sqrt"
    merge: str = "total"  # or "patch"
    groups: int = 1
    features: int = 4
    causal: bool = False
    population: PopulationTransformerConfig | None = None

    def __post_init__(self):
        taps(self.stride_s, self.rate_hz)
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform={self.transform!r} must be one of {TRANSFORMS}")
        if self.merge not in ("total", "patch"):
            raise ValueError(f"merge={self.merge!r} must be 'total' or 'patch'")
        if self.groups < 1 or self.features < 1:
            raise ValueError(f"groups={self.groups} and features={self.features} must be at least 1")

    def build(self, d: int, channels: GrowingEmbedding) -> "BinnedTokenizer":
        """Make the tokenizer, with random weights."""
        return BinnedTokenizer(self, d, channels)


class BinnedTokenizer(ScaledTokenizer):
    """The tokenizer of :class:`BinnedTokenizerConfig`."""

    def __init__(self, cfg: BinnedTokenizerConfig, d: int, channels: GrowingEmbedding):
        super().__init__(cfg)
        self.stride = taps(cfg.stride_s, cfg.rate_hz)
        bins = self.stride if cfg.merge == "patch" else 1
        self.slope = nn.Parameter(torch.randn(cfg.features, 1))
        self.shift = nn.Parameter(torch.randn(cfg.features, 1))
        self.place = ChannelPlace(d, channels, octaves=None)
        features = bins * (1 + cfg.features)
        mix = cfg.population
        self.total = PopulationAttention(mix, features, d) if mix else PopulationSum(features, d)

    def standardise(self, inputs: ModalityInput) -> None:
        """Take the scale of each channel from training data; counts have none."""
        if self.cfg.transform == "none":
            super().standardise(inputs)

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens in order of time, the groups of a time step after each other."""
        cfg = self.cfg
        x = self.scaled(inputs).values
        if cfg.transform != "none" and (x < 0).any():
            raise ValueError(
                f"a value of {float(x.min()):.4g} with transform={cfg.transform!r}, which is for counts; use "
                "transform='none' for other signals"
            )
        x = patched(x, self.stride)  # (B, S, C, k)
        within = patched(inputs.mask[..., None].to(x), self.stride)  # (B, S, 1, k)
        if cfg.merge == "total":  # of all bins, had they all been recorded
            x = x.sum(-1, keepdim=True) / within.sum(-1, keepdim=True).clamp(min=1)
            x = x if cfg.transform == "none" else x * self.stride
        x = transformed(x, cfg.transform).transpose(2, 3)[:, :, :, None]  # (B, S, k, 1, C)
        x = torch.cat([x, nn.functional.gelu(x * self.slope + self.shift)], dim=3)
        if cfg.merge == "patch":
            x = x * within.transpose(2, 3)[..., None]  # bins that are missing say nothing
        x = x.flatten(2, 3)
        place, unit, channel_mask = self.place(inputs), inputs.channel, inputs.channel_mask
        time, mask = clock(inputs, self.stride, cfg.rate_hz, cfg.causal)
        members = [channel_mask & (unit % cfg.groups == group) for group in range(cfg.groups)]
        tokens = torch.stack([self.total(x, place, member) for member in members], dim=2).flatten(1, 2)
        mask = mask[..., None] & torch.stack([m.any(1) for m in members], dim=1)[:, None]  # (B, S, group)
        time, mask = torch.where(mask, time[..., None], 0).flatten(1), mask.flatten(1)
        return Tokens.of_population(torch.where(mask[..., None], tokens, 0), time, mask)


def transformed(x: Tensor, transform: str) -> Tensor:
    """Counts with a variance that hardly depends on their mean.

    Examples
    --------
    >>> transformed(torch.tensor([0.0, 1.875]), "sqrt").round(decimals=4)  # 2 * (1.5 - 0.6124)
    tensor([0.0000, 1.7753])
    """
    if transform == "sqrt":
        return 2 * ((x + 0.375).sqrt() - 0.375**0.5)
    return torch.log1p(x) if transform == "log1p" else x
