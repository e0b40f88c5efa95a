"""Gaussian kernels around the seen foci of a study: foci in, a density over voxels out.

Nothing is learned. Alone such a density gives far voxels no chance at all; mix it with others
(:mod:`neurolib.models.coordinates.stacking`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates, tiny
from neurolib.models.coordinates.density import FWHM_PER_SIGMA
from neurolib.models.coordinates.density_model import DensityModel


@dataclass(frozen=True)
class LocalConfig:
    """Widths of the kernels, and whether they stand on the other side of the brain.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> grid = Grid(np.ones((5, 1, 1), bool), 4.0, (-8.0, 0.0, 0.0))
    >>> corpus = tiny([[-8.0, 0.0, 0.0]], study=[0])
    >>> near, far = (LocalConfig((6.0,), mirror).build(grid) for mirror in (False, True))
    >>> [int(m.fit(corpus, corpus.voxels(grid), [0]).density(corpus, corpus.voxels(grid), [0], 0).argmax())
    ...  for m in (near, far)]
    [0, 4]
    """

    fwhm_mm: tuple[float, ...] = (15.0,)  # several weigh the same
    mirror: bool = False  # x to -x: activity comes in pairs

    def __post_init__(self):
        if not self.fwhm_mm or not min(self.fwhm_mm) > 0:
            raise ValueError(f"fwhm_mm={self.fwhm_mm} must be widths above 0, in mm")

    def build(self, grid: Grid) -> "Local":
        """Make the model."""
        return Local(self, grid)


class Local(DensityModel):
    r"""The model of :class:`LocalConfig`; a study without seen foci gets the global density.

    .. math:: p(v \mid x_1 \ldots x_n) = \frac1n \sum_i \frac{K(v - x_i)}{\sum_{u \in \mathrm{brain}} K(u - x_i)}

    Foci are taken where they were reported, dequantised, not at their voxel's centre. The kernel is
    a product over the axes, so that its sum over the brain is exact, and no focus loses mass outside.
    """

    def __init__(self, cfg: LocalConfig, grid: Grid):
        super().__init__(grid)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        pass

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        rows = hold_out.seen
        # a corpus of the seen foci alone: dequantising all of them for one study would take longest
        seen = tiny(corpus.xyz_mm[rows], np.zeros(len(rows)), focus_id=corpus.focus_id[rows]).dequantised()
        seen = seen * [-1, 1, 1] if self.cfg.mirror else seen
        first = np.searchsorted(hold_out.seen_of, np.arange(len(hold_out.studies) + 1))
        densities = np.empty((len(hold_out.studies), self.grid.n_voxels))
        for density, start, stop in zip(densities, first[:-1], first[1:], strict=True):
            density[:] = self.kernels(seen[start:stop]) if stop > start else self.base
        return densities

    def kernels(self, xyz_mm: NDArray) -> NDArray:
        """Mean of the kernels at some points, shape (n_voxels,), sum 1."""
        volume = 0.0
        mask = self.grid.mask.astype(float)
        for fwhm in self.cfg.fwhm_mm:
            x, y, z = (self._along(axis, xyz_mm[:, axis], fwhm / FWHM_PER_SIGMA) for axis in range(3))
            yz = (y[:, :, None] * z[:, None, :]).reshape(len(xyz_mm), -1)  # (focus, Y * Z)
            inside = ((x @ mask.reshape(len(mask), -1)) * yz).sum(1)
            volume = volume + (x / inside[:, None]).T @ yz
        return volume.reshape(mask.shape)[self.grid.mask] / (len(xyz_mm) * len(self.cfg.fwhm_mm))

    def _along(self, axis: int, at_mm: NDArray, sigma_mm: float) -> NDArray:
        """Kernels along one axis, (focus, voxel), up to a factor that cancels."""
        centres = self.grid.origin_mm[axis] + self.grid.voxel_mm * np.arange(self.grid.shape[axis])
        squared = ((centres - at_mm[:, None]) / sigma_mm) ** 2
        # measured from the nearest voxel, so that a focus beyond the grid's edge does not underflow
        return np.exp((squared.min(1, keepdims=True) - squared) / 2)
