"""One map per topic, mixed by a study's topics: topic weights in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import Smoother
from neurolib.models.coordinates.density_model import DensityModel

FLOOR = 1e-3  # share of every map that is spread evenly, so that no voxel is impossible


@dataclass(frozen=True)
class TopicMixtureConfig:
    """Smoothing of the topics' maps, and how long they are estimated.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> grid = Grid(np.ones((4, 1, 1), bool), 4.0, (0.0, 0.0, 0.0))
    >>> topics = {"topics": np.eye(2, dtype=np.float32), "topic_names": ("seeing", "moving")}
    >>> corpus = tiny([[0.0, 0, 0], [12.0, 0, 0]], study=[0, 1], **topics)
    >>> model = TopicMixtureConfig(fwhm_mm=0.0).build(grid).fit(corpus, corpus.voxels(grid), [0, 1])
    >>> model.topic_maps.round(2).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    >>> model.topics_at([3]).round(2).tolist()
    [[0.0, 1.0]]
    """

    fwhm_mm: float = 8.0
    n_iterations: int = 25
    global_share: float = 0.0

    def __post_init__(self):
        if self.fwhm_mm < 0 or self.n_iterations < 0 or not 0 <= self.global_share < 1:
            raise ValueError(
                f"fwhm_mm={self.fwhm_mm} and n_iterations={self.n_iterations} must not be negative, and "
                f"global_share={self.global_share} at least 0 and below 1"
            )

    def build(self, grid: Grid) -> "TopicMixture":
        """Make the model, untrained."""
        return TopicMixture(self, grid)


class TopicMixture(DensityModel):
    r"""The model of :class:`TopicMixtureConfig`, fitted by expectation maximisation.

    .. math:: p(v \mid s) = \sum_t \theta_{st}\, p_t(v)

    The weights :math:`\theta` are the corpus's topics and stay as they are; the maps start as the
    topics' weighted averages and are smoothed after every step. Studies without topics take no part,
    and get the global density.

    Attributes
    ----------
    topic_maps : array of float32, shape (n_topics, n_voxels)
        Each sums to one.
    topic_shares : array, shape (n_topics,)
        Of the training foci.

    References
    ----------
    .. [1] Hofmann (1999). Probabilistic latent semantic indexing. SIGIR, 50-57.
    .. [2] Silverman et al. (1990). A smoothed EM approach to indirect estimation problems.
       Journal of the Royal Statistical Society B 52, 271-324.
    """

    def __init__(self, cfg: TopicMixtureConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        weights = corpus.topics[studies]
        known = (weights.sum(1) > 0) & (corpus.counts[studies] > 0)
        if not known.any():
            raise ValueError(
                f"none of {len(studies)} studies has topics and foci; give topics by corpus.with_topics"
            )
        studies, weights = studies[known], _normalised(weights[known])
        rows, of = corpus.foci(studies), np.repeat(np.arange(len(studies)), corpus.counts[studies])
        voxels, smooth = voxels[rows], Smoother(self.grid, self.cfg.fwhm_mm)
        self.topic_maps = smoothed_maps(spread(np.ones(len(rows)), of, voxels, weights, self.grid), smooth)
        for _ in range(self.cfg.n_iterations):
            ratio = 1 / explained(weights, self.topic_maps, of, voxels)
            counts = self.topic_maps * spread(ratio, of, voxels, weights, self.grid)
            self.topic_maps = smoothed_maps(counts, smooth)
        self.topic_shares = corpus.counts[studies] @ weights / len(rows)

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        weights = corpus.topics[hold_out.studies]
        if weights.shape[1] != len(self.topic_maps):
            raise ValueError(
                f"{weights.shape[1]} topics for maps of {len(self.topic_maps)}; are they of another corpus?"
            )
        known = weights.sum(1) > 0
        return np.where(known[:, None], _normalised(weights) @ self.topic_maps, self.base)

    def topics_at(self, voxels: ArrayLike) -> NDArray:
        """Probability of each topic given that a focus lies in a voxel, shape (n, n_topics)."""
        joint = self.topic_shares[:, None] * self.topic_maps[:, np.asarray(voxels)]
        return (joint / joint.sum(0)).T


def explained(weights: NDArray, maps: NDArray, of: NDArray, voxels: NDArray) -> NDArray:
    """Probability of each focus under a mixture of maps, shape (n_foci,).

    Parameters
    ----------
    weights : array, shape (n_studies, n_maps)
    maps : array, shape (n_maps, n_voxels)
    of, voxels : array of int, shape (n_foci,)
        Study (row of ``weights``) and voxel of each.

    Examples
    --------
    >>> explained(np.array([[0.5, 0.5]]), np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([0]), np.array([1]))
    array([0.6])
    """
    by_voxel = np.ascontiguousarray(maps.T)
    found = np.empty(len(of))
    for start in range(0, len(of), 50_000):
        now = slice(start, start + 50_000)
        found[now] = np.einsum("fk,fk->f", weights[of[now]], by_voxel[voxels[now]])
    return found


def spread(values: NDArray, of: NDArray, voxels: NDArray, weights: NDArray, grid: Grid) -> NDArray:
    """Values of foci summed per voxel, weighted by their studies' weights; (n_maps, n_voxels) float32."""
    shape = (grid.n_voxels, len(weights))
    table = sp.csr_matrix((values.astype(np.float32), (voxels, of)), shape)
    return np.ascontiguousarray((table @ weights).T)


def smoothed_maps(counts: NDArray, smooth: Smoother) -> NDArray:
    """Counts ``(n_maps, n_voxels)`` as densities; a map without any is flat."""
    maps = np.empty(counts.shape, np.float32)
    for own, count in zip(maps, counts, strict=True):
        total = count.sum(dtype=float)
        density = np.maximum(smooth(count / total), 0) if total > 0 else np.ones(len(count))
        own[:] = (1 - FLOOR) * density / density.sum() + FLOOR / len(count)
    return maps


def _normalised(weights: NDArray) -> NDArray:
    total = weights.sum(1, keepdims=True)
    return (weights / np.where(total > 0, total, 1)).astype(np.float32)
