"""One continuous HDF5 file per recording: :class:`Recording` in, the same or any stretch of it out.

Spikes ``(n,)`` lie in order of time with the unit of each, signals ``(time, channel)`` in chunks of two
seconds, so a stretch is read without the rest. Numbers and UTF-8 strings only; nothing is pickled.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from neurolib.data.recording import Recording, Signal
from neurolib.data.sources import CLOCK_S, STRIDE, Sampled, Source, Stamps, in_order
from neurolib.data.splits import Splits, check_disjoint, split_hash

FORMAT, VERSION = "neurolib-recording", 1
CHUNK_S = 2.0


def save(
    recording: Recording,
    path: str | Path,
    splits: Splits | None = None,
    attrs: Mapping[str, object] | None = None,
) -> Path:
    """Write a recording to a file, which appears whole or not at all.

    Parameters
    ----------
    recording : Recording
    path : path
    splits : dict of array, shape (n, 2), optional
        Intervals in seconds by name of split, made once for this recording.
    attrs : dict, optional
        What JSON can hold: subject, licence, source, citation.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If splits overlap or reach outside the recording, a table holds Python objects, or a signal holds
        infinite values.
    """
    path = Path(path)
    try:
        notes = json.dumps(dict(attrs or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: attrs must be what JSON can hold: {error}") from None
    _check_splits(recording, splits or {}, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["simulated"] = bool(recording.simulated)
            _write_table(file, {"name": np.array([recording.name]), "attrs": np.array([notes])}, path)
            file["observed_s"] = recording.observed_s
            _write_spikes(file.create_group("spikes"), recording)
            for name, signal in recording.signals.items():
                _write_signal(file.create_group(f"signals/{_key(name, path)}"), name, signal, path)
            _write_table(file.create_group("trials"), recording.trials, path)
            _write_table(file.create_group("units"), recording.units, path)
            for name, spans in (splits or {}).items():
                file[f"splits/{_key(name, path)}"] = np.asarray(spans, float).reshape(-1, 2)
            file.attrs["split_hash"] = split_hash(splits) if splits else ""
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


class Store:
    """A file of :func:`save`, open for reading; pieces are read when they are asked for.

    It can be handed to worker processes, each of which opens the file anew.

    Parameters
    ----------
    path : path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, of another kind or of another version; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> recording = Recording([np.array([0.1, 2.5])], [[0, 4]], name="example")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store(save(recording, folder + "/example.h5")) as store:
    ...         store.between(2, 3).spike_times_s[0].tolist()
    [2.5]
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._pid, self._file = 0, None
        self._open()

    def _open(self) -> None:
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file; `neurolib data prepare` makes recordings")
        try:
            file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise ValueError(
                f"{self.path} is not an HDF5 file, or is cut off ({error}); prepare it again"
            ) from None
        with self._naming_the_file():
            if file.attrs.get("format") != FORMAT:
                raise ValueError("is an HDF5 file of another kind; `neurolib data prepare` makes recordings")
            if file.attrs.get("version") != VERSION:
                raise ValueError(
                    f"has version {file.attrs.get('version')} and this reads {VERSION}; prepare it again"
                )
            self.name, notes = (str(_read_column(file[key])[0]) for key in ("name", "attrs"))
            self.attrs: dict = json.loads(notes)
            self.splits: Splits = (
                {n: part[:] for n, part in file["splits"].items()} if "splits" in file else {}
            )
            self.split_hash = str(file.attrs["split_hash"])
            if self.splits and split_hash(self.splits) != self.split_hash:
                raise ValueError(
                    "holds other splits than its split_hash says; were they edited? Prepare it again"
                )
            self._source = _read_source(file, self.name)
        self._file, self._pid = file, os.getpid()

    @contextmanager
    def _naming_the_file(self):
        try:
            yield
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path} is damaged ({error}); prepare it again") from None
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    @property
    def source(self) -> Source:
        """Spikes and signals that can be sliced without being read; opened anew in another process."""
        if self._pid != os.getpid():
            self._open()
        return self._source

    @property
    def trials(self) -> dict[str, NDArray]:
        """The trial table."""
        return self.source.whole.trials

    @property
    def channels(self) -> dict[str, tuple[str, ...]]:
        """Channel names by signal."""
        return {name: signal.channels for name, signal in self.source.signals.items()}

    @property
    def positions(self) -> dict[str, NDArray | None]:
        """Where the channels of each signal are, ``(n_channels, 3)``."""
        return {name: signal.positions for name, signal in self.source.signals.items()}

    def between(self, start_s: float, stop_s: float) -> Recording:
        """What was recorded from one second up to another; times stay those of the whole recording."""
        with self._naming_the_file():
            return self.source.cut(start_s, stop_s)

    def recording(self) -> Recording:
        """All of it, in memory."""
        with self._naming_the_file():
            return self.source.cut(-np.inf, np.inf)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self._pid == os.getpid():
            self._file.close()
        self._file, self._pid = None, 0

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {"path": self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["path"])

    def __repr__(self) -> str:
        return (
            f"Store({self.name!r} in {self.path.name}: {self.source.n_units} units, {sorted(self.channels)})"
        )


Recordings = Mapping[str, Recording | Store] | Sequence[Recording | Store]


def by_name(recordings: Recordings) -> dict[str, Recording | Store]:
    """Recordings by name, given so or in a sequence."""
    if isinstance(recordings, Mapping):
        return dict(recordings)
    named = {recording.name: recording for recording in recordings}
    if len(named) < len(recordings):
        raise ValueError("two recordings have one name; give them as a dict by name")
    return named


def source_of(recording: Recording | Store | Source) -> Source:
    """What windows are cut from, whether the recording lies in memory or on disk."""
    if isinstance(recording, Store):
        return recording.source
    return recording if isinstance(recording, Source) else Source.of(recording)


def _write_spikes(group: h5py.Group, recording: Recording) -> None:
    times, unit = in_order(recording)
    group.attrs["n_units"] = len(recording.spike_times_s)
    if not len(times):
        return
    rate = len(times) / max(times[-1] - times[0], CHUNK_S)
    _write_stamps(group, times, rate)
    group.create_dataset("unit", data=unit, chunks=_chunk(unit, rate), compression="gzip", compression_opts=1,
                         shuffle=True)  # fmt: skip


def _write_signal(group: h5py.Group, name: str, signal: Signal, path: Path) -> None:
    values = signal.values
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{path}: signal {name!r} holds {values.dtype}; it must hold numbers")
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(f"{path}: signal {name!r} holds infinite values; mark gaps as NaN")
    n = len(signal.time_s)
    rate = (n - 1) / (signal.time_s[-1] - signal.time_s[0]) if n > 1 else 1.0
    clock = signal.time_s[0] + np.arange(n) / rate if n else np.empty(0)
    if n > 1 and np.abs(clock - signal.time_s).max() < CLOCK_S / 10:
        group.attrs["start_s"], group.attrs["rate_hz"] = signal.time_s[0], rate
    elif n:
        _write_stamps(group, signal.time_s, rate)
    packed = {} if values.dtype.kind == "f" else dict(compression="gzip", compression_opts=1, shuffle=True)
    group.create_dataset("values", data=values, chunks=_chunk(values, rate) if values.size else None,
                         **(packed if values.size else {}))  # fmt: skip
    _write_table(
        group, {"channels": np.array(signal.channels, dtype=str), "unit": np.array([signal.unit])}, path
    )
    if signal.positions is not None:
        group["positions"] = np.asarray(signal.positions, float)


def _write_stamps(group: h5py.Group, times: NDArray, rate: float) -> None:
    group.create_dataset("time_s", data=times, chunks=_chunk(times, rate))
    group["index_s"] = times[::STRIDE]


def _chunk(values: NDArray, rate: float) -> tuple[int, ...]:
    """Shape of a chunk of about two seconds."""
    return (int(np.clip(round(CHUNK_S * rate), 1, len(values))), *values.shape[1:])


def _write_table(group: h5py.Group, columns: Mapping[str, NDArray], path: Path) -> None:
    for key, column in columns.items():
        column = np.asarray(column)
        if column.dtype.kind == "U":
            column = np.char.encode(column, "utf-8")
            column = column.astype(h5py.string_dtype("utf-8", max(column.dtype.itemsize, 1)))
        elif column.dtype.kind not in "biuf":
            raise ValueError(
                f"{path}: column {key!r} holds {column.dtype}; a table holds numbers or strings, no Python objects"
            )
        group[_key(key, path)] = column


def _key(name: str, path: Path) -> str:
    """A name that HDF5 takes for one step of a path."""
    if not name or "/" in name or "\x00" in name or name in (".", ".."):
        raise ValueError(f"{path}: {name!r} cannot be a name in an HDF5 file; leave out slashes")
    return name


def _read_column(column: h5py.Dataset) -> NDArray:
    values = column[()]
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _read_source(file: h5py.File, name: str) -> Source:
    spikes, n_units = file["spikes"], int(file["spikes"].attrs["n_units"])
    signals = {}
    for key, group in file["signals"].items() if "signals" in file else ():
        values = group["values"]
        positions = group["positions"][:] if "positions" in group else None
        channels = tuple(_read_column(group["channels"]).tolist())
        if values.shape[1:] != (len(channels),):
            raise ValueError(f"signal {key!r} {values.shape} has {len(channels)} channel names")
        stamps = _read_stamps(group, len(values), f"signal {key!r}")
        signals[key] = Sampled(stamps, values, str(_read_column(group["unit"])[0]), channels, positions)
    unit = spikes["unit"] if "unit" in spikes else np.empty(0, np.uint16)
    whole = Recording(
        [np.empty(0)] * n_units,
        file["observed_s"][:],
        trials={key: _read_column(column) for key, column in file["trials"].items()},
        units={key: _read_column(column) for key, column in file["units"].items()},
        name=name,
        simulated=bool(file.attrs["simulated"]),
    )
    return Source(_read_stamps(spikes, len(unit), "spikes"), unit, signals, whole, n_units)


def _read_stamps(group: h5py.Group, n: int, what: str) -> Stamps:
    if "rate_hz" in group.attrs:
        rate = float(group.attrs["rate_hz"])
        if not (np.isfinite(rate) and rate > 0):
            raise ValueError(f"the rate of {what} is {rate} Hz")
        return Stamps(n, float(group.attrs["start_s"]), rate)
    if not n:
        return Stamps(0, time_s=np.empty(0))
    times, index = group["time_s"], group["index_s"][:]
    if len(times) != n or len(index) != -(-n // STRIDE):
        raise ValueError(f"{what}: {len(times)} time stamps for {n} values")
    if not (np.diff(index) >= 0).all():
        raise ValueError(f"{what}: the clock runs backwards")
    return Stamps(n, time_s=times, index_s=index)


def _check_splits(recording: Recording, splits: Splits, path: Path) -> None:
    if not splits:
        return
    try:
        check_disjoint(splits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    first, last = recording.observed_s[0, 0], recording.observed_s[-1, 1]
    for name, spans in splits.items():
        spans = np.asarray(spans, float).reshape(-1, 2)
        if len(spans) and (spans.min() < first - CLOCK_S or spans.max() > last + CLOCK_S):
            raise ValueError(
                f"{path}: split {name!r} covers [{spans.min():g}, {spans.max():g}] s, but the recording "
                f"[{first:g}, {last:g}] s"
            )
