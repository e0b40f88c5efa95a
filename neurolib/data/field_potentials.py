"""Local field potentials: an ``.npy`` sample or an NWB file of one probe in, a Recording out.

:func:`electrical_signal` reads a stretch of any electrical series of an NWB file, in microvolts.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data import catalog
from neurolib.data.nwb import read_nwb, require_nwb
from neurolib.data.recording import Recording, Signal

if TYPE_CHECKING:
    from pynwb.ecephys import ElectricalSeries


@dataclass(frozen=True)
class Sample:
    """One channel that a package of methods comes with.

    Parameters
    ----------
    file : str
    rate_hz : float
        The file does not hold it.
    n_samples : int
    place : str
        Where the electrode was.
    """

    file: str
    rate_hz: float
    n_samples: int
    place: str


SAMPLES = {
    "ca1": Sample("bycycle_ca1.npy", 1250.0, 75_000, "rat hippocampus, CA1"),
    "ec3": Sample("bycycle_ec3.npy", 1250.0, 75_000, "rat entorhinal cortex, layer 3"),
    "human_m1": Sample(
        "neurodsp_sample_data_1.npy", 1000.0, 10_000, "human motor cortex, Parkinson's disease"
    ),
    "hippocampus": Sample("neurodsp_sample_data_2.npy", 1000.0, 150_000, "rat hippocampus"),
}


def read_sample(name: str, path: str | Path | None = None) -> Recording:
    """Read one of ``SAMPLES``: a single channel without events.

    Parameters
    ----------
    name : str
    path : str or Path, optional
        The file; by default that of the data folder.

    Returns
    -------
    Recording
        Signal ``lfp`` as it is in the file, whose unit is not stated, and one trial, labelled ``rest``.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If there is no such sample, or the file is not the whole one: other length, NaN, pickled objects.
    """
    if name not in SAMPLES:
        raise ValueError(f"no sample {name!r}; there are {', '.join(SAMPLES)}")
    sample = SAMPLES[name]
    path = catalog.data_root() / "lfp_samples" / sample.file if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; is the data folder (NEUROLIB_DATA) the right one?")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path}: no readable array of numbers; cut short, or pickled objects? ({error})"
        ) from None
    if values.shape != (sample.n_samples,) or values.dtype.kind not in "fi" or not np.isfinite(values).all():
        raise ValueError(
            f"{path}: {values.shape} of {values.dtype}; {sample.n_samples} finite numbers expected; another sample's "
            f"file? At {sample.rate_hz:g} Hz it would be read at a wrong rate"
        )
    stop_s = len(values) / sample.rate_hz
    lfp = Signal(np.arange(len(values)) / sample.rate_hz, values.astype(np.float32), "a.u.", (sample.place,))
    rest = {"start_s": np.array([0.0]), "stop_s": np.array([stop_s]), "label": np.array(["rest"])}
    return Recording([], [[0.0, stop_s]], {"lfp": lfp}, rest, name=name)


def read_allen_lfp(
    path: str | Path,
    session: str | Path | None = None,
    stimulus: str = "drifting_gratings",
    start_s: float = 0.0,
    stop_s: float = np.inf,
) -> Recording:
    """Field potential of one Neuropixels probe in a mouse's visual system, and the session it belongs to.

    Layout of DANDI 000021 [1]_: a file per probe, whose series ``probe_<id>_lfp_data`` has its own time
    stamps, and a file per session with spikes and stimuli.

    Parameters
    ----------
    path : str or Path
        The probe's file.
    session : str or Path, optional
        The session's file; without it there are neither spikes nor trials.
    stimulus : str
        Which table of the session, ``<stimulus>_presentations``, becomes the trial table.
    start_s, stop_s : float
        Stretch to read, on the session's clock: a whole probe takes gigabytes.

    Returns
    -------
    Recording
        Signal ``lfp`` in microvolts, of the channels marked as valid, named ``<area> <id>``. Positions
        are those of the Allen Common Coordinate Framework in mm, not MNI, if the file has them for all
        channels. Spikes are of all probes. ``label`` is the stimulus, and its parameters are columns
        of their own; presentations that are not wholly inside the stretch are left out.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the file has no such series (the session's file has none), is truncated, or holds nothing
        between ``start_s`` and ``stop_s``; if the session has no such stimulus or another id.

    References
    ----------
    .. [1] Siegle et al. (2021), "Survey of spiking in the mouse visual system reveals functional
       hierarchy", Nature 592:86-92.
    """
    path = Path(path)
    require_nwb(path)
    from pynwb import NWBHDF5IO
    from pynwb.ecephys import ElectricalSeries

    with NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        # The series stands twice in these files, alone and inside a container; it is the same one.
        found = [item for item in nwb.objects.values() if isinstance(item, ElectricalSeries)]
        found = [series for series in found if series.name.endswith("_lfp_data")]
        if not found:
            raise ValueError(
                f"{path}: no series probe_<id>_lfp_data; is it the session's file, not a probe's?"
            )
        series, session_id = found[0], nwb.session_id
        electrodes = series.electrodes.table.to_dataframe().iloc[np.asarray(series.electrodes.data[()], int)]
        keep = np.asarray(electrodes.get("valid_data", np.ones(len(electrodes), bool)), bool)
        names = [
            f"{area} {number}" for area, number in zip(electrodes["location"], electrodes.index, strict=True)
        ]
        try:
            lfp = electrical_signal(series, names, keep, start_s, stop_s)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: {error}") from None
        places = electrode_places(electrodes[keep], 1e-3)
        # the framework has no negative coordinates: such a channel was not found in the sections
        lfp = replace(lfp, positions=places if places is not None and (places >= 0).all() else None)
    observed = (lfp.time_s[0], lfp.time_s[-1] + 1 / lfp.rate_hz)
    alone = Recording([], [observed], {"lfp": lfp}, name=path.stem)
    return alone if session is None else _with_session(alone, Path(session), session_id, stimulus)


def electrical_signal(
    series: "ElectricalSeries",
    names: ArrayLike,
    keep: ArrayLike,
    start_s: float = 0.0,
    stop_s: float = np.inf,
) -> Signal:
    """A stretch of an open NWB series in microvolts, without reading the rest of it.

    Parameters
    ----------
    series : pynwb.ecephys.ElectricalSeries
        In volts, as the format demands, after its conversion.
    names : sequence of str
        Names of all channels.
    keep : array of bool, shape (n_channels,)
    start_s, stop_s : float
        On the series' clock; the stop is not included.

    Raises
    ------
    ValueError
        If channels and names disagree, the conversion is no number, or nothing lies in the stretch.
    """
    n_samples, n_channels = series.data.shape
    keep = np.asarray(keep, bool)
    if len(names) != n_channels or len(keep) != n_channels:
        raise ValueError(f"{series.name}: {n_channels} channels for {len(names)} electrodes; transposed?")
    if not np.isfinite(series.conversion):
        raise ValueError(f"{series.name}: conversion to volts is {series.conversion}; the unit is lost")
    if series.timestamps is not None:
        clock = np.asarray(series.timestamps[()], float)
        first, last = np.searchsorted(clock, [start_s, stop_s])
        time_s = clock[first:last]
    else:
        begin, rate_hz = float(series.starting_time or 0.0), float(series.rate)
        # a time that is a sample up to float error counts as that sample
        edges = np.ceil(np.round((np.array([start_s, stop_s]) - begin) * rate_hz, 6))
        first, last = np.clip(edges, 0, n_samples).astype(int)
        time_s = begin + np.arange(first, last) / rate_hz
    if last <= first:
        raise ValueError(
            f"{series.name}: no samples between {start_s:g} and {stop_s:g} s; times of day, or milliseconds?"
        )
    if not keep.any():
        raise ValueError(f"{series.name}: none of its {n_channels} channels is marked as good")
    volts = np.asarray(series.data[first:last])[:, keep] * series.conversion + series.offset
    chosen = tuple(str(name) for name, wanted in zip(names, keep, strict=True) if wanted)
    return Signal(time_s, (volts * 1e6).astype(np.float32), "uV", chosen)


def electrode_places(electrodes, scale_mm: float) -> NDArray | None:
    """Coordinates of all electrodes in mm, or None if one of them has none."""
    if not {"x", "y", "z"} <= set(electrodes.columns):
        return None
    places = electrodes[["x", "y", "z"]].to_numpy(float) * scale_mm
    return places if np.isfinite(places).all() else None


def _with_session(alone: Recording, path: Path, session_id: str | None, stimulus: str) -> Recording:
    """Spikes and presentations of the session's file, cut to the stretch of the field potential."""
    require_nwb(path)
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as io:
        other = io.read().session_id
    if session_id and other and other != session_id:
        raise ValueError(
            f"{path}: session {other}, and the probe is of session {session_id}; files of two mice?"
        )
    start_s, stop_s = alone.observed_s[0]
    whole = read_nwb(path, signals=(), silent="keep", outside="drop", trial_table=f"{stimulus}_presentations")
    inside = (whole.trials["start_s"] >= start_s) & (whole.trials["stop_s"] <= stop_s)
    trials = {key: column[inside] for key, column in whole.trials.items()}
    spikes = [times[(times >= start_s) & (times < stop_s)] for times in whole.spike_times_s]
    return replace(
        alone,
        spike_times_s=spikes,
        units=whole.units,
        trials=trials | {"label": np.full(int(inside.sum()), stimulus)},
    )
