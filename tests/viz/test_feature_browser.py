"""Panels show the numbers they were given, and previous, next, order and search choose among features."""

import json
import re
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.viz.feature_browser import page_html

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def feature(k: int) -> dict:
    time = np.arange(200) * 0.01
    window = {
        "time": time,
        "activation": np.abs(np.sin(time)),
        "behaviour": np.c_[time, -time],
        "label": "trial 7",
    }
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    return {
        "name": f"feature {k}",
        "density": 0.01 * k,
        "stability": [0.2, 0.9, 0.5][k],
        "note": ["slow", "fast <left>", "slow"][k],
        "tuning": {"angles": angles, "mean": 1.0 + np.arange(8.0)},
        "activations": [0.0, 0.0, 0.0, float(k + 1)],
        "windows": [window],
    }


FEATURES = [feature(k) for k in range(3)]
NAMES = ("x", "y")


def points(svg: str, kind: str) -> np.ndarray:
    return np.array(
        [p.split(",") for p in re.search(rf'class="{kind}" points="([^"]*)"', svg)[1].split()], float
    )


def test_the_first_feature_stands_on_the_page_without_a_script():
    text = page_html("browser", FEATURES, behaviour=NAMES, simulated=True)
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "feature 0: active in 0.0 % of samples, stability over seeds 0.20. slow" in still
    tuning, histogram, window = re.findall(r"<svg.*?</svg>", still, re.DOTALL)
    curve = points(tuning, "fb-one")
    assert len(curve) == 8
    assert_allclose(np.diff(curve[:, 1]), np.diff(curve[:, 1]).mean(), atol=0.11)  # a straight line, upwards
    assert curve[-1, 1] < curve[0, 1]
    tall = [float(h) for h in re.findall(r'class="fb-bar"[^>]*height="([\d.]+)"', histogram)]
    assert len(tall) == 2 and tall[0] / tall[1] == pytest.approx(np.log10(4) / np.log10(2), rel=0.01)
    assert len(points(window, "fb-one")) <= 80  # thinned
    x, y = points(window, "fb-b0"), points(window, "fb-b1")
    assert_allclose(x[:, 1] - 92, 92 - y[:, 1], atol=0.11)  # mirror images about zero
    assert "SIMULATED" in still and "trial 7" in still and "http" not in text
    assert "<left>" not in text


def test_unknown_parts_are_left_out():
    text = page_html("browser", [{"name": "unit 3"}])
    assert "unit 3." in text and "<svg" not in text and "by density" not in text


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="no feature"):
        page_html("b", [])
    with pytest.raises(ValueError, match="becomes an id"):
        page_html("B b", FEATURES, behaviour=NAMES)
    with pytest.raises(
        ValueError, match=r"feature 0: a window has 200 times, 200 activations and behaviour \(200, 2\)"
    ):
        page_html("b", FEATURES, behaviour=("x",))
    short = FEATURES[0]["windows"][0] | {"activation": np.zeros(3)}
    with pytest.raises(ValueError, match="3 activations"):
        page_html("b", [FEATURES[0] | {"windows": [short]}], behaviour=NAMES)


def test_buttons_order_and_search(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    page_file = tmp_path / "page.html"
    head = '<!doctype html><html data-theme="light"><meta name="viewport" content="width=device-width">'
    text = page_html("browser", FEATURES, behaviour=NAMES)
    page_file.write_text(f'{head}<meta charset="utf-8">{text}', "utf-8")
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])
    trouble = []
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        page = chromium.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_selector(".feature-browser[data-ready]", timeout=15_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        what, back = page.locator(".fb-what"), page.get_by_role("button", name="previous")
        assert back.is_disabled()
        page.get_by_role("button", name="next").click()
        assert what.inner_text() == data[1]["what"] and page.locator(".fb-list").input_value() == "1"
        page.locator(".fb-order").select_option("stability")
        assert page.locator(".fb-list option").all_inner_texts() == ["feature 1", "feature 2", "feature 0"]
        page.get_by_role("searchbox").fill("slow")
        assert page.locator(".fb-list option").all_inner_texts() == ["feature 2", "feature 0"]
        assert what.inner_text() == data[2]["what"]
        page.get_by_role("searchbox").fill("nothing like it")
        assert page.locator(".fb-list").is_disabled()
        page.get_by_role("searchbox").fill("")
        page.locator(".fb-list").select_option("0")
        assert what.inner_text() == data[0]["what"]
        chromium.close()
    assert trouble == []
