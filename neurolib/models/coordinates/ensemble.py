"""Several models of one thing: their densities in, one forecast and how far they disagree out.

The forecast is the mean of the members' probabilities, not of their logarithms: a place that one
member holds possible stays possible.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.metrics.ensembles import EnsembleEntropy, entropy_decomposition, pairwise_diversity
from neurolib.training.batches import Batch


class Forecast(NamedTuple):
    """What an ensemble says about some studies.

    Parameters
    ----------
    density : array, shape (n, n_voxels)
        Mean of the members' probabilities.
    low, high : array, shape (n, n_voxels)
        Interval of the log probability per voxel, over members and their draws.
    entropy : EnsembleEntropy
        Of where the next focus will be, arrays of shape (n,); ``epistemic`` is the disagreement.
    diversity : array, shape (n,)
        Mean Jensen-Shannon divergence of two members; 0 with one member.
    """

    density: NDArray
    low: NDArray
    high: NDArray
    entropy: EnsembleEntropy
    diversity: NDArray


class DensityEnsemble(nn.Module):
    """Snapshots of one run, or runs with several seeds, used as one model.

    Parameters
    ----------
    members : sequence of nn.Module
        Each with ``densities(batch, n_samples, seed, block)``; for :meth:`expected_foci` each also
        with a method of that name.

    Raises
    ------
    ValueError
        If there is no member.

    References
    ----------
    .. [1] Lakshminarayanan, Pritzel & Blundell (2017), "Simple and scalable predictive uncertainty
       estimation using deep ensembles", NeurIPS.
    """

    def __init__(self, members: Sequence[nn.Module]):
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs a member")
        self.members = nn.ModuleList(members)

    def densities(
        self, batch: Batch, n_samples: int = 16, seed: int = 0, block: int = 64
    ) -> Iterator[Tensor]:
        """Mean densities ``(block, n_voxels)`` given the seen foci, as a single model gives them."""
        for each in self._members(batch, n_samples, seed, block):
            yield each.mean(0)

    def forecasts(
        self, batch: Batch, n_samples: int = 8, level: float = 0.9, seed: int = 0, block: int = 8
    ) -> Iterator[Forecast]:
        """Forecasts with their uncertainty, block after block of studies.

        Parameters
        ----------
        batch : dict of Tensor
        n_samples : int
            Draws of each member's latents; 0 decodes the posterior's mean.
        level : float
            Share of members and draws inside the interval.
        seed, block : int
        """
        draws = [
            self._members(batch, min(n_samples, 1), seed + draw, block) for draw in range(max(n_samples, 1))
        ]
        for drawn in zip(*draws, strict=True):
            each = torch.stack(drawn, 1).double().cpu().numpy()  # (member, draw, study, voxel)
            of_member = each.mean(1)
            several = len(of_member) > 1
            with np.errstate(divide="ignore"):
                low, high = interval(np.log(each).reshape(-1, *each.shape[2:]), level)
            yield Forecast(
                of_member.mean(0),
                low,
                high,
                entropy_decomposition(of_member),
                pairwise_diversity(of_member) if several else np.zeros(of_member.shape[1]),
            )

    def expected_foci(self, batch: Batch) -> NDArray:
        """Foci to be expected in each study given the seen ones, mean over members, ``(batch,)``.

        Raises
        ------
        ValueError
            If a member says nothing about how many foci there are.
        """
        dumb = [type(member).__name__ for member in self.members if not hasattr(member, "expected_foci")]
        if dumb:
            raise ValueError(f"{dumb[0]} models where foci are, not how many; it has no expected_foci")
        return np.mean([member.expected_foci(batch) for member in self.members], 0)

    def _members(self, batch: Batch, n_samples: int, seed: int, block: int) -> Iterator[Tensor]:
        """Densities ``(member, block, n_voxels)``; members draw alike only by chance."""
        each = [
            member.densities(batch, n_samples, 1_000 * i + seed, block)
            for i, member in enumerate(self.members)
        ]
        for densities in zip(*each, strict=True):
            yield torch.stack(densities)


def interval(values: ArrayLike, level: float = 0.9) -> tuple[NDArray, NDArray]:
    """Central interval over the first axis, by quantiles.

    Parameters
    ----------
    values : array, shape (n, ...)
        Log densities of members and draws; with a handful of them quantiles are coarse.
    level : float

    Returns
    -------
    low, high : array, shape (...)

    Raises
    ------
    ValueError
        If the level is no share.

    Examples
    --------
    >>> low, high = interval(np.arange(101.0), level=0.5)
    >>> float(low), float(high)
    (25.0, 75.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level} must lie between 0 and 1")
    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
