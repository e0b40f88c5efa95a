"""The adapter asks in the call, changes nothing, and says so where a model has no attention weights.

The stub has the attributes of a model of the `transformers` package and of its outputs.
"""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.alignment.captures import CaptureConfig, weights_hash
from neurolib.alignment.huggingface import attentions, hidden_states


class Stub(nn.Module):
    """Two layers of one head that read tokens; attention weights only where the attention is eager."""

    def __init__(self, implementation="eager", part="", fused=()):
        super().__init__()
        self.config = SimpleNamespace(
            _attn_implementation=implementation, output_hidden_states=False, output_attentions=False
        )
        self.part, self.fused = part, fused
        self.embed, self.drop = nn.Embedding(9, 6), nn.Dropout(0.5)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))
        self.calls = []

    def forward(
        self, input_ids, attention_mask=None, output_hidden_states=None, output_attentions=None, **other
    ):
        self.calls.append((len(input_ids), output_hidden_states, output_attentions))
        x = self.drop(self.embed(input_ids))
        hidden, weights = [x], []
        for layer in self.layers:
            there = torch.ones(x.shape[1], x.shape[1]).tril()
            seen = (there / there.sum(-1, keepdim=True)).expand(len(x), 1, -1, -1)
            x = layer(seen[:, 0] @ x)
            hidden.append(x)
            weights.append(None if self.config._attn_implementation != "eager" else seen)
        for number in self.fused:
            weights[number] = None
        p = f"{self.part}_" if self.part else ""
        return SimpleNamespace(
            **{
                "last_hidden_state": x,
                p + "hidden_states": tuple(hidden) if output_hidden_states else None,
                p + "attentions": tuple(weights) if output_attentions else None,
            }
        )


@pytest.fixture
def tokens():
    return {"input_ids": torch.randint(9, (7, 5), generator=torch.Generator().manual_seed(0))}


def built(**settings):
    torch.manual_seed(0)
    return Stub(**settings).train()


def test_hidden_states_are_the_models_own_in_one_pass_per_batch(tokens):
    model = built()
    before = copy.deepcopy(vars(model.config))
    found = hidden_states(model, tokens, cfg=CaptureConfig(token="last", batch_size=3))
    assert list(found.layers) == ["embedding", "layer.1", "layer.2"]
    assert model.calls[1:] == [(3, True, None), (3, True, None), (1, True, None)]
    assert model.training and model.drop.training and vars(model.config) == before
    assert found.model == "Stub" and found.provenance["weights"] == weights_hash(model)
    with torch.no_grad():
        wanted = model.eval()(**tokens, output_hidden_states=True).hidden_states
    for (_, rows), layer in zip(found.layers.items(), wanted, strict=True):
        np.testing.assert_allclose(rows, layer[:, -1], atol=1e-6)


def test_tokens_that_only_fill_are_left_out(tokens):
    model, mask = built(), torch.ones(7, 5, dtype=torch.long)
    mask[0, 2:] = 0
    found = hidden_states(model, tokens | {"attention_mask": mask}, cfg=CaptureConfig(token="mean"))
    with torch.no_grad():
        wanted = model.eval()(**tokens, output_hidden_states=True).hidden_states[1]
    np.testing.assert_allclose(found.layers["layer.1"][0], wanted[0, :2].mean(0), atol=1e-6)
    np.testing.assert_allclose(found.layers["layer.1"][1], wanted[1].mean(0), atol=1e-6)


def test_eager_attention_comes_as_one_array_per_layer(tokens):
    model = built()
    before = copy.deepcopy(vars(model.config))
    found = attentions(model, {key: value.numpy() for key, value in tokens.items()})
    assert [layer.shape for layer in found] == [(7, 1, 5, 5)] * 2
    np.testing.assert_allclose(found[0][0, 0], np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None], rtol=1e-6)
    assert model.training and vars(model.config) == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"implementation": "sdpa"}, r"layers \[0, 1\] have none; its attention is sdpa"),
        ({"fused": [1]}, r"layers \[1\] have none; its attention is eager"),
        ({"part": "encoder"}, "no 'attentions'"),
    ],
)
def test_missing_weights_are_an_error_and_the_configuration_stays(tokens, settings, says):
    model = built(**settings)
    before = copy.deepcopy(vars(model.config))
    with pytest.raises(ValueError, match=says + r".*attn_implementation='eager'"):
        attentions(model, tokens)
    assert vars(model.config) == before and model.training


def test_parts_of_a_model_with_encoder_and_decoder(tokens):
    model = built(part="decoder")
    assert next(iter(hidden_states(model, tokens, part="decoder").layers)) == "embedding"
    assert len(attentions(model, tokens, part="decoder")) == 2
    with pytest.raises(ValueError, match="gave no 'hidden_states', only last_hidden_state"):
        hidden_states(model, tokens)
    with pytest.raises(ValueError, match="part='left' must be one of"):
        attentions(model, tokens, part="left")
