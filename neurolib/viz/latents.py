"""Pictures of latents and of scores per model: arrays in, drawn into axes that are given."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from neurolib.viz.style import COLOURS, GREY


def direction_colours(n: int) -> NDArray:
    """Colours around the circle, for directions numbered counter-clockwise from the right."""
    bright = plt.get_cmap("hsv")(np.arange(n) / n)
    return np.column_stack([bright[:, :3] * 0.8, bright[:, 3]])  # darker, to stand out on white


def mean_paths(ax: Axes, paths: ArrayLike, labels: ArrayLike, onset_bin: int | None = None) -> None:
    """Mean path per label in two dimensions; a dot marks the end, a ring the onset.

    Parameters
    ----------
    ax : Axes
    paths : array, shape (n_reaches, n_bins, 2)
    labels : array of int, shape (n_reaches,)
        Directions, numbered from 0.
    onset_bin : int, optional
    """
    paths, labels = np.asarray(paths), np.asarray(labels)
    colours = direction_colours(labels.max() + 1)
    for label in np.unique(labels):
        x, y = paths[labels == label].mean(axis=0).T
        ax.plot(x, y, color=colours[label], lw=1.5)
        ax.plot(x[-1], y[-1], "o", color=colours[label], ms=3)
        if onset_bin is not None:
            ax.plot(x[onset_bin], y[onset_bin], "o", color=colours[label], ms=3, mfc="white", mew=0.8)
    ax.set_aspect("equal", adjustable="datalim")


def two_components(latents: NDArray) -> NDArray:
    """First two principal components of latents ``(n_reaches, n_bins, n_latents)``, centred.

    Examples
    --------
    >>> line = np.arange(4.0)[None, :, None] * [3.0, 4.0, 0.0]
    >>> np.abs(two_components(line)[0, :, 0]).round(6)  # five units apart
    array([7.5, 2.5, 2.5, 7.5])
    """
    flat = latents.reshape(-1, latents.shape[-1])
    centred = flat - flat.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    planar = centred @ axes[:2].T
    if planar.shape[1] < 2:
        planar = np.pad(planar, ((0, 0), (0, 1)))
    return planar.reshape(*latents.shape[:2], 2)


def points(ax: Axes, groups: dict[str, Sequence[float]], ylabel: str = "", colours=None) -> None:
    """All values of each group as points, their mean as a bar; groups side by side."""
    draw = np.random.default_rng(0)
    for x, (name, values) in enumerate(groups.items()):
        colour = (colours or {}).get(name, COLOURS[0])
        values = np.atleast_1d(values)
        ax.plot([x - 0.3, x + 0.3], [values.mean()] * 2, color=colour, lw=2)
        ax.plot(x + draw.uniform(-0.15, 0.15, len(values)), values, "o", color=colour, ms=3, alpha=0.6)
    ax.set_xticks(range(len(groups)), list(groups), rotation=35, ha="right", fontsize=7)
    ax.set(ylabel=ylabel, xlim=(-0.6, len(groups) - 0.4))


def intervals(ax: Axes, rows: dict[str, tuple[float, float, float]], xlabel: str = "", colours=None) -> None:
    """Estimate and interval per row, first row on top."""
    for y, (name, (estimate, low, high)) in enumerate(rows.items()):
        colour = (colours or {}).get(name, COLOURS[0])
        ax.plot([low, high], [y, y], color=colour, lw=2)
        ax.plot(estimate, y, "o", color=colour, ms=4)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=7)
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
    ax.grid(axis="x", lw=0.3)


def flow(ax: Axes, operator: NDArray, start: Sequence[float] = (1.0, 0.0)) -> None:
    """Two-dimensional linear dynamics: arrows of one step, and one path."""
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2), axis=-1)
    step = grid @ (operator - np.eye(2)).T
    ax.quiver(grid[..., 0], grid[..., 1], step[..., 0], step[..., 1], color=GREY, width=0.006)
    path = [np.asarray(start, float)]
    for _ in range(60):
        path.append(operator @ path[-1])
    ax.plot(*np.array(path).T, color=COLOURS[1], lw=1.2)
    ax.set(xticks=[], yticks=[], xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
    ax.set_aspect("equal")
