"""Runs that guard against regression: golden ones on simulated data, and verdicts on recorded data.

Golden runs are executed notebooks that nbval executes again and compares; expectations on
recorded data are the verdict lines that each page printed.
"""

import json
from dataclasses import replace
from pathlib import Path

import nbformat

from neurolib.runs.freshness import is_fresh
from neurolib.runs.project import SUMMARIES, Job, Project, sha256, write_atomic
from neurolib.runs.scheduler import Outcome, run_jobs


def with_source(project: Project, page: str, source: str, variant: str = "") -> Job:
    """The quick job of a page, or of a variant of it, on one kind of data."""
    declared = project.declared(page)
    params = {"source": source} if "source" in declared else {}
    if _default(project, page, "size") == "auto":
        # what a page trains itself, whatever larger lies in this machine's cache
        params["size"] = "quick"
    if "results" in declared:  # a summary reads the results of runs of the same kind
        params["results"] = project.results.relative_to(project.root).as_posix()
    return replace(project.job(page, params=params, variant=variant or "any"), variant=variant)


def on_recorded(project: Project, page: str) -> Job | None:
    """The quick job of a page on its recording, or of its first variant that has one here; else None."""
    from neurolib.data import catalog, sets

    for job in (with_source(project, page, "recorded", name) for name in ("", *project.variants(page))):
        dataset = job.params.get("dataset", _default(project, page, "dataset"))
        wanted = [sets.SETS[dataset].recorded] if dataset else _read_by(project, page)
        if unknown := [id for id in wanted if id not in catalog.datasets()]:
            print(f"{page}: not run, {unknown[0]} is simulated and was never recorded")
            return None
        missing = [id for id in wanted if not catalog.is_present(id)]
        if not missing:
            return job
    print(f"{page}: not run, {missing[0]} is not in {catalog.folder(missing[0])}")
    return None


def _read_by(project: Project, page: str) -> list[str]:
    """Ids of the data that the golden run of a page read."""
    path = replace(project, place="golden").results / f"{page}.quick.json"
    stamp = json.loads(path.read_text("utf-8"))["stamp"] if path.exists() else {"data": []}
    return [entry["id"] for entry in stamp["data"]]


def _default(project: Project, page: str, name: str):
    declared = project.declared(page)
    return declared[name].default if name in declared else None


def make_golden(project: Project, pages: list[str], workers: int = 0) -> list[Outcome]:
    """Run pages on the quick profile and simulated data, and keep them without pictures."""
    golden = Project(project.root, "golden")
    jobs = [with_source(golden, page, "simulated") for page in pages]
    outcomes = run_jobs(golden, jobs, workers, force=True)
    for outcome in outcomes:
        if outcome.ok:
            path = golden.executed(outcome.job)
            notebook = nbformat.read(path, 4)
            strip(notebook)
            notebook.metadata["neurolib"] = {"source_sha256": source_hash(project, outcome.job.page)}
            write_atomic(path, nbformat.writes(notebook) + "\n")
            _forget_machine(golden.result(outcome.job))
    return outcomes


def source_hash(project: Project, page: str) -> str:
    """What ties a golden run to the text it was made from."""
    return sha256(project.source(page).read_bytes())


def strip(notebook) -> None:
    """Drop pictures, HTML and times; what nbval compares is text."""
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        for output in cell.get("outputs", []):
            output.get("metadata", {}).clear()
            data = output.get("data")
            if data is not None:
                output["data"] = {"text/plain": data.get("text/plain", "")}
    notebook.metadata.pop("papermill", None)


def _forget_machine(path: Path) -> None:
    """Keep what a golden result says of the science, not of the machine that made it."""
    result = json.loads(path.read_text("utf-8"))
    stamp = result["stamp"]
    result["stamp"] = {key: stamp[key] for key in ("data", "params", "profile", "command")}
    result["values"] = {}
    for check in result["checks"]:
        if "ours" in check:
            check["ours"] = round(check["ours"], 3)
    write_atomic(path, json.dumps(result, indent=1, sort_keys=True) + "\n")


def verdicts(path: Path) -> list[str]:
    """The verdict lines in a results file."""
    return [
        f"{check['label']}: {check['verdict']}" for check in json.loads(path.read_text("utf-8"))["checks"]
    ]


def same_in_book(project: Project, job: Job) -> Job | None:
    """The book's job of a page, if its run is fresh and had the parameters and data of ``job``; else None.

    A page that took recordings because they were there (``source="auto"``) found what one that asks for
    them finds.
    """
    from neurolib.data import catalog

    book = replace(project, place="book")
    other = book.job(job.page, job.profile, variant=job.variant)
    defaults = {name: parameter.default for name, parameter in book.declared(job.page).items()}
    ours, theirs = defaults | job.params, defaults | other.params
    automatic = ours.get("source") == "recorded" and theirs.get("source") == "auto"
    if automatic:
        theirs = theirs | {"source": "recorded"}
    if ours != theirs or not is_fresh(book, other):
        return None
    data = json.loads(book.result(other).read_text("utf-8"))["stamp"]["data"]
    twins = [entry for entry in data if entry["kind"] == "simulated" and entry["id"] in catalog.datasets()]
    return None if automatic and twins else other


def check_recorded(
    project: Project, pages: list[str], workers: int = 0, update: bool = False, force: bool = False
) -> int:
    """Compare the verdicts of pages on recorded data with ``tests/recorded``.

    The book's run of a page is taken where it is fresh and had the same parameters and data; other pages are
    run, and with ``force`` all are.

    Returns
    -------
    int
        Number of pages that failed or whose verdicts differ.
    """
    place = Project(project.root, "recorded")
    jobs = [on_recorded(place, page) for page in pages if page not in SUMMARIES]
    taken = {} if force else {job.slug: same for job in jobs if job and (same := same_in_book(project, job))}
    outcomes = run_jobs(place, [job for job in jobs if job and job.slug not in taken], workers, force=True)
    outcomes += [Outcome(job, True, 0.0, "the book's run", skipped=True) for job in taken.values()]
    bad = 0
    for outcome in outcomes:
        page = outcome.job.slug
        expectation = project.root / "tests" / "recorded" / f"{page}.json"
        if not outcome.ok:
            bad += 1
            continue
        found = verdicts((replace(project, place="book") if outcome.skipped else place).result(outcome.job))
        if update:
            write_atomic(expectation, json.dumps(found, indent=1) + "\n")
            continue
        wanted = json.loads(expectation.read_text("utf-8")) if expectation.exists() else []
        if found != wanted:
            bad += 1
            print(f"{page}: verdicts on recorded data differ from {expectation.relative_to(project.root)}")
            for line in wanted:
                if line not in found:
                    print(f"  - {line}")
            for line in found:
                if line not in wanted:
                    print(f"  + {line}")
    print(
        f"{len(outcomes) - bad} passed, {bad} failed, {jobs.count(None)} without their recording; "
        f"{len(taken)} were the book's runs"
    )
    return bad
