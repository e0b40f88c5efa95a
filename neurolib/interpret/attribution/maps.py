"""A map of importance: numbers per input, shaped like the inputs ``(batch, time, channel)``, with their axes named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUNDING = 8 * torch.finfo(torch.float32).eps  # of the summed size of a map: what single precision can lose


@dataclass(frozen=True)
class Attribution:
    """What each input, or each part of a site, has to do with an answer.

    Parameters
    ----------
    values : dict of Tensor
        By path, shaped like the tensors attributed to.
    axes : dict of tuple of str
        Names of the axes of each.
    difference : Tensor, shape (B,), optional
        :math:`F(x) - F(x')`, which a complete map adds up to.
    steps : Tensor of int64, shape (B,), optional
        Nodes of the integral behind each row.
    tolerance : float
        Share of the difference by which the sum may miss it.
    method, baseline : str
        What they are called in tables.

    Examples
    --------
    >>> one = Attribution({"x": torch.tensor([[1.0, 3.0]])}, {"x": ("batch", "channel")}, torch.tensor([4.0]))
    >>> one.total.tolist(), one.complete.tolist()
    ([4.0], [True])
    """

    values: dict[str, Tensor]
    axes: dict[str, tuple[str, ...]]
    difference: Tensor | None = None
    steps: Tensor | None = None
    tolerance: float = 1e-3
    method: str = ""
    baseline: str = ""

    def __post_init__(self):
        for name, value in self.values.items():
            if value.dim() != len(self.axes.get(name, ())):
                raise ValueError(f"{name!r} has shape {tuple(value.shape)} and axes {self.axes.get(name)}")

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def flat(self) -> Tensor:
        """All numbers of each row, one tensor after the other, ``(B, n)``."""
        return torch.cat([value.flatten(1) for value in self.values.values()], 1)

    @property
    def total(self) -> Tensor:
        """Sum of each row, ``(B,)``."""
        return self.flat.double().sum(1)

    @property
    def error(self) -> Tensor:
        r""":math:`|\\sum_i a_i - (F(x) - F(x'))|` of each row, ``(B,)``."""
        if self.difference is None:
            raise ValueError(f"{self.method or 'this map'} promises no sum, so there is no error of it")
        return (self.total - self.difference.double()).abs()

    @property
    def complete(self) -> Tensor:
        """Whether each row adds up to the difference within the tolerance, or within rounding, ``(B,)``."""
        least = ROUNDING * self.flat.abs().double().sum(1)
        return self.error <= torch.maximum(self.tolerance * self.difference.double().abs(), least)

    def summed(self, name: str, keep: Sequence[str] = (), size: bool = False) -> Tensor:
        """Sum over all axes but the batch and those to ``keep``; of absolute values with ``size``.

        Examples
        --------
        >>> one = Attribution({"x": torch.ones(2, 5, 3)}, {"x": ("batch", "time", "channel")})
        >>> one.summed("x", ["channel"]).shape
        torch.Size([2, 3])
        """
        axes, value = self.axes[name], self.values[name]
        unknown = set(keep) - set(axes)
        if unknown:
            raise ValueError(f"{name!r} has no axis {sorted(unknown)[0]!r}; its axes are {', '.join(axes)}")
        gone = [k for k, axis in enumerate(axes) if k and axis not in keep]
        value = value.abs() if size else value
        return value.sum(gone) if gone else value

    def shares(self, keep: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Part of each tensor in the summed size of each row, ``(B,)`` each; they add up to one.

        Sizes are of single elements, or of sums over all axes but those to ``keep``. The difference is not
        small: a signal with many samples has many attributions of both signs that cancel.

        Examples
        --------
        >>> values = {"slow": torch.tensor([[[2.0]]]), "fast": torch.tensor([[[3.0], [-2.0]]])}
        >>> one = Attribution(values, dict.fromkeys(values, ("batch", "time", "channel")))
        >>> [round(float(s), 2) for s in one.shares().values()], [round(float(s), 2) for s in one.shares(["channel"]).values()]
        ([0.29, 0.71], [0.67, 0.33])
        """
        sizes = {}
        for name, value in self.values.items():
            parts = value if keep is None else self.summed(name, keep)
            sizes[name] = parts.double().abs().flatten(1).sum(1) if parts.dim() > 1 else parts.double().abs()
        whole = sum(sizes.values()).clamp(min=torch.finfo(torch.float64).tiny)
        return {name: size / whole for name, size in sizes.items()}


class Spread(NamedTuple):
    """How far maps of several baselines agree.

    Parameters
    ----------
    mean, sd : dict of Tensor
        Over baselines, shaped like the inputs.
    correlation : array, shape (n, n)
        Rank correlation between baselines, mean over rows.
    names : tuple of str
    """

    mean: dict[str, Tensor]
    sd: dict[str, Tensor]
    correlation: NDArray
    names: tuple[str, ...] = field(default=())


def spread(by_baseline: Mapping[str, Attribution]) -> Spread:
    """Mean, spread and agreement of maps that differ in the baseline alone.

    Examples
    --------
    >>> maps = {k: Attribution({"x": torch.tensor([[1.0, 2.0, v]])}, {"x": ("batch", "channel")})
    ...         for k, v in (("zero", 3.0), ("mean", 5.0))}
    >>> made = spread(maps)
    >>> made.mean["x"].tolist(), made.correlation.tolist()
    ([[1.0, 2.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]])
    """
    maps = list(by_baseline.values())
    if len(maps) < 2:
        raise ValueError(f"a spread needs two baselines or more, not {len(maps)}")
    stacked = {name: torch.stack([one.values[name].double() for one in maps]) for name in maps[0].values}
    table = np.array([[rank_correlation(a.flat, b.flat).mean() for b in maps] for a in maps])
    return Spread(
        {name: value.mean(0) for name, value in stacked.items()},
        {name: value.std(0) for name, value in stacked.items()},
        table.round(12),
        tuple(by_baseline),
    )


def rank_correlation(a: Tensor | NDArray, b: Tensor | NDArray) -> NDArray:
    """Spearman's correlation of each row of ``(B, n)`` with its partner, ``(B,)``; NaN where a row is constant.

    Examples
    --------
    >>> rank_correlation(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, 9.0]])).round(6).tolist()
    [1.0]
    """
    a, b = (_ranks(torch.as_tensor(x).detach().cpu().numpy()) for x in (a, b))
    size = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.where(size > 0, (a * b).sum(-1) / np.where(size > 0, size, 1), np.nan)


def _ranks(x: NDArray) -> NDArray:
    """Ranks within each row less their mean, equal values sharing one."""
    ranks = np.empty(x.shape)
    for row, out in zip(x, ranks, strict=True):
        _, place, count = np.unique(row, return_inverse=True, return_counts=True)
        out[:] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks - ranks.mean(-1, keepdims=True)
