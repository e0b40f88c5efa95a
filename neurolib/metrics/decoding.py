"""Decoding: target and prediction ``(n_bins, n_outputs)`` in, how much of the behaviour was read out.

The target always comes first. The house default is :func:`r2_variance_weighted`.
:func:`squared_errors` keeps, per trial, what R² is made of, so that intervals can resample trials
without touching bins. What a score is to be compared with is in :mod:`neurolib.metrics.nulls`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def r2_variance_weighted(target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None) -> float:
    r"""Share of the variance of all outputs together that is predicted: the house's R².

    .. math:: 1 - \frac{\sum_{t,k} (y_{tk} - \hat y_{tk})^2}{\sum_{t,k} (y_{tk} - \bar y_k)^2}

    Outputs count by their variance, so they must share a unit. If they do not, take :func:`r2_uniform`.

    Parameters
    ----------
    target : array_like, shape (n_bins, n_outputs)
        What the animal did. First, because R² is not symmetric.
    prediction : array_like, shape (n_bins, n_outputs)
        What was decoded, in the same unit.
    mask : array_like of bool, shape (n_bins,), optional
        True on the bins that count; what lies outside may be NaN.

    Returns
    -------
    float
        1 is perfect, 0 no better than each output's mean over these bins; may be negative.

    Raises
    ------
    ValueError
        If shapes differ, values are not finite, or an output of the target is constant.

    References
    ----------
    Equals ``sklearn.metrics.r2_score(..., multioutput="variance_weighted")``.

    Examples
    --------
    >>> target = np.array([[0.0, 0.0], [2.0, 4.0]])  # variances 1 and 4, errors 1 and 0
    >>> r2_variance_weighted(target, [[1, 0], [2, 4]])
    0.9
    """
    target, prediction = _checked(target, prediction, mask)
    return float(1 - _square(target - prediction).sum() / _square(_centred(target)).sum())


def r2_per_output(target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None) -> NDArray:
    """R² of each output alone, shape ``(n_outputs,)``.

    Parameters, Raises and range are those of :func:`r2_variance_weighted`.

    Examples
    --------
    >>> r2_per_output([[0, 0], [2, 4]], [[1, 0], [2, 4]])
    array([0.5, 1. ])
    """
    target, prediction = _checked(target, prediction, mask)
    return 1 - _square(target - prediction).sum(axis=0) / _square(_centred(target)).sum(axis=0)


def r2_uniform(target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None) -> float:
    """R² averaged over outputs, each counting the same: the default of scikit-learn and of NLB.

    Parameters, Raises and range are those of :func:`r2_variance_weighted`.

    Examples
    --------
    >>> r2_uniform([[0, 0], [2, 4]], [[1, 0], [2, 4]])
    0.75
    """
    return float(r2_per_output(target, prediction, mask).mean())


def explained_variance(
    target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None, per_output: bool = False
) -> float | NDArray:
    r"""R² after each output's mean error is taken away: :math:`1 - Var(y - \hat y) / Var(y)`.

    Never below R²; the gap between them is what a constant offset costs. Parameters and Raises
    are those of :func:`r2_variance_weighted`.

    Parameters
    ----------
    per_output : bool
        True gives an array ``(n_outputs,)``, False the mean over outputs.

    Examples
    --------
    >>> explained_variance([[0], [2]], [[10], [12]])
    1.0
    """
    target, prediction = _checked(target, prediction, mask)
    error = _centred(target - prediction)
    explained = 1 - _square(error).sum(axis=0) / _square(_centred(target)).sum(axis=0)
    return explained if per_output else float(explained.mean())


def pearson_r(target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None = None) -> NDArray:
    """Pearson correlation of each output, shape ``(n_outputs,)``; blind to scale and offset.

    A constant prediction correlates with nothing and is given 0. Parameters and Raises are
    those of :func:`r2_variance_weighted`.

    Examples
    --------
    >>> pearson_r([[0], [1], [2]], [[10], [30], [50]])
    array([1.])
    """
    target, prediction = _checked(target, prediction, mask)
    y, p = _centred(target), _centred(prediction)
    norm = np.sqrt(_square(y).sum(axis=0) * _square(p).sum(axis=0))
    flat = (prediction == prediction[0]).all(axis=0)
    return np.where(flat, 0.0, np.clip((y * p).sum(axis=0) / np.where(flat, 1, norm), -1, 1))


@dataclass(frozen=True)
class SquaredErrors:
    """What R² is made of, per trial; made by :func:`squared_errors`.

    Parameters
    ----------
    error : array, shape (n_trials, n_outputs)
        Sum over the trial's bins of the squared error.
    target_sum, target_square : array, shape (n_trials, n_outputs)
        Sums over the trial's bins of the target and of its square.
    n_bins : array, shape (n_trials,)
        Bins of each trial.

    Examples
    --------
    >>> errors = squared_errors([[0.0], [2.0], [0.0], [2.0]], [[0.0], [2.0], [1.0], [1.0]], [2, 2])
    >>> errors.r2()
    0.5
    >>> errors.r2([[2, 0], [0, 2]])  # the first trial twice, then the second twice
    array([1., 0.])
    """

    error: NDArray
    target_sum: NDArray
    target_square: NDArray
    n_bins: NDArray

    def __post_init__(self):
        shape = np.shape(self.error)
        others = np.shape(self.target_sum), np.shape(self.target_square), np.shape(self.n_bins)
        if len(shape) != 2 or others != (shape, shape, shape[:1]):
            raise ValueError(
                f"sums must be (trial, output) and n_bins (trial,), got {shape}, {', '.join(map(str, others))}"
            )

    def __len__(self) -> int:
        return len(self.n_bins)

    def r2(self, weights: ArrayLike | None = None) -> float | NDArray:
        """Variance-weighted R² of these trials, or of many draws from them.

        Parameters
        ----------
        weights : array_like, shape (n_trials,) or (n_draws, n_trials), optional
            How often each trial counts. A list of trial numbers becomes weights by
            ``np.bincount(numbers, minlength=len(errors))``.

        Returns
        -------
        float, or array (n_draws,)

        Raises
        ------
        ValueError
            If a draw leaves a target that is constant, or weights do not fit the trials.
        """
        error, total = self._sums(weights)
        r2 = 1 - error.sum(axis=-1) / total.sum(axis=-1)
        return r2 if r2.ndim else float(r2)

    def r2_per_output(self, weights: ArrayLike | None = None) -> NDArray:
        """R² of each output, shape ``(n_outputs,)`` or ``(n_draws, n_outputs)``; see :meth:`r2`."""
        error, total = self._sums(weights)
        return 1 - error / total

    def _sums(self, weights: ArrayLike | None) -> tuple[NDArray, NDArray]:
        """Squared error and squared deviation of the target from its mean, per draw and output."""
        weights = np.ones(len(self)) if weights is None else np.asarray(weights, float)
        if weights.shape[-1:] != (len(self),):
            raise ValueError(f"weights of shape {weights.shape} for {len(self)} trials")
        sums, squares = weights @ self.target_sum, weights @ self.target_square
        # The share of the mean is 0/0 for an empty draw, which the next line then names.
        with np.errstate(invalid="ignore"):
            total = squares - sums**2 / (weights @ self.n_bins)[..., None]
        if not (total > 1e-12 * squares).all():
            raise ValueError(
                "the target is constant in a draw of trials (or its mean is a million times its spread), so "
                "R² is undefined; use more trials, or take the mean away first"
            )
        return weights @ self.error, total


def squared_errors(target: ArrayLike, prediction: ArrayLike, lengths: ArrayLike) -> SquaredErrors:
    """Sums per trial from which R² follows for any set of trials, without the bins.

    Parameters
    ----------
    target, prediction : array_like, shape (n_bins, n_outputs)
        All trials stacked, target first.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial; they sum to ``n_bins``.

    Returns
    -------
    SquaredErrors
        For five folds, stack the out-of-fold bins first, so that each trial is in once.

    Raises
    ------
    ValueError
        As :func:`r2_variance_weighted`, or if ``lengths`` do not add up.

    Examples
    --------
    >>> squared_errors([[1.0], [2.0], [3.0]], [[1.0], [2.0], [5.0]], [2, 1]).error
    array([[0.],
           [4.]])
    """
    target, prediction = _checked(target, prediction, None)
    lengths = np.asarray(lengths, int)
    if lengths.ndim != 1 or not lengths.size or lengths.min() < 1 or lengths.sum() != len(target):
        raise ValueError(
            f"lengths {lengths.shape} must be positive and sum to {len(target)} bins, not {lengths.sum()}"
        )
    starts = np.cumsum(lengths) - lengths
    error, square = _square(target - prediction), _square(target)
    return SquaredErrors(*(np.add.reduceat(x, starts) for x in (error, target, square)), lengths)


def _square(values: NDArray) -> NDArray:
    return values * values


def _centred(values: NDArray) -> NDArray:
    return values - values.mean(axis=0)


def _checked(target: ArrayLike, prediction: ArrayLike, mask: ArrayLike | None) -> tuple[NDArray, NDArray]:
    """Target and prediction as float64 on the bins that count, or an error that says what is wrong."""
    target, prediction = np.asarray(target, float), np.asarray(prediction, float)
    if target.shape != prediction.shape:
        raise ValueError(f"target {target.shape} and prediction {prediction.shape} differ in shape")
    if target.ndim != 2:
        raise ValueError(
            f"arrays of shape {target.shape} are not (n_bins, n_outputs); "
            "give one output as target[:, None], padded trials as target[mask]"
        )
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != target.shape[:1]:
            raise ValueError(f"mask {mask.dtype} {mask.shape} must be bool ({len(target)},), one per bin")
        target, prediction = target[mask], prediction[mask]
    for name, values in (("target", target), ("prediction", prediction)):
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} is not finite in {bad.sum()} of {len(bad)} bins, the first at bin {bad.argmax()}; "
                "mask gaps out, or look for a loss that diverged"
            )
    if not len(target):
        raise ValueError("no bins to score: the arrays are empty or the mask keeps nothing")
    flat = np.flatnonzero((target == target[0]).all(axis=0))
    if flat.size:
        raise ValueError(
            f"output {flat[0]} of the target is constant ({target[0, flat[0]]:g}) over {len(target)} bins, "
            "so its score is undefined; are target and prediction swapped?"
        )
    return target, prediction
