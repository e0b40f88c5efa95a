"""The autoencoder starts as the density of all foci, learns more than that, and says what it knows."""

import numpy as np
import pytest
import torch

from neurolib.data.coordinate_splits import hide_half
from neurolib.metrics.density_gain import gain
from neurolib.models.coordinates.batches import hold_out_tensors, training_tensors
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.density_vae import DensityVAEConfig, divergence
from neurolib.models.coordinates.network_density import NetworkDensity
from neurolib.training.checkpoints import load_weights, save_weights
from neurolib.training.loop import TrainConfig, fit

TRAIN, VALID, TEST = np.arange(0, 160), np.arange(160, 195), np.arange(195, 240)
SMALL = DensityVAEConfig(latent=4, hidden=32, condition=3, warmup=40, dropout=0.1)


@pytest.fixture(scope="module")
def base(ball, known_corpus):
    return smoothed_density(known_corpus.voxels(ball)[known_corpus.foci(TRAIN)], ball, 6.0)


@pytest.fixture(scope="module")
def learned(ball, known_corpus, base):
    model = SMALL.build(ball, np.log(base))
    tensors = training_tensors(known_corpus, known_corpus.voxels(ball), TRAIN, VALID, known_corpus.topics)
    settings = TrainConfig(steps=150, batch_size=32, lr=3e-3, eval_every=30, device="cpu")
    history = fit(model, *tensors, settings)
    return model, history


def test_untrained_it_is_the_density_of_all_foci(ball, known_corpus, base):
    model = SMALL.build(ball, np.log(base))
    task = hide_half(known_corpus, TEST)
    batch = hold_out_tensors(known_corpus, known_corpus.voxels(ball), task, known_corpus.topics)
    for density in model.densities(batch, n_samples=2):
        np.testing.assert_allclose(density, np.broadcast_to(base, density.shape), rtol=2e-5)


def test_it_predicts_hidden_foci_and_needs_the_right_study_for_it(ball, known_corpus, base, learned):
    voxels, task = known_corpus.voxels(ball), hide_half(known_corpus, TEST)
    floor = np.log(base[voxels[task.hidden]])
    found = NetworkDensity(ball, learned[0], base, known_corpus.topics).hidden(known_corpus, voxels, task)
    assert gain(np.log(found), floor, task.hidden_of).low > 0.1
    batch = hold_out_tensors(known_corpus, voxels, task, known_corpus.topics)
    shuffled = {k: v.roll(1, 0) if k in ("voxels", "condition") else v for k, v in batch.items()}
    log_p = []
    for i, density in enumerate(torch.cat(list(learned[0].densities(shuffled)))):
        log_p.append(np.log(density[voxels[task.hidden[task.hidden_of == i]]].numpy()))
    assert gain(np.concatenate(log_p), floor, task.hidden_of).micro < 0


def test_conditions_move_the_prior_towards_their_map(known_corpus, true_maps, learned):
    told = torch.eye(3)
    density = learned[0].prior(told).double().numpy()
    ratio = np.log(density / density.mean(0))
    for k in range(3):
        best = [np.corrcoef(ratio[k], true_maps[j] - true_maps.mean(0))[0, 1] for j in range(3)]
        assert int(np.argmax(best)) == k


def test_evidence_rises_with_the_number_of_draws(ball, known_corpus, learned):
    voxels = known_corpus.voxels(ball)
    batch = hold_out_tensors(known_corpus, voxels, hide_half(known_corpus, TEST), known_corpus.topics)
    few, many = (learned[0].evidence(batch, n).sum() for n in (1, 32))
    assert few < many


def test_the_seed_decides_and_weights_are_kept(ball, base, learned, tmp_path):
    one, two = (SMALL.build(ball, np.log(base), seed=s).encoder[0].weight for s in (1, 1))
    assert torch.equal(one, two)
    save_weights(tmp_path / "vae.pt", learned[0])
    again = load_weights(tmp_path / "vae.pt", SMALL.build(ball, np.log(base), seed=9))
    z, told = torch.ones(1, 4), torch.zeros(1, 3)
    torch.testing.assert_close(again.eval().decode(z, told), learned[0].eval().decode(z, told))


def test_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    ours = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    want = torch.distributions.kl_divergence(ours, standard).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), want)


def test_every_weight_learns(ball, known_corpus, base):
    model = SMALL.build(ball, np.log(base))
    torch.nn.init.normal_(model.out.weight, std=0.1)
    train, _ = training_tensors(known_corpus, known_corpus.voxels(ball), TRAIN, VALID, known_corpus.topics)
    model.train().loss(train).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not still


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": (0.8, 0.3)}, "smaller first"),
        ({"flip": 1.0}, "flip=1.0"),
        ({"latent": 0}, "must be positive"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DensityVAEConfig(**settings)
