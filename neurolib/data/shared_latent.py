"""What all signals of a simulated brain have in common: a Lorenz trajectory and a stimulus; seconds in, ``(time, 3 + n_stimuli)`` out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

SIGMA, RHO, BETA = 10.0, 28.0, 8.0 / 3.0
STEP = 0.01  # of the integration, in Lorenz's own time
MEAN = np.array([0.0, 0.0, 23.55])  # of the attractor, over 20000 units of time
SCALE = np.array([7.92, 9.01, 8.62])
SPIN_UP = 20.0  # units of time until a start near the attractor is on it


def lorenz(state: ArrayLike, n_steps: int, step: float = STEP) -> NDArray:
    """Trajectory of the Lorenz system at its classic chaotic parameters, by Runge-Kutta of order 4.

    Parameters
    ----------
    state : array_like, shape (3,)
        Where it starts.
    n_steps : int
    step : float
        In Lorenz's own time, in which one turn takes about 0.75.

    Returns
    -------
    array, shape (n_steps + 1, 3)

    References
    ----------
    .. [1] Lorenz (1963), "Deterministic nonperiodic flow", J. Atmos. Sci. 20, 130-141.

    Examples
    --------
    >>> rest = np.sqrt(72)  # beta (rho - 1) = 72: a fixed point, (sqrt 72, sqrt 72, 27)
    >>> lorenz([rest, rest, 27.0], 5)[-1].round(6)
    array([ 8.485281,  8.485281, 27.      ])
    """

    def flow(x, y, z):
        return SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z

    path = np.empty((n_steps + 1, 3))
    x, y, z = map(float, state)
    path[0] = x, y, z
    half = step / 2
    for i in range(n_steps):  # plain floats: an array per step would cost ten times as much
        a1, b1, c1 = flow(x, y, z)
        a2, b2, c2 = flow(x + half * a1, y + half * b1, z + half * c1)
        a3, b3, c3 = flow(x + half * a2, y + half * b2, z + half * c2)
        a4, b4, c4 = flow(x + step * a3, y + step * b3, z + step * c3)
        x += step / 6 * (a1 + 2 * (a2 + a3) + a4)
        y += step / 6 * (b1 + 2 * (b2 + b3) + b4)
        z += step / 6 * (c1 + 2 * (c2 + c3) + c4)
        path[i + 1] = x, y, z
    return path


@dataclass(frozen=True)
class SharedLatent:
    """A latent trajectory and the stimuli shown meanwhile, at any time from ``start_s`` on.

    Made by :meth:`draw`.

    Parameters
    ----------
    path : callable, seconds to (n, 3)
        The trajectory, each dimension of about mean 0 and SD 1.
    onset_s : array, shape (n_shown,)
        When each stimulus appeared; the last one stays.
    stimulus : array of int, shape (n_shown,)
    n_stimuli : int
    settle_s : float
        A response passes to the next stimulus with this time constant.

    Examples
    --------
    >>> latent = SharedLatent.draw(10.0, np.random.default_rng(0), start_s=-5.0)
    >>> latent.drive([0.0, 1.0]).shape
    (2, 7)
    """

    path: CubicSpline
    onset_s: NDArray
    stimulus: NDArray
    n_stimuli: int
    settle_s: float = 0.1

    @classmethod
    def draw(
        cls,
        duration_s: float,
        rng: np.random.Generator,
        start_s: float = 0.0,
        lorenz_unit_s: float = 1.5,
        n_stimuli: int = 4,
        stimulus_s: tuple[float, float] = (2.0, 4.0),
    ) -> "SharedLatent":
        """Draw a trajectory and an order of stimuli.

        Parameters
        ----------
        duration_s : float
            Until when, counted from 0.
        rng : numpy.random.Generator
        start_s : float
            From when; negative where a slow signal needs a past.
        lorenz_unit_s : float
            Seconds per unit of Lorenz's own time.
        n_stimuli : int
        stimulus_s : (float, float)
            Shortest and longest showing. Every stimulus comes once before any comes again.
        """
        spin_up = round(SPIN_UP / STEP)
        steps = int(np.ceil((duration_s - start_s) / lorenz_unit_s / STEP)) + 2
        path = lorenz(MEAN + SCALE * rng.standard_normal(3), spin_up + steps)[spin_up:]
        time_s = start_s + np.arange(len(path)) * STEP * lorenz_unit_s
        n_rounds = int((duration_s - start_s) / (stimulus_s[0] * n_stimuli)) + 2
        stimulus = np.concatenate([rng.permutation(n_stimuli) for _ in range(n_rounds)])
        onset_s = start_s + np.concatenate([[0.0], np.cumsum(rng.uniform(*stimulus_s, len(stimulus) - 1))])
        shown = onset_s < duration_s
        spline = CubicSpline(time_s, (path - MEAN) / SCALE)
        return cls(spline, onset_s[shown], stimulus[shown], n_stimuli)

    def trajectory(self, time_s: ArrayLike) -> NDArray:
        """The Lorenz part, ``(n, 3)``."""
        return self.path(np.asarray(time_s, float))

    def stimulus_at(self, time_s: ArrayLike) -> NDArray:
        """Response to the stimuli, ``(n, n_stimuli)``: 1 less the mean for the one shown, once settled."""
        time_s = np.asarray(time_s, float)
        at = np.maximum(np.searchsorted(self.onset_s, time_s, side="right") - 1, 0)
        fading = np.exp(-np.maximum(time_s - self.onset_s[at], 0) / self.settle_s)[:, None]
        one_hot = np.eye(self.n_stimuli)[self.stimulus] - 1 / self.n_stimuli
        return one_hot[at] + fading * (one_hot[np.maximum(at - 1, 0)] - one_hot[at])

    def drive(self, time_s: ArrayLike) -> NDArray:
        """Both, side by side, ``(n, 3 + n_stimuli)``: what neurons listen to."""
        return np.concatenate([self.trajectory(time_s), self.stimulus_at(time_s)], axis=1)
