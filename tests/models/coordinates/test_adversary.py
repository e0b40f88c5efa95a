"""The year's adversary: a reversed gradient, and latents that stop telling the year."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from torch import nn

from neurolib.models.coordinates.adversary import Adversarial, YearAdversaryConfig, ramp, reverse_gradient
from neurolib.training import checkpoints
from neurolib.training.loop import TrainConfig, fit


def test_the_gradient_is_minus_lambda_times_finite_differences():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x, step = torch.randn(2, 3, dtype=torch.float64, requires_grad=True), 1e-6
    reversed_ = reverse_gradient(x, 0.7)
    assert torch.equal(reversed_, x)
    net(reversed_).sum().backward()
    wanted = torch.zeros_like(x)
    with torch.no_grad():
        for i in np.ndindex(2, 3):
            shift = torch.zeros_like(x)
            shift[i] = step
            wanted[i] = -0.7 * (net(x + shift) - net(x - shift)).sum() / (2 * step)
    torch.testing.assert_close(x.grad, wanted, atol=1e-8, rtol=1e-6)


def test_the_ramp_is_flat_then_linear_then_flat():
    weights = [ramp(step, 100, highest=3.0) for step in range(101)]
    assert weights[20] == 0 and weights[50] == pytest.approx(1.5) and weights[80:] == [3.0] * 21
    assert all(later >= sooner for sooner, later in pairwise(weights))


YEARS = np.random.default_rng(0).integers(1997, 2019, 400).astype(float)


def test_the_head_learns_the_year_and_leaves_its_gradients_to_itself():
    torch.manual_seed(0)
    adversary = YearAdversaryConfig(steps=300, lr=1e-2).build(2, YEARS)
    year = torch.tensor(YEARS)
    latents = torch.stack([(year.float() - 2008) / 6, torch.randn(400)], dim=1)
    first = adversary.loss(latents, year).item()
    for _ in range(100):
        last = adversary.loss(latents, year).item()
    assert last < 0.1 * first
    assert all(p.grad is None and not p.requires_grad for p in adversary.parameters())


def test_an_unknown_year_is_left_out():
    adversary = YearAdversaryConfig().build(2, YEARS).eval()
    latents, year = torch.randn(6, 2), torch.tensor([2001.0, np.nan, 2010.0, np.nan, np.nan, 2003.0])
    known = ~year.isnan()
    assert adversary.loss(latents, year).item() == adversary.loss(latents[known], year[known]).item()
    nothing = adversary.loss(latents.requires_grad_(True), torch.full((6,), np.nan))
    nothing.backward()
    assert nothing.item() == 0


class Leaky(nn.Module):
    """A linear code for a target that has nothing to do with the year, which its random start leaks."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 3), nn.Linear(3, 1)

    def loss_and_latents(self, batch):
        latents = self.encoder(batch["x"])
        return (self.decoder(latents)[:, 0] - batch["target"]).square().mean(), latents

    def loss(self, batch):
        return self.loss_and_latents(batch)[0]


def toy():
    draw = np.random.default_rng(1)
    x = draw.standard_normal((800, 4)).astype(np.float32)
    data = {"x": torch.tensor(x), "target": torch.tensor(x[:, 1] - x[:, 2])}
    return data | {"year": torch.tensor(2008 + 6 * x[:, 0])}


def fresh_r2(model, data):
    """How much of the year a probe that was not trained against explains."""
    with torch.no_grad():
        latents = model.loss_and_latents(data)[1].numpy()
    year = data["year"].numpy()
    predicted = cross_val_predict(RidgeCV(), latents, year, cv=5)
    return 1 - ((year - predicted) ** 2).sum() / ((year - year.mean()) ** 2).sum()


def test_latents_trained_against_the_adversary_stop_telling_the_year():
    data, scores, losses = toy(), {}, {}
    rows = {"train": slice(0, 600), "valid": slice(600, 800)}
    train, valid = ({key: value[part] for key, value in data.items()} for part in rows.values())
    for highest in (0.0, 1.0):
        torch.manual_seed(0)
        cfg = YearAdversaryConfig(steps=400, highest=highest, hidden=16, lr=1e-2)
        model = Leaky()
        settings = TrainConfig(400, 64, lr=1e-2, eval_every=400, device="cpu", schedule="cosine")
        fit(Adversarial(model, cfg.build(3, train["year"])), train, valid, settings)
        scores[highest], losses[highest] = fresh_r2(model, data), model.loss(valid).item()
    assert scores[0.0] > 0.5
    assert scores[1.0] < 0.1
    assert losses[1.0] < 0.02  # of a target of variance 2


def test_a_resumed_adversary_goes_on_where_it_stopped(tmp_path):
    def new():
        torch.manual_seed(3)
        return YearAdversaryConfig(steps=10, hidden=8).build(2, YEARS)

    torch.manual_seed(0)
    latents, year = torch.randn(400, 2), torch.tensor(YEARS)
    whole, part = new(), new()
    wanted = [whole.loss(latents, year).item() for _ in range(8)]
    for _ in range(4):
        part.loss(latents, year)
    checkpoints.save(tmp_path / "state.pt", part.state_dict())
    other = YearAdversaryConfig(steps=10, hidden=8).build(2, YEARS)
    other.load_state_dict(checkpoints.load(tmp_path / "state.pt"))
    assert other.weight == part.weight > 0
    assert [other.loss(latents, year).item() for _ in range(4)] == wanted[4:]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"start=0\.8, end=0\.2"):
        YearAdversaryConfig(start=0.8, end=0.2)
    with pytest.raises(ValueError, match="highest=-1"):
        YearAdversaryConfig(highest=-1)
    with pytest.raises(ValueError, match="2 known years"):
        YearAdversaryConfig().build(2, [2001, 2001, np.nan])
