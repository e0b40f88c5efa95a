#!/usr/bin/env python3
"""The one entry point: make the environment if it is missing or stale, then hand over to the package.

    python run.py book            every page on the quick profile, then the HTML
    python run.py test            unit tests, browser test, nbval on the golden runs
    python run.py test-recorded   every page on recorded data (needs NEUROLIB_DATA)
    python run.py run PAGE        one page, with other parameters: -p name=value
    python run.py data            the catalog of datasets: list, show, fetch, verify, where
    python run.py golden          make the golden runs anew after a page changed
    python run.py lab             JupyterLab; text notebooks open as notebooks
    python run.py bench           every claim of benchmarks/, ratios printed
    python run.py clean           remove what was generated (not the environment)

Further words are passed on: `python run.py test -k kalman`, `python run.py book --only decoding`.
Standard library only, because it runs before anything is installed.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements" / "requirements.lock"
UV = "uv==0.13.8"
TORCH = "torch==2.13.0"  # by its bare version: the index or PIP_FIND_LINKS decides between CPU and CUDA
GENERATED = ["_build", "build", "book/runs", ".pytest_cache", ".ruff_cache"]


def call(*command, **kwargs) -> None:
    """Run a command in the repository; stop with its exit code if it fails."""
    code = subprocess.run([str(word) for word in command], cwd=ROOT, **kwargs).returncode
    if code:
        sys.exit(code)


def own_environment() -> pathlib.Path | None:
    """The running interpreter, if what the book needs is installed in it (conda, containers)."""
    if pathlib.Path(sys.prefix).resolve() == VENV.resolve():
        return None
    # not the distribution's own metadata: an egg-info in this folder looks like an installation
    if not all(importlib.util.find_spec(name) for name in ("torch", "papermill", "jupyter_book")):
        return None
    try:
        importlib.metadata.version("nlb_tools")
    except importlib.metadata.PackageNotFoundError:  # an environment.yml cannot say --no-deps
        call(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "nlb_tools==0.0.4")
    return pathlib.Path(sys.executable)


def environment() -> pathlib.Path:
    """The interpreter to use; `.venv` is made anew when the lock, pyproject.toml, this file or Python changed."""
    if python := own_environment():
        return python
    python = BIN / "python"
    parts = [path.read_bytes() for path in (LOCK, ROOT / "pyproject.toml", pathlib.Path(__file__))]
    key = hashlib.sha256(b"".join(parts) + sys.version.encode()).hexdigest()
    stamp = VENV / "installed.sha256"
    if stamp.exists() and stamp.read_text() == key:
        return python
    print("making .venv (once; again only when the lock changes)", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    call(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", UV)
    uv = [BIN / "uv", "pip", "install", "-q", "-p", python]
    links = [
        word for place in os.environ.get("PIP_FIND_LINKS", "").split() for word in ("--find-links", place)
    ]
    call(*uv, *links, TORCH)  # with its own dependencies: a CUDA build brings the CUDA libraries
    call(*uv, "--no-deps", "-r", LOCK)  # everything else, exact; overrules the old pandas pin of nlb_tools
    call(*uv, "--no-deps", "-e", ".")
    stamp.write_text(key)  # last, so an interrupted installation is made again
    return python


def clean() -> None:
    """Remove generated folders; results of full runs are committed and stay."""
    for name in GENERATED:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for path in [*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("book/results/**/*.quick.json")]:
        path.unlink()


def main() -> None:
    """Read the command, make the environment, hand over."""
    if sys.version_info < (3, 11):  # noqa: UP036  (older Pythons run this line, too)
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    command, *rest = sys.argv[1:] or ["help"]
    if command == "clean":
        return clean()
    targets = {
        name: ["neurolib", name] for name in ("book", "run", "data", "golden", "test-recorded", "bench")
    }
    targets["lab"] = ["jupyterlab"]
    # unit tests and doctests, then the golden runs; two processes, one page or file each at a time
    targets["test"] = ["pytest", "--nbval-lax", "-n", "2", "--dist", "loadfile", "tests", "neurolib"]
    if command not in targets:
        print(__doc__)
        sys.exit(0 if command in ("help", "-h", "--help") else f"unknown command {command!r}")
    python = environment()
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    call(python, "-m", *targets[command], *rest, env=os.environ | {"PATH": path})


if __name__ == "__main__":
    main()
