r"""How heads of attention feed each other: their weight matrices in, composition scores beside chance out.

A row vector :math:`x` of width ``d`` is read by :math:`W_Q, W_K, W_V` (``d × head``) and written by :math:`W_O`
(``head × d``). With :math:`W_{QK} = W_Q W_K^\top` and :math:`W_{OV} = W_V W_O`, head 1 feeds the queries, keys or
values of a later head 2 as far as

.. math::
    \frac{\lVert W_{OV}^1 W_{QK}^2 \rVert}{\lVert W_{OV}^1 \rVert \lVert W_{QK}^2 \rVert}, \qquad
    \frac{\lVert W_{OV}^1 (W_{QK}^2)^\top \rVert}{\dots}, \qquad \frac{\lVert W_{OV}^1 W_{OV}^2 \rVert}{\dots}

is above :math:`1 / \sqrt d`, which is what random matrices have.

References
----------
.. [1] Elhage et al. (2021), "A mathematical framework for transformer circuits",
   transformer-circuits.pub/2021/framework.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

KINDS = ("query", "key", "value")


class HeadWeights(NamedTuple):
    """Matrices of the heads of one layer, as they act on row vectors; norms before them folded in.

    Parameters
    ----------
    query, key, value : array, shape (n_heads, d, head)
    out : array, shape (n_heads, head, d)
    """

    query: NDArray
    key: NDArray
    value: NDArray
    out: NDArray


class Composition(NamedTuple):
    """Scores of pairs of heads.

    Parameters
    ----------
    scores : dict of array, shape (n_heads_1, n_heads_2)
        By kind: ``query``, ``key``, ``value``.
    chance : float
        Of random matrices.
    """

    scores: dict[str, NDArray]
    chance: float


def composition(first: HeadWeights, second: HeadWeights) -> Composition:
    """How far heads of an earlier layer feed those of a later one.

    Norms of products of ``d × d`` matrices are those of products of ``head × head`` ones after QR of the outer
    factors, so no matrix of ``d × d`` is made.

    Raises
    ------
    ValueError
        If the matrices do not fit.

    Examples
    --------
    A head that writes on the first axis feeds one that reads queries there, and no other:

    >>> axis = lambda i: np.eye(3)[None, :, [i]]
    >>> one = HeadWeights(axis(2), axis(2), axis(1), axis(0).transpose(0, 2, 1))
    >>> two = HeadWeights(axis(0), axis(2), axis(2), axis(2).transpose(0, 2, 1))
    >>> {kind: score.item() for kind, score in composition(one, two).scores.items()}
    {'query': 1.0, 'key': 0.0, 'value': 0.0}
    """
    d = _width(first, "first")
    if _width(second, "second") != d:
        raise ValueError(f"layers of width {d} and {_width(second, 'second')}; are they of one model?")
    left, right = _triangles(first.value), _triangles(first.out.transpose(0, 2, 1))
    written = np.linalg.norm(left @ right.transpose(0, 2, 1), axis=(1, 2))
    reads = {
        "query": (second.query, second.key),
        "key": (second.key, second.query),
        "value": (second.value, second.out.transpose(0, 2, 1)),
    }
    scores = {}
    for kind, (enter, leave) in reads.items():
        outer = _triangles(leave)
        size = np.linalg.norm(_triangles(enter) @ outer.transpose(0, 2, 1), axis=(1, 2))
        between = np.einsum("ahd,bdk->abhk", first.out, enter)
        product = np.linalg.norm(left[:, None] @ between @ outer.transpose(0, 2, 1)[None], axis=(2, 3))
        with np.errstate(invalid="ignore"):
            scores[kind] = product / (written[:, None] * size)
    return Composition(scores, 1 / np.sqrt(d))


def copying_score(value: ArrayLike, out: ArrayLike, embed: ArrayLike, unembed: ArrayLike) -> float:
    r"""Whether a head raises the logit of the token it looks at: :math:`\sum \mathrm{Re}\,\lambda / \sum |\lambda|`.

    Of the eigenvalues of :math:`W_E W_V W_O W_U`, found from the ``head × head`` matrix with the same ones.

    Parameters
    ----------
    value : array_like, shape (d, head)
    out : array_like, shape (head, d)
    embed : array_like, shape (n_tokens, d)
    unembed : array_like, shape (d, n_tokens)

    Returns
    -------
    float
        1 for a head that copies, -1 for one that suppresses, about 0 for a random one.

    Examples
    --------
    >>> copying_score(np.eye(3), -np.eye(3), np.eye(3), np.eye(3))
    -1.0
    """
    cycle = np.asarray(out) @ (np.asarray(unembed) @ np.asarray(embed)) @ np.asarray(value)
    found = np.linalg.eigvals(cycle)
    size = np.abs(found).sum()
    return float(found.real.sum() / size) if size > 0 else float("nan")


def _triangles(factors: NDArray) -> NDArray:
    """R of every ``(d, head)`` factor; norms of products with it are those with the factor."""
    return np.linalg.qr(np.asarray(factors, float), mode="r")


def _width(weights: HeadWeights, name: str) -> int:
    shapes = [np.shape(part) for part in weights]
    heads, d, head = shapes[0] if len(shapes[0]) == 3 else (0, 0, 0)
    if not heads or shapes != [(heads, d, head)] * 3 + [(heads, head, d)]:
        raise ValueError(
            f"{name} layer has matrices {shapes}; want (head, d, width) three times, then (head, width, d)"
        )
    return d
