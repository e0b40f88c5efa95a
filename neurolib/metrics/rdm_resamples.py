"""Resamples of stimuli: RDMs of models and subjects and how often each stimulus was drawn in, scores of each resample out.

A resample draws stimulus ``i`` so many times, ``w_i``. Pairs of a stimulus with its own copy say nothing and are dropped,
so pair ``(i, j)`` counts ``w_i w_j`` times, and every score is a function of weighted moments of the RDMs as they are:
no RDM is ever resampled. Moments of all resamples are one matrix product; weighted mid-ranks are a cumulative sum in
an order that is sorted once.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from torch import Tensor

from neurolib.metrics.rdm_comparison import COMPARATORS, check_comparator, n_stimuli

FAST = tuple(name for name in COMPARATORS if name != "tau_a")
MEMORY = 4_000_000  # numbers held at a time
STRIP = 32  # resamples whose ranks are made together


def resampled_scores(
    models: NDArray, subjects: NDArray, counts: NDArray, comparator: str = "rho_a"
) -> tuple[NDArray, NDArray, NDArray]:
    """Scores of every resample of stimuli, without resampling an RDM.

    Parameters
    ----------
    models : array, shape (n_models, n_pairs)
    subjects : array, shape (n_subjects, n_pairs)
    counts : array, shape (n_resamples, n_stimuli)
        How often each stimulus was drawn.
    comparator : str

    Returns
    -------
    scores : array, shape (n_resamples, n_models, n_subjects)
    agreement : array, shape (n_resamples, n_subjects, n_subjects)
        Of subjects with each other.
    reach : array, shape (n_resamples,)
        The largest product of ``"rho_a"`` with so many copies is its square; 1 for others.

    Examples
    --------
    >>> rdms = np.random.default_rng(0).random((2, 300))
    >>> scores, _, _ = resampled_scores(rdms[:1], rdms[1:], np.ones((1, 25)), "pearson")
    >>> bool(np.isclose(scores[0], np.corrcoef(rdms)[0, 1]).all())
    True
    """
    check_comparator(comparator, FAST)
    rows, columns = np.triu_indices(counts.shape[1], 1)
    per_resample = len(rows) + counts.shape[1] ** 2
    size = max(1, MEMORY // per_resample)
    work = _RankMoments if comparator in ("rho_a", "spearman") else _Moments
    prepared = work(models, subjects, comparator)
    parts = []
    for start in range(0, len(counts), size):
        drawn = np.asarray(counts[start : start + size], float)
        parts.append(prepared(drawn, drawn[:, rows] * drawn[:, columns]))
    products, own, reach = (np.concatenate(part) for part in zip(*parts, strict=True))
    n_models = len(models)
    if comparator != "rho_a":
        with np.errstate(divide="ignore", invalid="ignore"):
            products = products / np.sqrt(own)[:, :, None] / np.sqrt(own[:, n_models:])[:, None, :]
    return products[:, :n_models], products[:, n_models:], reach


class _Moments:
    """Weighted products of RDMs about their weighted means; whitened, of what a sum of two terms per pair leaves."""

    def __init__(self, models: NDArray, subjects: NDArray, comparator: str):
        self.comparator = comparator
        rdms = np.concatenate([models, subjects])
        if comparator.endswith("pearson"):
            rdms = rdms - rdms.mean(axis=1, keepdims=True)
        scale = np.sqrt((rdms**2).mean(axis=1, keepdims=True))
        self.rdms = rdms / np.where(scale > 0, scale, np.nan)
        self.n_models = len(models)
        right = self.rdms[self.n_models :]
        self.shape = (len(rdms), len(right))
        self.products = (self.rdms[:, None] * right).reshape(-1, rdms.shape[1]).T
        self.squares = (self.rdms[: self.n_models] ** 2).T
        if comparator.startswith("whitened"):
            self.tables = np.stack([squareform(rdm, checks=False) for rdm in self.rdms])

    def __call__(self, drawn: NDArray, weights: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        total = weights.sum(axis=1)[:, None]
        total = np.where(total > 0, total, np.nan)
        products = (weights @ self.products / total).reshape(-1, *self.shape)
        own = np.concatenate(
            [weights @ self.squares / total, np.diagonal(products[:, self.n_models :], axis1=1, axis2=2)],
            axis=1,
        )
        mean = np.zeros((len(drawn), self.shape[0]))
        if self.comparator.endswith("pearson"):
            mean = weights @ self.rdms.T / total
            products = products - mean[:, :, None] * mean[:, None, self.n_models :]
            own = own - mean**2
        if self.comparator.startswith("whitened"):
            fitted, sums = self._terms(drawn, mean)
            products -= np.einsum("bnk,bnl->bkl", fitted, sums[:, :, self.n_models :]) / total[:, :, None]
            own -= np.einsum("bnk,bnk->bk", fitted, sums) / total
        return products, np.where(own > 1e-12, own, np.nan), np.ones(len(drawn))

    def _terms(self, drawn: NDArray, mean: NDArray) -> tuple[NDArray, NDArray]:
        """Least squares of a term per stimulus, ``(resample, stimulus, rdm)``: terms and right-hand sides.

        A Gram matrix is known up to what its origin adds, ``a_i + a_j``. Entries of a stimulus with its own copy are
        dropped, those with itself (zero, as in an RDM) are not, so the fit is over ``w_i w_j`` of each pair, twice,
        and ``w_i`` of each entry on the diagonal.
        """
        n = drawn.shape[1]
        sums = drawn[:, :, None] * np.einsum("bj,kij->bik", drawn, self.tables, optimize=True)
        others = drawn * (drawn.sum(axis=1, keepdims=True) - drawn)
        sums -= others[:, :, None] * mean[:, None, :]
        normal = drawn[:, :, None] * drawn[:, None, :]
        diagonal = np.arange(n)
        normal[:, diagonal, diagonal] = np.where(drawn > 0, others + 2 * drawn, 1.0)
        return np.linalg.solve(normal, sums), sums


class _RankMoments:
    """Weighted products of weighted mid-ranks, a few resamples at a time.

    The mid-rank of a pair is the mean of what is drawn below its value and up to it, so it is read from a cumulative
    sum of weights, sorted by value once and for all, at the two ends of the pair's group of ties.
    """

    def __init__(self, models: NDArray, subjects: NDArray, comparator: str):
        self.comparator, self.n_models = comparator, len(models)
        # Twice a rank is a whole number below the square of the number of stimuli, which single precision holds.
        self.dtype = torch.float32 if n_stimuli(models.shape[1]) < 4096 else torch.float64
        self.rdms = []
        for rdm in np.concatenate([models, subjects]):
            order = np.argsort(rdm, kind="stable")
            low, high = (np.searchsorted(rdm[order], rdm, side) for side in ("left", "right"))
            tied = bool((high > low + 1).any())
            self.rdms.append((torch.from_numpy(order), torch.from_numpy(low), torch.from_numpy(high), tied))

    def __call__(self, drawn: NDArray, weights: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        strips = torch.from_numpy(weights).split(STRIP)
        products, own, copies = (
            torch.cat(part).numpy() for part in zip(*map(self._strip, strips), strict=True)
        )
        total = weights.sum(axis=1)
        cubes = total**3 - total
        own = np.where(own > 1e-12 * cubes[:, None], own, np.nan)
        if self.comparator == "spearman":
            return products, own, np.ones(len(total))
        with np.errstate(divide="ignore", invalid="ignore"):
            products = np.where(np.isfinite(own)[:, :, None], 12 * products / cubes[:, None, None], np.nan)
            return products, own, np.sqrt(1 - (copies - total) / cubes)

    def _strip(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Products of ranks, sums of squares of each, and sums of cubed weights."""
        across = weights.T.to(
            self.dtype
        ).contiguous()  # a row per pair, so that reading it reads all resamples
        total = weights.sum(dim=1)
        ranks = weights.new_empty(len(weights), len(self.rdms), weights.shape[1])
        cumulated = across.new_zeros(len(across) + 1, len(weights))
        copies, own = (weights**3).sum(dim=1), []
        for k, (order, low, high, tied) in enumerate(self.rdms):
            torch.cumsum(across[order], 0, out=cumulated[1:])
            below = cumulated[low]
            size = cumulated[high] - below if tied else across  # of a pair's group of ties
            ranks[:, k] = (2 * below + size - total.to(self.dtype)).T
            # squares of mid-ranks about their mean lack a twelfth of the cubed size of each group
            lost = (weights * size.T.double() ** 2).sum(dim=1) if tied else copies
            own.append((total**3 - lost) / 12)
        ranks /= 2
        heavy = ranks[:, self.n_models :] * weights[:, None]
        return torch.bmm(ranks, heavy.transpose(1, 2)), torch.stack(own, dim=1), copies
