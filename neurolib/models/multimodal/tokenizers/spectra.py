"""Signals ``(batch, time, channel)`` in, log power around tokens ``(batch, token, channel, band)`` out."""

import warnings

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.tokenizers.frames import framed, patched, taps

POWER_FLOOR = 1e-6  # of white noise with variance 1, so that silence has a logarithm
FRAMES_PER_WINDOW = 8
LEAST_SEEN = 0.1  # part of the window below which power is not scaled up for what is missing


class BandPower(nn.Module):
    r"""Log power per band in a Hann window that moves from token to token.

    The mean of a window is removed, so that offsets do not leak into low bands. What was not recorded has
    no weight: with the window :math:`w`, zero there,

    .. math:: P_f = \frac{2\,|\sum_n w_n (x_n - \bar x) e^{-i 2\pi f n / r}|^2}{L \sum_n w_n^2}, \qquad
              y = \log_{10} \Big(\sum_{f \in \mathrm{band}} P_f \Big/ P_\mathrm{white}\Big),

    where :math:`\sum_f P_f` is the variance of the signal, and :math:`P_\mathrm{white}` what white noise of
    variance 1 would have in the band.

    Power in a Hann window changes so slowly that eight frames per window tell all of it [1]_; tokens in between
    are interpolated or, if causal, hold the last frame.

    Parameters
    ----------
    bands_hz : sequence of (float, float)
        Lower edge, which belongs to the band, and upper edge, which does not. Bands that reach above half the
        sampling rate are dropped, with one warning.
    rate_hz : float
    window_s : float
        Frequencies are resolved to 1 / window_s.
    stride : int
        Samples per token.
    causal : bool
        Windows end with the patch of their token instead of being centred on it.

    Raises
    ------
    ValueError
        If no band is left, or one is narrower than the resolution.

    References
    ----------
    .. [1] Allen & Rabiner (1977), "A unified approach to short-time Fourier analysis and synthesis", Proc. IEEE.

    Examples
    --------
    >>> import math
    >>> seconds = torch.arange(400) / 200
    >>> sine = math.sqrt(2) * torch.sin(2 * math.pi * 10 * seconds).view(1, -1, 1)  # variance 1
    >>> power = BandPower([(8, 13), (13, 30)], rate_hz=200.0, window_s=1.0, stride=100)
    >>> alpha, beta = power(sine, torch.ones(1, 400, dtype=torch.bool))[0, 2, 0].tolist()
    >>> round(10**alpha * 5 / 100, 3), beta < -3  # white noise has 5 of 100 Hz here
    (1.0, True)
    """

    def __init__(self, bands_hz, rate_hz: float, window_s: float, stride: int, causal: bool = False):
        super().__init__()
        kept = [band for band in bands_hz if band[1] <= rate_hz / 2]
        if dropped := [band for band in bands_hz if band[1] > rate_hz / 2]:
            warnings.warn(
                f"bands {', '.join(f'{low:g}-{high:g}' for low, high in dropped)} Hz are dropped: they reach above "
                f"{rate_hz / 2:g} Hz, half the sampling rate",
                stacklevel=3,
            )
        if not kept:
            raise ValueError(f"no band left of {tuple(bands_hz)} Hz at a sampling rate of {rate_hz:g} Hz")
        self.bands_hz, self.stride, self.causal = tuple(kept), stride, causal
        self.length = max(taps(window_s, rate_hz), stride)
        self.every = max(self.length // (FRAMES_PER_WINDOW * stride), 1)
        frequency = torch.arange(self.length // 2 + 1) * (rate_hz / self.length)
        members = torch.stack([(frequency >= low) & (frequency < high) for low, high in kept])
        if (empty := ~members.any(1)).any():
            low, high = kept[int(empty.nonzero()[0])]
            raise ValueError(
                f"band {low:g}-{high:g} Hz holds no frequency of a window of {window_s:g} s, which resolves "
                f"{rate_hz / self.length:.3g} Hz; lengthen the window"
            )
        self.first = int(members.any(0).nonzero()[0])
        self.last = int(members.any(0).nonzero()[-1]) + 1
        white = members.sum(1) * 2 / self.length
        share = members / white[:, None]  # band power in units of white noise
        self.register_buffer("share", share[:, self.first : self.last].T.contiguous(), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.length), persistent=False)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Log power ``(B, S, C, band)`` of values ``(B, T, C)``, zero where ``mask (B, T)`` is False.

        Kept out of autocast: squares of half precision overflow.
        """
        with torch.autocast(values.device.type, enabled=False):
            values = values.to(self.hann.dtype)
            tokens = -(-values.shape[1] // self.stride)
            weights = self._weights(mask, tokens)
            spectrum, window = self._spectrum(values), self._spectrum(mask[:, :, None].to(values.dtype))
            mean = spectrum[..., :1].real / window[..., :1].real.clamp(min=1e-12)
            kept = slice(self.first, self.last)
            spectrum = spectrum[..., kept] - mean * window[..., kept]
            energy = self._frames(mask[:, :, None].to(values.dtype)) @ self.hann.square()
            energy = energy.clamp(min=LEAST_SEEN * float(self.hann.square().sum()))[..., None]
            power = (spectrum.real.square() + spectrum.imag.square()) * (2 / self.length / energy)
            logs = torch.log10(power @ self.share + POWER_FLOOR)  # (B, frame, C, band)
            return (weights.to(logs) @ logs.flatten(2)).unflatten(2, logs.shape[2:])

    def _frames(self, x: Tensor) -> Tensor:
        if self.causal:  # the last frame of a group that all of its tokens may see is that of the first
            x = nn.functional.pad(x, (0, 0, (self.every - 1) * self.stride, 0))[:, : x.shape[1]]
        return framed(x, self.length, self.every * self.stride, self.causal)

    def _spectrum(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(self._frames(x) * self.hann)

    def _weights(self, mask: Tensor, tokens: int) -> Tensor:
        """How tokens mix the frames on either side, ``(B, S, frame)``; frames without data are left out."""
        groups = -(-tokens // self.every)
        token = torch.arange(tokens, device=mask.device, dtype=self.hann.dtype)[:, None]
        group = torch.arange(groups, device=mask.device)
        if self.causal:
            return ((token / self.every).floor() == group).expand(len(mask), tokens, groups)
        lag = (token + 0.5) / self.every - (group + 0.5)
        seen = patched(mask[:, :, None], self.every * self.stride).any(-1).transpose(1, 2)  # (B, 1, frame)
        weights = (1 - lag.abs()).clamp(min=0) * seen
        return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
