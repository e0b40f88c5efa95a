"""Which rows of several sets make up each batch: sizes of sets in, lists of row numbers out.

Everything is a pure function of seed, epoch and step, so a run that goes on sees what it would have seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def shares(sizes: Mapping[str, int], power: float = 0.5) -> dict[str, float]:
    """Share of each set in an epoch, in proportion to its size to some power.

    Examples
    --------
    >>> shares({"eeg": 900, "fmri": 100})
    {'eeg': 0.75, 'fmri': 0.25}
    """
    weight = np.array([float(size) for size in sizes.values()]) ** power
    return dict(zip(sizes, (weight / weight.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class Sampler:
    """Batches over sets that lie end to end, as in :class:`torch.utils.data.ConcatDataset`.

    Parameters
    ----------
    sizes : dict of int
        Rows of each set, in the order in which they are joined.
    batch_size : int
        Over all processes.
    seed : int
    power : float
        1 draws rows alike, 0 sets alike; between them, small sets are heard more than their size says.
    epoch_rows : int
        Rows drawn per epoch; 0 takes as many as there are.
    mixed : bool
        Whether a batch may hold rows of several sets, which must then have the same keys and shapes.
    drop_last : bool
        Leave out batches that are not full, so that all processes make as many steps.

    Examples
    --------
    >>> sampler = Sampler({"a": 3, "b": 5}, batch_size=2, power=1.0, drop_last=False)
    >>> sorted(row for batch in sampler.batches(epoch=0) for row in batch)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """

    sizes: Mapping[str, int]
    batch_size: int
    seed: int = 0
    power: float = 0.5
    epoch_rows: int = 0
    mixed: bool = False
    drop_last: bool = True

    def __post_init__(self):
        empty = [name for name, size in self.sizes.items() if size < 1]
        if empty or not self.sizes:
            raise ValueError(f"sets without rows: {', '.join(empty) or 'there are no sets'}")
        if self.batch_size < 1 or self.epoch_rows < 0 or not 0 <= self.power <= 1:
            raise ValueError(
                f"batch_size={self.batch_size} must be at least 1, epoch_rows={self.epoch_rows} at least 0 and "
                f"power={self.power} in [0, 1]"
            )

    @property
    def drawn(self) -> dict[str, int]:
        """Rows of each set in an epoch; they sum to the rows of the epoch."""
        total = self.epoch_rows or sum(self.sizes.values())
        exact = np.array(list(shares(self.sizes, self.power).values())) * total
        rows = np.floor(exact + 1e-9).astype(int)
        # what rounding left over goes to the largest remainders
        rows[np.argsort(rows - exact, kind="stable")[: total - rows.sum()]] += 1
        return dict(zip(self.sizes, rows.tolist(), strict=True))

    def rows(self, epoch: int) -> dict[str, NDArray]:
        """Rows of each set drawn in an epoch: whole passes over the set, then part of one.

        Successive epochs go on where the pass stopped, so no row is heard twice before all were once.
        """
        found, first = {}, 0
        for number, (name, n) in enumerate(self.drawn.items()):
            size = self.sizes[name]
            at = np.arange(epoch * n, (epoch + 1) * n)
            order = np.empty(n, np.int64)
            for turn in np.unique(at // size):
                here = at // size == turn
                order[here] = np.random.default_rng([self.seed, number, turn]).permutation(size)[
                    at[here] % size
                ]
            found[name] = first + order
            first += size
        return found

    def batches(self, epoch: int, rank: int = 0, world: int = 1, start: int = 0) -> Iterator[list[int]]:
        """Batches of one process; those of all processes together are exactly the rows of the epoch.

        Parameters
        ----------
        epoch : int
        rank, world : int
            This process takes every ``world``-th row of each batch.
        start : int
            First batch, to go on within an epoch.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank={rank} must be in [0, {world})")
        if self.drop_last and self.batch_size < world:
            raise ValueError(f"batch_size={self.batch_size} for {world} processes; each needs a row")
        for batch in self._epoch(epoch)[start:]:
            mine = batch[rank::world].tolist()
            if mine:
                yield mine

    def n_batches(self, epoch: int = 0) -> int:
        """Batches in an epoch."""
        return len(self._epoch(epoch))

    def _epoch(self, epoch: int) -> list[NDArray]:
        rng = np.random.default_rng([self.seed, epoch])
        drawn = list(self.rows(epoch).values())
        groups = [np.concatenate(drawn)] if self.mixed else drawn
        whole = []
        for group in groups:
            group = rng.permutation(group)
            cut = [group[at : at + self.batch_size] for at in range(0, len(group), self.batch_size)]
            whole += [batch for batch in cut if len(batch) == self.batch_size or not self.drop_last]
        return [whole[i] for i in rng.permutation(len(whole))]
