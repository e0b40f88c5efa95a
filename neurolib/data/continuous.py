"""Continuous decoding of benchmark sessions: a recording in, whole trials with their pauses out.

The benchmark itself scores short windows around movement (:mod:`neurolib.data.nlb`). A decoder in use
sees everything, reaches, holds and the way back, and so do these trials.
"""

from dataclasses import replace

from neurolib.data.recording import Recording
from neurolib.data.trials import Trials


def whole_trials(
    recording: Recording, bin_size_s: float, lag_s: float = 0.0, forward_s: float = 0.0
) -> Trials:
    """Trials from start to stop, hand velocity as behaviour.

    Parameters
    ----------
    recording : Recording
        With a trial table and the signal ``hand_vel``.
    bin_size_s : float
    lag_s : float
        Behaviour is read this much later than the spikes.
    forward_s : float
        Must be 0: a whole trial has nothing after its window.

    Returns
    -------
    Trials
        Outputs ``velocity x`` and ``velocity y``. Trials in which the hand was not measured
        throughout are left out.

    Examples
    --------
    >>> from neurolib.data.reaching import MC_MAZE_SMALL, simulate
    >>> whole_trials(simulate(replace(MC_MAZE_SMALL, n_trials=3)), bin_size_s=0.025).outputs
    ('velocity x', 'velocity y')
    """
    _no_window(recording, forward_s)
    return _named(recording.bin(bin_size_s, "hand_vel", lag_s, trials=True, gaps="drop"))


def blocks(
    recording: Recording, bin_size_s: float, lag_s: float = 0.0, forward_s: float = 0.0, block_s: float = 15.0
) -> Trials:
    """A session without trials cut into blocks that serve as trials; the hand's or the finger's velocity.

    Parameters
    ----------
    recording : Recording
        With the signal ``finger_vel`` or ``hand_vel``; gaps in it are interpolated.
    bin_size_s, lag_s, forward_s : float
        As for :func:`whole_trials`.
    block_s : float
        Length of a block; what is left of an observed interval is shorter.

    Returns
    -------
    Trials
        Outputs ``velocity x`` and ``velocity y``.
    """
    _no_window(recording, forward_s)
    name = "finger_vel" if "finger_vel" in recording.signals else "hand_vel"
    whole = recording.bin(bin_size_s, name, lag_s, gaps="interpolate")
    return _named(whole.pieces(round(block_s / bin_size_s)))


def _no_window(recording: Recording, forward_s: float) -> None:
    if forward_s:
        raise ValueError(
            f"{recording.name}: forward_s={forward_s}, but whole trials have no window to extend"
        )


def _named(trials: Trials) -> Trials:
    if len(trials.outputs) != 2:
        raise ValueError(f"{trials.name}: velocity must have x and y, not {trials.outputs}")
    return replace(trials, outputs=("velocity x", "velocity y"))
