"""Batches for the training loop: a dict of tensors in, dicts of smaller tensors out.

The rows of a batch are a pure function of (seed, step), so a resumed run sees the same ones.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from neurolib.data.trials import Trials

Batch = dict[str, Tensor]


def trial_tensors(trials: Trials, dtype: torch.dtype = torch.float32) -> Batch:
    """Trials as ``counts (N, T, n_units)``, ``behaviour (N, T, n_outputs)`` and ``mask (N, T)``."""
    padded = trials.padded()
    return {
        "counts": torch.from_numpy(padded.counts).to(dtype),
        "behaviour": torch.from_numpy(padded.behaviour).to(dtype),
        "mask": torch.from_numpy(padded.mask),
    }


def session_tensors(trials: dict[str, Trials], dtype: torch.dtype = torch.float32) -> Batch:
    """Trials of several recordings as one batch, for a model that they share.

    Parameters
    ----------
    trials : dict of Trials by recording
        With the same outputs, and in the order in which the model was given its recordings.
    dtype : torch.dtype

    Returns
    -------
    dict of Tensor
        As :func:`trial_tensors` makes them, padded with zeros to the longest trial and to the most
        units, and ``session (N,)``, the number of the recording that a row is from.

    Examples
    --------
    >>> import numpy as np
    >>> monday = Trials(np.ones((5, 2)), np.zeros((5, 1)), [3, 2], 0.05)
    >>> tuesday = Trials(np.ones((4, 3)), np.zeros((4, 1)), [4], 0.05)
    >>> both = session_tensors({"monday": monday, "tuesday": tuesday})
    >>> both["session"].tolist(), both["counts"].shape
    ([0, 0, 1], torch.Size([3, 4, 3]))
    """
    parts = [trial_tensors(part, dtype) for part in trials.values()]
    n_bins = max(part["counts"].shape[1] for part in parts)
    n_units = max(part["counts"].shape[2] for part in parts)
    for number, part in enumerate(parts):
        n_trials, bins, units = part["counts"].shape
        more = n_bins - bins
        part["counts"] = nn.functional.pad(part["counts"], (0, n_units - units, 0, more))
        part["behaviour"] = nn.functional.pad(part["behaviour"], (0, 0, 0, more))
        part["mask"] = nn.functional.pad(part["mask"], (0, more))
        part["session"] = torch.full((n_trials,), number)
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def n_rows(data: Batch | Dataset) -> int:
    """Rows of a dict of tensors, or the length of a dataset."""
    if not isinstance(data, dict):
        return len(data)
    sizes = {key: len(tensor) for key, tensor in data.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"tensors of one dataset differ in length: {sizes}")
    return next(iter(sizes.values()))


def rows_of_step(step: int, n: int, batch_size: int, seed: int) -> Tensor:
    """Rows of training step ``step`` (from 0): each epoch is a fresh permutation of all rows.

    Examples
    --------
    >>> sorted(torch.cat([rows_of_step(s, 5, 2, seed=0) for s in range(3)]).tolist())
    [0, 1, 2, 3, 4]
    """
    per_epoch = -(-n // batch_size)
    epoch, position = divmod(step, per_epoch)
    draw = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(n, generator=draw)[position * batch_size : (position + 1) * batch_size]


def training_batches(
    data: Batch | Dataset,
    steps: range,
    batch_size: int,
    seeds: Sequence[int],
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield the batch of every step in ``steps``.

    Tensors are moved to the device once and indexed there; a dataset is read by worker
    processes into pinned memory and copied while the device computes.

    Parameters
    ----------
    data : dict of Tensor, or Dataset whose items are dicts of tensors
    seeds : sequence of int
        Several seeds give batches with a leading seed axis ``(seed, batch, ...)``.
    rank, world : int
        This process takes every ``world``-th row of each batch.
    workers : int
        Reading processes for a dataset.
    """
    n = n_rows(data)

    def rows(step):
        drawn = [rows_of_step(step, n, batch_size, seed) for seed in seeds]
        if len(drawn[0]) < world:  # the rest of an epoch: a row twice rather than a process without any
            drawn = [index.repeat(world)[:world] for index in drawn]
        drawn = [index[rank::world] for index in drawn]
        return drawn[0] if len(seeds) == 1 else torch.stack(drawn)

    if isinstance(data, dict):
        data = {key: tensor.to(device) for key, tensor in data.items()}
        for step in steps:
            index = rows(step).to(device)
            yield {key: tensor[index] for key, tensor in data.items()}
        return
    if len(seeds) > 1:
        raise ValueError("seeds train side by side on tensors in memory only; pass a dict of tensors")
    loader = DataLoader(
        data,
        batch_sampler=[rows(step).tolist() for step in steps],
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
    for batch in loader:
        yield {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}


def evaluation_batches(data: Batch | Dataset, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield all rows in order."""
    if isinstance(data, dict):
        for start in range(0, n_rows(data), batch_size):
            yield {key: tensor[start : start + batch_size].to(device) for key, tensor in data.items()}
        return
    for batch in DataLoader(data, batch_size=batch_size):
        yield {key: tensor.to(device, non_blocking=True) for key, tensor in batch.items()}
