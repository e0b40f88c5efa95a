"""The brain as a regular grid: millimetres in MNI space in, voxel numbers inside the brain out.

The mask and the picture behind every map are the MNI152 template (ICBM 2009a, 1 mm) that comes
with nilearn. Its file is read by nibabel, because importing nilearn takes seconds.
"""

import importlib.util
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

ORIGIN_MM = (-90.0, -126.0, -72.0)  # centre of the first voxel
FAR_MM = (90.0, 90.0, 108.0)  # the last voxel is at or before this corner
BRAIN_ABOVE = 0.2  # of the template's brightest voxel, as nilearn masks it
TEMPLATE = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid over the brain, and which of its voxels are brain.

    Parameters
    ----------
    mask : array of bool, shape (X, Y, Z)
        X runs from left to right, Y from back to front, Z upwards (RAS).
    voxel_mm : float
        Edge of a voxel.
    origin_mm : tuple of float
        Centre of voxel (0, 0, 0).
    template : array, shape (X, Y, Z), optional
        Brightness of the template between 0 and 1, for pictures.

    Raises
    ------
    ValueError
        If the mask is empty or not a volume, or the voxels have no size.

    Examples
    --------
    >>> cube = Grid(np.ones((3, 3, 3), bool), 4.0, (0.0, 0.0, 0.0))
    >>> cube.index([[4.0, 0.0, 0.0], [99.0, 0.0, 0.0]])
    array([ 9, -1])
    """

    mask: NDArray
    voxel_mm: float
    origin_mm: tuple[float, float, float] = ORIGIN_MM
    template: NDArray | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.mask.ndim != 3 or self.mask.dtype != bool or not self.mask.any():
            raise ValueError(
                f"mask {self.mask.shape} {self.mask.dtype} must be a volume of bool with some brain"
            )
        if not self.voxel_mm > 0:
            raise ValueError(f"voxel_mm={self.voxel_mm} must be above 0")

    @staticmethod
    @cache
    def mni(voxel_mm: int = 4) -> "Grid":
        """The MNI152 brain in voxels of 1, 2, 3, 4, 6 or 8 mm; 4 mm is what models are scored on.

        Raises
        ------
        ValueError
            If the template's millimetres cannot be taken at that step.
        """
        if voxel_mm not in (1, 2, 3, 4, 6, 8):
            raise ValueError(f"voxel_mm={voxel_mm} must be one of 1, 2, 3, 4, 6, 8")
        values, first_mm = _template()
        # the grid's centres are a subset of the template's, so no value is interpolated
        start = [round(o - f) for o, f in zip(ORIGIN_MM, first_mm, strict=True)]
        stop = [round(o - f) + 1 for o, f in zip(FAR_MM, first_mm, strict=True)]
        values = values[tuple(slice(a, b, voxel_mm) for a, b in zip(start, stop, strict=True))]
        return Grid(values > BRAIN_ABOVE, float(voxel_mm), ORIGIN_MM, values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        return self.mask.shape

    @property
    def affine(self) -> NDArray:
        """Voxel indices to millimetres, shape (4, 4), as NIfTI files hold it."""
        affine = np.diag([self.voxel_mm] * 3 + [1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    @cached_property
    def voxels(self) -> NDArray:
        """Indices of the voxels in the brain, shape (n_voxels, 3); their order numbers them."""
        return np.argwhere(self.mask)

    @property
    def n_voxels(self) -> int:
        """How many voxels are brain."""
        return len(self.voxels)

    @cached_property
    def centres_mm(self) -> NDArray:
        """Centres of the voxels in the brain, shape (n_voxels, 3)."""
        return self.voxels * self.voxel_mm + self.origin_mm

    @cached_property
    def numbers(self) -> NDArray:
        """Number of every voxel, -1 outside the brain, shape (X, Y, Z)."""
        numbers = np.full(self.shape, -1, np.int32)
        numbers[self.mask] = np.arange(self.n_voxels, dtype=np.int32)
        return numbers

    def nearest(self, xyz_mm: ArrayLike) -> NDArray:
        """Indices of the nearest voxel, in the grid or not, shape (n, 3)."""
        xyz = np.asarray(xyz_mm, float)
        return np.rint((xyz - self.origin_mm) / self.voxel_mm).astype(np.int64)

    def index(self, xyz_mm: ArrayLike) -> NDArray:
        """Numbers of the voxels that hold these points, -1 outside the brain, shape (n,)."""
        ijk = self.nearest(xyz_mm)
        inside = ((ijk >= 0) & (ijk < self.shape)).all(1)
        found = np.full(len(ijk), -1, np.int64)
        found[inside] = self.numbers[tuple(ijk[inside].T)]
        return found

    def snap(self, xyz_mm: ArrayLike, within_mm: float = 8.0) -> NDArray:
        """As :meth:`index`, but points just outside get the nearest voxel of the brain.

        Parameters
        ----------
        xyz_mm : array, shape (n, 3)
        within_mm : float
            From the centre of the voxel that holds the point to the centre of one in the brain.

        Returns
        -------
        array of int, shape (n,)
        """
        ijk = self.nearest(xyz_mm)
        inside = ((ijk >= 0) & (ijk < self.shape)).all(1)
        distance, at = self._outside
        where = tuple(ijk[inside].T)
        found = np.full(len(ijk), -1, np.int64)
        near = self.numbers[tuple(at[(slice(None), *where)])]
        found[inside] = np.where(distance[where] <= within_mm, near, -1)
        return found

    @cached_property
    def _outside(self) -> tuple[NDArray, NDArray]:
        """Distance of every voxel from the brain in mm, and the indices of the nearest one in it."""
        from scipy.ndimage import distance_transform_edt

        return distance_transform_edt(~self.mask, sampling=self.voxel_mm, return_indices=True)

    def distance_mm(self, xyz_mm: ArrayLike) -> NDArray:
        """How far outside the brain points lie; 0 inside, and measured from the grid's edge beyond it."""
        ijk = self.nearest(xyz_mm)
        held = np.clip(ijk, 0, np.array(self.shape) - 1)
        beyond = np.linalg.norm((ijk - held) * self.voxel_mm, axis=1)
        return self._outside[0][tuple(held.T)] + beyond

    @cached_property
    def mirror(self) -> NDArray:
        """Number of the voxel on the other side of the midline; its own where that is no brain."""
        other = self.index(self.centres_mm * [-1, 1, 1])
        return np.where(other < 0, np.arange(self.n_voxels), other)

    def volume(self, values: ArrayLike, outside: float = 0.0) -> NDArray:
        """Values of the voxels in the brain as a volume, shape (X, Y, Z).

        Raises
        ------
        ValueError
            If there is not one value per voxel of the brain.
        """
        values = np.asarray(values)
        if values.shape != (self.n_voxels,):
            raise ValueError(
                f"values {values.shape} for {self.n_voxels} voxels of {self.voxel_mm} mm; "
                "is this a map of another grid?"
            )
        volume = np.full(self.shape, outside, np.result_type(values.dtype, np.float32))
        volume[self.mask] = values
        return volume

    def padded(self, to: tuple[int, int, int]) -> "Grid":
        """The same grid with empty voxels added at its far sides, as networks with strides need it."""
        if any(a < b for a, b in zip(to, self.shape, strict=True)):
            raise ValueError(f"to={to} is smaller than the grid {self.shape}")
        more = [(0, a - b) for a, b in zip(to, self.shape, strict=True)]
        template = None if self.template is None else np.pad(self.template, more)
        return Grid(np.pad(self.mask, more), self.voxel_mm, self.origin_mm, template)


@cache
def named_regions() -> dict[str, tuple[float, float, float]]:
    """Centres in MNI mm of 160 regions that Dosenbach et al. named, for saying where a place is.

    References
    ----------
    .. [1] Dosenbach et al. (2010). Prediction of individual brain maturity using fMRI.
       Science 329, 1358-1361.

    Examples
    --------
    >>> named_regions()["vmPFC 1"]
    (6.0, 64.0, 3.0)
    """
    import csv

    with open(_bundled("dosenbach_2010.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        f"{row['name']} {row['number']}": (float(row["x"]), float(row["y"]), float(row["z"])) for row in rows
    }


@cache
def _template() -> tuple[NDArray, NDArray]:
    """Brightness of the template from 0 to 1, and the millimetres of its first voxel."""
    import nibabel

    path = _bundled(TEMPLATE)
    image = nibabel.load(path)
    values = np.asarray(image.dataobj, np.float32)
    return values / values.max(), image.affine[:3, 3]


def _bundled(name: str) -> Path:
    """A data file that comes with nilearn."""
    package = importlib.util.find_spec("nilearn")
    if package is None:
        raise FileNotFoundError("nilearn is not installed, and with it comes the MNI152 template")
    path = Path(package.origin).parent / "datasets" / "data" / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: this nilearn keeps its data elsewhere")
    return path
