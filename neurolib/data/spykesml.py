r"""Two small public recordings of reaching: a ``.mat`` file in, :class:`~neurolib.data.trials.Trials` out.

Both were published with the code of Benjamin et al. (2018), already binned at 50 ms, with hand
position and velocity. Neither holds a trial table, so the trials made here are stretches of
continuous time: the segments that the S1 file strings together, and blocks of the M1 file.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data import catalog
from neurolib.data.trials import Trials

BIN_SIZE_S = 0.05
SEAM_CM = 0.5
OUTPUTS = ("position x", "position y", "velocity x", "velocity y")
OUTPUT_UNIT = "cm, cm/s"


def seams(
    position_cm: ArrayLike,
    velocity_cm_s: ArrayLike,
    bin_size_s: float = BIN_SIZE_S,
    above_cm: float = SEAM_CM,
) -> NDArray:
    """Bins at which time jumps: the step of the hand is not what its velocity accounts for.

    The step from one bin to the next is compared with the mean of the two velocities times the
    bin width. A seam is where they differ by more than ``above_cm``, in any direction.

    Parameters
    ----------
    position_cm, velocity_cm_s : array, shape (n_bins, n_dims)
    bin_size_s, above_cm : float

    Returns
    -------
    array of int
        First bin after each seam.

    Examples
    --------
    >>> seams([[0.0], [0.5], [1.0], [7.0], [7.5]], np.full((5, 1), 10.0))
    array([3])
    """
    position, velocity = np.asarray(position_cm, float), np.asarray(velocity_cm_s, float)
    unexplained = np.diff(position, axis=0) - (velocity[1:] + velocity[:-1]) / 2 * bin_size_s
    return np.flatnonzero(np.linalg.norm(unexplained, axis=1) > above_cm) + 1


def load_s1(path: Path | None = None) -> Trials:
    """Somatosensory cortex while a macaque reaches: 52 units, 29 min in 419 segments.

    The file strings segments of 0.4 to 22 s together and does not say where. Each segment is a
    trial here, from one of the :func:`seams` to the next, with the limit at 0.5 cm because

    - in the M1 file, which is continuous, no step of the hand is unaccounted for by more than 0.35 cm;
    - 390 steps are jumps of more than 3 cm, which no hand makes in 50 ms;
    - 28 more are unaccounted for by 0.58 to 2.8 cm: short jumps, 18 of them about the centre of the
      workspace, where a quarter of all segments begin. The next is 0.45 cm, and from there on
      smaller ones follow without a gap.

    A limit of 1 cm would give 415 segments, one of 3 cm 391. From the density of short jumps about
    one seam is expected to hide below 0.5 cm.

    Parameters
    ----------
    path : Path, optional
        The file ``s1_data.mat``; by default that of the data folder.

    Returns
    -------
    Trials
        ``behaviour`` is position (cm) and velocity (cm/s); ``info["start_bin"]`` is where the
        segment begins in the file. Monkey, exact area and task are not documented.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a whole one of this kind.

    References
    ----------
    .. [1] Benjamin et al. (2018), "Modern machine learning as a benchmark for fitting neural
       responses", Frontiers in Computational Neuroscience 12:56.
    """
    path = catalog.require("spykesml_s1")[0] if path is None else Path(path)
    counts, position, velocity = _arrays(path, ("spikes", "pos", "vel"))
    _same_bins(path, counts, pos=(position, 2), vel=(velocity, 2))
    starts = np.concatenate([[0], seams(position, velocity)])
    if len(starts) > len(counts) / 5:
        raise ValueError(
            f"{path}: position and velocity disagree in {len(starts) - 1} of {len(counts)} bins; are they in cm "
            f"and cm/s, in bins of {BIN_SIZE_S * 1e3:g} ms?"
        )
    return Trials(
        counts=_whole(path, counts),
        behaviour=np.hstack([position, velocity]),
        lengths=np.diff(starts, append=len(counts)),
        bin_size_s=BIN_SIZE_S,
        outputs=OUTPUTS,
        output_unit=OUTPUT_UNIT,
        info={"start_bin": starts},
        name="S1 (spykesML)",
    )


def load_m1(path: Path | None = None, block_s: float = 15.0) -> Trials:
    """Primary motor cortex while a macaque reaches: 171 units, 12.9 min without a break.

    The file does not name the task; where the hand rests are nine places, a centre and eight around it.

    The recording is continuous; it is cut into blocks of ``block_s`` that serve as trials, so that
    whole blocks can be held out. The last block is what remains and is shorter. Neighbouring blocks
    touch: a history window that begins in one sees nothing of the block before (:meth:`Trials.history`).

    Metres are turned into cm. The third coordinate of the hand is constant and left out. Six units
    fire less often than once in 100 s (the rarest once in all); they are kept, and nothing can be
    learnt from them.

    Parameters
    ----------
    path : Path, optional
        The file ``m1_stevenson_2011.mat``; by default that of the data folder.
    block_s : float
        Length of a block in seconds, a whole number of 50 ms bins.

    Returns
    -------
    Trials
        ``behaviour`` is position (cm) and velocity (cm/s); ``info`` holds ``start_bin`` and, on the
        clock of the file, ``start_s``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a whole one of this kind, or ``block_s`` is no whole number of bins.

    References
    ----------
    .. [1] Stevenson et al. (2011), "Statistical assessment of the stability of neural movement
       representations", Journal of Neurophysiology 106:764-774.
    """
    block = round(block_s / BIN_SIZE_S)
    if block < 1 or not np.isclose(block * BIN_SIZE_S, block_s):
        raise ValueError(f"block_s={block_s} must be a positive multiple of the bin width, {BIN_SIZE_S} s")
    path = catalog.require("spykesml_m1")[0] if path is None else Path(path)
    arrays = _arrays(path, ("spikes", "handPos", "handVel", "time"))
    counts, position, velocity, time_s = (array.T for array in arrays)
    _same_bins(path, counts, handPos=(position, 3), handVel=(velocity, 3), time=(time_s, 1))
    if np.ptp(position[:, 2]) or velocity[:, 2].any():
        raise ValueError(f"{path}: the third coordinate of the hand moves, and this loader would drop it")
    if (abs(np.diff(time_s[:, 0]) - BIN_SIZE_S) > BIN_SIZE_S / 10).any():
        raise ValueError(
            f"{path}: time does not advance by {BIN_SIZE_S} s from bin to bin; are bins missing?"
        )
    starts = np.arange(0, len(counts), block)
    return Trials(
        counts=_whole(path, counts),
        behaviour=100 * np.hstack([position[:, :2], velocity[:, :2]]),
        lengths=np.diff(starts, append=len(counts)),
        bin_size_s=BIN_SIZE_S,
        outputs=OUTPUTS,
        output_unit=OUTPUT_UNIT,
        info={"start_bin": starts, "start_s": time_s[starts, 0]},
        name="M1 (Stevenson 2011, spykesML)",
    )


def _arrays(path: Path, keys: tuple[str, ...]) -> list[NDArray]:
    """Numeric matrices of a MATLAB file, or one error that says what is wrong with it."""
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    try:
        found = loadmat(path)
    except Exception as error:  # a damaged file surfaces as one of a dozen unrelated types
        kind = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is no readable .mat file; truncated? ({kind})"
        ) from None
    for key in keys:
        if key not in found:
            held = ", ".join(sorted(name for name in found if not name.startswith("__"))) or "nothing"
            raise ValueError(
                f"{path} has no variable {key!r}, it holds {held}; is it another recording's file?"
            )
        if found[key].ndim != 2 or found[key].dtype.kind not in "fiu" or not np.isfinite(found[key]).all():
            raise ValueError(
                f"{path}: {key} should be a matrix of finite numbers, "
                f"it has shape {found[key].shape} and type {found[key].dtype}"
            )
    return [found[key] for key in keys]


def _same_bins(path: Path, counts: NDArray, **others: tuple[NDArray, int]) -> None:
    for key, (array, n_columns) in others.items():
        if array.shape != (len(counts), n_columns):
            raise ValueError(
                f"{path}: {key} covers {array.shape[0]} bins in {array.shape[1]} columns where spikes covers "
                f"{len(counts)} bins; {n_columns} columns expected"
            )


def _whole(path: Path, counts: NDArray) -> NDArray:
    """Spike counts as 16-bit integers, wide enough to be summed into longer bins."""
    if (counts < 0).any() or (counts != np.round(counts)).any():
        raise ValueError(
            f"{path}: spikes holds {counts.min()} to {counts.max()}, not whole numbers of spikes per bin"
        )
    return counts.astype(np.uint16)
