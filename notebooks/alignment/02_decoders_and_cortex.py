# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (alignment-decoders)=
# # Is a decoder's inside like the cortex that it reads?
#
# ```{glue} card
# ```
#
# A decoder turns spikes into the velocity of a hand, and on the way has layers of its own.
# To say that such a layer is *like cortex* one must not compare it with the spikes that it was given: whatever passes its input on is like its input.
# Here a decoder reads a random half of the recorded units, and its layers are compared with the **other** half, which it never sees.
#
# The plan that this study follows {cite}`tensorscope` has a recipe for it: fit ridge regression from a layer to the neurons and report how well it fits, correlate the flattened matrices of dissimilarities, and name the layer that does best.
# All three can be had on the same data, and the last part of this page does so.
#
# What would count as an answer?
# A layer that resembles the other half more than an untrained network does is a beginning.
# But two halves of a population see the same movement, so anything that knows the movement resembles both.
# The question that matters is whether a decoder predicts other neurons **beyond what its inputs do, and beyond what the behaviour does**.
#
# **You will learn** (1) how to compare a network with neurons that it has not read, (2) which controls a likeness has to beat, (3) what a popular recipe would have said.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # or "m1"
architectures: list = ["gru", "transformer"]  # and "hebbian", "rvq"
n_seeds: int = 2  # networks of each
steps: int = 50  # of training
width: int = 32
taus_s: list = [0.05, 0.2, 0.8]  # of the smoothed inputs
lags_bins: list = [-4, -2, 0, 2, 4]  # of the behaviour; positive is later
longest: int = 100  # bins; longer trials are looked at in pieces
stride: int = 16  # bins between the samples that CKA compares
n_draws: int = 100  # resamples of trials
n_stimuli: int = 92  # reaches for the recipe's matrices
n_rsa_draws: int = 40  # resamples of reaches
seed: int = 0
device: str = "cpu"

# %%
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from neurolib import report
from neurolib.alignment.other_half import OtherHalf, draw_half, with_lags
from neurolib.alignment.split_rsa import SplitRSA
from neurolib.data.reaches import aligned, find_reaches
from neurolib.data.sets import load
from neurolib.data.trials import Split
from neurolib.interpret.activations import record
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.metrics.encoding import grouped_folds
from neurolib.metrics.intervals import hierarchical_interval
from neurolib.metrics.nulls import null_orders
from neurolib.metrics.trial_alignment import (
    TrialGram,
    decorrelation_bins,
    over_seeds,
    trial_weights,
)
from neurolib.models.controls import (
    ExponentialAverages,
    RecurrentEncoderConfig,
)
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.training.recipes import Recipe, trained
from neurolib.viz import scores

everything = load(dataset, source)
report.use(everything)
read = draw_half(everything.n_units, seed)
split = everything.folds(2)[0]  # half of the trials to train on
split = split._replace(test=split.test.pieces(longest, stride))
probe = split.test
trials = probe.info["whole"][
    probe.trial_of_bin
]  # pieces of a trial go together
(everything, int(read.sum()))

# %% [markdown]
# ## Two halves of the units, two halves of the trials
#
# Decoders learn on one half of the trials and are looked into on the other, in which each comparison has its own folds, by trial.
# The controls are made of the same trials:
#
# - **inputs**: the very counts that the decoder reads, averaged over the recent past with several time constants. What needs no network at all.
# - **behaviour**: position, velocity and speed, now, before and after.
# - **velocity**: what the decoder was trained to say.
# - **untrained**: the same networks as they were drawn.
# - **null**: the layers of the trained networks against the other half of *other* trials, the recording having been shifted in a circle by more than a trial.


# %%
def setting(name):
    """Encoder and quantizer of a decoder."""
    if name == "transformer":
        return CausalTransformerConfig(width, 4, 2, 0.5, dropout=0.2), None
    if name == "hebbian":
        return HebbianConfig(), None
    codes = ResidualConfig(size=16, n_stages=2) if name == "rvq" else None
    return RecurrentEncoderConfig(hidden=width, dropout=0.2), codes


BLOCKS = "encoder.block.1.attention_in", "encoder.readout_in"
SITES = {
    "gru": ("encoder.hidden", "latents", "features"),
    "transformer": ("encoder.tokens", *BLOCKS, "features"),
    "hebbian": ("latents", "features"),
    "rvq": ("encoder.hidden", "latents", "through", "features"),
}
PLAIN = {
    "encoder.hidden": "state",
    "encoder.tokens": "tokens",
    "encoder.block.1.attention_in": "block 1",
    "encoder.readout_in": "block 2",
    "latents": "latents",
    "through": "codes",
    "features": "head",
}
velocity = Split(
    *(part.with_units(read).with_outputs("velocity") for part in split)
)
padded = velocity.test.padded()
counts, mask = (
    torch.from_numpy(padded.counts).float(),
    torch.from_numpy(padded.mask),
)
recipe = Recipe.cosine(steps, device, max(steps // 2, 1))
recipe = replace(recipe, max_bins=40)


# %%
def layers_of(model, sites):
    """What passes through a network in the probe trials, ``(bins, channels)``."""
    acts = record(model.eval().cpu(), counts, list(sites))
    return {PLAIN[name]: acts.samples(name, mask).numpy() for name in sites}


def networks(name, number):
    """One network as drawn and after training: layers of both, and its score."""
    encoder, quantizer = setting(name)
    cfg = DiscreteDecoderConfig(encoder, quantizer, dim=width, hidden=width)
    torch.manual_seed(number)
    before = DiscreteDecoder.for_trials(velocity.train, cfg)
    after = trained(velocity, cfg, recipe, number)
    said = after.predict(velocity.test)
    models = {"trained": after, "untrained": before}
    found = {kind: layers_of(x, SITES[name]) for kind, x in models.items()}
    return found, r2_variance_weighted(velocity.test.behaviour, said)


seeds = range(seed, seed + n_seeds)
made = {(name, k): networks(name, k) for name in architectures for k in seeds}
inside = {key: found for key, (found, _) in made.items()}
r2_of = {
    name: np.mean([made[name, k][1] for k in seeds]) for name in architectures
}

# %%
averages = ExponentialAverages(taus_s, probe.bin_size_s)
known = counts - counts[mask].mean(0)
speed = np.linalg.norm(probe.with_outputs("velocity").behaviour, axis=1)
hand = np.column_stack([probe.behaviour, speed])
controls = {
    "inputs": averages(known)[0][mask].flatten(1).numpy(),
    "behaviour": with_lags(hand, trials, lags_bins),
    "velocity": probe.with_outputs("velocity").behaviour,
}
controls["inputs + behaviour"] = np.column_stack(
    [controls["inputs"], controls["behaviour"]]
)
other = probe.counts[:, ~read].astype(float)
elsewhere = null_orders(other, trials, 1, seed)[0]

# %% [markdown]
# ## Likeness
#
# Debiased CKA asks whether the samples that are alike in a layer are alike in the other half {cite}`kornblith2019,murphy2024`.
# Bins of a trial are near copies of each other, so only pairs of bins from **different** trials are compared, and of each trial only every {glue:text}`stride`th bin; the counts of the other half are correlated less than a fifth after {glue:text}`decorrelated` bins once they are smoothed.
# Predictivity asks whether a linear map of the layer gives the counts of each hidden unit, bin by bin, in trials that it was not fitted to, with a penalty per unit; the score is the share of variance explained, all units counting the same.
# Single bins hold few spikes, so these shares are small whatever predicts them.
#
# Trials are resampled for both, and networks with them.

# %%
smooth = [
    gaussian_filter1d(x, 2.0, axis=0)
    for x in np.split(other, probe.starts[1:])
]
smooth = np.concatenate(smooth)
report.put("decorrelated", decorrelation_bins(smooth, trials))
report.put("stride", stride)
rows = np.flatnonzero(probe.bin_in_trial % stride == stride // 2)
cortex, wrong = (
    TrialGram(x[rows], trials[rows]) for x in (smooth, smooth[elsewhere])
)
weights = trial_weights(cortex.n_trials, n_draws, seed)
half = OtherHalf(other, trials, seed=seed)


def likeness(tables, target=cortex):
    """CKA of one table per network with the other half, and its interval."""
    grams = [TrialGram(table[rows], trials[rows]) for table in tables]
    draws = [gram.cka(target, weights) for gram in grams]
    return over_seeds([gram.cka(target) for gram in grams], draws, seed)


def both(errors):
    """Interval over networks and trials; a control is the same for all networks."""
    return hierarchical_interval(errors if len(errors) > 1 else errors * 2)


# %%
cka, predicted, errors, picked = {}, {}, {}, {}
for name in architectures:
    for layer in inside[name, seed]["trained"]:
        tables = [inside[name, k]["trained"][layer] for k in seeds]
        cka[f"{name}: {layer}"] = likeness(tables)
        predicted[f"{name}: {layer}"] = both([half.errors(x) for x in tables])
for name, table in controls.items():
    errors[name] = [half.errors(table)] * n_seeds
    cka[name], predicted[name] = likeness([table]), both(errors[name])

# %% [markdown]
# Which layer speaks for a network is chosen in each fold by its score on trials that are neither fitted nor tested there.


# %%
def chosen(name, kind, extra=None):
    """Errors of a network's chosen layer, alone or with a control beside it."""
    found = []
    for k in seeds:
        layers = inside[name, k][kind]
        if (name, kind, k) not in picked:
            picked[name, kind, k] = half.pick(layers)
        if extra is not None:
            layers = {
                n: np.column_stack([x, extra]) for n, x in layers.items()
            }
        found.append(half.errors_of(layers, picked[name, kind, k]))
    return found


nothing = OtherHalf(other[elsewhere], trials, seed=seed)
for name in architectures:
    for kind in ("trained", "untrained"):
        errors[name, kind] = chosen(name, kind)
    predicted[f"{name}, untrained"] = both(errors[name, "untrained"])
    layer = picked[name, "trained", seed][0]
    drawn = [inside[name, k]["untrained"][layer] for k in seeds]
    cka[f"{name}, untrained"] = likeness(drawn)
    after = [inside[name, k]["trained"][layer] for k in seeds]
    cka[f"null: {name}"] = likeness(after, wrong)
    predicted[f"null: {name}"] = both([nothing.errors(x) for x in after])

# %% tags=["hide-input", "remove-output"]
order = sorted(cka, key=lambda row: row.startswith("null"))
panels = {
    "CKA with the other half": {row: cka[row][:3] for row in order},
    "predicted, share of variance": {row: predicted[row][:3] for row in order},
}
report.figure(
    "decoders-likeness",
    scores.interval_chart(panels, "", everything.simulated),
)

# %% tags=["hide-input"]
first = architectures[0]
chosen_r2 = {
    (name, kind): both(errors[name, kind])
    for name in architectures
    for kind in ("trained", "untrained")
}
best = max(architectures, key=lambda name: chosen_r2[name, "trained"].estimate)
report.put("n_seeds", n_seeds)
report.put("n_probe", len(half.lengths))
report.put("n_read", int(read.sum()))
report.put("n_other", int((~read).sum()))
report.put("best", best)
report.put("best_r2", float(r2_of[best]))
report.put("best_predicted", chosen_r2[best, "trained"].estimate)
report.put("best_untrained", chosen_r2[best, "untrained"].estimate)
for name, key in {"inputs": "inputs", "behaviour": "behaviour"}.items():
    report.put(f"{key}_predicted", predicted[name].estimate)
    report.put(f"{key}_cka", cka[name].estimate)
report.put(
    "top_cka",
    max(cka[row].estimate for row in cka if row.startswith(best + ":")),
)
report.put("untrained_cka", cka[f"{best}, untrained"].estimate)

# %% [markdown]
# ```{glue:figure} decoders-likeness
# :name: fig-alignment-decoders-likeness
# :alt: CKA and share of variance of the other half of the units that is predicted, for layers of decoders, controls, untrained networks and shifted trials
#
# **Layers of decoders and the half of the population that they have not read.** Left: debiased CKA, from pairs of bins of different trials. Right: share of the variance of single bins of counts that is predicted in trials not fitted. Grey: the other half of other trials. Means of {glue:text}`n_seeds` networks; intervals over networks and {glue:text}`n_probe` trials, of controls over trials.
# ```
#
# Training makes a decoder more like cortex that it has never read: the chosen layer of the {glue:text}`best` (velocity decoded with R² {glue:text}`best_r2:.2f`) predicts {glue:text}`best_predicted:.3f` of the variance of the {glue:text}`n_other` hidden units, and {glue:text}`best_untrained:.3f` before training; CKA goes from {glue:text}`untrained_cka:.2f` to {glue:text}`top_cka:.2f`.
# That is where a study of this kind often ends.
# But its {glue:text}`n_read` inputs, merely smoothed, predict {glue:text}`inputs_predicted:.3f`, and behaviour {glue:text}`behaviour_predicted:.3f`.
# By CKA the most similar layer passes its inputs ({glue:text}`inputs_cka:.2f`), having made the movement large and the rest small, but not behaviour ({glue:text}`behaviour_cka:.2f`); that layer was picked by eye on these trials, so its place is flattered.
#
# ## Beyond inputs and behaviour
#
# The layer is put *beside* a control, and what the pair predicts more than the control alone is what the layer adds.
# Anything else that is a function of the inputs could add as much, because a linear map of smoothed counts is no ceiling; the untrained network is such a function.

# %%
gains = {}
beside = {
    "beyond inputs": "inputs",
    "beyond behaviour": "behaviour",
    "beyond both": "inputs + behaviour",
}
for name in architectures:
    for kind in ("trained", "untrained"):
        for label, control in beside.items():
            with_layer = chosen(name, kind, controls[control])
            gains[name, kind, label] = hierarchical_interval(
                with_layer, errors[control]
            )
            errors[name, kind, label] = with_layer
learnt = {
    name: hierarchical_interval(
        errors[name, "trained", "beyond both"],
        errors[name, "untrained", "beyond both"],
    )
    for name in architectures
}

# %% tags=["hide-input", "remove-output"]
panels = {
    label: {
        f"{name}, {kind}": gains[name, kind, label][:3]
        for name in architectures
        for kind in ("trained", "untrained")
    }
    for label in beside
}
report.figure(
    "decoders-beyond",
    scores.interval_chart(panels, "share of variance", everything.simulated),
)
for label, key in {"beyond inputs": "inputs", "beyond both": "both"}.items():
    report.put(f"gain_{key}", 100 * gains[best, "trained", label].estimate)
report.put(
    "gain_behaviour", 100 * gains[best, "trained", "beyond behaviour"].estimate
)
report.put(
    "gain_drawn", 100 * gains[best, "untrained", "beyond both"].estimate
)

# %% [markdown]
# ```{glue:figure} decoders-beyond
# :name: fig-alignment-decoders-beyond
# :alt: What layers add to the prediction of the other half beside inputs, behaviour and both
#
# **What a layer adds.** Share of the variance of the other half that is predicted from the chosen layer and a control together, less that of the control alone. Intervals over networks and trials.
# ```
#
# Beyond behaviour the {glue:text}`best` adds {glue:text}`gain_behaviour:.2f` % of the variance; beyond its own inputs {glue:text}`gain_inputs:.2f` %; beyond both {glue:text}`gain_both:.2f` %, and the same network untrained {glue:text}`gain_drawn:.2f` %.
# In the recording, neurons share variance that the hand does not explain, and smoothed inputs carry some of it; a decoder passes it on.
# In the simulated twin the units are independent given the movement, so there is nothing beyond behaviour but what its lags leave out: there the answer is known, and the last panel should be about zero.
#
# ## Geometry of reaches
#
# Reaches are sorted into eight directions.
# Distances of directions are crossnobis distances {cite}`walther2016`, which are zero on average for equal directions; the layer's are taken from one half of the trials and the other half-population's from the rest, since what was odd about a trial is in both.

# %%
whole = probe.with_outputs("velocity")
reaches = find_reaches(whole, 0.1, 0.5)
late = round(0.4 / probe.bin_size_s)


def of_reaches(table):
    """Mean of each reach, one row per reach."""
    return aligned(table, reaches.onset, 0, late).mean(axis=1)


patterns = {"cortex, other trials": of_reaches(other)}
for name in controls:
    patterns[name] = of_reaches(controls[name])
for name in architectures:
    for kind in ("trained", "untrained"):
        for k in seeds:
            layer = picked[name, "trained", k][0]
            table = inside[name, k][kind][layer]
            patterns[f"{name}, {kind}, {k}"] = of_reaches(table)
folds = grouped_folds(trials[reaches.onset], 4, seed)
rsa = SplitRSA(
    patterns, "cortex, other trials", reaches.direction, folds, "pearson"
)
found, drawn = rsa.scores(), rsa.draws(n_rsa_draws, seed)


# %% tags=["hide-input", "remove-output"]
def around(keys):
    """Interval over reaches and networks; the noise that drawing adds is taken off the middle."""
    draws = [drawn[key] - drawn[key].mean() + found[key] for key in keys]
    return over_seeds([found[key] for key in keys], draws, seed)[:3]


geometry = {
    name: around([name]) for name in ("cortex, other trials", *controls)
}
for name in architectures:
    for kind in ("trained", "untrained"):
        keys = [f"{name}, {kind}, {k}" for k in seeds]
        geometry[f"{name}, {kind}"] = around(keys)
shuffled = rsa.chance(f"{first}, trained, {seed}", 100, seed)
low, high = np.quantile(shuffled, [0.025, 0.975])
geometry[f"null: {first}, directions exchanged"] = (shuffled.mean(), low, high)
chart = scores.interval_chart(
    {"geometry of directions": geometry},
    "correlation of RDMs",
    everything.simulated,
)
report.figure("decoders-geometry", chart)
report.put("n_reaches", len(reaches.onset))
report.put("rsa_ceiling", geometry["cortex, other trials"][0])
report.put("rsa_best", geometry[f"{best}, trained"][0])
report.put("rsa_untrained", geometry[f"{best}, untrained"][0])
report.put("rsa_behaviour", geometry["behaviour"][0])
report.put("rsa_null", float(shuffled.mean()))

# %% [markdown]
# ```{glue:figure} decoders-geometry
# :name: fig-alignment-decoders-geometry
# :alt: Correlation of matrices of dissimilarities of reach directions, of decoders and controls with that of the other half of the units
#
# **Eight directions.** Correlation of the crossnobis distances of a system with those of the other half-population in other trials; the first row is the other half-population itself, which is what its noise allows. {glue:text}`n_reaches` reaches; intervals over reaches, and over networks, about the estimate, since drawing adds noise of its own. Eight directions are too few to speak about other ones.
# ```
#
# The {glue:text}`best` has {glue:text}`rsa_best:.2f`, untrained {glue:text}`rsa_untrained:.2f`, behaviour {glue:text}`rsa_behaviour:.2f`, the cortex with itself {glue:text}`rsa_ceiling:.2f`, and exchanged directions {glue:text}`rsa_null:.2f`.
# A circle of directions is in everything that knows where the hand goes, so this measure tells systems apart worst of the three.
#
# ## What the recipe would have said
#
# The plan's snippets fit and score ridge regression on the same stimuli, flatten whole matrices into `spearmanr`, and take the best layer {cite}`tensorscope`.
# Take reaches as stimuli, a layer's whole time course as features, and do so, with noise of the same shape beside it.

# %%
sites = inside[best, seed]["trained"]
shape = (len(reaches.onset), -1)
spikes = aligned(other, reaches.onset, 0, late).sum(axis=1)
spikes = (spikes - spikes.mean(0)) / np.maximum(spikes.std(0), 1e-9)
films = {
    n: aligned(x, reaches.onset, 0, late).reshape(shape)
    for n, x in sites.items()
}
films = {n: (x - x.mean(0)) / x.std(0).clip(1e-9) for n, x in films.items()}
some = next(iter(films.values()))
films["noise"] = np.random.default_rng(seed).normal(size=some.shape)


def recipe_and_ours(x):
    """R² of ridge regression in the sample, and with a penalty and trials held out."""
    naive = Ridge(1.0).fit(x, spikes).score(x, spikes)
    held = OtherHalf(spikes, trials[reaches.onset], seed=seed).errors(x).r2()
    return naive, held


fits = {name: recipe_and_ours(x) for name, x in films.items()}
top = max(sites, key=lambda name: fits[name][0])


# %%
few = np.random.default_rng(seed).permutation(len(spikes))[:n_stimuli]
one, two = (squareform(pdist(x[few])) for x in (films[top], spikes))
upper = np.triu_indices(len(one), 1)
flat = spearmanr(one.ravel(), two.ravel())[0]
honest = spearmanr(one[upper], two[upper])[0]
draw = np.random.default_rng(seed)
chance = []
for _ in range(200):
    order = draw.permutation(len(one))
    mixed = one[np.ix_(order, order)]
    chance.append(spearmanr(mixed[upper], two[upper])[0])

# %% tags=["hide-input"]
report.put("recipe_r2", fits[top][0])
report.put("recipe_noise", fits["noise"][0])
report.put("honest_r2", fits[top][1])
report.put("honest_noise", fits["noise"][1])
report.put("flat", float(flat))
report.put("upper", float(honest))
too_narrow = np.std(chance) * np.sqrt(len(upper[0]) - 1)
report.put("too_narrow", float(too_narrow))
spread = np.ptp([fits[name][0] for name in sites])
report.put("layer_spread", float(spread))
report.put("top", top)
report.put("n_features", some.shape[1])

# %% [markdown]
# - **In-sample R².** The recipe reports {glue:text}`recipe_r2:.2f` for its best layer ({glue:text}`top`), and {glue:text}`recipe_noise:.2f` for **noise** with as many features ({glue:text}`n_features`). With trials held out and a penalty chosen without them, the layer has {glue:text}`honest_r2:.3f` and noise {glue:text}`honest_noise:.3f`.
# - **Flattened matrices.** A diagonal of zeros agrees with any other, and each pair counts twice: the correlation is {glue:text}`flat:.3f`, and {glue:text}`upper:.3f` on one triangle. Its p-value takes pairs for independent; with reaches permuted the correlation varies {glue:text}`too_narrow:.1f` times as much as that p-value assumes.
# - **The best layer of the same data.** Layers differ in the sample by {glue:text}`layer_spread:.2f`, which on this scale is what noise does too. Which layer is best was above chosen on other trials.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "training makes every decoder predict the unread half better",
    all(
        hierarchical_interval(errors[n, "trained"], errors[n, "untrained"]).low
        > 0
        for n in architectures
    ),
)
report.claim(
    "trained layers are more like the unread half than shifted trials are",
    all(
        predicted[f"{n}: {layer}"].low > predicted[f"null: {n}"].high
        for n in architectures
        for layer in inside[n, seed]["trained"]
    ),
)
report.claim(
    "a decoder predicts the unread half better than its smoothed inputs do",
    any(
        hierarchical_interval(errors[n, "trained"], errors["inputs"]).low > 0
        for n in architectures
    ),
)
report.claim(
    "a decoder predicts the unread half better than behaviour does",
    any(
        hierarchical_interval(errors[n, "trained"], errors["behaviour"]).low
        > 0
        for n in architectures
    ),
)
report.claim(
    "no decoder adds a hundredth of the variance beyond inputs and behaviour",
    all(gains[n, "trained", "beyond both"].high < 0.01 for n in architectures),
)
report.claim(
    "the recipe gives noise most of what it gives the best layer",
    fits["noise"][0] > 0.5 * fits[top][0],
)
report.claim(
    "beyond inputs and behaviour some decoder adds more than it did untrained",
    any(learnt[n].low > 0.0005 for n in architectures),
)
report.claim("held out, noise predicts nothing", fits["noise"][1] < 0.01)
report.claim(
    "p-values of pairs are of a null that is too narrow", too_narrow > 1.2
)

# %% [markdown]
# ## What we learned
#
# - A trained decoder is more like neurons that it has not read than an untrained one is, and far more than chance: by CKA, by prediction and, least clearly, by geometry.
# - It does **not** hold more of them than what it is given. Smoothed inputs predict the other half better than any layer does, and here behaviour does too (which depends on the area: try the motor cortex); a decoder is made to throw away what does not serve its task.
# - What a layer adds beyond inputs and behaviour together is a fraction of a hundredth of the variance, where it is anything. *Brain-like* here means: keeps the part of its input that goes with the movement, as the neurons next door do.
# - **Not shown:** other regions, other tasks, longer training or larger networks; neurons of one array in one session; two networks say little about others. A linear map is what predicts here, and behaviour is what was recorded of it.
# - **What would change our mind:** a decoder trained on one half that predicts the other better than ridge regression from inputs with as much history and from behaviour, in another session.
#
# **Try it:** `dataset="m1"`, `architectures=["gru", "rvq"]`; do discrete codes keep less of the neighbours?
# **Sources:** {cite}`tensorscope,kornblith2019,murphy2024,walther2016`.

# %% tags=["hide-input"]
report.card(
    answer="More than an untrained one's, less than its own input is. The "
    f"chosen layer of the {best} predicts {chosen_r2[best, 'trained']:.3f} of "
    "the variance of neurons that it has not read, "
    f"{chosen_r2[best, 'untrained'].estimate:.3f} untrained; its smoothed "
    f"inputs {predicted['inputs'].estimate:.3f}, behaviour "
    f"{predicted['behaviour'].estimate:.3f}. Beyond both it adds "
    f"{gains[best, 'trained', 'beyond both']:.4f}.",
    needs="what ridge regression and a held-out trial are.",
)
report.stamp()
