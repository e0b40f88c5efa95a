"""Deconvolution against a slow solver and simulated spikes; high-pass and events of the tokenizer."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from scipy.signal import lfilter

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers import CalciumTokenizerConfig
from neurolib.models.multimodal.tokenizers.calcium import high_passed
from neurolib.models.multimodal.tokenizers.deconvolution import decay_from_autocovariance, oasis

RATE, DECAY_S, SNR = 30.0, 1.0, 3.0
DECAY = float(np.exp(-1 / (DECAY_S * RATE)))


def simulated(n_cells: int, seconds: float, seed: int = 0):
    """Spikes at 0.5 Hz that raise calcium by one, and fluorescence with noise of 1 / SNR."""
    rng = np.random.default_rng(seed)
    spikes = rng.poisson(0.5 / RATE, (n_cells, round(seconds * RATE))).astype(float)
    calcium = lfilter([1], [1, -DECAY], spikes)
    return spikes, calcium + rng.normal(size=calcium.shape) / SNR


@pytest.mark.parametrize("decay", [0.6, 0.97])
@pytest.mark.parametrize("masked", [False, True])
def test_oasis_solves_the_non_negative_least_squares(decay, masked):
    rng = np.random.default_rng(1)
    traces = rng.normal(size=(12, 40)) + rng.normal(size=(12, 1))  # some start or stay below zero
    mask = rng.random((12, 40)) < (0.7 if masked else 2)
    lag = np.arange(40)[:, None] - np.arange(40)
    kernel = np.where(lag >= 0, decay ** np.maximum(lag, 0.0), 0)
    calcium, events = oasis(np.where(mask, traces, 1e3), decay, mask if masked else None)
    for y, seen, c, s in zip(traces, mask, calcium, events, strict=True):
        expected, residual = nnls(kernel[seen], y[seen])
        np.testing.assert_allclose(np.linalg.norm(c[seen] - y[seen]), residual, rtol=1e-9)
        np.testing.assert_allclose(c[seen], (kernel @ expected)[seen], atol=1e-8)
        np.testing.assert_allclose(kernel @ s, c, atol=1e-9)
        assert s.min() >= 0


def test_oasis_finds_the_spikes():
    spikes, traces = simulated(4, seconds=60)
    _, events = oasis(traces, DECAY)
    correlations = [np.corrcoef(s, e)[0, 1] for s, e in zip(spikes, events, strict=True)]
    assert np.mean(correlations) >= 0.8  # frame by frame
    differences = [
        np.corrcoef(s[1:], np.maximum(np.diff(y), 0))[0, 1] for s, y in zip(spikes, traces, strict=True)
    ]
    assert np.mean(correlations) > np.mean(differences) + 0.1


def test_the_decay_comes_out_of_the_noise():
    _, traces = simulated(8, seconds=120)
    estimates = [-1 / np.log(decay_from_autocovariance(y)) / RATE for y in traces]
    assert abs(np.median(estimates) / DECAY_S - 1) < 0.25
    with pytest.raises(ValueError, match="19 samples is too short"):
        decay_from_autocovariance(np.zeros(19))
    with pytest.raises(ValueError, match=r"decay=1\.5"):
        oasis([1.0], 1.5)


def test_the_tokenizer_takes_scale_and_decay_from_training_data():
    _, traces = simulated(8, seconds=60)
    x = ModalityInput.sampled(torch.from_numpy(traces.T.copy())[None] * 40 + 900, RATE)
    tokenizer = CalciumTokenizerConfig(deconv="oasis").build(4, GrowingEmbedding(4, "abcdefgh")).double()
    before = float(tokenizer.decay)
    tokenizer.standardise(x)
    assert (
        abs(-1 / np.log(float(tokenizer.decay)) / RATE / DECAY_S - 1) < 0.3
        and float(tokenizer.decay) != before
    )
    scaled = tokenizer.scaled(x).values
    assert scaled.median(1).values.abs().max() < 1e-9
    spread = scaled.abs().median(1).values
    np.testing.assert_allclose(spread, 0.6745, atol=1e-4)


def test_calcium_from_before_the_window_is_no_event():
    tokenizer = CalciumTokenizerConfig(deconv="oasis", stride=1).build(4, GrowingEmbedding(4, "a"))
    fading = 5 * torch.exp(torch.arange(60) * torch.log(tokenizer.decay)).view(1, 60, 1)
    mask = torch.ones(1, 60, dtype=torch.bool)
    assert tokenizer._events(fading, mask).abs().max() < 1e-3
    again = fading + torch.roll(fading, 30, 1) * (torch.arange(60) >= 30)[:, None]
    events = tokenizer._events(again, mask).flatten()
    assert events.argmax() == 30 and abs(float(events.sum()) - 5) < 1e-2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 4, 7, 100])
def test_the_high_pass_is_a_moving_mean_of_what_was_recorded(causal, length):
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=25) + 5, rng.random(25) < 0.7
    got = high_passed(torch.from_numpy(x * mask).view(1, -1, 1), torch.from_numpy(mask)[None], length, causal)
    ahead = 0 if causal else length // 2
    for t in np.flatnonzero(mask):
        near = slice(max(t + ahead - length + 1, 0), t + ahead + 1)
        np.testing.assert_allclose(got[0, t, 0], x[t] - x[near][mask[near]].mean(), atol=1e-12)
