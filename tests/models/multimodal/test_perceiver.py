"""Attention in time: relative, blind to padding, and causal where it is said to be."""

import math

import pytest
import torch

from neurolib.models.multimodal.perceiver import Perceiver, PerceiverConfig, Rotary, TimedAttention


def perceiver(**changes):
    torch.manual_seed(0)
    cfg = PerceiverConfig(steps=4, slots=3, layers=2, heads=2, dropout=0.0, **changes)
    return Perceiver(cfg, 16, longest_s=2.0).double().eval()


def tokens(n=20):
    generator = torch.Generator().manual_seed(1)
    time = torch.rand(2, n, generator=generator, dtype=torch.float64)
    return torch.randn(2, n, 16, generator=generator, dtype=torch.float64), time


def test_logits_depend_on_differences_of_time_alone():
    turn = Rotary(8, 2.0, 0.01).double()
    q, k = torch.randn(1, 1, 1, 8).double(), torch.randn(1, 1, 1, 8).double()
    dots = [
        (
            turn(q, torch.tensor([[a]], dtype=torch.float64))
            * turn(k, torch.tensor([[b]], dtype=torch.float64))
        )
        .sum()
        .item()
        for a, b in ((0.1, 0.4), (0.6, 0.9), (100.1, 100.4))
    ]
    assert dots[0] == pytest.approx(dots[1], abs=1e-6) and dots[0] == pytest.approx(dots[2], abs=1e-4)


def test_attention_is_the_slow_sum():
    torch.manual_seed(0)
    attend = TimedAttention(8, 1, 2.0, 0.05).double()
    x, source = torch.randn(1, 2, 8).double(), torch.randn(1, 5, 8).double()
    t, s = torch.rand(1, 2).double(), torch.rand(1, 5).double()
    allowed = torch.tensor([[[True, False, True, True, False], [False] * 5]])
    got = attend(x, t, source, s, allowed)
    q, (k, v) = attend.query(x)[0], attend.key_value(source)[0].chunk(2, -1)

    def turned(vector, angle):
        a, b, rest = vector[:2], vector[2:4], vector[4:]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos(), rest])

    speed = torch.tensor(attend.turn.speed)
    for i in range(2):
        logits, values = [0.0], [torch.zeros(8).double()]  # the null key
        for j in range(5):
            if allowed[0, i, j]:
                lag = (s[0, j] - t[0, i]) * speed
                logits.append((q[i] @ turned(k[j], lag)).item() / math.sqrt(8))
                values.append(turned(v[j], lag))
        weights = torch.tensor(logits).double().softmax(0)
        want = attend.out(sum(w * value for w, value in zip(weights, values, strict=True)))
        assert torch.allclose(got[0, i], want, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(causal):
    model, (x, time) = perceiver(causal=causal), tokens()
    mask = torch.ones(2, 20, dtype=torch.bool)
    want = model.encode(x, time, mask, 1.0)
    garbage = torch.full((2, 37, 16), 1e6, dtype=torch.float64)
    more = torch.cat([x, garbage], 1), torch.cat([time, torch.rand(2, 37).double()], 1)
    got = model.encode(*more, torch.cat([mask, torch.zeros(2, 37, dtype=torch.bool)], 1), 1.0)
    assert torch.allclose(got, want, atol=1e-12)


def test_the_order_of_tokens_does_not_matter():
    model, (x, time) = perceiver(), tokens()
    mask, order = torch.ones(2, 20, dtype=torch.bool), torch.randperm(20)
    assert torch.allclose(
        model.encode(x, time, mask, 1.0), model.encode(x[:, order], time[:, order], mask, 1.0), atol=1e-12
    )


def test_a_window_without_tokens_gives_numbers():
    model, (x, time) = perceiver(), tokens()
    mask = torch.tensor([[True], [False]]).expand(2, 20)
    assert model.encode(x, time, mask, 1.0).isfinite().all()


def test_causal_latents_and_reads_see_nothing_later():
    model, (x, time) = perceiver(causal=True, radius=None), tokens()
    mask = torch.ones(2, 20, dtype=torch.bool)
    changed = torch.where((time > 0.5)[..., None], x.flip(-1), x)
    ask, when = torch.randn(2, 6, 16).double(), torch.linspace(0.1, 1, 6).expand(2, 6).double()
    (one, two) = (model.encode(version, time, mask, 1.0) for version in (x, changed))
    assert torch.equal(one[:, :2], two[:, :2])  # steps that end at 0.25 and 0.5 s
    assert not torch.allclose(one[:, 2:], two[:, 2:])
    read = [model.read(ask, when, grid, 1.0) for grid in (one, two)]
    assert torch.equal(read[0][:, :3], read[1][:, :3])  # 0.1 to 0.46 s


def test_latents_read_tokens_within_their_radius():
    model, (x, time) = perceiver(radius=1.0), tokens()
    model.process = torch.nn.ModuleList()
    far = time > 0.6  # the first latents are at 0.125 s, a step is 0.25 s
    changed = torch.where(far[..., None], x.flip(-1), x)
    mask = torch.ones(2, 20, dtype=torch.bool)
    one, two = (model.encode(version, time, mask, 1.0) for version in (x, changed))
    assert torch.equal(one[:, 0], two[:, 0])
    assert not torch.allclose(one[:, 3], two[:, 3])


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="steps=0"):
        PerceiverConfig(steps=0)
    with pytest.raises(ValueError, match="radius=-1"):
        PerceiverConfig(radius=-1)
    with pytest.raises(ValueError, match="width that 4 divides"):
        TimedAttention(12, 2, 1.0)


def test_a_latent_reads_its_own_time_however_late():
    cfg = PerceiverConfig(step_s=0.02, slots=1, causal=True)
    at = cfg.times(120.0)
    assert cfg.may_read(at, at.clone().double().float(), None).diagonal().all()
    late = (torch.arange(1, 6001) / 50).float()  # the same clock, reckoned another way
    assert cfg.may_read(at, late, 0.01).diagonal().all()
