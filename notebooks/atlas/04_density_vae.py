# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-density-vae)=
# # What does a latent code of a study know?
#
# ```{glue} card
# ```
#
# A variational autoencoder {cite}`kingma2014` reads some foci of a study, sums them up in a few numbers, and says from these where all foci are.
# It is told the study's topics and year as well.
# It is trained on what it is scored by, the log probability of coordinates; what it learns is what is *reported*, not activation.
#
# The project that this study redoes had checks which an untrained network passes.
# So every result here stands beside one that it must differ from: an untrained network, codes dealt to the wrong studies, permuted topics, a sampler that knows no study, and, where studies are simulated, the truth.
#
# **You will learn** (1) how to tell what a code knows from what its decoder is told, (2) what a network adds to the classical models of {ref}`atlas-baselines`, (3) why generated studies need a floor and a ceiling.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = (
    "auto"  # of the trained atlas: quick, book, full, or the largest there is
)
n_evidence: int = 64  # studies whose evidence is estimated
n_samples: int = 400  # generated studies per sampler
n_fit: int = 2000  # training studies for components and canonical correlations
n_permutations: int = 50
seed: int = 0

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd

from neurolib import report
from neurolib.atlas import NETWORKS
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.metrics.canonical import CanonicalConfig, canonical_correlations
from neurolib.metrics.density_gain import gain
from neurolib.metrics.generative import neighbour_scores, spread_ratio
from neurolib.metrics.latents import active_units, topic_correlations
from neurolib.metrics.probes import ProbeConfig, probe
from neurolib.models.coordinates.batches import hold_out_tensors, study_tensors
from neurolib.models.coordinates.density_model import part
from neurolib.models.coordinates.sampler import FociSamplerConfig
from neurolib.models.coordinates.study_maps import StudyMaps
from neurolib.viz import brain, scores
from neurolib.viz.style import COLOURS, GREY, mark_simulated

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
vae, held_out, rng = (
    atlas.vae.eval(),
    atlas.held_out,
    np.random.default_rng(seed),
)
log_base = np.log(corpus.base)
atlas

# %% [markdown]
# ## Untrained, it is the average
#
# The decoder's output is added to the logarithm of the global density, and its last layer starts at zero.
# Whatever code an untrained network is given, it says the global density; every nat beyond that was learned.

# %%
cfg = replace(atlas.cfg.vae, condition=corpus.n_brief)
untrained = cfg.build(corpus.grid, log_base, seed).eval()
with torch.no_grad():
    said = untrained.decode(torch.randn(32, cfg.latent)).double().numpy()
at_foci = corpus.voxels[corpus.corpus.foci(corpus.split.test)]
gap = float(np.abs((said - log_base)[:, at_foci].mean(1)).max())
gap

# %% [markdown]
# ## What networks add
#
# - **autoencoder:** one network, averaged over draws of its code; **plain autoencoder:** one that is told nothing of the study; **ensemble:** the mean of several, where the atlas has several.
# - **text network:** title, topics and year (and abstracts, where there are any) to a density; it has no code.
# - **pool:** the fields of text network and autoencoders added up, with exponents from valid studies.
# - **classical:** the stack of all models without networks, with one set of weights for all studies; **all:** the same with the networks among them.

# %%
gains, added, over = {}, {}, {}
for task in ("table", "half", "text"):
    models = held_out.models(task)
    plain = [m for m in models if m not in NETWORKS]
    gains[task] = {  # the plain autoencoder reads no text
        m: held_out.gain(task, m) if m in models else None
        for m in NETWORKS
        if m in held_out.models("table")
    }
    gains[task]["classical"] = held_out.gain(task, plain)
    gains[task]["all"] = held_out.gain(task, models)
    both = (held_out.mixed(task, names) for names in (models, plain))
    added[task] = held_out.compare(*both, task)
    rival = "topics" if task == "text" else "components + topics"
    both = (held_out.mixed(task, name) for name in ("autoencoder", rival))
    over[task] = held_out.compare(*both, task)
models = held_out.models("table")
plain = [m for m in models if m not in NETWORKS]
both = (
    held_out.mixed("table", names, gated=True) for names in (models, plain)
)
gated = held_out.compare(*both, "table")
{task: str(gain) for task, gain in added.items()} | {"gated": str(gated)}


# %% tags=["hide-input", "remove-output"]
def signed(gain):
    """Estimate and interval as text."""
    return f"{gain.micro:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


panels = {
    task: {name: g and (g.micro, g.low, g.high) for name, g in rows.items()}
    for task, rows in gains.items()
}
fig = scores.interval_chart(panels, "nats per focus", corpus.simulated)
report.figure("network-gains", fig)
report.put("gap", f"{gap:.0e}")
for task in gains:
    report.put(f"added_{task}", signed(added[task]))
    report.put(f"over_{task}", signed(over[task]))
report.put("gated_table", signed(gated))
report.put("vae_table", gains["table"]["autoencoder"].micro)
report.put("pool_table", gains["table"]["pool"].micro)
report.put("all_table", gains["table"]["all"].micro)
report.put("n_train", f"{len(corpus.split.train):,}")
adds = added["table"].low > 0
report.put("adds", "add to" if adds else "add nothing certain to")

# %% [markdown]
# ```{glue:figure} network-gains
# :name: fig-atlas-network-gains
# :alt: Nats per focus of networks, the classical stack and all together on three tasks
#
# **Networks alone, and with the classical models.** Nats per hidden focus over the global density; intervals draw studies again.
# ```
#
# An untrained network differs from the global density by {glue:text}`gap` nats per focus, which is rounding.
#
# | nats per focus, in pairs on the same foci | table | half | text |
# |---|---|---|---|
# | all over classical | {glue:text}`added_table` | {glue:text}`added_half` | {glue:text}`added_text` |
# | autoencoder over components (topics on text), both alone | {glue:text}`over_table` | {glue:text}`over_half` | {glue:text}`over_text` |
#
# With {glue:text}`n_train` studies to learn from, networks {glue:text}`adds` the classical stack on a hidden table.
# Where weights depend on the study, the difference is {glue:text}`gated_table`.
#
# The twin has few studies, a short training, and causes that are linear in the log density, which is what components are made for; there the classical models need no help.
# On recorded studies the autoencoder is ahead of the components, and the stack with networks of that without; from text alone it is not the autoencoder that helps but the network that reads titles and abstracts.
#
# ## What the code knows, and what the decoder is told
#
# Decode the studies of the table task again, with the code, the description or both dealt to other studies, or left out.
# A code that its decoder ignores would pass unharmed.

# %%
whole = held_out.hold_outs["table test"]
hold_out = part(whole, 0, 600)
batch = hold_out_tensors(
    corpus.corpus, corpus.voxels, hold_out, corpus.description
)
is_hidden = batch["mask"] & ~batch["seen"]
at_hidden = log_base[corpus.voxels[hold_out.hidden]]
with torch.no_grad():
    own = torch.cat(
        [
            vae.infer({k: v[i : i + 200] for k, v in batch.items()}, seen)[0]
            for i, seen in zip(
                range(0, len(is_hidden), 200),
                batch["seen"].split(200),
                strict=True,
            )
        ]
    )
told = vae.told(batch)
deal = torch.from_numpy(rng.permutation(len(own)))


@torch.no_grad()
def hidden_log_p(code, description):
    """Log probability of hidden foci when studies are decoded from these."""
    found = []
    for i in range(0, len(code), 64):
        rows = slice(i, i + 64)
        given = None if description is None else description[rows]
        log_p = vae.decode(code[rows], given).gather(1, batch["voxels"][rows])
        found.append(log_p[is_hidden[rows]])
    return torch.cat(found).double().numpy()


# %%
zero = torch.zeros_like(own)
known = {
    "code and description": hidden_log_p(own, told),
    "code alone": hidden_log_p(own, None),
    "description alone": hidden_log_p(zero, told),
    "null: code dealt": hidden_log_p(own[deal], told),
    "null: description dealt": hidden_log_p(own, told[deal]),
    "null: both dealt": hidden_log_p(own[deal], told[deal]),
}
if corpus.simulated:
    truth = CorpusSimulator().simulate(0)[1]
    z = truth.latents[corpus.corpus.id[hold_out.studies]]
    log_p = truth.base + z @ truth.fields
    log_p -= np.logaddexp.reduce(log_p, axis=1)[:, None]
    at = hold_out.hidden_of, corpus.voxels[hold_out.hidden]
    known["oracle: true code"] = log_p[at]

# %%
controls = {
    name: gain(log_p, at_hidden, hold_out.hidden_of)
    for name, log_p in known.items()
}
own_over_dealt = gain(
    known["code and description"],
    known["null: code dealt"],
    hold_out.hidden_of,
)
{name: str(value) for name, value in controls.items()}

# %% tags=["hide-input", "remove-output"]
rows = {"null: untrained": (0.0, 0.0, 0.0)}
rows |= {name: (g.micro, g.low, g.high) for name, g in controls.items()}
fig = scores.interval_chart(
    {"hidden table": rows}, "nats per focus", corpus.simulated
)
report.figure("code-controls", fig)
report.put("own_over_dealt", signed(own_over_dealt))
report.put("code_alone", controls["code alone"].micro)
report.put("told_alone", controls["description alone"].micro)
report.put("code_dealt", controls["null: code dealt"].micro)

# %% [markdown]
# ```{glue:figure} code-controls
# :name: fig-atlas-code-controls
# :alt: Nats per focus on hidden tables with codes and descriptions in place, missing or dealt to other studies
#
# **Codes and descriptions, in place, missing, or of another study.** Hidden tables; codes are the posterior's mean, and nothing is mixed in, so a wrong code can cost. Grey are controls.
# ```
#
# The code alone is worth {glue:text}`code_alone:+.2f` nats per focus, the description alone {glue:text}`told_alone:+.2f`.
# With the code of another study the score falls to {glue:text}`code_dealt:+.2f`; the difference is {glue:text}`own_over_dealt`.
#
# ## Training and evidence
#
# The evidence of a study is the probability of all its foci with the code integrated out, here by importance weighting {cite}`burda2016`; it is a bound that tightens with the number of draws.
# No focus needs to be hidden for it: the cost of the code is subtracted, so a code that merely copies its study gains nothing.

# %%
studies = rng.permutation(corpus.split.test)[:n_evidence]
sample = study_tensors(
    corpus.corpus, corpus.voxels, studies, corpus.description
)
mask = sample["mask"].numpy()
by_average = np.where(mask, log_base[sample["voxels"]], 0).sum(1)
draws = (1, 16, 64)
evidence = {
    k: (vae.evidence(sample, k, seed) - by_average).sum() / mask.sum()
    for k in draws
}
valid = np.concatenate(
    [held_out.base[f"{task} valid"] for task in ("half", "table")]
)
average_loss = -np.log(valid).mean()
{k: value.round(3) for k, value in evidence.items()}

# %% tags=["hide-input", "remove-output"]
fig, axes = plt.subplots(1, 2, figsize=(6.5, 2.6), layout="constrained")
for curve in atlas.about["valid"]:
    steps = atlas.about["steps"][: len(curve)]
    axes[0].plot(steps, curve[: len(steps)], "o-", ms=3, color=COLOURS[0])
axes[0].axhline(average_loss, color=GREY, ls="--", lw=1)
axes[0].text(
    steps[-1], average_loss, "global", color=GREY, ha="right", va="top"
)
axes[0].set(xlabel="training step", ylabel="valid loss, nats per focus")
axes[1].plot(draws, list(evidence.values()), "o-", color=COLOURS[0])
axes[1].set_xscale("log")
axes[1].set_xticks(draws, [str(k) for k in draws])
axes[1].minorticks_off()
axes[1].set(xlabel="draws of the code", ylabel="evidence, nats per focus")
axes[1].axhline(0, color=GREY, lw=0.7)
mark_simulated(fig, corpus.simulated)
report.figure("training", fig)
report.put("evidence", evidence[64])
report.put("n_evidence", len(studies))
curve = atlas.about["valid"][0]
at_best = atlas.about["steps"][min(np.argmin(curve), len(steps) - 1)]
report.put("best_step", at_best)
report.put("last_step", atlas.about["steps"][-1])

# %% [markdown]
# ```{glue:figure} training
# :name: fig-atlas-training
# :alt: Loss on valid studies over training steps, and evidence over the number of draws
#
# **Left:** loss on hidden foci of valid studies, one line per network, with that of the global density. **Right:** evidence over the global density on {glue:text}`n_evidence` test studies.
# ```
#
# The best weights are those of step {glue:text}`best_step` of {glue:text}`last_step`, and those are kept.
# With {glue:text}`evidence:.2f` nats per focus the code pays for itself: its cost is subtracted.
#
# ## What is in the code
#
# For this section codes are read from all foci of a study with its description blanked, so that whatever they say of topics comes from coordinates.
# Components are those of smoothed maps of the same foci, learned from training studies.


# %%
@torch.no_grad()
def codes(studies):
    """Mean code of studies whose description is not told."""
    blocks = np.array_split(studies, max(1, len(studies) // 200))
    tensors = (study_tensors(corpus.corpus, corpus.voxels, b) for b in blocks)
    found = [vae.encode(b["voxels"], b["mask"])[0] for b in tensors]
    return torch.cat(found).double().numpy()


maps = StudyMaps(corpus.grid, corpus.base, 14.0)


def smoothed(foci):
    """Smoothed map of each list of voxels, on coarse nodes."""
    of = np.repeat(np.arange(len(foci)), [len(f) for f in foci])
    return maps.read(np.concatenate(foci), of, len(foci))


def foci_of(studies):
    """Voxels of each study."""
    return [corpus.voxels[corpus.corpus.foci([s])] for s in studies]


test = corpus.split.test
n = min(n_samples, len(test))
other, fit = np.split(rng.permutation(corpus.own_train)[: n + n_fit], [n])
fit_maps = smoothed(foci_of(fit))
mean_map = fit_maps.mean(0)
directions = randomized_svd(fit_maps - mean_map, 64, random_state=seed)[2]


def features(foci):
    """Scores of each list of voxels on the components."""
    return (smoothed(foci) - mean_map) @ directions.T


# %%
code = {"fit": codes(fit), "test": codes(test)}
components = {"fit": features(foci_of(fit)), "test": features(foci_of(test))}
topics = {
    "fit": np.sqrt(corpus.corpus.topics[fit]),
    "test": np.sqrt(corpus.corpus.topics[test]),
}
tables = {"components": components, "topics": topics}
if corpus.simulated:
    causes = truth.latents[corpus.corpus.id]
    tables["true causes"] = {"fit": causes[fit], "test": causes[test]}
active = active_units(code["test"])
named = topic_correlations(code["test"], topics["test"], n_permutations)
shared = {}
for name, y in tables.items():
    parts = (code["fit"], y["fit"], code["test"], y["test"])
    settings = CanonicalConfig(n_permutations=n_permutations)
    shared[name] = canonical_correlations(*parts, settings)
{name: (c.n_above, c.test[:8].round(2)) for name, c in shared.items()}

# %%
label = corpus.corpus.topics.argmax(1)[test]
common = np.argsort(-np.bincount(label))[:20]
chosen = np.isin(label, common)
reader = ProbeConfig(score="balanced_accuracy", n_permutations=n_permutations)
width = code["test"].shape[1]
read = {
    name: probe(x[chosen], label[chosen], config=reader)
    for name, x in {
        "code": code["test"],
        "as many components": components["test"][:, :width],
        "all components": components["test"],
    }.items()
}
{name: (round(p.score, 3), round(p.threshold, 3)) for name, p in read.items()}

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for (name, found), colour in zip(shared.items(), COLOURS, strict=False):
    pairs = np.arange(1, len(found.test) + 1)
    ax.plot(pairs, found.test, "o-", ms=3, color=colour, label=name)
    ax.axhline(found.threshold, color=colour, ls=":", lw=1)
ax.set(xlabel="pair of directions", ylabel="correlation, test studies")
ax.legend()
mark_simulated(fig, corpus.simulated)
report.figure("shared", fig)
report.put("n_active", int(active.sum()))
report.put("n_latent", len(active))
for name, found in shared.items():
    key = name.replace(" ", "_")
    report.put(f"{key}_above", found.n_above)
recovered = "recorded studies have no true causes to be compared with"
if corpus.simulated:
    found = shared["true causes"]
    plain = canonical_correlations(
        *(components["fit"], causes[fit], components["test"], causes[test]),
        CanonicalConfig(n_permutations=n_permutations),
    )
    recovered = (
        f"{found.n_above} of {causes.shape[1]} with the true causes, with "
        f"correlations of {found.test.mean():.2f} on average, where the "
        f"components reach {plain.test.mean():.2f}"
    )
report.put("recovered", recovered)
report.put("n_topics", len(common))
for key, name in (("code", "code"), ("as_many", "as many components")):
    report.put(f"{key}_read", 100 * read[name].score)
report.put("all_read", 100 * read["all components"].score)
report.put("chance_read", 100 * read["code"].threshold)

# %% [markdown]
# ```{glue:figure} shared
# :name: fig-atlas-shared
# :alt: Canonical correlations of the code with components, topics and true causes on test studies
#
# **What the code shares with other descriptions of the same studies.** Canonical correlations on test studies; dotted, what the largest of them reaches when rows are permuted.
# ```
#
# {glue:text}`n_active` of {glue:text}`n_latent` dimensions are active.
# The code shares {glue:text}`components_above` directions with the components and {glue:text}`topics_above` with the topics; {glue:text}`recovered`.
#
# A linear probe reads which of {glue:text}`n_topics` topics is the heaviest from the code in {glue:text}`code_read:.0f` % of the cases (each topic counts alike), from as many components in {glue:text}`as_many_read:.0f` %, and from all components in {glue:text}`all_read:.0f` %; permuted topics reach {glue:text}`chance_read:.0f` %.
#
# ### The most active dimensions

# %% tags=["hide-input", "remove-output"]
most = np.argsort(-code["test"].var(0))[:3]
steps = 2 * torch.eye(width)[most.copy()]
with torch.no_grad():
    ends = [vae.decode(sign * steps).double().numpy() for sign in (1, -1)]
words = [t.split("_", 1)[-1] for t in corpus.corpus.topic_names]
words = [word.replace("_", " ") for word in words]
names = [", ".join(own) or "no topic" for own in named.names(words, 2)]
titles = [f"dimension {j}" for j in most]
for place, j in zip(("first", "second", "third"), most, strict=True):
    report.put(f"{place}_dimension", f"{j}: {names[j].replace('-', '−')}")
fig = brain.slices(
    ends[0] - ends[1],
    corpus.grid,
    titles,
    limit=4.0,
    simulated=corpus.simulated,
)
report.figure("dimensions", fig)
report.put("threshold", named.threshold)
n_named = sum(names[j] != "no topic" for j in np.flatnonzero(active))
report.put("n_named", n_named)

# %% [markdown]
# ```{glue:figure} dimensions
# :name: fig-atlas-dimensions
# :alt: Axial slices of what three dimensions of the code do to the density
#
# **What a dimension does.** Log ratio of the density at the high end of the dimension to that at its low end, for the three that vary most over studies.
# ```
#
# Topics that go with them, and in which direction:
#
# - {glue:text}`first_dimension`
# - {glue:text}`second_dimension`
# - {glue:text}`third_dimension`
#
# {glue:text}`n_named` of the {glue:text}`n_active` active dimensions correlate with a topic beyond {glue:text}`threshold:.2f`, the largest correlation in the whole table when topics are permuted.
# A name is a correlation.
# Another seed turns the code, and other names come out: dimensions are not axes of cognition.
#
# ## Are its studies like real ones?
#
# Draw a code from the prior, decode it with the description of a training study, and draw as many foci as that study has; or draw each focus near, or opposite to, an earlier one with some probability (clustered).
# Features are the components above; real studies are test studies.
# Precision and density {cite}`kynkaanniemi2019,naeem2020` ask whether samples lie among real studies, recall and coverage whether all real studies are reached.
# The ceiling are other real studies, the floor draws from the global density.

# %%
counts = corpus.corpus.counts[other]
sampler = FociSamplerConfig().build(corpus.grid)
described = torch.from_numpy(corpus.description[other][:, : corpus.n_brief])
torch.manual_seed(seed)
with torch.no_grad():
    decoded = [
        vae.decode(torch.randn(len(rows), width), rows.float()).exp().numpy()
        for rows in described.split(64)
    ]
decoded = np.concatenate(decoded)
average = np.broadcast_to(corpus.base, decoded.shape)


def independent(densities):
    """Foci drawn one by one."""
    edges = (np.cumsum(p, dtype=float) for p in densities)
    drawn = zip(edges, counts, strict=True)
    at = [np.searchsorted(e, rng.random(k) * e[-1]) for e, k in drawn]
    return [np.minimum(v, corpus.grid.n_voxels - 1) for v in at]


# %%
made = {
    "null: global": independent(average),
    "null: global, clustered": sampler.studies(average, counts, rng),
    "autoencoder": independent(decoded),
    "autoencoder, clustered": sampler.studies(decoded, counts, rng),
    "oracle: real studies": foci_of(other),
}
real = features(foci_of(rng.permutation(test)[:n]))
realism = {}
for name, foci in made.items():
    generated = features(foci)
    four = neighbour_scores(real, generated)
    realism[name] = {**four._asdict(), "spread": spread_ratio(real, generated)}
{name: np.round(list(s.values()), 2) for name, s in realism.items()}

# %% tags=["hide-input", "remove-output"]
panels = {
    score: {name: (s[score],) * 3 for name, s in realism.items()}
    for score in ("recall", "coverage", "spread", "precision", "density")
}
fig = scores.interval_chart(panels, "", corpus.simulated)
for ax in fig.axes:
    ax.set_xlim(0, 1.15 * max(ax.get_xlim()[1], 1))
report.figure("realism", fig)
for key, name in (
    ("floor", "null: global"),
    ("crowd", "null: global, clustered"),
    ("alone", "autoencoder"),
    ("clustered", "autoencoder, clustered"),
    ("ceiling", "oracle: real studies"),
):
    report.put(f"{key}_recall", realism[name]["recall"])
    report.put(f"{key}_precision", realism[name]["precision"])
    report.put(f"{key}_density", realism[name]["density"])
report.put("n_made", n)

# %% [markdown]
# ```{glue:figure} realism
# :name: fig-atlas-realism
# :alt: Recall, coverage, spread, precision and density of generated studies, with floor and ceiling
#
# **Generated studies beside real ones**, {glue:text}`n_made` of each. Grey are the floor (global density) and the ceiling (training studies against test studies). Spread is the mean distance from the average study, over that of real studies.
# ```
#
# Foci drawn one by one are too scattered: recall is {glue:text}`alone_recall:.2f`, against {glue:text}`ceiling_recall:.2f` for real studies.
# In clusters and pairs it rises to {glue:text}`clustered_recall:.2f`.
# The floor rises as well, from {glue:text}`floor_recall:.2f` to {glue:text}`crowd_recall:.2f`: most of what was missing is how foci of a study go together, and the code has no part in that.
#
# Precision and density reward blandness.
# Both *fall* when foci are clustered (precision from {glue:text}`alone_precision:.2f` to {glue:text}`clustered_precision:.2f`, density from {glue:text}`alone_density:.2f` to {glue:text}`clustered_density:.2f`), although studies have become more like real ones in recall and spread.
# On recorded studies the floor, which knows no study, even has a higher density than real studies; here {glue:text}`floor_density:.2f` against {glue:text}`ceiling_density:.2f`.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
alone = realism["autoencoder"]
clustered = realism["autoencoder, clustered"]
report.claim(
    "an untrained network is the global density to a millionth of a nat",
    gap < 1e-6,
)
report.claim(
    "codes of other studies predict worse than a study's own (interval above zero)",
    own_over_dealt.low > 0,
)
report.claim(
    "networks add to the classical stack on a hidden table (interval above zero)",
    added["table"].low > 0,
)
report.claim(
    "clustering raises recall and lowers precision of generated studies",
    clustered["recall"] > alone["recall"]
    and clustered["precision"] < alone["precision"],
)
report.claim(
    "a sampler that knows no study has a higher density than real studies",
    realism["null: global"]["density"]
    > realism["oracle: real studies"]["density"],
)

# %% [markdown]
# ## What we learned
#
# - Alone, the autoencoder gains {glue:text}`vae_table:.2f` nats per focus on a hidden table and {glue:text}`pool_table:.2f` pooled with text; all models together gain {glue:text}`all_table:.2f`, {glue:text}`added_table` over the classical ones.
# - That difference is what the network is worth. On simulated studies it is nothing, on recorded ones small and certain.
# - Of generated studies, believe recall and spread, beside a floor; precision and density fall when samples become more like studies.
# - **Not shown:** that dimensions mean anything beyond their correlations, or that generated studies could fool a reader.
# - **What would change our mind:** a code that beats the stack alone.
#
# **Try it:** `size="full"`, with more and larger networks.
# **Sources:** {cite}`kingma2014,burda2016,kynkaanniemi2019,naeem2020`.

# %% tags=["hide-input"]
report.card(
    answer=f"Enough to gain {gains['table']['autoencoder'].micro:.2f} nats per "
    "focus on a hidden table, "
    f"{own_over_dealt.micro:.2f} more than with the code of another study. "
    f"To the classical models networks add {added['table'].micro:+.3f}.",
    needs="what a variational autoencoder is; how the score works is on the "
    "page before.",
)
report.stamp()
