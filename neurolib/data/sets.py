"""The one door to data: a short name in, trials out, recorded where there are any, else simulated.

Pages call :func:`load` and read ``trials.simulated`` to say which they got.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from neurolib.data import area2, catalog, continuous, nlb, spykesml
from neurolib.data.recording import Recording
from neurolib.data.trials import Trials

SOURCES = ("auto", "recorded", "simulated")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Twins:
    """A recording and what stands in for it.

    Parameters
    ----------
    recorded : str
        Id in the catalog.
    reader : callable, () -> Trials or Recording
        Loads the recording: trials if its makers have binned it, else a recording to be cut.
    twin : str
        Name of the simulator's configuration in :mod:`neurolib.data.reaching`.
    bin_size_s : float
        Bin width, fixed if the makers have binned it, else the default.
    cut : callable, (Recording, bin_size_s, lag_s, forward_s) -> Trials, optional
        Cuts the recording or its twin; none if the makers have binned it.
    """

    recorded: str
    reader: Callable[[], Trials | Recording]
    twin: str
    bin_size_s: float
    cut: Callable[..., Trials] | None = None


def _benchmark(name: str) -> Recording:
    """Read the training file of a benchmark set from the data folder."""
    return nlb.read_nlb(name, catalog.require(name)[0])


SETS = {
    "s1": Twins("spykesml_s1", spykesml.load_s1, "S1_RANDOM_TARGET", spykesml.BIN_SIZE_S),
    "m1": Twins("spykesml_m1", spykesml.load_m1, "M1_RANDOM_TARGET", spykesml.BIN_SIZE_S),
    "area2": Twins("area2_bump", area2.read_area2, "AREA2_BUMP", 0.005, area2.active_reaches),
    "maze_small": Twins(
        "mc_maze_small", partial(_benchmark, "mc_maze_small"), "MC_MAZE_SMALL", 0.025, continuous.whole_trials
    ),
    "maze": Twins("mc_maze", partial(_benchmark, "mc_maze"), "MC_MAZE", 0.025, continuous.whole_trials),
    "rtt": Twins("mc_rtt", partial(_benchmark, "mc_rtt"), "MC_RTT", 0.025, continuous.blocks),
}


def load(
    id: str,
    source: str = "auto",
    n_trials: int | None = None,
    bin_size_s: float | None = None,
    lag_s: float = 0.0,
    forward_s: float = 0.0,
) -> Trials:
    """Trials of a dataset, recorded or simulated.

    Parameters
    ----------
    id : {"s1", "m1", "area2", "maze_small", "maze", "rtt"}
    source : {"auto", "recorded", "simulated"}
        ``"auto"`` takes the recording if it is in the data folder, else its simulated twin, and
        logs which and why. A recording that is there but damaged is an error, not absent.
    n_trials : int, optional
        Keep the first so many trials, or all if there are fewer.
    bin_size_s : float, optional
        Bin width; by default 0.05 s for ``s1`` and ``m1``, which were published in such bins and
        have no other, 0.005 s for ``area2`` and 0.025 s for the benchmark's sessions.
    lag_s : float
        Behaviour is read this much later than the spikes; not for ``s1`` and ``m1``.
    forward_s : float
        Add so much after the window of each trial; ``area2`` only.

    Returns
    -------
    Trials
        ``name`` is the id in the catalog, also for the twin; ``simulated`` says which it is.

    Raises
    ------
    FileNotFoundError
        If a recording is asked for that is not there.
    ValueError
        If an argument is none of the above, or the recording is damaged.
    """
    if id not in SETS:
        raise ValueError(f"no set {id!r}; there are {', '.join(SETS)}")
    if source not in SOURCES:
        raise ValueError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    if n_trials is not None and n_trials < 1:
        raise ValueError(f"n_trials={n_trials} must be at least 1, or None for all")
    chosen = SETS[id]
    bin_size_s = chosen.bin_size_s if bin_size_s is None else bin_size_s
    if not chosen.cut:
        if bin_size_s != chosen.bin_size_s:
            raise ValueError(
                f"{id}: bin_size_s={bin_size_s}, but it was published in bins of {chosen.bin_size_s} s and has "
                "no spike times; trials.rebin makes wider bins"
            )
        if lag_s or forward_s:
            raise ValueError(
                f"{id}: lag_s={lag_s}, forward_s={forward_s} need spike times, and it was published in bins; "
                "decoders and trials.history take a lag in bins"
            )
    if source == "auto":
        source = available(id, chosen.recorded)
    found = _simulate(chosen, n_trials) if source == "simulated" else chosen.reader()
    trials = chosen.cut(found, bin_size_s, lag_s, forward_s) if chosen.cut else found
    if n_trials is not None:
        trials = trials.select(range(min(n_trials, len(trials))))
    return replace(trials, name=chosen.recorded)


def available(id: str, recorded: str) -> str:
    """What ``source="auto"`` means for a set whose recording has the id ``recorded`` in the catalog; logs which and why."""
    if catalog.is_present(recorded):
        log.info("%s: recorded data, found in %s", id, catalog.folder(recorded))
        return "recorded"
    log.warning(
        "%s: SIMULATED data, since %s is not in %s (`neurolib data fetch %s` gets it)",
        id,
        recorded,
        catalog.folder(recorded),
        recorded,
    )
    return "simulated"


def _simulate(chosen: Twins, n_trials: int | None) -> Trials | Recording:
    from neurolib.data import reaching

    config = getattr(reaching, chosen.twin)
    if chosen.cut:
        return reaching.simulate(config)  # the whole session: which of its trials are cut is not known here
    if n_trials is not None:
        config = replace(config, n_trials=min(n_trials, config.n_trials))
    return reaching.simulate_trials(config, bin_size_s=chosen.bin_size_s)
