"""Figures that move: one HTML fragment that needs no network, one frame per state."""

import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from neurolib.viz.browser import trial_browser
from neurolib.viz.interactive import explorer, show


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, instead of displaying it."""
    import IPython.display

    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    displayed = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: displayed.append(data))
    return displayed


def line(i: int) -> go.Figure:
    return go.Figure(go.Scatter(x=[0, 1], y=[0, 10 * i]), layout={"title": {"text": f"state {i}"}})


def frames(html: str) -> list[dict]:
    return json.loads(re.search(r"Plotly\.addFrames\('[^']+', (\[.*?\])\);", html, re.DOTALL)[1])


def test_every_state_is_a_frame_and_a_step_of_the_slider(shown):
    explorer("lines", ["a", "b", "c"], line, "letter")
    html = shown[0]["text/html"]
    assert [frame["data"][0]["y"] for frame in frames(html)] == [[0, 0], [0, 10], [0, 20]]
    assert [frame["layout"]["title"]["text"] for frame in frames(html)] == [f"state {i}" for i in range(3)]
    assert re.findall(r'"label":"(\w)"', html) == ["a", "b", "c"]
    assert '"prefix":"letter "' in html
    assert shown[0]["text/plain"] == "[figure lines]"


def test_the_page_brings_its_own_plotly_and_the_id_is_stable(shown):
    for _ in range(2):
        explorer("lines", ["a", "b"], line)
    html = shown[0]["text/html"]
    assert html == shown[1]["text/html"] and 'id="lines"' in html
    assert len(html) < 20_000  # plotly.js has 4 MB
    assert "<script src" not in html and "cdn" not in html and "https://" not in html


def test_states_with_other_traces_are_refused(shown):
    def draw(i):
        return line(i) if i < 2 else go.Figure([go.Scatter(y=[1]), go.Bar(y=[1])])

    with pytest.raises(ValueError, match=r"lines: state 'c' has traces \['scatter', 'bar'\], the first has"):
        explorer("lines", ["a", "b", "c"], draw)
    with pytest.raises(ValueError, match="no state to show"):
        explorer("lines", [], line)
    assert not shown


@pytest.mark.parametrize("name", ["Has Space", "1st", "", "a_b", 'x"onload'])
def test_a_name_must_do_as_an_id(shown, name):
    with pytest.raises(ValueError, match="becomes an id on the page"):
        show(line(0), name)


def test_a_figure_opens_at_the_position_it_is_told(shown):
    explorer("lines", ["a", "b", "c"], line, "letter", start=-1)
    html = shown[0]["text/html"]
    first = json.loads(re.search(r"Plotly\.newPlot\(\s*\"lines\",\s*(\[.*?\]),\s*\{", html, re.DOTALL)[1])
    assert first[0]["y"] == [0, 20] and '"active":2' in html
    assert [frame["data"][0]["y"] for frame in frames(html)] == [[0, 0], [0, 10], [0, 20]]
    with pytest.raises(ValueError, match="lines: cannot start at position 3 of 3 states"):
        explorer("lines", ["a", "b", "c"], line, start=3)


def test_in_jupyterlab_states_are_computed_when_asked_for(shown, monkeypatch):
    monkeypatch.delenv("NEUROLIB_HEADLESS")
    drawn = []

    def draw(i):
        drawn.append(i)
        return line(i)

    explorer("lines", ["a", "b", "c"], draw, start=1)
    slider, view = shown[0].children
    assert drawn == [1] and slider.value == 1
    slider.value = 2
    assert drawn == [1, 2]
    assert list(view.data[0].y) == [0, 20] and view.layout.title.text == "state 2"


def test_the_trial_browser_draws_the_trials_it_was_given(shown, hand):
    trials = hand
    decoded = np.zeros_like(trials.behaviour)
    trial_browser("browse", trials, decoded, [3, 5])
    made = frames(shown[0]["text/html"])
    assert len(made) == 2
    for frame, number in zip(made, (3, 5), strict=True):
        rows = slice(trials.starts[number], trials.starts[number] + trials.lengths[number])
        spikes, *lines = frame["data"]
        assert len(values(spikes["x"])) == (trials.counts[rows] > 0).sum()
        named = {trace["name"]: trace for trace in lines}
        truth = trials.behaviour[rows]
        np.testing.assert_allclose(values(named["x, true"]["y"]), truth[:, 0], atol=0.005)
        assert not np.any(values(named["y, decoded"]["y"]))
        path = np.cumsum(truth, axis=0) * trials.bin_size_s
        np.testing.assert_allclose(values(named["true path"]["y"]), path[:, 1], atol=0.005)


def test_the_trial_browser_has_room_for_every_path_and_names_its_slider(shown, hand):
    far = np.full_like(hand.behaviour, -300.0)
    trial_browser("browse", hand, far, [3, 5], "stretch")
    html = shown[0]["text/html"]
    assert '"prefix":"stretch "' in html
    for axis, column in (("xaxis2", 0), ("yaxis2", 1)):
        low, high = json.loads(re.search(rf'"{axis}":{{.*?"range":(\[[^]]*\])', html)[1])
        paths = [
            np.cumsum(values[hand.starts[n] : hand.starts[n] + hand.lengths[n], column]) * hand.bin_size_s
            for n in (3, 5)
            for values in (hand.behaviour, far)
        ]
        assert low < min(path.min() for path in paths) and high > max(path.max() for path in paths)


def values(given) -> np.ndarray:
    """Numbers of a trace, which plotly may have packed."""
    import base64

    if isinstance(given, dict):
        return np.frombuffer(base64.b64decode(given["bdata"]), given["dtype"])
    return np.asarray(given)
