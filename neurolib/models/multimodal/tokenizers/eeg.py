"""EEG ``(batch, time, electrode)`` of any montage in, four tokens per 40 ms or per second out."""

from dataclasses import dataclass

import torch
from torch import nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.tokenizers.field import FieldTokenizer, check_filters
from neurolib.models.multimodal.tokenizers.frames import clock, patched, taps

EEG_BANDS_HZ = ((0.5, 4), (4, 8), (8, 13), (13, 30), (30, 45))
PATCHES = ("short", "1s")


@dataclass(frozen=True)
class EEGTokenizerConfig:
    """Filters of several lengths and log band power per electrode, pooled by four spatial queries.

    Electrodes are known by their position on the unit sphere and a learned identity, so that montages may
    differ. With ``patch="1s"`` the short tokens of each second are merged by learned weights.
    The settings of patch and queries are ours; patches of a second are those of [1]_.

    References
    ----------
    .. [1] Jiang et al. (2024), "Large brain model for learning generic representations with tremendous EEG
       data in BCI", ICLR, arXiv:2405.18765.

    Examples
    --------
    >>> table = GrowingEmbedding(8, ["C3", "Cz", "C4"])
    >>> eeg = ModalityInput.sampled(torch.randn(2, 320, 3), 160.0)
    >>> EEGTokenizerConfig(patch="1s").build(8, table)(eeg).tokens.shape  # 2 patches of 4 queries
    torch.Size([2, 8, 8])
    """

    rate_hz: float = 160.0
    patch: str = "short"  # stride_s each, or "1s"
    stride_s: float = 0.04
    kernels_ms: tuple[float, ...] = (25.0, 55.0, 120.0, 240.0)
    bands_hz: tuple[tuple[float, float], ...] = EEG_BANDS_HZ
    window_s: float = 1.0  # of the band power
    queries: int = 4  # tokens per patch
    reference: str = "none"  # as for field potentials
    pool: str = "attention"
    causal: bool = False

    def __post_init__(self):
        taps(self.window_s, self.rate_hz)
        check_filters(self)
        if self.patch not in PATCHES:
            raise ValueError(f"patch={self.patch!r} must be one of {PATCHES}")

    def build(self, d: int, channels: GrowingEmbedding) -> "EEGTokenizer":
        """Make the tokenizer, with random weights."""
        return EEGTokenizer(self, d, channels)


class EEGTokenizer(FieldTokenizer):
    """The tokenizer of :class:`EEGTokenizerConfig`."""

    def __init__(self, cfg: EEGTokenizerConfig, d: int, channels: GrowingEmbedding):
        second, short = taps(1.0, cfg.rate_hz), taps(cfg.stride_s, cfg.rate_hz)
        if cfg.patch == "1s":  # short tokens must fill it
            short = min((n for n in range(1, second + 1) if second % n == 0), key=lambda n: abs(n - short))
        super().__init__(cfg, d, channels, stride=short)
        self.merged = second // short if cfg.patch == "1s" else 1
        if self.merged > 1:
            self.weight = nn.Parameter(1 + 0.1 * torch.randn(d, self.merged))
            self.after = nn.Linear(d, d)

    def forward(self, inputs: ModalityInput) -> Tokens:
        """Tokens in order of time, the queries of a patch after each other."""
        short = super().forward(inputs)
        if self.merged == 1:
            return short
        steps = short.mask[:, :: self.pool.seed.shape[0]]  # (B, S)
        queries, d = self.pool.seed.shape
        x = patched(short.tokens.unflatten(1, (-1, queries)).flatten(2), self.merged)  # masked ones are 0
        seen = patched(steps[..., None].to(x.dtype), self.merged).sum(-1).clamp(min=1)
        x = (x.unflatten(2, (queries, d)) * self.weight).sum(-1) / seen[..., None]
        time, mask = clock(inputs, self.stride * self.merged, self.cfg.rate_hz, self.cfg.causal)
        return self.gathered(self.after(x), time, mask)
