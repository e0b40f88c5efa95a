"""Claims ``sparks.layer_d32``, ``layer_d256`` and ``train_step_d32``: Hebbian attention from spikes alone.

Layer: forward and backward of the additive rule's read-out at the size the SPARKS study trains with,
32 trials of 600 bins of 1 ms, 65 units at 9 Hz, against the rule bin by bin. The loop hands its
read-out on bin by bin, so nothing is stacked; ours hands on one per slot, and its time includes the
index tables of a new batch. Both get the same gradients from above, ours summed over the bins of a
slot as whatever reads slots would return them. Outputs and gradients are compared first.

Train step: one optimiser step of the whole sequence VAE, against the same model encoded and decoded one
bin after the other, as the published code does. A GPU adds ``train_step_gpu`` and ``demo_gpu_s``, the
seconds of the published training, 150 steps of 154 trials.

The allocator is told to keep the pages it has. Otherwise the system hands large tensors out anew on
every step, which costs either side up to as much again, by luck of what was allocated before.
"""

import ctypes
import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.hebbian.events import event_read
from neurolib.models.hebbian.plan import plan_events
from neurolib.models.hebbian.rules import Traces, advance, loop, rest
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.runs.bench import alternate

BATCH, N_BINS, N_UNITS, RATE_HZ, BIN_SIZE_S, TAU_S = 32, 600, 65, 9.0, 0.001, 0.5
TARGETS = {32: 10.0, 256: 6.0}  # times as fast as the loop, by width of the value
TRAIN_TARGET = {"cpu": 8.0, "cuda": 50.0}
DEMO_STEPS, DEMO_TRIALS, DEMO_TARGET_S = 150, 154, 10.0
REPEATS, THREADS = 5, 1


def draw(batch: int, d: int, dtype: torch.dtype, device: str) -> tuple[Tensor, list[Tensor]]:
    """Counts, and the four trace tensors and the value near where training starts."""
    rng = torch.Generator().manual_seed(0)
    counts = torch.rand(batch, N_BINS, N_UNITS, generator=rng) < RATE_HZ * BIN_SIZE_S
    normal = [torch.randn(N_UNITS, n, generator=rng, dtype=torch.float64) for n in [N_UNITS] * 4 + [d]]
    tensors = [
        normal[0] / (2 * N_UNITS) ** 0.5,
        -BIN_SIZE_S / TAU_S * torch.exp(0.3 * normal[1]),
        normal[2] / (2 * N_UNITS) ** 0.5 - 0.7,
        -BIN_SIZE_S / TAU_S * torch.exp(0.3 * normal[3]),
        normal[4] / N_UNITS**0.5,
    ]
    return counts.to(device, dtype), [tensor.to(device, dtype).requires_grad_() for tensor in tensors]


def check(d: int, device: str) -> None:
    """Compare outputs and gradients in float64, or stop: a faster wrong answer is no claim."""
    counts, tensors = draw(4, d, torch.float64, device)
    *traces, value = tensors
    results = []
    for form in (event_read, loop):
        read, _ = form("additive", Traces(*traces), counts, value)
        read = read if isinstance(read, Tensor) else read.expand()
        above = torch.linspace(-1, 1, read.numel(), device=device, dtype=read.dtype).view_as(read)
        results.append([read.detach(), *torch.autograd.grad(read, tensors, above)])
    for ours, theirs in zip(*results, strict=True):
        error = float((ours - theirs).abs().max() / theirs.abs().max())
        if not error < 1e-11:
            raise AssertionError(f"relative difference {error:.1e} from the loop at d={d}")


def layer(d: int, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward and backward in float32, ours and bin by bin."""
    counts, tensors = draw(BATCH, d, torch.float32, device)
    traces, value = Traces(*tensors[:4]), tensors[4]
    rng = torch.Generator().manual_seed(1)
    above = torch.randn(N_BINS, BATCH, N_UNITS, d, generator=rng).to(device)
    with torch.no_grad():
        read, _ = event_read("additive", traces, counts, value)
    above_slot = torch.zeros_like(read.values).flatten(0, 1)
    trial = torch.arange(BATCH, device=device)
    above_slot.index_add_(0, (read.slot * BATCH + trial[:, None]).T.flatten(), above.flatten(0, 1))
    above_slot = above_slot.view_as(read.values)

    def ours() -> tuple[Tensor, ...]:
        read, _ = event_read("additive", traces, counts, value, need_state=False)
        return finish(torch.autograd.grad(read.values, tensors, above_slot), device)

    def peer() -> tuple[Tensor, ...]:
        state, reads = rest("additive", counts), []
        for t in range(N_BINS):
            state = advance("additive", traces, state, counts[:, t])
            reads.append(state.attention @ value)
        return finish(torch.autograd.grad(reads, tensors, list(above)), device)

    return ours, peer


def finish(result, device: str):
    """Wait for the GPU: what it has not done yet is not in the time."""
    if device == "cuda":
        torch.cuda.synchronize()
    return result


def train_step(form: str, device: str, batch: int = BATCH) -> tuple[SequenceVAE, Callable[[], Tensor]]:
    """The sequence VAE, and one optimiser step of it as a function that returns the loss before it."""
    torch.manual_seed(0)
    cfg = VAEConfig(HebbianConfig("additive", d=32), n_latents=3, past_bins=10)
    model = SequenceVAE(cfg, N_UNITS, 2, BIN_SIZE_S).to(device).train()
    optimiser = torch.optim.Adam(model.parameters())
    data = {
        "counts": (torch.rand(batch, N_BINS, N_UNITS) < RATE_HZ * BIN_SIZE_S).float().to(device),
        "behaviour": torch.randn(batch, N_BINS, 2).to(device),
        "mask": torch.ones(batch, N_BINS, dtype=torch.bool, device=device),
    }

    def step() -> Tensor:
        optimiser.zero_grad()
        loss = model.loss(data) if form == "whole" else bin_by_bin(model, data)
        loss.backward()
        optimiser.step()
        return finish(loss.detach(), device)

    return model, step


def bin_by_bin(model: SequenceVAE, data: dict[str, Tensor]) -> Tensor:
    """The loss of the model as the published code computes it: encode and decode one bin after the other."""
    cfg, memory, total = model.cfg, None, 0.0
    past = data["counts"].new_zeros(len(data["counts"]), cfg.past_bins - 1, cfg.n_latents)
    for t in range(N_BINS):
        mean, log_variance, memory = model.encode(data["counts"][:, t : t + 1], memory)
        past = torch.cat([past, model._draw(mean, log_variance)], dim=1)
        raw = model._decode(past.transpose(1, 2).flatten(1)[:, None])
        miss = model._miss(raw, data["behaviour"][:, t : t + 1, None]).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        total, past = total + miss + cfg.beta * divergence, past[:, 1:]
    return total / N_BINS


def check_train_step(device: str) -> None:
    """Compare losses of two steps of both forms, latents at their mean since noise comes in other shapes."""
    results = []
    for form in ("whole", "bins"):
        model, step = train_step(form, device, batch=4)
        model.eval()
        losses = [step(), step()]  # the second is after an update, so it depends on the gradients
        results.append(torch.stack(losses))
    torch.testing.assert_close(*results, rtol=1e-5, atol=0)


def demo(device: str) -> float:
    """Seconds of the published training, full batches of all trials."""
    _, step = train_step("whole", device, DEMO_TRIALS)
    step()
    start = time.perf_counter()
    for _ in range(DEMO_STEPS):
        step()
    return time.perf_counter() - start


def plan_seconds(counts: Tensor, device: str) -> float:
    """Median seconds of the index tables, which :func:`layer` makes anew each time."""
    return alternate(lambda: finish(plan_events(counts), device), lambda: None, REPEATS)[0]


def keep_pages() -> None:
    """Never give freed memory back to the system, where the C library is GNU's."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        trim_threshold, mmap_max = -1, -4
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(mmap_max, 0)


def timed(
    claim: str, target: float, device: str, ours: Callable[[], object], peer: Callable[[], object]
) -> dict:
    """Run both in turn; medians in seconds."""
    ours_s, peer_s = alternate(ours, peer, REPEATS)
    return {
        "claim": f"sparks.{claim}",
        "ours_s": ours_s,
        "peer_s": peer_s,
        "ratio": peer_s / ours_s,
        "target": target,
        "device": device,
        "threads": THREADS,
    }


def main() -> list[dict]:
    """Time ours and the peer on the CPU, and on the GPU if there is one."""
    torch.set_num_threads(THREADS)
    keep_pages()
    rows = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for d, target in TARGETS.items():
            check(d, device)
            ours, peer = layer(d, device)
            for a, b in zip(ours(), peer(), strict=True):  # warms up, and compares what is timed
                torch.testing.assert_close(a, b, rtol=0, atol=1e-3 * float(b.abs().max()))
            claim = f"layer_d{d}" + (".cuda" if device == "cuda" else "")
            rows.append(timed(claim, target, device, ours, peer))
            counts, _ = draw(BATCH, d, torch.float32, device)
            rows[-1]["plan_s"] = plan_seconds(counts, device)
            del ours, peer, a, b  # gigabytes
        check_train_step(device)
        steps = [train_step(form, device)[1] for form in ("whole", "bins")]
        claim = "train_step_d32" if device == "cpu" else "train_step_gpu"
        rows.append(timed(claim, TRAIN_TARGET[device], device, *steps))
        if device == "cuda":
            rows.append(
                {
                    "claim": "sparks.demo_gpu_s",
                    "value": demo(device),
                    "target": DEMO_TARGET_S,
                    "device": device,
                    "threads": THREADS,
                }
            )
    return rows


if __name__ == "__main__":
    for row in main():
        if "ratio" in row:
            plan = f" ({row['plan_s'] * 1e3:.1f} ms of it the index tables)" if "plan_s" in row else ""
            print(
                f"{row['claim']}: {row['ratio']:.1f}x as fast as the loop: {row['ours_s'] * 1e3:.0f} ms{plan}, "
                f"loop {row['peer_s'] * 1e3:.0f} ms, {row['device']}, {row['threads']} thread(s)",
                file=sys.stderr,
            )
        print(json.dumps(row))
