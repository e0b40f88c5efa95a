# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (hebbian-attention)=
# # How do spikes write an attention matrix?
#
# ```{glue} card
# ```
#
# A transformer computes its attention anew at each step, from what tokens hold at that step.
# Hebbian attention is written by the spikes themselves {cite}`skatchkovsky2024`: when one unit fires after another, the entry of the pair grows; in the other order it shrinks.
# There is no softmax and no key or query.
# The matrix is the memory.
#
# **You will learn** (1) how traces and spikes change the matrix, (2) that order matters and how that is tested, (3) what the published rules do differently.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
n_shown: int = 10  # busiest units of the trial
trial_s: float = 2.0  # seconds shown
tau_s: float = 0.3  # time constant of the traces

# %%
import numpy as np
import torch

from neurolib import report
from neurolib.data.sets import load
from neurolib.models.hebbian import rules
from neurolib.models.hebbian.rules import Traces
from neurolib.viz import attention

trials = load("s1", source)
report.use(trials)
trials

# %% [markdown]
# ## Watch it being written
#
# The busiest units in one stretch of the recording.
# Each spike adds to its unit's trace, and the trace fades.
# When a unit fires, its row takes up the traces of all others: they came before it.
# At the same time its column loses the traces of all others.


# %%
def traces_of(shape, tau_s, bin_size_s, before=1.0, after=0.5):
    """Equal traces everywhere; the weights are the published ones."""
    decay = torch.full(shape, -bin_size_s / tau_s, dtype=torch.float64)
    zero = torch.zeros(shape, dtype=torch.float64)
    return Traces(np.log(before) + zero, decay, np.log(after) + zero, decay)


def written(rule, counts, traces):
    """Traces and attention after each bin of one trial."""
    state, states = rules.rest(rule, counts[None]), []
    for row in counts:
        state = rules.advance(rule, traces, state, row[None])
        states.append(state)
    return [torch.stack(s)[:, 0].numpy() for s in zip(*states, strict=True)]


# %%
n_bins = round(trial_s / trials.bin_size_s)
long_enough = np.flatnonzero(trials.lengths >= n_bins)
shown = trials.trial(int(long_enough[len(long_enough) // 2]))
stretch = shown.counts[:n_bins]
by_count = np.argsort(stretch.sum(axis=0))
busiest = np.sort(by_count[-n_shown:])
counts = torch.as_tensor(stretch[:, busiest], dtype=torch.float64)
n_busy = len(busiest)
light = traces_of((n_busy,), tau_s, trials.bin_size_s)
trace, _, matrix = written("light", counts, light)
matrix.shape

# %% tags=["hide-input"]
attention.attention_browser(
    "written-attention",
    stretch[:, busiest],
    trace,
    matrix,
    trials.bin_size_s,
    bins=[*range(0, n_bins, 2), n_bins - 1],
)

# %% [markdown]
# Move the slider: nothing in the matrix changes unless somebody fires, and under this rule nothing fades once it is written.
# Only traces fade.
# So the matrix after a second holds, for each pair, how often and how soon one unit followed the other, less the reverse.
#
# ## The order of spikes
#
# Two spikes, one of each unit, at every delay.
# The change of the pair's entry is the window of spike-timing-dependent plasticity.

# %%
step_s, reach = 0.005, 100
delays = np.arange(-reach, reach + 1)
spikes = torch.zeros(len(delays), 2 * reach + 1, 2, dtype=torch.float64)
spikes[:, reach, 1] = 1  # the attended unit, always in the middle
spikes[torch.arange(len(delays)), torch.as_tensor(reach + delays), 0] = 1
pair = traces_of((2, 2), tau_s, step_s)
value = torch.eye(2, dtype=torch.float64)
windows = {}
for rule in ("additive", "symmetric", "bounded"):
    read, _ = rules.loop(rule, pair, spikes, value)
    windows[rule] = read[:, -1, 0, 1].numpy()

# %% tags=["hide-input", "remove-output"]
report.figure("pair-windows", attention.pair_windows(delays * step_s, windows))

# %% [markdown]
# ```{glue:figure} pair-windows
# :name: fig-pair-windows
# :alt: Change of the attention against the delay between two spikes for three rules
#
# **What one pair of spikes writes.** Computed from the rules, no data. The symmetric rule is a control: the same memory, blind to order. Right of zero all three lie on each other. The bounded rule starts from zero here, so it has nothing to lose.
# ```
#
# The tests of this page are closed forms: an entry after one pair must be the weight times the exponential of the delay.

# %%
later = delays > 0
closed = np.exp(-delays[later] * step_s / tau_s)
additive, symmetric = windows["additive"], windows["symmetric"]
worst = float(np.abs(additive[later] - closed).max())
reverse = float(np.abs(additive[::-1][later] + 0.5 * closed).max())
blind = float(np.abs(symmetric[::-1][later] - 0.5 * closed).max())
[f"{error:.0e}" for error in (worst, reverse, blind)]

# %% [markdown]
# ## The rules
#
# | rule | traces | the entry of a pair | from |
# |---|---|---|---|
# | additive | one per ordered pair, learned | grows and shrinks without bound | the first public code |
# | symmetric | one per ordered pair, learned | grows in both orders, without bound | this book: a control that is blind to order |
# | bounded | one per ordered pair, learned | pulled towards 1 or 0, clipped to {glue:text}`clip_low:g` to {glue:text}`clip_high:g` | the later package |
# | light | one per unit, learned here | as additive | after the rewrite, whose traces are fixed and read before the spikes of the bin |
#
# All of them only change anything at spikes.
# That is what makes them fast without changing a digit: {ref}`hebbian-speed`.
#
# How large do entries get?
# The largest entry at the end of the stretch above, under the light rule, which has no bound, and under the bounded one with traces that add a twentieth as much.

# %%
small = traces_of((n_busy, n_busy), tau_s, trials.bin_size_s, 0.05, 0.05)
held = written("bounded", counts, small)[2]
report.put("light_end", np.abs(matrix[-1]).max())
report.put("bounded_end", np.abs(held[-1]).max())
report.put("clip_low", rules.CLIP[0])
report.put("clip_high", rules.CLIP[1])
report.put("n_spikes", int(counts.sum()))

# %% [markdown]
# After {glue:text}`n_spikes` spikes the largest entry is {glue:text}`light_end:.1f` under the light rule and {glue:text}`bounded_end:.2f` under the bounded one.
# The additive rule adds in the same way.
# A network that reads such a matrix must cope with numbers that grow with the length of the trial; the published one normalises them.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim("an entry is the weight times exp(-delay/tau)", worst < 1e-12)
report.claim(
    "the reverse order is subtracted with the other weight", reverse < 1e-12
)
report.claim(
    "the symmetric control adds where additive subtracts", blind < 1e-12
)
report.claim(
    "the bounded rule stays within its bounds",
    rules.CLIP[0] <= held.min() and held.max() <= rules.CLIP[1],
)

# %% [markdown]
# ## What we learned
#
# - Spikes write the matrix; the order of two spikes decides the sign of what they write.
# - Under the additive and the light rule, what is written stays until the trial ends: the matrix is an integrator over pairs, not a moving average. Under the bounded rule later spikes pull an entry towards 1 or 0.
# - **Not shown:** that any of this helps to read the hand. See {ref}`memory-or-attention`.
# - **What would change our mind:** a control with the same memory but no order of spikes that decodes worse.
#
# **Try it:** `tau_s=0.05`; which entries stay near zero?
# **Sources:** {cite}`skatchkovsky2024`.

# %% tags=["hide-input"]
report.card(
    answer="When unit i fires after unit j, the entry (i, j) of the matrix "
    "grows by what is left of j's trace; in the other order it shrinks. "
    "The matrix changes at spikes and at nothing else; without a bound "
    "it forgets nothing before the trial ends.",
    needs="what a spike count is.",
)
report.stamp()
