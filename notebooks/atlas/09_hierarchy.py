# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-hierarchy)=
# # Is there a hierarchy of studies?
#
# ```{glue} card
# ```
#
# Psychology sorts its studies into a tree: memory, working memory, the n-back task.
# If reported peaks knew of that tree, studies would fall into groups, and a model with an upper level for the group and a lower one for the study would describe them better than a flat one.
# Both halves of that sentence can fail, so this page decides beforehand what counts.
# Groups are of what studies *report*, not of what brains do.
#
# **You will learn** (1) what a second level of latents costs and buys, (2) why an algorithm that finds clusters has not found any yet, (3) what can be said of groups that are not there.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = (
    "auto"  # of the trained atlas: quick, book, full, or the largest there is
)
n_train: int = 1000  # studies that both models learn from
n_valid: int = 60  # studies to stop by
n_test: int = 150  # studies for the evidence
n_studies: int = 1000  # studies to be grouped
steps: int = 120
upper: int = 8  # latents of the upper level
lower: int = 24  # latents of the lower level
hidden: int = 96  # units per layer
n_clusters: int = 8  # of k-means
min_cluster_size: int = 25
n_resamples: int = 6  # subsamples for the stability
draws: int = 16  # for the evidence
device: str = "cpu"
seed: int = 0

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import PCA

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data.brain import Grid
from neurolib.data.coordinate_maps import StudyMapsConfig
from neurolib.data.coordinate_splits import development_subset
from neurolib.metrics import clusters
from neurolib.metrics.density_gain import gain
from neurolib.models.coordinates.batches import (
    study_tensors,
    training_tensors,
)
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.density_vae import DensityVAEConfig
from neurolib.models.coordinates.ladder_vae import LadderVAEConfig
from neurolib.models.coordinates.stage_gate import (
    stage_gate,
    topic_information,
)
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz import brain
from neurolib.viz.style import COLOURS, GREY, mark_simulated

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
studies, base = corpus.corpus, corpus.base
(corpus, atlas)

# %% [markdown]
# ## Two levels against one
#
# The *ladder* {cite}`sonderby2016` has {glue:text}`upper` upper latents, which say where the {glue:text}`lower` lower ones of a study are to be expected; the *flat* model has as many altogether, on one level.
# Nothing of the encoder reaches the decoder except through latents.
# The original's plan let it, with the gradient stopped; a stopped gradient does not stop information, and what such a model draws from its prior means nothing.
# Neither model is told topics, for topics will judge the groups.

# %%
sizes = (n_train, n_valid, n_test)
parts = (corpus.own_train, corpus.split.valid, corpus.split.test)
few, valid, test = (
    development_subset(studies, part, min(n, len(part)), seed)
    for part, n in zip(parts, sizes, strict=True)
)
learn, choose = training_tensors(studies, corpus.voxels, few, valid)
training = TrainConfig(
    steps,
    batch_size=32,
    lr=3e-3,
    schedule="cosine",
    grad_clip=5.0,
    weight_decay=1e-2,
    eval_every=max(1, steps // 10),
    seed=seed,
    device=device,
)
same = {"hidden": hidden, "warmup": steps // 2}
configs = {
    "flat": DensityVAEConfig(latent=lower + upper, **same),
    "ladder": LadderVAEConfig(lower=lower, upper=upper, **same),
}
log_base = np.log(base)
models = {
    n: cfg.build(corpus.grid, log_base, seed) for n, cfg in configs.items()
}
best = {
    n: fit(m, learn, choose, training).best_step for n, m in models.items()
}
models = {name: model.cpu() for name, model in models.items()}
best

# %%
scored = study_tensors(studies, corpus.voxels, test)
n_foci = scored["mask"].sum(1).numpy()
of = np.repeat(np.arange(len(n_foci)), n_foci)


def per_focus(of_study):
    """A study's log probability, shared out among its foci."""
    return np.repeat(of_study / n_foci, n_foci)


evidence = {
    name: per_focus(m.evidence(scored, draws)) for name, m in models.items()
}
null = log_base[corpus.voxels[studies.foci(test)]]
over = {name: gain(e, null, of) for name, e in evidence.items()}
lost = gain(evidence["ladder"], evidence["flat"], of)
kl_lower, kl_upper = models["ladder"].divergences(scored).mean(0).tolist()
({n: str(g) for n, g in over.items()}, str(lost), kl_lower, kl_upper)

# %% tags=["hide-input"]
report.put("upper", upper)
report.put("lower", lower)
report.put("draws", draws)
report.put("flat", f"{over['flat'].micro:+.3f}")
report.put("ladder", f"{over['ladder'].micro:+.3f}")
report.put("lost", f"{lost.micro:+.3f} [{lost.low:+.3f}, {lost.high:+.3f}]")
report.put("kl_lower", kl_lower)
report.put("kl_upper", kl_upper)

# %% [markdown]
# The evidence for all foci of a test study, bounded by {glue:text}`draws` importance samples {cite}`burda2016`, is {glue:text}`flat` nats per focus over the global density for the flat model and {glue:text}`ladder` for the ladder; paired, {glue:text}`lost`.
# The posterior departs from the prior by {glue:text}`kl_lower:.1f` nats on the lower level and by {glue:text}`kl_upper:.1f` on the upper one.
# The upper level is kept from falling to zero by force (free bits), so a small number there is the force's and not the data's.
#
# ## The gate
#
# A second level stays if it passes both: evidence within a hundredth of a nat of the flat model's, and groups of its upper latents that tell more of a study's topics than groups of as many principal components of the maps.
# Components cost nothing, so whoever adds a level has to beat them.


# %%
@torch.no_grad()
def read(studies_of):
    """Latents of the upper level, and of the atlas told nothing."""
    voxels, mask = studies_of["voxels"], studies_of["mask"]
    above = models["ladder"].infer(studies_of, mask)[0][:, lower:]
    return {
        "upper level": above.double().numpy(),
        "atlas": atlas.vae.encode(voxels, mask)[0].double().numpy(),
    }


unseen = np.r_[corpus.split.valid, corpus.split.test]
group = development_subset(studies, unseen, min(n_studies, len(unseen)), seed)
topics = studies.topics[group]
topics = topics / topics.sum(axis=1, keepdims=True)
batch = study_tensors(studies, corpus.voxels, group)
kernel = StudyMapsConfig(fwhm_mm=14, keep_mass=True).build(Grid.mni(8))
maps = kernel.dense(studies.take(group))
maps = np.sqrt(maps / np.maximum(maps.sum(1, keepdims=True), 1e-9))
spaces = read(batch)
components = PCA(upper, random_state=seed).fit_transform(maps)

# %%
groups = {
    name: clusters.kmeans_labels(z, n_clusters, seed)
    for name, z in (spaces | {"components": components}).items()
}
told = {name: topic_information(g, topics) for name, g in groups.items()}
rng = np.random.default_rng(seed)
chance = [
    topic_information(groups["upper level"], rng.permutation(topics))
    for _ in range(20)
]
gate = stage_gate(
    over["ladder"].micro,
    over["flat"].micro,
    groups["upper level"],
    groups["components"],
    topics,
)
(gate.reason, {name: round(t, 3) for name, t in told.items()})

# %% tags=["hide-input"]
report.put("gate", "GO" if gate.go else "NO-GO")
report.put("reason", gate.reason)
report.put("n_clusters", n_clusters)
report.put("chance", float(np.mean(chance)))
for key in ("upper level", "components", "atlas"):
    report.put(f"told_{key.split()[0]}", told[key])

# %% [markdown]
# {glue:text}`n_clusters` groups by k-means tell of a study's topics: {glue:text}`told_upper:.3f` nats on the upper level, {glue:text}`told_components:.3f` on components, {glue:text}`told_atlas:.3f` on the latents of the atlas (told nothing about the studies), and {glue:text}`chance:.3f` by chance.
#
# The gate says: **{glue:text}`reason`**
#
# An explorer of the hierarchy was to be built on a GO and on nothing else, so that no reader clicks through a tree that the data do not have; this page has none.
#
# ## Are there groups at all?
#
# K-means cuts anything into as many pieces as it is asked for.
# HDBSCAN {cite}`campello2013` looks for dense regions with emptier ones between them, and may find none.
# It stands between controls:
#
# - **Gaussian:** a cloud with the same mean and covariance, in which there is nothing to find.
# - **Groupless studies:** as many studies, with as many foci, drawn from the prior of the flat model, which has no groups; they are read by the same encoder. Whatever is found in them is the encoder's work.
# - **Planted:** the same points in three groups that were moved apart, which a search with any power must find.
#
# *Stability* is the agreement of the groups found in random subsamples, zero for none and one for always the same.


# %%
@torch.no_grad()
def groupless():
    """Studies drawn from the flat model's prior, with real numbers of foci."""
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(len(group), lower + upper, generator=draw)
    p = models["flat"].decode(z).exp()
    n = batch["mask"].shape[1]
    voxels = torch.multinomial(p, n, replacement=True, generator=draw)
    return batch | {"voxels": voxels * batch["mask"]}


search = clusters.ClusterConfig(
    min_cluster_size, n_resamples=n_resamples, seed=seed
)


def planted(z, apart=9.0):
    """The points, in three groups that are moved apart."""
    z = z / z.std(axis=0)
    return z + apart * np.eye(3, z.shape[1])[np.arange(len(z)) % 3]


# %%
def looked(z):
    """Groups found, how many points are in none, and how stable they are."""
    labels = search.labels(z)
    return (
        labels.max() + 1,
        100 * np.mean(labels < 0),
        clusters.stability(z, search.labels, n_resamples, seed=seed),
    )


clouds = {}
for key, name in {"upper": "upper level", "atlas": "atlas"}.items():
    clouds[key] = spaces[name]
    clouds[f"{key}_gaussian"] = clusters.gaussian_null(spaces[name], seed)
    clouds[f"{key}_groupless"] = read(groupless())[name]
    clouds[f"{key}_planted"] = planted(spaces[name])
rows = {key: looked(z) for key, z in clouds.items()}
{key: (int(n), round(s, 2)) for key, (n, _, s) in rows.items()}

# %% tags=["hide-input"]
for key, (n, noise, stable) in rows.items():
    report.put(f"n_{key}", int(n))
    report.put(f"noise_{key}", noise)
    report.put(f"stable_{key}", stable)

# %% [markdown]
# | points | groups | in none | stability |
# |---|---|---|---|
# | upper level | {glue:text}`n_upper` | {glue:text}`noise_upper:.0f` % | {glue:text}`stable_upper:.2f` |
# | Gaussian | {glue:text}`n_upper_gaussian` | {glue:text}`noise_upper_gaussian:.0f` % | {glue:text}`stable_upper_gaussian:.2f` |
# | groupless studies | {glue:text}`n_upper_groupless` | {glue:text}`noise_upper_groupless:.0f` % | {glue:text}`stable_upper_groupless:.2f` |
# | planted | {glue:text}`n_upper_planted` | {glue:text}`noise_upper_planted:.0f` % | {glue:text}`stable_upper_planted:.2f` |
# | latents of the atlas | {glue:text}`n_atlas` | {glue:text}`noise_atlas:.0f` % | {glue:text}`stable_atlas:.2f` |
# | Gaussian | {glue:text}`n_atlas_gaussian` | {glue:text}`noise_atlas_gaussian:.0f` % | {glue:text}`stable_atlas_gaussian:.2f` |
# | groupless studies | {glue:text}`n_atlas_groupless` | {glue:text}`noise_atlas_groupless:.0f` % | {glue:text}`stable_atlas_groupless:.2f` |
# | planted | {glue:text}`n_atlas_planted` | {glue:text}`noise_atlas_planted:.0f` % | {glue:text}`stable_atlas_planted:.2f` |

# %% tags=["hide-input", "remove-output"]
shown = {
    "upper level": "upper",
    "Gaussian": "upper_gaussian",
    "groupless studies": "upper_groupless",
    "planted": "upper_planted",
}
fig, axes = plt.subplots(1, 4, figsize=(6.5, 2.1), layout="constrained")
for ax, (title, key) in zip(axes, shown.items(), strict=True):
    labels, flat = search.labels(clouds[key]), PCA(2).fit(clouds[key])
    colours = [GREY if k < 0 else COLOURS[k % len(COLOURS)] for k in labels]
    ax.scatter(*flat.transform(clouds[key]).T, s=3, c=colours, lw=0)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=8)
mark_simulated(fig, corpus.simulated)
report.figure("clouds", fig)

# %% [markdown]
# ```{glue:figure} clouds
# :name: fig-atlas-clouds
# :alt: Studies in the plane of two principal components, a Gaussian cloud, and three planted groups, coloured by the clusters found
#
# **Groups, if any.** Each dot is a study, in the plane of the first two principal components; grey is in no group that the search found.
# ```
#
# Simulated studies have no groups by construction: their causes are drawn from one Gaussian.
# Groups that are found in their latents are therefore the encoder's, which bends a cloud into arms, and the Gaussian cloud misses that, as it misses everything but means and covariances.
# Groupless studies pass through the same encoder and are the control that counts: here {glue:text}`n_upper_groupless` groups on the upper level, with a stability of {glue:text}`stable_upper_groupless:.2f`.
# An upper level whose groups are no more stable than that has not shown any.
#
# ## What the pieces are about
#
# A cloud without groups can still be cut, and the pieces have meanings, as north and south have in a country without a border.
# Each piece of the upper level is tested for more of each topic than the rest has, with the false discovery rate held over the whole table {cite}`benjamini1995`; the null deals topics to other studies.

# %%
pieces = groups["upper level"]
rich = clusters.enrichment(pieces, topics)
dealt = clusters.enrichment(pieces, rng.permutation(topics))
n_rich, n_dealt = ((e.q_values < 0.05).sum() for e in (rich, dealt))
words = [n.split("_", 1)[1].replace("_", " ") for n in studies.topic_names]
heads = [
    ", ".join(words[t] for t in np.argsort(-row)[:2]) for row in rich.effect
]
(int(n_rich), int(n_dealt), rich.q_values.size)

# %% tags=["hide-input", "remove-output"]
largest = np.argsort(-np.bincount(pieces))[:4]


def smooth(of_studies):
    """Density of the foci of some studies, wide enough for few."""
    rows = corpus.voxels[studies.foci(of_studies)]
    return smoothed_density(rows, corpus.grid, 20.0)


def mean_map(piece):
    """Nats of a piece's foci over all, with a tenth of all mixed in."""
    of_all = smooth(corpus.own_train)
    return np.log((0.9 * smooth(group[pieces == piece])) / of_all + 0.1)


fig = brain.slices(
    np.stack([mean_map(k) for k in largest]),
    corpus.grid,
    [f"{(pieces == k).sum()} studies: {heads[k]}" for k in largest],
    limit=1.0,
    simulated=corpus.simulated,
)
report.figure("pieces", fig)
report.put("n_rich", int(n_rich))
report.put("n_dealt", int(n_dealt))
report.put("n_pairs", rich.q_values.size)

# %% [markdown]
# ```{glue:figure} pieces
# :name: fig-atlas-pieces
# :alt: Mean maps of the four largest k-means pieces of the upper level, with their most enriched topics
#
# **Four pieces of a cloud.** Foci of the studies in each of the four largest k-means pieces, in nats over the density of all foci; named by the two topics that they have most more of than the rest.
# ```
#
# Of {glue:text}`n_pairs` pairs of piece and topic {glue:text}`n_rich` are enriched, and {glue:text}`n_dealt` with dealt topics.
# Enrichment is no evidence of groups: any cut across a direction that goes with topics yields it.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim("the upper level passes the stage gate", gate.go)
planted_rows = [rows[f"{key}_planted"] for key in ("upper", "atlas")]
report.claim(
    "three planted groups are found, and stable (Rand index above a half)",
    all(n >= 3 and stable > 0.5 for n, _, stable in planted_rows),
)
report.claim(
    "studies drawn without any groups show groups in latents as well",
    max(rows[f"{key}_groupless"][0] for key in ("upper", "atlas")) > 1,
)
report.claim(
    "the Gaussian clouds have no stable groups (Rand index above a half)",
    all(rows[f"{key}_gaussian"][2] < 0.5 for key in ("upper", "atlas")),
)
report.claim(
    "pieces by k-means are enriched in topics, more often than with dealt topics",
    n_rich > n_dealt,
)

# %% [markdown]
# ## What we learned
#
# - The gate says {glue:text}`gate`, by evidence and topics together.
# - Stable groups in latents are no groups of studies yet: simulated studies have none, and their latents may show some. What counts is whether groupless studies show as many through the same encoder.
# - K-means pieces have topics and maps all the same, and so would slices of any cloud.
# - **Not shown:** a ladder trained as long as the atlas; the gate is cheap so that it can come first.
# - **What would change our mind:** groups that return in subsamples, and an upper level that tells more of topics than components do.
#
# **Try it:** `upper=2`; then all of the upper level fits into the figure.
# **Sources:** {cite}`sonderby2016,burda2016,campello2013,benjamini1995`.

# %% tags=["hide-input"]
report.card(
    answer=f"None that we can show. The gate for a second level says "
    f"{'GO' if gate.go else 'NO-GO'}: it changes the evidence by "
    f"{lost.micro:+.3f} [{lost.low:+.3f}, {lost.high:+.3f}] nats per focus, "
    f"and its groups tell {told['upper level']:.3f} nats of the topics where "
    f"plain components tell {told['components']:.3f}. Density-based groups "
    f"on the upper level: {rows['upper'][0]} (stability "
    f"{rows['upper'][2]:.2f}); in studies drawn without any groups: "
    f"{rows['upper_groupless'][0]} ({rows['upper_groupless'][2]:.2f}).",
    needs="what a latent variable and a cluster are.",
)
report.stamp()
