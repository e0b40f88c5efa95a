"""Claims ``alignment.cka_full``, ``alignment.cka_feature`` and ``alignment.cka_minibatch``: CKA of all pairs of layers.

Twenty-four layers of 1,024 channels saw 5,000 stimuli. ``cka_full`` is against the published formula pair by pair,
centring and self terms computed anew; ``cka_feature`` against the same with layers centred once, symmetry used and
self terms kept; ``cka_minibatch``, in batches of 256, against our copy of the algorithm of torch_cka, which makes
the Gram matrix of one layer anew for every pair and takes traces of whole products. What all pairs would take them
is extrapolated from a few, all of which cost the same; ours runs in full. Before anything is timed, values must
agree. Times are processor time, medians of calls in turn.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from neurolib.metrics.kernel_alignment import MinibatchCKA, cka_matrix

N_LAYERS, N_CHANNELS, N_STIMULI, BATCH, REPEATS = 24, 1024, 5000, 256, 3
FULL_PAIRS, FEATURE_PAIRS, BATCH_PAIRS = 3, 10, 24  # timed, of all
TARGETS = {"cka_full": 15.0, "cka_feature": 3.0, "cka_minibatch": 20.0}


def draw(n_layers: int, n: int, d: int) -> list[Tensor]:
    """Layers that each add a little to the one before."""
    rng = torch.Generator().manual_seed(0)
    hidden, layers = torch.randn(n, d, generator=rng) * torch.arange(1, d + 1) ** -0.5, []
    for _ in range(n_layers):
        update = torch.tanh(hidden @ torch.randn(d, d, generator=rng) * (3 / d**0.5))
        hidden = hidden + 0.35 * hidden.std() * update
        layers.append(hidden.clone())
    return layers


def by_formula(x: Tensor, y: Tensor) -> float:
    """One pair as published."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))


def by_features(x: Tensor, y: Tensor) -> float:
    """Numerator of one pair of centred layers; the denominators are those of a layer with itself."""
    return float((x.T @ y).square().sum())


def by_traces(k: Tensor, gram: Tensor) -> float:
    """Unbiased HSIC of Gram matrices without diagonals, by whole products."""
    n, ones = len(k), torch.ones(len(k), 1, dtype=k.dtype)
    value = torch.trace(k @ gram)
    value = value + (ones.T @ k @ ones * (ones.T @ gram @ ones) / ((n - 1) * (n - 2))).item()
    value = value - (ones.T @ k @ gram @ ones * (2 / (n - 2))).item()
    return float(value / (n * (n - 3)))


def gram_of(x: Tensor) -> Tensor:
    """Gram matrix without its diagonal."""
    return (x @ x.T).fill_diagonal_(0)


def pair_by_traces(k: Tensor, y: Tensor) -> tuple[float, float]:
    """What each pair and batch costs torch_cka."""
    gram = gram_of(y)
    return by_traces(k, gram), by_traces(gram, gram)


def minibatch(layers: list[Tensor], batch: int) -> Tensor:
    """Ours, batch by batch; a short last one is dropped."""
    meter = MinibatchCKA()
    for start in range(0, len(layers[0]) // batch * batch, batch):
        meter.update([layer[start : start + batch] for layer in layers])
    return torch.from_numpy(meter.matrix())


def check() -> None:
    """Compare, or stop: a faster wrong answer is no claim."""
    layers = [layer.double() for layer in draw(3, 96, 24)]
    ours, centred = cka_matrix(layers, debiased=False), [layer - layer.mean(0) for layer in layers]
    batches = minibatch(layers, 32)
    for i, x in enumerate(layers):
        for j, y in enumerate(layers):
            own = (by_features(centred[i], centred[i]) * by_features(centred[j], centred[j])) ** 0.5
            parts = torch.zeros(3, dtype=torch.float64)
            for start in range(0, 96, 32):
                k, gram = gram_of(x[start : start + 32]), gram_of(y[start : start + 32])
                values = by_traces(k, gram), by_traces(k, k), by_traces(gram, gram)
                parts += torch.tensor(values, dtype=torch.float64)
            apart = max(
                abs(ours[i, j] - by_formula(x, y)),
                abs(ours[i, j] - by_features(centred[i], centred[j]) / own),
                abs(float(batches[i, j] - parts[0] / (parts[1] * parts[2]).sqrt())),
            )
            if not apart < 1e-9:
                raise AssertionError(f"layers {i} and {j}: values differ by {apart}")


def timed(function: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> list[dict]:
    """Compare and time."""
    torch.set_num_threads(1)
    check()
    layers = draw(N_LAYERS, N_STIMULI, N_CHANNELS)
    centred = [layer - layer.mean(0) for layer in layers]
    small = [layer[:BATCH] for layer in layers]
    first = gram_of(small[0])
    n_batches, n_pairs = N_STIMULI // BATCH, N_LAYERS**2
    calls = {
        "full": (lambda: cka_matrix(layers), 1.0),
        "formula": (
            lambda: [by_formula(layers[0], layers[-1 - i]) for i in range(FULL_PAIRS)],
            n_pairs / FULL_PAIRS,
        ),
        "features": (
            lambda: [by_features(centred[0], centred[-1 - i]) for i in range(FEATURE_PAIRS)],
            N_LAYERS * (N_LAYERS + 1) / 2 / FEATURE_PAIRS,
        ),
        "minibatch": (lambda: minibatch(layers, BATCH), 1.0),
        "traces": (
            lambda: [pair_by_traces(first, small[i % N_LAYERS]) for i in range(BATCH_PAIRS)],
            n_pairs * n_batches / BATCH_PAIRS,
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, (function, times) in calls.items():
            seconds[name].append(times * timed(function))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rows = []
    for claim, ours, peer, what, sample in (
        (
            "cka_full",
            "full",
            "formula",
            "the published formula pair by pair",
            f"{FULL_PAIRS} of {n_pairs} pairs",
        ),
        (
            "cka_feature",
            "full",
            "features",
            "feature space, layers centred once",
            f"{FEATURE_PAIRS} of {N_LAYERS * (N_LAYERS + 1) // 2} pairs",
        ),
        (
            "cka_minibatch",
            "minibatch",
            "traces",
            "our copy of torch_cka's algorithm",
            f"{BATCH_PAIRS} of {n_pairs * n_batches} pairs and batches",
        ),
    ):
        row = {"claim": f"alignment.{claim}", "ours_s": median[ours], "peer_s": median[peer]}
        row |= {"ratio": median[peer] / median[ours], "target": TARGETS[claim]}
        row |= {"peer": what, "peer_extrapolated_from": sample, "device": "cpu", "threads": 1}
        rows.append(row)
    return rows


if __name__ == "__main__":
    for result in main():
        print(
            f"{result['claim']}: {result['ratio']:.1f}x as fast as {result['peer']}: {result['ours_s']:.1f} s, peer "
            f"{result['peer_s']:.0f} s, extrapolated from {result['peer_extrapolated_from']}",
            file=sys.stderr,
        )
        print(json.dumps(result))
