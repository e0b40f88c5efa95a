"""Samples ``(batch, time, channel)`` in, overlapping stretches ``(batch, token, channel, tap)`` and clocks out.

Token ``i`` stands for the samples ``i * stride`` up to ``(i + 1) * stride``, its patch. What is computed for it
may look further: around the centre of the patch, or, if causal, back from its end. Sample ``i`` covers
``[i, i + 1) / rate``, so the last token of a window may end after it.
"""

import torch
from torch import Tensor

from neurolib.models.multimodal.inputs import ModalityInput

RATE_TOLERANCE = 0.01  # relative


def taps(seconds: float, rate_hz: float) -> int:
    """How many samples, at least one, come closest to a duration.

    Examples
    --------
    >>> taps(0.025, rate_hz=160.0), taps(0.025, rate_hz=1000.0)
    (4, 25)
    """
    if not (seconds > 0 and rate_hz > 0):
        raise ValueError(
            f"{seconds} s at {rate_hz} Hz: both must be positive; is a duration in ms where s is meant?"
        )
    return max(1, round(seconds * rate_hz))


def check_rate(inputs: ModalityInput, rate_hz: float, name: str) -> None:
    """Refuse samples at another rate than the one that durations were turned into taps with.

    Raises
    ------
    ValueError
        If the rates differ by more than 1 %.

    Examples
    --------
    >>> check_rate(ModalityInput.sampled(torch.zeros(1, 9, 2), 250.0), rate_hz=160.0, name="EEGTokenizer")
    Traceback (most recent call last):
    ...
    ValueError: wrong rate: samples come at 250 Hz, but this EEGTokenizer was built for rate_hz=160; ...
    """
    if not (inputs.mask[:, 1:] & inputs.mask[:, :-1]).any():
        return  # no two samples in a row
    rate = inputs.rate_hz
    if abs(rate / rate_hz - 1) > RATE_TOLERANCE:
        raise ValueError(
            f"wrong rate: samples come at {rate:.4g} Hz, but this {name} was built for rate_hz={rate_hz:.4g}; "
            "resample the signal, or build the tokenizer with the rate of the recording"
        )


def framed(x: Tensor, length: int, stride: int, causal: bool) -> Tensor:
    """What each token looks at, with zeros beyond the ends.

    Parameters
    ----------
    x : Tensor, shape (B, T, C)
    length : int
        Taps, at least ``stride``.
    stride : int
        Samples per token; ``S = ceil(T / stride)``.
    causal : bool
        Whether a frame ends with the patch of its token, or is centred on it.

    Returns
    -------
    Tensor, shape (B, S, C, length)
        A view of the padded signal.

    Examples
    --------
    >>> x = torch.arange(1.0, 6.0).view(1, 5, 1)
    >>> framed(x, length=4, stride=2, causal=True)[0, :, 0].int().tolist()
    [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 5, 0]]
    >>> framed(x, length=4, stride=2, causal=False)[0, :, 0].int().tolist()
    [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 0, 0]]
    """
    if length < stride:
        raise ValueError(f"frames of {length} samples every {stride}: samples between them would be lost")
    samples = x.shape[1]
    tokens = -(-samples // stride)
    before = length - stride if causal else (length - stride) // 2
    after = (tokens - 1) * stride + length - before - samples
    return torch.nn.functional.pad(x, (0, 0, before, after)).unfold(1, length, stride)


def clock(inputs: ModalityInput, stride: int, rate_hz: float, causal: bool) -> tuple[Tensor, Tensor]:
    """When tokens are, and which stand for anything that was recorded.

    Returns
    -------
    time : Tensor, shape (B, S)
        Centre of the patch in seconds; if causal its end, when all of it is known; 0 where masked.
    mask : Tensor of bool, shape (B, S)

    Examples
    --------
    >>> inputs = ModalityInput.sampled(torch.zeros(1, 4, 1), 1.0)
    >>> clock(inputs, 2, 1.0, causal=False)[0].tolist(), clock(inputs, 2, 1.0, causal=True)[0].tolist()
    ([[1.0, 3.0]], [[2.0, 4.0]])
    """
    seen = patched(inputs.mask[:, :, None], stride)[..., 0, :]  # (B, S, stride)
    time = patched(inputs.time[:, :, None], stride)[..., 0, :]
    start = torch.where(seen, time - torch.arange(stride, device=time.device) / rate_hz, 0).sum(-1)
    start = start / seen.sum(-1).clamp(min=1)  # of the patch; jitter of single stamps is averaged
    mask = seen.any(-1) & inputs.channel_mask.any(1, keepdim=True)
    return torch.where(mask, start + (stride if causal else stride / 2) / rate_hz, 0), mask


def patched(x: Tensor, stride: int) -> Tensor:
    """The samples of each token's own patch, ``(B, T, C)`` to ``(B, S, C, stride)``."""
    return framed(x, stride, stride, causal=True)
