"""Functional MRI: MATLAB files of resting regions, or films in NIfTI with confounds, in; a Recording of regions out.

Blood oxygenation follows neurons by seconds; nothing here shifts it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.recording import Recording, Signal

N_AAL2 = 94
NUISANCE = (
    *("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "csf", "white_matter"),
    *(f"a_comp_cor_{number:02d}" for number in range(6)),
)


@dataclass(frozen=True)
class Connectome:
    """Fibres between regions, from diffusion imaging.

    Parameters
    ----------
    counts : array, shape (n_regions, n_regions)
        Streamlines that tractography found, not symmetric.
    lengths : array, shape (n_regions, n_regions)
        Their mean length, unit not stated (the size of a head in mm); zero where there are none.
    """

    counts: NDArray
    lengths: NDArray


def read_resting(folder: str | Path, tr_s: float) -> Recording:
    """Resting BOLD of one person as published with the neurolib simulator [1]_: 94 regions, 355 volumes.

    Parameters
    ----------
    folder : str or Path
        The person's folder, with ``functional/BOLD_rsfMRI.mat`` in it.
    tr_s : float
        Seconds from volume to volume. The source does not state it, so there is no default.

    Returns
    -------
    Recording
        Signal ``bold`` in arbitrary units, regions in the order of the file, without names or
        positions. One trial, labelled ``rest``.

    Raises
    ------
    FileNotFoundError
        If the file is not in the folder.
    ValueError
        If it is not a whole one of this kind, or ``tr_s`` is not in seconds.

    References
    ----------
    .. [1] Cakan, Jajcay and Obermayer (2023), "neurolib: a simulation framework for whole-brain neural
       mass modeling", Cognitive Computation 15:1132-1152.
    """
    _check_tr(tr_s)
    path = Path(folder) / "functional" / "BOLD_rsfMRI.mat"
    bold = _matrix(path, "tc")
    if bold.shape[0] != N_AAL2:
        guess = "is it transposed?" if bold.shape[1] == N_AAL2 else "is it of another atlas?"
        raise ValueError(f"{path}: tc is {bold.shape}, {N_AAL2} regions by volumes expected; {guess}")
    stop_s = bold.shape[1] * tr_s
    return Recording(
        [],
        [[0.0, stop_s]],
        {
            "bold": Signal(
                np.arange(bold.shape[1]) * tr_s,
                bold.T,
                "a.u.",
                tuple(f"AAL2 {number}" for number in range(1, N_AAL2 + 1)),
            )
        },
        {"start_s": np.array([0.0]), "stop_s": np.array([stop_s]), "label": np.array(["rest"])},
        name=Path(folder).name,
    )


def read_connectome(folder: str | Path) -> Connectome:
    """Streamlines between the regions of :func:`read_resting`, from the same folder.

    Raises
    ------
    FileNotFoundError
        If ``structural/DTI_CM.mat`` or ``structural/DTI_LEN.mat`` is not in the folder.
    ValueError
        If they are not 94 by 94, or hold negative or infinite values.
    """
    arrays = []
    for name, key in (("DTI_CM", "sc"), ("DTI_LEN", "len")):
        path = Path(folder) / "structural" / f"{name}.mat"
        array = _matrix(path, key)
        if array.shape != (N_AAL2, N_AAL2) or (array < 0).any():
            raise ValueError(
                f"{path}: {key} is {array.shape} from {array.min():g} to {array.max():g}; "
                f"{N_AAL2} by {N_AAL2} values of at least 0 expected"
            )
        arrays.append(array.astype(float))
    return Connectome(*arrays)


def framewise_displacement(confounds: str | Path) -> NDArray:
    """How far the head moved from volume to volume, in mm, as fMRIPrep wrote it; the first is NaN.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    table = _table(Path(confounds))
    if "framewise_displacement" not in table:
        raise ValueError(
            f"{confounds}: no column 'framewise_displacement', it has {', '.join(list(table)[:8])}, ...; "
            "confounds of fMRIPrep are expected"
        )
    return table["framewise_displacement"]


def read_film(
    image: str | Path,
    confounds: str | Path,
    atlas: str | Path,
    names: Mapping[int, str] | None = None,
    tr_s: float = 2.0,
    film_start_s: float = 0.0,
    max_fd_mm: float | None = 0.5,
    nuisance: tuple[str, ...] = NUISANCE,
    participant: Mapping[str, object] | None = None,
) -> Recording:
    """Mean BOLD of the regions of an atlas while a film runs, cleaned of confounds.

    Linear trend, drifts below 0.008 Hz and the confounds are taken out, and every region is scaled to
    unit variance, by nilearn's ``signal.clean``. The numbers are those of its ``NiftiLabelsMasker``,
    whose own copy of the atlas loses labels above 127 before version 0.14.1 [1]_; here labels stay whole.

    Parameters
    ----------
    image : str or Path
        NIfTI file, x by y by z by volume.
    confounds : str or Path
        Table of fMRIPrep, one row per volume.
    atlas : str or Path
        NIfTI file of whole numbers, 0 for background, such as one of Schaefer et al. [2]_.
    names : mapping of int to str, optional
        Names of the labels; by default their numbers.
    tr_s, film_start_s : float
        Seconds from volume to volume, and when the film began on the clock of the first volume.
    max_fd_mm : float, optional
        Refuse a person whose mean framewise displacement [3]_ is above it; None reads everyone.
    nuisance : tuple of str
        Columns to regress out; those that are not in the table are left out, one must be there.
    participant : mapping, optional
        Such as age or group: each becomes a column of the trial table.

    Returns
    -------
    Recording
        Signals ``bold`` (positions: centres of the regions in the atlas's space, mm) and ``motion``
        (framewise displacement, mm). A trial is a volume of the film: ``tr`` counts them from its start,
        the same moment of the film in everyone; ``mean_fd_mm`` is the person's.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the person moved too much, the table has another number of rows than the image has
        volumes, values are not finite, or a region of the atlas is lost on the grid of the image.

    References
    ----------
    .. [1] nilearn issue 6447, "The masked atlas is cast to int8, so labels above 127 overflow".
    .. [2] Schaefer et al. (2018), "Local-global parcellation of the human cerebral cortex from intrinsic
       functional connectivity MRI", Cerebral Cortex 28:3095-3114.
    .. [3] Power et al. (2012), "Spurious but systematic correlations in functional connectivity MRI
       networks arise from subject motion", NeuroImage 59:2142-2154.
    """
    _check_tr(tr_s)
    image, confounds, atlas = Path(image), Path(confounds), Path(atlas)
    displacement = framewise_displacement(confounds)
    mean_fd = float(np.nanmean(displacement))
    if max_fd_mm is not None and not mean_fd <= max_fd_mm:
        raise ValueError(
            f"{confounds}: mean framewise displacement {mean_fd:.3f} mm is above max_fd_mm={max_fd_mm}; leave this "
            "person out (max_fd_mm=None reads them)"
        )
    table = _table(confounds)
    used = [column for column in nuisance if column in table]
    if not used:
        raise ValueError(f"{confounds}: none of the columns {', '.join(nuisance)} is there")
    regressors = np.stack([table[column] for column in used], axis=1)
    if not np.isfinite(regressors).all():
        bad = used[int(np.argmin(np.isfinite(regressors).all(axis=0)))]
        raise ValueError(f"{confounds}: column {bad!r} has gaps; leave it out of nuisance")
    bold, labels, positions = _regions(image, atlas, regressors, tr_s)
    n = len(bold)
    first = int(np.ceil(round(film_start_s / tr_s, 6)))
    volumes = np.arange(max(first, 0), n)
    if not len(volumes):
        raise ValueError(
            f"{image}: the film starts at {film_start_s} s and the image ends at {n * tr_s} s; milliseconds?"
        )
    trials = {
        "start_s": volumes * tr_s,
        "stop_s": (volumes + 1) * tr_s,
        "tr": volumes - first,
        "mean_fd_mm": np.full(len(volumes), mean_fd),
    }
    trials |= {key: np.full(len(volumes), value) for key, value in (participant or {}).items()}
    time_s = np.arange(n) * tr_s
    return Recording(
        [],
        [[0.0, n * tr_s]],
        {
            "bold": Signal(
                time_s, bold, "sd", tuple((names or {}).get(label, str(label)) for label in labels), positions
            ),
            "motion": Signal(time_s, displacement, "mm", ("framewise_displacement",)),
        },
        trials,
        name=image.name.split("_")[0].removesuffix(".gz").removesuffix(".nii"),
    )


def fetch_films(
    n_persons: int, n_regions: int = 400, folder: str | Path | None = None, max_fd_mm: float = 0.5
) -> list[Recording]:
    """Children and adults watching one film, through nilearn's downloader.

    Parameters
    ----------
    n_persons : int
        Of 155; the share of children is that of all.
    n_regions : int
        Of the atlas of Schaefer et al., 100 to 1000.
    folder : str or Path, optional
        Where nilearn keeps its files; by default its own folder.
    max_fd_mm : float
        Who moved more on average is left out.

    Returns
    -------
    list of Recording
        As of :func:`read_film`, with the columns ``age``, ``group`` and ``participant``. Age goes
        with motion, so a claim about age needs motion as a baseline. Use of the data is free for
        non-commercial research.

    References
    ----------
    .. [1] Richardson et al. (2018), "Development of the social brain from age three to twelve
       years", Nature Communications 9:1027.
    """
    from nilearn import datasets

    atlas = datasets.fetch_atlas_schaefer_2018(n_rois=n_regions, data_dir=folder)
    listed = [name.decode() if isinstance(name, bytes) else str(name) for name in atlas.labels]
    names = dict(enumerate([name for name in listed if name != "Background"], start=1))
    found = datasets.fetch_development_fmri(n_subjects=n_persons, data_dir=folder)
    recordings = []
    for row, (image, confounds) in enumerate(zip(found.func, found.confounds, strict=True)):
        person = found.phenotypic.iloc[row]
        if np.nanmean(framewise_displacement(confounds)) > max_fd_mm:
            continue
        about = {
            "age": float(person["Age"]),
            "group": str(person["Child_Adult"]),
            "participant": str(person["participant_id"]),
        }
        recordings.append(
            read_film(image, confounds, atlas.maps, names, found.t_r, max_fd_mm=max_fd_mm, participant=about)
        )
    return recordings


def _regions(
    image: Path, atlas: Path, regressors: NDArray, tr_s: float
) -> tuple[NDArray, list[int], NDArray]:
    """Cleaned mean of each region ``(volume, region)``, the regions' labels, and their centres in mm."""
    import nibabel
    from nilearn.signal import clean

    values, affine = _nifti(nibabel, image)
    if values.ndim != 4 or values.shape[3] != len(regressors):
        raise ValueError(
            f"{image}: shape {values.shape} where the confounds have {len(regressors)} rows; x by y by z by volume "
            "expected, and the confounds of the same run"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{image}: NaN or infinite values; was it masked with NaN outside the brain?")
    labels, atlas_affine = _nifti(nibabel, atlas)
    if labels.ndim != 3 or not np.array_equal(labels, np.round(labels)) or labels.min() < 0:
        raise ValueError(
            f"{atlas}: labels must be whole numbers from 0 in 3-D; is it a map of probabilities?"
        )
    labels = labels.astype(np.int64)
    wanted = np.unique(labels)[np.unique(labels) > 0]
    here = _labels_at_voxels(labels, atlas_affine, values.shape[:3], affine)
    n = np.bincount(here, minlength=wanted[-1] + 1)[wanted]
    if not n.all():
        lost = wanted[n == 0].tolist()
        raise ValueError(
            f"{atlas}: {len(lost)} of {len(wanted)} regions have no voxel of {image.name}, such as labels {lost[:5]}; too "
            "small for its grid, outside its field of view, or another space?"
        )
    inside = np.flatnonzero(here)
    row = np.searchsorted(wanted, here[inside])
    voxels = values.reshape(-1, values.shape[3])[inside]
    means = np.stack([np.bincount(row, volume, len(wanted)) for volume in voxels.T]) / n
    still = np.flatnonzero(~(means.std(axis=0) > 0))
    if len(still):
        raise ValueError(
            f"{image}: region {wanted[still[0]]} never changes ({len(still)} of them); outside the scanned volume?"
        )
    cleaned = clean(
        means, confounds=regressors, detrend=True, standardize="zscore_sample", high_pass=0.008, t_r=tr_s
    )
    return cleaned.astype(np.float32), wanted.tolist(), _centres(labels, atlas_affine, wanted)


def _nifti(nibabel, path: Path) -> tuple[NDArray, NDArray]:
    """Values and affine of a NIfTI file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    try:
        found = nibabel.load(path)
        return np.asarray(found.dataobj), found.affine
    except (EOFError, OSError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise ValueError(f"{path} is no whole NIfTI file; cut short? ({error})") from None


def _labels_at_voxels(
    labels: NDArray, atlas_affine: NDArray, shape: tuple[int, ...], affine: NDArray
) -> NDArray:
    """Label of the atlas's voxel nearest to the centre of each voxel of the image; 0 outside it."""
    to_atlas = np.linalg.inv(atlas_affine) @ affine
    voxels = np.indices(shape).reshape(3, -1)
    nearest = np.round(to_atlas[:3, :3] @ voxels + to_atlas[:3, 3:]).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(labels.shape)[:, None])).all(axis=0)
    here = np.zeros(voxels.shape[1], np.int64)
    here[inside] = labels[tuple(nearest[:, inside])]
    return here


def _centres(labels: NDArray, affine: NDArray, wanted: NDArray) -> NDArray:
    """Mean place of each label's voxels in mm."""
    voxels = np.argwhere(labels)
    of_voxel = np.searchsorted(wanted, labels[tuple(voxels.T)])
    n = np.bincount(of_voxel, minlength=len(wanted))[:, None]
    mean = np.stack([np.bincount(of_voxel, axis, len(wanted)) for axis in voxels.T.astype(float)], axis=1) / n
    return mean @ affine[:3, :3].T + affine[:3, 3]


def _matrix(path: Path, key: str) -> NDArray:
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; is {path.parent.parent} a person's folder?")
    try:
        found = loadmat(path)
    except Exception as error:  # a damaged file surfaces as one of a dozen unrelated types
        raise ValueError(f"{path}: no readable .mat file; cut short? ({type(error).__name__})") from None
    if key not in found:
        held = ", ".join(sorted(name for name in found if not name.startswith("__"))) or "nothing"
        raise ValueError(f"{path} has no variable {key!r}, it holds {held}; is it another file?")
    array = found[key]
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{path}: {key} should be a matrix of finite numbers, it is {array.shape} with gaps")
    return array


def _table(path: Path) -> dict[str, NDArray]:
    """Columns of a tab-separated table; what is no number, such as n/a, is NaN."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    header = lines[0].split("\t") if lines else []
    rows = [line.split("\t") for line in lines[1:] if line]
    if not rows or any(len(row) != len(header) for row in rows):
        raise ValueError(
            f"{path}: no table with {len(header)} tab-separated columns in every row; cut short?"
        )
    return {name: _numbers([row[column] for row in rows]) for column, name in enumerate(header)}


def _numbers(cells: list[str]) -> ArrayLike:
    out = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            out[row] = float(cell)
        except ValueError:
            continue
    return out


def _check_tr(tr_s: float) -> None:
    if not 0.1 <= tr_s <= 10:
        raise ValueError(f"tr_s={tr_s} must be in seconds, 0.1 to 10; milliseconds?")
