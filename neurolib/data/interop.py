"""The border to pynapple: its time series go in or out, a :class:`~neurolib.data.recording.Recording` on our side.

pynapple keeps time to the nanosecond and sets intervals that touch 1 µs apart.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from neurolib.data.recording import Recording, Signal, join_touching

if TYPE_CHECKING:
    import pynapple as nap


def from_pynapple(
    spikes: "nap.TsGroup",
    signals: "dict[str, nap.Tsd | nap.TsdFrame] | None" = None,
    trials: "nap.IntervalSet | None" = None,
    name: str = "unnamed",
) -> Recording:
    """Take over spikes, signals and trials from pynapple.

    Parameters
    ----------
    spikes : TsGroup
        Its time support becomes ``observed_s``, its metadata the unit columns.
    signals : dict of Tsd or TsdFrame, optional
        The unit of measurement is read from the metadata column ``unit``, where there is one.
    trials : IntervalSet, optional
        Start and end become ``start_s`` and ``stop_s``, its metadata the other columns.
    name : str

    Returns
    -------
    Recording

    Examples
    --------
    >>> from_pynapple(**to_pynapple(Recording([np.array([0.5])], [[0, 2]])), name="one unit")
    Recording('one unit': 1 units, 2.0 s observed, 0 trials, signals [])
    """
    _import_pynapple()
    units = {"id": np.array(spikes.keys())} | _columns(spikes, leave_out=("rate",))
    table = {}
    if trials is not None:
        table = {"start_s": np.array(trials.start), "stop_s": np.array(trials.end)} | _columns(trials)
    return Recording(
        [np.array(spikes[key].t) for key in spikes.keys()],
        np.array(spikes.time_support.values),
        {key: _to_signal(signal) for key, signal in (signals or {}).items()},
        table,
        units,
        name,
    )


def to_pynapple(recording: Recording) -> dict[str, Any]:
    """Hand spikes, signals and trials over to pynapple.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    dict
        ``spikes`` a TsGroup, ``signals`` a dict of TsdFrame, ``trials`` an IntervalSet or None:
        the arguments of :func:`from_pynapple`. Spikes outside the observed intervals are left
        out, as pynapple has no place for them, and so is a unit column ``rate``, which it counts
        itself.

    Raises
    ------
    ValueError
        If trials overlap or are not in order of time; pynapple would join them.

    Examples
    --------
    >>> to_pynapple(Recording([np.array([0.5])], [[0, 2]]))["spikes"].count(1.0).values
    array([[1],
           [0]])
    """
    nap = _import_pynapple()
    observed = join_touching(recording.observed_s)
    support = nap.IntervalSet(observed[:, 0], observed[:, 1])
    spikes = nap.TsGroup(
        {unit: nap.Ts(times, time_support=support) for unit, times in enumerate(recording.spike_times_s)},
        time_support=support,
        metadata={key: column for key, column in recording.units.items() if key != "rate"} or None,
    )
    signals = {
        key: nap.TsdFrame(
            t=signal.time_s,
            d=signal.values,
            columns=list(signal.channels),
            metadata={"unit": [signal.unit] * len(signal.channels)},
        )
        for key, signal in recording.signals.items()
    }
    trials = None
    if recording.n_trials:
        start, stop = recording.trials["start_s"], recording.trials["stop_s"]
        if (start[1:] < stop[:-1]).any():
            raise ValueError(
                f"{recording.name}: trials overlap or are not in order of time, and pynapple would join them; "
                "choose some with select_trials first"
            )
        rest = {key: col for key, col in recording.trials.items() if key not in ("start_s", "stop_s")}
        trials = nap.IntervalSet(start, stop, metadata=rest or None)
    return {"spikes": spikes, "signals": signals, "trials": trials}


def _import_pynapple():
    try:
        import pynapple
    except ImportError:
        raise ImportError("pynapple is not installed: `pip install pynapple`") from None
    return pynapple


def _to_signal(series: "nap.Tsd | nap.TsdFrame") -> Signal:
    channels = tuple(str(column) for column in getattr(series, "columns", ()))
    units = _columns(series).get("unit", [""]) if channels else [""]
    return Signal(np.array(series.t), np.array(series.values), str(units[0]), channels)


def _columns(holder: Any, leave_out: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Metadata of a pynapple object as plain arrays; lists make text of text and blocks of rows."""
    frame = holder.metadata
    return {str(key): np.array(frame[key].tolist()) for key in frame.columns if key not in leave_out}
