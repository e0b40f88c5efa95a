"""A corpus as padded tensors: studies in, one row per study out, for every model of this folder."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neurolib.data.coordinate_splits import HoldOut, hide_half, hide_table
from neurolib.data.coordinates import Coordinates
from neurolib.training.batches import Batch


def study_tensors(
    corpus: Coordinates, voxels: NDArray, studies: ArrayLike, condition: ArrayLike | None = None
) -> Batch:
    """All foci of some studies.

    Parameters
    ----------
    corpus : Coordinates
    voxels : array of int, shape (n_foci,)
        From :meth:`Coordinates.voxels`.
    studies : array of int, shape (n,)
    condition : array, shape (n_studies of the corpus, c), optional
        What a conditional model is told about each study.

    Returns
    -------
    dict of Tensor
        ``voxels (n, most)``, padded with 0; ``mask (n, most)``, true for foci; ``seen``, the same;
        ``table (n, most)``, numbers from 0 in each study; ``condition (n, c)``, of width 0 without one.
    """
    studies = np.asarray(studies, int)
    rows = corpus.foci(studies)
    of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
    mask = np.arange(corpus.counts[studies].max(initial=1)) < corpus.counts[studies][:, None]
    return _batch(corpus, voxels, rows, of, mask, mask.copy(), condition, studies)


def hold_out_tensors(
    corpus: Coordinates, voxels: NDArray, hold_out: HoldOut, condition: ArrayLike | None = None
) -> Batch:
    """As :func:`study_tensors`, with ``seen`` true only for the foci that the hold-out shows."""
    n = len(hold_out.studies)
    of = np.r_[hold_out.seen_of, hold_out.hidden_of]
    rows = np.r_[hold_out.seen, hold_out.hidden]
    order = np.argsort(of, kind="stable")  # seen foci first, then hidden ones, in the order of the hold-out
    counts = np.bincount(of, minlength=n)
    mask = np.arange(counts.max(initial=1)) < counts[:, None]
    seen = np.arange(mask.shape[1]) < np.bincount(hold_out.seen_of, minlength=n)[:, None]
    return _batch(corpus, voxels, rows[order], of[order], mask, seen, condition, hold_out.studies)


def training_tensors(
    corpus: Coordinates,
    voxels: NDArray,
    train: ArrayLike,
    valid: ArrayLike,
    condition: ArrayLike | None = None,
) -> tuple[Batch, Batch]:
    """Tensors to train on, and valid studies to stop by: once with a half hidden, once with a table."""
    parts = [
        hold_out_tensors(corpus, voxels, hide(corpus, valid), condition) for hide in (hide_half, hide_table)
    ]
    return study_tensors(corpus, voxels, train, condition), joined(parts)


def joined(batches: list[Batch]) -> Batch:
    """Rows of several batches below each other, padded to the longest."""
    out = {}
    for key in batches[0]:
        most = max(batch[key].shape[1] for batch in batches)
        out[key] = torch.cat([nn.functional.pad(b[key], (0, most - b[key].shape[1])) for b in batches])
    return out


def _batch(corpus, voxels, rows, of, mask, seen, condition, studies) -> Batch:
    """Foci ``rows`` of the studies ``of``, in the places where ``mask`` is true."""
    if not len(rows):
        raise ValueError(f"{len(studies)} studies without a single focus")
    padded, tables = np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.int64)
    padded[mask] = voxels[rows]
    pairs, pair = np.unique(np.c_[of, corpus.table[rows]], axis=0, return_inverse=True)
    tables[mask] = (np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0]))[pair.ravel()]
    told = np.zeros((len(studies), 0)) if condition is None else np.asarray(condition)[studies]
    return {
        "voxels": torch.from_numpy(padded),
        "mask": torch.from_numpy(mask),
        "seen": torch.from_numpy(seen),
        "table": torch.from_numpy(tables),
        "condition": torch.from_numpy(told.astype(np.float32)),
    }
