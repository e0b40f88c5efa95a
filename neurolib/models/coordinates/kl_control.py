"""What a VAE pays for its latents: divergences ``(batch, latent)`` in nats in, one penalty out.

Three ways: a weight on a schedule, a controller that holds the divergence at a target, and a capacity
that grows. All count training steps in buffers, so a resumed run goes on where it stopped. In
evaluation all pay the bare divergence: losses of different weights then compare.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SHAPES = ("constant", "linear", "cyclical")


def free_bits(kl: Tensor, floor: float) -> Tensor:
    """Divergence ``(latent,)`` in nats, summed, none counted below ``floor``.

    A latent below the floor has no gradient, so nothing presses it to zero.

    References
    ----------
    .. [1] Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow", NeurIPS.

    Examples
    --------
    >>> round(free_bits(torch.tensor([0.01, 2.0]), floor=0.05).item(), 2)
    2.05
    """
    return kl.clamp(min=floor).sum()


def beta_at(step: int, steps: int, shape: str = "linear", cycles: int = 4) -> float:
    """Weight of the divergence as a share of the final one; all of it after ``steps``.

    A cycle rises for its first half and stays up for the second.

    References
    ----------
    .. [1] Fu et al. (2019), "Cyclical annealing schedule", NAACL.

    Examples
    --------
    >>> [beta_at(step, 4) for step in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    >>> [beta_at(step, 8, "cyclical", cycles=2) for step in range(9)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    """
    if shape == "constant" or step >= steps:
        return 1.0
    if shape == "linear":
        return step / steps
    return min(1.0, 2 * ((step * cycles / steps) % 1.0))


@dataclass(frozen=True)
class BetaSchedule:
    """A weight that is fixed, or warms up linearly or in cycles."""

    beta: float = 1.0
    shape: str = "linear"
    steps: int = 400  # of the warm-up
    cycles: int = 4
    floor: float = 0.0  # free bits per latent, nats

    def __post_init__(self):
        if self.shape not in SHAPES:
            raise ValueError(f"shape={self.shape!r} must be one of {SHAPES}")
        if min(self.steps, self.cycles) < 1:
            raise ValueError(f"steps={self.steps}, cycles={self.cycles}: both must be at least 1")
        _check(beta=self.beta, floor=self.floor)

    def build(self) -> "ScheduledPenalty":
        """Make the penalty, at step 0."""
        return ScheduledPenalty(self)


@dataclass(frozen=True)
class KLController:
    r"""A proportional-integral controller that holds the divergence at a target.

    .. math:: \beta_t = \mathrm{clip}(\beta_0 + K_p\,\sigma(e_t) + K_i \sum_{s \le t} e_s),
        \qquad e_t = \mathrm{KL}_t - C

    The weight falls while the divergence is below the target, and rises while it is above. The
    opposite sign drives latents that begin to collapse all the way.

    References
    ----------
    .. [1] Shao et al. (2020), "ControlVAE: controllable variational autoencoder", ICML.
    """

    target: float = 6.0  # nats per study, all latents together
    kp: float = 0.01
    ki: float = 1e-3
    start: float = 1.0
    lowest: float = 0.0
    highest: float = 10.0
    floor: float = 0.0  # free bits per latent, nats

    def __post_init__(self):
        _check(target=self.target, kp=self.kp, ki=self.ki, lowest=self.lowest, floor=self.floor)
        if not self.lowest <= self.start <= self.highest:
            raise ValueError(f"start={self.start} must lie between {self.lowest} and {self.highest}")

    def build(self) -> "ControlledPenalty":
        """Make the controller, at step 0."""
        return ControlledPenalty(self)


@dataclass(frozen=True)
class Capacity:
    """Holds the divergence at a capacity that grows linearly: ``gamma * |KL - capacity|``.

    References
    ----------
    .. [1] Burgess et al. (2018), "Understanding disentangling in beta-VAE", arXiv 1804.03599.
    """

    capacity: float = 6.0  # nats, at the end
    gamma: float = 1.0
    steps: int = 2_000  # until it has grown
    floor: float = 0.0  # free bits per latent, nats

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")
        _check(capacity=self.capacity, gamma=self.gamma, floor=self.floor)

    def build(self) -> "CapacityPenalty":
        """Make the penalty, at step 0."""
        return CapacityPenalty(self)


KLConfig = BetaSchedule | KLController | Capacity


class Penalty(nn.Module):
    """What the three share. In training every call is one step; :attr:`beta` is the last weight used.

    Its buffers change in training, so it cannot train side by side in one batched run of seeds.
    """

    def __init__(self, cfg: KLConfig):
        super().__init__()
        self.cfg = cfg
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer("beta", torch.ones((), dtype=torch.float64))

    def forward(self, kl: Tensor) -> Tensor:
        """Penalty per study, nats, of divergences ``(batch, latent)``."""
        per_latent = kl.mean(0)
        if not self.training:
            return per_latent.sum()
        penalty = self._penalty(per_latent, free_bits(per_latent, self.cfg.floor))
        self.step += 1
        return penalty

    def _weighted(self, kl: Tensor, beta: float) -> Tensor:
        self.beta.fill_(beta)
        return beta * kl


class ScheduledPenalty(Penalty):
    """The penalty of :class:`BetaSchedule`.

    Examples
    --------
    >>> penalty = BetaSchedule(beta=2.0, steps=2).build()
    >>> [penalty(torch.ones(5, 3)).item() for _ in range(3)]
    [0.0, 3.0, 6.0]
    >>> penalty.eval()(torch.ones(5, 3)).item()
    3.0
    """

    def _penalty(self, per_latent: Tensor, kl: Tensor) -> Tensor:
        cfg = self.cfg
        return self._weighted(kl, cfg.beta * beta_at(self.step.item(), cfg.steps, cfg.shape, cfg.cycles))


class ControlledPenalty(Penalty):
    """The penalty of :class:`KLController`.

    Examples
    --------
    >>> penalty = KLController(target=6.0).build()
    >>> betas = [(penalty(torch.zeros(5, 3)), penalty.beta.item())[1] for _ in range(3)]  # collapsed
    >>> [round(beta, 3) for beta in betas]
    [0.994, 0.988, 0.982]
    """

    def __init__(self, cfg: KLController):
        super().__init__(cfg)
        self.beta.fill_(cfg.start)
        self.register_buffer("integral", torch.zeros((), dtype=torch.float64))

    def _penalty(self, per_latent: Tensor, kl: Tensor) -> Tensor:
        cfg = self.cfg
        error = per_latent.detach().double().sum() - cfg.target
        # no further than either bound needs: a sum that ran on would hold beta there long after
        self.integral.add_(cfg.ki * error).clamp_(cfg.lowest - cfg.start - cfg.kp, cfg.highest - cfg.start)
        beta = cfg.start + cfg.kp * error.sigmoid() + self.integral
        return self._weighted(kl, beta.clamp(cfg.lowest, cfg.highest).item())


class CapacityPenalty(Penalty):
    """The penalty of :class:`Capacity`; ``beta`` is its slope, negative below the capacity.

    Examples
    --------
    >>> penalty = Capacity(capacity=4.0, steps=2).build()
    >>> [penalty(torch.full((5, 3), 1.0)).item() for _ in range(3)]  # against 0, 2 and 4 nats
    [3.0, 1.0, 1.0]
    """

    def _penalty(self, per_latent: Tensor, kl: Tensor) -> Tensor:
        cfg = self.cfg
        excess = kl - cfg.capacity * min(1.0, self.step.item() / cfg.steps)
        self.beta.copy_(cfg.gamma * excess.detach().sign())
        return cfg.gamma * excess.abs()


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name}={value} must not be negative")
