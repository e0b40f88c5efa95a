"""A score with its resamples: the same draws of subjects and stimuli for all that is compared, so differences pair."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.metrics.intervals import Interval


@dataclass(frozen=True, eq=False)
class ResampledScore:
    """One number and what it would have been with other subjects and stimuli.

    Parameters
    ----------
    estimate : float
        NaN where none is defined.
    draws : array, shape (n_draws,)
    n : int
        Subjects.
    pairing : str
        Same for scores whose draw ``i`` took the same subjects and stimuli.
    level : float
        Of intervals.
    note : str
        Why there is no estimate.

    Examples
    --------
    >>> a = ResampledScore(0.5, np.array([0.4, 0.5, 0.6]), 3, "same")
    >>> b = ResampledScore(0.3, np.array([0.2, 0.3, 0.4]), 3, "same")
    >>> a.interval(), a.minus(b)
    (0.500 [0.405, 0.595], 0.200 [0.200, 0.200])
    """

    estimate: float
    draws: NDArray
    n: int
    pairing: str
    level: float = 0.95
    note: str = ""

    def interval(self) -> Interval:
        """Percentile interval over draws in which the score is defined."""
        return _interval(self.estimate, self.draws, self.level, self.n)

    def minus(self, other: "ResampledScore") -> Interval:
        """Interval of the difference, draw by draw.

        Raises
        ------
        ValueError
            If the two were not drawn together.
        """
        if self.pairing != other.pairing:
            raise ValueError(
                "these scores are of other stimuli, folds or subjects, or drawn with another seed; "
                "their difference would not be paired"
            )
        return _interval(self.estimate - other.estimate, self.draws - other.draws, self.level, self.n)


def tied(difference: Interval) -> bool:
    """Whether an interval of a difference holds 0, or there is none.

    Examples
    --------
    >>> tied(Interval(0.1, -0.05, 0.2, 0.95, 4)), tied(Interval(0.1, 0.05, 0.2, 0.95, 4))
    (True, False)
    """
    return not (difference.low > 0 or difference.high < 0)


def _interval(estimate: float, draws: NDArray, level: float, n: int) -> Interval:
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(estimate) or not len(draws):
        return Interval(float("nan"), float("nan"), float("nan"), level, n)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high), level, n)
