"""Pictures of attribution: maps of one window, what is left while inputs go, and maps of ever more random models."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from neurolib.interpret.attribution.checks import Curves, Randomisation
from neurolib.viz.style import COLOURS, GREY, mark_simulated

DASHES = ("-", "--", ":")


def map_panels(
    maps: dict[str, NDArray], bin_size_s: float, n_real: int | None = None, simulated: bool = False
):
    """Maps of one window side by side, units over time before the answer; each scaled by its own largest value.

    Parameters
    ----------
    maps : dict of array, shape (n_bins, n_units)
        The last bin is the one the answer is for.
    bin_size_s : float
    n_real : int, optional
        Draw a line above this unit; those beyond it carry nothing.
    simulated : bool
    """
    rows = -(-len(maps) // 4)
    fig, axes = plt.subplots(
        rows,
        min(len(maps), 4),
        figsize=(6.5, 1.9 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax in axes.flat[len(maps) :]:
        ax.set_visible(False)
    for ax, (name, values) in zip(axes.flat, maps.items(), strict=False):
        n_bins, n_units = values.shape
        limit = max(np.abs(values).max(), np.finfo(float).tiny)
        extent = (-1e3 * bin_size_s * n_bins, 0, n_units - 0.5, -0.5)
        settings = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
        ax.imshow(values.T, aspect="auto", extent=extent, **settings)
        ax.set_title(name, fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        if n_real is not None:
            ax.axhline(n_real - 0.5, color=GREY, lw=0.8)
    fig.supxlabel("time before the answer (ms)", fontsize=9)
    fig.supylabel("unit", fontsize=9)
    mark_simulated(fig, simulated)
    return fig


def removal_curves(curves: dict[str, Curves], chance: Curves, simulated: bool = False):
    """Mean over windows of what is left of an answer in deletion, and there is in insertion; random order in grey."""
    fig, axes = plt.subplots(1, 2, figsize=(6.5, 3.4), sharey=True, layout="constrained")
    styles = [(colour, dash) for dash in DASHES for colour in COLOURS]
    for ax, kind in zip(axes, ("deletion", "insertion"), strict=True):
        for (name, made), (colour, dash) in zip(curves.items(), styles, strict=False):
            ax.plot(made.share, getattr(made, kind).mean(0), color=colour, ls=dash, lw=1.4, label=name)
        ax.plot(
            chance.share, getattr(chance, kind).mean(0), color=GREY, lw=3, alpha=0.6, label="random order"
        )
        words = {"deletion": "share taken away", "insertion": "share put back"}[kind]
        ax.set(title=kind, xlabel=words)
        ax.axhline(0, color=GREY, lw=0.7)
    axes[0].set_ylabel("answer (1 = all inputs)")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    mark_simulated(fig, simulated)
    return fig


def cascades(made: dict[str, Randomisation], limit: float, simulated: bool = False):
    """Rank correlation with the map of the trained model while parts of it become random, absolute values."""
    fig, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
    styles = [(colour, dash) for dash in DASHES for colour in COLOURS]
    for (name, one), (colour, dash), mark in zip(made.items(), styles, cycle("osD^vPX<>hd"), strict=False):
        ax.plot(
            range(len(one.stages) + 1), [1.0, *one.size.mean(1)], color=colour, ls=dash, marker=mark, label=name
        )
    ax.axhline(limit, color=GREY, lw=0.9, ls="--")
    ax.axhline(0, color=GREY, lw=0.7)
    stages = [stage.rpartition(".")[2] or "everything" for stage in next(iter(made.values())).stages]
    ax.set(ylabel="rank correlation", xticks=range(len(stages) + 1), xticklabels=["trained", *stages])
    ax.set_xlabel("made random, each beside all before it")
    fig.legend(loc="outside lower center", ncols=3, fontsize=8)
    mark_simulated(fig, simulated)
    return fig


def modality_shares(shares: dict[str, dict[str, ArrayLike]], decoy: list[str], simulated: bool = False):
    """Bars of how maps divide themselves among modalities, a panel per network; the modality that carries nothing hatched.

    Parameters
    ----------
    shares : dict of dict of array, shape (n_networks,)
        By method and modality.
    decoy : list of str
        Of each network.
    simulated : bool
    """
    methods, kinds = list(shares), list(next(iter(shares.values())))
    fig, axes = plt.subplots(
        1,
        len(decoy),
        figsize=(6.5, 0.3 * len(methods) + 1.3),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for number, (ax, nothing) in enumerate(zip(axes[0], decoy, strict=True)):
        for y, method in enumerate(methods):
            left = 0.0
            for kind, colour in zip(kinds, COLOURS, strict=False):
                width = float(np.asarray(shares[method][kind])[number])
                hatch = "////" if kind == nothing else None
                ax.barh(y, width, left=left, color=colour, hatch=hatch, edgecolor="white", lw=0.5)
                left += width
        ax.set(title=f"{nothing} carries nothing", xlabel="share", xlim=(0, 1), yticks=range(len(methods)))
        ax.set_yticklabels(methods)
    axes[0, 0].invert_yaxis()
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS[: len(kinds)]]
    fig.legend(handles, kinds, loc="outside lower center", ncols=len(kinds), fontsize=8)
    mark_simulated(fig, simulated)
    return fig
