"""A corpus as padded tensors: studies in, one row per study out, for every model of this folder."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from neurolib.data.coordinate_splits import HoldOut, hide_half
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
        ``condition (n, c)``, of width 0 without one.
    """
    studies = np.asarray(studies, int)
    rows = corpus.foci(studies)
    of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
    mask = np.arange(corpus.counts[studies].max(initial=1)) < corpus.counts[studies][:, None]
    padded = np.zeros(mask.shape, np.int64)
    padded[mask] = voxels[rows]
    return _batch(padded, mask, mask.copy(), condition, studies, len(of))


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
    padded = np.zeros(mask.shape, np.int64)
    padded[mask] = voxels[rows[order]]
    seen = np.arange(mask.shape[1]) < np.bincount(hold_out.seen_of, minlength=n)[:, None]
    return _batch(padded, mask, seen, condition, hold_out.studies, len(rows))


def training_tensors(
    corpus: Coordinates,
    voxels: NDArray,
    train: ArrayLike,
    valid: ArrayLike,
    condition: ArrayLike | None = None,
) -> tuple[Batch, Batch]:
    """Tensors to train on, and valid studies with a half of their foci hidden to stop by."""
    hold_out = hide_half(corpus, valid)
    return study_tensors(corpus, voxels, train, condition), hold_out_tensors(
        corpus, voxels, hold_out, condition
    )


def _batch(voxels: NDArray, mask: NDArray, seen: NDArray, condition, studies: NDArray, n_foci: int) -> Batch:
    if not n_foci:
        raise ValueError(f"{len(studies)} studies without a single focus")
    told = np.zeros((len(studies), 0)) if condition is None else np.asarray(condition)[studies]
    return {
        "voxels": torch.from_numpy(voxels),
        "mask": torch.from_numpy(mask),
        "seen": torch.from_numpy(seen),
        "condition": torch.from_numpy(told.astype(np.float32)),
    }
