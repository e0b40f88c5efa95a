"""Adaptation: predictions never see what comes later, frozen parts stay, closed forms are what they say."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge

from neurolib.data.trials import Trials
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.models.adaptation import Guard, RecentringConfig, RunningMoments, adapt
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.gain_offset import (
    GainOffsetConfig,
    entropy,
    gaussian_kl,
    latent_moments,
    soft_codes,
)
from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.recalibration import ForgettingReadoutConfig, ReadoutConfig, oracle_predictions
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit

BIN_SIZE_S, N_UNITS, LATER = 0.05, 20, np.arange(20, 40)
RECENTRING = RecentringConfig(tau_s=20.0)
WITHOUT_LABELS = {
    "recentring": RECENTRING,
    "entropy": GainOffsetConfig("entropy", lr=1e-2),
    "information": GainOffsetConfig("information", lr=1e-2),
    "usage": GainOffsetConfig("usage", lr=1e-2, recentring=RECENTRING),
    "latents": GainOffsetConfig("latents"),
}
WITH_LABELS = {
    "labels": GainOffsetConfig("labels", lr=1e-2),
    "readout": ReadoutConfig(),
    "forgetting": ForgettingReadoutConfig(recentring=RECENTRING),
}
ALL = WITHOUT_LABELS | WITH_LABELS


def recording(gain: float = 1.0) -> Trials:
    """A smooth hand and units tuned to it; from trial 20 on, half of the units fire ``gain`` times as much."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(35, 46, 40)
    hand = rng.normal(size=(lengths.sum(), 2))
    for t in range(1, len(hand)):
        hand[t] = 0.9 * hand[t - 1] + np.sqrt(1 - 0.9**2) * hand[t]
    angles = np.linspace(0, 2 * np.pi, N_UNITS, endpoint=False)
    rates = np.exp(0.7 * hand @ np.stack([np.cos(angles), np.sin(angles)]))
    late = np.repeat(np.arange(40), lengths) >= 20
    rates[np.ix_(late, angles < np.pi)] *= gain
    return Trials(rng.poisson(rates), 10 * hand, lengths, BIN_SIZE_S)


@pytest.fixture(scope="module")
def trained():
    """A discrete decoder that works, the trials it was trained on, and the later ones of a stable recording."""
    trials = recording()
    early = trials.select(np.arange(20))
    torch.manual_seed(0)
    encoder = RecurrentEncoderConfig(hidden=16, dropout=0.2)
    decoder = DiscreteDecoder.for_trials(early, DiscreteDecoderConfig(encoder, dim=6, hidden=12, dropout=0.1))
    tensors = trial_tensors(early)
    fit(decoder, tensors, tensors, TrainConfig(steps=60, batch_size=10, lr=2e-2, device="cpu", eval_every=60))
    return decoder.quantised(ResidualConfig(size=16, n_stages=3), early), early, trials.select(LATER)


def all_labelled(trials: Trials) -> np.ndarray:
    return np.ones(len(trials), bool)


def changed(trials: Trials, number: int, part: str, from_bin: int = 0) -> Trials:
    values = getattr(trials, part).copy()
    values[trials.starts[number] + from_bin : trials.starts[number] + trials.lengths[number]] += 3
    return replace(trials, **{part: values})


def test_without_adaptation_it_is_the_decoder(trained):
    decoder, early, later = trained
    found = adapt(decoder, None, later, early)
    np.testing.assert_allclose(found.predictions, decoder.predict(later), atol=1e-4)
    assert not found.change.any() and found.rollbacks == 0
    codes = decoder.codes(later.trial(3))[:, 0]
    share = np.bincount(codes) / len(codes)
    expected = np.exp(-sum(p * np.log(p) for p in share if p))
    assert found.perplexity[3] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_no_prediction_depends_on_what_comes_later(trained, name):
    decoder, early, later = trained
    later = later.select(range(8))
    known = all_labelled(later)
    before = adapt(decoder, ALL[name], later, early, known).predictions
    for part in ("counts", "behaviour"):
        other = adapt(decoder, ALL[name], changed(later, 4, part, from_bin=10), early, known).predictions
        known_by_then = later.starts[4] + 10 if part == "counts" else later.starts[5]
        np.testing.assert_array_equal(other[:known_by_then], before[:known_by_then])
        learned = np.abs(other - before)[later.starts[5] :].max()
        assert (learned > 1e-6) == (part == "counts" or name in WITH_LABELS)


@pytest.mark.parametrize("name", WITH_LABELS)
def test_behaviour_that_is_not_labelled_stays_unseen(trained, name):
    decoder, early, later = trained
    later = later.select(range(6))
    known = np.arange(6) == 1
    before = adapt(decoder, ALL[name], later, early, known).predictions
    other = adapt(decoder, ALL[name], changed(later, 3, "behaviour"), early, known).predictions
    np.testing.assert_array_equal(other, before)
    none = adapt(decoder, getattr(ALL[name], "recentring", None), later, early).predictions
    np.testing.assert_allclose(adapt(decoder, ALL[name], later, early).predictions, none, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_nothing_but_what_adapts_changes(trained, name):
    given, early, later = trained
    decoder = copy.deepcopy(given).train()  # dropout and running means of the codes would be on
    adapter = ALL[name].build(decoder, early)
    for number in range(5):
        trial = later.trial(number)
        adapter.predict(trial.counts)
        adapter.update(trial.counts, trial.behaviour)
    moved = adapter.change > 0
    for key, value in given.state_dict().items():
        assert torch.equal(decoder.state_dict()[key], value), key
        same = torch.equal(adapter.decoder.state_dict()[key], value)
        assert same or (name in ("readout", "forgetting") and key.startswith("head.3.")), key
        moved |= not same
    assert moved
    assert decoder.training and not any(part.training for part in adapter.decoder.modules())


def test_running_moments_are_the_slow_loop():
    x = np.random.default_rng(0).poisson(1.0, (90, 3)).astype(float)
    keep, mean, square = np.exp(-1 / 12.0), np.zeros(3), np.ones(3)
    for row in x:
        mean, square = keep * mean + (1 - keep) * row, keep * square + (1 - keep) * row**2
    moments = RunningMoments(3, tau_bins=12.0)
    for part in np.split(x, [40, 41]):
        moments.update(torch.from_numpy(part))
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, square - mean**2, rtol=1e-12)


def test_recentred_counts_have_mean_0_and_deviation_1_but_silence_is_not_blown_up(trained):
    decoder, early, later = trained
    counts = 2 * later.counts
    counts[:, 0] = 0
    free = Guard(perplexity=0, change=100.0)
    adapter = RecentringConfig(tau_s=5.0, max_gain=8.0, guard=free).build(decoder, early)
    adapter.update(counts)
    x = (counts - decoder.count_mean.numpy()) / decoder.count_scale.numpy()
    weights = np.exp(-np.arange(len(x))[::-1] * BIN_SIZE_S / 5.0)
    weights /= weights.sum()  # of the start only e^-8 is left
    mean, gain, offset = weights @ x, *(part.numpy() for part in adapter.gain_offset())
    deviation = np.sqrt(weights @ (x - mean) ** 2)
    np.testing.assert_allclose(gain[1:], 1 / deviation[1:], rtol=2e-2)
    np.testing.assert_allclose(gain * mean + offset, 0, atol=2e-2)
    assert gain[0] == 8
    means_only = RecentringConfig(tau_s=5.0, scale=False, guard=free).build(decoder, early)
    means_only.update(counts)
    assert (means_only.gain_offset()[0] == 1).all()
    np.testing.assert_allclose(means_only.gain_offset()[1], -mean, atol=2e-2)


def test_gain_and_offset_act_on_standardised_counts(trained):
    decoder, early, later = trained
    adapter = GainOffsetConfig().build(decoder, early)
    counts = torch.from_numpy(later.trial(0).counts).float()
    with torch.no_grad():
        plain = adapter.latents([counts])
        adapter.log_gain.fill_(np.log(0.5))
        adapter.offset.copy_(-0.5 * decoder.count_mean / decoder.count_scale)
        np.testing.assert_allclose(adapter.latents([2 * counts]), plain, atol=1e-5)
        expected = np.sqrt((np.log(2) ** 2 + float(adapter.offset.square().mean())) / 2)
    assert adapter.change == pytest.approx(expected, rel=1e-5)


def score(trials: Trials, predictions: np.ndarray) -> float:
    late = trials.trial_of_bin >= 8
    return r2_variance_weighted(trials.behaviour[late], predictions[late])


def test_recentring_does_little_to_a_stable_recording_and_repairs_one_that_changed(trained):
    decoder, early, stable = trained
    unstable = recording(gain=3.0).select(LATER)
    alone, recentred = (
        {name: score(trials, adapt(decoder, method, trials, early).predictions) for name, trials in both}
        for both in [(("stable", stable), ("unstable", unstable))]
        for method in (None, RECENTRING)
    )
    assert alone["stable"] > 0.6
    assert recentred["stable"] > alone["stable"] - 0.03
    assert alone["unstable"] < alone["stable"] - 0.1
    lost = alone["stable"] - alone["unstable"]
    assert recentred["unstable"] > alone["unstable"] + 0.5 * lost


def test_recalibration_with_labels_helps_where_the_hand_itself_is_read_differently(trained):
    decoder, early, later = trained
    turned = replace(later, behaviour=later.behaviour @ np.array([[0.8, 0.6], [-0.6, 0.8]]))
    none = score(turned, adapt(decoder, None, turned, early).predictions)
    first = np.arange(len(turned)) < 5
    found = score(turned, adapt(decoder, ReadoutConfig(), turned, early, first).predictions)
    assert found > none + 0.1
    assert score(turned, oracle_predictions(decoder, turned, early)) > found - 0.02


@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in ("recentring", "readout", "forgetting")]
)
def test_steps_lower_the_objective(trained, name):
    decoder, early, later = trained
    adapter = replace(ALL[name], steps=5, recentring=None).build(decoder, early)
    trial = later.trial(0)
    adapter.update(trial.counts, trial.behaviour)
    after = float(adapter.objective().detach())
    adapter.forget()
    assert after < float(adapter.objective().detach())


def test_soft_codes_are_a_softmax_of_distances_and_entropy_pulls_to_the_nearest_code():
    z = torch.tensor([[0.3], [-2.0]], dtype=torch.double, requires_grad=True)
    codes = torch.tensor([[-1.0], [1.0], [4.0]], dtype=torch.double)
    p = soft_codes(z, codes, temperature=0.7)
    reference = torch.distributions.Categorical(logits=-torch.cdist(z, codes).square() / 0.7)
    np.testing.assert_allclose(p.detach(), reference.probs.detach(), rtol=1e-10)
    np.testing.assert_allclose(entropy(p).detach(), reference.entropy().detach(), rtol=1e-10)
    entropy(p)[0].backward()
    assert z.grad[0] < 0  # downhill is towards the code at 1, away from the border at 0
    assert float(entropy(torch.tensor([1.0, 0.0]))) == 0


def test_usage_of_training_trials_costs_nothing_and_entropy_terms_add_up(trained):
    decoder, early = trained[0], trained[1].select(range(6))
    losses = {}
    for name in ("entropy", "information", "usage", "latents"):
        adapter = GainOffsetConfig(name, n_trials=len(early), lr=1e-12, balance=2.0).build(decoder, early)
        for counts in np.split(early.counts, early.starts[1:]):
            adapter.learn(torch.from_numpy(counts).float(), None)
        losses[name] = float(adapter.objective().detach())
    assert losses["usage"] == pytest.approx(0, abs=1e-5)
    assert losses["latents"] == pytest.approx(0, abs=1e-3)
    marginal = float(entropy(soft_usage(decoder, early)))
    assert losses["information"] == pytest.approx(losses["entropy"] - 2 * marginal, abs=1e-4)


def soft_usage(decoder: DiscreteDecoder, early: Trials) -> torch.Tensor:
    z, codes = torch.from_numpy(decoder.embed(early)), decoder.quantizer.codebooks[0]
    distance = torch.cdist(z, codes).square()
    return torch.softmax(-distance / distance.amin(dim=1).mean(), dim=1).mean(dim=0)


def test_kl_between_gaussians_is_torchs():
    draw = torch.Generator().manual_seed(0)
    first, second = (
        latent_moments(torch.randn(50, 4, generator=draw, dtype=torch.double) * scale + 0.3 * scale)
        for scale in (1.0, 1.7)
    )
    reference = torch.distributions.kl_divergence(
        *(torch.distributions.MultivariateNormal(*pair) for pair in (first, second))
    )
    assert float(gaussian_kl(*first, *second)) == pytest.approx(float(reference), rel=1e-10)


def last_layer_input(decoder: DiscreteDecoder, trials: Trials) -> np.ndarray:
    """Its features with a 1, by the decoder's own public parts."""
    with torch.no_grad():
        z_q = decoder.quantizer.decode(torch.from_numpy(decoder.codes(trials)))
        h = decoder.head[:3](z_q).double().numpy()
    return np.hstack([h, np.ones((len(h), 1))])


def old_misses(decoder: DiscreteDecoder, trials: Trials) -> np.ndarray:
    return (trials.behaviour - decoder.predict(trials)) / float(decoder.output_scale)


def prior_of(h: np.ndarray) -> np.ndarray:
    prior = h.T @ h / len(h)
    return prior + 1e-6 * np.trace(prior) / len(prior) * np.eye(len(prior))


def layer(decoder: DiscreteDecoder) -> np.ndarray:
    last = decoder.head[-1]
    return np.vstack([last.weight.double().numpy().T, last.bias.double().numpy()])


def test_the_refitted_layer_is_scikit_learns_ridge_and_the_penalty_that_of_leaving_trials_out(trained):
    decoder, early, later = trained
    later, penalties = later.select(range(4)), (3.0, 30.0, 3000.0)
    decoder = copy.deepcopy(decoder).requires_grad_(False)
    adapter = ReadoutConfig(penalties=penalties).build(decoder, early)
    for number in range(4):
        adapter.update(later.trial(number).counts, later.trial(number).behaviour)
    # Ridge penalises all directions alike: turn the features until the prior is the identity.
    whiten = np.linalg.inv(np.linalg.cholesky(prior_of(last_layer_input(decoder, early)))).T
    h, miss = last_layer_input(decoder, later) @ whiten, old_misses(decoder, later)
    errors = dict.fromkeys(penalties, 0.0) | {np.inf: (miss**2).sum()}
    for number in range(4):
        out = later.trial_of_bin == number
        for penalty in penalties:
            ridge = Ridge(alpha=penalty, fit_intercept=False).fit(h[~out], miss[~out])
            errors[penalty] += ((miss[out] - ridge.predict(h[out])) ** 2).sum()
    best = min(errors, key=errors.get)
    assert adapter.penalty == best and np.isfinite(best)
    ridge = Ridge(alpha=best, fit_intercept=False).fit(h, miss)
    np.testing.assert_allclose(layer(adapter.decoder) - layer(decoder), whiten @ ridge.coef_.T, atol=1e-4)


def test_the_oracle_is_a_fit_to_all_other_trials_with_a_few_old_bins_among_them(trained):
    decoder, early, later = trained
    later, penalty = later.select(range(5)), 40.0
    found = oracle_predictions(decoder, later, early, penalties=(penalty,))
    old, new = last_layer_input(decoder, early), last_layer_input(decoder, later)
    miss = old_misses(decoder, later)
    for number in range(5):
        out = later.trial_of_bin == number
        weights = np.r_[np.full(len(old), penalty / len(old)), np.ones((~out).sum())]
        together = LinearRegression(fit_intercept=False).fit(
            np.vstack([old, new[~out]]), np.vstack([np.zeros((len(old), 2)), miss[~out]]), weights
        )
        expected = later.behaviour[out] - (miss[out] - together.predict(new[out])) * float(
            decoder.output_scale
        )
        np.testing.assert_allclose(found[out], expected, atol=2e-2)


def test_the_forgetting_readout_is_the_recursion_bin_by_bin(trained):
    decoder, early, later = trained
    decoder = copy.deepcopy(decoder).requires_grad_(False)
    adapter = ForgettingReadoutConfig(tau_s=2.0, penalty=50.0).build(decoder, early)
    for number in range(4):
        trial = later.trial(number)
        adapter.update(trial.counts, trial.behaviour if number != 2 else None)
    seen = later.select([0, 1, 3])
    h, miss, keep = last_layer_input(decoder, seen), old_misses(decoder, seen), np.exp(-BIN_SIZE_S / 2.0)
    gram, cross = np.zeros((h.shape[1],) * 2), np.zeros((h.shape[1], 2))
    for row, missed in zip(h, miss, strict=True):
        gram, cross = keep * gram + np.outer(row, row), keep * cross + np.outer(row, missed)
    expected = np.linalg.solve(gram + 50 * prior_of(last_layer_input(decoder, early)), cross)
    np.testing.assert_allclose(layer(adapter.decoder) - layer(decoder), expected, atol=1e-4)


def test_a_change_beyond_the_bound_is_rolled_back_before_it_is_used(trained):
    decoder, early, later = trained
    method = GainOffsetConfig("latents", guard=Guard(change=1e-5))
    found = adapt(decoder, method, later, early)
    assert found.rollbacks == len(later) and not found.change.any()
    np.testing.assert_array_equal(found.predictions, adapt(decoder, None, later, early).predictions)


@pytest.mark.parametrize("name", ["recentring", "latents"])
def test_codes_that_few_bins_use_are_rolled_back(trained, name):
    decoder, early, later = trained
    silent = replace(later, counts=0 * later.counts)
    found = adapt(decoder, ALL[name], silent, early)
    assert found.rollbacks > 0
    off = replace(ALL[name], guard=Guard(perplexity=0, change=100.0))
    assert adapt(decoder, off, silent, early).rollbacks == 0


@pytest.mark.parametrize("name", ["recentring", "latents", "labels"])
def test_the_continuous_twin_adapts_too(trained, name):
    discrete, early, later = trained
    twin = copy.deepcopy(discrete)
    twin.quantizer = None
    found = adapt(twin, ALL[name], later, early, all_labelled(later))
    assert np.isnan(found.perplexity).all() and (found.change[1:] > 0).all()
    assert score(later, found.predictions) > 0.5


def test_what_cannot_work_is_refused(trained):
    decoder, early, later = trained
    with pytest.raises(ValueError, match="objective='entrpy' must be one of"):
        GainOffsetConfig("entrpy")
    with pytest.raises(ValueError, match=r"tau_s=0 must be positive"):
        RecentringConfig(tau_s=0)
    with pytest.raises(ValueError, match=r"max_gain=0\.5"):
        RecentringConfig(max_gain=0.5)
    with pytest.raises(ValueError, match=r"penalties=\(0.0,\)"):
        ReadoutConfig(penalties=(0.0,))
    with pytest.raises(ValueError, match=r"a share 2\.0 of the perplexity"):
        Guard(perplexity=2.0)
    other = decoder.quantised(FiniteScalarConfig(levels=(4, 4)), early)
    with pytest.raises(ValueError, match="objective='usage' reads distances to a codebook"):
        adapt(other, GainOffsetConfig("usage"), later, early)
    with pytest.raises(ValueError, match="20 trials"):
        adapt(decoder, None, later, early, labelled=[1, 2])
    with pytest.raises(ValueError, match="19 units"):
        adapt(decoder, None, later.with_units(np.arange(19)), early)
    with pytest.raises(ValueError, match=r"bins of 0.1 s"):
        adapt(decoder, None, later.rebin(2), early)
    with pytest.raises(ValueError, match="one trial"):
        oracle_predictions(decoder, later.trial(0), early)
