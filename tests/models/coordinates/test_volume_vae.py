"""The VAE on volumes: the base density before training, more than it afterwards."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.models.coordinates.kl_control import BetaSchedule, KLController
from neurolib.models.coordinates.receptive_field import effective_radius_mm
from neurolib.models.coordinates.volume_blocks import norm_of
from neurolib.models.coordinates.volume_vae import VolumeVAEConfig, beta_nll, padded, pairs
from neurolib.training import checkpoints
from neurolib.training.loop import TrainConfig, fit

SIDE = 8
CFG = VolumeVAEConfig((SIDE,) * 3, channels=2, n_condition=2, width=4, latent=3, kl=BetaSchedule(steps=40))
# coarser, and with free bits: three latents for two places are easily given up
TRAINED = replace(
    CFG, strides=(2, 2), dilations=(1, 1), condition_dropout=0.4, kl=BetaSchedule(steps=80, floor=0.3)
)
MASK = ((np.indices((SIDE,) * 3) - 3.5) ** 2).sum(0) < 4.5**2
VOXELS = np.argwhere(MASK)
# a study's foci lie about two of four places: its class says which of the first two, nothing which of the others
PLACES = np.array([[2, 2, 4], [5, 2, 4], [2, 5, 3], [5, 5, 5]])


def build(cfg=CFG, seed=0):
    torch.manual_seed(seed)
    log_base = np.log(np.random.default_rng(5).dirichlet(np.full(len(VOXELS), 3.0)))
    return cfg.build(MASK, log_base)


def awake(cfg=CFG):
    """A model off its zero start."""
    model = build(cfg)
    with torch.no_grad():
        for layer in [model.last] + ([model.film.generator[-1]] if cfg.n_condition else []):
            layer.weight.normal_(std=0.2)
    return model


def studies(n: int, seed: int, n_foci: int = 16):
    """Maps of half the foci, the class, the other half as ``held``, and all of them as ``foci``."""
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 2, (n, 2))
    distance = ((VOXELS[None] - PLACES[:, None]) ** 2).sum(-1)
    near = np.exp(-distance / 2.0)
    near /= near.sum(1, keepdims=True)
    foci = np.empty((n, n_foci), int)
    for row, (first, second) in enumerate(kinds):
        p = 0.5 * near[first] + 0.5 * near[2 + second]
        foci[row] = draw.choice(len(VOXELS), n_foci, p=p)
    seen, held = foci[:, ::2], foci[:, 1::2]
    maps = np.zeros((n, 2, *(SIDE,) * 3), np.float32)
    for row in range(n):
        np.add.at(maps[row, 0], tuple(VOXELS[seen[row]].T), 1.0)
    maps[:, 1] = sum(np.roll(maps[:, 0], shift, axis) for axis in (1, 2, 3) for shift in (-1, 1)) / 6
    return {
        "maps": torch.tensor(maps),
        "condition": torch.eye(2)[kinds[:, 0]],
        "foci": torch.tensor(foci),
        "held": torch.tensor(held),
    }


@pytest.fixture(name="trained", scope="module")
def _trained():
    train, valid = studies(320, seed=0), studies(60, seed=1)
    # the base is the density of all training foci
    counts = np.bincount(train["foci"].flatten().numpy(), minlength=len(VOXELS)) + 1.0
    torch.manual_seed(0)
    model = TRAINED.build(MASK, np.log(counts))
    cfg = TrainConfig(160, 32, lr=8e-3, schedule="cosine", eval_every=40, device="cpu", weight_decay=1e-2)
    history = fit(model, train, valid, cfg)
    return model, history, studies(200, seed=2)


def gain(model, log_density, test) -> float:
    """Nats per held-out focus above the base."""
    return (log_density.gather(1, test["held"]) - model.log_base[test["held"]]).mean().item()


def test_the_untrained_model_is_the_base_density():
    model = build()
    batch = studies(5, seed=0)
    log_base = np.log(np.random.default_rng(5).dirichlet(np.full(len(VOXELS), 3.0)))
    for density in (
        model.decode(10 * torch.randn(5, 3), batch["condition"]),
        model.posterior_mean(batch["maps"]),
        model.predictive(batch["maps"], batch["condition"], n_draws=3),
        model.prior(5),
        model.prior_predictive(5, batch["condition"], n_draws=3),
    ):
        np.testing.assert_allclose(density.detach(), np.tile(log_base, (5, 1)), atol=2e-6)
    assert not model.log_ratio(torch.randn(5, 3)).any()


@torch.no_grad()
def test_a_trained_model_beats_the_base_on_foci_it_has_not_seen(trained):
    model, _, test = trained
    torch.manual_seed(0)
    complete = gain(model, model.predictive(test["maps"], test["condition"]), test)
    without = gain(model, model.predictive(test["maps"]), test)
    from_class = gain(model, model.prior_predictive(200, test["condition"]), test)
    assert complete > 0.35  # the truth has 0.56
    assert without > 0.15  # the same net without a condition
    assert from_class < complete - 0.1  # the maps say what the class does not


@torch.no_grad()
def test_a_permuted_condition_loses(trained):
    model, _, test = trained
    torch.manual_seed(0)
    by_class = model.prior_predictive(2, torch.eye(2), n_draws=200)

    def score(condition):
        return gain(model, by_class[condition.argmax(1)], test)

    assert score(test["condition"]) > 0.1
    assert score(test["condition"][torch.randperm(200)]) < score(test["condition"]) - 0.2
    assert score(test["condition"].flip(1)) < 0


def test_the_bound_is_the_one_that_was_minimised(trained):
    model, history, test = trained
    assert history.valid[-1] < history.valid[0]
    assert model.kl.step.item() > 40  # what the penalty counted is part of the kept state
    before = torch.get_rng_state()
    assert model.loss(test).item() == model.loss(test).item()  # evaluation draws the same noise every time
    assert torch.equal(torch.get_rng_state(), before)
    untrained = TRAINED.build(MASK, model.log_base).eval()
    with torch.no_grad():
        untrained.moments.weight.zero_(), untrained.moments.bias.zero_()  # posterior = prior
    base = -model.log_base[test["foci"]].mean().item()
    assert untrained.loss(test).item() == pytest.approx(base, abs=1e-5)
    assert model.loss(test).item() < base - 0.2


def test_the_loss_is_the_bound_written_out():
    model, batch = awake().eval(), studies(4, seed=3)
    batch["foci"][1, 5:] = -1
    batch["foci"][2] = -1
    mean, log_variance = model.encode(batch["maps"], batch["condition"])
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    density = model.decode(mean + (log_variance / 2).exp() * noise, batch["condition"])
    total, n = 0.0, 0
    for row in range(4):
        posterior = torch.distributions.Normal(mean[row], (log_variance[row] / 2).exp())
        total += (
            torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum().item()
        )
        for voxel in batch["foci"][row].tolist():
            if voxel >= 0:
                total, n = total - density[row, voxel].item(), n + 1
    assert n == 37
    assert model.loss(batch).item() == pytest.approx(total / n, rel=1e-5)
    assert model.weight(batch).item() == n
    study, voxel = pairs(batch)
    order = torch.randperm(n)
    sparse = {key: batch[key] for key in ("maps", "condition")} | {
        "study": study[order],
        "voxel": voxel[order],
    }
    assert model.loss(sparse).item() == pytest.approx(model.loss(batch).item(), rel=1e-5)
    again = padded(study[order], voxel[order], 4)
    assert torch.equal(again.sort(1).values, batch["foci"].sort(1).values)


def test_densities_sum_to_one_over_the_mask():
    model = awake()
    np.testing.assert_allclose(model.prior(6, torch.randn(6, 2)).exp().sum(1).detach(), 1, atol=1e-5)
    ratio = model.log_ratio(torch.ones(1, 3))[0]
    bent = model.decode(torch.ones(1, 3))[0] - model.log_base - ratio[torch.tensor(MASK)]
    assert bent.std().item() < 1e-5 < ratio.std().item()  # voxels are numbered as np.argwhere(mask) does


@pytest.mark.parametrize(
    "cfg", [CFG, replace(CFG, map_weight=0.1, dilations=(1, 1, 2, 2)), replace(CFG, n_condition=0)]
)
def test_one_step_off_zero_every_parameter_has_a_gradient(cfg):
    model, batch = build(cfg), studies(24, seed=4)
    model.kl.step.fill_(100)
    if not cfg.n_condition:
        del batch["condition"]
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):  # the last layer moves first, then FiLM, then what feeds it
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_conditioning_starts_as_the_identity_in_encoder_and_decoder():
    model, batch = build().eval(), studies(4, seed=5)
    with torch.no_grad():
        model.last.weight.normal_()
        model.film.null.normal_()
    for one, other in zip(
        model.encode(batch["maps"], batch["condition"]), model.encode(batch["maps"]), strict=True
    ):
        assert torch.equal(one, other)
    z = torch.randn(4, 3)
    assert torch.equal(model.decode(z, batch["condition"]), model.decode(z))
    awakened = awake().eval()
    assert not torch.equal(
        awakened.encode(batch["maps"], batch["condition"])[0], awakened.encode(batch["maps"])[0]
    )
    assert not torch.equal(awakened.decode(z, batch["condition"]), awakened.decode(z))


def test_how_many_foci_there_were_reaches_the_latents():
    model, maps = build().eval(), studies(20, seed=6)["maps"]
    once, twice, other = (model.encode(x)[0] for x in (maps, 2 * maps, maps.roll(1, 0)))
    assert (twice - once).abs().mean() > 0.2 * (other - once).abs().mean()


def test_groups_have_four_channels_or_more():
    for module in awake(replace(CFG, width=8)).modules():
        if isinstance(module, nn.GroupNorm):
            assert module.num_channels / module.num_groups >= 4 and module.num_groups <= 8
        assert not isinstance(module, nn.ConvTranspose3d)
    assert norm_of(20).num_groups == 5


@pytest.mark.parametrize(
    ("shape", "strides"), [((12, 8, 4), (1, 2, 2, 1)), ((8, 16, 8), (2, 2, 2, 1)), ((3, 4, 5), (1,))]
)
def test_grids_of_other_shapes(shape, strides):
    cfg = VolumeVAEConfig(shape, 1, 0, 4, 2, strides, (1,) * len(strides))
    model = cfg.build(np.ones(shape), np.zeros(np.prod(shape)))
    assert model.log_ratio(torch.zeros(2, 2)).shape == (2, *shape)
    assert model.encode(torch.zeros(2, 1, *shape))[0].shape == (2, 2)
    assert model.features(torch.zeros(2, 1, *shape)).shape == (2, 2 * model.trunk.widths[-1])


def test_the_auxiliary_head_learns_how_noisy_the_maps_are():
    model, foci = build(replace(CFG, map_weight=16.0)), studies(16, seed=7)["foci"]
    sd = torch.where(torch.arange(SIDE) < SIDE // 2, 0.3, 1.5)[:, None, None]  # of the two halves
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(60):
        torch.manual_seed(step)
        optimiser.zero_grad()
        model.loss({"maps": 0.5 + sd * torch.randn(16, 2, SIDE, SIDE, SIDE), "foci": foci}).backward()
        optimiser.step()
    mean, log_variance = model.map_moments(torch.zeros(1, 3))
    assert mean.shape == log_variance.shape == (1, 2, SIDE, SIDE, SIDE)
    found = (log_variance / 2).exp()[0]
    for half, wanted in ((slice(0, 3), 0.3), (slice(5, 8), 1.5)):  # without the two layers at the step
        inside = torch.tensor(MASK)[half]
        assert found[:, half][:, inside].median().item() == pytest.approx(wanted, rel=0.25)
        assert mean[0][:, half][:, inside].median().item() == pytest.approx(0.5, abs=0.25)
    with pytest.raises(ValueError, match="no auxiliary head"):
        build().map_moments(torch.zeros(1, 3))


def test_weighted_likelihood_is_the_gaussian_one_at_beta_zero():
    y, mean, log_variance = torch.randn(3, 40)
    wanted = nn.functional.gaussian_nll_loss(mean, y, log_variance.exp(), reduction="none")
    torch.testing.assert_close(beta_nll(y, mean, log_variance, beta=0.0), wanted)
    torch.testing.assert_close(beta_nll(y, mean, log_variance, 0.5), wanted * (log_variance / 2).exp())
    free = mean.clone().requires_grad_(True)
    beta_nll(y, free, log_variance, beta=1.0).sum().backward()
    torch.testing.assert_close(free.grad, mean - y)  # at beta 1 the mean is fitted by least squares


def test_a_run_resumes_where_it_stopped(tmp_path):
    cfg = replace(CFG, kl=KLController(ki=0.05), n_condition=0)
    train, valid = ({key: studies(n, seed)[key] for key in ("maps", "foci")} for n, seed in ((24, 8), (8, 9)))
    settings = TrainConfig(8, 8, eval_every=4, device="cpu", checkpoint_every=4)
    whole, first = build(cfg), build(cfg)
    fit(whole, train, valid, settings)

    class Stop(Exception):
        pass

    path, calls = str(tmp_path / "run.pt"), []
    original = type(first).loss

    def dies(batch):
        calls.append(first.training)
        if sum(calls) > 6:
            raise Stop
        return original(first, batch)

    first.loss = dies
    with pytest.raises(Stop):
        fit(first, train, valid, replace(settings, checkpoint=path))
    second = build(cfg, seed=1)
    fit(second, train, valid, replace(settings, checkpoint=path))
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert second.kl.beta != 1


def test_half_precision_stays_inside(tmp_path):
    model, batch = build(), studies(8, seed=10)
    exact = model.eval().loss(batch).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(batch)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact, rel=1e-2)
    checkpoints.save_weights(tmp_path / "vae.pt", model)
    again = checkpoints.load_weights(tmp_path / "vae.pt", build(seed=1)).eval()
    assert again.loss(batch).item() == exact


def test_the_encoder_sees_far_for_its_pooling():
    maps = torch.rand(2, 2, SIDE, SIDE, SIDE)
    model = build().eval()
    radius = effective_radius_mm(lambda x: model.encode(x)[0], maps, voxel_mm=8.0)
    assert radius > 0.7 * np.quantile(8 * np.sqrt(((np.indices((SIDE,) * 3) - 3.5) ** 2).sum(0)), 0.9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replace(CFG, shape=(8, 9, 8)), "shape=(8, 9, 8) must be three sizes divisible by 4"),
        (lambda: replace(CFG, width=6), "width=6 must be a multiple of 4"),
        (lambda: replace(CFG, strides=(1, 3), dilations=(1, 1)), "strides 1 or 2"),
        (lambda: replace(CFG, dilations=(1, 1)), "one of each per stage"),
        (lambda: CFG.build(MASK[:4], np.zeros(9)), "mask (4, 8, 8) for a grid of (8, 8, 8)"),
        (lambda: CFG.build(MASK, np.zeros(9)), "log_base (9,) for"),
        (lambda: CFG.build(MASK, np.full(len(VOXELS), -np.inf)), "finite number"),
        (
            lambda: build().encode(torch.zeros(1, 1, 8, 8, 8)),
            "maps (1, 1, 8, 8, 8) must be (batch, 2, 8, 8, 8)",
        ),
        (lambda: build(replace(CFG, n_condition=0)).prior(2, torch.zeros(2, 2)), "n_condition=0"),
        (lambda: pairs({"study": torch.zeros(1), "voxel": torch.tensor([-1])}), "outside the mask"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
