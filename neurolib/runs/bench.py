"""Measuring claims: every script of ``benchmarks/`` in a process of its own, results in one file."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from neurolib.runs.project import PageError, Project, write_atomic


def alternate(
    ours: Callable[[], object], peer: Callable[[], object], repeats: int = 7
) -> tuple[float, float]:
    """Median seconds of two functions, run in turn so that both see the same machine.

    Returns
    -------
    (float, float)
        Seconds of ``ours`` and of ``peer``.
    """
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(repeats):
        for i, function in enumerate((ours, peer)):
            start = time.perf_counter()
            function()
            times[i].append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def run_benchmarks(project: Project, names: list[str]) -> int:
    """Run scripts, print their ratios, and update ``benchmarks/results.json``.

    Each script prints one JSON object per claim: ``claim``, ``ours_s`` and ``peer_s`` (or
    ``value``), ``target``, ``device``, ``threads``.
    """
    folder = project.root / "benchmarks"
    scripts = sorted(path for path in folder.glob("*.py"))
    known = [path.stem for path in scripts]
    if unknown := set(names) - set(known):
        raise PageError(f"no benchmark {sorted(unknown)}; there are {known}")
    path = folder / "results.json"
    stored = {row["claim"]: row for row in json.loads(path.read_text("utf-8"))} if path.exists() else {}
    failed = 0
    for script in scripts:
        if names and script.stem not in names:
            continue
        done = subprocess.run(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=project.root,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        failed += bool(done.returncode or not rows)
        for row in rows:
            row["date"] = datetime.now(UTC).strftime("%Y-%m-%d")
            stored[row["claim"]] = row
            print(describe(row), flush=True)
    write_atomic(path, json.dumps([stored[claim] for claim in sorted(stored)], indent=1) + "\n")
    return int(failed > 0)


def describe(row: dict) -> str:
    """One line for people."""
    if "ratio" in row:
        return (
            f"{row['claim']}: {row['ours_s']:.4f} s, peer {row['peer_s']:.4f} s, "
            f"{row['ratio']:.1f} times faster (target {row['target']:g})"
        )
    return f"{row['claim']}: {row['value']:.3f} (target {row['target']:g})"
