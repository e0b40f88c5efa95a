import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.data.trials import Trials
from neurolib.metrics.spikes import bits_per_spike
from neurolib.models.controls import EmaMlpConfig, OneBinAttentionConfig, RecurrentEncoderConfig
from neurolib.models.decoder import Decoder, stream_trials
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training import checkpoints
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit

CFG = VAEConfig(HebbianConfig(d=6, tau_s=(0.1,)), n_latents=2, past_bins=3)


def make_trials(seed=0, n_trials=40, n_bins=12, n_units=5):
    """Two outputs that are sums of recent counts."""
    draw = np.random.default_rng(seed)
    counts = draw.poisson(0.4, (n_trials * n_bins, n_units))
    counts[::n_bins, 0] = 1  # no trial is silent
    trials = Trials(counts, np.zeros((len(counts), 2)), [n_bins] * n_trials, 0.02, name="toy")
    recent = trials.history(4).sum(axis=1)
    return replace(trials, behaviour=np.stack([recent[:, 0] - recent[:, 1], recent[:, 2]], axis=1) * 3 + 7)


def trained(cfg=CFG, steps=150, trials=None):
    torch.manual_seed(0)
    split = (trials or make_trials()).split()
    model = SequenceVAE.for_trials(split.train, cfg)
    train_cfg = TrainConfig(steps=steps, batch_size=16, lr=1e-2, eval_every=25, device="cpu")
    fit(model, trial_tensors(split.train), trial_tensors(split.valid), train_cfg)
    return model, split


def test_a_trained_model_decodes_trials_it_has_not_seen():
    cfg = replace(CFG, past_bins=4, n_latents=4)
    model, split = trained(cfg, trials=make_trials(n_trials=150))
    assert isinstance(model, Decoder)
    error = ((model.predict(split.test) - split.test.behaviour) ** 2).sum()
    spread = ((split.test.behaviour - split.train.behaviour.mean(axis=0)) ** 2).sum()
    assert 1 - error / spread > 0.5


ENCODERS = {
    rule: HebbianConfig(rule, d=6, tau_s=(0.1, 0.5))
    for rule in ("additive", "symmetric", "bounded", "light", "correlation")
} | {
    "averages": EmaMlpConfig(),
    "GRU": RecurrentEncoderConfig(),
    "transformer": CausalTransformerConfig(d=8, heads=2),
    "one bin": OneBinAttentionConfig(),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_stream_gives_what_whole_trials_give(name):
    torch.manual_seed(0)
    trials = make_trials(n_trials=3)
    model = SequenceVAE.for_trials(trials, replace(CFG, encoder=ENCODERS[name])).double()
    with torch.no_grad():  # outputs that move
        model.decoder[2].weight.mul_(30)
    whole = model.predict(trials)
    assert whole.std() > 0.01
    np.testing.assert_allclose(stream_trials(model, trials), whole, atol=1e-9)


@pytest.mark.parametrize("name", ENCODERS)
def test_what_fills_a_batch_up_changes_neither_loss_nor_gradient(name):
    trials = replace(make_trials(n_trials=2), lengths=np.array([12, 7, 5]))
    cfg = replace(CFG, encoder=ENCODERS[name], future_bins=2, beta=0.1)
    torch.manual_seed(0)
    model = SequenceVAE.for_trials(trials, cfg).double().eval()
    batch = {k: v if v.dtype == torch.bool else v.double() for k, v in trial_tensors(trials).items()}
    spoiled = dict(batch)
    outside = ~batch["mask"]
    assert outside.any()
    for key, junk in (("counts", 3.0), ("behaviour", 50.0)):
        spoiled[key] = torch.where(outside[..., None], junk, batch[key])
    results = []
    for each in (batch, spoiled):
        model.zero_grad()
        loss = model.loss(each)
        loss.backward()
        results.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for clean, other in zip(*results, strict=True):
        np.testing.assert_allclose(other.numpy(), clean.numpy(), atol=1e-10)


def test_a_prediction_sees_no_later_bin():
    model = SequenceVAE(CFG, n_units=5, n_outputs=2, bin_size_s=0.02).eval()
    counts = torch.poisson(torch.full((2, 12, 5), 0.4))
    changed = counts.clone()
    changed[:, 8:] += 1
    torch.testing.assert_close(model(counts)[:, :8], model(changed)[:, :8])


def test_the_decoder_sees_exactly_the_last_latents():
    model = SequenceVAE(CFG, n_units=5, n_outputs=2, bin_size_s=0.02)
    latents = torch.arange(1.0, 6.0)[None, :, None].expand(1, 5, 2)
    window = model._window(latents)[0, :, :3]  # of the first latent, oldest first
    assert window.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_targets_ahead_are_masked_at_the_end_of_a_trial():
    cfg = replace(CFG, future_bins=3, beta=0.0)
    model = SequenceVAE(cfg, n_units=2, n_outputs=1, bin_size_s=0.02).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    batch = {"counts": torch.zeros(1, 4, 2), "behaviour": torch.tensor([[[1.0], [1], [1], [9]]])}
    batch["mask"] = torch.tensor([[True, True, True, False]])
    # six targets of 1 exist (3 + 2 + 1), none of 9, over three bins and three steps ahead
    assert model.loss(batch).item() == pytest.approx(6 / 3 / 3)
    assert model.forecast(batch["counts"]).shape == (1, 4, 3, 1)


def test_divergence_is_that_of_two_normals():
    cfg = replace(CFG, beta=1.0)
    model = SequenceVAE(cfg, n_units=2, n_outputs=1, bin_size_s=0.02).eval()
    batch = {
        "counts": torch.zeros(1, 3, 2),
        "behaviour": torch.zeros(1, 3, 1),
        "mask": torch.ones(1, 3).bool(),
    }
    mean, log_variance, _ = model.encode(batch["counts"])
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    wanted = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
    assert model.loss(batch).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_poisson_targets_are_expected_counts():
    trials = make_trials(n_trials=80)
    trials = replace(trials, behaviour=trials.counts.astype(float), outputs=())
    cfg = VAEConfig(EmaMlpConfig((0.01,)), n_latents=5, past_bins=1, likelihood="poisson", hidden=32)
    model, split = trained(cfg, 200, trials)
    rates = model.predict(split.test)
    assert (rates > 0).all()
    assert bits_per_spike(rates, split.test.behaviour) > 0.2  # a constant would have none


def test_classes_come_out_as_probabilities():
    trials = make_trials()
    label = np.repeat(np.arange(40) % 2, 12)[:, None].astype(float)
    counts = trials.counts + 2 * (np.arange(5) < 2) * label.astype(int)
    trials = replace(trials, counts=counts, behaviour=label, outputs=())
    cfg = replace(CFG, likelihood="categorical", n_classes=2)
    model, split = trained(cfg, 100, trials)
    p = model.predict(split.test)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    last = np.cumsum(split.test.lengths) - 1
    assert (p[last].argmax(axis=1) == split.test.behaviour[last, 0]).mean() > 0.8


def test_bernoulli_predictions_stay_in_the_range_of_training():
    trials = make_trials()
    model = SequenceVAE.for_trials(trials, replace(CFG, likelihood="bernoulli"))
    predicted = model.predict(trials)
    assert (predicted >= trials.behaviour.min(axis=0)).all()
    assert (predicted <= trials.behaviour.max(axis=0)).all()


def test_recordings_have_their_own_encoder_and_share_the_decoder():
    a, b = make_trials(0), replace(make_trials(1, n_units=7), name="other")
    model = SequenceVAE.for_trials({"a": a, "b": b}, CFG)
    rows = {"a": trial_tensors(a), "b": trial_tensors(b)}
    padded = torch.zeros(40, 12, 7)
    padded[..., :5] = rows["a"]["counts"]
    both = {
        "counts": torch.cat([padded, rows["b"]["counts"]]),
        "behaviour": torch.cat([rows["a"]["behaviour"], rows["b"]["behaviour"]]),
        "mask": torch.cat([rows["a"]["mask"], rows["b"]["mask"]]),
        "session": torch.arange(2).repeat_interleave(40),
    }
    model.eval()
    alone = model.loss(rows["a"]).item()
    assert model.loss({k: v[:40] for k, v in both.items()}).item() == pytest.approx(alone, rel=1e-5)
    model.loss(both).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.predict(b, session="b").shape == (480, 2)
    with pytest.raises(ValueError, match="'c'"):
        model.predict(a, session="c")


TOY = make_trials()
SILENT = TOY.counts.copy()
SILENT[24:36] = 0


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        (replace(TOY, counts=TOY.counts * 0.3), "whole spikes per bin"),
        (TOY.with_units(np.zeros(5, bool)), "no units"),
        (replace(TOY, lengths=np.array([2, 22] + [12] * 38)), "trial 0 has 2 bins, the model looks at 3"),
        (replace(TOY, counts=SILENT), "trial 2 has no spike"),
        (replace(TOY, info={"start_s": np.arange(40)[::-1]}), "not in order of time"),
    ],
)
def test_unsuitable_trials_are_refused(trials, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SequenceVAE.for_trials(trials, CFG)


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_counts_that_are_none_never_reach_a_model(value):
    counts = TOY.counts.astype(float)
    counts[3, 2] = value
    with pytest.raises(ValueError, match="counts hold"):
        replace(TOY, counts=counts)


def test_classes_out_of_range_are_refused():
    cfg = replace(CFG, likelihood="categorical", n_classes=2)
    with pytest.raises(ValueError, match="class"):
        SequenceVAE.for_trials(replace(TOY, behaviour=np.full((480, 1), 2.0), outputs=()), cfg)


def test_a_population_of_another_size_is_refused():
    model = SequenceVAE.for_trials(TOY, CFG)
    with pytest.raises(ValueError, match="another session"):
        model.predict(make_trials(n_units=6))


def test_bins_of_another_width_are_refused():
    model = SequenceVAE.for_trials(TOY, CFG)
    with pytest.raises(ValueError, match=r"bins of 0\.02 s"):
        model.predict(replace(TOY, bin_size_s=0.005))


@pytest.mark.parametrize("counts", [[1, 0], [0, 1, 0, 0, np.nan], [0, 0, -1, 0, 0]])
def test_a_stream_refuses_what_is_no_bin_of_its_population(counts):
    stream = SequenceVAE.for_trials(TOY, CFG).stream()
    before = stream.step(TOY.counts[0])
    with pytest.raises(ValueError, match="counts"):
        stream.step(counts)
    stream.reset()
    np.testing.assert_array_equal(stream.step(TOY.counts[0]), before)


def test_weights_come_back_only_into_the_same_model(tmp_path):
    model, path = SequenceVAE.for_trials(TOY, CFG), tmp_path / "model.pt"
    checkpoints.save_weights(path, model)
    again = checkpoints.load_weights(path, SequenceVAE(CFG, 5, 2, 0.02))
    np.testing.assert_array_equal(again.predict(TOY), model.predict(TOY))
    with pytest.raises(ValueError, match="past_bins=4"):
        checkpoints.load_weights(path, SequenceVAE(replace(CFG, past_bins=4), 5, 2, 0.02))
    with pytest.raises(ValueError, match=r"bins of 0\.02 s"):
        checkpoints.load_weights(path, SequenceVAE(CFG, 5, 2, 0.005))
    with pytest.raises(ValueError, match="another number of units"):
        checkpoints.load_weights(path, SequenceVAE(CFG, 6, 2, 0.02))


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="past_bins=0"):
        replace(CFG, past_bins=0)
    with pytest.raises(ValueError, match="likelihood"):
        replace(CFG, likelihood="gauss")
    with pytest.raises(ValueError, match="n_classes"):
        replace(CFG, likelihood="categorical")
