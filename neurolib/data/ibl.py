"""International Brain Laboratory: files in ALF layout or an experiment id in, spikes, wheel and trials out.

:func:`read_alf` reads what lies on disk; :func:`read_one` has ONE download it first.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.alf import Files, collection, find, latest, load_array, load_table
from neurolib.data.recording import Recording, Signal

if TYPE_CHECKING:
    from one.api import One

OPENALYX = "https://openalyx.internationalbrainlab.org"
WHEEL_RATE_HZ = 1000.0
WHEEL_CUTOFF_HZ = 20.0
LONGEST_SESSION_S = 86_400.0
TRIAL_COLUMNS = {
    "choice": "choice",
    "feedbackType": "feedback",
    "probabilityLeft": "probability_left",
    "contrastLeft": "contrast_left",
    "contrastRight": "contrast_right",
    "stimOn_times": "stim_on_s",
    "firstMovement_times": "first_movement_s",
}
MORE_COLUMNS = {"goCue_times": "go_cue_s", "response_times": "response_s", "feedback_times": "feedback_s"}


def read_alf(session: str | Path, probe: str | None = None) -> Recording:
    """Read one insertion of a session that lies on disk.

    Units are those that passed all three quality criteria (``label == 1``).

    Parameters
    ----------
    session : str or Path
        Folder ``<subject>/<date>/<number>``, with ``alf`` in it.
    probe : str, optional
        Folder of the spike sorting below ``alf``, such as ``"probe00/pykilosort"``; may be left out if
        there is only one.

    Returns
    -------
    Recording
        Signals ``wheel_position`` (rad) and ``wheel_velocity`` (rad/s) at 1 kHz, see :func:`wheel_motion`.
        Units: ``cluster`` (row in the files) and ``acronym``, the Allen region; where the files hold numbers
        of the atlas alone, ``atlas_id`` instead. Trials: ``choice`` (-1, 0 or 1), ``feedback`` (1 or -1),
        ``probability_left``, ``contrast_left`` and ``contrast_right`` (NaN on the side without stimulus),
        ``stim_on_s``, ``first_movement_s``, and other times that are there.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If there are several insertions and none is named, files disagree, times are not in seconds or run
        backwards, or a table is in parquet and pyarrow is not installed.

    References
    ----------
    .. [1] International Brain Laboratory et al. (2023), "A modular architecture for organizing, processing
       and sharing neurophysiology data", Nature Methods 20:403-407.
    """
    session = Path(session)
    alf = session if session.name == "alf" else session / "alf"
    if not alf.is_dir():
        raise FileNotFoundError(f"{session} has no folder alf; name the folder of a session")
    sortings = {collection(alf, path) for path in alf.rglob("spikes.times*.npy")}
    if probe is None:
        if len(sortings) != 1:
            raise ValueError(
                f"{alf} holds {len(sortings)} spike sortings, {sorted(sortings)}; name one as probe"
            )
        probe = sortings.pop()
    elif probe not in sortings:
        raise FileNotFoundError(f"{alf} holds no spike sorting {probe!r}; it has {sorted(sortings)}")
    files: Files = {}
    for folder in (alf, alf / "task_00", alf / probe):
        files |= latest([*folder.glob("*"), *folder.glob("#*#/*")])
    return _assemble(files, f"{'/'.join(alf.parts[-4:-1])} {probe}")


def read_one(eid: str, probe: str, one: "One | None" = None) -> Recording:
    """Download one insertion with ONE, or take it from ONE's cache, and read it as :func:`read_alf` does.

    Parameters
    ----------
    eid : str
        Experiment id.
    probe : str
        Collection of the spike sorting below ``alf``, such as ``"probe00/pykilosort"``. It is named always,
        since most sessions have two.
    one : One, optional
        By default the public server.

    Raises
    ------
    ImportError
        If ONE-api is not installed.
    ConnectionError
        If the server cannot be reached or refuses.
    ValueError, FileNotFoundError
        As :func:`read_alf`.
    """
    one = public_server() if one is None else one
    wanted = [
        ("spikes", f"alf/{probe}", ["times", "clusters"]),
        ("clusters", f"alf/{probe}", ["metrics", "channels", "label", "acronym"]),
        ("channels", f"alf/{probe}", ["brainLocationAcronyms*", "brainLocationIds*"]),
        ("trials", "alf", None),
        ("wheel", "alf", ["timestamps", "position"]),
    ]
    paths = []
    for thing, where, attribute in wanted:
        only = {} if attribute is None else {"attribute": attribute}
        paths += one.load_object(eid, thing, collection=where, download_only=True, **only)
    return _assemble(latest(Path(path) for path in paths if path), f"{eid} {probe}")


def public_server() -> "One":
    """The client of the laboratory's public archive."""
    try:
        from one.api import ONE
    except ImportError:
        raise ImportError("downloading needs ONE-api: pip install ONE-api. read_alf needs none") from None
    try:
        return ONE(base_url=OPENALYX, password="international", silent=True)
    except Exception as error:  # requests, its own, and whatever the settings in ~/.one lead to
        raise ConnectionError(
            f"{OPENALYX} did not let us in ({type(error).__name__}: {error}); is there a network? Settings of another "
            "server in ~/.one get in the way: remove them"
        ) from error


def wheel_motion(
    timestamps_s: ArrayLike, position_rad: ArrayLike, cutoff_hz: float = WHEEL_CUTOFF_HZ
) -> tuple[Signal, Signal]:
    """Position and velocity of the wheel at 1 kHz, from samples that come only while it moves.

    Position is interpolated linearly, low-passed (Butterworth of order 8, forwards and backwards, so that
    nothing is delayed; at the ends it looks a few milliseconds ahead) and differentiated.

    Parameters
    ----------
    timestamps_s, position_rad : array, shape (n_samples,)
    cutoff_hz : float

    Returns
    -------
    position, velocity : Signal
        In rad and rad/s.

    Raises
    ------
    ValueError
        If the clock does not run forwards, values are not finite, or there is less than a second.

    Examples
    --------
    >>> turn = np.linspace(0, 2, 21)  # 0.5 rad/s for two seconds
    >>> position, velocity = wheel_motion(turn, turn / 2)
    >>> round(velocity.rate_hz), float(velocity.values[1000, 0].round(6))
    (1000, 0.5)
    """
    from scipy.signal import butter, sosfiltfilt

    time_s, position = np.asarray(timestamps_s, float), np.asarray(position_rad, float)
    if time_s.shape != position.shape or time_s.ndim != 1:
        raise ValueError(f"wheel has {time_s.shape} time stamps for {position.shape} positions")
    if not (np.isfinite(time_s).all() and np.isfinite(position).all()):
        raise ValueError("wheel holds NaN or infinite values")
    if (np.diff(time_s) <= 0).any():
        worst = int(np.argmin(np.diff(time_s)))
        raise ValueError(f"wheel clock goes from {time_s[worst]:.4f} back to {time_s[worst + 1]:.4f} s")
    if len(time_s) < 2 or time_s[-1] - time_s[0] < 1:
        raise ValueError(
            f"wheel covers less than a second in {len(time_s)} samples; is the file of another task?"
        )
    n = int(np.floor((time_s[-1] - time_s[0]) * WHEEL_RATE_HZ + 1e-6)) + 1
    at = time_s[0] + np.arange(n) / WHEEL_RATE_HZ
    smooth = sosfiltfilt(
        butter(8, cutoff_hz, fs=WHEEL_RATE_HZ, output="sos"), np.interp(at, time_s, position)
    )
    velocity = np.gradient(smooth, 1 / WHEEL_RATE_HZ)
    return Signal(at, smooth, "rad", ("wheel",)), Signal(at, velocity, "rad/s", ("wheel",))


def trial_variable_per_bin(recording: Recording, column: str, time_s: ArrayLike) -> NDArray:
    """Value of a trial's column at each time inside the trial, NaN between trials.

    A time belongs to a trial from its start up to, not including, its stop. Between trials there is nothing
    to know, so nothing is filled in; nor is it where two trials overlap, or after one inside another.

    Parameters
    ----------
    recording : Recording
    column : str
        Column of numbers in the trial table.
    time_s : array, shape (n_bins,)
        Such as the centres of bins.

    Returns
    -------
    array of float, shape (n_bins,)

    Raises
    ------
    ValueError
        If there is no such column of numbers.

    Examples
    --------
    >>> trials = {"start_s": np.array([1.0, 3.0]), "stop_s": np.array([2.0, 4.0]), "choice": np.array([-1, 1])}
    >>> recording = Recording([], [[0, 5]], trials=trials)
    >>> trial_variable_per_bin(recording, "choice", [0.5, 1.0, 1.5, 2.0, 3.5])
    array([nan, -1., -1., nan,  1.])
    """
    if column not in recording.trials:
        raise ValueError(f"{recording.name}: no trial column {column!r}; it has {sorted(recording.trials)}")
    values = recording.trials[column]
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"{recording.name}: trial column {column!r} holds {values.dtype}; number the labels first"
        )
    start, stop = (recording.trials[key].astype(float) for key in ("start_s", "stop_s"))
    time_s = np.asarray(time_s, float)
    order = np.argsort(start)
    begun = np.searchsorted(start[order], time_s, side="right")
    ended = np.searchsorted(np.sort(stop), time_s, side="right")
    found = np.full(time_s.shape, np.nan)
    inside = begun - ended == 1
    # With one trial under way it need not be the last begun, if that one was shorter and has ended.
    row = order[begun[inside] - 1]
    found[inside] = np.where(stop[row] > time_s[inside], values[row].astype(float), np.nan)
    return found


def _assemble(files: Files, name: str) -> Recording:
    times, clusters = (find(files, name, "spikes", part) for part in ("times", "clusters"))
    where = files["spikes", "times"]
    if times.dtype.kind != "f" or (times.size and times.max() > LONGEST_SESSION_S):
        raise ValueError(
            f"{where}: times of type {times.dtype} up to {times.max(initial=0):g}; seconds expected, are they samples?"
        )
    if len(times) != len(clusters) or not len(times):
        raise ValueError(
            f"{where}: {len(times)} times for {len(clusters)} entries in spikes.clusters; of two revisions?"
        )
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError(f"{where}: times hold NaN or go backwards; is it a file of another sorting?")
    label, units = _unit_table(files, name)
    if clusters.max() >= len(label):
        raise ValueError(
            f"{name}: spikes name cluster {clusters.max()} and there are labels for {len(label)}; of two revisions?"
        )
    good = np.flatnonzero(label == 1)
    order = np.argsort(clusters, kind="stable")
    low, high = (np.searchsorted(clusters[order], good, side=side) for side in ("left", "right"))
    timestamps, position = (find(files, name, "wheel", part) for part in ("timestamps", "position"))
    try:
        position, velocity = wheel_motion(timestamps, position)
    except ValueError as error:
        raise ValueError(f"{files['wheel', 'timestamps']}: {error}") from None
    return Recording(
        [times[order[a:b]] for a, b in zip(low, high, strict=True)],
        [[times[0], times[-1] + 1e-6]],
        {"wheel_position": position, "wheel_velocity": velocity},
        _trial_table(files, name),
        {"cluster": good} | {key: column[good] for key, column in units.items()},
        name=name,
    )


def _unit_table(files: Files, name: str) -> tuple[NDArray, dict[str, NDArray]]:
    """Quality label of every cluster (NaN if it has none), and where it lies."""
    table = load_table(files["clusters", "metrics"]) if ("clusters", "metrics") in files else {}
    if ("clusters", "label") in files:
        label = find(files, name, "clusters", "label").astype(float)
    elif "label" in table:
        # Rows of the metrics are the clusters that were measured, which may be fewer than there are.
        rows = table.get("cluster_id", np.arange(len(table["label"]))).astype(int)
        label = np.full(rows.max(initial=-1) + 1, np.nan)
        label[rows] = table["label"].astype(float)
        if ("clusters", "channels") in files:
            missing = len(find(files, name, "clusters", "channels")) - len(label)
            label = np.concatenate([label, np.full(max(missing, 0), np.nan)])
    else:
        raise FileNotFoundError(f"{name}: no clusters.metrics with a column label, nor clusters.label.npy")
    if not (label == 1).any():
        raise ValueError(f"{name}: no unit has label 1, labels are {np.unique(label).tolist()}")
    for thing in ("acronym", "brainLocationAcronyms_ccf_2017"):
        if ("clusters", thing) in files:
            return label, _regions(files, name, label, acronym=find(files, name, "clusters", thing))
    for thing, ours in (
        ("brainLocationAcronyms_ccf_2017", "acronym"),
        ("brainLocationIds_ccf_2017", "atlas_id"),
    ):
        if ("channels", thing) in files:
            channel = find(files, name, "clusters", "channels")
            of_channel = find(files, name, "channels", thing)
            return label, _regions(files, name, label, **{ours: of_channel[channel]})
    raise FileNotFoundError(f"{name}: no region of the clusters, nor of their channels; was histology done?")


def _regions(files: Files, name: str, label: NDArray, **column: NDArray) -> dict[str, NDArray]:
    for key, values in column.items():
        if len(values) != len(label):
            raise ValueError(
                f"{name}: {key} of {len(values)} clusters for {len(label)} labels; of two revisions?"
            )
    return column


def _trial_table(files: Files, name: str) -> dict[str, NDArray]:
    table = load_table(files["trials", "table"]) if ("trials", "table") in files else {}
    single = {part: path for (thing, part), path in files.items() if thing == "trials" and part != "table"}
    if "intervals_0" in table:
        start, stop = table["intervals_0"], table["intervals_1"]
    else:
        start, stop = find(files, name, "trials", "intervals").T
    trials = {"start_s": np.asarray(start, float), "stop_s": np.asarray(stop, float)}
    for theirs, ours in (TRIAL_COLUMNS | MORE_COLUMNS).items():
        if theirs in table:
            trials[ours] = table[theirs]
        elif theirs in single:
            trials[ours] = load_array(single[theirs])
        elif theirs in TRIAL_COLUMNS:
            raise FileNotFoundError(
                f"{name}: trials have no {theirs}; they have {sorted(table) + sorted(single)}"
            )
    if not (np.isfinite(start).all() and np.isfinite(stop).all() and (stop > start).all()):
        raise ValueError(f"{name}: trials without a start before their stop")
    if (np.diff(start) <= 0).any():
        raise ValueError(
            f"{name}: the trials' clock goes back at trial {int(np.argmax(np.diff(start) <= 0)) + 1}"
        )
    if not np.isin(trials["choice"], (-1, 0, 1)).all():
        raise ValueError(f"{name}: choices {np.unique(trials['choice']).tolist()}; -1, 0 and 1 expected")
    return trials
