"""Probes: frozen features ``(n, d)`` and something they may know in, how well a fresh reader finds it out.

A probe is fitted anew and scored on groups it has not seen. The same probe on permuted targets says
what its score is worth: for a small effect, or many features, that is rarely 0.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor

PENALTIES = np.logspace(-4, 4, 17)  # of the ridge, in units of the number of training rows


@dataclass(frozen=True)
class ProbeConfig:
    """How to read features.

    Parameters
    ----------
    reader : {"ridge", "mlp"}
        Linear, its penalty chosen within the training rows by generalised cross-validation (for
        each permutation too); or a perceptron with one hidden layer.
    score : {"r2", "balanced_accuracy", "macro_auc"}
        R² of numbers, the mean over outputs; or, for labels, the mean recall of the classes (chance
        is one over their number), or the mean area under each class's curve against the rest.
    n_folds : int
    n_permutations : int
        All come out of one factorisation for the ridge; the perceptron is trained anew for each,
        so ask for about 20, whose 95th percentile is nearly their largest.
    level : float
        Quantile of the permuted scores that a finding must exceed.
    hidden : int
        Units of the perceptron.
    max_epochs : int
        Epochs of the perceptron.
    weight_penalty : float
        Squared weights of the perceptron, summed over rows: large enough that a few hundred rows of
        noise are not learnt by heart.
    seed : int
    """

    reader: str = "ridge"
    score: str = "r2"
    n_folds: int = 5
    n_permutations: int = 200
    level: float = 0.95
    hidden: int = 32
    max_epochs: int = 100
    weight_penalty: float = 3.0
    seed: int = 0

    def __post_init__(self):
        if self.reader not in ("ridge", "mlp"):
            raise ValueError(f"reader={self.reader!r} must be 'ridge' or 'mlp'")
        if self.score not in ("r2", "balanced_accuracy", "macro_auc"):
            raise ValueError(f"score={self.score!r} must be 'r2', 'balanced_accuracy' or 'macro_auc'")
        if self.n_folds < 2 or self.n_permutations < 1 or not 0 < self.level < 1:
            raise ValueError(
                f"n_folds={self.n_folds} must be 2 or more, n_permutations={self.n_permutations} 1 or more and "
                f"level={self.level} between 0 and 1"
            )


class Probe(NamedTuple):
    """What :func:`probe` found.

    Parameters
    ----------
    score : float
        On held-out groups.
    null : array, shape (n_permutations,)
        The same with permuted targets.
    threshold : float
        Quantile of the null.
    p_value : float
        One-sided; never 0.
    """

    score: float
    null: NDArray
    threshold: float
    p_value: float

    @property
    def found(self) -> bool:
        """Whether the score exceeds the threshold."""
        return self.score > self.threshold


def probe(
    features: ArrayLike,
    target: ArrayLike,
    groups: ArrayLike | None = None,
    config: ProbeConfig | None = None,
) -> Probe:
    """Fit a fresh reader by cross-validation, and again on permuted targets.

    Parameters
    ----------
    features : array_like, shape (n, d)
        Frozen, made without the target.
    target : array_like, shape (n,) or (n, n_outputs)
        Numbers for ``"r2"``; one label per row for the other scores.
    groups : array_like, shape (n,), optional
        Rows of one group are never on both sides of a fold. A target that is constant within groups
        is permuted among groups (each with one value), any other among rows: if rows of a group
        resemble each other, that null is too narrow.
    config : ProbeConfig, optional
        Memory holds every permuted target twice: ``16 n n_outputs n_permutations`` bytes.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        If rows do not match, features are not finite, the target is constant, or groups are fewer
        than folds.

    References
    ----------
    .. [1] Alain & Bengio (2017), "Understanding intermediate layers using linear classifier probes",
       ICLR workshop.
    .. [2] Golub, Heath & Wahba (1979), "Generalized cross-validation as a method for choosing a good
       ridge parameter", Technometrics 21, 215-223.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(60, 3))
    >>> result = probe(features, 2 * features[:, 0] - features[:, 2])
    >>> round(result.score, 3), result.found, round(result.p_value, 4)  # 1 / 201
    (1.0, True, 0.005)
    """
    config = ProbeConfig() if config is None else config
    x, y, groups = _checked(features, target, groups, config)
    classes = None
    if config.score != "r2":
        classes, labels = np.unique(y, return_inverse=True)
        y = np.eye(len(classes))[labels.ravel()]
    draw = np.random.default_rng(config.seed)
    orders = [np.arange(len(x)), *_permutations(y, groups, config.n_permutations, draw)]
    targets = np.stack([y[order] for order in orders])  # (1 + permutation, row, output)
    folds = list(GroupKFold(config.n_folds, shuffle=True, random_state=config.seed).split(x, groups=groups))
    predictions = np.empty_like(targets)
    for train, test in folds:
        scale = x[train].std(axis=0)
        scaled = (x - x[train].mean(axis=0)) / np.where(scale > 0, scale, 1)
        read = _ridge if config.reader == "ridge" else _perceptron
        predictions[:, test] = read(scaled[train], targets[:, train], scaled[test], config)
    if config.score == "r2":
        scores = _r2(targets, predictions)
    elif config.score == "balanced_accuracy":
        scores = _balanced_accuracy(targets, predictions, folds)
    else:
        scores = _macro_auc(targets, predictions, folds)
    score, null = float(scores[0]), scores[1:]
    p_value = (1 + np.count_nonzero(null >= score)) / (1 + len(null))
    return Probe(score, null, float(np.quantile(null, config.level)), float(p_value))


def _ridge(x: NDArray, targets: NDArray, x_test: NDArray, config: ProbeConfig) -> NDArray:
    """Predict all permutations ``(p, n, k)`` from one singular value decomposition."""
    n = len(x)
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    mean = targets.mean(axis=1, keepdims=True)
    projected = np.einsum("nr,pnk->prk", left, targets - mean, optimize=True)
    total = ((targets - mean) ** 2).sum(axis=(1, 2))
    shrink = singular**2 / (singular**2 + n * PENALTIES[:, None])  # (penalty, r)
    energy = (projected**2).sum(axis=2)  # (p, r)
    residual = total[:, None] - energy @ (2 * shrink - shrink**2).T
    generalised = residual / (n - 1 - shrink.sum(axis=1)).clip(min=1e-9) ** 2  # 1 for the mean
    best = shrink[generalised.argmin(axis=1)]  # (p, r)
    weights = np.divide(best, singular, out=np.zeros_like(best), where=singular > 1e-10 * singular[0])
    return mean + (x_test @ right.T) @ (weights[..., None] * projected)


def _perceptron(x: NDArray, targets: NDArray, x_test: NDArray, config: ProbeConfig) -> NDArray:
    """Predict ``(p, n_test, k)`` with a network trained for each permutation."""
    settings = dict(
        hidden_layer_sizes=(config.hidden,),
        max_iter=config.max_epochs,
        alpha=config.weight_penalty,
        learning_rate_init=3e-3,
        random_state=config.seed,
    )
    predictions = np.empty((len(targets), len(x_test), targets.shape[2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is meant
        for number, target in enumerate(targets):
            if config.score == "r2":
                mean, scale = target.mean(axis=0), target.std(axis=0)
                standard = (target - mean) / np.where(scale > 0, scale, 1)
                fitted = MLPRegressor(**settings).fit(
                    x, standard[:, 0] if standard.shape[1] == 1 else standard
                )
                predictions[number] = fitted.predict(x_test).reshape(len(x_test), -1) * scale + mean
            else:
                fitted = MLPClassifier(**settings).fit(x, target.argmax(axis=1))
                predictions[number] = 0
                predictions[number][:, fitted.classes_] = fitted.predict_proba(x_test)
    return predictions


def _permutations(y: NDArray, groups: NDArray, n: int, draw: np.random.Generator) -> list[NDArray]:
    """Row numbers to read the target from: among groups if it is constant within them, else among rows."""
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    if (y == y[first][number]).all():
        return [first[draw.permutation(len(first))][number] for _ in range(n)]
    return [draw.permutation(len(y)) for _ in range(n)]


def _r2(targets: NDArray, predictions: NDArray) -> NDArray:
    error = ((targets - predictions) ** 2).sum(axis=1)
    return (1 - error / ((targets - targets.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)).mean(axis=1)


def _balanced_accuracy(targets: NDArray, predictions: NDArray, folds: list) -> NDArray:
    """Mean recall; a share over its base rate is chosen, or a common class would be said always."""
    chosen = np.empty(targets.shape[:2], int)
    for train, test in folds:
        rate = targets[:, train].mean(axis=1, keepdims=True)
        chosen[:, test] = (predictions[:, test] / np.where(rate > 0, rate, np.inf)).argmax(axis=2)
    right = chosen[..., None] == np.arange(targets.shape[2])
    return ((right * targets).sum(axis=1) / targets.sum(axis=1)).mean(axis=1)


def _macro_auc(targets: NDArray, predictions: NDArray, folds: list) -> NDArray:
    """Mean over folds and classes; scores of different folds are not compared with each other."""
    areas = []
    for _, test in folds:
        truth, ranks = targets[:, test], rankdata(predictions[:, test], axis=1)
        inside = truth.sum(axis=1)
        pairs = inside * (len(test) - inside)
        wins = (ranks * truth).sum(axis=1) - inside * (inside + 1) / 2
        areas.append(np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1), np.nan))
    return np.nanmean(np.stack(areas), axis=(0, 2))


def _checked(
    features: ArrayLike, target: ArrayLike, groups: ArrayLike | None, config: ProbeConfig
) -> tuple[NDArray, NDArray, NDArray]:
    x, y = np.asarray(features, float), np.asarray(target)
    groups = np.arange(len(x)) if groups is None else np.asarray(groups)
    if x.ndim != 2 or not len(x) == len(y) == len(groups) or groups.ndim != 1:
        raise ValueError(
            f"features {x.shape}, target {y.shape} and groups {groups.shape} must share their rows"
        )
    if config.score == "r2":
        y = y.astype(float).reshape(len(y), -1)
    elif y.ndim != 1:
        raise ValueError(f"{config.score} needs one label per row, got a target {y.shape}")
    numbers = [x] if config.score != "r2" else [x, y]
    if not all(np.isfinite(part).all() for part in numbers):
        raise ValueError("features and targets must be finite; drop rows with missing values first")
    if (y == y[0]).all(axis=0).any():
        raise ValueError(f"a target is constant ({y[0]}), so there is nothing to find")
    if len(np.unique(groups)) < config.n_folds:
        raise ValueError(f"{len(np.unique(groups))} groups cannot fill {config.n_folds} folds")
    return x, y, groups
