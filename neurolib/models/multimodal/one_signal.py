"""One signal, few data: windows ``(batch, time, channel)`` of a single modality in, one answer per window out.

The whole model at its smallest, and what few windows ask for besides: scales from the training windows, and
a start from band power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.heads import DecoderHeadConfig
from neurolib.models.multimodal.inputs import unpack
from neurolib.models.multimodal.mixers import SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.tokenizers.field import FieldTokenizer

ROWS = 256  # windows at a time in prediction


@dataclass(frozen=True)
class OneSignalConfig:
    """A small model of one modality that answers once per window.

    Parameters
    ----------
    kind : str
        Modality.
    tokenizer : dataclass
        Its settings, with the rate.
    window_s : float
    head : DecoderHeadConfig
    ask_s : float, optional
        When in the window the answer is asked for; by default in its middle. The end, for what comes next.
    d, steps, slots : int
        Width, latent times and latents at each.
    dropout : float
    waveform : float
        Factor of the filters on the waveform at the start, where the tokenizer has band power or an envelope
        beside them: below 1 training starts from power.
    identity : float
        Factor of the vectors of channels at the start; sums over sparse cells need more than their 0.02.

    Examples
    --------
    >>> from neurolib.models.multimodal.inputs import ModalityInput, pack
    >>> from neurolib.models.multimodal.tokenizers import EMGTokenizerConfig
    >>> cfg = OneSignalConfig("emg", EMGTokenizerConfig(rate_hz=200.0), 1.0, DecoderHeadConfig(8, "categorical"))
    >>> batch = pack({"emg": ModalityInput.sampled(torch.randn(5, 200, 4), 200.0)})
    >>> cfg.build(["a", "b", "c", "d"], batch).predict(batch).shape
    torch.Size([5, 8])
    """

    kind: str
    tokenizer: Any
    window_s: float
    head: DecoderHeadConfig
    ask_s: float | None = None
    d: int = 32
    steps: int = 1
    slots: int = 2
    dropout: float = 0.1
    waveform: float = 1.0
    identity: float = 1.0

    def __post_init__(self):
        if self.ask_s is not None and not 0 <= self.ask_s <= self.window_s:
            raise ValueError(f"ask_s={self.ask_s} is outside the window of {self.window_s} s")
        if self.waveform < 0 or not self.identity > 0:
            raise ValueError(
                f"waveform={self.waveform} must be at least 0 and identity={self.identity} positive"
            )

    @property
    def network(self) -> MultimodalConfig:
        """The model inside."""
        return MultimodalConfig(
            d=self.d,
            modalities=(self.kind,),
            tokenizers={self.kind: self.tokenizer},
            window_s=self.window_s,
            longest_s=2 * self.window_s,
            perceiver=PerceiverConfig(
                self.steps,
                self.slots,
                layers=0,
                heads=2,
                radius=None,
                dropout=self.dropout,
                shortest_s=self.window_s / 20,
            ),
            backbone=BackboneConfig(
                blocks=1,
                mixer=SSDMixerConfig(head=16, n_state=16),
                direction="bi",
                heads=2,
                dropout=self.dropout,
            ),
            pooled=1,
            decoder=self.head,
        )

    def build(
        self, channels: Sequence[str], train: Mapping[str, Tensor], recordings: Sequence[str] = ()
    ) -> "OneSignal":
        """Make the model, with random weights and the scales of the training windows.

        Parameters
        ----------
        channels : sequence of str
            Names of the rows of channels.
        train : dict of Tensor
            Flat batch of the training windows.
        recordings : sequence of str
            Who gets a vector: recordings, or persons. ``batch["session"]`` numbers them from 0.
        """
        return OneSignal(self, channels, train, recordings)


class OneSignal(nn.Module):
    """The model of :class:`OneSignalConfig`; batches have ``"target"`` and, with recordings, ``"session"``."""

    sometimes_unused = True  # read-outs of the signal itself

    def __init__(self, cfg: OneSignalConfig, channels, train, recordings):
        super().__init__()
        self.cfg, self.n_recordings = cfg, len(recordings)
        self.model = cfg.network.build()
        self.model.add_channels(cfg.kind, channels)
        self.model.recordings.grow(recordings)
        tokenizer = self.model.tokenizers[cfg.kind]
        with torch.no_grad():
            self.model.channels[cfg.kind].weight.mul_(cfg.identity)
            if isinstance(tokenizer, FieldTokenizer):
                tokenizer.filters.weight.mul_(cfg.waveform)
        tokenizer.standardise(unpack(train)[cfg.kind])

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """What the head gives for each window, ``(B, n_raw)``."""
        inputs = self.model.inputs(unpack(batch))
        ask_s = self.cfg.window_s / 2 if self.cfg.ask_s is None else self.cfg.ask_s
        rows = next(iter(inputs.values())).n_rows
        recording = 1 + batch["session"] if self.n_recordings else None  # row 0 is the unknown one
        grid = self.model.latents(inputs, recording)
        time = torch.full((rows, 1), ask_s, device=grid.device)
        return self.model.decode(grid, time, self.cfg.window_s, recording)[:, 0]

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """That of the head, for ``batch["target"]``."""
        return self.model.decoder.loss(self(batch), batch["target"])

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Windows in a batch."""
        return torch.tensor(float(len(batch["target"])))

    @torch.no_grad()
    def predict(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Class probabilities or values of each window, ``(n, n_out)``, without dropout."""
        self.eval()
        device, n = next(self.parameters()).device, len(next(iter(batch.values())))
        parts = []
        for start in range(0, n, ROWS):
            part = {key: value[start : start + ROWS].to(device) for key, value in batch.items()}
            parts.append(self.model.decoder.values(self(part)).float().cpu())
        return torch.cat(parts)
