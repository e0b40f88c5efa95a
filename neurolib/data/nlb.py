"""The Neural Latents Benchmark '21: one of its NWB files goes in, aligned trials come out.

The settings of each set are those of the benchmark's own code (``PARAMS`` in
``nlb_tools/make_tensors.py``, version 0.0.4), and so are the counts, spike by spike. Behaviour is
the mean over each bin, where nlb_tools low-pass filters and takes the sample at the bin's start:
half a bin earlier. ``dmfc_rsg`` has no behaviour signal and is not here.

References
----------
.. [1] Pei et al. (2021), "Neural Latents Benchmark '21", NeurIPS Datasets and Benchmarks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data.nwb import read_nwb
from neurolib.data.recording import Recording
from neurolib.data.trials import Trials


@dataclass(frozen=True)
class NLBTask:
    """How the benchmark cuts one of its sets.

    Parameters
    ----------
    file : str
        Name of the training file on the DANDI archive.
    dandiset : str
        Where on DANDI it is.
    align : str
        Column of the trial table that windows are laid around.
    window_s : (float, float)
        Start and stop relative to it, in seconds.
    behaviour : str
        Signal to decode.
    lag_s : float
        The benchmark reads behaviour this much later than the spikes (earlier if negative).
    conditions : tuple of str
        Trial columns that together name a condition; empty if no movement was repeated.

    Examples
    --------
    >>> TASKS["area2_bump"].window_s, TASKS["area2_bump"].lag_s
    ((-0.1, 0.5), -0.02)
    """

    file: str
    dandiset: str
    align: str
    window_s: tuple[float, float]
    behaviour: str
    lag_s: float
    conditions: tuple[str, ...]


def _maze(session: str, dandiset: str, lag_s: float) -> NLBTask:
    return NLBTask(
        file=f"sub-Jenkins_ses-{session}_desc-train_behavior+ecephys.nwb",
        dandiset=dandiset,
        align="move_onset_s",
        window_s=(-0.25, 0.45),
        behaviour="hand_vel",
        lag_s=lag_s,
        conditions=("trial_type", "trial_version"),
    )


TASKS = {
    "mc_maze": _maze("full", "000128", 0.10),
    "mc_maze_large": _maze("large", "000138", 0.12),
    "mc_maze_medium": _maze("medium", "000139", 0.12),
    "mc_maze_small": _maze("small", "000140", 0.12),
    "mc_rtt": NLBTask(
        file="sub-Indy_desc-train_behavior+ecephys.nwb",
        dandiset="000129",
        align="start_s",
        window_s=(0.0, 0.6),
        behaviour="finger_vel",
        lag_s=0.14,
        conditions=(),
    ),
    # The benchmark decodes active and passive reaches apart: select by the column ctr_hold_bump.
    "area2_bump": NLBTask(
        file="sub-Han_desc-train_behavior+ecephys.nwb",
        dandiset="000127",
        align="move_onset_s",
        window_s=(-0.1, 0.5),
        behaviour="hand_vel",
        lag_s=-0.02,
        conditions=("cond_dir", "ctr_hold_bump"),
    ),
}


@dataclass(frozen=True)
class NLBData:
    """Trials of a benchmark set, and which units the benchmark hides from the model.

    Parameters
    ----------
    trials : Trials
        All units, held in and held out, in the order of the file.
    held_out : array of bool, shape (n_units,)
    task : NLBTask

    Examples
    --------
    >>> trials = Trials(np.array([[1, 2, 3]]), np.zeros((1, 1)), [1], bin_size_s=0.005)
    >>> data = NLBData(trials, np.array([False, True, False]), TASKS["mc_rtt"])
    >>> data.held_in_counts, data.held_out_counts
    (array([[1, 3]]), array([[2]]))
    """

    trials: Trials
    held_out: NDArray
    task: NLBTask

    @property
    def held_in_counts(self) -> NDArray:
        """Spikes per bin of the units a model may see, shape ``(n_bins, n_held_in)``."""
        return self.trials.counts[:, ~self.held_out]

    @property
    def held_out_counts(self) -> NDArray:
        """Spikes per bin of the units it must predict (co-smoothing), shape ``(n_bins, n_held_out)``."""
        return self.trials.counts[:, self.held_out]


def read_nlb(task_name: str, path: str | Path, behaviour: str | Sequence[str] | None = None) -> Recording:
    """Read a benchmark file: spikes, behaviour, trials with split and condition.

    Parameters
    ----------
    task_name : str
        One of ``TASKS``.
    path : str or Path
        The training file, or a folder with it at any depth, as ``dandi download`` leaves it.
    behaviour : str or sequence of str, optional
        Which signals, such as ``("hand_pos", "hand_vel", "force")``; by default the one that the
        benchmark decodes.

    Returns
    -------
    Recording
        Trial column ``split`` is ``train``, ``valid`` (the benchmark's ``val``) or ``none``;
        ``condition`` numbers the conditions, -1 where a trial has none (no such column if the set
        has no conditions). Unit column ``held_out``. Silent units are kept, since the
        benchmark's scores count them.

    Raises
    ------
    FileNotFoundError
        If the file is not in the folder.
    ValueError
        If there is no such set, or the file is another set's or has no behaviour.
    """
    if task_name not in TASKS:
        raise ValueError(f"no benchmark set {task_name!r}; there are {sorted(TASKS)}")
    task, path = TASKS[task_name], Path(path)
    if path.is_dir():
        found = sorted(path.rglob(task.file))
        if not found:
            there = sorted(file.name for file in path.rglob("*.nwb"))
            raise FileNotFoundError(
                f"{path}: no {task.file} in it (it has {there or 'no .nwb file'}); "
                f"get it with `dandi download DANDI:{task.dandiset}`"
            )
        path = found[0]
    recording = read_nwb(path, signals=_names(behaviour, task), silent="keep", name=task_name)
    missing = {"split", task.align, *task.conditions} - recording.trials.keys()
    if missing or "held_out" not in recording.units:
        lacking = [f"trial column {key!r}" for key in sorted(missing)]
        lacking += [] if "held_out" in recording.units else ["unit column 'heldout'"]
        raise ValueError(f"{path}: no {', no '.join(lacking)}; is it the training file of {task_name}?")
    split = recording.trials["split"]
    columns = {"split": np.where(split == "val", "valid", split)}
    if task.conditions:
        columns["condition"] = _number_conditions([recording.trials[key] for key in task.conditions])
    return replace(recording, trials=recording.trials | columns)


def load_nlb(
    task_name: str,
    path: str | Path,
    bin_size_s: float = 0.005,
    split: str | Sequence[str] = ("train", "valid"),
    gaps: str = "error",
    behaviour: str | Sequence[str] | None = None,
    lag_s: float | None = None,
    forward_s: float = 0.0,
) -> NLBData:
    """Cut a benchmark file into the benchmark's trials.

    Parameters
    ----------
    task_name : str
        One of ``TASKS``.
    path : str or Path
        The training file, or a folder with it at any depth.
    bin_size_s : float
        The benchmark scores bins of 0.005 and 0.02 s.
    split : str or sequence of str
        Which trials; ``test`` is not to be had, its behaviour and held-out spikes are secret.
    gaps : {"error", "drop", "interpolate"}
        What to do with trials in which behaviour was not measured throughout.
    behaviour : str or sequence of str, optional
        Which signals, side by side; by default the one that the benchmark decodes.
    lag_s : float, optional
        Behaviour is read this much later than the spikes; by default the benchmark's lag.
    forward_s : float
        Add so much after the window; the benchmark's forward prediction takes 0.2 s
        (:func:`neurolib.data.co_smoothing.hide_last` then hides it from the model).

    Returns
    -------
    NLBData

    Raises
    ------
    FileNotFoundError
        If the file is not in the folder.
    ValueError
        If the set, split or file does not fit.
    """
    recording = read_nlb(task_name, path, behaviour)
    task = TASKS[task_name]
    wanted = (split,) if isinstance(split, str) else tuple(split)
    there = np.unique(recording.trials["split"])
    if unknown := set(wanted) - set(there):
        raise ValueError(f"{path}: no trials of split {sorted(unknown)}; it has {there.tolist()}")
    chosen = recording.select_trials(np.isin(recording.trials["split"], wanted))
    window_s = task.window_s[0], task.window_s[1] + forward_s
    lag_s = task.lag_s if lag_s is None else lag_s
    trials = align_signals(chosen, task.align, window_s, bin_size_s, _names(behaviour, task), lag_s, gaps)
    return NLBData(trials, recording.units["held_out"], task)


def align_signals(
    recording: Recording,
    event: str,
    window_s: tuple[float, float],
    bin_size_s: float,
    behaviour: Sequence[str],
    lag_s: float = 0.0,
    gaps: str = "error",
) -> Trials:
    """Cut a window around an event of every trial, with several signals side by side.

    As :meth:`Recording.align`, which takes one signal. With ``gaps="drop"`` a trial stays only if
    none of the signals has a gap in it.

    Examples
    --------
    >>> from neurolib.data.recording import Signal
    >>> time_s = np.arange(0, 2, 0.01)
    >>> signals = {"hand_pos": Signal(time_s, time_s, "cm", ("x",)), "force": Signal(time_s, 1 - time_s, "N")}
    >>> trial = {"start_s": np.array([0.5]), "stop_s": np.array([0.9])}
    >>> recording = Recording([np.array([0.6])], [[0, 2]], signals, trial)
    >>> align_signals(recording, "start_s", (0.0, 0.2), 0.1, ["hand_pos", "force"])
    Trials('unnamed': 1 trials, 2 bins of 100 ms, 1 units, 2 outputs)
    """
    rows = {"_row": np.arange(recording.n_trials)}
    numbered = replace(recording, trials=recording.trials | rows)
    parts = [numbered.align(event, window_s, bin_size_s, name, lag_s, gaps) for name in behaviour]
    kept = reduce(np.intersect1d, [part.info["_row"] for part in parts])
    parts = [part.select(np.isin(part.info["_row"], kept)) for part in parts]
    units = list(dict.fromkeys(part.output_unit for part in parts))
    return replace(
        parts[0],
        behaviour=np.concatenate([part.behaviour for part in parts], axis=1),
        outputs=sum((part.outputs for part in parts), ()),
        output_unit=", ".join(units),
        info={key: column for key, column in parts[0].info.items() if key != "_row"},
    )


def _names(behaviour: str | Sequence[str] | None, task: NLBTask) -> tuple[str, ...]:
    if behaviour is None:
        return (task.behaviour,)
    return (behaviour,) if isinstance(behaviour, str) else tuple(behaviour)


def _number_conditions(columns: Sequence[NDArray]) -> NDArray:
    """Number each combination of values, in sorted order; -1 where one is NaN."""
    table = np.stack([column.astype(float) for column in columns], axis=1)
    known = np.isfinite(table).all(axis=1)
    numbers = np.full(len(table), -1)
    numbers[known] = np.unique(table[known], axis=0, return_inverse=True)[1].reshape(-1)
    return numbers
