"""NiMARE's GCLDA behind our interface: topic weights and foci in, a density over voxels out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.density_model import DensityModel


@dataclass(frozen=True)
class GcldaConfig:
    """Size of the model and how long it is sampled.

    NiMARE's own default is 5000 iterations; on all of Neurosynth one takes several seconds.

    Examples
    --------
    >>> GcldaConfig(n_regions=3)
    Traceback (most recent call last):
    ...
    ValueError: n_regions=3 must be even: regions come in pairs, left and right
    """

    n_topics: int = 50
    n_regions: int = 2  # Gaussians per topic, mirrored in pairs
    n_iterations: int = 100
    words_per_study: float = 100.0  # a study's topic weights times this, rounded, are its counts of words
    global_share: float = 0.15
    seed: int = 1

    def __post_init__(self):
        if self.n_topics < 1 or self.n_iterations < 1 or not self.words_per_study > 0:
            raise ValueError(
                f"n_topics={self.n_topics}, n_iterations={self.n_iterations} and "
                f"words_per_study={self.words_per_study} must be above 0"
            )
        if self.n_regions < 2 or self.n_regions % 2:
            raise ValueError(
                f"n_regions={self.n_regions} must be even: regions come in pairs, left and right"
            )
        if not 0 <= self.global_share < 1:
            raise ValueError(f"global_share={self.global_share} must be at least 0 and below 1")

    def build(self, grid: Grid) -> "Gclda":
        """Make the model, untrained."""
        return Gclda(self, grid)


class Gclda(DensityModel):
    r"""The model of :class:`GcldaConfig`; needs NiMARE, whose import takes seconds.

    GCLDA finds topics that have words and a few Gaussians in the brain. It wants counts of words,
    which our corpora do not hold: each topic of the corpus stands for one word, and its weight times
    ``words_per_study``, rounded, for how often that occurs. A map is then
    :math:`p(v \mid s) = \sum_w \theta_{sw} \sum_k p(k \mid w)\, p(v \mid k)`. Studies without
    topics take no part and get the global density.

    Attributes
    ----------
    word_maps : array, shape (n_words, n_voxels)
        Density of each of the corpus's topics.

    References
    ----------
    .. [1] Rubin et al. (2017). Decoding brain activity using a large-scale probabilistic functional-
       anatomical atlas of human cognition. PLoS Computational Biology 13, e1005649.
    .. [2] Salo et al. (2023). NiMARE: Neuroimaging Meta-Analysis Research Environment. Aperture Neuro 3.
    """

    def __init__(self, cfg: GcldaConfig, grid: Grid):
        super().__init__(grid, cfg.global_share)
        self.cfg = cfg

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        import nibabel
        import pandas
        from nimare.annotate.gclda import GCLDAModel

        counts = np.rint(corpus.topics[studies] * self.cfg.words_per_study).astype(int)
        known = (counts.sum(1) > 0) & (corpus.counts[studies] > 0)
        if not known.any():
            raise ValueError("no study has topics and foci; give topics by corpus.with_topics")
        studies, counts = studies[known], counts[known]
        rows = corpus.foci(studies)
        ids = np.array([f"{study:09d}" for study in studies])
        words = pandas.DataFrame(counts, index=ids, columns=[str(k) for k in range(counts.shape[1])])
        foci = pandas.DataFrame(corpus.xyz_mm[rows], columns=list("xyz"))
        foci["id"] = np.repeat(ids, corpus.counts[studies])
        cfg, brain = self.cfg, nibabel.Nifti1Image(self.grid.mask.astype(np.uint8), self.grid.affine)
        model = GCLDAModel(
            words, foci, mask=brain, n_topics=cfg.n_topics, n_regions=cfg.n_regions, seed_init=cfg.seed
        )
        model.fit(n_iters=cfg.n_iterations, loglikely_freq=cfg.n_iterations)
        # its voxels are in the order of ours; a word that never occurs is dropped and gets the global map
        self.word_maps = np.tile(self.base, (counts.shape[1], 1))
        topics = model.p_topic_g_word_ / model.p_topic_g_word_.sum(1, keepdims=True)
        maps = topics @ model.p_voxel_g_topic_.T
        self.word_maps[[int(word) for word in model.vocabulary]] = maps / maps.sum(1, keepdims=True)

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        weights = corpus.topics[hold_out.studies]
        if weights.shape[1] != len(self.word_maps):
            raise ValueError(
                f"{weights.shape[1]} topics for a model of {len(self.word_maps)}; another corpus?"
            )
        total = weights.sum(1, keepdims=True)
        return np.where(total > 0, weights / np.where(total > 0, total, 1) @ self.word_maps, self.base)
