"""Pictures of kernels: lines go through the numbers, every kernel over its own widths."""

import matplotlib.pyplot as plt

from neurolib.viz.kernels import gain_by_width, width_by_voxel


def test_every_kernel_is_drawn_over_its_own_widths():
    widths = {"ALE": (6, 9), "MKDA": (4, 8, 10)}
    gains = {"ALE": [0.1, 0.2], "MKDA": [0.0, 0.1, 0.05]}
    fig = gain_by_width(widths, {"half": gains, "table": gains}, simulated=True)
    for ax in fig.axes:
        for line, name in zip(ax.lines, widths, strict=False):
            assert tuple(line.get_xdata()) == widths[name]
            assert list(line.get_ydata()) == gains[name]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["ALE", "MKDA"]
    plt.close(fig)


def test_widths_stand_beside_the_one_asked_for():
    fig = width_by_voxel([2, 4], {"ours": [9.0, 9.1]}, asked_mm=9)
    asked, ours = fig.axes[0].lines
    assert set(asked.get_ydata()) == {9}
    assert list(ours.get_ydata()) == [9.0, 9.1]
    plt.close(fig)
