"""Where things lie in a checkout, and which pages and parameter sets there are.

A page is a text notebook ``notebooks/<page>.py``; a job is one page with one set of parameters.
"""

import ast
import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PROFILES = ("quick", "full")
TIMEOUT_S = {"quick": 600, "full": 6 * 3600}  # per cell
SUMMARIES = ("rvq/12_experiment_log", "scoreboard")  # pages that read what the other pages found
PLACES = {  # executed notebooks, results
    "book": ("book/runs", "book/results"),
    "golden": ("tests/golden", "tests/golden/results"),
    "recorded": ("build/recorded", "build/recorded/results"),
}
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class PageError(Exception):
    """A page that cannot be run as asked; the message says what to change."""


@dataclass(frozen=True)
class Parameter:
    """One line of a page's parameters cell: its type and its default."""

    kind: type
    default: Any


@dataclass(frozen=True)
class Job:
    """One page with one set of parameters."""

    page: str
    profile: str = "quick"
    params: dict[str, Any] = field(default_factory=dict)
    variant: str = ""

    @property
    def slug(self) -> str:
        """The page's name with the variant, as in file names."""
        return f"{self.page}--{self.variant}" if self.variant else self.page


@dataclass(frozen=True)
class Project:
    """A checkout of the book, and where its runs go.

    ``place`` is ``book`` (published), ``golden`` (kept in tests, on simulated data) or
    ``recorded`` (checked against expectations, then thrown away).
    """

    root: Path
    place: str = "book"

    @property
    def notebooks(self) -> Path:
        """Text notebooks, the only form that is edited."""
        return self.root / "notebooks"

    @property
    def results(self) -> Path:
        """One JSON file per page, variant and profile."""
        return self.root / PLACES[self.place][1]

    def source(self, page: str) -> Path:
        """The text notebook of a page."""
        return self.notebooks / f"{page}.py"

    def executed(self, job: Job) -> Path:
        """Where the executed notebook of a job is published."""
        return self.root / PLACES[self.place][0] / f"{job.slug}.ipynb"

    def result(self, job: Job) -> Path:
        """Where the results of a job are written."""
        return self.results / f"{job.slug}.{job.profile}.json"

    def failed(self, job: Job) -> Path:
        """Where a failed run is kept aside; its traceback lies beside it as text."""
        return self.root / "build" / "failed" / f"{job.slug}.ipynb"

    def pages(self) -> list[str]:
        """All pages in reading order; the ones that read the others' results last."""
        found = [path.relative_to(self.notebooks) for path in self.notebooks.rglob("*.py")]
        names = [path.with_suffix("").as_posix() for path in found if "checkpoints" not in path.as_posix()]
        return sorted(names, key=lambda name: (name in SUMMARIES, name))

    def page(self, name: str) -> str:
        """The page of that name; a unique part of the name is enough."""
        name = name.removeprefix("notebooks/").removesuffix(".py")
        pages = self.pages()
        hits = [name] if name in pages else [page for page in pages if name in page]
        if len(hits) != 1:
            raise PageError(f"{name!r} names {len(hits)} pages {hits or ''}; the pages are {pages}")
        return hits[0]

    def declared(self, page: str) -> dict[str, Parameter]:
        """Read the parameters cell of a page."""
        return parameters_of(self.source(page).read_text("utf-8"), f"notebooks/{page}.py")

    def job(self, page: str, profile: str = "quick", params: dict | None = None, variant: str = "") -> Job:
        """The job of a page: parameters of its profile and variant from ``params.yml``, then ``params``."""
        if profile not in PROFILES:
            raise PageError(f"profile {profile!r} must be one of {PROFILES}")
        stored = self._stored().get(page, {})
        chosen = dict(stored.get(profile) or {})
        known = stored.get("variants") or {}
        if variant in known:
            chosen |= known[variant]
        elif variant and not params:
            raise PageError(f"{page} has no variant {variant!r} in params.yml; it has {sorted(known)}")
        elif params and not variant:
            variant = "-".join(f"{key}-{value}" for key, value in params.items()).lower()
            variant = re.sub(r"[^a-z0-9_.-]+", "-", variant)[:60]
        if variant and not NAME.fullmatch(variant):
            raise PageError(
                f"variant {variant!r} may hold small letters, digits, dots, dashes and underscores"
            )
        chosen |= params or {}
        return Job(page, profile, check_parameters(chosen, self.declared(page), page), variant)

    def variants(self, page: str) -> list[str]:
        """Variants of a page that ``params.yml`` names."""
        return sorted(self._stored().get(page, {}).get("variants") or {})

    def published_variants(self, page: str) -> list[str]:
        """Variants of a page that have been run."""
        stem = f"{Path(page).name}--"
        folder = (self.root / "book" / "runs" / page).parent
        return sorted(path.stem.removeprefix(stem) for path in folder.glob(f"{stem}*.ipynb"))

    def _stored(self) -> dict:
        path = self.notebooks / "params.yml"
        if not path.exists():
            return {}
        stored = yaml.safe_load(path.read_text("utf-8")) or {}
        if unknown := sorted(set(stored) - set(self.pages())):
            raise PageError(f"{path.name} names pages that do not exist: {unknown}")
        return stored


def find_project(start: Path | None = None) -> Project:
    """The checkout that holds ``start`` (default: the working folder, then this package)."""
    places = [start] if start else [Path.cwd(), Path(__file__)]
    for place in places:
        for folder in [place, *place.resolve().parents]:
            if (folder / "_toc.yml").exists() and (folder / "notebooks").is_dir():
                return Project(folder.resolve())
    raise PageError(f"no book found above {places[0]}: a checkout has _toc.yml and notebooks/")


def parameters_of(source: str, where: str) -> dict[str, Parameter]:
    """Names, types and defaults in the one cell tagged ``parameters`` of a py:percent notebook.

    Examples
    --------
    >>> cell = '# %% tags=["parameters"]' + chr(10) + 'hidden: int = 64  # GRU width'
    >>> parameters_of(cell, "page.py")
    {'hidden': Parameter(kind=<class 'int'>, default=64)}
    """
    cells = re.split(r"^# %%", source, flags=re.MULTILINE)[1:]
    tagged = [cell for cell in cells if re.match(r"[^\n]*\"parameters\"", cell)]
    if len(tagged) != 1:
        raise PageError(f'{where} has {len(tagged)} cells tagged "parameters"; a page has one')
    kinds = {"int": int, "float": float, "str": str, "bool": bool, "list": list}
    found = {}
    for node in parse(tagged[0].partition("\n")[2], f"{where}, parameters cell").body:
        if not isinstance(node, ast.AnnAssign) or node.value is None:
            raise PageError(f"{where}: write parameters as `name: type = literal`, not {ast.unparse(node)!r}")
        kind, name = ast.unparse(node.annotation).partition("[")[0], ast.unparse(node.target)
        if kind not in kinds:
            raise PageError(f"{where}: parameter {name} is a {kind}; use one of {sorted(kinds)}")
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise PageError(
                f"{where}: {name} = {ast.unparse(node.value)} is computed; papermill would not compute it again, "
                "so derive it in the next cell"
            ) from None
        found[name] = Parameter(kinds[kind], default)
    return found


PARSING = threading.Lock()  # CPython 3.11 counts how deep it is in all threads together, and gives up


def parse(source: str, where: str) -> ast.Module:
    """The syntax tree of a page or module; a slip of the pen is one line."""
    try:
        with PARSING:
            return ast.parse(source)
    except SyntaxError as error:
        raise PageError(f"{where}, line {error.lineno}: {error.msg}") from None


def check_parameters(params: dict[str, Any], declared: dict[str, Parameter], page: str) -> dict[str, Any]:
    """Refuse a parameter the page does not declare, or one of another type.

    Text is converted, so that ``-p lr=5e-4`` on the command line is a float.
    """
    checked = {}
    for name, value in params.items():
        if name not in declared:
            raise PageError(f"{page} has no parameter {name!r}; it has {sorted(declared)}")
        kind = declared[name].kind
        if isinstance(value, str) and kind is not str:
            try:
                value = kind(value) if kind in (int, float) else yaml.safe_load(value)
            except (ValueError, yaml.YAMLError):
                pass  # the type is wrong, then, and said so below
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise PageError(
                f"{page}: {name}={value!r} is {type(value).__name__}, but the page says {kind.__name__}"
            )
        checked[name] = value
    return checked


def write_atomic(path: Path, text: str) -> None:
    """Write a file beside its place, then move it there, so that it is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_text(text, "utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(data: bytes | str) -> str:
    """Hex digest of bytes or text."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys, for comparing and hashing."""
    return json.dumps(value, sort_keys=True)
