"""Reported peaks of brain activity: tables of coordinates in, one clean corpus in MNI space out.

A *focus* is one reported peak. Foci are sorted by study; nothing here draws random numbers, and
what a source does not say (sign, sample size, statistic) is absent, never filled in.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.brain import Grid

SPACES = ("MNI", "TAL", "UNKNOWN")
PER_FOCUS = ("xyz_mm", "table", "focus_id")
PER_STUDY = ("id", "space", "year", "journal", "title", "topics")

# Lancaster et al. (2007), pooled over software: MNI to Talairach; its inverse is what foci need.
MNI_TO_TAL = np.array(
    [
        [0.9357, 0.0029, -0.0072, -1.0423],
        [-0.0065, 0.9396, -0.0726, -1.3940],
        [0.0103, 0.0752, 0.8967, 3.6475],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
TAL_TO_MNI = np.linalg.inv(MNI_TO_TAL)


def tal_to_mni(xyz_mm: ArrayLike) -> NDArray:
    """Talairach coordinates in MNI space, shape (n, 3), by the pooled affine of Lancaster et al.

    References
    ----------
    .. [1] Lancaster et al. (2007). Bias between MNI and Talairach coordinates analyzed using the
       ICBM-152 brain template. Human Brain Mapping 28, 1194-1205.

    Examples
    --------
    >>> tal_to_mni([[-38.0, 28.0, 18.0]]).round(1)
    array([[-39.5,  32.1,  13.8]])
    """
    return np.asarray(xyz_mm, float) @ TAL_TO_MNI[:3, :3].T + TAL_TO_MNI[:3, 3]


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Foci of many studies, and what is known about the studies.

    Parameters
    ----------
    xyz_mm : array, shape (n_foci, 3)
    study : array of int, shape (n_foci,)
        Row of the study each focus is from, ascending.
    table : array of int, shape (n_foci,)
        Table of the article; numbers are unique over studies.
    focus_id : array of int, shape (n_foci,)
        The source's number of each focus; it fixes what :meth:`dequantised` adds.
    id : array of int, shape (n_studies,)
    space : array of str, shape (n_studies,)
        What the article said: "MNI", "TAL" or "UNKNOWN".
    year : array, shape (n_studies,)
        NaN where unknown.
    journal, title : array of str, shape (n_studies,)
        Empty where unknown.
    topics : array, shape (n_studies, n_topics)
        Weights that sum to one; zeros where unknown.
    topic_names : tuple of str
    name : str
        Id in the catalog, also for a simulated twin.
    standardised : bool
        Whether Talairach coordinates have been moved to MNI space.
    simulated : bool
    log : tuple of str
        What was done, with numbers in and out.

    Raises
    ------
    ValueError
        If shapes do not fit, a coordinate is not finite, or a space is unknown.
    """

    xyz_mm: NDArray
    study: NDArray
    table: NDArray
    focus_id: NDArray
    id: NDArray
    space: NDArray
    year: NDArray
    journal: NDArray
    title: NDArray
    topics: NDArray
    topic_names: tuple[str, ...] = ()
    name: str = "own"
    standardised: bool = False
    simulated: bool = False
    log: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self):
        n, studies = len(self.study), len(self.id)
        if self.xyz_mm.shape != (n, 3) or len(self.table) != n or len(self.focus_id) != n:
            raise ValueError(
                f"xyz_mm {self.xyz_mm.shape}, study {self.study.shape}, table {self.table.shape} and "
                f"focus_id {self.focus_id.shape} must have one row per focus"
            )
        for name in PER_STUDY:
            if len(getattr(self, name)) != studies:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows for {studies} studies")
        if self.topics.shape[1:] != (len(self.topic_names),):
            raise ValueError(f"topics {self.topics.shape} for {len(self.topic_names)} topic names")
        if not np.isfinite(self.xyz_mm).all():
            row = int(np.flatnonzero(~np.isfinite(self.xyz_mm).all(1))[0])
            raise ValueError(f"focus {row} is at {self.xyz_mm[row]}: a coordinate is missing or not a number")
        unknown = set(np.unique(self.space).tolist()) - set(SPACES)
        if unknown:
            raise ValueError(
                f"space {sorted(unknown)[0]!r} is none of {', '.join(SPACES)}; is it another template?"
            )
        if n and (np.diff(self.study) < 0).any():
            raise ValueError("foci must be sorted by study")
        if n and not (0 <= self.study[0] and self.study[-1] < studies):
            raise ValueError(f"study rows {self.study[0]} to {self.study[-1]} for {studies} studies")

    def __repr__(self):
        kind = "simulated" if self.simulated else "recorded"
        return f"Coordinates({self.n_studies} studies, {self.n_foci} foci, {kind})"

    @property
    def n_foci(self) -> int:
        """Foci of all studies together."""
        return len(self.study)

    @property
    def n_studies(self) -> int:
        """How many studies there are."""
        return len(self.id)

    @cached_property
    def first(self) -> NDArray:
        """First focus of every study and one past the last, shape (n_studies + 1,)."""
        return np.searchsorted(self.study, np.arange(self.n_studies + 1))

    @property
    def counts(self) -> NDArray:
        """Foci of every study, shape (n_studies,)."""
        return np.diff(self.first)

    def foci(self, studies: ArrayLike) -> NDArray:
        """Rows of the foci of some studies, study by study.

        Examples
        --------
        >>> corpus = tiny([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], study=[0, 0, 1])
        >>> corpus.foci([1, 0])
        array([2, 0, 1])
        """
        studies = np.asarray(studies, int)
        counts = self.counts[studies]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(self.first[studies], counts) + within

    def take(self, studies: ArrayLike) -> "Coordinates":
        """These studies alone, in this order."""
        studies = np.asarray(studies, int)
        rows = self.foci(studies)
        values = {name: getattr(self, name)[studies] for name in PER_STUDY}
        values |= {name: getattr(self, name)[rows] for name in PER_FOCUS}
        return replace(self, study=np.repeat(np.arange(len(studies)), self.counts[studies]), **values)

    def keep(self, foci: NDArray, why: str) -> "Coordinates":
        """The foci where a mask is true, and the studies that still have one; ``why`` goes into the log."""
        values = {name: getattr(self, name)[foci] for name in PER_FOCUS}
        kept = replace(self, study=self.study[foci], **values)
        some = np.flatnonzero(np.bincount(kept.study, minlength=self.n_studies))
        note = f"{why}: {self.n_foci} to {kept.n_foci} foci, {self.n_studies} to {len(some)} studies"
        return replace(kept, log=(*self.log, note)).take(some)

    def standardise(self) -> "Coordinates":
        """Move the foci of studies in Talairach space to MNI space, once.

        Studies that do not say their space are taken as MNI, as Neurosynth and NiMARE do.
        """
        if self.standardised:
            return self
        tal = self.space[self.study] == "TAL"
        xyz = self.xyz_mm.astype(float).copy()
        xyz[tal] = tal_to_mni(xyz[tal])
        moved = np.linalg.norm(xyz - self.xyz_mm, axis=1)[tal]
        note = f"Talairach to MNI: {tal.sum()} foci moved" + (
            f" by {moved.mean():.1f} mm on average" if tal.any() else ""
        )
        return replace(self, xyz_mm=xyz, standardised=True, log=(*self.log, note))

    def deduplicate(
        self, sign: ArrayLike | None = None, n_subjects: ArrayLike | None = None
    ) -> "Coordinates":
        """Keep one of the foci that a study reports at the same millimetre.

        Parameters
        ----------
        sign : array of int, shape (n_foci,), optional
            1 for activation, -1 for deactivation, 0 unknown. Opposite signs are different foci.
        n_subjects : array, shape (n_foci,), optional
            Of equal foci the one with most subjects is kept; ties and unknowns keep the first.
        """
        mm = np.rint(self.xyz_mm).astype(np.int64)
        sign = np.zeros(self.n_foci, np.int64) if sign is None else np.asarray(sign, np.int64)
        size = np.zeros(self.n_foci) if n_subjects is None else np.nan_to_num(np.asarray(n_subjects, float))
        keys = np.c_[self.study, mm, sign]
        order = np.lexsort((np.arange(self.n_foci), -size, *keys.T[::-1]))
        new = np.r_[True, (np.diff(keys[order], axis=0) != 0).any(1)] if self.n_foci else np.zeros(0, bool)
        mask = np.zeros(self.n_foci, bool)
        mask[order[new]] = True
        return self.keep(mask, "same millimetre in one study")

    def inside(self, grid: Grid, within_mm: float = 8.0) -> "Coordinates":
        """Drop foci further than this outside the brain."""
        return self.keep(
            grid.snap(self.dequantised(), within_mm) >= 0, f"within {within_mm:g} mm of the brain"
        )

    def dequantised(self, half_width_mm: float = 1.0) -> NDArray:
        """Coordinates with a fixed offset of at most so many millimetres per axis, shape (n_foci, 3).

        Articles report whole millimetres, mostly even ones. On a grid of even millimetres half of
        the voxels then never receive a focus, and a density that has learned the lattice looks
        better than it is. The offset is a function of ``focus_id`` alone, the same in every run.
        """
        return self.xyz_mm + half_width_mm * (2 * _uniform(self.focus_id) - 1)

    def voxels(self, grid: Grid) -> NDArray:
        """Number of the voxel of every focus, dequantised and moved into the brain if just outside.

        Raises
        ------
        ValueError
            If a focus is too far outside; :meth:`inside` drops those.
        """
        found = grid.snap(self.dequantised(), max(8.0, 3**0.5 * grid.voxel_mm))  # one coarse voxel aside, too
        if (found < 0).any():
            row = int(np.flatnonzero(found < 0)[0])
            raise ValueError(
                f"{(found < 0).sum()} of {self.n_foci} foci lie more than 8 mm outside the brain, the first at "
                f"{self.xyz_mm[row].round(1).tolist()} mm in study {self.id[self.study[row]]}; drop them by "
                "inside(grid), or are the coordinates not in MNI millimetres?"
            )
        return found

    @cached_property
    def duplicate_groups(self) -> NDArray:
        """Number of the group of each study; studies with identical sets of foci share one."""
        mm = np.rint(self.xyz_mm).astype(np.int64)
        seen: dict[bytes, int] = {}
        groups = np.empty(self.n_studies, np.int64)
        for i, (a, b) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            key = np.unique(mm[a:b], axis=0).tobytes() if b > a else f"empty {i}".encode()
            groups[i] = seen.setdefault(key, len(seen))
        return groups

    def with_topics(self, ids: ArrayLike, weights: ArrayLike, names: Sequence[str]) -> "Coordinates":
        """Give studies other features, found by the studies' ids, in whatever order they come.

        Raises
        ------
        ValueError
            If ids repeat, a study has no row, or a weight is not finite.
        """
        ids, weights = np.asarray(ids), np.asarray(weights, np.float32)
        if weights.shape != (len(ids), len(names)):
            raise ValueError(f"weights {weights.shape} for {len(ids)} ids and {len(names)} names")
        if len(np.unique(ids)) != len(ids):
            raise ValueError(f"{len(ids) - len(np.unique(ids))} ids of the features occur more than once")
        row = {value: i for i, value in enumerate(ids.tolist())}
        missing = [value for value in self.id.tolist() if value not in row]
        if missing:
            raise ValueError(
                f"{len(missing)} of {self.n_studies} studies have no features, the first is {missing[0]}; "
                "are the features of another version of the corpus?"
            )
        if not np.isfinite(weights).all():
            raise ValueError(f"{(~np.isfinite(weights)).sum()} feature weights are not finite")
        order = [row[value] for value in self.id.tolist()]
        return replace(self, topics=weights[order], topic_names=tuple(names))

    def joined(self, other: "Coordinates") -> "Coordinates":
        """Append the studies of another corpus whose ids are not in this one.

        The other's topics are set to zero unless they have the same names.
        """
        if self.standardised != other.standardised:
            raise ValueError("one corpus is in MNI space and the other is not; standardise both first")
        new = other.take(np.flatnonzero(~np.isin(other.id, self.id)))
        topics = new.topics
        if new.topic_names != self.topic_names:
            topics = np.zeros((new.n_studies, len(self.topic_names)), self.topics.dtype)
        both = {
            name: np.concatenate([getattr(self, name), getattr(new, name)])
            for name in ("xyz_mm", "focus_id", "id", "space", "year", "journal", "title")
        }
        return replace(
            self,
            study=np.r_[self.study, new.study + self.n_studies],
            table=np.r_[self.table, new.table + (self.table.max(initial=-1) + 1)],
            topics=np.concatenate([self.topics, topics]),
            log=(*self.log, f"joined {new.n_studies} studies with {new.n_foci} foci"),
            **both,
        )

    def save(self, path: Path, compress: bool = True) -> None:
        """Write an ``.npz`` without pickles."""
        values = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        (np.savez_compressed if compress else np.savez)(path, **values)

    @classmethod
    def load(cls, path: Path) -> "Coordinates":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file is not one of those.
        FileNotFoundError
            If there is none.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                values = {f.name: file[f.name] for f in fields(cls)}
        except FileNotFoundError:
            raise
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is not a corpus of coordinates: {error}") from None
        for name in ("standardised", "simulated"):
            values[name] = bool(values[name])
        for name in ("topic_names", "log"):
            values[name] = tuple(values[name].tolist())
        values["name"] = str(values["name"])
        return cls(**values)


def tiny(xyz_mm: ArrayLike, study: ArrayLike, **known) -> Coordinates:
    """A corpus from coordinates and study rows alone, for examples and own data.

    Examples
    --------
    >>> tiny([[0.0, 0, 0], [1, 0, 0]], study=[0, 1])
    Coordinates(2 studies, 2 foci, recorded)
    """
    xyz, study = np.asarray(xyz_mm, float).reshape(-1, 3), np.asarray(study, int)
    n = int(study.max(initial=-1)) + 1
    values = {
        "table": study.copy(),
        "focus_id": np.arange(len(study)),
        "id": np.arange(n),
        "space": np.full(n, "MNI"),
        "year": np.full(n, np.nan),
        "journal": np.full(n, ""),
        "title": np.full(n, ""),
        "topics": np.zeros((n, 0), np.float32),
    }
    return Coordinates(xyz, study, **(values | known))


def _uniform(number: NDArray) -> NDArray:
    """Three numbers in [0, 1) per integer, by the finaliser of SplitMix64; shape (n, 3)."""
    with np.errstate(over="ignore"):
        x = number.astype(np.uint64)[:, None] * np.uint64(3) + np.arange(3, dtype=np.uint64)
        x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(float) / 2.0**53
