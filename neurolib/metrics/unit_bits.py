"""Bits per spike, unit by unit: predicted rates and counts in, one score per unit and the null behind it out.

Rates are **spikes per bin**; the last axis is units.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from neurolib.metrics.spikes import ZERO_RATE


def mean_rates(counts: ArrayLike) -> NDArray:
    """Mean rate of each unit: the null that knows no time.

    From training counts it is what could have been predicted beforehand. From the evaluated
    counts it is the benchmark's null, which has seen them and scores a little better.

    Parameters
    ----------
    counts : array_like, shape (..., n_units)
        Spikes per bin; NaN where unobserved.

    Returns
    -------
    array, shape (n_units,)
        Spikes per bin; NaN for a unit that was never observed.

    Examples
    --------
    >>> mean_rates([[0, 4], [1, 2]])
    array([0.5, 3. ])
    """
    counts = np.asarray(counts, float)
    axes = tuple(range(counts.ndim - 1))
    seen = ~np.isnan(counts)
    with np.errstate(invalid="ignore"):
        return np.nansum(counts, axis=axes) / seen.sum(axis=axes)


def bits_per_unit(rates: ArrayLike, counts: ArrayLike, null: ArrayLike | None = None) -> NDArray:
    r"""Poisson log-likelihood gain of each unit over its null, in bits per spike of that unit.

    Averaged with the units' spike counts as weights it is
    :func:`~neurolib.metrics.spikes.co_smoothing_bits`, in which busy units therefore weigh more.

    Parameters
    ----------
    rates : array_like, shape (..., n_units)
        Predicted rates in spikes per bin. Zeros count as 1e-9, as in the benchmark.
    counts : array_like, shape (..., n_units)
        Observed spikes per bin; NaN where nothing was observed.
    null : array_like, shape (n_units,), optional
        Rates to beat; by default :func:`mean_rates` of ``counts``, the benchmark's null.

    Returns
    -------
    array, shape (n_units,)
        NaN for a unit without spikes.

    Raises
    ------
    ValueError
        If shapes do not fit, counts are negative, or rates or the null are negative or not finite.

    References
    ----------
    .. [1] Pei et al. (2021), "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks.

    Examples
    --------
    >>> bits_per_unit([[0.5, 1.0], [1.5, 1.0]], [[0, 0], [2, 0]]).round(3)  # (2 ln 1.5) / (2 ln 2); no spike
    array([0.585,   nan])
    """
    rates, counts = np.asarray(rates, float), np.asarray(counts, float)
    null = mean_rates(counts) if null is None else np.asarray(null, float)
    if rates.shape != counts.shape or rates.ndim < 2 or null.shape != rates.shape[-1:]:
        raise ValueError(
            f"rates {rates.shape} and counts {counts.shape} must have one shape (..., n_units), null {null.shape} (n_units,)"
        )
    seen = ~np.isnan(counts)
    spikes = np.nansum(counts, axis=tuple(range(counts.ndim - 1)))
    if (counts[seen] < 0).any():
        raise ValueError("counts must not be negative")
    if not (np.isfinite(rates[seen]).all() and (rates[seen] >= 0).all()):
        raise ValueError("rates must be finite and not negative; are they log-rates? Then take exp")
    if not (np.isfinite(null[spikes > 0]).all() and (null[spikes > 0] >= 0).all()):
        raise ValueError("the null must be finite and not negative wherever a unit fires")
    rates = np.where(seen, np.where(rates == 0, ZERO_RATE, rates), 0.0)
    expected = np.where(seen, np.maximum(np.nan_to_num(null), ZERO_RATE), 0.0)
    counts = np.where(seen, counts, 0.0)
    gain = (xlogy(counts, rates) - rates - xlogy(counts, expected) + expected).sum(
        axis=tuple(range(counts.ndim - 1))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spikes > 0, gain / (spikes * np.log(2)), np.nan)
