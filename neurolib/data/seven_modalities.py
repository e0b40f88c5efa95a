"""A simulated brain seen through seven modalities: a config in, a :class:`~neurolib.data.recording.Recording` out.

Everything that is recorded follows one latent (:mod:`neurolib.data.shared_latent`), three dimensions of a
Lorenz trajectory and a stimulus, which is the known answer for models that read several modalities. What each
instrument sees of it is in :mod:`neurolib.data.instruments`.

What is known and what is guessed: sampling rates, bands, units and rough amplitudes are usual for each kind
of recording, and the blood response is the textbook one. That neurons of every kind listen to the same
latent, how strongly, that they do so linearly (in the log for rates and amplitudes), and that EEG alone mixes its
sources, is *made up*, so that the right answer is known. Recorded modalities share far less. Contacts,
regions and electrodes are spread evenly, not where anatomy has them. The two species are labels with a
difference in gain, rate and calcium decay; there is no biology in them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.data import instruments
from neurolib.data.instruments import PAST_S, Species
from neurolib.data.recording import Recording, Signal
from neurolib.data.shared_latent import SharedLatent

INSTRUMENTS: dict[str, Callable] = {  # in an order that decides who gets which random numbers
    "spike": instruments.spikes,
    "lfp": instruments.lfp,
    "calcium": instruments.calcium,
    "eeg": instruments.eeg,
    "fmri": instruments.fmri,
    "ecog": instruments.ecog,
    "emg": instruments.emg,
}

SPECIES = {
    "a": Species("a", rate_gain=1.0, signal_gain=1.0, calcium_decay_s=0.7),
    "b": Species("b", rate_gain=1.8, signal_gain=0.6, calcium_decay_s=0.4),
}

SIZES = {"spike": 60, "lfp": 16, "calcium": 80, "eeg": 32, "fmri": 40, "ecog": 24, "emg": 8}


@dataclass(frozen=True)
class SevenModalitiesConfig:
    """One session of a brain that everything is recorded from at once.

    Sessions of one seed differ in trajectory, units and mixing; they share the latent's dynamics and how
    behaviour follows from it. Species of one session differ in gains alone. Leaving modalities out does not
    change the others.

    Raises
    ------
    ValueError
        If a modality or species is unknown, or a number is out of range.

    Examples
    --------
    >>> simulate(SevenModalitiesConfig(duration_s=4.0, modalities=("spike", "eeg"))).signals.keys()
    dict_keys(['latent', 'behaviour', 'eeg'])
    """

    duration_s: float = 60.0
    session: int = 0
    species: str = "a"
    seed: int = 0
    modalities: tuple[str, ...] = tuple(INSTRUMENTS)
    sizes: tuple[tuple[str, int], ...] = ()  # channels of a modality, where not as in SIZES
    tr_s: float = 2.0  # seconds per fMRI volume
    lorenz_unit_s: float = 1.5  # seconds per unit of Lorenz's own time; a turn takes about 0.75 units
    n_stimuli: int = 4

    def __post_init__(self):
        unknown = {*self.modalities, *dict(self.sizes)} - INSTRUMENTS.keys()
        if unknown:
            raise ValueError(f"modalities {sorted(unknown)} are not among {list(INSTRUMENTS)}")
        if self.species not in SPECIES:
            raise ValueError(f"species={self.species!r} must be one of {sorted(SPECIES)}")
        for name in ("duration_s", "lorenz_unit_s", "tr_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive, in seconds")
        if self.duration_s < 2 * self.tr_s and "fmri" in self.modalities:
            raise ValueError(f"duration_s={self.duration_s} is less than two volumes of tr_s={self.tr_s}")
        if self.session < 0 or self.seed < 0:
            raise ValueError(f"session={self.session} and seed={self.seed} must be 0 or more")
        if min([self.n_stimuli, *dict(self.sizes).values()]) < 1:
            raise ValueError(f"n_stimuli={self.n_stimuli} and sizes={self.sizes} must be at least 1")


def simulate(cfg: SevenModalitiesConfig = SevenModalitiesConfig()) -> Recording:
    """Simulate one session; the same config gives the same one.

    Parameters
    ----------
    cfg : SevenModalitiesConfig

    Returns
    -------
    Recording
        Spike times in seconds, and the signals ``lfp`` (500 Hz, uV), ``calcium`` (20 Hz, dF/F), ``eeg``
        (160 Hz, uV, positions on the unit sphere), ``fmri`` (% of baseline, positions in MNI mm), ``ecog``
        (500 Hz, uV, MNI mm), ``emg`` (200 Hz, uV), ``behaviour`` (100 Hz, a hand's velocity) and ``latent``
        (100 Hz, the truth). One trial per stimulus: ``label``, ``stimulus``, ``session`` and ``species``
        beside ``start_s`` and ``stop_s``. The unit table has ``rate_hz``, ``tuning`` and ``species``.
    """
    world, *seeds = np.random.SeedSequence([cfg.seed, cfg.session]).spawn(len(INSTRUMENTS) + 1)
    latent = SharedLatent.draw(
        cfg.duration_s + 1.0, np.random.default_rng(world), -PAST_S, cfg.lorenz_unit_s, cfg.n_stimuli
    )
    seen, sizes = {}, SIZES | dict(cfg.sizes)
    for seed, (name, instrument) in zip(seeds, INSTRUMENTS.items(), strict=True):
        if name in cfg.modalities:
            settings = {"tr_s": cfg.tr_s} if name == "fmri" else {}
            rng, species = np.random.default_rng(seed), SPECIES[cfg.species]
            seen[name] = instrument(latent, cfg.duration_s, sizes[name], species, rng, **settings)
    trains, units = seen.pop("spike", ([], {}))
    return Recording(
        spike_times_s=trains,
        observed_s=[[0.0, cfg.duration_s]],
        signals=_behaviour(cfg, latent) | seen,
        trials=_trials(cfg, latent),
        units=units,
        name=f"seven modalities, session {cfg.session}, species {cfg.species}",
        simulated=True,
    )


def _behaviour(cfg: SevenModalitiesConfig, latent: SharedLatent) -> dict[str, Signal]:
    """The truth, and a hand that follows its first and last dimension, 10 cm/s per SD, in every session."""
    time_s = np.arange(round(cfg.duration_s * 100)) / 100
    path = latent.trajectory(time_s).astype(np.float32)
    return {
        "latent": Signal(time_s, path, "SD", ("x", "y", "z")),
        "behaviour": Signal(time_s, 10 * path[:, [0, 2]], "cm/s", ("x", "y")),
    }


def _trials(cfg: SevenModalitiesConfig, latent: SharedLatent) -> dict[str, NDArray]:
    """One row per stimulus that was shown during the session, cut to it."""
    stop_s = np.append(latent.onset_s[1:], np.inf)
    seen = (stop_s > 0) & (latent.onset_s < cfg.duration_s)
    stimulus = latent.stimulus[seen]
    return {
        "start_s": np.maximum(latent.onset_s[seen], 0.0),
        "stop_s": np.minimum(stop_s[seen], cfg.duration_s),
        "label": np.array([f"stimulus {s}" for s in stimulus]),
        "stimulus": stimulus,
        "session": np.full(len(stimulus), cfg.session),
        "species": np.full(len(stimulus), cfg.species),
    }
