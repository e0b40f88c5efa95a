# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (interpret-your-model)=
# # How do I look inside a network of my own?
#
# ```{glue} card
# ```
#
# The other pages open models of this book.
# This one opens a network that the book has never seen: a module of a dozen lines that takes a dict of signals, which is where many tools stop.
# Nothing is registered and nothing is inherited.
#
# So that there is something to be right about, one of its two signals is useless.
# The units of a recording are divided into two probes, and the trials of the second are exchanged for others: it has the same units and the same rates, and nothing to do with the movement.
#
# **You will learn** (1) how to read what passes through a module, (2) how to change it and what that shows, (3) how to attribute and take apart, (4) what the tools refuse.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
hidden: int = 32  # units of the recurrent layer
steps: int = 120  # of training
n_bins: int = 30  # of a stretch
n_features: int = 64  # of the dictionary
k: int = 6  # of them active, on average
n_seeds: int = 2
seed: int = 0

# %% tags=["remove-stderr"]
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from neurolib import report
from neurolib.data.sets import load
from neurolib.interpret.activations import Patch, patch, record
from neurolib.interpret.attribution.integrated_gradients import (
    integrated_gradients,
)
from neurolib.interpret.corruption import partners, take
from neurolib.interpret.dictionaries.features import without
from neurolib.interpret.dictionaries.files import (
    load_dictionary,
    save_dictionary,
)
from neurolib.interpret.dictionaries.quality import pca_explained, quality
from neurolib.interpret.dictionaries.topk import BatchTopKConfig
from neurolib.interpret.dictionaries.training import (
    DictionaryTraining,
    train_dictionary,
)
from neurolib.interpret.patching import Unit, activation_patching
from neurolib.interpret.trial_scores import towards
from neurolib.metrics.decoding import r2_variance_weighted
from neurolib.metrics.intervals import bootstrap_interval
from neurolib.models.sites import Site
from neurolib.viz import scores

velocity = load("s1", source).with_outputs("velocity")
report.use(velocity)
stretches = velocity.pieces(n_bins, min_bins=n_bins)
train, _, test = stretches.split(by="whole")

# %% [markdown]
# ## A module and its signals


# %%
class TwoProbes(nn.Module):
    """A dict of counts in, velocity out."""

    def __init__(self, sizes, hidden):
        super().__init__()
        made = {name: nn.Linear(n, hidden) for name, n in sizes.items()}
        self.enter = nn.ModuleDict(made)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, 2)

    def forward(self, signals):
        """Signals ``(batch, time, unit)`` by name."""
        x = sum(self.enter[name](x) for name, x in signals.items())
        return self.readout(self.gru(torch.tanh(x))[0])


# %%
def signals_of(trials, draw):
    """Two probes, the second one's trials exchanged; and the velocity."""
    counts = torch.tensor(trials.padded().counts, dtype=torch.float32)
    hand = torch.tensor(trials.padded().behaviour, dtype=torch.float32)
    half = counts.shape[2] // 2
    other = torch.from_numpy(draw.permutation(len(counts)))
    return {
        "true": counts[..., :half],
        "exchanged": counts[other][..., half:],
    }, (hand - hand.mean((0, 1))) / hand.std((0, 1))


draw = np.random.default_rng(seed)
signals, hand = signals_of(train, draw)
test_signals, test_hand = signals_of(test, draw)
{name: tuple(x.shape) for name, x in signals.items()}


# %%
def trained(seed):
    """A network, trained in the plainest way."""
    torch.manual_seed(seed)
    sizes = {name: x.shape[2] for name, x in signals.items()}
    model = TwoProbes(sizes, hidden)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        rows = torch.randint(len(hand), (32,))
        said = model({name: x[rows] for name, x in signals.items()})
        loss = (said - hand[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


models = [trained(seed + number) for number in range(n_seeds)]


# %%
def r2(model):
    """Variance explained on test stretches."""
    with torch.no_grad():
        said = model(test_signals)
    pair = test_hand.flatten(0, 1).numpy(), said.flatten(0, 1).numpy()
    return r2_variance_weighted(*pair)


report.put("r2", float(np.mean([r2(model) for model in models])))
report.put("n_test", len(test.lengths))

# %% [markdown]
# The networks explain {glue:text}`r2:.2f` of the variance of velocity on {glue:text}`n_test` stretches of {glue:text}`n_bins` bins that they were not trained on.
#
# ## Read
#
# A site is a place in the model with named axes.
# The output of any submodule is one, under its path; for names of axes, or for a part of a tuple such as a recurrent layer gives, say so with `Site`.

# %%
AT = ("batch", "time", "channel")
sites = [Site(f"enter.{name}", axes=AT) for name in signals]
sites.append(Site("hidden", "gru", AT, pick=0))
acts = record(models[0], test_signals, sites)
report.put("n_bins", n_bins)
{name: (tuple(acts[name].shape), acts.axes[name]) for name in acts}

# %% [markdown]
# ## Change
#
# What does a signal do?
# The network is run on other trials, and one signal's way in is given what it was in the right ones.
# How much of the right answer comes back?
# Zero is the other trial's velocity, one the right trial's; the interval is over stretches.

# %%
other = partners(len(test_hand), seed=seed)
corrupt = take(test_signals, other)
parts = [Unit(name, Site(f"enter.{name}", axes=AT)) for name in signals]
parts.append(Unit("hidden state", sites[-1]))


def recoveries(model):
    """What comes back with one part right and all else another trial's."""
    with torch.no_grad():
        score = towards(model(test_signals), model(corrupt))
    return activation_patching(model, test_signals, corrupt, score, parts)


recovered = [recoveries(model) for model in models]

# %% [markdown]
# ## Attribute
#
# Integrated gradients run along a path through all tensors of the dict at once, from another trial to this one, and must add up to the difference that they explain.
# The number explained is the horizontal velocity in the middle of the stretch.

# %%
MIDDLE = n_bins // 2


def middle(model):
    """Horizontal velocity in the middle bin, as a function of the input."""
    return lambda inputs: model(inputs)[:, MIDDLE, 0]


maps = [
    integrated_gradients(middle(model), test_signals, corrupt)
    for model in models
]
complete = [float(made.complete.float().mean()) for made in maps]
report.put("complete", float(np.mean(complete)))


# %%
def both_seeds(values):
    """Mean of the seeds, with an interval over stretches."""
    found = bootstrap_interval(np.mean(values, axis=0))
    return found.estimate, found.low, found.high


rows_of = {"true": "true probe", "exchanged": "exchanged probe"}
names = [*rows_of.values(), "hidden state"]
back = {
    label: both_seeds([part.per_trial[i] for part in recovered])
    for i, label in enumerate(names)
}
share = {
    label: both_seeds([made.shares()[name].numpy() for made in maps])
    for name, label in rows_of.items()
}
share["hidden state"] = None

# %% tags=["hide-input", "remove-output"]
chart = scores.interval_chart(
    {"recovered by patching": back, "share of attribution": share},
    "share",
    velocity.simulated,
)
report.figure("your-model", chart)
report.put("back_true", back["true probe"][0])
report.put("back_exchanged", back["exchanged probe"][0])
report.put("share_exchanged", share["exchanged probe"][0])

# %% [markdown]
# ```{glue:figure} your-model
# :name: fig-interpret-your-model
# :alt: Shares recovered by patching and shares of attribution for the true and the exchanged probe
#
# **Two probes, one of them useless.** Left: what of the right answer comes back when one part is given what it was in the right trial. Right: share of the summed size of integrated gradients. Means of {glue:text}`n_seeds` networks, intervals over stretches.
# ```
#
# The true probe brings back {glue:text}`back_true:.2f`, the exchanged one {glue:text}`back_exchanged:.2f`, and the hidden state everything, as it must.
# Attribution adds up in {glue:text}`complete:.0%` of the stretches, and yet gives the exchanged probe {glue:text}`share_exchanged:.2f`.
# Both are right.
# The networks do react to the useless signal, which they learned from noise; what it adds in one trial it takes in another.
# Sizes of attributions say what a network uses, not what is useful: the exchange of trials asks the second question no more than the first, as it compares the network with itself.
# What is useful is measured in the world, by decoding without the signal:


# %%
def without_signal(model, name):
    """Variance explained with one signal's way in at its mean."""
    way_in = record(model, test_signals, [f"enter.{name}"])[f"enter.{name}"]
    with patch(model, {f"enter.{name}": way_in.mean((0, 1))}):
        return r2(model)


lost = {
    name: float(np.mean([r2(m) - without_signal(m, name) for m in models]))
    for name in signals
}
report.put("lost_true", lost["true"])
report.put("lost_exchanged", lost["exchanged"])

# %% [markdown]
# The true probe at its mean costs {glue:text}`lost_true:.2f` of the variance explained, the exchanged one {glue:text}`lost_exchanged:.2f`.
#
# ## Take apart
#
# A dictionary of the hidden state: many features, few of them active at a time.
# It is trained on training stretches and judged on the others, beside as many principal components as there are active features.

# %%
model, hidden_site = models[0], sites[-1]
vectors = record(model, signals, [hidden_site]).samples("hidden")
held_out = record(model, test_signals, [hidden_site]).samples("hidden")
training = DictionaryTraining(steps=300, batch_size=512, seed=seed)
cfg = BatchTopKConfig(n_features=n_features, k=k)
dictionary, _ = train_dictionary(cfg, vectors, training)
judged = quality(dictionary, held_out)
flat = pca_explained(vectors, held_out, [k])[k]
report.put("active", judged.l0)
report.put("explained", judged.explained)
report.put("pca", flat)
report.put("dead", judged.dead)
report.put("n_features", n_features)


# %%
def r2_without(number):
    """Variance explained with one feature taken out of the hidden state."""
    edit = Patch(hidden_site, without(dictionary, number))
    with patch(model, [edit]):
        return r2(model)


costs = [r2(model) - r2_without(number) for number in range(n_features)]
report.put("worst_cost", float(max(costs)))

# %% [markdown]
# {glue:text}`active:.1f` active features of {glue:text}`n_features` explain {glue:text}`explained:.2f` of the variance, as many principal components {glue:text}`pca:.2f`; {glue:text}`dead:.0%` never fire.
# Taking away the feature that matters most costs {glue:text}`worst_cost:.3f` of the variance of velocity explained.
#
# The dictionary can be kept in the layout that SAELens reads, as two files without code in them, and comes back the same.

# %%
with tempfile.TemporaryDirectory() as folder:
    save_dictionary(dictionary, Path(folder) / "hidden")
    kept = sorted(path.name for path in (Path(folder) / "hidden").iterdir())
    again = load_dictionary(Path(folder) / "hidden")
same = torch.allclose(again(held_out), dictionary(held_out), atol=1e-4)
kept

# %% [markdown]
# ## What is refused
#
# A tool that quietly does nothing is worse than none.

# %%
WRONG = {
    "a site that is not there": lambda: record(model, signals, ["lstm"]),
    "a tuple without saying which part": lambda: record(
        model, signals, [Site("hidden", "gru", AT, pick=3)]
    ),
    "values of another batch": lambda: patched(acts["hidden"][:3]),
    "a patch that the run never passes": lambda: patched(0.0, call=4),
}


def patched(value, call=None):
    """Run the model with its hidden state replaced."""
    site = Site("hidden", "gru", AT, pick=0, call=call)
    with patch(model, [Patch(site, torch.as_tensor(value))]):
        model(test_signals)


# %%
refused = {}
for mistake, attempt in WRONG.items():
    try:
        attempt()
    except (ValueError, RuntimeError) as error:
        refused[mistake] = str(error)
        print(f"{mistake}:\n    {error}\n")

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "the hidden state alone brings everything back",
    abs(back["hidden state"][0] - 1) < 1e-3,
)
report.claim(
    "the true probe brings back more than the exchanged one",
    back["true probe"][1] > back["exchanged probe"][2],
)
report.claim(
    "without the true probe more is lost than without the exchanged one",
    lost["true"] > lost["exchanged"] + 0.1,
)
report.claim("attributions add up in most stretches", min(complete) > 0.9)
report.claim("the dictionary comes back from its files the same", bool(same))
report.claim("every mistake is refused", len(refused) == len(WRONG))

# %% [markdown]
# ## What we learned
#
# - Any module will do: a site is a path, names of axes are optional, and inputs may be a tensor, several, or a dict.
# - Patching says what a part carries in this network; only a score against the world says whether that is worth anything.
# - **Not shown:** that a dictionary of one small network would come back with another seed; {ref}`interpret-dictionary` asks that.
# - **What would change our mind:** a module on which a tool here is silently wrong; the known answers of {ref}`interpret-known-answers` would have to grow by it.
#
# **Try it:** put your own module in place of `TwoProbes`; the cells below it need the names of its sites and nothing else.

# %% tags=["hide-input"]
report.put("n_seeds", n_seeds)
report.card(
    answer="Give its sites names, or use paths. In a network with a true and "
    "a useless signal, patching the true one brings back "
    f"{back['true probe'][0]:.0%} of the answer and the useless one "
    f"{back['exchanged probe'][0]:.0%}; a module of a dozen lines "
    "that takes a dict needs no change for any of it.",
    needs="PyTorch modules.",
)
report.stamp()
