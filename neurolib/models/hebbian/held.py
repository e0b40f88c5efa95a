"""A read-out that changes only in bins with a spike: slots and a map in, every bin out.

Everything a layer computes from the attention alone is computed per slot, which is less than half
of the bins of a trial at 1 ms, and copied forward at the end.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Held(NamedTuple):
    """Values that stay as they are until the next spike of the trial.

    At bin ``t`` of trial ``b`` the value is ``values[slot[b, t], b]``. Slot 0 is the time before
    the first spike; the slots of a trial are in order of time, and trials with fewer bins
    with spikes than others leave their last slots unused.

    Attributes
    ----------
    values : Tensor, shape (n_slots, batch, n_units, d)
    slot : Tensor, shape (batch, time), long

    Examples
    --------
    One trial of three bins with a spike in the second:

    >>> held = Held(torch.tensor([[[[0.0]]], [[[5.0]]]]), torch.tensor([[0, 1, 1]]))
    >>> held.expand().flatten().tolist()
    [0.0, 5.0, 5.0]
    """

    values: Tensor
    slot: Tensor

    def expand(self) -> Tensor:
        """Copy forward to every bin, shape ``(batch, time, n_units, d)``."""
        trial = torch.arange(len(self.slot), device=self.slot.device)
        return self.values[self.slot, trial[:, None]]


def every_bin(read: Tensor) -> Held:
    """A read-out of every bin ``(batch, time, n_units, d)``, held for that bin alone.

    Examples
    --------
    >>> every_bin(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).expand().flatten().tolist()
    [3.0, 4.0]
    """
    return Held(read.transpose(0, 1), torch.arange(read.shape[1], device=read.device).expand(read.shape[:2]))
