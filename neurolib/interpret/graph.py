"""A model as a graph of what its parts add to a stream and read from it: senders and readers in, edges out.

In a model with residual streams, what a part reads is the sum of what the parts before it added. So an edge
from a sender to a reader is a term of a sum, and can be exchanged alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.models.sites import Site


@dataclass(frozen=True)
class Sender:
    """What a part of a model adds to a stream.

    Parameters
    ----------
    name : str
    site : Site
        Whose value is added, or is mapped to what is added.
    node : str, optional
        The part that computes it; by default the name. Heads of a layer are senders of one node.
    through : str, optional
        Path of a linear submodule that maps the value onto the stream. Its bias belongs to no sender.
    head : int, optional
        Entry of the axis ``"head"``, the last but one, that this sender is; the others pass through other
        columns of the same map.
    joined : tuple of str
        Senders, this one among them, that are laid end to end along axis 1 and not added, such as the tokens
        of several modalities.
    """

    name: str
    site: Site
    node: str = ""
    through: str | None = None
    head: int | None = None
    joined: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.node:
            object.__setattr__(self, "node", self.name)
        if self.head is not None and self.through is None:
            raise ValueError(
                f"sender {self.name!r}: head={self.head} needs the map of the heads, through=..."
            )
        if self.joined and self.name not in self.joined:
            raise ValueError(f"sender {self.name!r} is not among those it is joined with, {self.joined}")


@dataclass(frozen=True)
class Reader:
    """Where a part of a model reads a stream.

    Parameters
    ----------
    name : str
    site : Site
        Whose value is the sum of what was added, usually what a norm gets.
    reads : tuple of str
        Senders in that sum.
    node : str, optional
        The part that is computed from it; by default the name. No sender has the node of an output.
    """

    name: str
    site: Site
    reads: tuple[str, ...]
    node: str = ""

    def __post_init__(self):
        if not self.node:
            object.__setattr__(self, "node", self.name)


Edge = tuple[str, str]  # names of the sender and the reader


class Graph:
    """Senders and readers, both in the order in which a run passes them.

    Parameters
    ----------
    senders : iterable of Sender
    readers : iterable of Reader

    Attributes
    ----------
    edges : tuple of (str, str)
        By reader, and by sender within.
    sources : tuple of str
        Senders that are computed from the inputs alone.
    outputs : tuple of str
        Readers from which the model's output is computed.

    Raises
    ------
    ValueError
        If names repeat, a reader reads what is not there, nothing is a source or an output, or edges run in
        a circle.

    Examples
    --------
    >>> a, b = Sender("a", Site("a")), Sender("b", Site("b"))
    >>> graph = Graph([a, b], [Reader("b in", Site("b", side="input"), ("a",), "b"),
    ...                        Reader("out", Site("c", side="input"), ("a", "b"))])
    >>> graph.edges, graph.sources, graph.outputs
    ((('a', 'b in'), ('a', 'out'), ('b', 'out')), ('a',), ('out',))
    """

    def __init__(self, senders: Iterable[Sender], readers: Iterable[Reader]):
        senders, readers = tuple(senders), tuple(readers)
        self.senders = {sender.name: sender for sender in senders}
        self.readers = {reader.name: reader for reader in readers}
        if len(self.senders) < len(senders) or len(self.readers) < len(readers):
            raise ValueError("two senders, or two readers, have one name")
        for reader in readers:
            if unknown := set(reader.reads) - set(self.senders):
                raise ValueError(f"reader {reader.name!r} reads {sorted(unknown)[0]!r}, which no sender is")
        self.edges: tuple[Edge, ...] = tuple(
            (name, reader.name) for reader in readers for name in self.senders if name in reader.reads
        )
        made, used = {r.node for r in readers}, {s.node for s in senders}
        self.sources = tuple(s.name for s in senders if s.node not in made)
        self.outputs = tuple(r.name for r in readers if r.node not in used)
        if not self.sources or not self.outputs:
            raise ValueError(
                "a graph needs a sender that no reader is behind, and a reader that no sender follows"
            )
        self._order()

    def __len__(self) -> int:
        return len(self.edges)

    def __repr__(self) -> str:
        return f"Graph({len(self.senders)} senders, {len(self.readers)} readers, {len(self.edges)} edges)"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Edges as text."""
        return tuple(f"{sender} → {reader}" for sender, reader in self.edges)

    def keep(self, edges: Iterable[Edge]) -> Tensor:
        """A circuit ``(edge,)`` of these edges.

        Raises
        ------
        ValueError
            If one is not in the graph.
        """
        found = torch.zeros(len(self), dtype=torch.bool)
        for edge in edges:
            if tuple(edge) not in self._numbers:
                raise ValueError(f"no edge {' → '.join(edge)} in the graph")
            found[self._numbers[tuple(edge)]] = True
        return found

    def kept(self, keep: Tensor) -> list[Edge]:
        """Edges of a circuit ``(edge,)``."""
        return [self.edges[number] for number in keep.nonzero().flatten().tolist()]

    def connected(self, keep: Tensor) -> Tensor:
        """A circuit without the edges that are on no way from a source to an output; they change nothing.

        Examples
        --------
        >>> a, b = Sender("a", Site("a")), Sender("b", Site("b"))
        >>> graph = Graph([a, b], [Reader("b in", Site("b"), ("a",), "b"), Reader("out", Site("c"), ("a", "b"))])
        >>> graph.connected(torch.tensor([False, True, True])).tolist()  # nothing reaches b
        [False, True, False]
        """
        keep = keep.clone()
        while True:
            edges = self.kept(keep)
            fed = {self.readers[reader].node for _, reader in edges}
            heard = {self.senders[sender].node for sender, _ in edges}
            idle = [
                (sender, reader)
                for sender, reader in edges
                if (sender not in self.sources and self.senders[sender].node not in fed)
                or (reader not in self.outputs and self.readers[reader].node not in heard)
            ]
            if not idle:
                return keep
            keep &= ~self.keep(idle)

    @cached_property
    def bottlenecks(self) -> Tensor:
        """Edges that every way from a source to an output takes, ``(edge,)`` of bool; they are needed by wiring alone.

        Examples
        --------
        >>> a, b = Sender("a", Site("a")), Sender("b", Site("b"))
        >>> Graph([a, b], [Reader("b in", Site("b"), ("a",), "b"), Reader("out", Site("c"), ("b",))]).bottlenecks.tolist()
        [True, True]
        """
        without = ~torch.eye(len(self), dtype=torch.bool)
        return torch.tensor([not self.connected(keep).any() for keep in without])

    def grown(self, scores: Tensor, n: int) -> Tensor:
        """A circuit of ``n`` edges, grown from the output: each time the edge of the largest score into what is there.

        Examples
        --------
        >>> a, b = Sender("a", Site("a")), Sender("b", Site("b"))
        >>> graph = Graph([a, b], [Reader("b in", Site("b"), ("a",), "b"), Reader("out", Site("c"), ("a", "b"))])
        >>> graph.grown(torch.tensor([9.0, 1.0, 2.0]), 1).tolist()  # the first edge leads nowhere yet
        [False, False, True]
        """
        strength = scores.abs().tolist()
        keep, there = torch.zeros(len(self), dtype=torch.bool), set(self.outputs)
        for _ in range(min(n, len(self))):
            open_ = [i for i, (_, reader) in enumerate(self.edges) if reader in there and not keep[i]]
            best = max(open_, key=strength.__getitem__)
            keep[best] = True
            node = self.senders[self.edges[best][0]].node
            there |= {reader.name for reader in self.readers.values() if reader.node == node}
        return keep

    def random_paths(self, n: int, draw: np.random.Generator) -> Tensor:
        """A random circuit of at most ``n`` edges that is made of whole ways from sources to outputs.

        A sharper control than random edges, most of which hang in the air.
        """
        keep, missed = set(), 0
        into: dict[str, list[int]] = {}
        for number, (_, reader) in enumerate(self.edges):
            into.setdefault(self.readers[reader].node, []).append(number)
        ends = [number for number, (_, reader) in enumerate(self.edges) if reader in self.outputs]
        while len(keep) < n and missed < 50:
            way, options = set(), ends
            while options:
                step = int(draw.choice(options))
                way.add(step)
                options = into.get(self.senders[self.edges[step][0]].node, [])
            if len(keep | way) <= n and not way <= keep:
                keep |= way
            else:
                missed += 1
        found = torch.zeros(len(self), dtype=torch.bool)
        found[list(keep)] = True
        return found

    @cached_property
    def sent_at(self) -> dict[Site, list[str]]:
        """Senders by site."""
        found: dict[Site, list[str]] = {}
        for sender in self.senders.values():
            found.setdefault(sender.site, []).append(sender.name)
        return found

    @cached_property
    def into(self) -> dict[str, list[int]]:
        """Numbers of the edges into each reader."""
        found: dict[str, list[int]] = {name: [] for name in self.readers}
        for number, (_, reader) in enumerate(self.edges):
            found[reader].append(number)
        return found

    def sent(self, model: nn.Module, values: Any) -> dict[str, Tensor]:
        """What senders add, each ``(batch, everything else)``, given values by name of site."""
        return {
            name: contribution(model, sender, values[sender.site.name])
            for name, sender in self.senders.items()
        }

    def placed(self, name: str, part: Tensor, sent: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """A sender's ``part (batch, everything else)`` where it goes in a stream like that.

        ``sent`` says how much those add that it is joined with.
        """
        joined = self.senders[name].joined
        if len(joined) > 1:
            sizes = {other: sent[other].shape[1] for other in joined}
            start = sum(sizes[other] for other in joined[: joined.index(name)])
            part = nn.functional.pad(part, (start, sum(sizes.values()) - start - sizes[name]))
        if part.shape[1] != like[0].numel():
            raise ValueError(
                f"sender {name!r} adds {part.shape[1]} numbers per trial to a stream of {tuple(like.shape[1:])}; "
                "does it send to another stream?"
            )
        return part

    @cached_property
    def _numbers(self) -> dict[Edge, int]:
        return {edge: number for number, edge in enumerate(self.edges)}

    def _order(self) -> None:
        """Refuse a circle: every reader must come before the senders of its node."""
        at = {name: -1 for name in self.sources}
        waiting = list(self.readers.values())
        done: set[str] = set()
        while waiting:
            ready = [reader for reader in waiting if all(name in at for name in reader.reads)]
            if not ready:
                raise ValueError(f"edges run in a circle through {waiting[0].name!r}")
            done |= {reader.name for reader in ready}
            waiting = [reader for reader in waiting if reader.name not in done]
            left = {reader.node for reader in waiting}
            for sender in self.senders.values():
                if sender.name not in at and sender.node not in left:
                    at[sender.name] = len(done)


def contribution(model: nn.Module, sender: Sender, value: Tensor) -> Tensor:
    """What a sender adds to its stream, ``(batch, everything else)``, given the value at its site."""
    if sender.through is None:
        return value.flatten(1)
    weight = model.get_submodule(sender.through).weight
    if sender.head is not None:
        width = value.shape[-1]
        if value.dim() < 3 or value.shape[-2] * width != weight.shape[1]:
            raise ValueError(
                f"sender {sender.name!r}: heads {tuple(value.shape[-2:])} do not fit a map of {weight.shape[1]} inputs"
            )
        weight = weight[:, sender.head * width : (sender.head + 1) * width]
        value = value[..., sender.head, :]
    elif value.shape[-1] != weight.shape[1]:
        value = value.flatten(-2)
    return nn.functional.linear(value, weight).flatten(1)


def strongest(scores: Tensor | Sequence[float], n: int) -> Tensor:
    """The ``n`` components of largest score, ``(component,)`` of bool.

    Examples
    --------
    >>> strongest([0.1, -3.0, 2.0], 2).tolist()
    [False, True, True]
    """
    scores = torch.as_tensor(scores)
    if not 0 <= n <= len(scores):
        raise ValueError(f"n={n} of {len(scores)} components")
    keep = torch.zeros(len(scores), dtype=torch.bool)
    keep[scores.abs().argsort(descending=True, stable=True)[:n]] = True
    return keep


def drawing(graph: Graph, scores: Tensor, keep: Tensor) -> tuple[list[dict], list[dict]]:
    """A graph with scores and a circuit, as :func:`neurolib.viz.circuit_graph.circuit_graph` draws it.

    A part with one sender is one node; where there are several, such as heads, what the part reads is a node
    before theirs.

    Returns
    -------
    nodes, edges : list of dict
    """
    senders: dict[str, list[str]] = {}
    for sender in graph.senders.values():
        senders.setdefault(sender.node, []).append(sender.name)
    nodes, place = [], {}
    for name in graph.sources:
        nodes.append({"name": name, "layer": "sources"})
    for reader in graph.readers.values():
        mine = senders.get(reader.node, [])
        place[reader.name] = mine[0] if len(mine) == 1 else reader.name
        if place[reader.name] not in [node["name"] for node in nodes]:
            nodes.append({"name": place[reader.name], "layer": reader.node})
        if len(mine) > 1 and mine[0] not in [node["name"] for node in nodes]:
            behind = ".".join([*reader.node.split(".")[:-1], "heads"])
            nodes += [{"name": name, "layer": behind} for name in mine]
    edges = [
        {"sender": sender, "reader": place[reader], "score": float(score), "kept": bool(stays)}
        for (sender, reader), score, stays in zip(graph.edges, scores.tolist(), keep.tolist(), strict=True)
    ]
    return nodes, edges
