"""Transfer: a trained model in, the same model with fewer or other weights to train out.

Everything here works on any ``torch.nn.Module``; names of parts are those of its children.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

# linear layers that get a low-rank part: of attention, and into and out of the state spaces
LORA_TARGETS = ("query", "key_value", "qkv", "enter", "leave")


class Freezer:
    """Which parameters were trainable before they were frozen, so that thawing restores just that.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> model[0].bias.requires_grad_(False).requires_grad
    False
    >>> freezer = Freezer(model)
    >>> freezer.freeze(["0"]); freezer.thaw(["0"])
    >>> [p.requires_grad for p in model.parameters()]
    [True, False, True, True]
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self.before: dict[str, bool] = {}

    def freeze(self, parts: Iterable[str]) -> None:
        """Stop training these parts; their dropout is off, too, from the next ``train()`` on."""
        for name, param in self._named(parts):
            self.before.setdefault(name, param.requires_grad)
            param.requires_grad_(False)
            param.grad = None

    def thaw(self, parts: Iterable[str] = ()) -> None:
        """Train these parts again as far as they were trained before; all of them by default."""
        for name, param in self._named(parts) if parts else list(self.model.named_parameters()):
            if name in self.before:
                param.requires_grad_(self.before.pop(name))

    def settle(self) -> None:
        """Put modules without any trainable parameter of their frozen ones into evaluation mode."""
        total, frozen = Counter(), Counter()
        for key, _ in self.model.named_parameters(remove_duplicate=False):
            at = key.find(".")
            while at > 0:  # every module that the parameter is in
                total[key[:at]] += 1
                frozen[key[:at]] += key in self.before
                at = key.find(".", at + 1)
        for name, module in self.model.named_modules():
            if total[name] and frozen[name] == total[name]:
                module.eval()

    def _named(self, parts: Iterable[str]) -> Iterator[tuple[str, nn.Parameter]]:
        parts = [parts] if isinstance(parts, str) else list(parts)
        known = dict(self.model.named_modules())
        for part in parts:
            if part not in known and part not in dict(self.model.named_parameters()):
                tops = sorted(name for name, _ in self.model.named_children())
                raise ValueError(f"the model has no part {part!r}; it has {', '.join(tops)}")
        for name, param in self.model.named_parameters():
            if any(name == part or name.startswith(part + ".") for part in parts):
                yield name, param


class LowRank(nn.Module):
    r"""A parametrisation :math:`W + \frac{\alpha}{r} B A` of a weight, which starts at :math:`W`.

    References
    ----------
    .. [1] Hu et al. (2022), "LoRA: low-rank adaptation of large language models", ICLR, arXiv:2106.09685.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        rows, columns = weight.shape
        self.a = nn.Parameter(weight.new_empty(rank, columns))
        self.b = nn.Parameter(weight.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """The weight in use."""
        return weight + self.scale * (self.b @ self.a)


def add_low_rank(
    model: nn.Module, rank: int = 8, alpha: float = 16.0, targets: Iterable[str] = LORA_TARGETS
) -> list[str]:
    """Freeze a model and give its linear layers a trainable low-rank part, in place.

    Returns
    -------
    list of str
        Names of the layers that got one.

    Raises
    ------
    ValueError
        If the rank is not positive or no layer has such a name.

    Examples
    --------
    >>> block = nn.ModuleDict({"query": nn.Linear(4, 4), "out": nn.Linear(4, 2)})
    >>> add_low_rank(block, rank=2)
    ['query']
    >>> sum(p.numel() for p in block.parameters() if p.requires_grad)  # 2 * (4 + 4)
    16
    """
    if rank < 1:
        raise ValueError(f"rank={rank} must be at least 1")
    targets = tuple(targets)
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    if not found:
        raise ValueError(f"no linear layer of the model is called {' or '.join(targets)}")
    for param in model.parameters():
        param.requires_grad_(False)
    for _, layer in found:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank, alpha))
    return [name for name, _ in found]


def merge_low_rank(model: nn.Module) -> None:
    """Turn low-rank parts into plain weights, in place; outputs stay as they are."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


class Probe(nn.Module):
    """A linear readout of features that do not train.

    Parameters
    ----------
    d, n_outputs : int
    categorical : bool
        Outputs are classes (cross-entropy), else numbers (mean squared error).
    """

    def __init__(self, d: int, n_outputs: int, categorical: bool = False):
        super().__init__()
        self.readout, self.categorical = nn.Linear(d, n_outputs), categorical

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss on ``features (B, d)`` and ``target``."""
        said = self.readout(batch["features"])
        if self.categorical:
            return F.cross_entropy(said, batch["target"].long())
        return F.mse_loss(said, batch["target"])


@torch.no_grad()
def n_trainable(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters, and all of them.

    Examples
    --------
    >>> n_trainable(nn.Linear(3, 2).requires_grad_(False))
    (0, 8)
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trains in sizes if trains), sum(n for n, _ in sizes)
