r"""Superposition: directions of features ``(feature, channel)`` in, how far they share the channels out.

What a feature is has to be named: rows of an embedding or an unembedding, atoms of a dictionary, means of classes.
Activations are no features.

References
----------
.. [1] Elhage et al. (2022), "Toy models of superposition", arXiv:2209.10652.
.. [2] Liu, Liu & Gore (2025), "Superposition yields robust neural scaling", arXiv:2505.10465.
.. [3] Welch (1974), "Lower bounds on the maximum cross correlation of signals", IEEE Trans. Inf. Theory 20.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 2048  # features compared at a time


@dataclass(frozen=True)
class Superposition:
    r"""How features share channels.

    Attributes
    ----------
    norms : array, shape (n_features,)
        Length of each direction.
    dimensionality : array, shape (n_features,)
        :math:`\lVert W_i \rVert^2 / \sum_j (\hat W_i \cdot W_j)^2`: 1 for a feature with a direction of its own, a
        half for two that share one. NaN for a feature of no length.
    interference : array, shape (n_features,)
        :math:`\sum_{j \ne i} (\hat W_i \cdot W_j)^2`, what the others put on its direction.
    overlap : float
        Mean squared cosine of two features, after their mean is taken away where that was asked for.
    chance : float
        The same of random directions, one over the number of channels.
    welch : float
        The least that so many features can have; 0 where they fit without overlap.
    n_channels : int
    """

    norms: NDArray
    dimensionality: NDArray
    interference: NDArray
    overlap: float
    chance: float
    welch: float
    n_channels: int

    @property
    def n_features(self) -> int:
        """Features, those of no length included."""
        return len(self.norms)

    @property
    def channels_per_feature(self) -> float:
        r"""Channels over the represented mass, :math:`m / \lVert W \rVert_F^2`; means something where norms are calibrated to 1."""
        return self.n_channels / float(np.square(self.norms).sum())

    def share_represented(self, threshold: float = 0.5) -> float:
        """Share of features longer than a threshold; means something where norms are calibrated to 1."""
        return float((self.norms > threshold).mean())


def superposition(features: ArrayLike, centre: bool = False, block: int = BLOCK) -> Superposition:
    """Norms, shared dimensions and interference of features.

    Parameters
    ----------
    features : array_like, shape (n_features, n_channels)
    centre : bool
        Take the mean feature away first, as for embeddings, whose mean is large and common to all.
    block : int
        Features compared at a time; no table of all pairs is made.

    Raises
    ------
    ValueError
        If there are fewer than two features, or they hold NaN.

    Examples
    --------
    Two features with a direction each, and two that share one, pointing opposite ways:

    >>> found = superposition([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]])
    >>> found.dimensionality.tolist(), found.interference.tolist()
    ([1.0, 1.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0])
    """
    w = np.asarray(features, float)
    if w.ndim != 2 or len(w) < 2 or not w.shape[1]:
        raise ValueError(f"features {w.shape}; want two or more directions (feature, channel)")
    if not np.isfinite(w).all():
        raise ValueError(f"feature {int(np.argmax(~np.isfinite(w).all(axis=1)))} holds NaN or infinity")
    w = w - w.mean(axis=0) if centre else w
    norms = np.linalg.norm(w, axis=1)
    unit = w / np.where(norms > 0, norms, np.nan)[:, None]
    onto = np.concatenate(
        [np.square(unit[start : start + block] @ w.T).sum(axis=1) for start in range(0, len(w), block)]
    )
    real = unit[norms > 0]
    return Superposition(
        norms,
        norms**2 / onto,
        onto - norms**2,
        mean_overlap(real) if len(real) > 1 else math.nan,
        1 / w.shape[1],
        welch_bound(len(real), w.shape[1]),
        w.shape[1],
    )


def mean_overlap(directions: ArrayLike) -> float:
    r"""Mean squared cosine of two different directions, from :math:`\lVert U^\top U \rVert_F^2` and no table of pairs.

    Parameters
    ----------
    directions : array_like, shape (n, n_channels)
        Of any length but zero: features, task vectors, what heads write.

    Examples
    --------
    >>> mean_overlap([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])  # cosines 0, and twice the root of a half
    0.3333333333333333
    """
    u = np.asarray(directions, float)
    norms = np.linalg.norm(u, axis=1, keepdims=True)
    if len(u) < 2 or not (norms > 0).all():
        raise ValueError(
            f"{len(u)} directions, {int((norms == 0).sum())} of no length; want two or more of some length"
        )
    u = u / norms
    table = u.T @ u if u.shape[1] <= len(u) else u @ u.T
    return float((np.square(table).sum() - len(u)) / (len(u) * (len(u) - 1)))


def welch_bound(n: int, n_channels: int) -> float:
    """Least mean squared cosine that ``n`` directions can have.

    Examples
    --------
    >>> welch_bound(3, 2), welch_bound(2, 2)
    (0.25, 0.0)
    """
    return max(0.0, (n - n_channels) / (n_channels * (n - 1))) if n > 1 else 0.0
