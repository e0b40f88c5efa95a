"""The twin of :mod:`neurolib.data.place_cells`: a config in, simulated events of cells on a track out, a Recording per session.

Frames, laps, columns and units are those of the loader; rates and sizes of events were matched to one mouse by
eye. Fields are Gaussian, events Poisson, and the one environment is a straight track.
"""

from dataclasses import dataclass

import numpy as np

from neurolib.data.place_cells import BREAK_S, RATE_HZ
from neurolib.data.recording import Recording, Signal


@dataclass(frozen=True)
class PlaceCellsConfig:
    """Sessions of one mouse on one track.

    Examples
    --------
    >>> day, *_ = simulate(PlaceCellsConfig(n_sessions=1, n_cells=50, n_laps=10))
    >>> day.signals["events"].values.shape[1], day.n_trials
    (50, 20)
    """

    n_sessions: int = 2
    n_cells: int = 300
    n_laps: int = 40  # in each direction
    share: float = 0.5  # of the cells have a place
    stable: float = 0.7  # of these keep it until the next session
    seed: int = 0

    def __post_init__(self):
        for name in ("n_sessions", "n_cells", "n_laps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("share", "stable", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        if max(self.share, self.stable) > 1:
            raise ValueError(f"share={self.share} and stable={self.stable} are shares, 0 to 1")


def simulate(cfg: PlaceCellsConfig = PlaceCellsConfig()) -> list[Recording]:
    """Laps on a track, one recording per session, as :func:`neurolib.data.place_cells.load_place_cells` gives them.

    Cells fire more at a place of their own, another one in each direction; others fire anywhere. Events are
    Poisson at 20 Hz with random sizes. Here cell ``i`` is the same cell in every session, in the recordings it
    is not. The trial table has ``label`` ("rightwards" or "leftwards") besides the loader's columns.
    """
    rng = np.random.default_rng(cfg.seed)
    low, high = 3, 22  # bins of the track, as in the recordings
    centre = rng.uniform(low, high, (2, cfg.n_cells))
    placed = rng.random(cfg.n_cells) < cfg.share
    width, peak_hz = rng.uniform(1.0, 2.5, cfg.n_cells), rng.gamma(2.0, 0.4, cfg.n_cells)
    background_hz = rng.gamma(1.0, 0.04, cfg.n_cells)
    recordings = []
    for session in range(cfg.n_sessions):
        if session:
            moved = rng.random((2, cfg.n_cells)) >= cfg.stable
            centre = np.where(moved, rng.uniform(low, high, centre.shape), centre)
        times, positions, events, rows, next_s = [], [], [], [], 0.0
        for direction in (0, 1):
            for _ in range(cfg.n_laps):
                n = max(30, round(rng.gamma(25.0, 3.0 / 25.0) * RATE_HZ))
                speed = np.exp(
                    0.3 * np.convolve(rng.standard_normal(n + 9), np.ones(10) / np.sqrt(10), "valid")
                )
                way = low - 0.49 + (high - low + 0.98) * (np.cumsum(speed) - speed[0] / 2) / speed.sum()
                way = way if direction == 0 else low + high - way
                near = np.exp(-0.5 * ((way[:, None] - centre[direction]) / width) ** 2)
                rate_hz = background_hz + placed * peak_hz * near
                counts = rng.poisson(rate_hz / RATE_HZ)
                # the sum of k sizes, each gamma with mean 3; the shape must be positive where there is none
                size = rng.gamma(np.maximum(4 * counts, 1), 0.75) * (counts > 0)
                position = np.clip(np.round(way), low, high)
                stop_s = next_s + n / RATE_HZ
                times.append(next_s + np.arange(n) / RATE_HZ)
                rows.append((next_s, stop_s, direction, int(position[0]), int(position[-1])))
                positions.append(position)
                events.append(size.astype(np.float32))
                next_s = np.ceil(stop_s) + BREAK_S
        start, stop, heading, first_bin, last_bin = (np.array(column) for column in zip(*rows, strict=True))
        time_s, n_laps = np.concatenate(times), len(rows)
        cells = tuple(f"cell {i}" for i in range(cfg.n_cells))
        recordings.append(
            Recording(
                [],
                np.stack([start, stop], axis=1),
                {
                    "events": Signal(time_s, np.vstack(events), "inferred spikes, arbitrary units", cells),
                    "position": Signal(time_s, np.concatenate(positions), "bin of the track", ("position",)),
                },
                {
                    "start_s": start,
                    "stop_s": stop,
                    "label": np.array(["rightwards", "leftwards"])[heading],
                    "direction": heading,
                    "first_bin": first_bin,
                    "last_bin": last_bin,
                    "environment": np.zeros(n_laps, int),
                    "session": np.full(n_laps, session),
                    "mouse": np.full(n_laps, f"simulated {cfg.seed}"),
                    "area": np.full(n_laps, "CA1"),
                },
                name=f"place cells, session {session}, simulated",
                simulated=True,
            )
        )
    return recordings
