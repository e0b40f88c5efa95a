"""Interactive figures that live on a static page and in JupyterLab, made by one function.

On a page: a plotly figure with precomputed states and a slider, drawn by the book's own copy of
plotly.js. In JupyterLab: the same figure with a widget that computes states on demand.
"""

import os
import re
from collections.abc import Callable, Sequence

import plotly.graph_objects as go
import plotly.io as pio

import neurolib.viz.style  # noqa: F401  (applies the template)


def explorer(
    name: str, states: Sequence[str], draw: Callable[[int], go.Figure], label: str = "", start: int = 0
):
    """Let a reader step through states of one figure.

    Parameters
    ----------
    name : str
        Becomes the figure's id on the page, so it must be unique there.
    states : sequence of str
        What the slider shows at each position.
    draw : callable
        Position to figure. All figures must have the same number and kinds of traces.
    label : str
        What the slider changes.
    start : int
        Position at which the figure opens; negative ones count from the end.

    Raises
    ------
    ValueError
        If there is no state, ``start`` is none of them, or the figures of two states differ in
        their traces.
    """
    if not states:
        raise ValueError(f"{name}: no state to show")
    if not -len(states) <= start < len(states):
        raise ValueError(f"{name}: cannot start at position {start} of {len(states)} states")
    start %= len(states)
    if os.environ.get("NEUROLIB_HEADLESS"):
        show(_slider_figure(name, states, draw, label, start), name)
    else:
        _widget(states, draw, label, start)


def show(fig: go.Figure, name: str) -> None:
    """Display a plotly figure; headless runs get HTML that needs no network."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    from IPython.display import display

    if not os.environ.get("NEUROLIB_HEADLESS"):
        display(fig)
        return
    body = pio.to_html(
        fig,
        include_plotlyjs=False,
        full_html=False,
        div_id=name,
        auto_play=False,  # else the states run past by themselves when the page opens
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    display(
        {"text/html": f'<div class="plotly-card">{body}</div>', "text/plain": f"[figure {name}]"}, raw=True
    )


def _slider_figure(
    name: str, states: Sequence[str], draw: Callable[[int], go.Figure], label: str, start: int
) -> go.Figure:
    figures = [draw(i) for i in range(len(states))]
    kinds = [[trace.type for trace in figure.data] for figure in figures]
    for state, kind in zip(states, kinds, strict=True):
        if kind != kinds[0]:
            raise ValueError(f"{name}: state {state!r} has traces {kind}, the first has {kinds[0]}")
    fig = go.Figure(figures[start])
    fig.frames = [
        go.Frame(data=figure.data, layout={"title": figure.layout.title}, name=str(i))
        for i, figure in enumerate(figures)
    ]
    jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    fig.update_layout(
        sliders=[
            {
                "active": start,
                "currentvalue": {"prefix": f"{label} " if label else "", "font": {"size": 12}},
                "pad": {"t": 45},
                "steps": [
                    {"label": state, "method": "animate", "args": [[str(i)], jump]}
                    for i, state in enumerate(states)
                ],
            }
        ]
    )
    return fig


def _widget(states: Sequence[str], draw: Callable[[int], go.Figure], label: str, start: int) -> None:
    import ipywidgets
    from IPython.display import display

    view = go.FigureWidget(draw(start))
    slider = ipywidgets.SelectionSlider(
        options=[(state, i) for i, state in enumerate(states)],
        value=start,
        description=label,
        continuous_update=False,
    )

    def redraw(change):
        fresh = draw(change["new"])
        with view.batch_update():
            for shown, new in zip(view.data, fresh.data, strict=True):
                shown.update(new.to_plotly_json(), overwrite=True)
            view.layout.title = fresh.layout.title

    slider.observe(redraw, names="value")
    display(ipywidgets.VBox([slider, view]))
