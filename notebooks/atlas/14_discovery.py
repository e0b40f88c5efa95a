# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-discovery)=
# # What is reported here, and what else with it?
#
# ```{glue} card
# ```
#
# Click a place in the brain.
# The table says which topics its studies write about, the map says where else those studies report activity, and below stands what the latent code of a study would have to be for this place to be named more often.
# Nothing is computed in a server: the page holds the maps of {glue:text}`n_topics:.0f` topics from {glue:text}`n_studies:.0f` studies.
#
# What is modelled is what articles *report*: thresholds, regions of interest and the habits of a field are in it, and a topic that is reported at a place is not caused by it.
#
# **You will learn** (1) to read a place both ways, from place to topic and from topic to place, (2) how well that reading can be trusted, (3) where the other pages go deeper.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = (
    "auto"  # of the trained atlas: quick, book, full, or the largest there is
)
n_checked: int = 400  # test studies by which the reading is checked
seed: int = 0

# %%
import numpy as np

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.export import activity, decoder_of, dimension_labels
from neurolib.atlas.trained import best_available, trained
from neurolib.data.brain import named_regions
from neurolib.metrics.density_gain import gain
from neurolib.viz import atlas_viewer, scores

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
atlas

# %% [markdown]
# ## Voxel to insight
#
# The table is $p(t \mid v)$ by Bayes' rule from the topics' maps, as {ref}`the page on baselines <atlas-baselines>` fits them.
# The rows below it say how much one step along the most active latent dimensions changes the log density at the crosshair.
# Named regions are points of {cite}`dosenbach2010`; the nearest is a hint, and its distance is said.

# %%
names = [n.split("_", 1)[-1] for n in corpus.corpus.topic_names]
names = [n.replace("_", " ") for n in names]
ratios = np.log(atlas.topics.topic_maps / corpus.base)
decoder, blank = decoder_of(atlas.vae), atlas.vae.blank.detach().numpy()
active = np.argsort(-activity(atlas))[:3]
step = decoder(np.eye(decoder.n_latent)[active], blank)
step -= decoder(np.zeros((1, decoder.n_latent)), blank)
labels = dimension_labels(atlas)
values = {
    f"dimension {k} ({labels[k]})": m
    for k, m in zip(active, step, strict=True)
}
report.put("n_topics", len(names))
report.put("n_studies", len(corpus.own_train))

# %%
atlas_viewer.voxel(
    "voxel-to-insight",
    ratios,
    atlas.topics.topic_shares,
    corpus.grid,
    names,
    values=values,
    places=named_regions(),
    note="Click a slice, or move the crosshair with the arrow keys.",
)

# %% [markdown]
# ## Can the reading be trusted?
#
# For test studies, which no map has seen, topics are read from half of their foci by multiplying $p(t \mid v)$ over the foci, and the other half is predicted from the topics that were read.
# The control reads the topics of another study.

# %%
rows = corpus.corpus
hold_out = atlas.held_out.hold_outs["half test"]
maps = np.log(atlas.topics.topic_maps + 1e-12)
prior = np.log(atlas.topics.topic_shares + 1e-12)
base = np.log(corpus.base)


def read_topics(i):
    """Topic weights of one test study from its seen foci, softened by their number."""
    seen = corpus.voxels[hold_out.seen[hold_out.seen_of == i]]
    logit = prior + (maps[:, seen] - base[seen]).mean(1) * np.sqrt(len(seen))
    weight = np.exp(logit - logit.max())
    return weight / weight.sum()


# %%
checked = np.random.default_rng(seed).permutation(len(hold_out.studies))
checked = np.sort(checked[:n_checked])
weights = {i: read_topics(i) for i in checked}
others = dict(zip(checked, np.roll(checked, 1), strict=True))
found = {"topics read from its foci": {}, "topics of another study": {}}
for i in checked:
    hidden = corpus.voxels[hold_out.hidden[hold_out.hidden_of == i]]
    for name, j in zip(found, (i, others[i]), strict=True):
        p = weights[j] @ atlas.topics.topic_maps[:, hidden]
        found[name][i] = np.log(0.5 * p + 0.5 * corpus.base[hidden])

# %%
lengths = [len(v) for v in found["topics of another study"].values()]
of = np.repeat(checked, lengths)
hidden = [hold_out.hidden[hold_out.hidden_of == i] for i in checked]
hidden = np.concatenate(hidden)
floor = base[corpus.voxels[hidden]]
results = {
    name: gain(np.concatenate([*v.values()]), floor, of)
    for name, v in found.items()
}
intervals = {n: (g.micro, g.low, g.high) for n, g in results.items()}
fig = scores.interval_chart(
    {"other half of the foci": intervals},
    "nats per focus over the density of all foci",
    corpus.simulated,
)
# %% [markdown]
# Topics that are read from half of a study's foci predict the other half by {glue:text}`read_gain:.2f` nats per focus; the topics of another study, by {glue:text}`other_gain:.2f`.
#
# ## Where to go from here
#
# - {ref}`The corpus <atlas-corpus>`: what the studies say and leave out, and the biases that every map inherits.
# - {ref}`The latent slider <atlas-slider>`: move all dimensions at once and see the map change.
# - {ref}`Conditions <atlas-conditions>`: the same study with another topic or in another year.
# - {ref}`Uncertainty <atlas-uncertainty>`: the mean map beside what the atlas is unsure of.
# - {ref}`Time <atlas-time>`: the field year by year.
# - {ref}`The claims <atlas-claims>`: every number with its control.

# %% tags=["nbval-check-output"]
read, other = results.values()
report.claim(
    "topics read from a study's foci predict its other foci", read.low > 0
)
report.claim(
    "topics of another study predict them worse", other.high < read.low
)

# %% tags=["hide-input"]
report.put("read_gain", read.micro)
report.put("other_gain", other.micro)
report.card(
    answer=f"A place says which of {len(names)} topics its studies write "
    "about, and these say where else they report activity: read from half "
    f"of a study's foci, they gain {read.micro:+.2f} nats on each of the "
    "others.",
    needs="what the topics' maps are, from the page on baselines.",
)
report.stamp()
