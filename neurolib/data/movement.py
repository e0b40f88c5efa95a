"""The hand of the simulated monkey: a config in, movements with a trial table, and their path, out.

Lengths are in the config's ``unit``, times in seconds; paths are ``(time, xy)`` from the origin.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from neurolib.data.population import STEP_S, Movement

if TYPE_CHECKING:
    from neurolib.data.reaching import ReachingConfig


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


def tremor(velocity_sd: float, n: int, rng: np.random.Generator, smooth_s: float = 0.08) -> NDArray:
    """Smoothed white noise in position, scaled to this SD of velocity, shape ``(n, 2)``."""
    width = smooth_s / STEP_S
    noise = gaussian_filter1d(rng.standard_normal((n, 2)), width, axis=0) * np.sqrt(
        2 * np.sqrt(np.pi) * width
    )
    return noise * velocity_sd * np.sqrt(2) * smooth_s


def random_target(
    cfg: "ReachingConfig", rng: np.random.Generator
) -> tuple[list[Movement], dict[str, NDArray], float]:
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


def maze(cfg: "ReachingConfig", rng: np.random.Generator) -> tuple[list[Movement], dict[str, NDArray], float]:
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


def centre_out(
    cfg: "ReachingConfig", rng: np.random.Generator
) -> tuple[list[Movement], dict[str, NDArray], float]:
    """Movements, trial table and duration of a session of reaches from a centre, and bumps at it.

    A trial is either a reach to one of eight targets on a circle and back, or, where
    ``ctr_hold_bump`` says so, a push of the resting hand in one of the same directions and its return.
    Reaches and bumps each go through the directions in shuffled blocks of eight.
    """
    bumped = rng.permutation(np.arange(cfg.n_trials) < round(cfg.bump_share * cfg.n_trials))
    direction = np.empty(cfg.n_trials, int)
    for kind in (~bumped, bumped):
        blocks = [rng.permutation(8) for _ in range(kind.sum() // 8 + 1)]
        direction[kind] = np.concatenate(blocks)[: kind.sum()]
    rows, movements, at, hand = [], [], 0.0, np.zeros(2)
    for eighth, bump in zip(direction, bumped, strict=True):
        towards = np.array([np.cos(eighth * np.pi / 4), np.sin(eighth * np.pi / 4)])
        go_s = at + rng.uniform(*cfg.hold_s)
        if bump:
            distance, duration_s = cfg.bump
            onset_s, held_s, bend = go_s, 0.0, 0.0
            shift = distance * towards * (1 + 0.1 * rng.standard_normal())
        else:
            onset_s = go_s + max(0.18, rng.normal(*cfg.reaction_s))
            shift = rng.uniform(*cfg.distance) * towards + cfg.endpoint_sd * rng.standard_normal(2) - hand
            duration_s = _duration(cfg, shift, rng)
            held_s, bend = rng.uniform(*cfg.target_hold_s), 0.05 * rng.standard_normal()
        rows.append((at, go_s, onset_s))
        movements.append(Movement(go_s, onset_s, duration_s, shift, bend))
        back_s = onset_s + duration_s + held_s
        back = 0.4 * cfg.endpoint_sd * rng.standard_normal(2) - hand - shift
        duration_s = rng.uniform(*cfg.return_s)
        movements.append(Movement(back_s, back_s, duration_s, back))
        hand = hand + shift + back
        at = max(back_s + duration_s, onset_s + 0.8) + rng.uniform(*cfg.rest_s)
    start_s, go_s, onset_s = np.array(rows).T
    trials = {
        "start_s": start_s,
        "stop_s": np.append(start_s[1:], at),
        "go_s": go_s,
        "move_onset_s": onset_s,
        "cond_dir": 45.0 * direction,
        "ctr_hold_bump": bumped,
        "split": np.where(rng.permutation(cfg.n_trials) < round(cfg.n_trials / 4), "valid", "train"),
    }
    return movements, trials, at


def _next_target(cfg: "ReachingConfig", target: NDArray, rng: np.random.Generator) -> NDArray:
    """Target in the square around the origin, neither too near nor too far from the last one."""
    while True:
        proposed = rng.uniform(-cfg.workspace / 2, cfg.workspace / 2, 2)
        if cfg.step[0] <= np.linalg.norm(proposed - target) <= cfg.step[1]:
            return proposed


def maze_conditions(cfg: "ReachingConfig", n_mazes: int = 9) -> NDArray:
    """Angle (rad), distance and curve of every condition, shape ``(3 * n_mazes, 3)``; no seed changes them.

    Each maze has three versions: no barrier, a barrier, and a barrier with another target.

    Examples
    --------
    >>> from neurolib.data.reaching import MC_MAZE_SMALL
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


def _duration(cfg: "ReachingConfig", shift: NDArray, rng: np.random.Generator) -> float:
    """Longer reaches take longer, in proportion to the square root of their distance."""
    typical = rng.uniform(*cfg.reach_s) * np.sqrt(np.linalg.norm(shift) / cfg.reach_distance)
    return max(0.12, typical * (1 + 0.08 * rng.standard_normal()))
