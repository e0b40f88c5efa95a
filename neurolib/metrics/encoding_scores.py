"""Scores of an encoding: responses and held-out predictions ``(stimulus, target)`` in, a number per target out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def correlations(target: ArrayLike, prediction: ArrayLike, weights: ArrayLike | None = None) -> NDArray:
    """Pearson correlation of each target over stimuli, NaN where one side is constant.

    Parameters
    ----------
    target, prediction : array, shape (n_stimuli, n_targets)
    weights : array, shape (n_draws, n_stimuli), optional
        How often each stimulus counts, as resampling draws them.

    Returns
    -------
    array, shape (n_targets,) or (n_draws, n_targets)

    Examples
    --------
    >>> correlations([[0.0], [1.0], [2.0]], [[0.0], [1.0], [5.0]]).round(3)
    array([0.945])
    >>> correlations([[0.0], [1.0], [2.0]], [[0.0], [1.0], [5.0]], [[1, 1, 0]])
    array([[1.]])
    """
    y, f = np.asarray(target, float), np.asarray(prediction, float)
    if y.shape != f.shape or y.ndim != 2:
        raise ValueError(f"target {y.shape} and prediction {f.shape} must be (stimulus, target) both")
    once = weights is None
    w = np.ones((1, len(y))) if once else np.asarray(weights, float)
    y, f = y - y.mean(0), f - f.mean(0)  # small numbers, so that differences of sums keep their digits
    sums = w @ np.concatenate([y, f, y * f, y * y, f * f], axis=1)
    sy, sf, syf, syy, sff = np.split(sums / w.sum(1, keepdims=True), 5, axis=1)
    vy, vf = syy - sy * sy, sff - sf * sf
    alive = (vy > 1e-12 * syy) & (vf > 1e-12 * sff) & (np.ptp(y, 0) > 0) & (np.ptp(f, 0) > 0)
    r = np.clip((syf - sy * sf) / np.sqrt(np.where(alive, vy * vf, np.nan)), -1, 1)
    return r[0] if once else r


def r2_against_train_mean(target: ArrayLike, prediction: ArrayLike, train_mean: ArrayLike) -> NDArray:
    """One minus squared error over that of the training mean, per target; negative for useless features.

    Examples
    --------
    >>> r2_against_train_mean([[1.0], [3.0]], [[1.0], [2.0]], [1.0])
    array([0.75])
    """
    target = np.asarray(target, float)
    base = np.square(target - np.asarray(train_mean, float)).sum(0)
    error = np.square(target - np.asarray(prediction, float)).sum(0)
    return 1 - error / np.where(base > 0, base, np.nan)


def fisher_mean(r: ArrayLike, axis: int = 0) -> NDArray:
    """Mean of correlations on Fisher's scale, that of the sampling error; NaN are left out.

    Examples
    --------
    >>> fisher_mean([0.5, 0.5]).round(6)
    np.float64(0.5)
    """
    z = np.arctanh(np.clip(np.asarray(r, float), -1 + 1e-12, 1 - 1e-12))
    count = np.isfinite(z).sum(axis)
    return np.where(count > 0, np.tanh(np.nansum(z, axis) / np.maximum(count, 1)), np.nan)[()]
