"""The direction oracle: spike counts of whole trials in, the mean movement of the decoded condition out.

Where a hand ends up is mostly a matter of which target it was sent to. A decoder of position whose R²
is no better than this one's has read the target, not the path. Not causal: it has seen the whole
trial before its first bin, so there is no stream.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_units, moments


@dataclass(frozen=True)
class DirectionConfig:
    """Everything needed to fit a :class:`DirectionDecoder`."""

    column: str = "condition"  # of Trials.info: what is classified
    window_s: float = 0.1  # counts are averaged in windows of this length, from the start of the trial
    penalties: tuple[float, ...] = tuple(np.logspace(0, 5, 6))  # on squared weights; tried on valid

    def __post_init__(self):
        if not self.window_s > 0:
            raise ValueError(f"window_s={self.window_s} must be positive; it is in seconds")
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties={self.penalties} must be positive numbers")


class DirectionDecoder:
    """Classify the condition of each trial, then answer with the mean training trial of that condition.

    Multinomial logistic regression on standardised window counts; the penalty is the one under which
    the valid trials' conditions are most likely. A window that a trial does not reach counts as average.

    Parameters
    ----------
    cfg : DirectionConfig

    Attributes
    ----------
    classes : array, shape (n_classes,)
        Conditions of the training trials, sorted.
    trajectories : array, shape (n_classes, longest, n_outputs)
        Mean of the training trials of the condition that reach a bin; after its longest, the last value.
    penalty : float

    Raises
    ------
    ValueError
        If a trial to predict is longer than any training trial, or a valid condition is not in train.
    KeyError
        If there is no such column in ``info``.

    Examples
    --------
    >>> counts = np.array([[0.0], [0.0], [9.0], [9.0]])
    >>> behaviour = np.array([[-1.0], [-3.0], [2.0], [4.0]])
    >>> trials = Trials(counts, behaviour, [1, 1, 1, 1], 0.1, info={"condition": [0, 0, 45, 45]})
    >>> decoder = DirectionDecoder(DirectionConfig(penalties=(1e-3,))).fit(trials)
    >>> decoder.classify(trials), decoder.predict(trials).ravel()
    (array([ 0,  0, 45, 45]), array([-2., -2.,  3.,  3.]))
    """

    def __init__(self, cfg: DirectionConfig = DirectionConfig()):
        self.cfg = cfg

    def fit(self, train: Trials, valid: Trials | None = None) -> "DirectionDecoder":
        """Fit on ``train``; choose the penalty on ``valid`` (needed if there are several)."""
        if valid is None and len(self.cfg.penalties) > 1:
            raise ValueError(f"{len(self.cfg.penalties)} penalties to choose from need valid trials")
        labels = self._labels(train)
        self.classes, number = np.unique(labels, return_inverse=True)
        if len(self.classes) < 2:
            raise ValueError(f"{train.name}: all training trials have {self.cfg.column} {self.classes[0]!r}")
        self.longest = int(train.lengths.max())
        self.mean, self.scale = moments(train.counts)
        self.trajectories = self._trajectories(train, number)
        features = self._features(train)
        fits = [LogisticRegression(C=1 / p, max_iter=2000).fit(features, number) for p in self.cfg.penalties]
        best = 0
        if len(fits) > 1:
            best = int(np.argmax([self._log_likelihood(fit, valid) for fit in fits]))
        self.model, self.penalty = fits[best], self.cfg.penalties[best]
        return self

    def classify(self, trials: Trials) -> NDArray:
        """Decode the condition of each trial, shape ``(n_trials,)``; ``info`` is not looked at."""
        return self.classes[self._numbers(trials)]

    def predict(self, trials: Trials) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``."""
        number = self._numbers(trials)
        return self.trajectories[number[trials.trial_of_bin], trials.bin_in_trial]

    def _numbers(self, trials: Trials) -> NDArray:
        check_units(trials, len(self.mean))
        if trials.lengths.max() > self.longest:
            raise ValueError(
                f"{trials.name}: a trial has {trials.lengths.max()} bins, the longest of train {self.longest}; "
                "cut trials to one window about the event they are aligned to"
            )
        return self.model.predict(self._features(trials))

    def _labels(self, trials: Trials) -> NDArray:
        if self.cfg.column not in trials.info:
            raise KeyError(
                f"{trials.name}: no column {self.cfg.column!r} in info; it has {sorted(trials.info)}"
            )
        return trials.info[self.cfg.column]

    def _log_likelihood(self, model: LogisticRegression, valid: Trials) -> float:
        """Of the valid trials' conditions."""
        check_units(valid, len(self.mean))
        labels = self._labels(valid)
        strange = np.setdiff1d(labels, self.classes)
        if strange.size:
            raise ValueError(
                f"{valid.name}: {self.cfg.column} {strange.tolist()} of the valid trials is not in train; "
                "split so that train has every condition"
            )
        chosen = np.searchsorted(self.classes, labels)
        return float(model.predict_log_proba(self._features(valid))[np.arange(len(labels)), chosen].sum())

    def _features(self, trials: Trials) -> NDArray:
        """Mean standardised counts in each window of the longest training trial, ``(n_trials, windows * units)``."""
        width = max(1, round(self.cfg.window_s / trials.bin_size_s))
        n_windows = -(-self.longest // width)
        within = trials.bin_in_trial < self.longest
        cell = (trials.trial_of_bin * n_windows + trials.bin_in_trial // width)[within]
        total = np.zeros((len(trials) * n_windows, trials.n_units))
        np.add.at(total, cell, ((trials.counts - self.mean) / self.scale)[within])
        n_bins = np.bincount(cell, minlength=len(total))[:, None]
        return (total / np.maximum(n_bins, 1)).reshape(len(trials), -1)

    def _trajectories(self, train: Trials, number: NDArray) -> NDArray:
        total = np.zeros((len(self.classes), self.longest, train.behaviour.shape[1]))
        n_trials = np.zeros((len(self.classes), self.longest, 1))
        at = number[train.trial_of_bin], train.bin_in_trial
        np.add.at(total, at, train.behaviour)
        np.add.at(n_trials, at, 1)
        last = n_trials[..., 0].astype(bool).sum(axis=1) - 1  # trials start at bin 0, so no gap comes before
        mean = total / np.maximum(n_trials, 1)
        held = np.minimum(np.arange(self.longest), last[:, None])
        return np.take_along_axis(mean, held[..., None], axis=1)
