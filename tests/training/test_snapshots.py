"""Cycles of the learning rate, and what is kept at the end of each."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from neurolib.training.loop import TrainConfig, fit
from neurolib.training.schedules import SCHEDULES, cosine, cyclic
from neurolib.training.snapshots import snapshots

CFG = TrainConfig(steps=60, batch_size=8, lr=1e-2, eval_every=5, device="cpu", schedule="cyclic")


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 1)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def loss(self, batch):
        self.calls += self.training
        return (self.map(batch["x"]) - batch["y"]).square().mean()


def data(n=40, seed=0):
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3}


def test_the_cyclic_schedule_is_one_cosine_after_the_other():
    five = [cyclic(step, 100) for step in range(100)]
    assert five == pytest.approx([cosine(step % 20, 20) for step in range(100)])
    assert cyclic(100, 100) == pytest.approx(0)
    warm = [cyclic(step, 26, warmup=6, cycles=2) for step in range(26)]
    assert warm[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert warm[6:] == pytest.approx([cosine(step % 10, 10) for step in range(20)])
    assert SCHEDULES["cyclic"] is cyclic


def test_the_loop_takes_the_cyclic_schedule():
    torch.manual_seed(0)
    history = fit(Line(), data(), data(seed=1), replace(CFG, steps=50, eval_every=1))
    assert [i for i in range(50) if history.lr[i] == CFG.lr] == [0, 10, 20, 30, 40]


def test_a_snapshot_is_what_a_run_of_its_cycle_would_keep():
    torch.manual_seed(0)
    model = Line()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    kept = snapshots(model, data(), data(seed=1), CFG, n_cycles=3)
    assert len(kept) == 3
    assert [snapshot.model.calls.item() for snapshot in kept] == [20, 40, 60]
    other = Line()
    other.load_state_dict(start)
    for cycle, snapshot in enumerate(kept):
        fit(other, data(), data(seed=1), replace(CFG, steps=20, schedule="cosine", seed=cycle))
        assert torch.equal(other.map.weight, snapshot.model.map.weight)
        assert snapshot.history.step == [5, 10, 15, 20]
    assert torch.equal(model.map.weight, kept[-1].model.map.weight)
    assert not torch.equal(kept[0].model.map.weight, kept[1].model.map.weight)


def test_a_finished_cycle_is_not_trained_again(tmp_path):
    cfg = replace(CFG, checkpoint=str(tmp_path / "run"), checkpoint_every=10)
    torch.manual_seed(0)
    first = snapshots(Line(), data(), data(seed=1), cfg, n_cycles=2)
    torch.manual_seed(0)
    again = snapshots(Line(), data(), data(seed=1), cfg, n_cycles=2)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.model.map.weight, b.model.map.weight)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("cfg", "n_cycles", "message"),
    [(replace(CFG, schedule="cosine"), 3, "schedule='cosine'"), (CFG, 7, "steps=60"), (CFG, 0, "n_cycles=0")],
)
def test_settings_without_cycles_are_refused(cfg, n_cycles, message):
    with pytest.raises(ValueError, match=message):
        snapshots(Line(), data(), data(), cfg, n_cycles)
