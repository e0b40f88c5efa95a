"""Batches for the training loop: a dict of tensors in, dicts of smaller tensors out.

The rows of a batch are a pure function of (seed, step), so a resumed run sees the same ones.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
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
