"""Causal attention over time: equal to a slow sum over the window, however it is fed."""

import numpy as np
import pytest
import torch

from neurolib.models.transformer import CausalTransformerConfig

N_UNITS, BIN_SIZE_S, WINDOW = 5, 0.05, 8
NO_SMOOTHING = (1e-4,)  # seconds: a bin of 50 ms leaves e^-500 of the one before


def built(**settings):
    torch.manual_seed(0)
    cfg = CausalTransformerConfig(**{"d": 16, "heads": 2, "context_s": WINDOW * BIN_SIZE_S} | settings)
    encoder = cfg.build(N_UNITS, 3, BIN_SIZE_S)
    encoder.standardise(np.random.default_rng(1).poisson(1.5, (300, N_UNITS)))
    return encoder.double().eval().requires_grad_(False)


def spikes(n_bins=40, seed=2):
    return torch.from_numpy(np.random.default_rng(seed).poisson(1.0, (2, n_bins, N_UNITS))).double()


@pytest.mark.parametrize("context_bins", [1, 2, WINDOW, 100])
def test_whole_trials_chunks_and_single_bins_give_the_same(context_bins, assert_streams_alike):
    assert_streams_alike(built(context_s=context_bins * BIN_SIZE_S), spikes())


def test_no_output_depends_on_later_bins():
    encoder, counts = built(), spikes()
    changed = counts.clone()
    changed[:, 15] += 3
    difference = (encoder(changed)[0] - encoder(counts)[0]).abs()
    assert difference[:, :15].max() == 0
    assert difference[:, 15].max() > 1e-3


def test_each_layer_looks_back_over_the_window_and_no_further():
    for layers in (1, 2):
        encoder, counts = built(layers=layers, tau_s=NO_SMOOTHING), spikes()
        changed = counts.clone()
        changed[:, 4] += 3
        difference = (encoder(changed)[0] - encoder(counts)[0]).abs().amax((0, 2))
        reach = layers * (WINDOW - 1)
        assert difference[4 + reach] > 1e-8
        assert difference[4 + reach + 1 :].max() < 1e-12


def test_decoding_does_not_depend_on_how_long_the_stream_has_run():
    encoder, counts = built(tau_s=NO_SMOOTHING), spikes()
    later = encoder(torch.cat([spikes(500, seed=3), counts], dim=1))[0][:, 500:]
    reach = 2 * (WINDOW - 1)
    np.testing.assert_allclose(later[:, reach:], encoder(counts)[0][:, reach:], rtol=0, atol=1e-10)


def test_the_state_does_not_grow_beyond_the_window():
    encoder, state = built(), None
    for counts in spikes(60).split(1, dim=1):
        state = encoder(counts, state)[1]
    assert [tuple(part.shape) for part in state] == [(2, 1, N_UNITS)] + [(2, 2, WINDOW - 1, 8)] * 4


def test_a_block_is_softmax_attention_on_keys_and_queries_turned_by_their_lag():
    block = built().blocks[0]
    x = torch.randn(1, 20, 16, generator=torch.Generator().manual_seed(4)).double()
    q, k, v = (
        part.unflatten(-1, (2, 8))[0] for part in block.qkv(block.attention_norm(x)).chunk(3, dim=-1)
    )  # (T, heads, 8)
    turn = 10_000.0 ** (-torch.arange(4).double() / 4)  # radians per bin of lag, for each pair of channels
    mixed = torch.zeros(20, 2, 8).double()
    for t in range(20):
        for head in range(2):
            seen = range(max(0, t - WINDOW + 1), t + 1)
            query = torch.complex(q[t, head, :4], q[t, head, 4:])
            scores = torch.stack(
                [
                    (query * torch.exp(1j * turn * (t - s)) * torch.complex(k[s, head, :4], -k[s, head, 4:]))
                    .real.sum()
                    for s in seen
                ]
            )  # fmt: skip
            weights = (scores / 8**0.5).softmax(0)
            mixed[t, head] = sum(w * v[s, head] for w, s in zip(weights, seen, strict=True))
    expected = x + block.project(mixed.flatten(1))
    expected = expected + block.mlp(block.mlp_norm(expected))
    np.testing.assert_allclose(block(x, None)[0], expected, rtol=0, atol=1e-6)  # frequencies are float32


def test_it_runs_under_autocast():
    encoder, counts = built().float(), spikes().float()
    exact = encoder(counts)[0]
    with torch.autocast("cpu", torch.bfloat16):
        first, state = encoder(counts[:, :25])
        second, _ = encoder(counts[:, 25:], state)
    half = torch.cat([first, second], dim=1).float()
    assert (half - exact).abs().max() < 0.1 * exact.std()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="d=10 must be a multiple of 2 \\* heads=8"):
        CausalTransformerConfig(d=10, heads=4)
    with pytest.raises(ValueError, match="context_s=0 must be positive"):
        CausalTransformerConfig(context_s=0)
