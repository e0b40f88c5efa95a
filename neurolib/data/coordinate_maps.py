"""Foci of studies in, one map per study out ``(study, voxel)``: Gaussian, ALE, MKDA and KDA kernels.

A kernel is a stamp: offsets in voxels and their weights, set down at the voxel of every focus. All
foci of a block of studies are stamped at once, so memory is that of a block and nothing loops over foci.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from neurolib.data.brain import Grid
from neurolib.data.coordinates import Coordinates

KERNELS = ("gaussian", "ale", "mkda", "kda")
SIGMAS_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
BLOCK_BYTES = 1 << 20  # of the maps held at once; more than a processor's cache is slower
STAMPS = 1 << 18  # voxels written at once


@dataclass(frozen=True)
class StudyMapsConfig:
    """A kernel, and how the foci of a study share a voxel.

    Parameters
    ----------
    kernel : {"gaussian", "ale", "mkda", "kda"}
        Sum of Gaussians; the largest of them, as activation likelihood estimation has it [1]_ [2]_;
        1 within the radius of a focus [3]_; or the number of foci within it.
    fwhm_mm : float
        Full width at half maximum of the Gaussian.
    radius_mm : float
        Of the sphere.
    keep_mass : bool
        Let every Gaussian sum to one inside the brain, also at its border; "gaussian" alone.
    scale : tuple of float
        Stretches the Gaussian along its three axes.
    rotation : tuple of tuple of float, shape (3, 3), optional
        Turns those axes. Draw scale and rotation anew for every batch to augment training.
    reach_sd : float
        Standard deviations at which the Gaussian is cut off; beyond 4 lies 0.1 % of it.

    Raises
    ------
    ValueError
        If the kernel is unknown, a size is not positive, or ``rotation`` does not rotate.

    Notes
    -----
    Gaussian weights are probabilities per voxel. Their variance is that of the Gaussian at any voxel
    size; a focus is moved to its voxel's centre, which adds a twelfth of the squared edge per axis.
    NiMARE's ALE kernel divides by the square root of the voxel's volume where its edge is meant
    (0.22.1), so that it is right at 2 mm, and 6 mm wide at 4 mm when 9 are asked for.

    References
    ----------
    .. [1] Turkeltaub et al. (2012). Minimizing within-experiment and within-group effects in activation
       likelihood estimation meta-analyses. Human Brain Mapping 33, 1-13.
    .. [2] Eickhoff et al. (2012). Activation likelihood estimation meta-analysis revisited.
       NeuroImage 59, 2349-2361.
    .. [3] Wager, Lindquist, Kaplan (2007). Meta-analysis of functional neuroimaging data: current and
       future directions. Social Cognitive and Affective Neuroscience 2, 150-158.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> cube = Grid(np.ones((5, 5, 5), bool), 4.0, (0.0, 0.0, 0.0))
    >>> maps = StudyMapsConfig("kda", radius_mm=4.0).build(cube)  # a voxel and its six neighbours
    >>> two = maps.sparse(tiny([[8.0, 8, 8], [8, 8, 12]], study=[0, 0]))
    >>> two.nnz, two.sum()
    (12, np.float32(14.0))
    """

    kernel: str = "gaussian"
    fwhm_mm: float = 9.0
    radius_mm: float = 10.0
    keep_mass: bool = False
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rotation: tuple[tuple[float, float, float], ...] | None = None
    reach_sd: float = 4.0

    def __post_init__(self):
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel={self.kernel!r} is none of {', '.join(KERNELS)}")
        for name in ("fwhm_mm", "radius_mm", "reach_sd"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")
        if len(self.scale) != 3 or not all(0 < s < np.inf for s in self.scale):
            raise ValueError(f"scale={self.scale} must be three numbers above 0")
        if self.keep_mass and self.kernel != "gaussian":
            raise ValueError(f"keep_mass is for the Gaussian kernel, not for {self.kernel!r}")
        turn = np.eye(3) if self.rotation is None else np.asarray(self.rotation, float)
        if turn.shape != (3, 3) or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6):
            raise ValueError(f"rotation={self.rotation} must be an orthogonal 3 x 3 matrix")

    def build(self, grid: Grid) -> "StudyMaps":
        """Make the kernel for a grid."""
        return StudyMaps(self, grid)

    def stamp(self, voxel_mm: float) -> tuple[NDArray, NDArray]:
        """Offsets in voxels ``(n, 3)`` and weights ``(n,)``, in order of the weights."""
        if self.kernel in ("mkda", "kda"):
            offsets = _lattice(self.radius_mm / voxel_mm)
            near = (offsets**2).sum(1) * voxel_mm**2 <= self.radius_mm**2 + 1e-9
            return offsets[near], np.ones(near.sum(), np.float32)
        sd = [_sampled_sd(self.fwhm_mm * SIGMAS_PER_FWHM * s / voxel_mm) for s in self.scale]
        turn = np.eye(3) if self.rotation is None else np.asarray(self.rotation, float)
        offsets = _lattice(max(6.0, self.reach_sd) * max(sd) + 1)
        distance = np.linalg.norm(offsets @ turn / sd, axis=1)  # in standard deviations
        weights = np.exp(-(distance**2) / 2)
        weights /= weights.sum()
        order = np.argsort(weights, kind="stable")
        order = order[distance[order] <= self.reach_sd]
        return offsets[order], weights[order].astype(np.float32)


class StudyMaps:
    """The kernel of :class:`StudyMapsConfig` on a grid; one map per study of a corpus.

    Foci count where they are, dequantised or not, and also from outside the brain as far as the kernel
    reaches. Give ``xyz_mm`` to use other positions than the corpus's, such as ``corpus.dequantised()``.
    """

    def __init__(self, cfg: StudyMapsConfig, grid: Grid):
        self.cfg, self.grid = cfg, grid
        self.offsets, self.weights = cfg.stamp(grid.voxel_mm)
        # A border of twice the reach on all sides, so that no stamp of a near focus leaves the table.
        self.reach = np.abs(self.offsets).max(0)
        shape = np.array(grid.shape) + 4 * self.reach
        table = np.full(shape, grid.n_voxels, np.int32)  # one more column takes what is outside the brain
        held = tuple(slice(2 * r, 2 * r + n) for r, n in zip(self.reach, grid.shape, strict=True))
        table[held] = np.where(grid.numbers < 0, grid.n_voxels, grid.numbers)
        self.table = table.ravel()
        self.strides = np.array([shape[1] * shape[2], shape[2], 1])
        self.steps = self.offsets @ self.strides
        # "ale" writes ranks of the few different weights: small integers are faster to search than floats
        levels, rank = np.unique(self.weights, return_inverse=True)
        self.levels = np.concatenate([np.zeros(1, np.float32), levels])
        self.ranks = (rank + 1).astype(np.min_scalar_type(len(levels)))

    def sparse(self, corpus: Coordinates, xyz_mm: ArrayLike | None = None) -> sp.csr_matrix:
        """Maps as a sparse float32 matrix of shape ``(n_studies, n_voxels)``."""
        columns, values, counts = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], [np.zeros(1, int)]
        for block in self._written(corpus, xyz_mm):
            flat, starts = block.ravel(), np.arange(0, block.size, block.shape[1])
            found = _where(flat if flat.dtype == bool else flat != 0)
            counts.append(np.diff(np.searchsorted(found, starts), append=len(found)))
            columns.append(found - np.repeat(starts.astype(np.int32), counts[-1]))
            if flat.dtype != bool:
                values.append(self._values(flat[found]))
        columns = np.concatenate(columns)
        values = np.ones(len(columns), np.float32) if self.cfg.kernel == "mkda" else np.concatenate(values)
        shape = (corpus.n_studies, self.grid.n_voxels)
        return sp.csr_matrix((values, columns, np.cumsum(np.concatenate(counts))), shape)

    def dense(self, corpus: Coordinates, xyz_mm: ArrayLike | None = None) -> NDArray:
        """Maps as a float32 array of shape ``(n_studies, n_voxels)``; for parts of a corpus, take() first."""
        maps, row = np.empty((corpus.n_studies, self.grid.n_voxels), np.float32), 0
        for block in self._written(corpus, xyz_mm):
            maps[row : row + len(block)] = self._values(block[:, : self.grid.n_voxels])
            row += len(block)
        return maps

    def _values(self, written: NDArray) -> NDArray:
        """What the written numbers mean: themselves, or for "ale" the weight of that rank."""
        return self.levels[written] if self.cfg.kernel == "ale" else written.astype(np.float32)

    def _written(self, corpus: Coordinates, xyz_mm: ArrayLike | None) -> Iterator[NDArray]:
        """Maps of a few studies at a time, with columns of zeros at the end; overwritten by the next."""
        base, study = self._bases(corpus, xyz_mm)
        width = self.grid.n_voxels // 8 * 8 + 8  # at least one more column than voxels, in whole words
        dtype = {"mkda": np.dtype(bool), "ale": self.ranks.dtype}.get(self.cfg.kernel, np.dtype(np.float32))
        n = max(1, BLOCK_BYTES // (width * dtype.itemsize))
        buffer = np.empty((n, width), dtype)
        first = np.searchsorted(study, np.arange(0, corpus.n_studies + n, n))
        for i, start in enumerate(range(0, corpus.n_studies, n)):
            block, foci = buffer[: corpus.n_studies - start], slice(first[i], first[i + 1])
            block[:] = 0
            self._write(block.ravel(), base[foci], (study[foci] - start) * width)
            block[:, self.grid.n_voxels] = 0
            yield block

    def _write(self, flat: NDArray, base: NDArray, row: NDArray) -> None:
        """Stamp foci into the flat maps of a block; ``row`` is where the map of each focus begins."""
        if not len(base):
            return
        step = max(1, STAMPS // len(base))
        parts = [slice(a, a + step) for a in range(0, len(self.steps), step)]
        mass = self._mass(base, parts) if self.cfg.keep_mass else None
        for part in parts:
            # every index is in the table by its border; "clip" only spares the check
            at = self.table.take(self.steps[part, None] + base, mode="clip") + row
            if self.cfg.kernel == "mkda":
                flat[at] = True
            elif self.cfg.kernel == "ale":  # ranks ascend, and what is written last stays: the largest
                flat[at] = self.ranks[part, None]
            else:
                weights = np.broadcast_to(self.weights[part, None], at.shape)
                weights = weights if mass is None else weights / mass
                flat += np.bincount(at.ravel(), weights.ravel(), len(flat))

    def _mass(self, base: NDArray, parts: list[slice]) -> NDArray:
        """Weight of each focus's stamp that falls inside the brain; 1 where none does."""
        mass = np.zeros(len(base), np.float32)
        for part in parts:
            inside = self.table.take(self.steps[part, None] + base, mode="clip") < self.grid.n_voxels
            mass += self.weights[part] @ inside
        return np.where(mass > 0, mass, 1)

    def tensor(
        self, corpus: Coordinates, xyz_mm: ArrayLike | None = None, device: torch.device | str = "cpu"
    ) -> torch.Tensor:
        """Maps as a dense float32 tensor ``(n_studies, n_voxels)``, made on a device.

        On CUDA sums are in no fixed order, so that two runs differ by rounding.
        """
        base, study = (torch.as_tensor(a, device=device) for a in self._bases(corpus, xyz_mm))
        table, steps, weights = (
            torch.as_tensor(a, device=device) for a in (self.table, self.steps, self.weights)
        )
        width = self.grid.n_voxels + 1
        maps = torch.zeros(corpus.n_studies, width, device=device)
        flat, row = maps.view(-1), study * width
        many = 16 * STAMPS  # a large batch, or a GPU waits for its launches
        for a in range(0, len(base), max(1, many // len(steps))):
            foci = slice(a, a + max(1, many // len(steps)))
            inside = table[steps[:, None] + base[foci]]
            values = weights[:, None].expand(inside.shape)
            if self.cfg.keep_mass:
                mass = (values * (inside < self.grid.n_voxels)).sum(0)
                values = values / torch.where(mass > 0, mass, 1)
            at = (inside + row[foci]).flatten()
            if self.cfg.kernel in ("mkda", "ale"):
                flat.scatter_reduce_(0, at, values.flatten(), "amax")
            else:
                flat.index_add_(0, at, values.flatten())
        return maps[:, :-1]

    def _bases(self, corpus: Coordinates, xyz_mm: ArrayLike | None) -> tuple[NDArray, NDArray]:
        """Place in the table and study of every focus near enough to matter."""
        if not corpus.standardised and (corpus.space == "TAL").any():
            raise ValueError(
                f"{(corpus.space == 'TAL').sum()} studies are in Talairach space and the grid is in MNI space; "
                "call standardise() first"
            )
        xyz = corpus.xyz_mm if xyz_mm is None else np.asarray(xyz_mm, float)
        if xyz.shape != (corpus.n_foci, 3):
            raise ValueError(f"xyz_mm {xyz.shape} for {corpus.n_foci} foci")
        ijk = self.grid.nearest(xyz)
        near = ((ijk >= -self.reach) & (ijk < self.grid.shape + self.reach)).all(1)
        return (ijk[near] + 2 * self.reach) @ self.strides, corpus.study[near]


def activation_likelihood(maps: sp.csr_matrix | ArrayLike) -> NDArray:
    """Probability that at least one study activates a voxel, from ALE maps of all studies.

    Parameters
    ----------
    maps : sparse matrix or array, shape (n_studies, n_voxels)
        Probabilities below one.

    Returns
    -------
    array, shape (n_voxels,)

    Examples
    --------
    >>> activation_likelihood([[0.5, 0.0], [0.5, 0.2]])
    array([0.75, 0.2 ])
    """
    if sp.issparse(maps):
        maps = maps.tocsr()
        absent = np.bincount(maps.indices, np.log1p(-maps.data.astype(float)), maps.shape[1])
    else:
        absent = np.log1p(-np.asarray(maps, float)).sum(0)
    return -np.expm1(absent)


def _lattice(radius: float) -> NDArray:
    """All offsets in a cube that holds a sphere of so many voxels, shape (n, 3)."""
    side = np.arange(-int(radius), int(radius) + 1)
    return np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)


def _where(flags: NDArray) -> NDArray:
    """Positions of what is true, int32; the flags are contiguous and a multiple of eight.

    np.flatnonzero takes its time for every flag that is set, but passes over empty words quickly.
    """
    words = np.flatnonzero(flags.view(np.uint64) != 0)
    at = np.flatnonzero(flags.reshape(-1, 8).take(words, axis=0))
    return words.astype(np.int32).take(at >> 3) * 8 + (at & 7).astype(np.int32)


def _sampled_sd(sd: float) -> float:
    """Width of a Gaussian that has this standard deviation once it is sampled at whole numbers.

    The same number from one voxel upwards. Below, sampling misses the flanks between two voxels.
    """

    def too_wide(width: float) -> float:
        at = np.arange(1, int(9 * width) + 2)
        weights = np.exp(-(at**2) / (2 * width**2))
        return 2 * (weights * at**2).sum() / (1 + 2 * weights.sum()) - sd**2

    return brentq(too_wide, 0.999 * sd, sd + 0.5, xtol=1e-12)
