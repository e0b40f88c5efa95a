"""The one door to data: a short name in, trials out, recorded where there are any, else simulated.

Pages call :func:`load` and read ``trials.simulated`` to say which they got.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from neurolib.data import catalog, spykesml
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
    reader : callable, () -> Trials
        Loads the recording.
    twin : str
        Name of the simulator's configuration in :mod:`neurolib.data.reaching`.
    """

    recorded: str
    reader: Callable[[], Trials]
    twin: str


SETS = {
    "s1": Twins("spykesml_s1", spykesml.load_s1, "S1_RANDOM_TARGET"),
    "m1": Twins("spykesml_m1", spykesml.load_m1, "M1_RANDOM_TARGET"),
}


def load(id: str, source: str = "auto", n_trials: int | None = None) -> Trials:
    """Trials of a dataset, recorded or simulated.

    Parameters
    ----------
    id : {"s1", "m1"}
    source : {"auto", "recorded", "simulated"}
        ``"auto"`` takes the recording if it is in the data folder, else its simulated twin, and
        logs which and why. A recording that is there but damaged is an error, not absent.
    n_trials : int, optional
        Keep the first so many trials, or all if there are fewer.

    Returns
    -------
    Trials
        ``name`` is the id in the catalog, also for the twin; ``simulated`` says which it is.

    Raises
    ------
    FileNotFoundError
        If a recording is asked for that is not there.
    ValueError
        If ``id``, ``source`` or ``n_trials`` is none of the above, or the recording is damaged.
    """
    if id not in SETS:
        raise ValueError(f"no set {id!r}; there are {', '.join(SETS)}")
    if source not in SOURCES:
        raise ValueError(f"source={source!r} must be one of {', '.join(SOURCES)}")
    if n_trials is not None and n_trials < 1:
        raise ValueError(f"n_trials={n_trials} must be at least 1, or None for all")
    chosen = SETS[id]
    if source == "auto":
        source = _available(id, chosen)
    trials = _simulate(chosen, n_trials) if source == "simulated" else chosen.reader()
    if n_trials is not None:
        trials = trials.select(range(min(n_trials, len(trials))))
    return replace(trials, name=chosen.recorded)


def _available(id: str, chosen: Twins) -> str:
    if catalog.is_present(chosen.recorded):
        log.info("%s: recorded data, found in %s", id, catalog.folder(chosen.recorded))
        return "recorded"
    log.warning(
        "%s: SIMULATED data, since %s is not in %s (`neurolib data fetch %s` gets it)",
        id,
        chosen.recorded,
        catalog.folder(chosen.recorded),
        chosen.recorded,
    )
    return "simulated"


def _simulate(chosen: Twins, n_trials: int | None) -> Trials:
    from neurolib.data import reaching

    config = getattr(reaching, chosen.twin)
    if n_trials is not None:
        config = replace(config, n_trials=min(n_trials, config.n_trials))
    return reaching.simulate_trials(config, bin_size_s=spykesml.BIN_SIZE_S)
