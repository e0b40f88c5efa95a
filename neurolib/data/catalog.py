"""The catalog of recorded data: a dataset id in, its licence, origin and checked files out.

The entries stand in ``catalog.toml``. This module needs the standard library alone and never
touches the network; :mod:`neurolib.data.fetch` downloads.
"""

import difflib
import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path, PurePosixPath

ENTRIES = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True)
class DataFile:
    """One file of a dataset.

    Parameters
    ----------
    path : str
        Where it lies inside the folder of the dataset, with forward slashes.
    bytes : int
    sha256 : str
    url : str
        Where it is published: ``https://...`` or ``dandi://dandi/ID@VERSION/PATH``.

    Raises
    ------
    ValueError
        If the path leads out of its folder, or size or hash cannot be right.
    """

    path: str
    bytes: int
    sha256: str
    url: str

    def __post_init__(self):
        check_inside(self.path)
        if not isinstance(self.bytes, int) or self.bytes < 1:
            raise ValueError(f"{self.path}: bytes={self.bytes!r} must be a positive whole number")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"{self.path}: sha256={self.sha256!r} must be 64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class Dataset:
    """One entry of the catalog.

    Parameters
    ----------
    id : str
    title, modality, species, area : str
    licence : str
        Licence of the data; ``"not stated"`` where their source states none.
    cite : tuple of str
        Keys of the book's bibliography.
    source : str
        Public address of the dataset.
    version : str
        Release or commit that the hashes belong to.
    how : str
        How the files are had.
    folder : str
        Folder under :func:`data_root`; datasets may share one.
    files : tuple of DataFile
    licence_note : str
        What else a user must know about the licence.

    Raises
    ------
    ValueError
        If the folder leads out of the data root, or there are no files.
    """

    id: str
    title: str
    modality: str
    species: str
    area: str
    licence: str
    cite: tuple[str, ...]
    source: str
    version: str
    how: str
    folder: str
    files: tuple[DataFile, ...]
    licence_note: str = ""

    def __post_init__(self):
        check_inside(self.folder)
        if not self.files:
            raise ValueError("an entry needs at least one file")

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)


def check_inside(path: str) -> None:
    r"""Refuse a relative path that could lead out of the folder it is joined to, on any system.

    Examples
    --------
    >>> check_inside("sub-Han/train.nwb")
    >>> check_inside("../../.ssh/config")
    Traceback (most recent call last):
        ...
    ValueError: path '../../.ssh/config' leads out of its folder
    """
    # Windows reads a backslash as a separator and a colon as a drive, so neither is ever harmless.
    if re.search(r"[\\:\x00-\x1f]", path) or PurePosixPath(path).is_absolute() or ".." in path.split("/"):
        raise ValueError(f"path {path!r} leads out of its folder")
    if not PurePosixPath(path).name:
        raise ValueError(f"path {path!r} names nothing")


def read(path: Path) -> dict[str, Dataset]:
    """Read a catalog file.

    Raises
    ------
    ValueError
        If the file is not TOML, or an entry lacks a field, has one too many or is unsafe.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from None
    found = {}
    for id, table in tables.items():
        try:
            table["files"] = tuple(DataFile(**file) for file in table["files"])
            table["cite"] = tuple(table["cite"])
            found[id] = Dataset(id=id, **table)
        except (KeyError, TypeError, ValueError) as error:
            known = ", ".join(field.name for field in fields(Dataset))
            raise ValueError(f"{path}, entry [{id}]: {error}; an entry has the fields {known}") from None
    return found


@cache
def _entries() -> dict[str, Dataset]:
    return read(ENTRIES)


def datasets() -> dict[str, Dataset]:
    """Every dataset the book knows, by id."""
    return dict(_entries())


def dataset(id: str) -> Dataset:
    """One entry of the catalog.

    Raises
    ------
    ValueError
        If there is none of that id; the message names the nearest.

    Examples
    --------
    >>> dataset("mc_rtt").licence
    'CC-BY-4.0'
    >>> dataset("area2_bumps")
    Traceback (most recent call last):
        ...
    ValueError: no dataset 'area2_bumps' in the catalog; did you mean area2_bump?
    """
    known = datasets()
    if id in known:
        return known[id]
    near = difflib.get_close_matches(id, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(known))}"
    raise ValueError(f"no dataset {id!r} in the catalog; {hint}")


def data_root() -> Path:
    """Folder that holds all recorded data.

    ``NEUROLIB_DATA`` if it is set, else ``neurolib`` in the user's cache folder:
    ``XDG_CACHE_HOME``, on Windows ``LOCALAPPDATA``, else ``~/.cache``.
    """
    if chosen := os.environ.get("NEUROLIB_DATA"):
        return Path(chosen).expanduser()
    return user_cache()


def user_cache() -> Path:
    """Folder for what can be made or fetched again: ``neurolib`` in the user's cache folder."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or (
        os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    )
    return (Path(cache_home) if cache_home else Path.home() / ".cache") / "neurolib"


def folder(id: str, root: Path | None = None) -> Path:
    """Folder of one dataset, whether or not it exists."""
    return (data_root() if root is None else Path(root)) / dataset(id).folder


def is_present(id: str, root: Path | None = None) -> bool:
    """Whether every file of a dataset lies in its folder; :func:`verify` looks inside them."""
    here = folder(id, root)
    return all((here / file.path).is_file() for file in dataset(id).files)


def require(id: str, root: Path | None = None) -> list[Path]:
    """Paths of a dataset's files, in the order of the catalog.

    Sizes are checked, since that costs nothing; hashes are not (:func:`verify`).

    Raises
    ------
    FileNotFoundError
        If a file is missing; the message says where it was looked for and how to get it.
    ValueError
        If a file has another size than the catalog says.
    """
    here = folder(id, root)
    for file in dataset(id).files:
        if not (here / file.path).is_file():
            raise FileNotFoundError(
                f"{id}: {file.path} is not in {here}; run `neurolib data fetch {id}`, or point NEUROLIB_DATA "
                f"to the folder that holds {dataset(id).folder}/"
            )
        _check_size(id, file, here)
    return [here / file.path for file in dataset(id).files]


def verify(id: str, root: Path | None = None) -> list[Path]:
    """Check size and SHA-256 of every file of a dataset.

    Returns
    -------
    list of Path
        The files, all of them as published.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is not the published one; names the file, what was expected and what was found.
    """
    paths = require(id, root)
    for path, file in zip(paths, dataset(id).files, strict=True):
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            raise ValueError(
                f"{id}: {path} is not the published file: sha256 {file.sha256} expected, {found} found; "
                f"delete it and run `neurolib data fetch {id}`"
            )
    return paths


def _check_size(id: str, file: DataFile, here: Path) -> None:
    found = (here / file.path).stat().st_size
    if found != file.bytes:
        guess = "truncated?" if found < file.bytes else "another version?"
        raise ValueError(
            f"{id}: {here / file.path} has {found} bytes, {file.bytes} expected; {guess} "
            f"Delete it and run `neurolib data fetch {id}`"
        )
