"""Files in ALF layout, as the International Brain Laboratory shares them: a folder in, arrays out.

Names are ``object.attribute.extension``, with a namespace before (``_ibl_``) or parts between; a folder
``#2024-05-06#`` holds a later revision of what lies beside it.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Files = dict[tuple[str, str], Path]  # (object, attribute) -> file

_NAME = re.compile(r"(?:_[A-Za-z0-9]+_)?([A-Za-z]+)\.(\w+)\.(?:.*\.)?(npy|pqt|csv)")


def collection(alf: Path, path: Path) -> str:
    """Folder of a file below ``alf``, without its revision."""
    parts = path.relative_to(alf).parent.parts
    return "/".join(part for part in parts if not part.startswith("#"))


def latest(paths: Iterable[Path]) -> Files:
    """Files by object and attribute; of two revisions the later, of other files none.

    Examples
    --------
    >>> found = latest([Path("alf/#2024-05-06#/spikes.times.npy"), Path("alf/spikes.times.npy")])
    >>> found["spikes", "times"].as_posix()
    'alf/#2024-05-06#/spikes.times.npy'
    """
    files: Files = {}
    for path in sorted(paths, key=lambda path: path.parent.name if path.parent.name.startswith("#") else ""):
        if named := _NAME.fullmatch(path.name):
            files[named[1], named[2]] = path
    return files


def find(files: Files, name: str, thing: str, part: str) -> NDArray:
    """Array of one object and attribute of the recording ``name``."""
    if (thing, part) not in files:
        raise FileNotFoundError(f"{name}: no file {thing}.{part}.npy")
    return load_array(files[thing, part])


def load_array(path: Path) -> NDArray:
    """Array of a file; never unpickles one."""
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no plain .npy array; truncated, or pickled objects? ({error})") from None


def load_table(path: Path) -> dict[str, NDArray]:
    """Columns of a table in parquet or csv."""
    if path.suffix == ".csv":
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else ())}
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"{path} is in parquet, which needs pyarrow: pip install pyarrow; or save its columns as .npy"
        ) from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ValueError(f"{path} is no readable parquet file; truncated? ({error})") from None
    return {key: table[key].to_numpy() for key in table.column_names}
