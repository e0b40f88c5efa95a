"""The three lists of dependencies agree, and none names where packages come from."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import neurolib

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    lines = (ROOT / "requirements" / "requirements.lock").read_text().splitlines()
    pairs = [line.partition(";")[0].strip().split("==") for line in lines]
    return {normal(name): version for name, version in pairs}


def test_every_line_of_the_lock_is_an_exact_pin_without_an_address():
    for line in (ROOT / "requirements" / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+( ; .+)?", line), line
        assert "://" not in line and "+" not in line.partition(";")[0], line


def test_the_lock_holds_everything_that_was_asked_for(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["book"] + extras["test"]
    wanted += [
        line.partition("#")[0].strip()
        for line in (ROOT / "requirements" / "requirements.in").read_text().splitlines()
        if line.partition("#")[0].strip()
    ]
    names = {normal(re.match(r"[A-Za-z0-9_.-]+", line)[0]) for line in wanted}
    assert names - {"torch"} <= set(lock)
    assert len(names) > 25


def test_conda_gets_the_pins_of_the_lock(lock):
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    plain = [
        entry
        for entry in listed
        if isinstance(entry, str) and "=" in entry and not entry.startswith("python=")
    ]
    pins = [entry.replace("==", "=").split("=") for entry in [*plain, *pip] if not entry.startswith("-e")]
    torch = re.search(r'TORCH = "torch==([\d.]+)"', (ROOT / "run.py").read_text())[1]
    assert len(pins) > 25
    for name, version in pins:
        name = CONDA_NAMES.get(name, name)
        assert version == (lock | {"torch": torch})[normal(name)], name


def test_conda_users_get_every_package_the_pages_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (
        (ROOT / "environment.yml")
        .read_text()
        .replace("pytorch=", "torch=")
        .replace("matplotlib-base", "matplotlib")
    )
    for line in project["dependencies"] + project["optional-dependencies"]["book"]:
        name = re.match(r"[A-Za-z0-9_.-]+", line)[0]
        assert re.search(rf"- {name}=", text), name


def test_the_version_is_written_once_more_only_where_it_must(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert neurolib.__version__ == project["version"] == citation["version"]
    assert f"## {neurolib.__version__}" in (ROOT / "CHANGELOG.md").read_text()
