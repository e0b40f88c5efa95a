"""Ellipsoids of a mixture: where they are, how wide, and which way they lean."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.viz.ellipsoids import mixture, shadow

FOCI = {"seen": np.zeros((3, 3))}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_shadow_has_the_variance_of_the_points_it_stands_for():
    rng = np.random.default_rng(0)
    covariance = np.cov(rng.normal(size=(50, 2)) @ [[3.0, 1.0], [0.0, 0.5]], rowvar=False)
    width, height, turn = shadow(covariance)
    along = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    assert_allclose((width / 2) ** 2, along @ covariance @ along)
    assert_allclose(width**2 / 4 + height**2 / 4, np.trace(covariance))


def test_every_component_heavy_enough_lies_in_every_view_at_its_place():
    means = np.array([[10.0, -20.0, 30.0], [-40.0, 0.0, 0.0], [0.0, 50.0, 0.0]])
    covariances = np.tile(np.diag([4.0, 9.0, 16.0]), (3, 1, 1))
    fig = mixture(FOCI, [0.6, 0.395, 0.005], means, covariances)
    for ax, (right, up) in zip(fig.axes, ((0, 1), (0, 2), (1, 2)), strict=True):
        drawn = ax.patches
        assert_allclose([p.center for p in drawn], means[:2][:, [right, up]])
        sd = np.array([2.0, 3.0, 4.0])[[right, up]]
        assert_allclose(sorted([drawn[0].width, drawn[0].height]), sorted(2 * sd))
        assert drawn[0].get_linewidth() > drawn[1].get_linewidth()


def test_components_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="for 2 weights"):
        mixture(FOCI, [0.5, 0.5], np.zeros((1, 3)), np.zeros((1, 3, 3)))
