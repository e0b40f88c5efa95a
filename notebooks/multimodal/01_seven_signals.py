# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (mm-signals)=
# # What do seven kinds of recording have in common?
#
# ```{glue} card
# ```
#
# Spikes, field potentials, calcium, EEG, BOLD, electrocorticography and muscles differ in rate, in channels and in what a number means.
# A model that is to read them all needs one thing to read: a *token*, a vector with a time.
# The original of this study {cite}`neurofmx` announces a tokenizer for each; the model that was to join them cannot be constructed.
# Its spike tokenizer wants spike times and unit numbers where its own example hands over counts, two others want channels before time and two want time before channels, some return a tensor and some a pair, and its EEG tokenizer raises an error in its default forward pass, as it computes band power from the output of its own convolution.
#
# **You will learn** (1) what a token of each kind of signal stands for, (2) how many of them a second makes, (3) what must not change a token, and how that is checked.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
d: int = 64  # width of a token
window_s: float = 2.0  # of all but BOLD
scans: int = 40  # of BOLD
padding: int = 37  # samples of garbage
seed: int = 0

# %% tags=["remove-stderr"]
from dataclasses import replace

import numpy as np
import torch
from IPython.display import HTML, display
from torch.nn.functional import pad

from neurolib import report
from neurolib.data.excerpts import load_excerpts
from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers import default_tokenizers
from neurolib.viz import signals
from neurolib.viz.tables import table

excerpts = load_excerpts(source, window_s, scans)
report.use(*excerpts.values())
simulated = any(excerpt.simulated for excerpt in excerpts.values())
{kind: excerpt.signal.values.shape for kind, excerpt in excerpts.items()}

# %% [markdown]
# ## One convention
#
# Every signal is `(batch, time, channel)`, with a clock in seconds, a mask over samples, a mask over channels, and a row number for each channel: its identity in a table that grows with every new recording {cite}`azabou2023`.
# Electrodes may have a position, too.
# The seven pieces below are of different subjects and have nothing to do with each other.
# Where ECoG is simulated, its rate and grid are not those of the recording.
#
# Each kind has its own tokenizer, and all of them return the same thing.
# Scale is taken from the piece itself here; in training it comes from training data alone.

# %%
torch.manual_seed(seed)


def as_input(kind, signal):
    """A batch of one window; positions in units of the head, or of 100 mm."""
    values = torch.tensor(signal.values[None], dtype=torch.float32)
    coords = None
    if signal.positions is not None:
        unit = 1 if kind == "eeg" else 100
        coords = torch.tensor(signal.positions[None] / unit).float()
    return ModalityInput.sampled(values, signal.rate_hz, coords=coords)


inputs = {k: as_input(k, e.signal) for k, e in excerpts.items()}
tokenizers = {}
for kind, settings in default_tokenizers().items():
    rows = GrowingEmbedding(d, excerpts[kind].signal.channels)
    settings = replace(settings, rate_hz=excerpts[kind].signal.rate_hz)
    tokenizers[kind] = settings.build(d, rows).eval()
    tokenizers[kind].standardise(inputs[kind])

# %%
with torch.no_grad():
    tokens = {k: tokenizers[k](x) for k, x in inputs.items()}
{kind: tuple(found.tokens.shape) for kind, found in tokens.items()}

# %% [markdown]
# ## What a token is
#
# - **Spikes**: what the population did in one bin. Each unit's count goes through a learned function, is multiplied by the vector of the unit, and all are added. Another tokenizer of this book makes a token of every single spike; this piece would have {glue:text}`spikes_per_s:.0f` of those per second.
# - **LFP** and **ECoG**: linear filters of three lengths and the power in bands, for each electrode, pooled over electrodes by learned attention.
# - **Calcium**: filters of three lengths for each cell over a few frames, summed over cells by their vectors. The recorded piece holds events that its makers inferred from fluorescence.
# - **EEG**: as LFP, with slower filters and bands, and several spatial views of the same moment, one token each.
# - **BOLD**: one token per volume from dilated convolutions over volumes. It is stamped {glue:text}`delay_s:.0f` seconds earlier, a delay that is learned, so that blood meets the activity that called for it.
# - **EMG**: filters, and the envelope of the rectified signal.
#
# How far a token sees is measured: the samples whose change changes it, by the gradient of one token in the middle.


# %%
def reach_s(kind):
    """Seconds from the first to the last sample that change a token."""
    x = inputs[kind]
    values = x.values.clone().requires_grad_()
    found = tokenizers[kind](replace(x, values=values))
    middle = found.tokens[0, found.tokens.shape[1] // 2]
    (middle * torch.randn(d)).sum().backward()
    hit = values.grad[0].abs().sum(1).nonzero().flatten()
    step = 1 / excerpts[kind].signal.rate_hz
    return float(x.time[0, hit[0]]), float(x.time[0, hit[-1]]) + step


def patch_s(kind):
    """The stretch that this token stands for."""
    length = tokenizers[kind].stride / excerpts[kind].signal.rate_hz
    at = float(tokens[kind].time[0, tokens[kind].tokens.shape[1] // 2])
    if kind == "fmri":  # whose tokens are stamped earlier
        at += tokenizers[kind].delay_s.item()
    return at - length / 2, at + length / 2


reach = {kind: reach_s(kind) for kind in inputs}
patch = {kind: patch_s(kind) for kind in inputs}

# %%
ABOUT = {
    "spike": ("S1", "the population in one bin"),
    "lfp": ("hippocampus", "all electrodes, a moment"),
    "calcium": ("CA1", "all cells, a few frames"),
    "eeg": ("scalp", "one spatial view of a moment"),
    "fmri": ("whole brain", "all regions, one volume"),
    "ecog": ("cortex", "all electrodes, a moment"),
    "emg": ("forearm", "all electrodes, a moment"),
}


def per_second(kind):
    """Numbers and tokens that one second has."""
    rate, found = excerpts[kind].signal.rate_hz, tokens[kind].tokens
    steps, channels = inputs[kind].values.shape[1:]
    return rate * channels, rate * found.shape[1] / steps


counts = {kind: per_second(kind) for kind in inputs}

# %% tags=["hide-input", "remove-output"]
titles = {
    k: f"{k}: {ABOUT[k][0]}, {e.signal.values.shape[1]} ch., "
    f"{e.signal.rate_hz:.4g} Hz"
    for k, e in excerpts.items()
}
shown = [
    signals.Panel(
        titles[kind],
        excerpt.signal.time_s,
        excerpt.signal.values,
        tokens[kind].time[0].numpy(),
        patch[kind],
        reach[kind],
        sparse=kind in ("spike", "calcium"),
    )
    for kind, excerpt in excerpts.items()
]
report.figure("seven-signals", signals.panels(shown, counts, simulated))

# %% [markdown]
# ```{glue:figure} seven-signals
# :name: fig-mm-seven-signals
# :alt: Seven kinds of signal with the times of their tokens, and numbers and tokens per second of each
#
# **Seven signals and their tokens.** At most five channels of each, or dots for spikes and calcium events; orange ticks are tokens, the dark band is the patch of one of them and the light band all that can change it. Last panel: numbers and tokens per second, on a logarithmic axis.
# ```

# %% tags=["hide-input"]
columns = ["signal", "channels", "samples per s", "numbers per s"]
columns += [
    "tokens per s",
    "numbers per token",
    "patch, s",
    "sees, s",
    "a token is",
]
rows = [
    [kind, inputs[kind].values.shape[2], round(inputs[kind].rate_hz, 1)]
    + [float(f"{n:.4g}"), round(t, 2), round(n / t)]
    + [float(f"{b - a:.3g}") for a, b in (patch[kind], reach[kind])]
    + [ABOUT[kind][1]]
    for kind, (n, t) in counts.items()
]
display(HTML(table(columns, rows)))

# %% tags=["hide-input"]
numbers = sum(n for n, _ in counts.values())
together = sum(t for _, t in counts.values())
most = max(counts, key=lambda kind: counts[kind][1])
spikes = excerpts["spike"].signal
report.put("spikes_per_s", float(spikes.values.sum() / window_s))
report.put("delay_s", tokenizers["fmri"].delay_s.item())
report.put("together", float(together))
report.put("numbers", f"{numbers:,.0f}")
report.put("most", most)
report.put("most_per_s", float(counts[most][1]))
report.put("d", d)
rates = [n for n, _ in counts.values()]
report.put("range_numbers", max(rates) / min(rates))
fast = [t for k, (_, t) in counts.items() if k != "fmri"]
report.put("range_tokens", max(fast) / min(fast))

# %% [markdown]
# A second of all seven holds {glue:text}`numbers` numbers and becomes {glue:text}`together:.0f` tokens of width {glue:text}`d`.
# The numbers per second differ by a factor of {glue:text}`range_numbers:.0f` between signals; tokens, BOLD aside, by {glue:text}`range_tokens:.0f`.
# That is the point of a tokenizer: attention costs as much for a signal as it has tokens, not as it has channels.
# Most tokens come from {glue:text}`most`, {glue:text}`most_per_s:.0f` per second, although it has neither the most channels nor the highest rate: the number of tokens is a choice, and not a property of the brain.
#
# ## What must not change a token
#
# Windows of different lengths and recordings of different sizes share a batch, so all are padded.
# Padding may hold anything: here it holds a million, under a mask.
# Channels have no order, so they are shuffled together with their names and places; as a control, the signals alone move on by one, under names and scales that stay.
# And half of the channels are taken away, once by leaving them out and once by masking them.


# %%
def padded(x):
    """The window with garbage after its end and three channels more."""
    _, n, c = x.values.shape
    values = pad(x.values, (0, 3, 0, padding), value=1e6)
    xyz = None if x.coords is None else pad(x.coords, (0, 0, 0, 3), value=1e6)
    return replace(
        ModalityInput.sampled(values, x.rate_hz),
        mask=torch.arange(n + padding)[None] < n,
        channel=torch.arange(c + 3)[None].clamp(max=c - 1),
        channel_mask=torch.arange(c + 3)[None] < c,
        coords=xyz,
    )


# %%
def chosen(x, which, ids=None):
    """Only these channels, in this order, or under other names."""
    coords = None if x.coords is None else x.coords[:, which]
    ids = x.channel[:, which] if ids is None else ids
    return replace(
        x,
        values=x.values[:, :, which],
        channel=ids,
        channel_mask=x.channel_mask[:, which],
        coords=coords,
    )


def change(kind, other):
    """Largest change of a token's feature, in root mean squares."""
    was = tokens[kind]
    with torch.no_grad():
        now = tokenizers[kind](other)
    a, b = was.tokens[was.mask], now.tokens[now.mask]
    return float((a - b).abs().max() / a.square().mean().sqrt())


# %%
rng = np.random.default_rng(seed)
changes, half = {}, {}
for kind, x in inputs.items():
    order = torch.tensor(rng.permutation(x.values.shape[2]))
    swapped = replace(x, values=x.values.roll(1, dims=2))
    changes[kind] = {
        "padding": change(kind, padded(x)),
        "order": change(kind, chosen(x, order)),
        "control: other names": change(kind, swapped),
    }
    every = torch.arange(x.values.shape[2])
    some = every[::2]
    with torch.no_grad():
        less = tokenizers[kind](chosen(x, some))
        hidden = tokenizers[kind](
            x.keeping(channel_mask=(every % 2 == 0)[None])
        )
    half[kind] = (less, hidden, len(some))

# %% tags=["hide-input"]
columns = [
    "signal",
    *next(iter(changes.values())),
    "half of the channels",
    "tokens then",
]
rows = [
    [
        kind,
        *(f"{v:.1e}" for v in changes[kind].values()),
        half[kind][2],
        half[kind][0].tokens.shape[1],
    ]
    for kind in inputs
]
display(HTML(table(columns, rows)))

# %% tags=["hide-input"]
several = [k for k, x in inputs.items() if x.values.shape[2] > 1]
single = [k for k in inputs if k not in several]
worst = max(max(c["padding"], c["order"]) for c in changes.values())
least = min(changes[k]["control: other names"] for k in several)
report.put("worst", f"{worst:.0e}")
report.put("least", f"{least:.2f}")
report.put("single", " and ".join(single) or "none")
report.put("n_single", len(single))

# %% [markdown]
# Changes are in units of the tokens' root mean square: at most {glue:text}`worst` where nothing may change, which is the rounding of single precision, and at least {glue:text}`least` where signals were put under each other's names.
# A signal with one electrode (here: {glue:text}`single`) has no order and no half to lose; the same tokenizer reads ECoG, which has.
#
# ## One sequence
#
# Tokens of all seven can stand in one sequence, because each carries its own time.
# Attention turns queries and keys by that time and nobody stretches one signal to the length of another; the original padded its streams to one length and passed no mask.

# %%
from neurolib.models.multimodal.inputs import Tokens

joined = Tokens.joined(tokens.values())
(
    tuple(joined.tokens.shape),
    float(joined.time.min()),
    float(joined.time.max()),
)

# %% [markdown]
# ## Verdicts


# %%
def clockwork(kind):
    """Tokens that clock and number of queries ask for."""
    pool = getattr(tokenizers[kind], "pool", None)
    queries = max(pool.queries, 1) if pool is not None else 1
    steps = -(-inputs[kind].values.shape[1] // tokenizers[kind].stride)
    return steps * queries


same_tokens = [
    torch.allclose(less.tokens, hidden.tokens, atol=1e-4)
    for less, hidden, _ in half.values()
]
as_many = [
    torch.equal(half[k][0].time, tokens[k].time)
    and bool(half[k][0].tokens.isfinite().all())
    for k in inputs
]

# %% tags=["nbval-check-output"]
report.claim(
    "garbage under a mask changes no token of any of the seven signals",
    all(c["padding"] < 1e-4 for c in changes.values()),
)
report.claim(
    "the order of channels changes no token of any of the seven signals",
    all(c["order"] < 1e-4 for c in changes.values()),
)
report.claim(
    "control: signals under each other's names change the tokens",
    all(changes[k]["control: other names"] > 1e-2 for k in several),
)
report.claim(
    "half of the channels make as many tokens at the same times", all(as_many)
)
report.claim(
    "a channel left out and a channel masked are the same", all(same_tokens)
)
report.claim(
    "tokens per second follow from the clock and the queries, not the channels",
    all(tokens[k].tokens.shape[1] == clockwork(k) for k in inputs),
)

# %% [markdown]
# ## What we learned
#
# - One convention, one type of token and one set of checks serve seven kinds of signal. What differs between them fits into one small tokenizer each.
# - A token says what a *moment* was like, for all channels together; who recorded it is in the vectors of the channels, so a new montage needs new vectors and no new weights.
# - How many tokens a second makes is decided by us. EEG asks for most, since four spatial views of each moment were thought useful; that is a setting to question.
# - **Not shown:** that these tokens are good. This page checks what they must not do; what can be read from them is measured on the pages that train.
# - **What would change our mind:** a signal whose tokens move with the order of its channels.
#
# **Try it:** `window_s=1.0` or `d=16`: which numbers of the table change?
# **Sources:** {cite}`neurofmx,azabou2023`.

# %% tags=["hide-input"]
report.card(
    answer=f"Tokens with a time. A second of all seven holds {numbers:,.0f} "
    f"numbers and becomes {together:.0f} tokens of width {d}; garbage under a "
    f"mask and the order of channels change none of them beyond rounding "
    f"({worst:.0e}), other names on the channels do.",
    needs="what the seven kinds of recording measure; no mathematics.",
)
report.stamp()
