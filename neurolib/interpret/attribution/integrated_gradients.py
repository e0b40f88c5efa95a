r"""Integrated gradients: inputs of any nesting and a baseline in, a map that adds up to the answer's difference out.

.. math:: a_i = (x_i - x'_i) \int_0^1 \frac{\partial F}{\partial x_i}\big(x' + \alpha (x - x')\big)\, d\alpha,
          \qquad \sum_i a_i = F(x) - F(x')

over all tensors of the input jointly: one path, along which every modality grows at the same rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Patch, patch, record
from neurolib.interpret.attribution.maps import ROUNDING, Attribution
from neurolib.interpret.attribution.tree import (
    Inputs,
    all_rows,
    axes_of,
    leaves,
    rebuilt,
    rows,
    scores,
    signals,
)
from neurolib.models.sites import Site

Score = Callable[[Inputs], Tensor]


@dataclass(frozen=True)
class PathConfig:
    """How finely the integral is taken.

    Parameters
    ----------
    nodes : int
        Of the Gauss-Legendre rule at first; doubled for the rows whose sum misses the difference.
    most : int
        Where doubling ends; what is not complete by then is flagged in :attr:`Attribution.complete`.
    tolerance : float
        Share of the difference by which the sum may miss it.
    rows : int
        Rows in one pass of the model, so that memory does not grow with nodes.

    Raises
    ------
    ValueError
        If a number makes no sense.

    Examples
    --------
    >>> PathConfig(nodes=32, most=512).doublings
    [32, 64, 128, 256, 512]
    """

    nodes: int = 32
    most: int = 512
    tolerance: float = 1e-3
    rows: int = 256

    def __post_init__(self):
        if not 1 <= self.nodes <= self.most:
            raise ValueError(f"nodes={self.nodes} must be at least 1 and at most most={self.most}")
        if self.rows < 1 or not self.tolerance > 0:
            raise ValueError(f"rows={self.rows} must be at least 1 and tolerance={self.tolerance} positive")

    @property
    def doublings(self) -> list[int]:
        """Numbers of nodes that are tried."""
        found = [self.nodes]
        while 2 * found[-1] <= self.most:
            found.append(2 * found[-1])
        return found


def integrated_gradients(
    score: Score,
    inputs: Inputs,
    baseline: Inputs | None = None,
    cfg: PathConfig = PathConfig(),
    names: Sequence[str] | None = None,
    axes: Mapping[str, tuple[str, ...]] | None = None,
) -> Attribution:
    """Integrated gradients of one number per row.

    Parameters
    ----------
    score : callable
        ``score(inputs)`` gives ``(B,)``; the model in it must be in evaluation mode. Whatever differs between
        rows, such as which output to explain, belongs into the inputs, for rows come in other numbers.
    inputs : Tensor, tuple, mapping or dataclass of such
    baseline : like ``inputs``, optional
        Zeros by default. Of clocks, masks and ids, those of ``inputs`` are used.
    cfg : PathConfig
    names : sequence of str, optional
        Paths of the tensors to move, such as ``"emg/values"``; by default every signal.
    axes : dict of tuple of str, optional
        Names of the axes, where they are not (batch, time, channel).

    Returns
    -------
    Attribution
        Zero for what the score does not use.

    Raises
    ------
    ValueError
        If the score gives another number the second time, or shapes disagree.

    References
    ----------
    .. [1] Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks", ICML, arXiv:1703.01365.

    Examples
    --------
    A product shares its value equally between equal factors:

    >>> x = (torch.tensor([[3.0]]), torch.tensor([[4.0]]))
    >>> made = integrated_gradients(lambda pair: (pair[0] * pair[1])[:, 0], x)
    >>> [round(value.item(), 4) for value in made.values.values()], made.complete.tolist()
    ([6.0, 6.0], [True])
    """
    top = {name: value.detach() for name, value in signals(inputs, names).items()}
    bottom = starting_point(top, baseline)
    n = len(next(iter(top.values())))

    def at(values: dict[str, Tensor], which: Tensor) -> Tensor:
        return scores(score, rebuilt(rows(inputs, which, n), values), len(which))

    named = {name: (axes or {}).get(name) or axes_of(value) for name, value in top.items()}
    return _along_path(at, top, bottom, cfg, named)


def layer_integrated_gradients(
    model: nn.Module,
    inputs: Inputs,
    site: str | Site,
    score: Score,
    baseline: Tensor | float = 0.0,
    baseline_inputs: Inputs | None = None,
    cfg: PathConfig = PathConfig(),
) -> Attribution:
    """The same along a path of values at a site, all else as the inputs make it.

    For what has no gradient, such as ids and times of spikes: the site is where they have become vectors.

    Parameters
    ----------
    model : nn.Module
        Run by ``score``.
    inputs : Inputs
    site : str or Site
        Its value has a whole number of parts per row, one after the other, as most have one.
    score : callable
        ``score(inputs)``, ``(B,)``, of this model.
    baseline : Tensor or float
        Value at the site to start from, one row or all.
    baseline_inputs : Inputs, optional
        Inputs of as many rows that make the value to start from, instead.
    cfg : PathConfig

    Returns
    -------
    Attribution
        With one entry, named after the site; with an axis ``"part"`` after the batch where a row has several.

    Examples
    --------
    >>> model = nn.Sequential(nn.Embedding(3, 1), nn.Flatten(), nn.Linear(2, 1, bias=False))
    >>> model[0].weight.data, model[2].weight.data = torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([[1.0, 10.0]])
    >>> made = layer_integrated_gradients(model, torch.tensor([[1, 2]]), "0", lambda ids: model(ids)[:, 0])
    >>> made.values["0"].flatten().tolist()
    [2.0, 50.0]
    """

    def run(_, given: Inputs) -> Tensor:
        return score(given)

    acts = record(model, inputs, [site], run=run)
    name, value = next(iter(acts.values.items()))
    n = len(acts.output)
    if len(value) % n:
        raise ValueError(f"site {name!r} has {len(value)} rows for {n} windows; its first axis is no batch")
    if baseline_inputs is not None:
        start = record(model, baseline_inputs, [site], run=run)[name]
    else:
        start = torch.as_tensor(baseline).to(value)
    if start.dim() and start.shape[-value.dim() + 1 :] != value.shape[1:] and start.numel() > 1:
        raise ValueError(f"baseline {tuple(start.shape)} does not fit site {name!r} {tuple(value.shape)}")
    start = start.expand_as(value)
    parts = (n, len(value) // n, *value.shape[1:])  # what belongs to a row, together

    def at(values: dict[str, Tensor], which: Tensor) -> Tensor:
        with patch(model, [Patch(site, values[name].flatten(0, 1))]):
            return scores(score, rows(inputs, which, n), len(which))

    axes = {name: ("batch", "part", *acts.axes[name][1:])}
    made = _along_path(at, {name: value.reshape(parts)}, {name: start.reshape(parts)}, cfg, axes)
    if parts[1] > 1:
        return made
    return replace(made, values={name: made.values[name][:, 0]}, axes={name: acts.axes[name]})


def gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1], in double precision; exact for polynomials up to degree ``2 nodes - 1``.

    Examples
    --------
    >>> x, w = gauss_legendre(2)
    >>> round(float((w * x**3).sum()), 12)
    0.25
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((x + 1) / 2), torch.from_numpy(w / 2)


def starting_point(top: dict[str, Tensor], baseline: Inputs | None) -> dict[str, Tensor]:
    """A baseline's tensor beside each of ``top``, of the same shape; zeros without one."""
    if baseline is None:
        return {name: torch.zeros_like(value) for name, value in top.items()}
    there = leaves(baseline)
    for name, value in top.items():
        if name not in there:
            raise ValueError(f"the baseline has no {name!r}; it has {', '.join(there) or 'no tensors'}")
        try:
            there[name].expand_as(value)
        except RuntimeError:
            raise ValueError(
                f"baseline {tuple(there[name].shape)} for {name!r} of {tuple(value.shape)}; they must agree"
            ) from None
    return {name: there[name].detach().to(value).expand_as(value) for name, value in top.items()}


def _along_path(
    at: Callable[[dict[str, Tensor], Tensor], Tensor],
    top: dict[str, Tensor],
    bottom: dict[str, Tensor],
    cfg: PathConfig,
    axes: dict[str, tuple[str, ...]],
) -> Attribution:
    every = all_rows(next(iter(top.values())))
    difference = _difference(at, top, bottom, every, cfg.rows)
    found = {name: torch.zeros_like(value) for name, value in top.items()}
    best = torch.full_like(difference, torch.inf)
    steps, pending = torch.zeros_like(every), every
    for nodes in cfg.doublings:
        made = _integral(at, top, bottom, pending, nodes, cfg.rows)
        total = sum(value.flatten(1).sum(1) for value in made.values())
        size = sum(value.flatten(1).abs().sum(1) for value in made.values())
        missed, goal = (total - difference[pending]).abs(), difference[pending].abs()
        better = missed < best[pending]  # an error need not fall with every doubling
        where = pending[better]
        for name, value in made.items():
            found[name][where] = value[better].to(found[name].dtype)
        best[where], steps[where] = missed[better], nodes
        pending = pending[missed > torch.maximum(cfg.tolerance * goal, ROUNDING * size)]
        if not len(pending):
            break
    return Attribution(found, axes, difference, steps, cfg.tolerance, "integrated gradients")


def _difference(at, top, bottom, every: Tensor, size: int) -> Tensor:
    differences = []
    with torch.no_grad():
        for which in every.split(size):
            high, again, low = (
                at({name: value[which] for name, value in part.items()}, which).double()
                for part in (top, top, bottom)
            )
            if not torch.allclose(high, again, rtol=1e-4, atol=1e-6):
                raise ValueError(
                    "the score differs from one call to the next; is the model in training mode, with dropout?"
                )
            differences.append(high - low)
    return torch.cat(differences)


def _integral(at, top, bottom, which: Tensor, nodes: int, size: int) -> dict[str, Tensor]:
    """Attributions of some rows in double precision, by one rule, ``size`` rows of the model at a time."""
    alpha, weight = (part.to(which.device) for part in gauss_legendre(nodes))
    sums = {name: torch.zeros_like(value[which], dtype=torch.float64) for name, value in top.items()}
    for pairs in torch.arange(nodes * len(which), device=which.device).split(size):
        node, local = pairs // len(which), pairs % len(which)
        taken = which[local]
        values = {}
        for name, high in top.items():
            low = bottom[name][taken]
            part = alpha[node].to(high.dtype).view(-1, *[1] * (high.dim() - 1))
            values[name] = (low + part * (high[taken] - low)).requires_grad_()
        with torch.enable_grad():
            said = at(values, taken)
        if not said.requires_grad:  # nothing of this is used
            continue
        slopes = torch.autograd.grad(said.sum(), list(values.values()), allow_unused=True)
        for total, slope in zip(sums.values(), slopes, strict=True):
            if slope is not None:
                share = weight[node].view(-1, *[1] * (total.dim() - 1))
                total.index_add_(0, local, share * slope.double())
    return {
        name: total * (top[name][which].double() - bottom[name][which].double())
        for name, total in sums.items()
    }
