"""Heads and their losses against closed forms, scipy, and the metrics of the package."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from neurolib.metrics.spikes import bits_per_spike as bits_of_metrics
from neurolib.models.multimodal.heads import (
    ContrastiveHead,
    DecoderHeadConfig,
    DomainHead,
    EncoderHeadConfig,
)
from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.losses import (
    bits_per_spike,
    gaussian_nll,
    huber,
    poisson_nll,
    zero_inflated_gamma_nll,
)


def close(one, other, atol=1e-6, rtol=1e-5):
    """torch.testing would import sympy, which takes seconds."""
    np.testing.assert_allclose(
        torch.as_tensor(one).detach(), torch.as_tensor(other).detach(), rtol=rtol, atol=atol
    )


CONTINUOUS = [DecoderHeadConfig(2, loss=loss, hidden=(6,)) for loss in ("mse", "student_t", "gaussian")]
HEADS = [*CONTINUOUS, DecoderHeadConfig(3, "categorical", hidden=()), DecoderHeadConfig(2, "circular")]


def target_of(cfg, shape):
    if cfg.kind == "categorical":
        return torch.randint(0, cfg.n_out, shape)
    return torch.randn(*shape, cfg.n_out)


@pytest.mark.parametrize("cfg", HEADS, ids=lambda cfg: f"{cfg.kind}-{cfg.loss}")
def test_a_decoder_learns_and_never_reads_masked_targets(cfg):
    torch.manual_seed(0)
    head, x, target = cfg.build(8), torch.randn(4, 5, 8), target_of(cfg, (4, 5))
    mask = torch.rand(4, 5) < 0.6
    garbage = target.clone()
    garbage[~mask] = 999 if cfg.kind == "categorical" else math.nan
    x.requires_grad_(True)
    loss = head.loss(head(x), garbage, mask)
    close(loss, head.loss(head(x)[mask], target[mask]))
    loss.backward()
    assert (x.grad[~mask] == 0).all() and x.grad[mask].abs().min() > 0
    assert head.loss(head(x), garbage, torch.zeros_like(mask)).item() == 0
    parameters = list(head.parameters())
    for _ in range(60):
        now = head.loss(head(x), target)
        gradients = torch.autograd.grad(now, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.01 * gradient.sign()
    assert head.loss_floor <= now.item() < loss.item() - 0.05
    assert head.values(head(x)).shape == (4, 5, cfg.n_out)


def test_losses_of_decoders_are_their_formulas():
    torch.manual_seed(0)
    raw, target = torch.randn(7, 2).double(), torch.randn(7, 1).double()
    mean, log_variance = raw[:, :1], raw[:, 1:]
    of = {loss: DecoderHeadConfig(1, loss=loss).build(4) for loss in ("mse", "student_t", "gaussian")}
    close(of["mse"].loss(mean, target), (mean - target).square().mean())
    t = -stats.t(4, mean.numpy()).logpdf(target.numpy()) + stats.t(4).logpdf(0)
    np.testing.assert_allclose(of["student_t"].loss(mean, target), t.mean(), rtol=1e-10)
    sd = np.exp(log_variance.numpy() / 2)
    nll = -stats.norm(mean.numpy(), sd).logpdf(target.numpy()) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(of["gaussian"].loss(raw, target), (sd * nll).mean(), rtol=1e-10)

    circular = DecoderHeadConfig(1, "circular").build(4)
    angle = torch.tensor([[0.3], [-2.0], [3.0]])
    exact = torch.cat([angle.sin(), angle.cos()], dim=-1)
    close(circular.values(exact), angle)
    assert circular.loss(exact, angle + 2 * math.pi) < 1e-10
    assert math.isclose(circular.loss(-exact, angle), 4, rel_tol=1e-5)  # the other side of the circle


def test_the_gaussian_floor_is_reached_and_not_passed():
    head = DecoderHeadConfig(1, loss="gaussian").build(4)
    log_variance = torch.linspace(-12, 6, 2001)
    losses = [float(head.loss(torch.tensor([[0.0, s]]), torch.zeros(1, 1))) for s in log_variance[::10]]
    assert min(losses) == pytest.approx(head.loss_floor, abs=1e-3)
    assert min(losses) >= head.loss_floor - 1e-6


def table(n=6, d=8):
    torch.manual_seed(0)
    return GrowingEmbedding(d, [f"a/{i}" for i in range(n)])


@pytest.mark.parametrize("kind", ["poisson", "gaussian", "huber", "gamma"])
def test_channels_are_read_out_by_their_identity_alone(kind):
    head = EncoderHeadConfig(kind).build(8, table())
    with torch.no_grad():
        head.bias.weight.normal_()
    states, rows = torch.randn(2, 5, 8), torch.tensor([[4, 1, 0], [2, 3, 5]])
    mask = torch.tensor([[True, True, True], [True, False, True]])
    values = head(states, rows, mask)
    turned = head(states, rows[:, [2, 0, 1]], mask[:, [2, 0, 1]])
    close(turned, values[:, :, [2, 0, 1]])
    garbage = rows.masked_fill(~mask, -7)  # padding may hold anything
    close(head(states, garbage, mask), values)
    assert (values[1, :, 1] == 0).all()
    one = head(states[:1, :1], rows[:1, 1:2])  # channel 1 alone
    close(one[0, 0, 0], values[0, 0, 1])
    if kind == "poisson":
        assert (values[mask[:, None].expand(2, 5, 3)] > 0).all()

    target = torch.rand(2, 5, 3).masked_fill(~mask[:, None], math.nan)
    loss = head.loss(values, target, mask[:, None].expand(2, 5, 3))
    loss.backward()
    assert loss.item() >= head.loss_floor
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name
    assert (head.bias.weight.grad[3] == 0).all()  # masked


def test_biases_grow_with_the_table_and_start_at_the_means():
    channels = table(2)
    head = EncoderHeadConfig("poisson").build(8, channels)
    before = head.bias.weight.detach().clone()
    channels.grow(["b/0", "b/1"])
    head.grow()
    head.grow()  # nothing new
    assert head.bias.names == channels.names
    assert torch.equal(head.bias.weight[:2], before)
    head.start_at(torch.tensor([2, 0]), torch.tensor([3.0, 0.01]))
    with torch.no_grad():
        channels.weight.zero_()
    rates = head(torch.randn(1, 3, 8), torch.tensor([[0, 2]]))
    close(rates[0, 1], torch.tensor([0.01, 3.0]), atol=1e-4, rtol=0)
    other = GrowingEmbedding(8, ["c/0", "c/1", "c/2", "c/3"])
    head.channels = other
    with pytest.raises(ValueError, match="another table"):
        head.grow()
    with pytest.raises(ValueError, match="states of width 4"):
        EncoderHeadConfig().build(4, other)


def test_losses_of_signals_are_those_of_scipy():
    rng = np.random.default_rng(0)
    rates, counts = rng.uniform(0.2, 4, 50), rng.poisson(2.0, 50).astype(float)
    constant = np.array([math.lgamma(n + 1) for n in counts])
    expected = (-stats.poisson(rates).logpmf(counts) - constant).mean()
    r, n = torch.from_numpy(rates), torch.from_numpy(counts)
    np.testing.assert_allclose(poisson_nll(r, n), expected, rtol=1e-10)
    assert poisson_nll(n + 1e-12, n, saturated=True) < 1e-9
    perfect = (-stats.poisson(np.maximum(counts, 1e-300)).logpmf(counts) - constant).mean()
    np.testing.assert_allclose(poisson_nll(r, n, saturated=True), expected - perfect, rtol=1e-10)

    x, y = torch.tensor([0.0, 3.0]), torch.tensor([1.0, 0.0])
    assert gaussian_nll(x, y).item() == 2.5  # (1 + 9) / 4
    assert huber(x, y, delta=2.0).item() == 2.25  # (1/2 + 2 (3 - 1)) / 2

    trace = np.where(rng.random(40) < 0.5, 0.0, 0.1 + rng.gamma(2.0, 0.7, 40))
    raw = rng.normal(size=(40, 3))
    q, (k, theta) = 1 / (1 + np.exp(-raw[:, 0])), (np.log1p(np.exp(raw[:, i])) + 1e-6 for i in (1, 2))
    with np.errstate(divide="ignore"):
        active = np.log(q) + stats.gamma(k, scale=theta).logpdf(trace - 0.1)
    expected = -np.where(trace > 0.1, active, np.log(1 - q)).mean()
    found = zero_inflated_gamma_nll(torch.from_numpy(raw), torch.from_numpy(trace), floor=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_masked_values_of_signals_have_no_gradient():
    torch.manual_seed(0)
    mask = torch.rand(3, 4, 5) < 0.5
    for loss, raw in (
        (poisson_nll, torch.rand(3, 4, 5)),
        (huber, torch.rand(3, 4, 5)),
        (zero_inflated_gamma_nll, torch.rand(3, 4, 5, 3)),
    ):
        target = torch.rand(3, 4, 5)
        x = raw.clone().requires_grad_(True)
        value = loss(x, target.masked_fill(~mask, math.nan), mask)
        close(value, loss(raw[mask], target[mask]))
        value.backward()
        assert (x.grad[~mask] == 0).all() and x.grad[mask].abs().sum() > 0


def test_bits_per_spike_are_those_of_the_metrics_for_the_same_null():
    rng = np.random.default_rng(1)
    rates, counts = rng.uniform(0.1, 3, (6, 20, 4)), rng.poisson(0.8, (6, 20, 4)).astype(float)
    null = torch.from_numpy(counts.mean((0, 1)))
    found = bits_per_spike(torch.from_numpy(rates), torch.from_numpy(counts), null)
    assert found == pytest.approx(bits_of_metrics(rates, counts), rel=1e-12)
    mask = torch.zeros(6, 20, 4, dtype=torch.bool)
    mask[2:] = True
    part = bits_per_spike(torch.from_numpy(rates), torch.from_numpy(counts), null, mask)
    assert part == pytest.approx(bits_per_spike(*map(torch.from_numpy, (rates[2:], counts[2:])), null))
    assert abs(bits_per_spike(null.expand(6, 20, 4), torch.from_numpy(counts), null)) < 1e-12
    with pytest.raises(ValueError, match="no spikes"):
        bits_per_spike(torch.ones(1, 2, 1), torch.zeros(1, 2, 1), torch.ones(1))


def test_embeddings_lie_on_the_sphere_and_smoothing_is_torchs():
    torch.manual_seed(0)
    z = ContrastiveHead(8)(torch.randn(5, 8))
    assert z.shape == (5, 128)
    close(z.norm(dim=-1), torch.ones(5))
    logits = DomainHead(8, 4)(torch.randn(5, 8))
    log_p, domain = logits.log_softmax(-1), torch.tensor([0, 3, 1, 2, 2])
    by_hand = -(0.9 * log_p[torch.arange(5), domain] + 0.1 * log_p.mean(1)).mean()
    close(DomainHead.loss(logits, domain), by_hand)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="kind='angular'"):
        DecoderHeadConfig(1, "angular")
    with pytest.raises(ValueError, match="n_out=1 for a categorical"):
        DecoderHeadConfig(1, "categorical")
    head = DecoderHeadConfig(2).build(4)
    with pytest.raises(ValueError, match="continuous head that predicts"):
        head.loss(torch.zeros(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="kind='beta'"):
        EncoderHeadConfig("beta")
    with pytest.raises(ValueError, match="prediction"):
        poisson_nll(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="n_domains=1"):
        DomainHead(4, 1)
