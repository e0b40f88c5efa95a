"""Path patching: what goes along one way through a graph; a clean and a corrupt batch in, scores per trial out.

A path alternates senders and readers. At every step only the next part is computed anew, with everything else
held at the clean run, so that nothing but the path carries the change.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Patch, Run, call, patch, record
from neurolib.interpret.edges import EdgePass
from neurolib.interpret.graph import Graph, contribution
from neurolib.interpret.patching import scored
from neurolib.interpret.trial_scores import TrialScore


class Paths:
    """A model and two batches, ready to exchange paths.

    Parameters
    ----------
    model : nn.Module
    graph : Graph
    clean, corrupt : batches of as many trials
    score : TrialScore
    run : callable

    References
    ----------
    .. [1] Wang et al. (2023), "Interpretability in the wild: a circuit for indirect object identification in
       GPT-2 small", ICLR, arXiv:2211.00593.
    .. [2] Goldowsky-Dill et al. (2023), "Localizing model behavior with path patching", arXiv:2304.05969.
    """

    @torch.no_grad()
    def __init__(
        self, model: nn.Module, graph: Graph, clean: Any, corrupt: Any, score: TrialScore, run: Run = call
    ):
        self.model, self.graph, self.clean, self.score, self.run = model, graph, clean, score, run
        passed = EdgePass(model, graph, clean, corrupt, run)
        self.corrupt, self.n_trials = passed.corrupt, passed.n_trials
        sites = list(dict.fromkeys([*graph.sent_at, *(reader.site for reader in graph.readers.values())]))
        values = record(model, clean, sites, run=run)
        self.sent = graph.sent(model, values)
        self.read = {name: values[reader.site.name] for name, reader in graph.readers.items()}
        self.base = scored(score, values.output, self.n_trials).cpu()

    @torch.no_grad()
    def measure(self, path: Sequence[str], freeze: bool = True) -> Tensor:
        """Score ``(trial,)`` when a path alone carries the corrupt batch.

        Parameters
        ----------
        path : sequence of str
            Sender, reader, sender, reader and so on; behind the last reader the change goes where it will.
        freeze : bool
            Hold other readers at the clean run. Without, a change also goes on from one part of the path to
            the next by ways around it.

        Raises
        ------
        ValueError
            If the path is not one of the graph.
        """
        self._check(path)
        change = self.corrupt[path[0]] - self.sent[path[0]]
        for sender, reader, after in zip(path[::2], path[1::2], [*path[2::2], None], strict=True):
            here = self.read[reader]
            changed = here + self.graph.placed(sender, change, self.sent, here).view_as(here)
            patches = [Patch(self.graph.readers[reader].site, changed)]
            if after is None:
                with patch(self.model, patches):
                    return scored(self.score, self.run(self.model, self.clean), self.n_trials).cpu()
            if freeze:
                others = [name for name in self.graph.readers if name != reader]
                patches += [Patch(self.graph.readers[name].site, self.read[name]) for name in others]
            site = self.graph.senders[after].site
            with patch(self.model, patches):
                values = record(self.model, self.clean, [site], run=self.run)
            change = contribution(self.model, self.graph.senders[after], values[site.name]) - self.sent[after]
        raise AssertionError("a path ends at a reader")

    def effect(self, path: Sequence[str], freeze: bool = True) -> Tensor:
        """What exchanging the path does to the score, ``(trial,)``."""
        return self.measure(path, freeze) - self.base

    def _check(self, path: Sequence[str]) -> None:
        words = " → ".join(path)
        if len(path) < 2 or len(path) % 2:
            raise ValueError(
                f"path {words}: want sender, reader, sender, reader and so on, and a reader last"
            )
        for sender, reader in zip(path[::2], path[1::2], strict=True):
            if (sender, reader) not in self.graph.edges:
                raise ValueError(f"path {words}: no edge {sender} → {reader} in the graph")
        for reader, sender in zip(path[1:-1:2], path[2::2], strict=True):
            if self.graph.readers[reader].node != self.graph.senders[sender].node:
                raise ValueError(f"path {words}: {sender!r} is not computed from {reader!r}")


def paths_through(graph: Graph, keep: Tensor | None = None, limit: int = 10_000) -> list[tuple[str, ...]]:
    """All ways from sources to outputs, of a circuit ``(edge,)`` or of the graph.

    Raises
    ------
    ValueError
        If there are more than ``limit``; their number grows with the product of the layers.

    Examples
    --------
    >>> from neurolib.interpret.graph import Reader, Sender
    >>> from neurolib.models.sites import Site
    >>> a, b = Sender("a", Site("a")), Sender("b", Site("b"))
    >>> graph = Graph([a, b], [Reader("b in", Site("b"), ("a",), "b"), Reader("out", Site("c"), ("a", "b"))])
    >>> paths_through(graph)
    [('a', 'out'), ('a', 'b in', 'b', 'out')]
    """
    edges = graph.edges if keep is None else graph.kept(keep)
    into: dict[str, list[tuple[str, str]]] = {}
    for sender, reader in edges:
        into.setdefault(graph.readers[reader].node, []).append((sender, reader))
    found, growing = [], [(sender, reader) for sender, reader in edges if reader in graph.outputs]
    while growing:
        path, *growing = growing
        if path[0] in graph.sources:
            found.append(path)
        growing += [(*edge, *path) for edge in into.get(graph.senders[path[0]].node, [])]
        if len(found) + len(growing) > limit:
            raise ValueError(f"more than {limit} paths; ask about a smaller circuit, or about edges")
    return found
