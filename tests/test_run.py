"""The entry point: makes the environment when it must, and only then; nothing but the standard library."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "run.py"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run.py, as if it lay in an empty checkout; commands are noted instead of executed."""
    spec = importlib.util.spec_from_file_location("run_under_test", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]")
    lock = tmp_path / "requirements" / "requirements.lock"
    lock.write_text("numpy==2.4.6")
    for name, value in {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "LOCK": lock}.items():
        monkeypatch.setattr(module, name, value)
    module.calls, module.made = [], []
    monkeypatch.setattr(module, "own_environment", lambda: None)
    monkeypatch.setattr(
        module, "call", lambda *words, **kw: module.calls.append([str(word) for word in words])
    )

    def create(folder, **kwargs):
        folder.mkdir(exist_ok=True)
        module.made.append(kwargs)

    monkeypatch.setattr(module.venv, "create", create)
    return module


def test_only_the_standard_library_is_imported():
    names = {
        alias.name
        for node in ast.walk(ast.parse(RUN.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert names
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_environment_is_made_once_and_again_when_the_lock_changes(run):
    run.environment()
    run.environment()
    assert len(run.made) == 1
    run.LOCK.write_text("numpy==2.4.7")
    run.environment()
    assert len(run.made) == 2
    installs = [" ".join(words) for words in run.calls]
    assert sum("--no-deps -r" in words for words in installs) == 2
    assert all("--no-deps" not in words for words in installs if "torch==" in words)


def test_an_interrupted_installation_is_made_again(run, monkeypatch):
    def broken(*words, **kwargs):
        if "-r" in map(str, words):
            sys.exit(1)

    monkeypatch.setattr(run, "call", broken)
    with pytest.raises(SystemExit):
        run.environment()
    monkeypatch.setattr(run, "call", lambda *words, **kwargs: None)
    run.environment()
    assert len(run.made) == 2


def test_wheels_of_this_machine_are_offered_for_torch_alone(run, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere/wheels")
    run.environment()
    linked = [words for words in run.calls if "--find-links" in words]
    assert len(linked) == 1 and any(word.startswith("torch==") for word in linked[0])


def test_cleaning_removes_what_is_generated_and_keeps_full_results(run):
    for name in ("_build/html", "book/runs", "book/results", "notebooks/decoding"):
        (run.ROOT / name).mkdir(parents=True)
    gone = [
        "_build/html/a.html",
        "book/runs/a.ipynb",
        "book/results/a.quick.json",
        "notebooks/decoding/a.ipynb",
    ]
    kept = ["book/results/a.full.json", "notebooks/decoding/a.py"]
    for name in gone + kept:
        (run.ROOT / name).touch()
    run.clean()
    assert [name for name in gone if (run.ROOT / name).exists()] == []
    assert all((run.ROOT / name).exists() for name in kept)


def test_an_unknown_command_shows_the_help_and_fails():
    done = subprocess.run([sys.executable, str(RUN), "bok"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "python run.py book" in done.stdout and "'bok'" in done.stderr


def test_metadata_in_the_checkout_is_not_mistaken_for_an_installation(tmp_path):
    (tmp_path / "run.py").write_text(RUN.read_text("utf-8"), "utf-8")
    info = tmp_path / "neurolib_book.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: neurolib-book\nVersion: 0.1.0\n")
    code = "import run; run.importlib.util.find_spec = lambda name: None; print(run.own_environment())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "None", done.stderr
