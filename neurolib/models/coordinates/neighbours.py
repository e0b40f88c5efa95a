"""The most similar training studies, averaged: foci in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density_model import DensityModel
from neurolib.models.coordinates.study_maps import StudyMaps


@dataclass(frozen=True)
class NeighboursConfig:
    """How many neighbours, and how fast their weight falls with similarity.

    Examples
    --------
    >>> NeighboursConfig(temperature=0.0)
    Traceback (most recent call last):
    ...
    ValueError: temperature=0.0 must be above 0
    """

    n_neighbours: int = 500
    temperature: float = 0.1  # of the cosine
    fwhm_mm: float = 14.0
    global_share: float = 0.3

    def __post_init__(self):
        if self.n_neighbours < 1 or not self.fwhm_mm > 0:
            raise ValueError(
                f"n_neighbours={self.n_neighbours} must be at least 1 and fwhm_mm={self.fwhm_mm} above 0"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature} must be above 0")
        if not 0 <= self.global_share < 1:
            raise ValueError(f"global_share={self.global_share} must be at least 0 and below 1")

    def build(self, grid: Grid) -> "Neighbours":
        """Make the model, untrained."""
        return Neighbours(self, grid)


class Neighbours(DensityModel):
    """The model of :class:`NeighboursConfig`: meta-analytic coactivation, with soft neighbours.

    Studies are compared by the cosine between their maps less the average one. The maps of the
    nearest, weighted by the exponential of the cosine, are averaged, and bend the global density.
    A study without seen foci has no neighbours, and gets the global density.

    References
    ----------
    .. [1] Robinson et al. (2010). Metaanalytic connectivity modeling: delineating the functional
       connectivity of the human amygdala. Human Brain Mapping 31, 173-184.
    """

    def __init__(self, cfg: NeighboursConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        studies = studies[corpus.counts[studies] > 0]
        self.maps = StudyMaps(self.grid, self.base, self.cfg.fwhm_mm)
        of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
        known = self.maps.read(voxels[corpus.foci(studies)], of, len(studies))
        self.mean = known.mean(0)
        known -= self.mean
        self.length = np.maximum(np.linalg.norm(known, axis=1), 1e-12)
        self.known = known / self.length[:, None]  # unit vectors, (n_train, n_nodes)

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        n, k = len(hold_out.studies), min(self.cfg.n_neighbours, len(self.known))
        maps = self.maps.read(voxels[hold_out.seen], hold_out.seen_of, n) - self.mean
        maps /= np.maximum(np.linalg.norm(maps, axis=1, keepdims=True), 1e-12)
        cosine = maps @ self.known.T
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        weights = np.exp((np.take_along_axis(cosine, near, 1) - 1) / self.cfg.temperature)
        weights = weights / weights.sum(1, keepdims=True) * self.length[near]
        table = sp.csr_matrix(
            (weights.ravel(), near.ravel(), np.arange(0, n * k + 1, k)), (n, len(self.known))
        )
        average = table @ self.known
        average[np.bincount(hold_out.seen_of, minlength=n) == 0] = 0
        return self.maps.densities(self.mean + average, self.mean)
