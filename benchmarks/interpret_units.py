"""Claim ``interpret.units_s``: what 32,768 units code, from 10,000 samples of each.

Seconds on the clock of two workers for one call of ``NeuronActivationAnalyzer.survey``, which reads the
activations (float32, a memory-mapped file of 1.3 GB) once, in blocks of units. It comprises, for every unit:
the share of variance between 8 conditions, with 200 permutations of trials, preferred condition, d' and depth on
split halves; held-out R² of four variables (condition, velocity, position, speed; 16 columns) by five folds of
trials, the unique share of each by leaving it out, with 200 shifts or permutations of each variable, and the
kind of unit from it; rates of false findings over all units; and a screening for information by ranks. For the
tenth of units that screens best: information about velocity in bits, per dimension and jointly, from nearest
neighbours among 500 samples; for the 5 best of these again with 200 shifts each.

Units are made by hand, so before the time is told, what was found is held against what was put in. The target
is for two idle cores. ``cpu_s`` is the process's own time, ``memory_gb`` the most it held beyond the file's
pages, and ``load`` the number of processes that want a core, per core.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from threadpoolctl import threadpool_limits

from neurolib.interpret.unit_results import UnitConfig
from neurolib.interpret.unit_samples import UnitSamples
from neurolib.interpret.units import NeuronActivationAnalyzer

UNITS, SAMPLES, TRIAL, THREADS, TARGET_S = 32_768, 10_000, 50, 2, 60.0
KINDS = ("condition", "velocity", "position", "speed", "mixed", "noise")  # dealt in turn to units
NOISE = 1.0  # standard deviation, that of every signal being 1
LEAST_RIGHT = 0.95  # share of units whose kind must be found


def behaviour(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Reaches to eight targets, with smooth velocities of their own."""
    n_trials = SAMPLES // TRIAL
    target = np.repeat(rng.permutation(np.arange(n_trials) % 8), TRIAL)
    kernel = np.hanning(15)
    smooth = [np.convolve(rng.normal(size=SAMPLES), kernel, "same") for _ in range(5)]
    smooth = np.column_stack([s / s.std() for s in smooth])
    return {"condition": target, "velocity": smooth[:, :2], "position": smooth[:, 2:4], "speed": smooth[:, 4]}


def write(path: Path, variables: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Activations on disk, and the kind of each unit."""
    kind = np.arange(UNITS) % len(KINDS)
    signals = np.zeros((SAMPLES, 13), np.float32)  # 8 conditions, two of velocity and position each, speed
    signals[np.arange(SAMPLES), variables["condition"]] = 8 / np.sqrt(7)
    signals[:, 8:10], signals[:, 10:12] = variables["velocity"], variables["position"]
    signals[:, 12] = variables["speed"]
    weights = np.zeros((13, UNITS), np.float32)
    for number, rows in enumerate(([0, 8], [8, 10], [10, 12], [12, 13])):
        units = np.flatnonzero(kind == number)
        if number == 0:
            weights[rng.integers(0, 8, len(units)), units] = 1
        else:
            draw = rng.normal(size=(rows[1] - rows[0], len(units)))
            weights[rows[0] : rows[1], units] = draw / np.linalg.norm(draw, axis=0)
    both = np.flatnonzero(kind == 4)
    weights[8, both], weights[12, both] = 0.7, 0.7
    table = np.lib.format.open_memmap(path, "w+", np.float32, (SAMPLES, UNITS))
    for start in range(0, SAMPLES, 500):
        rows = slice(start, start + 500)
        table[rows] = signals[rows] @ weights
        table[rows] += NOISE * rng.standard_normal((500, UNITS), np.float32)
    table.flush()
    return kind


def survey(path: Path, variables: dict[str, np.ndarray]) -> tuple:
    """The whole analysis, from the file."""
    groups = np.arange(SAMPLES) // TRIAL
    samples = UnitSamples(np.load(path, mmap_mode="r"), variables, groups)
    analyzer = NeuronActivationAnalyzer(config=UnitConfig(max_samples=500, block=512, workers=THREADS))
    names = ["condition", "velocity", "position", "speed"]
    return analyzer.survey(samples, "condition", names, "velocity", top_k=5)


def check(found: tuple, kind: np.ndarray) -> float:
    """Share of units found to be what they are, or stop."""
    selective, meaning, predictive = found
    expected = np.where(kind < 4, "mono", np.where(kind == 4, "poly", "none"))
    right = (meaning.semantics.kind == expected) & (
        meaning.semantics.variable == np.where(kind < 4, kind, -1)
    )
    significant = selective.p_value <= 0.05
    if right.mean() < LEAST_RIGHT or not significant[kind == 0].all() or significant[kind == 5].mean() > 0.05:
        raise AssertionError(
            f"{right.mean():.3f} of units found right, {significant[kind == 5].mean():.3f} false"
        )
    if (
        not np.isin(kind[predictive.units], (1, 4)).all()
        or not (predictive.information.p_value < 0.006).all()
    ):
        raise AssertionError(
            f"units {predictive.units} of kinds {kind[predictive.units]} predict velocity best"
        )
    return float(right.mean())


def main() -> list[dict]:
    """Write, time and check."""
    rng = np.random.default_rng(0)
    variables = behaviour(rng)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        path = Path(folder) / "activations.npy"
        kind = write(path, variables, rng)
        start = time.perf_counter(), time.process_time()
        found = survey(path, variables)
        value, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    right = check(found, kind)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    row = {"claim": "interpret.units_s", "value": value, "target": TARGET_S, "cpu_s": cpu}
    row |= {
        "units": UNITS,
        "samples": SAMPLES,
        "found_right": right,
        "memory_gb": memory - UNITS * SAMPLES * 4e-9,
    }
    return [row | {"load": os.getloadavg()[0] / (os.cpu_count() or 1), "device": "cpu", "threads": THREADS}]


if __name__ == "__main__":
    for row in main():
        print(
            f"{row['claim']}: {row['value']:.0f} s on {THREADS} threads ({row['cpu_s']:.0f} s of its own) at a load of "
            f"{row['load']:.1f} per core; {row['found_right']:.1%} of units found right",
            file=sys.stderr,
        )
        print(json.dumps(row))
