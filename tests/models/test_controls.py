"""Encoders beside Hebbian attention: exact however they are fed, and the memory their names promise."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch import nn

from neurolib.models.controls import (
    CHUNK_BINS,
    EmaMlpConfig,
    ExponentialAverages,
    OneBinAttentionConfig,
    OneBinMlpConfig,
    RecurrentEncoderConfig,
)

N_UNITS, N_OUTPUTS, BIN_SIZE_S = 7, 3, 0.02
WITH_MEMORY = {
    "ema": EmaMlpConfig(hidden=11),
    "gru": RecurrentEncoderConfig("gru", hidden=6),
    "lstm": RecurrentEncoderConfig("lstm", hidden=6),
    "rnn": RecurrentEncoderConfig("rnn", hidden=6),
}
WITHOUT = {"attention": OneBinAttentionConfig(d=8, heads=2), "mlp": OneBinMlpConfig(hidden=9)}
ALL = WITH_MEMORY | WITHOUT


def built(kind: str) -> nn.Module:
    torch.manual_seed(0)
    encoder = ALL[kind].build(N_UNITS, N_OUTPUTS, BIN_SIZE_S)
    encoder.standardise(np.random.default_rng(1).poisson(1.5, (300, N_UNITS)))
    return encoder.double().eval().requires_grad_(False)


def spikes(n_bins: int = 40, n_trials: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).poisson(1.0, (n_trials, n_bins, N_UNITS))).double()


@pytest.mark.parametrize("kind", ALL)
def test_whole_trials_chunks_and_single_bins_give_the_same(kind):
    encoder, counts = built(kind), spikes(2 * CHUNK_BINS + 20)
    whole, last = encoder(counts)
    for sizes in ([CHUNK_BINS + 5, 1, CHUNK_BINS, 14], [1] * counts.shape[1]):
        state, parts = None, []
        for chunk in counts.split(sizes, dim=1):
            part, state = encoder(chunk, state)
            parts.append(part)
        np.testing.assert_allclose(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-10)
        assert len(state) == len(last)
        for mine, theirs in zip(state, last, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ALL)
def test_a_trial_does_not_depend_on_its_neighbours_in_the_batch(kind):
    encoder, counts = built(kind), spikes(n_trials=3)
    state = encoder(counts[:, :30])[1]
    alone = encoder(counts[1:2, 30:], tuple(part[1:2] for part in state))[0]
    np.testing.assert_allclose(alone, encoder(counts)[0][1:2, 30:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ALL)
def test_no_output_depends_on_later_bins(kind):
    encoder, counts = built(kind), spikes()
    changed = counts.clone()
    changed[:, 15] += 3
    difference = (encoder(changed)[0] - encoder(counts)[0]).abs()
    assert difference[:, :15].max() == 0
    assert difference[:, 15].max() > 1e-3


@pytest.mark.parametrize("kind", ALL)
def test_only_encoders_with_memory_depend_on_earlier_bins(kind):
    encoder, counts = built(kind), spikes()
    changed = counts.clone()
    changed[:, 14] += 3
    after = (encoder(changed)[0] - encoder(counts)[0])[:, 15:].abs().max()
    assert after > 1e-3 if kind in WITH_MEMORY else after == 0


def test_one_bin_attention_attends_to_its_only_token_with_weight_one():
    weights = built("attention").attention_weights(spikes(n_bins=9))
    assert weights.shape == (2, 9, 2)  # (trial, bin, head)
    assert (weights == 1).all()


def test_queries_and_keys_of_one_bin_attention_do_nothing():
    encoder, counts = built("attention"), spikes()
    before = encoder(counts)[0]
    encoder.attention.in_proj_weight[:16].normal_()  # queries and keys of width 8 each
    assert torch.equal(encoder(counts)[0], before)
    encoder.attention.in_proj_weight[16:].normal_()  # values
    assert (encoder(counts)[0] - before).abs().max() > 1e-3


def test_exponential_averages_are_the_recursive_filter():
    tau_s, x = (0.05, 0.2, 0.5), spikes(3 * CHUNK_BINS - 1)
    averages, state = ExponentialAverages(tau_s, BIN_SIZE_S)(x)
    for k, tau in enumerate(tau_s):
        keep = np.exp(-BIN_SIZE_S / tau)
        slow = lfilter([1 - keep], [1, -keep], x.numpy(), axis=1)
        np.testing.assert_allclose(averages[:, :, k], slow, atol=1e-6)  # rates are kept in float32
        np.testing.assert_allclose(state[:, k], slow[:, -1], atol=1e-6)


def test_the_noise_scale_is_that_of_the_filters_weights():
    average = ExponentialAverages((0.05, 0.5), BIN_SIZE_S)
    impulse = torch.zeros(1, 2000, 1).double()
    impulse[0, 0] = 1
    weights, _ = average(impulse)
    expected = weights[0, :, :, 0].square().sum(0).sqrt()
    np.testing.assert_allclose(average.noise_scale(), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_the_recurrent_encoder_is_torchs_cell_bin_by_bin(kind):
    encoder, counts = built(kind), spikes()
    cell = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}[kind](N_UNITS, 6)
    cell = cell.double().requires_grad_(False)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in encoder.rnn.state_dict().items()})
    x, state, rows = (counts - encoder.count_mean) / encoder.count_scale, None, []
    for t in range(x.shape[1]):
        state = cell(x[:, t], state)
        rows.append(encoder.readout(state[0] if kind == "lstm" else state))
    np.testing.assert_allclose(encoder(counts)[0], torch.stack(rows, dim=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_recurrent_encoders_stay_out_of_autocast(kind):
    encoder, counts = built(kind).float(), spikes().float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = encoder(counts)[0]
    assert inside.dtype == torch.float32
    np.testing.assert_allclose(inside, encoder(counts)[0], rtol=0, atol=1e-6)


def test_averages_stay_out_of_autocast():
    average, x = ExponentialAverages((0.5,), 0.001), spikes(200).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = average(x)[0]
    np.testing.assert_allclose(inside, average(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ALL)
def test_every_parameter_gets_a_gradient(kind):
    encoder = built(kind).requires_grad_(True)
    encoder(spikes())[0].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ALL)
def test_counts_are_standardised_by_the_training_moments(kind):
    raw, scaled = built(kind), built(kind)
    counts = spikes()
    train = np.random.default_rng(1).poisson(1.5, (300, N_UNITS))
    scaled.standardise(4.0 * train + 2.0)
    np.testing.assert_allclose(scaled(4 * counts + 2)[0], raw(counts)[0], rtol=0, atol=1e-5)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"tau_s=.*positive"):
        EmaMlpConfig(tau_s=(0.1, 0.0))
    with pytest.raises(ValueError, match="bin_size_s=0 must be positive"):
        EmaMlpConfig().build(5, 2, 0)
    with pytest.raises(ValueError, match="cell='gruu'"):
        RecurrentEncoderConfig("gruu")
    with pytest.raises(ValueError, match="d=10 cannot be divided into 4 heads"):
        OneBinAttentionConfig(d=10, heads=4)


@pytest.mark.parametrize("kind", ALL)
def test_another_population_is_refused(kind):
    encoder = built(kind)
    with pytest.raises(ValueError, match="an encoder of 7 units"):
        encoder(torch.zeros(1, 4, 5).double())
    with pytest.raises(ValueError, match="counts of 5 units for an encoder of 7"):
        encoder.standardise(np.ones((4, 5)))
