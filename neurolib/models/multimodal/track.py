"""The multimodal model as a decoder of place: events ``(window, bin, cell)`` of any recording in, chances of each place out.

One model reads recordings of different cells: each recording brings vectors of its own to the growing table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurolib.data.track_windows import TrackWindows
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.forecasting import ForecastConfig
from neurolib.models.multimodal.heads import DecoderHeadConfig
from neurolib.models.multimodal.inputs import ModalityInput, pack, unpack
from neurolib.models.multimodal.mixers import SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.tokenizers import BinnedTokenizerConfig

UNUSED = ("pool", "encoders", "contrast", "forecaster", "ask_signal", "within_patch")
FLOOR = 0.01  # events per bin, added to a cell's mean before its root divides


@dataclass(frozen=True)
class TrackDecoderConfig:
    """A small model of one modality, calcium events in bins, that decodes place.

    Events are rare, and the vectors of cells start small; without ``gain`` what changes in a token is a tenth
    of what does not, and training settles on the constant.

    Examples
    --------
    >>> decoder = TrackDecoderConfig(d=16).build()
    >>> decoder.model.cfg.window_s, decoder.model.cfg.decoder.n_out
    (0.9, 20)
    """

    n_places: int = 20
    window_bins: int = 9
    bin_size_s: float = 0.1
    d: int = 32
    slots: int = 1
    heads: int = 2
    bins_per_token: int = 3
    dropout: float = 0.1
    gain: float = 20.0  # of events in units of the root of a cell's rate

    def __post_init__(self):
        if self.window_bins % self.bins_per_token:
            raise ValueError(
                f"bins_per_token={self.bins_per_token} must divide window_bins={self.window_bins}"
            )

    @property
    def model(self) -> MultimodalConfig:
        """Settings of the model behind it."""
        window_s, token_s = self.window_bins * self.bin_size_s, self.bins_per_token * self.bin_size_s
        tokens = BinnedTokenizerConfig(1 / self.bin_size_s, token_s, transform="none", features=1)
        return MultimodalConfig(
            d=self.d,
            modalities=("spike",),
            window_s=window_s,
            longest_s=2 * window_s,
            tokenizers={"spike": tokens},
            perceiver=PerceiverConfig(
                steps=self.window_bins // self.bins_per_token,
                slots=self.slots,
                layers=0,
                heads=self.heads,
                radius=None,
                shortest_s=self.bin_size_s,
                dropout=self.dropout,
            ),
            backbone=BackboneConfig(
                blocks=1,
                mixer=SSDMixerConfig(head=16, n_state=16),
                slots="none" if self.slots == 1 else "attention",
                heads=self.heads,
                dropout=self.dropout,
            ),
            pooled=1,
            forecast=ForecastConfig(heads=self.heads),
            decoder=DecoderHeadConfig(self.n_places, "categorical", hidden=(self.d,), dropout=self.dropout),
        )

    def build(self) -> "TrackDecoder":
        """Make the decoder, with random weights and no recording."""
        return TrackDecoder(self)


class TrackDecoder(nn.Module):
    """The decoder of :class:`TrackDecoderConfig`, for the training loop."""

    sometimes_unused = True

    def __init__(self, cfg: TrackDecoderConfig):
        super().__init__()
        self.cfg, self.model = cfg, cfg.model.build()
        self.means: dict[str, NDArray] = {}
        for name, parameter in self.model.named_parameters():
            if name.partition(".")[0] in UNUSED:
                parameter.requires_grad_(False)

    def add(self, labelled: TrackWindows) -> "TrackDecoder":
        """Give vectors to a new recording and its cells, and take the cells' mean rates from these windows."""
        cells = [f"{labelled.name}/{cell}" for cell in range(labelled.n_cells)]
        self.model.add_channels("spike", cells)
        self.model.recordings.grow([labelled.name])
        self.means[labelled.name] = labelled.events.mean((0, 1))
        return self

    def adapt(self, mode: str, **settings) -> "TrackDecoder":
        """As :meth:`MultimodalModel.adapt`; parts that decoding leaves out never train."""
        self.model.adapt(mode, **settings)
        return self

    def tensors(self, windows: TrackWindows | list[TrackWindows]) -> dict[str, Tensor]:
        """Batch of windows of recordings that were added, padded to the most cells."""
        windows = [windows] if isinstance(windows, TrackWindows) else windows
        width = max(part.n_cells for part in windows)
        parts = [self._tensors(part, width) for part in windows]
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits ``(B, 1, n_places)``."""
        inputs = self.model.inputs(unpack(batch))
        window_s, recording = self.model.window_of(inputs), batch["session"]
        grid = self.model.latents(inputs, recording)
        return self.model.decode(grid, batch["behaviour/time"], window_s, recording)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the place at the centre."""
        return self.model.decoder.loss(self(batch), batch["behaviour/values"])

    @torch.no_grad()
    def predict(self, windows: TrackWindows, rows: int = 512) -> NDArray:
        """Chances ``(n, n_places)``."""
        self.eval()
        device, said = self.model.ask_behaviour.device, []
        for first in range(0, len(windows), rows):
            batch = self.tensors(windows.where(slice(first, first + rows)))
            raw = self({key: value.to(device) for key, value in batch.items()})
            said.append(self.model.decoder.values(raw)[:, 0].float().cpu())
        return torch.cat(said).numpy()

    def _tensors(self, windows: TrackWindows, width: int) -> dict[str, Tensor]:
        name, n, cells = windows.name, len(windows), windows.n_cells
        if name not in self.means:
            raise ValueError(f"{name!r} was not added; this decoder knows {', '.join(self.means) or 'none'}")
        mean = self.means[name]
        scaled = self.cfg.gain * (windows.events - mean) / np.sqrt(mean + FLOOR)
        values = torch.zeros(n, windows.events.shape[1], width)
        values[..., :cells] = torch.from_numpy(scaled.astype(np.float32))
        row = torch.zeros(width, dtype=torch.int64)
        row[:cells] = self.model.channels["spike"].rows([f"{name}/{cell}" for cell in range(cells)])
        signal = ModalityInput.sampled(
            values,
            1 / self.cfg.bin_size_s,
            channel=row.expand(n, -1),
            channel_mask=(torch.arange(width) < cells).expand(n, -1),
        )
        signal = replace(signal, time=signal.time.contiguous())
        session = int(self.model.recordings.rows([name])[0])
        return pack({"spike": signal}) | {
            "behaviour/time": torch.full((n, 1), self.cfg.window_bins * self.cfg.bin_size_s / 2),
            "behaviour/values": torch.from_numpy(windows.place)[:, None],
            "session": torch.full((n,), session),
        }
