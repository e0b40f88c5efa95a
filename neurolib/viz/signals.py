"""Pictures of raw signals and the tokens made of them: pieces ``(time, channel)`` in, one small panel each out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neurolib.viz.style import COLOURS, GREY, mark_simulated

LANES = 5  # channels drawn as traces


@dataclass(frozen=True, eq=False)
class Panel:
    """One signal and its tokens.

    Parameters
    ----------
    title : str
    time_s : array, shape (n_samples,)
    values : array, shape (n_samples, n_channels)
    tokens_s : array, shape (n_tokens,)
        Several tokens may have one time.
    patch_s : (float, float)
        Samples that one token stands for, from and to.
    reach_s : (float, float)
        Samples that change it.
    sparse : bool
        Draw a dot per sample that is not zero, for spikes and events, instead of traces.
    """

    title: str
    time_s: NDArray
    values: NDArray
    tokens_s: NDArray
    patch_s: tuple[float, float]
    reach_s: tuple[float, float]
    sparse: bool = False


def panels(found: Sequence[Panel], counts: Mapping[str, tuple[float, float]], simulated: bool):
    """A panel per signal, and one that compares how many numbers and tokens a second of each has.

    Parameters
    ----------
    found : sequence of Panel
    counts : mapping of str to (float, float)
        Numbers per second of the signal, and its tokens per second.
    simulated : bool
    """
    rows = -(-(len(found) + 1) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(6.5, 1.35 * rows + 0.2))
    flat = axes.T.ravel()
    for ax, panel in zip(flat, found, strict=False):
        _draw(ax, panel)
    for ax in flat[len(found) :]:
        ax.set_axis_off()
    last = flat[len(found)]
    last.set_axis_on()
    _compare(last, counts)
    mark_simulated(fig, simulated)
    return fig


def _draw(ax, panel: Panel) -> None:
    time_s, values = panel.time_s, panel.values
    low, high = panel.reach_s
    ax.axvspan(max(low, time_s[0]), min(high, time_s[-1]), color=COLOURS[4], alpha=0.22, lw=0)
    ax.axvspan(*panel.patch_s, color=COLOURS[4], alpha=0.75, lw=0)
    if panel.sparse:
        at, channel = np.nonzero(values)
        ax.scatter(time_s[at], channel / values.shape[1] * LANES, s=1.5, color="#222222", lw=0)
    else:
        chosen = np.unique(np.linspace(0, values.shape[1] - 1, LANES).astype(int))
        lanes = LANES / len(chosen)
        for lane, column in enumerate(chosen):
            y = values[:, column].astype(float)
            y = (y - np.median(y)) / max(np.ptp(y), 1e-12)
            ax.plot(time_s, (y + lane + 0.5) * lanes, color="#222222", lw=0.6)
    ax.plot(panel.tokens_s, np.full(len(panel.tokens_s), -0.75), "|", color=COLOURS[1], ms=5, mew=0.8)
    ax.set(title=panel.title, yticks=[], ylim=(-1.4, LANES + 0.2))
    first = min(time_s[0], panel.tokens_s.min())
    ax.set_xlim(first, max(time_s[-1], panel.tokens_s.max()) + 0.5 * (time_s[1] - time_s[0]))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:g} s")
    ax.spines["left"].set_visible(False)


def _compare(ax, counts: Mapping[str, tuple[float, float]]) -> None:
    for y, (numbers, tokens) in enumerate(counts.values()):
        ax.plot([tokens, numbers], [y, y], color=GREY, lw=0.8, zorder=1)
        ax.plot(numbers, y, "o", color="#222222", ms=3.5, label="numbers" if y == 0 else None)
        ax.plot(tokens, y, "|", color=COLOURS[1], ms=8, mew=2, label="tokens" if y == 0 else None)
    ax.set(title="per second", xscale="log", yticks=range(len(counts)), yticklabels=list(counts))
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.legend(loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=2, borderpad=0, handletextpad=0.2)
