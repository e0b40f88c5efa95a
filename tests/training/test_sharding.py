"""Several processes train as one does, whole models or shards on each, killed or moved on the way."""

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from neurolib.runs.scheduler import keep_bytecode
from neurolib.training import checkpoints
from neurolib.training.batches import training_batches
from neurolib.training.loop import TrainConfig, fit

RANKS = Path(__file__).with_name("ranks.py")
ranks = SimpleNamespace(**runpy.run_path(str(RANKS)))  # not a package: tests cannot import each other


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Weights of all runs; both kinds of processes are started together, imports being the most of it."""
    folder = tmp_path_factory.mktemp("runs")
    env = keep_bytecode(os.environ | {"OMP_NUM_THREADS": "1"}, RANKS.parents[2])
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    commands = [*torchrun, str(RANKS), "launched"], [str(RANKS), "forked"]
    started = [
        subprocess.Popen(
            [sys.executable, *words, str(folder)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for words in commands
    ]
    try:
        for process in started:
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said
    finally:
        for process in started:
            process.kill()
    return folder


def read(folder: Path, name: str) -> dict:
    return torch.load(folder / name, weights_only=True)


def assert_equal(found: dict, wanted: dict, atol: float) -> None:
    assert found["step"] == wanted["step"] == [5, 10, 15, 20]
    assert wanted["valid"][-1] == min(wanted["valid"])  # the weights kept are those of the end
    assert found["valid"] == pytest.approx(wanted["valid"], rel=0, abs=10 * atol)
    assert found["weights"].keys() == wanted["weights"].keys()
    for name, value in wanted["weights"].items():
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=atol)


@pytest.mark.parametrize("mode", ranks.MODES)
def test_two_processes_train_as_one(runs, mode):
    assert_equal(read(runs, mode), ranks.train(ranks.MODES[mode]), 1e-12)


@pytest.mark.parametrize("name", ["one", "ddp", "fsdp"])
def test_a_killed_process_costs_nothing_but_time(runs, name):
    """Killed at step 11, in the second epoch of seven steps; the last checkpoint is of step 8."""
    codes = read(runs, "codes")
    good = [0] if name == "one" else [0, 0]
    assert codes[f"{name} whole"] == codes[f"{name} resumed"] == good
    assert codes[f"{name} killed"] == ([-9] if name == "one" else [1, -9])
    assert not (runs / f"{name}_never").exists() and not list(runs.rglob("*.part"))
    assert_equal(read(runs, f"{name}_resumed"), read(runs, f"{name}_whole"), 0.0)


def test_shards_of_two_processes_go_on_in_one_and_then_in_three(runs):
    codes = read(runs, "codes")
    assert codes["on 2, killed"] == [1, -9] and codes["on 1, killed"] == [-9]
    assert codes["on 3"] == [0, 0, 0]
    assert_equal(read(runs, "moved"), ranks.train(ranks.MODES["fsdp_ema"]), 1e-12)
    assert checkpoints.load_state(runs / "moved.parts")["step"] == 20
    assert sorted(p.name for p in (runs / "moved.parts").iterdir()) == ["current", "step-00000020"]


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (9, 4), (23, 7), (5, 5)])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_processes_part_every_batch_among_them(n, batch_size, world):
    """Each row of an epoch goes to one process, once; only a rest too small for all is shared twice."""
    data, cpu = {"row": torch.arange(n)}, torch.device("cpu")
    steps = -(-n // batch_size)
    whole = [batch["row"] for batch in training_batches(data, range(2 * steps), batch_size, [3], cpu)]
    parts = [
        [
            batch["row"]
            for batch in training_batches(data, range(2 * steps), batch_size, [3], cpu, rank, world)
        ]
        for rank in range(world)
    ]
    for step, rows in enumerate(whole):
        shares = [part[step].tolist() for part in parts]
        assert all(shares) and max(map(len, shares)) - min(map(len, shares)) <= 1
        together = sorted(row for share in shares for row in share)
        if len(rows) >= world:
            assert together == sorted(rows.tolist())
        else:
            assert set(together) == set(rows.tolist())
    assert sorted(torch.cat(whole[:steps]).tolist()) == list(range(n))


def test_parameters_that_decay_and_those_that_do_not():
    """Without a gradient a step of AdamW is decay alone: p (1 - lr wd)."""

    class Still(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))

        def no_decay(self, name):
            return name == "b"

        def loss(self, batch):
            return 0.0 * (self.a.sum() + self.b.sum()) - (self.a[0].detach() < 1) * batch["x"].mean()

    model, data = Still(), {"x": torch.ones(4, 1)}
    fit(model, data, data, TrainConfig(steps=1, eval_every=1, lr=0.5, weight_decay=0.1, device="cpu"))
    assert model.a.tolist() == pytest.approx([0.95, 0.95]) and model.b.tolist() == [1.0, 1.0]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="shard='fsdpp'"):
        TrainConfig(shard="fsdpp")
    together = ranks.net()
    together.n_replicas = 2
    with pytest.raises(ValueError, match="seeds side by side"):
        fit(together, ranks.data(8, 0), ranks.data(8, 0), ranks.MODES["fsdp"])
    for shard, other in (("ddp", "fsdp"), ("fsdp", "ddp")):
        cfg = replace(ranks.CFG, steps=4, shard=shard, checkpoint=str(tmp_path / shard))
        ranks.train(cfg)
        with pytest.raises(ValueError, match=f"as shard='{shard}' writes it"):
            ranks.train(replace(cfg, shard=other))
    parts = tmp_path / "fsdp" / "step-00000004" / "__0_0.distcp"
    parts.write_bytes(parts.read_bytes()[:50])
    with pytest.raises(ValueError, match="step-00000004 is not a readable checkpoint"):
        ranks.train(replace(ranks.MODES["fsdp"], steps=4, checkpoint=str(tmp_path / "fsdp")))
