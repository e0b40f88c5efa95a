"""Delay embedding and its linear step: trials of one system in, the operator that moves them on out.

A system is a sequence of arrays ``(n_bins, n_channels)``, one per trial, of any length: latents,
rates or smoothed counts. Past bins are stacked inside each trial, the leading components are kept,
and one linear step is fitted to them. :mod:`neurolib.metrics.dynamics` compares such steps.
A :class:`~neurolib.data.trials.Trials` becomes one by ``np.split(counts, trials.starts[1:])``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_discrete_lyapunov

TrialArrays = Sequence[ArrayLike]  # one array (n_bins, n_channels) per trial


@dataclass(frozen=True)
class DelayConfig:
    """Delay embedding and regression; one for all systems that are compared.

    Parameters
    ----------
    n_delays : int
        Bins in one embedded state, the present one included.
    delay_interval : int
        Bins between them.
    rank : int
        Principal components of the embedded state that the operator acts on.
    ridge : float
        Penalty, in units of a component's variance times the number of transitions.
    n_input_delays : int
        Bins of the input, if there is one, that drive a step: the present one and those before it,
        ``delay_interval`` apart.
    """

    n_delays: int = 10
    delay_interval: int = 1
    rank: int = 10
    ridge: float = 1e-6
    n_input_delays: int = 1

    def __post_init__(self):
        for name in ("n_delays", "delay_interval", "rank", "n_input_delays"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.ridge >= 0:
            raise ValueError(f"ridge={self.ridge} must not be negative")

    @property
    def span_bins(self) -> int:
        """Bins from the oldest bin of an embedded state (or of its input) to the present one."""
        return (max(self.n_delays, self.n_input_delays) - 1) * self.delay_interval


class DelayModel(NamedTuple):
    """One linear step ``v[t+1] = matrix @ v[t] + input_matrix @ u[t]`` of an embedded system.

    Parameters
    ----------
    matrix : array, shape (rank, rank)
    input_matrix : array, shape (rank, n_inputs * n_input_delays)
        Per unit of the input; without an input it has no columns.
    noise : array, shape (rank, rank)
        Covariance of what the step does not explain.
    mean, input_mean : array
        Of embedded states ``h`` and inputs before a step; ``u`` is counted from its mean.
    encoder : array, shape (n_delays * n_channels, rank)
        ``v = (h - mean) @ encoder``, of variance 1 in every component.
    next_mean : array, shape (n_channels,)
        Of bins after a step.
    decoder : array, shape (rank, n_channels)
        From components to the present bin.
    cfg : DelayConfig
    """

    matrix: NDArray
    input_matrix: NDArray
    noise: NDArray
    mean: NDArray
    input_mean: NDArray
    encoder: NDArray
    next_mean: NDArray
    decoder: NDArray
    cfg: DelayConfig

    def predict(self, trials: TrialArrays, inputs: TrialArrays | None = None) -> list[NDArray]:
        """Predict the next bin from each embedded state.

        Returns
        -------
        list of array, shape (n_bins - span_bins - 1, n_channels)
            Of each trial, bins ``span_bins + 1`` to the last.
        """
        states, drives = _embedded(trials, inputs, self.cfg)
        return [
            self.next_mean
            + (
                (state[:-1] - self.mean) @ self.encoder @ self.matrix.T
                + (drive[:-1] - self.input_mean) @ self.input_matrix.T
            )
            @ self.decoder
            for state, drive in zip(states, drives, strict=True)
        ]


def delay_embed(trials: TrialArrays, n_delays: int, delay_interval: int = 1) -> list[NDArray]:
    """Stack each bin with bins before it, inside each trial.

    Parameters
    ----------
    trials : sequence of array_like, shape (n_bins, n_channels)
    n_delays : int
        Bins in one row, the present one first.
    delay_interval : int
        Bins between them.

    Returns
    -------
    list of array, shape (n_bins - (n_delays - 1) * delay_interval, n_delays * n_channels)

    Raises
    ------
    ValueError
        If a trial is not a finite array of bins by channels, channels differ, or a trial is too short.

    Examples
    --------
    >>> delay_embed([[[1], [2], [3]], [[7], [8]]], n_delays=2)
    [array([[2., 1.],
           [3., 2.]]), array([[8., 7.]])]
    """
    trials = checked_trials(trials)
    span = (n_delays - 1) * delay_interval
    for i, trial in enumerate(trials):
        if len(trial) <= span:
            raise ValueError(
                f"trial {i} has {len(trial)} bins, {n_delays} delays {delay_interval} apart need {span + 1}; "
                "leave short trials out or take fewer delays"
            )
    return [
        np.concatenate(
            [trial[span - lag : len(trial) - lag] for lag in range(0, span + 1, delay_interval)], 1
        )
        for trial in trials
    ]


def fit_operator(
    trials: TrialArrays, cfg: DelayConfig | None = None, inputs: TrialArrays | None = None
) -> DelayModel:
    r"""Linear step of one system on the leading components of its delay embedding (HAVOK).

    States are centred and whitened, :math:`v = S^{-1/2} W^T (h - \bar h)` with the ``rank`` leading
    principal components W, and ``v[t+1]`` is regressed on ``v[t]`` within trials, with an intercept:
    trials cut around a movement do not have their mean as a fixed point.

    With ``inputs``, ``u[t]`` is a regressor too (DMD with control), so that ``matrix`` is the system's
    own step, not what a shared drive makes of it. That separates the two only as far as the input is
    not itself a function of the state: hand kinematics that cortex commands are in part removed as drive.

    Parameters
    ----------
    trials : sequence of array_like, shape (n_bins, n_channels)
        At least two bins more than the embedding needs.
    cfg : DelayConfig, optional
    inputs : sequence of array_like, shape (n_bins, n_inputs), optional
        Such as hand velocity, bin by bin beside the trials; shift it beforehand for a fixed lag.

    Returns
    -------
    DelayModel

    Raises
    ------
    ValueError
        If trials are too short, not finite or too few for ``n_delays * n_channels``, inputs do not
        fit the trials, or ``rank`` exceeds the rank of the embedded data.

    References
    ----------
    .. [1] Brunton, Brunton, Proctor, Kaiser & Kutz (2017), "Chaos as an intermittently forced linear
       system", Nature Communications 8, 19.
    .. [2] Proctor, Brunton & Kutz (2016), "Dynamic mode decomposition with control", SIAM J. Appl.
       Dyn. Syst. 15, 142-161.

    Examples
    --------
    >>> trial = np.outer([1, -0.5, 0.25, -0.125], [3.0, 4.0])  # each bin is -1/2 the one before
    >>> fit_operator([trial], DelayConfig(n_delays=1, rank=1, ridge=0)).matrix.round(6)
    array([[-0.5]])
    """
    cfg = cfg or DelayConfig()
    return fit_ranks(trials, [cfg.rank], cfg, inputs)[0]


def fit_ranks(
    trials: TrialArrays, ranks: Sequence[int], cfg: DelayConfig, inputs: TrialArrays | None = None
) -> list[DelayModel]:
    """:func:`fit_operator` at several ranks for the price of one.

    Parameters
    ----------
    trials : sequence of array_like, shape (n_bins, n_channels)
    ranks : sequence of int
    cfg : DelayConfig
        Its own rank is not used.
    inputs : sequence of array_like, shape (n_bins, n_inputs), optional

    Returns
    -------
    list of DelayModel

    Raises
    ------
    ValueError
        As :func:`fit_operator`.

    Examples
    --------
    >>> trial = np.outer([1, -0.5, 0.25, -0.125], [3.0, 4.0])
    >>> [len(model.matrix) for model in fit_ranks([trial], [1, 1], DelayConfig(n_delays=1))]
    [1, 1]
    """
    states, drives = _embedded(trials, inputs, cfg)
    rows, n_channels = np.concatenate(states), states[0].shape[1] // cfg.n_delays
    if len(rows) <= rows.shape[1]:
        raise ValueError(
            f"{len(rows)} embedded bins for {rows.shape[1]} dimensions ({cfg.n_delays} delays of {n_channels} "
            "channels); take fewer delays, more trials, or reduce the channels by PCA first"
        )
    # The triangle of QR has the singular values and axes of the tall matrix at a fraction of the cost.
    _, size, axes = np.linalg.svd(np.linalg.qr(rows - rows.mean(0), mode="r"))
    available = int(np.sum(size > size[0] * 1e-9))
    n_components = max(ranks)
    if n_components > available:
        raise ValueError(
            f"rank={n_components} exceeds the {available} dimensions of the embedded data "
            f"({cfg.n_delays} delays of {n_channels} channels)"
        )
    axes, scale = axes[:n_components].T, size[:n_components] / np.sqrt(len(rows))

    before, after, drive = (
        np.concatenate(parts)
        for parts in ([s[:-1] for s in states], [s[1:] for s in states], [d[:-1] for d in drives])
    )
    mean, next_mean, drive_mean, drive_scale = before.mean(0), after.mean(0), drive.mean(0), drive.std(0)
    if (np.ptp(drive, axis=0) == 0).any():
        raise ValueError("an input is constant; it drives nothing and cannot be told from the mean")
    past = np.concatenate([(before - mean) @ (axes / scale), (drive - drive_mean) / drive_scale], axis=1)
    moments = past.T @ past / len(past) + cfg.ridge * np.eye(past.shape[1])
    future = (after - next_mean) @ (axes / scale)
    lagged = past.T @ future / len(past)
    models = []
    for r in ranks:
        used = np.r_[:r, n_components : past.shape[1]]
        weights = np.linalg.lstsq(moments[np.ix_(used, used)], lagged[used, :r])[0].T
        residual = future[:, :r] - past[:, used] @ weights.T
        models.append(
            DelayModel(
                weights[:, :r],
                weights[:, r:] / drive_scale,
                residual.T @ residual / len(residual),
                mean,
                drive_mean,
                (axes / scale)[:, :r],
                next_mean[:n_channels],
                (axes * scale)[:n_channels, :r].T,
                replace(cfg, rank=r),
            )
        )
    return models


def undriven_operator(matrix: ArrayLike, noise: ArrayLike) -> NDArray:
    """Operator in the coordinates that whiten its system when no input drives it.

    :func:`fit_operator` writes operators in coordinates that whiten what was recorded, and an input
    stretches these: one system under two inputs has the same eigenvalues but other operators. Noise
    alone, carried on by ``matrix``, has a covariance of its own, and this one is whitened here.

    Parameters
    ----------
    matrix, noise : array_like, shape (rank, rank)
        Of a :class:`DelayModel`.

    Returns
    -------
    array, shape (rank, rank)

    Raises
    ------
    ValueError
        If the step is unstable, or noise does not reach all components.

    Examples
    --------
    >>> undriven_operator([[0, 1], [0, 0]], np.eye(2)).round(4)  # covariance I + A A^T = diag(2, 1)
    array([[0.    , 0.7071],
           [0.    , 0.    ]])
    """
    matrix, noise = np.asarray(matrix, float), np.asarray(noise, float)
    growth = np.abs(np.linalg.eigvals(matrix)).max()
    if growth >= 1:
        raise ValueError(
            f"the step grows by {growth:.4f} per bin: without its input the system has no covariance; "
            "raise the ridge, lower the rank or compare eigenvalues (metric='wasserstein')"
        )
    try:
        whitening = np.linalg.cholesky(solve_discrete_lyapunov(matrix, noise))
    except np.linalg.LinAlgError as error:
        raise ValueError("noise does not reach all components; lower the rank") from error
    return np.linalg.solve(whitening, matrix @ whitening)


def checked_trials(trials: TrialArrays, name: str = "trial") -> list[NDArray]:
    """Trials as finite float arrays of bins by channels.

    Raises
    ------
    ValueError
        If there are none, or one has another shape or gaps.
    """
    trials = [np.asarray(trial, float) for trial in trials]
    if not trials:
        raise ValueError("a system without trials")
    for i, trial in enumerate(trials):
        if trial.ndim != 2 or trial.shape[1] != trials[0].shape[-1]:
            raise ValueError(
                f"{name} {i} has shape {trial.shape}, not (n_bins, {trials[0].shape[-1] if trials[0].ndim else 1}); "
                "a system is a list of trials, even if it is one"
            )
        if not np.isfinite(trial).all():
            raise ValueError(f"{name} {i} has values that are not finite; cut the gaps out or fill them")
    return trials


def _embedded(
    trials: TrialArrays, inputs: TrialArrays | None, cfg: DelayConfig
) -> tuple[list[NDArray], list[NDArray]]:
    """Embedded states and inputs of each trial, row by row at the same bins, two rows or more."""
    trials = checked_trials(trials)
    if inputs is None:
        inputs = [np.zeros((len(trial), 0)) for trial in trials]
    inputs = checked_trials(inputs, "input of trial")
    if [len(trial) for trial in trials] != [len(drive) for drive in inputs]:
        raise ValueError("inputs and trials differ in number or in bins; cut both with the same window")
    for i, trial in enumerate(trials):
        if len(trial) < cfg.span_bins + 2:
            raise ValueError(
                f"trial {i} has {len(trial)} bins, shorter than the embedding and one step: "
                f"{cfg.span_bins + 2}; leave short trials out or take fewer delays"
            )
    n_rows = [len(trial) - cfg.span_bins for trial in trials]
    return tuple(
        [rows[-n:] for rows, n in zip(delay_embed(x, lags, cfg.delay_interval), n_rows, strict=True)]
        for x, lags in ((trials, cfg.n_delays), (inputs, cfg.n_input_delays))
    )
