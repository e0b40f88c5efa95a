"""An adversary that reads the year off latents ``(batch, latent)``; its gradient comes back reversed.

A latent space trained against it should not tell the year. Whether it does not is for a fresh probe to
say, never for this head: an adversary that fails may only be a weak one.
"""

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

Batch = dict[str, Tensor]


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor):
        return -ctx.weight * grad, None


def reverse_gradient(x: Tensor, weight: float = 1.0) -> Tensor:
    """``x`` unchanged; gradients on their way back are multiplied by ``-weight``.

    References
    ----------
    .. [1] Ganin et al. (2016), "Domain-adversarial training of neural networks", JMLR 17(59).

    Examples
    --------
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> reverse_gradient(x, 0.5).square().sum().backward()  # 2 x = 6, reversed and halved
    >>> x.grad
    tensor([-3.])
    """
    return _Reversal.apply(x, weight)


def ramp(step: int, steps: int, highest: float = 1.0, start: float = 0.2, end: float = 0.8) -> float:
    """Weight of the adversary: 0 until ``start`` of all steps, then linear, ``highest`` from ``end``.

    Examples
    --------
    >>> [round(ramp(step, 10), 3) for step in (0, 2, 5, 8, 9)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return highest * min(max((step / steps - start) / (end - start), 0.0), 1.0)


@dataclass(frozen=True)
class YearAdversaryConfig:
    """Settings of a :class:`YearAdversary`.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    steps: int = 2_000  # training steps of the model, for the ramp
    highest: float = 1.0  # weight at the end of the ramp
    start: float = 0.2  # of the ramp, as a share of the steps
    end: float = 0.8
    hidden: int = 64
    head_steps: int = 2  # of the head for every step of the model
    lr: float = 1e-3  # of the head
    huber: float = 1.0  # where the loss turns linear, standard deviations

    def __post_init__(self):
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"start={self.start}, end={self.end}: shares of the steps, one after the other")
        for name in ("steps", "hidden", "head_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("lr", "huber"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if not self.highest >= 0:
            raise ValueError(
                f"highest={self.highest} must not be negative; the sign is turned in the gradient"
            )

    def build(self, n_latents: int, years: ArrayLike) -> "YearAdversary":
        """Make the adversary; years ``(n_studies,)`` of the training studies set the scale."""
        return YearAdversary(self, n_latents, years)


class YearAdversary(nn.Module):
    """A small regression of the standardised year on latents, with an optimiser of its own.

    Its parameters are out of the model's optimiser (they ask for no gradient): in training
    :meth:`loss` first lets the head learn from detached latents, then returns the head's loss with
    the gradient reversed.

    Parameters
    ----------
    cfg : YearAdversaryConfig
    n_latents : int
    years : array-like, shape (n_studies,)
        Of the training studies; NaN is unknown.

    Examples
    --------
    >>> adversary = YearAdversaryConfig(steps=10).build(n_latents=4, years=[2000, 2010, 2020])
    >>> adversary(torch.zeros(7, 4)).shape
    torch.Size([7])
    """

    def __init__(self, cfg: YearAdversaryConfig, n_latents: int, years: ArrayLike):
        super().__init__()
        self.cfg = cfg
        years = torch.as_tensor(years, dtype=torch.float64)
        known = years[~years.isnan()]
        if len(known) < 2 or not known.std() > 0:
            raise ValueError(f"{len(known)} known years, {known.unique().tolist()[:3]}; need two that differ")
        self.register_buffer("year_mean", known.mean().float())
        self.register_buffer("year_scale", known.std(correction=0).float())
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.head = nn.Sequential(nn.Linear(n_latents, cfg.hidden), nn.SiLU(), nn.Linear(cfg.hidden, 1))
        self.optimiser = torch.optim.AdamW(self.head.parameters(), cfg.lr)
        self.head.requires_grad_(False)

    @property
    def weight(self) -> float:
        """Weight of the reversed gradient at the present step."""
        cfg = self.cfg
        return ramp(self.step.item(), cfg.steps, cfg.highest, cfg.start, cfg.end)

    def forward(self, latents: Tensor) -> Tensor:
        """The year read off latents ``(batch, latent)``, in standard deviations, ``(batch,)``."""
        return self.head(latents)[:, 0]

    def loss(self, latents: Tensor, year: Tensor) -> Tensor:
        """Huber loss of the head, reversed for whatever made the latents; unknown years (NaN) are left out.

        In training the head learns first, and the ramp moves on by a step.
        """
        with torch.autocast(latents.device.type, enabled=False):
            known = ~year.isnan()
            target = ((year[known] - self.year_mean) / self.year_scale).to(self.year_scale.dtype)
            latents = latents[known].to(target.dtype)
            if not len(target):
                return latents.sum()  # 0, and still of the graph
            weight = self.weight
            if self.training:
                self._learn(latents.detach(), target)
                self.step += 1
            return self._miss(reverse_gradient(latents, weight), target)

    def get_extra_state(self) -> dict:
        """State of the head's optimiser, for a run that is resumed."""
        return self.optimiser.state_dict()

    def set_extra_state(self, state: dict) -> None:
        """Counterpart of :meth:`get_extra_state`."""
        self.optimiser.load_state_dict(state)

    def _miss(self, latents: Tensor, target: Tensor) -> Tensor:
        return nn.functional.huber_loss(self(latents), target, delta=self.cfg.huber)

    def _learn(self, latents: Tensor, target: Tensor) -> None:
        self.head.requires_grad_(True)
        for _ in range(self.cfg.head_steps):
            self.optimiser.zero_grad()
            self._miss(latents, target).backward()
            self.optimiser.step()
        self.optimiser.zero_grad()
        self.head.requires_grad_(False)


class Adversarial(nn.Module):
    """A model trained against an adversary, as :func:`~neurolib.training.loop.fit` wants it.

    The best weights are chosen by the model's own valid loss; the model is kept, the adversary is not
    needed afterwards.

    Parameters
    ----------
    model : nn.Module
        Offers ``loss_and_latents(batch) -> (loss, latents)`` beside ``loss(batch)``.
    adversary : YearAdversary
        Its batches hold ``year (batch,)``; NaN is unknown.
    """

    def __init__(self, model: nn.Module, adversary: YearAdversary):
        super().__init__()
        self.model, self.adversary = model, adversary
        self.cfg = (getattr(model, "cfg", None), adversary.cfg)
        if hasattr(model, "weight"):
            self.weight = model.weight

    def loss(self, batch: Batch) -> Tensor:
        """The model's loss, in training with the adversary's."""
        if not self.training:
            return self.model.loss(batch)
        loss, latents = self.model.loss_and_latents(batch)
        return loss + self.adversary.loss(latents, batch["year"])
