# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (your-own-data)=
# # How do I decode my own recording?
#
# ```{glue} card
# ```
#
# You have spike times and something that the animal did.
# This page takes them to a decoder that is trained, kept in a file, and runs bin by bin.
# No recording can be taken for granted here, so the page makes a small session of its own.
# Put yours in its place: from the second section on, nothing knows where the session came from.
#
# **You will learn** (1) three ways in: arrays, pynapple, NWB, (2) how to train a Hebbian decoder or a GRU, keep it and stream it, (3) how several recordings share a decoder, (4) which mistakes are caught.

# %% tags=["parameters"]
source: str = "simulated"  # there is no other here: the page makes a session
n_trials: int = 90  # of that session
bin_ms: int = 50  # width of a bin
past_bins: int = 10  # what decoders see: latents of the network, or counts
longest: int = 30  # bins before the memory is cleared
steps: int = 100  # optimiser steps
device: str = "auto"  # CUDA where there is one
seed: int = 0

# %%
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from scipy.ndimage import gaussian_filter1d

from neurolib import report
from neurolib.data.interop import from_pynapple, to_pynapple
from neurolib.data.nwb import read_nwb
from neurolib.data.reaching import S1_RANDOM_TARGET, simulate
from neurolib.data.recording import Recording, Signal
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.linear import RidgeConfig, RidgeDecoder
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training.batches import session_tensors, trial_tensors
from neurolib.training.checkpoints import load_weights, save_weights
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz.browser import trial_browser

session_cfg = replace(
    S1_RANDOM_TARGET, name="spykesml_s1", n_trials=n_trials, seed=seed
)
session = simulate(session_cfg)
report.use(session)
session

# %% [markdown]
# ## Three ways in
#
# **From arrays.** One sorted array of spike times per unit, the time during which the units were recorded, each signal with its own clock, and a table of trials.
# All times are in seconds.

# %%
hand = session.signals["hand_vel"]
from_arrays = Recording(
    spike_times_s=[np.array(times) for times in session.spike_times_s],
    observed_s=session.observed_s,
    signals={"hand_vel": Signal(hand.time_s, hand.values, "cm/s", ("x", "y"))},
    trials={key: session.trials[key] for key in ("start_s", "stop_s")},
)
from_arrays

# %% [markdown]
# **From pynapple.** Spikes are a `TsGroup`, signals are `TsdFrame`s, trials are an `IntervalSet`.
# `to_pynapple` goes the other way, for all that pynapple can do with them.

# %%
objects = to_pynapple(session)
pynapple_way = from_pynapple(
    objects["spikes"], objects["signals"], objects["trials"]
)
{name: type(value).__name__ for name, value in objects.items()}

# %% [markdown]
# **From NWB.** The file is written here only to be read again; yours exists.
# Names of channels are read from the comment of a series, as the files of the Neural Latents Benchmark have them.


# %%
def write_nwb(path, session):
    """A session with spikes, trials and the velocity of the hand."""
    nwb = NWBFile("a simulated session", "own-data", datetime.now(UTC))
    trials, hand = session.trials, session.signals["hand_vel"]
    for times in session.spike_times_s:
        nwb.add_unit(spike_times=times, obs_intervals=session.observed_s)
    for span in zip(trials["start_s"], trials["stop_s"], strict=True):
        nwb.add_trial(*span)
    what = {"name": "hand_vel", "data": hand.values, "unit": hand.unit}
    what |= {"timestamps": hand.time_s, "comments": "columns=[x, y]"}
    nwb.add_acquisition(TimeSeries(**what))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


# %%
scratch = tempfile.TemporaryDirectory()  # gone when the page is done
folder = Path(scratch.name)
write_nwb(folder / "session.nwb", session)
nwb_way = read_nwb(folder / "session.nwb", signals=["hand_vel"])
nwb_way

# %% [markdown]
# A `Recording` checks itself: spike times that are not sorted, a clock that runs backwards, or trials in milliseconds are refused with the unit or the trial that is wrong.
#
# ## From a recording to trials
#
# `bin` cuts trials from start to stop; `align` cuts a window around an event of the trial table.
# Behaviour is averaged in the same bins.
# A `lag_s` pairs spikes with later behaviour, and is zero unless you say so.

# %%
recording = replace(nwb_way, name=session.name, simulated=True)
bin_size_s = bin_ms / 1000
window = recording.align(
    "start_s", (0.0, 1.0), bin_size_s, behaviour="hand_vel", gaps="drop"
)
whole = recording.bin(bin_size_s, "hand_vel", trials=True)
(window, whole)

# %% [markdown]
# No file says that its spikes were simulated, so the page says it again.
#
# Trials here are of very different lengths, and the matrix of the rule chosen below never forgets within a trial: what is decoded at its end depends on all that came before.
# So that training and use agree, trials are cut into stretches of one length at most, after which the memory is cleared.
# Stretches of one trial must stay together in the split.
# `seed=None` keeps the order in time: test trials are those recorded last, as in use.


# %%
def stretches(trials):
    """Stretches of trials that fill the window of the decoder."""
    cut = trials.pieces(longest)
    return cut.select(cut.lengths >= past_bins)


train, valid, test = stretches(whole).split(seed=None, by="whole")
(train, valid, test)

# %% [markdown]
# ## Train
#
# Ridge first: it takes a second, and a network that stays behind it is not yet worth its trouble.
# Then two networks that differ in one line, the encoder.

# %%
encoders = {
    "Hebbian": HebbianConfig("light", d=8, tau_s=(bin_size_s,)),
    "GRU": RecurrentEncoderConfig(hidden=32, dropout=0.3),
}
configs = {
    name: VAEConfig(encoder, n_latents=4, past_bins=past_bins, hidden=32)
    for name, encoder in encoders.items()
}

# %%
train_cfg = TrainConfig(
    steps=steps,
    batch_size=32,
    lr=2e-2,
    schedule="cosine",
    warmup=10,
    weight_decay=1e-2,
    eval_every=10,
    device=device,
)

# %%
ridge = RidgeDecoder(RidgeConfig(past_bins)).fit(train, valid)
decoders = {"ridge": ridge}
for name, cfg in configs.items():
    torch.manual_seed(seed)
    model = SequenceVAE.for_trials(train, cfg)
    fit(model, trial_tensors(train), trial_tensors(valid), train_cfg)
    decoders[name] = model

# %%
r2 = {
    name: r2_variance_weighted(test.behaviour, decoder.predict(test))
    for name, decoder in decoders.items()
}
{name: round(value, 2) for name, value in r2.items()}

# %% tags=["hide-input"]
for name, value in r2.items():
    report.put(f"{name.lower()}_r2", value)
report.put("n_train", len(np.unique(train.info["whole"])))
report.put("minutes", len(train.counts) * bin_size_s / 60)

# %% [markdown]
# On the last trials of the session, R² is {glue:text}`ridge_r2:.2f` for ridge, {glue:text}`hebbian_r2:.2f` for the Hebbian network and {glue:text}`gru_r2:.2f` for the GRU, after {glue:text}`n_train` training trials with {glue:text}`minutes:.1f` minutes in them.
# One network on one split says little about which is better: {ref}`memory-or-attention` compares them with seeds and intervals, {ref}`two-protocols` shows what the protocol is worth.
#
# ## Look at it

# %% tags=["hide-input"]
offered = [int(i) for i in np.flatnonzero(test.lengths == longest)[:6]]
best = max(configs, key=r2.get)
trial_browser(
    "browse-own", test, decoders[best].predict(test), offered, "stretch"
)

# %% [markdown]
# ## Keep it
#
# The file holds tensors and the settings; nothing in it is run when it is read.
# The model to fill is made with the same settings, and a file of another model is refused.

# %%
again = {}
for name, cfg in configs.items():
    save_weights(folder / f"{name}.pt", decoders[name])
    empty = SequenceVAE(cfg, train.n_units, 2, bin_size_s)
    again[name] = load_weights(folder / f"{name}.pt", empty)
kept = all(
    np.allclose(model.predict(test), decoders[name].predict(test), atol=1e-4)
    for name, model in again.items()
)

# %% [markdown]
# ## Run it bin by bin
#
# A stream takes the counts of the newest bin and returns the velocity of the hand in that bin.
# `reset` clears its memory, at the start of a trial.

# %%
trial, far = test.trial(0), {}
for name, model in again.items():
    stream = model.stream()
    stream.reset()
    decoded = np.stack([stream.step(counts) for counts in trial.counts])
    far[name] = float(np.abs(decoded - model.predict(trial)).max())
far  # cm/s between bin by bin and all at once

# %% [markdown]
# ## Several recordings, one decoder
#
# The next day holds other units.
# Each recording then has an encoder of its own, and all share the decoder, so latents mean the same on both days.
# A dict of trials takes the place of trials, and its keys name the recordings from then on.

# %%
other_units = replace(session_cfg.population, n_units=40)
tuesday = simulate(replace(session_cfg, population=other_units, seed=seed + 1))
tuesday = stretches(tuesday.bin(bin_size_s, "hand_vel", trials=True))

# %%
days = {
    "monday": (train, valid, test),
    "tuesday": tuesday.split(seed=None, by="whole"),
}
train_days, valid_days, test_days = (
    {day: parts[i] for day, parts in days.items()} for i in range(3)
)

# %%
torch.manual_seed(seed)
shared = SequenceVAE.for_trials(train_days, configs["Hebbian"])
fit(
    shared, session_tensors(train_days), session_tensors(valid_days), train_cfg
)
by_day = {
    day: r2_variance_weighted(part.behaviour, shared.predict(part, day))
    for day, part in test_days.items()
}
{day: round(value, 2) for day, value in by_day.items()}

# %% tags=["hide-input"]
for day, value in by_day.items():
    report.put(f"{day}_r2", value)

# %% [markdown]
# One network reads both days, with R² of {glue:text}`monday_r2:.2f` and {glue:text}`tuesday_r2:.2f`; the network of Monday alone had {glue:text}`hebbian_r2:.2f`.
# Streaming names the day too: `shared.stream("tuesday")`.
#
# ## What goes wrong
#
# Four common mistakes, and what you are told.

# %%
smooth = gaussian_filter1d(train.counts.astype(float), 2, axis=0)
silent = train.counts.copy()
silent[: train.lengths[0]] = 0
halves = train.pieces(past_bins // 2)
mistakes = {
    "smoothed counts": replace(train, counts=smooth),
    "a silent trial": replace(train, counts=silent),
    "too short a trial": halves.select(halves.lengths == past_bins // 2),
}


# %%
def message(attempt, trials):
    """What an attempt is refused with."""
    try:
        attempt(trials)
    except ValueError as error:
        return str(error)


# %%
def make(trials):
    """A Hebbian model for these trials."""
    return SequenceVAE.for_trials(trials, configs["Hebbian"])


refused = {name: message(make, part) for name, part in mistakes.items()}
predict, strangers = decoders["Hebbian"].predict, test_days["tuesday"]
refused["another population"] = message(predict, strangers)
for name, text in refused.items():
    print(f"{name}\n    {text}\n")

# %% [markdown]
# ## Verdicts

# %%
ways = [
    way.bin(bin_size_s, "hand_vel", trials=True)
    for way in (from_arrays, pynapple_way, nwb_way)
]
same = all(
    np.array_equal(way.counts, ways[0].counts)
    and np.allclose(way.behaviour, ways[0].behaviour)
    for way in ways
)

# %% tags=["nbval-check-output"]
report.claim("arrays, pynapple and NWB give the same trials", same)
report.claim("a decoder from its file decodes the same", kept)
report.claim(
    "bin by bin gives what whole trials give", max(far.values()) < 0.01
)
report.claim("one decoder reads two recordings", min(by_day.values()) > 0.2)
report.claim("all four mistakes are refused", all(refused.values()))
report.claim(
    "on this session, ridge is ahead of the Hebbian network",
    r2["ridge"] > r2["Hebbian"],
)

# %% [markdown]
# ## What we learned
#
# - A session is spike times, signals and a table of trials; after that, the way in does not matter.
# - Fitted, kept and streamed decoders give the same numbers.
# - **Not shown:** that any of this holds on recorded spikes; the other pages of this part do that.
# - **What would change our mind** about ridge first: your recording.
#
# **Try it:** `n_trials=390`, as long as the recording that this session stands in for; do more trials help the Hebbian network, or does it need more `steps`?
# **Sources:** {cite}`skatchkovsky2024`.

# %% tags=["hide-input"]
report.card(
    answer="Put it into a Recording from arrays, pynapple or NWB, cut it "
    "into trials, and train. On this session R² is "
    f"{r2['ridge']:.2f} for ridge, {r2['Hebbian']:.2f} for the Hebbian "
    f"network and {r2['GRU']:.2f} for a GRU: fit ridge first, it says what "
    "a network has to beat.",
    needs="what binned spikes are, and how train, valid and test differ.",
)
report.stamp()
