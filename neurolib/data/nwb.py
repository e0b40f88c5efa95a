"""An NWB file goes in, a :class:`~neurolib.data.recording.Recording` comes out.

Names of columns end in their unit: ``move_onset_time`` becomes ``move_onset_s``. Needs pynwb.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.recording import Recording, Signal, join_touching

if TYPE_CHECKING:
    from pynwb import NWBFile, TimeSeries

# What an unreadable file turns out to be, by its first bytes.
_IMPOSTORS = {
    b"<": "is a web page; the server sent an error or a login page instead of the data",
    b"MATLAB": "is a MATLAB file with another name",
    b"version https://git-lfs": "is a Git LFS pointer; fetch the data behind it with `git lfs pull`",
    b"\x1f\x8b": "is gzipped; unpack it first",
    b"PK": "is a zip archive; unpack it first",
}


def read_nwb(
    path: str | Path,
    signals: Sequence[str] | None = None,
    units_keep: ArrayLike | None = None,
    silent: str = "error",
    outside: str = "error",
    trial_table: str = "trials",
    name: str | None = None,
) -> Recording:
    """Read spike times, sampled signals, trials and unit columns.

    Columns of trials and units with numbers, flags or text in rows of equal length are kept;
    ragged columns and links to other objects are not. ``heldout``, as the Neural Latents
    Benchmark has it, becomes ``held_out``.

    Parameters
    ----------
    path : str or Path
    signals : sequence of str, optional
        Which time series of acquisition and processing modules to load; by default all that are
        numbers of shape (time,) or (time, channel). A series inside a container is called
        ``<container>_<series>``; of two with one name the later is ``<module>_<name>``. Name them if the file also holds raw voltage.
    units_keep : array of int or bool, optional
        Rows of the unit table to keep; by default all.
    silent : {"error", "drop", "keep"}
        What to do with kept units that never fire.
    outside : {"error", "drop"}
        What to do with trials that reach outside the recording.
    trial_table : str
        Which table of intervals holds the trials; without a table of that name there are no
        trials, unless it was asked for by another name than ``"trials"``.
    name : str, optional
        Name of the recording; by default that of the file.

    Returns
    -------
    Recording
        ``observed_s`` is when all units were observed (``obs_intervals``). A file that does not
        say is taken to span its spikes and signals, and trials up to a second beyond. Signals
        are in the file's unit, scaled by its conversion factor.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated or not NWB, has no units, spike times that are not sorted or not
        finite, silent units, trials outside the recording, or a signal whose clock runs
        backwards. The message names the file and the likely mistake.

    Examples
    --------
    >>> read_nwb("sub-1_ses-1.nwb", signals=["hand_vel"])
    Traceback (most recent call last):
    FileNotFoundError: sub-1_ses-1.nwb: no such file; is the data folder (NEUROLIB_DATA) the right one?
    """
    path = Path(path)
    for option, value, allowed in (
        ("silent", silent, ("error", "drop", "keep")),
        ("outside", outside, ("error", "drop")),
    ):
        if value not in allowed:
            raise ValueError(f"{option}={value!r} must be one of {allowed}")
    require_nwb(path)
    from pynwb import NWBHDF5IO  # takes seconds

    try:
        with NWBHDF5IO(str(path), "r") as io:
            nwb = io.read()
            spikes, units = _read_units(nwb)
            rows = np.arange(len(spikes)) if units_keep is None else np.arange(len(spikes))[units_keep]
            observed = _read_observed(nwb, rows)
            sampled = _read_signals(nwb, signals)
            trials = _read_trials(nwb, trial_table)
        if observed is None:
            observed = _likely_span(spikes, sampled, trials)
        whole = Recording(spikes, observed, sampled, units=units, name=name or path.stem)
        if trials and outside == "drop":
            first, last = whole.observed_s[0, 0] - 1e-6, whole.observed_s[-1, 1] + 1e-6
            inside = (trials["start_s"] >= first) & (trials["stop_s"] <= last)
            trials = {key: column[inside] for key, column in trials.items()}
        return _select_units(replace(whole, trials=trials), rows, silent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: the file is damaged ({error}); download it again") from error


def require_nwb(path: Path) -> None:
    """Refuse what is not NWB before pynwb does so in many more lines."""
    import h5py

    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; is the data folder (NEUROLIB_DATA) the right one?")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; name the .nwb file in it")
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            head = file.read(64).lstrip()
        what = "does not start like one; was it renamed?" if head else "is empty; the download did not start"
        for start, guess in _IMPOSTORS.items():
            if head.startswith(start):
                what = guess
        raise ValueError(f"{path}: not an NWB (HDF5) file: it {what}")
    try:
        with h5py.File(path, "r") as file:
            if "nwb_version" not in file.attrs:
                raise ValueError(
                    f"{path}: HDF5 but not NWB (no nwb_version); is it a MATLAB 7.3 or other HDF5 file with another name?"
                )
    except OSError as error:
        raise ValueError(
            f"{path}: truncated, {path.stat().st_size:,} bytes are there; the download broke off ({error})"
        ) from None


def _read_units(nwb: "NWBFile") -> tuple[list[NDArray], dict[str, NDArray]]:
    if nwb.units is None or not len(nwb.units.id):
        raise ValueError("no units table; is this a file of raw voltage, or the session's behaviour only?")
    if "spike_times" not in nwb.units.colnames:
        raise ValueError("the units table has no spike_times; were only waveforms or electrodes stored?")
    columns = flat_columns(nwb.units)
    if "heldout" in columns:
        columns["held_out"] = columns.pop("heldout").astype(bool)
    return [times.astype(float) for times in _ragged(nwb.units["spike_times"])], columns


def _read_observed(nwb: "NWBFile", rows: NDArray) -> NDArray | None:
    """When all of these units were observed, shape ``(n_intervals, 2)``; None if the file does not say."""
    if "obs_intervals" not in nwb.units.colnames:
        return None
    per_unit = _ragged(nwb.units["obs_intervals"])
    observed = _common_intervals([join_touching(per_unit[row].reshape(-1, 2)) for row in rows])
    if not len(observed):
        raise ValueError("the units were never all observed at once; choose some with units_keep")
    return observed


def _read_trials(nwb: "NWBFile", table: str) -> dict[str, NDArray]:
    tables = {} if nwb.intervals is None else dict(nwb.intervals)
    tables |= {found.name: found for found in (nwb.trials, nwb.epochs) if found is not None}
    if table not in tables:
        if table == "trials":
            return {}
        raise ValueError(f"no table of intervals {table!r}; it has {sorted(tables)}")
    columns = flat_columns(tables[table])
    return {(key[:-5] + "_s" if key.endswith("_time") else key): column for key, column in columns.items()}


def _read_signals(nwb: "NWBFile", wanted: Sequence[str] | None) -> dict[str, Signal]:
    there = {}
    for module, name, series in _find_series(nwb):
        there[name if name not in there else f"{module}_{name}"] = series
    missing = set(wanted or ()) - there.keys()
    if missing:
        raise ValueError(f"no signal {sorted(missing)}; it has {sorted(there)}")
    signals = {}
    for name in there if wanted is None else wanted:
        try:
            signals[name] = to_signal(there[name])
        except ValueError as error:
            raise ValueError(f"signal {name!r}: {error} (signals=[...] reads only those named)") from None
    return signals


def _find_series(nwb: "NWBFile") -> Iterator[tuple[str, str, "TimeSeries"]]:
    """Module, name and series of all that hold numbers; names as nlb_tools gives them."""
    from pynwb import TimeSeries
    from pynwb.core import MultiContainerInterface

    modules = {"acquisition": nwb.acquisition}
    modules |= {module.name: module.data_interfaces for module in nwb.processing.values()}
    for module, interfaces in modules.items():
        for interface in interfaces.values():
            found = {interface.name: interface}
            if isinstance(interface, MultiContainerInterface):
                found = {f"{interface.name}_{child.name}": child for child in interface.children}
            for name, series in found.items():
                if isinstance(series, TimeSeries) and hasattr(series.data, "dtype"):
                    if np.dtype(series.data.dtype).kind in "fiub" and len(series.data.shape) in (1, 2):
                        yield module, name, series


def to_signal(series: "TimeSeries") -> Signal:
    """A series in its unit, with the times of its samples."""
    values = np.asarray(series.data[()])
    if (series.conversion, series.offset) != (1.0, 0.0):
        values = values * series.conversion + series.offset
    if series.timestamps is not None:
        time_s = np.asarray(series.timestamps[()], float)
    else:
        time_s = series.starting_time + np.arange(len(values)) / series.rate
    channels = ()
    if "columns=[" in series.comments:
        channels = series.comments.split("columns=[")[1].split("]")[0].split(",")
    return Signal(time_s, values, series.unit, tuple(channel.strip() for channel in channels))


def _ragged(column) -> list[NDArray]:
    """Rows of a ragged column, which is stored as one long column and the end of each row."""
    return np.split(np.asarray(column.target.data[()]), np.asarray(column.data[()], int)[:-1])


def flat_columns(table) -> dict[str, NDArray]:
    """Columns of a table that hold one number or string per row."""
    from hdmf.common import DynamicTableRegion, VectorIndex

    columns = {"id": np.asarray(table.id[:])}
    for key in table.colnames:
        column = table[key]
        if isinstance(column, VectorIndex | DynamicTableRegion):
            continue
        values = np.asarray(column[:])
        if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
            values = values.astype(str)
        if values.dtype.kind in "biufU":
            columns[key] = values
    return columns


def _common_intervals(per_unit: list[NDArray]) -> NDArray:
    """Where the intervals of all units overlap."""
    if all(np.array_equal(intervals, per_unit[0]) for intervals in per_unit):
        return per_unit[0]
    edges = np.unique(np.concatenate(per_unit))
    middle = (edges[1:] + edges[:-1]) / 2
    seen = np.ones(len(middle), bool)
    for intervals in per_unit:
        # Inside an interval one more start than stops has gone by.
        seen &= np.searchsorted(intervals[:, 0], middle) > np.searchsorted(intervals[:, 1], middle)
    return join_touching(np.stack([edges[:-1], edges[1:]], axis=1)[seen])


def _likely_span(
    spikes: list[NDArray], signals: dict[str, Signal], trials: dict[str, NDArray]
) -> tuple[float, float]:
    """Span of spikes and signals, and of trials that reach no more than a second beyond it."""
    spans = [times[[0, -1]] for times in spikes if len(times)]
    spans += [signal.time_s[[0, -1]] for signal in signals.values() if len(signal.time_s)]
    if not spans:
        raise ValueError("no unit ever fires and there are no signals; is this the session's main file?")
    first, last = np.min(spans), np.max(spans)
    if trials:
        start, stop = np.min(trials["start_s"]), np.max(trials["stop_s"])
        first = start if first - 1 <= start < first else first
        last = stop if last < stop <= last + 1 else last
    return first, last


def _select_units(recording: Recording, rows: NDArray, silent: str) -> Recording:
    fires = np.array([len(recording.spike_times_s[row]) > 0 for row in rows])
    if silent == "error" and not fires.all():
        never = rows[~fires].tolist()
        raise ValueError(f"units {never} never fire; silent='drop' leaves them out, silent='keep' keeps them")
    rows = rows[fires] if silent == "drop" else rows
    return replace(
        recording,
        spike_times_s=[recording.spike_times_s[row] for row in rows],
        units={key: column[rows] for key, column in recording.units.items()},
    )
