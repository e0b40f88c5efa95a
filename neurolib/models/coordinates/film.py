"""Feature-wise modulation: a condition ``(batch, condition)`` in, a scale and a shift per channel out.

The generator starts at zero, so that an untrained modulation is the identity. Rows without a condition,
and some rows at random in training, get a learned null vector: one net serves both cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Modulation = tuple[Tensor, Tensor]  # gamma and delta of one layer, each (batch, channel)


@dataclass(frozen=True)
class FiLMConfig:
    """Settings of a :class:`FiLM` generator.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    n_condition: int
    hidden: int = 64
    dropout: float = 0.2  # share of rows whose condition is hidden in training

    def __post_init__(self):
        if min(self.n_condition, self.hidden) < 1:
            raise ValueError(
                f"n_condition={self.n_condition}, hidden={self.hidden}: both must be at least 1; "
                "a net without a condition needs no FiLM"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and below 1; it is a share of rows")

    def build(self, channels: Sequence[int]) -> "FiLM":
        """Make the generator for layers of so many channels each."""
        return FiLM(self, channels)


class FiLM(nn.Module):
    """Maps a condition to ``(gamma, delta)`` for every layer that it modulates.

    Parameters
    ----------
    cfg : FiLMConfig
    channels : sequence of int
        Of the modulated layers, in their order.

    References
    ----------
    .. [1] Perez et al. (2018), "FiLM: visual reasoning with a general conditioning layer", AAAI.
    .. [2] Ho & Salimans (2022), "Classifier-free diffusion guidance", arXiv 2207.12598 (the null
       condition).

    Examples
    --------
    >>> film = FiLMConfig(n_condition=3).build(channels=[4, 8])
    >>> condition = film.fill(None, n=2)
    >>> [tuple(gamma.shape) for gamma, delta in film(condition)]
    [(2, 4), (2, 8)]
    >>> h = torch.randn(2, 4, 5, 5, 5)
    >>> torch.equal(modulate(h, film(condition)[0]), h)
    True
    """

    def __init__(self, cfg: FiLMConfig, channels: Sequence[int]):
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels={list(channels)}: name the channels of at least one layer")
        self.cfg, self.channels = cfg, list(channels)
        self.null = nn.Parameter(torch.zeros(cfg.n_condition))
        self.generator = nn.Sequential(
            nn.Linear(cfg.n_condition, cfg.hidden),
            nn.SiLU(),
            nn.Linear(cfg.hidden, 2 * sum(self.channels)),
        )
        nn.init.zeros_(self.generator[-1].weight)
        nn.init.zeros_(self.generator[-1].bias)

    def fill(self, condition: Tensor | None, n: int) -> Tensor:
        """Condition ``(n, n_condition)`` with the null vector where there is none, or where it is dropped.

        Apart from :meth:`forward`, so that an encoder and a decoder are told the same.

        Raises
        ------
        ValueError
            If the condition has another shape.
        """
        if condition is None:
            return self.null.expand(n, -1)
        if condition.shape != (n, self.cfg.n_condition):
            raise ValueError(
                f"condition {tuple(condition.shape)} for {n} rows of {self.cfg.n_condition} numbers; "
                "is it of other studies, or has a column been added?"
            )
        if not self.training or not self.cfg.dropout:
            return condition
        dropped = torch.rand(n, 1, device=condition.device) < self.cfg.dropout
        return torch.where(dropped, self.null.to(condition.dtype), condition)

    def forward(self, condition: Tensor) -> list[Modulation]:
        """Scales and shifts of all layers, from a condition made by :meth:`fill`."""
        both = self.generator(condition).split([2 * n for n in self.channels], dim=1)
        return [tuple(part.chunk(2, dim=1)) for part in both]


def modulate(h: Tensor, modulation: Modulation | None) -> Tensor:
    """``(1 + gamma) h + delta``, channel by channel; ``h (batch, channel, ...)`` as it is without any.

    Examples
    --------
    >>> modulate(torch.tensor([[1.0, 1.0]]), (torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 2.0]])))
    tensor([[1.5000, 3.0000]])
    """
    if modulation is None:
        return h
    gamma, delta = (part[(...,) + (None,) * (h.dim() - 2)] for part in modulation)
    return (1 + gamma) * h + delta
