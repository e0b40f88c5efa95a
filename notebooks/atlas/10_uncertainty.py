# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-uncertainty)=
# # How sure is the atlas?
#
# ```{glue} card
# ```
#
# A forecast should say how sure it is, and be right about that.
# The usual test is calibration: of the places that were given a chance of a tenth, a tenth should turn out occupied.
# The original project asked for a calibration error below {glue:text}`gate:.2f`; a forecast of zero everywhere passes, for most of the brain is empty in most studies.
# What is forecast is where a study will *report* a peak, not where a brain is active.
#
# **You will learn** (1) why calibration alone proves nothing, and what goes beside it, (2) whether one number can mend a forecast, (3) what an ensemble knows about its own ignorance.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = (
    "auto"  # of the trained atlas: quick, book, full, or the largest there is
)
n_test: int = 60  # studies to be scored on
n_valid: int = 50  # studies to calibrate by
n_train: int = 600  # studies that the small ensembles learn from
steps: int = 75  # of each small network
n_seeds: int = 3  # independent small networks
n_cycles: int = 5  # of the snapshot ensemble
hidden: int = 96  # units per layer of the small networks
n_frames: int = 6  # studies to look at
draws: int = 8  # of the latents
device: str = "cpu"
seed: int = 0

# %%
from dataclasses import replace

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.stats import spearmanr

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data.coordinate_maps import StudyMapsConfig
from neurolib.data.coordinate_splits import development_subset, hide_half
from neurolib.data.coordinates import tiny
from neurolib.metrics.calibration import (
    brier_skill_score,
    fit_temperature,
    reliability,
    temper,
)
from neurolib.metrics.density_gain import gain, mixture_weights
from neurolib.metrics.ensembles import (
    entropy_decomposition,
    pairwise_diversity,
)
from neurolib.models.coordinates.batches import (
    hold_out_tensors,
    training_tensors,
)
from neurolib.models.coordinates.density_vae import DensityVAEConfig
from neurolib.models.coordinates.local import LocalConfig
from neurolib.models.coordinates.network_density import NetworkDensity
from neurolib.training.loop import TrainConfig, fit
from neurolib.training.snapshots import snapshots
from neurolib.viz import atlas_live, atlas_viewer, brain, scores
from neurolib.viz.style import COLOURS, GREY, mark_simulated

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
studies, voxels, grid = corpus.corpus, corpus.voxels, corpus.grid
base, rng = corpus.base, np.random.default_rng(seed)
(corpus, atlas)

# %% [markdown]
# ## What is forecast
#
# Half of a test study's foci are hidden.
# A voxel is *occupied* if a hidden focus lies within ten millimetres, as in multilevel kernel density analysis {cite}`wager2007`.
# Models give a density $p$, and their chance of occupation follows if foci fell independently: with $n$ hidden foci and the mass $m(v)$ of $p$ in the sphere around $v$,
#
# $$q(v) = 1 - e^{-n\,m(v)}.$$
#
# All models are told $n$, so that they are compared by where, not by how many.

# %%
sphere = StudyMapsConfig("mkda").build(grid)
near = sphere.sparse(tiny(grid.centres_mm, np.arange(grid.n_voxels)))
sides = {
    side: hide_half(studies, development_subset(studies, part, n, seed))
    for side, part, n in (
        ("valid", corpus.split.valid, n_valid),
        ("test", corpus.split.test, n_test),
    )
}
shape = {side: (len(h.studies), grid.n_voxels) for side, h in sides.items()}
counted = {
    side: csr_matrix(
        (np.ones(len(h.hidden)), (h.hidden_of, voxels[h.hidden])), shape[side]
    )
    for side, h in sides.items()
}
occupied = {s: (c @ near).toarray() > 0 for s, c in counted.items()}
n_foci = {s: np.asarray(c.sum(1)) for s, c in counted.items()}


def chance(p, side, factor=1.0):
    """Chance that each voxel is occupied, if foci fell independently."""
    return -np.expm1(-factor * n_foci[side] * (near @ p.T).T)


# %%
network = NetworkDensity(grid, atlas.members, base, corpus.description)
kernel = LocalConfig().build(grid).fit(studies, voxels, corpus.own_train)
density = {}
for side, h in sides.items():
    density["global", side] = np.broadcast_to(base, shape[side])
    for name, model in {
        "kernel": kernel,
        "topics": atlas.topics,
        "atlas": network,
    }.items():
        density[name, side] = model.densities(studies, voxels, h)


def at_hidden(name, side):
    """Probability of each hidden focus."""
    h = sides[side]
    return density[name, side][h.hidden_of, voxels[h.hidden]]


for name in ("kernel", "topics", "atlas"):
    both = np.stack([at_hidden("global", "valid"), at_hidden(name, "valid")])
    share = mixture_weights(both)[0]
    for side in sides:
        mixed = share * base + (1 - share) * density[name, side]
        density[name, side] = mixed

# %% [markdown]
# ## Calibration, and what it leaves out
#
# Two forecasts know nothing: *zero*, which says that nothing is ever reported anywhere, and *base rate*, which says the same chance for every voxel of every study.
# The *expected calibration error* (ECE) is the mean distance between stated chance and frequency.
# The *Brier skill score* is the share of the base rate's squared error that a forecast takes away; it cannot be had without knowing where.
# The *slope* of outcomes on forecasts is one if they can be taken at their word, and less if they are too bold.

# %%
events, rate = occupied["test"], occupied["valid"].mean()
forecast = {
    "null: zero": np.zeros(shape["test"]),
    "null: base rate": np.full(shape["test"], rate),
}
names = ("global", "kernel", "topics", "atlas")
forecast |= {name: chance(density[name, "test"], "test") for name in names}
curves = {name: reliability(q, events) for name, q in forecast.items()}
skill = {name: brier_skill_score(q, events) for name, q in forecast.items()}
again = rng.integers(0, len(events), (1000, len(events)))
null_error = ((events.mean() - events) ** 2).mean(1)


def skill_interval(q, other=None):
    """Brier skill, or its difference from another's, over studies."""
    error = ((q - events) ** 2).mean(1)
    less = null_error if other is None else ((other - events) ** 2).mean(1)
    drawn = (less - error)[again].mean(1) / null_error[again].mean(1)
    estimate = (less - error).mean() / null_error.mean()
    return float(estimate), *np.quantile(drawn, [0.025, 0.975]).tolist()


shown = {name: skill_interval(q) for name, q in forecast.items()}
ahead = skill_interval(forecast["atlas"], forecast["topics"])
over_global = skill_interval(forecast["atlas"], forecast["global"])

# %% tags=["hide-input", "remove-output"]
fig = scores.interval_chart(
    {"": shown}, "Brier skill over the base rate", corpus.simulated
)
report.figure("skill", fig)
report.put("gate", 0.15)
report.put("rate", 100 * float(events.mean()))
for key, name in zip(("zero", "rate_", *names), forecast, strict=True):
    report.put(f"ece_{key}", curves[name].expected_error)
    report.put(f"skill_{key}", f"{skill[name]:+.3f}")
    report.put(f"slope_{key}", f"{curves[name].slope:.2f}")
report.put("ahead", "{:+.3f} [{:+.3f}, {:+.3f}]".format(*ahead))

# %% [markdown]
# | forecast | ECE | Brier skill | slope |
# |---|---|---|---|
# | zero | {glue:text}`ece_zero:.3f` | {glue:text}`skill_zero` | |
# | base rate | {glue:text}`ece_rate_:.3f` | {glue:text}`skill_rate_` | |
# | global density | {glue:text}`ece_global:.3f` | {glue:text}`skill_global` | {glue:text}`slope_global` |
# | kernel around seen foci | {glue:text}`ece_kernel:.3f` | {glue:text}`skill_kernel` | {glue:text}`slope_kernel` |
# | topics | {glue:text}`ece_topics:.3f` | {glue:text}`skill_topics` | {glue:text}`slope_topics` |
# | atlas | {glue:text}`ece_atlas:.3f` | {glue:text}`skill_atlas` | {glue:text}`slope_atlas` |
#
# ```{glue:figure} skill
# :name: fig-atlas-skill
# :alt: Brier skill scores of two nulls and four forecasts with intervals over studies
#
# **Skill separates what calibration does not.** Share of the base rate's squared error taken away, with intervals over test studies.
# ```
#
# Of all voxels {glue:text}`rate:.1f` % are occupied.
# Zero everywhere is therefore off by that much on average, which the original's gate of {glue:text}`gate:.2f` lets pass; the base rate is nearly perfect by calibration; neither has any skill.
# The atlas is {glue:text}`ahead` in Brier skill from topics, which see no focus of the study at all.
#
# ## One number to mend it
#
# *Temperature* {cite}`guo2017` flattens or sharpens all maps alike and is chosen on valid studies.
# Another single number follows from what foci are: they cluster and mirror each other, so $n$ of them occupy fewer places than $n$ independent ones.
# The *crowding* factor replaces $n$ by a share of it, also chosen on valid studies.

# %%
h = sides["valid"]
log_p = {side: np.log(density["atlas", side]) for side in sides}
fitted = fit_temperature(log_p["valid"], voxels[h.hidden], h.hidden_of)
tempered = {
    side: np.exp(temper(values, fitted.temperature))
    for side, values in log_p.items()
}


def crowding(p):
    """Share of the number of foci with the least error on valid studies."""

    def error(f):
        return ((chance(p, "valid", f) - occupied["valid"]) ** 2).mean()

    found = minimize_scalar(error, bounds=(0.2, 1.5), options={"maxiter": 12})
    return float(found.x)


factor = crowding(density["atlas", "valid"])
mended = {
    "temperature": chance(tempered["test"], "test"),
    "crowding": chance(density["atlas", "test"], "test", factor),
}
curves |= {name: reliability(q, events) for name, q in mended.items()}
by_mending = {
    name: skill_interval(q, forecast["atlas"]) for name, q in mended.items()
}
of, at = sides["test"].hidden_of, voxels[sides["test"].hidden]
warmer = gain(np.log(tempered["test"][of, at]), log_p["test"][of, at], of)
(round(fitted.temperature, 3), round(factor, 3), str(warmer))

# %% tags=["hide-input", "remove-output"]
fig, ax = plt.subplots(figsize=(6.5, 3.4))
lines = ("global", "topics", "atlas", "crowding")
for name, colour in zip(lines, COLOURS, strict=False):
    curve, label = curves[name], name
    if name == "crowding":
        label = "atlas, crowding"
    keep = curve.count > 0.0002 * events.size
    x, y = curve.forecast[keep], curve.observed[keep]
    ax.plot(x, y, "o-", ms=3, color=colour, label=label)
top = ax.get_xlim()[1]
ax.plot([0, top], [0, top], color=GREY, lw=0.8, label="its word")
ax.set(xlabel="stated chance", ylabel="share occupied")
ax.legend()
mark_simulated(fig, corpus.simulated)
report.figure("reliability", fig)
report.put("temperature", fitted.temperature)
report.put("warmer", str(warmer))
report.put("factor", factor)
for name, (estimate, low, high) in by_mending.items():
    report.put(f"ece_{name}", curves[name].expected_error)
    report.put(f"slope_{name}", curves[name].slope)
    report.put(f"by_{name}", f"{estimate:+.4f} [{low:+.4f}, {high:+.4f}]")

# %% [markdown]
# ```{glue:figure} reliability
# :name: fig-atlas-reliability
# :alt: Share of voxels that were occupied over the chance that was stated, for four forecasts
#
# **Can it be taken at its word?** Share of voxels that were occupied over the stated chance; bins with very few voxels are left out. Below the grey line a forecast is too bold.
# ```
#
# The best temperature is {glue:text}`temperature:.2f`, worth {glue:text}`warmer`; the calibration error becomes {glue:text}`ece_temperature:.3f` and the skill changes by {glue:text}`by_temperature`.
# The best crowding factor is {glue:text}`factor:.2f`: with it the error is {glue:text}`ece_crowding:.3f`, the slope {glue:text}`slope_crowding:.2f`, and the skill changes by {glue:text}`by_crowding`.
#
# ## Snapshots or seeds
#
# Several models that disagree know where they are ignorant.
# They can be trained apart, from other seeds, or be *snapshots* of one run whose learning rate falls and restarts {cite}`huang2017`, which costs no more than one model.
# Small networks on {glue:text}`n_train` studies say which disagreement is worth more; each run has {glue:text}`steps` steps in all, so seeds have had {glue:text}`n_seeds` times the computing.

# %%
few = development_subset(studies, corpus.own_train, n_train, seed)
quick = development_subset(studies, corpus.split.valid, n_valid, seed)
tensors = training_tensors(studies, voxels, few, quick)
training = TrainConfig(
    steps,
    batch_size=32,
    lr=3e-3,
    schedule="cosine",
    grad_clip=5.0,
    weight_decay=1e-2,
    eval_every=max(1, steps // n_cycles // 2),
    device=device,
)
small = DensityVAEConfig(latent=16, hidden=hidden, warmup=steps // 2)


def network_of(k):
    """An independent small network."""
    net = small.build(grid, np.log(base), seed + k)
    fit(net, *tensors, replace(training, seed=seed + k))
    return net.cpu()


seeds = [network_of(k) for k in range(n_seeds)]
cycles = snapshots(
    small.build(grid, np.log(base), seed),
    *tensors,
    replace(training, schedule="cyclic", seed=seed),
    n_cycles,
)
sets = {"seeds": seeds, "snapshots": [s.model.cpu() for s in cycles]}

# %%
batch = hold_out_tensors(studies, voxels, sides["test"])


def every(nets):
    """Densities of each member, mixed with a little of the base."""
    found = [torch.cat(list(n.densities(batch, draws))).double() for n in nets]
    return 0.99 * torch.stack(found).numpy() + 0.01 * base


member_maps = {name: every(nets) for name, nets in sets.items()}
log_at = {
    name: np.log(p.mean(0)[of, at]) for name, p in member_maps.items()
} | {"one seed": np.log(member_maps["seeds"][0][of, at])}
null = np.log(base[at])
worth = {name: gain(value, null, of) for name, value in log_at.items()}
added = {
    name: gain(log_at[name], log_at["one seed"], of) for name in member_maps
}
paired = gain(log_at["seeds"], log_at["snapshots"], of)
diverse = {
    name: float(pairwise_diversity(p).mean())
    for name, p in member_maps.items()
}
({n: str(g) for n, g in added.items()}, str(paired), diverse)

# %% tags=["hide-input"]
report.put("n_train", n_train)
report.put("steps", steps)
report.put("n_seeds", n_seeds)
report.put("n_cycles", n_cycles)
for name in member_maps:
    report.put(f"added_{name}", str(added[name]))
    report.put(f"diverse_{name}", 1000 * diverse[name])
report.put("one", f"{worth['one seed'].micro:+.3f}")
report.put("paired", str(paired))

# %% [markdown]
# | | diversity, thousandths of a nat | over one network |
# |---|---|---|
# | {glue:text}`n_seeds` seeds | {glue:text}`diverse_seeds:.1f` | {glue:text}`added_seeds` |
# | {glue:text}`n_cycles` snapshots | {glue:text}`diverse_snapshots:.1f` | {glue:text}`added_snapshots` |
#
# One network gains {glue:text}`one` nats over the global density; seeds over snapshots {glue:text}`paired`.
# Diversity is the mean Jensen-Shannon divergence of two members.
# Each cycle of a snapshot ensemble begins where the last one left, and a short one has no time to go elsewhere.
# If one network gains next to nothing, as so small a one does from a few hundred recorded studies, all members stay near the global density and neither row says much.
#
# ## Two kinds of not knowing
#
# The entropy of an ensemble's forecast has two parts {cite}`depeweg2018`.
# *Aleatoric* is what members agree is a matter of chance; more studies to learn from do not lower it.
# *Epistemic* is their disagreement.
# Below are both, per voxel, for occupation in one test study.

# %%
member_chance = np.stack([chance(p, "test") for p in member_maps["seeds"]])
entropy = entropy_decomposition(
    np.stack([member_chance, 1 - member_chance], axis=-1)
)
n_seen = batch["seen"].sum(1).numpy()
share = entropy.epistemic.sum(1) / entropy.total.sum(1)
wrong = ((member_chance.mean(0) - events) ** 2).mean(1)
by_size = spearmanr(share, n_seen).statistic
by_error = spearmanr(share, wrong / null_error).statistic
example = int(np.argmin(np.abs(n_foci["test"][:, 0] - 15)))
(100 * share.mean(), by_size, by_error)

# %% tags=["hide-input", "remove-output"]


def entropy_map(name):
    """Slices of one part of the entropy of one study."""
    values = getattr(entropy, name)[example]
    unit = f"{name} entropy, nats"
    return brain.slices(values, grid, unit=unit, simulated=corpus.simulated)


report.figure("aleatoric", entropy_map("aleatoric"))
report.figure("epistemic", entropy_map("epistemic"))
report.put("share", 100 * float(share.mean()))
report.put("by_size", f"{by_size:+.2f}")
report.put("by_error", f"{by_error:+.2f}")

# %% [markdown]
# ```{glue:figure} aleatoric
# :name: fig-atlas-aleatoric
# :alt: Slices of the aleatoric entropy of one study
#
# **A matter of chance.** Aleatoric entropy of occupation in one test study.
# ```
#
# ```{glue:figure} epistemic
# :name: fig-atlas-epistemic
# :alt: Slices of the epistemic entropy of the same study
#
# **A matter of ignorance.** Epistemic entropy of the same study, on a scale of its own.
# ```
#
# Over test studies {glue:text}`share:.1f` % of the entropy is epistemic: nearly all that these models do not know is, to them, chance.
# That share goes with the number of seen foci at a rank correlation of {glue:text}`by_size`, and with the error that a study turns out to have, relative to the base rate's, at {glue:text}`by_error`.
# An ensemble sees only the ignorance that its members do not share; a bias that all have is invisible to it.
#
# ## Look at it
#
# Left is what the atlas expects of a test study after half of its foci: nats over the density of all foci.
# Right is how unsure it is of that: the standard deviation of the logarithm of its density over members and draws of latents.
# Dots are seen foci, hidden ones, and as many drawn from the forecast as were hidden.

# %%
sizes = n_foci["test"][:, 0]
frames = np.flatnonzero((sizes >= 8) & (sizes <= 30))[:n_frames]
told = hold_out_tensors(studies, voxels, sides["test"], corpus.description)
told = {key: value[frames] for key, value in told.items()}
each = np.stack(
    [
        torch.cat(list(net.densities(told, 1, k))).double().numpy()
        for net in atlas.members
        for k in range(draws)
    ]
)
mean_maps = np.log(each.mean(0) / base)
sd_maps = np.log(each).std(0)


def drawn(i):
    """As many foci as were hidden, from the forecast; in voxels."""
    p = each[:, i].mean(0)
    return rng.choice(len(base), int(sizes[frames[i]]), p=p / p.sum())


def dots(sets):
    """Foci in mm, with their frame in a fourth column."""
    parts = [np.c_[xyz, np.full(len(xyz), i)] for i, xyz in enumerate(sets)]
    return np.concatenate(parts)


# %%
h, xyz = sides["test"], studies.dequantised()
points = {
    "seen": dots([xyz[h.seen[h.seen_of == i]] for i in frames]),
    "hidden": dots([xyz[h.hidden[h.hidden_of == i]] for i in frames]),
    "drawn": dots([grid.centres_mm[drawn(i)] for i in range(len(frames))]),
}
titles = [str(t)[:60] for t in studies.title[h.studies[frames]]]
labels = [f"{k + 1}: {t}" for k, t in enumerate(titles)]

# %% tags=["hide-input"]
atlas_viewer.frames(
    "how-sure",
    [
        atlas_viewer.Pane("what is expected", mean_maps, points=points),
        atlas_viewer.Pane(
            "how unsure", sd_maps, unit="sd, nats", points=points
        ),
    ],
    grid,
    labels,
    word="study",
    note="Test studies, half of whose foci the atlas saw. "
    f"Both panes come from one atlas, {atlas.sha256[:12]}.",
)

# %% [markdown]
# In JupyterLab the next cell draws other studies as you ask for them; on this page it shows nothing, because a page has no Python.


# %%
def look(study, what):
    """Slices of one study's expectation or its uncertainty."""
    maps = {"expected": mean_maps, "unsure": sd_maps}[what]
    return brain.slices(maps[study], grid, simulated=corpus.simulated)


choices = [(label, i) for i, label in enumerate(labels)]
controls = {
    "study": ipywidgets.Dropdown(options=choices, description="study"),
    "what": ipywidgets.ToggleButtons(options=["expected", "unsure"]),
}
atlas_live.live(controls, look)

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "a forecast of zero everywhere passes the original's calibration gate",
    curves["null: zero"].expected_error < 0.15,
)
report.claim(
    "zero and the base rate have no Brier skill",
    max(shown["null: zero"][0], shown["null: base rate"][0]) < 0.001,
)
report.claim(
    "the atlas has more Brier skill than the global density (interval above zero)",
    over_global[1] > 0,
)
report.claim(
    "the atlas has more Brier skill than topics (interval above zero)",
    ahead[1] > 0,
)
report.claim(
    "seeds predict better than snapshots of one run (interval above zero)",
    paired.low > 0,
)

# %% [markdown]
# ## What we learned
#
# - A calibration error without a skill beside it can be had for nothing.
# - Temperature answers how bold maps are; occupation needs another number as well, because foci come in crowds.
# - Disagreement of members is a small part of what is uncertain: knowing a study's peaks would take another study's author, not another seed.
# - **Not shown:** uncertainty about the number of foci, and about the studies that were never written.
# - **What would change our mind:** epistemic entropy that says beforehand on which studies the atlas fails.
#
# **Try it:** `n_seeds=5, steps=300`; does the diversity of snapshots keep up?
# **Sources:** {cite}`wager2007,guo2017,huang2017,depeweg2018`.

# %% tags=["hide-input"]
report.card(
    answer=f"About as sure as it should be. Over {len(events)} test studies "
    f"its calibration error is "
    f"{curves['atlas'].expected_error:.3f} and its Brier skill "
    f"{skill['atlas']:+.3f}, against {skill['topics']:+.3f} from topics. "
    f"Zero everywhere has a calibration error of "
    f"{curves['null: zero'].expected_error:.3f} and a skill of "
    f"{skill['null: zero']:+.3f}.",
    needs="what a probability forecast is.",
)
report.stamp()
