"""A simulated monkey that reaches: a config in, a :class:`~neurolib.data.recording.Recording` out.

Four presets stand in for recorded data where none can be had: delayed maze reaches
(``MC_MAZE_SMALL``), reaches from a centre with units that follow the hand (``AREA2_BUMP``), and
reaches to random targets with units that accompany the hand (``S1_RANDOM_TARGET``) or lead it
(``M1_RANDOM_TARGET``). What the hand does is in :mod:`neurolib.data.movement`, what the units do in
:mod:`neurolib.data.population`.

The presets match the recordings in rates, hand movement, lag and in how well a linear decoder reads
the hand. They do not match in everything: recorded units share more variance (mean correlation
of counts 0.01-0.02, here 0.00), busy M1 units fire more regularly, and the maze units are burstier.
``AREA2_BUMP`` was made without the recording, from what is published of it: numbers of units and trials,
mean rate and how well velocity is read; reach and bump distances and the depth of tuning are guesses,
and no reach follows a bump.
"""

from dataclasses import dataclass, replace

import numpy as np

from neurolib.data.movement import centre_out, hand_path, maze, random_target, tremor
from neurolib.data.population import STEP_S, Drive, PopulationConfig, draw_units, spike_trains
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

    task: str  # "maze", "centre_out" or "random_target"
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

    # task="maze": hold, target, delay, go, reach, hold, return; "centre_out" without the delay
    distance: tuple[float, float] = (0.0, 0.0)
    curve: tuple[float, float] = (0.0, 0.0)  # sideways deviation as a share of the distance
    hold_s: tuple[float, float] = (0.0, 0.0)
    delay_s: tuple[float, float] = (0.0, 0.0)
    reaction_s: tuple[float, float] = (0.0, 0.0)  # mean and SD
    target_hold_s: tuple[float, float] = (0.0, 0.0)
    return_s: tuple[float, float] = (0.0, 0.0)
    rest_s: tuple[float, float] = (0.0, 0.0)

    # task="centre_out"
    bump_share: float = 0.0  # of the trials: the hand is pushed during the hold and there is no reach
    bump: tuple[float, float] = (0.0, 0.0)  # distance and duration of the push

    def __post_init__(self):
        if self.task not in TASKS:
            raise ValueError(f"task={self.task!r} must be one of {sorted(TASKS)}")
        if self.n_trials < 1:
            raise ValueError(f"n_trials={self.n_trials}; a session needs a trial")
        if self.drift < 0:
            raise ValueError(f"drift={self.drift} must not be negative; 0 is a stable recording")
        if not self.endpoint_sd > 0:
            raise ValueError(f"endpoint_sd={self.endpoint_sd} must be positive; no reach is exact")
        if not 0 <= self.bump_share <= 1:
            raise ValueError(f"bump_share={self.bump_share} is a share of the trials, from 0 to 1")
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
        and, for the maze, ``target_on_s``, ``go_s``, ``move_onset_s`` and ``condition``, for
        ``centre_out`` ``go_s``, ``move_onset_s`` (or onset of the bump), ``cond_dir`` in degrees,
        ``ctr_hold_bump`` and ``split``, named as in the benchmark's file; a unit table
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
    position += tremor(cfg.tremor_sd, n, np.random.default_rng(hand_seed))
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


TASKS = {"maze": maze, "centre_out": centre_out, "random_target": random_target}

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

MC_MAZE = replace(  # a fifth of the trials of the recording, or simulating it would take minutes
    MC_MAZE_SMALL,
    name="MC_Maze, simulated",
    n_trials=500,
    seed=1,
    population=replace(MC_MAZE_SMALL.population, n_units=182, mean_rate_hz=2.9),
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

MC_RTT = replace(
    M1_RANDOM_TARGET,
    name="MC_RTT, simulated",
    n_trials=140,
    seed=1,
    population=replace(M1_RANDOM_TARGET.population, n_units=130, mean_rate_hz=8.0),
)

AREA2_BUMP = ReachingConfig(
    task="centre_out",
    name="Area2_Bump, simulated",
    unit="cm",
    n_trials=364,
    bump_share=0.47,
    bump=(4.5, 0.18),
    reach_s=(0.36, 0.52),
    reach_distance=10.0,
    endpoint_sd=0.7,
    tremor_sd=1.0,
    distance=(10.0, 10.0),
    hold_s=(0.4, 0.9),
    reaction_s=(0.25, 0.04),
    target_hold_s=(0.4, 0.6),
    return_s=(0.4, 0.6),
    rest_s=(0.1, 0.4),
    population=PopulationConfig(
        n_units=65,
        mean_rate_hz=7.9,
        rate_shape=1.0,
        rate_range_hz=(0.3, 150.0),
        lead_s=(-0.025, 0.01),
        velocity_scale=20.0,
        velocity_gain=0.8,
        speed_gain=0.2,
        position_scale=10.0,
        position_gain=0.5,
        posture_rotation_rad=0.2,
        noise_sd=8.5,
        noise_tau_s=0.18,
        shared_gain=0.15,
        slow_gain=0.12,
        regularity=(1.5, 0.3),
    ),
)
