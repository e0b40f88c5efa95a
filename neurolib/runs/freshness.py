"""When a page must be run again: a key over its source, parameters, imported code and data."""

import ast
import json
from functools import cache
from pathlib import Path

import neurolib
from neurolib.runs.project import PROFILES, SUMMARIES, Job, Project, canonical, parse, sha256

PACKAGE = Path(neurolib.__file__).parent


def key(project: Project, job: Job) -> dict[str, str]:
    """Hashes of everything but data that a run depends on.

    Returns
    -------
    dict
        ``source``, ``params``, ``code`` (the neurolib modules imported, transitively), ``lock``
        (pinned packages) and ``published`` (quoted numbers), each a sha256.
    """
    source = project.source(job.page)
    parts = {
        "source": sha256(source.read_bytes()),
        "params": sha256(canonical(job.params)),
        "code": code_hash(source),
        "lock": _hash(project.root / "requirements" / "requirements.lock"),
        "published": _hash(project.root / "book" / "published.yml"),
    }
    if job.page in SUMMARIES:  # they read what the other pages found
        own = {project.results / f"{page}.{profile}.json" for page in SUMMARIES for profile in PROFILES}
        found = sorted(set(project.results.rglob("*.json")) - own)
        parts["results"] = sha256("".join(_hash(path) for path in found))
        parts["registry"] = _hash(project.root / "book" / "experiments.yml")
    return parts


def is_fresh(project: Project, job: Job) -> bool:
    """Whether the published run of a job is still what a new run would give."""
    try:
        stamp = json.loads(project.result(job).read_text("utf-8"))["stamp"]
        made = json.loads(project.executed(job).read_text("utf-8"))["metadata"]["neurolib"]
        if stamp != made or stamp["key"] != key(project, job):  # `made` may be of another profile
            return False
        default = project.declared(job.page).get("source")
        source = job.params.get("source", default.default if default else "auto")
        return all(data_state(entry["id"], source) == entry for entry in stamp["data"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, damaged, or a dataset that is gone
        return False


def data_state(dataset: str, source: str = "auto") -> dict[str, str]:
    """What a page would read for a dataset now: recorded (with its hash) or simulated."""
    from neurolib.data import catalog

    recorded = source == "recorded" or (source == "auto" and catalog.is_present(dataset))
    state = {"id": dataset, "kind": "recorded" if recorded else "simulated", "sha256": ""}
    if recorded:
        files = [catalog.folder(dataset) / file.path for file in catalog.dataset(dataset).files]
        state["sha256"] = sha256("".join(_file_hash(path) for path in files))
    return state


def _file_hash(path: Path) -> str:
    """Hash of a data file, read again only when its size or time changed."""
    if not path.exists():
        return ""
    stat = path.stat()
    return _hash_at(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_at(path: Path, size: int, mtime_ns: int) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()) if path.exists() else ""


def code_hash(source: Path, package: Path = PACKAGE) -> str:
    """Hash of the package files that a notebook imports, directly or through others."""
    files = sorted(imported_files(source, package))
    return sha256("".join(f"{path.relative_to(package)}:{_hash(path)};" for path in files))


def imported_files(source: Path, package: Path = PACKAGE) -> set[Path]:
    """Files of the package reached from the imports in ``source``, wherever they stand in it."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path.suffix != ".py":
            continue
        for module in _imports(path, package.name):
            for file in _files_of(module, package):
                if file not in found:
                    found.add(file)
                    waiting.append(file)
    return found


def _imports(path: Path, package: str) -> set[str]:
    names = set()
    for node in ast.walk(parse(path.read_text("utf-8"), path.name)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == package}


def _files_of(module: str, package: Path) -> list[Path]:
    """The file of a module and the ``__init__`` files above it."""
    place, files = package, [package / "__init__.py"]
    for part in module.split(".")[1:]:
        place = place / part
        files += [place.with_suffix(".py"), place / "__init__.py"]
    style = [path for path in package.glob("viz/*.mplstyle")] if ".viz" in module else []
    return [path for path in files if path.exists()] + style
