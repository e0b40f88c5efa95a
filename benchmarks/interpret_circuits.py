"""Claim ``interpret.eap_ig_s``: scoring every edge of the tiny multimodal model by EAP-IG.

Seconds on the clock of two threads for 32 windows of a second, spikes of 100 units in bins of 20 ms, 16 field
potentials at 500 Hz and EEG of 64 electrodes at 160 Hz, each with another window as its corrupt partner, in 5
steps; the score is minus the squared error of decoded behaviour. Before anything is timed, the graph must be the
model's, and the scores of the edges out of the tokens must add up to what exchanging everything does.

``exact_s`` is what the runs take that exchange one edge each, which EAP-IG stands for; ``rank`` is the rank
correlation of both. The model is untrained: training changes neither the graph nor the time.
"""

import json
import os
import statistics
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.interpret.corruption import partners, take
from neurolib.interpret.edges import EdgeRuns, check_graph, edge_attribution, exact_effects
from neurolib.interpret.model_graphs import multimodal_graph
from neurolib.interpret.trial_scores import minus_squared_error
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.network import MultimodalConfig

TRIALS, OUTPUTS, STEPS, REPEATS, THREADS, TARGET_S = 32, 20, 5, 3, 2, 30.0
SIGNALS = {"spike": (50, 100), "lfp": (500, 16), "eeg": (160, 64)}  # samples per second, channels


def draw() -> dict[str, ModalityInput]:
    """Windows of noise, which cost what signals cost."""
    rng = torch.Generator().manual_seed(0)
    values = {name: torch.randn(TRIALS, rate, n, generator=rng) for name, (rate, n) in SIGNALS.items()}
    values["spike"] = torch.poisson(torch.full_like(values["spike"], 0.3), generator=rng)
    places = F.normalize(torch.randn(TRIALS, SIGNALS["eeg"][1], 3, generator=rng), dim=-1)
    return {
        name: ModalityInput.sampled(signal, float(SIGNALS[name][0]), coords=places if name == "eeg" else None)
        for name, signal in values.items()
    }


def make() -> nn.Module:
    """The tiny model of three modalities."""
    torch.manual_seed(0)
    model = MultimodalConfig.preset("tiny", modalities=tuple(SIGNALS)).build()
    for name, (_, n) in SIGNALS.items():
        model.add_channels(name, [f"{name}/{i}" for i in range(n)])
    return model.eval()


def decode(model: nn.Module, inputs: dict[str, ModalityInput]) -> Tensor:
    """Behaviour at evenly spaced times."""
    return model(inputs, task="decode", output_time=torch.linspace(0, 1, OUTPUTS))["decoder"]


def main() -> list[dict]:
    """Check and measure."""
    torch.set_num_threads(THREADS)
    model, clean = make(), draw()
    corrupt = take(clean, partners(TRIALS))
    graph = multimodal_graph(model)
    score = minus_squared_error(torch.randn(TRIALS, OUTPUTS, 2))
    check_graph(model, graph, clean, corrupt, decode)
    clock, own = [], []
    for _ in range(REPEATS):
        start = time.perf_counter(), time.process_time()
        found = edge_attribution(model, graph, clean, corrupt, score, steps=STEPS, run=decode)
        clock.append(time.perf_counter() - start[0])
        own.append(time.process_time() - start[1])
    start = time.perf_counter()
    runs = EdgeRuns(model, graph, clean, corrupt, score, decode)
    exact = exact_effects(runs)
    exact_s = time.perf_counter() - start
    with torch.no_grad():
        whole = score(decode(model, corrupt)) - score(decode(model, clean))
    gap = float((found.whole - whole).abs().mean() / whole.abs().mean())
    if not gap < 0.05:
        raise AssertionError(f"scores out of the tokens miss the whole effect by {gap:.1%}")
    row = {"claim": "interpret.eap_ig_s", "value": statistics.median(clock), "target": TARGET_S}
    row |= {
        "cpu_s": statistics.median(own),
        "exact_s": exact_s,
        "edges": len(graph),
        "trials": TRIALS,
        "steps": STEPS,
    }
    row |= {"rank": float(spearmanr(found.mean.abs(), exact.mean.abs()).statistic), "gap": gap}
    return [row | {"device": "cpu", "threads": THREADS}]


if __name__ == "__main__":
    for row in main():
        print(
            f"{row['claim']}: {row['value']:.1f} s for {row['edges']} edges, {row['trials']} trials and {row['steps']} "
            f"steps ({row['cpu_s']:.1f} s of its own); one run per edge {row['exact_s']:.1f} s; rank correlation "
            f"{row['rank']:.2f}",
            file=sys.stderr,
        )
        print(json.dumps(row))
