"""The ladder: latents are all that the decoder gets, each level learns its part, and its bound is a bound."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import Normal, kl_divergence

from neurolib.data.brain import Grid
from neurolib.models.coordinates.ladder_vae import LadderVAEConfig, combined, divergence
from neurolib.models.coordinates.stage_gate import stage_gate, topic_information
from neurolib.training.loop import TrainConfig, fit

GRID = Grid(np.ones((10, 10, 10), bool), 8.0, (-36.0, -36.0, -36.0))
UNIFORM = np.full(1000, -np.log(1000))
SMALL = {"lower": 6, "upper": 3, "hidden": 48, "dropout": 0.0, "warmup": 60, "flip": 0.0}


def studies(n=96, seed=0):
    """Four groups of studies; a study's own place lies around its group's, its foci around its own."""
    rng = np.random.default_rng(seed)
    group = rng.integers(4, size=n)
    places = 22.0 * np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]])
    own = places[group] + rng.normal(0, 9, (n, 3))
    xyz = np.clip(own[:, None] + rng.normal(0, 5, (n, 12, 3)), -39, 39)
    mask = np.arange(12) < rng.integers(6, 13, n)[:, None]
    batch = {
        "voxels": torch.from_numpy(GRID.index(xyz.reshape(-1, 3)).reshape(n, 12) * mask),
        "mask": torch.from_numpy(mask),
        "seen": torch.from_numpy(mask & (np.arange(12) % 2 == 0)),
        "condition": torch.zeros(n, 0),
    }
    return batch, group


def untrained(**settings):
    """A model in which every part depends on what comes before it."""
    model = LadderVAEConfig(**(SMALL | settings)).build(GRID, UNIFORM)
    torch.manual_seed(3)
    for layer, width in ((model.out, 0.2), (model.expect[-1], 0.1), (model.evidence_of[1], 0.2)):
        torch.nn.init.normal_(layer.weight, std=width)
    return model.eval()


@pytest.fixture(name="trained", scope="module")
def _trained():
    model = LadderVAEConfig(**SMALL).build(GRID, UNIFORM)
    cfg = TrainConfig(steps=250, batch_size=64, lr=4e-3, eval_every=125, device="cpu")
    history = fit(model, studies(256)[0], studies(seed=1)[0], cfg)
    return model, history


def test_training_uses_both_levels(trained):
    model, history = trained
    valid, group = studies(seed=1)
    assert min(history.valid) < np.log(1000) - 1.2
    both = model.divergences(valid).mean(0)
    assert both.min() > model.cfg.free_nats
    upper = model.infer(valid, valid["mask"])[0][:, model.cfg.lower :].detach().numpy()
    of_group = np.stack([upper[group == g].mean(0) for g in range(4)])
    between = ((of_group[group] - upper.mean(0)) ** 2).sum() / ((upper - upper.mean(0)) ** 2).sum()
    assert between > 0.5  # the upper level is about groups; labels at random give 3 / 95


def test_after_latents_are_drawn_the_encoder_has_no_influence():
    model, (batch, _) = untrained(), studies(5)
    z, _ = model.infer(batch, batch["mask"], torch.randn(5, 9))
    before = model.decode(z)
    for part in (model.reader, model.rise, model.evidence_of):
        for parameter in part.parameters():
            parameter.data.zero_()
    assert torch.equal(model.decode(z), before)
    assert not torch.equal(model.infer(batch, batch["mask"])[0], z)


def test_the_upper_latents_shape_the_density_and_learn_through_the_lower_ones_alone():
    model, (batch, _) = untrained(), studies(4)
    z = torch.randn(4, 9).requires_grad_()
    log_p = model.decode(z)
    moved = z.detach().clone()
    moved[:, 6:] += 1
    assert (model.decode(moved) - log_p).abs().max() > 1e-3
    slope = torch.autograd.grad(log_p.square().sum(), z)[0]
    assert slope[:, :6].abs().min() > 0 and not slope[:, 6:].any()

    def slope_of_upper():
        """Of what the foci lose, by the layer behind the upper latents."""
        model.zero_grad()
        found = model.infer(batch, batch["mask"], torch.zeros(4, 9))[0]
        model.decode(found).gather(1, batch["voxels"]).sum().backward()
        return model.evidence_of[1].weight.grad

    assert slope_of_upper().abs().max() > 0
    expected = model.expected
    model.expected = lambda upper: expected(upper.detach())
    slope = slope_of_upper()
    assert slope is None or not slope.any()


def test_the_bound_reaches_the_integral_over_the_latents():
    model, (batch, _) = untrained(lower=1, upper=1), studies(3)
    batch = {key: value[:, :4] for key, value in batch.items()}
    for last in model.evidence_of:  # proposals wider than the truth, so that weights are bounded
        last.bias.data[1] = 2.0
    points, step = np.linspace(-6, 6, 97, retstep=True)
    lower, upper = (torch.tensor(axis.ravel()).float()[:, None] for axis in np.meshgrid(points, points))
    with torch.no_grad():
        mean, log_variance = model.expected(upper)
        prior = Normal(mean, (log_variance / 2).exp()).log_prob(lower) + Normal(0.0, 1.0).log_prob(upper)
        log_p = model.decode(torch.cat([lower, upper], 1))
    foci = [batch["voxels"][i][batch["mask"][i]] for i in range(3)]
    joint = [(prior[:, 0] + log_p[:, each].sum(1)).double().numpy() for each in foci]
    truth = [logsumexp(each) + 2 * np.log(step) for each in joint]
    np.testing.assert_allclose(model.evidence(batch, n_samples=2000), truth, rtol=0, atol=0.05)
    single = np.mean([model.evidence(batch, n_samples=1, seed=seed) for seed in range(100)], 0)
    assert (single < truth).all()


def test_the_prior_is_drawn_from_above():
    model = untrained(lower=1, upper=1)
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        z = model.from_prior(noise)
        mean, log_variance = model.expected(noise[:, 1:])
    assert torch.equal(z[:, 1], noise[:, 1])
    left = (z[:, :1] - mean) / (log_variance / 2).exp()
    torch.testing.assert_close(left, noise[:, :1], atol=1e-4, rtol=1e-4)
    assert mean.std() > 1e-3
    density = model.prior(n=2)
    torch.testing.assert_close(density.sum(1), torch.ones(2))


def test_divergence_and_product_are_those_of_torch():
    torch.manual_seed(0)
    q, p = ((torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)) for _ in "qp")
    normals = [Normal(mean, (log_variance / 2).exp()) for mean, log_variance in (q, p)]
    torch.testing.assert_close(divergence(q, p), kl_divergence(*normals).sum(1))
    mean, log_variance = combined(q, p)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    apart = sum(normal.log_prob(x) for normal in normals) - Normal(mean, (log_variance / 2).exp()).log_prob(x)
    torch.testing.assert_close(apart[0], apart[1])  # proportional: the same constant everywhere


def test_what_lies_under_the_free_nats_is_not_pressed_down():
    batch, _ = studies(8)
    slopes = []
    for free in (1000.0, 0.0):
        model = untrained(free_nats=free, warmup=0).train()
        model.decode = lambda z, condition=None: UNIFORM_LOG.expand(len(z), -1)
        torch.manual_seed(0)
        model.loss(batch).backward()
        slope = model.evidence_of[1].weight.grad
        slopes.append(0.0 if slope is None else slope.abs().max().item())
    assert slopes[0] == 0 and slopes[1] > 0


UNIFORM_LOG = torch.tensor(UNIFORM).float()[None]


def test_hidden_foci_and_padding_do_not_matter(trained):
    model, batch = trained[0], studies(6)[0]
    density = next(model.densities(batch))
    other = batch | {"voxels": torch.where(batch["seen"], batch["voxels"], 999)}
    assert torch.equal(next(model.densities(other)), density)
    wide = {k: v if k == "condition" else torch.cat([v, torch.zeros_like(v)], 1) for k, v in batch.items()}
    torch.testing.assert_close(next(model.densities(wide)), density)


def test_the_stage_gate_says_why():
    rng = np.random.default_rng(0)
    topic = rng.integers(3, size=300)
    topics, noise = np.eye(3)[topic], rng.integers(3, size=300)
    assert stage_gate(0.495, 0.50, topic, noise, topics).go
    low = stage_gate(0.48, 0.50, topic, noise, topics)
    assert not low.go and "0.480" in low.reason and "clusters" not in low.reason
    blind = stage_gate(0.60, 0.50, noise, topic, topics)
    assert not blind.go and "clusters" in blind.reason and "evidence" not in blind.reason
    assert not stage_gate(0.5, 0.5, topic, topic, topics).go  # no more is not more
    with pytest.raises(ValueError, match="compare as many"):
        stage_gate(0.5, 0.5, topic, np.arange(300), topics)
    with pytest.raises(ValueError, match="failed"):
        stage_gate(np.nan, 0.5, topic, noise, topics)


def test_topic_information_is_that_of_scikit_learn_for_hard_topics():
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(1)
    topic, cluster = rng.integers(4, size=200), rng.integers(5, size=200)
    assert topic_information(cluster, np.eye(4)[topic]) == pytest.approx(mutual_info_score(cluster, topic))
    with pytest.raises(ValueError, match="sum to one"):
        topic_information(cluster, 2 * np.eye(4)[topic])


def test_one_level_is_sent_elsewhere():
    with pytest.raises(ValueError, match="DensityVAEConfig"):
        LadderVAEConfig(upper=0)
    with pytest.raises(ValueError, match="beta"):
        LadderVAEConfig(beta=(1.0,))
