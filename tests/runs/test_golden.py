"""Which job a page is checked with on recorded data."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neurolib.data import catalog
from neurolib.runs.freshness import data_state, key
from neurolib.runs.golden import check_recorded, on_recorded, with_source
from neurolib.runs.project import Project

BOOK = Project(Path(__file__).parents[2], "golden")
PAGE = 'dataset: str = "area2"\nsource: str = "auto"'


@pytest.mark.parametrize(
    "present, chosen",
    [
        ({"area2_bump", "spykesml_m1"}, ""),
        ({"spykesml_m1"}, "motor"),
        ({"spykesml_s1"}, None),
    ],
)
def test_a_page_is_checked_on_its_recording_or_on_that_of_a_variant(checkout, monkeypatch, present, chosen):
    checkout.write("notebooks/demo/good.py", GOOD.replace("PARAMETERS", PAGE))
    checkout.write("notebooks/params.yml", "demo/good:\n  variants:\n    motor: {dataset: m1}\n")
    monkeypatch.setattr(catalog, "is_present", present.__contains__)
    job = on_recorded(checkout.project, "demo/good")
    assert (job and job.variant) == chosen
    if job:
        assert job.params["source"] == "recorded"


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"force": True}, False),
        ({"simulated": True}, False),
        ({"declared": 'source: str = "auto"\nsize: str = "auto"'}, False),
        ({"edited": True}, False),
    ],
)
def test_the_books_run_is_taken_where_it_is_the_same(checkout, monkeypatch, capsys, change, taken):
    monkeypatch.setattr(catalog, "is_present", lambda id: True)
    declared = change.get("declared", 'source: str = "auto"')
    checkout.write("notebooks/demo/good.py", GOOD.replace("PARAMETERS", declared))
    checkout.write("notebooks/params.yml", "{}")
    book = replace(checkout.project, place="book")
    job = book.job("demo/good")
    state = data_state("spykesml_s1", "simulated" if change.get("simulated") else "recorded")
    stamp = {"key": key(book, job), "data": [state]}
    if change.get("edited"):
        stamp["key"] = stamp["key"] | {"code": "another"}
    checks = [{"label": "twelve", "verdict": "holds"}]
    checkout.write("book/results/demo/good.quick.json", json.dumps({"stamp": stamp, "checks": checks}))
    checkout.write("book/runs/demo/good.ipynb", json.dumps({"metadata": {"neurolib": stamp}}))
    checkout.write("tests/recorded/demo/good.json", json.dumps(["twelve: holds"]))
    ran = []

    def run_jobs(project, jobs, workers, force):
        ran.extend(job.page for job in jobs)
        return []

    monkeypatch.setattr("neurolib.runs.golden.run_jobs", run_jobs)
    assert check_recorded(checkout.project, ["demo/good"], force=change.get("force", False)) == 0
    assert ran == ([] if taken else ["demo/good"])
    assert ("1 passed" in capsys.readouterr().out) == taken
    if taken:
        checkout.write("tests/recorded/demo/good.json", json.dumps(["twelve: does not hold"]))
        assert check_recorded(checkout.project, ["demo/good"]) == 1
        assert "+ twelve: holds" in capsys.readouterr().out


@pytest.mark.parametrize("page", BOOK.pages())
def test_every_page_of_the_book_has_a_golden_job_with_parameters_it_declares(page):
    job = with_source(BOOK, page, "simulated")
    if "source" in BOOK.declared(page):
        assert job.params["source"] == "simulated"
    if BOOK.declared(page).get("size", None) is not None:
        assert (job.params.get("size") == "quick") == (BOOK.declared(page)["size"].default == "auto")


GOOD = """# %% tags=["parameters"]
PARAMETERS

# %%
"""
