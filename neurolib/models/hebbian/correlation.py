"""A control for Hebbian attention: running correlations of rates in its place, with nothing to learn.

Counts ``(batch, time, unit)`` in, a read-out of the correlation matrix out. It has pairs of units and a
memory of rates, and no order of spikes.
"""

import math

import torch
from torch import Tensor

from neurolib.models.hebbian.held import Held, every_bin
from neurolib.models.hebbian.rules import State

FLOOR = 1e-4  # variance, in squared spikes per bin, below which a unit correlates with nobody


def correlation_read(
    tau_bins: float, counts: Tensor, value: Tensor, state: State | None = None
) -> tuple[Held, State]:
    """Read out Pearson correlations of exponentially averaged rates after each bin.

    Means, and products of pairs, are averaged with the same time constant; a bin is averaged
    as it is. The matrix of correlations takes the place of the attention.

    Parameters
    ----------
    tau_bins : float
        Time constant of the averages, in bins.
    counts : Tensor, shape (batch, time, n_units)
    value : Tensor, shape (n_units, d)
    state : State, optional
        ``pre`` holds the running means and ``attention`` the running products.

    Returns
    -------
    read : Held
    state : State

    Examples
    --------
    Two units that fire together, and a third that fires when they do not:

    >>> counts = torch.tensor([[[1.0, 1, 0], [0, 0, 1]] * 50])
    >>> read, _ = correlation_read(20.0, counts, torch.eye(3))
    >>> [round(r, 1) for r in read.expand()[0, -1, 0].tolist()]
    [1.0, 1.0, -1.0]
    """
    with torch.autocast(counts.device.type, enabled=False):
        counts = counts.to(value.dtype) if value.dtype == torch.float64 else counts.float()
        value, keep = value.to(counts.dtype), math.exp(-1 / tau_bins)
        if state is None:
            mean = counts.new_zeros(len(counts), counts.shape[2])
            state = State(mean, mean, counts.new_zeros(*mean.shape, mean.shape[1]))
        mean, _, product = state
        reads = []
        for now in counts.unbind(1):
            mean = torch.lerp(now, mean, keep)
            product = torch.lerp(now[:, :, None] * now[:, None, :], product, keep)
            covariance = product - mean[:, :, None] * mean[:, None, :]
            scale = covariance.diagonal(dim1=1, dim2=2).clamp(min=FLOOR).rsqrt()
            reads.append(scale[:, :, None] * (covariance @ (scale[:, :, None] * value)))
        return every_bin(torch.stack(reads, dim=1)), State(mean, mean, product)
