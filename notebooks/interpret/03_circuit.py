# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (interpret-circuit)=
# # Which circuit carries velocity?
#
# ```{glue} card
# ```
#
# A trained decoder is a graph: heads, perceptrons and tokens add to a stream, and later parts read the sum.
# A circuit is a part of that graph which does what the whole does.
# To find one, edges are not cut but *exchanged*: what one part sends to another comes from a different trial {cite}`wang2023interpretability`.
#
# The source of this study has such tools {cite}`neurofmx`, and they change nothing.
# Its patching runs the model once more without the patch, so that patching all of a layer recovers nothing; its search for a minimal circuit ablates nothing, finds that nothing matters, and deletes every neuron; its path patching compares two activations and patches no path.
#
# **You will learn** (1) how every edge is scored with a few gradients, and how good such scores are, (2) what a circuit must show before it counts: enough, needed, better than chance, on other trials and in another network, (3) that some decoders have a circuit and some have none.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # or "m1"
architectures: list = ["transformer"]  # "multimodal" as well
n_seeds: int = 2  # networks of each kind
steps: int = 60  # of training, transformer and GRU
model_steps: int = 60  # of training, multimodal
vae_steps: int = 40  # of training, VAE
n_bins: int = 20  # of a stretch
n_trials: int = 32  # stretches to find, to choose and to test
ig_steps: int = 6  # gradients along the way
n_random: int = 200  # control circuits
enough: float = 0.9  # sufficiency on valid trials at which a size is chosen
needed: float = 0.6  # and necessity
hidden: int = 48  # units of the GRU
stages: int = 4  # of the residual quantizer
n_latents: int = 6  # of the VAE
seed: int = 0
device: str = "auto"

# %%
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import torch
from scipy.stats import spearmanr

from neurolib import report
from neurolib.data.sets import load
from neurolib.interpret.circuits import CircuitDiscovery
from neurolib.interpret.corruption import partners
from neurolib.interpret.edges import (
    EdgeRuns,
    check_graph,
    edge_attribution,
    exact_effects,
    sent_size,
)
from neurolib.interpret.faithfulness import (
    FunctionRuns,
    ends,
    faithfulness,
    random_circuits,
    size_curve,
)
from neurolib.interpret.graph import drawing, strongest
from neurolib.interpret.model_graphs import graph_of
from neurolib.interpret.patching import (
    Unit,
    UnitRuns,
    single_effects,
    units_of,
)
from neurolib.interpret.paths import Paths, paths_through
from neurolib.interpret.recovery import recovery
from neurolib.interpret.trial_scores import minus_squared_error
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.multimodal.decoder import (
    SpikeDecoderConfig,
    with_moments,
)
from neurolib.models.multimodal.mixers import S6MixerConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit
from neurolib.training.recipes import Recipe, trained
from neurolib.viz.circuit_graph import circuit_graph
from neurolib.viz.faithfulness import size_curves

everything = load(dataset, source)
report.use(everything)
velocity = everything.with_outputs("velocity")
split = velocity.folds(5)[0]
seeds = range(seed, seed + n_seeds)
velocity


# %% [markdown]
# ## The question, trial by trial
#
# Stretches of equal length, {glue:text}`n_trials` each: from training trials to *find* circuits, from valid trials to *choose* their size, from test trials to measure once.
# The corrupt partner of a stretch is another stretch of the same part, so that activity is as real as before and says something else.
# Zeros would be neither.
# The score of a stretch is minus the squared error of the decoded velocity.


# %%
def stretches(trials):
    """Stretches of one length, spread over the trials."""
    pieces = trials.pieces(n_bins, n_bins)
    at = np.linspace(0, len(pieces) - 1, n_trials).round().astype(int)
    return trial_tensors(pieces.select(np.unique(at)))


parts = dict(
    zip(("find", "choose", "test"), map(stretches, split), strict=True)
)


def question(part, model):
    """Clean counts, those of the partners, and the score."""
    counts, wanted = parts[part]["counts"], parts[part]["behaviour"]
    other = partners(len(counts), seed=seed)
    score = minus_squared_error(wanted, scale=model.output_scale)
    return counts, counts[other], score


# %% [markdown]
# ## Circuits of edges
#
# The decoder is a causal transformer of two blocks with four heads each, trained to decode velocity.
# Its graph has an edge from every part to every later one: the tokens of counts, the heads, the perceptrons, the read-out.
# Before anything is asked, the graph is checked against the model: what parts add must sum to what the others read, and with all edges exchanged the output must be that of the partner.


# %%
def plan(n_steps):
    """Short pieces, and valid loss at half time and at the end."""
    whole = Recipe.cosine(n_steps, device, max(n_steps // 2, 1))
    return replace(whole, max_bins=40)


def transformer(number):
    """A trained transformer."""
    encoder = CausalTransformerConfig(32, 4, 2, context_s=0.5, dropout=0.2)
    cfg = DiscreteDecoderConfig(encoder, dim=32, hidden=32)
    return trained(split, cfg, plan(steps), number)


def multimodal(number):
    """The multimodal model of one modality, spikes."""
    cfg = SpikeDecoderConfig(
        1, 2, 1.0, d=32, slots=1, layers=1, blocks=1, heads=2, widen=2,
        mixer=S6MixerConfig(n_state=8), features=1, unit_dropout=0.1,
    )  # fmt: skip
    recipe = plan(model_steps)
    torch.manual_seed(number)
    model = with_moments(cfg, split.train)
    fit(model, *recipe.tensors(split), replace(recipe.train, seed=number))
    return model


# %%
makers = {"transformer": transformer, "multimodal": multimodal}
networks = {
    (kind, k): makers[kind](k).eval().to("cpu")
    for kind in architectures
    for k in seeds
}
graphs = {key: graph_of(model) for key, model in networks.items()}
for key, model in networks.items():
    check_graph(model, graphs[key], *question("find", model)[:2])
first = (architectures[0], seed)
graphs[first]

# %% [markdown]
# Four scores of an edge, all from the trials to find with.
# *Exact*: exchange that edge alone and run the model, once per edge.
# *EAP*: what is exchanged times the gradient where it is read, at the clean input {cite}`syed2023`.
# *EAP-IG*: the same with the gradient averaged over {glue:text}`ig_steps` inputs on the way from the clean to the corrupt trial {cite}`hanna2024`; a trained model is near an optimum, where the gradient of its error says little.
# *Sent*: how much of what is sent changes at all, without any gradient.

# %%
scores, runs = {}, {}
for key, model in networks.items():
    graph, asked = graphs[key], question("find", model)
    runs[key] = {
        part: EdgeRuns(model, graph, *question(part, model)) for part in parts
    }
    scores[key] = {
        "EAP-IG": edge_attribution(model, graph, *asked, steps=ig_steps),
        "EAP": edge_attribution(model, graph, *asked, method="eap"),
        "sent": sent_size(runs[key]["find"]),
        "exact": exact_effects(runs[key]["find"]),
    }

# %%
rank = {
    name: np.mean(
        [
            spearmanr(s[name].mean.abs(), s["exact"].mean.abs()).statistic
            for s in scores.values()
        ]
    )
    for name in ("EAP-IG", "EAP", "sent")
}
gaps = []
for key, each in scores.items():
    whole, none = ends(runs[key]["find"])
    gaps.append(abs(each["EAP-IG"].whole.mean() / (none - whole).mean() - 1))
by_seed = spearmanr(
    *[scores[architectures[0], k]["EAP-IG"].mean.abs() for k in seeds[:2]]
).statistic
(rank, [round(float(gap), 3) for gap in gaps], by_seed)

# %% tags=["hide-input"]
report.put("n_trials", n_trials)
report.put("ig_steps", ig_steps)
report.put("n_edges", len(graphs[first]))
report.put("rank_ig", float(rank["EAP-IG"]))
report.put("rank_eap", float(rank["EAP"]))
report.put("rank_sent", float(rank["sent"]))
report.put("rank_seeds", float(by_seed))
report.put("gap", float(100 * max(gaps)))

# %% [markdown]
# The scores of the edges out of the tokens must add up to the whole effect, if the steps are enough; they miss it by {glue:text}`gap:.1f` % at most.
# With the exact effects of {glue:text}`n_edges` edges EAP-IG has a rank correlation of {glue:text}`rank_ig:.2f`, EAP of {glue:text}`rank_eap:.2f`, and what is sent {glue:text}`rank_sent:.2f`.
# Between two networks that differ in their seed, scores of the same edge correlate with {glue:text}`rank_seeds:.2f`.
#
# ## How small can it be?
#
# A circuit grows from the output: each time the strongest edge into what is there.
# *Sufficiency* is the share of the score that is left with all other edges exchanged, *necessity* the share that is lost with the circuit itself exchanged.
# (An edge that every way passes is spared then, or the wiring alone would make any circuit with it needed; the multimodal model has one, the transformer none.)
# The smallest size with a sufficiency of {glue:text}`enough` and a necessity of {glue:text}`needed` on valid trials is chosen, a little more than the {glue:text}`goal` and {glue:text}`goal_needed` that it must reach on test trials.
#
# Controls are random circuits of the same size.
# Most random edges hang in the air, so there is a second, sharper kind, made of whole ways from the tokens to the output.


# %%
def curves(key):
    """Faithfulness by size on valid trials, for each score."""
    graph, asked = graphs[key], runs[key]["choose"]
    wide = np.geomspace(8, len(graph), 6).round().astype(int)
    sizes = [*range(1, 8), *np.unique(wide)]
    grow = partial(
        size_curve, asked, sizes=sizes, choose=graph.grown,
        spared=graph.bottlenecks, n_resamples=100,
    )  # fmt: skip
    names = ("EAP-IG", "EAP", "sent")
    return {name: grow(scores[key][name].mean) for name in names}


by_size = {key: curves(key) for key in networks}
chosen = {}
for key, lines in by_size.items():
    size = lines["EAP-IG"].smallest(enough, needed)
    chosen[key] = graphs[key].grown(scores[key]["EAP-IG"].mean, size)
{key: int(keep.sum()) for key, keep in chosen.items()}


# %%
def tested(key, keep, among=None, n=n_random):
    """A circuit on test trials, beside random edges, or ways of a graph."""
    size = int(keep.sum())
    controls = random_circuits(len(keep), size, n, seed, among)
    spared = graphs[key].bottlenecks
    asked = runs[key]["test"]
    return faithfulness(asked, keep, controls, seed, spared=spared)


on_test = {key: tested(key, keep) for key, keep in chosen.items()}
among_ways = {
    key: tested(key, keep, graphs[key]) for key, keep in chosen.items()
}
moved = {  # the circuit of the first network in the others
    key: tested(key, chosen[key[0], seed], n=2)
    for key in networks
    if key[1] != seed
}
[
    (f"{one.sufficiency:.2f}", f"{one.necessity:.2f}")
    for one in on_test.values()
]

# %% [markdown]
# What does a sufficiency mean in a unit one knows?
# A partner's velocity is as wrong as can be, so even the mean velocity, said in every bin, recovers some of the difference.
# And one edge alone is a decoder already: from the tokens to the output.


# %%
def as_r2(key, scores_of_trials, part="test"):
    """R² of mean scores."""
    target = parts[part]["behaviour"] / networks[key].output_scale
    spread = target.var((0, 1), unbiased=False).mean()
    return 1 + float(np.mean(scores_of_trials) / spread)


def constant(key):
    """Sufficiency of the mean velocity."""
    _, _, score = question("test", networks[key])
    said = networks[key].output_mean.expand_as(parts["test"]["behaviour"])
    return recovery(score(said), *ends(runs[key]["test"]))[0].estimate


r2 = {}
for key, keep in chosen.items():
    cut = runs[key]["test"].measure(keep)[0].numpy()
    whole, none = ends(runs[key]["test"])
    r2[key] = [as_r2(key, part) for part in (whole, cut, none)]
mean_velocity = float(np.mean([constant(key) for key in networks]))

# %%
direct = {}
for key, graph in graphs.items():
    edge = (graph.sources[0], graph.outputs[0])
    if edge in graph.edges:
        alone = runs[key]["test"].measure(graph.keep([edge]))
        direct[key] = recovery(alone, *ends(runs[key]["test"]))[0].estimate
ways = paths_through(graphs[first], chosen[first])
along = Paths(
    networks[first], graphs[first], *question("test", networks[first])
)
effects = {way: float(along.effect(way).mean()) for way in ways}
whole, none = ends(runs[first]["test"])
shares = {
    " → ".join(way): effect / float((none - whole).mean())
    for way, effect in sorted(effects.items(), key=lambda pair: pair[1])
}
shares

# %% tags=["hide-input", "remove-output"]
panels = {}
for (kind, k), lines in by_size.items():
    graph, at = graphs[kind, k], lines["EAP-IG"].sizes
    few = np.unique(np.geomspace(1, len(graph), 7).round().astype(int))
    bands = []
    for n in few:
        controls = random_circuits(len(graph), int(n), 20, seed, graph)
        got = runs[kind, k]["choose"].measure(controls)
        bands.append(
            recovery(got, *ends(runs[kind, k]["choose"]), 10).estimate
        )
    low, high = np.quantile(bands, [0.025, 0.975], axis=1)
    panels[f"{kind}, network {k - seed + 1}"] = {
        "lines": {n: (at, c.sufficiency.estimate) for n, c in lines.items()},
        "band": (few, low, high),
        "point": (
            on_test[kind, k].size,
            on_test[kind, k].sufficiency.estimate,
        ),
    }
levels = {"goal": 0.8, "mean velocity alone": mean_velocity}
figure = size_curves(
    panels, "edges kept", "sufficiency", levels, everything.simulated
)
report.figure("sizes", figure)

# %% tags=["hide-input"]
sizes_found = [int(keep.sum()) for keep in chosen.values()]
mine = [key for key in networks if key[0] == architectures[0]]
report.put("band", 95)
report.put("enough", enough)
report.put("needed", needed)
report.put("goal", 0.8)
report.put("goal_needed", 0.5)
report.put("size_low", min(sizes_found))
report.put("size_high", max(sizes_found))
report.put("sufficiency", f"{on_test[first].sufficiency:.2f}")
report.put("necessity", f"{on_test[first].necessity:.2f}")
report.put("least_enough", min(on_test[k].sufficiency.estimate for k in mine))
report.put("least_needed", min(on_test[k].necessity.estimate for k in mine))
report.put("rank_edges", min(on_test[k].percentile for k in mine))
report.put("rank_ways", min(among_ways[k].percentile for k in mine))
report.put("moved", f"{next(iter(moved.values())).sufficiency:.2f}")
report.put("moved_needed", f"{next(iter(moved.values())).necessity:.2f}")
both = chosen[mine[0]] & chosen[mine[1]]
either = chosen[mine[0]] | chosen[mine[1]]
report.put("shared", f"{int(both.sum())} of {int(either.sum())}")
report.put("r2_all", r2[first][0])
report.put("r2_circuit", r2[first][1])
report.put("r2_none", r2[first][2])
report.put("mean_velocity", mean_velocity)
report.put("direct", float(np.mean(list(direct.values()) or [0.0])))
report.put("first_way", next(iter(shares)))
report.put("first_share", float(next(iter(shares.values()))))
report.put("n_ways", len(ways))

# %% [markdown]
# ```{glue:figure} sizes
# :name: fig-interpret-sizes
# :alt: Sufficiency of circuits of growing size for three scores of edges, beside random circuits
#
# **How small?** Sufficiency on valid trials of circuits grown by each score, one panel per network. Grey: {glue:text}`band:.0f` % of random circuits made of whole ways. Star: the chosen circuit, on test trials.
# ```
#
# The rule takes {glue:text}`size_low` to {glue:text}`size_high` of {glue:text}`n_edges` edges.
# On test trials the first network's circuit has a sufficiency of {glue:text}`sufficiency` and a necessity of {glue:text}`necessity` (intervals over stretches).
# In R², the network has {glue:text}`r2_all:.2f`, its circuit {glue:text}`r2_circuit:.2f`, and the partner's velocity {glue:text}`r2_none:.2f`.
# So sufficiency flatters: the mean velocity alone would have {glue:text}`mean_velocity:.2f`, and the single edge from the tokens to the output {glue:text}`direct:.2f`.
#
# The worst percentile of our circuits among random edges is {glue:text}`rank_edges:.0f`, and among random ways {glue:text}`rank_ways:.0f`.
# That is the fairer question, and it is harder: any circuit with the direct edge in it does well.
#
# The other network has a circuit by the same rule; of the edges in either, {glue:text}`shared` are in both.
# With the first network's edges the second has a sufficiency of {glue:text}`moved` and a necessity of {glue:text}`moved_needed`.
#
# *Path patching* goes one step further and lets the change pass along one way alone, with everything else held {cite}`goldowsky2023`.
# Of the {glue:text}`n_ways` ways through the first circuit the strongest is {glue:text}`first_way`; exchanged alone, it costs {glue:text}`first_share:.2f` of the difference.
#
# ## Look at it
#
# Edges of the first network, the strongest first; what is not in the circuit is dashed.
# An edge below zero serves the decoder: its exchange costs.
# Heads stand behind the node that their layer reads at; edges end there because all heads of a layer read the same.

# %%
order = scores[first]["EAP-IG"].mean
nodes, edges = drawing(graphs[first], order, chosen[first])
ranked = [strongest(order, n) for n in range(1, len(order) + 1)]
enough_at = recovery(
    runs[first]["choose"].measure(torch.stack(ranked)),
    *ends(runs[first]["choose"]),
    10,
)
steps_of = [
    {"size": n + 1, "sufficiency": float(share)}
    for n, share in enumerate(enough_at.estimate)
]
circuit_graph(
    "velocity-circuit",
    nodes,
    edges,
    steps_of,
    simulated=everything.simulated,
)

# %% [markdown]
# ## Circuits of units
#
# The same questions can be asked of units instead of edges: which of them must come from the right trial?
# Three decoders, each with parts that invite the question.
#
# - **A GRU** with {glue:text}`hidden` hidden units, exchanged where they are read out; its memory is left alone.
# - **A residual quantizer** of {glue:text}`stages` stages, fitted to the latents of that GRU: each stage codes what the stages before it left.
# - **A Hebbian VAE** with {glue:text}`n_latents` latents {cite}`skatchkovsky2024`.
#
# For stages and latents every subset can be measured, so that the best of each size is known and not estimated; they are chosen on valid trials and shown on test trials, as everywhere.


# %%
def gru(number):
    """A trained GRU decoder, continuous."""
    encoder = RecurrentEncoderConfig("gru", hidden, dropout=0.3)
    cfg = DiscreteDecoderConfig(encoder, dim=16, hidden=32)
    return trained(split, cfg, plan(steps), number).eval().to("cpu")


def hebbian(number):
    """A trained Hebbian VAE."""
    cfg = VAEConfig(HebbianConfig("light", 8), n_latents, 5, hidden=32)
    settings = TrainConfig(
        vae_steps, 16, 1e-2, schedule="cosine", warmup=5, seed=number,
        eval_every=max(vae_steps // 2, 1), device=device,
    )  # fmt: skip
    torch.manual_seed(number)
    model = SequenceVAE.for_trials(split.train, cfg)
    pieces = [trial_tensors(p.pieces(n_bins, n_bins)) for p in split[:2]]
    fit(model, *pieces, settings)
    return model.eval().to("cpu")


# %%
def hidden_runs(model, part):
    """The GRU's hidden units."""
    units = units_of(model, "encoder.hidden", hidden)
    return UnitRuns(model, units, *question(part, model))


def latent_runs(model, part):
    """Means of the VAE's latents."""
    units = [
        Unit(f"latent {i}", "posterior", {"channel": i})
        for i in range(n_latents)
    ]
    return UnitRuns(model, units, *question(part, model))


@torch.no_grad()
def both_codes(model, clean, corrupt):
    """Codes of every bin, own and the partner's."""
    latents = (model.encoder(counts)[0] for counts in (clean, corrupt))
    return [model.quantizer.quantize(each).codes for each in latents]


def stage_runs(model, part):
    """Stages of the quantizer."""
    clean, corrupt, score = question(part, model)
    own, other = both_codes(model, clean, corrupt)

    def measure(keep):
        mixed = torch.where(keep[:, None, None], own, other)
        said = model.head(model.quantizer.decode(mixed))
        said = said * model.output_scale + model.output_mean
        return torch.stack([score(one) for one in said])

    return FunctionRuns([f"stage {i + 1}" for i in range(stages)], measure)


# %%
grus = [gru(k) for k in seeds]
coded = ResidualConfig(n_stages=stages, size=16)
quantised = [m.quantised(coded, split.train, k) for k, m in enumerate(grus)]
vaes = [hebbian(k) for k in seeds]


def best_subsets(make, model, n):
    """The best subset of each size on valid trials, measured on test."""
    every = torch.tensor(list(product([False, True], repeat=n)))
    asked = make(model, "choose")
    means, size = asked.measure(every).mean(1), every.sum(1)
    best = [
        every[size == k][means[size == k].argmax()] for k in range(1, n + 1)
    ]
    asked = make(model, "test")
    return [
        faithfulness(asked, keep, every[size == keep.sum()]) for keep in best
    ]


by_stage = [best_subsets(stage_runs, m, stages) for m in quantised]
by_latent = [best_subsets(latent_runs, m, n_latents) for m in vaes]


# %%
def by_hidden(model):
    """Hidden units by what they do alone, and by their weights."""
    alone = single_effects(hidden_runs(model, "find")).mean(1)
    weights = model.encoder.readout.weight.detach().norm(dim=0)
    asked = hidden_runs(model, "choose")
    at = np.unique(np.linspace(1, hidden, 12).round().astype(int))
    curves = [size_curve(asked, by, at) for by in (alone, weights)]
    drawn = [random_circuits(hidden, int(n), 25, seed) for n in at]
    shares = [recovery(asked.measure(x), *ends(asked)).estimate for x in drawn]
    size = curves[0].smallest(enough, 0.5) or hidden
    asked = hidden_runs(model, "test")
    keep = strongest(alone, size)
    return *curves, np.array(shares), faithfulness(asked, keep, n_random, seed)


units = [by_hidden(model) for model in grus]
[(one[3].size, one[3].sufficiency, one[3].percentile) for one in units]

# %% tags=["hide-input", "remove-output"]
effect, weight, drawn, _ = units[0]
low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
panels = {
    f"GRU, {hidden} units": {
        "lines": {
            "what units do alone": (effect.sizes, effect.sufficiency.estimate),
            "their weights": (weight.sizes, weight.sufficiency.estimate),
        },
        "band": (effect.sizes, low, high),
        "point": (units[0][3].size, units[0][3].sufficiency.estimate),
    }
}
kinds = {
    f"RVQ, {stages} stages": by_stage,
    f"VAE, {n_latents} latents": by_latent,
}
for title, rows in kinds.items():
    at = [one.size for one in rows[0]]
    names = ("best subset", "best subset, network 2")
    panels[title] = {
        "lines": {
            name: (at, [one.sufficiency.estimate for one in row])
            for name, row in zip(names, rows, strict=False)
        },
        "band": (
            at,
            [one.random.min() for one in rows[0]],
            [one.random.max() for one in rows[0]],
        ),
    }
figure = size_curves(
    panels, "parts kept", "sufficiency", {"goal": 0.8}, everything.simulated
)
report.figure("units", figure)

# %% tags=["hide-input"]
stage_one = [row[0] for row in by_stage]
fewest = [
    next(one.size for one in row if one.sufficiency.estimate >= 0.8)
    for row in by_latent
]
gain = float(np.mean([u[0].area - u[1].area for u in units]))
over_chance = float(
    np.mean([np.max(u[0].sufficiency.estimate - u[2].mean(1)) for u in units])
)
report.put("hidden", hidden)
report.put("stages", stages)
report.put("n_latents", n_latents)
report.put("units_needed", int(np.mean([u[3].size for u in units])))
report.put("over_chance", over_chance)
report.put("unit_rank", float(min(u[3].percentile for u in units)))
report.put("best_of_few", 100 * (1 - 0.5 / stages))
report.put("stage_enough", f"{stage_one[0].sufficiency:.2f}")
report.put("stage_needed", f"{stage_one[0].necessity:.2f}")
report.put("latents_few", min(fewest))
report.put("latents_many", max(fewest))

# %% [markdown]
# ```{glue:figure} units
# :name: fig-interpret-units
# :alt: Sufficiency by the number of units, stages and latents kept
#
# **Units of three decoders.** Left: valid trials, hidden units by what they do alone or by their weights; grey, {glue:text}`band:.0f` % of random sets; star, the chosen size on test trials. Middle and right: the best subset of each size on test trials; grey, all subsets of that size.
# ```
#
# *The GRU has no circuit of few units.*
# About {glue:text}`units_needed` of {glue:text}`hidden` are needed, and at no size does the ranking beat random units by more than {glue:text}`over_chance:.2f` on average; against random sets of the same size the worst network is at percentile {glue:text}`unit_rank:.0f`.
# Velocity is spread over the layer, as one expects where dropout forbids to rely on any unit.
#
# *The quantizer has one.*
# The first stage alone has a sufficiency of {glue:text}`stage_enough` and a necessity of {glue:text}`stage_needed`; the later ones add detail.
# With {glue:text}`stages` candidates a percentile says little: the best of them is at {glue:text}`best_of_few:.1f` at most.
#
# *The VAE* reaches {glue:text}`goal` with {glue:text}`latents_few` to {glue:text}`latents_many` of {glue:text}`n_latents` latents, where two would be enough for two velocities if each had one.
#
# ## The source's calls
#
# The same calls as in the source, on the first GRU: patch all of its latents, patch none, and find a least circuit.

# %%
study = CircuitDiscovery(grus[0])
clean, corrupt, _ = question("find", grus[0])
patched = study.activation_patching(clean, corrupt, "latents")
nothing = study.activation_patching(clean, corrupt, "latents", [])
least = study.discover_minimal_circuit(
    clean,
    parts["find"]["behaviour"],
    ["latents"],
    search_method="ranked",
    threshold=0.8,
)
(patched, nothing, len(least["latents"]))

# %% tags=["hide-input"]
report.put("patched_all", float(patched.estimate))
report.put("patched_none", abs(float(nothing.estimate)))
report.put("least", len(least["latents"]))

# %% [markdown]
# All of it recovers {glue:text}`patched_all:.3f`, none of it {glue:text}`patched_none:.3f`, and the least circuit has {glue:text}`least` of 16 latents, not none.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "patching all of a layer recovers everything, and patching none nothing",
    abs(patched.estimate - 1) < 1e-3 and abs(nothing.estimate) < 1e-3,
)
report.claim(
    "integrated scores of the edges out of the tokens add up to the effect",
    max(gaps) < 0.05,
)
report.claim(
    "a circuit of edges is enough and needed on test trials, in all networks",
    all(
        on_test[k].sufficiency.estimate >= 0.8
        and on_test[k].necessity.estimate >= 0.5
        for k in mine
    ),
)
report.claim(
    "it is above the 95th percentile of random edges, in all networks",
    all(on_test[k].percentile >= 95 for k in mine),
)
report.claim(
    "and above that of random ways from the tokens to the output",
    all(among_ways[k].percentile >= 95 for k in mine),
)
report.claim(
    "the first network's edges are enough in the second",
    all(one.sufficiency.estimate >= 0.8 for one in moved.values()),
)
report.claim(
    "a quarter of the GRU's units is enough",
    all(u[0].sufficiency.estimate[u[0].sizes <= hidden / 4].max() >= 0.8
        for u in units),
)  # fmt: skip
report.claim(
    "the first stage of the quantizer is enough and needed",
    all(
        one.sufficiency.estimate >= 0.8 and one.necessity.estimate >= 0.5
        for one in stage_one
    ),
)
report.claim(
    "one latent of the VAE is enough",
    all(row[0].sufficiency.estimate >= 0.8 for row in by_latent),
)

# %% [markdown]
# ## What we learned
#
# - Exchanging edges for those of another trial gives circuits that can be checked: enough, needed, on trials and in networks they were not found on.
# - A few gradients find them. They are checked twice: their sum against the whole effect, and their order against exact patching.
# - Sufficiency needs a scale. A partner's velocity is worse than no answer, so a high one is less than it sounds; R² says how much less.
# - Random edges are a weak control, random ways a fair one.
# - Having a circuit is a property of a network, not of a method: a residual quantizer has one by construction, a GRU trained with dropout has none.
# - **Not shown:** that circuits are unique, what happens when a GRU's memory is exchanged as well, and anything about another session. Two networks replicate a finding and do not estimate how often it holds.
# - **What would change our mind:** a rule that finds circuits as small, fixed before, above the random ways in ten networks of each kind.
#
# **Try it:** `architectures=["transformer", "multimodal"]`; does the multimodal model keep its attention among latents?
# **Sources:** {cite}`neurofmx,wang2023interpretability,goldowsky2023,conmy2023,syed2023,hanna2024,skatchkovsky2024`.

# %% tags=["hide-input"]
report.card(
    answer=f"In a small transformer {min(sizes_found)} to "
    f"{max(sizes_found)} of {len(graphs[first])} edges keep "
    f"{on_test[first].sufficiency.estimate:.2f} of the difference between "
    "right and wrong trials, on test trials, and both networks have such a "
    "circuit. Most of it is the direct edge from the tokens to the read-out. "
    "A residual quantizer's first stage is a circuit by itself; a GRU's "
    f"units are not: {int(np.mean([u[3].size for u in units]))} of {hidden} "
    "are needed, and any others do nearly as well.",
    needs="what a transformer and a GRU are.",
)
report.stamp()
