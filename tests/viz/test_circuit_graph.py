"""The graph says what it was given, shows the strongest edges, and answers to pointer, finger and keys."""

import json
import re
import shutil

import pytest

from neurolib.viz.circuit_graph import page_html

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NODES = [
    {"name": "out", "layer": 2},
    {"name": "in", "layer": 0, "label": "tokens <raw>"},
    {"name": "h0", "layer": 1},
    {"name": "h1", "layer": 1},
]
EDGES = [
    {"sender": "in", "reader": "h0", "score": 0.1, "kept": False},
    {"sender": "in", "reader": "h1", "score": -2.0, "kept": True},
    {"sender": "h1", "reader": "out", "score": 1.0, "kept": True},
    {"sender": "h0", "reader": "out", "score": 0.5, "kept": False},
]
CURVE = [{"size": s, "sufficiency": v, "necessity": v / 2} for s, v in ((0, 0.0), (2, 0.8), (4, 1.1))]


def data_of(text: str) -> dict:
    return json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])


def test_edges_are_ranked_and_the_kept_ones_are_shown_first():
    text = page_html("circuit", NODES, EDGES, CURVE, simulated=True)
    data = data_of(text)
    assert [edge[2] for edge in data["edges"]] == [-2.0, 1.0, 0.5, 0.1]
    assert [edge[:2] for edge in data["edges"]] == [[1, 3], [3, 0], [2, 0], [1, 2]]
    assert [(point["layer"], point["rank"]) for point in data["nodes"]] == [(2, 0), (0, 0), (1, 0), (1, 1)]
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    lines = re.findall(r'<g class="cg-edge ([^"]*)" style="--w:([\d.]+)px(;display:none)?"', still)
    assert lines == [
        ("cg-minus", "7.00", ""),
        ("cg-plus", "4.00", ""),
        ("cg-plus cg-left", "2.50", ";display:none"),
        ("cg-plus cg-left", "1.30", ";display:none"),
    ]
    assert "strongest 2 of 4 edges: sufficiency 0.80, necessity 0.40" in still
    assert "SIMULATED" in still and "tokens &lt;raw&gt;" in still and "tokens <raw>" not in text
    assert "http" not in text and "<td>-2</td>" in still


def test_weak_edges_beyond_the_limit_stay_off_the_page_and_it_says_so():
    text = page_html("circuit", NODES, EDGES, CURVE, limit=3)
    data = data_of(text)
    assert len(data["edges"]) == 3 and "1 weaker edges are left out" in text
    assert [point["size"] for point in data["curve"]] == [0, 2]  # no circuit of four edges can be shown


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="becomes an id"):
        page_html("My graph", NODES, EDGES)
    with pytest.raises(ValueError, match=r"nodes \['h0'\] come twice"):
        page_html("g", [*NODES, NODES[2]], EDGES)
    with pytest.raises(ValueError, match="the reader 'h9', which is none of the nodes"):
        page_html("g", NODES, [EDGES[0] | {"reader": "h9"}])
    with pytest.raises(ValueError, match="in -> h0 has score nan"):
        page_html("g", NODES, [EDGES[0] | {"score": float("nan")}])


def test_pointer_keys_and_slider(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    page_file = tmp_path / "page.html"
    head = '<!doctype html><html data-theme="dark"><meta name="viewport" content="width=device-width">'
    page_file.write_text(f'{head}<meta charset="utf-8">{page_html("graph", NODES, EDGES, CURVE)}', "utf-8")
    trouble = []
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        page = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_selector(".circuit-graph[data-ready]", timeout=15_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nodes, detail = page.locator(".cg-node"), page.locator(".cg-detail")
        tops = [nodes.nth(i).bounding_box()["y"] for i in (1, 3, 0)]
        assert tops == sorted(tops) and tops[2] - tops[0] > 100  # layers run down on a phone
        nodes.nth(3).tap()
        assert "1 shown edge in, strongest tokens <raw> −2.00; 1 shown edge out" in detail.inner_text()
        page.keyboard.press("ArrowDown")
        assert "tokens <raw> → h1: score −2.00, number 1 of 4 by size, kept" in detail.inner_text()
        page.keyboard.press("ArrowDown")
        assert "h1 → out: score +1.00" in detail.inner_text()
        page.keyboard.press("Escape")
        assert "Point at" in detail.inner_text()
        page.locator(".cg-size").focus()
        page.keyboard.press("ArrowRight")
        seen = page.locator(".cg-edge").evaluate_all(
            "all => all.filter(e => e.style.display !== 'none').length"
        )
        assert seen == 3 and "measured with 2: sufficiency 0.80" in page.locator(".cg-state").inner_text()
        letters = page.evaluate("getComputedStyle(document.querySelector('.circuit-graph')).color")
        chromium.close()
    assert trouble == [] and min(map(int, re.findall(r"\d+", letters)[:3])) > 150  # light letters in the dark
