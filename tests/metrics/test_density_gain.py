"""Nats per focus: means by hand, intervals that cover, and mixtures that find their weights."""

import numpy as np
import pytest

from neurolib.metrics.density_gain import gain, mixture_weights


def test_micro_counts_foci_and_macro_counts_studies():
    result = gain([1.0, 1.0, 1.0, -1.0], np.zeros(4), [5, 5, 5, 9])
    assert (result.micro, result.macro, result.better) == (0.5, 0.0, 0.5)
    assert (result.n_studies, result.n_foci) == (2, 4)
    assert result.low <= result.micro <= result.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(150):
        study = np.repeat(np.arange(60), rng.integers(1, 20, 60))
        effect = rng.normal(0.3, 0.5, 60)
        result = gain(effect[study] + rng.normal(0, 1, len(study)), np.zeros(len(study)), study, n_draws=300)
        covered += result.low <= 0.3 <= result.high
    assert 0.88 <= covered / 150 <= 0.99


def test_shuffled_studies_gain_nothing():
    rng = np.random.default_rng(0)
    log_p = rng.normal(size=2000)
    result = gain(log_p, rng.permutation(log_p), np.repeat(np.arange(200), 10))
    assert result.low < 0 < result.high


def test_a_mixture_finds_the_weights_it_was_drawn_with():
    rng = np.random.default_rng(1)
    parts = rng.dirichlet(np.ones(50), 3)
    foci = rng.choice(50, 40_000, p=np.array([0.6, 0.3, 0.1]) @ parts)
    np.testing.assert_allclose(mixture_weights(parts[:, foci], 500), [0.6, 0.3, 0.1], atol=0.03)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([0.0], [0.0, 1.0], [0, 0]), "must be equal lists"),
        (([], [], []), "must be equal lists"),
        (([-np.inf], [0.0], [0]), "probability 0 or NaN"),
    ],
)
def test_bad_input_is_refused(args, message):
    with pytest.raises(ValueError, match=message):
        gain(*args)
