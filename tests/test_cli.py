"""The command line as a shell sees it: exit codes, one line per mistake, and nothing loaded needlessly."""

import subprocess
import sys
from pathlib import Path

import pytest

import neurolib
from neurolib.cli import main

PARAMETERS = '# %% tags=["parameters"]\nsteps: int = 10\n\n# %%\nraise SystemExit("a page was run")\n'


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A checkout with two pages, as working folder."""
    (tmp_path / "notebooks" / "demo").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("")
    for name in ("first", "second"):
        (tmp_path / "notebooks" / "demo" / f"{name}.py").write_text(PARAMETERS)
    (tmp_path / "notebooks" / "params.yml").write_text("demo/first:\n  variants:\n    long: {steps: 99}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("run nothing", "'nothing' names 0 pages ; the pages are ['demo/first', 'demo/second']"),
        ("run first -p steps", "-p steps: write it as NAME=VALUE"),
        ("run first -p stops=3", "demo/first has no parameter 'stops'; it has ['steps']"),
        ("run first -p steps=many", "demo/first: steps='many' is str, but the page says int"),
        ("run first second -p steps=3", "-p and --variant need exactly one page"),
        ("run --variant long", "-p and --variant need exactly one page"),
        ("run first --profile fast", "profile 'fast' must be one of ('quick', 'full')"),
        ("book --only third", "--only third: no such page; the pages are ['demo/first', 'demo/second']"),
        ("data show area2_bumps", "no dataset 'area2_bumps' in the catalog; did you mean area2_bump?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(book, capsys, words, message):
    assert main(words.split()) == 1
    said = capsys.readouterr()
    assert said.err == f"neurolib: {message}\n" and not said.out


def test_a_mistake_in_a_shell_shows_no_traceback(book):
    done = subprocess.run(
        [sys.executable, "-m", "neurolib", "run", "nothing"], capture_output=True, text=True, cwd=book
    )
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("neurolib: 'nothing' names 0 pages") and done.stderr.count("\n") == 1


def test_a_dry_run_says_what_would_be_run_and_runs_nothing(book, capsys):
    before = sorted(book.rglob("*"))
    assert main(["run", "first", "--dry-run", "-p", "steps=3", "--variant", "short"]) == 0
    assert capsys.readouterr().out == "run   demo/first--short (quick) {'steps': 3}\n"
    assert main(["book", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["demo/first", "demo/first--long", "demo/second"]
    assert sorted(book.rglob("*")) == before


def test_outside_a_checkout_the_book_is_found_beside_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "scoreboard", "--dry-run"]) == 0
    assert "scoreboard (quick)" in capsys.readouterr().out


def test_every_dataset_is_listed(capsys, monkeypatch, tmp_path):
    from neurolib.data import catalog

    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    assert main(["data", "list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "modality", "size", "licence", "present"]
    assert [row.split()[0] for row in rows] == list(catalog.datasets())
    assert all(row.endswith("no") for row in rows)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.strip() == neurolib.__version__
    pyproject = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'version = "{neurolib.__version__}"' in pyproject


HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "matplotlib",
    "plotly",
    "papermill",
    "pooch",
    "pynwb",
}


@pytest.mark.parametrize(
    "code",
    [
        "import neurolib",
        "import neurolib.data",
        "import neurolib.data.catalog",
        "import neurolib.runs.scheduler",
        "import neurolib.report",
        "from neurolib.cli import main; main(['data', 'where'])",
        "from neurolib.cli import main; main(['run', '--dry-run'])",
    ],
)
def test_nothing_heavy_is_imported_needlessly(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "neurolib" in loaded and not loaded & HEAVY


def test_the_containers_and_models_need_no_reader_of_files():
    """Torch, NumPy, SciPy, scikit-learn and h5py are all that computing asks for."""
    code = "import neurolib.data.trials, neurolib.models.recurrent, neurolib.training.loop, neurolib.metrics.decoding"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {code[7:]}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "torch" in loaded
    assert not loaded & {"pandas", "matplotlib", "plotly", "papermill", "pooch", "pynwb", "pynapple", "yaml"}
