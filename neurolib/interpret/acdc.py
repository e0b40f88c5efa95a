"""Automated circuit discovery by deletion: a model's components in, those that its score cannot do without out.

Components are tried one by one from the output backwards; one whose exchange costs less than a threshold stays
exchanged. One run per component: for small models, and as a check of faster ways.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from neurolib.interpret.graph import Graph
from neurolib.interpret.patching import Runs


class Pruned(NamedTuple):
    """What is left, and how it came to that.

    Parameters
    ----------
    keep : Tensor of bool, shape (component,)
    costs : dict of str to float
        What the exchange of each component cost when it was tried; not there for those never tried.
    runs : int
    """

    keep: Tensor
    costs: dict[str, float]
    runs: int


def acdc(
    runs: Runs, threshold: float, order: Sequence[int] | None = None, graph: Graph | None = None
) -> Pruned:
    """Exchange components as long as it costs little.

    Parameters
    ----------
    runs : Runs
        Its score decides: minus a divergence from the whole model's output, as in the source, or a score of
        the task, where a component that only harms goes as well.
    threshold : float
        The least mean loss of score for which a component is kept. Costs add up over those that go.
    order : sequence of int, optional
        In which components are tried; by default the last first, which for edges is from the output backwards.
    graph : Graph, optional
        Of edges; those that are cut off from input or output then go without a run.

    References
    ----------
    .. [1] Conmy et al. (2023), "Towards automated circuit discovery for mechanistic interpretability", NeurIPS,
       arXiv:2304.14997.
    """
    if not threshold > 0:
        raise ValueError(f"threshold={threshold} must be positive; it is in units of the score")
    n = len(runs.names)
    order = range(n - 1, -1, -1) if order is None else order
    if sorted(order) != list(range(n)):
        raise ValueError(f"order must name each of {n} components once")
    keep = torch.ones(n, dtype=torch.bool)
    now, costs = float(runs.measure(keep[None]).mean()), {}
    for number in order:
        if not keep[number]:
            continue
        without = keep.clone()
        without[number] = False
        score = float(runs.measure(without[None]).mean())
        costs[runs.names[number]] = now - score
        if now - score < threshold:
            keep, now = without if graph is None else graph.connected(without), score
    return Pruned(keep, costs, len(costs) + 1)
