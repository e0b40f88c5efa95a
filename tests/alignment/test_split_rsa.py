"""RDMs of different trials: shared noise is no likeness, and a shared geometry is."""

import numpy as np
import pytest

from neurolib.alignment.split_rsa import SplitRSA

LABELS = np.tile(np.arange(8), 24)
FOLDS = np.arange(192) // 48


def ring(rng, noise):
    angle = 2 * np.pi * LABELS / 8
    return np.c_[np.cos(angle), np.sin(angle)] @ rng.normal(size=(2, 6)) + noise


def test_noise_in_common_is_no_geometry():
    found = []
    for seed in range(20):
        shared = np.random.default_rng(seed).normal(size=(192, 6))
        rsa = SplitRSA({"a": shared, "b": 2 * shared}, "a", LABELS, FOLDS, "pearson")
        found.append(rsa.scores()["b"])
    assert abs(np.mean(found)) < 0.15


def test_a_ring_is_like_a_ring_and_more_than_chance():
    rng = np.random.default_rng(0)
    systems = {name: ring(rng, 0.2 * rng.normal(size=(192, 6))) for name in "ab"}
    rsa = SplitRSA(systems, "a", LABELS, FOLDS, "pearson")
    assert rsa.scores()["b"] > np.quantile(rsa.chance("b", 60), 0.9)
    assert rsa.draws(3)["b"].shape == (3,)


def test_an_empty_cell_is_refused():
    with pytest.raises(ValueError, match="emptiest cell"):
        SplitRSA({"a": np.zeros((192, 2))}, "a", LABELS, np.zeros(192, int))
    with pytest.raises(ValueError, match="none of"):
        SplitRSA({"a": np.zeros((192, 2))}, "b", LABELS, FOLDS)
