"""Simple methods find what was put in, ignore test targets, and choose on validation windows."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.data.signal_tasks import SignalTask
from neurolib.models.signal_baselines import linear_forecast, log_variance_discriminant, naive_bayes

PART = np.tile(["train", "train", "train", "valid", "test"], 60)


def task(values, target, state=None):
    n, _, channels = values.shape
    zeros = np.zeros(n, int)
    row = np.tile(np.arange(channels), (n, 1))
    names = tuple("abcdef"[:channels])
    return SignalTask("emg", 10.0, values, row, target, PART, zeros, zeros, names, ("s",), state)


def muscles(rng):
    target = rng.integers(0, 3, 300)
    loud = np.where(np.arange(3) == target[:, None], 3.0, 1.0)
    return task(rng.standard_normal((300, 40, 3)) * loud[:, None], target)


def track(rng):
    """Six cells, each with one bin in one direction."""
    target, state = rng.integers(3, 6, 300), rng.integers(0, 2, 300)
    rate = np.where(np.arange(6) == (target - 3 + 3 * state)[:, None], 0.5, 0.01)
    return task(rng.random((300, 8, 6)) < rate[:, None], target, state)


def wave(rng):
    phase = rng.uniform(0, 2 * np.pi, 300)[:, None]
    x = np.sin(phase + 0.3 * np.arange(22)) + 0.01 * rng.standard_normal((300, 22))
    return task(x[:, :20, None], x[:, 20:])


@pytest.mark.parametrize(
    ("make", "method", "largest"),
    [
        (muscles, log_variance_discriminant, 0.1),
        (track, naive_bayes, 0.25),
        (wave, lambda one: linear_forecast(one, 5, by_session=True), 0.05),
    ],
)
def test_what_was_put_in_is_found_without_a_look_at_test_targets(make, method, largest):
    one = make(np.random.default_rng(0))
    test = PART == "test"
    said = method(one)
    assert said.shape == one.target[test].shape
    assert abs(said - one.target[test]).mean() < largest
    spoilt = one.target.copy()
    spoilt[test] = spoilt[test][::-1]
    np.testing.assert_array_equal(method(replace(one, target=spoilt)), said)


def test_the_penalty_is_the_one_that_validation_prefers():
    one = wave(np.random.default_rng(1))
    alone = [linear_forecast(one, 5, True, (penalty,)) for penalty in (0.01, 1e5)]
    np.testing.assert_array_equal(linear_forecast(one, 5, True, (1e5, 0.01)), alone[0])
