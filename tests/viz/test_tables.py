"""The table of verdicts."""

import re

from neurolib.viz.tables import table, verdict_table

PAGE = {"variant": "", "profile": "quick", "simulated": False}


def row(page, verdict, **other):
    numbers = {"kind": "expected", "reference": 0.5, "tolerance": 0.1, "ours": 0.61234}
    return PAGE | numbers | {"page": page, "label": f"R² of {page}", "verdict": verdict} | other


def cells(table: str) -> list[list[str]]:
    return [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", table)][1:]


def test_misses_stand_first():
    verdicts = ("within 0.1 of the expected 0.5", "lower than the expected", "higher than", "holds")
    table = cells(verdict_table("All", [row(f"p{i}", verdict) for i, verdict in enumerate(verdicts)]))
    assert [line[0] for line in table] == ["p1, quick", "p2, quick", "p0, quick", "p3, quick"]


def test_a_claim_that_does_not_hold_is_a_miss():
    claims = [row(page, verdict, kind="claim") for page, verdict in (("a", "holds"), ("b", "does not hold"))]
    assert cells(verdict_table("Claims", claims)) == [
        ["b, quick", "R² of b", "does not hold"],
        ["a, quick", "R² of a", "holds"],
    ]


def test_a_published_number_stands_with_its_tolerance_and_source():
    published = row("a", "within", kind="published", citation="smith2020", variant="m1")
    assert cells(verdict_table("", [published]))[0][:4] == [
        "a (m1), quick",
        "R² of a",
        "0.5 ± 0.1 [smith2020]",
        "0.612",
    ]


def test_verdicts_on_simulated_data_are_marked_once():
    marked = "not comparable with the published 0.5, the data are SIMULATED"
    table = cells(verdict_table("", [row("a", "holds", simulated=True), row("b", marked, simulated=True)]))
    assert [line[-1].count("SIMULATED") for line in table] == [1, 1]


def test_text_from_pages_is_escaped():
    bad = '<script>alert("x")</script>'
    table = verdict_table(bad, [row(bad, "holds", label=bad, variant=bad)])
    assert "<script>" not in table and table.count("&lt;script&gt;") == 4


def test_an_empty_table_says_so():
    assert "None yet." in verdict_table("Claims", [])


def test_a_plain_table_escapes_text_and_sets_numbers_apart():
    found = table(["name <b>", "n"], [["a & b", 0.5], ["c", 12]])
    assert "<th>name &lt;b&gt;</th>" in found and "<td>a &amp; b</td>" in found
    assert found.count("<tr>") == 3 and '<td class="number">0.5</td>' in found
