"""Do features come back: dictionaries of several seeds in, cosines of matched atoms beside those of chance, out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

SHARED = 0.7  # cosine above which two seeds are said to have found the same feature


class Stability(NamedTuple):
    """Which features come back from other seeds.

    Parameters
    ----------
    per_feature : array, shape (n_features,)
        Mean over the other dictionaries of the cosine to the partner in the best one-to-one matching, of the
        features of the first dictionary.
    mean, shared : float
        Mean over matched features and all pairs of dictionaries of that cosine; share of them above 0.7.
    null : array
        ``mean`` of dictionaries of random atoms, directions of a Gaussian that is as wide in every direction
        as the atoms are: in few dimensions any two dictionaries are alike.
    level : float
        Cosine that one in twenty of these random atoms reaches.
    """

    per_feature: NDArray
    mean: float
    shared: float
    null: NDArray
    level: float


def stability(dictionaries: Sequence[Tensor], n_null: int = 20, seed: int = 0) -> Stability:
    """Match the atoms of dictionaries that differ in their seed, one to one.

    Parameters
    ----------
    dictionaries : sequence of Tensor, shape (n_features, n_channels)
        Atoms; leave out the dead. Sizes may differ: what finds no partner counts as 0.
    n_null : int
        Pairs of random dictionaries.
    seed : int

    References
    ----------
    .. [1] Paulo & Belrose (2025), "Sparse autoencoders trained on the same data learn different features",
       arXiv 2501.16615.

    Examples
    --------
    >>> import torch
    >>> found = stability([torch.eye(3), torch.eye(3)[[2, 0, 1]]])
    >>> found.per_feature.tolist(), found.shared
    ([1.0, 1.0, 1.0], 1.0)
    """
    sets = [F.normalize(atoms.detach().double().cpu(), dim=1).numpy() for atoms in dictionaries]
    if len(sets) < 2:
        raise ValueError(f"{len(sets)} dictionary; stability needs two seeds or more")
    pairs = [_matched(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
    draw, moments = np.random.default_rng(seed), np.linalg.cholesky(_scatter(np.concatenate(sets)))

    def surrogate(n: int) -> NDArray:
        atoms = draw.normal(size=(n, len(moments))) @ moments.T
        return atoms / np.linalg.norm(atoms, axis=1, keepdims=True)

    null = [_matched(surrogate(len(sets[0])), surrogate(len(sets[1]))) for _ in range(n_null)]
    return Stability(
        per_feature=np.mean([_matched(sets[0], other) for other in sets[1:]], axis=0),
        mean=float(np.mean([pair.mean() for pair in pairs])),
        shared=float(np.mean([(pair > SHARED).mean() for pair in pairs])),
        null=np.array([pair.mean() for pair in null]),
        level=float(np.quantile(np.concatenate(null), 0.95)),
    )


def _scatter(directions: NDArray, n_steps: int = 50) -> NDArray:
    """Covariance, up to a factor, of the Gaussian whose directions are ``(n, d)`` (Tyler's estimator)."""
    n, d = directions.shape
    share = max(1e-3, 1 - 0.9 * n / d)  # of the identity; without any, there is no estimate from few
    scatter = np.eye(d)
    for _ in range(n_steps):
        weight = d / np.einsum("nd,nd->n", directions, np.linalg.solve(scatter, directions.T).T)
        scatter = (1 - share) * (directions * weight[:, None]).T @ directions / n + share * np.eye(d)
        scatter *= d / np.trace(scatter)
    return scatter


def _matched(a: NDArray, b: NDArray) -> NDArray:
    """Cosine of each row of ``a`` to its partner in ``b``."""
    cosine = a @ b.T
    rows, columns = linear_sum_assignment(-cosine)
    matched = np.zeros(len(a))
    matched[rows] = cosine[rows, columns]
    return matched
