"""Estimators against a truth that is known: repeated estimates in, small panels out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike

from neurolib.viz.style import COLOURS, GREY


def panels(found: Mapping[str, ArrayLike], truth: Mapping[str, float], names: tuple[str, str]):
    """One panel per experiment: points of every repetition for two estimators, their means, and the truth.

    Parameters
    ----------
    found : dict of array, shape (n_repetitions, 2)
    truth : dict of float
        What would be right, by the same keys.
    names : (str, str)
        Of the two estimators.
    """
    columns = min(len(found), 3)
    rows = -(-len(found) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(6.5, 2.1 * rows), squeeze=False)
    for ax in axes.flat[len(found) :]:
        ax.set_visible(False)
    for ax, (title, values) in zip(axes.flat, found.items(), strict=False):
        values = np.asarray(values, float)
        ax.axhline(truth[title], color=GREY, lw=1.2)
        beside = np.linspace(-0.22, 0.22, len(values))
        for x, (column, colour) in enumerate(zip(values.T, (COLOURS[1], COLOURS[0]), strict=True)):
            ax.plot(x + beside, column, "o", ms=2, color=colour, alpha=0.5)
            ax.plot([x - 0.3, x + 0.3], [column.mean()] * 2, color=colour, lw=2.5)
        ax.set(xticks=(0, 1), xticklabels=names, xlim=(-0.5, 1.5))
        ax.set_title(title, fontsize=9)
    return fig
