"""Claim ``multimodal.stream_p99_ms``: a step of the ``base`` model, one core, one window, long before the next hop.

Milliseconds that the slowest of a hundred steps of 20 ms takes: 100 units in, velocity out, eight latents
per step through four layers of attention and eight state-space blocks, 47 million weights. Weights are random, which
changes no time. What is timed is compared with whole-window prediction first.

Two forms in turn on the same steps: 32-bit weights, which equal the whole, and 8-bit weights of the linear layers, whose
difference is printed. The claim is that of the 8-bit form; ``float32_ms`` stands beside it. ``cpu`` is the process's own
time, which other processes do not lengthen.
"""

import json
import time

import torch

from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.network import MultimodalConfig, MultimodalModel
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.stream import ModelStream, with_int8_weights
from neurolib.models.multimodal.tokenizers.binned import BinnedTokenizerConfig

HOP_S, N_UNITS, REACH, WARM_UP, STEPS, TARGET_MS = 0.02, 100, 12, 20, 200, 10.0


def make() -> MultimodalModel:
    """The ``base`` preset with one latent time per hop, causal, attention within 240 ms."""
    torch.manual_seed(0)
    perceiver = PerceiverConfig(
        slots=8, step_s=HOP_S, layers=4, heads=8, radius=REACH, span=REACH, causal=True, shortest_s=2 * HOP_S
    )
    tokenizer = BinnedTokenizerConfig(rate_hz=1 / HOP_S, stride_s=HOP_S, causal=True)
    cfg = MultimodalConfig.preset(
        "base", modalities=("spike",), window_s=None, tokenizers={"spike": tokenizer}, perceiver=perceiver
    )
    model = cfg.build().eval()
    model.add_channels("spike", [str(unit) for unit in range(N_UNITS)])
    return model


def check(model: MultimodalModel, counts: torch.Tensor) -> float:
    """Compare the stream with the whole window in double precision, or stop; the largest difference."""
    model, counts = model.double(), counts.double()
    stream = ModelStream(model, {"spike": torch.arange(N_UNITS)}, context_s=HOP_S)
    said = torch.stack([stream.step({"spike": row[None]}) for row in counts])
    window_s = len(counts) * HOP_S
    with torch.no_grad():
        inputs = {"spike": ModalityInput.sampled(counts[None], 1 / HOP_S)}
        grid = model.latents(inputs, window_s=window_s)
        time_s = model.cfg.perceiver.times(window_s)[None]
        whole = model.decoder.values(model.decode(grid, time_s, window_s))[0]
    worst = float((said - whole).abs().max() / whole.std())
    model.float()
    if worst > 1e-5:
        raise SystemExit(f"the stream differs from the whole by {worst:.2g} of its spread")
    return worst


def main() -> None:
    """Time both forms in turn."""
    torch.set_num_threads(1)
    model = make()
    counts = torch.poisson(torch.full((WARM_UP + STEPS, N_UNITS), 0.3))
    worst = check(model, counts[:25])
    forms = {"float32": model, "int8": with_int8_weights(model)}
    streams = {n: ModelStream(m, {"spike": torch.arange(N_UNITS)}, context_s=HOP_S) for n, m in forms.items()}
    wall, cpu, said = ({name: [] for name in streams} for _ in range(3))
    for row in counts:
        for name, stream in streams.items():
            start, used = time.perf_counter(), time.process_time()
            said[name].append(stream.step({"spike": row[None]}))
            wall[name].append(1e3 * (time.perf_counter() - start))
            cpu[name].append(1e3 * (time.process_time() - used))

    def p(values, share):
        return sorted(values[WARM_UP:])[int(share * STEPS) - 1]

    exact, rough = (torch.stack(said[name][WARM_UP:]) for name in ("float32", "int8"))
    print(
        json.dumps(
            {
                "claim": "multimodal.stream_p99_ms",
                "value": round(p(wall["int8"], 0.99), 2),
                "median_ms": round(p(wall["int8"], 0.5), 2),
                "cpu_p99_ms": round(p(cpu["int8"], 0.99), 2),
                "float32_ms": round(p(wall["float32"], 0.99), 2),
                "float32_median_ms": round(p(wall["float32"], 0.5), 2),
                "int8_difference": round(float((rough - exact).std() / exact.std()), 4),
                "stream_difference": worst,
                "target": TARGET_MS,
                "device": "cpu",
                "threads": 1,
            }
        )
    )


if __name__ == "__main__":
    main()
