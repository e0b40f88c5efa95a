"""Which seconds of a recording train, choose and test a model: intervals ``(n, 2)`` by name of split.

Windows are cut inside these intervals, so what lies in two splits never touches; windows cut first and
dealt out by number would share samples wherever they overlap.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurolib.data.recording import Recording, join_touching

NAMES = ("train", "valid", "test")
Splits = dict[str, NDArray]


def time_splits(
    recording: Recording,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    block_s: float = 30.0,
    gap_s: float = 1.0,
    condition: str = "",
) -> Splits:
    """Contiguous blocks of time, every condition in every split as far as its epochs are long enough.

    An epoch is a stretch of recording under one condition. It is cut into rounds of train, valid and
    test whose shortest block lasts ``block_s``. An epoch too short for one round is cut once, and one
    too short even for that goes whole to the split that lacks most of its condition.

    Parameters
    ----------
    recording : Recording
    fractions : three floats that sum to 1
        Of time in train, valid and test.
    block_s : float
        ``float("inf")`` cuts each epoch once, which is harder where signals drift.
    gap_s : float
        Left out between splits: at least the longest window that will be cut.
    condition : str
        Column of the trial table; a run of trials with one value is an epoch. None: observed intervals.

    Returns
    -------
    dict of array, shape (n_intervals, 2)
        Seconds, by ``"train"``, ``"valid"`` and ``"test"``.

    Raises
    ------
    ValueError
        If a split would be empty.

    Examples
    --------
    >>> time_splits(Recording([], [[0, 100]]), block_s=10, gap_s=2)["test"].round(3).tolist()
    [[90.4, 100.0]]
    """
    fractions = _checked(fractions)
    if gap_s < 0 or not block_s > 0:
        raise ValueError(f"gap_s={gap_s} must be at least 0 and block_s={block_s} positive; both in seconds")
    parts: dict[str, list] = {name: [] for name in NAMES}
    epochs, conditions = epochs_of(recording, condition)
    held: dict[Hashable, NDArray] = {}
    for (start, stop), kind in zip(epochs, conditions, strict=True):
        spent = held.setdefault(kind, np.zeros(3))
        round_s = block_s / fractions.min() + 3 * gap_s
        rounds = max(1, int((stop - start + gap_s) / round_s)) if np.isfinite(round_s) else 1
        usable = (stop - start - (3 * rounds - 1) * gap_s) / rounds
        if usable * fractions.min() < max(gap_s, 1e-9):
            lacking = int(np.argmax(fractions * (spent.sum() + stop - start) - spent))
            parts[NAMES[lacking]].append((start, stop))
            spent[lacking] += stop - start
            continue
        at = start
        for _ in range(rounds):
            for number, name in enumerate(NAMES):
                parts[name].append((at, at + usable * fractions[number]))
                at += usable * fractions[number] + gap_s
        spent += usable * rounds * fractions
    return _separated(parts, gap_s, recording.name)


def trial_splits(
    recording: Recording,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int | None = 0,
    by: str = "",
    gap_s: float = 0.0,
) -> Splits:
    """Whole trials dealt out, each as one interval from its start to its stop.

    Parameters
    ----------
    recording : Recording
    fractions : three floats that sum to 1
    seed : int or None
        Shuffles; None keeps the order in time.
    by : str
        Column of the trial table whose values must not be divided, such as a block or a run.
    gap_s : float
        Left out between trials of different splits.

    Examples
    --------
    >>> trials = {"start_s": np.arange(10.0), "stop_s": np.arange(10.0) + 0.5}
    >>> parts = trial_splits(Recording([], [[0, 10]], trials=trials), (0.6, 0.2, 0.2))
    >>> {name: len(spans) for name, spans in parts.items()}
    {'train': 6, 'valid': 2, 'test': 2}
    """
    if not recording.n_trials:
        raise ValueError(f"{recording.name} has no trials to divide; time_splits cuts it by time")
    if by and by not in recording.trials:
        raise ValueError(f"{recording.name}: no trial column {by!r}; it has {sorted(recording.trials)}")
    groups = (recording.trials[by] if by else np.arange(recording.n_trials)).astype(str)
    part_of = group_splits(groups.tolist(), fractions, seed)
    spans = np.stack([recording.trials["start_s"], recording.trials["stop_s"]], axis=1)
    parts = {name: spans[np.isin(groups, part)] for name, part in part_of.items()}
    return _separated(parts, gap_s, recording.name)


def group_splits(
    names: Sequence[str],
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int | None = 0,
    group_of: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Whole recordings dealt out: by session, or by subject if ``group_of`` names each one's subject.

    Returns
    -------
    dict of list of str
        Names by split, in the order given.

    Examples
    --------
    >>> subject = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    >>> group_splits(list(subject), (0.5, 0.25, 0.25), None, subject)
    {'train': ['a1', 'a2'], 'valid': ['b1'], 'test': ['c1']}
    """
    fractions = _checked(fractions)
    names = list(dict.fromkeys(names))
    missing = [name for name in names if group_of is not None and name not in group_of]
    if missing:
        raise ValueError(f"group_of names no group for {missing[0]!r} and {len(missing) - 1} more")
    group = {name: name if group_of is None else group_of[name] for name in names}
    groups = list(dict.fromkeys(group.values()))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} groups ({', '.join(groups)}) cannot be divided into three splits")
    if seed is not None:
        groups = [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]
    edges = np.clip(
        np.round(np.cumsum(fractions)[:2] * len(groups)).astype(int),
        [1, 2],
        [len(groups) - 2, len(groups) - 1],
    )
    dealt = dict(zip(NAMES, np.split(np.array(groups, dtype=object), edges), strict=True))
    return {part: [name for name in names if group[name] in set(of)] for part, of in dealt.items()}


def epochs_of(recording: Recording, condition: str = "") -> tuple[NDArray, list]:
    """Stretches of recording under one condition, ``(n, 2)`` seconds, and the condition of each."""
    observed = join_touching(recording.observed_s)
    if not condition:
        return observed, [None] * len(observed)
    if condition not in recording.trials:
        raise ValueError(
            f"{recording.name}: no trial column {condition!r}; it has {sorted(recording.trials)}"
        )
    order = np.argsort(recording.trials["start_s"], kind="stable")
    kinds = recording.trials[condition][order]
    spans = np.stack([recording.trials["start_s"], recording.trials["stop_s"]], axis=1)[order]
    epochs, names = [], []
    for (start, stop), kind in zip(spans, kinds.tolist(), strict=True):
        inside = np.searchsorted(observed[:, 0], start + 1e-6) - 1
        same_stretch = epochs and np.searchsorted(observed[:, 0], epochs[-1][0] + 1e-6) - 1 == inside
        if same_stretch and names[-1] == kind:
            epochs[-1][1] = max(stop, epochs[-1][1])
        else:
            epochs.append([start, stop])
            names.append(kind)
    return np.array(epochs), names


def check_disjoint(splits: Mapping[str, NDArray], gap_s: float = 0.0) -> None:
    """Refuse splits that overlap, or come nearer to one another than ``gap_s``.

    Examples
    --------
    >>> check_disjoint({"train": np.array([[0, 10]]), "test": np.array([[9.5, 12]])})
    Traceback (most recent call last):
        ...
    ValueError: train [0, 10] s and test [9.5, 12] s are nearer than 0 s; windows of one would see the other
    """
    spans = []
    for name, part in splits.items():
        part = np.asarray(part, float).reshape(-1, 2)
        if not (np.isfinite(part).all() and (part[:, 1] > part[:, 0]).all()):
            raise ValueError(f"split {name!r} must hold intervals [start, stop] in seconds, start first")
        spans += [(start, stop, name) for start, stop in part.tolist()]
    spans.sort()
    reached: dict[str, tuple] = {}  # the interval of each split that lasts longest so far
    for start, stop, name in spans:
        for other, (begun, end) in reached.items():
            if other != name and start < end + gap_s - 1e-9:
                raise ValueError(
                    f"{other} [{begun:g}, {end:g}] s and {name} [{start:g}, {stop:g}] s are nearer than "
                    f"{gap_s:g} s; windows of one would see the other"
                )
        if name not in reached or stop > reached[name][1]:
            reached[name] = (start, stop)


def split_hash(splits: Mapping[str, NDArray | Sequence[str]]) -> str:
    """Sixteen hexadecimal digits that name a division, whatever the order of its parts.

    Examples
    --------
    >>> split_hash({"train": [[0, 1]], "test": [[2, 3]]}) == split_hash({"test": [[2, 3]], "train": [[0, 1.0]]})
    True
    """
    plain = {}
    for name, part in splits.items():
        if len(part) and isinstance(part[0], str):
            plain[name] = sorted(part)
        else:  # whole microseconds, so that the last bits of a float do not count
            micro = np.round(np.asarray(part, float).reshape(-1, 2) * 1e6).astype(np.int64)
            plain[name] = sorted(micro.tolist())
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _separated(parts: Mapping[str, Sequence], gap_s: float, where: str) -> Splits:
    """Intervals in order, later ones shortened until the gap to other splits is kept."""
    spans = sorted((float(start), float(stop), name) for name, part in parts.items() for start, stop in part)
    kept: dict[str, list] = {name: [] for name in NAMES}
    reached = dict.fromkeys(NAMES, -np.inf)
    for start, stop, name in spans:
        start = max([start, *(end + gap_s for other, end in reached.items() if other != name)])
        if stop > start + 1e-9:
            kept[name].append((start, stop))
            reached[name] = max(reached[name], stop)
    empty = [name for name, part in kept.items() if not part]
    if empty:
        raise ValueError(
            f"{where}: nothing is left for {', '.join(empty)}; use a shorter gap or block, or divide by session"
        )
    splits = {name: np.array(part) for name, part in kept.items()}
    check_disjoint(splits, gap_s)
    return splits


def _checked(fractions: Sequence[float]) -> NDArray:
    values = np.asarray(fractions, float)
    if values.shape != (3,) or not np.isclose(values.sum(), 1) or (values <= 0).any():
        raise ValueError(f"fractions={tuple(fractions)} must be three positive numbers that sum to 1")
    return values
