r"""Polysemanticity: responses ``(stimulus, unit)`` and categories in, which categories each unit singles out out.

A unit singles a category out if its responses rank stimuli of that category above all others. A unit that does so for
two categories is polysemantic only if the two have nothing to do with each other: animals and faces are no two
meanings. Noise hides selectivity, so model units look more selective than neurons; :func:`matched_noise` brings them
to the reliability of neurons first.

References
----------
.. [1] Hanley & McNeil (1982), "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
   Radiology 143.
.. [2] Benjamini & Hochberg (1995), "Controlling the false discovery rate", J. R. Stat. Soc. B 57.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, ndtr
from scipy.stats import rankdata

from neurolib.metrics.statistics import benjamini_hochberg


@dataclass(frozen=True)
class PolysemanticityConfig:
    """When a unit counts as selective.

    Parameters
    ----------
    least_auroc : float
    level : float
        False discoveries among all pairs of unit and category.
    n_permutations : int
        Of categories over stimuli; p is never below ``1 / (n_permutations + 1)``, so few pairs among many need many.
        0 takes the normal distribution with the variance of all permutations, ties included, which has no floor.
    seed : int
    """

    least_auroc: float = 0.65
    level: float = 0.05
    n_permutations: int = 1000
    seed: int = 0

    def __post_init__(self):
        if not 0.5 <= self.least_auroc < 1 or not 0 < self.level < 1 or self.n_permutations < 0:
            raise ValueError(
                f"least_auroc={self.least_auroc} lies from 0.5 to 1, level={self.level} is a share, "
                f"n_permutations={self.n_permutations} not negative"
            )


@dataclass(frozen=True, eq=False)
class CategorySelectivity:
    """What units single out; tables are ``(n_units, n_categories)``, NaN for units that never change.

    Attributes
    ----------
    auroc : array
        Chance that a stimulus of the category has the larger response than one of the rest; ties count half.
    p_value, q_value : array
        That it is larger than 0.5, within the unit, and adjusted over all units and categories.
    selective : array of bool
    categories : array
    config : PolysemanticityConfig
    """

    auroc: NDArray
    p_value: NDArray
    q_value: NDArray
    selective: NDArray
    categories: NDArray
    config: PolysemanticityConfig

    @property
    def n_selected(self) -> NDArray:
        """Categories that each unit singles out, ``(n_units,)``."""
        return self.selective.sum(axis=1)

    def polysemantic(self, distances: ArrayLike, unrelated: float) -> NDArray:
        """Units that single out two categories that have nothing to do with each other, bool ``(n_units,)``.

        Parameters
        ----------
        distances : array_like, shape (n_categories, n_categories)
            In a taxonomy or an embedding of their names, in the order of ``categories``.
        unrelated : float
            Distance from which two categories are unrelated; set before units are seen.

        Raises
        ------
        ValueError
            If distances are not symmetric or of another size, or no two categories are unrelated.
        """
        table = np.asarray(distances, float)
        if table.shape != (len(self.categories),) * 2 or not np.allclose(table, table.T):
            raise ValueError(
                f"distances {table.shape} of {len(self.categories)} categories must be symmetric"
            )
        far = (table >= unrelated) & ~np.eye(len(table), dtype=bool)
        if not far.any():
            raise ValueError(
                f"no two categories are {unrelated:g} or more apart; the largest is {table.max():g}"
            )
        chosen = self.selective.astype(float)
        return ((chosen @ far) * chosen).sum(axis=1) > 0


def category_auroc(responses: ArrayLike, members: ArrayLike) -> NDArray:
    """Area under the curve of each category against the rest, for all categories from one ranking per unit.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)
    members : array_like of bool, shape (n_stimuli, n_categories)
        Categories may overlap.

    Returns
    -------
    array, shape (n_units, n_categories)
        NaN for units that never change.

    Raises
    ------
    ValueError
        If a category holds all stimuli or none, or responses are not finite.

    Examples
    --------
    >>> category_auroc([[1.0], [2.0], [3.0], [3.0]], [[True], [False], [True], [False]]).tolist()
    [[0.375]]
    """
    x, member = _checked(responses, members)
    ranks = rankdata(x, axis=0)
    return np.where(np.ptp(x, axis=0)[:, None] > 0, _area(ranks, member), np.nan)


def category_selectivity(
    responses: ArrayLike, labels: ArrayLike, config: PolysemanticityConfig | None = None
) -> CategorySelectivity:
    """Test every category against the rest in every unit.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)
        One row per stimulus, repeats averaged. Selectivity found depends on the number of stimuli and on
        reliability, so both must match where units are compared.
    labels : array_like, shape (n_stimuli,)
        Category of each stimulus.
    config : PolysemanticityConfig, optional

    Examples
    --------
    >>> labels = np.repeat(["face", "house", "tool"], 20)
    >>> unit = np.where(labels == "tool", 0, 1) + 0.1 * np.random.default_rng(0).normal(size=60)
    >>> found = category_selectivity(unit[:, None], labels)
    >>> found.categories[found.selective[0]].tolist()
    ['face', 'house']
    >>> kinds = 1 - np.eye(3)
    >>> found.polysemantic(kinds, unrelated=1).tolist()
    [True]
    """
    config = config or PolysemanticityConfig()
    categories, number = np.unique(np.asarray(labels), return_inverse=True)
    x, member = _checked(responses, number.ravel()[:, None] == np.arange(len(categories)))
    ranks, changing = rankdata(x, axis=0), np.ptp(x, axis=0) > 0
    area = _area(ranks, member)
    p = _permuted_p(ranks, member, area, config) if config.n_permutations else _normal_p(ranks, member, area)
    area, p, q = (np.where(changing[:, None], table, np.nan) for table in (area, p, np.nan * p))
    if changing.any():
        q[changing] = benjamini_hochberg(p[changing])
    selective = (area >= config.least_auroc) & (q <= config.level)
    return CategorySelectivity(area, p, q, selective, categories, config)


def effective_categories(responses: ArrayLike, labels: ArrayLike, baseline: ArrayLike = 0.0) -> NDArray:
    """Number of categories that a unit responds to as if alike: exponential of the entropy of what exceeds a baseline.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)
    labels : array_like, shape (n_stimuli,)
    baseline : float or array_like, shape (n_units,)
        Response to nothing: the spontaneous rate, zero of a rectified unit.

    Returns
    -------
    array, shape (n_units,)
        From 1 to the number of categories; NaN for a unit that no category drives. Noise raises it.

    Examples
    --------
    >>> effective_categories([[4.0, 1], [2, 1], [0, 1], [0, 1]], [0, 0, 1, 2], baseline=[0.0, 0.5]).round(6).tolist()
    [1.0, 3.0]
    """
    categories, number = np.unique(np.asarray(labels), return_inverse=True)
    x, member = _checked(responses, number.ravel()[:, None] == np.arange(len(categories)))
    means = member.T @ x / member.sum(axis=0)[:, None]
    above = np.maximum(means - np.asarray(baseline, float), 0)
    total = above.sum(axis=0)
    return np.exp(entr(above / np.where(total > 0, total, np.nan)).sum(axis=0))


def matched_noise(
    responses: ArrayLike, reliability: ArrayLike, kind: str = "poisson", n_repeats: int = 1, seed: int = 0
) -> NDArray:
    """Repeats of noiseless units with the reliability of neurons.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)
        Of a model, the same each time.
    reliability : float or array_like, shape (n_neurons,)
        Correlation of two repeats of neurons, above 0. Each unit takes that of a neuron drawn at random; with as many
        repeats averaged as neurons had, use the reliability of one.
    kind : {"poisson", "gaussian"}
        Counts whose variance is their mean, of responses that are not negative, or noise alike for all stimuli.
    n_repeats, seed : int

    Returns
    -------
    array, shape (n_repeats, n_stimuli, n_units)
        In the units of the responses. Units that never change stay as they are.

    Raises
    ------
    ValueError
        If a reliability is not above 0 and at most 1, or responses are negative for counts.

    Examples
    --------
    >>> x = np.random.default_rng(0).gamma(2, size=(5000, 1))
    >>> a, b = matched_noise(x, 0.3, n_repeats=2, seed=1)
    >>> bool(abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1] - 0.3) < 0.04)
    True
    """
    x = np.asarray(responses, float)
    wanted = np.atleast_1d(np.asarray(reliability, float))
    if x.ndim != 2 or not np.isfinite(x).all() or kind not in ("poisson", "gaussian"):
        raise ValueError(
            f"responses {x.shape} must be a finite table and kind={kind!r} 'poisson' or 'gaussian'"
        )
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(
            f"reliabilities from {wanted.min():g} to {wanted.max():g}; leave out neurons without any, on both sides"
        )
    draw = np.random.default_rng(seed)
    rho = draw.choice(wanted, x.shape[1])
    variance, shape = x.var(axis=0), (n_repeats, *x.shape)
    noisy = (variance > 0) & (rho < 1)
    found = np.broadcast_to(x, shape).copy()
    odds = (1 - rho[noisy]) / rho[noisy]  # variance of noise over that of the signal
    if kind == "gaussian":
        scale = np.sqrt(variance[noisy] * odds)
        found[:, :, noisy] += scale * draw.normal(size=(*shape[:2], int(noisy.sum())))
        return found
    if (x < 0).any():
        raise ValueError(f"{int((x < 0).any(axis=0).sum())} units have negative responses; counts need rates")
    # counts of c x have noise c mean(x) and signal c² var(x)
    gain = x[:, noisy].mean(axis=0) / (odds * variance[noisy])
    found[:, :, noisy] = draw.poisson(gain * found[:, :, noisy]) / gain
    return found


def _area(ranks: NDArray, member: NDArray) -> NDArray:
    inside = member.sum(axis=0)
    return (ranks.T @ member - inside * (inside + 1) / 2) / (inside * (len(ranks) - inside))


def _permuted_p(ranks: NDArray, member: NDArray, area: NDArray, config: PolysemanticityConfig) -> NDArray:
    draw, above = np.random.default_rng(config.seed), np.zeros(area.shape)
    for _ in range(config.n_permutations):
        # sums of ranks are multiples of a half, so ties with what was observed are exact but for the division
        above += _area(ranks, member[draw.permutation(len(member))]) >= area - 1e-12
    return (1 + above) / (1 + config.n_permutations)


def _normal_p(ranks: NDArray, member: NDArray, area: NDArray) -> NDArray:
    n, inside = len(ranks), member.sum(axis=0)
    # variance of a mean of ranks drawn without replacement, whatever the ties
    scale = np.sqrt(ranks.var(axis=0, ddof=1)[:, None] / (inside * (n - inside) * n))
    return ndtr((0.5 - area) / np.where(scale > 0, scale, np.nan))


def _checked(responses: ArrayLike, members: ArrayLike) -> tuple[NDArray, NDArray]:
    x, member = np.asarray(responses, float), np.asarray(members).astype(float)
    if x.ndim != 2 or member.ndim != 2 or len(x) != len(member):
        raise ValueError(f"responses {x.shape} and categories {member.shape} must have a row per stimulus")
    if not np.isfinite(x).all():
        raise ValueError(
            f"responses hold NaN or infinity in {int((~np.isfinite(x)).any(axis=0).sum())} units"
        )
    inside = member.sum(axis=0)
    if not ((inside > 0) & (inside < len(x))).all():
        raise ValueError(
            f"category {int(np.argmin((inside > 0) & (inside < len(x))))} holds all stimuli, or none"
        )
    return x, member
