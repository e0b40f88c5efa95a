"""Pictures of recognition: correlations of a few maps with many candidates in, one strip per map and method out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def strips(
    found: Mapping[str, Mapping[str, tuple[ArrayLike, list[int], ArrayLike]]],
    xlabel: str,
    simulated: bool,
) -> Figure:
    """One panel per method, one row per map: every candidate as a dot, the right one marked.

    Parameters
    ----------
    found : mapping of str to mapping
        Method to map to ``(scores, right, null)``: the score of every candidate, the positions of
        the right ones (none if unknown), and scores of the null, whose largest is a grey bar's end.
    xlabel : str
    simulated : bool
        Whether to mark the figure.

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If there is no method, or methods have different maps.
    """
    rows = [list(maps) for maps in found.values()]
    if not rows or any(row != rows[0] for row in rows):
        raise ValueError(f"methods have the maps {rows}; they must be the same")
    size = (6.5, 0.5 * len(rows[0]) + 1.3)
    fig, axes = plt.subplots(1, len(rows), figsize=size, sharey=True, sharex=True, squeeze=False)
    for ax, (method, maps) in zip(axes[0], found.items(), strict=True):
        for y, (scores, right, null) in enumerate(maps.values()):
            scores = np.asarray(scores, float)
            ax.barh(y, np.max(null) - np.min(null), 0.5, np.min(null), color=GREY, alpha=0.3, lw=0)
            ax.plot(scores, np.full(len(scores), y), "|", ms=8, color=COLOURS[0], alpha=0.5)
            ax.plot(scores[right], np.full(len(right), y), "o", ms=6, color=COLOURS[1])
        ax.set(title=method, xlabel=xlabel, yticks=range(len(maps)), yticklabels=[*maps])
        ax.title.set_fontsize(8.5)
        ax.axvline(0, color=GREY, lw=0.7)
    axes[0, 0].invert_yaxis()
    mark_simulated(fig, simulated)
    return fig
