"""Spectra against singular values, a loop over components, and populations with a known power law."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.metrics.eigenspectrum import cross_validated_spectrum, eigenspectrum, spectral_exponent


def population(n, exponent, units, rng):
    spectrum = np.arange(1, units + 1.0) ** -exponent
    return rng.normal(size=(n, units)) * np.sqrt(spectrum) @ np.linalg.qr(rng.normal(size=(units, units)))[0]


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (9, 9)])
def test_the_spectrum_is_that_of_the_covariance(shape):
    x = np.random.default_rng(0).normal(size=shape) + 5
    wanted = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2 / (len(x) - 1)
    found = eigenspectrum(x)
    assert len(found) == min(shape[0] - 1, shape[1])
    assert_allclose(found, wanted[: len(found)], rtol=1e-9)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_cross_validation_is_the_loop_over_components(shape):
    x = np.random.default_rng(0).normal(size=(2, *shape))
    # with two repeats a split says which of them each stimulus gives to which half; identical draws
    order = np.argsort(np.random.default_rng(3).random((2, shape[0])), axis=0)
    first, second = (x[order[i], np.arange(shape[0])] for i in (0, 1))
    found = 0
    for train, test in ((first, second), (second, first)):
        train, test = train - train.mean(0), test - test.mean(0)
        axes = np.linalg.svd(train, full_matrices=False)[2][: min(shape[0] - 1, shape[1])]
        found = found + np.array([(train @ axis) @ (test @ axis) / (shape[0] - 1) / 2 for axis in axes])
    assert_allclose(cross_validated_spectrum(x, n_splits=1, seed=3), found, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("exponent", [0.7, 1.4])
def test_repeats_find_the_exponent_that_noise_hides(exponent):
    rng = np.random.default_rng(1)
    signal = population(1500, exponent, 60, rng)
    noisy = signal + 0.2 * rng.normal(size=(4, *signal.shape))
    ranks = (2, 20)
    clean = spectral_exponent(eigenspectrum(signal), ranks)
    assert clean.exponent == pytest.approx(exponent, abs=0.1) and clean.r2 > 0.97
    found = spectral_exponent(cross_validated_spectrum(noisy, 4), ranks).exponent
    plain = spectral_exponent(eigenspectrum(noisy[0]), ranks).exponent
    assert found == pytest.approx(clean.exponent, abs=0.06) and abs(plain - clean.exponent) > 0.1


def test_without_signal_there_is_no_variance():
    noise = np.random.default_rng(0).normal(size=(2, 200, 30))
    found = cross_validated_spectrum(noise)
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(30) + 0.02 and eigenspectrum(noise[0]).mean() > 0.9
    with pytest.raises(ValueError, match="not positive"):
        spectral_exponent(found, (1, 30))


def test_the_line_is_weighted_least_squares():
    spectrum = np.exp(np.random.default_rng(0).normal(size=40)).cumsum()[::-1]
    found = spectral_exponent(spectrum, (4, 30))
    rank = np.arange(4, 31)
    slope = np.polyfit(np.log(rank), np.log(spectrum[3:30]), 1, w=rank**-0.5)[0]
    assert_allclose(found.exponent, -slope)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: eigenspectrum(np.ones((9, 3))), "constant"),
        (lambda: eigenspectrum(np.ones((2, 9, 3))), "cross_validated"),
        (lambda: eigenspectrum([[1.0, np.nan], [2, 3], [4, 5]]), "in 1 units"),
        (lambda: cross_validated_spectrum(np.ones((1, 9, 3))), "two repeats"),
        (lambda: cross_validated_spectrum(np.ones((2, 2, 3))), "2 stimuli"),
        (lambda: spectral_exponent(np.ones(20)), "ranks 11 to 500"),
    ],
)
def test_what_has_no_spectrum_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
