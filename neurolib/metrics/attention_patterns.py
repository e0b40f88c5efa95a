r"""What attention looks at: weights ``(..., query, key)`` in, numbers per head with what chance would give out.

Chance is the attention of a head that looks at every allowed key alike; a causal row has one more key than the row
before, so chance is no single number per map and is computed from the mask.

References
----------
.. [1] Abnar & Zuidema (2020), "Quantifying attention flow in transformers", ACL, arXiv:2005.00928.
.. [2] Olsson et al. (2022), "In-context learning and induction heads", arXiv:2209.11895.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOCAL = 5  # how far back a local head looks


class Patterns(NamedTuple):
    """Mean weight on kinds of keys, ``(...,)`` each, and the same of even attention.

    Parameters
    ----------
    values, chance : dict of array
        ``self``, ``previous``, ``first``, ``local`` (up to five back), ``distance`` (mean steps back), and
        ``entropy`` as a share of that of even attention. ``first`` is often a place to put weight that has nothing
        to say, so ``entropy_elsewhere`` leaves it out.
    """

    values: dict[str, NDArray]
    chance: dict[str, NDArray]


def attention_entropy(
    weights: ArrayLike, allowed: ArrayLike | None = None, skip_first: bool = False
) -> NDArray:
    """Entropy of each row as a share of the most that its allowed keys permit, mean over rows with a choice.

    Parameters
    ----------
    weights : array_like, shape (..., n_queries, n_keys)
        Rows sum to one.
    allowed : array_like of bool, shape (n_queries, n_keys), optional
        Causal by default: up to the query's own place.
    skip_first : bool
        Leave the first key out, and let the other weights sum to one again.

    Returns
    -------
    array, shape (...)
        1 for even attention.

    Examples
    --------
    >>> even = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    >>> float(attention_entropy(even))
    1.0
    """
    w, mask = _checked(weights, allowed)
    if skip_first:
        w, mask = w[..., 1:], mask[:, 1:]
        total = w.sum(-1, keepdims=True)
        w = w / np.where(total > 0, total, 1)
    n_keys = mask.sum(-1)
    choice = n_keys > 1
    if not choice.any():
        raise ValueError("no query has more than one key to choose from")
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(w > 0, -w * np.log(w), 0.0)
    return (terms.sum(-1)[..., choice] / np.log(n_keys[choice])).mean(-1)


def attention_patterns(weights: ArrayLike, allowed: ArrayLike | None = None) -> Patterns:
    """Where heads look, beside where even attention would.

    Parameters
    ----------
    weights : array_like, shape (..., n, n)
    allowed : array_like of bool, shape (n, n), optional
        Causal by default.

    Examples
    --------
    >>> found = attention_patterns(np.eye(5, k=-1) + np.diag([1.0, 0, 0, 0, 0]))
    >>> float(found.values["previous"]), round(float(found.chance["previous"]), 3)
    (1.0, 0.321)
    """
    w, mask = _checked(weights, allowed)
    n = w.shape[-1]
    if w.shape[-2] != n:
        raise ValueError(f"weights {w.shape}; queries and keys must be the same places")
    back = np.arange(n)[:, None] - np.arange(n)
    kinds = {
        "self": back == 0,
        "previous": back == 1,
        "first": np.broadcast_to(np.arange(n) == 0, (n, n)),
        "local": (back >= 1) & (back <= LOCAL),
    }
    rows = np.arange(n) > 0  # the first query has no choice
    even = mask / mask.sum(-1, keepdims=True)
    values, chance = {}, {}
    for name, kind in kinds.items():
        values[name] = (w * kind).sum(-1)[..., rows].mean(-1)
        chance[name] = (even * kind).sum(-1)[rows].mean(-1)
    for found, table in ((values, w), (chance, even)):
        found["distance"] = (table * back).sum(-1)[..., rows].mean(-1)
        found["entropy"] = attention_entropy(table, mask)
    if n > 2:
        for found, table in ((values, w), (chance, even)):
            found["entropy_elsewhere"] = attention_entropy(table, mask, skip_first=True)
    return Patterns(values, chance)


class RepeatScores(NamedTuple):
    """Weights of heads on a sequence that was seen once and comes again, ``(...,)`` each.

    Parameters
    ----------
    induction : array
        On what came after the same token the first time.
    duplicate : array
        On the same token the first time.
    previous : array
        On the token before, anywhere.
    chance : float
        Induction of even causal attention.
    """

    induction: NDArray
    duplicate: NDArray
    previous: NDArray
    chance: float


def repeat_scores(weights: ArrayLike, length: int, start: int = 0) -> RepeatScores:
    r"""Induction, duplicate and previous-token scores on ``[start tokens] s_1 ... s_L s_1 ... s_L``.

    A head completes the pattern if it looks, from the second :math:`s_i`, at the first :math:`s_{i+1}`, which is
    :math:`L - 1` places back.

    Parameters
    ----------
    weights : array_like, shape (..., n, n)
        Causal, averaged over sequences or not; ``n = start + 2 * length``.
    length : int
        Tokens of the sequence; they must differ from each other.
    start : int
        Places before it, such as a token of beginning.

    Examples
    --------
    >>> perfect = np.zeros((8, 8)); perfect[:, 0] = 1
    >>> for i in range(4, 8):
    ...     perfect[i] = np.eye(8)[i - 3]
    >>> found = repeat_scores(perfect, 4)
    >>> float(found.induction), float(found.duplicate)
    (1.0, 0.0)
    """
    w, mask = _checked(weights, None)
    n = start + 2 * length
    if length < 2 or w.shape[-2:] != (n, n):
        raise ValueError(f"weights {w.shape} for {start} + 2 * {length} places; want {n} queries and keys")
    second = np.arange(start + length, n)
    return RepeatScores(
        w[..., second, second - length + 1].mean(-1),
        w[..., second, second - length].mean(-1),
        w[..., np.arange(1, n), np.arange(n - 1)].mean(-1),
        float((1 / mask.sum(-1))[second].mean()),
    )


def rollout(layers: ArrayLike, residual: float = 0.5) -> NDArray:
    """Attention rollout through layers, less that of even attention under the same mask.

    Twelve layers of even causal attention put most of the last query's rollout on the first key, so a map is
    shown as its difference from that.

    Parameters
    ----------
    layers : array_like, shape (n_layers, n, n)
        Causal weights, heads averaged; the first layer first.
    residual : float
        Share of what a place keeps of itself in each layer.

    Returns
    -------
    array, shape (n, n)
        0 everywhere for even attention; rows sum to 0.

    Examples
    --------
    >>> even = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]
    >>> bool(np.abs(rollout([even, even])).max() < 1e-15)
    True
    """
    w, mask = _checked(layers, None)
    if w.ndim != 3 or not 0 <= residual < 1:
        raise ValueError(
            f"layers {w.shape} with residual={residual}; want (layer, query, key) and a share below 1"
        )
    even = mask / mask.sum(-1, keepdims=True)
    found, null = np.eye(w.shape[-1]), np.eye(w.shape[-1])
    for layer in w:
        found = (residual * np.eye(len(found)) + (1 - residual) * layer) @ found
        null = (residual * np.eye(len(null)) + (1 - residual) * even) @ null
    return found - null


def _checked(weights: ArrayLike, allowed: ArrayLike | None) -> tuple[NDArray, NDArray]:
    w = np.asarray(weights, float)
    if w.ndim < 2 or not np.isfinite(w).all():
        raise ValueError(
            f"weights {w.shape} must be finite, (..., query, key); were they None in a fused attention?"
        )
    n_queries, n_keys = w.shape[-2:]
    if allowed is None:
        mask = np.tril(np.ones((n_queries, n_keys), bool), n_keys - n_queries)
    else:
        mask = np.asarray(allowed, bool)
        if mask.shape != (n_queries, n_keys):
            raise ValueError(f"allowed {mask.shape} for weights of {n_queries} queries and {n_keys} keys")
    if not mask.any(-1).all():
        raise ValueError(f"query {int(np.argmin(mask.any(-1)))} may look at nothing")
    if (w < -1e-6).any() or np.abs(w.sum(-1) - 1).max() > 1e-3:
        raise ValueError("rows of weights must not be negative and sum to one; are these logits?")
    if np.abs(np.where(mask, 0, w)).max() > 1e-6:
        raise ValueError(
            "weights lie where the mask allows none; is this attention not causal? Give allowed="
        )
    return w, mask
