import numpy as np
import pytest

from neurolib.data.artefacts import common_average, heavy_tailed, line_noisy


def test_noisy_channels_are_found_among_like_ones_and_do_not_spread():
    rng = np.random.default_rng(0)
    time_s = np.arange(4000) / 500
    common = 20 * rng.normal(size=(4000, 1))
    values = common + rng.normal(size=(4000, 12)) * np.linspace(5, 50, 12)  # loudness alone is no fault
    assert not heavy_tailed(values).any() and not line_noisy(values, 500, 60).any()
    values[::400, 3] += 2000  # a loose contact
    values[:, 7] += 60 * np.sin(2 * np.pi * 60 * time_s)
    values[:, 9] = 4.0
    assert np.flatnonzero(heavy_tailed(values)).tolist() == [3, 9]
    assert np.flatnonzero(line_noisy(values, 500, 60)).tolist() == [7]
    assert not line_noisy(values, 500, 50).any()
    bad = heavy_tailed(values) | line_noisy(values, 500, 60)
    clean = common_average(values, keep=~bad)
    np.testing.assert_allclose(clean[:, ~bad].mean(axis=1), 0, atol=1e-9)
    good = np.flatnonzero(~bad)
    np.testing.assert_allclose(clean[:, good], values[:, good] - values[:, good].mean(axis=1, keepdims=True))
    with pytest.raises(ValueError, match="do not resolve 60 Hz"):
        line_noisy(values, 130, 60)
    with pytest.raises(ValueError, match="NaN or infinite"):
        line_noisy(np.full((4000, 2), np.nan), 500, 60)
    with pytest.raises(ValueError, match="keep marks 0 of 12 channels"):
        common_average(values, keep=np.zeros(12, bool))
