"""A checkout of a tiny book in a temporary folder; its pages import nothing heavy."""

import textwrap
from pathlib import Path

import pytest

from neurolib.runs.project import Project
from neurolib.runs.scheduler import run_jobs

HEADER = """\
# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

"""

GOOD = """\
# %% [markdown]
# (demo-good)=
# # How much is a dozen?
#
# ```{glue} card
# ```

# %% tags=["parameters"]
eggs: int = 12  # in a box
price: float = 0.25
gift: bool = False

# %%
from neurolib import report

report.put("eggs", eggs)

# %% tags=["hide-input", "remove-output"]
from matplotlib.figure import Figure

fig = Figure(figsize=(1, 1))
fig.subplots().plot([0, eggs])
report.figure("line", fig)

# %% [markdown]
# ```{glue:figure} line
# :name: fig-line
#
# **A line** to {glue:text}`eggs`.
# ```
#
# As {numref}`fig-line` and {ref}`the page <demo-good>` say; {ref}`elsewhere` is another page.

# %% tags=["nbval-check-output"]
report.claim("a dozen is twelve", eggs == 12)

# %%
report.card(f"{eggs} eggs.")
report.stamp(device="abacus")
"""

PAGE = """\
# %% [markdown]
# (demo-{name})=
# # {name}

# %% tags=["parameters"]
seed: int = 0

# %%
{code}
"""

STAMP = "from neurolib import report\nreport.stamp(device='abacus')"

TOC = """\
format: jb-book
root: book/index
parts:
  - caption: Demo
    chapters:
      - file: book/demo
        sections:
          - file: book/runs/demo/good
          - file: book/runs/demo/other
  - caption: Account
    chapters:
      - file: book/runs/scoreboard
"""


class Checkout:
    """A book's root folder with what the tests do to it."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self.project = Project(self.root)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def page(self, name: str, code: str) -> str:
        """Add the page ``demo/<name>`` with one code cell; its id."""
        text = PAGE.format(name=name, code=textwrap.dedent(code).strip())
        self.write(f"notebooks/demo/{name}.py", HEADER + text)
        return f"demo/{name}"

    def run(self, *pages: str, **options):
        """Run pages with their defaults; one outcome per page."""
        return self.run_jobs([self.project.job(page) for page in pages], **options)

    def run_jobs(self, jobs, **options):
        return run_jobs(self.project, jobs, **options)

    def files(self, folder: str) -> set[str]:
        """All files under a folder, hidden ones too."""
        place = self.root / folder
        return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """One good page, nothing run yet; no GPU and no recorded data in reach."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("NEUROLIB_RUN", raising=False)
    checkout = Checkout(tmp_path / "book-of-eggs")
    checkout.write("_toc.yml", TOC)
    checkout.write("notebooks/demo/good.py", HEADER + GOOD)
    checkout.write(
        "notebooks/params.yml", "demo/good:\n  variants:\n    half: {eggs: 6}\n    two: {eggs: 24}\n"
    )
    checkout.write("book/published.yml", "{}\n")
    checkout.write("requirements/requirements.lock", "numpy==2.4.0\n")
    return checkout


@pytest.fixture
def stamp() -> str:
    """The last line of every page."""
    return STAMP
