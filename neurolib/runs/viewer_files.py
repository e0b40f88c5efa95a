"""Data and scripts of the brain viewers: what pages name in, files of the book's static folder out.

A run writes the data of its viewers beside the executed notebooks, under names that hold their
hash; building the book copies those that a page names. NiiVue is taken from the npm registry, as a
fixed file of a fixed version, and kept in the user's cache.
"""

import base64
import hashlib
import io
import re
import shutil
import sys
import tarfile
import time
from pathlib import Path

from neurolib.data.catalog import user_cache
from neurolib.runs.project import PageError, Project, write_atomic

FOLDER = "viewer_data"  # below book/runs, and below _static
NAMED = re.compile(r"na-[a-z0-9-]+-[0-9a-f]{12}")
DAY_S = 86400.0

NIIVUE = "niivue.umd.js"
NIIVUE_VERSION = "0.69.0"
NIIVUE_URL = f"https://registry.npmjs.org/@niivue/niivue/-/niivue-{NIIVUE_VERSION}.tgz"
NIIVUE_SHA512 = "YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="
NIIVUE_LICENCE = (
    f"/* NiiVue {NIIVUE_VERSION}, Copyright (c) 2021, Niivue, BSD-2-Clause licence: "
    "https://github.com/niivue/niivue/blob/main/LICENSE */\n"
)


def key_of(name: str, data: bytes) -> str:
    """Name of data by what they are and what they hold.

    Examples
    --------
    >>> key_of("maps", b"")
    'na-maps-e3b0c44298fc'
    """
    return f"na-{name}-{hashlib.sha256(data).hexdigest()[:12]}"


def encoded(data: bytes) -> str:
    """Base64 without slashes: no text can look like a path, which a run removes from its notebook."""
    return base64.urlsafe_b64encode(data).decode("ascii")


def script_text(key: str, data: bytes) -> str:
    """A script that hands data to the page; unlike other files a page opened from a disk may load it."""
    return f'(window.NEUROATLAS_DATA ??= {{}})["{key}"]="{encoded(data)}";\n'


def write(root: Path, key: str, data: bytes) -> None:
    """Put data where the build of the book finds them."""
    path = root / "book" / "runs" / FOLDER / f"{key}.js"
    if not path.exists():  # its name says what it holds
        write_atomic(path, script_text(key, data))


def publish(project: Project, target: Path) -> int:
    """Copy the data that executed pages name into ``target``, and drop what no page names any more.

    Returns
    -------
    int
        How many files the pages name.

    Raises
    ------
    PageError
        If a page names data that are not there.
    """
    source = project.root / "book" / "runs" / FOLDER
    named: dict[str, str] = {}
    for page in sorted((project.root / "book" / "runs").rglob("*.ipynb")):
        named |= dict.fromkeys(NAMED.findall(page.read_text("utf-8")), page.stem)
    missing = sorted({page for key, page in named.items() if not (source / f"{key}.js").exists()})
    if missing:
        raise PageError(f"viewer data of {missing} are not in {source}; run these pages again with --force")
    target.mkdir(parents=True, exist_ok=True)
    for key in named:
        place = target / f"{key}.js"
        if not place.exists():
            shutil.copyfile(source / f"{key}.js", place)
    for folder, age_s in ((target, -1.0), (source, DAY_S)):  # a run that is not finished wrote today
        for path in folder.glob("na-*.js"):
            if path.stem not in named and time.time() - path.stat().st_mtime > age_s:
                path.unlink()
    return len(named)


def copy_niivue(folder: Path, url: str = NIIVUE_URL, cache: Path | None = None) -> bool:
    """Put NiiVue into ``folder``; without a network an empty script, and pages do without it.

    Returns
    -------
    bool
        Whether it is there.
    """
    kept = (cache or user_cache()) / f"niivue-{NIIVUE_VERSION}.js"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not kept.exists():
            write_atomic(kept, NIIVUE_LICENCE + _niivue(url))
        text = kept.read_text("utf-8")
    except OSError as error:  # what requests raises is one as well
        print(f"NiiVue is left out, pages show slices only: {error}", file=sys.stderr)
        text = ""
    write_atomic(folder / NIIVUE, text)
    return bool(text)


def _niivue(url: str) -> str:
    """The script in the package of the registry."""
    import requests

    answer = requests.get(url, timeout=(5, 60))
    answer.raise_for_status()
    found = base64.b64encode(hashlib.sha512(answer.content).digest()).decode("ascii")
    if found != NIIVUE_SHA512:
        raise OSError(f"{url} sent something else than NiiVue {NIIVUE_VERSION} (sha512 {found[:12]}…)")
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as package:
        return package.extractfile(f"package/dist/{NIIVUE}").read().decode("utf-8")
