"""Pictures of a model that was run, not trained: its parameters by part, and what moves when an input changes."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def parameter_bars(presets: Mapping[str, Mapping[str, int]]):
    """Share of the parameters that each part has, a bar per preset, whose total stands beside it.

    Parameters
    ----------
    presets : dict of dict of int
        Parameters by part, for each preset.
    """
    parts = list(next(iter(presets.values())))
    fig, ax = plt.subplots(figsize=(6.5, 0.42 * len(presets) + 1.1))
    for y, found in enumerate(presets.values()):
        total, left = sum(found.values()), 0.0
        for part, colour in zip(parts, (*COLOURS[:6], GREY), strict=False):
            share = 100 * found[part] / total
            ax.barh(y, share, left=left, color=colour, height=0.68, label=part if y == 0 else None)
            if share > 7:
                dark = colour in (COLOURS[4], COLOURS[5], COLOURS[3])
                ax.text(
                    left + share / 2,
                    y,
                    f"{share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="#222222" if dark else "white",
                )
            left += share
        ax.text(
            101, y, f"{total / 1e6:.2g} M" if total < 1e7 else f"{total / 1e6:.0f} M", va="center", fontsize=8
        )
    ax.set(yticks=range(len(presets)), yticklabels=list(presets), xlabel="% of the parameters", xlim=(0, 100))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, columnspacing=1.2)
    return fig


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
