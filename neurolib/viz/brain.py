"""Pictures of brain maps: values of voxels or foci in, figures of slices or of a glass brain out.

Maps lie over the grey template in the colours of the interactive viewer: warm above zero, cold below,
and what is near zero lets the brain through.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from neurolib.data.brain import Grid
from neurolib.viz.style import COLOURS, GREY, mark_simulated

STOPS = {  # red, green, blue at 0, half and all of the range; atlas.js has the same
    "above": ((253, 200, 110), (235, 110, 40), (150, 10, 40)),
    "below": ((150, 215, 235), (50, 125, 200), (40, 30, 120)),
    "sequential": ((70, 20, 110), (200, 60, 100), (252, 225, 130)),
}
OPAQUE_FROM = 0.3  # of the limit
PLANES = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}  # axes to the right and upwards
WIDTH_IN = 6.5


def colours(name: str, n: int = 256) -> NDArray:
    """Red, green, blue and opacity from zero to the limit, ``(n, 4)``, between 0 and 1."""
    t = np.linspace(0, 1, n)
    rgb = np.stack([np.interp(t, (0, 0.5, 1), part) for part in np.transpose(STOPS[name])], axis=1)
    return np.column_stack([rgb / 255, 0.92 * np.minimum(1, t / OPAQUE_FROM)])


DIVERGING = ListedColormap(np.concatenate([colours("below", 128)[::-1], colours("above", 128)]), "atlas")
SEQUENTIAL = ListedColormap(colours("sequential"), "atlas_sequential")


def slices(
    maps: ArrayLike,
    grid: Grid,
    titles: Sequence[str] = (),
    *,
    cuts: Mapping[str, Sequence[float]] | None = None,
    limit: float | None = None,
    unit: str = "nats",
    simulated: bool = False,
) -> Figure:
    """Slices of maps over the grey brain, one row per map, with one colour bar for all.

    Parameters
    ----------
    maps : array, shape (n_maps, n_voxels) or (n_voxels,)
        Drawn in diverging colours if any value is below zero, else in sequential ones.
    grid : Grid
    titles : sequence of str
        One per map.
    cuts : mapping of {"x", "y", "z"} to sequence of float, optional
        Where to cut across each axis, in mm; six axial slices by default.
    limit : float, optional
        Value at which colours end; by default one that two voxels in a thousand exceed.
    unit : str
    simulated : bool
        Whether to mark the figure.

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If maps and grid or titles do not fit, or there is nothing to cut.
    """
    maps = np.atleast_2d(np.asarray(maps, float))
    places = [(axis, mm) for axis, many in (cuts or {"z": (-24, -8, 8, 24, 40, 56)}).items() for mm in many]
    if titles and len(titles) != len(maps):
        raise ValueError(f"{len(titles)} titles for {len(maps)} maps")
    if not places or any(axis not in PLANES for axis, _ in places):
        raise ValueError(f"cuts={cuts} must name places in mm on x, y or z")
    background = Grid.mni(2)
    low, high = background.centres_mm.min(0) - 10, background.centres_mm.max(0) + 4  # words stand below
    widths = [(high - low)[PLANES[axis][0]] for axis, _ in places]
    height = WIDTH_IN * max((high - low)[PLANES[axis][1]] for axis, _ in places) / sum(widths)
    size = (WIDTH_IN, len(maps) * (height + (0.22 if titles else 0.03)) + 0.55)
    fig = plt.figure(figsize=size)
    rows = np.atleast_2d(fig.subplots(len(maps), len(places), width_ratios=widths, squeeze=False))
    limit = limit or float(np.percentile(np.abs(maps), 99.8)) or 1.0
    signed = maps.min() < 0
    shades = ScalarMappable(Normalize(-limit if signed else 0, limit), DIVERGING if signed else SEQUENTIAL)
    for values, axes, title in zip(maps, rows, list(titles) or [""] * len(maps), strict=True):
        volume = grid.volume(values, np.nan)
        for ax, (axis, mm) in zip(axes, places, strict=True):
            _grey(ax, background, axis, mm)
            shown, extent = _cut(volume, grid, axis, mm)
            pixels = shades.to_rgba(np.nan_to_num(shown))
            pixels[np.isnan(shown), 3] = 0
            ax.imshow(pixels, origin="lower", extent=extent, interpolation="bilinear")
            right, up = PLANES[axis]
            ax.set(xlim=(low[right], high[right]), ylim=(low[up], high[up]))
            ax.text(0.03, 0.0, f"{axis} = {mm:g}".replace("-", "−"), transform=ax.transAxes, fontsize=6.5)
            if axis != "x" and ax is axes[0]:
                ax.text(0.0, 0.9, "L", transform=ax.transAxes, fontsize=6.5)
            ax.set_axis_off()
        axes[0].set_title(title)
    bar = fig.colorbar(shades, ax=rows, location="bottom", shrink=0.35, aspect=28, pad=0.02, label=unit)
    bar.ax.set_facecolor(GREY)  # what colours near zero let through
    bar.outline.set_visible(False)
    mark_simulated(fig, simulated)
    return fig


def foci(
    groups: Mapping[str, ArrayLike],
    *,
    size: float = 6.0,
    most: int = 4000,
    simulated: bool = False,
) -> Figure:
    """Foci in a glass brain, seen from above, from behind and from the right.

    Parameters
    ----------
    groups : mapping of str to array, shape (n, 3)
        Foci in mm under the names of their groups.
    size : float
        Area of a dot, in points squared.
    most : int
        Of a larger group so many are drawn, evenly picked.
    simulated : bool
        Whether to mark the figure.

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If there is no group, or foci are not points in space.
    """
    if not groups:
        raise ValueError("no groups of foci to draw")
    points = {label: np.asarray(xyz, float) for label, xyz in groups.items()}
    for label, xyz in points.items():
        if xyz.ndim != 2 or xyz.shape[1] != 3:
            raise ValueError(f"{label}: foci {xyz.shape} must be (n, 3), in mm")
    grid = Grid.mni(2)
    low, high = grid.centres_mm.min(0) - 5, grid.centres_mm.max(0) + 5
    order = ("z", "y", "x")
    widths = [(high - low)[PLANES[axis][0]] for axis in order]
    height = WIDTH_IN * (high - low)[1] / sum(widths)
    fig, axes = plt.subplots(1, 3, figsize=(WIDTH_IN, height + 0.6), width_ratios=widths)
    for ax, axis, view in zip(axes, order, ("from above", "from behind", "from the right"), strict=True):
        right, up = PLANES[axis]
        shadow = np.pad(grid.mask.any(axis="xyz".index(axis)).T, 1)  # else the outline stays open below
        at = [grid.origin_mm[k] + grid.voxel_mm * np.arange(-1, grid.shape[k] + 1) for k in (right, up)]
        ax.contourf(*at, shadow, levels=[0.5, 1.5], colors=["#efefef"])
        ax.contour(*at, shadow, levels=[0.5], colors=[GREY], linewidths=0.8)
        for (label, xyz), colour in zip(points.items(), COLOURS * len(points), strict=False):
            shown = xyz[np.linspace(0, len(xyz) - 1, min(most, len(xyz))).astype(int)]
            faint = np.clip(15 / np.sqrt(len(shown) + 1), 0.15, 0.8)
            dots = {"s": size, "color": colour, "alpha": faint, "lw": 0, "rasterized": True}
            ax.scatter(shown[:, right], shown[:, up], label=label, **dots)
        ax.set(xlim=(low[right], high[right]), ylim=(low[up], high[up]), title=view)
        ax.set_aspect("equal")
        ax.set_axis_off()
        for x, letter in zip((0.0, 0.96), "LR" if right == 0 else "PA", strict=True):
            ax.text(x, 0.5, letter, transform=ax.transAxes, fontsize=7)
    if len(points) > 1 or next(iter(points)):
        legend = fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        for handle in legend.legend_handles:
            handle.set(alpha=1, sizes=[18])
    mark_simulated(fig, simulated)
    return fig


def _cut(volume: NDArray, grid: Grid, axis: str, mm: float) -> tuple[NDArray, tuple[float, ...]]:
    """One slice with rows upwards, and where its edges lie in mm; empty outside the grid."""
    k = "xyz".index(axis)
    at = round((mm - grid.origin_mm[k]) / grid.voxel_mm)
    inside = 0 <= at < grid.shape[k]
    shown = np.take(volume, at, axis=k) if inside else np.full(np.delete(grid.shape, k), np.nan)
    edge = grid.voxel_mm / 2
    spans = [
        (grid.origin_mm[i] - edge, grid.origin_mm[i] + grid.shape[i] * grid.voxel_mm - edge)
        for i in PLANES[axis]
    ]
    return shown.T, (*spans[0], *spans[1])


def _grey(ax, grid: Grid, axis: str, mm: float) -> None:
    shown, extent = _cut(grid.template, grid, axis, mm)
    shade = 0.18 + 0.76 * shown[..., None].repeat(3, axis=2)
    pixels = np.concatenate([shade, (shown > 0.08)[..., None]], axis=2)
    ax.imshow(np.nan_to_num(pixels), origin="lower", extent=extent, interpolation="bilinear")
