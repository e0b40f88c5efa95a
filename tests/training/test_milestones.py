"""Milestones are what a shorter training ends with, and do not change the training."""

import pytest
import torch
from torch import nn

from neurolib.training.loop import TrainConfig, fit
from neurolib.training.milestones import Milestones, log_steps


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 1)

    def loss(self, batch):
        return (self.map(batch["x"]) - batch["y"]).square().mean()


def run(steps, watch=None):
    torch.manual_seed(0)
    line = Line()
    rng = torch.Generator().manual_seed(1)
    batch = {"x": torch.randn(32, 3, generator=rng), "y": torch.randn(32, 1, generator=rng)}
    model = line if watch is None else Milestones(line, watch)
    fit(model, batch, batch, TrainConfig(steps, 8, 1e-2, eval_every=1, device="cpu", patience=0))
    return model, line


def test_a_milestone_is_where_a_shorter_training_was():
    watched, _ = run(9, [0, 4, 8])
    torch.manual_seed(0)
    assert torch.equal(watched.at(0).map.weight, Line().map.weight)
    _, short = run(4)
    assert torch.allclose(watched.at(4).map.weight, short.map.weight)
    with pytest.raises(ValueError, match="no milestone at step 5"):
        watched.at(5)


def test_steps_are_different_and_end_where_asked():
    assert log_steps(192, 12)[-1] == 192 and len(set(log_steps(20, 30))) == len(log_steps(20, 30))
    with pytest.raises(ValueError, match="rising"):
        log_steps(1, 5)
