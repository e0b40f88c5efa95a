"""Electrocorticography: BrainVision files in BIDS, or NWB files of AJILE12, in; a Recording out.

With trials made of a force, and of the rest between movements. What is done to such recordings first is in
:mod:`neurolib.data.artefacts`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.field_potentials import electrical_signal, electrode_places
from neurolib.data.nwb import flat_columns, require_nwb
from neurolib.data.recording import Recording, Signal, join_touching

MAX_UV = 1e4  # standard deviation that no electrode in or on a brain reaches
_SIGNAL_OF = {"ECOG": "ecog", "SEEG": "seeg", "DBS": "lfp", "EEG": "eeg", "EMG": "emg", "MISC": "misc"}
_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0}


def read_brainvision(header: str | Path, scale: float = 1.0, force: str | None = None) -> Recording:
    """Read one BIDS recording: header, binary data, and the tables beside them.

    Parameters
    ----------
    header : str or Path
        The ``..._ieeg.vhdr`` file; ``..._channels.tsv`` must stand beside it, ``..._electrodes.tsv`` may.
    scale : float
        Multiplies the voltages. The grip-force example of py_neuromodulation says microvolts where
        it means a millionth of that, and needs 1e-6.
    force : str, optional
        Channel from which trials are made by :func:`movements`, such as ``"MOV_RIGHT"``.

    Returns
    -------
    Recording
        A signal in microvolts per type of channel: ``ecog``, ``lfp`` (deep brain stimulation leads),
        ``seeg``; ``misc`` is what the header takes for volts, without ``scale``. Channels whose status is "bad" are left out.
        Positions are in mm, in the space that the name of the table says, if it has all of a signal's.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the tables and the header disagree on channels or rate, the data are cut short, or voltages
        are so large that the unit must be wrong.
    """
    header = Path(header)
    stem = header.name.removesuffix("_ieeg.vhdr")
    tables = header.with_name(f"{stem}_channels.tsv")
    for path in (header, header.with_suffix(".eeg"), header.with_suffix(".vmrk"), tables):
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; a BIDS recording needs it")
    import mne

    raw = mne.io.read_raw_brainvision(header, verbose="error")
    rate_hz = float(raw.info["sfreq"])
    channels = _rows(tables)
    named = [row.get("name") for row in channels]
    if named != raw.ch_names:
        odd = sorted(set(named) ^ set(raw.ch_names), key=str)[:3] or "their order"
        raise ValueError(
            f"{tables}: {len(named)} channels, {len(raw.ch_names)} in {header.name}; they differ in {odd}"
        )
    rates = {row["sampling_frequency"] for row in channels if "sampling_frequency" in row} - {"n/a"}
    if any(abs(float(rate) - rate_hz) > 1e-6 * rate_hz for rate in rates):
        raise ValueError(f"{tables}: {sorted(rates)} Hz where {header.name} says {rate_hz:g} Hz; resampled?")
    _require_duration(header, raw.n_times, rate_hz, len(named))
    values = raw.get_data().T
    time_s = np.arange(len(values)) / rate_hz
    places = _electrodes(header.parent, stem)
    signals = {}
    for kind, name in _SIGNAL_OF.items():
        chosen = [
            column
            for column, row in enumerate(channels)
            if row.get("type", "").upper() == kind and row.get("status") != "bad"
        ]
        if not chosen:
            continue
        labels = tuple(named[column] for column in chosen)
        if name == "misc":
            signals[name] = Signal(time_s, values[:, chosen].astype(np.float32), "a.u.", labels)
            continue
        microvolts = values[:, chosen] * 1e6 * scale
        _require_likely(header, labels, microvolts)
        known = places and all(label in places for label in labels)
        positions = np.array([places[label] for label in labels]) if known else None
        signals[name] = Signal(time_s, microvolts.astype(np.float32), "uV", labels, positions)
    observed = [[0.0, len(values) / rate_hz]]
    trials = {}
    if force is not None:
        misc = signals.get("misc")
        if misc is None or force not in misc.channels:
            raise ValueError(f"{header}: no channel {force!r} of type MISC; it has {named}")
        trials = movements(misc.values[:, misc.channels.index(force)], rate_hz)
    return Recording([], observed, signals, trials, name=stem)


def read_ajile(
    path: str | Path, start_s: float = 0.0, stop_s: float = np.inf, good: bool = True
) -> Recording:
    """Read a stretch of a day of AJILE12 [1]_: ECoG at 500 Hz, and when the wrist moved.

    Parameters
    ----------
    path : str or Path
        A file of DANDI 000055, such as ``sub-01_ses-3_behavior+ecephys.nwb``.
    start_s, stop_s : float
        Stretch to read, seconds since the file's start: a day takes gigabytes.
    good : bool
        Only electrodes that the authors marked as good.

    Returns
    -------
    Recording
        Signal ``ecog`` in microvolts, NaN where the day was blocked out; channels are named by their
        group and number within the electrode table's group. Positions are the table's, taken as
        MNI in mm. Trials are the ``reaches`` wholly inside the stretch, labelled ``reach``, with the
        authors' columns (``Reach_angle_degrees``, ``Bimanual_class``, ...). The pose has no stated
        unit (its conversion is NaN) and is not read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it has no ``ElectricalSeries`` or no table ``reaches``, is truncated, or holds nothing in the stretch.

    References
    ----------
    .. [1] Peterson et al. (2022), "AJILE12: long-term naturalistic human intracranial neural
       recordings and pose", Scientific Data 9:184.
    """
    path = Path(path)
    require_nwb(path)
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        series = nwb.acquisition.get("ElectricalSeries")
        if series is None or "reaches" not in (nwb.intervals or {}):
            raise ValueError(
                f"{path}: acquisition has {sorted(nwb.acquisition)} and intervals {sorted(nwb.intervals or {})}; "
                "ElectricalSeries and reaches expected; is it a file of DANDI 000055?"
            )
        electrodes = series.electrodes.table.to_dataframe().iloc[np.asarray(series.electrodes.data[()], int)]
        groups = electrodes["group_name"].astype(str)
        names = [
            f"{group}{number + 1}"
            for group, number in zip(groups, groups.groupby(groups).cumcount(), strict=True)
        ]
        keep = np.ones(len(electrodes), bool)
        if good and "good" in electrodes:
            keep = electrodes["good"].to_numpy(bool)
        try:
            ecog = electrical_signal(series, names, keep, start_s, stop_s)
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: {error}") from None
        ecog = replace(ecog, positions=electrode_places(electrodes[keep], 1.0))
        table = flat_columns(nwb.intervals["reaches"])
    begin, end = ecog.time_s[0], ecog.time_s[-1] + 1 / ecog.rate_hz
    inside = (table["start_time"] >= begin) & (table["stop_time"] <= end)
    trials = {key.replace("_time", "_s"): column[inside] for key, column in table.items()}
    trials["label"] = np.full(int(inside.sum()), "reach")
    return Recording([], [[begin, end]], {"ecog": ecog}, trials, name=path.stem)


def movements(
    force: ArrayLike, rate_hz: float, fraction: float = 0.2, at_least_s: float = 0.2
) -> dict[str, NDArray]:
    """Trial table of the times at which a force is up, labelled ``grip``.

    Force is up above ``fraction`` of the way from its median, taken as rest, to its largest value.
    A gap (NaN) counts as rest.

    Parameters
    ----------
    force : array, shape (n_samples,)
    rate_hz : float
    fraction : float
        Between 0 and 1.
    at_least_s : float
        Shorter ones are left out.

    Returns
    -------
    dict of array
        ``start_s``, ``stop_s``, ``label``, and ``peak``, the largest force above rest.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, or force never changes.

    Examples
    --------
    >>> table = movements([0, 0, 0, 4, 5, 4, 0, 0, 0, 0], rate_hz=10.0)
    >>> table["start_s"], table["stop_s"], table["peak"]
    (array([0.3]), array([0.6]), array([5.]))
    """
    force = np.asarray(force, float)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction} must lie between 0 and 1")
    rest, top = np.nanmedian(force), np.nanmax(force)
    if not top > rest:
        raise ValueError("force never rises above its median; is it another channel?")
    up = np.nan_to_num(force, nan=rest) > rest + fraction * (top - rest)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], up, [False]])))
    spans = edges.reshape(-1, 2)
    spans = spans[np.diff(spans, axis=1)[:, 0] >= at_least_s * rate_hz - 1e-6]
    return {
        "start_s": spans[:, 0] / rate_hz,
        "stop_s": spans[:, 1] / rate_hz,
        "label": np.full(len(spans), "grip"),
        "peak": np.array([np.nanmax(force[first:last]) - rest for first, last in spans]),
    }


def with_rest(recording: Recording, length_s: float, margin_s: float = 1.0) -> Recording:
    """The recording with trials of rest laid between those that it has, as many as fit.

    Parameters
    ----------
    recording : Recording
    length_s : float
        Length of a trial of rest.
    margin_s : float
        How far it keeps from a movement.

    Returns
    -------
    Recording
        Trials in order of time: ``start_s``, ``stop_s`` and ``label``; other columns are left out.

    Raises
    ------
    ValueError
        If the trials have no label, or no rest fits.

    Examples
    --------
    >>> moves = {"start_s": np.array([2.0]), "stop_s": np.array([3.0]), "label": np.array(["grip"])}
    >>> rested = with_rest(Recording([], [[0, 6]], trials=moves), length_s=0.6, margin_s=0.5)
    >>> rested.trials["start_s"].tolist()
    [0.0, 0.6, 2.0, 3.5, 4.1, 4.7, 5.3]
    >>> rested.trials["label"].tolist()
    ['rest', 'rest', 'grip', 'rest', 'rest', 'rest', 'rest']
    """
    if "label" not in recording.trials:
        raise ValueError(f"{recording.name}: the trials have no column 'label'")
    if not length_s > 0:
        raise ValueError(f"length_s={length_s} must be positive")
    moves = np.stack([recording.trials["start_s"], recording.trials["stop_s"]], axis=1)
    busy = join_touching(moves + np.array([-margin_s, margin_s]))
    starts = []
    for first, last in recording.observed_s:
        inside = busy[(busy[:, 1] > first) & (busy[:, 0] < last)]
        edges = np.concatenate([[first], inside.ravel(), [last]]).reshape(-1, 2)
        for begin, end in edges:
            n = int(np.floor(round((end - begin) / length_s, 6))) if end > begin else 0
            starts.extend(np.round(begin + length_s * np.arange(n), 9))
    if not starts:
        raise ValueError(f"{recording.name}: no {length_s} s of rest fit between the movements")
    rest = np.array(starts)[:, None] + [0, length_s]
    spans = np.concatenate([moves, rest])
    labels = np.concatenate([recording.trials["label"], np.full(len(rest), "rest")])
    order = np.argsort(spans[:, 0], kind="stable")
    return replace(
        recording,
        trials={"start_s": spans[order, 0], "stop_s": spans[order, 1], "label": labels[order]},
    )


def _require_duration(header: Path, n_samples: int, rate_hz: float, n_channels: int) -> None:
    """Compare the data with the length that the table beside them states, and with whole samples."""
    about = header.with_suffix(".json")
    if about.is_file():
        stated = json.loads(about.read_text(encoding="utf-8-sig")).get("RecordingDuration")
        if isinstance(stated, int | float) and abs(stated - n_samples / rate_hz) > 0.1:
            raise ValueError(
                f"{header.with_suffix('.eeg')}: {n_samples / rate_hz:.3f} s of {n_channels} channels, {stated} s stated "
                f"in {about.name}; was it cut short?"
            )


def _require_likely(header: Path, labels: tuple[str, ...], microvolts: NDArray) -> None:
    never = np.flatnonzero(~np.isfinite(microvolts).any(axis=0))
    if len(never):
        raise ValueError(
            f"{header}: channel {labels[never[0]]} holds no number; mark it as bad in channels.tsv"
        )
    typical = float(np.median(np.nanstd(microvolts, axis=0)))
    if typical > MAX_UV:
        raise ValueError(
            f"{header}: channels such as {labels[0]} vary by {typical:.3g} uV, more than any brain; were microvolts "
            "written as volts? Then scale=1e-6"
        )


def _electrodes(folder: Path, stem: str) -> Mapping[str, tuple[float, float, float]]:
    """Coordinates in mm of the electrodes that have any."""
    session = stem.split("_task-")[0]
    found = sorted(folder.glob(f"{session}*_electrodes.tsv"))
    if not found:
        return {}
    table = found[0]
    system = table.with_name(table.name.replace("_electrodes.tsv", "_coordsystem.json"))
    stated = (
        json.loads(system.read_text(encoding="utf-8-sig")).get("iEEGCoordinateUnits")
        if system.is_file()
        else "none"
    )
    if stated not in _MM:
        raise ValueError(f"{table}: unit {stated!r} in {system.name}; one of {sorted(_MM)} expected")
    rows = [row for row in _rows(table) if "n/a" not in (row["x"], row["y"], row["z"])]
    return {row["name"]: tuple(float(row[axis]) * _MM[stated] for axis in "xyz") for row in rows}


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of a tab-separated table by column."""
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line]
    header = lines[0].split("\t") if lines else []
    rows = [line.split("\t") for line in lines[1:]]
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"{path}: not every row has its {len(header)} tab-separated columns; cut short?")
    return [dict(zip(header, row, strict=True)) for row in rows]
