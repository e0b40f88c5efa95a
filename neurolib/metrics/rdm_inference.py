"""Inference on RDM comparisons: RDMs of models and of subjects in; intervals and tests for other stimuli, subjects or both out.

Which chance an interval covers is said by ``over``: other subjects shown these stimuli, these subjects shown other
stimuli, or both. All models are scored on the same resamples, so that their differences can be tested.

References
----------
.. [1] Nili et al. (2014), "A toolbox for representational similarity analysis", PLoS Comput. Biol. 10:e1003553.
.. [2] Schütt, Kipnis, Diedrichsen & Kriegeskorte (2023), "Statistical inference on representational geometries",
   eLife 12:e82566.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import t as student

from neurolib.metrics.intervals import Interval
from neurolib.metrics.rdm_comparison import (
    RDMs,
    ceiling_of,
    check_comparator,
    compare_rdms,
    embedded,
    n_stimuli,
    rdm_vectors,
)
from neurolib.metrics.rdm_resamples import FAST, resampled_scores

FACTORS = {"stimuli": ("stimuli",), "subjects": ("subjects",), "both": ("both", "subjects", "stimuli")}
LEAST = 20  # stimuli to generalise from
LOST = 0.05  # share of resamples that may have no score, as where all draws are of one subject


class PermutationNull(NamedTuple):
    """Scores of models, and those with stimuli permuted.

    Parameters
    ----------
    scores : array, shape (n_models,)
    p_values : array, shape (n_models,)
        ``(1 + #{null >= score}) / (1 + n_permutations)``; NaN where the score is.
    null : array, shape (n_permutations, n_models)
    """

    scores: NDArray
    p_values: NDArray
    null: NDArray


@dataclass(frozen=True)
class ScoreSpread:
    """Scores of models with what they would have been for other stimuli, subjects or both.

    Parameters
    ----------
    names : tuple of str
        Of models, and then ``"lower ceiling"``, ``"upper ceiling"`` if there are two subjects or more.
    estimates : array, shape (n_names,)
        Mean over subjects.
    by_subject : array, shape (n_models, n_subjects)
    evaluations : dict of str to array, shape (n_resamples, n_names)
        With ``"stimuli"``, ``"subjects"`` or ``"both"`` of them drawn anew, the same draws for all names.
    over, comparator : str
    n_stimuli, n_subjects : int
    """

    names: tuple[str, ...]
    estimates: NDArray
    by_subject: NDArray
    evaluations: dict[str, NDArray]
    over: str
    comparator: str
    n_stimuli: int
    n_subjects: int

    def interval(self, name: str, minus: str | None = None, level: float = 0.95) -> Interval:
        """Score of a model, or how much it exceeds another one or a ceiling on the same resamples.

        Student's t with one degree of freedom less than there are stimuli, subjects, or of both the fewer.
        """
        estimate, variance, dof = self._contrast(name, minus)
        reach = float(student.ppf((1 + level) / 2, dof)) * np.sqrt(variance)
        return Interval(estimate, estimate - reach, estimate + reach, level, dof + 1)

    def p_value(self, name: str, minus: str | None = None) -> float:
        """Chance of a score this far above zero (one-sided), or of a difference this large (two-sided)."""
        estimate, variance, dof = self._contrast(name, minus)
        t = estimate / np.sqrt(variance) if variance > 0 else np.nan
        return float(student.sf(t, dof) if minus is None else 2 * student.sf(abs(t), dof))

    def _contrast(self, name: str, minus: str | None) -> tuple[float, float, int]:
        weights = np.zeros(len(self.names))
        for each, sign in ((name, 1.0), (minus, -1.0)):
            if each is not None and each not in self.names:
                raise ValueError(f"no {each!r}; there are {', '.join(self.names)}")
            if each is not None:
                weights[self.names.index(each)] += sign
        used = np.flatnonzero(weights)
        variances = {}
        for factor, values in self.evaluations.items():
            drawn = values[:, used] @ weights[used]
            lost = ~np.isfinite(drawn)
            if lost.mean() > LOST:
                raise ValueError(
                    f"{name!r} or what it is compared with has no score in {lost.mean():.0%} of resamples of "
                    f"{factor}: too few subjects, or an RDM that sets too few stimuli apart"
                )
            variances[factor] = drawn[~lost].var(ddof=1)
        estimate = float(self.estimates[used] @ weights[used])
        if self.over == "both":
            variance = two_factor_variance(**variances, n_subjects=self.n_subjects, n_stimuli=self.n_stimuli)
            return estimate, variance, min(self.n_subjects, self.n_stimuli) - 1
        n = self.n_stimuli if self.over == "stimuli" else self.n_subjects
        return estimate, variances[self.over] * n / (n - 1), n - 1


def permutation_null(
    models: RDMs, subjects: RDMs, comparator: str = "rho_a", n_permutations: int = 1000, seed: int = 0
) -> PermutationNull:
    """Chance of each model's mean score over subjects: the same with the stimuli of the models permuted.

    The null is that models know nothing of *these* stimuli; it says nothing about others. All subjects and models see
    the same permutations, so models can be compared under them.

    Parameters
    ----------
    models, subjects : RDMs of shape (n_models, n_pairs) and (n_subjects, n_pairs)
    comparator : str
        As in :func:`compare_rdms`.
    n_permutations, seed : int

    Returns
    -------
    PermutationNull

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> subject = rng.random(45)
    >>> found = permutation_null([subject, rng.random(45)], subject, "pearson", 199)
    >>> bool(found.p_values[0] == 1 / 200 and found.p_values[1] > 0.05)
    True
    """
    first, second = rdm_vectors(models, "models"), rdm_vectors(subjects, "subjects")
    if n_permutations < 1:
        raise ValueError(f"n_permutations={n_permutations} must be positive")
    n, draw = n_stimuli(first.shape[1]), np.random.default_rng(seed)
    scores = compare_rdms(first, second, comparator).mean(axis=1)
    null = np.empty((n_permutations, len(first)))
    if comparator == "tau_a":
        squares = np.stack([squareform(vector, checks=False) for vector in first])
        upper = np.triu_indices(n, 1)
        for row in null:
            order = draw.permutation(n)
            row[:] = compare_rdms(squares[:, order][:, :, order][:, *upper], second, comparator).mean(axis=1)
    else:
        # Ranks, means and norms do not change with the order of stimuli, so only one product is left to compute.
        table = _square(embedded(second, comparator).mean(axis=0, keepdims=True), n)[0]
        rows = _square(embedded(first, comparator), n).reshape(len(first), -1)
        for row in null:
            order = draw.permutation(n)
            row[:] = rows @ table[np.ix_(order, order)].ravel()
    above = (null >= scores - 1e-12).sum(
        axis=0
    )  # a permutation that changes nothing counts, whatever its rounding
    p_values = np.where(np.isfinite(scores), (1 + above) / (1 + n_permutations), np.nan)
    return PermutationNull(scores, p_values, null)


def bootstrap_rdms(
    models: RDMs | Mapping[str, RDMs],
    subjects: RDMs,
    comparator: str = "rho_a",
    over: str = "both",
    n_resamples: int = 1000,
    seed: int = 0,
) -> ScoreSpread:
    """Draw stimuli, subjects or both anew, and score all models on the same draws.

    Parameters
    ----------
    models : RDMs of shape (n_models, n_pairs), or dict of name to RDM
    subjects : RDMs of shape (n_subjects, n_pairs)
    comparator : str
        As in :func:`~neurolib.metrics.rdm_comparison.compare_rdms`, but not ``"tau_a"``, whose place ``"rho_a"`` takes.
    over : {"both", "subjects", "stimuli"}
        What conclusions are to hold for more of: with ``"subjects"``, for other subjects shown these stimuli; with
        ``"stimuli"``, for these subjects shown others.
    n_resamples, seed : int

    Returns
    -------
    ScoreSpread

    Raises
    ------
    ValueError
        If there are fewer than 20 stimuli, or 2 subjects, to generalise from, or RDMs do not match.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(300)  # pairs of 25 stimuli
    >>> subjects = truth + 0.3 * rng.random((5, 300))
    >>> spread = bootstrap_rdms({"true": truth, "other": rng.random(300)}, subjects, n_resamples=200)
    >>> spread.interval("true", minus="other").low > 0 and spread.p_value("other") > 0.05
    True
    """
    if isinstance(models, Mapping):
        names = tuple(models)
        first = np.concatenate([rdm_vectors(rdm, f"model {name!r}:") for name, rdm in models.items()])
    else:
        first = rdm_vectors(models, "models")
        names = tuple(f"model {i}" for i in range(len(first)))
    second = rdm_vectors(subjects, "subjects")
    check_comparator(comparator, FAST)
    if over not in FACTORS:
        raise ValueError(f"over={over!r} must be one of {', '.join(FACTORS)}")
    if len(names) != len(first) or n_resamples < 2:
        raise ValueError(
            f"{len(first)} RDMs for {len(names)} models, n_resamples={n_resamples} (two or more)"
        )
    by_subject = compare_rdms(first, second, comparator)
    n, n_subjects = n_stimuli(first.shape[1]), len(second)
    if over != "subjects" and n < LEAST:
        raise ValueError(
            f"{n} stimuli are too few to stand for others; {LEAST} are needed, or over='subjects', or permutation_null"
        )
    if over != "stimuli" and n_subjects < 2:
        raise ValueError("one subject cannot stand for others; over='stimuli' generalises over stimuli alone")
    draw = np.random.default_rng(seed)
    stimuli = _counts(draw.integers(0, n, (n_resamples, n)))
    people = _counts(draw.integers(0, n_subjects, (n_resamples, n_subjects)))
    ones = np.ones((1, n_subjects))
    whole = np.ones((1, n))
    scored = {
        rows: resampled_scores(first, second, weights, comparator)
        for rows, weights in (("all", whole), ("drawn", stimuli))
        if rows == "all" or over != "subjects"
    }
    evaluations = {}
    for factor in FACTORS[over]:
        scores = scored["all" if factor == "subjects" else "drawn"]
        evaluations[factor] = _summary(*scores, ones if factor == "stimuli" else people)
    estimates = _summary(*scored["all"], ones)[0]
    if n_subjects > 1:
        names += ("lower ceiling", "upper ceiling")
    return ScoreSpread(names, estimates, by_subject, evaluations, over, comparator, n, n_subjects)


def two_factor_variance(
    both: float, subjects: float, stimuli: float, n_subjects: int | None = None, n_stimuli: int | None = None
) -> float:
    r"""Variance of a score over subjects and stimuli from bootstraps over both, and over each alone.

    Drawing both anew counts what they do together three times, each one alone counts it once, so

    .. math::
        V = 2 (V_s + V_p) - V_b, \qquad\text{or of few}\quad V = \frac{S V_s}{S-1} + \frac{n V_p}{n-1}
        - \frac{n S (V_b - V_s - V_p)}{(n-1)(S-1)}

    kept between the larger of the first two terms and their sum. To keep it below :math:`V_b`, as is done elsewhere,
    undoes the correction for few: it is too small itself, by a tenth for a mean over 4 subjects and 6 stimuli.

    Parameters
    ----------
    both, subjects, stimuli : float
        Bootstrap variances :math:`V_b, V_s, V_p`.
    n_subjects, n_stimuli : int, optional
        :math:`S, n`, for the second formula.

    References
    ----------
    .. [1] Schütt, Kipnis, Diedrichsen & Kriegeskorte (2023), eLife 12:e82566.

    Examples
    --------
    >>> two_factor_variance(6.0, 2.0, 3.0)
    4.0
    """
    few, many, together = subjects, stimuli, both - subjects - stimuli
    if n_subjects is not None and n_stimuli is not None:
        few, many = few * n_subjects / (n_subjects - 1), many * n_stimuli / (n_stimuli - 1)
        together *= n_subjects / (n_subjects - 1) * n_stimuli / (n_stimuli - 1)
    return float(max(few + many - max(together, 0.0), few, many))


def _counts(indices: NDArray) -> NDArray:
    """How often each was drawn, ``(n_resamples, n)``, from indices of the same shape."""
    m, n = indices.shape
    return (
        np.bincount((indices + n * np.arange(m)[:, None]).ravel(), minlength=m * n)
        .reshape(m, n)
        .astype(float)
    )


def _summary(scores: NDArray, agreement: NDArray, reach: NDArray, people: NDArray) -> NDArray:
    """Mean over drawn subjects of each model's scores and the ceilings, ``(n_resamples, n_names)``."""
    mean = (scores * people[:, None, :]).sum(axis=2) / people.sum(axis=1)[:, None]
    if people.shape[1] < 2:
        return mean
    return np.concatenate([mean, ceiling_of(agreement, people, reach).T], axis=1)


def _square(rows: NDArray, n: int) -> NDArray:
    """Embedded rows as tables ``(n_rdms, n, n)`` with the same products."""
    if rows.shape[1] == n * n:
        return rows.reshape(-1, n, n)
    return np.stack([squareform(row, checks=False) for row in rows]) / math.sqrt(2)
