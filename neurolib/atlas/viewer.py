"""Viewer files of a decoder: a trained decoder in, a folder that a static page or any NIfTI reader opens out.

``dimNN.nii.gz`` hold the maps along one latent dimension, ``template.nii.gz`` the grey brain behind
them, ``decoder.bin`` with ``manifest.json`` the decoder, and ``dims.json`` says what all this is.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.atlas.decoder import Decoder
from neurolib.data.brain import Grid

STEPS = np.linspace(-3.0, 3.0, 13)
GREYS = 64  # of the template: more cannot be told apart behind a map, and half as many bytes would band


def compressed(data: bytes) -> bytes:
    """Gzip without a time stamp, so that the same data are the same file."""
    return gzip.compress(data, 9, mtime=0)


def codes_of(maps: ArrayLike) -> tuple[NDArray, float, float]:
    """Maps in one byte a voxel, with the slope and intercept that turn codes into values.

    Maps that fall below zero get 127 steps to each side of it, and zero is exact; others 255 steps.

    Returns
    -------
    codes : array of uint8
    slope, intercept : float

    Raises
    ------
    ValueError
        If a value is not finite.

    Examples
    --------
    >>> codes, slope, intercept = codes_of([-2.54, 0.0, 1.0])
    >>> codes, (codes * slope + intercept).round(4)
    (array([  1, 128, 178], dtype=uint8), array([-2.54,  0.  ,  1.  ]))
    """
    maps = np.asarray(maps, float)
    if not np.isfinite(maps).all():
        raise ValueError(
            f"{np.sum(~np.isfinite(maps))} values of the maps are not finite; logarithms of zero?"
        )
    top = np.abs(maps).max(initial=0) or 1.0
    if maps.min(initial=0) >= 0:
        return np.rint(maps / top * 255).astype(np.uint8), top / 255, 0.0
    # NIfTI keeps both numbers in single precision; 128 times a float32 is exact, and so is zero
    slope = float(np.float32(top / 127))
    return (np.clip(np.rint(maps / slope), -127, 127) + 128).astype(np.uint8), slope, -128 * slope


def nifti(maps: ArrayLike, grid: Grid, note: str = "") -> bytes:
    """Maps as a compressed NIfTI image of bytes with slope and intercept, so that values are kept.

    Parameters
    ----------
    maps : array, shape (n_frames, n_voxels)
        Outside the brain the image holds zero.
    grid : Grid
    note : str
        Goes into the header; up to 79 letters.

    Returns
    -------
    bytes
        The file ``.nii.gz``: axes to the right, front and top, in MNI152 space (code 4).

    Raises
    ------
    ValueError
        If the maps are of another grid.
    """
    maps = np.atleast_2d(np.asarray(maps, float))
    volumes = np.stack([grid.volume(values) for values in maps], axis=-1)
    codes, slope, intercept = codes_of(volumes)
    return _image(codes[..., 0] if len(maps) == 1 else codes, grid.affine, slope, intercept, note)


def template_nifti(voxel_mm: int = 2) -> bytes:
    """The grey template between 0 and 1 as a compressed NIfTI image."""
    grid = Grid.mni(voxel_mm)
    step = 256 // GREYS
    codes = np.rint(grid.template * (GREYS - 1)).astype(np.uint8) * step
    return _image(codes, grid.affine, 1 / (step * (GREYS - 1)), 0.0, "ICBM 2009a, as nilearn has it")


def _image(codes: NDArray, affine: NDArray, slope: float, intercept: float, note: str) -> bytes:
    import nibabel

    image = nibabel.Nifti1Image(codes, affine)
    image.header.set_slope_inter(slope, intercept)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = note.encode("ascii", "replace")[:79]
    for set_form in (image.set_sform, image.set_qform):
        set_form(affine, code=4)
    return compressed(image.to_bytes())


def export(
    folder: str | Path,
    decoder: Decoder,
    labels: Sequence[str],
    activity: ArrayLike,
    checkpoint: str,
    *,
    n_maps: int = 8,
    conditions: Mapping[str, ArrayLike] | None = None,
    tolerance_nats: float = 0.02,
) -> Path:
    """Write the viewer files of a decoder.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    decoder : Decoder
    labels : sequence of str
        What each latent dimension goes with, such as topics at its two ends.
    activity : array, shape (n_latent,)
        How much each dimension is used, in any unit; the most active come first.
    checkpoint : str
        SHA-256 of the weights, which all files name.
    n_maps : int
        How many dimensions get maps of their own.
    conditions : mapping of str to array, shape (n_condition,), optional
        Conditions that a reader can choose and compare, the first for the precomputed maps. Needed
        by a decoder that has conditions.
    tolerance_nats : float
        See :meth:`neurolib.atlas.decoder.Decoder.pack`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If labels, activity or conditions do not fit the decoder.
    """
    activity = np.asarray(activity, float)
    if not len(labels) == len(activity) == decoder.n_latent:
        raise ValueError(f"{len(labels)} labels and activity {activity.shape} for {decoder.n_latent} latents")
    conditions = {name: np.asarray(value, float) for name, value in (conditions or {}).items()}
    if bool(conditions) != bool(decoder.n_condition) or any(
        value.shape != (decoder.n_condition,) for value in conditions.values()
    ):
        shapes = {name: value.shape for name, value in conditions.items()}
        raise ValueError(f"conditions {shapes} for a decoder with {decoder.n_condition}; they must fit")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    first = next(iter(conditions.values()), None)
    order = np.argsort(-activity, kind="stable")
    dimensions = []
    for rank, number in enumerate(order.tolist()):
        entry = {"number": number, "label": str(labels[number]), "activity": float(f"{activity[number]:.4g}")}
        if rank < n_maps:
            z = np.zeros((len(STEPS), decoder.n_latent))
            z[:, number] = STEPS
            maps = decoder(z, first)
            entry |= {
                "file": f"dim{number:02d}.nii.gz",
                "limit_nats": float(f"{np.percentile(np.abs(maps[[0, -1]]), 99.5):.4g}"),
            }
            note = f"log p(v|z{number:02d})-log p(v), nats; z=-3..3; {checkpoint[:16]}"
            (folder / entry["file"]).write_bytes(nifti(maps, decoder.grid, note))
        dimensions.append(entry)
    data, manifest = decoder.pack(tolerance_nats, first)
    described = {
        "checkpoint": checkpoint,
        "unit": "nats",
        "z": STEPS.tolist(),
        "dimensions": dimensions,
        "conditions": [{"label": name, "c": value.tolist()} for name, value in conditions.items()],
    }
    (folder / "decoder.bin").write_bytes(data)
    (folder / "template.nii.gz").write_bytes(template_nifti())
    _write_json(folder / "manifest.json", manifest | {"checkpoint": checkpoint})
    _write_json(folder / "dims.json", described)
    return folder


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
