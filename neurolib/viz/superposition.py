"""Pictures of shared channels and of selectivity: numbers of a sweep in, matplotlib figures out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def toy_sweep(active: ArrayLike, panels: Mapping[str, Mapping[str, ArrayLike]]):
    """One panel per quantity, one line per estimate, over how often a feature is active; rare on the right.

    Parameters
    ----------
    active : array_like, shape (n,)
        Shares of time.
    panels : dict of dict of array, shape (n,)
        Title to name to values; names that start with "(" are bounds and drawn in grey.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 3.0), squeeze=False)
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for number, (name, values) in enumerate(lines.items()):
            if name.startswith("("):
                style = {"color": GREY, "ls": ("--", ":")[number % 2], "lw": 1.5}
            else:
                style = {"color": COLOURS[number], "marker": "o", "ms": 4}
            ax.plot(active, values, label=name.strip("()"), **style)
        ax.set_xscale("log")
        ax.invert_xaxis()
        ax.set_xticks(list(active), [f"{100 * v:g}" for v in active])
        ax.minorticks_off()
        ax.set(title=title, xlabel="time a feature is active (%)")
        ax.set_ylim(0, None)
        ax.legend(fontsize=8)
    mark_simulated(fig, True)
    return fig


def selectivity_at_reliability(
    units: Mapping[str, tuple[ArrayLike, ArrayLike]],
    neurons: tuple[ArrayLike, ArrayLike],
    simulated: bool,
):
    """Categories singled out against reliability: units as lines of falling reliability, each neuron a point.

    Parameters
    ----------
    units : dict of (array, array)
        Name to reliability and mean number of categories, at every level of noise.
    neurons : (array, array), shape (n_neurons,) each
    simulated : bool
    """
    fig, ax = plt.subplots(figsize=(6.5, 3.0))
    reliability, count = (np.asarray(values, float) for values in neurons)
    jitter = 0.16 * (np.arange(len(count)) % 5 - 2) / 2  # counts are whole numbers
    ax.plot(reliability, count + jitter, "o", ms=4, color=GREY, alpha=0.7, label="neurons")
    for (name, (x, y)), colour in zip(units.items(), COLOURS, strict=False):
        ax.plot(x, y, "o-", ms=4, color=colour, label=name)
    ax.set(xlabel="reliability of a single reach", ylabel="directions singled out")
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    mark_simulated(fig, simulated)
    return fig


def false_positives(levels: ArrayLike, shares: Mapping[str, ArrayLike]):
    """Share of points rejected against the level of the test, where nothing should be.

    Parameters
    ----------
    levels : array_like, shape (n,)
    shares : dict of array, shape (n,)
    """
    fig, ax = plt.subplots(figsize=(6.5, 2.8))
    ax.plot(levels, levels, color=GREY, lw=1.2, label="what it should be")
    least = min(levels) / 4  # where no point is rejected, on a logarithmic axis
    for number, (name, values) in enumerate(shares.items()):
        style = ("o-", "s--")[number % 2]
        ax.plot(levels, np.maximum(values, least), style, ms=4, color=COLOURS[1 - number // 2], label=name)
    ax.set(xscale="log", yscale="log", xlabel="level of the test", ylabel="share of points rejected")
    ax.set_xticks(list(levels), [f"{level:g}" for level in levels])
    ax.minorticks_off()
    ax.legend(ncols=3, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    mark_simulated(fig, True)
    return fig
