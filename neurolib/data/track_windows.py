"""Windows around moments on a track: a recording of runs in, events ``(window, bin, cell)`` and the place at their centre out.

A window never leaves its run, and the moment asked for is always its centre, so that time since the start of
a run, which nearly tells the place, is not to be read from it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.recording import Recording


@dataclass(frozen=True)
class TrackWindows:
    """Windows of one recording.

    Parameters
    ----------
    events : array of float32, shape (n_windows, n_bins, n_cells)
        Frames of each bin in which a cell was active.
    place : array of int64, shape (n_windows,)
        Bin of the track at the centre of the window, the lowest of the set is 0.
    run : array of int64, shape (n_windows,)
        Row of the trial table.
    direction : array of int64, shape (n_windows,)
    bin_size_s : float
    name : str
    """

    events: NDArray
    place: NDArray
    run: NDArray
    direction: NDArray
    bin_size_s: float
    name: str

    def __len__(self) -> int:
        return len(self.place)

    @property
    def n_cells(self) -> int:
        """Cells of the recording."""
        return self.events.shape[2]

    def of_runs(self, runs: ArrayLike) -> "TrackWindows":
        """Only the windows of some runs."""
        return self.where(np.isin(self.run, np.asarray(runs)))

    def most_active(self, n: int, runs: ArrayLike) -> "TrackWindows":
        """Only the ``n`` cells with most events in the windows of some runs, in their old order."""
        active = self.of_runs(runs).events.sum((0, 1))
        return replace(self, events=self.events[..., np.sort(np.argsort(-active, kind="stable")[:n])])

    def where(self, rows: NDArray) -> "TrackWindows":
        """Only some windows, by mask or number."""
        picked = {key: getattr(self, key)[rows] for key in ("events", "place", "run", "direction")}
        return replace(self, **picked)


def whole_runs(recording: Recording, least: int = 14) -> NDArray:
    """Rows of the trial table that lead from one end of the track to the other, in order of time.

    Parameters
    ----------
    recording : Recording
        As :func:`neurolib.data.place_cells.load_place_cells` gives it.
    least : int
        Bins from the first to the last of a run.
    """
    trials = recording.trials
    return np.flatnonzero(abs(trials["last_bin"] - trials["first_bin"]) >= least)


def track_windows(
    recording: Recording,
    runs: ArrayLike,
    window_bins: int = 9,
    bin_size_s: float = 0.1,
    lowest: int = 3,
) -> TrackWindows:
    """Cut runs into windows, one for every bin that has a window around it.

    Parameters
    ----------
    recording : Recording
        With signals ``events`` and ``position``.
    runs : array_like of int
        Rows of the trial table.
    window_bins : int
        Odd, so that one bin is the centre.
    bin_size_s : float
        A whole number of frames.
    lowest : int
        First bin of the track.

    Raises
    ------
    ValueError
        If a window has no centre, bins are not whole frames, or no run is long enough.

    Examples
    --------
    >>> from neurolib.data.track_cells import PlaceCellsConfig, simulate
    >>> day, *_ = simulate(PlaceCellsConfig(n_sessions=1, n_cells=5, n_laps=2))
    >>> windows = track_windows(day, whole_runs(day))
    >>> windows.events.shape[1:], sorted(set(windows.direction.tolist()))
    ((9, 5), [0, 1])
    """
    if window_bins < 1 or window_bins % 2 == 0:
        raise ValueError(f"window_bins={window_bins} must be odd; the place is that of the bin in the middle")
    events, place = recording.signals["events"], recording.signals["position"].values[:, 0]
    frames = bin_size_s * events.rate_hz
    step = round(frames)
    if step < 1 or abs(frames - step) > 0.01 * step:
        raise ValueError(
            f"{recording.name}: bins of {bin_size_s} s hold {frames:.3g} frames; take a whole number of them"
        )
    active = (events.values > 0).astype(np.float32)
    parts = []
    for run in np.asarray(runs, int):
        low, high = np.searchsorted(
            events.time_s, [recording.trials["start_s"][run] - 1e-6, recording.trials["stop_s"][run] - 1e-6]
        )
        n = (high - low) // step
        if n < window_bins:
            continue
        binned = active[low : low + n * step].reshape(n, step, -1).sum(1)
        where = np.round(place[low : low + n * step].reshape(n, step).mean(1)).astype(np.int64) - lowest
        half, count = window_bins // 2, n - window_bins + 1
        views = np.lib.stride_tricks.sliding_window_view(binned, window_bins, axis=0).transpose(0, 2, 1)
        heading = np.full(count, recording.trials["direction"][run])
        parts.append((views, where[half : half + count], np.full(count, run), heading))
    if not parts:
        raise ValueError(
            f"{recording.name}: no run of {window_bins} bins or more among {len(np.ravel(runs))}"
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return TrackWindows(*columns, bin_size_s, recording.name)
