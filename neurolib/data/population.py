"""Simulated spiking units driven by a moving hand: hand trajectory in, spike times out.

Every unit has a preferred direction, a preferred posture and a lead over the hand; in a task with
a delay it also follows movement preparation. Spikes are a gamma renewal process in rescaled time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter
from scipy.special import gammaincinv

STEP_S = 0.005  # sampling interval of the hand and of the firing rates

N_SHARED = 4  # fluctuations common to the population and unrelated to the task


class Movement(NamedTuple):
    """One reach: when its target appeared, when the hand left, for how long, where to."""

    cue_s: float
    onset_s: float
    duration_s: float
    shift: NDArray  # end minus start, (x, y)
    curve: float = 0.0  # sideways deviation at half way, as a share of the distance


@dataclass(frozen=True)
class PopulationConfig:
    """What the units encode and how noisily; gains are changes of log-rate.

    Lengths are in the unit of the hand (mm or cm), velocities in that unit per second.
    """

    n_units: int
    mean_rate_hz: float  # averaged over units
    rate_shape: float  # mean rates are gamma-distributed over units with this shape; 1 is exponential
    rate_range_hz: tuple[float, float]  # floor of a unit's mean rate, ceiling of its momentary rate
    lead_s: tuple[float, float]  # mean and SD over units; positive: spikes come before the movement
    velocity_scale: float  # velocity along the preferred direction that raises the log-rate by one gain
    velocity_gain: float
    speed_gain: float  # SD over units; sign differs between units
    position_scale: float
    position_gain: float
    posture_rotation_rad: float  # SD over units of the turn of preferred direction per position_scale
    noise_sd: float  # velocity noise shared by all units: the one knob for decoding difficulty
    noise_tau_s: float
    shared_gain: float  # private mixture of N_SHARED common fluctuations
    slow_gain: float  # wandering of each unit's log-rate over 40 s
    regularity: tuple[
        float, float
    ]  # gamma shape of inter-spike intervals: median over units, log-SD; 1 is Poisson
    plan_gain: float = 0.0  # preparation, held from cue to onset
    rotation_gain: float = 0.0  # damped rotations set off by the movement, as in Churchland et al. 2012
    trigger_gain: float = 0.0  # pulse before every movement whatever its direction


def draw_units(cfg: PopulationConfig, rng: np.random.Generator) -> dict[str, NDArray]:
    """Draw the tuning of every unit: columns of shape ``(n_units,)`` or ``(n_units, k)``.

    Mean rates are evenly spaced quantiles and directions go evenly round the circle, so that
    populations of one config differ in which unit does what and hardly in what can be decoded.

    Examples
    --------
    >>> from neurolib.data.reaching import S1_RANDOM_TARGET
    >>> units = draw_units(S1_RANDOM_TARGET.population, np.random.default_rng(0))
    >>> round(float(units["base_rate_hz"].mean()), 1)
    9.2
    """
    n = cfg.n_units
    rank = rng.permutation(n)
    rate = gammaincinv(cfg.rate_shape, (rank + 0.5) / n) * cfg.mean_rate_hz / cfg.rate_shape
    # Irrational steps along the rank spread directions evenly among busy units and among quiet ones.
    direction = (
        2 * np.pi * rank * (np.sqrt(5) - 1) / 2 + rng.uniform(0, 2 * np.pi) + 0.3 * rng.standard_normal(n)
    )
    posture = 2 * np.pi * rank * np.sqrt(2) + rng.uniform(0, 2 * np.pi) + 0.3 * rng.standard_normal(n)
    position_gain = cfg.position_gain * rng.gamma(4.0, 0.25, n)
    plan = rng.standard_normal((n, 6)) * cfg.plan_gain / np.sqrt(3)
    # Preparation and movement share part of their tuning: a decoder must tell plan from execution.
    near = direction + 0.5 * rng.standard_normal(n)
    aligned = 1.2 * cfg.plan_gain * np.stack([np.cos(near), np.sin(near)], axis=1)
    plan[:, :2] = 0.4 * plan[:, :2] + 0.6 * aligned
    return {
        "base_rate_hz": np.maximum(rate, cfg.rate_range_hz[0]),
        "preferred_direction_rad": np.angle(np.exp(1j * direction)),
        "lead_s": rng.normal(*cfg.lead_s, n),
        "velocity_gain": cfg.velocity_gain * rng.gamma(4.0, 0.25, n),
        "speed_gain": cfg.speed_gain * rng.standard_normal(n),
        "position_gain": position_gain[:, None] * np.stack([np.cos(posture), np.sin(posture)], axis=1),
        "posture_rotation_rad": cfg.posture_rotation_rad * rng.standard_normal((n, 2)),
        "interval_shape": cfg.regularity[0] * np.exp(cfg.regularity[1] * rng.standard_normal(n)),
        "shared_weight": rng.standard_normal((n, N_SHARED)) * cfg.shared_gain / np.sqrt(N_SHARED),
        "plan_weight": np.concatenate(
            [
                plan,
                rng.standard_normal((n, 6)) * cfg.rotation_gain / np.sqrt(6),
                cfg.trigger_gain * (0.5 + 0.8 * rng.standard_normal((n, 1))),
            ],
            axis=1,
        ),
    }


class Drive:
    """Everything the units listen to, sampled every ``STEP_S``; shared noise is drawn once, here.

    Parameters
    ----------
    cfg : PopulationConfig
    position, velocity : array, shape (n_samples, 2)
    movements : list of Movement
    rng : numpy.random.Generator
    """

    def __init__(self, cfg, position, velocity, movements, rng):
        self.cfg, self.n = cfg, len(position)
        self.pad = round((abs(cfg.lead_s[0]) + 5 * cfg.lead_s[1]) / STEP_S)
        speed = np.linalg.norm(velocity, axis=1) / cfg.velocity_scale
        # Noise in what is encoded, unlike noise in spikes, does not average out over units.
        noise = cfg.noise_sd * _fluctuation(self.n, cfg.noise_tau_s, 2, rng)
        noise *= (0.35 + uniform_filter1d(np.minimum(speed, 1.5), round(0.2 / STEP_S)))[:, None]
        ends = ((0, 0), (self.pad, self.pad))
        self.position = np.pad(position.T / cfg.position_scale, ends, "edge")
        self.velocity = np.pad((velocity + noise).T / cfg.velocity_scale, ends, "edge")
        self.speed = np.pad(speed, self.pad, "edge")
        self.shared = _fluctuation(self.n, 0.6, N_SHARED, rng).T
        planned = cfg.plan_gain or cfg.rotation_gain or cfg.trigger_gain
        self.plan = _plan_signals(movements, self.n).T if planned else None

    def rate_hz(self, units: dict[str, NDArray], unit: int, rng: np.random.Generator) -> NDArray:
        """Firing rate of one unit over the session, shape ``(n_samples,)``."""
        unit_of = {key: column[unit] for key, column in units.items()}
        lead = int(np.clip(round(unit_of["lead_s"] / STEP_S), -self.pad, self.pad))
        at = slice(self.pad + lead, self.pad + lead + self.n)
        position, velocity = self.position[:, at], self.velocity[:, at]
        direction = unit_of["preferred_direction_rad"] + unit_of["posture_rotation_rad"] @ position
        along = velocity[0] * np.cos(direction) + velocity[1] * np.sin(direction)
        log_rate = unit_of["velocity_gain"] * 1.5 * np.tanh(along / 1.5)
        log_rate += unit_of["speed_gain"] * self.speed[at]
        log_rate += unit_of["position_gain"] @ position + unit_of["shared_weight"] @ self.shared
        if self.plan is not None:
            log_rate += unit_of["plan_weight"] @ self.plan
        slow_s = 2.0
        n_slow = int(self.n * STEP_S / slow_s) + 2
        wander = _fluctuation(n_slow, 40.0, 1, rng, step_s=slow_s)[:, 0]
        log_rate += self.cfg.slow_gain * np.interp(
            np.arange(self.n) * STEP_S, np.arange(n_slow) * slow_s, wander
        )
        rate = np.exp(log_rate)
        return np.minimum(rate * unit_of["base_rate_hz"] / rate.mean(), self.cfg.rate_range_hz[1])


def spike_trains(
    drive: Drive, units: dict[str, NDArray], drift: float, seed: np.random.SeedSequence
) -> list[NDArray]:
    """Spike times in seconds of every unit, one sorted array each.

    Parameters
    ----------
    drive : Drive
    units : dict of array
        From :func:`draw_units`.
    drift : float
        How far the recording changes over the session; 0 is a stable one. Gains walk off by
        ``exp(0.5 * drift * normal)``, a share ``0.15 * drift`` of the units is lost and a
        share ``0.1 * drift`` gives way to other neurons during the second half.
    seed : numpy.random.SeedSequence
        One child per unit, so that no unit's spikes depend on another's.
    """
    *seeds, drift_seed = seed.spawn(len(units["lead_s"]) + 1)
    drift_rng = np.random.default_rng(drift_seed)
    others = draw_units(drive.cfg, drift_rng)
    elapsed = np.linspace(0, 1, drive.n)
    trains = []
    for unit, unit_seed in enumerate(seeds):
        rng = np.random.default_rng(unit_seed)
        rate = drive.rate_hz(units, unit, rng)
        if drift > 0:
            walk, lost, lost_at, replaced = drift_rng.standard_normal(), *drift_rng.random(3)
            if replaced < 0.1 * drift:
                newcomer = np.clip(2 * elapsed - 1, 0, 1)
                rate = (1 - newcomer) * rate + newcomer * drive.rate_hz(others, unit, drift_rng)
            rate = rate * np.exp(0.5 * drift * walk * elapsed)
            if lost < 0.15 * drift:
                rate[elapsed > 0.4 + 0.5 * lost_at] *= 0.05
        trains.append(renewal_times(rate, units["interval_shape"][unit], rng))
    return trains


def renewal_times(rate_hz: NDArray, shape: float, rng: np.random.Generator) -> NDArray:
    """Spike times of a gamma renewal process whose rate follows ``rate_hz``.

    Intervals are gamma-distributed in the time that runs with the rate (time rescaling), so
    that ``shape`` 1 is a Poisson process, above 1 is more regular and below 1 burstier.

    Parameters
    ----------
    rate_hz : array, shape (n_samples,)
        Rate in each interval of ``STEP_S``.
    shape : float
    rng : numpy.random.Generator

    References
    ----------
    .. [1] Barbieri et al. (2001), "Construction and analysis of non-Poisson stimulus-response models
       of neural spiking activity", J Neurosci Methods 105:25-37.

    Examples
    --------
    >>> times = renewal_times(np.full(1000, 100.0), 1e8, np.random.default_rng(0))
    >>> np.diff(times)[:3].round(3)
    array([0.01, 0.01, 0.01])
    """
    expected = np.concatenate([[0.0], np.cumsum(rate_hz) * STEP_S])
    n_draw = int(expected[-1] + 10 * np.sqrt(expected[-1] / min(shape, 1.0)) + 20)
    intervals = rng.gamma(shape, 1 / shape, n_draw)
    intervals[0] *= rng.random()  # the recording starts somewhere within an interval
    arrivals = np.cumsum(intervals)
    return np.interp(arrivals[arrivals < expected[-1]], expected, np.arange(len(expected)) * STEP_S)


def _fluctuation(n: int, tau_s: float, k: int, rng: np.random.Generator, step_s: float = STEP_S) -> NDArray:
    """``k`` Ornstein-Uhlenbeck processes of mean 0 and SD 1, shape ``(n, k)``."""
    keep = np.exp(-step_s / tau_s)
    push = np.sqrt(1 - keep**2) * rng.standard_normal((n, k))
    return lfilter([1.0], [1.0, -keep], push, axis=0, zi=keep * rng.standard_normal((1, k)))[0]


def _plan_signals(movements: list[Movement], n: int) -> NDArray:
    """Preparation (6), rotations (6) and the movement trigger (1) over the session, shape ``(n, 13)``."""
    plan, kick, trigger = np.zeros((n, 6)), np.zeros((n, 6)), np.zeros(n)

    def samples(start_s, stop_s):
        return np.arange(max(0, round(start_s / STEP_S)), min(n, round(stop_s / STEP_S)))

    reach = float(np.mean([np.linalg.norm(move.shift) for move in movements]))
    for move in movements:
        heading = np.arctan2(move.shift[1], move.shift[0]) + np.arctan(np.pi * move.curve)
        distance = np.linalg.norm(move.shift) / reach - 1
        aspects = np.array(
            [
                np.cos(heading),
                np.sin(heading),
                distance,
                2 * move.curve,
                np.cos(2 * heading),
                np.sin(2 * heading),
            ]
        )
        since_cue = samples(move.cue_s + 0.08, move.onset_s)
        if len(since_cue):
            rise = 1 - np.exp(-np.arange(len(since_cue)) * STEP_S / 0.12)
            plan[since_cue] += rise[:, None] * aspects
            after = samples(move.onset_s, move.onset_s + 0.4)
            fall = rise[-1] * np.exp(-np.arange(len(after)) * STEP_S / 0.08)
            plan[after] += fall[:, None] * aspects
        kick[samples(move.onset_s - 0.16, move.onset_s - 0.10)] += aspects
        around = samples(move.onset_s - 0.64, move.onset_s + 0.46)
        late_s = around * STEP_S - (move.onset_s - 0.14)
        trigger[around] += np.exp(-0.5 * (late_s / np.where(late_s < 0, 0.09, 0.20)) ** 2)
    plan *= np.array([1, 1, 0.6, 0.6, 0.5, 0.5]) / (plan.std(axis=0) + 1e-9)
    trigger = (trigger - trigger.mean()) / trigger.std()

    mix = np.random.default_rng(77).standard_normal((6, 6)) / np.sqrt(6)  # the same dynamics in every session
    planes = (kick @ mix.T).reshape(n, 3, 2) @ np.array([1, 1j])
    for plane, frequency_hz in zip(planes.T, (1.4, 1.9, 2.5), strict=True):
        plane[:] = lfilter([1.0], [1.0, -np.exp((-1 / 0.22 + 2j * np.pi * frequency_hz) * STEP_S)], plane)
    rotation = np.stack([planes.real, planes.imag], axis=2).reshape(n, 6)
    return np.concatenate([plan, rotation / (rotation.std(axis=0) + 1e-9), trigger[:, None]], axis=1)
