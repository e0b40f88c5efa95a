"""Pictures of years: yearly means with their bands in, small panels over time out."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from neurolib.metrics.drift import Bands
from neurolib.viz.style import COLOURS, GREY, mark_simulated


def bands(found: Bands, titles: Sequence[str], ylabel: str, simulated: bool, n_columns: int = 3) -> Figure:
    """One panel per dimension: yearly means, their interval, and where shuffled years would lie.

    Parameters
    ----------
    found : Bands
    titles : sequence of str
        One per dimension.
    ylabel : str
    simulated : bool
        Whether to mark the figure.
    n_columns : int

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If there is not one title per dimension.
    """
    if len(titles) != found.mean.shape[1]:
        raise ValueError(f"{len(titles)} titles for {found.mean.shape[1]} dimensions")
    n_rows = -(-len(titles) // n_columns)
    size = (6.5, 1.75 * n_rows + 0.5)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for k, (ax, title) in enumerate(zip(axes.flat, titles, strict=False)):
        shuffled = (found.null_low[:, k], found.null_high[:, k])
        ax.fill_between(found.years, *shuffled, color=GREY, alpha=0.35, lw=0, label="shuffled years")
        low, high = found.low[:, k], found.high[:, k]
        ax.vlines(found.years, low, high, color=COLOURS[0], lw=1, alpha=0.6)
        ax.plot(found.years, found.mean[:, k], "o-", ms=2.5, lw=0.8, color=COLOURS[0], label="year's mean")
        ax.set_title(title, fontsize=8.5)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    mark_simulated(fig, simulated)
    return fig
