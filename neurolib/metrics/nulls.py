"""Nulls: behaviour of stacked trials in, what a decoder would score with less than it claims to have.

Fit and score the same decoder on each null. :func:`circular_shift` asks whether spikes and behaviour
go together at all, :func:`permute_trials` whether single trials do, and
:func:`condition_mean_oracle` what knowing the condition alone is worth.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def circular_shift(
    behaviour: ArrayLike, lengths: ArrayLike, seed: int, min_shift_bins: int | None = None
) -> NDArray:
    """Roll the behaviour against the spikes: a null that keeps each one's own autocorrelation.

    Two slow signals correlate by chance, and shuffled bins hide that. Shapes that recur in
    every trial survive a shift by whole trials, so this null may rightly lie above zero. A
    drift over the recording becomes a jump where end meets start; take it away first.

    Parameters
    ----------
    behaviour : array_like, shape (n_bins, n_outputs)
        All trials of the recording stacked in time.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial; the trial borders stay where the spikes have them.
    seed : int
    min_shift_bins : int, optional
        Least shift, forwards or backwards; by default the longest trial.

    Returns
    -------
    array, shape (n_bins, n_outputs)

    Raises
    ------
    ValueError
        If the recording is too short for such a shift.

    References
    ----------
    Harris (2020), "Nonsense correlations in neuroscience", bioRxiv 2020.11.29.402719.

    Examples
    --------
    >>> circular_shift([[0], [1], [2], [3]], [2, 2], seed=0).ravel()
    array([2, 3, 0, 1])
    """
    behaviour = np.asarray(behaviour)
    lengths = _checked_lengths(lengths, len(behaviour))
    least = int(lengths.max()) if min_shift_bins is None else min_shift_bins
    if least < 1 or 2 * least > len(behaviour):
        raise ValueError(f"{len(behaviour)} bins cannot be shifted by {least} or more both ways round")
    return np.roll(behaviour, np.random.default_rng(seed).integers(least, len(behaviour) - least + 1), axis=0)


def permute_trials(
    behaviour: ArrayLike, lengths: ArrayLike, seed: int, conditions: ArrayLike | None = None
) -> NDArray:
    """Deal whole trials of behaviour to other trials' spikes: a null that keeps what trials share.

    What is still decoded is the average trial. Dealt within conditions, it is the average
    trial of each condition, and the excess of the true score over it is single-trial decoding.

    Parameters
    ----------
    behaviour : array_like, shape (n_bins, n_outputs)
        All trials stacked.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial; trials that may trade places must be equally long.
    seed : int
    conditions : array_like, shape (n_trials,), optional
        Trials trade places only with trials of the same condition.

    Returns
    -------
    array, shape (n_bins, n_outputs)

    Raises
    ------
    ValueError
        If trials that may trade places differ in length.

    Examples
    --------
    >>> permute_trials([[0], [0], [1], [1], [2], [2]], [2, 2, 2], seed=0).ravel()
    array([2, 2, 0, 0, 1, 1])
    """
    behaviour = np.asarray(behaviour)
    lengths = _checked_lengths(lengths, len(behaviour))
    labels = np.zeros(len(lengths)) if conditions is None else _checked_conditions(conditions, len(lengths))
    draw, source = np.random.default_rng(seed), np.arange(len(lengths))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if np.ptp(lengths[members]):
            raise ValueError(
                f"trials of {lengths[members].min()} to {lengths[members].max()} bins cannot trade places; "
                "cut them to one length or use circular_shift"
            )
        source[members] = draw.permutation(members)
    trials = np.split(behaviour, np.cumsum(lengths)[:-1])
    return np.concatenate([trials[i] for i in source])


def null_orders(variable: ArrayLike, groups: ArrayLike | None, n_nulls: int, seed: int = 0) -> NDArray:
    """Rows to read a variable from so that it has nothing to do with the units: ``variable[order]``.

    A variable that is constant within groups is dealt anew among the groups. Any other one is shifted in a
    circle by the length of the longest group or more, as in :func:`circular_shift`: bins of a slow signal
    are no independent samples, and permuting them makes everything significant.

    Parameters
    ----------
    variable : array_like, shape (n_samples,) or (n_samples, n_dims)
        In the order of time.
    groups : array_like, shape (n_samples,), optional
        Trial of each sample; ``np.arange(n_samples)`` for independent samples. Without any, samples are one
        recording, which is shifted by a 20th of its length or more.
    n_nulls, seed : int

    Returns
    -------
    array of int, shape (n_nulls, n_samples)

    Raises
    ------
    ValueError
        If groups do not match, or there is one only, or the longest is more than half of the recording.

    Examples
    --------
    >>> null_orders(["a", "a", "b", "b"], groups=[0, 0, 1, 1], n_nulls=2, seed=3)  # dealt
    array([[2, 2, 0, 0],
           [0, 0, 2, 2]])
    >>> null_orders([0.1, 0.2, 0.3, 0.4], groups=[0, 0, 1, 1], n_nulls=1)  # not constant: shifted
    array([[2, 3, 0, 1]])
    """
    variable = np.asarray(variable)
    if groups is None:
        return _shifts(len(variable), max(1, len(variable) // 20), n_nulls, np.random.default_rng(seed))
    groups = np.asarray(groups)
    if groups.shape != (len(variable),):
        raise ValueError(f"groups {groups.shape} for a variable of {len(variable)} samples")
    _, first, number, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if len(first) < 2:
        raise ValueError(f"{len(first)} group: give the trial of each sample, or no groups at all")
    draw = np.random.default_rng(seed)
    if (variable == variable[first][number]).all():
        return np.stack([first[draw.permutation(len(first))][number] for _ in range(n_nulls)])
    return _shifts(len(variable), int(size.max()), n_nulls, draw)


def condition_mean_oracle(
    behaviour: ArrayLike, lengths: ArrayLike, conditions: ArrayLike, train: ArrayLike, test: ArrayLike
) -> NDArray:
    """Best guess without spikes: the mean training trial of the same condition, bin by bin.

    A decoder that does not beat it has read which condition it is, not how this trial went.

    Parameters
    ----------
    behaviour : array_like, shape (n_bins, n_outputs)
        All trials stacked, each aligned to the same event at its first bin.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial. Each bin averages the training trials that reach it; a test trial
        longer than all of them keeps the last value.
    conditions : array_like, shape (n_trials,)
        Condition of each trial.
    train, test : array_like of int
        Trial numbers.

    Returns
    -------
    array, shape (n_test_bins, n_outputs)
        Predictions for the test trials, stacked in the order of ``test``.

    Raises
    ------
    ValueError
        If a trial is in both parts, or a test condition has no training trial.

    Examples
    --------
    >>> behaviour = np.array([[0.0], [2.0], [9.0], [5.0]])
    >>> condition_mean_oracle(behaviour, [1, 1, 1, 1], ["a", "a", "b", "a"], [0, 1, 2], [3])
    array([[1.]])
    """
    behaviour = np.asarray(behaviour, float)
    lengths = _checked_lengths(lengths, len(behaviour))
    conditions = _checked_conditions(conditions, len(lengths))
    train, test = np.asarray(train, int), np.asarray(test, int)
    if np.intersect1d(train, test).size:
        raise ValueError(f"trials {np.intersect1d(train, test).tolist()} are in train and in test")
    trials = np.split(behaviour, np.cumsum(lengths)[:-1])
    means = {}
    for label in np.unique(conditions[test]):
        members = [trials[i] for i in train if conditions[i] == label]
        if not members:
            raise ValueError(f"no training trial has condition {label}; stratify the split by condition")
        longest = max(map(len, members))
        total, n = np.zeros((longest, behaviour.shape[1])), np.zeros((longest, 1))
        for member in members:
            total[: len(member)] += member
            n[: len(member)] += 1
        means[label] = total / n
    return np.concatenate([means[conditions[i]].take(range(lengths[i]), axis=0, mode="clip") for i in test])


def _shifts(n: int, least: int, n_nulls: int, draw: np.random.Generator) -> NDArray:
    if 2 * least > n:
        raise ValueError(f"{n} samples cannot be shifted by {least} or more both ways round")
    shifts = np.arange(least, n - least + 1)
    shifts = draw.choice(shifts, n_nulls, replace=n_nulls > len(shifts))
    return (np.arange(n) - shifts[:, None]) % n


def _checked_lengths(lengths: ArrayLike, n_bins: int) -> NDArray:
    lengths = np.asarray(lengths, int)
    if lengths.ndim != 1 or not lengths.size or lengths.min() < 1 or lengths.sum() != n_bins:
        raise ValueError(
            f"lengths {lengths.shape} must be positive and sum to {n_bins} bins, not {lengths.sum()}"
        )
    return lengths


def _checked_conditions(conditions: ArrayLike, n_trials: int) -> NDArray:
    conditions = np.asarray(conditions)
    if conditions.shape != (n_trials,):
        raise ValueError(f"conditions of shape {conditions.shape} for {n_trials} trials")
    return conditions
