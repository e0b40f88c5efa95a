# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (sparks-figure)=
# # Figure 3, panel by panel: what do we get?
#
# ```{glue} card
# ```
#
# The paper's third figure shows a latent space learned from the somatosensory cortex of a monkey, beside that of other models {cite}`skatchkovsky2024`.
# Every panel here is computed: models trained on this page, scored on trials that none of them has seen.
# The panels ask what the paper's panels ask; data, controls and splits are ours, and each caption says where they differ.
# Panel E is not described in any source open to us, so there is none.
#
# **You will learn** (1) to read latents by what they are for: geometry, dynamics, decoding, prediction of unseen units, (2) where Hebbian attention stands against fair controls in each.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
dataset: str = "s1"  # "s1", or "area2": eight targets from the centre
n_seeds: int = 2  # networks per model
steps: int = 130  # optimiser steps
hidden_steps: int = 200  # the same where units are hidden: slower to learn
rule: str = (
    "light"  # of the Hebbian encoder; "additive" is the first published one
)
d: int = 8  # width of a unit's token
tau_s: float = 0.05  # time constant of the traces at the start
n_latents: int = 3  # as published
past_s: float = 0.5  # latents that the decoder sees; ten bins of 50 ms
piece_s: float = 1.5  # longest stretch that any model remembers
peers: bool = False  # CEBRA as well, where it is installed
device: str = "auto"
seed: int = 0

# %%
from dataclasses import replace

import numpy as np

from neurolib import report
from neurolib.data.co_smoothing import co_smoothing_trials, draw_held_out
from neurolib.data.reaches import Reaches, aligned, find_reaches
from neurolib.data.sets import load
from neurolib.metrics.decoding import squared_errors
from neurolib.metrics.delays import DelayConfig
from neurolib.metrics.dynamics import (
    choose_delays,
    dsa,
    phase_randomise,
    sweep_delays,
)
from neurolib.metrics.intervals import hierarchical_interval
from neurolib.metrics.spikes import bits_per_spike
from neurolib.models.controls import (
    EmaMlpConfig,
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
from neurolib.viz import latents
from neurolib.viz.figure_three import Panels, figure_three
from neurolib.viz.style import COLOURS, GREY

everything = load(dataset, source)
report.use(everything)
everything

# %% [markdown]
# ## Models and data
#
# Four encoders, equal latents, equal decoder.
# The one-bin control is that of a public attempt at a reproduction {cite}`sparksreproduction`; averages and GRU are the ones it should have been.

# %%
bin_s = everything.bin_size_s
past_bins = round(past_s / bin_s)
longest = round(piece_s / bin_s)
encoders = {
    "Hebbian": HebbianConfig(rule, d, (tau_s,)),
    "averages": EmaMlpConfig((tau_s, 5 * tau_s), dropout=0.2),
    "GRU": RecurrentEncoderConfig(dropout=0.2),
    "one bin": OneBinAttentionConfig(d=32),
}
colours = dict(zip(encoders, (*COLOURS[:3], GREY), strict=True))
split = everything.folds(5)[-1]
train, valid, test = (part.pieces(longest, past_bins) for part in split)
positions = [part.with_outputs("position") for part in (train, valid, test)]
whole = np.bincount(test.info["whole"], test.lengths).astype(int)
whole = whole[whole > 0]  # bins per trial: trials are resampled
(train, valid, test)

# %%
train_cfg = TrainConfig(
    steps=steps,
    batch_size=32,
    lr=1e-2,
    schedule="cosine",
    warmup=10,
    eval_every=max(steps // 6, 1),
    device=device,
)


def trained(
    encoder, parts, likelihood="gaussian", n_latents=n_latents, steps=steps
):
    """Networks of all seeds with their histories; weights chosen on valid."""
    cfg = VAEConfig(encoder, n_latents, past_bins, 1, likelihood, hidden=64)
    return fit_seeds(
        lambda: SequenceVAE.for_trials(parts[0], cfg),
        train=trial_tensors(parts[0]),
        valid=trial_tensors(parts[1]),
        cfg=replace(train_cfg, steps=steps),
        seeds=range(seed, seed + n_seeds),
    )


# %% [markdown]
# ## Training
#
# Panels B, D and F look at the same networks, trained to decode the position of the hand.

# %%
models, histories, errors = {}, {}, {}
truth = positions[2].behaviour
for name, encoder in encoders.items():
    fits = trained(encoder, positions)
    models[name] = [model for model, _ in fits]
    histories[name] = [history for _, history in fits]
    errors[name] = [
        squared_errors(truth, model.predict(positions[2]), whole)
        for model in models[name]
    ]

# %% [markdown]
# ## A and B: reaches, and where the latents go during them
#
# Reaches of the test trials, found by speed and sorted by direction.


# %%
def on_reaches(values, before_s=0.1, after_s=0.5):
    """Values per bin of the test trials, cut around reaches."""
    before, after = round(before_s / bin_s), round(after_s / bin_s)
    return aligned(values, reaches.onset, before, after)


if "condition" in split.test.info:  # trials that were cut around reaches
    at_onset = split.test.starts + round(0.1 / bin_s)
    reaches = Reaches(at_onset, split.test.info["condition"])
else:
    reaches = find_reaches(split.test)
n_before = round(0.1 / bin_s)
hand = on_reaches(split.test.with_outputs("position").behaviour)
hand = hand - hand[:, n_before : n_before + 1]
uncut = split.test.pieces(longest)  # the same bins, none dropped
embedded = {
    name: [model.embed(uncut) for model in nets]
    for name, nets in models.items()
}
paths = {}
for name, by_seed in embedded.items():
    moved = on_reaches(by_seed[0])
    moved = moved - moved[:, n_before : n_before + 1]
    paths[name] = latents.two_components(moved)
len(reaches.onset)

# %% [markdown]
# ## C and D: dynamics
#
# Dynamical similarity analysis compares how trajectories move on, not where they are {cite}`ostrow2023`: fit one linear step to the delay embedding of each system, rotate one onto the other as well as possible, and take the angle that is left.
# Panel C shows what it sees and what it does not, on systems made for the purpose.


# %%
def turn(angle, decay=0.97):
    """A spiral: rotation by ``angle`` with decay."""
    c, s = np.cos(angle), np.sin(angle)
    return decay * np.array([[c, -s], [s, c]])


def runs(operator, view, n=20):
    """Trials of a linear system seen through ``view``."""
    draw, trials = np.random.default_rng(0), []
    for start in draw.standard_normal((n, 2)):
        path = [start]
        for _ in range(40):
            path.append(operator @ path[-1])
        trials.append(np.array(path) @ view.T)
    return trials


skew = np.array([[1.0, 0.8], [0.0, 0.6]])
views = {"a": (0.3, np.eye(2)), "b": (0.3, skew), "c": (0.6, np.eye(2))}
made = [runs(turn(angle), view) for angle, view in views.values()]
made = dsa(made, DelayConfig(n_delays=1, rank=2)).distances
flows = {
    "a system": turn(0.3),
    f"skewed\n{made[0, 1]:.2f} rad": skew @ turn(0.3) @ np.linalg.inv(skew),
    f"twice as fast\n{made[0, 2]:.2f} rad": turn(0.6),
}
made.round(3)


# %%
def as_system(values, trials):
    """Stretches of some length, one array each."""
    parts = np.split(values, np.cumsum(trials.lengths)[:-1])
    return [part for part in parts if len(part) >= 24]


choices = [as_system(valid.behaviour, valid)]
for nets in models.values():
    choices.append(as_system(nets[0].embed(valid), valid))
rows = sweep_delays(choices, [2, 4, 8], [4, 6, 8, 12])
delays = choose_delays(rows)
least = min(row.error for row in rows)
(delays.n_delays, delays.rank, round(least, 3))

# %% [markdown]
# Delays and rank are the same for all, chosen on valid stretches by how well the next bin is predicted: the error is {glue:text}`dsa_error:.2f` of that of predicting no change.
# Compared are changes from bin to bin, by an angle that does not see how large they are: {ref}`comparing-dynamics` says what that hides.

# %%
moving_hand = as_system(split.test.behaviour, uncut)


def distances(systems):
    """Of each system to the hand, and among the systems."""
    compared = [moving_hand, *systems]
    found = dsa(compared, delays, subtract_identity=True).distances.round(3)
    pairs = np.tril_indices(len(systems), -1)
    return found[0, 1:].tolist(), found[1:, 1:][pairs].tolist()


to_hand, null_to_hand, among = {}, {}, {}
for name, by_seed in embedded.items():
    systems = [as_system(values, uncut) for values in by_seed]
    scrambled = [phase_randomise(system, seed) for system in systems]
    to_hand[name], among[name] = distances(systems)
    null_to_hand[name], _ = distances(scrambled)
(to_hand, null_to_hand, among)

# %% [markdown]
# ## F: position of the hand
#
# The squared errors of the networks above, beside ridge with the window that is best on valid trials.

# %%
windows = [
    RidgeDecoder(RidgeConfig(n)) for n in (5, 10, 20, 30) if n <= longest
]
ridge = fit_best(windows, *positions[:2])
guess = ridge.predict(positions[2])
errors["ridge"] = [squared_errors(truth, guess, whole)] * n_seeds
if peers:
    from neurolib.models.cebra import CebraConfig, CebraDecoder

    fits = [
        CebraDecoder(CebraConfig()).fit(*positions[:2]) for _ in range(n_seeds)
    ]
    guesses = [fitted.predict(positions[2]) for fitted in fits]
    errors["CEBRA"] = [squared_errors(truth, g, whole) for g in guesses]
r2 = {name: hierarchical_interval(errors[name]) for name in errors}
r2

# %% [markdown]
# ## G: units that the model does not see
#
# Co-smoothing: a quarter of the units is hidden from the encoder, and the decoder predicts their spikes {cite}`pei2021`.
# The score is in bits per spike beyond the mean rate of each unit; zero is what the mean rate scores.
# Neither the present nor the past of a hidden unit is ever an input.
# Networks are trained for {glue:text}`hidden_steps` steps and their decoder sees {glue:text}`past_bins` bins; {ref}`unseen-neurons` has the same score with other settings, so its numbers differ.

# %%
held_out = draw_held_out(everything, 0.25, seed)
hidden = [co_smoothing_trials(part, held_out) for part in (train, valid, test)]
n_seen = hidden[0].n_units
bits = {}
for name in ("Hebbian", "averages", "GRU"):
    fits = trained(encoders[name], hidden, "poisson", 8, hidden_steps)
    bits[name] = [
        bits_per_spike(
            model.predict(hidden[2])[:, n_seen:],
            hidden[2].behaviour[:, n_seen:],
        )
        for model, _ in fits
    ]
{name: np.round(values, 3).tolist() for name, values in bits.items()}

# %% [markdown]
# ## H: with and without the hand
#
# Unsupervised latents are trained to reproduce the spikes of all units and never see the hand.
# A linear read-out of the last latents is then fitted to position, for both kinds alike.


# %%
def read_position(model):
    """Squared errors of position, read linearly from the last latents."""
    values = [model.embed(part) for part in positions]
    floor = min(
        v.min() for v in values
    )  # one constant: counts cannot be negative
    parts = [
        replace(part, counts=v - floor)
        for part, v in zip(positions, values, strict=True)
    ]
    decoder = RidgeDecoder(RidgeConfig(past_bins)).fit(*parts[:2])
    return squared_errors(truth, decoder.predict(parts[2]), whole)


own = [
    replace(part, behaviour=part.counts.astype(float), outputs=())
    for part in (train, valid, test)
]
kinds = {}
for name in ("Hebbian", "GRU"):
    unsupervised = [m for m, _ in trained(encoders[name], own, "poisson")]
    kinds[f"{name}, spikes"] = [read_position(m) for m in unsupervised]
    kinds[f"{name}, hand"] = [read_position(m) for m in models[name]]
kinds = {name: hierarchical_interval(e) for name, e in kinds.items()}
kinds

# %% [markdown]
# ## The figure

# %% tags=["hide-input", "remove-output"]
panels = Panels(
    hand=hand,
    latents=paths,
    direction=reaches.direction,
    onset_bin=n_before,
    flows=flows,
    to_hand=to_hand,
    null_to_hand=null_to_hand,
    between_seeds=among,
    position={name: row[:3] for name, row in r2.items()},
    histories=histories,
    bits=bits,
    read_out={name: row[:3] for name, row in kinds.items()},
    colours=colours | {"ridge": "#222222", "CEBRA": COLOURS[3]},
    simulated=everything.simulated,
)
report.figure("figure-three", figure_three(panels))

# %% tags=["hide-input"]
report.put("dsa_error", least)
report.put("n_delays", delays.n_delays)
report.put("rank", delays.rank)
report.put("steps", steps)
report.put("hidden_steps", hidden_steps)
report.put("past_bins", past_bins)
report.put("ridge_bins", ridge.cfg.history_bins)
report.put("n_test", len(whole))
report.put("n_reaches", len(reaches.onset))
report.put("n_seeds", n_seeds)
report.put("n_seen", n_seen)
report.put("n_hidden", int(held_out.sum()))
for name, row in r2.items():
    report.put(f"r2_{name.replace(' ', '_')}", row.estimate)
for name, values in bits.items():
    report.put(f"bits_{name}", float(np.mean(values)))
for name, values in to_hand.items():
    key = name.replace(" ", "_")
    report.put(f"hand_{key}", float(np.mean(values)))
    report.put(f"null_{key}", float(np.mean(null_to_hand[name])))
scrambling = [
    abs(np.mean(to_hand[n]) - np.mean(null_to_hand[n])) for n in encoders
]
report.put("scrambling", max(scrambling))
for name, row in kinds.items():
    report.put(f"latents_{name.replace(', ', '_')}", row.estimate)

# %% [markdown]
# ```{glue:figure} figure-three
# :name: fig-figure-three
# :alt: Seven panels: hand paths, latents of four models, what dynamical similarity measures, distances to the hand and between seeds, decoding of position, prediction of hidden units, supervised and unsupervised latents
#
# **Figure 3, computed.** **A** Mean hand paths of {glue:text}`n_reaches` test reaches by direction. **B** First two components of the latents in the same reaches, counted from onset like the hand; one model each, first seed. **C** What dynamical similarity analysis sees: distances to the system on the left. **D** Its distance from latents to the hand's position and velocity (dotted, black: of the same latents with scrambled phases) and between seeds of one model. **F** R² of position on {glue:text}`n_test` test trials with 95 % intervals over {glue:text}`n_seeds` seeds and trials, and the training. **G** Bits per spike of {glue:text}`n_hidden` units that the encoder never sees; one point per seed. **H** A linear read-out of latents that were trained on spikes alone, or on the hand.
# ```
#
# ## Reading it
#
# | panel | the paper's point | here |
# |---|---|---|
# | B | latents unfold by direction | compare the star of the hand with each; no number is attached to this panel, and none should be |
# | D | latents move like the task | distance to the hand: Hebbian {glue:text}`hand_Hebbian:.2f`, averages {glue:text}`hand_averages:.2f`, GRU {glue:text}`hand_GRU:.2f`, one bin {glue:text}`hand_one_bin:.2f` rad; scrambled {glue:text}`null_Hebbian:.2f`, {glue:text}`null_averages:.2f`, {glue:text}`null_GRU:.2f` and {glue:text}`null_one_bin:.2f`; scrambling changes none by more than {glue:text}`scrambling:.3f` |
# | F | Hebbian attention decodes position best | after {glue:text}`steps` steps: Hebbian {glue:text}`r2_Hebbian:.2f`, averages {glue:text}`r2_averages:.2f`, GRU {glue:text}`r2_GRU:.2f`, ridge on {glue:text}`ridge_bins` bins {glue:text}`r2_ridge:.2f`, one bin {glue:text}`r2_one_bin:.2f` |
# | G | it predicts unseen units | bits per spike: Hebbian {glue:text}`bits_Hebbian:.2f`, averages {glue:text}`bits_averages:.2f`, GRU {glue:text}`bits_GRU:.2f` |
# | H | unsupervised latents hold the hand too | Hebbian from spikes {glue:text}`latents_Hebbian_spikes:.2f`, from the hand {glue:text}`latents_Hebbian_hand:.2f` |
#
# The paper's own values for these panels are not in its text as far as it is open to us, so no number of ours is set against them here; {ref}`two-protocols` does that for the numbers that exist.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "Hebbian attention decodes position better than averages",
    hierarchical_interval(errors["Hebbian"], baseline=errors["averages"]).low
    > 0,
)
report.claim(
    "Hebbian attention decodes position better than one bin",
    hierarchical_interval(errors["Hebbian"], baseline=errors["one bin"]).low
    > 0,
)
report.claim(
    "every model's latents move more like the hand than when scrambled",
    all(max(to_hand[n]) < min(null_to_hand[n]) for n in encoders),
)
report.claim(
    "every model predicts unseen units better than their mean rate",
    min(min(values) for values in bits.values()) > 0,
)
report.claim(
    "Hebbian latents learned from spikes alone hold the hand's position",
    kinds["Hebbian, spikes"].low > 0,
)

# %% [markdown]
# ## What we learned
#
# - Panel D can only be read beside its null: scrambling the latents changes no distance to the hand by more than {glue:text}`scrambling:.3f` rad, of {glue:text}`hand_Hebbian:.2f`.
# - Of the panels, F and G have a baseline that can embarrass a model, D has a null; B has neither.
# - All networks had the same budget, and the Hebbian encoder learns slowest; the full profile trains longer.
# - **Not shown:** AutoLFADS and pi-VAE. CEBRA runs here through its own package with `peers=True`, where that is installed.
# - **What would change our mind:** other verdicts above on a second recording, with the same seeds and trials for all.
#
# **Try it:** `rule="additive"`, or `dataset="area2"`.
# **Sources:** {cite}`skatchkovsky2024,ostrow2023,pei2021,sparksreproduction`.

# %% tags=["hide-input"]
report.card(
    answer=f"Hebbian attention decodes position with R² = "
    f"{r2['Hebbian'].estimate:.2f}, running averages with a perceptron "
    f"{r2['averages'].estimate:.2f}, a GRU {r2['GRU'].estimate:.2f}, the "
    f"reproduction's one-bin control {r2['one bin'].estimate:.2f}.",
    needs="the rules of the page How do spikes write an attention matrix?",
)
report.stamp()
