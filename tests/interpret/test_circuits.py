"""Circuits: every known answer, graphs of this book's models, and refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.interpret.acdc import acdc
from neurolib.interpret.circuits import CircuitDiscovery
from neurolib.interpret.corruption import channel_shuffle, n_rows, other_modality, partners, take, time_shift
from neurolib.interpret.edges import EdgeRuns, check_graph, edge_attribution, exact_effects, sent_size
from neurolib.interpret.faithfulness import FunctionRuns, faithfulness, random_circuits
from neurolib.interpret.graph import Graph, Reader, Sender, drawing
from neurolib.interpret.known_answers_circuits import Wired, known_answers, trials, two_paths
from neurolib.interpret.model_graphs import graph_of, multimodal_graph
from neurolib.interpret.patching import Unit, UnitRuns, units_of
from neurolib.interpret.paths import Paths
from neurolib.interpret.recovery import recovery
from neurolib.interpret.trial_scores import minus_squared_error, towards
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.decoder import SpikeDecoderConfig
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.tokenizers.binned import BinnedTokenizerConfig
from neurolib.models.sites import Site

ANSWERS = known_answers()


@pytest.mark.parametrize("one", ANSWERS, ids=[one.name for one in ANSWERS])
def test_known_answer(one):
    assert one.ok, one


# -- graphs of the models ------------------------------------------------------------------------------------

SSD, S6 = SSDMixerConfig(head=8, n_state=4), S6MixerConfig(n_state=4)
BACKBONES = {
    "slot attention": BackboneConfig(2, SSD, heads=2),
    "both ways, no slots": BackboneConfig(1, S6, "bi", slots="none", heads=2),
    "time major, perceptron": BackboneConfig(1, SSD, flatten="time_major", slots="mlp", heads=2),
}


def model_of(backbone: BackboneConfig) -> nn.Module:
    torch.manual_seed(0)
    model = MultimodalConfig(
        d=8,
        modalities=("spike", "emg"),
        tokenizers={
            name: BinnedTokenizerConfig(rate_hz=20.0, stride_s=0.1, transform="none")
            for name in ("spike", "emg")
        },
        perceiver=PerceiverConfig(steps=4, slots=2, layers=1, heads=2, shortest_s=0.1),
        backbone=backbone,
        pooled=2,
    ).build()
    for name, n in (("spike", 4), ("emg", 2)):
        model.add_channels(name, [f"{name}/{i}" for i in range(n)])
    return model


def signals(seed: int) -> dict:
    draw = torch.Generator().manual_seed(seed)
    spike, emg = torch.randn(3, 20, 4, generator=draw), torch.randn(3, 20, 2, generator=draw)
    return {"spike": spike, "emg": ModalityInput.sampled(emg, 20.0)}


def decoded(model, inputs):
    return model(inputs, task="decode")["decoder"]


@pytest.mark.parametrize("kind", BACKBONES)
def test_the_graph_is_the_models(kind):
    model, clean, corrupt = model_of(BACKBONES[kind]), signals(1), signals(2)
    graph = multimodal_graph(model)
    check_graph(model, graph, clean, corrupt, decoded)
    assert graph.sources == ("tokens.spike", "tokens.emg") and graph.outputs == ("output",)
    # the tokens of one modality exchanged: as if its signal alone were the other batch's
    runs = EdgeRuns(model, graph, clean, corrupt, lambda y: y[:, -1, 0], decoded)
    keep = graph.keep(edge for edge in graph.edges if edge[0] != "tokens.emg")
    with torch.no_grad():
        wanted = decoded(model.eval(), clean | {"emg": corrupt["emg"]})[:, -1, 0]
    assert torch.allclose(runs.measure(keep)[0], wanted, atol=1e-5)


def test_a_graph_that_is_not_the_models_is_refused():
    model, clean, corrupt = model_of(BACKBONES["slot attention"]), signals(1), signals(2)
    graph = multimodal_graph(model)
    lacking = [
        replace(r, reads=tuple(n for n in r.reads if n != "enter.head1")) for r in graph.readers.values()
    ]
    with pytest.raises(ValueError, match="no sender added"):
        check_graph(model, Graph(graph.senders.values(), lacking), clean, corrupt, decoded)
    net, _ = two_paths()
    x, y = trials(6, 6, 2).split(3)
    with pytest.raises(ValueError, match="past the graph"):
        check_graph(net, net.graph, x, y, lambda model, inputs: model(inputs) + inputs.sum(-1))
    with pytest.raises(ValueError, match="no graph for Linear"):
        graph_of(nn.Linear(1, 1))


def test_integrated_gradients_come_near_exact_patching_of_a_decoder():
    torch.manual_seed(0)
    model = SpikeDecoderConfig(5, 2, 0.05, d=16, slots=1, blocks=1).build()
    clean, corrupt = torch.randn(2, 4, 8, 5)
    graph, score = graph_of(model), lambda y: y[..., 0].square().sum(1)
    exact = exact_effects(EdgeRuns(model, graph, clean, corrupt, score)).mean
    found = edge_attribution(model, graph, clean, corrupt, score).mean
    assert np.corrcoef(exact, found)[0, 1] > 0.9
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_what_is_sent_does_not_know_what_matters():
    net, truth = two_paths()
    runs = EdgeRuns(net, net.graph, trials(4, 6, 2), trials(4, 6, 2), lambda y: y.mean(1))
    size = sent_size(runs).mean
    wired = net.graph.keep(truth)
    assert size[~wired].max() > size[wired].min()


# -- graphs and circuits -------------------------------------------------------------------------------------


def test_a_graph_without_order_is_refused():
    a, b = Sender("a", Site("a"), node="n"), Sender("b", Site("b"), node="m")
    out = Reader("out", Site("out"), ("a", "b"))
    circle = [Reader("n in", Site("n"), ("b",), "n"), Reader("m in", Site("m"), ("a",), "m"), out]
    with pytest.raises(ValueError, match="a sender that no reader is behind"):
        Graph([a, b], circle)
    with pytest.raises(ValueError, match="circle through 'n in'"):
        Graph([Sender("x", Site("x")), a, b], circle)
    with pytest.raises(ValueError, match="reads 'c', which no sender is"):
        Graph([a, b], [Reader("out", Site("out"), ("c",))])
    with pytest.raises(ValueError, match="one name"):
        Graph([a, a], [out])


def test_random_circuits():
    net, truth = two_paths()
    graph = net.graph
    ways = random_circuits(len(graph), 6, 30, graph=graph)
    assert (ways.sum(1) <= 6).all() and ways.any(1).all()
    assert all((graph.connected(way) == way).all() for way in ways)
    edges = random_circuits(len(graph), 6, 400)
    assert (edges.sum(1) == 6).all()
    assert np.allclose(edges.float().mean(0), 6 / len(graph), atol=0.12)  # no edge is preferred
    grown = graph.grown(graph.keep(truth).float(), len(truth))
    assert set(graph.kept(grown)) == truth
    with pytest.raises(ValueError, match="no edge x → 9 in"):
        graph.keep([("x", "9 in")])


def test_a_bottleneck_is_needed_by_wiring():
    decoder = SpikeDecoderConfig(5, 2, 0.05, d=16, slots=1, blocks=1).build()
    graph, (clean, corrupt) = graph_of(decoder), torch.randn(2, 12, 8, 5)
    assert graph.kept(graph.bottlenecks) == [("tokens.spike", "enter.source")]
    whole = decoder.eval()(clean).detach()
    runs = EdgeRuns(decoder, graph, clean, corrupt, minus_squared_error(whole))
    keep = graph.bottlenecks
    assert faithfulness(runs, keep, 2).necessity.estimate == pytest.approx(1)
    assert faithfulness(runs, keep, 2, spared=keep).necessity.estimate == pytest.approx(0, abs=1e-6)


def test_a_drawing_has_a_node_for_every_end():
    graph = graph_of(SpikeDecoderConfig(5, 2, 0.05, d=16, slots=1, blocks=1).build())
    nodes, edges = drawing(graph, torch.arange(len(graph)).float(), torch.ones(len(graph)).bool())
    names = [node["name"] for node in nodes]
    assert len(set(names)) == len(names) and len(edges) == len(graph)
    layers = {node["name"]: number for number, node in enumerate(nodes)}
    assert all(layers[edge["sender"]] < layers[edge["reader"]] for edge in edges)  # drawn from left to right
    assert set(graph.senders) <= set(names)


def test_paths_that_are_none_are_refused():
    net, _ = two_paths()
    paths = Paths(net, net.graph, trials(3, 6, 2), trials(3, 6, 2), lambda y: y.mean(1))
    for path, why in (
        (("x", "0 in", "0"), "a reader last"),
        (("2", "1 in"), "no edge"),
        (("x", "0 in", "1", "2 in"), "not computed from"),
    ):
        with pytest.raises(ValueError, match=why):
            paths.measure(path)


def test_a_change_goes_round_a_path_that_is_not_frozen():
    def squared(x):
        return x.square()

    maps = [torch.eye(2).double(), torch.eye(2).double()]
    net = Wired(maps, squared, torch.ones(2).double())
    x = torch.ones(2, 1, 2).double()
    paths = Paths(net, net.graph, x, 2 * x, lambda y: y.mean(1))
    # clean: 0 adds 1 per channel, 1 reads 2 and adds 4; by x → 0 alone 0 adds 4 and 1 reads 5
    assert paths.base.tolist() == [2 * (1 + 1 + 4)] * 2
    assert paths.measure(("x", "0 in")).tolist() == [2 * (1 + 4 + 25)] * 2
    assert paths.measure(("x", "0 in", "0", "end")).tolist() == [2 * (1 + 4 + 4)] * 2


def test_acdc_on_units_and_its_threshold():
    worth = torch.tensor([3.0, 0.5, 1.0])
    runs = FunctionRuns("abc", lambda keep: keep.float() @ worth[:, None].expand(3, 4))
    assert acdc(runs, 0.7).keep.tolist() == [True, False, True]
    assert acdc(runs, 2.0, order=[0, 1, 2]).costs == {"a": 3.0, "b": 0.5, "c": 1.0}
    with pytest.raises(ValueError, match="threshold=0 must be positive"):
        acdc(runs, 0)
    with pytest.raises(ValueError, match="each of 3 components once"):
        acdc(runs, 1, order=[0, 0, 1])


# -- corrupt batches, scores, shares -------------------------------------------------------------------------


def test_time_shift_keeps_trials_and_their_padding():
    x = torch.arange(1.0, 11.0)[:, None].repeat(3, 1, 1).clone()
    x[1, 6:] = 0
    y = time_shift(x, 2, seed=1, lengths=[10, 6, 10])
    assert torch.equal(y[1, 6:], x[1, 6:]) and torch.equal(y.sort(1).values, x.sort(1).values)
    for row, n in ((0, 10), (1, 6), (2, 10)):
        shift = (int(y[row, 0]) - 1) % n
        assert 2 <= shift <= n - 2
        assert torch.equal(y[row, :n], torch.roll(x[row, :n], -shift, 0))
    both = time_shift({"a": x, "b": ModalityInput.sampled(x.repeat_interleave(2, 1), 20.0)}, 3)
    assert torch.equal(both["b"].values[:, ::2], both["a"])  # signals stay together
    with pytest.raises(ValueError, match="cannot be shifted by 6"):
        time_shift(x, 6)


def test_channel_shuffle_is_one_per_session():
    x = torch.rand(4, 3, 8)
    y = channel_shuffle(x, sessions=[0, 0, 1, 1], seed=0)
    order = [[int((x[row, 0] == value).nonzero()) for value in y[row, 0]] for row in range(4)]
    assert order[0] == order[1] != order[2] == order[3] and sorted(order[0]) == list(range(8))
    assert all(torch.equal(y[row], x[row][:, order[row]]) for row in range(4))


def test_rows_and_partners():
    batch = {
        "spike": ModalityInput.sampled(torch.arange(6.0).view(3, 2, 1), 10.0),
        "y": (torch.arange(3), None),
    }
    rows = take(batch, torch.tensor([2, 2, 0, 1]))
    assert rows["spike"].values[:, 0, 0].tolist() == [4, 4, 0, 2] and rows["y"][0].tolist() == [2, 2, 0, 1]
    assert n_rows(rows) == 4
    mixed = other_modality({"a": torch.arange(3), "b": torch.arange(3)}, "b", partners(3, seed=1))
    assert (mixed["b"] != mixed["a"]).all() and mixed["b"].sort().values.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="one row per trial"):
        n_rows({"a": torch.zeros(2), "b": torch.zeros(3)})
    with pytest.raises(ValueError, match="holds one trial"):
        partners(3, groups=[0, 0, 1])
    with pytest.raises(ValueError, match="no modality 'c'"):
        other_modality({"a": torch.zeros(1)}, "c", torch.zeros(1).long())


def test_scores_of_trials():
    y, other = torch.randn(2, 3, 4, 2)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [True] * 4])
    score = towards(y, other, mask)
    assert torch.allclose(score(y), torch.ones(3)) and torch.allclose(score(other), torch.zeros(3), atol=1e-6)
    wild = y.clone()
    wild[1, 2:] = 99
    assert torch.allclose(score(wild), score(y))
    assert torch.equal(minus_squared_error(y, mask)(wild), torch.zeros(3))
    with pytest.raises(ValueError, match="have the same target"):
        towards(y, y)
    with pytest.raises(ValueError, match="for a target"):
        score(y[:2])


def test_recovery_is_a_ratio_of_means_with_an_interval():
    draw = np.random.default_rng(0)
    whole = draw.normal(2, 0.5, 60)
    found = recovery(0.3 * whole + draw.normal(0, 0.2, (2, 60)), whole, 0 * whole)
    assert np.allclose(found.per_trial.mean(1), found.estimate)
    assert (found.low < 0.3).all() and (0.3 < found.high).all() and (found.high - found.low < 0.15).all()
    with pytest.raises(ValueError, match="nothing to take shares of"):
        recovery(whole, draw.normal(0, 1, 60), np.zeros(60))
    with pytest.raises(ValueError, match="want \\(n, trial\\)"):
        recovery(whole, whole[:5], whole[:5])


def test_units_are_checked():
    model, x = nn.Linear(2, 3), torch.randn(4, 5, 2)
    site = Site("y", "", ("batch", "time", "channel"))

    def score(y):
        return y.sum((1, 2))

    with pytest.raises(ValueError, match="outside axis 'channel' of 3"):
        UnitRuns(model, [Unit("a", site, {"channel": 7})], x, x, score)
    with pytest.raises(ValueError, match="no axis 'head'"):
        UnitRuns(model, [Unit("a", site, {"head": 0})], x, x, score)
    with pytest.raises(ValueError, match="4 clean trials and 3 corrupt"):
        UnitRuns(model, [Unit("a", site)], x, x[:3], score)
    with pytest.raises(ValueError, match="one number per trial"):
        UnitRuns(model, [Unit("a", site)], x, x, lambda y: y.mean()).measure(torch.ones(1, 1).bool())
    with pytest.raises(ValueError, match="of shape \\(circuit, 3\\)"):
        UnitRuns(model, units_of(model, site, 3), x, x, score).measure(torch.ones(1, 2).bool())


def test_units_that_cross_axes():
    model, (x, y) = nn.Identity(), torch.randn(2, 4, 5, 3)
    site = Site("x", "", ("batch", "time", "channel"))
    units = [Unit("corner", site, {"time": slice(1, 3), "channel": [0, 2]}), Unit("bin", site, {"time": 4})]
    runs = UnitRuns(model, units, x, y, lambda out: out.sum((1, 2)))
    wanted = x.clone()
    wanted[:, 1:3, [0, 2]] = y[:, 1:3, [0, 2]]
    both = wanted.clone()
    both[:, 4] = y[:, 4]
    got = runs.measure(torch.tensor([[False, True], [False, False]]))
    assert torch.allclose(got, torch.stack([wanted.sum((1, 2)), both.sum((1, 2))]), atol=1e-5)


# -- the source's calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["greedy", "ranked", "random"])
def test_a_least_circuit_is_enough_and_small(search):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    with torch.no_grad():
        model[2].weight[:, 3:] *= 1e-3  # three units carry it
    x = torch.randn(60, 4, 6)
    target = model(x).detach()
    found = CircuitDiscovery(model).discover_minimal_circuit(x, target, ["1"], search, 0.9)["1"]
    assert set(found) == {0, 1, 2}


def test_the_sources_calls_on_a_model_of_modalities():
    model, clean, corrupt = model_of(BACKBONES["slot attention"]).eval(), signals(1), signals(2)
    study = CircuitDiscovery(model)
    assert study.activation_patching(clean, corrupt, "grid").estimate == pytest.approx(1, abs=1e-4)
    assert study.activation_patching(clean, corrupt, "grid", []).estimate == pytest.approx(0, abs=1e-4)
    some = study.activation_patching(clean, corrupt, "grid", [0, 1]).estimate
    assert 1e-3 < abs(some) < 0.999
    assert study.path_patching(clean, corrupt, "perceiver.enter", "norm").estimate == pytest.approx(
        1, abs=1e-4
    )
    with pytest.raises(ValueError, match="search_method='best'"):
        study.discover_minimal_circuit(clean, torch.zeros(1), ["grid"], "best")
