"""Mutual information in bits: what a unit and a variable, each discrete or continuous, tell about each other.

Every estimate from few samples is above 0 for independent data if it counts (plug-in), and both are high
for slow signals that have nothing to do with each other. So an estimate stands next to that of variables
shifted in a circle (:func:`information_null`), never by itself.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma, entr
from scipy.stats import rankdata

from neurolib.metrics.calibration import value_bins
from neurolib.metrics.nulls import null_orders

BIT = np.log(2)


class InformationNull(NamedTuple):
    """What :func:`information_null` found.

    Parameters
    ----------
    bits : float
    null : array, shape (n_shifts,)
        The same with the variable moved.
    excess : float
        Bits above the mean of the null.
    p_value : float
        One-sided; never 0.
    """

    bits: float
    null: NDArray
    excess: float
    p_value: float


def plug_in_information(
    x: ArrayLike, y: ArrayLike, miller_madow: bool = True, n_shuffles: int = 0, seed: int = 0
) -> float:
    """Mutual information of two discrete variables from their table of counts.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Labels.
    miller_madow : bool
        Take off the first-order bias ``(cells - rows - columns + 1) / 2n``, in nats, of what was met.
    n_shuffles : int
        Take off the mean of as many shuffles too; what is left is 0 on average for independent samples.
    seed : int

    Returns
    -------
    float
        Bits; may be below 0 once a bias is taken off.

    Raises
    ------
    ValueError
        If there is not one label each per sample.

    References
    ----------
    .. [1] Miller (1955), "Note on the bias of information estimates", in Information theory in psychology.
    .. [2] Panzeri, Senatore, Montemurro & Petersen (2007), "Correcting for the sampling bias problem in
       spike train information measures", J. Neurophysiol. 98, 1064-1072.

    Examples
    --------
    >>> plug_in_information([0, 0, 1, 1], ["a", "a", "b", "b"], miller_madow=False)
    1.0
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"x {x.shape} and y {y.shape} must be labels of the same samples")
    _, a = np.unique(x, return_inverse=True)
    _, b = np.unique(y, return_inverse=True)
    bits = _plug_in(a, b, miller_madow)
    if n_shuffles:
        draw = np.random.default_rng(seed)
        bits -= float(np.mean([_plug_in(a, draw.permutation(b), miller_madow) for _ in range(n_shuffles)]))
    return bits


def ksg_information(x: ArrayLike, y: ArrayLike, k: int = 3) -> float:
    """Mutual information of two continuous variables from distances to nearest neighbours.

    Columns are first scaled to a variance of 1. Samples with more than ``k`` exact copies, such as the
    zeros of a rectified unit, are counted as copies (Gao et al.), so mixtures are allowed.

    Parameters
    ----------
    x, y : array_like, shape (n,) or (n, d)
    k : int
        Neighbours.

    Returns
    -------
    float
        Bits; scatters about 0 for independent samples. 0 if one of them never changes.

    Raises
    ------
    ValueError
        If samples do not match, are not finite or are not more than ``k``.

    References
    ----------
    .. [1] Kraskov, Stögbauer & Grassberger (2004), "Estimating mutual information", Phys. Rev. E 69,
       066138 (their first estimator).
    .. [2] Gao, Kannan, Oh & Viswanath (2017), "Estimating mutual information for discrete-continuous
       mixtures", NeurIPS.

    Examples
    --------
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 4000))
    >>> round(ksg_information(x, 0.6 * x + 0.8 * noise), 1)  # -log2(1 - 0.6²) / 2 = 0.32
    0.3
    """
    x, y = _scaled(x, "x"), _scaled(y, "y")
    n = len(x)
    if len(y) != n or n <= k or k < 1:
        raise ValueError(f"{n} and {len(y)} samples for k={k} neighbours")
    if not (x.any() and y.any()):
        return 0.0
    both = np.hstack([x, y])
    tree = cKDTree(both)
    radius = tree.query(both, k + 1, p=np.inf)[0][:, -1]
    near = np.full(n, k)
    tied = radius == 0
    if tied.any():
        near[tied] = tree.query_ball_point(both[tied], 0, p=np.inf, return_length=True)
    n_x, n_y = _within(x, radius), _within(y, radius)
    nats = digamma(n) + np.mean(digamma(near) - digamma(n_x) - digamma(n_y))
    return float(nats / BIT)


def label_information(x: ArrayLike, labels: ArrayLike, k: int = 3) -> float:
    """Mutual information of a continuous variable and labels, from distances to neighbours with the same label.

    Parameters
    ----------
    x : array_like, shape (n,) or (n, d)
    labels : array_like, shape (n,)
        Samples that are the only ones with their label are left out.
    k : int
        Neighbours, fewer for a label with fewer samples.

    Returns
    -------
    float
        Bits; scatters about 0 for independent samples.

    Raises
    ------
    ValueError
        If samples do not match or are not finite, or every label is met once only.

    References
    ----------
    .. [1] Ross (2014), "Mutual information between discrete and continuous data sets", PLoS ONE 9, e87357.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=2000)
    >>> label = np.arange(2000) % 2
    >>> round(label_information(x + 100 * label, label), 2)  # never mistaken
    1.0
    """
    x, labels = _scaled(x, "x"), np.asarray(labels)
    if labels.shape != (len(x),) or k < 1:
        raise ValueError(f"labels {labels.shape} for {len(x)} samples, and k={k}")
    _, number, size = np.unique(labels, return_inverse=True, return_counts=True)
    kept = size[number] > 1
    if not kept.any():
        raise ValueError(f"all {len(size)} labels are met once only; are they numbers? use ksg_information")
    x, number = x[kept], number[kept]
    radius, same, near = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
    for label in np.unique(number):
        members = np.flatnonzero(number == label)
        use = min(k, len(members) - 1)
        tree = cKDTree(x[members])
        radius[members] = tree.query(x[members], use + 1, p=np.inf)[0][:, -1]
        same[members], near[members] = len(members), use
        tied = members[radius[members] == 0]
        if len(tied):
            near[tied] = tree.query_ball_point(x[tied], 0, p=np.inf, return_length=True)
    nats = digamma(len(x)) + np.mean(digamma(near) - digamma(same) - digamma(_within(x, radius)))
    return float(nats / BIT)


def information(x: ArrayLike, y: ArrayLike, k: int = 3) -> float:
    """Mutual information by the estimator that suits the two: each is taken as labels or as numbers.

    Parameters
    ----------
    x, y : array_like, shape (n,) or (n, d)
        Strings, truth values and integers of at most 20 values are labels; one column only.
    k : int

    Returns
    -------
    float
        Bits. Of two labels, the plug-in estimate after Miller and Madow.

    Raises
    ------
    ValueError
        As the estimators do.

    Examples
    --------
    >>> information([0, 0, 1, 1] * 100, ["a", "a", "b", "b"] * 100)  # bias of the table: -1 / 800 nats
    1.0018...
    """
    x, y = np.asarray(x), np.asarray(y)
    if is_discrete(x) and is_discrete(y):
        return plug_in_information(x, y)
    if is_discrete(y):
        return label_information(x, y, k)
    return label_information(y, x, k) if is_discrete(x) else ksg_information(x, y, k)


def information_null(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    n_shifts: int = 200,
    max_samples: int = 1000,
    k: int = 3,
    seed: int = 0,
) -> InformationNull:
    """Mutual information next to that of a moved variable: autocorrelation makes both large.

    Parameters
    ----------
    x : array_like, shape (n,) or (n, d)
        Unit, in the order of time.
    y : array_like, shape (n,) or (n, d)
        Variable; moved by :func:`neurolib.metrics.nulls.null_orders`, in a circle or by trials.
    groups : array_like, shape (n,), optional
        Trial of each sample; without any, samples are one recording.
    n_shifts : int
    max_samples : int
        Estimates use as many samples, drawn once, of all the pairs that a shift makes.
    k, seed : int

    Returns
    -------
    InformationNull

    Raises
    ------
    ValueError
        If samples do not match or there are no shifts.

    References
    ----------
    .. [1] Harris (2020), "Nonsense correlations in neuroscience", bioRxiv 2020.11.29.402719.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=300)
    >>> found = information_null(x, x + 0.1 * np.random.default_rng(1).normal(size=300))
    >>> bool(found.bits > found.null.max()), round(found.p_value, 4)  # 1 / 201
    (True, 0.005)
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or n_shifts < 1:
        raise ValueError(f"x {x.shape} and y {y.shape} with n_shifts={n_shifts}")
    rows = subsample(len(x), max_samples, seed)
    orders = null_orders(y, groups, n_shifts, seed)
    bits = information(x[rows], y[rows], k)
    null = np.array([information(x[rows], y[order[rows]], k) for order in orders])
    return InformationNull(
        bits, null, bits - float(null.mean()), float((1 + np.count_nonzero(null >= bits)) / (1 + n_shifts))
    )


def screen(values: ArrayLike, variable: ArrayLike, n_bins: int = 10) -> NDArray:
    """Cheap stand-in for information: the larger of squared rank correlation and eta squared of ranks over bins.

    The one finds slopes, the other any tuning with different means in bins of the variable; a unit whose
    spread alone changes escapes both.

    Parameters
    ----------
    values : array_like, shape (n, n_units)
    variable : array_like, shape (n,)
        Labels, or numbers that are cut into bins of equal count.
    n_bins : int

    Returns
    -------
    array, shape (n_units,)
        From 0 to 1.

    Raises
    ------
    ValueError
        If samples do not match.

    References
    ----------
    .. [1] Kruskal & Wallis (1952), "Use of ranks in one-criterion variance analysis", J. Am. Stat. Assoc. 47,
       583-621.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 101)
    >>> screen(np.column_stack([np.exp(x), x**2, np.arange(101) * 37 % 101]), x).round(1)
    array([1., 1., 0.])
    """
    values, variable = np.asarray(values), np.asarray(variable)
    if values.ndim != 2 or variable.shape != (len(values),):
        raise ValueError(f"values {values.shape} and variable {variable.shape} must share their samples")
    ranks = rankdata(np.ascontiguousarray(values.T), axis=1).astype(np.float32)
    ranks -= ranks.mean(axis=1, keepdims=True)
    total = np.einsum("un,un->u", ranks, ranks)
    discrete = is_discrete(variable)
    label = variable if discrete else value_bins(variable, n_bins, equal_mass=True)
    indicator = np.eye(len(np.unique(label)), dtype=np.float32)[np.unique(label, return_inverse=True)[1]]
    indicator /= np.sqrt(indicator.sum(axis=0))
    best = ((ranks @ indicator) ** 2).sum(axis=1)
    if not discrete:
        line = rankdata(variable)
        line -= line.mean()
        best = np.maximum(best, (ranks @ (line / np.linalg.norm(line)).astype(np.float32)) ** 2)
    return np.divide(best, total, out=np.zeros(len(ranks)), where=total > 0)


def is_discrete(values: NDArray) -> bool:
    """Whether values are labels: strings, truth values, or integers of at most 20 values.

    Examples
    --------
    >>> is_discrete(np.array([0, 1, 1])), is_discrete(np.array([0.0, 1.0, 1.0]))
    (True, False)
    """
    if values.ndim != 1:
        return False
    return values.dtype.kind in "bUSO" or (values.dtype.kind in "iu" and len(np.unique(values)) <= 20)


def subsample(n: int, most: int, seed: int = 0) -> NDArray:
    """Numbers of at most ``most`` of ``n`` samples, drawn without replacement, in order.

    Examples
    --------
    >>> subsample(3, 10)
    array([0, 1, 2])
    """
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).permutation(n)[:most])


def _plug_in(a: NDArray, b: NDArray, miller_madow: bool) -> float:
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    p = table / len(a)
    nats = entr(p.sum(axis=0)).sum() + entr(p.sum(axis=1)).sum() - entr(p).sum()
    if miller_madow:
        nats -= (np.count_nonzero(table) - sum(table.shape) + 1) / (2 * len(a))
    return float(nats / BIT)


def _within(points: NDArray, radius: NDArray) -> NDArray:
    """How many points, itself included, are nearer than each one's radius, or equal to it where that is 0."""
    radius = np.maximum(radius - 1e-12, 0)  # of scaled columns: clear of rounding, far below any distance
    if points.shape[1] > 1:
        return cKDTree(points).query_ball_point(points, radius, p=np.inf, return_length=True)
    line = points[:, 0]
    ordered = np.sort(line)
    return ordered.searchsorted(line + radius, side="right") - ordered.searchsorted(
        line - radius, side="left"
    )


def _scaled(values: ArrayLike, name: str) -> NDArray:
    v = np.asarray(values, float)
    v = v.reshape(len(v), -1) if v.ndim else v
    if v.ndim != 2 or not np.isfinite(v).all():
        raise ValueError(f"{name} {v.shape} must be finite numbers, a row per sample")
    v = v - v.mean(axis=0)
    scale = v.std(axis=0)
    return v / np.where(scale > 1e-12, scale, np.inf)
