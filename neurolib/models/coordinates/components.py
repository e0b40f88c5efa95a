"""Principal components of study maps, regressed from half to half: foci in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut, hide_half
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density_model import DensityModel
from neurolib.models.coordinates.study_maps import StudyMaps


@dataclass(frozen=True)
class ComponentsConfig:
    """How many components of how smooth maps, and whether topics are inputs beside them.

    Examples
    --------
    >>> ComponentsConfig(global_share=1.0)
    Traceback (most recent call last):
    ...
    ValueError: global_share=1.0 must be at least 0 and below 1
    """

    n_components: int = 64
    fwhm_mm: float = 14.0
    topics: bool = False
    shrinkage_foci: float = 10.0  # scores of a study with so many seen foci count half in the shrunk inputs
    penalty: float = 1e-3  # of each input's variance, per study
    global_share: float = 0.1
    seed: int = 0

    def __post_init__(self):
        if self.n_components < 1 or not self.fwhm_mm > 0:
            raise ValueError(
                f"n_components={self.n_components} must be at least 1 and fwhm_mm={self.fwhm_mm} above 0"
            )
        if not self.penalty > 0 or self.shrinkage_foci < 0:
            raise ValueError(
                f"penalty={self.penalty} must be above 0 and shrinkage_foci={self.shrinkage_foci} not negative"
            )
        if not 0 <= self.global_share < 1:
            raise ValueError(f"global_share={self.global_share} must be at least 0 and below 1")

    def build(self, grid: Grid) -> "Components":
        """Make the model, untrained."""
        return Components(self, grid)


class Components(DensityModel):
    r"""The model of :class:`ComponentsConfig`.

    Maps of whole training studies give the components. A ridge regression then learns, from
    studies cut in two at random, what the scores :math:`z` of one half of the foci say about those of the
    other; its inputs are :math:`z`, :math:`z\,n/(n + 10)` for :math:`n` seen foci and, if asked for, the
    square roots of the topics. The predicted map bends the global density.

    Attributes
    ----------
    axes : array, shape (n_components, n_nodes)
    mean : array, shape (n_nodes,)
    coefficients : array, shape (n_inputs, n_components)

    References
    ----------
    .. [1] Halko et al. (2011). Finding structure with randomness: probabilistic algorithms for
       constructing approximate matrix decompositions. SIAM Review 53, 217-288.
    """

    def __init__(self, cfg: ComponentsConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        studies = studies[corpus.counts[studies] > 0]
        self.maps = StudyMaps(self.grid, self.base, self.cfg.fwhm_mm)
        of = np.repeat(np.arange(len(studies)), corpus.counts[studies])
        whole = self.maps.read(voxels[corpus.foci(studies)], of, len(studies))
        self.mean = whole.mean(0)
        k = min(self.cfg.n_components, *whole.shape)
        whole -= self.mean
        self.axes = randomized_svd(whole, k, n_iter=2, random_state=self.cfg.seed)[2]
        self.topic_mean = self._roots(corpus, studies).mean(0)

        halves = hide_half(corpus, studies, seed=self.cfg.seed)
        if len(halves.studies) < 2:
            raise ValueError(
                f"{len(halves.studies)} of {len(studies)} studies have the 4 foci that make two halves"
            )
        swapped = HoldOut(halves.studies, halves.hidden, halves.hidden_of, halves.seen, halves.seen_of)
        inputs = np.concatenate([self.inputs(corpus, voxels, half) for half in (halves, swapped)])
        targets = [
            self.scores(voxels[half.seen], half.seen_of, len(half.studies)) for half in (swapped, halves)
        ]
        penalty = self.cfg.penalty * len(inputs) * (inputs.var(0) + 1e-12)
        gram = inputs.T @ inputs + np.diag(penalty)
        self.coefficients = np.linalg.solve(gram, inputs.T @ np.concatenate(targets))

    def scores(self, voxels: NDArray, of: NDArray, n_studies: int) -> NDArray:
        """Scores of studies on the components, (n_studies, n_components); zeros where there are no foci."""
        maps = self.maps.read(voxels, of, n_studies)
        some = np.bincount(of, minlength=n_studies) > 0
        return np.where(some[:, None], (maps - self.mean) @ self.axes.T, 0.0)

    def inputs(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """Inputs of the regression, (n_studies, n_inputs), from the seen foci and the topics."""
        n = len(hold_out.studies)
        scores = self.scores(voxels[hold_out.seen], hold_out.seen_of, n)
        seen = np.bincount(hold_out.seen_of, minlength=n)[:, None]
        shrunk = scores * (seen / np.maximum(seen + self.cfg.shrinkage_foci, 1))
        return np.c_[scores, shrunk, self._topics(corpus, hold_out.studies)]

    def predict(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """Expected map on the nodes of every study's hidden foci, (n_studies, n_nodes)."""
        return self.mean + self.inputs(corpus, voxels, hold_out) @ self.coefficients @ self.axes

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        return self.maps.densities(self.predict(corpus, voxels, hold_out), self.mean)

    def _roots(self, corpus: Coordinates, studies: NDArray) -> NDArray:
        return np.sqrt(corpus.topics[studies]).astype(float)

    def _topics(self, corpus: Coordinates, studies: NDArray) -> NDArray:
        if not self.cfg.topics:
            return np.zeros((len(studies), 0))
        known = corpus.topics[studies].sum(1, keepdims=True) > 0
        return np.where(known, self._roots(corpus, studies) - self.topic_mean, 0.0)
