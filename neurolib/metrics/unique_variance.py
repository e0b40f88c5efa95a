"""Unique variance: values ``(samples, units)`` and several variables in, what each variable alone explains out.

What a unit shares with position *and* with velocity says nothing about which of the two it carries. The
unique share of a variable is what held-out prediction loses when the variable is left out of a model
that has all of them; whether it is there at all is asked by moving the variable against the units and
against the other variables. A unit is monosemantic if one variable, among those that were asked about,
has nearly all of the unique variance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.preprocessing import SplineTransformer

from neurolib.metrics.nulls import null_orders
from neurolib.metrics.shares import explained, p_values
from neurolib.metrics.statistics import benjamini_hochberg

KINDS = ("labels", "circular", "linear", "spline")


@dataclass(frozen=True)
class UniqueVarianceConfig:
    """How to fit and to test.

    Parameters
    ----------
    n_folds : int
        Of groups.
    n_permutations : int
        For each variable (:func:`neurolib.metrics.nulls.null_orders`); 0 leaves p out.
    tail : {"count", "beta"}
        See :class:`neurolib.metrics.selectivity.SelectivityConfig`.
    ridge : float
        Added to the variance of every column of a design, whose own is 1.
    seed : int
    """

    n_folds: int = 5
    n_permutations: int = 200
    tail: str = "count"
    ridge: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        if self.n_folds < 2 or self.n_permutations < 0 or not self.ridge >= 0:
            raise ValueError(
                f"n_folds={self.n_folds} must be 2 or more, n_permutations={self.n_permutations} and "
                f"ridge={self.ridge} not negative"
            )
        if self.tail not in ("count", "beta"):
            raise ValueError(f"tail={self.tail!r} is 'count' or 'beta'")


class UniqueVariance(NamedTuple):
    """What a :class:`UniqueVarianceTest` found.

    Parameters
    ----------
    names : tuple of str
        Variables.
    full : array, shape (n_units,)
        Held-out R² of all variables together; negative if they predict worse than the mean.
    unique : array, shape (n_units, n_variables)
        What it loses without each variable; slightly negative for one that adds nothing.
    p_value : array, shape (n_units, n_variables)
        Of the variable's partial share of the variance, unadjusted; nan without permutations.
    """

    names: tuple[str, ...]
    full: NDArray
    unique: NDArray
    p_value: NDArray


class Semantics(NamedTuple):
    """What :func:`semantics` found.

    Parameters
    ----------
    kind : array of str, shape (n_units,)
        ``"mono"``, ``"poly"``, ``"mixed"`` (one variable passes, but a second is not far behind) or
        ``"none"`` of the variables asked about.
    variable : array of int, shape (n_units,)
        The one of a monosemantic unit, else -1.
    entropy : array, shape (n_units,)
        Of the shares of unique variance: 0 all in one variable, 1 alike in all; nan without any.
    """

    kind: NDArray
    variable: NDArray
    entropy: NDArray

    def shares(self) -> dict[str, float]:
        """Share of units of each kind."""
        return {kind: float((self.kind == kind).mean()) for kind in ("mono", "poly", "mixed", "none")}


def design(values: ArrayLike, kind: str | None = None, n_knots: int = 4, harmonics: int = 2) -> NDArray:
    """Columns that a unit may be a linear function of, to be tuned to a variable in an arbitrary shape.

    Parameters
    ----------
    values : array_like, shape (n,) or (n, n_dims)
    kind : {"labels", "circular", "linear", "spline"}, optional
        Labels get a column per condition but one, angles in radians cosines and sines, numbers a column
        or a cubic spline with knots at quantiles, for each dimension. By default strings, truth values and
        integers of at most 20 values are labels, one number is a spline, and a vector is linear.
    n_knots, harmonics : int
        Of a spline, with ``n_knots + 1`` columns for each dimension, and of angles, with two columns each.

    Returns
    -------
    array, shape (n, n_columns)
        Columns of mean 0 and variance 1.

    Raises
    ------
    ValueError
        If the variable is constant, not finite, or the kind does not suit it.

    Examples
    --------
    >>> design(["go", "stop", "go", "stop"]).ravel()
    array([-1.,  1., -1.,  1.])
    >>> design([[0.0, 2.0], [1.0, 4.0]], "linear")
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    v = np.asarray(values)
    if v.ndim not in (1, 2) or len(v) < 2:
        raise ValueError(f"a variable is (samples,) or (samples, dims), got {v.shape}")
    if kind is None:
        few = v.ndim == 1 and v.dtype.kind in "iu" and len(np.unique(v)) <= 20
        kind = "labels" if v.dtype.kind in "bUSO" or few else "spline" if v[0].size == 1 else "linear"
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} must be one of {KINDS}")
    if kind == "labels":
        if v.ndim != 1:
            raise ValueError(f"labels must be one per sample, got {v.shape}")
        columns = (v[:, None] == np.unique(v)[1:]).astype(float)
    else:
        v = v.astype(float).reshape(len(v), -1)
        if not np.isfinite(v).all():
            raise ValueError("a variable must be finite; drop samples where it is missing from all variables")
        if kind == "circular":
            orders = np.arange(1, harmonics + 1) * v[..., None]
            columns = np.concatenate([np.cos(orders), np.sin(orders)], axis=-1).reshape(len(v), -1)
        elif kind == "spline" and (np.ptp(v, axis=0) > 0).all():
            spline = SplineTransformer(n_knots, 3, knots="quantile", include_bias=False)
            columns = np.concatenate([spline.fit_transform(column[:, None]) for column in v.T], axis=1)
        else:
            columns = v
    columns = columns - columns.mean(axis=0)
    scale = columns.std(axis=0)
    columns = columns[:, scale > 1e-9] / scale[scale > 1e-9]
    if not columns.shape[1]:
        raise ValueError("a variable is constant, so there is nothing to explain with it")
    return columns


class UniqueVarianceTest:
    """Designs, folds and moved variables, prepared once for any number of units.

    Units then cost one matrix product with the designs, for all models and folds, and one with those of
    the nulls; no unit is fitted by itself.

    Parameters
    ----------
    designs : mapping of str to array, shape (n_samples, n_columns)
        From :func:`design`, two variables or more, samples in the order of time.
    groups : array_like, shape (n_samples,), optional
        Trial of each sample; ``np.arange(n_samples)`` if they are independent. Without any, samples are one
        recording: the null shifts it, and folds are made of 20 stretches (or ``n_folds``).
    config : UniqueVarianceConfig, optional

    Raises
    ------
    ValueError
        If rows do not match or there are fewer groups than folds.

    Examples
    --------
    >>> place, speed = np.random.default_rng(0).normal(size=(2, 400))
    >>> test = UniqueVarianceTest({"place": design(place), "speed": design(speed)})
    >>> found = test.measure((3 * place + np.random.default_rng(1).normal(size=400))[:, None])
    >>> found.full.round(1), found.unique[:, 0].round(1), found.p_value[:, 0].round(3)  # 9 / 10; 1 / 201
    (array([0.9]), array([0.9]), array([0.005]))
    """

    def __init__(
        self,
        designs: Mapping[str, NDArray],
        groups: ArrayLike | None = None,
        config: UniqueVarianceConfig | None = None,
    ):
        self.config, self.names = config or UniqueVarianceConfig(), tuple(designs)
        parts = [np.asarray(part, float) for part in designs.values()]
        if len({len(part) for part in parts}) != 1 or any(part.ndim != 2 for part in parts):
            raise ValueError(f"designs {[part.shape for part in parts]} must be tables of the same samples")
        n = len(parts[0])
        parts_of = np.arange(n) * max(20, self.config.n_folds) // n if groups is None else np.asarray(groups)
        if parts_of.shape != (n,):
            raise ValueError(f"groups {parts_of.shape} for {n} samples")
        self.columns = np.hstack([*parts, np.ones((n, 1))])
        self.owner = np.repeat(np.arange(len(parts) + 1), [*(part.shape[1] for part in parts), 1])
        self.fold = self._folds(parts_of)
        inside = self.fold[:, None] == np.arange(self.config.n_folds)
        self._by_fold = (inside[:, :, None] * self.columns[:, None]).reshape(n, -1)
        self._gram = np.einsum("nfp,nq->fpq", self._by_fold.reshape(n, self.config.n_folds, -1), self.columns)
        self._nulls = [self._null_rows(number, part, groups) for number, part in enumerate(parts)]

    def measure(self, values: ArrayLike) -> UniqueVariance:
        """Measure units.

        Parameters
        ----------
        values : array_like, shape (n_samples, n_units)
            float32 is computed in float32.

        Returns
        -------
        UniqueVariance
            A unit that never changes has shares of 0 and p of 1.

        Raises
        ------
        ValueError
            If samples do not match or are not finite.
        """
        values = np.asarray(values)
        values = values if values.dtype == np.float32 else values.astype(float)
        if values.ndim != 2 or len(values) != len(self.fold) or not np.isfinite(values).all():
            raise ValueError(f"values {values.shape} must be a finite table of {len(self.fold)} samples")
        centred = values - values.mean(axis=0, dtype=float).astype(values.dtype)
        total = np.einsum("nu,nu->u", centred, centred, dtype=float)
        dead = total <= np.finfo(values.dtype).eps ** 1.5 * len(values) * np.abs(values).max(axis=0) ** 2
        total[dead] = np.inf
        cross = (self._by_fold.T.astype(values.dtype) @ centred).astype(float)
        cross = cross.reshape(self.config.n_folds, -1, values.shape[1])
        full = self._gain(cross, np.ones(len(self.owner), bool)) / total
        without = [self._gain(cross, self.owner != v) / total for v in range(len(self.names))]
        p = [self._p(centred, total, v) for v in range(len(self.names))]
        return UniqueVariance(self.names, full, (full - np.array(without)).T, np.array(p).T)

    def _folds(self, groups: NDArray) -> NDArray:
        n_folds = self.config.n_folds
        _, number = np.unique(groups, return_inverse=True)
        if number.max() + 1 < n_folds:
            raise ValueError(f"{number.max() + 1} groups cannot fill {n_folds} folds")
        draw = np.random.default_rng(self.config.seed)
        return draw.permutation(np.arange(number.max() + 1) % n_folds)[number]

    def _gain(self, cross: NDArray, used: NDArray) -> NDArray:
        """Squared error that the used columns save on held-out folds, from sums of products alone."""
        gram, cross = self._gram[:, used][:, :, used], cross[:, used]
        penalty = np.where(self.owner[used] < len(self.names), self.config.ridge, 0)
        saved = np.zeros(cross.shape[2])
        for fold, (test, product) in enumerate(zip(gram, cross, strict=True)):
            n_train = np.count_nonzero(self.fold != fold)
            train = gram.sum(axis=0) - test + n_train * np.diag(penalty)
            weights = np.linalg.lstsq(train, cross.sum(axis=0) - product, rcond=1e-10)[0]
            saved += np.einsum("pu,pu->u", 2 * product - test @ weights, weights)
        return saved

    def _null_rows(
        self, number: int, part: NDArray, groups: ArrayLike | None
    ) -> tuple[NDArray, NDArray, NDArray]:
        """Orthonormal rows: of the rest, of the variable beyond the rest, and of each moved variable beyond it."""
        rest = _orthonormal(self.columns[:, self.owner != number])
        width, rows = part.shape[1], []
        n_nulls = self.config.n_permutations
        orders = null_orders(part, groups, n_nulls, self.config.seed + 1 + number) if n_nulls else []
        for order in (slice(None), *orders):
            moved = part[order]
            basis = np.zeros((len(part), width))
            found = _orthonormal(moved - rest @ (rest.T @ moved))
            basis[:, : found.shape[1]] = found
            rows.append(basis.T.astype(np.float32))
        return rest, np.concatenate(rows), width

    def _p(self, centred: NDArray, total: NDArray, number: int) -> NDArray:
        rest, rows, width = self._nulls[number]
        left = total - explained(centred, rest.T, rest.shape[1], np.ones_like(total))[0]
        left = np.where(np.isfinite(left) & (left > 1e-7 * total), left, np.inf)
        return p_values(explained(centred, rows, width, left), self.config.tail)


def semantics(
    found: UniqueVariance, least: float = 0.05, second: float = 1 / 3, level: float = 0.05
) -> Semantics:
    """Sort units into those of one variable, of several, and of none.

    Monosemantic: exactly one variable is significant (the rate of false findings held over all units and
    variables) with a unique share of ``least`` or more, and no other has more than ``second`` of it.
    Polysemantic: two variables or more are significant and large enough.

    Parameters
    ----------
    found : UniqueVariance
        With permutations; of all units, not of those that look interesting.
    least, second, level : float

    Returns
    -------
    Semantics

    Raises
    ------
    ValueError
        If there are no p-values or fewer than two variables.

    Examples
    --------
    >>> unique, p = np.array([[0.3, 0.0], [0.2, 0.2], [0.0, 0.0]]), np.array([[0.001, 1], [0.001, 0.001], [1, 1]])
    >>> semantics(UniqueVariance(("place", "speed"), unique.sum(axis=1), unique, p))
    Semantics(kind=array(['mono', 'poly', 'none'], dtype='<U5'), variable=array([ 0, -1, -1]), entropy=array([ 0.,  1., nan]))
    """
    unique = found.unique
    if unique.shape[1] < 2 or np.isnan(found.p_value).any():
        raise ValueError(f"{unique.shape[1]} variables; two or more are needed, and their p-values")
    passed = (benjamini_hochberg(found.p_value) <= level) & (unique >= least)
    ordered = np.sort(unique, axis=1)
    alone = ordered[:, -2] <= second * ordered[:, -1]
    n_passed, top = passed.sum(axis=1), unique.argmax(axis=1)
    mono = (n_passed == 1) & alone & passed[np.arange(len(top)), top]
    kind = np.select([n_passed > 1, mono, n_passed == 1], ["poly", "mono", "mixed"], "none")
    positive = unique.clip(0)
    whole = positive.sum(axis=1, keepdims=True)
    share = np.divide(positive, whole, out=np.full(unique.shape, np.nan), where=whole > 0)
    return Semantics(
        kind.astype("<U5"), np.where(mono, top, -1), entr(share).sum(axis=1) / np.log(unique.shape[1])
    )


def _orthonormal(columns: NDArray) -> NDArray:
    """Orthonormal columns of the same span, by the Gram matrix: tall tables have few columns."""
    values, vectors = np.linalg.eigh(columns.T @ columns)
    kept = values > 1e-9 * max(values[-1], len(columns) * 1e-6)
    return columns @ (vectors[:, kept] / np.sqrt(values[kept]))
