"""Forecasts: nothing of the future gets in, and each channel and horizon is scored by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.forecasting import (
    ForecastConfig,
    baselines,
    forecast_loss,
    forecast_skill,
    future,
    until,
)
from neurolib.models.multimodal.inputs import ModalityInput

HORIZONS = (1, 2, 5, 10)


def test_latents_after_the_origin_are_not_read_and_those_before_are():
    torch.manual_seed(0)
    forecaster = ForecastConfig(heads=2, step_s=0.1).build(8)
    latents = torch.randn(2, 12, 8)
    time = (0.1 * torch.arange(6)).repeat_interleave(2).expand(2, 12)  # two slots per step
    origin = torch.tensor([0.2, 0.5])
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, 0] = False
    allowed = mask & (time <= origin[:, None] + 1e-6)
    states = forecaster(latents, time, origin, mask)
    assert states.shape == (2, 4, 8)
    wild = latents.masked_fill(~allowed[..., None], float("nan")).requires_grad_(True)
    same = forecaster(wild, time, origin, mask)
    assert torch.equal(same, states)
    same.sin().sum().backward()
    assert ((wild.grad.abs().sum(-1) > 0) == allowed).all()
    later = forecaster(latents, time + 3, origin + 3, mask)  # only ages count
    np.testing.assert_allclose(later.detach(), states.detach(), atol=1e-5)
    older = forecaster(latents, torch.where(time < 0.15, time - 0.1, time), origin, mask)
    assert (older - states).abs().max() > 1e-5
    none = forecaster(latents, time + 9, origin)  # nothing known yet
    assert none.isfinite().all() and torch.equal(none[0], none[1])


def test_inputs_are_cut_at_the_origin_of_each_window():
    eeg = ModalityInput.sampled(torch.randn(2, 10, 3), 10.0)
    spike = ModalityInput.events(
        torch.tensor([0.05, 0.4, 0.45, 0.1, 0.9]),
        torch.tensor([0, 1, 0, 1, 1]),
        torch.tensor([0, 3, 5]),
        torch.arange(2).expand(2, 2),
        1.0,
    )
    cut = until({"eeg": eeg, "spike": spike}, torch.tensor([0.4, 0.05]))
    assert cut["eeg"].mask.sum(1).tolist() == [5, 1]
    assert cut["spike"].event_mask.sum(1).tolist() == [2, 0]
    assert cut["spike"].present.all()
    assert all(signal.checked() for signal in cut.values())
    changed = replace(eeg, values=eeg.values + 100 * (eeg.time > 0.41)[..., None])
    one, other = (until({"eeg": x}, torch.tensor([0.4, 0.4]))["eeg"].clean() for x in (eeg, changed))
    assert torch.equal(one, other)


def test_targets_and_baselines_against_a_slow_loop():
    torch.manual_seed(0)
    series, mask = torch.randn(5, 14, 3), torch.rand(5, 14, 3) < 0.6
    mask[0, :, 0] = False
    origin, means = torch.tensor([0, 3, 6, 12, 13]), torch.tensor([0.1, 0.2, 0.3])
    target, known = future(series, mask, origin, HORIZONS)
    found = baselines(series, mask, origin, 4, means)
    for b in range(5):
        for c in range(3):
            last = [float(series[b, t, c]) for t in range(int(origin[b]) + 1) if mask[b, t, c]]
            expected = last[-1] if last else float(means[c])
            assert found["last"][b, :, c].tolist() == [expected] * 4
            assert found["mean"][b, :, c].tolist() == [float(means[c])] * 4
            for i, h in enumerate(HORIZONS):
                t = int(origin[b]) + h
                is_known = t < 14 and bool(mask[b, t, c])
                assert known[b, i, c] == is_known
                assert target[b, i, c] == (series[b, t, c] if is_known else 0)


def test_horizons_are_weighted_whatever_the_number_of_their_targets():
    each, known = torch.rand(6, 4, 3), torch.rand(6, 4, 3) < 0.5
    known[:, 3] = False  # beyond the window
    each.requires_grad_(True)
    loss = forecast_loss(each, known, HORIZONS, gamma=0.8)
    means = [each[:, i][known[:, i]].mean().item() for i in range(3)]
    weights = [0.8**h for h in HORIZONS[:3]]
    assert loss.item() == pytest.approx(np.average(means, weights=weights), rel=1e-5)
    loss.backward()
    assert ((each.grad > 0) == known).all()
    assert forecast_loss(each, torch.zeros_like(known), HORIZONS).item() == 0
    with pytest.raises(ValueError, match="for 3 horizons"):
        forecast_loss(each, known, (1, 2, 5))


def test_skill_is_per_channel_and_horizon():
    rng = np.random.default_rng(0)
    means = np.array([0.0, 50.0, 3.0])  # channels that differ in level
    target = rng.normal(size=(200, 2, 3)) + means
    prediction = means + rng.normal(size=(200, 2, 3))  # knows the levels and nothing else
    prediction[:, 0, 0] = 0.5 * target[:, 0, 0]
    prediction[:, :, 2] = 3.0  # constant
    known = rng.random((200, 2, 3)) < 0.7
    known[2:, 1, 1] = False  # too few
    mean = np.broadcast_to(means, target.shape)
    wild = np.where(known, prediction, np.nan)
    skill = forecast_skill(
        *map(torch.from_numpy, (wild, target, known)), {"mean": torch.from_numpy(mean.copy())}
    )
    assert (
        np.corrcoef(prediction[:, 0].ravel(), target[:, 0].ravel())[0, 1] > 0.99
    )  # what an aggregate would say
    for h, c in ((0, 0), (0, 1), (1, 0)):
        seen = known[:, h, c]
        x, y = prediction[seen, h, c], target[seen, h, c]
        assert skill.r[h, c].item() == pytest.approx(np.corrcoef(x, y)[0, 1])
        over = 1 - np.sum((x - y) ** 2) / np.sum((y - means[c]) ** 2)
        assert skill.over["mean"][h, c].item() == pytest.approx(over)
    assert skill.r[0, 0].item() == pytest.approx(1) and abs(skill.r[0, 1]) < 0.25
    assert skill.r[:, 2].isnan().all() and skill.r[1, 1].isnan() and skill.over["mean"][1, 1].isnan()
    assert skill.over["mean"][0, 2].item() == pytest.approx(0)


def test_settings_that_make_no_sense_are_refused():
    for horizons in ((), (2, 1), (0, 1), (1, 1)):
        with pytest.raises(ValueError, match="horizons="):
            ForecastConfig(horizons=horizons)
    with pytest.raises(ValueError, match=r"gamma=1\.5"):
        ForecastConfig(gamma=1.5)
