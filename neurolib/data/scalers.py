"""Mean and standard deviation of every channel, fitted on training windows and stored with the model.

Windows ``(time, channel)`` in, the same scaled out.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from neurolib.data.windows import WindowData


@dataclass(frozen=True)
class Scalers:
    """What is subtracted from each channel and what it is divided by.

    Parameters
    ----------
    moments : dict of dict of (mean, sd)
        By modality, or ``"behaviour"``, then by channel name.

    Examples
    --------
    >>> scalers = Scalers({"eeg": {"C3": (1.0, 2.0)}})
    >>> scalers.apply("eeg", ["C3"], np.array([[5.0]]))
    array([[2.]])
    """

    moments: Mapping[str, Mapping[str, tuple[float, float]]]

    def __contains__(self, modality: str) -> bool:
        return modality in self.moments

    @classmethod
    def fit(cls, data: "WindowData", max_windows: int = 2000) -> "Scalers":
        """Moments of all sampled modalities and of behaviour over windows, which must be training windows.

        A channel of one name in several recordings is pooled over them. Gaps do not count. Spikes are
        left as they are.

        Parameters
        ----------
        data : WindowData
        max_windows : int
            Of longer data, so many windows evenly spread are read.

        Raises
        ------
        ValueError
            If a channel has no sample in any window.
        """
        wanted = [name for name, cut in data.settings.modalities.items() if cut.kind == "sampled"]
        wanted += ["behaviour"] if data.settings.behaviour else []
        rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), max_windows)).round().astype(int))
        moments = {}
        for name in wanted:
            sums: dict[tuple[str, ...], list] = {}  # by the channels of a recording: n, mean, squares
            for row in rows:
                _, values, channels = data.samples(int(row), name)
                _add(sums.setdefault(channels, [0.0, 0.0, 0.0]), values)
            moments[name] = _joined(name, sums)
        return cls(moments)

    def apply(self, modality: str, channels: Sequence[str], values: NDArray) -> NDArray:
        """Scaled values ``(time, channel)``."""
        mean, sd = self._arrays(modality, tuple(channels))
        return (values - mean) / sd

    def undo(self, modality: str, channels: Sequence[str], values: NDArray) -> NDArray:
        """Values in their own unit again."""
        mean, sd = self._arrays(modality, tuple(channels))
        return values * sd + mean

    def joined(self, other: "Scalers") -> "Scalers":
        """Those of both; the other's where both know a channel. For recordings that came later."""
        names = self.moments.keys() | other.moments.keys()
        return Scalers({n: dict(self.moments.get(n, {})) | dict(other.moments.get(n, {})) for n in names})

    def save(self, path: str | Path) -> None:
        """Write them as JSON; the file appears whole or not at all."""
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text(json.dumps({"scalers": 1, "moments": self.moments}), encoding="utf-8")
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> "Scalers":
        """Read what :meth:`save` wrote."""
        try:
            table = json.loads(Path(path).read_text(encoding="utf-8"))
            if table["scalers"] != 1:
                raise ValueError(f"version {table['scalers']}")
            return cls({
                name: {channel: (float(mean), float(sd)) for channel, (mean, sd) in channels.items()}
                for name, channels in table["moments"].items()
            })  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no scalers ({error}); fit them anew") from None

    def _arrays(self, modality: str, channels: tuple[str, ...]) -> tuple[NDArray, NDArray]:
        cache = self.__dict__.setdefault("_cache", {})
        if (modality, channels) not in cache:
            known = self.moments[modality]
            missing = [channel for channel in channels if channel not in known]
            if missing:
                raise ValueError(
                    f"{modality}: no scaler for channel {missing[0]!r} (and {len(missing) - 1} more); a recording "
                    "without training windows? Fit scalers on a stretch of it and join them"
                )
            table = np.array([known[channel] for channel in channels]).reshape(-1, 2)
            cache[modality, channels] = table[:, 0], table[:, 1]
        return cache[modality, channels]


def _add(sums: list, values: NDArray) -> None:
    """Merge one window into count, mean and sum of squared deviations, gaps left out."""
    seen = np.isfinite(values)
    n = seen.sum(0)
    mean = np.where(seen, values, 0).sum(0, dtype=float) / np.maximum(n, 1)
    squares = (np.where(seen, values - mean, 0) ** 2).sum(0)
    sums[:] = _merge(sums, (n, mean, squares))


def _merge(one: Sequence, other: Sequence) -> list:
    total = np.maximum(one[0] + other[0], 1e-300)
    apart = other[1] - one[1]
    mean = one[1] + apart * other[0] / total
    return [one[0] + other[0], mean, one[2] + other[2] + apart**2 * one[0] * other[0] / total]


def _joined(modality: str, sums: Mapping[tuple[str, ...], Sequence]) -> dict[str, tuple[float, float]]:
    each: dict[str, list] = {}
    for channels, parts in sums.items():
        for at, channel in enumerate(channels):
            own = [float(part[at]) for part in parts]
            each[channel] = _merge(each[channel], own) if channel in each else own
    empty = [channel for channel, (n, _, _) in each.items() if not n]
    if empty:
        raise ValueError(f"{modality}: channel {empty[0]!r} holds nothing but gaps in the training windows")
    moments = {}
    for channel, (n, mean, squares) in each.items():
        sd = float(np.sqrt(squares / n))
        moments[channel] = (float(mean), sd if sd > 1e-12 * max(abs(mean), 1e-300) else 1.0)
    return moments
