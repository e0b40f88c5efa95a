"""Pictures of circuits by size: shares of a score over numbers of components in, matplotlib figures out."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def size_curves(
    panels: Mapping[str, Mapping[str, Any]],
    xlabel: str,
    ylabel: str,
    levels: Mapping[str, float],
    simulated: bool,
):
    """Faithfulness over size, one panel per key, with one legend for all.

    Parameters
    ----------
    panels : dict of dict
        Title to ``lines`` (name to ``(x, y)``), and if there are any ``band`` (``(x, low, high)`` of the
        controls, in grey) and ``point`` (``(x, y)`` of what was chosen).
    xlabel, ylabel : str
    levels : dict of float
        Dashed lines across.
    simulated : bool
    """
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 2.9), sharey=True, squeeze=False, layout="constrained"
    )
    known: dict[str, Any] = {}
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel["lines"]))
    for ax, (title, panel) in zip(axes[0], panels.items(), strict=True):
        if "band" in panel:
            known["controls, 95 %"] = ax.fill_between(*panel["band"], color=GREY, alpha=0.25, lw=0)
        for name, (x, y) in panel["lines"].items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            (known[name],) = ax.plot(x, y, "o-", ms=2.5, lw=1.2, color=colour)
        for (name, level), style in zip(levels.items(), ("--", ":"), strict=False):
            known[name] = ax.axhline(level, color=GREY, ls=style, lw=1)
        if "point" in panel:
            x, y = panel["point"]
            (known["chosen, on test trials"],) = ax.plot(
                x, y, "*", ms=11, color=COLOURS[4], mec="white", mew=0.6
            )
        ax.set(title=title, xlabel=xlabel)
    axes[0, 0].set_ylabel(ylabel)
    fig.legend(known.values(), known.keys(), loc="outside lower center", ncols=min(len(known), 3), fontsize=8)
    mark_simulated(fig, simulated)
    return fig
