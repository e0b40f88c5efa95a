"""The composed figure of the SPARKS study: results of its panels in, one figure out."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurolib.viz import latents
from neurolib.viz.style import mark_simulated

Intervals = dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Panels:
    """What the panels show; dicts are by model."""

    hand: NDArray  # (n_reaches, n_bins, 2), cm from onset
    latents: dict[str, NDArray]  # the same of two components of the latents
    direction: NDArray  # (n_reaches,)
    onset_bin: int
    flows: dict[str, NDArray]  # title to an operator of the plane
    to_hand: dict[str, Sequence[float]]  # rad, per seed
    null_to_hand: dict[str, Sequence[float]]
    between_seeds: dict[str, Sequence[float]]
    position: Intervals
    histories: dict[str, Sequence]
    bits: dict[str, Sequence[float]]
    read_out: Intervals
    colours: dict[str, str]
    simulated: bool


def figure_three(panels: Panels) -> Figure:
    """Compose panels A to D and F to H."""
    fig = plt.figure(figsize=(7.2, 8.6), layout="constrained")
    rows = fig.subfigures(4, 1, height_ratios=[1, 1.15, 1, 1.1])
    _paths(rows[0], panels)
    _dynamics(rows[1], panels)
    _decoding(rows[2], panels)
    _spikes(rows[3], panels)
    mark_simulated(fig, panels.simulated)
    return fig


def _paths(fig, panels: Panels) -> None:
    axes = fig.subplots(1, 1 + len(panels.latents))
    latents.mean_paths(axes[0], panels.hand, panels.direction, panels.onset_bin)
    axes[0].set(xlabel="x (cm)", ylabel="y (cm)")
    _title(axes[0], "A", "hand")
    for ax, (name, planar) in zip(axes[1:], panels.latents.items(), strict=True):
        latents.mean_paths(ax, planar, panels.direction, panels.onset_bin)
        ax.set(xticks=[], yticks=[], xlabel="component 1")
        ax.set_ylabel("component 2" if ax is axes[1] else "")
        _title(ax, "B" if ax is axes[1] else "", name)


def _dynamics(fig, panels: Panels) -> None:
    widths = [1] * len(panels.flows) + [1.6, 1.6]
    axes = fig.subplots(1, len(widths), width_ratios=widths)
    for ax, (title, operator) in zip(axes, panels.flows.items(), strict=False):
        latents.flow(ax, operator)
        _title(ax, "C" if ax is axes[0] else "", title)
    to_hand, between = axes[-2:]
    latents.points(to_hand, panels.to_hand, "distance (rad)", panels.colours)
    for x, values in enumerate(panels.null_to_hand.values()):
        mean = sum(values) / len(values)
        to_hand.plot([x - 0.45, x + 0.45], [mean] * 2, color="black", lw=1.3, ls=":", zorder=4)
    _title(to_hand, "D", "to the hand")
    latents.points(between, panels.between_seeds, "", panels.colours)
    _title(between, "", "between seeds")
    between.sharey(to_hand)  # a stretched axis would show two close seeds as far apart
    highest = [
        max(v, default=0.0)
        for panel in (panels.to_hand, panels.null_to_hand, panels.between_seeds)
        for v in panel.values()
    ]
    to_hand.set_ylim(0, 1.1 * max(highest))


def _decoding(fig, panels: Panels) -> None:
    scores, training = fig.subplots(1, 2)
    latents.intervals(scores, panels.position, "R² of position", panels.colours)
    _title(scores, "F", "position")
    for name, logs in panels.histories.items():
        for i, log in enumerate(logs):
            label = name if i == 0 else None
            training.plot(log.step, log.valid, color=panels.colours[name], lw=0.9, label=label)
    training.set(xlabel="training step", ylabel="valid loss")
    training.legend(fontsize=7)
    _title(training, "", "training")


def _spikes(fig, panels: Panels) -> None:
    bits, read_out = fig.subplots(1, 2)
    latents.points(bits, panels.bits, "bits per spike", panels.colours)
    bits.axhline(0, color="black", lw=0.7)
    _title(bits, "G", "unseen units")
    models = {name: name.split(",")[0] for name in panels.read_out}  # "GRU, spikes" has the colour of "GRU"
    colours = {name: panels.colours[model] for name, model in models.items() if model in panels.colours}
    latents.intervals(read_out, panels.read_out, "R² of position", colours)
    _title(read_out, "H", "latents learned from")


def _title(ax, letter: str, words: str) -> None:
    ax.set_title(f"{letter}  {words}" if letter else words, loc="left", fontsize=8)
