"""The chart of skills draws every interval where its numbers are, and names a method once."""

import matplotlib.pyplot as plt

from neurolib.viz.skills import skill_chart

ROWS = {
    "EMG": {"model": (0.4, 0.3, 0.5), "null": (0.0, -0.1, 0.1)},
    "BOLD": {"null": (0.02, 0.01, 0.03), "ridge": (0.2, 0.15, 0.25)},
}


def test_every_interval_is_drawn_and_every_method_named_once():
    fig = skill_chart(ROWS, "skill", simulated=True)
    ax = fig.axes[0]
    drawn = {tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert {(0.3, 0.5), (-0.1, 0.1), (0.01, 0.03), (0.15, 0.25)} <= drawn
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["model", "null", "ridge"]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(ROWS)
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)


def test_rows_of_one_signal_do_not_cover_each_other():
    fig = skill_chart(ROWS, "skill", simulated=False)
    heights = [
        line.get_ydata()[0] for line in fig.axes[0].lines if len(line.get_xdata()) == 2 and line.get_lw() == 2
    ]
    assert len(set(heights)) == len(heights)
    assert not fig.texts
    plt.close(fig)
