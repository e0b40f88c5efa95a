"""The frame of the classical models: a hold-out of foci in, the probability of every hidden focus out.

A model says how the densities of some studies come about (``_densities``); gathering the hidden
foci, mixing the global density in and the checks stand here, once.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import smoothed_density

BATCH = 128  # studies whose densities are in memory together


class DensityModel(ABC):
    """A density over the voxels of the brain for each study, given its seen foci or its topics.

    Parameters
    ----------
    grid : Grid
    global_share : float
        Share of the smoothed density of all training foci in every density.

    Attributes
    ----------
    base : array, shape (n_voxels,)
        That global density; there after :meth:`fit`.
    """

    def __init__(self, grid: Grid, global_share: float = 0.0):
        self.grid, self.global_share = grid, global_share

    def fit(self, corpus: Coordinates, voxels: NDArray, studies: ArrayLike) -> "DensityModel":
        """Learn from the foci of some studies.

        Parameters
        ----------
        corpus : Coordinates
        voxels : array of int, shape (n_foci,)
            ``corpus.voxels(grid)``.
        studies : array of int
            Rows to train on.

        Raises
        ------
        ValueError
            If the voxels are not of this corpus and grid, or the studies have no foci.
        """
        studies = np.asarray(studies, int)
        self._check(corpus, voxels)
        self.base = smoothed_density(voxels[corpus.foci(studies)], self.grid)
        self._fit(corpus, voxels, studies)
        return self

    def hidden(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """Probability per voxel of each hidden focus, shape (n_hidden,)."""
        self._check(corpus, voxels)
        found = np.empty(len(hold_out.hidden))
        for start in range(0, len(hold_out.studies), BATCH):
            densities = self.densities(corpus, voxels, part(hold_out, start, start + BATCH))
            rows = (hold_out.hidden_of >= start) & (hold_out.hidden_of < start + BATCH)
            found[rows] = densities[hold_out.hidden_of[rows] - start, voxels[hold_out.hidden[rows]]]
        return found

    def density(self, corpus: Coordinates, voxels: NDArray, foci: ArrayLike, study: int) -> NDArray:
        """The map of one study given rows of its foci that are seen, shape (n_voxels,), sum 1."""
        foci, none = np.asarray(foci, int), np.zeros(0, int)
        hold_out = HoldOut(np.array([study]), foci, np.zeros(len(foci), int), none, none)
        return self.densities(corpus, voxels, hold_out)[0]

    def densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """The maps of all studies of a hold-out, shape (n_studies, n_voxels); large for many."""
        self._check(corpus, voxels)
        if not hasattr(self, "base"):
            raise ValueError(f"{type(self).__name__} has seen no foci yet; call fit first")
        own = self._densities(corpus, voxels, hold_out)
        return self.global_share * self.base + (1 - self.global_share) * own if self.global_share else own

    @abstractmethod
    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None: ...

    @abstractmethod
    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """Maps (n_studies, n_voxels) that sum to one, before the global density is mixed in."""

    def _check(self, corpus: Coordinates, voxels: NDArray) -> None:
        if voxels.shape != (corpus.n_foci,):
            raise ValueError(
                f"voxels {voxels.shape} for {corpus.n_foci} foci; take them by corpus.voxels(grid) of this corpus"
            )
        if len(voxels) and not (0 <= voxels.min() and voxels.max() < self.grid.n_voxels):
            raise ValueError(
                f"voxels {voxels.min()} to {voxels.max()} for a brain of {self.grid.n_voxels}; "
                "are they of another grid, or outside the brain?"
            )


def part(hold_out: HoldOut, start: int, stop: int) -> HoldOut:
    """The studies at these positions of a hold-out alone.

    Examples
    --------
    >>> whole = HoldOut(*map(np.array, ([5, 9], [50, 90, 91], [0, 1, 1], [51, 92], [0, 1])))
    >>> last = part(whole, 1, 2)
    >>> last.studies, last.seen, last.seen_of, last.hidden
    (array([9]), array([90, 91]), array([0, 0]), array([92]))
    """
    seen, hidden = ((of >= start) & (of < stop) for of in (hold_out.seen_of, hold_out.hidden_of))
    return HoldOut(
        hold_out.studies[start:stop],
        hold_out.seen[seen],
        hold_out.seen_of[seen] - start,
        hold_out.hidden[hidden],
        hold_out.hidden_of[hidden] - start,
    )
