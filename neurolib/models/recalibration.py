"""Recalibration with labels: decoded trials and what the hand did in, a new last layer of the head out.

The last layer is linear, so it has a closed form: ridge regression towards the old layer.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurolib.data.trials import Trials
from neurolib.models.adaptation import Adapter, Guard, RecentringConfig
from neurolib.models.discrete import DiscreteDecoder

PENALTIES = tuple(np.logspace(0, 5, 6))


@dataclass(frozen=True)
class ReadoutConfig:
    """Settings of :class:`Readout`: refit the last layer to the last labelled trials.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    n_trials: int = 20  # labelled trials that count: the last ones
    penalties: tuple[float, ...] = PENALTIES  # in bins of training; the best is chosen leaving one trial out
    recentring: RecentringConfig | None = None  # first

    def __post_init__(self):
        if self.n_trials < 1:
            raise ValueError(f"n_trials={self.n_trials} must be at least 1")
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties={self.penalties} must be positive numbers of bins")

    def build(self, decoder: DiscreteDecoder, reference: Trials) -> "Readout":
        """A decoder whose last layer is refitted while it is used."""
        return Readout(self, decoder, reference)


@dataclass(frozen=True)
class ForgettingReadoutConfig:
    """Settings of :class:`ForgettingReadout`: recursive least squares of the last layer.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    tau_s: float = 60.0  # of labelled bins; a forgetting factor of exp(-bin / tau) per bin
    penalty: float = 300.0  # in bins of training; not forgotten
    recentring: RecentringConfig | None = None  # first

    def __post_init__(self):
        if not self.tau_s > 0 or not self.penalty > 0:
            raise ValueError(
                f"tau_s={self.tau_s} (seconds) and penalty={self.penalty} (bins) must be positive"
            )

    def build(self, decoder: DiscreteDecoder, reference: Trials) -> "ForgettingReadout":
        """A decoder whose last layer follows the labelled trials."""
        return ForgettingReadout(self, decoder, reference)


def ridge_towards(gram: NDArray, cross: NDArray, prior: NDArray, penalty: float) -> NDArray:
    r"""Change of a linear readout that lowers the error on new bins and stays small on old ones.

    .. math:: \arg\min_W |R - H W|^2 + \lambda\,\mathrm{tr}(W^\top C W)

    The penalty is a number of bins: it is as if :math:`\lambda` old bins on which the old readout is
    right were seen again.

    Parameters
    ----------
    gram : array, shape (n_features, n_features)
        ``H.T @ H`` of the new bins.
    cross : array, shape (n_features, n_outputs)
        ``H.T @ R``, where ``R`` is what the old readout misses.
    prior : array, shape (n_features, n_features)
        Mean of ``h h.T`` over old bins.
    penalty : float

    Returns
    -------
    array, shape (n_features, n_outputs)

    Examples
    --------
    >>> ridge_towards(np.eye(1) * 4, np.ones((1, 1)) * 8, np.eye(1), penalty=4.0)
    array([[1.]])
    """
    return np.linalg.solve(gram + penalty * prior, cross)


class _LastLayer(Adapter):
    """What the readouts share: features of the head's last layer, and its replacement.

    The guard watches the input, and the readout stays when it rolls back.
    """

    def __init__(self, cfg, decoder: DiscreteDecoder, reference: Trials):
        guard = cfg.recentring.guard if cfg.recentring else Guard()
        super().__init__(decoder, reference, cfg.recentring, guard)
        self.cfg = cfg
        last = self.decoder.head[-1]
        self._old = np.vstack([last.weight.double().cpu().numpy().T, last.bias.double().cpu().numpy()])
        h = self._features(self.reference_latents)
        self.prior = h.T @ h / len(h)
        # Features that training never told apart must not move freely.
        self.prior += 1e-6 * np.trace(self.prior) / len(self.prior) * np.eye(len(self.prior))

    def features_and_misses(self, counts: ArrayLike, behaviour: NDArray) -> tuple[NDArray, NDArray]:
        """Last layer's input with a 1 ``(n_bins, n_features)``; what the old layer misses ``(n_bins, n_outputs)``."""
        with torch.no_grad():
            h = self._features(self.latents([self._tensor(counts)]))
        mean, scale = (
            part.double().cpu().numpy() for part in (self.decoder.output_mean, self.decoder.output_scale)
        )
        return h, (behaviour - mean) / scale - h @ self._old

    def replace(self, change: NDArray) -> None:
        """Use the old layer changed by ``(n_features, n_outputs)``."""
        last, new = self.decoder.head[-1], torch.as_tensor(self._old + change)
        last.weight.copy_(new[:-1].T)
        last.bias.copy_(new[-1])

    def _features(self, latents: Tensor) -> NDArray:
        h = self.decoder.head[:-1](self._through(latents)[0]).double().cpu().numpy()
        return np.hstack([h, np.ones((len(h), 1))])


class Readout(_LastLayer):
    """A decoder whose last layer is refitted to the last labelled trials.

    Parameters
    ----------
    cfg : ReadoutConfig
    decoder : DiscreteDecoder
    reference : Trials

    Attributes
    ----------
    penalty : float
        The last choice; infinite, which keeps the old layer, if no refit did better on trials left out.
        With one labelled trial nothing can be left out, and the largest is taken.
    """

    def __init__(self, cfg: ReadoutConfig, decoder: DiscreteDecoder, reference: Trials):
        super().__init__(cfg, decoder, reference)
        self.penalty, self._buffer = float("inf"), deque(maxlen=cfg.n_trials)

    def learn(self, counts: Tensor, behaviour: NDArray | None) -> None:
        """Refit, if the trial is labelled."""
        if behaviour is None:
            return
        self._buffer.append(self.features_and_misses(counts, behaviour))
        gram, cross = (sum(part) for part in _sums(self._buffer))
        self.penalty = max(self.cfg.penalties)
        if len(self._buffer) > 1:
            errors = {float("inf"): sum((miss**2).sum() for _, miss in self._buffer)}
            for penalty in self.cfg.penalties:
                left = _left_out(self._buffer, self.prior, penalty)
                errors[penalty] = sum((part**2).sum() for part in left)
            self.penalty = min(errors, key=errors.get)
        self.replace(
            ridge_towards(gram, cross, self.prior, self.penalty) if np.isfinite(self.penalty) else 0 * cross
        )


class ForgettingReadout(_LastLayer):
    """A decoder whose last layer is fitted to all labelled bins so far, recent ones most.

    With labels on every trial an oracle: nobody knows what a paralysed hand would have done.

    Parameters
    ----------
    cfg : ForgettingReadoutConfig
    decoder : DiscreteDecoder
    reference : Trials
    """

    def __init__(self, cfg: ForgettingReadoutConfig, decoder: DiscreteDecoder, reference: Trials):
        super().__init__(cfg, decoder, reference)
        self.gram, self.cross = np.zeros_like(self.prior), np.zeros_like(self._old)

    def learn(self, counts: Tensor, behaviour: NDArray | None) -> None:
        """Take in a labelled trial, bin by bin in effect; the layer is replaced after it."""
        if behaviour is None:
            return
        h, miss = self.features_and_misses(counts, behaviour)
        rate = self.decoder.bin_size_s / self.cfg.tau_s
        weights = np.exp(-rate * np.arange(len(h) - 1, -1, -1))[:, None]
        fade = np.exp(-rate * len(h))
        self.gram = fade * self.gram + h.T @ (weights * h)
        self.cross = fade * self.cross + h.T @ (weights * miss)
        self.replace(ridge_towards(self.gram, self.cross, self.prior, self.cfg.penalty))


def oracle_predictions(
    decoder: DiscreteDecoder,
    trials: Trials,
    reference: Trials,
    penalties: tuple[float, ...] = PENALTIES,
    recentring: RecentringConfig | None = None,
) -> NDArray:
    """Predictions ``(n_bins, n_outputs)`` of each trial by a last layer refitted to all others.

    No method but an oracle: it has seen the labels of the future, and the penalty is the best for these
    trials. It says how much a new last layer could win; a better input may still win more.

    Parameters
    ----------
    trials : Trials
        A stretch of the recording short enough to be stable, in order of time.

    Raises
    ------
    ValueError
        If there is one trial only.
    """
    if len(trials) < 2:
        raise ValueError(f"{trials.name}: one trial; there is no other to refit the readout to")
    oracle = _LastLayer(ReadoutConfig(recentring=recentring), decoder, reference)
    found = []
    for counts, behaviour in zip(
        np.split(trials.counts, trials.starts[1:]), np.split(trials.behaviour, trials.starts[1:]), strict=True
    ):
        found.append(oracle.features_and_misses(counts, behaviour))
        oracle.update(counts)
    tried = [np.concatenate(_left_out(found, oracle.prior, penalty)) for penalty in penalties]
    left = min(tried, key=lambda left: (left**2).sum())
    return trials.behaviour - left * float(decoder.output_scale)


def _sums(found: Sequence[tuple[NDArray, NDArray]]) -> tuple[NDArray, NDArray]:
    """``H.T @ H`` and ``H.T @ R`` of each trial, stacked."""
    return np.stack([h.T @ h for h, _ in found]), np.stack([h.T @ miss for h, miss in found])


def _left_out(found: Sequence[tuple[NDArray, NDArray]], prior: NDArray, penalty: float) -> list[NDArray]:
    """What a layer fitted to the other trials misses of each trial."""
    grams, crosses = _sums(found)
    fits = ridge_towards(grams.sum(axis=0) - grams, crosses.sum(axis=0) - crosses, prior, penalty)
    return [miss - h @ fit for (h, miss), fit in zip(found, fits, strict=True)]
