r"""RDM comparison: dissimilarities ``(rdm, pair)`` of the same stimuli in, how alike they are and could be out.

Pairs are the upper triangle row by row, so none is counted twice and no stimulus is compared with itself. Pairs share
stimuli, so they are not independent and the p-value of an ordinary correlation means nothing: chance comes from
permuting stimuli, spread from resampling them: :mod:`neurolib.metrics.rdm_inference`.

References
----------
.. [1] Kriegeskorte, Mur & Bandettini (2008), "Representational similarity analysis", Front. Syst. Neurosci. 2:4.
.. [2] Nili et al. (2014), "A toolbox for representational similarity analysis", PLoS Comput. Biol. 10:e1003553.
.. [3] Diedrichsen et al. (2021), "Comparing representational geometries using whitened unbiased-distance-matrix
   similarity", Neurons Behav. Data Anal. Theory, arXiv:2007.02789.
.. [4] Schütt, Kipnis, Diedrichsen & Kriegeskorte (2023), "Statistical inference on representational geometries",
   eLife 12:e82566.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, rankdata

from neurolib.metrics.dissimilarity import RDM

COMPARATORS = ("rho_a", "spearman", "tau_a", "pearson", "cosine", "whitened_pearson", "whitened_cosine")
RANKS = ("rho_a", "spearman", "tau_a")
LEAST = 4  # stimuli; three have as many pairs, and any two RDMs of them look alike
FLAT = 1e-12  # relative spread below which dissimilarities are all the same, to rounding

RDMs = RDM | Sequence[RDM] | ArrayLike


class NoiseCeiling(NamedTuple):
    """What a perfect model could score, given that subjects differ; a range, since the truth is unknown.

    Parameters
    ----------
    lower, upper : float
        Mean score of each subject's RDM with the pooled RDM of the others, and of all.
    n : int
        Subjects, or repeats of the only one.
    reason : str
        Why there is none, if there is none.
    """

    lower: float
    upper: float
    n: int
    reason: str = ""


def compare_rdms(rdms: RDMs, others: RDMs | None = None, comparator: str = "rho_a") -> NDArray:
    r"""Similarity of every RDM with every other.

    Parameters
    ----------
    rdms, others : RDM, sequence of RDM, or array_like of shape (n_pairs,) or (n_rdms, n_pairs)
        Of the same stimuli in the same order; ``others`` are ``rdms`` if not given.
    comparator : str
        ``"rho_a"``: :math:`12 \sum (r_i - \bar r)(s_i - \bar s) / (m^3 - m)` of mid-ranks, Spearman's correlation
        averaged over every way to break ties; ``"tau_a"``: Kendall's, likewise without reward for ties; both are
        fair to models of categories, which ``"spearman"`` favours for tying. ``"pearson"``; ``"cosine"``, for
        dissimilarities with a true zero; ``"whitened_cosine"``, ``"whitened_pearson"``: the same with the covariance
        that pairs have because they share stimuli taken out. The whitened cosine of squared Euclidean RDMs is linear
        CKA with its bias, and of crossnobis RDMs without it.

    Returns
    -------
    array, shape (n_rdms, n_others)
        NaN for an RDM that tells no pairs apart (for cosines: that is zero).

    Raises
    ------
    ValueError
        If RDMs are not of the same four or more stimuli, hold NaN, or the comparator is unknown.

    Examples
    --------
    >>> animate = [0, 1, 1, 1, 1, 0]  # stimuli 1, 2 | 3, 4
    >>> measured = [1.0, 5.0, 3.0, 4.0, 6.0, 2.0]
    >>> compare_rdms(animate, measured, "rho_a").round(3)  # 12 x (4 x 1 + 2 x 2) / (216 - 6), half-ranks off the mean
    array([[0.686]])
    >>> compare_rdms(animate, measured, "spearman").round(3)
    array([[0.828]])
    """
    first = rdm_vectors(rdms)
    second = first if others is None else rdm_vectors(others, "others")
    _check(first, second, comparator)
    if comparator == "tau_a":
        return np.array([[_tau_a(a, b) for b in second] for a in first])
    return embedded(first, comparator) @ embedded(second, comparator).T


def pooled_rdm(subjects: RDMs, comparator: str = "rho_a") -> NDArray:
    """The RDM that agrees best with all of several, ``(n_pairs,)``: their mean in what the comparator looks at.

    Examples
    --------
    >>> pooled_rdm([[1, 2, 3, 4, 5, 6], [10, 20, 30, 40, 60, 50]], "rho_a")
    array([1. , 2. , 3. , 4. , 5.5, 5.5])
    """
    vectors = rdm_vectors(subjects, "subjects")
    _check(vectors, vectors, comparator)
    if comparator in RANKS:
        return rankdata(vectors, axis=1).mean(axis=0)
    if comparator == "cosine":
        return (vectors / _norm(vectors)).mean(axis=0)
    if comparator == "pearson":
        vectors = vectors - vectors.mean(axis=1, keepdims=True)
        return (vectors / _norm(vectors)).mean(axis=0)
    return (vectors / _norm(_centred_gram(vectors, comparator))).mean(axis=0)


def noise_ceiling(subjects: RDMs, comparator: str = "rho_a") -> NoiseCeiling:
    """How well subjects agree with their pool, with themselves in it (upper) and not (lower).

    Pooled ranks are a mean of ranks and not ranked again, so that for correlations the upper value is a bound that no
    RDM can pass; ranked again, it would be lower by some thousandths.

    Parameters
    ----------
    subjects : RDMs of shape (n_subjects, n_pairs), or array_like of shape (n_subjects, n_repeats, n_pairs)
        Repeats of several subjects are averaged. Of one subject, repeats take the place of subjects; the ceiling is
        then that of single repeats.
    comparator : str
        As in :func:`compare_rdms`.

    Returns
    -------
    NoiseCeiling
        NaN with a reason for one subject without repeats.

    Examples
    --------
    >>> noise_ceiling([[1.0, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5]], "pearson")  # lower: their correlation of 33/35
    NoiseCeiling(lower=0.942..., upper=0.985..., n=2, reason='')
    >>> noise_ceiling([1.0, 2, 3, 4, 5, 6]).reason
    'one subject without repeats has no noise ceiling'
    """
    if not isinstance(subjects, RDM) and not _are_rdms(subjects) and np.ndim(subjects) == 3:
        stack = np.asarray(subjects, float)
        subjects = stack[0] if len(stack) == 1 else stack.mean(axis=1)
    vectors = rdm_vectors(subjects, "subjects")
    _check(vectors, vectors, comparator)
    n = len(vectors)
    if n < 2:
        return NoiseCeiling(math.nan, math.nan, n, "one subject without repeats has no noise ceiling")
    if comparator == "tau_a":
        upper = compare_rdms(vectors, pooled_rdm(vectors, "tau_a"), "tau_a").mean()
        rest = [pooled_rdm(np.delete(vectors, k, axis=0), "tau_a") for k in range(n)]
        lower = np.mean([_tau_a(vector, pool) for vector, pool in zip(vectors, rest, strict=True)])
    else:
        lower, upper = ceiling_of(compare_rdms(vectors, None, comparator))
    missing = "" if np.isfinite(upper) else "the RDM of a subject tells no pairs apart"
    return NoiseCeiling(float(lower), float(upper), n, missing)


def ceiling_of(similarity: NDArray, counts: NDArray | None = None, reach: ArrayLike = 1.0) -> NDArray:
    """Lower and upper ceiling from how alike subjects are, each of them drawn so often.

    Parameters
    ----------
    similarity : array, shape (..., n_subjects, n_subjects)
        Products of what the comparator looks at; not for ``"tau_a"``.
    counts : array, shape (..., n_subjects), optional
        How often a subject was drawn; a drawn subject's copies are left out together.
    reach : array_like, shape (...)
        Length that the best RDM can have; below 1 for ``"rho_a"`` with ties that no model can break.

    Returns
    -------
    array, shape (2, ...)
    """
    n = similarity.shape[-1]
    counts = np.ones(n) if counts is None else np.asarray(counts, float)
    row = (similarity * counts[..., None, :]).sum(-1)  # with the pool of all
    total = (row * counts).sum(-1)
    own = np.diagonal(similarity, axis1=-2, axis2=-1)
    alone = row - counts * own
    left = total[..., None] - 2 * counts * row + counts**2 * own
    drawn, n_drawn = counts > 0, counts.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.sqrt(total) / n_drawn
        lower = (
            np.where(drawn, counts * alone / np.sqrt(np.where(left > FLAT, left, np.nan)), 0).sum(-1)
            / n_drawn
        )
    return np.stack(np.broadcast_arrays(lower * reach, upper * reach))


def embedded(vectors: NDArray, comparator: str) -> NDArray:
    """What a comparator looks at, ``(n_rdms, n_features)``: the product of two rows is their similarity.

    Features are pairs, or for whitened comparators entries of a centred Gram matrix; rows that tell nothing are NaN.
    """
    if comparator in RANKS:
        ranks = rankdata(vectors, axis=1)
        m = vectors.shape[1]
        ranks[np.ptp(vectors, axis=1) <= FLAT * abs(vectors).max(axis=1)] = np.nan
        ranks -= (m + 1) / 2
        return ranks / (_norm(ranks) if comparator == "spearman" else math.sqrt((m**3 - m) / 12))
    if comparator.startswith("whitened"):
        gram = _centred_gram(vectors, comparator)
        return gram / _norm(gram, vectors)
    centred = vectors if comparator == "cosine" else vectors - vectors.mean(axis=1, keepdims=True)
    return centred / _norm(centred, vectors)


def rdm_vectors(rdms: RDMs, name: str = "rdms") -> NDArray:
    """Dissimilarities as a table ``(n_rdms, n_pairs)`` in double precision, checked.

    Raises
    ------
    ValueError
        If there are not as many values as four or more stimuli have pairs, some are not finite, or RDMs have other
        conditions than the first.

    Examples
    --------
    >>> rdm_vectors(range(6)).shape
    (1, 6)
    """
    if isinstance(rdms, RDM):
        rdms = [rdms]
    if _are_rdms(rdms):
        for i, rdm in enumerate(rdms):
            if not np.array_equal(rdm.conditions, rdms[0].conditions):
                raise ValueError(
                    f"{name} {i} has other conditions than {name} 0, or another order; use RDM.subset"
                )
        rdms = [rdm.values for rdm in rdms]
    vectors = np.atleast_2d(np.asarray(rdms, float))
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(
            f"{name} has shape {vectors.shape}; want (n_rdms, n_pairs), the upper triangles row by row"
        )
    if (
        vectors.shape[0] == vectors.shape[1]
        and not np.diag(vectors).any()
        and np.allclose(vectors, vectors.T)
    ):
        raise ValueError(
            f"{name} looks like one square table {vectors.shape}; give its upper triangle, row by row"
        )
    n = n_stimuli(vectors.shape[1])
    if n < LEAST:
        raise ValueError(f"{name} is of {n} stimuli; RDMs of fewer than {LEAST} cannot be compared")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        count = int((~np.isfinite(vectors[bad[0]])).sum())
        raise ValueError(
            f"{name} {bad[0]} holds NaN or infinity for {count} of {vectors.shape[1]} pairs; a stimulus that no "
            "channel responds to has no correlation distance"
        )
    return vectors


def n_stimuli(n_pairs: int) -> int:
    """How many stimuli have so many pairs.

    Examples
    --------
    >>> n_stimuli(4186)
    92
    """
    n = (1 + math.isqrt(1 + 8 * n_pairs)) // 2
    if n * (n - 1) // 2 != n_pairs:
        raise ValueError(
            f"{n_pairs} values are not the pairs of any number of stimuli ({n} have {n * (n - 1) // 2})"
        )
    return n


def check_comparator(comparator: str, known: Sequence[str] = COMPARATORS) -> None:
    """Refuse an unknown comparator."""
    if comparator not in known:
        raise ValueError(f"comparator={comparator!r} must be one of {', '.join(known)}")


def _are_rdms(rdms: RDMs) -> bool:
    return isinstance(rdms, Sequence) and len(rdms) > 0 and isinstance(rdms[0], RDM)


def _check(first: NDArray, second: NDArray, comparator: str) -> None:
    check_comparator(comparator)
    if first.shape[1] != second.shape[1]:
        sizes = n_stimuli(first.shape[1]), n_stimuli(second.shape[1])
        raise ValueError(
            f"RDMs of {sizes[0]} and {sizes[1]} stimuli; they must be of the same, in the same order"
        )


def _norm(vectors: NDArray, before: NDArray | None = None) -> NDArray:
    """Norm of each row, NaN where it is zero, or rounding of what it was before."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = 0.0 if before is None else FLAT * np.linalg.norm(before, axis=1, keepdims=True)
    return np.where(norm > scale, norm, np.nan)


def _centred_gram(vectors: NDArray, comparator: str) -> NDArray:
    """Gram matrices about the mean stimulus, flat, ``(n_rdms, n_stimuli ** 2)``: covariances of pairs are gone there."""
    if comparator == "whitened_pearson":
        vectors = vectors - vectors.mean(axis=1, keepdims=True)
    gram = -0.5 * np.stack([squareform(vector, checks=False) for vector in vectors])
    gram -= gram.mean(axis=1, keepdims=True)
    gram -= gram.mean(axis=2, keepdims=True)
    return gram.reshape(len(vectors), -1)


def _tau_a(a: NDArray, b: NDArray) -> float:
    """Kendall's tau a from tau b, which divides by pairs that are not tied."""
    total = len(a) * (len(a) - 1) / 2
    free = [total - sum(t * (t - 1) / 2 for t in np.unique(v, return_counts=True)[1]) for v in (a, b)]
    if min(free) == 0:
        return math.nan
    return float(kendalltau(a, b).statistic * math.sqrt(free[0] * free[1]) / total)
