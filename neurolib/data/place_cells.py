"""Calcium imaging of the hippocampus on two linear tracks: ``.mat`` files in, one Recording per session out.

The files hold what a mouse's cells did while it ran, as inferred spikes, and where it was, in bins of the
track; running periods are strung together, in one array per environment, session and running direction.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data import catalog
from neurolib.data.recording import Recording, Signal

AREAS = {"CA1": ("C5M1", "C6M3", "C6M4", "C8M2"), "CA3": ("C14M4", "C15M2", "C23M4", "C24M3", "C24M4")}
RATE_HZ = 20.0
SLOW = {"C8M2": 10.0}
LAP_JUMP_BINS = 2
BREAK_S = 1.0


def laps(position: NDArray) -> NDArray:
    """Frames at which a new run along the track begins: position jumps by more than two bins.

    Three bins in a frame would be 60 in a second at 20 Hz, three whole tracks. So such a step is the mouse
    taken up elsewhere: at the start of the next lap, or where it ran on after a stop.

    Parameters
    ----------
    position : array of int, shape (n_frames,)
        Bin of the track.

    Returns
    -------
    array of int
        First frame of each run, the first of all included.

    Examples
    --------
    >>> laps(np.array([3, 4, 4, 5, 22, 3, 4, 6, 3]))
    array([0, 4, 5, 8])
    """
    return np.concatenate([[0], np.flatnonzero(abs(np.diff(np.asarray(position, int))) > LAP_JUMP_BINS) + 1])


def load_place_cells(mouse: str, folder: Path | None = None) -> list[Recording]:
    """All sessions of one mouse: environment by environment, session by session.

    Both directions of a session are one recording, since they show the same cells; other sessions show
    others. The clock is made up: runs follow each other with a second of nothing between them, because how
    long the mouse paused is not kept. A window inside an observed interval never spans two runs.

    Parameters
    ----------
    mouse : str
        Such as ``"C6M4"``.
    folder : Path, optional
        Folder of ``<mouse>_spike_train.mat`` and ``<mouse>_stimulus_trace.mat``; by default that of the
        data folder.

    Returns
    -------
    list of Recording
        Without units. Signals: ``events`` ``(frame, cell)``, inferred spikes in arbitrary units, and
        ``position`` in bins of the track. Trials are runs: ``direction``, ``environment``, ``session``,
        ``mouse``, ``area``, ``first_bin``, ``last_bin`` (a whole lap goes from one end to the other).
        Frames come at 20 Hz, of mouse C8M2 at 10 Hz.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the mouse is unknown, or a file is not a whole one of this kind.

    References
    ----------
    .. [1] Sheintuch, Rubin and Ziv (2022), "Bias-free estimation of information content in temporally sparse
       neuronal activity", PLoS Computational Biology 18(2):e1009832.
    .. [2] https://github.com/zivlab/unbiased_information_estimation, "Real data/Full data set".

    Examples
    --------
    >>> load_place_cells("C6M5")
    Traceback (most recent call last):
        ...
    ValueError: no mouse 'C6M5'; CA1 has C5M1, C6M3, C6M4, C8M2, CA3 has C14M4, C15M2, C23M4, C24M3, C24M4
    """
    area = next((area for area, mice in AREAS.items() if mouse in mice), None)
    if area is None:
        known = ", ".join(f"{area} has {', '.join(mice)}" for area, mice in AREAS.items())
        raise ValueError(f"no mouse {mouse!r}; {known}")
    if folder is None:
        catalog.require("zivlab_place_calcium")
        folder = catalog.folder("zivlab_place_calcium")
    events_file = Path(folder) / f"{mouse}_spike_train.mat"
    where_file = Path(folder) / f"{mouse}_stimulus_trace.mat"
    events, where = _cells(events_file, "spike_train"), _cells(where_file, "stimulus_trace")
    if events.shape != where.shape:
        raise ValueError(
            f"{events_file} is a cell array {events.shape} and {where_file} {where.shape}; of two mice?"
        )
    recordings = []
    for environment, session in np.ndindex(events.shape[:2]):
        at = f"environment {environment}, session {session}"
        recording = _session(
            [events[environment, session, direction] for direction in range(2)],
            [where[environment, session, direction] for direction in range(2)],
            SLOW.get(mouse, RATE_HZ),
            f"{mouse} ({area}), {at}",
            f"{events_file}, {at}",
        )
        constant = {"environment": environment, "session": session, "mouse": mouse, "area": area}
        table = {key: np.full(recording.n_trials, value) for key, value in constant.items()}
        recordings.append(replace(recording, trials=recording.trials | table))
    return recordings


def _session(
    events: list[NDArray], where: list[NDArray], rate_hz: float, name: str, source: str
) -> Recording:
    """Both directions of one session, run after run on a made-up clock."""
    n_cells = {part.shape[1] for part in events}
    if len(n_cells) != 1:
        raise ValueError(f"{source}: the two directions have {sorted(n_cells)} cells; they should share them")
    times, rows, next_s = [], [], 0.0
    for direction, (trace, position) in enumerate(zip(events, where, strict=True)):
        position = np.ravel(position).astype(int)
        if len(trace) != len(position):
            raise ValueError(
                f"{source}: direction {direction} has {len(trace)} frames of spikes and {len(position)} of position"
            )
        if not np.isfinite(trace).all() or trace.min() < 0:
            raise ValueError(f"{source}: inferred spikes must be finite and not negative; is it ΔF/F?")
        starts = laps(position)
        steps = np.diff(position)
        onward = steps[abs(steps) <= LAP_JUMP_BINS].sum() * (1 - 2 * direction)
        if onward <= 0:
            raise ValueError(
                f"{source}: in direction {direction} position should {'fall' if direction else 'rise'} along a lap "
                "and does not; are the two directions swapped?"
            )
        for first, last in zip(starts, np.append(starts[1:], len(position)), strict=True):
            times.append(next_s + np.arange(last - first) / rate_hz)
            stop_s = next_s + (last - first) / rate_hz
            rows.append((next_s, stop_s, direction, position[first], position[last - 1]))
            next_s = np.ceil(stop_s) + BREAK_S
    time_s = np.concatenate(times)
    start, stop, direction, first_bin, last_bin = (np.array(column) for column in zip(*rows, strict=True))
    cells = tuple(f"cell {i}" for i in range(n_cells.pop()))
    place = np.concatenate([np.ravel(part) for part in where]).astype(float)
    return Recording(
        [],
        np.stack([start, stop], axis=1),
        {
            "events": Signal(
                time_s, np.vstack(events).astype(np.float32), "inferred spikes, arbitrary units", cells
            ),
            "position": Signal(time_s, place, "bin of the track", ("position",)),
        },
        {
            "start_s": start,
            "stop_s": stop,
            "direction": direction,
            "first_bin": first_bin,
            "last_bin": last_bin,
        },
        name=name,
    )


def _cells(path: Path, key: str) -> NDArray:
    """A MATLAB cell array of matrices ``(environment, session, direction)``."""
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; is the data folder (NEUROLIB_DATA) the right one?")
    try:
        found = loadmat(path)
    except Exception as error:  # a damaged file surfaces as one of a dozen unrelated types
        kind = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"{path} is no readable .mat file; truncated? ({kind})") from None
    if key not in found:
        held = ", ".join(sorted(name for name in found if not name.startswith("__"))) or "nothing"
        raise ValueError(f"{path} has no variable {key!r}, it holds {held}; is it the mouse's other file?")
    cells = found[key]
    if cells.dtype != object or cells.ndim != 3 or cells.shape[2] != 2:
        raise ValueError(
            f"{path}: {key} should be a cell array (environment, session, 2 directions), "
            f"it has shape {cells.shape} and type {cells.dtype}; is it the sample of a single session?"
        )
    return cells
