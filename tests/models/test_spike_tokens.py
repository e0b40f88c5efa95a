"""Attention over spikes: equal to a softmax over an explicit list of tokens, in any order."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.spike_tokens import SpikeTokensConfig, embed_units

N_UNITS, N_OUTPUTS, BIN_SIZE_S, BINS, HEADS = 6, 3, 0.025, 7, 2
TRAIN = np.random.default_rng(1).poisson(np.linspace(0.1, 1, N_UNITS), (300, N_UNITS))


def built(bins: int = BINS, **settings) -> nn.Module:
    torch.manual_seed(0)
    cfg = SpikeTokensConfig(**{"d": 16, "heads": HEADS, "history_s": bins * BIN_SIZE_S} | settings)
    encoder = cfg.build(N_UNITS, N_OUTPUTS, BIN_SIZE_S).double().eval().requires_grad_(False)
    encoder.standardise(TRAIN)
    return encoder


def spikes(n_bins: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(2).poisson(0.4, (2, n_bins, N_UNITS))).double()


KINDS = {"perceptrons": {}, "attention over bins": {"context_s": 0.125}, "none": {"layers": 0}}


@pytest.mark.parametrize("bins", [1, 2, BINS, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_trials_chunks_and_single_bins_give_the_same(kind, bins, assert_streams_alike):
    assert_streams_alike(built(bins, **KINDS[kind]), spikes(), compare_states=True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_depends_on_its_history_and_on_nothing_else(kind):
    encoder, counts = built(**KINDS[kind]), spikes()
    changed = counts.clone()
    changed[:, 15] += 3
    moved = (encoder(changed)[0] - encoder(counts)[0]).abs().amax((0, 2)) > 1e-9
    reach = BINS + (2 * (5 - 1) if "context_s" in KINDS[kind] else 0)  # two layers of five bins
    assert moved.nonzero().flatten().tolist() == list(range(15, 15 + reach))


def turned(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """First and second half of a vector are real and imaginary parts; turn each by its own angle."""
    half = len(vector) // 2
    parts = (vector[:half] + 1j * vector[half:]) * np.exp(1j * angle)
    return np.concatenate([parts.real, parts.imag])


def test_rotations_have_the_periods_of_the_settings():
    lag_s, period_s = BIN_SIZE_S * np.arange(BINS), np.geomspace(0.05, 4.0, 4)
    np.testing.assert_allclose(built().cross.angle, 2 * np.pi * lag_s[:, None] / period_s, rtol=1e-5)


def attend(encoder: nn.Module, tokens: list[tuple[int, int]], now: int) -> np.ndarray:
    """What attention over spikes ``(unit, bin)`` gives at one bin, token by token."""
    cross, angle = encoder.cross, encoder.cross.angle.numpy()
    w = {name: value.numpy() for name, value in cross.state_dict().items()}

    def embedded(vector):
        x = (vector - vector.mean()) / np.sqrt(vector.var() + cross.norm.eps)
        key, value = np.split(w["key_value.weight"] @ (x * w["norm.weight"] + w["norm.bias"]), 2)
        return np.split(key, HEADS), np.split(value, HEADS)

    none_counts_as = np.log(TRAIN.sum(1).mean() * BINS)
    out = []
    for head, query in enumerate(np.split(w["query"], HEADS)):
        key, value = (part[head] for part in embedded(w["no_spike"][0]))
        logits, values = [query @ key / np.sqrt(len(query)) + none_counts_as], [value]
        for unit, at in tokens:
            key, value = (part[head] for part in embedded(w["units"][unit]))
            logits.append(query @ turned(key, angle[now - at]) / np.sqrt(len(query)))
            values.append(turned(value, angle[now - at]))
        weights = np.exp(logits - np.max(logits))
        out.append(weights / weights.sum() @ np.array(values))
    return w["query"] + w["project.weight"] @ np.concatenate(out) + w["project.bias"]


@pytest.mark.parametrize("order", ["by time", "shuffled"])
def test_attention_over_counts_is_attention_over_a_list_of_spikes_in_any_order(order):
    encoder, counts = built(), spikes(15)
    counts[0, :9] = 0  # a whole history without a spike
    counts[1, 3, 2] = 5
    found = encoder.cross(counts, encoder.count_mean.sum())[0]
    rng = np.random.default_rng(3)
    for b in range(2):
        for t in range(15):
            tokens = [
                (unit, s)
                for s in range(max(0, t - BINS + 1), t + 1)
                for unit in range(N_UNITS)
                for _ in range(int(counts[b, s, unit]))
            ]
            if order == "shuffled":
                rng.shuffle(tokens)
            expected = attend(encoder, tokens, t)
            np.testing.assert_allclose(found[b, t], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_units_can_change_places_along_with_their_embeddings(kind):
    encoder, other, counts = built(**KINDS[kind]), built(**KINDS[kind]), spikes()
    order = torch.from_numpy(np.random.default_rng(3).permutation(N_UNITS))
    other.cross.units.copy_(encoder.cross.units[order])
    other.standardise(TRAIN.take(order, axis=1))
    before = encoder(counts)[0]
    np.testing.assert_allclose(other(counts[..., order])[0], before, rtol=0, atol=1e-10)
    assert (encoder(counts[..., order])[0] - before).abs().max() > 1e-2


def test_the_number_of_spikes_is_seen_though_weights_sum_to_one():
    encoder, counts = built(), spikes()
    assert (encoder(2 * counts)[0] - encoder(counts)[0]).abs().max() > 1e-2


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_logits_stay_finite_with_and_without_spikes(scale):
    encoder = built().float().requires_grad_(True)
    with torch.no_grad():
        encoder.cross.query *= scale
    for counts in (spikes().float(), torch.zeros(1, 9, N_UNITS), torch.full((1, 9, N_UNITS), 50.0)):
        outputs = encoder(counts)[0]
        outputs.sum().backward()
        assert outputs.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_new_units_are_learned_while_the_rest_stays_as_it_is():
    encoder = built().requires_grad_(True)
    train = np.random.default_rng(4).poisson(0.7, (200, 9))
    other = embed_units(encoder, 9, train)
    learned = [p for p in other.parameters() if p.requires_grad]
    assert [id(p) for p in learned] == [id(p) for p in other.unit_parameters()]
    np.testing.assert_allclose(other.count_mean, train.mean(0))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    other(torch.from_numpy(train)[None].double())[0].square().mean().backward()
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    changed = [name for name, value in other.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["cross.units"]
    assert encoder.cross.units.shape == (N_UNITS, 16) and all(p.requires_grad for p in encoder.parameters())


def test_every_parameter_gets_a_gradient():
    for kind, settings in KINDS.items():
        encoder = built(**settings).requires_grad_(True)
        encoder(spikes())[0].square().sum().backward()
        for name, parameter in encoder.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, (kind, name)


def test_attention_stays_out_of_autocast():
    encoder, counts = built().float(), spikes().float()
    exact = encoder.cross(counts, encoder.count_mean.sum())[0]
    with torch.autocast("cpu", torch.bfloat16):
        inside = encoder.cross(counts, encoder.count_mean.sum())[0]
    assert inside.dtype == torch.float32
    np.testing.assert_allclose(inside, exact, rtol=0, atol=1e-5)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"d=10 must be a multiple of 2 \* heads=8"):
        SpikeTokensConfig(d=10)
    with pytest.raises(ValueError, match="layers=-1"):
        SpikeTokensConfig(layers=-1)
    with pytest.raises(ValueError, match="context_s=0 must be positive"):
        SpikeTokensConfig(context_s=0)
    with pytest.raises(ValueError, match=r"periods_s=\(4.0, 0.05\) must be"):
        SpikeTokensConfig(periods_s=(4.0, 0.05))
    with pytest.raises(ValueError, match="history_s=0 must be positive"):
        SpikeTokensConfig(history_s=0)


def test_another_population_is_refused():
    with pytest.raises(ValueError, match="for an encoder of 6 units; is this another session"):
        built()(torch.zeros(1, 4, 7).double())
