"""Windows of the simulated session: splits that do not touch, and a truth that belongs to its window."""

import numpy as np
import pytest

from neurolib.data.seven_windows import SevenWindowsConfig

CFG = SevenWindowsConfig(duration_s=90.0, block_s=5.0, modalities=("spike", "emg"))


@pytest.fixture(scope="module")
def made():
    return CFG.build()


def test_the_hand_is_two_dimensions_of_the_truth_at_the_same_steps(made):
    for part, batch in made.batches.items():
        hand = 10 * made.latent[part][..., [0, 2]]
        shown = batch["behaviour/values"].numpy()
        for k in range(2):  # standardised with moments of training windows
            assert np.corrcoef(hand[..., k].ravel(), shown[..., k].ravel())[0, 1] > 0.9999


def test_windows_of_two_splits_are_a_window_apart(made):
    starts = {part: batch["start_s"].numpy() for part, batch in made.batches.items()}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        apart = np.abs(starts[one][:, None] - starts[other])
        assert apart.min() >= 2 * CFG.window_s - 1e-6
    assert np.diff(np.sort(starts["test"])).min() >= CFG.window_s - 1e-6
