"""The table of contents that is built: what was run, variants below their page."""

import yaml

from neurolib.runs.book import table_of_contents


def contents(toc):
    return [part["chapters"] for part in toc["parts"]]


def test_pages_never_run_are_left_out_and_named(checkout):
    checkout.write("book/runs/demo/good.ipynb", "{}")
    toc, left_out = table_of_contents(checkout.project)
    assert left_out == ["book/runs/demo/other", "book/runs/scoreboard"]
    assert contents(toc) == [[{"file": "book/demo", "sections": [{"file": "book/runs/demo/good"}]}]]


def test_variants_that_were_run_stand_below_their_page(checkout):
    for name in ("demo/good", "demo/good--two", "demo/good--half", "demo/goods", "demo/other", "scoreboard"):
        checkout.write(f"book/runs/{name}.ipynb", "{}")
    toc, left_out = table_of_contents(checkout.project)
    assert not left_out
    good, other = contents(toc)[0][0]["sections"]
    assert good["sections"] == [{"file": f"book/runs/demo/good--{name}"} for name in ("half", "two")]
    assert other == {"file": "book/runs/demo/other"}


def test_a_variant_without_its_page_is_not_shown(checkout):
    checkout.write("book/runs/demo/good--half.ipynb", "{}")
    toc, left_out = table_of_contents(checkout.project)
    assert "good--half" not in yaml.safe_dump(toc)
    assert "book/runs/demo/good" in left_out
