"""Pictures of Hebbian attention: each state shows its own bin, and the sign of the attention has its colour."""

import base64
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.viz import attention
from neurolib.viz.style import COLOURS

COUNTS = np.array([[1, 0, 0], [0, 4, 0], [0, 0, 1], [0, 1, 0]])
TRACES = np.linspace(0, 1.1, 12).reshape(4, 3)
MATRICES = np.linspace(-2.0, 1.0, 36).reshape(4, 3, 3)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def frames(monkeypatch):
    """Frames of the browser of attention, at bins 0, 2 and 3 of 20 ms."""
    import IPython.display

    shown = []
    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: shown.append(data))
    attention.attention_browser("written", COUNTS, TRACES, MATRICES, 0.02, [0, 2, 3])
    html = shown[0]["text/html"]
    assert re.findall(r'"label":"([\d.]+ s)"', html) == ["0.00 s", "0.04 s", "0.06 s"]
    assert '"active":2' in html  # it opens where most has been written
    return json.loads(re.search(r"Plotly\.addFrames\('[^']+', (\[.*?\])\);", html, re.DOTALL)[1])


def values(given) -> np.ndarray:
    """Numbers of a trace, which plotly may have packed."""
    if not isinstance(given, dict):
        return np.asarray(given)
    numbers = np.frombuffer(base64.b64decode(given["bdata"]), given["dtype"])
    return numbers.reshape([int(n) for n in given.get("shape", "-1").split(",")])


def test_each_state_shows_the_traces_and_the_attention_of_its_bin(frames):
    assert len(frames) == 3
    for frame, now in zip(frames, (0, 2, 3), strict=True):
        _, cursor, bars, heat = frame["data"]
        assert values(cursor["x"]).tolist() == [0.02 * now] * 2
        np.testing.assert_allclose(values(bars["y"]), TRACES[now], atol=5e-4)
        np.testing.assert_allclose(values(heat["z"]), MATRICES[now], atol=5e-4)


def test_spikes_are_dark_once_they_have_been_and_larger_where_there_are_more(frames):
    for frame, n_past in zip(frames, (1, 3, 4), strict=True):
        spikes = frame["data"][0]
        np.testing.assert_allclose(values(spikes["x"]), [0.0, 0.02, 0.04, 0.06])
        assert values(spikes["y"]).tolist() == [0, 1, 2, 1]
        colours = list(spikes["marker"]["color"])
        assert colours == ["#222222"] * n_past + ["#d0d0d0"] * (4 - n_past)
        assert values(spikes["marker"]["size"]).tolist() == [7, 10, 7, 7]  # 4 + 3 sqrt(count)


def test_no_attention_is_white_in_every_state(frames):
    for frame in frames:
        heat = frame["data"][3]
        assert (heat["zmin"], heat["zmax"]) == (-2, 2)  # the greatest of all bins, either way
        assert heat["colorscale"][1] == [0.5, "white"]


@pytest.mark.parametrize("simulated", [True, False])
def test_pair_windows_draw_a_named_line_per_rule_in_milliseconds(simulated):
    delay_s, change = np.array([-0.02, 0.0, 0.03]), np.array([-1.0, 0.0, 2.0])
    fig = attention.pair_windows(delay_s, {"additive": change, "symmetric": abs(change)}, simulated)
    (ax,) = fig.axes
    rules = ax.lines[:2]
    assert [line.get_label() for line in rules] == ["additive", "symmetric"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["additive", "symmetric"]
    assert [line.get_color() for line in rules] == list(COLOURS[:2])
    for line, wanted in zip(rules, (change, abs(change)), strict=True):
        np.testing.assert_allclose(line.get_xdata(), [-20, 0, 30])
        np.testing.assert_array_equal(line.get_ydata(), wanted)
    assert ("SIMULATED" in [text.get_text() for text in fig.texts]) == simulated
