# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (two-protocols)=
# # What is a protocol worth, in R²?
#
# ```{glue} card
# ```
#
# The first public version of the code and the protocol of this book differ in four ways that have nothing to do with the model {cite}`sparkscode`.
# That version keeps the weights that were best on the test trials.
# It scales the test targets by the extremes of the test trials.
# It draws latents at random when it is scored.
# And it has no trials set apart for choices.
# Here networks are scored with those habits and without, and the differences are taken one at a time.
# That is three steps, since choosing on the test trials and having no valid trials go together.
#
# **You will learn** (1) what each habit adds or costs, (2) whether it does so for every model, (3) which published numbers exist and what ours are.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # "s1", or "area2": eight targets from the centre
lag_ms: int = (
    0  # behaviour after spikes; the published code has 40, area2 only
)
n_seeds: int = 2  # networks per model and protocol
steps: int = 150  # optimiser steps
rule: str = (
    "light"  # of the Hebbian encoder; "additive" is the first published one
)
d: int = 8  # width of a unit's token
tau_s: float = 0.05  # time constant of the traces at the start
past_bins: int = 10  # latents that the decoder sees
device: str = "auto"
seed: int = 0

# %%
from dataclasses import replace
from itertools import pairwise

import numpy as np

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.decoding import squared_errors
from neurolib.metrics.intervals import hierarchical_interval
from neurolib.models.controls import (
    OneBinAttentionConfig,
    RecurrentEncoderConfig,
)
from neurolib.models.decoder import fit_best
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.linear import RidgeConfig, RidgeDecoder
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig
from neurolib.training.seeds import fit_seeds
from neurolib.viz import protocols

shift = {"lag_s": lag_ms / 1000} if dataset == "area2" else {}
everything = load(dataset, source, **shift).with_outputs("position")
report.use(everything)
everything

# %% [markdown]
# ## The same trials, divided twice
#
# The published code takes the first four fifths for training and the last fifth for tests.
# The clean protocol has the same test trials, and takes a fifth of the others, spread over time, as valid trials.

# %%
longest = round(1.5 / everything.bin_size_s)
split = everything.folds(5)[-1]
train, valid, test = (part.pieces(longest, past_bins) for part in split)
first = everything.select(range(len(everything) - len(split.test)))
both = first.pieces(longest, past_bins)  # train and valid together
(both, train, valid, test)

# %% [markdown]
# Targets are scaled to 0-1, both axes alike, because the published loss is a cross-entropy.


# %%
def scaled(part, by):
    """Position between the least and the greatest coordinate of ``by``."""
    low, high = by.behaviour.min(), by.behaviour.max()
    return replace(part, behaviour=(part.behaviour - low) / (high - low))


encoders = {
    "Hebbian": HebbianConfig(rule, d, (tau_s,)),
    "GRU": RecurrentEncoderConfig(),
    "one bin": OneBinAttentionConfig(d=32),
}
train_cfg = TrainConfig(
    steps=steps,
    batch_size=32,
    lr=1e-2,
    eval_every=max(steps // 15, 1),
    device=device,
)


def trained(encoder, train, chosen_on):
    """Networks of all seeds; weights of the best evaluation."""
    cfg = VAEConfig(encoder, 3, past_bins, likelihood="bernoulli", hidden=32)
    fits = fit_seeds(
        lambda: SequenceVAE.for_trials(train, cfg),
        train=trial_tensors(train),
        valid=trial_tensors(chosen_on),
        cfg=train_cfg,
        seeds=range(seed, seed + n_seeds),
    )
    return [model for model, _ in fits]


# %%
scored = np.ones(len(test.counts), bool)
if dataset == "area2":  # the published score starts at movement onset
    scored = test.bin_in_trial >= round(0.1 / test.bin_size_s)


trial_of = test.info["whole"][test.trial_of_bin[scored]]
lengths = np.bincount(trial_of)  # scored bins per trial
lengths = lengths[lengths > 0]


def scores(models, test, draw):
    """Squared errors of each network, latents drawn or at their mean."""
    rows = []
    for model in models:
        model.cfg = replace(model.cfg, sample=draw)
        pair = (test.behaviour[scored], model.predict(test)[scored])
        rows.append(squared_errors(*pair, lengths))
    return rows


steps_taken = (
    "published habits",
    "test scaled by training",
    "weights chosen on valid",
    "posterior mean",
)
own, fair, clean = (scaled(test, by) for by in (test, both, train))
ladder = {}
for name, encoder in encoders.items():
    loose = trained(encoder, scaled(both, both), own)
    strict = trained(encoder, scaled(train, train), scaled(valid, train))
    rows = (
        scores(loose, own, draw=True),
        scores(loose, fair, draw=True),
        scores(strict, clean, draw=True),
        scores(strict, clean, draw=False),
    )
    ladder[name] = dict(zip(steps_taken, rows, strict=True))
{
    name: {
        step: round(float(np.mean([e.r2() for e in by_seed])), 3)
        for step, by_seed in rows.items()
    }
    for name, rows in ladder.items()
}

# %%
tried = [RidgeDecoder(RidgeConfig(n)) for n in (10, 20, 30)]
ridge = fit_best(tried, train, valid)
pair = (test.behaviour[scored], ridge.predict(test)[scored])
linear = [squared_errors(*pair, lengths)] * n_seeds
ridge_r2 = linear[0].r2()
report.put("window_ms", 1e3 * ridge.cfg.history_bins * test.bin_size_s)
r2 = {
    name: {step: [e.r2() for e in seeds] for step, seeds in rows.items()}
    for name, rows in ladder.items()
}
mean = {
    name: {step: float(np.mean(r)) for step, r in rows.items()}
    for name, rows in r2.items()
}


def change(name, after, before):
    """Interval of what the step from one protocol to the other does."""
    rows = ladder[name]
    return hierarchical_interval(rows[after], baseline=rows[before])


worth = {
    name: change(name, steps_taken[0], steps_taken[-1]) for name in ladder
}
rungs = [
    change("Hebbian", before, after) for before, after in pairwise(steps_taken)
]
worth

# %% tags=["hide-input", "remove-output"]
report.figure(
    "ladder",
    protocols.ladder(r2, {"ridge": ridge_r2}, everything.simulated),
)
start, end = steps_taken[0], steps_taken[-1]
for name, key in (("Hebbian", "hebbian"), ("GRU", "gru"), ("one bin", "one")):
    report.put(f"{key}_start", mean[name][start])
    report.put(f"{key}_end", mean[name][end])
    report.put(f"{key}_worth", f"{worth[name]:+.3f}")
report.put("scaling", f"{rungs[0]:+.3f}")
report.put("choosing", f"{rungs[1]:+.3f}")
report.put("drawing", f"{rungs[2]:+.3f}")
report.put("ridge", ridge_r2)
report.put("n_seeds", n_seeds)
kind = "simulated stand-in of " if everything.simulated else "recording "
report.put("recording", f"the {kind}{everything.name}")

# %% [markdown]
# ```{glue:figure} ladder
# :name: fig-ladder
# :alt: R squared of three models under the published habits and after each step towards the clean one
#
# **From one protocol to the other.** R² of position on the same test trials; one thin line per seed of {glue:text}`n_seeds`, the thick one their mean. The dashed line is ridge with a window of {glue:text}`window_ms:.0f` ms under the clean protocol.
# ```
#
# What the habits add to the Hebbian model, with 95 % intervals over seeds and trials: scaling test targets by their own extremes {glue:text}`scaling`, choosing weights on the test trials (and training on the valid ones too) {glue:text}`choosing`, drawing latents {glue:text}`drawing`.
# Together {glue:text}`hebbian_worth`: R² of {glue:text}`hebbian_start:.3f` with all of them, {glue:text}`hebbian_end:.3f` with none.
# For the GRU they are worth {glue:text}`gru_worth`, for the one-bin control {glue:text}`one_worth`.
#
# ## Every number that exists

# %% tags=["hide-input"]
notebooks = {
    "Hebbian": [
        report.published("sparks-demo-v01")["value"],
        report.published("sparks-demo-v02")["value"],
    ]
}
claims = {
    "Hebbian": report.published("sparks-reproduction-hebbian")["value"],
    "one bin": report.published("sparks-reproduction-attention")["value"],
    "GRU": report.published("sparks-reproduction-rnn")["value"],
}
protocols.table(claims, notebooks, mean, (start, end))

# %% [markdown]
# Ours are from {glue:text}`recording`.
# The paper itself prints no number for this panel that is open to us.
# The authors' own notebooks show two numbers, of the first and the second version, which differ in rule, scaling and choice of weights; a public attempt at a reproduction reports three, and its "conventional attention" and "RNN" both saw one bin of one millisecond {cite}`sparksreproduction`.
# Ours are comparable with them only on the recording that they used; on any other they show the protocol, not the agreement.

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "the published habits flatter the Hebbian model (interval above zero)",
    worth["Hebbian"].low > 0,
)
report.claim(
    "drawing latents at random costs R² (interval below zero)",
    rungs[2].high < 0,
)
report.claim(
    "under the clean protocol, Hebbian attention beats ridge",
    hierarchical_interval(ladder["Hebbian"][end], baseline=linear).low > 0,
)
report.claim(
    "under the clean protocol, Hebbian attention beats the one-bin control",
    hierarchical_interval(
        ladder["Hebbian"][end], baseline=ladder["one bin"][end]
    ).low
    > 0,
)
if dataset == "area2" and rule == "additive":
    report.check(
        "R² of position, demonstration 0.1",
        mean["Hebbian"][start],
        0.03,
        published="sparks-demo-v01",
    )

# %% [markdown]
# ## What we learned
#
# - Taken together, the habits change the Hebbian model's R² by {glue:text}`hebbian_worth` here; what a habit is worth depends on the data.
# - **Not shown:** the published settings themselves (additive rule, traces that hardly fade, bins of a millisecond); the first two are parameters of this page. Nor the sign of the published lag, which {ref}`reaching-task` sweeps.
# - **What would change our mind:** the paper's own number with its split, scored by the weights of a fixed step.
#
# **Try it:** `rule="additive"`.
# **Sources:** {cite}`skatchkovsky2024,sparkscode,sparksreproduction`.

# %% tags=["hide-input"]
report.card(
    answer=f"For the Hebbian model, R² = {mean['Hebbian'][start]:.2f} with "
    f"the published habits against {mean['Hebbian'][end]:.2f} with weights chosen on "
    "valid trials, targets scaled by training trials and latents at their "
    f"mean: the habits change it by {worth['Hebbian']:+.3f}. Ridge has "
    f"{ridge_r2:.2f}.",
    needs="how a split into train, valid and test works.",
)
report.stamp()
