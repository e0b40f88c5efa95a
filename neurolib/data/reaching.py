"""A simulated monkey that reaches: a config in, a :class:`~neurolib.data.recording.Recording` out.

Three presets stand in for recorded data where none can be had: delayed maze reaches
(``MC_MAZE_SMALL``) and reaches to random targets with units that accompany the hand
(``S1_RANDOM_TARGET``) or lead it (``M1_RANDOM_TARGET``). What the units do is in
:mod:`neurolib.data.population`.

The presets match the recordings in rates, hand movement, lag and in how well a linear decoder reads
the hand. They do not match in everything: recorded units share more variance (mean correlation
of counts 0.01-0.02, here 0.00), busy M1 units fire more regularly, and the maze units are burstier.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurolib.data.population import STEP_S, Drive, Movement, PopulationConfig, draw_units, spike_trains
from neurolib.data.recording import Recording, Signal
from neurolib.data.trials import Trials


@dataclass(frozen=True)
class ReachingConfig:
    """A session of reaching; lengths are in ``unit``, velocities in ``unit`` per second.

    Ranges ``(low, high)`` are uniform. ``seed`` draws the session (targets, units, noise); the
    mazes of ``task="maze"`` are the same for every seed, so sessions share their conditions.

    Raises
    ------
    ValueError
        If the task is unknown, there is no trial, or no target could ever be reached.

    Examples
    --------
    >>> replace(S1_RANDOM_TARGET, n_trials=20, seed=3).population.n_units
    52
    """

    task: str  # "maze" or "random_target"
    name: str
    unit: str  # "mm" or "cm"
    population: PopulationConfig
    n_trials: int
    reach_s: tuple[float, float]  # duration of a reach over reach_distance
    reach_distance: float  # durations grow with the square root of distance over this one
    endpoint_sd: float  # of a reach about its target
    tremor_sd: float  # postural velocity noise
    centre: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    drift: float = 0.0  # see population.spike_trains
    drop_silent_units: bool = False

    # task="random_target": one reach after the other inside a square, each a train of submovements
    workspace: float = 0.0  # side of the square
    step: tuple[float, float] = (0.0, 0.0)  # nearest and farthest next target
    share: tuple[float, float] = (1.0, 0.0)  # of the way left that a submovement covers: mean and SD
    misdirection: float = 0.0  # SD of its end sideways and lengthways, as a share of the way left
    submovement_gap: float = 1.0  # from one onset to the next, in durations; below 1 they overlap
    pause_s: tuple[float, float] = (0.0, 0.0)  # between reaches
    trial_s: tuple[float, float] = (0.0, 0.0)  # duration of a trial: median, log-SD
    gap_s: tuple[float, float] = (0.0, 0.0)  # between trials; the hand moves on

    # task="maze": hold, target, delay, go, reach, hold, return
    distance: tuple[float, float] = (0.0, 0.0)
    curve: tuple[float, float] = (0.0, 0.0)  # sideways deviation as a share of the distance
    hold_s: tuple[float, float] = (0.0, 0.0)
    delay_s: tuple[float, float] = (0.0, 0.0)
    reaction_s: tuple[float, float] = (0.0, 0.0)  # mean and SD
    target_hold_s: tuple[float, float] = (0.0, 0.0)
    return_s: tuple[float, float] = (0.0, 0.0)
    rest_s: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        if self.task not in TASKS:
            raise ValueError(f"task={self.task!r} must be one of {sorted(TASKS)}")
        if self.n_trials < 1:
            raise ValueError(f"n_trials={self.n_trials}; a session needs a trial")
        if self.drift < 0:
            raise ValueError(f"drift={self.drift} must not be negative; 0 is a stable recording")
        if not self.endpoint_sd > 0:
            raise ValueError(f"endpoint_sd={self.endpoint_sd} must be positive; no reach is exact")
        nearest, farthest = self.step
        if self.task == "random_target" and not 0 <= nearest < min(farthest, self.workspace / 2):
            raise ValueError(
                f"step={self.step} leaves no room for a next target in a workspace of {self.workspace} {self.unit}"
            )


def simulate(cfg: ReachingConfig) -> Recording:
    """Simulate one session.

    Parameters
    ----------
    cfg : ReachingConfig

    Returns
    -------
    Recording
        Signals ``hand_pos`` and ``hand_vel`` every 5 ms; a trial table with ``start_s``, ``stop_s``
        and, for the maze, ``target_on_s``, ``go_s``, ``move_onset_s`` and ``condition``; a unit table
        with the truth: ``preferred_direction_rad``, ``lead_s``, ``base_rate_hz`` and gains.
        The same config gives the same session.

    Examples
    --------
    >>> simulate(replace(S1_RANDOM_TARGET, n_trials=3)).n_trials
    3
    """
    task_seed, hand_seed, unit_seed, noise_seed, spike_seed = np.random.SeedSequence(cfg.seed).spawn(5)
    movements, trials, duration_s = TASKS[cfg.task](cfg, np.random.default_rng(task_seed))
    n = int(np.ceil(duration_s / STEP_S))
    position = np.array(cfg.centre) + hand_path(movements, n)
    position += _tremor(cfg.tremor_sd, n, np.random.default_rng(hand_seed))
    velocity = np.gradient(position, STEP_S, axis=0)
    units = draw_units(cfg.population, np.random.default_rng(unit_seed))
    drive = Drive(
        cfg.population,
        position - np.array(cfg.centre),
        velocity,
        movements,
        np.random.default_rng(noise_seed),
    )
    trains = spike_trains(drive, units, cfg.drift, spike_seed)
    if cfg.drop_silent_units:
        firing = [unit for unit, times in enumerate(trains) if len(times)]
        trains = [trains[unit] for unit in firing]
        units = {key: column[firing] for key, column in units.items()}
    time_s = (np.arange(n) + 0.5) * STEP_S
    return Recording(
        spike_times_s=trains,
        observed_s=np.array([[0.0, n * STEP_S]]),
        signals={
            "hand_pos": Signal(time_s, position, cfg.unit, ("x", "y")),
            "hand_vel": Signal(time_s, velocity, f"{cfg.unit}/s", ("x", "y")),
        },
        trials=trials,
        units=units,
        name=cfg.name,
        simulated=True,
    )


def simulate_trials(cfg: ReachingConfig, bin_size_s: float = 0.05) -> Trials:
    """Simulate one session and bin it, trial by trial, with hand position and velocity as behaviour.

    Parameters
    ----------
    cfg : ReachingConfig
    bin_size_s : float

    Returns
    -------
    Trials
        Behaviour columns ``position x``, ``position y``, ``velocity x``, ``velocity y``.

    Examples
    --------
    >>> simulate_trials(replace(S1_RANDOM_TARGET, n_trials=3)).output_unit
    'cm, cm/s'
    """
    recording = simulate(cfg)
    position = recording.bin(bin_size_s, "hand_pos", trials=True)
    velocity = recording.bin(bin_size_s, "hand_vel", trials=True)
    return replace(
        position,
        behaviour=np.concatenate([position.behaviour, velocity.behaviour], axis=1),
        outputs=("position x", "position y", "velocity x", "velocity y"),
        output_unit=f"{position.output_unit}, {velocity.output_unit}",
    )


def hand_path(movements: list[Movement], n: int) -> NDArray:
    """Sum of minimum-jerk movements that start from the origin, shape ``(n, 2)``.

    References
    ----------
    .. [1] Flash & Hogan (1985), "The coordination of arm movements", J Neurosci 5:1688-1703.

    Examples
    --------
    >>> move = Movement(cue_s=0.0, onset_s=0.1, duration_s=0.2, shift=np.array([8.0, 0.0]))
    >>> hand_path([move], 100)[[0, 40, 99], 0]
    array([0., 4., 8.])
    """
    path, done = np.zeros((n, 2)), np.zeros((n, 2))
    for move in movements:
        first, stop = (
            min(n, int(np.ceil(at / STEP_S))) for at in (move.onset_s, move.onset_s + move.duration_s)
        )
        u = (np.arange(first, stop) * STEP_S - move.onset_s) / move.duration_s
        s = (10 * u**3 - 15 * u**4 + 6 * u**5)[:, None]
        sideways = move.curve * np.array([-move.shift[1], move.shift[0]])
        path[first:stop] += s * move.shift + np.sin(np.pi * s) * sideways
        done[stop : stop + 1] += move.shift
    return path + np.cumsum(done, axis=0)


def _tremor(velocity_sd: float, n: int, rng: np.random.Generator, smooth_s: float = 0.08) -> NDArray:
    """Smoothed white noise in position, scaled to this SD of velocity, shape ``(n, 2)``."""
    width = smooth_s / STEP_S
    noise = gaussian_filter1d(rng.standard_normal((n, 2)), width, axis=0) * np.sqrt(
        2 * np.sqrt(np.pi) * width
    )
    return noise * velocity_sd * np.sqrt(2) * smooth_s


def _random_target(cfg: ReachingConfig, rng: np.random.Generator):
    """Movements, trial table and duration of a session of reaches to random targets."""
    median_s, log_sd = cfg.trial_s
    length_s = np.clip(median_s * np.exp(log_sd * rng.standard_normal(cfg.n_trials)), 0.5, 9 * median_s)
    stop_s = np.cumsum(length_s + rng.uniform(*cfg.gap_s, cfg.n_trials))
    movements, at, hand, target = [], 0.2, np.zeros(2), np.zeros(2)
    while at < stop_s[-1]:
        target = _next_target(cfg, target, rng)
        wanted = target + cfg.endpoint_sd * rng.standard_normal(2)
        onset_s = at
        while (left := np.linalg.norm(wanted - hand)) > 2 * cfg.endpoint_sd:
            shift = np.clip(rng.normal(*cfg.share), 0.2, 1.2) * (wanted - hand)
            shift += cfg.misdirection * left * rng.standard_normal(2)
            duration_s = _duration(cfg, shift, rng)
            movements.append(Movement(at, onset_s, duration_s, shift))
            hand = hand + shift
            onset_s += cfg.submovement_gap * duration_s
        at = onset_s + rng.uniform(*cfg.pause_s)
    return movements, {"start_s": stop_s - length_s, "stop_s": stop_s}, stop_s[-1]


def _maze(cfg: ReachingConfig, rng: np.random.Generator):
    """Movements, trial table and duration of a session of delayed reaches through mazes."""
    conditions = maze_conditions(cfg)
    blocks = [rng.permutation(len(conditions)) for _ in range(cfg.n_trials // len(conditions) + 1)]
    order = np.concatenate(blocks)[: cfg.n_trials]
    rows, movements, at, hand = [], [], 0.0, np.zeros(2)
    for condition in order:
        angle, distance, curve = conditions[condition]
        target_on_s = at + rng.uniform(*cfg.hold_s)
        go_s = target_on_s + rng.uniform(*cfg.delay_s)
        onset_s = go_s + max(0.18, rng.normal(*cfg.reaction_s))
        rows.append((at, target_on_s, go_s, onset_s))
        target = distance * (1 + 0.05 * rng.standard_normal()) * np.array([np.cos(angle), np.sin(angle)])
        shift = target + cfg.endpoint_sd * rng.standard_normal(2) - hand
        # the way round a barrier is longer
        duration_s = _duration(cfg, shift, rng) * (1.2 if curve else 1.0)
        bend = curve * (1 + 0.15 * rng.standard_normal()) + 0.03 * rng.standard_normal()
        movements.append(Movement(target_on_s, onset_s, duration_s, shift, bend))
        back_s = onset_s + duration_s + rng.uniform(*cfg.target_hold_s)
        back = cfg.endpoint_sd * rng.standard_normal(2) - hand - shift
        duration_s = rng.uniform(*cfg.return_s)
        movements.append(Movement(back_s - 0.25, back_s, duration_s, back, 0.1 * rng.standard_normal()))
        hand = hand + shift + back
        at = back_s + duration_s + rng.uniform(*cfg.rest_s)
    start_s, target_on_s, go_s, onset_s = np.array(rows).T
    trials = {
        "start_s": start_s,
        "stop_s": np.append(start_s[1:], at),
        "target_on_s": target_on_s,
        "go_s": go_s,
        "move_onset_s": onset_s,
        "condition": order,
    }
    return movements, trials, at


def _next_target(cfg: ReachingConfig, target: NDArray, rng: np.random.Generator) -> NDArray:
    """Target in the square around the origin, neither too near nor too far from the last one."""
    while True:
        proposed = rng.uniform(-cfg.workspace / 2, cfg.workspace / 2, 2)
        if cfg.step[0] <= np.linalg.norm(proposed - target) <= cfg.step[1]:
            return proposed


def maze_conditions(cfg: ReachingConfig, n_mazes: int = 9) -> NDArray:
    """Angle (rad), distance and curve of every condition, shape ``(3 * n_mazes, 3)``; no seed changes them.

    Each maze has three versions: no barrier, a barrier, and a barrier with another target.

    Examples
    --------
    >>> maze_conditions(MC_MAZE_SMALL).shape
    (27, 3)
    """
    rng = np.random.default_rng(1234)
    angle = 2 * np.pi * np.arange(n_mazes) / n_mazes + rng.uniform(-0.25, 0.25, n_mazes)
    other = angle + rng.choice([-1, 1], n_mazes) * rng.uniform(0.5, 1.6, n_mazes)
    distance = rng.uniform(*cfg.distance, n_mazes)
    curve = rng.uniform(*cfg.curve, n_mazes) * rng.choice([-1, 1], n_mazes)
    versions = [(angle, distance, 0 * curve), (angle, distance, curve), (other, 0.9 * distance, -0.7 * curve)]
    return np.stack([np.stack(version, axis=1) for version in versions], axis=1).reshape(-1, 3)


def _duration(cfg: ReachingConfig, shift: NDArray, rng: np.random.Generator) -> float:
    """Longer reaches take longer, in proportion to the square root of their distance."""
    typical = rng.uniform(*cfg.reach_s) * np.sqrt(np.linalg.norm(shift) / cfg.reach_distance)
    return max(0.12, typical * (1 + 0.08 * rng.standard_normal()))


TASKS = {"maze": _maze, "random_target": _random_target}

MC_MAZE_SMALL = ReachingConfig(
    task="maze",
    name="MC_Maze_Small, simulated",
    unit="mm",
    n_trials=100,
    reach_s=(0.27, 0.40),
    reach_distance=110.0,
    endpoint_sd=4.0,
    tremor_sd=3.0,
    distance=(105.0, 150.0),
    curve=(0.18, 0.42),
    hold_s=(0.37, 0.74),
    delay_s=(0.05, 0.90),
    reaction_s=(0.30, 0.045),
    target_hold_s=(0.40, 0.62),
    return_s=(0.36, 0.52),
    rest_s=(0.08, 0.25),
    population=PopulationConfig(
        n_units=142,
        mean_rate_hz=3.3,
        rate_shape=1.0,
        rate_range_hz=(0.15, 120.0),
        lead_s=(0.12, 0.02),
        velocity_scale=300.0,
        velocity_gain=0.75,
        speed_gain=0.2,
        position_scale=100.0,
        position_gain=0.18,
        posture_rotation_rad=0.4,
        noise_sd=130.0,
        noise_tau_s=0.18,
        shared_gain=0.3,
        slow_gain=0.12,
        regularity=(1.0, 0.2),
        plan_gain=0.45,
        rotation_gain=0.3,
        trigger_gain=0.4,
    ),
)

S1_RANDOM_TARGET = ReachingConfig(
    task="random_target",
    name="S1 random target, simulated",
    unit="cm",
    n_trials=390,
    reach_s=(0.35, 1.35),
    reach_distance=8.0,
    endpoint_sd=0.5,
    tremor_sd=1.8,
    centre=(-0.4, -32.1),
    workspace=17.0,
    step=(2.0, 11.5),
    share=(0.93, 0.23),
    misdirection=0.21,
    submovement_gap=0.83,
    pause_s=(0.38, 0.57),
    trial_s=(3.05, 0.9),
    gap_s=(0.5, 1.5),
    population=PopulationConfig(
        n_units=52,
        mean_rate_hz=9.23,
        rate_shape=1.0,
        rate_range_hz=(0.1, 250.0),
        lead_s=(0.025, 0.05),
        velocity_scale=10.0,
        velocity_gain=0.57,
        speed_gain=0.2,
        position_scale=4.6,
        position_gain=0.19,
        posture_rotation_rad=0.2,
        noise_sd=1.9,
        noise_tau_s=0.18,
        shared_gain=0.2,
        slow_gain=0.12,
        regularity=(0.85, 0.6),
    ),
)

M1_RANDOM_TARGET = replace(
    S1_RANDOM_TARGET,
    name="M1 random target, simulated",
    n_trials=170,
    reach_s=(0.335, 1.65),
    tremor_sd=0.9,
    workspace=15.5,
    step=(2.0, 14.5),
    share=(0.84, 0.31),
    submovement_gap=0.88,
    pause_s=(0.37, 0.88),
    centre=(-1.4, -30.2),
    gap_s=(0.0, 0.0),
    population=replace(
        S1_RANDOM_TARGET.population,
        n_units=171,
        mean_rate_hz=17.7,
        rate_shape=0.55,
        rate_range_hz=(0.2, 400.0),
        lead_s=(0.125, 0.05),
        velocity_gain=0.4,
        position_gain=0.11,
        noise_sd=2.3,
        regularity=(1.2, 0.5),
    ),
)
