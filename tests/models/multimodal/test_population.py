"""Attention over sets: no order, no padding, no NaN, and seeds that stay apart."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neurolib.models.multimodal.population import PopulationTransformerConfig, SetAttention, SetPoolConfig


def close(one, other, atol=1e-6, rtol=1e-5):
    """torch.testing would import sympy, which takes seconds."""
    np.testing.assert_allclose(
        torch.as_tensor(one).detach(), torch.as_tensor(other).detach(), rtol=rtol, atol=atol
    )


D = 16


def built(kind):
    torch.manual_seed(0)
    cfg = PopulationTransformerConfig(heads=4) if kind == "transformer" else SetPoolConfig(n_out=5, heads=4)
    return cfg.build(D).double()


def example():
    torch.manual_seed(1)
    mask = torch.rand(3, 9) < 0.7
    mask[:, 0], mask[2] = True, False  # the last set is empty
    return torch.randn(3, 9, D).double(), mask, torch.randn(3, 9, 3).double()


def test_attention_is_the_plain_formula():
    torch.manual_seed(0)
    attention = SetAttention(D, heads=2).double()
    tokens, mask, _ = example()
    query = torch.randn(3, 4, D).double()
    q, k, v = attention.query(query), attention.key(tokens), attention.value(tokens)
    for row in range(2):
        parts = []
        for head in (slice(0, 8), slice(8, 16)):
            logits = q[row, :, head] @ k[row][mask[row]][:, head].T / 8**0.5
            parts.append(logits.softmax(-1) @ v[row][mask[row]][:, head])
        expected = attention.project(torch.cat(parts, dim=-1))
        close(attention(query, tokens, mask)[row], expected, atol=1e-12, rtol=0)
    assert (attention(query, tokens, mask)[2] == 0).all()


def test_channels_have_no_order():
    model = built("transformer")
    tokens, mask, coords = example()
    mixed, whole = model(tokens, mask, coords)
    turn = torch.randperm(9)
    turned, same = model(tokens[:, turn], mask[:, turn], coords[:, turn])
    close(turned, mixed[:, turn], atol=1e-10, rtol=0)
    close(same, whole, atol=1e-10, rtol=0)
    assert (model(tokens, mask, coords + 0.1)[1][:2] - whole[:2]).abs().max() > 1e-4  # positions count

    pool = built("pool")
    for one, other in zip(pool(tokens, mask), pool(tokens[:, turn], mask[:, turn]), strict=True):
        close(one, other, atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", ["transformer", "pool"])
@pytest.mark.parametrize("garbage", [1e6, float("nan")])
def test_padding_and_masked_tokens_do_nothing_and_get_no_gradient(kind, garbage):
    model, (tokens, mask, coords) = built(kind), example()
    more = (coords,) if kind == "transformer" else ()
    clean = model(tokens, mask, *more)
    padded = F.pad(tokens.masked_fill(~mask[..., None], garbage), (0, 0, 0, 37), value=garbage)
    padded.requires_grad_(True)
    more = tuple(F.pad(c.masked_fill(~mask[..., None], garbage), (0, 0, 0, 37), value=garbage) for c in more)
    wide = F.pad(mask, (0, 37))
    found = model(padded, wide, *more)
    for one, other in zip(clean, found, strict=True):
        close(other[:, : one.shape[1]], one, atol=1e-9, rtol=0)
        assert (one[2] == 0).all()  # of the empty set
    sum(part.sin().sum() for part in found).backward()
    assert (padded.grad[~wide] == 0).all()
    assert (padded.grad[wide].abs().sum(-1) > 0).all()
    for name, parameter in model.named_parameters():
        if name != "ensemble.weight":
            assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def cosine(x):
    x = F.normalize(x, dim=-1)
    pairs = torch.triu_indices(x.shape[1], x.shape[1], 1)
    return float((x @ x.mT)[:, pairs[0], pairs[1]].mean())


def test_64_seeds_do_not_collapse():
    torch.manual_seed(0)
    pool = SetPoolConfig(n_out=64, heads=4).build(32)
    tokens, target = torch.randn(2, 16, 32), torch.randn(2, 64, 32)
    mask = torch.ones(2, 16, dtype=torch.bool)
    parameters = list(pool.parameters())
    for step in range(101):
        latents, _ = pool(tokens, mask)
        if step in (0, 100):
            assert cosine(latents.detach()) < 0.5
            # not only because each seed is added to what it read
            assert cosine(pool.read(tokens, mask).detach()) < 0.9
        gradients = torch.autograd.grad((latents - target).square().mean(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 1e-3 * gradient.sign()  # as large as Adam's; torch.optim takes seconds to import


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="d=10 cannot be divided into 8 heads"):
        SetPoolConfig().build(10)
    with pytest.raises(ValueError, match="layers=0"):
        PopulationTransformerConfig(layers=0)
    with pytest.raises(ValueError, match="n_out=0"):
        SetPoolConfig(n_out=0)
