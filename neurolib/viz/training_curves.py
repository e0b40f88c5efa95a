"""Scores of checkpoints over training steps, with the bends found in them. Numbers in, a matplotlib figure out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from neurolib.metrics.trajectory import Bends
from neurolib.viz.style import COLOURS, GREY, mark_simulated


def training_curves(
    steps: Sequence[int],
    panels: Mapping[str, Sequence[tuple[float, float, float]]],
    bent: Mapping[str, Bends],
    simulated: bool,
):
    """One panel per score, two in a row: the curve, its band, and where it bends.

    Parameters
    ----------
    steps : sequence of int
        Checkpoints.
    panels : dict of sequence of (estimate, low, high)
        One entry per checkpoint.
    bent : dict of Bends
        By the same names; those that are missing have no marks.
    simulated : bool
    """
    n_rows = -(-len(panels) // 2)
    fig, axes = plt.subplots(n_rows, 2, figsize=(6.5, 1.7 * n_rows + 0.5), sharex=True, squeeze=False)
    for ax, (name, points) in zip(axes.flat, panels.items(), strict=False):
        estimate, low, high = zip(*points, strict=True)
        ax.fill_between(steps, low, high, color=COLOURS[0], alpha=0.2, lw=0)
        ax.plot(steps, estimate, "o-", ms=3, color=COLOURS[0])
        for bend in bent[name].steps if name in bent else ():
            ax.axvspan(bend.low, bend.high, color=GREY, alpha=0.2, lw=0)
            ax.axvline(bend.estimate, color=GREY, ls="--", lw=1)
        ax.set_xscale("log")
        ax.set_title(name)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for column in range(2):
        shown = [ax for ax in axes[:, column] if ax.get_visible()]
        if shown:
            shown[-1].set_xlabel("training step")
            shown[-1].tick_params(labelbottom=True)
    mark_simulated(fig, simulated)
    return fig
