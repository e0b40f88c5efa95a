"""Motor cortex before an instructed grasp: a MATLAB 7.3 file in, a Recording of 134 trials out.

The file holds 0 or 1 spike per millisecond from 200 ms before the cue to the go signal.
"""

from pathlib import Path

import numpy as np

from neurolib.data import catalog
from neurolib.data.recording import Recording

STEP_S = 0.001
CUE_S = 0.2
CUE_OFF_S = 0.5
BREAK_S = 0.5
GRIPS = {1: "side", 2: "precision"}


def load_grasping(path: Path | None = None) -> Recording:
    """93 neurons of a macaque, 134 trials of 1.5 s: a cue that says side or precision grip, and a delay.

    The trials stand in the file sorted by grip and, within two blocks of each, by reaction time. So which
    came first is lost: do not split by trial number, nor look for drift. They are put on a made-up clock,
    half a second apart. A spike lies in the middle of its millisecond.

    Parameters
    ----------
    path : Path, optional
        The file ``Dataset2_grasping_b121bf7.mat``; by default that of the data folder.

    Returns
    -------
    Recording
        Trials: ``start_s``, ``stop_s`` (the go signal), ``cue_s`` and ``cue_off_s``, ``grip`` (``"side"`` or
        ``"precision"``), ``reaction_time_s``. Units: ``id``. There are no signals.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a whole one of this kind.

    References
    ----------
    .. [1] Brochier et al. (2018), "Massively parallel recordings in macaque motor cortex during an
       instructed delayed reach-to-grasp task", Scientific Data 5:180055.
    .. [2] https://github.com/CONECT-INT/2022_CENTURI-SummerSchool, datasets/README.md: layout and times.
    """
    import h5py

    path = catalog.require("centuri_grasp")[0] if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    try:
        with h5py.File(path) as file:
            missing = {"D", "GRIP", "RT", "ID"} - set(file)
            if missing:
                raise ValueError(
                    f"{path} lacks {sorted(missing)}, it holds {sorted(file)}; another dataset's file?"
                )
            spikes = file["D"][()]  # MATLAB's [time, neuron, trial] is stored the other way round
            grip, reaction, unit = (file[key][()].ravel() for key in ("GRIP", "RT", "ID"))
    except OSError as error:
        kind = str(error).splitlines()[0]
        raise ValueError(f"{path} is no readable MATLAB 7.3 file; truncated? ({kind})") from None
    if spikes.ndim != 3 or spikes.shape[:2] != (len(grip), len(unit)) or len(reaction) != len(grip):
        raise ValueError(
            f"{path}: D has shape {spikes.shape} for {len(grip)} grips, {len(unit)} neurons and {len(reaction)} "
            "reaction times; (trial, neuron, ms) expected. Was it read by scipy, the other way round?"
        )
    if not ((spikes == 0) | (spikes == 1)).all():
        raise ValueError(
            f"{path}: D holds {spikes.min():g} to {spikes.max():g}; 0 or 1 spike per ms expected"
        )
    if not np.isin(grip, list(GRIPS)).all():
        raise ValueError(
            f"{path}: GRIP holds {np.unique(grip).tolist()}; 1 (side) and 2 (precision) expected"
        )
    if reaction.min() < 1:
        raise ValueError(
            f"{path}: reaction times from {reaction.min():g}; milliseconds expected, are they in seconds?"
        )
    length_s = spikes.shape[2] * STEP_S
    start = np.arange(len(grip)) * (length_s + BREAK_S)
    times = []
    for neuron in range(len(unit)):
        trial, step = np.nonzero(spikes[:, neuron])
        times.append(start[trial] + (step + 0.5) * STEP_S)
    return Recording(
        times,
        np.stack([start, start + length_s], axis=1),
        trials={
            "start_s": start,
            "stop_s": start + length_s,
            "cue_s": start + CUE_S,
            "cue_off_s": start + CUE_OFF_S,
            "grip": np.array([GRIPS[int(value)] for value in grip]),
            "reaction_time_s": reaction * 1e-3,
        },
        units={"id": unit.astype(int)},
        name="grasping (CENTURI)",
    )
