"""Pictures of a population: rasters, peri-event averages, tuning. Trials in, matplotlib figures out."""

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from neurolib.data.trials import Trials
from neurolib.viz.style import COLOURS, GREY, mark_simulated


def raster_and_hand(trials: Trials, number: int):
    """One trial: counts of all units over time, and the behaviour below them."""
    trial = trials.trial(number)
    time_s = np.arange(len(trial.counts)) * trial.bin_size_s
    order = np.argsort(trials.counts.mean(axis=0))
    fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.5, 4.2), sharex=True, height_ratios=(2, 1))
    shown = top.imshow(
        np.sqrt(trial.counts[:, order].T),
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap="Greys",
        extent=(0, time_s[-1] + trial.bin_size_s, 0, trials.n_units),
    )
    top.set(ylabel="unit, by rate", title=f"{trial.bin_size_s * 1e3:.0f} ms counts of one trial")
    bar = fig.colorbar(shown, ax=top, pad=0.01, aspect=25)
    ticks = np.array([0, 1, 2, 4, 8, 16])
    ticks = ticks[np.sqrt(ticks) <= max(np.sqrt(trial.counts.max()), 1)]
    bar.set_ticks(np.sqrt(ticks), labels=ticks)
    bar.set_label("spikes per bin")
    columns = velocity_columns(trials)
    for column, colour in zip(columns, COLOURS, strict=False):
        bottom.plot(time_s, trial.behaviour[:, column], color=colour, label=trials.outputs[column])
    bottom.set(xlabel="time in trial (s)", ylabel="velocity (cm/s)")
    bottom.legend(ncols=2, loc="upper right")
    mark_simulated(fig, trials.simulated)
    return fig


def tuning_curves(angles: NDArray, rates_hz: NDArray, errors_hz: NDArray, titles: list[str], simulated: bool):
    """Rate against movement direction, one panel per unit.

    Parameters
    ----------
    angles : array, shape (n_directions,)
        Radians.
    rates_hz, errors_hz : array, shape (n_units, n_directions)
        Mean and standard error.
    """
    columns = 4
    rows = -(-len(titles) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(6.5, 1.6 * rows), sharex=True, squeeze=False)
    for ax, rate, error, title in zip(axes.flat, rates_hz, errors_hz, titles, strict=False):
        ax.errorbar(np.degrees(angles), rate, error, fmt="o-", ms=3, color=COLOURS[0])
        ax.set(title=title, xticks=[0, 180, 360], ylim=(0, None))
    for ax in axes.flat[len(titles) :]:
        ax.axis("off")
    fig.supxlabel("direction of the hand (degrees)", fontsize=9)
    fig.supylabel("rate (Hz)", fontsize=9)
    mark_simulated(fig, simulated)
    return fig


def lag_curves(
    lags_s: NDArray, scores: dict[str, NDArray], simulated: dict[str, bool], ylabel: str = "R² of velocity"
):
    """Score of a one-bin decoder against lag, one line per key; a dot marks each maximum.

    Parameters
    ----------
    lags_s : array, shape (n_lags,)
        Positive where spikes come before the hand.
    scores : dict of array, shape (n_lags,)
    simulated : dict of bool
        Which lines are of simulated data.
    ylabel : str
    """
    fig, ax = plt.subplots(figsize=(6.5, 2.8))
    for (name, score), colour in zip(scores.items(), COLOURS, strict=False):
        label = f"{name} (SIMULATED)" if simulated[name] else name
        ax.plot(lags_s * 1e3, score, color=colour, label=label)
        best = np.argmax(score)
        ax.plot(lags_s[best] * 1e3, score[best], "o", color=colour)
    ax.axvline(0, color=GREY, lw=0.7)
    ax.set(xlabel="spikes lead the hand by (ms)", ylabel=ylabel)
    ax.legend(ncols=len(scores), loc="lower left", bbox_to_anchor=(0, 1))
    mark_simulated(fig, any(simulated.values()))
    return fig


def peri_event(time_s: NDArray, rates_hz: dict[str, NDArray], errors_hz: dict[str, NDArray], simulated: bool):
    """Mean rate around an event, one panel per unit, one line per condition.

    Parameters
    ----------
    time_s : array, shape (n_bins,)
    rates_hz, errors_hz : dict of array, shape (n_units, n_bins)
        Condition to mean and standard error.
    """
    n_units = len(next(iter(rates_hz.values())))
    fig, axes = plt.subplots(1, n_units, figsize=(6.5, 2.3), sharex=True, squeeze=False)
    for unit, ax in enumerate(axes[0]):
        for (name, rate), colour in zip(rates_hz.items(), COLOURS, strict=False):
            ax.plot(time_s * 1e3, rate[unit], color=colour, label=name)
            low, high = rate[unit] - errors_hz[name][unit], rate[unit] + errors_hz[name][unit]
            ax.fill_between(time_s * 1e3, low, high, color=colour, alpha=0.2, lw=0)
        ax.axvline(0, color=GREY, lw=0.7)
        ax.set(ylim=(0, None))
    axes[0, 0].set_ylabel("rate (Hz)")
    fig.supxlabel("time from peak speed (ms)", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=len(rates_hz), loc="outside upper center")
    mark_simulated(fig, simulated)
    return fig


def velocity_columns(trials: Trials) -> list[int]:
    """Columns of the behaviour that are velocities."""
    return [i for i, name in enumerate(trials.outputs) if "vel" in name.lower()]
