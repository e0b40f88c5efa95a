"""k-means: points ``(n, dim)`` in, centres and their counts out; also stage by stage on what is left."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurolib.models.quantizers.search import CHUNK, Search


@dataclass(frozen=True)
class Clusters:
    """What k-means found."""

    centres: Tensor  # (k, dim)
    labels: Tensor  # (n,) centre of each point
    counts: Tensor  # (k,) points of each centre; none is empty
    inertia: float  # sum of squared distances to the centres
    n_iterations: int


@torch.no_grad()
def kmeans(
    points: Tensor, k: int, *, iterations: int = 30, tolerance: float = 1e-4, seed: int = 0
) -> Clusters:
    """Lloyd's algorithm from a k-means++ start.

    A centre that loses all its points moves to the point that is farthest from its own centre.

    Parameters
    ----------
    points : Tensor, shape (n, dim)
    k : int
        Number of centres.
    iterations : int
        At most. After 30 the inertia is within one per cent of where it would settle.
    tolerance : float
        Stop when the inertia falls by less than this share in one iteration.
    seed : int

    Returns
    -------
    Clusters

    Raises
    ------
    ValueError
        If there are fewer distinct points than centres, or a point is not finite.

    References
    ----------
    .. [1] Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding", SODA.

    Examples
    --------
    >>> found = kmeans(torch.tensor([[0.0], [1.0], [10.0], [12.0]]), 2)
    >>> sorted(found.centres[:, 0].tolist()), found.inertia
    ([0.5, 11.0], 2.5)
    """
    if points.ndim != 2 or not points.is_floating_point():
        raise ValueError(f"points are {points.dtype} of shape {tuple(points.shape)}, want floats (n, dim)")
    n = len(points)
    if not 1 <= k <= n:
        raise ValueError(f"k={k} centres for {n} points; take a smaller codebook or more latents")
    if not (finite := points.isfinite().all(dim=1)).all():
        raise ValueError(
            f"{n - int(finite.sum())} of {n} points hold NaN or infinity, the first in row "
            f"{int((~finite).nonzero()[0])}; did training diverge?"
        )
    middle = points.double().mean(dim=0)  # a large common offset would cost float32 its digits
    points = (points - middle).to(torch.promote_types(points.dtype, torch.float32)).contiguous()
    norms = points.square().sum(dim=1)
    centres = _spread(points, norms, k, torch.Generator().manual_seed(seed))
    inertia = float("inf")
    for step in range(iterations + k):  # k more, should a centre be empty to the last
        labels, distances = _assign(points, norms, centres)
        before, inertia = inertia, float(distances.sum())
        counts = torch.bincount(labels, minlength=k)
        if empty := int((counts == 0).sum()):
            far = distances.topk(empty).indices
            labels[far] = (counts == 0).nonzero()[:, 0]
            counts = torch.bincount(labels, minlength=k)
        elif step >= iterations or before - inertia <= tolerance * inertia:
            break
        totals = torch.zeros_like(centres).index_add_(0, labels, points)
        means = totals / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, centres)  # a point moved may have been the last
    return Clusters((centres + middle).to(points.dtype), labels, counts, inertia, step)


def residual_kmeans(points: Tensor, k: int, n_stages: int, **settings) -> list[Clusters]:
    """k-means, then k-means on what the centres leave of each point, and so on.

    Parameters
    ----------
    points : Tensor, shape (n, dim)
    k, n_stages : int
    **settings
        Of :func:`kmeans`; stage ``i`` is seeded with ``seed + i``.

    Returns
    -------
    list of Clusters
        One per stage; the inertia of the last is the error of the sum of all.

    Examples
    --------
    >>> points = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    >>> [stage.inertia for stage in residual_kmeans(points, 2, 2)]
    [1.0, 0.0]
    """
    seed, stages, left = settings.pop("seed", 0), [], points
    for stage in range(n_stages):
        stages.append(kmeans(left, k, seed=seed + stage, **settings))
        left = left - stages[-1].centres[stages[-1].labels]
    return stages


def _assign(points: Tensor, norms: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest centre of each point and the squared distance to it."""
    search, size = Search(centres), CHUNK if points.device.type == "cpu" else len(points)
    labels, best = [], []
    for rows in points.split(size):
        scores = search.scores(rows)
        labels.append(search.best(scores))
        best.append(scores.gather(1, labels[-1][:, None])[:, 0])
    return torch.cat(labels), (norms - 2 * torch.cat(best)).clamp_(min=0)


def _spread(points: Tensor, norms: Tensor, k: int, draw: torch.Generator) -> Tensor:
    """k-means++: each further centre is a point drawn by its squared distance to the nearest one so far."""
    n, total = len(points), float(norms.sum())
    uniform = torch.rand(k, generator=draw, dtype=torch.float64).to(points.device)
    first = int(uniform[0] * n)
    chosen, distances = [first], _distances(points, norms, first)
    checked = False
    for i in range(1, k):
        cumulative = distances.cumsum(0, dtype=torch.float64)
        if not checked and float(cumulative[-1]) <= 1e-6 * total:  # rounding, or copies of few points
            checked = True
            if (distinct := len(points.unique(dim=0))) < k:
                raise ValueError(
                    f"k={k} centres for {n} points of which {distinct} are distinct; "
                    "are the latents constant, or the encoder collapsed?"
                )
        at = int(torch.searchsorted(cumulative, uniform[i : i + 1] * cumulative[-1]).clamp_(max=n - 1))
        chosen.append(at)
        distances = torch.minimum(distances, _distances(points, norms, at))
    return points[chosen]


def _distances(points: Tensor, norms: Tensor, at: int) -> Tensor:
    """Squared distances of all points to one of them."""
    distances = (norms + norms[at]).sub_(points.mv(points[at]), alpha=2).clamp_(min=0)
    distances[at] = 0
    return distances
