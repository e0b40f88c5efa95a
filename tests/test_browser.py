"""The book in a browser: what a reader would notice and Sphinx cannot.

A small book is run and built from scratch with the project's own configuration, style and
extensions; the pages of the real one are looked at too where it has been built.
"""

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path
from urllib.parse import urlparse

import pytest
import yaml

from neurolib.runs.book import build
from neurolib.runs.project import Project
from neurolib.runs.scheduler import run_jobs

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

ROOT = Path(__file__).parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
FLAGS += [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
]  # not by routing: that turns the cache off
DESKTOP, PHONE = (1400, 900), (390, 844)
STATES = [[1, 1, 1], [1, 2, 3], [3, 2, 1]]  # what the figure draws at each position of its slider

TOC = """\
format: jb-book
root: book/index
parts:
  - caption: Pages
    chapters:
      - file: book/runs/small
"""
INDEX = r"""# A small book

Mathematics in a line, $e^{i\pi} = -1$, and on its own:

$$
\hat v_t = \sum_{k=0}^{K} W_k\, n_{t-k}
$$

As was found before {cite}`georgopoulos1982`.

```{bibliography}
```
"""
PAGE = f"""\
# %% [markdown]
# # Does a page show what it found?
#
# ```{{glue}} card
# ```

# %% tags=["parameters"]
seed: int = 0

# %%
from types import SimpleNamespace

import matplotlib.pyplot as plt
import plotly.graph_objects as go

from neurolib import report
from neurolib.viz.interactive import explorer

report.use(SimpleNamespace(name="mc_maze_small", simulated=True))

# %% tags=["remove-output"]
fig, ax = plt.subplots(figsize=(9, 3))
ax.plot([0, 1], [0, 1])
report.figure("line", fig)

# %% [markdown]
# ```{{glue:figure}} line
# :name: fig-line
# :alt: A line that rises from left to right.
#
# **A line.** The two quantities rise together: {{glue:text}}`slope:.2f`.
# ```

# %%
explorer("states", ["low", "up", "down"], lambda i: go.Figure(go.Scatter(y={STATES}[i])), "state")

# %%
report.put("slope", 1.0)
report.card("Yes, with a slope of 1.", "what a line is")
report.claim("the line rises", True)

# %%
report.stamp()
"""

CONTRAST = """selectors => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const luminance = rgb => rgb.slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const hasText = element => [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll(selectors)]
    .flatMap(top => [top, ...top.querySelectorAll("*:not(.headerlink)")]).filter(hasText).map(element => {
      const [a, b] = [rgba(getComputedStyle(element).color), ground(element)].map(luminance);
      return [element.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
}"""  # WCAG 2.2, relative luminance; colours go through a canvas because CSS writes them in many ways


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder: Path):
    """The folder on a port of this machine; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def small_book(browser, tmp_path_factory):
    """Address of a book of two pages, run and built by the project's own means."""
    root = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "_config.yml", root)
    for name in ("_static", "_extensions"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    (root / "_toc.yml").write_text(TOC)
    (root / "book" / "index.md").write_text(INDEX)
    (root / "notebooks").mkdir()
    (root / "notebooks" / "small.py").write_text(PAGE)
    project = Project(root)
    (outcome,) = run_jobs(project, [project.job("small")])
    assert outcome.ok, outcome.message
    with served(build(project).parent) as address:
        yield address


class Visit:
    """One tab of a given size and mode that notes everything that goes wrong in it."""

    def __init__(self, browser, size, mode="light"):
        self.context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.context.add_init_script(
            f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')"
        )
        self.trouble: list[str] = []
        self.page = page = self.context.new_page()
        page.on(
            "console",
            lambda m: m.type == "error" and self.trouble.append(f"console: {m.text} {m.location['url']}"),
        )
        page.on("pageerror", lambda error: self.trouble.append(f"script: {error}"))
        page.on("response", lambda r: r.status >= 400 and self.trouble.append(f"{r.status}: {r.url}"))
        page.on("request", self._note_stranger)

    def _note_stranger(self, request):
        if urlparse(request.url).hostname not in (None, "127.0.0.1"):
            self.trouble.append(f"asked another host: {request.url}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def open(self, address):
        """Go there and wait until everything that draws has drawn; what has not is trouble."""
        self.page.goto(address)
        for what, ready in READY.items():
            try:
                self.page.wait_for_function(ready, timeout=15_000)
            except playwright.TimeoutError:
                self.trouble.append(what)
        return self.page

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


READY = {
    "mathematics not typeset": """() => [...document.querySelectorAll(".math")]
        .every(element => element.querySelector("mjx-container"))""",
    "a figure not drawn": """() => [...document.querySelectorAll(".plotly-graph-div")]
        .every(figure => figure.querySelector(".main-svg, canvas") && figure.calcdata?.length)""",
    "an image not loaded": """() => [...document.querySelectorAll("img")]
        .every(image => (image.loading = "eager", image.complete && image.naturalWidth > 0))""",
}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
class TestSmallBook:
    def test_mathematics_is_typeset_and_the_citation_resolved(self, small_book, browser, size, mode):
        with Visit(browser, size, mode) as visit:
            page = visit.open(f"{small_book}/book/index.html")
            assert page.locator("mjx-container").count() == 2
            assert "Georgopoulos" in page.locator(".bd-article").inner_text()
            assert page.evaluate("document.documentElement.dataset.theme") == mode
            assert visit.overflow() <= 0
            assert visit.trouble == []

    def test_figures_draw_fit_and_answer_the_slider(self, small_book, browser, size, mode):
        drawn = "() => document.getElementById('states').calcdata[0].map(point => point.y)"
        with Visit(browser, size, mode) as visit:
            page = visit.open(f"{small_book}/book/runs/small.html")
            described = page.locator(".bd-article img").evaluate_all("images => images.map(i => i.alt)")
            assert described == ["A line that rises from left to right."]
            assert page.locator("#states .main-svg .scatterlayer .trace").count() == 1
            assert visit.overflow() <= 0

            assert page.evaluate(drawn) == STATES[0]
            page.locator("#states .slider-rail-touch-rect").click()  # its middle
            page.wait_for_function(f"({drawn})().join() == '{','.join(map(str, STATES[1]))}'", timeout=5_000)
            assert page.locator("#states .slider-label").first.text_content() == "state up"
            assert visit.trouble == []

    def test_what_a_page_says_of_itself_can_be_read(self, small_book, browser, size, mode):
        with Visit(browser, size, mode) as visit:
            page = visit.open(f"{small_book}/book/runs/small.html")
            assert "slope of 1" in page.locator(".at-a-glance").inner_text()
            assert "SIMULATED" in page.locator(".at-a-glance .data-kind").inner_text()
            page.locator(".stamp summary").click()
            assert page.locator(".stamp td").first.is_visible()
            found = page.evaluate(CONTRAST, ".at-a-glance, .data-kind, .stamp, figcaption, .output.stream")
            assert len(found) > 15
            assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []


def documents(toc: dict) -> list[str]:
    """Every page that a table of contents names."""
    found, waiting = [toc["root"]], [entry for part in toc["parts"] for entry in part["chapters"]]
    while waiting:
        entry = waiting.pop(0)
        found.append(entry["file"])
        waiting += entry.get("sections", [])
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_of_the_built_book_is_whole(browser, size):
    toc, html = ROOT / "build" / "_toc.yml", ROOT / "_build" / "html"
    if not (toc.exists() and html.is_dir()):
        pytest.skip("the book has not been built; `python run.py book` builds it")
    trouble = []
    with served(html) as address, Visit(browser, size) as visit:
        for name in documents(yaml.safe_load(toc.read_text())):
            visit.trouble.clear()
            visit.open(f"{address}/{name}.html")
            if (wider := visit.overflow()) > 0:
                visit.trouble.append(f"{wider} pixels wider than the window")
            trouble += [f"{name}: {what}" for what in visit.trouble]
    assert trouble == []
