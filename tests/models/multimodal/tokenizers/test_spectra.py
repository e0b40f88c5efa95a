"""Band power: against Welch's method of another library, a sine, and what is missing."""

import numpy as np
import pytest
import torch
from scipy.signal import welch

from neurolib.models.multimodal.tokenizers.spectra import BandPower

RATE = 200.0
BANDS = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 60))


def seen(samples: int, rows: int = 1) -> torch.Tensor:
    return torch.ones(rows, samples, dtype=torch.bool)


def test_power_is_that_of_welch_with_the_same_window():
    x = np.random.default_rng(0).normal(size=(200, 3)).cumsum(0)
    stride = 25
    power = BandPower(BANDS, RATE, window_s=1.0, stride=stride).double()
    got = power(torch.from_numpy(x)[None], seen(200))[0, 3:5].mean(0)  # centred on the only whole window
    frequency, density = welch(x, RATE, window="hann", nperseg=200, detrend=False, axis=0)
    w = np.hanning(201)[:-1]
    _, density = welch(x - (w @ x / w.sum()), RATE, window="hann", nperseg=200, detrend=False, axis=0)
    for b, (low, high) in enumerate(BANDS):
        inside = (frequency >= low) & (frequency < high)
        expected = density[inside].sum(0) / (inside.sum() * 2 / RATE)  # over that of white noise
        centred = BandPower(BANDS, RATE, 1.0, stride=200).double()(torch.from_numpy(x)[None], seen(200))[
            0, 0, :, b
        ]
        np.testing.assert_allclose(10 ** centred.numpy(), expected, rtol=1e-5)
        assert np.abs(got[:, b].numpy() - np.log10(expected)).max() < 0.6  # windows half a stride away


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("hz, band", [(10, 2), (6, 1), (20, 3)])
def test_a_sine_is_in_its_band_at_all_times(causal, hz, band):
    x = torch.sin(2 * torch.pi * hz * torch.arange(400) / RATE).view(1, -1, 1) + 50  # on an offset
    power = BandPower(BANDS, RATE, 1.0, stride=8, causal=causal)(x, seen(400))[0, 20:-20, 0]
    assert (power.argmax(-1) == band).all()
    assert power[:, band].std() < 0.02


def test_white_noise_of_variance_one_is_zero_in_every_band():
    x = torch.randn(1, 20_000, 2, generator=torch.Generator().manual_seed(0))
    power = BandPower(BANDS[1:], RATE, 0.5, stride=50)(x, seen(20_000))  # the mean takes some of 1-4 Hz
    np.testing.assert_allclose((10**power).mean((0, 1, 2)), 1, atol=0.12)


def test_half_a_window_has_the_power_of_a_whole_one():
    x = (
        torch.randn(400, 1, 100, generator=torch.Generator().manual_seed(0))
        .transpose(0, 2)
        .reshape(1, 100, 400)
    )
    mask = seen(100) & (torch.arange(100) < 60)
    power = BandPower(((13, 60),), RATE, 0.5, stride=100)
    whole, part = (10 ** power(x * m[..., None], m) for m in (seen(100), mask))
    assert abs(float(part.mean() / whole.mean()) - 1) < 0.1


def test_frames_between_tokens_lose_little():
    x = torch.randn(1, 800, 4, generator=torch.Generator().manual_seed(0))
    power = BandPower(((8, 13), (13, 30)), RATE, 1.0, stride=2)
    assert power.every == 12
    quick = power(x, seen(800))
    power.every = 1
    error = (quick - power(x, seen(800)))[:, 60:-60]
    assert error.std() < 0.15 * quick.std()


def test_bands_above_half_the_rate_are_dropped_with_one_warning():
    with pytest.warns(UserWarning, match=r"bands 30-60, 60-150 Hz are dropped.*50 Hz") as warned:
        power = BandPower((*BANDS, (60, 150)), 100.0, 1.0, stride=4)
    assert len(warned) == 1 and power.bands_hz == BANDS[:4]
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no band left"):
        BandPower(((60, 150),), 100.0, 1.0, stride=4)
    with pytest.raises(ValueError, match=r"band 4\.4-5 Hz holds no frequency.*resolves 2 Hz"):
        BandPower(((4.4, 5), (8, 13)), 100.0, 0.5, stride=4)
