r"""Sparsity of responses ``(stimulus, unit)``: of each unit over stimuli, and of each stimulus over units.

Responses have no sign here; rectify before, and say so. A unit that never responds has no sparsity: it is dead, and
counted as such.

References
----------
.. [1] Treves & Rolls (1991), "What determines the capacity of autoassociative memories in the brain?", Network 2.
.. [2] Vinje & Gallant (2000), "Sparse coding and decorrelation in primary visual cortex during natural vision",
   Science 287.
.. [3] Hurley & Rickard (2009), "Comparing measures of sparsity", IEEE Trans. Inf. Theory 55.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MEASURES = ("vinje_gallant", "treves_rolls", "hoyer", "gini", "l0")


def sparsity(
    responses: ArrayLike, measure: str = "vinje_gallant", over: str = "stimuli", threshold: float = 0.0
) -> NDArray:
    r"""Sparsity of every unit, or of every stimulus.

    Parameters
    ----------
    responses : array_like, shape (n_stimuli, n_units)
        Not negative.
    measure : {"vinje_gallant", "treves_rolls", "hoyer", "gini", "l0"}
        With :math:`a = \bar r^2 / \overline{r^2}`: :math:`(1 - a) / (1 - 1 / n)`, from 0 for equal responses to 1
        for one response; :math:`a` itself, which is large where responses are dense;
        :math:`(\sqrt n - \lVert r \rVert_1 / \lVert r \rVert_2) / (\sqrt n - 1)`; the Gini coefficient; or the share
        of responses above ``threshold``.
    over : {"stimuli", "units"}
        What is summed over: ``"stimuli"`` gives lifetime sparsity, one number per unit; ``"units"`` population
        sparsity, one per stimulus.
    threshold : float
        For ``"l0"``, in the unit of the responses; one number for all, so that a loud unit does not set it.

    Returns
    -------
    array, shape (n_units,) or (n_stimuli,)
        NaN for what never responds, except for ``"l0"``.

    Raises
    ------
    ValueError
        If a response is negative or not finite, or there are fewer than two to sum over.

    Examples
    --------
    >>> sparsity([[1.0, 4.0], [1.0, 0.0]]).tolist()  # always the same; once and not again
    [0.0, 1.0]
    """
    if measure not in MEASURES or over not in ("stimuli", "units"):
        raise ValueError(f"{measure=}, {over=}; want one of {MEASURES}, over 'stimuli' or 'units'")
    r = np.asarray(responses, float)
    if r.ndim != 2 or not np.isfinite(r).all():
        raise ValueError(f"responses {r.shape} must be a finite table (stimulus, unit)")
    if r.size and r.min() < 0:
        raise ValueError(
            f"a response of {r.min():.3g}; sparsity needs responses without sign, rectify them and say so"
        )
    r = r if over == "stimuli" else r.T
    n = len(r)
    if n < 2:
        raise ValueError(f"{n} response to sum over; sparsity needs two, and is biased below some tens")
    if measure == "l0":
        return (r > threshold).mean(axis=0)
    alive = (r > 0).any(axis=0)
    safe = np.where(alive, r, 1.0)  # any value; it becomes NaN
    if measure == "gini":
        ranks = np.arange(1, n + 1)[:, None]
        values = 2 * (ranks * np.sort(safe, axis=0)).sum(axis=0) / (n * safe.sum(axis=0)) - (n + 1) / n
    elif measure == "hoyer":
        values = (np.sqrt(n) - safe.sum(axis=0) / np.linalg.norm(safe, axis=0)) / (np.sqrt(n) - 1)
    else:
        dense = safe.mean(axis=0) ** 2 / np.square(safe).mean(axis=0)
        values = dense if measure == "treves_rolls" else (1 - dense) / (1 - 1 / n)
    return np.where(alive, values, np.nan)


def dead_units(responses: ArrayLike) -> NDArray:
    """Units that respond to nothing, ``(n_units,)`` of bool.

    Examples
    --------
    >>> dead_units([[0.0, 1.0], [0.0, 0.0]]).tolist()
    [True, False]
    """
    return ~(np.asarray(responses) != 0).any(axis=0)
