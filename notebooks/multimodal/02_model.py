# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (mm-model)=
# # Does one model run on any subset of seven signals?
#
# ```{glue} card
# ```
#
# The original of this study {cite}`neurofmx` ticks a multimodal foundation model as done.
# Its flagship class cannot be constructed: it passes a length to a spike tokenizer that takes none, and other parts get keywords that they do not know.
# Once past that, its forward pass for several tasks raises an error, its state space scans slots that have no order, and a batch without one task shifts the loss weights of all others.
# None of this needs training to be seen.
# So this page trains nothing: it builds our model, runs it, and puts each of those failures to a test.
#
# **You will learn** (1) what stages the model has and what passes between them, (2) where its parameters are, (3) which promises of the original it keeps.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
presets: list = ["tiny", "small", "base"]
steps: int = 8  # latent times in the test of direction
n_pairs: int = 32  # of embeddings in the contrastive test
seed: int = 0

# %% tags=["remove-stderr"]
from dataclasses import replace

import torch
from IPython.display import HTML, display

from neurolib import report
from neurolib.data.excerpts import load_excerpts
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.balancing import HomoscedasticWeights
from neurolib.models.multimodal.contrastive import multi_positive_info_nce
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.network import (
    MultimodalConfig,
    MultiModalNeuroFMX,
)
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.tokenizers import default_tokenizers
from neurolib.viz import model_diagram, model_parts
from neurolib.viz.shares import millions, share_bars
from neurolib.viz.tables import table

excerpts = load_excerpts(source, window_s=2.0, scans=20)
report.use(*excerpts.values())
simulated = any(excerpt.simulated for excerpt in excerpts.values())

# %% [markdown]
# ## The model
#
# Two windows of one second come from the pieces of {ref}`mm-signals`, which have nothing to do with each other: this is about shapes.
# Tokens of all signals stand in one sequence; latents on a grid of times read those near them {cite}`azabou2023`; a selective state space {cite}`gu2023` scans each slot of the grid along time; and queries with a time of their own read the result, for behaviour and for every signal alike.

# %%
torch.manual_seed(seed)
tokenizers = {
    kind: replace(settings, rate_hz=excerpts[kind].signal.rate_hz)
    for kind, settings in default_tokenizers().items()
}


def two_windows(kind):
    """The first and the second second of an excerpt, or volume, as a batch."""
    values = torch.tensor(excerpts[kind].signal.values, dtype=torch.float32)
    values = values[:2] if kind == "fmri" else values
    halves = values.unflatten(0, (2, -1))
    return ModalityInput.sampled(halves, excerpts[kind].signal.rate_hz)


inputs = {kind: two_windows(kind) for kind in excerpts}
species = torch.tensor([0, 2])


def built(preset):
    """A model of this size with the channels of the excerpts, and their scale."""
    model = MultimodalConfig.preset(
        preset, domains=3, tokenizers=tokenizers
    ).build()
    for kind, excerpt in excerpts.items():
        model.add_channels(kind, excerpt.signal.channels)
        model.tokenizers[kind].standardise(inputs[kind])
    return model.eval()


# %%
runs, parts = {}, {}
for preset in presets:
    model = built(preset)
    runs[preset] = model_diagram.record(model, inputs, species_labels=species)
    parts[preset] = model_diagram.parameters_by_part(model)

# %% tags=["hide-input"]
model_diagram.show("mm-model-diagram", runs, simulated)

# %% [markdown]
# **The model, stage by stage.** Hover over a stage, tap it or step through with the Tab key; the buttons change the preset. Shapes are windows × tokens (or steps × slots) × width, recorded while the model ran; an orange bar is the stage's share of all parameters. Vectors of channels count with the tokens.

# %% tags=["hide-input", "remove-output"]
totals = {preset: sum(found.values()) for preset, found in parts.items()}
bars = share_bars(parts, millions, "% of the parameters")
report.figure("parameters", bars)
largest = presets[-1]
report.put("smallest_name", presets[0])
report.put("smallest_m", totals[presets[0]] / 1e6)
report.put("largest_name", largest)
report.put("largest_m", totals[largest] / 1e6)
middle = parts[largest]["backbone"] + parts[largest]["perceiver"]
report.put("middle", 100 * middle / totals[largest])
report.put(
    "tokenizers_pc", 100 * parts[largest]["tokenizers"] / totals[largest]
)
report.put("n_tokens", int(runs[largest]["tokens"].gives.split(" × ")[1]))

# %% [markdown]
# ```{glue:figure} parameters
# :name: fig-mm-parameters
# :alt: Share of parameters by part of the model for several presets
#
# **Where the parameters are.** By part, with the total at the right. Identity holds the vectors of the channels and grows with every recording.
# ```
#
# The presets go from {glue:text}`smallest_m:.1f` million parameters ({glue:text}`smallest_name`) to {glue:text}`largest_m:.0f` million ({glue:text}`largest_name`).
# Of the latter {glue:text}`middle:.0f` % are in what all signals share, latents and state spaces, and {glue:text}`tokenizers_pc:.0f` % in all seven tokenizers.
#
# ## The call of the source
#
# Names and arguments are those of the original; the numbers are random, as in its example.

# %%
torch.manual_seed(seed)
original = MultiModalNeuroFMX(
    d_model=512,
    n_mamba_blocks=8,
    n_latents=64,
    latent_dim=512,
    use_domain_adversarial=True,
    n_domains=3,
).eval()
modality_dict = {
    "spike": torch.randint(0, 4, (4, 100, 384)).float(),
    "eeg": torch.randn(4, 100, 64),
    "fmri": torch.randn(4, 100, 400),
}
with torch.no_grad():
    out = original(
        modality_dict=modality_dict,
        task="multi-task",
        species_labels=torch.tensor([0, 0, 1, 2]),
    )
heads = ("decoder", "encoder", "contrastive", "forecast", "domain_logits")
{
    key: tuple(out[key].shape)
    for key in ("latents", "contrastive", "domain_logits")
}

# %%
HEADS = {"latents", "pooled", *heads}
runs_as_written = out["latents"].shape == (4, 64, 512)
every_head = HEADS <= out.keys() and set(out["encoder"]) == set(modality_dict)
finite = all(
    bool(x.isfinite().all())
    for head in heads
    for x in (out[head].values() if head == "encoder" else [out[head]])
)

# %% [markdown]
# ## Along time
#
# A state space needs an order, and slots have none.
# Here the spikes of one moment are changed and the latents that move are marked.
# Latents of the first model only read, causally; the second adds the scan; the third is the preset, whose latents look both ways.

# %%
spikes = torch.tensor(excerpts["spike"].signal.values, dtype=torch.float32)
per_step = len(spikes) // steps
versions = spikes.repeat(steps + 1, 1, 1)
for k in range(steps):
    versions[k + 1, k * per_step + per_step // 2] += 3
versions = ModalityInput.sampled(versions, tokenizers["spike"].rate_hz)
settings = {
    "modalities": ("spike",),
    "tokenizers": {"spike": tokenizers["spike"]},
    "window_s": 2.0,
    "longest_s": 4.0,
}


@torch.no_grad()
def moved(scan, **changes):
    """How much each latent step moves, by where spikes were changed."""
    torch.manual_seed(seed)
    cfg = MultimodalConfig.preset("tiny", **settings, **changes)
    model = cfg.build().eval()
    model.add_channels("spike", excerpts["spike"].signal.channels)
    if not scan:
        model.backbone = model.norm = torch.nn.Identity()
    grid = model.latents({"spike": versions})
    return (grid[1:] - grid[:1]).abs().amax((2, 3))


# %%
reading = PerceiverConfig(
    steps, slots=2, layers=0, heads=4, radius=1.0, causal=True
)
both_ways = PerceiverConfig(steps, slots=2, layers=1, heads=4)
one_scan = BackboneConfig(blocks=1, heads=4)
maps = {
    "reading alone": moved(False, perceiver=reading, backbone=one_scan),
    "and the scan": moved(True, perceiver=reading, backbone=one_scan),
    "both ways": moved(True, perceiver=both_ways, backbone=one_scan),
}
before = torch.ones(steps, steps).tril(-1).bool()  # latents before the change
far = torch.ones(steps, steps).triu(3).bool()  # and well after it

# %% tags=["hide-input", "remove-output"]
shown = {name: found.numpy() for name, found in maps.items()}
report.figure("influence", model_parts.influence(shown, 1e-9, simulated))
leak = maps["and the scan"][before].max().item()
carried = maps["and the scan"][far].min().item()
alone = maps["reading alone"][far].max().item()
seen_early = maps["both ways"][before].max().item()
report.put("leak", leak)
report.put("carried", f"{carried:.0e}")
report.put("alone", alone)

# %% [markdown]
# ```{glue:figure} influence
# :name: fig-mm-influence
# :alt: Which latent steps move when spikes of one step are changed, for three models
#
# **What moves when the spikes of one step change.** Largest change of a latent's feature, on a logarithmic scale; white is exactly nothing. Below the line are latents before the change.
# ```
#
# Through the scan, a change is carried to every later latent (at least {glue:text}`carried`), and to earlier ones by {glue:text}`leak:.0f`.
# Without it nothing reaches latents three steps on: {glue:text}`alone:.0f`.
#
# ## Missing signals
#
# A signal that is not there is simply not in the dictionary; one that only some windows of a batch have is masked in the others.
# Both must give the same numbers.
# And a signal that *is* there should be heard: each is left out in turn.

# %%
model = built("tiny")
with torch.no_grad():
    whole = model(inputs)["pooled"]
    windows = torch.tensor([[True], [False]])
    mask = windows.expand_as(inputs["eeg"].mask)
    some = {**inputs, "eeg": inputs["eeg"].keeping(mask=mask)}
    masked = model(some)["pooled"]
    left_out = {
        kind: model({k: x for k, x in inputs.items() if k != kind})["pooled"]
        for kind in inputs
    }
apart = (masked[1] - left_out["eeg"][1]).abs().max().item()
untouched = (masked[0] - whole[0]).abs().max().item()
heard = {k: (whole - x).abs().max().item() for k, x in left_out.items()}
heard

# %%
long = MultimodalConfig.preset(
    "tiny",
    modalities=("spike", "fmri"),
    tokenizers={kind: tokenizers[kind] for kind in ("spike", "fmri")},
    window_s=40.0,
    longest_s=80.0,
)
long = long.build().eval()
for kind in ("spike", "fmri"):
    long.add_channels(kind, excerpts[kind].signal.channels)
bold = torch.tensor(excerpts["fmri"].signal.values[None]).float()
bold = ModalityInput.sampled(bold, tokenizers["fmri"].rate_hz)
long.tokenizers["fmri"].standardise(bold)
alike = ModalityInput.sampled(spikes[None], tokenizers["spike"].rate_hz)
with torch.no_grad():
    alone_s, both_s = (
        long(x)["pooled"]
        for x in ({"spike": alike}, {"spike": alike, "fmri": bold})
    )
bold_heard = (alone_s - both_s).abs().max().item()

# %% tags=["hide-input"]
silent = [kind for kind, change in heard.items() if change < 1e-4]
report.put("silent", " and ".join(silent) or "none")
report.put(
    "least_heard", f"{min(v for k, v in heard.items() if k not in silent):.2f}"
)
report.put("apart", f"{apart:.0e}")
report.put("bold_heard", f"{bold_heard:.2f}")

# %% [markdown]
# A masked signal and an absent one differ by {glue:text}`apart`, which is rounding.
# Every signal that is heard moves the summary of the window by {glue:text}`least_heard` or more; not heard at all: {glue:text}`silent`.
# A token of BOLD is stamped earlier by the haemodynamic delay, which puts it before a window this short.
# Latents read only what is near them in time, and a first version of this model did not read BOLD here at all, though it ran; now what lies before a window is read by its first latents.
# In a window of forty seconds BOLD moves the summary by {glue:text}`bold_heard`.
#
# ## Losses
#
# Weights of tasks are learned, and a batch may lack a task.
# The original ties weights to the position of a task among those present, so that a batch without choices changes the weight of everything that comes after.

# %%
balance = HomoscedasticWeights(
    {
        "choice": "classification",
        "spikes": "classification",
        "velocity": "regression",
    }
)
with torch.no_grad():
    for variance, value in zip(
        balance.parameters(), (-1.0, 0.5, 2.0), strict=True
    ):
        variance.fill_(value)
losses = {name: torch.tensor(1.0) for name in ("choice", "spikes", "velocity")}
full = balance(losses).weights
less = balance({k: v for k, v in losses.items() if k != "choice"}).weights
by_place = dict(
    zip(sorted(less), (full[k] for k in sorted(full)), strict=False)
)
rows = [
    [
        k,
        *(
            f"{float(w[k]):.2f}" if k in w else ""
            for w in (full, less, by_place)
        ),
    ]
    for k in sorted(full)
]
columns = [
    "task",
    "all tasks",
    "no choices, by name",
    "no choices, by position",
]
display(HTML(table(columns, rows)))

# %% [markdown]
# The contrastive loss tells true pairs from others.
# The original takes the diagonal out of its matrix, and with it every true pair, so that perfect embeddings score worse than random ones; here that is refused.

# %%
z = torch.nn.functional.normalize(torch.randn(n_pairs, 16), dim=-1)
eye = torch.eye(n_pairs, dtype=torch.bool)
scale = torch.log(torch.tensor(1 / 0.07))
aligned = float(multi_positive_info_nce(z, z, scale, eye))
shuffled = float(multi_positive_info_nce(z, z.roll(1, 0), scale, eye))
other = torch.nn.functional.normalize(torch.randn(n_pairs, 16), dim=-1)
random = float(multi_positive_info_nce(z, other, scale, eye))


def message(call):
    """What a wrong call is told."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


no_pairs = message(lambda: multi_positive_info_nce(z, z, scale, ~eye))
unknown = message(lambda: model({"spikes": torch.zeros(1, 20, 2)}))
(round(aligned, 3), round(random, 3), round(shuffled, 3), no_pairs, unknown)

# %% [markdown]
# ## Verdicts

# %%
claims = {
    "the call of the source runs as written": (
        "raises TypeError on construction",
        runs_as_written and finite,
    ),
    "one forward pass returns every head": (
        "raises ValueError for several tasks",
        every_head,
    ),
    "the scan runs along time, and nothing leaks backwards": (
        "scans unordered slots",
        leak == 0 and carried > 0 and alone == 0 and seen_early > 0,
    ),
    "a masked signal and an absent one are the same": (
        "zero padding without a mask",
        apart < 1e-5 and untouched < 1e-5,
    ),
    "every signal is heard in a window of one second": (
        "never ran",
        not silent,
    ),
}
claims |= {
    "BOLD is heard in a window of forty seconds": (
        "never ran",
        bold_heard > 1e-2,
    ),
    "a batch without a task leaves the other weights": (
        "weights go by position",
        all(torch.equal(less[k], full[k]) for k in less),
    ),
    "aligned embeddings score better than random and shuffled ones": (
        "aligned ones score worse than random",
        aligned < min(random, shuffled),
    ),
    "a contrastive loss without true pairs is refused": (
        "takes the true pairs out",
        "diagonal" in no_pairs,
    ),
    "an unknown signal gives one message that names the likely one": (
        "not tried: cannot be constructed",
        "'spike'" in unknown,
    ),
}

# %% tags=["nbval-check-output"]
for label, (_, holds) in claims.items():
    report.claim(label, holds)

# %% tags=["hide-input"]
rows = [
    [label, theirs, "holds" if holds else "does not hold"]
    for label, (theirs, holds) in claims.items()
]
display(HTML(table(["what must hold", "the original", "ours"], rows)))

# %% [markdown]
# ## What we learned
#
# - What a model cannot do shows in seconds, before any training: build it, run it, take something away, change one moment, and look at what moves.
# - Latents that have a time make one grid for all signals, and a state space has something to scan.
# - That a model *accepts* seven signals says little: ask of each whether leaving it out changes anything. Blood is slow, and signals that differ a hundredfold in pace do not share a window just because they share a model.
# - Most parameters are in what all signals share, so a new kind of signal costs little; whether it gains anything is for the pages that train.
# - **Not shown:** that the model is any good. Weights are random on this page.
# - **What would change our mind:** a subset of signals that the model refuses, or a latent that moves before its cause.
#
# **Try it:** `presets=["large"]`, or `steps=4`.
# **Sources:** {cite}`neurofmx,azabou2023,gu2023`.

# %% tags=["hide-input"]
kept = sum(holds for _, holds in claims.values())
report.card(
    answer=f"It runs on any subset, with {totals[presets[0]] / 1e6:.1f} to "
    f"{totals[largest] / 1e6:.0f} million parameters; {kept} of {len(claims)} "
    f"promises hold.",
    needs="what attention is; what a token is on the page before.",
)
report.stamp()
