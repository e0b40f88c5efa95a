"""State spaces along time over a grid of latents: ``(batch, time, slot, d)`` in, as much out.

Every block mixes along time, then across the slots of each time step. A second stack may run on means of a
few steps each, for what changes slowly.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig, State
from neurolib.models.sites import Site, Tap, inside


@dataclass(frozen=True)
class BackboneConfig:
    """Pre-norm residual blocks on latents, at one rate or several.

    Causal with several rates, a step sees the last mean that was complete by then, zeros before the first;
    in both directions, means are interpolated. A last mean of fewer steps is over those that there are.

    Parameters
    ----------
    blocks : int
        Per rate.
    mixer : SSDMixerConfig or S6MixerConfig
    direction : str
        ``"causal"``, or ``"bi"``: a mixer each way, their outputs averaged.
    flatten : str
        ``"slot"`` scans every slot along time by itself; ``"time_major"`` scans one sequence in which the slots
        of a time step follow each other.
    rates : tuple of int
        Steps per mean of each stack; the first is 1.
    slots : str
        What mixes the slots of a time step: ``"attention"``, ``"mlp"`` or ``"none"``.
    heads : int
        Of the attention.
    dropout : float
        On what each block adds, training only.

    Raises
    ------
    ValueError
        If a setting makes no sense.

    Examples
    --------
    >>> backbone = BackboneConfig(blocks=1, rates=(1, 4)).build(32, n_slots=2)
    >>> backbone(torch.zeros(3, 10, 2, 32)).shape
    torch.Size([3, 10, 2, 32])
    >>> state = backbone.init_state(3)
    >>> y, state = backbone.step(torch.zeros(3, 2, 32), state)
    >>> y.shape
    torch.Size([3, 2, 32])
    """

    blocks: int = 8
    mixer: SSDMixerConfig | S6MixerConfig = field(default_factory=SSDMixerConfig)
    direction: str = "causal"
    flatten: str = "slot"
    rates: tuple[int, ...] = (1,)
    slots: str = "attention"
    heads: int = 8
    dropout: float = 0.1

    def __post_init__(self):
        choices = {
            "direction": ("causal", "bi"),
            "flatten": ("slot", "time_major"),
            "slots": ("attention", "mlp", "none"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {known}")
        if self.blocks < 1 or self.heads < 1:
            raise ValueError(f"blocks={self.blocks} and heads={self.heads} must be at least 1")
        if not self.rates or self.rates[0] != 1 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates={self.rates} must start with 1 and grow; they are steps per mean")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be a probability below 1")

    def build(self, d: int, n_slots: int) -> "Backbone":
        """Make the backbone, with random weights."""
        return Backbone(self, d, n_slots)


@dataclass
class RateState:
    """What the stack of one rate goes on from."""

    blocks: list[State]
    total: Tensor  # (B, K, d), sum of the steps of the mean to come
    n_steps: int  # in that sum
    held: Tensor  # (B, K, d), output for the last complete mean


class Backbone(nn.Module):
    """The backbone of :class:`BackboneConfig`."""

    def __init__(self, cfg: BackboneConfig, d: int, n_slots: int):
        super().__init__()
        self.cfg, self.d, self.n_slots = cfg, d, n_slots
        self.stacks = nn.ModuleList(
            nn.ModuleList(Block(cfg, d, n_slots) for _ in range(cfg.blocks)) for _ in cfg.rates
        )
        self.norms = nn.ModuleList(nn.RMSNorm(d, eps=1e-5) for _ in cfg.rates)
        self.join = nn.Linear(len(cfg.rates) * d, d) if len(cfg.rates) > 1 else nn.Identity()

    @property
    def no_decay(self) -> list[str]:
        """Names of the parameters that weight decay would harm."""
        return [
            f"{name}.{part}"
            for name, module in self.named_modules()
            if module is not self
            for part in getattr(module, "no_decay", ())
        ]

    def forward(self, latents: Tensor) -> Tensor:
        """Mix ``latents (B, T, K, d)``."""
        if latents.dim() != 4 or latents.shape[2:] != (self.n_slots, self.d):
            raise ValueError(f"latents {tuple(latents.shape)} must be (B, T, {self.n_slots}, {self.d})")
        outputs = []
        for rate, stack, norm in zip(self.cfg.rates, self.stacks, self.norms, strict=True):
            x = mean_pool(latents, rate)
            for block in stack:
                x = block(x)
            expand = hold if self.cfg.direction == "causal" else interpolate
            outputs.append(expand(norm(x), rate, latents.shape[1]))
        return self.join(torch.cat(outputs, -1))

    def sites(self) -> tuple[Site, ...]:
        """Sites of all blocks; with several rates the name begins with the rate."""
        found = []
        for number, (rate, stack) in enumerate(zip(self.cfg.rates, self.stacks, strict=True)):
            before = f"rate{rate}." if len(self.stacks) > 1 else ""
            for i, block in enumerate(stack):
                found += inside(f"stacks.{number}.{i}", block.sites(), f"{before}block.{i}.")
        return tuple(found)

    def init_state(self, batch: int) -> list[RateState]:
        """The state before the first step, one per rate."""
        if self.cfg.direction != "causal":
            raise ValueError("direction='bi' looks ahead and cannot be streamed; build it with 'causal'")
        zeros = self.norms[0].weight.new_zeros(batch, self.n_slots, self.d)
        return [
            RateState([block.init_state(batch) for block in stack], zeros.clone(), 0, zeros.clone())
            for stack in self.stacks
        ]

    def step(self, latents: Tensor, state: list[RateState]) -> tuple[Tensor, list[RateState]]:
        """One time step ``latents (B, K, d)``, equal to that of the whole pass.

        Where no gradient is recorded, the states of the mixers given are overwritten.
        """
        outputs, left = [], []
        for rate, stack, norm, old in zip(self.cfg.rates, self.stacks, self.norms, state, strict=True):
            total, n_steps = (latents, 1) if rate == 1 else (old.total + latents, old.n_steps + 1)
            blocks, held = old.blocks, old.held
            if n_steps == rate:
                x, blocks = total / rate, []
                for block, before in zip(stack, old.blocks, strict=True):
                    x, after = block.step(x, before)
                    blocks.append(after)
                held, total, n_steps = norm(x), torch.zeros_like(total), 0
            outputs.append(held)
            left.append(RateState(blocks, total, n_steps, held))
        return self.join(torch.cat(outputs, -1)), left


class Block(nn.Module):
    """Along time, then across slots, each added to what comes in."""

    def __init__(self, cfg: BackboneConfig, d: int, n_slots: int):
        super().__init__()
        self.time_major = cfg.flatten == "time_major"
        self.norm, self.mixer = nn.RMSNorm(d, eps=1e-5), cfg.mixer.build(d)
        self.backward_mixer = cfg.mixer.build(d) if cfg.direction == "bi" else None
        makers = {"attention": lambda: SlotAttention(d, cfg.heads), "mlp": lambda: SlotMLP(n_slots)}
        self.slot_norm = self.slots = None
        if cfg.slots in makers:
            self.slot_norm, self.slots = nn.RMSNorm(d, eps=1e-5), makers[cfg.slots]()
        self.drop, self.n_slots = nn.Dropout(cfg.dropout), n_slots
        self.mixed = Tap()  # what the mixers add

    def sites(self) -> tuple[Site, ...]:
        """What the parts read (``mixer_in``, ``slots_in``) and add (``mixer``, ``slots``), and the mixer's own."""
        at = ("batch", "time", "slot", "channel")
        found = [Site("mixer_in", "norm", at, side="input"), *inside("mixer", self.mixer.sites(), "ssm.")]
        found.append(Site("mixer", "mixed", at))
        if self.slots is not None:
            found += [Site("slots_in", "slot_norm", at, side="input"), Site("slots", axes=at)]
        if isinstance(self.slots, SlotAttention):
            found.append(Site("slot_heads", "slots.each", ("batch", "time", "slot", "head", "channel")))
        return tuple(found)

    def forward(self, x: Tensor) -> Tensor:
        """Take ``x (B, T, K, d)``; return as much."""
        rows, length = x.shape[:2]
        flat = self.norm(x)
        flat = flat.flatten(1, 2) if self.time_major else flat.transpose(1, 2).flatten(0, 1)
        y = self.mixer(flat)[0]
        if self.backward_mixer is not None:
            y = (y + self.backward_mixer(flat.flip(1))[0].flip(1)) / 2
        if self.time_major:
            y = y.unflatten(1, (length, self.n_slots))
        else:
            y = y.unflatten(0, (rows, self.n_slots)).transpose(1, 2)
        return self._across(x + self.drop(self.mixed(y)))

    def init_state(self, batch: int) -> State:
        """The state before the first step."""
        return self.mixer.init_state(batch if self.time_major else batch * self.n_slots)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step ``x (B, K, d)``."""
        y = self.norm(x)
        if self.time_major:
            y, state = self.mixer(y, state)
        else:
            y, state = self.mixer.step(y.flatten(0, 1), state)
        return self._across(x + self.drop(y.view_as(x))), state

    def _across(self, x: Tensor) -> Tensor:
        return x if self.slots is None else x + self.drop(self.slots(self.slot_norm(x)))


class SlotAttention(nn.Module):
    """Attention among the slots of each time step, ``(..., K, d)``."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        if d % heads:
            raise ValueError(f"d={d} cannot be divided into {heads} heads")
        self.heads, self.qkv, self.project = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.each = Tap()  # what each head read

    def forward(self, x: Tensor) -> Tensor:
        """Mix the last dimension but one."""
        flat = x.flatten(0, -3)
        query, key, value = self.qkv(flat).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        each = self.each(mixed.transpose(1, 2).unflatten(0, x.shape[:-2]))
        return self.project(each.flatten(-2))


class SlotMLP(nn.Module):
    """A perceptron over the slots of each time step, the same for every channel, ``(..., K, d)``."""

    def __init__(self, n_slots: int):
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(n_slots, 4 * n_slots), nn.GELU(), nn.Linear(4 * n_slots, n_slots))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the last dimension but one."""
        return self.mix(x.mT).mT


def mean_pool(x: Tensor, rate: int) -> Tensor:
    """Means of ``rate`` time steps each of ``x (B, T, ...)``; the last may be of fewer.

    Examples
    --------
    >>> mean_pool(torch.tensor([[1.0, 3.0, 5.0]]), 2)
    tensor([[2., 5.]])
    """
    if rate == 1:
        return x
    return torch.stack([part.mean(1) for part in x.split(rate, dim=1)], 1)


def hold(x: Tensor, rate: int, length: int) -> Tensor:
    """Give each of ``length`` steps the last mean that is complete by then, zero before the first.

    Examples
    --------
    >>> hold(torch.tensor([[2.0, 5.0]]), 2, 5)
    tensor([[0., 2., 2., 5., 5.]])
    """
    if rate == 1:
        return x
    last = torch.arange(1, length + 1, device=x.device) // rate  # complete by then
    return torch.cat([torch.zeros_like(x[:, :1]), x], 1)[:, last]


def interpolate(x: Tensor, rate: int, length: int) -> Tensor:
    """Give each of ``length`` steps the line between the means around it.

    Examples
    --------
    >>> interpolate(torch.tensor([[2.0, 6.0]]), 2, 4)
    tensor([[2., 3., 5., 6.]])
    """
    if rate == 1:
        return x
    at = ((torch.arange(length, device=x.device, dtype=x.dtype) + 0.5) / rate - 0.5).clamp(0, x.shape[1] - 1)
    low = at.long()
    part = (at - low).view(-1, *[1] * (x.dim() - 2))
    return torch.lerp(x[:, low], x[:, (low + 1).clamp(max=x.shape[1] - 1)], part)
