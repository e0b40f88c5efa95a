# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-seeds)=
# # How many seeds does a leaderboard need?
#
# ```{glue} card
# ```
#
# The log's last experiments run five seeds, and they turn its leaderboard over.
# A transformer that was best with one seed ({glue:text}`log_best:.4f`) has a mean of {glue:text}`log_mean:.3f`, and the LSTM beside it is no worse and steadier {cite}`phantomx`.
# The conclusions drawn on the way, that wider is better, that ten layers beat eight, that the best of three teachers teaches best, were differences between seeds.
#
# The log printed the scores of every seed, so they can be put through the tests of this book.
#
# **You will learn** (1) what five seeds can and cannot show, (2) what testing on the trials that chose the epoch is worth, (3) how far sizes differ when each has its seeds.

# %% tags=["parameters"]
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
source: str = "auto"  # or "recorded", "simulated"
n_folds: int = 1  # of five; each fold holds out a fifth of the trials
n_seeds: int = 3
steps: int = 120
seed: int = 0
device: str = "auto"

# %%
from dataclasses import replace

import numpy as np
import torch

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.metrics.leaderboard import Leaderboard
from neurolib.metrics.statistics import (
    equivalence_test,
    paired_effect_size,
    sign_flip_test,
)
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.training.loop import fit
from neurolib.training.recipes import Recipe, trained
from neurolib.viz import scores

trials = load(dataset, source).with_outputs("velocity")
report.use(trials)
folds = trials.folds(5)[:n_folds]
trials

# %% [markdown]
# ## Experiments 23 and 24, tested again
#
# Five scores each, on the same five seeds.

# %%
entries = {
    "transformer": report.published("rvq-23-transformer"),
    "LSTM": report.published("rvq-23-lstm"),
    "student": report.published("rvq-24-student"),
    "LSTM (24)": report.published("rvq-24-lstm"),
    "teacher": report.published("rvq-24-teacher"),
}
runs = {name: np.array(entry["seeds"]) for name, entry in entries.items()}
pairs = {
    "transformer - LSTM": runs["transformer"] - runs["LSTM"],
    "student - LSTM": runs["student"] - runs["LSTM (24)"],
    "student - teacher": runs["student"] - runs["teacher"],
}


# %%
def tests(differences):
    """What paired differences of five seeds say."""
    return {
        "mean": round(float(differences.mean()), 4),
        "p, sign flips": sign_flip_test(differences).p_value,
        "p, within 0.005": round(
            equivalence_test(differences, 0.005).p_value, 3
        ),
        "d_z": round(paired_effect_size(differences), 2),
    }


{name: tests(differences) for name, differences in pairs.items()}

# %% tags=["hide-input"]
report.put("log_best", report.published("rvq-22-best-seed")["value"])
report.put("log_mean", float(runs["transformer"].mean()))
report.put("log_sd", float(runs["transformer"].std(ddof=1)))
report.put("log_lstm_sd", float(runs["LSTM"].std(ddof=1)))
student = pairs["student - LSTM"]
tax = pairs["student - teacher"]
report.put("student_p", sign_flip_test(student).p_value)
report.put("student_gap", float(student.mean()))
report.put("tax_p", sign_flip_test(tax).p_value)
report.put("tax_same_p", equivalence_test(tax, 0.005).p_value)
needed = int(np.ceil((2.8 * student.std(ddof=1) / 0.0043) ** 2))
report.put("needed", needed)
report.put("floor_p", 2 / 2**5)
report.put("margin", "0.005")
report.put("gap_log", 0.0043)

# %% [markdown]
# The exact test cannot fall below {glue:text}`floor_p:.4f` with five seeds, whatever the scores: each sign pattern has one chance in thirty-two, and both tails count.
# The student's gap to the LSTM ({glue:text}`student_gap:.3f`) reaches that floor, p = {glue:text}`student_p:.4f`; more than that five seeds cannot say.
# That codes cost nothing cannot be said either: the test for a difference has p = {glue:text}`tax_p:.2f`, the test for equivalence within {glue:text}`margin` of R² p = {glue:text}`tax_same_p:.2f`.
# Neither a cost nor its absence is shown.
# The spread between the transformer's seeds is {glue:text}`log_sd:.3f`, that of the LSTM's {glue:text}`log_lstm_sd:.3f`.
# At that spread of paired differences, finding a gap of {glue:text}`gap_log:.4f`, which the log discusses, takes about {glue:text}`needed` paired seeds for a power of four fifths.
#
# ## What choosing on the test trials is worth
#
# In most of the log, the trials that choose the epoch are the trials that are reported.
# The same training, once kept by its valid trials, once by its test trials; the second is what the log did.

# %%
recipe = Recipe.cosine(steps, device, eval_every=5)
lstm = DiscreteDecoderConfig(
    RecurrentEncoderConfig("lstm", 64, dropout=0.3), noise=0.1, drop_bins=0.1
)


long = replace(recipe.train, steps=steps, schedule="constant", eval_every=10)


def chosen_by(part, split, number):
    """Test R² of an LSTM whose epoch was chosen on valid or on test trials."""
    torch.manual_seed(number)
    plain = replace(lstm, noise=0.0, drop_bins=0.0)
    decoder = DiscreteDecoder.for_trials(split.train, plain)
    judged = split._replace(valid=getattr(split, part))
    fit(decoder, *recipe.tensors(judged), replace(long, seed=number))
    found = decoder.predict(split.test)
    return r2_variance_weighted(split.test.behaviour, found)


chosen = {
    part: np.array(
        [
            chosen_by(part, folds[-1], number)
            for number in range(seed, seed + n_seeds)
        ]
    )
    for part in ("valid", "test")
}
gift = chosen["test"] - chosen["valid"]
{part: values.round(3).tolist() for part, values in chosen.items()}

# %% [markdown]
# ## Experiments 21 and 21b: wider, deeper, better?
#
# Transformers of three sizes and an LSTM, each with the same seeds, augmented alike, chosen on valid trials.

# %%
sizes = {"d=16, 1 layer": (16, 1), "d=32, 1 layer": (32, 1)}
sizes |= {"d=32, 3 layers": (32, 3)}
models = {"LSTM": lstm} | {
    name: DiscreteDecoderConfig(
        CausalTransformerConfig(d, 2, layers, 0.25, dropout=0.1),
        noise=0.1,
        drop_bins=0.1,
    )
    for name, (d, layers) in sizes.items()
}
board = Leaderboard()
for fold, split in enumerate(folds):
    test = split.test
    for number in range(seed, seed + n_seeds):
        for name, cfg in models.items():
            found = trained(split, cfg, recipe, number).predict(test)
            row = name, number, test.behaviour, found, test.lengths, fold
            board.add(*row)

# %%
intervals = board.intervals()
spreads = {name: board.r2(name).std(ddof=1) for name in models}
means = np.array([board.r2(name).mean() for name in sizes])
by_seed = np.array([board.r2(name) for name in sizes])
winners = [list(sizes)[i] for i in by_seed.argmax(axis=0)]
winners

# %% tags=["hide-input", "remove-output"]
panels = {
    "R² of velocity": {k: tuple(v[:3]) for k, v in intervals.items()},
    "range of seeds": {
        k: (board.r2(k).mean(), board.r2(k).min(), board.r2(k).max())
        for k in intervals
    },
}
fig = scores.interval_chart(panels, "", trials.simulated)
report.figure("sizes", fig)

# %% tags=["hide-input"]
report.put("n_seeds", n_seeds)
report.put("gift", float(gift.mean()))
report.put("between_sizes", float(np.ptp(means)))
report.put("between_seeds", float(np.ptp(by_seed, axis=1).mean()))
report.put("n_winners", len(set(winners)))
gap = board.interval(max(sizes, key=lambda k: board.r2(k).mean()), "LSTM")
report.put("gap", f"{gap:.3f}")

# %% [markdown]
# ```{glue:figure} sizes
# :name: fig-sizes
# :alt: R squared of transformers of three sizes and an LSTM with intervals and with the range over seeds
#
# **Sizes and seeds.** Left: R² on test trials with 95 % intervals over {glue:text}`n_seeds` seeds and trials. Right: the range of the single seeds.
# ```
#
# Choosing the epoch on the test trials gives {glue:text}`gift:.3f` of R² away, for nothing.
# The three sizes differ by {glue:text}`between_sizes:.3f` in their means, the seeds of one size by {glue:text}`between_seeds:.3f`; {glue:text}`n_winners` of the sizes win for some seed.
# The best of them is {glue:text}`gap` from the LSTM.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim("five seeds can reach p below 0.05", min(2 / 2**5, 1.0) < 0.05)
report.claim(
    "the log's scores show that codes cost nothing",
    equivalence_test(tax, 0.005).p_value < 0.05,
)
report.claim(
    "the log's transformer beats its LSTM",
    sign_flip_test(pairs["transformer - LSTM"]).p_value < 0.05
    and pairs["transformer - LSTM"].mean() > 0,
)
report.claim(
    "the log's seeds of one transformer differ more than those of its LSTM",
    runs["transformer"].std() > runs["LSTM"].std(),
)
report.claim(
    "choosing on the test trials never costs anything", gift.mean() >= 0
)
report.claim(
    "the best transformer beats the LSTM here (interval above zero)",
    gap.low > 0,
)
report.check(
    "R² of the augmented LSTM",
    intervals["LSTM"].estimate,
    0.02,
    published="rvq-23-lstm",
)

# %% [markdown]
# ## What we learned
#
# - **Five seeds cannot show significance, and a difference that is not significant is not equality.** Plan the number of seeds for the difference that matters.
# - **The best of several seeds is not a model.** Report all, compare in pairs.
# - **An epoch chosen on test trials is a present**, of the size that leaderboards argue about.
#
# **Try it:** `-p n_seeds=10 -p n_folds=5`: which sizes can be told apart?
# **Sources:** {cite}`phantomx`.

# %% tags=["hide-input"]
report.card(
    answer="Five seeds cannot reach p < 0.05, and the log's own scores show "
    "neither a cost of codes nor its absence. Here sizes differ by "
    f"{np.ptp(means):.3f} in R², seeds of one size by "
    f"{np.ptp(by_seed, axis=1).mean():.3f}, and choosing the epoch on the "
    f"test trials gives {gift.mean():.3f} away.",
    needs="what a p-value is.",
)
report.stamp()
