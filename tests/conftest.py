"""Fixtures shared by all tests, and the threads they may use."""

import os
from pathlib import Path

# two workers run side by side; torch and BLAS must not fight over the cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NEUROLIB_HEADLESS", "1")
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):  # every kernel of a golden run would compile torch anew
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parents[1] / "build" / "bytecode"))

import numpy as np
import pytest

from neurolib.data.trials import Trials
from neurolib.runs.warm import warm


def pytest_configure(config):
    """Golden runs get kernels that have their imports done; one process makes them for all of xdist's."""
    options = config.option
    wanted = getattr(options, "nbval", False) or getattr(options, "nbval_lax", False)
    if not wanted or options.nbval_kernel_name or options.current_env or hasattr(config, "workerinput"):
        return
    block = warm(os.environ)
    pool = block.__enter__()
    config.add_cleanup(lambda: block.__exit__(None, None, None))
    if pool.kernel:
        options.nbval_kernel_name = pool.kernel
        options.nbval_kernel_startup_timeout = 300
        os.environ |= pool.environment(os.environ)


def tracked_hand(n_trials=24, n_units=12, seed=0, lag_bins=0) -> Trials:
    """Trials of unequal length whose counts follow a smooth hand linearly, with Poisson noise."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(20, 40, n_trials)
    tuning = rng.normal(size=(2, n_units))
    counts, hand = [], []
    for n in lengths:
        steps = rng.normal(size=(n + 30, 2))
        path = np.stack([np.convolve(s, np.hanning(9), "same") for s in steps.T], axis=1)[10:]
        ahead = path[lag_bins : lag_bins + n]  # cortex leads: counts now, movement later
        counts.append(rng.poisson(np.exp(0.7 + 0.35 * ahead @ tuning)))
        hand.append(path[:n])
    return Trials(
        np.concatenate(counts), np.concatenate(hand), lengths, 0.05, ("velocity x", "velocity y"), "cm/s"
    )


@pytest.fixture
def hand() -> Trials:
    """A small population that follows a hand."""
    return tracked_hand()


@pytest.fixture
def make_hand():
    """:func:`tracked_hand`, for tests that need several or other populations."""
    return tracked_hand
