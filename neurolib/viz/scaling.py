"""Pictures of what size, data and computing buy: numbers in, matplotlib figures out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

from neurolib.viz.style import COLOURS, GREY, mark_simulated

Points = Sequence[tuple[float, float, float]]  # (estimate, low, high)


def gains(
    columns: Mapping[str, Sequence[float]],
    losses: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    scores: Mapping[str, Mapping[str, Points]],
    ylabels: tuple[str, str],
    simulated: bool,
):
    """Losses above scores, one column per thing that grows, on a logarithmic axis.

    Parameters
    ----------
    columns : dict of sequence of float
        Label of the horizontal axis to where its points stand.
    losses : dict of dict of array_like, shape (n_points, n_runs)
        By column and line; every run is a small point, their mean a line.
    scores : dict of dict of sequence of (estimate, low, high)
        By column and line; drawn with its interval, lines called "ridge" in grey.
    ylabels : (str, str)
        Of losses and of scores.
    simulated : bool
    """
    fig, axes = plt.subplots(2, len(columns), figsize=(6.5, 4.4), sharey="row", squeeze=False)
    for (xlabel, x), (top, bottom) in zip(columns.items(), axes.T, strict=True):
        for (name, runs), colour in zip(losses[xlabel].items(), COLOURS[1:], strict=False):
            for at, values in zip(x, runs, strict=True):
                top.plot([at] * len(values), values, "o", ms=2.5, color=colour, alpha=0.6)
            means = [sum(values) / len(values) for values in runs]
            top.plot(x, means, color=colour, label=name)
        for name, points in scores[xlabel].items():
            estimate, low, high = zip(*points, strict=True)
            grey = name.startswith("ridge")
            style = {"color": GREY, "ls": "--"} if grey else {"color": COLOURS[0]}
            # beside the other's, so that both intervals can be seen
            at = [value * (1.06 if grey else 1.0) for value in x]
            errors = [[e - a for e, a in zip(estimate, low, strict=True)],
                      [b - e for e, b in zip(estimate, high, strict=True)]]  # fmt: skip
            bottom.errorbar(at, estimate, errors, marker="o", ms=3.5, lw=1.2, label=name, **style)
        for ax in (top, bottom):
            ax.set_xscale("log")
            ax.set_xticks(list(x), [_short(value) for value in x])
            ax.xaxis.set_minor_locator(NullLocator())
        bottom.set(xlabel=xlabel)
    for row, ylabel in zip(axes, ylabels, strict=True):
        row[0].set(ylabel=ylabel)
        row[-1].legend(loc="best")
    axes[0, 0].set_ylim(bottom=0)
    mark_simulated(fig, simulated)
    return fig


def _short(value: float) -> str:
    """A number of two digits: 9 k instead of 9123.

    Examples
    --------
    >>> _short(30.0), _short(9123), _short(152_300)
    ('30', '9.1 k', '152 k')
    """
    if value < 1000:
        return f"{value:g}"
    return f"{value / 1000:.1f} k" if value < 10_000 else f"{value / 1000:.0f} k"
