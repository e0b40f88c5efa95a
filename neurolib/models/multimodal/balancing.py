"""Weights of tasks: losses by name in, one loss and the weights out.

A batch need not have all tasks: those that are missing keep their weights, and do not move those of others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

KAPPA = {"regression": 0.5, "classification": 1.0}  # counts and contrastive losses are as classification
KINDS = ("homoscedastic", "equal", "manual", "gradnorm")
BOUND = 5.0  # of the log-variances


class Balanced(NamedTuple):
    """One loss out of many."""

    total: Tensor
    weights: dict[str, Tensor]  # detached; what each loss was multiplied by


@dataclass(frozen=True)
class BalancingConfig:
    """How the losses of several tasks become one.

    Examples
    --------
    >>> balance = BalancingConfig("manual", {"velocity": 2.0}).build({"velocity": "regression"})
    >>> balance({"velocity": torch.tensor(3.0)}).total.item()
    6.0
    """

    kind: str = "homoscedastic"  # "homoscedastic", "equal", "manual" or "gradnorm"
    manual: Mapping[str, float] | None = None  # weights of "manual"; 1 where not named
    alpha: float = 1.5  # of "gradnorm"
    lr: float = 0.025  # of "gradnorm"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r} must be one of {KINDS}")
        if (self.manual is not None) != (self.kind == "manual"):
            raise ValueError(f"kind={self.kind!r} with manual={self.manual}; weights go with 'manual'")

    def build(self, tasks: Mapping[str, str], floors: Mapping[str, float] | None = None) -> nn.Module:
        """Make the weights.

        Parameters
        ----------
        tasks : mapping of str
            ``"regression"`` or ``"classification"`` for each task.
        floors : mapping of float, optional
            What a task's loss cannot fall below, if not 0.
        """
        if self.kind == "homoscedastic":
            return HomoscedasticWeights(tasks, floors)
        if self.kind == "gradnorm":
            return GradNorm(tasks, self.alpha, self.lr)
        return FixedWeights({name: (self.manual or {}).get(name, 1.0) for name in tasks})


class FixedWeights(nn.Module):
    """Weights that stay as they are."""

    def __init__(self, weights: Mapping[str, float]):
        super().__init__()
        self.weights = dict(weights)

    def forward(self, losses: Mapping[str, Tensor]) -> Balanced:
        """Weighted sum of the losses that are there."""
        _check(losses, self.weights)
        weights = {name: loss.new_tensor(self.weights[name]) for name, loss in losses.items()}
        return Balanced(sum(weights[name] * loss for name, loss in losses.items()), weights)


class HomoscedasticWeights(nn.Module):
    r"""Weights learned as the noise of each task.

    .. math:: L = \sum_i \kappa_i e^{-s_i} (L_i - f_i) + \tfrac12 s_i, \qquad s_i = \ln \sigma_i^2 \in [-5, 5]

    with :math:`\kappa = \tfrac12` for squared errors and 1 for the rest. A loss that could fall below its floor
    :math:`f_i` would drive :math:`s_i` to its bound. Give the log-variances a learning rate of their own, about a
    tenth, and no decay.

    Parameters
    ----------
    tasks : mapping of str
        ``"regression"`` or ``"classification"`` for each task.
    floors : mapping of float, optional
        What a task's loss cannot fall below; 0 where not named.

    Raises
    ------
    ValueError
        If a loss is of a task never declared, or below its floor.

    References
    ----------
    .. [1] Kendall, Gal & Cipolla (2018), "Multi-task learning using uncertainty to weigh losses", CVPR,
       arXiv:1705.07115.

    Examples
    --------
    >>> balance = HomoscedasticWeights({"velocity": "regression", "choice": "classification"})
    >>> balance({"velocity": torch.tensor(3.0)}).total.item()  # the choice is not there
    1.5
    """

    def __init__(self, tasks: Mapping[str, str], floors: Mapping[str, float] | None = None):
        super().__init__()
        floors = dict(floors or {})
        for name, kind in tasks.items():
            if kind not in KAPPA or "." in name:
                raise ValueError(
                    f"task {name!r} of kind {kind!r}; kinds are {sorted(KAPPA)}, names have no dot"
                )
        if unknown := sorted(floors.keys() - tasks.keys()):
            raise ValueError(f"a floor for {unknown[0]!r}, which is not among the tasks {sorted(tasks)}")
        if endless := [name for name, floor in floors.items() if not math.isfinite(floor)]:
            raise ValueError(
                f"the loss of {endless[0]!r} has no finite floor; weigh it by hand, outside of this"
            )
        self.kappa = {name: KAPPA[kind] for name, kind in tasks.items()}
        self.floors = {name: float(floors.get(name, 0.0)) for name in tasks}
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(1)) for name in tasks})

    def forward(self, losses: Mapping[str, Tensor]) -> Balanced:
        """Weigh the losses that are there."""
        _check(losses, self.kappa)
        above = {name: loss - self.floors[name] for name, loss in losses.items()}
        least = torch.stack([value.detach().float() for value in above.values()])
        if (least < -1e-4).any():
            name = list(above)[int((least < -1e-4).nonzero()[0])]
            raise ValueError(
                f"loss {float(losses[name]):.4g} of {name!r} is below its floor {self.floors[name]:.4g}; a negative "
                "likelihood has no lowest weight: give its floor, or leave it out"
            )
        total, weights = 0.0, {}
        for name, loss in above.items():
            s = _Bounded.apply(self.log_variance[name])[0]
            weight = self.kappa[name] * torch.exp(-s)
            total, weights[name] = total + weight * loss + s / 2, weight.detach()
        return Balanced(total, weights)


class _Bounded(torch.autograd.Function):
    """Clamping whose gradient still leads back inside."""

    @staticmethod
    def forward(ctx, s: Tensor) -> Tensor:
        ctx.save_for_backward(s)
        return s.clamp(-BOUND, BOUND)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors
        outward = ((s >= BOUND) & (gradient < 0)) | ((s <= -BOUND) & (gradient > 0))
        return gradient.masked_fill(outward, 0.0)


class GradNorm(nn.Module):
    r"""Weights that make the tasks' gradients alike in size, larger for tasks that learn slowly.

    :meth:`update` takes one step on :math:`\sum_i |w_i n_i - \bar G r_i^\alpha| / \bar n`, where :math:`n_i` is the
    size of a task's gradient at a shared tensor, :math:`\bar G` the mean of :math:`w_i n_i`, and :math:`r_i` the
    task's loss over its first, relative to the others. (The paper does not divide by the mean :math:`\bar n`, so its
    step depends on the scale of the losses.) Weights of the tasks at hand keep their sum.

    References
    ----------
    .. [1] Chen et al. (2018), "GradNorm: gradient normalization for adaptive loss balancing in deep multitask
       networks", ICML, arXiv:1711.02257.

    Examples
    --------
    >>> shared = torch.ones(1, requires_grad=True)
    >>> balance = GradNorm(["small", "large"], lr=0.1)
    >>> balance.update({"small": shared.sum(), "large": 10 * shared.sum()}, shared)
    >>> [round(w, 3) for w in balance.weights.tolist()]  # (1 + 0.1 / 5.5, 1 - 1 / 5.5), rescaled
    [1.109, 0.891]
    """

    def __init__(self, tasks: Iterable[str], alpha: float = 1.5, lr: float = 0.025):
        super().__init__()
        self.row = {name: row for row, name in enumerate(tasks)}
        if alpha < 0 or not lr > 0 or not self.row:
            raise ValueError(
                f"alpha={alpha} must be 0 or more, lr={lr} positive, and tasks {list(self.row)} not empty"
            )
        self.alpha, self.lr = alpha, lr
        self.register_buffer("weights", torch.ones(len(self.row)))
        self.register_buffer("first", torch.full((len(self.row),), math.nan))

    def forward(self, losses: Mapping[str, Tensor]) -> Balanced:
        """Weighted sum of the losses that are there."""
        _check(losses, self.row)
        weights = {name: self.weights[self.row[name]].clone() for name in losses}
        return Balanced(sum(weights[name] * loss for name, loss in losses.items()), weights)

    def update(self, losses: Mapping[str, Tensor], shared: Tensor) -> None:
        """Move the weights by one step, before the backward pass.

        Parameters
        ----------
        losses : mapping of Tensor
        shared : Tensor
            That all these losses depend on, such as the last shared weight.
        """
        _check(losses, self.row)
        rows = torch.tensor([self.row[name] for name in losses], device=self.weights.device)
        norms = torch.stack(list(gradient_norms(losses, shared).values())).to(self.weights)
        now = torch.stack([loss.detach() for loss in losses.values()]).to(self.weights)
        self.first[rows] = torch.where(self.first[rows].isnan(), now, self.first[rows])
        if len(rows) < 2 or not norms.mean() > 0:
            return
        rate = now / self.first[rows].clamp(min=1e-12)
        rate = rate / rate.mean().clamp(min=1e-12)
        weights = self.weights[rows]
        size = weights * norms
        moved = weights - self.lr * norms / norms.mean() * (size - size.mean() * rate**self.alpha).sign()
        moved = moved.clamp(min=1e-3)
        self.weights[rows] = moved * weights.sum() / moved.sum()


def gradient_norms(losses: Mapping[str, Tensor], shared: Tensor) -> dict[str, Tensor]:
    """Size of each loss's gradient at a shared tensor; the graph is kept."""
    norms = {}
    for name, loss in losses.items():
        gradient = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)[0]
        norms[name] = shared.new_zeros(()) if gradient is None else gradient.norm().detach()
    return norms


def project_conflicts(gradients: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Sum of tasks' gradients ``(n_tasks, n)`` from each of which what opposes another was taken: PCGrad.

    References
    ----------
    .. [1] Yu et al. (2020), "Gradient surgery for multi-task learning", NeurIPS, arXiv:2001.06782.

    Examples
    --------
    >>> project_conflicts(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]))  # (1/2, 1/2) + (0, 1)
    tensor([0.5000, 1.5000])
    """
    sizes = gradients.square().sum(1).clamp(min=1e-30)
    total = torch.zeros_like(gradients[0])
    for i, gradient in enumerate(gradients):
        for j in torch.randperm(len(gradients), generator=generator).tolist():
            if j != i:
                against = (gradient @ gradients[j]).clamp(max=0)
                gradient = gradient - against / sizes[j] * gradients[j]
        total = total + gradient
    return total


def backward_without_conflicts(
    losses: Mapping[str, Tensor], parameters: Sequence[Tensor], generator: torch.Generator | None = None
) -> None:
    """Add to ``parameters`` the gradient of :func:`project_conflicts`, instead of that of the sum."""
    parameters = [p for p in parameters if p.requires_grad]
    rows = []
    for loss in losses.values():
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        rows.append(
            torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for p, g in zip(parameters, found, strict=True)
                ]
            )
        )
    parts = project_conflicts(torch.stack(rows), generator).split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        part = part.view_as(parameter)
        parameter.grad = part if parameter.grad is None else parameter.grad + part


def _check(losses: Mapping[str, Tensor], declared: Iterable[str]) -> None:
    if not losses:
        raise ValueError("no losses; a batch has at least one task")
    if unknown := [name for name in losses if name not in declared]:
        raise ValueError(f"task {unknown[0]!r} was never declared; there are {sorted(declared)}")
