"""What instruments see of a shared latent: a latent in, spikes or a :class:`~neurolib.data.recording.Signal` out.

One function per modality, each called with the latent, seconds, a number of channels, a species and a random
generator; :mod:`neurolib.data.seven_modalities` says what of it is a guess.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from neurolib.data.physiology import band_noise, blood_response, convolve, pink_noise, remembering_noise
from neurolib.data.population import STEP_S, renewal_times
from neurolib.data.recording import Signal
from neurolib.data.shared_latent import SharedLatent

PAST_S = 40.0  # how far back blood flow remembers

BANDS_HZ = {"theta": (6.0, 10.0), "alpha": (8.0, 12.0), "gamma": (40.0, 90.0), "high_gamma": (70.0, 150.0)}


@dataclass(frozen=True)
class Species:
    """What differs between species though the latent does not: the nuisance that an adversary removes."""

    name: str
    rate_gain: float  # of firing rates
    signal_gain: float  # of every sampled signal, in its own unit
    calcium_decay_s: float


def spikes(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> tuple[list[NDArray], dict[str, NDArray]]:
    """Poisson spike times and the units' table; log-rates are linear, means gamma-distributed about 6 Hz.

    There is no refractory period.
    """
    mean_hz = np.maximum(rng.gamma(2.0, 3.0, n), 0.5) * species.rate_gain
    weights = _tuning(latent, n, 0.6, rng)
    log_rate = latent.drive((np.arange(np.ceil(duration_s / STEP_S)) + 0.5) * STEP_S) @ weights.T
    rate = np.exp(log_rate) / np.exp(log_rate).mean(axis=0)
    trains = [renewal_times(rate[:, unit] * mean_hz[unit], 1.0, rng) for unit in range(n)]
    table = {"rate_hz": mean_hz, "tuning": weights, "species": np.full(n, species.name)}
    return [times[times < duration_s] for times in trains], table


def lfp(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> Signal:
    """500 Hz, uV: 1/f background, a theta shared along the probe, and gamma whose amplitude follows the latent."""
    time_s = _clock(duration_s, 500.0)
    size = len(time_s), n, 500.0
    values = 90 * pink_noise(*size, 1.5, rng)
    theta = band_noise(len(time_s), 2, 500.0, BANDS_HZ["theta"], rng)
    depth = np.linspace(0, 1, n, dtype=np.float32)
    values += 50 * theta @ np.stack([np.cos(2 * depth), np.sin(2 * depth)])
    values += 12 * _modulated(band_noise(*size, BANDS_HZ["gamma"], rng), latent, time_s, 0.25, rng)
    positions = np.stack([np.full(n, 30.0), np.full(n, -25.0), 60 - 1.5 * np.arange(n)], axis=1)
    return _signal(time_s, values, species, "uV", "contact", positions)


def calcium(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> Signal:
    """20 Hz, dF/F: Poisson spikes of other cells, 1 Hz on average, each a jump of 0.3 that decays, and noise."""
    rate_hz, before_s = 20.0, 5.0  # so that the session starts in full swing
    time_s = np.arange(round((duration_s + before_s) * rate_hz)) / rate_hz - before_s
    mean_hz = np.maximum(rng.gamma(2.0, 0.5, n), 0.1) * species.rate_gain
    log_rate = latent.drive(time_s) @ _tuning(latent, n, 0.9, rng).T
    counts = rng.poisson(np.exp(log_rate) / np.exp(log_rate).mean(axis=0) * mean_hz / rate_hz)
    keep = np.exp(-1 / rate_hz / species.calcium_decay_s)
    values = lfilter([0.3], [1, -keep], counts, axis=0) + 0.08 * rng.standard_normal(counts.shape)
    inside = time_s >= 0
    return _signal(time_s[inside], values[inside], species, "dF/F", "cell")


def eeg(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> Signal:
    """160 Hz, uV: sources smeared over the unit sphere; alpha follows the latent, and so do slow potentials."""
    time_s = _clock(duration_s, 160.0)
    size, n_alpha, n_other = len(time_s), 16, 24
    electrodes = _lattice(n, lowest=-0.2)
    sources = _lattice(n_alpha + n_other, lowest=-0.2) + 0.1 * rng.standard_normal((n_alpha + n_other, 3))
    mixing = rng.permutation(np.exp(4 * (sources @ electrodes.T - 1))).astype(
        np.float32
    )  # half at 34 degrees
    alpha = band_noise(size, n_alpha, 160.0, BANDS_HZ["alpha"], rng)
    values = 11 * _modulated(alpha, latent, time_s, 0.6, rng) @ mixing[:n_alpha]
    slow = latent.drive(time_s) @ _tuning(latent, n_other, 1.0, rng).T
    other = 10 * pink_noise(size, n_other, 160.0, 1.2, rng) + 1.2 * slow.astype(np.float32)
    values += other @ mixing[n_alpha:] + 1.5 * rng.standard_normal((size, n), dtype=np.float32)
    return _signal(time_s, values, species, "uV", "E", electrodes)


def fmri(
    latent: SharedLatent,
    duration_s: float,
    n: int,
    species: Species,
    rng: np.random.Generator,
    tr_s: float = 2.0,
) -> Signal:
    """One volume per ``tr_s``, % of baseline: the latent through the blood response, noise with memory, drift."""
    step_s = 0.1
    fine_s = np.arange(-PAST_S, duration_s + step_s, step_s)
    response = blood_response(np.arange(0, 32, step_s)) * step_s
    blood = convolve(latent.drive(fine_s) @ _tuning(latent, n, 0.8, rng).T, response)
    time_s = np.arange(int(duration_s / tr_s + 1e-9)) * tr_s
    values = blood[np.searchsorted(fine_s, time_s - 1e-6)]
    values = values + 0.3 * remembering_noise(len(time_s), n, np.exp(-tr_s / 2), rng)
    values += 0.2 * remembering_noise(len(time_s), n, np.exp(-tr_s / 60), rng)
    positions = _lattice(n) * [55.0, 75.0, 45.0] + [0.0, -18.0, 18.0]  # an ellipsoid of the size of a brain
    return _signal(time_s, values, species, "% of baseline", "region", positions)


def ecog(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> Signal:
    """500 Hz, uV: 1/f background under a grid, and high gamma whose amplitude follows the latent."""
    time_s = _clock(duration_s, 500.0)
    size = len(time_s), n, 500.0
    values = 50 * pink_noise(*size, 2.0, rng)
    values += 5 * _modulated(band_noise(*size, BANDS_HZ["high_gamma"], rng), latent, time_s, 0.15, rng)
    row, column = np.divmod(np.arange(n), 6)
    positions = np.stack([np.full(n, -55.0), -30 + 10.0 * column, 30 + 10.0 * row], axis=1)
    return _signal(time_s, values, species, "uV", "grid", positions)


def emg(
    latent: SharedLatent, duration_s: float, n: int, species: Species, rng: np.random.Generator
) -> Signal:
    """200 Hz, uV: noise of 20-95 Hz in muscles that each pull the hand one way, 50 ms ahead of it."""
    time_s = _clock(duration_s, 200.0)
    hand = latent.trajectory(time_s + 0.05)[:, [0, 2]]
    angle = 2 * np.pi * np.arange(n) / n + 0.2 * rng.standard_normal(n)
    pull = np.logaddexp(0, 2 * hand @ np.stack([np.cos(angle), np.sin(angle)])) / 2
    tone = np.exp(
        0.7 * remembering_noise(len(time_s), n, np.exp(-1 / 200 / 0.5), rng)
    )  # and do much else meanwhile
    values = (2 + 40 * pull * tone) * band_noise(len(time_s), n, 200.0, (20.0, 95.0), rng)
    return _signal(time_s, values, species, "uV", "muscle")


def _clock(duration_s: float, rate_hz: float) -> NDArray:
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def _tuning(latent: SharedLatent, n: int, gain: float, rng: np.random.Generator) -> NDArray:
    """Weights of ``n`` listeners, ``(n, 3 + n_stimuli)``: as long for the trajectory as for the stimuli."""
    weights = rng.standard_normal((n, 3 + latent.n_stimuli))
    for part in (weights[:, :3], weights[:, 3:]):
        part *= gain / np.linalg.norm(part, axis=1, keepdims=True)
    return weights


def _modulated(
    rhythm: NDArray, latent: SharedLatent, time_s: NDArray, gain: float, rng: np.random.Generator
) -> NDArray:
    """The rhythm with an amplitude per channel that is log-linear in the latent."""
    step_s = 0.02  # the latent is slow
    coarse_s = np.arange(time_s[0], time_s[-1] + 2 * step_s, step_s)
    drive = latent.drive(coarse_s) @ _tuning(latent, rhythm.shape[1], gain, rng).T
    amplitude = np.exp(drive).astype(np.float32)
    at, share = np.divmod((time_s - coarse_s[0]) / step_s, 1)
    at, share = at.astype(int), share.astype(np.float32)[:, None]
    return rhythm * (amplitude[at] * (1 - share) + amplitude[at + 1] * share)


def _lattice(n: int, lowest: float = -1.0) -> NDArray:
    """Points spread evenly over the unit sphere above some height, ``(n, 3)``: a Fibonacci lattice."""
    height = 1 - (1 - lowest) * (np.arange(n) + 0.5) / n
    turn, around = np.pi * (3 - np.sqrt(5)) * np.arange(n), np.sqrt(1 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=1)


def _signal(
    time_s: NDArray,
    values: NDArray,
    species: Species,
    unit: str,
    channel: str,
    positions: NDArray | None = None,
) -> Signal:
    values = (species.signal_gain * values).astype(np.float32)
    return Signal(time_s, values, unit, tuple(f"{channel} {i}" for i in range(values.shape[1])), positions)
