"""One map for all studies: foci in, their smoothed density out; what every model is scored against."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.density_model import DensityModel


@dataclass(frozen=True)
class GlobalDensityConfig:
    """Smoothing of the global density.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> grid = Grid(np.ones((5, 5, 5), bool), 4.0, (0.0, 0.0, 0.0))
    >>> corpus = tiny([[8.0, 8.0, 8.0]], study=[0])
    >>> model = GlobalDensityConfig().build(grid).fit(corpus, corpus.voxels(grid), [0])
    >>> int(model.base.argmax()), float(model.base.sum().round(6))  # voxel (2, 2, 2)
    (62, 1.0)
    """

    fwhm_mm: float = 6.0

    def __post_init__(self):
        if self.fwhm_mm < 0:
            raise ValueError(f"fwhm_mm={self.fwhm_mm} must not be negative")

    def build(self, grid: Grid) -> "GlobalDensity":
        """Make the model, untrained."""
        return GlobalDensity(self, grid)


class GlobalDensity(DensityModel):
    """The model of :class:`GlobalDensityConfig`; foci and topics of a study change nothing."""

    def __init__(self, cfg: GlobalDensityConfig, grid: Grid):
        super().__init__(grid)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        self.base = smoothed_density(voxels[corpus.foci(studies)], self.grid, self.cfg.fwhm_mm)

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        return np.broadcast_to(self.base, (len(hold_out.studies), self.grid.n_voxels))
