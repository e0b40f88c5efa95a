"""Pictures of Hebbian attention: spikes, traces and matrices in, figures out."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from neurolib.viz.interactive import explorer
from neurolib.viz.style import COLOURS, GREY, mark_simulated

DIVERGING = [[0, COLOURS[0]], [0.5, "white"], [1, COLOURS[1]]]


def attention_browser(
    name: str, counts: NDArray, traces: NDArray, attention: NDArray, bin_size_s: float, bins: list[int]
) -> None:
    """Step through time: spikes so far, the trace of each unit, and the attention they have written.

    The figure opens at the last of ``bins``, where most has been written.

    Parameters
    ----------
    name : str
        Id of the figure on its page.
    counts : array, shape (n_bins, n_units)
    traces : array, shape (n_bins, n_units)
        Trace of each unit after each bin.
    attention : array, shape (n_bins, n_units, n_units)
        Rows are the units that attend.
    bin_size_s : float
    bins : list of int
        Which bins to offer.
    """
    n_units = counts.shape[1]
    time_s = np.round(np.arange(len(counts)) * bin_size_s, 3)
    limit, top = np.abs(attention).max(), traces.max()
    units = [str(unit) for unit in range(n_units)]

    def draw(position: int) -> go.Figure:
        now = bins[position]
        fig = make_subplots(
            2,
            2,
            column_widths=[0.55, 0.45],
            row_heights=[0.6, 0.4],
            specs=[[{}, {"rowspan": 2}], [{}, None]],
            horizontal_spacing=0.14,
            vertical_spacing=0.2,
        )
        at, unit = np.nonzero(counts)
        colour = np.where(at <= now, "#222222", "#d0d0d0")
        size = np.round(4 + 3 * np.sqrt(counts[at, unit]), 1)
        marks = {"symbol": "line-ns-open", "color": colour, "size": size, "line": {"width": 2}}
        fig.add_scatter(x=time_s[at], y=unit, mode="markers", marker=marks, showlegend=False, row=1, col=1)
        line = {"color": COLOURS[1], "width": 1.5}
        ends = {"x": [time_s[now]] * 2, "y": [-0.6, n_units - 0.4]}
        fig.add_scatter(**ends, mode="lines", line=line, showlegend=False, row=1, col=1)
        fig.add_bar(
            x=units, y=np.round(traces[now], 3), marker_color=COLOURS[0], showlegend=False, row=2, col=1
        )
        fig.add_heatmap(
            z=np.round(attention[now], 3),
            zmin=-limit,
            zmax=limit,
            colorscale=DIVERGING,
            colorbar={"thickness": 8, "len": 0.6},
            row=1,
            col=2,
        )
        fig.update_xaxes(title="time (s)", range=[-bin_size_s, time_s[-1] + bin_size_s], row=1, col=1)
        fig.update_yaxes(title="unit", range=[n_units - 0.4, -0.6], row=1, col=1)
        fig.update_xaxes(title="unit", type="category", row=2, col=1)
        fig.update_yaxes(title="trace", range=[0, 1.05 * top], row=2, col=1)
        fig.update_xaxes(title="attended unit", row=1, col=2)
        fig.update_yaxes(title="attending unit", autorange="reversed", row=1, col=2)
        fig.update_layout(height=430, margin={"r": 10})
        return fig

    explorer(name, [f"{time_s[b]:.2f} s" for b in bins], draw, label="time", start=-1)


def pair_windows(delay_s: ArrayLike, changes: dict[str, ArrayLike], simulated: bool = False):
    """Change of the attention by one pair of spikes against their delay, one line per rule."""
    fig, ax = plt.subplots(figsize=(6.5, 2.6))
    delay_ms = 1e3 * np.asarray(delay_s)
    for (name, change), colour in zip(changes.items(), cycle(COLOURS), strict=False):
        ax.plot(delay_ms, change, color=colour, label=name)
    ax.axhline(0, color=GREY, lw=0.7)
    ax.axvline(0, color=GREY, lw=0.7)
    ax.set(xlabel="spike of the attending unit after that of the attended one (ms)", ylabel="change")
    ax.legend()
    mark_simulated(fig, simulated)
    return fig
