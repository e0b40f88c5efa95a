"""Pictures of models of several modalities: losses of their tasks, scores with modalities left out. Numbers in, figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def smoothed(values: ArrayLike, keep: float = 0.8) -> np.ndarray:
    """Running average of losses; what is missing is passed over.

    Examples
    --------
    >>> smoothed([4.0, np.nan, 0.0], keep=0.5).tolist()
    [4.0, 4.0, 2.0]
    """
    out, last = [], np.nan
    for value in np.asarray(values, float):
        if not np.isnan(value):
            last = value if np.isnan(last) else keep * last + (1 - keep) * value
        out.append(last)
    return np.array(out)


def task_losses(runs: Sequence[Sequence[Mapping[str, float]]], panels: Mapping[str, str], simulated: bool):
    """Losses over training, relative to their first eighth, one small panel per kind of task and one line per task.

    Parameters
    ----------
    runs : sequence of runs, each a sequence of dict of float
        Loss of every task that a step's batch served; tasks are averaged over runs.
    panels : mapping of str to str
        Title of a panel to the beginning of its tasks' names.
    simulated : bool
    """
    names = list(dict.fromkeys(name for run in runs for step in run for name in step))
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 2.5), sharey=True, squeeze=False)
    for ax, (title, start) in zip(axes[0], panels.items(), strict=True):
        shown = [name for name in names if name.startswith(start)]
        for name, colour in zip(shown, COLOURS, strict=False):
            lines = [smoothed([step.get(name, np.nan) for step in run]) for run in runs]
            first = max(len(runs[0]) // 8, 1)
            relative = [line / line[~np.isnan(line)][:first].mean() for line in lines]
            mean = np.ma.masked_invalid(relative).mean(axis=0).filled(np.nan)
            label = name.removeprefix(start).strip("_")
            ax.plot(np.arange(1, len(mean) + 1), mean, color=colour, lw=1.2, label=label or None)
        ax.axhline(1, color=GREY, lw=0.7)
        ax.set(title=title, xlabel="training step")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set_ylabel("relative loss")
    handles = {
        label: line for ax in axes[0] for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    fig.legend(handles.values(), handles, loc="outside lower center", ncols=4)
    mark_simulated(fig, simulated)
    return fig


def removal_curve(scores: Mapping[str, Mapping[int, ArrayLike]], ylabel: str, simulated: bool):
    """Score against the number of modalities left: a dot per set of modalities, a line through the means.

    Parameters
    ----------
    scores : mapping of str to mapping of int to array_like
        Name of a reader to number of modalities left to the scores of all sets of that size.
    """
    fig, ax = plt.subplots(figsize=(6.5, 2.8))
    for i, ((name, by_size), colour) in enumerate(zip(scores.items(), COLOURS, strict=False)):
        sizes = sorted(by_size, reverse=True)
        for size in sizes:
            values = np.asarray(by_size[size], float)
            at = np.full(len(values), size + 0.12 * (i - (len(scores) - 1) / 2))
            ax.plot(at, values, "o", ms=2.5, color=colour, alpha=0.5)
        ax.plot(sizes, [np.mean(by_size[size]) for size in sizes], color=colour, label=name)
    ax.set(xlabel="modalities left", ylabel=ylabel, xticks=sizes)
    ax.axhline(0, color=GREY, lw=0.7)
    ax.invert_xaxis()
    ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1))  # off the data, and off the mark
    mark_simulated(fig, simulated)
    return fig


def modality_dots(
    panels: Mapping[str, Mapping[str, Mapping[str, float | Sequence[float]]]],
    null: Mapping[str, Mapping[str, float]],
    xlabel: str,
    simulated: bool,
):
    """One row per modality, one dot per reader, on axes that panels share.

    Parameters
    ----------
    panels : mapping
        Title to reader to modality to a value, or ``(estimate, low, high)``.
    null : mapping of str to mapping of str to float
        Title to modality to what chance reaches, drawn as a grey bar.
    xlabel : str
    simulated : bool
    """
    names = list(next(iter(next(iter(panels.values())).values())))
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 0.3 * len(names) + 1.2), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, readers) in zip(axes[0], panels.items(), strict=True):
        for y, name in enumerate(names):
            if title in null:
                ax.barh(y, null[title][name], 0.6, color=GREY, alpha=0.3, lw=0)
        for i, (reader, values) in enumerate(readers.items()):
            at = np.arange(len(names)) + 0.24 * (i - (len(readers) - 1) / 2)
            found = [np.broadcast_to(values[name], 3) for name in names]
            ax.plot([v[0] for v in found], at, "o", ms=4.5, color=COLOURS[i], label=reader)
            ax.hlines(at, [v[1] for v in found], [v[2] for v in found], color=COLOURS[i], lw=1.8)
        ax.set(title=title, xlabel=xlabel, yticks=range(len(names)), yticklabels=names)
        ax.axvline(0, color=GREY, lw=0.7)
        ax.grid(axis="x", lw=0.3)
    axes[0, 0].invert_yaxis()
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    mark_simulated(fig, simulated)
    return fig
