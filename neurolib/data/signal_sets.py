"""The door to signals other than binned spikes: a short name in, recordings out, recorded or simulated.

As :func:`neurolib.data.sets.load`, for EEG, EMG, calcium events, field potentials and BOLD.
"""

from collections.abc import Callable
from dataclasses import dataclass

from neurolib.data import catalog
from neurolib.data.recording import Recording
from neurolib.data.sets import SOURCES, available

TR_S = 2.0  # between volumes of the resting scans; their source states none, so a clock of it is a guess
MICE = ("C6M4", "C8M2", "C23M4")
TASK = "imagine_fists_feet"


@dataclass(frozen=True)
class SignalSet:
    """Recordings of one source.

    Parameters
    ----------
    name : str
        Id in the catalog, also for the twin.
    recordings : tuple of Recording
    simulated : bool
    """

    name: str
    recordings: tuple[Recording, ...]
    simulated: bool


def _imagery() -> list[Recording]:
    from neurolib.data import eegmmidb

    return [eegmmidb.read_subject(catalog.require("eegmmidb_s001")[0].parent, TASK)]


def _imagery_twin() -> list[Recording]:
    from neurolib.data import motor_imagery

    return [motor_imagery.simulate(motor_imagery.MotorImageryConfig(TASK, n_runs=2))]


def _gestures() -> list[Recording]:
    from neurolib.data import myo

    return myo.load_myo()


def _gestures_twin() -> list[Recording]:
    from neurolib.data import armband

    return [one for person in range(2) for one in armband.simulate(armband.ArmbandConfig(participant=person))]


def _place_cells() -> list[Recording]:
    from neurolib.data import place_cells

    return [session for mouse in MICE for session in place_cells.load_place_cells(mouse)]


def _place_cells_twin() -> list[Recording]:
    from neurolib.data import track_cells

    return [
        session
        for mouse in range(3)
        for session in track_cells.simulate(track_cells.PlaceCellsConfig(n_sessions=2, seed=mouse))
    ]


def _resting() -> list[Recording]:
    from neurolib.data import fmri

    people = sorted(
        {path.parents[1] for path in catalog.require("gw_fmri") if path.parents[0].name == "functional"}
    )
    return [fmri.read_resting(person, TR_S) for person in people]


def _resting_twin() -> list[Recording]:
    from neurolib.data import resting_state

    return resting_state.simulate()


def _field() -> list[Recording]:
    from neurolib.data import field_potentials

    return [field_potentials.read_sample(name) for name in field_potentials.SAMPLES]


def _field_twin() -> list[Recording]:
    from neurolib.data import theta_rhythm

    return [theta_rhythm.simulate(theta_rhythm.ThetaConfig(seed=seed)) for seed in range(2)]


@dataclass(frozen=True)
class Pair:
    """A source of recordings and its twin."""

    recorded: str  # id in the catalog
    read: Callable[[], list[Recording]]
    simulate: Callable[[], list[Recording]]


SETS = {
    "imagery": Pair("eegmmidb_s001", _imagery, _imagery_twin),
    "gestures": Pair("myo_emg", _gestures, _gestures_twin),
    "place_cells": Pair("zivlab_place_calcium", _place_cells, _place_cells_twin),
    "rest": Pair("gw_fmri", _resting, _resting_twin),
    "field": Pair("lfp_samples", _field, _field_twin),
}


def load_signals(id: str, source: str = "auto") -> SignalSet:
    """Recordings of a set, recorded or simulated.

    Parameters
    ----------
    id : {"imagery", "gestures", "place_cells", "rest", "field"}
    source : {"auto", "recorded", "simulated"}
        As in :func:`neurolib.data.sets.load`.

    Raises
    ------
    FileNotFoundError
        If a recording is asked for that is not there.
    ValueError
        If an argument is none of the above, or a file is damaged.

    Examples
    --------
    >>> load_signals("field", "simulated").recordings[0].signals["lfp"].values.shape
    (75000, 1)
    """
    if id not in SETS:
        raise ValueError(f"no set {id!r}; there are {', '.join(SETS)}")
    if source not in SOURCES:
        raise ValueError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    pair = SETS[id]
    if source == "auto":
        source = available(id, pair.recorded)
    made = pair.read() if source == "recorded" else pair.simulate()
    return SignalSet(pair.recorded, tuple(made), source == "simulated")
