"""Read-outs of windows: against scikit-learn, and on signals whose features are known."""

import numpy as np
import pytest
import torch

from neurolib.metrics.window_readouts import ridge_readout, step_features


def test_the_readout_is_the_ridge_of_another_library():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x, y = rng.normal(2, 3, (20, 5, 4)), rng.normal(size=(20, 5, 2))
    flat = (x.reshape(-1, 4) - x.mean((0, 1))) / x.std((0, 1))
    other = Ridge(7.0).fit(flat, y.reshape(-1, 2)).predict(flat)
    assert np.allclose(ridge_readout((x, x), (y, y), [7.0])(x).reshape(-1, 2), other)


def test_the_penalty_is_chosen_on_valid_windows_for_each_output():
    rng = np.random.default_rng(1)
    x, seen = rng.normal(size=(6, 5, 25)), rng.normal(size=(200, 5, 25))
    weights = np.zeros((25, 2))
    weights[0, 0] = 1.0  # the other output is nothing but noise
    y = x @ weights + [0.0, 1.0] * rng.normal(size=(6, 5, 2))
    read = ridge_readout((x, seen), (y, seen @ weights), [1e-3, 1e6])
    assert np.abs(read(seen)[..., 0]).std() > 0.2
    assert read(seen)[..., 1].std() < 0.01


def test_power_follows_an_amplitude_that_means_do_not_show():
    amplitude = torch.tensor([1.0, 3.0])
    wave = (amplitude[:, None] * (-1.0) ** torch.arange(10)).view(1, 20, 1)
    found = step_features({"ecog/values": wave}, ["ecog"], 2)["ecog"][0]
    assert np.allclose(found[:, 0], 0)
    assert np.allclose(found[1, 1:] - found[0, 1:], np.log(9), atol=1e-3)


def test_what_cannot_be_divided_is_named():
    with pytest.raises(ValueError, match="emg: 9 samples cannot be divided into 2 steps"):
        step_features({"emg/values": torch.zeros(1, 9, 1)}, ["emg"], 2)
    with pytest.raises(ValueError, match="read-outs take"):
        ridge_readout((np.zeros((2, 3)), np.zeros((2, 3))), (np.zeros((2, 3)), np.zeros((2, 3))))
