"""Pictures of discrete codes: codes and the velocities they stand for in, figures out.

A code has one colour everywhere: hue is the direction of its velocity, and grey is rest.
"""

import matplotlib.pyplot as plt
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.patches import Ellipse
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from neurolib.data.trials import Trials
from neurolib.viz import latents
from neurolib.viz.interactive import explorer
from neurolib.viz.style import COLOURS, GREY, mark_simulated


def code_order(velocity: ArrayLike, slow: float) -> NDArray:
    """Codes in a readable order: those slower than ``slow`` by speed, then the others counter-clockwise.

    Parameters
    ----------
    velocity : array, shape (n_codes, 2)
        What each code stands for.
    slow : float
        In the unit of the velocity.

    Returns
    -------
    array of int, shape (n_codes,)
        Old numbers in the new order; ``np.argsort`` of it gives the new number of each old one.

    Examples
    --------
    >>> code_order([[0, -9], [9, 1], [0, 1], [-9, 0]], slow=2)  # rest, then right, left and down
    array([2, 1, 3, 0])
    """
    velocity = np.asarray(velocity, float)
    speed, angle = np.hypot(*velocity.T), np.arctan2(velocity[:, 1], velocity[:, 0]) % (2 * np.pi)
    rests = speed < slow
    return np.lexsort((np.where(rests, speed, angle), ~rests))


def code_colours(velocity: ArrayLike) -> NDArray:
    """Colour of each code, ``(n_codes, 3)``: hue is direction, saturation speed.

    Examples
    --------
    >>> code_colours([[0, 0], [100, 0]]).round(2)  # grey, red
    array([[0.55, 0.55, 0.55],
           [0.8 , 0.  , 0.  ]])
    """
    velocity = np.asarray(velocity, float)
    speed = np.hypot(*velocity.T)
    hue = np.arctan2(velocity[:, 1], velocity[:, 0]) / (2 * np.pi) % 1
    strength = np.minimum(2 * speed / max(speed.max(), 1e-12), 1)
    return hsv_to_rgb(np.column_stack([hue, strength, 0.55 + 0.25 * strength]))


def arrows(ax: Axes, velocity: NDArray, slow: float, unit: str) -> None:
    """What each code stands for: an arrow, a dot if slower than ``slow``, and its number if there is room."""
    reach, fastest = 1.3 * np.abs(velocity).max(), np.hypot(*velocity.T).max()
    for number, (tip, colour) in enumerate(zip(velocity, code_colours(velocity), strict=True)):
        ax.plot(*tip, "o", color=colour, ms=3)
        if np.hypot(*tip) < slow:
            continue
        ax.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.6})
        if np.hypot(*tip) > 0.5 * fastest:
            at = tip * (1 + 0.13 * reach / np.hypot(*tip))
            ax.text(*at, str(number), ha="center", va="center", fontsize=8)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel=f"x ({unit})", ylabel=f"y ({unit})")
    ax.set_aspect("equal")


def paths(
    velocity: NDArray,
    recorded: list[NDArray],
    decoded: list[NDArray],
    codes: list[NDArray],
    slow: float,
    bin_size_s: float,
    unit: str,
    simulated: bool,
):
    """What the codes stand for, and the paths of a few trials in their colours, recorded and decoded.

    Parameters
    ----------
    velocity : array, shape (n_codes, 2)
    recorded, decoded : list of array, shape (n_bins, 2)
        Velocities of each trial.
    codes : list of array of int, shape (n_bins,)
    slow, bin_size_s : float
    unit : str
        Of the velocity.
    simulated : bool
    """
    n = len(recorded)
    fig = plt.figure(figsize=(6.5, 5.2))
    top, rows = fig.subfigures(2, 1, height_ratios=(1.3, 1.5))
    left, right = top.subplots(1, 2, width_ratios=(1.2, 1))
    arrows(left, velocity, slow, unit)
    left.set_title("what each code stands for")
    colours = code_colours(velocity)
    shares = np.bincount(np.concatenate(codes), minlength=len(velocity)) / sum(map(len, codes))
    right.bar(range(len(velocity)), 100 * shares, color=colours)
    right.set(title="how often, in these trials", xlabel="code", ylabel="% of bins")
    right.set_xticks(range(0, len(velocity), 3))
    axes = rows.subplots(2, n, squeeze=False)
    places = [[np.cumsum(v, axis=0) * bin_size_s for v in group] for group in (recorded, decoded)]
    for row, word, group in zip(axes, ("recorded", "decoded"), places, strict=True):
        for i, (ax, place) in enumerate(zip(row, group, strict=True)):
            pieces = np.stack([place[:-1], place[1:]], axis=1)
            ax.add_collection(LineCollection(pieces, colors=colours[codes[i][1:]], lw=2.2))
            ax.plot(*place[0], "o", color="#222222", ms=3)
            both = np.concatenate([other[i] for other in places])
            middle, half = (both.max(0) + both.min(0)) / 2, 0.55 * np.ptp(both, axis=0).max()
            ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
            ax.set(xticks=[], yticks=[], aspect="equal")
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(word)
    mark_simulated(fig, simulated)
    return fig


def tuning(
    velocity: NDArray,
    recorded: NDArray,
    codes: NDArray,
    strengths: dict[str, NDArray],
    slow: float,
    unit: str,
    simulated: bool,
):
    """Recorded velocity of each code's bins beside what the code stands for, and how sharp directions are.

    Parameters
    ----------
    velocity : array, shape (n_codes, 2)
    recorded : array, shape (n_bins, 2)
    codes : array of int, shape (n_bins,)
    strengths : dict of array
        Vector strengths by name, one value per code or unit.
    slow : float
    unit : str
    simulated : bool

    Notes
    -----
    Ellipses are one standard deviation; codes with fewer than three bins have none.
    """
    fig, (plane, strip) = plt.subplots(1, 2, figsize=(6.5, 3.5), width_ratios=(1.5, 1))
    for number, colour in enumerate(code_colours(velocity)):
        mine = recorded[codes == number]
        if len(mine) < 3:
            continue
        mean, (values, axes) = mine.mean(axis=0), np.linalg.eigh(np.cov(mine.T))
        angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
        width, height = 2 * np.sqrt(np.maximum(values[::-1], 0))
        plane.add_patch(Ellipse(mean, width, height, angle=angle, color=colour, alpha=0.22, lw=0))
        plane.plot(*zip(mean, velocity[number], strict=True), color=colour, lw=0.8)
        plane.plot(*mean, "o", color=colour, ms=5)
        plane.plot(*velocity[number], "x", color=colour, ms=6, mew=1.6)
    plane.plot([], [], "o", color=GREY, label="recorded, mean and SD")
    plane.plot([], [], "x", color=GREY, mew=1.6, label="decoded")
    plane.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.2), handletextpad=0.2)
    reach = 1.5 * np.abs(velocity).max()
    plane.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel=f"x ({unit})", ylabel=f"y ({unit})")
    plane.set(aspect="equal", title=f"{len(velocity)} codes")
    latents.points(strip, strengths, "vector strength")
    strip.tick_params(axis="x", labelsize=8)
    strip.set(ylim=(0, 1), title="sharpness")
    mark_simulated(fig, simulated)
    return fig


def code_browser(name: str, trials: Trials, codes: NDArray, velocity: NDArray) -> None:
    """Step through codes: the recorded velocities of the bins that use one, and where the hand then was.

    Parameters
    ----------
    name : str
        Id of the figure on its page.
    trials : Trials
        With two outputs, the velocity of the hand.
    codes : array of int, shape (n_bins,)
    velocity : array, shape (n_codes, 2)
        What each code stands for.
    """
    recorded = np.round(trials.behaviour, 1).astype(np.float32)
    blocks = np.split(trials.behaviour, trials.starts[1:])
    place = np.concatenate([np.cumsum(block, axis=0) for block in blocks]) * trials.bin_size_s
    place = np.round(place, 1).astype(np.float32)
    faint = np.random.default_rng(0).permutation(len(codes))[:500]
    colours = [to_hex(colour) for colour in code_colours(velocity)]
    unit = trials.output_unit.split(", ")[-1]
    n_codes, follows = len(velocity), trials.trial_of_bin[1:] == trials.trial_of_bin[:-1]

    def heading(code: int) -> str:
        after = np.bincount(codes[1:][(codes[:-1] == code) & follows], minlength=n_codes)
        then = [
            f"{k} ({n / after.sum():.0%})" for k, n in enumerate(after) if n >= max(0.05 * after.sum(), 1)
        ]
        speed, angle = np.hypot(*velocity[code]), np.degrees(np.arctan2(*velocity[code][::-1])) % 360
        first = f"{np.mean(codes == code):.1%} of bins; stands for {speed:.0f} {unit} at {angle:.0f}°"
        return f"{first}<br>next: {', '.join(then) or 'never used'}"

    def draw(code: int) -> go.Figure:
        mine = codes == code
        fig = make_subplots(1, 2, horizontal_spacing=0.16)
        for column, points in ((1, recorded), (2, place)):
            for rows, colour, size in ((faint, "#d0d0d0", 3), (mine, colours[code], 5)):
                x, y = points[rows].T
                mark = {"color": colour, "size": size}
                fig.add_scatter(x=x, y=y, mode="markers", marker=mark, showlegend=False, row=1, col=column)
        x, y = np.round(velocity[code], 1)
        line = {"color": "#222222", "width": 2.5}
        tip = {"symbol": "arrow", "size": [0, 11], "angleref": "previous", "color": "#222222"}
        arrow = {"x": [0, x], "y": [0, y], "mode": "lines+markers", "line": line, "marker": tip}
        fig.add_scatter(**arrow, showlegend=False, row=1, col=1)
        for column, points, word in ((1, recorded, unit), (2, place, unit.split("/")[0])):
            limit = 1.08 * float(np.abs(points).max())
            span = {"range": [-limit, limit], "row": 1, "col": column}
            fig.update_xaxes(title={"text": f"x ({word})", "standoff": 4}, **span)
            fig.update_yaxes(title={"text": f"y ({word})", "standoff": 4}, **span)
            fig.update_yaxes(scaleanchor=f"x{column if column > 1 else ''}", row=1, col=column)
        if trials.simulated:
            mark = {"text": "SIMULATED", "font": {"color": COLOURS[1]}, "showarrow": False}
            fig.add_annotation(**mark, xref="paper", yref="paper", x=1, y=1.1)
        fig.update_layout(height=400, margin={"t": 70}, title={"text": heading(code), "font": {"size": 12}})
        return fig

    explorer(name, [str(code) for code in range(n_codes)], draw, "code")


def stages(shares: dict[str, ArrayLike], costs: ArrayLike, simulated: bool):
    """Share of variance that each stage adds, and what the first stages together cost.

    Parameters
    ----------
    shares : dict of array, shape (n_stages,)
        Names to shares, drawn on a logarithmic axis.
    costs : array, shape (n_models, n_stages)
        R² with the first 1, 2, ... stages, less that of the same model without codes.
    simulated : bool
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.0), width_ratios=(1.5, 1))
    for (name, share), colour, mark in zip(shares.items(), COLOURS, "osD^v", strict=False):
        numbers = range(1, len(share) + 1)
        left.plot(numbers, 100 * np.asarray(share), mark + "-", ms=4, color=colour, label=name)
    left.set(yscale="log", xlabel="stage", ylabel="% of the variance", title="what each stage adds")
    left.legend(loc="upper right")
    for cost in np.asarray(costs):
        right.plot(range(1, len(cost) + 1), cost, "o-", ms=3, color=COLOURS[0], lw=0.9)
    right.axhline(0, color=GREY, lw=0.8)
    right.set(xlabel="first stages", ylabel="R², less that without codes", title="what they cost")
    for ax in (left, right):
        ax.set_xticks(range(1, len(next(iter(shares.values()))) + 1))
    mark_simulated(fig, simulated)
    return fig


def usage(transitions: NDArray, n_rest: int, rates: dict[str, dict[str, float]], simulated: bool):
    """How codes follow each other, and bits per bin: nominal, as used, and given the bin before.

    Parameters
    ----------
    transitions : array, shape (n_codes, n_codes)
        Share of each next code (column) after each code (row).
    n_rest : int
        How many of the first codes stand for rest; a line is drawn after them.
    rates : dict of dict
        Names to labels to bits per bin.
    simulated : bool
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.5, 3.0), width_ratios=(1, 1.1))
    shown = left.imshow(100 * transitions, vmin=0, vmax=100, cmap="Blues", interpolation="nearest")
    left.axhline(n_rest - 0.5, color=COLOURS[1], lw=0.8)
    left.axvline(n_rest - 0.5, color=COLOURS[1], lw=0.8)
    ticks = range(0, len(transitions), 3)
    left.set(xticks=ticks, yticks=ticks, xlabel="code of the next bin", ylabel="code", title="next code (%)")
    fig.colorbar(shown, ax=left, pad=0.02, aspect=25)
    labels = list(next(iter(rates.values())))
    height = 0.8 / len(labels)
    for i, (label, colour) in enumerate(zip(labels, (GREY, COLOURS[5], COLOURS[0]), strict=False)):
        y = np.arange(len(rates)) + (i - (len(labels) - 1) / 2) * height
        right.barh(y, [row[label] for row in rates.values()], 0.9 * height, color=colour, label=label)
    right.set(yticks=range(len(rates)), yticklabels=list(rates), xlabel="bits per bin", title="cost")
    right.invert_yaxis()
    right.legend(
        loc="upper center", bbox_to_anchor=(0.4, -0.18), ncols=len(labels), columnspacing=0.8, handlelength=1
    )
    mark_simulated(fig, simulated)
    return fig


def information(panels: dict[str, dict[str, ArrayLike]], simulated: bool):
    """Bits that signals tell: one dot per model, with the range of its null beside it.

    Parameters
    ----------
    panels : dict of dict of array, shape (n_models, 3)
        Panel title to signal to bits, the mean of the null and its highest value.
    simulated : bool
    """
    names = list(next(iter(panels.values())))
    fig, axes = plt.subplots(
        1, len(panels), figsize=(6.5, 0.32 * len(names) + 1.1), sharey=True, squeeze=False
    )
    for ax, (title, rows) in zip(axes[0], panels.items(), strict=True):
        for y, name in enumerate(names):
            bits, mean, high = np.atleast_2d(rows[name]).T
            ax.barh(y, high.mean(), 0.6, color="#d9d9d9")
            ax.plot([mean.mean()] * 2, [y - 0.3, y + 0.3], color=GREY, lw=1.2)
            ax.plot(bits, np.full(len(bits), y), "o", color=COLOURS[0], ms=4, alpha=0.7)
        ax.set(title=title, xlabel="bits", yticks=range(len(names)), yticklabels=names)
        ax.set_xlim(left=0)
        ax.grid(axis="x", lw=0.3)
    axes[0, 0].invert_yaxis()
    mark_simulated(fig, simulated)
    return fig
