# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-codes)=
# # What does a code mean?
#
# ```{glue} card
# ```
#
# A decoder with codes says in every bin a few whole numbers, and all it decodes follows from them.
# The log counts codes and names none: how many are used, how even, but not what any of them stands for {cite}`phantomx`.
# It holds two beliefs about them that no script of it computes.
# Stage by stage, it says, the codes take {glue:text}`log_share_1:.0f`, {glue:text}`log_share_2:.0f`, {glue:text}`log_share_3:.0f` and {glue:text}`log_share_4:.0f` % of the variance.
# And a single codebook meets a "Voronoi ceiling": {glue:text}`log_codes:.0f` codes stop at R² {glue:text}`log_ceiling:.2f` because cells are coarse.
#
# Both can be computed without training anything: take a trained decoder, cluster its latents, and look.
#
# **You will learn** (1) how to read a codebook, (2) how much a code tells of the hand, set against units, nulls and an oracle, (3) how many bits codes really cost.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
n_folds: int = 1  # of five; each holds out a fifth of the trials
n_seeds: int = 2  # decoders per fold
steps: int = 150  # optimiser steps
n_nulls: int = 50  # circular shifts
memory_s: float = 0.25  # over which units are averaged
seed: int = 0
device: str = "auto"

# %%
import copy

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mutual_info_score

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.leaderboard import Leaderboard
from neurolib.metrics.nulls import circular_shift
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.quantizers.usage import code_usage
from neurolib.training.recipes import Recipe, trained
from neurolib.viz import codes as pictures
from neurolib.viz import scores

trials = load(dataset, source).with_outputs("velocity")
report.use(trials)
folds = trials.folds(5)[:n_folds]
trials

# %% [markdown]
# ## One decoder, many codebooks
#
# One LSTM per seed and fold; a perceptron reads velocity off its latent.
# All codes are **post-training**: k-means of the training latents, and nothing is trained again.
# So whatever differs below is the codebook and not the decoder.
# Numbers are means over {glue:text}`n_models` decoders; figures of single codes show the first.
# Intervals resample seeds and held-out trials; with few seeds they are too narrow.
# A small codebook of 16 can be read one by one, and four stages of 128 are the log's best.

# %%
recipe = Recipe.cosine(steps, device)
lstm = RecurrentEncoderConfig("lstm", hidden=64, dropout=0.3)
base = DiscreteDecoderConfig(lstm, dim=32, hidden=64)
residual = ResidualConfig(n_stages=4, size=128)
models = {
    (fold, number): trained(split, base, recipe, number).cpu()
    for fold, split in enumerate(folds)
    for number in range(seed, seed + n_seeds)
}


# %% [markdown]
# The codes of the small codebook get new numbers: first those that stand for rest, then the others counter-clockwise, beginning at the right.
# Rest is a speed below a tenth of the fastest (of the highest per cent, to be exact).


# %%
def slow_below(split):
    """Speed under which the hand counts as at rest."""
    return 0.1 * np.percentile(np.hypot(*split.train.behaviour.T), 99)


def readable(model, split, number, size):
    """A copy of the decoder with few codes, in readable order."""
    coded = model.quantised(ResidualConfig(size=size), split.train, number)
    stands_for = coded.decode_codes(np.arange(size)[:, None])
    order = pictures.code_order(stands_for, slow_below(split))
    book = coded.quantizer.codes
    book.copy_(book[:, torch.as_tensor(order)].clone())
    return coded


small, large = (
    {
        (fold, number): readable(model, folds[fold], number, size)
        for (fold, number), model in models.items()
    }
    for size in (16, 64)
)

# %% tags=["hide-input"]
report.put("n_models", len(models))
test = folds[0].test
shown, slow = small[0, seed], slow_below(folds[0])
stands_for = shown.decode_codes(np.arange(16)[:, None])
codes, decoded = shown.codes(test)[:, 0], shown.predict(test)
longest = round(3.0 / test.bin_size_s)
picked = np.linspace(0, len(test) - 1, 6).round().astype(int)
rows = [
    slice(test.starts[i], test.starts[i] + min(test.lengths[i], longest))
    for i in picked
]
n_rest = int((np.hypot(*stands_for.T) < slow).sum())
unit = test.output_unit.split(", ")[-1]

# %% tags=["hide-input", "remove-output"]
report.figure(
    "code-paths",
    pictures.paths(
        stands_for,
        *([values[r] for r in rows] for values in (test.behaviour, decoded)),
        [codes[r] for r in rows],
        slow,
        test.bin_size_s,
        unit,
        trials.simulated,
    ),
)
report.put("n_rest", n_rest)
report.put("slow", slow)
report.put("unit", unit)
report.put("rest_share", 100 * float(np.mean(codes < n_rest)))

# %% [markdown]
# ```{glue:figure} code-paths
# :name: fig-code-paths
# :alt: Velocities of sixteen codes, and hand paths coloured by code, recorded and decoded
#
# **Sixteen codes on the path of the hand.** Top: the velocity that each code stands for, and how often it is said. Colour is direction, grey is rest. Below: six trials that were held out, each bin in the colour of its code, along the recorded path (upper row) and along the path that the codes decode to (lower row).
# ```
#
# The codes draw the way out and the way back in the colours of their directions, though k-means saw no hand: the latents it clusters were trained to tell velocity, and that is what it finds.
# Of sixteen codes, {glue:text}`n_rest` stand for rest (slower than {glue:text}`slow:.0f` {glue:text}`unit`) and cover {glue:text}`rest_share:.0f` % of the bins.
#
# ## Code by code
#
# Move the slider.
# Left are recorded velocities, those of the code's bins in colour; the arrow is what the code stands for.
# Right is where the hand was, summed up from the start of each trial.

# %% tags=["hide-input"]
pictures.code_browser("browse-codes", test, codes, stands_for)


# %% tags=["hide-input"]
def known(values):
    """Share of the variance that the code's mean explains, in per cent."""
    said = np.eye(16)[codes]
    centred = values - values.mean(axis=0)
    means = said.T @ centred / np.maximum(said.sum(axis=0), 1)[:, None]
    return 100 * (said @ means).var(axis=0).sum() / values.var(axis=0).sum()


blocks = np.split(test.behaviour, test.starts[1:])
report.put("velocity_known", float(known(test.behaviour)))
report.put(
    "place_known", float(known(np.concatenate([b.cumsum(0) for b in blocks])))
)

# %% [markdown]
# A code picks a velocity rather than a place: knowing it explains {glue:text}`velocity_known:.0f` % of the variance of the recorded velocity, and {glue:text}`place_known:.0f` % of that of the place.
#
# ## Is a code sharper than a unit?
#
# **Vector strength** is the length of the mean direction: 1 if all its bins go one way, 0 if they go everywhere.
# For a code, every bin that uses it counts once, and codes of rest are left out.
# A unit counts bins by its rate, averaged over the {glue:text}`memory_ms:.0f` ms before; or, to be fair to it, only the sixteenth of the bins in which that rate is highest.
# Only bins in which the hand moves are used.


# %%
def strength(weights, angle):
    """Vector strength of every column of weights ``(n_bins, n)``."""
    used = weights[:, weights.sum(axis=0) >= 10]
    return np.abs(used.T @ np.exp(1j * angle)) / used.sum(axis=0)


def running(part):
    """Mean count of every unit over the bins of its memory."""
    return part.history(round(memory_s / part.bin_size_s)).mean(axis=1)


def directions(coded, part, slow):
    """Bins of movement: codes that stand for some, rates, and directions."""
    moves = np.hypot(*part.behaviour.T) > slow
    angle = np.arctan2(*part.behaviour[moves].T[::-1])
    stands_for = coded.decode_codes(np.arange(16)[:, None])
    said = np.eye(16)[coded.codes(part)[moves, 0]]
    return (
        said[:, np.hypot(*stands_for.T) >= slow],
        running(part)[moves],
        angle,
    )


def strengths(coded, part, slow):
    """Vector strengths of codes, of units, and of units at their highest."""
    said, units, angle = directions(coded, part, slow)
    top = (units >= np.quantile(units, 15 / 16, axis=0)) & (units > 0)
    return {
        "codes": strength(said, angle),
        "units": strength(units, angle),
        "units, top 1/16": strength(top, angle),
        "null: codes, shifted": strength(
            said, np.roll(angle, len(angle) // 2)
        ),
    }


# %%
sharp = {
    (fold, number): strengths(coded, folds[fold].test, slow_below(folds[fold]))
    for (fold, number), coded in small.items()
}
means = {
    name: np.mean([found[name].mean() for found in sharp.values()])
    for name in sharp[0, seed]
}
means

# %% tags=["hide-input", "remove-output"]
report.figure(
    "code-tuning",
    pictures.tuning(
        stands_for,
        test.behaviour,
        codes,
        sharp[0, seed],
        slow,
        unit,
        trials.simulated,
    ),
)
report.put("memory_ms", 1e3 * memory_s)
for name, key in zip(means, ("code", "unit", "top", "null"), strict=True):
    report.put(f"{key}_strength", float(means[name]))

# %% [markdown]
# ```{glue:figure} code-tuning
# :name: fig-code-tuning
# :alt: Recorded velocity with spread for each code, and vector strengths of codes and units
#
# **Tuning of codes.** Left: mean and standard deviation of the recorded velocity in the bins that use a code (dot and ellipse), joined to what the code stands for (cross). Right: vector strength of each code and each unit; bars are means.
# ```
#
# Codes have a mean vector strength of {glue:text}`code_strength:.2f`, units {glue:text}`unit_strength:.2f`, at its highest rates {glue:text}`top_strength:.2f`; codes against a shifted hand have {glue:text}`null_strength:.2f`.
# That is no merit of being discrete.
# A code is chosen by a decoder that reads all units and remembers, so the fair rival is another way to sum up all of them.
#
# ## How many bits tell of the hand?
#
# Mutual information between a signal and what the hand does: rest or one of eight directions, and direction alone where the hand moves.
# The oracle clusters the recorded velocity itself.
# "All units, clustered" is k-means of the running averages, with no decoder.
# Units are cut into sixteen levels, and the best one is chosen on training trials.
# The null shifts the hand against the signal; what it finds is bias, and slow drift.


# %%
def behaviour_class(velocity, slow):
    """0 to 7 for directions, 8 for rest."""
    turn = np.arctan2(velocity[:, 1], velocity[:, 0]) / (2 * np.pi)
    direction = np.floor((turn + 1 / 16) % 1 * 8).astype(int)
    return np.where(np.hypot(*velocity.T) < slow, 8, direction)


def clustered(train, test, size, number=0):
    """Codes and centres of test points, by k-means of training points."""
    train, test = (
        torch.as_tensor(x, dtype=torch.float32) for x in (train, test)
    )
    book = ResidualConfig(size=size, update="frozen").build(train.shape[1])
    found = book.init_kmeans(train, number).eval().quantize(test)
    return found.codes[:, 0].numpy(), found.z_q.numpy()


def oracle(split, size, number):
    """Codes and centres of the recorded velocity of test trials."""
    return clustered(split.train.behaviour, split.test.behaviour, size, number)


def levels(train, test):
    """Columns cut at sixteenths of their training values."""
    at = np.arange(1, 16) / 16
    cuts = [np.unique(np.quantile(column, at)) for column in train.T]
    return [
        np.stack(
            [
                np.searchsorted(c, x, "right")
                for c, x in zip(cuts, part.T, strict=True)
            ],
            axis=1,
        )
        for part in (train, test)
    ]


# %%
def bits(signal, labels, moving=False):
    """Mutual information; with ``moving``, over bins that are not at rest."""
    there = labels < 8 if moving else slice(None)
    cells = 9 * signal[there].astype(int) + labels[there]
    table = np.bincount(cells, minlength=9 * (cells.max() // 9 + 1))
    table = table.reshape(-1, 9)
    return mutual_info_score(None, None, contingency=table) / np.log(2)


def best_unit(train, test, split):
    """The unit that tells most on training trials, on test trials."""
    labels = behaviour_class(split.train.behaviour, slow_below(split))
    told = [bits(column, labels) for column in train.T]
    return test[:, int(np.argmax(told))]


def against_null(signal, labels, lengths, moving):
    """Bits, the mean of the null, and its highest value."""
    shifted = [
        circular_shift(labels[:, None], lengths, i)[:, 0]
        for i in range(n_nulls)
    ]
    null = [bits(signal, other, moving) for other in shifted]
    return bits(signal, labels, moving), np.mean(null), np.max(null)


# %%
def signals(coded, bigger, split, number):
    """Everything that might tell of the hand, on test trials."""
    train, test = split.train, split.test
    averages = running(train), running(test)
    return {
        "oracle, 16 codes": oracle(split, 16, number)[0],
        "VQ, 64 codes": bigger.codes(test)[:, 0],
        "VQ, 16 codes": coded.codes(test)[:, 0],
        "all units, clustered": clustered(*averages, 16, number)[0],
        "best unit, averaged": best_unit(*levels(*averages), split),
        "best unit, one bin": best_unit(train.counts, test.counts, split),
    }


# %%
titles = {"rest or direction": False, "direction, moving": True}
told = {title: {} for title in titles}
for (fold, number), coded in small.items():
    split = folds[fold]
    labels = behaviour_class(split.test.behaviour, slow_below(split))
    made = signals(coded, large[fold, number], split, number)
    for title, moving in titles.items():
        for name, signal in made.items():
            row = against_null(signal, labels, split.test.lengths, moving)
            told[title].setdefault(name, []).append(row)
excess = {
    title: {
        name: np.subtract(*np.array(found).T[:2])
        for name, found in rows_.items()
    }
    for title, rows_ in told.items()
}

# %% tags=["hide-input", "remove-output"]
report.figure("code-information", pictures.information(told, trials.simulated))
whole, direction = excess.values()
for name, key in zip(
    whole, ("oracle", "large", "small", "clusters", "unit", "bin"), strict=True
):
    report.put(f"{key}_bits", float(np.mean(whole[name])))
    report.put(f"{key}_direction_bits", float(np.mean(direction[name])))

# %% [markdown]
# ```{glue:figure} code-information
# :name: fig-code-information
# :alt: Bits that codes, units and an oracle tell of the hand, with nulls
#
# **Bits about the hand, on held-out trials.** One dot per decoder; the grey bar ends at the highest of all shifts, the line in it is their mean.
# ```
#
# Less the mean of the null, sixteen codes tell {glue:text}`small_bits:.2f` bits, the oracle with as many codes {glue:text}`oracle_bits:.2f`, the best averaged unit {glue:text}`unit_bits:.2f`, all units clustered without a decoder {glue:text}`clusters_bits:.2f`.
# About direction alone they are {glue:text}`small_direction_bits:.2f`, {glue:text}`oracle_direction_bits:.2f`, {glue:text}`unit_direction_bits:.2f` and {glue:text}`clusters_direction_bits:.2f` bits.
# Sixteen clusters of raw activity are as discrete as sixteen codes: what makes codes speak of the hand is the decoder they are cut from.
#
# ## Experiment 12: what does each stage add?
#
# The share of variance that the first stages explain on held-out trials, of the latent and of the velocity decoded from it, stage by stage.
# A null says how special that is: Gaussian latents with the same covariance, coded the same way.


# %%
def gains(errors, total):
    """Share of the variance that each stage adds."""
    return -np.diff(np.concatenate([[1.0], np.asarray(errors) / total]))


def coded_shares(quantizer, test):
    """Share of the variance of test latents that each stage adds."""
    left = quantizer.quantize(test).diagnostics["stage_mse"]
    return gains(left, test.var(dim=0, correction=0).mean())


def gaussian(train, n, number):
    """As many latents of the same covariance, and nothing else alike."""
    draw = np.random.default_rng(number)
    moments = train.mean(0).numpy(), np.cov(train.numpy().T)
    made = draw.multivariate_normal(*moments, n, method="eigh")
    return torch.as_tensor(made, dtype=torch.float32)


def null_shares(train, test, number):
    """The same for Gaussian latents, with codes of their own."""
    n = len(train)
    made = gaussian(train, n + len(test), number)
    book = residual.build(train.shape[1]).init_kmeans(made[:n], number)
    return coded_shares(book.eval(), made[n:])


# %%
board, shares, staged, embedded = Leaderboard(), {}, {}, {}
for (fold, number), model in models.items():
    split, part = folds[fold], folds[fold].test
    deep = staged[fold, number] = model.quantised(
        residual, split.train, number
    )
    latents = [torch.as_tensor(model.embed(each)) for each in split[::2]]
    embedded[fold, number] = latents
    whole_output = model.predict(part)
    outputs = [deep.predict(part, n) for n in (1, 2, 3, 4)]
    errors = [((output - whole_output) ** 2).mean() for output in outputs]
    for name, row in {
        "latent": coded_shares(deep.quantizer, latents[1]),
        "decoded velocity": gains(errors, whole_output.var(0).mean()),
        "null: Gaussian latent": null_shares(*latents, number),
    }.items():
        shares.setdefault(name, []).append(row)
    named = {f"RVQ, {n} stages": out for n, out in enumerate(outputs, 1)}
    for name, output in (named | {"continuous": whole_output}).items():
        board.add(name, number, part.behaviour, output, part.lengths, fold)
share = {name: np.mean(rows_, axis=0) for name, rows_ in shares.items()}

# %% tags=["hide-input", "remove-output"]
log_shares = [
    report.published("rvq-stage-share-1")["value"],
    report.published("rvq-stage-share-2")["value"],
    report.published("rvq-stage-share-3")["value"],
    report.published("rvq-stage-share-4")["value"],
]
staircase = np.stack(
    [
        board.differences(f"RVQ, {n} stages", "continuous")
        for n in (1, 2, 3, 4)
    ],
    axis=1,
)
report.figure(
    "code-stages",
    pictures.stages(
        share | {"the log's belief": log_shares},
        staircase,
        trials.simulated,
    ),
)
for stage in range(4):
    report.put(f"log_share_{stage + 1}", 100 * log_shares[stage])
    report.put(f"latent_share_{stage + 1}", 100 * share["latent"][stage])
    report.put(
        f"velocity_share_{stage + 1}", 100 * share["decoded velocity"][stage]
    )
report.put("gaussian_share", 100 * share["null: Gaussian latent"][0])
last = board.interval("RVQ, 4 stages", "RVQ, 2 stages")
for name, value in zip(
    ("last", "last_low", "last_high"), last[:3], strict=True
):
    report.put(name, value)

# %% [markdown]
# ```{glue:figure} code-stages
# :name: fig-code-stages
# :alt: Share of variance per stage on a logarithmic axis, and what the first stages cost in R squared
#
# **What each stage adds, on held-out trials.** Left: share of the variance of the latent and of the decoded velocity, mean over decoders, beside what the log believes and a Gaussian null. Right: R² from the first stages, less that of the same decoder without codes; one line per decoder.
# ```
#
# The first stage takes {glue:text}`latent_share_1:.0f` % of the latent's variance, the others {glue:text}`latent_share_2:.1f`, {glue:text}`latent_share_3:.1f` and {glue:text}`latent_share_4:.1f` %.
# Of the decoded velocity it takes {glue:text}`velocity_share_1:.0f` %, the last stage {glue:text}`velocity_share_4:.1f` %.
# So the log's staircase is too flat by far, for these latents: {glue:text}`log_share_1:.0f` % against {glue:text}`latent_share_1:.0f` %.
# A Gaussian latent of the same covariance leaves {glue:text}`gaussian_share:.0f` % to the first stage, so most of this is that the latent has few dimensions, and clusters are the rest.
# Stages three and four together add {glue:text}`last:.4f` [{glue:text}`last_low:.4f`, {glue:text}`last_high:.4f`] to R².
# The log's own codes were not those of k-means either: its running counts start at zero, and the first step of training throws every code away.
# Our latent is an LSTM's with 32 channels, the log's a transformer's with 128: theirs may be less compact.
#
# ## How codes are used
#
# Entropies count all held-out bins.
# Given the code of the bin before, less is left to say: that is the rate at which a code could be sent.


# %%
def pairs(codes, part):
    """Codes of neighbouring bins of a trial, ``(n_pairs, 2, n_codebooks)``."""
    same = part.trial_of_bin[1:] == part.trial_of_bin[:-1]
    return np.stack([codes[:-1][same], codes[1:][same]], axis=1)


def rates(codes, size, part):
    """Bits per bin: nominal, as used, and given the bin before."""
    codes = codes.reshape(-1, 1)
    entropy = float(code_usage(codes, (size,)).entropy[0])
    given = code_usage(pairs(codes, part), (size,)).conditional_entropy
    names = ("nominal", "as used", "given the last")
    return dict(zip(names, (np.log2(size), entropy, given), strict=True))


# %%
used = {}
for (fold, number), coded in small.items():
    split, held_out = folds[fold], folds[fold].test
    for name, size, found in (
        ("VQ 16", 16, coded.codes(held_out)),
        ("oracle 16", 16, oracle(split, 16, number)[0]),
        ("VQ 64", 64, large[fold, number].codes(held_out)),
    ):
        used.setdefault(name, []).append(rates(found, size, held_out))
usage = {
    name: {label: np.mean([row[label] for row in rows_]) for label in rows_[0]}
    for name, rows_ in used.items()
}
neighbours = pairs(codes[:, None], test)[..., 0]
transitions = np.zeros((16, 16))
np.add.at(transitions, tuple(neighbours.T), 1)
stays = np.trace(transitions) / transitions.sum()
turned = neighbours[(neighbours >= n_rest).all(axis=1)]
turned = turned[turned[:, 0] != turned[:, 1]]
heading = stands_for / np.hypot(*stands_for.T)[:, None]
kept_on = (heading @ heading.T)[tuple(turned.T)] > 0
by_chance = (heading @ heading.T)[np.ix_(*turned.T)] > 0
transitions /= np.maximum(transitions.sum(axis=1, keepdims=True), 1)

# %% tags=["hide-input", "remove-output"]
report.figure(
    "code-usage",
    pictures.usage(transitions, n_rest, usage, trials.simulated),
)
per_second = 1 / test.bin_size_s
for name, key in zip(usage, ("small", "hand", "large"), strict=True):
    report.put(f"{key}_entropy", usage[name]["as used"])
    report.put(f"{key}_perplexity", 2 ** usage[name]["as used"])
    report.put(f"{key}_given", usage[name]["given the last"])
    report.put(f"{key}_rate", per_second * usage[name]["given the last"])
report.put("small_nominal", usage["VQ 16"]["nominal"])
report.put("small_nominal_rate", usage["VQ 16"]["nominal"] * per_second)
report.put("kept_on", 100 * float(kept_on.mean()))
report.put("by_chance", 100 * float(by_chance.mean()))
report.put("dwell_ms", 1e3 * test.bin_size_s / (1 - stays))
deep_codes = staged[0, seed].codes(test)
deep_usage = code_usage(deep_codes, (128,) * 4)
report.put("deep_nominal", staged[0, seed].bits)
report.put("deep_sum", float(deep_usage.entropy.sum()))
report.put("deep_joint", deep_usage.joint_entropy)
report.put("deep_most", float(np.log2(len(deep_codes))))
report.put("deep_used", int(deep_usage.used.sum()))
for i, value in enumerate(deep_usage.perplexity, 1):
    report.put(f"perplexity_{i}", float(value))

# %% [markdown]
# ```{glue:figure} code-usage
# :name: fig-code-usage
# :alt: Transitions between sixteen codes, and bits per bin of three codebooks
#
# **Grammar and cost of codes.** Left: the next code after each code; the lines part rest from movement. Right: bits per bin, nominal, by how often each code is used, and given the code of the bin before.
# ```
#
# A small code lasts {glue:text}`dwell_ms:.0f` ms on average.
# Where one code of movement follows another, it turns by less than a right angle in {glue:text}`kept_on:.0f` % of the cases; codes that forget the last one would do so in {glue:text}`by_chance:.0f` %.
# Sixteen codes are nominally {glue:text}`small_nominal:.0f` bits; they use {glue:text}`small_entropy:.2f` (as {glue:text}`small_perplexity:.1f` equal codes would), and given the last code {glue:text}`small_given:.2f`.
# Per second that is {glue:text}`small_rate:.0f` bits instead of {glue:text}`small_nominal_rate:.0f`.
# The oracle's codes of the recorded hand need {glue:text}`hand_given:.2f` bits given the last one.
#
# Of the four stages' {glue:text}`deep_used` codes that occur (perplexities {glue:text}`perplexity_1:.0f`, {glue:text}`perplexity_2:.0f`, {glue:text}`perplexity_3:.0f`, {glue:text}`perplexity_4:.0f`), each stage alone is well used; their entropies sum to {glue:text}`deep_sum:.1f` of nominal {glue:text}`deep_nominal:.0f` bits.
# Their joint entropy cannot be measured here: it comes out as {glue:text}`deep_joint:.1f` bits, and no set of so many bins can show more than {glue:text}`deep_most:.1f`.
# Full use is no sign of meaning either, as the late stages show: they are used at least as evenly as the first and decode next to nothing.
#
# ## Experiment 9: is there a Voronoi ceiling?
#
# The log says that a single codebook of {glue:text}`log_codes:.0f` stops at R² {glue:text}`log_ceiling:.2f`, and took it as a reason for several stages.
# It was set beside an LSTM without codes.
# The twin it needs is the same network without codes, and that was not scored; a perceptron with as long a window had {glue:text}`log_mlp:.3f` in experiment 3, which is less and not more.
#
# Here are five codebooks of each size for one decoder.
# **k-means** of latents, decoded by the head as it is or by a **probe**, ridge regression on one-hot codes.
# **Random** training latents as codes.
# k-means of the **decoded velocity**, so that codes are spent on nothing else.
# **Oracle** k-means of the recorded velocity, which is what so many cells can hold.
# And two codebooks without meaning: codes **shuffled** over bins, and codes whose names were exchanged.


# %%
def random_codebook(coded, latents, number):
    """A copy whose codes are training latents drawn at random."""
    random = copy.deepcopy(coded)
    size = random.quantizer.sizes[0]
    chosen = np.random.default_rng(number).permutation(len(latents))[:size]
    random.quantizer.codes.copy_(latents[chosen])
    return random


def probe(codes, split, size):
    """Ridge on one-hot codes; takes codes of training and of test trials."""
    train, test = (np.eye(size)[part[:, 0]] for part in codes)
    return Ridge(alpha=1.0).fit(train, split.train.behaviour).predict(test)


# %%
def codebooks(model, split, latents, size, number):
    """Velocity of test trials by every codebook of one size."""
    coded = model.quantised(ResidualConfig(size=size), split.train, number)
    random = random_codebook(coded, latents[0], number)
    said, drawn = (
        [each.quantizer.quantize(z).codes.numpy() for z in latents]
        for each in (coded, random)
    )
    return {
        "k-means": coded.decode_codes(said[1]),
        "k-means, probe": probe(said, split, size),
        "random": random.decode_codes(drawn[1]),
    }


def by_velocity(model, split, size, number):
    """The same by clusters of the decoded and of the recorded velocity."""
    outputs = [model.predict(part) for part in split[::2]]
    return {
        "decoded velocity": clustered(*outputs, size, number)[1],
        "oracle": oracle(split, size, number)[1],
    }


def meaningless(coded, codes, number):
    """Velocity by codes of other bins, and by codes of other names."""
    draw = np.random.default_rng(number)
    return {
        "shuffled": coded.decode_codes(draw.permutation(codes)),
        "renamed": coded.decode_codes(draw.permutation(16)[codes]),
    }


# %%
sizes = (4, 16, 64, 256)
for (fold, number), model in models.items():
    split, part, coded = folds[fold], folds[fold].test, small[fold, number]
    found = meaningless(coded, coded.codes(part), number)
    for size in sizes:
        made = codebooks(model, split, embedded[fold, number], size, number)
        made |= by_velocity(model, split, size, number)
        found |= {f"{name} {size}": output for name, output in made.items()}
    for name, output in found.items():
        board.add(name, number, part.behaviour, output, part.lengths, fold)

# %%
kinds = ("k-means", "k-means, probe", "random", "decoded velocity", "oracle")
r2 = {
    kind: [board.r2(f"{kind} {size}").mean() for size in sizes]
    for kind in kinds
}
r2["no codes"] = [board.r2("continuous").mean()] * len(sizes)
tax = board.interval("k-means 256", "continuous")
random_16 = board.interval("random 16", "k-means 16")
task = board.interval("decoded velocity 16", "k-means 16")

# %% tags=["hide-input", "remove-output"]
report.figure(
    "code-sizes",
    scores.sweep(
        sizes, r2, "codes", "R² of velocity", trials.simulated, log=True
    ),
)
ceiling = report.published("rvq-voronoi-ceiling")["value"]
report.put("log_mlp", report.published("rvq-mlp-ten-bins")["value"])
report.put("log_ceiling", ceiling)
report.put("log_codes", 256)
for key, kind in zip(
    ("vq", "probe", "random", "task", "oracle"), kinds, strict=True
):
    report.put(f"{key}_16_r2", float(r2[kind][1]))
    report.put(f"{key}_256_r2", float(r2[kind][3]))
report.put("continuous_r2", float(r2["no codes"][0]))
for key, found in {
    "tax": tax,
    "random_gap": random_16,
    "task_gap": task,
}.items():
    for word, value in zip(("", "_low", "_high"), found[:3], strict=True):
        report.put(f"{key}{word}", value)
report.put("shuffled_r2", float(board.r2("shuffled").mean()))
report.put("renamed_r2", float(board.r2("renamed").mean()))

# %% [markdown]
# ```{glue:figure} code-sizes
# :name: fig-code-sizes
# :alt: R squared against the number of codes for five kinds of codebook and no codes
#
# **R² against the number of codes**, one codebook, mean over decoders, held-out trials. The oracle is no decoder: it sees the hand.
# ```
#
# The oracle passes R² {glue:text}`oracle_16_r2:.2f` with 16 codes and reaches {glue:text}`oracle_256_r2:.2f` with 256, so cells are not too coarse.
# Post-training codes reach {glue:text}`vq_16_r2:.2f` with 16 and {glue:text}`vq_256_r2:.3f` with 256, where the decoder without codes has {glue:text}`continuous_r2:.3f`: 256 codes cost {glue:text}`tax:.3f` [{glue:text}`tax_low:.3f`, {glue:text}`tax_high:.3f`].
# The ceiling they meet is the decoder's own.
#
# Random latents make a poor small codebook ({glue:text}`random_16_r2:.2f` with 16, {glue:text}`random_gap:.2f` [{glue:text}`random_gap_low:.2f`, {glue:text}`random_gap_high:.2f`] against k-means, since most latents are of a resting hand) and a fair large one ({glue:text}`random_256_r2:.2f` with 256).
# A probe gains little over the head ({glue:text}`probe_16_r2:.2f` with 16), and codes spent on decoded velocity alone gain {glue:text}`task_gap:.3f` [{glue:text}`task_gap_low:.3f`, {glue:text}`task_gap_high:.3f`] with 16: clustering the latent wastes next to nothing, for its largest variance is velocity already.
#
# Codes shuffled over bins decode R² {glue:text}`shuffled_r2:.2f`, codes with exchanged names {glue:text}`renamed_r2:.2f`: usage, entropy and grammar of renamed codes are the same to the last bit, and the meaning is gone.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
names = ("VQ, 16 codes", "best unit, averaged", "all units, clustered")
ours, unit_bits, clusters = (np.array(whole[name]) for name in names)
report.claim(
    "sixteen codes tell more of the hand than the best unit",
    min(ours) > max(unit_bits),
)
report.claim(
    "sixteen codes tell more of the hand than sixteen clusters of all units",
    min(ours) > max(clusters),
)
report.claim(
    "the stages share the latent's variance as the log believes, within ten points",
    np.abs(share["latent"] - log_shares).max() < 0.1,
)
report.claim(
    "the first stage takes over four fifths of the variance of the decoded velocity",
    share["decoded velocity"][0] > 0.8,
)
report.claim(
    "sixteen codes of the hand itself are too coarse", r2["oracle"][1] < 0.8
)
report.claim(
    "a codebook of the log's size costs a twentieth of R² or more",
    tax.estimate < -0.05,
)
report.claim(
    "k-means beats random latents as a small codebook (interval below zero)",
    random_16.high < 0,
)
report.claim(
    "renamed codes decode worse than the mean velocity",
    max(board.r2("renamed")) < 0,
)
report.claim(
    "given the last code, a code needs less than two thirds of its bits",
    usage["VQ 16"]["given the last"] < 0.67 * usage["VQ 16"]["as used"],
)
report.check(
    "share of the first stage",
    share["latent"][0],
    0.05,
    published="rvq-stage-share-1",
)

# %% [markdown]
# ## What we learned
#
# - A code means the velocity that its latents are read as: names, usage and entropies say nothing of it, so publish the dictionary.
# - The first stage is nearly all; later stages are as evenly used and nearly empty.
# - The "Voronoi ceiling" of the log is not in the cells: a codebook of this size gives back what its decoder knows.
# - **Not shown:** codes that were trained end to end, which may cut latents elsewhere; and joint entropies, for which one session is too short.
# - **What would change our mind:** a code whose bins differ from what it stands for by more than the decoder's own error.
#
# **Try it:** `dataset="m1"` is a recording; how many of its codes stand for rest?
# **Sources:** {cite}`phantomx`.

# %% tags=["hide-input"]
report.card(
    answer=f"A velocity: sixteen codes tell {np.mean(ours):.2f} bits of what "
    f"the hand does, the best unit {np.mean(unit_bits):.2f}. The first of four "
    f"stages takes {100 * share['latent'][0]:.0f} % of the variance, not "
    f"{100 * log_shares[0]:.0f} %, and a single codebook of 256 costs "
    f"{-tax.estimate:.3f} R²: there is no ceiling in the cells.",
    needs="what vector quantization is, and a decoder with memory.",
)
report.stamp()
