"""Windows as a dataset: what :class:`~neurolib.data.windows.Windows` cuts, read when asked for.

An item is a flat dict of tensors, padded so that all items are of one size; the keys stand in
:mod:`neurolib.data.windows`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from neurolib.data.recording import join_touching
from neurolib.data.sources import Source
from neurolib.data.store import Store, by_name, source_of
from neurolib.data.window_starts import window_starts

if TYPE_CHECKING:
    from neurolib.data.windows import Cut

MICROBIN = 1e-6  # of a bin: how near to its edge a spike counts as on it
Vocabulary = Mapping[str, Mapping[str, int]]


class WindowData(Dataset):
    """Windows as a dataset whose items are dicts of tensors, padded to one size; see the module."""

    def __init__(self, settings, recordings, vocabulary, intervals, labels, sessions, subjects, scalers):
        self.settings, self.scalers = settings, scalers
        self._parts = {
            name: part if isinstance(part, Store) else Source.of(part)
            for name, part in by_name(recordings).items()
        }
        self.names = list(self._parts)
        self.labels = dict(settings.label_rows(recordings) if labels is None else labels)
        sessions = {name: row for row, name in enumerate(self.names)} if sessions is None else sessions
        known = {name: str(getattr(p, "attrs", {}).get("subject", name)) for name, p in self._parts.items()}
        known |= subjects or {}
        rows = {subject: row for row, subject in enumerate(sorted(set(known.values())))}
        self._session = [_row(sessions, name, "sessions") for name in self.names]
        self._subject = [rows[known[name]] for name in self.names]
        self._spans: dict[str, list[NDArray]] = {}
        which, starts, marks = [], [], []
        for number, name in enumerate(self.names):
            start, label = window_starts(
                settings, name, self._at(number), self._intervals(name, intervals), self.labels
            )
            self._find(name, self._at(number), start)
            which.append(np.full(len(start), number))
            starts.append(start)
            marks.append(label)
        self.recording_of, self.start_s = np.concatenate(which), np.concatenate(starts)
        self.label_of = np.concatenate(marks)
        if not len(self.start_s):
            raise ValueError(f"no window of {settings.window_s:g} s fits into the intervals of {len(self.names)} "
                             "recordings; are they shorter than a window?")  # fmt: skip
        self._span = {key: np.concatenate(spans) for key, spans in self._spans.items()}
        del self._spans
        self.size = {key: max(int(np.diff(span).max()), 1) for key, span in self._span.items()}
        self._names_of = [settings.channel_names(name, self._at(n)) for n, name in enumerate(self.names)]
        self._fixed = [self._channels(number, vocabulary) for number in range(len(self.names))]
        self._outputs = self._behaviour_channels()

    def __len__(self) -> int:
        return len(self.start_s)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        number, start = int(self.recording_of[row]), self.start_s[row]
        item = dict(self._fixed[number])
        for name, cut in self.settings.modalities.items():
            make = {"counts": self._counts, "events": self._events, "sampled": self._samples}[cut.kind]
            make(item, name, row)
        if self.settings.behaviour:
            self._behaviour(item, row)
        item["label"] = torch.tensor(int(self.label_of[row]))
        item["start_s"] = torch.tensor(start, dtype=torch.float64)
        return item

    def tensors(self, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """All windows, or some, stacked in memory."""
        items = [self[row] for row in (range(len(self)) if rows is None else rows)]
        return {key: torch.stack([item[key] for item in items]) for key in items[0]}

    def samples(self, row: int, modality: str) -> tuple[NDArray, NDArray, tuple[str, ...]]:
        """Time since the start ``(T,)``, values as recorded ``(T, C)`` and names of one window's signal.

        ``modality`` may be ``"behaviour"``.
        """
        number = int(self.recording_of[row])
        signal = self._signal(number, modality)
        names = self._outputs if modality == "behaviour" else self._names_of[number][modality]
        if signal is None:
            return np.empty(0), np.empty((0, len(names))), names
        low, high = self._span[modality][row].tolist()
        time = signal.stamps.read(low, high) - self.start_s[row]
        if len(time) > 1 and not (np.diff(time) > 0).all():
            raise ValueError(
                f"{self.names[number]}: the clock of {modality} runs backwards after {self.start_s[row]:g} s"
            )
        return time, np.asarray(signal.values[low:high]), names

    def spikes(self, row: int) -> tuple[NDArray, NDArray]:
        """Seconds since the start, and unit, of the spikes of one window."""
        number = int(self.recording_of[row])
        try:
            times, unit = self._at(number).read_spikes(*self._span["spike times"][row].tolist())
        except ValueError as error:
            raise ValueError(f"{self.names[number]}: {error}") from None
        return times - self.start_s[row], unit

    def _at(self, number: int) -> Source:
        return source_of(self._parts[self.names[number]])

    def _signal(self, number: int, modality: str):
        settings = self.settings
        name = settings.behaviour if modality == "behaviour" else settings.modalities[modality].signal
        return self._at(number).signals.get(name)

    def _intervals(self, name: str, wanted: str | Mapping[str, NDArray]) -> NDArray:
        observed = join_touching(source_of(self._parts[name]).whole.observed_s)
        if not len(wanted):
            return observed
        if isinstance(wanted, str):
            splits = getattr(self._parts[name], "splits", {})
            if wanted not in splits:
                raise ValueError(
                    f"{name} has no split {wanted!r}, only {sorted(splits)}; make it with time_splits"
                )
            spans = splits[wanted]
        else:
            spans = wanted.get(name, np.empty((0, 2)))
        spans = np.asarray(spans, float).reshape(-1, 1, 2)
        both = np.stack(
            [np.maximum(spans[..., 0], observed[:, 0]), np.minimum(spans[..., 1], observed[:, 1])], -1
        )
        both = both.reshape(-1, 2)
        return both[both[:, 1] > both[:, 0]]

    def _find(self, name: str, source: Source, start: NDArray) -> None:
        """Where the samples and spikes of every window lie."""
        stop = start + self.settings.window_s
        for modality, cut in self.settings.cuts.items():
            if cut.kind != "sampled":
                near = MICROBIN / 2 * self.settings.bin_size_s
                span = np.stack([source.spikes.first_at(at, near) for at in (start, stop)], 1)
                modality = "spike times"
            elif cut.signal in source.signals:
                stamps = source.signals[cut.signal].stamps
                if cut.rate_hz and abs(stamps.typical_hz / cut.rate_hz - 1) > 0.01:
                    raise ValueError(
                        f"{name}: {modality} has {stamps.typical_hz:.6g} Hz where {cut.rate_hz:g} Hz are expected; "
                        "resample it when loading, or change rate_hz"
                    )
                span = np.stack([stamps.first_at(at) for at in (start, stop)], 1)
            else:
                span = np.zeros((len(start), 2), np.int64)
            self._spans.setdefault(modality, []).append(span)

    def _channels(self, number: int, vocabulary: Vocabulary) -> dict[str, Tensor]:
        """What is the same in every window of a recording."""
        fixed = {
            "session": torch.tensor(self._session[number]),
            "subject": torch.tensor(self._subject[number]),
        }
        for name, cut in self.settings.modalities.items():
            channels = self._names_of[number][name]
            width = max(len(names[name]) for names in self._names_of)
            if not width:
                raise ValueError(
                    f"no recording has {name}" + (f": no signal {cut.signal!r}" if cut.signal else "")
                )
            known = vocabulary.get(name, {})
            missing = [channel for channel in channels if channel not in known]
            if missing:
                raise ValueError(
                    f"{name}: channel {missing[0]!r} is not among the {len(known)} of the vocabulary (and "
                    f"{len(missing) - 1} more); a new recording? Grow the vocabulary first"
                )
            rows = torch.zeros(width, dtype=torch.int64)
            rows[: len(channels)] = torch.tensor([known[channel] for channel in channels], dtype=torch.int64)
            fixed[f"{name}/channel"] = rows
            fixed[f"{name}/channel_mask"] = torch.arange(width) < len(channels)
            if any(self._positions(n, cut) is not None for n in range(len(self.names))):
                coords = torch.zeros(width, 3)
                own = self._positions(number, cut)
                if own is not None:
                    scale = 1.0 if name == "eeg" else 100.0  # of the unit sphere, else MNI mm
                    coords[: len(channels)] = torch.from_numpy(np.nan_to_num(own) / scale).float()
                fixed[f"{name}/coords"] = coords
        return fixed

    def _positions(self, number: int, cut: "Cut") -> NDArray | None:
        source = self._at(number)
        if cut.kind == "sampled":
            return source.signals[cut.signal].positions if cut.signal in source.signals else None
        return source.whole.units.get("position")

    def _behaviour_channels(self) -> tuple[str, ...]:
        if not self.settings.behaviour:
            return ()
        found = {
            n: s.channels for n in range(len(self.names)) if (s := self._signal(n, "behaviour")) is not None
        }
        if len(set(found.values())) != 1:
            raise ValueError(
                f"behaviour {self.settings.behaviour!r} must have the same channels in all recordings; found "
                f"{sorted(set(found.values())) or 'it in none'}"
            )
        return next(iter(found.values()))

    def _counts(self, item: dict, name: str, row: int) -> None:
        bins, width = round(self.settings.window_s / self.settings.bin_size_s), len(item[f"{name}/channel"])
        times, unit = self.spikes(row)
        at = np.floor(np.round(times / self.settings.bin_size_s, 6)).astype(np.int64)
        inside = (at >= 0) & (at < bins)
        flat = np.bincount(at[inside] * width + unit[inside], minlength=bins * width)
        item[f"{name}/values"] = torch.from_numpy(flat.reshape(bins, width).astype(np.float32))
        item[f"{name}/time"] = torch.arange(bins) * self.settings.bin_size_s
        item[f"{name}/mask"] = item[f"{name}/channel_mask"].any().expand(bins)

    def _events(self, item: dict, name: str, row: int) -> None:
        times, unit = self.spikes(row)
        n, size = len(times), self.size["spike times"]
        time, units = np.zeros(size, np.float32), np.zeros(size, np.int64)
        time[:n], units[:n] = np.maximum(times, 0), unit
        item[f"{name}/event_time"], item[f"{name}/event_unit"] = (
            torch.from_numpy(time),
            torch.from_numpy(units),
        )
        item[f"{name}/event_mask"] = torch.arange(size) < n
        item[f"{name}/time"] = torch.tensor([0.0, self.settings.window_s])
        item[f"{name}/mask"] = item[f"{name}/channel_mask"].any().expand(2)

    def _samples(self, item: dict, name: str, row: int) -> None:
        time, values, channels = self.samples(row, name)
        values, seen = self._finite(name, row, values, channels)
        good = seen.any(0)
        moments = seen[:, good].all(1) & bool(good.any())
        size, width = self.size[name], len(item[f"{name}/channel"])
        item[f"{name}/values"] = torch.from_numpy(_padded(values * moments[:, None], size, width))
        item[f"{name}/time"] = torch.from_numpy(_padded(np.maximum(time, 0)[:, None], size, 1)[:, 0])
        item[f"{name}/mask"] = torch.from_numpy(_padded(moments[:, None], size, 1, bool)[:, 0])
        if not good.all():
            item[f"{name}/channel_mask"] = torch.from_numpy(_padded(good[None], 1, width, bool)[0])

    def _behaviour(self, item: dict, row: int) -> None:
        time, values, names = self.samples(row, "behaviour")
        step, size = self.settings.behaviour_bin_s, self.size["behaviour"]
        if step:
            size = round(self.settings.window_s / step)
            at = np.floor(np.round(time / step, 6)).astype(np.int64).clip(0, size - 1)
            number = np.bincount(at, minlength=size)
            total = [np.bincount(at, values[:, k], minlength=size) for k in range(len(names))]
            values = np.full((size, len(names)), np.nan)
            np.divide(np.stack(total, 1), number[:, None], out=values, where=number[:, None] > 0)
            time = (np.arange(size) + 0.5) * step
        values, seen = self._finite("behaviour", row, values, names)
        item["behaviour/values"] = torch.from_numpy(_padded(values, size, len(names)))
        item["behaviour/time"] = torch.from_numpy(_padded(np.maximum(time, 0)[:, None], size, 1)[:, 0])
        item["behaviour/mask"] = torch.from_numpy(_padded(seen.all(1)[:, None], size, 1, bool)[:, 0])

    def _finite(
        self, name: str, row: int, values: NDArray, channels: Sequence[str]
    ) -> tuple[NDArray, NDArray]:
        """Scaled values with zeros in gaps, and where there were none."""
        seen = np.isfinite(values)
        if not seen.all():
            if np.isinf(values).any():
                where = self.names[int(self.recording_of[row])]
                raise ValueError(
                    f"{where}: {name} is infinite after {self.start_s[row]:g} s; mark gaps as NaN"
                )
        if self.scalers is not None and name in self.scalers:
            values = self.scalers.apply(name, channels, values)
        return (values if seen.all() else np.where(seen, values, 0)), seen


def _padded(values: NDArray, rows: int, columns: int, dtype=np.float32) -> NDArray:
    padded = np.zeros((rows, columns), dtype)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded


def _row(rows: Mapping[str, int], name: str, what: str) -> int:
    if name not in rows:
        raise ValueError(f"{what} names no number for {name!r}; it has {sorted(rows)[:5]}")
    return rows[name]
