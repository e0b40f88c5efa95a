"""Which job a page is checked with on recorded data."""

import pytest

from neurolib.data import catalog
from neurolib.runs.golden import on_recorded

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


GOOD = """# %% tags=["parameters"]
PARAMETERS

# %%
"""
