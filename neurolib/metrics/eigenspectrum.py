r"""Eigenspectrum: responses ``(stimulus, unit)``, or with repeats, in; how fast variances of components fall out.

Variance falls as :math:`\lambda_r \propto r^{-\alpha}` with the rank. Noise flattens the tail of a plain spectrum and
few stimuli bend it down, so repeats give a spectrum without noise: components come from one half of the repeats, and
the variance that counts is the covariance of both halves along them.

References
----------
.. [1] Stringer, Pachitariu, Steinmetz, Carandini & Harris (2019), "High-dimensional geometry of population responses in
   visual cortex", Nature 571, 361-365.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_RANKS = 5


@dataclass(frozen=True, eq=False)
class SpectralExponent:
    """Slope of log variance against log rank.

    Attributes
    ----------
    exponent : float
        Positive where variances fall. Depends on the ranks, so it is compared at the same ones alone.
    r2 : float
        Share of the weighted variance of log variances that the line explains; low where there is no power law.
    ranks : tuple of int
        First and last, counted from 1.
    """

    exponent: float
    r2: float
    ranks: tuple[int, int]


def eigenspectrum(responses: ArrayLike) -> NDArray:
    """Variances of principal components, the largest first, ``(min(n_stimuli - 1, n_units),)``.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)

    Raises
    ------
    ValueError
        If the table is not finite or constant.

    Examples
    --------
    >>> eigenspectrum([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).round(3).tolist()
    [6.0, 0.667]
    """
    x = np.asarray(responses, float)
    if x.ndim != 2:
        raise ValueError(f"responses of shape {x.shape}; want (stimulus, unit), or cross_validated_spectrum")
    _check(x[None])
    x = x - x.mean(axis=0)
    table = x.T @ x if x.shape[1] < len(x) else x @ x.T
    return np.linalg.eigvalsh(table)[::-1][: min(len(x) - 1, x.shape[1])].clip(0) / (len(x) - 1)


def cross_validated_spectrum(responses: ArrayLike, n_splits: int = 10, seed: int = 0) -> NDArray:
    """Signal variances of components, without the noise of single repeats.

    Repeats of each stimulus are shared out at random between two halves, whose means give components and test them;
    either half does both, and splits are averaged.

    Parameters
    ----------
    responses : array_like, shape (n_repeats, n_stimuli, n_units)
    n_splits, seed : int

    Returns
    -------
    array, shape (min(n_stimuli - 1, n_units),)
        In the order of the variance in the half that gave the components; around zero, and negative by chance,
        where there is no signal.

    Raises
    ------
    ValueError
        If there are fewer than two repeats, or responses are not finite or constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(500, 2)) * [3, 1]
    >>> cross_validated_spectrum(signal + rng.normal(size=(2, 500, 2))).round(0).tolist()  # plain: 10 and 2
    [9.0, 1.0]
    """
    x = np.asarray(responses, float)
    if x.ndim != 3 or len(x) < 2:
        raise ValueError(f"responses of shape {x.shape}; want (repeat, stimulus, unit) with two repeats")
    _check(x)
    n_repeats, n, _ = x.shape
    half, draw = n_repeats // 2, np.random.default_rng(seed)
    total = 0.0
    for _ in range(n_splits):
        order = np.argsort(draw.random((n_repeats, n)), axis=0)  # each stimulus has its own
        halves = []
        for chosen in (order[:half], order[half : 2 * half]):
            mean = np.take_along_axis(x, chosen[:, :, None], axis=0).mean(axis=0)
            halves.append(mean - mean.mean(axis=0))
        for train, test in (halves, halves[::-1]):
            total = total + _along_components(train, test)
    return total / (2 * n_splits * (n - 1))


def spectral_exponent(spectrum: ArrayLike, ranks: tuple[int, int] = (11, 500)) -> SpectralExponent:
    r"""Fit :math:`\log \lambda_r = c - \alpha \log r`, weighted by ``1 / r`` so that each octave counts alike.

    Parameters
    ----------
    spectrum : array_like, shape (n,)
        From :func:`eigenspectrum` or :func:`cross_validated_spectrum`, in order.
    ranks : tuple of int
        First and last rank, counted from 1; part of the result, as others give another slope.

    Raises
    ------
    ValueError
        If the spectrum is too short or not positive at these ranks.

    Examples
    --------
    >>> round(spectral_exponent(np.arange(1, 101) ** -1.5, (5, 80)).exponent, 6)
    1.5
    """
    values, (first, last) = np.asarray(spectrum, float), ranks
    if values.ndim != 1 or first < 1 or last - first + 1 < LEAST_RANKS or last > len(values):
        raise ValueError(
            f"ranks {first} to {last} of a spectrum of shape {values.shape}; want {LEAST_RANKS} or more that it has"
        )
    rank = np.arange(first, last + 1)
    used = values[first - 1 : last]
    if not (used > 0).all():
        raise ValueError(
            f"variance at rank {rank[np.argmin(used > 0)]} is not positive: no signal is left there; "
            "end at a lower rank, rather than take absolute values"
        )
    x, y, weight = np.log(rank), np.log(used), 1 / rank
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    both, own, other = ((weight * a) @ b for a, b in ((x, y), (x, x), (y, y)))
    r2 = both**2 / (own * other) if other > 0 else 0.0
    return SpectralExponent(float(-both / own), float(r2), (first, last))


def _along_components(train: NDArray, test: NDArray) -> NDArray:
    """Sums of products of both halves' projections on components of one, by the smaller of the two tables."""
    n, width = train.shape
    if width < n:
        axes, cross = np.linalg.eigh(train.T @ train)[1], train.T @ test
    else:  # a component is a mix of stimuli, and its projections cancel its length
        axes, cross = np.linalg.eigh(train @ train.T)[1], test @ train.T
    return np.einsum("ij,ij->j", axes, cross @ axes)[::-1][: min(n - 1, width)]


def _check(x: NDArray) -> None:
    if x.shape[1] < 3 or not x.shape[2]:
        raise ValueError(f"{x.shape[1]} stimuli and {x.shape[2]} units; want three stimuli of one or more")
    if not np.isfinite(x).all():
        raise ValueError(
            f"responses hold NaN or infinity in {int((~np.isfinite(x)).any((0, 1)).sum())} units"
        )
    if not np.ptp(x, axis=1).any():
        raise ValueError("responses are constant: they have no spectrum")
