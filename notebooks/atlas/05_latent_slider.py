# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-slider)=
# # What changes when one latent moves?
#
# ```{glue} card
# ```
#
# The atlas describes a study by a few numbers, its latents, and turns them into a map: how much more often than usual each place of the brain is *reported*.
# Here you can move these numbers and look.
# A slider shows whatever a decoder does, trained or not, so looking proves little.
# The original project counted on it: its demonstration drew random maps where it found no trained network, and its test for "diverse traversals" is passed by one that never learned.
# So the viewer comes with three questions: does a dimension predict foci that nobody moved, has its name earned itself, and is what you see what the model says?
#
# **You will learn** (1) what one latent dimension does to the map, (2) why its name is a correlation that any other axis would have, too, (3) how a decoder fits into a page.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = "auto"  # of the trained atlas: quick, book, full, or the largest
n_shown: int = 8  # dimensions with maps of their own
n_studies: int = 400  # most test studies that a single dimension is tried on
n_permutations: int = 200
n_rotations: int = 20
seed: int = 0

# %%
import tempfile
from dataclasses import astuple

import numpy as np
import torch

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.decoder import Decoder
from neurolib.atlas.trained import best_available, trained
from neurolib.atlas.viewer import STEPS, codes_of, export
from neurolib.data.coordinate_splits import hide_half
from neurolib.metrics.density_gain import gain
from neurolib.metrics.latents import active_units, topic_correlations
from neurolib.models.coordinates.batches import (
    hold_out_tensors,
    study_tensors,
)
from neurolib.viz import atlas_live, atlas_viewer, brain, scores

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
vae, draw = atlas.vae, np.random.default_rng(seed)
(corpus, atlas)

# %% [markdown]
# ## Which dimensions are used, and what they go with
#
# The autoencoder may be told a study's topics and year, or nothing; on this page it is told nothing ("any study"), so that all it says comes from the foci.
# A dimension is used if its posterior mean differs between studies.
# Its name is the topics that it correlates with beyond the largest correlation that permuted topics reach anywhere in the table.

# %%
unseen = np.r_[corpus.split.valid, corpus.split.test]


@torch.no_grad()
def encoded(studies):
    """Posterior means of studies, from their foci alone."""
    batch = study_tensors(corpus.corpus, corpus.voxels, studies)
    return vae.encode(batch["voxels"], batch["mask"])[0].double().numpy()


means, topics = encoded(unseen), np.sqrt(corpus.corpus.topics[unseen])
activity = means.var(axis=0)
order = np.argsort(-activity)
found = topic_correlations(means, topics, n_permutations, seed=seed)
words = [
    n.split("_", 1)[1].replace("_", " ") for n in corpus.corpus.topic_names
]
names = found.names(words, n_topics=2)
labels = [" ".join(n).replace("-", "−") or "no topic" for n in names]
{f"z{j}": (round(float(activity[j]), 2), labels[j]) for j in order[:n_shown]}

# %% [markdown]
# A name says less than it seems to.
# Turn the axes of the latent space by random rotations, and name the new axes in the same way:

# %%
centred = means - means.mean(axis=0)


def strongest(latents):
    """Largest absolute correlation of each dimension with any topic."""
    table = topic_correlations(latents, topics, 1).correlations
    return np.abs(table).max(axis=1)


turns = [
    np.linalg.qr(draw.normal(size=(len(activity),) * 2))[0]
    for _ in range(n_rotations)
]
own = strongest(means[:, active_units(means)])
rotated = np.concatenate([strongest(centred @ turn) for turn in turns])
own_share, rotated_share = (
    np.mean(r > found.threshold) for r in (own, rotated)
)
(own_share, rotated_share, own.mean(), rotated.mean())

# %% tags=["hide-input"]
report.put("n_latent", len(activity))
report.put("n_active", int(active_units(means).sum()))
report.put("n_unseen", len(unseen))
report.put("threshold", found.threshold)
report.put("own_share", 100 * own_share)
report.put("rotated_share", 100 * rotated_share)
report.put("own_mean", own.mean())
report.put("rotated_mean", rotated.mean())

# %% [markdown]
# Of {glue:text}`n_latent` dimensions {glue:text}`n_active` are used.
# Over {glue:text}`n_unseen` studies that were not trained on, chance reaches a correlation of {glue:text}`threshold:.2f`.
# Beyond it are {glue:text}`own_share:.0f` % of the used dimensions, whose strongest correlation is {glue:text}`own_mean:.2f` on average, and {glue:text}`rotated_share:.0f` % of randomly rotated ones, with {glue:text}`rotated_mean:.2f`.
# The latent space knows of topics; its axes are not where the topics are.
# A dimension is therefore no "cognitive axis": it is one direction of many, and its label says what it goes with.
#
# ## Move it
#
# Each slider runs from −3 to 3 standard deviations of the prior, from maps that were computed beforehand.
# Warm places are reported more often than in all foci together, cold ones less often, in nats.
# The button loads the decoder itself, the same few matrices, and then all dimensions move together.

# %%
state = {
    name: value.numpy()
    for name, value in vae.state_dict().items()
    if name.startswith(("decoder.", "out."))
}
any_study = vae.blank.detach().numpy()
decoder = Decoder.from_state(
    state, corpus.grid, np.log(corpus.base), vae.n_latent
)
folder = export(
    tempfile.mkdtemp(),
    decoder,
    labels,
    activity,
    atlas.sha256,
    n_maps=n_shown,
    conditions={"any study": any_study},
)

# %% tags=["hide-input"]
atlas_viewer.slider(
    "latent-slider",
    folder,
    note="Labels are topics that a dimension correlates with in studies that "
    "were not trained on: more of them (+) or less (−) towards the right.",
)

# %% [markdown]
# In JupyterLab the next cell shows the same sliders, decoded by Python when you let go; on this page it shows nothing, because a page has no Python.

# %%
shown = {int(j): labels[j] for j in order[:n_shown]}
limit = float(
    np.percentile(np.abs(decoder(3 * np.eye(vae.n_latent), any_study)), 99)
)
atlas_live.live(
    atlas_live.latent_controls(shown),
    atlas_live.latent_map(
        decoder, any_study, limit=limit, simulated=corpus.simulated
    ),
)

# %% tags=["hide-input", "remove-output"]
pairs = [(j, side) for j in order[:2] for side in (-2, 2)]
ends = np.stack([side * np.eye(vae.n_latent)[j] for j, side in pairs])
fig = brain.slices(
    decoder(ends, any_study),
    corpus.grid,
    [f"z{j} = {'−' if s < 0 else '+'}{abs(s)}: {labels[j]}" for j, s in pairs],
    limit=limit,
    simulated=corpus.simulated,
)
report.figure("ends", fig)

# %% [markdown]
# ```{glue:figure} ends
# :name: fig-atlas-ends
# :alt: Slices of the decoded map at both ends of the two most used dimensions
#
# **Both ends of two dimensions.** Nats above or below the density of all foci; the other dimensions are at zero.
# ```
#
# ## Does it predict anything?
#
# Show the encoder half of a test study's foci, keep *one* of its numbers, set all others to zero, and ask for the hidden half.
# If a dimension means what its map shows, this beats the map of zeros.
# The control takes the same number from another study: then the map moves just as much, and for nothing.

# %%
rng = np.random.default_rng(seed)
hidden_half = hide_half(
    corpus.corpus, rng.permutation(corpus.split.test)[:n_studies]
)
batch = hold_out_tensors(corpus.corpus, corpus.voxels, hidden_half)
hidden = batch["mask"] & ~batch["seen"]
of = hidden.nonzero()[:, 0].numpy()
with torch.no_grad():
    z = vae.encode(batch["voxels"], batch["seen"])[0]


@torch.no_grad()
def scored(latents):
    """Nats per hidden focus over the map of zeros, with an interval."""
    log_p = [
        vae.decode(each).gather(1, batch["voxels"])[hidden].numpy()
        for each in (latents, torch.zeros_like(latents))
    ]
    return gain(*log_p, of)


# %%
other = torch.from_numpy(rng.permutation(len(z)))
only = {int(j): z * (torch.arange(z.shape[1]) == j) for j in order[:n_shown]}
alone = {j: scored(latents) for j, latents in only.items()}
swapped = {j: scored(latents[other]) for j, latents in only.items()}
together = scored(z)
{f"z{j}": (str(alone[j]), str(swapped[j])) for j in alone}

# %% tags=["hide-input", "remove-output"]
panels = {
    "its own value": {f"z{j}": astuple(g)[:3] for j, g in alone.items()},
    "another study's": {f"z{j}": astuple(g)[:3] for j, g in swapped.items()},
}
fig = scores.interval_chart(panels, "nats per focus", corpus.simulated)
report.figure("alone", fig)
best = max(alone, key=lambda j: alone[j].micro)
report.put("best", f"z{best}")
report.put("best_alone", str(alone[best]))
report.put("together", str(together))
report.put("worst_alone", min(g.micro for g in alone.values()))
report.put("n_tested", together.n_studies)

# %% [markdown]
# ```{glue:figure} alone
# :name: fig-atlas-alone
# :alt: Nats per hidden focus that each dimension gains alone, with its own value and with another study's
#
# **One number of a study against its hidden foci.** Gain over the map of zeros, {glue:text}`n_tested` test studies, intervals over studies.
# ```
#
# The best single dimension, {glue:text}`best`, gains {glue:text}`best_alone`, the least of the shown ones {glue:text}`worst_alone:+.3f`; all dimensions together gain {glue:text}`together`.
# The map of zeros is the most typical study, not the mean over studies, so it is a weak opponent: the other pages compare with the density of all foci instead.
#
# ## Is it what the model says?
#
# Three things are rounded on the way to your screen: maps to one byte per voxel, weights to one or two bytes, and the whole page to what a reader will wait for.

# %%
traversal = STEPS[:, None] * np.eye(vae.n_latent)[order[0]]
maps = decoder(traversal, any_study)
half_step = codes_of(maps)[1] / 2
data, manifest = decoder.pack(condition=any_study)
files = {path.name: path.stat().st_size / 1e6 for path in folder.iterdir()}
per_map = np.mean([mb for name, mb in files.items() if name.startswith("dim")])
with_zeros = np.corrcoef(maps[6], maps[5])[0, 1]
end_to_end = float(np.corrcoef(maps[0], maps[-1])[0, 1])
(half_step, manifest["dtype"], manifest["error_nats"], per_map)

# %% tags=["hide-input"]
text_mb = 4 / 3  # bytes travel as text, which a page on a disk may load
report.put("half_step", half_step)
report.put("dtype", manifest["dtype"])
report.put("weight_error", manifest["error_nats"])
report.put("map_mb", text_mb * per_map)
report.put("template_mb", text_mb * files["template.nii.gz"])
report.put("decoder_mb", len(data) / 1e6)
report.put("end_to_end", end_to_end)

# %% [markdown]
# A map's byte errs by {glue:text}`half_step:.3f` nats at most, the decoder's {glue:text}`dtype` weights by {glue:text}`weight_error:.4f` nats on average (root mean square).
# The page opens with the template ({glue:text}`template_mb:.2f` MB) and one dimension ({glue:text}`map_mb:.2f` MB); every further dimension is fetched when it is first moved, and the decoder ({glue:text}`decoder_mb:.1f` MB unpacked) when you ask for it.
# Both ends of the most used dimension are different maps: they correlate at {glue:text}`end_to_end:.2f`.
#
# An untrained decoder would show an empty brain at every position.
# `Decoder` refuses one with an error, and nothing stands in for it.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "every shown dimension goes with a topic more than permuted topics do",
    all(names[j] for j in order[:n_shown]),
)
report.claim(
    "randomly rotated dimensions have names nearly as often as the axes",
    rotated_share > 0.9 * own_share,
)
report.claim(
    "each shown dimension alone predicts hidden foci (interval above zero)",
    all(g.low > 0 for g in alone.values()),
)
report.claim(
    "with another study's value none does (no interval above zero)",
    all(g.low <= 0 for g in swapped.values()),
)
report.claim(
    "the browser's weights err less than the bytes of a map",
    manifest["error_nats"] < half_step,
)

# %% [markdown]
# ## What we learned
#
# - A single latent dimension predicts foci that were hidden from it, and the same movement with another study's number does not; that is what earns the slider.
# - Names are associations with text. Any rotation of the axes is named about as often, so no dimension *is* a cognitive function.
# - What moves is what studies report; places that everybody reports anyway hardly move.
# - **What would change our mind:** axes whose names survive another seed of the training.
#
# **Try it:** `size="quick"` beside a larger atlas; which maps stay?

# %% tags=["hide-input"]
report.card(
    answer=f"One latent dimension of {int(active_units(means).sum())} in use "
    "changes where the model expects foci, and rightly so: the best one alone "
    f"gains {alone[best].micro:.2f} nats per hidden focus. Its name is a "
    f"correlation; randomly rotated axes have names as well "
    f"({100 * rotated_share:.0f} % of them, {100 * own_share:.0f} % of ours).",
    needs="what a latent variable is.",
)
report.stamp()
