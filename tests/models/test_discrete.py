"""The discrete decoder: one pass however it is run, gradients that mean what they say, scales from training."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.data.trials import Trials
from neurolib.models.controls import EmaMlpConfig, RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig, Distillation
from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.training.batches import trial_tensors

RNG = np.random.default_rng(0)
CODES = ResidualConfig(n_stages=2, size=8)
CFG = DiscreteDecoderConfig(RecurrentEncoderConfig(hidden=12), dim=6, hidden=10)


@pytest.fixture
def trials():
    lengths = [30, 20, 25, 41]
    counts = RNG.poisson(0.5, (sum(lengths), 9))
    return Trials(counts, 50 * RNG.standard_normal((sum(lengths), 2)) + 7, lengths, 0.025)


@pytest.fixture
def continuous(trials):
    torch.manual_seed(0)
    return DiscreteDecoder.for_trials(trials, CFG).eval()


def test_bin_by_bin_decodes_as_whole_trials_do(trials, continuous):
    decoder = continuous.quantised(CODES, trials).double()
    first, state, found = trials.trial(0), None, []
    for counts in torch.as_tensor(first.counts, dtype=torch.float64):
        outputs, codes, state = decoder.step(counts[None], state)
        found.append(np.concatenate([outputs[0].detach().numpy(), codes[0].numpy()]))
    whole = np.hstack([decoder.predict(first), decoder.codes(first)])
    np.testing.assert_allclose(np.stack(found), whole, rtol=0, atol=1e-10)


def test_codes_say_all_that_the_head_gets_to_know(trials, continuous):
    decoder = continuous.quantised(CODES, trials)
    np.testing.assert_allclose(
        decoder.decode_codes(decoder.codes(trials)), decoder.predict(trials), rtol=1e-5
    )
    leaky = continuous.quantised(CODES, trials, leak=0.5)
    assert np.abs(leaky.predict(trials) - leaky.decode_codes(leaky.codes(trials))).max() > 1e-3


def test_quantising_leaves_the_decoder_as_it_was(trials, continuous):
    before = continuous.predict(trials)
    decoder = continuous.quantised(CODES, trials)
    decoder.encoder.count_mean += 1
    np.testing.assert_array_equal(continuous.predict(trials), before)
    assert continuous.quantizer is None and decoder.bits == 6


def test_more_stages_come_nearer_to_the_continuous_twin(trials, continuous):
    decoder = continuous.quantised(ResidualConfig(n_stages=4, size=16), trials)
    target = continuous.predict(trials)
    misses = [np.square(decoder.predict(trials, n) - target).mean() for n in (1, 2, 3, 4)]
    assert misses == sorted(misses, reverse=True)


def test_the_error_is_in_shared_standard_deviations(trials, continuous):
    loss = continuous.loss(trial_tensors(trials)).item()
    miss = continuous.predict(trials) - trials.behaviour
    np.testing.assert_allclose(loss, np.square(miss).mean() / trials.behaviour.var(axis=0).mean(), rtol=1e-5)


@pytest.mark.parametrize("changes", [{"spikes": 1.0}, {"forecast": 1.0}, {"noise": 0.5}, {"drop_bins": 0.9}])
def test_in_use_only_the_error_of_the_behaviour_counts(trials, changes):
    torch.manual_seed(0)
    model = DiscreteDecoder.for_trials(trials, replace(CFG, quantizer=CODES, **changes))
    batch = trial_tensors(trials)
    assert model.eval().loss(batch) == model.terms(batch)["error"]
    training = model.train().terms(batch)
    assert training["total"] > training["error"] or changes.keys() & {"noise", "drop_bins"}


def test_mean_rates_have_a_deviance_of_one(trials):
    model = DiscreteDecoder.for_trials(trials, replace(CFG, spikes=1.0)).train()
    torch.nn.init.zeros_(model.log_gain.weight), torch.nn.init.zeros_(model.log_gain.bias)
    terms = model.terms(trial_tensors(trials))
    assert (terms["total"] - terms["error"]).item() == pytest.approx(1, abs=1e-5)


def test_the_next_latent_is_looked_for_within_trials_only(trials):
    model = DiscreteDecoder.for_trials(trials, replace(CFG, forecast=1.0)).train()
    terms = model.terms(trial_tensors(trials))
    latents, wanted, n = terms["latents"].detach(), 0.0, 0
    for start, length in zip(trials.starts, trials.lengths, strict=True):
        guess = model.next_latent(latents[start : start + length - 1]).detach()
        wanted += (guess - latents[start + 1 : start + length]).square().sum().item()
        n += guess.numel()
    assert (terms["total"] - terms["error"]).item() == pytest.approx(wanted / n, rel=1e-4)


def test_padding_reaches_neither_loss_nor_codebooks(trials):
    torch.manual_seed(0)
    model = DiscreteDecoder.for_trials(trials, replace(CFG, quantizer=CODES)).train()
    twin, batch = copy.deepcopy(model), trial_tensors(trials)
    longer = {
        key: torch.nn.functional.pad(value, (0, 0, 0, 60) if value.ndim == 3 else (0, 60))
        for key, value in batch.items()
    }
    torch.manual_seed(1)
    one = model.loss(batch).item()
    torch.manual_seed(1)
    assert twin.loss(longer).item() == pytest.approx(one, rel=1e-5)
    torch.testing.assert_close(model.quantizer.codebooks, twin.quantizer.codebooks)


def test_a_frozen_encoder_stays_in_use_and_only_the_head_learns(trials, continuous):
    decoder = continuous.quantised(CODES, trials).freeze_encoder().train()
    assert not decoder.encoder.training and not decoder.quantizer.training and decoder.head.training
    decoder.loss(trial_tensors(trials)).backward()
    learning = {name.split(".")[0] for name, p in decoder.named_parameters() if p.grad is not None}
    assert learning == {"head"}


def test_a_student_equal_to_its_teacher_learns_only_the_task(trials, continuous):
    student = copy.deepcopy(continuous).train()
    lesson = Distillation(student, continuous, outputs=1.0, latents=1.0).train()
    batch = trial_tensors(trials)
    assert lesson.loss(batch).item() == pytest.approx(student.loss(batch).item())
    assert not any("teacher" in name for name, _ in lesson.named_parameters())
    assert lesson.eval().loss(batch) == student.loss(batch)


def test_the_latent_lesson_pulls_the_latent_towards_the_teachers(trials, continuous):
    """With the teacher's latent as target, a step against the gradient at z_q moves z_q nearer to it."""
    student = continuous.quantised(ResidualConfig(n_stages=1, size=4, update="frozen", commitment=0), trials)
    latents = torch.as_tensor(continuous.embed(trials)).requires_grad_()
    target = latents.detach() + 0.1
    through = student.train().quantizer.quantize(latents).z_q
    (through - target).square().sum().backward()
    torch.testing.assert_close(latents.grad, 2 * (through - target).detach())


def test_other_quantizers_fit_in(trials, continuous):
    decoder = continuous.quantised(FiniteScalarConfig(levels=(5, 5, 5)), trials)
    assert decoder.codes(trials).shape == (len(trials.counts), 1)


def test_bad_input_is_named(trials, continuous):
    with pytest.raises(ValueError, match="share, from 0 to 1"):
        DiscreteDecoderConfig(EmaMlpConfig(), leak=1.5)
    with pytest.raises(ValueError, match="must not be negative"):
        DiscreteDecoderConfig(EmaMlpConfig(), spikes=-1.0)
    with pytest.raises(ValueError, match="a continuous decoder has no codes"):
        continuous.codes(trials)
    with pytest.raises(ValueError, match="made for bins of 0"):
        continuous.predict(replace(trials, bin_size_s=0.05))
    with pytest.raises(ValueError, match="another session"):
        continuous.predict(trials.with_units(range(5)))
    with pytest.raises(ValueError, match="latents"):
        continuous.quantised(ResidualConfig(size=1000), trials)
    other = DiscreteDecoder.for_trials(trials, replace(CFG, dim=5))
    with pytest.raises(ValueError, match="cannot be compared"):
        Distillation(other, continuous, latents=1.0)
