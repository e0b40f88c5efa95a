"""Finite scalar quantization: latents ``(..., dim)`` to points of a small grid, without a codebook.

One code per stage out; a later stage refines the cell that the one before it chose.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurolib.models.quantizers.estimators import Surrogate
from neurolib.models.quantizers.projection import Projection
from neurolib.models.quantizers.quantizer import Quantized, Quantizer, check_finite


@dataclass(frozen=True)
class FiniteScalarConfig:
    """Settings of a :class:`FiniteScalarQuantizer`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    levels: tuple[int, ...] = (8, 5, 5, 5)  # values along each axis; 1000 codes
    n_stages: int = 1

    def __post_init__(self):
        if not self.levels or min(self.levels) < 3 or self.n_stages < 1:
            raise ValueError(
                f"levels={self.levels} must be 3 or more along each axis (two are signs: LookupFreeConfig), "
                f"n_stages={self.n_stages} 1 or more"
            )
        if math.prod(self.levels) >= 2**62:
            raise ValueError(f"levels={self.levels} make more codes than an integer can number")

    def build(self, dim: int) -> "FiniteScalarQuantizer":
        """A quantizer of latents with ``dim`` channels."""
        return FiniteScalarQuantizer(self, dim)


class FiniteScalarQuantizer(Quantizer):
    """Round a few bounded projections of the latents.

    Parameters
    ----------
    cfg : FiniteScalarConfig
    dim : int

    Notes
    -----
    Along an axis with ``L`` levels the latent is bounded by tanh and rounded to one of
    ``-floor(L/2) .. ceil(L/2) - 1``, in units of ``floor(L/2)``. An even number of levels needs the
    bound moved by half a step; without it eight levels are seven. The code is the number
    of the grid point, the first axis changing fastest. Later stages cut the cell, one wide, into ``L``
    equal parts, each shown by its middle.

    References
    ----------
    .. [1] Mentzer et al. (2023), "Finite scalar quantization", arXiv:2309.15505.

    Examples
    --------
    >>> quantizer = FiniteScalarConfig(levels=(3, 4)).build(dim=2)
    >>> quantizer.quantize(torch.tensor([[-9.0, -9.0], [0.0, 9.0]])).codes.tolist()
    [[0], [10]]
    >>> quantizer.decode(torch.tensor([[0], [10]])).tolist()
    [[-1.0, -1.0], [0.0, 0.5]]
    """

    def __init__(self, cfg: FiniteScalarConfig, dim: int):
        super().__init__(dim, (math.prod(cfg.levels),) * cfg.n_stages)
        self.cfg = cfg
        self.projection = Projection(dim, len(cfg.levels))
        levels = torch.tensor(cfg.levels)
        half_width = (levels - 1) * (1 + 1e-3) / 2  # a little wide, so that tanh reaches the last level
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        tables = {
            "half_width": half_width,
            "offset": offset,
            "shift": torch.atanh(offset / half_width),
            "lowest": levels // 2,
            "levels": levels,
            "place": torch.tensor([math.prod(cfg.levels[:i]) for i in range(len(cfg.levels))]),
        }
        for name, table in tables.items():
            # One row per axis and one column per latent: that way torch's loops are long and vectorised.
            self.register_buffer(name, table[:, None], persistent=False)

    def quantize(self, z: Tensor) -> Quantized:
        """Code latents ``(..., dim)``; there is no loss of its own, gradients pass the rounding unchanged.

        Raises
        ------
        ValueError
            If the latents have another width or are not finite.
        """
        rows = self._rows(z)
        entered = self._enter(rows)
        bounded = self._bound(entered)
        with torch.no_grad():
            check_finite(entered.sum(), rows)
            digits = self._digits(bounded)
            codes = torch.stack([(digit * self.place).sum(dim=0) for digit in digits], dim=1)
            point = self._point(digits)
        if bounded.requires_grad:
            point = Surrogate.apply(bounded / self.lowest, point)
        z_q = self.projection.leave(point.T)
        loss = z_q.new_zeros(())
        return Quantized(codes.view(*z.shape[:-1], len(digits)), z_q.reshape(z.shape), loss, {})

    def decode(self, codes: Tensor) -> Tensor:
        """What codes ``(..., n_stages)`` stand for."""
        rows = self._code_rows(codes)
        digits = [column // self.place % self.levels for column in rows.unbind(dim=1)]
        return self.projection.leave(self._point(digits).T).reshape(*codes.shape[:-1], self.dim)

    def init_kmeans(self, z: Tensor, seed: int = 0) -> "FiniteScalarQuantizer":
        """Start along the principal axes of training latents, two standard deviations spanning the levels.

        There is no codebook, so nothing is clustered.
        """
        self.projection.fit(self._rows(z), lambda u: self._point(self._digits(self._bound(u.T))).T)
        return self

    def _enter(self, rows: Tensor) -> Tensor:
        """Place along each axis, ``(n_axes, n)``, in the precision of this module even under autocast."""
        dtype = self.offset.dtype
        return self.projection.enter(rows.to(dtype)).to(dtype).T.contiguous()

    def _bound(self, entered: Tensor) -> Tensor:
        return torch.tanh(entered + self.shift) * self.half_width - self.offset

    def _digits(self, bounded: Tensor) -> list[Tensor]:
        """Level along each axis, counted from 0, ``(n_axes, n)`` for every stage."""
        nearest = bounded.round()
        digits, rest = [nearest.long() + self.lowest], bounded - nearest
        for _ in range(1, self.cfg.n_stages):
            rest = (rest + 0.5) * self.levels
            digit = torch.minimum(rest.long(), self.levels - 1).clamp_(min=0)
            digits.append(digit)
            rest = rest - digit - 0.5
        return digits

    def _point(self, digits: list[Tensor]) -> Tensor:
        """The point that levels stand for, from -1 to 1."""
        point, width = (digits[0] - self.lowest).to(self.offset.dtype), 1.0
        for digit in digits[1:]:
            point = point + ((digit + 0.5) / self.levels - 0.5) * width
            width = width / self.levels
        return point / self.lowest
