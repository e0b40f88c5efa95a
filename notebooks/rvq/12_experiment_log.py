# ---
# jupyter:
#   jupytext: {formats: 'ipynb,py:percent'}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# (rvq-log)=
# # Thirty experiments: which claims survive?
#
# ```{glue} card
# ```
#
# The log that this part redoes has twenty-five numbered experiments {cite}`phantomx`, some with a second part; five of ours follow.
# Each was decided on one of the pages before: by verdicts that were written down with the page, under splits by trial, with selection on valid trials and several seeds.
# The registry behind this page is `book/experiments.yml`.
#
# **You will learn** (1) which of the log's claims hold, (2) where to read why, (3) what its nine headlines have become.

# %% tags=["parameters"]
results: str = "book/results"  # folder of the results files to read

# %% tags=["hide-input"]
from pathlib import Path

from IPython.display import HTML

from neurolib import report
from neurolib.runs.project import find_project
from neurolib.viz import experiments as log
from neurolib.viz.interactive import show

root = find_project(Path.cwd()).root
experiments = log.read_experiments(root / "book" / "experiments.yml")
decided = log.decide(experiments, report.results(results))
theirs = [experiment for experiment in experiments if not experiment.ours]
counts = {
    verdict: sum(decided[e.id]["verdict"] == verdict for e in theirs)
    for verdict in log.VERDICTS
}
report.put("n_theirs", len(theirs))
for verdict, key in zip(
    log.VERDICTS, ("yes", "partly", "no", "open"), strict=True
):
    report.put(f"n_{key}", counts[verdict])

# %% [markdown]
# Of {glue:text}`n_theirs` experiments of the log, {glue:text}`n_yes` replicate, {glue:text}`n_partly` do in part, {glue:text}`n_no` do not, and {glue:text}`n_open` have not been run here.
#
# ## In the order of the log
#
# Point at a mark to read the question and today's reading.

# %% tags=["hide-input"]
show(log.timeline(experiments, decided), "log-timeline")

# %% [markdown]
# The scores are the log's own, of one seed and mostly chosen on the trials they are of; nothing here measures itself against them, because the recording is not at hand, unless a card says so.
#
# ## Every experiment
#
# An asterisk marks experiments of ours.

# %% tags=["hide-input"]
HTML(log.experiment_table(experiments, decided))

# %% [markdown]
# ## The nine headlines
#
# Their numbers stand in `book/published.yml` and on the {ref}`scoreboard`.
#
# | headline of the log | what it rests on | here |
# |---|---|---|
# | one bin says little, a quarter second nearly all | experiments 2, 3 | holds; alignment within the bin moves the first number ({ref}`rvq-history`) |
# | invariance to units gives R² of zero | 1, 4 | for direction; speed survives ({ref}`rvq-history`) |
# | standard VQ uses a few per cent of its codes | 5, 7 | holds for codes trained at once without reviving ({ref}`rvq-collapse`) |
# | progressive training is the key | 9 | holds; it takes pre-training and k-means together ({ref}`rvq-progressive`) |
# | residual codes beat single codebooks | 12 | holds ({ref}`rvq-residual`) |
# | four stages of 128 are best | 12 | does not hold: more never hurts ({ref}`rvq-residual`) |
# | FSQ does not help | 14, 15 | does not hold: it was not tried on equal terms ({ref}`rvq-fsq`) |
# | distillation removes the cost of codes | 18 | does not hold: there is little to remove, and no lesson does as well ({ref}`rvq-distillation`) |
# | a lag of one bin hurts | 17, 18 | does not hold ({ref}`rvq-distillation`) |
#
# ## Verdicts

# %% tags=["nbval-check-output"]
for experiment in experiments:
    print(experiment.id, decided[experiment.id]["verdict"])

# %% tags=["hide-input"]
report.card(
    answer=f"{counts['replicates']} of {len(theirs)} experiments replicate, "
    f"{counts['partly']} in part, {counts['does not replicate']} do not. "
    "Order of training and residual codes survive; four stages, distillation "
    "and the failure of FSQ do not.",
    needs="nothing; each row leads to its page.",
)
report.stamp()
