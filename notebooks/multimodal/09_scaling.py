# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (mm-scaling)=
# # What do size, data and time buy?
#
# ```{glue} card
# ```
#
# A *foundation model* is a bet on scale: more parameters and more data, better answers.
# The original of this study announces scores and milliseconds {cite}`neurofmx`, but no script or result file stands behind them, and its model cannot be built.
# So this page measures: what a larger network and more data buy on SIMULATED sessions, what a step of training costs and where the time goes, and what decoding step by step costs.
# A laptop's minute cannot show a scaling law, and the page says what it can show instead.
#
# **You will learn** (1) how to read a scaling curve that somebody drew through three points, (2) which part of the model the time goes to, (3) why the same recurrence can be slow or fast.

# %% tags=["parameters"]
source: str = (
    "auto"  # or "recorded", "simulated"; of the trials that are streamed
)
widths: list = [16, 32, 64]  # of tokens and latents
seconds: list = [5, 25, 120]  # of training data, from the start of a session
n_sessions: int = 2  # simulated, each with a network of its own
steps: int = 30  # of training, the same for all
lr_times_width: float = 0.3  # learning rate times width
batch_size: int = 16
presets: list = ["tiny", "base"]  # to be timed
lengths: list = [32, 128, 512]  # of the sequences that are scanned
n_repeats: int = 2  # of a timing
seed: int = 0

# %% tags=["remove-stderr"]
import time
from typing import NamedTuple

import numpy as np
import torch
from IPython.display import HTML, display

from neurolib import report
from neurolib.data.scalers import Scalers
from neurolib.data.sets import load
from neurolib.data.seven_modalities import SevenModalitiesConfig, simulate
from neurolib.data.trials import Trials
from neurolib.data.windows import Cut, Windows
from neurolib.metrics.decoding import SquaredErrors, squared_errors
from neurolib.metrics.intervals import hierarchical_interval
from neurolib.models.linear import RidgeConfig, RidgeDecoder
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.decoder import SpikeDecoderConfig, with_moments
from neurolib.models.multimodal.heads import DecoderHeadConfig
from neurolib.models.multimodal.inputs import ModalityInput, pack, unpack
from neurolib.models.multimodal.mixers import SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.objective import ObjectiveConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig
from neurolib.models.multimodal.stream import ModelStream
from neurolib.models.multimodal.tokenizers.binned import BinnedTokenizerConfig
from neurolib.models.multimodal.tokenizers.emg import EMGTokenizerConfig
from neurolib.models.s6 import s6_scan
from neurolib.models.ssd import ssd_scan
from neurolib.training.loop import TrainConfig, fit
from neurolib.viz import scaling
from neurolib.viz.shares import share_bars
from neurolib.viz.tables import table

torch.set_num_threads(1)
trials = load("s1", source, n_trials=2)
report.use(trials)
trials

# %% [markdown]
# ## Sessions whose answer is known
#
# In the simulator behind these sessions spikes and muscles follow one latent, and so does a hand (`neurolib.data.seven_modalities`).
# Windows last a second, with spikes and the activity of muscles in it; the hand's velocity is decoded.
# Every session has other units, and a network, valid and test stretches of its own.
# Scales come from the training stretch alone.

# %%
BIN_S, BLOCK = 0.05, 5  # BLOCK: windows that an interval draws together
AHEAD = {"valid": (1, 21), "test": (22, 82)}  # seconds after training data
cut = Windows(
    modalities={"spike": Cut(), "emg": Cut("sampled", "emg", 200.0)},
    bin_size_s=BIN_S,
    behaviour="behaviour",
    behaviour_bin_s=BIN_S,
)


def session(number):
    """Spikes of 30 units and 8 muscles, as long as is needed."""
    cfg = SevenModalitiesConfig(
        duration_s=max(seconds) + 83.0,
        session=number,
        seed=seed,
        modalities=("spike", "emg"),
        sizes=(("spike", 30), ("emg", 8)),
    )
    return simulate(cfg)


def windows_of(recording, n_seconds):
    """Windows of all splits, scaled by the training ones; and the scale."""
    rows, end = cut.vocabulary([recording]), max(seconds)
    spans = {k: (end + a, end + b) for k, (a, b) in AHEAD.items()}
    spans = {"train": (0, n_seconds)} | spans

    def build(span, scalers=None):
        where = {recording.name: np.array([span])}
        return cut.build([recording], rows, where, scalers=scalers)

    scale = Scalers.fit(build(spans["train"]))
    parts = {k: build(s, scale).tensors() for k, s in spans.items()}
    return {k: needed(part) for k, part in parts.items()}, scale


def needed(batch):
    """Signals and behaviour, without what tells recordings apart."""
    heads = ("spike/", "emg/", "behaviour/")
    return {k: v for k, v in batch.items() if k.startswith(heads)}


# %% [markdown]
# Networks are small versions of the model of {ref}`mm-model` and differ in the width of tokens and latents alone.
# Their learning rate shrinks as the width grows, and all take {glue:text}`steps` steps, whatever the data.
# A strong and simple control reads the same windows: ridge regression on counts and muscle amplitudes of seven bins around each moment.


# %%
def network(recording, width):
    """A small model of spikes and muscles, with random weights."""
    cfg = MultimodalConfig(
        d=width,
        modalities=("spike", "emg"),
        tokenizers=TOKENIZERS,
        perceiver=PerceiverConfig(
            10, slots=2, layers=0, heads=2, radius=1.0, span=1.0, dropout=0.0
        ),
        backbone=BackboneConfig(1, MIXER, slots="none", dropout=0.0),
        decoder=DecoderHeadConfig(2, hidden=(width,)),
    )
    return with_channels(cfg.build(), cut.vocabulary([recording]))


def with_channels(model, names):
    """Rows for the channels; parts that are not asked for here go."""
    for kind, rows in names.items():
        model.add_channels(kind, rows)
    for part in ("pool", "contrast", "forecaster"):
        setattr(model, part, torch.nn.Identity())
    model.encoders.clear()
    return model


MIXER = SSDMixerConfig(head=16, n_state=16)
TOKENIZERS = {
    "spike": BinnedTokenizerConfig(rate_hz=1 / BIN_S, stride_s=BIN_S),
    "emg": EMGTokenizerConfig(
        200.0, BIN_S, kernels_ms=(15.0,), envelope_ms=50.0, pool="sum"
    ),
}


# %%
class Run(NamedTuple):
    """What came of one training."""

    n_used: int  # parameters that decoding reaches
    losses: dict[str, float]  # of training and test windows
    errors: SquaredErrors
    cpu_s: float


def in_blocks(windows, said, scale):
    """Squared errors on test windows, in cm/s."""
    pair = [
        scale.undo("behaviour", ("x", "y"), np.asarray(x).reshape(-1, 2))
        for x in (windows["test"]["behaviour/values"], said)
    ]
    per_block = round(BLOCK / BIN_S)
    return squared_errors(*pair, [per_block] * (len(pair[0]) // per_block))


def decoded(model, batch):
    """Predicted behaviour of a batch."""
    grid = model.latents(model.inputs(unpack(batch)))
    said = model.decode(grid, batch["behaviour/time"], 1.0)
    return model.decoder.values(said)


# %%
def trained(recording, data, width):
    """Train one network and score it."""
    start = time.process_time()
    windows, scale = data
    torch.manual_seed(seed)
    model = network(recording, width)
    task = ObjectiveConfig(("decode",)).build(model)
    fit(task, windows["train"], windows["valid"], how(width))
    spent = time.process_time() - start
    return scored(task.eval(), windows, scale, spent)


def how(width):
    """The same training for all, up to the learning rate."""
    return TrainConfig(
        steps=steps,
        batch_size=batch_size,
        lr=lr_times_width / width,
        schedule="cosine",
        warmup=3,
        eval_every=max(steps // 4, 1),
        seed=seed,
        device="cpu",
    )


def scored(task, windows, scale, spent):
    """Parameters in use, losses, and errors on test windows."""
    task.loss(windows["valid"]).backward()
    used = sum(p.numel() for p in task.parameters() if p.grad is not None)
    with torch.no_grad():
        losses = {k: task.loss(windows[k]).item() for k in ("train", "test")}
        said = decoded(task.model, windows["test"])
    return Run(used, losses, in_blocks(windows, said, scale), spent)


# %%
def as_trials(batch):
    """Counts and muscle amplitudes of windows, a window per trial."""
    raw = batch["emg/values"].unflatten(1, (-1, round(200 * BIN_S)))
    both = torch.cat(
        [batch["spike/values"], raw.square().mean(2).sqrt()], dim=-1
    )
    hand = batch["behaviour/values"]
    flat = both.flatten(0, 1).numpy(), hand.flatten(0, 1).numpy()
    return Trials(*flat, [hand.shape[1]] * len(hand), BIN_S)


def ridge(data):
    """The control: three bins before, three after; penalty by valid."""
    windows, scale = data
    parts = {k: as_trials(batch) for k, batch in windows.items()}
    decoder = RidgeDecoder(RidgeConfig(history_bins=7, lag_bins=-3))
    said = decoder.fit(parts["train"], parts["valid"]).predict(parts["test"])
    return in_blocks(windows, said, scale)


# %%
runs, controls = {}, {}
for number in range(n_sessions):
    recording = session(number)
    data = {n: windows_of(recording, n) for n in seconds}
    grid = [(width, seconds[-1]) for width in widths]
    grid += [(widths[-1], n) for n in seconds[:-1]]
    for width, n in grid:
        run = trained(recording, data[n], width)
        runs.setdefault((width, n), []).append(run)
    for n in seconds:
        controls.setdefault(n, []).append(ridge(data[n]))
{k: [round(run.errors.r2(), 2) for run in of] for k, of in runs.items()}


# %%
def errors_of(width, n_seconds):
    """Errors by session."""
    return [run.errors for run in runs[width, n_seconds]]


def r2(errors, baseline=None):
    """R² with an interval over sessions and blocks of windows."""
    return hierarchical_interval(
        errors, baseline, shared_trials=False, n_resamples=1000
    )


narrow, *_, wide = by_width = [errors_of(w, seconds[-1]) for w in widths]
little = errors_of(widths[-1], seconds[0])
linear = controls[seconds[-1]]
by_size, by_data = r2(wide, narrow), r2(wide, little)
over_ridge = [r2(errors, linear) for errors in by_width]
(by_size, by_data, over_ridge)

# %% tags=["hide-input", "remove-output"]
sizes = [(w, seconds[-1]) for w in widths]
amounts = [(widths[-1], n) for n in seconds]
labels = "parameters in use", "seconds of training data"
points = {
    labels[0]: (sizes, [runs[key][0].n_used for key in sizes]),
    labels[1]: (amounts, seconds),
}
losses = {
    label: {
        part: [[run.losses[part] for run in runs[key]] for key in keys]
        for part in ("train", "test")
    }
    for label, (keys, _) in points.items()
}
r2_of = {
    label: {
        "network": [r2(errors_of(*key))[:3] for key in keys],
        "ridge": [r2(controls[key[1]])[:3] for key in keys],
    }
    for label, (keys, _) in points.items()
}
fig = scaling.gains(
    {label: x for label, (_, x) in points.items()},
    losses,
    r2_of,
    ("squared error, SD²", "test R²"),
    True,
)
report.figure("gains", fig)
named = {"narrow": narrow, "wide": wide, "little": little, "ridge": linear}
for name, errors in named.items():
    report.put(f"r2_{name}", f"{r2(errors):.2f}")
report.put("ridge_little", f"{r2(controls[seconds[0]]):.2f}")
report.put("by_size", f"{by_size:+.2f}")
report.put("by_data", f"{by_data:+.2f}")
report.put("over_ridge", f"{over_ridge[-1]:+.2f}")
for name, key in {"narrow": sizes[0], "wide": sizes[-1]}.items():
    report.put(f"n_{name}", runs[key][0].n_used)
    report.put(f"cpu_{name}", min(run.cpu_s for run in runs[key]))
report.put("least_s", seconds[0])
report.put("most_s", seconds[-1])
report.put("n_sessions", n_sessions)
report.put("steps", steps)

# %% [markdown]
# ```{glue:figure} gains
# :name: fig-mm-gains
# :alt: Loss of training and test windows, and test R squared, against the number of parameters and the seconds of training data
#
# **SIMULATED sessions: what width and data buy in the same number of steps.** Above, losses: one point per session, lines are means; where those of training and test part, windows are learnt by heart. Below, R² of networks and of ridge regression on the same windows, with intervals over sessions and stretches of five seconds; points of ridge are moved aside a little. Left: all data; right: the widest network.
# ```
#
# On all {glue:text}`most_s` s the narrowest network, {glue:text}`n_narrow` parameters, has an R² of {glue:text}`r2_narrow` and the widest, {glue:text}`n_wide`, of {glue:text}`r2_wide`: a difference of {glue:text}`by_size`.
# The widest network on the first {glue:text}`least_s` s alone has {glue:text}`r2_little`; the rest of the data is worth {glue:text}`by_data`.
# Ridge regression has {glue:text}`r2_ridge` on all data, so the widest network is {glue:text}`over_ridge` from it, and {glue:text}`ridge_little` on the least.
# A training takes {glue:text}`cpu_narrow:.1f` CPU seconds for the narrowest and {glue:text}`cpu_wide:.1f` for the widest: such networks are so small that arithmetic is the lesser part of their time.
#
# ### What these curves cannot say
#
# - **No power law.** A curve with three settings passes through any three points, so none is drawn here. Two laws of language models, each from many trainings, disagree on how large a model a budget should buy {cite}`kaplan2020,hoffmann2022`; what made the difference was which computing was counted, how long the warm-up took, and whether the optimiser was tuned at each size {cite}`porian2024`. Here it follows a rule of thumb.
# - **Width or speed?** With as few steps as these a wide network is ahead because it learns faster per step. Which is better after enough steps is another question; the full profile of this page takes longer and is nearer to it.
# - **Chosen in hindsight.** Channels, batch and learning rate were set by test scores of such sessions, and the claims below were worded after seeing them; read them as a description.
# - **Intervals.** They cover other sessions and other stretches of time, from {glue:text}`n_sessions` sessions; resampling so few understates the spread.
# - **Nothing about animals.** The simulated hand is nearly a linear function of what is recorded, which is why ridge regression is hard to beat. Here size has nothing to find.
# - **Nothing about many subjects.** Every network here knows one session. A decoder trained on two thousand hours from more than thirty monkeys and people did help on new tasks, and its authors hold that scale alone seems unlikely to overcome what differs between sensors and what repeats in behaviour {cite}`ye2025`.
#
# ## Where the time goes
#
# Noise costs what signals cost, so the clock gets noise: a second of spikes of {glue:text}`n_spike` units, {glue:text}`n_lfp` field potentials and {glue:text}`n_eeg` electrodes.


# %%
KINDS = {"spike": (50, 100), "lfp": (500, 16), "eeg": (160, 64)}  # Hz, n
for kind, (_, n) in KINDS.items():
    report.put(f"n_{kind}", n)


def noise(n_windows, draw):
    """A batch of three modalities and a behaviour."""
    inputs = {}
    for kind, (rate, n) in KINDS.items():
        x = torch.randn(n_windows, rate, n, generator=draw)
        x = x.abs().round() if kind == "spike" else x
        inputs[kind] = ModalityInput.sampled(x, float(rate))
    return pack(inputs) | {
        "behaviour/values": torch.randn(n_windows, 20, 2, generator=draw),
        "behaviour/time": torch.linspace(0, 1, 20).expand(n_windows, 20),
    }


def built(preset):
    """A preset that reads the three."""
    torch.manual_seed(seed)
    cfg = MultimodalConfig.preset(preset, modalities=tuple(KINDS))
    model = cfg.build()
    for kind, (_, n) in KINDS.items():
        model.add_channels(kind, map(str, range(n)))
    return model


def forward(model, batch):
    """Decode behaviour, and read every signal out again."""
    inputs = model.inputs(unpack(batch))
    grid = model.latents(inputs)
    model.decode(grid, batch["behaviour/time"], 1.0)
    for kind, signal in inputs.items():
        model.encode(grid, kind, signal, 1.0)


# %%
def stages(model):
    """Modules by what they do."""
    return {
        "tokenizers": model.tokenizers.values(),
        "encode": [model.perceiver.enter],
        "process": model.perceiver.process,
        "backbone": [model.backbone],
        "read": [model.perceiver.leave],
        "heads": [model.decoder, *model.encoders.values()],
    }


def clocked(model, batch):
    """CPU milliseconds of one forward pass, by stage."""
    spent, hooks = dict.fromkeys(stages(model), 0.0), []

    def note(name, sign):
        spent[name] += sign * 1e3 * time.process_time()

    for name, modules in stages(model).items():
        for m in modules:
            start = m.register_forward_pre_hook(lambda *_, n=name: note(n, -1))
            stop = m.register_forward_hook(lambda *_, n=name: note(n, +1))
            hooks += [start, stop]
    return timed(spent, hooks, lambda: forward(model, batch))


def timed(spent, hooks, work):
    """Run, take the hooks off, and call the rest "other"."""
    start = time.process_time()
    work()
    total = 1e3 * (time.process_time() - start)
    for hook in hooks:
        hook.remove()
    return spent | {"other": total - sum(spent.values())}


def middle(rows):
    """Median of every entry, without the first row, which warms up."""
    return {k: float(np.median([row[k] for row in rows[1:]])) for k in rows[0]}


# %%
def training_step(task, optimiser, batch):
    """CPU milliseconds of the parts of one step."""
    clock = [time.process_time()]
    loss = task.loss(batch)
    clock.append(time.process_time())
    loss.backward()
    clock.append(time.process_time())
    optimiser.step()
    optimiser.zero_grad()
    clock.append(time.process_time())
    parts = ("forward", "backward", "optimiser")
    return dict(zip(parts, 1e3 * np.diff(clock), strict=True))


draw = torch.Generator().manual_seed(seed)
tiny, eight = built("tiny"), noise(8, draw)
task = ObjectiveConfig(("decode", "encode")).build(tiny)
optimiser = torch.optim.AdamW(task.parameters(), 1e-3)
step = middle(
    [training_step(task, optimiser, eight) for _ in range(n_repeats + 1)]
)
{name: round(ms) for name, ms in step.items()}

# %%
by_part, n_parameters = {}, {}
for preset in presets:
    model, one = built(preset).eval(), noise(1, draw)
    with torch.inference_mode():
        found = [clocked(model, one) for _ in range(n_repeats + 1)]
    by_part[preset] = middle(found)
    n_parameters[preset] = sum(p.numel() for p in model.parameters())
    del model

# %% tags=["hide-input", "remove-output"]
bars = share_bars(by_part, "{:.0f} ms".format, "% of the CPU time")
report.figure("parts", bars)
last = by_part[presets[-1]]
report.put("step_ms", sum(step.values()))
report.put("backward_share", 100 * step["backward"] / sum(step.values()))
report.put("optimiser_share", 100 * step["optimiser"] / sum(step.values()))
report.put("tiny_m", n_parameters[presets[0]] / 1e6)
report.put("base_m", n_parameters[presets[-1]] / 1e6)
report.put("tiny_ms", sum(by_part[presets[0]].values()))
report.put("base_ms", sum(last.values()))
report.put("longest_part", max(last, key=last.get))
report.put("tiny_part", max(by_part[presets[0]], key=by_part[presets[0]].get))
known = {r["claim"]: r for f in report.results("benchmarks") for r in f}
for name, unit in {"tiny_step_ms": "ms", "import_s": "s"}.items():
    row = known.get(f"multimodal.{name}")
    found = f"{row['value']:.3g} {unit}" if row else "not measured yet"
    report.put(f"{name}_claim", found)

# %% [markdown]
# ```{glue:figure} parts
# :name: fig-mm-parts
# :alt: Share of the CPU time of one forward pass by stage of the model, for the presets that were timed
#
# **One window forward, by stage.** Share of CPU time on one thread of the machine that made this page. Tokenizers make tokens, *encode* puts them on the grid of latents, *process* is attention among latents, the *backbone* scans them along time, *read* answers queries for behaviour and three signals, and heads make numbers of the answers.
# ```
#
# A training step of `tiny`, {glue:text}`tiny_m:.1f` million parameters, takes {glue:text}`step_ms:.0f` CPU milliseconds for eight windows; {glue:text}`backward_share:.0f` % of it is the way back and {glue:text}`optimiser_share:.0f` % the optimiser.
# One window forward takes {glue:text}`tiny_ms:.0f` ms, and that of `base`, {glue:text}`base_m:.0f` million parameters, {glue:text}`base_ms:.0f` ms.
# In the small one most of the time goes to "{glue:text}`tiny_part`", in the large one to "{glue:text}`longest_part`".
# The claims are measured with threads fixed: a step by `benchmarks/multimodal_step.py` ({glue:text}`tiny_step_ms_claim`), and what importing the model costs on top of torch by `benchmarks/multimodal_import.py` ({glue:text}`import_s_claim`).
#
# ## One recurrence, three ways
#
# The backbone's recurrences, Mamba-1's {cite}`gu2023` and Mamba-2's {cite}`dao2024`, are loops over time by definition.
# Small ports write them as such, and index their inputs at each step; then every index writes a gradient of the whole input, and time grows with the square of the length.
# Splitting the inputs once, before the loop, takes that away.
# Ours take the loop away as well: Mamba-2 in products of triangular matrices over stretches of time, Mamba-1 with a gradient written by hand, or in two levels where the state is small.


# %%
def ssd_by_index(x, dt, rate, b, c):
    """Mamba-2 as small ports have it."""
    h, outputs = x.new_zeros(*x[:, 0].shape, b.shape[2]), []
    keep, dx = torch.exp(dt * rate), dt[..., None] * x
    for t in range(x.shape[1]):
        new = dx[:, t, :, :, None] * b[:, t, None, None]
        h = keep[:, t, :, None, None] * h + new
        outputs.append(torch.einsum("bhpn,bn->bhp", h, c[:, t]))
    return torch.stack(outputs, 1)


def s6_by_index(x, dt, rate, b, c):
    """Mamba-1 as small ports have it."""
    h, outputs, dx = x.new_zeros(len(x), *rate.shape), [], dt * x
    for t in range(x.shape[1]):
        new = dx[:, t, :, None] * b[:, t, None]
        h = torch.exp(dt[:, t, :, None] * rate) * h + new
        outputs.append(torch.einsum("bdn,bn->bd", h, c[:, t]))
    return torch.stack(outputs, 1)


scans = {
    "SSD": {
        "ours": lambda *p: ssd_scan(*p)[0],
        "split once": lambda *p: ssd_scan(*p, backend="reference")[0],
        "indexed": ssd_by_index,
    },
    "S6": {
        "ours": lambda *p: s6_scan(*p)[0],
        "split once": lambda *p: s6_scan(*p, backend="reference")[0],
        "indexed": s6_by_index,
    },
}


# %%
def drawn(kind, length, dtype):
    """Two sequences of 128 channels, 16 states, as training starts."""
    shape, states = ((4, 32), 16) if kind == "SSD" else ((128,), 16)
    x = torch.randn(2, length, *shape, generator=draw, dtype=dtype)
    dt = torch.rand(2, length, shape[0], generator=draw, dtype=dtype)
    rate = -1 - 15 * torch.rand(shape[0], generator=draw, dtype=dtype)
    if kind == "S6":
        rate = rate[:, None] * torch.linspace(0.1, 1, states, dtype=dtype)
    b, c = torch.randn(2, 2, length, states, generator=draw, dtype=dtype)
    parts = [x, torch.exp(4.6 * dt - 6.9), rate, b, c]
    return [part.requires_grad_() for part in parts]


def there_and_back(scan, parts):
    """Output and the gradients of all inputs."""
    y = scan(*parts)
    above = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return [y.detach(), *torch.autograd.grad(y, parts, above)]


apart = {}
for kind, ways in scans.items():
    parts = drawn(kind, 70, torch.float64)
    ours, *loops = [there_and_back(scan, parts) for scan in ways.values()]
    apart[kind] = max(
        float((a - b).abs().max() / b.abs().max())
        for loop in loops
        for a, b in zip(ours, loop, strict=True)
    )
{kind: f"{error:.0e}" for kind, error in apart.items()}

# %%
took = {kind: {way: [] for way in ways} for kind, ways in scans.items()}
for kind, ways in scans.items():
    for length in lengths:
        parts = drawn(kind, length, torch.float32)
        for way, scan in ways.items():
            start = time.process_time()
            there_and_back(scan, parts)
            took[kind][way].append(1e3 * (time.process_time() - start))

# %% tags=["hide-input"]
rows = [
    [f"{kind}, {way}", *(float(f"{ms:.2g}") for ms in row)]
    for kind, ways in took.items()
    for way, row in ways.items()
]
columns = ["CPU ms, forward and backward", *(f"{n} steps" for n in lengths)]
display(HTML(table(columns, rows)))
for kind, ways in took.items():
    ours, split, indexed = (ways[way][-1] for way in ways)
    report.put(f"{kind.lower()}_split", split / ours)
    report.put(f"{kind.lower()}_indexed", indexed / ours)
report.put("apart", max(apart.values()))
report.put("longest", lengths[-1])
for kind in ("ssd", "s6"):
    row = known.get(f"multimodal.{kind}")
    found = f"{row['ratio']:.0f} times" if row else "not measured yet"
    report.put(f"{kind}_claim", found)

# %% [markdown]
# All ways give the same numbers: in double precision outputs and gradients differ by {glue:text}`apart:.0e` of the largest entry.
# At {glue:text}`longest` steps of this small example ours is {glue:text}`ssd_indexed:.0f` times faster than the indexed loop for Mamba-2 and {glue:text}`s6_indexed:.0f` times for Mamba-1; against the fairer loop, which splits its inputs once, {glue:text}`ssd_split:.0f` and {glue:text}`s6_split:.0f` times.
# These are single runs of one small problem.
# The book's claims are for a problem of the size of a layer, and are measured by `benchmarks/multimodal_ssd.py` (against the indexed loop: {glue:text}`ssd_claim`) and `benchmarks/multimodal_s6.py` ({glue:text}`s6_claim`).
#
# ## Step by step
#
# A closed loop has one bin at a time.
# A causal model keeps keys and values within its reach, and the states of its scans, so that a step costs the same however long the recording lasts.
# Weights are random here, which changes no time; trials are those of the page's card.

# %%
torch.manual_seed(seed)
decoder = with_moments(
    SpikeDecoderConfig(1, 1, 1.0, d=32, heads=2, layers=1, blocks=1), trials
).eval()
channels = {"spike": torch.arange(trials.n_units)}
stream = ModelStream(decoder.model, channels, context_s=trials.bin_size_s)
gaps, waits = [], []
for k in range(len(trials)):
    counts = torch.tensor(trials.trial(k).counts, dtype=torch.float32)
    whole = decoder.predict(trials.trial(k))
    stream.reset()
    said, clock = [], [time.process_time()]
    for row in counts:
        said.append(stream.step({"spike": row[None]}))
        clock.append(time.process_time())
    waits.append(1e3 * np.diff(clock))
    said = torch.stack(said) * decoder.output_scale + decoder.output_mean
    gaps.append(np.abs(said.numpy() - whole).max() / np.ptp(whole))
stream_gap = float(max(gaps))
f"{stream_gap:.0e}"

# %% tags=["hide-input"]
every = np.concatenate(waits)
halves = [
    np.median(np.concatenate(half))
    for half in zip(*(np.array_split(wait, 2) for wait in waits), strict=True)
]
report.put("stream_ms", float(np.median(every)))
report.put("stream_slow_ms", float(np.quantile(every, 0.99)))
report.put("stream_late", halves[1] / halves[0])
report.put("stream_gap", stream_gap)
report.put("bin_ms", 1e3 * trials.bin_size_s)
report.put("stream_bins", len(every))

# %% [markdown]
# Over {glue:text}`stream_bins` bins of {glue:text}`bin_ms:.0f` ms a step takes {glue:text}`stream_ms:.1f` CPU milliseconds, and the slowest in a hundred {glue:text}`stream_slow_ms:.1f`; in the second half of a trial it takes {glue:text}`stream_late:.2f` times what it takes in the first.
# What comes out differs from the whole trial at once by {glue:text}`stream_gap:.0e` of the range of the predictions.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "SIMULATED sessions, equal steps: the widest network decodes better than "
    "the narrowest (interval above zero)",
    by_size.low > 0,
)
report.claim(
    "SIMULATED sessions, equal steps: ridge regression decodes better than "
    "all networks but the widest (intervals above zero)",
    all(difference.high < 0 for difference in over_ridge[:-1]),
)
for kind, error in apart.items():
    report.claim(
        f"{kind}: our scan equals loops over time to 1e-12 in double "
        "precision, gradients too",
        error < 1e-12,
    )
report.claim(
    "a stream equals the whole trial to 1e-5 of the range of predictions",
    stream_gap < 1e-5,
)

# %% [markdown]
# ## What we learned
#
# - In equal steps width bought {glue:text}`by_size` of R² and data {glue:text}`by_data`, and all of that led to {glue:text}`over_ridge` from a regression that takes a moment. A scaling curve without its simple control tells of progress, whatever it leads to.
# - How a recurrence is written decides more about its time than what it computes.
# - A step of a stream costs {glue:text}`stream_ms:.1f` CPU milliseconds however late it comes, and changes no answer.
# - **Not shown:** a GPU, a network that is trained to its end, and pre-training over subjects.
# - **What would change our mind:** a network that pulls away from ridge regression as it grows, on recordings of several subjects.
#
# **Try it:** `steps=300`; what is left of the advantage of width?
# **Sources:** {cite}`neurofmx,gu2023,dao2024,kaplan2020,hoffmann2022,porian2024,ye2025`.

# %% tags=["hide-input"]
report.card(
    answer=f"On SIMULATED sessions, in {steps} steps, width bought "
    f"{by_size:+.2f} of R² and {max(seconds) // min(seconds)} times the data "
    f"{by_data:+.2f}; the widest network ended {over_ridge[-1]:+.2f} from "
    "ridge regression. "
    f"A training step of the tiny model took {sum(step.values()):.0f} CPU ms, "
    f"a step of a stream {np.median(every):.1f}.",
    needs="the model of the page Does one model run on any subset of seven "
    "signals?",
)
report.stamp()
