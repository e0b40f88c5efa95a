"""Studies that never were: a density of where foci are in, foci of whole studies out.

Foci drawn independently are too scattered. Those of recorded studies come in clusters and in pairs
on both sides of the brain, so each focus here may be an offspring of one already drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from neurolib.data.brain import Grid
from neurolib.models.coordinates.density import FWHM_PER_SIGMA


@dataclass(frozen=True)
class FociSamplerConfig:
    """How foci of one study depend on each other.

    Parameters
    ----------
    local : tuple of (float, float)
        Pairs of a weight and a width: with this probability a focus is near an earlier one, by a
        Gaussian of this full width at half maximum in mm.
    mirror : tuple of (float, float)
        The same for the earlier focus's place on the other side of the brain.

    Notes
    -----
    The weights are those of the mixture by which hidden foci are completed from seen ones; the rest
    is the density's.
    """

    local: tuple[tuple[float, float], ...] = ((0.15, 8.0), (0.13, 15.0))
    mirror: tuple[tuple[float, float], ...] = ((0.15, 12.0),)

    def __post_init__(self):
        kernels = (*self.local, *self.mirror)
        if any(weight < 0 or not fwhm_mm > 0 for weight, fwhm_mm in kernels):
            raise ValueError(f"local={self.local}, mirror={self.mirror}: pairs of a weight and a width in mm")
        if self.offspring > 1:
            raise ValueError(f"weights sum to {self.offspring:g}; they and the density's make up one")

    @property
    def offspring(self) -> float:
        """Probability that a focus, the first aside, descends from an earlier one."""
        return sum(weight for weight, _ in (*self.local, *self.mirror))

    def build(self, grid: Grid) -> "FociSampler":
        """Make the sampler."""
        return FociSampler(self, grid)


class FociSampler:
    r"""Draws the foci of a study one after the other.

    .. math:: p(v_i \mid v_{<i}) = w_0\, p(v_i) + \sum_k w_k \frac{1}{i-1}
        \sum_{j<i} K_k(v_i - m_k(v_j)), \qquad v_1 \sim p

    with :math:`m_k` the identity or the mirror image, and kernels cut at the border of the brain.
    It is a cluster process in which offspring have offspring, and which a given number of foci ends.

    Parameters
    ----------
    cfg : FociSamplerConfig
    grid : Grid

    References
    ----------
    .. [1] Neyman & Scott (1958), "Statistical approach to problems of cosmology", J. R. Stat. Soc. B
       20, 1-43.

    Examples
    --------
    >>> sampler = FociSamplerConfig().build(Grid(np.ones((4, 4, 4), bool), 8.0, (-12.0, 0.0, 0.0)))
    >>> study = sampler.draw(np.full(64, 1 / 64), n=5, generator=np.random.default_rng(0))
    >>> study.shape, study.min() >= 0, study.max() < 64
    ((5,), np.True_, np.True_)
    """

    def __init__(self, cfg: FociSamplerConfig, grid: Grid):
        self.cfg, self.grid = cfg, grid
        kernels = [*cfg.local, *cfg.mirror]
        self.weights = np.array([1 - cfg.offspring, *(weight for weight, _ in kernels)]).clip(0)
        self.sigma_mm = np.array([fwhm_mm / FWHM_PER_SIGMA for _, fwhm_mm in kernels])
        self.mirrors = np.arange(len(kernels)) >= len(cfg.local)

    def draw(self, density: ArrayLike, n: int, generator: np.random.Generator) -> NDArray:
        """Draw the foci of one study.

        Parameters
        ----------
        density : array, shape (n_voxels,)
            Probability of every voxel, such as a decoded latent.
        n : int
        generator : numpy.random.Generator

        Returns
        -------
        array of int, shape (n,)
            Voxels, in the order in which they were drawn.

        Raises
        ------
        ValueError
            If the density is none over this grid.
        """
        density = self._checked(density)
        edges = np.cumsum(density)
        fresh = np.searchsorted(edges, generator.random(n) * edges[-1], side="right").clip(max=len(edges) - 1)
        kernel = generator.choice(len(self.weights), n, p=self.weights / self.weights.sum()) - 1
        parent = (generator.random(n) * np.arange(n)).astype(int)
        foci = fresh.copy()
        for i in range(1, n):
            if kernel[i] >= 0:
                foci[i] = self._offspring(foci[parent[i]], kernel[i], generator)
        return foci

    def studies(
        self, densities: ArrayLike, counts: ArrayLike, generator: np.random.Generator
    ) -> list[NDArray]:
        """Draw several studies: one density ``(n_studies, n_voxels)`` and one number of foci each."""
        return [self.draw(p, int(n), generator) for p, n in zip(densities, counts, strict=True)]

    def next(self, density: ArrayLike, drawn: ArrayLike) -> NDArray:
        """Probability of every voxel for the next focus, given those already drawn, ``(n_voxels,)``.

        Slower than drawing, and exactly what :meth:`draw` draws from.
        """
        density, drawn = self._checked(density), np.asarray(drawn, int)
        if not len(drawn):
            return density
        out = self.weights[0] * density
        for k, weight in enumerate(self.weights[1:]):
            centres = self.grid.mirror[drawn] if self.mirrors[k] else drawn
            offset = self.grid.centres_mm - self.grid.centres_mm[centres][:, None]
            half, sigma = self.grid.voxel_mm / 2, self.sigma_mm[k]
            kernel = (ndtr((offset + half) / sigma) - ndtr((offset - half) / sigma)).prod(-1)
            out += weight * (kernel / kernel.sum(1, keepdims=True)).mean(0)
        return out

    def _offspring(self, parent: int, kernel: int, generator: np.random.Generator) -> int:
        centre = self.grid.mirror[parent] if self.mirrors[kernel] else parent
        centre_mm = self.grid.centres_mm[centre]
        while True:  # the centre is brain, so a fair share of the steps is
            steps = generator.normal(0.0, self.sigma_mm[kernel], (8, 3))
            found = self.grid.index(centre_mm + steps)
            if (found >= 0).any():
                return int(found[found >= 0][0])

    def _checked(self, density: ArrayLike) -> NDArray:
        density = np.asarray(density, float)
        if density.shape != (self.grid.n_voxels,):
            raise ValueError(
                f"density {density.shape} for {self.grid.n_voxels} voxels; studies(...) takes several at once"
            )
        if not (density >= 0).all() or not np.isclose(density.sum(), 1, atol=1e-3):
            raise ValueError(f"density sums to {density.sum():g}; are these log probabilities?")
        return density / density.sum()
