# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-baselines)=
# # How well can coordinates be predicted without a network?
#
# ```{glue} card
# ```
#
# A study reports a list of places in the brain.
# Hide some of them: how probable are they under a map that was made from the rest, or from the study's text?
# This page asks it of models that need no network, because a network that is not compared with them has shown nothing.
# What all of them predict is what is *reported*, with its thresholds and regions of interest, and not activation.
#
# **You will learn** (1) a score that an average map cannot pass, (2) why a hidden table is a better test than hidden peaks, (3) how far text, neighbours, mirror images and components get, alone and together.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = (
    "auto"  # of the trained atlas: quick, book, full, or the largest there is
)
n_maps: int = 3  # topics to draw
seed: int = 0  # of the permutation

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree

from neurolib import report
from neurolib.atlas import NETWORKS
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.viz import brain, scores

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
held_out = atlas.held_out
corpus

# %% [markdown]
# ## The score and three tasks
#
# The score is the log probability of each hidden focus, in nats, over that of the *global density*: the smoothed density of the foci of all training studies.
# A map that says nothing about its study scores zero, however much it looks like a brain.
# Intervals draw studies again, not foci, because foci of one study go together.
#
# - **text:** all foci are hidden, and topics are known.
# - **half:** a random half of the foci is hidden.
# - **table:** one whole table of a study is hidden.
#
# Random halves flatter whatever copies: a cluster of peaks, or the two sides of the brain, end up in both halves.
# A table is what an author set apart, so it comes closer to the question what else a study will find; it is the headline.


# %%
def distance_to_seen(task):
    """Distance in mm of hidden foci to the nearest seen one of their study."""
    h, xyz = held_out.hold_outs[f"{task} test"], corpus.corpus.dequantised()
    nearest = [
        cKDTree(xyz[h.seen[h.seen_of == i]]).query(
            xyz[h.hidden[h.hidden_of == i]]
        )[0]
        for i in range(len(h.studies))
    ]
    return np.concatenate(nearest)


distances = {task: distance_to_seen(task) for task in ("half", "table")}
n_hidden = {t: len(held_out.base[f"{t} test"]) for t in held_out.tasks}
{task: np.median(d).round(1) for task, d in distances.items()}, n_hidden

# %% tags=["hide-input"]
for task, n in n_hidden.items():
    report.put(f"n_{task}", f"{n:,}")
    report.put(
        f"studies_{task}", len(held_out.hold_outs[f"{task} test"].studies)
    )
for task, d in distances.items():
    report.put(f"near_{task}", 100 * float((d < 4).mean()))

# %% [markdown]
# | task | test studies | hidden foci | of them within one voxel's width of a seen one |
# |---|---|---|---|
# | text | {glue:text}`studies_text` | {glue:text}`n_text` | none is seen |
# | half | {glue:text}`studies_half` | {glue:text}`n_half` | {glue:text}`near_half:.1f` % |
# | table | {glue:text}`studies_table` | {glue:text}`n_table` | {glue:text}`near_table:.1f` % |
#
# ## The models
#
# - **topics:** one map per topic, mixed by the study's topics; maps are found by expectation maximisation.
# - **ridge on topics:** smoothed maps regressed on topics, as NeuroQuery does from words {cite}`dockes2020`.
# - **local:** kernels around the seen foci, narrow or wide; **mirror:** the same on the other side of the brain.
# - **components:** scores of one half of the foci on principal components, regressed on those of the other half, with topics beside them or without.
# - **factors:** maps as mixtures of a few learned densities, with no negative part (pLSA).
# - **neighbours:** the foci of the training studies that are most alike, what meta-analysts call co-activation.
# - **stack:** a mixture of all of them and the global density, with weights from valid studies; in the **gated** stack weights depend on the study: how many foci are seen, how they cluster, whether they mirror each other, how clear the topic is (on text nothing is seen, so there is nothing to gate by).
#
# Each single model is mixed with the global density in the same way, so that none is punished for one lost focus.
# GCLDA {cite}`rubin2017` is the published generative model of words and places.
# It is not run here: its sampler in NiMARE {cite}`salo2023` takes minutes to hours for a corpus of this size; `neurolib.models.coordinates.gclda` puts it behind the same interface.

# %%
names = {
    "topics": "topics",
    "ridge": "ridge on topics",
    "local 8 mm": "local, narrow",
    "local 15 mm": "local, wide",
    "mirror": "mirror",
    "components": "components",
    "components + topics": "components + topics",
    "factors": "factors",
    "neighbours": "neighbours",
}
single, stack = {}, {}
for task in held_out.tasks:
    models = [m for m in held_out.models(task) if m not in NETWORKS]
    single[task] = {m: held_out.gain(task, m) for m in models}
    stack[task] = [
        held_out.gain(task, models, gated)
        for gated in ([False] if task == "text" else [False, True])
    ]
{task: [str(gain) for gain in gains] for task, gains in stack.items()}

# %% [markdown]
# Two nulls go beside them: a density that is the same everywhere in the brain, and the topic maps with topics dealt to the wrong studies.
# The latter says how much of the topics' gain comes from knowing *this* study.

# %%
rng, test = np.random.default_rng(seed), corpus.split.test
dealt = corpus.corpus.topics.copy()
dealt[test] = dealt[rng.permutation(test)]
told = {"own": corpus.corpus, "dealt": replace(corpus.corpus, topics=dealt)}
hidden = held_out.hold_outs["text test"]
null = {}
for name, given in told.items():
    p = atlas.topics.hidden(given, corpus.voxels, hidden)
    null[name] = held_out.compare(
        np.log(p), np.log(held_out.base["text test"]), "text"
    )
uniform = {}
for task in held_out.tasks:
    log_base = np.log(held_out.base[f"{task} test"])
    flat = np.full(len(log_base), -np.log(corpus.grid.n_voxels))
    uniform[task] = held_out.compare(flat, log_base, task)
{name: str(value) for name, value in null.items()}

# %% [markdown]
# Simulated studies come with their causes, so the density that they were drawn from can be scored as well.
# It knows each study's latent numbers, but not which foci descend from which, nor that tables of a study differ; local kernels and the mirror can see some of that, so together they are the ceiling.


# %%
class TrueDensity:
    """The densities that simulated studies were drawn from."""

    def __init__(self, truth):
        self.truth = truth

    def hidden(self, coordinates, voxels, hold_out):
        """Probability of each hidden focus."""
        z = self.truth.latents[coordinates.id[hold_out.studies]]
        density = np.exp(self.truth.base + z @ self.truth.fields)
        density /= density.sum(1, keepdims=True)
        return density[hold_out.hidden_of, voxels[hold_out.hidden]]


oracle = {task: None for task in held_out.tasks}
if corpus.simulated:
    truth = CorpusSimulator().simulate(0)[1]
    held_out.add("truth", TrueDensity(truth), corpus)
    copies = ("local 8 mm", "local 15 mm", "mirror")
    for task in held_out.tasks:
        more = () if task == "text" else copies
        oracle[task] = held_out.gain(task, ("truth", *more))


# %% tags=["hide-input", "remove-output"]
def bar(gain):
    """Estimate and interval, or nothing."""
    return gain and (gain.micro, gain.low, gain.high)


panels = {}
for task in ("table", "half", "text"):
    rows = {"null: uniform": bar(uniform[task])}
    rows["null: topics dealt"] = bar(null["dealt"]) if task == "text" else None
    rows |= {label: bar(single[task].get(m)) for m, label in names.items()}
    rows["stack"] = bar(stack[task][0])
    rows["gated stack"] = None if task == "text" else bar(stack[task][1])
    rows |= {"oracle: truth": bar(oracle[task])} if corpus.simulated else {}
    panels[task] = rows
fig = scores.interval_chart(panels, "nats per focus", corpus.simulated)
values = [v for rows in panels.values() for v in rows.values() if v]
plt.setp(fig.axes, xlim=(np.min(values) - 0.05, np.max(values) + 0.05))
report.figure("classical", fig)
report.put("stack_table", stack["table"][-1].micro)
report.put("stack_half", stack["half"][-1].micro)
report.put("stack_text", stack["text"][-1].micro)
for task in held_out.tasks:
    best = max(single[task], key=lambda m: single[task][m].micro)
    report.put(f"best_{task}", names[best])
    report.put(f"best_gain_{task}", single[task][best].micro)
report.put("own", null["own"].micro)
report.put("dealt", null["dealt"].micro)
report.put("uniform", uniform["text"].micro)
of_truth = [oracle[t] and stack[t][-1].micro / oracle[t].micro for t in panels]
report.put(
    "ceiling",
    f"{100 * of_truth[0]:.0f} % (table), {100 * of_truth[1]:.0f} % (half) and "
    f"{100 * of_truth[2]:.0f} % (text) of what the truth scores"
    if corpus.simulated
    else "an unknown share of what could be known: recorded studies have no oracle",
)

# %% [markdown]
# ```{glue:figure} classical
# :name: fig-atlas-classical
# :alt: Nats per focus over the global density of all classical models on three tasks, with nulls
#
# **What foci say about hidden foci.** Nats per hidden focus over the global density (zero), with 95 % intervals over studies; grey are nulls and, for simulated studies, the truth with local kernels and mirror beside it.
# ```
#
# On a hidden table the gated stack gains {glue:text}`stack_table:.2f` nats per focus, on a hidden half {glue:text}`stack_half:.2f`, and from text alone {glue:text}`stack_text:.2f`.
# The best single models are {glue:text}`best_table` ({glue:text}`best_gain_table:.2f`), {glue:text}`best_half` ({glue:text}`best_gain_half:.2f`) and {glue:text}`best_text` ({glue:text}`best_gain_text:.2f`).
# The stack gets {glue:text}`ceiling`.
#
# Topics dealt to the wrong studies score {glue:text}`dealt:+.2f`, where the right ones score {glue:text}`own:+.2f`: a wrong description is worse than none.
# A density that is the same everywhere scores {glue:text}`uniform:+.2f`; that much the global density has learned by itself, and anything scored against a flat brain gets it for free.
#
# ## What hidden tables take away
#
# How much the mirror kernel adds to the two local ones, and how much gating adds to fixed weights, in pairs on the same foci:

# %%
pairs = {}
for task in ("half", "table"):
    local = ("local 15 mm", "local 8 mm")
    with_mirror = held_out.mixed(task, (*local, "mirror"))
    models = list(single[task])
    fixed, gated = (held_out.mixed(task, models, g) for g in (False, True))
    pairs[f"mirror {task}"] = held_out.compare(
        with_mirror, held_out.mixed(task, local), task
    )
    pairs[f"gating {task}"] = held_out.compare(gated, fixed, task)
{name: str(gain) for name, gain in pairs.items()}

# %%
best = max(single["table"], key=lambda m: single["table"][m].micro)
mixed = [held_out.mixed("table", m) for m in (list(single["table"]), best)]
over_best = held_out.compare(*mixed, "table")
weights = held_out.weights("table", list(single["table"]))
{name: round(weight, 2) for name, weight in weights.items()}

# %% tags=["hide-input"]
for name, pair in pairs.items():
    key = name.replace(" ", "_")
    report.put(
        f"{key}", f"{pair.micro:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"
    )
report.put(
    "over_best",
    f"{over_best.micro:+.3f} [{over_best.low:+.3f}, {over_best.high:+.3f}]",
)

# %% [markdown]
# | adds, nats per focus | half | table |
# |---|---|---|
# | mirror, to two local kernels | {glue:text}`mirror_half` | {glue:text}`mirror_table` |
# | gating, to fixed weights | {glue:text}`gating_half` | {glue:text}`gating_table` |
#
# Authors report both sides of the brain in one table.
# So in recorded studies the mirror is worth several times as much under random halves as under hidden tables, and a page that reported halves alone would praise a model for finding the other row of the same table.
# Simulated studies mirror their foci across tables, and there it does not matter which is hidden.
#
# Gating pays where studies differ in how far their foci may be trusted: recorded ones do, from a handful of scattered peaks to hundreds in clusters.
# Simulated studies are all made by one rule, and fixed weights are enough for them.
#
# ## What a topic's map looks like

# %% tags=["hide-input", "remove-output"]
maps, base = atlas.topics.topic_maps, atlas.topics.base
ratio = np.log(maps / base)
order = np.argsort(-(maps * ratio).sum(1))[:n_maps]
titles = [corpus.corpus.topic_names[t].replace("_", " ")[:60] for t in order]
fig = brain.slices(
    ratio[order], corpus.grid, titles, limit=3.0, simulated=corpus.simulated
)
report.figure("topic-maps", fig)

# %% [markdown]
# ```{glue:figure} topic-maps
# :name: fig-atlas-topic-maps
# :alt: Axial slices of the maps of three topics
#
# **Topics whose maps differ most from the global density.** Log ratio of the topic's density to the global one.
# ```
#
# Topics were found in abstracts by others, who had no coordinates; but the abstracts of test studies were among them.
# From text, then, these are predictions for studies whose words were known.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
lows = [gain.low for gain in single["table"].values()]
report.claim(
    "every model beats the global density on a hidden table (intervals above zero)",
    min(lows) > 0,
)
report.claim(
    "topics dealt to the wrong studies lose against the global density",
    null["dealt"].high < 0 < null["own"].low,
)
report.claim(
    "the stack beats the best single model on a hidden table (interval above zero)",
    over_best.low > 0,
)
report.claim(
    "the mirror is worth twice as much under random halves as under hidden tables",
    pairs["mirror half"].micro > 2 * pairs["mirror table"].micro,
)
report.claim(
    "gated weights beat fixed ones on random halves (interval above zero)",
    pairs["gating half"].low > 0,
)

# %% [markdown]
# ## What we learned
#
# - The bar for a network is not the average map but the stack: {glue:text}`stack_table:.2f` nats per focus on a hidden table.
# - The stack is ahead of the best single model by {glue:text}`over_best` on a hidden table: text, kernels and components know different things.
# - The last two verdicts come out differently for simulated and recorded studies, for the reasons given above; the others do not.
# - **Not shown:** that any of this is activation. A focus is what a table lists.
# - **What would change our mind:** a single model that reaches the stack.
#
# **Try it:** `size="quick"`; the classical models do not change, since they do not depend on it.
# {ref}`atlas-density-vae` asks what a network adds.
# **Sources:** {cite}`dockes2020,rubin2017,salo2023`.

# %% tags=["hide-input"]
report.card(
    answer=f"By {stack['table'][-1].micro:.2f} nats per focus over the density of "
    "all foci when a table is hidden, "
    f"{stack['half'][-1].micro:.2f} when a random half is, and "
    f"{stack['text'][-1].micro:.2f} from topics alone, with a mixture of "
    "classical models. Topics of the wrong study are worse than none.",
    needs="what a probability density is; no neuroimaging.",
)
report.stamp()
