"""Pictures of scores: intervals side by side, sweeps, learning curves. Numbers in, matplotlib figures out."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def interval_chart(panels: dict[str, dict[str, tuple[float, float, float]]], xlabel: str, simulated: bool):
    """Point and interval per row, one panel per key; rows share their order.

    Parameters
    ----------
    panels : dict of dict
        Panel title to row label to ``(estimate, low, high)``, or None where there is none.
    """
    labels = list(next(iter(panels.values())))
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 0.35 * len(labels) + 1.1), sharey=True, squeeze=False
    )
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for y, label in enumerate(labels):
            if rows[label] is None:
                continue
            estimate, low, high = rows[label]
            colour = GREY if label.startswith(("null", "oracle", "persistence")) else COLOURS[0]
            ax.plot([low, high], [y, y], color=colour, lw=2)
            ax.plot(estimate, y, "o", color=colour, ms=5)
        ax.set(title=title, xlabel=xlabel, yticks=range(len(labels)), yticklabels=labels)
        ax.axvline(0, color=GREY, lw=0.7)
        ax.grid(axis="x", lw=0.3)
    axes[0, 0].invert_yaxis()
    mark_simulated(fig, simulated)
    return fig


def sweep(x: ArrayLike, lines: dict[str, ArrayLike], xlabel: str, ylabel: str, simulated: bool, log=False):
    """One line per key over a swept setting; the best point of each is marked."""
    fig, ax = plt.subplots(figsize=(6.5, 2.8))
    for (name, y), colour in zip(lines.items(), COLOURS, strict=False):
        ax.plot(x, y, "o-", ms=3, color=colour, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        ax.set_xscale("log")
    if log or len(x) <= 6:
        ax.set_xticks(list(x), [f"{v:g}" for v in x])
        ax.minorticks_off()
    ax.legend(
        ncols=min(len(lines), 3), loc="lower left", bbox_to_anchor=(0, 1)
    )  # off the data, and off the mark
    mark_simulated(fig, simulated)
    return fig


def rate_curve(
    bits: ArrayLike,
    lines: dict[str, Sequence[tuple[float, float, float]]],
    levels: dict[str, float],
    ylabel: str,
    simulated: bool,
):
    """Score over bits, one line with its interval as a band per key; levels are dashed lines across.

    Parameters
    ----------
    bits : array_like, shape (n,)
    lines : dict of sequence of (estimate, low, high)
        One entry per rate.
    levels : dict of float
    """
    fig, ax = plt.subplots(figsize=(6.5, 2.9))
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        estimate, low, high = zip(*points, strict=True)
        ax.plot(bits, estimate, "o-", ms=4, color=colour, label=name)
        ax.fill_between(bits, low, high, color=colour, alpha=0.15, lw=0)
    for (name, level), style in zip(levels.items(), ("--", ":", "-."), strict=False):
        ax.axhline(level, color=GREY, ls=style, lw=1, label=name)
    ax.set(xlabel="bits per bin", ylabel=ylabel)
    ax.legend()
    mark_simulated(fig, simulated)
    return fig


def learning_curves(histories: dict[str, Sequence], ylabel: str, simulated: bool):
    """Valid loss over steps, one thin line per seed and a dot at the weights that were kept."""
    fig, ax = plt.subplots(figsize=(6.5, 2.6))
    for (name, logs), colour in zip(histories.items(), COLOURS, strict=False):
        for i, log in enumerate(logs):
            ax.plot(log.step, log.valid, color=colour, lw=0.9, alpha=0.8, label=name if i == 0 else None)
            ax.plot(log.best_step, log.valid[log.step.index(log.best_step)], "o", color=colour, ms=3)
    ax.set(xlabel="training step", ylabel=ylabel)
    ax.legend()
    mark_simulated(fig, simulated)
    return fig
