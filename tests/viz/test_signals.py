"""Panels of signals: tokens stand at their times, and what a token sees is shaded where it is."""

import matplotlib.pyplot as plt
import numpy as np
from numpy.testing import assert_allclose

from neurolib.viz.signals import Panel, panels


def test_each_signal_has_its_tokens_its_patch_and_what_it_sees():
    time_s = np.arange(40) / 20
    wave = np.sin(time_s)[:, None] * np.arange(1, 8)
    events = np.zeros((40, 3))
    events[[4, 9], [2, 0]] = 1
    tokens_s = np.arange(10) / 5 - 0.3
    found = [
        Panel("wave", time_s, wave, tokens_s, (0.9, 1.1), (-3.0, 1.5)),
        Panel("events", time_s, events, tokens_s, (0.9, 1.1), (0.5, 1.5), sparse=True),
    ]
    fig = panels(found, {"wave": (140.0, 5.0), "events": (60.0, 5.0)}, simulated=True)
    waves, last, dots = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title("left") for ax in (waves, dots, last)] == ["wave", "events", "per second"]
    assert len(waves.lines) == 6  # five of seven channels, and the tokens
    for ax in (waves, dots):
        assert_allclose(ax.lines[-1].get_xdata(), tokens_s)
        assert ax.get_xlim()[0] <= tokens_s[0] and ax.get_xlim()[1] > time_s[-1]
        assert ax.patches[1].get_x() == 0.9 and np.isclose(ax.patches[1].get_width(), 0.2)
    assert waves.patches[0].get_x() == 0  # what lies before the excerpt is not shaded
    assert_allclose(dots.collections[0].get_offsets()[:, 0], time_s[[4, 9]])
    assert_allclose(
        [line.get_xdata()[0] for line in last.lines if len(line.get_xdata()) == 1], [140, 5, 60, 5]
    )
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)
