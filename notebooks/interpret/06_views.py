# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (interpret-views)=
# # What does a map of activity show, and what does it invent?
#
# ```{glue} card
# ```
#
# A cloud of points in many dimensions cannot be looked at, so it is drawn as a map: by principal components, by t-SNE {cite}`vandermaaten2008` or by UMAP {cite}`mcinnes2018`.
# Islands on the map are then named, and two maps are compared by eye.
# Both methods that bend space promise only that neighbours stay neighbours, and both depend on a size of neighbourhood and on a random start.
#
# Here every map is drawn many times and scored, a cloud without any structure is drawn beside it, and points are coloured by what should not matter as well.
#
# **You will learn** (1) how to tell a map that keeps neighbours from one that does not, (2) what maps make out of nothing, (3) how to see whether a model's latents tell the movement or the recording.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "m1"  # or "s1": whose activity is mapped first
n_reaches: int = 140  # points of a map
neighbours: list = [4, 12, 40]  # perplexity of t-SNE, neighbours of UMAP
n_seeds: int = 2  # of maps and of decoders
iterations: int = 500  # of a map
steps: int = 100  # of training a decoder
hidden: int = 32  # its units
n_nulls: int = 200
seed: int = 0
device: str = "cpu"

# %%
import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from neurolib import report
from neurolib.data.reaches import find_reaches, reach_trials
from neurolib.data.sets import load
from neurolib.data.trials import Trials
from neurolib.interpret.activations import record
from neurolib.interpret.views import ViewConfig, settings, sweep, view_grid
from neurolib.metrics.clusters import ClusterConfig, gaussian_null
from neurolib.metrics.neighbourhoods import label_purity, leak_check
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz import views as pictures

if dataset not in ("m1", "s1") or n_seeds < 2:
    raise ValueError(f"{dataset=} must be m1 or s1, {n_seeds=} two or more")
AREAS = ("m1", "s1")
sets = {area: load(area, source) for area in AREAS}
report.use(*sets.values())
simulated = sets[dataset].simulated
sets

# %% [markdown]
# ## Points
#
# A point is a reach.
# Its coordinates are the spike counts of all units from shortly before the hand sets off until it is well on its way: square roots, so that busy units do not drown the others, and standardised.
# Reaches that share bins with the one before are left out, since points that are made of the same spikes are neighbours whatever they mean.
# The label is the direction of the reach, in four sectors.

# %%
WINDOW = (0.1, 0.4)  # seconds before and after the onset
K = 10  # neighbours that scores look at
DIRECTIONS = ("right", "up", "left", "down")


def reaches_of(trials, n=None):
    """Reaches that share no bins, or an even choice of n of them."""
    found = find_reaches(trials, *WINDOW, n_directions=4)
    bins = round(sum(WINDOW) / trials.bin_size_s)
    keep = np.flatnonzero(np.diff(found.onset, prepend=-bins) >= bins)
    if n is not None:
        n = min(n, len(keep))
        keep = keep[np.linspace(0, len(keep) - 1, n).round().astype(int)]
    return type(found)(found.onset[keep], found.direction[keep])


def by_direction(direction):
    """Points of each direction."""
    return {word: direction == i for i, word in enumerate(DIRECTIONS)}


area = sets[dataset]
velocity = area.with_outputs("velocity")
reaches = reaches_of(velocity, n_reaches)
direction = reaches.direction
cut = reach_trials(velocity, reaches, *WINDOW)
counts = cut.counts.reshape(len(cut), -1, cut.n_units).sum(axis=1)
points = np.sqrt(counts)
points = (points - points.mean(axis=0)) / (points.std(axis=0) + 1e-9)

# %% [markdown]
# What a map should show can be asked without one: of the nearest neighbours of a reach, how many go the same way?
# That **purity** is counted in the space of all units, and set against directions dealt anew among the reaches.
# Its *excess* is zero by chance and one if neighbours always agree.
#
# Reaches also have a start, and where a task goes out from a centre and back, near the centre or far from it is a second label that nobody coloured by.
# Principal components are fitted to two thirds of the reaches, and scored on those that are left.

# %%
position = area.with_outputs("position").behaviour[reaches.onset]
from_centre = np.linalg.norm(position - np.median(position, axis=0), axis=1)
far = from_centre > np.median(from_centre)
held_out = np.arange(len(points)) % 3 == 2
pca = ViewConfig("pca").view(points, ~held_out)


def purity(x, labels, k=K):
    """Excess purity, with its null."""
    return label_purity(x, labels, n_neighbours=k, n_nulls=n_nulls, seed=seed)


units = purity(points, direction)
starts = purity(points, far)
components = purity(pca[held_out], direction[held_out], 5)

# %% tags=["hide-input"]
report.put("area", dataset.upper())
report.put("n_points", len(points))
report.put("n_units", area.n_units)
report.put("k", K)
report.put("units_purity", units.value)
report.put("units_chance", units.chance)
report.put("units_excess", units.excess)
report.put("units_p", units.p_value)
report.put("starts_excess", starts.excess)
report.put("components_excess", components.excess)

# %% [markdown]
# {glue:text}`n_points` reaches of {glue:text}`area`, {glue:text}`n_units` units.
# Among all units, {glue:text}`units_purity:.2f` of the {glue:text}`k` nearest neighbours share the direction, {glue:text}`units_chance:.2f` by chance (excess {glue:text}`units_excess:.2f`, p = {glue:text}`units_p:.3f`).
# On two components and reaches that were held out the excess is {glue:text}`components_excess:.2f`.
# Of the start, near or far, it is {glue:text}`starts_excess:.2f` among all units.
# Where that is high, the activity has islands that direction alone does not explain, and a reader who colours by direction would call them accidents.
#
# ## Many maps
#
# Each map is scored by what it does to neighbourhoods {cite}`venna2001`: **trustworthiness** falls where it shows neighbours that were none, **continuity** where it parts neighbours.
# Maps start at random.
# The default of many packages is to start from principal components: two seeds then give nearly the same map, which says that they began alike, and not that the map is sure.
#
# Beside each map stands one of a **Gaussian cloud** with the mean and covariance of the points: one lump, without islands and without directions.

# %% tags=["remove-stderr"]
chosen = view_grid(neighbours, n_seeds, iterations=iterations)
cloud = gaussian_null(points, seed)
drawn = sweep(points, chosen, direction, n_neighbours=K, n_nulls=50)
invented = sweep(cloud, chosen, direction, n_neighbours=K, n_nulls=50)
of_data, of_cloud = settings(drawn, K), settings(invented, K)

# %% tags=["hide-input"]
pictures.view_explorer(
    "view-sweep", drawn, invented, by_direction(direction), simulated
)

# %% tags=["hide-input", "remove-output"]
report.figure(
    "view-scores",
    pictures.setting_curves(of_data, of_cloud, "direction", simulated),
)
bent = [key for key in of_data if key[0] != "pca"]


def mean_of(table, name):
    """Mean over all settings of t-SNE and UMAP."""
    return float(np.mean([getattr(table[key], name) for key in bent]))


def most(table, name):
    """Largest score of any t-SNE or UMAP."""
    return max(getattr(table[key], name) for key in bent)


def least(table, name):
    """Smallest score of any t-SNE or UMAP."""
    return min(getattr(table[key], name) for key in bent)


for name, table in (("data", of_data), ("cloud", of_cloud)):
    report.put(f"{name}_trust", mean_of(table, "trustworthiness"))
    report.put(f"{name}_overlap_low", least(table, "overlap"))
    report.put(f"{name}_overlap_high", most(table, "overlap"))
    report.put(f"{name}_fit_low", least(table, "procrustes"))
    report.put(f"{name}_fit_high", most(table, "procrustes"))
report.put("pca_trust", of_data["pca", 0].trustworthiness)
report.put("pca_direction", of_data["pca", 0].condition)
report.put("bent_direction", mean_of(of_data, "condition"))

# %% [markdown]
# ```{glue:figure} view-scores
# :name: fig-view-scores
# :alt: Trustworthiness, continuity, agreement of seeds and purity of direction over sizes of neighbourhood
#
# **What maps are worth.** Means over {glue:text}`n_maps` seeds. Solid: maps of the data; dotted: of a Gaussian cloud with the same covariance. Grey: principal components, which have no such setting and no seed.
# ```
#
# Over all settings, maps of the data have trustworthiness {glue:text}`data_trust:.2f`, and maps of the cloud {glue:text}`cloud_trust:.2f`; two components of the data have {glue:text}`pca_trust:.2f`.
# A score of a map means little by itself: what counts is how far it lies above that of a cloud with nothing in it.
#
# Two seeds share {glue:text}`data_overlap_low:.2f` to {glue:text}`data_overlap_high:.2f` of a point's neighbours (less chance; for the cloud, {glue:text}`cloud_overlap_low:.2f` to {glue:text}`cloud_overlap_high:.2f`).
# Where islands lie relative to each other is another matter: turned and scaled to fit, one map explains between {glue:text}`data_fit_low:.2f` and {glue:text}`data_fit_high:.2f` of another's variance, depending on the setting.
#
# Of direction, t-SNE and UMAP tell an excess of {glue:text}`bent_direction:.2f` on average, and two components {glue:text}`pca_direction:.2f`.
# The plain projection is the baseline that every such map has to beat.
#
# ## Islands in nothing
#
# How many islands does a reader see?
# A density-based search {cite}`campello2013` counts them: in the points themselves, in two components, and in maps with the smallest neighbourhood; of the data, and of the cloud, which has none.

# %%
search = ClusterConfig(min_cluster_size=5)


def islands(x):
    """How many clusters the search finds."""
    return int(search.labels(x).max() + 1)


def mean_islands(scored, kind):
    """Mean over seeds, with the smallest neighbourhood."""
    wanted = (kind, 0 if kind == "pca" else neighbours[0])
    of_kind = [one for one in scored if one.config.setting == wanted]
    return float(np.mean([islands(one.view) for one in of_kind]))


counted = {
    name: {"points": islands(x)}
    | {kind: mean_islands(scored, kind) for kind in ("pca", "tsne", "umap")}
    for name, x, scored in (
        ("data", points, drawn),
        ("cloud", cloud, invented),
    )
}
counted

# %% [markdown]
# There is a shorter way to invent islands: tell the map the labels.
# A linear discriminant view, like any embedding that is trained with labels, separates what it was told to separate.
# Here it is given the true directions, and directions that were dealt at random; and it is looked at on the reaches that it was fitted to, and on those that were held out.

# %% tags=["remove-stderr"]
shuffled = np.random.default_rng(seed).permutation(direction)


def told(labels):
    """A view that knows labels: excess where it was fitted, and elsewhere."""
    method = LinearDiscriminantAnalysis(n_components=2)
    view = method.fit(points[~held_out], labels[~held_out]).transform(points)
    fitted = purity(view[~held_out], labels[~held_out], 5)
    return fitted, purity(view[held_out], labels[held_out], 5)


true_fit, true_new = told(direction)
null_fit, null_new = told(shuffled)

# %% tags=["hide-input"]
report.put("n_maps", n_seeds)
report.put("smallest", neighbours[0])
for name, row in counted.items():
    for kind, value in row.items():
        report.put(f"{name}_{kind}_islands", float(value))
report.put("true_fit", true_fit.excess)
report.put("true_new", true_new.excess)
report.put("null_fit", null_fit.excess)
report.put("null_new", null_new.excess)
report.put("null_new_p", null_new.p_value)

# %% [markdown]
# | islands in | the points | two components | t-SNE | UMAP |
# |---|---|---|---|---|
# | the data | {glue:text}`data_points_islands:.0f` | {glue:text}`data_pca_islands:.1f` | {glue:text}`data_tsne_islands:.1f` | {glue:text}`data_umap_islands:.1f` |
# | one Gaussian cloud | {glue:text}`cloud_points_islands:.0f` | {glue:text}`cloud_pca_islands:.1f` | {glue:text}`cloud_tsne_islands:.1f` | {glue:text}`cloud_umap_islands:.1f` |
#
# Maps at perplexity, or neighbours, {glue:text}`smallest`; means over seeds.
# The cloud has islands on every map, even on the straight projection, although the search finds {glue:text}`cloud_points_islands:.0f` in its points: a plane is a small place, and chance makes clumps in it.
# Small neighbourhoods sharpen the clumps.
# Islands of the data that are no more than these may be nothing.
#
# Told random directions, the discriminant view shows them with an excess of {glue:text}`null_fit:.2f` where it was fitted, and {glue:text}`null_new:.2f` on other reaches (p = {glue:text}`null_new_p:.2f`).
# Told the true ones, {glue:text}`true_fit:.2f` and {glue:text}`true_new:.2f`.
# Only the second number of each pair is about the brain.
#
# ## The movement or the recording?
#
# One decoder for several recordings is meant to find a space that they share.
# A GRU gets the units of both areas, those of the other one silent, and decodes velocity; its hidden state during reaches that were held out is mapped.
# Areas, animals and units differ, and nothing but the movement is common.
#
# The **leak check** asks neighbourhoods two questions and keeps them apart: is the direction the same, among neighbours of the same recording, and is the recording the same, among neighbours of the same direction?
# The baseline is the same network before training, and the remedy that is tried is to subtract each recording's mean latent, from training trials.


# %%
def side_by_side(parts):
    """Stretches of both areas, each with silent units for the other."""
    parts = [part.pieces(100) for part in parts]
    width = np.cumsum([0, *(part.n_units for part in parts)])
    counts = [
        np.pad(part.counts, ((0, 0), (before, width[-1] - after)))
        for part, before, after in zip(parts, width, width[1:], strict=False)
    ]
    behaviour = np.concatenate([part.behaviour for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    which = {"area": np.repeat(range(len(parts)), [len(p) for p in parts])}
    step, outputs = parts[0].bin_size_s, parts[0].outputs
    counts = np.concatenate(counts)
    return Trials(counts, behaviour, lengths, step, outputs, info=which)


both = [sets[name].with_outputs("velocity") for name in AREAS]
splits = [one.split((0.5, 0.1, 0.4), seed=seed) for one in both]
train, valid, test = map(side_by_side, zip(*splits, strict=True))
cfg = TrainConfig(
    steps=steps,
    batch_size=32,
    lr=5e-3,
    schedule="cosine",
    warmup=10,
    weight_decay=1e-2,
    eval_every=max(steps // 4, 1),
    device=device,
)


# %%
def decoder(number, learn):
    """The network of a seed, trained or as it began."""
    torch.manual_seed(number)
    model = RecurrentConfig(train.n_units, 2, "gru", hidden, dropout=0.2)
    model = RecurrentDecoder(model).standardise(train)
    if learn:
        tensors = (trial_tensors(part.pieces(40)) for part in (train, valid))
        fit(model, *tensors, cfg)
    return model.cpu()


def latents(model, trials, onset):
    """Hidden state in the middle of each reach."""
    padded = trials.padded()
    acts = record(model, torch.from_numpy(padded.counts), ["hidden"])
    bins = acts.samples("hidden", torch.from_numpy(padded.mask)).numpy()
    return bins[onset + round(0.2 / trials.bin_size_s)].astype(float)


def where(trials, each):
    """Reaches of both areas, as many of each, and their area."""
    found = reaches_of(trials)
    area = trials.info["area"][trials.trial_of_bin[found.onset]]
    parts = [np.flatnonzero(area == i) for i in range(len(AREAS))]
    n = min(each, *map(len, parts))
    even = [
        part[np.linspace(0, len(part) - 1, n).astype(int)] for part in parts
    ]
    keep = np.concatenate(even)
    return found.onset[keep], found.direction[keep], area[keep]


def centred(old, new):
    """Both, less the mean of each recording in training trials."""
    means = [old[old_area == i].mean(axis=0) for i in range(len(AREAS))]
    return old - np.stack(means)[old_area], new - np.stack(means)[new_area]


def look(old, new):
    """Latents, two components of those in training, and a t-SNE."""
    fitted = np.arange(len(old) + len(new)) < len(old)
    pca = ViewConfig("pca").view(np.concatenate([old, new]), fitted)
    tsne = ViewConfig("tsne", 20, seed=seed, iterations=iterations)
    return {"latents": new, "PCA": pca[~fitted], "t-SNE": tsne.view(new)}


# %% tags=["remove-stderr"]
old_onset, _, old_area = where(train, n_reaches)
new_onset, way, new_area = where(test, n_reaches // 2)
spaces, scored = {}, {}
for number in range(seed, seed + n_seeds):
    spaces[number] = seen = {}
    for word in ("untrained", "trained"):
        model = decoder(number, word == "trained")
        pair = (
            latents(model, train, old_onset),
            latents(model, test, new_onset),
        )
        seen[word] = look(*pair)
    seen["trained, centred"] = look(*centred(*pair))
    for word, views in seen.items():
        for kind, x in views.items():
            check = leak_check(
                x, way, new_area, n_neighbours=K, n_nulls=n_nulls
            )
            scored.setdefault(f"{word}: {kind}", []).append(check)

# %% tags=["hide-input", "remove-output"]
first = spaces[seed]
report.figure(
    "view-leaks",
    pictures.leak_chart(
        {
            name: [(c.condition.excess, c.recording.excess) for c in checks]
            for name, checks in scored.items()
        },
        ("direction", "recording"),
        simulated,
    ),
)
by_area = {name.upper(): new_area == i for i, name in enumerate(AREAS)}
tsne = {word: views["t-SNE"] for word, views in first.items()}
plain = {word: views["PCA"] for word, views in first.items()}
report.figure(
    "view-maps",
    pictures.maps(
        {
            "t-SNE, by direction": tsne,
            "t-SNE, by recording": tsne,
            "PCA, by recording": plain,
        },
        {
            "t-SNE, by direction": by_direction(way),
            "t-SNE, by recording": by_area,
            "PCA, by recording": by_area,
        },
        simulated,
    ),
)


def mean(name, what):
    """Mean over seeds of the excess of direction or recording."""
    return float(np.mean([getattr(c, what).excess for c in scored[name]]))


for key, name in {
    "raw": "untrained: latents",
    "trained": "trained: latents",
    "trained_pca": "trained: PCA",
    "trained_tsne": "trained: t-SNE",
    "centred": "trained, centred: latents",
}.items():
    report.put(f"{key}_direction", mean(name, "condition"))
    report.put(f"{key}_recording", mean(name, "recording"))
report.put("n_latents", len(way))

# %% [markdown]
# ```{glue:figure} view-maps
# :name: fig-view-maps
# :alt: Maps of hidden states before training, after it, and centred, by direction and by recording
#
# **The same maps, coloured twice.** Hidden states of {glue:text}`n_latents` held-out reaches of two recordings, one seed. Colours of the first row are directions, around the circle.
# ```
#
# ```{glue:figure} view-leaks
# :name: fig-view-leaks
# :alt: Excess purity of direction and of recording in latents, components and t-SNE
#
# **The leak check.** Each mark is a seed. A space in which the triangle lies to the right of the dot shows the recording before the movement.
# ```
#
# Before training, neighbours in the latents tell the recording (excess {glue:text}`raw_recording:.2f`) and hardly the direction ({glue:text}`raw_direction:.2f`).
# Training brings the direction to {glue:text}`trained_direction:.2f`, and the recording stays, at {glue:text}`trained_recording:.2f`.
# In two components of the same latents it is {glue:text}`trained_pca_recording:.2f`: what varies most is the movement, and the recording hides in the components that are not drawn.
# So a map on which recordings mix is no evidence that a model has forgotten them; ask the latents.
# Centring takes the recording down to {glue:text}`centred_recording:.2f` and leaves the direction at {glue:text}`centred_direction:.2f`.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
least_seeds = min(c.condition.excess for c in scored["trained: latents"])
most_seeds = max(c.condition.excess for c in scored["untrained: latents"])
report.claim(
    "neighbours among all units share the direction (p below 0.05)",
    units.p_value < 0.05,
)
report.claim(
    "neighbours share the start, near or far (excess above 0.3)",
    starts.excess > 0.3,
)
report.claim(
    "maps are more trustworthy than those of a Gaussian cloud (by 0.05)",
    mean_of(of_data, "trustworthiness")
    > mean_of(of_cloud, "trustworthiness") + 0.05,
)
report.claim(
    "t-SNE and UMAP tell the direction better than two components (by 0.05)",
    mean_of(of_data, "condition") > of_data["pca", 0].condition + 0.05,
)
report.claim(
    "a small t-SNE of one cloud holds islands that its points do not",
    counted["cloud"]["tsne"] > counted["cloud"]["points"] + 2,
)
report.claim(
    "a view told random labels shows them on new reaches",
    null_new.p_value < 0.01,
)
report.claim(
    "training brings out the direction (every seed above every untrained)",
    least_seeds > most_seeds,
)
report.claim(
    "latents of the trained decoder tell the recording (excess above 0.4)",
    mean("trained: latents", "recording") > 0.4,
)
report.claim(
    "two components hide that (less than half the excess)",
    mean("trained: PCA", "recording")
    < mean("trained: latents", "recording") / 2,
)
report.claim(
    "centring removes more than half of it",
    mean("trained, centred: latents", "recording")
    < mean("trained: latents", "recording") / 2,
)

# %% [markdown]
# ## What we learned
#
# - Score a map, and score the same map of a cloud with the same covariance; islands and trustworthiness mean something only where they exceed those.
# - Draw it with several sizes of neighbourhood and several random starts, and do not read distances between islands.
# - A view that was told labels is judged on points that it was not told about.
# - Colour by recording as well, and ask the space itself: two dimensions can hide a leak and cannot rule one out.
# - The limits in the verdicts were chosen after quick runs had been seen, so they describe these recordings and test nothing about others.
# - **Not shown:** {glue:text}`n_points` points of one recording, and a handful of settings; the Gaussian cloud is one null among several, and keeps no more than means and covariances. Two recordings of two areas differ in everything, so the leak is a large one; two days of one animal would be a harder test.
# - **What would change our mind:** a map whose islands, found on one half of the reaches, sort the other half by something that neither the covariance nor the direction accounts for.
#
# **Try it:** `dataset="s1"`, or a perplexity near the number of points.

# %% tags=["hide-input"]
report.card(
    answer=f"Of the nearest neighbours among {dataset.upper()} units, "
    f"{units.value:.0%} share the direction of reach "
    f"({units.chance:.0%} by chance). A small t-SNE finds "
    f"{counted['data']['tsne']:.0f} islands in them, and "
    f"{counted['cloud']['tsne']:.0f} in a Gaussian cloud that has none. "
    "Latents of one decoder for two recordings tell which is which, and two "
    "principal components of them do not.",
    needs="what a latent is, and what principal components are.",
)
report.stamp()
