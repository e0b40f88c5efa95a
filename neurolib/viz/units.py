"""Pictures of units: what each codes, how it is tuned and how far conditions lie apart. Results in, figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from neurolib.metrics.dissimilarity import RDM
from neurolib.metrics.tuning import TuningCurve
from neurolib.metrics.unique_variance import UniqueVariance
from neurolib.viz.style import COLOURS, GREY, mark_simulated

SHARED = "#c9c9c9"


def variance_of_units(panels: Mapping[str, UniqueVariance], simulated: bool):
    """Every unit a column, the best first: variance of each variable alone, and in grey what they share.

    Parameters
    ----------
    panels : dict of UniqueVariance
        Two columns of panels; all have the same variables, at most six.
    simulated : bool
    """
    n_rows = -(-len(panels) // 2)
    fig, axes = plt.subplots(n_rows, 2, figsize=(6.5, 1.65 * n_rows + 0.4), sharey=True, squeeze=False)
    for ax, (title, found) in zip(axes.flat, panels.items(), strict=False):
        order = np.argsort(-found.full)
        unique = found.unique[order].clip(0)
        base, edges = np.zeros(len(order)), np.arange(len(order) + 1) - 0.5
        for name, column, colour in zip(found.names, unique.T, COLOURS, strict=False):
            ax.stairs(base + column, edges, baseline=base, fill=True, color=colour, label=f"{name} alone")
            base = base + column
        whole = np.maximum(found.full[order], base)
        ax.stairs(whole, edges, baseline=base, fill=True, color=SHARED, label="shared")
        middle = np.median(found.full)
        ax.axhline(middle, color="#222222", lw=0.7, ls="--")
        ax.text(
            1,
            0.97,
            f"half of units above {middle:.2f}",
            transform=ax.transAxes,
            ha="right",
            va="top",
            fontsize=8,
        )
        ax.set(title=title, xlim=(-0.5, len(order) - 0.5), xticks=[])
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax in axes[-1]:
        ax.set_xlabel("units, the best first")
    fig.supylabel("share of a unit's variance, held out", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=3, loc="outside upper center")
    mark_simulated(fig, simulated)
    return fig


def direction_curves(rows: Mapping[str, tuple[TuningCurve, Sequence[int]]], simulated: bool):
    """Tuning of some units to direction, a row per population, with intervals.

    Parameters
    ----------
    rows : dict of (TuningCurve, sequence of int)
        A curve over angles in radians, and the units to show.
    simulated : bool
    """
    width = max(len(units) for _, units in rows.values())
    fig, axes = plt.subplots(
        len(rows), width, figsize=(6.5, 1.45 * len(rows) + 0.5), sharex=True, squeeze=False
    )
    for line, (title, (curve, units)), colour in zip(axes, rows.items(), COLOURS, strict=False):
        angle = np.degrees(curve.centres)
        for ax, unit in zip(line, units, strict=False):
            ax.fill_between(angle, curve.low[:, unit], curve.high[:, unit], color=colour, alpha=0.25, lw=0)
            ax.plot(angle, curve.mean[:, unit], "-", color=colour)
            ax.set(xticks=[0, 180, 360], xlim=(0, 360))
            ax.tick_params(axis="y", labelsize=8)
            ax.locator_params(axis="y", nbins=3)
        for ax in line[len(units) :]:
            ax.axis("off")
        line[0].set_title(title)
    fig.supxlabel("direction of the hand (degrees)", fontsize=9)
    mark_simulated(fig, simulated)
    return fig


def distance_tables(tables: Mapping[str, RDM], names: Sequence[str], simulated: bool):
    """Distances between conditions, a table per population, each with its own range of colours from 0.

    Parameters
    ----------
    tables : dict of RDM
        Of the same conditions.
    names : sequence of str
        Short names of conditions.
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(tables), figsize=(6.5, 2.5), squeeze=False)
    for ax, (title, rdm) in zip(axes[0], tables.items(), strict=True):
        shown = ax.imshow(_bare(rdm), vmin=0, interpolation="nearest")
        bar = fig.colorbar(shown, ax=ax, orientation="horizontal", pad=0.03, aspect=18)
        bar.ax.tick_params(labelsize=8)
        bar.ax.locator_params(axis="x", nbins=3)
        ax.set(title=title, xticks=range(len(names)), yticks=[])
        ax.set_xticklabels(names, fontsize=8)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
    axes[0, 0].set(yticks=range(len(names)))
    axes[0, 0].set_yticklabels(names, fontsize=8)
    fig.supxlabel("crossnobis distance per unit", fontsize=9)
    for ax in axes.flat:
        for side in ax.spines.values():
            side.set_color(GREY)
    mark_simulated(fig, simulated)
    return fig


def _bare(rdm: RDM) -> NDArray:
    """Distances without the diagonal, which says nothing."""
    table = rdm.matrix().copy()
    np.fill_diagonal(table, np.nan)
    return table
