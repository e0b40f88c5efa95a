"""Contrastive losses: closed forms, the true pair never pushed apart, and the same gradient over processes."""

import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn import functional as F

from neurolib.models.multimodal.contrastive import (
    TriModalContrastive,
    gathered,
    multi_positive_info_nce,
    partners,
    retrieval_at_k,
)


def units(n, d=6, seed=0):
    torch.manual_seed(seed)
    return F.normalize(torch.randn(n, d).double(), dim=-1)


def slow(z, w, scale, positives, ignore):
    """The formula, pair by pair."""
    total = 0.0
    for a, b, p, skip in ((z, w, positives, ignore), (w, z, positives.T, ignore.T)):
        rows = []
        for i in range(len(a)):
            logits = [scale * float(a[i] @ b[j]) for j in range(len(b))]
            if all(p[i, j] or skip[i, j] for j in range(len(b))):
                continue
            bottom = math.log(sum(math.exp(logits[j]) for j in range(len(b)) if not skip[i, j]))
            rows.append(-np.mean([logits[j] - bottom for j in range(len(b)) if p[i, j]]))
        total += np.mean(rows) / 2
    return total


def test_two_rows_in_closed_form():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    w = torch.tensor([[0.6, 0.8], [0.0, 1.0]])  # products [[.6, 0], [.8, 1]]
    one_way = (math.log(1 + math.exp(-0.6)) + math.log(1 + math.exp(-0.2))) / 2
    back = (math.log(1 + math.exp(0.2)) + math.log(1 + math.exp(-1.0))) / 2
    found = multi_positive_info_nce(z, w, 0.0, torch.eye(2).bool())
    assert found.item() == pytest.approx((one_way + back) / 2, rel=1e-6)


def test_many_partners_ignored_pairs_and_rows_without_negatives_against_a_slow_loop():
    z, w = units(7), units(7, seed=1)
    session = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    time = torch.tensor([0.0, 0.5, 2.5, 9.0, 0.0, 2.0, 30.0])
    positives, ignore = partners(session, time, 1.0, torch.tensor([-1, -1, 4, -1, 4, -1, -1]))
    assert positives[2, 4] and not positives[0, 3] and ignore[1, 2] and not ignore[0, 4]
    for i in range(7):
        for j in range(7):
            apart = abs(float(time[i] - time[j]))
            near = i == j or (session[i] == session[j] and apart <= 1) or {i, j} == {2, 4}
            assert positives[i, j] == near
            assert ignore[i, j] == (session[i] == session[j] and apart <= 3 and not near)
    ignore[5] = ~positives[5]  # nothing to tell row 5 from
    found = multi_positive_info_nce(z, w, math.log(5), positives, ignore)
    assert found.item() == pytest.approx(slow(z, w, 5.0, positives, ignore), rel=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    z, w = units(4).requires_grad_(True), units(4, seed=1).requires_grad_(True)
    scale = torch.tensor(1.3).double().requires_grad_(True)
    positives, ignore = partners(torch.zeros(4).long(), torch.tensor([0.0, 1.0, 2.0, 7.0]), 1.0)
    given = (z, w, scale)
    gradients = torch.autograd.grad(multi_positive_info_nce(*given, positives, ignore), given)
    with torch.no_grad():
        for x, gradient in zip(given, gradients, strict=True):
            for i in range(x.numel()):
                ends = []
                for step in (1e-6, -1e-6):
                    x.view(-1)[i] += step
                    ends.append(multi_positive_info_nce(*given, positives, ignore).item())
                    x.view(-1)[i] -= step
                slope = (ends[0] - ends[1]) / 2e-6
                assert gradient.flatten()[i].item() == pytest.approx(slope, abs=1e-8)


def test_aligned_is_better_than_shuffled_and_than_chance():
    z, eye = units(16, d=32), torch.eye(16).bool()
    aligned, shuffled = (
        multi_positive_info_nce(z, z[turn], math.log(14), eye) for turn in (range(16), range(-1, 15))
    )
    assert aligned < 0.1 * math.log(16) < math.log(16) < shuffled
    half = multi_positive_info_nce(z.bfloat16(), z.bfloat16(), math.log(14), eye)
    with torch.autocast("cpu", torch.bfloat16):
        inside = multi_positive_info_nce(z.float(), z.float(), math.log(14), eye)
    assert half.dtype == inside.dtype == torch.float32
    assert inside.item() == pytest.approx(aligned.item(), rel=1e-2)


def test_the_scale_is_held_to_a_hundred():
    z, w, eye = units(5), units(5, seed=1), torch.eye(5).bool()
    at, beyond = (multi_positive_info_nce(z, w, math.log(s), eye) for s in (100, 1e6))
    assert at.item() == pytest.approx(beyond.item())


def test_what_would_push_true_pairs_apart_is_refused():
    z, eye = units(3), torch.eye(3).bool()
    missing = eye.clone()
    missing[1, 1] = False
    with pytest.raises(ValueError, match="row 1 is not its own partner"):
        multi_positive_info_nce(z, z, 0.0, missing)
    with pytest.raises(ValueError, match=r"pair \(0, 0\) is both"):
        multi_positive_info_nce(z, z, 0.0, eye, eye)
    with pytest.raises(ValueError, match="two times"):
        multi_positive_info_nce(z, z, 0.0, eye[:2])


def test_three_towers_give_three_losses_of_the_rows_they_share():
    model = TriModalContrastive(within_s=0.5).double()
    towers = {"stimulus": units(6), "neural": units(6, seed=1), "behaviour": units(6, seed=2)}
    session, time = torch.zeros(6).long(), torch.arange(6.0)
    has = torch.tensor([True, True, False, True, False, True])
    lone = torch.tensor([False, False, True, False, False, False])
    losses = model(towers, session, time, present={"behaviour": has, "stimulus": lone | ~has})
    assert set(losses) == {"neural-behaviour", "neural-stimulus"}  # the third pair shares no row
    positives, ignore = partners(session[has], time[has], 0.5)
    alone = multi_positive_info_nce(
        towers["neural"][has], towers["behaviour"][has], model.log_scale, positives, ignore
    )
    assert losses["neural-behaviour"].item() == pytest.approx(alone.item())
    assert model.log_scale.exp().item() == pytest.approx(1 / 0.07)
    with pytest.raises(ValueError, match="no tower 'video'"):
        model({"video": towers["neural"]}, session, time)


def test_processes_together_have_the_gradient_of_one(monkeypatch):
    z, w, eye = units(6), units(6, seed=1), torch.eye(6).bool()
    z.requires_grad_(True)
    multi_positive_info_nce(z, w, 1.0, eye).backward()
    found = torch.zeros_like(z)
    shards = z.detach().split(2)
    for rank in range(3):

        def all_gather(parts, x):
            whole = z if any(torch.equal(x, shard) for shard in shards) else w
            for part, rows in zip(parts, whole.detach().split(2), strict=True):
                part.copy_(rows)

        monkeypatch.setattr(dist, "is_initialized", lambda: True)
        monkeypatch.setattr(dist, "get_world_size", lambda: 3)
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        monkeypatch.setattr(dist, "all_gather", all_gather)
        mine = z.detach()[2 * rank : 2 * rank + 2].clone().requires_grad_(True)
        both = gathered(mine), gathered(w[2 * rank : 2 * rank + 2])
        assert torch.equal(both[0], z) and torch.equal(both[1], w)
        multi_positive_info_nce(*both, 1.0, eye).backward()
        found[2 * rank : 2 * rank + 2] = mine.grad / 3  # the mean over processes
    np.testing.assert_allclose(found, z.grad, rtol=1e-10)


def test_retrieval_counts_partners_among_the_nearest():
    z, w = units(8), units(8, seed=1)
    order = (z @ w.T).argsort(dim=1, descending=True)
    rank = (order == torch.arange(8)[:, None]).int().argmax(1)
    for k in (1, 3, 8):
        assert retrieval_at_k(z, w, k) == pytest.approx(float((rank < k).double().mean()))
    assert retrieval_at_k(z, w, 8) == 1
    all_alike = torch.ones(8, 8).bool()
    assert retrieval_at_k(z, w, 1, all_alike) == 1
    with pytest.raises(ValueError, match="k=9"):
        retrieval_at_k(z, w, 9)
