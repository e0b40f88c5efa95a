"""Bars of shares."""

import matplotlib.pyplot as plt
from numpy.testing import assert_allclose

from neurolib.viz.shares import millions, share_bars


def test_bars_are_shares_of_their_own_row_and_end_at_a_hundred():
    parts = ("tokenizers", "encode", "process", "backbone", "read", "heads", "other")
    rows = {"tiny": dict.fromkeys(parts, 1.0) | {"read": 4.0}, "base": dict.fromkeys(parts, 30.0)}
    fig = share_bars(rows, "{:.0f} ms".format, "% of the time")
    widths = [patch.get_width() for patch in fig.axes[0].patches]
    assert_allclose(widths, [10, 10, 10, 10, 40, 10, 10] + 7 * [100 / 7])
    assert {"10 ms", "210 ms"} <= {text.get_text() for text in fig.axes[0].texts}
    plt.close(fig)


def test_totals_in_words():
    assert [millions(n) for n in (40, 2e6, 4.6e7)] == ["4e-05 M", "2 M", "46 M"]
