"""The EEG Motor Movement/Imagery Database: EDF+ files of one person in, a Recording of 64 channels out.

A file is one run. What its annotations T1 and T2 mean depends on the run (``RUNS``): the left or the
right fist in some, both fists or both feet in others, carried out or imagined. Needs mne.

References
----------
.. [1] Schalk et al. (2004), "BCI2000: a general-purpose brain-computer interface (BCI) system",
   IEEE Transactions on Biomedical Engineering 51:1034-1043.
.. [2] Goldberger et al. (2000), "PhysioBank, PhysioToolkit, and PhysioNet", Circulation 101:e215-e220.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.data.recording import Recording, Signal

RATE_HZ = 160.0
N_CHANNELS = 64
GAP_S = 10.0  # laid between runs: the files say only to the second when a run began
FAULTY = (88, 92, 100, 104)  # what published studies commonly leave out


@dataclass(frozen=True)
class Run:
    """What was done in a run, and what its annotations mean.

    Parameters
    ----------
    task : str
        The key that :func:`read_subject` selects by.
    labels : dict of str
        Meaning of ``T0``, ``T1`` and ``T2``; a run of rest has ``T0`` alone.
    """

    task: str
    labels: dict[str, str]


def _runs() -> dict[int, Run]:
    fists = {"T0": "rest", "T1": "left_fist", "T2": "right_fist"}
    limbs = {"T0": "rest", "T1": "both_fists", "T2": "both_feet"}
    table = {1: Run("eyes_open", {"T0": "eyes_open"}), 2: Run("eyes_closed", {"T0": "eyes_closed"})}
    kinds = {
        3: Run("execute_fists", fists),
        4: Run("imagine_fists", fists),
        5: Run("execute_fists_feet", limbs),
        6: Run("imagine_fists_feet", limbs),
    }
    return table | {first + 4 * again: run for again in range(3) for first, run in kinds.items()}


RUNS = _runs()


def runs_of(task: str) -> tuple[int, ...]:
    """Numbers of the runs with a task.

    Examples
    --------
    >>> runs_of("imagine_fists"), runs_of("execute_fists")
    ((4, 8, 12), (3, 7, 11))
    >>> runs_of("motor_imagery")
    Traceback (most recent call last):
    ValueError: no task 'motor_imagery'; there are execute_fists, execute_fists_feet, eyes_closed, eyes_open, imagine_fists, imagine_fists_feet
    """
    tasks = {run.task for run in RUNS.values()}
    if task not in tasks:
        raise ValueError(f"no task {task!r}; there are {', '.join(sorted(tasks))}")
    return tuple(sorted(number for number, run in RUNS.items() if run.task == task))


def read_run(path: str | Path, faulty: bool = False) -> Recording:
    """Read one run.

    Parameters
    ----------
    path : str or Path
        A file named as published, ``S001R04.edf``: the name alone says which person and run it is.
    faulty : bool
        Read one of the persons in ``FAULTY`` all the same, and any sampling rate.

    Returns
    -------
    Recording
        Signal ``eeg`` in microvolts, channels named as in the 10-10 system, positions on the unit
        sphere. The files are filled up with zeros to a whole second; the recording ends before them.
        Trial columns besides ``start_s`` and ``stop_s``: ``label``, ``code`` (T0, T1, T2), ``task``,
        ``run`` and ``subject``. Periods of rest between movements are trials, too, labelled ``rest``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the name does not follow the pattern, the person is in ``FAULTY``, the file is cut short
        or has other channels, another rate, no annotations, or annotations that its run cannot have.
    """
    path = Path(path)
    subject, number = _numbers(path)
    if subject in FAULTY and not faulty:
        raise ValueError(
            f"{path}: subject {subject} is commonly left out, as are all of {FAULTY}: other studies found another number "
            "of trials, or another rate, than in the rest; faulty=True reads it"
        )
    _require_whole(path)
    import mne
    from mne.datasets import eegbci

    # The header of these files names the wrong kind of filter, which mne reports each time.
    raw = mne.io.read_raw_edf(path, verbose="error")
    eegbci.standardize(raw)
    if raw.info["sfreq"] != RATE_HZ and not faulty:
        raise ValueError(
            f"{path}: sampled at {raw.info['sfreq']:g} Hz, {RATE_HZ:g} Hz expected; was the file resampled?"
        )
    positions = _positions()
    unknown = [name for name in raw.ch_names if name not in positions]
    if len(raw.ch_names) != N_CHANNELS or unknown:
        raise ValueError(
            f"{path}: {len(raw.ch_names)} channels, {N_CHANNELS} expected"
            + (f"; {unknown[:3]} are no positions of the 10-10 system" if unknown else "")
            + "; is it another database's file, or were channels removed?"
        )
    values = (raw.get_data().T * 1e6).astype(np.float32)
    signal_ends = np.flatnonzero(values.any(axis=1))
    if not len(signal_ends):
        raise ValueError(f"{path}: every sample is zero; was the file written without its data?")
    values = values[: signal_ends[-1] + 1]
    rate_hz = float(raw.info["sfreq"])
    eeg = Signal(
        np.arange(len(values)) / rate_hz,
        values,
        "uV",
        tuple(raw.ch_names),
        np.stack([positions[name] for name in raw.ch_names]),
    )
    stop_s = len(values) / rate_hz
    return Recording(
        [],
        [[0.0, stop_s]],
        {"eeg": eeg},
        _trials(path, raw.annotations, number, subject, stop_s),
        name=path.stem,
    )


def read_subject(
    paths: str | Path | Sequence[str | Path], task: str | None = None, faulty: bool = False
) -> Recording:
    """Read runs of one person into one recording, run after run.

    Parameters
    ----------
    paths : str, Path or sequence of them
        Files, or a folder with them at any depth.
    task : str, optional
        Which runs, such as ``"imagine_fists"`` (:func:`runs_of`); by default all that are there.
    faulty : bool
        As in :func:`read_run`.

    Returns
    -------
    Recording
        As of :func:`read_run`; ``observed_s`` has one interval per run, ``GAP_S`` apart.

    Raises
    ------
    FileNotFoundError
        If no run of the task is there.
    ValueError
        If files are of several persons or have different channels, or one of them is not as it should be.
    """
    wanted = runs_of(task) if task else tuple(RUNS)
    if isinstance(paths, str | Path):
        where = Path(paths)
        files = sorted(where.rglob("S*R*.edf")) if where.is_dir() else [where]
    else:
        files, where = [Path(path) for path in paths], paths
    files = [file for file in files if _numbers(file)[1] in wanted]
    if not files:
        raise FileNotFoundError(f"{where}: no file of runs {wanted}{f' ({task})' if task else ''} is there")
    files.sort(key=lambda file: _numbers(file)[1])
    people = sorted({_numbers(file)[0] for file in files})
    numbers = [_numbers(file)[1] for file in files]
    if len(people) > 1 or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"{where}: files of subjects {people}, runs {numbers}; one person, and each run once, at a time"
        )
    runs = [read_run(file, faulty) for file in files]
    if len({run.signals["eeg"].channels for run in runs}) > 1:
        raise ValueError(f"{where}: the runs do not have the same channels in the same order")
    offsets = np.cumsum([0.0] + [run.observed_s[-1, 1] + GAP_S for run in runs[:-1]])
    shifted = ("start_s", "stop_s")
    eeg = [run.signals["eeg"] for run in runs]
    return Recording(
        [],
        np.concatenate([run.observed_s + at for run, at in zip(runs, offsets, strict=True)]),
        {
            "eeg": Signal(
                np.concatenate([signal.time_s + at for signal, at in zip(eeg, offsets, strict=True)]),
                np.concatenate([signal.values for signal in eeg]),
                "uV",
                eeg[0].channels,
                eeg[0].positions,
            )
        },
        {
            key: np.concatenate(
                [
                    run.trials[key] + at if key in shifted else run.trials[key]
                    for run, at in zip(runs, offsets, strict=True)
                ]
            )
            for key in runs[0].trials
        },
        name=f"S{people[0]:03d}" + (f" {task}" if task else ""),
    )


def _numbers(path: Path) -> tuple[int, int]:
    """Person and run, which only the name of a file tells."""
    parts = re.fullmatch(r"S(\d{3})R(\d{2})", path.stem)
    if not parts or path.suffix.lower() != ".edf" or int(parts[2]) not in RUNS:
        raise ValueError(
            f"{path}: the name should read S<subject>R<run>.edf, such as S001R04.edf, with a run of "
            f"1-{max(RUNS)}; the file itself does not say what T1 and T2 mean"
        )
    return int(parts[1]), int(parts[2])


def _require_whole(path: Path) -> None:
    """Compare the file's size with what its header promises; mne would read what is left."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    try:
        with path.open("rb") as file:
            head = file.read(256).decode("latin-1")
            n_header, n_records, n_signals = int(head[184:192]), int(head[236:244]), int(head[252:256])
            file.seek(256 + 216 * n_signals)
            samples = [int(file.read(8)) for _ in range(n_signals)]
    except ValueError:
        raise ValueError(f"{path}: not an EDF file; a web page, or renamed?") from None
    expected, found = n_header + 2 * n_records * sum(samples), path.stat().st_size
    if found != expected:
        guess = "was the download cut short?" if found < expected else "were line endings converted?"
        raise ValueError(f"{path}: {found} bytes where its header promises {expected}; {guess}")


def _trials(path: Path, annotations, number: int, subject: int, stop_s: float) -> dict[str, NDArray]:
    run = RUNS[number]
    codes = np.array(
        [str(code) for code in annotations.description], dtype=str
    )  # mne holds variable-width strings
    if not len(codes):
        raise ValueError(
            f"{path}: no annotations; were they in a file beside it (.event) that was left behind?"
        )
    wrong = sorted(set(codes.tolist()) - run.labels.keys())
    if wrong:
        raise ValueError(
            f"{path}: annotations {wrong} in run {number} ({run.task}), which has {', '.join(run.labels)}; "
            "was the file renamed?"
        )
    missing = sorted(run.labels.keys() - set(codes.tolist()))
    if missing:
        raise ValueError(f"{path}: run {number} ({run.task}) has no annotation {', '.join(missing)}")
    n = len(codes)
    return {
        "start_s": np.asarray(annotations.onset, float),
        "stop_s": np.minimum(annotations.onset + annotations.duration, stop_s),
        "label": np.array([run.labels[code] for code in codes]),
        "code": codes,
        "task": np.full(n, run.task),
        "run": np.full(n, number),
        "subject": np.full(n, subject),
    }


@cache
def _positions() -> dict[str, NDArray]:
    """Channels of the 10-05 system on the unit sphere, about the centre of the sphere that fits them best."""
    import mne

    # mne 1.13 renamed the montage after the head it was measured on
    new, old = "colin27_1005", "standard_1005"
    montage = mne.channels.make_standard_montage(new if new in mne.channels.get_builtin_montages() else old)
    places = montage.get_positions()["ch_pos"]
    points = np.array(list(places.values()))
    # |p - c|^2 = r^2 is linear in c and r^2 - |c|^2
    design = np.column_stack([2 * points, np.ones(len(points))])
    centre = np.linalg.lstsq(design, (points**2).sum(axis=1), rcond=None)[0][:3]
    return {name: (place - centre) / np.linalg.norm(place - centre) for name, place in places.items()}
