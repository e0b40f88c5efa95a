"""Ensembles: the members' probabilities ``(n_members, ..., n_outcomes)`` in, how far they disagree out.

The forecast of an ensemble is the mean of its members' probabilities.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr


class EnsembleEntropy(NamedTuple):
    """Entropy of an ensemble's mean forecast, in nats: ``total = aleatoric + epistemic``.

    Parameters
    ----------
    total : array
        Entropy of the mean of the probabilities.
    aleatoric : array
        Mean of the members' entropies.
    epistemic : array
        What is left: mutual information of outcome and member, at most ``log(n_members)``.
    """

    total: NDArray
    aleatoric: NDArray
    epistemic: NDArray


def entropy_decomposition(probabilities: ArrayLike) -> EnsembleEntropy:
    """Split the entropy of an ensemble's mean into the members' own and their disagreement.

    Parameters
    ----------
    probabilities : array_like, shape (n_members, ..., n_outcomes)
        Each sums to 1 over the last axis.

    Returns
    -------
    EnsembleEntropy
        Arrays of shape ``(...)``, in nats.

    Raises
    ------
    ValueError
        If probabilities are negative or do not sum to 1.

    References
    ----------
    .. [1] Depeweg et al. (2018), "Decomposition of uncertainty in Bayesian deep learning for
       efficient and risk-sensitive learning", ICML.

    Examples
    --------
    >>> parts = entropy_decomposition([[1.0, 0.0], [0.0, 1.0]])  # two members, each sure
    >>> float(parts.aleatoric), round(float(parts.epistemic), 4)  # ln 2
    (0.0, 0.6931)
    """
    p = _checked_distributions(probabilities)
    total = entr(p.mean(axis=0)).sum(axis=-1)
    aleatoric = entr(p).sum(axis=-1).mean(axis=0)
    return EnsembleEntropy(total, aleatoric, total - aleatoric)


def pairwise_diversity(probabilities: ArrayLike) -> NDArray:
    """Mean Jensen-Shannon divergence over pairs of members, in nats: an ensemble's diversity.

    Unlike the epistemic entropy its scale does not depend on the number of members.

    Parameters
    ----------
    probabilities : array_like, shape (n_members, ..., n_outcomes)
        Two members or more.

    Returns
    -------
    array, shape (...)
        From 0 (all alike) to ``ln 2`` (disjoint).

    Raises
    ------
    ValueError
        As :func:`entropy_decomposition`, and for a single member.

    References
    ----------
    .. [1] Lin (1991), "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory
       37, 145-151.

    Examples
    --------
    >>> round(float(pairwise_diversity([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]) / np.log(2)), 4)  # 2 of 3 pairs
    0.6667
    """
    p = _checked_distributions(probabilities)
    if len(p) < 2:
        raise ValueError("diversity needs two members or more")
    own = entr(p).sum(axis=-1)
    pairs = [
        entr((p[i] + p[j]) / 2).sum(axis=-1) - (own[i] + own[j]) / 2 for i in range(len(p)) for j in range(i)
    ]
    return np.mean(pairs, axis=0)


def _checked_distributions(probabilities: ArrayLike) -> NDArray:
    p = np.asarray(probabilities, float)
    if p.ndim < 2 or not (p >= 0).all() or not np.allclose(p.sum(axis=-1), 1, atol=1e-4):
        raise ValueError(
            f"probabilities {p.shape} must be (member, ..., outcome), not negative, with sums of 1 over the "
            "last axis; are they log-probabilities?"
        )
    return p
