"""Dimensionality: activations ``(samples, units)`` in, how many directions they spread over out.

Linear measures count axes of a covariance, neighbour distances count the coordinates of a curved sheet.
All of them depend on how many samples there are, so the number stands beside the result.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.neighbors import NearestNeighbors


class IntrinsicDimension(NamedTuple):
    """What :func:`intrinsic_dimension` found; neither is free of bias, so read them as lower bounds.

    Parameters
    ----------
    two_nn : float
        From ratios of the second to the first neighbour's distance, the finest scale.
    levina_bickel : float
        Maximum likelihood over ``k`` neighbours, a coarser scale.
    n_samples : int
        Distinct samples used.
    """

    two_nn: float
    levina_bickel: float
    n_samples: int


def participation_ratio(
    activations: ArrayLike, debiased: bool = True, groups: ArrayLike | None = None
) -> float:
    """Participation ratio ``(tr C)² / tr C²`` of the covariance: k for equal variance in k directions.

    The eigenvalues of few samples are unequal by chance, so the naive ratio of ``n`` samples is about
    ``1 / (1 / n + 1 / ratio)``. Debiased, numerator and denominator are U-statistics over samples that
    differ, unbiased each; with groups over samples of different groups, because neighbours in time are
    alike and make the ratio small, too.

    Parameters
    ----------
    activations : array_like, shape (n, n_units)
        Independent samples, or with groups.
    debiased : bool
    groups : array_like, shape (n,), optional
        Trial of each sample, all equally good representatives; for the debiased form only.

    Returns
    -------
    float
        nan if ``tr C²`` is not estimated to be positive, as among very few samples of many dimensions.

    Raises
    ------
    ValueError
        If the table is too small (4 samples, or groups), not finite or constant.

    References
    ----------
    .. [1] Gao et al. (2017), "A theory of multineuronal dimensionality, dynamics and measurement", bioRxiv
       214262.
    .. [2] Song, Smola, Gretton, Bedo & Borgwardt (2012), "Feature selection via dependence maximization",
       JMLR 13, 1393-1434 (the unbiased denominator).

    Examples
    --------
    >>> x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    >>> participation_ratio(x, debiased=False)  # two equal variances
    2.0
    """
    x = _centred(activations)
    if not debiased:
        return float((x**2).sum() ** 2 / _square_norm(x))
    n = len(x)
    if groups is not None:
        return _between_groups(x, groups)
    if n < 4:
        raise ValueError(f"{n} samples; the debiased ratio needs four")
    own = (x**2).sum(axis=1)  # |x_i|²; rows of the centred Gram matrix sum to 0, so these and |K|² are all
    trace, own_square, gram = own.sum(), (own**2).sum(), _square_norm(x)
    inner = gram - own_square + trace**2 / ((n - 1) * (n - 2)) - 2 * own_square / (n - 2)
    square = inner / (n * (n - 3))  # tr C²
    distance = 2 * n * trace
    rows = ((n * own + trace) ** 2).sum()
    squares = 2 * n * own_square + 2 * trace**2 + 4 * gram
    pairs = distance**2 - 4 * rows + 2 * squares  # products of squared distances of four different samples
    traces = pairs / (4 * n * (n - 1) * (n - 2) * (n - 3))  # (tr C)²
    return float(traces / square) if square > 0 else float("nan")


def effective_rank(activations: ArrayLike, of: str = "singular values") -> float:
    """Exponential of the entropy of a normalised spectrum; the two kinds differ a lot, so name which.

    Parameters
    ----------
    activations : array_like, shape (n, n_units)
    of : {"singular values", "eigenvalues"}
        Of the centred table (Roy and Vetterli), or of its covariance, which weighs strong directions more.

    Returns
    -------
    float
        Between 1 and ``min(n - 1, n_units)``: not to be compared between tables of different ``n``.

    Raises
    ------
    ValueError
        If the table is constant or not finite, or ``of`` is unknown.

    References
    ----------
    .. [1] Roy & Vetterli (2007), "The effective rank: a measure of effective dimensionality", EUSIPCO.

    Examples
    --------
    >>> x = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])  # singular values 3 : 1
    >>> round(effective_rank(x), 3), round(effective_rank(x, "eigenvalues"), 3)
    (1.755, 1.384)
    """
    power = {"singular values": 0.5, "eigenvalues": 1.0}.get(of)
    if power is None:
        raise ValueError(f"of={of!r} must be 'singular values' or 'eigenvalues'")
    spectrum = _eigenvalues(activations) ** power
    return float(np.exp(entr(spectrum / spectrum.sum()).sum()))


def components_for(activations: ArrayLike, share: float = 0.9) -> int:
    """Least number of principal components with a share of the variance.

    Parameters
    ----------
    activations : array_like, shape (n, n_units)
    share : float

    Returns
    -------
    int
        At least 1: the *index* of the component that reaches the share is one less.

    Raises
    ------
    ValueError
        If the table is constant or not finite, or the share is none.

    Examples
    --------
    >>> x = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])  # shares 0.9 and 0.1
    >>> components_for(x, 0.85), components_for(x, 0.95)
    (1, 2)
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share} must be a share")
    cumulated = np.cumsum(_eigenvalues(activations))
    return int(np.searchsorted(cumulated, share * cumulated[-1] * (1 - 1e-12)) + 1)


def intrinsic_dimension(
    activations: ArrayLike, k: int = 20, discard: float = 0.1, max_samples: int = 5000, seed: int = 0
) -> IntrinsicDimension:
    """Local dimension from distances to neighbours, at two scales from one search.

    High dimensions come out too low, and noise of a hundredth of the spread makes a plane look like a
    space; call it on halves and quarters of the samples to see whether a number depends on the scale.

    Parameters
    ----------
    activations : array_like, shape (n, n_units)
        Equal samples count once.
    k : int
        Neighbours for Levina and Bickel's estimate.
    discard : float
        Share of the largest ratios that TwoNN leaves out.
    max_samples : int
        Drawn at random from more.
    seed : int

    Returns
    -------
    IntrinsicDimension

    Raises
    ------
    ValueError
        If fewer than ``k + 1`` different samples are given, or ``k`` is less than 3.

    References
    ----------
    .. [1] Facco, d'Errico, Rodriguez & Laio (2017), "Estimating the intrinsic dimension of datasets by a
       minimal neighborhood information", Scientific Reports 7, 12140.
    .. [2] Levina & Bickel (2004), "Maximum likelihood estimation of intrinsic dimension", NeurIPS.
    .. [3] MacKay & Ghahramani (2005), "Comments on 'Maximum likelihood estimation of intrinsic dimension'"
       (averaging inverses).

    Examples
    --------
    >>> angle = np.random.default_rng(0).uniform(0, 6.28, 1000)
    >>> found = intrinsic_dimension(np.column_stack([np.cos(angle), np.sin(angle)]))
    >>> round(found.two_nn), round(found.levina_bickel)  # a circle is a line
    (1, 1)
    """
    x = np.unique(_centred(activations), axis=0)
    if k < 3 or not 0 <= discard < 1 or len(x) <= k:
        raise ValueError(f"{len(x)} different samples for k={k} (3 or more) neighbours, discard={discard}")
    if len(x) > max_samples:
        x = x[np.random.default_rng(seed).permutation(len(x))[:max_samples]]
    distance = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0]
    distance = distance[distance[:, 0] > 0]  # rounding may put two different samples at one place
    ratio = np.sort(np.log(distance[:, 1] / distance[:, 0]))
    n = len(ratio)
    kept = max(2, int(n * (1 - discard)))
    survival = -np.log1p(-np.arange(1, kept + 1) / (n + 1))
    two_nn = (ratio[:kept] @ survival) / (ratio[:kept] @ ratio[:kept])
    inverse = np.log(distance[:, -1:] / distance[:, :-1]).sum(axis=1) / (k - 2)
    return IntrinsicDimension(float(two_nn), float(1 / inverse.mean()), n)


def _between_groups(x: NDArray, groups: ArrayLike) -> float:
    _, number = np.unique(groups, return_inverse=True)
    if number.shape != (len(x),) or number.max() < 3:
        raise ValueError(f"groups {number.shape} of {len(x)} samples must be four or more")
    own, squares = [], 0.0
    for group in range(number.max() + 1):
        part = x[number == group]
        own.append((part**2).sum())
        squares += _square_norm(part)
    own = np.array(own)
    # Sums over ordered pairs of different groups: the number of pairs of samples is the same above and below.
    square = _square_norm(x) - squares
    return float((own.sum() ** 2 - (own**2).sum()) / square) if square > 0 else float("nan")


def _square_norm(x: NDArray) -> float:
    """Squared Frobenius norm of the smaller Gram matrix."""
    return float(((x.T @ x if len(x) > x.shape[1] else x @ x.T) ** 2).sum())


def _eigenvalues(activations: ArrayLike) -> NDArray:
    """Of the covariance, the largest first, not normalised."""
    x = _centred(activations)
    return np.linalg.eigvalsh(x.T @ x if len(x) > x.shape[1] else x @ x.T)[::-1].clip(0)


def _centred(activations: ArrayLike) -> NDArray:
    x = np.asarray(activations, float)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"activations {x.shape} must be a finite table with a row per sample, two or more")
    if not np.ptp(x, axis=0).any():
        raise ValueError(f"activations {x.shape} are constant: they have no dimension")
    return x - x.mean(axis=0)
