"""Batches of several recordings: each row keeps its own bins and units, and says where it is from."""

import pytest
import torch

from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training.batches import session_tensors, trial_tensors
from neurolib.training.loop import TrainConfig, fit


@pytest.fixture
def days(make_hand):
    """Three recordings of other sizes; the one with most units has the shortest trials."""
    wide = make_hand(n_units=9, n_trials=8, seed=1).pieces(15)
    return {"a": make_hand(n_units=5), "b": wide, "c": make_hand(n_units=7, n_trials=6, seed=2)}


def test_rows_are_those_of_each_recording_and_the_rest_is_zero(days):
    both, first = session_tensors(days), 0
    longest = max(int(trials.lengths.max()) for trials in days.values())
    assert both["counts"].shape == (sum(map(len, days.values())), longest, 9)
    assert both["mask"].dtype == torch.bool
    for number, trials in enumerate(days.values()):
        rows = slice(first, first + len(trials))
        first += len(trials)
        assert (both["session"][rows] == number).all()
        for key, wanted in trial_tensors(trials).items():
            found = both[key][rows]
            inside = tuple(slice(size) for size in wanted.shape)
            assert torch.equal(found[inside], wanted)
            assert found.count_nonzero() == wanted.count_nonzero()


def test_one_recording_is_a_batch_of_trials_with_its_number(days):
    alone = session_tensors({"a": days["a"]}, torch.float64)
    wanted = trial_tensors(days["a"], torch.float64)
    assert all(torch.equal(alone[key], wanted[key]) for key in wanted)
    assert not alone["session"].any()


def test_the_loss_of_all_recordings_is_the_mean_over_their_bins(days):
    torch.manual_seed(0)
    cfg = VAEConfig(RecurrentEncoderConfig(hidden=4), n_latents=2, past_bins=3)
    usable = {name: trials.select(trials.lengths >= 3) for name, trials in days.items()}
    model = SequenceVAE.for_trials(usable, cfg).eval()
    bins, total = 0, 0.0
    for name, trials in usable.items():  # each in a model that knows no other recording
        alone = SequenceVAE(cfg, {name: trials.n_units}, 2, 0.05).eval()
        alone.load_state_dict({key: model.state_dict()[key] for key in alone.state_dict()})
        total += alone.loss(trial_tensors(trials)).item() * len(trials.counts)
        bins += len(trials.counts)
    assert model.loss(session_tensors(usable)).item() == pytest.approx(total / bins, rel=1e-5)


def test_the_loop_trains_the_encoder_of_every_recording(days):
    torch.manual_seed(0)
    cfg = VAEConfig(RecurrentEncoderConfig(hidden=4), n_latents=2, past_bins=3)
    usable = {name: trials.select(trials.lengths >= 3) for name, trials in days.items()}
    model = SequenceVAE.for_trials(usable, cfg)
    before = {name: value.clone() for name, value in model.named_parameters()}
    tensors = session_tensors(usable)
    fit(model, tensors, tensors, TrainConfig(steps=10, batch_size=8, eval_every=5, device="cpu"))
    changed = {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}
    assert changed == set(before)
