"""Claim ``foundation.rebuild_s``: finding out that no page needs to be run again, at most 15 s.

The pages of this checkout are copied to a temporary project and given runs that are fresh. Every
page claims to have read every data set that is on this machine, so all recorded files are hashed.
Timed is ``python -m neurolib run`` from the start of the interpreter, for all pages; Sphinx is not.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neurolib.data import catalog
from neurolib.runs.freshness import data_state, key
from neurolib.runs.project import Project, find_project, write_atomic

REPEATS, TARGET_S = 5, 15.0
NEEDED = ("_toc.yml", "notebooks", "requirements", "book/published.yml")


def copy_with_fresh_runs(original: Project, root: Path) -> Project:
    """The pages and what their freshness depends on, each with an outcome that is up to date."""
    for name in NEEDED:
        source, target = original.root / name, root / name
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    project = Project(root)
    data = [data_state(dataset) for dataset in catalog.datasets()]
    for page in project.pages():  # the scoreboard, whose key covers the others' results, is last
        job = project.job(page)
        stamp = {"key": key(project, job), "data": data, "profile": job.profile}
        write_atomic(project.result(job), json.dumps({"stamp": stamp}))
        write_atomic(project.executed(job), json.dumps({"metadata": {"neurolib": stamp}}))
    return project


def main() -> dict:
    """Time the check, and make sure that it found every page fresh."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        project = copy_with_fresh_runs(find_project(), Path(folder).resolve())
        pages = project.pages()
        for _ in range(REPEATS):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "neurolib", "run"],
                cwd=project.root,
                stderr=subprocess.PIPE,
                text=True,
            )
            seconds.append(time.perf_counter() - start)
            fresh = sum("fresh" in line for line in done.stderr.splitlines())
            if done.returncode or fresh != len(pages):
                raise AssertionError(f"{fresh} of {len(pages)} pages were fresh:\n{done.stderr}")
    return {
        "claim": "foundation.rebuild_s",
        "value": statistics.median(seconds),
        "pages": len(pages),
        "target": TARGET_S,
        "device": "cpu",
        "threads": 1,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
