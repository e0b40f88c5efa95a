"""The training loop: exact resume, honest selection and loud failure."""

import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from neurolib.training import checkpoints
from neurolib.training.batches import rows_of_step, training_batches, trial_tensors
from neurolib.training.loop import TrainConfig, fit, pick_device
from neurolib.training.schedules import cosine

CPU = TrainConfig(steps=60, batch_size=8, lr=1e-2, eval_every=20, device="cpu")


class Line(nn.Module):
    """Least squares with dropout, so that the random state matters."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.map, self.drop = nn.Linear(3, 1), nn.Dropout(dropout)

    def loss(self, batch):
        return (self.map(self.drop(batch["x"])) - batch["y"]).square().mean()


def line_data(n=40, seed=0, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=draw, dtype=dtype)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=dtype) + 0.3
    return {"x": x, "y": y}


def line(dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return Line(dropout)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_training_finds_the_closed_form_solution():
    model = line()
    fit(
        model,
        line_data(),
        line_data(seed=1),
        replace(CPU, steps=600, lr=3e-2, weight_decay=0.0, schedule="cosine"),
    )
    torch.testing.assert_close(model.map.weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-3, rtol=0)
    torch.testing.assert_close(model.map.bias, torch.tensor([0.3]), atol=1e-3, rtol=0)


def test_every_row_is_seen_once_per_epoch_and_differently_in_the_next():
    epochs = [torch.cat([rows_of_step(e * 5 + s, 10, 2, seed=3) for s in range(5)]) for e in range(2)]
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_the_kept_weights_are_those_of_the_best_evaluation():
    class Worse(Line):
        """Its valid loss rises with every step."""

        def loss(self, batch):
            return super().loss(batch) if self.training else -1.0 / (1.0 + self.map.weight.square().sum())

    model = Worse()
    with torch.no_grad():
        model.map.weight.zero_()
    history = fit(model, line_data(), line_data(seed=1), CPU)
    assert history.valid == sorted(history.valid)
    assert history.best_step == 20
    assert (-1.0 / (1.0 + model.map.weight.square().sum())).item() == pytest.approx(history.valid[0])


def test_buffers_are_kept_from_the_best_evaluation_too():
    class Counted(Line):
        """Counts its steps in a buffer, as codebooks learn outside the gradient."""

        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.zeros(()))

        def loss(self, batch):
            if self.training:
                self.steps += 1
            return super().loss(batch) if self.training else (self.steps - 20).square()

    model = Counted()
    history = fit(model, line_data(), line_data(seed=1), CPU)
    assert history.best_step == 20 and model.steps == 20


def test_training_stops_when_patience_is_out():
    class Flat(Line):
        def loss(self, batch):
            return super().loss(batch) if self.training else torch.tensor(1.0)

    history = fit(Flat(), line_data(), line_data(), replace(CPU, steps=10_000, patience=3))
    assert history.step == [20, 40, 60, 80]


def test_averaged_weights_are_the_running_mean_of_the_trained_ones():
    seen = []

    class Watched(Line):
        def loss(self, batch):
            if self.training:
                seen.append(self.map.weight.detach().clone())
            return super().loss(batch)

    torch.manual_seed(0)
    model = Watched()
    fit(model, line_data(), line_data(), replace(CPU, steps=3, eval_every=3, ema=0.9))
    torch.manual_seed(0)
    last = Watched()
    fit(last, line_data(), line_data(), replace(CPU, steps=3, eval_every=3))
    path = [*seen[1:3], last.map.weight.detach()]
    average = seen[0]
    for weight in path:
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(model.map.weight.detach(), average)


def test_a_loss_that_is_not_finite_stops_the_run_with_the_step():
    data = line_data()
    data["x"][5] = float("nan")
    with pytest.raises(FloatingPointError, match="step 20"):
        fit(line(), data, line_data(), CPU)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="schedule='cosin'"):
        TrainConfig(schedule="cosin")
    with pytest.raises(ValueError, match="steps=0"):
        TrainConfig(steps=0)
    with pytest.raises(ValueError, match="differ in length"):
        fit(line(), {"x": torch.zeros(3, 3), "y": torch.zeros(4, 1)}, line_data(), CPU)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            pick_device("cuda")


def test_a_dataset_gives_the_batches_that_tensors_give():
    data = line_data(10)

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, i):
            return {key: tensor[i] for key, tensor in data.items()}

    cpu = torch.device("cpu")
    for a, b in zip(
        training_batches(data, range(2, 6), 4, [7], cpu),
        training_batches(Rows(), range(2, 6), 4, [7], cpu),
        strict=True,
    ):
        assert all(torch.equal(a[key], b[key]) for key in data)


def test_trials_become_masked_tensors(hand):
    tensors = trial_tensors(hand)
    assert tensors["counts"].shape == (len(hand), hand.lengths.max(), hand.n_units)
    assert tensors["mask"].sum() == len(hand.counts)
    torch.testing.assert_close(tensors["counts"][tensors["mask"]], torch.as_tensor(hand.counts).float())


def test_the_cosine_schedule_warms_up_and_ends_at_zero():
    assert [cosine(s, 12, warmup=2) for s in (0, 1, 2, 7, 12)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    cfg = replace(CPU, checkpoint=str(tmp_path / "run.pt"), checkpoint_every=10)
    fit(line(), line_data(), line_data(), cfg)
    with pytest.raises(ValueError, match=r"'lr': \(0.01, 0.5\)"):
        fit(line(), line_data(), line_data(), replace(cfg, lr=0.5))


def test_a_damaged_checkpoint_is_named_and_a_failed_write_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoints.save(path, {"step": 1})

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(path, {"step": 2})
    assert checkpoints.load(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"run.pt is not a readable checkpoint"):
        checkpoints.load(path)


def test_no_process_is_left_without_a_row_at_the_end_of_an_epoch():
    data, cpu = {"x": torch.arange(9.0)}, torch.device("cpu")
    ranks = [list(training_batches(data, range(3), 4, [0], cpu, rank, 2)) for rank in (0, 1)]
    assert [len(batch["x"]) for batch in ranks[0]] == [len(batch["x"]) for batch in ranks[1]] == [2, 2, 1]
