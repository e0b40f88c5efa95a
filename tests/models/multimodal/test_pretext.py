"""Exercises for populations: what is drawn is what the answers say, and it can be learned."""

import math

import pytest
import torch

from neurolib.models.multimodal.population import PopulationTransformerConfig
from neurolib.models.multimodal.pretext import PretextHeads, adjacency_loss, draw_pretext, swap_loss

B, T, C = 64, 9, 12


def coded():
    """Tokens that say where and when they are from."""
    time, channel = torch.meshgrid(torch.arange(T), torch.arange(C), indexing="ij")
    tokens = torch.stack([time, channel], dim=-1).float().expand(B, T, C, 2)
    torch.manual_seed(0)
    mask = torch.rand(B, T, C) < 0.8
    mask[0] = False  # nothing to draw from
    mask[1, 1:] = False  # one patch only
    return tokens, mask


def test_answers_tell_what_was_drawn():
    tokens, mask = coded()
    drawn = draw_pretext(tokens, mask, torch.Generator().manual_seed(3), swapped=0.2)
    assert not drawn.valid[:2].any() and drawn.valid[2:].all()
    assert not drawn.mask[:2].any()
    assert 0.3 < drawn.adjacent.float().mean() < 0.7
    for row in range(2, B):
        seen, moved = drawn.mask[row], drawn.swapped[row]
        time, channel = drawn.tokens[row, :, 0].long(), drawn.tokens[row, :, 1]
        assert (channel == torch.arange(C)).all()  # each channel stays in its place
        assert mask[row, time[seen], torch.arange(C)[seen]].all()  # and was recorded then
        first = time[seen & ~moved & (drawn.ensemble[row] == 0)].unique()
        second = time[seen & ~moved & (drawn.ensemble[row] == 1)].unique()
        assert len(first) <= 1 and len(second) <= 1
        if len(first) and len(second):
            assert int(second - first) == 1 if drawn.adjacent[row] else abs(int(second - first)) >= 2
        assert abs(int((drawn.ensemble[row] == 0).sum()) - C / 2) <= 1
        assert int(moved.sum()) == max(1, round(0.2 * int(seen.sum())))
        for c in moved.nonzero()[:, 0].tolist():
            there = first if drawn.ensemble[row, c] == 0 else second
            assert not len(there) or abs(int(time[c] - there)) >= 2


def test_the_generator_decides():
    tokens, mask = coded()
    one, same, other = (draw_pretext(tokens, mask, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.tokens, other.tokens)


def test_losses_are_those_of_a_coin_and_of_certainty():
    tokens, mask = coded()
    drawn = draw_pretext(tokens, mask, torch.Generator().manual_seed(0))
    assert math.isclose(adjacency_loss(torch.zeros(B), drawn), math.log(2), rel_tol=1e-6)
    assert math.isclose(swap_loss(torch.zeros(B, C), drawn), math.log(2), rel_tol=1e-6)
    assert adjacency_loss(40 * (2.0 * drawn.adjacent - 1), drawn) < 1e-6
    sure = (40 * (2.0 * drawn.swapped - 1)).masked_fill(~drawn.mask, 1e6)  # what is masked does not count
    assert swap_loss(sure, drawn) < 1e-6


def test_both_questions_teach_the_whole_transformer():
    tokens, mask = coded()
    torch.manual_seed(0)
    model, heads = PopulationTransformerConfig(layers=1, heads=2).build(2), PretextHeads(2)
    drawn = draw_pretext(tokens / T, mask, torch.Generator().manual_seed(0))
    adjacent, swapped = heads(*model(drawn.tokens, drawn.mask, drawn.tokens[..., [0, 1, 1]], drawn.ensemble))
    assert adjacent.shape == (B,) and swapped.shape == (B, C)
    (adjacency_loss(adjacent, drawn) + swap_loss(swapped, drawn)).backward()
    for name, parameter in [*model.named_parameters(), *heads.named_parameters()]:
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_too_few_patches_and_wrong_fractions_are_refused():
    tokens, mask = coded()
    with pytest.raises(ValueError, match="3 patches"):
        draw_pretext(tokens[:, :3], mask[:, :3])
    with pytest.raises(ValueError, match=r"swapped=1\.5"):
        draw_pretext(tokens, mask, swapped=1.5)
