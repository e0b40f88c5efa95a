"""A small open transformer: causal, its weights sum to one, and wired by hand it continues what it saw."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neurolib.interpret.activations import Patch, patch, record
from neurolib.metrics.attention_patterns import repeat_scores
from neurolib.metrics.head_composition import composition, copying_score
from neurolib.models.attention_only import AttentionOnlyConfig, hand_built_induction

N_TOKENS, N_POSITIONS, LENGTH = 20, 25, 12


@pytest.fixture(params=[0, 16], ids=["attention only", "with perceptron"])
def model(request):
    torch.manual_seed(0)
    cfg = AttentionOnlyConfig(d=12, heads=3, hidden=request.param)
    built = cfg.build(N_TOKENS, N_POSITIONS).double()
    with torch.no_grad():  # norms and biases as after training
        for weights in built.parameters():
            weights += 0.3 * torch.randn_like(weights)
    return built.requires_grad_(False)


def repeats(n=6, seed=1):
    draw = torch.Generator().manual_seed(seed)
    order = torch.rand(n, N_TOKENS - 1, generator=draw).argsort(1)[:, :LENGTH] + 1
    return torch.cat([torch.zeros(n, 1, dtype=torch.long), order, order], 1)


def test_no_logit_depends_on_later_tokens_and_every_row_of_weights_sums_to_one(model):
    tokens = repeats()
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % N_TOKENS
    difference = (model(changed) - model(tokens)).abs().amax((0, 2))
    assert difference[:9].max() == 0 and difference[9] > 1e-3
    weights = model.attention(tokens)
    assert weights.shape == (6, 2, 3, 25, 25) and weights.triu(1).abs().max() == 0
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)


def test_the_weights_are_those_that_the_run_used(model):
    tokens = repeats()
    acts = record(model, tokens)
    weights = model.attention(tokens)
    for layer in range(2):
        torch.testing.assert_close(acts[f"block.{layer}.pattern"], weights[:, layer])
    with patch(model, {f"block.{layer}.pattern": weights[:, layer] for layer in range(2)}):
        torch.testing.assert_close(model(tokens), acts.output)


def test_a_head_adds_its_weights_times_values_times_its_output_matrix(model):
    """By a slow sum from the parameters alone."""
    tokens = repeats()
    acts, block = record(model, tokens), model.blocks[1]
    x = F.layer_norm(acts["block.1.attention_in"], (12,), block.norm.weight, block.norm.bias)
    q, k, v = (part.unflatten(-1, (3, 4)) for part in block.qkv(x).chunk(3, -1))
    head, row, total = 2, 0, torch.zeros(12).double()
    at = 17
    logits = torch.stack([(q[row, at, head] * k[row, s, head]).sum() / 4**0.5 for s in range(at + 1)])
    for s, weight in enumerate(logits.softmax(0)):
        total += block.project.weight[:, 8:12] @ (weight * v[row, s, head])
    whole = acts["block.1.attention"][row, at]
    with patch(model, [Patch("block.1.heads", torch.zeros(1).double(), {"head": [head]})]):
        without = record(model, tokens)["block.1.attention"][row, at]
    torch.testing.assert_close(whole - without, total)


def test_head_matrices_act_as_the_layer_does_up_to_the_spread_of_the_norm(model):
    """Differences of the logits of attention between two keys, and what a head writes, from the matrices alone."""
    block, weights = model.blocks[1], model.head_weights(1)
    with torch.no_grad():
        block.norm.bias.zero_()
        block.qkv.bias.zero_()
    x = torch.randn(2, 12, generator=torch.Generator().manual_seed(2)).double()
    query, key, value = block.qkv(block.norm(x)).view(2, 3, 3, 4).permute(1, 2, 0, 3)
    spread = x.std(-1, correction=0).numpy()[:, None]
    for head in range(3):
        for part, matrix in ((query, weights.query), (key, weights.key), (value, weights.value)):
            np.testing.assert_allclose(part[head], x.numpy() @ matrix[head] / spread, rtol=1e-4, atol=1e-4)
        written = value[head].numpy() @ block.project.weight[:, 4 * head : 4 * head + 4].numpy().T
        centred = written - written.mean(-1, keepdims=True)
        np.testing.assert_allclose(value[head].numpy() @ weights.out[head], centred, atol=1e-12)


def test_wired_by_hand_it_is_an_induction_head():
    model, tokens = hand_built_induction(N_TOKENS, N_POSITIONS), repeats(20)
    with torch.no_grad():
        weights, logits = model.attention(tokens).numpy(), model(tokens)
    found = repeat_scores(weights, LENGTH, start=1)
    np.testing.assert_allclose(found.previous[:, 0, 0], 1, atol=1e-6)
    np.testing.assert_allclose(found.induction[:, 1, 0], 1, atol=1e-6)
    assert found.duplicate[:, :, 0].max() < 1e-6
    np.testing.assert_allclose(
        found.induction[:, :, 1], found.chance, atol=1e-6
    )  # the idle heads look evenly
    assert (logits[:, LENGTH + 1 : -1].argmax(-1) == tokens[:, LENGTH + 2 :]).all()


def test_the_matrices_of_the_hand_wired_one_show_keys_and_copying():
    model = hand_built_induction(N_TOKENS, N_POSITIONS)
    first, second = model.head_weights(0), model.head_weights(1)
    scores = {kind: made[0, 0] for kind, made in composition(first, second).scores.items()}
    assert scores["key"] > 10 * scores["query"] and scores["key"] > 10 * scores["value"]
    tables = model.embed.weight.detach().numpy(), model.unembed.weight.detach().numpy().T
    assert copying_score(second.value[0], second.out[0], *tables) == pytest.approx(1)


def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(ValueError, match="d=10 must be a multiple of heads=4"):
        AttentionOnlyConfig(d=10)
    with pytest.raises(ValueError, match="layers=0 must be at least 1"):
        AttentionOnlyConfig(layers=0)
    with pytest.raises(ValueError, match="26 tokens in a sequence; the model was built for 25"):
        model(torch.zeros(1, 26, dtype=torch.long))
