"""Spikes: predicted rates and observed counts in, Poisson likelihoods and the Neural Latents scores out.

Rates are **spikes per bin** everywhere: not Hz, not log-rates. The last axis is units.
:func:`co_smoothing_bits`, :func:`psth_r2` and :func:`velocity_r2` give the numbers of
``nlb_tools.evaluation`` and leave the arrays they are given as they were.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

ZERO_RATE = 1e-9  # what the Neural Latents Benchmark puts in place of a rate of zero


def poisson_log_likelihood(rates: ArrayLike, counts: ArrayLike) -> float:
    r"""Log-likelihood of all counts under independent Poisson rates, in nats.

    .. math:: \sum n \ln \lambda - \lambda - \ln n!

    Parameters
    ----------
    rates : array_like, shape (..., n_units)
        Predicted rates in spikes per bin, all above 0.
    counts : array_like, shape (..., n_units)
        Observed spikes per bin.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes differ, a rate is not positive and finite, or a count is negative or not finite.

    Examples
    --------
    >>> poisson_log_likelihood([[1.0], [1.0]], [[0], [1]])  # ln(e^-1) twice
    -2.0
    """
    return _log_likelihood(*_checked(rates, counts))


def bits_per_spike(rates: ArrayLike, counts: ArrayLike) -> float:
    r"""Poisson log-likelihood gain over each unit's mean rate, in bits per spike.

    .. math:: \frac{\log L(\hat\lambda; n) - \log L(\bar n; n)}{N_{\text{spikes}} \ln 2}

    The mean :math:`\bar n` is that of the counts being scored: a null that has seen the test set.

    Parameters
    ----------
    rates : array_like, shape (..., n_units)
        Predicted rates in **spikes per bin** (not Hz, not log-rates), all above 0;
        ``(n_bins, n_units)`` or ``(n_trials, n_bins, n_units)``.
    counts : array_like, shape (..., n_units)
        Observed spikes per bin.

    Returns
    -------
    float
        0 means no better than the mean rate; may be negative.

    Raises
    ------
    ValueError
        As :func:`poisson_log_likelihood`, or if there are no spikes.

    Warns
    -----
    UserWarning
        If rates are on average five times the counts or more, as rates in Hz would be.

    References
    ----------
    .. [1] Pei et al. (2021), "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks.

    Examples
    --------
    >>> counts = np.array([[[0], [2]]])
    >>> round(bits_per_spike([[[0.5], [1.5]]], counts), 3)  # (2 ln 1.5) / (2 ln 2)
    0.585
    """
    return _bits(*_checked(rates, counts))


def co_smoothing_bits(rates: ArrayLike, counts: ArrayLike, heldout: ArrayLike | None = None) -> float:
    """Bits per spike of units that the model did not see: co-bps of the Neural Latents Benchmark.

    :func:`bits_per_spike` with the benchmark's rules for gaps and zeros.

    Parameters
    ----------
    rates : array_like, shape (n_trials, n_bins, n_units)
        Predicted rates in spikes per bin. Zeros count as 1e-9.
    counts : array_like, shape (n_trials, n_bins, n_units)
        Observed spikes per bin of the evaluated trials; NaN where nothing was observed, and
        there rates may be anything.
    heldout : array_like of int, or of bool (n_units,), optional
        Which units were held out; by default all that are given.

    Returns
    -------
    float
        Against each unit's mean over the evaluated trials (not the training trials).

    Raises
    ------
    ValueError
        As :func:`bits_per_spike`, but for zeros in rates and NaN in counts.

    Warns
    -----
    UserWarning
        If a rate is 0, or rates look like Hz.

    References
    ----------
    .. [1] Pei et al. (2021), "Neural Latents Benchmark '21"; ``nlb_tools.evaluation.bits_per_spike``.

    Examples
    --------
    >>> counts = np.array([[[7.0, 0.0], [7.0, 2.0], [7.0, np.nan]]])
    >>> rates = np.array([[[1.0, 0.5], [1.0, 1.5], [1.0, 3.0]]])
    >>> round(co_smoothing_bits(rates, counts, heldout=[1]), 3)
    0.585
    """
    rates, counts = np.asarray(rates, float), np.asarray(counts, float)
    if heldout is not None and rates.shape == counts.shape:
        rates, counts = rates[..., np.asarray(heldout)], counts[..., np.asarray(heldout)]
    seen = ~np.isnan(counts)
    zeros = (rates == 0) & seen if rates.shape == counts.shape else np.array(False)
    if zeros.any():
        warnings.warn(f"{zeros.sum()} rates are 0 and count as {ZERO_RATE:g}", stacklevel=2)
        rates = np.where(zeros, ZERO_RATE, rates)
    return _bits(*_checked(rates, counts, seen), seen)


def psth_r2(
    psth: ArrayLike, rates: ArrayLike, condition_trials: Sequence[ArrayLike], jitter: ArrayLike | None = None
) -> float:
    """R² between condition averages of predicted rates and recorded PSTHs: psth R2 of the benchmark.

    Only the target is smoothed (in the benchmark by a Gaussian of 40-70 ms, before binning);
    rates are averaged as they are. R² is taken over all conditions and bins of each unit, then
    averaged over units, silent ones included.

    Parameters
    ----------
    psth : array_like, shape (n_conditions, n_bins, n_units)
        Recorded average per condition in spikes per bin. A bin that is NaN in the first unit is
        left out.
    rates : array_like, shape (n_trials, n_bins, n_units)
        Predicted rates of the evaluated trials, in spikes per bin.
    condition_trials : sequence of array of int, one per condition
        Numbers of the evaluated trials of each condition; an empty one is left out.
    jitter : array_like of int, shape (n_trials,), optional
        Bins by which each trial's alignment was moved. A trial with jitter 2 is moved two bins
        later before averaging; the bins that this leaves open must be NaN in ``psth``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes disagree, no condition has a trial, or rates are missing where there is a PSTH.

    References
    ----------
    .. [1] Pei et al. (2021), "Neural Latents Benchmark '21"; ``nlb_tools.evaluation.eval_psth``.

    Examples
    --------
    >>> psth = np.array([[[0.0], [2.0]]])
    >>> psth_r2(psth, [[[0.0], [2.0]], [[2.0], [2.0]]], [[0, 1]])  # mean trial 1, 2: error 1 of variance 2
    0.5
    """
    from sklearn.metrics import r2_score

    psth, rates = np.asarray(psth, float), np.asarray(rates, float)
    jitter = np.zeros(len(rates), int) if jitter is None else np.asarray(jitter)
    if psth.ndim != 3 or rates.shape[1:] != psth.shape[1:] or len(condition_trials) != len(psth):
        raise ValueError(
            f"psth {psth.shape} must be (condition, bin, unit), rates {rates.shape} (trial, bin, unit), "
            f"with one entry of condition_trials per condition, not {len(condition_trials)}"
        )
    if jitter.shape != rates.shape[:1] or (np.abs(jitter) >= rates.shape[1]).any():
        raise ValueError(
            f"jitter {jitter} must be one number per trial ({len(rates)}), less than {rates.shape[1]} bins"
        )
    true, predicted = [], []
    for condition, trials in enumerate(condition_trials):
        if np.size(trials):
            here = ~np.isnan(psth[condition, :, 0])
            average = np.mean([_delayed(rates[i], int(jitter[i])) for i in np.asarray(trials, int)], axis=0)
            if np.isnan(average[here]).any():
                raise ValueError(f"rates are missing in bins where condition {condition} has a PSTH")
            true.append(psth[condition, here])
            predicted.append(average[here])
    if not true:
        raise ValueError("no condition has an evaluated trial")
    return float(r2_score(np.concatenate(true), np.concatenate(predicted)))


def velocity_r2(
    train_rates: ArrayLike,
    train_behaviour: ArrayLike,
    test_rates: ArrayLike,
    test_behaviour: ArrayLike,
    train_masks: ArrayLike | None = None,
    test_masks: ArrayLike | None = None,
) -> float:
    """R² of hand velocity decoded from predicted rates by ridge: vel R2 of the benchmark.

    The penalty is one of nine from 1e-4 to 1, chosen by five contiguous folds of the training
    bins. R² is averaged over outputs (not variance-weighted), then over decoders.

    Parameters
    ----------
    train_rates, test_rates : array_like, shape (n_trials, n_bins, n_units)
        Predicted rates, held-in and held-out units side by side; lag them beforehand.
    train_behaviour, test_behaviour : array_like, shape (n_trials, n_bins, n_outputs)
        Hand velocity. Bins where the first output is NaN are left out.
    train_masks, test_masks : array_like of bool, shape (n_trials, n_decoders), optional
        Trials that share a decoder, such as active and passive movements; by default one for all.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes disagree, only one part has masks, or rates are NaN where there is behaviour.

    References
    ----------
    .. [1] Pei et al. (2021), "Neural Latents Benchmark '21"; ``nlb_tools.evaluation.velocity_decoding``.

    Examples
    --------
    >>> rates = np.arange(12.0).reshape(2, 6, 1)
    >>> round(velocity_r2(rates, 3 * rates, rates, 3 * rates), 3)
    1.0
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    if (train_masks is None) != (test_masks is None):
        raise ValueError("give masks for train and test, or for neither")
    train = _per_decoder("train", train_rates, train_behaviour, train_masks)
    test = _per_decoder("test", test_rates, test_behaviour, test_masks)
    if len(train) != len(test):
        raise ValueError(f"{len(train)} decoders in train_masks, {len(test)} in test_masks")
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(-4, 0, 9)})
    return float(np.mean([search.fit(*a).score(*b) for a, b in zip(train, test, strict=True)]))


def _per_decoder(
    name: str, rates: ArrayLike, behaviour: ArrayLike, masks: ArrayLike | None
) -> list[tuple[NDArray, NDArray]]:
    """Observed bins of the trials that share a decoder: rates ``(bin, unit)``, behaviour ``(bin, output)``."""
    rates, behaviour = np.asarray(rates, float), np.asarray(behaviour, float)
    masks = np.ones((len(rates), 1), bool) if masks is None else np.asarray(masks)
    if rates.ndim != 3 or behaviour.ndim != 3 or rates.shape[:2] != behaviour.shape[:2]:
        raise ValueError(
            f"{name} rates {rates.shape} and behaviour {behaviour.shape} differ in trials or bins"
        )
    if masks.dtype != bool or masks.ndim != 2 or len(masks) != len(rates):
        raise ValueError(f"{name} masks {masks.dtype} {masks.shape} must be bool (n_trials, n_decoders)")
    observed = ~np.isnan(behaviour[..., 0])
    if np.isnan(rates[observed]).any():
        raise ValueError(f"{name} rates are NaN in bins where there is behaviour")
    used = [observed & mask[:, None] for mask in masks.T]
    return [(rates[bins], behaviour[bins]) for bins in used]


def _log_likelihood(rates: NDArray, counts: NDArray) -> float:
    return float((counts * np.log(rates) - rates - gammaln(counts + 1)).sum())


def _bits(rates: NDArray, counts: NDArray, seen: NDArray | None = None) -> float:
    """Bits per spike where ``seen`` (everywhere by default); elsewhere both arrays hold 1, as ``_checked`` left them."""
    seen = np.ones(counts.shape, bool) if seen is None else seen
    axes = tuple(range(counts.ndim - 1))
    n_spikes = counts[seen].sum()
    if not n_spikes:
        raise ValueError("no spikes: bits per spike is undefined")
    if rates[seen].sum() >= 5 * n_spikes:
        warnings.warn(
            f"rates are on average {rates[seen].sum() / n_spikes:.3g} times the counts; "
            "if they are in Hz, multiply them by the bin width in seconds",
            stacklevel=3,
        )
    mean = (counts * seen).sum(axis=axes) / np.maximum(seen.sum(axis=axes), 1)
    null = np.broadcast_to(np.maximum(mean, ZERO_RATE), counts.shape)
    gain = _log_likelihood(rates[seen], counts[seen]) - _log_likelihood(null[seen], counts[seen])
    return float(gain / (n_spikes * np.log(2)))


def _delayed(trial: NDArray, n_bins: int) -> NDArray:
    """Move a trial later by ``n_bins`` (earlier if negative); NaN where it has no value."""
    moved = np.full_like(trial, np.nan)
    if n_bins >= 0:
        moved[n_bins:] = trial[: len(trial) - n_bins]
    else:
        moved[:n_bins] = trial[-n_bins:]
    return moved


def _checked(rates: ArrayLike, counts: ArrayLike, seen: NDArray | None = None) -> tuple[NDArray, NDArray]:
    """Float64 rates and counts fit for a Poisson likelihood where ``seen``, and 1 elsewhere."""
    rates, counts = np.asarray(rates, float), np.asarray(counts, float)
    if rates.shape != counts.shape or rates.ndim < 2:
        raise ValueError(f"rates {rates.shape} and counts {counts.shape} must have one shape (..., n_units)")
    if seen is not None:
        rates, counts = np.where(seen, rates, 1.0), np.where(seen, counts, 1.0)
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise ValueError(
            f"rates must be positive and finite, and the least is {rates.min():g}; are they log-rates? Then take exp"
        )
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(
            "counts must be finite and not negative; co_smoothing_bits takes NaN for unobserved bins"
        )
    return rates, counts
