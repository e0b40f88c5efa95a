"""Scores against how much of the past a model sees: intervals per context in, a matplotlib figure out."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np

from neurolib.metrics.intervals import Interval
from neurolib.viz.style import COLOURS, mark_simulated

STEP = 1.035  # lines stand side by side, or their intervals would hide each other
STYLES = (":", "--", "-.")


def context_curves(
    panels: dict[str, dict[str, dict[float, Interval]]],
    unlimited: dict[str, dict[str, Interval]],
    xlabel: str,
    ylabel: str,
    simulated: bool,
) -> plt.Figure:
    """Score of each model over its context, one panel per key, with intervals as bars.

    Parameters
    ----------
    panels : dict of dict of dict
        Panel title to model to context to interval; panels share their models' colours.
    unlimited : dict of dict
        Panel title to model to interval, for models whose memory has no fixed length: dashed lines.
    xlabel, ylabel : str
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 3.2), sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = dict(zip(names, cycle(COLOURS), strict=False))
    flat = list(dict.fromkeys(name for rows in unlimited.values() for name in rows))
    greys = {name: (str(0.25 + 0.2 * (i % 3)), STYLES[i % len(STYLES)]) for i, name in enumerate(flat)}
    shown = {}
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for i, (name, by_context) in enumerate(lines.items()):
            x = np.array(list(by_context)) * STEP ** (i - (len(lines) - 1) / 2)
            estimate, low, high = np.array([interval[:3] for interval in by_context.values()]).T
            colour = colours[name]
            ax.vlines(x, low, high, color=colour, lw=1.5, alpha=0.6)
            shown[name] = ax.plot(x, estimate, "o-", ms=4, color=colour, label=name)[0]
        for name, interval in unlimited.get(title, {}).items():
            grey, style = greys[name]
            shown[name] = ax.axhline(interval[0], color=grey, ls=style, lw=1.1, label=name)
        contexts = sorted({context for by_context in lines.values() for context in by_context})
        ax.set_xscale("log")
        ax.set_xticks(contexts, [f"{context:g}" for context in contexts])
        ax.minorticks_off()
        ax.set(title=title, xlabel=xlabel)
    axes[0, 0].set_ylabel(ylabel)
    fig.legend(shown.values(), shown, loc="outside lower center", ncols=min(len(shown), 3), handlelength=2.5)
    mark_simulated(fig, simulated)
    return fig
