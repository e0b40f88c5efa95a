"""Claims ``rvq.stream_p99_ms`` and ``rvq.stream_transformer_p99_ms``: a bin decoded long before the next one.

Milliseconds that the slowest of a hundred bins takes, counts in, velocity and codes out: 142 units, latents
of 128 channels, four codebooks of 128 codes; an LSTM of 256 cells, or six layers of attention over 250 ms.
Weights are random, which changes no time. What is timed is compared with whole-sequence prediction first.

Beside it, in turn on the same bins: the same bin by bin in torch, in onnxruntime if it is there, and
for the LSTM what is done where no state is kept, running it again over the last ten bins. ``cpu`` is
the process's own time, which other processes do not lengthen; ``cold`` is with other data in the caches
before each bin, as after 25 ms of something else.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.discrete_stream import DiscreteStream
from neurolib.models.onnx_export import OnnxStream, export_onnx
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.transformer import CausalTransformerConfig

N_UNITS, BIN_SIZE_S, RATE_HZ, WINDOW = 142, 0.025, 12.0, 10
QUANTIZER, DIM, HIDDEN = ResidualConfig(n_stages=4, size=128), 128, 256
ENCODERS = {
    "stream": (RecurrentEncoderConfig("lstm", hidden=256), 1.0),  # and the target, ms
    "stream_transformer": (CausalTransformerConfig(d=256, heads=8, layers=6, context_s=0.25), 3.0),
}
WARM_UP, BLOCKS, BINS, COLD_BINS, THREADS = 200, 10, 300, 300, 1
CACHES = 64 * 2**20  # bytes; more than those of a core

Step = Callable[[int], object]


def make(encoder, counts: NDArray) -> DiscreteDecoder:
    """A decoder with codes where its latents are."""
    torch.manual_seed(0)
    decoder = DiscreteDecoder(DiscreteDecoderConfig(encoder, QUANTIZER, DIM, HIDDEN), N_UNITS, 2, BIN_SIZE_S)
    with torch.no_grad():
        latents, _ = decoder.encoder(torch.from_numpy(counts)[None])
    decoder.quantizer.init_kmeans(latents[0])
    return decoder.eval()


def check(decoder: DiscreteDecoder, counts: NDArray) -> None:
    """Compare the stream with the whole sequence, or stop."""
    stream = DiscreteStream(decoder)
    outputs, codes = (np.stack(each) for each in zip(*map(stream.step, counts), strict=True))
    with torch.no_grad():
        sequence = torch.from_numpy(counts)[None]
        latents = decoder.encoder(sequence)[0][0]
        np.testing.assert_allclose(outputs, decoder(sequence)[0].numpy(), atol=1e-5)
        differ = (codes != decoder.quantizer.quantize(latents).codes.numpy()).sum()
    if differ or len(np.unique(codes)) < 20:
        raise AssertionError(f"{differ} codes of {codes.size} differ, {len(np.unique(codes))} are in use")


def in_torch(decoder: DiscreteDecoder, counts: NDArray) -> Step:
    """The decoder's own step."""
    state = None

    def step(t: int) -> object:
        nonlocal state
        with torch.inference_mode():
            outputs, codes, state = decoder.step(torch.from_numpy(counts[t])[None], state)
        return outputs[0].numpy(), codes[0].numpy()

    return step


def again(decoder: DiscreteDecoder, counts: NDArray) -> Step:
    """All of the window for the sake of its last bin."""

    def step(t: int) -> object:
        with torch.inference_mode():
            return decoder(torch.from_numpy(counts[max(0, t + 1 - WINDOW) : t + 1])[None])[0, -1].numpy()

    return step


def timed(step: Step, bins: range, between: Callable[[], object] = lambda: None) -> list[tuple[float, float]]:
    """Wall and process milliseconds of each bin."""
    found = []
    for t in bins:
        between()
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        step(t)
        wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        found.append((wall / 1e6, cpu / 1e6))
    return found


def measure(name: str, counts: NDArray, folder: Path) -> dict:
    """All forms of one decoder, in turn, block by block."""
    encoder, target = ENCODERS[name]
    decoder = make(encoder, counts[: 10 * QUANTIZER.size])
    check(decoder, counts[: 2 * QUANTIZER.size])
    stream = DiscreteStream(decoder)
    forms: dict[str, Step] = {"": lambda t: stream.step(counts[t]), "torch_": in_torch(decoder, counts)}
    if name == "stream":
        forms["window_"] = again(decoder, counts)
    try:
        onnx = OnnxStream(export_onnx(decoder, folder / f"{name}.onnx"))
        forms["onnx_"] = lambda t: onnx.step(counts[t])
    except ImportError as error:
        print(error, file=sys.stderr)
    for step in forms.values():
        timed(step, range(WARM_UP))
    times: dict[str, list] = {form: [] for form in forms}
    for block in range(BLOCKS):
        bins = range(WARM_UP + block * BINS, WARM_UP + (block + 1) * BINS)
        for form, step in forms.items():
            times[form] += timed(step, bins)
    other = np.zeros(CACHES, np.uint8)
    cold = timed(forms[""], range(COLD_BINS), lambda: np.add(other, 1, out=other))
    row = {"claim": f"rvq.{name}_p99_ms", "value": 0.0, "target": target, "device": "cpu", "threads": THREADS}
    for form, found in (times | {"cold_": cold}).items():
        wall, cpu = np.array(found).T
        row |= {f"{form}p50_ms": np.median(wall), f"{form}p99_ms": np.percentile(wall, 99)}
        row[f"{form}cpu_p99_ms"] = np.percentile(cpu, 99)
    row["value"] = row.pop("p99_ms")
    return row


def main() -> list[dict]:
    """Measure both decoders on random counts."""
    torch.set_num_threads(THREADS)
    n_bins = WARM_UP + BLOCKS * BINS
    counts = np.random.default_rng(0).poisson(RATE_HZ * BIN_SIZE_S, (n_bins, N_UNITS)).astype(np.float32)
    with threadpool_limits(THREADS), tempfile.TemporaryDirectory() as folder:
        return [measure(name, counts, Path(folder)) for name in ENCODERS]


if __name__ == "__main__":
    for row in main():
        forms = [key.removesuffix("p50_ms") for key in row if key.endswith("p50_ms")]
        for form in forms:
            p99 = row["value"] if not form else row[f"{form}p99_ms"]
            print(
                f"{row['claim']}: {form.rstrip('_') or 'stream'} p50 {row[f'{form}p50_ms']:.3f}, p99 {p99:.3f} "
                f"({row[f'{form}cpu_p99_ms']:.3f} of the process's own) ms",
                file=sys.stderr,
            )
        print(json.dumps(row))
