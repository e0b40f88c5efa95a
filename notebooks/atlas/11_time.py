# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (atlas-time)=
# # Has the field moved?
#
# ```{glue} card
# ```
#
# Journals of brain imaging did not write about the same things in every year.
# This page asks whether what they *report* has moved over the years, by how much, and whether next year can be foretold.
# Every year has other studies, so yearly means always differ; all that counts is how much more they differ than when the same years are dealt out to the studies at random.
# On simulated studies a slow shift of one of eight causes is built in, and small enough to be hard to find.
#
# **You will learn** (1) how much of the differences between studies lies between years, (2) which simple forecast a recurrent network has to beat, (3) what a code gives away of the year when its encoder is told it.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
size: str = "auto"  # of the trained atlas: quick, book, full, or the largest
n_forecasts: int = 10  # last years, each forecast from those before it
n_shuffles: int = 400
n_shown: int = 5  # topics
fwhm_mm: float = 16.0  # smoothing of the yearly maps
seed: int = 0

# %%
import numpy as np
import torch

from neurolib import report
from neurolib.atlas.corpus import load_corpus
from neurolib.atlas.trained import best_available, trained
from neurolib.data.coordinate_simulator import CorpusSimulator
from neurolib.metrics.drift import drift, yearly_bands
from neurolib.metrics.generative import frechet_excess
from neurolib.metrics.intervals import bootstrap_interval
from neurolib.metrics.probes import probe
from neurolib.models.coordinates.batches import study_tensors
from neurolib.models.coordinates.density import smoothed_density
from neurolib.models.coordinates.trajectory import (
    YearlyCodes,
    excess_error,
    forecast_cloud,
    rolling_forecasts,
)
from neurolib.viz import atlas_live, atlas_viewer, brain, scores, timeline

corpus = load_corpus(source)
report.use(corpus)
atlas = trained(corpus, best_available(corpus, size))
studies, draw = corpus.corpus, np.random.default_rng(seed)
(corpus, atlas)

# %% [markdown]
# ## Codes that were not told the year
#
# The atlas has an autoencoder that is told a study's topics and year, and a plain one that sees foci alone.
# This page takes its codes from the plain one.
# Topics come from the abstract.

# %%
own = np.arange(corpus.n_own)
year = studies.year[own]
topics = np.asarray(studies.topics[own], float)


@torch.no_grad()
def encoded(rows):
    """Posterior means of studies from their foci alone."""
    parts = []
    for block in np.array_split(rows, -(-len(rows) // 256)):
        batch = study_tensors(studies, corpus.voxels, block)
        parts.append(atlas.plain.encode(batch["voxels"], batch["mask"])[0])
    return torch.cat(parts).double().numpy()


codes, told = encoded(own), atlas.latents[0][own]
kinds = {"codes": codes, "topics": topics}

# %% [markdown]
# ## How much lies between years
#
# Two shares of the variance over studies: what lies between years beyond chance, and what lies along a straight line over the years.
# Articles also changed in length and in the space of their coordinates, which moves codes without any change of interest; so the same is asked of what remains of the codes when the number of foci and the space are regressed out.

# %%
space = studies.space[own][:, None] == np.unique(studies.space[own])
form = np.c_[space, np.log1p(studies.counts[own])]
rest = codes - form @ np.linalg.lstsq(form, codes, rcond=None)[0]
moved = {
    name: drift(values, year, n_shuffles, seed)
    for name, values in (kinds | {"codes, form taken out": rest}).items()
}
{k: (d.between, d.p_between, d.trend, d.p_trend) for k, d in moved.items()}

# %% tags=["hide-input"]
names = ("codes", "topics", "rest")
for name, found in zip(names, moved.values(), strict=True):
    report.put(f"{name}_between", 100 * found.between)
    report.put(
        f"{name}_between_null", 100 * np.quantile(found.between_null, 0.95)
    )
    report.put(f"{name}_trend", 100 * found.trend)
    report.put(f"{name}_trend_null", 100 * np.quantile(found.trend_null, 0.95))
    report.put(f"{name}_p", found.p_trend)
report.put("n_studies", len(own))
report.put("n_years", len(np.unique(year)))

# %% [markdown]
# | of the variance over {glue:text}`n_studies` studies | between {glue:text}`n_years` years | shuffled years | along a line | shuffled years | p (line) |
# |---|---|---|---|---|---|
# | codes of foci | {glue:text}`codes_between:.2f` % | {glue:text}`codes_between_null:.2f` % | {glue:text}`codes_trend:.2f` % | {glue:text}`codes_trend_null:.2f` % | {glue:text}`codes_p:.3f` |
# | the same, form taken out | {glue:text}`rest_between:.2f` % | {glue:text}`rest_between_null:.2f` % | {glue:text}`rest_trend:.2f` % | {glue:text}`rest_trend_null:.2f` % | {glue:text}`rest_p:.3f` |
# | topics of abstracts | {glue:text}`topics_between:.2f` % | {glue:text}`topics_between_null:.2f` % | {glue:text}`topics_trend:.2f` % | {glue:text}`topics_trend_null:.2f` % | {glue:text}`topics_p:.3f` |
#
# "Shuffled years" is the 95th percentile of the same share with years shuffled among studies.
# Two studies of one year differ nearly as much as two studies of any years.
# A line over the years is one number instead of one per year, so it shows a slow movement that the comparison of all years with each other may miss.
#
# How large would a movement have to be to be found?
# Years are shuffled, so that nothing moves, and then all codes are shifted along a random direction, in proportion to the years.

# %%
dealt = draw.permutation(year)
ramp = (dealt - dealt.mean())[:, None] / np.ptp(dealt)
threshold = np.quantile(moved["codes"].trend_null, 0.95)


def power(shift, n=20):
    """Share of random directions along which a shift is found."""
    hits = 0
    for _ in range(n):
        u = draw.normal(size=codes.shape[1])
        u *= (codes @ u).std() / (u @ u)
        moving = codes + shift * ramp * u
        hits += drift(moving, dealt, 1).trend > threshold
    return hits / n


shifts = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2)
powers = {shift: power(shift) for shift in shifts}
powers

# %% tags=["hide-input"]
enough_to_see = [shift for shift, p in powers.items() if p >= 0.9]
report.put("least", min(enough_to_see, default="more than we tried"))
report.put("built_in", CorpusSimulator().year_drift)

# %% [markdown]
# A shift of {glue:text}`least` standard deviations along one direction of the codes, from the first year to the last, is found nine times in ten.
# The cause that moves in the simulation moves by {glue:text}`built_in` of its standard deviations, and a code made from a few foci sees only part of that: so the simulated codes alone need not show it, and a "not found" there means too few studies, not a field at rest.
#
# ## Which way
#
# Choosing the topics that moved most and then showing how much they moved would count chance twice.
# So half of the studies chooses: the direction of the codes along which the years go, and {glue:text}`n_shown` topics.
# The figure shows the other half.

# %%
half = draw.permutation(len(own)) % 2 == 0
rise = (year - year.mean())[half]


def slopes(values):
    """Correlation of every column with the year, in the choosing half."""
    return np.array([np.corrcoef(v, rise)[0, 1] for v in values[half].T])


towards = rise @ (codes[half] - codes[half].mean(0))
chosen = np.argsort(-np.abs(slopes(topics)))[:n_shown]
shown = np.c_[codes @ towards, topics[:, chosen]][~half]
shown = (shown - shown.mean(0)) / shown.std(0)
enough = np.isin(year[~half], YearlyCodes.of(codes, year).years)
found = yearly_bands(shown[enough], year[~half][enough], n_shuffles, seed)

# %% tags=["hide-input", "remove-output"]
words = [n.split("_", 1)[1].replace("_", " ") for n in studies.topic_names]
titles = ["codes, along the years", *(words[k] for k in chosen)]
fig = timeline.bands(found, titles, "sd of studies", corpus.simulated)
report.figure("timeline", fig)
report.put("outside", 100 * found.outside)
report.put("n_shown", n_shown)
slope = slopes(topics)[chosen]
ups, downs = ([words[k] for k in chosen[slope * s > 0]] for s in (1, -1))
report.put("rising", ", ".join(ups) or "none")
report.put("falling", ", ".join(downs) or "none")

# %% [markdown]
# ```{glue:figure} timeline
# :name: fig-atlas-timeline
# :alt: Yearly means of the code along the years and of five topics, with the band of shuffled years
#
# **Yearly means.** Blue: means over the half of the studies that did not choose what is shown, with 95 % intervals from drawing studies again. Grey: the 95 % interval of means if years are shuffled. Years with few studies are left out.
# ```
#
# Rising topics of the five: {glue:text}`rising`; falling: {glue:text}`falling`.
# {glue:text}`outside:.0f` % of the means lie outside the grey band, of which chance puts 5 in 100.
# These are shares of what is *published and parsed*; a topic that falls may have moved to other journals.
#
# ## What next year will be like
#
# A year's mean is forecast from earlier years alone, and the error is what lies beyond the sampling noise of the year's own studies.
# Four naive forecasts need no training: the mean of all earlier studies, the last year again, exponential smoothing with the constant that was best on earlier years, and a line.
# Against them stands a GRU of 16 hidden units with weight decay, which predicts the change to next year and is trained anew for every forecast, for as many steps as were best on the last third of the earlier years.

# %%
errors, clouds = {}, {}
for name, values in kinds.items():
    yearly = YearlyCodes.of(values, year)
    first = int(yearly.years[-1]) - n_forecasts + 1
    guesses = rolling_forecasts(yearly, first)
    total = values.var(0).sum()
    errors[name] = {
        way: 100 * excess_error(yearly, guess) / total
        for way, guess in guesses.items()
    }
    clouds[name] = guesses
ahead = {
    name: bootstrap_interval(e["GRU"] - e["exponential smoothing"], seed=seed)
    for name, e in errors.items()
}
ahead

# %% tags=["hide-input", "remove-output"]
panels = {
    name: {way: tuple(bootstrap_interval(v)[:3]) for way, v in e.items()}
    for name, e in errors.items()
}
fig = scores.interval_chart(
    panels, "error beyond noise, % of variance", corpus.simulated
)
report.figure("forecasts", fig)
report.put("codes_ahead", f"{ahead['codes']:+.3f}")
report.put("topics_ahead", f"{ahead['topics']:+.3f}")
report.put("n_forecasts", n_forecasts)
best = {k: min(e, key=lambda w: e[w].mean()) for k, e in errors.items()}
report.put("best_codes", best["codes"])
report.put("best_topics", best["topics"])

# %% [markdown]
# ```{glue:figure} forecasts
# :name: fig-atlas-forecasts
# :alt: Error beyond sampling noise of five forecasts, for codes and topics
#
# **Five forecasts of the last {glue:text}`n_forecasts` years.** Mean squared error beyond sampling noise, in per cent of the variance over studies; intervals over forecast years, which are few.
# ```
#
# The GRU's error minus that of exponential smoothing is {glue:text}`codes_ahead` for codes and {glue:text}`topics_ahead` for topics; above zero it is worse.
# The least error has {glue:text}`best_codes` for codes and {glue:text}`best_topics` for topics.
# A network has about twenty years to learn from, and one number per year and dimension; it cannot know more about next year than a line or a smoothed mean, and it learns the noise.
# Where studies per year are few, as in the simulation, the last year alone is a poor guess and the mean of all earlier ones hard to beat.
#
# A mean is not all of a year.
# So last year's cloud of codes is moved to the forecast mean and compared with the cloud that came, by the Fréchet distance beyond that of random halves; a year is also compared with the same number of earlier studies.

# %%
yearly = YearlyCodes.of(codes, year)
late = yearly.years[-n_forecasts:]
ways = ("grand mean", "exponential smoothing", "GRU")
distances = {way: [] for way in ways}
for k, now in enumerate(late):
    came = codes[year == now]
    for way in ways:
        guess = forecast_cloud(codes, year, now, clouds["codes"][way][k])
        apart = frechet_excess(guess, came, n_splits=5, seed=seed)
        distances[way].append(100 * apart.excess / codes.var(0).sum())
cloud = {way: bootstrap_interval(d, seed=seed) for way, d in distances.items()}
cloud

# %% tags=["hide-input"]
for way, key in zip(ways, ("mean", "smoothing", "gru"), strict=True):
    report.put(f"cloud_{key}", f"{cloud[way]:.2f}")

# %% [markdown]
# In per cent of the variance over studies, clouds moved to the mean of all earlier studies are {glue:text}`cloud_mean` from what came, those moved to the smoothed mean {glue:text}`cloud_smoothing`, and those moved to the GRU's forecast {glue:text}`cloud_gru`.
#
# ## The zeitgeist, year by year
#
# The map of a year is the mean over its studies of where they report foci, each study counting once, and shown is its difference from all years together.
# On the right is the same with years shuffled: whatever you see there is chance, and as strong as chance is.

# %%
of = studies.study[: studies.first[corpus.n_own]]
voxels = corpus.voxels[: len(of)]
weight = 1 / studies.counts[of]


def difference(rows, others=None, fwhm_mm=fwhm_mm):
    """Log density of some studies over that of others, by default all."""
    others = own if others is None else others
    maps = []
    for some in (rows, others):
        at = np.isin(of, some)
        args = (voxels[at], corpus.grid, fwhm_mm, weight[at], 1e-3)
        maps.append(np.log(smoothed_density(*args)))
    return maps[0] - maps[1]


maps, chance = (
    np.array([difference(own[years == y]) for y in yearly.years])
    for years in (year, dealt)
)

# %% tags=["hide-input"]
limit = float(np.percentile(np.abs(maps), 99.5))
atlas_viewer.frames(
    "zeitgeist",
    [
        atlas_viewer.Pane("reported more or less", maps, limit=limit),
        atlas_viewer.Pane("the same, years shuffled", chance, limit=limit),
    ],
    corpus.grid,
    [str(y) for y in yearly.years],
    word="year",
    start=-1,
    note="Nats above or below all years together. A year with few studies "
    "looks livelier, on both sides.",
)

# %% [markdown]
# In JupyterLab the next cell shows the same live, for any year and smoothing; on this page it shows nothing, because a page has no Python.

# %%
import ipywidgets


def drawn(year_shown, smoothing):
    """Three slices of one year against all years."""
    values = difference(own[year == year_shown], fwhm_mm=smoothing)
    cuts = atlas_live.CUTS
    return brain.slices(
        values, corpus.grid, cuts=cuts, simulated=corpus.simulated
    )


options = {"options": yearly.years.tolist(), "value": int(yearly.years[-1])}
controls = {
    "year_shown": ipywidgets.SelectionSlider(description="year", **options),
    "smoothing": ipywidgets.FloatSlider(
        value=fwhm_mm, min=8, max=30, description="mm", continuous_update=False
    ),
}
atlas_live.live(controls, drawn)

# %% [markdown]
# Is there a pattern in it?
# Studies are dealt into two halves, and in each the last third of the studies is compared with the first third.
# If the field has moved, both halves tell the same story; if years are shuffled, they cannot.


# %%
def story(rows, years):
    """Log density of the last third over that of the first third."""
    cut = np.quantile(years, [1 / 3, 2 / 3])
    early, recent = rows[years <= cut[0]], rows[years >= cut[1]]
    return difference(recent, early)


def agreement(years):
    """Correlation of the stories of two halves of the studies."""
    parts = [story(own[part], years[part]) for part in (half, ~half)]
    return float(np.corrcoef(*parts)[0, 1])


agree = agreement(year)
by_chance = [agreement(draw.permutation(year)) for _ in range(19)]
(agree, np.sort(by_chance)[[0, -1]])

# %% tags=["hide-input", "remove-output"]
fig = brain.slices(
    [story(own, year), story(own, dealt)],
    corpus.grid,
    ["last third over first third of the studies", "years shuffled"],
    simulated=corpus.simulated,
)
report.figure("story", fig)
report.put("agree", agree)
report.put("agree_null", max(by_chance))
report.put("n_null", len(by_chance))

# %% [markdown]
# ```{glue:figure} story
# :name: fig-atlas-story
# :alt: Slices of the log density of recent over early studies, and the same with shuffled years
#
# **Recent over early studies.** Nats; below, the same with years shuffled.
# ```
#
# The two halves agree with a correlation of {glue:text}`agree:.2f`; the largest of {glue:text}`n_null` shuffles is {glue:text}`agree_null:.2f`.
#
# ## Can a code keep a secret?
#
# A code of a study that is to be compared across years should not give its year away.
# A fresh linear probe reads the year from codes, and again from shuffled years.

# %%
seen = {
    "foci alone": codes,
    "foci, topics and year told": told,
    "number of foci, space": form,
    "topics": topics,
}
probes = {name: probe(values, year) for name, values in seen.items()}
{k: (p.score, p.threshold, p.p_value) for k, p in probes.items()}

# %% tags=["hide-input"]
keys = ("blank", "told", "form", "topics")
for key, result in zip(keys, probes.values(), strict=True):
    report.put(f"probe_{key}", result.score)
    report.put(f"probe_{key}_null", result.threshold)
told_more = probes["foci, topics and year told"].score - (
    probes["foci alone"].score
)
report.put(
    "leak",
    "Told the year, the encoder passes it on"
    if told_more > 0.02
    else "Being told the year does not make these codes give away more of it",
)

# %% [markdown]
# | the probe reads the year from | R² | shuffled years, 95th percentile |
# |---|---|---|
# | codes of foci alone | {glue:text}`probe_blank:.4f` | {glue:text}`probe_blank_null:.4f` |
# | codes whose encoder was told topics and year | {glue:text}`probe_told:.4f` | {glue:text}`probe_told_null:.4f` |
# | number of foci and space | {glue:text}`probe_form:.4f` | {glue:text}`probe_form_null:.4f` |
# | topics | {glue:text}`probe_topics:.4f` | {glue:text}`probe_topics_null:.4f` |
#
# {glue:text}`leak`.
# The decoder is told the year anyway, so a code need not hold it, and every number in a code costs likelihood; a long training may unlearn what a short one leaves in.
# The original project meant to take the year out with an adversary and to lower the accuracy of a probe to a level that a probe does not even reach without one.
# We look first at what there is to remove: little of the year can be read from the foci of a study.
#
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "codes of foci follow a line over the years more than shuffled years do",
    moved["codes"].p_trend < 0.05,
)
report.claim(
    "topics of abstracts follow a line over the years more than shuffled "
    "years do",
    moved["topics"].p_trend < 0.05,
)
report.claim(
    "years explain less than one hundredth of the variance of codes",
    moved["codes"].between < 0.01,
)
report.claim(
    "the GRU beats exponential smoothing on codes (interval below zero)",
    ahead["codes"].high < 0,
)
report.claim(
    "an encoder that is told the year gives away more of it",
    told_more > 0.02,
)

# %% [markdown]
# ## What we learned
#
# - What studies report moves slowly: years hold at most a few thousandths of the differences between studies, and most of that is a line.
# - To foretell next year's mean, smooth or draw a line. The recurrent network has too few years to learn from, and we would not use it.
# - A map of a year without its shuffled twin shows mostly which studies happened to appear.
# - **Not shown:** why. Journals, methods of reporting and the parsing of tables change with the years too; two of these were regressed out, the rest was not.
# - **What would change our mind:** a longer series, by month instead of year, on which the network passes the smoothed mean.
#
# **Try it:** `fwhm_mm=10` and watch the right side of the viewer; how much of the left would you still believe?

# %% tags=["hide-input"]
report.card(
    answer=f"{100 * max(moved['codes'].between, 0):.2f} % of the variance of codes "
    f"lies between years beyond chance (shuffled years: below "
    f"{100 * np.quantile(moved['codes'].between_null, 0.95):.2f} %), "
    f"{100 * moved['codes'].trend:.1f} % along a line over the years. "
    "A recurrent network "
    + (
        "forecasts the next year better than"
        if ahead["codes"].high < 0
        else "does not forecast the next year better than"
    )
    + " exponential smoothing.",
    needs="what a latent code of a study is.",
)
report.stamp()
