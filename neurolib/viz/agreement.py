"""Pictures of agreement between dissimilarities: scores with ceilings in, nulls in, layers in; figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated

Ends = tuple[float, float, float]


def ceiling_chart(
    panels: Mapping[str, Mapping[str, Ends | None]],
    ceilings: Mapping[str, tuple[float, float] | None],
    xlabel: str,
    simulated: bool,
) -> Figure:
    """Point and interval per row, one panel per key, with the range that a perfect model could reach as a band.

    Parameters
    ----------
    panels : dict of dict
        Panel title to row to ``(estimate, low, high)``, or None where there is none; all have the same rows.
    ceilings : dict of (lower, upper)
        Of panels that have one.
    xlabel : str
    simulated : bool
    """
    rows = list(next(iter(panels.values())))
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 0.26 * len(rows) + 1.0), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        if ceilings.get(title):
            ax.axvspan(*ceilings[title], color=GREY, alpha=0.25, lw=0)
        ax.axvline(0, color=GREY, lw=0.7)
        for y, row in enumerate(rows):
            if values[row] is not None:
                estimate, low, high = values[row]
                ax.plot([low, high], [y, y], color=COLOURS[0], lw=1.8)
                ax.plot(estimate, y, "o", color=COLOURS[0], ms=4.5)
        ax.set(title=title, xlabel=xlabel, yticks=range(len(rows)), yticklabels=rows)
        ax.grid(axis="x", lw=0.3)
    axes[0, 0].invert_yaxis()
    mark_simulated(fig, simulated)
    return fig


def null_panels(
    draws: ArrayLike,
    naive: float,
    measured: Mapping[str, float],
    expected: Mapping[str, float],
    title: str,
    simulated: bool,
) -> Figure:
    """What permuted stimuli give, beside what a test that takes pairs for independent expects.

    Parameters
    ----------
    draws : array_like, shape (n_permutations,)
        Of one pair of RDMs.
    naive : float
        Standard deviation if pairs were independent.
    measured, expected : dict of float
        Standard deviation of the permutations, and from a formula, by RDM.
    title : str
        Whose the draws are.
    simulated : bool
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.9))
    draws = np.asarray(draws, float)
    left.hist(
        draws,
        bins=40,
        density=True,
        histtype="stepfilled",
        color=COLOURS[0],
        alpha=0.6,
        label="images permuted",
    )
    x = np.linspace(draws.min(), draws.max(), 200)
    density = np.exp(-0.5 * (x / naive) ** 2) / naive / np.sqrt(2 * np.pi)
    left.plot(x, density, color=COLOURS[1], label="pairs taken for independent")
    left.set(title=title, xlabel="Spearman correlation", ylabel="density", yticks=[])
    left.locator_params(axis="x", nbins=5)
    left.set_ylim(0, 1.45 * density.max())
    left.legend(loc="upper left")
    reach = 1.25 * max(*measured.values(), *expected.values(), naive)
    right.plot([0, reach], [0, reach], color=GREY, lw=0.8)
    right.axhline(naive, color=COLOURS[1], lw=1.2)
    right.text(reach, naive, "independent pairs", color=COLOURS[1], ha="right", va="bottom")
    right.plot([expected[key] for key in measured], list(measured.values()), "o", color=COLOURS[0], ms=5)
    right.set(title="All pairs of RDMs", xlabel="SD from the formula", ylabel="SD of permutations")
    right.set(xlim=(0, reach), ylim=(0, reach))
    mark_simulated(fig, simulated)
    return fig


def depth_chart(
    panels: Mapping[str, Mapping[str, Sequence[Ends]]],
    layers: Sequence[str],
    ceilings: Mapping[str, tuple[float, float] | None],
    levels: Mapping[str, float],
    ylabel: str,
    simulated: bool,
) -> Figure:
    """Scores over the layers of networks, one panel per key; networks of one kind share a colour.

    Parameters
    ----------
    panels : dict of dict of sequence
        Panel title to network to ``(estimate, low, high)`` by layer; the kind is the name's first word.
    layers : sequence of str
    ceilings : dict of (lower, upper)
        The lower end is drawn, where it is in sight.
    levels : dict of float
        A dashed line per panel, such as the score of pixels.
    ylabel : str
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 2.9), sharey=True, squeeze=False)
    for ax, (title, networks) in zip(axes[0], panels.items(), strict=True):
        kinds: dict[str, str] = {}
        for name, points in networks.items():
            kind = name.split()[0]
            new = kind not in kinds
            colour = kinds.setdefault(kind, COLOURS[len(kinds)])
            estimate, low, high = np.array(points, float).T
            ax.plot(estimate, "o-", color=colour, ms=3.5, lw=1.2, label=kind if new else None)
            ax.fill_between(range(len(layers)), low, high, color=colour, alpha=0.1, lw=0)
        ax.axhline(levels[title], color=GREY, ls="--", lw=1, label="pixels")
        if ceilings.get(title):
            ax.axhline(ceilings[title][0], color="#444444", lw=1.2, label="lower ceiling")
        ax.axhline(0, color=GREY, lw=0.5)
        ax.set(title=title, xticks=range(len(layers)))
        ax.set_xticklabels(layers, rotation=40, ha="right")
    axes[0, 0].set_ylabel(ylabel)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    mark_simulated(fig, simulated)
    return fig
