"""Freezing is undone exactly, and low-rank parts merge."""

import pytest
import torch
from torch import nn

from neurolib.models.multimodal.transfer import Freezer, add_low_rank, merge_low_rank


def model():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {
            "body": nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)),
            "query": nn.Linear(4, 4),
            "head": nn.Linear(4, 1),
        }
    )


def test_thawing_restores_what_was_before():
    net = model()
    net["head"].bias.requires_grad_(False)
    freezer = Freezer(net)
    freezer.freeze(["body", "head"])
    freezer.freeze(["body"])  # twice is once
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["query.weight", "query.bias"]
    freezer.thaw()
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["head.bias"]


def test_frozen_parts_lose_their_dropout():
    net = model()
    freezer = Freezer(net)
    freezer.freeze(["body"])
    net.train()
    freezer.settle()
    assert not net["body"][1].training and net["head"].training


def test_low_rank_parts_start_as_nothing_train_alone_and_merge():
    net, x = model(), torch.randn(5, 4)
    want = net["query"](x)
    assert add_low_rank(net, rank=2, alpha=4.0) == ["query"]
    assert torch.equal(net["query"](x), want)
    net["query"](x).sum().backward()
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p += torch.randn_like(p)
    tuned = net["query"](x)
    assert not torch.allclose(tuned, want)
    merge_low_rank(net)
    assert torch.allclose(net["query"](x), tuned, atol=1e-5)
    assert set(dict(net.named_parameters())) == set(dict(model().named_parameters()))


def test_unknown_parts_are_named():
    with pytest.raises(ValueError, match="no part 'bodi'; it has body, head, query"):
        Freezer(model()).freeze(["bodi"])
    with pytest.raises(ValueError, match="called wq"):
        add_low_rank(model(), targets=["wq"])
    with pytest.raises(ValueError, match="rank=0"):
        add_low_rank(model(), rank=0)
