# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-collapse)=
# # Why do codebooks collapse, and what cures it?
#
# ```{glue} card
# ```
#
# Put a codebook of 256 codes between encoder and decoder, train everything at once, and soon a handful of codes carry everything.
# Experiments 5 to 8 of the log fought that: {glue:text}`log_used:.0f` of 256 codes used and R² {glue:text}`log_gradient:.3f` to begin with, {glue:text}`log_ema:.3f` after codes became running means {cite}`phantomx`.
# It blames the bottleneck, then the gradient, then an entropy term.
# Its code had the weights of the two codebook losses swapped, and an entropy term that has no gradient.
#
# **You will learn** (1) which part of the collapse is the codebook's and which the encoder's, (2) what the swapped weights did, (3) what running means, reviving and k-means each cure.

# %% tags=["parameters"]
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
source: str = "auto"  # or "recorded", "simulated"
n_folds: int = 1  # of five; each fold holds out a fifth of the trials
n_seeds: int = 2
steps: int = 100
hidden: int = 64  # of the LSTM
dim: int = 32  # of a latent
size: int = 256  # codes
seed: int = 0
device: str = "auto"

# %%
from dataclasses import replace

import numpy as np
import torch

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.leaderboard import Leaderboard
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.quantizers.product import ProductConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.quantizers.usage import code_usage
from neurolib.training.recipes import Recipe, kmeans_first, trained
from neurolib.viz import scores

trials = load(dataset, source).with_outputs("velocity")
report.use(trials)
folds = trials.folds(5)[:n_folds]
trials

# %% [markdown]
# ## Six codebooks, one decoder
#
# The LSTM and its head are the same throughout, and everything is trained from the start for as many steps.
#
# - **gradient**: codes learn from the loss that pulls them to their latents; the pull of latents to codes has weight a quarter {cite}`oord2017`;
# - **gradient, swapped**: the weights as the log's code had them;
# - **running means**: codes are running means of their latents;
# - **reviving**: the same, and a code that few use is put where a latent is;
# - **product**: four groups of channels with 64 codes each;
# - **k-means first**: running means, from k-means of the untrained encoder's latents.
#
# The swap is one number here.
# The optimiser divides each parameter's gradient by its size, and codes have no other gradient, so the weight on their side drops out; what is left is a pull on the encoder that is four times as strong.

# %%
recipe = Recipe.cosine(steps, device)
lstm = RecurrentEncoderConfig("lstm", hidden, dropout=0.3)
base = DiscreteDecoderConfig(lstm, dim=dim, hidden=64)
means = ResidualConfig(size=size, dead_below=0.0)
gradient = replace(means, update="gradient")
codebooks = {
    "gradient": gradient,
    "gradient, swapped": replace(gradient, commitment=1.0),
    "running means": means,
    "reviving": replace(means, decay=0.95, dead_below=0.3),
    "product 4x64": ProductConfig(4, replace(means, size=64)),
}

# %%
board, used, usages = Leaderboard(), {}, {}


def note(name, decoder, split, number, fold):
    """Keep the test predictions of a decoder and its use of codes in training."""
    test = split.test
    found = decoder.predict(test)
    board.add(name, number, test.behaviour, found, test.lengths, fold)
    if decoder.quantizer is not None:
        sizes = decoder.quantizer.sizes
        usage = code_usage(decoder.codes(split.train), sizes)
        used.setdefault(name, []).append(usage.used.mean())
        usages[name] = usage


# %%
for fold, split in enumerate(folds):
    for number in range(seed, seed + n_seeds):
        start = trained(split, base, recipe, number)
        note("continuous", start, split, number, fold)
        after = start.quantised(means, split.train, number)
        note("after training", after, split, number, fold)
        for name, codes in codebooks.items():
            cfg = replace(base, quantizer=codes)
            decoder = trained(split, cfg, recipe, number)
            note(name, decoder, split, number, fold)
        cfg = replace(base, quantizer=means)
        decoder = kmeans_first(split, cfg, recipe, number)
        note("k-means first", decoder, split, number, fold)

# %%
intervals = board.intervals()
{
    name: f"{interval:.3f}, {np.mean(used.get(name, [np.nan])):.0f} codes"
    for name, interval in intervals.items()
}

# %% tags=["hide-input", "remove-output"]
shares = {
    name: tuple(np.percentile(counts, [50, 0, 100]))
    for name, counts in used.items()
}
panels = {
    "R² of velocity": {k: tuple(v[:3]) for k, v in intervals.items()},
    "codes used (range)": {k: shares.get(k) for k in intervals},
}
fig = scores.interval_chart(panels, "", trials.simulated)
report.figure("collapse", fig)

# %% tags=["hide-input"]
report.put("log_gradient", report.published("rvq-5-gradient")["value"])
report.put("log_used", report.published("rvq-5-codes")["value"])
report.put("log_ema", report.published("rvq-8-ema")["value"])
report.put("log_entropy", report.published("rvq-8-entropy")["value"])
report.put("log_product", report.published("rvq-6-product")["value"])
report.put("log_wide", report.published("rvq-7-wide")["value"])
report.put("n_seeds", n_seeds)
for key, name in {
    "twin": "continuous",
    "after": "after training",
    "grad": "gradient",
    "swapped": "gradient, swapped",
    "ema": "running means",
    "alive": "reviving",
    "product": "product 4x64",
    "first": "k-means first",
}.items():
    report.put(f"{key}_r2", intervals[name].estimate)
    if name in used:
        report.put(f"{key}_used", float(np.mean(used[name])))

# %% [markdown]
# ```{glue:figure} collapse
# :name: fig-codebooks-collapse
# :alt: R squared and number of codes used for eight ways to train a codebook
#
# **Trained together, codebooks collapse; after training, they do not.** Left: R² on test trials with 95 % intervals over {glue:text}`n_seeds` seeds and trials. Right: codes that occur in training trials, mean over groups, with the range over seeds.
# ```
#
# ## Experiments 5 and 7: the bottleneck, or the recipe?
#
# The continuous decoder has R² {glue:text}`twin_r2:.3f`.
# Its latents need no lighter bottleneck and no wider codes: clustered after training they use {glue:text}`after_used:.0f` codes and keep {glue:text}`after_r2:.3f`.
# Trained together with codes that learn by gradient, the same architecture uses {glue:text}`grad_used:.0f` and reaches {glue:text}`grad_r2:.3f`.
# So the bottleneck is not at fault, and neither is the number of codes; in the log a thousand codes of 256 channels reached {glue:text}`log_wide:.3f` and used eight of them.
#
# With the log's weights R² is {glue:text}`swapped_r2:.3f`: the swap is a bug, but not what keeps codebooks small here.
#
# ## Experiment 8: running means
#
# Running means lift R² from {glue:text}`grad_r2:.3f` to {glue:text}`ema_r2:.3f`, as they did in the log (to {glue:text}`log_ema:.3f`).
# Reviving does more: {glue:text}`alive_r2:.3f`, with {glue:text}`alive_used:.0f` codes in use.
# It has to be eager, though: a code is moved when it gets less than a third of its due over some twenty steps, where the log waited longer than its trainings lasted and then forgot to move the sum along with the code.
#
# The log also tried an entropy term on the codes that were chosen, and blamed it for {glue:text}`log_entropy:.3f`.
# What is chosen is an argmax, and an argmax has no gradient:

# %%
latents = torch.randn(64, dim, requires_grad=True)
codes = torch.randn(size, dim)
chosen = torch.cdist(latents, codes).argmin(dim=1)
share = torch.nn.functional.one_hot(chosen, size).float().mean(dim=0)
entropy = -torch.xlogy(share, share).sum()
entropy.requires_grad

# %% [markdown]
# The term cannot have done anything, good or bad; that run differed from its neighbour by its seed.
# For an entropy that can be trained, codes must be soft, which is what Gumbel codes are for ({ref}`rvq-progressive`).
#
# ## Experiment 6: products
#
# Four small codebooks side by side reach {glue:text}`product_r2:.3f` (the log: {glue:text}`log_product:.3f`) with {glue:text}`product_used:.0f` of 64 codes each: they collapse as much, but combine.
#
# ## What k-means at the start is worth
#
# Starting from clusters of an *untrained* encoder uses {glue:text}`first_used:.0f` codes, and R² is {glue:text}`first_r2:.3f`.
# A full codebook of the wrong things is no cure; clusters are worth something once the latents are.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
twin = "continuous"
worst = board.interval("gradient", twin)
report.claim(
    "a codebook trained by gradient loses more than 0.1 of R²",
    worst.high < -0.1,
)
report.claim(
    "it uses less than a third of its codes",
    float(np.mean(used["gradient"])) < size / 3,
)
report.claim(
    "running means beat the gradient",
    board.interval("running means", "gradient").low > 0,
)
report.claim(
    "the swapped weights are what keeps codes few",
    board.interval("gradient", "gradient, swapped").low > 0,
)
report.claim(
    "clusters of the trained latents lose less than 0.05 of R²",
    board.interval("after training", twin).low > -0.05,
)
report.claim(
    "eager reviving beats running means alone",
    board.interval("reviving", "running means").low > 0,
)
report.claim(
    "a full codebook from the start is a cure",
    board.interval("k-means first", twin).low > -0.05,
)
report.claim(
    "four small codebooks beat one large one",
    board.interval("product 4x64", "running means").low > 0,
)
report.claim(
    "the entropy of chosen codes has a gradient", entropy.requires_grad
)
report.check(
    "codes used by a codebook trained by gradient",
    float(np.mean(used["gradient"])),
    10.0,
    published="rvq-5-codes",
)
report.check(
    "R² with running means, trained together",
    intervals["running means"].estimate,
    0.05,
    published="rvq-8-ema",
)

# %% [markdown]
# ## What we learned
#
# - **Collapse is a matter of order.** Codes and encoder chase each other while the latents are still useless; the same codes on finished latents are all used.
# - **Running means help, eager reviving helps more**, enough that codes trained at once come near those set afterwards; clusters of an untrained encoder do not help.
# - **A term without a gradient does nothing**, whatever the score beside it says.
#
# **Try it:** `-p steps=600`: does patience cure the collapse?
# **Sources:** {cite}`phantomx,oord2017`.

# %% tags=["hide-input"]
report.card(
    answer=f"Trained together by gradient, {np.mean(used['gradient']):.0f} "
    f"of {size} codes are used and R² is "
    f"{intervals['gradient'].estimate:.2f}; running means reach "
    f"{intervals['running means'].estimate:.2f}, eager reviving "
    f"{intervals['reviving'].estimate:.2f}. The same codes set after "
    f"training: {intervals['after training'].estimate:.2f} of "
    f"{intervals['continuous'].estimate:.2f}.",
    needs="what a codebook is.",
)
report.stamp()
