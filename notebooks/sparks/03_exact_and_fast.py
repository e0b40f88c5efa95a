# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (hebbian-speed)=
# # Can Hebbian attention be trained without walking through time?
#
# ```{glue} card
# ```
#
# The published code takes one bin at a time and updates a matrix of all pairs of units at each.
# A trial of half a second in bins of a millisecond is hundreds of steps, forward and back, most of them over bins in which nobody fired.
# The authors' report on their rewrite holds that the clipped rule has no parallel form {cite}`sparkscode`.
# It has, and so have the others; none of them is an approximation.
#
# **You will learn** (1) which parts of the computation time does not touch, (2) that the fast forms give the same numbers and the same gradients, (3) when they are faster and when they are not.

# %% tags=["parameters"]
dataset: str = "area2"  # read in bins of bin_ms
source: str = "auto"  # or "recorded", "simulated"
bin_ms: int = 1  # width of a bin
n_trials: int = 8  # in a batch
d: int = 16  # width of a unit's token
n_repeats: int = 3  # of every timing, and nearly twice that of the sweep
seed: int = 0

# %%
import time

import numpy as np
import torch

from neurolib import report
from neurolib.data.sets import load
from neurolib.models.hebbian import rules
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.vae import SequenceVAE, VAEConfig
from neurolib.training.batches import trial_tensors
from neurolib.viz import scores

trials = load(dataset, source, n_trials, bin_size_s=bin_ms / 1000)
report.use(trials)
counts = trial_tensors(trials)["counts"].double()
trials

# %% [markdown]
# ## What time does not touch
#
# - **Additive and symmetric rule.** A trace is read only where its unit fires. So one vector per spike is all that has to be computed, and the matrix itself never: its product with the learned vectors is a running sum over spikes.
# - **Bounded rule.** One step is the map $x \mapsto \mathrm{clip}(a x + b)$. Two such maps, one after the other, are again such a map, so a whole trial can be composed in a tree, $\log_2 T$ deep.
# - **Light rule.** With one trace per unit the change of the matrix has rank two, and the read-out is linear attention.
# - **Calcium rule.** For signals that have no spikes, such as fluorescence: at each bin the entry of a pair changes by the difference of the two signals. So an entry is the difference of two running sums, and one sum per unit is enough.
#
# And for all of them: between spikes the matrix stands still, so everything that reads it runs on bins with a spike and is copied to the rest.

# %%
with_spike = (counts != 0).any(dim=2)
n_events = int((counts != 0).sum())
entries = counts.shape[0] * counts.shape[1] * trials.n_units**2
report.put("n_units", trials.n_units)
report.put("n_events", n_events)
report.put("share_bins", 100 * with_spike.double().mean().item())
report.put("share_work", 100 * n_events * trials.n_units / entries)

# %% [markdown]
# In this batch there are {glue:text}`n_events` spikes of {glue:text}`n_units` units.
# They fall into {glue:text}`share_bins:.0f` % of the bins, and touch {glue:text}`share_work:.1f` % of the entries that the loop updates.
#
# ## The same numbers
#
# Every rule twice, as a loop and in its fast form, with the same weights, in double precision: outputs, states and the gradients of all parameters.


# %%
def encoder_of(rule, method, n_units):
    """The same encoder for both methods."""
    torch.manual_seed(seed)
    cfg = HebbianConfig(rule, d, (0.1, 0.5), method=method)
    return cfg.build(n_units, 6, trials.bin_size_s).double()


def run(encoder, counts):
    """Outputs, state and gradients of one step of training."""
    encoder.zero_grad()
    outputs, state = encoder(counts)
    outputs.square().mean().backward()
    gradients = [p.grad.clone() for p in encoder.parameters()]
    return [outputs.detach(), *(s.detach() for s in state), *gradients]


# %%
worst = {}
for rule in rules.RULES:
    pair = [
        run(encoder_of(rule, method, trials.n_units), counts[:2])
        for method in ("fast", "loop")
    ]
    worst[rule] = max(
        float((ours - loop).abs().max() / loop.abs().max().clamp(min=1e-30))
        for ours, loop in zip(*pair, strict=True)
        if loop.abs().max() > 0
    )
{rule: f"{error:.0e}" for rule, error in worst.items()}

# %% [markdown]
# And the bounded rule once more with traces so large that its clip is at work.


# %%
def clipping(method):
    """The bounded rule with large traces."""
    torch.manual_seed(seed)
    cfg = HebbianConfig(
        "bounded", d, (0.5,), weight_pre=0.7, weight_post=0.7, method=method
    )
    return cfg.build(trials.n_units, 6, trials.bin_size_s).double()


pair = [run(clipping(method), counts[:2]) for method in ("fast", "loop")]
ends = pair[1][3]  # the attention after the last bin
off_diagonal = ends[:, ~torch.eye(trials.n_units, dtype=torch.bool)]
at_clip = float(
    ((off_diagonal >= 1.5) | (off_diagonal <= -0.5)).double().mean()
)
worst["bounded, clipping"] = max(
    float((ours - loop).abs().max() / loop.abs().max().clamp(min=1e-30))
    for ours, loop in zip(*pair, strict=True)
)
round(at_clip, 3)

# %% [markdown]
# Relative to the largest entry of each tensor, the worst disagreement over all rules is {glue:text}`worst:.1e`, which is rounding.
# In the last case {glue:text}`at_clip:.0f` % of the pairs end at a bound.
#
# ## The time it takes
#
# One step of training of the encoder in single precision, the two forms in turn.


# %%
def times_faster(rule, counts, n_repeats):
    """Time of the loop over that of the fast form, medians of turns."""
    methods = ("fast", "loop")
    pair = [encoder_of(rule, m, counts.shape[2]).float() for m in methods]
    took = []
    for _ in range(n_repeats):
        clock = [time.perf_counter()]
        for encoder in pair:
            run(encoder, counts)
            clock.append(time.perf_counter())
        took.append(np.diff(clock))
    fast, loop = np.median(took, axis=0)
    return float(loop / fast)


single = counts.float()
gain = {rule: times_faster(rule, single, n_repeats) for rule in rules.RULES}
{rule: round(times, 1) for rule, times in gain.items()}

# %% [markdown]
# For the additive rule, sparse bins make it fast.
# The same with simulated counts, from spikes in one bin of a thousand to one in three:

# %%
shares = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
draw = torch.Generator().manual_seed(seed)
ratios = {"additive": [], "light": []}
for share in shares:
    made = torch.rand(n_trials, 200, 40, generator=draw) < share
    for rule, row in ratios.items():
        row.append(times_faster(rule, made.float(), 2 * n_repeats - 1))

# %% tags=["hide-input", "remove-output"]
report.put("worst", max(worst.values()))
report.put("at_clip", 100 * at_clip)
for rule, value in gain.items():
    report.put(f"gain_{rule}", value)
report.put("gain_dense", ratios["additive"][-1])
report.figure(
    "density",
    scores.sweep(
        shares, ratios, "share of bins with a spike, per unit",
        "times faster than the loop", trials.simulated, log=True,
    ),
)  # fmt: skip

# %% [markdown]
# ```{glue:figure} density
# :name: fig-density
# :alt: How many times faster the fast forms are than the loop, against the share of bins with a spike
#
# **Where it pays.** Time of the loop over time of the fast form, one encoder with two heads, forward and backward, on the machine that made this page.
# ```
#
# On the batch above the fast form is {glue:text}`gain_additive:.1f` times faster for the additive rule, {glue:text}`gain_bounded:.1f` for the bounded and {glue:text}`gain_light:.1f` for the light one.
# The event form pays per spike, so with wide bins and busy units the advantage shrinks, to {glue:text}`gain_dense:.1f` at the right end here.
# These are timings of one small batch on one machine; the claims of this book are measured by `benchmarks/hebbian.py`, alternating, with threads fixed.
#
# ## Bin by bin
#
# A closed loop has one bin at a time and cannot use any of this.
# It does not need to: one bin is one update of the matrix.

# %%
torch.manual_seed(seed)
cfg = VAEConfig(HebbianConfig("additive", d), past_bins=10)
model = SequenceVAE(cfg, trials.n_units, 2, trials.bin_size_s)
whole = model.predict(trials.trial(0))
stream, streamed, took = model.stream(), [], []
for row in trials.trial(0).counts:
    start = time.perf_counter()
    streamed.append(stream.step(row))
    took.append(time.perf_counter() - start)
apart = float(np.abs(np.array(streamed) - whole).max())
report.put("stream_us", 1e6 * float(np.median(took)))
f"{apart:.0e}"

# %% [markdown]
# Streaming takes {glue:text}`stream_us:.0f` µs per bin and gives the predictions of the whole trial.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
for rule, difference in worst.items():
    report.claim(
        f"{rule}: fast form equals the loop to 1e-11, gradients too",
        difference < 1e-11,
    )
report.claim("a stream equals the whole trial to 1e-4", apart < 1e-4)

# %% [markdown]
# ## What we learned
#
# - The loop over time was never part of the model.
# - A hard clip is no obstacle: clipped affine maps compose.
# - **Not shown:** a GPU. The forms have no loop over bins there; all timings of this page are a CPU's.
# - **What would change our mind:** a batch on which the two forms disagree beyond rounding.
#
# **Try it:** `bin_ms=5`; what happens to the gain?
# **Sources:** {cite}`skatchkovsky2024,sparkscode`.

# %% tags=["hide-input"]
report.card(
    answer="Yes, exactly. All rules have forms without a loop over bins "
    f"that agree with it to {max(worst.values()):.0e} in outputs and "
    "gradients. With bins of "
    f"{bin_ms} ms they are {min(gain.values()):.0f} to "
    f"{max(gain.values()):.0f} times faster here.",
    needs="the rules of the page How do spikes write an attention matrix?",
)
report.stamp(device="CPU")
