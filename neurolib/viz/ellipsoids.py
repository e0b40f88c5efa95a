"""Mixtures of Gaussians in a glass brain: weights, means and covariances in, a figure of ellipses out."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import ArrayLike

from neurolib.viz import brain
from neurolib.viz.style import COLOURS

AXES = ((0, 1), (0, 2), (1, 2))  # right and up in the three views of brain.foci


def mixture(
    groups: Mapping[str, ArrayLike],
    weights: ArrayLike,
    means_mm: ArrayLike,
    covariances: ArrayLike,
    *,
    least: float = 0.01,
    simulated: bool = False,
) -> Figure:
    """Foci in a glass brain, with the ellipsoids that a model says they are from.

    An ellipse is the shadow of the surface at one standard deviation; heavier components are drawn bolder.

    Parameters
    ----------
    groups : mapping of str to array, shape (n, 3)
        As in :func:`neurolib.viz.brain.foci`.
    weights : array, shape (n_components,)
        Shares of the components.
    means_mm : array, shape (n_components, 3)
    covariances : array, shape (n_components, 3, 3)
        In mm².
    least : float
        Components with a smaller weight are not drawn.
    simulated : bool
        Whether to mark the figure.

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If the components' arrays do not fit.
    """
    weights, means, covariances = (np.asarray(a, float) for a in (weights, means_mm, covariances))
    if means.shape != (len(weights), 3) or covariances.shape != (len(weights), 3, 3):
        raise ValueError(
            f"means_mm {means.shape} and covariances {covariances.shape} for {len(weights)} weights"
        )
    fig = brain.foci(groups, size=14, simulated=simulated)
    for ax, plane in zip(fig.axes, AXES, strict=False):
        for weight, mean, covariance in zip(weights, means, covariances, strict=True):
            if weight >= least:
                width, height, turn = shadow(covariance[np.ix_(plane, plane)])
                bold = {"lw": 0.5 + 12 * weight, "ec": COLOURS[3], "fc": "none", "alpha": 0.8}
                ax.add_patch(Ellipse(mean[list(plane)], width, height, angle=turn, **bold))
    return fig


def shadow(covariance: ArrayLike) -> tuple[float, float, float]:
    """Both diameters at one standard deviation, and the turn of the first in degrees, of a 2 x 2 covariance.

    Examples
    --------
    >>> shadow([[4.0, 0.0], [0.0, 1.0]])
    (4.0, 2.0, 0.0)
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance, float))
    turn = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
    return float(2 * np.sqrt(values[1])), float(2 * np.sqrt(values[0])), float(turn % 180)
