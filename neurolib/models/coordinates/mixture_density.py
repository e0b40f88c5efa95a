"""A mixture of Gaussians cut to the brain: its parameters in, the log probability of every voxel out."""

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neurolib.data.brain import Grid

PER_COMPONENT = 10  # log weight, 3 of the mean, 6 of the covariance
BLOCK = 16  # studies at once; all voxels times all components are many numbers


@dataclass(frozen=True)
class MixtureDensityConfig:
    """Number and widths of the Gaussians.

    Parameters
    ----------
    components : int
    sigma_mm : tuple of float
        Standard deviations are at least the first in every direction, and at most the second along x, y
        and z.
    stride : int
        In training the normaliser is taken over every so-many-th voxel along each axis, from a random
        one on. It is unbiased; what it costs in precision is little while ``stride`` voxels are no
        wider than twice the least sigma. 1 is exact and slow.
    """

    components: int = 32
    sigma_mm: tuple[float, float] = (4.0, 25.0)
    stride: int = 2

    def __post_init__(self):
        if min(self.components, self.stride) < 1:
            raise ValueError(f"components={self.components}, stride={self.stride}: both must be at least 1")
        if not 0 < self.sigma_mm[0] < self.sigma_mm[1]:
            raise ValueError(f"sigma_mm={self.sigma_mm} must be the least and the greatest, in mm")

    def build(self, grid: Grid) -> "MixtureDensity":
        """Make the map from parameters to densities."""
        return MixtureDensity(self, grid)


class Components(NamedTuple):
    """Gaussians before the brain's border cuts them.

    Parameters
    ----------
    log_weight : Tensor, shape (batch, components)
    mean_mm : Tensor, shape (batch, components, 3)
    covariance : Tensor, shape (batch, components, 3, 3)
        In mm².
    """

    log_weight: Tensor
    mean_mm: Tensor
    covariance: Tensor


class MixtureDensity(nn.Module):
    r"""Densities over voxels from unbounded numbers, ten per Gaussian.

    .. math:: p(v) \propto \sum_k \pi_k\, N(x_v; \mu_k, \Sigma_k), \qquad
        \Sigma_k = \sigma_{\min}^2 I + A_k A_k^\top

    with the sum over the voxels of the brain as normaliser. Means stay inside the box around the
    brain; A is lower triangular with rows of bounded length.

    Parameters
    ----------
    cfg : MixtureDensityConfig
    grid : Grid

    References
    ----------
    .. [1] Bishop (1994), "Mixture density networks", Aston University, NCRG/94/004.

    Examples
    --------
    >>> cube = Grid(np.ones((5, 5, 5), bool), 8.0, (-16.0, -16.0, -16.0))
    >>> density = MixtureDensityConfig(components=1).build(cube)(torch.zeros(1, 10)).exp()
    >>> density.argmax().item(), round(density.sum().item(), 5)  # the middle of the box
    (62, 1.0)
    """

    def __init__(self, cfg: MixtureDensityConfig, grid: Grid):
        super().__init__()
        self.cfg, self.voxel_mm = cfg, grid.voxel_mm
        centres = torch.as_tensor(grid.centres_mm, dtype=torch.float32)
        lowest, highest = centres.amin(0), centres.amax(0)
        self.register_buffer("middle", (lowest + highest) / 2, persistent=False)
        self.register_buffer("reach_mm", (highest - lowest) / 2 + grid.voxel_mm / 2, persistent=False)
        self.register_buffer("powers", _powers(centres - self.middle), persistent=False)
        part = grid.voxels % cfg.stride @ cfg.stride ** np.arange(3)
        self.register_buffer("part", torch.from_numpy(part), persistent=False)

    @property
    def n_parameters(self) -> int:
        """Numbers per density."""
        return PER_COMPONENT * self.cfg.components

    def components(self, parameters: Tensor) -> Components:
        """Weights, means and covariances from parameters ``(batch, n_parameters)``."""
        raw = parameters.unflatten(1, (self.cfg.components, PER_COMPONENT))
        weight, mean, spread, turn = raw.split([1, 3, 3, 3], 2)
        least, most = self.cfg.sigma_mm
        zero, one = torch.zeros_like(weight), torch.ones_like(weight)
        a, b, c = turn.split(1, 2)
        rows = torch.stack([torch.cat(row, 2) for row in ((one, zero, zero), (a, one, zero), (b, c, one))], 2)
        length = math.sqrt(most**2 - least**2) * spread.sigmoid()
        factor = rows / rows.norm(dim=3, keepdim=True) * length[..., None]
        eye = torch.eye(3, dtype=raw.dtype, device=raw.device)
        return Components(
            weight[..., 0].log_softmax(1),
            self.middle + self.reach_mm * mean.tanh(),
            least**2 * eye + factor @ factor.mT,
        )

    def forward(self, parameters: Tensor) -> Tensor:
        """Log probability of every voxel, ``(batch, n_voxels)``; exact."""
        logs = [self._unnormalised(c, self.powers) for c in self._coefficients(parameters).split(BLOCK)]
        return torch.cat(logs).log_softmax(1)

    def at_foci(self, parameters: Tensor, voxels: Tensor, part: int | None = None) -> Tensor:
        """Log probability of the voxels ``(batch, n)``, with the normaliser over one part of the brain.

        Parameters
        ----------
        parameters : Tensor, shape (batch, n_parameters)
        voxels : Tensor of int, shape (batch, n)
        part : int, optional
            Of the ``stride ** 3`` interleaved parts; drawn at random by default.

        Returns
        -------
        Tensor, shape (batch, n)
        """
        coefficients, n_parts = self._coefficients(parameters), self.cfg.stride**3
        if part is None:
            part = int(torch.randint(n_parts, ()))
        with torch.autocast(parameters.device.type, enabled=False):
            # no density exceeds 1 / sigma ** 3, so the sum needs no shift, which would double the work
            each = (coefficients.flatten(0, 1) @ self.powers[self.part == part].mT).exp().sum(1)
            total = n_parts * each.unflatten(0, coefficients.shape[:2]).sum(1, keepdim=True)
            found = torch.einsum("bkf,bnf->bkn", coefficients, self.powers[voxels])
            return found.logsumexp(1) - total.clamp(min=1e-30).log()

    def fitted(self, density: ArrayLike, seed: int = 0, n_points: int = 20_000) -> Tensor:
        """Parameters ``(n_parameters,)`` of a mixture fitted to points drawn from a density ``(n_voxels,)``.

        Expectation-maximisation, as a place to start training from.
        """
        from sklearn.mixture import GaussianMixture

        centres, rng = self.powers[:, 1:4].double().cpu().numpy(), np.random.default_rng(seed)
        density = np.asarray(density, float)
        drawn = centres[rng.choice(len(centres), n_points, p=density / density.sum())]
        least, most = self.cfg.sigma_mm
        found = GaussianMixture(
            self.cfg.components, reg_covar=least**2, max_iter=50, init_params="k-means++", random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged: training goes on from here
            found.fit(drawn + rng.uniform(-0.5, 0.5, drawn.shape) * self.voxel_mm)
        # the rows of A, none longer than allowed; and what gives them in `components`
        rows = np.linalg.cholesky(found.covariances_ - 0.99 * least**2 * np.eye(3))
        share = np.clip(np.linalg.norm(rows, axis=2) / math.sqrt(most**2 - least**2), 0.02, 0.98)
        turn = np.stack([rows[:, i, j] / rows[:, i, i] for i, j in ((1, 0), (2, 0), (2, 1))], 1)
        inside = np.clip(found.means_ / self.reach_mm.cpu().numpy(), -0.98, 0.98)
        parts = [np.log(found.weights_)[:, None], np.arctanh(inside), np.log(share / (1 - share)), turn]
        return torch.from_numpy(np.concatenate(parts, 1).ravel()).float()

    def _coefficients(self, parameters: Tensor) -> Tensor:
        """Each component's log density as a polynomial of the place, ``(batch, components, 10)``."""
        # squares of millimetres: half precision would lose the result
        with torch.autocast(parameters.device.type, enabled=False):
            log_weight, mean, covariance = self.components(parameters.to(self.powers.dtype))
            factor = torch.linalg.cholesky(covariance)
            precision = torch.cholesky_inverse(factor)
            mean = mean - self.middle
            linear = (precision @ mean[..., None])[..., 0]
            constant = log_weight - factor.diagonal(dim1=2, dim2=3).log().sum(2) - (linear * mean).sum(2) / 2
            i, j = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]
            twice = precision.new_tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
            return torch.cat([constant[..., None], linear, -precision[..., i, j] * twice / 2], 2)

    def _unnormalised(self, coefficients: Tensor, powers: Tensor) -> Tensor:
        with torch.autocast(coefficients.device.type, enabled=False):
            each = coefficients.flatten(0, 1) @ powers.mT
        return each.unflatten(0, coefficients.shape[:2]).logsumexp(1)


def _powers(xyz: Tensor) -> Tensor:
    """1, x, y, z, their squares and their products, ``(n, 10)``."""
    x, y, z = xyz.unbind(1)
    return torch.stack([torch.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], 1)
