"""Windows of one simulated session of seven modalities: a config in, batches ``"modality/field"`` and the truth out.

The hand is what a model is shown; the latent is kept aside, for those who ask what the model has found.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neurolib.data.recording import Signal
from neurolib.data.scalers import Scalers
from neurolib.data.seven_modalities import SevenModalitiesConfig, simulate
from neurolib.data.splits import time_splits
from neurolib.data.windows import Cut, Windows

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SevenWindows:
    """What :class:`SevenWindowsConfig` makes.

    Parameters
    ----------
    name : str
        Of the recording.
    simulated : bool
        True: there is no recording of this.
    batches : dict of dict of Tensor
        By ``"train"``, ``"valid"`` and ``"test"``; behaviour is the hand, in SD.
    latent : dict of array, shape (n_windows, n_steps, 3)
        The truth, averaged over every step, by split; in SD.
    channels : dict of dict
        Row of every channel name, by modality.
    splits : dict of array, shape (n, 2)
        Seconds.
    """

    name: str
    simulated: bool
    batches: dict[str, Batch]
    latent: dict[str, NDArray]
    channels: dict[str, dict[str, int]]
    splits: dict[str, NDArray]


@dataclass(frozen=True)
class SevenWindowsConfig:
    """How one session is simulated and cut.

    Training windows overlap by half, all others not at all. Splits are blocks of time with a window between them.
    BOLD has a volume per second.

    Examples
    --------
    >>> made = SevenWindowsConfig(duration_s=60.0, block_s=4.0, modalities=("spike", "emg")).build()
    >>> made.latent["test"].shape[1:], made.batches["test"]["spike/values"].shape[1:]
    ((8, 3), torch.Size([40, 12]))
    """

    duration_s: float = 300.0
    window_s: float = 2.0
    n_steps: int = 8  # per window, of behaviour and of the truth
    bin_s: float = 0.05  # of spikes
    block_s: float = 10.0  # shortest block of a split
    fractions: tuple[float, float, float] = (0.6, 0.15, 0.25)
    modalities: tuple[str, ...] = ("spike", "lfp", "calcium", "eeg", "fmri", "ecog", "emg")
    spikes: int = 12  # units
    channels: int = 8  # of every other modality
    seed: int = 0

    def build(self) -> SevenWindows:
        """Simulate the session and cut it."""
        sizes = {name: self.spikes if name == "spike" else self.channels for name in self.modalities}
        recording = simulate(
            SevenModalitiesConfig(
                duration_s=self.duration_s,
                seed=self.seed,
                modalities=self.modalities,
                sizes=tuple(sizes.items()),
                tr_s=1.0,
            )
        )
        cuts = {name: Cut() if name == "spike" else Cut("sampled", name) for name in self.modalities}
        settings = Windows(
            self.window_s,
            self.window_s / 2,
            cuts,
            self.bin_s,
            behaviour="behaviour",
            behaviour_bin_s=self.window_s / self.n_steps,
        )
        splits = time_splits(recording, self.fractions, self.block_s, gap_s=self.window_s)
        channels = settings.vocabulary([recording])
        apart = replace(settings, stride_s=self.window_s)

        def cut(part: str, windows: Windows, scalers: Scalers | None = None):
            spans = {recording.name: splits[part]}
            return windows.build([recording], channels, spans, scalers=scalers)

        scalers = Scalers.fit(cut("train", settings))
        batches, latent = {}, {}
        for part in splits:
            how = settings if part == "train" else apart
            batches[part] = cut(part, how, scalers).tensors()
            latent[part] = self._means(recording.signals["latent"], batches[part]["start_s"].numpy())
        return SevenWindows(recording.name, True, batches, latent, channels, splits)

    def _means(self, truth: Signal, start_s: NDArray) -> NDArray:
        """The truth of each step, averaged as behaviour is."""
        each = round(self.window_s / self.n_steps * truth.rate_hz)
        first = np.searchsorted(truth.time_s, start_s - 1e-6)
        rows = first[:, None] + np.arange(each * self.n_steps)
        return truth.values[rows].reshape(len(rows), self.n_steps, each, -1).mean(2)
