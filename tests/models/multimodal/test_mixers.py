"""State-space mixers: their equations in a slow loop, streaming, and the map of what reads what."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig
from neurolib.models.s6 import s6_scan

CONFIGS = [
    SSDMixerConfig(head=8, n_state=5, steps=(0.05, 0.5)),
    S6MixerConfig(n_state=3, steps=(0.05, 0.5)),
    S6MixerConfig(n_state=3, steps=(0.05, 0.5), discretisation="zoh", conv=1),
]
each = pytest.mark.parametrize("cfg", CONFIGS, ids=["ssd", "s6", "s6-zoh"])


def built(cfg, d=20):
    torch.manual_seed(0)
    return cfg.build(d).double().eval().requires_grad_(False)


def sequence(length=70, d=20, rows=2):
    return torch.from_numpy(np.random.default_rng(1).normal(size=(rows, length, d)))


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def slow_inputs(p, new):
    """Convolution and SiLU of ``(T, channel)``, channel by channel."""
    width = len(p["conv.weight"])
    past = np.concatenate([np.zeros((width - 1, new.shape[1])), new])
    taps = [
        [past[t : t + width, e] @ p["conv.weight"][:, e] for e in range(new.shape[1])]
        for t in range(len(new))
    ]
    return silu(np.array(taps) + p["conv.bias"])


def slow(cfg, mixer, u):
    """One sequence ``(T, d)`` from the equations, and the scan's inputs and outputs."""
    p = {name: value.numpy() for name, value in mixer.state_dict().items()}
    wide, n = cfg.expand * u.shape[1], cfg.n_state
    entered, outputs = u @ p["enter.weight"].T, []
    if isinstance(cfg, SSDMixerConfig):
        gate, delta = entered[:, :wide], entered[:, 2 * wide + 2 * n :]
        x, b, c = np.split(slow_inputs(p, entered[:, wide : 2 * wide + 2 * n]), [wide, wide + n], axis=1)
        each = wide // len(p["skip"])  # all channels of a head share what S6 has for each
        dt = np.repeat(softplus(delta + p["step_bias"]), each, axis=1)
        rate = np.repeat(-np.exp(p["log_rate"]), each)[:, None].repeat(n, 1)
        skip = np.repeat(p["skip"], each)
    else:
        gate, x = entered[:, wide:], slow_inputs(p, entered[:, :wide])
        low, b, c = np.split(x @ p["select.weight"].T, np.cumsum(mixer.sizes)[:2], axis=1)
        dt = softplus(low @ p["widen.weight"].T + p["widen.bias"])
        rate, skip = -np.exp(p["log_rate"]), p["skip"]
    zoh = getattr(cfg, "discretisation", "euler") == "zoh"
    h = np.zeros((wide, n))
    for t in range(len(u)):
        for e in range(wide):
            size = (np.exp(dt[t, e] * rate[e]) - 1) / rate[e] if zoh else dt[t, e]
            h[e] = np.exp(dt[t, e] * rate[e]) * h[e] + size * b[t] * x[t, e]
        outputs.append(h @ c[t])
    y = (np.array(outputs) + skip * x) * silu(gate)
    if isinstance(cfg, SSDMixerConfig):
        y = y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-5) * p["norm.weight"]
    return y @ p["leave.weight"].T, x, np.array(outputs)


@each
def test_it_is_the_equations_step_by_step(cfg):
    mixer, u = built(cfg), sequence(40)
    with torch.no_grad():
        mixer.skip.copy_(torch.linspace(-1, 1, len(mixer.skip)))
    expected = np.stack([slow(cfg, mixer, row)[0] for row in u.numpy()])
    np.testing.assert_allclose(mixer(u)[0], expected, rtol=0, atol=1e-12)


@each
@pytest.mark.parametrize("gradients", [False, True])
def test_whole_chunks_and_steps_give_the_same(cfg, gradients, assert_streams_alike):
    mixer, u = built(cfg), sequence()
    with torch.set_grad_enabled(gradients):
        assert_streams_alike(mixer, u, (33, 1, 2, 34), compare_states=True)
        state, outputs = mixer.init_state(len(u)), []
        for x in u.unbind(1):
            y, state = mixer.step(x, state)
            outputs.append(y)
        whole, last = mixer(u)
    np.testing.assert_allclose(torch.stack(outputs, 1), whole, rtol=0, atol=1e-10)
    for mine, theirs in zip(state, last, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


def test_steps_with_gradients_keep_the_state_given_and_differentiate_as_the_whole():
    for cfg in CONFIGS:
        mixer, u = built(cfg).requires_grad_(True), sequence(5)
        state = kept = mixer.init_state(2)
        total = 0
        for x in u.unbind(1):
            y, state = mixer.step(x, state)
            total = total + y.square().sum()
        assert all((part == 0).all() for part in kept)
        stepped = torch.autograd.grad(total, list(mixer.parameters()))
        whole = torch.autograd.grad(mixer(u)[0].square().sum(), list(mixer.parameters()))
        for one, two in zip(stepped, whole, strict=True):
            assert two.abs().max() > 0  # every parameter is used
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@each
def test_the_attention_map_is_the_scan(cfg):
    mixer, u = built(cfg), sequence(12)
    weights = mixer.attention_map(u)
    assert (weights.triu(1) == 0).all()
    for row in range(2):
        _, x, y = slow(cfg, mixer, u[row].numpy())
        if isinstance(cfg, SSDMixerConfig):
            heads = x.reshape(len(x), mixer.heads, -1).swapaxes(0, 1)
            np.testing.assert_allclose(
                (weights[row].numpy() @ heads).swapaxes(0, 1).reshape(y.shape), y, atol=1e-12
            )
        else:  # with the same input to every channel, the mean output is what the mean map makes of it
            dt, b, c = mixer._select(mixer.conv(mixer.enter(u).chunk(2, -1)[0], mixer.init_state(2)[0])[0])
            ones = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 12, 1)))
            mean = s6_scan(
                ones.expand_as(dt), dt, -mixer.log_rate.exp(), b, c, None, "reference", cfg.discretisation
            )
            np.testing.assert_allclose((weights @ ones)[..., 0], mean[0].mean(-1), atol=1e-12)


@each
def test_it_starts_as_published_and_names_what_not_to_decay(cfg):
    mixer = built(cfg, 64)
    names = dict(mixer.named_parameters())
    assert set(mixer.no_decay) <= set(names)
    bias = names[mixer.no_decay[2]]
    steps = F.softplus(bias)
    assert 0.05 <= steps.min() < steps.max() <= 0.5
    rates = names["log_rate"].exp()
    if isinstance(cfg, SSDMixerConfig):
        assert 1 <= rates.min() < rates.max() <= 16
    else:
        np.testing.assert_allclose(rates, np.tile([1.0, 2.0, 3.0], (128, 1)), rtol=1e-6)


@each
def test_half_precision_is_close(cfg):
    mixer, u = built(cfg).float().requires_grad_(True), sequence().float()
    with torch.autocast("cpu", torch.bfloat16):
        y, state = mixer(u)
    y.float().sum().backward()
    assert state[1].dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in mixer.parameters())
    exact = mixer(u)[0]
    assert (y.float() - exact).abs().max() < 0.1 * exact.std()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="n_state=0 must be at least 1"):
        SSDMixerConfig(n_state=0)
    with pytest.raises(ValueError, match=r"steps=\(0.1, 0.01\) must be a range"):
        S6MixerConfig(steps=(0.1, 0.01))
    with pytest.raises(ValueError, match="backend='chunk' must be one of"):
        S6MixerConfig(backend="chunk")
    with pytest.raises(ValueError, match="width 40 = 2 \\* 20 cannot be divided into heads of 16"):
        SSDMixerConfig(head=16).build(20)
