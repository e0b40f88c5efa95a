"""One page in a process of its own: what is published, and what a failure leaves."""

import json
import re

import nbformat

from neurolib.runs.project import Job
from neurolib.runs.worker import clean_outputs, notebook_of, relabel


def test_pages_and_variants_are_published_with_their_results(checkout, capsys):
    project = checkout.project
    jobs = [project.job("demo/good", variant=variant) for variant in ("", "two", "half")]
    outcomes = checkout.run_jobs(jobs, workers=2)
    assert [(outcome.job, outcome.ok) for outcome in outcomes] == [(job, True) for job in jobs]
    names = {"good", "good--two", "good--half"}
    assert checkout.files("book/runs/demo") == {f"{name}.ipynb" for name in names}
    assert checkout.files("book/results/demo") == {f"{name}.quick.json" for name in names}
    assert not checkout.files("build")

    results = [json.loads(project.result(job).read_text()) for job in jobs]
    assert [result["values"] for result in results] == [{"eggs": 12}, {"eggs": 24}, {"eggs": 6}]
    assert [result["checks"][0]["holds"] for result in results] == [True, False, False]
    half = results[2]["stamp"]
    assert half["params"] == {"eggs": 6} and half["device"] == "abacus" and half["data"] == []
    assert half["command"] == ("python run.py run demo/good --profile quick --variant half -p eggs=6")

    books = [nbformat.read(project.executed(job), 4) for job in jobs]
    for book in books:
        nbformat.validate(book)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    plain, two, _ = ["\n".join(c.source for c in b.cells if c.cell_type == "markdown") for b in books]
    assert "(demo-good)=\n# How much is a dozen?\n" in plain and "--" not in plain
    for text in (
        "(demo-good--two)=\n# How much is a dozen? (two)\n",
        ":::{note}\nVariant **two** of this page, run with `eggs = 24`.\n:::",
        ":name: fig-line--two\n",
        "{numref}`fig-line--two` and {ref}`the page <demo-good--two>` say",
        "{ref}`elsewhere` is another page",
        "{glue:figure} line\n",
    ):
        assert text in two

    assert all(outcome.skipped for outcome in checkout.run_jobs(jobs))
    assert "fresh  demo/good--half" in capsys.readouterr().err


def test_cell_ids_are_the_same_in_every_run(checkout):
    first, second = (notebook_of(checkout.project, Job("demo/good")) for _ in range(2))
    ids = [cell["id"] for cell in first.cells]
    assert ids == [cell["id"] for cell in second.cells]
    assert ids[0] == "demo-good-000" and len(set(ids)) == len(ids)


def test_no_place_of_this_machine_is_published(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROLIB_DATA", str(checkout.root / "recordings"))
    page = checkout.page(
        "places",
        """
        import os, sys, warnings
        from pathlib import Path
        from IPython.display import HTML, display
        from neurolib import report
        warnings.warn("careful")
        print(os.getcwd(), Path("notebooks").resolve(), file=sys.stderr)
        print(os.environ["NEUROLIB_DATA"], os.__file__, Path.home() / "secret", report.__file__)
        display(HTML(f"<b>{os.getcwd()}</b>"))
        report.stamp()
        """,
    )
    (outcome,) = checkout.run(page)
    assert outcome.ok, outcome.message
    text = checkout.project.executed(outcome.job).read_text()
    text += checkout.project.result(outcome.job).read_text()
    assert str(tmp_path) not in text
    outputs = json.loads(text[: text.rindex("\n{\n")])["cells"][-1]["outputs"]
    said = "".join("".join(o.get("text", "")) for o in outputs)
    assert ". ./notebooks" in said and "$NEUROLIB_DATA <python>/os.py ~/secret" in said
    assert re.search(r"<cell>:\d+: UserWarning: careful", said)
    assert not re.search(r"(^|[\s\"'>])/(home|root|tmp|usr|work|Users|opt)/", said)


def test_a_home_that_is_the_root_folder_leaves_addresses_alone(checkout, monkeypatch):
    monkeypatch.setenv("HOME", "/")
    text = "https://x.org//a and 1/2 and /etc"
    output = nbformat.v4.new_output("stream", text=text)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    clean_outputs(notebook, checkout.root)
    assert notebook.cells[0].outputs[0].text == text


def test_a_label_is_renamed_where_it_is_a_label_only():
    source = (
        "(gain)=\n# Gain\n\n:label: eq-gain\n\n"
        "{ref}`gain`, {ref}`the gain <gain>`, {eq}`eq-gain`, [here](gain), [](#gain),"
        " {glue:text}`gain`, `gain`, {cite}`gain`, {ref}`gain-more`, (gain)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    relabel(notebook, Job("p", params={"n": 1}, variant="v"))
    text = notebook.cells[0].source
    assert text.startswith("(gain--v)=\n# Gain (v)\n\n:::{note}")
    assert ":label: eq-gain--v" in text
    assert text.endswith(
        "{ref}`gain--v`, {ref}`the gain <gain--v>`, {eq}`eq-gain--v`, [here](gain--v), [](#gain--v),"
        " {glue:text}`gain`, `gain`, {cite}`gain`, {ref}`gain-more`, (gain)"
    )


def test_a_page_that_raises_leaves_the_last_good_run_alone(checkout, stamp):
    page = checkout.page("turning", f"print('all is well')\n{stamp}")
    (good,) = checkout.run(page)
    assert good.ok, good.message
    before = {path: (checkout.root / "book" / path).read_bytes() for path in checkout.files("book")}
    checkout.page("turning", f"print('so far')\n1 / 0\n{stamp}")
    (bad,) = checkout.run(page)
    assert not bad.ok and bad.message == "ZeroDivisionError: division by zero"
    assert {path: (checkout.root / "book" / path).read_bytes() for path in checkout.files("book")} == before
    assert checkout.files("build") == {"failed/demo/turning.ipynb", "failed/demo/turning.txt"}
    failed = (checkout.root / "build/failed/demo/turning.ipynb").read_text()
    assert "so far" in failed and "ZeroDivisionError" in failed
    traceback = (checkout.root / "build/failed/demo/turning.txt").read_text()
    assert "1 / 0" in traceback and "ZeroDivisionError: division by zero" in traceback
    assert "\x1b" not in traceback


def test_pages_that_hang_die_or_never_stamp_fail_with_a_reason(checkout, monkeypatch, stamp):
    monkeypatch.setenv("NEUROLIB_CELL_TIMEOUT_S", "2")
    pages = [
        checkout.page("hangs", f"import time\ntime.sleep(60)\n{stamp}"),
        checkout.page("dies", f"import os\nos._exit(9)\n{stamp}"),
        checkout.page("forgets", "pass"),
    ]
    hangs, dies, forgets = checkout.run(*pages, workers=2)
    assert not (hangs.ok or dies.ok or forgets.ok)
    assert hangs.seconds < 30 and "2 s" in hangs.message and "NEUROLIB_CELL_TIMEOUT_S" in hangs.message
    assert "kernel died" in dies.message.lower()
    assert "demo/forgets ended without report.stamp(...)" in forgets.message
    assert not checkout.files("book") - {"published.yml"}
    assert checkout.files("build/failed") == {f"{page}.{end}" for page in pages for end in ("ipynb", "txt")}
