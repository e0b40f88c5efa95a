"""Encoders of a fixed history: all of it, nothing else, however they are fed."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.history import HistoryConvConfig, HistoryMlpConfig, dilations, history_bins

N_UNITS, N_OUTPUTS, BIN_SIZE_S = 5, 3, 0.025


def built(kind: str, bins: int = 10) -> nn.Module:
    torch.manual_seed(0)
    history_s = bins * BIN_SIZE_S
    cfg = {
        "mlp": HistoryMlpConfig(history_s, hidden=(11, 7)),
        "conv": HistoryConvConfig(history_s, channels=8),
        "conv of pairs": HistoryConvConfig(history_s, channels=N_UNITS, kernel=2),
    }[kind]
    encoder = cfg.build(N_UNITS, N_OUTPUTS, BIN_SIZE_S)
    encoder.standardise(np.random.default_rng(1).poisson(1.5, (300, N_UNITS)))
    return encoder.double().eval().requires_grad_(False)


KINDS = ["mlp", "conv", "conv of pairs"]


def spikes(n_bins: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).poisson(1.0, (2, n_bins, N_UNITS))).double()


@pytest.mark.parametrize("bins", [1, 2, 10, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_trials_chunks_and_single_bins_give_the_same(kind, bins, assert_streams_alike):
    assert_streams_alike(built(kind, bins), spikes(), compare_states=True)


@pytest.mark.parametrize("bins", [1, 2, 3, 10, 14, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_an_output_depends_on_every_bin_of_its_history_and_on_no_other(kind, bins):
    encoder, counts = built(kind, bins), spikes().requires_grad_()
    encoder(counts)[0][:, 30].pow(2).sum().backward()
    touched = counts.grad.abs().amax((0, 2)) > 0
    assert touched.nonzero().flatten().tolist() == list(range(30 - bins + 1, 31))


@pytest.mark.parametrize("kind", KINDS)
def test_before_a_trial_lie_bins_at_the_training_mean(kind):
    encoder, counts = built(kind), spikes(12)
    mean = encoder.count_mean.expand(2, 15, -1)
    behind = encoder(torch.cat([mean, counts], dim=1))[0][:, 15:]
    np.testing.assert_allclose(encoder(counts)[0], behind, rtol=0, atol=1e-10)


def test_the_perceptron_is_linear_layers_on_stacked_windows():
    encoder, counts = built("mlp"), spikes()
    x = (counts - encoder.count_mean) / encoder.count_scale
    x = torch.cat([torch.zeros(2, 9, N_UNITS), x], dim=1)
    first, rest = encoder.perceptron.first, encoder.perceptron.rest
    for t in range(40):
        window = x[:, t : t + 10]  # (B, bin, unit)
        hidden = torch.stack([(window[b].T * first.weight).sum((1, 2)) + first.bias for b in range(2)])
        for k, layer in enumerate(rest):  # norm, GELU, dropout and linear, twice
            if k % 4 == 0:
                centred = hidden - hidden.mean(-1, keepdim=True)
                hidden = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            elif k % 4 == 1:
                hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
            elif k % 4 == 3:
                hidden = hidden @ layer.weight.T + layer.bias
        np.testing.assert_allclose(encoder(counts)[0][:, t], hidden, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_dilated_taps_reach_every_lag_of_the_history(kernel):
    for n_bins in range(1, 100):
        lags = {0}
        layers = dilations(n_bins, kernel)
        for taps, dilation in layers:
            assert 2 <= taps <= kernel
            lags = {lag + tap * dilation for lag in lags for tap in range(taps)}
        assert lags == set(range(n_bins))
        assert len(layers) <= np.log(n_bins) / np.log(kernel) + kernel


def test_every_parameter_gets_a_gradient():
    for kind in KINDS:
        encoder = built(kind).requires_grad_(True)
        encoder(spikes())[0].square().sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, (kind, name)


def test_seconds_become_bins():
    assert [history_bins(s, 0.02) for s in (0.001, 0.02, 0.25, 1.0)] == [1, 1, 12, 50]


@pytest.mark.parametrize("config", [HistoryMlpConfig, HistoryConvConfig])
def test_settings_that_make_no_sense_are_refused(config):
    with pytest.raises(ValueError, match="history_s=0 must be positive"):
        config(history_s=0)
    with pytest.raises(ValueError, match=r"dropout=1.0 must be a probability below 1"):
        config(dropout=1.0)
    with pytest.raises(ValueError, match="bin_size_s=0 must be positive"):
        config().build(5, 2, 0)
    with pytest.raises(ValueError, match="for an encoder of 5 units; is this another session"):
        config().build(5, 2, 0.025)(torch.zeros(1, 4, 6))


def test_layers_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"hidden=\(\) must be the width of at least one layer"):
        HistoryMlpConfig(hidden=())
    with pytest.raises(ValueError, match=r"channels=\(0,\) must be"):
        HistoryConvConfig(channels=0)
    with pytest.raises(ValueError, match="kernel=1 must be at least 2 taps"):
        HistoryConvConfig(kernel=1)
