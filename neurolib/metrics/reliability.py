r"""Reliability: repeated responses ``(repeat, stimulus, unit)`` in, how much of each unit can be predicted out.

The mean of all repeats correlates with a perfect model as the square root of its reliability, so a correlation is
corrected by that root:

.. math:: r_{\mathrm{corrected}} = \frac{r}{\sqrt{\rho_{\mathrm{response}}\, \rho_{\mathrm{model}}}}

Division by the reliability itself, or by the correlation of halves, corrects too much.

References
----------
.. [1] Spearman (1904), "The proof and measurement of association between two things", Am. J. Psychol. 15(1).
.. [2] Spearman (1910), "Correlation calculated from faulty data", Br. J. Psychol. 3(3); Brown (1910), "Some
   experimental results in the correlation of mental abilities", Br. J. Psychol. 3(3).
.. [3] Schoppe et al. (2016), "Measuring the performance of neural models", Front. Comput. Neurosci. 10:10.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_SPLITS = 50  # fewer random halves add noise of their own


@dataclass(frozen=True, eq=False)
class Reliability:
    """What repeats say about each unit.

    Attributes
    ----------
    halves : array, shape (n_units,)
        Correlation of the means of two random halves, averaged over splits; NaN for a unit that never varies.
    value : array, shape (n_units,)
        Reliability of the mean of all repeats, at most 1; negative by chance where there is none.
    n_repeats, n_splits : int

    Examples
    --------
    >>> found = Reliability(np.array([0.5, 0.0]), np.array([0.667, 0.0]), 2, 1)
    >>> found.kept(0.3).tolist(), found.report(0.3)
    ([True, False], '1 of 2 units have a reliability of at least 0.3')
    """

    halves: NDArray
    value: NDArray
    n_repeats: int
    n_splits: int

    @property
    def ceiling(self) -> NDArray:
        """Correlation that a perfect noiseless model would have, ``(n_units,)``; NaN where there is none."""
        return np.sqrt(np.where(self.value > 0, self.value, np.nan))

    def kept(self, least: float) -> NDArray:
        """Units reliable enough, bool ``(n_units,)``; the threshold must be set before scores are seen."""
        return np.nan_to_num(self.value, nan=-1.0) >= least

    def report(self, least: float) -> str:
        """How many of how many units are kept."""
        kept = self.kept(least)
        return f"{kept.sum()} of {len(kept)} units have a reliability of at least {least:g}"


def spearman_brown(r: ArrayLike, factor: float = 2.0) -> NDArray:
    """Reliability of ``factor`` times as many repeats as the correlated means are of.

    Examples
    --------
    >>> spearman_brown(0.5).round(4)
    np.float64(0.6667)
    """
    r = np.asarray(r, float)
    return factor * r / (1 + (factor - 1) * r)


def split_half(responses: ArrayLike, n_splits: int = 100, seed: int = 0) -> Reliability:
    """Correlate random halves of the repeats over stimuli.

    All splits come from one table of covariances of repeats per unit. With an odd number a random repeat stays
    out of both halves, and Spearman-Brown corrects for that as well. If there are no more than ``n_splits``
    different splits, each is taken once.

    Parameters
    ----------
    responses : array, shape (n_repeats, n_stimuli, n_units)
        Repeats must be independent given the stimulus; drifts that they share count as signal.
    n_splits, seed : int

    Raises
    ------
    ValueError
        If there are fewer than two repeats, three stimuli or 50 splits, or responses are not finite.

    Examples
    --------
    >>> responses = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 5.0]])[:, :, None]
    >>> found = split_half(responses)
    >>> found.halves.round(3), found.value.round(3), found.n_splits
    (array([0.945]), array([0.972]), 1)
    """
    responses = np.asarray(responses, float)
    if responses.ndim != 3 or len(responses) < 2 or responses.shape[1] < 3:
        raise ValueError(
            f"responses of shape {responses.shape}; want (repeat, stimulus, unit) with two repeats of three stimuli"
        )
    if not np.isfinite(responses).all():
        bad = int((~np.isfinite(responses)).any((0, 1)).sum())
        raise ValueError(
            f"responses hold NaN or infinity in {bad} of {responses.shape[2]} units; "
            "if repeats differ in number, take as many of each stimulus as all have"
        )
    if n_splits < LEAST_SPLITS:
        raise ValueError(f"n_splits={n_splits}; at least {LEAST_SPLITS}, or chance decides")
    n_repeats = len(responses)
    splits = _splits(n_repeats, n_splits, seed)
    centred = responses - responses.mean(1, keepdims=True)
    covariance = np.einsum("rsu,qsu->urq", centred, centred, optimize=True)
    first, second = (splits == 1).astype(float), (splits == 2).astype(float)
    halves = np.zeros(responses.shape[2])
    for a, b in zip(first, second, strict=True):
        both, own, other = a @ covariance @ b, a @ covariance @ a, b @ covariance @ b
        scale = own * other
        halves += both / np.sqrt(np.where((own > 0) & (other > 0), scale, np.nan))
    halves /= len(splits)
    return Reliability(halves, spearman_brown(halves, n_repeats / (n_repeats // 2)), n_repeats, len(splits))


def noise_corrected(r: ArrayLike, reliability: ArrayLike, model_reliability: ArrayLike = 1.0) -> NDArray:
    """Correlation with a response without noise; not capped, and NaN for units without reliability.

    Parameters
    ----------
    r : array, shape (..., n_units)
        Of predictions with the mean of all repeats.
    reliability : array, shape (n_units,)
        Of that mean: :attr:`Reliability.value`, not its root.
    model_reliability : array or float
        Of the predictor, if it is a response of units or of a network with noise of its own; 1 if it is exact.

    Examples
    --------
    >>> noise_corrected(0.4, 0.64).round(6), noise_corrected(0.4, 0.64, 0.25).round(6)
    (np.float64(0.5), np.float64(1.0))
    """
    product = np.asarray(reliability, float) * np.asarray(model_reliability, float)
    alive = (np.asarray(reliability) > 0) & (np.asarray(model_reliability) > 0)
    return np.asarray(r, float) / np.sqrt(np.where(alive, product, np.nan))


def _splits(n_repeats: int, n_splits: int, seed: int) -> NDArray:
    """Half of each repeat, 1 or 2, or 0 for none, ``(n_splits, n_repeats)``."""
    half, odd = n_repeats // 2, n_repeats % 2
    different = comb(2 * half - 1, half) * (n_repeats if odd else 1)
    if different > n_splits:
        draw = np.random.default_rng(seed)
        row = np.repeat([0, 1, 2], [odd, half, half])
        return draw.permuted(np.tile(row, (n_splits, 1)), axis=1)
    found = []
    for out in range(n_repeats) if odd else [None]:
        rest = [repeat for repeat in range(n_repeats) if repeat != out]
        for chosen in combinations(rest[1:], half):  # the first is always in the other half
            row = np.full(n_repeats, 1)
            row[list(chosen)] = 2
            if odd:
                row[out] = 0
            found.append(row)
    return np.array(found)
