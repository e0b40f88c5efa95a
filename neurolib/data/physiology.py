"""What simulated physiology is made of: coloured noise, rhythms and kernels ``(sample, channel)`` out.

Noise is made in the frequency domain, where a rhythm is white noise between two frequencies and a 1/f
background one division.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter
from scipy.stats import gamma


def pink_noise(
    n: int,
    channels: int,
    rate_hz: float,
    exponent: float,
    rng: np.random.Generator,
    corner_hz: float = 1.0,
) -> NDArray:
    """Gaussian noise of SD 1 whose power falls as ``1 / f**exponent`` above a corner and is flat below it.

    Parameters
    ----------
    n, channels : int
    rate_hz : float
    exponent : float
        0 is white, 1 pink, 2 brown.
    rng : numpy.random.Generator
    corner_hz : float

    Returns
    -------
    array of float32, shape (n, channels)

    Examples
    --------
    >>> noise = pink_noise(4096, 2, 100.0, 0.0, np.random.default_rng(0))
    >>> noise.shape, round(float(noise.std()), 1)
    ((4096, 2), 1.0)
    """
    size = next_fast_len(n, real=True)
    frequency = np.arange(size // 2 + 1) * rate_hz / size
    gain = np.maximum(frequency, corner_hz) ** (-exponent / 2)
    return _shaped(n, size, channels, gain, rng)


def band_noise(
    n: int, channels: int, rate_hz: float, band_hz: tuple[float, float], rng: np.random.Generator
) -> NDArray:
    """Gaussian noise of SD 1 with power between two frequencies only: a rhythm that waxes and wanes.

    Parameters
    ----------
    n, channels : int
    rate_hz : float
    band_hz : (float, float)
    rng : numpy.random.Generator

    Returns
    -------
    array of float32, shape (n, channels)

    Raises
    ------
    ValueError
        If the band is empty or reaches above the Nyquist frequency.

    Examples
    --------
    >>> alpha = band_noise(1600, 1, 160.0, (8.0, 12.0), np.random.default_rng(0))[:, 0]
    >>> power = abs(np.fft.rfft(alpha)) ** 2  # in steps of 0.1 Hz
    >>> bool(power[80:121].sum() > 0.99 * power.sum())
    True
    """
    low, high = band_hz
    if not 0 <= low < high <= rate_hz / 2:
        raise ValueError(f"band {band_hz} Hz must rise, and end at half of {rate_hz} Hz at the latest")
    size = next_fast_len(n, real=True)
    frequency = np.arange(size // 2 + 1) * rate_hz / size
    gain = ((frequency >= low) & (frequency <= high)).astype(float)
    if not gain.any():
        raise ValueError(f"{n} samples at {rate_hz} Hz hold no frequency in {band_hz} Hz; simulate longer")
    return _shaped(n, size, channels, gain, rng)


def _shaped(n: int, size: int, channels: int, gain: NDArray, rng: np.random.Generator) -> NDArray:
    """Noise of expected variance 1 with the given amplitude per frequency."""
    pairs = np.full(len(gain), 2.0)  # each frequency stands for its negative, too
    pairs[0] = 1.0
    if size % 2 == 0:
        pairs[-1] = 1.0
    gain = gain * size / np.sqrt(2 * (pairs * gain**2).sum())
    spectrum = rng.standard_normal((channels, len(gain), 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum *= gain.astype(np.float32)
    spectrum[:, 0] = spectrum[:, 0].real * np.sqrt(2)
    if size % 2 == 0:
        spectrum[:, -1] = spectrum[:, -1].real * np.sqrt(2)
    return np.ascontiguousarray(irfft(spectrum, size, axis=1)[:, :n].T)


def remembering_noise(n: int, channels: int, keep: float, rng: np.random.Generator) -> NDArray:
    """Autoregressive Gaussian noise of order 1 and SD 1, from its stationary distribution.

    Parameters
    ----------
    n, channels : int
    keep : float
        Correlation of a sample with the one before.
    rng : numpy.random.Generator

    Examples
    --------
    >>> noise = remembering_noise(10_000, 1, 0.9, np.random.default_rng(0))[:, 0]
    >>> round(float(np.corrcoef(noise[1:], noise[:-1])[0, 1]), 1)
    0.9
    """
    start = keep * rng.standard_normal((1, channels))
    push = np.sqrt(1 - keep**2) * rng.standard_normal((n, channels))
    return lfilter([1.0], [1.0, -keep], push, axis=0, zi=start)[0]


def blood_response(time_s: ArrayLike) -> NDArray:
    """Change of the BOLD signal after a brief burst of activity: a rise, then an undershoot; area 1.

    The difference of two gamma densities, of shape 6 and 16, the second a sixth of the first.

    Parameters
    ----------
    time_s : array_like
        Seconds since the burst.

    Returns
    -------
    array
        Per second.

    References
    ----------
    .. [1] Friston et al. (1998), "Event-related fMRI: characterizing differential responses",
       NeuroImage 7, 30-40.

    Examples
    --------
    >>> at = np.arange(0, 40, 0.01)
    >>> response = blood_response(at)
    >>> round(float(response.sum() * 0.01), 3), round(float(at[response.argmax()]), 1)
    (1.0, 5.0)
    """
    time_s = np.asarray(time_s, float)
    return (gamma.pdf(time_s, 6) - gamma.pdf(time_s, 16) / 6) * 6 / 5


def convolve(values: NDArray, kernel: ArrayLike) -> NDArray:
    """Causal convolution along time of ``(n, channels)`` with one kernel ``(m,)``; what came before is 0.

    Examples
    --------
    >>> convolve(np.array([[1.0], [0.0], [0.0]]), [1.0, 0.5]).ravel().round(6)
    array([1. , 0.5, 0. ])
    """
    kernel = np.asarray(kernel, values.dtype)
    size = next_fast_len(len(values) + len(kernel) - 1, real=True)
    return irfft(rfft(values, size, axis=0) * rfft(kernel, size)[:, None], size, axis=0)[: len(values)]
