"""Views: points ``(n, d)`` in; pictures of them ``(n, 2)`` by PCA, t-SNE or UMAP, and what each keeps, invents and tells, out.

One picture proves little: t-SNE and UMAP depend on a size of neighbourhood and on chance. :func:`sweep` makes
many, with what each is worth, and :func:`settings` says how far seeds of one setting agree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import procrustes
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from neurolib.metrics.neighbourhoods import (
    LeakCheck,
    Preservation,
    Purity,
    label_purity,
    leak_check,
    neighbour_overlap,
    preservation,
)

KINDS = ("pca", "tsne", "umap")


@dataclass(frozen=True)
class ViewConfig:
    """How to draw points in two dimensions.

    Parameters
    ----------
    kind : {"pca", "tsne", "umap"}
    neighbours : float
        Perplexity of t-SNE, ``n_neighbors`` of UMAP; PCA has none.
    init : {"random", "pca"}
        Where t-SNE and UMAP start. From principal components all seeds start alike, so that their agreement
        says nothing of how sure the picture is.
    seed : int
    iterations : int
        Of the optimiser.
    min_dist : float
        How close UMAP may lay points.

    Raises
    ------
    ValueError
        If a setting is none of these.

    References
    ----------
    .. [1] van der Maaten & Hinton (2008), "Visualizing data using t-SNE", JMLR 9, 2579-2605.
    .. [2] McInnes, Healy & Melville (2018), "UMAP: uniform manifold approximation and projection for dimension
       reduction", arXiv:1802.03426.

    Examples
    --------
    >>> line = np.arange(5.0)[:, None] * [[3.0, 4.0, 0.0]]
    >>> np.abs(ViewConfig("pca").view(line)[:, 0]).round(6)
    array([10.,  5.,  0.,  5., 10.])
    """

    kind: str = "pca"
    neighbours: float = 15
    init: str = "random"
    seed: int = 0
    iterations: int = 1000
    min_dist: float = 0.1

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {', '.join(KINDS)}")
        if self.init not in ("random", "pca"):
            raise ValueError(f"init={self.init!r} must be 'random' or 'pca'")
        if not self.neighbours > 1:
            raise ValueError(f"neighbours={self.neighbours} must be more than 1")
        if self.kind == "tsne" and self.iterations < 250:
            raise ValueError(f"iterations={self.iterations}: t-SNE exaggerates for 250 and must go on after")

    @property
    def setting(self) -> tuple[str, float]:
        """All but the seed: what seeds are compared within."""
        return self.kind, 0 if self.kind == "pca" else self.neighbours

    def view(self, points: ArrayLike, train: ArrayLike | None = None) -> NDArray:
        """Draw points.

        Parameters
        ----------
        points : array_like, shape (n, d)
            Scaled already, if features have different units.
        train : array_like of bool or int, shape (n,), optional
            Rows that the components are fitted to; the others are only projected. PCA alone can do that.

        Returns
        -------
        array, shape (n, 2)

        Raises
        ------
        ValueError
            If points are not a finite table or are too few, or t-SNE or UMAP is told of training rows.
        """
        points = np.asarray(points, float)
        if points.ndim != 2 or not np.isfinite(points).all():
            raise ValueError(f"points {points.shape} must be a table (n, d) of finite numbers")
        if train is not None and self.kind != "pca":
            raise ValueError(f"{self.kind} draws all points together; leave train out, or use PCA")
        if self.kind != "pca" and not self.neighbours < len(points) / 3:
            raise ValueError(f"neighbours={self.neighbours} of {len(points)} points; a third is too many")
        if self.kind == "pca":
            fitted = points if train is None else points[np.asarray(train)]
            return PCA(2, svd_solver="full").fit(fitted).transform(points)
        return self._tsne(points) if self.kind == "tsne" else self._umap(points)

    def _tsne(self, points: NDArray) -> NDArray:
        method = TSNE(
            perplexity=self.neighbours, init=self.init, random_state=self.seed, max_iter=self.iterations
        )
        return method.fit_transform(points).astype(float)

    def _umap(self, points: NDArray) -> NDArray:
        import warnings

        from umap import UMAP  # compiles itself: seconds, so only for those who ask for it

        k = round(self.neighbours)
        distance, nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(points)
        method = UMAP(
            n_neighbors=k,
            min_dist=self.min_dist,
            init=self.init,
            random_state=self.seed,
            n_epochs=self.iterations,
            n_jobs=1,
            precomputed_knn=(nearest, distance.astype(np.float32)),  # exact, and spares half of the compiling
        )
        # numba sets the threads of the whole process, torch's among them, and would leave them so
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)  # that such a fit cannot place new points
            return method.fit_transform(points).astype(float)


@dataclass(frozen=True, eq=False)
class ScoredView:
    """One picture and what it is worth.

    Parameters
    ----------
    config : ViewConfig
    view : array, shape (n, 2)
    kept : Preservation
        Against the points themselves.
    condition : Purity, optional
    recording : Purity, optional
        Both with the other one held fixed where both are given, see :func:`leak_check`.
    """

    config: ViewConfig
    view: NDArray
    kept: Preservation
    condition: Purity | None = None
    recording: Purity | None = None


class Setting(NamedTuple):
    """What pictures of one setting are worth, over seeds.

    Parameters
    ----------
    trustworthiness, continuity : float
        Means over seeds.
    overlap : float
        Share of neighbours that pictures of two seeds have in common, less chance; NaN for one seed.
    procrustes : float
        Share of one picture's variance that another one explains, once turned, mirrored and scaled to fit.
    condition, recording : float
        Means over seeds of the excess purity; NaN where no labels were given.
    """

    trustworthiness: float
    continuity: float
    overlap: float
    procrustes: float
    condition: float
    recording: float


def view_grid(
    neighbours: Sequence[float], seeds: int, kinds: Sequence[str] = ("tsne", "umap"), **common
) -> list[ViewConfig]:
    """PCA once, then every kind with every size of neighbourhood and seed.

    Examples
    --------
    >>> [config.setting for config in view_grid([5, 30], seeds=1, kinds=["tsne"])]
    [('pca', 0), ('tsne', 5), ('tsne', 30)]
    """
    made = [ViewConfig("pca")]
    for kind in kinds:
        made += [ViewConfig(kind, n, seed=seed, **common) for n in neighbours for seed in range(seeds)]
    return made


def sweep(
    points: ArrayLike,
    configs: Iterable[ViewConfig],
    condition: ArrayLike | None = None,
    recording: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_neighbours: int = 10,
    n_nulls: int = 100,
) -> list[ScoredView]:
    """Draw points in many ways and score each.

    Parameters
    ----------
    points : array_like, shape (n, d)
    configs : iterable of ViewConfig
    condition, recording : array_like, shape (n,), optional
        Labels whose purity is asked; with both, each within the other.
    groups : array_like, shape (n,), optional
        Trial of each point.
    n_neighbours, n_nulls : int
        Of the scores.

    Returns
    -------
    list of ScoredView

    Raises
    ------
    ValueError
        As for :meth:`ViewConfig.view` and the scores.
    """
    found = []
    for config in configs:
        view = config.view(points)
        kept = preservation(points, view, n_neighbours)
        found.append(
            ScoredView(
                config, view, kept, *_purities(view, condition, recording, groups, n_neighbours, n_nulls)
            )
        )
    return found


def settings(scored: Iterable[ScoredView], n_neighbours: int = 10) -> dict[tuple[str, float], Setting]:
    """Scores of each setting, and how far its seeds agree.

    Parameters
    ----------
    scored : iterable of ScoredView
    n_neighbours : int
        Of the overlap.

    Returns
    -------
    dict of (kind, neighbours) to Setting
    """
    by_setting: dict[tuple[str, float], list[ScoredView]] = {}
    for one in scored:
        by_setting.setdefault(one.config.setting, []).append(one)
    return {setting: _summary(members, n_neighbours) for setting, members in by_setting.items()}


def _purities(
    view: NDArray, condition, recording, groups, n_neighbours: int, n_nulls: int
) -> LeakCheck | tuple[Purity | None, Purity | None]:
    common = {"groups": groups, "n_neighbours": n_neighbours, "n_nulls": n_nulls}
    if condition is not None and recording is not None:
        return leak_check(view, condition, recording, **common)
    return tuple(
        None if labels is None else label_purity(view, labels, **common) for labels in (condition, recording)
    )


def _summary(members: list[ScoredView], n_neighbours: int) -> Setting:
    pairs = list(combinations([member.view for member in members], 2))
    overlap = [neighbour_overlap(a, b, n_neighbours) for a, b in pairs]
    fits = [1 - procrustes(a, b)[2] for a, b in pairs]
    kept = np.mean([member.kept for member in members], axis=0)
    excess = [
        [purity.excess for purity in purities if purity is not None]
        for purities in zip(*((m.condition, m.recording) for m in members), strict=True)
    ]
    return Setting(
        *(float(np.mean(v)) if len(v) else float("nan") for v in (kept[:1], kept[1:], overlap, fits, *excess))
    )
