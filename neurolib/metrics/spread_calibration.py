"""Calibration of stated spreads: targets and predictive distributions in; whether intervals hold what they promise out.

Calibration is not knowledge: one spread for all targets can be calibrated on average, so a score that
rewards sharpness (nats) and the homoscedastic head stand beside these numbers. Probabilities of events
are in :mod:`neurolib.metrics.calibration`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from neurolib.metrics.calibration import value_bins


class NormalisedCalibration(NamedTuple):
    """Calibration of Gaussian standard deviations.

    Parameters
    ----------
    error : float
        ENCE: mean over bins of ``|stated - found| / stated`` spread.
    dispersion : float
        Standard deviation of the stated spreads over their mean: 0 for a head that states one
        spread for all, which can have an error of 0 and know nothing.
    """

    error: float
    dispersion: float


def gaussian_pit(target: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> NDArray:
    """Probability integral transform of Gaussian forecasts: uniform from 0 to 1 if they are calibrated.

    Parameters
    ----------
    target, mean, sd : array_like, shapes that broadcast
        One unit for all; ``sd`` above 0.

    Returns
    -------
    array

    Raises
    ------
    ValueError
        If a value is not finite or a spread not positive.

    References
    ----------
    .. [1] Gneiting, Balabdaoui & Raftery (2007), "Probabilistic forecasts, calibration and
       sharpness", J. R. Stat. Soc. B 69, 243-268.

    Examples
    --------
    >>> gaussian_pit([3.0], 3.0, 2.0)
    array([0.5])
    """
    target, mean, sd = _checked_gaussian(target, mean, sd)
    return ndtr((target - mean) / sd)


def draws_pit(target: ArrayLike, draws: ArrayLike) -> NDArray:
    """Probability integral transform from draws: the target's mid-rank among them.

    Parameters
    ----------
    target : array_like, shape (...)
    draws : array_like, shape (n_draws, ...)
        Draws from the forecast.

    Returns
    -------
    array, shape (...)
        ``(below + equal / 2 + 1/2) / (n_draws + 1)``, never 0 or 1. Resolves intervals of level
        at most ``(n_draws - 1) / (n_draws + 1)``.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> draws_pit([2.5], [[1.0], [2.0], [3.0]])  # two of three below
    array([0.625])
    """
    target, draws = np.asarray(target, float), np.asarray(draws, float)
    if draws.ndim < 1 or draws.shape[1:] != target.shape or not len(draws):
        raise ValueError(f"draws {draws.shape} must be (n_draws, *target) with target {target.shape}")
    return ((draws < target).sum(axis=0) + (draws == target).sum(axis=0) / 2 + 0.5) / (len(draws) + 1)


def interval_coverage(pit: ArrayLike, levels: ArrayLike) -> NDArray:
    """Share of targets inside the central interval of each level; equals the level if calibrated.

    Parameters
    ----------
    pit : array_like, any shape
        From :func:`gaussian_pit` or :func:`draws_pit`.
    levels : array_like, shape (n_levels,)
        Nominal coverages, such as 0.5 and 0.9.

    Returns
    -------
    array, shape (n_levels,)

    Raises
    ------
    ValueError
        If a transform or level lies outside 0 to 1.

    Examples
    --------
    >>> interval_coverage([0.05, 0.3, 0.6, 0.98], [0.5, 0.9])
    array([0.5 , 0.75])
    """
    distance = 2 * np.abs(_checked_pit(pit) - 0.5)
    # Half the last digit of slack: 2 |0.95 - 0.5| is a little above 0.9 in floating point.
    return np.array([np.mean(distance <= level + 1e-12) for level in _checked_pit(levels)])


def quantile_calibration_error(pit: ArrayLike, n_levels: int = 99) -> float:
    """Mean distance between each quantile level and the share of targets below that quantile.

    Parameters
    ----------
    pit : array_like, any shape
    n_levels : int
        Levels ``1 / (n_levels + 1), ..., n_levels / (n_levels + 1)``.

    Returns
    -------
    float
        0 is best; 0.25 if every target lies above (or below) its forecast.

    Raises
    ------
    ValueError
        As :func:`interval_coverage`.

    References
    ----------
    .. [1] Kuleshov, Fenner & Ermon (2018), "Accurate uncertainties for deep learning using
       calibrated regression", ICML (whose sum of squares is here a mean of distances).

    Examples
    --------
    >>> quantile_calibration_error([0.5, 0.5], n_levels=3)  # 0, 1, 1 where 1/4, 1/2, 3/4 were due
    0.3333333333333333
    """
    values = np.sort(_checked_pit(pit))
    levels = np.arange(1, n_levels + 1) / (n_levels + 1)
    below = np.searchsorted(values, levels, side="right") / len(values)
    return float(np.abs(below - levels).mean())


def normalised_calibration(
    target: ArrayLike, mean: ArrayLike, sd: ArrayLike, n_bins: int = 10
) -> NormalisedCalibration:
    """Expected normalised calibration error (ENCE) of Gaussian heads.

    Forecasts are binned by stated spread, equal counts, equal spreads together; within a bin the
    root mean stated variance is compared with the root mean squared error.

    Parameters
    ----------
    target, mean, sd : array_like, shapes that broadcast
    n_bins : int

    Returns
    -------
    NormalisedCalibration

    Raises
    ------
    ValueError
        If a value is not finite or a spread not positive.

    References
    ----------
    .. [1] Levi, Gispan, Giladi & Fetaya (2022), "Evaluating and calibrating uncertainty prediction
       in regression tasks", Sensors 22, 5540.

    Examples
    --------
    >>> normalised_calibration([1.0, -1.0, 2.0, -2.0], 0.0, [2.0, 2.0, 2.0, 2.0 + 1e-9], n_bins=1).error
    0.20943...
    """
    target, mean, sd = (part.ravel() for part in np.broadcast_arrays(*_checked_gaussian(target, mean, sd)))
    bins = value_bins(sd, n_bins, equal_mass=True)
    count = np.bincount(bins, minlength=n_bins)
    kept = count > 0
    stated = np.sqrt(np.bincount(bins, sd**2, n_bins)[kept] / count[kept])
    found = np.sqrt(np.bincount(bins, (target - mean) ** 2, n_bins)[kept] / count[kept])
    return NormalisedCalibration(float(np.mean(np.abs(stated - found) / stated)), float(sd.std() / sd.mean()))


def _checked_gaussian(target: ArrayLike, mean: ArrayLike, sd: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    target, mean, sd = (np.asarray(part, float) for part in (target, mean, sd))
    if not (np.isfinite(target).all() and np.isfinite(mean).all() and np.isfinite(sd).all()):
        raise ValueError("target, mean and sd must be finite; drop missing targets first")
    if not (sd > 0).all():
        raise ValueError(f"sd has a least value of {sd.min():g}; is it a log-variance?")
    return target, mean, sd


def _checked_pit(values: ArrayLike) -> NDArray:
    values = np.asarray(values, float).ravel()
    if not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"transforms and levels must lie from 0 to 1, got {values}")
    return values
