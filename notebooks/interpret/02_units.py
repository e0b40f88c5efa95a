# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (interpret-units)=
# # What do single units of a decoder code?
#
# ```{glue} card
# ```
#
# A recorded neuron is asked what it is tuned to.
# A unit of a network can be asked the same, with the same tests, and so can the neurons that the network reads.
# Then one may see what training has made of them.
#
# The project whose plan this study follows {cite}`neurofmx` had such an analysis, which could not be trusted.
# Its index of selectivity divides by a sum of responses, which for activations of both signs may be anything.
# Of a vector it looked at the first column only, of a layer at the first hundred units, and its count of components for nine tenths of the variance was one too few.
# Here every unit is analysed, every test has a null that keeps what is slow in the signals, and each answer is first tried on units made by hand ({ref}`the known answers <interpret-known-answers>`).
#
# **You will learn** (1) how to ask what a unit codes when variables go together, (2) what a decoder's units have that its neurons and an untrained network have not, (3) which popular numbers about units say little.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # or "m1"
n_seeds: int = 2  # networks
hidden: int = 32  # units of each
steps: int = 50  # of training
lr: float = 1.0e-2
memory_bins: float = 4.0  # of the neurons' smoothing
n_permutations: int = 100
n_shifts: int = 200  # behind each unit's information
max_samples: int = 400  # for information
n_informed: int = 2  # units whose information is tested
seed: int = 0
device: str = "cpu"

# %%
import numpy as np
import torch
from scipy.signal import lfilter

from neurolib import report
from neurolib.data.reaches import find_reaches
from neurolib.data.sets import load
from neurolib.interpret.activations import record
from neurolib.interpret.unit_results import UnitConfig
from neurolib.interpret.unit_samples import UnitSamples
from neurolib.interpret.units import NeuronActivationAnalyzer
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.metrics.intervals import bootstrap_interval
from neurolib.metrics.nulls import circular_shift
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz import units as pictures

if dataset not in ("s1", "m1") or n_seeds < 2:
    raise ValueError(f"{dataset=} must be s1 or m1, {n_seeds=} two or more")
everything = load(dataset, source)
report.use(everything)
velocity = everything.with_outputs("velocity").folds(5)[0]
test = everything.folds(5)[0].test
test

# %% [markdown]
# ## Populations
#
# GRU networks learn to decode the velocity of the hand from spike counts.
# All that follows is about trials on which they were not trained.
#
# - **Neurons**: their counts.
# - **Smoothed neurons**: the same, averaged over the recent past. A network remembers, a count does not, and what mere memory brings must not be put down to learning.
# - **Untrained**: hidden units of networks as they were drawn, before the first step.
# - **Trained**: hidden units of the same networks after it.


# %%
def network(seed, trained):
    """A decoder of velocity."""
    torch.manual_seed(seed)
    cfg = RecurrentConfig(everything.n_units, 2, hidden=hidden, dropout=0.3)
    model = RecurrentDecoder(cfg).standardise(velocity.train)
    pieces = [
        trial_tensors(part.pieces(60))
        for part in (velocity.train, velocity.valid)
    ]
    if trained:
        fit(model, *pieces, training(seed))
    return model


def training(seed):
    """How a network is trained."""
    return TrainConfig(
        steps=steps,
        batch_size=32,
        lr=lr,
        schedule="cosine",
        weight_decay=1e-2,
        eval_every=20,
        seed=seed,
        device=device,
    )


def hidden_units(model):
    """Hidden states of all test bins, ``(bins, units)``."""
    padded = velocity.test.padded()
    counts = torch.from_numpy(padded.counts).float()
    acts = record(model.cpu(), counts, ["hidden"])
    return acts.samples("hidden", torch.from_numpy(padded.mask)).numpy()


def smoothed(trials):
    """Counts averaged with weights that decay into the past."""
    share = 1 / memory_bins
    counts = np.split(trials.counts.astype(float), trials.starts[1:])
    parts = [lfilter([share], [1, share - 1], part, axis=0) for part in counts]
    return np.concatenate(parts)


# %%
seeds = range(seed, seed + n_seeds)
models = {s: network(s, trained=True) for s in seeds}
scores = [
    r2_variance_weighted(velocity.test.behaviour, model.predict(velocity.test))
    for model in models.values()
]
populations = {
    "neurons": [test.counts],
    "smoothed neurons": [smoothed(test)],
    "untrained": [hidden_units(network(s, trained=False)) for s in seeds],
    "trained": [hidden_units(model) for model in models.values()],
}

# %% [markdown]
# ## What does a unit code by itself?
#
# Position, velocity, speed and direction of one hand go together.
# A unit that follows velocity also correlates with all the others, so correlations cannot say what it codes.
# For each unit, a model of all four variables is fitted, and then one without each.
# What the model loses on held-out trials without a variable is that variable's **unique** share of the unit's variance.
#
# Whether there is any is tested by moving that variable in a circle against the unit *and* against the other variables: slow signals correlate by chance, and this null is as slow as the data.
# The rate of false findings is held over all units and variables.
# A unit is **monosemantic** if one variable passes, with a twentieth of the variance or more, and no other has more than a third of that; **polysemantic** if two pass.


# %%
def variables_of(behaviour):
    """What a unit may code; angles in radians."""
    position, velocity = behaviour[:, :2], behaviour[:, 2:]
    return {
        "position": position,
        "velocity": velocity,
        "speed": np.linalg.norm(velocity, axis=1),
        "direction": np.arctan2(velocity[:, 1], velocity[:, 0]),
    }


config = UnitConfig(
    n_permutations=n_permutations,
    n_bins=12,
    circular=("direction",),
    n_shifts=n_shifts,
    max_samples=max_samples,
    screened=1.0,
    seed=seed,
)
analyzer = NeuronActivationAnalyzer(config=config)
variables = variables_of(test.behaviour)
names = list(variables)
samples = {
    name: [UnitSamples(units, variables, test.trial_of_bin) for units in each]
    for name, each in populations.items()
}
meaning = {
    name: [analyzer.find_monosemantic_neurons(s, names) for s in each]
    for name, each in samples.items()
}

# %% [markdown]
# The same is asked about behaviour that was shifted in a circle against the units: what is found then is found for nothing.

# %%
shifted = variables_of(circular_shift(test.behaviour, test.lengths, seed))
nothing = [
    analyzer.find_monosemantic_neurons(
        units, shifted, groups=test.trial_of_bin
    )
    for units in [*populations["neurons"], *populations["trained"]]
]


def share_with(results, *kinds):
    """Share of the units of all networks that are of some kinds."""
    kind = np.concatenate([found.semantics.kind for found in results])
    return np.isin(kind, kinds).mean()


def of_velocity(results):
    """Among monosemantic units, the share that code velocity."""
    which = np.concatenate([r.semantics.variable[r.units] for r in results])
    return (which == names.index("velocity")).mean() if len(which) else 0.0


explained = {
    name: [bootstrap_interval(r.variance.full, np.median) for r in results]
    for name, results in meaning.items()
}
kinds = {
    name: {
        k: share_with(results, k) for k in ("mono", "poly", "mixed", "none")
    }
    for name, results in meaning.items()
}
false_findings = share_with(nothing, "mono", "poly", "mixed")

# %% tags=["hide-input", "remove-output"]
report.figure(
    "units-variance",
    pictures.variance_of_units(
        {name: results[0].variance for name, results in meaning.items()},
        everything.simulated,
    ),
)

# %% tags=["hide-input"]
report.put("n_test", len(test))
report.put("n_bins", len(test.counts))
report.put("n_neurons", everything.n_units)
report.put("hidden", hidden)
report.put("n_seeds", n_seeds)
report.put("decoding", float(np.mean(scores)))
for name, key in {
    "neurons": "neurons",
    "smoothed neurons": "smoothed",
    "untrained": "untrained",
    "trained": "trained",
}.items():
    middle = np.mean([found.estimate for found in explained[name]])
    report.put(f"{key}_explained", float(middle))
    report.put(f"{key}_mono", 100 * kinds[name]["mono"])
    report.put(f"{key}_poly", 100 * kinds[name]["poly"])
    report.put(f"{key}_none", 100 * kinds[name]["none"])
    report.put(f"{key}_velocity", 100 * of_velocity(meaning[name]))
alone = {
    name: np.median(np.concatenate([r.variance.unique for r in each]), axis=0)
    for name, each in meaning.items()
}
for variable, share in zip(names, alone["trained"], strict=True):
    report.put(f"trained_{variable}_alone", float(share))
report.put("false_findings", 100 * false_findings)

# %% [markdown]
# ```{glue:figure} units-variance
# :name: fig-units-variance
# :alt: Four panels of stacked bars, one bar per unit, low for neurons and untrained units and high for trained units
#
# **Every unit a column.** Share of its variance on held-out trials that position, velocity, speed and direction explain: in colour what only one of them does, in grey what they share. The dashed line is the median unit. One network of each kind; {glue:text}`n_test` test trials, {glue:text}`n_bins` bins.
# ```
#
# The networks decode the velocity of these trials with R² = {glue:text}`decoding:.2f`.
# Of the median unit, movement explains {glue:text}`neurons_explained:.2f` of the variance among {glue:text}`n_neurons` neurons, {glue:text}`smoothed_explained:.2f` when they are smoothed, {glue:text}`untrained_explained:.2f` among untrained units and {glue:text}`trained_explained:.2f` among trained ones.
#
# Shares of units, in per cent ({glue:text}`n_seeds` networks of {glue:text}`hidden` units each):
#
# | | monosemantic | of these, velocity | polysemantic | none |
# |---|---|---|---|---|
# | neurons | {glue:text}`neurons_mono:.0f` | {glue:text}`neurons_velocity:.0f` | {glue:text}`neurons_poly:.0f` | {glue:text}`neurons_none:.0f` |
# | smoothed neurons | {glue:text}`smoothed_mono:.0f` | {glue:text}`smoothed_velocity:.0f` | {glue:text}`smoothed_poly:.0f` | {glue:text}`smoothed_none:.0f` |
# | untrained | {glue:text}`untrained_mono:.0f` | {glue:text}`untrained_velocity:.0f` | {glue:text}`untrained_poly:.0f` | {glue:text}`untrained_none:.0f` |
# | trained | {glue:text}`trained_mono:.0f` | {glue:text}`trained_velocity:.0f` | {glue:text}`trained_poly:.0f` | {glue:text}`trained_none:.0f` |
#
# In the median trained unit, velocity alone has {glue:text}`trained_velocity_alone:.3f` of the variance, position {glue:text}`trained_position_alone:.3f`, speed {glue:text}`trained_speed_alone:.3f` and direction {glue:text}`trained_direction_alone:.3f`; the rest of what is explained they share.
# With shifted behaviour, {glue:text}`false_findings:.1f` % of neurons and trained units are given a meaning.
#
# ## Tuning and information
#
# A tuning curve shows what a share of variance cannot: the shape.
# Bands redraw whole trials, since neighbouring bins are near copies of each other.
# Shown are the units that have the most information about velocity, of both its dimensions together, estimated from distances to neighbours {cite}`kraskov2004`.


# %%
def informative(name):
    """Units of the first network that tell most about velocity."""
    return analyzer.find_behavior_predictive_neurons(
        samples[name][0], "velocity", top_k=n_informed
    ).information


found = {name: informative(name) for name in ("smoothed neurons", "trained")}
curves = {}
for name, information in found.items():
    tuned = analyzer.compute_neuron_selectivity(samples[name][0], "direction")
    best = np.argsort(-information.screening)[:4]
    curves[name] = tuned.tuning, best

# %% tags=["hide-input", "remove-output"]
report.figure(
    "units-tuning", pictures.direction_curves(curves, everything.simulated)
)

# %% tags=["hide-input"]
for name, key in {
    "smoothed neurons": "smoothed",
    "trained": "trained",
}.items():
    information = found[name]
    joint, first = information.bits[:, 2], information.bits[:, 0]
    report.put(f"{key}_bits", float(joint.max()))
    report.put(f"{key}_missed", 100 * float((first < joint / 2).mean()))
    report.put(f"{key}_excess", float(information.excess[0]))
    report.put(f"{key}_p", float(information.p_value.max()))
report.put("n_shifts", n_shifts)
report.put("n_informed", n_informed)

# %% [markdown]
# ```{glue:figure} units-tuning
# :name: fig-units-tuning
# :alt: Tuning curves over direction of four smoothed neurons and four trained units, with narrow bands
#
# **Tuning to direction.** The four units of each population that rank first in the screening for velocity: mean response, in the unit's own measure, with 95 % intervals over trials.
# ```
#
# The best smoothed neuron tells {glue:text}`smoothed_bits:.2f` bits about velocity in a bin, the best trained unit {glue:text}`trained_bits:.2f`.
# Of shifted velocity they would seem to tell something too: above the mean of {glue:text}`n_shifts` shifts lie {glue:text}`smoothed_excess:.2f` and {glue:text}`trained_excess:.2f` bits.
# The {glue:text}`n_informed` best trained units lie above nearly all shifts (p at most {glue:text}`trained_p:.3f`).
# Asked about the first column of velocity alone, {glue:text}`trained_missed:.0f` % of trained units and {glue:text}`smoothed_missed:.0f` % of smoothed neurons tell less than half of what they tell about both.
#
# ## All units together
#
# How many directions does activity spread over?
# The participation ratio of few samples is too small, so it is debiased, from pairs of different trials.
#
# And how far are reaches of different directions apart?
# Noise alone moves two means apart.
# The crossnobis distance multiplies differences of independent parts of the trials, so it is zero on average where nothing differs.

# %%
N_DIRECTIONS, BEFORE_S, AFTER_S = 8, 0.1, 0.4
reaches = find_reaches(
    velocity.test, BEFORE_S, AFTER_S, n_directions=N_DIRECTIONS
)
before, after = (round(s / test.bin_size_s) for s in (BEFORE_S, AFTER_S))
apart = np.diff(reaches.onset, prepend=-1000) >= before + after
onset, direction = reaches.onset[apart], reaches.direction[apart]
bins = onset[:, None] + np.arange(-before, after)
around = 2 * np.pi * np.arange(N_DIRECTIONS) / N_DIRECTIONS
upper = np.triu_indices(N_DIRECTIONS, 1)
circle = np.abs(np.exp(1j * around)[:, None] - np.exp(1j * around)) ** 2


def reach_geometry(units):
    """Distances between directions, from mean activity around onset."""
    table = units[bins].reshape(bins.size, -1)
    of_reach = np.repeat(np.arange(len(onset)), bins.shape[1])
    return analyzer.analyze_population_geometry(
        table, np.repeat(direction, bins.shape[1]), of_reach
    )


whole = {
    name: [analyzer.analyze_population_geometry(s) for s in each]
    for name, each in samples.items()
}
geometry = {
    name: [reach_geometry(units) for units in each]
    for name, each in populations.items()
}
likeness = {
    name: [np.corrcoef(g.distances.values, circle[upper])[0, 1] for g in each]
    for name, each in geometry.items()
}

# %% tags=["hide-input", "remove-output"]
directions = ["→", "↗", "↑", "↖", "←", "↙", "↓", "↘"]
report.figure(
    "units-distances",
    pictures.distance_tables(
        {
            name: geometry[name][0].distances
            for name in ("smoothed neurons", "untrained", "trained")
        },
        directions,
        everything.simulated,
    ),
)

# %% tags=["hide-input"]
ratio = {
    name: [g.participation_ratio for g in each] for name, each in whole.items()
}
report.put("n_reaches", len(onset))
for name, key in {
    "neurons": "neurons",
    "smoothed neurons": "smoothed",
    "untrained": "untrained",
    "trained": "trained",
}.items():
    report.put(f"{key}_ratio", float(np.mean(ratio[name])))
    report.put(f"{key}_circle", float(np.mean(likeness[name])))
    report.put(f"{key}_rank", float(whole[name][0].effective_rank))
    report.put(f"{key}_n90", whole[name][0].n90)

# %% [markdown]
# ```{glue:figure} units-distances
# :name: fig-units-distances
# :alt: Three tables of distances between eight directions of reaches, all with small distances beside the diagonal
#
# **Where directions lie.** Crossnobis distances between {glue:text}`n_reaches` reaches of eight directions, each table with its own scale.
# ```
#
# | | participation ratio | effective rank | components for nine tenths | distances against a circle's (r) |
# |---|---|---|---|---|
# | neurons | {glue:text}`neurons_ratio:.1f` | {glue:text}`neurons_rank:.0f` | {glue:text}`neurons_n90` | {glue:text}`neurons_circle:.2f` |
# | smoothed neurons | {glue:text}`smoothed_ratio:.1f` | {glue:text}`smoothed_rank:.0f` | {glue:text}`smoothed_n90` | {glue:text}`smoothed_circle:.2f` |
# | untrained | {glue:text}`untrained_ratio:.1f` | {glue:text}`untrained_rank:.0f` | {glue:text}`untrained_n90` | {glue:text}`untrained_circle:.2f` |
# | trained | {glue:text}`trained_ratio:.1f` | {glue:text}`trained_rank:.0f` | {glue:text}`trained_n90` | {glue:text}`trained_circle:.2f` |
#
# Three numbers for "dimension", three answers: the ratio weighs strong directions, the effective rank of singular values weak ones too.
# The circle of directions is no finding about training: it is in the neurons, and a random network hands it on.
#
# ## An index without bounds
#
# What does the index of the plan say about these units?
# It is $(\max - \min) / (\max + \min)$ of the mean responses to conditions, here to twelve sectors of direction.

# %%
means = curves["trained"][0].mean
top, low = means.max(axis=0), means.min(axis=0)
index = np.abs((top - low) / (top + low))
beyond = float((index > 1).mean())
report.put("largest_index", float(index.max()))
report.put("beyond", 100 * beyond)

# %% [markdown]
# Made for rates it lies between zero and one.
# Of the trained units, {glue:text}`beyond:.0f` % are beyond one, the largest at {glue:text}`largest_index:.0f`: not because they are selective, but because their responses happen to cancel.
# `neurolib.metrics.selectivity.depth_index` refuses such responses; shares of variance need no sign.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
least = min(found.low for found in explained["trained"])
others = ("neurons", "smoothed neurons", "untrained")
report.claim(
    "movement explains more of trained units than of neurons, smoothed neurons "
    "and untrained units (intervals over units, every seed)",
    all(e.high < least for name in others for e in explained[name]),
)
report.claim(
    "units of one variable are mostly of velocity in trained networks, "
    "but not among smoothed neurons",
    of_velocity(meaning["trained"])
    > 0.5
    > of_velocity(meaning["smoothed neurons"]),
)
report.claim(
    "training halves the participation ratio, or more (every seed)",
    2 * max(ratio["trained"]) < min(ratio["untrained"]),
)
report.claim(
    "the circle of directions is there without training (r above one half)",
    min(likeness["untrained"] + likeness["neurons"]) > 0.5,
)
report.claim(
    "for shifted behaviour, a twentieth of units or fewer are given a meaning",
    false_findings <= 0.05,
)
report.claim(
    "an index of depth stays within its bounds on signed activations",
    beyond == 0,
)

# %% [markdown]
# ## What we learned
#
# - Units of a decoder speak of the task that it was given: the variable with the largest share of its own is velocity, the target. Smoothed neurons that code one variable mostly code another.
# - Most of what movement explains is shared: which variable a unit "codes" can be said of a small part of its variance only.
# - Training gathers movement into few directions ({glue:text}`untrained_ratio:.0f` before, {glue:text}`trained_ratio:.0f` after). A unit of a trained network is therefore no independent witness: its neighbours say nearly the same.
# - Mono- and polysemantic are said of the variables that were asked about, at thresholds that were set. A unit of two variables may be one of a third that nobody measured.
# - **Not shown:** that the decoder uses any of these units. That needs a change of the unit, not a look at it: {ref}`the next page <interpret-circuit>` patches them.
# - **What would change our mind:** an untrained network with as much memory whose units are explained as well.
#
# **Try it:** `dataset="m1"` asks the same of motor cortex, with trials that are fewer and longer.

# %% tags=["hide-input"]
report.card(
    answer=f"Movement, and far more of it than neurons. In {dataset.upper()}, it "
    f"explains {np.mean([e.estimate for e in explained['trained']]):.2f} of the "
    "variance of the median unit of a trained decoder, "
    f"{explained['smoothed neurons'][0].estimate:.2f} of smoothed neurons and "
    f"{np.mean([e.estimate for e in explained['untrained']]):.2f} of an untrained "
    "network. Of units that code one variable, "
    f"{100 * of_velocity(meaning['trained']):.0f}\u00a0% code velocity, which the "
    "decoder was trained for.",
    needs="what a tuning curve is, and what a hidden unit is.",
)
report.stamp()
