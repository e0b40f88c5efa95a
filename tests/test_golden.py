"""Every page has a golden run on simulated data, made from its present text, for nbval to compare."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from neurolib.runs.golden import source_hash
from neurolib.runs.project import Project

GOLDEN = Project(Path(__file__).parents[1], "golden")
HOW = "make it anew with `python run.py golden`"


def golden(page: str):
    path = GOLDEN.executed(GOLDEN.job(page))
    assert path.exists(), f"{page} has no golden run; {HOW}"
    return nbformat.read(path, 4)


@pytest.mark.parametrize("page", GOLDEN.pages())
def test_a_golden_run_is_of_the_pages_present_text(page):
    assert golden(page).metadata["neurolib"]["source_sha256"] == source_hash(GOLDEN, page), (
        f"{page} changed; {HOW}"
    )


@pytest.mark.parametrize("page", GOLDEN.pages())
def test_a_golden_run_was_executed_and_holds_something_to_compare(page):
    code = [cell for cell in golden(page).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    checked = [cell for cell in code if "nbval-check-output" in cell.metadata.get("tags", [])]
    said = "".join(output.get("text", "") for cell in checked for output in cell.outputs)
    assert said.strip()


@pytest.mark.parametrize("page", GOLDEN.pages())
def test_a_golden_run_is_on_simulated_data(page):
    code = "\n".join(
        cell.source for cell in golden(page).cells if "injected-parameters" in cell.metadata.get("tags", [])
    )
    if "source" in GOLDEN.declared(page):
        assert 'source = "simulated"' in code
        result = json.loads(GOLDEN.result(GOLDEN.job(page)).read_text())
        assert {entry["kind"] for entry in result["stamp"]["data"]} == {"simulated"}


@pytest.mark.parametrize("page", GOLDEN.pages())
def test_a_golden_run_holds_neither_pictures_nor_places_of_a_machine(page):
    for cell in golden(page).cells:
        for output in cell.get("outputs", []):
            assert set(output.get("data", {})) <= {"text/plain"}
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            assert not re.search(
                r"(?:^|[\s\"'(])(?:/(?:home|root|tmp|usr|work|Users|opt|mnt)/|[A-Z]:\\)", text
            ), text


def test_no_golden_run_is_of_a_page_that_is_gone():
    folder = GOLDEN.executed(GOLDEN.job(GOLDEN.pages()[-1])).parent
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb")}
    assert found == set(GOLDEN.pages())
