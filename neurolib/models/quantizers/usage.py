"""How a set of latents uses its codes: codes ``(..., n_codebooks)`` in, entropies and counts out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class CodeUsage:
    """Use of the codes by a whole set; rates are plug-in estimates in bits per latent, biased low."""

    entropy: NDArray  # (n_codebooks,) bits
    perplexity: NDArray  # (n_codebooks,) codes that, used equally, would have that entropy
    used: NDArray  # (n_codebooks,) codes that occur
    dead: NDArray  # (n_codebooks,) codes with less than a tenth of an equal share
    joint_entropy: float  # of all codebooks together
    conditional_entropy: float | None  # of the same, given the latent before; None without a time axis


def code_usage(codes: ArrayLike, sizes: tuple[int, ...]) -> CodeUsage:
    """Measure how a whole data set uses its codes; means over batches would be biased low.

    Parameters
    ----------
    codes : array_like, shape (n, n_codebooks) or (n_trials, n_bins, n_codebooks)
        With a time axis, the conditional entropy is of a bin given the one before it in its trial.
    sizes : tuple of int
        Codes in each codebook.

    Returns
    -------
    CodeUsage

    Raises
    ------
    ValueError
        If there are no codes, or they are out of range.

    Notes
    -----
    With ``n`` latents no entropy exceeds ``log2(n)``: the joint ones need many more latents than there are
    combinations that occur.

    Examples
    --------
    >>> usage = code_usage([[0], [0], [1], [1]], sizes=(4,))
    >>> usage.entropy.tolist(), usage.perplexity.tolist(), usage.used.tolist(), usage.dead.tolist()
    ([1.0], [2.0], [2], [2])
    """
    codes = np.asarray(codes)
    if codes.ndim not in (2, 3) or codes.size == 0 or codes.shape[-1] != len(sizes):
        raise ValueError(
            f"codes of shape {codes.shape}; want (n, {len(sizes)}) or (n_trials, n_bins, {len(sizes)})"
        )
    if (
        codes.dtype.kind not in "iu"
        or codes.min() < 0
        or (codes.max(axis=tuple(range(codes.ndim - 1))) >= sizes).any()
    ):
        raise ValueError(
            f"codes {codes.min()}..{codes.max()} as {codes.dtype}; want whole numbers from 0 below {sizes}"
        )
    rows = codes.reshape(-1, len(sizes))
    counts = [np.unique(column, return_counts=True)[1] for column in rows.T]
    entropy = np.array([_entropy(count) for count in counts])
    used = np.array([len(count) for count in counts])
    alive = [int((count * 10 * size >= len(rows)).sum()) for count, size in zip(counts, sizes, strict=True)]
    conditional = None
    if codes.ndim == 3 and codes.shape[1] > 1:
        pairs = np.concatenate([codes[:, :-1], codes[:, 1:]], axis=-1).reshape(-1, 2 * len(sizes))
        conditional = _row_entropy(pairs) - _row_entropy(codes[:, :-1].reshape(-1, len(sizes)))
    return CodeUsage(
        entropy=entropy,
        perplexity=2**entropy,
        used=used,
        dead=np.array(sizes) - np.array(alive),
        joint_entropy=_row_entropy(rows),
        conditional_entropy=conditional,
    )


def _row_entropy(rows: NDArray) -> float:
    return _entropy(np.unique(rows, axis=0, return_counts=True)[1])


def _entropy(counts: NDArray) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0
