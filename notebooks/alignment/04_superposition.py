# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (alignment-superposition)=
# # Do neurons and units share what they code?
#
# ```{glue} card
# ```
#
# A network can hold more features than it has channels if few of them are active at a time: it gives them directions that are nearly at right angles, and lives with the interference {cite}`elhage2022`.
# A unit then takes part in several features, and so might a neuron.
#
# The plan that this study follows {cite}`tensorscope` promised a ratio of superposition, a measure of sparsity, a count of meanings per unit and a test for singular points of an embedding, the same for networks and for brains.
# Its ratio is channels over effective rank, which does not know how many features there are.
# Its sparsity calls a response active above a hundredth of the loudest of all, so that one loud unit silences the rest.
# Its singular points are those of a procedure that is not calibrated.
# And nothing in it makes a unit, which answers the same each time, comparable with a neuron, which does not.
#
# **You will learn** (1) what superposition looks like where it is known, (2) whether a decoder's units single out more than the neurons they read, once they are as noisy, (3) how many singular points a flat surface has, if the test is believed.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # or "m1"
n_seeds: int = 2  # networks
n_features: int = 20  # of the toy
n_channels: int = 5
toy_steps: int = 600
hidden: int = 32  # units of a decoder
steps: int = 50  # of its training
n_noises: int = 8  # draws of noise
n_points: int = 2000  # on a torus
n_tested: int = 500  # of them
n_null: int = 4000  # behind the calibrated test
seed: int = 0
device: str = "cpu"

# %%
import numpy as np
import torch

from neurolib import report
from neurolib.data.reaches import find_reaches
from neurolib.data.sets import load
from neurolib.interpret.activations import record
from neurolib.metrics.dimensionality import effective_rank
from neurolib.metrics.fibre_test import (
    FibreTestConfig,
    fibre_test,
    fibre_test_of_distances,
)
from neurolib.metrics.intervals import bootstrap_interval
from neurolib.metrics.polysemanticity import (
    PolysemanticityConfig,
    category_selectivity,
    effective_categories,
    matched_noise,
)
from neurolib.metrics.sparsity import sparsity
from neurolib.metrics.superposition import superposition
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz import superposition as pictures

if dataset not in ("s1", "m1") or n_seeds < 2:
    raise ValueError(f"{dataset=} must be s1 or m1, {n_seeds=} two or more")
everything = load(dataset, source)
report.use(everything)
velocity = everything.with_outputs("velocity").folds(5)[0]
test = velocity.test
test

# %% [markdown]
# ## Where the features are known
#
# The toy of {cite}`elhage2022`: a linear layer squeezes features into fewer channels, its transpose and a rectifier bring them back.
# Each feature is active now and then, independently of the others, and each matters a little less than the one before.
# The only thing that is changed is how often features are active.
#
# The features are named, they are the rows of the layer, so everything can be asked.
# A feature counts as represented if its row is longer than one half, which means something here since a row of length one is a feature that comes back whole.

# %%
ACTIVE = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def toy():
    """Rows of layers trained at every activity, ``(layer, feature, channel)``."""
    torch.manual_seed(seed)
    share = torch.tensor(ACTIVE).repeat_interleave(n_seeds)[:, None, None]
    start = torch.randn(len(share), n_features, n_channels)
    rows = (0.5 * start / n_channels**0.5).requires_grad_()
    bias = torch.zeros(len(share), 1, n_features, requires_grad=True)
    optimiser = torch.optim.Adam([rows, bias], 1e-2)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, toy_steps)
    for _ in range(toy_steps):
        optimiser.zero_grad()
        toy_loss(rows, bias, share).backward()
        optimiser.step(), slower.step()
    return rows.detach().numpy()


def toy_loss(rows, bias, share):
    """Weighted squared error of 256 draws for every layer."""
    x = torch.rand(2, len(rows), 256, n_features)
    x = x[0] * (x[1] < share)
    back = torch.relu(x @ rows @ rows.mT + bias)
    weight = 0.9 ** torch.arange(n_features) / share
    return ((x - back).square() * weight).sum() / 256


# %%
layers = toy()
kept = [superposition(w[np.linalg.norm(w, axis=1) > 0.5]) for w in layers]


def at_each(values):
    """Mean over seeds, one value per activity."""
    return np.reshape(values, (len(ACTIVE), n_seeds)).mean(1)


size = at_each([w.n_features for w in kept])
own = at_each([w.dimensionality.mean() for w in kept])
overlap, welch = (
    at_each([getattr(w, name) for w in kept]) for name in ("overlap", "welch")
)
by_rank = at_each([n_channels / effective_rank(w) for w in layers])

# %% tags=["hide-input", "remove-output"]
report.figure(
    "superposition-toy",
    pictures.toy_sweep(
        ACTIVE,
        {
            "channels per feature": {
                "dimensionality": own,
                "by effective rank": by_rank,
                "(channels / features)": n_channels / size,
            },
            "overlap of two features": {
                "found": overlap,
                "(random directions)": np.full(len(ACTIVE), 1 / n_channels),
                "(least possible)": welch,
            },
        },
    ),
)

# %% tags=["hide-input"]
report.put("n_features", n_features)
report.put("n_channels", n_channels)
report.put("dense_kept", float(size[0]))
report.put("sparse_kept", float(size[-1]))
report.put("dense_own", float(own[0]))
report.put("sparse_own", float(own[-1]))
report.put("rank_low", float(by_rank.min()))
report.put("rank_high", float(by_rank.max()))
report.put("above_welch", float((overlap[1:] / welch[1:]).max()))
report.put("of_chance", float((overlap * n_channels).max()))

# %% [markdown]
# ```{glue:figure} superposition-toy
# :name: fig-superposition-toy
# :alt: Two panels over how often features are active; the dimensionality of a feature falls from one to a quarter, the ratio by effective rank stays at one, and overlap lies on its lower bound
#
# **A toy that shares channels.** Left: channels per feature, from the dimensionality of represented features and by the ratio of the source, which stays where it is. Right: mean squared cosine of two represented features, that of random directions, and the least possible. Means over {glue:text}`n_seeds` seeds.
# ```
#
# Always active, {glue:text}`dense_kept:.1f` of {glue:text}`n_features` features get one of the {glue:text}`n_channels` channels each, with a dimensionality of {glue:text}`dense_own:.2f`, and the others none.
# Rarely active, {glue:text}`sparse_kept:.1f` are represented, with {glue:text}`sparse_own:.2f` of a channel each.
# Channels over effective rank is between {glue:text}`rank_low:.2f` and {glue:text}`rank_high:.2f` all the way: the channels are all in use in both cases, and that is all it sees.
#
# Superposition is not overlap as such.
# Represented features overlap by at most {glue:text}`of_chance:.2f` of what random directions would and, unless they are always active, by at most {glue:text}`above_welch:.2f` times the least that so many directions can (the Welch bound {cite}`welch1974`).
# A network that packs features keeps them as far apart as they go, so it is found by an overlap *below* chance, near the bound.
#
# ## What a decoder does with its neurons
#
# Recurrent networks are trained to decode the velocity of the hand.
# Raw activity has no features to ask about, but the weights by which neurons write into the candidate state do: one direction per neuron, in fewer channels than there are neurons.
# Are the neurons packed as the toy packs its features?


# %%
def network(seed, trained=True):
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
    return model.cpu()


def training(seed):
    """How a network is trained."""
    return TrainConfig(
        steps=steps,
        batch_size=32,
        lr=1e-2,
        schedule="cosine",
        weight_decay=1e-2,
        eval_every=25,
        seed=seed,
        device=device,
    )


def written(model):
    """Direction in the candidate state of each neuron."""
    weights = model.rnn.weight_ih_l0[2 * hidden :].detach().numpy()
    return superposition(weights.T)


seeds = range(seed, seed + n_seeds)
models = {
    "untrained": [network(s, trained=False) for s in seeds],
    "trained": [network(s) for s in seeds],
}
packing = {k: [written(m) for m in each] for k, each in models.items()}

# %% tags=["hide-input"]
of_chance = {k: [p.overlap / p.chance for p in v] for k, v in packing.items()}
report.put("n_neurons", everything.n_units)
report.put("hidden", hidden)
report.put("n_seeds", n_seeds)
report.put("untrained_overlap", float(np.mean(of_chance["untrained"])))
report.put("trained_overlap", float(np.mean(of_chance["trained"])))
least = packing["trained"][0]
report.put("least_overlap", least.welch / least.chance)

# %% [markdown]
# No.
# In units of chance, the overlap of {glue:text}`n_neurons` neurons in {glue:text}`hidden` channels is {glue:text}`untrained_overlap:.2f` before training and {glue:text}`trained_overlap:.2f` after; the least possible is {glue:text}`least_overlap:.2f`.
# Training makes neurons share directions more than chance would, since many of them say the same thing about the hand.
# That is redundancy, the opposite of superposition, and a ratio of features to channels alone would not tell the two apart.
#
# ## Which directions does a unit single out?
#
# For every reach of the held-out trials, the mean response around its onset; categories are eight directions.
# A unit singles out a direction if reaches there rank above all others, with an area under the curve of at least `0.65` and a rate of false discoveries held over all units and directions.
#
# A unit that follows the cosine of direction singles out its best direction *and both neighbours*.
# These are one meaning.
# Units count as polysemantic here if two of their directions are three steps of the circle or more apart; the source counts categories.
#
# The comparison has to be fair twice: the same reaches for neurons and units, and the same reliability.
# Reliability is that of a single reach: the share of variance between directions that would come back.
# A unit is an average over all neurons and over time, and far more reliable than any neuron, so neural noise is added to it: counts whose variance is their mean, at the rate that brings the unit to the reliability of a neuron drawn at random.

# %%
BEFORE_S, AFTER_S = 0.1, 0.4
reaches = find_reaches(test, BEFORE_S, AFTER_S, n_directions=8)
before, after = (round(s / test.bin_size_s) for s in (BEFORE_S, AFTER_S))
apart = np.diff(reaches.onset, prepend=-1000) >= before + after
onset, direction = reaches.onset[apart], reaches.direction[apart]
bins = onset[:, None] + np.arange(-before, after)
STEP = np.arange(8)
CIRCLE = np.abs((STEP[:, None] - STEP + 4) % 8 - 4)  # steps between directions


def hidden_units(model):
    """Hidden states around each reach, ``(reach, unit)``."""
    padded = test.padded()
    counts = torch.from_numpy(padded.counts).float()
    acts = record(model, counts, ["hidden"])
    units = acts.samples("hidden", torch.from_numpy(padded.mask)).numpy()
    return units[bins].mean(1)


def reliability(x):
    """Intraclass correlation of single reaches of one direction."""
    groups = [x[direction == k] for k in np.unique(direction)]
    n = np.array([len(group) for group in groups])
    within = sum(g.var(0) * len(g) for g in groups) / (len(x) - len(n))
    means = np.stack([group.mean(0) for group in groups])
    between = n @ (means - x.mean(0)) ** 2 / (len(n) - 1)
    each = (len(x) - (n**2).sum() / len(x)) / (len(n) - 1)
    return (between - within) / (between + (each - 1) * within)


# %%
neurons = test.counts[bins].mean(1)
steady = reliability(neurons) > 0.05
neurons = neurons[:, steady]
raw = {k: [hidden_units(m) for m in each] for k, each in models.items()}
NORMAL = PolysemanticityConfig(n_permutations=0)


def noisy(x, wanted, number):
    """Units with noise of counts, each at a wanted reliability."""
    share = (wanted / reliability(x).clip(1e-3)).clip(1e-3, 1)
    parts = []
    for unit, rho in zip((x - x.min(0)).T, share, strict=True):
        to = 1000 * number + len(parts)
        parts.append(matched_noise(unit[:, None], rho, seed=to)[0])
    return np.concatenate(parts, axis=1)


def as_neurons(x, number):
    """Units as reliable as neurons drawn at random."""
    draw = np.random.default_rng([seed, number])
    return noisy(x, draw.choice(reliability(neurons), x.shape[1]), number)


# %%
ROWS = "directions", "two", "apart", "reliability", "sparsity", "effective"


def described(x):
    """Of each unit, one row per entry of ``ROWS``."""
    found = category_selectivity(x, direction, NORMAL)
    apart = CIRCLE[np.ix_(found.categories, found.categories)]
    counts = found.n_selected, found.n_selected >= 2
    far = found.polysemantic(apart, unrelated=3)
    excess = (x - np.median(x, axis=0)).clip(0)  # what sparsity is of
    spread = sparsity(excess), effective_categories(excess, direction)
    return np.stack([*counts, far, reliability(x), *spread])


def matched(x):
    """The same as noisy as neurons, mean over draws of noise."""
    parts = [described(as_neurons(x, number)) for number in range(n_noises)]
    return np.nanmean(parts, axis=0)


table = {"neurons": described(neurons)}
for name, each in raw.items():
    table[name] = np.concatenate([described(x) for x in each], axis=1)
several = np.concatenate([matched(x) for x in raw["trained"]], axis=1)
table["matched"] = several

# %%
LEVELS = (0.5, 0.35, 0.2, 0.1, 0.05)


def at_levels(each):
    """Reliability and directions singled out, as noise is added."""
    points = [table_mean([described(x) for x in each])]
    for level in LEVELS:
        parts = [described(noisy(x, level, 99)) for x in each]
        points.append(table_mean(parts))
    return np.array(points).T


def table_mean(parts):
    """Mean reliability and number of directions of all units."""
    both = np.concatenate(parts, axis=1)
    return both[ROWS.index("reliability")].mean(), both[0].mean()


directions = {k: bootstrap_interval(v[0]) for k, v in table.items()}
gap = {
    name: table[name][0].mean() - table["neurons"][0].mean()
    for name in ("trained", "matched")
}
lines = {name: at_levels(raw[name]) for name in ("trained", "untrained")}
x, y = lines["trained"][:, ::-1]  # reliability rises
between = np.interp(lines["untrained"][0], x, y) - lines["untrained"][1]

# %% tags=["hide-input", "remove-output"]
report.figure(
    "superposition-selectivity",
    pictures.selectivity_at_reliability(
        {f"{name} units": line for name, line in lines.items()},
        (table["neurons"][3], table["neurons"][0]),
        everything.simulated,
    ),
)

# %% tags=["hide-input"]
for name, values in table.items():
    for row, each in zip(ROWS[:4], values, strict=False):
        report.put(f"{name}_{row}", float(each.mean()))
    for row, each in zip(ROWS[4:], values[4:], strict=True):
        report.put(f"{name}_{row}", float(np.nanmedian(each)))
    report.put(f"{name}_low", float(directions[name].low))
    report.put(f"{name}_high", float(directions[name].high))
report.put("n_reaches", len(onset))
report.put("n_steady", int(steady.sum()))
report.put("n_noises", n_noises)
report.put("line_gap", float(np.abs(between).max()))
report.put("left", 100 * float(gap["matched"] / gap["trained"]))

# %% [markdown]
# ```{glue:figure} superposition-selectivity
# :name: fig-superposition-selectivity
# :alt: Directions singled out against reliability; lines of units fall with noise into the cloud of neurons
#
# **Selectivity follows reliability.** Mean number of directions that units single out, without noise (right end of each line) and with more and more of it; every neuron is a point, moved up or down a little to be seen. {glue:text}`n_reaches` reaches, the same for all.
# ```
#
# Of {glue:text}`n_neurons` neurons the {glue:text}`n_steady` with a reliability above a twentieth are kept.
# In brackets are 95 % intervals over units; sparsity and effective directions are medians, the rest are means.
#
# | | directions singled out | share with two or more | with two far apart | reliability | lifetime sparsity | effective directions |
# |---|---|---|---|---|---|---|
# | neurons | {glue:text}`neurons_directions:.2f` [{glue:text}`neurons_low:.2f`, {glue:text}`neurons_high:.2f`] | {glue:text}`neurons_two:.2f` | {glue:text}`neurons_apart:.2f` | {glue:text}`neurons_reliability:.2f` | {glue:text}`neurons_sparsity:.2f` | {glue:text}`neurons_effective:.1f` |
# | trained units | {glue:text}`trained_directions:.2f` [{glue:text}`trained_low:.2f`, {glue:text}`trained_high:.2f`] | {glue:text}`trained_two:.2f` | {glue:text}`trained_apart:.2f` | {glue:text}`trained_reliability:.2f` | {glue:text}`trained_sparsity:.2f` | {glue:text}`trained_effective:.1f` |
# | trained, as noisy as neurons | {glue:text}`matched_directions:.2f` [{glue:text}`matched_low:.2f`, {glue:text}`matched_high:.2f`] | {glue:text}`matched_two:.2f` | {glue:text}`matched_apart:.2f` | {glue:text}`matched_reliability:.2f` | {glue:text}`matched_sparsity:.2f` | {glue:text}`matched_effective:.1f` |
# | untrained units | {glue:text}`untrained_directions:.2f` [{glue:text}`untrained_low:.2f`, {glue:text}`untrained_high:.2f`] | {glue:text}`untrained_two:.2f` | {glue:text}`untrained_apart:.2f` | {glue:text}`untrained_reliability:.2f` | {glue:text}`untrained_sparsity:.2f` | {glue:text}`untrained_effective:.1f` |
#
# As they are, units seem to single out far more directions than neurons.
# As noisy as neurons they have {glue:text}`left:.0f` % of that lead left: the rest was noise, in the neurons.
# At the same reliability, units before and after training differ by {glue:text}`line_gap:.1f` directions at most, though they are made of other things.
# Counted as the source counts, a share of {glue:text}`trained_two:.2f` of trained units has two meanings or more; asked for two *different* meanings it is {glue:text}`trained_apart:.2f`.
# Most are tuned to one direction, broadly.
#
# Sparsity and the effective number of directions move with noise as well, the same units before and after.
# Sparsity is of what exceeds a unit's median response, the same rule for all, since activations have a sign and a sparsity of signed numbers means nothing.
#
# ## How many singular points has a flat surface?
#
# Embeddings of words were said to be no manifolds, as the number of neighbours of some words does not grow with the radius as one dimension would have it {cite}`robinson2025`.
# The published procedure compares slopes by many Welch tests, and rejects where one of them is small enough.
# Here it meets points that are spread evenly on a flat torus, where there is nothing to find.
# Beside it stands a test from the spacings of neighbour distances, whose law without a change of dimension is known.

# %%
CHANCES = (0.001, 0.01, 0.05, 0.1)
METHODS = ("robinson", "spacings")


def torus(dimension):
    """Points spread evenly on a flat torus."""
    draw = np.random.default_rng([seed, dimension])
    angles = draw.uniform(0, 2 * np.pi, (n_points, dimension))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def rejected(points):
    """Share of points rejected at each level, by both."""
    published, ours = (
        fibre_test(points, FibreTestConfig(m, n_null=n_null), range(n_tested))
        for m in METHODS
    )
    raw = [(published.raw_p_value < c / 3).mean() for c in CHANCES]  # 3 strata
    return raw, [ours.share_below(c) for c in CHANCES]


def growing():
    """Distances whose dimension is four, and eight from halfway on."""
    draw, ranks = np.random.default_rng(seed), np.arange(1, 500)
    mean = np.where(ranks < 250, 1 / 4, 1 / 8)
    steps = draw.exponential(mean / ranks, (n_tested, len(ranks)))
    return np.exp(np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1))


# %%
flat = {dimension: rejected(torus(dimension)) for dimension in (2, 5)}
SCANS = {"spacings": 50, "published": 10, "wide": 50}  # windows
power = {}
for name, window in SCANS.items():
    method = METHODS[name == "spacings"]
    cfg = FibreTestConfig(method, window=window, n_null=n_null)
    power[name] = fibre_test_of_distances(growing(), cfg).share_below(0.01)

# %% tags=["hide-input", "remove-output"]
names = ["published", "spacings"]
shares = {
    f"{name}, {dimension} dimensions": flat[dimension][number]
    for number, name in enumerate(names)
    for dimension in flat
}
report.figure(
    "superposition-fibres", pictures.false_positives(CHANCES, shares)
)

# %% tags=["hide-input"]
report.put("n_points", n_points)
report.put("published_low", 100 * min(flat[d][0][0] for d in flat))
report.put("published_high", 100 * max(flat[d][0][0] for d in flat))
report.put("spacings_at", 100 * max(flat[d][1][2] for d in flat))
for name, share in power.items():
    report.put(f"power_{name}", 100 * share)

# %% [markdown]
# ```{glue:figure} superposition-fibres
# :name: fig-superposition-fibres
# :alt: Share of points rejected against the level on logarithmic axes; the published procedure lies far above the diagonal, spacings on it
#
# **False singular points.** Share of points of a flat torus of {glue:text}`n_points` points that each test rejects. The grey line is what a test should reject; the lowest points stand for none.
# ```
#
# At a level of one in a thousand the published procedure rejects {glue:text}`published_low:.0f` to {glue:text}`published_high:.0f` % of the points of a flat torus.
# The test of spacings keeps its level; at one in twenty it rejects {glue:text}`spacings_at:.1f` % at most.
# Where the dimension does change, from four to eight, and both tests are calibrated so that one flat point in a hundred is rejected, the spacings find {glue:text}`power_spacings:.0f` % of the points and the published statistic, with its own windows of ten slopes, {glue:text}`power_published:.0f` %.
# With windows as wide as those of the spacings it finds {glue:text}`power_wide:.0f` %: the statistic was not at fault, its windows and its p-values were.
#
# A point that is rejected is one around which points are not evenly spread.
# Whether a word there has several meanings is another question, and neither test asks it.

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "toy: rare features share channels, common ones do not",
    bool(own[0] > 0.8 and own[-1] < 0.4 and size[-1] > 2 * size[0]),
)
report.claim(
    "toy: channels over effective rank does not see it",
    bool(by_rank.max() < 1.2),
)
report.claim(
    "toy: represented features overlap less than chance and nearly as little as possible",
    bool((overlap < 1 / n_channels).all() and overlap[-1] < 1.2 * welch[-1]),
)
report.claim(
    "decoder: neurons share directions more than chance, in every network",
    min(of_chance["trained"]) > 1.1 * max(of_chance["untrained"]),
)
report.claim(
    "units single out more directions than neurons, intervals apart",
    directions["trained"].low > directions["neurons"].high,
)
report.claim(
    "units as noisy as neurons: intervals overlap",
    directions["matched"].low < directions["neurons"].high,
)
report.claim(
    "matching takes most of the difference away",
    bool(abs(gap["matched"]) < abs(gap["trained"]) / 2),
)
report.claim(
    "most units have two categories, few have two that are far apart",
    bool(table["trained"][1].mean() > 0.6)
    and bool(table["trained"][2].mean() < 0.3),
)
report.claim(
    "noise alone raises the sparsity of the same units",
    np.nanmedian(table["matched"][4]) > np.nanmedian(table["trained"][4]),
)
report.claim(
    "fibre test: the published procedure rejects flat points at ten times its level",
    min(flat[d][0][0] for d in flat) > 10 * CHANCES[0],
)
report.claim(
    "fibre test: spacings keep their level within a factor of two",
    max(flat[d][1][2] for d in flat) < 2 * CHANCES[2],
)
report.claim(
    "fibre test: at the same level the published windows find less than half",
    power["published"] < power["spacings"] / 2,
)

# %% [markdown]
# ## What we learned
#
# - Superposition is more features than channels, kept as far apart as they go. To see it, features must have a name; channels over effective rank knows none.
# - The decoder does the opposite with its neurons: those that say the same share a direction.
# - A unit and a neuron are compared at the same reliability or not at all.
# - Two categories are not two meanings. A broadly tuned unit has three.
# - **Not shown:** that neurons have no mixed selectivity. Eight directions of one movement are one variable; a task with several unrelated ones could show it. Two networks say little about networks.
# - **What would change our mind:** units that keep a lead over neurons when they are as noisy, in recordings with more neurons or other tasks.
#
# **Try it:** `dataset="m1"`, or `hidden=8` for a decoder that has to pack.
# **Sources:** {cite}`elhage2022`, {cite}`welch1974`, {cite}`robinson2025`, {cite}`tensorscope`.

# %% tags=["hide-input"]
report.card(
    answer="Less than it seems. Trained units single out "
    f"{table['trained'][0].mean():.1f} of eight directions, neurons "
    f"{table['neurons'][0].mean():.1f}; made as noisy as neurons the units "
    f"have {table['matched'][0].mean():.1f}. Nearly all are tuned broadly to "
    "one direction and few have two meanings.",
    needs="what a direction in activity space is.",
)
report.stamp(device)
