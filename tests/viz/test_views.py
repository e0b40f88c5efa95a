"""Maps show the points they were given, in the colours of their labels; curves and marks stand where scores are."""

import base64
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.interpret.views import ScoredView, Setting, ViewConfig
from neurolib.metrics.neighbourhoods import Preservation
from neurolib.viz import views


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(12, 2))


def test_every_point_is_drawn_once_in_each_map(points):
    labels = {"two": {"a": np.arange(12) < 5, "b": np.arange(12) >= 5}}
    labels["four"] = {str(i): np.arange(12) % 4 == i for i in range(4)}
    rows = {row: {"one": points, "other": -points} for row in labels}
    fig = views.maps(rows, labels, simulated=True)
    for ax in fig.axes:
        drawn = np.concatenate([line.get_xydata() for line in ax.lines])
        sign = 1 if ax in (fig.axes[0], fig.axes[2]) else -1
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(sign * points, axis=0))
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["one", "other", "", ""]
    assert [len(ax.lines) for ax in fig.axes] == [2, 2, 4, 4]
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)


def test_curves_and_marks_stand_where_the_scores_are():
    found = {("pca", 0): Setting(0.7, 0.8, np.nan, np.nan, 0.3, np.nan)}
    found |= {("tsne", n): Setting(0.9 + n / 1000, 0.9, 0.5, 0.4, 0.2, np.nan) for n in (5, 30)}
    fig = views.setting_curves(found, {("tsne", 5): found["tsne", 5]}, "direction", False)
    trust = fig.axes[0]
    np.testing.assert_allclose(trust.lines[0].get_xydata(), [[5, 0.905], [30, 0.93]])
    assert any(np.allclose(line.get_ydata(), 0.7) for line in trust.lines)
    plt.close(fig)
    fig = views.leak_chart({"latents": [(0.5, 0.9), (0.4, 0.8)], "PCA": [(0.1, 0.2)]}, ("x", "y"), False)
    ax = fig.axes[0]
    assert [list(line.get_xdata()) for line in ax.lines[:4]] == [[0.5, 0.4], [0.9, 0.8], [0.1], [0.2]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["latents", "PCA"]
    plt.close(fig)


def test_the_explorer_shows_data_beside_the_cloud(points, monkeypatch):
    import IPython.display

    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: shown.append(data["text/html"]))
    made = [
        ScoredView(config, scale * points, Preservation(0.9, 0.8))
        for scale, config in ((1, ViewConfig("pca")), (2, ViewConfig("tsne", 30, seed=1)))
    ]
    labels = {"right": np.arange(12) < 6, "left": np.arange(12) >= 6}
    views.view_explorer("sweep", made, made[::1], labels, simulated=True)
    assert "t-SNE, perplexity 30, seed 1" in shown[0] and "SIMULATED" in shown[0]
    assert "trust 0.90, continuity 0.80" in shown[0]
    figure = json.loads(re.search(r"Plotly\.addFrames\('[^']+', (\[.*?\])\);", shown[0], re.DOTALL)[1])
    for frame in figure:  # the frame of the axes is that of the first state, so all must fit into it
        drawn = np.concatenate([_values(trace["x"]) for trace in frame["data"][:2]])
        assert len(drawn) == 12 and np.abs(drawn).max() <= 1
    with pytest.raises(ValueError, match="same settings"):
        views.view_explorer("sweep", made, made[::-1], labels, simulated=True)


def _values(given) -> np.ndarray:
    """Numbers of a trace, which plotly may have packed."""
    if isinstance(given, dict):
        return np.frombuffer(base64.b64decode(given["bdata"]), given["dtype"])
    return np.asarray(given)
