"""Whether a point lies where data were: reference rows ``(n, d)`` and queries in, distances and a limit out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Support(NamedTuple):
    """What :func:`support` found.

    Parameters
    ----------
    distance : array, shape (n_queries,)
        Mahalanobis distance from the mean of the reference.
    limit : float
        Distance that the given share of the reference keeps.
    """

    distance: NDArray
    limit: float

    @property
    def outside(self) -> NDArray:
        """Which queries lie beyond the limit, shape (n_queries,)."""
        return self.distance > self.limit


def support(
    reference: ArrayLike, queries: ArrayLike, level: float = 0.95, shrinkage: float = 0.01
) -> Support:
    """Mahalanobis distance of queries, and the distance that most of the reference does not exceed.

    An ellipsoid: a combination that nobody tried can lie inside it. In directions that the reference
    hardly varies in, the distance is large at once; where it never does, it is that of a variance of
    ``shrinkage`` times the mean one.

    Parameters
    ----------
    reference : array_like, shape (n, d)
    queries : array_like, shape (n_queries, d)
    level : float
        Share of the reference inside the limit.
    shrinkage : float
        Share of the mean variance in the covariance, so that it can be inverted.

    Returns
    -------
    Support

    Raises
    ------
    ValueError
        If widths differ, the reference does not vary, or a share is none.

    References
    ----------
    .. [1] Mahalanobis (1936), "On the generalised distance in statistics", Proceedings of the National
       Institute of Sciences of India 2, 49-55.

    Examples
    --------
    >>> found = support([[-1.0], [0.0], [1.0]], [[0.0], [9.0]], level=0.9, shrinkage=0.0)
    >>> found.distance.round(2), found.outside  # the variance is 2 / 3
    (array([ 0.  , 11.02]), array([False,  True]))
    """
    reference, queries = np.asarray(reference, float), np.atleast_2d(np.asarray(queries, float))
    if reference.ndim != 2 or queries.shape[1:] != reference.shape[1:]:
        raise ValueError(f"reference {reference.shape} and queries {queries.shape} must share their columns")
    if not (0 < level < 1 and 0 <= shrinkage < 1):
        raise ValueError(f"level={level} and shrinkage={shrinkage} must be shares")
    centre = reference.mean(axis=0)
    covariance = np.atleast_2d(np.cov(reference.T, bias=True))
    variance = np.trace(covariance) / len(covariance)
    if not variance > 0:
        raise ValueError(f"{len(reference)} rows of reference do not vary; nothing is near or far")
    covariance = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))
    factor = np.linalg.cholesky(covariance)
    near, asked = (
        np.linalg.norm(np.linalg.solve(factor, (rows - centre).T), axis=0) for rows in (reference, queries)
    )
    return Support(asked, float(np.quantile(near, level)))
