"""Pictures of codes: every code is drawn in its own colour, at its own velocity, from its own bins."""

import base64
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import rgb_to_hsv, to_hex
from matplotlib.patches import Ellipse
from numpy.testing import assert_allclose

from neurolib.data.trials import Trials
from neurolib.viz import codes

VELOCITY = np.array([[1.0, 0.0], [90.0, 0.0], [0.0, 100.0], [-60.0, -60.0]])  # rest, right, up, down left


@pytest.fixture(autouse=True)
def closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


@pytest.fixture
def drawn():
    """Trials of two directions and their codes, which no order or length repeats."""
    draw = np.random.default_rng(0)
    said = draw.integers(0, 4, 30)
    behaviour = VELOCITY[said] + draw.normal(size=(30, 2)) * [5, 20]
    trials = Trials(np.ones((30, 1)), behaviour, [12, 18], 0.5, output_unit="mm/s", simulated=True)
    return trials, said


def values(given) -> np.ndarray:
    """Numbers of a trace, which plotly may have packed."""
    if not isinstance(given, dict):
        return np.asarray(given)
    return np.frombuffer(base64.b64decode(given["bdata"]), given["dtype"])


def test_rest_comes_first_by_speed_and_then_the_directions_counter_clockwise():
    angles = np.array([3.0, -0.1, 0.2, 1.5])
    moving = 50 * np.column_stack([np.cos(angles), np.sin(angles)])
    velocity = np.concatenate([moving, [[0, -3], [2, 0]]])
    order = codes.code_order(velocity, slow=5)
    assert order.tolist() == [5, 4, 2, 3, 0, 1]  # -0.1 lies just below a whole turn
    assert codes.code_order(velocity, slow=0).tolist() == [5, 2, 3, 0, 4, 1]


def test_hue_is_direction_and_rest_is_grey():
    angles = np.arange(8) * np.pi / 4
    ring = 10 * np.column_stack([np.cos(angles), np.sin(angles)])
    hue, saturation, _ = rgb_to_hsv(codes.code_colours(ring)).T
    assert_allclose(hue, np.arange(8) / 8, atol=1e-12)
    assert_allclose(saturation, 1)
    grey, faint = codes.code_colours([[0, 0], [2, 0], [0, 10]])[:2]
    assert len(set(grey)) == 1 and 0 < rgb_to_hsv(faint)[1] < 1


def test_paths_are_summed_velocities_in_the_colours_of_their_codes(drawn):
    trials, said = drawn
    rows = [slice(0, 12), slice(12, 30)]
    decoded = VELOCITY[said]
    parts = [[array[r] for r in rows] for array in (trials.behaviour, decoded, said)]
    fig = codes.paths(VELOCITY, *parts, 10, 0.5, "mm/s", simulated=True)
    upper, lower = fig.subfigs
    lines = [ax.collections[0] for ax in lower.axes]
    assert len(lines) == 4 and all(isinstance(line, LineCollection) for line in lines)
    for line, (array, r) in zip(
        lines, [(a, r) for a in (trials.behaviour, decoded) for r in rows], strict=True
    ):
        ends = np.array([segment[1] for segment in line.get_segments()])
        assert_allclose(ends, 0.5 * np.cumsum(array[r], axis=0)[1:])
        assert_allclose(line.get_colors()[:, :3], codes.code_colours(VELOCITY)[said[r][1:]])
    heights = [bar.get_height() for bar in upper.axes[1].patches]
    assert_allclose(heights, 100 * np.bincount(said) / 30)
    assert [text.get_text() for text in fig.texts] == ["SIMULATED"]
    assert [text.get_text() for text in upper.axes[0].texts if text.get_text()] == ["1", "2", "3"]


def test_an_ellipse_is_one_standard_deviation_of_the_bins_of_its_code(drawn):
    trials, said = drawn
    fig = codes.tuning(VELOCITY, trials.behaviour, said, {"codes": [0.5, 0.7]}, 10, "mm/s", simulated=False)
    plane, strip = fig.axes
    ellipses = [patch for patch in plane.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 4 and not fig.texts
    for number, ellipse in enumerate(ellipses):
        mine = trials.behaviour[said == number]
        assert_allclose(ellipse.center, mine.mean(axis=0))
        turn = np.radians(ellipse.angle)
        axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        spread = np.array([ellipse.width, ellipse.height]) / 2
        assert_allclose(axes @ np.diag(spread**2) @ axes.T, np.cov(mine.T), atol=1e-8)
    assert strip.lines[0].get_ydata()[0] == pytest.approx(0.6)


def test_codes_without_bins_have_no_ellipse(drawn):
    trials, _ = drawn
    fig = codes.tuning(
        VELOCITY, trials.behaviour, np.zeros(30, int), {"codes": [1.0]}, 10, "mm/s", simulated=False
    )
    assert len(fig.axes[0].patches) == 1


def test_each_state_of_the_browser_shows_the_bins_of_its_code(drawn, monkeypatch):
    import IPython.display

    trials, said = drawn
    shown = []
    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: shown.append(data))
    codes.code_browser("codes", trials, said, np.vstack([VELOCITY, [[9, 9]]]))
    html = shown[0]["text/html"]
    frames = json.loads(re.search(r"Plotly\.addFrames\('[^']+', (\[.*?\])\);", html, re.DOTALL)[1])
    assert len(frames) == 5 and "SIMULATED" in html
    place = np.concatenate([0.5 * np.cumsum(part, axis=0) for part in np.split(trials.behaviour, [12])])
    for code, frame in enumerate(frames[:4]):
        _, mine, _, there, arrow = frame["data"]
        assert_allclose(values(mine["x"]), trials.behaviour[said == code, 0], atol=0.051)
        assert_allclose(values(there["y"]), place[said == code, 1], atol=0.051)
        assert mine["marker"]["color"] == to_hex(codes.code_colours(VELOCITY)[code])
        assert_allclose([arrow["x"][1], arrow["y"][1]], VELOCITY[code])
    assert "100 mm/s at 90°" in frames[2]["layout"]["title"]["text"]
    assert "never used" in frames[4]["layout"]["title"]["text"]


def test_what_follows_a_code_does_not_cross_the_end_of_a_trial(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setenv("NEUROLIB_HEADLESS", "1")
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: shown.append(data))
    trials = Trials(np.ones((4, 1)), np.eye(4)[:, :2], [2, 2], 0.1, output_unit="cm/s")
    codes.code_browser("codes", trials, np.array([0, 1, 0, 0]), VELOCITY[:2])
    titles = re.findall(r"next: ([^\"]*)\"", shown[0]["text/html"])
    assert {titles[-2], titles[-1]} == {"0 (50%), 1 (50%)", "never used"}  # after 1 its trial ends


def test_shares_are_drawn_in_per_cent_and_costs_one_line_per_model():
    fig = codes.stages({"latent": [0.7, 0.2], "null": [0.5, 0.1]}, [[-0.2, -0.1], [-0.3, -0.1]], False)
    left, right = fig.axes
    assert_allclose(left.lines[0].get_ydata(), [70, 20])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["latent", "null"]
    assert_allclose(right.lines[1].get_ydata(), [-0.3, -0.1])
    assert len(right.lines) == 3  # two models and nought


def test_usage_shows_rows_of_transitions_and_a_bar_per_rate():
    transitions = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    rates = {"small": {"nominal": 2.0, "used": 1.5}, "large": {"nominal": 6.0, "used": 4.0}}
    fig = codes.usage(transitions, 1, rates, simulated=True)
    left, right = fig.axes[:2]
    assert_allclose(left.images[0].get_array(), 100 * transitions)
    assert left.lines[0].get_ydata()[0] == 0.5  # between rest and movement
    assert [bar.get_width() for bar in right.patches] == [2.0, 6.0, 1.5, 4.0]
    assert [label.get_text() for label in right.get_yticklabels()] == ["small", "large"]


def test_information_has_a_dot_per_model_and_its_null_behind():
    rows = {"codes": [(1.0, 0.1, 0.2), (1.2, 0.3, 0.4)], "unit": [(0.1, 0.05, 0.3)]}
    fig = codes.information({"all": rows, "moving": rows}, simulated=False)
    assert len(fig.axes) == 2
    for ax in fig.axes:
        assert_allclose([bar.get_width() for bar in ax.patches], [0.3, 0.3])
        means, dots = ax.lines[0], ax.lines[1]
        assert_allclose(means.get_xdata(), 0.2)
        assert list(dots.get_xdata()) == [1.0, 1.2] and list(dots.get_ydata()) == [0, 0]
