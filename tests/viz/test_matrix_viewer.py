"""The viewer holds what it was given, carries its pictures, and answers to pointer and keys."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from neurolib.viz import layer_explorer, rdm_viewer
from neurolib.viz.matrix_viewer import Table, sprite_of, viewer_html

CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
LABELS = ["face", "face", "<box>", "<box>"]
RDMS = {"IT": [0.1, 0.9, 0.8, 0.7, 1.1, 0.2], "V1": [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]}
IMAGES = np.stack([np.full((20, 20, 3), 60 * k, np.uint8) for k in range(4)])


def data_of(text: str) -> dict:
    return json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])


def unpacked(table: dict, key: str = "values") -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(table[key]), "<u2").astype(float)
    values = table["floor"] + (table["ceiling"] - table["floor"]) * steps / 65534
    return np.where(steps == 65535, np.nan, values)


def test_values_come_back_and_names_are_escaped():
    text = rdm_viewer.page_html("rdms", RDMS, LABELS, IMAGES, size=8, simulated=True)
    data = data_of(text)
    for table, (name, values) in zip(data["tables"], RDMS.items(), strict=True):
        assert table["name"] == name and table["ranked"]
        assert_allclose(unpacked(table), values, atol=1e-4)
    assert data["groups"] == [["face", 0, 2], ["<box>", 2, 4]] and data["names"][3] == "<box> 4"
    assert "SIMULATED" in text and "<box>" not in text and "http" not in text


def test_the_sprite_holds_every_image_in_its_place():
    sprite = sprite_of(IMAGES, size=8)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite["url"].split(",")[1]))), float)
    assert sheet.shape == (16, 16, 3) and sprite["columns"] == 2
    means = [sheet[8 * r : 8 * r + 8, 8 * c : 8 * c + 8].mean() for r in range(2) for c in range(2)]
    assert_allclose(means, [0, 60, 120, 180], atol=3)


def test_intervals_and_missing_values_travel_with_their_table():
    square = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, -0.1], [np.nan, -0.1, 1.0]])
    layers = [("a", "conv"), ("a", "fc"), ("b", "conv")]
    text = layer_explorer.page_html("layers", {"CKA": square}, layers, {"CKA": (square - 0.2, square + 0.2)})
    (table,) = data_of(text)["tables"]
    assert_allclose(unpacked(table), [0.5, np.nan, -0.1], atol=1e-4)
    assert_allclose(unpacked(table, "low"), [0.3, np.nan, -0.3], atol=1e-4)
    assert data_of(text)["groups"] == [["a", 0, 2], ["b", 2, 3]]
    assert text.count("<label hidden>") == 2  # one table leaves nothing to choose


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="becomes an id"):
        rdm_viewer.page_html("My RDMs", RDMS, LABELS)
    with pytest.raises(ValueError, match=r"IT: values .* 3 names have 3 pairs"):
        rdm_viewer.page_html("rdms", RDMS, LABELS[:3])
    with pytest.raises(ValueError, match="3 images for 4 labels"):
        rdm_viewer.page_html("rdms", RDMS, LABELS, IMAGES[:3])
    with pytest.raises(ValueError, match="cannot start"):
        viewer_html("t", ["a", "b"], [Table("t", [1])], [], what="", ends=("", ""), diagonal=0, start=(0, 2))


@pytest.mark.skipif(CHROMIUM is None, reason="no browser")
def test_it_answers_to_pointer_and_keys(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    page_file = tmp_path / "page.html"
    page_file.write_text(f"<!doctype html><body>{rdm_viewer.page_html('rdms', RDMS, LABELS, IMAGES)}")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(page_file.as_uri())
        page.wait_for_selector("#rdms[data-ready]")
        said = page.locator(".mv-what")
        assert said.inner_text() == "face 1 and face 2"
        page.locator("canvas").focus()
        page.keyboard.press("ArrowRight")
        assert said.inner_text() == "face 1 and <box> 3"
        values = page.locator(".mv-value")
        assert [values.nth(k).inner_text() for k in range(2)] == ["0.90", "1.00"]
        page.get_by_role(
            "button"
        ).click()  # ranks differ most where IT says 1.1 and V1, tied above, 1.0, or 0.1
        assert said.inner_text() == "face 1 and face 2"
        box = page.locator("canvas").bounding_box()
        page.locator("canvas").click(position={"x": box["width"] - 4, "y": box["height"] - 4})
        assert said.inner_text() == "<box> 4"
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        browser.close()
