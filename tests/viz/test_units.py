"""Pictures of units hold what was found, no more."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.metrics.dissimilarity import RDM
from neurolib.metrics.tuning import TuningConfig, tuning_curve
from neurolib.metrics.unique_variance import UniqueVariance
from neurolib.viz import units


@pytest.fixture(autouse=True)
def closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def test_bars_stack_up_to_what_is_explained():
    unique = np.array([[0.1, 0.0], [0.2, 0.3], [-0.05, 0.0]])
    found = UniqueVariance(("place", "speed"), np.array([0.2, 0.6, -0.01]), unique, np.ones((3, 2)))
    fig = units.variance_of_units({"one": found, "two": found, "three": found}, True)
    layers = [patch.get_data() for patch in fig.axes[0].patches]
    np.testing.assert_allclose(layers[-1].values, [0.6, 0.2, 0.0])  # the best first, nothing below 0
    heights = [layer.values[0] - layer.baseline[0] for layer in layers]
    np.testing.assert_allclose(heights, [0.2, 0.3, 0.1])
    assert [text.get_text() for text in fig.texts].count("SIMULATED") == 1


def test_curves_lie_in_their_bands():
    angle = np.random.default_rng(0).uniform(0, 6.28, 600)
    curve = tuning_curve(np.column_stack([np.cos(angle), angle]), angle, config=TuningConfig(8, True))
    fig = units.direction_curves({"neurons": (curve, [1, 0]), "network": (curve, [0])}, False)
    np.testing.assert_allclose(fig.axes[1].lines[0].get_ydata(), curve.mean[:, 0])
    assert fig.axes[0].get_title(loc="left") == "neurons" and not fig.axes[3].axison


def test_tables_have_no_diagonal():
    rdm = RDM(np.array([1.0, -0.2, 3.0]), np.arange(3), "crossnobis", 5, 2)
    fig = units.distance_tables({"neurons": rdm}, ["a", "b", "c"], False)
    shown = np.asarray(fig.axes[0].images[0].get_array().filled(np.nan))
    assert np.isnan(np.diag(shown)).all() and shown[0, 2] == -0.2
    assert fig.axes[0].images[0].get_clim() == (0, 3)
