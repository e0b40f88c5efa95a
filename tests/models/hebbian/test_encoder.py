import numpy as np
import pytest
import torch

from neurolib.models.hebbian.correlation import correlation_read
from neurolib.models.hebbian.encoder import KINDS, HebbianConfig
from neurolib.models.hebbian.rules import RULES


def counts_of(seed=0, batch=3, time=40, n_units=6, rate=0.1):
    return torch.poisson(
        torch.full((batch, time, n_units), rate), torch.Generator().manual_seed(seed)
    ).double()


def built(rule, method="fast", **settings):
    torch.manual_seed(1)
    return HebbianConfig(rule, d=8, tau_s=(0.05, 0.5), method=method, **settings).build(6, 4, 0.01).double()


@pytest.mark.parametrize("rule", RULES)
def test_the_fast_form_equals_the_loop_in_outputs_and_gradients(rule):
    fast, slow = built(rule), built(rule, "loop")
    slow.load_state_dict(fast.state_dict())
    results = []
    for encoder in (fast, slow):
        outputs, state = encoder(counts_of())
        outputs.square().sum().backward()
        results.append((outputs, *state, *(p.grad for p in encoder.parameters())))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(
            ours, wanted, rtol=1e-9, atol=1e-11 * float(wanted.detach().abs().max() + 1)
        )


@pytest.mark.parametrize("rule", KINDS)
def test_chunks_and_single_bins_continue_where_the_last_stopped(rule):
    encoder, counts = built(rule), counts_of()
    whole, _ = encoder(counts)
    for size in (1, 7):
        state, parts = None, []
        for chunk in counts.split(size, dim=1):
            outputs, state = encoder(chunk, state)
            parts.append(outputs)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("settings", [{"readout": "mean"}, {"layers": 2}, {"block": 2, "blocks_seen": 1}])
def test_variants_of_the_read_out_stream_too(settings):
    encoder, counts = built("light", **settings), counts_of(time=9)
    whole, _ = encoder(counts)
    state, parts = None, []
    for chunk in counts.split(2, dim=1):
        outputs, state = encoder(chunk, state)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("rule", KINDS)
def test_half_precision_around_it_changes_little(rule):
    encoder, counts = built(rule).float(), counts_of().float()
    outputs, _ = encoder(counts)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = encoder(counts)
    rough.float().square().sum().backward()
    assert (rough.float() - outputs).abs().max() < 0.1 * outputs.abs().max()


def test_correlations_are_those_of_weighted_bins():
    counts, tau_bins = counts_of(batch=1, time=30, n_units=4, rate=0.8), 6.0
    read, _ = correlation_read(tau_bins, counts, torch.eye(4, dtype=torch.float64))
    weights = np.exp(-np.arange(29, -1, -1) / tau_bins) * (1 - np.exp(-1 / tau_bins))
    # before the first bin everything was zero, and counts with what weight is left
    rows = np.vstack([np.zeros(4), counts[0].numpy()])
    covariance = np.cov(rows.T, aweights=[1 - weights.sum(), *weights], ddof=0)
    wanted = covariance / np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    np.testing.assert_allclose(read.expand()[0, -1].numpy(), wanted, atol=1e-12)


def test_a_window_over_all_blocks_sees_everybody():
    counts = counts_of(n_units=6)
    encoder = HebbianConfig("light", d=8, block=2, blocks_seen=3).build(6, 4, 0.01).double()
    outputs, _ = encoder(counts)
    changed = counts.clone()
    changed[:, 0, 5] += 1
    other, _ = encoder(changed)
    assert (outputs - other).abs().max() > 1e-6


def test_outputs_hold_between_spikes():
    counts = torch.zeros(1, 10, 6, dtype=torch.float64)
    counts[0, 3, 1] = counts[0, 6, 2] = 1
    outputs, _ = built("additive")(counts)
    moved = (outputs[0].diff(dim=0).abs().sum(dim=1) > 1e-12).nonzero().flatten() + 1
    assert moved.tolist() == [3, 6]


def test_the_order_of_spikes_matters_to_the_additive_rule_alone():
    counts = torch.zeros(2, 4, 6, dtype=torch.float64)
    counts[0, 0, 1] = counts[0, 2, 4] = 1  # 1 then 4
    counts[1, 0, 4] = counts[1, 2, 1] = 1  # 4 then 1
    pair = {}
    for rule in ("additive", "symmetric"):
        encoder = built(rule)
        for head in encoder.heads:  # one weight and one decay for all pairs, both sides
            for name in ("pre", "post"):
                getattr(head, f"log_weight_{name}").data.fill_(0.0)
        _, state = encoder(counts)
        pair[rule] = state[2][:, [1, 4]][:, :, [1, 4]]
    torch.testing.assert_close(pair["symmetric"][0], pair["symmetric"][1].flip(0, 1))
    assert (pair["symmetric"][0] - pair["symmetric"][0].T).abs().max() < 1e-12
    assert (pair["additive"][0] + pair["additive"][0].T).abs().max() < 1e-12  # 1 to 4 is minus 4 to 1


@pytest.mark.parametrize(
    "settings",
    [
        {"block": 2, "rule": "additive"},
        {"block": 2, "rule": "light", "blocks_seen": 2},
        {"rule": "hebb"},
        {"tau_s": ()},
        {"tau_s": (0.0,)},
        {"readout": "sum"},
        {"d": 6, "layers": 1},
    ],
)
def test_settings_without_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        HebbianConfig(**settings)


def test_counts_of_another_population_are_refused():
    with pytest.raises(ValueError, match="6 units"):
        built("light")(counts_of(n_units=5))


def test_an_encoder_without_units_is_refused():
    with pytest.raises(ValueError, match="n_units=0"):
        HebbianConfig().build(0, 4, 0.01)
