"""Viewers on a page: their data go where the book finds them, and in a browser they answer."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.atlas.decoder import Decoder, Layer
from neurolib.atlas.viewer import export
from neurolib.data.brain import Grid
from neurolib.viz import atlas_viewer
from neurolib.viz.atlas_viewer import Pane

SCRIPT = Path(__file__).parents[2] / "book" / "_static" / "atlas.js"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
TOGETHER = """
const {Volume, together} = require(process.argv[1]), given = JSON.parse(process.argv[2]);
const topics = given.ratios.map((values) => new Volume([values.length, 1, 1], 1, [0, 0, 0], values));
const {share, values} = together(topics, given.prior, 2);
console.log(JSON.stringify({share, values: [...values]}));
"""


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, instead of displaying it."""
    import IPython.display

    displayed = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: displayed.append(data))
    return displayed


@pytest.fixture(scope="module")
def grid():
    return Grid.mni(8)


@pytest.fixture(scope="module")
def folder(grid, tmp_path_factory):
    """Viewer files of a decoder with three latents and random weights."""
    draw = np.random.default_rng(0)
    norm = np.ones(12), np.zeros(12)
    base = np.full(grid.n_voxels, -np.log(grid.n_voxels))
    first = Layer(draw.normal(size=(12, 3)), draw.normal(size=12), norm)
    n_nodes = len(np.unique(_nodes(grid)))
    last = Layer(draw.normal(size=(n_nodes, 12)), np.zeros(n_nodes))
    decoder = Decoder((first, last), grid, base, 3)
    where = tmp_path_factory.mktemp("files")
    return export(where, decoder, ["left", "right", "up"], [2, 1, 3], "ab" * 32, n_maps=2)


def _nodes(grid):
    near, part = np.divmod(grid.voxels, 2)
    corners = near[:, None] + np.indices((2, 2, 2)).reshape(3, -1).T * part[:, None]
    return corners.reshape(-1, 3) @ [10_000, 100, 1]


def options_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', text)[1])


def test_a_run_writes_its_data_beside_the_pages_and_names_them(shown, grid, tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROLIB_RUN", json.dumps({"root": str(tmp_path)}))
    maps = np.random.default_rng(0).normal(size=(3, grid.n_voxels))
    for _ in range(2):
        atlas_viewer.frames("years", Pane("map", maps), grid, ["2001", "2002", "2003"], word="year", start=-1)
    assert shown[0] == shown[1]  # the same data have the same names
    text = shown[0]["text/html"]
    assert shown[0]["text/plain"] == "[viewer years]" and len(text) < 3000
    options = options_of(text)
    written = {path.stem for path in (tmp_path / "book" / "runs" / "viewer_data").iterdir()}
    assert written == {options["template"], options["panes"][0]["data"]}
    assert options["start"] == 2 and options["labels"] == ["2001", "2002", "2003"]


def test_in_jupyterlab_one_frame_holds_scripts_and_data(shown, grid, monkeypatch):
    monkeypatch.delenv("NEUROLIB_HEADLESS", raising=False)
    atlas_viewer.frames("one", Pane("map", np.ones(grid.n_voxels)), grid, ["only"])
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown[0]["text/html"])[1])
    options = options_of(page)
    for key in (options["template"], options["panes"][0]["data"]):
        assert f'["{key}"]="H4sI' in page  # as gzip begins
    assert "const NeuroAtlas" in page and "<script src" not in page


def test_labels_cannot_end_the_script_that_holds_them(shown, grid):
    label = "</script><b>"
    atlas_viewer.frames("one", Pane(label, np.ones(grid.n_voxels)), grid, [label])
    assert options_of(shown[0]["text/html"])["labels"] == [label]


def test_what_does_not_fit_is_refused(shown, grid, tmp_path):
    one = Pane("map", np.zeros((2, grid.n_voxels)))
    with pytest.raises(ValueError, match="'map' has 2 frames for 3 labels"):
        atlas_viewer.frames("a", one, grid, ["x", "y", "z"])
    with pytest.raises(ValueError, match="cannot start at frame 2 of 2"):
        atlas_viewer.frames("a", one, grid, ["x", "y"], start=2)
    with pytest.raises(ValueError, match="becomes an id"):
        atlas_viewer.frames("A b", one, grid, ["x", "y"])
    with pytest.raises(ValueError, match="for 1 topics"):
        atlas_viewer.voxel("a", one.maps, [1.0], grid, ["x"])
    with pytest.raises(FileNotFoundError, match=r"no dims\.json"):
        atlas_viewer.slider("a", tmp_path)
    assert not shown


def test_topics_of_a_place_and_what_is_reported_with_it():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node")
    draw = np.random.default_rng(0)
    ratios, prior = draw.normal(size=(4, 6)), draw.dirichlet(np.ones(4))
    given = json.dumps({"ratios": ratios.tolist(), "prior": prior.tolist()})
    done = subprocess.run([node, "-e", TOGETHER, str(SCRIPT), given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    share = [prior[t] * np.exp(ratios[t, 2]) for t in range(4)]
    share = [value / sum(share) for value in share]
    assert min(share) > 0.003  # all of them count
    assert_allclose(found["share"], share)
    expected = [np.log(sum(share[t] * np.exp(ratios[t, v]) for t in range(4))) for v in range(6)]
    assert_allclose(found["values"], expected, atol=1e-6)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path, monkeypatch):
    """A viewer opened from the disk on a phone; afterwards nothing may have gone wrong in it."""
    trouble, contexts = [], []

    def take(name, options, data):
        path = tmp_path / f"{name}.html"
        path.write_text(atlas_viewer.standalone(name, options, data), "utf-8")
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and trouble.append(m.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector(".neuro-atlas[data-ready]", timeout=15_000)
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        pages.append(page)

    pages = []
    monkeypatch.setattr(atlas_viewer, "show", take)
    yield pages
    assert trouble == []
    for context in contexts:
        context.close()


def settle(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 60)))")


def picture(page, n=0) -> str:
    settle(page)
    return page.locator("canvas").nth(n).evaluate("canvas => canvas.toDataURL()")


def test_a_slider_moves_the_map_first_alone_and_then_with_the_others(opened, folder):
    atlas_viewer.slider("latents", folder)
    (page,) = opened
    sliders = page.locator("input[type=range]")
    assert [sliders.nth(i).is_disabled() for i in range(3)] == [False, False, True]
    before = picture(page)
    sliders.nth(1).fill("-3")
    page.wait_for_function("document.querySelectorAll('input[type=range]')[0].value === '0'")
    assert picture(page) != before  # one dimension at a time
    page.get_by_text("move all 3 dimensions").click()
    page.wait_for_selector("text=random draw")
    settle(page)
    stored = picture(page)
    sliders.nth(2).fill("1.3")
    moved = picture(page)
    assert moved != stored and sliders.nth(1).input_value() == "-3"
    page.get_by_text("random draw").click()
    assert picture(page) != moved
    page.get_by_text("reset").click()
    assert sliders.nth(2).input_value() == "0"


def test_the_crosshair_follows_keys_and_clicks_and_says_where_it_is(opened, grid):
    spot = np.zeros(grid.n_voxels)
    spot[grid.index([[-42.0, -22.0, 48.0]])] = 2.0
    atlas_viewer.frames("spot", Pane("map", spot - 1e-3), grid, ["only"], at_mm=(-42, -22, 48))
    (page,) = opened
    readout = page.locator(".na-readout")
    assert "x −42, y −22, z 48 mm: +2" in readout.inner_text()
    axial = page.locator("canvas").first
    before = picture(page, 0)
    axial.focus()
    page.keyboard.press("PageUp")
    settle(page)
    assert "z 52 mm" in readout.inner_text() and picture(page, 0) != before
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    settle(page)
    assert "x −26, y −22, z 52 mm: 0 nats" in readout.inner_text()
    box = axial.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settle(page)
    assert re.search(r"x [−0-3]{1,2}, y −1\d, z 52", readout.inner_text())


def test_frames_step_in_both_panes_and_points_belong_to_frames(opened, grid):
    maps = np.random.default_rng(0).normal(size=(2, grid.n_voxels))
    dots = np.array([[0.0, -20, 20, 1], [0, 10, 20, 1]])
    fixed = Pane("spread", np.abs(maps[0]), points={"real": dots})
    atlas_viewer.frames("pair", [Pane("mean", maps), fixed], grid, ["1999", "2000"], word="year")
    (page,) = opened
    before = picture(page, 0), picture(page, 3)
    page.locator("input[type=range]").fill("1")
    assert page.locator(".na-controls output").inner_text() == "2000"
    assert picture(page, 0) != before[0] and picture(page, 3) != before[1]


def test_a_place_has_its_topics(opened, grid):
    ratios = np.full((3, grid.n_voxels), -1.0)
    ratios[0, grid.centres_mm[:, 0] < 0] = 1.0
    ratios[1, grid.centres_mm[:, 0] >= 0] = 1.0
    atlas_viewer.voxel("place", ratios, [1, 1, 1], grid, ["left", "right", "none"], at_mm=(-40, -20, 40))
    (page,) = opened
    first = page.locator(".na-table .na-row").first
    assert first.inner_text().startswith("left")
    box = page.locator("canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 0.55 * box["height"])
    settle(page)
    assert first.inner_text().startswith("right")
    expected = 100 * np.e / (np.e + 2 / np.e)
    assert float(re.search(r"([\d.]+) %", first.inner_text())[1]) == pytest.approx(expected, abs=1)
