"""Active reaches of Area2_Bump: a recording of the benchmark's schema in, read or simulated, trials out.

Macaque S1, area 2, eight directions from a centre. The pushes of the resting hand
(``ctr_hold_bump``) are left out; :func:`neurolib.data.nlb.load_nlb` has them.

References
----------
.. [1] Chowdhury, Glaser & Miller (2020), "Area 2 of primary somatosensory cortex encodes kinematics of
   the whole arm", eLife 9:e48198.
.. [2] Pei et al. (2021), "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolib.data import catalog
from neurolib.data.nlb import TASKS, align_signals, read_nlb
from neurolib.data.recording import Recording
from neurolib.data.trials import Trials

OUTPUTS = ("position x", "position y", "velocity x", "velocity y")
_IN_CM = {"mm": 0.1, "cm": 1.0, "m": 100.0}

log = logging.getLogger(__name__)


def read_area2(path: str | Path | None = None) -> Recording:
    """Spikes of all units, hand position and velocity, and the trial table.

    Parameters
    ----------
    path : str or Path, optional
        The training file, or a folder with it; by default that of the data folder.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not the benchmark's training file of Area2_Bump.
    """
    path = catalog.require("area2_bump")[0] if path is None else path
    return read_nlb("area2_bump", path, ("hand_pos", "hand_vel"))


def active_reaches(
    recording: Recording,
    bin_size_s: float = 0.005,
    lag_s: float = 0.0,
    forward_s: float = 0.0,
    gaps: str = "drop",
) -> Trials:
    """Cut the reaches that the animal made itself, from 100 ms before movement onset to 500 ms after.

    Parameters
    ----------
    recording : Recording
        From :func:`read_area2`, or simulated from ``AREA2_BUMP``.
    bin_size_s : float
    lag_s : float
        Behaviour is read this much later than the spikes. Units here follow the hand, so the
        benchmark takes -0.02 s; default is no lag.
    forward_s : float
        Add so much after the window, for forward prediction.
    gaps : {"drop", "error", "interpolate"}
        What to do with reaches in which the hand was not measured throughout; the log says how
        many were dropped.

    Returns
    -------
    Trials
        Trials of the benchmark's train and validation split (``info["split"]``, ``train`` or
        ``valid``) in the order of the file. ``behaviour`` is position in cm and velocity in
        cm/s; a unit that is no length is left as the file has it. ``info["condition"]``
        numbers the directions in rising order of the angle, 0 to 7.

    Raises
    ------
    ValueError
        If there is no such reach, or hand position or velocity is not two-dimensional.

    Examples
    --------
    >>> from neurolib.data.reaching import AREA2_BUMP, simulate
    >>> active_reaches(simulate(replace(AREA2_BUMP, n_trials=30)), bin_size_s=0.02)
    Trials('Area2_Bump, simulated': 16 trials, 480 bins of 20 ms, 65 units, 4 outputs, SIMULATED)
    """
    task, table = TASKS["area2_bump"], recording.trials
    active = ~table["ctr_hold_bump"].astype(bool) & np.isfinite(table["cond_dir"].astype(float))
    active &= np.isin(table["split"], ("train", "valid")) & np.isfinite(table[task.align].astype(float))
    if not active.any():
        raise ValueError(f"{recording.name}: no reach without a bump in split train or valid")
    window_s = task.window_s[0], task.window_s[1] + forward_s
    reaches = recording.select_trials(active)
    trials = align_signals(reaches, task.align, window_s, bin_size_s, ("hand_pos", "hand_vel"), lag_s, gaps)
    if len(trials) < reaches.n_trials:
        log.warning(
            "%s: %d of %d reaches dropped, the hand or spikes were not recorded throughout",
            recording.name,
            reaches.n_trials - len(trials),
            reaches.n_trials,
        )
    if len(trials.outputs) != len(OUTPUTS):
        raise ValueError(f"{recording.name}: position and velocity must have x and y, not {trials.outputs}")
    behaviour, units = trials.behaviour, []
    for columns, name in ((slice(0, 2), "hand_pos"), (slice(2, 4), "hand_vel")):
        length, *per = recording.signals[name].unit.split("/")
        behaviour[:, columns] *= _IN_CM.get(length, 1.0)
        units.append("/".join(["cm" if length in _IN_CM else length, *per]))
    angles = reaches.trials["cond_dir"].astype(float)
    return replace(
        trials,
        outputs=OUTPUTS,
        output_unit=", ".join(units),
        info=trials.info | {"condition": np.searchsorted(np.unique(angles), trials.info["cond_dir"])},
    )
