"""The HTML book: executed pages and prose in, `_build/html` out, with nothing fetched from elsewhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from neurolib.runs import viewer_files
from neurolib.runs.project import PageError, Project, write_atomic


def build(project: Project) -> Path:
    """Build the HTML from the runs that are there; warnings are errors.

    Returns
    -------
    Path
        The start page.

    Raises
    ------
    PageError
        If Sphinx warns or fails, or a page of the table of contents is missing afterwards.
    """
    assets = project.root / "build" / "assets"
    copy_assets(assets)
    if viewer_files.publish(project, assets / viewer_files.FOLDER):
        viewer_files.copy_niivue(assets)
    toc, left_out = table_of_contents(project)
    for page in left_out:
        print(f"left out, never run: {page}", file=sys.stderr)
    path = project.root / "build" / "_toc.yml"
    write_atomic(path, yaml.safe_dump(toc, sort_keys=False))
    program = shutil.which("jupyter-book", path=str(Path(sys.executable).parent))
    if not program:
        raise PageError("jupyter-book is not installed beside this Python; use `python run.py book`")
    command = [program, "build", ".", "--toc", str(path)]
    done = subprocess.run([*command, "-n", "-W", "--keep-going", "-q"], cwd=project.root)
    html = project.root / "_build" / "html"
    missing = [name for name in _documents(toc) if not (html / f"{name}.html").exists()]
    if done.returncode or missing:
        raise PageError(
            f"the book was not built; missing pages: {missing or 'none'}. Sphinx's messages are above"
        )
    return html / "index.html"


def copy_assets(folder: Path) -> None:
    """Take plotly.js from the installed package, so that pages draw without a network."""
    import plotly

    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    target = folder / "plotly.min.js"
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def table_of_contents(project: Project) -> tuple[dict, list[str]]:
    """``_toc.yml`` with the variants that were run below their page, and without pages never run.

    Returns
    -------
    toc : dict
    left_out : list of str
        Pages named in ``_toc.yml`` that have no executed notebook.
    """
    toc = yaml.safe_load((project.root / "_toc.yml").read_text("utf-8"))
    left_out = []

    def visit(entries: list[dict]) -> list[dict]:
        kept = []
        for entry in entries:
            entry = dict(entry)
            name = entry["file"]
            if "sections" in entry:
                entry["sections"] = visit(entry["sections"])
            if name.startswith("book/runs/"):
                if not (project.root / f"{name}.ipynb").exists():
                    left_out.append(name)
                    continue
                variants = project.published_variants(name.removeprefix("book/runs/"))
                if variants:
                    below = [{"file": f"{name}--{variant}"} for variant in variants]
                    entry["sections"] = entry.get("sections", []) + below
            kept.append(entry)
        return kept

    for part in toc.get("parts", []):
        part["chapters"] = visit(part["chapters"])
    toc["parts"] = [part for part in toc.get("parts", []) if part["chapters"]]
    return toc, left_out


def _documents(toc: dict) -> list[str]:
    found = [toc["root"]]

    def visit(entries):
        for entry in entries:
            found.append(entry["file"])
            visit(entry.get("sections", []))

    for part in toc.get("parts", []):
        visit(part["chapters"])
    return found
