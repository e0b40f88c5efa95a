"""Shares of variance: centred units and orthonormal designs in, what each design and its permutations explain out.

One matrix product serves all units of a block and all permutations.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta


def explained(values: NDArray, rows: NDArray, width: int, total: NDArray, block: int = 400) -> NDArray:
    """Share of ``total`` in the span of each ``width`` orthonormal rows: one matrix product for all nulls.

    Parameters
    ----------
    values : array, shape (n, n_units)
        Centred.
    rows : array, shape (n_designs * width, n)
        Orthonormal within a design.
    width : int
    total : array, shape (n_units,)
        What shares refer to; infinite gives 0.
    block : int
        Rows at a time, which bounds memory.

    Returns
    -------
    array, shape (n_designs, n_units)

    Examples
    --------
    >>> explained(np.array([[3.0], [4.0]]), np.eye(2), 1, total=np.array([25.0])).ravel()
    array([0.36, 0.64])
    """
    step = max(1, block // width) * width
    parts = [np.empty((0, values.shape[1]), values.dtype)]
    for start in range(0, len(rows), step):
        part = rows[start : start + step].astype(values.dtype, copy=False) @ values
        part = part.reshape(-1, width, values.shape[1])
        parts.append(np.einsum("dwu,dwu->du", part, part))
    return np.concatenate(parts) / total


def p_values(shares: NDArray, tail: str = "count") -> NDArray:
    """One-sided p of the first row of shares against the others, which are its permutations.

    Parameters
    ----------
    shares : array, shape (1 + n_permutations, n_units)
        Between 0 and 1.
    tail : {"count", "beta"}
        See :class:`neurolib.metrics.selectivity.SelectivityConfig`.

    Returns
    -------
    array, shape (n_units,)
        nan without permutations.

    References
    ----------
    .. [1] Winkler, Ridgway, Douaud, Nichols & Smith (2016), "Faster permutation inference in brain
       imaging", NeuroImage 141, 502-516 (tails by moments; theirs is a gamma distribution).

    Examples
    --------
    >>> p_values(np.array([[0.5], [0.1], [0.6], [0.2]]))  # one of three, and the value itself
    array([0.5])
    """
    found, null = shares[0], shares[1:]
    if not len(null):
        return np.full(found.shape, np.nan)
    reached = np.count_nonzero(null >= found * (1 - 1e-5), axis=0)
    count = (1 + reached) / (1 + len(null))
    if tail == "count":
        return count
    mean, variance = null.mean(axis=0, dtype=float), null.var(axis=0, ddof=1, dtype=float)
    narrow = variance > 1e-12 * mean.clip(1e-12) ** 2
    scale = mean * (1 - mean) / np.where(narrow, variance, 1) - 1
    good = narrow & (scale > 0)
    a, b = np.where(good, mean * scale, 1), np.where(good, (1 - mean) * scale, 1)
    return np.where(good, beta.sf(np.minimum(found, 1), a, b), count)


def sums_by(values: NDArray, number: NDArray) -> NDArray:
    """Sums of rows with the same number, shape ``(max + 1, n_units)``.

    Examples
    --------
    >>> sums_by(np.array([[1.0], [2.0], [5.0]]), np.array([0, 0, 1])).ravel()
    array([3., 5.])
    """
    if len(number) == number.max() + 1 and (number == np.arange(len(number))).all():
        return values
    if (np.diff(number) >= 0).all():
        return np.add.reduceat(values, np.flatnonzero(np.diff(number, prepend=-1)), axis=0)
    order = np.argsort(number, kind="stable")
    return sums_by(values[order], number[order])
