"""What the model learns from: flat batches ``"modality/field"`` in, one loss out.

Every task that a batch can serve contributes: behaviour decoded, hidden signals read out, pairs of views told
apart, later activity forecast, and the species hidden from the latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.multimodal.adversary import modality_groups
from neurolib.models.multimodal.balancing import BalancingConfig
from neurolib.models.multimodal.contrastive import TriModalContrastive
from neurolib.models.multimodal.forecasting import forecast_loss, future, until
from neurolib.models.multimodal.inputs import ModalityInput, unpack
from neurolib.models.multimodal.masking import MaskingConfig, hide
from neurolib.models.multimodal.network import COUNTS, MultimodalModel

TASKS = ("decode", "encode", "contrastive", "forecast", "domain")
ORIGINS = (0.4, 0.8)  # between which parts of a window forecasts start


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which tasks, and how their losses become one.

    Examples
    --------
    >>> ObjectiveConfig(tasks=("decode",)).masking is None
    True
    """

    tasks: tuple[str, ...] = ("decode", "encode")
    masking: MaskingConfig | None = None  # hides inputs; needed to encode
    balancing: BalancingConfig = field(default_factory=lambda: BalancingConfig("equal"))
    within_s: float = 0.0  # windows of a session this close are partners of the contrastive task
    n_stimuli: int = 0  # classes of the stimulus tower; 0 for none
    adversary_steps: int = 1_000  # over which the adversary grows to its full strength

    def __post_init__(self):
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f"tasks={self.tasks}: choose from {', '.join(TASKS)}")
        if "encode" in self.tasks and self.masking is None:
            object.__setattr__(self, "masking", MaskingConfig())

    def build(self, model: MultimodalModel) -> "Objective":
        """Put the objective around a model."""
        return Objective(self, model)


class Objective(nn.Module):
    """The loss of :class:`ObjectiveConfig`, for the training loop.

    In evaluation what is hidden is the same at every call, so that valid losses can be compared.

    Examples
    --------
    >>> from neurolib.models.multimodal.inputs import pack
    >>> from neurolib.models.multimodal.network import MultimodalConfig
    >>> model = MultimodalConfig.preset("tiny", modalities=("spike",)).build()
    >>> model.add_channels("spike", [f"mouse/{unit}" for unit in range(6)])
    >>> spikes = ModalityInput.sampled(torch.rand(4, 50, 6).round(), 50.0)
    >>> batch = pack({"spike": spikes}) | {"behaviour/values": torch.randn(4, 10, 2),
    ...     "behaviour/time": torch.linspace(0, 1, 10).expand(4, 10)}
    >>> objective = ObjectiveConfig(("decode", "encode")).build(model)
    >>> sorted(objective.losses(batch))
    ['decode', 'encode_spike']
    """

    sometimes_unused = True  # parameters of modalities and tasks that a batch may lack

    def __init__(self, cfg: ObjectiveConfig, model: MultimodalModel):
        super().__init__()
        self.cfg, self.model = cfg, model
        kinds = {f"encode_{name}": "regression" for name in model.cfg.modalities}
        kinds |= {f"encode_{name}": "classification" for name in COUNTS if name in model.cfg.modalities}
        kinds |= {f"forecast_{name}": kinds[f"encode_{name}"] for name in model.cfg.modalities}
        regression = model.cfg.decoder.kind != "categorical"
        kinds |= {"decode": "regression" if regression else "classification"}
        kinds |= {"contrastive": "classification", "domain": "classification"}
        self.balance = cfg.balancing.build(kinds, {"decode": model.decoder.loss_floor})
        if "contrastive" in cfg.tasks:
            self.contrast = TriModalContrastive(cfg.within_s)
            width = model.cfg.contrastive_dim
            self.behaviour = BehaviourTower(model.cfg.decoder.n_out, width)
            self.stimulus = nn.Embedding(cfg.n_stimuli, width) if cfg.n_stimuli else None
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One loss of a batch."""
        losses = self.losses(batch)
        if not losses:
            raise ValueError(
                f"the batch serves none of the tasks {self.cfg.tasks}; it has {', '.join(sorted(batch))}"
            )
        if self.training:
            self.steps += 1
        return self.balance(losses).total

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Windows in a batch."""
        first = next(iter(batch.values()))
        return torch.tensor(float(len(first)), device=first.device)

    def lr_factor(self, name: str) -> float:
        """Learning rate of a parameter relative to the others: weights of tasks learn slowly."""
        return 0.1 if "log_variance" in name else 1.0

    def no_decay(self, name: str) -> bool:
        """Weights of tasks, and what the model says of its own, do not decay."""
        if name.startswith("model."):
            return self.model.no_decay(name.removeprefix("model."))
        return "log_" in name

    def losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Loss of every task that the batch serves, by name."""
        cfg, model = self.cfg, self.model
        inputs = model.inputs(unpack(batch))
        window_s = model.window_of(inputs)
        seen, targets = inputs, {}
        if cfg.masking is not None:
            grids = {}  # events are predicted where they are counted
            hidden = hide(inputs, cfg.masking, self._chance(), grids)
            seen, targets = hidden.inputs, hidden.targets
        recording = batch.get("session")
        grid = model.latents(seen, recording)
        losses = {}
        if "decode" in cfg.tasks and "behaviour/values" in batch:
            said = model.decode(grid, batch["behaviour/time"], window_s, recording)
            losses["decode"] = model.decoder.loss(
                said, batch["behaviour/values"], batch.get("behaviour/mask")
            )
        if "encode" in cfg.tasks:
            for name, signal in inputs.items():
                if signal.values is not None and targets[name].any():
                    said = model.encode(grid, name, signal, window_s)
                    losses[f"encode_{name}"] = model.encoders[name].loss(said, signal.clean(), targets[name])
        if "forecast" in cfg.tasks:
            losses |= self._forecasts(inputs, grid, window_s, recording)
        if "contrastive" in cfg.tasks:
            losses |= self._contrasts(batch, grid)
        if "domain" in cfg.tasks and "species" in batch:
            if model.domain is None:
                raise ValueError("the task 'domain' needs a model with domains > 0")
            groups = modality_groups({name: signal.present for name, signal in inputs.items()})
            progress = min(1.0, float(self.steps) / cfg.adversary_steps)
            judged = model.domain(model.pooled(grid)[1], batch["species"].long(), groups, progress)
            if judged.loss is not None:
                losses["domain"] = judged.loss
        return losses

    def _chance(self) -> torch.Generator:
        """Chance for this batch: new in training, always the same in evaluation."""
        seed = int(torch.randint(2**31, ())) if self.training else 0
        return torch.Generator().manual_seed(seed)

    def _forecasts(self, inputs, grid, window_s, recording) -> dict[str, Tensor]:
        model, horizons = self.model, self.model.cfg.forecast.horizons
        low, high = ORIGINS
        part = low + (high - low) * torch.rand(len(grid), generator=self._chance())
        origin_s = (part * window_s).to(grid)
        if not model.cfg.perceiver.causal:  # latents that look both ways have seen what is to come
            grid = model.latents(until(inputs, origin_s), recording)
        states = model.ahead(grid, window_s, origin_s)
        step_s, losses = model.cfg.forecast.step_s, {}
        for name, signal in inputs.items():
            if signal.values is None:
                continue
            stride = max(1, round(step_s * model.rate_hz(name)))
            values, seen = binned(signal, stride, total=name in COUNTS)
            at = (origin_s / (stride / model.rate_hz(name))).long()
            target, known = future(values, seen, at, horizons)
            said = model.encoders[name](states, signal.channel, signal.channel_mask)
            each = (said - target).square() / 2
            if name in COUNTS:
                said = said * stride
                each = said - target * said.log() - target + torch.xlogy(target, target)
            if known.any():
                losses[f"forecast_{name}"] = forecast_loss(each, known, horizons, model.cfg.forecast.gamma)
        return losses

    def _contrasts(self, batch, grid) -> dict[str, Tensor]:
        towers = {"neural": self.model.contrast(self.model.pooled(grid)[1])}
        if "behaviour/values" in batch:
            towers["behaviour"] = self.behaviour(batch["behaviour/values"], batch.get("behaviour/mask"))
        stimulus = batch.get("stimulus")
        if stimulus is not None and self.stimulus is not None:
            towers["stimulus"] = F.normalize(self.stimulus(stimulus.clamp(min=0).long()), dim=-1)
        session = batch.get("session", torch.zeros(len(grid), dtype=torch.int64, device=grid.device))
        start = batch.get("start_s", torch.arange(len(grid), device=grid.device, dtype=torch.float64))
        found = self.contrast(towers, session, start, stimulus)
        return {"contrastive": sum(found.values())} if found else {}


class BehaviourTower(nn.Module):
    """Two convolutions along time and a mean: behaviour ``(B, T, k)`` in, unit vectors ``(B, n_out)`` out."""

    def __init__(self, n_in: int, n_out: int, width: int = 64):
        super().__init__()
        self.first, self.second = nn.Conv1d(n_in, width, 5, padding=2), nn.Conv1d(width, width, 5, padding=2)
        self.out = nn.Linear(width, n_out)

    def forward(self, behaviour: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed."""
        mask = torch.ones_like(behaviour[..., 0], dtype=torch.bool) if mask is None else mask
        keep = mask[:, None]
        x = torch.where(keep, behaviour.mT, 0.0)
        x = torch.where(keep, F.gelu(self.first(x)), 0.0)
        x = torch.where(keep, F.gelu(self.second(x)), 0.0)
        return F.normalize(self.out(x.sum(-1) / keep.sum(-1).clamp(min=1)), dim=-1)


def binned(signal: ModalityInput, stride: int, total: bool) -> tuple[Tensor, Tensor]:
    """Samples in groups of ``stride``: their mean (or sum) ``(B, n, C)``, and where all of a group was recorded.

    Examples
    --------
    >>> signal = ModalityInput.sampled(torch.arange(5.0).view(1, 5, 1), 5.0)
    >>> values, known = binned(signal, 2, total=False)
    >>> values.flatten().tolist(), known.flatten().tolist()
    ([0.5, 2.5], [True, True])
    """
    n = signal.time.shape[1] // stride
    values = signal.clean()[:, : n * stride].unflatten(1, (n, stride))
    seen = signal.mask[:, : n * stride].unflatten(1, (n, stride)).all(2)
    values = values.sum(2) if total else values.mean(2)
    return values, seen[..., None] & signal.channel_mask[:, None]
