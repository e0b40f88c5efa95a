r"""Edges of a model exchanged and scored: a graph, a clean and a corrupt batch in; scores per edge and trial out.

Exchanging an edge :math:`u \to v` changes what ``v`` reads by :math:`a_u^\text{corrupt} - a_u`, and nothing else.
Any set of edges is exchanged in one pass. Scores estimate what the exchange of one edge does, for all edges at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Patch, Run, call, patch, record
from neurolib.interpret.corruption import n_rows, take
from neurolib.interpret.graph import Graph, contribution
from neurolib.interpret.patching import ROWS, checked, scored, single_effects
from neurolib.interpret.trial_scores import TrialScore


class EdgePass:
    """One pass of a model with some edges exchanged: circuits side by side along the batch.

    Parameters
    ----------
    model : nn.Module
    graph : Graph
    clean, corrupt : batches of as many trials
    run : callable
    """

    def __init__(self, model: nn.Module, graph: Graph, clean: Any, corrupt: Any, run: Run = call):
        if n_rows(clean) != n_rows(corrupt):
            raise ValueError(
                f"{n_rows(clean)} clean trials and {n_rows(corrupt)} corrupt ones; they are pairs"
            )
        self.model, self.graph, self.run = model, graph, run
        self.clean, self.n_trials = clean, n_rows(clean)
        with torch.no_grad():
            values = record(model, corrupt, list(graph.sent_at), run=run)
            self.corrupt_values, self.corrupt_output = values.values, values.output
            self.corrupt = graph.sent(model, values)

    def __call__(self, keep: Tensor, sent: dict[str, Tensor] | None = None) -> Any:
        """Output with the edges of ``keep (circuit, edge)`` kept, circuits one after the other in the batch.

        ``sent`` is filled with what senders added.
        """
        keep = checked(keep, len(self.graph))
        sent = {} if sent is None else sent
        apart: dict[str, Tensor] = {}
        changes = [
            Patch(site, partial(self._listen, sent, names)) for site, names in self.graph.sent_at.items()
        ]
        for name, numbers in self.graph.into.items():
            used = [number for number in numbers if not keep[:, number].all()]
            if used:
                exchange = partial(self._exchange, sent, apart, name, used, ~keep[:, used])
                changes.append(Patch(self.graph.readers[name].site, exchange))
        rows = torch.arange(self.n_trials).repeat(len(keep))
        with patch(self.model, changes):
            return self.run(self.model, take(self.clean, rows))

    def _listen(self, sent: dict[str, Tensor], names: Sequence[str], value: Tensor) -> Tensor:
        for name in names:
            sent[name] = contribution(self.model, self.graph.senders[name], value)
        return value

    def _exchange(
        self,
        sent: dict[str, Tensor],
        apart: dict[str, Tensor],
        reader: str,
        numbers: Sequence[int],
        exchanged: Tensor,
        value: Tensor,
    ) -> Tensor:
        change = value.new_zeros(len(exchanged), self.n_trials, value[0].numel())
        for number, share in zip(numbers, exchanged.to(value).unbind(1), strict=True):
            name = self.graph.edges[number][0]
            if name not in sent:
                raise ValueError(f"a run passes reader {reader!r} before its sender {name!r}")
            if name not in apart:
                apart[name] = self.corrupt[name].repeat(len(exchanged), 1) - sent[name]
            part = self.graph.placed(name, apart[name], sent, value).unflatten(0, (-1, self.n_trials))
            change.addcmul_(part, share[:, None, None])
        return value + change.flatten(0, 1).view_as(value)


class EdgeRuns:
    """Runs of a model with some edges kept and the others exchanged for those of a corrupt batch.

    Parameters
    ----------
    model : nn.Module
    graph : Graph
    clean, corrupt : batches of as many trials
    score : TrialScore
    run : callable
    rows : int
        Trials in one pass.

    Notes
    -----
    Every sender that a kept edge reads is computed from what it reads itself, as in the circuit it is part of:
    all edges kept is the clean run, none is the corrupt one.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        clean: Any,
        corrupt: Any,
        score: TrialScore,
        run: Run = call,
        rows: int = ROWS,
    ):
        self.passed = EdgePass(model, graph, clean, corrupt, run)
        self.graph, self.score, self.rows = graph, score, rows
        self.names, self.n_trials = graph.names, self.passed.n_trials

    @torch.no_grad()
    def measure(self, keep: Tensor) -> Tensor:
        """Scores ``(circuit, trial)`` of circuits ``(circuit, edge)``; those that differ in idle edges run once."""
        keep = torch.stack([self.graph.connected(row) for row in checked(keep, len(self.names))])
        keep, which = keep.unique(dim=0, return_inverse=True)
        n, found = self.n_trials, []
        for part in keep.split(max(1, self.rows // n)):
            output = self.passed(part)
            found += [
                scored(self.score, take(output, slice(i * n, (i + 1) * n)), n) for i in range(len(part))
            ]
        return torch.stack(found).cpu()[which]


@dataclass(frozen=True)
class EdgeScores:
    """What each edge is held to do.

    Parameters
    ----------
    per_trial : Tensor, shape (edge, trial)
        Change of the score when the edge alone is exchanged, estimated or measured.
    graph : Graph
    """

    per_trial: Tensor
    graph: Graph

    @property
    def mean(self) -> Tensor:
        """Mean over trials, ``(edge,)``; negative where the edge serves the score."""
        return self.per_trial.mean(1)

    @property
    def whole(self) -> Tensor:
        """Sum over the edges out of sources, ``(trial,)``.

        For integrated gradients it is what the whole exchange does, the corrupt score less the clean one, but
        for the number of steps; a gap says to take more.
        """
        out = [number for number, (sender, _) in enumerate(self.graph.edges) if sender in self.graph.sources]
        return self.per_trial[out].sum(0)

    def table(self) -> list[tuple[str, str, float]]:
        """Sender, reader and mean, the strongest first."""
        order = self.mean.abs().argsort(descending=True).tolist()
        return [(*self.graph.edges[number], float(self.mean[number])) for number in order]


def edge_attribution(
    model: nn.Module,
    graph: Graph,
    clean: Any,
    corrupt: Any,
    score: TrialScore,
    method: str = "eap-ig",
    steps: int = 5,
    run: Run = call,
) -> EdgeScores:
    r"""Score all edges by gradients: a run of each batch, and a run with gradients per step.

    .. math::
        s(u \to v) = (a_u^\text{corrupt} - a_u^\text{clean}) \cdot
            \frac{1}{m} \sum_k \left. \frac{\partial s}{\partial x_v} \right|_{\alpha_k}, \qquad
            z(\alpha) = z^\text{clean} + \alpha (z^\text{corrupt} - z^\text{clean})

    with :math:`x_v` what ``v`` reads and :math:`z` what the sources of the graph send, such as tokens.

    Parameters
    ----------
    model, graph, clean, corrupt, score, run
        As in :class:`EdgeRuns`.
    method : {"eap-ig", "eap", "mean"}
        Where gradients are taken: at the midpoints of ``steps`` equal stretches between both batches; at the
        clean batch alone, which underrates edges whose reader is saturated there; or at both ends.
    steps : int

    Returns
    -------
    EdgeScores

    References
    ----------
    .. [1] Syed, Rager & Conmy (2023), "Attribution patching outperforms automated circuit discovery",
       arXiv:2310.10348.
    .. [2] Hanna, Pezzelle & Belinkov (2024), "Have faith in faithfulness: going beyond circuit overlap when
       finding model mechanisms", arXiv:2403.17806.
    """
    points = {
        "eap": [0.0],
        "mean": [0.0, 1.0],
        "eap-ig": [(k + 0.5) / steps for k in range(steps)],
    }.get(method)
    if not points:
        raise ValueError(
            f"method={method!r} with steps={steps}; methods are eap, mean and eap-ig with a step or more"
        )
    found = EdgePass(model, graph, clean, corrupt, run)
    with torch.no_grad():
        values = record(model, clean, list(graph.sent_at), run=run)
        sent = graph.sent(model, values)
    between = [path_between(graph, values, found.corrupt_values, at) for at in points]
    gradients = [_gradients(found, score, changes) for changes in between]
    per_trial = {}
    for name, numbers in graph.into.items():
        slope = sum(each[name] for each in gradients) / len(gradients)
        for number in numbers:
            sender = graph.edges[number][0]
            apart = graph.placed(sender, found.corrupt[sender] - sent[sender], sent, slope)
            per_trial[number] = torch.linalg.vecdot(apart, slope.flatten(1)).cpu()
    return EdgeScores(torch.stack([per_trial[number] for number in range(len(graph))]), graph)


def path_between(
    graph: Graph, clean: Mapping[str, Tensor], corrupt: Mapping[str, Tensor], share: float
) -> list[Patch]:
    """Changes that put the sources of a graph at a ``share`` of the way from the clean to the corrupt batch."""
    sites = dict.fromkeys(graph.senders[name].site for name in graph.sources)
    return [Patch(site, torch.lerp(clean[site.name], corrupt[site.name], share)) for site in sites]


def _gradients(found: EdgePass, score: TrialScore, changes: list[Patch]) -> dict[str, Tensor]:
    """Gradient of the score with respect to what every reader reads."""
    leaves: dict[str, Tensor] = {}

    def leaf(name: str) -> Callable[[Tensor], Tensor]:
        def nudged(value: Tensor) -> Tensor:
            leaves[name] = torch.zeros_like(value, requires_grad=True)
            return value + leaves[name]

        return nudged

    with torch.enable_grad():
        readers = [Patch(reader.site, leaf(name)) for name, reader in found.graph.readers.items()]
        with patch(found.model, changes + readers):
            output = found.run(found.model, found.clean)
        total = scored(score, output, found.n_trials).sum()
        names = list(leaves)
        slopes = torch.autograd.grad(total, [leaves[name] for name in names], allow_unused=True)
    return {
        name: torch.zeros_like(leaves[name]) if slope is None else slope
        for name, slope in zip(names, slopes, strict=True)
    }


def exact_effects(runs: EdgeRuns) -> EdgeScores:
    """What the exchange of each edge alone does to the score, measured: one run per edge."""
    return EdgeScores(single_effects(runs), runs.graph)


def sent_size(runs: EdgeRuns) -> EdgeScores:
    """How much what is sent along each edge differs between the batches: its root mean square; no gradient."""
    found = runs.passed
    with torch.no_grad():
        sent: dict[str, Tensor] = {}
        found(torch.ones(1, len(runs.names), dtype=torch.bool), sent)
    size = {name: (found.corrupt[name] - here).square().mean(1).sqrt().cpu() for name, here in sent.items()}
    return EdgeScores(torch.stack([size[sender] for sender, _ in runs.graph.edges]), runs.graph)


def check_graph(
    model: nn.Module, graph: Graph, clean: Any, corrupt: Any, run: Run = call, tolerance: float = 1e-4
) -> None:
    """Make sure that a graph is the model's, on two batches.

    What a reader gets, less what its senders added, must be the same in both: a constant. And with every edge
    from the corrupt batch, the clean batch must give the corrupt output.

    Raises
    ------
    ValueError
        If a reader gets something that no sender added, or inputs pass the graph by.
    """
    sites = list(dict.fromkeys([*graph.sent_at, *(reader.site for reader in graph.readers.values())]))
    rest: dict[str, list[Tensor]] = {name: [] for name in graph.readers}
    for batch in (clean, corrupt):
        with torch.no_grad():
            values = record(model, batch, sites, run=run)
            sent = graph.sent(model, values)
        for name, reader in graph.readers.items():
            got = values[reader.site.name]
            total = sum(graph.placed(sender, sent[sender], sent, got) for sender in reader.reads)
            rest[name].append(got.flatten(1) - total)
            if float((rest[name][0] - rest[name][-1]).abs().amax()) > tolerance * max(
                1, float(got.abs().amax())
            ):
                raise ValueError(
                    f"what no sender added to reader {name!r} differs between the batches; is a sender missing, "
                    "or does it read another stream?"
                )
    passed = EdgePass(model, graph, clean, corrupt, run)
    with torch.no_grad():
        mixed = tensors_of(passed(torch.zeros(1, len(graph), dtype=torch.bool)))
    for one, other in zip(mixed, tensors_of(passed.corrupt_output), strict=True):
        apart = float((one - other).abs().amax())
        if apart > tolerance * max(1, float(other.abs().amax())):
            raise ValueError(
                f"with all edges from the corrupt batch the output still differs by {apart:.3g} from the corrupt one; "
                "inputs reach it past the graph"
            )


def tensors_of(output: Any) -> list[Tensor]:
    """Floating tensors in an output, in order."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts = (
        output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    )
    return [tensor for part in parts for tensor in tensors_of(part)]
