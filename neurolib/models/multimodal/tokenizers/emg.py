"""Muscle activity ``(batch, time, electrode)``, filtered to 20-450 Hz, in, tokens every 20 ms out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.tokenizers.field import FieldTokenizer, check_filters
from neurolib.models.multimodal.tokenizers.frames import framed, taps

FLOOR = 1e-3  # in units of the signal's spread, so that rest has a logarithm


@dataclass(frozen=True)
class EMGTokenizerConfig:
    """Filters on the raw signal and the log envelope of the rectified one, pooled over electrodes.

    References
    ----------
    .. [1] De Luca (1997), "The use of surface electromyography in biomechanics", J. Appl. Biomech.

    Examples
    --------
    >>> from neurolib.models.multimodal.inputs import ModalityInput
    >>> tokenizer = EMGTokenizerConfig().build(8, GrowingEmbedding(8, ["biceps", "triceps"]))
    >>> tokenizer(ModalityInput.sampled(torch.randn(2, 1000, 2), 1000.0)).tokens.shape
    torch.Size([2, 50, 8])
    """

    rate_hz: float = 1000.0
    stride_s: float = 0.02
    kernels_ms: tuple[float, ...] = (5.0, 15.0, 40.0)
    envelope_ms: float = 50.0
    pool: str = "attention"  # or "sum"
    queries: int = 1
    reference: str = "none"  # as for field potentials
    causal: bool = False

    def __post_init__(self):
        taps(self.envelope_ms / 1000, self.rate_hz)
        check_filters(self)

    def build(self, d: int, channels: GrowingEmbedding) -> "EMGTokenizer":
        """Make the tokenizer, with random weights."""
        return EMGTokenizer(self, d, channels)


class EMGTokenizer(FieldTokenizer):
    """The tokenizer of :class:`EMGTokenizerConfig`."""

    def __init__(self, cfg: EMGTokenizerConfig, d: int, channels: GrowingEmbedding):
        stride = taps(cfg.stride_s, cfg.rate_hz)
        envelope = Envelope(taps(cfg.envelope_ms / 1000, cfg.rate_hz), stride, cfg.causal)
        super().__init__(cfg, d, channels, envelope, envelope_features=1)


class Envelope(nn.Module):
    """Log10 root mean square in a moving window, ``(B, T, C)`` to ``(B, S, C, 1)``.

    Examples
    --------
    >>> x = torch.tensor([3.0, -3.0, 100.0, -100.0]).view(1, 4, 1)
    >>> levels = Envelope(2, 2, causal=True)(x, torch.ones(1, 4, dtype=torch.bool))
    >>> (10**levels).flatten().round().tolist()
    [3.0, 100.0]
    """

    def __init__(self, length: int, stride: int, causal: bool):
        super().__init__()
        self.length, self.stride, self.causal = max(length, stride), stride, causal

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Over the samples that were recorded; values are zero elsewhere."""
        squares = framed(values.square(), self.length, self.stride, self.causal).sum(-1, keepdim=True)
        seen = framed(mask[:, :, None].to(values), self.length, self.stride, self.causal).sum(
            -1, keepdim=True
        )
        return 0.5 * torch.log10((squares / seen.clamp(min=1)).clamp(min=FLOOR**2))
