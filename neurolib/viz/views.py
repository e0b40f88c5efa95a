"""Pictures of views: two-dimensional maps and their scores in; small multiples, curves over settings and an explorer out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from neurolib.interpret.views import ScoredView, Setting
from neurolib.viz.interactive import explorer
from neurolib.viz.latents import direction_colours
from neurolib.viz.style import COLOURS, GREY, mark_simulated

WORDS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
SIZES = {"tsne": "perplexity", "umap": "neighbours"}
_MARKERS = ("o", "^", "s", "D")


def named(config) -> str:
    """A view's settings in words.

    Examples
    --------
    >>> from neurolib.interpret.views import ViewConfig
    >>> named(ViewConfig("tsne", 30, seed=1)), named(ViewConfig("pca"))
    ('t-SNE, perplexity 30, seed 1', 'PCA')
    """
    if config.kind == "pca":
        return WORDS["pca"]
    return f"{WORDS[config.kind]}, {SIZES[config.kind]} {config.neighbours:g}, seed {config.seed}"


def maps(
    rows: Mapping[str, Mapping[str, ArrayLike]],
    labels: Mapping[str, Mapping[str, ArrayLike]],
    simulated: bool,
):
    """Small multiples: a row of maps per way of colouring, a column per view.

    Parameters
    ----------
    rows : dict of dict of array (n, 2)
        Title of the row to title of the column to view; columns are the same in all rows.
    labels : dict of dict
        Title of the row to name of the label to points (bool, shape (n,)) that have it. Rows of more than two
        labels are coloured as directions around the circle, others by colour and marker.
    simulated : bool
    """
    columns = list(next(iter(rows.values())))
    fig, axes = plt.subplots(
        len(rows), len(columns), figsize=(6.5, 1.95 * len(rows) + 0.5), squeeze=False, layout="constrained"
    )
    for number_of_row, (line, (row, views)) in enumerate(zip(axes, rows.items(), strict=True)):
        parts = labels[row]
        colours = direction_colours(len(parts)) if len(parts) > 2 else COLOURS
        for ax, column in zip(line, columns, strict=True):
            view = np.asarray(views[column])
            for number, (name, has) in enumerate(parts.items()):
                marker = "o" if len(parts) > 2 else _MARKERS[number]
                ax.plot(*view[has].T, marker, color=colours[number], ms=2.6, alpha=0.75, mew=0, label=name)
            ax.set(xticks=[], yticks=[])
            ax.set_box_aspect(1)
            if not number_of_row:
                ax.set_title(column, fontsize=8)
        line[0].set_ylabel(row, fontsize=8)
        line[-1].legend(
            loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, markerscale=1.8, frameon=False
        )
    mark_simulated(fig, simulated)
    return fig


def setting_curves(
    found: Mapping[tuple[str, float], Setting],
    null: Mapping[tuple[str, float], Setting],
    label: str,
    simulated: bool,
):
    """Scores over the size of the neighbourhood: of maps of the data, and of a cloud without structure.

    Parameters
    ----------
    found, null : dict of (kind, neighbours) to Setting
        Of the data and of the cloud.
    label : str
        What the purity is of.
    simulated : bool
    """
    panels = {
        "trustworthiness": "trustworthiness",
        "continuity": "continuity",
        "overlap": "neighbours shared by seeds",
        "condition": f"purity of {label}",
    }
    fig, axes = plt.subplots(2, 2, figsize=(6.5, 4.4), sharex=True, layout="constrained")
    sizes = sorted({size for kind, size in found if kind != "pca"})
    for ax, (key, title) in zip(axes.flat, panels.items(), strict=True):
        for table, dash, whose in ((found, "-", "data"), (null, ":", "one cloud")):
            for kind, colour in (("tsne", COLOURS[0]), ("umap", COLOURS[1])):
                at = [size for size in sizes if (kind, size) in table]
                values = [getattr(table[kind, size], key) for size in at]
                ax.plot(at, values, dash, marker="o", ms=3, color=colour, label=f"{WORDS[kind]}, {whose}")
            if ("pca", 0) in table and np.isfinite(level := getattr(table["pca", 0], key)):
                ax.axhline(level, color=GREY, ls=dash, lw=1.3, label=f"PCA, {whose}")
        ax.set_title(title, fontsize=9)
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
        ax.minorticks_off()
    for ax in axes[1]:
        ax.set_xlabel("perplexity or neighbours")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    mark_simulated(fig, simulated)
    return fig


def leak_chart(rows: Mapping[str, Sequence[tuple[float, float]]], names: tuple[str, str], simulated: bool):
    """Excess purity of two labels in each of several spaces, a mark per seed.

    Parameters
    ----------
    rows : dict of sequence of (float, float)
        Name of the space to a pair for each seed.
    names : (str, str)
        What the two are.
    simulated : bool
    """
    fig, ax = plt.subplots(figsize=(6.5, 0.32 * len(rows) + 1.0), layout="constrained")
    for y, pairs in enumerate(rows.values()):
        values = np.asarray(pairs, float)
        for column, (name, shift) in enumerate(zip(names, (-0.14, 0.14), strict=True)):
            ax.plot(
                values[:, column],
                np.full(len(values), y + shift),
                _MARKERS[column],
                color=COLOURS[column],
                ms=5,
                alpha=0.8,
                mew=0,
                label=name if y == 0 else None,
            )
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(
        xlabel="excess purity of neighbours (0 is chance, 1 always the same)", ylim=(len(rows) - 0.5, -0.6)
    )
    ax.axvline(0, color=GREY, lw=0.7)
    ax.grid(axis="x", lw=0.3)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False)
    mark_simulated(fig, simulated)
    return fig


def view_explorer(
    name: str,
    found: Sequence[ScoredView],
    null: Sequence[ScoredView],
    labels: Mapping[str, ArrayLike],
    simulated: bool,
) -> None:
    """Step through views of the data, each beside the same view of a cloud without structure.

    Parameters
    ----------
    name : str
        Id of the figure on its page.
    found, null : sequence of ScoredView
        Of the data and of the cloud, with the same settings.
    labels : dict of str to array of bool, shape (n,)
        Points of each direction, counter-clockwise from the right.
    simulated : bool
    """
    colours = [to_hex(colour) for colour in direction_colours(len(labels))]
    titles = [named(one.config) for one in found]
    states = [_short(one.config) for one in found]
    if titles != [named(one.config) for one in null]:
        raise ValueError(f"{name}: data and cloud were not drawn with the same settings")

    def draw(position: int) -> go.Figure:
        one, other = found[position], null[position]
        fig = make_subplots(1, 2, horizontal_spacing=0.04)
        for (word, has), colour in zip(labels.items(), colours, strict=True):
            x, y = _fitted(one.view)[np.asarray(has)].T
            marks = {"color": colour, "size": 6, "opacity": 0.8}
            fig.add_scatter(x=x, y=y, mode="markers", marker=marks, name=word, hoverinfo="name", row=1, col=1)
        x, y = _fitted(other.view).T
        marks = {"color": GREY, "size": 6, "opacity": 0.8}
        fig.add_scatter(
            x=x, y=y, mode="markers", marker=marks, name="one Gaussian cloud", hoverinfo="name", row=1, col=2
        )
        said = " | ".join(
            f"{whose}: trust {v.kept.trustworthiness:.2f}, continuity {v.kept.continuity:.2f}"
            for whose, v in (("data", one), ("cloud", other))
        )
        fig.update_xaxes(visible=False, range=[-1.05, 1.05])
        fig.update_yaxes(visible=False, range=[-1.05, 1.05])
        for axis in ("", "2"):
            fig.layout[f"yaxis{axis}"].scaleanchor = f"x{axis}"  # or distances would not be those of the map
        mark = "<b>SIMULATED</b> | " if simulated else ""
        fig.update_layout(
            height=460,
            margin={"l": 5, "r": 5, "t": 85, "b": 10},
            legend={"y": 1.1, "font": {"size": 11}},
            title={"text": f"{mark}{titles[position]}<br>{said}", "font": {"size": 12}, "y": 0.96, "x": 0},
        )
        return fig

    explorer(name, states, draw, "view")


def _fitted(view: ArrayLike) -> np.ndarray:
    """A view moved and scaled into the frame that all states share; neither place nor size means anything."""
    view = np.asarray(view, float)
    centred = view - (view.min(axis=0) + view.max(axis=0)) / 2
    return np.round(centred / (np.abs(centred).max() or 1.0), 3)


def _short(config) -> str:
    """A name of which several fit below a slider."""
    word = WORDS[config.kind]
    return word if config.kind == "pca" else f"{word} {config.neighbours:g} ({config.seed + 1})"
