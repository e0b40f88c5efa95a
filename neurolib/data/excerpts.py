"""A short piece of each of the seven kinds of signal: nothing in, a dict of excerpts ``(time, channel)`` out.

For pages that show what a signal looks like and how a model reads it. The pieces are of different subjects and
have nothing to do with each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurolib.data import catalog
from neurolib.data.recording import Recording, Signal
from neurolib.data.sets import load
from neurolib.data.signal_sets import load_signals

ECOG = "py_neuromod_ecog"


@dataclass(frozen=True)
class Excerpt:
    """A piece of one recording.

    Parameters
    ----------
    name : str
        Id of its source in the catalog, also where it is simulated.
    simulated : bool
    signal : Signal
        ``time_s`` starts at 0.
    """

    name: str
    simulated: bool
    signal: Signal


def load_excerpts(
    source: str = "auto", window_s: float = 2.0, scans: int = 30, names: tuple[str, ...] = ()
) -> dict[str, Excerpt]:
    """One excerpt per kind of signal.

    Parameters
    ----------
    source : {"auto", "recorded", "simulated"}
        As in :func:`neurolib.data.sets.load`.
    window_s : float
        Length, except of BOLD.
    scans : int
        Length of BOLD.
    names : tuple of str
        Which kinds; all by default.

    Returns
    -------
    dict of Excerpt
        ``spike`` counts per 50 ms, ``lfp``, ``calcium`` events, ``eeg`` at the start of an imagined movement,
        ``fmri``, ``ecog``, and ``emg`` at the start of a gesture.

    Raises
    ------
    ValueError
        If no stretch is long enough, or a name is unknown.

    Examples
    --------
    >>> one = load_excerpts("simulated", window_s=1.0, names=("emg",))["emg"]
    >>> one.simulated, one.signal.values.shape, float(one.signal.time_s[0])
    (True, (200, 8), 0.0)
    """
    unknown = set(names) - set(KINDS)
    if unknown:
        raise ValueError(f"no kind {sorted(unknown)[0]!r}; there are {', '.join(KINDS)}")
    if not window_s > 0 or scans < 1:
        raise ValueError(f"window_s={window_s} must be positive and scans={scans} at least 1")
    found = {}
    for kind in names or KINDS:
        name, simulated, signal, start_s = KINDS[kind](source, window_s)
        n = scans if kind == "fmri" else round(window_s * signal.rate_hz)
        found[kind] = Excerpt(name, simulated, cut(signal, start_s, n))
    return found


def cut(signal: Signal, start_s: float, n: int) -> Signal:
    """``n`` samples from ``start_s`` on, which becomes 0.

    Examples
    --------
    >>> cut(Signal(np.arange(5) / 10, np.arange(5)), 0.2, 2).values.ravel().tolist()
    [2, 3]
    """
    first = int(np.searchsorted(signal.time_s, start_s - 0.5 / signal.rate_hz))
    time_s, values = signal.time_s[first : first + n], signal.values[first : first + n]
    if len(time_s) < n:
        raise ValueError(f"{len(time_s)} samples after {start_s:g} s, {n} wanted; take a shorter excerpt")
    return Signal(time_s - time_s[0], values, signal.unit, signal.channels, signal.positions)


def _of_set(id: str, name: str, start: Callable[[Recording, float], float]):
    def read(source: str, window_s: float):
        found = load_signals(id, source)
        recording = found.recordings[0]
        return found.name, found.simulated, recording.signals[name], start(recording, window_s)

    return read


def _first_action(recording: Recording, window_s: float) -> float:
    """Start of the first trial that is not rest."""
    labels = recording.trials["gesture_name" if "gesture_name" in recording.trials else "label"]
    return float(recording.trials["start_s"][labels != "rest"][0])


def _first_long(recording: Recording, window_s: float) -> float:
    """Start of the first interval that is long enough."""
    long = np.diff(recording.observed_s)[:, 0] >= window_s
    if not long.any():
        raise ValueError(f"{recording.name}: no interval of {window_s:g} s; take a shorter excerpt")
    return float(recording.observed_s[long][0, 0])


def _spikes(source: str, window_s: float):
    trials = load("s1", source)
    n = round(window_s / trials.bin_size_s)
    if trials.lengths.max() < n:
        raise ValueError(f"{trials.name}: no trial of {window_s:g} s; take a shorter excerpt")
    first = trials.starts[np.flatnonzero(trials.lengths >= n)[0]]
    counts = trials.counts[first : first + n]
    names = tuple(f"unit {unit}" for unit in range(counts.shape[1]))
    signal = Signal(np.arange(n) * trials.bin_size_s, counts, "spikes per bin", names)
    return trials.name, trials.simulated, signal, 0.0


def _electrocorticogram(source: str, window_s: float):
    if source not in ("auto", "recorded", "simulated"):
        raise ValueError(f"source={source!r} must be one of auto, recorded, simulated")
    simulated = source == "simulated" or (source == "auto" and not catalog.is_present(ECOG))
    if simulated:
        from neurolib.data.seven_modalities import SevenModalitiesConfig, simulate

        recording = simulate(SevenModalitiesConfig(duration_s=window_s + 6.0, modalities=("ecog",)))
    else:
        from neurolib.data.ecog import read_brainvision

        (header,) = (path for path in catalog.require(ECOG) if path.suffix == ".vhdr")
        recording = read_brainvision(header, 1e-6)
    return ECOG, simulated, recording.signals["ecog"], 5.0


KINDS: dict[str, Callable] = {  # in the order of the models
    "spike": _spikes,
    "lfp": _of_set("field", "lfp", lambda recording, window_s: 5.0),
    "calcium": _of_set("place_cells", "events", _first_long),
    "eeg": _of_set("imagery", "eeg", _first_action),
    "fmri": _of_set("rest", "bold", lambda recording, window_s: 0.0),
    "ecog": _electrocorticogram,
    "emg": _of_set("gestures", "emg", _first_action),
}
