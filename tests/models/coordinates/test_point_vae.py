"""The point VAE: a density that sums to one, counts as SciPy has them, and something learned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from neurolib.data.brain import Grid
from neurolib.models.coordinates.mixture_density import MixtureDensityConfig
from neurolib.models.coordinates.point_encoder import PointEncoderConfig
from neurolib.models.coordinates.point_vae import PointVAEConfig, negative_binomial
from neurolib.training.loop import TrainConfig, fit

GRID = Grid(np.ones((10, 10, 10), bool), 8.0, (-36.0, -36.0, -36.0))
UNIFORM = np.full(1000, -np.log(1000))
SMALL = PointVAEConfig(
    latent=4,
    hidden=32,
    dropout=0.0,
    warmup=50,
    flip=0.0,
    encoder=PointEncoderConfig(centres=4, hidden=32),
    mixture=MixtureDensityConfig(components=6, stride=1),
)


def studies(n=96, seed=0, condition=0):
    """Each study's foci surround one place; studies have between 4 and 12 of them."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-28, 28, (n, 1, 3))
    xyz = np.clip(centre + rng.normal(0, 7, (n, 12, 3)), -39, 39)
    mask = np.arange(12) < rng.integers(4, 13, n)[:, None]
    batch = {
        "voxels": GRID.index(xyz.reshape(-1, 3)).reshape(n, 12) * mask,
        "xyz": (xyz * mask[..., None]).astype(np.float32),
        "mask": mask,
        "seen": mask & (np.arange(12) % 2 == 0),
        "condition": rng.normal(size=(n, condition)).astype(np.float32),
    }
    return {key: torch.from_numpy(value) for key, value in batch.items()}


def untrained(cfg=SMALL):
    """A model whose output depends on its latents."""
    model = cfg.build(GRID, UNIFORM)
    torch.manual_seed(2)
    for layer in (model.where, model.how_many):
        torch.nn.init.normal_(layer.weight, std=0.2)
    return model.eval()


def test_training_finds_where_the_hidden_foci_are():
    model, valid = SMALL.build(GRID, UNIFORM), studies(seed=1)
    before = model.eval().loss(valid).item()
    history = fit(
        model,
        studies(192),
        valid,
        TrainConfig(steps=90, batch_size=48, lr=5e-3, eval_every=45, device="cpu"),
    )
    assert before == pytest.approx(np.log(1000), abs=0.3)
    assert min(history.valid) < before - 1.2
    assert model.expected_foci(valid).mean() == pytest.approx(8, abs=2)  # from 30


def test_neither_order_nor_padding_changes_the_density():
    model, batch = untrained(), studies(5)
    density = next(model.densities(batch, n_samples=0))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = {key: value if key == "condition" else value[:, order] for key, value in batch.items()}
    assert torch.equal(next(model.densities(shuffled, n_samples=0)), density)
    wide = {k: v if k == "condition" else torch.cat([v, torch.zeros_like(v)], 1) for k, v in batch.items()}
    assert torch.equal(next(model.densities(wide, n_samples=0)), density)
    np.testing.assert_allclose(model.loss(wide).item(), model.loss(shuffled).item(), rtol=1e-6)
    np.testing.assert_allclose(density.double().sum(1), 1, atol=1e-5)
    assert (density[0] - density[1]).abs().max() > 1e-6


def test_hidden_foci_do_not_reach_the_density():
    model, batch = untrained(), studies(5)
    moved = batch["xyz"] + 20.0 * (~batch["seen"])[..., None]
    assert torch.equal(*(next(model.densities(batch | {"xyz": xyz})) for xyz in (batch["xyz"], moved)))


def test_without_coordinates_foci_are_read_at_the_centres_of_their_voxels():
    model, batch = untrained(), studies(5)
    there = batch | {"xyz": model.centres_mm[batch["voxels"]]}
    without = {key: value for key, value in batch.items() if key != "xyz"}
    expected = next(model.densities(there))
    assert torch.equal(next(model.densities(without)), expected)
    assert not torch.equal(next(model.densities(batch)), expected)


def test_counts_have_the_probabilities_of_scipy():
    n = np.array([0, 1, 5, 30, 700])
    for mean, size in [(0.5, 0.3), (30.0, 1.4), (200.0, 50.0)]:
        found = negative_binomial(*(torch.tensor(v, dtype=torch.float64) for v in (n, mean, size)))
        np.testing.assert_allclose(found, nbinom.logpmf(n, size, size / (size + mean)), rtol=1e-9)


def test_the_training_loss_is_the_bound_written_out():
    cfg = replace(SMALL, keep=(1.0, 1.0), warmup=0, beta=0.7)
    model, batch = untrained(cfg).train(), studies(6)
    torch.manual_seed(5)
    found = model.loss(batch).item()
    torch.manual_seed(5)
    torch.rand(6, 1), torch.empty(6, 1).uniform_(), torch.rand(batch["mask"].shape)  # what it draws first
    noise = torch.randn(6, 4)
    with torch.no_grad():
        mean, log_variance = model.encode(batch, batch["mask"])
        z = mean + noise * (log_variance / 2).exp()
        log_p, (mu, r) = model.decode(z), model.count(z)
        posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
        kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    total = 0.7 * kl.item()
    for i, study in enumerate(batch["voxels"]):
        total -= sum(log_p[i, v].item() for v in study[batch["mask"][i]])
        n, p = int(batch["mask"][i].sum()), (r / (r + mu[i])).item()
        total -= nbinom.logpmf(n, r.item(), p)
    assert found == pytest.approx(total / (30 * 6), rel=1e-5)


def test_half_precision_around_it_costs_little():
    model, batch = untrained().train(), studies(6)
    losses = []
    for half in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses.append(model.loss(batch))
        losses[-1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.01)


def test_samples_are_studies_that_the_encoder_can_read():
    model = untrained(replace(SMALL, mean_foci=9.0))
    drawn = model.sample(400, seed=1)
    again = model.sample(400, seed=1)
    assert all(torch.equal(drawn[key], again[key]) for key in drawn)
    counts = drawn["mask"].sum(1).double()
    with torch.no_grad():
        mean, _ = model.count(torch.randn(4000, 4, generator=torch.Generator().manual_seed(0)))
    assert counts.min() >= 1
    assert counts.mean().item() == pytest.approx(float(mean.mean()), rel=0.2)
    found = GRID.index(drawn["xyz"][drawn["mask"]].numpy())
    np.testing.assert_array_equal(found, drawn["voxels"][drawn["mask"]])
    assert np.isfinite(model.evidence(drawn, n_samples=2)).all()


def test_a_condition_is_heard_and_may_be_missing():
    batch = studies(4, condition=3)
    model = untrained(replace(SMALL, condition=3))
    told = next(model.densities(batch))
    other = next(model.densities(batch | {"condition": batch["condition"] + 1}))
    assert (told - other).abs().max() > 1e-6
    model.train().loss(batch).backward()
    assert model.prior(n=2).shape == (2, 1000)


def test_an_evaluation_without_hidden_foci_is_refused():
    batch = studies(4)
    with pytest.raises(ValueError, match="no hidden focus"):
        untrained().loss(batch | {"seen": batch["mask"]})
