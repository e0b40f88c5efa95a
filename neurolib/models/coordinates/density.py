"""Densities over the voxels of the brain: foci in, log probability of every voxel out.

All models of this folder share what stands here: the smoothed density of all foci, which they
start from and are scored against, and a field on coarse nodes that bends it.
"""

import warnings
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from neurolib.data.brain import Grid

FWHM_PER_SIGMA = 2.3548200450309493


class Smoother:
    """Gaussian smoothing inside the brain that loses no mass at its border.

    Parameters
    ----------
    grid : Grid
    fwhm_mm : float
        Full width at half maximum; 0 leaves maps as they are.

    Examples
    --------
    >>> cube = Grid(np.ones((9, 9, 9), bool), 4.0)
    >>> counts = np.zeros(729); counts[0] = 2.0
    >>> smooth = Smoother(cube, 10.0)(counts)
    >>> bool(smooth[0] < 2.0), float(smooth.sum().round(6))
    (True, 2.0)
    """

    def __init__(self, grid: Grid, fwhm_mm: float):
        if fwhm_mm < 0:
            raise ValueError(f"fwhm_mm={fwhm_mm} must not be negative")
        self.grid, self.sigma = grid, fwhm_mm / FWHM_PER_SIGMA / grid.voxel_mm

    def __call__(self, values: ArrayLike) -> NDArray:
        """Smooth one map, shape (n_voxels,)."""
        values = np.asarray(values, np.float64)
        if not self.sigma:
            return values
        return self._filter(values / self.reach)

    @cached_property
    def reach(self) -> NDArray:
        """Share of each voxel's kernel that falls into the brain."""
        return self._filter(np.ones(self.grid.n_voxels))

    def _filter(self, values: NDArray) -> NDArray:
        return gaussian_filter(self.grid.volume(values), self.sigma, mode="constant")[self.grid.mask]


def smoothed_density(
    voxels: ArrayLike, grid: Grid, fwhm_mm: float = 6.0, weights: ArrayLike | None = None, floor: float = 1e-6
) -> NDArray:
    """Density of foci over the voxels of the brain, shape (n_voxels,), summing to one.

    Parameters
    ----------
    voxels : array of int, shape (n_foci,)
    grid : Grid
    fwhm_mm : float
    weights : array, shape (n_foci,), optional
    floor : float
        Share that is spread evenly, so that no voxel is impossible.

    Raises
    ------
    ValueError
        If there are no foci.
    """
    counts = np.bincount(np.asarray(voxels, int), weights, grid.n_voxels)
    total = counts.sum()
    if not total > 0:
        raise ValueError("no foci to take a density of")
    density = np.maximum(Smoother(grid, fwhm_mm)(counts / total), 0)
    return (1 - floor) * density / density.sum() + floor / grid.n_voxels


class NodeField(nn.Module):
    """Log densities from values on coarse nodes: ``log p(v) = log base(v) + field(v) - log Z``.

    A field of zeros is the base density exactly. The field is interpolated between nodes of twice
    the voxel's width; foci are read by smoothing them onto the same nodes.

    Parameters
    ----------
    grid : Grid
    log_base : array, shape (n_voxels,)
        Log density to start from.
    fwhm_mm : float
        Width of the kernel by which foci are read.

    Attributes
    ----------
    n_nodes : int
    centres_mm : Tensor, shape (n_nodes, 3)
    corners : Tensor of int, shape (n_voxels, 8)
        Nodes whose mean is the interpolated value at each voxel.
    """

    def __init__(self, grid: Grid, log_base: ArrayLike, fwhm_mm: float = 14.0):
        super().__init__()
        corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
        base, part = np.divmod(grid.voxels, 2)
        near = base[:, None] + corners  # (voxel, corner, 3)
        weight = np.where(corners, part[:, None] / 2, 1 - part[:, None] / 2).prod(-1)
        used = weight > 0
        nodes, number = np.unique(near[used], axis=0, return_inverse=True)
        rows = np.repeat(np.arange(grid.n_voxels), used.sum(1))
        self.n_nodes, self.n_voxels = len(nodes), grid.n_voxels
        log_base = torch.as_tensor(np.asarray(log_base), dtype=torch.float32)
        if log_base.shape != (grid.n_voxels,):
            raise ValueError(f"log_base {tuple(log_base.shape)} for {grid.n_voxels} voxels")
        self.register_buffer("log_base", log_base)
        pairs = np.stack([rows, number.ravel()])
        shape = (grid.n_voxels, self.n_nodes)
        self._sparse("spread", pairs, weight[used], shape)
        self._sparse("gather", pairs[::-1], weight[used], shape[::-1])
        places = nodes * 2 * grid.voxel_mm + grid.origin_mm
        index, kernel = _kernel(grid, places, fwhm_mm)
        around = base[:, None] + corners * part[:, None]  # a voxel on a node has it repeated
        numbers = np.ravel_multi_index(tuple(nodes.T), tuple(nodes.max(0) + 1))
        near = np.searchsorted(
            numbers, np.ravel_multi_index(tuple(around.reshape(-1, 3).T), tuple(nodes.max(0) + 1))
        )
        self.register_buffer("centres_mm", torch.from_numpy(places).float(), persistent=False)
        self.register_buffer("corners", torch.from_numpy(near.reshape(-1, 8)), persistent=False)
        self.register_buffer("index", torch.from_numpy(index), persistent=False)
        self.register_buffer("kernel", torch.from_numpy(kernel), persistent=False)

    def _sparse(self, name: str, pairs: NDArray, values: NDArray, shape: tuple[int, int]) -> None:
        pairs = torch.from_numpy(np.ascontiguousarray(pairs).astype(np.int64))
        matrix = torch.sparse_coo_tensor(
            pairs, torch.from_numpy(values.astype(np.float32)), shape, check_invariants=False
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            matrix = matrix.coalesce().to_sparse_csr()
        for part in ("crow_indices", "col_indices", "values"):
            self.register_buffer(f"{name}_{part}", getattr(matrix, part)(), persistent=False)

    def _matrix(self, name: str, shape: tuple[int, int]) -> Tensor:
        parts = (getattr(self, f"{name}_{part}") for part in ("crow_indices", "col_indices", "values"))
        return torch.sparse_csr_tensor(*parts, shape, check_invariants=False)

    def read(self, voxels: Tensor, mask: Tensor) -> Tensor:
        """Foci smoothed onto the nodes.

        Parameters
        ----------
        voxels : Tensor of int, shape (batch, n)
            Padded; anything where ``mask`` is false.
        mask : Tensor of bool, shape (batch, n)

        Returns
        -------
        Tensor, shape (batch, n_nodes)
            Their sum is the number of foci.
        """
        study, at = mask.nonzero(as_tuple=True)
        found = voxels[study, at]
        index = study[:, None] * self.n_nodes + self.index[found]
        out = self.kernel.new_zeros(len(voxels) * self.n_nodes)
        out.index_add_(0, index.flatten(), self.kernel[found].flatten())
        return out.view(len(voxels), self.n_nodes)

    def forward(self, field: Tensor) -> Tensor:
        """Log density of every voxel for fields ``(batch, n_nodes)``, shape (batch, n_voxels)."""
        with torch.autocast(field.device.type, enabled=False):  # sparse products have no bfloat16
            return self._log_density(field.float())

    def _log_density(self, field: Tensor) -> Tensor:
        shape = (self.n_voxels, self.n_nodes)
        spread = self._matrix("spread", shape), self._matrix("gather", shape[::-1])
        return torch.log_softmax(self.log_base + _Interpolation.apply(field, *spread), dim=1)


class _Interpolation(torch.autograd.Function):
    """A fixed sparse matrix times a batch of rows; its gradient is the transpose, made beforehand."""

    @staticmethod
    def forward(ctx, rows: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        return (matrix @ rows.t().contiguous()).t()

    @staticmethod
    def backward(ctx, grad: Tensor):
        return (ctx.transpose @ grad.t().contiguous()).t(), None, None


def _kernel(grid: Grid, nodes_mm: NDArray, fwhm_mm: float) -> tuple[NDArray, NDArray]:
    """For every voxel the nodes near it and their weights, which sum to one; padded with weight 0."""
    from scipy.spatial import cKDTree

    sigma = fwhm_mm / FWHM_PER_SIGMA
    near = cKDTree(nodes_mm).query_ball_point(grid.centres_mm, max(2.7 * sigma, 2 * grid.voxel_mm))
    width = max(map(len, near))
    index = np.zeros((grid.n_voxels, width), np.int64)
    weight = np.zeros((grid.n_voxels, width), np.float32)
    for voxel, nodes in enumerate(near):
        index[voxel, : len(nodes)] = nodes
        squared = ((nodes_mm[nodes] - grid.centres_mm[voxel]) ** 2).sum(1)
        weight[voxel, : len(nodes)] = np.exp(-squared / (2 * sigma**2))
    return index, weight / weight.sum(1, keepdims=True)
