"""A recording as it was made: spike times, sampled signals and events, all in seconds.

:meth:`Recording.align` cuts it into :class:`~neurolib.data.trials.Trials` around an event;
:meth:`Recording.bin` keeps it whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.trials import Trials


@dataclass(frozen=True)
class Signal:
    """A sampled quantity, such as hand velocity.

    Parameters
    ----------
    time_s : array, shape (n_samples,)
        Increasing time stamps in seconds.
    values : array, shape (n_samples, n_channels)
        NaN marks a gap.
    unit : str
    channels : tuple of str
    positions : array, shape (n_channels, 3), optional
        Where each channel is: for EEG on the unit sphere (x right, y front, z up), else MNI in mm.

    Raises
    ------
    ValueError
        If shapes disagree, or time does not increase.
    """

    time_s: NDArray
    values: NDArray
    unit: str = ""
    channels: tuple[str, ...] = ()
    positions: NDArray | None = None

    def __post_init__(self):
        time_s, values = np.asarray(self.time_s, float), np.asarray(self.values)
        values = values[:, None] if values.ndim == 1 else values
        if len(time_s) != len(values):
            raise ValueError(f"{len(time_s)} time stamps for {len(values)} samples")
        if len(time_s) and not (np.diff(time_s) > 0).all():
            raise ValueError("time stamps of a signal must increase; are two blocks joined without a shift?")
        object.__setattr__(self, "time_s", time_s)
        object.__setattr__(self, "values", values)
        object.__setattr__(
            self, "channels", tuple(self.channels) or tuple(f"{i}" for i in range(values.shape[1]))
        )
        if len(self.channels) != values.shape[1]:
            raise ValueError(f"{len(self.channels)} channel names for {values.shape[1]} channels")
        if self.positions is not None and np.shape(self.positions) != (values.shape[1], 3):
            raise ValueError(
                f"positions {np.shape(self.positions)} for {values.shape[1]} channels; want (n, 3)"
            )

    @property
    def rate_hz(self) -> float:
        """Samples per second, from the median step.

        Examples
        --------
        >>> Signal(np.arange(3) / 250, np.zeros(3)).rate_hz
        250.0
        """
        if len(self.time_s) < 2:
            raise ValueError("a signal of fewer than two samples has no rate")
        return float(1 / np.median(np.diff(self.time_s)))


@dataclass(frozen=True)
class Recording:
    """Spike times, signals and trials of one session.

    Parameters
    ----------
    spike_times_s : sequence of arrays
        One sorted array of seconds per unit.
    observed_s : array, shape (n_intervals, 2)
        When the units were recorded; what lies outside is unknown, not silent.
    signals : dict of Signal
        Behaviour and anything else that was sampled.
    trials : dict of array
        The trial table: ``start_s`` and ``stop_s`` in seconds, and any other column.
    units : dict of array
        The unit table, such as ``held_out``.
    name : str
    simulated : bool

    Raises
    ------
    ValueError
        If spike times are not finite or not sorted, or the trial table is inconsistent or
        reaches outside the recording.

    Examples
    --------
    >>> hand = Signal(np.arange(0, 2, 0.01), np.zeros((200, 1)), "cm/s")
    >>> recording = Recording([np.array([0.11, 0.12, 1.5])], [[0, 2]], {"hand": hand},
    ...                       {"start_s": np.array([0.1]), "stop_s": np.array([0.3])})
    >>> recording.align("start_s", (0.0, 0.2), 0.1, behaviour="hand").counts.ravel()
    array([2, 0], dtype=uint16)
    """

    spike_times_s: Sequence[NDArray]
    observed_s: NDArray
    signals: dict[str, Signal] = field(default_factory=dict)
    trials: dict[str, NDArray] = field(default_factory=dict)
    units: dict[str, NDArray] = field(default_factory=dict)
    name: str = "unnamed"
    simulated: bool = False

    def __post_init__(self):
        spikes = tuple(np.asarray(times, float) for times in self.spike_times_s)
        observed = np.asarray(self.observed_s, float).reshape(-1, 2)
        for unit, times in enumerate(spikes):
            if not np.isfinite(times).all():
                raise ValueError(f"{self.name}: spike times of unit {unit} hold NaN or infinite values")
            if (np.diff(times) < 0).any():
                raise ValueError(
                    f"{self.name}: spike times of unit {unit} are not sorted; sort them or check the clock"
                )
        if not len(observed) or not (observed[:, 1] > observed[:, 0]).all():
            raise ValueError(f"{self.name}: observed_s must be intervals [start, stop] in seconds")
        if (observed[1:, 0] < observed[:-1, 1]).any():
            raise ValueError(f"{self.name}: observed_s intervals overlap or are not in order")
        trials = {key: np.asarray(column) for key, column in self.trials.items()}
        if trials:
            missing = {"start_s", "stop_s"} - trials.keys()
            if missing:
                raise ValueError(f"{self.name}: the trial table lacks {sorted(missing)}")
            for key, column in trials.items():
                if len(column) != len(trials["start_s"]):
                    raise ValueError(
                        f"{self.name}: trial column {key!r} has {len(column)} rows for {len(trials['start_s'])} trials"
                    )
            outside = (trials["start_s"] < observed[0, 0] - 1e-6) | (
                trials["stop_s"] > observed[-1, 1] + 1e-6
            )
            if outside.any():
                worst = int(np.argmax(outside))
                raise ValueError(
                    f"{self.name}: {outside.sum()} trials lie outside the recording, the first is trial {worst} "
                    f"[{trials['start_s'][worst]:.3f}, {trials['stop_s'][worst]:.3f}] s; the recording covers "
                    f"[{observed[0, 0]:.3f}, {observed[-1, 1]:.3f}] s. Are times in milliseconds?"
                )
        for key, column in self.units.items():
            if len(column) != len(spikes):
                raise ValueError(
                    f"{self.name}: unit column {key!r} has {len(column)} rows for {len(spikes)} units"
                )
        object.__setattr__(self, "spike_times_s", spikes)
        object.__setattr__(self, "observed_s", observed)
        object.__setattr__(self, "trials", trials)
        object.__setattr__(self, "units", {key: np.asarray(column) for key, column in self.units.items()})

    def __repr__(self) -> str:
        return (
            f"Recording({self.name!r}: {len(self.spike_times_s)} units, "
            f"{np.diff(self.observed_s).sum():.1f} s observed, {self.n_trials} trials, "
            f"signals {sorted(self.signals)}{', SIMULATED' if self.simulated else ''})"
        )

    @property
    def n_trials(self) -> int:
        """Rows of the trial table."""
        return len(self.trials.get("start_s", ()))

    def select_trials(self, keep: ArrayLike) -> "Recording":
        """The same recording with some rows of the trial table."""
        trials = {key: column[np.asarray(keep)] for key, column in self.trials.items()}
        return replace(self, trials=trials)

    def counts_in(self, first_bin: ArrayLike, lengths: ArrayLike, bin_size_s: float) -> NDArray:
        """Spikes per bin in runs of bins on the grid ``[k, k + 1) * bin_size_s``.

        Parameters
        ----------
        first_bin, lengths : array of int, shape (n_runs,)
            Grid number of each run's first bin, and its length in bins. Runs may overlap.
        bin_size_s : float

        Returns
        -------
        array of uint16, shape (lengths.sum(), n_units)
        """
        first_bin, lengths = np.asarray(first_bin), np.asarray(lengths)
        low, high = int(first_bin.min()), int((first_bin + lengths).max())
        row = np.arange(lengths.sum()) + np.repeat(first_bin - (np.cumsum(lengths) - lengths), lengths) - low
        counts = np.empty((lengths.sum(), len(self.spike_times_s)), np.uint16)
        for unit, times in enumerate(self.spike_times_s):
            # rounding to a microbin puts a time that is a bin edge up to float error on its own side
            bins = np.floor(np.round(times / bin_size_s, 6)).astype(np.int64) - low
            bins = bins[(bins >= 0) & (bins < high - low)]
            counts[:, unit] = np.bincount(bins, minlength=high - low)[row]
        return counts

    def align(
        self,
        event: str,
        window_s: tuple[float, float],
        bin_size_s: float,
        behaviour: str,
        lag_s: float = 0.0,
        gaps: str = "error",
    ) -> Trials:
        """Cut a window around an event of every trial.

        Bins lie on one grid for the whole recording, as in the Neural Latents Benchmark: the
        first bin of a trial is the first that starts inside its window.

        Parameters
        ----------
        event : str
            Column of the trial table, in seconds. Trials where it is NaN are left out.
        window_s : (float, float)
            Start and stop relative to the event, in seconds.
        bin_size_s : float
        behaviour : str
            Which signal; it is averaged over each bin.
        lag_s : float
            Behaviour is read this much later than the spikes.
        gaps : {"error", "drop", "interpolate"}
            What to do with trials whose behaviour or spikes were not observed throughout:
            refuse, leave them out, or interpolate behaviour linearly (spikes never are).

        Returns
        -------
        Trials
            With the other columns of the trial table in ``info``.
        """
        if event not in self.trials:
            raise KeyError(f"{self.name}: no trial column {event!r}; it has {sorted(self.trials)}")
        if gaps not in ("error", "drop", "interpolate"):
            raise ValueError(f"gaps={gaps!r} must be 'error', 'drop' or 'interpolate'")
        n_bins = round((window_s[1] - window_s[0]) / bin_size_s)
        if n_bins < 1:
            raise ValueError(f"window {window_s} s is shorter than one bin of {bin_size_s} s")
        at = self.trials[event].astype(float)
        known = np.flatnonzero(np.isfinite(at))
        first = np.ceil(np.round((at[known] + window_s[0]) / bin_size_s, 6)).astype(int)
        lengths = np.full(len(first), n_bins)
        return self._cut(known, first, lengths, bin_size_s, behaviour, lag_s, gaps)

    def bin(
        self, bin_size_s: float, behaviour: str, lag_s: float = 0.0, trials: bool = False, gaps: str = "error"
    ) -> Trials:
        """Bin the whole recording, one "trial" per observed interval (or per trial, start to stop)."""
        spans = (
            np.stack([self.trials["start_s"], self.trials["stop_s"]], axis=1) if trials else self.observed_s
        )
        first = np.ceil(np.round(spans[:, 0] / bin_size_s, 6)).astype(int)
        last = np.floor(np.round(spans[:, 1] / bin_size_s, 6)).astype(int)
        rows = np.arange(len(spans))[last > first]
        return self._cut(
            rows, first[rows], (last - first)[rows], bin_size_s, behaviour, lag_s, gaps, info=trials
        )

    def _cut(self, rows, first, lengths, bin_size_s, behaviour, lag_s, gaps, info=True) -> Trials:
        """Counts and behaviour of runs of bins; ``rows`` are their rows in the trial table."""
        if behaviour not in self.signals:
            raise KeyError(f"{self.name}: no signal {behaviour!r}; it has {sorted(self.signals)}")
        if not len(rows):
            raise ValueError(f"{self.name}: no trial is left to cut")
        signal = self.signals[behaviour]
        values = average_in_bins(signal, first, lengths, bin_size_s, lag_s, interpolate=gaps == "interpolate")
        run = np.repeat(np.arange(len(rows)), lengths)
        missing = np.zeros(len(rows), bool)
        missing[run[~np.isfinite(values).all(axis=1)]] = True
        unseen = ~self._observed(first * bin_size_s, (first + lengths) * bin_size_s)
        bad = missing | unseen
        if bad.any() and gaps != "drop":
            what = f"{behaviour!r} has gaps in" if missing.any() else "spikes were not observed throughout"
            raise ValueError(
                f"{self.name}: {what} {bad.sum()} of {len(rows)} trials, the first is trial {rows[np.argmax(bad)]}; "
                "gaps='drop' leaves them out"
            )
        good = np.flatnonzero(~bad)
        if not len(good):
            raise ValueError(f"{self.name}: every trial has gaps in {behaviour!r} or in its spikes")
        return Trials(
            counts=self.counts_in(first[good], lengths[good], bin_size_s),
            behaviour=values[~bad[run]],
            lengths=lengths[good],
            bin_size_s=bin_size_s,
            outputs=tuple(f"{behaviour} {channel}" for channel in signal.channels),
            output_unit=signal.unit,
            info={key: column[rows[good]] for key, column in self.trials.items()} if info else {},
            name=self.name,
            simulated=self.simulated,
        )

    def _observed(self, start_s: NDArray, stop_s: NDArray) -> NDArray:
        """Whether each interval lies inside one observed interval."""
        observed = join_touching(self.observed_s)
        at = np.searchsorted(observed[:, 0], start_s + 1e-6, side="right") - 1
        return (at >= 0) & (stop_s <= observed[np.maximum(at, 0), 1] + 1e-6)


def join_touching(intervals: NDArray) -> NDArray:
    """Intervals ``[start, stop]`` in order, with those that touch or overlap (to 1 µs) made one.

    Examples
    --------
    >>> join_touching(np.array([[0.0, 1.0], [1.0, 2.0], [3.0, 4.0]]))
    array([[0., 2.],
           [3., 4.]])
    """
    intervals = intervals[np.argsort(intervals[:, 0])]
    reached = np.maximum.accumulate(intervals[:, 1])
    apart = np.flatnonzero(intervals[1:, 0] > reached[:-1] + 1e-6)
    first, last = np.append(0, apart + 1), np.append(apart, len(intervals) - 1)
    return np.stack([intervals[first, 0], reached[last]], axis=1) if len(intervals) else intervals


def average_in_bins(
    signal: Signal,
    first: NDArray,
    lengths: NDArray,
    bin_size_s: float,
    lag_s: float = 0.0,
    interpolate: bool = False,
) -> NDArray:
    """Mean of a signal over bins of the grid, shape ``(lengths.sum(), n_channels)``; NaN where it has a gap.

    Bins narrower than the sampling interval take the linear interpolation at their centre; more
    than three intervals without a sample are a gap.
    """
    bins = np.arange(lengths.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    centre = (bins + 0.5) * bin_size_s + lag_s
    time_s, values = signal.time_s, signal.values.astype(float)
    if interpolate:
        values = values.copy()
        for channel in values.T:
            gap = ~np.isfinite(channel)
            if gap.any() and not gap.all():
                channel[gap] = np.interp(time_s[gap], time_s[~gap], channel[~gap])

    def between_samples(at):
        return np.stack([np.interp(at, time_s, channel, np.nan, np.nan) for channel in values.T], axis=1)

    step = np.median(np.diff(time_s)) if len(time_s) > 1 else 0.0
    if step > bin_size_s * 0.999:
        mean = between_samples(centre)
        if not interpolate:
            after = np.clip(np.searchsorted(time_s, centre), 1, len(time_s) - 1)
            hole = (time_s[after] - time_s[after - 1] > 3 * step) & (centre < time_s[after])
            mean[hole & (centre > time_s[after - 1])] = np.nan
        return mean
    edges = np.searchsorted(time_s, np.stack([bins, bins + 1], axis=1) * bin_size_s + lag_s - 1e-9)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.nan_to_num(values), axis=0)])
    gaps = np.concatenate([[0], np.cumsum(~np.isfinite(values).all(axis=1))])
    n = np.diff(edges, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total[edges[:, 1]] - total[edges[:, 0]]) / n
    mean[(n[:, 0] == 0) | (gaps[edges[:, 1]] > gaps[edges[:, 0]])] = np.nan
    if interpolate and len(time_s):
        empty = n[:, 0] == 0
        mean[empty] = between_samples(centre[empty])
    return mean
