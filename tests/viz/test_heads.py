"""Lines and points show the numbers they were given."""

import matplotlib.pyplot as plt
import pytest

from neurolib.viz import heads


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_formation_draws_a_line_per_head_and_the_level_of_chance():
    groups = {"layer 1": [[0.1, 0.2], [0.1, 0.9]], "layer 2": [[0.0, 0.3]]}
    fig = heads.formation([0, 10], {"previous": (groups, 0.05)}, simulated=True)
    (ax,) = fig.axes
    drawn = [list(line.get_ydata()) for line in ax.lines]
    assert drawn == [[0.1, 0.2], [0.1, 0.9], [0.0, 0.3], [0.05, 0.05]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["layer 1", "layer 2", "chance"]
    assert "SIMULATED" in [text.get_text() for text in fig.texts]


def test_compositions_draw_a_point_per_pair():
    fig = heads.compositions(
        {"before": {"query": [[0.1, 0.2]], "key": [[0.3, 0.4]]}, "after": {"query": [0.2], "key": [0.5]}},
        chance=0.18,
        threshold=0.7,
        simulated=False,
    )
    before, after = fig.axes
    assert [list(line.get_xdata()) for line in before.lines[:2]] == [[0.1, 0.2], [0.3, 0.4]]
    assert [line.get_xdata()[0] for line in after.lines[2:]] == [0.18, 0.7]
    assert before.get_xlim()[1] > 0.7
