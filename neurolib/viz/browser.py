"""The trial browser: spikes, true and decoded movement of one trial after another."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from neurolib.data.trials import Trials
from neurolib.viz.interactive import explorer
from neurolib.viz.population import velocity_columns
from neurolib.viz.style import COLOURS, GREY


def trial_browser(
    name: str, trials: Trials, decoded: NDArray, numbers: list[int], label: str = "trial"
) -> None:
    """Browse trials: counts, velocity over time, and the path that the velocity traces.

    Parameters
    ----------
    name : str
        Id of the figure on its page.
    trials : Trials
    decoded : array, shape (n_bins, n_outputs)
        Prediction for all bins of ``trials``.
    numbers : list of int
        Which trials to offer.
    label : str
        What the slider calls a trial, such as "stretch".
    """
    x, y = velocity_columns(trials)

    def path(velocity: NDArray) -> NDArray:
        return np.round(np.cumsum(velocity[:, [x, y]], axis=0) * trials.bin_size_s, 2)

    def rows_of(number: int) -> slice:
        return slice(trials.starts[number], trials.starts[number] + trials.lengths[number])

    paths = [path(values[rows_of(n)]) for n in numbers for values in (trials.behaviour, decoded)]
    low, high = np.min([p.min(axis=0) for p in paths], axis=0), np.max([p.max(axis=0) for p in paths], axis=0)
    margin = 0.05 * max(high - low) + 0.1  # cm; one frame for all trials, wide enough for every path
    order = np.argsort(np.argsort(trials.counts.mean(axis=0)))

    def draw(position: int) -> go.Figure:
        number = numbers[position]
        rows = rows_of(number)
        time_s = np.round(np.arange(trials.lengths[number]) * trials.bin_size_s, 3)
        bins, units = np.nonzero(trials.counts[rows])
        truth, guess = trials.behaviour[rows], decoded[rows]
        fig = make_subplots(
            2,
            2,
            column_widths=[0.62, 0.38],
            row_heights=[0.55, 0.45],
            specs=[[{}, {"rowspan": 2}], [{}, None]],
            shared_xaxes=False,
            horizontal_spacing=0.13,
            vertical_spacing=0.14,
        )
        sizes = np.round(2 + np.sqrt(trials.counts[rows][bins, units]), 1)
        marks = {"size": sizes, "color": "#333333", "symbol": "line-ns-open"}
        fig.add_scatter(
            x=time_s[bins], y=order[units], mode="markers", marker=marks, showlegend=False, row=1, col=1
        )
        for column, colour, axis in ((x, COLOURS[0], "x"), (y, COLOURS[1], "y")):
            for values, dash, word in ((truth, "solid", "true"), (guess, "dot", "decoded")):
                fig.add_scatter(
                    x=time_s,
                    y=np.round(values[:, column], 2),
                    line={"color": colour, "dash": dash, "width": 1.8},
                    name=f"{axis}, {word}",
                    row=2,
                    col=1,
                )
        for values, colour, word in ((truth, "#222222", "true path"), (guess, GREY, "decoded path")):
            along, up = path(values).T
            line = {"color": colour, "width": 2.2}
            fig.add_scatter(x=along, y=up, line=line, name=word, row=1, col=2)
        fig.update_xaxes(title_text="time (s)", row=2, col=1)
        fig.update_xaxes(matches="x3", row=1, col=1)
        fig.update_yaxes(title_text="unit, by rate", row=1, col=1)
        fig.update_yaxes(title_text="velocity (cm/s)", row=2, col=1)
        spans = [[a - margin, b + margin] for a, b in zip(low, high, strict=True)]
        fig.update_xaxes(title_text="x (cm)", range=spans[0], row=1, col=2)
        fig.update_yaxes(title_text="y (cm)", range=spans[1], scaleanchor="x2", row=1, col=2)
        fig.update_layout(height=520, legend={"y": 1.14, "font": {"size": 11}}, margin={"t": 60})
        if trials.simulated:
            fig.add_annotation(
                text="SIMULATED",
                xref="paper",
                yref="paper",
                x=1,
                y=1.02,
                showarrow=False,
                font={"color": COLOURS[1]},
            )
        return fig

    explorer(name, [str(number) for number in numbers], draw, label)
