"""A model that was run, not trained: what moves in it when an input changes, as a picture."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import ArrayLike

from neurolib.viz.style import GREY, mark_simulated


def influence(panels: Mapping[str, ArrayLike], floor: float, simulated: bool):
    """How much each latent step moves when the input at some step is changed, one panel per model.

    Parameters
    ----------
    panels : dict of array, shape (n_changed, n_steps)
        Row: where the input was changed; column: the latent step that moved.
    floor : float
        Below it a latent counts as unmoved and is left white.
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 2.5), sharey=True)
    high = max(float(np.max(moved)) for moved in panels.values())
    for ax, (title, moved) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        shown = np.ma.masked_less(np.asarray(moved).T, floor)
        picture = ax.imshow(
            shown, origin="lower", cmap="cividis", norm=LogNorm(max(floor, high * 1e-5), high)
        )
        ax.set(title=title, xlabel="input changed at step")
        ax.plot([-0.5, len(moved) - 0.5], [-0.5, len(moved) - 0.5], color=GREY, lw=0.8)
    np.atleast_1d(axes)[0].set_ylabel("latent step")
    fig.colorbar(picture, ax=axes, label="moved by", shrink=0.85)
    mark_simulated(fig, simulated)
    return fig
