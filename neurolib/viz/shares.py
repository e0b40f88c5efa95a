"""What a whole is made of: amounts by part in, bars of shares out."""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt

from neurolib.viz.style import COLOURS, GREY


def share_bars(rows: Mapping[str, Mapping[str, float]], total: Callable[[float], str], xlabel: str):
    """Share that each part has of its row, a bar per row, whose total stands beside it.

    Parameters
    ----------
    rows : dict of dict of float
        Amount of each part, for each row; at most seven parts, the same in every row.
    total : callable
        What to write beside a bar, of the sum of its parts.
    xlabel : str
    """
    parts = list(next(iter(rows.values())))
    fig, ax = plt.subplots(figsize=(6.5, 0.45 * len(rows) + 1.15))
    for y, found in enumerate(rows.values()):
        whole, left = sum(found.values()), 0.0
        for part, colour in zip(parts, (*COLOURS[:6], GREY), strict=False):
            share = 100 * found[part] / whole
            ax.barh(y, share, left=left, height=0.68, color=colour, label=part if y == 0 else None)
            if share > 7:
                at = {"ha": "center", "va": "center", "fontsize": 8}
                letters = "#222222" if colour in COLOURS[3:6] else "white"
                ax.text(left + share / 2, y, f"{share:.0f}", color=letters, **at)
            left += share
        ax.text(101, y, total(whole), va="center", fontsize=8)
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel=xlabel, xlim=(0, 100))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, columnspacing=1.2)
    return fig


def millions(n: float) -> str:
    """A number of parameters in words.

    Examples
    --------
    >>> millions(520_000), millions(47_300_000)
    ('0.52 M', '47 M')
    """
    return f"{n / 1e6:.2g} M" if n < 1e7 else f"{n / 1e6:.0f} M"
