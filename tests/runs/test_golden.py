"""Which job a page is checked with on recorded data."""

from pathlib import Path

import pytest

from neurolib.data import catalog
from neurolib.runs.golden import on_recorded, with_source
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
