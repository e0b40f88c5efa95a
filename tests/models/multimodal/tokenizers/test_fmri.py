"""BOLD: how far a token sees, when it is, and where its region lies."""

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers import FMRITokenizerConfig


def built(**settings):
    torch.manual_seed(0)
    return FMRITokenizerConfig(**settings).build(8, GrowingEmbedding(8, "abc")).double()


@pytest.mark.parametrize("dilations, field", [((1, 2, 4, 8), 31), ((1, 2, 4), 15)])
def test_a_token_sees_as_many_scans_as_the_dilations_say(dilations, field):
    tokenizer = built(dilations=dilations)
    x = torch.randn(1, 60, 3).double().requires_grad_()
    tokenizer(ModalityInput.sampled(x, 0.5)).tokens[0, 30].sin().sum().backward()
    seen = x.grad.abs().sum((0, 2)).nonzero()[:, 0]
    half = field // 2
    assert seen.tolist() == list(range(30 - half, 30 + half + 1))


def test_tokens_are_earlier_than_scans_by_a_learned_delay():
    tokenizer = built(rate_hz=1.25)
    tokens = tokenizer(ModalityInput.sampled(torch.randn(1, 10, 3).double(), 1.25))
    np.testing.assert_allclose(tokens.time[0].detach(), 0.8 * (np.arange(10) + 0.5) - 5, atol=1e-6)
    tokens.time.sum().backward()
    assert tokenizer.delay_s.grad == -10


def test_regions_have_tokens_of_their_own():
    tokenizer = built(tokens="region", patch=16)
    x = torch.randn(1, 40, 3).double()
    tokens = tokenizer(ModalityInput.sampled(x, 0.5))
    assert tokens.unit.tolist() == [[0, 1, 2] * 3] and tokens.time[0, 0] == 16 - 5
    changed = x.clone()
    changed[:, :, 1] += 1
    difference = (tokenizer(ModalityInput.sampled(changed, 0.5)).tokens - tokens.tokens).abs().amax(-1)[0]
    assert (difference > 1e-6).tolist() == [False, True, False] * 3


def test_regions_without_a_vector_of_their_own_are_told_apart_by_position():
    tokenizer = built()
    torch.nn.init.zeros_(tokenizer.place.channels.weight)
    x, coords = torch.randn(1, 20, 3).double(), torch.randn(1, 3, 3).double()
    one, other = (tokenizer(ModalityInput.sampled(x, 0.5, coords=c)).tokens for c in (coords, coords.flip(1)))
    assert (one - other).abs().max() > 1e-3
