"""Runs on several processes for test_sharding.py: a folder in, the trained weights of each run out.

    torchrun --nproc-per-node=2 ranks.py launched FOLDER    equality, as torchrun starts it
    python ranks.py forked FOLDER                           kills and other numbers of processes

The second forks its processes after its imports, which take longer than all runs together.
"""

import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from neurolib.training.loop import TrainConfig, fit

CFG = TrainConfig(
    steps=20,
    batch_size=6,
    lr=1e-2,
    weight_decay=0.1,
    schedule="cosine",
    grad_clip=0.5,
    eval_every=5,
    device="cpu",
    checkpoint_every=4,
)
MODES = {"ddp": CFG, "fsdp": replace(CFG, shard="fsdp"), "fsdp_ema": replace(CFG, shard="fsdp", ema=0.8)}


class Layer(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.map, self.drop = nn.Linear(5, 5), nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(torch.tanh(self.map(x)))


class Net(nn.Module):
    """Everything that may go wrong: unequal shares of a mean, a side that few rows use, a mean that is
    learnt outside the gradient, groups of parameters, sizes that no number of processes divides.
    """

    sometimes_unused = True

    def __init__(self, dropout=0.0, kill_at=0):
        super().__init__()
        self.layers = nn.ModuleList([Layer(dropout) for _ in range(2)])
        self.side, self.out = nn.Embedding(3, 5), nn.Linear(5, 1)
        self.register_buffer("seen", torch.zeros(1))
        self.kill_at, self.calls = kill_at, 0
        self.last = str(int(os.environ.get("WORLD_SIZE", 1)) - 1)
        self.double()

    def shard_parts(self):
        return self.layers

    def lr_factor(self, name):
        return 0.3 if name.startswith("side") else 1.0

    def no_decay(self, name):
        return name.endswith("bias")

    def weight(self, batch):
        return batch["share"].sum()

    def loss(self, batch):
        if self.training:
            self.calls += 1
            self.seen.add_(1.0)
            if self.calls == self.kill_at and os.environ["RANK"] == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        x = batch["x"]
        for layer in self.layers:
            x = layer(x)
        if batch["kind"].any():
            x = x + self.side(batch["kind"]) * (batch["kind"] > 0)[:, None]
        error = (self.out(x) - batch["y"]).square()[:, 0]
        return (error * batch["share"]).sum() / batch["share"].sum()


def net(dropout=0.0, kill_at=0):
    torch.manual_seed(0)
    return Net(dropout, kill_at)


def data(n, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=draw, dtype=torch.float64)
    share = 0.2 + torch.rand(n, generator=draw, dtype=torch.float64)
    kind = (torch.arange(n) % 9 == 0).long()
    return {"x": x, "y": x[:, :1] - 0.5 * x[:, 1:2].square(), "share": share, "kind": kind}


def train(cfg, dropout=0.0, kill_at=0):
    """Train on the processes that the environment names; weights and history of the first."""
    model = net(dropout, kill_at)
    rows = data(40, 1)
    history = fit(model, rows, {key: value[:11] for key, value in rows.items()}, cfg)
    return {"weights": model.state_dict(), "valid": history.valid, "step": history.step}


def write(path, result):
    if os.environ.get("RANK", "0") == "0":
        torch.save(result, path)


def launched(folder: Path) -> None:
    for name, cfg in MODES.items():
        write(folder / name, train(cfg))


def fork(world: int, work, *args) -> list[int]:
    """Exit codes of ``work(*args)`` in ``world`` processes that see what torchrun would tell them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(world):
        if pid := os.fork():
            pids.append(pid)
            continue
        try:
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
            os.environ.update(
                {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
            )
            work(*args)
            os._exit(0)
        except Exception as error:
            print(f"rank {rank} of {world}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def forked(folder: Path) -> None:
    def run(name, *args):
        write(folder / name, train(*args))

    codes = {}
    for name, world, shard in (("one", 1, "ddp"), ("ddp", 2, "ddp"), ("fsdp", 2, "fsdp")):
        cfg = replace(CFG, shard=shard)
        cut = replace(cfg, checkpoint=str(folder / f"{name}.cut"))
        # with dropout: every process must get its own random numbers back
        codes[f"{name} whole"] = fork(world, run, f"{name}_whole", cfg, 0.3)
        codes[f"{name} killed"] = fork(world, run, f"{name}_never", cut, 0.3, 11)
        codes[f"{name} resumed"] = fork(world, run, f"{name}_resumed", cut, 0.3)
    # two processes are killed after 4 steps on disk, one goes on to 8 and is killed, three end it
    moved = replace(CFG, shard="fsdp", ema=0.8, checkpoint=str(folder / "moved.parts"))
    codes["on 2, killed"] = fork(2, run, "never", moved, 0.0, 7)
    codes["on 1, killed"] = fork(1, run, "never", moved, 0.0, 7)
    codes["on 3"] = fork(3, run, "moved", moved)
    torch.save(codes, folder / "codes")


if __name__ == "__main__":
    import torch._dynamo  # loaded later otherwise, by each process anew
    import torch.distributed.checkpoint
    import torch.distributed.fsdp

    {"launched": launched, "forked": forked}[sys.argv[1]](Path(sys.argv[2]))
