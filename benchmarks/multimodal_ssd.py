"""Claim ``multimodal.ssd``: the scan of Mamba-2 as products of matrices, against the loop over time.

CPU seconds of forward and backward on one thread, 8 sequences of 512 steps, 16 heads of 64 channels, 16
states. The loop is the usual one of small ports: it indexes its inputs at every step, and each index writes
a gradient of the whole input. ``unbound`` is our reference, a loop that splits the inputs once instead:
the harder peer. Outputs and gradients are compared first. CPU time is that of the process, which others do
not lengthen.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from neurolib.models.ssd import ssd_scan

BATCH, STEPS, HEADS, WIDTH, STATES = 8, 512, 16, 64, 16
TARGET, REPEATS, THREADS = 15.0, 3, 1

Scan = Callable[..., Tensor]


def draw(batch: int, steps: int, dtype: torch.dtype) -> list[Tensor]:
    """Inputs near where training starts: steps of 0.001 to 0.1, rates of 1 to 16."""
    rng = torch.Generator().manual_seed(0)
    dt = torch.exp(torch.rand(batch, steps, HEADS, generator=rng, dtype=torch.float64) * 4.6 - 6.9)
    rate = -1 - 15 * torch.rand(HEADS, generator=rng, dtype=torch.float64)
    x, b, c = (
        torch.randn(batch, steps, *shape, generator=rng, dtype=torch.float64)
        for shape in ((HEADS, WIDTH), (STATES,), (STATES,))
    )
    return [part.to(dtype).requires_grad_() for part in (x, dt, rate, b, c)]


def step_loop(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The peer."""
    h, outputs = x.new_zeros(*x[:, 0].shape, b.shape[2]), []
    keep, dx = torch.exp(dt * rate), dt[..., None] * x
    for t in range(x.shape[1]):
        h = keep[:, t, :, None, None] * h + dx[:, t, :, :, None] * b[:, t, None, None]
        outputs.append(torch.einsum("bhpn,bn->bhp", h, c[:, t]))
    return torch.stack(outputs, 1)


SCANS: dict[str, Scan] = {
    "ours": lambda *parts: ssd_scan(*parts)[0],
    "peer": step_loop,
    "unbound": lambda *parts: ssd_scan(*parts, backend="reference")[0],
}


def passes(scan: Scan, parts: list[Tensor]) -> list[Tensor]:
    """Output and gradients."""
    y = scan(*parts)
    above = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return [y.detach(), *torch.autograd.grad(y, parts, above)]


def check(scans: dict[str, Scan], parts: list[Tensor]) -> None:
    """Compare all with ours in float64, or stop: a faster wrong answer is no claim."""
    expected = passes(scans["ours"], parts)
    for name, scan in scans.items():
        for one, two in zip(passes(scan, parts), expected, strict=True):
            error = float((one - two).abs().max() / two.abs().max())
            if not error < 1e-12:
                raise AssertionError(f"relative difference {error:.1e} between ours and {name}")


def measure(claim: str, scans: dict[str, Scan], parts: list[Tensor], target: float) -> dict:
    """Median CPU seconds of each, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in scans}
    passes(scans["ours"], parts)  # warms up
    for _ in range(REPEATS):
        for name, scan in scans.items():
            start = time.process_time()
            passes(scan, parts)
            times[name].append(time.process_time() - start)
    row = {"claim": claim} | {f"{name}_s": statistics.median(found) for name, found in times.items()}
    ratio = row["peer_s"] / row["ours_s"]
    return row | {"ratio": ratio, "target": target, "device": "cpu", "threads": THREADS}


def main() -> list[dict]:
    """Check and measure."""
    torch.set_num_threads(THREADS)
    check(SCANS, draw(2, 70, torch.float64))
    return [measure("multimodal.ssd", SCANS, draw(BATCH, STEPS, torch.float32), TARGET)]


if __name__ == "__main__":
    for row in main():
        for name in SCANS:
            print(f"{row['claim']}: {name} {row[f'{name}_s']:.3f} CPU s", file=sys.stderr)
        print(f"{row['claim']}: {row['ratio']:.1f}x, target {row['target']:g}x", file=sys.stderr)
        print(json.dumps(row))
