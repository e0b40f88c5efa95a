"""Skill of several methods on several signals: intervals in, one matplotlib figure out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt

from neurolib.viz.style import COLOURS, GREY, mark_simulated

STYLES = ((COLOURS[0], "o"), (COLOURS[1], "s"), (GREY, "x"), (COLOURS[2], "^"), (COLOURS[3], "D"))


def skill_chart(
    rows: Mapping[str, Mapping[str, tuple[float, float, float]]], xlabel: str, simulated: bool
) -> plt.Figure:
    """One row per signal, in it one point and interval per method.

    Parameters
    ----------
    rows : dict of dict
        Signal to method to ``(estimate, low, high)``; methods may be lacking.
    xlabel : str
    simulated : bool

    Examples
    --------
    >>> fig = skill_chart({"EMG": {"model": (0.4, 0.3, 0.5), "null": (0.0, -0.1, 0.1)}}, "skill", False)
    >>> [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    ['model', 'null']
    """
    methods = list(dict.fromkeys(method for row in rows.values() for method in row))
    fig, ax = plt.subplots(figsize=(6.5, 0.24 * len(methods) * len(rows) + 1.2), layout="constrained")
    for i, (method, (colour, marker)) in enumerate(zip(methods, STYLES, strict=False)):
        shift = 0.7 * ((i + 0.5) / len(methods) - 0.5)
        for y, row in enumerate(rows.values()):
            if method not in row:
                continue
            estimate, low, high = row[method][:3]
            ax.plot([low, high], [y + shift] * 2, color=colour, lw=2)
            ax.plot(
                estimate,
                y + shift,
                marker,
                color=colour,
                ms=5,
                label=method if y == _first(rows, method) else None,
            )
    ax.set(xlabel=xlabel, yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.5))
    ax.axvline(0, color=GREY, lw=0.7)
    ax.grid(axis="x", lw=0.3)
    ax.legend(ncols=min(len(methods), 4), loc="lower left", bbox_to_anchor=(0, 1))
    mark_simulated(fig, simulated)
    return fig


def _first(rows, method: str) -> int:
    """Row in which a method comes first, for the legend."""
    return next(y for y, row in enumerate(rows.values()) if method in row)
