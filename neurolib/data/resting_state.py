"""The twin of resting scans (:func:`neurolib.data.fmri.read_resting`): a config in, simulated BOLD out, a Recording per person.

Size and columns are those of the loader, and correlations of regions resemble each other within and between
persons about as much as in five recorded ones. Networks are random; there is no anatomy in them.
"""

from dataclasses import dataclass

import numpy as np

from neurolib.data.fmri import N_AAL2
from neurolib.data.physiology import remembering_noise
from neurolib.data.recording import Recording, Signal


@dataclass(frozen=True)
class RestingConfig:
    """Resting scans of several persons.

    Examples
    --------
    >>> people = simulate(RestingConfig(n_subjects=2))
    >>> people[1].signals["bold"].values.shape
    (355, 94)
    """

    n_subjects: int = 5
    n_volumes: int = 355
    tr_s: float = 2.0
    individual: float = 0.25  # share of the networks' variance that is a person's own; 0 makes all alike
    seed: int = 0

    def __post_init__(self):
        for name in ("n_subjects", "n_volumes", "tr_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("individual", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        if self.individual > 1:
            raise ValueError(f"individual={self.individual} is a share, 0 to 1")


def simulate(cfg: RestingConfig = RestingConfig()) -> list[Recording]:
    """Resting BOLD, one recording per person, as :func:`neurolib.data.fmri.read_resting` gives it.

    Networks that everyone has and networks of one's own fluctuate slowly under noise, so that correlations of
    regions tell persons apart, and resemble each other between persons.
    """
    n_networks = 12
    common = np.random.default_rng(cfg.seed).standard_normal((n_networks, N_AAL2))
    common[0] = abs(common[0]) + 0.5  # the fluctuation of the whole brain
    recordings = []
    for subject in range(cfg.n_subjects):
        rng = np.random.default_rng([cfg.seed, 1 + subject])
        own = rng.standard_normal((n_networks, N_AAL2))
        networks = np.sqrt(1 - cfg.individual) * common + np.sqrt(cfg.individual) * own
        scale = 0.8 ** np.arange(n_networks)
        keep = np.exp(-cfg.tr_s / 3.0)
        fluctuation = remembering_noise(cfg.n_volumes, n_networks, keep, rng) * scale
        bold = fluctuation @ networks + 2.0 * rng.standard_normal((cfg.n_volumes, N_AAL2))
        bold = 9000 + 300 * rng.standard_normal(N_AAL2) + 15 * bold
        stop_s = cfg.n_volumes * cfg.tr_s
        recordings.append(
            Recording(
                [],
                [[0.0, stop_s]],
                {
                    "bold": Signal(
                        np.arange(cfg.n_volumes) * cfg.tr_s,
                        bold,
                        "a.u.",
                        tuple(f"AAL2 {number}" for number in range(1, N_AAL2 + 1)),
                    )
                },
                {"start_s": np.array([0.0]), "stop_s": np.array([stop_s]), "label": np.array(["rest"])},
                name=f"subject {subject}, simulated",
                simulated=True,
            )
        )
    return recordings
