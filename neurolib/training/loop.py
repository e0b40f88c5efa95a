"""The one training loop: a model with ``loss(batch)``, tensors in, the best weights and a history out.

Runs on a CPU, a GPU, or several processes started by `torchrun`, with the model whole or in shards on
each; resumes exactly where a killed run stopped, also on another number of processes.
"""

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import trange

from neurolib.training import checkpoints
from neurolib.training.batches import Batch, evaluation_batches, n_rows, training_batches
from neurolib.training.distributed import Group, group
from neurolib.training.schedules import SCHEDULES
from neurolib.training.sharding import SHARDS, Spread, tensors_of


@dataclass(frozen=True)
class TrainConfig:
    """How to train; what to train is the model's own config."""

    steps: int = 2_000
    batch_size: int = 64  # over all processes
    lr: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "constant"  # or "cosine"
    warmup: int = 0  # steps
    grad_clip: float = 1.0  # norm; 0 turns it off
    ema: float = 0.0  # decay of the averaged weights that are evaluated and kept; 0 turns it off
    eval_every: int = 100  # steps
    patience: int = 0  # evaluations without a better valid loss before stopping; 0 never stops
    seed: int = 0
    device: str = "auto"  # CUDA if there is one
    precision: str = "auto"  # bfloat16 autocast on CUDA, float32 on a CPU; or "float32", "bfloat16"
    compile: bool = False
    deterministic: bool = False  # refuse operations whose result depends on thread timing
    workers: int = 0  # reading processes, if the data are a Dataset
    shard: str = "ddp"  # several processes: the whole model on each, or "fsdp", a part on each
    checkpoint: str = ""  # file to write and to resume from; a folder for "fsdp"
    checkpoint_every: int = 200  # steps

    def __post_init__(self):
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r} must be one of {sorted(SCHEDULES)}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision={self.precision!r} must be 'auto', 'float32' or 'bfloat16'")
        if self.shard not in SHARDS:
            raise ValueError(f"shard={self.shard!r} must be one of {SHARDS}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema} must be at least 0 and below 1")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience}; 0 never stops")
        for name in ("steps", "batch_size", "eval_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")


@dataclass
class History:
    """What happened during :func:`fit`, one entry per evaluation.

    Losses are numbers, or lists with one number per seed where seeds train side by side.
    """

    step: list[int] = field(default_factory=list)
    train: list = field(default_factory=list)
    valid: list = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: float = 0.0
    best_step: int | list[int] = 0

    def of_replica(self, i: int) -> "History":
        """The history of one seed out of several."""
        return History(
            list(self.step),
            [loss[i] for loss in self.train],
            [loss[i] for loss in self.valid],
            list(self.lr),
            self.seconds,
            self.best_step[i],
        )


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``"auto"`` takes CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device={name!r}, but torch sees no CUDA device; use 'cpu' or 'auto'")
    return torch.device(name)


def fit(
    model: nn.Module,
    train: Batch,
    valid: Batch,
    cfg: TrainConfig = TrainConfig(),
    seeds: Sequence[int] = (),
) -> History:
    """Train ``model`` in place and keep the weights of the evaluation with the least valid loss.

    Parameters
    ----------
    model : nn.Module
        Has ``loss(batch) -> scalar``, a mean over the batch. If it also has
        ``weight(batch)``, that is the number behind the mean, and means of unequal batches
        are pooled by it; otherwise rows count alike. With ``lr_factor(name)``, that is the learning
        rate of a parameter relative to that of the config; with ``no_decay(name)``, true means that its
        weights do not decay. With ``sometimes_unused = True``, a parameter that a batch leaves out has
        a gradient of zero. For ``shard_parts()`` see :class:`~neurolib.training.sharding.Spread`.
    train, valid : dict of Tensor, or Dataset of such dicts
        Tensors of any names with rows first; a batch is a dict of the same names.
    cfg : TrainConfig
    seeds : sequence of int
        For :class:`~neurolib.training.seeds.Replicas`: one order of batches per replica.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If a loss stops being finite; the message names the step.
    ValueError
        If the checkpoint to resume from was made with other settings.
    """
    processes = group(pick_device(cfg.device))
    with _deterministic(cfg.deterministic):
        return _Run(model, train, valid, cfg, seeds or (cfg.seed,), processes).go()


class _Run:
    """One call of :func:`fit`."""

    def __init__(self, model, train, valid, cfg: TrainConfig, seeds, processes: Group):
        self.train, self.valid, self.cfg = train, valid, cfg
        self.seeds, self.processes = list(seeds), processes
        self.replicas = getattr(model, "n_replicas", 0)
        if not n_rows(train) or not n_rows(valid):
            raise ValueError(f"{n_rows(train)} training and {n_rows(valid)} valid rows; both need some")
        if cfg.batch_size < processes.world:
            raise ValueError(f"batch_size={cfg.batch_size} for {processes.world} processes; each needs a row")
        self.device = pick_device(cfg.device)
        self.spread = Spread(model, cfg.shard, processes, self.device)
        self.model = model = self.spread.model  # the one trained: a copy in shards, or the model itself
        torch.manual_seed(cfg.seed + processes.rank)
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(_groups(model), cfg.lr, weight_decay=cfg.weight_decay)
        self.average = [p.detach().clone() for p in self.params] if cfg.ema else None
        # what a model learns outside its gradients (running means, codebooks) belongs to its best state
        self.kept = self.params + ([] if self.replicas else list(model.buffers()))
        self.best = [value.detach().clone() for value in self.kept]
        self.best_loss = torch.full((max(self.replicas, 1),), math.inf, dtype=torch.float64)
        self.best_step = [0] * max(self.replicas, 1)
        self.stale = torch.zeros(max(self.replicas, 1), dtype=torch.long)  # evaluations since the best
        self.history, self.step, self.spent = History(), 0, 0.0
        self.loss = torch.compile(self.spread.loss) if cfg.compile else self.spread.loss

    def go(self) -> History:
        cfg = self.cfg
        self._resume()
        start = time.perf_counter()
        batches = training_batches(
            self.train,
            range(self.step, cfg.steps),
            cfg.batch_size,
            self.seeds,
            self.device,
            self.processes.rank,
            self.processes.world,
            cfg.workers,
        )
        bar = trange(self.step, cfg.steps, disable=None if self.processes.is_first else True, leave=False)
        for _, batch in zip(bar, batches, strict=False):
            loss = self._update(batch)
            self.step += 1
            if self.step % cfg.eval_every == 0 or self.step == cfg.steps:
                self._evaluate(loss)
                if self._stopped().all():
                    break
            if cfg.checkpoint and self.step % cfg.checkpoint_every == 0:
                self._save(time.perf_counter() - start)
        for value, best in zip(self.kept, self.best, strict=True):
            value.data.copy_(best)
        self.spread.write_back()
        self.spread.original.eval()
        self.history.seconds = self.spent + time.perf_counter() - start
        self.history.best_step = self.best_step if self.replicas else self.best_step[0]
        return self.history

    def _update(self, batch: Batch) -> Tensor:
        """One optimiser step; returns the loss, or the losses of the replicas."""
        cfg = self.cfg
        self.model.train()
        self.lr = cfg.lr * SCHEDULES[cfg.schedule](self.step, cfg.steps, cfg.warmup)
        for settings in self.optimiser.param_groups:
            settings["lr"] = self.lr * settings["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        if self.spread.sharded:  # as DDP does: what a model learns outside its gradients is the first's
            self.processes.equalise(self.model.buffers())
        with self._autocast():
            loss = self.loss(batch)
        # each process holds part of the batch: weight its mean, so that the sum is the mean of all
        share = 1.0
        if self.processes.world > 1:
            weight = self._weight(batch)
            share = weight * self.processes.world / self.processes.total(weight)
        (loss.sum() * share).backward()
        if self.spread.sometimes_unused:  # on no process: without this the optimiser would pass it over
            for p in self.params:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        if cfg.grad_clip:
            self._clip(cfg.grad_clip)
        self.optimiser.step()
        if self.average is not None:
            torch._foreach_lerp_(self.average, [p.detach() for p in self.params], 1 - cfg.ema)
        loss = loss.detach()
        return self.processes.total(loss * share) / self.processes.world  # the same on every process

    def _clip(self, limit: float) -> None:
        """Scale gradients down to a norm of at most ``limit``, each replica by its own norm."""
        if not self.replicas:
            nn.utils.clip_grad_norm_(self.params, limit)
            return
        grads = [p.grad for p in self.params if p.grad is not None]
        norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()  # (replica,)
        scale = (limit / (norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(scale.view(-1, *[1] * (grad.dim() - 1)))

    @torch.no_grad()
    def _evaluate(self, train_loss: Tensor) -> None:
        """Score the valid data, remember the best weights, note the history."""
        self.model.eval()
        self.processes.equalise(self.model.buffers())
        with self._averaged():
            total, weight = 0.0, 0.0
            for batch in evaluation_batches(self.valid, max(self.cfg.batch_size, 256), self.device):
                w = self._weight(batch)
                if self.replicas:
                    batch = {k: v.expand(self.replicas, *v.shape) for k, v in batch.items()}
                with self._autocast():
                    total = total + self.spread.plain(batch).double() * w
                weight = weight + w
            self.spread.rest()
            # the same to the last bit on every process, so that all of them stop, or none
            valid = (self.processes.total(total / weight) / self.processes.world).reshape(-1).double().cpu()
            shown = train_loss.reshape(-1).double().cpu()
            if not (valid.isfinite().all() and shown.isfinite().all()):
                raise FloatingPointError(
                    f"loss not finite at step {self.step}: train {shown.tolist()}, valid {valid.tolist()}; "
                    "lower the learning rate, or look for NaN in the data"
                )
            better = (valid < self.best_loss) & ~self._stopped()
            self.stale = torch.where(better, 0, self.stale + 1)
            for best, value in zip(self.best, self.kept, strict=True):
                if self.replicas:
                    mask = better.to(self.device)
                    best[mask] = value.detach()[mask]
                elif better.item():
                    best.copy_(value)
            self.best_loss = torch.where(better, valid, self.best_loss)
            self.best_step = [self.step if b else s for b, s in zip(better, self.best_step, strict=True)]
        log = self.history
        log.step.append(self.step)
        log.lr.append(self.lr)
        log.train.append(shown.tolist() if self.replicas else shown.item())
        log.valid.append(valid.tolist() if self.replicas else valid.item())

    def _stopped(self) -> Tensor:
        """Which replicas have run out of patience; their best weights stay as they are."""
        if not self.cfg.patience:
            return torch.zeros_like(self.stale, dtype=torch.bool)
        return self.stale >= self.cfg.patience

    def _weight(self, batch: Batch) -> Tensor:
        if hasattr(self.model, "weight"):
            return self.model.weight(batch).double()
        return torch.tensor(float(len(next(iter(batch.values())))), dtype=torch.float64, device=self.device)

    @contextlib.contextmanager
    def _averaged(self):
        """Put the averaged weights in place of the trained ones for a while."""
        if self.average is None:
            yield
            return
        trained = [p.detach().clone() for p in self.params]
        for param, average in zip(self.params, self.average, strict=True):
            param.data.copy_(average)
        try:
            yield
        finally:
            for param, value in zip(self.params, trained, strict=True):
                param.data.copy_(value)

    def _autocast(self):
        precision = self.cfg.precision
        if precision == "auto":
            precision = "bfloat16" if self.device.type == "cuda" else "float32"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16")

    def _settings(self) -> dict:
        """What must be the same for a checkpoint to be continued."""
        settings = asdict(self.cfg)
        for name in ("checkpoint", "checkpoint_every", "device", "workers", "compile", "shard"):
            settings.pop(name)
        model = repr(getattr(self.model, "cfg", type(self.model).__name__))
        return settings | {
            "model": model,
            "seeds": self.seeds,
            "n_train": n_rows(self.train),
            "n_valid": n_rows(self.valid),
        }

    def _save(self, seconds: float) -> None:
        on_cuda = self.device.type == "cuda"
        state = {
            "settings": self._settings(),
            "step": self.step,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "stale": self.stale,
            "history": {key: getattr(self.history, key) for key in ("step", "train", "valid", "lr")},
            "seconds": self.spent + seconds,
            # every process draws its own dropout
            "rng": self.processes.gather(torch.get_rng_state()),
            "cuda_rng": self.processes.gather(torch.cuda.get_rng_state()) if on_cuda else None,
        }
        if self.spread.kept_in_parts:
            checkpoints.save_parts(Path(self.cfg.checkpoint), self._tensors(), state)
        elif self.processes.is_first:
            state["model"], state["optimiser"] = self.model.state_dict(), self.optimiser.state_dict()
            state["average"], state["best"] = self.average, self.best
            checkpoints.save(Path(self.cfg.checkpoint), state)

    def _tensors(self) -> dict[str, Tensor]:
        """What a checkpoint in parts holds besides plain values."""
        named = tensors_of(self.model, self.optimiser)
        named |= {f"best.{i}": value for i, value in enumerate(self.best)}
        return named | {f"average.{i}": value for i, value in enumerate(self.average or ())}

    def _resume(self) -> None:
        path = Path(self.cfg.checkpoint)
        if not self.cfg.checkpoint or not path.exists():
            return
        in_parts = self.spread.kept_in_parts
        if in_parts and path.is_dir() and not (path / checkpoints.CURRENT).exists():
            return  # stopped before the first one was whole
        state = checkpoints.load_state(path) if in_parts else checkpoints.load(path)
        ours, theirs = self._settings(), state["settings"]
        other = {key: (theirs.get(key), ours[key]) for key in ours if theirs.get(key) != ours[key]}
        if other:
            raise ValueError(
                f"{path} was made with other settings {other} (there, here); remove it to start anew"
            )
        if in_parts:
            checkpoints.load_parts(path, self._tensors())
        else:
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.best = [value.to(self.device) for value in state["best"]]
            if self.average is not None:
                self.average = [value.to(self.device) for value in state["average"]]
        self.best_loss, self.best_step = state["best_loss"].cpu(), state["best_step"]
        self.step, self.stale, self.spent = state["step"], state["stale"].cpu(), state["seconds"]
        for key, values in state["history"].items():
            setattr(self.history, key, values)
        self._resume_random(state)

    def _resume_random(self, state: dict) -> None:
        """Each process goes on with its own random numbers; one that was not there begins its own."""
        rank = self.processes.rank
        rng, cuda_rng = (
            [value] if isinstance(value, Tensor) else value for value in (state["rng"], state["cuda_rng"])
        )
        if rank >= len(rng):
            torch.manual_seed(self.cfg.seed + rank + 1_000_003 * self.step)
            return
        torch.set_rng_state(rng[rank].cpu())
        if cuda_rng is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(cuda_rng[rank].cpu())


def _groups(model: nn.Module) -> list[dict]:
    """Trained parameters by their learning rate relative to the config's, and by whether they decay."""
    factor_of = getattr(model, "lr_factor", lambda name: 1.0)
    no_decay = getattr(model, "no_decay", lambda name: False)
    groups: dict[tuple, list] = {}
    for name, param in model.named_parameters():
        if param.requires_grad:
            groups.setdefault((factor_of(name), bool(no_decay(name))), []).append(param)
    return [
        {"params": params, "factor": factor} | ({"weight_decay": 0.0} if without else {})
        for (factor, without), params in groups.items()
    ]


@contextlib.contextmanager
def _deterministic(wanted: bool):
    """Turn torch's deterministic algorithms on for a while."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
