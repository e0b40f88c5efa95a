"""Intervals: independent values, or test trials of several seeds, in; a confidence interval out.

Which source of chance an interval covers must be said beside it: :func:`bootstrap_interval` covers
the values it is given, :func:`hierarchical_interval` both seeds and trials. Randomness comes from
``seed`` alone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from neurolib.metrics.decoding import SquaredErrors

BLOCK = 2_000_000  # numbers drawn at a time, which bounds memory at a few times 16 MB


class Interval(NamedTuple):
    """An estimate with its confidence interval; shown as ``0.781 [0.750, 0.810]``.

    ``f"{interval:.2f}"`` gives another number of digits: ``0.78 [0.75, 0.81]``.

    Parameters
    ----------
    estimate, low, high : float
        In the unit of the score.
    level : float
        Nominal coverage.
    n : int
        How many values (seeds, for :func:`hierarchical_interval`) were resampled. Resampling
        fewer than about ten understates their spread, whatever the method.

    Examples
    --------
    >>> f"{Interval(0.781, 0.75, 0.81, 0.95, 10):.2f}"
    '0.78 [0.75, 0.81]'
    >>> Interval(0.781, 0.75, 0.81, 0.95, 10)
    0.781 [0.750, 0.810]
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int

    def __format__(self, spec: str) -> str:
        return f"{self.estimate:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __repr__(self) -> str:
        return f"{self:.3f}"


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., NDArray] = np.mean,
    n_resamples: int = 5000,
    seed: int = 0,
    method: str = "percentile",
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of a statistic of independent values.

    Parameters
    ----------
    values : array_like, shape (n,)
        Independent values: one per animal, session, seed or trial, never per overlapping window.
    statistic : callable
        ``statistic(array, axis=...)``, such as ``np.mean`` or ``np.median``.
    n_resamples : int
    seed : int
    method : {"percentile", "bca"}
        ``"bca"`` corrects for bias and skew; it needs a smooth statistic (not the median of few).
    level : float

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are fewer than two values, some are not finite, or ``method`` is unknown; with
        ``"bca"`` also if all values, or all resamples, agree.

    References
    ----------
    .. [1] Efron (1987), "Better bootstrap confidence intervals", J. Am. Stat. Assoc. 82, 171-185.

    Examples
    --------
    >>> bootstrap_interval([3.0, 3.0, 3.0])
    3.000 [3.000, 3.000]
    """
    values = _checked(values, "values")
    if method not in ("percentile", "bca"):
        raise ValueError(f"method={method!r} must be 'percentile' or 'bca'")
    draw, n = np.random.default_rng(seed), len(values)
    estimate = statistic(values, axis=0)
    resampled = np.concatenate(
        [statistic(values[draw.integers(0, n, (m, n))], axis=1) for m in _blocks(n_resamples, n)]
    )
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        tails = _bca_tails(values, statistic, estimate, resampled, tails)
    return Interval(float(estimate), *map(float, np.quantile(resampled, tails)), level, n)


def _bca_tails(
    values: NDArray, statistic: Callable[..., NDArray], estimate: float, resampled: NDArray, tails: NDArray
) -> NDArray:
    """Move the two quantiles by Efron's bias correction and acceleration."""
    left_out = np.array([statistic(np.delete(values, i), axis=0) for i in range(len(values))])
    pull = left_out.mean() - left_out
    below = ((resampled < estimate).mean() + (resampled <= estimate).mean()) / 2
    if not pull.any() or not 0 < below < 1:
        raise ValueError("BCa is undefined for values that all agree; use method='percentile'")
    bias, acceleration = ndtri(below), (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    shifted = bias + ndtri(tails)
    return ndtr(bias + shifted / (1 - acceleration * shifted))


def hierarchical_interval(
    by_seed: Sequence[SquaredErrors] | ArrayLike,
    baseline: Sequence[SquaredErrors] | ArrayLike | None = None,
    shared_trials: bool = True,
    folds: ArrayLike | None = None,
    n_resamples: int = 5000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a score averaged over seeds, by resampling seeds and trials.

    Each resample draws seeds, then trials, and computes every drawn seed's score anew from the
    drawn trials. What is generalised over is another seed *and* another set of test trials (of
    the same session, by models fitted to the same training trials).

    Parameters
    ----------
    by_seed : sequence of SquaredErrors, or array_like (n_seeds, n_trials)
        Test trials of each seed. Squared errors are scored by variance-weighted R², arrays by
        the mean over trials.
    baseline : like ``by_seed``, optional
        Another model on the same seeds and trials; the interval is then that of the difference
        ``by_seed - baseline``, each resample taking the same seeds and trials of both.
    shared_trials : bool
        True if trial ``i`` is the same trial for every seed: seeds and trials are then crossed,
        and one draw of trials serves all seeds. False if each "seed" is a session or subject
        with trials of its own: trials are then nested and drawn for each anew. To nest what is
        crossed averages the trials' chance away: with ten seeds, intervals of nominal 95 % then
        covered 58 % in simulation, crossed ones 93 %.
    folds : array_like, shape (n_trials,), optional
        Fold in which each trial was tested; trials are then redrawn within their fold. Only
        for shared trials.
    n_resamples, seed, level : int, int, float

    Returns
    -------
    Interval
        ``n`` is the number of seeds.

    Raises
    ------
    ValueError
        If there are fewer than two seeds or trials, or trials or baseline do not match.

    References
    ----------
    .. [1] Owen (2007), "The pigeonhole bootstrap", Ann. Appl. Stat. 1, 386-411 (crossed).
    .. [2] Saravanan, Berman & Sober (2020), "Application of the hierarchical bootstrap to
       multi-level data in neuroscience", Neurons Behav. Data Anal. Theory 3 (nested).

    Examples
    --------
    >>> scores = [[0.5, 0.5, 0.5], [0.75, 0.75, 0.75]]  # no spread over trials
    >>> hierarchical_interval(scores)  # resampled means of two seeds: 0.5, 0.625, 0.75
    0.625 [0.500, 0.750]
    """
    models = [_scorers(by_seed)] if baseline is None else [_scorers(by_seed), _scorers(baseline)]
    scores, sizes = zip(*models[0], strict=True)
    n_seeds = len(scores)
    if n_seeds < 2 or min(sizes) < 2:
        raise ValueError(f"{n_seeds} seeds with {min(sizes)} or more trials; resampling needs two of each")
    if shared_trials and len(set(sizes)) > 1:
        raise ValueError(
            f"seeds have {min(sizes)} to {max(sizes)} trials; pass shared_trials=False if they differ"
        )
    if baseline is not None:
        others, other_sizes = zip(*models[1], strict=True)
        if other_sizes != sizes:
            raise ValueError(
                f"baseline has trials {other_sizes} per seed, the model {sizes}; they must be paired"
            )
        scores = [
            lambda weights, ours=ours, theirs=theirs: ours(weights) - theirs(weights)
            for ours, theirs in zip(scores, others, strict=True)
        ]
    strata = np.zeros(sizes[0]) if folds is None else np.asarray(folds)
    if strata.shape != (sizes[0],) or (folds is not None and not shared_trials):
        raise ValueError(
            f"folds {strata.shape} must be one per trial ({sizes[0]}), of trials that seeds share"
        )

    draw, resampled = np.random.default_rng(seed), []
    for m in _blocks(n_resamples, max(sizes)):
        picked = draw.integers(0, n_seeds, (m, n_seeds))
        if shared_trials:
            weights = _trial_weights(draw, m, strata)
            by_draw = np.stack([score(weights) for score in scores], axis=1)  # (draw, seed)
            resampled.append(np.take_along_axis(by_draw, picked, axis=1).mean(axis=1))
        else:
            total = np.zeros(m)
            # A seed drawn twice stands for two seeds like it, so each slot draws trials of its own.
            for slot in range(n_seeds):
                for number, score in enumerate(scores):
                    rows = np.flatnonzero(picked[:, slot] == number)
                    total[rows] += score(_trial_weights(draw, len(rows), np.zeros(sizes[number])))
            resampled.append(total / n_seeds)
    estimate = np.mean([score(np.ones(size)) for score, size in zip(scores, sizes, strict=True)])
    bounds = np.quantile(np.concatenate(resampled), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), *map(float, bounds), level, n_seeds)


def _scorers(by_seed: Sequence[SquaredErrors] | ArrayLike) -> list[tuple[Callable[[NDArray], NDArray], int]]:
    """For each seed, a function from trial weights ``(..., n_trials)`` to scores, and n_trials."""
    scorers = []
    for errors in by_seed:
        if isinstance(errors, SquaredErrors):
            scorers.append((errors.r2, len(errors)))
        else:
            values = _checked(errors, "values of a seed")
            scorers.append(
                (lambda weights, values=values: weights @ values / weights.sum(axis=-1), len(values))
            )
    return scorers


def _trial_weights(draw: np.random.Generator, n_draws: int, strata: NDArray) -> NDArray:
    """How often each trial is drawn, shape ``(n_draws, n_trials)``, each stratum keeping its size."""
    weights = np.empty((n_draws, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n = len(members)
        flat = draw.integers(0, n, (n_draws, n)) + n * np.arange(n_draws)[:, None]
        weights[:, members] = np.bincount(flat.ravel(), minlength=n_draws * n).reshape(n_draws, n)
    return weights


def _checked(values: ArrayLike, name: str) -> NDArray:
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be two or more finite numbers in one row, got shape {values.shape}: {values}"
        )
    return values


def _blocks(n_resamples: int, width: int) -> list[int]:
    """Split resamples of ``width`` numbers each into blocks of at most ``BLOCK`` numbers."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples} must be positive")
    size = max(1, BLOCK // width)
    return [min(size, n_resamples - start) for start in range(0, n_resamples, size)]
