"""What models and brains did with the same stimuli: a model and stimuli in, layers ``(stimulus, channel)`` out.

Row ``i`` is the same stimulus in everything that is compared. Which stimulus, by which rule a map or a sequence
became a row, and which weights were used is kept beside the numbers.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.interpret.activations import Run, call, record
from neurolib.models.sites import Site

POOLS = ("flatten", "mean", "none")
TOKENS = ("mean", "last", "first", "all")


@dataclass(frozen=True)
class CaptureConfig:
    """How activations become rows.

    Parameters
    ----------
    pool : {"flatten", "mean", "none"}
        What becomes of the places of a map ``(batch, channel, height, width)``: features of their own, a mean, or
        an error.
    token : {"mean", "last", "first", "all"}
        What becomes of the tokens of a sequence ``(batch, token, channel)``; ``"all"`` makes each a row of its own,
        and rows of one sequence then belong together (:attr:`Capture.groups`).
    batch_size : int
    max_features : int
        Wider layers are projected to as many random directions, which keeps distances between stimuli.
    seed : int
        Of those directions.
    """

    pool: str = "flatten"
    token: str = "mean"
    batch_size: int = 64
    max_features: int = 65_536
    seed: int = 0

    def __post_init__(self):
        if self.pool not in POOLS:
            raise ValueError(f"pool={self.pool!r} must be one of {', '.join(POOLS)}")
        if self.token not in TOKENS:
            raise ValueError(f"token={self.token!r} must be one of {', '.join(TOKENS)}")
        if self.batch_size < 1 or self.max_features < 1:
            raise ValueError(
                f"batch_size={self.batch_size}, max_features={self.max_features} must be at least 1"
            )


@dataclass(frozen=True)
class Capture:
    """Layers of one model.

    Attributes
    ----------
    model : str
    layers : dict of array, shape (n_rows, n_channels)
        In the order in which the model passes them; NaN and infinity are refused.
    stimuli : tuple of str
        Name of the stimulus of each row.
    groups : array of int, shape (n_rows,)
        Rows that belong together, such as tokens of a sequence; resampling keeps them so.
    provenance : dict
        Hash of weights and of inputs, the rules, the number type.
    """

    model: str
    layers: Mapping[str, NDArray]
    stimuli: tuple[str, ...]
    groups: NDArray
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name, values in self.layers.items():
            if len(values) != len(self.stimuli):
                raise ValueError(
                    f"{self.model}: layer {name} has {len(values)} rows for {len(self.stimuli)} stimuli"
                )
            bad = ~np.isfinite(values).all(axis=1)
            if bad.any():
                raise ValueError(
                    f"{self.model}: layer {name} holds NaN or infinity for {int(bad.sum())} of {len(bad)} stimuli, "
                    f"first for {self.stimuli[int(np.argmax(bad))]}"
                )

    def constant(self) -> tuple[str, ...]:
        """Layers that are the same for every stimulus; no similarity of them is defined."""
        return tuple(name for name, values in self.layers.items() if not np.ptp(values, axis=0).any())

    def select(self, stimuli: Sequence[str]) -> "Capture":
        """Rows of some stimuli, in that order.

        Raises
        ------
        ValueError
            If one of them is missing, or has several rows.
        """
        rows = _rows(self.stimuli, stimuli, self.model)
        layers = {name: values[rows] for name, values in self.layers.items()}
        return replace(self, layers=layers, stimuli=tuple(stimuli), groups=self.groups[rows])


@dataclass(frozen=True)
class NeuralData:
    """Responses of one subject.

    Attributes
    ----------
    name : str
    responses : array, shape (n_stimuli, n_units) or (n_repeats, n_stimuli, n_units)
    stimuli : tuple of str
    groups : array, shape (n_stimuli,)
        Stimuli that must not be torn apart by a fold: views of an object, frames of a film. One each by default.
    species, region : str
    """

    name: str
    responses: NDArray
    stimuli: tuple[str, ...]
    groups: NDArray | None = None
    species: str = ""
    region: str = ""

    def __post_init__(self):
        responses = np.asarray(self.responses, float)
        object.__setattr__(self, "responses", responses)
        object.__setattr__(self, "stimuli", tuple(str(name) for name in self.stimuli))
        if responses.ndim not in (2, 3):
            raise ValueError(
                f"{self.name}: responses {responses.shape}; want (stimulus, unit), or repeats before that"
            )
        n = responses.shape[-2]
        if n != len(self.stimuli):
            raise ValueError(f"{self.name}: responses to {n} stimuli, names of {len(self.stimuli)}")
        if len(set(self.stimuli)) < n:
            twice = next(name for name in self.stimuli if self.stimuli.count(name) > 1)
            raise ValueError(f"{self.name}: stimulus {twice} comes twice; put its repeats on the first axis")
        if not np.isfinite(responses).all():
            unit = int(np.argmax(~np.isfinite(responses).reshape(-1, responses.shape[-1]).all(axis=0)))
            raise ValueError(
                f"{self.name}: responses hold NaN or infinity, first in unit {unit}; drop it, do not fill it"
            )
        groups = np.arange(n) if self.groups is None else np.asarray(self.groups)
        if groups.shape != (n,):
            raise ValueError(f"{self.name}: groups {groups.shape} for {n} stimuli")
        object.__setattr__(self, "groups", groups)

    @property
    def mean(self) -> NDArray:
        """Responses ``(stimulus, unit)``, averaged over repeats."""
        return self.responses if self.responses.ndim == 2 else self.responses.mean(axis=0)

    @property
    def n_repeats(self) -> int:
        """Presentations of each stimulus."""
        return 1 if self.responses.ndim == 2 else len(self.responses)

    def select(self, stimuli: Sequence[str]) -> "NeuralData":
        """Responses to some stimuli, in that order."""
        rows = _rows(self.stimuli, stimuli, self.name)
        return replace(
            self, responses=self.responses[..., rows, :], stimuli=tuple(stimuli), groups=self.groups[rows]
        )


def shared_stimuli(*sources: Capture | NeuralData) -> tuple[str, ...]:
    """Stimuli that all have, in the order of the first.

    Raises
    ------
    ValueError
        If there are fewer than four; the message says how many each has.
    """
    others = [set(source.stimuli) for source in sources[1:]]
    shared = tuple(name for name in sources[0].stimuli if all(name in other for other in others))
    if len(shared) < 4:
        have = ", ".join(f"{getattr(s, 'model', None) or s.name} has {len(s.stimuli)}" for s in sources)
        raise ValueError(
            f"{len(shared)} stimuli are shared, which is too few ({have}); do their names agree?"
        )
    return shared


def capture(
    model: nn.Module,
    stimuli: Any,
    names: Iterable[str] | None = None,
    layers: Iterable[str | Site] | None = None,
    cfg: CaptureConfig | None = None,
    *,
    model_name: str = "",
    mask: ArrayLike | None = None,
    run: Run = call,
) -> Capture:
    """Run a model on stimuli and keep its layers, with one forward pass per batch.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode meanwhile; run on the device of its parameters.
    stimuli : Tensor, array, or mapping of them
        Stimuli first, ``(n_stimuli, ...)``.
    names : iterable of str, optional
        Of the stimuli; numbers by default.
    layers : iterable of str or Site, optional
        All sites of the model by default.
    cfg : CaptureConfig, optional
    model_name : str
        The class by default.
    mask : array of bool, shape (n_stimuli, n_tokens), optional
        Tokens that exist.
    run : callable
        ``run(model, batch)``.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> found = capture(net, torch.randn(8, 3), cfg=CaptureConfig(batch_size=3))
    >>> {name: values.shape for name, values in found.layers.items()}
    {'0': (8, 5), '1': (8, 5), '2': (8, 2)}
    """
    cfg = cfg or CaptureConfig()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    parts = stimuli if isinstance(stimuli, Mapping) else {"": stimuli}
    tensors = {key: _tensor(value).to(device) for key, value in parts.items()}
    sizes = {key: len(value) for key, value in tensors.items()}
    n = next(iter(sizes.values()), 0)
    if not n or len(set(sizes.values())) > 1:
        raise ValueError(f"stimuli by part {sizes}; all need the same number, at least one")
    names = tuple(str(name) for name in (range(n) if names is None else names))
    if len(names) != n or len(set(names)) < n:
        raise ValueError(f"{len(set(names))} different names for {n} stimuli")
    there = None if mask is None else torch.as_tensor(np.asarray(mask), dtype=torch.bool, device=device)
    blocks: dict[str, list[NDArray]] = {}
    projections: dict[str, Tensor] = {}
    with torch.no_grad():
        for start in range(0, n, cfg.batch_size):
            stop = min(start + cfg.batch_size, n)
            batch = {key: value[start:stop] for key, value in tensors.items()}
            acts = record(model, batch if isinstance(stimuli, Mapping) else batch[""], layers, run=run)
            for name in acts:
                rows = _as_rows(
                    name, acts[name], acts.axes[name], cfg, None if there is None else there[start:stop]
                )
                blocks.setdefault(name, []).append(
                    _narrowed(rows, name, cfg, projections).float().cpu().numpy()
                )
    found = {name: np.concatenate(rows) for name, rows in blocks.items()}
    per_stimulus = {len(values) // n for values in found.values()}
    if len(per_stimulus) > 1:
        raise ValueError(
            f"layers have {sorted(per_stimulus)} rows per stimulus; token='all' needs equal lengths"
        )
    times = per_stimulus.pop()
    return Capture(
        model_name or type(model).__name__,
        found,
        names if times == 1 else tuple(f"{name}.{k}" for name in names for k in range(times)),
        np.repeat(np.arange(n), times),
        {
            "weights": weights_hash(model),
            "inputs": _hash(tensors.values()),
            "pool": cfg.pool,
            "token": cfg.token,
            "seed": cfg.seed,
            "dtype": str(next((p.dtype for p in model.parameters()), torch.float32)).removeprefix("torch."),
        },
    )


def weights_hash(model: nn.Module) -> str:
    """Twelve characters that change with any weight.

    Examples
    --------
    >>> net = nn.Linear(2, 1)
    >>> before = weights_hash(net)
    >>> _ = net.weight.data.add_(1)
    >>> before == weights_hash(net), len(before)
    (False, 12)
    """
    return _hash(model.state_dict().values())


def _hash(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _tensor(value: ArrayLike | Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))


def _as_rows(
    name: str, value: Tensor, axes: tuple[str, ...], cfg: CaptureConfig, mask: Tensor | None
) -> Tensor:
    """A batch of activations as ``(row, channel)``."""
    if value.dim() == 2:
        return value
    if value.dim() < 2:
        raise ValueError(
            f"layer {name} gives {tuple(value.shape)}; want a vector, a map or a sequence per stimulus"
        )
    channel_last = axes[-1] == "channel"
    if value.dim() == 3:
        return _tokens(name, value, cfg, mask)
    if cfg.pool == "none":
        raise ValueError(f"layer {name} gives maps {tuple(value.shape)}; choose pool='flatten' or 'mean'")
    if cfg.pool == "flatten":
        return value.flatten(1)
    return value.flatten(1, -2).mean(1) if channel_last else value.flatten(2).mean(2)


def _tokens(name: str, value: Tensor, cfg: CaptureConfig, mask: Tensor | None) -> Tensor:
    """A sequence ``(batch, token, channel)`` as rows."""
    if mask is not None and mask.shape != value.shape[:2]:
        raise ValueError(
            f"mask {tuple(mask.shape)} for layer {name} {tuple(value.shape)}; want (stimulus, token)"
        )
    if cfg.token == "all":
        if mask is not None and not bool(mask.all()):
            raise ValueError(
                f"layer {name}: token='all' needs sequences of one length, and the mask hides some tokens"
            )
        return value.flatten(0, 1)
    if cfg.token == "first":
        return value[:, 0]
    if mask is None:
        return value.mean(1) if cfg.token == "mean" else value[:, -1]
    if cfg.token == "mean":
        weight = mask.to(value.dtype)[..., None]
        return (value * weight).sum(1) / weight.sum(1)
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
    return value[torch.arange(len(value), device=value.device), last]


def _narrowed(rows: Tensor, name: str, cfg: CaptureConfig, projections: dict[str, Tensor]) -> Tensor:
    if rows.shape[1] <= cfg.max_features:
        return rows
    if name not in projections:
        draw = torch.Generator().manual_seed(cfg.seed)
        directions = torch.randn(rows.shape[1], cfg.max_features, generator=draw) / cfg.max_features**0.5
        projections[name] = directions.to(rows)
    return rows @ projections[name]


def _rows(have: Sequence[str], wanted: Sequence[str], name: str) -> NDArray:
    where: dict[str, int] = {}
    for number, stimulus in enumerate(have):
        if stimulus in where:
            raise ValueError(
                f"{name}: stimulus {stimulus} comes twice; average its rows, or give them names of their own"
            )
        where[stimulus] = number
    missing = [stimulus for stimulus in wanted if stimulus not in where]
    if missing:
        raise ValueError(f"{name} lacks {len(missing)} of {len(wanted)} stimuli, first {missing[0]}")
    return np.array([where[stimulus] for stimulus in wanted], dtype=int)
