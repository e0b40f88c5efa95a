# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (interpret-known-answers)=
# # Do the tools find what was put in?
#
# ```{glue} card
# ```
#
# An instrument is first pointed at something known.
# Tools that explain networks seldom are, and then a broken one cannot be told from a working one: both draw a picture.
#
# In the collection that inspired this part {cite}`neurofmx`, patching every unit of a layer recovers none of the difference between two runs, since the patched values never reach the rest of the network.
# Its search for a least circuit, built on that, ends with no unit at all.
# Its path patching is a ratio of two activations, and no path is patched.
# Its integrated gradients hand one signal to a network that takes several.
# Its index of selectivity divides by a sum that is near zero wherever activity has a sign, and its sparse dictionary can lower its penalty by making features small and their directions long.
#
# None of this needs a trained network to be found out.
#
# **You will learn** (1) what a network built by hand must answer, (2) by how much six plausible shortcuts are wrong, (3) how to ask the same of your own machine.

# %% tags=["parameters"]
source: str = "simulated"  # the only one there is: a known answer
n_draws: int = 40  # of every simulated experiment
n_samples: int = 300  # of one
n_shifts: int = 40  # of a null
seed: int = 0

# %% tags=["remove-stderr"]
from types import SimpleNamespace

import numpy as np
import torch
from IPython.display import HTML, display

from neurolib import report
from neurolib.interpret.attribution.integrated_gradients import (
    PathConfig,
    integrated_gradients,
)
from neurolib.interpret.selfcheck import PARTS, selfcheck
from neurolib.metrics.dimensionality import participation_ratio
from neurolib.metrics.dissimilarity import dissimilarity, stratified_folds
from neurolib.metrics.information import information_null
from neurolib.metrics.selectivity import eta_squared
from neurolib.viz import truths
from neurolib.viz.tables import table

report.use(SimpleNamespace(name="known-answers", simulated=True))

# %% [markdown]
# ## Networks built by hand
#
# Each row below is a question with one right answer.
# A linear network: attribution to its edges must equal their measured effect.
# Two wired paths among many: the search must return these wires and no other.
# An AND gate: the method that looks at one point must miss it, the one that follows the path must not.
# A dictionary of known atoms: they must come back.

# %%
sections = selfcheck(PARTS)
rows = []
for section in sections:
    for one in section.answers:
        values = f"{one.found:.4g}", f"{one.expected:.4g}"
        verdict = "found" if one.ok else "MISSED"
        rows.append([section.part, one.name, *values, verdict])
right = sum(row[-1] == "found" for row in rows)
report.put("right", right)
report.put("asked", len(rows))
report.put("check_s", sum(section.seconds for section in sections))

# %% tags=["hide-input"]
columns = ["part", "question", "found", "known", ""]
display(HTML(table(columns, rows)))

# %% [markdown]
# {glue:text}`right` of {glue:text}`asked` answers were found, in {glue:text}`check_s:.0f` seconds of computing.
# Some of the known answers are bounds, such as a share of at least so much.
#
# ## Six shortcuts
#
# The second kind of mistake runs without error and is wrong by an amount that depends on the data.
# Each of the six below is in wide use; each is asked about simulated data whose truth is known, {glue:text}`n_draws` times.
#
# - **Selectivity of the preferred condition.** Eight conditions, pure noise. The best condition is chosen and judged on the same trials, or judged on other trials.
# - **Mutual information with a slow variable.** Two unrelated signals that both drift; the estimate, and the estimate less that of signals shifted in time.
# - **Participation ratio.** Twenty equal dimensions and fifty samples; the plain ratio, and the one without the bias of few samples.
# - **Distance of two conditions that do not differ.** Thirty trials each; the plain distance of the means, and the cross-validated one.
# - **Integrated gradients** of a steep function with eight points: the mean of gradients at equal steps, ends included, and Gauss-Legendre points.
# - **Variance between groups.** Twenty groups of five samples that do not differ; the plain share of variance, and the share less that of permuted groups.

# %%
draw = np.random.default_rng(seed)


def preferred():
    """Best of eight conditions, in standard deviations: same and other trials."""
    values, label = draw.normal(size=(2, 10, 8)), np.arange(8)
    chosen = label[values[0].mean(0).argmax()]
    return [half[:, chosen].mean() - half.mean() for half in values]


def drifting():
    """Bits that two unrelated slow signals seem to share."""
    slow = draw.normal(size=(2, n_samples + 60))
    x, y = [np.convolve(part, np.ones(60), "valid")[1:] for part in slow]
    apart = np.arange(n_samples) // 60  # shifts are longer than the memory
    settings = {"n_shifts": n_shifts, "max_samples": n_samples}
    found = information_null(x, y, apart, **settings)
    return [found.bits, found.excess]


# %%
def dimensions():
    """Participation ratio of twenty equal dimensions."""
    x = draw.normal(size=(50, 20))
    return [participation_ratio(x, debiased=way) for way in (False, True)]


def same_place():
    """Squared distance of two conditions that are the same."""
    x, label = draw.normal(size=(60, 10)), np.repeat([0, 1], 30)
    fold, white = stratified_folds(label, seed=seed), np.eye(10)
    plain = dissimilarity(x, label, measure="sqeuclidean")
    crossed = dissimilarity(x, label, folds=fold, noise=white)
    return [plain.values[0], crossed.values[0]]


# %%
def steep():
    """Sum of attributions to a step of height one."""
    edge = draw.uniform(0.2, 0.8)

    def score(x):
        return torch.sigmoid(30 * (x.sum(1) - edge))

    x = torch.full((1, 1), 1.0, dtype=torch.float64)
    path = torch.linspace(0, 1, 8, dtype=torch.float64)[:, None]
    path.requires_grad_()
    plain = torch.autograd.grad(score(path).sum(), path)[0].mean()
    made = integrated_gradients(score, x, cfg=PathConfig())
    whole = float(made.difference)
    return [float(plain) / whole, float(made.total) / whole]


def many_groups():
    """Share of variance between twenty groups that do not differ."""
    x, label = draw.normal(size=(100, 1)), np.repeat(np.arange(20), 5)
    share = eta_squared(x, label)[0]
    null = [eta_squared(x, draw.permutation(label))[0] for _ in range(20)]
    return [share, share - np.mean(null)]


# %%
EXPERIMENTS = {
    "preferred condition\n(SD above the mean)": (preferred, 0.0),
    "information of\nslow signals (bits)": (drifting, 0.0),
    "participation ratio\nof 20 dimensions": (dimensions, 20.0),
    "distance of equal\nconditions (squared)": (same_place, 0.0),
    "sum of attributions\nto a step": (steep, 1.0),
    "variance between\n20 equal groups": (many_groups, 0.0),
}
found = {
    name: np.array([experiment() for _ in range(n_draws)])
    for name, (experiment, _) in EXPERIMENTS.items()
}

# %% tags=["hide-input", "remove-output"]
truth = {name: right for name, (_, right) in EXPERIMENTS.items()}
report.figure("shortcuts", truths.panels(found, truth, ("shortcut", "here")))
report.put("n_draws", n_draws)


def bias(name):
    """Mean error of both ways, and its standard error."""
    miss = found[name] - truth[name]
    return miss.mean(0), miss.std(0, ddof=1) / np.sqrt(n_draws)


by_name = {name.replace("\n", " "): bias(name) for name in found}
report.put("bits", float(by_name["information of slow signals (bits)"][0][0]))
ratio = found["participation ratio\nof 20 dimensions"].mean(0)
report.put("ratio", float(ratio[0]))
report.put("ratio_here", float(ratio[1]))

# %% [markdown]
# ```{glue:figure} shortcuts
# :name: fig-interpret-shortcuts
# :alt: Six simulated experiments, each estimated by a shortcut and by the estimator of this book, with the truth
#
# **Six shortcuts and what they miss.** Each point is one simulated experiment, bars are means, the line is the truth.
# ```
#
# Two signals that have nothing to do with each other share {glue:text}`bits:.2f` bits if both are slow, and fifty samples of twenty equal dimensions look like {glue:text}`ratio:.1f` of them, {glue:text}`ratio_here:.1f` without the bias.
# The estimators on the right scatter more: that is the price of not being wrong on average.

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim("all known answers are found", right == len(rows))
for name, (miss, error) in by_name.items():
    report.claim(
        f"{name}: the shortcut is biased, beyond three standard errors",
        bool(abs(miss[0]) > 3 * error[0]),
    )
    report.claim(
        f"{name}: what is used here misses by less than half as much",
        bool(abs(miss[1]) < abs(miss[0]) / 2),
    )

# %% [markdown]
# ## What we learned
#
# - A tool that cannot find what was put in by hand is not asked about trained networks.
# - Most shortcuts err towards more: more selective, more informative, more different. That is how they stay in use.
# - **Not shown:** that a tool which passes is right on a trained network; the known answers are necessary and never enough.
# - **What would change our mind:** a network with a known answer that a tool here misses. It would be added to the list.
#
# **Try it:** `neurolib selfcheck interpret` asks the same questions on your machine; `n_samples=2000` shows which of the six shortcuts time heals.
# **Sources:** {cite}`neurofmx`.

# %% tags=["hide-input"]
report.card(
    answer=f"{right} of {len(rows)} known answers are found. Of six "
    "plausible shortcuts each is wrong by more than chance on data whose "
    "truth is known; the estimators used here are not, or by much less.",
    needs="what a bias is.",
)
report.stamp()
