"""From published files to stored recordings: a recipe in, one HDF5 file per session and a manifest out.

A run that was stopped goes on: what the manifest lists, and is still there unchanged, is not done again.
"""

import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurolib.data import catalog
from neurolib.data.recording import Recording
from neurolib.data.splits import split_hash, time_splits, trial_splits
from neurolib.data.store import VERSION, save

MANIFEST = "manifest.jsonl"
TRIES = 3
PIP = {"one": "ONE-api"}  # where the package is called otherwise


@dataclass(frozen=True)
class Session:
    """One recording to be made.

    Parameters
    ----------
    name : str
        Unlike that of any other session of the recipe, now and in later runs.
    read : callable, () -> Recording or None
        Downloads what it needs and reads it; None leaves the session out.
    bytes : int
        To be downloaded, as far as is known.
    attrs : dict
        What is known of it: subject, file, version.
    """

    name: str
    read: Callable[[], Recording | None]
    bytes: int = 0
    attrs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What a recipe is asked for: at most ``sessions`` of them (0 is all), with files kept in ``cache``.

    ``between_s`` is the stretch that sets with recordings of a day are cut to.
    """

    cache: Path
    sessions: int = 0
    between_s: tuple[float, float] = (0.0, 3600.0)


@dataclass(frozen=True)
class Recipe:
    """How one set is made.

    Parameters
    ----------
    name, modality : str
    licence : str
    commercial_ok : bool
        Whether the licence allows commercial use; where none is stated, it does not.
    sources : tuple of str
        Public addresses.
    lister : str or callable, (Request) -> list of Session
        ``"module:function"``, imported when it is needed.
    session_bytes : int
        A guess at what a session takes to download; 0 for files that are here.
    needs : tuple of str
        Packages to import that are not always installed.
    split : {"time", "trial"}
    window_s : float
        Longest window that will be cut: splits keep this far apart.

    Examples
    --------
    >>> from neurolib.data.recipes import RECIPES
    >>> RECIPES["development_fmri"].commercial_ok
    False
    """

    name: str
    modality: str
    licence: str
    commercial_ok: bool
    sources: tuple[str, ...]
    lister: str | Callable[[Request], list[Session]]
    session_bytes: int = 0
    needs: tuple[str, ...] = ()
    split: str = "time"
    window_s: float = 1.0

    def __post_init__(self):
        if self.split not in ("time", "trial"):
            raise ValueError(f"split={self.split!r} must be 'time' or 'trial'")
        if not self.window_s > 0 or self.session_bytes < 0:
            raise ValueError(f"window_s={self.window_s} must be positive, session_bytes not negative")

    def sessions(self, request: Request) -> list[Session]:
        """The sessions that there are; asks the source's server, but downloads no recording."""
        lister = self.lister
        if isinstance(lister, str):
            module, _, name = lister.partition(":")
            lister = getattr(importlib.import_module(module), name)
        found = lister(request)
        found = found[: request.sessions] if request.sessions else found
        names = [session.name for session in found]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two sessions of one name")
        return found


def prepare(
    recipe: Recipe,
    cache: str | Path | None = None,
    sessions: int = 0,
    dry_run: bool = False,
    max_gb: float | None = None,
    allow_nc: bool = False,
    between_s: tuple[float, float] = (0.0, 3600.0),
    say: Callable[[str], None] = print,
    wait_s: float = 5.0,
) -> list[Path]:
    """Make the recordings of a set that are not there yet.

    Parameters
    ----------
    recipe : Recipe
    cache : path, optional
        Folder for downloads (``raw``) and recordings (``prepared``); by default the user's cache folder.
    sessions : int
        Make at most so many; 0 makes all.
    dry_run : bool
        Say what would be done.
    max_gb : float, optional
        Refuse to download more than this.
    between_s : (float, float)
        See :class:`Request`.
    allow_nc : bool
        Take sets whose licence does not allow commercial use.
    say : callable
    wait_s : float
        After a connection failed, doubled with each of three tries.

    Returns
    -------
    list of Path
        All recordings of these sessions.

    Raises
    ------
    ValueError
        If the licence, the size, an option or a missing package forbids it, or sessions could not be read; the others are kept.
    ConnectionError
        If the source cannot be reached; what was made is kept, and the next run goes on.
    OSError
        If the disk is too small.
    """
    _check_allowed(recipe, allow_nc)
    cache = catalog.user_cache() if cache is None else Path(cache)
    here = cache / "prepared" / recipe.name
    request = Request(cache / "raw", sessions, between_s)
    found = _trying(lambda: recipe.sessions(request), say, wait_s)
    done = finished(here)
    wanted = [session for session in found if session.name not in done]
    size = sum(session.bytes or recipe.session_bytes for session in wanted)
    say(f"{recipe.name}: {len(found)} sessions, {len(found) - len(wanted)} finished, {size / 1e9:.2f} GB to fetch; "
        f"licence {recipe.licence}")  # fmt: skip
    if max_gb is not None and size > max_gb * 1e9:
        raise ValueError(
            f"{recipe.name}: {size / 1e9:.2f} GB to fetch, more than {max_gb:g} GB; take fewer with --sessions"
        )
    if dry_run:
        for session in wanted:
            say(f"  would make {session.name}")
        return []
    here.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(here).free) < size:
        raise OSError(f"{recipe.name}: {size / 1e9:.2f} GB to fetch and {free / 1e9:.2f} GB free in {here}")
    failed = []
    for number, session in enumerate(wanted, start=1):
        try:
            line = _make(recipe, session, here, say, wait_s)
        except ConnectionError:
            raise
        except (ValueError, FileNotFoundError) as error:
            failed.append(f"{session.name}: {error}")
            say(f"[{number}/{len(wanted)}] {session.name}: failed, {error}")
            continue
        done[session.name] = line
        what = f"{line['bytes'] / 1e6:.1f} MB" if line["file"] else "left out"
        say(f"[{number}/{len(wanted)}] {session.name}: {what}")
    if failed:
        raise ValueError(
            f"{recipe.name}: {len(failed)} of {len(wanted)} sessions failed; the first is {failed[0]}"
        )
    return [here / done[session.name]["file"] for session in found if done[session.name]["file"]]


def finished(folder: Path) -> dict[str, dict]:
    """Lines of the manifest by session whose file is there and unchanged.

    A last line that was cut off by a crash does not count.
    """
    path, found = folder / MANIFEST, {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
            name, file, store = line["session"], line["file"], line["store"]
        except (ValueError, KeyError, TypeError):
            continue
        found.pop(name, None)
        if store != VERSION:
            continue
        if file:
            catalog.check_inside(file)
            target = folder / file
            if not target.is_file() or _sha256(target) != line["sha256"]:
                continue
        found[name] = line
    return found


def _make(recipe: Recipe, session: Session, here: Path, say: Callable[[str], None], wait_s: float) -> dict:
    recording = _trying(session.read, say, wait_s)
    line = {"session": session.name, "set": recipe.name, "store": VERSION, "licence": recipe.licence,
            "commercial_ok": recipe.commercial_ok, "sources": list(recipe.sources), "modality": recipe.modality}  # fmt: skip
    about = line | dict(session.attrs)
    line |= {"file": "", "sha256": "", "bytes": 0, "split_hash": "", "attrs": dict(session.attrs)}
    if recording is not None:
        splits = _splits(recipe, recording, say)
        path = save(recording, here / f"{_file_name(session.name)}.h5", splits, about)
        line |= {"file": path.name, "sha256": _sha256(path), "bytes": path.stat().st_size}
        line["split_hash"] = split_hash(splits) if splits else ""
    with open(here / MANIFEST, "ab+") as stream:
        if stream.tell():  # a line cut off by a crash must not swallow this one
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return line


def _splits(recipe: Recipe, recording: Recording, say: Callable[[str], None]):
    try:
        if recipe.split == "trial":
            return trial_splits(recording)
        return time_splits(recording, gap_s=recipe.window_s)
    except ValueError as error:
        say(f"  {recording.name}: stored without splits ({error})")
        return None


def _trying(act: Callable, say: Callable[[str], None], wait_s: float):
    """Call again after a connection failed, a few times."""
    for attempt in range(TRIES):
        try:
            return act()
        except ConnectionError as error:
            if attempt == TRIES - 1:
                raise
            say(f"  {error}; trying again in {wait_s:g} s")
            time.sleep(wait_s)
            wait_s *= 2


def _check_allowed(recipe: Recipe, allow_nc: bool) -> None:
    if not recipe.commercial_ok and not allow_nc:
        raise ValueError(
            f"{recipe.name}: licence {recipe.licence!r} does not allow commercial use, nor models shipped for it; "
            "--allow-nc if yours is none"
        )
    missing = [name for name in recipe.needs if importlib.util.find_spec(name) is None]
    if missing:
        wanted = " ".join(PIP.get(name, name) for name in missing)
        raise ValueError(
            f"{recipe.name} needs {', '.join(missing)}, not installed here: pip install {wanted}"
        )


def _file_name(name: str) -> str:
    """A name that every file system takes, unlike that of any other session."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "session"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
