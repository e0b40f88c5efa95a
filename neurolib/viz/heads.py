"""Pictures of heads of attention while they are learned: scores per checkpoint in, matplotlib figures out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def formation(steps: ArrayLike, panels: Mapping[str, tuple[Mapping[str, ArrayLike], float]], simulated: bool):
    """Scores of heads over training: one panel per score, one colour per layer, one thin line per head and seed.

    Parameters
    ----------
    steps : array_like, shape (n_steps,)
    panels : mapping of str to (mapping of str to array, float)
        Title to lines by group, each ``(n_lines, n_steps)``, and the level of chance, which is dashed.
    simulated : bool
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 2.5), squeeze=False, layout="constrained")
    for ax, (title, (groups, chance)) in zip(axes[0], panels.items(), strict=True):
        for (name, lines), colour in zip(groups.items(), COLOURS, strict=False):
            for number, line in enumerate(np.atleast_2d(lines)):
                ax.plot(steps, line, color=colour, lw=1, alpha=0.8, label=None if number else name)
        ax.axhline(chance, color=GREY, ls="--", lw=1, label="chance")
        ax.set_title(title, fontsize=8)
        ax.set(xlabel="training step", ylim=(0, None))
        ax.legend(fontsize=8, frameon=False)
    mark_simulated(fig, simulated)
    return fig


def compositions(
    scores: Mapping[str, Mapping[str, ArrayLike]], chance: float, threshold: float, simulated: bool
):
    """Composition scores of all pairs of heads as points, chance and a threshold as lines.

    Parameters
    ----------
    scores : mapping of str to mapping of str to array
        Title of the panel to kind to scores, in any shape.
    chance, threshold : float
    simulated : bool
    """
    fig, axes = plt.subplots(
        1, len(scores), figsize=(6.5, 2.3), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (title, kinds) in zip(axes[0], scores.items(), strict=True):
        for y, values in enumerate(kinds.values()):
            flat = np.ravel(values)
            height = y + 0.25 * np.linspace(-1, 1, len(flat))
            ax.plot(flat, height, "o", color=COLOURS[0], ms=3, alpha=0.6, mew=0)
        ax.axvline(chance, color=GREY, ls="--", lw=1)
        ax.axvline(threshold, color=COLOURS[1], ls=":", lw=1.5)
        ax.set(xlim=(0, max(0.8, 1.1 * threshold)), yticks=range(len(kinds)), yticklabels=list(kinds))
        ax.set_title(title, fontsize=8)
        ax.set_xlabel("composition score")
    axes[0, 0].invert_yaxis()
    mark_simulated(fig, simulated)
    return fig
