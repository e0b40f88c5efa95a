r"""Fisher information of weights and units: a model and inputs in, what its answers depend on out.

.. math::
    F = \mathbb{E}_x\, \mathbb{E}_{y \sim p(\cdot \mid x)}\, g g^\top, \qquad g = \nabla \log p(y \mid x)

with answers drawn from the model. With answers of the data instead it is called empirical, and is another thing: a
network that fits its data has almost no gradient at them. Gradients are squared input by input; the square of a
batch's gradient is neither.

References
----------
.. [1] Kunstner, Balles & Hennig (2019), "Limitations of the empirical Fisher approximation for natural gradient
   descent", NeurIPS, arXiv:1905.12558.
.. [2] Molchanov et al. (2019), "Importance estimation for neural network pruning", CVPR, arXiv:1906.10771.
.. [3] LeCun, Denker & Solla (1990), "Optimal brain damage", NeurIPS.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.interpret.activations import call, evaluating, record
from neurolib.models.sites import Site

ANSWERS = ("sampled", "data", "exact")
LIKELIHOODS = ("categorical", "gaussian", "poisson")
Run = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True)
class FisherConfig:
    """What is differentiated.

    Parameters
    ----------
    likelihood : {"categorical", "gaussian", "poisson"}
        What the model's output parametrises: logits ``(B, ..., class)``, means with unit variance, or log rates.
        Places between batch and class, such as bins, belong to one input, and their gradients are summed.
    answers : {"sampled", "data", "exact"}
        Drawn from the model, the data's own (the empirical Fisher), or every class by its probability.
    n_draws : int
        Of answers per input.
    seed : int
    """

    likelihood: str = "categorical"
    answers: str = "sampled"
    n_draws: int = 1
    seed: int = 0

    def __post_init__(self):
        if self.likelihood not in LIKELIHOODS or self.answers not in ANSWERS:
            raise ValueError(
                f"likelihood={self.likelihood!r}, answers={self.answers!r}; want {LIKELIHOODS}, {ANSWERS}"
            )
        if self.answers == "exact" and self.likelihood != "categorical":
            raise ValueError("answers='exact' sums over classes; it needs likelihood='categorical'")
        if self.n_draws < 1:
            raise ValueError(f"n_draws={self.n_draws} must be at least 1")


def diagonal_fisher(
    model: nn.Module,
    inputs: Tensor,
    cfg: FisherConfig | None = None,
    targets: Tensor | None = None,
    run: Run = call,
) -> dict[str, Tensor]:
    """Diagonal of the Fisher information, one number per trained weight.

    Parameters
    ----------
    model : nn.Module
        Without layers that mix inputs of a batch, and in evaluation mode meanwhile.
    inputs : Tensor, shape (B, ...), or mapping or tuple of such
    cfg : FisherConfig, optional
    targets : Tensor, optional
        For ``answers="data"``: classes ``(B, ...)``, or values of the output's shape.
    run : callable

    Returns
    -------
    dict of str to Tensor
        By name, each of the shape of the weight; mean over inputs and draws.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> cfg = FisherConfig("gaussian", n_draws=2000)  # x^2 for unit noise
    >>> abs(diagonal_fisher(model, torch.full((1, 1), 3.0), cfg)["weight"].item() - 9) < 1
    True
    """
    cfg, total, n = cfg or FisherConfig(), {}, _n_rows(inputs)
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not weights:
        raise ValueError("no weight of the model is trained, so there is nothing to differentiate")
    with evaluating(model), torch.enable_grad():
        for row in range(n):
            output = run(model, _row(inputs, row))
            for weight, loss in _log_likelihoods(
                output, cfg, None if targets is None else targets[row : row + 1], row
            ):
                grads = torch.autograd.grad(loss, weights.values(), retain_graph=True, allow_unused=True)
                for (name, p), grad in zip(weights.items(), grads, strict=True):
                    square = torch.zeros_like(p) if grad is None else weight * grad.square() / n
                    total[name] = total[name] + square if name in total else square
    return {name: value.detach() for name, value in total.items()}


def unit_fisher(
    model: nn.Module,
    inputs: Any,
    site: str | Site,
    cfg: FisherConfig | None = None,
    targets: Tensor | None = None,
    run: Run = call,
) -> Tensor:
    r"""Fisher information of a gate on each unit of a site, ``(n_units,)``.

    A gate that multiplies unit :math:`u` everywhere, at 1, has the gradient :math:`\sum_t a_{ut} g_{ut}`; its square is
    averaged over inputs. One backward pass for all units, in the space of activations.

    Parameters
    ----------
    model, inputs, cfg, targets, run
        As for :func:`diagonal_fisher`.
    site : str or Site
        Its last axis counts the units.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)).requires_grad_(False)
    >>> model[0].weight[:], model[1].weight[:] = torch.eye(2), torch.tensor([[1.0, 0.0]])
    >>> found = unit_fisher(model, torch.ones(1, 2), "0", FisherConfig("gaussian", n_draws=2000))
    >>> abs(found[0].item() - 1) < 0.2, found[1].item()
    (True, 0.0)
    """
    cfg = cfg or FisherConfig()
    acts = record(model, inputs, [site], gradients=True, run=run)
    name = next(iter(acts))
    value, n = acts[name], _n_rows(inputs)
    if len(value) != n:
        raise ValueError(f"site {name!r} has {len(value)} rows for {n} inputs; its first axis is no batch")
    total = value.new_zeros(value.shape[-1])
    for weight, losses in _log_likelihoods(acts.output, cfg, targets):
        (grad,) = torch.autograd.grad(losses.sum(), value, retain_graph=True, allow_unused=True)
        if grad is None:
            raise ValueError(f"the output does not depend on site {name!r}")
        gate = (value * grad).flatten(1, -2).sum(1) if value.dim() > 2 else value * grad
        weight = weight[:, None] if isinstance(weight, Tensor) else weight
        total += (weight * gate.square()).mean(0).detach()
    return total


class GroupFisher(NamedTuple):
    """Fisher information of groups of weights: sums and means rank them differently."""

    total: dict[str, float]
    mean: dict[str, float]
    size: dict[str, int]


def grouped_fisher(fisher: Mapping[str, Tensor], by: str = "layer") -> GroupFisher:
    """Information of whole weights, of their output channels, or of layers.

    Parameters
    ----------
    fisher : dict of Tensor
        Of :func:`diagonal_fisher`.
    by : {"param", "channel", "layer"}
        ``"layer"`` is what stands before the last dot of the name.

    Examples
    --------
    >>> found = grouped_fisher({"a.weight": torch.tensor([[1.0, 3.0], [0.0, 0.0]]), "a.bias": torch.tensor([2.0, 0.0])})
    >>> found.total, found.size
    ({'a': 6.0}, {'a': 6})
    """
    if by not in ("param", "channel", "layer"):
        raise ValueError(f"by={by!r} must be param, channel or layer")
    total: dict[str, float] = {}
    size: dict[str, int] = {}
    for name, value in fisher.items():
        parts = {name: value}
        if by == "layer":
            parts = {name.rpartition(".")[0] or name: value}
        elif by == "channel":
            parts = {f"{name}[{i}]": row for i, row in enumerate(value)} if value.dim() else {name: value}
        for key, part in parts.items():
            total[key] = total.get(key, 0.0) + float(part.sum())
            size[key] = size.get(key, 0) + part.numel()
    return GroupFisher(total, {key: total[key] / size[key] for key in total}, size)


class PruningMasks(NamedTuple):
    """Weights to keep, and the share that is not."""

    keep: dict[str, Tensor]
    sparsity: float


def fisher_pruning_masks(
    model: nn.Module,
    fisher: Mapping[str, Tensor],
    sparsity: float,
    scope: str = "global",
    also: Iterable[str] = (),
) -> PruningMasks:
    """Keep the weights whose removal costs most, ``F w^2 / 2``, an exact number of them also where many are equal.

    Parameters
    ----------
    model : nn.Module
    fisher : dict of Tensor
    sparsity : float
        Share of the weights to remove.
    scope : {"global", "layer"}
        Whether weights compete with all others or with those of their own tensor.
    also : iterable of str
        Names of tensors to prune although they have one axis (biases, norms) or belong to an embedding.

    Examples
    --------
    >>> model = nn.Linear(4, 1, bias=False)
    >>> masks = fisher_pruning_masks(model, {"weight": torch.zeros(1, 4)}, 0.5)  # all equal
    >>> int(masks.keep["weight"].sum()), masks.sparsity
    (2, 0.5)
    """
    if not 0 <= sparsity < 1 or scope not in ("global", "layer"):
        raise ValueError(f"sparsity={sparsity} must be a share below 1, scope={scope!r} 'global' or 'layer'")
    embeddings = {
        f"{path}.weight" for path, module in model.named_modules() if isinstance(module, nn.Embedding)
    }
    weights = dict(model.named_parameters())
    also = set(also)
    unknown = (set(fisher) | also) - set(weights)
    if unknown:
        raise ValueError(
            f"the model has no weight {sorted(unknown)[0]!r}; is the Fisher information another model's?"
        )
    chosen = [k for k in fisher if k in also or (weights[k].dim() > 1 and k not in embeddings)]
    if not chosen:
        raise ValueError("no weight is left to prune; name biases or embeddings in also=")
    cost = {name: (fisher[name] * weights[name].detach().square() / 2).flatten() for name in chosen}
    groups = [chosen] if scope == "global" else [[name] for name in chosen]
    keep = {name: torch.ones(len(cost[name]), dtype=torch.bool, device=cost[name].device) for name in chosen}
    for names in groups:
        flat = torch.cat([cost[name] for name in names])
        stays = torch.ones(len(flat), dtype=torch.bool, device=flat.device)
        stays[flat.argsort(stable=True)[: round(sparsity * len(flat))]] = False
        for name, part in zip(names, stays.split([len(cost[name]) for name in names]), strict=True):
            keep[name] = part
    n = sum(len(part) for part in keep.values())
    gone = n - sum(int(part.sum()) for part in keep.values())
    return PruningMasks({name: part.view_as(weights[name]) for name, part in keep.items()}, gone / n)


def _log_likelihoods(
    output: Tensor, cfg: FisherConfig, targets: Tensor | None, row: int = 0
) -> Iterator[tuple[Any, Tensor]]:
    """Weights of answers and their log likelihoods ``(B,)``, an answer at a time."""
    if not isinstance(output, Tensor) or output.dim() < 2:
        raise ValueError("the model must give one tensor (batch, ..., output); say which with run=")
    if cfg.answers == "data":
        if targets is None:
            raise ValueError("answers='data' needs targets")
        yield 1.0, _log_p(output, targets, cfg.likelihood)
        return
    if cfg.answers == "exact":
        if output.dim() != 2:
            raise ValueError(
                f"answers='exact' needs one answer per input; the output is {tuple(output.shape)}"
            )
        p = output.detach().softmax(-1)
        for k in range(output.shape[1]):
            target = torch.full(output.shape[:1], k, device=output.device)
            yield (p[:, k] if len(p) > 1 else float(p[0, k])), _log_p(output, target, "categorical")
        return
    draw = torch.Generator(device=output.device).manual_seed(cfg.seed + 7919 * row)
    for _ in range(cfg.n_draws):
        at = output.detach()
        if cfg.likelihood == "gaussian":
            target = at + torch.randn(at.shape, generator=draw, device=at.device, dtype=at.dtype)
        elif cfg.likelihood == "poisson":
            target = torch.poisson(at.exp(), generator=draw)
        else:
            flat = at.softmax(-1).flatten(0, -2)
            target = torch.multinomial(flat, 1, generator=draw).view(at.shape[:-1])
        yield 1.0 / cfg.n_draws, _log_p(output, target, cfg.likelihood)


def _log_p(output: Tensor, target: Tensor, likelihood: str) -> Tensor:
    """Log likelihood of each input ``(B,)``, up to what does not depend on the output."""
    if likelihood == "categorical":
        loss = F.cross_entropy(output.movedim(-1, 1), target.long(), reduction="none")
    elif likelihood == "gaussian":
        loss = (output - target).square() / 2
    else:
        loss = output.exp() - target * output
    return -loss.flatten(1).sum(1) if loss.dim() > 1 else -loss


def _n_rows(inputs: Any) -> int:
    if isinstance(inputs, Mapping):
        inputs = next(iter(inputs.values()))
    elif isinstance(inputs, tuple):
        inputs = inputs[0]
    return len(inputs)


def _row(inputs: Any, row: int) -> Any:
    if isinstance(inputs, Mapping):
        return {name: value[row : row + 1] for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(value[row : row + 1] for value in inputs)
    return inputs[row : row + 1]
