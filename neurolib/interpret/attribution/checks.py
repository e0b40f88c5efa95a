"""Can a map be believed? A map and a model in, what happens when the model loses what the map calls important out.

Two questions. Does the answer go when the inputs that the map ranks first go (deletion), and come when they come
(insertion), faster than in random order? And does the map change when the weights of the model do?
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurolib.interpret.attribution.integrated_gradients import Score, starting_point
from neurolib.interpret.attribution.maps import Attribution, rank_correlation
from neurolib.interpret.attribution.simple import Blocks, block_index
from neurolib.interpret.attribution.tree import Inputs, rebuilt, rows, scores, signals

LIMIT = 0.5  # rank correlation with the map of a model of random weights, from which on a map fails


class Curves(NamedTuple):
    r"""What is left of an answer while its inputs go, or come.

    Scores are :math:`s\,(F - F(x')) / \overline{|F(x) - F(x')|}` with the sign :math:`s` of each row's difference, so
    that a row goes from about one to zero in deletion, and the mean over rows from one.

    Parameters
    ----------
    share : array, shape (n_steps + 1,)
        Of the blocks that are gone, or there.
    deletion, insertion : array, shape (B, n_steps + 1)
    """

    share: NDArray
    deletion: NDArray
    insertion: NDArray

    @property
    def areas(self) -> tuple[NDArray, NDArray]:
        """Area under deletion (small is good) and insertion (large is good), ``(B,)`` each."""
        return tuple(np.trapezoid(curve, self.share, axis=1) for curve in (self.deletion, self.insertion))


class Gain(NamedTuple):
    """How much better than random order a map is, row by row; above zero is good.

    Parameters
    ----------
    deletion, insertion : array, shape (B,)
        Differences of areas, paired over rows.
    """

    deletion: NDArray
    insertion: NDArray


class Randomisation(NamedTuple):
    """How a map changes while a model is made random from the top down.

    Parameters
    ----------
    stages : tuple of str
        What was made random, each beside all before it.
    size, signed : array, shape (n_stages, B)
        Rank correlation of absolute and of signed values with the map of the trained model. A map that has
        become constant has none, 0; one that is the same has 1.
    """

    stages: tuple[str, ...]
    size: NDArray
    signed: NDArray

    def passes(self, limit: float = LIMIT) -> bool:
        """Whether sizes of the map have changed by the time all stages are random."""
        return bool(self.size[-1].mean() < limit)


def block_sums(made: Attribution, blocks: Blocks | None = None) -> Tensor:
    """A map summed over blocks, tensor after tensor, ``(B, n_blocks)``.

    Examples
    --------
    >>> one = Attribution({"x": torch.tensor([[1.0, 2.0, 3.0, 4.0]])}, {"x": ("batch", "channel")})
    >>> block_sums(one, {"x": (2,)}).tolist()
    [[3.0, 7.0]]
    """
    parts = []
    for name, value in made.values.items():
        index = block_index(tuple(value.shape[1:]), (blocks or {}).get(name)).flatten().to(value.device)
        sums = value.new_zeros(len(value), int(index.max()) + 1)
        parts.append(sums.index_add_(1, index, value.flatten(1)))
    return torch.cat(parts, 1)


def deletion_insertion(
    score: Score,
    inputs: Inputs,
    ranking: Tensor,
    baseline: Inputs | None = None,
    blocks: Blocks | None = None,
    n_steps: int = 10,
    signed: bool = True,
    n_rows: int = 256,
    seed: int = 0,
) -> Curves:
    """Curves of one order, blocks of all tensors in one list.

    Parameters
    ----------
    score : callable
    inputs : Inputs
    ranking : Tensor, shape (B, n_blocks)
        Large comes first, as from :func:`block_sums`; ties in random order.
    baseline : Inputs, optional
        What replaces what is gone; zeros by default.
    blocks : dict of tuple of int, optional
        As for :func:`~neurolib.interpret.attribution.simple.occlusion`.
    n_steps : int
    signed : bool
        Turn the ranking round where the score lies below that of the baseline, as is right for maps that
        have a sign; False for those that do not.
    n_rows : int
        Rows in one pass of the model.
    seed : int
        For ties.

    Returns
    -------
    Curves

    References
    ----------
    .. [1] Samek et al. (2017), "Evaluating the visualization of what a deep neural network has learned", IEEE
       Trans. Neural Netw. Learn. Syst. 28, 2660-2673.
    .. [2] Petsiuk, Das & Saenko (2018), "RISE: randomized input sampling for explanation of black-box models",
       BMVC, arXiv:1806.07421.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 1.0]])
    >>> made = deletion_insertion(lambda x: x.sum(1), x, x, n_steps=2)
    >>> made.deletion.tolist(), made.insertion.tolist()
    ([[1.0, 0.25, 0.0]], [[0.0, 0.75, 1.0]])
    """
    top = {name: value.detach() for name, value in signals(inputs).items()}
    low, n = starting_point(top, baseline), len(ranking)
    index, count = {}, 0
    for name, value in top.items():
        index[name] = count + block_index(tuple(value.shape[1:]), (blocks or {}).get(name)).to(value.device)
        count = int(index[name].max()) + 1
    if ranking.shape != (len(next(iter(top.values()))), count):
        raise ValueError(
            f"ranking {tuple(ranking.shape)} for {n} rows of {count} blocks; rank with block_sums"
        )

    def run(replaced: Tensor, row: Tensor) -> Tensor:
        """Scores with blocks ``(k, n_blocks)`` of some rows replaced."""
        values = {}
        for name, value in top.items():
            values[name] = torch.where(replaced[:, index[name]], low[name][row], value[row])
        return scores(score, rebuilt(rows(inputs, row, n), values), len(row)).double()

    every = torch.arange(n, device=ranking.device)
    with torch.no_grad():
        whole, empty = (
            torch.cat(
                [run(torch.full((len(at), count), full).to(at.device), at) for at in every.split(n_rows)]
            )
            for full in (False, True)
        )
        sign = torch.where(whole < empty, -1.0, 1.0).double()
        place = _places(ranking * sign[:, None] if signed else ranking, seed)
        share = torch.linspace(0, 1, n_steps + 1, dtype=torch.float64)
        taken = (share * count).round().long().to(ranking.device)
        found = torch.zeros(2, n * len(taken), dtype=torch.float64, device=ranking.device)
        for pairs in torch.arange(n * len(taken), device=ranking.device).split(n_rows):
            row, step = pairs // len(taken), pairs % len(taken)
            first = place[row] < taken[step][:, None]
            found[0, pairs], found[1, pairs] = run(first, row), run(~first, row)
    scale = (whole - empty).abs().mean().clamp(min=torch.finfo(torch.float64).tiny)
    curves = sign[:, None] * (found.view(2, n, -1) - empty[:, None]) / scale
    return Curves((taken.double() / count).cpu().numpy(), *curves.cpu().numpy())


def random_curves(
    score: Score, inputs: Inputs, n_blocks: int, n_orders: int = 3, seed: int = 0, **settings
) -> list[Curves]:
    """Curves of random orders, which every map of the same score, baseline and blocks is compared with."""
    n = len(next(iter(signals(inputs).values())))
    draw = torch.Generator().manual_seed(seed)
    orders = [torch.rand(n, n_blocks, generator=draw) for _ in range(n_orders)]
    return [deletion_insertion(score, inputs, order, signed=False, **settings) for order in orders]


def gain(made: Curves, by_chance: Sequence[Curves]) -> Gain:
    """Areas of a map against the mean of random orders."""
    if not by_chance:
        raise ValueError("no random order to compare with; see random_curves")
    deletion, insertion = np.mean([one.areas for one in by_chance], axis=0)
    own_deletion, own_insertion = made.areas
    return Gain(deletion - own_deletion, own_insertion - insertion)


def compared(
    score: Score,
    inputs: Inputs,
    maps: Mapping[str, Attribution],
    unsigned: Collection[str] = (),
    blocks: Blocks | None = None,
    n_orders: int = 3,
    **settings,
) -> dict[str, tuple[Curves, Gain]]:
    """Curves and gains of several maps, all against the same random orders.

    Parameters
    ----------
    score : callable
    inputs : Inputs
    maps : dict of Attribution
        Shaped like the inputs.
    unsigned : collection of str
        Maps that know no sign of the score, such as attention.
    blocks : dict of tuple of int, optional
    n_orders : int
    **settings
        ``baseline``, ``n_steps``, ``n_rows`` and ``seed`` of :func:`deletion_insertion`.
    """
    sums = {name: block_sums(made, blocks) for name, made in maps.items()}
    n_blocks = next(iter(sums.values())).shape[1]
    chance = random_curves(score, inputs, n_blocks, n_orders, blocks=blocks, **settings)
    found = {}
    for name, ranking in sums.items():
        signed = name not in unsigned
        curves = deletion_insertion(score, inputs, ranking, blocks=blocks, signed=signed, **settings)
        found[name] = curves, gain(curves, chance)
    return found


def randomisation_cascade(
    model: nn.Module,
    explain: Callable[[nn.Module], Attribution],
    stages: Sequence[str] | None = None,
    fresh: nn.Module | None = None,
    seed: int = 0,
) -> Randomisation:
    """Maps of a model whose parts become random, the one nearest the answer first.

    A map that shows what a network has learned must change. One that does not, such as an edge detector, shows
    the input alone, however plausible it looks.

    Parameters
    ----------
    model : nn.Module
        Left as it is; a copy is changed.
    explain : callable
        ``explain(model)`` gives the map of a model like this one.
    stages : sequence of str, optional
        Beginnings of the names of parameters, from the top down; by default every submodule with
        parameters of its own, last first.
    fresh : nn.Module, optional
        Another model of the same shape, whose random weights are taken; without it, modules are initialised
        anew where they know how, and what is left is shuffled.
    seed : int

    Returns
    -------
    Randomisation

    Raises
    ------
    ValueError
        If a stage has no parameters.

    References
    ----------
    .. [1] Adebayo et al. (2018), "Sanity checks for saliency maps", NeurIPS, arXiv:1810.03292.
    """
    changed = copy.deepcopy(model)
    if stages is None:
        owners = [name for name, part in model.named_modules() if any(True for _ in part.parameters(False))]
        stages = owners[::-1]
    trained, size, signed = explain(model).flat, [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for stage in stages:
            _randomise(changed, stage, fresh)
            made = explain(changed).flat
            size.append(_agreement(trained.abs(), made.abs()))
            signed.append(_agreement(trained, made))
    return Randomisation(tuple(stages), np.stack(size), np.stack(signed))


def _places(ranking: Tensor, seed: int) -> Tensor:
    """Place of each block in its row's order, 0 for the largest."""
    mixed = torch.randperm(ranking.shape[1], generator=torch.Generator().manual_seed(seed)).to(ranking.device)
    order = mixed[ranking[:, mixed].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(1)


def _agreement(a: Tensor, b: Tensor) -> NDArray:
    found = np.nan_to_num(rank_correlation(a, b), nan=0.0)
    same = (a == b).all(1).cpu().numpy()
    return np.where(same, 1.0, found)


@torch.no_grad()
def _randomise(model: nn.Module, stage: str, fresh: nn.Module | None) -> None:
    inside = {
        name: p for name, p in model.named_parameters() if f"{name}.".startswith(f"{stage}.") or not stage
    }
    if not inside:
        known = ", ".join(dict.fromkeys(name.partition(".")[0] for name, _ in model.named_parameters()))
        raise ValueError(f"no parameters under {stage!r}; the model has {known}")
    if fresh is not None:
        new = dict(fresh.named_parameters())
        for name, parameter in inside.items():
            if name not in new or new[name].shape != parameter.shape:
                raise ValueError(f"the fresh model has no {name!r} of shape {tuple(parameter.shape)}")
            parameter.copy_(new[name])
        return
    done = set()
    for path, part in model.named_modules():
        own = {f"{path}.{name}" if path else name for name, _ in part.named_parameters(recurse=False)}
        if own and own <= inside.keys() and hasattr(part, "reset_parameters"):
            part.reset_parameters()
            done |= own
    for name in inside.keys() - done:
        parameter = inside[name]
        mixed = torch.randperm(parameter.numel()).to(parameter.device)
        parameter.copy_(parameter.flatten()[mixed].view_as(parameter))
