"""Ridge regression from topics to smoothed counts: topic weights in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density import Smoother
from neurolib.models.coordinates.density_model import DensityModel


@dataclass(frozen=True)
class TopicRidgeConfig:
    """Penalty, smoothing, and how much of the global density stands under the regression.

    The default share is what validation studies of Neurosynth prefer.

    Examples
    --------
    >>> from neurolib.data.coordinates import tiny
    >>> grid = Grid(np.ones((2, 1, 1), bool), 4.0, (0.0, 0.0, 0.0))
    >>> topics = {"topics": np.eye(2, dtype=np.float32), "topic_names": ("seeing", "moving")}
    >>> corpus = tiny([[0.0, 0, 0], [4.0, 0, 0]], study=[0, 1], **topics)
    >>> model = TopicRidgeConfig(penalty=0.5, fwhm_mm=0.0, global_share=0.0).build(grid)
    >>> model.fit(corpus, corpus.voxels(grid), [0, 1]).density(corpus, corpus.voxels(grid), [], 0).round(3)
    array([0.833, 0.167])
    """

    penalty: float = 10.0  # in studies; not on the intercept
    fwhm_mm: float = 10.0
    global_share: float = 0.15

    def __post_init__(self):
        if not self.penalty > 0 or self.fwhm_mm < 0 or not 0 <= self.global_share < 1:
            raise ValueError(
                f"penalty={self.penalty} must be above 0, fwhm_mm={self.fwhm_mm} not negative and "
                f"global_share={self.global_share} at least 0 and below 1"
            )

    def build(self, grid: Grid) -> "TopicRidge":
        """Make the model, untrained."""
        return TopicRidge(self, grid)


class TopicRidge(DensityModel):
    r"""The model of :class:`TopicRidgeConfig`, in closed form.

    .. math:: \hat p(v \mid s) \propto \max(0, [1, \theta_s] W_v), \qquad
        W = (F^\top F + \lambda I)^{-1} F^\top C

    with the counts :math:`C` smoothed. NeuroQuery regresses on weights of terms in the same way.
    Studies without topics get the global density and take no part in fitting.

    References
    ----------
    .. [1] Dockes et al. (2020). NeuroQuery, comprehensive meta-analysis of human brain mapping.
       eLife 9, e53385.
    """

    def __init__(self, cfg: TopicRidgeConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        studies = studies[corpus.topics[studies].sum(1) > 0]
        if not len(studies):
            raise ValueError("no study has topics; give topics by corpus.with_topics")
        inputs = _inputs(corpus, studies)
        of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
        at = voxels[corpus.foci(studies)]
        counts = sp.csr_matrix((np.ones(len(at)), (at, of)), (self.grid.n_voxels, len(studies)))
        penalty = self.cfg.penalty * np.eye(inputs.shape[1])
        penalty[0, 0] = 0
        maps = np.linalg.solve(inputs.T @ inputs + penalty, (counts @ inputs).T)
        smooth = Smoother(self.grid, self.cfg.fwhm_mm)  # linear, so that maps may be smoothed, not counts
        self.maps = np.stack([smooth(row) for row in maps])

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        rates = np.maximum(_inputs(corpus, hold_out.studies) @ self.maps, 0)
        total = rates.sum(1, keepdims=True)
        known = (corpus.topics[hold_out.studies].sum(1, keepdims=True) > 0) & (total > 0)
        return np.where(known, rates / np.where(total > 0, total, 1), self.base)


def _inputs(corpus: Coordinates, studies: NDArray) -> NDArray:
    return np.c_[np.ones(len(studies)), corpus.topics[studies]]
