"""Domain adversary: the reversed gradient, the confound it must not touch, and distances of distributions."""

import math

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.adversary import (
    DomainAdversaryConfig,
    confusion,
    coral,
    gradient_reversal,
    mmd2,
    modality_groups,
    reversal_strength,
)


def test_the_reversed_gradient_is_minus_that_of_finite_differences():
    torch.manual_seed(0)
    x, step, strength = torch.randn(3, 4).double(), 1e-6, 0.7

    def loss(x):
        return (x.sin() * x).sum()

    x.requires_grad_(True)
    forward = gradient_reversal(x, strength)
    assert torch.equal(forward, x)
    loss(forward).backward()
    with torch.no_grad():
        for i in range(3):
            for j in range(4):
                bump = torch.zeros_like(x)
                bump[i, j] = step
                slope = (loss(x + bump) - loss(x - bump)) / (2 * step)
                assert x.grad[i, j].item() == pytest.approx(-strength * slope.item(), abs=1e-7)


def test_the_strength_rises_from_nothing():
    strengths = [reversal_strength(p) for p in np.linspace(0, 1, 11)]
    assert strengths[0] == 0 and all(np.diff(strengths) > 0) and strengths[-1] > 0.999
    assert strengths[5] == pytest.approx(math.tanh(2.5))
    with pytest.raises(ValueError, match="progress=12"):
        reversal_strength(12)


def example():
    torch.manual_seed(0)
    pooled = torch.randn(12, 8)
    domain = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2, 0, 2, 3, -1])
    present = {
        "eeg": torch.tensor([True] * 4 + [False] * 4 + [True] * 4),
        "emg": torch.tensor([False] * 4 + [True] * 8),
    }
    return pooled, domain, modality_groups(present)


def test_domains_are_compared_only_within_a_modality():
    pooled, domain, group = example()
    assert group.tolist() == [1] * 4 + [2] * 4 + [3] * 4
    adversary = DomainAdversaryConfig(4, hidden=(16,)).build(8)
    x = pooled.clone().requires_grad_(True)
    result = adversary(x, domain, group, progress=1.0)
    assert (int(adversary.applied), int(adversary.skipped)) == (2, 1)
    assert result.logits.shape == (12, 4)

    expected = []
    for rows, domains in (([0, 1, 2, 3], [0, 1]), ([8, 9, 10], [0, 2, 3])):
        per_domain = []
        for d in domains:
            log_p = result.logits[[r for r in rows if domain[r] == d]][:, domains].log_softmax(-1)
            per_domain.append((-0.9 * log_p[:, domains.index(d)] - 0.1 * log_p.mean(1)).mean())
        expected.append(sum(per_domain) / len(domains))
    assert result.loss.item() == pytest.approx((sum(expected) / 2).item(), rel=1e-5)
    result.loss.backward()
    moved = x.grad.abs().sum(1) > 0
    assert moved.tolist() == [True] * 4 + [False] * 4 + [True] * 3 + [False]

    plain = pooled.clone().requires_grad_(True)  # without the reversal
    adversary.head.zero_grad()
    logits = adversary.head(plain)
    sum(adversary._group_loss(logits[r], domain[r]) for r in (slice(0, 4), slice(8, 11))).div(2).backward()
    np.testing.assert_allclose(x.grad, -reversal_strength(1.0) * plain.grad, rtol=1e-4, atol=1e-8)


def test_a_discriminator_that_knows_only_the_modality_is_at_chance():
    """Unequal shares of two species in two modalities would else reward forgetting the modality."""
    domain = torch.tensor([0] * 9 + [1] + [0] + [1] * 9)
    group = torch.tensor([1] * 10 + [2] * 10)
    adversary = DomainAdversaryConfig(2, hidden=(), smoothing=0.0).build(1)
    share = torch.where(group == 1, 2.0, -2.0)[:, None]
    with torch.no_grad():
        adversary.head.mlp[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        adversary.head.mlp[0].bias.zero_()
        knowing = adversary(share, domain, group, 0.0).loss
        blind = adversary(torch.zeros(20, 1), domain, group, 0.0).loss
    assert blind.item() == pytest.approx(math.log(2))
    assert knowing > blind


def test_without_two_domains_there_is_no_loss():
    pooled, domain, _ = example()
    adversary = DomainAdversaryConfig(4).build(8)
    result = adversary(pooled[:3], domain[:3], torch.zeros(3).long(), 0.5)
    assert result.loss is None and int(adversary.skipped) == 1
    with pytest.raises(ValueError, match="domain 3 of 2"):
        DomainAdversaryConfig(2).build(8)(pooled, domain, domain, 0.5)
    with pytest.raises(ValueError, match="n_domains=1"):
        DomainAdversaryConfig(1)


def test_confusion_is_ln_n_less_the_entropy():
    torch.manual_seed(0)
    p = torch.randn(5, 3).double().softmax(-1)
    entropy = -(p * p.log()).sum(1).mean()
    assert confusion(p.log()).item() == pytest.approx(math.log(3) - entropy.item())


def test_the_discrepancy_is_its_u_statistic_and_has_no_bias():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)) + 0.5
    both = np.concatenate([x, y])
    apart = [np.linalg.norm(both[i] - both[j]) for i in range(12) for j in range(i)]
    widths = [b * np.median(apart) for b in (0.25, 0.5, 1, 2, 4)]

    def k(a, b):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (2 * s**2)) for s in widths])

    xx = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(7) for j in range(7) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert mmd2(*map(torch.from_numpy, (x, y))).item() == pytest.approx(xx + yy - 2 * xy, rel=1e-9)

    same = [mmd2(*torch.from_numpy(rng.normal(size=(2, 8, 2)))).item() for _ in range(300)]
    standard_error = np.std(same) / np.sqrt(300)
    assert abs(np.mean(same)) < 3 * standard_error
    shift = np.array([0, 1])[:, None, None]
    moved = [mmd2(*torch.from_numpy(rng.normal(size=(2, 8, 2)) + shift)).item() for _ in range(100)]
    assert np.mean(moved) > 20 * standard_error
    with pytest.raises(ValueError, match="1 and 5 rows"):
        mmd2(torch.zeros(1, 2), torch.zeros(5, 2))


def test_coral_compares_covariances_alone():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)), 2 * rng.normal(size=(6, 3))
    expected = np.sum((np.cov(x.T) - np.cov(y.T)) ** 2) / 36
    assert coral(*map(torch.from_numpy, (x, y + 5))).item() == pytest.approx(expected)
