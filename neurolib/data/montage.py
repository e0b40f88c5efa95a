"""Where EEG electrodes are: names of the 10-10 system in, points on the unit sphere out (x right, y front, z up).

An ideal head: the midline in steps of 22.5 degrees, a ring through Fpz, T7, Oz and T8 that is the equator, and
rows that are divided evenly between the two. The equator, because the sphere that fits electrodes on a measured
head best has them there; on such a head they lie ten degrees or so from here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEP = np.radians(22.5)  # from one electrode to the next along the midline
ROWS = ("FP", "AF", "F", "FC", "C", "CP", "P", "PO", "O", "I")  # front to back
TEMPORAL = {"FT": "FC", "T": "C", "TP": "CP"}  # the ends of these rows have names of their own

CHANNELS_64 = (  # of the EEG Motor Movement/Imagery Database, in its order
    *("FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "C5", "C3", "C1", "Cz", "C2", "C4", "C6"),
    *(
        "CP5",
        "CP3",
        "CP1",
        "CPz",
        "CP2",
        "CP4",
        "CP6",
        "Fp1",
        "Fpz",
        "Fp2",
        "AF7",
        "AF3",
        "AFz",
        "AF4",
        "AF8",
    ),
    *(
        "F7",
        "F5",
        "F3",
        "F1",
        "Fz",
        "F2",
        "F4",
        "F6",
        "F8",
        "FT7",
        "FT8",
        "T7",
        "T8",
        "T9",
        "T10",
        "TP7",
        "TP8",
    ),
    *(
        "P7",
        "P5",
        "P3",
        "P1",
        "Pz",
        "P2",
        "P4",
        "P6",
        "P8",
        "PO7",
        "PO3",
        "POz",
        "PO4",
        "PO8",
        "O1",
        "Oz",
        "O2",
    ),
    "Iz",
)


def positions(names: Sequence[str]) -> NDArray:
    """Points on the unit sphere, shape ``(n_channels, 3)``.

    Parameters
    ----------
    names : sequence of str
        Such as ``"C3"`` or ``"POz"``; upper and lower case are the same.

    Raises
    ------
    ValueError
        If a name is not of the system.

    References
    ----------
    .. [1] Oostenveld & Praamstra (2001), "The five percent electrode system for high-resolution EEG
       and ERP measurements", Clin. Neurophysiol. 112, 713-719.

    Examples
    --------
    >>> positions(["Cz", "T7"]).round(2)  # the top, and the far left
    array([[ 0.,  0.,  1.],
           [-1.,  0.,  0.]])
    """
    return np.array([_position(name) for name in names])


def _position(name: str) -> NDArray:
    letters = name.upper().rstrip("0123456789Z")
    number = name.upper()[len(letters) :]
    row = TEMPORAL.get(letters, letters)
    known = number == "Z" or (row != "I" and number.isdigit() and 1 <= int(number) <= 10)
    if row not in ROWS or not known:
        raise ValueError(f"{name!r} is no electrode of the 10-10 system, such as Cz, F3 or PO8")
    forward = STEP * (4 - ROWS.index(row))
    middle = np.array([0.0, np.sin(forward), np.cos(forward)])
    if number == "Z":
        return middle
    number = int(number)
    side = 1.0 if number % 2 == 0 else -1.0
    # 1 beside the midline to 4 on the ring and 5 below it; the first and last row have the ring alone
    step = 4 if row in ("FP", "O") else (number + 1) // 2
    around = np.radians(18 * (ROWS.index(row) + 1))
    down = STEP * max(step, 4)
    end = np.array([side * np.sin(down) * np.sin(around), np.sin(down) * np.cos(around), np.cos(down)])
    if step >= 4:
        return end
    angle = np.arccos(middle @ end)
    share = step / 4
    return (np.sin((1 - share) * angle) * middle + np.sin(share * angle) * end) / np.sin(angle)
