"""Reaches in a stream of movement: trials with velocity in, onsets and directions out.

Where a recording has no trial table, reaches are found in the speed of the hand.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

from neurolib.data.trials import Trials


class Reaches(NamedTuple):
    """Reaches of a recording.

    Attributes
    ----------
    onset : array of int, shape (n_reaches,)
        Bin in the stacked arrays of the trials.
    direction : array of int, shape (n_reaches,)
        Sector of the displacement, 0 to the right, counter-clockwise.
    """

    onset: NDArray
    direction: NDArray


def find_reaches(
    trials: Trials,
    before_s: float = 0.1,
    after_s: float = 0.5,
    min_speed: float = 10.0,
    n_directions: int = 8,
) -> Reaches:
    """Find movements that start from a slow hand, and sort them by direction.

    A reach is a peak of speed that rises at least twofold above the slowest bin before it; its
    onset is the last bin before the peak below a third of the peak. Reaches whose window leaves
    the trial are dropped.

    Parameters
    ----------
    trials : Trials
        With outputs ``velocity x`` and ``velocity y``.
    before_s, after_s : float
        Window around the onset.
    min_speed : float
        Slowest peak that counts, in the unit of the velocity.
    n_directions : int

    Raises
    ------
    ValueError
        If there is no velocity, or no reach.

    Examples
    --------
    A hand that rests, moves up, and rests:

    >>> speed = np.array([0, 0, 0, 5, 20, 30, 20, 5, 0, 0, 0, 0.0])
    >>> hand = np.stack([0 * speed, speed], axis=1)
    >>> trials = Trials(np.ones((12, 1)), hand, [12], 0.05, ("velocity x", "velocity y"))
    >>> find_reaches(trials, before_s=0.1, after_s=0.3)
    Reaches(onset=array([3]), direction=array([2]))
    """
    velocity = trials.with_outputs("velocity").behaviour
    speed = np.linalg.norm(velocity, axis=1)
    before, after = round(before_s / trials.bin_size_s), round(after_s / trials.bin_size_s)
    onsets = []
    for start, length in zip(trials.starts, trials.lengths, strict=True):
        of_trial = speed[start : start + length]
        peaks, _ = find_peaks(of_trial, height=min_speed, prominence=min_speed / 2)
        for peak in peaks:
            slow = np.flatnonzero(of_trial[:peak] < of_trial[peak] / 3)
            if slow.size and before <= slow[-1] <= length - after:
                onsets.append(start + slow[-1])
    onset = np.unique(onsets).astype(int)
    if not onset.size:
        raise ValueError(
            f"{trials.name}: no reach faster than {min_speed} {trials.output_unit or 'per second'} "
            f"with {before_s} s before and {after_s} s after it in a trial"
        )
    moved = np.stack([velocity[o : o + after].sum(axis=0) for o in onset])
    sector = np.round(np.arctan2(moved[:, 1], moved[:, 0]) / (2 * np.pi) * n_directions)
    return Reaches(onset, sector.astype(int) % n_directions)


def aligned(values: ArrayLike, onset: ArrayLike, before_bins: int, after_bins: int) -> NDArray:
    """Cut ``values (n_bins, channel)`` around onsets, shape ``(n_reaches, before + after, channel)``."""
    at = np.asarray(onset)[:, None] + np.arange(-before_bins, after_bins)
    return np.asarray(values)[at]


def reach_trials(trials: Trials, reaches: Reaches, before_s: float = 0.1, after_s: float = 0.5) -> Trials:
    """Cut one trial per reach, all of one length, with its direction as ``info["condition"]``.

    Windows of neighbouring reaches can share bins, so split these trials by ``info["whole"]``,
    the trial that a reach is from, and never by reach.

    Examples
    --------
    >>> speed = np.array([0, 0, 0, 5, 20, 30, 20, 5, 0, 0, 0, 0.0])
    >>> hand = np.stack([0 * speed, speed], axis=1)
    >>> trials = Trials(np.ones((12, 1)), hand, [12], 0.05, ("velocity x", "velocity y"))
    >>> reach_trials(trials, find_reaches(trials, 0.1, 0.3), 0.1, 0.3)
    Trials('unnamed': 1 trials, 8 bins of 50 ms, 1 units, 2 outputs)
    """
    before, after = round(before_s / trials.bin_size_s), round(after_s / trials.bin_size_s)
    counts = aligned(trials.counts, reaches.onset, before, after)
    behaviour = aligned(trials.behaviour, reaches.onset, before, after)
    return replace(
        trials,
        counts=counts.reshape(-1, counts.shape[-1]),
        behaviour=behaviour.reshape(-1, behaviour.shape[-1]),
        lengths=np.full(len(counts), before + after),
        info={
            "condition": reaches.direction,
            "whole": trials.trial_of_bin[reaches.onset],
            "onset_bin": reaches.onset,
        },
    )
