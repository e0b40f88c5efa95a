"""A page is run again when anything it rests on changed, and only then."""

import hashlib
import json

import pytest

from neurolib.data import catalog
from neurolib.runs.freshness import code_hash, data_state, imported_files, is_fresh, key
from neurolib.runs.project import Job


@pytest.fixture
def package(tmp_path):
    """A package in which ``a`` reaches ``deep.c`` through ``b``; nobody imports ``alone``."""
    files = {
        "__init__.py": "",
        "a.py": "from pack import b\n",
        "b.py": "def f():\n    from pack.deep.c import g\n    return g\n",
        "alone.py": "import pack.a\n",
        "deep/__init__.py": "",
        "deep/c.py": "import json\nimport package_of_others\n",
    }
    for name, text in files.items():
        path = tmp_path / "pack" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path / "pack"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.py"
    path.write_text("# %%\ndef late():\n    import pack.a as anything\n    return anything\n")
    return path


def test_imports_are_followed_wherever_they_stand(package, page):
    found = {path.relative_to(package).as_posix() for path in imported_files(page, package)}
    assert found == {"__init__.py", "a.py", "b.py", "deep/__init__.py", "deep/c.py"}


@pytest.mark.parametrize("name", ["a.py", "b.py", "deep/__init__.py", "deep/c.py"])
def test_a_change_in_code_that_is_imported_is_seen(package, page, name):
    before = code_hash(page, package)
    (package / name).write_text((package / name).read_text() + "x = 1\n")
    assert code_hash(page, package) != before


def test_a_change_in_code_that_is_not_imported_is_not_seen(package, page):
    before = code_hash(page, package)
    (package / "alone.py").write_text("x = 2\n")
    (package / "deep" / "new.py").write_text("")
    assert code_hash(page, package) == before


def test_a_module_that_appears_where_it_was_imported_is_seen(package, page):
    page.write_text("from pack.deep import later\n")
    before = code_hash(page, package)
    (package / "deep" / "later.py").write_text("")
    assert code_hash(page, package) != before


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ("source", "notebooks/demo/good.py"),
        ("lock", "requirements/requirements.lock"),
        ("published", "book/published.yml"),
    ],
)
def test_each_file_a_run_rests_on_is_in_its_key(checkout, part, path):
    job = checkout.project.job("demo/good")
    before = key(checkout.project, job)
    checkout.write(path, (checkout.root / path).read_text() + "# changed\n")
    after = key(checkout.project, job)
    assert {name for name in before if before[name] != after[name]} == {part}


def test_parameters_are_in_the_key(checkout):
    plain, other = (key(checkout.project, Job("demo/good", params=p)) for p in ({}, {"eggs": 1}))
    assert {name for name in plain if plain[name] != other[name]} == {"params"}


def test_the_scoreboard_depends_on_what_the_other_pages_found(checkout):
    checkout.write("notebooks/scoreboard.py", '# %% tags=["parameters"]\n')
    board = Job("scoreboard")
    before = key(checkout.project, board)
    checkout.write("book/results/scoreboard.quick.json", "{}")
    assert key(checkout.project, board) == before
    checkout.write("book/results/demo/good.quick.json", "{}")
    assert key(checkout.project, board) != before


@pytest.fixture
def tiny(checkout, monkeypatch):
    """A catalog with one dataset of one file; returns where the file belongs."""
    content = b"spikes"
    file = catalog.DataFile("s.bin", len(content), hashlib.sha256(content).hexdigest(), "https://x.org/s")
    words = ("tiny", "T", "spikes", "cat", "V1", "CC0", (), "https://x.org", "1", "fetched", "tiny", (file,))
    monkeypatch.setattr(catalog, "datasets", lambda: {"tiny": catalog.Dataset(*words)})
    return catalog.data_root() / "tiny" / "s.bin"


def put_in_place(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def published(checkout, job, data=()):
    """Write what a run of the job would have left."""
    stamp = {"key": key(checkout.project, job), "data": list(data), "profile": job.profile}
    for path, content in (
        (checkout.project.result(job), {"stamp": stamp}),
        (checkout.project.executed(job), {"metadata": {"neurolib": stamp}}),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def test_the_state_of_data_is_their_kind_and_their_hash(tiny):
    assert data_state("tiny") == {"id": "tiny", "kind": "simulated", "sha256": ""}
    put_in_place(tiny, b"spikes")
    recorded = data_state("tiny")
    assert recorded["kind"] == "recorded" and len(recorded["sha256"]) == 64
    assert data_state("tiny", "simulated")["kind"] == "simulated"
    put_in_place(tiny, b"SPIKES")
    assert data_state("tiny")["sha256"] != recorded["sha256"]


def test_a_page_is_stale_once_data_appear_change_or_go(checkout, tiny):
    project, job = checkout.project, Job("demo/good")
    published(checkout, job, [data_state("tiny")])
    assert is_fresh(project, job)
    put_in_place(tiny, b"spikes")
    assert not is_fresh(project, job)
    published(checkout, job, [data_state("tiny")])
    assert is_fresh(project, job)
    put_in_place(tiny, b"other spikes")
    assert not is_fresh(project, job)
    tiny.unlink()
    assert not is_fresh(project, job)


@pytest.mark.parametrize("by", ["parameter", "default"])
def test_a_page_on_simulated_data_does_not_mind_recorded_ones(checkout, tiny, by):
    text = 'source: str = "auto"' if by == "parameter" else 'source: str = "simulated"'
    checkout.write("notebooks/demo/own.py", f'# %% tags=["parameters"]\n{text}\n')
    job = Job("demo/own", params={"source": "simulated"} if by == "parameter" else {})
    published(checkout, job, [data_state("tiny", "simulated")])
    put_in_place(tiny, b"spikes")
    assert is_fresh(checkout.project, job)


def test_a_dataset_that_left_the_catalog_makes_its_pages_stale(checkout, tiny, monkeypatch):
    job = Job("demo/good")
    published(checkout, job, [data_state("tiny")])
    monkeypatch.setattr(catalog, "datasets", dict)
    assert not is_fresh(checkout.project, job)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"stamp": null}', '{"stamp": {}}', None])
@pytest.mark.parametrize("which", ["result", "executed"])
def test_a_damaged_or_missing_file_makes_a_page_stale(checkout, which, damage):
    project, job = checkout.project, Job("demo/good")
    published(checkout, job)
    assert is_fresh(project, job)
    path = getattr(project, which)(job)
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    assert not is_fresh(project, job)


def test_a_page_shown_from_another_profile_is_not_fresh(checkout):
    """Both profiles are published in one place; the results of each are kept."""
    quick, full = Job("demo/good"), Job("demo/good", "full")
    published(checkout, full)
    published(checkout, quick)
    assert is_fresh(checkout.project, quick)
    assert not is_fresh(checkout.project, full)
