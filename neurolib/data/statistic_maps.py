"""Statistical maps of the brain: NIfTI images in, values at the voxels of one grid out.

For asking a model about maps it has never seen. Their simulated twins come from the causes of the
simulated corpus, so what each shows is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, maximum_filter

from neurolib.data import catalog
from neurolib.data.brain import Grid
from neurolib.data.coordinate_simulator import TOPICS, CorpusSimulator

COVERED = 0.5  # share of the brain that an image must cover
FEW_VALUES = 50  # different values; a mask or an atlas of regions has fewer


@dataclass(frozen=True, eq=False)
class StatisticMap:
    """One map on a grid.

    Parameters
    ----------
    label : str
    values : array, shape (n_voxels,)
        NaN where the image holds nothing.
    topics : tuple of str
        Words of which the name of the right topic has one; none if it is not known.
    two_sided : bool
        A contrast of two conditions of which neither is rest: below zero counts as much as above.
    """

    label: str
    values: NDArray
    topics: tuple[str, ...] = ()
    two_sided: bool = False

    @property
    def strength(self) -> NDArray:
        """Values, without their sign if the map is two-sided, shape (n_voxels,)."""
        return np.abs(self.values) if self.two_sided else self.values

    def right(self, names: Sequence[str]) -> list[int]:
        """Positions of the topics that this map should be taken for.

        Examples
        --------
        >>> StatisticMap("a saccade", np.zeros(1), ("gaze",)).right(["0_hand_motor", "1_eye_gaze"])
        [1]
        """
        return [i for i, name in enumerate(names) if set(self.topics) & set(name.split("_"))]


@dataclass(frozen=True, eq=False)
class StatisticMaps:
    """Several maps on one grid.

    Parameters
    ----------
    maps : tuple of StatisticMap
    grid : Grid
    simulated : bool
    name : str
        Id in the catalog, also for the simulated twin.
    """

    maps: tuple[StatisticMap, ...]
    grid: Grid
    simulated: bool = False
    name: str = "neurovault_testmaps"

    def __repr__(self):
        return f"StatisticMaps({len(self.maps)} maps, {'simulated' if self.simulated else 'recorded'})"


# What is known from the files' names, and nothing more.
RECORDED = (
    ("saccade.I_C.MNI.nii.gz", "saccades", ("eye", "gaze"), False),
    ("image_10426.nii.gz", "button press, left against right", ("motor", "hand"), True),
    ("all.nii.gz", "unknown task", (), False),
)


def load_statistic_maps(
    simulated: bool, grid: Grid | None = None, folder: Path | None = None
) -> StatisticMaps:
    """Three maps of group studies from outside the corpus, or their simulated twins.

    Parameters
    ----------
    simulated : bool
    grid : Grid, optional
        Default the 4 mm grid, which simulated maps must have.
    folder : Path, optional
        Where the files lie; by default the data folder.

    Raises
    ------
    FileNotFoundError
        If a recorded map is not there.
    ValueError
        If it is no unthresholded map of the whole brain, see :func:`read_map`.
    """
    grid = Grid.mni(4) if grid is None else grid
    if simulated:
        return StatisticMaps(simulated_maps(grid), grid, simulated=True)
    if folder is None:
        folder = catalog.require("neurovault_testmaps")[0].parent
    maps = (StatisticMap(label, read_map(folder / file, grid), *known) for file, label, *known in RECORDED)
    return StatisticMaps(tuple(maps), grid)


def read_map(path: Path, grid: Grid) -> NDArray:
    """The first volume of a NIfTI image at the voxels of a grid, by trilinear interpolation.

    Parameters
    ----------
    path : Path
    grid : Grid

    Returns
    -------
    array, shape (n_voxels,)
        NaN where the image ends, or holds zero or NaN, which is how such files say "nothing here".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no image, has no place in MNI space, is infinite somewhere, misses more than
        half of the brain (thresholded, of one slab, or in another space), or is a mask.
    """
    import nibabel

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; set NEUROLIB_DATA to the folder that holds the data")
    try:
        image = nibabel.load(path)
        volume = np.asarray(image.dataobj, np.float64)
    except (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not a whole NIfTI image: {error}") from None
    if volume.ndim < 3 or min(volume.shape[:3]) < 2:
        raise ValueError(f"{path} has the shape {volume.shape}; a map of the brain has three axes or more")
    volume = volume.reshape(*volume.shape[:3], -1)[..., 0]
    affine = np.asarray(image.affine, float)
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-6):
        raise ValueError(f"{path}: its affine {affine.round(2).tolist()} places no voxel")
    if not int(image.header["sform_code"]) and not int(image.header["qform_code"]):
        raise ValueError(f"{path} does not say where its voxels lie (sform and qform are unset)")
    if np.isinf(volume).any():
        raise ValueError(f"{path}: {np.isinf(volume).sum()} values are infinite")
    return _checked(_resampled(volume, affine, grid), path)


def _resampled(volume: NDArray, affine: NDArray, grid: Grid) -> NDArray:
    """Means of the image's voxels around each of the grid's, weighted by distance; empty ones have no say."""
    to_image = np.linalg.inv(affine) @ grid.affine
    held = np.nan_to_num(volume) != 0

    def taken(values):
        args = (to_image[:3, :3], to_image[:3, 3])
        return affine_transform(values, *args, output_shape=grid.shape, order=1, cval=0.0)[grid.mask]

    share = taken(held.astype(float))
    values = taken(np.where(held, volume, 0.0))
    return np.where(share > 0.5, values / np.maximum(share, 0.5), np.nan)


def _checked(values: NDArray, path: Path) -> NDArray:
    found = np.isfinite(values)
    if found.mean() < COVERED:
        raise ValueError(
            f"{path} holds values in only {found.mean():.0%} of the brain: it is thresholded, of a part of the "
            "brain, or not in MNI space"
        )
    if len(np.unique(values[found].round(6))) < FEW_VALUES:
        raise ValueError(
            f"{path} has {len(np.unique(values[found].round(6)))} different values: a mask, not a map"
        )
    return values


def peaks(values: NDArray, grid: Grid, n: int = 20, apart_mm: float = 8.0) -> tuple[NDArray, NDArray]:
    """The strongest local maxima above zero, no two of them close: what an article's table would list.

    Parameters
    ----------
    values : array, shape (n_voxels,)
    grid : Grid
    n : int
        At most.
    apart_mm : float

    Returns
    -------
    xyz_mm : array, shape (n_peaks, 3)
    heights : array, shape (n_peaks,)
        Falling.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> line = Grid(np.ones((6, 1, 1), bool), 4.0, (0.0, 0.0, 0.0))
    >>> peaks(np.array([3.0, 1, 0, 0, 2, -1]), line)[0][:, 0]
    array([ 0., 16.])
    """
    volume = grid.volume(np.nan_to_num(values, nan=-np.inf), -np.inf)
    top = (volume == maximum_filter(volume, 3, mode="constant", cval=-np.inf))[grid.mask]
    rows = np.flatnonzero(top & (np.nan_to_num(values) > 0))
    kept: list[int] = []
    for row in rows[np.argsort(-values[rows], kind="stable")]:
        gap = np.linalg.norm(grid.centres_mm[kept] - grid.centres_mm[row], axis=1)
        if len(kept) < n and (gap >= apart_mm).all():
            kept.append(int(row))
    if not kept:
        raise ValueError("the map has no peak above zero")
    return grid.centres_mm[kept], values[kept]


def simulated_maps(
    grid: Grid, topics: Sequence[str] = ("motor", "visual", "pain"), noise: float = 0.7, seed: int = 0
) -> tuple[StatisticMap, ...]:
    """Maps of single topics of the simulated corpus of the same seed, with smooth noise.

    Parameters
    ----------
    grid : Grid
        The 4 mm grid.
    topics : sequence of str
        Of :data:`neurolib.data.coordinate_simulator.TOPICS`.
    noise : float
        Its standard deviation, in those of the topic's map.
    seed : int

    Raises
    ------
    ValueError
        If a topic is none of the simulator's, or the grid another.
    """
    names = [name for name, _ in TOPICS]
    missing = [topic for topic in topics if topic not in names]
    if missing:
        raise ValueError(f"topic {missing[0]!r} is none of the simulator's: {', '.join(names)}")
    truth = CorpusSimulator(n_studies=10).simulate(seed)[1]  # its fields do not depend on how many studies
    if truth.fields.shape[1] != grid.n_voxels:
        raise ValueError(f"simulated maps are on the 4 mm grid, not on one of {grid.n_voxels} voxels")
    draw, maps = np.random.default_rng([seed, 1]), []
    for topic in topics:
        shape = truth.loadings[names.index(topic)] @ truth.fields
        rough = gaussian_filter(grid.volume(draw.normal(size=grid.n_voxels)), 2)[grid.mask]
        maps.append(shape / shape.std() + noise * rough / rough.std())
    return tuple(
        StatisticMap(f"{topic} (simulated)", values, (topic,))
        for topic, values in zip(topics, maps, strict=True)
    )
