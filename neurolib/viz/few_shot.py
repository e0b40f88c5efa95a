"""Few-shot curves: error against the amount of labelled data, one line per way to learn. Numbers in, a figure out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from neurolib.viz.style import COLOURS, GREY, mark_simulated

MARKS = ("o", "s", "^", "D", "v", "P", "X")


def few_shot(
    amounts: Sequence[int],
    lines: Mapping[str, Sequence[tuple[float, float, float]]],
    plain: Sequence[str],
    xlabel: str,
    ylabel: str,
    simulated: bool,
):
    """Error with its interval at every amount; amounts stand at equal distances, lines a little apart.

    Parameters
    ----------
    amounts : sequence of int
    lines : dict of sequence of (estimate, low, high)
        One entry per amount.
    plain : sequence of str
        Lines of baselines, drawn in grey and dashed.

    Raises
    ------
    ValueError
        If a line has not one entry per amount.
    """
    fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    colours, greys = iter(COLOURS), iter(("--", ":", "-."))
    for number, (name, points) in enumerate(lines.items()):
        if len(points) != len(amounts):
            raise ValueError(f"{name!r} has {len(points)} points for {len(amounts)} amounts")
        x = np.arange(len(amounts)) + 0.045 * (number - (len(lines) - 1) / 2)
        estimate, low, high = np.array([tuple(point)[:3] for point in points]).T
        mark = MARKS[number % len(MARKS)]
        look = (
            {"color": GREY, "ls": next(greys, "--")}
            if name in plain
            else {"color": next(colours, COLOURS[0])}
        )
        ax.plot(x, estimate, marker=mark, ms=4, lw=1.2, label=name, **look)
        ax.vlines(x, low, high, color=look["color"], lw=1.5)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    ax.set_xticks(range(len(amounts)), [str(amount) for amount in amounts])
    fig.legend(loc="outside upper left", ncols=3, fontsize=8)
    mark_simulated(fig, simulated)
    return fig
