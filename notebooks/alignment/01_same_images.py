# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (alignment-same-images)=
# # Do models, monkeys and people see the same differences?
#
# ```{glue} card
# ```
#
# A neuron of a monkey, a voxel of a person and a unit of a network cannot be matched one to one.
# What can be compared is which images each of them sets apart: a table of dissimilarities of all pairs of images, an RDM.
# Ninety-two photographs of objects were shown to two monkeys and to four people, sixteen people arranged them by similarity, and RDMs of all of them are published {cite}`kriegeskorte2008,mur2013`.
#
# The project whose plan this study follows {cite}`tensorscope` promised such a comparison in one call, and described it without writing it.
# Its recipe correlates whole flattened tables, so that every pair counts twice and every image is compared with itself.
# It takes the RDM of a layer from a table of layers by layers, which holds no images at all.
# It has no chance level and no ceiling, and averages what remains into one score.
#
# **You will learn** (1) who agrees with whom, and how well anybody could, (2) why the p-value of a correlation over pairs is wrong, and by how much, (3) what a small network brings to it, (4) what cannot be asked of RDMs.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
n_seeds: int = 2  # networks of each kind
steps: int = 150  # of training
lr: float = 3.0e-3
n_resamples: int = 100  # behind intervals
n_permutations: int = 1000  # behind chance
seed: int = 0

# %% tags=["remove-stderr"]
from collections import OrderedDict
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import torch
from scipy.spatial.distance import squareform
from scipy.stats import rankdata
from torch import nn

from neurolib import report
from neurolib.alignment.analyzer import UnifiedModelAnalyzer
from neurolib.alignment.captures import Capture, capture
from neurolib.alignment.study import AnalyzerConfig, NeuralRDMs
from neurolib.data.rsa92 import ID, load_rsa92
from neurolib.metrics.dissimilarity import dissimilarity
from neurolib.metrics.kernel_alignment import cka, cka_interval, cka_matrix
from neurolib.metrics.rdm_comparison import compare_rdms, noise_ceiling
from neurolib.metrics.rdm_inference import bootstrap_rdms, permutation_null
from neurolib.viz.agreement import ceiling_chart, depth_chart, null_panels
from neurolib.viz.layer_explorer import layer_explorer
from neurolib.viz.rdm_viewer import rdm_viewer

if n_seeds < 2:
    raise ValueError(f"{n_seeds=}: networks are compared, so two or more")
data = load_rsa92(source)
report.use(SimpleNamespace(name=ID, simulated=data.simulated))

# %% [markdown]
# ## The same pairs, many opinions
#
# Each RDM holds the dissimilarity of every pair of images: one minus the correlation of the responses for monkeys and people, distance in their arrangements for judgements.
# Among the published models, `animacy` knows only what is alive, `face, body, natural` four categories; the others came with the set under these names.
# Pixels are one minus the correlation of the images as they are.

# %%
n = len(data.labels)
people = data.human_sessions.mean(axis=1)  # sessions averaged
judged = data.judgements.mean(axis=0)
whole = 1 - np.corrcoef(data.images.reshape(n, -1).astype(np.float32))
pixels = squareform(whole, checks=False)
renamed = {
    "FaceBodyManmadeNatobj": "face, body, natural",
    "Silhouette": "silhouette",
}
published = {
    renamed.get(name, name): values
    for name, values in data.models.items()
    if name != "monkeyIT"
} | {"pixels": pixels}
rdms = {"monkeys' IT": data.monkey_it, "people's IT": data.human_it}
rdms |= {f"person {k + 1}": rdm for k, rdm in enumerate(people)}
rdms |= {"judgements": judged} | published

# %% tags=["hide-input"]
rdm_viewer(
    "same-images-rdms",
    rdms,
    data.labels,
    data.images,
    simulated=data.simulated,
)

# %% [markdown]
# Point at a cell, tap it, or move with the arrow keys: the two images and what everybody says of the pair stand beside it.
# One RDM is drawn above the diagonal and another below, and the button walks through the pairs about which these two differ most.
# The thumbnails are what your own copy of the set holds, forty pixels wide.
# The set comes without stated terms, so that a page built from the recording is for its reader and not for publication; on simulated data the pictures are drawn by rule.
#
# ## Who agrees with whom
#
# Correlations are of ranks, and of the kind that gives no credit for ties ($\rho_a$), since a model of two categories ties nearly everything.
# A perfect model cannot reach one, because the subjects do not agree with each other: the lower **ceiling** is how well the others predict a subject, the upper one cannot be passed by anything.
# Intervals for people and judges are for other subjects and other images at once; two monkeys were pooled into one RDM, so theirs are for other images only and there is no ceiling.

# %%
against = {
    "people's IT": people,
    "monkeys' IT": data.monkey_it[None],
    "judgements": data.judgements,
}
candidates = {
    "monkeys' IT": data.monkey_it,
    "people's IT": data.human_it,
    "judgements": judged,
    **published,
}
spread, over_images = {}, {}
for brain, subjects in against.items():
    rows = {key: rdm for key, rdm in candidates.items() if key != brain}
    over = "both" if len(subjects) > 1 else "stimuli"
    settings = {"n_resamples": n_resamples, "seed": seed}
    spread[brain] = bootstrap_rdms(rows, subjects, over=over, **settings)
    over_images[brain] = bootstrap_rdms(
        rows, subjects, over="stimuli", **settings
    )
ceilings = {
    brain: tuple(noise_ceiling(subjects))[:2] if len(subjects) > 1 else None
    for brain, subjects in against.items()
}

# %% tags=["hide-input", "remove-output"]
chart = {
    brain: {
        row: tuple(found.interval(row)[:3]) if row in found.names else None
        for row in candidates
    }
    for brain, found in spread.items()
}
figure = ceiling_chart(
    chart, ceilings, r"correlation $\rho_a$", data.simulated
)
report.figure("same-images-scores", figure)

# %% tags=["hide-input"]
CEILING = "lower ceiling"
monkey_gap = spread["people's IT"].interval("monkeys' IT", CEILING)
monkey_gap_here = over_images["people's IT"].interval("monkeys' IT", CEILING)
animacy_gap = spread["people's IT"].interval("animacy", CEILING)
judged_gap = spread["judgements"].interval("animacy", CEILING)
past_v1 = over_images["people's IT"].interval("animacy", "V1")
report.put("people_lower", float(ceilings["people's IT"][0]))
report.put("people_upper", float(ceilings["people's IT"][1]))
report.put("judges_lower", float(ceilings["judgements"][0]))
report.put("judges_upper", float(ceilings["judgements"][1]))
report.put("monkeys_people", float(chart["people's IT"]["monkeys' IT"][0]))
report.put("monkey_gap", float(monkey_gap.estimate))
report.put("monkey_low", float(monkey_gap.low))
report.put("monkey_high", float(monkey_gap.high))
report.put("here_low", float(monkey_gap_here.low))
report.put("here_high", float(monkey_gap_here.high))
report.put("judged_gap", float(judged_gap.estimate))

# %% [markdown]
# ```{glue:figure} same-images-scores
# :name: fig-alignment-same-images
# :alt: Agreement of monkeys, people, judgements and models with the RDMs of people, monkeys and judges, with ceilings
#
# **Who agrees with whom.** Points are means over subjects, lines 95 % intervals, grey bands noise ceilings.
# ```
#
# The monkeys' RDM correlates {glue:text}`monkeys_people:.2f` with that of a person; the ceiling is {glue:text}`people_lower:.2f` to {glue:text}`people_upper:.2f`.
# Is a monkey as good a model of a person as other people are?
# For these four people, shown other images, the monkeys fall short: the gap is {glue:text}`monkey_gap:.2f`, between {glue:text}`here_low:.2f` and {glue:text}`here_high:.2f`.
# For other people as well, it is between {glue:text}`monkey_low:.2f` and {glue:text}`monkey_high:.2f`, and four people cannot tell.
# Which question an interval answers has to be said.
# Sixteen judges agree better, with a ceiling of {glue:text}`judges_lower:.2f` to {glue:text}`judges_upper:.2f`, and there animacy misses the lower one by {glue:text}`judged_gap:.2f`.
#
# ### One person, two sessions
#
# Averaging hides how noisy each session is.
# If people differed in what they set apart, two sessions of one person would agree better than two sessions of different people.
# Of all ways to sort eight sessions into pairs one is right, and it should stand out.


# %%
def pairings(items):
    """All ways to sort into pairs."""
    if not items:
        return [[]]
    first, *rest = items
    return [
        [(first, other), *more]
        for other in rest
        for more in pairings([item for item in rest if item != other])
    ]


sessions = data.human_sessions.reshape(8, -1)
alike = compare_rdms(sessions, None, "spearman")
means = [np.mean([alike[p] for p in way]) for way in pairings([*range(8)])]
own = np.mean([alike[2 * k, 2 * k + 1] for k in range(4)])
others = [
    alike[i, j] for i, j in combinations(range(8), 2) if i // 2 != j // 2
]
person_p = float(np.mean(np.array(means) >= own - 1e-12))
single = compare_rdms(data.monkey_it, sessions, "spearman")[0]

# %% tags=["hide-input"]
report.put("own", float(own))
report.put("others", float(np.mean(others)))
report.put("person_p", person_p)
report.put("monkey_session_low", float(single.min()))
report.put("monkey_session_high", float(single.max()))

# %% [markdown]
# Two sessions of one person correlate {glue:text}`own:.2f`, of two people {glue:text}`others:.2f`, p = {glue:text}`person_p:.2f`.
# The monkeys' RDM correlates between {glue:text}`monkey_session_low:.2f` and {glue:text}`monkey_session_high:.2f` with single sessions, and more with their mean: an average of people is less noisy than any of them, and not more human.
#
# ## The p-value of a correlation over pairs
#
# Ninety-two images make 4186 pairs, and any statistics package will return a tiny p-value for a correlation of 4186 values.
# But pairs share images.
# An image that is unlike all others raises ninety-one entries at once, and if two RDMs have such images, their correlation varies far more by chance than that of as many independent values.
# Chance is what happens when the images of one RDM are permuted.
#
# By how much the ordinary test is wrong can be computed.
# Split each RDM of ranks into what belongs to single images (the mean of a row) and the rest, and call the image's share of the variance $s$.
# Permutations spread the first part over $n - 1$ dimensions and the second over $n(n-3)/2$, so for RDMs $a$ and $b$
#
# $$\operatorname{var} r = \frac{s_a s_b}{n - 1} + \frac{(1 - s_a)(1 - s_b)}{n (n - 3) / 2}.$$


# %%
def image_share(rdm):
    """Share of the variance of ranks that belongs to single images."""
    ranks = rankdata(rdm)
    square = squareform(ranks - ranks.mean())
    rows = square.sum(1) / (n - 2)
    return 2 * (n - 2) * (rows**2).sum() / (square**2).sum()


def null_sd(a, b):
    """Standard deviation of a rank correlation under permuted images."""
    s, t = image_share(a), image_share(b)
    rest = (1 - s) * (1 - t) / (n * (n - 3) / 2)
    return np.sqrt(s * t / (n - 1) + rest)


# %%
naive = 1 / np.sqrt(len(pixels) - 1)
chance = {}
for brain in ("people's IT", "monkeys' IT"):
    one = candidates[brain]
    rows = {key: rdm for key, rdm in candidates.items() if rdm is not one}
    null = permutation_null(
        np.stack([*rows.values()]), one, "spearman", n_permutations, seed
    )
    for k, (key, rdm) in enumerate(rows.items()):
        chance[f"{key} and {brain}"] = SimpleNamespace(
            draws=null.null[:, k],
            sd=float(null.null[:, k].std()),
            formula=float(null_sd(rdm, one)),
            p=float(null.p_values[k]),
        )

# %% tags=["hide-input", "remove-output"]
shown = "pixels and people's IT"
figure = null_panels(
    chance[shown].draws,
    naive,
    {key: found.sd for key, found in chance.items()},
    {key: found.formula for key, found in chance.items()},
    "Pixels and people's IT",
    data.simulated,
)
report.figure("same-images-null", figure)

# %% tags=["hide-input"]
alarms = {
    key: float((abs(found.draws) > 1.96 * naive).mean())
    for key, found in chance.items()
}
whole_tables = [squareform(rdm).ravel() for rdm in (pixels, data.human_it)]
flat = np.corrcoef(rankdata(whole_tables, axis=1))[0, 1]
spearman = {
    brain: compare_rdms(
        np.stack([*candidates.values()]), candidates[brain], "spearman"
    )[:, 0]
    for brain in ("people's IT", "monkeys' IT")
}
golden = {
    f"{key} and {brain}": float(value)
    for brain, values in spearman.items()
    for key, value in zip(candidates, values, strict=True)
}
report.put("naive", float(naive))
report.put("shown_sd", chance[shown].sd)
report.put("shown_alarms", alarms[shown])
report.put("most_alarms", max(alarms.values()))
report.put("fewest_alarms", min(alarms.values()))
report.put("flat", float(flat))
report.put("upper", golden[shown])
wrong = [abs(found.sd / found.formula - 1) for found in chance.values()]
report.put("formula_off", float(max(wrong)))

# %% [markdown]
# ```{glue:figure} same-images-null
# :name: fig-alignment-same-images-null
# :alt: Null distribution of a rank correlation under permuted images, wider than the one of independent pairs, and standard deviations by formula and by permutation
#
# **Chance is wider than the number of pairs suggests.** Left: correlation of pixels with people's IT when images are permuted, and what the ordinary test expects. Right: standard deviations of all pairs of RDMs with monkeys or people, by permutation and by the formula above.
# ```
#
# For pixels and people's IT the standard deviation is {glue:text}`shown_sd:.4f`, where the ordinary test expects {glue:text}`naive:.4f`; it would call {glue:text}`shown_alarms:.0%` of permuted RDMs significant at five per cent.
# Over all pairs of RDMs that rate runs from {glue:text}`fewest_alarms:.0%` to {glue:text}`most_alarms:.0%`: for models of balanced categories, in which no image is unlike all others, the ordinary test errs on the other side.
# The formula is off by {glue:text}`formula_off:.0%` at most, which is about the error of {glue:text}`n_permutations` permutations.
#
# Flattening the whole tables, as the recipe does, turns the correlation of {glue:text}`upper:.3f` into {glue:text}`flat:.3f`: the diagonal is zero in both and agrees perfectly.
#
# ## Small networks
#
# A network needs something to learn from.
# Ninety-two images are too few, and a network trained on crops of them, even without labels, would have seen the test: likeness to a brain found that way is partly likeness to the stimuli.
# So ours never see them.
# They learn to name the outline of pictures drawn on the spot: an ellipse, a square, a bar, a flower, a ring or a cross, in any colour, place, size and stripe.
# Beside them stand networks of the same architecture that were not trained, and the pixels.

# %%
SIZE = 35
OUTLINES = (
    lambda u, v: u**2 + (1.6 * v) ** 2 < 1,
    lambda u, v: np.maximum(abs(u), abs(v)) < 0.75,
    lambda u, v: (abs(u) < 1.1) & (abs(v) < 0.25),
    lambda u, v: np.hypot(u, v) < 0.7 + 0.3 * np.sin(5 * np.arctan2(v, u)),
    lambda u, v: abs(np.hypot(u, v) - 0.78) < 0.22,
    lambda u, v: np.minimum(abs(u), abs(v)) < 0.22 * (np.hypot(u, v) < 1),
)


def drawn(kind, draw):
    """One picture ``(3, SIZE, SIZE)`` in -1 to 1, on grey as in the set."""
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE / 2) - 1
    turn, reach = draw.uniform(0, np.pi), draw.uniform(0.35, 0.7)
    x, y = x - draw.uniform(-0.25, 0.25), y - draw.uniform(-0.25, 0.25)
    u = (x * np.cos(turn) + y * np.sin(turn)) / reach
    v = (y * np.cos(turn) - x * np.sin(turn)) / reach
    stripes = np.sin(draw.uniform(4, 16) * u + draw.uniform(0, 6))
    shade = np.where(stripes < draw.uniform(-1.5, 1), 0.33, 1)
    colour = draw.uniform(0.35, 1, (3, 1, 1)) * shade
    return np.where(OUTLINES[kind](u, v), 2 * colour - 1, 0)


def batch(size, draw):
    """Pictures and what they show."""
    kinds = draw.integers(0, len(OUTLINES), size)
    pictures = np.stack([drawn(kind, draw) for kind in kinds])
    return torch.tensor(pictures).float(), torch.tensor(kinds)


# %%
def network(seed):
    """Three convolutions and two dense layers, as they are drawn."""
    torch.manual_seed(seed)
    widths, layers = (3, 16, 32, 48), OrderedDict()
    for k in (1, 2, 3):
        convolution = nn.Conv2d(*widths[k - 1 : k + 1], 5, 2, 2)
        layers[f"conv{k}"] = nn.Sequential(convolution, nn.ReLU())
    dense = nn.Linear(48 * 5 * 5, 64)
    layers["hidden"] = nn.Sequential(nn.Flatten(), dense, nn.ReLU())
    layers["readout"] = nn.Linear(64, len(OUTLINES))
    return nn.Sequential(layers)


def train(model, draw):
    """Cross-entropy on drawn pictures."""
    optimiser = torch.optim.Adam(model.parameters(), lr, (0.9, 0.99))
    for _ in range(steps):
        pictures, kinds = batch(32, draw)
        loss = nn.functional.cross_entropy(model(pictures), kinds)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


# %%
fresh, answers = batch(300, np.random.default_rng(seed + 1000))
untrained = {f"untrained {k + 1}": network(seed + k) for k in range(n_seeds)}
trained = {
    f"trained {k + 1}": train(
        network(seed + k), np.random.default_rng(seed + k)
    )
    for k in range(n_seeds)
}


def right(model):
    """Share of new pictures that are named rightly."""
    with torch.no_grad():
        return float((model(fresh).argmax(1) == answers).float().mean())


accuracy = float(np.mean([right(model) for model in trained.values()]))
report.put("accuracy", accuracy)
report.put("by_chance", 1 / len(OUTLINES))

# %% [markdown]
# The trained networks name {glue:text}`accuracy:.0%` of new pictures, where guessing names {glue:text}`by_chance:.0%`.
# Now all of them see the photographs, once, and one analyzer measures everything on the same rows: RDMs of every layer against people, monkeys and judges, and the similarity of every layer with every other.

# %%
LAYERS = ("conv1", "conv2", "conv3", "hidden", "readout")
blocks = data.images.reshape(n, SIZE, 5, SIZE, 5, 3).mean((2, 4))
stimuli = torch.tensor(blocks / 127.5 - 1).float().permute(0, 3, 1, 2)
names = [f"{label} {k + 1}" for k, label in enumerate(data.labels)]
flat_pixels = {"pixels": stimuli.flatten(1).numpy()}
captures = {"pixels": Capture("", flat_pixels, tuple(names), np.arange(n))}
captures |= {
    name: capture(model, stimuli, names, LAYERS)
    for name, model in (untrained | trained).items()
}
config = AnalyzerConfig(
    metrics=("cka", "rsa"),
    n_resamples=n_resamples,
    n_permutations=n_permutations,
    seed=seed,
)
brains = [NeuralRDMs(key, rdm, tuple(names)) for key, rdm in against.items()]
analyzer = UnifiedModelAnalyzer(config)
results = analyzer.analyze_models(captures, neural=brains)

# %% tags=["hide-input", "remove-output"]
depth = {
    brain: {
        name: list(zip(found.values, found.low, found.high, strict=True))
        for name in captures
        if name != "pixels"
        for found in [results[name, "rsa", brain]]
    }
    for brain in against
}
level = {b: results["pixels", "rsa", b]["pixels"] for b in against}
ylabel = r"correlation $\rho_a$"
figure = depth_chart(depth, LAYERS, ceilings, level, ylabel, data.simulated)
report.figure("same-images-depth", figure)


# %%
def mean_rdm(kind, layer="conv3"):
    """RDM of a layer, mean of the networks of a kind."""
    parts = [captures[f"{kind} {k + 1}"].layers[layer] for k in range(n_seeds)]
    tables = [
        dissimilarity(part, np.arange(n), measure="sqeuclidean").values
        for part in parts
    ]
    return np.mean([table / table.mean() for table in tables], axis=0)


kinds = {kind: mean_rdm(kind) for kind in ("trained", "untrained")}
learned = {
    brain: bootstrap_rdms(
        kinds, subjects, over="stimuli", n_resamples=n_resamples, seed=seed
    ).interval("trained", "untrained")
    for brain, subjects in against.items()
}
best = {
    brain: max(
        float(results[name, "rsa", brain].values.max()) for name in captures
    )
    for brain in against
}
gain = learned["monkeys' IT"]
report.put("gain", gain.estimate)
report.put("gain_low", gain.low)
report.put("gain_high", gain.high)
report.put("gain_people", learned["people's IT"].estimate)
report.put("best_people", best["people's IT"])
report.put("best_monkeys", best["monkeys' IT"])

# %% [markdown]
# ```{glue:figure} same-images-depth
# :name: fig-alignment-same-images-depth
# :alt: Agreement of each layer of trained and untrained networks with people, monkeys and judges
#
# **Layer by layer.** One line per network, bands are 95 % intervals; dashed: pixels; dark line: the lower ceiling.
# ```
#
# What training changed is asked of one layer that was chosen before looking, the last convolution, over other images.
# It moved by {glue:text}`gain:.2f` towards the monkeys' IT (95 % interval {glue:text}`gain_low:.2f` to {glue:text}`gain_high:.2f`) and by {glue:text}`gain_people:.2f` towards people's.
# On the recording, outlines are something that monkeys' IT responds to: the published silhouettes agree with it better than with people's.
# On simulated data responses know categories and nothing of outlines, so that a network that learns outlines moves away; the same page must find both.
# No layer comes near a ceiling: the best one of all reaches {glue:text}`best_people:.2f` for people and {glue:text}`best_monkeys:.2f` for monkeys, and as it was chosen on these images that is too much.
#
# ### Layers with layers
#
# The same analyzer compares all layers of all networks, without any brain, by centred kernel alignment.
# Above the diagonal is the estimate without bias, below the one that is usually reported.


# %%
def narrow(layer):
    """As many columns as images, with the same products of rows."""
    centred = (layer - layer.mean(0)).astype(float)
    return np.linalg.qr(centred.T, mode="r").T


rows = [(name, layer) for name in captures for layer in captures[name].layers]
small = [narrow(captures[name].layers[layer]) for name, layer in rows]
debiased = np.block(
    [
        [results[a, "cka", b if b != a else ""].values for b in captures]
        for a in captures
    ]
)
low, high = debiased.copy(), debiased.copy()
for i, j in combinations(range(len(rows)), 2):
    found = cka_interval(small[i], small[j])
    low[i, j], high[i, j] = found.low, found.high

# %% tags=["hide-input"]
tables = {
    "debiased CKA": debiased,
    "CKA with its bias": cka_matrix(small, debiased=False),
}
interval = {"debiased CKA": (low, high)}
layer_explorer(
    "same-images-layers",
    tables,
    [(name, layer) for name, layer in rows],
    interval,
    start=(3, 13),
    simulated=data.simulated,
)

# %% tags=["hide-input"]
place = {row: k for k, row in enumerate(rows)}


def twins(kind):
    """Last convolution of the first two networks of a kind: CKA."""
    i, j = (place[f"{kind} {k}", "conv3"] for k in (1, 2))
    return debiased[i, j], low[i, j], high[i, j]


alike_trained, alike_untrained = twins("trained"), twins("untrained")
report.put("alike_trained", float(alike_trained[0]))
report.put("alike_untrained", float(alike_untrained[0]))

# %% [markdown]
# The last convolutions of two networks that learned the same task from other pictures have a similarity of {glue:text}`alike_trained:.2f`, those of two that learned nothing {glue:text}`alike_untrained:.2f`, where independent layers have zero.
# To be alike, two networks need no more than an architecture and the same images; what training adds has to be measured against that.
#
# ## What RDMs do not say
#
# Only dissimilarities of brains were published, no responses.
# So nothing can be predicted neuron by neuron, and the analyzer says so instead of inventing it.
# No distance can be freed of noise, which makes all of them too large, since that takes repetitions.
# One thing can be recovered: with the covariance of pairs taken out, the cosine of two RDMs *is* centred kernel alignment, with its bias.

# %%
try:
    config = AnalyzerConfig(metrics=("neural_predictivity",))
    UnifiedModelAnalyzer(config).analyze_models(captures, neural=brains)
    refused = ""
except ValueError as error:
    refused = str(error)
print(refused)

layers = [captures[f"{kind} 1"].layers["conv3"] for kind in kinds]
pair = [dissimilarity(x, range(n), measure="sqeuclidean") for x in layers]
whitened = float(compare_rdms(pair[0], pair[1], "whitened_cosine")[0, 0])
difference = abs(whitened - cka(*layers, debiased=False))
kernel = permutation_null(
    data.monkey_it, data.human_it, "whitened_cosine", n_permutations, seed
)
report.put("kernel", float(kernel.scores[0]))
report.put("kernel_chance", float(kernel.null.mean()))
report.put("n_permutations", n_permutations)

# %% [markdown]
# For monkeys and people it is {glue:text}`kernel:.2f`, which sounds like agreement; with the images of one permuted it is {glue:text}`kernel_chance:.2f`.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
EXPECTED = {  # Spearman: recorded, simulated
    "monkeys' IT and people's IT": (0.439, 0.439),
    "animacy and people's IT": (0.588, 0.436),
    "animacy and monkeys' IT": (0.453, 0.356),
    "EVA and people's IT": (0.354, 0.306),
    "HMAX and people's IT": (0.222, 0.215),
    "V1 and people's IT": (0.039, 0.141),
    "silhouette and people's IT": (0.125, -0.140),
    "RADON and people's IT": (0.061, 0.007),
    "pixels and people's IT": (0.106, 0.138),
    "pixels and monkeys' IT": (0.145, 0.119),
}
for key, (recorded, simulated) in EXPECTED.items():
    expected = {"recorded": recorded, "simulated": simulated}
    report.check(key, golden[key], 0.002, expected=expected)

# %% tags=["nbval-check-output"]
report.claim(
    "monkeys and people agree more than with permuted images",
    chance["monkeys' IT and people's IT"].p < 0.01,
)
report.claim(
    "monkeys predict these people worse than people do, over images",
    monkey_gap_here.high < 0,
)
report.claim(
    "monkeys predict people worse than people do, over images and people",
    monkey_gap.high < 0,
)
report.claim(
    "two sessions of a person agree better than of two people", person_p < 0.05
)
report.claim("animacy agrees with people's IT better than V1", past_v1.low > 0)
report.claim(
    "animacy falls short of the ceiling of people's IT", animacy_gap.high < 0
)
report.claim(
    "animacy falls short of the ceiling of judgements", judged_gap.high < 0
)

# %% tags=["nbval-check-output"]
off = [abs(found.sd / naive - 1) > 0.2 for found in chance.values()]
report.claim(
    "the ordinary test is off by a fifth for more than a third of RDM pairs",
    np.mean(off) > 1 / 3,
)
report.claim("the formula gives that of permutations", max(wrong) < 0.15)
report.claim(
    "training on outlines moves a network towards monkeys' IT", gain.low > 0
)
report.claim(
    "a layer of a small network reaches a ceiling",
    any(ceilings[b] and best[b] > ceilings[b][0] for b in against),
)
report.claim(
    "two untrained networks are far more alike than independent layers",
    alike_untrained[1] > 0.3,
)
report.claim(
    "without responses predictivity is refused", "responses" in refused
)
report.claim(
    "the whitened cosine of RDMs is kernel alignment with its bias",
    difference < 1e-4,
)

# %% [markdown]
# ## What we learned
#
# - A score between RDMs means something between a chance that comes from permuting images and a ceiling that comes from other subjects; without either it is a number.
# - The p-value of a correlation over pairs is wrong by a factor that can be computed from how much single images stand out.
# - "Monkeys are worse models of people than people are" is true of these four people and open for others: say over what an interval generalises.
# - **Not shown:** anything about networks that people use; ours are small, and learned six outlines. Nothing here says what single neurons do.
# - **What would change our mind:** responses with repetitions, so that distances can be freed of noise and each neuron be predicted; more than four people.
#
# **Try it:** put your own model in place of `network`; `capture` takes any module. `steps=1000` teaches the outlines better; look at what it does to the agreement with monkeys.
# **Sources:** {cite}`tensorscope,kriegeskorte2008,mur2013`.

# %% tags=["hide-input"]
person, ceiling = chart["people's IT"], ceilings["people's IT"]
monkeys, top = person["monkeys' IT"][0], best["people's IT"]
report.card(
    answer="Partly. Dissimilarities in the IT of monkeys correlate "
    f"{monkeys:.2f} with those of a person, animacy alone "
    f"{person['animacy'][0]:.2f}; other people reach {ceiling[0]:.2f}. Small "
    f"networks reach {top:.2f} at best. Chance is wider than a "
    "correlation over pairs assumes, by up to a factor of "
    f"{max(found.sd for found in chance.values()) / naive:.1f}.",
    needs="what a correlation is.",
)
report.stamp()
