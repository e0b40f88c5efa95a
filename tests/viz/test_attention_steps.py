"""Every head's maps of all checkpoints are on the page, and the slider shows the checkpoint it stands at."""

import base64
import io
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz.attention_steps import page_html

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WEIGHTS = np.linspace(0, 1, 2 * 2 * 3 * 16).reshape(2, 2, 3, 4, 4)


def test_all_checkpoints_are_in_the_pictures_and_the_last_is_shown():
    scores = {"induction": np.arange(12).reshape(2, 2, 3) / 100}
    text = page_html("steps", ["step 0", "step 9"], WEIGHTS, scores=scores, back=2, simulated=True)
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert 'type="range" min="0" max="1" value="1"' in still and "step 9" in still and "SIMULATED" in still
    assert re.findall(r"induction ([\d.]+)", still) == [f"{value:.2f}" for value in np.arange(6, 12) / 100]
    assert "http" not in text
    pictures = re.findall(r"base64,([^']+)'", still)
    assert len(pictures) == 6
    strip = plt.imread(io.BytesIO(base64.b64decode(pictures[4])), format="png")  # layer 2, head 2
    first, between, second = strip[:4, :, 3], strip[4, :, 3], strip[5:, :, 3]
    np.testing.assert_allclose([first, second], WEIGHTS[:, 1, 1], atol=1 / 255)
    assert not between.any()
    assert text.count("<line") == 12  # two per head


@pytest.mark.parametrize(
    ("name", "states", "weights", "says"),
    [
        ("A b", ["0", "1"], WEIGHTS, "becomes an id"),
        ("a", ["0"], WEIGHTS, "for 1 states"),
        ("a", ["0", "1"], 3 * WEIGHTS, "between 0 and 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(name, states, weights, says):
    with pytest.raises(ValueError, match=says):
        page_html(name, states, weights)


def test_scores_must_fit():
    with pytest.raises(ValueError, match=r"scores 'x' \(2, 2\)"):
        page_html("a", ["0", "1"], WEIGHTS, scores={"x": np.ones((2, 2))})


def test_the_slider_is_moved_by_keys_and_fits_a_phone(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    scores = {"induction": np.arange(12).reshape(2, 2, 3) / 100}
    text = page_html("steps", ["step 0", "step 9"], WEIGHTS, scores=scores, back=2)
    head = '<!doctype html><html data-theme="dark"><meta name="viewport" content="width=device-width">'
    (tmp_path / "page.html").write_text(f'{head}<meta charset="utf-8">{text}', "utf-8")
    trouble = []
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        page = chromium.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector(".attention-steps[data-ready]", timeout=15_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("slider").press("ArrowLeft")
        assert page.locator(".as-state").inner_text() == "step 0"
        assert page.locator(".as-score").all_inner_texts() == [f"induction 0.0{k}" for k in range(6)]
        where = page.locator(".as-map").first.evaluate("map => getComputedStyle(map).backgroundPosition")
        assert where == "0px 0%"
        chromium.close()
    assert trouble == []
