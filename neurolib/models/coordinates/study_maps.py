"""Smooth maps of studies on coarse nodes: foci in, densities on nodes out; and from nodes back to voxels."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import NodeField

LEAST = 0.02  # no node falls below this share of the average map


class StudyMaps:
    """Reads foci onto nodes of twice the voxel's width, and bends the global density by what it reads.

    Parameters
    ----------
    grid : Grid
    base : array, shape (n_voxels,)
        The global density.
    fwhm_mm : float
        Width of the kernel by which foci are read.

    Attributes
    ----------
    n_nodes : int

    Examples
    --------
    >>> grid = Grid(np.ones((5, 5, 5), bool), 4.0)
    >>> maps = StudyMaps(grid, np.full(125, 1 / 125), 14.0)
    >>> read = maps.read(np.array([0, 124]), of=np.array([0, 0]), n_studies=2)
    >>> read.shape, read.sum(1).round(3).tolist()  # the second study has no foci
    ((2, 27), [1.0, 0.0])
    """

    def __init__(self, grid: Grid, base: NDArray, fwhm_mm: float):
        self.field = NodeField(grid, np.log(base), fwhm_mm)
        self.n_nodes, self.n_voxels = self.field.n_nodes, grid.n_voxels
        index, kernel = self.field.index.numpy(), self.field.kernel.numpy()
        some = kernel > 0
        first = np.r_[0, np.cumsum(some.sum(1))]
        self.kernels = sp.csr_matrix((kernel[some], index[some], first), (self.n_voxels, self.n_nodes))

    def read(self, voxels: NDArray, of: NDArray, n_studies: int) -> NDArray:
        """Densities of studies on the nodes, (n_studies, n_nodes) float32; zeros where there are no foci."""
        counts = np.bincount(of, minlength=n_studies)
        each = np.ones(len(of), np.float32) / counts[of]
        table = sp.csr_matrix((each.astype(np.float32), (of, voxels)), (n_studies, self.n_voxels))
        return (table @ self.kernels).toarray()

    def densities(self, maps: NDArray, mean: NDArray) -> NDArray:
        """Densities over voxels, (n_studies, n_voxels), from maps on nodes ``(n_studies, n_nodes)``.

        The global density is multiplied by the ratio of a map to the mean map, interpolated in its
        logarithm; the mean map itself gives the global density.
        """
        ratio = np.maximum(maps / np.maximum(mean, 1e-9), LEAST)
        with torch.no_grad():
            return self.field(torch.from_numpy(np.log(ratio).astype(np.float32))).exp().numpy()
