"""Predicting units and bins that a model does not see: trials in, trials whose behaviour is spikes out.

Co-smoothing hides some units throughout (:func:`draw_held_out`, :func:`co_smoothing_trials`), forward
prediction hides all units in the last bins (:func:`hide_last`). Both make ordinary
:class:`~neurolib.data.trials.Trials`, so every decoder of the book can be fit to them. What a decoder
returns for them are rates in **spikes per bin**, which :func:`check_rates` holds it to.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.trials import Trials

UNIT = "spikes per bin"


def draw_held_out(trials: Trials, share: float = 0.25, seed: int = 0) -> NDArray:
    """Draw the units to hide; one that never fires is not drawn.

    For the Neural Latents sets take the benchmark's own draw, ``load_nlb(...).held_out``.

    Parameters
    ----------
    trials : Trials
    share : float
        Share of all units that is hidden, rounded to whole units.
    seed : int

    Returns
    -------
    array of bool, shape (n_units,)

    Raises
    ------
    ValueError
        If the share leaves no unit to hide, or too few that fire to hide so many and keep one.

    Examples
    --------
    >>> trials = Trials(np.array([[1, 0, 1, 2]]), np.zeros((1, 1)), [1], 0.005)
    >>> held_out = draw_held_out(trials, share=0.5)
    >>> held_out.sum().item(), held_out[1].item()  # the second never fires
    (2, False)
    """
    firing = np.setdiff1d(np.arange(trials.n_units), trials.silent_units)
    n_hidden = round(share * trials.n_units)
    if not 1 <= n_hidden < len(firing):
        raise ValueError(
            f"{trials.name}: share={share} of {trials.n_units} units hides {n_hidden}, and {len(firing)} units "
            "fire; at least one must be hidden and at least one that fires must stay"
        )
    held_out = np.zeros(trials.n_units, bool)
    held_out[np.random.default_rng(seed).choice(firing, n_hidden, replace=False)] = True
    return held_out


def co_smoothing_trials(trials: Trials, held_out: ArrayLike) -> Trials:
    """Trials in which a model sees the held-in units and predicts the spikes of all.

    Parameters
    ----------
    trials : Trials
    held_out : array_like of bool, shape (n_units,)
        Units that the model does not see.

    Returns
    -------
    Trials
        ``counts`` are those of the held-in units. ``behaviour`` are the counts of all units,
        **held-in first, then held-out**, each in the order of the file, as the benchmark's
        submissions put them: of predicted rates, ``rates[:, trials.n_units:]`` are held out.
        ``outputs`` are ``unit <number in the file>``.

    Raises
    ------
    ValueError
        If the mask does not fit the units, or hides none or all.

    Examples
    --------
    >>> seen = co_smoothing_trials(Trials(np.array([[3, 4, 5]]), np.zeros((1, 1)), [1], 0.005), [0, 1, 0])
    >>> seen.counts, seen.behaviour, seen.outputs
    (array([[3, 5]]), array([[3., 5., 4.]], dtype=float32), ('unit 0', 'unit 2', 'unit 1'))
    """
    held_out = np.asarray(held_out)
    if held_out.shape != (trials.n_units,) or not np.isin(held_out, (0, 1)).all():
        raise ValueError(
            f"{trials.name}: held_out {held_out.shape} must be a mask over {trials.n_units} units, not their numbers"
        )
    held_out = held_out.astype(bool)
    if held_out.all() or not held_out.any():
        raise ValueError(f"{trials.name}: {held_out.sum()} of {trials.n_units} units are held out")
    order = np.argsort(held_out, kind="stable")
    return replace(
        trials,
        counts=trials.counts[:, ~held_out],
        behaviour=trials.counts[:, order].astype(np.float32),
        outputs=tuple(f"unit {unit}" for unit in order),
        output_unit=UNIT,
    )


def hide_last(trials: Trials, n_bins: int) -> tuple[Trials, NDArray]:
    """Hide the last bins of every trial: the model sees no spikes there, behaviour stays.

    A hidden bin reads as a bin without spikes, so fit the model on such trials too: it can tell from the
    time in the trial, if at all, that it sees nothing.

    Parameters
    ----------
    trials : Trials
        Such as those of :func:`co_smoothing_trials`, cut with ``forward_s`` more than the window.
    n_bins : int
        How many; the benchmark hides 0.2 s.

    Returns
    -------
    trials : Trials
        The same with ``counts`` 0 in the last ``n_bins`` bins.
    hidden : array of bool, shape (n_bins_total,)
        Which bins those are: forward prediction is scored there, co-smoothing elsewhere.

    Raises
    ------
    ValueError
        If a trial is no longer than that, or ``n_bins`` is not positive.

    Examples
    --------
    >>> trials = Trials(np.array([[1], [2], [3], [4], [5]]), np.zeros((5, 1)), [3, 2], 0.05)
    >>> seen, hidden = hide_last(trials, 1)
    >>> seen.counts.ravel(), hidden
    (array([1, 2, 0, 4, 0]), array([False, False,  True, False,  True]))
    """
    if not 1 <= n_bins < trials.lengths.min():
        raise ValueError(
            f"{trials.name}: {n_bins} bins cannot be hidden from trials of {trials.lengths.min()} bins and more; "
            "were they cut with forward_s?"
        )
    hidden = trials.bin_in_trial >= np.repeat(trials.lengths - n_bins, trials.lengths)
    return replace(
        trials, counts=np.where(hidden[:, None], 0, trials.counts).astype(trials.counts.dtype)
    ), hidden


def check_rates(rates: ArrayLike, counts: ArrayLike, bin_size_s: float, factor: float = 20.0) -> None:
    """Refuse rates that cannot be spikes per bin.

    Compares the mean over everything with that of counts of the same units, so it tells a wrong unit
    and not a bad model.

    Parameters
    ----------
    rates : array_like, shape (..., n_units)
        Predicted rates.
    counts : array_like, shape (..., n_units)
        Spikes per bin of the same units, of these or of other trials; NaN where unobserved.
    bin_size_s : float
    factor : float
        How far apart the means may be, either way.

    Raises
    ------
    ValueError
        If rates are negative or not finite, or their mean is off by the factor or as much as in
        Hz or scaled by the bin width twice. The message names the likely mistake.

    Examples
    --------
    >>> counts = np.array([[0], [1]])
    >>> check_rates([[0.4], [0.5]], counts, 0.005)
    >>> check_rates([[80.0], [100.0]], counts, 0.005)
    Traceback (most recent call last):
        ...
    ValueError: rates have a mean of 90, counts of 0.5 per bin: 180 times as much. They look like Hz; multiply them by bin_size_s=0.005
    """
    rates, counts = np.asarray(rates, float), np.asarray(counts, float)
    if rates.ndim < 2 or counts.ndim < 2 or rates.shape[-1] != counts.shape[-1]:
        raise ValueError(
            f"rates {rates.shape} and counts {counts.shape} must be (..., n_units) of the same units"
        )
    if not np.isfinite(rates).all():
        raise ValueError(f"{(~np.isfinite(rates)).sum()} of {rates.size} rates are NaN or infinite")
    if (rates < 0).any():
        raise ValueError(f"rates go down to {rates.min():g}; are they log-rates? Then take exp")
    mean, expected = rates.mean(), np.nanmean(counts)
    if not expected > 0:
        raise ValueError(
            "no spikes to compare the rates with; are these the counts of silent or unobserved units?"
        )
    ratio = mean / expected
    guess = ""
    if bin_size_s < 1 / 9:  # else a factor of 3 about 1 / bin_size_s overlaps with one about 1
        if 1 / 3 < ratio * bin_size_s < 3:
            guess = f"They look like Hz; multiply them by bin_size_s={bin_size_s:g}"
        if 1 / 3 < ratio / bin_size_s < 3:
            guess = f"They look multiplied by bin_size_s={bin_size_s:g} twice; do it once"
    if not guess and not 1 / factor <= ratio <= factor:
        guess = "Are they of another bin width, normalised, or of other units?"
    if guess:
        raise ValueError(
            f"rates have a mean of {mean:.3g}, counts of {expected:.3g} per bin: {ratio:.3g} times as much. {guess}"
        )
