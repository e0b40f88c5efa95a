# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-long-windows)=
# # Do long windows hurt?
#
# ```{glue} card
# ```
#
# Five experiments of the log gave its networks more of the past, and were given up {cite}`phantomx`.
# Mamba on windows eight times as long reached {glue:text}`log_mamba:.4f` and was stopped while overfitting; with residual codes behind it, {glue:text}`log_codes:.4f`; one that was to carry its state, {glue:text}`log_stateful:.3f`; a network with a fast and a slow path, {glue:text}`log_two_speed:.4f`.
# The log concluded that long context hurts, and moved on.
#
# What its code did: it cut one recording into windows that overlap in all but one bin, and trained on them without augmentation until the training loss was nearly zero.
# The state that was to be carried was put to zero at every batch.
# And the window was never varied within one architecture.
#
# **You will learn** (1) what longer windows do to three kinds of network that differ in nothing else, (2) whether regularisation or codes change it, (3) how Mamba's number for a second recording looks beside a baseline.

# %% tags=["parameters"]
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
other: str = "rtt"  # the second recording
source: str = "auto"  # or "recorded", "simulated"
n_folds: int = 1  # of five; each fold holds out a fifth of the trials
n_seeds: int = 2
contexts_s: list = [0.25, 0.5, 2.0]
steps: int = 60
lr: float = 0.02
channels: int = 64  # of the convolutions and the LSTM
d: int = 32  # of attention and state space
seed: int = 0
device: str = "auto"

# %%
from dataclasses import replace

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.leaderboard import Leaderboard
from neurolib.models.controls import EmaMlpConfig, RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.history import HistoryConvConfig
from neurolib.models.linear import RidgeConfig, RidgeDecoder
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.state_space import StateSpaceConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.training.loop import TrainConfig
from neurolib.training.recipes import Recipe, trained
from neurolib.viz.context import context_curves

trials = load(dataset, source).with_outputs("velocity")
report.use(trials)
seeds = range(seed, seed + n_seeds)
trials

# %% [markdown]
# ## Equal footing
#
# Every network is trained on whole trials, for as many steps, with dropout and with the same augmentation: noise on the counts, and bins that are blanked.
# Valid trials choose the step, test trials are used once.
#
# Three kinds of network see a context of a given length:
# **convolutions** whose receptive field it is, to the bin,
# **attention** over it in one layer (the smoothing of its input aside),
# and **running averages**, which forget exponentially.
# Two have no limit: an **LSTM**, and **S6**, the state space layer of Mamba {cite}`gu2023`.
# A trial starts from zero and its median length is {glue:text}`median_s:.1f` s, so longer contexts are filled only late in a trial.

# %%
models = {}
for context in contexts_s:
    models[f"convolution, {context:g} s"] = HistoryConvConfig(
        context, channels, dropout=0.3
    )
    models[f"attention, {context:g} s"] = CausalTransformerConfig(
        d, heads=2, layers=1, context_s=context, dropout=0.3
    )
models["LSTM"] = RecurrentEncoderConfig("lstm", channels, dropout=0.3)
s6 = StateSpaceConfig(d, n_state=8, layers=1, dropout=0.3)
models["S6"] = s6
models["fast"] = EmaMlpConfig((0.05, 0.2), dropout=0.3)
models["fast and slow"] = EmaMlpConfig((0.05, 0.2, 1.0), dropout=0.3)
models["S6, bare"] = replace(s6, dropout=0.0)

# %%
recipe = Recipe(
    TrainConfig(
        steps=steps,
        batch_size=8,
        lr=lr,
        schedule="cosine",
        weight_decay=1e-2,
        eval_every=max(steps // 5, 1),
        device=device,
    ),
    max_bins=160,
)
codes = ResidualConfig(n_stages=4, size=128)
kept = {"noise": 0.1, "drop_bins": 0.1}


def decoder_of(split, name, encoder, number):
    """A trained decoder; without augmentation if it is to be bare."""
    extra = {} if "bare" in name else kept
    cfg = DiscreteDecoderConfig(encoder, dim=32, hidden=64, **extra)
    return trained(split, cfg, recipe, number)


# %%
board = Leaderboard()
coded = [f"convolution, {context:g} s" for context in contexts_s] + ["S6"]


def note(board, name, number, test, found, fold):
    """Score one prediction of test trials."""
    board.add(name, number, test.behaviour, found, test.lengths, fold)


for fold, split in enumerate(trials.folds(5)[:n_folds]):
    for number in seeds:
        for name, encoder in models.items():
            decoder = decoder_of(split, name, encoder, number)
            test = split.test
            note(board, name, number, test, decoder.predict(test), fold)
            if name in coded:
                discrete = decoder.quantised(codes, split.train, number)
                found = discrete.predict(test)
                note(board, name + ", codes", number, test, found, fold)

# %%
intervals = board.intervals()
{name: f"{interval:.3f}" for name, interval in intervals.items()}

# %% tags=["hide-input", "remove-output"]
lines = {"convolution": {}, "attention": {}}
with_codes = {"convolution": {}}
for context in contexts_s:
    for name, line in lines.items():
        line[context] = intervals[f"{name}, {context:g} s"]
    with_codes["convolution"][context] = intervals[
        f"convolution, {context:g} s, codes"
    ]
flat = {name: intervals[name] for name in ("LSTM", "S6")}
fig = context_curves(
    {"continuous": lines, "with residual codes": with_codes},
    {
        "continuous": flat,
        "with residual codes": {"S6": intervals["S6, codes"]},
    },
    "context (s)",
    "R² of velocity",
    trials.simulated,
)
report.figure("contexts", fig)

# %% tags=["hide-input"]
short, long = min(contexts_s), max(contexts_s)
middle = sorted(contexts_s)[1]
longer = {
    (kind, a, b): board.interval(f"{kind}, {b:g} s", f"{kind}, {a:g} s")
    for kind in lines
    for a, b in ((short, middle), (middle, long), (short, long))
}
for kind, key in (("convolution", "conv"), ("attention", "attn")):
    report.put(f"{key}_first", f"{longer[kind, short, middle]:.3f}")
    report.put(f"{key}_then", f"{longer[kind, middle, long]:.3f}")
    report.put(f"{key}_all", f"{longer[kind, short, long]:.3f}")
    report.put(
        f"{key}_best", max(row.estimate for row in lines[kind].values())
    )

# %% tags=["hide-input"]
tamed = board.interval("S6", "S6, bare")
slow = board.interval("fast and slow", "fast")
s6_lstm = board.interval("S6", "LSTM")
taxes = {name: board.interval(name + ", codes", name) for name in coded}
report.put("tamed", f"{tamed:.3f}")
report.put("slow", f"{slow:.3f}")
report.put("s6_lstm", f"{s6_lstm:.3f}")
report.put("largest_tax", max(-tax.estimate for tax in taxes.values()))
report.put("s6_tax", f"{taxes['S6']:.3f}")
for key in ("S6", "LSTM", "fast", "fast and slow"):
    report.put(f"{key.lower().replace(' ', '_')}_r2", intervals[key].estimate)
for key, value in {"short": short, "middle": middle, "long": long}.items():
    report.put(f"{key}_s", f"{value:g}")
report.put("n_seeds", n_seeds)

# %% tags=["hide-input"]
report.put("log_stateful", report.published("rvq-12b-stateful")["value"])
report.put("log_mamba", report.published("rvq-13-mamba")["value"])
report.put("log_codes", report.published("rvq-16-codes")["value"])
report.put("log_two_speed", report.published("rvq-21-two-speed")["value"])
report.put("log_fast", report.published("rvq-21-fast")["value"])
report.put("log_fast_lstm", report.published("rvq-21-lstm")["value"])
report.put("log_rtt", report.published("rvq-25-mamba")["value"])
lengths = sorted(trials.lengths)
report.put("n_train", len(trials.folds(5)[0].train))
report.put("median_s", float(lengths[len(lengths) // 2] * trials.bin_size_s))

# %% [markdown]
# ```{glue:figure} contexts
# :name: fig-rvq-contexts
# :alt: R squared of velocity over the length of the context for convolutions and attention, with LSTM and S6 for reference, continuous and with residual codes
#
# **The same past, used in different ways.** R² on test trials over the context, with 95 % intervals over {glue:text}`n_seeds` seeds and trials; dashed lines have no limit. Right: with four residual codes per bin, set by k-means after training.
# ```
#
# ## Experiment 13: two seconds
#
# Convolutions change by {glue:text}`conv_first` from {glue:text}`short_s` to {glue:text}`middle_s` s, and by {glue:text}`conv_then` from there to {glue:text}`long_s` s.
# Attention changes by {glue:text}`attn_first` and {glue:text}`attn_then`.
# Both see the same bins, and are trained in the same way.
# So it is not the window alone that hurts, but what a network does with it.
# One reason could be that a convolution has weights of its own for each lag, so that old bins can be left alone, whereas attention has to learn to tell old from new, and there are {glue:text}`n_train` training trials to learn it from.
# The log's thousands of windows hid how few its own were, for they overlap.
#
# Regularisation is what the log's Mamba went without.
# S6 with dropout and augmentation differs from S6 without by {glue:text}`tamed`.
# Training here is short, and the weights of the best valid step are kept, so there is little overfitting left for regularisation to cure.
#
# ## Experiment 12b: a state that is carried
#
# S6 has R² {glue:text}`s6_r2:.3f`, beside {glue:text}`lstm_r2:.3f` for the LSTM: {glue:text}`s6_lstm`.
# Here its state does run through the trial, and a test of the package compares whole trials with single bins.
# That is as much as can be said of experiment 12b: with the state at zero in every batch, it did not ask its own question.
#
# ## Experiment 21: two speeds
#
# With its slow path the log's network had {glue:text}`log_two_speed:.4f`, without it {glue:text}`log_fast:.4f`, and an LSTM {glue:text}`log_fast_lstm:.4f`, one seed each.
# We take the simplest decoder with two speeds: running averages of each unit, two fast ones, and the same with a slow one beside them.
# The slow one changes R² from {glue:text}`fast_r2:.3f` to {glue:text}`fast_and_slow_r2:.3f`, by {glue:text}`slow`.
# That tests the idea, not the log's network.
#
# ## Experiment 16: codes behind a long window
#
# Residual codes, set after training, cost {glue:text}`largest_tax:.3f` of R² at most, whatever the context; behind S6 they change it by {glue:text}`s6_tax`.
# So codes were not what held experiment 16 back.
#
# ## Experiment 25: a number beside a baseline
#
# On MC_RTT the log's Mamba reached {glue:text}`log_rtt:.4f` on valid bins, and no other decoder was run.
# Three decoders, for a session of the same kind:

# %%
second = load(other, source).with_outputs("velocity")
report.use(second)
beside = Leaderboard()
window = max(1, round(0.25 / second.bin_size_s))
ridge = RidgeDecoder(RidgeConfig(window))
for fold, split in enumerate(second.folds(5)[:n_folds]):
    test = split.test
    linear = ridge.fit(split.train, split.valid).predict(test)
    for number in seeds:
        note(beside, "ridge", number, test, linear, fold)
        for name in ("LSTM", "S6"):
            decoder = decoder_of(split, name, models[name], number)
            note(beside, name, number, test, decoder.predict(test), fold)
others = beside.intervals()
{name: f"{interval:.3f}" for name, interval in others.items()}

# %% tags=["hide-input"]
for key in ("ridge", "LSTM", "S6"):
    report.put(f"other_{key.lower()}", f"{others[key]:.3f}")
over_lstm = beside.interval("S6", "LSTM")
over_ridge = beside.interval("S6", "ridge")
report.put("over_lstm", f"{over_lstm:.3f}")
report.put("over_ridge", f"{over_ridge:.3f}")

# %% [markdown]
# Ridge regression on a quarter second has {glue:text}`other_ridge`, the LSTM {glue:text}`other_lstm`, S6 {glue:text}`other_s6`.
# S6 is {glue:text}`over_lstm` beside the LSTM and {glue:text}`over_ridge` beside ridge.
# Which network leads depends on how each is trained: try another learning rate.
# A number by itself cannot tell whether Mamba does well there, and ridge regression takes a second to run.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "convolutions lose R² from the shortest to the longest context "
    "(interval below zero)",
    longer["convolution", short, long].high < 0,
)
report.claim(
    "attention loses R² from the shortest to the longest context "
    "(interval below zero)",
    longer["attention", short, long].high < 0,
)
report.claim(
    "S6 without dropout and augmentation is worse (interval above zero)",
    tamed.low > 0,
)
report.claim("S6 beats the LSTM (interval above zero)", s6_lstm.low > 0)
report.claim(
    "a slow average takes from fast ones (interval below zero)",
    slow.high < 0,
)
report.claim(
    "codes after training cost less than 0.05 at every context",
    min(tax.low for tax in taxes.values()) > -0.05,
)

# %% tags=["nbval-check-output"]
report.claim(
    "on the second recording S6 beats an LSTM and ridge regression "
    "(intervals above zero)",
    min(over_lstm.low, over_ridge.low) > 0,
)
report.check(
    "R² of S6", intervals["S6"].estimate, 0.05, published="rvq-13-mamba"
)
report.check(
    "R² of S6 on the second recording",
    others["S6"].estimate,
    0.05,
    published="rvq-25-mamba",
)

# %% [markdown]
# ## What we learned
#
# - **Vary one thing.** A longer window in another architecture, trained in another way, says nothing about windows.
# - **The kind of network decides.** Convolutions lose little or nothing by a long context, attention over as many bins loses more.
# - **A slow path costs little if anything,** and a state that is put to zero is not carried.
# - **Run the baseline first.** Where ridge regression is level, a network has shown nothing.
# - **Not shown:** deep state space networks, long training, and trials longer than a few seconds; two seconds are most of a trial here.
#
# **Try it:** `-p lr=0.006`: who leads on the second recording?
# **Sources:** {cite}`phantomx,gu2023`.

# %% tags=["hide-input"]
report.card(
    answer=f"It depends on the network. From {short:g} to {long:g} s, "
    f"convolutions change by {longer['convolution', short, long]:.2f} of R², "
    f"attention by {longer['attention', short, long]:.2f}. Codes cost "
    f"{max(-tax.estimate for tax in taxes.values()):.3f} at most.",
    needs="what a receptive field is.",
)
report.stamp()
