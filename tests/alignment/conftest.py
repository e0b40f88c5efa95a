"""Simulated brains and networks that tests of predictivity share."""

import numpy as np
import pytest

from neurolib.alignment.captures import Capture, NeuralData

N = 150
NAMES = tuple(f"s{i}" for i in range(N))


@pytest.fixture
def net():
    """A network of given layers: ``net(rng, name, layer=values)``."""

    def made(rng, name="net", **layers):
        return Capture(name, layers, NAMES, np.arange(N))

    return made


@pytest.fixture
def subject():
    """A brain whose units read a code through noise: ``subject(rng, code)``."""

    def made(rng, code, name="cat", units=12, noise=1.0, repeats=4, groups=None):
        truth = code @ rng.normal(size=(code.shape[1], units)) / np.sqrt(code.shape[1])
        return NeuralData(name, truth + noise * rng.normal(size=(repeats, N, units)), NAMES, groups)

    return made
