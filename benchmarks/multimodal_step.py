"""Claim ``multimodal.tiny_step_ms``: one training step of the tiny model, of three modalities.

Milliseconds on the clock of two threads: forward, backward and AdamW on 8 windows of a second, spikes of 100
units in bins of 20 ms, 16 field potentials at 500 Hz and EEG of 64 electrodes at 160 Hz, with behaviour decoded
and hidden signals read out. Before anything is timed, the same step must bring the loss of one batch down.

The target is for two idle cores. Where others compute meanwhile, threads that wait for each other should sleep
and not spin, which is asked for before torch is imported. ``one_thread_ms`` and ``one_thread_cpu_ms`` are the
same step on one thread, by the clock and by the process's own time, which others lengthen least; ``load`` is
the number of processes that want a core, per core.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor
from torch.nn import functional as F

from neurolib.models.multimodal.inputs import ModalityInput, pack
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.objective import Objective, ObjectiveConfig

BATCH, OUTPUTS, WARM_UP, REPEATS, THREADS, TARGET_MS = 8, 20, 3, 15, 2, 150.0
SIGNALS = {"spike": (50, 100), "lfp": (500, 16), "eeg": (160, 64)}  # samples per second, channels
LR, LEARNING_STEPS, LEARNT = 3e-3, 30, 0.9  # the loss must fall to this share


def draw() -> dict[str, Tensor]:
    """A batch of noise, which costs what signals cost."""
    rng = torch.Generator().manual_seed(0)
    shapes = {name: (BATCH, rate, n) for name, (rate, n) in SIGNALS.items()}
    values = {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    values["spike"] = torch.poisson(torch.full(shapes["spike"], 0.3), generator=rng)
    places = F.normalize(torch.randn(BATCH, SIGNALS["eeg"][1], 3, generator=rng), dim=-1)
    inputs = {
        name: ModalityInput.sampled(signal, float(SIGNALS[name][0]), coords=places if name == "eeg" else None)
        for name, signal in values.items()
    }
    return pack(inputs) | {
        "behaviour/values": torch.randn(BATCH, OUTPUTS, 2, generator=rng),
        "behaviour/time": torch.linspace(0, 1, OUTPUTS).expand(BATCH, OUTPUTS),
    }


def make() -> Objective:
    """The tiny model under the usual two tasks."""
    torch.manual_seed(0)
    model = MultimodalConfig.preset("tiny", modalities=tuple(SIGNALS)).build()
    for name, (_, n) in SIGNALS.items():
        model.add_channels(name, [f"{name}/{i}" for i in range(n)])
    return ObjectiveConfig(("decode", "encode")).build(model)


def step_of(objective: Objective, batch: dict[str, Tensor], lr: float) -> Callable[[], float]:
    """A step of training that returns the loss before it."""
    optimiser = torch.optim.AdamW(objective.parameters(), lr)

    def step() -> float:
        optimiser.zero_grad()
        loss = objective.loss(batch)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def check(batch: dict[str, Tensor]) -> None:
    """Train for a moment, or stop: a fast step that does not learn is no claim."""
    objective = make()
    with torch.no_grad():
        before = objective.eval().loss(batch).item()
    step = step_of(objective.train(), batch, LR)
    for _ in range(LEARNING_STEPS):
        step()
    with torch.no_grad():
        after = objective.eval().loss(batch).item()
    if not after < LEARNT * before:
        raise AssertionError(f"{LEARNING_STEPS} steps brought the loss from {before:.3f} to {after:.3f} only")


def measure(step: Callable[[], float], threads: int) -> tuple[float, float]:
    """Median milliseconds of a step, by the clock and of the process."""
    torch.set_num_threads(threads)
    for _ in range(WARM_UP):
        step()
    clock, own = [], []
    for _ in range(REPEATS):
        start = time.perf_counter(), time.process_time()
        step()
        clock.append(time.perf_counter() - start[0])
        own.append(time.process_time() - start[1])
    return 1e3 * statistics.median(clock), 1e3 * statistics.median(own)


def main() -> list[dict]:
    """Check and measure."""
    torch.set_num_threads(1)
    batch = draw()
    check(batch)
    step = step_of(make(), batch, LR)
    one_clock, one_cpu = measure(step, 1)
    value, _ = measure(step, THREADS)
    row = {"claim": "multimodal.tiny_step_ms", "value": value, "target": TARGET_MS}
    row |= {"one_thread_ms": one_clock, "one_thread_cpu_ms": one_cpu}
    row |= {"load": os.getloadavg()[0] / (os.cpu_count() or 1)}
    return [row | {"device": "cpu", "threads": THREADS}]


if __name__ == "__main__":
    for row in main():
        print(
            f"{row['claim']}: {row['value']:.0f} ms on {THREADS} threads at a load of {row['load']:.1f} per core; "
            f"one thread {row['one_thread_ms']:.0f} ms, {row['one_thread_cpu_ms']:.0f} ms of its own",
            file=sys.stderr,
        )
        print(json.dumps(row))
