"""Files that the Neural Latents Benchmark scores: predicted rates in, an HDF5 file of its layout out.

One group per set, called ``area2_bump`` in bins of 5 ms and ``area2_bump_20`` in bins of 20 ms, holds
``train_rates_heldin``, ``train_rates_heldout``, ``eval_rates_heldin``, ``eval_rates_heldout`` and
perhaps the two ``eval_rates_*_forward``, each ``(trial, bin, unit)`` in **spikes per bin**.

References
----------
.. [1] Pei et al. (2021), "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks;
   ``nlb_tools.evaluation.evaluate`` reads these files.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.co_smoothing import check_rates
from neurolib.data.nlb import TASKS

SUFFIXES = {5: "", 20: "_20"}  # bin width in ms: what it adds to the name of a group
FORWARD_S = 0.2


@dataclass(frozen=True)
class Submission:
    """Predicted rates of one set, in spikes per bin; fields are called as in the file.

    Parameters
    ----------
    train_rates_heldin, train_rates_heldout : array, shape (n_train_trials, n_bins, n_units)
        Rates of the trials that the benchmark's velocity decoder is fit on.
    eval_rates_heldin, eval_rates_heldout : array, shape (n_eval_trials, n_bins, n_units)
        Rates of the scored trials; units as in ``train_rates_*``.
    eval_rates_heldin_forward, eval_rates_heldout_forward : array, optional
        Rates in the 0.2 s after the window, shape ``(n_eval_trials, n_forward, n_units)``; both or none.

    Raises
    ------
    ValueError
        If shapes disagree, or a rate is negative or not finite. The message names the array.

    Examples
    --------
    >>> seen, hidden = np.full((4, 30, 3), 0.1), np.full((4, 30, 1), 0.2)
    >>> Submission(seen, hidden, seen[:2], hidden[:2]).eval_rates_heldout.shape
    (2, 30, 1)
    >>> Submission(seen, hidden, seen[:2], hidden[:3])
    Traceback (most recent call last):
        ...
    ValueError: eval_rates_heldout (3, 30, 1): 3 trials, but eval_rates_heldin has 2
    """

    train_rates_heldin: NDArray
    train_rates_heldout: NDArray
    eval_rates_heldin: NDArray
    eval_rates_heldout: NDArray
    eval_rates_heldin_forward: NDArray | None = None
    eval_rates_heldout_forward: NDArray | None = None

    def __post_init__(self):
        if (self.eval_rates_heldin_forward is None) != (self.eval_rates_heldout_forward is None):
            raise ValueError("forward rates must be given for held-in and held-out units, or for neither")
        for name in self.names:
            rates = np.asarray(getattr(self, name))
            rates = rates if rates.dtype.kind == "f" else rates.astype(float)
            if rates.ndim != 3 or not rates.size:
                raise ValueError(f"{name} {rates.shape} must be (trial, bin, unit), none of them empty")
            if not np.isfinite(rates).all():
                raise ValueError(
                    f"{name}: {(~np.isfinite(rates)).sum()} of {rates.size} rates are NaN or infinite"
                )
            if (rates < 0).any():
                raise ValueError(
                    f"{name}: rates go down to {rates.min():g}; are they log-rates? Then take exp"
                )
            object.__setattr__(self, name, rates)
        for name in self.names:
            part = name.split("_")[0]
            forward = "_forward" if name.endswith("_forward") else ""
            unit_group = "heldin" if "heldin" in name else "heldout"
            self._same(name, 0, f"{part}_rates_heldin", "trials")
            self._same(name, 1, f"eval_rates_heldin{forward}", "bins")
            self._same(name, 2, f"train_rates_{unit_group}", "units")

    def _same(self, name: str, axis: int, other: str, what: str) -> None:
        shape, expected = getattr(self, name).shape, getattr(self, other).shape[axis]
        if shape[axis] != expected:
            raise ValueError(f"{name} {shape}: {shape[axis]} {what}, but {other} has {expected}")

    @property
    def names(self) -> list[str]:
        """Names of the arrays that are there."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


def group_name(task_name: str, bin_size_s: float) -> str:
    """Name of a set's group.

    Raises
    ------
    ValueError
        If there is no such set, or the benchmark does not score such bins.

    Examples
    --------
    >>> group_name("area2_bump", 0.02), group_name("mc_maze", 0.005)
    ('area2_bump_20', 'mc_maze')
    """
    if task_name not in TASKS:
        raise ValueError(f"no benchmark set {task_name!r}; there are {sorted(TASKS)}")
    suffix = SUFFIXES.get(round(bin_size_s * 1e3, 6))
    if suffix is None:
        raise ValueError(f"bin_size_s={bin_size_s}: the benchmark scores bins of 0.005 and 0.02 s")
    return task_name + suffix


def write_submission(
    path: str | Path, submissions: Mapping[str, Submission], train_counts: Mapping[str, ArrayLike]
) -> Path:
    """Check rates and write them to a file.

    Parameters
    ----------
    path : str or Path
        A file that is there is replaced, once the new one is whole.
    submissions : mapping of str to Submission
        By :func:`group_name`; one file may hold several sets and both bin widths.
    train_counts : mapping of str to array_like, shape (..., n_units)
        Spikes per bin of each set's held-in and then held-out units in training trials, to which
        :func:`~neurolib.data.co_smoothing.check_rates` holds the unit of the rates.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If a group is none of the benchmark's, its rates do not have the bins of the set, or they
        are not spikes per bin. Nothing is written then.
    """
    import h5py

    path = Path(path)
    if not submissions:
        raise ValueError(f"{path}: nothing to submit")
    if submissions.keys() != train_counts.keys():
        raise ValueError(
            f"submissions {sorted(submissions)} and train_counts {sorted(train_counts)} must match"
        )
    for name, submission in submissions.items():
        _check(name, submission, train_counts[name])
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(partial, "w") as file:
            for name, submission in submissions.items():
                group = file.create_group(name)
                for key in submission.names:
                    group.create_dataset(key, data=getattr(submission, key), compression="gzip", shuffle=True)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_submission(path: str | Path) -> dict[str, Submission]:
    """Read all sets of a file, by name of their group.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not HDF5, or a group lacks an array or does not fit together.
    """
    import h5py

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: not an HDF5 file; a submission is one, with a group per set")
    found = {}
    with h5py.File(path, "r") as file:
        for name, group in file.items():
            if not isinstance(group, h5py.Group):
                raise ValueError(f"{path}: {name} is no group; arrays lie in one group per set")
            wanted = [field.name for field in fields(Submission)]
            missing = [key for key in wanted[:4] if key not in group]
            if missing:
                raise ValueError(f"{path}: group {name} lacks {', '.join(missing)}")
            try:
                found[name] = Submission(**{key: group[key][()] for key in wanted if key in group})
            except ValueError as error:
                raise ValueError(f"{path}: group {name}: {error}") from None
    return found


def _check(name: str, submission: Submission, train_counts: ArrayLike) -> None:
    """Refuse a group that the benchmark does not have, or whose bins or unit are not its."""
    groups = {group_name(task, ms / 1e3): (task, ms / 1e3) for task in TASKS for ms in SUFFIXES}
    if name not in groups:
        raise ValueError(f"no group {name!r} in the benchmark; there are {sorted(groups)}")
    task, bin_size_s = groups[name]
    start_s, stop_s = TASKS[task].window_s
    lengths = {"eval_rates_heldin": stop_s - start_s, "eval_rates_heldin_forward": FORWARD_S}
    for key, length_s in lengths.items():
        if key in submission.names:
            n_bins, expected = getattr(submission, key).shape[1], round(length_s / bin_size_s)
            if n_bins != expected:
                raise ValueError(
                    f"{name}: {key} has {n_bins} bins, the benchmark scores {expected} of {bin_size_s} s; "
                    "is it another bin width or another window?"
                )
    for part in ("train_rates_{}", "eval_rates_{}", "eval_rates_{}_forward"):
        if part.format("heldin") in submission.names:
            rates = [getattr(submission, part.format(units)) for units in ("heldin", "heldout")]
            try:
                check_rates(np.concatenate(rates, axis=-1), train_counts, bin_size_s)
            except ValueError as error:
                raise ValueError(f"{name}, {part.format('*')}: {error}") from None
