"""Log band power and a linear classifier: epochs ``(trial, time, channel)`` in, one of several classes out.

The plainest baseline of EEG, EMG and field potentials: how strong each channel is in each band. Decoding of
continuous behaviour from the same history has :class:`~neurolib.models.linear.RidgeDecoder`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

FLOOR = 1e-12  # of a power, relative to the mean over epochs


@dataclass(frozen=True)
class BandPowerConfig:
    """Which bands, and how strongly weights are held back.

    Raises
    ------
    ValueError
        If there is no band, a band does not rise, or ``c`` is not positive.
    """

    bands_hz: tuple[tuple[float, float], ...] = ((8.0, 13.0), (13.0, 30.0))
    c: float = 0.1  # inverse of the ridge penalty, on standardised features

    def __post_init__(self):
        if not self.bands_hz or any(not 0 <= low < high for low, high in self.bands_hz):
            raise ValueError(f"bands_hz={self.bands_hz} must be pairs that rise, such as ((8, 13),)")
        if not self.c > 0:
            raise ValueError(f"c={self.c} must be positive")

    def build(self, rate_hz: float) -> "BandPowerClassifier":
        """Make the classifier, unfitted."""
        return BandPowerClassifier(self, rate_hz)


def band_power(epochs: ArrayLike, rate_hz: float, bands_hz: ArrayLike) -> NDArray:
    """Power of each channel in each band, by the periodogram with a Hann window.

    Parameters
    ----------
    epochs : array_like, shape (n_trials, n_samples, n_channels)
    rate_hz : float
    bands_hz : array_like, shape (n_bands, 2)
        Lower end included, upper end not.

    Returns
    -------
    array, shape (n_trials, n_bands, n_channels)
        In the squared unit of the signal: a sine of amplitude a in a band has about a² / 2.

    Raises
    ------
    ValueError
        If a band holds no frequency of so short an epoch, or lies above the Nyquist frequency.

    Examples
    --------
    >>> sine = 2 * np.sin(2 * np.pi * 10 * np.arange(1000) / 250)
    >>> band_power(sine[None, :, None], 250.0, [(8, 13), (13, 30)]).round(3).ravel()
    array([2., 0.])
    """
    epochs = np.asarray(epochs, float)
    n = epochs.shape[1]
    window = np.hanning(n + 1)[:-1]
    spectrum = (
        np.abs(np.fft.rfft((epochs - epochs.mean(axis=1, keepdims=True)) * window[:, None], axis=1)) ** 2
    )
    spectrum *= 2 / (n * (window**2).sum())
    frequency = np.arange(spectrum.shape[1]) * rate_hz / n
    powers = []
    for low, high in bands_hz:
        inside = (frequency >= low) & (frequency < high)
        if not inside.any():
            raise ValueError(f"{n} samples at {rate_hz:g} Hz hold no frequency in {low}-{high} Hz")
        powers.append(spectrum[:, inside].sum(axis=1))
    return np.stack(powers, axis=1)


class BandPowerClassifier:
    """Logistic regression on standardised log band power.

    Parameters
    ----------
    cfg : BandPowerConfig
    rate_hz : float

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> epochs = rng.standard_normal((20, 200, 3)) * np.repeat([1, 3], 10)[:, None, None]
    >>> model = BandPowerConfig().build(rate_hz=100.0).fit(epochs, np.repeat(["quiet", "loud"], 10))
    >>> model.predict(epochs[[0, -1]]).tolist()
    ['quiet', 'loud']
    """

    def __init__(self, cfg: BandPowerConfig, rate_hz: float):
        self.cfg, self.rate_hz = cfg, rate_hz

    def fit(self, epochs: ArrayLike, label: ArrayLike) -> "BandPowerClassifier":
        """Fit on epochs ``(n_trials, n_samples, n_channels)`` with a label each."""
        self.classifier: Pipeline = make_pipeline(
            StandardScaler(), LogisticRegression(C=self.cfg.c, class_weight="balanced", max_iter=1000)
        ).fit(self.features(epochs), label)
        return self

    def features(self, epochs: ArrayLike) -> NDArray:
        """Log power, ``(n_trials, n_bands * n_channels)``."""
        power = band_power(epochs, self.rate_hz, self.cfg.bands_hz)
        return np.log(power + FLOOR * power.mean()).reshape(len(power), -1)

    def predict(self, epochs: ArrayLike) -> NDArray:
        """Class of each epoch, ``(n_trials,)``."""
        return self.classifier.predict(self.features(epochs))
