"""Common spatial patterns and a linear discriminant: epochs ``(trial, time, channel)`` in, one of two classes out.

The baseline of motor imagery. Epochs come band-passed (:func:`neurolib.data.epochs.cut`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


@dataclass(frozen=True)
class CspConfig:
    """How many filters, and how far covariances are pulled towards a multiple of the identity.

    Raises
    ------
    ValueError
        If there is no filter, or the shrinkage is not in [0, 1).
    """

    n_filters: int = 6
    shrinkage: float = 0.05  # 0 is none; recordings re-referenced to their average need some

    def __post_init__(self):
        if self.n_filters < 1:
            raise ValueError(f"n_filters={self.n_filters} must be at least 1")
        if not 0 <= self.shrinkage < 1:
            raise ValueError(f"shrinkage={self.shrinkage} must be at least 0 and below 1")

    def build(self) -> "CspClassifier":
        """Make the classifier, unfitted."""
        return CspClassifier(self)


class CspClassifier:
    r"""Filters whose output varies most in one class and least in the other, then Fisher's discriminant.

    Filters solve :math:`C_1 w = \lambda (C_0 + C_1) w`, the C being the classes' mean covariances; those with
    :math:`\lambda` farthest from one half are kept. The discriminant sees the log of their variance in a trial.

    Parameters
    ----------
    cfg : CspConfig

    Attributes
    ----------
    filters : array, shape (n_filters, n_channels)
        Unit variance over both classes together.
    patterns : array, shape (n_filters, n_channels)
        What each filter's source looks like on the scalp.
    eigenvalues : array, shape (n_filters,)
        Share of the filtered variance that is the second class's.

    References
    ----------
    .. [1] Blankertz et al. (2008), "Optimizing spatial filters for robust EEG single-trial analysis",
       IEEE Signal Process. Mag. 25(1), 41-56.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> epochs = rng.standard_normal((40, 200, 2))
    >>> epochs[:20, :, 0] *= 3  # the first class is loud in channel 0
    >>> label = np.repeat([0, 1], 20)
    >>> model = CspConfig(n_filters=1, shrinkage=0.0).build().fit(epochs, label)
    >>> bool(abs(model.filters[0, 0]) > 5 * abs(model.filters[0, 1])), bool(model.eigenvalues[0] < 0.15)
    (True, True)
    """

    def __init__(self, cfg: CspConfig = CspConfig()):
        self.cfg = cfg

    def fit(self, epochs: ArrayLike, label: ArrayLike) -> "CspClassifier":
        """Fit filters and discriminant on epochs ``(n_trials, n_samples, n_channels)`` of two classes.

        Raises
        ------
        ValueError
            If there are not two classes, more filters than channels, or channels that are sums of
            others without any shrinkage.
        """
        epochs, label = np.asarray(epochs, float), np.asarray(label)
        classes = np.unique(label)
        if epochs.ndim != 3 or len(label) != len(epochs):
            raise ValueError(
                f"epochs {epochs.shape} and {len(label)} labels; want (trial, time, channel), one label a trial"
            )
        if len(classes) != 2:
            raise ValueError(
                f"labels {classes.tolist()}: common spatial patterns tell two classes apart; fit one against one"
            )
        n_channels = epochs.shape[2]
        if self.cfg.n_filters > n_channels:
            raise ValueError(f"n_filters={self.cfg.n_filters} of {n_channels} channels")
        covariances = [self._covariance(epochs[label == name]) for name in classes]
        both = covariances[0] + covariances[1]
        spread = np.linalg.eigvalsh(both)
        if not spread[0] > 1e-10 * spread[-1]:
            raise ValueError(
                "some channels are sums of others (average reference, or a flat channel?); set shrinkage above 0"
            )
        value, vector = eigh(covariances[1], both)
        kept = np.argsort(-abs(value - 0.5), kind="stable")[: self.cfg.n_filters]
        self.eigenvalues = value[kept]
        self.filters = vector.T[kept] * np.sqrt(2)  # eigh makes w (C0 + C1) w = 1, not the mean of the two
        self.patterns = self.filters @ both / 2
        self.classifier = LinearDiscriminantAnalysis().fit(self.features(epochs), label)
        return self

    def features(self, epochs: ArrayLike) -> NDArray:
        """Log-variance of each filter's output, ``(n_trials, n_filters)``."""
        return np.log((np.asarray(epochs, float) @ self.filters.T).var(axis=1))

    def predict(self, epochs: ArrayLike) -> NDArray:
        """Class of each epoch, ``(n_trials,)``."""
        return self.classifier.predict(self.features(epochs))

    def decision(self, epochs: ArrayLike) -> NDArray:
        """Above 0 for the second class, ``(n_trials,)``."""
        return self.classifier.decision_function(self.features(epochs))

    def _covariance(self, epochs: NDArray) -> NDArray:
        """Mean covariance of the trials, each about its own mean."""
        epochs = epochs - epochs.mean(axis=1, keepdims=True)
        covariance = np.einsum("ntc,ntd->cd", epochs, epochs, optimize=True) / (
            epochs.shape[0] * epochs.shape[1]
        )
        n = len(covariance)
        return (1 - self.cfg.shrinkage) * covariance + self.cfg.shrinkage * np.trace(covariance) / n * np.eye(
            n
        )
