"""Claim ``alignment.rsa_bootstrap``: models compared with subjects under 1000 resamples of 92 stimuli.

The RDMs of 24 layers against those of 8 subjects, with the noise ceiling in every resample, by Pearson's correlation and
by rho-a: how many times rsatoolbox's time ours takes, by the process's own time on one thread, of both the smaller.
Before anything is timed, the scores of the same draws must be the same. Ours is timed over all 1000 resamples, the peer
over a few, and both by the resample; they take turns. ``plain_loop`` is the same against a loop that we wrote as well as
we could: all RDMs of a resample made at once and ranked once, pairs of copies dropped, scores and a leave-one-out ceiling
of what is left. Where rsatoolbox is not installed the claim is against that loop, with a target of its own, and says so.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from neurolib.metrics.rdm_inference import bootstrap_rdms
from neurolib.metrics.rdm_resamples import resampled_scores

N, LAYERS, SUBJECTS, RESAMPLES = 92, 24, 8, 1000
TARGET, LOOP_TARGET = 50.0, 5.0
PEER_RESAMPLES, TURNS, SAME = {"pearson": 12, "rho_a": 4}, 3, 1e-9
THEIRS = {"pearson": "corr", "rho_a": "rho-a"}

Peer = Callable[[NDArray, NDArray, str, int], NDArray]


def draw() -> tuple[NDArray, NDArray]:
    """Layers that drift away from what subjects have in common."""
    rng = np.random.default_rng(0)
    base, pairs = rng.normal(size=(N, 40)), np.triu_indices(N, 1)

    def rdm(x: NDArray) -> NDArray:
        return (1 - np.corrcoef(x))[pairs]

    layers = [
        rdm(base @ rng.normal(size=(40, 500)) + 0.2 * i * rng.normal(size=(N, 500))) for i in range(LAYERS)
    ]
    people = [rdm(base @ rng.normal(size=(40, 100)) + 6 * rng.normal(size=(N, 100))) for _ in range(SUBJECTS)]
    return np.stack(layers), np.stack(people)


def toolbox() -> Peer | None:
    """Bootstrap of patterns by rsatoolbox, if it is installed."""
    try:
        from rsatoolbox.inference import eval_bootstrap_pattern
        from rsatoolbox.model import ModelFixed
        from rsatoolbox.rdm import RDMs
    except ImportError:
        return None

    def run(layers: NDArray, people: NDArray, comparator: str, n: int) -> NDArray:
        models = [ModelFixed(f"layer {i}", RDMs(layers[i : i + 1])) for i in range(len(layers))]
        np.random.seed(0)  # noqa: NPY002 - the generator that it draws from
        return eval_bootstrap_pattern(models, RDMs(people), method=THEIRS[comparator], N=n).evaluations

    return run


def plain_loop(layers: NDArray, people: NDArray, comparator: str, n: int) -> NDArray:
    """All RDMs as tables, resampled one draw at a time."""
    rng, upper = np.random.RandomState(0), np.triu_indices(N, 1)
    tables, found = np.stack([squareform(rdm) for rdm in np.concatenate([layers, people])]), []

    def looked_at(rows: NDArray) -> NDArray:
        rows = rankdata(rows, axis=1) if comparator == "rho_a" else rows
        rows = rows - rows.mean(axis=1, keepdims=True)
        m = rows.shape[1]
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / (np.sqrt((m**3 - m) / 12) if comparator == "rho_a" else length)

    for _ in range(n):
        draws = np.sort(rng.randint(0, N, N))
        kept = (draws[:, None] != draws)[upper]
        rows = looked_at(tables[:, draws][:, :, draws][:, *upper][:, kept])
        mine = rows[len(layers) :]
        found.append((rows[: len(layers)] @ mine.T).mean(axis=1))
        for pool in (mine.sum(axis=0), *(np.delete(mine, k, axis=0).sum(axis=0) for k in range(len(mine)))):
            mine @ looked_at(pool[None])[0]
    return np.array(found)


def own_time(call: Callable[[], object]) -> float:
    """Seconds of the process itself, which others lengthen least."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> list[dict]:
    """Check and measure."""
    torch.set_num_threads(1)
    layers, people = draw()
    peer = toolbox()
    runs = ({"rsatoolbox": peer} if peer else {}) | {"plain loop": plain_loop}
    ratios: dict[str, dict[str, float]] = {name: {} for name in runs}
    ours_s, difference = {}, 0.0
    for comparator, n in PEER_RESAMPLES.items():
        rng = np.random.RandomState(0)
        counts = np.stack([np.bincount(rng.randint(0, N, N), minlength=N) for _ in range(n)])
        same = resampled_scores(layers, people, counts, comparator)[0].mean(axis=2)
        for name, run in runs.items():
            difference = max(difference, float(abs(same - run(layers, people, comparator, n)).max()))
            if difference > SAME:
                raise AssertionError(f"{comparator}: {name} differs by {difference:.1e} on the same draws")
        ours, theirs = [], {name: [] for name in runs}
        for _ in range(TURNS):
            ours.append(
                own_time(lambda c=comparator: bootstrap_rdms(layers, people, c, "stimuli", RESAMPLES))
            )
            for name, run in runs.items():
                seconds = own_time(lambda c=comparator, n=n, run=run: run(layers, people, c, n))
                theirs[name].append(seconds * RESAMPLES / n)
        ours_s[comparator] = statistics.median(ours)
        for name in runs:
            ratios[name][comparator] = statistics.median(
                t / o for t, o in zip(theirs[name], ours, strict=True)
            )
    name = next(iter(runs))
    row = {"claim": "alignment.rsa_bootstrap", "value": min(ratios[name].values())}
    row |= {"target": TARGET if peer else LOOP_TARGET, "peer": name, "times": ratios[name]}
    row |= {"plain_loop": ratios["plain loop"], "ours_s": ours_s, "largest_difference": difference}
    return [row | {"stimuli": N, "layers": LAYERS, "subjects": SUBJECTS, "device": "cpu", "threads": 1}]


if __name__ == "__main__":
    for row in main():
        for comparator, ratio in row["times"].items():
            print(
                f"{row['claim']}: {comparator} {ratio:.0f} times as fast as {row['peer']}, "
                f"{RESAMPLES} resamples in {row['ours_s'][comparator]:.2f} s",
                file=sys.stderr,
            )
        print(json.dumps(row))
