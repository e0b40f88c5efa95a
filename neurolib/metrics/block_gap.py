r"""Block gap: similarities ``(layer, layer)`` in, whether layers form blocks beyond a decay with distance out.

The gap is the mean similarity of two layers of one block less that of two layers of different blocks. Layers near each
other are alike anyhow, which alone gives a positive gap. So the null keeps how similarity falls with the distance of
layers and permutes what is left along each diagonal; blocks that were found are found again in each permutation.

The similarities must be of layers that saw the same stimuli, row by row; two halves of a batch have none.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from neurolib.metrics.intervals import Interval

STARTS = 3  # levels between blocks from which the search starts
LEAST_LAYERS = 6


@dataclass(frozen=True)
class BlockGapConfig:
    """How blocks are looked for, and tested.

    Parameters
    ----------
    most_blocks : int
        A block has two layers or more.
    n_permutations : int
    seed : int
    """

    most_blocks: int = 6
    n_permutations: int = 500
    seed: int = 0

    def __post_init__(self):
        if self.most_blocks < 1 or self.n_permutations < 1:
            raise ValueError(
                f"most_blocks={self.most_blocks} and n_permutations={self.n_permutations} must be positive"
            )


@dataclass(frozen=True, eq=False)
class BlockGap:
    """What layers of one block have in common beyond being near.

    Attributes
    ----------
    gap : float
        NaN for a single block.
    expected : float
        Mean gap of the null: what decay with distance gives.
    p_value : float
        That the gap is larger than that.
    blocks : array of int, shape (n_layers,)
        Block of each layer, from 0.
    n_permutations : int
    """

    gap: float
    expected: float
    p_value: float
    blocks: NDArray
    n_permutations: int

    @property
    def excess(self) -> float:
        """Gap beyond what decay gives."""
        return self.gap - self.expected


class _Found(NamedTuple):
    cost: float
    starts: tuple[int, ...]


def block_gap(
    similarity: ArrayLike, blocks: ArrayLike | None = None, config: BlockGapConfig | None = None
) -> BlockGap:
    """Gap of blocks that are given, or found by :func:`find_blocks`, with its null.

    Parameters
    ----------
    similarity : array_like, shape (n_layers, n_layers)
        Symmetric, in the order of depth; such as debiased CKA. The diagonal is not looked at.
    blocks : array_like, shape (n_layers,), optional
        Name of the block of each layer, each in one piece.
    config : BlockGapConfig, optional

    Raises
    ------
    ValueError
        If the table is not symmetric, not finite or of fewer than six layers, or a block is in pieces.

    Examples
    --------
    >>> layer = np.arange(12)
    >>> alike = 0.3 + 0.4 * (layer[:, None] // 6 == layer // 6)
    >>> found = block_gap(alike, config=BlockGapConfig(n_permutations=99))
    >>> round(found.gap, 6), found.blocks.tolist(), found.p_value < 0.05
    (0.4, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], True)
    """
    config = config or BlockGapConfig()
    table = _checked(similarity)
    n = len(table)
    block = find_blocks(table, config.most_blocks) if blocks is None else _numbered(blocks, n)
    n_blocks = int(block[-1]) + 1
    if n_blocks < 2:
        return BlockGap(math.nan, math.nan, 1.0, block, 0)
    gap, draw = gap_of(table, block), np.random.default_rng(config.seed)
    row, column = np.triu_indices(n, 1)
    order = np.argsort(column - row, kind="stable")  # diagonal by diagonal
    row, column, off = row[order], column[order], (column - row)[order]
    values, null = table[row, column], np.empty(config.n_permutations)
    for i in range(config.n_permutations):
        mixed = np.zeros((n, n))
        # residuals of a diagonal and its mean together: the values themselves, in another order
        mixed[row, column] = values[np.lexsort((draw.random(len(values)), off))]
        mixed += mixed.T
        null[i] = gap_of(mixed, block if blocks is not None else _best(mixed, n_blocks))
    p = (1 + (null >= gap - 1e-12).sum()) / (1 + config.n_permutations)
    return BlockGap(gap, float(null.mean()), float(p), block, config.n_permutations)


def gap_of(similarity: ArrayLike, blocks: ArrayLike) -> float:
    """Mean similarity within blocks less that between, without the diagonal.

    Examples
    --------
    >>> gap_of([[1.0, 0.9, 0.1], [0.9, 1.0, 0.3], [0.1, 0.3, 1.0]], [0, 0, 1]).__round__(6)
    0.7
    """
    table, block = np.asarray(similarity, float), np.asarray(blocks)
    row, column = np.triu_indices(len(table), 1)
    same, values = block[row] == block[column], table[row, column]
    if same.all() or not same.any():
        return math.nan
    return float(values[same].mean() - values[~same].mean())


def find_blocks(similarity: ArrayLike, most_blocks: int = 6) -> NDArray:
    """Contiguous blocks of layers, as many as the Bayesian information criterion allows.

    Similarities are modelled by a level for each block and one between blocks. Given the one between, the best blocks
    are found by dynamic programming; both in turn, until neither changes.

    Parameters
    ----------
    similarity : array_like, shape (n_layers, n_layers)
    most_blocks : int

    Returns
    -------
    array of int, shape (n_layers,)
        All 0 if one block does. A decay with distance is cut into blocks too: see :func:`block_gap`.
    """
    table = _checked(similarity)
    n = len(table)
    n_pairs = n * (n - 1) // 2
    values = table[np.triu_indices(n, 1)]
    # rounding must not make a perfect fit infinitely better than another
    floor = 1e-12 * n_pairs * (1 + float(np.square(values).mean()))
    best, chosen = math.inf, np.zeros(n, int)
    for n_blocks in range(1, min(most_blocks, n // 2) + 1):
        found = _search(table, n_blocks)
        n_parameters = 2 * n_blocks - 1 + (n_blocks > 1)  # levels, boundaries and the level between
        bic = n_pairs * math.log((found.cost + floor) / n_pairs) + n_parameters * math.log(n_pairs)
        if bic < best:
            best, chosen = bic, _labels(found.starts, n)
    return chosen


def jackknife_gap(
    left_out: ArrayLike, similarity: ArrayLike, blocks: ArrayLike, confidence: float = 0.95
) -> Interval:
    """Gap with its jackknife interval over stimuli, for fixed blocks.

    Parameters
    ----------
    left_out : array_like, shape (n_stimuli, n_layers, n_layers)
        Similarities without each stimulus in turn.
    similarity : array_like, shape (n_layers, n_layers)
        Of all stimuli.
    blocks : array_like, shape (n_layers,)
    confidence : float
    """
    block = _numbered(blocks, len(np.asarray(similarity)))
    gaps = np.array([gap_of(table, block) for table in np.asarray(left_out, float)])
    n = len(gaps)
    if n < 6:
        raise ValueError(f"{n} stimuli are too few for leaving one out; six are needed")
    spread = math.sqrt((n - 1) / n * float(np.square(gaps - gaps.mean()).sum()))
    reach, gap = float(norm.ppf((1 + confidence) / 2)) * spread, gap_of(similarity, block)
    return Interval(gap, gap - reach, gap + reach, confidence, n)


def _best(table: NDArray, n_blocks: int) -> NDArray:
    return _labels(_search(table, n_blocks).starts, len(table))


def _search(table: NDArray, n_blocks: int) -> _Found:
    """Blocks of least squared error for their number: dynamic programming and the level between, in turn."""
    n = len(table)
    values = table[np.triu_indices(n, 1)]
    total, squares = float(values.sum()), float(np.square(values).sum())
    sums, pairs = _segments(np.triu(table, 1)), _segments(np.triu(np.ones((n, n)), 1))
    own = np.where(pairs > 0, sums**2 / np.maximum(pairs, 1), 0)  # what a level of its own explains
    if n_blocks == 1:
        return _Found(squares - float(own[0, n]), (0,))
    best = _Found(math.inf, (0,))
    for level in np.quantile(values, (np.arange(STARTS) + 0.5) / STARTS / 2):
        while True:
            # what a block gains over the level between; pairs between have that level in any case
            gain = own - 2 * level * sums + level**2 * pairs
            starts = _partition(gain, n_blocks)
            ends = (*starts[1:], n)
            inside = [
                (float(sums[s, e]), float(pairs[s, e]), float(own[s, e]))
                for s, e in zip(starts, ends, strict=True)
            ]
            within, count, explained = (sum(part) for part in zip(*inside, strict=True))
            rest, n_rest = total - within, len(values) - count
            cost = max(squares - explained - rest**2 / n_rest, 0.0)
            level = rest / n_rest
            if cost >= best.cost - 1e-12:
                break
            best = _Found(cost, starts)
    return best


def _partition(gain: NDArray, n_blocks: int) -> tuple[int, ...]:
    """Starts of the contiguous blocks with the largest sum of gains; ``gain[s, e]`` is that of ``s`` to ``e - 1``."""
    n = len(gain) - 1
    s, e = np.indices(gain.shape)
    allowed = np.where(e - s >= 2, gain, -np.inf)
    value, back = allowed[0], []
    for _ in range(n_blocks - 1):
        options = value[:, None] + allowed
        back.append(options.argmax(axis=0))
        value = options.max(axis=0)
    starts, end = [], n
    for where in reversed(back):
        end = int(where[end])
        starts.append(end)
    return (0, *reversed(starts))


def _segments(upper: NDArray) -> NDArray:
    """Sums over the pairs of layers from ``s`` to ``e - 1``, ``(n + 1, n + 1)``."""
    total = np.zeros((len(upper) + 1,) * 2)
    total[1:, 1:] = upper.cumsum(0).cumsum(1)
    ends = np.diag(total)
    return (
        ends[None, :] - total
    )  # all up to e, less the rows before s: nothing of an upper triangle lies below


def _labels(starts: tuple[int, ...], n: int) -> NDArray:
    return np.searchsorted(np.array(starts), np.arange(n), side="right") - 1


def _numbered(blocks: ArrayLike, n: int) -> NDArray:
    names = np.asarray(blocks)
    if names.shape != (n,):
        raise ValueError(f"blocks {names.shape} of {n} layers; want a name for each")
    number = np.concatenate([[0], np.cumsum(names[1:] != names[:-1])])
    if number[-1] + 1 != len(np.unique(names)):
        raise ValueError(f"blocks {names.tolist()} come in pieces; layers of one must follow each other")
    if number[-1] and number[-1] + 1 == n:
        raise ValueError(f"{n} blocks of {n} layers; some block must have two")
    return number


def _checked(similarity: ArrayLike) -> NDArray:
    table = np.asarray(similarity, float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < LEAST_LAYERS:
        raise ValueError(f"similarities {table.shape}; want (layer, layer) of {LEAST_LAYERS} layers or more")
    off = table[~np.eye(len(table), dtype=bool)]
    if not np.isfinite(off).all():
        bad = int((~np.isfinite(table)).sum(axis=1).argmax())
        raise ValueError(
            f"similarities of layer {bad} are NaN or infinite; leave layers out that do not vary"
        )
    if not np.allclose(table, table.T, atol=1e-6):
        raise ValueError("similarities are not symmetric: a layer by layer table of one model is wanted")
    return table
