"""Statistics: paired differences of two models in, p-values and effect sizes out.

Which differences are independent decides which test is right: one per seed or animal for
:func:`sign_flip_test` and :func:`equivalence_test`, folds or splits of one dataset for
:func:`corrected_resampled_t_test`. Confidence intervals are in :mod:`neurolib.metrics.intervals`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t


class Comparison(NamedTuple):
    """Outcome of a paired test.

    Parameters
    ----------
    difference : float
        Mean difference, in the unit of the score.
    statistic : float
        What the test looked at: Student's t, or the mean difference itself.
    p_value : float
    n : int
        Number of differences.
    """

    difference: float
    statistic: float
    p_value: float
    n: int


def sign_flip_test(differences: ArrayLike, n_resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Two-sided permutation test that paired differences are symmetric about zero.

    Exact up to 20 differences: all ``2**n`` sign patterns. The least p that can be reached is
    ``2 / 2**n``, so five seeds give 0.0625 at best and can never reach 0.05; six can (0.031).

    Parameters
    ----------
    differences : array_like, shape (n,)
        One independent difference per pair: per seed (folds averaged), session or animal.
    n_resamples : int
        Random sign patterns if ``n`` is above 20; the least p is then ``1 / (n_resamples + 1)``.
    seed : int
        Used only above 20.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there are fewer than two differences, or some are not finite.

    References
    ----------
    .. [1] Phipson & Smyth (2010), "Permutation p-values should never be zero", Stat. Appl.
       Genet. Mol. Biol. 9, 39.

    Examples
    --------
    >>> sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0]).p_value
    0.0625
    """
    d = _checked(differences)
    n = len(d)
    # Patterns that tie with the observed one must count, whatever the order of summation rounds to.
    threshold = abs(d.sum()) - 1e-10 * np.abs(d).sum()
    if n <= 20:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        p_value = np.mean(np.abs(sums) >= threshold)
    else:
        draw = np.random.default_rng(seed)
        sums = np.array([np.where(draw.random(n) < 0.5, d, -d).sum() for _ in range(n_resamples)])
        p_value = (np.count_nonzero(np.abs(sums) >= threshold) + 1) / (n_resamples + 1)
    return Comparison(float(d.mean()), float(d.mean()), float(p_value), n)


def corrected_resampled_t_test(differences: ArrayLike, test_fraction: float) -> Comparison:
    r"""Two-sided t-test of differences over folds or random splits of *one* dataset.

    Splits share training data, so their differences are not independent and the plain t-test
    finds too much. The variance of the mean is taken as
    :math:`(1/k + n_{test}/n_{train})\, s^2`, with k - 1 degrees of freedom.

    Parameters
    ----------
    differences : array_like, shape (k,)
        One per split, of all repetitions.
    test_fraction : float
        Share of the test trials among test and training trials: 0.2 for five folds.

    Returns
    -------
    Comparison
        ``statistic`` is the corrected t.

    Raises
    ------
    ValueError
        If there are fewer than two differences, they all agree, or the share is not in (0, 1).

    References
    ----------
    .. [1] Nadeau & Bengio (2003), "Inference for the generalization error", Machine Learning
       52, 239-281.

    Examples
    --------
    >>> test = corrected_resampled_t_test([1.0, 3.0], test_fraction=0.5)  # 2 / sqrt((1/2 + 1) * 2)
    >>> round(test.statistic, 4), round(test.p_value, 4)  # for 1 degree: 1 - 2 arctan(t) / pi
    (1.1547, 0.4544)
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction={test_fraction} must lie between 0 and 1; five folds have 0.2")
    d, spread = _spread(differences)
    t = d.mean() / (spread * np.sqrt(1 / len(d) + test_fraction / (1 - test_fraction)))
    return Comparison(float(d.mean()), float(t), float(2 * student_t.sf(abs(t), len(d) - 1)), len(d))


def equivalence_test(differences: ArrayLike, margin: float) -> Comparison:
    """Two one-sided t-tests for a mean difference that is within ±margin.

    A small p says *equivalent*. A large p of a test for a difference never does.

    Parameters
    ----------
    differences : array_like, shape (n,)
        Independent paired differences.
    margin : float
        Largest difference that does not matter, fixed beforehand, in the unit of the score.

    Returns
    -------
    Comparison
        ``p_value`` is the larger of the two one-sided ones, ``statistic`` the t that gave it.

    Raises
    ------
    ValueError
        If there are fewer than two differences, they all agree, or the margin is not positive.

    References
    ----------
    .. [1] Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power
       approach for assessing the equivalence of average bioavailability", J. Pharmacokinet.
       Biopharm. 15, 657-680.

    Examples
    --------
    >>> test = equivalence_test([-1.0, 1.0], margin=2.0)  # t = 2 on 1 degree: 1/2 - arctan(2) / pi
    >>> round(test.p_value, 4)
    0.1476
    """
    if not margin > 0:
        raise ValueError(f"margin={margin} must be positive, in the unit of the differences")
    d, spread = _spread(differences)
    error = spread / np.sqrt(len(d))
    above, below = (d.mean() + margin) / error, (margin - d.mean()) / error
    t, p_value = min(above, below), student_t.sf(min(above, below), len(d) - 1)
    return Comparison(float(d.mean()), float(t), float(p_value), len(d))


def holm(p_values: ArrayLike) -> NDArray:
    """P-values of a family of comparisons, adjusted so that the chance of *any* false finding holds.

    Parameters
    ----------
    p_values : array_like, shape (n,)
        All comparisons that were declared, not only the promising ones.

    Returns
    -------
    array, shape (n,)
        In the given order, at most 1.

    Raises
    ------
    ValueError
        If a value is not between 0 and 1.

    References
    ----------
    .. [1] Holm (1979), "A simple sequentially rejective multiple test procedure", Scand. J.
       Stat. 6, 65-70.

    Examples
    --------
    >>> holm([0.01, 0.5, 0.04])  # 3 x 0.01, 1 x 0.5, 2 x 0.04
    array([0.03, 0.5 , 0.08])
    """
    p = np.asarray(p_values, float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be one row of numbers from 0 to 1, got {p}")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike, n_tests: int | None = None) -> NDArray:
    """P-values of a family of tests, adjusted so that the expected *share* of false findings holds.

    For many tests of which many may be true, such as one per unit. Valid for tests that are independent
    or positively dependent.

    Parameters
    ----------
    p_values : array_like
        Of any shape; all of it is one family.
    n_tests : int, optional
        Size of the family if only its most promising members were tested; the others count as 1.

    Returns
    -------
    array
        In the given shape, at most 1. Those up to 0.05 are findings of which 5 % are false on average.

    Raises
    ------
    ValueError
        If a value is not between 0 and 1, or the family is smaller than what was tested.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), "Controlling the false discovery rate", J. R. Stat. Soc. B 57,
       289-300.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03])  # 0.01 x 3 / 1, 0.04 x 3 / 3, and 0.03 x 3 / 2 is not less
    array([0.03, 0.04, 0.04])
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be numbers from 0 to 1, got {p.min():g} to {p.max():g}")
    n_tests = p.size if n_tests is None else n_tests
    if n_tests < p.size:
        raise ValueError(f"{p.size} p-values cannot come from a family of {n_tests}")
    flat = p.ravel()
    order = np.argsort(flat)
    scaled = flat[order] * n_tests / np.arange(1, p.size + 1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted.reshape(p.shape)


def paired_effect_size(differences: ArrayLike) -> float:
    """Cohen's d_z: mean of paired differences over their standard deviation (n - 1).

    Not the d of unpaired groups, whose pooled deviation is blind to the pairing.

    Parameters
    ----------
    differences : array_like, shape (n,)

    Returns
    -------
    float
        Times ``sqrt(n)`` it is the paired t.

    Raises
    ------
    ValueError
        If there are fewer than two differences, or they all agree.

    Examples
    --------
    >>> paired_effect_size([1.0, 2.0, 3.0])
    2.0
    """
    d, spread = _spread(differences)
    return float(d.mean() / spread)


def _checked(differences: ArrayLike) -> NDArray:
    d = np.asarray(differences, float)
    if d.ndim != 1 or len(d) < 2 or not np.isfinite(d).all():
        raise ValueError(
            f"differences must be two or more finite numbers in one row, got shape {d.shape}: {d}"
        )
    return d


def _spread(differences: ArrayLike) -> tuple[NDArray, float]:
    """Differences and their standard deviation, which must not be zero."""
    d = _checked(differences)
    if not np.ptp(d):
        raise ValueError(
            f"all {len(d)} differences are {d[0]:g}: no spread to test against; are seeds really different?"
        )
    return d, d.std(ddof=1)
