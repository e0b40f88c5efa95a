"""What every page and the book's prose must keep to, so that no reader meets an unmeasured number."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from neurolib.data import catalog
from neurolib.runs.project import SUMMARIES, Project

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
PAGES = Project(ROOT).pages()
STUDIES = [page for page in PAGES if page not in SUMMARIES]
PROSE = sorted(path.name for path in BOOK.glob("*.md"))

# Numbers that stand in prose although no run made them: settings of the protocol, and facts of a recording.
ALLOWED = {
    "book/data.md": ["CC-BY-4.0", "50 ms bins", "1 kHz"],
    "book/glossary.md": ["50 ms"],
    "book/how-to-read.md": ["*within 0.03 of the published 0.40*", "95 %"],
}
LEVEL = r"\b95 % intervals?\b"  # of every interval in the book


@dataclass(frozen=True)
class Cell:
    """One cell of a text notebook; ``line`` is where its ``# %%`` stands."""

    prose: bool
    tags: tuple[str, ...]
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@cache
def cells(page: str) -> list[Cell]:
    """Cells of a page, prose without its comment signs."""
    lines = (ROOT / "notebooks" / f"{page}.py").read_text().splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("# %%")]
    found = []
    for head, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        prose = "[markdown]" in lines[head]
        body = lines[head + 1 : end]
        if prose:
            body = [re.sub(r"^# ?", "", line) for line in body]
        tags = re.search(r"tags=(\[.*?\])", lines[head])
        found.append(Cell(prose, tuple(ast.literal_eval(tags[1]) if tags else ()), head + 1, tuple(body)))
    return found


UNIT = (
    r"(?:%|(?:per ?cent|[mµnk]?s|min|hours?|k?Hz|[mck]?m|cm/s|degrees|units?|neurons?|trials?|bins?|spikes?|bits?"
    r"|steps?|seeds?|folds?|times|spikes/s|[kMG]B)\b)"
)
MEASURED = re.compile(rf"(?<![\w.-])[-−]?(?:\d+\.\d+|\d[\d ,]*\s?{UNIT})")
NOT_PROSE = (
    LEVEL,
    r"^(?:`{3,}|:{3,})\{.*$",  # the first line of a directive
    r"^:[\w-]+:.*$",  # and its options
    r"^ {4}.*$",  # indented code
    r"\$\$.+?\$\$|\$[^$\n]+\$",
    r"\{[\w:]+\}`[^`]*`",  # roles, with the numbers that a run puts there
    r"`[^`\n]*`",
    r"\]\([^)]*\)",
    r"<?https?://\S+",
)


def typed_numbers(text: str) -> list[tuple[int, str]]:
    """Line and text of every number in prose that looks measured."""
    for pattern in NOT_PROSE:
        text = re.sub(pattern, lambda m: "\n" * m[0].count("\n"), text, flags=re.MULTILINE)
    return [(text[: m.start()].count("\n"), m[0]) for m in MEASURED.finditer(text)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("R² is 0.64.", ["0.64"]),
        ("it rose by 12 % and -0.3", ["12 %", "-0.3"]),
        ("after 80 ms in 1,200 trials at 3 Hz", ["80 ms", "1,200 trials", "3 Hz"]),
        ("one\n\ntakes 5 s", ["5 s"]),
        ("R² is {glue:text}`r2:.2f`, see {ref}`fig 2.5 <x>` and `lr=0.5`", []),
        ("$0.5 x$ and [a](b/1.5.html) https://x.org/1.2 and\n\n    run --p 0.5\n", []),
        ("bars are 95 % intervals", []),
        ("in 2018, page 3, set `a` to 10, (1) first, (2) second, S1 and M1", []),
    ],
)
def test_the_lint_knows_a_measured_number(text, numbers):
    assert [number for _, number in typed_numbers(text)] == numbers


@pytest.mark.parametrize("page", PAGES)
def test_no_measured_number_is_typed_into_a_page(page):
    found = [
        f"notebooks/{page}.py:{cell.line + 1 + line}: {number}"
        for cell in cells(page)
        if cell.prose
        for line, number in typed_numbers(cell.text)
    ]
    assert not found, "use report.put and {glue:text}, or report.published: " + "; ".join(found)


@pytest.mark.parametrize("name", PROSE)
def test_no_measured_number_is_typed_into_the_books_prose(name):
    text = (BOOK / name).read_text()
    for allowed in ALLOWED.get(f"book/{name}", []):
        assert allowed in text, f"{allowed!r} is gone from book/{name}; take it off the list"
        text = text.replace(allowed, "")
    found = [f"book/{name}:{line + 1}: {number}" for line, number in typed_numbers(text)]
    assert not found, "; ".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_a_label_one_title_and_its_card(page):
    prose = [cell for cell in cells(page) if cell.prose]
    assert re.match(r"\([a-z][a-z0-9-]*\)=\n# \S.*\n\n```\{glue\} card\n```\n", prose[0].text)
    assert cells(page)[0] is prose[0]
    titles = [line for cell in prose for line in cell.lines if line.startswith("# ")]
    assert len(titles) == 1, titles


@pytest.mark.parametrize("page", PAGES)
def test_a_page_declares_its_parameters_checks_something_and_ends_with_its_stamp(page):
    declared = Project(ROOT).declared(page)  # raises unless there is one cell of literals
    assert declared and (page in SUMMARIES or "source" in declared)
    code = [cell for cell in cells(page) if not cell.prose]
    checked = [cell for cell in code if "nbval-check-output" in cell.tags]
    assert any(re.search(r"report\.(check|claim)\(|print\(", cell.text) for cell in checked)
    last = ast.parse(cells(page)[-1].text).body[-1]
    assert ast.unparse(last).startswith("report.stamp("), "the last statement must be report.stamp(...)"
    used = sum(cell.text.count("report.stamp(") for cell in code)
    assert used == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_verdict_stands_in_a_cell_that_is_compared(page):
    for cell in cells(page):
        if not cell.prose and re.search(r"report\.(check|claim)\(", cell.text):
            assert "nbval-check-output" in cell.tags, f"notebooks/{page}.py:{cell.line}"


@pytest.mark.parametrize("page", PAGES)
def test_what_the_prose_glues_is_put_by_the_code(page):
    prose = "\n".join(cell.text for cell in cells(page) if cell.prose)
    code = "\n".join(cell.text for cell in cells(page) if not cell.prose)
    glued = set(re.findall(r"\{glue:text\}`([\w-]+)", prose)) | set(
        re.findall(r"\{glue:figure\} ([\w-]+)", prose)
    )
    made = [ast.literal_eval(name) for name in re.findall(r"report\.(?:put|figure)\(\s*(\"[^\"]+\")", code)]
    made += [  # f"{area.lower()}_units" puts s1_units and m1_units
        re.sub(r"\{[^}]*\}", r"[\\w-]+", name)
        for name in re.findall(r"report\.(?:put|figure)\(\s*f\"([^\"]+)\"", code)
    ]
    missing = {name for name in glued if not any(re.fullmatch(pattern, name) for pattern in made)}
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_code_on_a_page_is_short(page):
    """A function of a page has at most 12 lines below its docstring; longer ones live in the package."""
    for cell in cells(page):
        if cell.prose:
            continue
        wide = [cell.line + 1 + i for i, line in enumerate(cell.lines) if len(line) > 88 and not data(line)]
        assert not wide, f"notebooks/{page}.py, lines {wide} are wider than 88 columns"
        for node in ast.walk(ast.parse(cell.text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1
                assert length <= 12, f"notebooks/{page}.py:{cell.line + node.lineno}: {node.name}"


def data(line: str) -> bool:
    """A line that is one string, which no formatter can break."""
    return bool(re.fullmatch(r"\s*\w*=?\s*f?\"[^\"]*\",?|\s*f?\"\"\".*", line))


def in_contents(entries) -> set[str]:
    found = set()
    for entry in entries:
        found |= {entry["file"]} | in_contents(entry.get("sections", []))
    return found


def test_the_contents_name_every_page_and_nothing_else():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    named = {toc["root"]} | set().union(*(in_contents(part["chapters"]) for part in toc["parts"]))
    assert named == {f"book/runs/{page}" for page in PAGES} | {f"book/{name[:-3]}" for name in PROSE}


def test_labels_are_unique_in_the_book():
    texts = [cell.text for page in PAGES for cell in cells(page) if cell.prose]
    texts += [(BOOK / name).read_text() for name in PROSE]
    labels = re.findall(r"^\(([\w-]+)\)=|^:name: ([\w-]+)", "\n".join(texts), re.MULTILINE)
    names = [target or name for target, name in labels]
    assert names and len(names) == len(set(names))


@pytest.fixture(scope="module")
def references() -> set[str]:
    """Keys of the bibliography."""
    keys = re.findall(r"^@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text(), re.MULTILINE)
    assert len(keys) == len(set(keys))
    return set(keys)


def test_every_published_number_says_what_it_is_and_where_it_stands(references):
    entries = yaml.safe_load((BOOK / "published.yml").read_text())
    assert entries
    for key, entry in entries.items():
        assert set(entry) - {"bound", "seeds", "recording"} == {
            "value",
            "unit",
            "metric",
            "protocol",
            "citation",
            "where",
        }, key
        assert entry.get("bound", "lower") == "lower", key
        assert isinstance(entry["value"], float), key
        assert all(
            isinstance(entry[name], str) and entry[name].strip()
            for name in entry
            if name not in ("value", "seeds")
        ), key
        assert entry["citation"] in references, key


def test_published_numbers_and_the_pages_that_use_them_agree():
    entries = set(yaml.safe_load((BOOK / "published.yml").read_text()))
    code = "\n".join(cell.text for page in PAGES for cell in cells(page) if not cell.prose)
    assert set(re.findall(r"published(?:=|\()\"([^\"]+)\"", code)) == entries


def test_every_citation_is_in_the_bibliography_and_the_other_way_round(references):
    texts = [(ROOT / "notebooks" / f"{page}.py").read_text() for page in PAGES]
    texts += [(BOOK / name).read_text() for name in PROSE]
    cited = {
        key
        for text in texts
        for keys in re.findall(r"\{cite\w*:?\w*\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    cited = {key.strip() for key in cited}
    assert cited - references == set()
    from_catalog = {key for entry in catalog.datasets().values() for key in entry.cite}
    assert from_catalog - references == set()
    assert references - cited - from_catalog == set(), "entries that nothing cites"


def test_every_dataset_is_described_with_its_licence():
    text = (BOOK / "data.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    for id, entry in catalog.datasets().items():
        (section,) = [part for part in sections if re.search(rf"^\|[^|]*`{id}`", part, re.MULTILINE)]
        row = next(line for line in section.splitlines() if line.startswith("|") and f"`{id}`" in line)
        common = [line for line in section.splitlines() if not line.startswith("|")]
        assert entry.licence in row or entry.licence in "\n".join(common), id
