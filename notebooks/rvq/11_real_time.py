# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-real-time)=
# # Does it keep up with the brain?
#
# ```{glue} card
# ```
#
# A decoder in a closed loop gets one bin of counts at a time and has to answer before the next.
# The log gives training times, and its streaming class decodes from one sorted bin.
# Here the whole chain, raw counts to velocity and codes, runs bin by bin with its state carried.
#
# **You will learn** (1) that streaming gives what whole trials give, (2) where the time of a bin goes, (3) what running a window again costs over carrying a state.

# %% tags=["parameters"]
dataset: str = "maze_small"  # or "m1", "maze", "rtt"
source: str = "auto"  # or "recorded", "simulated"
steps: int = 60
hidden: int = 256  # of the LSTM
dim: int = 128  # of a latent
n_timed: int = 1500  # bins
seed: int = 0
device: str = "auto"

# %%
import time

import numpy as np
import torch

from neurolib import report
from neurolib.data.sets import load
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoderConfig
from neurolib.models.discrete_stream import DiscreteStream
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.training.loop import TrainConfig
from neurolib.training.recipes import Recipe, trained
from neurolib.viz import scores

trials = load(dataset, source).with_outputs("velocity")
report.use(trials)
split = trials.folds(5)[0]
torch.set_num_threads(1)
trials

# %% [markdown]
# ## A decoder of full size
#
# An LSTM of {glue:text}`hidden` units, latents of {glue:text}`dim` channels, four stages of 128 codes, trained briefly: time does not depend on how good it is.

# %%
recipe = Recipe(
    TrainConfig(steps=steps, batch_size=16, lr=2e-3, device=device)
)
lstm = RecurrentEncoderConfig("lstm", hidden, dropout=0.3)
base = DiscreteDecoderConfig(lstm, dim=dim, hidden=128)
continuous = trained(split, base, recipe, seed)
rvq = ResidualConfig(n_stages=4, size=128)
decoder = continuous.quantised(rvq, split.train, seed).cpu()
f"{sum(p.numel() for p in decoder.parameters()):,} parameters"

# %% [markdown]
# ## The same, bin by bin

# %%
trial = split.test.trial(0)
stream = DiscreteStream(decoder)
streamed = [stream.step(counts) for counts in trial.counts]
velocity = np.stack([outputs for outputs, _ in streamed])
codes = np.stack([codes for _, codes in streamed])
worst = float(np.abs(velocity - decoder.predict(trial)).max())
same = bool((codes == decoder.codes(trial)).all())
speed = float(np.abs(decoder.predict(trial)).max())
{"largest difference": f"{worst:.0e}", "codes equal": same}

# %% [markdown]
# ## The time of a bin
#
# The stream against the same decoder called in torch bin by bin, and against running the last ten bins again from nothing, as a decoder without a state has to.


# %%
def milliseconds(step, counts):
    """Times of single bins, the first fifty left out."""
    times = []
    for row in counts:
        start = time.perf_counter()
        step(row)
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times[50:])


class TorchStream:
    """The decoder called in torch, one bin at a time."""

    state = None

    @torch.no_grad()
    def step(self, counts):
        """One bin."""
        row = torch.as_tensor(counts, dtype=torch.float32)[None]
        *_, self.state = decoder.step(row, self.state)


@torch.no_grad()
def window(counts):
    """Ten bins from nothing; their number matters, not their counts."""
    rows = torch.as_tensor(np.tile(counts, (1, 10, 1)), dtype=torch.float32)
    decoder(rows)


# %%
rows = np.resize(split.test.counts, (n_timed, trials.n_units))
stream.reset()
took = {
    "stream, state carried": milliseconds(stream.step, rows),
    "torch, state carried": milliseconds(TorchStream().step, rows),
    "torch, ten bins again": milliseconds(window, rows),
}
percentiles = {
    name: np.percentile(times, [50, 5, 99]) for name, times in took.items()
}
{
    name: f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    for name, (p50, _, p99) in percentiles.items()
}

# %% tags=["hide-input", "remove-output"]
panels = {
    "ms per bin: median, 5th to 99th percentile": {
        name: tuple(values) for name, values in percentiles.items()
    }
}
fig = scores.interval_chart(panels, "", trials.simulated)
report.figure("latency", fig)

# %% tags=["hide-input"]
fast = percentiles["stream, state carried"]
report.put("hidden", hidden)
report.put("dim", dim)
report.put("stream_p50", fast[0])
report.put("stream_p99", fast[2])
report.put("torch_p50", percentiles["torch, state carried"][0])
report.put("window_p50", percentiles["torch, ten bins again"][0])
report.put("bin_ms", 1000 * trials.bin_size_s)
report.put("bits", decoder.bits)
report.put("bit_rate", decoder.bits / trials.bin_size_s)

# %% [markdown]
# ```{glue:figure} latency
# :name: fig-latency
# :alt: Milliseconds per bin for three ways to run the decoder
#
# **Time from counts to velocity and codes**, one bin at a time on one CPU thread of the machine that made this page.
# ```
#
# A bin lasts {glue:text}`bin_ms:.0f` ms; the stream takes {glue:text}`stream_p50:.3f` ms in the median and {glue:text}`stream_p99:.3f` ms at the 99th percentile.
# Calls of torch take {glue:text}`torch_p50:.2f` ms, of which most is the calling; ten bins again take {glue:text}`window_p50:.2f` ms.
# What leaves the decoder is {glue:text}`bits:.0f` bits per bin at most, {glue:text}`bit_rate:.0f` bits per second.
#
# The percentiles depend on what else the machine does; `benchmarks/stream.py` repeats them with thousands of bins, for a transformer too, and in onnxruntime.
#
# ## Elsewhere than in Python
#
# With the extra `onnx`, one step of a decoder becomes an ONNX graph: counts and state in, velocity, codes and state out.
# It is checked against this decoder on a stream of counts before the file is written.
#
# ```python
# from neurolib.models.onnx_export import OnnxStream, export_onnx
#
# export_onnx(decoder, "decoder.onnx")
# stream = OnnxStream("decoder.onnx")
# velocity, codes = stream.step(counts)
# ```
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "bin by bin gives the velocity of whole trials", worst < 1e-4 * speed
)
report.claim("bin by bin gives the codes of whole trials", same)
report.claim("the median bin takes less than a millisecond", fast[0] < 1)
report.claim(
    "carrying the state is faster than running ten bins again",
    percentiles["torch, ten bins again"][0] > fast[0],
)

# %% [markdown]
# ## What we learned
#
# - **Quantizing is not what takes time.** Nor is the LSTM; calling into a framework is.
# - **A state saves the window.** Decoders that run their history again pay for every bin ten times.
#
# **Try it:** `-p hidden=1024`: when does arithmetic outweigh the calls?
# **Sources:** {cite}`phantomx,zeghidour2021`.

# %% tags=["hide-input"]
report.card(
    answer=f"One bin takes {fast[0]:.2f} ms in the median, "
    f"{fast[2]:.2f} ms at the 99th percentile, of "
    f"{1000 * trials.bin_size_s:.0f} ms; streamed velocity and codes are "
    "those of whole trials.",
    needs="what an LSTM carries from bin to bin.",
)
report.stamp()
