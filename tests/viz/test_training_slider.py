"""The last checkpoint stands on the page without a script, all are in the data, and nothing comes from outside."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.metrics.trajectory import bends
from neurolib.viz.training_curves import training_curves
from neurolib.viz.training_slider import page_html

STEPS = [1, 3, 10]
CURVES = {"R2 <of> hand": np.array([0.0, 0.25, 0.5]), "CKA": np.array([0.2, 0.2, 0.2])}
PLACES = np.random.default_rng(0).normal(size=(3, 8, 2))


def test_every_checkpoint_is_there():
    text = page_html("way", STEPS, CURVES, PLACES, PLACES[0], simulated=True)
    states = json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])
    still = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert len(states) == 3 and "step 10: R2 &lt;of&gt; hand 0.500" in still and "SIMULATED" in still
    assert 'type="range"' in still and 'max="2"' in still and "http" not in text
    assert states[0]["view"].count("<circle") == 2 * 2 + 2 * 8 + 2


def test_what_does_not_match_is_refused():
    with pytest.raises(ValueError, match="becomes an id"):
        page_html("A way", STEPS, CURVES, PLACES, PLACES[0])
    with pytest.raises(ValueError, match="places"):
        page_html("way", STEPS[:2], CURVES, PLACES, PLACES[0])
    with pytest.raises(ValueError, match="rising"):
        page_html("way", [0, 3, 10], CURVES, PLACES, PLACES[0])


def test_curves_have_a_panel_each_and_their_bends():
    steps = 2 ** np.arange(8)
    rise = np.maximum(np.log10(steps / 8), 0) + 0.01 * np.random.default_rng(0).normal(size=(12, 8))
    points = [(value, value - 0.1, value + 0.1) for value in rise.mean(0)]
    found = bends(rise, steps)
    fig = training_curves(steps, {"a": points, "b": points, "c": points}, {"a": found}, True)
    shown = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == ["a", "b", "c"]
    assert found.n_bends and len(shown[0].lines) == 1 + found.n_bends
    plt.close(fig)
