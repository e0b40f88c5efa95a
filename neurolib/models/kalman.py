"""Kalman filter decoder: a linear-Gaussian model of the hand that counts correct bin by bin.

Counts ``(bin, unit)`` in, the state (the behaviour columns) ``(bin, output)`` out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_units, moments


@dataclass(frozen=True)
class KalmanConfig:
    """Everything needed to fit a :class:`KalmanDecoder`."""

    lag_bins: int = 0  # counts are seen this many bins before the state they tell of
    noise_floor: float = 1e-3  # added to each unit's noise variance, in units of its variance
    square_root: bool = True  # steadies the variance of counts


class KalmanDecoder:
    r"""Kalman filter over the behaviour, fitted by regression.

    .. math:: x_t = A x_{t-1} + w_t, \qquad z_{t} = C x_t + q_t

    with everything centred on the training means, ``w ~ N(0, W)``, ``q ~ N(0, Q)``, and ``z``
    the counts ``lag_bins`` earlier. The gain depends on time in the trial alone, not on the data.

    Parameters
    ----------
    cfg : KalmanConfig

    References
    ----------
    .. [1] Wu, Gao, Bienenstock, Donoghue & Black (2006), "Bayesian population decoding of motor
       cortical activity using a Kalman filter", Neural Computation 18(1).

    Examples
    --------
    >>> state = np.sin(np.arange(40.0))[:, None]
    >>> trials = Trials(np.repeat(5 + 4 * state, 3, axis=1), state, [40], 0.05)
    >>> decoder = KalmanDecoder(KalmanConfig(square_root=False)).fit(trials)
    >>> bool(np.abs(decoder.predict(trials)[5:] - state[5:]).max() < 0.05)
    True
    """

    def __init__(self, cfg: KalmanConfig = KalmanConfig()):
        if cfg.lag_bins < 0:
            raise ValueError(f"lag_bins={cfg.lag_bins} looks ahead; a filter has not seen those bins")
        self.cfg = cfg

    def fit(self, train: Trials, valid: Trials | None = None) -> "KalmanDecoder":
        """Fit transition and observation models on ``train`` (``valid`` is not needed)."""
        observed = self._observations(train)
        self.count_mean, self.count_scale = moments(observed)
        observed = (observed - self.count_mean) / self.count_scale
        self.state_mean, self.state_scale = moments(train.behaviour)
        state = (train.behaviour - self.state_mean) / self.state_scale

        later = np.flatnonzero(train.bin_in_trial > 0)
        if not len(later):
            raise ValueError(f"{train.name}: every trial has one bin; a transition needs two")
        before, after = state[later - 1], state[later]
        self.transition = np.linalg.lstsq(before, after, rcond=None)[0].T
        drift = after - before @ self.transition.T
        self.drift_cov = drift.T @ drift / len(drift)

        seen = train.bin_in_trial >= self.cfg.lag_bins
        lagged = observed[np.flatnonzero(seen) - self.cfg.lag_bins]
        self.loading = np.linalg.lstsq(state[seen], lagged, rcond=None)[0].T  # (unit, state)
        noise = lagged - state[seen] @ self.loading.T
        noise_cov = noise.T @ noise / len(noise) + self.cfg.noise_floor * np.eye(noise.shape[1])
        self.evidence = np.linalg.solve(noise_cov, self.loading).T  # C' Q^-1, (state, unit)
        first = state[train.starts]
        self.first_mean, spread = first.mean(axis=0), first - first.mean(axis=0)
        self.first_cov = spread.T @ spread / max(len(first) - 1, 1) + 1e-6 * np.eye(state.shape[1])
        return self

    def predict(self, trials: Trials) -> NDArray:
        """Filter every trial, shape ``(n_bins, n_outputs)``; uses the past only."""
        check_units(trials, len(self.count_mean))
        standard = (self._observations(trials) - self.count_mean) / self.count_scale
        decoded = np.empty((len(standard), len(self.state_mean)))
        state = np.tile(self.first_mean, (len(trials), 1))
        cov = self.first_cov
        for t in range(trials.lengths.max()):
            alive = np.flatnonzero(trials.lengths > t)
            rows = trials.starts[alive] + t
            if t:
                state = state @ self.transition.T
                cov = self.transition @ cov @ self.transition.T + self.drift_cov
            if t >= self.cfg.lag_bins:
                gain, cov = self._gain(cov)
                surprise = standard[rows - self.cfg.lag_bins] - state[alive] @ self.loading.T
                state[alive] += surprise @ gain.T
            decoded[rows] = state[alive]
        return decoded * self.state_scale + self.state_mean

    def stream(self) -> "KalmanStream":
        """Decode bin by bin."""
        return KalmanStream(self)

    def _observations(self, trials: Trials) -> NDArray:
        counts = trials.counts.astype(float)
        return np.sqrt(counts) if self.cfg.square_root else counts

    def _gain(self, cov: NDArray) -> tuple[NDArray, NDArray]:
        """Kalman gain and posterior covariance, in the size of the state rather than of the population."""
        posterior = np.linalg.inv(np.linalg.inv(cov) + self.evidence @ self.loading)
        return posterior @ self.evidence, posterior


class KalmanStream:
    """A :class:`KalmanDecoder` in use."""

    def __init__(self, decoder: KalmanDecoder):
        self.decoder = decoder
        self.reset()

    def reset(self) -> None:
        """Start a trial at the mean first state."""
        self.state, self.cov = self.decoder.first_mean.copy(), self.decoder.first_cov
        self.waiting: list[NDArray] = []  # counts that tell of states to come
        self.started = False

    def step(self, counts: ArrayLike) -> NDArray:
        """Take counts ``(n_units,)``, return the state ``(n_outputs,)``."""
        d = self.decoder
        counts = np.asarray(counts, float)
        counts = np.sqrt(counts) if d.cfg.square_root else counts
        self.waiting.append((counts - d.count_mean) / d.count_scale)
        if self.started:
            self.state = d.transition @ self.state
            self.cov = d.transition @ self.cov @ d.transition.T + d.drift_cov
        self.started = True
        if len(self.waiting) > d.cfg.lag_bins:
            gain, self.cov = d._gain(self.cov)
            self.state = self.state + gain @ (self.waiting.pop(0) - d.loading @ self.state)
        return self.state * d.state_scale + d.state_mean
