# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-history)=
# # How much history, and whose spikes?
#
# ```{glue} card
# ```
#
# The log's first decoder sorted the counts of one bin, so that it would not matter which unit is which, and coded them: R² {glue:text}`log_tokens:.4f` {cite}`phantomx`.
# Its lesson was that sorting destroys identity.
# But two things were missing at once, identity and history, and the log took them apart one seed at a time.
#
# **You will learn** (1) what one bin holds, and how much of that is the clock, (2) how R² grows with history, (3) what a population says when nobody knows who fired, and how identity slips back in.

# %% tags=["parameters"]
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
source: str = "auto"  # or "recorded", "simulated"
half_bin_s: float = 0.0125  # 0 where bins came with the recording ("m1")
n_folds: int = 1  # of five; each fold holds out a fifth of the trials
n_seeds: int = 2
histories_s: list = [0.125, 0.25, 0.5]  # beside one bin
ridge_up_to_s: float = 0.25  # longest history of ridge regression
window_s: float = 0.25  # history of the summaries
steps: int = 80
hidden: int = 64
seed: int = 0
device: str = "auto"

# %%
from dataclasses import replace

import numpy as np

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.leaderboard import Leaderboard
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.history import HistoryMlpConfig
from neurolib.models.invariant import PopulationSummaryConfig
from neurolib.models.linear import RidgeConfig, RidgeDecoder
from neurolib.models.spike_tokens import SpikeTokensConfig
from neurolib.training.loop import TrainConfig
from neurolib.training.recipes import Recipe, trained
from neurolib.viz import scores
from neurolib.viz.context import context_curves

fine = load(dataset, source, bin_size_s=half_bin_s or None)
fine = fine.with_outputs("velocity")
report.use(fine)
width = 2 if half_bin_s else 1  # of a bin, in what was loaded
fine.rebin(width)

# %% [markdown]
# ## Three outputs
#
# The log decoded velocity, two numbers.
# We add their length, the speed, as a third output of every model, and score it by itself.
# Counts are whole trials, pauses included; before the start of a trial the history is empty, for every model alike.
# The test trials are a fifth of the session that no choice has seen.


# %%
def with_speed(trials):
    """Trials whose third output is speed."""
    velocity = trials.behaviour
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    return replace(
        trials,
        behaviour=np.hstack([velocity, speed]),
        outputs=(*trials.outputs, "speed"),
    )


trials = with_speed(fine.rebin(width))
folds = trials.folds(5)[:n_folds]
bin_s = trials.bin_size_s
boards = {"velocity": Leaderboard(), "speed": Leaderboard()}


# %%
def note(name, number, fold, found):
    """Score a prediction of all three outputs."""
    test = folds[fold].test
    for board, kept in (("velocity", slice(2)), ("speed", slice(2, 3))):
        boards[board].add(
            name,
            number,
            test.behaviour[:, kept],
            found[:, kept],
            test.lengths,
            fold,
        )


# %% [markdown]
# ## The models
#
# **Ridge regression** and a **perceptron** see the last bins, stacked.
# An **LSTM** sees the whole trial so far, as a reference; the log's started anew on every window.
#
# **Sorted counts** (the 16 largest), a **histogram** over units and **moments** summarise each bin of the last {glue:text}`window_ms:.0f` ms, and a perceptron reads the summaries.
# Counts are standardised first, and that can be done in two ways: one mean and scale for all units, which forgets who fired, or each unit's own, which is what the log did.
#
# Two more keep identity: the **temporal pattern** (mean, slope, SD and maximum of each unit over the window) and **spike tokens**, each with the embedding of its unit {cite}`azabou2023`.
# Tokens have to find out what each unit stands for, and get three times the steps.

# %%
widths = {"hidden": (hidden,)}
histories = [bin_s, *histories_s]
models = {
    f"MLP, {history:g} s": HistoryMlpConfig(history, **widths)
    for history in histories
}
models["LSTM"] = RecurrentEncoderConfig("lstm", hidden, dropout=0.3)
models["sorted, one bin"] = PopulationSummaryConfig("sorted", bin_s, **widths)
for summary in ("sorted", "histogram", "moments"):
    for pooled, note_ in ((True, ""), (False, ", own scales")):
        models[summary + note_] = PopulationSummaryConfig(
            summary, window_s, pooled=pooled, **widths
        )

# %%
models["temporal pattern"] = PopulationSummaryConfig(
    "temporal", window_s, **widths
)
models["spike tokens"] = SpikeTokensConfig(d=32, history_s=window_s, layers=1)
recipe = Recipe(
    TrainConfig(
        steps=steps,
        batch_size=8,
        lr=6e-3,
        schedule="cosine",
        weight_decay=1e-2,
        eval_every=max(steps // 5, 1),
        device=device,
    ),
    max_bins=160,
)
patient = replace(recipe, train=replace(recipe.train, steps=3 * steps))

# %%
for fold, split in enumerate(folds):
    for number in range(seed, seed + n_seeds):
        for name, encoder in models.items():
            cfg = DiscreteDecoderConfig(encoder, dim=32, hidden=64)
            taught = patient if name == "spike tokens" else recipe
            decoder = trained(split, cfg, taught, number)
            note(name, number, fold, decoder.predict(split.test))
    for history in [h for h in histories if h <= ridge_up_to_s]:
        ridge = RidgeDecoder(RidgeConfig(round(history / bin_s)))
        found = ridge.fit(split.train, split.valid).predict(split.test)
        for number in range(seed, seed + n_seeds):
            note(f"ridge, {history:g} s", number, fold, found)

# %%
intervals = {word: board.intervals() for word, board in boards.items()}
{
    name: f"velocity {interval:.3f}, speed {intervals['speed'][name]:.3f}"
    for name, interval in intervals["velocity"].items()
}

# %% [markdown]
# ## Experiments 1 and 2: what does one bin hold?
#
# The log's clocks ran apart.
# It read velocity at points spread evenly from the first to the last bin's edge, so a sample sat at the start of its bin early in the session and at its end later.
# How much is half a bin worth?
# Average velocity over a bin's width around the start of each bin, over the bin, and around its end:

# %%
clock = Leaderboard()
places = {"start": -1, "middle": 0, "end": 1} if half_bin_s else {}
for place, shift in places.items():
    for fold, split in enumerate(
        fine.lagged(shift).rebin(2).folds(5)[:n_folds]
    ):
        ridge = RidgeDecoder(RidgeConfig(1)).fit(split.train, split.valid)
        found, test = ridge.predict(split.test), split.test
        for number in (0, 1):  # ridge has no chance in it
            clock.add(place, number, test.behaviour, found, test.lengths, fold)
by_place = clock.intervals()
{place: f"{interval:.3f}" for place, interval in by_place.items()}

# %% tags=["hide-input"]
report.put("log_tokens", report.published("rvq-1-tokens")["value"])
report.put("log_ridge_1", report.published("rvq-2-ridge")["value"])
report.put("log_mlp_1", report.published("rvq-2-mlp")["value"])
report.put("window_ms", 1e3 * window_s)
report.put("bin_ms", 1e3 * bin_s)
report.put("n_seeds", n_seeds)
report.put("steps", steps)
for place in ("start", "end"):
    moved = by_place.get(place)
    report.put(f"at_{place}", f"{moved:.3f}" if moved else "not known")
one = f"{bin_s:g} s"
for key, name in {
    "sorted": "sorted, one bin",
    "ridge": f"ridge, {one}",
    "mlp": f"MLP, {one}",
}.items():
    report.put(f"one_{key}", intervals["velocity"][name].estimate)
report.put("one_sorted_speed", intervals["speed"]["sorted, one bin"].estimate)

# %% [markdown]
# One bin of {glue:text}`bin_ms:.0f` ms, with every unit by name, gives {glue:text}`one_ridge:.3f` by ridge and {glue:text}`one_mlp:.3f` by a perceptron (the log: {glue:text}`log_ridge_1:.3f` and {glue:text}`log_mlp_1:.3f`).
# Without names it gives {glue:text}`one_sorted:.3f`, and {glue:text}`one_sorted_speed:.3f` of speed.
# So forgetting names cost experiment 1 no more than that little, and history the rest.
#
# Ridge on one bin has R² {glue:text}`at_start` with velocity around the bin's start and {glue:text}`at_end` around its end.
# The log's number for one bin is a mixture of the two.
#
# ## Experiment 3: how much history?

# %% tags=["hide-input", "remove-output"]
panels, flat = {}, {}
for word, rows in intervals.items():
    lines = {"ridge": {}, "MLP": {}}
    for name, interval in rows.items():
        kind, _, history = name.partition(", ")
        if kind in lines:
            lines[kind][round(1e3 * float(history.split()[0]))] = interval
    panels[word], flat[word] = lines, {"LSTM, whole trial": rows["LSTM"]}
fig = context_curves(panels, flat, "history (ms)", "R²", fine.simulated)
report.figure("history", fig)

# %% tags=["hide-input"]
report.put("log_mlp_5", report.published("rvq-3-mlp-5")["value"])
report.put("log_mlp_10", report.published("rvq-3-mlp-10")["value"])
report.put("log_mlp_20", report.published("rvq-3-mlp-20")["value"])
report.put("log_lstm_5", report.published("rvq-3-lstm-5")["value"])
report.put("log_lstm_10", report.published("rvq-3-lstm-10")["value"])
report.put("log_lstm_20", report.published("rvq-3-lstm-20")["value"])
shorter, middle, longest = (f"MLP, {h:g} s" for h in sorted(histories)[-3:])
board = boards["velocity"]
longer = board.interval(longest, middle)
recurrent = board.interval("LSTM", middle)
for key, name in {"short": shorter, "mid": middle, "long": longest}.items():
    report.put(f"{key}_r2", intervals["velocity"][name].estimate)
    report.put(f"{key}_ms", 1e3 * float(name.split()[1]))
report.put("lstm_r2", intervals["velocity"]["LSTM"].estimate)
report.put("longer", f"{longer:.3f}")
report.put("recurrent", f"{recurrent:.3f}")

# %% [markdown]
# ```{glue:figure} history
# :name: fig-rvq-history
# :alt: R squared of velocity and of speed over the length of history for ridge regression and a perceptron, with an LSTM for reference
#
# **More history, more velocity.** R² on test trials with 95 % intervals over {glue:text}`n_seeds` seeds and trials. Left: velocity. Right: speed.
# ```
#
# | | {glue:text}`short_ms:.0f` ms | {glue:text}`mid_ms:.0f` ms | {glue:text}`long_ms:.0f` ms |
# |---|---|---|---|
# | perceptron, the log (five, ten and twenty bins) | {glue:text}`log_mlp_5:.3f` | {glue:text}`log_mlp_10:.3f` | {glue:text}`log_mlp_20:.3f` |
# | perceptron, ours | {glue:text}`short_r2:.3f` | {glue:text}`mid_r2:.3f` | {glue:text}`long_r2:.3f` |
# | LSTM on windows, the log (the same) | {glue:text}`log_lstm_5:.3f` | {glue:text}`log_lstm_10:.3f` | {glue:text}`log_lstm_20:.3f` |
#
# The log settled on its middle column, because its LSTM was best there; one seed stands behind each number.
# Its perceptron was still rising, and so is ours: from {glue:text}`mid_ms:.0f` to {glue:text}`long_ms:.0f` ms by {glue:text}`longer`.
# An LSTM that sees the trial so far has {glue:text}`lstm_r2:.3f`, which is {glue:text}`recurrent` beside the perceptron on {glue:text}`mid_ms:.0f` ms; the log's lead of an LSTM over a perceptron is not here.
# Ours is trained for {glue:text}`steps` steps only, so this says nothing about the best LSTM there could be.
# What still longer histories do is the question of {ref}`rvq-long-windows`.
#
# ## Experiment 4: what does a population say when nobody knows who fired?
#
# Suppose unit $i$ fires at rate $b + k\,s\cos(\theta - \varphi_i)$ when the hand moves at speed $s$ in direction $\theta$, with preferred directions $\varphi_i$ all around.
# A turn of the hand then deals the same rates to other units: a summary that forgets names cannot see it.
# Speed makes the rates more unequal, and that it can see.
# The argument wants preferred directions that are spread evenly, which a recorded population need not have.

# %% tags=["hide-input", "remove-output"]
own = ", own scales"
forgetful = ["sorted", "histogram", "moments"]
rows = {name: name for name in forgetful}
rows |= {name + own: name + own for name in forgetful}
rows |= {
    "temporal pattern": "temporal pattern",
    "spike tokens": "spike tokens",
}
rows[middle] = "all bins, MLP"
shown = {
    f"R² of {word}": {rows[name]: tuple(found[name][:3]) for name in rows}
    for word, found in intervals.items()
}
fig = scores.interval_chart(shown, "", fine.simulated)
report.figure("identity", fig)

# %% tags=["hide-input"]
report.put("log_histogram", report.published("rvq-4-histogram")["value"])
report.put("log_sorted", report.published("rvq-4-sorted")["value"])
report.put("log_moments", report.published("rvq-4-moments")["value"])
report.put("log_temporal", report.published("rvq-4-temporal")["value"])
blind = [intervals["velocity"][name] for name in forgetful]
seeing = [intervals["speed"][name] for name in forgetful]
report.put("blind_most", max(row.estimate for row in blind))
report.put("seeing_least", min(row.estimate for row in seeing))
report.put("seeing_most", max(row.estimate for row in seeing))
report.put("mlp_speed", intervals["speed"][middle].estimate)
for key in ("sorted", "histogram", "moments"):
    leak = intervals["velocity"][key + own]
    report.put(f"leak_{key}", leak.estimate)
for key, name in {
    "temporal": "temporal pattern",
    "spikes": "spike tokens",
}.items():
    report.put(f"{key}_r2", intervals["velocity"][name].estimate)

# %% [markdown]
# ```{glue:figure} identity
# :name: fig-rvq-identity
# :alt: R squared of velocity and of speed for nine summaries of the population
#
# **Who fired tells the direction, how many fired tells the speed.** The first three rows do not know which unit is which. The next three are the same summaries after each unit was standardised by its own mean and scale, as in the log. The last three keep identity. Bars are 95 % intervals over {glue:text}`n_seeds` seeds and trials.
# ```
#
# The log's numbers were {glue:text}`log_sorted:.4f` (sorted), {glue:text}`log_histogram:.3f` (histogram), {glue:text}`log_moments:.4f` (moments) and {glue:text}`log_temporal:.3f` (temporal pattern), of velocity; it did not look at speed.
# Without names ours reach {glue:text}`blind_most:.3f` of velocity at most, and between {glue:text}`seeing_least:.2f` and {glue:text}`seeing_most:.2f` of speed, beside {glue:text}`mlp_speed:.2f` for a perceptron that knows every unit.
# What invariance takes away is first of all the direction.
#
# With each unit's own scale the summaries are no longer invariant.
# A silent bin of unit $i$ becomes minus its mean over its SD, a number that no other unit has, and a summary that shows where those numbers lie shows who is silent.
# How much comes back depends on the summary: {glue:text}`leak_histogram:.3f` of velocity through the histogram, {glue:text}`leak_moments:.3f` through moments, {glue:text}`leak_sorted:.3f` through sorted counts.
# The log's histogram found none of it; it was standardised in the same way, but read by another network, on other data.
#
# The temporal pattern ({glue:text}`temporal_r2:.3f`) and spike tokens ({glue:text}`spikes_r2:.3f`) know who fired.
# Only the latter are what the log's name for its tokens refers to: there, the tokens may come in any order *because* each carries its unit {cite}`azabou2023`.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
velocity, speed = intervals["velocity"], intervals["speed"]
report.claim(
    "one bin gives less than a fifth of velocity, with units by name",
    max(velocity[f"MLP, {one}"].high, velocity[f"ridge, {one}"].high) < 0.2,
)
if half_bin_s:
    report.claim(
        "half a bin earlier or later moves ridge on one bin "
        "by more than a tenth of its R²",
        np.ptp([row.estimate for row in by_place.values()])
        > 0.1 * by_place["middle"].estimate,
    )
report.claim(
    "histories of a quarter second beat one bin (interval above zero)",
    board.interval(middle, f"MLP, {one}").low > 0,
)
report.claim(
    "a quarter second is enough: half a second adds nothing "
    "(interval reaches zero)",
    longer.low <= 0,
)
report.claim(
    "an LSTM beats a perceptron on a quarter second (interval above zero)",
    recurrent.low > 0,
)

# %% tags=["nbval-check-output"]
report.claim(
    "summaries without identity read no velocity (intervals below 0.05)",
    max(row.high for row in blind) < 0.05,
)
report.claim(
    "summaries without identity read speed (intervals above 0.5)",
    min(row.low for row in seeing) > 0.5,
)
report.claim(
    "they read more of speed than of velocity (intervals apart)",
    min(row.low for row in seeing) > max(row.high for row in blind),
)
report.claim(
    "a histogram with each unit's own scale reads velocity "
    "(interval above 0.1)",
    velocity["histogram" + own].low > 0.1,
)
report.claim(
    "what keeps identity reads velocity (intervals above 0.4)",
    min(velocity[n].low for n in ("temporal pattern", "spike tokens")) > 0.4,
)

# %% tags=["nbval-check-output"]
report.check(
    "R² of ridge on one bin",
    velocity[f"ridge, {one}"].estimate,
    0.03,
    published="rvq-2-ridge",
)
report.check(
    "R² of a perceptron on ten bins",
    velocity[middle].estimate,
    0.05,
    published="rvq-3-mlp-10",
)
report.check(
    "R² of the temporal pattern",
    velocity["temporal pattern"].estimate,
    0.05,
    published="rvq-4-temporal",
)

# %% [markdown]
# ## What we learned
#
# - **One thing at a time.** Experiment 1 lacked history and identity; without either, there is little velocity to be had.
# - **The clock is a parameter.** Say where in its bin a sample lies, before comparing numbers for one bin.
# - **No velocity is not nothing.** A summary that forgets names reads speed, which is all that an even population can say without them. Recorded units are not that even: in motor cortex (the page's variant) nameless summaries read some velocity, and less of speed.
# - **Standardising each unit is naming it.** Whether that matters depends on what is done next; test it by permuting units.
# - **Not shown:** the log's LSTM on windows, and what long training does to any of these. R² here weighs the axes by their variance, the log's weighs them alike.
#
# **Try it:** `window_s=0.5`: does speed come closer to what named units give?
# **Sources:** {cite}`phantomx,azabou2023`.

# %% tags=["hide-input"]
report.card(
    answer=f"One bin gives R² {velocity[f'MLP, {one}'].estimate:.2f}, "
    f"{middle.split()[1]} s of history "
    f"{velocity[middle].estimate:.2f}, {longest.split()[1]} s "
    f"{velocity[longest].estimate:.2f}. Without unit identity it is "
    f"{max(row.estimate for row in blind):.3f} at most, but "
    f"{min(row.estimate for row in seeing):.2f} or more of speed.",
    needs="what R² is.",
)
report.stamp()
