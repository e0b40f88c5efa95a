"""Allen Visual Coding, two-photon: a processed NWB file in, dF/F, running and gratings at 10 Hz out.

The layout is that of DANDI 000728. allensdk is not needed; pynwb is.
"""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurolib.data.nwb import flat_columns, require_nwb, to_signal
from neurolib.data.recording import Recording, Signal

if TYPE_CHECKING:
    from pynwb import NWBFile

RATE_HZ = 10.0
LONGEST_GRATING_S = 10.0
# The column of the published files first, that of earlier conversions second.
GRATING_COLUMNS = {
    "direction_deg": ("orientation_in_degrees", "orientation"),
    "temporal_frequency_hz": ("temporal_frequency_in_hz", "temporal_frequency"),
    "blank": ("is_blank_sweep", "blank_sweep"),
}


def read_visual_coding(path: str | Path, rate_hz: float = RATE_HZ, name: str | None = None) -> Recording:
    """One session: dF/F of every cell, running speed, and drifting gratings as trials.

    Parameters
    ----------
    path : str or Path
        A file ``sub-..._behavior+image+ophys.nwb``; those that end in ``_ophys.nwb`` hold the movie alone.
    rate_hz : float
        Rate that signals are brought to, behind an anti-alias filter (:func:`resample`).
    name : str, optional
        Name of the recording; by default that of the file.

    Returns
    -------
    Recording
        Without units. Signals: ``dff`` ``(frame, cell)``, channels are the ids of cells across sessions, and
        ``running_speed`` in cm/s if the file has it. Trials: ``direction_deg``, ``temporal_frequency_hz`` (NaN
        on blank sweeps) and ``blank``; sessions without drifting gratings have none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not NWB, is truncated, has no dF/F, cells and columns disagree, the clock runs backwards,
        speed is not in cm/s, or the times of the gratings are frame indices.

    References
    ----------
    .. [1] de Vries et al. (2020), "A large-scale standardized physiological survey reveals functional
       organization of the mouse visual cortex", Nature Neuroscience 23:138-151.
    .. [2] https://github.com/catalystneuro/visual-coding-to-nwb-v2, which wrote the files.
    .. [3] https://dandiarchive.org/dandiset/000728
    """
    path = Path(path)
    require_nwb(path)
    from pynwb import NWBHDF5IO  # takes seconds

    try:
        with NWBHDF5IO(str(path), "r") as io:
            nwb = io.read()
            dff = _read_dff(nwb)
            running = _read_running(nwb)
            trials = _read_gratings(nwb, dff.time_s[-1])
        signals = {"dff": resample(dff, rate_hz)}
        if running is not None:
            signals["running_speed"] = resample(running, rate_hz)
        step = float(np.median(np.diff(dff.time_s)))
        observed = [[float(dff.time_s[0]), float(dff.time_s[-1]) + step]]
        return Recording([], observed, signals, trials, name=name or path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: the file is damaged ({error}); download it again") from error


def resample(signal: Signal, rate_hz: float) -> Signal:
    """A regularly sampled signal at a lower rate, behind a zero-phase low-pass at the new Nyquist frequency.

    The ratio of rates is taken as the nearest fraction with a denominator up to 20, and time stamps are
    those of the signal itself, so the new rate is near ``rate_hz`` and nothing drifts. A gap stays one.

    Parameters
    ----------
    signal : Signal
    rate_hz : float
        At most the rate of the signal.

    Returns
    -------
    Signal
        With values in single precision.

    Raises
    ------
    ValueError
        If ``rate_hz`` is higher, or the signal is not regularly sampled.

    Examples
    --------
    >>> slow = resample(Signal(np.arange(90) / 30, np.ones(90)), 10.0)
    >>> slow.values.shape, slow.time_s[:3]
    ((30, 1), array([0. , 0.1, 0.2]))
    """
    from scipy.signal import resample_poly

    ratio = Fraction(rate_hz / signal.rate_hz).limit_denominator(20)
    if not 0 < ratio <= 1:
        raise ValueError(
            f"rate_hz={rate_hz} must be positive and at most the signal's own {signal.rate_hz:.4g} Hz"
        )
    step = np.diff(signal.time_s)
    if (step > 2.5 * np.median(step)).any():
        worst = int(np.argmax(step))
        raise ValueError(
            f"{step[worst]:.3g} s between samples at {signal.time_s[worst]:.3f} s where {np.median(step):.3g} s are "
            "usual; a filter would run across the gap"
        )
    up, down = ratio.numerator, ratio.denominator
    index = np.arange(len(signal.time_s))
    at = np.arange(-(-len(index) * up // down)) * down / up
    at = at[at <= index[-1]]
    values = np.empty((len(at), signal.values.shape[1]), np.float32)
    for channel, column in enumerate(signal.values.T.astype(float)):  # one at a time: a session is 1 GB
        known = np.isfinite(column)
        if not known.any():
            values[:, channel] = np.nan
            continue
        filled = column if known.all() else np.interp(index, index[known], column[known])
        values[:, channel] = resample_poly(filled, up, down, padtype="line")[: len(at)]
        if not known.all():
            unknown = np.concatenate([[0], np.cumsum(~known)])
            low = np.clip(np.ceil(at - down / up / 2), 0, index[-1]).astype(int)
            high = np.clip(np.floor(at + down / up / 2), 0, index[-1]).astype(int) + 1
            values[unknown[high] > unknown[low], channel] = np.nan
    time_s = np.interp(at, index, signal.time_s)
    return Signal(time_s, values, signal.unit, signal.channels, signal.positions)


def _read_dff(nwb: "NWBFile") -> Signal:
    from pynwb.ophys import DfOverF

    module = nwb.processing.get("ophys")
    found = [] if module is None else list(module.data_interfaces.values())
    containers = [interface for interface in found if isinstance(interface, DfOverF)]
    series = {name: it for container in containers for name, it in container.roi_response_series.items()}
    if "DfOverF" not in series:
        raise ValueError(
            f"no dF/F in processing/ophys, which holds {[interface.name for interface in found]}; is it the file of "
            "the raw movie (..._ophys.nwb)?"
        )
    chosen = series["DfOverF"]
    signal = to_signal(chosen)
    rois = chosen.rois
    columns = flat_columns(rois.table)
    ids = next((columns[key] for key in ("global_roi_id", "cell_specimen_id") if key in columns), None)
    ids = (columns["id"] if ids is None else ids)[np.asarray(rois.data[:], int)]
    if signal.values.shape[1] != len(ids):
        raise ValueError(
            f"dF/F has shape {signal.values.shape} for {len(ids)} cells; (time, cell) expected, and (cell, time) is "
            "what allensdk returns"
        )
    return Signal(signal.time_s, signal.values, "ΔF/F", tuple(str(id) for id in ids))


def _read_running(nwb: "NWBFile") -> Signal | None:
    module = nwb.processing.get("behavior")
    for interface in () if module is None else module.data_interfaces.values():
        series = getattr(interface, "time_series", {})
        if "running_speed" in series:
            signal = to_signal(series["running_speed"])
            if signal.unit != "cm/s":
                raise ValueError(f"running speed is in {signal.unit!r}, cm/s expected; another release?")
            return Signal(signal.time_s, signal.values, "cm/s", ("running_speed",))
    return None


def _read_gratings(nwb: "NWBFile", end_s: float) -> dict[str, NDArray]:
    """Table of drifting gratings, wherever the conversion put it."""
    places = [nwb.stimulus, nwb.intervals or {}, nwb.acquisition]
    names = ("drifting_gratings", "drifting_gratings_presentations")
    table = next((place[name] for place in places for name in names if name in place), None)
    if table is None:
        return {}
    columns = flat_columns(table)
    start, stop = columns["start_time"].astype(float), columns["stop_time"].astype(float)
    longest = float(np.max(stop - start))
    if stop.max() > end_s + 1 or longest > LONGEST_GRATING_S:
        raise ValueError(
            f"gratings run from {start.min():g} to {stop.max():g}, the longest for {longest:g}, and imaging ends at "
            f"{end_s:.1f} s; these are frame indices, not seconds. allensdk's stimulus tables hold frame indices: "
            "look them up in the frame times"
        )
    if (np.diff(start) <= 0).any():
        raise ValueError("the gratings' clock runs backwards; are two blocks joined without a shift?")
    trials = {"start_s": start, "stop_s": stop}
    for ours, theirs in GRATING_COLUMNS.items():
        key = next((key for key in theirs if key in columns), None)
        if key is None:
            raise ValueError(f"the gratings have no column {theirs[0]!r}, they have {sorted(columns)}")
        trials[ours] = columns[key].astype(bool if ours == "blank" else float)
    return trials
