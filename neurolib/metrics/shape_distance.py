r"""Shape distance: activations ``(stimulus, channel)`` of several layers in, how far apart they stay under any rotation out.

.. math::
    d(X, Y) = \min_Q |X - Y Q|_F = \sqrt{|X|^2 + |Y|^2 - 2 |X^\top Y|_*}, \qquad
    \theta(X, Y) = \arccos \frac{|X^\top Y|_*}{|X| |Y|}

of centred layers, with :math:`|\cdot|_*` the sum of singular values. Both are metrics (narrower layers are taken to have
channels of zeros), so that layers can be clustered or laid out by them; one minus CKA is none. Operators, which
rotate on both sides, are compared in :mod:`neurolib.metrics.procrustes`.

References
----------
.. [1] Williams, Kunz, Kornblith & Linderman (2021), "Generalized shape metrics on neural representations", NeurIPS,
   arXiv:2110.14739.
.. [2] Ding, Denain & Steinhardt (2021), "Grounding representation similarity through statistical testing", NeurIPS,
   arXiv:2108.01661.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.metrics.kernel_alignment import cka_matrix

Layers = Sequence[ArrayLike] | Mapping[str, ArrayLike]
METRICS = ("angular", "procrustes")
FLAT = 1e-12  # relative spread below which a layer is constant, to rounding
RANK = 1e-10  # singular values below this share of the largest are rounding
NEAR = 0.999  # cosine above which the angle is taken from the chord, which rounding spares


def shape_distance(x: ArrayLike, y: ArrayLike, metric: str = "angular", alpha: float = 1.0) -> float:
    """Distance of two layers that saw the same stimuli, whatever the axes of either.

    Parameters
    ----------
    x, y : array_like, shape (n_stimuli, n_channels)
        Widths may differ.
    metric : {"angular", "procrustes"}
        Radians from 0 to pi / 2, blind to the size of either layer; or the unit of the layers.
    alpha : float
        How much of each layer's covariance is kept: 1 allows rotations alone, 0 any linear map, as canonical
        correlations do. Between them the layer is mixed with its whitened self.

    Returns
    -------
    float
        NaN for a layer that does not vary.

    Raises
    ------
    ValueError
        If rows do not match or hold NaN, or ``alpha`` is 0 and a layer has as many dimensions as there are stimuli:
        any other layer would then fit.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> y = np.array([[0.0, 2.0], [0.0, -2.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> round(shape_distance(x, 3 * x[:, ::-1]), 6)
    0.0
    >>> round(shape_distance(x, y, "procrustes"), 6)  # sum of singular values is 4 + 4: sqrt(10 + 10 - 2 x 8)
    2.0
    """
    return float(shape_distances([x, y], metric=metric, alpha=alpha)[0, 1])


def shape_distances(
    layers: Layers, others: Layers | None = None, metric: str = "angular", alpha: float = 1.0
) -> NDArray:
    """Distance of every layer from every other.

    Sums of singular values are taken in the smaller of stimuli and channels: a layer wider than there are stimuli is
    turned once into as many channels as there are stimuli.

    Parameters
    ----------
    layers, others : sequence or dict of array_like, shape (n_stimuli, n_channels)
        The result has ``others``, or ``layers`` if there are none, as columns.
    metric, alpha : str, float
        As in :func:`shape_distance`.

    Returns
    -------
    array, shape (n_layers, n_others)

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(3, 50, 4))
    >>> d = shape_distances([x[0], x[1], x[2]])
    >>> bool(np.all(d == d.T) and d[0, 2] <= d[0, 1] + d[1, 2])
    True
    """
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} must be one of {', '.join(METRICS)}")
    first = _prepared(layers, "layer", alpha)
    second = first if others is None else _prepared(others, "other layer", alpha)
    _same_stimuli([*first, *second])
    distances = np.zeros((len(first), len(second)))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if others is None and j < i:
                distances[i, j] = distances[j, i]
            elif others is not None or i != j or not a.any():
                distances[i, j] = _distance(a, b, metric)
    return distances


def held_out_shape_distance(
    x: ArrayLike,
    y: ArrayLike,
    metric: str = "angular",
    alpha: float = 1.0,
    groups: ArrayLike | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> float:
    """Distance on stimuli that did not help to choose the rotation.

    A rotation fits noise where channels are many: independent wide layers look near on the stimuli it was chosen on,
    and lie at a right angle on others. Not a metric: it is not zero between noisy copies, and can pass pi / 2.

    Parameters
    ----------
    x, y : array_like, shape (n_stimuli, n_channels)
    metric, alpha : str, float
        As in :func:`shape_distance`; whitening and means are those of training stimuli too. ``"procrustes"`` is the
        root of the summed squares over all stimuli.
    groups : array_like, shape (n_stimuli,), optional
        Rows of one group (of one sequence, object or film) are held out together.
    n_folds, seed : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Also if there are fewer groups than folds, or a stimulus of training is tested again.

    Examples
    --------
    >>> x, y = np.random.default_rng(0).normal(size=(2, 60, 40))
    >>> bool(shape_distance(x, y) < 1 < 1.4 < held_out_shape_distance(x, y))
    True
    """
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} must be one of {', '.join(METRICS)}")
    a, b = _checked([x, y], "layer")
    _same_stimuli([a, b])
    n = len(a)
    names, group = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    if len(group) != n or not 2 <= n_folds <= len(names):
        raise ValueError(
            f"{len(group)} groups ({len(names)} of them different) of {n} stimuli for {n_folds} folds"
        )
    _check_copies(np.concatenate([a, b], axis=1), group)
    dealt = np.random.default_rng(seed).permutation(len(names)) % n_folds
    fold = dealt[group]
    cross = own = other = 0.0
    for k in range(n_folds):
        train, test = fold != k, fold == k
        (fit_a, test_a), (fit_b, test_b) = (_fitted(part[train], part[test], alpha) for part in (a, b))
        basis_a, basis_b = _basis(fit_a), _basis(fit_b)
        u, values, vt = np.linalg.svd((fit_a @ basis_a).T @ (fit_b @ basis_b), full_matrices=False)
        known = (
            values > RANK * values[0]
        )  # training stimuli say nothing of how other directions are to be turned
        cross += ((test_a @ basis_a @ u[:, known]) * (test_b @ basis_b @ vt[known].T)).sum()
        own, other = own + (test_a**2).sum(), other + (test_b**2).sum()
    if metric == "procrustes":
        return float(np.sqrt(max(own + other - 2 * cross, 0.0)))
    return float(np.arccos(np.clip(cross / np.sqrt(own * other), -1, 1))) if own > 0 and other > 0 else np.nan


def angular_cka(layers: Layers, others: Layers | None = None) -> NDArray:
    """Angle between Gram matrices, ``arccos`` of CKA: a metric too, for CKA with its bias alone.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(float(angular_cka([x, x[:, :1]])[0, 1] / np.pi), 6)  # cosine 4 / (sqrt(8) x 2)
    0.25
    """
    exact = _checked(layers, "layer")
    values = cka_matrix(exact, None if others is None else _checked(others, "other layer"), debiased=False)
    angles = np.arccos(np.clip(values, -1, 1))
    if others is None:
        angles = (angles + angles.T) / 2
        np.fill_diagonal(angles, np.where(np.isfinite(np.diag(values)), 0.0, np.nan))
    return angles


def _distance(a: NDArray, b: NDArray, metric: str) -> float:
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if not all(norms):
        return np.nan
    if metric == "angular":
        a, b = a / norms[0], b / norms[1]
        norms = (1.0, 1.0)
    u, values, vt = np.linalg.svd(a.T @ b, full_matrices=False)
    cosine = values.sum() / (norms[0] * norms[1])
    if cosine < NEAR:
        squares = norms[0] ** 2 + norms[1] ** 2 - 2 * values.sum()
        return float(np.arccos(cosine) if metric == "angular" else np.sqrt(squares))
    narrow, wide, turn = (a, b, vt.T @ u.T) if a.shape[1] <= b.shape[1] else (b, a, u @ vt)
    # The narrower one is turned into the wider one's channels: what is left over is the whole of the difference.
    chord = float(np.linalg.norm(narrow @ turn.T - wide))
    return 2 * np.arcsin(min(chord / 2, 1.0)) if metric == "angular" else chord


def _prepared(layers: Layers, name: str, alpha: float) -> list[NDArray]:
    """Layers centred, partly whitened, and no wider than there are stimuli."""
    parts = [_fitted(part, part, alpha)[0] for part in _checked(layers, name)]
    return [part @ _basis(part) if part.shape[1] > len(part) else part for part in parts]


def _fitted(train: NDArray, test: NDArray, alpha: float) -> tuple[NDArray, NDArray]:
    """Both about the mean of the first and partly whitened by it: ``alpha`` of themselves, the rest with equal spread."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} must lie between 0 (any linear map) and 1 (rotations)")
    fit, other = train - train.mean(0), test - train.mean(0)
    if np.linalg.norm(fit) <= FLAT * np.linalg.norm(train):
        return 0 * fit, 0 * other
    if alpha == 1:
        return fit, other
    _, values, vt = np.linalg.svd(fit, full_matrices=False)
    kept = values > RANK * values[0]
    if alpha == 0 and kept.sum() >= len(fit) - 1:
        raise ValueError(
            f"{len(fit)} stimuli and {fit.shape[1]} channels: with alpha=0 any other layer fits this one; use fewer "
            "channels or alpha above 0"
        )
    values, vt = values[kept], vt[kept]
    gain = np.sqrt((values**2).mean()) / values  # relative, so that a layer twice as large is mixed alike
    return tuple(alpha * part + (1 - alpha) * (part @ vt.T * gain) @ vt for part in (fit, other))


def _basis(part: NDArray) -> NDArray:
    """Directions that hold a layer, ``(n_channels, at most n_stimuli)``."""
    return np.linalg.qr(part.T)[0] if part.shape[1] > len(part) else np.eye(part.shape[1])


def _check_copies(rows: NDArray, group: NDArray) -> None:
    _, first, copy = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    apart = np.flatnonzero(group != group[first[copy.ravel()]])
    if apart.size:
        raise ValueError(
            f"stimulus {apart[0]} is a copy of stimulus {first[copy.ravel()][apart[0]]}; give them one group, or the "
            "rotation is tested on what it was chosen on"
        )


def _checked(layers: Layers, name: str) -> list[NDArray]:
    parts = []
    for key, values in layers.items() if isinstance(layers, Mapping) else enumerate(layers):
        part = np.asarray(values, float)
        if part.ndim != 2 or not part.size:
            raise ValueError(
                f"{name} {key} has shape {part.shape}; want (stimulus, channel), flatten the rest"
            )
        if not np.isfinite(part).all():
            bad = int((~np.isfinite(part)).any(1).sum())
            raise ValueError(f"{name} {key} holds NaN or infinity for {bad} of {len(part)} stimuli")
        parts.append(part)
    if not parts:
        raise ValueError(f"no {name} was given")
    return parts


def _same_stimuli(parts: list[NDArray]) -> None:
    sizes = sorted({len(part) for part in parts})
    if len(sizes) > 1:
        raise ValueError(f"layers of {sizes} stimuli; rows must be the same stimuli in the same order")
    if sizes[0] < 3:
        raise ValueError(
            f"{sizes[0]} stimuli have no shape; three are the least, and many more say something"
        )
