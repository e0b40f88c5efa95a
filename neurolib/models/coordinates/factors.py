"""A few maps that studies mix, with weights found from the seen foci: foci in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import Smoother, smoothed_density
from neurolib.models.coordinates.density_model import DensityModel
from neurolib.models.coordinates.topic_mixture import explained, smoothed_maps, spread


@dataclass(frozen=True)
class FactorsConfig:
    """How many maps, how smooth, and how strongly a study is held to the average one.

    Examples
    --------
    >>> FactorsConfig(n_factors=0)
    Traceback (most recent call last):
    ...
    ValueError: n_factors=0 must be at least 1
    """

    n_factors: int = 20
    fwhm_mm: float = 12.0
    n_iterations: int = 25
    pseudo_foci: float = 0.1  # per factor and study, while the maps are found
    prior_foci: float = 10.0  # foci that the average study counts for when another one's weights are found
    n_fold_in: int = 30
    global_share: float = 0.05
    seed: int = 0

    def __post_init__(self):
        if self.n_factors < 1:
            raise ValueError(f"n_factors={self.n_factors} must be at least 1")
        if self.fwhm_mm < 0 or not self.pseudo_foci > 0 or not self.prior_foci > 0:
            raise ValueError(
                f"fwhm_mm={self.fwhm_mm} must not be negative, pseudo_foci={self.pseudo_foci} and "
                f"prior_foci={self.prior_foci} must be above 0"
            )
        if not 0 <= self.global_share < 1:
            raise ValueError(f"global_share={self.global_share} must be at least 0 and below 1")

    def build(self, grid: Grid) -> "Factors":
        """Make the model, untrained."""
        return Factors(self, grid)


class Factors(DensityModel):
    r"""The model of :class:`FactorsConfig`: probabilistic latent semantic analysis with smooth maps.

    .. math:: p(v \mid s) = \sum_k \theta_{sk}\, p_k(v)

    This is non-negative matrix factorisation of the counts under the Kullback-Leibler divergence.
    A new study's weights are the most probable ones under a Dirichlet prior around the average.

    Attributes
    ----------
    factor_maps : array of float32, shape (n_factors, n_voxels)
    prior : array, shape (n_factors,)
        Average weights.

    References
    ----------
    .. [1] Hofmann (1999). Probabilistic latent semantic indexing. SIGIR, 50-57.
    .. [2] Lee & Seung (2001). Algorithms for non-negative matrix factorization. NIPS 13.
    """

    def __init__(self, cfg: FactorsConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        cfg, smooth = self.cfg, Smoother(self.grid, self.cfg.fwhm_mm)
        of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
        voxels = voxels[corpus.foci(studies)]
        # every map starts as the global one with a hill of about 35 mm around some focus
        hills = np.random.default_rng(cfg.seed).choice(voxels, cfg.n_factors)
        start = [0.5 * self.base + 0.5 * smoothed_density([v], self.grid, 35.0) for v in hills]
        self.factor_maps = np.array(start, np.float32)
        weights = np.full((len(studies), cfg.n_factors), 1 / cfg.n_factors, np.float32)
        for _ in range(cfg.n_iterations):
            ratio = 1 / explained(weights, self.factor_maps, of, voxels)
            counts = self.factor_maps * spread(ratio, of, voxels, weights, self.grid)
            weights = self._shares(weights, ratio, of, voxels) + cfg.pseudo_foci
            weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
            self.factor_maps = smoothed_maps(counts, smooth)
        self.prior = weights.mean(0)

    def weights(self, of: NDArray, voxels: NDArray, n_studies: int) -> NDArray:
        """Most probable weights of studies given seen foci, shape (n_studies, n_factors).

        Parameters
        ----------
        of, voxels : array of int, shape (n_foci,)
            Study and voxel of each seen focus; a study without any gets the average weights.
        n_studies : int
        """
        prior = self.cfg.prior_foci * self.prior
        weights = np.tile(self.prior, (n_studies, 1))
        for _ in range(self.cfg.n_fold_in):
            ratio = 1 / explained(weights, self.factor_maps, of, voxels)
            weights = self._shares(weights, ratio, of, voxels) + prior
            weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        return weights

    def _shares(self, weights: NDArray, ratio: NDArray, of: NDArray, voxels: NDArray) -> NDArray:
        """Foci of every study that each factor accounts for, (n_studies, n_factors)."""
        shape = (len(weights), self.grid.n_voxels)
        table = sp.csr_matrix((ratio.astype(np.float32), (of, voxels)), shape)
        return weights * (table @ np.ascontiguousarray(self.factor_maps.T))

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        weights = self.weights(hold_out.seen_of, voxels[hold_out.seen], len(hold_out.studies))
        return weights @ self.factor_maps
