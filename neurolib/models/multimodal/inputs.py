"""What the model reads: signals ``(batch, time, channel)`` or events ``(batch, event)``, masks and clocks.

Masks are True where something was recorded. Time is in seconds since the start of the window. Values under a
False mask are never read, so padding may hold anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches

import torch
from torch import Tensor

MODALITIES = ("spike", "lfp", "calcium", "eeg", "fmri", "ecog", "emg")
TOLERANCE = 1e-6  # seconds by which clocks may disagree


@dataclass(frozen=True)
class ModalityInput:
    """One kind of signal for a batch of windows: sampled, or spikes as events, or both.

    Parameters
    ----------
    time : Tensor, shape (B, T)
        Time stamps of the samples, increasing where the mask is True.
    mask : Tensor of bool, shape (B, T)
    channel : Tensor of int64, shape (B, C)
        Row of each channel (unit, electrode, region) in the table of its modality.
    channel_mask : Tensor of bool, shape (B, C)
    values : Tensor, shape (B, T, C), optional
        Spikes per bin, or any sampled signal; absent only where there are events.
    coords : Tensor, shape (B, C, 3), optional
        Position of each channel: on the unit sphere for EEG, else MNI mm / 100.
    event_time, event_unit, event_mask : Tensor, shape (B, E), optional
        Spikes: seconds, column of ``channel``, and which of them are padding.

    Raises
    ------
    ValueError
        If shapes disagree, values that count are not finite, a clock runs backwards, or an event names a
        unit that its window does not have.

    Examples
    --------
    >>> eeg = ModalityInput.sampled(torch.zeros(2, 160, 64), rate_hz=160.0)
    >>> eeg.time[0, :3].tolist(), eeg.duration_s
    ([0.0, 0.0062500000931322575, 0.012500000186264515], 1.0)
    """

    time: Tensor
    mask: Tensor
    channel: Tensor
    channel_mask: Tensor
    values: Tensor | None = None
    coords: Tensor | None = None
    event_time: Tensor | None = None
    event_unit: Tensor | None = None
    event_mask: Tensor | None = None

    @classmethod
    def sampled(
        cls,
        values: Tensor,
        rate_hz: float,
        mask: Tensor | None = None,
        channel: Tensor | None = None,
        channel_mask: Tensor | None = None,
        coords: Tensor | None = None,
    ) -> "ModalityInput":
        """A signal ``(B, T, C)`` with one rate; channels are numbered and all there unless said otherwise."""
        if values.dim() != 3:
            raise ValueError(f"values {tuple(values.shape)}; a signal is (batch, time, channel)")
        if not rate_hz > 0:
            raise ValueError(f"rate_hz={rate_hz} must be positive; it is in samples per second")
        rows, samples, channels = values.shape
        like = {"device": values.device}
        time = torch.arange(samples, **like) / rate_hz
        return cls(
            time=time.expand(rows, samples),
            mask=torch.ones(rows, samples, dtype=torch.bool, **like) if mask is None else mask,
            channel=torch.arange(channels, **like).expand(rows, channels) if channel is None else channel,
            channel_mask=torch.ones(rows, channels, dtype=torch.bool, **like)
            if channel_mask is None
            else channel_mask,
            values=values,
            coords=coords,
        ).checked()

    @classmethod
    def events(
        cls, time: Tensor, unit: Tensor, offsets: Tensor, channel: Tensor, window_s: float
    ) -> "ModalityInput":
        """Spikes of all windows end to end, as ``time (n,)``, ``unit (n,)`` and where each window starts.

        Parameters
        ----------
        time : Tensor, shape (n_events,)
            Seconds since the start of the event's window.
        unit : Tensor of int64, shape (n_events,)
            Column of ``channel``.
        offsets : Tensor of int64, shape (B + 1,)
            Window ``b`` holds events ``offsets[b]`` up to ``offsets[b + 1]``.
        channel : Tensor of int64, shape (B, C)
        window_s : float

        Examples
        --------
        >>> spikes = ModalityInput.events(torch.tensor([0.1, 0.4, 0.2]), torch.tensor([0, 1, 0]),
        ...                               torch.tensor([0, 2, 3]), torch.arange(2).expand(2, 2), 1.0)
        >>> spikes.event_mask.tolist()
        [[True, True], [True, False]]
        """
        if len(offsets) != len(channel) + 1 or int(offsets[-1]) != len(time) or (offsets.diff() < 0).any():
            raise ValueError(
                f"offsets {offsets.tolist()[:5]}... for {len(channel)} windows and {len(time)} events; they "
                "start at 0, grow, and end at the number of events"
            )
        counts = offsets.diff()
        width = max(int(counts.max()), 1) if len(counts) else 1
        mask = torch.arange(width, device=time.device) < counts[:, None]
        rows = len(channel)
        padded = time.new_zeros(rows, width)
        units = unit.new_zeros(rows, width)
        padded[mask], units[mask] = time, unit
        edges = torch.tensor([0.0, window_s], device=time.device).expand(rows, 2)
        return cls(
            time=edges,
            mask=torch.ones_like(edges, dtype=torch.bool),
            channel=channel,
            channel_mask=torch.ones_like(channel, dtype=torch.bool),
            event_time=padded,
            event_unit=units,
            event_mask=mask,
        ).checked()

    @property
    def n_rows(self) -> int:
        """Windows in the batch."""
        return len(self.time)

    @property
    def present(self) -> Tensor:
        """Which windows have anything of this modality, ``(B,)``."""
        seen = self.mask.any(1) & self.channel_mask.any(1)
        return seen

    @property
    def duration_s(self) -> float:
        """Longest window in seconds: one sample past its last."""
        if self.time.shape[1] < 2:
            return 0.0
        last = self.time.masked_fill(~self.mask, 0).amax(1)
        if self.values is not None:
            steps = (self.time[:, 1:] - self.time[:, :-1]).masked_fill(~self.mask[:, 1:], 0)
            last = last + steps.amax(1)
        return float(last.amax())

    @property
    def rate_hz(self) -> float:
        """Samples per second, from the median step of the first window that has any."""
        both = self.mask[:, 1:] & self.mask[:, :-1]
        steps = (self.time[:, 1:] - self.time[:, :-1])[both]
        if not len(steps):
            raise ValueError("no window has two samples in a row, so there is no rate")
        return 1.0 / float(steps.median())

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> "ModalityInput":
        """All tensors moved; floating ones cast, too."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self,
            **{
                key: value.to(device, dtype if value.is_floating_point() else None)
                for key, value in moved.items()
                if value is not None
            },
        )

    def keeping(self, mask: Tensor | None = None, channel_mask: Tensor | None = None) -> "ModalityInput":
        """The same input with more samples or channels hidden; events of hidden channels go, too.

        Parameters
        ----------
        mask : Tensor of bool, shape (B, T), optional
            True for what stays.
        channel_mask : Tensor of bool, shape (B, C), optional
        """
        changed = self
        if mask is not None:
            changed = replace(changed, mask=self.mask & mask)
        if channel_mask is not None:
            changed = replace(changed, channel_mask=self.channel_mask & channel_mask)
            if self.event_mask is not None:
                seen = changed.channel_mask.gather(1, self.event_unit)
                changed = replace(changed, event_mask=self.event_mask & seen)
        return changed

    def clean(self) -> Tensor:
        """Values with zeros wherever nothing was recorded, ``(B, T, C)``."""
        if self.values is None:
            raise ValueError("this input holds events and no samples; bin it, or use a tokenizer of events")
        seen = self.mask[:, :, None] & self.channel_mask[:, None, :]
        return torch.where(seen, self.values, torch.zeros((), dtype=self.values.dtype, device=seen.device))

    def checked(self, name: str = "input") -> "ModalityInput":
        """Itself, if it is consistent; ``name`` is for the messages."""
        rows, samples = self.time.shape
        if self.mask.shape != self.time.shape or self.mask.dtype != torch.bool:
            raise ValueError(
                f"{name}: mask {tuple(self.mask.shape)} {self.mask.dtype} for time {(rows, samples)}"
            )
        if self.channel.shape != self.channel_mask.shape or len(self.channel) != rows:
            raise ValueError(
                f"{name}: channel {tuple(self.channel.shape)} and its mask {tuple(self.channel_mask.shape)} for "
                f"{rows} windows"
            )
        if self.channel.is_floating_point() or (self.channel[self.channel_mask] < 0).any():
            raise ValueError(
                f"{name}: channel ids must be row numbers, 0 or more; look names up in the table"
            )
        channels = self.channel.shape[1]
        if self.values is None and self.event_time is None:
            raise ValueError(f"{name}: neither values nor events")
        if self.values is not None:
            if self.values.shape != (rows, samples, channels):
                raise ValueError(
                    f"{name}: values {tuple(self.values.shape)}, but time and channels say "
                    f"{(rows, samples, channels)}; signals are (batch, time, channel)"
                )
            bad = ~self.clean().isfinite().all(-1)
            if bad.any():
                row, at = bad.nonzero()[0].tolist()
                raise ValueError(
                    f"{name}: values of window {row} are NaN or infinite at {float(self.time[row, at]):.4g} s; mask "
                    "gaps instead of filling them with NaN"
                )
        both = self.mask[:, 1:] & self.mask[:, :-1]
        back = both & (self.time[:, 1:] <= self.time[:, :-1])
        if back.any():
            row, at = back.nonzero()[0].tolist()
            raise ValueError(
                f"{name}: the clock of window {row} goes from {float(self.time[row, at]):.6g} s to "
                f"{float(self.time[row, at + 1]):.6g} s; are two blocks joined, or times not relative to the window?"
            )
        if self.coords is not None and self.coords.shape != (rows, channels, 3):
            raise ValueError(f"{name}: coords {tuple(self.coords.shape)} must be {(rows, channels, 3)}")
        if self.event_time is not None:
            self._check_events(name, rows, channels)
        return self

    def _check_events(self, name: str, rows: int, channels: int) -> None:
        shapes = {tuple(t.shape) for t in (self.event_time, self.event_unit, self.event_mask)}
        if len(shapes) != 1 or len(self.event_time) != rows:
            raise ValueError(f"{name}: event tensors of shapes {sorted(shapes)} for {rows} windows")
        unit = self.event_unit[self.event_mask]
        if len(unit) and (int(unit.max()) >= channels or int(unit.min()) < 0):
            raise ValueError(f"{name}: an event of unit {int(unit.max())}, but a window has {channels} units")
        time = self.event_time[self.event_mask]
        end = float(self.time.masked_fill(~self.mask, 0).amax()) + 1.0 if len(time) else 0.0
        if not time.isfinite().all() or (len(time) and (time.min() < -TOLERANCE or time.max() > end)):
            raise ValueError(
                f"{name}: event times from {float(time.min()):.4g} to {float(time.max()):.4g} s; they are seconds "
                "since the start of the window"
            )


@dataclass(frozen=True)
class Tokens:
    """What every tokenizer returns.

    Parameters
    ----------
    tokens : Tensor, shape (B, S, d)
    time : Tensor, shape (B, S)
        Seconds since the start of the window.
    mask : Tensor of bool, shape (B, S)
    unit : Tensor of int64, shape (B, S)
        Row of the channel that a token stands for, or -1 for a token of the population.
    modality : Tensor of int64, shape (B, S)
        Number of the modality, set by the model.
    """

    tokens: Tensor
    time: Tensor
    mask: Tensor
    unit: Tensor
    modality: Tensor

    @classmethod
    def of_population(cls, tokens: Tensor, time: Tensor, mask: Tensor) -> "Tokens":
        """Tokens that stand for no single channel."""
        none = torch.full_like(time, -1, dtype=torch.int64)
        return cls(tokens, time, mask, none, none)

    @classmethod
    def joined(cls, parts: Iterable["Tokens"]) -> "Tokens":
        """Tokens of several modalities in one sequence."""
        parts = list(parts)
        return cls(*(torch.cat([getattr(p, f.name) for p in parts], dim=1) for f in fields(cls)))


def as_inputs(
    signals: Mapping[str, "Tensor | ModalityInput"],
    rates_hz: Mapping[str, float],
    window_s: float | None = None,
) -> dict[str, ModalityInput]:
    """Signals by modality, checked.

    Parameters
    ----------
    signals : dict of Tensor (B, T, C) or ModalityInput
    rates_hz : dict of float
        The modalities there are, and the rate that a bare tensor is taken to have.
    window_s : float, optional
        Longest signal allowed.

    Raises
    ------
    ValueError
        If a name is not a modality, batches differ in size, a signal lasts longer than the window, or a
        window has nothing in any modality.

    Examples
    --------
    >>> inputs = as_inputs({"eeg": torch.zeros(2, 100, 8)}, {"eeg": 100.0}, window_s=1.0)
    >>> round(inputs["eeg"].rate_hz)
    100
    """
    if not signals:
        raise ValueError(f"no modality given; this model reads {', '.join(rates_hz)}")
    inputs = {}
    for name, signal in signals.items():
        if name not in rates_hz:
            near = get_close_matches(name, rates_hz, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"this model reads {', '.join(rates_hz)}"
            raise ValueError(f"no modality {name!r}; {hint}")
        if isinstance(signal, Tensor):
            signal = ModalityInput.sampled(signal, rates_hz[name])
        signal = signal.checked(name)
        step_s = 1 / rates_hz[name]  # clocks of two signals may start up to a sample apart
        if window_s is not None and signal.duration_s > window_s * 1.01 + step_s + TOLERANCE:
            raise ValueError(
                f"{name}: {signal.duration_s:.4g} s of signal for windows of {window_s:.4g} s; is the rate wrong?"
            )
        inputs[name] = signal
    rows = {name: signal.n_rows for name, signal in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"batches differ in size between modalities: {rows}")
    empty = ~torch.stack([signal.present for signal in inputs.values()]).any(0)
    if empty.any():
        raise ValueError(
            f"window {int(empty.nonzero()[0])} is masked in every modality ({', '.join(inputs)})"
        )
    return inputs


def unpack(batch: Mapping[str, Tensor]) -> dict[str, ModalityInput]:
    """Modalities out of a flat batch, whose keys are ``"modality/field"``.

    Examples
    --------
    >>> one = ModalityInput.sampled(torch.zeros(2, 10, 3), 10.0)
    >>> unpack(pack({"eeg": one}) | {"session": torch.zeros(2)})["eeg"].values.shape
    torch.Size([2, 10, 3])
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in batch.items():
        name, slash, part = key.partition("/")
        if slash and name in MODALITIES:
            found.setdefault(name, {})[part] = tensor
    return {name: ModalityInput(**parts) for name, parts in found.items()}


def pack(inputs: Mapping[str, ModalityInput]) -> dict[str, Tensor]:
    """The flat batch of :func:`unpack`."""
    flat = {}
    for name, signal in inputs.items():
        for part in fields(signal):
            if (value := getattr(signal, part.name)) is not None:
                flat[f"{name}/{part.name}"] = value
    return flat
