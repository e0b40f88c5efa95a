"""Claim ``multimodal.import_s``: what importing the multimodal model costs on top of importing torch.

Seconds that fresh interpreters compute, the least of several, in turn: with the model's module, less those with
torch alone. The difference is the package's own part with everything that it imports beside torch (NumPy and
parts of SciPy). ``whole_s`` and ``torch_s`` are the two themselves; with ``clock`` they are median seconds on
the clock, which is what a user waits for and what other processes lengthen. Nothing here runs on two threads.
"""

import json
import os
import statistics
import subprocess
import sys
import time

REPEATS, TARGET_S, THREADS = 7, 1.5, 1
STATEMENTS = {
    "whole": "import neurolib.models.multimodal.network",
    "torch": "import torch",
}


def start(statement: str) -> tuple[float, float]:
    """Seconds of a fresh interpreter, by the clock and of its own."""
    clock, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    clock, after = time.perf_counter() - clock, os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return clock, own


def main() -> list[dict]:
    """Measure both in turn, so that they see the same machine."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():
        start(statement)  # the first start reads files from disk
    for _ in range(REPEATS):
        for name, statement in STATEMENTS.items():
            times[name].append(start(statement))
    found = {}
    for name, pairs in times.items():
        clock, own = zip(*pairs, strict=True)
        found |= {f"{name}_s": min(own), f"{name}_clock_s": statistics.median(clock)}
    row = {"claim": "multimodal.import_s", "value": found["whole_s"] - found["torch_s"]} | found
    return [row | {"target": TARGET_S, "device": "cpu", "threads": THREADS}]


if __name__ == "__main__":
    for row in main():
        print(
            f"{row['claim']}: {row['value']:.2f} s on top of torch's {row['torch_s']:.2f} s, "
            f"in all {row['whole_s']:.2f} s, or {row['whole_clock_s']:.2f} s by the clock",
            file=sys.stderr,
        )
        print(json.dumps(row))
