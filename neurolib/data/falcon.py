"""FALCON M1: an NWB file of reach-to-grasp in, spikes and the EMG of 16 muscles out, as a Recording.

The layout is that of DANDI 000941; the second monkey's, DANDI 001209, is said to be the same. Needs pynwb.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from neurolib.data.nwb import read_nwb
from neurolib.data.recording import Recording, Signal

BIN_SIZE_S = 0.02
LAG_S = BIN_SIZE_S / 2


def read_falcon_m1(path: str | Path, name: str | None = None) -> Recording:
    """Spike times, processed EMG and trials of one session.

    The makers filtered and rectified the EMG, clipped and scaled each muscle by its quantiles, and
    brought it to 50 Hz [1]_; the file says mV, but after scaling it has no unit.

    A sample of EMG belongs to the spikes of the 20 ms that end at its time stamp [2]_. On bins of 20 ms that
    is a lag of half a bin: ``recording.bin(BIN_SIZE_S, "emg", lag_s=LAG_S)``.

    Parameters
    ----------
    path : str or Path
    name : str, optional
        Name of the recording; by default that of the file.

    Returns
    -------
    Recording
        Signals: ``emg`` ``(sample, muscle)``, muscles in alphabetical order, and ``eval_mask``, 1 where the
        benchmark scores and 0 elsewhere. Trials as in the file: ``gocue_s``, ``move_onset_s``, ``contact_s``,
        ``reward_s``, ``tgt_obj``, ``tgt_loc``, ``condition_id``. A unit is an electrode's threshold
        crossings; some never fire and are kept, so that units mean the same electrodes in every session.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not NWB, is truncated, lacks the EMG, muscles or mask are on different clocks, or trials
        reach outside the EMG.

    References
    ----------
    .. [1] https://github.com/snel-repo/falcon-challenge, preproc/m1_reachgrasp_preprocv2.py
    .. [2] https://github.com/snel-repo/falcon-challenge, falcon_challenge/dataloaders.py
    .. [3] https://dandiarchive.org/dandiset/000941

    Examples
    --------
    >>> read_falcon_m1("held-in.nwb")
    Traceback (most recent call last):
    FileNotFoundError: held-in.nwb: no such file; is the data folder (NEUROLIB_DATA) the right one?
    """
    whole = read_nwb(path, silent="keep", name=name)
    prefix = "preprocessed_emg_"
    muscles = sorted(key for key in whole.signals if key.startswith(prefix))
    if not muscles:
        raise ValueError(
            f"{path}: no preprocessed_emg; it has {sorted(whole.signals)}. FALCON M1 is DANDI 000941, M2 and H1 have "
            "kinematics"
        )
    emg = [whole.signals[key] for key in muscles]
    others = [key for key in muscles if not np.array_equal(whole.signals[key].time_s, emg[0].time_s)]
    if others:
        raise ValueError(f"{path}: {', '.join(others)} are on another clock than {muscles[0]}")
    _check_rate(path, emg[0])
    if "eval_mask" not in whole.signals:
        raise ValueError(f"{path}: no eval_mask; was the file made from the raw recording?")
    mask = whole.signals["eval_mask"]
    if not np.array_equal(mask.time_s, emg[0].time_s) or not np.isin(mask.values, (0, 1)).all():
        raise ValueError(f"{path}: eval_mask should hold 0 or 1 for each of {len(emg[0].time_s)} EMG samples")
    if whole.n_trials:
        first, last = emg[0].time_s[0] - BIN_SIZE_S, emg[0].time_s[-1] + BIN_SIZE_S
        outside = (whole.trials["start_s"] < first) | (whole.trials["stop_s"] > last)
        if outside.any():
            raise ValueError(
                f"{path}: {outside.sum()} of {len(outside)} trials lie outside the EMG, which runs from {first:.2f} to "
                f"{last:.2f} s; are EMG and trials on one clock?"
            )
    signals = {
        "emg": Signal(
            emg[0].time_s,
            np.hstack([signal.values for signal in emg]),
            "scaled by quantiles of the muscle",
            tuple(key.removeprefix(prefix) for key in muscles),
        ),
        "eval_mask": Signal(mask.time_s, mask.values.astype(float), "0 or 1", ("eval_mask",)),
    }
    return replace(whole, signals=signals)


def _check_rate(path: str | Path, emg: Signal) -> None:
    step = 1 / emg.rate_hz
    if abs(step - BIN_SIZE_S) > 1e-4:
        raise ValueError(
            f"{path}: EMG comes every {1e3 * step:g} ms, {1e3 * BIN_SIZE_S:g} ms expected; is it the raw EMG?"
        )
