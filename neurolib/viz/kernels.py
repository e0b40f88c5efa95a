"""Pictures of kernels: scores and widths in, matplotlib figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def gain_by_width(
    widths: Mapping[str, Sequence[float]],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    simulated: bool = False,
) -> Figure:
    """Nats per hidden focus over the width of a kernel, one panel per question and one line per kernel.

    Parameters
    ----------
    widths : mapping of str to sequence of float
        Kernel to widths in mm.
    panels : mapping of str to mapping of str to sequence of float
        Question to kernel to gains, one per width.
    simulated : bool

    Returns
    -------
    Figure
        6.5 inches wide.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(6.5, 2.9), sharey=True, squeeze=False)
    for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for (name, gains), colour in zip(lines.items(), COLOURS, strict=False):
            ax.plot(widths[name], gains, "o-", ms=3, color=colour, label=name)
        ax.axhline(0, color=GREY, lw=0.7)
        ax.set(title=title, xlabel="width at half maximum, or radius (mm)")
    axes[0, 0].set_ylabel("nats per focus over all foci")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    mark_simulated(fig, simulated)
    return fig


def width_by_voxel(
    voxel_mm: Sequence[float], lines: Mapping[str, Sequence[float]], asked_mm: float, simulated: bool = False
) -> Figure:
    """Width that a kernel has over the voxel size of its grid, beside the width that was asked for."""
    fig, ax = plt.subplots(figsize=(6.5, 2.6))
    ax.axhline(asked_mm, color=GREY, lw=1, ls="--", label="asked for")
    for (name, found), colour in zip(lines.items(), COLOURS, strict=False):
        ax.plot(voxel_mm, found, "o-", ms=4, color=colour, label=name)
    ax.set(xlabel="voxel (mm)", ylabel="full width at half\nmaximum (mm)", ylim=(0, None))
    ax.set_xticks(list(voxel_mm), [f"{v:g}" for v in voxel_mm])
    ax.legend(loc="lower left", ncols=2)
    mark_simulated(fig, simulated)
    return fig
