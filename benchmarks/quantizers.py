"""Claims ``rvq.*``: residual and finite scalar quantizers, their start by k-means, and one latent at a time.

The peer is vector-quantize-pytorch with the same codebooks; where that is not installed, the same recipe
written out below (distances with square roots, one-hot rows, a straight-through step and running means by
einsum in each stage), and the rows say so. Before anything is timed, codes are compared one by one, and
codebooks after a training step. The training step is the peer's straight-through form, the faster of
its two. k-means is compared with scikit-learn's best of ten runs, on the same latents.

Times are processor time, medians of calls in turn, with the system's allocator as it is: about a quarter
of the peer's time for a batch is fresh memory for what it keeps of every stage, which is its cost.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.kmeans import kmeans
from neurolib.models.quantizers.residual import ResidualConfig, ResidualQuantizer

BATCH, DIM, STAGES, SIZE, LEVELS, DECAY = 4096, 256, 4, 128, (8, 5, 5, 5), 0.99
KMEANS_POINTS, KMEANS_DIM, KMEANS_ERROR = 9389, 128, 1.01
TARGETS = {
    "eval_eager": 3.5,
    "eval_compiled": 5.0,
    "train_step": 2.4,
    "eval_b1": 15.0,
    "fsq": 1.5,
    "kmeans": 20.0,
    "numpy_encode_ms": 0.1,
}
THREADS = 1


class PlainStage(nn.Module):
    """One stage as the package has it: cdist, one-hot, einsum."""

    def __init__(self, dim: int, size: int, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("embed", torch.randn(size, dim))
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", self.embed.clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Code vectors, codes and commitment."""
        flat = x.detach()
        squares = flat.square().sum(1)[:, None] + self.embed.square().sum(1)
        scores = -(squares - 2 * torch.einsum("id,jd->ij", flat, self.embed)).clamp(min=1e-8).sqrt()
        codes = scores.argmax(dim=-1)
        one_hot = nn.functional.one_hot(codes, len(self.embed)).to(x.dtype)
        if not self.training:
            return self.embed[codes], codes, x.new_zeros(())
        quantized = torch.einsum("nc,cd->nd", one_hot, self.embed)
        self.counts.lerp_(one_hot.sum(dim=0), 1 - self.decay)
        self.sums.lerp_(torch.einsum("nd,nc->cd", flat, one_hot), 1 - self.decay)
        total = self.counts.sum()
        smooth = (self.counts + 1e-5) / (total + len(self.counts) * 1e-5) * total
        self.embed.copy_(self.sums / smooth[:, None])
        commitment = nn.functional.mse_loss(quantized, x)
        return x + (quantized - x).detach(), codes, commitment


class PlainResidual(nn.Module):
    """The package's residual loop."""

    def __init__(self, dim: int, n_stages: int, size: int, decay: float):
        super().__init__()
        self.layers = nn.ModuleList([PlainStage(dim, size, decay) for _ in range(n_stages)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantized latents, codes and commitments."""
        left, total, codes, losses = x, torch.zeros_like(x), [], []
        for layer in self.layers:
            quantized, code, loss = layer(left)
            left, total = left - quantized.detach(), total + quantized
            codes.append(code)
            losses.append(loss)
        return total, torch.stack(codes, dim=-1), torch.stack(losses)


class PlainGrid(nn.Module):
    """Finite scalar quantization as published, latents by rows and the bound's constants made on each call."""

    def __init__(self, levels: tuple[int, ...], dim: int):
        super().__init__()
        self.register_buffer("levels", torch.tensor(levels))
        self.register_buffer("place", torch.cumprod(torch.tensor([1, *levels[:-1]]), 0))
        self.project_in, self.project_out = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Quantized latents and codes."""
        half = (self.levels - 1) * 1.001 / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = torch.tanh(self.project_in(z) + torch.atanh(offset / half)) * half - offset
        width = self.levels // 2
        point = (bounded + (bounded.round() - bounded).detach()) / width
        codes = ((point * width + width) * self.place).sum(dim=-1).round().to(torch.int32)
        return self.project_out(point), codes


def peers(ours: ResidualQuantizer) -> tuple[str, nn.Module, nn.Module]:
    """Name of what we compare with, its residual quantizer with our codebooks, and its finite scalar one."""
    shares = BATCH * ours.shares
    try:
        from vector_quantize_pytorch import FSQ, ResidualVQ
    except ImportError:
        name = "vector-quantize-pytorch's recipe, written out here (not installed)"
        theirs, grid = PlainResidual(DIM, STAGES, SIZE, DECAY), PlainGrid(LEVELS, DIM)
        for layer, book, count in zip(theirs.layers, ours.codes, shares, strict=True):
            layer.embed.copy_(book)
            layer.counts.copy_(count)
            layer.sums.copy_(count[:, None] * book)
        return name, theirs, grid
    theirs = ResidualVQ(dim=DIM, num_quantizers=STAGES, codebook_size=SIZE, decay=DECAY, rotation_trick=False)
    for layer, book, count in zip(theirs.layers, ours.codes, shares, strict=True):
        layer.codebook = book
        layer._codebook.cluster_size.copy_(count[None])
        layer._codebook.embed_avg.copy_((count[:, None] * book)[None])
    return f"vector-quantize-pytorch {version('vector-quantize-pytorch')}", theirs, FSQ(list(LEVELS), dim=DIM)


def latents(n: int, dim: int) -> Tensor:
    """Points near a curved manifold of eight dimensions, as an encoder makes them."""
    draw = np.random.default_rng(0)
    curved = np.tanh(draw.standard_normal((n, 8)) @ draw.standard_normal((8, dim)))
    return torch.tensor(curved + 0.1 * draw.standard_normal((n, dim)), dtype=torch.float32)


def timed(
    claim: str,
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    repeats: int,
    calls: int = 1,
) -> dict:
    """Run both in turn; median processor seconds of a call."""
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for repeat in range(repeats + 1):  # the first warms up
        for i, function in enumerate((ours, peer)):
            start = time.process_time()
            for _ in range(calls):
                function()
            if repeat:
                seconds[i].append((time.process_time() - start) / calls)
    ours_s, peer_s = statistics.median(seconds[0]), statistics.median(seconds[1])
    return row(claim, ours_s=ours_s, peer_s=peer_s, ratio=peer_s / ours_s, peer=name)


def row(claim: str, **values) -> dict:
    """A line of results."""
    return {
        "claim": f"rvq.{claim}",
        **values,
        "target": TARGETS[claim],
        "device": "cpu",
        "threads": THREADS,
    }


def same(what: str, ours: Tensor, theirs: Tensor) -> None:
    """Stop unless all codes agree: a faster wrong answer is no claim."""
    if differ := int((ours.reshape(-1) != theirs.reshape(-1)).sum()):
        raise AssertionError(f"{what}: {differ} of {ours.numel()} codes differ")


def evaluation(z: Tensor) -> list[dict]:
    """The residual quantizer in use: a batch, eager and compiled, one latent, and the same in NumPy."""
    ours = ResidualConfig(STAGES, SIZE, decay=DECAY).build(DIM).init_kmeans(z).eval()
    name, theirs, _ = peers(ours)
    theirs.eval()
    one = z[:1].clone()
    rows = []
    with torch.no_grad():
        same("batch", ours(z).codes, theirs(z)[1])
        rows.append(timed("eval_eager", name, lambda: ours(z), lambda: theirs(z), 21))
        same("one latent", ours(one).codes, theirs(one)[1])
        rows.append(timed("eval_b1", name, lambda: ours(one), lambda: theirs(one), 15, calls=60))
        stream, latent = ours.stream(), one[0].numpy()
        same("stream", torch.from_numpy(stream.encode(latent)), ours(one).codes)
        encode = timed("eval_b1", name, lambda: stream.encode(latent), lambda: None, 15, calls=300)["ours_s"]
        rows.append(row("numpy_encode_ms", value=1e3 * encode))
        try:
            compiled = torch.compile(ours)
            same("compiled", compiled(z).codes, theirs(z)[1])
        except Exception as error:  # no compiler, or one that torch cannot use
            print(f"rvq.eval_compiled: torch.compile failed here ({type(error).__name__})", file=sys.stderr)
        else:
            rows.append(timed("eval_compiled", name, lambda: compiled(z), lambda: theirs(z), 21))
            rows[-1]["pays"] = rows[-1]["ours_s"] < rows[0]["ours_s"]
    return rows


def training(z: Tensor) -> dict:
    """Forward and backward with commitment and running means, after a check that one step learns the same."""
    ours = ResidualConfig(STAGES, SIZE, decay=DECAY).build(DIM).init_kmeans(z).train()
    name, theirs, _ = peers(ours)
    theirs.train()
    z = z.clone().requires_grad_()
    above = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))

    def step() -> Tensor:
        done = ours(z)
        torch.autograd.backward([done.z_q, done.loss], [above, torch.ones_like(done.loss)])
        return done.codes

    def peer() -> Tensor:
        z_q, codes, losses = theirs(z)
        torch.autograd.backward([z_q, losses], [above, torch.ones_like(losses)])
        return codes

    same("training step", step(), peer())
    same("after a training step", ours.eval()(z).codes, theirs.eval()(z)[1])
    ours.train(), theirs.train()
    return timed("train_step", name, step, peer, 15)


def grid(z: Tensor) -> dict:
    """Finite scalar quantization with the same projections."""
    ours = FiniteScalarConfig(LEVELS).build(DIM).init_kmeans(z).eval()
    name, _, theirs = peers(ResidualConfig(STAGES, SIZE).build(DIM))
    theirs.eval()
    theirs.project_in.load_state_dict(ours.projection.enter.state_dict())
    theirs.project_out.load_state_dict(ours.projection.leave.state_dict())
    found = {}
    with torch.no_grad():
        same("finite scalar", ours(z).codes, theirs(z[None])[1])
        for n in (BATCH, 64, 1):
            part = z[:n].clone()
            batch = part[None]  # the package takes (batch, time, channel)
            found[n] = timed(
                "fsq", name, lambda p=part: ours(p), lambda b=batch: theirs(b), 31, calls=1 + 500 // n
            )
    return found[BATCH] | {"ratio_batch_64": found[64]["ratio"], "ratio_batch_1": found[1]["ratio"]}


def clustering() -> dict:
    """Ours against scikit-learn's best of ten; a third number is one run of theirs."""
    points = latents(KMEANS_POINTS, KMEANS_DIM)
    array, errors = points.numpy(), {}

    def ours() -> None:
        errors["ours"] = kmeans(points, SIZE).inertia

    def peer(n_init: int = 10) -> None:
        errors["peer"] = KMeans(SIZE, n_init=n_init, random_state=0).fit(array).inertia_

    found = timed("kmeans", "scikit-learn KMeans, n_init=10", ours, peer, 3)
    found["error"] = errors["ours"] / errors["peer"]
    if not found["error"] < KMEANS_ERROR:
        raise AssertionError(f"error {found['error']:.4f} of scikit-learn's")
    found["ratio_to_one_run"] = timed("kmeans", "", ours, lambda: peer(1), 3)["ratio"]
    return found


@threadpool_limits.wrap(limits=THREADS)
def main() -> list[dict]:
    """Time all."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", category=UserWarning)  # of torch.compile
    z = latents(BATCH, DIM)
    return [*evaluation(z), training(z), grid(z), clustering()]


if __name__ == "__main__":
    for result in main():
        if "ratio" in result:
            more = {
                key: result[key]
                for key in ("error", "ratio_to_one_run", "ratio_batch_64", "ratio_batch_1", "pays")
                if key in result
            }
            print(
                f"{result['claim']}: {result['ratio']:.1f}x as fast as {result['peer']}: "
                f"{result['ours_s'] * 1e3:.3f} ms, peer {result['peer_s'] * 1e3:.3f} ms, {THREADS} thread"
                + "".join(f", {key} {value:.4g}" for key, value in more.items()),
                file=sys.stderr,
            )
        else:
            print(f"{result['claim']}: {result['value']:.4f}", file=sys.stderr)
        print(json.dumps(result))
