"""The twin of :mod:`neurolib.data.myo`: a config in, simulated armband EMG out, one Recording per session.

Sessions, clock, columns and unit are those of the loader, and so are amplitudes and how hard gestures are to tell
apart across sessions, by eye. Muscles and how electrodes see them are invented.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from neurolib.data import myo
from neurolib.data.physiology import band_noise
from neurolib.data.recording import Recording, Signal


@dataclass(frozen=True)
class ArmbandConfig:
    """Sessions of one participant, who puts the armband on anew each time.

    Examples
    --------
    >>> one, two = simulate(ArmbandConfig(n_sessions=2, repeats=2))
    >>> one.signals["emg"].values.shape, one.n_trials
    ((32000, 8), 29)
    """

    n_sessions: int = 3
    participant: int = 0
    repeats: int = 6  # of each gesture, 5 s of rest before each
    rotation_deg: float = 15.0  # SD over sessions of how far the armband is turned; electrodes are 45 apart
    seed: int = 0

    def __post_init__(self):
        for name in ("n_sessions", "repeats"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("participant", "rotation_deg", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")


def simulate(cfg: ArmbandConfig = ArmbandConfig()) -> list[Recording]:
    """Eight gestures by armband EMG, one recording per session, as :func:`neurolib.data.myo.load_session` gives it.

    Each gesture is a strength of muscles around the forearm, of which electrodes see the nearest. The trial
    table has ``label``, the name of the gesture, besides the loader's columns.
    """
    person = np.random.default_rng([cfg.seed, cfg.participant])
    n_muscles, n_gestures = 12, len(myo.GESTURES)
    strength = person.gamma(0.6, 30.0, (n_gestures, n_muscles))
    strength[0] = 3.0
    places = 2 * np.pi * np.arange(n_muscles) / n_muscles
    recordings = []
    for session in range(1, cfg.n_sessions + 1):
        rng = np.random.default_rng([cfg.seed, cfg.participant, session])
        turn = np.radians(cfg.rotation_deg) * rng.standard_normal()
        electrodes = 2 * np.pi * np.arange(myo.N_CHANNELS) / myo.N_CHANNELS + turn
        seen = np.exp(5 * (np.cos(places[:, None] - electrodes) - 1))  # muscle by electrode
        drift = np.exp(0.4 * rng.standard_normal((n_gestures, n_muscles)))  # nobody repeats a gesture exactly
        times, emg, observed, rows, start_s = [], [], [], [], 0.0
        for gesture in range(n_gestures):
            held = np.tile([0, gesture], cfg.repeats) if gesture else np.zeros(1, int)
            length = round(5 * myo.RATE_HZ) * (1 if gesture else 2 * cfg.repeats)
            effort = np.exp(0.3 * rng.standard_normal((len(held), n_muscles)))
            pull = np.repeat((strength * drift)[held] * effort, length, axis=0)
            pull = lfilter([0.02], [1, -0.98], pull, axis=0, zi=0.98 * pull[:1])[
                0
            ]  # over a quarter of a second
            source = band_noise(len(pull), n_muscles, myo.RATE_HZ, (15.0, 95.0), rng)
            values = (pull * source) @ seen + 2 * rng.standard_normal((len(pull), myo.N_CHANNELS))
            edges = start_s + np.arange(len(held) + 1) * length / myo.RATE_HZ
            rows += [(*edge, h, gesture) for *edge, h in zip(edges[:-1], edges[1:], held, strict=True)]
            times.append(start_s + np.arange(len(pull)) / myo.RATE_HZ)
            emg.append(np.clip(np.round(values), -128, 127).astype(np.int8))
            observed.append((edges[0], edges[-1]))
            start_s = np.ceil(edges[-1]) + myo.BREAK_S
        start, stop, held, in_file = (np.array(column) for column in zip(*rows, strict=True))
        names = np.array(myo.GESTURES)[held]
        recordings.append(
            Recording(
                [],
                observed,
                {"emg": Signal(np.concatenate(times), np.vstack(emg), "converter steps, -128 to 127")},
                {
                    "start_s": start,
                    "stop_s": stop,
                    "label": names,
                    "gesture": held,
                    "gesture_name": names,
                    "file_gesture": in_file,
                    "participant": np.full(len(rows), f"{cfg.participant}"),
                    "session": np.full(len(rows), session),
                },
                name=f"armband EMG {cfg.participant}-{session}, simulated",
                simulated=True,
            )
        )
    return recordings
