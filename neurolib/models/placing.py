"""Folders that are whole or absent: a path in, a folder beside it to write, which takes its place when all is written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def placed_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into; it replaces ``folder`` when the block ends well, and is gone when it does not.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with placed_folder(Path(place) / "model") as partial:
    ...         _ = (partial / "weights").write_text("1")
    ...         before = (Path(place) / "model").exists()
    ...     before, [path.name for path in Path(place).rglob("*")]
    (False, ['model', 'weights'])
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
            os.replace(folder, old)
            os.replace(partial, folder)
            shutil.rmtree(old)
        else:
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
