"""Known answers of circuits: nets wired by hand, closed forms and a slow loop; answers beside them, out."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.interpret.acdc import acdc
from neurolib.interpret.circuits import CircuitDiscovery
from neurolib.interpret.corruption import partners
from neurolib.interpret.edges import EdgeRuns, check_graph, edge_attribution, exact_effects
from neurolib.interpret.faithfulness import FunctionRuns, faithfulness, size_curve
from neurolib.interpret.graph import Graph, Reader, Sender
from neurolib.interpret.model_graphs import graph_of
from neurolib.interpret.patching import Unit, UnitRuns, activation_patching, sweep, units_of
from neurolib.interpret.paths import Paths, paths_through
from neurolib.interpret.recovery import recovery
from neurolib.interpret.selfcheck import Answer, answer
from neurolib.models.multimodal.decoder import SpikeDecoderConfig
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.models.sites import Site, Tap
from neurolib.models.transformer import CausalTransformerConfig

Edge = tuple[str, str]
AT = ("batch", "time", "channel")


class Wired(nn.Module):
    """A residual net wired by hand: part ``i`` adds ``act(W_i stream)``; the output is a sum of channels at the end.

    Parameters
    ----------
    maps : sequence of Tensor, shape (d, d)
    act : callable
    readout : Tensor, shape (d,)
    """

    def __init__(self, maps: Sequence[Tensor], act: Callable[[Tensor], Tensor], readout: Tensor):
        super().__init__()
        self.maps, self.act, self.weights = list(maps), act, readout
        self.start, self.end = Tap(), Tap()
        self.into, self.out_of = (nn.ModuleList(Tap() for _ in maps) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x (batch, time, d)`` to ``(batch, time)``."""
        stream = self.start(x)
        for w, into, out_of in zip(self.maps, self.into, self.out_of, strict=True):
            stream = stream + out_of(self.act(into(stream) @ w.T))
        return self.end(stream) @ self.weights

    @property
    def graph(self) -> Graph:
        """``x``, parts ``0``, ``1`` and so on, and ``end``."""
        names = [str(i) for i in range(len(self.maps))]
        senders = [
            Sender("x", Site("x", "start", AT)),
            *(Sender(name, Site(name, f"out_of.{name}", AT)) for name in names),
        ]
        readers = [
            Reader(f"{name} in", Site(f"{name} in", f"into.{name}", AT), ("x", *names[:i]), name)
            for i, name in enumerate(names)
        ]
        readers.append(Reader("end", Site("end", axes=AT), ("x", *names)))
        return Graph(senders, readers)

    def slowly(self, clean: Tensor, corrupt: Tensor, keep: Iterable[Edge]) -> Tensor:
        """The output ``(time,)`` of one trial with edges exchanged, from the definition, one number at a time."""
        keep, names = set(keep), [str(i) for i in range(len(self.maps))]

        def parts(x: Tensor, old: dict[str, np.ndarray] | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
            sent = {"x": x.double().numpy()}

            def read(at: str) -> np.ndarray:
                return sum(
                    sent[u] if old is None or (u, at) in keep else old[u]
                    for u in ("x", *names)
                    if u in sent or (old is not None and u in old and (u, at) in graph_edges)
                )

            for name, w in zip(names, self.maps, strict=True):
                got = read(f"{name} in")
                sums = np.zeros_like(got)
                for t in range(len(got)):
                    for i in range(len(w)):
                        sums[t, i] = sum(float(w[i, j]) * got[t, j] for j in range(len(w)))
                sent[name] = self.act(torch.from_numpy(sums)).numpy()
            return sent, read("end")

        graph_edges = set(self.graph.edges)
        old, _ = parts(corrupt, None)
        _, end = parts(clean, old)
        return torch.from_numpy(end @ self.weights.double().numpy())


def wired(d: int, *entries: tuple[int, int, float]) -> Tensor:
    """A map ``(d, d)`` of zeros but for ``(to, from, weight)``."""
    found = torch.zeros(d, d, dtype=torch.float64)
    for to, start, weight in entries:
        found[to, start] = weight
    return found


def two_paths() -> tuple[Wired, set[Edge]]:
    """Two ways from the input to the output that meet in part 2, a part that nobody hears, and the edges there are."""
    maps = [
        wired(6, (2, 0, 1.0)),  # 0: channel 0 to 2
        wired(6, (3, 1, 0.8)),  # 1: channel 1 to 3
        wired(6, (4, 2, 1.5), (4, 3, -1.2)),  # 2: channels 2 and 3 to 4
        wired(6, (5, 4, 1.0)),  # 3: channel 4 to 5, which is not read out
    ]
    net = Wired(maps, torch.tanh, torch.eye(6, dtype=torch.float64)[4])
    return net, {("x", "0 in"), ("x", "1 in"), ("0", "2 in"), ("1", "2 in"), ("2", "end")}


def gate() -> Wired:
    """An AND gate: parts 0 and 1 pass an input on, part 2 opens when both are there, and is saturated then."""
    relay = [wired(5, (2, 0, 1.0)), wired(5, (3, 1, 1.0)), wired(5, (4, 2, 1.0), (4, 3, 1.0))]
    readout = torch.eye(5, dtype=torch.float64)[4]

    def act(x: Tensor) -> Tensor:
        opened = torch.sigmoid(20 * (x[..., 4:] - 1.5))
        return torch.cat([x[..., :4], torch.where(x[..., 4:] == 0, x[..., 4:], opened)], -1)

    return Wired(relay, act, readout)


def trials(n: int, d: int, used: int) -> Tensor:
    """Random inputs ``(n, 3, d)`` in the first channels."""
    x = torch.zeros(n, 3, d, dtype=torch.float64)
    x[..., :used] = torch.randn(n, 3, used, dtype=torch.float64)
    return x


def known_answers() -> list[Answer]:
    """Ask every causal tool about a net whose answer is known."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [*_units(), *_edges(), *_found(), *_ways(), *_faith(), *_models()]


def _mean(output: Tensor) -> Tensor:
    return output.mean(1)


def _units() -> list[Answer]:
    net = RecurrentDecoder(RecurrentConfig(4, 2, hidden=6)).double()
    clean, corrupt = torch.randn(2, 20, 5, 4, dtype=torch.float64)
    whole = net.eval()(clean).detach()

    def score(output: Tensor) -> Tensor:
        return -(output - whole).square().sum((1, 2))

    def third_bin(output: Tensor) -> Tensor:
        return score(torch.cat([whole[:, :2], output[:, 2:3], whole[:, 3:]], 1))

    units = units_of(net, "hidden", 6)
    keep = torch.rand(9, 6) < 0.5
    both = [UnitRuns(net, units, clean, corrupt, score, way).measure(keep) for way in ("noise", "denoise")]
    with torch.no_grad():
        hidden = [net.rnn(batch)[0] for batch in (clean, corrupt)]
        wanted = torch.stack([score(net.readout(torch.where(k, *hidden))) for k in keep])
    different = (keep[:, None] != keep).any(-1)
    alike = ((both[0][:, None] == both[0]).all(-1) & different).sum()
    every = [Unit("every", "hidden"), Unit("none", "hidden", {"channel": []})]
    share = {way: activation_patching(net, clean, corrupt, score, every, way) for way in ("denoise", "noise")}
    bins = sweep(net, clean, corrupt, third_bin, ["hidden"])["hidden"].estimate
    try:
        recovery(whole[:, :, 0].T, *(torch.randn(2, 20).numpy()))
        refused = 0
    except ValueError:
        refused = 1
    facade = CircuitDiscovery(net)
    found = facade.discover_minimal_circuit(clean, whole, ["hidden"], threshold=0.5)["hidden"]
    return [
        answer("patch all of a layer: recovery", share["denoise"].estimate[0], 1, 1e-9),
        answer("patch none of it: recovery", share["denoise"].estimate[1], 0, 1e-9),
        answer("all of it from the corrupt run: what is left", share["noise"].estimate[0], 0, 1e-9),
        answer(
            "sets of units, circuits side by side, and a closed form", (both[0] - wanted).abs().max(), 0, 1e-9
        ),
        answer(
            "both directions agree where units are all there is", (both[0] - both[1]).abs().max(), 0, 1e-9
        ),
        answer("circuits side by side that differ and score alike", alike, 0),
        answer("of five bins, recovery of the one that counts", bins[2], 1, 1e-9),
        answer("of five bins, recovery of the others", abs(np.delete(bins, 2)).max(), 0, 1e-9),
        answer("shares of a difference that noise explains are refused", refused, 1),
        answer("units in a least circuit, not none", len(found), 1, way="least"),
        answer("units in a least circuit, not all", len(found), 5, way="most"),
        answer(
            "recovery of the source's call, all of a layer",
            facade.activation_patching(clean, corrupt, "hidden").estimate,
            1,
            1e-9,
        ),
    ]


def _edges() -> list[Answer]:
    clean, corrupt = trials(4, 5, 5), trials(4, 5, 5)
    maps = [0.4 * torch.randn(5, 5, dtype=torch.float64) for _ in range(3)]
    net = Wired(maps, torch.tanh, torch.randn(5, dtype=torch.float64))
    graph = net.graph
    runs = EdgeRuns(net, graph, clean, corrupt, _mean)
    keep = torch.rand(12, len(graph)) < 0.5
    keep[0], keep[1] = True, False
    got = runs.measure(keep)
    alone = torch.cat([runs.measure(row) for row in keep])
    slow = torch.stack(
        [
            torch.stack([net.slowly(a, b, graph.kept(k)).mean() for a, b in zip(clean, corrupt, strict=True)])
            for k in keep
        ]
    )
    gap = edge_attribution(net, graph, clean, corrupt, _mean, steps=50).whole - (got[1] - got[0])
    linear = Wired(maps, lambda x: x, net.weights)
    exact = exact_effects(EdgeRuns(linear, graph, clean, corrupt, _mean)).per_trial
    guess = {
        way: edge_attribution(linear, graph, clean, corrupt, _mean, way).per_trial
        for way in ("eap", "eap-ig")
    }
    return [
        answer("all edges kept and the clean run", (got[0] - net(clean).mean(1)).abs().max(), 0, 1e-9),
        answer("no edge kept and the corrupt run", (got[1] - net(corrupt).mean(1)).abs().max(), 0, 1e-9),
        answer("edges exchanged and a slow loop", (got - slow).abs().max(), 0, 1e-9),
        answer("circuits side by side and one at a time", (got - alone).abs().max(), 0, 1e-9),
        answer("EAP-IG out of the sources and the whole effect", gap.abs().max(), 0, 1e-3),
        answer("linear net: EAP and exact patching", (guess["eap"] - exact).abs().max(), 0, 1e-9),
        answer("linear net: EAP-IG and exact patching", (guess["eap-ig"] - exact).abs().max(), 0, 1e-9),
    ]


def _found() -> list[Answer]:
    net, truth = two_paths()
    clean, corrupt = trials(8, 6, 2), trials(8, 6, 2)
    graph, wires = net.graph, net.graph.keep(truth)
    scores = edge_attribution(net, graph, clean, corrupt, _mean).per_trial.abs().amax(1)
    whole = net(clean)
    runs = EdgeRuns(net, graph, clean, corrupt, lambda y: -(y - whole).square().mean(1))  # minus a divergence
    pruned = acdc(runs, 1e-6, graph=graph)
    dead = [number for number, edge in enumerate(graph.edges) if "3" in edge[0] or "3 in" in edge]
    keep = torch.rand(20, len(graph)) < 0.7
    parts = torch.stack([graph.connected(k) for k in keep])
    opened, ones = gate(), torch.zeros(2, 3, 5, dtype=torch.float64)
    ones[..., :2] = 1
    at = [opened.graph.edges.index((name, "2 in")) for name in ("0", "1")]
    ways = {
        way: edge_attribution(opened, opened.graph, ones, 0 * ones, _mean, way, steps=10).mean[at]
        for way in ("eap", "eap-ig")
    }
    exact = exact_effects(EdgeRuns(opened, opened.graph, ones, 0 * ones, _mean)).mean[at]
    return [
        answer("two paths: edges that EAP-IG has wrong", ((scores > 1e-9) != wires).sum(), 0),
        answer("two paths: edges that ACDC has wrong", (pruned.keep != wires).sum(), 0),
        answer("an edge that leads nowhere: score", scores[dead].max(), 0, 1e-12),
        answer(
            "edges on no way through: what they change",
            (runs.passed(keep) - runs.passed(parts)).abs().max(),
            0,
            1e-9,
        ),
        answer("AND gate: exact effect of each input", exact.abs().min(), 1, 0.01),
        answer("AND gate: EAP misses it", ways["eap"].abs().max(), 0.01, way="most"),
        answer("AND gate: EAP-IG finds it, half to each", ways["eap-ig"].abs().min(), 0.5, 0.1),
    ]


def _ways() -> list[Answer]:
    net, _ = two_paths()
    clean, corrupt = trials(6, 6, 2), trials(6, 6, 2)
    paths = Paths(net, net.graph, clean, corrupt, _mean)
    got = paths.measure(("x", "0 in", "0", "2 in", "2", "end"))
    by_hand = torch.tanh(1.5 * torch.tanh(corrupt[..., 0]) - 1.2 * torch.tanh(0.8 * clean[..., 1])).mean(1)
    direct = paths.effect(("x", "end"))
    linear = Wired(
        [0.4 * torch.randn(4, 4, dtype=torch.float64) for _ in range(3)], lambda x: x, torch.ones(4).double()
    )
    a, b = trials(3, 4, 4), trials(3, 4, 4)
    each = Paths(linear, linear.graph, a, b, _mean)
    ways = paths_through(linear.graph)
    total = sum(each.effect(path) for path in ways)
    return [
        answer("a path through two parts, by hand", (got - by_hand).abs().max(), 0, 1e-9),
        answer("a path that is not wired", direct.abs().max(), 0, 1e-12),
        answer("ways through three parts in a row", len(ways), 8),
        answer(
            "linear net: all paths and the whole effect",
            (total - (linear(b) - linear(a)).mean(1)).abs().max(),
            0,
            1e-9,
        ),
    ]


def _faith() -> list[Answer]:
    weights = torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5], dtype=torch.float64)
    each = 1 + 0.1 * torch.rand(30, dtype=torch.float64)  # per trial
    runs = FunctionRuns([str(i) for i in range(10)], lambda keep: keep.double() @ weights[:, None] * each)
    keep = torch.arange(10) < 3
    found = faithfulness(runs, keep, 200)
    curve = size_curve(runs, weights, [1, 2, 3])
    either = FunctionRuns("ab", lambda keep: keep.any(1, keepdim=True).double() * each)
    spare = faithfulness(either, torch.tensor([True, False]), 10)
    other = partners(7, groups=[0, 0, 0, 1, 1, 1, 1]).numpy()
    return [
        answer("sufficiency of 14 parts in 20", found.sufficiency.estimate, 0.7, 1e-9),
        answer("necessity of 14 parts in 20", found.necessity.estimate, 0.7, 1e-9),
        answer("one of two that do the same: sufficiency", spare.sufficiency.estimate, 1, 1e-9),
        answer("one of two that do the same: necessity", spare.necessity.estimate, 0, 1e-9),
        answer("percentile of the best of its size", found.percentile, 99, way="least"),
        answer("size that reaches 0.6 of both", curve.smallest(0.6, 0.6), 2),
        answer("trials that are their own partner", (other == np.arange(7)).sum(), 0),
        answer("partners of another group", ((other < 3) != (np.arange(7) < 3)).sum(), 0),
    ]


def _models() -> list[Answer]:
    found = []
    clean, corrupt = torch.randn(2, 3, 9, 5)
    decoder = SpikeDecoderConfig(5, 2, 0.05, d=16, slots=2, blocks=1).build()
    transformer = CausalTransformerConfig(d=16, heads=2, layers=2).build(5, 2, 0.05)
    for name, model, run in (
        ("spike decoder", decoder, lambda model, x: model(x)),
        ("transformer", transformer, lambda model, x: model(x)[0]),
    ):
        graph = graph_of(model)
        check_graph(model, graph, clean, corrupt, run)
        runs = EdgeRuns(model, graph, clean, corrupt, lambda y: y.flatten(1)[:, -1], run)
        ends = runs.measure(torch.stack([torch.ones(len(graph)), torch.zeros(len(graph))]).bool())
        with torch.no_grad():
            wanted = torch.stack([run(model.eval(), batch).flatten(1)[:, -1] for batch in (clean, corrupt)])
        miss = (ends - wanted).abs().max() / (wanted[0] - wanted[1]).abs().max()
        found.append(answer(f"{name}: all edges clean, none corrupt", miss, 0, 1e-4))
    return found
