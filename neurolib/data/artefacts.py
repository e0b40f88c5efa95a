"""Sampled signals ``(time, channel)`` in; channels to reject, or the signal less the common average, out.

>>> values = np.random.default_rng(0).normal(size=(2000, 8))
>>> values[::200, 5] += 100  # a loose contact
>>> bad = heavy_tailed(values) | line_noisy(values, rate_hz=500, line_hz=60)
>>> np.flatnonzero(bad), common_average(values, keep=~bad).shape
(array([5]), (2000, 8))
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def common_average(values: ArrayLike, keep: ArrayLike | None = None) -> NDArray:
    """Subtract from every channel the mean of those that are kept, sample by sample.

    Parameters
    ----------
    values : array, shape (n_samples, n_channels)
    keep : array of bool, shape (n_channels,), optional
        Channels of the mean; a bad one would be spread over all others.

    Examples
    --------
    >>> common_average([[1.0, 3.0, 100.0]], keep=[True, True, False])
    array([[-1.,  1., 98.]])
    """
    values = np.asarray(values, float)
    keep = np.ones(values.shape[1], bool) if keep is None else np.asarray(keep, bool)
    if len(keep) != values.shape[1] or not keep.any():
        raise ValueError(f"keep marks {keep.sum()} of {len(keep)} channels, the signal has {values.shape[1]}")
    return values - values[:, keep].mean(axis=1, keepdims=True)


def heavy_tailed(values: ArrayLike, limit: float = 5.0) -> NDArray:
    """Channels with far more kurtosis than the others: artefacts, loose contacts.

    The logarithm of each channel's kurtosis is compared with the median of all in units of 1.4826 times
    the median absolute deviation, or of 0.05 if that is less.

    Parameters
    ----------
    values : array, shape (n_samples, n_channels)
        Samples where a channel is NaN are left out.
    limit : float

    Returns
    -------
    array of bool, shape (n_channels,)
        True for channels to reject; one that never changes is rejected, too.
    """
    values = np.asarray(values, float)
    centred = values - np.nanmean(values, axis=0)
    variance = np.nanmean(centred**2, axis=0)
    still = ~(variance > 0)
    kurtosis = np.nanmean(centred**4, axis=0) / np.where(still, 1.0, variance) ** 2
    return _above_the_rest(np.log(np.where(still, 1.0, kurtosis)), ~still, limit) | still


def line_noisy(values: ArrayLike, rate_hz: float, line_hz: float, limit: float = 5.0) -> NDArray:
    """Channels with far more mains hum than the others.

    Power within 1 Hz of the mains frequency is divided by that 2 to 8 Hz away from it; the logarithms
    are compared as in :func:`heavy_tailed`.

    Parameters
    ----------
    values : array, shape (n_samples, n_channels)
        Without gaps, two seconds at least.
    rate_hz, line_hz : float
        The mains run at 50 or 60 Hz.
    limit : float

    Returns
    -------
    array of bool, shape (n_channels,)

    Raises
    ------
    ValueError
        If there are gaps, too few samples, or the rate is too low for the frequency.
    """
    from scipy.signal import welch

    values = np.asarray(values, float)
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinite samples; choose a stretch without gaps")
    if line_hz + 8 >= rate_hz / 2 or len(values) < 2 * rate_hz:
        raise ValueError(
            f"{len(values)} samples at {rate_hz:g} Hz do not resolve {line_hz:g} Hz; twice {line_hz + 8:g} Hz and two "
            "seconds are needed"
        )
    frequency, power = welch(values, rate_hz, nperseg=int(2 * rate_hz), axis=0)
    away = np.abs(frequency - line_hz)
    still = ~(values.std(axis=0) > 0)
    tiny = np.finfo(float).tiny
    hum = power[away <= 1].mean(axis=0) / np.maximum(power[(away >= 2) & (away <= 8)].mean(axis=0), tiny)
    return _above_the_rest(np.log(np.maximum(hum, tiny)), ~still, limit)


def _above_the_rest(score: NDArray, counted: NDArray, limit: float) -> NDArray:
    if not counted.any():
        return np.zeros(len(score), bool)
    middle = np.median(score[counted])
    spread = 1.4826 * np.median(np.abs(score[counted] - middle))
    return counted & (score - middle > limit * max(spread, 0.05))
