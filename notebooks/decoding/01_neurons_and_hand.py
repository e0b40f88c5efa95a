# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (neurons-and-hand)=
# # What do these neurons know about the hand?
#
# ```{glue} card
# ```
#
# Two populations were recorded while monkeys moved a hand in the plane: one in primary somatosensory cortex (S1), which hears from the arm, and one in primary motor cortex (M1), which speaks to it.
# Before anything is decoded, look at what is there.
#
# **You will learn** (1) how such recordings are laid out, (2) how to tell a tuned neuron from a lucky one, (3) why the two areas differ in time.

# %% tags=["parameters"]
source: str = "auto"  # or "recorded", "simulated"
min_speed: float = 3.0  # cm/s; slower bins have no direction worth the name
n_directions: int = 8  # sectors of the circle
n_shifts: int = 100  # rolled hands that a tuned unit must beat
seed: int = 0

# %%
import numpy as np

from neurolib import report
from neurolib.data.sets import load
from neurolib.metrics.nulls import circular_shift
from neurolib.models.linear import RidgeConfig, fit_best_lag
from neurolib.viz import population

# %% [markdown]
# ## The recordings
#
# Counts of spikes per bin, the position of the hand and its velocity, in trials.
# Neither file has a trial table.
# For S1 a trial is a stretch between two jumps of the hand, where the file joins segments; M1 is continuous and is cut into blocks.

# %%
areas = {"S1": load("s1", source), "M1": load("m1", source)}
for trials in areas.values():
    report.use(trials)
areas

# %% [markdown]
# One trial of S1: each row is a unit, each dark mark a bin with spikes.

# %% tags=["hide-input", "remove-output"]
s1, m1 = areas["S1"], areas["M1"]
longest = int(np.argsort(s1.lengths)[-10])
report.figure("raster", population.raster_and_hand(s1, longest))

# %% [markdown]
# ```{glue:figure} raster
# :name: fig-raster
# :alt: Raster of spike counts of all units in one trial, with the hand's velocity below
#
# **A population and a hand.** Counts of all S1 units in one trial (top, one row per unit, sorted by rate) and the velocity of the hand (bottom).
# ```
#
# ## Tuning: rate against direction
#
# Many units fire more when the hand moves one way than another {cite}`georgopoulos1982`.
# For each unit, average the rate in sectors of direction and measure how far the sectors lie apart, as a share of the variance of its counts.


# %%
def direction_sectors(velocity):
    """Sector of each bin's direction; -1 where the hand is too slow."""
    sector = (
        np.floor(
            np.arctan2(velocity[:, 1], velocity[:, 0])
            / (2 * np.pi)
            * n_directions
        )
        % n_directions
    )
    return np.where(
        np.linalg.norm(velocity, axis=1) > min_speed, sector, -1
    ).astype(int)


def tuning(counts, sector):
    """Per unit: sector means, their errors, share of variance between."""
    chosen = np.eye(n_directions)[sector[sector >= 0]]  # (bins, sectors)
    seen, n = counts[sector >= 0].astype(float), chosen.sum(axis=0)[:, None]
    mean = chosen.T @ seen / n
    error = np.sqrt((chosen.T @ seen**2 / n - mean**2) / n)
    between = (n * (mean - seen.mean(axis=0)) ** 2).sum(axis=0) / len(seen)
    return mean, error, between / np.maximum(seen.var(axis=0), 1e-12)


# %% [markdown]
# A unit and a slow hand can look related by luck, because both drift.
# So the null keeps the autocorrelation of each and breaks only their alignment: the hand is rolled against the spikes, many times.
# A unit counts as *related to the movement* if its sectors lie further apart for the hand than for every one of the rolled hands.
# The test is about movement as a whole: a unit that follows speed or position can pass as well, because they go together with direction.
# With many units some pass by luck, so the number expected from luck stands beside each count.


# %%
def depth(trials, velocity):
    """Share of variance between sectors, per unit."""
    return tuning(trials.counts, direction_sectors(velocity))[2]


tuned, ranking = {}, {}
for area, trials in areas.items():
    velocity = trials.with_outputs("velocity").behaviour
    real, highest = depth(trials, velocity), np.zeros(trials.n_units)
    for i in range(n_shifts):
        rolled = circular_shift(velocity, trials.lengths, seed + i)
        highest = np.maximum(highest, depth(trials, rolled))
    tuned[area] = int((real > highest).sum())
    ranking[area] = np.argsort(real)[::-1]

# %% tags=["hide-input"]
for area, trials in areas.items():
    report.put(f"{area.lower()}_units", trials.n_units)
    report.put(f"{area.lower()}_tuned", tuned[area])
    report.put(f"{area.lower()}_chance", trials.n_units / (1 + n_shifts))

# %% tags=["hide-input", "remove-output"]
best = ranking["S1"][:8]
mean, error, _ = tuning(
    s1.counts, direction_sectors(s1.with_outputs("velocity").behaviour)
)
angles = (np.arange(n_directions) + 0.5) / n_directions * 2 * np.pi
names = [f"unit {unit}" for unit in best]
rates = [values[:, best].T / s1.bin_size_s for values in (mean, error)]
report.figure(
    "tuning", population.tuning_curves(angles, *rates, names, s1.simulated)
)

# %% [markdown]
# ```{glue:figure} tuning
# :name: fig-tuning
# :alt: Eight panels of firing rate against movement direction
#
# **The eight S1 units most tuned to direction.** Mean rate per sector; bars are ± 1 standard error over bins (too short, because neighbouring bins are alike: the count below does not rest on them).
# ```
#
# In S1, {glue:text}`s1_tuned` of {glue:text}`s1_units` units were related to the movement; luck alone would give about {glue:text}`s1_chance:.1f`.
# In M1 it was {glue:text}`m1_tuned` of {glue:text}`m1_units` ({glue:text}`m1_chance:.1f` by luck).
#
# ## Around a movement
#
# The same units over time: their rate around the moments when the hand was fastest, for movements to the right and to the left.


# %%
def peaks(trials, around=10, fast=12.0):
    """Bins where speed peaks above ``fast`` cm/s, far from a trial's ends."""
    speed = np.linalg.norm(trials.with_outputs("velocity").behaviour, axis=1)
    top = np.r_[
        False, (speed[1:-1] > speed[:-2]) & (speed[1:-1] >= speed[2:]), False
    ]
    left = np.repeat(trials.lengths, trials.lengths) - trials.bin_in_trial
    return np.flatnonzero(
        top
        & (speed > fast)
        & (trials.bin_in_trial >= around)
        & (left > around)
    )


around = np.arange(-10, 11)
at = peaks(s1)
vx = s1.with_outputs("velocity x").behaviour[at, 0]
sides = {"hand moves right": at[vx > 8], "hand moves left": at[vx < -8]}
windows = {
    side: s1.counts[bins[:, None] + around][:, :, best[:4]] / s1.bin_size_s
    for side, bins in sides.items()
}
{side: len(bins) for side, bins in sides.items()}

# %% tags=["hide-input", "remove-output"]
means = {side: w.mean(axis=0).T for side, w in windows.items()}
errors = {
    side: w.std(axis=0).T / np.sqrt(len(w)) for side, w in windows.items()
}
report.figure(
    "psth",
    population.peri_event(around * s1.bin_size_s, means, errors, s1.simulated),
)

# %% [markdown]
# ```{glue:figure} psth
# :name: fig-psth
# :alt: Firing rates of four units around the fastest moment of movements to the right and left
#
# **Rates around the fastest moment of a movement**, for the four most tuned S1 units; bands are ± 1 standard error over movements.
# ```
#
# ## Which comes first, spikes or hand?
#
# Decode velocity from a single bin of counts, and let that bin slide from before the movement to after it.
# Motor cortex should speak before the hand moves, somatosensory cortex should hear while it moves or after {cite}`paninski2004`.
# Each lag is fitted on training trials and scored on valid ones; test trials are left alone.

# %%
lags = range(-6, 9)
curves = {}
for area, trials in areas.items():
    split = trials.with_outputs("velocity").split(seed=None)
    _, scores = fit_best_lag(
        RidgeConfig(history_bins=1), split.train, split.valid, lags
    )
    curves[area] = np.array([scores[lag] for lag in lags])


def centre(curve):
    """Lag in ms about which the positive part of a curve balances."""
    weight = np.clip(curve - curve.max() / 2, 0, None)
    return float(
        (weight * np.array(lags)).sum() / weight.sum() * s1.bin_size_s * 1e3
    )


lead = {area: centre(curve) for area, curve in curves.items()}
for area, value in lead.items():
    report.put(f"{area.lower()}_lead_ms", value)
report.put("lead_gap_ms", lead["M1"] - lead["S1"])

# %% tags=["hide-input", "remove-output"]
simulated = {area: trials.simulated for area, trials in areas.items()}
report.figure(
    "lags",
    population.lag_curves(np.array(lags) * s1.bin_size_s, curves, simulated),
)

# %% [markdown]
# ```{glue:figure} lags
# :name: fig-lags
# :alt: R squared of velocity against lag for S1 and M1
#
# **Which spikes tell of the hand.** Variance-weighted R² of velocity on valid trials, from one bin of counts at each lag; dots mark the maxima.
# ```
#
# The curve of M1 balances at {glue:text}`m1_lead_ms:.0f` ms before the movement, that of S1 at {glue:text}`s1_lead_ms:.0f` ms.
# The hand is slow compared with a bin, so each curve is wide, and its centre says more than its maximum.
# Neither file says where in its bin the velocity was sampled, so half a bin of every lag is uncertain, and up to a whole bin of the distance between the two.
# Whether S1 goes before or after the hand cannot be said from these files.

# %% [markdown]
# ## Verdicts

# %% tags=["nbval-check-output"]
report.claim(
    "at least half of the S1 units are related to movement",
    tuned["S1"] >= s1.n_units / 2,
)
report.claim(
    "at least half of the M1 units are related to movement",
    tuned["M1"] >= m1.n_units / 2,
)
report.claim("M1 leads S1", lead["M1"] > lead["S1"])
report.claim("M1 leads the hand", lead["M1"] > 0)

# %% [markdown]
# ## What we learned
#
# - {glue:text}`s1_tuned` of {glue:text}`s1_units` units in S1 and {glue:text}`m1_tuned` of {glue:text}`m1_units` in M1 are related to the movement of the hand, beyond what slow signals share by luck.
# - The curves over lag balance {glue:text}`lead_gap_ms:.0f` ms apart, M1 earlier if positive.
# - **Not shown:** that a unit *encodes* direction; position, speed and force go together with it in these tasks, and a linear lag curve cannot tell efference from feedback.
# - **What would change our mind:** tuning that vanishes when the hand is rolled by whole movements, or a lag that moves with the bin width.
#
# **Try it:** set `min_speed` to 10 and predict whether more or fewer units pass.
# **Next:** {ref}`linear-decoding`.

# %% tags=["hide-input"]
report.card(
    answer=f"How it moves: {tuned['S1']} of {s1.n_units} units in S1 and "
    f"{tuned['M1']} of {m1.n_units} in M1 are related to its movement. Their "
    f"spikes tell most of the hand {lead['M1']:.0f} ms later in M1 and "
    f"{lead['S1']:.0f} ms later in S1.",
    needs="what a spike count and a velocity are.",
)
report.stamp()
