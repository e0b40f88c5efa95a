"""Partial least squares: features ``(stimulus, feature)`` and responses ``(stimulus, target)`` in, a linear map out.

References
----------
.. [1] Dayal & MacGregor (1997), "Improved PLS algorithms", J. Chemometrics 11(1).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.encoding import LinearMap, checked


def fit_pls(x: ArrayLike, y: ArrayLike, n_components: int = 25) -> LinearMap:
    """Partial least squares of all targets at once: PLS2 regression, features centred and not scaled.

    Components depend on which targets are fitted together, so a neuron's score changes with its company. Only the
    cross-product of features and responses is deflated, which gives the same map as deflating both.

    Parameters
    ----------
    x : array, shape (n_stimuli, n_features)
    y : array, shape (n_stimuli, n_targets)
    n_components : int

    Raises
    ------
    ValueError
        If there are not as many components as are asked for.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 2.0]])
    >>> fit_pls(x, x @ [[1.0], [2.0]], 2).weights.round(6).ravel().tolist()
    [1.0, 2.0]
    """
    x, y = checked(x, "features").astype(float), checked(y, "responses").astype(float)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} rows of features, {len(y)} of responses")
    if not 1 <= n_components <= min(len(x) - 1, x.shape[1]):
        raise ValueError(f"n_components={n_components} from {len(x)} stimuli of {x.shape[1]} features")
    centre, mean = x.mean(0), y.mean(0)
    x, shared = x - centre, (x - centre).T @ (y - mean)
    first = np.linalg.norm(shared)
    rotations, loadings, answers = [], [], []
    for _ in range(n_components):
        if not np.linalg.norm(shared) > 1e-12 * first:
            break  # the responses are explained
        direction = _leading(shared)
        rotation = direction.copy()
        for loading, earlier in zip(loadings, rotations, strict=True):
            rotation -= (loading @ direction) * earlier
        score = x @ rotation
        power = score @ score
        rotations.append(rotation)
        loadings.append(x.T @ score / power)
        answers.append(rotation @ shared / power)
        shared = shared - power * np.outer(loadings[-1], answers[-1])
    weights = np.array(rotations).reshape(-1, x.shape[1]).T @ np.array(answers).reshape(-1, y.shape[1])
    return LinearMap(weights, mean - centre @ weights)


def _leading(matrix: NDArray) -> NDArray:
    """First left singular vector."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    rows, columns = matrix.shape
    if min(rows, columns) <= 64:
        small = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
        vector = np.linalg.eigh(small)[1][:, -1]
    else:
        tall = rows > columns
        inner = (lambda v: matrix.T @ (matrix @ v)) if tall else (lambda v: matrix @ (matrix.T @ v))
        size = min(rows, columns)
        start = (
            matrix[np.argmax(np.square(matrix).sum(1))]
            if tall
            else matrix[:, np.argmax(np.square(matrix).sum(0))]
        )
        vector = eigsh(LinearOperator((size, size), inner, dtype=float), k=1, v0=start)[1][:, 0]
    vector = vector if rows <= columns else matrix @ vector
    return vector / np.linalg.norm(vector)
