"""Corrupted inputs to patch from: a batch of trials in, the same batch without what is asked about out.

A corruption must leave the model where it was trained. Zeros do not, so there are none here: a trial gives its
place to another trial, to itself at another time, or to itself with its channels exchanged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

Rows = Tensor | slice


def take(batch: Any, rows: Rows) -> Any:
    """Rows of everything in a batch: tensors, and mappings, tuples and dataclasses of them.

    Examples
    --------
    >>> take({"x": torch.tensor([1, 2, 3]), "n": (torch.tensor([4, 5, 6]), None)}, torch.tensor([2, 0]))
    {'x': tensor([3, 1]), 'n': (tensor([6, 4]), None)}
    """
    return _each(batch, lambda tensor: tensor[rows.to(tensor.device) if isinstance(rows, Tensor) else rows])


def n_rows(batch: Any) -> int:
    """Rows of a batch.

    Raises
    ------
    ValueError
        If its tensors have different numbers of rows, or there is none.
    """
    sizes = set()
    _each(batch, lambda tensor: sizes.add(len(tensor)))
    if len(sizes) != 1:
        raise ValueError(
            f"tensors of {sorted(sizes) or 'no'} rows; every tensor of a batch has one row per trial. "
            "Give what is not per trial in run=lambda model, inputs: ..."
        )
    return sizes.pop()


def partners(
    n_trials: int, groups: ArrayLike | None = None, features: ArrayLike | None = None, seed: int = 0
) -> Tensor:
    """For every trial another one; each trial is a partner once, and none is its own.

    Parameters
    ----------
    n_trials : int
    groups : array_like, shape (n_trials,), optional
        Trials are paired within a group: a session, or a length.
    features : array_like, shape (n_trials, k), optional
        What partners should have in common, such as the number of spikes: pairs are those of least total
        distance after scaling. Without, they are drawn.
    seed : int

    Returns
    -------
    Tensor of int64, shape (n_trials,)

    Raises
    ------
    ValueError
        If a group holds a single trial.

    Examples
    --------
    >>> partners(4, features=[[0.0], [9.0], [0.1], [9.1]])
    tensor([2, 3, 0, 1])
    """
    groups = np.zeros(n_trials) if groups is None else np.asarray(groups)
    if groups.shape != (n_trials,):
        raise ValueError(f"groups {groups.shape} for {n_trials} trials")
    if features is not None:
        features = np.asarray(features, float)
        if len(features) != n_trials or features.ndim != 2:
            raise ValueError(f"features {features.shape} must be ({n_trials}, k)")
        spread = features.std(axis=0)
        features = features / np.where(spread > 0, spread, 1)
    draw, found = np.random.default_rng(seed), np.empty(n_trials, dtype=np.int64)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        if len(members) < 2:
            raise ValueError(
                f"group {group} holds one trial, which has no partner; drop it or widen the groups"
            )
        if features is None:
            members = draw.permutation(members)  # in a circle
            found[members] = np.roll(members, 1)
        else:
            cost = cdist(features[members], features[members])
            np.fill_diagonal(cost, 1e3 * (1 + cost.max()) * len(members))
            found[members] = members[linear_sum_assignment(cost)[1]]
    return torch.from_numpy(found)


def time_shift(batch: Any, min_shift: int, seed: int = 0, lengths: ArrayLike | None = None) -> Any:
    """Turn every trial round in time, by ``min_shift`` bins at least in either direction.

    Each trial keeps its spikes and loses when they were. Masks and clocks stay.

    Parameters
    ----------
    batch : Tensor (B, T, channel), or mapping of them or of ``ModalityInput``
        Of a mapping, floating tensors with three axes are shifted, by the same share of their length.
    min_shift : int
        In bins of the longest signal.
    seed : int
    lengths : array_like of int, shape (B,), optional
        Bins of each trial, where shorter ones are padded at the end; for a batch of one length only.

    Raises
    ------
    ValueError
        If a trial is too short, or there is nothing to shift.

    Examples
    --------
    >>> time_shift(torch.tensor([[[1.0], [2.0], [0.0]]]), 1, lengths=[2]).flatten().tolist()
    [2.0, 1.0, 0.0]
    """
    signals = [signal for signal in _signals(batch)]
    if not signals:
        raise ValueError("nothing to shift: no floating tensor (batch, time, channel); events have no bins")
    longest = max(signal.shape[1] for signal in signals)
    rows = len(signals[0])
    lengths = np.full(rows, longest) if lengths is None else np.asarray(lengths)
    if lengths.shape != (rows,) or lengths.max() > longest:
        raise ValueError(f"lengths {lengths.shape} up to {lengths.max()} for {rows} trials of {longest} bins")
    if lengths.min() < 2 * min_shift or min_shift < 1:
        raise ValueError(
            f"a trial of {lengths.min()} bins cannot be shifted by {min_shift} or more both ways"
        )
    shift = np.random.default_rng(seed).integers(min_shift, lengths - min_shift + 1)

    def shifted(signal: Tensor) -> Tensor:
        ratio = signal.shape[1] / longest
        at = np.arange(signal.shape[1])
        n, by = np.round(lengths * ratio).astype(int)[:, None], np.round(shift * ratio).astype(int)[:, None]
        index = torch.from_numpy(np.where(at < n, (at - by) % n, at)).to(signal.device)
        return signal.gather(1, index[..., None].expand_as(signal))

    return _on_signals(batch, shifted)


def channel_shuffle(batch: Any, sessions: ArrayLike | None = None, seed: int = 0) -> Any:
    """Exchange channels, in the same way in all trials of a session.

    Activity keeps its statistics and its course, and loses which unit it was.

    Parameters
    ----------
    batch : Tensor (B, T, channel), or mapping of them or of ``ModalityInput``
    sessions : array_like, shape (B,), optional

    Examples
    --------
    >>> channel_shuffle(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), seed=3).flatten().tolist()
    [2.0, 1.0, 4.0, 3.0]
    """
    draw = np.random.default_rng(seed)

    def shuffled(signal: Tensor) -> Tensor:
        names = np.zeros(len(signal)) if sessions is None else np.asarray(sessions)
        if names.shape != (len(signal),):
            raise ValueError(f"sessions {names.shape} for {len(signal)} trials")
        out = signal.clone()
        for name in np.unique(names):
            rows = torch.from_numpy(np.flatnonzero(names == name))
            order = torch.from_numpy(draw.permutation(signal.shape[2]))
            out[rows] = signal[rows][..., order]
        return out

    return _on_signals(batch, shuffled)


def other_modality(batch: Mapping[str, Any], names: str | Iterable[str], other: Tensor) -> dict[str, Any]:
    """Take some modalities from the trials' partners, and leave the others.

    Examples
    --------
    >>> other_modality({"spike": torch.tensor([1, 2]), "emg": torch.tensor([3, 4])}, "emg", torch.tensor([1, 0]))
    {'spike': tensor([1, 2]), 'emg': tensor([4, 3])}
    """
    names = {names} if isinstance(names, str) else set(names)
    if unknown := names - set(batch):
        raise ValueError(f"no modality {sorted(unknown)[0]!r} in the batch; there are {', '.join(batch)}")
    return {name: take(part, other) if name in names else part for name, part in batch.items()}


def _each(batch: Any, change) -> Any:
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: _each(part, change) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_each(part, change) for part in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(_each(part, change) for part in batch)
    if is_dataclass(batch):
        new = {f.name: _each(getattr(batch, f.name), change) for f in fields(batch)}
        return replace(batch, **{name: part for name, part in new.items() if part is not None})
    return batch


def _signals(batch: Any):
    """Tensors that are signals: floating, ``(batch, time, channel)``; coordinates of channels are none."""
    if isinstance(batch, Tensor):
        if batch.dim() == 3 and batch.is_floating_point():
            yield batch
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from _signals(part)
    elif isinstance(getattr(batch, "values", None), Tensor):
        yield batch.values


def _on_signals(batch: Any, change) -> Any:
    if isinstance(batch, Tensor):
        return change(batch) if batch.dim() == 3 and batch.is_floating_point() else batch
    if isinstance(batch, Mapping):
        return {name: _on_signals(part, change) for name, part in batch.items()}
    if isinstance(getattr(batch, "values", None), Tensor):
        return replace(batch, values=change(batch.values))
    return batch
