"""Live brain maps in JupyterLab: controls and a function that draws in, a panel that follows them out.

On a page nothing moves without Python, so nothing is shown there: its twin is in
:mod:`neurolib.viz.atlas_viewer`, made from the same decoder.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neurolib.atlas.decoder import Decoder
from neurolib.viz.brain import slices

CUTS = {"x": (-6,), "y": (-20,), "z": (20,)}


def live(controls: Mapping[str, Any], draw: Callable[..., Figure]) -> None:
    """Show controls above the figure that ``draw`` makes of their values; a headless run shows nothing.

    Parameters
    ----------
    controls : mapping of str to ipywidgets widget
        Under the names of the arguments of ``draw``.
    draw : callable
        Values of the controls to a figure, which is closed afterwards.
    """
    if os.environ.get("NEUROLIB_HEADLESS"):
        return
    from IPython.display import display

    display(panel(controls, draw))


def panel(controls: Mapping[str, Any], draw: Callable[..., Figure]):
    """The widgets of :func:`live`, and below them the picture as PNG.

    Returns
    -------
    ipywidgets.VBox
    """
    import ipywidgets

    picture = ipywidgets.Image(format="png", layout={"max_width": "100%", "width": "760px"})

    def redraw(_=None):
        fig = draw(**{name: control.value for name, control in controls.items()})
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", dpi=150)
        plt.close(fig)
        picture.value = buffer.getvalue()

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*controls.values(), picture])


def latent_controls(labels: Mapping[int, str], reach: float = 3.0) -> dict[str, Any]:
    """A slider per latent dimension, which redraws when it is let go.

    Parameters
    ----------
    labels : mapping of int to str
        Number of the dimension to what it goes with.
    reach : float
        Ends of the sliders.

    Returns
    -------
    dict of str to ipywidgets.FloatSlider
        Under ``z0``, ``z1`` and so on.
    """
    import ipywidgets

    return {
        f"z{number}": ipywidgets.FloatSlider(
            value=0.0,
            min=-reach,
            max=reach,
            step=0.1,
            description=f"z{number}: {label}",
            continuous_update=False,
            style={"description_width": "22em"},
            layout={"width": "46em", "max_width": "100%"},
        )
        for number, label in labels.items()
    }


def latent_map(
    decoder: Decoder,
    condition: ArrayLike | None = None,
    *,
    cuts: Mapping[str, Sequence[float]] = CUTS,
    limit: float | None = None,
    simulated: bool = False,
) -> Callable[..., Figure]:
    """What :func:`live` draws for the sliders of :func:`latent_controls`: one row of slices.

    Parameters
    ----------
    decoder : Decoder
        The one that was exported for the page.
    condition : array, shape (n_condition,), optional
    cuts, limit, simulated
        As in :func:`neurolib.viz.brain.slices`.

    Returns
    -------
    callable
        Takes ``z0=...`` and so on; dimensions that are not named stay at zero.
    """

    def draw(**values: float) -> Figure:
        z = np.zeros(decoder.n_latent)
        for name, value in values.items():
            z[int(name.removeprefix("z"))] = value
        return slices(decoder(z, condition), decoder.grid, cuts=cuts, limit=limit, simulated=simulated)

    return draw


def condition_controls(studies: Sequence[int], topics: Sequence[str], years: Sequence[int]) -> dict[str, Any]:
    """What a conditional explorer asks: which study, what it is told to be about, and when.

    Parameters
    ----------
    studies : sequence of int
    topics : sequence of str
        The first entry of the list is ``"its own"``.
    years : sequence of int
        First and last year.

    Returns
    -------
    dict of str to ipywidgets widget
        ``study``, ``topic`` and ``year``.
    """
    import ipywidgets

    return {
        "study": ipywidgets.Dropdown(options=list(studies), description="study"),
        "topic": ipywidgets.Dropdown(options=["its own", *topics], description="topic"),
        "year": ipywidgets.IntSlider(
            value=years[1], min=years[0], max=years[1], description="year", continuous_update=False
        ),
    }
