"""The diagram says what a run of the model said, counts every parameter once, and answers to a finger."""

import json
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.viz import model_diagram, model_parts
from neurolib.viz.model_diagram import page_html, parameters_by_part, record

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def model(d=16, names=("spike", "emg"), **changes):
    torch.manual_seed(0)
    preset = MultimodalConfig.preset("tiny", modalities=names, d=d, **changes)
    return preset.build()


@pytest.fixture(scope="module")
def signals():
    return {"spike": torch.rand(3, 50, 7).round(), "emg": torch.randn(3, 1000, 4)}


@pytest.fixture(scope="module")
def runs(signals):
    species = torch.tensor([0, 1, 1])
    return {
        name: record(model(d, domains=2), signals, species_labels=species)
        for name, d in (("tiny", 16), ("wide<", 32))
    }


def test_shapes_are_those_of_the_run_and_parameters_those_of_the_model(signals):
    one = model(latent_dim=24, domains=2).train()
    found = record(one, signals, species_labels=torch.tensor([0, 1, 1]))
    assert one.training and not any(module._forward_hooks for module in one.modules())
    out = one.eval()(signals, species_labels=torch.tensor([0, 1, 1]))
    tokens = one.tokens(one.inputs(signals))
    said = {
        "spike": (3, 50, 16),
        "tokens": tokens.tokens.shape,
        "backbone": out["aux"]["grid"].shape,
        "decoder": out["decoder"].shape,
        "contrastive": out["contrastive"].shape,
        "forecast": out["forecast"].shape,
        "domain": out["domain_logits"].shape,
    }
    for key, expected in said.items():
        assert found[key].gives == " × ".join(map(str, expected)), key
    assert found["emg"].takes == "3 × 1000 × 4"
    assert found["pool"].gives == "3 × 16 × 24 and 3 × 24"
    assert found["encoder"].gives == "spike 3 × 50 × 7; emg 3 × 1000 × 4"
    total = sum(p.numel() for p in one.parameters())
    assert sum(stage.parameters for stage in found.values()) == total
    parts = parameters_by_part(one)
    assert sum(parts.values()) == total
    assert parts["identity"] == 16 * (7 + 4 + 1 + 2)  # channels, the unknown recording, two modalities


def test_signals_and_tasks_that_did_not_run_are_not_shown(signals):
    found = record(model(), {"emg": signals["emg"]}, task="decode")
    assert "spike" not in found and not {"encoder", "forecast", "domain"} & set(found)
    assert "decoder" in page_html("diagram", {"tiny": found})


def test_the_page_stands_without_its_script(runs):
    text = page_html("diagram", runs, simulated=True)
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    for key, stage in runs["tiny"].items():
        (box,) = re.findall(rf'<button[^>]*data-stage="{key}">.*?</button>', still)
        assert stage.label in box and (stage.gives in box or "shapes" in box)
    assert "SIMULATED" in still and "wide&lt;" in still and runs["tiny"]["enter"].about in still
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])
    assert data["presets"]["wide<"]["backbone"][1] == "3 × 4 × 4 × 32"
    assert "http" not in text


def test_bad_diagrams_are_refused(runs, signals):
    with pytest.raises(ValueError, match="small letters"):
        page_html("My diagram", runs)
    fewer = record(model(), {"emg": signals["emg"]}, task="decode")
    with pytest.raises(ValueError, match="same stages"):
        page_html("diagram", runs | {"less": fewer})


def test_a_finger_opens_a_stage_and_changes_the_preset(runs, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip(f"no browser; install one of {', '.join(CHROMIUM)}")
    page_file = tmp_path / "page.html"
    head = '<!doctype html><html data-theme="dark"><meta name="viewport" content="width=device-width">'
    page_file.write_text(f'{head}<meta charset="utf-8">{page_html("diagram", runs)}', "utf-8")
    trouble = []
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "color_scheme": "dark"}
        page = chromium.new_context(**phone).new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(page_file.as_uri())
        page.wait_for_selector(".model-diagram[data-ready]", timeout=15_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.locator("[data-stage=backbone]").tap()
        detail = page.locator(".md-detail")
        assert runs["tiny"]["backbone"].gives in detail.inner_text()
        row = page.locator("[data-stage=backbone]").bounding_box()
        assert 0 < detail.bounding_box()["y"] - row["y"] - row["height"] < 40  # below what was tapped
        page.get_by_role("button", name="wide<").tap()
        assert runs["wide<"]["backbone"].gives in detail.inner_text()
        assert page.locator("[data-stage=decoder] .md-shape").inner_text() == runs["wide<"]["decoder"].gives
        sizes = page.evaluate("getComputedStyle(document.querySelector('.model-diagram')).color")
        chromium.close()
    assert trouble == [] and min(map(int, re.findall(r"\d+", sizes)[:3])) > 150  # light letters in the dark


def test_what_does_not_move_is_white():
    moved = np.array([[0.5, 0.0], [0.0, 0.1]])
    fig = model_parts.influence({"one": moved, "two": 10 * moved}, 1e-9, simulated=True)
    first = fig.axes[0].images[0]
    assert first.get_array().mask.tolist() == [[False, True], [True, False]]
    assert first.norm.vmax == fig.axes[1].images[0].norm.vmax == 5
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)


def test_every_stage_that_can_run_is_explained(runs):
    assert set(model_diagram.STAGES) <= set(runs["tiny"])
    assert all(stage.label and stage.about for stage in runs["tiny"].values())
