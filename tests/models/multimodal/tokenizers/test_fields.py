"""Field potentials, EEG and EMG: references, montages, and what their filters see."""

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers import EEGTokenizerConfig, EMGTokenizerConfig, FieldTokenizerConfig
from neurolib.models.multimodal.tokenizers.channels import ChannelPool
from neurolib.models.multimodal.tokenizers.field import FieldTokenizer, FilterBank, referenced


def built(cfg, channels: int, d: int = 8):
    torch.manual_seed(0)
    return cfg.build(d, GrowingEmbedding(d, [str(i) for i in range(channels)])).double()


@pytest.mark.parametrize("rate_hz", [160.0, 200.0, 256.0])
def test_eeg_reads_a_second_of_64_electrodes_by_default(rate_hz):
    x = ModalityInput.sampled(torch.randn(2, int(rate_hz), 64).double(), rate_hz)
    short = built(EEGTokenizerConfig(rate_hz=rate_hz), 64)(x)
    assert short.tokens.shape[1] == 4 * -(-int(rate_hz) // round(0.04 * rate_hz))
    long = built(EEGTokenizerConfig(rate_hz=rate_hz, patch="1s"), 64)(x)
    assert long.tokens.shape == (2, 4, 8) and long.time.unique().tolist() == [pytest.approx(0.5, abs=1e-6)]


def test_tokens_of_a_second_are_weighted_means_of_the_short_ones_that_were_recorded():
    tokenizer = built(EEGTokenizerConfig(patch="1s"), 3)
    x = ModalityInput.sampled(torch.randn(1, 320, 3).double(), 160.0).keeping(mask=torch.arange(320) < 240)
    short = FieldTokenizer.forward(tokenizer, x).tokens[0].unflatten(0, (-1, 4))
    assert tokenizer.merged == 32 and len(short) == 64
    for second, there in enumerate((32, 16)):
        parts = short[32 * second : 32 * second + there] * tokenizer.weight.T[:there, None]
        expected = tokenizer.after(parts.mean(0)).detach()
        got = tokenizer(x).tokens[0, 4 * second : 4 * second + 4].detach()
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_queries_differ_and_positions_matter():
    tokenizer = built(EEGTokenizerConfig(), 5)
    x = ModalityInput.sampled(torch.randn(1, 160, 5).double(), 160.0, coords=torch.randn(1, 5, 3).double())
    tokens = tokenizer(x).tokens[0].unflatten(0, (-1, 4))
    assert (tokens[:, 0] - tokens[:, 1]).abs().max() > 1e-3
    moved = ModalityInput.sampled(x.values, 160.0, coords=x.coords.roll(1, 1))
    assert (tokenizer(moved).tokens[0].unflatten(0, (-1, 4)) - tokens).abs().max() > 1e-3
    nowhere = ModalityInput.sampled(x.values, 160.0, coords=torch.full((1, 5, 3), torch.nan).double())
    unknown = ModalityInput.sampled(x.values, 160.0)
    np.testing.assert_allclose(tokenizer(nowhere).tokens.detach(), tokenizer(unknown).tokens.detach())


def test_pooling_is_attention_written_out():
    torch.manual_seed(0)
    pool = ChannelPool(6, queries=2).double()
    x, place = torch.randn(1, 3, 4, 6).double(), torch.randn(1, 4, 6).double()
    mask = torch.tensor([[True, True, False, True]])
    got = pool(x, place, mask)[0]
    p = pool.norm(place[0])
    for step in range(3):
        for query in range(2):
            there = [0, 1, 3]
            scores = [pool.by_content(x[0, step, c])[query] + pool.by_place(p[c])[query] for c in there]
            weights = torch.stack(scores).softmax(0)
            parts = [x[0, step, c] * (1 + pool.gate(p[c])) + pool.value(p[c]) for c in there]
            expected = (weights[:, None] * torch.stack(parts)).sum(0) + pool.seed[query]
            np.testing.assert_allclose(got[step, query].detach(), expected.detach(), atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_filters_are_convolutions_sampled_at_the_stride(causal):
    torch.manual_seed(0)
    bank = FilterBank(3, (12, 20), 500.0, stride=4, causal=causal).double()
    x = torch.randn(1, 40, 1).double()
    got = bank(x)[0, :, 0].detach().numpy()
    kernels = (bank.weight * bank.support).detach().numpy()
    for column in range(3):
        full = np.correlate(np.pad(x[0, :, 0], 50), kernels[:, column], mode="valid")  # full[i]: from i - 50
        ends = 4 * np.arange(10) + 4 if causal else 4 * np.arange(10) + 2 + 5
        np.testing.assert_allclose(got[:, column], full[ends - 10 + 50], atol=1e-12)


def test_an_offset_common_to_all_electrodes_is_gone_after_a_common_average():
    x = torch.randn(2, 100, 6).double()
    common = x + torch.randn(2, 100, 1).double() * 50
    tokenizer = built(FieldTokenizerConfig.ecog(), 6)
    same = [tokenizer(ModalityInput.sampled(v, 500.0)).tokens.detach() for v in (x, common)]
    np.testing.assert_allclose(*same, atol=1e-9)


def test_bipolar_pairs_follow_rows_whatever_the_columns():
    values, row = torch.tensor([[[5.0, 1.0, 3.0, 9.0]]]), torch.tensor([[7, 4, 6, 5]])
    coords = torch.tensor([[[5.0, 0, 0], [1, 0, 0], [3, 0, 0], [9, 0, 0]]])
    mask = torch.tensor([[True, True, True, True]])
    pairs = referenced(ModalityInput.sampled(values, 1.0, None, row, mask, coords), "bipolar")
    assert pairs.channel_mask.tolist() == [[False, True, True, True]]
    assert pairs.values[0, 0, 1:].tolist() == [1 - 9, 3 - 5, 9 - 3]
    assert pairs.coords[0, 1:, 0].tolist() == [5, 4, 6]


@pytest.mark.parametrize("causal", [False, True])
def test_the_envelope_of_muscle_is_a_root_mean_square(causal):
    tokenizer = built(EMGTokenizerConfig(causal=causal), 2)
    x = np.random.default_rng(0).normal(size=(200, 2)) * np.array([1, 30])
    got = tokenizer.envelope(torch.from_numpy(x)[None], torch.ones(1, 200, dtype=torch.bool))[0, ..., 0]
    for token in range(10):
        first = 20 * token + 20 - 50 if causal else 20 * token - 15
        window = x[max(first, 0) : first + 50]
        np.testing.assert_allclose(got[token], np.log10(np.sqrt((window**2).mean(0))), atol=1e-9)
