"""Several processes on one training run, as `torchrun` starts them.

Nothing here is needed in a single process: :func:`group` then yields rank 0 of 1.
"""

import contextlib
import os
from collections.abc import Iterator
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


@contextlib.contextmanager
def group(device: torch.device) -> Iterator[Group]:
    """Join the group that `torchrun` describes in the environment, leave it at the end."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Group()
        return
    ours = not dist.is_initialized()
    if ours:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        if ours:
            dist.destroy_process_group()


class LossModule(nn.Module):
    """A model whose ``forward`` is its loss, which is what wrappers of modules can call."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """``model.loss(batch)``."""
        return self.model.loss(batch)
