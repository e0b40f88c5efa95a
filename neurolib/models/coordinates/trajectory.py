"""Where a field goes from year to year: codes of studies ``(study, dim)`` and their years in, forecasts of yearly means out.

A year's mean is known up to the noise of its studies, so forecasts are scored by their squared error
beyond that noise. Every forecast of a year is made from earlier years alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

CONSTANTS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0])  # of exponential smoothing
EARLIEST = 4  # years that a forecast needs before it


@dataclass(frozen=True, eq=False)
class YearlyCodes:
    """Means and covariances of codes, year by year.

    Parameters
    ----------
    years : array of int, shape (n_years,)
        Without a gap.
    counts : array of int, shape (n_years,)
        Studies of each.
    means : array, shape (n_years, dim)
    covariances : array, shape (n_years, dim, dim)
        Unbiased.

    Raises
    ------
    ValueError
        If a year is missing, or shapes do not fit.
    """

    years: NDArray
    counts: NDArray
    means: NDArray
    covariances: NDArray

    def __post_init__(self):
        n, dim = self.means.shape
        if not len(self.years) == len(self.counts) == n or self.covariances.shape != (n, dim, dim):
            raise ValueError(
                f"{len(self.years)} years, {len(self.counts)} counts, means {self.means.shape} and covariances "
                f"{self.covariances.shape} must share their years"
            )
        if (np.diff(self.years) != 1).any():
            gap = int(self.years[:-1][np.diff(self.years) != 1][0])
            raise ValueError(f"the year after {gap} is missing; forecasts need every year")

    @classmethod
    def of(cls, codes: ArrayLike, year: ArrayLike, at_least: int = 20) -> "YearlyCodes":
        """Moments of the codes of every year.

        Parameters
        ----------
        codes : array, shape (n_studies, dim)
        year : array, shape (n_studies,)
        at_least : int
            Early and late years with fewer studies are left out; one in the middle is an error.

        Raises
        ------
        ValueError
            If a year is unknown, a code not finite, or too few years are left.

        Examples
        --------
        >>> yearly = YearlyCodes.of([[0.0], [2.0], [1.0], [5.0]], [1999, 1999, 2000, 2000], at_least=2)
        >>> yearly.means.ravel(), yearly.noise
        (array([1., 3.]), array([1., 4.]))
        """
        codes, year = np.asarray(codes, float), np.asarray(year, float)
        if codes.ndim != 2 or year.shape != codes.shape[:1]:
            raise ValueError(f"codes {codes.shape} and year {year.shape} must share their studies")
        if not (np.isfinite(codes).all() and np.isfinite(year).all()):
            raise ValueError("a code or a year is not finite; leave out studies without a year")
        if at_least < 2:
            raise ValueError(f"at_least={at_least} must be 2 or more, or a year has no covariance")
        years, counts = np.unique(year.astype(int), return_counts=True)
        enough = np.flatnonzero(counts >= at_least)
        if len(enough) < 2:
            raise ValueError(f"{len(enough)} years with at least {at_least} studies; two are the least")
        kept = slice(enough[0], enough[-1] + 1)
        years, counts = years[kept], counts[kept]
        if (counts < at_least).any():
            few = int(years[counts < at_least][0])
            raise ValueError(f"{few} has fewer than {at_least} studies, unlike years before and after it")
        of_year = [codes[year.astype(int) == y] for y in years]
        means = np.array([part.mean(0) for part in of_year])
        covariances = np.array([np.cov(part.T).reshape(codes.shape[1], -1) for part in of_year])
        return cls(years, counts, means, covariances)

    @property
    def noise(self) -> NDArray:
        """Squared error of each year's mean that its studies' spread alone makes, shape (n_years,)."""
        return np.trace(self.covariances, axis1=1, axis2=2) / self.counts

    def at(self, year: int) -> int:
        """Position of a year.

        Raises
        ------
        ValueError
            If it is not among the years, or too early to forecast.
        """
        found = np.flatnonzero(self.years == year)
        if not len(found) or found[0] < EARLIEST:
            raise ValueError(
                f"no forecast of {year} from {self.years[0]} to {self.years[-1]}; {EARLIEST} years must lie before it"
            )
        return int(found[0])


def grand_mean(means: NDArray, counts: NDArray) -> NDArray:
    """Mean over all earlier studies, shape (dim,).

    Examples
    --------
    >>> grand_mean(np.array([[0.0], [4.0]]), np.array([3, 1]))
    array([1.])
    """
    return np.average(means, axis=0, weights=counts)


def persistence(means: NDArray, counts: NDArray) -> NDArray:
    """The last year again, shape (dim,)."""
    return means[-1]


def linear_trend(means: NDArray, counts: NDArray) -> NDArray:
    """The line through all earlier years by least squares weighted by studies, one year on, shape (dim,).

    Examples
    --------
    >>> linear_trend(np.array([[0.0], [1.0], [2.0]]), np.array([5, 50, 5])).round(9)
    array([3.])
    """
    t, root = np.arange(len(means)), np.sqrt(counts)[:, None]
    line = np.linalg.lstsq(np.stack([np.ones(len(t)), t], 1) * root, means * root, rcond=None)[0]
    return line[0] + line[1] * len(means)


def smoothed(means: NDArray, constant: float) -> NDArray:
    """Exponentially smoothed means after every year, shape (n_years, dim).

    Examples
    --------
    >>> smoothed(np.array([[0.0], [4.0], [4.0]]), 0.5).ravel()
    array([0., 2., 3.])
    """
    state, out = means[0], []
    for mean in means:
        state = state + constant * (mean - state)
        out.append(state)
    return np.array(out)


def smoothing_constant(means: NDArray, counts: NDArray) -> float:
    """The constant with the least squared error over earlier years' own one-year forecasts."""
    tried = [np.square(smoothed(means[:-1], a) - means[1:]).sum(1) @ counts[1:] for a in CONSTANTS]
    return float(CONSTANTS[int(np.argmin(tried))])


def exponential_smoothing(means: NDArray, counts: NDArray) -> NDArray:
    """The exponentially smoothed mean, its constant chosen on earlier years, shape (dim,)."""
    return smoothed(means, smoothing_constant(means, counts))[-1]


NAIVE: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "grand mean": grand_mean,
    "persistence": persistence,
    "exponential smoothing": exponential_smoothing,
    "linear trend": linear_trend,
}


@dataclass(frozen=True)
class TrajectoryConfig:
    """A small recurrent network and its training, the same for every forecast.

    Parameters
    ----------
    hidden : int
    steps : int
        At most; how many is chosen on the last third of the earlier years. None is persistence.
    lr, weight_decay : float
    seed : int
    """

    hidden: int = 16
    steps: int = 60
    lr: float = 1e-2
    weight_decay: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.hidden < 1 or self.steps < 0:
            raise ValueError(f"hidden={self.hidden} must be positive, steps={self.steps} not negative")
        if not self.lr > 0 or self.weight_decay < 0:
            raise ValueError(f"lr={self.lr} must be positive, weight_decay={self.weight_decay} not negative")

    def build(self, dim: int) -> "TrajectoryGRU":
        """The untrained network, which predicts no change."""
        torch.manual_seed(self.seed)
        return TrajectoryGRU(dim, self.hidden)

    def forecast(self, means: NDArray, counts: NDArray) -> NDArray:
        """Train on earlier years and go one on, shape (dim,)."""
        centre = grand_mean(means, counts)
        scale = np.sqrt(np.square(means - centre).mean()) or 1.0  # one for all: small directions stay small
        series = torch.from_numpy((means - centre) / scale).float()
        weight = torch.from_numpy(counts[1:]).float()
        watched = self._trained(series, weight, self.steps, len(weight) // 3)[1]
        network = self._trained(series, weight, int(np.argmin(watched)), 0)[0]
        with torch.no_grad():
            return means[-1] + scale * network(series)[-1].double().numpy()

    def _trained(
        self, series: Tensor, weight: Tensor, steps: int, n_watched: int
    ) -> tuple["TrajectoryGRU", list[float]]:
        """A network, and its errors on the last changes, which it does not learn from, step by step."""
        network, watched = self.build(series.shape[1]), []
        optimiser = torch.optim.AdamW(network.parameters(), self.lr, weight_decay=self.weight_decay)
        n = len(weight) - n_watched
        for _ in range(steps):
            error = (network(series[:-1]) - series.diff(dim=0)).square().mean(1) * weight
            watched.append(error[n:].detach().sum().item())
            optimiser.zero_grad()
            (error[:n].sum() / weight[:n].sum()).backward()
            optimiser.step()
        return network, watched or [0.0]


class TrajectoryGRU(nn.Module):
    """Means of years so far in, the change to the next year out.

    Parameters
    ----------
    dim, hidden : int
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.memory = nn.GRU(dim, hidden)
        self.out = nn.Linear(hidden, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, means: Tensor) -> Tensor:
        """Changes after every year, ``(year, dim)``, for means ``(year, dim)``."""
        return self.out(self.memory(means)[0])


def rolling_forecasts(
    yearly: YearlyCodes, first: int, gru: TrajectoryConfig | None = None
) -> dict[str, NDArray]:
    """Forecasts of each year's mean from the years before it.

    Parameters
    ----------
    yearly : YearlyCodes
    first : int
        First year to forecast; the last is the last there is.
    gru : TrajectoryConfig, optional
        Trained anew for every year.

    Returns
    -------
    dict of array, shape (n_forecasts, dim)
        By name, see :data:`NAIVE`, and ``"GRU"``.
    """
    ways = dict(NAIVE) | {"GRU": (gru or TrajectoryConfig()).forecast}
    origins = range(yearly.at(first), len(yearly.years))
    return {
        name: np.array([forecast(yearly.means[:k], yearly.counts[:k]) for k in origins])
        for name, forecast in ways.items()
    }


def excess_error(yearly: YearlyCodes, forecasts: ArrayLike) -> NDArray:
    r"""Squared error of forecasts of the last years beyond sampling noise, shape (n_forecasts,).

    .. math:: |\hat m - m_t|^2 - \mathrm{tr}(C_t) / n_t

    whose expectation is the squared distance to the year's true mean. A value may be negative.

    Parameters
    ----------
    yearly : YearlyCodes
    forecasts : array, shape (n_forecasts, dim)

    Examples
    --------
    >>> yearly = YearlyCodes.of([[0.0], [2.0], [1.0], [5.0]], [1999, 1999, 2000, 2000], at_least=2)
    >>> excess_error(yearly, [[0.0]])  # 3² - 8 / 2
    array([5.])
    """
    forecasts = np.asarray(forecasts, float)
    n = len(forecasts)
    if forecasts.ndim != 2 or not 0 < n <= len(yearly.years) or forecasts.shape[1] != yearly.means.shape[1]:
        raise ValueError(f"forecasts {forecasts.shape} of means {yearly.means.shape}")
    return np.square(forecasts - yearly.means[-n:]).sum(1) - yearly.noise[-n:]


def forecast_cloud(codes: ArrayLike, year: ArrayLike, of: int, mean: ArrayLike) -> NDArray:
    """The codes of the year before, moved to a forecast mean: what the forecast year should look like.

    Parameters
    ----------
    codes : array, shape (n_studies, dim)
    year : array, shape (n_studies,)
    of : int
        Year that is forecast.
    mean : array, shape (dim,)

    Examples
    --------
    >>> forecast_cloud([[0.0], [2.0], [9.0]], [1999, 1999, 2000], 2000, [5.0]).ravel()
    array([4., 6.])
    """
    before = np.asarray(codes, float)[np.asarray(year) == of - 1]
    if not len(before):
        raise ValueError(f"no study of {of - 1}, so nothing to forecast {of} from")
    return before - before.mean(0) + np.asarray(mean, float)
