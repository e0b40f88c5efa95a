"""Train, valid and test studies, and which foci of a study a model may see before it is scored.

Studies with identical foci are never parted, and nothing here looks at a model.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.data.coordinates import Coordinates


@dataclass(frozen=True, eq=False)
class StudySplit:
    """Rows of the studies to train on, to choose by and to test on.

    Parameters
    ----------
    train, valid, test : array of int
    """

    train: NDArray
    valid: NDArray
    test: NDArray

    @property
    def sha256(self) -> str:
        """Hash of the three lists, by which two runs can show that they were split alike."""
        parts = (part.astype("<i8").tobytes() + b"|" for part in (self.train, self.valid, self.test))
        return hashlib.sha256(b"".join(parts)).hexdigest()


def split_studies(
    corpus: Coordinates, seed: int = 0, shares: tuple[float, float] = (0.7, 0.15)
) -> StudySplit:
    """Split by study; studies of one duplicate group stay together.

    Parameters
    ----------
    corpus : Coordinates
    seed : int
    shares : tuple of float
        Of train and valid; the rest is test.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> corpus = tiny(np.arange(60.0).reshape(20, 3), study=np.arange(20))
    >>> split = split_studies(corpus)
    >>> len(split.train), len(split.valid), len(split.test)
    (14, 3, 3)
    """
    if not (0 < shares[0] < 1 and 0 < shares[1] < 1 and sum(shares) < 1):
        raise ValueError(f"shares={shares} of train and valid must be above 0 and leave some for test")
    groups = corpus.duplicate_groups
    order = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)
    at = np.round(np.cumsum(shares) * len(order)).astype(int)
    part = np.empty(len(order), int)
    part[order] = np.repeat([0, 1, 2], np.diff([0, *at, len(order)]))
    return StudySplit(*(np.flatnonzero(part[groups] == k) for k in range(3)))


def split_by_year(corpus: Coordinates, valid: int = 2015, test: int = 2016) -> StudySplit:
    """Train on what was published before ``valid``, test on ``test`` and later."""
    year = corpus.year
    if np.isnan(year).any():
        raise ValueError(f"{np.isnan(year).sum()} studies have no year; split by year needs it for all")
    return StudySplit(
        *(np.flatnonzero(m) for m in (year < valid, (year >= valid) & (year < test), year >= test))
    )


def development_subset(corpus: Coordinates, studies: NDArray, n: int = 1000, seed: int = 0) -> NDArray:
    """So many of the studies, spread over years and sizes as they all are; for trying things, not for results."""
    if not 0 < n <= len(studies):
        raise ValueError(f"n={n} of {len(studies)} studies")
    year = np.nan_to_num(corpus.year[studies], nan=0.0)
    size = np.digitize(np.log(np.maximum(corpus.counts[studies], 1)), np.log([5, 10, 20, 30, 50, 100]))
    jitter = np.random.default_rng(seed).random(len(studies))
    order = np.lexsort((jitter, size, year))
    return np.sort(studies[order[np.linspace(0, len(studies) - 1, n).round().astype(int)]])


@dataclass(frozen=True, eq=False)
class HoldOut:
    """For some studies the foci that are seen and those that are to be predicted.

    Parameters
    ----------
    studies : array of int, shape (n,)
        Rows in the corpus.
    seen, hidden : array of int
        Rows of foci, study by study.
    seen_of, hidden_of : array of int
        For each of them the position of its study in ``studies``.
    """

    studies: NDArray
    seen: NDArray
    seen_of: NDArray
    hidden: NDArray
    hidden_of: NDArray


def hide_half(corpus: Coordinates, studies: NDArray, seed: int = 7, at_least: int = 4) -> HoldOut:
    """Hide a random half of every study's foci; studies with fewer than ``at_least`` are left out.

    The two sides of the brain and neighbouring peaks of one table end up in both halves, so this
    is the easier question; :func:`hide_table` asks the harder one.
    """
    chosen = np.asarray(studies)[corpus.counts[studies] >= at_least]
    rows = corpus.foci(chosen)
    of = np.repeat(np.arange(len(chosen)), corpus.counts[chosen])
    order = np.lexsort((np.random.default_rng(seed).random(len(rows)), of))
    first = np.r_[0, np.cumsum(corpus.counts[chosen])][:-1]
    rank = np.empty(len(rows), int)
    rank[order] = np.arange(len(rows)) - first[of[order]]
    seen = rank < corpus.counts[chosen][of] // 2
    return HoldOut(chosen, rows[seen], of[seen], rows[~seen], of[~seen])


def hide_table(corpus: Coordinates, studies: NDArray, seed: int = 3, at_least: int = 2) -> HoldOut:
    """Hide one whole table of every study that has two tables with at least so many foci."""
    rng = np.random.default_rng(seed)
    chosen, seen, hidden = [], [], []
    for study in studies:
        rows = np.arange(corpus.first[study], corpus.first[study + 1])
        tables, counts = np.unique(corpus.table[rows], return_counts=True)
        tables = tables[counts >= at_least]
        if len(tables) < 2:
            continue
        out = corpus.table[rows] == rng.choice(tables)
        chosen.append(study)
        seen.append(rows[~out])
        hidden.append(rows[out])
    of = [np.repeat(np.arange(len(chosen)), [len(r) for r in part]) for part in (seen, hidden)]
    joined = [np.concatenate(part) if part else np.zeros(0, int) for part in (seen, hidden)]
    return HoldOut(np.array(chosen, int), joined[0], of[0].astype(int), joined[1], of[1].astype(int))


def hide_all(corpus: Coordinates, studies: NDArray) -> HoldOut:
    """Hide every focus of some studies that have any, for models that read topics alone.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> task = hide_all(tiny(np.zeros((3, 3)), study=[0, 0, 1]), [1, 0])
    >>> task.hidden, task.hidden_of, len(task.seen)
    (array([2, 0, 1]), array([0, 1, 1]), 0)
    """
    studies = np.asarray(studies, int)
    studies = studies[corpus.counts[studies] > 0]
    of, none = np.repeat(np.arange(len(studies)), corpus.counts[studies]), np.zeros(0, int)
    return HoldOut(studies, none, none, corpus.foci(studies), of)
