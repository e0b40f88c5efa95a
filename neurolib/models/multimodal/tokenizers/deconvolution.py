"""Fluorescence of cells ``(..., time)`` in, calcium without noise and the events that raise it out."""

import numpy as np
from numpy.typing import ArrayLike


def oasis(trace: ArrayLike, decay: float, mask: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    r"""Non-negative deconvolution of calcium that decays exponentially, by pooling of adjacent violators.

    .. math:: \min_c \tfrac12 \sum_t (c_t - y_t)^2 \quad \text{with } s_t = c_t - \gamma c_{t-1} \ge 0,\ c_0 \ge 0

    Within a pool calcium only decays; pools are merged from the end while one starts below what the one
    before has decayed to. All traces go through the recording together.

    Parameters
    ----------
    trace : array_like, shape (..., T)
        Fluorescence with its baseline at zero.
    decay : float
        What is left after one sample, between 0 and 1.
    mask : array_like of bool, shape (..., T), optional
        Samples that were recorded; through others calcium decays.

    Returns
    -------
    calcium, events : numpy.ndarray, shape (..., T)
        ``events[..., 0]`` is the calcium that the trace starts with.

    References
    ----------
    .. [1] Friedrich, Zhou & Paninski (2017), "Fast online deconvolution of calcium imaging data", PLoS Comput.
       Biol.

    Examples
    --------
    >>> calcium, events = oasis([0.0, 2.0, 1.0, 0.5, 3.25], decay=0.5)
    >>> events.tolist()
    [0.0, 2.0, 0.0, 0.0, 3.0]
    """
    if not 0 < decay < 1:
        raise ValueError(f"decay={decay} must lie between 0 and 1; it is the part left after one sample")
    shape = np.shape(trace)
    y = np.asarray(trace, dtype=float).reshape(-1, shape[-1])
    seen = np.ones(y.shape, bool) if mask is None else np.broadcast_to(mask, shape).reshape(y.shape)
    n, samples = y.shape
    top, size = np.zeros((n, samples)), np.ones((n, samples))  # of pools: sum of y decay^k, of decay^2k
    start = np.zeros((n, samples), dtype=int)
    depth = np.zeros(n, dtype=int)  # pools of each trace

    def level(i, j):
        value = top[i, j] / size[i, j]
        return np.where(j == 0, np.maximum(value, 0), value)

    for t in range(samples):
        busy = np.flatnonzero(seen[:, t])
        top[busy, depth[busy]], size[busy, depth[busy]], start[busy, depth[busy]] = y[busy, t], 1.0, t
        depth[busy] += 1
        busy = busy[depth[busy] > 1]
        while len(busy):
            last = depth[busy] - 1
            faded = decay ** (start[busy, last] - start[busy, last - 1]).astype(float)
            merge = level(busy, last) < faded * level(busy, last - 1)
            busy, last, faded = busy[merge], last[merge], faded[merge]
            top[busy, last - 1] += faded * top[busy, last]
            size[busy, last - 1] += faded**2 * size[busy, last]
            depth[busy] -= 1
            busy = busy[depth[busy] > 1]
    events = np.zeros_like(y)
    trace_of, pool = np.nonzero(np.arange(samples) < depth[:, None])
    events[trace_of, start[trace_of, pool]] = level(trace_of, pool)  # calcium at the start of each pool
    calcium = np.zeros_like(y)
    before = np.zeros(n)
    for t in range(samples):
        before = decay * before
        begins = events[:, t] > 0
        calcium[:, t] = np.where(begins, events[:, t], before)
        events[:, t] = np.where(begins, np.maximum(events[:, t] - before, 0), 0)
        before = calcium[:, t]
    return calcium.reshape(shape), events.reshape(shape)


def decay_from_autocovariance(trace: ArrayLike, lags: int = 5) -> float:
    """Decay per sample of one trace: white noise spoils its variance, but no later lag.

    Parameters
    ----------
    trace : array_like, shape (T,)
    lags : int
        How many ratios of one lag to the one before go into a least-squares fit.

    Raises
    ------
    ValueError
        If the trace is too short for its lags.

    References
    ----------
    .. [1] Pnevmatikakis et al. (2016), "Simultaneous denoising, deconvolution, and demixing of calcium imaging
       data", Neuron.

    Examples
    --------
    >>> impulses = np.zeros(40_000)
    >>> impulses[::4000] = 1
    >>> from scipy.signal import lfilter
    >>> round(decay_from_autocovariance(lfilter([1], [1, -0.8], impulses)), 2)
    0.8
    """
    trace = np.asarray(trace, dtype=float)
    if len(trace) < 4 * lags:
        raise ValueError(f"a trace of {len(trace)} samples is too short for {lags} lags of autocovariance")
    x = trace - trace.mean()
    covariance = np.array([x[: len(x) - k] @ x[k:] for k in range(1, lags + 2)])
    ratio = covariance[:-1] @ covariance[1:] / max(covariance[:-1] @ covariance[:-1], 1e-300)
    return float(np.clip(ratio, 0.01, 0.9999))
