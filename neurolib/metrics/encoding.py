r"""Encoding: features ``(stimulus, feature)`` and responses ``(stimulus, target)`` in, held-out predictions out.

Ridge regression of all targets comes from one eigendecomposition, with a penalty for each target:

.. math::
    \mathrm{GCV}(a) = \frac{\sum_i (y_i - \hat y_i)^2}{\left(m - 1 - \sum_j \frac{w_j}{w_j + a}\right)^2}, \qquad
    \mathrm{LOO}(a) = \sum_i \left(\frac{y_i - \hat y_i}{1 - h_i}\right)^2

with :math:`w` the eigenvalues of the centred Gram matrix of ``m`` stimuli and :math:`h` the diagonal of the hat
matrix, intercept included. Gram matrices are summed once per fold; those of any training set are differences.

References
----------
.. [1] Golub, Heath & Wahba (1979), "Generalized cross-validation as a method for choosing a good ridge parameter",
   Technometrics 21(2).
.. [2] Hastie, Tibshirani & Friedman (2009), "The elements of statistical learning", sections 3.4 and 7.10.
"""

from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

PENALTIES = tuple(np.logspace(-4, 4, 17))  # in units of the mean eigenvalue
CRITERIA = ("gcv", "loo")


@dataclass(frozen=True)
class LinearMap:
    """What predicts ``y`` from ``x``.

    Parameters
    ----------
    weights : array, shape (n_features, n_targets)
    offset : array, shape (n_targets,)

    Examples
    --------
    >>> LinearMap(np.array([[2.0]]), np.array([1.0])).predict([[3.0]]).tolist()
    [[7.0]]
    """

    weights: NDArray
    offset: NDArray

    def predict(self, x: ArrayLike) -> NDArray:
        """Predictions ``(n, n_targets)`` of rows ``(n, n_features)``."""
        return np.asarray(x) @ self.weights + self.offset


@dataclass(frozen=True)
class RidgePathConfig:
    """Settings of a :class:`RidgePath`.

    Parameters
    ----------
    penalties : tuple of float
        Tried for every target.
    relative : bool
        Whether penalties are in units of the mean eigenvalue of the training Gram matrix, which makes one grid do
        for layers of any width and scale.
    criterion : {"gcv", "loo"}
        Generalised cross-validation, or the exact error of leaving out one stimulus, which costs a product of
        matrices per penalty. Where stimuli come in groups of near copies both choose too small a penalty.
    standardise : bool
        Whether features have unit variance on the training stimuli.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    penalties: tuple[float, ...] = PENALTIES
    relative: bool = True
    criterion: str = "gcv"
    standardise: bool = False

    def __post_init__(self):
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties={self.penalties} must be positive numbers; take 1e-9 for none")
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion={self.criterion!r} must be one of {CRITERIA}")

    def build(self, x: ArrayLike, y: ArrayLike, folds: ArrayLike) -> "RidgePath":
        """Sum what all fits share."""
        return RidgePath(x, y, folds, self)


class RidgePath:
    """Ridge regression without any of the folds, from sums made once.

    Parameters
    ----------
    x : array, shape (n_stimuli, n_features)
    y : array, shape (n_stimuli, n_targets)
        Large products are in its precision; Gram matrices and their eigenvectors are always double.
    folds : array of int, shape (n_stimuli,)
    cfg : RidgePathConfig

    Raises
    ------
    ValueError
        If rows differ in number or hold NaN.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> path = RidgePathConfig(penalties=(1e-9,)).build(x, 2 * x + 1, [0, 0, 0, 1])
    >>> path.without(1).held_out().round(6).tolist()
    [[9.0]]
    """

    def __init__(
        self, x: ArrayLike, y: ArrayLike, folds: ArrayLike, cfg: RidgePathConfig = RidgePathConfig()
    ):
        x, y, self.cfg = checked(x, "features"), checked(y, "responses"), cfg
        self.folds = np.asarray(folds)
        if not len(x) == len(y) == len(self.folds):
            raise ValueError(f"{len(x)} rows of features, {len(y)} of responses, {len(self.folds)} of folds")
        # training moments are taken off each fit; centring here as well only keeps sums small
        self.shift, self.level = x.mean(0, dtype=float), y.mean(0, dtype=float)
        self.x, self.y = x.astype(float) - self.shift, (y - self.level).astype(y.dtype)
        self.dtype = y.dtype
        self.rows = {fold: np.flatnonzero(self.folds == fold) for fold in np.unique(self.folds).tolist()}
        self.primal = self.x.shape[1] <= len(x) - max(len(rows) for rows in self.rows.values())
        if self.primal:
            self.grams = {fold: self.x[rows].T @ self.x[rows] for fold, rows in self.rows.items()}
            narrow = self.x.astype(self.dtype)
            self.products = {fold: narrow[rows].T @ self.y[rows] for fold, rows in self.rows.items()}
            for sums in (self.grams, self.products):
                sums["all"] = np.sum([sums[fold] for fold in self.rows], axis=0)
        elif not cfg.standardise:
            self.kernel = self.x @ self.x.T

    def without(self, *held: int) -> "RidgeFit":
        """Fit the stimuli outside the folds ``held``; none fits all of them."""
        if unknown := [fold for fold in held if fold not in self.rows]:
            raise ValueError(f"no folds {unknown}; there are {list(self.rows)}")
        inside = np.isin(self.folds, held)
        train, test = np.flatnonzero(~inside), np.flatnonzero(inside)
        if len(train) < 3:
            raise ValueError(f"{len(train)} stimuli are left to train on without folds {held}")
        return self._primal(train, test, held) if self.primal else self._dual(train, test)

    def drop(self, features: ArrayLike) -> "RidgePath":
        """The same without some features, from the same sums."""
        keep = np.setdiff1d(np.arange(self.x.shape[1]), features)
        if not len(keep):
            raise ValueError("no feature is left")
        rest = copy(self)
        rest.x, rest.shift = self.x[:, keep], self.shift[keep]
        if self.primal:
            rest.grams = {fold: gram[np.ix_(keep, keep)] for fold, gram in self.grams.items()}
            rest.products = {fold: product[keep] for fold, product in self.products.items()}
        elif not self.cfg.standardise:
            gone = np.delete(self.x, keep, 1)
            rest.kernel = self.kernel - gone @ gone.T
        return rest

    def _primal(self, train: NDArray, test: NDArray, held: tuple) -> "RidgeFit":
        m = len(train)
        centre, mean = self.x[train].mean(0), self.y[train].mean(0, dtype=float)
        gram = self._outside(self.grams, held)
        gram -= m * np.outer(centre, centre)
        inverse = self._inverse_scale(np.diag(gram), m)
        gram *= inverse[:, None] * inverse
        product = self._outside(self.products, held)
        product -= np.outer((m * centre).astype(self.dtype), mean.astype(self.dtype))
        size, axes = np.linalg.eigh(gram)
        kept = self._rank(size, m, 1e-7 if self.dtype == np.float32 else 1e-13)
        size, axes = size[kept], axes[:, kept] * inverse[:, None]
        targets = axes.astype(self.dtype).T @ product / np.sqrt(size).astype(self.dtype)[:, None]
        return RidgeFit(self, train, test, centre, mean, size, targets, axes)

    def _dual(self, train: NDArray, test: NDArray) -> "RidgeFit":
        m = len(train)
        centre, mean = self.x[train].mean(0), self.y[train].mean(0, dtype=float)
        if self.cfg.standardise:
            inside = self.x[train] - centre
            inverse = self._inverse_scale(np.square(inside).sum(0), m)
            inside *= inverse
            kernel = inside @ inside.T
        else:
            inverse = np.ones(len(centre))
            kernel = self.kernel[np.ix_(train, train)]
            means = kernel.mean(0)
            kernel = kernel - means - means[:, None] + means.mean()
        size, left = np.linalg.eigh(kernel)
        kept = self._rank(size, m, 1e-13)
        size, left = size[kept], left[:, kept]
        targets = left.T.astype(self.dtype) @ (self.y[train] - mean.astype(self.dtype))
        return RidgeFit(self, train, test, centre, mean, size, targets, None, left, inverse)

    def _outside(self, sums: dict, held: tuple) -> NDArray:
        """Sums over stimuli outside the folds ``held``: of all, less those."""
        total = sums["all"].copy()
        for fold in held:
            total -= sums[fold]
        return total

    def _inverse_scale(self, sums: NDArray, m: int) -> NDArray:
        """What features are multiplied with; those constant in training with nothing."""
        whole = np.square(self.x).sum(0)
        alive = sums > 1e-12 * np.maximum(whole, np.finfo(float).tiny)
        if not self.cfg.standardise:
            return alive.astype(float)
        return np.where(alive, np.sqrt(m / np.where(alive, sums, 1)), 0.0)

    @staticmethod
    def _rank(size: NDArray, m: int, tolerance: float) -> NDArray:
        """Directions that the training stimuli span, largest first."""
        kept = np.flatnonzero(size > tolerance * max(size[-1], np.finfo(float).tiny))
        return kept[::-1][: m - 1]


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Fits of one training set along all penalties; made by :meth:`RidgePath.without`.

    Attributes
    ----------
    train, test : array of int
        Rows that were fitted and held out.
    size : array, shape (n_directions,)
        Eigenvalues, largest first: principal directions of the training features.
    targets : array, shape (n_directions, n_targets)
        Responses along their left singular vectors.
    """

    path: RidgePath
    train: NDArray
    test: NDArray
    centre: NDArray
    mean: NDArray
    size: NDArray
    targets: NDArray
    axes: NDArray | None  # of the features, (n_features, n_directions)
    left: NDArray | None = None  # of the stimuli, if there are fewer of those
    inverse: NDArray | None = None
    chosen: dict = field(default_factory=dict, repr=False)

    def penalties(self, n_components: int | None = None) -> NDArray:
        """Penalty of each target, as added to eigenvalues, ``(n_targets,)``."""
        if n_components not in self.chosen:
            grid, losses = self.losses(n_components)
            self.chosen[n_components] = grid[np.argmin(losses, axis=0)]
        return self.chosen[n_components]

    def losses(self, n_components: int | None = None) -> tuple[NDArray, NDArray]:
        """Penalties and the criterion of each, ``(n_penalties,)`` and ``(n_penalties, n_targets)``."""
        size, targets = self.size[:n_components], self.targets[:n_components]
        m, grid = len(self.train), np.array(self.path.cfg.penalties)
        if self.path.cfg.relative and len(size):
            grid = grid * size.mean()
        y = self.path.y[self.train] - self.mean.astype(self.path.dtype)
        # each direction keeps the share a / (w + a) of what it could explain
        left_over = grid[:, None] / (size + grid[:, None])
        full = len(size) >= m - 1  # nothing lies outside, and rounding must not pretend so
        if self.path.cfg.criterion == "gcv":
            energy = np.square(targets, dtype=float)
            outside = 0.0 if full else np.maximum(np.square(y, dtype=float).sum(0) - energy.sum(0), 0)
            freedom = m - 1 - len(size) + left_over.sum(1)
            return grid, (outside + np.square(left_over) @ energy) / np.square(freedom)[:, None]
        basis = self._basis()[:, :n_components]
        narrow = basis.astype(self.path.dtype)
        outside = 0 if full else y - narrow @ targets
        square = np.square(basis)
        slack = 0.0 if full else np.maximum(1 - 1 / m - square.sum(1), 0)
        losses = []
        for share in left_over:
            residual = outside + narrow @ (share[:, None].astype(self.path.dtype) * targets)
            losses.append(np.square(residual / (slack + square @ share)[:, None], dtype=float).mean(0))
        return grid, np.stack(losses)

    def held_out(self, n_components: int | None = None) -> NDArray:
        """Predictions of the rows held out, ``(n_test, n_targets)``, of the first principal directions only."""
        rows = self._rows[:, :n_components]
        fitted = rows.astype(self.path.dtype) @ self._coefficients(n_components)
        return fitted + (self.mean + self.path.level).astype(self.path.dtype)

    def map(self, n_components: int | None = None) -> LinearMap:
        """Weights per feature as it came."""
        weights = self._axes(n_components) @ self._coefficients(n_components)
        return LinearMap(weights, self.mean + self.path.level - (self.centre + self.path.shift) @ weights)

    @property
    def train_mean(self) -> NDArray:
        """Mean of the training responses, ``(n_targets,)``."""
        return self.mean + self.path.level

    def _coefficients(self, n_components: int | None) -> NDArray:
        size, penalty = self.size[:n_components, None], self.penalties(n_components)
        shrunk = (np.sqrt(size) / (size + penalty)).astype(self.path.dtype)
        return shrunk * self.targets[:n_components]

    def _axes(self, n_components: int | None) -> NDArray:
        """Principal axes in units of the centred features."""
        return self._all_axes[:, :n_components]

    @cached_property
    def _all_axes(self) -> NDArray:
        if self.axes is not None:
            return self.axes
        inside = (self.path.x[self.train] - self.centre) * self.inverse
        return self.inverse[:, None] * (inside.T @ (self.left / np.sqrt(self.size)))

    @cached_property
    def _rows(self) -> NDArray:
        """Rows held out along the principal axes."""
        outside = self.path.x[self.test] - self.centre
        if self.axes is not None:
            return outside @ self.axes
        inside = self.path.x[self.train] - self.centre
        return (outside * self.inverse**2) @ inside.T @ (self.left / np.sqrt(self.size))

    def _basis(self) -> NDArray:
        """Left singular vectors, ``(n_train, n_directions)``."""
        if self.left is not None:
            return self.left
        return (self.path.x[self.train] - self.centre) @ self.axes / np.sqrt(self.size)


def held_out_ridge(
    x: ArrayLike, y: ArrayLike, folds: ArrayLike, cfg: RidgePathConfig = RidgePathConfig()
) -> tuple[NDArray, NDArray]:
    """Predict every fold from the others.

    Returns
    -------
    predictions : array, shape (n_stimuli, n_targets)
    penalties : array, shape (n_folds, n_targets)
        As added to eigenvalues.

    Examples
    --------
    >>> x = np.arange(6.0)[:, None]
    >>> predictions, _ = held_out_ridge(x, 3 * x, [0, 0, 0, 1, 1, 1], RidgePathConfig(penalties=(1e-9,)))
    >>> predictions.ravel().round(4).tolist()
    [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]
    """
    path = cfg.build(x, y, folds)
    if len(path.rows) < 2:
        raise ValueError("one fold; leaving it out leaves no stimulus to train on")
    predictions, penalties = np.empty_like(path.y), []
    for fold in path.rows:
        fit = path.without(fold)
        predictions[fit.test] = fit.held_out()
        penalties.append(fit.penalties())
    return predictions, np.stack(penalties)


def grouped_folds(groups: ArrayLike, n_folds: int = 5, seed: int = 0) -> NDArray:
    """Deal whole groups of stimuli into folds of near equal size.

    Parameters
    ----------
    groups : array, shape (n_stimuli,)
        Object, film, run, or the stimulus itself: what must not be in training and test at once.

    Returns
    -------
    array of int, shape (n_stimuli,)

    Raises
    ------
    ValueError
        If there are fewer groups than folds.

    Examples
    --------
    >>> folds = grouped_folds(["a", "a", "b", "c"], 2)
    >>> bool(folds[0] == folds[1]), np.bincount(folds).tolist()
    (True, [2, 2])
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if n_folds < 2 or len(names) < n_folds:
        raise ValueError(f"{len(names)} groups of stimuli cannot make {n_folds} folds of two or more")
    sizes, fold = np.bincount(group), np.empty(len(names), int)
    filled = np.zeros(n_folds, int)
    order = np.random.default_rng(seed).permutation(len(names))
    for name in order[np.argsort(-sizes[order], kind="stable")]:  # large groups first, the rest evens out
        fold[name] = np.argmin(filled)
        filled[fold[name]] += sizes[name]
    return fold[group]


def checked(values: ArrayLike, name: str) -> NDArray:
    """A finite matrix, single precision kept."""
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{name} of shape {values.shape}; want (stimulus, channel), flatten the rest")
    values = values if values.dtype in (np.float32, np.float64) else values.astype(float)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).any(1).sum())
        raise ValueError(f"{name} hold NaN or infinity for {bad} of {len(values)} stimuli")
    return values
