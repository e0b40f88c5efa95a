"""Shares of a difference between two runs: scores per trial in, ratios of means with intervals over trials out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.intervals import Interval

LEAST_SE = 3.0  # by how many standard errors two runs must differ


@dataclass(frozen=True)
class Recovery:
    """Shares of a difference, each with an interval over trials.

    Parameters
    ----------
    estimate, low, high : array, shape (n,)
    per_trial : array, shape (n, trial)
        Each trial's difference over the mean difference; their mean is the estimate.
    level : float
    """

    estimate: NDArray
    low: NDArray
    high: NDArray
    per_trial: NDArray
    level: float = 0.95

    def __len__(self) -> int:
        return len(self.estimate)

    def __getitem__(self, number: int) -> Interval:
        at = (float(part[number]) for part in (self.estimate, self.low, self.high))
        return Interval(*at, self.level, self.per_trial.shape[1])


def recovery(
    patched: ArrayLike,
    clean: ArrayLike,
    corrupt: ArrayLike,
    n_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Recovery:
    r""":math:`\rho = (m_\text{patch} - m_\text{corrupt}) / (m_\text{clean} - m_\text{corrupt})`, of means over trials.

    Not clamped: below 0 a patch harms, above 1 it does better than the clean run.

    Parameters
    ----------
    patched : array_like, shape (n, trial) or (trial,)
        Scores per trial of ``n`` patches.
    clean, corrupt : array_like, shape (trial,)
    n_resamples, seed, level
        Of the percentile bootstrap over trials. Where a trial is also the corrupt partner of another, trials
        are not quite independent, and the interval is a little too narrow.

    Raises
    ------
    ValueError
        If clean and corrupt differ by less than three standard errors: a share of nothing means nothing.

    Examples
    --------
    >>> found = recovery([[1.0, 3.0]], clean=[2.0, 4.0], corrupt=[0.0, 2.0])
    >>> found.estimate, found.per_trial
    (array([0.5]), array([[0.5, 0.5]]))
    """
    patched, clean, corrupt = (np.asarray(part, float) for part in (patched, clean, corrupt))
    patched = np.atleast_2d(patched)
    if clean.shape != corrupt.shape or patched.shape[1:] != clean.shape or clean.ndim != 1 or len(clean) < 2:
        raise ValueError(
            f"scores of shapes {patched.shape}, {clean.shape}, {corrupt.shape}; want (n, trial), (trial,), (trial,) "
            "with two trials or more"
        )
    whole, part = clean - corrupt, patched - corrupt
    error = whole.std(ddof=1) / np.sqrt(len(whole))
    if not abs(whole.mean()) > LEAST_SE * error:
        raise ValueError(
            f"clean and corrupt runs differ by {whole.mean():.3g} with a standard error of {error:.3g} over "
            f"{len(whole)} trials; less than {LEAST_SE:g} standard errors is nothing to take shares of. "
            "Corrupt more, or use more trials"
        )
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(len(whole), np.full(len(whole), 1 / len(whole)), size=n_resamples)
    shares = (part @ weights.T) / (whole @ weights.T)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return Recovery(part.mean(-1) / whole.mean(), low, high, part / whole.mean(), level)
