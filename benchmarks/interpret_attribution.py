"""Claims ``interpret.ig_complete`` and ``interpret.ig_overhead``: integrated gradients of a model of three modalities.

The first is the share of windows whose map adds up to the difference of the answers within 0.1 %, with at most
512 nodes, all modalities moved jointly from a baseline of scrambled phases (clipped at zero for counts). The
second is the time of 32 nodes beside that of a plain loop of as many passes forward and backward over the same
windows: what chunks, checks and double sums cost. Where captum is installed, its time on one modality (it
takes no mappings) stands beside ours, and both must agree.
"""

import json
import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from neurolib.interpret.attribution.baselines import phase_scrambled
from neurolib.interpret.attribution.integrated_gradients import (
    PathConfig,
    gauss_legendre,
    integrated_gradients,
)
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.runs.bench import alternate

WINDOWS, NODES, REPEATS = 4, 32, 3
SIGNALS = {"spike": (50, 12), "lfp": (500, 3), "eeg": (160, 6)}  # samples per second, channels
TARGET_COMPLETE, TARGET_OVERHEAD = 1.0, 1.3


def make() -> tuple[Callable, dict[str, ModalityInput], dict[str, ModalityInput]]:
    """A score, windows and their baseline."""
    torch.manual_seed(0)
    model = MultimodalConfig.preset("tiny", modalities=tuple(SIGNALS)).build().eval()
    values = {name: torch.randn(WINDOWS, rate, n) for name, (rate, n) in SIGNALS.items()}
    values["spike"] = torch.poisson(torch.full_like(values["spike"], 0.3))
    for name, (_, n) in SIGNALS.items():
        model.add_channels(name, [f"{name}/{i}" for i in range(n)])
    inputs = {name: ModalityInput.sampled(x, float(SIGNALS[name][0])) for name, x in values.items()}
    for name, signal in inputs.items():
        model.tokenizers[name].standardise(signal)
    low = phase_scrambled(inputs) | {"spike": phase_scrambled(inputs, least=0.0)["spike"]}
    return lambda given: model(given, task="decode")["decoder"][:, 0, 0], inputs, low


def loop(score: Callable, inputs: dict, low: dict) -> dict[str, Tensor]:
    """The same integral as a plain loop over nodes."""
    from dataclasses import replace

    totals = {name: torch.zeros_like(signal.values) for name, signal in inputs.items()}
    for node, weight in zip(*(part.tolist() for part in gauss_legendre(NODES)), strict=True):
        values = {
            name: (low[name].values + node * (signal.values - low[name].values)).requires_grad_()
            for name, signal in inputs.items()
        }
        said = score({name: replace(signal, values=values[name]) for name, signal in inputs.items()})
        for name, slope in zip(values, torch.autograd.grad(said.sum(), list(values.values())), strict=True):
            totals[name] += weight * slope
    return {name: (signal.values - low[name].values) * totals[name] for name, signal in inputs.items()}


def beside_captum(score: Callable, inputs: dict, low: dict) -> dict:
    """Seconds of captum and ours on one modality, the others held; empty without captum."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return {}
    from dataclasses import replace

    def alone(x: Tensor) -> Tensor:
        rest = {
            n: ModalityInput.sampled(s.values[:1].expand(len(x), -1, -1), SIGNALS[n][0])
            for n, s in inputs.items()
        }
        return score(rest | {"eeg": replace(rest["eeg"], values=x)})

    x, start = inputs["eeg"].values, low["eeg"].values
    peer = IntegratedGradients(alone)
    settings = {"n_steps": NODES, "method": "gausslegendre", "internal_batch_size": 256}
    once = PathConfig(NODES, NODES, rows=256)
    ours_s, peer_s = alternate(
        lambda: integrated_gradients(alone, x, start, once),
        lambda: peer.attribute(x, start, **settings),
        REPEATS,
    )
    theirs, ours = (
        peer.attribute(x, start, **settings),
        integrated_gradients(alone, x, start, once).values["input"],
    )
    worst = float((theirs - ours).abs().max() / ours.abs().max())
    if worst > 1e-4:
        raise AssertionError(f"captum and ours differ by {worst:.2g} of the largest attribution")
    return {"captum_ratio": ours_s / peer_s, "captum_differs": worst}


def main() -> list[dict]:
    """Measure both."""
    torch.set_num_threads(1)
    score, inputs, low = make()
    made = integrated_gradients(score, inputs, low, PathConfig(NODES, 512))
    once = PathConfig(NODES, NODES, rows=WINDOWS)
    slow, ours = loop(score, inputs, low), integrated_gradients(score, inputs, low, once)
    for name, values in slow.items():
        if not torch.allclose(values, ours.values[f"{name}/values"], atol=1e-6, rtol=1e-3):
            raise AssertionError(f"the loop and integrated_gradients differ on {name}")
    ours_s, loop_s = alternate(
        lambda: integrated_gradients(score, inputs, low, once), lambda: loop(score, inputs, low), REPEATS
    )
    shared = {"device": "cpu", "threads": 1}
    complete = {"claim": "interpret.ig_complete", "value": float(made.complete.double().mean())}
    complete |= {"target": TARGET_COMPLETE, "median_nodes": statistics.median(made.steps.tolist())}
    overhead = {"claim": "interpret.ig_overhead", "value": ours_s / loop_s, "target": TARGET_OVERHEAD}
    overhead |= {"ours_s": ours_s, "loop_s": loop_s} | beside_captum(score, inputs, low)
    return [complete | shared, overhead | shared]


if __name__ == "__main__":
    for row in main():
        print(f"{row['claim']}: {row['value']:.3f} (target {row['target']})", file=sys.stderr)
        print(json.dumps(row))
