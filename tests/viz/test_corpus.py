"""Pictures of a corpus: what is drawn is what was counted."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.data.coordinates import tiny
from neurolib.viz.corpus import against_null, overview
from neurolib.viz.style import COLOURS


@pytest.fixture
def corpus():
    xyz = np.array([[0.0, 2, 3], [6, 4, 9], [1.5, 0, 0], [2, 0, 0], [4, 1, 0], [8, 0, 0]])
    known = {"year": np.array([2001.0, 2003, np.nan]), "space": np.array(["MNI", "TAL", "TAL"])}
    return tiny(xyz, [0, 0, 0, 1, 1, 2], **known)


def test_overview_counts_years_by_space_and_remainders_of_whole_millimetres(corpus):
    fig = overview(corpus, {"MNI": (0.1, 0.0, 0.2), "TAL": (0.3, 0.2, 0.4)}, simulated=True)
    _, when, lattice, moved = fig.axes
    heights = [[bar.get_height() for bar in group] for group in when.containers]
    assert heights == [[1, 0, 0], [0, 0, 1]]  # the study without a year is not drawn
    x = lattice.lines[0].get_ydata()
    np.testing.assert_allclose(x, [2 / 5, 0, 2 / 5, 0, 1 / 5, 0])  # 0 and 6, 2 and 8, 4; not 1.5
    np.testing.assert_allclose(moved.lines[2].get_xdata(), [0.2, 0.4])
    assert "SIMULATED" in [text.get_text() for text in fig.texts]
    plt.close(fig)


def test_overview_refuses_what_it_cannot_draw(corpus):
    with pytest.raises(ValueError, match="'ICBM' is none of"):
        overview(corpus, {"ICBM": (0.0, 0.0, 0.0)})
    with pytest.raises(ValueError, match="no study"):
        overview(tiny([[0.0, 0, 0]], [0]), {})


def test_a_score_within_the_null_is_grey():
    fig = against_null({"above": (0.5, np.linspace(-0.1, 0.1, 101)), "within": (0.05, [-0.1, 0.1])}, "R²")
    band, above, _, within = fig.axes[0].lines[:4]
    np.testing.assert_allclose(band.get_xdata(), [-0.1, 0.09])
    assert above.get_color() == COLOURS[0] != within.get_color()
    plt.close(fig)
