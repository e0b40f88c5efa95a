"""Claim ``foundation.runner_overhead_s``: what the runner adds to a page, at most 3 s.

Ours is a page through :func:`neurolib.runs.scheduler.run_jobs`, from the text notebook to the
published one with its results; taken from it is the time of the same cells run by nbclient alone,
the start of the kernel included. The page sets one value and ends with its stamp.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
from nbclient import NotebookClient

from neurolib.runs.bench import alternate
from neurolib.runs.project import Project
from neurolib.runs.scheduler import run_jobs

REPEATS, TARGET_S = 7, 3.0
PAGE = """\
# %% [markdown]
# # A page that computes nothing

# %% tags=["parameters"]
seed: int = 0

# %%
from neurolib import report

report.put("answer", seed)

# %%
report.stamp()
"""


def main() -> dict:
    """Run the page both ways, in turn."""
    os.environ["NEUROLIB_HEADLESS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.notebooks.mkdir()
        project.source("trivial").write_text(PAGE)
        (project.root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
        job = project.job("trivial")

        def ours() -> None:
            (outcome,) = run_jobs(project, [job], force=True)
            if not outcome.ok:
                raise RuntimeError(outcome.message)

        def kernel() -> None:
            notebook = jupytext.read(project.source("trivial"))
            client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": folder}})
            client.execute(stderr=subprocess.DEVNULL)  # the kernel's warnings, which papermill hides too

        ours(), kernel()  # the first of each reads files from disk
        ours_s, kernel_s = alternate(ours, kernel, REPEATS)
    print(f"page {ours_s:.2f} s, its cells alone {kernel_s:.2f} s", file=sys.stderr)
    return {
        "claim": "foundation.runner_overhead_s",
        "value": ours_s - kernel_s,
        "page_s": ours_s,
        "kernel_s": kernel_s,
        "target": TARGET_S,
        "device": "cpu",
        "threads": 1,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
