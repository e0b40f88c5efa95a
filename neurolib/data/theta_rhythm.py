"""The twin of hippocampal samples (:mod:`neurolib.data.field_potentials`): a config in, one simulated channel out.

The frequency of theta and its height above the background are those of the recordings. That gamma rides on
its peak is a known answer, set by hand.
"""

from dataclasses import dataclass

import numpy as np

from neurolib.data.physiology import band_noise, pink_noise
from neurolib.data.recording import Recording, Signal


@dataclass(frozen=True)
class ThetaConfig:
    """A minute of hippocampal field potential.

    Examples
    --------
    >>> simulate(ThetaConfig(duration_s=2.0)).signals["lfp"].values.shape
    (2500, 1)
    """

    duration_s: float = 60.0
    rate_hz: float = 1250.0
    theta_hz: float = 8.0
    coupling: float = 0.7  # of the amplitude of gamma to the phase of theta, 0 to 1
    seed: int = 0

    def __post_init__(self):
        for name in ("duration_s", "rate_hz", "theta_hz"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("coupling", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        if self.coupling > 1 or self.rate_hz < 200:
            raise ValueError(
                f"coupling={self.coupling} is at most 1, and rate_hz={self.rate_hz} at least 200"
            )


def simulate(cfg: ThetaConfig = ThetaConfig()) -> Recording:
    """A theta rhythm with its gamma on 1/f, as :func:`neurolib.data.field_potentials.read_sample` gives samples.

    Theta is a phase that wanders, so its period varies; gamma (40-80 Hz) is largest at its peak. Signals
    ``lfp`` (uV) and ``theta_phase`` (rad, 0 at the peak), the truth.
    """
    rng = np.random.default_rng(cfg.seed)
    n = round(cfg.duration_s * cfg.rate_hz)
    time_s = np.arange(n) / cfg.rate_hz
    wander = 0.4 * band_noise(n, 1, cfg.rate_hz, (0.0, 1.0), rng)[:, 0] if cfg.duration_s > 1 else 0.0
    phase = 2 * np.pi * np.cumsum(cfg.theta_hz + wander) / cfg.rate_hz
    gamma = band_noise(n, 1, cfg.rate_hz, (40.0, 80.0), rng)[:, 0]
    values = 150 * np.cos(phase) + 30 * np.cos(2 * phase - 0.5)
    values = values + 35 * (1 + cfg.coupling * np.cos(phase)) * gamma
    values += 80 * pink_noise(n, 1, cfg.rate_hz, 1.5, rng)[:, 0]
    stop_s = n / cfg.rate_hz
    return Recording(
        [],
        [[0.0, stop_s]],
        {
            "lfp": Signal(time_s, values.astype(np.float32), "uV", ("hippocampus, simulated",)),
            "theta_phase": Signal(time_s, np.angle(np.exp(1j * phase)), "rad", ("theta",)),
        },
        {"start_s": np.array([0.0]), "stop_s": np.array([stop_s]), "label": np.array(["rest"])},
        name="hippocampal theta, simulated",
        simulated=True,
    )
