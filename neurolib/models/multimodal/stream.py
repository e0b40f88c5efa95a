"""The model in use: samples of the last few milliseconds in, behaviour out, step by step.

What was computed of the past is kept: keys and values of tokens and latents within reach, and the states of the
backbone. A step costs the same however long the recording lasts.
"""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from neurolib.models.multimodal.inputs import ModalityInput, Tokens
from neurolib.models.multimodal.network import MultimodalModel


class ModelStream:
    """A causal model, one latent time per step.

    Parameters
    ----------
    model : MultimodalModel
        Causal in attention, backbone and tokenizers; with ``step_s``, ``radius`` and ``span``.
    channels : dict of Tensor (C,)
        Rows of the channels of each modality, in the order in which samples come.
    context_s : float
        Past samples that tokenizers see again, at least the reach of their filters.
    recording : int, optional
        Row of the recording in the table of the model.

    Raises
    ------
    ValueError
        If the model is not causal, or attends without bounds.

    Examples
    --------
    >>> from neurolib.models.multimodal.decoder import SpikeDecoderConfig
    >>> decoder = SpikeDecoderConfig(n_units=5, n_outputs=2, bin_size_s=0.05, d=16, slots=1).build().eval()
    >>> stream = ModelStream(decoder.model, {"spike": torch.arange(5)}, context_s=0.05)
    >>> stream.step({"spike": torch.zeros(1, 5)}).shape
    torch.Size([2])
    """

    def __init__(
        self,
        model: MultimodalModel,
        channels: Mapping[str, Tensor],
        context_s: float = 0.5,
        recording: int | None = None,
    ):
        cfg = model.cfg.perceiver
        if not cfg.causal or cfg.step_s is None or cfg.radius is None or cfg.span is None:
            raise ValueError("a stream needs a causal model whose perceiver has step_s, radius and span")
        if model.cfg.backbone.direction != "causal":
            raise ValueError("the backbone looks both ways along time; a stream cannot")
        late = [name for name in channels if not getattr(model.settings[name], "causal", False)]
        if late:
            raise ValueError(f"the tokenizer of {late[0]!r} is not causal; build it with causal=True")
        self.model, self.step_s = model.eval(), cfg.step_s
        device = model.perceiver.slot.device
        self.channels = {name: rows.to(device) for name, rows in channels.items()}
        self.n_context = {name: max(1, round(context_s * model.rate_hz(name))) for name in channels}
        self.n_new = {name: round(cfg.step_s * model.rate_hz(name)) for name in channels}
        uneven = [n for n in channels if abs(self.n_new[n] - cfg.step_s * model.rate_hz(n)) > 1e-6]
        if uneven:
            raise ValueError(f"a step of {cfg.step_s} s is not a whole number of samples of {uneven[0]!r}")
        self.recording = None if recording is None else torch.tensor([recording], device=device)
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next step starts at time zero."""
        model = self.model
        self.past: dict[str, Tensor] = {}
        self.n_seen = 0  # latent steps
        self.tokens_seen, self.grid_seen = None, None
        self.layers_seen = [None] * len(model.perceiver.process)
        self.state = model.backbone.init_state(1)

    @torch.inference_mode()
    def step(self, samples: Mapping[str, Tensor]) -> Tensor:
        """Take the samples ``(n, C)`` of each modality since the last step; return behaviour ``(n_out,)``."""
        model, cfg = self.model, self.model.cfg.perceiver
        self.n_seen += 1
        now = self.n_seen * self.step_s
        device = model.perceiver.slot.device
        at = torch.full((cfg.slots,), now, dtype=torch.float64, device=device)
        tokens = model.tokens(
            {name: self._signal(name, new) for name, new in samples.items()}, self.recording
        )
        fresh = (tokens.time[0] > self.step_s * (self._n_back(samples) - 1) + 1e-6) & tokens.mask[0]
        tokens = Tokens(
            *(getattr(tokens, f)[:, fresh] for f in ("tokens", "time", "mask", "unit", "modality"))
        )
        time = tokens.time[0].double() + (now - self._n_back(samples) * self.step_s)
        x = model.perceiver.slot[None]
        x, self.tokens_seen = model.perceiver.enter.step(
            x, at, self.tokens_seen, tokens.tokens, time, now - cfg.radius * self.step_s
        )
        oldest = now - cfg.span * self.step_s
        for i, layer in enumerate(model.perceiver.process):
            x, self.layers_seen[i] = layer.step(x, at, self.layers_seen[i], x, at, oldest)
        x, self.state = model.backbone.step(x, self.state)
        grid = model.norm(x)
        ask = model.ask_behaviour[None, None]
        if self.recording is not None:
            ask = ask + model.recordings(self.recording)[:, None]
        said, self.grid_seen = model.perceiver.leave.step(ask, at[:1], self.grid_seen, grid, at, oldest)
        return model.decoder.values(model.decoder(said))[0, 0]

    def _n_back(self, samples) -> int:
        """Steps that the buffers hold; all modalities hold the same."""
        name = next(iter(samples))
        return len(self.past[name]) // self.n_new[name]

    def _signal(self, name: str, new: Tensor) -> ModalityInput:
        """The last samples of a modality, times counted from the first of them."""
        if name not in self.channels:
            raise ValueError(f"no modality {name!r} in this stream; it has {', '.join(self.channels)}")
        rows = self.channels[name]
        if new.shape != (self.n_new[name], len(rows)):
            raise ValueError(
                f"{name}: samples {tuple(new.shape)}, a step of {self.step_s} s has {(self.n_new[name], len(rows))}"
            )
        new = new.to(rows.device, self.model.perceiver.slot.dtype)
        if not new.isfinite().all():
            raise ValueError(
                f"{name}: samples hold NaN or infinite values; leave the modality out of this step"
            )
        keep = (self.n_context[name] // self.n_new[name]) * self.n_new[name]
        past = self.past.get(name)
        joined = new if past is None else torch.cat([past[len(past) - min(keep, len(past)) :], new])
        self.past[name] = joined
        return ModalityInput.sampled(joined[None], self.model.rate_hz(name), channel=rows[None])


def with_int8_weights(model: MultimodalModel) -> MultimodalModel:
    """A copy for a CPU whose linear layers hold 8-bit weights; it cannot be trained.

    A step of a large model reads every weight for a handful of rows, so it takes as long as memory does;
    a quarter of the bytes is about half of the time. Outputs differ by about a hundredth of their spread.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves this to another package, with the same arithmetic
        return torch.ao.quantization.quantize_dynamic(model.eval(), {torch.nn.Linear}, dtype=torch.qint8)
