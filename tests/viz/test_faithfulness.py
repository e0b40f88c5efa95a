"""Curves of faithfulness: a panel each, one legend, and a mark where nothing was recorded."""

import matplotlib.pyplot as plt

from neurolib.viz.faithfulness import size_curves


def test_panels_share_a_legend():
    x = [1, 2, 3]
    line = {"scores": (x, [0.1, 0.5, 1.0])}
    panels = {
        "one": {"lines": line | {"others": (x, x)}, "band": (x, [0, 0, 0], [1, 1, 1]), "point": (2, 0.5)},
        "two": {"lines": line},
    }
    fig = size_curves(panels, "edges", "sufficiency", {"goal": 0.8}, simulated=True)
    names = [text.get_text() for text in fig.legends[0].get_texts()]
    assert names == ["controls, 95 %", "scores", "others", "goal", "chosen, on test trials"]
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["one", "two"]
    assert any("SIMULATED" in text.get_text() for text in fig.texts)
    same = [ax.lines[0].get_color() for ax in fig.axes]
    assert same[0] == same[1]
    plt.close(fig)
