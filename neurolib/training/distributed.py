"""Several processes on one training run, as `torchrun` or Ray Train start them.

Nothing here is needed in a single process: :func:`group` then yields rank 0 of 1.
"""

import atexit
import os
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Group(NamedTuple):
    """The place of this process among those of a run."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """True for the one process that writes files and prints."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.world > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def gather(self, value: Tensor) -> list[Tensor]:
        """The value of every process, by rank; small tensors only."""
        if self.world == 1:
            return [value]
        values: list = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)


def group(device: torch.device) -> Group:
    """Join the group that the environment describes, if this process is not in it yet.

    It stays in it to its end: a second training run of one process could not find the others again
    where they have moved from, because `torchrun` keeps their first addresses.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return Group()
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


class LossModule(nn.Module):
    """A model whose ``forward`` is its loss, which is what wrappers of modules can call."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """``model.loss(batch)``."""
        return self.model.loss(batch)
