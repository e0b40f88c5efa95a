"""Pictures of sparse dictionaries: scores over active features, matched cosines, tuning and steering; matplotlib figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated

MARKERS = ("o", "s", "^", "D")


def over_k(
    ks: Sequence[int],
    panels: Mapping[str, Mapping[str, ArrayLike]],
    levels: Mapping[str, float],
    simulated: bool,
) -> Figure:
    """Scores over the number of active features, one panel per score.

    Parameters
    ----------
    ks : sequence of int
    panels : dict of dict of array_like, shape (n_ks,) or (n_seeds, n_ks)
        Score to name to values; a line is the mean over seeds.
    levels : dict of float
        By panel: a dotted line across.
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 3.1), layout="constrained", squeeze=False)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for name, values in lines.items():
            values, at = np.atleast_2d(values), names.index(name)
            colour = GREY if at == len(names) - 1 else COLOURS[at]
            ax.plot(ks, values.mean(axis=0), marker=MARKERS[at % 4], ms=4, color=colour, label=name)
            if len(values) > 1:
                ax.plot(ks, values.T, ".", ms=2, color=colour)
        if title in levels:
            ax.axhline(levels[title], color=GREY, ls=":", lw=1)
        ax.set(xlabel="active features, or components", ylabel=title, xscale="log")
        ax.set_xticks(ks, [f"{k:g}" for k in ks])
        ax.minorticks_off()
    handles = {
        label: handle for ax in axes[0] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=8)
    mark_simulated(fig, simulated)
    return fig


def matched_cosines(panels: Mapping[str, Mapping[str, ArrayLike]], shared: float, simulated: bool) -> Figure:
    """Cosines of matched features of two seeds, the largest first, one panel per stream of vectors.

    Parameters
    ----------
    panels : dict of dict of array_like, shape (n_features,)
        Stream to name to cosines; the last name is drawn in grey.
    shared : float
        Above this line a feature counts as found twice.
    simulated : bool
    """
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 3.0), sharey=True, layout="constrained", squeeze=False
    )
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for at, (name, cosines) in enumerate(rows.items()):
            ranked = np.sort(np.asarray(cosines))[::-1]
            colour = GREY if at == len(rows) - 1 else COLOURS[at]
            ax.plot(
                100 * (np.arange(len(ranked)) + 0.5) / len(ranked), ranked, color=colour, lw=1.8, label=name
            )
        ax.axhline(shared, color=GREY, ls=":", lw=1)
        ax.set(title=title, xlabel="share of features (%)", ylim=(-0.05, 1.05), xlim=(0, 100))
    axes[0, 0].set_ylabel("cosine to the partner")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    mark_simulated(fig, simulated)
    return fig


def tuned_and_steered(
    tuned: Mapping[str, ArrayLike],
    steered: ArrayLike,
    preferred: ArrayLike,
    others: ArrayLike,
    unit: str,
    simulated: bool,
) -> Figure:
    """Selectivity by group, and where steering moves the output.

    Parameters
    ----------
    tuned : dict of array_like
        Group to one share of variance per feature.
    steered, others : array_like, shape (n, 2)
        Change of the output by features, and by random directions.
    preferred : array_like, shape (n,)
        Preferred direction of the features, radians; their colour.
    unit : str
        Of the output.
    simulated : bool
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.2), layout="constrained", width_ratios=(1.5, 1))
    draw = np.random.default_rng(0)
    for x, values in enumerate(tuned.values()):
        colour = GREY if x == len(tuned) - 1 else COLOURS[x]
        values = np.asarray(values)
        left.plot(x + draw.uniform(-0.2, 0.2, len(values)), values, "o", ms=3, alpha=0.6, color=colour)
        left.plot([x - 0.3, x + 0.3], [np.median(values)] * 2, color=colour, lw=2)
    left.set_xticks(range(len(tuned)), [name.replace(" ", "\n") for name in tuned], fontsize=8)
    left.set(ylabel="variance between directions (η²)", ylim=(0, None))
    steered, others = np.atleast_2d(steered), np.atleast_2d(others)
    right.plot(others[:, 0], others[:, 1], "x", ms=4, color=GREY, label="random directions")
    colours = plt.get_cmap("hsv")(np.mod(preferred, 2 * np.pi) / (2 * np.pi)) * [0.8, 0.8, 0.8, 1]
    for (x, y), angle, colour in zip(steered, preferred, colours, strict=True):
        right.plot([0, x], [0, y], color=colour, lw=1.2)
        right.plot(x, y, "o", ms=4, color=colour)
        reach = np.hypot(x, y)
        right.plot(reach * np.cos(angle), reach * np.sin(angle), "o", ms=6, mfc="none", color=colour, mew=0.8)
    right.plot([], [], "o", color="#222222", ms=4, label="moved to")
    right.plot([], [], "o", color="#222222", ms=6, mfc="none", label="preferred")
    right.set(xlabel=f"change of vx ({unit})", ylabel=f"change of vy ({unit})")
    right.set_aspect("equal", adjustable="datalim")
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3, fontsize=8)
    mark_simulated(fig, simulated)
    return fig
