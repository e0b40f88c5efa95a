"""Calibration: forecast probabilities and events in; whether the probabilities can be believed out.

Calibration alone is cheap: a constant base rate has no calibration error, and where events are rare
a forecast of zero everywhere has little. So a proper score (:func:`brier_skill_score`, nats) stands
beside every calibration error here. :func:`fit_temperature` mends over-confidence of categorical
forecasts. Forecasts of numbers are in :mod:`neurolib.metrics.spread_calibration`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import rankdata


class Reliability(NamedTuple):
    """Reliability curve of forecast probabilities, one entry per occupied bin.

    Parameters
    ----------
    forecast, observed : array, shape (n_occupied,)
        Mean probability, and share of events, of each bin.
    count : array of int, shape (n_occupied,)
    slope : float
        Least-squares slope of outcomes on probabilities, which needs no bins: 1 if calibrated,
        below 1 if too bold, above 1 if too timid, NaN for a constant forecast.
    """

    forecast: NDArray
    observed: NDArray
    count: NDArray
    slope: float

    @property
    def expected_error(self) -> float:
        """Mean over forecasts of the distance between the two curves: the calibration error."""
        return float(self.count @ np.abs(self.forecast - self.observed) / self.count.sum())


class Temperature(NamedTuple):
    """Outcome of :func:`fit_temperature`.

    Parameters
    ----------
    temperature : float
        Above 1 flattens: the forecast was too bold; at the upper bound it knew nothing.
    nats, fitted_nats : float
        Negative log-likelihood per event, before and after.
    """

    temperature: float
    nats: float
    fitted_nats: float


def reliability(
    probabilities: ArrayLike, outcomes: ArrayLike, n_bins: int = 15, equal_mass: bool = False
) -> Reliability:
    """Reliability curve: how often an event happened, by the probability it was given.

    Parameters
    ----------
    probabilities : array_like, any shape
        Forecast probabilities; all axes are pooled.
    outcomes : array_like, same shape
        Events, 0 or 1.
    n_bins : int
    equal_mass : bool
        False: bins of equal width from 0 to 1. True: bins of equal count, equal forecasts kept
        together (so there may be fewer).

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        If shapes differ, a probability lies outside 0 to 1, or an outcome is not 0 or 1.

    References
    ----------
    .. [1] Murphy & Winkler (1977), "Reliability of subjective probability forecasts of precipitation
       and temperature", J. R. Stat. Soc. C 26, 41-47.

    Examples
    --------
    >>> curve = reliability([0.2, 0.2, 0.7, 0.7], [0, 0, 1, 1], n_bins=2)
    >>> curve.forecast, curve.observed, round(curve.slope, 6)  # 1 / (0.7 - 0.2)
    (array([0.2, 0.7]), array([0., 1.]), 2.0)
    """
    p, y = _checked_events(probabilities, outcomes)
    bins = value_bins(p, n_bins, equal_mass)
    count = np.bincount(bins, minlength=n_bins)
    kept = count > 0
    forecast = np.bincount(bins, p, n_bins)[kept] / count[kept]
    observed = np.bincount(bins, y, n_bins)[kept] / count[kept]
    deviation = p - p.mean()
    slope = deviation @ y / (deviation @ deviation) if np.ptp(p) else np.nan
    return Reliability(forecast, observed, count[kept], float(slope))


def expected_calibration_error(
    probabilities: ArrayLike, outcomes: ArrayLike, n_bins: int = 15, equal_mass: bool = False
) -> float:
    """Mean distance between stated probability and frequency, over binned forecasts.

    Read it beside :func:`brier_skill_score`: a forecast of zero everywhere errs by the base rate
    only, which for a rare event is little. Parameters and Raises are those of :func:`reliability`.

    Returns
    -------
    float
        0 is best; biased upwards where bins hold few forecasts.

    References
    ----------
    .. [1] Naeini, Cooper & Hauskrecht (2015), "Obtaining well calibrated probabilities using
       Bayesian binning", AAAI 29, 2901-2907.

    Examples
    --------
    >>> expected_calibration_error([0.5, 0.5, 1.0, 1.0], [1, 0, 1, 0], n_bins=2)  # 0.75 stated, 0.5 found
    0.25
    """
    return reliability(probabilities, outcomes, n_bins, equal_mass).expected_error


def brier_score(probabilities: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean squared distance between probability and event.

    Parameters and Raises are those of :func:`reliability`.

    References
    ----------
    .. [1] Brier (1950), "Verification of forecasts expressed in terms of probability", Mon. Weather
       Rev. 78, 1-3.

    Examples
    --------
    >>> brier_score([0.5, 1.0], [1, 1])
    0.125
    """
    p, y = _checked_events(probabilities, outcomes)
    return float(np.mean((p - y) ** 2))


def brier_skill_score(probabilities: ArrayLike, outcomes: ArrayLike, base_rate: float | None = None) -> float:
    """Share of the base rate's Brier score that the forecast takes away.

    Parameters
    ----------
    probabilities, outcomes : array_like, any one shape
    base_rate : float, optional
        Share of events in training data. By default that of these very outcomes, which no
        forecast could know: the stricter null.

    Returns
    -------
    float
        1 is perfect, 0 no better than the base rate, negative worse.

    Raises
    ------
    ValueError
        As :func:`reliability`, and if the base rate itself makes no error.

    Examples
    --------
    >>> brier_skill_score([0.0, 0.5], [0, 1])  # 0.125 instead of 0.25
    0.5
    """
    p, y = _checked_events(probabilities, outcomes)
    rate = y.mean() if base_rate is None else base_rate
    null = np.mean((rate - y) ** 2)
    if not null > 0:
        raise ValueError(f"the base rate {rate:g} makes no error: all {len(y)} outcomes are {y[0]:g}")
    return float(1 - np.mean((p - y) ** 2) / null)


def temper(log_probabilities: ArrayLike, temperature: float) -> NDArray:
    """Raise probabilities to ``1 / temperature`` and renormalise over the last axis, in logs.

    Parameters
    ----------
    log_probabilities : array_like, shape (..., n_outcomes)
        Up to a constant per row, so logits will do.
    temperature : float

    Returns
    -------
    array, shape (..., n_outcomes)
        Normalised log-probabilities.

    Raises
    ------
    ValueError
        If the temperature is not positive.

    Examples
    --------
    >>> np.exp(temper(np.log([0.2, 0.8]), 0.5))  # 0.04 : 0.64
    array([0.05882353, 0.94117647])
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be positive")
    scaled = np.asarray(log_probabilities, float) / temperature
    return scaled - logsumexp(scaled, axis=-1, keepdims=True)


def fit_temperature(
    log_probabilities: ArrayLike,
    outcomes: ArrayLike,
    rows: ArrayLike | None = None,
    bounds: tuple[float, float] = (0.05, 20.0),
) -> Temperature:
    """Temperature that makes *validation* outcomes most likely: one number for all rows.

    The negative log-likelihood is convex in ``1 / T``, so a bounded search finds the one minimum.
    The temperature keeps every row's order and cannot mend a forecast that is wrong.

    Parameters
    ----------
    log_probabilities : array_like, shape (n_rows, n_outcomes)
        Forecasts, such as one map per study; up to a constant per row.
    outcomes : array_like of int, shape (n_events,)
        Which outcome happened (column).
    rows : array_like of int, shape (n_events,), optional
        The row that forecast it, for rows with none or several events. By default one each.
    bounds : (float, float)
        Least and greatest temperature.

    Returns
    -------
    Temperature

    Raises
    ------
    ValueError
        If events do not fit the rows, or one was given probability 0.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", ICML.

    Examples
    --------
    >>> fit = fit_temperature(np.log([[0.9, 0.1]]), [0, 0, 0, 1], rows=[0, 0, 0, 0])
    >>> round(fit.temperature, 3)  # 3 : 1 was found, so T = ln 9 / ln 3
    2.0
    """
    log_p, columns = np.asarray(log_probabilities, float), np.asarray(outcomes)
    rows = np.arange(len(log_p)) if rows is None else np.asarray(rows)
    if log_p.ndim != 2 or columns.shape != rows.shape or columns.ndim != 1 or not len(columns):
        raise ValueError(
            f"log-probabilities {log_p.shape} must be (row, outcome), with an outcome {columns.shape} for "
            f"each of the rows {rows.shape}; pass rows= if a row has several events"
        )
    happened = log_p[rows, columns].sum()
    if not np.isfinite(happened):
        raise ValueError("an outcome that happened has probability 0 or NaN; mix in a floor first")
    events = np.bincount(rows, minlength=len(log_p))
    log_p, events = log_p[events > 0], events[events > 0]

    def nats(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((events @ logsumexp(scale * log_p, axis=1) - scale * happened) / events.sum())

    best = minimize_scalar(nats, bounds=np.log(bounds), method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(best.x)), nats(0.0), float(best.fun))


def value_bins(values: ArrayLike, n_bins: int, equal_mass: bool) -> NDArray:
    """Bin of each value: of equal width from 0 to 1, or of equal count with ties kept together.

    Parameters
    ----------
    values : array_like, shape (n,)
    n_bins : int
    equal_mass : bool
        Bins by mid-rank, so equal values share a bin, and some bins may stay empty.

    Returns
    -------
    array of int, shape (n,)

    Raises
    ------
    ValueError
        If there is no bin.

    Examples
    --------
    >>> value_bins([0.1, 0.1, 0.1, 0.2], 2, equal_mass=True)
    array([0, 0, 0, 1])
    """
    values = np.asarray(values, float)
    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins} must be at least 1")
    share = (rankdata(values) - 0.5) / len(values) if equal_mass else values
    return np.minimum((share * n_bins).astype(int), n_bins - 1)


def _checked_events(probabilities: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray, NDArray]:
    p, y = np.asarray(probabilities, float), np.asarray(outcomes)
    if p.shape != y.shape or not p.size:
        raise ValueError(f"probabilities {p.shape} and outcomes {y.shape} must have one shape")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probabilities span {p.min():g} to {p.max():g}; are they logits or densities?")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("outcomes must be 0 or 1; threshold them first")
    return p.ravel(), y.ravel().astype(float)
