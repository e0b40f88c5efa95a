"""Selective state spaces: equal to the equations in a slow loop, however they are fed."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.state_space import CHUNK_BINS, StateSpaceConfig

N_UNITS, N_OUTPUTS = 5, 3


def built(**settings) -> nn.Module:
    torch.manual_seed(0)
    cfg = StateSpaceConfig(**{"d": 20, "n_state": 3, "layers": 2, "step": (0.05, 0.5)} | settings)
    encoder = cfg.build(N_UNITS, N_OUTPUTS, 0.025)
    encoder.standardise(np.random.default_rng(1).poisson(1.5, (300, N_UNITS)))
    return encoder.double().eval().requires_grad_(False)


def spikes(n_bins: int = 2 * CHUNK_BINS + 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).poisson(1.0, (2, n_bins, N_UNITS))).double()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalised(norm: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    scaled = (x - x.mean()) / np.sqrt(x.var() + norm.eps)
    return scaled * norm.weight.numpy() + norm.bias.numpy()


def slow(encoder: nn.Module, counts: torch.Tensor) -> np.ndarray:
    """One trial ``(T, unit)``, bin by bin and channel by channel."""
    w = {name: value.numpy() for name, value in encoder.state_dict().items()}
    stream = ((counts.numpy() - w["count_mean"]) / w["count_scale"]) @ w["embed.weight"].T + w["embed.bias"]
    for k, block in enumerate(encoder.blocks):
        p = {name.removeprefix(f"blocks.{k}."): value for name, value in w.items()}
        wide, n_state = p["log_rate"].shape
        rank, width = p["step.weight"].shape[1], p["conv.weight"].shape[2]
        h, before = np.zeros((wide, n_state)), np.zeros((width, wide))
        for t in range(len(stream)):
            u = normalised(block.norm, stream[t]) @ p["enter.weight"].T
            before = np.concatenate([before[1:], u[None, :wide]])
            x = np.array([before[:, c] @ p["conv.weight"][c, 0] + p["conv.bias"][c] for c in range(wide)])
            x = x * sigmoid(x)
            chosen = p["select.weight"] @ x
            b, c = chosen[rank : rank + n_state], chosen[rank + n_state :]
            step = np.log1p(np.exp(p["step.weight"] @ chosen[:rank] + p["step.bias"]))
            y = np.zeros(wide)
            for e in range(wide):
                for n in range(n_state):
                    h[e, n] = np.exp(-step[e] * np.exp(p["log_rate"][e, n])) * h[e, n] + step[e] * b[n] * x[e]
                    y[e] += c[n] * h[e, n]
                y[e] += p["skip"][e] * x[e]
            gate = u[wide:]
            stream[t] += p["leave.weight"] @ (y * gate * sigmoid(gate))
    readout = [normalised(encoder.readout[0], x) @ w["readout.1.weight"].T for x in stream]
    return np.stack(readout) + w["readout.1.bias"]


@pytest.mark.parametrize("settings", [{}, {"conv": 1, "expand": 3, "layers": 1}])
def test_it_is_the_equations_bin_by_bin(settings):
    encoder, counts = built(**settings), spikes()
    expected = np.stack([slow(encoder, trial) for trial in counts])
    np.testing.assert_allclose(encoder(counts)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("conv", [1, 4])
def test_whole_trials_chunks_and_single_bins_give_the_same(conv, assert_streams_alike):
    encoder, counts = built(conv=conv), spikes()
    sizes = (CHUNK_BINS + 3, 1, 2, CHUNK_BINS + 2)
    assert_streams_alike(encoder, counts, sizes, compare_states=True)


def test_no_output_depends_on_later_bins_and_all_on_earlier_ones():
    encoder, counts = built(), spikes()
    changed = counts.clone()
    changed[:, 15] += 3
    difference = (encoder(changed)[0] - encoder(counts)[0]).abs().amax((0, 2))
    assert difference[:15].max() == 0
    assert difference[15:].min() > 1e-9


def test_rates_start_at_one_to_n_and_steps_within_their_range():
    block = built(d=64, step=(0.01, 0.2)).blocks[0]
    np.testing.assert_allclose(block.log_rate.exp(), np.tile([1.0, 2.0, 3.0], (128, 1)), rtol=1e-6)
    steps = nn.functional.softplus(block.step.bias)
    assert 0.01 <= steps.min() < 0.02 and 0.1 < steps.max() <= 0.2


def test_gradients_are_those_of_the_slow_loop():
    encoder, counts = built(layers=1).requires_grad_(True), spikes(2 * CHUNK_BINS + 1)
    encoder(counts[:1])[0].square().sum().backward()
    for name in ("log_rate", "select.weight", "step.bias", "conv.weight", "skip"):
        parameter, at = encoder.blocks[0].get_parameter(name), (1,) + (0,) * 3
        at = at[: parameter.ndim]
        sums, old = [], parameter[at].item()
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                parameter[at] = old + shift
                sums.append(np.square(slow(encoder.requires_grad_(False), counts[0])).sum())
                parameter[at] = old
        np.testing.assert_allclose(parameter.grad[at], (sums[0] - sums[1]) / 2e-5, rtol=1e-4, atol=1e-7)


def test_every_parameter_gets_a_gradient():
    encoder = built().requires_grad_(True)
    encoder(spikes())[0].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_recurrence_stays_out_of_autocast():
    encoder, counts = built().float(), spikes().float()
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = encoder(counts)
    assert state[1].dtype == torch.float32
    exact = encoder(counts)[0]
    assert (outputs.float() - exact).abs().max() < 0.1 * exact.std()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="n_state=0 must be at least 1"):
        StateSpaceConfig(n_state=0)
    with pytest.raises(ValueError, match=r"dropout=-0.1 must be a probability"):
        StateSpaceConfig(dropout=-0.1)
    with pytest.raises(ValueError, match=r"step=\(0.1, 0.01\) must be a range"):
        StateSpaceConfig(step=(0.1, 0.01))


def test_another_population_is_refused():
    with pytest.raises(ValueError, match="for an encoder of 5 units; is this another session"):
        built()(torch.zeros(1, 4, 6).double())
