"""Whole-brain calcium imaging of a larval zebrafish, averaged by region: ``.npy`` files in, a Recording out."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data import catalog
from neurolib.data.recording import Recording, Signal

SERIES = "timeseries_regions_fish6.npy"


def load_regions(folder: Path | None = None, rate_hz: float = 1.0) -> Recording:
    """Mean calcium signal of each region that has any, volume by volume.

    Parameters
    ----------
    folder : Path, optional
        Folder of the ``.npy`` files; by default that of the data folder.
    rate_hz : float
        Volumes per second. The files do not say; by default time counts volumes.

    Returns
    -------
    Recording
        Without units or trials. Signal ``calcium`` ``(volume, region)``, channels are acronyms of regions;
        regions whose signal never changes are left out, three of the 70.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is not a whole one of this kind, or the shapes disagree.

    References
    ----------
    .. [1] Légaré et al. (2025), "Structural and genetic determinants of zebrafish functional brain
       networks", Science Advances 11(28):eadv7576. Data: doi:10.5683/SP3/IIVGOB.
    """
    if not rate_hz > 0:
        raise ValueError(f"rate_hz={rate_hz} must be positive, in volumes per second")
    series, acronyms, changes = _series(folder)
    return Recording(
        [],
        [[0.0, series.shape[1] / rate_hz]],
        {
            "calcium": Signal(
                np.arange(series.shape[1]) / rate_hz,
                series[changes].T,
                "arbitrary units",
                tuple(acronyms[changes]),
            )
        },
        name="zebrafish regions (fish 6)",
    )


def structural_connectivity(folder: Path | None = None) -> NDArray:
    """Undirected structural connectivity of the regions that :func:`load_regions` keeps, ``(region, region)``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If it is not a symmetric matrix of one row per region.
    """
    series, _, changes = _series(folder)
    path = _folder(folder) / "SC_undirected.npy"
    matrix = _load(path)
    if matrix.shape != (len(series), len(series)) or not np.allclose(matrix, matrix.T):
        raise ValueError(
            f"{path}: shape {matrix.shape}; a symmetric matrix of {len(series)} regions expected. SC.npy is directed"
        )
    return matrix[np.ix_(changes, changes)]


def _series(folder: Path | None) -> tuple[NDArray, NDArray, NDArray]:
    """Time series ``(region, volume)``, acronyms, and which regions change."""
    here = _folder(folder)
    series, acronyms = _load(here / SERIES), _load(here / "region_acronyms.npy")
    if series.ndim != 2 or len(series) != len(acronyms):
        raise ValueError(
            f"{here / SERIES}: shape {series.shape} for {len(acronyms)} regions; (region, volume) expected, was it "
            "transposed?"
        )
    if not np.isfinite(series).all():
        raise ValueError(f"{here / SERIES} holds NaN or infinite values")
    return series, acronyms, np.ptp(series, axis=1) > 0


def _folder(folder: Path | None) -> Path:
    if folder is None:
        catalog.require("zebrafish_regions")
        return catalog.folder("zebrafish_regions")
    return Path(folder)


def _load(path: Path) -> NDArray:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist; is the data folder (NEUROLIB_DATA) the right one?"
        ) from None
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no plain .npy array; truncated, or pickled objects? ({error})") from None
