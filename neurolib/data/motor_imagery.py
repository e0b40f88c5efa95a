"""The twin of :mod:`neurolib.data.eegmmidb`: a config in, a Recording of 64 simulated EEG channels out.

Moving or imagining a limb quiets the mu (9-12 Hz) and beta (18-25 Hz) rhythms of its area [1]_: of the other
side's hand area for a fist, of both for both fists, of the middle for the feet. Timing, channels, rate and
trial table are those of the recordings. Strengths are guesses, set so that linear methods read about as much as
from a person who is good at it; people differ widely, and many cannot be read at all. There are no blinks and
no muscles in it.

References
----------
.. [1] Pfurtscheller & Lopes da Silva (1999), "Event-related EEG/MEG synchronization and desynchronization:
   basic principles", Clin. Neurophysiol. 110, 1842-1857.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurolib.data.eegmmidb import GAP_S, RATE_HZ, RUNS, runs_of
from neurolib.data.montage import CHANNELS_64, positions
from neurolib.data.physiology import band_noise, pink_noise
from neurolib.data.recording import Recording, Signal

REST_S, TASK_S, N_TASKS = 4.2, 4.1, 15  # per run: rest and task in turn
AREAS = {"left_hand": "C4", "right_hand": "C3", "feet": "Cz"}  # whose area is under which electrode
QUIET = {  # how much of the effect each area has
    "rest": {},
    "left_fist": {"left_hand": 1.0, "right_hand": 0.3},
    "right_fist": {"left_hand": 0.3, "right_hand": 1.0},
    "both_fists": {"left_hand": 1.0, "right_hand": 1.0, "feet": -0.2},
    "both_feet": {"feet": 1.0, "left_hand": -0.2, "right_hand": -0.2},
}
MU_HZ, BETA_HZ, ALPHA_HZ = (9.0, 12.0), (18.0, 25.0), (8.5, 11.5)


@dataclass(frozen=True)
class MotorImageryConfig:
    """Runs of one person.

    Raises
    ------
    ValueError
        If the task is unknown or one of rest, or a number is out of range.

    Examples
    --------
    >>> recording = simulate(MotorImageryConfig(n_runs=2))
    >>> recording.signals["eeg"].values.shape, recording.n_trials
    ((39840, 64), 60)
    """

    task: str = "imagine_fists_feet"
    n_runs: int = 3
    subject: int = 1  # people differ in where their areas are, and in the strength of everything
    effect: float = 0.4  # fall of the log-amplitude of a rhythm; 0 is a person who cannot be read
    seed: int = 0

    def __post_init__(self):
        at_most = len(runs_of(self.task))
        if "T1" not in RUNS[runs_of(self.task)[0]].labels:
            raise ValueError(f"task={self.task!r} is rest; name one with movements, carried out or imagined")
        if not 1 <= self.n_runs <= at_most:
            raise ValueError(f"n_runs={self.n_runs}; there are {at_most} of {self.task}")
        if self.effect < 0 or self.subject < 0 or self.seed < 0:
            raise ValueError(f"effect={self.effect}, subject={self.subject}, seed={self.seed}: 0 or more")


def simulate(cfg: MotorImageryConfig = MotorImageryConfig()) -> Recording:
    """Simulate runs of one person; the same config gives the same ones.

    Parameters
    ----------
    cfg : MotorImageryConfig

    Returns
    -------
    Recording
        As :func:`~neurolib.data.eegmmidb.read_subject` gives it: signal ``eeg`` in uV, runs ``GAP_S``
        apart, and trials with ``label``, ``code``, ``task``, ``run`` and ``subject``, rest included.
    """
    person = np.random.default_rng([cfg.seed, cfg.subject])
    places = positions(CHANNELS_64)
    mixing = _Head(places, person)
    numbers = runs_of(cfg.task)[: cfg.n_runs]
    runs = [
        _run(cfg, number, mixing, np.random.default_rng([cfg.seed, cfg.subject, number]))
        for number in numbers
    ]
    length_s = N_TASKS * (REST_S + TASK_S)
    offsets = np.arange(len(runs)) * (length_s + GAP_S)
    time_s = np.arange(len(runs[0][0])) / RATE_HZ
    for (_, table), at in zip(runs, offsets, strict=True):
        table["start_s"] += at
        table["stop_s"] += at
    trials = {key: np.concatenate([table[key] for _, table in runs]) for key in runs[0][1]}
    eeg = Signal(
        np.concatenate([time_s + at for at in offsets]),
        np.concatenate([values for values, _ in runs]),
        "uV",
        CHANNELS_64,
        places,
    )
    return Recording(
        [],
        np.stack([offsets, offsets + length_s], axis=1),
        {"eeg": eeg},
        trials,
        name=f"S{cfg.subject:03d} {cfg.task}, simulated",
        simulated=True,
    )


class _Head:
    """What a person's sources look like on the scalp: weights ``(n_sources, 64)`` of each kind."""

    def __init__(self, places: NDArray, person: np.random.Generator):
        self.strength = person.uniform(0.8, 1.2)

        def weights(centres: NDArray, spread: float) -> NDArray:
            centres = centres + spread * person.standard_normal(centres.shape)
            centres /= np.linalg.norm(centres, axis=1, keepdims=True)
            return np.exp(8 * (centres @ places.T - 1)).astype(np.float32)  # half at 24 degrees

        at = dict(zip(CHANNELS_64, places, strict=True))
        self.areas = {area: weights(np.tile(at[name], (3, 1)), 0.12) for area, name in AREAS.items()}
        self.back = weights(np.stack([at[name] for name in ("O1", "O2", "Oz", "POz", "P3", "P4")]), 0.1)
        self.other = weights(places[::2], 0.2)


def _run(
    cfg: MotorImageryConfig, number: int, head: _Head, rng: np.random.Generator
) -> tuple[NDArray, dict[str, NDArray]]:
    """EEG ``(sample, 64)`` and trial table of one run."""
    meaning = RUNS[number].labels
    tasks = rng.permutation(np.resize(rng.permutation(["T1", "T2"]), N_TASKS))
    codes = np.stack([np.full(N_TASKS, "T0"), tasks], axis=1).ravel()
    durations = np.tile([REST_S, TASK_S], N_TASKS)
    start_s = np.cumsum(durations) - durations
    labels = np.array([meaning[code] for code in codes])
    n = round(durations.sum() * RATE_HZ)
    time_s = np.arange(n) / RATE_HZ
    trial_at = np.searchsorted(start_s, time_s - 0.4, side="right") - 1  # it takes 0.4 s to begin, and to end
    vigour = rng.gamma(4.0, 0.25, len(codes))  # trials differ
    values = 2.0 * rng.standard_normal((n, len(CHANNELS_64)), dtype=np.float32)
    values += 20 * pink_noise(n, len(head.other), RATE_HZ, 1.5, rng) @ head.other
    values += 12 * band_noise(n, len(head.back), RATE_HZ, ALPHA_HZ, rng) @ head.back
    for area, weights in head.areas.items():
        share = np.array([QUIET[label].get(area, 0.0) for label in labels])
        quiet = (share * vigour)[np.maximum(trial_at, 0)] * (trial_at >= 0)
        amplitude = np.exp(-cfg.effect * head.strength * gaussian_filter1d(quiet, 0.15 * RATE_HZ))
        rhythms = 7 * band_noise(n, 3, RATE_HZ, MU_HZ, rng) + 3 * band_noise(n, 3, RATE_HZ, BETA_HZ, rng)
        values += (amplitude[:, None].astype(np.float32) * rhythms) @ weights
    table = {
        "start_s": start_s,
        "stop_s": start_s + durations,
        "label": labels,
        "code": codes,
        "task": np.full(len(codes), cfg.task),
        "run": np.full(len(codes), number),
        "subject": np.full(len(codes), cfg.subject),
    }
    return values, table
