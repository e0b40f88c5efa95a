"""Ridge on few windows of many features: rows ``(n, feature)`` and a number each in, a linear map out.

Windows that overlap are near copies, so the penalty is chosen by leaving out whole groups of them, in closed form.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class WindowRidge:
    """Ridge regression in its dual form, for fewer rows than features.

    Parameters
    ----------
    penalties : sequence of float
        To choose from.

    Notes
    -----
    With :math:`G = XX^\\top + \\lambda I` and :math:`c = G^{-1} y`, the residuals of rows :math:`b` when they are
    left out are :math:`(G^{-1}_{bb})^{-1} c_b`; the means are those of all rows.

    References
    ----------
    .. [1] Hastie, Tibshirani and Friedman (2009), "The elements of statistical learning", section 7.10 (one row at
       a time).

    Examples
    --------
    >>> x = np.array([[1.0, 0], [-1, 0], [2, 0], [-2, 0]])
    >>> WindowRidge([1e-6, 1e6]).fit(x, 3 * x[:, 0], [0, 0, 1, 1]).predict([[5.0, 9.0]]).round(3).tolist()
    [15.0]
    """

    def __init__(self, penalties: Sequence[float] = tuple(np.geomspace(1, 1e4, 9))):
        self.penalties = list(penalties)

    def fit(self, x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> "WindowRidge":
        """Choose the penalty by leaving out one group after another, and fit all rows.

        Raises
        ------
        ValueError
            If there is a single group.
        """
        x, y, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(groups)
        rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        if len(rows) < 2:
            raise ValueError("one group of rows; leaving it out leaves none")
        self.centre, self.level = x.mean(0), y.mean()
        x, y = x - self.centre, y - self.level
        size, axes = np.linalg.eigh(x @ x.T)
        losses = [left_out((axes / (size + p)) @ axes.T, y, rows) for p in self.penalties]
        self.penalty = self.penalties[int(np.argmin(losses))]
        self.weights = x.T @ (axes @ (axes.T @ y / (size + self.penalty)))
        return self

    def predict(self, x: ArrayLike) -> NDArray:
        """Numbers ``(n,)`` of rows ``(n, feature)``."""
        return (np.asarray(x, float) - self.centre) @ self.weights + self.level


def left_out(inverse: NDArray, y: NDArray, rows: Sequence[NDArray]) -> float:
    """Sum of squared residuals of groups of rows that were left out in turn."""
    dual = inverse @ y
    residuals = [np.linalg.solve(inverse[np.ix_(part, part)], dual[part]) for part in rows]
    return float(sum(np.square(part).sum() for part in residuals))
