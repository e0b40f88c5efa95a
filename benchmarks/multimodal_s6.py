"""Claim ``multimodal.s6``: the scan of Mamba-1 with a gradient written by hand, against the loop over time.

CPU seconds of forward and backward on one thread, 8 sequences of 512 steps, 1024 channels, 16 states. The
loop is the usual one of small ports: it indexes its inputs at every step, and each index writes a gradient
of the whole input. ``unbound`` is our reference, a loop that splits the inputs once instead: the harder
peer, which also keeps every state. ``mambapy`` is that package's parallel scan, if it is there. Outputs and
gradients are compared first. CPU time is that of the process, which others do not lengthen.
"""

import json
import sys

import torch
from multimodal_ssd import THREADS, Scan, check, measure
from torch import Tensor

from neurolib.models.s6 import s6_scan

BATCH, STEPS, CHANNELS, STATES = 8, 512, 1024, 16
TARGET = 5.0


def draw(batch: int, steps: int, channels: int, dtype: torch.dtype) -> list[Tensor]:
    """Inputs near where training starts: steps of 0.001 to 0.1, rates of 1 to 16."""
    rng = torch.Generator().manual_seed(0)
    dt = torch.exp(torch.rand(batch, steps, channels, generator=rng, dtype=torch.float64) * 4.6 - 6.9)
    rate = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    x, b, c = (
        torch.randn(batch, steps, n, generator=rng, dtype=torch.float64) for n in (channels, STATES, STATES)
    )
    return [part.to(dtype).requires_grad_() for part in (x, dt, rate, b, c)]


def step_loop(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The peer."""
    h, outputs, dx = x.new_zeros(len(x), *rate.shape), [], dt * x
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t, :, None] * rate) * h + dx[:, t, :, None] * b[:, t, None]
        outputs.append(torch.einsum("bdn,bn->bd", h, c[:, t]))
    return torch.stack(outputs, 1)


def scans() -> dict[str, Scan]:
    """What is timed."""
    found: dict[str, Scan] = {
        "ours": lambda *parts: s6_scan(*parts)[0],
        "peer": step_loop,
        "unbound": lambda *parts: s6_scan(*parts, backend="reference")[0],
    }
    try:
        from mambapy.pscan import pscan
    except ImportError:
        return found

    def mambapy(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor) -> Tensor:
        states = pscan(torch.exp(dt[..., None] * rate), (dt * x)[..., None] * b[:, :, None])
        return (states @ c[..., None])[..., 0]

    return found | {"mambapy": mambapy}


def main() -> list[dict]:
    """Check and measure."""
    torch.set_num_threads(THREADS)
    timed = scans()
    check(timed, draw(2, 70, CHANNELS, torch.float64))  # as many channels, so that ours takes the same way
    return [measure("multimodal.s6", timed, draw(BATCH, STEPS, CHANNELS, torch.float32), TARGET)]


if __name__ == "__main__":
    for row in main():
        for name in (key.removesuffix("_s") for key in row if key.endswith("_s")):
            print(f"{row['claim']}: {name} {row[f'{name}_s']:.3f} CPU s", file=sys.stderr)
        print(f"{row['claim']}: {row['ratio']:.1f}x, target {row['target']:g}x", file=sys.stderr)
        print(json.dumps(row))
