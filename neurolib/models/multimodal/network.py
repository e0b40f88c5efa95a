"""The whole model: signals of any subset of modalities ``(batch, time, channel)`` in, latents and heads out.

Tokenizers → latents on a time grid → state spaces along time → seed queries and heads. Latents have a time, so
that the scan runs over time; streams of one modality and of seven pass through the same layers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.adversary import DomainAdversaryConfig, modality_groups
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.forecasting import ForecastConfig
from neurolib.models.multimodal.heads import ContrastiveHead, DecoderHeadConfig, EncoderHeadConfig
from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import MODALITIES, ModalityInput, Tokens, as_inputs
from neurolib.models.multimodal.perceiver import Perceiver, PerceiverConfig
from neurolib.models.multimodal.population import SetPoolConfig
from neurolib.models.multimodal.tokenizers import default_tokenizers
from neurolib.models.multimodal.transfer import Freezer, add_low_rank
from neurolib.models.sites import Site, Tap, inside

TASKS = ("decode", "encode", "contrastive", "forecast")
COUNTS = ("spike",)  # modalities whose samples are counts


@dataclass(frozen=True)
class MultimodalConfig:
    """A model and the modalities it reads.

    Examples
    --------
    >>> cfg = MultimodalConfig.preset("tiny", modalities=("spike", "eeg"))
    >>> cfg.d, cfg.perceiver.steps, cfg.modalities
    (64, 4, ('spike', 'eeg'))
    """

    d: int = 512  # width of tokens and latents
    modalities: tuple[str, ...] = MODALITIES
    tokenizers: Mapping[str, Any] = field(default_factory=dict)  # settings that differ from the defaults
    window_s: float | None = 1.0  # length of a window; None for that of the longest signal of a batch
    longest_s: float = 2.0  # longest period of the rotation by time; twice the window
    perceiver: PerceiverConfig = field(default_factory=PerceiverConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    pooled: int = 64  # seed queries that read the latents
    latent_dim: int | None = None  # width of what they give; d by default
    decoder: DecoderHeadConfig = field(default_factory=lambda: DecoderHeadConfig(n_out=2))  # of behaviour
    forecast: ForecastConfig = field(default_factory=ForecastConfig)
    contrastive_dim: int = 128
    domains: int = 0  # species that latents should not tell apart; 0 for no adversary
    patch_s: float = 0.05  # samples of a signal that one query reads out

    def __post_init__(self):
        unknown = set(self.tokenizers) - set(self.modalities)
        if unknown:
            raise ValueError(f"tokenizers for {sorted(unknown)}, which are not among {self.modalities}")
        if not self.modalities:
            raise ValueError("a model needs at least one modality")
        if self.window_s is not None and not self.window_s > 0:
            raise ValueError(f"window_s={self.window_s} must be positive seconds, or None")
        for name in ("d", "pooled"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")

    @classmethod
    def preset(cls, name: str, **changes) -> "MultimodalConfig":
        """One of ``"tiny"``, ``"small"``, ``"base"`` and ``"large"``, with changes."""
        sizes = {  # d, blocks, steps, slots, heads
            "tiny": (64, 2, 4, 4, 4),
            "small": (256, 4, 8, 4, 8),
            "base": (512, 8, 8, 8, 8),
            "large": (768, 16, 16, 8, 12),
        }
        if name not in sizes:
            raise ValueError(f"no preset {name!r}; there are {', '.join(sizes)}")
        d, blocks, steps, slots, heads = sizes[name]
        settings = {
            "d": d,
            "perceiver": PerceiverConfig(
                steps,
                slots,
                layers=1 if name == "tiny" else 4,
                heads=heads,
                shortest_s=0.02 if name == "tiny" else 1e-4,
            ),
            "backbone": BackboneConfig(blocks=blocks, heads=heads),
            "forecast": ForecastConfig(heads=heads),
            "pooled": steps * slots,
        }
        return cls(**settings | changes)

    def build(self) -> "MultimodalModel":
        """Make the model, with random weights."""
        return MultimodalModel(self)


class MultimodalModel(nn.Module):
    """The model of :class:`MultimodalConfig`; any subset of its modalities may come in.

    Examples
    --------
    >>> model = MultimodalConfig.preset("tiny", modalities=("spike", "emg")).build().eval()
    >>> out = model({"spike": torch.rand(2, 50, 7).round(), "emg": torch.randn(2, 200, 4)})
    >>> out["latents"].shape, out["decoder"].shape, out["encoder"]["spike"].shape
    (torch.Size([2, 16, 64]), torch.Size([2, 4, 2]), torch.Size([2, 50, 7]))
    """

    def __init__(self, cfg: MultimodalConfig):
        super().__init__()
        self.cfg, d = cfg, cfg.d
        self.settings = default_tokenizers() | dict(cfg.tokenizers)
        self.channels = nn.ModuleDict({name: GrowingEmbedding(d) for name in cfg.modalities})
        self.recordings = GrowingEmbedding(d, ["unknown"])
        self.tokenizers = nn.ModuleDict(
            {name: self.settings[name].build(d, self.channels[name]) for name in cfg.modalities}
        )
        self.modality = nn.Embedding(len(cfg.modalities), d)
        nn.init.normal_(self.modality.weight, std=0.02)
        self.perceiver = Perceiver(cfg.perceiver, d, cfg.longest_s)
        self.backbone = cfg.backbone.build(d, cfg.perceiver.slots)
        self.norm = nn.LayerNorm(d)
        self.pool = SetPoolConfig(n_out=cfg.pooled, heads=cfg.perceiver.heads).build(d)
        width = cfg.latent_dim or d
        self.widen = nn.Identity() if width == d else nn.Linear(d, width)
        self.ask_behaviour = nn.Parameter(torch.randn(d) * 0.02)
        self.ask_signal = nn.Parameter(torch.randn(len(cfg.modalities), d) * 0.02)
        self.decoder = cfg.decoder.build(d)
        self.encoders = nn.ModuleDict(
            {
                name: EncoderHeadConfig("poisson" if name in COUNTS else "gaussian").build(
                    d, self.channels[name]
                )
                for name in cfg.modalities
            }
        )
        # one query reads several samples; what tells them apart is a gain and an offset each
        self.within_patch = nn.ParameterDict(
            {name: nn.Parameter(0.02 * torch.randn(2, self._patch(name), d)) for name in cfg.modalities}
        )
        self.contrast = ContrastiveHead(width, cfg.contrastive_dim)
        self.forecaster = cfg.forecast.build(d)
        self.domain = DomainAdversaryConfig(cfg.domains).build(width) if cfg.domains else None
        self.entering = nn.ModuleDict({name: Tap() for name in cfg.modalities})
        self.freezer = Freezer(self)

    # -- what can be looked at ----------------------------------------------------------------------------

    def sites(self) -> tuple[Site, ...]:
        """Tokens by modality, the layers of the perceiver and the backbone, the grid of latents, the heads.

        ``leave.*`` is the first reading of queries in a run: that of behaviour, if it is asked for.
        """
        at, grid = ("batch", "query", "channel"), ("batch", "time", "slot", "channel")
        tokens = [
            Site(f"tokens.{name}", f"entering.{name}", ("batch", "token", "channel"))
            for name in self.cfg.modalities
        ]
        return (
            *tokens,
            *inside("perceiver", self.perceiver.sites()),
            *inside("backbone", self.backbone.sites()),
            Site("grid_in", "norm", grid, side="input"),
            Site("grid", "norm", grid),
            Site("decoder_in", "decoder", at, side="input"),
            Site("decoder", "decoder", at),
        )

    # -- what comes in ------------------------------------------------------------------------------------

    def get_modality_names(self) -> list[str]:
        """Modalities that this model reads."""
        return list(self.cfg.modalities)

    def rate_hz(self, name: str) -> float:
        """Samples per second that the tokenizer of a modality expects."""
        return float(self.settings[name].rate_hz)

    def add_channels(self, name: str, names: Iterable[str]) -> None:
        """Give vectors to new channels of a modality; an optimiser made before does not know them."""
        if name not in self.channels:
            raise ValueError(f"no modality {name!r}; this model reads {', '.join(self.cfg.modalities)}")
        self.channels[name].grow(list(names))
        self.encoders[name].grow()

    def inputs(self, signals: Mapping[str, Tensor | ModalityInput]) -> dict[str, ModalityInput]:
        """Signals checked, in the order of the model; a bare tensor has the rate of its tokenizer.

        Channels of a bare tensor are numbered, and take the first rows of the table of its modality.
        """
        rates = {name: self.rate_hz(name) for name in self.cfg.modalities}
        found = as_inputs(signals, rates, self.cfg.window_s)
        for name, signal in found.items():
            bare = isinstance(signals[name], Tensor)
            if bare:
                self.channels[name].reserve(signal.channel.shape[1])
                self.encoders[name].grow()
        return {name: found[name] for name in self.cfg.modalities if name in found}

    def window_of(self, inputs: Mapping[str, ModalityInput]) -> float:
        """Seconds that the grid of latents spans."""
        return self.cfg.window_s or max(signal.duration_s for signal in inputs.values())

    def tokens(self, inputs: Mapping[str, ModalityInput], recording: Tensor | None = None) -> Tokens:
        """Tokens of all modalities, with the vectors of modality and recording added."""
        parts = []
        where = self.recordings(recording)[:, None] if recording is not None else 0.0
        for name, signal in inputs.items():
            number = self.cfg.modalities.index(name)
            part = self.tokenizers[name](signal)
            kind = torch.full_like(part.unit, number)
            tokens = self.entering[name](part.tokens + self.modality.weight[number] + where)
            parts.append(replace(part, tokens=tokens, modality=kind))
        return Tokens.joined(parts)

    # -- what comes out -----------------------------------------------------------------------------------

    def latents(
        self,
        inputs: Mapping[str, ModalityInput],
        recording: Tensor | None = None,
        window_s: float | None = None,
    ) -> Tensor:
        """The grid of latents after the backbone, ``(B, steps, slots, d)``."""
        tokens = self.tokens(inputs, recording)
        window_s = window_s or self.window_of(inputs)
        grid = self.perceiver.encode(tokens.tokens, tokens.time, tokens.mask, window_s)
        return self.norm(self.backbone(grid))

    def pooled(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """What seed queries read: ``(B, pooled, latent_dim)``, and one vector ``(B, latent_dim)``."""
        flat = grid.flatten(1, 2)
        seeds, one = self.pool(flat, torch.ones_like(flat[..., 0], dtype=torch.bool))
        return self.widen(seeds), self.widen(one)

    def decode(self, grid: Tensor, time: Tensor, window_s: float, recording: Tensor | None = None) -> Tensor:
        """Raw prediction of behaviour at any times ``(B, n)``: ``(B, n, n_out)``."""
        ask = self.ask_behaviour.expand(*time.shape, -1)
        if recording is not None:
            ask = ask + self.recordings(recording)[:, None]
        return self.decoder(self.perceiver.read(ask, time, grid, window_s))

    def encode(self, grid: Tensor, name: str, signal: ModalityInput, window_s: float) -> Tensor:
        """A signal read out of the latents at its own samples and channels, ``(B, T, C)``.

        Rates per sample for spikes, else values. One query reads ``patch_s`` of samples.
        """
        patch, number = self._patch(name), self.cfg.modalities.index(name)
        n = signal.time.shape[1]
        time = signal.time[:, ::patch] + (patch - 1) / 2 / self.rate_hz(name)
        ask = self.ask_signal[number].expand(*time.shape, -1)
        states = self.perceiver.read(ask, time, grid, window_s)
        gain, offset = self.within_patch[name]
        states = (states[:, :, None] * (1 + gain) + offset).flatten(1, 2)[:, :n]
        return self.encoders[name](states, signal.channel, signal.channel_mask)

    def ahead(self, grid: Tensor, window_s: float, origin_s: Tensor) -> Tensor:
        """States after ``origin_s (B,)``, one per horizon, ``(B, horizons, d)``, which the read-outs understand."""
        time = self.perceiver.latent_time(window_s, grid).expand(len(grid), -1)
        return self.forecaster(grid.flatten(1, 2), time, origin_s)

    def forward(
        self,
        modality_dict: Mapping[str, Tensor | ModalityInput],
        task: str | Iterable[str] = "multi-task",
        species_labels: Tensor | None = None,
        output_time: Tensor | None = None,
        recording: Tensor | None = None,
    ) -> dict[str, Any]:
        """Latents, and what the heads of the asked tasks say.

        Parameters
        ----------
        modality_dict : dict of Tensor (B, T, C) or ModalityInput
        task : {"multi-task", "decode", "encode", "contrastive", "forecast"} or several of them
        species_labels : Tensor of int64, shape (B,), optional
            Asks for ``domain_logits``.
        output_time : Tensor, shape (B, n) or (n,), optional
            When behaviour is wanted, seconds since the start of the window; by default at the latents.
        recording : Tensor of int64, shape (B,), optional
            Row of each window's recording in the table ``recordings``.

        Returns
        -------
        dict
            ``latents (B, pooled, latent_dim)``, ``pooled (B, latent_dim)``, ``aux`` with the grid of latents
            and its times, and by task ``decoder (B, n, n_out)``, ``encoder`` by modality ``(B, T, C)``,
            ``contrastive (B, contrastive_dim)``, ``forecast (B, horizons, d)`` after the window,
            ``domain_logits (B, domains)``.
        """
        tasks = TASKS if task == "multi-task" else (task,) if isinstance(task, str) else tuple(task)
        unknown = set(tasks) - set(TASKS)
        if unknown:
            raise ValueError(f"task {sorted(unknown)[0]!r} is none of multi-task, {', '.join(TASKS)}")
        inputs = self.inputs(modality_dict)
        window_s = self.window_of(inputs)
        grid = self.latents(inputs, recording)
        seeds, one = self.pooled(grid)
        time = self.cfg.perceiver.times(window_s, grid.device)
        out: dict[str, Any] = {
            "latents": seeds,
            "pooled": one,
            "aux": {"grid": grid, "time": time, "window_s": window_s},
        }
        if "decode" in tasks:
            wanted = time if output_time is None else output_time
            out["decoder"] = self.decode(
                grid, wanted.expand(len(grid), wanted.shape[-1]), window_s, recording
            )
        if "encode" in tasks:
            out["encoder"] = {
                name: self.encode(grid, name, signal, window_s)
                for name, signal in inputs.items()
                if signal.values is not None
            }
        if "contrastive" in tasks:
            out["contrastive"] = self.contrast(one)
        if "forecast" in tasks:
            out["forecast"] = self.ahead(grid, window_s, torch.full_like(grid[:, 0, 0, 0], window_s))
        if species_labels is not None:
            if self.domain is None:
                raise ValueError(
                    "species_labels were given, but the model has domains=0; set it to their number"
                )
            groups = modality_groups({name: signal.present for name, signal in inputs.items()})
            out["domain_logits"] = self.domain(one, species_labels, groups, progress=1.0).logits
        return out

    def _patch(self, name: str) -> int:
        return max(1, round(self.cfg.patch_s * self.rate_hz(name)))

    # -- what trains --------------------------------------------------------------------------------------

    def freeze(self, parts: Iterable[str] = ("backbone", "perceiver", "tokenizers")) -> None:
        """Stop training parts of the model."""
        self.freezer.freeze(parts)

    def unfreeze(self, parts: Iterable[str] = ()) -> None:
        """Train parts again, as far as they were trained before they were frozen; all by default."""
        self.freezer.thaw(parts)

    def freeze_backbone(self) -> None:
        """Stop training everything between tokenizers and heads."""
        self.freeze(("perceiver", "backbone", "norm", "pool"))

    def unfreeze_backbone(self) -> None:
        """Undo :meth:`freeze_backbone`."""
        self.unfreeze(("perceiver", "backbone", "norm", "pool"))

    def adapt(self, mode: str, **settings) -> None:
        """Choose what trains on a new recording, in place.

        Parameters
        ----------
        mode : {"unit_id", "linear", "lora", "full"}
            Only the vectors of channels and recordings; only the head of behaviour; low-rank parts of all
            attention and state-space projections, the vectors and that head; everything.
        **settings
            ``rank`` and ``alpha`` of ``"lora"``.
        """
        everything = [name for name, _ in self.named_children()]
        identity = ("channels", "recordings")
        readout = ("decoder", "ask_behaviour")
        if mode == "full":
            self.unfreeze()
            return
        keep = {"unit_id": identity, "linear": readout, "lora": identity + readout}
        if mode not in keep:
            raise ValueError(f"mode={mode!r} must be unit_id, linear, lora or full")
        if mode == "lora":
            add_low_rank(self.perceiver, **settings)
            add_low_rank(self.backbone, **settings)
        parts = [name for name in (*everything, "ask_behaviour", "ask_signal") if name not in keep[mode]]
        if mode == "lora":
            parts = [name for name in parts if name not in ("perceiver", "backbone")]
        self.freeze(parts)

    def no_decay(self, name: str) -> bool:
        """Whether weight decay would harm a parameter: identities, biases, norms, decay rates."""
        leaf = name.rpartition(".")[2]
        kept = {f"backbone.{part}" for part in self.backbone.no_decay}
        vectors = (
            "channels.",
            "recordings.",
            "slot",
            "ask_",
            "modality.",
            "within_patch.",
            "null_key",
            "seeds",
        )
        return (
            name in kept
            or leaf == "bias"
            or "norm" in name
            or any(part in name for part in vectors)
            or leaf == "delay_s"
        )

    def train(self, mode: bool = True) -> "MultimodalModel":
        """As ``nn.Module.train``; frozen parts keep their dropout off."""
        super().train(mode)
        if mode and self.freezer.before:
            self.freezer.settle()
        return self


def MultiModalNeuroFMX(
    d_model: int = 512,
    n_mamba_blocks: int = 8,
    n_latents: int = 64,
    latent_dim: int = 512,
    modality_config: Mapping[str, Any] | None = None,
    use_domain_adversarial: bool = False,
    n_domains: int = 3,
    dropout: float = 0.1,
) -> MultimodalModel:
    """The model under the name and arguments of its source, which had no length of a window.

    Parameters
    ----------
    d_model, n_mamba_blocks, n_latents, latent_dim : int
    modality_config : dict of tokenizer settings, optional
    use_domain_adversarial : bool
    n_domains : int
    dropout : float

    Examples
    --------
    >>> model = MultiModalNeuroFMX(d_model=32, n_mamba_blocks=1, n_latents=8, latent_dim=16,
    ...                            use_domain_adversarial=True, n_domains=3).eval()
    >>> inputs = {"spike": torch.rand(2, 100, 12).round(), "eeg": torch.randn(2, 320, 8)}
    >>> out = model(inputs, species_labels=torch.tensor([0, 2]))
    >>> out["latents"].shape, out["domain_logits"].shape
    (torch.Size([2, 8, 16]), torch.Size([2, 3]))
    """
    slots = next(k for k in (8, 4, 2, 1) if n_latents % k == 0)
    heads = next(h for h in (8, 4, 2, 1) if d_model % (4 * h) == 0)
    cfg = MultimodalConfig(
        d=d_model,
        tokenizers=modality_config or {},
        window_s=None,
        longest_s=200.0,  # minutes of BOLD may stand beside seconds of spikes
        perceiver=PerceiverConfig(
            max(n_latents // slots, 1), slots, heads=heads, radius=None, dropout=dropout
        ),
        backbone=BackboneConfig(blocks=n_mamba_blocks),
        pooled=n_latents,
        latent_dim=latent_dim,
        domains=n_domains if use_domain_adversarial else 0,
    )
    return cfg.build()
