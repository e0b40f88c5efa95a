"""Dynamical similarity analysis (DSA): trials of several systems in, distances of their dynamics out.

:mod:`neurolib.metrics.delays` fits one linear step to each system's delay embedding; :func:`dsa`
compares the steps with :mod:`neurolib.metrics.procrustes`. Choose the number of delays and the rank
once for all systems, with :func:`sweep_delays` and :func:`choose_delays`.

A trap: latents that change little from bin to bin have operators close to the identity, and then all
angles are small, whatever the dynamics. Resample to 10-20 ms, or compare ``A - I`` with
``subtract_identity``; :func:`dsa` warns. The angle is blind to the overall size of ``A - I``, that is,
to overall speed; the euclidean metric is not.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurolib.metrics.delays import (
    DelayConfig,
    DelayModel,
    TrialArrays,
    checked_trials,
    fit_operator,
    fit_ranks,
    undriven_operator,
)
from neurolib.metrics.procrustes import SearchConfig, eigenvalue_distance, procrustes_distance

NEAR_IDENTITY = 0.1  # |A - I| / |A| below which dsa warns


class SweepRow(NamedTuple):
    """Held-out error of one choice.

    Parameters
    ----------
    n_delays, rank : int
    error : float
        Mean over systems; below 1 is better than predicting no change.
    errors : tuple of float
        Of each system.
    """

    n_delays: int
    rank: int
    error: float
    errors: tuple[float, ...]


class Similarity(NamedTuple):
    """What :func:`dsa` found.

    Parameters
    ----------
    distances : array, shape (n_systems, n_systems)
        Symmetric, zeros on the diagonal.
    models : tuple of DelayModel
    """

    distances: NDArray
    models: tuple[DelayModel, ...]


def sweep_delays(
    systems: Sequence[TrialArrays],
    n_delays: Sequence[int],
    ranks: Sequence[int],
    cfg: DelayConfig | None = None,
    inputs: Sequence[TrialArrays] | None = None,
    n_folds: int = 4,
    seed: int = 0,
) -> list[SweepRow]:
    """Error of predicting the next bin of held-out trials, relative to predicting no change.

    Squared errors over all channels are summed over folds and divided by those of persistence,
    ``x[t+1] = x[t]``. All choices are scored on the same bins: those the longest embedding reaches.
    What a low rank cannot rebuild counts as error, so a rank too low may do worse than persistence.
    Smoothing that looks ahead lets past bins foretell the next one and flatters many delays.

    Parameters
    ----------
    systems : sequence of systems
    n_delays, ranks : sequence of int
        To try; a rank above ``n_delays * n_channels`` is left out.
    cfg : DelayConfig, optional
        The other settings.
    inputs : sequence of trials, optional
        One per system.
    n_folds : int
        Parts of the trials, each held out once.
    seed : int
        Which trials go together.

    Returns
    -------
    list of SweepRow
        In the order of ``n_delays``, then ``ranks``.

    Raises
    ------
    ValueError
        If a system has fewer trials than folds, or as :func:`~neurolib.metrics.delays.fit_operator`.

    Examples
    --------
    >>> decay = [start * 0.5 ** np.arange(6)[:, None] for start in (1, -1, 2, -2)]
    >>> row = sweep_delays([decay], n_delays=[1], ranks=[1])[0]
    >>> row.rank, row.error < 0.01
    (1, True)
    """
    cfg, drives = cfg or DelayConfig(), [None] * len(systems) if inputs is None else inputs
    longest = replace(cfg, n_delays=max(n_delays)).span_bins
    errors: dict[tuple[int, int], list[float]] = {}
    for trials, drive in zip(systems, drives, strict=True):
        trials = checked_trials(trials)
        if not 2 <= n_folds <= len(trials):
            raise ValueError(f"{len(trials)} trials cannot be dealt to {n_folds} folds")
        fold_of = np.random.default_rng(seed).permutation(len(trials)) % n_folds
        for p in n_delays:
            tried = sorted(r for r in ranks if r <= p * trials[0].shape[1])
            residual, change = dict.fromkeys(tried, 0.0), 0.0
            for fold in range(n_folds if tried else 0):
                fitted, held_out = (np.flatnonzero((fold_of == fold) == held) for held in (False, True))
                part = replace(cfg, n_delays=p)
                models = fit_ranks(_take(trials, fitted), tried, part, _take(drive, fitted))
                for r, model in zip(tried, models, strict=True):
                    guesses = model.predict(_take(trials, held_out), _take(drive, held_out))
                    for i, guess in zip(held_out, guesses, strict=True):
                        truth = trials[i][longest + 1 :]
                        residual[r] += np.sum((guess[longest - part.span_bins :] - truth) ** 2)
                change += sum(np.sum(np.diff(trials[i][longest:], axis=0) ** 2) for i in held_out)
            for r in tried:
                errors.setdefault((p, r), []).append(float(residual[r] / change) if change else np.inf)
    return [
        SweepRow(p, r, float(np.mean(errors[p, r])), tuple(errors[p, r]))
        for p in n_delays
        for r in ranks
        if len(errors.get((p, r), ())) == len(systems)
    ]


def choose_delays(
    rows: Sequence[SweepRow], cfg: DelayConfig | None = None, tolerance: float = 0.01
) -> DelayConfig:
    """Smallest rank, then fewest delays, whose mean error is within ``tolerance`` of the least.

    Parameters
    ----------
    rows : sequence of SweepRow
    cfg : DelayConfig, optional
        The other settings.
    tolerance : float
        As a share of the least error.

    Returns
    -------
    DelayConfig

    Raises
    ------
    ValueError
        If there are no rows.

    Examples
    --------
    >>> rows = [SweepRow(4, 2, 0.5, ()), SweepRow(8, 2, 0.301, ()), SweepRow(8, 6, 0.3, ())]
    >>> chosen = choose_delays(rows)
    >>> chosen.n_delays, chosen.rank
    (8, 2)
    """
    if not rows:
        raise ValueError("no rows to choose from; were all ranks above n_delays times channels?")
    least = min(row.error for row in rows)
    best = min(
        (row for row in rows if row.error <= least * (1 + tolerance)),
        key=lambda row: (row.rank, row.n_delays),
    )
    return replace(cfg or DelayConfig(), n_delays=best.n_delays, rank=best.rank)


def dsa(
    systems: Sequence[TrialArrays],
    cfg: DelayConfig | None = None,
    *,
    inputs: Sequence[TrialArrays] | None = None,
    metric: str = "angular",
    subtract_identity: bool = False,
    search: SearchConfig | None = None,
) -> Similarity:
    """Pairwise distances of systems' dynamics, blind to their coordinates.

    Parameters
    ----------
    systems : sequence of systems
        Two or more. Channels may differ in number, bin size should not.
    cfg : DelayConfig, optional
        The same for all; a distance of two embeddings is meaningless.
    inputs : sequence of trials, optional
        One per system: compare the operators left after regressing their drive out, each in the
        coordinates it would have undriven (:func:`~neurolib.metrics.delays.undriven_operator`).
    metric : {"angular", "euclidean", "wasserstein"}
        The first two as :func:`~neurolib.metrics.procrustes.procrustes_distance`, the last as
        :func:`~neurolib.metrics.procrustes.eigenvalue_distance`.
    subtract_identity : bool
        Compare the changes ``A - I`` instead of the steps ``A``.
    search : SearchConfig, optional

    Returns
    -------
    Similarity

    Raises
    ------
    ValueError
        If there are fewer than two systems, the metric is unknown, or as :func:`~neurolib.metrics.delays.fit_operator`.

    Warns
    -----
    UserWarning
        If steps are so close to the identity that angles between them say nothing.

    References
    ----------
    .. [1] Ostrow, Eisen, Kozachkov & Fiete (2023), "Beyond geometry: comparing the temporal structure
       of computation in neural circuits with dynamical similarity analysis", NeurIPS.
    .. [2] Huang, Ostrow et al. (2025), "InputDSA: demixing then comparing recurrent and externally
       driven dynamics", arXiv 2510.25943.

    Examples
    --------
    >>> wave = np.stack([np.sin(0.3 * np.arange(200)), np.cos(0.3 * np.arange(200))], axis=1)
    >>> mirrored = wave[:, ::-1] * 5
    >>> cfg = DelayConfig(n_delays=1, rank=2)
    >>> dsa([[wave], [mirrored]], cfg).distances.round(6)
    array([[0., 0.],
           [0., 0.]])
    """
    if len(systems) < 2:
        raise ValueError(f"{len(systems)} system given; distances need two or more")
    if metric not in ("angular", "euclidean", "wasserstein"):
        raise ValueError(f"metric {metric!r} is not 'angular', 'euclidean' or 'wasserstein'")
    cfg, drives = cfg or DelayConfig(), [None] * len(systems) if inputs is None else inputs
    models = tuple(fit_operator(trials, cfg, drive) for trials, drive in zip(systems, drives, strict=True))
    identity = np.eye(cfg.rank)
    undriven = inputs is not None and metric != "wasserstein"  # eigenvalues have no coordinates
    matrices = [undriven_operator(m.matrix, m.noise) if undriven else m.matrix for m in models]
    steps = [np.linalg.norm(matrix - identity) / np.linalg.norm(matrix) for matrix in matrices]
    if metric == "angular" and not subtract_identity and min(steps) < NEAR_IDENTITY:
        warnings.warn(
            f"|A - I| / |A| is {min(steps):.3f} for system {int(np.argmin(steps))}: it hardly changes from bin "
            "to bin and all angles will be small; resample to wider bins or pass subtract_identity=True",
            stacklevel=2,
        )
    matrices = [matrix - subtract_identity * identity for matrix in matrices]
    distances = np.zeros((len(models), len(models)))
    for i, j in zip(*np.triu_indices(len(models), 1), strict=True):
        distances[i, j] = distances[j, i] = (
            eigenvalue_distance(matrices[i], matrices[j])
            if metric == "wasserstein"
            else procrustes_distance(matrices[i], matrices[j], metric, search)
        )
    return Similarity(distances, models)


def phase_randomise(trials: TrialArrays, seed: int) -> list[NDArray]:
    """Trials with the power spectrum of each channel and random phases: a null for shared dynamics.

    Phases are drawn for each channel alone. Common phases, as usual for a test of nonlinearity, would
    keep all cross-correlations, and with them the linear operator that DSA compares.

    Parameters
    ----------
    trials : sequence of array_like, shape (n_bins, n_channels)
    seed : int

    Returns
    -------
    list of array
        Of the same shapes; means are kept too.

    References
    ----------
    .. [1] Theiler, Eubank, Longtin, Galdrikian & Farmer (1992), "Testing for nonlinearity in time
       series: the method of surrogate data", Physica D 58, 77-94.

    Examples
    --------
    >>> surrogate = phase_randomise([[[0.0], [1.0], [0.0], [-1.0]]], seed=0)[0]
    >>> round(float(np.sum(surrogate**2)), 6)  # the power
    2.0
    """
    draw, surrogates = np.random.default_rng(seed), []
    for trial in checked_trials(trials):
        spectrum = np.fft.rfft(trial, axis=0)
        turn = np.exp(2j * np.pi * draw.random(spectrum.shape))
        turn[0] = 1
        if len(trial) % 2 == 0:
            turn[-1] = 1  # the fastest frequency of an even number of bins has no phase
        surrogates.append(np.fft.irfft(spectrum * turn, len(trial), axis=0))
    return surrogates


def shuffle_channels(trials: TrialArrays, seed: int) -> list[NDArray]:
    """Deal each channel's trials anew: a null that keeps every channel and the average trial.

    What is left of a distance to it is how channels move together in single trials.

    Parameters
    ----------
    trials : sequence of array_like, shape (n_bins, n_channels)
        All of one length.
    seed : int

    Returns
    -------
    list of array

    Raises
    ------
    ValueError
        If trials differ in length.

    Examples
    --------
    >>> shuffled = shuffle_channels([[[1, 10]], [[2, 20]]], seed=1)
    >>> sorted(float(trial[0, 1]) for trial in shuffled)
    [10.0, 20.0]
    """
    trials = checked_trials(trials)
    if len({len(trial) for trial in trials}) > 1:
        raise ValueError("trials differ in length and cannot trade channels; cut them to one length")
    stacked, draw = np.stack(trials), np.random.default_rng(seed)
    dealt = [stacked[draw.permutation(len(stacked)), :, channel] for channel in range(stacked.shape[2])]
    return list(np.stack(dealt, axis=2))


def _take(trials: TrialArrays | None, numbers: NDArray) -> TrialArrays | None:
    return None if trials is None else [trials[i] for i in numbers]
