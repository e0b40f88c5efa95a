# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (alignment-training)=
# # When does a decoder become brain-like?
#
# ```{glue} card
# ```
#
# {ref}`alignment-decoders` compares finished decoders with neurons that they have not read.
# Here the comparison is repeated during training, at steps spaced evenly on a logarithmic scale.
# Likeness to cortex might come with the task, as what the task needs; before it, as the network finds what is large in its input; or it might rise and fall again, as the network learns its training trials by heart.
#
# The plan that this study follows promises a trajectory of CKA over checkpoints {cite}`tensorscope`, for which there is no code, and the step of the largest difference of two neighbours as the moment of change.
# Any curve has one, straight and noisy ones too.
# Here a bend is a change of slope that a criterion prefers to a straight line, with its spread over trials.
#
# **You will learn** (1) whether alignment and decoding rise together, (2) how sure one can be of *when*, (3) how straight a way training takes.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # or "m1"
n_seeds: int = 2  # networks
hidden: int = 32  # units of each
last: int = 192  # steps of training
n_checkpoints: int = 12
lr: float = 4.0e-3
longest: int = 100  # bins; longer trials are looked at in pieces
stride: int = 20  # bins between the samples that CKA compares
n_draws: int = 500  # resamples of trials
seed: int = 0
device: str = "cpu"

# %%
import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.ndimage import gaussian_filter1d

from neurolib import report
from neurolib.alignment.other_half import OtherHalf, draw_half
from neurolib.data.reaches import aligned, find_reaches
from neurolib.data.sets import load
from neurolib.interpret.activations import record
from neurolib.metrics.decoding import squared_errors
from neurolib.metrics.intervals import bootstrap_interval
from neurolib.metrics.shape_distance import shape_distances
from neurolib.metrics.trajectory import bends, path
from neurolib.metrics.trial_alignment import TrialGram, trial_weights
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.training.batches import trial_tensors
from neurolib.training.loop import TrainConfig, fit
from neurolib.training.milestones import Milestones, log_steps
from neurolib.viz.training_curves import training_curves
from neurolib.viz.training_slider import training_slider

everything = load(dataset, source)
report.use(everything)
read = draw_half(everything.n_units, seed)
split = everything.folds(2)[0]
train, valid = (
    part.with_units(read).with_outputs("velocity").pieces(40)
    for part in split[:2]
)
probe = split.test.pieces(longest, stride)
trials = probe.info["whole"][
    probe.trial_of_bin
]  # pieces of a trial go together
(everything, int(read.sum()))

# %% [markdown]
# ## Checkpoints
#
# A GRU learns to decode velocity from half of the units.
# Its weights are kept on the way, and each checkpoint is run on trials that it is not trained on.

# %%
steps = log_steps(last, n_checkpoints)
seen = probe.with_units(read).with_outputs("velocity")
padded = seen.padded()
counts, mask = (
    torch.from_numpy(padded.counts).float(),
    torch.from_numpy(padded.mask),
)


def training(number):
    """A network that has kept its weights on the way."""
    torch.manual_seed(number)
    cfg = RecurrentConfig(train.n_units, 2, hidden=hidden, dropout=0.2)
    watched = Milestones(RecurrentDecoder(cfg).standardise(train), steps)
    plan = TrainConfig(
        last + 1, 16, lr, eval_every=last + 1, seed=number, device=device
    )
    fit(watched, trial_tensors(train), trial_tensors(valid), plan)
    return watched


def checkpoint(model):
    """Hidden states ``(bins, units)`` of one checkpoint, and what it says."""
    acts = record(model.cpu(), counts, ["hidden"])
    return acts.samples("hidden", mask).numpy(), model.predict(seen)


seeds = range(seed, seed + n_seeds)
watched = [training(number) for number in seeds]
ways = [[checkpoint(each.at(step)) for step in steps] for each in watched]

# %% [markdown]
# ## Scores of every checkpoint
#
# - **Decoding**: R² of velocity.
# - **Predictivity**: share of the variance of the units not read that a ridge regression from the hidden state explains, in trials that it was not fitted to.
# - **CKA with cortex**: debiased, of the hidden state and the units not read, from pairs of bins of different trials only.
# - **CKA with velocity**, and **with the last checkpoint**.
#
# All are taken apart into what each trial gives, so that trials can be resampled: R² is a mean of such parts, and CKA gets its jackknife values.

# %%
other = probe.counts[:, ~read].astype(float)
half = OtherHalf(other, trials, seed=seed)
lengths = half.lengths
smooth = [
    gaussian_filter1d(x, 2.0, axis=0)
    for x in np.split(other, probe.starts[1:])
]
rows = np.flatnonzero(probe.bin_in_trial % stride == stride // 2)


def gram(table):
    """Samples of a table, far enough apart."""
    return TrialGram(np.asarray(table)[rows], trials[rows])


cortex, moved = gram(np.concatenate(smooth)), gram(seen.behaviour)


def parts(errors):
    """What each trial gives to R², whose mean it is: its error against that expected."""
    middle = errors.target_sum.sum(0) / errors.n_bins.sum()
    own = errors.target_square - 2 * middle * errors.target_sum
    total = (own + errors.n_bins[:, None] * middle**2).sum(axis=1)
    r2 = errors.r2()
    return r2 + ((1 - r2) * total - errors.error.sum(axis=1)) / total.mean()


def jackknife(one, two):
    """What each trial gives to CKA."""
    n = one.n_trials
    without = one.cka(two, 1 - np.eye(n))
    return n * one.cka(two) - (n - 1) * without


# %%
def curves(way):
    """Scores by trial, ``(trial, checkpoint)`` each."""
    grams = [gram(states) for states, _ in way]
    said = [squared_errors(seen.behaviour, x, lengths) for _, x in way]
    columns = {
        "decoding": [parts(errors) for errors in said],
        "predictivity": [parts(half.errors(states)) for states, _ in way],
        "CKA with cortex": [jackknife(one, cortex) for one in grams],
        "CKA with velocity": [jackknife(one, moved) for one in grams],
        "CKA with the last": [jackknife(one, grams[-1]) for one in grams],
    }
    return {name: np.stack(each, axis=1) for name, each in columns.items()}


by_trial = [curves(way) for way in ways]
names = list(by_trial[0])
mean = {
    name: np.mean([each[name] for each in by_trial], axis=0) for name in names
}

# %% [markdown]
# ## When?
#
# Two answers for each curve: the bends that the criterion finds, and the step at which half of the way from the first to the last checkpoint is covered.
# The second is resampled over trials for all curves at once, so that they can be compared.


# %%
def half_way(middle):
    """Step at which each curve ``(draw, checkpoint)`` has first covered half of its way."""
    share = (middle - middle[:, :1]) / (middle[:, -1:] - middle[:, :1])
    after = np.maximum((share >= 0.5).argmax(axis=1), 1)
    at, number = np.log2(steps), np.arange(len(middle))
    low, high = share[number, after - 1], share[number, after]
    part = np.clip((0.5 - low) / np.where(high > low, high - low, 1), 0, 1)
    return 2 ** (at[after - 1] + part * (at[after] - at[after - 1]))


drawn = trial_weights(len(lengths), n_draws, seed) / len(lengths)
rising = names[:4]
bent = {name: bends(mean[name], steps, n_resamples=n_draws) for name in names}
middle = {name: half_way(drawn @ mean[name]) for name in rising}
reached = {
    name: (
        half_way(mean[name].mean(0)[None])[0],
        *np.quantile(x, [0.025, 0.975]),
    )
    for name, x in middle.items()
}
apart = {
    name: np.quantile(
        np.log2(middle[name] / middle["decoding"]), [0.025, 0.975]
    )
    for name in rising[1:]
}

# %% tags=["hide-input", "remove-output"]
panels = {}
for name in names:
    shown = [bootstrap_interval(x, n_resamples=500) for x in mean[name].T]
    panels[name] = [x[:3] for x in shown]
fig = training_curves(steps, panels, bent, everything.simulated)
report.figure("training-curves", fig)

# %% tags=["hide-input"]
for name, key in zip(
    rising, ("decoding", "predicted", "cka", "moved"), strict=True
):
    curve = mean[name].mean(axis=0)
    report.put(f"{key}_first", float(curve[0]))
    report.put(f"{key}_last", float(curve[-1]))
    report.put(f"{key}_half", "{:.0f} [{:.0f}, {:.0f}]".format(*reached[name]))
    steps_of = [f"{x:.0f}" for x in bent[name].steps]
    report.put(f"{key}_bends", "; ".join(steps_of) or "none")
report.put("n_seeds", n_seeds)
report.put("n_trials", len(lengths))
report.put("last", last)

# %% [markdown]
# ```{glue:figure} training-curves
# :name: fig-alignment-training-curves
# :alt: Decoding, predictivity of units not read, and CKA with cortex, velocity and the last checkpoint, over training steps
#
# **From the first step to the last.** Means of {glue:text}`n_seeds` networks; bands over {glue:text}`n_trials` trials. Dashed: bends, with the interval of the step over trials shaded.
# ```
#
# | | first | last | half way at step | bends at step |
# |---|---|---|---|---|
# | decoding, R² | {glue:text}`decoding_first:.2f` | {glue:text}`decoding_last:.2f` | {glue:text}`decoding_half` | {glue:text}`decoding_bends` |
# | predictivity | {glue:text}`predicted_first:.3f` | {glue:text}`predicted_last:.3f` | {glue:text}`predicted_half` | {glue:text}`predicted_bends` |
# | CKA with cortex | {glue:text}`cka_first:.2f` | {glue:text}`cka_last:.2f` | {glue:text}`cka_half` | {glue:text}`cka_bends` |
# | CKA with velocity | {glue:text}`moved_first:.2f` | {glue:text}`moved_last:.2f` | {glue:text}`moved_half` | {glue:text}`moved_bends` |
#
# A network after one step is already like cortex to a good part of what it ever will be: it is a function of spikes, and movement is in these.
# From there CKA with cortex rises together with CKA with velocity, because what training makes large in the hidden state is the movement.
# Predictivity is late: it asks what is *in* the state at any size, and CKA what is *large* in it.
# The two answer the title's question differently, and neither falls by the last of {glue:text}`last` steps.
#
# ## How straight?
#
# Distances of checkpoints are angular Procrustes distances of their hidden states {cite}`williams2021`, which are a metric, as one minus CKA is not.
# The way is as long as the sum of its pieces; a straight one is no longer than the distance of its ends.

# %%
sampled = [[states[rows] for states, _ in way] for way in ways]
routes = [path(shape_distances(states), steps) for states in sampled]
apart_ends = shape_distances([states[-1] for states in sampled])[0, 1]
report.put("length", float(np.mean([route.length for route in routes])))
report.put("net", float(np.mean([route.net for route in routes])))
straight = [route.straightness for route in routes]
report.put("straightness", float(np.mean(straight)))
report.put("between", float(apart_ends))
report.put("back", float(mean["CKA with the last"].mean(0)[0]))

# %% [markdown]
# The way is {glue:text}`length:.2f` rad long and its ends {glue:text}`net:.2f` apart: straightness {glue:text}`straightness:.2f`.
# The last states of two networks are {glue:text}`between:.2f` from each other; CKA of the first checkpoint with the last is {glue:text}`back:.2f`.
#
# ## Step through
#
# The mean hidden state in reaches of each direction, in the plane in which the other half of the units has most of its differences, turned onto it.

# %% tags=["hide-input"]
reaches = find_reaches(probe.with_outputs("velocity"), 0.1, 0.5)
late = round(0.4 / probe.bin_size_s)
sectors = np.unique(reaches.direction)


def of_directions(table):
    """Mean of each direction, centred and of size one, ``(direction, channel)``."""
    each = aligned(table, reaches.onset, 0, late).mean(axis=1)
    found = np.stack(
        [each[reaches.direction == k].mean(axis=0) for k in sectors]
    )
    found = found - found.mean(axis=0)
    return found / np.linalg.norm(found)


half_map = of_directions(np.concatenate(smooth))
plane = half_map @ np.linalg.svd(half_map, full_matrices=False)[2][:2].T


def turned(states):
    """Directions of a network, turned and scaled onto the plane."""
    own = of_directions(states)
    target = np.pad(plane, [(0, 0), (0, own.shape[1] - 2)])
    turn, size = orthogonal_procrustes(own, target)
    return size * (own @ turn)[:, :2]


places = np.stack([turned(states) for states, _ in ways[0]])
shown = {name: mean[name].mean(axis=0) for name in rising}
training_slider(
    "alignment-training-steps", steps, shown, places, plane,
    simulated=everything.simulated,
)  # fmt: skip

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
gain = {
    name: bootstrap_interval(mean[name][:, -1] - mean[name][:, 0])
    for name in rising
}
report.claim("decoding rises", gain["decoding"].low > 0.1)
report.claim("CKA with cortex rises", gain["CKA with cortex"].low > 0)
report.claim(
    "the units not read are predicted better at the end than at the start",
    gain["predictivity"].low > 0,
)
report.claim(
    "predictivity is half way later than decoding",
    apart["predictivity"][0] > 0,
)
report.claim(
    "CKA with cortex is half way before predictivity",
    reached["CKA with cortex"][2] < reached["predictivity"][1],
)
top = {
    name: drawn @ mean[name] for name in ("CKA with cortex", "predictivity")
}
falls = [x.max(axis=1) - x[:, -1] for x in top.values()]
report.claim(
    "alignment falls again by a tenth of what it had gained",
    any(
        np.quantile(fall, 0.025) > 0.1 * gain[name].estimate
        for fall, name in zip(falls, top, strict=True)
    ),
)
report.claim("training goes straight", min(straight) > 0.9)

# %% [markdown]
# ## What we learned
#
# - Alignment rises with decoding, and there is no moment at which a decoder becomes brain-like: it begins as a good part of it, and bends are where the criterion puts them, at checkpoints as far apart as these are.
# - Which measure is asked decides *when*: CKA with cortex moves with decoding, predictivity of the units not read comes later.
# - CKA with velocity rises with CKA with cortex; a rise of the latter alone is no evidence for anything but the task.
# - **Not shown:** longer training, other networks, or what a larger network does that can learn its trials by heart. Bands are over trials; two networks say little about others.
# - **What would change our mind:** a training in which alignment rises before decoding does, or with a task that has nothing to do with the movement.
#
# **Try it:** `last=1000`; does alignment fall when the network begins to overfit?
# **Sources:** {cite}`tensorscope,williams2021,muggeo2003`.

# %% tags=["hide-input"]
report.card(
    answer="Gradually, and when depends on the measure. Decoding is half way "
    f"at step {reached['decoding'][0]:.0f}, CKA with cortex at "
    f"{reached['CKA with cortex'][0]:.0f}, prediction of neurons not read at "
    f"{reached['predictivity'][0]:.0f} of {last}. After one step, CKA is already "
    f"{mean['CKA with cortex'][:, 0].mean():.2f}, and in the end "
    f"{mean['CKA with cortex'][:, -1].mean():.2f}.",
    needs="the page before.",
)
report.stamp()
