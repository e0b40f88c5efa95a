# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-outside)=
# # Does the atlas recognise maps it has never seen?
#
# ```{glue} card
# ```
#
# All scores so far come from held-out studies of the corpus that the atlas was trained on: tables of peaks, read by the same parser.
# Here it meets something else: whole, unthresholded statistical maps of group studies, as people share them {cite}`gorgolewski2015`.
# Can it say what a map is about, and, shown the peaks of one half of a map, where those of the other half are?
#
# There are three maps, found as test files of two programs, and what two of them show is known from their file names alone; of the third nothing is known.
# {glue:text}`which`
# Three maps can show that something fails, or that it can work; they cannot show how often it does.
#
# **You will learn** (1) how to ask an atlas of reported peaks about a map of values, (2) why the null must be sets of studies and not shuffled voxels, (3) what completion is worth beyond mirroring the brain.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = "auto"  # of the trained atlas: quick, book, full, or the largest
n_set: int = 100  # studies that stand for a topic
n_random: int = 200  # random sets of as many studies
n_peaks: int = 12  # on each side, or in each half
n_swaps: int = 100  # studies whose foci stand in for the map's peaks
fwhm_mm: float = 10.0  # smoothing of the foci of a set
seed: int = 0

# %%
import numpy as np
import torch

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data import catalog
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import tiny
from neurolib.data.statistic_maps import load_statistic_maps, peaks
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.local import LocalConfig
from neurolib.models.coordinates.network_density import NetworkDensity
from neurolib.viz import atlas_viewer, brain, retrieval

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
absent = not catalog.is_present("neurovault_testmaps")
outside = load_statistic_maps(corpus.simulated or absent)
report.use(outside)
studies, grid = corpus.corpus, corpus.grid
(corpus, atlas, outside)

# %% tags=["hide-input"]
report.put(
    "which",
    "In this run the maps are simulated: each is one topic of the simulator "
    "with smooth noise, so all three answers are known."
    if outside.simulated
    else "In this run they are the recorded ones.",
)
known = [m for m in outside.maps if m.right(studies.topic_names)]
report.put("n_known", len(known))
report.put("n_maps", len(outside.maps))

# %% [markdown]
# ## What is this map about?
#
# A topic gets a map of nats over all foci in four ways: from the topic mixture; from the foci of the {glue:text}`n_set` studies in which it weighs most; from the text network, given the mean description of these studies; and from the autoencoder's prior, given the same.
# A map from outside is correlated, over the voxels that it covers, with the maps of all {glue:text}`n_topics` topics.
# A two-sided contrast, left hand against right hand, is taken without its sign, because a table of peaks has none.
#
# Any two smooth maps of the brain correlate, so shuffled voxels would be no null.
# The null is {glue:text}`n_random` random sets of as many studies, which go through the same four ways, and their mean is taken off all maps, so that no method is praised for a pattern that all its maps share.

# %%
draw = np.random.default_rng(seed)
own = np.arange(corpus.n_own)
top = np.argsort(-studies.topics[own], axis=0)[:n_set].T
rand = np.array(
    [draw.choice(own, n_set, replace=False) for _ in range(n_random)]
)


def of_foci(sets):
    """Log density of the foci of each set of studies."""
    voxels = (corpus.voxels[studies.foci(np.sort(s))] for s in sets)
    args = (grid, fwhm_mm, None, 1e-2)
    return np.log([smoothed_density(v, *args) for v in voxels])


@torch.no_grad()
def of_text(sets, network):
    """Log density that a network makes of each set's mean description."""
    mean = np.array([corpus.description[s].mean(0) for s in sets])
    told = torch.from_numpy(mean).float()
    if network is atlas.text:
        return atlas.text.eval()(told).double().numpy()
    return network.prior(told[:, : corpus.n_brief]).log().double().numpy()


# %%
ways = {
    "studies' foci": of_foci,
    "text network": lambda sets: of_text(sets, atlas.text),
    "autoencoder": lambda sets: of_text(sets, atlas.vae),
}
pairs = {"topic mixture": (np.log(atlas.topics.topic_maps), None)}
pairs |= {name: (way(top), way(rand)) for name, way in ways.items()}
pairs["topic mixture"] = (pairs["topic mixture"][0], pairs["studies' foci"][1])
candidates = {
    name: (maps - null.mean(0), null - null.mean(0))
    for name, (maps, null) in pairs.items()
}


def correlations(one, maps):
    """Correlation of a map from outside with each of some maps."""
    held = np.isfinite(one.values)
    a, b = one.strength[held], maps[:, held]
    a, b = a - a.mean(), b - b.mean(1, keepdims=True)
    return b @ a / np.linalg.norm(a) / np.linalg.norm(b, axis=1)


# %%
names = studies.topic_names
words = [n.split("_", 1)[1].replace("_", " ") for n in names]
found = {
    way: {
        one.label: (
            correlations(one, maps),
            one.right(names),
            correlations(one, null),
        )
        for one in outside.maps
    }
    for way, (maps, null) in candidates.items()
}
rank = {
    way: {
        label: int((r > r[right].max()).sum()) + 1
        for label, (r, right, _) in maps.items()
        if right
    }
    for way, maps in found.items()
}
rank

# %% tags=["hide-input", "remove-output"]
fig = retrieval.strips(found, "correlation", outside.simulated)
report.figure("recognised", fig)
report.put("n_set", n_set)
report.put("n_random", n_random)
report.put("n_topics", len(names))
short = ("mixture", "foci", "text", "vae")
for key, way in zip(short, found, strict=True):
    for i, (label, (r, _, null)) in enumerate(found[way].items()):
        best = [f"{words[k]} ({r[k]:.2f})" for k in np.argsort(-r)[:2]]
        report.put(f"{key}_{i}_best", ", ".join(best))
        report.put(f"{key}_{i}_rank", str(rank[way].get(label, "not known")))
        report.put(f"{key}_{i}_null", float(null.max()))
for i, one in enumerate(outside.maps):
    report.put(f"label_{i}", one.label)

# %% [markdown]
# ```{glue:figure} recognised
# :name: fig-atlas-recognised
# :alt: Correlation of three maps with the maps of all topics, made in four ways, and of random sets of studies
#
# **Every topic's correlation with each map.** Strokes: topics; dot: the right one, where it is known; grey: from the least to the largest of random sets of studies.
# ```
#
# | map | topics that fit best, by foci of studies | rank of the right one | largest of random sets |
# |---|---|---|---|
# | {glue:text}`label_0` | {glue:text}`foci_0_best` | {glue:text}`foci_0_rank` | {glue:text}`foci_0_null:.2f` |
# | {glue:text}`label_1` | {glue:text}`foci_1_best` | {glue:text}`foci_1_rank` | {glue:text}`foci_1_null:.2f` |
# | {glue:text}`label_2` | {glue:text}`foci_2_best` | {glue:text}`foci_2_rank` | {glue:text}`foci_2_null:.2f` |
#
# The other ways, in the same order of maps, have the right topic at rank
# {glue:text}`mixture_0_rank`, {glue:text}`mixture_1_rank`, {glue:text}`mixture_2_rank` (topic mixture),
# {glue:text}`text_0_rank`, {glue:text}`text_1_rank`, {glue:text}`text_2_rank` (text network) and
# {glue:text}`vae_0_rank`, {glue:text}`vae_1_rank`, {glue:text}`vae_2_rank` (autoencoder).
#
# With {glue:text}`n_topics` topics, rank one by luck is one chance in {glue:text}`n_topics` for each map and way.
# Networks have a wide null: a correlation does not see that the map of a random set hardly differs from the average one, and what little there is of it is smooth, too.
# Where a map's task is not known, its best topic is an observation and no success.

# %% tags=["hide-input", "remove-output"]
foci_maps = candidates["studies' foci"][0]
rows, titles = [], []
for one in outside.maps:
    r = correlations(one, foci_maps)
    rows += [np.nan_to_num(one.strength / np.nanstd(one.strength))]
    rows += [foci_maps[r.argmax()] / foci_maps[r.argmax()].std()]
    titles += [f"map: {one.label}", f"topic: {words[r.argmax()]}"]
fig = brain.slices(
    rows,
    grid,
    titles,
    limit=4.0,
    unit="standard deviations",
    simulated=outside.simulated,
)
report.figure("side-by-side", fig)

# %% [markdown]
# ```{glue:figure} side-by-side
# :name: fig-atlas-side-by-side
# :alt: Slices of each map from outside and of the topic that fits it best
#
# **Each map and the topic that fits it best.** The upper of two rows is the map from outside (two-sided ones without their sign), the lower one the foci of the topic's studies; each in its own standard deviations.
# ```
#
# ## Half of it shown, where is the rest?
#
# The {glue:text}`n_peaks` strongest peaks on one side of the brain are taken as foci, as an article's table would list them, and the atlas is asked where the strongest peaks of the other side are; then the sides change places.
# An easier question hides a random half of the strongest peaks of the whole map.
# The autoencoder is the plain one, which was never told a text.
# Its opponents are a kernel around each shown peak, the same kernel mirrored to the other side, and the mixture of all with weights that were chosen on validation studies of the corpus.
# Every model has a share of the global density mixed in, with a weight from the same studies.

# %%
local = LocalConfig((15.0,)).build(grid)
mirror = LocalConfig((12.0,), mirror=True).build(grid)
three = ("plain autoencoder", "local 15 mm", "mirror")


def densities(groups):
    """Density of each group of foci under three models, before mixing."""
    of = np.repeat(np.arange(len(groups)), [len(xyz) for xyz in groups])
    foci = tiny(np.concatenate(groups), of)
    network = NetworkDensity(grid, atlas.plain, corpus.base, global_share=0.0)
    shown = shown_foci(foci)
    network = network.densities(foci, foci.voxels(grid), shown)
    flip = [-1, 1, 1]
    near = np.array([local.kernels(xyz) for xyz in groups])
    far = np.array([mirror.kernels(xyz * flip) for xyz in groups])
    return dict(zip(three, (network, near, far), strict=True))


def shown_foci(foci):
    """A hold-out in which every focus is seen and none hidden."""
    all_foci, none = np.arange(foci.n_foci), np.zeros(0, int)
    return HoldOut(np.arange(foci.n_studies), all_foci, foci.study, none, none)


def mixed(parts):
    """Log density over the global one, alone with it and all together."""
    out = {}
    for name in (*three, "mixture"):
        members = three if name == "mixture" else (name,)
        w = atlas.held_out.weights("table", members)
        p = sum(w[m] * parts[m] for m in members) + w["global"] * corpus.base
        out[name] = np.log(p / corpus.base)
    return out


# %%
x = grid.centres_mm[:, 0]
sides = {"left": x < -3, "right": x > 3}
tasks = []  # map, question, shown peaks, hidden peaks, voxels to correlate
for i, one in enumerate(outside.maps):
    by_side = {
        s: peaks(np.where(at, one.strength, np.nan), grid, n_peaks)[0]
        for s, at in sides.items()
    }
    for a, b in (("left", "right"), ("right", "left")):
        where = sides[b] & np.isfinite(one.values)
        tasks.append((i, a, by_side[a], by_side[b], where))
    both = draw.permutation(peaks(one.strength, grid, 2 * n_peaks)[0])
    halves = both[:n_peaks], both[n_peaks:]
    tasks += [(i, "any", *halves, None), (i, "any", *halves[::-1], None)]
maps = mixed(densities([task[2] for task in tasks]))

# %% [markdown]
# The null swaps the study: as many foci of the same side, but of a study of the corpus that was not trained on, and the same peaks to be found.

# %%
others = np.r_[corpus.split.valid, corpus.split.test]
part_of = {"left": -1, "right": 1, "any": 0}


def foci_of(study, side):
    """Some foci of a study on one side, or anywhere."""
    xyz = studies.xyz_mm[studies.first[study] : studies.first[study + 1]]
    xyz = xyz[xyz[:, 0] * part_of[side] > 3] if part_of[side] else xyz
    return draw.permutation(xyz)[:n_peaks]


swaps = {}
for side in part_of:
    groups = [foci_of(s, side) for s in draw.permutation(others)]
    groups = [xyz for xyz in groups if len(xyz) == n_peaks][:n_swaps]
    swaps[side] = mixed(densities(groups))
{side: len(parts["mixture"]) for side, parts in swaps.items()}


# %%
def nats(name, questions, i=None):
    """Mean over tasks of the gain at hidden peaks, and of all swaps."""
    scores = []
    for k, (j, side, _, hidden, _) in enumerate(tasks):
        if (side == "any") == (questions == "half") and i in (None, j):
            at = grid.index(hidden)
            gain = maps[name][k, at].mean()
            null = np.sort(swaps[side][name][:, at].mean(1))
            scores.append(
                (gain, np.quantile(null, 0.95), (null < gain).mean())
            )
    return np.mean(scores, axis=0)


def shape(name, i):
    """Correlation with the map itself, on the hidden side."""
    r = []
    for k, (j, side, _, _, where) in enumerate(tasks):
        if j == i and side != "any":
            pair = maps[name][k, where], outside.maps[i].strength[where]
            r.append(np.corrcoef(*pair)[0, 1])
    return float(np.mean(r))


base = np.log(corpus.base)
table = {
    (one.label, q): {n: nats(n, q, i).round(2).tolist() for n in maps}
    for i, one in enumerate(outside.maps)
    for q in ("side", "half")
}
table

# %% tags=["hide-input"]
short = ("vae", "local", "mirror", "mixture")
for key, name in zip(short, maps, strict=True):
    for question in ("side", "half"):
        for i in range(len(outside.maps)):
            gain, null, _ = nats(name, question, i)
            report.put(f"{question}_{key}_{i}", gain)
            report.put(f"{question}_{key}_{i}_null", null)
    for i in range(len(outside.maps)):
        report.put(f"shape_{key}_{i}", shape(name, i))
for i, one in enumerate(outside.maps):
    held = np.isfinite(one.values) & (np.abs(x) > 3)
    report.put(
        f"shape_base_{i}",
        float(np.corrcoef(base[held], one.strength[held])[0, 1]),
    )
report.put("n_peaks", n_peaks)
report.put("n_swaps", min(len(p["mixture"]) for p in swaps.values()))

# %% [markdown]
# | nats per hidden peak over global | autoencoder (swapped) | kernels | mirror (swapped) | mixture (swapped) |
# |---|---|---|---|---|
# | other side: {glue:text}`label_0` | {glue:text}`side_vae_0:+.2f` ({glue:text}`side_vae_0_null:+.2f`) | {glue:text}`side_local_0:+.2f` | {glue:text}`side_mirror_0:+.2f` ({glue:text}`side_mirror_0_null:+.2f`) | {glue:text}`side_mixture_0:+.2f` ({glue:text}`side_mixture_0_null:+.2f`) |
# | other side: {glue:text}`label_1` | {glue:text}`side_vae_1:+.2f` ({glue:text}`side_vae_1_null:+.2f`) | {glue:text}`side_local_1:+.2f` | {glue:text}`side_mirror_1:+.2f` ({glue:text}`side_mirror_1_null:+.2f`) | {glue:text}`side_mixture_1:+.2f` ({glue:text}`side_mixture_1_null:+.2f`) |
# | other side: {glue:text}`label_2` | {glue:text}`side_vae_2:+.2f` ({glue:text}`side_vae_2_null:+.2f`) | {glue:text}`side_local_2:+.2f` | {glue:text}`side_mirror_2:+.2f` ({glue:text}`side_mirror_2_null:+.2f`) | {glue:text}`side_mixture_2:+.2f` ({glue:text}`side_mixture_2_null:+.2f`) |
# | random half: {glue:text}`label_0` | {glue:text}`half_vae_0:+.2f` ({glue:text}`half_vae_0_null:+.2f`) | {glue:text}`half_local_0:+.2f` | {glue:text}`half_mirror_0:+.2f` ({glue:text}`half_mirror_0_null:+.2f`) | {glue:text}`half_mixture_0:+.2f` ({glue:text}`half_mixture_0_null:+.2f`) |
# | random half: {glue:text}`label_1` | {glue:text}`half_vae_1:+.2f` ({glue:text}`half_vae_1_null:+.2f`) | {glue:text}`half_local_1:+.2f` | {glue:text}`half_mirror_1:+.2f` ({glue:text}`half_mirror_1_null:+.2f`) | {glue:text}`half_mixture_1:+.2f` ({glue:text}`half_mixture_1_null:+.2f`) |
# | random half: {glue:text}`label_2` | {glue:text}`half_vae_2:+.2f` ({glue:text}`half_vae_2_null:+.2f`) | {glue:text}`half_local_2:+.2f` | {glue:text}`half_mirror_2:+.2f` ({glue:text}`half_mirror_2_null:+.2f`) | {glue:text}`half_mixture_2:+.2f` ({glue:text}`half_mixture_2_null:+.2f`) |
#
# In brackets: what 95 in 100 of {glue:text}`n_swaps` swapped studies stay below.
# Both sides of a map are not two experiments: group maps are often symmetric, and then a mirror is all that is needed.
# Peaks of a smooth map also lie where its noise is highest, which nobody can foretell.
#
# Beyond the peaks, the completed map can be held against the hidden side itself, voxel by voxel, by correlation:
#
# | correlation on the hidden side | autoencoder | mirror | mixture | global density |
# |---|---|---|---|---|
# | {glue:text}`label_0` | {glue:text}`shape_vae_0:.2f` | {glue:text}`shape_mirror_0:.2f` | {glue:text}`shape_mixture_0:.2f` | {glue:text}`shape_base_0:.2f` |
# | {glue:text}`label_1` | {glue:text}`shape_vae_1:.2f` | {glue:text}`shape_mirror_1:.2f` | {glue:text}`shape_mixture_1:.2f` | {glue:text}`shape_base_1:.2f` |
# | {glue:text}`label_2` | {glue:text}`shape_vae_2:.2f` | {glue:text}`shape_mirror_2:.2f` | {glue:text}`shape_mixture_2:.2f` | {glue:text}`shape_base_2:.2f` |
#
# The viewer has the maps and what the mixture makes of the peaks on their left; compare the right sides.

# %% tags=["hide-input"]
lefts = [k for k, task in enumerate(tasks) if task[1] == "left"]


def dots(column):
    """Peaks of all maps, with the number of their frame."""
    parts = [
        np.c_[tasks[k][column], np.full(n_peaks, i)]
        for i, k in enumerate(lefts)
    ]
    return np.concatenate(parts)


strengths = [
    np.nan_to_num(m.strength / np.nanstd(m.strength)) for m in outside.maps
]
points = {"shown": dots(2), "hidden": dots(3)}
atlas_viewer.frames(
    "outside-maps",
    [
        atlas_viewer.Pane("map", strengths, "sd", 4.0, points),
        atlas_viewer.Pane("completed", maps["mixture"][lefts], points=points),
    ],
    grid,
    [m.label for m in outside.maps],
    word="map",
    note="Dots: peaks that were shown (left) and those to be found (right).",
)

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
foci_way = found["studies' foci"]
report.claim(
    "foci of studies rank the right topic first for every map that has one",
    all(place == 1 for place in rank["studies' foci"].values()),
)
report.claim(
    "the topic mixture ranks it first, too",
    all(place == 1 for place in rank["topic mixture"].values()),
)
report.claim(
    "by foci of studies it correlates more than every random set of studies",
    all(r[k].max() > n.max() for r, k, n in foci_way.values() if k),
)
report.claim(
    "by the autoencoder's prior it correlates more than every random set",
    all(
        r[k].max() > n.max() for r, k, n in found["autoencoder"].values() if k
    ),
)
report.claim(
    "in every map the autoencoder finds the other side's peaks better than "
    "with foci of nineteen in twenty swapped studies",
    all(
        nats("plain autoencoder", "side", i)[2] > 0.95
        for i in range(len(outside.maps))
    ),
)

# %% [markdown]
# ## What we learned
#
# - Foci of studies are enough to name a map: for the {glue:text}`n_known` maps with a known topic, the plainest way, to pile up the foci of a topic's studies, is as good as any network.
# - A null of random study sets is stricter than it looks: by correlation alone the smooth maps of networks cannot be told from those of random sets as easily.
# - To complete a map, hold the mirror up first.
# - **Not shown:** how often any of this works. For that, maps of many known tasks are needed, from studies that no table of the corpus was taken from; whether the groups scanned here are in the corpus is not known.
# - **What would change our mind:** a few hundred maps of a public collection, on which the network names more of them than piled-up foci do.
#
# **Try it:** read a map of your own with `neurolib.data.statistic_maps.read_map` and ask which topics fit.

# %% tags=["hide-input"]
first = sum(place == 1 for place in rank["studies' foci"].values())
gains = {name: nats(name, "side")[0] for name in maps}
report.card(
    answer=f"{first} of {len(known)} maps with a known topic get it first "
    f"among {len(names)}, by the foci of studies. From the peaks of one side, "
    f"those of the other are found with {gains['plain autoencoder']:+.1f} nats each "
    f"by the autoencoder and {gains['mirror']:+.1f} by a mirror. Three maps "
    "show that it can work, not how often.",
    needs="what a nat per focus is.",
)
report.stamp()
