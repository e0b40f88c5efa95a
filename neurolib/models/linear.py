"""Ridge regression on a window of past counts, the Wiener filter of neural decoding.

Counts ``(bin, unit)`` in, behaviour ``(bin, output)`` out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_units, moments


@dataclass(frozen=True)
class RidgeConfig:
    """Everything needed to fit a :class:`RidgeDecoder`."""

    history_bins: int = 5  # bins of the past that are seen, the newest included
    lag_bins: int = 0  # the window ends this many bins before the behaviour; negative looks ahead
    penalties: tuple[float, ...] = tuple(np.logspace(-1, 5, 13))  # tried on the valid trials


class RidgeDecoder:
    """Linear read-out of the last bins, its penalty chosen per output on the valid trials.

    Counts are standardised with the training trials' mean and deviation; before the start of
    a trial every unit is taken to fire at its mean. The limit of no penalty is the Wiener filter.

    Parameters
    ----------
    cfg : RidgeConfig

    Attributes
    ----------
    weights : array, shape (history_bins, n_units, n_outputs)
        Per standardised count, oldest bin first.
    penalty : array, shape (n_outputs,)

    References
    ----------
    .. [1] Hoerl & Kennard (1970), "Ridge regression", Technometrics 12(1).

    Examples
    --------
    >>> counts = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> trials = Trials(counts, 2 * counts + 1, [4], 0.05)
    >>> decoder = RidgeDecoder(RidgeConfig(history_bins=1, penalties=(1e-9,))).fit(trials)
    >>> decoder.predict(trials).round(6).ravel()
    array([1., 3., 5., 7.])
    """

    def __init__(self, cfg: RidgeConfig = RidgeConfig()):
        if cfg.history_bins < 1:
            raise ValueError(f"history_bins={cfg.history_bins}; 1 is the newest bin alone")
        if not cfg.penalties or min(cfg.penalties) < 0:
            raise ValueError(f"penalties={cfg.penalties} must be non-negative numbers")
        self.cfg = cfg

    def fit(self, train: Trials, valid: Trials | None = None) -> "RidgeDecoder":
        """Fit on ``train``; choose the penalty on ``valid`` (needed if there are several)."""
        if valid is None and len(self.cfg.penalties) > 1:
            raise ValueError(f"{len(self.cfg.penalties)} penalties to choose from need valid trials")
        self.mean, self.scale = moments(train.counts)
        self.offset = train.behaviour.mean(axis=0, dtype=float)
        features = self._features(train)
        centre = features.mean(axis=0, dtype=float)
        gram, cross = (
            np.zeros((features.shape[1],) * 2),
            np.zeros((features.shape[1], train.behaviour.shape[1])),
        )
        for rows in range(0, len(features), 4096):  # float64 sums without a float64 copy of the windows
            block = features[rows : rows + 4096].astype(float) - centre
            gram += block.T @ block
            cross += block.T @ (train.behaviour[rows : rows + 4096] - self.offset)
        eigenvalue, basis = np.linalg.eigh(gram)
        projected = basis.T @ cross
        floor = eigenvalue[-1] * 1e-12  # directions the data never took stay at zero

        def solve(penalty):
            inverse = np.where(eigenvalue > floor, 1 / np.maximum(eigenvalue + penalty, floor), 0.0)
            return basis @ (inverse[:, None] * projected)

        fits = [solve(penalty) for penalty in self.cfg.penalties]
        best = np.zeros(cross.shape[1], int)
        if len(fits) > 1:
            seen = self._features(valid) - centre
            errors = [((seen @ fit + self.offset - valid.behaviour) ** 2).sum(axis=0) for fit in fits]
            best = np.argmin(errors, axis=0)
        flat = np.stack([fits[b][:, output] for output, b in enumerate(best)], axis=1)
        self.penalty = np.asarray(self.cfg.penalties)[best]
        self.offset = self.offset - centre @ flat
        self.weights = flat.reshape(self.cfg.history_bins, train.n_units, -1)
        return self

    def predict(self, trials: Trials) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``."""
        check_units(trials, len(self.mean))
        flat = self.weights.reshape(-1, self.weights.shape[-1])
        return self._features(trials) @ flat + self.offset

    def stream(self) -> "RidgeStream":
        """Decode bin by bin; refuses a decoder that looks ahead."""
        return RidgeStream(self)

    def _features(self, trials: Trials) -> NDArray:
        """Standardised windows, ``(n_bins, history_bins * n_units)``."""
        window = trials.history(self.cfg.history_bins, fill=self.mean, lag_bins=self.cfg.lag_bins)
        window -= self.mean.astype(np.float32)
        window /= self.scale.astype(np.float32)
        return window.reshape(len(window), -1)


class RidgeStream:
    """A :class:`RidgeDecoder` in use; holds the last bins of one trial."""

    def __init__(self, decoder: RidgeDecoder):
        lag = decoder.cfg.lag_bins
        if lag < 0:
            raise ValueError(f"lag_bins={lag} looks ahead; a stream has not seen those bins")
        self.decoder = decoder
        self.reset()

    def reset(self) -> None:
        """Start a trial: the past is every unit at its mean."""
        cfg = self.decoder.cfg
        self.past = np.zeros((cfg.history_bins + cfg.lag_bins, len(self.decoder.mean)))

    def step(self, counts: ArrayLike) -> NDArray:
        """Take counts ``(n_units,)``, return behaviour ``(n_outputs,)``."""
        decoder = self.decoder
        self.past[:-1] = self.past[1:]
        self.past[-1] = (np.asarray(counts) - decoder.mean) / decoder.scale
        window = self.past[: decoder.cfg.history_bins]
        return np.tensordot(window, decoder.weights, axes=2) + decoder.offset


def fit_best_lag(
    cfg: RidgeConfig, train: Trials, valid: Trials, lags_bins: Sequence[int]
) -> tuple[RidgeDecoder, dict[int, float]]:
    """Fit one decoder per lag and keep the one with the least error on the valid trials.

    Returns
    -------
    decoder : RidgeDecoder
    scores : dict
        Lag in bins to variance-weighted R² on the valid trials.
    """
    spread = ((valid.behaviour - valid.behaviour.mean(axis=0)) ** 2).sum()
    fits, scores = {}, {}
    for lag in lags_bins:
        fits[lag] = RidgeDecoder(replace(cfg, lag_bins=lag)).fit(train, valid)
        error = ((valid.behaviour - fits[lag].predict(valid)) ** 2).sum()
        scores[lag] = float(1 - error / spread)
    return fits[max(scores, key=scores.get)], scores
