"""What windows are cut from: the spikes and signals of one recording, sliced in memory or on disk alike.

Spikes of all units ``(n,)`` are in order of time; signals are ``(time, channel)``.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.recording import Recording, Signal

STRIDE = 4096  # every so many time stamps, one is kept in memory to search by
CLOCK_S = 1e-6  # time stamps nearer than this are the same


@dataclass(frozen=True)
class Stamps:
    """Increasing time stamps that can be searched without being read: a clock, or an array on disk.

    Parameters
    ----------
    n : int
    start_s, rate_hz : float
        Of a regular clock; ``rate_hz`` 0 means that ``time_s`` says when.
    time_s : array or h5py.Dataset, optional
    index_s : array, optional
        Every 4096th time stamp.
    """

    n: int
    start_s: float = 0.0
    rate_hz: float = 0.0
    time_s: object = None
    index_s: NDArray | None = None

    def first_at(self, at_s: ArrayLike, tolerance_s: float = CLOCK_S) -> NDArray:
        """Number of the first stamp at or after each time, give or take the tolerance.

        Examples
        --------
        >>> Stamps(100, start_s=1.0, rate_hz=10.0).first_at([0.0, 1.5, 1.51, 99.0])
        array([  0,   5,   6, 100])
        """
        at = np.asarray(at_s, float) - tolerance_s
        if self.rate_hz:
            return np.clip(np.ceil((at - self.start_s) * self.rate_hz), 0, self.n).astype(np.int64)
        if self.index_s is None:
            return np.searchsorted(self.time_s, at)
        block = np.searchsorted(self.index_s, at) - 1
        found = np.zeros(at.shape, np.int64)
        for number in np.unique(block[block >= 0]):
            here = block == number
            times = self.time_s[number * STRIDE : (number + 1) * STRIDE]
            found[here] = number * STRIDE + np.searchsorted(times, at[here])
        return np.where(at == np.inf, self.n, found)  # all of it, a NaN at the end of a damaged file too

    def read(self, low: int, high: int) -> NDArray:
        """Seconds of the stamps ``low`` up to ``high``."""
        if self.rate_hz:
            return self.start_s + np.arange(low, high) / self.rate_hz
        return self.time_s[low:high]

    @property
    def typical_hz(self) -> float:
        """Samples per second, from the median step of the first 4096."""
        if self.rate_hz:
            return self.rate_hz
        steps = np.diff(self.read(0, min(self.n, STRIDE)))
        return float(1 / np.median(steps)) if len(steps) else 0.0


@dataclass(frozen=True)
class Sampled:
    """A signal of a source: stamps, values ``(time, channel)`` on disk or in memory, and its channels."""

    stamps: Stamps
    values: object
    unit: str
    channels: tuple[str, ...]
    positions: NDArray | None

    def piece(self, low: int, high: int) -> Signal:
        """Samples ``low`` up to ``high``."""
        return Signal(
            self.stamps.read(low, high), self.values[low:high], self.unit, self.channels, self.positions
        )


@dataclass(frozen=True)
class Source:
    """What windows are cut from: a recording in memory, or one on disk, with spikes in order of time.

    Parameters
    ----------
    spikes : Stamps
    unit_of_spike : array or h5py.Dataset, shape (n_spikes,)
    signals : dict of Sampled
    whole : Recording
        Its tables and intervals, without spikes and signals.
    n_units : int
    """

    spikes: Stamps
    unit_of_spike: object
    signals: dict[str, Sampled]
    whole: Recording
    n_units: int

    @classmethod
    def of(cls, recording: Recording) -> "Source":
        """The source of a recording in memory."""
        times, unit = in_order(recording)
        signals = {
            name: Sampled(Stamps(len(s.time_s), time_s=s.time_s), s.values, s.unit, s.channels, s.positions)
            for name, s in recording.signals.items()
        }
        n_units = len(recording.spike_times_s)
        return cls(Stamps(len(times), time_s=times), unit, signals, _without_spikes(recording), n_units)

    def read_spikes(self, low: int, high: int) -> tuple[NDArray, NDArray]:
        """Seconds and unit of the spikes ``low`` up to ``high``, in order of time."""
        times, unit = self.spikes.read(low, high), self.unit_of_spike[low:high]
        if len(unit) and int(unit.max()) >= self.n_units:
            raise ValueError(f"a spike of unit {int(unit.max())}, but there are {self.n_units} units")
        if not (times[1:] >= times[:-1]).all():
            raise ValueError("the clock of the spikes runs backwards, or is NaN")
        return times, unit

    def cut(self, start_s: float, stop_s: float) -> Recording:
        """The recording from one second up to another."""
        low, high = self.spikes.first_at([start_s, stop_s], 0.0).tolist()
        times, unit = self.read_spikes(low, high)
        units = np.asarray(unit, np.int64)
        order = np.argsort(units, kind="stable")
        per_unit = np.split(times[order], np.cumsum(np.bincount(units, minlength=self.n_units))[:-1])
        signals = {
            n: s.piece(*s.stamps.first_at([start_s, stop_s]).tolist()) for n, s in self.signals.items()
        }
        observed = np.clip(self.whole.observed_s, start_s, stop_s)
        observed = observed[observed[:, 1] > observed[:, 0]]
        if not len(observed):
            raise ValueError(f"nothing was recorded between {start_s:g} and {stop_s:g} s")
        trials = self.whole.trials
        if trials:
            inside = (trials["start_s"] >= start_s - CLOCK_S) & (trials["stop_s"] <= stop_s + CLOCK_S)
            trials = {key: column[inside] for key, column in trials.items()}
        return replace(
            self.whole,
            spike_times_s=per_unit if self.n_units else [],
            observed_s=observed,
            signals=signals,
            trials=trials,
            units=self.whole.units,
        )


def _without_spikes(recording: Recording) -> Recording:
    """Tables and intervals alone; the unit table needs as many units, so each keeps an empty train."""
    return replace(recording, spike_times_s=[np.empty(0)] * len(recording.spike_times_s), signals={})


def in_order(recording: Recording) -> tuple[NDArray, NDArray]:
    """Spikes of all units in order of time, and the unit of each."""
    counts = [len(times) for times in recording.spike_times_s]
    times = np.concatenate([*recording.spike_times_s, np.empty(0)])
    order = np.argsort(times, kind="stable")
    small = np.uint16 if len(counts) < 2**16 else np.uint32
    return times[order], np.repeat(np.arange(len(counts)), counts)[order].astype(small)
