"""Missing metadata against a truth that is known: calibrated intervals, and nothing learned from gaps."""

import math

import numpy as np
import pytest
import torch

from neurolib.models.coordinates.imputation import ImputationConfig

W = torch.tensor([1.5, -1.0, 0.0, 0.5])
NOISE = 0.8
CFG = ImputationConfig(("year", "age"), (("space", 3),), hidden=32)


def truth(n: int, seed: int):
    """Year is linear in the features, age is noise, space follows the largest of three features."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=draw)
    year = 2008 + 5 * (x @ W + NOISE * torch.randn(n, generator=draw))
    age = 30 + 4 * torch.randn(n, generator=draw)
    gumbel = -torch.empty(n, 3).exponential_(generator=draw).log()
    return x, torch.stack([year, age], dim=1), (2 * x[:, :3] + gumbel).argmax(1, keepdim=True)


def hidden(values, classes, seed: int):
    """Half of all entries are missing at random."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.where(torch.rand(values.shape, generator=draw) < 0.5, torch.nan, values)
    return values, torch.where(torch.rand(classes.shape, generator=draw) < 0.5, -1, classes)


@pytest.fixture(name="imputer", scope="module")
def _imputer():
    x, values, classes = truth(6000, seed=0)
    values, classes = hidden(values, classes, seed=1)
    torch.manual_seed(0)
    imputer = CFG.build(4, values, classes)
    optimiser = torch.optim.AdamW(imputer.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)
    for step in range(400):
        rows = torch.randint(6000, (256,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        imputer.loss(x[rows], values[rows], classes[rows]).backward()
        optimiser.step()
        schedule.step()
    return imputer.eval()


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_cover_what_they_say(imputer, level):
    x, values, _ = truth(4000, seed=2)
    low, high = imputer.intervals(x, level)
    covered = ((low <= values) & (values <= high)).double().mean(0)
    assert covered.tolist() == pytest.approx([level, level], abs=0.035)
    # calibration alone would be had from the marginal; these are as narrow as the truth allows
    reach = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + level) / 2)).item()
    widths = (high - low).median(0).values.tolist()
    assert widths == pytest.approx([2 * reach * 5 * NOISE, 2 * reach * 4], rel=0.1)


def test_the_likelihood_comes_close_to_the_truths(imputer):
    x, values, classes = truth(4000, seed=3)
    year_sd = 5 * math.sqrt((W @ W).item() + NOISE**2)
    gaussian = 0.5 * math.log(2 * math.pi * math.e)
    year = gaussian + math.log(5 * NOISE / year_sd)  # in standard deviations, as the loss counts
    space = torch.nn.functional.cross_entropy(2 * x[:, :3], classes[:, 0]).item()
    wanted = (year + gaussian + space) / 3
    assert imputer.loss(x, values, classes).item() == pytest.approx(wanted, abs=0.03)
    marginal = (2 * gaussian + math.log(3)) / 3
    assert imputer.loss(x, values, classes).item() < marginal - 0.3


def test_only_observed_entries_teach(imputer):
    x, values, classes = truth(50, seed=4)
    values[::2, 0], classes[1::2] = torch.nan, -1
    imputer.zero_grad()
    loss = imputer.loss(x, values, classes)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in imputer.parameters())
    mean, log_variance, (logits,) = (part for part in imputer(x))
    target, total, n = (values - imputer.offset) / imputer.scale, 0.0, 0
    for row in range(50):
        for field in range(2):
            if not values[row, field].isnan():
                normal = torch.distributions.Normal(mean[row, field], (log_variance[row, field] / 2).exp())
                total, n = total - normal.log_prob(target[row, field]).item(), n + 1
        if classes[row] >= 0:
            total, n = total - logits[row].log_softmax(0)[classes[row]].item(), n + 1
    assert loss.item() == pytest.approx(total / n, rel=1e-4)
    nothing = imputer.loss(x, torch.full_like(values, torch.nan), torch.full_like(classes, -1))
    assert nothing.item() == 0


def test_a_filled_condition_keeps_what_was_seen_and_says_what_was_drawn(imputer):
    torch.manual_seed(0)
    x, values, classes = truth(4000, seed=5)
    gaps, missing = hidden(values, classes, seed=6)
    filled = imputer.fill(x, gaps, missing)
    assert filled.shape == (4000, imputer.n_condition) and filled.isfinite().all()
    value, bit, sigma = filled[:, :2], filled[:, 2:4], filled[:, 4:6]
    seen = ~gaps.isnan()
    assert torch.equal(bit.bool(), seen)
    torch.testing.assert_close(value[seen], ((values - imputer.offset) / imputer.scale)[seen])
    assert (sigma[seen] == 0).all() and (sigma[~seen] > 0).all()
    # draws have the spread that they claim
    mean = imputer(x)[0]
    z = ((value - mean) / sigma)[~seen]
    assert z.std().item() == pytest.approx(1, abs=0.05)
    known = missing[:, 0] >= 0
    assert torch.equal(filled[known, 6:9].argmax(1), classes[known, 0])
    assert torch.equal(filled[:, 9].bool(), known)
    assert (filled[known, 10] == 0).all()
    drawn, p = filled[~known, 6:9], imputer(x)[2][0].softmax(1)[~known]
    assert ((drawn == 0) | (drawn == 1)).all()
    assert drawn.mean(0).tolist() == pytest.approx(p.mean(0).tolist(), abs=0.03)


def test_gradients_flow_through_the_draws():
    x, values, classes = truth(600, seed=7)
    imputer = CFG.build(4, values, classes)
    gaps, missing = torch.full((5, 2), torch.nan), torch.full((5, 1), -1)
    (imputer.fill(x[:5], gaps, missing) * torch.randn(imputer.n_condition)).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in imputer.parameters())


def test_scarce_and_odd_fields_are_refused():
    x, values, classes = truth(600, seed=8)
    values[499:, 1] = torch.nan
    with pytest.raises(ValueError, match="field 'age' is known for 499 of 600 studies, 500 are needed"):
        CFG.build(4, values, classes)
    with pytest.raises(ValueError, match="field 'space' is known for 0 of 0"):
        ImputationConfig(categorical=(("space", 3),)).build(4)
    with pytest.raises(ValueError, match="one column each"):
        CFG.build(4, values[:, 1:], classes)
    with pytest.raises(ValueError, match="class 2 of 2"):
        ImputationConfig(categorical=(("space", 2),)).build(4, classes=classes)
    ImputationConfig(("age",), least_observed=400).build(4, values[:, 1:])
    with pytest.raises(ValueError, match="each once"):
        ImputationConfig(("year", "year"))
    with pytest.raises(ValueError, match="1 classes"):
        ImputationConfig(categorical=(("sign", 1),))
    with pytest.raises(ValueError, match="level=90"):
        ImputationConfig(("age",), least_observed=1).build(4, np.ones((3, 1))).intervals(x, 90)
