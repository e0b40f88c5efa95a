"""Bayes' rule with independent Poisson cells: events ``(window, bin, cell)`` in, chances of each place out.

The classic decoder of place cells: one tuning curve per cell and direction, and no memory of the animal's path.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d


@dataclass(frozen=True)
class PlaceBayesConfig:
    """Tuning curves over the track, smoothed, with a little of the cell's mean rate mixed in.

    Examples
    --------
    >>> decoder = PlaceBayesConfig(n_places=3, smooth=0.0, width=1).build()
    >>> events = np.array([[[4.0, 0.0]], [[0.0, 0.0]], [[0.0, 4.0]]])  # one bin, two cells
    >>> decoder.fit(events, [0, 1, 2], [0, 0, 0]).predict(events).argmax(1).tolist()
    [0, 1, 2]
    """

    n_places: int = 20
    smooth: float = 1.0  # bins of the track, standard deviation
    width: int = 5  # bins of a window that count, in the middle of it
    prior: float = 1.0  # windows at the mean rate that every place is given beforehand

    def __post_init__(self):
        if self.n_places < 2 or self.width < 1:
            raise ValueError(f"n_places={self.n_places} must be at least 2 and width={self.width} at least 1")
        if self.smooth < 0 or not self.prior > 0:
            raise ValueError(f"smooth={self.smooth} must not be negative and prior={self.prior} be positive")

    def build(self) -> "PlaceBayes":
        """Make the decoder."""
        return PlaceBayes(self)


class PlaceBayes:
    """The decoder of :class:`PlaceBayesConfig`.

    References
    ----------
    .. [1] Zhang, Ginzburg, McNaughton and Sejnowski (1998), "Interpreting neuronal population activity by
       reconstruction: unified framework with application to hippocampal place cells", J. Neurophysiol. 79.
    """

    def __init__(self, cfg: PlaceBayesConfig):
        self.cfg = cfg

    def fit(self, events: ArrayLike, place: ArrayLike, direction: ArrayLike) -> "PlaceBayes":
        """Take tuning curves from windows ``(n, bins, cells)`` whose centre was at ``place (n,)``.

        Every place counts alike beforehand, and so does every direction that occurs.
        """
        counts = self._counts(events)
        place, direction = np.asarray(place, int), np.asarray(direction, int)
        if place.min() < 0 or place.max() >= self.cfg.n_places:
            raise ValueError(
                f"places {place.min()} to {place.max()} for {self.cfg.n_places}; is the first bin taken off?"
            )
        mean = counts.mean(0) + 1e-3
        rates = []
        for way in np.unique(direction):
            total = np.zeros((self.cfg.n_places, counts.shape[1]))
            np.add.at(total, place[direction == way], counts[direction == way])
            visits = np.bincount(place[direction == way], minlength=self.cfg.n_places).astype(float)
            if self.cfg.smooth:
                total, visits = (
                    gaussian_filter1d(x, self.cfg.smooth, axis=0, mode="constant") for x in (total, visits)
                )
            rates.append((total + self.cfg.prior * mean) / (visits[:, None] + self.cfg.prior))
        self.rates = np.stack(rates)  # (direction, place, cell), events per window
        return self

    def predict(self, events: ArrayLike) -> NDArray:
        """Chances ``(n, n_places)``, summed over directions."""
        log = self._counts(events) @ np.log(self.rates).reshape(-1, self.rates.shape[2]).T
        log = (log - self.rates.sum(2).ravel()).reshape(len(log), *self.rates.shape[:2])
        chances = np.exp(log - log.max((1, 2), keepdims=True)).sum(1)
        return chances / chances.sum(1, keepdims=True)

    def _counts(self, events: ArrayLike) -> NDArray:
        events = np.asarray(events, float)
        first = max(0, (events.shape[1] - self.cfg.width) // 2)
        return events[:, first : first + self.cfg.width].sum(1)


def median_place(chances: ArrayLike) -> NDArray:
    """The place that halves the chances ``(n, n_places)``: the guess of least expected absolute error.

    Between two places it is a fraction, as if chances were spread evenly over each place.

    Examples
    --------
    >>> median_place([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]).tolist()
    [1.0, 0.5]
    """
    chances = np.asarray(chances, float)
    total = chances.cumsum(1)
    at = (total < 0.5 - 1e-12).sum(1).clip(0, chances.shape[1] - 1)
    rows = np.arange(len(at))
    before = total[rows, at] - chances[rows, at]
    return at - 0.5 + (0.5 - before) / chances[rows, at]
