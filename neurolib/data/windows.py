"""Windows of recordings: sources in, a flat batch of tensors with rows first out.

Keys are ``"<modality>/values" (row, time, channel)``, ``/time``, ``/mask``, ``/channel``, ``/channel_mask``,
``/coords`` and, for spikes as events, ``/event_time``, ``/event_unit``, ``/event_mask``; then
``"behaviour/values"``, ``/time``, ``/mask``, ``"session"``, ``"subject"``, ``"label"`` and ``"start_s"``.
Masks are True where something was recorded; time is in seconds since the start of the window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurolib.data.scalers import Scalers
from neurolib.data.sources import Source
from neurolib.data.store import Recordings, by_name, source_of
from neurolib.data.window_data import Vocabulary, WindowData

KINDS = ("counts", "events", "sampled")


@dataclass(frozen=True)
class Cut:
    """How one modality is cut.

    Parameters
    ----------
    kind : {"counts", "events", "sampled"}
        Spikes per bin, spike times, or samples of a signal.
    signal : str
        Which signal of the recording, for ``"sampled"``.
    rate_hz : float
        What the signal must have; 0 takes any.
    shared : bool
        Whether a channel of one name is the same in all recordings (EEG electrodes, brain regions,
        muscles) or, like a unit, belongs to its recording alone.
    """

    kind: str = "counts"
    signal: str = ""
    rate_hz: float = 0.0
    shared: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {', '.join(KINDS)}")
        if (self.kind == "sampled") != bool(self.signal):
            raise ValueError(
                f"kind={self.kind!r} with signal={self.signal!r}; 'sampled' alone names a signal"
            )
        if self.rate_hz < 0:
            raise ValueError(f"rate_hz={self.rate_hz} must be positive, or 0 for any")


@dataclass(frozen=True)
class Windows:
    """How recordings are cut into windows.

    Windows begin on a sample of their slowest signal and never leave an interval.

    Parameters
    ----------
    window_s : float
    stride_s : float
        From one start to the next; 0 takes ``window_s``.
    modalities : dict of Cut
    bin_size_s : float
        Of spikes.
    behaviour : str
        Signal that is decoded.
    behaviour_bin_s : float
        Bins it is averaged over; 0 keeps its samples.
    event : str
        Column of the trial table, in seconds: one window per trial instead of a sliding one.
    offset_s : float
        From the event to the start of the window.
    label : str
        Column of the trial table. A window has the label of the trial that holds its centre, else -1.

    Examples
    --------
    >>> from neurolib.data.recording import Recording
    >>> recording = Recording([np.array([0.1, 0.6, 1.7])], [[0, 2]], name="a")
    >>> windows = Windows(window_s=1.0, bin_size_s=0.5)
    >>> data = windows.build([recording], windows.vocabulary([recording]))
    >>> data.tensors()["spike/values"][..., 0].tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """

    window_s: float = 1.0
    stride_s: float = 0.0
    modalities: Mapping[str, Cut] = field(default_factory=lambda: {"spike": Cut()})
    bin_size_s: float = 0.02
    behaviour: str = ""
    behaviour_bin_s: float = 0.0
    event: str = ""
    offset_s: float = 0.0
    label: str = ""

    def __post_init__(self):
        if not self.window_s > 0 or self.stride_s < 0:
            raise ValueError(
                f"window_s={self.window_s} must be positive, stride_s={self.stride_s} not negative"
            )
        if not self.modalities:
            raise ValueError("windows of no modality; name at least one")
        for name, step in (("bin_size_s", self.bin_size_s), ("behaviour_bin_s", self.behaviour_bin_s)):
            bins = self.window_s / step if step else 1
            if step < 0 or (name == "bin_size_s" and not step) or abs(bins - round(bins)) > 1e-6 or bins < 1:
                raise ValueError(f"{name}={step} must divide window_s={self.window_s} into whole bins")
        object.__setattr__(self, "modalities", dict(self.modalities))

    @property
    def cuts(self) -> dict[str, Cut]:
        """How every modality, and behaviour, is cut."""
        behaviour = {"behaviour": Cut("sampled", self.behaviour)} if self.behaviour else {}
        return self.modalities | behaviour

    def channel_names(self, name: str, source: Source) -> dict[str, tuple[str, ...]]:
        """Names in the vocabulary, by modality, of the channels that a recording has."""
        found = {}
        for modality, cut in self.modalities.items():
            if cut.kind == "sampled":
                own = source.signals[cut.signal].channels if cut.signal in source.signals else ()
            else:
                own = source.whole.units.get("name", np.arange(source.n_units)).astype(str).tolist()
            found[modality] = tuple(own) if cut.shared else tuple(f"{name}/{channel}" for channel in own)
            if len(set(own)) < len(own):
                raise ValueError(f"{name}: two channels of {modality} have one name; names must differ")
        return found

    def vocabulary(self, recordings: Recordings) -> dict[str, dict[str, int]]:
        """Row of every channel of these recordings by modality, numbered as they come."""
        rows: dict[str, dict[str, int]] = {modality: {} for modality in self.modalities}
        for name, recording in by_name(recordings).items():
            for modality, channels in self.channel_names(name, source_of(recording)).items():
                for channel in channels:
                    rows[modality].setdefault(channel, len(rows[modality]))
        return rows

    def label_rows(self, recordings: Recordings) -> dict[str, int]:
        """Number of every value of the label column, in order of their names; empty and NaN are none."""
        values: set[str] = set()
        for recording in by_name(recordings).values():
            values |= set(source_of(recording).whole.trials.get(self.label, np.empty(0)).astype(str).tolist())
        return {value: row for row, value in enumerate(sorted(values - {"", "nan"}))}

    def build(
        self,
        recordings: Recordings,
        vocabulary: Vocabulary,
        intervals: str | Mapping[str, NDArray] = "",
        labels: Mapping[str, int] | None = None,
        sessions: Mapping[str, int] | None = None,
        subjects: Mapping[str, str] | None = None,
        scalers: Scalers | None = None,
    ) -> WindowData:
        """All windows of some recordings.

        Parameters
        ----------
        recordings : dict, or sequence, of Recording or Store
        vocabulary : dict of dict
            Row of every channel name by modality, such as :meth:`vocabulary` or the model's own table.
        intervals : str or dict of array, shape (n, 2)
            Split of the stores to take, or intervals in seconds by recording; none means all.
        labels : dict of int
            Row of every label; none numbers those of these recordings.
        sessions : dict of int
            Number of every recording; none counts them. Give it where splits hold other recordings.
        subjects : dict of str
            Subject by recording; none takes what stores say, else each recording is a subject.
            Numbers go by name, so give all of them where splits hold other subjects.
        scalers : Scalers
            From :meth:`Scalers.fit` on training windows.

        Raises
        ------
        ValueError
            If no window fits, a channel is not in the vocabulary, or a rate is not the expected one.
        """
        return WindowData(self, recordings, vocabulary, intervals, labels, sessions, subjects, scalers)
