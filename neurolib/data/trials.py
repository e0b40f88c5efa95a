"""Binned trials: spike counts and behaviour on one time grid, in trials of any length.

Arrays are ``(bin, channel)`` with all trials stacked, so a recording of any shape is two
arrays and the trial borders; :meth:`Trials.padded` gives ``(trial, bin, channel)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Padded(NamedTuple):
    """Trials as one block: ``counts`` and ``behaviour`` ``(trial, bin, channel)``, ``mask`` ``(trial, bin)``."""

    counts: NDArray
    behaviour: NDArray
    mask: NDArray


class Split(NamedTuple):
    """Train, valid and test trials of one recording; no trial is in two of them."""

    train: "Trials"
    valid: "Trials"
    test: "Trials"


@dataclass(frozen=True)
class Trials:
    """Spike counts with behaviour, bin by bin, in trials that may differ in length.

    Parameters
    ----------
    counts : array, shape (n_bins, n_units)
        Spikes per bin, all trials stacked in order.
    behaviour : array, shape (n_bins, n_outputs)
        What the animal did in the same bins.
    lengths : array of int, shape (n_trials,)
        Bins of each trial; they sum to ``n_bins``.
    bin_size_s : float
        Bin width in seconds.
    outputs : tuple of str
        Names of the behaviour columns, such as ``("velocity x", "velocity y")``.
    output_unit : str
        Unit of the behaviour, such as ``"cm/s"``.
    info : dict of array, each with n_trials rows
        Anything known per trial: condition, session, time of start.
    name : str
        Which dataset this is, for titles and messages.
    simulated : bool
        True if nothing here was recorded; pages say so wherever it matters.

    Raises
    ------
    ValueError
        If shapes disagree, counts are negative or not finite, or behaviour has gaps.

    Examples
    --------
    >>> trials = Trials(np.ones((5, 2)), np.zeros((5, 1)), [3, 2], bin_size_s=0.05)
    >>> trials
    Trials('unnamed': 2 trials, 5 bins of 50 ms, 2 units, 1 outputs)
    >>> trials.trial(1).counts.shape
    (2, 2)
    """

    counts: NDArray
    behaviour: NDArray
    lengths: NDArray
    bin_size_s: float
    outputs: tuple[str, ...] = ()
    output_unit: str = ""
    info: dict[str, NDArray] = field(default_factory=dict)
    name: str = "unnamed"
    simulated: bool = False

    def __post_init__(self):
        counts, behaviour = np.asarray(self.counts), np.asarray(self.behaviour)
        lengths = np.asarray(self.lengths, int)
        where = f"{self.name}: "
        if counts.ndim != 2 or behaviour.ndim != 2:
            raise ValueError(
                f"{where}counts and behaviour must be (bin, channel), got {counts.shape} and {behaviour.shape}"
            )
        if not len(counts) == len(behaviour) == lengths.sum():
            raise ValueError(
                f"{where}{len(counts)} bins of counts, {len(behaviour)} of behaviour and trials of "
                f"{lengths.sum()} bins in all; were they binned on different grids?"
            )
        if len(lengths) == 0 or (lengths < 1).any():
            raise ValueError(f"{where}every trial needs at least one bin, and there must be a trial")
        if not self.bin_size_s > 0:
            raise ValueError(f"{where}bin_size_s={self.bin_size_s} must be positive; it is in seconds")
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            raise ValueError(f"{where}counts hold NaN or infinite values; were unobserved bins kept?")
        if counts.size and counts.min() < 0:
            raise ValueError(f"{where}counts hold {counts.min()}; spikes per bin cannot be negative")
        gaps = ~np.isfinite(behaviour).all(axis=1)
        if gaps.any():
            first = int(np.searchsorted(np.cumsum(lengths), np.argmax(gaps), side="right"))
            raise ValueError(
                f"{where}behaviour has gaps in {gaps.sum()} of {len(gaps)} bins, the first in trial {first}; "
                "drop those trials or interpolate short gaps when aligning"
            )
        for key, column in self.info.items():
            if len(column) != len(lengths):
                raise ValueError(f"{where}info[{key!r}] has {len(column)} rows for {len(lengths)} trials")
        outputs = self.outputs or tuple(f"output {i}" for i in range(behaviour.shape[1]))
        if len(outputs) != behaviour.shape[1]:
            raise ValueError(f"{where}{len(outputs)} output names for {behaviour.shape[1]} behaviour columns")
        for key, value in (("counts", counts), ("behaviour", behaviour), ("lengths", lengths)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "outputs", tuple(outputs))
        object.__setattr__(self, "info", {key: np.asarray(column) for key, column in self.info.items()})

    def __repr__(self) -> str:
        return (
            f"Trials({self.name!r}: {len(self)} trials, {len(self.counts)} bins of "
            f"{self.bin_size_s * 1e3:g} ms, {self.n_units} units, {self.behaviour.shape[1]} outputs"
            f"{', SIMULATED' if self.simulated else ''})"
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_units(self) -> int:
        """Number of recorded units."""
        return self.counts.shape[1]

    @property
    def starts(self) -> NDArray:
        """First bin of each trial in the stacked arrays, shape ``(n_trials,)``."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def trial_of_bin(self) -> NDArray:
        """Trial number of every bin, shape ``(n_bins,)``."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def bin_in_trial(self) -> NDArray:
        """Bins since the start of the trial, shape ``(n_bins,)``."""
        return np.arange(len(self.counts)) - np.repeat(self.starts, self.lengths)

    def select(self, index: ArrayLike) -> "Trials":
        """Keep the trials of ``index`` (numbers or a mask over trials), in that order."""
        index = np.asarray(index)
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise ValueError(f"{self.name}: a mask of shape {index.shape} for {len(self)} trials")
            index = np.flatnonzero(index)
        if not index.size:
            raise ValueError(f"{self.name}: no trial selected")
        starts, lengths = self.starts[index], self.lengths[index]
        bins = np.concatenate([np.arange(a, a + n) for a, n in zip(starts, lengths, strict=True)])
        return replace(
            self,
            counts=self.counts[bins],
            behaviour=self.behaviour[bins],
            lengths=lengths,
            info={key: column[index] for key, column in self.info.items()},
        )

    def trial(self, number: int) -> "Trials":
        """One trial, as trials."""
        return self.select([number])

    def with_units(self, keep: ArrayLike) -> "Trials":
        """Keep some units, by number or mask."""
        return replace(self, counts=self.counts[:, np.asarray(keep)])

    @property
    def silent_units(self) -> NDArray:
        """Numbers of the units that never fire."""
        return np.flatnonzero(~self.counts.any(axis=0))

    def rebin(self, factor: int) -> "Trials":
        """Join ``factor`` bins into one: counts are summed, behaviour is averaged.

        Bins left over at the end of a trial are dropped; a trial shorter than one new bin goes.

        Examples
        --------
        >>> Trials(np.ones((4, 1)), np.arange(4.0)[:, None], [4], 0.05).rebin(2).behaviour.ravel()
        array([0.5, 2.5])
        """
        if factor < 1 or factor != int(factor):
            raise ValueError(f"{self.name}: factor={factor} must be a whole number of bins")
        kept = np.flatnonzero(self.lengths >= factor)
        if not len(kept):
            raise ValueError(f"{self.name}: no trial has {factor} bins of {self.bin_size_s} s")
        whole = self if len(kept) == len(self) else self.select(kept)
        use = whole.bin_in_trial < np.repeat(whole.lengths // factor * factor, whole.lengths)
        counts = whole.counts[use].reshape(-1, factor, self.n_units).sum(axis=1, dtype=self.counts.dtype)
        behaviour = whole.behaviour[use].reshape(-1, factor, self.behaviour.shape[1]).mean(axis=1)
        return replace(
            whole,
            counts=counts,
            behaviour=behaviour,
            lengths=whole.lengths // factor,
            bin_size_s=self.bin_size_s * factor,
        )

    def pieces(self, max_bins: int, min_bins: int = 1) -> "Trials":
        """Cut trials longer than ``max_bins`` into pieces, so that a batch of them wastes little padding.

        ``info`` gains ``whole``, the trial each piece is from. Pieces shorter than ``min_bins`` are dropped.

        Examples
        --------
        >>> Trials(np.ones((7, 1)), np.zeros((7, 1)), [5, 2], 0.05).pieces(3).lengths
        array([3, 2, 2])
        """
        if max_bins < 1:
            raise ValueError(f"{self.name}: pieces of {max_bins} bins")
        n_pieces = -(-self.lengths // max_bins)
        whole = np.repeat(np.arange(len(self)), n_pieces)
        nth = np.arange(len(whole)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
        lengths = np.minimum(max_bins, self.lengths[whole] - nth * max_bins)
        info = {key: column[whole] for key, column in self.info.items()} | {"whole": whole}
        cut = replace(self, lengths=lengths, info=info)
        return cut if min_bins <= 1 else cut.select(lengths >= min_bins)

    def with_outputs(self, word: str) -> "Trials":
        """Keep the behaviour columns with ``word`` in their name, such as ``"velocity"``."""
        keep = [i for i, name in enumerate(self.outputs) if word in name]
        if not keep:
            raise ValueError(f"{self.name}: no output with {word!r} in its name; there are {self.outputs}")
        return replace(self, behaviour=self.behaviour[:, keep], outputs=tuple(self.outputs[i] for i in keep))

    def lagged(self, lag_bins: int) -> "Trials":
        """Pair each bin's counts with the behaviour ``lag_bins`` later; negative takes earlier behaviour.

        Trials lose as many bins, and those without any left go.

        Examples
        --------
        >>> trials = Trials(np.arange(4.0)[:, None], np.arange(4.0)[:, None], [3, 1], 0.05).lagged(1)
        >>> trials.counts.ravel(), trials.behaviour.ravel(), trials.lengths
        (array([0., 1.]), array([1., 2.]), array([2]))
        """
        shift = abs(int(lag_bins))
        kept = np.flatnonzero(self.lengths > shift)
        if not len(kept):
            raise ValueError(f"{self.name}: no trial is longer than a lag of {lag_bins} bins")
        whole = self.select(kept)
        left = np.repeat(whole.lengths, whole.lengths) - whole.bin_in_trial  # this bin included
        early, late = left > shift, whole.bin_in_trial >= shift
        if lag_bins < 0:
            early, late = late, early
        return replace(
            whole,
            counts=whole.counts[early],
            behaviour=whole.behaviour[late],
            lengths=whole.lengths - shift,
        )

    def history(self, n_bins: int, fill: ArrayLike = 0.0, lag_bins: int = 0) -> NDArray:
        """Stack each bin's counts with those of the bins before it, newest last.

        Windows never cross the start of a trial: what lies before it is ``fill``.

        Parameters
        ----------
        n_bins : int
            Length of the window; 1 is the bin alone.
        fill : float or array, shape (n_units,)
            What stands for bins before the trial.
        lag_bins : int
            Shift of the window: positive takes older spikes (cortex leads the hand), negative
            takes later ones (the hand leads cortex; not causal).

        Returns
        -------
        array, shape (n_bins_total, n_bins, n_units)

        Examples
        --------
        >>> trials = Trials(np.arange(4.0)[:, None], np.zeros((4, 1)), [2, 2], 0.05)
        >>> trials.history(2)[..., 0].astype(int)
        array([[0, 0],
               [0, 1],
               [0, 2],
               [2, 3]])
        """
        if n_bins < 1:
            raise ValueError(f"{self.name}: a history of {n_bins} bins; 1 is the bin alone")
        back = np.arange(n_bins - 1, -1, -1) + lag_bins
        at = np.arange(len(self.counts))[:, None] - back  # (bin, window)
        first = np.repeat(self.starts, self.lengths)[:, None]
        last = np.repeat(self.starts + self.lengths, self.lengths)[:, None]
        outside = (at < first) | (at >= last)
        stacked = self.counts[np.clip(at, 0, len(self.counts) - 1)].astype(np.float32)
        stacked[outside] = np.asarray(fill, np.float32)
        return stacked

    def padded(self, n_bins: int | None = None) -> Padded:
        """All trials as one block, shorter trials filled with zeros at their end.

        Returns
        -------
        Padded
            float32 ``counts`` and ``behaviour``, boolean ``mask`` that is True on real bins.
        """
        longest = int(self.lengths.max()) if n_bins is None else n_bins
        if longest < self.lengths.max():
            raise ValueError(f"{self.name}: a trial has {self.lengths.max()} bins, more than {n_bins}")
        mask = np.arange(longest) < self.lengths[:, None]
        counts = np.zeros((len(self), longest, self.n_units), np.float32)
        behaviour = np.zeros((len(self), longest, self.behaviour.shape[1]), np.float32)
        counts[mask], behaviour[mask] = self.counts, self.behaviour
        return Padded(counts, behaviour, mask)

    def split(
        self, fractions: Sequence[float] = (0.64, 0.16, 0.2), seed: int | None = 0, by: str | None = None
    ) -> Split:
        """Divide the trials into train, valid and test.

        Parameters
        ----------
        fractions : three floats that sum to 1
        seed : int or None
            Shuffles before dividing; None keeps the order in time (train first, test last).
        by : str, optional
            Column of ``info`` whose values must not be divided: ``"session"``, ``"subject"``.

        Raises
        ------
        ValueError
            If there are too few trials or groups for three non-empty parts.

        Examples
        --------
        >>> trials = Trials(np.ones((10, 1)), np.zeros((10, 1)), [1] * 10, 0.05)
        >>> [len(part) for part in trials.split((0.6, 0.2, 0.2))]
        [6, 2, 2]
        """
        if len(fractions) != 3 or not np.isclose(sum(fractions), 1) or min(fractions) <= 0:
            raise ValueError(f"fractions={tuple(fractions)} must be three positive numbers that sum to 1")
        groups = self._groups(by, seed, 3)
        edges = np.round(np.cumsum(fractions) * len(groups)).astype(int)
        edges = np.clip(edges, [1, 2, 3], [len(groups) - 2, len(groups) - 1, len(groups)])
        parts = np.split(np.arange(len(groups)), edges[:2])
        return Split(*(self.select(np.sort(np.concatenate([groups[g] for g in part]))) for part in parts))

    def folds(
        self, k: int = 5, seed: int | None = None, by: str | None = None, valid: float = 0.2
    ) -> list[Split]:
        """Divide the trials ``k`` ways, so that each trial is in ``test`` once.

        Parameters
        ----------
        k : int
        seed : int or None
            Shuffles before dividing. None (the default) keeps test trials contiguous in
            time, which is the harder and the more honest choice when signals drift.
        by : str, optional
            Column of ``info`` whose values must not be divided.
        valid : float
            Share of the remaining trials, drawn evenly in time, that selects models.
        """
        groups = self._groups(by, seed, max(k, 3))
        if k < 2 or len(groups) < k:
            raise ValueError(f"{self.name}: {k} folds of {len(groups)} trials or groups")
        splits = []
        for test in np.array_split(np.arange(len(groups)), k):
            rest = np.setdiff1d(np.arange(len(groups)), test)
            n_valid = min(max(1, round(valid * len(rest))), len(rest) - 1)
            held = rest[np.linspace(0, len(rest) - 1, n_valid + 2).round().astype(int)[1:-1]]
            parts = np.setdiff1d(rest, held), np.unique(held), test
            splits.append(
                Split(*(self.select(np.sort(np.concatenate([groups[g] for g in part]))) for part in parts))
            )
        return splits

    def _groups(self, by: str | None, seed: int | None, at_least: int) -> list[NDArray]:
        """Trial numbers that must stay together, in the order in which they are dealt out."""
        if by is None:
            groups = [np.array([i]) for i in range(len(self))]
        elif by in self.info:
            _, first, inverse = np.unique(self.info[by], return_index=True, return_inverse=True)
            groups = [np.flatnonzero(inverse == g) for g in np.argsort(first)]
        else:
            raise KeyError(f"{self.name}: no column {by!r} in info; it has {sorted(self.info)}")
        if len(groups) < at_least:
            raise ValueError(
                f"{self.name}: {len(groups)} {'trials' if by is None else f'values of {by!r}'} cannot be "
                f"divided into {at_least} parts; use a longer recording or fewer parts"
            )
        if seed is not None:
            order = np.random.default_rng(seed).permutation(len(groups))
            groups = [groups[i] for i in order]
        return groups
