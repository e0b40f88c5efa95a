"""Growing tables of identity: names of units, electrodes or recordings in, one learned vector each out.

Names are looked up once, when data are prepared; tensors hold row numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

INIT_SD = 0.02


class GrowingEmbedding(nn.Module):
    """An embedding whose vocabulary grows with every new recording.

    Parameters
    ----------
    d : int
        Width of a vector.
    names : sequence of str
        First vocabulary.

    Raises
    ------
    ValueError
        If a name comes twice, or is unknown where it must be known.

    References
    ----------
    .. [1] Azabou et al. (2023), "A unified, scalable framework for neural population decoding", NeurIPS,
       arXiv:2310.16046.

    Examples
    --------
    >>> table = GrowingEmbedding(4, ["a/0", "a/1"])
    >>> table.grow(["b/0"])
    >>> table.rows(["b/0", "a/0"]).tolist()
    [2, 0]
    """

    def __init__(self, d: int, names: Sequence[str] = ()):
        super().__init__()
        self.d = d
        self.names: list[str] = []
        self.row_of: dict[str, int] = {}
        self.weight = nn.Parameter(torch.empty(0, d))
        self.grow(names)

    def __len__(self) -> int:
        return len(self.weight)

    def grow(self, names: Sequence[str], like: Sequence[str] = ()) -> None:
        """Add names; their vectors are the mean of those ``like`` them, if any, plus noise.

        An optimiser made before does not know the new rows: grow first, then train.
        """
        names = list(names)
        twice = [name for name in names if name in self.row_of] or sorted(
            {n for n in names if names.count(n) > 1}
        )
        if twice:
            raise ValueError(f"{twice[0]!r} is in the vocabulary already; names of units must be unique")
        self._add(len(names), self.weight[self.rows(like)].mean(0) if len(like) else None)
        for name in names:
            self.row_of[name] = len(self.names)
            self.names.append(name)

    def reserve(self, n: int) -> None:
        """Have at least ``n`` rows; those without a name yet are called by their number."""
        if n > len(self):
            self.grow([f"#{row}" for row in range(len(self), n)])

    def _add(self, n: int, centre: Tensor | None) -> None:
        with torch.no_grad():
            new = torch.randn(n, self.d, device=self.weight.device, dtype=self.weight.dtype) * INIT_SD
            if centre is not None:
                new += centre
            grown = torch.cat([self.weight, new])
        self.weight = nn.Parameter(grown, requires_grad=self.weight.requires_grad)

    def rows(self, names: Sequence[str]) -> Tensor:
        """Row numbers of names."""
        unknown = [name for name in names if name not in self.row_of]
        if unknown:
            raise ValueError(
                f"unit {unknown[0]!r} is not among the {len(self)} of this model (and {len(unknown) - 1} more); "
                "is it a new recording? grow() adds its units"
            )
        return torch.tensor([self.row_of[name] for name in names], dtype=torch.int64)

    def subset(self, names: Sequence[str]) -> "GrowingEmbedding":
        """A table of only these names, with their vectors."""
        part = GrowingEmbedding(self.d, names).to(self.weight)
        with torch.no_grad():
            part.weight.copy_(self.weight[self.rows(names)])
        return part

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors ``(..., d)`` of rows ``(...)``."""
        if rows.numel() and int(rows.max()) >= len(self):
            raise ValueError(
                f"row {int(rows.max())} of a table of {len(self)}; is it a new recording? grow() adds its units"
            )
        return nn.functional.embedding(rows, self.weight)

    def get_extra_state(self) -> dict:
        """The vocabulary, saved with the weights."""
        return {"names": self.names}

    def set_extra_state(self, state: dict) -> None:
        """Take over a vocabulary."""
        self.names = list(state["names"])
        self.row_of = {name: row for row, name in enumerate(self.names)}

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        loaded = state_dict.get(prefix + "weight")
        if loaded is not None and loaded.shape != self.weight.shape:  # another vocabulary: take its size
            self.weight = nn.Parameter(self.weight.new_empty(loaded.shape), self.weight.requires_grad)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
