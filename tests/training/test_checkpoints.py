"""Weights on disk: what was kept comes back bit by bit, into the model it was made for and no other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training import checkpoints
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit

HEBBIAN = VAEConfig(HebbianConfig("light", d=4, tau_s=(0.1,)), n_latents=2, past_bins=3)
GRU = replace(HEBBIAN, encoder=RecurrentEncoderConfig(hidden=6))
TRAIN = TrainConfig(steps=10, batch_size=8, eval_every=5, device="cpu")


def fitted(hand, cfg):
    torch.manual_seed(0)
    split = hand.split()
    model = SequenceVAE.for_trials(split.train, cfg)
    fit(model, trial_tensors(split.train), trial_tensors(split.valid), TRAIN)
    return model


@pytest.mark.parametrize("cfg", [HEBBIAN, GRU], ids=["hebbian", "gru"])
def test_a_model_that_never_saw_the_trials_decodes_them_from_the_file(hand, tmp_path, cfg):
    model = fitted(hand, cfg)
    checkpoints.save_weights(tmp_path / "decoder.pt", model)
    fresh = SequenceVAE(cfg, hand.n_units, 2, hand.bin_size_s)  # random weights, scales of 0 and 1
    assert not np.allclose(fresh.predict(hand), model.predict(hand))
    again = checkpoints.load_weights(tmp_path / "decoder.pt", fresh)
    assert again is fresh
    np.testing.assert_array_equal(again.predict(hand), model.predict(hand))
    torch.testing.assert_close(again.output_scale, model.output_scale, rtol=0, atol=0)


def test_folders_on_the_way_are_made_and_nothing_else_is_left_in_them(hand, tmp_path):
    model = SequenceVAE.for_trials(hand, GRU)
    for _ in range(2):  # the second replaces the first
        checkpoints.save_weights(tmp_path / "new" / "decoder.pt", model)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["decoder.pt"]


def test_a_refused_file_leaves_the_model_as_it_was(hand, make_hand, tmp_path):
    path = tmp_path / "decoder.pt"
    checkpoints.save_weights(path, fitted(make_hand(n_units=7), GRU))
    model = SequenceVAE.for_trials(hand, GRU)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"decoder\.pt: encoders.*another number of units"):
        checkpoints.load_weights(path, model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_other_settings_are_shown_side_by_side(hand, tmp_path):
    path = tmp_path / "decoder.pt"
    checkpoints.save_weights(path, SequenceVAE.for_trials(hand, HEBBIAN))
    with pytest.raises(ValueError, match=r"(?s)rule='light'.*not.*cell='gru'"):
        checkpoints.load_weights(path, SequenceVAE.for_trials(hand, GRU))


def test_an_encoder_goes_back_to_the_recording_of_its_name(hand, make_hand, tmp_path):
    days, path = {"monday": hand, "tuesday": make_hand(n_units=7, seed=1)}, tmp_path / "both.pt"
    model = SequenceVAE.for_trials(days, GRU)
    checkpoints.save_weights(path, model)
    units = {day: trials.n_units for day, trials in days.items()}
    swapped = SequenceVAE(GRU, dict(reversed(units.items())), 2, hand.bin_size_s)
    again = checkpoints.load_weights(path, swapped)
    for day, trials in days.items():
        np.testing.assert_array_equal(again.predict(trials, day), model.predict(trials, day))
    with pytest.raises(ValueError, match="another number of units"):
        checkpoints.load_weights(path, SequenceVAE(GRU, {"monday": hand.n_units}, 2, hand.bin_size_s))


def test_absent_and_damaged_files_are_named(hand, tmp_path):
    model, path = SequenceVAE.for_trials(hand, GRU), tmp_path / "decoder.pt"
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*decoder\.pt"):
        checkpoints.load_weights(path, model)
    checkpoints.save_weights(path, model)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"decoder\.pt is not a readable checkpoint.*cut short"):
        checkpoints.load_weights(path, model)


def test_a_file_with_code_in_it_is_not_run(hand, tmp_path):
    path = tmp_path / "decoder.pt"
    torch.save({"settings": "", "weights": Trap(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        checkpoints.load_weights(path, SequenceVAE.for_trials(hand, GRU))
    assert not (tmp_path / "ran").exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)
