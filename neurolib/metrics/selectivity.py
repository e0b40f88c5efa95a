"""Selectivity: values ``(samples, units)`` and a condition per sample in, how much each unit tells conditions apart out.

The share of variance that conditions explain (:func:`eta_squared`) holds for any activation. Indices of
depth divide by a sum of responses, which means something for rates only: of activations that may be
negative they are unbounded, so they are refused. A preferred condition is chosen on one half of the
trials and measured on the other; chosen and measured on the same ones, noise has a preference too.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.nulls import null_orders
from neurolib.metrics.shares import explained, p_values, sums_by


@dataclass(frozen=True)
class SelectivityConfig:
    """How to test units against conditions.

    Parameters
    ----------
    n_permutations : int
        Of conditions over trials (:func:`neurolib.metrics.nulls.null_orders`); 0 leaves p out.
    tail : {"count", "beta"}
        Count permutations that reach the value, or read it off the beta distribution with the mean and
        variance of each unit's permutations, which goes below ``1 / (n_permutations + 1)``: among many
        units a rate of false findings can be held with few permutations only so.
    seed : int
    """

    n_permutations: int = 200
    tail: str = "count"
    seed: int = 0

    def __post_init__(self):
        if self.n_permutations < 0 or self.tail not in ("count", "beta"):
            raise ValueError(
                f"n_permutations={self.n_permutations} must not be negative and tail={self.tail!r} is 'count' or 'beta'"
            )


class Selectivity(NamedTuple):
    """What a :class:`SelectivityTest` found.

    Parameters
    ----------
    eta_squared : array, shape (n_units,)
        Share of the variance between conditions.
    p_value : array, shape (n_units,)
        Of that share, unadjusted; nan without permutations.
    means : array, shape (n_conditions, n_units)
        Over all samples of a condition.
    preferred : array of int, shape (n_units,)
        Condition of the largest mean, as a row of ``means``.
    d_prime : array, shape (n_units,)
        Of the largest against the smallest condition, both chosen on the other half of the trials, the
        mean over the two halves; about 0 for a unit without preference, and negative by chance.
    depth : array, shape (n_units,)
        :func:`depth_index` of the same two conditions; nan for units with negative values.
    """

    eta_squared: NDArray
    p_value: NDArray
    means: NDArray
    preferred: NDArray
    d_prime: NDArray
    depth: NDArray


def eta_squared(values: ArrayLike, labels: ArrayLike) -> NDArray:
    """Share of each unit's variance that lies between conditions, from 0 to 1.

    Without any selectivity it is ``(n_conditions - 1) / (n - 1)`` on average, not 0.

    Parameters
    ----------
    values : array_like, shape (n, n_units)
        Any sign.
    labels : array_like, shape (n,)

    Returns
    -------
    array, shape (n_units,)
        0 for a unit that never changes.

    Raises
    ------
    ValueError
        If shapes do not match, values are not finite or there is one condition only.

    References
    ----------
    .. [1] Fisher (1925), "Statistical methods for research workers", Oliver & Boyd.

    Examples
    --------
    >>> eta_squared([[0.0], [2.0], [4.0], [6.0]], ["a", "a", "b", "b"])  # 16 of 20
    array([0.8])
    """
    labels = np.asarray(labels)
    values = _checked(values, len(labels))
    return SelectivityTest(labels, config=SelectivityConfig(n_permutations=0)).shares(values)[0]


def d_prime(first: ArrayLike, second: ArrayLike) -> NDArray:
    """Difference of two means in units of the standard deviation within: ``(m1 - m2) / sqrt((v1 + v2) / 2)``.

    Parameters
    ----------
    first, second : array_like, shape (n, n_units)
        Trials of two conditions, two or more of each.

    Returns
    -------
    array, shape (n_units,)
        0 where nothing differs, infinite for a difference without spread.

    Raises
    ------
    ValueError
        If shapes do not match.

    References
    ----------
    .. [1] Green & Swets (1966), "Signal detection theory and psychophysics", Wiley.

    Examples
    --------
    >>> d_prime([[3.0], [5.0]], [[0.0], [2.0]])  # (4 - 1) / sqrt(2)
    array([2.12132034])
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"{a.shape} and {b.shape} must be tables (trial, unit) of the same units, two trials or more"
        )
    spread = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 2)
    return _ratio(a.mean(axis=0) - b.mean(axis=0), spread)


def depth_index(responses: ArrayLike, against: str = "least") -> NDArray:
    """Depth of tuning, ``(max - min) / (max + min)`` or ``(max - mean) / max``, from 0 to 1.

    It looks for the maximum in the very responses that it is given, so noise alone makes it positive;
    :class:`SelectivityTest` measures it on the other half of the trials.

    Parameters
    ----------
    responses : array_like, shape (n_conditions, n_units)
        Mean responses, not negative.
    against : {"least", "mean"}

    Returns
    -------
    array, shape (n_units,)
        nan for a unit that never responds.

    Raises
    ------
    ValueError
        If a response is negative: the index of activations of both signs has no bounds.

    Examples
    --------
    >>> depth_index([[1.0], [3.0]]), depth_index([[1.0], [3.0]], against="mean")  # 2 / 4, 1 / 3
    (array([0.5]), array([0.33333333]))
    """
    r = _not_negative(responses)
    if against not in ("least", "mean"):
        raise ValueError(f"against={against!r} must be 'least' or 'mean'")
    top, low = r.max(axis=0), r.min(axis=0)
    difference, whole = (top - low, top + low) if against == "least" else (top - r.mean(axis=0), top)
    return np.divide(difference, whole, out=np.full(r.shape[1], np.nan), where=whole > 0)


def lifetime_sparseness(responses: ArrayLike) -> NDArray:
    """Sparseness over conditions: 0 for a unit with the same response to all, 1 with a response to one only.

    Parameters
    ----------
    responses : array_like, shape (n_conditions, n_units)
        Mean responses, not negative, of two conditions or more.

    Returns
    -------
    array, shape (n_units,)
        nan for a unit that never responds.

    Raises
    ------
    ValueError
        If a response is negative.

    References
    ----------
    .. [1] Vinje & Gallant (2000), "Sparse coding and decorrelation in primary visual cortex during
       natural vision", Science 287, 1273-1276.

    Examples
    --------
    >>> lifetime_sparseness([[1.0, 0.0, 3.0], [1.0, 2.0, 1.0]])  # the last: (1 - 4 / 5) / (1 - 1 / 2)
    array([0. , 1. , 0.4])
    """
    r = _not_negative(responses)
    square = (r**2).mean(axis=0)
    share = np.divide(r.mean(axis=0) ** 2, square, out=np.full(r.shape[1], np.nan), where=square > 0)
    return (1 - share) / (1 - 1 / len(r))


def circular_selectivity(responses: ArrayLike, angles: ArrayLike, harmonic: int = 1) -> NDArray:
    """Length of the mean resultant of responses around the circle: DSI (``harmonic=1``) or OSI (``harmonic=2``).

    Parameters
    ----------
    responses : array_like, shape (n_angles, n_units)
        Mean responses, not negative.
    angles : array_like, shape (n_angles,)
        Radians, evenly spread over the circle; otherwise an untuned unit does not get 0.
    harmonic : int
        1 for directions, 2 for orientations, where opposite angles mean the same.

    Returns
    -------
    array, shape (n_units,)
        From 0 to 1; nan for a unit that never responds.

    Raises
    ------
    ValueError
        If a response is negative or angles do not match.

    References
    ----------
    .. [1] Mazurek, Kager & Van Hooser (2014), "Robust quantification of orientation selectivity and
       direction selectivity", Frontiers in Neural Circuits 8, 92.

    Examples
    --------
    >>> circular_selectivity([[1.0], [0.0], [1.0], [0.0]], np.radians([0, 90, 180, 270]), harmonic=2)
    array([1.])
    """
    r, angles = _not_negative(responses), np.asarray(angles, float)
    if angles.shape != (len(r),) or harmonic < 1:
        raise ValueError(f"angles {angles.shape} and harmonic={harmonic} for responses {r.shape}")
    resultant, whole = np.abs(np.exp(1j * harmonic * angles) @ r), r.sum(axis=0)
    return np.divide(resultant, whole, out=np.full(r.shape[1], np.nan), where=whole > 0)


class SelectivityTest:
    """Conditions, their permutations and halves of trials, prepared once for any number of units.

    Parameters
    ----------
    labels : array_like, shape (n_samples,)
        Condition of each sample, in the order of time.
    groups : array_like, shape (n_samples,), optional
        Trial of each sample; ``np.arange(n_samples)`` if they are independent. Without any, samples are one
        recording, the null shifts it, and halves are of samples.
    config : SelectivityConfig, optional

    Attributes
    ----------
    conditions : array, shape (n_conditions,)
        Sorted.

    Raises
    ------
    ValueError
        If groups do not match or there is one condition only.

    Examples
    --------
    >>> labels = np.repeat(["left", "right"], 20)
    >>> values = np.column_stack([labels == "right", np.arange(40) % 2]).astype(float)
    >>> found = SelectivityTest(labels, np.arange(40)).measure(values)
    >>> found.eta_squared, found.p_value.round(3)  # 1 / 201 and 1
    (array([1., 0.]), array([0.005, 1.   ]))
    """

    def __init__(
        self, labels: ArrayLike, groups: ArrayLike | None = None, config: SelectivityConfig | None = None
    ):
        self.config = config or SelectivityConfig()
        labels = np.asarray(labels)
        if labels.ndim != 1:
            raise ValueError(f"labels {labels.shape} must be one per sample")
        self.conditions, number = np.unique(labels, return_inverse=True)
        if len(self.conditions) < 2:
            raise ValueError(f"one condition ({self.conditions}) only, nothing to select")
        self.indicator = np.eye(len(self.conditions))[number].T  # (condition, sample)
        n_nulls = self.config.n_permutations
        orders = null_orders(number, groups, n_nulls, self.config.seed) if n_nulls else []
        trials = np.arange(len(labels)) if groups is None else np.asarray(groups)
        _, first, self._trial = np.unique(trials, return_index=True, return_inverse=True)
        self._by_trial = groups is not None and bool((number == number[first][self._trial]).all())
        columns = first if self._by_trial else slice(None)  # permuted trials need sums over trials only
        self._rows = self._scaled(number)[:, columns]
        nulls = [self._scaled(number[order])[:, columns].astype(np.float32) for order in orders]
        self._null_rows = np.concatenate(nulls) if nulls else np.empty((0, self._rows.shape[1]), np.float32)
        self._number, self._first = number, first

    def measure(self, values: ArrayLike) -> Selectivity:
        """Measure units.

        Parameters
        ----------
        values : array_like, shape (n_samples, n_units)
            float32 is computed in float32.

        Returns
        -------
        Selectivity

        Raises
        ------
        ValueError
            If samples do not match or are not finite, or a condition has fewer than two trials.
        """
        values = _checked(values, self.indicator.shape[1])
        shares = self.shares(values)
        means = self._means(values, self.indicator)
        d, depth = self._held_out(values)
        return Selectivity(
            shares[0], p_values(shares, self.config.tail), means, means.argmax(axis=0), d, depth
        )

    def shares(self, values: NDArray) -> NDArray:
        """Eta squared of the conditions and of each permutation, shape ``(1 + n_permutations, n_units)``."""
        centred = values - values.mean(axis=0, dtype=float).astype(values.dtype)
        total = np.einsum("nu,nu->u", centred, centred)
        dead = total <= np.finfo(values.dtype).eps ** 1.5 * len(values) * np.abs(values).max(axis=0) ** 2
        if self._by_trial:
            centred = sums_by(centred, self._trial)
        k, total = len(self.conditions), np.where(dead, np.inf, total)
        found = explained(centred, self._rows, k, total)
        return np.concatenate([found, explained(centred, self._null_rows, k, total)])

    def _scaled(self, number: NDArray) -> NDArray:
        rows = np.eye(len(self.conditions))[number].T
        return rows / np.sqrt(rows.sum(axis=1, keepdims=True)).clip(1)

    def _means(self, values: NDArray, indicator: NDArray) -> NDArray:
        weights = indicator / indicator.sum(axis=1, keepdims=True)
        return weights.astype(values.dtype) @ values

    def _halves(self) -> list[NDArray]:
        """Indicators of two halves of the trials, half of every condition's trials in each."""
        draw = np.random.default_rng(self.config.seed + 1)
        half = np.empty(len(self._first), int)
        for condition in range(len(self.conditions)):
            members = np.flatnonzero(self._number[self._first] == condition)
            half[draw.permutation(members)] = (np.arange(len(members)) + draw.integers(2)) % 2
        halves = [self.indicator * (half[self._trial] == h) for h in (0, 1)]
        if min(h.sum(axis=1).min() for h in halves) < 1:
            few = self.conditions[np.min([h.sum(axis=1) for h in halves], axis=0) < 1]
            raise ValueError(
                f"conditions {few.tolist()} lack trials to choose on one half and measure on the other"
            )
        return halves

    def _held_out(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Separation and depth of the best and worst condition of the other half."""
        centre = values.mean(axis=0, dtype=float).astype(
            values.dtype
        )  # or squares of float32 lose the variance
        square, moments = (values - centre) ** 2, []
        for half in self._halves():
            mean, n = self._means(values, half), half.sum(axis=1)[:, None]
            variance = (self._means(square, half) - (mean - centre) ** 2).clip(0)
            moments.append((mean, variance * np.where(n > 1, n / np.maximum(n - 1, 1), np.nan)))
        unit, found = np.arange(values.shape[1]), []
        for (chosen, _), (mean, variance) in (moments, moments[::-1]):
            best, worst = (chosen.argmax(axis=0), unit), (chosen.argmin(axis=0), unit)
            spread = np.sqrt((variance[best] + variance[worst]) / 2)
            whole = mean[best] + mean[worst]
            depth = np.divide(
                mean[best] - mean[worst], whole, out=np.full(len(unit), np.nan), where=whole > 0
            )
            found.append((_ratio(mean[best] - mean[worst], spread), depth))
        d, depth = (sum(pair) / 2 for pair in zip(*found, strict=True))
        return d, np.where(values.min(axis=0) < 0, np.nan, depth)


def _ratio(difference: NDArray, spread: NDArray) -> NDArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / spread)


def _not_negative(responses: ArrayLike) -> NDArray:
    r = np.asarray(responses, float)
    if r.ndim != 2 or len(r) < 2 or not np.isfinite(r).all():
        raise ValueError(
            f"responses {r.shape} must be a finite table (condition, unit), two conditions or more"
        )
    if r.min() < 0:
        raise ValueError(
            f"a response is negative ({r.min():g}): this index has no bounds for activations of both signs; "
            "use eta_squared"
        )
    return r


def _checked(values: ArrayLike, n: int) -> NDArray:
    values = np.asarray(values)
    values = values if values.dtype == np.float32 else values.astype(float)
    if values.ndim != 2 or len(values) != n or not np.isfinite(values).all():
        raise ValueError(
            f"values {values.shape} must be a finite table of {n} samples with a column per unit"
        )
    return values
