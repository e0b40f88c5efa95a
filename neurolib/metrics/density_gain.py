"""How much better a density predicts held-out foci than a baseline: log probabilities in, nats out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Gain:
    """Nats per focus over a baseline, with an interval from drawing studies again.

    Parameters
    ----------
    micro : float
        Mean over foci, so that large studies count more.
    low, high : float
        95 % interval of it.
    macro : float
        Mean over studies of their means.
    macro_low, macro_high : float
    better : float
        Share of studies above 0.
    n_studies, n_foci : int
    """

    micro: float
    low: float
    high: float
    macro: float
    macro_low: float
    macro_high: float
    better: float
    n_studies: int
    n_foci: int

    def __str__(self):
        return f"{self.micro:+.3f} [{self.low:+.3f}, {self.high:+.3f}] nats per focus"


def gain(log_p: ArrayLike, log_base: ArrayLike, study: ArrayLike, n_draws: int = 1000, seed: int = 0) -> Gain:
    """Gain of one density over another on the same foci, with a bootstrap over studies.

    Parameters
    ----------
    log_p, log_base : array, shape (n_foci,)
        Log probability of each held-out focus under the model and under what it is compared with;
        for a paired comparison the latter is the other model.
    study : array of int, shape (n_foci,)
        Which foci belong together.
    n_draws, seed : int

    Returns
    -------
    Gain

    Raises
    ------
    ValueError
        If the shapes differ, there are no foci, or a log probability is not finite.

    Examples
    --------
    >>> result = gain([-1.0, -1.0, -3.0], [-2.0, -2.0, -2.0], [0, 0, 1])
    >>> round(result.micro, 3), result.macro, result.better
    (0.333, 0.0, 0.5)
    """
    log_p, log_base, study = np.asarray(log_p, float), np.asarray(log_base, float), np.asarray(study)
    if not log_p.shape == log_base.shape == study.shape or log_p.ndim != 1 or not len(log_p):
        raise ValueError(
            f"log_p {log_p.shape}, log_base {log_base.shape} and study {study.shape} must be equal lists"
        )
    if not (np.isfinite(log_p).all() and np.isfinite(log_base).all()):
        raise ValueError("a held-out focus has probability 0 or NaN; mix a little of the baseline in")
    _, number = np.unique(study, return_inverse=True)
    total, count = np.bincount(number, log_p - log_base), np.bincount(number)
    mean = total / count
    draws = np.random.default_rng(seed).integers(0, len(mean), (n_draws, len(mean)))
    micro = np.quantile(total[draws].sum(1) / count[draws].sum(1), [0.025, 0.975])
    macro = np.quantile(mean[draws].mean(1), [0.025, 0.975])
    return Gain(
        float(total.sum() / count.sum()),
        *map(float, micro),
        float(mean.mean()),
        *map(float, macro),
        float((mean > 0).mean()),
        len(mean),
        len(log_p),
    )


def mixture_weights(densities: NDArray, n_iterations: int = 200) -> NDArray:
    """Weights of a mixture of given densities by expectation maximisation.

    Parameters
    ----------
    densities : array, shape (n_densities, n_foci)
        Probability of each focus under each.
    n_iterations : int

    Returns
    -------
    array, shape (n_densities,)
        Sum to one.

    Examples
    --------
    >>> mixture_weights(np.array([[0.8, 0.8], [0.1, 0.1]])).round(3)
    array([1., 0.])
    """
    weights = np.full(len(densities), 1 / len(densities))
    for _ in range(n_iterations):
        share = weights[:, None] * densities
        weights = (share / share.sum(0)).mean(1)
    return weights
